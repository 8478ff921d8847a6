"""Exchanges of a calm site that only repeat what was seen before: their second needs no tick.

New flows and messages of a second come in; `Usual.fits` says whether all of them repeat, but for
their times, numbers and ports, what was seen before and led to nothing: a TLS connection of the
appliance that worked and ended in the same second, an answered lookup of a name of the policy, an
answered time request. They may then be reported with a later tick, because no book and no rule
would say anything about them: nothing is learnt, and no state changes. Everything is bounded; what
is not recognised is news.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from operator import attrgetter

import numpy as np

from panotui.diagnosis.cloud import LIMITS as CLOUD_LIMITS
from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    ArpMessage,
    Bool,
    DnsMessage,
    LinkControlMessage,
    NtpMessage,
    TlsCertificate,
    TlsClientHello,
    TlsFinished,
    TlsServerHello,
    address_text,
)
from panotui.model.flow_rows import AnyRows, FlowField
from panotui.policy.judging.rows import RowJudge
from panotui.state.clock import LIMITS as CLOCK_LIMITS
from panotui.state.clock import MODE_CLIENT, MODE_SERVER
from panotui.state.resolvers import LIMITS as RESOLVER_LIMITS
from panotui.wire.protocols import TCP, UDP

KNOWN_MAX = 4_096
ROWS_MOST = 64  # of a tick; with more, they are no single exchanges
LATELY_NS = 1_800 * SECOND  # well within the time for which names of addresses are kept
_MQTT_PORT = 8883  # how often such connections are opened is counted
_OF_TLS = (TlsClientHello, TlsServerHello, TlsCertificate, TlsFinished)
_REPEATED = (ArpMessage, LinkControlMessage)  # byte for byte as before: `meter.restated`
_VARIES = frozenset({"time_ns", "packet", "interface", "flow", "size", "server_bytes"})
_TROUBLE: tuple[FlowField, ...] = (
    "rst_out", "rst_in", "retransmits_out", "retransmits_in", "fast_retransmits_out",
    "fast_retransmits_in", "spurious_out", "spurious_in", "out_of_order_out", "out_of_order_in",
    "lost_segments_out", "lost_segments_in", "zero_window_out", "zero_window_in",
    "window_full_out", "window_full_in", "keep_alive_out", "keep_alive_in", "unseen_out",
    "unseen_in", "acked_unseen_out", "acked_unseen_in", "end",
)  # fmt: skip
_CLOSED: tuple[FlowField, ...] = ("syn_out", "syn_in", "fin_out", "fin_in")
_TRIPS: tuple[FlowField, ...] = ("handshake_rtt_us", "server_rtt_us", "rtt_us")
_ENDS: tuple[FlowField, ...] = (
    "version", "protocol", "dport", "app", "vlan", "client_by", "interface_out", "interface_in",
    "mac_out_src", "mac_out_dst", "mac_in_src", "mac_in_dst", "history",
)  # fmt: skip


def _fields_of(kind: type[AnyMessage]) -> Callable[[AnyMessage], Hashable]:
    names = [name for name in kind.__struct_fields__ if name not in _VARIES]
    take: Callable[[AnyMessage], Hashable] = attrgetter(*names)
    return take


_OF_HANDSHAKES: tuple[type[AnyMessage], ...] = (TlsClientHello, TlsServerHello, TlsCertificate)
_SAID = {kind: _fields_of(kind) for kind in _OF_HANDSHAKES}


class Usual:
    """What was seen before at this site; see the module."""

    def __init__(self, facts: Facts, diagnosis: Diagnosis, judge: RowJudge) -> None:
        self._facts = facts
        self._diagnosis = diagnosis
        self._judge = judge
        self._known: OrderedDict[Hashable, int] = OrderedDict()  # exchange -> when it came last
        self._calm: bool | None = None  # since the last tick; None: not asked yet

    # ------------------------------------------------------------------ what was seen

    def learn(self, rows: AnyRows, fine: Bool, messages: Iterable[AnyMessage]) -> None:
        """Take a tick's new flows and its messages. `fine` (n,): those of which the first judgement
        was final, and no violation.
        """
        self._calm = None
        if not 0 < len(rows) <= ROWS_MOST:
            return
        said = _Said(messages)
        now_ns = self._facts.now_ns
        keep = fine & _plain(rows)
        for ok, (_, key) in zip(keep.tolist(), self._exchanges(rows, said), strict=True):
            if ok and key is not None:
                self._note(key, now_ns)
        for question, answer in said.lookups():
            self._note(_lookup(question, answer), now_ns)

    def _note(self, key: Hashable, now_ns: int) -> None:
        self._known[key] = now_ns
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _is_known(self, key: Hashable, now_ns: int) -> bool:
        return now_ns - self._known.get(key, -LATELY_NS - 1) <= LATELY_NS

    def _exchanges(self, rows: AnyRows, said: _Said) -> Iterator[tuple[int, Hashable | None]]:
        """The id of each new flow, and what came in it: its ends, without its client's port, and
        its messages. None: nothing that may be known.
        """
        tcp = (rows["protocol"] == TCP).tolist()
        ids, sports = rows["id"].tolist(), rows["sport"].tolist()
        # a port that may mean something, as that of a time server
        meant = np.isin(rows["sport"], self._judge.special().ports).tolist()
        src, dst = rows["src"], rows["dst"]
        for i, ends in enumerate(zip(*(rows[name].tolist() for name in _ENDS), strict=True)):
            key = (*ends, src[i].tobytes(), dst[i].tobytes())
            flow = ids[i]
            if tcp[i]:
                words = said.of_tls(flow)
                yield flow, None if words is None else (*key, words)
            elif flow in said.flows:
                yield flow, (*key, sports[i] if meant[i] else 0)
            else:
                yield flow, None

    # ------------------------------------------------------------------ what may wait

    def calm(self) -> bool:
        """Whether nothing is wrong at the site, or may turn out to be so by what is usual."""
        if self._calm is None:
            facts, view = self._facts, self._facts.view
            known = bool(view.facts.appliance_addresses) and len(view.region_names) <= 1
            seen = not (facts.one_way or view.cut_short or facts.capture_lossy or facts.final)
            media = bool(facts.cameras.cameras or facts.streams.streams)
            self._calm = known and seen and not media and self._diagnosis.is_calm(facts)
        return self._calm

    def until(self, rows: AnyRows, messages: list[AnyMessage], most: int) -> int:
        """Until when these new flows, at most `most`, and messages are usual: the begin of the
        first second in which they are not, `NEVER` if all are.
        """
        if len(rows) <= most and self._fits(rows, messages):
            return NEVER
        flows = rows["first_ns"] // SECOND
        said = [m.time_ns // SECOND for m in messages]
        count = 0
        for second in sorted({*flows.tolist(), *said}):
            some = rows[np.flatnonzero(flows == second)]
            count += len(some)
            mine = [m for m, at in zip(messages, said, strict=True) if at == second]
            if count > most or not self._fits(some, mine):
                return int(second) * SECOND
        return NEVER

    def _fits(self, rows: AnyRows, messages: list[AnyMessage]) -> bool:
        """Whether these new flows and messages are usual, and each exchange was over within a
        second.
        """
        if not self.calm() or len(rows) > ROWS_MOST:
            return False
        said = _Said(messages)
        within = rows["first_ns"] // SECOND == rows["last_ns"] // SECOND
        if said.others or not (_plain(rows) & within).all():
            return False
        known: list[tuple[Hashable, int]] = []
        flows = set()
        ends = rows["last_ns"].tolist()
        for at_ns, (flow, key) in zip(ends, self._exchanges(rows, said), strict=True):
            flows.add(flow)
            if key is None or not self._is_known(key, at_ns):
                return False
            known.append((key, at_ns))
        if not said.tls.keys() <= flows or not self._work(rows, said):
            return False
        lookups = said.lookups()
        if 2 * len(lookups) != len(said.names) or 2 * len(said.times()) != len(said.asked):
            return False
        for question, answer in lookups:
            key = _lookup(question, answer)
            at_ns = answer.time_ns
            if not (self._is_known(key, at_ns) and self._resolves(question, answer)):
                return False
            known.append((key, at_ns))
        if not all(self._is_in_time(*pair) for pair in said.times()):
            return False
        for key, at_ns in known:
            self._note(key, at_ns)
        return True

    def _work(self, rows: AnyRows, said: _Said) -> bool:
        """Whether the servers of new connections worked each time, so that one more changes
        nothing.
        """
        facts = self._facts
        ours = facts.view.facts.appliance_addresses
        macs = set(facts.view.facts.appliance_macs)
        for row in rows[:]:
            if address_text(row.version, row.src) not in ours or row.mac_out_src not in macs:
                return False
            if row.protocol != TCP:
                continue
            target = facts.connects.get(address_text(row.version, row.dst), row.dport)
            if target is None or target.since_ns or target.icmp or target.lost_at:
                return False
            if target.syns or target.refusals or not all(a.works for a in target.recent):
                return False
        hosts = {hello.sni for hello in said.hellos}
        for endpoint in facts.endpoints.endpoints.values():
            if (
                endpoint.host in hosts
                and not endpoint.state == endpoint.newest_state == "reachable"
            ):
                return False
        return True

    def _resolves(self, question: DnsMessage, answer: DnsMessage) -> bool:
        """Whether the name, the client and its server had no trouble."""
        facts = self._facts
        if question.client not in facts.view.facts.appliance_addresses:
            return False
        if question.time_ns // SECOND != answer.time_ns // SECOND:
            return False
        if answer.time_ns - question.time_ns > RESOLVER_LIMITS.slow_ms * 1_000_000:
            return False
        resolver = facts.resolvers.resolvers.get(question.server)
        side = None if resolver is None else resolver.sides.get(question.client)
        lookup = facts.lookups.lookups.get((question.client, question.name))
        if side is None or side.unanswered or side.errors_in_a_row or lookup is None:
            return False
        # how many other names are asked for is counted
        return not (lookup.vain or lookup.useless) and bool(facts.policy.match_host(question.name))

    def _is_in_time(self, question: NtpMessage, answer: NtpMessage) -> bool:
        """Whether a client's exchange with its time server shows, as before, a clock that is
        right.
        """
        if question.src not in self._facts.view.facts.appliance_addresses:
            return False
        if question.time_ns // SECOND != answer.time_ns // SECOND:
            return False
        offset_ms = self._facts.clock.foreseen_ms(question, answer)
        return offset_ms is not None and abs(offset_ms) <= CLOCK_LIMITS.off_ms / 2


class _Said:
    """The messages of a tick, sorted out."""

    def __init__(self, messages: Iterable[AnyMessage]) -> None:
        self.tls: dict[int, list[AnyMessage]] = {}  # by flow
        self.hellos: list[TlsClientHello] = []
        self.names: list[DnsMessage] = []
        self.asked: list[NtpMessage] = []
        self.flows: set[int] = set()  # with lookups or time requests
        self.others = False
        for message in messages:
            if isinstance(message, _OF_TLS):
                self.tls.setdefault(message.flow, []).append(message)
                if isinstance(message, TlsClientHello):
                    self.hellos.append(message)
            elif isinstance(message, DnsMessage):
                self.names.append(message)
                self.flows.add(message.flow)
            elif isinstance(message, NtpMessage):
                self.asked.append(message)
                self.flows.add(message.flow)
            elif not isinstance(message, _REPEATED):
                self.others = True

    def of_tls(self, flow: int) -> Hashable | None:
        """The handshake of a flow; None: none that was finished, or that is counted."""
        said = self.tls.get(flow, [])
        kinds = Counter(map(type, said))
        if kinds[TlsClientHello] != 1 or kinds[TlsFinished] != 1 or not kinds[TlsServerHello]:
            return None
        hello = next(m for m in said if isinstance(m, TlsClientHello))
        if not hello.sni or hello.carrier != "tls" or any("mqtt" in name for name in hello.alpn):
            return None
        return tuple((type(m), _SAID[type(m)](m)) for m in said if type(m) in _SAID)

    def lookups(self) -> list[tuple[DnsMessage, DnsMessage]]:
        """Questions with their only answers, which have addresses."""
        pairs: dict[Hashable, list[DnsMessage]] = {}
        for m in self.names:
            key = m.client, m.client_port, m.server, m.id, m.name, m.type, m.transport
            pairs.setdefault(key, []).append(m)
        return [
            (both[0], both[1])
            for both in pairs.values()
            if len(both) == 2 and both[1].response and not both[0].response
            and both[0].type in ("A", "AAAA") and both[0].transport == "udp"
            and both[1].rcode == "NOERROR" and not both[1].truncated
            and any(answer.type == both[1].type for answer in both[1].answers)
        ]  # fmt: skip

    def times(self) -> list[tuple[NtpMessage, NtpMessage]]:
        """Time requests with their only answers."""
        pairs: dict[Hashable, list[NtpMessage]] = {}
        for m in self.asked:
            mine = m.mode == MODE_CLIENT
            key = (m.src, m.dst, m.transmit) if mine else (m.dst, m.src, m.origin)
            pairs.setdefault(key, []).append(m)
        return [
            (both[0], both[1])
            for both in pairs.values()
            if [m.mode for m in both] == [MODE_CLIENT, MODE_SERVER] and both[0].transmit
        ]


def _lookup(question: DnsMessage, answer: DnsMessage) -> Hashable:
    told = tuple((one.name, one.type, one.data) for one in answer.answers)
    return question.client, question.server, question.name, question.type, told


def _plain(rows: AnyRows) -> Bool:
    """(n,) exchanges that went well: answered datagrams, and TCP connections that carried something
    both ways, were closed by both ends and lost nothing.
    """
    plain: Bool = (rows["packets_out"] > 0) & (rows["packets_in"] > 0)
    for name in _TROUBLE:
        plain &= rows[name] == 0
    tcp = rows["protocol"] == TCP
    closed = (rows["payload_out"] > 0) & (rows["payload_in"] > 0) & (rows["dport"] != _MQTT_PORT)
    for name in _CLOSED:
        closed &= rows[name] == 1
    for name in _TRIPS:
        closed &= rows[name] <= CLOUD_LIMITS.rtt_ms * 1_000
    plain &= (tcp & closed) | (rows["protocol"] == UDP)
    return plain
