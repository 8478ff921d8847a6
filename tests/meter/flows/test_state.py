"""The columns of the flow table: no flow inherits what another left in its slot."""

from __future__ import annotations

import numpy as np

from panotui.meter.meter import Meter
from panotui.model import SECOND, MeterSettings
from tests.meter.packets_in import START_NS, batch_of, tcp, udp


def columns_of(meter: Meter) -> dict[str, np.ndarray]:
    """Every array of the table's state, those that are lists of arrays too."""
    state = meter.flows.state
    found = {name: value for name, value in vars(state).items() if isinstance(value, np.ndarray)}
    return found | {f"counts {i}": column for i, column in enumerate(state.counts)}


def fill(meter: Meter) -> None:
    """Leave in every column of every slot what a flow might, and more."""
    for name, column in columns_of(meter).items():
        if name == "tcp_counts":
            continue  # the same memory as `counts`
        flat = column.reshape(-1)
        flat[:] = True if flat.dtype == np.bool_ else 90
    # the slots are free
    meter.flows.state.id[:] = 0
    meter.flows.state.changed[:] = False


def test_opened_flow_finds_no_column_as_another_left_it() -> None:
    frames = [
        tcp(40_000, 443, 7, b"", flags=2),
        udp(5000, 6000, b"x" * 30, src="2001:db8::1", dst="2001:db8::2"),
    ]
    blank, used = (Meter(MeterSettings(flows_max=64), 0) for _ in range(2))
    fill(used)
    for meter in (blank, used):
        meter.update(batch_of(frames))
    slots = blank.flows.state.live
    assert len(slots) == 2
    assert used.flows.state.live.tolist() == slots.tolist()
    others = columns_of(used)
    for name, column in columns_of(blank).items():
        assert np.array_equal(column[slots], others[name][slots]), name
    rows = [meter.tick(START_NS + SECOND).flows.whole() for meter in (blank, used)]
    assert rows[0].tobytes() == rows[1].tobytes()
