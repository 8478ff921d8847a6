from __future__ import annotations

import struct

import pytest

from panotui.model import NeighbourMessage
from panotui.wire import cdp, lldp
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind << 9 | len(value)) + value


MANDATORY = (
    tlv(1, b"\x04\x02\x00\x00\x00\x00\x01")
    + tlv(2, b"\x05Gi1/0/3")
    + tlv(3, struct.pack("!H", 120))
)


def organisation(oui: str, subtype: int, body: bytes) -> bytes:
    return tlv(127, bytes.fromhex(oui) + bytes((subtype,)) + body)


def test_lldp_tells_the_switch_and_its_port():
    data = (
        MANDATORY
        + tlv(4, b"uplink")
        + tlv(5, b"switch7\x1b]0;x")
        + tlv(6, b"[red]OS")
        + tlv(8, b"\x05\x01\x0a\x14\x00\xfe" + b"\x02\0\0\0\x01\0")
        + organisation("0080c2", 1, struct.pack("!H", 20))
        + organisation("00120f", 1, b"\x03\x6c\x01" + struct.pack("!H", 30))
        + organisation("00120f", 2, b"\x07\x01\x05\x51" + struct.pack("!HH", 130, 255))
        + organisation("00120f", 4, struct.pack("!H", 1522))
        + tlv(0, b"")
    )
    message = lldp.parse(data, HERE, "02:00:00:00:00:02")
    assert (message.chassis, message.port, message.ttl) == ("02:00:00:00:00:01", "Gi1/0/3", 120)
    assert (message.system_name, message.system_description) == (r"switch7\x1b]0;x", "[red]OS")
    assert (message.port_description, message.management) == ("uplink", ("10.20.0.254",))
    assert (message.vlan, message.speed_mbps, message.duplex) == (20, 1000, "full")
    assert (message.max_frame, message.power_w) == (1522, 25.5)
    assert message.src_mac == "02:00:00:00:00:02"


@pytest.mark.parametrize(
    ("mau", "speed", "duplex"),
    [
        (30, 1000, "full"),
        (29, 1000, "half"),
        (16, 100, "full"),
        (15, 100, "half"),
        (10, 10, "half"),
        (11, 10, "full"),
        (0, None, None),
        (999, None, None),
    ],
)
def test_mau_type_is_the_switchs_view_of_speed_and_duplex(mau, speed, duplex):
    body = b"\x03\x6c\x01" + struct.pack("!H", mau)
    message = lldp.parse(MANDATORY + organisation("00120f", 1, body), HERE, "")
    assert (message.speed_mbps, message.duplex) == (speed, duplex)


def test_shutdown_is_a_time_to_live_of_zero():
    data = MANDATORY[:-2] + b"\0\0"
    assert lldp.parse(data, HERE, "").ttl == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        tlv(0, b""),
        tlv(2, b"\x05x") + MANDATORY,
        MANDATORY[:12],
        MANDATORY + struct.pack("!H", 5 << 9 | 400),
        MANDATORY + tlv(8, b"\x20\x01"),
    ],
)
def test_lldp_without_its_mandatory_parts_or_cut_is_malformed(data):
    with pytest.raises(Malformed):
        lldp.parse(data, HERE, "")


def cdp_tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value) + 4) + value


def test_cdp_tells_the_switch_and_its_port():
    address = b"\0\0\0\x01" + b"\x01\x01\xcc\x00\x04\x0a\x14\x00\xfe"
    data = (
        b"\x02\xb4\0\0"
        + cdp_tlv(1, b"switch\x1b[2J")
        + cdp_tlv(2, address)
        + cdp_tlv(3, b"GigabitEthernet0/1")
        + cdp_tlv(5, b"IOS\r\n15")
        + cdp_tlv(6, b"WS-C3560")
        + cdp_tlv(10, b"\0\x14")
        + cdp_tlv(11, b"\0")
        + cdp_tlv(16, struct.pack("!H", 15_400))
        + cdp_tlv(22, address)
    )
    message = cdp.parse(data, HERE, "02:00:00:00:00:02")
    assert (message.chassis, message.port, message.ttl) == (
        r"switch\x1b[2J",
        "GigabitEthernet0/1",
        180,
    )
    assert (message.vlan, message.duplex, message.power_w) == (20, "half", 15.4)
    assert message.management == ("10.20.0.254",)
    assert message.system_description == r"WS-C3560, IOS\r\n15"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(40),
        b"\x02\xb4\0\0" + struct.pack("!HH", 1, 2),
        b"\x02\xb4\0\0" + struct.pack("!HH", 1, 400) + b"x",
        b"\x02\xb4\0\0" + cdp_tlv(6, b"nobody"),
    ],
)
def test_broken_cdp_is_malformed(data):
    with pytest.raises(Malformed):
        cdp.parse(data, HERE, "")


def test_real_switches_are_named():
    told = run(capture("open/tcpdump__LLDP_and_CDP.pcap")).of(NeighbourMessage)
    assert {(m.protocol, m.chassis, m.port) for m in told} == {
        ("cdp", "S1", "FastEthernet0/13"),
        ("cdp", "S2", "GigabitEthernet0/13"),
        ("lldp", "00:19:2f:a7:b2:8d", "Uplink to S1"),
        ("lldp", "00:18:ba:98:68:8f", "Fa0/13"),
    }
    assert {(m.speed_mbps, m.duplex) for m in told if m.protocol == "lldp"} == {(100, "full")}


def test_lldp_of_the_lab_is_read():
    told = run(capture("lab/lldp.pcap")).of(NeighbourMessage)
    assert [m.system_name for m in told] == ["vm", "vm"]
