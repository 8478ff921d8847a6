"""When the next picture may be drawn: after the terminal has confirmed the last one.

Output to a slow link piles up in buffers, and keys then wait behind seconds of old pictures. So a
report is requested from the terminal after each picture, and nothing more is drawn before it
answers, or `PATIENCE_S` has passed and nothing is left to write. On a slow link the frame rate
falls and keys stay instant. Sans-IO: time comes in, decisions go out.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

PATIENCE_S = 3.0
PROVEN_PATIENCE_S = 10.0  # a terminal that has answered before will answer again: its link is slow
RETRY_S = 0.1
Report: TypeAlias = Literal["mode", "status"]

# DECRQM of synchronised output, and the device status report of the VT100.
QUESTIONS: dict[Report, str] = {"mode": "\x1b[?2026$p", "status": "\x1b[5n"}


class Pacer:
    """Keeps one picture in flight.

    Terminals without DECRQM (tmux before 3.4, the Linux console) are asked for their status
    instead, which every terminal since the VT100 answers: `learn` sets the one that is answered.
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

    @property
    def expects(self) -> bool:
        """The terminal's next input may be a report."""
        return self.waiting or not self._proven

    def sent(self, now: float) -> None:
        """A picture and its report request have been written to the terminal."""
        self.drawn += 1
        if not self._outstanding:
            self._asked_at = now
        self._outstanding += 1

    def answered(self, now: float) -> None:
        """The terminal has reported; it is ready once it has answered every request."""
        self._proven = True
        self._silent = 0
        if self._outstanding:
            self._outstanding -= 1
            if not self._outstanding:
                self.round_trip_s = now - self._asked_at
                self._answered_at = now

    def learn(self, report: Report) -> None:
        """Set the kind of report that the terminal answers."""
        self.report = report

    def may_draw(self, now: float, backlog: int, *, for_key: bool = False) -> bool:
        """Whether a picture may be written now; `backlog` is the amount still waiting to be
        written.

        A picture without a key press waits as long as the last one took, so that at least half of a
        slow link is free for pictures requested by keys.
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

    def try_in_s(self, now: float) -> float:
        """Seconds until a picture that may not be drawn now is tried again; an answer of the
        terminal brings it forward.
        """
        if self._outstanding:
            return RETRY_S
        return max(0.0, self._answered_at + self.round_trip_s - now)

    def reset(self) -> None:
        """The terminal was released and taken again."""
        self._outstanding = 0
