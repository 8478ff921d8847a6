"""The engine's flow table: found again, bounded, ordered; two halves of two meters are one flow."""

from __future__ import annotations

import communityid
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import FLOW_DTYPE, FLOW_ENDS, SECOND, Rows
from panotui.state.flows.book import (
    ALLOWED,
    PENDING,
    RETIRED_FROM,
    VIOLATION,
    FlowBook,
    flow_key,
    flow_key_of,
    flow_text_id,
)
from panotui.state.flows.community_id import community_ids
from panotui.wire.protocols import TCP, UDP
from tests.made_up import START, Scene, answered, flow, packed, rows

CLOSED = FLOW_ENDS.index("closed")


def many(first: int, count: int, at_s: float = 0.0, end: int = 0) -> Rows:
    table = np.zeros(count, FLOW_DTYPE)
    table["id"] = np.arange(first, first + count)
    table["version"], table["protocol"] = 4, 6
    table["src"][:] = packed("10.0.0.1")
    table["dst"][:] = packed("10.0.0.2")
    table["first_ns"] = table["last_ns"] = START + int(at_s * SECOND)
    table["packets_out"], table["end"] = 1, end
    return table


@given(st.lists(st.lists(st.integers(1, 300), unique=True, max_size=40), max_size=12))
@settings(max_examples=60, deadline=None)
def test_table_agrees_with_a_dictionary(batches: list[list[int]]) -> None:
    book = FlowBook(4096)
    known: dict[int, int] = {}
    for number, ids in enumerate(batches):
        table = many(1, len(ids))
        table["id"] = ids
        table["bytes_out"] = number + 1
        slots, is_new = book.update(0, table, START + number * SECOND)
        assert is_new.tolist() == [i not in known for i in ids]
        assert (slots >= 0).all()
        known.update(dict.fromkeys(ids, number + 1))
    for key, size in known.items():
        assert int(book.rows["bytes_out"][book.slot(flow_key(0, key))]) == size
    assert len(book) == len(known)


def test_ids_of_two_meters_are_two_flows() -> None:
    assert flow_key_of(flow_text_id(flow_key(3, 77))) == flow_key(3, 77)
    assert flow_key_of("x-1") is None
    assert flow_key_of("1") is None
    book = FlowBook(128)
    book.update(0, many(1, 2), START)
    book.update(1, many(1, 2), START)
    assert len(book) == 4


def test_full_table_forgets_ended_flows_first_and_keeps_violations() -> None:
    book = FlowBook(256)
    book.update(0, many(1, 100, at_s=0, end=1), START)
    book.update(0, many(201, 100, at_s=0), START)
    book.verdict[book.slot(flow_key(0, 1))] = VIOLATION
    book.update(0, many(401, 100, at_s=5), START + 5 * SECOND)
    assert len(book) <= 256
    assert book.evicted > 0
    assert book.slot(flow_key(0, 1)) >= 0
    assert all(book.slot(flow_key(0, n)) >= 0 for n in range(201, 301))


def test_flood_larger_than_the_table_is_bounded_and_counted() -> None:
    book = FlowBook(1000)
    slots, _ = book.update(0, many(1, 100_000), START)
    assert len(book) == 500
    assert book.evicted == 99_500
    assert int((slots < 0).sum()) == 99_500


def test_rates_are_of_the_last_second_and_fade() -> None:
    book = FlowBook(128)
    for second in (1, 2):
        row = flow(1, "10.0.0.1", "10.0.0.2", 80, bytes_out=1000 * second)
        book.update(0, row, START + second * SECOND)
    assert book.record(book.slot(flow_key(0, 1)), START + 2 * SECOND).rate_out_bps == 8000
    assert book.record(book.slot(flow_key(0, 1)), START + 9 * SECOND).rate_out_bps == 0


def test_two_halves_of_a_flow_are_one() -> None:
    book = FlowBook(128)
    out = flow(1, "10.0.0.1", "10.0.0.2", 443, packets_out=7, bytes_out=700, state="one-way")
    back = flow(1, "10.0.0.1", "10.0.0.2", 443, packets_out=0, bytes_out=0, syn_out=0,
                packets_in=9, bytes_in=900, state="one-way", client_by=0)  # fmt: skip
    book.update(0, out, START + SECOND)
    book.update(1, back, START + SECOND)
    (slot,) = book.shown().tolist()
    record = book.record(slot, START + SECOND)
    assert (record.packets_out, record.packets_in, record.bytes_in) == (7, 9, 900)
    assert record.state == "established"


def test_page_keeps_to_its_order_filter_and_cursor() -> None:
    scene = Scene()
    scene.tick([answered(n, "10.0.0.1", f"203.0.113.{n}", 443, n / 10, bytes_out=n * 10)
                for n in range(1, 9)])  # fmt: skip
    page = scene.engine.flow_page(
        keep=lambda f: f.dst != "203.0.113.3", sort="bytes", reverse=True, rows=3, first=1,
        follow="0-5",
    )  # fmt: skip
    assert [f.dst for f in page.rows] == ["203.0.113.7", "203.0.113.6", "203.0.113.5"]
    assert (page.total, page.matched, page.first, page.follow_row) == (8, 7, 1, 3)


@pytest.mark.parametrize("reverse", [False, True])
def test_flows_are_ordered_by_the_round_trip_that_is_shown(reverse: bool) -> None:
    """The handshake's, else that of data; unknown ones last both ways."""
    scene = Scene()
    scene.tick([
        answered(1, "10.0.0.1", "203.0.113.1", 443, handshake_rtt_us=-1, server_rtt_us=-1,
                 rtt_us=-1),
        answered(2, "10.0.0.1", "203.0.113.2", 443, handshake_rtt_us=3_000, rtt_us=9_000),
        answered(3, "10.0.0.1", "203.0.113.3", 443, handshake_rtt_us=4_000, rtt_us=1_000),
        answered(4, "10.0.0.1", "203.0.113.4", 443, handshake_rtt_us=-1, server_rtt_us=-1,
                 rtt_us=2_000),
    ])  # fmt: skip
    page = scene.engine.flow_page(sort="rtt", reverse=reverse)
    rising = [2.0, 3.0, 4.0]
    assert [f.rtt_ms for f in page.rows] == [*(rising[::-1] if reverse else rising), None]


@pytest.mark.parametrize(
    ("protocol", "src", "dst", "sport", "dport"),
    [
        (6, "1.2.3.4", "5.6.7.8", 1122, 3344), (17, "10.0.0.9", "10.0.0.2", 5, 9),
        (1, "10.0.0.9", "10.0.0.2", 8, 0), (1, "10.0.0.9", "10.0.0.2", 0, 0),
        (1, "10.0.0.9", "10.0.0.2", 3, 13), (58, "fe80::1", "ff02::2", 133, 0),
        (58, "fe80::1", "fe80::2", 128, 0), (2, "10.0.0.9", "224.0.0.1", 0, 0),
        (6, "fe80::2", "fe80::1", 443, 50000), (132, "1.2.3.4", "5.6.7.8", 80, 1122),
    ],
)  # fmt: skip
def test_community_id_equals_the_reference(
    protocol: int, src: str, dst: str, sport: int, dport: int
) -> None:
    tuples = {
        6: communityid.FlowTuple.make_tcp, 17: communityid.FlowTuple.make_udp,
        1: communityid.FlowTuple.make_icmp, 58: communityid.FlowTuple.make_icmp6,
        132: communityid.FlowTuple.make_sctp,
    }  # fmt: skip
    maker = tuples.get(protocol)
    reference = (
        maker(src, dst, sport, dport)
        if maker
        else communityid.FlowTuple.make_ip(src, dst, protocol)
    )
    expected = communityid.CommunityID().calc(reference)
    version = 6 if ":" in src else 4
    (mine,) = community_ids(
        np.array([protocol], np.uint8), packed(src)[None], packed(dst)[None],
        np.array([version], np.uint8), np.array([sport], np.uint16), np.array([dport], np.uint16),
    )  # fmt: skip
    assert mine == expected


def test_flows_found_in_no_order_stay_apart() -> None:
    book = FlowBook(256)
    table = rows(FLOW_DTYPE, [flow(n, "10.0.0.1", "10.0.0.2", n) for n in (9, 2, 7)])
    slots, _ = book.update(0, table, START)
    assert [int(book.rows["id"][s]) for s in slots] == [9, 2, 7]


def test_own_session_is_set_apart_and_never_judged() -> None:
    scene = Scene()
    scene.engine.own = (packed("10.9.9.9").tobytes(), 40_001, packed("10.0.0.1").tobytes(), 22)
    scene.tick([answered(1, "10.9.9.9", "10.0.0.1", 22), answered(2, "10.9.9.9", "10.0.0.1", 22)])
    own, other = scene.engine.flow("0-1"), scene.engine.flow("0-2")
    assert own is not None
    assert other is not None
    assert (own.own, own.verdict, other.own) == (True, "infrastructure", False)


def test_interfaces_of_several_meters_keep_their_names() -> None:
    scene = Scene()
    scene.tick([answered(1, "10.0.0.1", "10.0.0.2", 80)], tick=False)
    scene.second -= 1
    scene.tick([answered(1, "10.0.0.1", "10.0.0.3", 80)], meter=1)
    engine = scene.engine
    assert int(engine.flows.rows["interface_out"][engine.flows.slot(flow_key(0, 1))]) == 0
    assert int(engine.flows.rows["interface_out"][engine.flows.slot(flow_key(1, 1))]) == 64
    assert engine.facts.interface_name(65) == "eth1"


def test_a_flow_that_ended_long_ago_is_retired_once_it_is_judged_and_told() -> None:
    book = FlowBook(16_384)
    book.update(0, many(1, 1_000, at_s=0, end=CLOSED), START)
    book.update(0, many(2_001, 5_000, at_s=7_500, end=CLOSED), START)
    book.update(0, many(8_001, 1, at_s=0), START)  # still open
    book.verdict[book.live] = ALLOWED
    pending, wrong, untold = (book.slot(flow_key(0, n)) for n in (1, 2, 3))
    book.verdict[pending], book.verdict[wrong] = PENDING, VIOLATION
    book.changed[untold] = True
    for number, protocol in ((4, TCP), (5, UDP)):
        book.rows.column("end")[book.slot(flow_key(0, number))] = FLOW_ENDS.index("idle")
        book.rows.column("protocol")[book.slot(flow_key(0, number))] = protocol
    gone = book.retire(START + 3_600 * SECOND)
    assert sorted(gone) == [(0, n) for n in range(5, 1_001)]
    assert len(book) == 5_005
    assert book.slot(flow_key(0, 5)) < 0
    assert book.whole() == 6_001  # a retired flow is not missing from any count
    assert sorted(book.retire(START + 7_201 * SECOND)) == [(0, 2), (0, 3), (0, 4)]


def test_the_newest_flows_stay_however_old_they_are() -> None:
    book = FlowBook(16_384)
    for number in range(6):
        book.update(0, many(1 + 1_000 * number, 1_000, at_s=number, end=CLOSED), START)
    book.verdict[book.live] = ALLOWED
    gone = book.retire(START + 86_400 * SECOND)
    assert len(gone) == 6_000 - RETIRED_FROM
    assert max(gone) <= (0, 2_000)
    assert book.retire(START + 86_400 * SECOND) == []
