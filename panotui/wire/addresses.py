"""Addresses of the wire as text: IPv4, IPv6 and MAC from their raw bytes, cached.

In come 4, 16 or 6 raw bytes, out comes the text that `model.address_text` and `model.mac_text`
would give, so that addresses from columns and from messages compare equal.
"""

from __future__ import annotations

from functools import lru_cache

from panotui.model import address_text
from panotui.wire.origin import Malformed


@lru_cache(maxsize=8192)
def ip_text(raw: bytes) -> str:
    """4 or 16 raw bytes as address text; `Malformed` for any other length."""
    if len(raw) == 4:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    if len(raw) == 16:
        return address_text(6, raw)
    raise Malformed(f"an address of {len(raw)} bytes")


@lru_cache(maxsize=8192)
def mac_bytes_text(raw: bytes) -> str:
    """6 raw bytes as `aa:bb:cc:dd:ee:ff`; `Malformed` for any other length."""
    if len(raw) != 6:
        raise Malformed(f"a MAC address of {len(raw)} bytes")
    return raw.hex(":")


def ip_list(raw: bytes, most: int = 16) -> tuple[str, ...]:
    """IPv4 addresses stored one after another; a remainder of less than 4 bytes is ignored."""
    return tuple(ip_text(raw[i : i + 4]) for i in range(0, min(len(raw) & ~3, 4 * most), 4))
