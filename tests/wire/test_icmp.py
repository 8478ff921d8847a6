from __future__ import annotations

import ipaddress
import struct

import pytest

from panotui.wire import icmp, igmp
from panotui.wire.origin import Malformed
from tests.wire.seen_at import HERE


def quoted4(protocol: int = 6, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 60, 1, fragment, 63, protocol, 0)
    return head + bytes([192, 168, 5, 5, 198, 51, 100, 7]) + struct.pack("!HHI", 40_000, 443, 1)


def quoted6(extensions: bytes = b"", next_header: int = 17) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, 8 + len(extensions), next_header, 63)
    ends = ipaddress.ip_address("2001:db8::5").packed + ipaddress.ip_address("2001:db8::7").packed
    return head + ends + extensions + struct.pack("!HHI", 5000, 53, 0)


def test_prohibited_by_an_administrator_names_the_flow_that_it_speaks_of():
    message = icmp.parse(b"\x03\x0d" + bytes(6) + quoted4(), HERE, 4, "192.168.5.1", "192.168.5.5")
    assert (message.type, message.code, message.src) == (3, 13, "192.168.5.1")
    assert (message.quoted_src, message.quoted_sport) == ("192.168.5.5", 40_000)
    assert (message.quoted_dst, message.quoted_dport) == ("198.51.100.7", 443)
    assert message.quoted_protocol == 6
    assert message.mtu is None


def test_fragmentation_needed_carries_the_mtu():
    message = icmp.parse(
        b"\x03\x04\0\0\0\0" + struct.pack("!H", 1400) + quoted4(17), HERE, 4, "a", "b"
    )
    assert (message.mtu, message.quoted_protocol) == (1400, 17)


def test_packet_too_big_carries_the_mtu_of_ipv6():
    message = icmp.parse(b"\x02\0\0\0" + struct.pack("!I", 1280) + quoted6(), HERE, 6, "a", "b")
    assert (message.mtu, message.quoted_dst, message.quoted_dport) == (1280, "2001:db8::7", 53)


def test_extension_headers_of_the_quoted_packet_are_walked():
    hop = bytes([60, 0]) + bytes(6)
    options = bytes([17, 0]) + bytes(6)
    message = icmp.parse(b"\x01\x04" + bytes(6) + quoted6(hop + options, 0), HERE, 6, "a", "b")
    assert (message.quoted_protocol, message.quoted_sport, message.quoted_dport) == (17, 5000, 53)


def test_quoted_later_fragment_has_no_ports():
    message = icmp.parse(b"\x0b\x01" + bytes(6) + quoted4(fragment=100), HERE, 4, "a", "b")
    assert message.quoted_src == "192.168.5.5"
    assert message.quoted_sport is None
    fragment = bytes([17, 0]) + struct.pack("!HI", 8, 1)
    message = icmp.parse(b"\x03\x01" + bytes(6) + quoted6(fragment, 44), HERE, 6, "a", "b")
    assert message.quoted_sport is None


def test_quote_that_is_cut_or_no_packet_leaves_the_error_readable():
    for rest in (b"", bytes(4), quoted4()[:19], b"\x41" + quoted4()[1:], b"\x95" + bytes(40)):
        message = icmp.parse(b"\x03\x01" + bytes(6) + rest, HERE, 4, "a", "b")
        assert (message.type, message.quoted_src) == (3, None)
    message = icmp.parse(b"\x03\x01" + bytes(6) + quoted4()[:20], HERE, 4, "a", "b")
    assert (message.quoted_src, message.quoted_sport) == ("192.168.5.5", None)


def test_redirect_names_the_better_router():
    message = icmp.parse(b"\x05\x01\0\0\xc0\xa8\x05\xfe" + quoted4(), HERE, 4, "a", "b")
    assert message.target == "192.168.5.254"


def test_neighbour_discovery_names_target_and_address():
    target = ipaddress.ip_address("fe80::11").packed
    option = b"\x02\x01\x02\x00\x00\x00\x00\x11"
    advert = icmp.parse(b"\x88\0\0\0\x60\0\0\0" + target + option, HERE, 6, "fe80::11", "ff02::1")
    assert (advert.target, advert.target_mac) == ("fe80::11", "02:00:00:00:00:11")
    router = b"\x86\0\0\0" + bytes(12) + b"\x05\x01\0\0" + struct.pack("!I", 1492)
    assert icmp.parse(router, HERE, 6, "a", "b").mtu == 1492


def test_neighbour_option_without_length_ends_the_packet_not_the_program():
    with pytest.raises(Malformed):
        icmp.parse(b"\x87\0\0\0" + bytes(20) + bytes(8), HERE, 6, "a", "b")


@pytest.mark.parametrize(
    ("data", "protocol", "group", "words"),
    [
        ("1164eca600000000", "igmp-query", None, "v2 general"),
        ("11000eff00000000", "igmp-query", None, "v1"),
        ("1164ec1e00000000027d0000", "igmp-query", None, "v3"),
        ("1164ec1ee00000fb", "igmp-query", "224.0.0.251", "one group"),
        ("1600090400000000"[:8] + "e00000fb", "igmp-report", "224.0.0.251", "v2"),
        ("12000903e00000fb", "igmp-report", "224.0.0.251", "v1"),
        ("17000803e00000fb", "igmp-leave", "224.0.0.251", "v2"),
        ("2200f9020000000104000000e00000fb", "igmp-report", "224.0.0.251", "to-exclude"),
        ("2200f9020000000103000000e00000fb", "igmp-leave", "224.0.0.251", "to-include"),
    ],
)
def test_group_membership_is_named(data, protocol, group, words):
    message = igmp.parse(bytes.fromhex(data), HERE, "10.0.0.1", "02:00:00:00:00:01")
    assert message is not None
    assert (message.protocol, message.group) == (protocol, group)
    assert words in message.detail


def test_listener_reports_of_ipv6_are_named_likewise():
    group = ipaddress.ip_address("ff02::fb").packed
    report = b"\x8f\0\0\0\0\0\0\x01" + b"\x04\0\0\0" + group
    message = igmp.parse_mld(report, HERE, "fe80::1")
    assert message is not None
    assert (message.protocol, message.group) == ("mld-report", "ff02::fb")
    done = b"\x84\0\0\0" + bytes(4) + group
    message = igmp.parse_mld(done, HERE, "fe80::1")
    assert message is not None
    assert message.protocol == "mld-leave"


def test_membership_records_that_run_past_the_packet_are_malformed():
    with pytest.raises(Malformed):
        igmp.parse(bytes.fromhex("2200f9020000ffff04000000e00000fb"), HERE, "10.0.0.1")
    with pytest.raises(Malformed):
        igmp.parse(bytes.fromhex("2200f9020000000104ff0000e00000fb"), HERE, "10.0.0.1")
