"""Findings from made-up news: each is provoked by its cause and silent without it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from panotui.diagnosis import RULES
from panotui.diagnosis.catalogue import alerts, catalogue, names_in
from panotui.diagnosis.facts import Observation
from panotui.model import (
    SECOND,
    ArpMessage,
    DhcpMessage,
    DnsAnswer,
    DnsMessage,
    IcmpMessage,
    LinkReading,
    NtpMessage,
    RtspMessage,
    TlsAlert,
    TlsClientHello,
)
from tests.made_up import (
    APPLIANCE,
    CAMERA,
    START,
    Scene,
    answered,
    flow,
    site,
    stream,
    stream_second,
)

CLOUD = "192.168.5.5"
RESOLVER = "192.168.5.1"
MAC = "02:00:00:00:00:11"
LOGS, LOGS_IP = "logs.us-east-1.amazonaws.com", "203.0.113.90"
METRICS, METRICS_IP = "monitoring.us-east-1.amazonaws.com", "203.0.113.80"


def dns(scene: Scene, name: str, address: str | None, *, rcode: str = "NOERROR", number: int = 1,
        response: bool = True) -> DnsMessage:  # fmt: skip
    return DnsMessage(
        time_ns=START + scene.second * SECOND + number * 1000, packet=number, interface=1,
        transport="udp", client=CLOUD, server=RESOLVER, client_port=5000 + number, id=number,
        response=response, rcode=rcode, name=name, type="A",
        answers=(DnsAnswer(name, "A", 300, address),) if address else (),
    )  # fmt: skip


def works(number: int, address: str, at: float = 0.0) -> object:
    return answered(number, CLOUD, address, 443, at)


def test_every_finding_of_the_catalogue_reads_well() -> None:
    for name, spec in catalogue().items():
        assert spec.text[0].isupper() or spec.text.startswith("{"), name
        assert spec.action or spec.severity == "info", name
        for tag in (*spec.blocks, *spec.relies):
            assert ":" in tag or tag in ("cloud", "names", "time", "tls", "topology"), (name, tag)


def test_every_finding_has_a_rule_that_can_tell_it() -> None:
    source = "".join(
        path.read_text()
        for path in (Path(__file__).parents[2] / "panotui/diagnosis").rglob("*.*")
        if path.suffix == ".py" or path.name == "rtsp_statuses.toml"
    )
    assert not [name for name in catalogue() if f'"{name}"' not in source]
    assert len(RULES) > 20


def test_alerts_have_meaning_and_advice() -> None:
    assert "ALPN" in alerts()[120][0]
    assert all(meaning and advice for meaning, advice in alerts().values())


def test_names_of_templates_are_found() -> None:
    assert names_in("{a} and {b}") == {"a", "b"}


# ------------------------------------------------------------------ cloud


def blocked_logs(scene: Scene) -> None:
    scene.tick([works(1, METRICS_IP)], [dns(scene, METRICS, METRICS_IP)])
    scene.tick([], [dns(scene, LOGS, LOGS_IP, number=2)])
    scene.tick([flow(2, CLOUD, LOGS_IP, 443, 2.5, syn_out=3, packets_out=3)])
    scene.tick([works(3, METRICS_IP, 3.5)])  # the control has worked since


def test_blocked_endpoint_is_told_with_the_one_that_works() -> None:
    scene = Scene(site())
    blocked_logs(scene)
    found = scene.findings()["tcp-blocked"]
    assert found.subject == LOGS
    assert found.confidence == "likely"
    assert any(METRICS in line for line in found.detail)
    assert found.action.endswith(f"from {CLOUD} to {LOGS}")


def test_without_a_control_nothing_is_called_blocked() -> None:
    scene = Scene(site())
    scene.tick([flow(2, CLOUD, LOGS_IP, 443, 0.5, syn_out=3, packets_out=3)])
    assert "tcp-blocked" not in scene.findings(), "others may yet turn out to fail with it"
    scene.pass_time(21)
    found = scene.findings()["tcp-blocked"]
    assert "blocked" not in found.text
    assert found.confidence == "possible"


def test_two_unanswered_syns_are_no_finding() -> None:
    scene = Scene(site())
    scene.tick([works(1, METRICS_IP), flow(2, CLOUD, LOGS_IP, 443, 0.5, syn_out=2, packets_out=2)])
    assert "tcp-blocked" not in scene.findings()


def test_blocked_endpoint_clears_when_it_answers() -> None:
    scene = Scene(site())
    blocked_logs(scene)
    scene.tick([works(4, LOGS_IP, 4.0)])
    scene.pass_time(8)
    assert "tcp-blocked" not in scene.findings()
    assert scene.findings(opened=False)["tcp-blocked"].cleared_time_ns is not None
    assert [e.kind for e in scene.engine.drain_events() if "Cleared" in e.text] == ["cleared"]


def test_behind_a_one_way_mirror_nothing_that_needs_an_answer_is_told() -> None:
    scene = Scene(site())
    oneside = {"packets_out": 9, "payload_out": 900, "state": "one-way"}
    scene.tick([flow(n, CLOUD, f"203.0.113.{n}", 443, 0.1, **oneside) for n in (1, 2, 3)])
    scene.tick([flow(9, CLOUD, LOGS_IP, 443, 1.5, syn_out=4, packets_out=4)])
    assert set(scene.findings()) == {"mirror-one-way"}
    assert scene.engine.snapshot().site.one_way


def test_refused_and_icmp_are_told_apart() -> None:
    scene = Scene(site())
    at = START + SECOND // 2
    refused = flow(
        1, CLOUD, LOGS_IP, 443, 0.5, state="refused", packets_in=1, rst_in=1, rst_ns=at,
        rst_packet=7, rst_ttl=64,
    )  # fmt: skip
    unreachable = IcmpMessage(
        time_ns=at, packet=9, interface=1, version=4, src="192.168.5.1", dst=CLOUD, type=3, code=13,
        quoted_src=CLOUD, quoted_dst=METRICS_IP, quoted_sport=40_002, quoted_dport=443,
        quoted_protocol=6,
    )  # fmt: skip
    scene.tick([refused, flow(2, CLOUD, METRICS_IP, 443, 0.4)], [unreachable])
    assert "tcp-refused" not in scene.findings(), "who is refused once tries again at once"
    scene.pass_time(6)
    found = scene.findings()
    assert [e.packet for e in found["tcp-refused"].evidence] == [1, 7]
    assert found["icmp-blocked"].text.startswith("192.168.5.1 blocks")
    assert "tcp-blocked" not in found


def test_tls_alert_says_who_and_what() -> None:
    scene = Scene(site())
    common = {"time_ns": START, "interface": 1, "flow": 1}
    hello = TlsClientHello(packet=4, sni=LOGS, version="1.3", **common)
    alert = TlsAlert(packet=6, from_client=True, level=2, code=48, **common)
    scene.tick([works(1, LOGS_IP)], [hello, alert])
    found = scene.findings()["tls-alert"]
    assert "the appliance says unknown certificate authority" in found.text
    assert "inspection" in found.action


def test_lower_layer_hides_what_hangs_on_it() -> None:
    scene = Scene(site())
    scene.tick([works(1, METRICS_IP)], [dns(scene, METRICS, METRICS_IP, number=9)])
    queries = [dns(scene, LOGS, None, number=n, response=False) for n in (1, 2, 3)]
    gateway = [
        ArpMessage(
            time_ns=START + n * SECOND, packet=20 + n, interface=1, op=1, eth_src=MAC,
            sender_mac=MAC, sender_ip=CLOUD, target_mac="", target_ip=RESOLVER,
        )
        for n in range(4)
    ]  # fmt: skip
    scene.tick([], [*queries, *gateway])
    scene.pass_time(8)
    found = scene.findings()
    assert found["gateway-silent"].hidden_by is None
    assert found["dns-timeout"].hidden_by == found["gateway-silent"].key
    assert found["dns-timeout"].key in found["gateway-silent"].hides


# ------------------------------------------------------------------ names, time, addressing


@pytest.mark.parametrize(
    ("rcode", "expected"),
    [("NXDOMAIN", "dns-nxdomain"), ("SERVFAIL", "dns-servfail"), ("REFUSED", "dns-refused")],
)
def test_bad_answer_for_a_needed_name(rcode: str, expected: str) -> None:
    scene = Scene(site())
    scene.tick([], [dns(scene, LOGS, None, rcode=rcode)])
    assert not scene.findings()  # another server may still answer
    scene.pass_time(3)
    assert expected in scene.findings()


def test_name_that_nobody_needs_may_not_exist() -> None:
    scene = Scene(site())
    scene.tick([], [dns(scene, "wpad.localdomain", None, rcode="NXDOMAIN")])
    assert not scene.findings()


@pytest.mark.parametrize(("address", "told"), [("0.0.0.0", True), ("10.9.9.9", True),
                                               ("203.0.113.5", False)])  # fmt: skip
def test_sinkhole_is_an_address_that_the_name_cannot_have(address: str, told: bool) -> None:
    scene = Scene(site())
    scene.tick([], [dns(scene, LOGS, address)])
    scene.pass_time(3)
    assert ("dns-sinkhole" in scene.findings()) is told


def test_repeated_question_counts_at_once() -> None:
    scene = Scene(site())
    asked = [dns(scene, f"{n}.example.com", None, number=n, response=False) for n in (1, 2, 3)]
    scene.tick([], asked)
    again = [
        msgspec.structs.replace(m, time_ns=m.time_ns + 2 * SECOND)
        for m in asked
    ]  # fmt: skip
    scene.tick([], again)
    assert "dns-timeout" in scene.findings()


def ntp(at_s: float, packet: int, *, answer: bool = False, offset_s: float = 0.0,
        stratum: int = 2, leap: int = 0) -> NtpMessage:  # fmt: skip
    time_ns = START + int(at_s * SECOND)
    mine = time_ns + int(offset_s * SECOND)
    return NtpMessage(
        time_ns=time_ns, packet=packet, interface=1, src=RESOLVER if answer else CLOUD,
        dst=CLOUD if answer else RESOLVER, sport=123, dport=123, mode=4 if answer else 3, leap=leap,
        version=4, stratum=stratum if answer else 0, poll=6, reference_id="GPS",
        origin=packet - 1 if answer else 0, receive=0, transmit=packet, transmit_ns=mine,
        receive_ns=mine if answer else None,
    )  # fmt: skip


def test_silent_time_server_after_three_requests() -> None:
    scene = Scene(site())
    for n in range(4):
        scene.tick([], [ntp(n, 10 + 2 * n)])
        assert ("ntp-silent" in scene.findings()) is (n >= 3)
    assert scene.engine.snapshot().clock.state == "silent"


def test_clock_that_is_off_and_one_that_is_right() -> None:
    for offset, severity in ((0.2, None), (30.0, "warning"), (400.0, "error")):
        scene = Scene(site())
        scene.tick([], [ntp(0.0, 10, offset_s=offset), ntp(0.01, 11, answer=True)])
        found = scene.findings().get("clock-off")
        assert (found.severity if found else None) == severity
    assert "min" in scene.findings()["clock-off"].text


def test_unsynchronised_server_is_told() -> None:
    scene = Scene(site())
    scene.tick([], [ntp(0, 10), ntp(0.01, 11, answer=True, leap=3, stratum=0)])
    assert "ntp-unsynced" in scene.findings()
    assert scene.engine.snapshot().clock.state == "unsynchronised"


def dhcp(kind: str, packet: int, **fields: object) -> DhcpMessage:
    return DhcpMessage(
        **{
            "time_ns": START + packet * SECOND // 10, "packet": packet, "interface": 1,
            "type": kind, "xid": 7, "client_mac": MAC, "src": "0.0.0.0", "dst": "255.255.255.255",
            **fields,
        }
    )  # fmt: skip


def test_discover_without_offer() -> None:
    scene = Scene(site())
    scene.tick([], [dhcp("discover", n) for n in (1, 2, 3)])
    assert scene.findings()["dhcp-no-offer"].subject == "eth1"
    scene.tick([], [dhcp("offer", 11, your_ip="192.168.5.9", server_id=RESOLVER)])
    scene.pass_time(8)
    assert "dhcp-no-offer" not in scene.findings()


def test_offers_of_two_networks_are_a_rogue_server() -> None:
    scene = Scene(site())
    scene.tick([], [
        dhcp("offer", 1, your_ip="192.168.5.9", mask="255.255.255.0", server_id="192.168.5.1"),
        dhcp("offer", 2, your_ip="192.168.5.8", mask="255.255.255.0", server_id="192.168.5.2"),
    ])  # fmt: skip
    assert "dhcp-rogue" not in scene.findings()
    scene.tick(
        [], [dhcp("offer", 3, your_ip="10.7.0.4", mask="255.255.255.0", server_id="10.7.0.1")]
    )
    assert "dhcp-rogue" in scene.findings()


def arp(packet: int, ip: str, mac: str, *, op: int = 2, target: str = "192.168.5.77") -> ArpMessage:
    return ArpMessage(
        time_ns=START + packet * SECOND // 4, packet=packet, interface=1, op=op, eth_src=mac,
        sender_mac=mac, sender_ip=ip, target_mac="", target_ip=target,
    )  # fmt: skip


def test_conflict_needs_both_devices_to_go_on() -> None:
    one, two = "02:00:00:00:00:aa", "02:00:00:00:00:bb"
    scene = Scene(site())
    scene.tick([], [arp(1, "192.168.5.70", one), arp(2, "192.168.5.70", two)])
    assert "ip-conflict" not in scene.findings()
    scene.tick([], [arp(5, "192.168.5.70", one), arp(6, "192.168.5.70", two)])
    assert "ip-conflict" in scene.findings()


def test_virtual_router_is_no_conflict() -> None:
    scene = Scene(site())
    vrrp = "00:00:5e:00:01:05"
    scene.tick([], [arp(n, RESOLVER, m) for n, m in enumerate([vrrp, "02:00:00:00:00:aa"] * 3)])
    assert not {"ip-conflict", "gateway-changed"} & set(scene.findings())


# ------------------------------------------------------------------ cameras and streams


def rtsp(packet: int, method: str, status: int | None = None, **fields: object) -> RtspMessage:
    return RtspMessage(
        **{
            "time_ns": START + packet * SECOND // 100, "packet": packet, "interface": 0,
            "session": 1, "flow": 1, "from_client": status is None, "client": APPLIANCE,
            "server": CAMERA,
            "server_port": 554, "method": method, "url": f"rtsp://{CAMERA}/stream1", "cseq": packet,
            "status": status, "reason": None, **fields,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("DESCRIBE", 404, "rtsp-not-found"), ("SETUP", 453, "rtsp-sessions"),
        ("DESCRIBE", 503, "rtsp-sessions"), ("SETUP", 461, "rtsp-transport"),
        ("DESCRIBE", 400, "rtsp-error"), ("DESCRIBE", 403, "rtsp-error"),
        ("SETUP", 451, "rtsp-error"), ("PLAY", 454, "rtsp-error"), ("PLAY", 455, "rtsp-error"),
        ("OPTIONS", 500, "rtsp-error"), ("DESCRIBE", 551, "rtsp-error"),
        ("SETUP", 499, "rtsp-error"),
    ],
)  # fmt: skip
def test_camera_that_refuses_in_rtsp(method: str, status: int, expected: str) -> None:
    scene = Scene(site())
    scene.tick([], [rtsp(1, method), rtsp(2, method, status, reason="No")])
    assert not scene.findings()  # what follows within two seconds may put it right
    scene.pass_time(2)
    assert set(scene.findings()) == {expected}
    (camera,) = scene.engine.snapshot().cameras
    assert camera.state == "refused"
    assert camera.dialogue[-1].text.startswith(str(status))


def test_first_401_is_half_of_every_login() -> None:
    scene = Scene(site())
    scene.tick([], [rtsp(1, "DESCRIBE"), rtsp(2, "DESCRIBE", 401, auth_offered=("Digest",))])
    assert not scene.findings()
    scene.tick([], [rtsp(3, "DESCRIBE", auth_sent="Digest"), rtsp(4, "DESCRIBE", 401, stale=True)])
    assert not scene.findings()
    scene.tick([], [rtsp(5, "DESCRIBE", auth_sent="Digest"), rtsp(6, "DESCRIBE", 401)])
    scene.pass_time(2)
    assert "rtsp-auth" in scene.findings()
    scene.tick([], [rtsp(7, "DESCRIBE", auth_sent="Digest"), rtsp(8, "DESCRIBE", 200)])
    scene.pass_time(8)
    assert "rtsp-auth" not in scene.findings()


def test_refusal_after_wrong_passwords_is_a_lockout() -> None:
    scene = Scene(site())
    scene.tick([], [rtsp(5, "DESCRIBE", auth_sent="Digest"), rtsp(6, "DESCRIBE", 401)])
    scene.tick([], [rtsp(7, "DESCRIBE", auth_sent="Digest"), rtsp(8, "DESCRIBE", 403)])
    scene.pass_time(2)
    assert "rtsp-lockout" in scene.findings()


def test_camera_that_is_off_is_unreachable_while_another_works() -> None:
    two = site(
        camera=[{"name": "dock", "address": CAMERA}, {"name": "gate", "address": "10.20.0.12"}]
    )
    scene = Scene(two)
    scene.tick([
        flow(1, APPLIANCE, CAMERA, 554, 0.1, syn_out=4, packets_out=4),
        answered(2, APPLIANCE, "10.20.0.12", 554, 0.1),
    ])  # fmt: skip
    found = scene.findings()["camera-unreachable"]
    assert found.subject == "camera dock"
    assert found.confidence == "likely"
    assert "-115" in found.text
    assert "tcp-blocked" not in scene.findings()


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        (0, "for its route to fd20::11"),
        (1, "a rule of that router forbids it"),
        (3, "Check the camera's power"),
        (5, "a rule of that router forbids it"),
        (6, "a rule of that router forbids it"),
    ],
)
def test_action_follows_what_a_router_says_of_a_camera_by_ipv6(code: int, asks: str) -> None:
    own, camera, router = "fd20:1::5", "fd20::11", "fd20:1::1"
    ports = {"eth0": {"role": "camera", "mac": "02:00:00:00:00:10", "address": f"{own}/64"}}
    scene = Scene(site(ports=ports, camera=[{"name": "dock", "address": camera}]))
    said = IcmpMessage(
        time_ns=START + SECOND, packet=2, interface=0, version=6, src=router, dst=own, type=1,
        code=code, quoted_src=own, quoted_dst=camera, quoted_sport=40_001, quoted_dport=554,
        quoted_protocol=6,
    )  # fmt: skip
    scene.tick([flow(1, own, camera, 554, 0.1, syn_out=4, packets_out=4)], [said])
    scene.pass_time(2)
    action = scene.findings()["camera-unreachable"].action
    assert asks in (action or "")


def streaming(scene: Scene, count: int, lost: int = 0, **fields: object) -> None:
    for _ in range(count):
        second = scene.second
        scene.tick(
            streams=[stream(1, 0, second + 0.99, **fields)],
            seconds=[stream_second(1, second, lost=lost, packets=200 - lost)],
        )


def test_clean_stream_has_no_finding() -> None:
    scene = Scene(site())
    streaming(scene, 40)
    assert not scene.findings()
    assert scene.engine.snapshot().cameras[0].state == "streaming"


def test_loss_grades_and_clears() -> None:
    scene = Scene(site())
    streaming(scene, 20)
    streaming(scene, 5, lost=2)
    assert scene.findings()["stream-loss"].severity == "warning"
    streaming(scene, 5, lost=30)
    assert scene.findings()["stream-loss"].severity == "error"
    streaming(scene, 100)  # half a minute until none is lost, and one that stays so
    assert "stream-loss" not in scene.findings()


def test_loss_of_this_tools_own_capture_is_not_the_networks() -> None:
    scene = Scene(site())
    for _ in range(10):
        second = scene.second
        scene.tick(
            streams=[stream(1, 0, second + 0.99)],
            seconds=[stream_second(1, second, lost=20, capture_lost=20)],
        )
    assert "stream-loss" not in scene.findings()


def test_silent_stream_is_frozen_after_two_seconds_and_not_when_paused() -> None:
    scene = Scene(site())
    streaming(scene, 5)
    scene.pass_time(1)
    assert not scene.findings()
    scene.pass_time(2)
    assert scene.findings()["stream-frozen"].stream == "0-1"
    assert scene.engine.snapshot().cameras[0].state == "silent"


def test_packet_jitter_alone_never_alarms_but_frame_jitter_does() -> None:
    scene = Scene(site())
    streaming(scene, 12, jitter_ms=34.0)
    assert "stream-jitter" not in scene.findings()
    for _ in range(8):
        second = scene.second
        scene.tick(
            streams=[stream(1, 0, second + 0.99)],
            seconds=[stream_second(1, second, frame_jitter_ms=55.0)],
        )
    assert "stream-jitter" in scene.findings()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"fps_now": 12.0}, "stream-fps"),
        ({"gop_s": 30.0}, "stream-gop"),
        ({"timestamp_jumps": 4}, "stream-timestamps"),
        ({"frozen_picture_s": 9.0}, "stream-frozen-picture"),
        ({"camera_clock_offset_s": -3600.0}, "camera-clock"),
    ],
)
def test_what_the_camera_makes_wrong(fields: dict[str, float], expected: str) -> None:
    scene = Scene(site())
    streaming(scene, 25, **fields)
    assert set(scene.findings()) == {expected}


# ------------------------------------------------------------------ links


def reading(at_s: int, **fields: object) -> LinkReading:
    return LinkReading(
        **{
            "time_ns": START + at_s * SECOND, "interface": "eth0", "up": True, "speed_mbps": 1000,
            "duplex": "full", "rx_errors": 0, "rx_packets": 1000 * at_s, **fields,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"up": False}, {"link-down"}),
        ({"speed_mbps": 100}, {"link-slow"}),
        ({"duplex": "half"}, {"half-duplex"}),
        ({"rx_errors": 500}, {"rx-errors"}),
        ({}, set()),
    ],
)
def test_link_readings(fields: dict[str, object], expected: set[str]) -> None:
    host = {"topology": "dual", "region": "us-east-1", "vantage": "host"}
    scene = Scene(site(site=host), live=True)
    scene.engine.link(reading(0))
    scene.engine.link(reading(1, **fields))
    scene.tick()
    assert set(scene.findings()) == expected


def test_flapping_link() -> None:
    scene = Scene(site(), live=True)
    for second in range(8):
        scene.engine.link(reading(second, up=bool(second % 2)))
        scene.tick()
    assert "link-flap" in scene.findings()


def test_observation_is_told_of_nothing_unknown() -> None:
    assert Observation("link-down", "eth0").values == {}


def test_findings_page_is_up_to_date() -> None:
    import importlib.util

    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("make_findings", docs / "make_findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (docs / "findings.md").read_text(encoding="utf-8")


def test_while_packets_are_missed_absence_proves_less() -> None:
    scene = Scene(site())
    blocked_logs(scene)
    assert scene.findings()["tcp-blocked"].confidence == "likely"
    scene.counters.control_skipped = 500
    scene.tick()
    assert scene.findings()["tcp-blocked"].confidence == "possible"
