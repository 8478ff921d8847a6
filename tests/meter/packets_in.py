"""Frames as bytes into a batch, and TCP conversations as frames: made-up input for lane tests."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

import numpy as np

from panotui.model import SECOND, Interface, PacketBatch

MAC_A, MAC_B = bytes.fromhex("020000000011"), bytes.fromhex("020000000001")
START_NS = 1_700_000_000 * SECOND


def batch_of(
    frames: Sequence[bytes],
    times_ns: Sequence[int] | None = None,
    wire_lengths: Sequence[int] | None = None,
    linktype: int = 1,
    first_number: int = 1,
) -> PacketBatch:
    sizes = np.array([len(frame) for frame in frames], np.int64)
    times = list(times_ns) if times_ns is not None else [START_NS + i for i in range(len(frames))]
    return PacketBatch(
        data=np.frombuffer(b"".join(frames) + bytes(64), np.uint8),
        offset=np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64),
        captured=sizes,
        wire_length=np.array(wire_lengths, np.int64) if wire_lengths is not None else sizes,
        time_ns=np.array(times, np.int64),
        interface=np.zeros(len(frames), np.int16),
        interfaces=[Interface("eth0", linktype)],
        first_number=first_number,
    )


def ethernet(ethertype: int, body: bytes, dst: bytes = MAC_B, src: bytes = MAC_A) -> bytes:
    return (dst + src + struct.pack("!H", ethertype) + body).ljust(60, b"\0")


def ip(protocol: int, body: bytes, src: str = "192.168.5.5", dst: str = "198.51.100.7") -> bytes:
    a, b = ipaddress.ip_address(src).packed, ipaddress.ip_address(dst).packed
    if len(a) == 16:
        head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + a + b
        return ethernet(0x86DD, head + body)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0) + a + b
    return ethernet(0x0800, head + body)


def udp(sport: int, dport: int, payload: bytes, **ends: str) -> bytes:
    return ip(17, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload, **ends)


def tcp(
    sport: int, dport: int, sequence: int, payload: bytes, flags: int = 0x18, **ends: str
) -> bytes:
    head = struct.pack(
        "!HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF, 1, 0x50, flags, 65535, 0, 0
    )
    return ip(6, head + payload, **ends)


class Conversation:
    """A TCP connection that writes frames; sequence numbers start near their wrap."""

    def __init__(self, dport: int = 443, sport: int = 40_000, v6: bool = False) -> None:
        self.ports = (sport, dport)
        self.sequence = {True: 0xFFFFFF00, False: 0x10}
        self.ends = ("2001:db8::5", "2001:db8::7") if v6 else ("192.168.5.5", "198.51.100.7")
        self.frames: list[bytes] = []

    def say(self, from_client: bool, payload: bytes, cut: int = 1400) -> None:
        """Append segments of at most `cut` bytes."""
        for at in range(0, len(payload), cut):
            self.frames.append(self.segment(from_client, payload[at : at + cut]))

    def segment(self, from_client: bool, payload: bytes) -> bytes:
        sequence = self.sequence[from_client]
        self.sequence[from_client] = sequence + len(payload)
        sport, dport = self.ports if from_client else self.ports[::-1]
        src, dst = self.ends if from_client else self.ends[::-1]
        return tcp(sport, dport, sequence, payload, src=src, dst=dst)

    def start(self) -> None:
        sport, dport = self.ports
        src, dst = self.ends
        before = self.sequence[True] - 1
        self.frames.append(tcp(sport, dport, before, b"", flags=2, src=src, dst=dst))
