"""How much of the traffic a mirror loses: bytes of TCP that were acknowledged and never copied.

Changed flow rows come in; the share of the last minute goes out. Only what is missing from within a
direction that is otherwise seen counts, on more than one connection or again and again: one that
takes another way is no loss of the mirror.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from msgspec import Struct

from panotui.model import I64
from panotui.model.flow_rows import FlowColumns
from panotui.state.thresholds import thresholds

LIMITS = thresholds().mirror_share


class _Seen(Struct, frozen=True):
    """What grew in one tick."""

    time_ns: int
    unseen: int  # bytes
    seen: int
    flows: frozenset[int]  # with unseen bytes


class MirrorShare:
    """See the module. Its work begins with the first acknowledgement of unseen bytes."""

    def __init__(self) -> None:
        self._unseen: I64 = np.zeros(0, np.int64)  # (slots,) bytes so far; -1: not known
        self._payload: I64 = np.zeros(0, np.int64)
        self._begun = False
        self._last_ns = 0  # newest packet of the tick before: flows begun since are known whole
        self._seen: deque[_Seen] = deque(maxlen=130)

    def update(self, slots: I64, rows: FlowColumns) -> None:
        """Changed flows of a tick."""
        both = (rows["protocol"] == 6) & (rows["payload_out"] + rows["payload_in"] > 0)
        both &= (rows["packets_out"] > 0) & (rows["packets_in"] > 0)
        if not self._begun:
            events = rows["acked_unseen_out"] + rows["acked_unseen_in"]
            self._begun = bool((both & (events > 0)).any())
        if not self._begun or not both.any():
            return
        at = slots[both]
        missing = (rows["unseen_out"] + rows["unseen_in"])[both].astype(np.int64)
        payload = (rows["payload_out"] + rows["payload_in"])[both].astype(np.int64)
        most = int(at.max()) + 1
        if most > len(self._unseen):
            more = np.full(most - len(self._unseen) + 256, -1, np.int64)
            self._unseen = np.append(self._unseen, more)
            self._payload = np.append(self._payload, more)
        fresh = rows["first_ns"][both] >= self._last_ns
        self._unseen[at[fresh]] = self._payload[at[fresh]] = 0
        self._last_ns = int(rows["last_ns"].max())
        before, known = self._unseen[at], self._unseen[at] >= 0
        grown = np.where(known & (missing >= before), missing - before, 0)
        seen = np.where(known, np.maximum(payload - self._payload[at], 0), 0)
        self._unseen[at], self._payload[at] = missing, payload
        whole = seen > 0
        lost = whole & (grown > 0)
        self._seen.append(
            _Seen(
                self._last_ns,
                int(grown[lost].sum()),
                int(seen[whole].sum()),
                frozenset(at[lost][: LIMITS.flows].tolist()),
            )
        )

    def share(self, now_ns: int) -> float:
        """Of the bytes of the last minute, those that the mirror did not copy."""
        last = [s for s in self._seen if now_ns - s.time_ns <= LIMITS.recent_ns]
        losing = [s for s in last if s.unseen]
        flows = frozenset().union(*(s.flows for s in losing))
        if len(flows) < LIMITS.flows and len(losing) < LIMITS.times:
            return 0.0
        unseen = sum(s.unseen for s in losing)
        return unseen / (unseen + sum(s.seen for s in last))

    @property
    def began_ns(self) -> int:
        """When it began to lose, as far as is remembered."""
        return next((s.time_ns for s in self._seen if s.unseen), 0)


def is_chance(share: float, attempts: int) -> bool:
    """So many attempts may well have failed only because a mirror lost each answer."""
    return share > LIMITS.least_share and share**attempts > LIMITS.chance
