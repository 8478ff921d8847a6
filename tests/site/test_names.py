"""The book of names: sources in their order, nothing overwritten, everything bounded."""

from __future__ import annotations

import ipaddress
import itertools

from hypothesis import given
from hypothesis import strategies as st

from panotui.model import SECOND, DnsAnswer, HttpMessage
from panotui.site.names import GRACE_NS, NAMES_AN_ADDRESS, HostName, NameBook, aws_ranges
from tests.policy.made_flows import START_NS
from tests.policy.sites import answer, hello

CLIENT, SERVER = "192.168.5.5", "203.0.113.10"


def a(name: str, address: str = SERVER, ttl: int = 60) -> DnsAnswer:
    return DnsAnswer(name, "A", ttl, address)


def names(book: NameBook, at: int = START_NS, client: str = CLIENT) -> tuple[HostName, ...]:
    return book.names(0, 1, client, SERVER, at)


def http(host: str) -> HttpMessage:
    return HttpMessage(time_ns=START_NS, packet=1, interface=0, flow=1, from_client=True, host=host)


def test_what_the_flow_says_stands_before_what_the_resolver_said() -> None:
    book = NameBook({SERVER: "of the site"})
    book.observe(answer("b.example", a("b.example")))
    book.observe(http("c.example:8443"))
    book.observe(hello("a.example"))
    assert [(n.name, n.source) for n in names(book)] == [
        ("a.example", "sni"),
        ("c.example", "http"),
        ("b.example", "dns"),
        ("of the site", "site"),
    ]


def test_contradictions_are_kept_and_told() -> None:
    book = NameBook()
    book.observe(answer("b.example", a("b.example")))
    book.observe(hello("a.example"))
    assert book.conflicts(names(book)) == ("sni says a.example; dns b.example",)


def test_an_address_keeps_several_names() -> None:
    book = NameBook()
    for name in ("a.example", "b.example", "c.example"):
        book.observe(answer(name, a(name)))
    assert {n.name for n in names(book)} == {"a.example", "b.example", "c.example"}


def test_a_name_keeps_several_addresses() -> None:
    book = NameBook()
    book.observe(answer("s3.example", *(a("s3.example", f"203.0.113.{i}") for i in range(8))))
    for i in range(8):
        assert book.answers_for(CLIENT, f"203.0.113.{i}", START_NS) == ("s3.example",)


def test_a_chain_of_aliases_leads_to_the_name_that_was_asked() -> None:
    book = NameBook()
    records = (
        a("edge.cdn.example"),
        DnsAnswer("www.example", "CNAME", 60, "mid.example"),
        DnsAnswer("mid.example", "CNAME", 5, "edge.cdn.example"),
    )
    book.observe(answer("www.example", *records))
    assert [n.name for n in names(book)] == ["www.example"]


def test_a_loop_of_aliases_ends() -> None:
    book = NameBook()
    records = (
        DnsAnswer("a.example", "CNAME", 60, "b.example"),
        DnsAnswer("b.example", "CNAME", 60, "a.example"),
    )
    book.observe(answer("a.example", *records))
    assert names(book) == ()


def test_records_beside_the_question_are_not_believed() -> None:
    book = NameBook()
    book.observe(answer("a.example", a("logs.us-east-1.amazonaws.com")))
    assert names(book) == ()


def test_an_answer_holds_for_its_ttl_and_a_grace_hour() -> None:
    book = NameBook()
    book.observe(answer("a.example", a("a.example", ttl=60)))
    end = START_NS + 60 * SECOND + GRACE_NS
    assert names(book, end)
    assert not names(book, end + 1)


def test_an_answer_counts_for_the_client_that_got_it() -> None:
    book = NameBook()
    book.observe(answer("a.example", a("a.example"), client="192.168.5.1"))
    assert book.answers_for(CLIENT, SERVER, START_NS) == ()
    assert book.answers_for(CLIENT, SERVER, START_NS, also=["192.168.5.1"]) == ("a.example",)


def test_failures_and_questions_give_no_names() -> None:
    book = NameBook()
    book.observe(answer("a.example", a("a.example"), rcode="SERVFAIL"))
    assert names(book) == ()


def test_multicast_names_are_weak() -> None:
    book = NameBook()
    record = DnsAnswer("printer.local", "A", 60, SERVER)
    book.observe(answer("printer.local", record, transport="mdns"))
    assert [(n.name, n.source) for n in names(book)] == [("printer.local", "mdns")]


def test_a_range_is_a_hint_and_the_narrowest_wins() -> None:
    book = NameBook()
    book.set_ranges([("203.0.0.0/8", "AWS"), ("203.0.113.0/24", "AWS us-east-1")])
    assert [(n.name, n.source) for n in names(book)] == [("AWS us-east-1", "range")]


def test_an_encrypted_hello_is_marked() -> None:
    book = NameBook()
    book.observe(hello("cloudflare-ech.com", ech_outer=True))
    assert names(book)[0].ech


def test_a_second_host_header_does_not_replace_the_first() -> None:
    book = NameBook()
    book.observe(http("first.example"))
    book.observe(http("second.example"))
    assert [n.name for n in names(book)] == ["first.example", "second.example"]


def test_everything_is_bounded_and_what_goes_is_counted() -> None:
    book = NameBook(flows_max=10, addresses_max=10)
    for i in range(100):
        book.observe(hello(f"h{i}.example", flow=i))
        book.observe(answer(f"h{i}.example", a(f"h{i}.example", f"203.0.113.{i}")))
        book.observe(answer(f"n{i}.example", a(f"n{i}.example", "198.51.100.1")))
    assert sum(bool(book.flow_names(0, i)) for i in range(100)) == 10
    assert len(book.answers_for(CLIENT, "198.51.100.1", START_NS)) <= NAMES_AN_ADDRESS
    assert book.evicted > 250


def test_news_is_told_once() -> None:
    book = NameBook()
    assert book.observe(hello("a.example", flow=7))
    assert not book.observe(hello("a.example", flow=7))
    assert book.observe(answer("b.example", a("b.example")))
    assert book.drain_changes() == ({(0, 7)}, {SERVER})
    assert book.drain_changes() == (set(), set())


def test_published_ranges_are_apart_and_name_their_region() -> None:
    book = NameBook()
    book.set_ranges(aws_ranges())
    segments = book.range_segments()
    assert all(a[1] < b[0] for a, b in itertools.pairwise(segments))
    assert book.range_of("52.216.1.1") == "AWS us-east-1"
    assert book.range_of("203.0.113.9") is None
    assert book.range_of("2001:db8::1") is None


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 8)), max_size=12))
def test_the_narrowest_of_nested_ranges_wins(made: list[tuple[int, int]]) -> None:
    nets = {f"10.0.0.{a >> bits << bits}/{32 - bits}" for a, bits in made}
    book = NameBook()
    book.set_ranges((net, net) for net in nets)
    for last in range(256):
        address = f"10.0.0.{last}"
        inside = [n for n in nets if ipaddress.ip_address(address) in ipaddress.ip_network(n)]
        best = max(inside, key=lambda n: ipaddress.ip_network(n).prefixlen, default=None)
        assert book.range_of(address) == best
