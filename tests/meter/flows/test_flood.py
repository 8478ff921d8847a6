"""A million flows offered: the table stays bounded, conversations keep their counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from panotui.meter.meter import Meter
from panotui.model import FLOW_ENDS, Interface, MeterSettings, PacketBatch

START_NS = 1_760_000_000_000_000_000
ROOT = Path(__file__).parents[3]


def frames(
    src: np.ndarray, sport: np.ndarray, dst: np.ndarray, dport: np.ndarray, *, tcp: bool,
    flags: int = 2, identification: np.ndarray | int = 0,
) -> np.ndarray:  # fmt: skip
    """(n, 60) Ethernet frames with an IPv4 TCP or UDP header each."""
    n = len(src)
    out = np.zeros((n, 60), np.uint8)
    out[:, 0:12] = (2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
    out[:, 12:14] = (8, 0)
    out[:, 14] = 0x45
    out[:, 17] = 46 if not tcp else 40
    out[:, 22], out[:, 23] = 64, 6 if tcp else 17
    out[:, 18], out[:, 19] = np.asarray(identification) >> 8 & 255, np.asarray(identification) & 255
    for at, value in ((26, src), (30, dst)):
        for i in range(4):
            out[:, at + i] = value >> (24 - 8 * i) & 255
    for at, value in ((34, sport), (36, dport)):
        out[:, at], out[:, at + 1] = value >> 8, value & 255
    if tcp:
        out[:, 46], out[:, 47], out[:, 48] = 0x50, flags, 255
    else:
        out[:, 39] = 26
    return out


def batch(data: np.ndarray, time_ns: np.ndarray, first_number: int = 1) -> PacketBatch:
    n, size = data.shape
    column = np.full(n, size, np.int64)
    return PacketBatch(
        data.reshape(-1), np.arange(n, dtype=np.int64) * size, column, column,
        time_ns.astype(np.int64), np.zeros(n, np.int16), [Interface("x", 1)], first_number,
    )  # fmt: skip


def flood(meter: Meter, flows: int, *, tcp: bool, step: int = 50_000) -> tuple[int, int, int]:
    """Offer one-packet flows among 50 conversations; packets of these seen and sent, rows told."""
    random = np.random.default_rng(7)
    seen = sent = told = 0
    ids: dict[int, int] = {}
    for start in range(0, flows, step):
        n = min(step, flows - start)
        number = np.arange(start, start + n)
        attack = frames(
            0xC6336400 + (number >> 16), number & 0xFFFF, np.full(n, 0x0A000001),
            np.full(n, 80), tcp=tcp,
        )  # fmt: skip
        m = 50 * 40
        who = np.tile(np.arange(50), 40)
        back = np.repeat(np.arange(40), 50) % 2 == 1
        near, far = 0x0A010000 + who, np.full(m, 0xC0A80001)
        sport, dport = 40_000 + who, np.full(m, 9000)
        good = frames(
            np.where(back, far, near), np.where(back, dport, sport), np.where(back, near, far),
            np.where(back, sport, dport), tcp=False, identification=start + np.arange(m),
        )  # fmt: skip
        sent += m
        data = np.concatenate([attack, good])[random.permutation(n + m)]
        second = START_NS + start // step * 1_000_000_000
        times = second + np.arange(n + m) * (900_000_000 // (n + m))
        meter.update(batch(data, times, 1 + start))
        delta = meter.tick(second + 999_999_999)
        told += len(delta.flows)
        for row in delta.flows[delta.flows["dport"] == 9000].whole():
            ids[int(row["id"])] = int(row["packets_out"] + row["packets_in"])
            assert FLOW_ENDS[row["end"]] == ""
    seen = sum(ids.values())
    assert len(ids) == 50
    return seen, sent, told


def test_conversations_keep_their_counts_during_a_syn_flood_of_a_million_flows() -> None:
    meter = Meter(MeterSettings(flows_max=8192), 0)
    seen, sent, _ = flood(meter, 1_000_000, tcp=True)
    assert seen == sent
    assert len(meter.flows) <= 8192
    counters = meter.tick(START_NS + 30 * 10**9).counters
    assert counters.flows_evicted >= 1_000_000 - 8192
    assert counters.packets == 1_000_000 + sent


def test_conversations_keep_their_counts_during_a_udp_spray() -> None:
    meter = Meter(MeterSettings(flows_max=4096), 0)
    seen, sent, _ = flood(meter, 200_000, tcp=False)
    assert seen == sent
    assert len(meter.flows) <= 4096


def test_every_flow_that_was_told_of_gets_its_last_row() -> None:
    meter = Meter(MeterSettings(flows_max=1024), 0)
    live: set[int] = set()
    for part in range(5):
        number = np.arange(part * 3000, (part + 1) * 3000)
        n = len(number)
        data = frames(
            0xC6336400 + number, np.full(n, 5), np.full(n, 1), np.full(n, 80), tcp=True
        )  # fmt: skip
        meter.update(batch(data, START_NS + part * 10**9 + np.arange(n) * 1000))
        for row in meter.tick(START_NS + part * 10**9 + 999_999_999).flows.whole():
            if row["end"]:
                live.discard(int(row["id"]))
            else:
                live.add(int(row["id"]))
        # all that were told of and did not end are still in the table
        table = meter.flows.state
        assert live == set(table.id[table.live[table.reported[table.live]]].tolist())
        assert live


def test_batches_come_in_pieces_while_new_flows_flood_in() -> None:
    meter = Meter(MeterSettings(), 0)
    number = np.arange(100_000)
    n = len(number)
    new = frames(0xC6336400 + number, np.full(n, 5), np.full(n, 1), np.full(n, 80), tcp=True)
    attack = batch(new, START_NS + number * 1000, 7)
    known = batch(np.repeat(new[-1:], n, axis=0), START_NS + 10**9 + number * 1000)
    assert [len(piece) for piece in meter.pieces(attack)] == [n]
    meter.update(attack)
    pieces = list(meter.pieces(attack))
    assert max(len(piece) for piece in pieces) < 40_000
    assert [piece.first_number for piece in pieces] == [7 + p for p in range(0, n, len(pieces[0]))]
    assert (np.concatenate([piece.time_ns for piece in pieces]) == attack.time_ns).all()
    meter.update(known)  # it is over
    assert [len(piece) for piece in meter.pieces(known)] == [n]


def test_flow_in_a_used_slot_begins_as_blank_as_in_a_new_one() -> None:
    one = np.ones(1, np.int64)
    packet = batch(frames(one, one, 2 * one, 80 * one, tcp=True, flags=16), START_NS + one)
    fresh, used = (Meter(MeterSettings(flows_max=16), 0) for _ in range(2))
    for name, column in vars(used.flows).items():
        if isinstance(column, np.ndarray) and name not in ("id", "_free", "changed"):
            column[...] = 1  # what an ended flow may have left
    rows = []
    for meter in (fresh, used):
        meter.update(packet)
        rows.append(meter.tick(START_NS + 10**9).flows)
        slot = int(meter.flows.state.live[0])
        assert meter.flows.state.rtt_ns[slot].tolist() == [0, 0]
    assert rows[0].tobytes() == rows[1].tobytes()


MEMORY = """
import sys
sys.path.insert(0, {root!r})
from tests.meter.flows.test_flood import flood
from panotui.meter.meter import Meter
from panotui.model import MeterSettings
meter = Meter(MeterSettings(), 0)
flood(meter, 1_000_000, tcp=True)
# VmHWM, for ru_maxrss also counts the process that started this one
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:", 1)[1].split()[0]) // 1024)
"""


def test_a_million_flows_fit_in_memory() -> None:
    """With the default table of 65,536 flows; interpreter and numpy included."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY.format(root=str(ROOT))],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert int(run.stdout) <= 250


def scanned(meter: Meter, count: int) -> None:
    number = np.arange(count)
    data = frames(
        0xC6336400 + number, np.full(count, 4000), np.full(count, 0x0A000001),
        np.full(count, 80), tcp=True,
    )  # fmt: skip
    meter.update(batch(data, START_NS + number * 1_000))


def test_many_new_flows_are_told_of_bit_by_bit_and_each_once() -> None:
    meter = Meter(MeterSettings(flows_max=1024), 0)
    scanned(meter, 200)
    told = [meter.tick(START_NS + second * 10**9).flows["id"].tolist() for second in range(1, 5)]
    assert [len(ids) for ids in told] == [64, 64, 64, 8]
    assert sorted(number for ids in told for number in ids) == list(range(1, 201))


def test_all_are_told_of_at_the_end_of_the_input() -> None:
    meter = Meter(MeterSettings(flows_max=1024), 0)
    scanned(meter, 200)
    assert len(meter.tick(START_NS + 10**9).flows) == 64
    meter.finish()
    assert len(meter.tick(START_NS + 2 * 10**9).flows) == 136


def test_what_a_flood_left_ends_bit_by_bit_and_the_oldest_first() -> None:
    meter = Meter(MeterSettings(flows_max=1024), 0)
    scanned(meter, 300)
    late = START_NS + 200 * 10**9
    ended: list[int] = []
    for second in range(4):
        flows = meter.tick(late + second * 10**9).flows
        over = flows["id"][flows["end"] != 0].tolist()
        assert len(over) == (128, 128, 44, 0)[second]
        assert not ended or min(over, default=301) > max(ended)
        ended += over
    assert ended == sorted(ended) == list(range(1, 301))
