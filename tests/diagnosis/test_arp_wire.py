"""Neighbours from packets: who claims an address and how, the next hop, masks and sweeps."""

from __future__ import annotations

import pytest

from tests.diagnosis.lan_wire import OTHER_MAC, Dns, asked, loud, the, vrrp
from tests.diagnosis.wire import (
    CLOUD,
    ETH0,
    ETH1,
    EVERYBODY,
    GATEWAY,
    ROUTER_MAC,
    SYN,
    Wire,
    arp_packet,
)
from tests.made_up import APPLIANCE, site

ME = (ETH1, CLOUD)
SECOND_ROUTER = "02:00:00:00:02:02"
HOST, HOST_MAC = "192.168.5.40", "02:00:00:00:05:40"
PRINTER, PRINTER_MAC = "192.168.5.41", "02:00:00:00:05:80"


def conversation(start: float, end: float, router: str = ROUTER_MAC) -> Wire:
    """The appliance asks for its gateway now and then, and gets an answer."""
    wire = Wire()
    at = start
    while at < end:
        asked(wire, at, ME, GATEWAY, router)
        at += 10
    return wire


@pytest.mark.parametrize("to", [ETH1, EVERYBODY])
def test_answers_for_the_gateway_that_nobody_asked_for_are_spoofing(to: str) -> None:
    wire = conversation(0, 60)
    for n in range(12):
        target = CLOUD if to == ETH1 else GATEWAY
        wire.add(31 + 2.0 * n, arp_packet(2, OTHER_MAC, GATEWAY, target, to), 1)
    engine = wire.watch(end=60)
    assert loud(engine) == ["arp-spoof"]
    found = the(engine, "arp-spoof")
    assert (
        found.text == f"{OTHER_MAC} claims to be the gateway {GATEWAY}, which was at {ROUTER_MAC}"
    )
    assert all(e.packet for e in found.evidence)


def test_answers_for_a_camera_that_nobody_asked_for_are_spoofing() -> None:
    wire = conversation(0, 60)
    for n in range(6):
        asked(wire, 1 + 10.0 * n, ME, HOST, HOST_MAC)
    for n in range(12):
        wire.add(31.5 + 2.0 * n, arp_packet(2, OTHER_MAC, HOST, GATEWAY, ROUTER_MAC), 1)
    engine = wire.watch(end=60)
    assert loud(engine) == ["arp-spoof"]
    assert (
        the(engine, "arp-spoof").text == f"{OTHER_MAC} claims to be {HOST}, which is at {HOST_MAC}"
    )


def test_a_device_that_was_given_the_gateways_address_is_a_conflict() -> None:
    wire = Wire()
    wire.add(0.5, arp_packet(1, OTHER_MAC, GATEWAY, GATEWAY), 1)  # it announces itself once
    for n in range(6):
        asked(wire, 1 + 5.0 * n, ME, GATEWAY, ROUTER_MAC, OTHER_MAC)
    engine = wire.watch(end=30)
    assert loud(engine) == ["ip-conflict"]
    assert the(engine, "ip-conflict").subject == GATEWAY


def test_two_cameras_that_came_with_the_same_address_are_a_conflict() -> None:
    wire = conversation(0, 30)
    for n in range(5):
        asked(wire, 1 + 5.0 * n, ME, HOST, "02:00:00:00:05:40", "02:00:00:00:05:41")
    assert loud(wire.watch(end=30)) == ["ip-conflict"]


def test_one_device_whose_two_ports_answer_for_each_other() -> None:
    one, two = "02:00:00:00:05:40", "02:00:00:00:05:41"
    wire = conversation(0, 30)
    asked(wire, 0.5, ME, PRINTER, two)
    for n in range(5):
        asked(wire, 1 + 5.0 * n, ME, HOST, one, two)
    engine = wire.watch(end=30)
    assert loud(engine) == []
    assert the(engine, "proxy-arp").severity == "info"


def test_a_router_that_answers_for_everybody() -> None:
    wire = conversation(0, 30)
    for n in range(5):
        asked(wire, 1 + 5.0 * n, ME, HOST, HOST_MAC, ROUTER_MAC)
    engine = wire.watch(end=30)
    assert loud(engine) == []
    found = the(engine, "proxy-arp")
    assert found.text == (
        f"Router {GATEWAY} ({ROUTER_MAC}) answers ARP for an address of other devices: {HOST}"
    )


def test_a_firewall_that_is_no_gateway_answers_for_several() -> None:
    wire = conversation(0, 30)
    for n in range(5):
        asked(wire, 1 + 5.0 * n, ME, HOST, HOST_MAC, OTHER_MAC)
        asked(wire, 2 + 5.0 * n, ME, PRINTER, PRINTER_MAC, OTHER_MAC)
    engine = wire.watch(end=30)
    assert loud(engine) == []
    assert "2 addresses" in the(engine, "proxy-arp").text


def test_an_address_that_was_given_to_another_device_is_no_conflict() -> None:
    wire = conversation(0, 60)
    for n in range(3):
        asked(wire, 1 + 5.0 * n, ME, HOST, HOST_MAC)
    for n in range(4):
        asked(wire, 30 + 5.0 * n, ME, HOST, OTHER_MAC)
    assert loud(wire.watch(end=60)) == []


# ---------------------------------------------------------------------- pairs of routers


def pair(wire: Wire, start: float, end: float, router: str, mac: str) -> None:
    at = start
    while at < end:
        wire.add(at, vrrp(router, mac), 1)
        at += 1


@pytest.mark.parametrize("virtual", [True, False])
def test_a_pair_of_routers_that_changes_over_and_back(virtual: bool) -> None:
    common = "00:00:5e:00:01:07"
    one, two = (common, common) if virtual else (ROUTER_MAC, SECOND_ROUTER)
    wire = Wire()
    pair(wire, 0, 30, "192.168.5.2", one)
    pair(wire, 33, 90, "192.168.5.3", two)
    for n in range(3):
        asked(wire, 1.5 + 10.0 * n, ME, GATEWAY, one)
    wire.add(33.1, arp_packet(2, two, GATEWAY, GATEWAY, EVERYBODY), 1)
    for n in range(5):
        asked(wire, 35.5 + 10.0 * n, ME, GATEWAY, two)
    engine = wire.watch(end=90)
    assert loud(engine) == ["gateway-changed"]
    found = the(engine, "gateway-changed")
    assert found.cleared_time_ns is None
    assert found.text == (
        f"Gateway {GATEWAY} failed over (VRRP): 192.168.5.3 took over from 192.168.5.2"
    )
    assert [e.text for e in found.evidence] == [
        "VRRP advertisement of 192.168.5.2", "VRRP advertisement of 192.168.5.3",
    ]  # fmt: skip
    pair(wire, 93, 500, "192.168.5.2", one)
    wire.add(93.1, arp_packet(2, one, GATEWAY, GATEWAY, EVERYBODY), 1)
    for n in range(5):
        asked(wire, 95.5 + 10.0 * n, ME, GATEWAY, one)
    engine = wire.watch(end=500)
    assert loud(engine) == ["gateway-changed"]
    assert the(engine, "gateway-changed").cleared_time_ns is not None


def test_two_routers_that_both_say_they_are_active() -> None:
    wire = conversation(0, 60)
    pair(wire, 0, 60, "192.168.5.2", ROUTER_MAC)
    pair(wire, 20.5, 60, "192.168.5.3", SECOND_ROUTER)
    found = the(wire.watch(end=60), "gateway-changed")
    assert "is served by two routers at once: 192.168.5" in found.text


def test_a_pair_that_stays_as_it_is() -> None:
    wire = conversation(0, 60)
    pair(wire, 0, 60, "192.168.5.2", ROUTER_MAC)
    assert loud(wire.watch(end=60)) == []


# ---------------------------------------------------------------------- gateways and masks


def test_a_gateway_that_nobody_has() -> None:
    wire = Wire()
    for n in range(8):
        asked(wire, 0.5 + 4.0 * n, ME, "192.168.5.254")
        asked(wire, 1 + 4.0 * n, ME, HOST, HOST_MAC)
    engine = wire.watch(end=34)
    assert loud(engine) == ["wrong-gateway"]
    found = the(engine, "wrong-gateway")
    assert found.text == (
        "Port eth1 asks for the gateway 192.168.5.254, which nobody has (8 requests); the site's"
        f" gateway is {GATEWAY}"
    )
    assert found.action.endswith(f"to {GATEWAY}")


def test_a_neighbour_that_is_off_is_no_wrong_gateway() -> None:
    wire = conversation(0, 34)
    for n in range(8):
        asked(wire, 0.5 + 4.0 * n, ME, "192.168.5.254")
    assert "wrong-gateway" not in loud(wire.watch(end=34))


def test_a_gateway_that_forwards_nothing() -> None:
    wire = Wire()
    asked(wire, 0.1, (HOST_MAC, HOST), GATEWAY, ROUTER_MAC)
    asked(wire, 0.5, ME, "192.168.5.254", OTHER_MAC)
    for n in range(8):
        flow = wire.tcp((ETH1, CLOUD, 40_000 + n), (OTHER_MAC, f"203.0.113.{n + 1}", 443), 1)
        flow.segment(1 + 3.0 * n, True, SYN)
        flow.segment(2 + 3.0 * n, True, SYN)
    found = the(wire.watch(end=30), "wrong-gateway")
    assert found.text.startswith(
        "Port eth1 sends traffic for other networks to 192.168.5.254, which forwards nothing"
    )


def test_a_gateway_that_nobody_has_is_told_without_a_control_as_possible() -> None:
    wire = Wire()
    # what others say to each other is seen, so an answer would be too; that ARP works is not
    others = wire.tcp((HOST_MAC, HOST, 40_000), (ROUTER_MAC, "203.0.113.9", 443), 1)
    others.open(0.2)
    for n in range(8):
        asked(wire, 0.5 + 4.0 * n, ME, "192.168.5.254")
    found = the(wire.watch(end=34), "wrong-gateway")
    assert found.confidence == "possible"


def test_what_nobody_answers_on_a_plain_switch_port_says_nothing_of_the_gateway() -> None:
    wire = Wire()
    for n in range(8):
        asked(wire, 0.5 + 4.0 * n, ME, "192.168.5.254")
    assert loud(wire.watch(end=34)) == ["not-a-mirror"]


def test_a_mask_that_is_too_wide_shows_also_where_a_router_answers() -> None:
    wire = conversation(0, 20)
    asked(wire, 1, ME, "192.168.6.20", ROUTER_MAC)
    engine = wire.watch(end=6)
    assert loud(engine) == ["wrong-mask"]
    assert the(engine, "wrong-mask").evidence[0].packet == 3


def test_a_second_router_that_forwards_is_none_of_our_business() -> None:
    wire = Wire()
    asked(wire, 0.1, (HOST_MAC, HOST), GATEWAY, ROUTER_MAC)
    asked(wire, 0.5, ME, "192.168.5.254", OTHER_MAC)
    for n in range(5):
        flow = wire.tcp((ETH1, CLOUD, 40_000 + n), (OTHER_MAC, f"203.0.113.{n + 1}", 443), 1)
        flow.open(1 + 3.0 * n)
    assert "wrong-gateway" not in loud(wire.watch(end=30))


PORTS = {
    "eth0": {"role": "camera", "mac": ETH0, "address": f"{APPLIANCE}/16"},
    "eth1": {"role": "cloud", "mac": ETH1, "address": f"{CLOUD}/24"},
}


@pytest.mark.parametrize(("through", "expected"), [(ROUTER_MAC, True), (HOST_MAC, False)])
def test_a_neighbour_that_is_reached_through_the_router(through: str, expected: bool) -> None:
    wire = Wire()
    asked(wire, 0.1, (ETH0, APPLIANCE), "10.20.0.1", ROUTER_MAC, interface=0)
    wire.tcp((ETH0, APPLIANCE, 40_000), (through, "10.20.9.9", 554), 0).open(1)
    who = site(ports=PORTS, network={"gateways": ["10.20.0.1", GATEWAY]})
    engine = wire.watch(who, end=5)
    assert ("wrong-mask" in loud(engine)) is expected
    if expected:
        found = the(engine, "wrong-mask")
        assert found.text == (
            "Port eth0 reaches 10.20.9.9, a neighbour in its own network, through the router: its"
            " subnet mask is too narrow"
        )
        assert found.evidence[0].packet == 3


def test_a_neighbour_whose_router_answers_arp_for_it_shows_no_mask() -> None:
    wire = Wire()
    asked(wire, 0.1, (ETH0, APPLIANCE), "10.20.0.1", ROUTER_MAC, interface=0)
    asked(wire, 0.2, (ETH0, APPLIANCE), "10.20.9.9", ROUTER_MAC, interface=0)
    wire.tcp((ETH0, APPLIANCE, 40_000), (ROUTER_MAC, "10.20.9.9", 554), 0).open(1)
    who = site(ports=PORTS, network={"gateways": ["10.20.0.1", GATEWAY]})
    assert "wrong-mask" not in loud(wire.watch(who, end=5))


def test_another_hosts_gateway_that_does_not_answer_is_its_own_matter() -> None:
    wire = conversation(0, 30)
    for n in range(8):
        asked(wire, 0.5 + 3.0 * n, (HOST_MAC, HOST), "192.168.5.1" if n % 2 else "192.168.5.9")
    assert loud(wire.watch(end=30)) == []


# ---------------------------------------------------------------------- sweeps


@pytest.mark.parametrize(("targets", "expected"), [(120, True), (30, False)])
def test_a_host_that_asks_for_everybody(targets: int, expected: bool) -> None:
    wire = conversation(0, 30)
    for n in range(targets):
        asked(wire, 5 + 0.02 * n, (OTHER_MAC, "192.168.5.66"), f"192.168.5.{100 + n}")
    engine = wire.watch(end=30)
    assert loud(engine) == (["scan"] if expected else [])
    if expected:
        assert the(engine, "scan").text == (
            "192.168.5.66 asks by ARP for 120 addresses of the network in a minute,"
            " and none answers"
        )


def test_a_router_that_asks_for_those_who_answer_sweeps_nothing() -> None:
    wire = conversation(0, 30)
    for n in range(90):
        owner = f"02:00:00:00:06:{n:02x}"
        asked(wire, 5 + 0.02 * n, (ROUTER_MAC, GATEWAY), f"192.168.5.{100 + n}", owner)
    assert loud(wire.watch(end=30)) == []


def test_a_resolver_of_the_own_network_that_is_off() -> None:
    wire = conversation(0, 30)
    for n in range(6):
        asked(wire, 1 + 3.0 * n, ME, "192.168.5.53")
    who = site(network={"gateways": [GATEWAY], "dns": ["192.168.5.53"]})
    engine = wire.watch(who, end=20)
    assert loud(engine) == ["dns-timeout"]
    assert the(engine, "dns-timeout").text == (
        "DNS server 192.168.5.53 is not on the network: it does not answer ARP (6 requests)"
    )


def test_a_resolver_of_the_own_network_that_answers() -> None:
    wire = conversation(0, 30)
    asked(wire, 1, ME, "192.168.5.53", PRINTER_MAC)
    Dns(wire).look(2, "a.example.com", "203.0.113.1", server="192.168.5.53", mac=PRINTER_MAC)
    who = site(network={"gateways": [GATEWAY], "dns": ["192.168.5.53"]})
    assert loud(wire.watch(who, end=20)) == []
