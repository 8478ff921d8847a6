"""The book of violations: judged flow rows in; one record per reason, peers and service out.

Flows of one violation are merged with their packets, bytes and times. A scan of 100,000 ports is
one violation; a host that tries a thousand others gives a few dozen and one for the rest. Flows
whose verdict improves when more is known are removed again. All tables are bounded.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct, field

from panotui.model import (
    FLOW_DTYPE,
    I64,
    NEVER,
    REASONS,
    SECOND,
    U8,
    U16,
    U64,
    Bool,
    Rows,
    Severity,
    ViolationRecord,
)
from panotui.model.arrays import distinct
from panotui.model.flow_rows import AnyRows
from panotui.policy.judging.decision import FlowFacts, Judgement
from panotui.policy.judging.judge import MEDIA_APPS, RTSP_APPS
from panotui.policy.judging.port_set import PortSet
from panotui.policy.judging.rows import SEVERITIES, VERDICTS, JudgedRows, RowJudge, mix
from panotui.policy.judging.wording import worded
from panotui.site.facts import Who

PORTS_APART = 8  # more services than this between two peers are one violation: a scan
PEERS_APART = 32  # more peers than this of one host and reason are one violation
SOURCES_APART = 256  # more hosts than this against one are one violation
VIOLATIONS_MAX = 1024
COUNTED_MAX = 131_072  # flows of a meter whose share in a violation is remembered
QUIET_NS = 120 * SECOND  # a violation without traffic for this long is past
_ANY: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_FIELDS: Final = (
    *("id", "protocol", "src", "dst", "sport", "dport", "first_ns", "first_packet", "last_ns"),
    *("packets_out", "packets_in", "bytes_out", "bytes_in"),
)
_NARROW: Final = np.dtype([(name, FLOW_DTYPE[name]) for name in _FIELDS])
_VIOLATION: Final = VERDICTS.index("violation")


class ViolationChange(Struct, frozen=True):
    """A change of a violation, from which an event can be made."""

    kind: str  # "new", "again", "worse", "past", "withdrawn", "folded"
    id: str
    record: ViolationRecord
    time_ns: int
    packet: int | None = None


class _Violation(Struct):
    id: str
    reason: int
    level: int  # severity
    facts: FlowFacts
    judgement: Judgement
    flow: str
    first_ns: int
    last_ns: int
    first_packet: int
    packets: int = 0
    size: int = 0  # bytes
    flows: int = 0
    services: PortSet = field(default_factory=PortSet)
    peers: set[bytes] = field(default_factory=set)
    folded: str = ""  # "", "ports", "peers", "rest"
    open: bool = True


class _Counted(Struct):
    """The part of each flow of a meter that is already counted in a violation, sorted by flow
    id.
    """

    ids: U64
    group: I64  # number of the violation in `_by_number`
    packets: I64
    size: I64  # bytes


class ViolationBook:
    """See the module. `flow_text(meter, id)` formats a flow's id as in records."""

    def __init__(
        self,
        judge: RowJudge,
        flow_text: Callable[[int, int], str] | None = None,
        *,
        violations_max: int = VIOLATIONS_MAX,
    ) -> None:
        self._judge = judge
        self._flow_text = flow_text or (lambda meter, flow: f"{meter}-{flow}")
        self._max = violations_max
        self._violations: OrderedDict[int, _Violation] = OrderedDict()  # by key
        self._number: dict[int, int] = {}  # key -> number
        self._by_number: list[int] = []  # number -> key
        self._pairs: dict[int, set[int]] = {}  # pair key -> separate services
        self._sources: dict[int, set[int]] = {}  # source key -> separate pairs
        self._scans: set[int] = set()  # pair keys that are merged
        self._floods: set[int] = set()  # reason and server keys whose clients are merged
        self._spreads: set[int] = set()  # source keys that are merged
        self._hosts: dict[str, int] = {}
        self._counted: dict[int, _Counted] = {}
        self._changes: list[ViolationChange] = []
        self.evicted = 0

    # -------------------------------------------------------------- feeding

    def observe(
        self,
        rows: AnyRows,
        judged: JudgedRows,
        now_ns: int,
        meter: int = 0,
        *,
        interfaces: Sequence[str] = (),
    ) -> None:
        """Add judged rows; a row may come again with higher counts or another verdict."""
        if len(rows) == 0:
            return
        self._take_back(rows, judged, meter)
        at = np.flatnonzero((judged.verdict == _VIOLATION) & ~judged.own)
        if len(at) == 0:
            return
        # in order of their first packets, so that a violation is named after its first flow
        at = at[np.lexsort((rows["first_packet"][at], rows["first_ns"][at]))]
        if len(self._hosts) > 8 * self._max:
            self._hosts.clear()  # codes of new names only; violations keep their own
        bad = _narrow(rows, at)
        _turn_unasked(bad, judged, at)
        keys = self._keys(bad, judged, at)
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        numbers = np.zeros(len(unique), np.int64)
        for i in np.argsort(first).tolist():
            numbers[i] = self._number_of(
                int(unique[i]), rows, judged, int(at[first[i]]), now_ns, meter, interfaces
            )
        self._add(bad, numbers[inverse.reshape(-1)], judged, at, now_ns, meter)

    def tick(self, now_ns: int) -> None:
        """Close violations without traffic for a while: they become past."""
        for violation in self._violations.values():
            quiet = now_ns - violation.last_ns > QUIET_NS
            if violation.open and quiet:
                violation.open = False
                self._changed("past", violation, now_ns)

    def due_ns(self) -> int:
        """When the next open violation becomes past if it has no more traffic."""
        open_ = (v.last_ns for v in self._violations.values() if v.open)
        return min((last_ns + QUIET_NS + 1 for last_ns in open_), default=NEVER)

    # -------------------------------------------------------------- asking

    def records(self) -> tuple[ViolationRecord, ...]:
        """All violations, open ones first, worst first, then newest."""
        ordered = sorted(
            self._violations.values(), key=lambda v: (not v.open, -v.level, -v.last_ns, v.id)
        )
        return tuple(self._record(v) for v in ordered)

    def record(self, violation_id: str) -> ViolationRecord | None:
        """The violation with that id."""
        for violation in self._violations.values():
            if violation.id == violation_id:
                return self._record(violation)
        return None

    def facts(self, violation_id: str) -> FlowFacts | None:
        """The facts of a violation's first flow, used to accept or explain it."""
        for violation in self._violations.values():
            if violation.id == violation_id:
                return violation.facts
        return None

    def drain_changes(self) -> list[ViolationChange]:
        """The changes since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    # -------------------------------------------------------------- keys

    def _keys(self, bad: Rows, judged: JudgedRows, at: I64) -> U64:
        """The violation's key of each row, with scans and spreads merged."""
        reason = judged.reason[at].astype(np.uint64)
        client, server, service = self._ends(bad, judged, at)
        client = self._fold_sources(mix(reason, server), client)
        source = mix(reason, client)
        pair = mix(source, server)
        full = mix(pair, service)
        pair, full = self._fold_peers(source, pair, full)
        return self._fold_ports(pair, full)

    def _ends(self, bad: Rows, judged: JudgedRows, at: I64) -> tuple[U64, U64, U64]:
        """Client, server and service of each row as numbers; classes may override them."""
        client, server = _address_key(bad["src"]), _address_key(bad["dst"])
        icmp = (bad["protocol"] == 1) | (bad["protocol"] == 58)
        port = np.where(icmp, bad["sport"], bad["dport"]).astype(np.uint64)
        service = (bad["protocol"].astype(np.uint64) << np.uint64(16)) | port
        kind = judged.kind[at]
        order = np.argsort(kind, kind="stable")
        starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
        ends = np.r_[starts[1:], len(order)]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            here = order[start:end]
            facts, decision = judged.classes[int(kind[here[0]])]
            reason = decision.reason
            host = decision.host
            if reason == "stream-leak":
                # one violation for a stream: its session and its media in both directions
                low = np.minimum(client[here], server[here])
                server[here] = np.maximum(client[here], server[here])
                client[here] = low
                service[here] = 0 if _is_stream(facts) else service[here]
            elif reason == "address-changed":
                mine = client[here] if facts.client_who & Who.APPLIANCE else server[here]
                client[here], server[here], service[here] = mine, _ANY, _ANY
            elif facts.session is not None:
                session = facts.session
                client[here] = _text_key(session.client)
                server[here] = _text_key(session.server)
                service[here] = np.uint64(6 << 16 | session.dport)
            elif host is not None and host.source in ("sni", "http", "dns"):
                server[here] = np.uint64(self._host_code(host.name))
        return client, server, service

    def _host_code(self, name: str) -> int:
        code = self._hosts.get(name)
        if code is None:
            code = self._hosts[name] = int.from_bytes(
                hashlib.blake2b(name.encode(), digest_size=8).digest(), "big"
            )
        return code

    def _fold_sources(self, target: U64, client: U64) -> U64:
        """Merge when more than `SOURCES_APART` hosts target one host at once (forged senders)."""
        _, first = np.unique(mix(target, client), return_index=True)
        targets, counts = np.unique(target[first], return_counts=True)
        self._floods.update(targets[counts > SOURCES_APART].tolist())
        if not self._floods:
            return client
        flooded = np.isin(target, np.fromiter(self._floods, np.uint64, len(self._floods)))
        return np.where(flooded, _ANY, client)

    def _fold_peers(self, source: U64, pair: U64, full: U64) -> tuple[U64, U64]:
        """Merge when one host targets more than `PEERS_APART` others."""
        unique, first = np.unique(pair, return_index=True)
        sources = source[first]
        for who in distinct(sources).tolist():
            new = set(unique[sources == who].tolist())
            apart = self._sources.setdefault(who, set())
            if who in self._spreads:
                new -= apart
            elif len(apart | new) <= PEERS_APART:
                apart |= new
                continue
            else:
                self._spreads.add(who)
                if len(new - apart) <= PEERS_APART - len(apart):
                    apart |= new
                new -= apart
            rest = np.isin(pair, np.fromiter(new, np.uint64, len(new)))
            pair[rest] = mix(np.full(int(rest.sum()), who, np.uint64), _full(_ANY, rest))
            full[rest] = mix(pair[rest], _full(_ANY, rest))
        _bound(self._sources, 4 * self._max)
        return pair, full

    def _fold_ports(self, pair: U64, full: U64) -> U64:
        """Merge when there are more than `PORTS_APART` services between two peers: a scan."""
        unique, first = np.unique(full, return_index=True)
        pairs = pair[first]
        order = np.argsort(pairs, kind="stable")
        unique, pairs = unique[order], pairs[order]
        starts = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]])
        ends = np.r_[starts[1:], len(pairs)]
        folded: list[int] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            who = int(pairs[start])
            if who in self._scans:
                folded.append(who)
                continue
            apart = self._pairs.setdefault(who, set())
            if end - start <= PORTS_APART:
                apart.update(unique[start:end].tolist())
            if end - start > PORTS_APART or len(apart) > PORTS_APART:
                self._scans.add(who)
                folded.append(who)
                self._merge(who)
        _bound(self._pairs, 4 * self._max)
        if folded:
            scan = np.isin(pair, np.array(folded, np.uint64))
            full[scan] = mix(pair[scan], _full(_ANY, scan))
        return full

    def _merge(self, pair: int) -> None:
        """Violations that were separate before a scan was recognised become parts of it."""
        parts = [k for k in self._pairs.get(pair, ()) if k in self._violations]
        if not parts:
            return
        target = int(mix(np.array([pair], np.uint64), np.array([_ANY]))[0])
        parts.sort(key=lambda k: self._violations[k].first_ns)
        whole = self._violations.pop(parts[0])
        whole.folded = "ports"
        for key in parts[1:]:
            part = self._violations.pop(key)
            whole.packets += part.packets
            whole.size += part.size
            whole.flows += part.flows
            whole.last_ns = max(whole.last_ns, part.last_ns)
            whole.level = max(whole.level, part.level)
            whole.services.merge(part.services)
            self._changed("folded", part, part.last_ns)
        number = self._number.pop(parts[0])
        for key in parts[1:]:
            self._by_number[self._number.pop(key)] = target
        self._violations[target] = whole
        self._number[target] = number
        self._by_number[number] = target

    # -------------------------------------------------------------- violations

    def _number_of(
        self,
        key: int,
        rows: AnyRows,
        judged: JudgedRows,
        position: int,
        now_ns: int,
        meter: int,
        interfaces: Sequence[str],
    ) -> int:
        number = self._number.get(key)
        if number is not None:
            self._violations.move_to_end(key)
            return number
        judge = self._judge
        row = rows[position]
        facts = judge.facts(row, now_ns, meter, interfaces=interfaces, final=True)
        judgement = worded(judge.judge, facts)
        if judgement.reason is None:  # a name became known after the rows were judged
            facts = judged.classes[int(judged.kind[position])][0]
            judgement = worded(judge.judge, facts)
        if judge.judge.decide(facts).unasked:
            facts = facts.unasked()
        violation = _Violation(
            id=_identity(facts, judgement, key),
            reason=int(judged.reason[position]),
            level=int(judged.severity[position]),
            facts=facts,
            judgement=judgement,
            flow=self._flow_text(meter, row.id),
            first_ns=row.first_ns,
            last_ns=row.last_ns,
            first_packet=row.first_packet,
        )
        violation.folded = "ports" if self._is_scan(key) else "peers" if self._is_rest(key) else ""
        self._violations[key] = violation
        number = len(self._by_number)
        self._by_number.append(key)
        self._number[key] = number
        if len(self._violations) > self._max:
            self._evict()
        self._changed("new", violation, violation.first_ns, violation.first_packet)
        return number

    def _is_scan(self, key: int) -> bool:
        return any(
            int(mix(np.array([p], np.uint64), np.array([_ANY]))[0]) == key for p in self._scans
        )

    def _is_rest(self, key: int) -> bool:
        for who in self._spreads:
            pair = mix(np.array([who], np.uint64), np.array([_ANY]))
            if int(mix(pair, np.array([_ANY]))[0]) == key:
                return True
        return False

    def _evict(self) -> None:
        """Evict the least recently seen violation, past ones first."""
        key = next((k for k, v in self._violations.items() if not v.open), None)
        if key is None:
            key = next(iter(self._violations))
        self._violations.pop(key)
        self._number.pop(key, None)
        self.evicted += 1

    def _add(
        self, bad: Rows, numbers: I64, judged: JudgedRows, at: I64, now_ns: int, meter: int
    ) -> None:
        """Add the new part of each row to its violation."""
        packets = (bad["packets_out"] + bad["packets_in"]).astype(np.int64)
        size = (bad["bytes_out"] + bad["bytes_in"]).astype(np.int64)
        ids = np.ascontiguousarray(bad["id"])
        self._moved(meter, ids, numbers)
        counted = self._counted.get(meter)
        more_packets, more_bytes = packets.copy(), size.copy()
        is_new = np.ones(len(ids), np.bool_)
        if counted is not None and len(counted.ids):
            where = np.minimum(np.searchsorted(counted.ids, ids), len(counted.ids) - 1)
            hit = counted.ids[where] == ids
            is_new = ~hit
            more_packets[hit] -= counted.packets[where[hit]]
            more_bytes[hit] -= counted.size[where[hit]]
        level = judged.severity[at]
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(numbers[order]) != 0])
        ends = np.r_[starts[1:], len(order)]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            rows_here = order[start:end]
            violation = self._violations.get(self._by_number[int(numbers[rows_here[0]])])
            if violation is None:
                continue
            violation.packets += int(more_packets[rows_here].sum())
            violation.size += int(more_bytes[rows_here].sum())
            violation.flows += int(is_new[rows_here].sum())
            earliest = int(rows_here[0])  # rows are sorted by their first packets
            if bad["first_ns"][earliest] < violation.first_ns:
                violation.first_ns = int(bad["first_ns"][earliest])
                violation.first_packet = int(bad["first_packet"][earliest])
            last = int(bad["last_ns"][rows_here].max())
            self._note(violation, bad["dport"][rows_here], bad["dst"][rows_here])
            self._progress(violation, last, int(level[rows_here].max()), now_ns)
        self._remember(meter, ids, numbers, packets, size)

    def _progress(self, violation: _Violation, last_ns: int, level: int, now_ns: int) -> None:
        if last_ns > violation.last_ns:
            violation.last_ns = last_ns
        if not violation.open and now_ns - violation.last_ns <= QUIET_NS:
            violation.open = True
            self._changed("again", violation, last_ns)
        if level > violation.level:
            violation.level = level
            self._changed("worse", violation, last_ns)

    @staticmethod
    def _note(violation: _Violation, ports: U16, servers: U8) -> None:
        violation.services.add(ports)
        if violation.folded == "peers" and len(violation.peers) < 65_536:
            raw = np.ascontiguousarray(servers).view("V16").reshape(-1)
            violation.peers.update(value.tobytes() for value in distinct(raw)[:65_536])

    def _remember(self, meter: int, ids: U64, numbers: I64, packets: I64, size: I64) -> None:
        """Keep what was counted, also for flows that have ended: they may be judged once more."""
        old = self._counted.get(meter)
        if old is not None and len(old.ids):
            stay = ~np.isin(old.ids, ids)
            ids = np.concatenate([old.ids[stay], ids])
            numbers = np.concatenate([old.group[stay], numbers])
            packets = np.concatenate([old.packets[stay], packets])
            size = np.concatenate([old.size[stay], size])
        keep = np.argsort(ids, kind="stable")[-COUNTED_MAX:]  # the oldest flows are evicted first
        self._counted[meter] = _Counted(ids[keep], numbers[keep], packets[keep], size[keep])

    def _take_back(self, rows: AnyRows, judged: JudgedRows, meter: int) -> None:
        """Remove flows from their violation if they are no longer a violation."""
        counted = self._counted.get(meter)
        if counted is None or not len(counted.ids):
            return
        better = np.ascontiguousarray(rows["id"][judged.verdict != _VIOLATION])
        if not len(better):
            return
        self._leave(meter, counted, np.isin(counted.ids, better))

    def _moved(self, meter: int, ids: U64, numbers: I64) -> None:
        """Flows that now belong to another violation (their content is known) leave the old one,
        with all their packets.
        """
        counted = self._counted.get(meter)
        if counted is None or not len(counted.ids):
            return
        order = np.argsort(ids, kind="stable")
        where = order[np.minimum(np.searchsorted(ids[order], counted.ids), len(ids) - 1)]
        here = ids[where] == counted.ids
        moved = here & (counted.group != numbers[where])
        if moved.any():
            self._leave(meter, counted, moved)

    def _leave(self, meter: int, counted: _Counted, gone: Bool) -> None:
        """Subtract the counts of some flows from their violations."""
        for index in np.flatnonzero(gone).tolist():
            key = self._by_number[int(counted.group[index])]
            violation = self._violations.get(key)
            if violation is None:
                continue
            violation.packets -= int(counted.packets[index])
            violation.size -= int(counted.size[index])
            violation.flows -= 1
            if violation.flows <= 0:
                self._violations.pop(key)
                self._number.pop(key, None)
                self._changed("withdrawn", violation, violation.last_ns)
        keep = ~gone
        self._counted[meter] = _Counted(
            counted.ids[keep], counted.group[keep], counted.packets[keep], counted.size[keep]
        )

    # -------------------------------------------------------------- words

    def _changed(
        self, kind: str, violation: _Violation, time_ns: int, packet: int | None = None
    ) -> None:
        if len(self._changes) < 4 * self._max:
            self._changes.append(
                ViolationChange(kind, violation.id, self._record(violation), time_ns, packet)
            )

    def _record(self, v: _Violation) -> ViolationRecord:
        f, words = v.facts, v.judgement
        has_ports = f.transport in ("tcp", "udp")
        severity: Severity = SEVERITIES[v.level]  # type: ignore[assignment]
        return ViolationRecord(
            id=v.id,
            reason=REASONS[v.reason - 1],
            severity=severity,
            port=f.port,
            src=f.client,
            sport=f.sport if has_ports else None,
            dst=f.server,
            dport=f.dport if has_ports else None,
            transport=f.transport,
            host=words.host,
            first_time_ns=v.first_ns,
            last_time_ns=v.last_ns,
            packets=v.packets,
            bytes=v.size,
            flow=v.flow,
            text=words.text + _folded_text(v),
            flows=v.flows,
            state="open" if v.open else "past",
            first_packet=v.first_packet,
            nearest=words.nearest,
            suggestion=words.suggestion,
        )


def _folded_text(v: _Violation) -> str:
    if v.folded == "ports":
        few, count = ", ".join(map(str, v.services.lowest(6))), len(v.services)
        more = f" and {count - 6:,} more" if count > 6 else ""
        return f" - and so on: {count:,} ports in {v.flows:,} flows ({few}{more})"
    if v.folded == "peers":
        return f" - and so on: {len(v.peers):,} peers in {v.flows:,} flows"
    return ""


def _is_stream(facts: FlowFacts) -> bool:
    media = facts.session is not None or facts.app in MEDIA_APPS or facts.app in RTSP_APPS
    return media or facts.dport in (554, 322, 8554)


def _identity(facts: FlowFacts, judgement: Judgement, key: int) -> str:
    """A short id, the same in every run over the same traffic."""
    peers = "|".join(
        (judgement.reason or "", facts.client, judgement.host or facts.server, facts.transport)
    )
    digest = hashlib.blake2b(f"{peers}|{key:x}".encode(), digest_size=4).hexdigest()
    return f"v{digest}"


def _narrow(rows: AnyRows, at: I64) -> Rows:
    """The few fields needed for merging: copying whole flow rows would be the main cost."""
    out = np.empty(len(at), _NARROW)
    for name in _FIELDS:
        out[name] = rows[name][at]
    return out


def _turn_unasked(bad: Rows, judged: JudgedRows, at: I64) -> None:
    """Exchange client and server of rows that were opened by their supposed server."""
    kinds = [i for i, (_, decision) in enumerate(judged.classes) if decision.unasked]
    if not kinds:
        return
    here = np.isin(judged.kind[at], kinds)
    for a, b in (("src", "dst"), ("sport", "dport")):
        bad[a][here], bad[b][here] = bad[b][here], bad[a][here].copy()


def _address_key(raw: Any) -> U64:
    """16 address bytes (n, 16) as one number each."""
    halves = np.ascontiguousarray(raw).view(np.uint64).reshape(-1, 2)
    return mix(halves[:, 0], halves[:, 1])


def _text_key(address: str) -> np.uint64:
    packed = ipaddress.ip_address(address).packed.ljust(16, b"\0")
    key: np.uint64 = _address_key(np.frombuffer(packed, np.uint8).reshape(1, 16))[0]
    return key


def _full(value: np.uint64, mask: Any) -> U64:
    return np.full(int(mask.sum()), value, np.uint64)


def _bound(table: dict[int, set[int]], limit: int) -> None:
    while len(table) > limit:
        table.pop(next(iter(table)))
