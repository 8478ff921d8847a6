"""Telling pairs of Ethernet addresses apart costs the same, however many interfaces there are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from panotui.meter.linkseconds import LinkSeconds


def test_the_same_pair_on_many_interfaces_falls_into_buckets_of_its_own() -> None:
    """A capture of a thousand sections has a thousand interfaces: no look-up may walk them all."""
    many = 1_000
    batch = SimpleNamespace(interface=np.arange(many, dtype=np.int16), interfaces=range(many))
    columns = SimpleNamespace(
        src_mac=np.full(many, 0x020000000010, np.uint64),
        dst_mac=np.full(many, 0x020000000011, np.uint64),
        src4=np.zeros(many, np.uint32),
    )
    seconds = LinkSeconds()
    pair = seconds._pair(batch, columns)  # type: ignore[arg-type]
    assert len(set(pair.tolist())) == many
    used = np.flatnonzero(seconds._index._numbers >= 0)
    runs = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1)
    assert max(map(len, runs)) < 16
