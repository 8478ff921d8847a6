"""Addresses, ports and flow of one direction of a conversation."""

from __future__ import annotations

import ipaddress

import msgspec

from panotui.model import PacketBatch
from panotui.wire.columns import Columns


class Place(msgspec.Struct, frozen=True):
    """Source and destination of a carrier's packets."""

    version: int
    src: bytes  # 16
    dst: bytes
    sport: int
    dport: int
    flow: int
    interface: int
    channel: int = -1

    @property
    def endpoints(self) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
        return (self.src, self.sport), (self.dst, self.dport)


def place_of(batch: PacketBatch, columns: Columns, row: int, flow: int) -> Place:
    """Addresses and ports of one packet."""
    version = int(columns.version[row])
    l3 = int(columns.l3[row])
    if version == 4:
        raw = batch.data[l3 + 12 : l3 + 20].tobytes()
        src, dst = raw[:4] + bytes(12), raw[4:] + bytes(12)
    else:
        raw = batch.data[l3 + 8 : l3 + 40].tobytes()
        src, dst = raw[:16], raw[16:]
    return Place(
        version,
        src,
        dst,
        int(columns.sport[row]),
        int(columns.dport[row]),
        flow,
        int(batch.interface[row]),
    )


def raw_address(text: str | None, version: int) -> bytes | None:
    """16 bytes of an address column; None for names and invalid text."""
    if not text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version != version or address.is_unspecified:
        return None
    return address.packed.ljust(16, b"\0")
