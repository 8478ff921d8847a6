"""What is told holds for the kind of a situation: other bytes of the same truth tell it too.

Each change meets some cases, spread over all of them; and those pairs are run of which something
wrong was told once. `python -m tests.variants` runs all.
"""

from __future__ import annotations

import functools

import pytest

from tests.variants.cases import Case, cases, told_by
from tests.variants.changes import CHANGES
from tests.variants.frames import pcap
from tests.variants.told import Told, told, wrong

CASES = {case.name: case for case in cases()}
SMALL = [name for name in CASES if name.startswith("field/")]
EACH = 1  # cases of a change
ONCE_WRONG = (
    ("swapped", "field/metadata-track-404-while-video-plays"),
    ("lost", "field/unasked-replies-for-the-gateway"),
    ("lost", "field/every-endpoint-refuses-after-the-end"),
    ("snapped-200", "field/metadata-track-404-while-video-plays"),
    ("snapped-96", "field/metadata-track-404-while-video-plays"),
    ("snapped-96", "field/large-hello-never-acknowledged"),
    ("snapped-96", "field/camera-answers-500"),
    ("beside-another-site", "field/tls-inspection-three-names"),
    ("beside-another-site", "field/needed-names-lead-to-a-block-page"),
    ("last-60", "field/keep-alive-answered-401-stale"),
    ("last-60", "field/unasked-replies-for-the-gateway"),
    ("last-60", "field/internet-goes-away-names-too"),
    ("last-60", "field/old-connection-lives-new-ones-die"),
)


def chosen() -> list[tuple[str, str]]:
    """Each change takes the next cases that it fits, so that all kinds of cases occur."""
    waiting, out = SMALL[3::2], []
    for change in CHANGES.values():
        fit = [name for name in waiting if change.fits(CASES[name].site())][:EACH]
        out += [(change.name, name) for name in fit]
        waiting = [name for name in waiting if name not in fit]
    return out


CHOSEN = chosen()


@functools.lru_cache(maxsize=2)
def as_it_is(case: Case) -> Told:
    return told(told_by(pcap(case.shots()), case.site()))


@pytest.mark.parametrize(("change", "case"), sorted({*ONCE_WRONG, *CHOSEN}, key=lambda p: p[::-1]))
def test_a_variant_tells_the_same_truth(change: str, case: str) -> None:
    one, made = CASES[case], CHANGES[change]
    engine = told_by(made.write(made.packets(one.shots())), made.site(one.site()))
    assert not wrong(made, as_it_is(one), told(engine, made.back))


def test_each_change_meets_a_case() -> None:
    assert {change for change, _ in CHOSEN} == set(CHANGES)
