"""Leases from packets: each step at which a client may stand, and what is near it and well."""

from __future__ import annotations

import pytest

from panotui.engine.engine import Engine
from tests.diagnosis.lan_wire import (
    ACK,
    DECLINE,
    DISCOVER,
    OFFER,
    OTHER_MAC,
    REQUEST,
    Dhcp,
    asked,
    lease,
    loud,
    the,
)
from tests.diagnosis.wire import CLOUD, ETH1, GATEWAY, ROUTER_MAC, Wire, arp_packet

SECOND_SERVER = "192.168.5.2"


def watched(wire: Wire, end: float) -> Engine:
    asked(wire, 0.0, (ETH1, CLOUD), GATEWAY, ROUTER_MAC)
    return wire.watch(end=end)


def test_an_offer_that_is_never_taken_does_not_reach_the_client() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(4):
        dhcp.ask(1 + 4.0 * n, DISCOVER)
        dhcp.answer(1.01 + 4.0 * n, OFFER)
    engine = watched(wire, 20)
    assert loud(engine) == ["dhcp-offer-not-taken"]
    found = the(engine, "dhcp-offer-not-taken")
    assert found.text == "DHCP offers do not reach port eth1: it has taken none of 4"
    assert {e.packet for e in found.evidence} == set(range(3, 11))


def test_a_client_that_takes_the_second_servers_offer_is_well() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(4):
        at = 1 + 4.0 * n
        dhcp.xid += 1
        dhcp.ask(at, DISCOVER)
        dhcp.answer(at + 0.01, OFFER)
        dhcp.answer(at + 0.02, OFFER, server=SECOND_SERVER)
        dhcp.ask(at + 0.03, REQUEST, wanted=CLOUD, server=SECOND_SERVER)
        dhcp.answer(at + 0.04, ACK, server=SECOND_SERVER)
    assert loud(watched(wire, 20)) == []


@pytest.mark.parametrize("answered", [True, False])
def test_a_request_that_is_never_acknowledged(answered: bool) -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    dhcp.ask(1, DISCOVER)
    dhcp.answer(1.01, OFFER)
    for n in range(3):
        dhcp.ask(1.02 + 3.0 * n, REQUEST, wanted=CLOUD, server=GATEWAY)
    if answered:
        dhcp.answer(8, ACK)
    engine = watched(wire, 14)
    assert loud(engine) == ([] if answered else ["dhcp-request-unanswered"])
    if not answered:
        found = the(engine, "dhcp-request-unanswered")
        assert found.severity == "error"
        assert (
            f"offered an address to port eth1, but does not answer its 3 requests for {CLOUD}"
            in (found.text)
        )


def test_requests_whose_offer_and_answer_are_out_of_sight_prove_nothing() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(4):
        dhcp.xid += 1
        dhcp.ask(1 + 3.0 * n, DISCOVER)
        dhcp.ask(1.1 + 3.0 * n, REQUEST, wanted=CLOUD, server=GATEWAY)
    assert loud(watched(wire, 20)) == []


@pytest.mark.parametrize(("lasts", "severity"), [(3600, "warning"), (30, "error")])
def test_a_renewal_that_nobody_answers(lasts: int, severity: str) -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    dhcp.ask(1, DISCOVER)
    dhcp.answer(1.01, OFFER)
    dhcp.ask(1.02, REQUEST, wanted=CLOUD, server=GATEWAY)
    dhcp.answer(1.03, ACK, options=lease(seconds=lasts))
    for at, to in ((16, GATEWAY), (20, GATEWAY), (27, None), (29, None)):
        dhcp.xid += 1
        dhcp.ask(at, REQUEST, ciaddr=CLOUD, to=to)
    engine = watched(wire, 40)
    assert loud(engine) == ["dhcp-request-unanswered"]
    found = the(engine, "dhcp-request-unanswered")
    assert found.severity == severity
    assert f"No DHCP server renews the address {CLOUD} of port eth1: 4 requests" in found.text
    assert ("over for" if severity == "error" else "ends in") in found.text


def test_a_renewal_that_another_server_answers_at_last_is_over() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    dhcp.gets(1)
    for at, to in ((16, GATEWAY), (20, GATEWAY), (27, None)):
        dhcp.xid += 1
        dhcp.ask(at, REQUEST, ciaddr=CLOUD, to=to)
    dhcp.answer(27.01, ACK, server=SECOND_SERVER)
    assert the(watched(wire, 40), "dhcp-request-unanswered").cleared_time_ns is not None


@pytest.mark.parametrize("times", [1, 3])
def test_leases_that_are_declined_because_the_address_is_in_use(times: int) -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(times):
        at, address = 1 + 12.0 * n, f"192.168.5.{120 + n}"
        dhcp.gets(at, address)
        wire.add(at + 0.3, arp_packet(1, ETH1, "0.0.0.0", address), 1)
        wire.add(at + 0.31, arp_packet(2, OTHER_MAC, address, "0.0.0.0", ETH1), 1)
        dhcp.xid += 1
        dhcp.ask(at + 1, DECLINE, wanted=address, server=GATEWAY)
    dhcp.gets(40, CLOUD)
    engine = watched(wire, 43)
    assert loud(engine) == (["ip-conflict"] if times > 1 else [])
    if times > 1:
        found = the(engine, "ip-conflict")
        assert "it declined 3 leases, the last for 192.168.5.122" in found.text
        assert OTHER_MAC in found.text
        assert OTHER_MAC in found.action
        assert "DECLINE of 192.168.5.122" in [e.text for e in found.evidence]


def test_declined_leases_are_over_when_one_is_kept() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(2):
        dhcp.gets(1 + 12.0 * n, "192.168.5.120")
        dhcp.xid += 1
        dhcp.ask(2 + 12.0 * n, DECLINE, wanted="192.168.5.120", server=GATEWAY)
    dhcp.gets(25, CLOUD)
    wire.quiet(26, 120)
    assert the(watched(wire, 120), "ip-conflict").cleared_time_ns is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"router": "192.168.5.254", "dns": "192.168.5.254"}, "gives the gateway 192.168.5.254"),
        ({"dns": "203.0.113.66"}, "gives the DNS server 203.0.113.66"),
        ({}, None),
    ],
)
def test_a_second_server_with_other_options(more: dict[str, str], said: str | None) -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(3):
        at = 1 + 15.0 * n
        dhcp.xid += 1
        dhcp.ask(at, DISCOVER)
        options = lease("192.168.5.77", server="192.168.5.254", **more)
        dhcp.answer(
            at + 0.002, OFFER, "192.168.5.77", options, mac=OTHER_MAC, server="192.168.5.254"
        )
        dhcp.answer(at + 0.004, OFFER)
        dhcp.ask(at + 0.006, REQUEST, wanted=CLOUD, server=GATEWAY)
        dhcp.answer(at + 0.01, ACK)
    engine = watched(wire, 34)
    assert loud(engine) == (["dhcp-rogue"] if said else [])
    if said:
        found = the(engine, "dhcp-rogue")
        assert found.text.startswith("A second DHCP server, 192.168.5.254, ")
        assert said in found.text
        assert f"192.168.5.254 ({OTHER_MAC})" in found.action
        assert len(found.evidence) == 2


def test_a_stranger_without_a_lease_is_no_alarm() -> None:
    wire = Wire()
    phone = Dhcp(wire, OTHER_MAC)
    for n in range(5):
        phone.ask(1 + 3.0 * n, DISCOVER)
    assert loud(watched(wire, 16)) == []


def test_a_relay_that_is_mirrored_on_both_sides_counts_once() -> None:
    wire = Wire()
    dhcp = Dhcp(wire)
    for n in range(2):
        dhcp.xid += 1
        for copy in range(3):
            dhcp.ask(1 + 5.0 * n + 0.004 * copy, DISCOVER)
    assert loud(watched(wire, 10)) == []
