from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from panotui.model import LinkControlMessage
from panotui.wire import linkcontrol
from panotui.wire.origin import Malformed
from tests.captures import capture
from tests.meter.through_lane import run
from tests.wire.seen_at import HERE

BPDU = bytes.fromhex("000002023c8001000bbe1800aa000000048001000bbe1800bb80030000140002000f00")


def test_bridge_message_tells_root_bridge_and_state():
    message = linkcontrol.parse_stp(BPDU, HERE, "00:0b:be:18:00:bb")
    assert message is not None
    assert message.protocol == "rstp"
    assert message.detail == (
        "root 32768/00:0b:be:18:00:aa, cost 4, bridge 32768/00:0b:be:18:00:bb, port 3, "
        "designated, forwarding"
    )


def test_topology_change_is_told():
    message = linkcontrol.parse_stp(bytes.fromhex("00000080"), HERE, "")
    assert message is not None
    assert (message.protocol, message.detail) == ("stp", "topology change notification")
    changed = BPDU[:4] + b"\x3d" + BPDU[5:]
    message = linkcontrol.parse_stp(changed, HERE, "")
    assert message is not None
    assert message.detail.endswith("topology change")


def test_other_protocols_of_the_bridge_address_are_no_bridge_messages():
    assert linkcontrol.parse_stp(b"\x00\x01\x01\x02", HERE, "") is None  # GARP


def test_pause_and_its_kin_are_told():
    pause = linkcontrol.parse_pause(bytes.fromhex("0001ffff") + bytes(42), HERE, "m")
    assert pause is not None
    assert (pause.protocol, pause.detail) == ("pause", "65535 quanta")
    pfc = linkcontrol.parse_pause(bytes.fromhex("01010009") + b"\0\1" * 8, HERE, "m")
    assert pfc is not None
    assert (pfc.protocol, pfc.detail) == ("pfc", "quanta by priority 0: 1, 3: 1")


def test_rare_protocols_are_dissected():
    vrrp = linkcontrol.parse_vrrp(
        bytes.fromhex("2101640100010000c0a80001") + bytes(8), HERE, "10.0.0.2", "m"
    )
    assert (vrrp.protocol, vrrp.group) == ("vrrp", "1")
    assert vrrp.detail == "version 2, priority 100"
    assert linkcontrol.described(vrrp) == "version 2, priority 100, 192.168.0.1"
    eapol = linkcontrol.parse_eapol(bytes.fromhex("01010000"), HERE, "m")
    assert (eapol.protocol, eapol.detail) == ("eapol", "start")
    request = linkcontrol.parse_eapol(bytes.fromhex("010000050101000501"), HERE, "m")
    assert "REQUEST" in linkcontrol.described(request).upper()


def test_what_scapy_cannot_read_is_told_without_it():
    vrrp = linkcontrol.parse_vrrp(bytes.fromhex("3101640100010000"), HERE, "10.0.0.2", "m")
    broken = msgspec.structs.replace(vrrp, raw=b"\x31")
    assert linkcontrol.described(broken).startswith("version 3, priority")
    bpdu = linkcontrol.parse_stp(BPDU, HERE, "m")
    assert bpdu is not None
    assert linkcontrol.described(bpdu) == bpdu.detail


def test_real_standby_routers_are_told():
    told = run(capture("open/tcpdump__HSRP_failover.pcap")).of(LinkControlMessage)
    assert {m.src for m in told} == {"192.168.0.10", "192.168.0.20", "192.168.0.30"}
    assert any("Active" in linkcontrol.described(m) for m in told)
    assert any(linkcontrol.described(m) == "advertise" for m in told)


@pytest.mark.parametrize(
    ("parse", "data"),
    [
        (linkcontrol.parse_stp, b"\0\0"),
        (linkcontrol.parse_stp, BPDU[:20]),
        (linkcontrol.parse_pause, b"\0\1"),
        (linkcontrol.parse_pause, b"\1\1\0\0"),
        (linkcontrol.parse_slow, b""),
        (linkcontrol.parse_slow, b"\1" * 10),
        (linkcontrol.parse_eapol, b"\1"),
        (linkcontrol.parse_eapol, b"\1\0\xff\xff"),
    ],
)
def test_cut_frames_are_malformed(parse, data):
    with pytest.raises(Malformed):
        parse(data, HERE, "")


def test_scapy_is_loaded_for_nothing_but_a_description_and_is_silent_then():
    program = (
        "import sys\n"
        "from panotui.wire import arp, lldp, linkcontrol\n"
        "from panotui.meter.control.lane import ControlLane\n"
        "from panotui.wire.origin import Origin\n"
        f"linkcontrol.parse_stp(bytes.fromhex('{BPDU.hex()}'), Origin(0, 0, 0), '')\n"
        "assert not [m for m in sys.modules if m.startswith(('scapy', 'cryptography', 'dns.'))]\n"
        "vrrp = linkcontrol.parse_vrrp(bytes.fromhex('2101640100010000c0a80001') + bytes(8),"
        " Origin(0, 0, 0), '', '')\n"
        "assert 'scapy' not in sys.modules\n"
        "assert linkcontrol.described(vrrp)\n"
        "assert 'scapy' in sys.modules\n"
        "import scapy.data\n"
        "assert not scapy.data.MANUFDB.d  # 13 MB\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
