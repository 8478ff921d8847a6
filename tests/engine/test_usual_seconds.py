"""Exchanges that only repeat what a calm site did before are told with a later tick, and the answer
is that of looking at each second."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from panotui.engine.engine import Engine
from panotui.model import SECOND, Site
from panotui.runtime.pump import EARLIER_MOST, LET_PASS_NS, Pump
from panotui.sources import open_file
from tests.benchmarks import site_day
from tests.benchmarks.site_day import CLOCK, DATA, HOSTS, finished, kept_alive, opened
from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    START,
    Wire,
    alert,
    arp_packet,
    client_hello,
    ntp_packet,
    ntp_stamp,
    server_hello,
)
from tests.engine.looking import answers_alike

UNTIL = 400
HOST, SERVER = HOSTS[1]
Scene = Callable[[Wire], None]


def a_site() -> Site:
    """One port, whose resolver, gateway and time server are those of the scenes."""
    parts = {
        "site": {"region": "us-east-1", "vantage": "mirror"},
        "ports": {"eth1": {"role": "cloud", "mac": ETH1, "address": f"{CLOUD}/24"}},
        "network": {"gateways": [GATEWAY], "dns": [GATEWAY], "ntp": [CLOCK]},
    }
    return msgspec.convert(parts, Site)


def asks_the_time(wire: Wire, at: float, off_s: float = 0.0, *, answered: bool = True) -> None:
    asked = START + round((at + off_s) * SECOND)
    mine, theirs = (ETH1, CLOUD, 123), (ROUTER_MAC, CLOCK, 123)
    wire.udp(at, mine, theirs, ntp_packet(3, asked))
    if answered:
        true = START + round(at * SECOND)
        wire.udp(at + 0.02, theirs, mine, ntp_packet(4, true, ntp_stamp(asked)))


def visits(wire: Wire, at: float, number: int) -> None:
    """A name is asked for, its host visited, all within a second."""
    host, address = HOSTS[number % 3]
    wire.ask(at, host, address)
    opened(wire, at + 0.1, number % 3, 41_000 + number).close(at + 0.5)


def usual(wire: Wire) -> None:
    """Visits each 15 s, the time each 32 s, and a connection that is used each 5 s."""
    wire.ask(0.1, *HOSTS[0])
    kept = opened(wire, 0.2, 0, 40_000)
    for at in range(3, UNTIL):
        if at % 5 == 0:
            kept_alive(kept, at + 0.6)
        if at % 15 == 7:
            visits(wire, at + 0.1, at // 15)
        if at % 32 == 2:
            asks_the_time(wire, at + 0.2)
        if at % 10 == 4:
            site_day.neighbours(wire, at + 0.3, ROUTER_MAC, GATEWAY)


def handshake_fails(wire: Wire) -> None:
    flow = wire.tcp((ETH1, CLOUD, 20_000), (ROUTER_MAC, SERVER, 443))
    flow.open(200.1)
    flow.send(200.13, client_hello(HOST))
    flow.answer(200.15, alert(40))
    flow.close(200.2)


def is_reset(wire: Wire) -> None:
    for k in range(4):
        flow = wire.tcp((ETH1, CLOUD, 20_000 + k), (ROUTER_MAC, SERVER, 443))
        flow.open(200.1 + k)
        flow.send(200.13 + k, client_hello(HOST))
        flow.reset(200.15 + k)


def is_not_answered(wire: Wire) -> None:
    for k in range(3):
        wire.tcp((ETH1, CLOUD, 20_000 + k), (ROUTER_MAC, SERVER, 443)).syn(200.1 + 7 * k, 3)


def name_is_lost(wire: Wire) -> None:
    for k in range(5):
        wire.ask(200.3 + 5 * k, HOST, None, None)


def name_is_moved(wire: Wire) -> None:
    for k in range(3):
        wire.ask(200.3 + 5 * k, HOST, "10.9.9.9")


def names_are_slow(wire: Wire) -> None:
    for k in range(30):
        wire.ask(200.3 + k, HOST, SERVER, 0.6)


def clock_jumps(wire: Wire) -> None:
    for k in range(3):
        asks_the_time(wire, 200.7 + 16 * k, 90.0)


def time_is_not_told(wire: Wire) -> None:
    for k in range(6):
        asks_the_time(wire, 200.7 + 8 * k, answered=False)


def other_version(wire: Wire) -> None:
    """The server takes up another protocol than before."""
    flow = wire.tcp((ETH1, CLOUD, 20_000), (ROUTER_MAC, SERVER, 443))
    flow.open(200.1)
    flow.send(200.13, client_hello(HOST, ("h2",)))
    flow.answer(200.15, server_hello("h2"))
    flow.send(200.17, finished())
    flow.answer(200.19, finished())
    flow.send(200.21, DATA)
    flow.answer(200.23, DATA)
    flow.close(200.4)


def stranger_is_met(wire: Wire) -> None:
    for k in range(4):
        flow = wire.tcp((ETH1, CLOUD, 20_000 + k), (ROUTER_MAC, "198.51.100.77", 4444))
        flow.open(200.1 + 20 * k)
        flow.send(200.2 + 20 * k, b"hello" * 10)
        flow.answer(200.3 + 20 * k, b"there" * 10)
        flow.close(200.4 + 20 * k)


def lasts_into_the_next(wire: Wire) -> None:
    opened(wire, 200.75, 1, 20_000).close(201.3)


def stays_open(wire: Wire) -> None:
    opened(wire, 200.2, 1, 20_000)


def wakes(wire: Wire) -> None:
    """Two connections are silent for 45 s; one survives it."""
    for k in range(2):
        flow = opened(wire, 150.2 + k * 0.3, 1, 20_000 + k)
        for at in range(155, 171, 5):
            kept_alive(flow, at + 0.1 + k * 0.3)
        flow.send(215.2 + k * 0.3, DATA)
        if k:
            flow.reset(215.6)
        else:
            flow.answer(215.25, DATA)


def port_falls_silent(wire: Wire) -> None:
    wire.frames = [f for f in wire.frames if not 200 * SECOND <= f[0] - START < 290 * SECOND]
    for at in range(205, 290, 5):
        wire.add(at, arp_packet(1, "02:00:00:00:0a:01", "192.168.5.101", GATEWAY))


def segments_are_lost(wire: Wire) -> None:
    flow = opened(wire, 200.2, 1, 20_000)
    for k in range(20):
        flow.send(200.5 + k * 0.4, DATA)
        flow.send(200.6 + k * 0.4, DATA, again=True)
        flow.answer(200.7 + k * 0.4, DATA)
    flow.close(209.5)


FAULTS = (
    handshake_fails, is_reset, is_not_answered, name_is_lost, name_is_moved, names_are_slow,
    clock_jumps, time_is_not_told, other_version, stranger_is_met, lasts_into_the_next, stays_open,
    wakes, port_falls_silent, segments_are_lost,
)  # fmt: skip


def test_what_is_usual_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = answers_alike(usual, a_site(), monkeypatch)
    late = [at for at in passed.ticks if at - START > 100 * SECOND]
    assert len(late) <= (UNTIL - 100) * SECOND // LET_PASS_NS + 2
    assert len(passed.usual) > 30
    assert passed.usual == sorted(passed.usual)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_is_told_in_its_second(fault: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def scene(wire: Wire) -> None:
        usual(wire)
        fault(wire)

    passed = answers_alike(scene, a_site(), monkeypatch)
    assert len(passed.usual) > 10
    assert any(200 * SECOND < at - START <= 232 * SECOND for at in passed.ticks)


def test_a_crowd_of_usual_visits_is_no_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def scene(wire: Wire) -> None:
        usual(wire)
        for k in range(3 * EARLIER_MOST):
            visits(wire, 150.05 + k * 0.37, 100 + k)

    assert len(answers_alike(scene, a_site(), monkeypatch)) > 100


def test_a_site_that_is_not_calm_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a finding is open, each exchange may end it, or make it worse."""

    def scene(wire: Wire) -> None:
        usual(wire)
        for at in range(20, UNTIL, 6):
            wire.tcp((ETH1, CLOUD, 20_000 + at), (ROUTER_MAC, HOSTS[4][1], 443)).syn(at + 0.1, 3)

    assert len(answers_alike(scene, a_site(), monkeypatch).usual) < 4


def test_coming_rows_are_metered_apart_as_they_will_be(tmp_path: object) -> None:
    """What the meter will give of them is known before, and nothing of it changes by that."""
    path = f"{tmp_path}/day.pcap"
    with open(path, "wb") as file:
        file.write(site_day.PCAP_HEADER)
        for frames in site_day.minutes(300):
            file.write(site_day.records(frames))
    seen: list[tuple[list[bytes], list[bytes]]] = []

    class Watching(Pump):
        def _usual_parts(self, edges: list[int], rows: object) -> int:
            count = super()._usual_parts(edges, rows)  # type: ignore[arg-type]
            if self._coming is not None:
                found = self.meter.scout(edges[0], edges[count], rows)  # type: ignore[arg-type]
                assert found is not None
                seen.append((_without_numbers(found[0]), []))
            return count

        def _put_off(self) -> None:
            wanted = self._coming is not None
            before = 0 if self._earlier is None else len(self._earlier.flows)
            super()._put_off()
            if wanted:
                assert self._earlier is not None
                seen[-1][1].extend(_without_numbers(self._earlier.flows)[before:])

    pump = Watching([open_file(path)], Engine(Site()))
    pump.run()
    assert len(seen) > 3
    assert all(coming == came for coming, came in seen)


def _without_numbers(flows: object) -> list[bytes]:
    """Flow rows without the ids and packet numbers, which a meter of its own gives otherwise."""
    whole = flows[:].whole().copy()  # type: ignore[index]
    for name in ("id", "first_packet", "last_packet", "rst_packet"):
        whole[name] = 0
    return [row.tobytes() for row in whole]
