"""The book of violations: one record per reason, peers and service, never a flood."""

from __future__ import annotations

import numpy as np

from panotui.model import REASONS, SECOND, DnsAnswer, Rows, ViolationRecord
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import RowJudge
from panotui.policy.judging.violations import QUIET_NS, ViolationBook
from tests.policy.made_flows import START_NS, flow_row, many
from tests.policy.sites import answer, hello, judge_of

NOW = START_NS + 90 * SECOND


def feed(book: ViolationBook, judge: RowJudge, rows: Rows, now: int = NOW) -> None:
    book.observe(FlowRows.of(rows), judge.judge_rows(FlowRows.of(rows), now), now)


def kinds(book: ViolationBook) -> list[str]:
    return [change.kind for change in book.drain_changes()]


def one(book: ViolationBook) -> ViolationRecord:
    (record,) = book.records()
    return record


def scan_rows(count: int, start: int = 0) -> Rows:
    rows = np.repeat(flow_row("192.168.5.77", 40000, "192.168.5.5", 1), count)
    rows["id"] = np.arange(start, start + count)
    rows["dport"] = (np.arange(start, start + count) % 65_535) + 1
    return rows


def test_flows_between_the_same_peers_are_one_violation() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = many([flow_row("192.168.5.5", 50000 + i, "192.168.5.77", 22, flow=i) for i in range(5)])
    feed(book, judge, rows)
    record = one(book)
    assert (record.reason, record.flows, record.packets) == ("lateral", 5, 30)
    assert record.severity == "error"
    assert record.flow == "0-0"
    assert kinds(book) == ["new"]


def test_a_violation_begins_with_its_first_flow_in_whatever_order_rows_come() -> None:
    rows = many([flow_row("192.168.5.5", 50000 + i, "192.168.5.77", 22, flow=i) for i in range(5)])
    rows["first_ns"] = START_NS + np.arange(5) * SECOND
    rows["first_packet"] = 100 + np.arange(5)
    for order in ((0, 1, 2, 3, 4), (4, 2, 0, 1, 3), (3, 4, 1, 2, 0)):
        for cut in (1, 5):  # all at once, or one after the other
            judge = judge_of()
            book = ViolationBook(judge)
            for part in np.split(rows[list(order)], cut):
                feed(book, judge, part)
            record = one(book)
            assert (record.first_time_ns, record.first_packet) == (START_NS, 100)
            assert record.flows == 5
            if cut == 1:
                assert record.flow == "0-0"


def test_a_flow_that_grows_is_not_counted_twice() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    row = flow_row("192.168.5.5", 50000, "192.168.5.77", 22)
    for packets in (3, 10, 10, 25):
        row["packets_out"] = packets
        feed(book, judge, row)
    record = one(book)
    assert (record.flows, record.packets) == (1, 28)


def test_a_flow_that_has_ended_may_be_judged_once_more() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    row = flow_row("192.168.5.5", 50000, "192.168.5.77", 22)
    row["end"] = 2
    for _ in range(3):
        feed(book, judge, row)
    assert (one(book).flows, one(book).packets) == (1, 6)


def test_a_scan_of_100_000_ports_is_one_violation() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = scan_rows(100_000)
    feed(book, judge, rows)
    record = one(book)
    assert record.flows == 99_998  # two hit the declared port
    assert "65,534 ports" in record.text
    assert kinds(book) == ["new"]


def test_a_scan_that_comes_slowly_is_one_violation_in_the_end() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    for start in range(0, 60, 3):
        feed(book, judge, scan_rows(3, start))
    record = one(book)
    assert record.flows == 60
    told = kinds(book)
    assert told.count("new") <= 9
    assert told.count("new") - told.count("folded") == 1


def test_a_host_that_tries_a_thousand_others_is_a_few_dozen() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = [
        flow_row("192.168.5.5", 50000, f"192.168.{6 + i // 250}.{i % 250 + 1}", 445, flow=i)
        for i in range(1000)
    ]
    feed(book, judge, many(rows[:10]))
    feed(book, judge, many(rows[10:]))
    assert len(book.records()) <= 33
    assert sum(r.flows for r in book.records()) == 1000


def test_a_flood_of_forged_senders_is_one_violation() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = np.repeat(flow_row("203.0.113.9", 40000, "192.168.5.5", 22), 5000)
    rows["id"] = np.arange(5000)
    rows["src"][:, 2], rows["src"][:, 3] = np.arange(5000) >> 8, np.arange(5000) & 255
    feed(book, judge, rows)
    assert one(book).flows == 5000


def test_different_reasons_peers_and_services_are_told_apart() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = many(
        [
            flow_row("192.168.5.77", 50000, "192.168.5.5", 22, flow=1),
            flow_row("192.168.5.78", 50000, "192.168.5.5", 22, flow=2),
            flow_row("192.168.5.77", 50000, "192.168.5.5", 23, flow=3),
            flow_row("192.168.5.5", 50000, "192.168.5.77", 22, flow=4),
            flow_row("10.20.0.11", 50000, "203.0.113.9", 443, flow=5),
        ]
    )
    feed(book, judge, rows)
    records = book.records()
    assert len(records) == 5
    assert len({r.id for r in records}) == 5


def test_a_stream_that_leaks_is_one_act_with_its_session_and_media() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = many(
        [
            flow_row("192.168.5.5", 50000, "203.0.113.9", 554, app="rtsp", flow=1),
            flow_row("203.0.113.9", 6000, "192.168.5.5", 5000, "udp", app="rtp", flow=2),
            flow_row("192.168.5.5", 5001, "203.0.113.9", 6001, "udp", app="rtcp", flow=3),
        ]
    )
    feed(book, judge, rows)
    record = one(book)
    assert (record.reason, record.flows) == ("stream-leak", 3)


def test_a_name_with_many_addresses_is_one_peer() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    rows = []
    for i in range(20):
        judge.names.observe(hello("evil.example", flow=i))
        rows.append(flow_row("192.168.5.5", 50000, f"203.0.113.{i}", 443, app="tls", flow=i))
    feed(book, judge, many(rows))
    assert one(book).host == "evil.example"
    assert one(book).flows == 20


def test_a_flow_that_turns_out_well_leaves_its_violation() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    row = flow_row("192.168.5.5", 50000, "203.0.113.9", 443)
    feed(book, judge, row)
    assert one(book).reason == "unlisted-endpoint"
    name = "logs.us-east-1.amazonaws.com"
    judge.names.observe(answer(name, DnsAnswer(name, "A", 60, "203.0.113.9")))
    feed(book, judge, row)
    assert book.records() == ()
    assert kinds(book) == ["new", "withdrawn"]


def test_a_quiet_violation_is_past_and_opens_again_with_new_traffic() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    row = flow_row("192.168.5.5", 50000, "192.168.5.77", 22)
    feed(book, judge, row)
    later = NOW + 2 * QUIET_NS
    book.tick(later)
    assert one(book).state == "past"
    assert len(book.records()) == 1
    row["last_ns"] = later
    feed(book, judge, row, later)
    assert one(book).state == "open"
    assert kinds(book) == ["new", "past", "again"]


def test_own_traffic_is_no_violation() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    row = flow_row("192.168.5.77", 50000, "192.168.5.5", 22)
    book.observe(
        FlowRows.of(row), judge.judge_rows(FlowRows.of(row), NOW, own=np.array([True])), NOW
    )
    assert book.records() == ()


def test_the_book_is_bounded_and_counts_what_it_forgets() -> None:
    judge = judge_of()
    book = ViolationBook(judge, violations_max=50)
    for i in range(200):
        address = f"198.51.{100 + i // 200}.{i % 200}"
        feed(book, judge, flow_row(address, 50000, "192.168.5.5", 22, flow=i))
    assert len(book.records()) == 50
    assert book.evicted == 150


def test_the_same_traffic_gives_the_same_ids() -> None:
    ids = []
    for _ in range(2):
        judge = judge_of()
        book = ViolationBook(judge)
        feed(book, judge, flow_row("192.168.5.5", 50000, "192.168.5.77", 22))
        ids.append(one(book).id)
    assert ids[0] == ids[1]


def test_every_reason_has_words_and_advice() -> None:
    judge = judge_of()
    book = ViolationBook(judge)
    name = "logs.us-east-1.amazonaws.com"
    for flow in (3, 4, 5, 6):
        judge.names.observe(hello(name, flow=flow))
    cleartext = flow_row("192.168.5.5", 50006, "203.0.113.9", 443, app="ssh", flow=7)
    judge.names.observe(answer(name, DnsAnswer(name, "A", 60, "203.0.113.9")))
    rows = many(
        [
            flow_row("10.20.0.11", 50000, "203.0.113.8", 443, flow=1),
            flow_row("192.168.5.77", 50000, "192.168.5.5", 22, flow=2),
            flow_row("10.20.0.5", 50000, "203.0.113.9", 443, app="tls", flow=3),
            flow_row("192.168.5.5", 50000, "10.9.9.9", 443, app="tls", flow=4),
            flow_row("192.168.5.5", 50000, "203.0.113.9", 8444, app="tls", flow=5),
            flow_row(
                "192.168.5.6",
                50000,
                "203.0.113.9",
                443,
                app="tls",
                flow=6,
                client_mac="02:00:00:00:00:11",
            ),
            cleartext,
            flow_row("192.168.5.5", 50000, "192.168.5.77", 22, flow=8),
            flow_row("192.168.5.5", 50000, "203.0.113.77", 443, flow=9),
        ]
    )
    feed(book, judge, rows)
    records = {r.reason: r for r in book.records()}
    assert set(records) == set(REASONS)
    for record in records.values():
        assert len(record.text) > 20
        assert record.nearest
        assert record.suggestion
