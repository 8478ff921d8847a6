"""Link and topology findings from packets: what provokes each, and what is near and does not."""

from __future__ import annotations

import struct
from unittest.mock import patch

import pytest

from panotui.engine.events import HEARD_MOST
from panotui.model import SECOND, LinkReading, Site
from tests.diagnosis.wire import (
    CAMERA_MAC,
    CLOUD,
    ETH0,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    Rtsp,
    Wire,
    arp_packet,
    ethernet,
    told,
)
from tests.made_up import APPLIANCE, CAMERA, START, site

HOST = {"topology": "dual", "region": "us-east-1", "vantage": "host"}


def single(vantage: str = "mirror", second: str = "10.20.0.6/24", **more: object) -> Site:
    ports = {
        "eth0": {"mac": ETH0, "address": "10.20.0.5/24"},
        "eth1": {"mac": ETH1, "address": second},
    }
    return site(
        site={"topology": "single", "region": "us-east-1", "vantage": vantage},
        ports=ports, network={"gateways": ["10.20.0.1"]}, **more,
    )  # fmt: skip


def reading(at: int, name: str, **fields: object) -> LinkReading:
    return LinkReading(
        **{
            "time_ns": START + at * SECOND, "interface": name, "up": True, "speed_mbps": 1000,
            "duplex": "full", **fields,
        }
    )  # fmt: skip


def chatter(wire: Wire, mac: str, address: str, start: float, end: float, *, interface: int = 0,
            to: tuple[str, str] = (ROUTER_MAC, "10.20.0.1"), every: float = 0.5,
            vlan: int | None = None) -> None:  # fmt: skip
    """A conversation of one port, both ways."""
    at = start
    while at < end:
        wire.udp(at, (mac, address, 4000), (*to, 4000), b"ping", interface, vlan=vlan)
        wire.udp(at + 0.01, (*to, 4000), (mac, address, 4000), b"pong", interface, vlan=vlan)
        at += every


@pytest.mark.parametrize(("rate_mbps", "seconds", "expected"), [(96, 13, True), (80, 13, False),
                                                               (96, 8, False)])  # fmt: skip
def test_port_is_saturated_after_ten_full_seconds(
    rate_mbps: int, seconds: int, expected: bool
) -> None:
    wire = Wire(("eth0", "eth1"))
    step = 60_000 * 8 / (rate_mbps * 1e6)
    for n in range(int(seconds / step)):
        wire.udp(n * step, (CAMERA_MAC, CAMERA, 5000), (ETH0, APPLIANCE, 6000), bytes(20))
        at, interface, frame, _ = wire.frames[-1]
        wire.frames[-1] = (at, interface, frame, 60_000)
    engine = wire.watch(site(site=HOST), live=True, readings=(reading(0, "eth0", speed_mbps=100),),
                        end=seconds)  # fmt: skip
    found = told(engine).get("saturated")
    assert (found is not None) is expected
    if found:
        assert found.text.startswith("Port eth0 is saturated: 9")
        assert found.text.endswith("% of 100 Mb/s")


def test_standby_port_without_link_is_no_redundancy() -> None:
    for up in (False, True):
        wire = Wire(("eth0", "eth1"))
        chatter(wire, ETH0, APPLIANCE, 0, 45)
        engine = wire.watch(
            single("host"), live=True,
            readings=tuple(reading(s, n, up=up or n == "eth0") for s in range(45)
                           for n in ("eth0", "eth1")),
        )  # fmt: skip
        found = told(engine)
        assert ("no-standby" in found) is not up
        if not up:
            assert found["no-standby"].subject == "eth1"
            assert found["no-standby"].action == "Connect eth1 to the same network as eth0"
            assert found["no-standby"].confidence == "certain"
            assert found["no-standby"].hidden_by == found["link-down"].key


@pytest.mark.parametrize(("every", "expected"), [(0, True), (300, False)])
def test_second_port_that_never_speaks_is_perhaps_not_connected(every: int, expected: bool) -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 700, every=5)
    if every:
        chatter(wire, ETH1, "10.20.0.6", 0, 700, interface=1, every=every)
    found = told(wire.watch(single()))
    assert ("no-standby" in found) is expected
    if expected:
        assert found["no-standby"].text == "Port eth1 is silent: there is no redundancy"
        assert found["no-standby"].confidence == "possible"


def test_second_port_in_another_network_could_not_take_over() -> None:
    for second, expected in (("192.168.7.6/24", True), ("10.20.0.6/24", False)):
        wire = Wire()
        chatter(wire, ETH0, APPLIANCE, 0, 5)
        chatter(wire, ETH1, second.split("/")[0], 0, 5, interface=1)
        found = told(wire.watch(single(second=second)))
        assert ("standby-wrong-net" in found) is expected
        if expected:
            assert "192.168.7.0/24" in found["standby-wrong-net"].text


def test_failover_names_both_ports_and_the_gap() -> None:
    for gap, expected in ((4.0, True), (None, False)):
        wire = Wire()
        chatter(wire, ETH0, APPLIANCE, 0, 20)
        if gap is None:
            chatter(wire, ETH1, "10.20.0.6", 0, 40, interface=1)  # always spoke
        else:
            chatter(wire, ETH1, "10.20.0.6", 20 + gap, 40, interface=1)
        found = told(wire.watch(single()))
        assert ("failover" in found) is expected, found
        if expected:
            assert found["failover"].subject == "eth0"
            assert (
                found["failover"].text == "Traffic moved from eth0 to eth1; the gap was about 5 s"
            )
            assert found["failover"].evidence[1].time_ns == START + 24 * SECOND


def test_swapped_cables_show_cameras_on_the_cloud_port() -> None:
    for swapped in (True, False):
        wire = Wire()
        camera_end, cloud_end = (ETH0, APPLIANCE), (ETH1, CLOUD)
        if swapped:
            camera_end, cloud_end = cloud_end, camera_end
        camera = wire.tcp((*camera_end, 40_001), (CAMERA_MAC, CAMERA, 554), int(swapped))
        camera.open(0.1)
        camera.send(0.2, b"OPTIONS rtsp://10.20.0.11/s RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        camera.answer(0.3, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: PLAY\r\n\r\n")
        cloud = wire.tcp((*cloud_end, 40_002), (ROUTER_MAC, "203.0.113.90", 443), int(not swapped))
        # the address of the cloud must have a name that the policy knows
        mine, theirs = (*cloud_end, 30_001), (ROUTER_MAC, GATEWAY, 53)
        from tests.diagnosis.wire import client_hello, dns_packet

        name = "logs.us-east-1.amazonaws.com"
        wire.udp(0.1, mine, theirs, dns_packet(1, name), int(not swapped))
        wire.udp(0.12, theirs, mine, dns_packet(1, name, "203.0.113.90", answer=True),
                 int(not swapped))  # fmt: skip
        cloud.open(0.3)
        cloud.send(0.4, client_hello(name))
        found = told(wire.watch(end=4))
        assert ("swapped-ports" in found) is swapped, found
        if swapped:
            assert found["swapped-ports"].text == (
                "The cables of eth1 and eth0 are swapped: cameras answer on eth1"
            )
            assert found["swapped-ports"].evidence


def test_two_ports_in_one_network_hear_each_other() -> None:
    for joined in (True, False):
        wire = Wire()
        chatter(wire, ETH0, APPLIANCE, 0, 5, to=(CAMERA_MAC, CAMERA))
        chatter(wire, ETH1, CLOUD, 0, 5, interface=1, to=(ROUTER_MAC, GATEWAY))
        for n in range(4):
            frame = arp_packet(1, ETH1, CLOUD, GATEWAY)
            wire.add(n + 0.3, frame, 1)
            if joined:
                wire.add(n + 0.3001, frame, 0)
        who = site(ports={
            "eth0": {"role": "camera", "mac": ETH0, "interface": "mir0"},
            "eth1": {"role": "cloud", "mac": ETH1, "interface": "mir1"},
        })  # fmt: skip
        found = told(wire.watch(who))
        assert ("port-same-net" in found) is joined, found
        if joined:
            assert found["port-same-net"].text == "Both ports are in one network: eth0 hears eth1"
            assert found["port-same-net"].evidence


def test_tagged_frames_on_an_access_port() -> None:
    for vantage, vlan, severity in (("host", 20, "warning"), ("mirror", 20, "info"),
                                    ("host", None, None), ("file", 20, None)):  # fmt: skip
        wire = Wire()
        chatter(wire, ETH0, APPLIANCE, 0, 10, vlan=vlan)
        found = told(wire.watch(site(site={"topology": "dual", "vantage": vantage})))
        assert (found["vlan-tagged"].severity if "vlan-tagged" in found else None) == severity
        if severity:
            assert "VLAN 20" in found["vlan-tagged"].text
            assert found["vlan-tagged"].evidence


def test_rings_own_loss_is_told_as_this_tools_and_clears() -> None:
    from panotui.engine.engine import Engine
    from panotui.engine.settings import EngineSettings
    from panotui.model import SourceCounters, SourceRecord
    from tests.made_up import Scene

    scene = Scene(site(), live=True)
    assert isinstance(scene.engine, Engine)
    assert EngineSettings().flows_max
    scene.tick()
    scene.engine.source(SourceRecord(), (SourceCounters(dropped_ring=0),))
    scene.tick()
    assert "rx-dropped" not in scene.findings()
    scene.engine.source(SourceRecord(), (SourceCounters(dropped_ring=500),))
    scene.tick()
    found = scene.findings()["rx-dropped"]
    assert "500 packets" in found.text
    assert found.subject == "this tool"
    scene.pass_time(130)
    assert "rx-dropped" not in scene.findings()


@pytest.mark.parametrize(("dropped", "expected"), [(5_000, True), (0, False)])
def test_interface_counter_of_drops(dropped: int, expected: bool) -> None:
    wire = Wire(("eth0", "eth1"))
    chatter(wire, ETH0, APPLIANCE, 0, 6)
    readings = tuple(
        reading(s, "eth0", rx_packets=10_000 * s, rx_dropped=dropped * (s > 2)) for s in range(6)
    )
    found = told(wire.watch(site(site=HOST), live=True, readings=readings))
    assert ("rx-dropped" in found) is expected
    if expected:
        assert found["rx-dropped"].subject == "eth0"


def lldp(interface_name: str = "Gi1/0/3") -> bytes:
    def tlv(kind: int, body: bytes) -> bytes:
        return struct.pack("!H", kind << 9 | len(body)) + body

    body = (
        tlv(1, b"\x04" + bytes(6)) + tlv(2, b"\x05" + interface_name.encode())
        + tlv(3, struct.pack("!H", 120)) + tlv(5, b"switch7") + b"\0\0"
    )  # fmt: skip
    return ethernet("02:00:00:00:03:01", "01:80:c2:00:00:0e", 0x88CC, body)


def test_switch_is_named_for_the_appliances_port_and_not_for_the_mirror() -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 5)
    wire.add(1.0, lldp(), 0)
    found = told(wire.watch())["lldp-info"]
    assert found.subject == "eth0"
    assert found.text.startswith("Port eth0 is connected to switch7, port Gi1/0/3")
    assert [e.packet for e in found.evidence] == [6]


def test_switch_of_an_unknown_port_is_named_for_the_interface() -> None:
    wire = Wire()
    wire.add(1.0, lldp(), 0)
    found = told(wire.watch(Site(), end=3))["lldp-info"]
    assert found.text.startswith("Interface mir0 is connected to switch7")


def test_camera_stream_alone_gives_no_link_finding() -> None:
    wire = Wire()
    Rtsp(wire).play(0.2).media(0.6, 15)
    assert told(wire.watch()) == {}


def test_a_switch_that_wants_8021x_is_told_once() -> None:
    wire = Wire()
    request = ethernet("02:00:00:00:00:77", "01:80:c2:00:00:03", 0x888E,
                       bytes.fromhex("010000050101000501"))  # fmt: skip
    for second in range(3):
        wire.add(float(second), request)
    engine = wire.watch(end=5)
    (event,) = [e for e in engine.drain_events() if e.kind == "link"]
    assert (event.subject, event.packet) == ("02:00:00:00:00:77", 1)
    assert event.text.startswith("02:00:00:00:00:77 speaks 802.1X: ")
    assert "REQUEST" in event.text.upper()


def test_grandmaster_of_ptp_is_told_and_another_one_again() -> None:
    wire = Wire()
    for at, last in ((0.0, "a0"), (1.0, "a0"), (2.0, "a1"), (3.0, "a0")):
        body = "0b020040" + "00" * 43 + "8006214e5d7f001dc1fffe1200" + last + "000020"
        clock = ethernet("02:00:00:00:00:77", "01:1b:19:00:00:00", 0x88F7, bytes.fromhex(body))
        wire.add(at, clock)
    engine = wire.watch(end=5)
    first, second = [e for e in engine.drain_events() if e.kind == "link"]
    assert (first.subject, first.packet, second.packet) == ("02:00:00:00:00:77", 1, 3)
    assert first.text == (
        "02:00:00:00:00:77 speaks PTP with grandmaster 00:1d:c1:ff:fe:12:00:a0: domain 0, "
        "priority 128/127, class 6, within 100 ns, time from satellites, is the grandmaster"
    )


def test_those_who_speak_link_protocols_are_told_up_to_a_bound() -> None:
    wire = Wire()
    for number in range(HEARD_MOST + 10):
        source = f"02:00:00:00:01:{number:02x}"
        start = ethernet(source, "01:80:c2:00:00:03", 0x888E, bytes.fromhex("01010000"))
        wire.add(number * 0.01, start)
    engine = wire.watch(end=5)
    assert len([e for e in engine.drain_events() if e.kind == "link"]) == HEARD_MOST


def test_link_protocol_that_nothing_more_is_known_of_is_told_by_its_name() -> None:
    wire = Wire()
    wire.add(0.0, ethernet("02:00:00:00:00:77", "01:80:c2:00:00:02", 0x8809, b"\1" + bytes(109)))
    with patch("panotui.wire.linkcontrol._dissectors", return_value={}):  # scapy is broken
        engine = wire.watch(end=5)
    (event,) = [e for e in engine.drain_events() if e.kind == "link"]
    assert event.text == "02:00:00:00:00:77 speaks LACP"
