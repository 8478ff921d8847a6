"""Findings of addressing, names and time from packets: each cause, and what is near it."""

from __future__ import annotations

import pytest

from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    EVERYBODY,
    GATEWAY,
    ROUTER_MAC,
    Wire,
    arp_packet,
    client_hello,
    dhcp_packet,
    ntp_packet,
    ntp_stamp,
    server_id,
    told,
)
from tests.made_up import START, site

LOGS, LOGS_IP = "logs.us-east-1.amazonaws.com", "203.0.113.90"
OTHER = "02:00:00:00:04:04"


def dhcp(wire: Wire, at: float, kind: int, client: str = ETH1, **more: object) -> None:
    body = dhcp_packet(kind, client, **more)  # type: ignore[arg-type]
    if kind in (2, 5, 6):
        wire.udp(at, (ROUTER_MAC, GATEWAY, 67), (EVERYBODY, "255.255.255.255", 68), body, 1)
    else:
        wire.udp(at, (client, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67), body, 1)


def test_dhcp_server_that_refuses_an_address() -> None:
    wire = Wire()
    wanted = b"\x32\x04" + bytes([192, 168, 7, 9])
    dhcp(wire, 0.1, 3, options=wanted)
    dhcp(wire, 0.2, 6, options=server_id(GATEWAY))
    found = told(wire.watch(end=4))["dhcp-nak"]
    assert found.text == f"DHCP server {GATEWAY} refuses the address 192.168.7.9 to port eth1"
    assert [e.packet for e in found.evidence] == [1, 2]
    assert found.subject == "eth1"


def test_refusal_is_over_when_a_lease_follows() -> None:
    wire = Wire()
    dhcp(wire, 0.1, 3)
    dhcp(wire, 0.2, 6, options=server_id(GATEWAY))
    dhcp(wire, 1.1, 1)
    dhcp(wire, 1.2, 2, yours="192.168.5.9", options=server_id(GATEWAY))
    dhcp(wire, 1.3, 3)
    dhcp(wire, 1.4, 5, yours="192.168.5.9", options=server_id(GATEWAY))
    wire.quiet(2, 80)
    found = told(wire.watch())["dhcp-nak"]
    assert found.cleared_time_ns is not None
    assert "dhcp-nak" not in told(_lease_only())


def _lease_only():  # type: ignore[no-untyped-def]
    wire = Wire()
    dhcp(wire, 0.1, 3)
    dhcp(wire, 0.2, 5, yours="192.168.5.9", options=server_id(GATEWAY))
    return wire.watch(end=3)


@pytest.mark.parametrize("served", [True, False])
def test_full_pool_is_supposed_only_where_others_are_served(served: bool) -> None:
    wire = Wire()
    if served:
        dhcp(wire, 0.1, 3, client=OTHER, xid=9)
        dhcp(wire, 0.2, 5, client=OTHER, xid=9, yours="192.168.5.44", options=server_id(GATEWAY))
    for n in range(3):
        dhcp(wire, 1 + 2.0 * n, 1)
    found = told(wire.watch(end=8))
    assert ("dhcp-pool" in found) is served
    assert ("dhcp-no-offer" in found) is not served
    if served:
        assert found["dhcp-pool"].confidence == "possible"
        assert found["dhcp-pool"].text.startswith(
            "The DHCP server serves others but not port eth1 (3"
        )
        assert len(found["dhcp-pool"].evidence) == 3


@pytest.mark.parametrize(
    ("address", "expected"), [("192.168.5.77", True), ("192.168.5.5", False)]
)  # fmt: skip
def test_appliance_with_another_address_than_the_sites(address: str, expected: bool) -> None:
    wire = Wire()
    for n in range(4):
        wire.udp(
            n + 0.1, (ETH1, address, 4000), (ROUTER_MAC, GATEWAY, 123), ntp_packet(3, START), 1
        )
    found = told(wire.watch())
    assert ("address-changed" in found) is expected
    if expected:
        change = found["address-changed"]
        assert change.text == (
            "Port eth1 uses 192.168.5.77, but the site file says 192.168.5.5"
        )  # fmt: skip
        assert change.evidence[0].packet == 1


@pytest.mark.parametrize(("address", "expected"), [("169.254.7.7", True), (CLOUD, False)])
def test_appliance_without_a_lease_gives_itself_an_address(address: str, expected: bool) -> None:
    wire = Wire()
    for n in range(3):
        wire.add(n + 0.1, arp_packet(1, ETH1, address, GATEWAY), 1)
        wire.udp(n + 0.2, (ETH1, address, 4000), (ROUTER_MAC, GATEWAY, 4000), b"x", 1)
    found = told(wire.watch())
    assert ("link-local" in found) is expected
    if expected:
        assert found["link-local"].evidence[0].packet == 1
        assert "address-changed" not in found


def gateway_moves(*, claims: bool, back: bool = False) -> Wire:
    """The gateway's address is first at the router, then elsewhere."""
    wire = Wire()
    for n in range(3):
        wire.add(n + 0.1, arp_packet(1, ETH1, CLOUD, GATEWAY), 1)
        wire.add(n + 0.11, arp_packet(2, ROUTER_MAC, GATEWAY, CLOUD, ETH1), 1)
    for n in range(3, 6):
        if claims:
            wire.add(n + 0.1, arp_packet(1, OTHER, GATEWAY, GATEWAY), 1)
            if back:
                wire.add(n + 0.5, arp_packet(2, ROUTER_MAC, GATEWAY, CLOUD, ETH1), 1)
        else:
            wire.add(n + 0.1, arp_packet(1, ETH1, CLOUD, GATEWAY), 1)
            wire.add(n + 0.11, arp_packet(2, OTHER, GATEWAY, CLOUD, ETH1), 1)
    return wire


def test_gateway_that_answers_from_another_mac_has_changed() -> None:
    found = told(gateway_moves(claims=False).watch(end=6))
    assert "arp-spoof" not in found
    changed = found["gateway-changed"]
    assert changed.text == f"The gateway {GATEWAY} moved from {ROUTER_MAC} to {OTHER}"
    assert [e.packet for e in changed.evidence] == [6, 8]


def test_host_that_claims_the_gateways_address_is_spoofing() -> None:
    found = told(gateway_moves(claims=True, back=True).watch(end=6))
    spoof = found["arp-spoof"]
    assert spoof.text == f"{OTHER} claims to be the gateway {GATEWAY}, which was at {ROUTER_MAC}"
    assert "gateway-changed" not in found
    assert {e.packet for e in spoof.evidence} >= {7}


def test_router_that_announces_itself_is_no_spoofer() -> None:
    wire = Wire()
    for n in range(5):
        wire.add(n + 0.1, arp_packet(1, ROUTER_MAC, GATEWAY, GATEWAY), 1)
        wire.add(n + 0.2, arp_packet(2, ROUTER_MAC, GATEWAY, CLOUD, ETH1), 1)
    assert told(wire.watch(end=6)) == {}


@pytest.mark.parametrize(("target", "expected"), [("192.168.6.20", True), ("192.168.5.20", False)])
def test_arp_for_a_host_outside_the_subnet_shows_a_wrong_mask(target: str, expected: bool) -> None:
    wire = Wire()
    for n in range(3):
        wire.add(n + 0.1, arp_packet(1, ETH1, CLOUD, target), 1)
    found = told(wire.watch(end=4))
    assert ("wrong-mask" in found) is expected
    if expected:
        assert f"for {target}, which is outside its network 192.168.5.0/24" in (
            found["wrong-mask"].text
        )
        assert [e.packet for e in found["wrong-mask"].evidence] == [1, 2, 3]


@pytest.mark.parametrize(("after", "expected"), [(0.7, True), (0.2, False)])
def test_slow_resolver(after: float, expected: bool) -> None:
    wire = Wire()
    for n in range(6):
        wire.ask(n + 0.1, f"host{n}.example.com", "203.0.113.7", after)
    found = told(wire.watch(end=8))
    assert ("dns-slow" in found) is expected
    if expected:
        assert found["dns-slow"].text.startswith(f"DNS server {GATEWAY} is slow: it takes 700 ms")
        assert found["dns-slow"].evidence


@pytest.mark.parametrize("server", ["203.0.113.123", GATEWAY])
def test_public_time_server_beside_a_local_one(server: str) -> None:
    wire = Wire()
    mine, theirs = (ETH1, CLOUD, 123), (ROUTER_MAC, server, 123)
    for n in range(3):
        at = START + int((n + 0.1) * 1e9)
        wire.udp(n + 0.1, mine, theirs, ntp_packet(3, at), 1)
        wire.udp(n + 0.12, theirs, mine, ntp_packet(4, at, ntp_stamp(at)), 1)
    found = told(wire.watch(end=4))
    assert ("ntp-public" in found) is (server != GATEWAY)
    if server != GATEWAY:
        assert GATEWAY in found["ntp-public"].text
        assert found["ntp-public"].evidence


PRINTED, REAL = "logs.us-east-1.aws.amazon.com", LOGS


@pytest.mark.parametrize("blocked", [True, False])
def test_firewall_that_was_built_from_the_old_guide(blocked: bool) -> None:
    wire = Wire()
    wire.ask(0.1, PRINTED, "203.0.113.80")
    wire.ask(0.2, REAL, LOGS_IP)
    wire.ask(0.3, "monitoring.us-east-1.amazonaws.com", "203.0.113.81")
    wire.works(0.4, "203.0.113.81", 41_000, "monitoring.us-east-1.amazonaws.com")
    if blocked:
        wire.tcp((ETH1, CLOUD, 41_001), (ROUTER_MAC, LOGS_IP, 443), 1).syn(0.5, 4)
    else:
        wire.works(0.5, LOGS_IP, 41_001, REAL)
    found = told(wire.watch(end=6))
    assert ("guide-names" in found) is blocked
    if blocked:
        assert PRINTED in found["guide-names"].text
        assert REAL in found["guide-names"].text
        # one cause, one finding: the block hangs on it
        assert found["tcp-blocked"].hidden_by == found["guide-names"].key


def test_real_names_that_are_blocked_without_printed_ones_are_only_blocked() -> None:
    wire = Wire()
    wire.ask(0.2, REAL, LOGS_IP)
    wire.tcp((ETH1, CLOUD, 41_001), (ROUTER_MAC, LOGS_IP, 443), 1).syn(0.5, 4)
    assert "guide-names" not in told(wire.watch(end=6))


@pytest.mark.parametrize(("said", "expected"), [(REAL, True), (None, False)])
def test_name_at_an_address_that_dns_did_not_give(said: str | None, expected: bool) -> None:
    wire = Wire()
    wire.ask(0.1, REAL, LOGS_IP)
    flow = wire.tcp(
        (ETH1, CLOUD, 41_001), (ROUTER_MAC, "203.0.113.91" if said else LOGS_IP, 443), 1
    )
    flow.open(0.3)
    flow.send(0.4, client_hello(REAL))
    found = told(wire.watch(site(), end=3))
    assert ("name-unverified" in found) is expected
    if expected:
        assert found["name-unverified"].severity == "info"
        assert found["name-unverified"].evidence[0].packet == 6
