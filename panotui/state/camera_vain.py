"""Readers that play in vain: PLAY is answered, no picture comes, and they give up and begin anew.

Each attempt may be too short to be told on its own; that the reader repeats it, or that it gets its
picture over TCP after each, tells more than the silence of one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
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
    keys: frozenset[str]  # of their sessions

    @property
    def strays(self) -> int:
        """Attempts in which the camera's bytes were neither frames nor messages."""
        return sum(one.strays > 0 for one in self.tries)


def in_vain(sessions: Iterable[Session], streams: list[StreamState]) -> list[Vain]:
    """What readers attempt in vain, by reader and URL; `streams` are those of the camera.

    Of multicast nothing is said: that its group does not arrive is told of one attempt.
    """
    rows: dict[tuple[str, str], list[tuple[Try, Session]]] = {}
    for session in sessions:
        for one in session.tries():
            rows.setdefault((session.client, place_of(session.url)), []).append((one, session))
    out = []
    for row in rows.values():
        if sum(_is_given_up(one) for one, _ in row) < LIMITS.falls:
            continue
        if not any(one.group for one, _ in row):
            row.sort(key=lambda pair: pair[0].play_ns)
            found = _of(row, streams)
            if found is not None:
                out.append(found)
    return out


def _of(row: list[tuple[Try, Session]], streams: list[StreamState]) -> Vain | None:
    own: dict[str, list[StreamState]] = {}
    for stream in streams:
        own.setdefault(f"{stream.meter}-{stream.row.session}", []).append(stream)
    to_reader = [s for s in streams if s.row.transport == UDP and s.dst == row[0][1].client]

    def had(one: Try, session: Session) -> bool:
        near = (*own.get(session.key, ()), *(to_reader if one.udp else ()))
        return any(_is_picture_of(one, stream) for stream in near)

    vain: list[tuple[Try, Session]] = []
    for pair in reversed(row):  # newest first
        if had(*pair):
            break
        if _is_given_up(pair[0]):
            vain.append(pair)
        elif pair[0].until_ns:
            break  # too short, or ended by the camera: that is told as such
    if len(vain) >= LIMITS.tries:
        return _found(vain[::-1], "udp" if all(one.udp for one, _ in vain) else "tcp")
    falls = [
        first
        for first, second in pairwise(row)
        if _is_given_up(first[0]) and first[0].udp and not second[0].udp
        and second[0].play_ns - first[0].until_ns <= LIMITS.falls_back_ns
        and not had(*first) and had(*second)
    ]  # fmt: skip
    if len(falls) < LIMITS.falls or any(one.udp and had(one, session) for one, session in row):
        return None
    return _found(falls, "udp, then tcp")


def _found(tries: list[tuple[Try, Session]], way: Literal["udp", "tcp", "udp, then tcp"]) -> Vain:
    keys = frozenset(session.key for _, session in tries)
    return Vain(tries[-1][1], [one for one, _ in tries], way, keys)


def _is_given_up(one: Try) -> bool:
    """Its reader waited for a picture, and then ended it."""
    return one.by_reader and one.until_ns - one.play_ns >= LIMITS.waited_ns


def _is_picture_of(one: Try, stream: StreamState) -> bool:
    """Whether the attempt brought this stream, and it is more than a few packets of a picture; of
    anything where nobody knows what was asked for.
    """
    row = stream.row
    if row.last_ns < one.play_ns - LIMITS.early_ns or (
        one.until_ns and row.first_ns > one.until_ns
    ):
        return False
    if one.surely and media_of(stream.codec) not in ("video", None):
        return False
    # a camera may send small pictures, and few of them; who wants one only leaves with a key frame
    enough = row.keyframes > 0 if row.frames == 1 else row.frames >= LIMITS.pictures
    whole = enough and not row.lost and not one.strays
    return row.packets >= LIMITS.packets or whole
