"""Each relation that findings.toml declares acts: what blocks a tag hides what relies on it."""

from __future__ import annotations

from itertools import product
from string import Formatter

import pytest

from panotui.diagnosis.catalogue import FindingSpec, catalogue
from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts, Observation, Rule
from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import SECOND
from tests.made_up import START, site

ALL = catalogue()
# stalls of a frozen stream are older than what shows that it is frozen: it has the higher layer
NEVER_FIRST = {("stream-jitter", "frozen")}


class Says(Rule):
    """Two things hold."""

    def __init__(self, *seen: Observation) -> None:
        self.seen = list(seen)

    def tick(self, facts: Facts) -> list[Observation]:
        return self.seen


def seen(name: str, subject: str, values: dict[str, str]) -> Observation:
    """A condition that has held for hours."""
    return Observation(name, subject, values, first_ns=START - 10_000 * SECOND)


def head(template: str) -> str:
    return template.partition(":")[0]


def names(*templates: str) -> set[str]:
    return {name for t in templates for _, name, _, _ in Formatter().parse(t) if name}


def before(one: FindingSpec, other: FindingSpec) -> bool:
    return (one.layer, one.step) < (other.layer, other.step)


PAIRS = sorted(
    {
        (a, b, head(blocked))
        for (a, one), (b, other) in product(ALL.items(), ALL.items())
        for blocked, relied in product(one.blocks, other.relies)
        if head(blocked) == head(relied) and before(one, other)
    }
)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return Engine(site(), EngineSettings()).facts


@pytest.mark.parametrize("cause", sorted({a for a, _, _ in PAIRS}))
def test_what_blocks_a_tag_hides_what_relies_on_it(cause: str, facts: Facts) -> None:
    for _, follows, tag in (p for p in PAIRS if p[0] == cause):
        one, other = ALL[cause], ALL[follows]
        blocked = next(t for t in one.blocks if head(t) == tag)
        relied = next(t for t in other.relies if head(t) == tag)
        shared = dict.fromkeys(names(blocked, relied), "x") | {"way": "x"}
        elsewhere = dict.fromkeys(shared, "y")
        for values, hides in ((shared, True), (elsewhere, ":" not in blocked)):
            diagnosis = Diagnosis([Says(seen(cause, "one", shared), seen(follows, "two", values))])
            for second in range(3):
                facts.now_ns = START + second * 100 * SECOND
                diagnosis.tick(facts)
            told = {f.id: f for f in diagnosis.records()}
            assert (told[follows].hidden_by == f"{cause}|one") is hides, (cause, follows, tag)
            assert told[cause].hidden_by is None
            assert (f"{follows}|two" in told[cause].hides) is hides


@pytest.mark.parametrize("name", list(ALL))
def test_no_relation_is_declared_in_vain(name: str) -> None:
    one = ALL[name]
    for template in one.blocks:
        assert any(a == name and tag == head(template) for a, _, tag in PAIRS), template
    for template in one.relies:
        if (name, head(template)) not in NEVER_FIRST:
            assert any(b == name and tag == head(template) for _, b, tag in PAIRS), template
