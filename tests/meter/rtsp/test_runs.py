"""The quick way through interleaved TCP gives what the long way gives, wherever it is cut."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.meter.rtsp.connections import Connections
from panotui.meter.rtsp.found_frames import SMALL, Frames
from panotui.model import AnyMessage, PacketBatch, RtspMessage
from panotui.wire.decode import Decoder
from tests.meter.packets_in import batch_of, tcp
from tests.meter.rtsp.test_interleaved import PLAY, frame
from tests.meter.rtsp.test_other_clothes import masked

CAMERA, APPLIANCE = "10.20.0.11", "10.20.0.5"
OUT = {"src": CAMERA, "dst": APPLIANCE}
BACK = {"src": APPLIANCE, "dst": CAMERA}
SIZES = [12 + 331 * (i % 7) for i in range(40)] + [9000, 0, 3, 40, 12]


def down(text_at: int | None = None) -> bytes:
    """What a camera sends: an answer, frames of many sizes, in the midst of them another answer."""
    parts = [PLAY]
    for i, size in enumerate(SIZES):
        if i == text_at:
            parts.append(PLAY)
        if size >= 12:
            parts.append(frame(i, size, channel=2 * (i % 3)))
        else:
            parts.append(struct.pack("!cBH", b"$", 1, size) + b"x" * size)
    return b"".join(parts)


def heard(
    batch: PacketBatch, edges: list[int], quick: bool, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[object, ...]], list[AnyMessage]]:
    """Frames (channel, first bytes, length, time, packet, epoch) and messages of the batch."""
    messages: list[AnyMessage] = []
    table = Connections(4, messages.append, lambda *_: None, lambda *_: None)
    if not quick:
        monkeypatch.setattr(Connections, "_run", lambda *_: False)
    frames: list[tuple[object, ...]] = []
    marks = [0, *sorted({e % len(batch) for e in edges} - {0}), len(batch)]
    for a, b in itertools.pairwise(marks):
        part = batch.slice(a, b)
        columns = Decoder().decode(part)
        rows = np.arange(len(part))
        client = columns.sport != 554
        found = table.walk(part, columns, rows, np.full(len(part), 7, np.uint64), client)
        frames += read(found, part, table)
    monkeypatch.undo()
    return sorted(frames, key=lambda known: known[4:6]), messages


def read(found: Frames, batch: PacketBatch, table: Connections) -> list[tuple[object, ...]]:
    out = []
    for carrier, position, length, captured, time_ns, number, epoch in found.table().tolist():
        data = batch.data.tobytes() if position >= 0 else bytes(found.side)
        at = position if position >= 0 else ~position
        head = data[at : at + min(captured, 256)]
        _, client, channel = table.of_carrier[carrier]
        out.append((client, channel, head, length, time_ns, number, epoch, captured))
    return out


def conversation(cuts: list[int], text_at: int | None, reports: list[int]) -> PacketBatch:
    """The camera's bytes cut at `cuts`, the appliance's acknowledgements and reports between."""
    stream = down(text_at)
    edges = [0, *sorted({c % len(stream) for c in cuts} - {0}), len(stream)]
    packets, said = [], 0
    for i, (a, b) in enumerate(itertools.pairwise(edges)):
        packets.append(tcp(554, 40000, 1000 + a, stream[a:b], **OUT))
        if i in reports:
            report = struct.pack("!cBHBBHI", b"$", 1, 8, 0x80, 201, 1, 9)
            packets.append(tcp(40000, 554, 50 + said, report, **BACK))
            said += len(report)
        else:
            packets.append(tcp(40000, 554, 50 + said, b"", flags=0x10, **BACK))
    return batch_of(packets)


CUTS = st.lists(st.integers(0, 1 << 16), min_size=70, max_size=160)


@settings(max_examples=60, deadline=None)
@given(CUTS, st.none() | st.integers(0, 44), st.lists(st.integers(0, 150), max_size=4), CUTS)
def test_runs_give_the_frames_that_single_steps_give(
    cuts: list[int], text_at: int | None, reports: list[int], edges: list[int]
) -> None:
    batch = conversation(cuts, text_at, reports)
    with pytest.MonkeyPatch.context() as patch:
        quick = heard(batch, edges[:5], True, patch)
        slow = heard(batch, [], False, patch)
    assert quick == slow
    told = [size for size in SIZES if size >= SMALL]  # what is shorter is no RTP and no RTCP
    assert len([f for f in slow[0] if not f[0]]) == len(told)
    assert len([m for m in slow[1] if isinstance(m, RtspMessage)]) == (1 if text_at is None else 2)


SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
)


def in_socket(
    cuts: list[int], shapes: list[int], edges: list[int], hole: int | None
) -> PacketBatch:
    """An answer and frames in a WebSocket whose own frames end anywhere (`shapes`), with pings."""
    inner = down()
    bounds = [0, *sorted({c % len(inner) for c in shapes} - {0}), len(inner)]
    stream = SWITCHED
    for i, (a, b) in enumerate(itertools.pairwise(bounds)):
        stream += masked(inner[a:b], mask=False)
        stream += masked(b"still there", 9, False) if i % 7 == 3 else b""
    begun = len(SWITCHED)  # which came as a whole
    ends = [0, *sorted({c for c in cuts if begun <= c < len(stream)}), len(stream)]
    packets = []
    for i, (a, b) in enumerate(itertools.pairwise(ends)):
        if i != hole:
            packets.append(tcp(554, 40000, 1000 + a, stream[a:b], **OUT))
        packets.append(tcp(40000, 554, 50, b"", flags=0x10, **BACK))
    return batch_of(packets)


def in_order(frames: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The frames by packet; of those that are copied to the side fewer bytes are at hand."""
    return sorted((known[:7] for known in frames), key=lambda known: known[5])


@settings(max_examples=60, deadline=None)
@given(CUTS, CUTS, CUTS, st.none() | st.integers(20, 60))
def test_runs_inside_a_websocket_give_the_frames_that_single_steps_give(
    cuts: list[int], shapes: list[int], edges: list[int], hole: int | None
) -> None:
    batch = in_socket(cuts, shapes, edges, hole)
    with pytest.MonkeyPatch.context() as patch:
        quick = heard(batch, edges[:5], True, patch)
        slow = heard(batch, [], False, patch)
    assert in_order(quick[0]) == in_order(slow[0])
    assert quick[1] == slow[1]
    if hole is None:
        assert len(slow[0]) == len([size for size in SIZES if size >= SMALL])


def test_hole_in_a_websocket_costs_the_frames_in_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SWITCHED + masked(PLAY, mask=False)
    stream += b"".join(masked(frame(i, 1200), mask=False) for i in range(600))
    packets = [
        tcp(554, 40000, 1000 + at, stream[at : at + 1448], **OUT)
        for at in range(0, len(stream), 1448)
    ]
    del packets[100:102], packets[300]
    frames, _ = heard(batch_of(packets), [], True, monkeypatch)
    gone = 600 - len(frames)
    assert 3 <= gone <= 12
    assert {known[6] for known in frames} == {0, 1, 2}


def test_frames_of_a_busy_camera_go_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = PLAY + b"".join(frame(i, 1200) for i in range(600))
    packets = [
        tcp(554, 40000, 1000 + at, stream[at : at + 1448], **OUT)
        for at in range(0, len(stream), 1448)
    ]
    batch = batch_of(packets)
    steps = 0
    step = Connections._step

    def counted(self: Connections, segments, chosen) -> None:  # type: ignore[no-untyped-def]
        nonlocal steps
        steps += len(chosen)
        step(self, segments, chosen)

    monkeypatch.setattr(Connections, "_step", counted)
    frames, _ = heard(batch, [], True, monkeypatch)
    assert len(frames) == 600
    assert steps <= 64  # a connection's opening


def test_closed_connections_make_room_before_silent_ones() -> None:
    """A reader that connects without end must not cost a silent camera its dialogue."""
    table = Connections(2, lambda _: None, lambda *_: None, lambda *_: None)
    packets = [tcp(554, 40000 + n, 1000, PLAY, **OUT) for n in range(3)]
    packets.append(tcp(40002, 554, 50, b"", flags=0x11, **BACK))
    batch = batch_of(packets)
    columns = Decoder().decode(batch)
    flow = np.array([7, 8, 9, 9], np.uint64)
    table.walk(batch, columns, np.arange(4), flow, columns.sport != 554)
    assert table.overdue() == [9]
