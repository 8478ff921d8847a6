"""Routers that stand in for each other by HSRP, from packets."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from tests.diagnosis.lan_wire import asked, loud, the
from tests.diagnosis.wire import CLOUD, ETH1, GATEWAY, Wire, ethernet, ipv4, udp_segment

COMMON = "00:00:0c:07:ac:07"
ACTIVE, STANDBY = 16, 8


def hello(src: str, mac: str, state: int, version: int) -> bytes:
    """An HSRP hello of a router that is active or stands by."""
    if version == 1:
        body = bytes([0, 0, state, 3, 10, 100, 7, 0]) + b"cisco\0\0\0"
        body += ipaddress.ip_address(GATEWAY).packed
        group, group_mac = "224.0.0.2", "01:00:5e:00:00:02"
    else:
        told = {ACTIVE: 6, STANDBY: 5}[state]
        body = bytes([1, 40, 2, 0, told, 4]) + struct.pack("!H", 7) + bytes(34)
        group, group_mac = "224.0.0.102", "01:00:5e:00:00:66"
    packet = ipv4(src, group, 17, udp_segment(1985, 1985, body), 1)
    return ethernet(mac, group_mac, 0x800, packet)


def pair(version: int, switch_at: float, end: float) -> Wire:
    wire = Wire()
    at = 0.0
    while at < end:
        first = at < switch_at
        if first:
            wire.add(at, hello("192.168.5.2", COMMON, ACTIVE, version), 1)
            wire.add(at + 0.3, hello("192.168.5.3", "02:00:00:00:02:03", STANDBY, version), 1)
        elif at > switch_at + 9:
            wire.add(at, hello("192.168.5.3", COMMON, ACTIVE, version), 1)
        if at % 9 == 0:
            asked(wire, at + 0.5, (ETH1, CLOUD), GATEWAY, COMMON)
        at += 3
    return wire


@pytest.mark.parametrize(("switch_at", "expected"), [(30, True), (500, False)])
def test_hsrp_routers_that_change_over_behind_one_mac(switch_at: float, expected: bool) -> None:
    engine = pair(1, switch_at, 80).watch(end=80)
    assert loud(engine) == (["gateway-changed"] if expected else [])
    if expected:
        assert the(engine, "gateway-changed").text == (
            f"Gateway {GATEWAY} failed over (HSRP): 192.168.5.3 took over from 192.168.5.2"
        )


def test_hsrp_of_version_2_raises_no_alarm() -> None:
    assert loud(pair(2, 500, 60).watch(end=60)) == []
