"""When the next picture may be drawn: after the terminal has said that it has drawn the last one.

Output to a slow link piles up in buffers, and keys then wait behind seconds of old pictures. So
after each picture the terminal is asked for a report, and nothing more is drawn before it answers,
or `PATIENCE_S` has passed and nothing is left to write. On a slow link the rate falls and keys
stay instant. Sans-IO: time comes in, decisions go out.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

PATIENCE_S = 3.0
PROVEN_PATIENCE_S = 10.0  # a terminal that has answered before will: its link is slow
Report: TypeAlias = Literal["mode", "status"]

# DECRQM of synchronised output, and the device status report of the VT100.
QUESTIONS: dict[Report, str] = {"mode": "\x1b[?2026$p", "status": "\x1b[5n"}


class Pacer:
    """Keeps one picture in flight.

    Terminals that do not know DECRQM (tmux before 3.4, the Linux console) are asked for their
    status instead, which each has answered since the VT100: `learn` says which one answers.
    """

    def __init__(self, report: Report = "mode") -> None:
        self.report: Report = report
        self.drawn = 0
        self.round_trip_s = 0.0  # of the last answered picture
        self._asked_at = 0.0
        self._answered_at = 0.0
        self._outstanding = 0
        self._proven = False
        self._silent = 0

    @property
    def question(self) -> str:
        return QUESTIONS[self.report]

    @property
    def waiting(self) -> bool:
        return self._outstanding > 0

    def sent(self, now: float) -> None:
        """A picture and the question behind it have been given to the terminal."""
        self.drawn += 1
        if not self._outstanding:
            self._asked_at = now
        self._outstanding += 1

    def answered(self, now: float) -> None:
        """The terminal has reported; it is ready once it has answered every question."""
        self._proven = True
        self._silent = 0
        if self._outstanding:
            self._outstanding -= 1
            if not self._outstanding:
                self.round_trip_s = now - self._asked_at
                self._answered_at = now

    def learn(self, report: Report) -> None:
        """This is the report that the terminal gives."""
        self.report = report

    def may_draw(self, now: float, backlog: int, *, for_key: bool = False) -> bool:
        """Whether a picture may go out now; `backlog` is what still waits to be written.

        A picture that no key asked for waits as long again as the last one took, so that at least
        half of a slow link is free for what a key asks.
        """
        if self._outstanding:
            patience = PROVEN_PATIENCE_S if self._proven else PATIENCE_S
            if backlog or now - self._asked_at < patience:
                return False
            self._silent += 1
            self._outstanding = 0
            if self._silent >= 2 and self.report == "mode":
                self.report = "status"
        if for_key:
            return True
        return now - self._answered_at >= self.round_trip_s

    def reset(self) -> None:
        """The terminal was given back and taken again."""
        self._outstanding = 0
