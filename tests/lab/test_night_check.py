"""The check of a night: a finding names a fault by its kind, its subject and its time."""

from __future__ import annotations

import msgspec

from panotui.model import SECOND
from tests.lab.night import Fault
from tests.lab.night_check import Done, follows, is_on, names
from tests.views.records import finding

FAULT = Fault("camera-off", "gate", 60, 90, ("camera-off",), ("rtsp-closed",), "gate")
DONE = Done(FAULT, start=1000.0, end=1090.0, done=1091.0)
NAMED = msgspec.structs.replace(
    finding(), id="camera-off", subject="camera gate", first_time_ns=1004 * SECOND
)
AFTER = msgspec.structs.replace(NAMED, id="rtsp-closed", first_time_ns=1100 * SECOND)


def test_a_fault_is_named_by_its_kind_its_subject_and_its_time() -> None:
    assert names(DONE, NAMED)
    for other in (
        {"id": "stream-loss"}, {"subject": "camera dock"}, {"first_time_ns": 1011 * SECOND},
    ):  # fmt: skip
        assert not names(DONE, msgspec.structs.replace(NAMED, **other))


def test_what_a_fault_brings_along_is_about_its_subject() -> None:
    assert follows(DONE, NAMED)
    assert follows(DONE, AFTER)
    for other in (
        {"id": "stream-loss"}, {"subject": "camera dock"}, {"first_time_ns": 1300 * SECOND},
    ):  # fmt: skip
        assert not follows(DONE, msgspec.structs.replace(AFTER, **other))


def test_a_sentence_that_is_not_on_the_page_is_missed() -> None:
    there = msgspec.structs.replace(NAMED, text="gate is off.", earlier=())
    assert is_on("... gate is off. ...", there)
    assert not is_on("... dock is off. ...", there)
