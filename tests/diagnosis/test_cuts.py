"""When what is told of cut connections changes by time alone."""

from __future__ import annotations

from panotui.diagnosis.cuts import LIMITS, Cut, Cuts, _Host
from panotui.diagnosis.facts import evidence
from panotui.model import SECOND


def cut(at_s: int) -> Cut:
    return Cut(at_s * SECOND, False, SECOND, 100, 64, 64, evidence(at_s * SECOND, 1, "RST"))


def test_each_cut_that_grows_too_old_is_a_time_to_look_again() -> None:
    cuts, window_s = Cuts(), LIMITS.flap_ns // SECOND
    host = cuts._hosts["a", "b", 443] = _Host("a", "b", 443)
    host.cuts.extend(cut(at_s) for at_s in (100, 200, 300))
    for now_s, next_s in ((400, 100), (100 + window_s + 1, 200), (200 + window_s + 1, 300)):
        assert cuts.due_ns(now_s * SECOND) == (next_s + window_s + 1) * SECOND
    assert cuts.due_ns((301 + window_s) * SECOND) == 0
