"""Capture files of a `Yard`, plain and odd."""

from __future__ import annotations

import struct

from tests.situations.yard import Frames, Yard


def pcap(
    y: Yard,
    snap: int = 262144,
    nano: bool = False,
    big: bool = False,
    link: int = 1,
    cut: int = 0,
    frames: Frames | None = None,
    fcs: bool = False,
) -> bytes:
    e = ">" if big else "<"
    out = [struct.pack(e + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snap, link)]
    for at, frame, _ in frames or y.sorted():
        ns = round((y.t0 + at) * 1e6) * 1000
        kept = frame[:snap]
        out.append(
            struct.pack(
                e + "IIII", ns // 10**9, ns % 10**9 // (1 if nano else 1000), len(kept), len(frame)
            )
            + kept
        )
    data = b"".join(out)
    return data[: len(data) - cut]


def block(kind: int, body: bytes, e: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    n = len(body) + 12
    return struct.pack(e + "II", kind, n) + body + struct.pack(e + "I", n)


def option(code: int, data: bytes, e: str = "<") -> bytes:
    return struct.pack(e + "HH", code, len(data)) + data + b"\0" * (-len(data) % 4)


def pcapng(
    y: Yard,
    interfaces: tuple[tuple[str, int], ...] = (("mirror", 1),),
    e: str = "<",
    tsresol: int = 6,
    comments: bool = False,
    tsoffset: int = 0,
    spb: bool = False,
    frames: Frames | None = None,
    extra: bool = True,
    cut: int = 0,
) -> bytes:
    out = [
        block(
            0x0A0D0D0A,
            struct.pack(e + "IHHq", 0x1A2B3C4D, 1, 0, -1)
            + option(3, b"Linux", e)
            + option(4, b"dumpcap", e)
            + option(2988, b"\0\0\0\1custom", e)
            + option(0, b"", e),
            e,
        )
    ]
    for name, link in interfaces:
        o = option(2, name.encode(), e) + option(9, bytes([tsresol]), e)
        if tsoffset:
            o += option(14, struct.pack(e + "q", tsoffset), e)
        out.append(block(1, struct.pack(e + "HHI", link, 0, 262144) + o + option(0, b"", e), e))
    if extra:
        out.append(
            block(
                4,
                struct.pack(e + "HH", 1, 4 + 9)
                + bytes([10, 0, 0, 1])
                + b"host.lan\0"
                + b"\0\0\0"
                + struct.pack(e + "HH", 0, 0),
                e,
            )
        )
        out.append(block(0x0BAD, struct.pack(e + "I", 32473) + b"something of a vendor", e))
    unit = 2 ** (tsresol & 127) if tsresol & 128 else 10**tsresol
    for n, (at, frame, i) in enumerate(frames or y.sorted()):
        ticks = int(round((y.t0 - tsoffset + at) * 1e6) * unit // 10**6)
        o = (
            option(1, f"frame {n} seen by hand".encode(), e)
            + option(2, struct.pack(e + "I", 1), e)
            + option(0, b"", e)
            if comments and n % 5 == 0
            else b""
        )
        out.append(
            block(
                6,
                struct.pack(e + "IIIII", i, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
                + frame
                + b"\0" * (-len(frame) % 4)
                + o,
                e,
            )
        )
    if extra:
        out.append(
            block(
                5,
                struct.pack(e + "III", 0, 0, 0)
                + option(4, struct.pack(e + "Q", 12345), e)
                + option(5, struct.pack(e + "Q", 0), e)
                + option(0, b"", e),
                e,
            )
        )
    data = b"".join(out)
    return data[: len(data) - cut]
