from __future__ import annotations

from panotui.tui.pacing import PATIENCE_S, PROVEN_PATIENCE_S, RETRY_S, Pacer


def test_the_next_picture_waits_for_the_terminals_answer() -> None:
    pacer = Pacer()
    assert pacer.may_draw(10.0, 0)
    pacer.sent(10.0)
    assert not pacer.may_draw(10.5, 0, for_key=True)
    pacer.answered(10.6)
    assert pacer.may_draw(10.6, 0, for_key=True)


def test_a_silent_terminal_is_drawn_on_after_patience_but_never_over_a_backlog() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    assert not pacer.may_draw(PATIENCE_S + 1, backlog=3)
    assert pacer.may_draw(PATIENCE_S + 1, backlog=0)


def test_a_slow_link_keeps_half_its_time_for_keys() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    pacer.answered(1.0)
    assert not pacer.may_draw(1.5, 0)
    assert pacer.may_draw(1.5, 0, for_key=True)
    assert pacer.may_draw(2.1, 0)


def test_a_picture_that_had_to_wait_is_drawn_as_soon_as_its_half_of_the_link_is_free() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    assert pacer.try_in_s(0.5) == RETRY_S  # the terminal's answer comes first
    pacer.answered(0.6)
    assert pacer.may_draw(0.75 + pacer.try_in_s(0.75), 0)
    assert 0.44 < pacer.try_in_s(0.75) < 0.46
    assert pacer.try_in_s(5.0) == 0.0


def test_a_terminal_without_mode_reports_is_asked_for_its_status() -> None:
    pacer = Pacer()
    assert pacer.question == "\x1b[?2026$p"
    for start in (0.0, 10.0):
        pacer.sent(start)
        assert pacer.may_draw(start + PATIENCE_S, 0)
    assert pacer.question == "\x1b[5n"


def test_two_pictures_in_flight_need_two_answers() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    pacer.sent(0.1)
    pacer.answered(1.0)
    assert not pacer.may_draw(1.0, 0, for_key=True)
    pacer.answered(1.2)
    assert pacer.may_draw(1.2, 0, for_key=True)


def test_a_terminal_that_has_answered_is_waited_for_longer() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    pacer.answered(0.1)
    pacer.sent(1.0)
    assert not pacer.may_draw(1.0 + PATIENCE_S, 0)
    assert pacer.may_draw(1.0 + PROVEN_PATIENCE_S, 0)
