"""Verdicts of all flows: judged when they are new, when better evidence comes, and when time
passes.

Changed flow rows come in; verdict, rule, reason, host and port columns of the flow table and the
violations go out. `policy.judging.rows.RowJudge` does the judging, many flows at once. This module
decides which flows need it, and which verdict changes are reported.
"""

from __future__ import annotations

import ipaddress
from typing import ClassVar

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from panotui.model import (
    I16,
    I64,
    REASONS,
    AnyMessage,
    Bool,
    TlsClientHello,
    TlsServerHello,
    ViolationRecord,
)
from panotui.model.arrays import distinct
from panotui.model.flow_rows import AnyRows, FlowColumns
from panotui.policy.judging.rows import HOST_SOURCES, JudgedRows, RowJudge
from panotui.policy.judging.violations import ViolationBook
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.state.flows.book import PENDING, VIOLATION, FlowBook, flow_key, flow_text_id
from panotui.state.flows.records import VERDICTS
from panotui.state.streams import StreamState

EVENTS_A_TICK = 50  # verdict changes reported one by one; a flood is reported by its violation
REJUDGED_A_TICK = 65_536
SOURCES_A_TICK = 64  # hosts whose violations are merged per tick


class Change(Struct, frozen=True):
    """A flow with a new verdict."""

    flow: str  # its id
    peer: str  # the best name of its other end
    before: str
    verdict: str
    reason: str | None


class VerdictBook:
    """See the module."""

    hears: ClassVar[frozenset[type]] = frozenset((TlsClientHello, TlsServerHello))

    def __init__(self, view: SiteView, names: NameBook, flows: FlowBook) -> None:
        self.view = view
        self.names = names
        self.flows = flows
        self.judge = RowJudge(view, names)
        self.book = ViolationBook(self.judge)
        self.interfaces: tuple[str, ...] = ()
        self.own: frozenset[tuple[str, int]] = frozenset()
        self._version = view.version
        self._records: tuple[ViolationRecord, ...] | None = None
        self._alpn: list[tuple[int, str, bool]] = []  # flow key, ALPN, of the server
        self.version = 0  # rises with each judgement that may have changed a violation
        self.skipped = 0  # violating flows of a flood that belong to no violation

    # ------------------------------------------------------------------ judging

    def update(self, meter: int, rows: AnyRows, slots: I64, now_ns: int) -> list[Change]:
        """Judge those changed rows of one meter that need it; `slots` aligned with `rows`."""
        self._settle_alpn()
        if not len(rows):
            return []
        flows = self.flows
        kept = slots >= 0
        need = np.ones(len(rows), np.bool_)
        at = slots[kept]
        need[kept] = (
            ~flows.final[at]
            | (flows.judged_app[at] != rows["app"][kept])
            | (~flows.judged_answered[at] & (rows["packets_in"][kept] > 0))
            | flows.rename[at]
            | (flows.verdict[at] == VIOLATION)  # its violation keeps counting
        )
        chosen = np.flatnonzero(need)
        changes: list[Change] = []
        if len(chosen):
            if len(chosen) < len(rows):
                rows, slots = FlowColumns(rows, chosen), slots[chosen]
            judged = self._judge(meter, rows, slots, now_ns, False)
            changes = self._write(judged, rows, slots, now_ns)
            self._fold(rows, judged, now_ns, meter)
        return changes

    def tick(self, now_ns: int, *, final: bool = False) -> list[Change]:
        """Judge again flows that time, new names or new facts of the site may affect."""
        flows = self.flows
        if final:
            wanted = flows.live & ~flows.final
        elif self.view.version != self._version:
            wanted = flows.live.copy()
        else:
            wanted = flows.live & ((flows.verdict == PENDING) | flows.rename)
            quiet = flows.verdict == PENDING
            # pending flows are judged again once per second at most
            wanted &= ~quiet | (flows.judged_ns < now_ns)
        self._version = self.view.version
        self.book.tick(now_ns)
        slots = np.flatnonzero(wanted)
        if not len(slots):
            return []
        if len(slots) > REJUDGED_A_TICK:
            slots = slots[np.argsort(-flows.rows["last_ns"][slots])[:REJUDGED_A_TICK]]
        changes: list[Change] = []
        meters = (flows.key[slots] >> np.uint64(56)).astype(np.int64)
        for meter in distinct(meters).tolist():
            mine = slots[meters == meter]
            rows = FlowColumns(flows.rows, mine)
            judged = self._judge(meter, rows, mine, now_ns, final)
            changes.extend(self._write(judged, rows, mine, now_ns))
            self._fold(rows, judged, now_ns, meter)
        return changes

    def due_ns(self, now_ns: int) -> int:
        """When time alone changes something: flows that wait for names are judged each second, and
        violations without traffic become past.
        """
        flows = self.flows
        if (flows.live & ((flows.verdict == PENDING) | flows.rename)).any():
            return now_ns
        return self.book.due_ns()

    def unsettled(self) -> Bool:
        """(n,) slots of flows whose every row may change a verdict, or counts for a violation."""
        flows = self.flows
        answered = flows.rows["packets_in"] > 0  # who has no answer yet, is judged when one comes
        waiting = ~flows.final | (answered & ~flows.judged_answered) | flows.rename
        unsettled: Bool = flows.live & (waiting | (flows.verdict == VIOLATION))
        return unsettled

    def _fold(self, rows: AnyRows, judged: JudgedRows, now_ns: int, meter: int) -> None:
        """Pass judged rows to the violations; in a flood from forged addresses only the busiest
        sources, because each of them would be a separate violation.
        """
        bad = np.flatnonzero(judged.verdict == VIOLATION)
        if len(bad) > SOURCES_A_TICK:
            raw = np.ascontiguousarray(rows["src"][bad]).view("S16").reshape(-1)
            _, inverse, counts = np.unique(raw, return_inverse=True, return_counts=True)
            if len(counts) > SOURCES_A_TICK:
                kept = np.zeros(len(counts), np.bool_)
                kept[np.argpartition(-counts, SOURCES_A_TICK)[:SOURCES_A_TICK]] = True
                left_out = bad[~kept[inverse]]
                self.skipped += len(left_out)
                # excluded like this tool's own traffic; copying the other rows would cost more
                own = judged.own.copy()
                own[left_out] = True
                judged = replace(judged, own=own)
        self._records = None
        self.version += 1
        self.book.observe(rows, judged, now_ns, meter, interfaces=self.interfaces)

    def _judge(self, meter: int, rows: AnyRows, slots: I64, now_ns: int, final: bool) -> JudgedRows:
        own = np.zeros(len(rows), np.bool_)
        kept = slots >= 0
        own[kept] = self.flows.own[slots[kept]]
        return self.judge.judge_rows(
            rows, now_ns, meter, interfaces=self.interfaces, own=own, final=final
        )

    def _write(self, judged: JudgedRows, rows: AnyRows, slots: I64, now_ns: int) -> list[Change]:
        flows = self.flows
        kept = slots >= 0
        at = slots[kept]
        if not len(at):
            return []
        old, was_final = flows.verdict[at].copy(), flows.final[at].copy()
        new = judged.verdict[kept]
        flows.verdict[at] = new
        flows.final[at] = judged.final[kept]
        # -1 is the None at the end
        flows.rule.choose(at, [*judged.rules, None], judged.rule[kept])
        flows.reason.choose(at, [None, *REASONS], judged.reason[kept])
        flows.host.choose(at, judged.hosts, judged.host[kept])
        flows.host_source.choose(at, HOST_SOURCES, judged.host_source[kept])
        flows.port.choose(at, [*judged.ports, None], judged.port[kept])
        flows.judged_app[at] = rows["app"][kept]
        flows.judged_answered[at] = rows["packets_in"][kept] > 0
        flows.judged_ns[at] = now_ns
        flows.rename[at] = False
        self._services(at, judged.rule[kept], judged)
        self._answer_ports(at)
        changed = was_final & (old != new) & (old != PENDING)
        out: list[Change] = []
        for slot, before in zip(
            at[changed][:EVENTS_A_TICK].tolist(), old[changed][:EVENTS_A_TICK].tolist(), strict=True
        ):
            out.append(self._change(slot, before))
        return out

    def _services(self, at: I64, rule: I16, judged: JudgedRows) -> None:
        services: list[str | None] = []
        for rule_id in judged.rules:
            found = self.judge.policy.rule(rule_id)
            services.append(found.service if found else None)
        self.flows.service.choose(at, [*services, None], rule)

    def _answer_ports(self, at: I64) -> None:
        """Ports at which answers arrive, if the appliance has two ports."""
        macs = self.view.facts.appliance_macs
        if len(macs) < 2:
            return
        to = self.flows.rows["mac_in_dst"][at]
        for mac, name in macs.items():
            self.flows.port_in[at[to == np.uint64(mac)]] = name

    def _change(self, slot: int, before: int) -> Change:
        flows = self.flows
        return Change(
            flow_text_id(int(flows.key[slot])),
            flows.host[slot] or "a flow",
            VERDICTS[before],
            VERDICTS[int(flows.verdict[slot])],
            flows.reason[slot],
        )

    # ------------------------------------------------------------------ evidence

    def observe(self, message: AnyMessage, meter: int) -> None:
        """ALPN of a flow; stored once the flow has its row."""
        if isinstance(message, TlsClientHello) and message.alpn and message.flow >= 0:
            self._alpn.append((flow_key(meter, message.flow), message.alpn[0], False))
        elif isinstance(message, TlsServerHello) and message.alpn and message.flow >= 0:
            self._alpn.append((flow_key(meter, message.flow), message.alpn, True))

    def _settle_alpn(self) -> None:
        if not self._alpn:
            return
        told, self._alpn = self._alpn, []
        slots = self.flows.find(np.fromiter((key for key, _, _ in told), np.uint64, len(told)))
        for slot, (_, alpn, by_server) in zip(slots.tolist(), told, strict=True):
            # the server's choice counts; of a client's offers the first
            if slot >= 0 and (by_server or not self.flows.alpn[slot]):
                self.flows.alpn[slot] = alpn

    def take_names(self) -> None:
        """Mark the flows whose names have changed since the last call."""
        changed, addresses = self.names.drain_changes()
        if changed:
            keys = np.fromiter(((m << 56) | f for m, f in changed), np.uint64, len(changed))
            slots = self.flows.find(keys)
            self.flows.rename[slots[slots >= 0]] = True
        if addresses:
            # an answer that came after its flow began: rare, so a plain scan of live rows suffices
            packed = [p for p in map(_packed16, addresses) if p is not None][:512]
            if packed and self.flows.live.any():
                wanted = np.array(sorted(packed), "V16")
                servers = np.ascontiguousarray(self.flows.rows["dst"]).view("V16").reshape(-1)
                hit = np.isin(servers.view("S16"), wanted.view("S16")) & self.flows.live
                hit &= ~self.flows.host_source.equals("sni")[: len(hit)]
                self.flows.rename[hit] = True

    def judge_stream(self, stream: StreamState) -> None:
        """Give a stream the verdict of the flow that carries it, or of its session."""
        row = stream.row
        slot = self.flows.slot(flow_key(stream.meter, row.flow))
        if slot >= 0 and self.flows.verdict[slot] != PENDING:
            stream.verdict = VERDICTS[int(self.flows.verdict[slot])]
            stream.rule = self.flows.rule[slot]
            return
        if row.transport != 17:
            return
        judged = self.judge.stream_judgement(stream.src, row.sport, stream.dst, row.dport, "udp")
        stream.verdict, stream.rule = judged.verdict, judged.rule

    def explain(self, slot: int, now_ns: int) -> list[tuple[str, str]]:
        """Why the flow at a slot has its verdict: (label, text)."""
        flows = self.flows
        meter = int(flows.key[slot] >> np.uint64(56))
        judged = self.judge.judgement(
            flows.joined(slot), now_ns, meter, interfaces=self.interfaces,
            own=bool(flows.own[slot]),
        )  # fmt: skip
        lines: list[tuple[str, str]] = [("verdict", judged.verdict)]
        if judged.rule:
            rule = self.judge.policy.rule(judged.rule)
            lines.append(("rule", judged.rule))
            if rule is not None and rule.source:
                lines.append(("source", rule.source))
        if judged.reason:
            lines.append(("reason", judged.reason))
        if judged.text:
            lines.append(("why", judged.text))
        if judged.host:
            lines.append(("host", f"{judged.host} ({judged.host_source})"))
        lines.extend(("nearest rule", text) for text in judged.nearest)
        if judged.suggestion:
            lines.append(("suggestion", judged.suggestion))
        return lines

    # ------------------------------------------------------------------ violations

    def violations(self) -> tuple[ViolationRecord, ...]:
        """All violations, open ones first."""
        if self._records is None:
            self._records = self.book.records()
        return self._records

    def drain_new(self) -> list[ViolationRecord]:
        """Violations that are new or open again since the last call."""
        changes = self.book.drain_changes()
        if changes:
            self._records = None
        return [c.record for c in changes if c.kind in ("new", "again")]


def _packed16(address: str) -> bytes | None:
    try:
        return ipaddress.ip_address(address).packed.ljust(16, b"\0")
    except ValueError:
        return None
