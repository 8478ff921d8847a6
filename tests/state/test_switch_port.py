"""How a switch port is called in a sentence."""

from __future__ import annotations

import pytest

from panotui.model import NeighbourMessage
from panotui.state.ports import neighbour_text, switch_port


@pytest.mark.parametrize(
    ("port", "description", "said"),
    [
        ("Gi1/0/3", None, "Gi1/0/3"),
        ("Gi1/0/3", "GigabitEthernet1/0/3", "GigabitEthernet1/0/3"),
        ("Gi1/0/3", "cameras hall 2, port four", "Gi1/0/3 (cameras hall 2, port four)"),
        ("00:1b:54:00:00:03", "port 3", "port 3"),
        ("3", "Port 3 of the upper switch", "Port 3 of the upper switch"),
    ],
)
def test_a_description_does_not_hide_which_port_it_is(
    port: str, description: str | None, said: str
) -> None:
    message = NeighbourMessage(
        time_ns=1, packet=1, interface=0, protocol="lldp", src_mac="00:1b:54:00:00:03",
        chassis="00:1b:54:00:00:01", port=port, ttl=120, system_name="sw-1",
        port_description=description,
    )  # fmt: skip
    assert switch_port(message) == said
    assert neighbour_text(message) == f"sw-1 port {said}"
