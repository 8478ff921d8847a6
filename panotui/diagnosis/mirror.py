"""Findings about the mirror's quality: copies, lost packets, and a tunnel around it.

Meter counters and the flow table come in, observations go out.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np
from msgspec import Struct

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import APPS, NEVER, SECOND, EvidenceRecord, address_text
from panotui.model.arrays import among
from panotui.model.quantities import counted

MINUTE = 60 * SECOND
_TWICE = 2
LIMITS = thresholds().mirror
_KINDS = {"gre": "GRE or ERSPAN", "vxlan": "VXLAN", "geneve": "GENEVE"}
_TUNNELS = np.array([APPS.index(name) for name in _KINDS], np.uint8)


def _often(copies: int, packets: int) -> str:
    """How often each packet comes, of which so many are copies: "twice" where only some do."""
    each = round(packets / max(1, packets - copies))
    return "twice" if each <= _TWICE else f"{each} times"


class _Tunnel(Struct, frozen=True):
    """One one-way flow of a tunnel."""

    kind: str
    src: str
    dst: str
    packets: int
    seen: EvidenceRecord


class MirrorRule(Rule):
    """mirror-duplicates, mirror-loss, mirror-in-tunnel."""

    wakes = frozenset(("packets", "flows"))

    def __init__(self) -> None:
        # time, copies, packets: at each change, and the last value before the last minute
        self._history: deque[tuple[int, int, int]] = deque(maxlen=130)
        self._since_ns = 0
        self._unseen: OrderedDict[int, tuple[int, EvidenceRecord]] = OrderedDict()  # by flow key
        self._tunnels: OrderedDict[int, _Tunnel] = OrderedDict()  # by flow key

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        counters = facts.counters
        history = self._history
        self._since_ns = self._since_ns or now
        copies_then = history[-1][1] if history else 0
        history.extend((at, copies_then, packets) for at, packets in facts.passed)
        history.append((now, counters.mirror_duplicates, counters.packets))
        oldest = -(-(now - MINUTE) // SECOND) * SECOND  # the last tick may be within a second
        while len(history) > 1 and history[1][0] <= oldest:
            history.popleft()
        _, copies_before, packets_before = history[0]
        if now - self._since_ns <= MINUTE:
            copies_before = packets_before = 0
        every = counters.mirror_duplicates
        copies = every - copies_before
        packets = counters.packets - packets_before
        if copies >= LIMITS.copies:
            self.due(now + SECOND)
        if copies >= LIMITS.copies and copies > LIMITS.copied_share * max(1, packets):
            out.append(
                Observation(
                    "mirror-duplicates",
                    "mirror",
                    {
                        "copies": str(every),
                        "packets": str(counters.packets),
                        "often": _often(copies, packets),
                    },
                    (evidence(*facts.ports.copied, f"the newest of {every} repeated frames"),),
                )
            )
        out.extend(self._loss(facts))
        out.extend(self._tunnelled(facts))
        return out

    def steady_ns(self, facts: Facts) -> int:
        some = self._history and self._history[0][1] != facts.counters.mirror_duplicates
        return facts.now_ns if some else NEVER

    def _tunnelled(self, facts: Facts) -> list[Observation]:
        """The mirror comes inside a tunnel: one host sends nearly all packets, and gets no
        answer.
        """
        if facts.changed is not None:
            self._note_tunnels(facts)
        ways: dict[tuple[str, str, str], list[_Tunnel]] = {}
        for one in self._tunnels.values():
            ways.setdefault((one.kind, one.src, one.dst), []).append(one)
        total = facts.counters.packets
        out = []
        for (kind, src, dst), found in ways.items():
            count = sum(one.packets for one in found)
            if count < LIMITS.tunnelled or 2 * count < total:
                continue
            out.append(
                Observation(
                    "mirror-in-tunnel",
                    "mirror",
                    {
                        "kind": kind,
                        "src": src,
                        "dst": dst,
                        "count": f"{count:,}",
                        "packets": f"{total:,}",
                    },
                    tuple(one.seen for one in found[:4]),
                    min(one.seen.time_ns for one in found),
                )
            )
        return out

    def _note_tunnels(self, facts: Facts) -> None:
        slots, rows = facts.changed_flows()
        inside = among(rows["app"], _TUNNELS) & (rows["packets_in"] == 0)
        for slot in slots[inside][:64].tolist():
            row, key = facts.flows.rows[slot], int(facts.flows.key[slot])
            kind = APPS[row.app] or "a tunnel"
            src, dst = address_text(row.version, row.src), address_text(row.version, row.dst)
            seen = evidence(row.first_ns, row.first_packet, f"{kind} from {src} to {dst}")
            self._tunnels[key] = _Tunnel(_KINDS.get(kind, kind), src, dst, row.packets_out, seen)
            self._tunnels.move_to_end(key)
            while len(self._tunnels) > 1024:
                self._tunnels.popitem(last=False)

    def _loss(self, facts: Facts) -> list[Observation]:
        if facts.one_way or facts.visibility.bare or facts.visibility.turning.one_way:
            return []  # left out on purpose
        if facts.changed is not None:
            self._note_unseen(facts)
        recent_flows = [
            u for u in self._unseen.values() if facts.now_ns - u[1].time_ns <= LIMITS.unseen_ns
        ]
        if not recent_flows:
            return []
        self.due(min(u[1].time_ns for u in recent_flows) + LIMITS.unseen_ns + 1)
        recent_flows.sort(key=lambda u: -u[0])
        return [
            Observation(
                "mirror-loss",
                "mirror",
                {"unseen": str(sum(u[0] for u in recent_flows))},
                tuple(u[1] for u in recent_flows[:3]),
                last_ns=max(u[1].time_ns for u in recent_flows),
            )
        ]

    def _note_unseen(self, facts: Facts) -> None:
        """Store the flows of this tick with acknowledged bytes that were never seen."""
        slots, rows = facts.changed_flows()
        # the beginning of a flow that was already running is no loss, and neither is one segment
        # overtaken by the reader's acknowledgement
        missing = rows["unseen_out"] + rows["unseen_in"]
        events = rows["acked_unseen_out"] + rows["acked_unseen_in"]
        both = (rows["packets_out"] > 0) & (rows["packets_in"] > 0)
        # nothing was copied then, which is told as what it is
        both &= rows["first_ns"] >= facts.visibility.blind_ns()[1]
        enough = both & (missing > LIMITS.unseen_bytes) & (events > 0)
        if self._unseen:  # what was overtaken by its acknowledgement may have come since
            whole = facts.flows.key[slots[missing <= LIMITS.unseen_bytes]]
            for key in self._unseen.keys() & set(whole.tolist()):
                del self._unseen[key]
        for i in enough.nonzero()[0][:64].tolist():
            row = facts.flows.rows[slots[i]]
            text = f"flow to port {row.dport}: {counted(int(missing[i]), 'byte')} never seen"
            seen = evidence(row.last_ns, row.last_packet, text)
            key = int(facts.flows.key[slots[i]])
            self._unseen[key] = (int(missing[i]), seen)
            self._unseen.move_to_end(key)
            while len(self._unseen) > 256:
                self._unseen.popitem(last=False)
