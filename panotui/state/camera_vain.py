"""Readers that play in vain: PLAY is answered, no picture comes, and they give up and begin anew.

Each attempt may be too short to be told on its own; that the reader repeats it, or that it gets its
picture over TCP after each, tells more than the silence of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from panotui.state.camera_session import Session, Try
from panotui.state.camera_streams import place_of
from panotui.state.streams import StreamState, media_of
from panotui.state.thresholds import thresholds
from panotui.wire.protocols import UDP

LIMITS = thresholds().camera_vain


class Vain(Struct):
    """Attempts of one reader that brought no picture, oldest first."""

    session: Session  # of the newest
    tries: list[Try]
    way: Literal["udp", "tcp", "udp, then tcp"]  # the last: over TCP the picture came each time

    @property
    def strays(self) -> int:
        """Attempts in which the camera's bytes were neither frames nor messages."""
        return sum(one.strays > 0 for one in self.tries)


def in_vain(sessions: Iterable[Session], streams: list[StreamState]) -> list[Vain]:
    """What readers attempt in vain, by reader and URL; `streams` are those of the camera."""
    rows: dict[tuple[str, str], list[tuple[Try, Session]]] = {}
    for session in sessions:
        for one in session.tries():
            rows.setdefault((session.client, place_of(session.url)), []).append((one, session))
    out = []
    for row in rows.values():
        if len(row) >= LIMITS.falls:
            row.sort(key=lambda pair: pair[0].play_ns)
            found = _of(row, streams)
            if found is not None:
                out.append(found)
    return out


def _of(row: list[tuple[Try, Session]], streams: list[StreamState]) -> Vain | None:
    came = [_had_picture(one, session, streams) for one, session in row]
    vain: list[tuple[Try, Session]] = []
    for pair, had in zip(reversed(row), reversed(came), strict=True):  # newest first
        if had:
            break
        if _is_given_up(pair[0]):
            vain.append(pair)
        elif pair[0].until_ns:
            break  # too short, or ended by the camera: that is told as such
    if len(vain) >= LIMITS.tries:
        tries = [one for one, _ in reversed(vain)]
        ways = {one.udp for one in tries}
        return Vain(vain[0][1], tries, "udp" if ways == {True} else "tcp")
    falls = [
        row[at]
        for at in range(len(row) - 1)
        if _is_given_up(row[at][0]) and row[at][0].udp and not came[at]
        and came[at + 1] and not row[at + 1][0].udp
        and row[at + 1][0].play_ns - row[at][0].until_ns <= LIMITS.falls_back_ns
    ]  # fmt: skip
    over_udp = any(had and one.udp for (one, _), had in zip(row, came, strict=True))
    if len(falls) < LIMITS.falls or over_udp:
        return None
    return Vain(falls[-1][1], [one for one, _ in falls], "udp, then tcp")


def _is_given_up(one: Try) -> bool:
    """Its reader waited for a picture, and then ended it."""
    return one.by_reader and one.until_ns - one.play_ns >= LIMITS.waited_ns


def _had_picture(one: Try, session: Session, streams: list[StreamState]) -> bool:
    """Whether more than a few packets of a picture came, by signalling or to the reader's host."""
    for stream in streams:
        row = stream.row
        own = f"{stream.meter}-{row.session}" == session.key
        if not own and not (one.udp and row.transport == UDP and stream.dst == session.client):
            continue
        if row.last_ns < one.play_ns - LIMITS.early_ns or (
            one.until_ns and row.first_ns > one.until_ns
        ):
            continue
        if row.packets >= LIMITS.packets and media_of(stream.codec) in ("video", None):
            return True
    return False
