"""Lookups from packets: by name and type, over all servers, and what does no harm."""

from __future__ import annotations

import struct

import pytest

from panotui.engine.engine import Engine
from tests.diagnosis.lan_wire import (
    AAAA,
    IOT,
    LOGS,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    Dns,
    loud,
    query,
    the,
)
from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    Wire,
    dns_name,
    ethernet,
    ipv4,
    udp_segment,
)
from tests.made_up import site

MONITORING = "monitoring.us-east-1.amazonaws.com"
S3 = "s3.us-east-1.amazonaws.com"
SECOND_SERVER = "192.168.5.54"
GOOD = "203.0.113.90"
WHO = site(network={"gateways": [GATEWAY], "dns": [GATEWAY, SECOND_SERVER]})


def watched(wire: Wire, end: float) -> Engine:
    return wire.watch(WHO, end=end)


# ---------------------------------------------------------------------- what does no harm


@pytest.mark.parametrize("rcode", [SERVFAIL, NXDOMAIN, REFUSED, 0])
def test_a_failing_aaaa_beside_a_good_a(rcode: int) -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(4):
        dns.look(1 + 5.0 * n, LOGS, GOOD)
        dns.look(1.002 + 5.0 * n, LOGS, kind=AAAA, rcode=rcode)
    assert loud(watched(wire, 25)) == []


@pytest.mark.parametrize("rcode", [SERVFAIL, NXDOMAIN, REFUSED])
def test_one_bad_answer_and_a_second_server_that_gives_a_good_one(rcode: int) -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, LOGS, rcode=rcode)
    dns.look(1.5, LOGS, GOOD, server=SECOND_SERVER)
    engine = watched(wire, 15)
    assert engine.snapshot().findings == ()


def test_a_first_server_that_always_fails_beside_a_second_that_works_is_information() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(5):
        dns.look(1 + 5.0 * n, LOGS, rcode=SERVFAIL)
        dns.look(1.5 + 5.0 * n, LOGS, GOOD, server=SECOND_SERVER)
    engine = watched(wire, 30)
    assert loud(engine) == []
    assert the(engine, "dns-servfail").severity == "info"


def test_an_ipv6_address_alone_is_an_address() -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, LOGS)
    dns.look(1.002, LOGS, "2600:1f18::1", kind=AAAA)
    assert loud(watched(wire, 6)) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "10.9.9.9", "146.112.61.106"])
def test_a_name_that_nobody_needs_may_lead_nowhere(address: str) -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, "ads.example.com", address)
    dns.look(2, "wpad.corp.example.com", rcode=NXDOMAIN)
    dns.look(3, "old.example.com", rcode=SERVFAIL)
    dns.look(4, LOGS, GOOD)
    assert loud(watched(wire, 10)) == []


def test_search_domains_that_are_tried_first() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(3):
        dns.look(1 + 5.0 * n, f"{LOGS}.corp.example.com", rcode=NXDOMAIN)
        dns.look(1.02 + 5.0 * n, LOGS, GOOD)
    assert loud(watched(wire, 20)) == []


# ---------------------------------------------------------------------- one cause, one finding


@pytest.mark.parametrize(
    ("rcode", "finding", "text"),
    [
        (NXDOMAIN, "dns-nxdomain", "says that 3 needed names do not exist: "),
        (SERVFAIL, "dns-servfail", "fails on 3 needed names (SERVFAIL): "),
        (0, "dns-filtered", "gives no address for 3 needed names: "),
    ],
)
def test_names_that_fail_alike_at_one_server(rcode: int, finding: str, text: str) -> None:
    wire = Wire()
    dns = Dns(wire)
    for n, name in enumerate((LOGS, MONITORING, S3)):
        dns.look(1 + n, name, rcode=rcode)
        dns.look(1.002 + n, name, kind=AAAA, rcode=rcode)
    dns.look(5, "time.example.com", GOOD)
    engine = watched(wire, 10)
    assert loud(engine) == [finding]
    found = the(engine, finding)
    assert found.text == f"DNS server {GATEWAY} {text}{LOGS}, {MONITORING}, {S3}"
    assert all(e.packet for e in found.evidence)


def test_a_resolver_that_refuses_everything() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n, name in enumerate((LOGS, "time.example.com", "www.example.com", S3)):
        dns.look(1 + n, name, rcode=REFUSED)
    engine = watched(wire, 10)
    assert loud(engine) == ["dns-refused"]
    assert the(engine, "dns-refused").text == (
        f"DNS server {GATEWAY} refuses to answer eth1 at all (REFUSED)"
    )


def test_one_needed_name_without_any_address() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(3):
        dns.look(1 + 5.0 * n, IOT)
        dns.look(1.002 + 5.0 * n, IOT, kind=AAAA)
    engine = watched(wire, 16)
    assert loud(engine) == ["dns-filtered"]
    assert the(engine, "dns-filtered").text == (
        f"DNS server {GATEWAY} gives no address for {IOT}: the name is filtered"
    )


def test_a_filter_that_was_opened_is_over() -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, IOT)
    dns.look(8, IOT, GOOD)
    wire.quiet(9, 30)
    assert the(watched(wire, 30), "dns-filtered").cleared_time_ns is not None


# ---------------------------------------------------------------------- sinkholes


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "10.9.9.9", "146.112.61.106"])
def test_a_needed_name_that_leads_nowhere(address: str) -> None:
    wire = Wire()
    Dns(wire).look(1, LOGS, address)
    engine = watched(wire, 6)
    assert loud(engine) == ["dns-sinkhole"]
    assert the(engine, "dns-sinkhole").text == (
        f"DNS server {GATEWAY} answers {address} for {LOGS}: the name is filtered or intercepted"
    )


def test_names_of_different_services_that_lead_to_one_block_page() -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, IOT, "203.0.113.66")
    dns.look(2, LOGS, "203.0.113.66")
    engine = watched(wire, 6)
    assert loud(engine) == ["dns-sinkhole"]
    found = the(engine, "dns-sinkhole")
    assert found.text.startswith(f"DNS server {GATEWAY} answers 203.0.113.66 for 2 needed names")


def test_names_of_one_service_may_share_an_address() -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, S3, "203.0.113.66")
    dns.look(2, f"prod-bucket.{S3}", "203.0.113.66")
    dns.look(3, "x.s3-accesspoint.us-east-1.amazonaws.com", "203.0.113.66")
    assert loud(watched(wire, 6)) == []


def test_a_private_address_through_which_the_endpoint_works_is_no_sinkhole() -> None:
    wire = Wire()
    Dns(wire).look(0.5, LOGS, "10.9.9.9")
    wire.works(1, "10.9.9.9", 41_000, LOGS)
    assert "dns-sinkhole" not in loud(watched(wire, 8))


def test_a_search_domain_that_answers_for_everything_takes_the_name_away() -> None:
    wire = Wire()
    dns = Dns(wire)
    dns.look(1, f"{LOGS}.corp.example.com", "203.0.113.7")
    engine = watched(wire, 6)
    assert loud(engine) == ["dns-sinkhole"]
    assert f"leads {LOGS} elsewhere: with the search domain appended" in (
        the(engine, "dns-sinkhole").text
    )


# ---------------------------------------------------------------------- silence


def test_a_silent_first_server_beside_one_that_answers_is_a_warning() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(4):
        dns.look(1 + 8.0 * n, LOGS, after=None)
        dns.look(6 + 8.0 * n, LOGS, GOOD, server=SECOND_SERVER)
    engine = watched(wire, 40)
    assert loud(engine) == ["dns-timeout"]
    found = the(engine, "dns-timeout")
    assert found.severity == "warning"
    assert found.detail[0] == f"control: {SECOND_SERVER} answers"


def test_what_another_client_waits_for_is_not_the_appliances() -> None:
    wire = Wire()
    mine = Dns(wire)
    theirs = Dns(wire, ("02:00:00:00:04:04", "192.168.5.66"))
    theirs.number = 500
    for n in range(5):
        theirs.look(1 + 6.0 * n, f"h{n}.example.com", after=None)
        theirs.look(1.5 + 6.0 * n, f"g{n}.example.com", after=None)
    mine.look(0.5, LOGS, GOOD)
    mine.look(38, LOGS, GOOD)
    assert loud(watched(wire, 40)) == []


def test_one_of_two_answers_is_lost_each_time() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(4):
        at = 1 + 10.0 * n
        dns.look(at, LOGS, after=None)
        dns.look(at + 0.0001, LOGS, kind=AAAA)
        dns.look(at + 5, LOGS, GOOD)
        dns.look(at + 5.0001, LOGS, kind=AAAA)
    engine = watched(wire, 45)
    assert loud(engine) == ["dns-slow"]
    assert the(engine, "dns-slow").text.startswith("Lookups of eth1 wait 5 s each")
    assert all(e.packet for e in the(engine, "dns-slow").evidence)


@pytest.mark.parametrize("again", [True, False])
def test_single_questions_that_get_lost_on_the_way(again: bool) -> None:
    """Who waits for an answer asks again; without that, only the answer was not seen."""
    wire = Wire()
    dns = Dns(wire)
    for n in range(30):
        lost = n % 6 == 2
        dns.look(1 + n, f"h{n}.example.com", GOOD, after=None if lost else 0.01)
        if lost and again:
            dns.look(6 + n, f"h{n}.example.com", GOOD)
    engine = watched(wire, 45)
    assert loud(engine) == (["dns-slow"] if again else [])
    (text,) = [f.text for f in engine.snapshot().findings if f.id == "dns-slow"]
    assert text == (
        f"DNS server {GATEWAY} does not answer 5 of 35 queries of eth1; each such lookup waits"
        " a few seconds"
        if again
        else f"DNS server {GATEWAY} does not answer 5 of 30 queries of eth1; none was asked again,"
        " so the answers may have passed out of sight"
    )


@pytest.mark.parametrize(("moments", "told"), [(1, []), (2, []), (4, ["dns-slow"])])
def test_a_server_that_is_away_for_a_moment_answers_nobody_then(
    moments: int, told: list[str]
) -> None:
    """A restart is over in a second; who falls silent again and again is not well."""
    wire = Wire()
    dns = Dns(wire)
    away = {20 + 25 * moment + n for moment in range(moments) for n in range(9)}
    for n in range(140):
        dns.look(1 + 0.1 * n, f"h{n}.example.com", GOOD, after=None if n in away else 0.01)
        if n in away:
            dns.look(1.9 + 0.1 * n, f"h{n}.example.com", GOOD)
    assert loud(watched(wire, 30)) == told


def test_lost_questions_are_counted_over_the_time_of_all_questions() -> None:
    """Ten a second: the times of older ones are not kept, and their losses do not count."""
    wire = Wire()
    dns = Dns(wire)
    for n in range(900):
        lost = n % 13 == 5
        dns.look(1 + 0.1 * n, f"h{n}.example.com", GOOD, after=None if lost else 0.01)
        if lost:
            dns.look(6 + 0.1 * n, f"h{n}.example.com", GOOD)
    engine = watched(wire, 95)
    (text,) = [f.text for f in engine.snapshot().findings if f.id == "dns-slow"]
    lost, asked = (int(word) for word in text.split() if word.isdigit())
    assert asked == 512
    assert 0.06 < lost / asked < 0.08


def test_two_questions_of_many_may_get_lost() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(30):
        dns.look(1 + n, f"h{n}.example.com", GOOD, after=None if n in (7, 19) else 0.01)
    assert loud(watched(wire, 45)) == []


def test_a_resolver_that_says_by_icmp_that_it_does_not_run() -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(4):
        dns.look(1 + 6.0 * n, LOGS, after=None)
        quoted = ipv4(CLOUD, GATEWAY, 17, udp_segment(20_001 + n, 53, b""))
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        frame = ethernet(ROUTER_MAC, ETH1, 0x800, ipv4(GATEWAY, CLOUD, 1, body))
        wire.add(1.001 + 6.0 * n, frame, 1)
    engine = watched(wire, 30)
    assert loud(engine) == ["dns-timeout"]
    assert f"{GATEWAY} is up, but no DNS server runs on it: it says port unreachable" in (
        the(engine, "dns-timeout").text
    )


# ---------------------------------------------------------------------- the guide of 2021


@pytest.mark.parametrize("real", [True, False])
def test_names_that_only_the_guide_prints(real: bool) -> None:
    wire = Wire()
    dns = Dns(wire)
    for n in range(3):
        dns.look(1 + 5.0 * n, "logs.us-east-1.aws.amazon.com", rcode=NXDOMAIN)
        if real:
            dns.look(1.1 + 5.0 * n, LOGS, GOOD)
    engine = watched(wire, 20)
    assert loud(engine) == ([] if real else ["guide-names"])
    found = the(engine, "guide-names")
    assert found.text == (
        "eth1 looks up a name that the guide of 2021 prints, but that never existed:"
        " logs.us-east-1.aws.amazon.com"
    )
    assert LOGS in found.action


def test_an_alias_that_leads_out_of_aws_is_a_block_page() -> None:
    for alias, expected in (("sinkhole.filter.example", True), ("d1.cloudfront.net", False)):
        wire = Wire()
        dns = Dns(wire)
        dns.look(1, LOGS, after=None)
        raw = dns_name(alias)
        body = query(1, LOGS, 1)[:2] + struct.pack("!HHHHH", 0x8180, 1, 2, 0, 0)
        body += dns_name(LOGS) + struct.pack("!HH", 1, 1)
        body += struct.pack("!HHHIH", 0xC00C, 5, 1, 300, len(raw)) + raw
        body += raw + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([203, 0, 113, 9])
        wire.udp(1.01, (ROUTER_MAC, GATEWAY, 53), (ETH1, CLOUD, 20_001), body, 1)
        assert loud(watched(wire, 8)) == (["dns-sinkhole"] if expected else [])
