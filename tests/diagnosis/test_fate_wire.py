"""One cause, one sentence: what fails together on the wire, each beside its healthy twin."""

from __future__ import annotations

import pytest

from panotui.model import FindingRecord
from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    Tcp,
    Wire,
    arp_packet,
    client_hello,
    ethernet,
    server_hello,
    told,
)

NAMES = {
    "logs.us-east-1.amazonaws.com": "203.0.113.90",
    "monitoring.us-east-1.amazonaws.com": "203.0.113.80",
    "s3.us-east-1.amazonaws.com": "203.0.113.70",
}
IOT, IOT_IP = "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com", "203.0.113.60"
LOUD = ("warning", "error")


def loud(found: dict[str, FindingRecord]) -> set[str]:
    """What a person is told of severity warning or error, by id."""
    return {i for i, f in found.items() if f.severity in LOUD and f.hidden_by is None}


def all_work(wire: Wire, at: float, sport: int = 41_000) -> None:
    for n, (name, address) in enumerate(NAMES.items()):
        wire.ask(at + n * 0.2, name, address)
        wire.works(at + n * 0.2 + 0.05, address, sport + n, name)


def to(wire: Wire, name: str, sport: int) -> Tcp:
    return wire.tcp((ETH1, CLOUD, sport), (ROUTER_MAC, NAMES[name], 443), 1)


def knock(wire: Wire, start: float, sport: int = 43_000) -> None:
    """Each name is tried by four SYNs in vain."""
    for n, name in enumerate(NAMES):
        to(wire, name, sport + n).syn(start + n * 0.3, 4, 1.0)


@pytest.mark.parametrize("dead", [True, False])
def test_nothing_on_the_internet_answers_any_more(dead: bool) -> None:
    wire = Wire()
    all_work(wire, 0.5)
    if dead:
        knock(wire, 10)
    else:
        all_work(wire, 10, 43_000)
    found = told(wire.watch(end=30))
    if not dead:
        assert not loud(found)
        return
    assert loud(found) == {"internet-down"}
    seen = found["internet-down"]
    assert "3 hosts" in seen.text
    assert seen.subject == "eth1"
    assert len(seen.hides) == 3, "each of them hangs below"
    assert seen.evidence[0].packet
    assert seen.cleared_time_ns is None


def test_the_internet_is_back_and_that_is_said() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    knock(wire, 10)
    all_work(wire, 40, 44_000)
    found = told(wire.watch(end=60))
    assert found["internet-down"].cleared_time_ns is not None
    assert not {i for i, f in told(wire.watch(end=61), opened=True).items() if f.severity in LOUD}


def test_what_was_not_tried_since_the_outage_is_no_fault_of_its_own() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    knock(wire, 10)
    name, address = next(iter(NAMES.items()))
    wire.works(40, address, 44_000, name)
    found = told(wire.watch(end=60), opened=True)
    assert "tcp-blocked" not in found


def test_one_name_blocked_is_not_the_internet() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    blocked, *others = NAMES
    to(wire, blocked, 43_000).syn(10, 4)
    for n, name in enumerate(others):
        wire.works(11 + n, NAMES[name], 43_001 + n, name)
    found = told(wire.watch(end=30))
    assert loud(found) == {"tcp-blocked"}
    assert found["tcp-blocked"].subject == blocked
    assert "2 other endpoints work" in found["tcp-blocked"].text


def test_open_connections_live_and_new_ones_die() -> None:
    wire = Wire()
    wire.ask(0.1, IOT, IOT_IP)
    old = wire.works(0.2, IOT_IP, 40_500, IOT)
    all_work(wire, 1)
    knock(wire, 10)
    data = b"\x17\x03\x03\0\x20" + bytes(32)
    for at in (11, 16, 21, 26):
        old.send(at, data)
        old.answer(at + 0.03, data)
    found = told(wire.watch(end=32))
    assert loud(found) == {"new-connections-fail"}


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_every_hello_of_every_name_is_cut(how: str) -> None:
    wire = Wire()
    all_work(wire, 0.5)
    for n, name in enumerate(NAMES):
        flow = to(wire, name, 43_000 + n)
        flow.open(10 + n)
        flow.send(10.1 + n, client_hello(name))
        if how == "reset":
            flow.reset(10.12 + n)
        else:
            flow.close(10.12 + n, by_server=True)
    found = told(wire.watch(end=30))
    assert loud(found) == {"tls-blocked"}
    assert "filter by name" not in found["tls-blocked"].text
    assert len(found["tls-blocked"].hides) == 3


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_one_name_is_cut_and_others_get_through(how: str) -> None:
    wire = Wire()
    all_work(wire, 0.5)
    cut, *others = NAMES
    flow = to(wire, cut, 43_000)
    flow.open(10)
    flow.send(10.1, client_hello(cut))
    if how == "reset":
        flow.reset(10.12)
    else:
        flow.close(10.12, by_server=True)
    wire.works(11, NAMES[others[0]], 43_001, others[0])
    found = told(wire.watch(end=30))
    assert loud(found) == {"sni-filtered"}
    words = "RST" if how == "reset" else "FIN"
    assert words in found["sni-filtered"].text


def test_a_portal_answers_in_place_of_all() -> None:
    wire = Wire()
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\r\n\r\n"
    for n, (name, address) in enumerate(NAMES.items()):
        wire.ask(0.1 + n, name, address)
        flow = to(wire, name, 43_000 + n)
        flow.open(0.2 + n)
        flow.send(0.3 + n, client_hello(name))
        flow.answer(0.32 + n, answer)
        flow.close(0.4 + n, by_server=True)
    found = told(wire.watch(end=20))
    assert loud(found) == {"captive-portal"}
    assert "portal.example" in found["captive-portal"].text


def test_a_client_that_leaves_after_the_flight_is_told_without_a_signature() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    name = next(iter(NAMES))
    for n in range(3):
        flow = to(wire, name, 43_000 + n)
        flow.open(10 + 2 * n)
        flow.send(10.1 + 2 * n, client_hello(name))
        flow.answer(10.12 + 2 * n, server_hello())
        flow.close(10.2 + 2 * n)
    engine = wire.watch(end=30)
    found = told(engine)
    assert loud(found) == {"endpoint-failing"}
    assert "0 successes" in found["endpoint-failing"].text
    row = next(e for e in engine.snapshot().endpoints if e.host == name)
    assert (row.state, row.failing_step) == ("failing", "handshake")
    assert row.attempts_detail[-1].passed == "server-flight"
    assert "ClientHello sent" in row.attempts_detail[-1].text


def test_a_plain_port_is_no_mirror_and_nothing_else_is_said() -> None:
    wire = Wire()
    for n in range(40):
        wire.add(n, arp_packet(1, ETH1, CLOUD, GATEWAY), 1)
        wire.add(n + 0.5, arp_packet(1, "02:00:00:00:09:01", "192.168.5.77", GATEWAY), 1)
    found = told(wire.watch())
    assert loud(found) == {"not-a-mirror"}


def test_a_mirror_with_answers_is_a_mirror() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    found = told(wire.watch(end=60))
    assert not {"not-a-mirror", "mirror-one-way", "capture-snapped", "no-appliance"} & set(found)


def test_short_frames_are_said_and_names_wait() -> None:
    wire = Wire()
    all_work(wire, 0.5)
    wire.frames = [
        (at, interface, frame[:80], max(wire_length, len(frame)))
        for at, interface, frame, wire_length in wire.frames
    ]
    engine = wire.watch(end=20)
    assert "capture-snapped" in told(engine)
    assert not engine.snapshot().violations


def test_a_mirror_of_one_direction_names_the_port() -> None:
    wire = Wire()
    for n, (name, address) in enumerate(NAMES.items()):
        wire.ask(0.1 + n, name, address)
        wire.works(0.2 + n, address, 41_000 + n, name)
    one_way = Wire()
    mine = bytes.fromhex(ETH1.replace(":", ""))
    one_way.frames = [f for f in wire.frames if f[2][6:12] != mine]
    other = ethernet("02:00:00:00:00:10", "02:00:00:00:01:11", 0x800, bytes(46))
    back = ethernet("02:00:00:00:01:11", "02:00:00:00:00:10", 0x800, bytes(46))
    one_way.add(1, other, 0)
    one_way.add(1.1, back, 0)
    found = told(one_way.watch(end=20))
    assert "mirror-one-way" in found
    assert "eth1" in found["mirror-one-way"].text
