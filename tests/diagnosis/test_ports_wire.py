"""Ports and the link from packets: silence, fail-over, flow control, loops, a mirror's copies."""

from __future__ import annotations

import struct

import pytest

from panotui.model import Site
from tests.diagnosis.lan_wire import Ntp, asked, loud, the
from tests.diagnosis.test_link_wire import chatter, single
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
    ipv4,
    told,
    udp_segment,
)
from tests.made_up import APPLIANCE, CAMERA, START, site

MIRROR = site(site={"topology": "dual", "region": "us-east-1", "vantage": "mirror"})
SWITCH_MAC = "02:00:00:00:03:01"
GROUP_MAC, GROUP = "01:00:5e:7f:ff:fa", "239.255.255.250"


def dual(cloud_end: float, camera_end: float, end: float) -> Wire:
    """Both ports at work on one mirror until their ends, and a neighbour that goes on."""
    wire = Wire(("mir0",))
    chatter(wire, ETH0, APPLIANCE, 0, camera_end, to=(CAMERA_MAC, CAMERA))
    ntp = Ntp(wire)
    at = 0.8
    while at < end:
        if at < cloud_end:
            ntp.ask(at)
        at += 16
    wire.frames = [(t, 0, frame, size) for t, _, frame, size in wire.frames]
    wire.quiet(0, end, 5, interface=0)
    return wire


def test_a_cloud_port_that_falls_silent_while_the_camera_port_goes_on() -> None:
    engine = dual(50, 150, 150).watch(MIRROR)
    assert loud(engine) == ["port-silent"]
    found = the(engine, "port-silent")
    assert found.text == "Port eth1 has gone silent: no more frames from or to it are seen"
    assert found.severity == "error"
    assert f"it no longer asks {GATEWAY} for the time" in found.detail
    assert found.evidence[0].packet
    assert found.first_time_ns <= START + 50 * 10**9


def test_a_port_that_is_heard_again_is_well() -> None:
    wire = dual(50, 260, 260)
    for n in range(4):
        Ntp(wire).ask(200 + 16.0 * n)
    wire.frames = [(t, 0, frame, size) for t, _, frame, size in wire.frames]
    found = the(wire.watch(MIRROR), "port-silent")
    assert found.cleared_time_ns is not None


@pytest.mark.parametrize(("cloud", "camera"), [(150, 150), (50, 50)])
def test_ports_that_go_on_or_end_together_are_not_called_silent(cloud: int, camera: int) -> None:
    assert loud(dual(cloud, camera, 150).watch(MIRROR)) == []


def test_a_port_that_merely_has_nothing_to_say_is_not_silent() -> None:
    wire = Wire(("mir0",))
    chatter(wire, ETH0, APPLIANCE, 0, 400, to=(CAMERA_MAC, CAMERA))
    chatter(wire, ETH1, CLOUD, 0, 40, to=(ROUTER_MAC, GATEWAY))
    for n in range(4):  # a connection that is kept alive now and then
        chatter(wire, ETH1, CLOUD, 40 + 110.0 * n, 41 + 110.0 * n, to=(ROUTER_MAC, GATEWAY))
    assert loud(wire.watch(MIRROR)) == []


def test_a_camera_port_that_takes_a_stream_and_answers_nothing_more() -> None:
    wire = Wire(("mir0",))
    session = Rtsp(wire).play(0.5)
    session.media(1, 120, fps=10)
    for n in range(10):
        session.receiver_report(2 + 5.0 * n)
    chatter(wire, ETH1, CLOUD, 0, 120, to=(ROUTER_MAC, GATEWAY))
    found = the(wire.watch(MIRROR), "port-silent")
    assert found.text == "Port eth0 has gone silent: no more frames from it are seen"


# ---------------------------------------------------------------------- fail-over


def test_a_standby_port_that_says_a_word_takes_nothing_over() -> None:
    wire = Wire()
    for n in range(8):  # bursts of the first port, with pauses between
        chatter(wire, ETH0, APPLIANCE, 12.0 * n, 12.0 * n + 5, every=0.2)
        asked(wire, 12.0 * n + 9, (ROUTER_MAC, "10.20.0.1"), "10.20.0.6", ETH1, interface=0)
    assert "failover" not in loud(wire.watch(single()))


@pytest.mark.parametrize("by", ["load", "address"])
def test_the_second_port_takes_the_load_or_the_address(by: str) -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 20)
    if by == "load":
        chatter(wire, ETH1, "10.20.0.6", 24, 50, interface=1)
    else:
        for n in range(6):
            wire.add(24 + 4.0 * n, arp_packet(1, ETH1, APPLIANCE, APPLIANCE), 1)
    wire.quiet(0, 50)
    found = the(wire.watch(single()), "failover")
    assert (found.subject, found.severity) == ("eth0", "warning")


# ---------------------------------------------------------------------- flow control and loops


@pytest.mark.parametrize(("rate", "expected"), [(300, True), (120, True), (40, False)])
def test_pause_frames_are_counted(rate: int, expected: bool) -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 25, to=(CAMERA_MAC, CAMERA))
    body = struct.pack("!HH", 1, 0xFFFF)
    for n in range(rate * 12):
        frame = ethernet(SWITCH_MAC, "01:80:c2:00:00:01", 0x8808, body)
        wire.add(5 + n / rate, frame)
    engine = wire.watch(end=25)
    assert loud(engine) == (["pause-storm"] if expected else [])
    if expected:
        found = the(engine, "pause-storm")
        assert found.text == (
            f"Flow control stalls the network: {rate} PAUSE frames a second from {SWITCH_MAC}"
        )
        assert found.evidence[0].packet


def group_frame(number: int, size: int = 60) -> bytes:
    body = bytes([number]) * size
    return ethernet(ROUTER_MAC, GROUP_MAC, 0x800,
                    ipv4(GATEWAY, GROUP, 17, udp_segment(1900, 1900, body)))  # fmt: skip


@pytest.mark.parametrize("arp", [True, False])
def test_frames_that_come_round_again_and_again_are_a_loop(arp: bool) -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 12, to=(CAMERA_MAC, CAMERA))
    for again in range(40):
        for n in range(20):
            target = f"192.168.5.{n + 1}"
            frame = arp_packet(1, ROUTER_MAC, GATEWAY, target) if arp else group_frame(n)
            wire.add(5 + 0.05 * again + 0.001 * n, frame)
    engine = wire.watch(end=12)
    assert loud(engine) == ["loop"]
    assert the(engine, "loop").text.startswith("The same frames come round again and again on mir0")


def test_group_frames_that_are_sent_a_few_times_are_no_loop() -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 40, to=(CAMERA_MAC, CAMERA))
    for again in range(3):
        for n in range(20):
            wire.add(5 + 0.1 * again + 0.003 * n, group_frame(n))
    for at in range(40):  # and one that is sent each second, as adverts are
        wire.add(at + 0.5, group_frame(200))
    assert loud(wire.watch(end=40)) == []


def test_a_mirror_that_copies_a_broadcast_from_each_of_its_ports_shows_no_loop() -> None:
    wire = Wire()
    chatter(wire, ETH0, APPLIANCE, 0, 30, to=(CAMERA_MAC, CAMERA))
    for n in range(60):
        frame = arp_packet(1, ROUTER_MAC, GATEWAY, f"192.168.5.{n % 20 + 1}")
        for copy in range(24):
            wire.add(1 + 0.4 * n + 0.00002 * copy, frame)
    assert "loop" not in loud(wire.watch(end=30))


# ---------------------------------------------------------------------- copies


def counted(wire: Wire, who: Site) -> tuple[int, int, int, int]:
    row = next(p for p in wire.watch(who, end=30).snapshot().ports if p.name == "eth0")
    return row.packets_in, row.packets_out, row.bytes_in, row.bytes_out


def test_a_ports_row_leaves_out_what_the_mirror_doubles() -> None:
    def made(copies: int) -> Wire:
        wire = Wire()
        for n in range(5):
            asked(wire, 0.05 + 5.0 * n, (ETH0, APPLIANCE), "10.20.0.1", ROUTER_MAC, interface=0)
        for number in range(1, 101):
            wire.udp(0.2 * number, (CAMERA_MAC, CAMERA, 5000), (ETH0, APPLIANCE, 6000),
                     number.to_bytes(4, "big") * (10 + number % 7))  # fmt: skip
            frame = bytearray(wire.frames[-1][2])
            frame[18:20] = number.to_bytes(2, "big")  # an identification of its own
            wire.frames[-1] = (*wire.frames[-1][:2], bytes(frame), wire.frames[-1][3])
        for at, interface, frame, size in list(wire.frames):
            for copy in range(1, copies):
                wire.frames.append((at + 3_000 * copy, interface, frame, size))
        return wire

    assert counted(made(2), MIRROR) == counted(made(1), MIRROR)
    assert counted(made(3), MIRROR) == counted(made(1), MIRROR)


@pytest.mark.parametrize("has_reported", [False, True])
def test_port_that_reads_media_and_sends_nothing_is_not_silent(has_reported: bool) -> None:
    """RTP over UDP needs no answer; a port that has sent reports and stops is silent."""
    wire = Wire()
    session = Rtsp(wire).play(0.2)
    session.media(0.6, 80.0, fps=5)
    for at in range(5, 30, 5):
        if has_reported:
            session.receiver_report(float(at))
    wire.works(60.0, "198.51.100.20", 42_000, "www.site.example")
    found = told(wire.watch(end=80.0))
    assert ("port-silent" in found) == has_reported
