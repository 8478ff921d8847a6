"""Control packets that say again, byte for byte, what was said and read before.

In come frames of ARP and of bridges; out goes which of them are no news: the same frame came at
least twice before on the same interface; a question by ARP has its answer with it; and who speaks
was not asked for in vain before. Bounded: who has not been heard for longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from panotui.meter.control.kinds import KINDS
from panotui.model import I64, SECOND, U8, Bool, PacketBatch
from panotui.wire.columns import Columns

KEPT_MAX = 4_096
TIMES = 2  # it must have come before
WITHIN_NS = 300 * SECOND
LONGEST = 512  # bytes of a frame that is compared
ROWS_A_BATCH = 512  # remembered of one batch: the rest is a flood
_NUMBER = {kind.name: number for number, kind in enumerate(KINDS, 1)}
_ARP, _LINK = _NUMBER["arp"], _NUMBER["link"]
_ARP_LENGTH = 28
_ASKS, _ANSWERS = b"\0\1", b"\0\2"


def may_be_restated(kinds: U8) -> Bool:
    """(n,) packets of the kinds that are looked at here."""
    some: Bool = (kinds == _ARP) | (kinds == _LINK)
    return some


class Restated:
    """What was said, and when last."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # frame -> times, last ns
        self._sought: OrderedDict[bytes, None] = OrderedDict()  # addresses asked for, not heard yet

    def note(self, batch: PacketBatch, c: Columns, kinds: U8) -> None:
        """Remember the frames of a batch that was metered."""
        for row in np.flatnonzero(may_be_restated(kinds))[:ROWS_A_BATCH].tolist():
            frame = _frame(batch, row)
            times, last_ns = self._seen.pop(frame, (0, 0))
            time_ns = int(batch.time_ns[row])
            fresh = time_ns - last_ns <= WITHIN_NS
            self._seen[frame] = (times + 1 if fresh else 1, time_ns)
            if len(self._seen) > KEPT_MAX:
                self._seen.popitem(last=False)
            if kinds[row] == _ARP:
                self._ask(*_ends(batch, c, row))

    def _ask(self, operation: bytes, sender: bytes, target: bytes) -> None:
        self._sought.pop(sender, None)
        if operation == _ASKS and sender != target:
            self._sought[target] = None
            if len(self._sought) > KEPT_MAX:
                self._sought.popitem(last=False)

    def news(self, batch: PacketBatch, c: Columns, kinds: U8, rows: I64) -> int:
        """Of `rows` (k,) of a batch, all of the kinds looked at, the first that is news, as a row;
        the batch's length where none is."""
        asked: dict[tuple[bytes, bytes, int], int] = {}  # without an answer yet -> row
        second = -1
        row: int
        for row in rows.tolist():
            time_ns, interface = int(batch.time_ns[row]), int(batch.interface[row])
            if time_ns // SECOND != second:
                if asked:
                    break
                second = time_ns // SECOND
            times, last_ns = self._seen.get(_frame(batch, row), (0, 0))
            if times < TIMES or time_ns - last_ns > WITHIN_NS:
                return min(row, *asked.values()) if asked else row
            if kinds[row] != _ARP:
                continue
            operation, sender, target = _ends(batch, c, row)
            if sender in self._sought or operation not in (_ASKS, _ANSWERS):
                return min(row, *asked.values()) if asked else row
            if operation == _ASKS and sender != target:
                asked.setdefault((sender, target, interface), row)
            else:
                asked.pop((target, sender, interface), None)
        return min(asked.values(), default=len(batch))


def _ends(batch: PacketBatch, c: Columns, row: int) -> tuple[bytes, bytes, bytes]:
    """Operation of an ARP packet for IPv4, the sender's and the target's address."""
    at = int(c.l3[row])
    body = batch.data[at : at + _ARP_LENGTH].tobytes()
    return body[6:8], body[14:18], body[24:28]


def _frame(batch: PacketBatch, row: int) -> bytes:
    start = int(batch.offset[row])
    stop = start + min(int(batch.captured[row]), LONGEST)
    return bytes((int(batch.interface[row]) & 255,)) + batch.data[start:stop].tobytes()
