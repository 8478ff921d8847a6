"""A set of ports is the same set whether it holds a few or a scan's thousands."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.policy.judging.port_set import FEW, PortSet


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(1, 2 * FEW)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_ports_agree_with_a_set(spans: list[tuple[int, int]]) -> None:
    ports, other, kept = PortSet(), PortSet(), set()
    for turn, (start, count) in enumerate(spans):
        some = (np.arange(start, start + count) % 65_536).astype(np.uint16)
        (other if turn % 2 else ports).add(np.repeat(some, 2))
        kept.update(some.tolist())
    ports.merge(other)
    assert len(ports) == len(kept)
    assert ports.lowest(6) == sorted(kept)[:6]


def test_a_scan_of_all_ports_takes_no_object_a_port() -> None:
    ports = PortSet()
    ports.add(np.arange(65_536).astype(np.uint16))
    assert len(ports) == 65_536
    assert not ports._few
