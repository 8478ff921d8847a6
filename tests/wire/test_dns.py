from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import DnsAnswer, DnsMessage
from panotui.wire import dns as wire_dns
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE


def answer(
    *records: tuple[str, int, str, str], name: str = "Logs.us-east-1.amazonaws.com"
) -> bytes:
    message = dns.message.make_response(dns.message.make_query(name, "A", use_edns=0))
    for owner, ttl, kind, data in records:
        message.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, data))
    return message.to_wire(max_size=65_535)


def read(wire: bytes, transport: str = "udp") -> DnsMessage:
    return wire_dns.parse(wire, HERE, "192.168.5.1", "192.168.5.5", 53, 40_000, transport)


def test_chain_of_aliases_keeps_its_order_and_times():
    message = read(
        answer(
            ("logs.us-east-1.amazonaws.com.", 60, "CNAME", "A.B.amazonaws.com."),
            ("a.b.amazonaws.com.", 5, "A", "198.51.100.7"),
            ("a.b.amazonaws.com.", 5, "AAAA", "2001:db8::7"),
        )
    )
    assert (message.name, message.type) == ("logs.us-east-1.amazonaws.com", "A")
    assert message.answers == (
        DnsAnswer("logs.us-east-1.amazonaws.com", "CNAME", 60, "a.b.amazonaws.com"),
        DnsAnswer("a.b.amazonaws.com", "A", 5, "198.51.100.7"),
        DnsAnswer("a.b.amazonaws.com", "AAAA", 5, "2001:db8::7"),
    )
    assert (message.client, message.server, message.client_port) == (
        "192.168.5.5",
        "192.168.5.1",
        40_000,
    )
    assert (message.response, message.rcode, message.truncated) == (True, "NOERROR", False)


def test_query_is_from_its_client():
    wire = dns.message.make_query("x.example", "AAAA").to_wire()
    message = wire_dns.parse(wire, HERE, "10.0.0.2", "10.0.0.1", 5555, 53, "udp")
    assert (message.client, message.server, message.client_port) == ("10.0.0.2", "10.0.0.1", 5555)
    assert (message.response, message.type) == (False, "AAAA")


@pytest.mark.parametrize(
    ("code", "name"), [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (12, "RCODE12")]
)
def test_failures_have_their_names(code, name):
    wire = bytearray(answer())
    wire[3] = wire[3] & 0xF0 | code
    assert read(bytes(wire)).rcode == name


def test_extended_code_of_edns_counts():
    message = dns.message.make_response(dns.message.make_query("x.example", "A", use_edns=0))
    message.set_rcode(16)
    assert read(message.to_wire()).rcode == "BADVERS"


def test_address_hints_of_service_records_are_answers_of_their_own():
    wire = answer(
        (
            "x.example.",
            300,
            "HTTPS",
            "1 . alpn=h2,h3 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
        )
    )
    assert [a.data for a in read(wire).answers] == [
        "1 . alpn=h2,h3",
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
    ]
    assert {a.type for a in read(wire).answers} == {"HTTPS"}


def test_hints_of_a_real_answer_are_those_that_zeek_tells():
    messages = run(capture("open/zeek__dns-https.pcap")).of(DnsMessage)
    assert [a.data for a in messages[1].answers] == [
        "1 . alpn=h3,h3-29,h3-28,h3-27,h2",
        "104.16.132.229",
        "104.16.133.229",
        "2606:4700::6810:84e5",
        "2606:4700::6810:85e5",
    ]


def test_real_alias_chain_is_that_of_zeek():
    messages = run(capture("open/zeek__dns-two-responses.pcap")).of(DnsMessage)
    told = [(a.type, a.ttl, a.data) for a in messages[-1].answers if a.type != "RRSIG"]
    assert told == [
        ("CNAME", 86_400, "www-cmu.andrew.cmu.edu"),
        ("CNAME", 5, "www-cmu-2.andrew.cmu.edu"),
        ("A", 21_600, "128.2.10.163"),
    ]


def test_other_records_are_told_briefly():
    wire = answer(
        ("x.example.", 1, "SRV", "0 0 443 host.example."),
        ("x.example.", 1, "MX", "10 mail.example."),
        ("x.example.", 1, "TXT", '"a b" "\\027]0;c"'),
        ("x.example.", 1, "SOA", "a. b. 1 2 3 4 5"),
        ("x.example.", 1, "PTR", "host.example."),
    )
    data = [a.data for a in read(wire).answers]
    assert data[:3] == ["host.example:443", "mail.example", r"a b \x1b]0;c"]
    assert data[4] == "host.example"


def test_hostile_name_is_printable():
    name = b"\x07\x1b]0;x\x07\x0d\x05[red]\x07example\x00"
    wire = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    text = read(wire).name
    assert text.isprintable()
    assert text.endswith("[red].example")


HEADER = struct.pack("!HHHHHH", 1, 0x8180, 1, 1, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"\xc0\x0c\0\1\0\1",  # a name that is a pointer to itself
        b"\x01a\xc0\x0c\0\1\0\1",  # and one that comes back to itself
        b"\xc0\x0e\xc0\x0c\0\1\0\1",
        b"\xc0\xff\0\1\0\1",
        b"\x40a\0\1\0\1",
        b"\x3f" + b"a" * 10,
        b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",
    ],
)
def test_names_that_loop_or_run_over_are_malformed(body):
    with pytest.raises(Malformed):
        read(HEADER + body)


def test_record_that_runs_past_the_message_is_malformed_unless_it_was_truncated():
    wire = answer(("logs.us-east-1.amazonaws.com.", 60, "A", "198.51.100.7"))
    cut = wire[:-13]  # within the answer (the OPT record follows it)
    with pytest.raises(Malformed):
        read(cut)
    flagged = bytearray(cut)
    flagged[2] |= 0x02
    message = read(bytes(flagged))
    assert (message.truncated, message.answers) == (True, ())


def test_deep_compression_is_read():
    deep = capture("open/zeek__dns_max-compression-depth.pcap")
    assert len(run(deep).of(DnsMessage)) == 1


def test_answers_are_bounded():
    wire = answer(*[("x.example.", 1, "A", f"10.0.{i // 250}.{i % 250}") for i in range(400)])
    assert len(read(wire).answers) == wire_dns.ANSWERS_TOLD


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from("abcdefghij-012"), min_size=1, max_size=30).map("".join),
    st.lists(st.ip_addresses(v=4), max_size=8, unique=True),
)
def test_what_dnspython_writes_is_read_back(label, addresses):
    name = f"{label}.example"
    wire = answer(*[(name + ".", 7, "A", str(a)) for a in addresses], name=name)
    message = read(wire)
    assert message.name == name
    assert {a.data for a in message.answers} == {str(a) for a in addresses}


def test_stream_gives_whole_messages_and_keeps_the_rest():
    one = answer()
    stream = struct.pack("!H", len(one)) + one
    assert wire_dns.tcp_messages(stream + stream[:5]) == ([one], len(stream))
    assert wire_dns.tcp_messages(b"\0") == ([], 0)


def test_dns_over_tcp_of_a_real_server_is_read():
    for name in ("open/tcpdump__dns_tcp.pcap", "crafted/dns-tcp-reordered.pcap"):
        messages = run(capture(name)).of(DnsMessage)
        assert {m.transport for m in messages} == {"tcp"}
        assert any(m.response for m in messages)


def test_llmnr_over_tcp_is_marked():
    result = run(capture("open/sv__llmnr_llmnr-tcp-reassembly.pcap"))
    assert {m.transport for m in result.of(DnsMessage)} == {"llmnr"}
