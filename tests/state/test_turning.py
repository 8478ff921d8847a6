"""Seconds of a link that come together say what they say one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from panotui.model import LINK_SECOND_DTYPE, Rows
from panotui.state.turning import Turning

EVERYBODY, ME = 0xFFFF_FFFF_FFFF, 7


def links(random: np.random.Generator, first_s: int, hosts: int, interfaces: int) -> Rows:
    """Some seconds in which some hosts, now and then in one direction only, speak or are silent."""
    out = np.zeros(int(random.integers(1, 40)), LINK_SECOND_DTYPE)
    out["second"] = first_s + np.sort(random.integers(0, 9, len(out)))
    out["src_mac"] = random.integers(2, 2 + hosts, len(out)) * 2
    one_way = random.random() < 0.5
    to = random.integers(2, 2 + hosts, len(out)) * 2 + (1000 if one_way else 0)
    groups = np.array([EVERYBODY, 0x0180_C200_0000, ME], np.uint64)
    out["dst_mac"] = np.where(random.random(len(out)) < 0.3, random.choice(groups, len(out)), to)
    out["interface"] = random.integers(0, interfaces, len(out))
    out["packets"] = random.choice([1, 500], len(out))
    return out


def said(turning: Turning) -> dict[str, Any]:
    """All that it knows, hosts in the order in which they are forgotten."""
    known = dict(vars(turning))
    known["_interfaces"] = {key: repr(at) for key, at in turning._interfaces.items()}
    known["_hosts"] = [(key, repr(ways)) for key, ways in turning._hosts.items()]
    return known


@pytest.mark.parametrize("seed", range(20))
def test_together_as_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    together, single = Turning(), Turning()
    at_s, hosts, interfaces = 1_700_000_000, int(random.integers(2, 8)), 1 + seed % 2
    own = frozenset({ME}) if seed % 3 == 0 else frozenset[int]()
    doubted = 0
    for _ in range(40):
        rows = links(random, at_s, hosts, interfaces)
        together.links(rows, own)
        for second in np.unique(rows["second"]):
            single.links(rows[rows["second"] == second], own)
        for key in sorted(together._alone):
            together.prove(key, 1)
            single.prove(key, 1)
        at_s = int(rows["second"][-1]) + int(random.integers(0, 3))
        now_ns = (at_s + int(random.choice([1, 25]))) * 1_000_000_000
        assert together.judge(now_ns) == single.judge(now_ns)
        assert said(together) == said(single)
        doubted += together.doubts
    assert doubted or hosts > 4


def test_seconds_of_known_hosts_are_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.zeros(2 * 60, LINK_SECOND_DTYPE)
    rows["second"] = np.repeat(np.arange(60), 2) + 1_700_000_000
    rows["src_mac"], rows["dst_mac"] = np.tile([2, 4], 60), np.tile([4, 2], 60)
    turning = Turning()
    turning.links(rows[:2], frozenset())
    taken: list[int] = []
    monkeypatch.setattr(turning, "_second", lambda *given: taken.append(given[1]))
    turning.links(rows[2:], frozenset())
    assert not taken
    assert said(turning)["_hosts"][0][1].startswith("_Ways(towards_s=1700000059, sent_s=1700000059")
