"""Conversations of a camera and its reader, down to the packets, and a table that meets them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from panotui.meter.streams.table import StreamTable
from panotui.model import SECOND, Interface, MeterSettings, PacketBatch
from panotui.wire.decode import Decoder

CLIENT, CAMERA = "10.20.0.5", "10.20.0.11"
START = 1_700_000_000 * SECOND
BASE = f"rtsp://{CAMERA}/live"
SDP = (
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\na=control:track2\r\n"
)


def raw(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


def udp(src: str, sport: int, dst: str, dport: int, payload: bytes) -> bytes:
    head = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0)
    return ip(src, dst, 17, head + payload)


def tcp(src: str, sport: int, dst: str, dport: int, seq: int, flags: int, payload: bytes) -> bytes:
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, 1, 0x50, flags, 9000, 0, 0)
    return ip(src, dst, 6, head + payload)


def ip(src: str, dst: str, protocol: int, rest: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0)
    return bytes(12) + b"\x08\0" + head + raw(src) + raw(dst) + rest


def rtp(sequence: int, stamp: int, ssrc: int = 7, kind: int = 96, rest: bytes = b"\x41" * 50):  # type: ignore[no-untyped-def]
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, stamp, ssrc) + rest


@dataclass
class Site:
    """A table with one camera and one client; packets are given one by one."""

    settings: MeterSettings = field(default_factory=MeterSettings)

    def __post_init__(self) -> None:
        self.table = StreamTable(self.settings)
        self.flows: dict[tuple[object, ...], int] = {}
        self.now = START
        self.number = 1
        self.seq = {True: 1000, False: 5000}
        self.cseq = 0
        self.messages: list[object] = []
        self.rows: dict[int, np.void] = {}

    def packets(self, *frames: tuple[bytes, bool]) -> None:
        """Frames, each with whether the client sent it, a millisecond apart, as one batch."""
        data = np.frombuffer(b"".join(f for f, _ in frames), np.uint8)
        size = np.array([len(f) for f, _ in frames], np.int64)
        time_ns = self.now + np.arange(len(frames)) * 1_000_000
        self.now = int(time_ns[-1]) + 1_000_000
        batch = PacketBatch(
            data,
            np.cumsum(size) - size,
            size,
            size,
            time_ns,
            np.zeros(len(frames), np.int16),
            [Interface("eth0", 1)],
            self.number,
        )
        self.number += len(frames)
        columns = Decoder().decode(batch)
        client = np.array([c for _, c in frames])
        ids = []
        for row in range(len(frames)):
            ends = sorted(
                [
                    (int(columns.src4[row]), int(columns.sport[row])),
                    (int(columns.dst4[row]), int(columns.dport[row])),
                ]
            )
            key = (int(columns.protocol[row]), *ends)
            ids.append(self.flows.setdefault(key, len(self.flows) + 1))
        flow = np.array(ids, np.int64)
        stream = np.flatnonzero(columns.protocol == 6)
        media = np.flatnonzero(columns.protocol == 17)
        self.table.rtsp(batch, columns, stream, flow[stream], client[stream])
        self.table.udp(
            batch, columns, media, flow[media].astype(np.int32), flow[media], client[media]
        )

    def tick(self) -> None:
        self.table.tick(self.now)
        for row in self.table.rows():
            self.rows[int(row["id"])] = row.copy()
        self.messages += self.table.drain()

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        return [m for m in self.messages if isinstance(m, kind)]

    def text(self, text: str, client: bool, body: bytes = b"") -> tuple[bytes, bool]:
        payload = text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
        return self.bytes(payload, client)

    def bytes(self, payload: bytes, client: bool, flags: int = 0x18) -> tuple[bytes, bool]:
        ends = (CLIENT, 40000, CAMERA, 554) if client else (CAMERA, 554, CLIENT, 40000)
        frame = tcp(*ends, self.seq[client], flags, payload)
        self.seq[client] += len(payload) + (flags & 2 != 0)
        return frame, client

    def dialogue(
        self, transport: str, answer: str = "", track: str = "track1", described: bytes = SDP
    ) -> None:
        """From SYN to PLAY."""
        answer = answer or transport
        self.packets(
            self.bytes(b"", True, 2),
            self.bytes(b"", False, 18),
            self.text(f"DESCRIBE {BASE} RTSP/1.0\nCSeq: 1", True),
            self.text(
                f"RTSP/1.0 200 OK\nCSeq: 1\nContent-Type: application/sdp\nContent-Base: {BASE}/"
                f"\nContent-Length: {len(described)}",
                False,
                described,
            ),
            self.text(f"SETUP {BASE}/{track} RTSP/1.0\nCSeq: 2\nTransport: {transport}", True),
            self.text(
                f"RTSP/1.0 200 OK\nCSeq: 2\nSession: 9;timeout=60\nTransport: {answer}", False
            ),
            self.text(f"PLAY {BASE}/ RTSP/1.0\nCSeq: 3\nSession: 9", True),
            self.text("RTSP/1.0 200 OK\nCSeq: 3\nSession: 9", False),
        )

    def media(self, first: int, count: int, **more: object) -> list[tuple[bytes, bool]]:
        sport = int(more.pop("sport", 6000))  # type: ignore[call-overload]
        return [
            (
                udp(CAMERA, sport, CLIENT, 5000, rtp(first + k, 3600 * (first + k), **more)),  # type: ignore[arg-type]
                False,
            )
            for k in range(count)
        ]

    @property
    def stream(self) -> np.void:
        (row,) = self.rows.values()
        return row


UDP = "RTP/AVP;unicast;client_port=5000-5001"
UDP_ANSWER = UDP + ";server_port=6000-6001"


def interleaved(channel: int, payload: bytes) -> bytes:
    return struct.pack("!cBH", b"$", channel, len(payload)) + payload
