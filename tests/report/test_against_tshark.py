"""Whole analyses against tshark: what the JSON says of packets, bytes, times, flows and TCP.

The meter alone is compared in `tests/meter`; here a capture goes through the way that the program
takes, with its own time-outs, and the JSON is compared with tshark's conversation tables (tshark
4.0 with `-z conv,tcp` and `-z conv,udp`). Flows of one five-tuple (split
by idleness or reuse) are added. Whatever gets lost between the meter and the JSON shows here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from panotui.commands.input import analysed
from panotui.model import MeterSettings, Site
from panotui.report.analysis import analysis, dumps, schema
from tests.captures import capture, captures, tshark_says
from tests.meter.flows.test_against_tshark import (
    FRAGMENTS,
    NO_TIME,
    OTHER_FLOWS,
    OTHER_PACKETS,
    REAL_COPIES,
    meter,
)

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

# names in the JSON -> columns of the meter
COUNTS = {
    "retransmits": "retransmits",
    "fast_retransmits": "fast_retransmits",
    "out_of_order": "out_of_order",
    "dup_acks": "dup_acks",
    "zero_window": "zero_window",
    "window_full": "window_full",
    "keep_alive": "keep_alive",
    "unseen_bytes": "unseen",
    "resets": "rst",
}
Pair = tuple[str, tuple[str, int], tuple[str, int]]


@dataclass
class Conversation:
    """One row of tshark's table; `exact` when bytes were printed without rounding."""

    packets: list[int]  # of the lower end, of the higher end
    size: list[int]
    exact: list[bool]
    first_us: int = 0
    last_us: int = 0


_ROW = re.compile(
    r"^(\S+):(\d+)\s+<->\s+(\S+):(\d+)\s+(\d+)\s+(\d+) (\w+)\s+(\d+)\s+(\d+) (\w+)"
    r"\s+\d+\s+\d+ \w+\s+([\d.]+)\s+([\d.]+)\s*$"
)


def conversations(lines: list[str]) -> dict[Pair, Conversation]:
    """The TCP and UDP tables of tshark."""
    out: dict[Pair, Conversation] = {}
    kind = ""
    for line in lines:
        if line.endswith("Conversations"):
            kind = line.split()[0].lower()
        row = _ROW.match(line)
        if row is None or kind not in ("tcp", "udp"):
            continue
        a, b = (row[1], int(row[2])), (row[3], int(row[4]))
        # the left columns are "<-": what b sent
        told = {b: (int(row[5]), row[6], row[7]), a: (int(row[8]), row[9], row[10])}
        low, high = sorted((a, b))
        entry = out.setdefault((kind, low, high), Conversation([0, 0], [0, 0], [True, True]))
        for side, end in enumerate((low, high) if a != b else (a,)):
            packets, size, unit = told[end]
            entry.packets[side] += packets
            entry.size[side] += int(size)
            entry.exact[side] &= unit == "bytes"
        # tshark may give one five-tuple several rows
        start, last = float(row[11]) * 1e6, (float(row[11]) + float(row[12])) * 1e6
        entry.first_us = round(min(entry.first_us, start)) if entry.last_us else round(start)
        entry.last_us = max(entry.last_us, round(last) or 1)
    return out


@lru_cache(maxsize=2)
def answer(path: Path) -> dict[str, Any]:
    """The JSON of one capture, as the program makes it."""
    whole: dict[str, Any] = analysis(analysed([str(path)], Site()))
    return whole


def pairs(whole: dict[str, Any]) -> dict[Pair, Conversation]:
    out: dict[Pair, Conversation] = {}
    for flow in whole["flows"]:
        if flow["transport"] not in ("tcp", "udp"):
            continue
        if flow["sport"] == 0 and flow["dport"] == 0:
            continue
        a, b = (flow["src"], flow["sport"]), (flow["dst"], flow["dport"])
        low, high = sorted((a, b))
        pair = (flow["transport"], low, high)
        first, last = (microseconds(flow[name]) for name in ("first_time", "last_time"))
        new = Conversation([0, 0], [0, 0], [True, True], first, last)
        entry = out.setdefault(pair, new)
        entry.first_us, entry.last_us = min(entry.first_us, first), max(entry.last_us, last)
        for end, way in ((a, "out"), (b, "in")):
            side = 0 if end == low else 1
            entry.packets[side] += flow[f"packets_{way}"]
            entry.size[side] += flow[f"bytes_{way}"]
    return out


def microseconds(text: str) -> int:
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


OTHER_PAIRS = {
    "damaged.pcap": "a frame that became UDP-Lite, which tshark lists with UDP",
    "gtp-tunnel.pcap": "tshark lists what it saw inside the tunnel; ours are outer",
    "tcpdump__heapoverflow-tcp_print.pcap": "cut TCP header: tshark shows no conversation",
}


def check_tcp(path: Path, whole: dict[str, Any]) -> None:
    """TCP counts reach the JSON as the meter made them, which `tests/meter` compares."""
    rows = meter(path, MeterSettings()).flows
    for name, column in COUNTS.items():
        told = [flow[name] for flow in whole["flows"] if flow["transport"] == "tcp"]
        assert sum(told) == int(rows[f"{column}_out"].sum() + rows[f"{column}_in"].sum()), name
        assert all(flow[name] is None for flow in whole["flows"] if flow["transport"] != "tcp")


@pytest.mark.parametrize("capture_name", captures())
def test_json_of_a_capture_says_what_tshark_says(capture_name: str) -> None:
    path = capture(capture_name)
    whole = answer(path)
    check_tcp(path, whole)
    jsonschema.Draft202012Validator(schema()).validate(whole)
    assert json.loads(dumps(whole)) == whole
    name = path.name
    source, limits = whole["source"], whole["limits"]
    assert sum(i["packets"] for i in source["interfaces"]) == source["packets"]
    assert sum(i["bytes"] for i in source["interfaces"]) == source["bytes"]
    assert limits["flows_evicted"] == 0
    assert (limits["mirror_duplicates"] > 0) == (name in REAL_COPIES)
    want = tshark_says(capture_name)
    if name not in OTHER_PACKETS:
        assert (source["packets"], source["bytes"]) == (want["packets"], want["bytes"])
        if want["first"] is not None and name not in NO_TIME:
            # the stored times are floating-point seconds
            assert abs(microseconds(source["first_time"]) - want["first"] * 1e6) <= 2
            assert abs(microseconds(source["last_time"]) - want["last"] * 1e6) <= 2
    if name in OTHER_FLOWS or name in FRAGMENTS or name in REAL_COPIES or name in OTHER_PAIRS:
        return
    got, told = pairs(whole), conversations(want["conversations"])
    assert set(got) == set(told)
    for pair, entry in told.items():
        mine = got[pair]
        assert mine.packets == entry.packets, pair
        for side in (0, 1):
            if entry.exact[side]:
                assert mine.size[side] == entry.size[side], pair
        # tshark takes the last packet to arrive for the last
        if name not in NO_TIME and not want["time_steps_back"]:
            # four decimals are printed
            assert abs((mine.last_us - mine.first_us) - (entry.last_us - entry.first_us)) <= 102, (
                pair
            )


def test_a_capture_without_a_clock_still_has_flows() -> None:
    """Some devices start counting at zero, in 1970."""
    path = capture("open/ng__output_be_basic_test001.pcapng")
    assert [flow["app"] for flow in answer(path)["flows"]] == ["dhcp", "dhcp"]
