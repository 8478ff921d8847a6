"""Addresses as text."""

from __future__ import annotations

import contextlib
import ipaddress
from functools import lru_cache


def address_text(version: int, raw: bytes) -> str:
    """16 raw bytes of an address column as text; IPv4 uses the first four."""
    if version == 4:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    return str(ipaddress.IPv6Address(raw))


def mac_text(mac: int) -> str | None:
    """A MAC column value as `aa:bb:cc:dd:ee:ff`; None for 0 (not Ethernet, or never seen)."""
    if not mac:
        return None
    return (mac & 0xFFFFFFFFFFFF).to_bytes(6, "big").hex(":")


@lru_cache(maxsize=1024)  # a site has few hosts, and several books ask for each message's
def mac_value(text: str) -> int:
    """`aa:bb:cc:dd:ee:ff` (or with dashes) as a MAC column value; ValueError otherwise."""
    if len(text) == 17 and text[2::3] == ":::::":  # as this program writes them
        with contextlib.suppress(ValueError):
            raw = bytes.fromhex(text.replace(":", ""))
            if len(raw) == 6:
                return int.from_bytes(raw, "big")
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6:
        raise ValueError(f"not a MAC address: {text!r}")
    return int.from_bytes(bytes(int(p, 16) for p in parts), "big")
