"""Frames at random, of all links in one capture: counted as they were made, and as tshark does."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from panotui.meter.meter import Meter
from panotui.model import SECOND, PacketBatch
from panotui.sources import open_file
from tests.meter.flows.test_against_tshark import FOREVER, meter
from tests.meter.random_frames import LINKS, TCP, UDP, Frames, Key, Made
from tests.meter.tshark_facts import available, five_tuple, packets
from tests.sources import made

# what an interface says of its clock, and its units a second
CLOCKS = ((b"", 10**6), (made.option(9, b"\x09"), 10**9), (made.option(9, b"\x94"), 1 << 20),
          (made.option(9, b"\x03"), 1000))  # fmt: skip


def some(seed: int) -> list[tuple[Made, int]]:
    """1200 frames or more and their times, which go back now and then."""
    draw, frames = random.Random(seed), Frames(seed)
    out: list[tuple[Made, int]] = []
    now = 1_760_000_000 * SECOND
    while len(out) < 1200:
        for one in frames.datagram(draw.choice(LINKS)):
            now += draw.choice((0, 125_000_000, 250_000_000, -125_000_000))
            out.append((one, now))
    return out


def capture(frames: Sequence[tuple[Made, int]], order: str, snaps: Sequence[int] = ()) -> bytes:
    """A section with one interface a link, each with a clock of its own."""
    clocks = {link: CLOCKS[i % len(CLOCKS)] for i, link in enumerate(LINKS)}
    data = [made.section(order)]
    for link, (option, _) in clocks.items():
        swapped = option if order == "<" else option[:4:-1] and flipped(option)
        data.append(made.interface(order, swapped, link))
    for i, (one, at) in enumerate(frames):
        kept = one.frame[: snaps[i]] if snaps else one.frame
        data.append(
            made.enhanced(
                made.Frame(kept, at, len(one.frame)), order, LINKS.index(one.link),
                clocks[one.link][1],
            )
        )  # fmt: skip
    return b"".join(data)


def flipped(option: bytes) -> bytes:
    """An option of one byte in the other byte order."""
    return made.option(int.from_bytes(option[:2], "little"), option[4:5], ">")


def told(path: Path) -> Iterator[tuple[Key, bool]]:
    """Frame by frame, the five-tuple of the flow that it was counted in; is it malformed?"""
    process, source = Meter(FOREVER, 0), open_file(str(path))
    while not source.ended:
        batch = source.read(0)
        if batch is None:
            continue
        process.update(batch)
        yield from of_batch(process, batch)


def of_batch(process: Meter, batch: PacketBatch) -> Iterator[tuple[Key, bool]]:
    flows, columns = process.flows.state, process.last_columns
    assert columns is not None
    slot_of = {int(flows.id[slot]): slot for slot in flows.live.tolist()}
    for row in range(len(batch)):
        slot = slot_of.get(int(process.last_flow_id[row]))
        if slot is None:
            yield (-1, b"", b"", 0, 0), bool(columns.malformed[row])
            continue
        half = 0 if columns.forward[row] else 1
        size = 4 if flows.version[slot] == 4 else 16
        ends = [flows.address[slot, side, :size].tobytes() for side in (half, 1 - half)]
        ports = (int(flows.port[slot, half]), int(flows.port[slot, 1 - half]))
        yield (int(flows.protocol[slot]), *ends, *ports), bool(columns.malformed[row])


@pytest.mark.parametrize(("seed", "order"), [(1, "<"), (2, ">")])
def test_every_frame_is_counted_in_its_own_flow(seed: int, order: str, tmp_path: Path) -> None:
    frames = some(seed)
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture(frames, order))
    waiting = ((-1, b"", b"", 0, 0), False)  # a fragment that comes before its first one
    for (one, _), got in zip(frames, told(path), strict=True):
        assert got == (one.key, False) or (one.fragment and got == waiting)


@pytest.mark.parametrize("rows", [1, 7, 1 << 18])
def test_directions_are_counted_whatever_the_cut(rows: int, tmp_path: Path) -> None:
    frames = some(6)
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture(frames, "<"))
    want: dict[Key, list[int]] = {}
    for one, at in frames:
        direction = want.setdefault(one.key, [0, 0, at])
        direction[0] += 1
        direction[1] += len(one.frame)
        direction[2] = max(direction[2], at)
    got = {}
    for row in meter(path, rows=rows).flows.whole():
        size = 4 if row["version"] == 4 else 16
        a, b = (row[end].tobytes()[:size] for end in ("src", "dst"))
        sport, dport = int(row["sport"]), int(row["dport"])
        for side, ends in (("out", (a, b, sport, dport)), ("in", (b, a, dport, sport))):
            names = (f"packets_{side}", f"bytes_{side}", f"last_{side}_ns")
            got[(int(row["protocol"]), *ends)] = [int(row[name]) for name in names]
    assert {key: counts for key, counts in got.items() if counts[0]} == want


@pytest.mark.parametrize("seed", [3, 4])
def test_frames_cut_anywhere_keep_what_was_captured_and_are_not_malformed(
    seed: int, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    frames = [(one, at) for one, at in some(seed) if not one.fragment]
    snaps = [draw.randrange(1, 150) for _ in frames]
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture(frames, "<", snaps))
    for (one, _), snap, (key, malformed) in zip(frames, snaps, told(path), strict=True):
        assert not malformed
        header = 20 if len(one.key[1]) == 4 else 40
        if snap < min(one.network_at + header, len(one.frame)):
            assert key[0] == -1
        elif snap < one.ports_at + 4:
            assert key[1:] == (*one.key[1:3], 0, 0)
        else:
            assert key == one.key


@pytest.mark.oracle
@pytest.mark.skipif(not available(), reason="tshark is not installed")
def test_frames_are_what_tshark_takes_them_for(tmp_path: Path) -> None:
    frames = [(one, at) for one, at in some(5) if not one.fragment]
    path = tmp_path / "x.pcapng"
    path.write_bytes(capture(frames, "<"))
    for (one, at), p, (key, _) in zip(frames, packets(path), told(path), strict=True):
        theirs = five_tuple(p)
        assert theirs is not None
        transport, src, dst, sport, dport = theirs
        ends = [ipaddress.ip_address(end).packed for end in (src, dst)]
        assert key == ({"tcp": TCP, "udp": UDP}[transport], *ends, sport, dport)
        assert int(p["frame.len"]) == len(one.frame)
        assert int(p["frame.time_epoch"].replace(".", "")) == at
