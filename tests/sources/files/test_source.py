"""Capture files, compressed files and pipes as sources."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.errors import InputError, PanotuiError
from panotui.model import SourceCounters
from panotui.sources import merge, open_file
from panotui.sources.files.pcapng import PcapngFormat
from tests.captures import capture, captures, tshark_says
from tests.sources import made

BASE_NS = 1_700_000_000 * 10**9
FRAMES = [
    made.Frame(bytes([i % 256]) * (60 + i % 200), BASE_NS + i * 1_000_000) for i in range(300)
]

# what tshark says otherwise, and why it is right to differ
TSHARK_DIFFERS = {
    "v-corrupt-caplen.pcap": "tshark stops at the first record's length; we go on behind it",
    "ng__output_be_advanced_test102.pcapng": "tshark counts systemd journal blocks as packets",
    "ng__output_be_difficult_test202.pcapng": "tshark counts systemd journal blocks as packets",
    "ng__output_le_basic_test017.pcapng": "tshark counts systemd journal blocks as packets",
}


def read_all(source):
    """(packets, wire bytes, first, last time, bytes of all packets)."""
    packets = size = 0
    first, last = None, None
    content = []
    while not source.ended:
        batch = source.read(1.0)
        if batch is None:
            continue
        assert batch.first_number == packets + 1
        assert (batch.offset + batch.captured <= len(batch.data)).all()
        packets += len(batch)
        size += int(batch.wire_length.sum())
        low, high = int(batch.time_ns.min()), int(batch.time_ns.max())
        first = low if first is None else min(first, low)
        last = high if last is None else max(last, high)
        for at, length in zip(batch.offset.tolist(), batch.captured.tolist(), strict=True):
            content.append(batch.data[at : at + length].tobytes())
    source.close()
    return packets, size, first, last, content


@pytest.mark.parametrize("name", captures())
def test_counts_and_times_equal_tshark(name: str):
    expected = tshark_says(name)
    path = capture(name)
    packets, size, first, last, _ = read_all(open_file(str(path)))
    if path.name in TSHARK_DIFFERS:
        assert (packets, size) != (expected["packets"], expected["bytes"]), "no longer differs"
        return
    assert (packets, size) == (expected["packets"], expected["bytes"])
    if expected.get("first") is not None:
        # the oracle's times are floats: good to a few hundred nanoseconds
        assert first / 1e9 == pytest.approx(expected["first"], abs=2e-6)
        assert last / 1e9 == pytest.approx(expected["last"], abs=2e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["pcap", "nano", "modified", "pcapng"])
@pytest.mark.parametrize("packing", ["plain", "gz", "gz-members", "zst", "zst-frames"])
def test_every_format_gives_the_same_packets(tmp_path, order, kind, packing):
    if kind == "pcapng":
        data = made.pcapng(FRAMES, order)
    else:
        data = made.pcap(FRAMES, order, kind == "nano", kind == "modified")
    half = len(data) // 2 + 1
    pack = zstandard.ZstdCompressor().compress
    data = {
        "plain": lambda: data,
        "gz": lambda: gzip.compress(data),
        "gz-members": lambda: gzip.compress(data[:half]) + gzip.compress(data[half:]),
        "zst": lambda: pack(data),
        "zst-frames": lambda: pack(data[:half]) + pack(data[half:]),
    }[packing]()
    path = tmp_path / "misleading.txt"
    path.write_bytes(data)
    source = open_file(str(path), batch_packets=64)
    packets, size, first, last, content = read_all(source)
    assert packets == len(FRAMES)
    assert size == sum(frame.length for frame in FRAMES)
    assert (first, last) == (FRAMES[0].time_ns, FRAMES[-1].time_ns)
    assert content == [frame.data for frame in FRAMES]
    assert not source.counters.truncated
    assert source.counters.malformed == 0
    assert source.counters.read_bytes == source.counters.total_bytes == len(data)


def test_sections_interfaces_and_clocks(tmp_path):
    nano = made.option(9, b"\x09")
    power = made.option(9, b"\x94") + made.option(14, (1000).to_bytes(8, "little"))
    name = made.option(2, b"eth7\0")
    frame = made.Frame(bytes(64), BASE_NS)
    out = made.option(2, (2).to_bytes(4, "little"))
    data = (
        made.section()
        + made.interface(options=name + nano)
        + made.interface(options=power)
        + made.enhanced(frame, options=out)
        + made.enhanced(made.Frame(bytes(61), BASE_NS), number=1, units_a_second=1 << 20)
        + made.block(0x0BAD, b"unknown")
        + made.block(5, (0).to_bytes(12, "little") + made.option(5, (9).to_bytes(8, "little")))
        + made.section(">")
        + made.interface(">", linktype=113)
        + made.enhanced(made.Frame(bytes(70), BASE_NS), ">", units_a_second=10**6)
    )
    path = tmp_path / "a.pcapng"
    path.write_bytes(data)
    source = open_file(str(path))
    batches = []
    while not source.ended:
        if (batch := source.read()) is not None:
            batches.append(batch)
    assert [i.name for i in source.interfaces] == ["eth7", "a.pcapng#1", "a.pcapng#2"]
    assert [i.linktype for i in source.interfaces] == [1, 1, 113]
    times = np.concatenate([b.time_ns for b in batches]).tolist()
    assert times == [BASE_NS, BASE_NS + 1000 * 10**9, BASE_NS]
    assert np.concatenate([b.interface for b in batches]).tolist() == [0, 1, 2]
    assert batches[0].outgoing is not None
    assert batches[0].outgoing.tolist() == [1, -1]
    assert source.counters.dropped_interface == 9
    assert source.counters.malformed == 0


@pytest.mark.parametrize("make", [made.pcap, made.pcapng])
@pytest.mark.parametrize("packing", ["plain", "gz", "zst"])
def test_truncated_tail_is_told_and_what_came_before_is_given(tmp_path, make, packing):
    data = make(FRAMES)[:-5]
    if packing == "gz":
        data = gzip.compress(data)
    elif packing == "zst":
        data = zstandard.ZstdCompressor().compress(data)
    path = tmp_path / "cut"
    path.write_bytes(data)
    source = open_file(str(path))
    packets, *_ = read_all(source)
    assert packets == len(FRAMES) - 1
    assert source.counters.truncated


def test_truncated_compression_is_told(tmp_path):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(made.pcap(FRAMES))[:-900])
    source = open_file(str(path))
    packets, *_ = read_all(source)
    assert 0 < packets <= len(FRAMES)
    assert source.counters.truncated


@pytest.mark.parametrize("data", [made.pcap([]), made.section(), made.section() + made.interface()])
def test_captures_without_packets_are_fine(tmp_path, data):
    path = tmp_path / "none"
    path.write_bytes(data)
    source = open_file(str(path))
    assert read_all(source)[0] == 0
    assert not source.counters.truncated


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, world, this is a text file\n", "not a capture"),
        (b"\xd4\xc3\xb2\xa1", "file header"),
        (gzip.compress(b"text in gzip, long enough to be looked at", mtime=0), "not a capture"),
        (b"\x1f\x8b\x08broken", "not a capture"),
    ],
)
def test_what_is_no_capture_is_said_in_one_line(tmp_path, content, reason):
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        open_file(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_missing_file_and_folder_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_file(str(tmp_path / "nothing.pcap"))
    with pytest.raises(InputError, match="folder"):
        open_file(str(tmp_path))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_files_raise_only_our_errors(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(["pcap", "pcapng", "gz", "zst"]))
    whole = made.pcapng(FRAMES[:40]) if kind == "pcapng" else made.pcap(FRAMES[:40])
    if kind == "gz":
        whole = gzip.compress(whole)
    elif kind == "zst":
        whole = zstandard.ZstdCompressor().compress(whole)
    mutated = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 12))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(bytes(mutated[: data.draw(st.integers(0, len(mutated)))]))
    lines = []
    try:
        read_all(open_file(str(path)))
    except PanotuiError as error:
        lines = str(error).splitlines()
    assert len(lines) <= 1


def test_pipe_gives_each_packet_when_it_comes(monkeypatch):
    """`tcpdump -w - | panotui analyze -` sees a packet before the next one is sent."""
    from panotui.sources.files.source import FileSource

    reader, writer = os.pipe()
    source = FileSource(reader, "standard input", "stdin", 1 << 18)
    data = made.pcap(FRAMES[:3])
    os.write(writer, data[:10])
    assert source.read(0.0) is None
    os.write(writer, data[10 : 24 + 16 + len(FRAMES[0].data) + 7])
    batch = source.read(1.0)
    assert batch is not None
    assert len(batch) == 1
    assert source.read(0.01) is None
    os.write(writer, data[24 + 16 + len(FRAMES[0].data) + 7 :])
    batch = source.read(1.0)
    assert batch is not None
    assert len(batch) == 2
    assert batch.first_number == 2
    os.close(writer)
    assert source.read(1.0) is None
    assert source.ended
    assert not source.counters.truncated
    source.close()


def test_file_that_shrinks_while_it_is_read_ends_there(tmp_path: Path) -> None:
    frames = [made.Frame(bytes(60_000), BASE_NS + i * 1_000_000) for i in range(600)]
    path = tmp_path / "shrinks.pcap"
    path.write_bytes(made.pcap(frames))
    source = open_file(str(path), batch_packets=10)
    first = source.read(0.0)
    assert first is not None
    os.truncate(path, 20_000_000)
    packets = len(first)
    while not source.ended:
        batch = source.read(0.0)
        packets += 0 if batch is None else len(batch)
    source.close()
    assert 0 < packets < len(frames)
    assert source.counters.truncated


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
@pytest.mark.parametrize("packing", ["plain", "gz"])
def test_file_gives_the_same_packets_while_memory_is_spared_and_after(tmp_path, kind, packing):
    rng = np.random.default_rng(4)
    frames = [
        made.Frame(bytes(int(n)), BASE_NS + i * 1000)
        for i, n in enumerate(rng.integers(0, 60_000, 1_200))
    ]
    data = (made.pcap if kind == "pcap" else made.pcapng)(frames)
    path = tmp_path / "large"
    path.write_bytes(gzip.compress(data, 1) if packing == "gz" else data)
    source, content, sizes = open_file(str(path)), [], []
    while not source.ended:
        batch = source.read(1.0)
        if batch is not None:
            content += batch.captured.tolist()
            sizes.append(len(source._data))
            source.spare(len(content) % 3 > 0)
    source.close()
    assert content == [len(frame.data) for frame in frames]
    assert packing == "gz" or (min(sizes) == 4 << 20 < max(sizes))


@pytest.mark.parametrize("each", [100, 1_200])
def test_large_packets_are_read_through_a_larger_buffer(tmp_path, monkeypatch, each):
    for name, size in (("BUFFER", 1), ("FILE_BUFFER", 1), ("LARGE_BUFFER", 3)):
        monkeypatch.setattr(f"panotui.sources.files.source.{name}", size << 16)
    frames = [made.Frame(bytes(each), BASE_NS + i * 1000) for i in range(1_500_000 // each)]
    path = tmp_path / "packets.pcap"
    path.write_bytes(made.pcap(frames))
    source, sizes, packets = open_file(str(path)), [], 0
    while not source.ended:
        batch = source.read(1.0)
        if batch is not None:
            packets += len(batch)
            sizes.append(len(source._data) >> 16)
    source.close()
    assert packets == len(frames)
    assert (sizes[0], max(sizes)) == (1, 3 if each > 256 else 1)


@pytest.mark.parametrize("packing", ["plain", "gz", "zst"])
def test_large_pipe_passes_through_a_small_buffer(packing):
    from panotui.sources.files.source import FileSource

    rng = np.random.default_rng(4)
    frames = [
        made.Frame(bytes(int(n)), BASE_NS + i * 1000)
        for i, n in enumerate(rng.integers(0, 1500, 12_000))
    ]
    data = made.pcapng(frames)
    if packing == "gz":
        data = gzip.compress(data, 1)
    elif packing == "zst":
        data = zstandard.ZstdCompressor().compress(data)
    reader, writer = os.pipe()

    def feed():
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    source = FileSource(reader, "standard input", "stdin", 1 << 18)
    packets, _, first, last, content = read_all(source)
    feeder.join()
    assert packets == len(frames)
    assert (first, last) == (frames[0].time_ns, frames[-1].time_ns)
    assert [len(c) for c in content] == [len(f.data) for f in frames]
    assert len(source._data) <= 8 << 20


def test_standard_input_is_read_by_dash():
    program = (
        "from panotui.sources import open_file\n"
        "s = open_file('-')\nn = 0\n"
        "while not s.ended:\n    b = s.read(0.5)\n    n += len(b) if b is not None else 0\n"
        "print(n, s.counters.format)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=gzip.compress(made.pcap(FRAMES)),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.split() == [b"300", b"pcap+gzip"]


def test_merge_orders_by_time_and_appends_interfaces(tmp_path):
    paths = []
    for part in range(3):
        path = tmp_path / f"part{part}.pcap"
        path.write_bytes(made.pcap(FRAMES[part::3]))
        paths.append(str(path))
    source = merge([open_file(path, batch_packets=17) for path in paths])
    times, content, names = [], [], set()
    while not source.ended:
        batch = source.read()
        if batch is None:
            continue
        assert batch.first_number == len(times) + 1
        times += batch.time_ns.tolist()
        names |= {batch.interfaces[i].name for i in batch.interface.tolist()}
        for at, length in zip(batch.offset.tolist(), batch.captured.tolist(), strict=True):
            content.append(batch.data[at : at + length].tobytes())
    assert times == [frame.time_ns for frame in FRAMES]
    assert content == [frame.data for frame in FRAMES]
    assert names == {"part0.pcap", "part1.pcap", "part2.pcap"}
    assert source.counters.packets == len(FRAMES)
    source.close()


@pytest.mark.parametrize("damaged", [*range(4, 8), *range(24, 28)])
@pytest.mark.parametrize("value", [1, 4, 77, 255])
def test_a_damaged_first_section_is_passed_over(damaged: int, value: int) -> None:
    """What follows it cannot be told, up to the next section; the end is always reached."""
    section = bytearray(made.pcapng(FRAMES))
    section[damaged] ^= value
    data = np.frombuffer(bytes(section) + made.pcapng(FRAMES[:5]), np.uint8)
    counters = SourceCounters()
    reader = PcapngFormat(data[:12].tobytes(), counters, "x", "x")
    place, ended = 0, False
    for _ in range(100):
        taken = reader.take(data, place, len(data), True, 1000)
        place, ended = taken.next, taken.ended or taken.next >= len(data)
        if ended:
            break
    assert ended
    assert counters.packets == 5
    assert counters.malformed > 0


def test_looking_for_the_next_good_record_ends_at_the_last_whole_head(tmp_path: Path) -> None:
    """Found by bit flips: a guess lay one byte past the last place where a head fits."""
    path = tmp_path / "x.pcap"
    path.write_bytes(
        bytes.fromhex(
            "d4c3b2a10200040000000000000000004000000001000030303030303f420f004000d60000000400"
            "30303030303030303030013008004530303030304000300630303030303030303030303030303030"
            "303030303030fd303030303030303028303030ff30303030"
        )
    )
    source = open_file(str(path))
    while not source.ended:
        source.read(0)
    source.close()
    assert (source.counters.packets, source.counters.malformed) == (0, 1)


def test_a_file_that_cannot_be_read_to_its_end_is_called_truncated(tmp_path: Path) -> None:
    """The last record claims more than any snap length, and no other follows."""
    whole = made.pcap(FRAMES[:5])
    path = tmp_path / "wild.pcap"
    path.write_bytes(whole + struct.pack("<IIII", 1_700_000_001, 0, 524_501, 524_501) + b"x" * 90)
    source = open_file(str(path))
    assert read_all(source)[0] == 5
    assert (source.counters.truncated, source.counters.malformed) == (True, 1)
