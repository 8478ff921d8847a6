"""The streams of every capture against tshark, counted apart (`tests.meter.rtp_oracle`).

What only one of the two can know is named with its reason in `APART`.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from panotui.meter.meter import Meter
from panotui.meter.streams.table import StreamTable
from panotui.model import SECOND, MeterSettings, address_text
from panotui.sources import open_file
from tests.meter import rtp_oracle
from tests.meter.rtp_oracle import STORE, names, plain

STORED: dict[str, dict[str, list[dict[str, float]]]] = json.loads(STORE.read_text())
# (packets here, packets of tshark)
APART = {
    "variants/v-mirror-duplicates.pcapng": (425, 850),  # a mirror's copies are set apart here
    # tshark does not find the next frame behind segments that were not captured
    "variants/v-tcp-captureloss.pcap": (768, 36),
    # nor three that share a segment with RTSP's text; the script that made it sent 1033
    "field/old-frames-before-the-answer.pcap.zst": (1033, 1030),
}
COUNTS = ("expected", "lost", "lost_unique", "duplicates", "gap_events", "longest_gap", "markers")
TIMES = ("jitter_ms", "jitter_mean_ms", "jitter_max_ms", "frame_jitter_max_ms", "delta_max_ms")


def rows_of(path: Path) -> dict[str, list[np.void]]:
    """The last row of each stream by `source:port > destination:port`."""
    source = open_file(str(path))
    meter = Meter(MeterSettings(), 0, streams=StreamTable(MeterSettings()))
    found: dict[int, np.void] = {}

    def tick(now_ns: int) -> None:
        found.update({int(row["id"]): row.copy() for row in meter.tick(now_ns).streams})

    second, last = -1, 0
    while not source.ended:
        packets = source.read(0)
        if packets is None:
            continue
        seconds = packets.time_ns // SECOND
        edges = [0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist(), len(packets)]
        for start, stop in itertools.pairwise(edges):
            if second >= 0 and int(seconds[start]) > second:
                tick((second + 1) * SECOND)
            second = max(second, int(seconds[start]))
            meter.update(packets.slice(start, stop))
            last = max(last, int(packets.time_ns[stop - 1]))
    source.close()
    tick(last)
    out: dict[str, list[np.void]] = defaultdict(list)
    for row in found.values():
        src = address_text(row["version"], row["src"])
        dst = address_text(row["version"], row["dst"])
        out[f"{src}:{row['sport']} > {dst}:{row['dport']}"].append(row)
    return out


def own(row: np.void, rows: list[np.void], known: list[dict[str, float]]) -> dict[str, float]:
    """What tshark says of the packets of a row: one type of one SSRC, or of all of them."""
    typed = [k for k in known if k["type"] == row["payload_type"]]
    if len({int(r["ssrc"]) for r in rows}) == 1 and row["ssrc_changes"]:
        typed = [k for k in typed if k["ssrc"] == -1]
    else:
        typed = [k for k in typed if k["ssrc"] == row["ssrc"]]
    assert len(typed) == 1, (row["ssrc"], row["payload_type"], known)
    return typed[0]


def differences(name: str, folder: Path) -> list[str]:
    got = rows_of(plain(name, folder))
    out = []
    for way, known in STORED[name].items():
        rows = got.get(way, [])
        packets = sum(k["packets"] for k in known if k["ssrc"] != -1)
        mine = sum(int(row["packets"]) + int(row["foreign"]) for row in rows)
        if (mine, packets) == APART.get(name):
            continue
        if mine != packets:
            out.append(f"{way}: {mine} packets, tshark has {packets}")
            continue
        for row in rows:
            said = own(row, rows, known)
            out += [
                f"{way} {row['ssrc']:08x}: {key} is {row[key]}, tshark has {said[key]}"
                for key in ("packets", *COUNTS)
                if int(row[key]) != said[key]
            ]
            if row["clock_rate"] == rtp_oracle.CLOCKS.get(int(row["payload_type"]), 90_000):
                out += [
                    f"{way} {row['ssrc']:08x}: {key} is {row[key]}, tshark has {said[key]}"
                    for key in TIMES
                    if row[key] != pytest.approx(said[key], rel=0.01, abs=0.002)
                ]
    return out


@pytest.mark.oracle
@pytest.mark.parametrize("name", STORED)
def test_streams_of_a_capture_are_those_that_tshark_sees(name: str, tmp_path: Path) -> None:
    assert differences(name, tmp_path) == []


def test_each_capture_with_rtp_is_compared() -> None:
    assert len(STORED) >= 84
    assert set(STORED) <= set(names())
