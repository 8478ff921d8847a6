"""States of the appliance's ports when it is our own interface that tells nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import LinkReading
from panotui.runtime.pump import Pump
from panotui.site.file import parse_site
from panotui.sources import open_file

DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"


@pytest.fixture(scope="module", params=["mir1", "enp4s0"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """The demo's first seconds; the site file names the interface, or another machine's."""
    text = (DEMO / "site.toml").read_text().replace('"mir1"', f'"{request.param}"')
    made = Engine(parse_site(text, "site.toml"), EngineSettings(live=True))
    source = open_file(str(DEMO / "site.pcapng.zst"), batch_packets=4_000)
    pump = Pump([source], made)
    while made.number < 5:
        assert pump.step(1.0)
    source.close()
    return made


@pytest.mark.parametrize(
    "gone",
    [{"present": False}, {"present": True, "up": False}],
    ids=["removed", "no carrier"],
)
def test_a_port_whose_mirror_we_no_longer_hear_is_unknown_and_never_up(
    engine: Engine, gone: dict[str, bool]
) -> None:
    def states() -> dict[str, str]:
        return {port.name: port.state for port in engine.snapshot().ports}

    there = LinkReading(time_ns=engine.now_ns, interface="mir1", up=True)
    engine.link(there)
    assert states() == {"eth0": "up", "eth1": "up"}
    engine.link(LinkReading(time_ns=engine.now_ns, interface="mir1", **gone))
    assert states() == {"eth0": "up", "eth1": "unknown"}
    engine.link(there)
    assert states() == {"eth0": "up", "eth1": "up"}
