"""Datagrams of streams that are sent in IP fragments, and those whose later fragments do not come.

In: the first fragments of datagrams, and the later ones of the same direction of a flow. Out: per
stream and second in which some are missing, a `StreamPieces` message. Fragments of equal size are
assumed, so the first one says how many follow. A later one may come in the next second, so a second
is settled when that one is over. Packets are counted by arrays; a step of Python is per stream and
second.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct

from panotui.model import I32, I64, SECOND, U64, StreamPieces

COUNTS_MAX = 4_096
_UDP_HEADER = 8


class _Count(Struct):
    flow: int
    number: int = 0  # of the first packet
    datagrams: int = 0
    due: int = 0  # later fragments
    came: int = 0


class Pieces:
    """Counts per carrier and second."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], _Count] = {}
        self._unsure_until = 0  # fragments of the seconds up to this one were dropped by the meter

    def __bool__(self) -> bool:
        return bool(self._counts)

    def take_first(
        self, place: I64, flow: U64, time_ns: I64, number: I64, own: I32, whole: I32
    ) -> None:
        """n first fragments: their carriers, flows, times and packet numbers, the UDP payload in
        each and in its whole datagram.
        """
        size = np.maximum(own.astype(np.int64) + _UDP_HEADER, 1)
        rest = np.maximum(whole.astype(np.int64) + _UDP_HEADER - size, 0)
        due = -(-rest // size)
        for key, rows in _groups(place, time_ns):
            count = self._count_of(key, int(flow[rows[0]]))
            count.number = count.number or int(number[rows[0]])
            count.datagrams += len(rows)
            count.due += int(due[rows].sum())

    def take_later(self, place: I64, flow: U64, time_ns: I64) -> None:
        """n later fragments."""
        for key, rows in _groups(place, time_ns):
            self._count_of(key, int(flow[rows[0]])).came += len(rows)

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
            after = self._counts.get((carrier, second + 1))
            missing = count.due - count.came
            if after is not None and after.flow == count.flow and missing > 0:
                late = min(missing, max(0, after.came - after.due))
                after.came -= late
                missing -= late
            stream = stream_of(carrier, count.flow) if missing > 0 else None
            if stream is not None and second > self._unsure_until:
                out.append(
                    StreamPieces(
                        time_ns=second * SECOND,
                        packet=count.number,
                        interface=stream[1],
                        flow=count.flow,
                        stream=stream[0],
                        datagrams=count.datagrams,
                        due=count.due,
                        missing=missing,
                    )
                )
        return out


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
