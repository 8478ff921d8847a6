"""Seconds in which known conversations merely go on are told of together, and the answer is that of
looking at each."""

from __future__ import annotations

from typing import Any

import pytest

from panotui.diagnosis.thresholds import thresholds
from panotui.meter.steady import HUSH_NS
from panotui.model import SECOND
from panotui.runtime.pump import AWAKE_PASS_NS
from panotui.state.streams import REST_NS
from tests.benchmarks import site_day
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
)
from tests.engine.looking import answers_alike
from tests.made_up import APPLIANCE, CAMERA, site

HOST = "s3.us-east-1.amazonaws.com"
SERVER = (ROUTER_MAC, "52.216.0.20", 443)


def kept_alive(wire: Wire, until: int) -> None:
    """A connection over which a word is said every 3 s."""
    wire.ask(0.5, HOST, SERVER[1])
    flow = site_day.opened(wire, 1.0, 1, 40_000)
    for at in range(3, until, 3):
        site_day.kept_alive(flow, at + 0.2)


def alone(wire: Wire) -> None:
    kept_alive(wire, 120)


def loses(wire: Wire) -> None:
    """... and what it said is said again, in the middle and near the end."""
    kept_alive(wire, 60)
    flow = wire.tcp((ETH1, CLOUD, 40_001), SERVER)
    flow.open(5.0)
    for at in range(6, 100, 2):
        flow.send(at + 0.1, site_day.DATA)
        if at % 10 == 0:
            flow.send(at + 0.4, site_day.DATA, again=True)
        flow.answer(at + 0.5, site_day.DATA)


def falls_silent(wire: Wire) -> None:
    """... and one of two connections stops without a word."""
    kept_alive(wire, 150)
    site_day.kept_alive(site_day.opened(wire, 2.0, 2, 40_002), 9.0)


def is_reset(wire: Wire) -> None:
    """... and another wakes from a long silence and is reset, again and again."""
    kept_alive(wire, 400)
    for n in range(4):
        flow = site_day.opened(wire, 3.0 + n * 90, 3, 40_010 + n)
        site_day.kept_alive(flow, 8.0 + n * 90)
        flow.send(70.0 + n * 90, site_day.DATA)
        flow.reset(70.2 + n * 90)


def asked(
    wire: Wire, start: int, stop: int, mac: str = ROUTER_MAC, *, answered: bool = True
) -> None:
    """The gateway is asked for by ARP every 5 s."""
    for at in range(start, stop, 5):
        wire.add(at + 0.3, arp_packet(1, ETH1, CLOUD, GATEWAY))
        if answered:
            wire.add(at + 0.301, arp_packet(2, mac, GATEWAY, CLOUD, dst=ETH1))


def closes(wire: Wire) -> None:
    """... and others are closed by both sides, or time out; the ports of some are used again."""
    kept_alive(wire, 200)
    for n in range(8):
        at = 4.0 + n * 22
        wire.ask(at, "logs.us-east-1.amazonaws.com", "52.94.0.50")
        site_day.opened(wire, at + 0.1, 3, 40_030).close(at + 0.5)
        site_day.opened(wire, at + 0.3, 4, 40_031 + n).close(at + 3.5)


def line_worsens(wire: Wire) -> None:
    """... and much of what other connections send is sent again, after a good time."""
    kept_alive(wire, 260)
    for n in range(3):
        flow = site_day.opened(wire, 2.0 + n, 1, 40_040 + n)
        for i in range(450):
            at = 4.0 + n / 10 + i * 0.5
            flow.send(at, site_day.DATA)
            if 300 < i < 360 and i % 3 == n:
                flow.send(at + 0.2, site_day.DATA, again=True)
            flow.answer(at + 0.3, site_day.DATA)


def gateway_stops(wire: Wire) -> None:
    """... and the gateway answers by ARP, then no more, then again."""
    kept_alive(wire, 200)
    asked(wire, 2, 90)
    asked(wire, 92, 130, answered=False)
    asked(wire, 132, 200)


def another_claims(wire: Wire) -> None:
    """... and another host answers for the gateway as well."""
    kept_alive(wire, 200)
    asked(wire, 2, 200)
    asked(wire, 83, 160, "02:00:00:00:0b:01")


def camera_was_read(wire: Wire) -> None:
    """... and a camera was read at first, and stopped; it is at rest at last."""
    Rtsp(wire).play(1.0).media(1.5, 9.0)
    kept_alive(wire, 40)
    flow = site_day.opened(wire, 1450.0, 2, 40_020)
    for at in range(1455, 1530, 4):
        site_day.kept_alive(flow, at + 0.2)


def camera_was_refused(wire: Wire) -> None:
    """... and a camera does not answer, for a while."""
    wire.tcp((ETH0, APPLIANCE, 41_000), (CAMERA_MAC, CAMERA, 554)).syn(2.0, 5, 1.0)
    flow = site_day.opened(wire, 1020.0, 2, 40_021)
    for at in range(1025, 1100, 4):
        site_day.kept_alive(flow, at + 0.2)


SCENES = [alone, loses, falls_silent, is_reset, closes, line_worsens, gateway_stops, another_claims]
AT_REST = [alone, closes, gateway_stops, camera_was_read, camera_was_refused]


@pytest.mark.parametrize(
    ("scene", "camera"), [*((s, False) for s in SCENES), *((s, True) for s in AT_REST)]
)
def test_the_answer_is_that_of_looking_at_each(
    scene: Any, camera: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`camera`: the site has one, which is at rest."""
    passed = answers_alike(scene, site() if camera else site(camera=[]), monkeypatch)
    assert len(passed) > 10
    assert all(at % SECOND == 0 for at in passed)


def test_what_counts_as_silence_is_longer_than_what_is_let_pass() -> None:
    """Who spoke not long before, and is heard of only when the time to let pass is over."""
    assert thresholds().cloud.silence_ns > HUSH_NS + AWAKE_PASS_NS + SECOND


def test_nothing_of_a_camera_is_told_when_it_has_been_at_rest() -> None:
    assert thresholds().common.stale_s * SECOND < REST_NS
