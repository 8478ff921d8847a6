"""Control packets that repeat, byte for byte, an earlier one that was parsed.

Frames of ARP and of bridges come in; a frame is no news if the same frame came at least twice
before on the same interface, if an ARP request has its answer with it, and if the sender was not
asked for in vain before. Bounded: the entries not seen for longest are evicted first.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from panotui.meter.control.kinds import KINDS
from panotui.model import I64, SECOND, U8, Bool, PacketBatch
from panotui.wire.columns import Columns

KEPT_MAX = 4_096
TIMES = 2  # earlier occurrences that are required
WITHIN_NS = 300 * SECOND
LONGEST = 512  # compared bytes of a frame
ROWS_A_BATCH = 512  # remembered per batch; more is a flood
_NUMBER = {kind.name: number for number, kind in enumerate(KINDS, 1)}
_ARP, _LINK = _NUMBER["arp"], _NUMBER["link"]
_ARP_LENGTH = 28
_ASKS, _ANSWERS = b"\0\1", b"\0\2"


def may_be_restated(kinds: U8) -> Bool:
    """Mask (n,) of the packets of kinds handled here."""
    some: Bool = (kinds == _ARP) | (kinds == _LINK)
    return some


class Restated:
    """Earlier frames, and the time of the last occurrence."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # frame -> count, last ns
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
        """The first of `rows` (k,) of a batch, all of the kinds handled here, that is news; the
        batch's length if there is none.
        """
        asked: dict[tuple[bytes, bytes, int], int] = {}  # unanswered so far -> row
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
