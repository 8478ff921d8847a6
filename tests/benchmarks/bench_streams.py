"""What the stream table costs: `python -m tests.benchmarks.bench_streams`.

80 cameras of 4 Mb/s, once over UDP and once interleaved in TCP, as made packets. Prints processor
time a packet and the share of a core that a second of such traffic takes.
"""

from __future__ import annotations

import struct
import time

import numpy as np

from panotui.meter.meter import Meter
from panotui.meter.streams.table import StreamTable
from panotui.model import SECOND, Interface, MeterSettings, PacketBatch
from panotui.wire.decode import Decoder

CAMERAS, PER_SECOND, SECONDS = 80, 400, 8
PER_FRAME, GOP = 14, 30
PAYLOAD = 1196


def payload(k: int, camera: int) -> bytes:
    """The k-th RTP packet of a camera: fragments of slices, a key frame every GOP."""
    frame, part = divmod(k, PER_FRAME)
    kind = (5 if frame % GOP == 0 else 1) | (0x80 if part == 0 else 0)
    marker = 0x80 if part == PER_FRAME - 1 else 0
    head = struct.pack("!BBHII", 0x80, 96 | marker, k & 0xFFFF, frame * 6000, 0xAB0000 + camera)
    return head + bytes((0x7C, kind)) + b"x" * (PAYLOAD - 2)


def packet(protocol: int, camera: int, rest: bytes) -> bytes:
    addresses = bytes((10, 0, 0, 1 + camera, 10, 0, 1, 1))
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0)
    return bytes(12) + b"\x08\0" + head + addresses + rest


def batch_of(packets: list[bytes], per_second: int) -> PacketBatch:
    size = np.array([len(p) for p in packets], np.int64)
    n = len(packets)
    return PacketBatch(
        np.frombuffer(b"".join(packets), np.uint8),
        np.cumsum(size) - size,
        size,
        size,
        10**18 + np.arange(n) * SECOND // per_second,
        np.zeros(n, np.int16),
        [Interface("eth0", 1)],
    )


def seconds_of(batch: PacketBatch) -> list[PacketBatch]:
    edges = np.flatnonzero(np.diff(batch.time_ns // SECOND)) + 1
    starts = [0, *edges.tolist()]
    return [batch.slice(a, b) for a, b in zip(starts, [*starts[1:], len(batch)], strict=True)]


def over_udp() -> None:
    packets = []
    for k in range(PER_SECOND * SECONDS):
        for camera in range(CAMERAS):
            rtp = payload(k, camera)
            ports = struct.pack("!HHHH", 7000, 40000 + camera, 8 + len(rtp), 0)
            packets.append(packet(17, camera, ports + rtp))
    parts = seconds_of(batch_of(packets, CAMERAS * PER_SECOND))
    meter = Meter(MeterSettings(), 0)
    assert isinstance(meter.streams, StreamTable)
    table, inside = meter.streams, [0.0]
    whole = time.process_time()
    take, tick = table.udp, table.tick

    def timed(call, *arguments):  # type: ignore[no-untyped-def]
        begin = time.process_time()
        call(*arguments)
        inside[0] += time.process_time() - begin

    table.udp = lambda *a: timed(take, *a)  # type: ignore[method-assign]
    table.tick = lambda *a: timed(tick, *a)  # type: ignore[method-assign]
    for part in parts:
        meter.update(part)
        meter.tick(int(part.time_ns[-1]))
    whole = time.process_time() - whole
    n = len(packets)
    print(f"UDP: stream table {n / inside[0] / 1e6:.2f} M packets/s, ", end="")
    print(f"whole meter {n / whole / 1e6:.2f} M/s, {whole / SECONDS:.1%} of a core")


def over_tcp() -> None:
    streams = []
    for camera in range(CAMERAS):
        out = bytearray()
        for k in range(PER_SECOND * SECONDS // 2):
            rtp = payload(k, camera)
            out += struct.pack("!cBH", b"$", 0, len(rtp)) + rtp
        streams.append(bytes(out))
    packets, flows, client = [], [], []
    for at in range(0, len(streams[0]), 1448):
        for camera, stream in enumerate(streams):
            head = struct.pack("!HHIIBBHHH", 554, 40000 + camera, at, 1, 0x50, 0x18, 9000, 0, 0)
            packets.append(packet(6, camera, head + stream[at : at + 1448]))
            flows.append(camera + 1)
            client.append(False)
    per_second = len(packets) * 2 // SECONDS
    batch = batch_of(packets, per_second)
    flow_id, from_client = np.array(flows, np.uint64), np.array(client)
    table, decoder, spent, first = StreamTable(MeterSettings()), Decoder(), 0.0, 0
    for part in seconds_of(batch):
        columns = decoder.decode(part)
        rows = np.arange(len(part))
        span = slice(first, first + len(part))
        begin = time.process_time()
        table.rtsp(part, columns, rows, flow_id[span], from_client[span])
        table.tick(int(part.time_ns[-1]))
        table.rows()
        spent += time.process_time() - begin
        first += len(part)
    frames = CAMERAS * PER_SECOND * SECONDS // 2
    print(f"TCP: {spent / frames * 1e6:.2f} us a frame, ", end="")
    print(f"{spent / (SECONDS / 2):.1%} of a core for {CAMERAS} cameras")


if __name__ == "__main__":
    over_udp()
    over_tcp()
