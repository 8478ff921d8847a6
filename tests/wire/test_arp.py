from __future__ import annotations

import pytest

from panotui.wire import arp
from panotui.wire.origin import Malformed
from tests.wire.seen_at import HERE

REQUEST = bytes.fromhex("0001080006040001020000000011c0a80505000000000000c0a80501")


def test_request_is_read_with_the_frame_that_carried_it():
    message = arp.parse(REQUEST + bytes(18), HERE, "02:00:00:00:00:99", 20)
    assert message is not None
    assert (message.op, message.sender_ip, message.target_ip) == (1, "192.168.5.5", "192.168.5.1")
    assert (message.sender_mac, message.target_mac) == ("02:00:00:00:00:11", "00:00:00:00:00:00")
    assert (message.eth_src, message.vlan) == ("02:00:00:00:00:99", 20)
    assert (message.time_ns, message.packet, message.interface, message.flow) == (
        HERE.time_ns,
        7,
        1,
        -1,
    )


def test_probe_and_announcement_keep_their_addresses():
    probe = REQUEST[:14] + bytes(4) + REQUEST[18:]
    message = arp.parse(probe, HERE)
    assert message is not None
    assert message.sender_ip == "0.0.0.0"
    announcement = REQUEST[:24] + REQUEST[14:18]
    message = arp.parse(announcement, HERE)
    assert message is not None
    assert message.sender_ip == message.target_ip


@pytest.mark.parametrize(
    "data", [b"", REQUEST[:7], REQUEST[:27], REQUEST[:4] + b"\x08\x04" + REQUEST[6:]]
)
def test_impossible_headers_are_malformed(data):
    with pytest.raises(Malformed):
        arp.parse(data, HERE)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x13" + REQUEST[2:],  # ATM
        REQUEST[:2] + b"\x86\xdd" + REQUEST[4:],
        REQUEST[:6] + b"\x00\x08" + REQUEST[8:],  # inverse ARP
    ],
)
def test_other_kinds_of_address_resolution_are_no_news(data):
    assert arp.parse(data, HERE) is None
