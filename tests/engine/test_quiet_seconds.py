"""A second in which nothing comes is let pass, and the answer is as if it had been looked at."""

from __future__ import annotations

from typing import Any

import pytest

from panotui.engine.engine import Engine
from panotui.engine.passing import Passing
from panotui.report.analysis import analysis
from tests.diagnosis.wire import CLOUD, ETH1, GATEWAY, Wire, arp_packet
from tests.made_up import site

HOST = "s3.us-east-1.amazonaws.com"


def silent_server(wire: Wire) -> None:
    """An endpoint that never answers, and a question for a name without an answer."""
    wire.ask(1.0, HOST, "52.216.0.20")
    wire.tcp((ETH1, CLOUD, 40_000), ("02:00:00:00:02:01", "52.216.0.20", 443), 1).syn(2.0, 4, 2.0)
    wire.ask(40.0, "sts.us-east-1.amazonaws.com", None, None)


def silent_gateway(wire: Wire) -> None:
    """The gateway is asked for by ARP in vain, long enough to be told, and then no more."""
    for n in range(8):
        wire.add(1.0 + n, arp_packet(1, ETH1, CLOUD, GATEWAY), 1)


def two_at_one_address(wire: Wire) -> None:
    """Two hosts claim one address in turn; it is over when neither did so for two minutes."""
    for n in range(8):
        mac = f"02:00:00:00:0b:{n % 2:02x}"
        wire.add(1.0 + 2 * n, arp_packet(1, mac, "192.168.5.77", "192.168.5.1"), 1)


def works(wire: Wire) -> None:
    """All is well, and then nothing more is said."""
    wire.ask(1.0, HOST, "52.216.0.20")
    wire.works(2.0, "52.216.0.20", 40_000, HOST)


SCENES = [silent_server, silent_gateway, two_at_one_address, works]


@pytest.mark.parametrize("scene", SCENES)
def test_the_answer_is_that_of_looking_each_second(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer() -> dict[str, Any]:
        wire = Wire()
        scene(wire)
        for at in (55.0, 112.5, 168.0, 225.0, 280.0):  # so that each second is ticked
            wire.quiet(at, at + 0.1)
        # where cameras are known, each second is looked at
        told: dict[str, Any] = analysis(wire.watch(site(camera=[])))
        return told

    passed: list[int] = []
    let_pass = Engine._let_pass

    def counting(self: Engine) -> None:
        passed.append(self.now_ns)
        let_pass(self)

    monkeypatch.setattr(Engine, "_let_pass", counting)
    waited = answer()
    assert len(passed) > 150
    monkeypatch.setattr(Passing, "quiet_until", lambda self, now, *, streaming=False: 0)
    passed.clear()
    assert answer() == waited
    assert not passed
