"""Each finding of the catalogue has a capture that provokes it, and a healthy twin.

`matrix.toml` names them. That the capture tells it, with packets as evidence and nothing else of
warning or error beside it, and that the twin tells nothing, is asserted where they are run.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from panotui.diagnosis.catalogue import catalogue
from tests.captures import capture
from tests.diagnosis.met import run
from tests.diagnosis.wire import Wire
from tests.field.cases import all_cases
from tests.situations import CAPTURES, SITUATIONS

FOLDER = Path(__file__).parent
MATRIX = tomllib.loads((FOLDER / "matrix.toml").read_text(encoding="utf-8"))


def test_each_finding_has_its_row() -> None:
    assert sorted(MATRIX) == sorted(catalogue())


@pytest.mark.parametrize("finding", list(MATRIX))
def test_a_capture_provokes_it(finding: str) -> None:
    kind, _, name = MATRIX[finding]["provokes"].partition("/")
    if kind == "situation":
        one = {**SITUATIONS, **CAPTURES}[name]
        assert finding in one.ids
        assert len(one.told) <= 1, "and nothing beside it"
        assert not one.twin or MATRIX[finding]["twin"] == f"situation/{one.twin}"
    elif kind == "met":
        truth = run.SCENES[name](Wire())
        assert finding in (*truth.loud, *truth.quiet_too)
        assert len(truth.loud) <= 1
    elif kind == "field":
        case = all_cases()[name]
        named = [*case.get("findings", []), *case.get("any_of", []), *case.get("open", [])]
        named += case.get("cleared", [])
        assert any(finding in one for one in named)
    else:
        assert kind == "capture"
        assert capture(name).is_file()


@pytest.mark.parametrize("finding", list(MATRIX))
def test_a_healthy_twin_does_not(finding: str) -> None:
    kind, _, name = MATRIX[finding]["twin"].partition("/")
    if kind == "situation":
        twin = SITUATIONS[name]
        assert not twin.told
        assert finding not in twin.info
    elif kind == "met":
        truth = run.SCENES[name](Wire())
        assert not truth.loud
        assert finding not in truth.quiet_too
    else:
        assert kind == "capture"
        assert capture(name).is_file()
