"""Which finding hides behind which: the first, from the lowest step, of those that it hangs on."""

from __future__ import annotations

import random

import msgspec
import pytest

from panotui.diagnosis.catalogue import catalogue
from panotui.diagnosis.diagnosis import LIMITS as CAUSE_LIMITS
from panotui.diagnosis.diagnosis import _Causes, _Life, _order
from panotui.diagnosis.facts import Observation
from panotui.model import SECOND, FindingRecord

TAGS = ("port:eth0", "cloud:eth0", "names:eth0", "camera yard", "time:eth1")


def lives(seed: int) -> list[_Life]:
    """Open findings of a few layers and steps that block, rely on and cover others at random."""
    chance = random.Random(seed)
    spec = next(iter(catalogue().values()))
    names = [f"{chance.choice('abc')}|{number}" for number in range(chance.randint(1, 14))]
    out = []
    for name in names:
        record = FindingRecord(
            id=name[0], key=name, severity="error", confidence="certain", subject=name, text="",
            action="", first_time_ns=chance.randint(0, 200) * SECOND, last_time_ns=0,
            layer=chance.randint(1, 3),
        )  # fmt: skip
        some = lambda: frozenset(t for t in TAGS if chance.random() < 0.25)  # noqa: E731
        covers = frozenset(n for n in (*names, "a|*", "b|*") if chance.random() < 0.1)
        step = msgspec.structs.replace(spec, step=chance.randint(0, 2))
        seen = Observation(name[0], name)
        out.append(_Life(record, step, some(), some(), covers, seen, "", 0, told=True))
    return sorted(out, key=_order)


def is_cause(cause: _Life, life: _Life) -> bool:
    """One held against one."""
    if cause is life:
        return False
    if life.record.key in cause.covers:
        return True
    if f"{life.record.id}|*" in cause.covers:
        return life.record.first_time_ns >= cause.record.first_time_ns - CAUSE_LIMITS.together_ns
    return _order(cause)[:2] < _order(life)[:2] and bool(cause.blocks & life.relies)


@pytest.mark.parametrize("seed", range(300))
def test_the_first_that_a_finding_hangs_on_hides_it(seed: int) -> None:
    opened = lives(seed)
    causes = _Causes(opened)
    for life in opened:
        expected = next((c.record.key for c in opened if is_cause(c, life)), None)
        assert causes.of(life) == expected
