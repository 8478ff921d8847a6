"""The technician's own SSH session is apart: marked, never a violation, whatever it looks like."""

from __future__ import annotations

import pytest

from panotui.report.objects import flow_object
from panotui.sources.live.own import own_traffic
from tests.made_up import Scene, answered, site

CLIENT, SERVER = "198.51.100.7", "192.168.5.5"


@pytest.mark.parametrize("mine", [True, False])
def test_an_own_session_is_marked_and_no_violation(mine: bool) -> None:
    made = Scene(site())
    row = answered(1, CLIENT, SERVER, 22)
    port = int(row["sport"][0])
    if mine:
        ours = own_traffic({"SSH_CONNECTION": f"{CLIENT} {port} {SERVER} 22"})
        assert ours is not None
        made.engine.own = (ours.client, ours.client_port, ours.server, ours.server_port)
    made.tick([row])
    made.tick()
    (flow,) = made.engine.flow_records()
    assert flow.own is mine
    assert flow_object(flow)["own"] is mine
    assert (flow.verdict, flow.rule) == (("infrastructure", "own") if mine else ("violation", None))
    assert [v.reason for v in made.engine.snapshot().violations] == ([] if mine else ["inbound"])


def test_another_session_of_the_same_hosts_is_not_ours() -> None:
    made = Scene(site())
    row = answered(1, CLIENT, SERVER, 22)
    ours = own_traffic({"SSH_CONNECTION": f"{CLIENT} {int(row['sport'][0]) + 1} {SERVER} 22"})
    assert ours is not None
    made.engine.own = (ours.client, ours.client_port, ours.server, ours.server_port)
    made.tick([row])
    made.tick()
    assert [v.reason for v in made.engine.snapshot().violations] == ["inbound"]
