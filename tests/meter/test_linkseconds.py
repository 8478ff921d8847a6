"""Pairs of Ethernet addresses are told apart at the same cost, however many interfaces there are."""

from __future__ import annotations

import numpy as np

from panotui.meter.linkseconds import LinkSeconds


def test_the_same_pair_on_many_interfaces_falls_into_buckets_of_its_own() -> None:
    """A capture of a thousand sections has a thousand interfaces: no look-up may walk them all."""
    interfaces = np.arange(1_000, dtype=np.int16)

    class Batch:
        interface = interfaces
        interfaces = tuple(range(1_000))

    class Columns:
        src_mac = np.full(1_000, 0x020000000010, np.uint64)
        dst_mac = np.full(1_000, 0x020000000011, np.uint64)
        src4 = np.zeros(1_000, np.uint32)

    seconds = LinkSeconds()
    pair = seconds._pair(Batch(), Columns())  # type: ignore[arg-type]
    assert len(set(pair.tolist())) == 1_000
    used = np.flatnonzero(seconds._index._numbers >= 0)
    runs = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1)
    assert max(map(len, runs)) < 16
