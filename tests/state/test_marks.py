"""The mark "known": one place for it, laid over whatever leaves."""

from __future__ import annotations

import msgspec
import pytest

from panotui.model import FindingRecord, ViolationRecord
from panotui.state import marks as under_test
from panotui.state.marks import Marks, is_well, key_of, open_and_known
from tests.views.records import snapshot


def finding(key: str, **fields: object) -> FindingRecord:
    made = FindingRecord(
        id="link-down", severity="error", confidence="certain", subject=key, text="t", action="a",
        first_time_ns=1, last_time_ns=2, key=key,
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


def violation(number: int, state: str = "open") -> ViolationRecord:
    return ViolationRecord(
        id=f"v{number}", reason="lateral", severity="error", port=None, src="a", sport=1, dst="b",
        dport=2, transport="tcp", host=None, first_time_ns=1, last_time_ns=2, state=state,
    )  # fmt: skip


def test_a_mark_is_laid_over_and_taken_away() -> None:
    marks = Marks()
    found = (finding("one"), finding("two"))
    assert marks.over_findings(found) is found  # nothing to do costs nothing
    assert marks.set(key_of(found[1]), True)
    assert [f.known for f in marks.over_findings(found)] == [False, True]
    assert marks.set("finding:two", False)
    marked = tuple(msgspec.structs.replace(f, known=True) for f in found)
    assert [f.known for f in marks.over_findings(marked)] == [False, False]


def test_all_is_well_when_all_that_is_open_is_known() -> None:
    marks = Marks({"finding:one"})
    found = marks.over_findings((finding("one"), finding("two")))
    assert not is_well(found, ())
    marks.set("finding:two", True)
    found = marks.over_findings(found)
    assert is_well(found, ())
    assert is_well(found, (violation(1, "past"),))
    broken = (violation(1),)
    assert not is_well(found, broken)
    marks.set("violation:v1", True)
    broken = marks.over_violations(broken)
    assert is_well(found, broken)
    assert open_and_known(found, broken) == (2, 1)


def test_what_hangs_on_a_finding_is_known_with_it() -> None:
    cause = finding("cause", hides=("other",))
    other = finding("other", hidden_by="cause")
    assert not is_well((cause, other), ())
    known = Marks({"finding:cause"}).over_findings((cause, other))
    assert is_well(known, ())
    assert open_and_known(known, ()) == (1, 0)
    assert not is_well(Marks({"finding:other"}).over_findings((cause, other)), ())


@pytest.mark.parametrize("fields", [{"cleared_time_ns": 5}, {"severity": "info"}])
def test_what_is_over_or_only_good_to_know_does_not_count(fields: dict[str, object]) -> None:
    assert is_well((finding("one", **fields),), ())


def test_a_snapshot_is_well_from_the_mark_on_and_not_when_it_is_taken_away() -> None:
    one = snapshot(30)
    keys = {key_of(f) for f in one.findings} | {key_of(v) for v in one.violations}
    well = Marks(keys).over_snapshot(one)
    assert well.all_well_since_ns == one.time_ns
    assert well.counts.findings_known + well.counts.violations_known > 0
    again = Marks().over_snapshot(well)
    assert again.all_well_since_ns is None
    assert (again.counts.findings_known, again.counts.violations_known) == (0, 0)


def test_marks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MARKS_MAX", 2)
    marks = Marks({"finding:a"})
    assert marks.set("finding:b", True)
    assert marks.set("finding:b", True)
    assert not marks.set("finding:c", True)
    assert "finding:c" not in marks
    assert marks.set("finding:a", False)
    assert marks.set("finding:c", True)
