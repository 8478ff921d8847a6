from __future__ import annotations

import struct

import pytest

from panotui.model import DhcpMessage
from panotui.wire import dhcp
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE


def option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def packet(options: bytes, sname: bytes = b"", file: bytes = b"", op: int = 2) -> bytes:
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, 0xDEADBEEF, 0, 0x8000)
    addresses = bytes(4) + bytes([10, 20, 0, 11]) + bytes(4) + bytes([10, 9, 9, 9])
    mac = bytes.fromhex("020000000011").ljust(16, b"\0")
    return (
        head
        + addresses
        + mac
        + sname.ljust(64, b"\0")
        + file.ljust(128, b"\0")
        + dhcp.MAGIC
        + options
    )


def read(data: bytes) -> DhcpMessage:
    message = dhcp.parse(data, HERE, "10.20.0.1", "255.255.255.255", "02:00:00:00:00:01")
    assert message is not None
    return message


FULL = b"".join(
    (
        option(53, b"\x02"),
        option(54, bytes([10, 20, 0, 1])),
        option(51, struct.pack("!I", 3600)),
        option(1, b"\xff\xff\xff\0"),
        option(3, bytes([10, 20, 0, 254])),
        option(6, bytes([10, 20, 0, 1, 10, 20, 0, 2])),
        option(42, bytes([10, 20, 0, 3])),
        option(12, b"cam\x1b]0;x"),
        option(15, b"example.test\0"),
        option(60, b"[red]Maker"),
        b"\xff",
    )
)


def test_offer_is_read_with_all_its_options():
    message = read(packet(FULL))
    assert (message.type, message.xid) == ("offer", 0xDEADBEEF)
    assert (message.your_ip, message.relay_ip, message.client_ip) == (
        "10.20.0.11",
        "10.9.9.9",
        None,
    )
    assert (message.server_id, message.lease_s, message.mask) == (
        "10.20.0.1",
        3600,
        "255.255.255.0",
    )
    assert message.routers == ("10.20.0.254",)
    assert message.dns == ("10.20.0.1", "10.20.0.2")
    assert message.ntp == ("10.20.0.3",)
    assert (message.host_name, message.domain) == (r"cam\x1b]0;x", "example.test")
    assert message.vendor_class == "[red]Maker"
    assert (message.client_mac, message.eth_src) == ("02:00:00:00:00:11", "02:00:00:00:00:01")


@pytest.mark.parametrize(("code", "name"), sorted(dhcp.TYPES.items()))
def test_every_type_has_its_name(code, name):
    assert read(packet(option(53, bytes((code,))) + b"\xff")).type == name


def test_unknown_type_is_named_by_number_and_none_is_bootp():
    assert read(packet(option(53, b"\x0d") + b"\xff")).type == "type-13"
    assert read(packet(b"\xff")).type == "bootp"


def test_repeated_options_are_one():
    options = option(53, b"\x05") + option(12, b"long-") + option(12, b"name") + b"\xff"
    assert read(packet(options)).host_name == "long-name"


def test_options_go_on_in_the_overloaded_fields():
    message = read(
        packet(
            option(53, b"\x05") + option(52, b"\x03") + b"\xff",
            sname=option(12, b"in-sname") + b"\xff",
            file=option(15, b"in-file") + b"\xff",
        )
    )
    assert (message.host_name, message.domain) == ("in-sname", "in-file")


def test_fields_that_are_not_overloaded_are_not_options():
    options = option(53, b"\x05") + option(52, b"\x01") + b"\xff"
    message = read(packet(options, sname=option(12, b"no") + b"\xff"))
    assert message.host_name is None


def test_classless_default_route_overrides_the_router():
    routes = bytes([24, 10, 1, 2, 10, 20, 0, 7]) + bytes([0, 10, 20, 0, 9])
    options = option(53, b"\x05") + option(3, bytes([10, 20, 0, 254])) + option(121, routes)
    assert read(packet(options + b"\xff")).routers == ("10.20.0.9",)
    # "the DHCP client MUST ignore the Router option" (RFC 3442), also without a default among them
    options = option(3, bytes([10, 20, 0, 254])) + option(121, routes[:8])
    assert read(packet(options + b"\xff")).routers == ()


def test_client_name_of_option_81_serves_when_there_is_no_12():
    assert read(packet(option(81, b"\x01\0\0pc.example") + b"\xff")).host_name == "pc.example"
    labels = b"\x04\0\0\x02pc\x07example\0"
    assert read(packet(option(81, labels) + b"\xff")).host_name == "pc.example"


@pytest.mark.parametrize(
    "data", [b"", packet(b"")[:235], packet(option(53, b"\x01")[:2]), packet(b"\x35\x40\x01")]
)
def test_cut_packets_are_malformed(data):
    with pytest.raises(Malformed):
        read(data)


def test_other_traffic_on_the_ports_is_no_news():
    assert dhcp.parse(bytes(300), HERE, "a", "b") is None


def test_overload_of_a_real_server_is_read():
    messages = run(capture("open/sv__dhcp-option-52-overload.pcap")).of(DhcpMessage)
    assert {m.type for m in messages} == {"discover", "offer", "request", "ack"}


def test_lab_exchange_gives_a_lease():
    messages = run(capture("lab/dhcp.pcap")).of(DhcpMessage)
    assert [m.type for m in messages] == ["discover", "offer", "request", "ack"] * 2
    ack = messages[3]
    assert ack.your_ip is not None
    assert ack.lease_s
    assert ack.server_id is not None
