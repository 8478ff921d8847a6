"""Datagrams of streams that are sent in IP fragments, and those whose later fragments do not come.

In: the first fragments of datagrams, and the later ones of the same direction of a flow, each with
the identity of its datagram. Out: per stream and second in which some are missing, a `StreamPieces`
message. Fragments of equal size are assumed, so the first one says how many follow. A later one may
come in the next second, and one that overtook its first one in the second before, so a second is
settled when the next one is over. Packets are counted by arrays; a step of Python is per stream and
second.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct, field

from panotui.model import I32, I64, SECOND, U64, StreamPieces

COUNTS_MAX = 4_096
FRAGMENTS_MAX = 65_536  # of a stream and second; more of them leave it in doubt
_UDP_HEADER = 8


class _Count(Struct):
    flow: int
    number: int = 0  # of the first packet
    fragments: int = 0
    datagrams: list[U64] = field(default_factory=list)  # identities, by their first fragments
    due: list[I64] = field(default_factory=list)  # later fragments of each
    later: list[U64] = field(default_factory=list)  # identities of those that came

    def has_room(self, more: int) -> bool:
        self.fragments += more
        return self.fragments <= FRAGMENTS_MAX


class Pieces:
    """Counts per carrier and second."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], _Count] = {}
        self._settled: dict[tuple[int, int], _Count] = {}  # of the newest settled second
        self._unsure_until = 0  # fragments of the seconds up to this one were dropped by the meter

    def __bool__(self) -> bool:
        return bool(self._counts)

    def take_first(
        self, place: I64, flow: U64, time_ns: I64, number: I64, own: I32, whole: I32, identity: U64
    ) -> None:
        """n first fragments: their carriers, flows, times and packet numbers, the UDP payload in
        each and in its whole datagram, and the identity of that.
        """
        size = np.maximum(own.astype(np.int64) + _UDP_HEADER, 1)
        rest = np.maximum(whole.astype(np.int64) + _UDP_HEADER - size, 0)
        due = -(-rest // size)
        for key, rows in _groups(place, time_ns):
            count = self._count_of(key, int(flow[rows[0]]))
            if count.has_room(len(rows)):
                count.number = count.number or int(number[rows[0]])
                count.datagrams.append(identity[rows])
                count.due.append(due[rows])

    def take_later(self, place: I64, flow: U64, time_ns: I64, identity: U64) -> None:
        """n later fragments."""
        for key, rows in _groups(place, time_ns):
            count = self._count_of(key, int(flow[rows[0]]))
            if count.has_room(len(rows)):
                count.later.append(identity[rows])

    def _count_of(self, key: tuple[int, int], flow: int) -> _Count:
        count = self._counts.get(key)
        if count is None or count.flow != flow:
            while len(self._counts) >= COUNTS_MAX:
                del self._counts[next(iter(self._counts))]
            count = self._counts[key] = _Count(flow)
        return count

    def doubt(self, time_ns: int) -> None:
        """The meter itself had no room for fragments at this time."""
        self._unsure_until = max(self._unsure_until, time_ns // SECOND + 1)

    def settle(
        self, now_ns: int, stream_of: Callable[[int, int], tuple[int, int] | None]
    ) -> list[StreamPieces]:
        """The messages of the seconds that are over.

        `stream_of` gives for a carrier and its flow the id and the interface of its stream.
        """
        over = now_ns // SECOND - 2
        out: list[StreamPieces] = []
        for key in sorted(key for key in self._counts if key[1] <= over):
            count = self._counts.pop(key)
            carrier, second = key
            beside = (
                self._settled.pop((carrier, second - 1), None),
                count,
                self._counts.get((carrier, second + 1)),
            )
            self._settled[key] = count
            sure = second > self._unsure_until
            if not count.datagrams or not sure or count.fragments > FRAGMENTS_MAX:
                continue
            near = [one for one in beside if one is not None and one.flow == count.flow]
            datagrams, due, lacking = _lacking(count, near)
            stream = stream_of(carrier, count.flow) if len(lacking) else None
            if stream is not None:
                out.append(
                    StreamPieces(
                        time_ns=second * SECOND,
                        packet=count.number,
                        interface=stream[1],
                        flow=count.flow,
                        stream=stream[0],
                        datagrams=datagrams,
                        due=due,
                        missing=int(lacking.sum()),
                        cut=len(lacking),
                    )
                )
        for key in [key for key in self._settled if key[1] < over]:
            del self._settled[key]
        return out


def _lacking(count: _Count, near: list[_Count]) -> tuple[int, int, I64]:
    """The datagrams of a second, the later fragments that they should have, and, for each of those
    that lack some, how many. `near`: the counts in which they may have come.
    """
    identity, due = np.concatenate(count.datagrams), np.concatenate(count.due)
    whose, which = np.unique(identity, return_inverse=True)
    wanted = np.bincount(which, due, len(whose)).astype(np.int64)
    later = [one for each in near for one in each.later]
    if later:
        came = np.concatenate(later)
        place = np.minimum(np.searchsorted(whose, came), len(whose) - 1)
        wanted -= np.bincount(place[whose[place] == came], minlength=len(whose))
    return len(identity), int(due.sum()), wanted[wanted > 0]


def _groups(place: I64, time_ns: I64) -> list[tuple[tuple[int, int], I64]]:
    """The rows of each carrier and second."""
    second = time_ns // SECOND
    order = np.lexsort((second, place))
    carrier, when = place[order], second[order]
    change = (carrier[1:] != carrier[:-1]) | (when[1:] != when[:-1])
    starts = np.flatnonzero(np.concatenate([[True], change]))
    return [
        ((int(carrier[start]), int(when[start])), rows)
        for start, rows in zip(starts.tolist(), np.split(order, starts[1:]), strict=True)
    ]
