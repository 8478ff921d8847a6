"""What becomes of connections: bounded work a second, and what was left out is told."""

from __future__ import annotations

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import TlsClientHello
from panotui.state.tracking import WAITING_MAX
from tests.made_up import START, site


def hello(flow: int) -> TlsClientHello:
    return TlsClientHello(time_ns=START, packet=flow, interface=0, flow=flow, sni="a.example")


def test_handshakes_that_are_too_many_for_one_second_are_counted_as_skipped() -> None:
    engine = Engine(site(), EngineSettings())
    for flow in range(1, WAITING_MAX + 1):
        engine.tracking.observe(hello(flow), 0)
    assert engine.limits()["connections_skipped"] == 0
    for flow in range(WAITING_MAX + 1, WAITING_MAX + 6):
        engine.tracking.observe(hello(flow), 0)
    assert engine.limits()["connections_skipped"] == 5
