"""Findings of the way to the cloud from packets: each cause, and what is near it."""

from __future__ import annotations

import pytest

from panotui.model import SECOND
from tests.diagnosis.wire import (
    ACK,
    CLOUD,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    Wire,
    alert,
    arp_packet,
    certificate,
    client_hello,
    handshake,
    server_hello,
    told,
)
from tests.made_up import START, site

LOGS, LOGS_IP = "logs.us-east-1.amazonaws.com", "203.0.113.90"
METRICS, METRICS_IP = "monitoring.us-east-1.amazonaws.com", "203.0.113.81"
IOT, IOT_IP = "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com", "203.0.113.70"
DONE = b"\x14\x03\x03\0\x01\x01\x16\x03\x03\0\x28" + bytes(40)
DATA = b"\x17\x03\x03\0\x80" + bytes(128)


def other_name_works(wire: Wire, at: float = 0.1) -> None:
    wire.ask(at, METRICS, METRICS_IP)
    wire.works(at + 0.1, METRICS_IP, 41_999, METRICS)


def to(wire: Wire, host: str, address: str, at: float, sport: int = 42_000):  # type: ignore[no-untyped-def]
    wire.ask(at, host, address)
    return wire.tcp((ETH1, CLOUD, sport), (ROUTER_MAC, address, 443), 1)


@pytest.mark.parametrize("control", [True, False])
def test_reset_right_after_the_name_is_a_filter_where_another_name_works(control: bool) -> None:
    wire = Wire()
    if control:
        other_name_works(wire, 1.0)
    flow = to(wire, LOGS, LOGS_IP, 0.5)
    flow.open(0.6)
    flow.send(0.7, client_hello(LOGS))
    flow.reset(0.72)
    found = told(wire.watch(end=4))["sni-filtered"]
    assert found.confidence == ("likely" if control else "possible")
    assert ("filters by TLS name" in found.text) is control
    assert any(METRICS in line for line in found.detail) is control
    assert found.evidence[-1].packet == 7


def test_server_that_resets_after_its_hello_is_no_name_filter() -> None:
    wire = Wire()
    other_name_works(wire, 1.0)
    flow = to(wire, LOGS, LOGS_IP, 0.5)
    flow.open(0.6)
    flow.send(0.7, client_hello(LOGS))
    flow.answer(0.72, server_hello())
    flow.reset(0.8)
    assert "sni-filtered" not in told(wire.watch(end=4))


def test_server_that_answered_an_earlier_attempt_is_behind_no_name_filter() -> None:
    """Its alert of the second attempt is not in the capture, as mirrors lose packets."""
    wire = Wire()
    for n in range(2):
        flow = to(wire, LOGS, LOGS_IP, 0.5 + 5 * n, 42_000 + n)
        flow.open(0.6 + 5 * n)
        flow.send(0.7 + 5 * n, client_hello(LOGS))
        if not n:
            flow.answer(0.72, alert(112))
        flow.reset(0.8 + 5 * n)
    assert "sni-filtered" not in told(wire.watch(end=12))


@pytest.mark.parametrize("answered", [False, True])
def test_silence_after_the_name(answered: bool) -> None:
    wire = Wire()
    other_name_works(wire, 3.0)
    flow = to(wire, LOGS, LOGS_IP, 0.5)
    flow.open(0.6)
    hello = client_hello(LOGS)
    flow.send(0.7, hello)
    for n in range(4):
        flow.send(1.0 + 2 * n, hello, again=True)
    if answered:
        flow.answer(8.5, server_hello())
        flow.answer(8.6, DONE)
    found = told(wire.watch(end=12))
    assert ("sni-filtered" in found) is not answered
    if not answered:
        assert "sent again" in found["sni-filtered"].text
        assert found["sni-filtered"].confidence == "likely"
        assert any(METRICS in line for line in found["sni-filtered"].detail)


@pytest.mark.parametrize(
    "after", ["gone", "sent again", "acknowledged", "kept by the client", "kept by the server"]
)
def test_client_that_falls_silent_after_its_hello_proves_nothing_of_the_server(after: str) -> None:
    """Its cable is pulled in mid-handshake: TCP would send again what nobody acknowledges."""
    wire = Wire()
    other_name_works(wire, 0.1)
    flow = to(wire, LOGS, LOGS_IP, 0.5)
    flow.open(0.6)
    hello = client_hello(LOGS)
    flow.send(0.7, hello)
    if after == "sent again":
        for n in range(3):
            flow.send(1.0 + 2 * n, hello, again=True)
    elif after != "gone":
        flow.segment(0.72, False, ACK)
    for at in (15.7, 30.7):  # keep-alives of a connection whose request was acknowledged
        if after == "kept by the client":
            flow.segment(at, True, ACK, b"", flow.sent - 1)
        elif after == "kept by the server":
            flow.segment(at, False, ACK, b"", flow.got - 1)
            flow.segment(at + 0.0005, True, ACK)
    for n in range(40):
        wire.add(2.0 + n, arp_packet(1, ROUTER_MAC, GATEWAY, "192.168.5.99"), 1)
    found = told(wire.watch(end=42))
    failing = {"sni-filtered", "endpoint-failing"} & found.keys()
    assert bool(failing) is (after != "gone"), found.keys()


@pytest.mark.parametrize("whole", [False, True])
def test_server_flight_of_full_packets_that_never_comes(whole: bool) -> None:
    wire = Wire()
    other_name_works(wire, 3.0)
    flow = to(wire, LOGS, LOGS_IP, 0.5)
    flow.open(0.6)
    flow.send(0.7, client_hello(LOGS))
    flow.answer(0.72, server_hello())
    flight = certificate(bytes(4000))
    if whole:
        for start in range(0, len(flight), 1400):
            flow.answer(0.73 + start / 1e6, flight[start : start + 1400])
        flow.send(0.8, DONE)
        flow.answer(0.82, DONE)
    else:
        flow.lose(2800)  # two full segments that the path swallows
        flow.answer(0.74, flight[2800:])
        flow.got -= len(flight)
        for n in range(4):
            flow.ack(0.75 + n)
    found = told(wire.watch(end=14))
    assert ("tls-stalled" in found) is not whole, found.keys()
    if not whole:
        assert LOGS in found["tls-stalled"].text
        assert "MTU" in found["tls-stalled"].action


@pytest.mark.parametrize(("answer", "expected"), [(None, True), ("x-amzn-mqtt-ca", False)])
def test_answer_without_the_alpn_that_mqtt_needs(answer: str | None, expected: bool) -> None:
    wire = Wire()
    flow = to(wire, IOT, IOT_IP, 0.5)
    flow.open(0.6)
    flow.send(0.7, client_hello(IOT, ("x-amzn-mqtt-ca",)))
    flow.answer(0.72, server_hello(answer))
    if answer:
        flow.send(0.8, DONE)
        flow.answer(0.82, DONE)
    else:
        flow.reset(0.9)
    found = told(wire.watch(end=4))
    assert ("alpn-stripped" in found) is expected
    if expected:
        assert [e.packet for e in found["alpn-stripped"].evidence] == [6 + 1]


@pytest.mark.parametrize(("sent", "code"), [(True, 46), (True, 42), (False, 46)])
def test_server_that_rejects_the_devices_certificate(sent: bool, code: int) -> None:
    wire = Wire()
    flow = to(wire, IOT, IOT_IP, 0.5)
    flow.open(0.6)
    flow.send(0.7, client_hello(IOT))
    request = handshake(13, b"\x01\x01\x00\x02\x04\x01\x00\x00")
    flow.answer(0.72, server_hello() + certificate() + request + handshake(14, b""))
    if sent:
        flow.send(0.75, certificate() + handshake(16, bytes(66)) + handshake(15, bytes(70)))
    flow.answer(0.8, alert(code))
    flow.close(0.81, by_server=True)
    found = told(wire.watch(end=4))
    assert ("client-cert-rejected" in found) is sent, found.keys()
    assert ("tls-alert" in found) is not sent
    if sent:
        assert "provision" in found["client-cert-rejected"].action


def idle_deaths(wire: Wire, silences: list[float], *, by_rst: bool = True) -> float:
    at = 1.0
    for n, silence in enumerate(silences):
        flow = wire.works(at, IOT_IP, 43_000 + n, IOT)
        end = at + 0.2 + silence
        flow.send(end, DATA)
        if by_rst:
            flow.reset(end + 0.02)
        else:
            flow.answer(end + 0.02, DATA)
            flow.close(end + 1)
        at = end + 5
    return at


@pytest.mark.parametrize(
    ("silences", "by_rst", "expected"),
    [([350, 350, 351], True, True), ([350, 40, 900], True, False),
     ([350, 350, 350], False, False), ([350, 350], True, False)],
)  # fmt: skip
def test_same_silence_before_each_reset_is_an_idle_timeout(
    silences: list[float], by_rst: bool, expected: bool
) -> None:
    wire = Wire()
    wire.ask(0.1, IOT, IOT_IP)
    end = idle_deaths(wire, silences, by_rst=by_rst)
    wire.quiet(1, end + 3, 30)
    found = told(wire.watch())
    assert ("idle-timeout" in found) is expected, found.keys()
    if expected:
        assert "after 350 s of silence, 3 times" in found["idle-timeout"].text
        assert len(found["idle-timeout"].evidence) == 3
        assert found["idle-timeout"].evidence[0].packet


@pytest.mark.parametrize("came_through", [0, 2])
def test_a_silence_that_connections_come_through_is_not_what_ends_them(came_through: int) -> None:
    """A keep-alive each 40 s: what ends such a connection ends it after 40 s of silence."""
    wire, at = Wire(), 1.0
    wire.ask(0.1, IOT, IOT_IP)
    for n in range(4):
        flow = wire.works(at, IOT_IP, 43_000 + n, IOT)
        at += 0.2
        for _ in range(came_through):
            at += 40
            flow.send(at, DATA)
            flow.answer(at + 0.02, DATA)
        at += 40
        flow.send(at, DATA)
        flow.reset(at + 0.02)
        at += 5
    wire.quiet(1, at + 3, 30)
    assert ("idle-timeout" in told(wire.watch())) is (came_through == 0)


@pytest.mark.parametrize(("times", "expected"), [(4, True), (2, False)])
def test_mqtt_connection_that_is_opened_again_and_again(times: int, expected: bool) -> None:
    wire = Wire()
    wire.ask(0.1, IOT, IOT_IP)
    for n in range(times):
        flow = wire.tcp((ETH1, CLOUD, 44_000 + n), (ROUTER_MAC, IOT_IP, 443), 1)
        at = 1 + 100.0 * n
        flow.open(at)
        flow.send(at + 0.1, client_hello(IOT, ("x-amzn-mqtt-ca",)))
        flow.answer(at + 0.12, server_hello("x-amzn-mqtt-ca"))
        flow.send(at + 0.14, DONE)
        flow.answer(at + 0.16, DONE)
        flow.send(at + 0.2, DATA)
        flow.answer(at + 0.25, DATA)
        flow.close(at + 90, by_server=True)
    wire.quiet(1, 100 * times + 3, 20)
    found = told(wire.watch())
    assert ("mqtt-flapping" in found) is expected, found.keys()
    if expected:
        assert "every 100 s" in found["mqtt-flapping"].text
        assert len(found["mqtt-flapping"].evidence) == 4


def test_a_server_that_repeats_what_has_come_tells_nothing_of_the_way() -> None:
    """The appliance was slow to say that it has it: servers then send their last segment again."""
    wire = Wire()
    for n, (host, address) in enumerate([(LOGS, LOGS_IP), (METRICS, METRICS_IP), (IOT, IOT_IP)]):
        wire.ask(0.1 + n, host, address)
        flow = wire.works(0.2 + n, address, 45_000 + n, host)
        at = 1.3 + n
        for i in range(90):
            flow.send(at, DATA)
            flow.answer(at + 0.01, DATA)
            if i % 5 == 0:
                flow.answer(at + 0.03, DATA, again=True)
            flow.ack(at + 0.05)
            at += 0.35
    engine = wire.watch(end=45)
    assert sum(f.retransmits_in or 0 for f in engine.flow_records()) >= 40
    assert "slow-uplink" not in told(engine)


@pytest.mark.parametrize(("rtt", "again", "expected"), [(0.45, 0, "round trip"),
                                                       (0.02, 12, "sent again"),
                                                       (0.05, 1, "")])  # fmt: skip
def test_poor_uplink(rtt: float, again: int, expected: str) -> None:
    wire = Wire()
    hosts = [(LOGS, LOGS_IP), (METRICS, METRICS_IP), (IOT, IOT_IP)]
    for n, (host, address) in enumerate(hosts):
        wire.ask(0.1 + n, host, address)
        flow = wire.tcp((ETH1, CLOUD, 45_000 + n), (ROUTER_MAC, address, 443), 1)
        flow.open(0.2 + n, rtt)
        flow.send(0.7 + n, client_hello(host))
        flow.answer(0.7 + n + rtt, server_hello())
        flow.send(1.2 + n, DONE)
        flow.answer(1.2 + n + rtt, DONE)
        at = 1.3 + n + rtt
        for i in range(90):
            flow.send(at, DATA)
            if i < again:
                flow.send(at + 0.3, DATA, again=True)
            flow.segment(at + 0.31, False, 16)
            at += 0.35
    found = told(wire.watch(end=45))
    assert ("slow-uplink" in found) is bool(expected), found.keys()
    if expected:
        assert expected in found["slow-uplink"].text
        assert found["slow-uplink"].evidence


@pytest.mark.parametrize("asked", [False, True])
def test_service_that_nobody_has_asked_for_in_a_day(asked: bool) -> None:
    wire = Wire()
    hour = 3600.0
    for n in range(26):
        wire.ask(n * hour + 0.1, METRICS, METRICS_IP)
        wire.works(n * hour + 0.2, METRICS_IP, 46_000 + n, METRICS).close(n * hour + 2)
        if asked and n % 5 == 0:
            wire.ask(n * hour + 5.1, LOGS, LOGS_IP)
            wire.works(n * hour + 5.2, LOGS_IP, 47_000 + n, LOGS).close(n * hour + 8)
    engine = wire.watch(end=25 * hour + 20)
    silent = {f.text for f in engine.snapshot().findings if f.id == "endpoint-silent"}
    assert any("CW Logs" in text or "Logs" in text for text in silent) is not asked, silent
    assert not any("CloudWatch " in text for text in silent)


def refused_everywhere(works: bool) -> Wire:
    wire = Wire()
    for n, (host, address) in enumerate([(LOGS, LOGS_IP), (METRICS, METRICS_IP), (IOT, IOT_IP)]):
        if works and host == METRICS:
            other_name_works(wire, n + 0.1)
            continue
        flow = to(wire, host, address, n + 0.1, 48_000 + n)
        flow.open(n + 0.2)
        flow.send(n + 0.3, client_hello(host))
        flow.answer(n + 0.32, alert(80))
        flow.close(n + 0.4, by_server=True)
    return wire


@pytest.mark.parametrize("works", [False, True])
def test_cloud_that_refuses_everywhere_after_its_end(works: bool) -> None:
    found = told(refused_everywhere(works).watch(end=6))
    assert ("cloud-service-ended" in found) is not works
    if not works:
        assert len(found["cloud-service-ended"].detail) == 3


@pytest.mark.parametrize("used", [False, True])
def test_declared_service_that_nothing_uses_is_policy_drift(used: bool) -> None:
    who = site(service=[{"name": "telemetry", "host": "telemetry.example.com"}])
    wire = Wire()
    for n in range(26):
        wire.add(n * 3600.0, arp_packet(1, ETH1, CLOUD, GATEWAY), 1)
        wire.add(n * 3600.0 + 0.1, arp_packet(2, ROUTER_MAC, GATEWAY, CLOUD, ETH1), 1)
    if used:
        wire.ask(100, "telemetry.example.com", "203.0.113.33")
        wire.works(100.2, "203.0.113.33", 49_000, "telemetry.example.com").close(103)
    found = told(wire.watch(who, end=25 * 3600.0 + 10))
    assert ("policy-drift" in found) is not used, found.keys()
    if not used:
        assert "telemetry" in found["policy-drift"].text
        assert found["policy-drift"].severity == "info"


@pytest.mark.parametrize("sides", ["appliance", "others", "both"])
def test_one_way_mirror_silences_what_needs_an_answer(sides: str) -> None:
    wire = Wire()
    for n, (host, address) in enumerate([(LOGS, LOGS_IP), (METRICS, METRICS_IP), (IOT, IOT_IP)]):
        wire.ask(0.1 + n, host, address)
        flow = wire.works(0.2 + n, address, 50_000 + n, host)
        for i in range(4):
            flow.answer(0.5 + n + i / 100, DATA)
    # blocked, silent and slow: but of a mirror that shows one side nothing of it can be said
    wire.tcp((ETH1, CLOUD, 50_100), (ROUTER_MAC, "203.0.113.99", 443), 1).syn(4, 4)
    for n in range(4):
        wire.ask(5.0 + n, f"h{n}.example.com", None, None)
    ours = bytes.fromhex(ETH1.replace(":", ""))
    if sides != "both":
        wire.frames = [f for f in wire.frames if (f[2][6:12] == ours) is (sides == "appliance")]
    engine = wire.watch(end=16)
    found = {f.id for f in engine.snapshot().findings if f.severity != "info"}
    if sides == "both":
        assert found == {"tcp-blocked", "dns-timeout"}
    else:
        assert found == {"mirror-one-way"}


def test_control_that_answers_at_once_took_less_than_a_millisecond() -> None:
    wire = Wire()
    wire.ask(0.1, METRICS, METRICS_IP)
    flow = wire.tcp((ETH1, CLOUD, 41_999), (ROUTER_MAC, METRICS_IP, 443), 1)
    flow.open(1.0, 0.0002)
    wire.ask(0.4, LOGS, LOGS_IP)
    wire.tcp((ETH1, CLOUD, 41_001), (ROUTER_MAC, LOGS_IP, 443), 1).syn(0.5, 4)
    found = told(wire.watch(end=5))["tcp-blocked"]
    assert any("answers in < 1 ms" in line for line in found.detail), found.detail


def test_block_clears_when_the_firewall_opens_and_says_when() -> None:
    wire = Wire()
    other_name_works(wire, 0.9)
    wire.ask(0.4, LOGS, LOGS_IP)
    wire.tcp((ETH1, CLOUD, 41_001), (ROUTER_MAC, LOGS_IP, 443), 1).syn(0.5, 4)
    wire.works(10.2, LOGS_IP, 41_002, LOGS)
    found = told(wire.watch(end=25))["tcp-blocked"]
    assert found.cleared_time_ns is not None
    assert found.cleared_time_ns // SECOND - START // SECOND in (10, 11)
