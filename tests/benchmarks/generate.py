"""Writes capture files for the benchmarks: fast, and the same for the same arguments.

`small`: 60-byte frames, half UDP and half TCP, in 20,000 two-way flows (TCP in order, acknowledged,
opened by a handshake). `rtp`: 1250-byte RTP of 80 camera streams, whose time stamps run as time
does at 20,000 packets a second only; `cameras`: the same of 8, at any rate. `mixed`: three of ten
packets of the first kind, seven of the second. `segments`: TCP of 1448 bytes like noise, of 40
connections in bursts of 12. `middle`: 60-byte TCP segments of 20,000 connections that were
open before, their bytes like noise; `kept`: the same of 20. `connections`: TCP connections of four
packets, the handshake and 6 bytes; `hellos`: the same, but the fourth packet is a TLS hello.
Packets come at `rate` a second of packet time.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np

START_NS = 1_760_000_000_000_000_000
BLOCK = 1 << 18
KINDS = (
    "small", "rtp", "cameras", "mixed", "segments", "middle", "kept", "connections", "hellos",
)  # fmt: skip
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


def _put16(frames: np.ndarray, at: int, values: np.ndarray) -> None:
    frames[:, at] = values >> 8
    frames[:, at + 1] = values & 255


def _put32(frames: np.ndarray, at: int, values: np.ndarray) -> None:
    for i in range(4):
        frames[:, at + i] = (values >> (24 - 8 * i)) & 255


def _checksums(frames: np.ndarray) -> None:
    words = frames[:, 14:34].astype(np.uint32)
    total = (words[:, 0::2] << 8).sum(1) + words[:, 1::2].sum(1)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    _put16(frames, 24, (~total) & 0xFFFF)


def _link_and_ip(
    frames: np.ndarray, src: np.ndarray, dst: np.ndarray, protocol: np.ndarray
) -> None:
    n, size = frames.shape
    frames[:, 0:6] = (2, 0, 0, 0, 0, 0x10)
    frames[:, 6:12] = (2, 0, 0, 0, 0, 0x20)
    frames[:, 12:14] = (8, 0)
    frames[:, 14] = 0x45
    _put16(frames, 16, np.full(n, size - 14))
    _put16(frames, 18, np.arange(n) & 0xFFFF)
    frames[:, 20] = 0x40
    frames[:, 22] = 64
    frames[:, 23] = protocol
    _put32(frames, 26, src)
    _put32(frames, 30, dst)


class Small:
    """60-byte frames: 20,000 flows, even ones UDP, odd ones TCP."""

    size = 60

    def __init__(self, flows: int = 20_000, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.flows = flows
        self.client = 0x0A000000 + self.random.permutation(1 << 20)[:flows].astype(np.int64)
        self.server = 0xC0A80000 + self.random.integers(1, 4096, flows)
        self.sport = self.random.integers(20000, 60000, flows)
        self.dport = self.random.choice([443, 8883, 5000, 9000], flows)
        self.count = np.zeros(flows, np.int64)  # packets so far

    def block(self, n: int) -> np.ndarray:
        frames = np.zeros((n, 60), np.uint8)
        flow = self.random.integers(0, self.flows, n)
        order = np.argsort(flow, kind="stable")
        ranked = flow[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        rank = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))
        step = np.empty(n, np.int64)
        step[order] = rank
        step += self.count[flow]
        np.add.at(self.count, flow, 1)
        back = step % 2 == 1
        tcp = flow % 2 == 1
        a, b = self.client[flow], self.server[flow]
        _link_and_ip(frames, np.where(back, b, a), np.where(back, a, b), np.where(tcp, 6, 17))
        _put16(frames, 34, np.where(back, self.dport[flow], self.sport[flow]))
        _put16(frames, 36, np.where(back, self.sport[flow], self.dport[flow]))
        # TCP: SYN, SYN/ACK, ACK, then data of 6 bytes in turn, each acknowledging the last: the
        # server at steps 3, 5, ..., the client at 4, 6, ...; own data segments before this one:
        data = 6
        before = np.where(back, np.maximum((step - 3) // 2, 0), np.maximum((step - 4) // 2, 0))
        mine = np.where(step < 2, 0, 1 + data * before)
        # peer data segments before this one
        peer = np.where(back, np.maximum((step - 3) // 2, 0), np.maximum((step - 2) // 2, 0))
        acked = np.where(step == 0, 0, 1 + data * peer)
        flags = np.where(step == 0, 2, np.where(step == 1, 0x12, np.where(step == 2, 0x10, 0x18)))
        t = np.flatnonzero(tcp)
        part = frames[t]
        isn = (flow[t] * 7919 + back[t] * 104729) & 0xFFFFFFFF
        other = (flow[t] * 7919 + (~back[t]) * 104729) & 0xFFFFFFFF
        _put32(part, 38, (isn + mine[t]) & 0xFFFFFFFF)
        _put32(part, 42, np.where(step[t] == 0, 0, other + acked[t]) & 0xFFFFFFFF)
        part[:, 46] = 0x50
        part[:, 47] = flags[t]
        _put16(part, 48, np.full(len(t), 60000))
        _put16(part, 16, np.where(step[t] < 3, 40, 46))
        # a TLS record of application data
        part[:, 54:60] = np.where((step[t] < 3)[:, None], 0, (0x17, 3, 3, 0, 1, 0x5A))
        frames[t] = part
        u = np.flatnonzero(~tcp)
        part = frames[u]
        _put16(part, 38, np.full(len(u), 26))
        part[:, 42:60] = self.random.integers(0, 64, (len(u), 18), dtype=np.uint8)
        frames[u] = part
        _checksums(frames)
        return frames


class Middle(Small):
    """60-byte TCP segments of two-way connections that are seen from their middle."""

    def block(self, n: int) -> np.ndarray:
        frames = np.zeros((n, 60), np.uint8)
        flow = self.random.integers(0, self.flows, n)
        order = np.argsort(flow, kind="stable")
        ranked = flow[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        step = np.empty(n, np.int64)
        step[order] = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))
        step += self.count[flow]
        np.add.at(self.count, flow, 1)
        back = step % 2 == 1  # each end sends 6 bytes in turn
        a, b = self.client[flow], self.server[flow]
        _link_and_ip(frames, np.where(back, b, a), np.where(back, a, b), np.full(n, 6))
        _put16(frames, 16, np.full(n, 46))
        _put16(frames, 34, np.where(back, self.dport[flow], self.sport[flow]))
        _put16(frames, 36, np.where(back, self.sport[flow], self.dport[flow]))
        first, other = flow * 7919 + back * 104729, flow * 7919 + (~back) * 104729
        _put32(frames, 38, (first + 6 * (step // 2)) & 0xFFFFFFFF)
        _put32(frames, 42, (other + 6 * ((step + 1) // 2)) & 0xFFFFFFFF)
        frames[:, 46] = 0x50
        frames[:, 47] = 0x18
        _put16(frames, 48, np.full(n, 60000))
        frames[:, 54:60] = self.random.integers(0, 256, (n, 6), dtype=np.uint8)
        _checksums(frames)
        return frames


HELLO_NAME = b"device-0000.example.net"


def _hello() -> bytes:
    """A TLS hello of a client, with the name and version of what most devices send."""
    name = struct.pack(">HBH", len(HELLO_NAME) + 3, 0, len(HELLO_NAME)) + HELLO_NAME
    extensions = b"".join(
        struct.pack(">HH", kind, len(body)) + body
        for kind, body in (
            (0, name),
            (10, bytes.fromhex("0006001d00170018")),
            (11, b"\1\0"),
            (13, bytes.fromhex("00080403080404010503")),
            (16, b"\0\x0c\2h2\x08http/1.1"),
            (43, b"\4\3\4\3\3"),
        )
    )
    ciphers = bytes.fromhex("130113021303c02bc02fc02cc030")
    body = (
        b"\3\3" + bytes(range(32)) + b"\x20" + bytes(range(32))
        + struct.pack(">H", len(ciphers)) + ciphers + b"\1\0"
        + struct.pack(">H", len(extensions)) + extensions
    )  # fmt: skip
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


class Connections:
    """TCP connections of four packets, 5,000 at a time: a handshake, and 6 bytes or a hello."""

    together = 5_000

    def __init__(self, hello: bool, seed: int = 4) -> None:
        self.random = np.random.default_rng(seed)
        self.payload = np.frombuffer(_hello() if hello else b"\x02\x20\x30\x40\x50\x60", np.uint8)
        self.name_at = bytes(self.payload).find(b"device-") + 7 if hello else -1
        self.sent = 0

    def records(self, n: int, times_ns: np.ndarray) -> bytes:
        """The next `n` packets, with their record headers."""
        place = self.sent + np.arange(n)
        self.sent += n
        flow = place // (4 * self.together) * self.together + place % self.together
        step = place // self.together % 4
        frames = np.zeros((n, 54 + len(self.payload)), np.uint8)
        back = step == 1
        a, b = 0x0A000000 + flow % 60_000, 0xC0A80000 + flow // 7 % 4096
        _link_and_ip(frames, np.where(back, b, a), np.where(back, a, b), np.full(n, 6))
        full = step == 3
        _put16(frames, 16, np.where(full, 40 + len(self.payload), 40))
        sport, dport = 20_000 + flow // 60_000 * 5000 + flow % 4999, np.full(n, 443)
        _put16(frames, 34, np.where(back, dport, sport))
        _put16(frames, 36, np.where(back, sport, dport))
        _put32(frames, 38, (flow * 7919 + back * 104729 + (step >= 2)) & 0xFFFFFFFF)
        answered = (flow * 7919 + (~back) * 104729 + 1) & 0xFFFFFFFF
        _put32(frames, 42, np.where(step == 0, 0, answered))
        frames[:, 46] = 0x50
        frames[:, 47] = np.array([2, 0x12, 0x10, 0x18])[step]
        _put16(frames, 48, np.full(n, 60000))
        frames[full, 54:] = self.payload
        if self.name_at >= 0:
            at, rows = 54 + self.name_at, np.flatnonzero(full)
            for digit in range(4):
                frames[rows, at + digit] = 48 + flow[rows] // 10**digit % 10
        _checksums(frames)
        out, size = _records(frames, times_ns), np.where(full, frames.shape[1], 60)
        lengths = size.astype("<u4")[:, None].view(np.uint8)
        out[:, 8:12] = out[:, 12:16] = lengths
        kept = np.arange(out.shape[1]) < (16 + size)[:, None]
        return out[kept].tobytes()


class Rtp:
    """1250-byte RTP: 80 cameras, pictures of `step` ticks of clock (25 a second), in order and
    complete."""

    size = 1250

    def __init__(
        self, streams: int = 80, seed: int = 2, picture: int = 10, step: int = 3600
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.streams = streams
        self.picture = picture  # packets of one
        self.step = step
        self.sent = np.zeros(streams, np.int64)
        self.turn = 0

    def block(self, n: int) -> np.ndarray:
        stream = (self.turn + np.arange(n)) % self.streams
        step = (self.turn + np.arange(n)) // self.streams
        self.turn += n
        frames = np.zeros((n, 1250), np.uint8)
        _link_and_ip(frames, 0x0A140000 + 11 + stream, np.full(n, 0x0A140005), np.full(n, 17))
        _put16(frames, 34, 40000 + 2 * stream)
        _put16(frames, 36, 50000 + 2 * stream)
        _put16(frames, 38, np.full(n, 1250 - 34))
        picture, place = step // self.picture, step % self.picture
        frames[:, 42] = 0x80
        frames[:, 43] = np.where(place == self.picture - 1, 0x80, 0) | 96
        _put16(frames, 44, step & 0xFFFF)
        _put32(frames, 46, (picture * self.step + stream * 1000) & 0xFFFFFFFF)
        _put32(frames, 50, 0x5EED0000 + stream)
        key = picture % 50 == 0
        frames[:, 54] = np.where(key, 0x7C, 0x5C)  # FU-A
        frames[:, 55] = (
            np.where(key, 5, 1)
            | np.where(place == 0, 0x80, 0)
            | np.where(place == self.picture - 1, 0x40, 0)
        )
        frames[:, 60:] = 0xA5
        _checksums(frames)
        return frames


class Segments:
    """TCP segments of 1448 bytes like noise, of 40 connections in bursts of 12."""

    connections, burst, size = 40, 12, 54 + 1448

    def __init__(self) -> None:
        self.noise = np.random.default_rng(5).integers(0, 256, 1 << 20, np.uint8)
        self.sent = 0

    def block(self, n: int) -> np.ndarray:
        place = self.sent + np.arange(n)
        self.sent += n
        whole = self.connections * self.burst
        of = place // self.burst % self.connections
        step = place // whole * self.burst + place % self.burst
        frames = np.empty((n, self.size), np.uint8)
        starts = place * 7919 % (len(self.noise) - self.size)
        frames[:] = np.lib.stride_tricks.sliding_window_view(self.noise, self.size)[starts]
        frames[:, :54] = 0
        _link_and_ip(frames, 0x0A140000 + 11 + of, np.full(n, 0x0A140005), np.full(n, 6))
        _put16(frames, 34, 443 + 0 * of)
        _put16(frames, 36, 50000 + of)
        _put32(frames, 38, (of * 7919 + 1448 * step) & 0xFFFFFFFF)
        _put32(frames, 42, 1000 + 0 * of)
        frames[:, 46], frames[:, 47] = 0x50, 0x18
        _put16(frames, 48, np.full(n, 60000))
        _checksums(frames)
        return frames


def _records(frames: np.ndarray, times_ns: np.ndarray) -> np.ndarray:
    n, size = frames.shape
    out = np.empty((n, size + 16), np.uint8)
    head = np.empty((n, 4), "<u4")
    head[:, 0] = times_ns // 1_000_000_000
    head[:, 1] = times_ns % 1_000_000_000 // 1000
    head[:, 2:] = size
    out[:, :16] = head.view(np.uint8).reshape(n, 16)
    out[:, 16:] = frames
    return out


def in_time(rate: float, streams: int = 8) -> Rtp:
    """Cameras that together send so many packets a second, about 25 pictures a second each, with
    stamps that run as time does."""
    picture = max(1, round(rate / streams / 25))
    return Rtp(streams, picture=picture, step=round(90_000 * picture * streams / rate))


def write(
    path: Path, kind: str, packets: int, rate: float = 1_000_000.0, made_for: float = 0.0
) -> None:
    """Write `packets` packets of a kind to a pcap file. `made_for`: cameras' pictures are those of
    another rate.
    """
    of_middle = {"middle": 20_000, "kept": 20}
    small, rtp = Middle(of_middle[kind]) if kind in of_middle else Small(), Rtp()
    if kind == "cameras":
        rtp = in_time(made_for or rate)
    segments, connections = Segments(), Connections(kind == "hellos")
    random = np.random.default_rng(3)
    done = 0
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        while done < packets:
            n = min(BLOCK if kind in ("small", "middle", "kept") else BLOCK // 8, packets - done)
            times = START_NS + ((done + np.arange(n)) * (1e9 / rate)).astype(np.int64)
            if kind == "mixed":
                pick = random.random(n) < 0.3
                parts = {True: small.block(int(pick.sum())), False: rtp.block(int((~pick).sum()))}
                chunks: list[bytes] = []
                edges = np.flatnonzero(np.r_[True, pick[1:] != pick[:-1], True])
                seen = {True: 0, False: 0}
                records = {
                    True: _records(parts[True], times[pick]),
                    False: _records(parts[False], times[~pick]),
                }
                for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                    which = bool(pick[first])
                    at = seen[which]
                    chunks.append(records[which][at : at + last - first].tobytes())
                    seen[which] += last - first
                file.write(b"".join(chunks))
            elif kind in ("connections", "hellos"):
                file.write(connections.records(n, times))
            else:
                of_kind = {"rtp": rtp, "cameras": rtp, "segments": segments}
                frames = of_kind.get(kind, small).block(n)
                file.write(_records(frames, times).data)
            done += n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("packets", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rate", type=float, default=1_000_000.0)
    options = parser.parse_args()
    write(options.path, options.kind, options.packets, options.rate)


if __name__ == "__main__":
    main()
