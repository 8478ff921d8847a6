"""Findings about who speaks to whom, storms and mirrors: each with its cause, silent without it."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.model import (
    LINK_SECOND_DTYPE,
    SECOND,
    DnsMessage,
    HttpMessage,
    IcmpMessage,
    Rows,
    TlsClientHello,
)
from tests.diagnosis.wire import ETH1, ROUTER_MAC, Wire, dns_packet, told
from tests.made_up import APPLIANCE, CAMERA, START, Scene, answered, flow, site

CLOUD = "192.168.5.5"
PUBLIC = "203.0.113.99"


def pair(second: int, src: int, dst: int, packets: int, size: int, **fields: int) -> Rows:
    row = np.zeros(1, LINK_SECOND_DTYPE)
    row["second"] = START // SECOND + second
    row["src_mac"], row["dst_mac"], row["packets"], row["bytes"] = src, dst, packets, size
    for name, value in fields.items():
        row[name] = value
    return row


def test_camera_that_contacts_the_internet() -> None:
    scene = Scene(site())
    scene.tick([answered(1, CAMERA, PUBLIC, 443)])
    found = scene.findings()["camera-phones-home"]
    assert found.subject == "camera dock"
    assert PUBLIC in found.text
    assert [e.packet for e in found.evidence] == [1]


def test_stream_to_the_internet_is_a_leak() -> None:
    scene = Scene(site())
    scene.tick([answered(1, PUBLIC, CAMERA, 554, app="rtsp")])
    assert "stream-leak" in scene.findings()


def test_internet_that_reaches_the_appliance() -> None:
    scene = Scene(site())
    scene.tick([answered(1, PUBLIC, CLOUD, 8080)])
    assert scene.findings()["inbound-internet"].severity == "error"


def test_knock_on_a_closed_door_is_no_undeclared_service() -> None:
    scene = Scene(site())
    scene.tick([flow(1, "192.168.5.44", CLOUD, 8080, state="refused", packets_in=1, rst_in=1)])
    assert "inbound-undeclared" not in scene.findings()
    scene.tick([answered(2, "192.168.5.44", CLOUD, 8080)])
    scene.pass_time(1)
    assert "inbound-undeclared" in scene.findings()


def test_appliance_that_tries_a_neighbour() -> None:
    scene = Scene(site())
    scene.tick([answered(1, CLOUD, "192.168.5.60", 22, app="ssh")])
    assert scene.findings()["lateral"].severity == "error"


def test_scan_is_one_finding_and_bounded() -> None:
    scene = Scene(site())
    scene.tick([flow(n, "192.168.5.66", CLOUD, 1000 + n, 0.5) for n in range(1, 41)])
    assert "scan" not in scene.findings()
    scene.tick([flow(n, "192.168.5.66", CLOUD, 1000 + n, 1.5) for n in range(100, 400)])
    found = scene.findings()
    assert found["scan"].subject == "192.168.5.66"
    assert not {"tcp-blocked"} & set(found)
    assert len(scene.engine.snapshot().violations) < 20


@pytest.mark.parametrize(("size", "told"), [(20_000_000, True), (2_000_000, False)])
def test_large_upload_to_an_unlisted_endpoint(size: int, told: bool) -> None:
    scene = Scene(site())
    scene.tick([answered(1, CLOUD, PUBLIC, 443, payload_out=size, app="tls")])
    scene.pass_time(12)  # until the flow has shown all that it says of itself
    assert ("exfil" in scene.findings()) is told


def test_password_in_the_clear_is_worse_than_a_page() -> None:
    for secret, severity in ((True, "warning"), (False, "info")):
        scene = Scene(site())
        request = HttpMessage(
            time_ns=START, packet=4, interface=0, flow=1, from_client=True, method="GET",
            host="cam", path="/", credentials=secret,
        )  # fmt: skip
        scene.tick([answered(1, APPLIANCE, CAMERA, 80, app="http")], [request])
        assert scene.findings()["cleartext"].severity == severity


def test_many_random_names_are_a_tunnel_and_many_hosts_are_not() -> None:
    for label, is_told in (("{:x}kq7zj3vxw9", True), ("www{}", False)):
        scene = Scene(site())
        asked = [
            DnsMessage(
                time_ns=START + n * 1_000_000, packet=n, interface=1, transport="udp", client=CLOUD,
                server="192.168.5.1", client_port=n, id=n, response=False, rcode="NOERROR",
                name=label.format(n * 7919 * 104_729) + ".evil.example", type="TXT",
            )
            for n in range(1, 150)
        ]  # fmt: skip
        if not is_told:
            asked = asked[:60]
        scene.tick([], asked)
        assert ("dns-tunnel" in scene.findings()) is is_told


def test_beat_to_an_unlisted_endpoint_is_a_beacon() -> None:
    scene = Scene(site())
    for n in range(8):
        scene.tick([answered(n + 1, CLOUD, PUBLIC, 4444, scene.second + 0.5)])
        scene.pass_time(9)
    assert "10 s" in scene.findings()["beacon"].text


def test_answers_on_the_other_port_are_asymmetric() -> None:
    scene = Scene(site())
    macs = {"mac_out_src": "02:00:00:00:00:11", "mac_in_dst": "02:00:00:00:00:10"}
    scene.tick([answered(1, CLOUD, PUBLIC, 443, **macs)])
    found = scene.findings()["asymmetric"]
    assert "eth0" in found.text
    assert "eth1" in found.text


def test_name_of_another_region() -> None:
    scene = Scene(site())
    hello = TlsClientHello(
        time_ns=START, packet=4, interface=1, flow=1, sni="logs.eu-west-1.amazonaws.com",
        version="1.3",
    )  # fmt: skip
    scene.tick([answered(1, CLOUD, PUBLIC, 443, app="tls")], [hello])
    assert "eu-west-1" in scene.findings()["wrong-region"].text


def test_proxy_is_named() -> None:
    scene = Scene(site())
    connect = HttpMessage(
        time_ns=START, packet=4, interface=1, flow=1, from_client=True, method="CONNECT",
        host="logs.us-east-1.amazonaws.com",
    )  # fmt: skip
    scene.tick([answered(1, CLOUD, "192.168.5.8", 3128, app="http-connect")], [connect])
    assert scene.findings()["proxy-seen"].subject == "192.168.5.8"


def test_router_that_says_fragmentation_is_needed() -> None:
    scene = Scene(site())
    error = IcmpMessage(
        time_ns=START, packet=3, interface=1, version=4, src="192.168.5.1", dst=CLOUD, type=3,
        code=4, mtu=1400, quoted_src=CLOUD, quoted_dst=PUBLIC, quoted_dport=443, quoted_protocol=6,
    )  # fmt: skip
    scene.tick([], [error])
    found = scene.findings()
    assert "1400" in found["mtu-low"].text
    assert "icmp-blocked" not in found


@pytest.mark.parametrize(("count", "told"), [(5000, True), (200, False)])
def test_broadcast_storm(count: int, told: bool) -> None:
    scene = Scene(site())
    scene.tick(links=[pair(0, 0x020000000099, (1 << 48) - 1, count, 64 * count)])
    assert ("loop" in scene.findings()) is told


@pytest.mark.parametrize(("count", "told"), [(240, True), (60, False)])
def test_pause_frames_that_stall(count: int, told: bool) -> None:
    scene = Scene(site())
    scene.tick(links=[pair(0, 0x020000000077, 0x0180C2000001, count, 64 * count)])
    scene.pass_time(1)
    assert ("pause-storm" in scene.findings()) is told


def test_copies_of_a_mirror_are_information() -> None:
    scene = Scene(site())
    scene.counters.packets, scene.counters.mirror_duplicates = 1000, 480
    scene.tick()
    assert scene.findings()["mirror-duplicates"].severity == "info"


def test_ports_count_by_mac_and_fall_silent() -> None:
    scene = Scene(site())
    mac = 0x020000000010
    for second in range(3):
        scene.tick(links=[pair(second, 0x020000000111, mac, 100, 125_000, interface=0),
                          pair(second, mac, 0x020000000111, 10, 1_000, interface=0)])  # fmt: skip
    port = scene.engine.snapshot().ports[0]
    assert (port.name, port.packets_in, port.bytes_out, port.state) == ("eth0", 300, 3000, "up")
    assert port.rate_in_bps == 1_000_000
    assert port.peak_in_bps == 1_000_000
    scene.pass_time(40)
    port = scene.engine.snapshot().ports[0]
    assert (port.state, port.rate_in_bps) == ("silent", 0)


@pytest.mark.parametrize(
    "row",
    [
        answered(1, CAMERA, PUBLIC, 443),
        answered(1, PUBLIC, CAMERA, 554, app="rtsp"),
        answered(1, PUBLIC, CLOUD, 8080),
        answered(1, CLOUD, "192.168.5.60", 22, app="ssh"),
        answered(1, "192.168.5.44", CLOUD, 8080),
    ],
)
def test_a_violation_and_its_finding_are_as_severe(row: Rows) -> None:
    scene = Scene(site())
    scene.tick([row])
    scene.pass_time(1)
    shot = scene.engine.snapshot()
    severities = {v.id: v.severity for v in shot.violations}
    told = [f for f in shot.findings if f.violation]
    assert told
    assert all(f.severity == severities[f.violation] for f in told)


def unasked_answers(wire: Wire, address: str, first: float) -> None:
    """Answers of public resolvers whose questions were not captured."""
    for number in range(5):
        there = (ROUTER_MAC, f"203.0.113.{10 + number}", 53)
        body = dns_packet(700 + number, "www.site.example", "198.51.100.7", answer=True)
        wire.udp(first + number / 10, there, (ETH1, address, 42_000 + number), body, 1)


def test_an_answer_without_its_question_is_no_inbound_connection() -> None:
    wire = Wire()
    wire.works(0.2, "198.51.100.20", 40_000, "www.site.example")
    unasked_answers(wire, CLOUD, 40.0)
    engine = wire.watch(end=60.0)
    assert "inbound" not in {v.reason for v in engine.snapshot().violations}
    assert "inbound-internet" not in told(engine)


@pytest.mark.parametrize(
    ("at", "port", "is_told"),
    [
        (0.0, 63_285, False),  # the site may have asked before the capture began
        (0.0, 161, True),  # nobody asks from a service's port
        (60.0, 63_285, True),  # nobody has asked: that would have been seen
    ],
)
def test_udp_from_the_internet_is_inbound_where_nobody_can_have_asked(
    at: float, port: int, is_told: bool
) -> None:
    wire = Wire()
    wire.works(0.2, "198.51.100.20", 40_000, "www.site.example")
    wire.works(50.0, "198.51.100.20", 40_001, "www.site.example")
    for number in range(3):
        wire.udp(at + number / 10, (ROUTER_MAC, PUBLIC, 5056), (ETH1, CLOUD, port), b"x" * 90, 1)
    found = told(wire.watch(end=90.0))
    assert ("inbound-internet" in found) == is_told


@pytest.mark.parametrize("how", ["silence", "reset", "rtsp"])
def test_a_knock_at_a_camera_port_is_no_stream_that_leaves(how: str) -> None:
    scene, answers = Scene(site()), how == "rtsp"
    if answers:
        scene.tick([answered(1, CLOUD, PUBLIC, 554, app="rtsp")])
    elif how == "reset":
        refused = {"state": "refused", "packets_in": 1, "rst_in": 1}
        scene.tick([flow(1, CLOUD, PUBLIC, 554, syn_out=1, packets_out=1, **refused)])
    else:
        scene.tick([flow(1, CLOUD, PUBLIC, 554, syn_out=2, packets_out=2)])
    scene.pass_time(2)
    found = scene.findings()["stream-leak"]
    (violation,) = scene.engine.snapshot().violations
    assert ("tries to open" in found.text) == (not answers)
    assert ("exchange a camera stream" in violation.text) == answers
