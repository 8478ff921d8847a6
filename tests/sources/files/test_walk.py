"""The vectorised walk gives what a trivial serial walk gives, whatever payloads pretend to be."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import SourceCounters
from panotui.sources.files import walk as walking
from panotui.sources.files.pcap import PcapFormat
from panotui.sources.files.pcapng import PcapngFormat
from tests.sources import made

BASE_NS = 1_700_000_000 * 10**9


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Small inputs take the ways of large ones."""
    monkeypatch.setattr(walking, "SERIAL_BELOW", 8)
    monkeypatch.setattr(walking, "RECORDS_A_CHAIN", 4)
    monkeypatch.setattr(walking, "CHAINS_LEAST", 2)


def collect(make, data: bytes, most: int = 1 << 30):
    counters = SourceCounters()
    form = make(data[:24], counters, "x", "x")
    array = np.frombuffer(data, np.uint8)
    position = 24 if isinstance(form, PcapFormat) else 0
    rows = []
    while True:
        taken = form.take(array, position, len(array), True, most)
        assert taken.next >= position
        position = taken.next
        if taken.batch is not None:
            b = taken.batch
            rows += zip(
                b.offset.tolist(),
                b.captured.tolist(),
                b.wire_length.tolist(),
                b.time_ns.tolist(),
                strict=True,
            )
        if taken.ended or position >= len(array):
            return rows, counters


def imitation(order: str) -> bytes:
    """Payload that looks like the head of a record."""
    return struct.pack(order + "IIII", 1_700_000_000, 5, 60, 60)


payloads = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 40).map(lambda n: imitation("<") * n),
    st.integers(0, 400).map(bytes),
    st.integers(1, 8).map(lambda n: made.enhanced(made.Frame(bytes(20), BASE_NS)) * n),
    st.just(b"\0" * 60),
)


@settings(max_examples=120, deadline=None)
@given(
    kinds=st.lists(st.tuples(payloads, st.integers(1, 40)), min_size=1, max_size=40),
    order=st.sampled_from("<>"),
    form=st.sampled_from(["pcap", "nano", "modified", "pcapng"]),
    cut=st.integers(0, 60),
    most=st.sampled_from([7, 64, 1 << 20]),
)
def test_walk_equals_serial_walk(kinds, order, form, cut, most):
    frames = [
        made.Frame(payload, BASE_NS + i * 1000)
        for i, payload in enumerate(p for p, times in kinds for p in [p] * times)
    ]
    if form == "pcapng":
        data = made.pcapng(frames, order)
        make, at, overhead, skip = PcapngFormat, 4, 0, 2
        start = 0
    else:
        data = made.pcap(frames, order, nano=form == "nano", modified=form == "modified")
        make, at, overhead, skip = PcapFormat, 8, 24 if form == "modified" else 16, 0
        start = 24
    data = data[: len(data) - min(cut, len(data) - 64)] if len(data) > 64 else data
    expected = made.serial_offsets(data, start, order, at, overhead)[skip:]
    rows, counters = collect(make, data, most)
    assert [offset - (28 if form == "pcapng" else overhead) for offset, *_ in rows] == expected
    assert [row[3] for row in rows] == [frame.time_ns for frame in frames[: len(rows)]]
    assert [row[1] for row in rows] == [len(frame.data) for frame in frames[: len(rows)]]
    assert counters.malformed == 0


def test_many_mixed_sizes_equal_serial_walk():
    rng = np.random.default_rng(7)
    frames = [
        made.Frame(rng.bytes(int(n)), BASE_NS + i * 3000)
        for i, n in enumerate(rng.integers(0, 700, 20_000))
    ]
    for make, data, head in (
        (PcapFormat, made.pcap(frames), 16),
        (PcapngFormat, made.pcapng(frames), 28),
    ):
        rows, _ = collect(make, data, 6_000)
        assert len(rows) == 20_000
        assert [row[3] for row in rows] == [frame.time_ns for frame in frames]
        sizes = np.diff([row[0] for row in rows])
        assert sizes.min() >= head


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("form", [PcapFormat, PcapngFormat])
@pytest.mark.parametrize("large", [[40_000], [65_519, 65_520], [65_536, 70_001, 200_000]])
def test_a_length_beyond_16_bits_is_seen(form, order, large):
    rng = np.random.default_rng(5)
    sizes = rng.integers(0, 500, 900)
    sizes[rng.choice(900, len(large), replace=False)] = large
    frames = [made.Frame(bytes(n), BASE_NS + i * 1_000) for i, n in enumerate(sizes.tolist())]
    data = (made.pcap if form is PcapFormat else made.pcapng)(frames, order=order)
    for most in (1 << 30, 100):
        rows, counters = collect(form, data, most)
        assert [row[1] for row in rows] == sizes.tolist()
        assert counters.malformed == 0


def test_lockstep_is_what_walks_mixed_sizes(monkeypatch):
    """The fast way is really taken: the serial one sees only the tail."""
    rng = np.random.default_rng(8)
    frames = [made.Frame(rng.bytes(int(n)), BASE_NS) for n in rng.integers(60, 300, 4_000)]
    seen = []
    serial = walking._serial

    def spy(*args, **kwargs):
        answer = serial(*args, **kwargs)
        seen.append(len(answer[0][0]))
        return answer

    monkeypatch.setattr(walking, "_serial", spy)
    rows, _ = collect(PcapFormat, made.pcap(frames))
    assert len(rows) == 4_000
    assert sum(seen) < 100


def test_wrong_guesses_are_mended(monkeypatch):
    """Payloads that are captures themselves: guesses land in them, the answer stays right."""
    inner = made.pcap([made.Frame(bytes(40), BASE_NS)] * 30)[24:]
    rng = np.random.default_rng(9)
    frames = [
        made.Frame(inner[: int(n)] if i % 3 else rng.bytes(int(n) // 4), BASE_NS + i * 1000)
        for i, n in enumerate(rng.integers(0, len(inner), 3_000))
    ]
    mended = []
    mend = walking._mend

    def spy(*args):
        mended.append(1)
        return mend(*args)

    monkeypatch.setattr(walking, "_mend", spy)
    rows, counters = collect(PcapFormat, made.pcap(frames))
    assert mended
    assert [row[1] for row in rows] == [len(frame.data) for frame in frames]
    assert [row[3] for row in rows] == [frame.time_ns for frame in frames]
    assert counters.malformed == 0


def test_impossible_length_is_skipped_and_counted():
    frames = [made.Frame(bytes([i % 251]) * (60 + i % 90), BASE_NS + i * 1000) for i in range(400)]
    data = bytearray(made.pcap(frames))
    offsets = made.serial_offsets(bytes(data), 24, "<", 8, 16)
    struct.pack_into("<I", data, offsets[200] + 8, 0x7FFFFFFF)
    rows, counters = collect(PcapFormat, bytes(data))
    assert counters.malformed == 1
    assert len(rows) == 399


def test_damaged_block_is_skipped_and_counted():
    frames = [made.Frame(bytes(60 + i % 90), BASE_NS + i * 1000) for i in range(400)]
    data = bytearray(made.pcapng(frames))
    offsets = made.serial_offsets(bytes(data), 0, "<", 4, 0)
    struct.pack_into("<I", data, offsets[200] + 4, 7)
    rows, counters = collect(PcapngFormat, bytes(data))
    assert counters.malformed == 1
    assert len(rows) == 399


@settings(max_examples=200, deadline=None)
@given(
    form=st.sampled_from(["pcap", "pcapng"]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=30),
    cut=st.integers(0, 2_000),
)
def test_mutated_captures_never_raise(form, changes, cut):
    frames = [made.Frame(bytes(40 + i % 30), BASE_NS + i * 1000) for i in range(60)]
    whole = bytearray((made.pcap if form == "pcap" else made.pcapng)(frames))
    for at, value in changes:
        whole[24 + at % (len(whole) - 24)] = value
    data = bytes(whole[: max(len(whole) - cut, 64)])
    rows, _ = collect(PcapFormat if form == "pcap" else PcapngFormat, data)
    for offset, captured, wire, _ in rows:
        assert 0 <= offset <= offset + captured <= len(data)
        assert wire >= captured
