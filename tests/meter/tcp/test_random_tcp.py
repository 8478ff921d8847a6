"""TCP at random against tshark, a direction at a time, and against itself in any cut.

What real captures hold little of, and seldom together: closed windows with probes, keep-alives,
retransmissions cut anew, ports used again, refusals, one-way mirrors, numbers that go round.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from panotui.model import Delta, Rows, address_text
from tests.meter.flows.test_against_tshark import COUNTS, meter
from tests.meter.random_tcp import conversations, pcap
from tests.meter.tshark_facts import ANALYSIS, Way, available, five_tuple, packets, round_trips

MEASURED = ("packets", "bytes", *COUNTS)


@pytest.fixture(
    params=[(1, False), (58, False), (61, False), (4, True)], ids=lambda p: f"seed{p[0]}"
)
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    seed, six = request.param
    path = tmp_path / "random.pcap"
    path.write_bytes(pcap(conversations(seed, 60, 30, six)))
    return path


def ours(delta: Delta) -> dict[Way, Counter[str]]:
    """What was measured of each direction; connections that used the same ports are added."""
    out: dict[Way, Counter[str]] = defaultdict(Counter)
    for row in delta.flows.whole():
        out_way = way_of(row)
        for side, way in (("out", out_way), ("in", back(out_way))):
            if row[f"packets_{side}"]:
                out[way].update({name: int(row[f"{name}_{side}"]) for name in MEASURED})
    return out


def tsharks(path: Path) -> tuple[dict[Way, Counter[str]], set[tuple[Way, int]], set[Way]]:
    """The same of tshark; its round trips of handshakes (microseconds); and the ways in which it
    saw data acknowledged that was not captured."""
    out: dict[Way, Counter[str]] = defaultdict(Counter)
    trips, unseen = set(), set()
    for p in packets(path):
        key = five_tuple(p)
        assert key is not None
        way = (key[1], key[3], key[2], key[4])
        told = {name: bool(p[f"tcp.analysis.{flag}"]) for flag, name in ANALYSIS.items()}
        out[way].update({"packets": 1, "bytes": int(p["frame.len"])})
        out[way].update({name: int(told[name]) for name in COUNTS})
        if told["acked_unseen"]:
            unseen |= {way, back(way)}
        if p["tcp.analysis.initial_rtt"]:
            micro = round(float(p["tcp.analysis.initial_rtt"]) * 1e6)
            trips |= {(way, micro), (back(way), micro)}
    return out, trips, unseen


def back(way: Way) -> Way:
    return (*way[2:], *way[:2])


def handshakes(delta: Delta) -> set[tuple[Way, int]]:
    """Our round trips of handshakes, in both ways."""
    out = set()
    flows = delta.flows.whole()
    for row in flows[flows["handshake_rtt_us"] > 0]:
        way, micro = way_of(row), int(row["handshake_rtt_us"])
        out |= {(way, micro), (back(way), micro)}
    return out


@pytest.mark.oracle
@pytest.mark.skipif(not available(), reason="tshark is not installed")
def test_each_direction_is_judged_as_tshark_judges_it(capture: Path) -> None:
    """With two exceptions, in which what repeats data is told apart in another way.

    The round trip of the handshake decides whether it is late or sent again. tshark ends it with
    the next packet that acknowledges anything, be it a refusal or the server's; we with the
    client's. And where unseen data was acknowledged, tshark 4.0 sets the count of duplicate
    acknowledgements to -1, which without a sign is enough of them for a fast retransmission.
    """
    told, trips, unseen = tsharks(capture)
    delta = meter(capture)
    measured = ours(delta)
    assert set(measured) == set(told)
    other_trips = {way for way, _ in trips ^ handshakes(delta)}
    assert len(other_trips) < len(told) / 4
    for way, counts in told.items():
        mine = measured[way]
        for each in (mine, counts):
            if way in unseen or way in other_trips:
                each["again"] = each.pop("retransmits", 0) + each.pop("out_of_order", 0)
                each.pop("fast_retransmits", 0)
        assert +mine == +counts, way


@pytest.mark.oracle
@pytest.mark.skipif(not available(), reason="tshark is not installed")
def test_round_trips_are_those_of_tshark(capture: Path) -> None:
    """Of segments as `tshark_facts.round_trips` says; not where data that was not captured was
    acknowledged, after which tshark times nothing of what came before, nor of reused ports."""
    trips = round_trips(packets(capture))
    _, _, unseen = tsharks(capture)
    flows = meter(capture).flows.whole()
    told: dict[Way, list[int]] = defaultdict(list)
    for row in flows:
        told[way_of(row)].append(int(row["rtt_us"]))
    alone = {way: us[0] for way, us in told.items() if len(us) == 1 and back(way) not in told}
    timed = 0
    for way, micro in alone.items():
        halves = [trips[side] for side in (way, back(way)) if trips[side]]
        want = sum(map(min, halves)) if halves else -1
        timed += bool(halves) and way not in unseen
        assert way in unseen or micro == want, way
    assert timed >= 5


def way_of(row: np.void) -> Way:
    a, b = (
        (address_text(row["version"], row[end].tobytes()), int(row[port]))
        for end, port in (("src", "sport"), ("dst", "dport"))
    )
    return (*a, *b)


@pytest.mark.parametrize("rows", [1, 7, 100, 1000])
def test_measures_do_not_depend_on_the_cut(capture: Path, rows: int) -> None:
    whole, cut = by_arrival(meter(capture)), by_arrival(meter(capture, rows=rows))
    assert len(whole) == len(cut)
    for field in whole.dtype.names or ():
        assert (whole[field] == cut[field]).all(), field


def by_arrival(delta: Delta) -> Rows:
    rows: Rows = np.sort(delta.flows.whole(), order="first_packet")
    return rows


def copied(frame: bytes, how: str, six: bool = False) -> bytes:
    """A frame as another place on its way shows it."""
    out = bytearray(frame)
    if "hop" in how:
        out[:12] = bytes.fromhex("0200000000aa0200000000bb")
        out[21 if six else 22] -= 1  # the time to live
    if "class" in how:
        out[14] |= 0xB if six else 0
        out[15] |= 0x80 if six else 0xB8  # expedited forwarding
    if "tag" in how:
        out[12:12] = b"\x81\0\0\x14"
    return bytes(out)


@pytest.mark.parametrize("rows", [7, 1 << 18])
@pytest.mark.parametrize(
    ("how", "six"),
    [("same", False), ("hop", False), ("hop, tag", False), ("hop, class", False),
     ("hop, class, tag", True)],
)  # fmt: skip
def test_copies_of_some_packets_change_no_measure(
    how: str, six: bool, rows: int, tmp_path: Path
) -> None:
    frames = conversations(7, 60, 30, six)
    draw = random.Random(7)
    copies = [(at + 120, copied(f, how, six)) for at, f in frames if draw.random() < 0.4]
    once, twice = tmp_path / "once.pcap", tmp_path / "twice.pcap"
    once.write_bytes(pcap(frames))
    twice.write_bytes(pcap(sorted(frames + copies, key=lambda frame: frame[0])))
    delta = meter(twice, rows=rows)
    assert delta.counters.mirror_duplicates == len(copies)
    plain, doubled = by_arrival(meter(once)), by_arrival(delta)
    for name in (*MEASURED, "payload", "unseen"):
        for side in ("out", "in"):
            assert (plain[f"{name}_{side}"] == doubled[f"{name}_{side}"]).all(), name
    assert (plain["history"] == doubled["history"]).all()
