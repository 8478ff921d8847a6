"""What an attempt comes to once its handshake is done: by what was asked and what came back."""

from __future__ import annotations

import pytest

from panotui.model import SECOND
from panotui.state.connects import Attempts
from panotui.state.ladder import Attempt


def attempt(key: int, first_s: int, how: str = "works") -> Attempt:
    made = Attempt(key, "10.20.0.5", "192.0.2.7", 443, first_s * SECOND, key)
    made.passed, made.how = (5 if how == "unanswered" else 6), how
    return made


@pytest.mark.parametrize("worked_before", [True, False])
def test_a_success_that_is_taken_back_leaves_what_worked_before(worked_before: bool) -> None:
    target = Attempts("192.0.2.7", 443)
    if worked_before:
        target.succeeded(10 * SECOND, 1)
    for key, first_s in ((2, 20), (3, 40)):
        hung = attempt(key, first_s)
        target.note(hung)
        target.succeeded((first_s + 1) * SECOND, key)
        hung.passed, hung.how = 5, "unanswered"
        target.take_back(key)
        target.note(hung)
    assert target.success_ns == (10 * SECOND if worked_before else 0)
    assert target.since_ns == 20 * SECOND
    assert [a.key for a in target.failures] == [2, 3]
    assert target.state == "failing"
    assert target.doubts(attempt(4, 60))


def test_one_request_that_is_left_in_vain_is_no_failure_of_its_host() -> None:
    target = Attempts("192.0.2.7", 443)
    target.note(attempt(2, 20, "unanswered"))
    assert target.failures == []
    target.succeeded(30 * SECOND, 3)
    assert (target.state, target.doubts(attempt(4, 60))) == ("reachable", False)


def test_successes_are_remembered_beyond_the_newest() -> None:
    target = Attempts("192.0.2.7", 443)
    for key in range(40):
        target.succeeded((100 + key) * SECOND, key)
    for key in range(40):
        target.take_back(key)  # the oldest are out of reach
    assert target.success_ns == 127 * SECOND
