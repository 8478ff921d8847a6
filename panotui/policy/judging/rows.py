"""Verdicts of many flows at once: flow rows in, columns of verdicts out.

Flows that must get the same verdict form one class: hosts without a name or role count only by
their scope, and all ports that no rule mentions count as one port. numpy finds the classes. Each
class is judged once and its verdict is copied to its rows, so that a scan of 100,000 ports costs
one judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from panotui.model import (
    APPS,
    CLIENT_BY,
    I16,
    I32,
    I64,
    REASONS,
    U8,
    U32,
    U64,
    Bool,
    address_text,
)
from panotui.model.arrays import among
from panotui.model.flow_rows import AnyRows, FlowRow
from panotui.policy.judging.decision import (
    BETWEEN_PORTS,
    BYSTANDER,
    OWN,
    Decision,
    FlowFacts,
    Judgement,
)
from panotui.policy.judging.judge import Judge
from panotui.policy.judging.wording import worded
from panotui.policy.rules import Policy, listen_networks
from panotui.site.addresses import SCOPES, in_networks_v4, scopes_v4
from panotui.site.facts import MediaSession, Who
from panotui.site.hosts import is_address
from panotui.site.names import HostName, NameBook, aws_ranges
from panotui.site.view import SiteView
from panotui.wire.protocols import TCP, UDP

VERDICTS: Final[tuple[str, ...]] = ("pending", "allowed", "infrastructure", "violation")
SEVERITIES: Final[tuple[str, ...]] = ("info", "warning", "error")
HOST_SOURCES: Final[tuple[str | None, ...]] = (
    None,
    "sni",
    "http",
    "dns",
    "site",
    "mdns",
    "range",
)
_PROTOCOLS: Final = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6", 112: "vrrp"}
_BUCKET_NS = 900 * 1_000_000_000
_STATE_UNANSWERED = (0, 1, 9)  # new, syn-sent, one-way
_STATE_REFUSED = 6
DNS_PORT = 53


class JudgedRows(Struct):
    """Verdicts, aligned with the judged rows."""

    verdict: U8  # index into VERDICTS
    rule: I16  # index into `rules`, -1 none
    reason: U8  # 0 none, else 1 + index into REASONS
    severity: U8  # index into SEVERITIES
    final: Bool
    host: I32  # index into `hosts`, 0 none
    host_source: U8  # index into HOST_SOURCES
    port: np.ndarray[Any, np.dtype[np.int8]]  # index into `ports`, -1 not the appliance's
    kind: I64  # the class of each row: index into `classes`
    rules: tuple[str, ...]
    hosts: list[str | None]
    ports: tuple[str, ...]
    classes: list[tuple[FlowFacts, Decision]]
    own: Bool

    def __len__(self) -> int:
        return len(self.verdict)


class _Special(Struct):
    """Addresses with more facts than their scope, as sorted arrays."""

    key: tuple[int, ...]
    v4: U32
    v4_code: I32
    code: dict[str, int]
    ports: NDArray[np.uint16]  # ports that matter, sorted
    named: Bool  # by code: the address has names of its own
    range_first: U32  # published ranges, disjoint and sorted
    range_last: U32
    range_label: I32  # number of each range's label, from 1


class RowJudge:
    """Judges flow rows with the newest facts. Call `refresh()` after the view or the names have
    changed.
    """

    def __init__(self, view: SiteView, names: NameBook) -> None:
        self.view = view
        self.names = names
        self.start_ns: int | None = None  # the earliest flow: flows of that time may be older
        self._version = -1
        self._special: _Special | None = None
        self.names.set_site_names(view.site_names())
        if not names.range_segments():
            names.set_ranges(aws_ranges())
        self.policy = Policy.for_site(view.site, view.facts.region)
        self._region = view.facts.region
        self.refresh()

    def refresh(self) -> bool:
        """Rebuild the judge if a fact of the site has changed; True if verdicts may differ."""
        if self.view.version == self._version:
            return False
        self._version = self.view.version
        facts = self.view.facts
        if facts.region != self._region:  # of what is learnt, the rules depend on nothing else
            self._region = facts.region
            self.policy = Policy.for_site(self.view.site, facts.region)
        self.judge = Judge(self.policy, facts)
        self.rules = (*(r.id for r in self.policy.rules), OWN, BYSTANDER, BETWEEN_PORTS)
        self._rule_index = {rule: i for i, rule in enumerate(self.rules)}
        self.ports = tuple(
            dict.fromkeys([*self.view.site.ports, *facts.appliance_addresses.values()])
        )
        self._special = None
        return True

    # -------------------------------------------------------------- many

    def judge_rows(
        self,
        rows: AnyRows,
        now_ns: int,
        meter: int = 0,
        *,
        interfaces: Sequence[str] = (),
        own: Bool | None = None,
        final: bool = False,
    ) -> JudgedRows:
        """Judge flow rows (n,) as known at `now_ns`.

        `interfaces`: names of the capture interfaces by index. `own`: (n,) true for this tool's
        traffic. `final`: no more packets will come (the end of a file), so nothing stays pending.
        """
        self.refresh()
        n = len(rows)
        owns = np.zeros(n, np.bool_) if own is None else own
        if n == 0:
            return self._spread(rows, [], np.zeros(0, np.int64), owns, np.zeros(0, np.int8))
        first = int(rows["first_ns"].min())
        self.start_ns = first if self.start_ns is None else min(self.start_ns, first)
        columns = _Columns(self, rows, now_ns, meter, interfaces, owns, final)
        _, representative, kind = np.unique(columns.key, return_index=True, return_inverse=True)
        classes = []
        for index in representative.tolist():
            facts = columns.facts(index)
            classes.append((facts, self.judge.decide(facts)))
        return self._spread(rows, classes, kind.astype(np.int64), owns, columns.port)

    def _spread(
        self,
        rows: AnyRows,
        classes: list[tuple[FlowFacts, Decision]],
        kind: I64,
        own: Bool,
        port: np.ndarray[Any, np.dtype[np.int8]],
    ) -> JudgedRows:
        hosts: dict[str | None, int] = {None: 0}
        columns = []
        for _, d in classes:
            host = d.host
            columns.append(
                (
                    VERDICTS.index(d.verdict),
                    self._rule_index.get(d.rule or "", -1),
                    0 if d.reason is None else 1 + REASONS.index(d.reason),
                    SEVERITIES.index(d.severity),
                    d.final,
                    hosts.setdefault(host.name if host else None, len(hosts)),
                    HOST_SOURCES.index(host.source) if host else 0,
                )
            )
        table = np.array(columns, np.int64).reshape(len(columns), 7)
        out = table[kind] if len(classes) else np.zeros((0, 7), np.int64)
        return JudgedRows(
            verdict=out[:, 0].astype(np.uint8),
            rule=out[:, 1].astype(np.int16),
            reason=out[:, 2].astype(np.uint8),
            severity=out[:, 3].astype(np.uint8),
            final=out[:, 4].astype(np.bool_),
            host=out[:, 5].astype(np.int32),
            host_source=out[:, 6].astype(np.uint8),
            port=port,
            kind=kind,
            rules=self.rules,
            hosts=list(hosts),
            ports=self.ports,
            classes=classes,
            own=own,
        )

    # -------------------------------------------------------------- one

    def facts(
        self,
        row: FlowRow,
        now_ns: int,
        meter: int = 0,
        *,
        interfaces: Sequence[str] = (),
        own: bool = False,
        final: bool = False,
    ) -> FlowFacts:
        """The facts of one row, with all its names, for the detail of a flow."""
        self.refresh()
        owns = np.array([own], np.bool_)
        columns = _Columns(self, row.alone(), now_ns, meter, interfaces, owns, final)
        return columns.facts(0, every_name=True)

    def judgement(self, row: FlowRow, now_ns: int, meter: int = 0, **known: Any) -> Judgement:
        """The verdict of one row with its wording; keywords as in `facts`."""
        return worded(self.judge, self.facts(row, now_ns, meter, **known))

    def stream_judgement(
        self, sender: str, sport: int, receiver: str, dport: int, transport: str = "udp"
    ) -> Judgement:
        """The verdict of a media stream by its two ends, the same as its session's."""
        view = self.view
        session = view.media_session(sender, sport, receiver, dport)
        return worded(
            self.judge,
            FlowFacts(
                client=sender,
                server=receiver,
                transport=transport,
                sport=sport,
                dport=dport,
                client_who=view.who(sender),
                server_who=view.who(receiver),
                app="rtp",
                session=self.session_facts(session) if session else None,
                settled=True,
            ),
        )

    def session_facts(self, session: MediaSession) -> FlowFacts:
        """The RTSP flow of a media session, in the form for the judge."""
        who = self.view.who(session.client)
        if self.view.mac_at(session.client) in self.view.facts.appliance_macs:
            who |= Who.APPLIANCE  # also from an address that is not the site's
        return FlowFacts(
            client=session.client,
            server=session.server,
            transport="tcp",
            dport=session.server_port,
            client_who=who,
            server_who=self.view.who(session.server),
            app="rtsp",
            settled=True,
        )

    # -------------------------------------------------------------- special addresses and ports

    def special(self) -> _Special:
        """Arrays of the addresses and ports that matter individually; cached until they change."""
        view, names = self.view, self.names
        key = (self._version, names.addresses_version, view.media_version)
        if self._special is None or self._special.key != key:
            self._special = self._make_special(key)
        return self._special

    def _make_special(self, key: tuple[int, ...]) -> _Special:
        facts = self.view.facts
        named = self.names.known_addresses()
        known: set[str] = {
            *facts.appliance_addresses,
            *facts.cameras,
            *facts.gateways,
            *facts.resolvers,
            *facts.time_servers,
            *facts.broadcasts,
            *(s.host for s in self.view.site.service if is_address(s.host)),
            *named,
        }
        code = {address: i + len(_GENERIC) for i, address in enumerate(sorted(known))}
        v4 = sorted((_v4(a), c) for a, c in code.items() if "." in a and ":" not in a)
        flags = np.zeros(len(_GENERIC) + len(code), np.bool_)
        for address in named:
            flags[code[address]] = True
        segments = self.names.range_segments()
        labels: dict[str, int] = {}
        return _Special(
            key,
            np.array([a for a, _ in v4], np.uint32),
            np.array([c for _, c in v4], np.int32),
            code,
            np.array(sorted(self._ports_of_interest()), np.uint16),
            flags,
            np.array([first for first, _, _ in segments], np.uint32),
            np.array([last for _, last, _ in segments], np.uint32),
            np.array([labels.setdefault(x, len(labels) + 1) for _, _, x in segments], np.int32),
        )

    def _ports_of_interest(self) -> set[int]:
        settings = self.policy.settings
        out = {
            53,
            123,
            *settings.rtsp_ports,
            *settings.rtsp_certain,
            *settings.dns_elsewhere,
            *settings.push_ports,
        }
        out.update(settings.remote_access_ports)
        for ports in self.policy.camera_rtsp.values():
            out.update(ports)
        for rule in self.policy.rules:
            for text in (*rule.ports, *rule.from_ports):
                low, dash, high = text.partition("-")
                if text != "*":
                    out.update(range(int(low), min(int(high if dash else low), int(low) + 512) + 1))
        return out


_GENERIC: Final = SCOPES  # codes of addresses that have only a scope


def _v4(address: str) -> int:
    a, b, c, d = address.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


class _Columns:
    """The facts of rows as columns, and the class key of each."""

    def __init__(
        self,
        owner: RowJudge,
        rows: AnyRows,
        now_ns: int,
        meter: int,
        interfaces: Sequence[str],
        own: Bool,
        final: bool,
    ) -> None:
        self.owner = owner
        self.rows = rows
        self.own = own
        self.special = owner.special()
        self.meter = meter
        self.protocol = np.ascontiguousarray(rows["protocol"])
        self.version = np.ascontiguousarray(rows["version"])
        self.sport = np.ascontiguousarray(rows["sport"])
        self.dport = np.ascontiguousarray(rows["dport"])
        # nothing is sent from port 0 to port 0: these are later fragments, or damaged packets
        self.portless = (self.sport == 0) & (self.dport == 0)
        self.portless &= (self.protocol == TCP) | (self.protocol == UDP)
        self.app = np.ascontiguousarray(rows["app"])
        self.first_ns = np.ascontiguousarray(rows["first_ns"])
        self.client4, self.client_code = self._codes(rows["src"])
        self.server4, self.server_code = self._codes(rows["dst"])
        self._ends(interfaces)
        self._progress(now_ns, final)
        self._names()
        self._sessions()
        self.key = self._key()

    # ---- addresses

    def _codes(self, raw: U8) -> tuple[U32, I32]:
        v4 = np.ascontiguousarray(raw[:, :4]).view(">u4").reshape(-1).astype(np.uint32)
        code = scopes_v4(v4).astype(np.int32)
        local = in_networks_v4(v4, self.owner.view.facts.local)
        code[local & ((code == 0) | (code == 2))] = 1  # the site's own networks are not internet
        special = self.special
        if len(special.v4):
            at = np.minimum(np.searchsorted(special.v4, v4), len(special.v4) - 1)
            hit = special.v4[at] == v4
            code[hit] = special.v4_code[at[hit]]
        six = np.flatnonzero(self.version == 6)
        if len(six):
            self._codes_v6(raw, six, code)
        return v4, code

    def _codes_v6(self, raw: U8, six: I64, code: I32) -> None:
        """Codes of IPv6 addresses; each distinct address is looked up once."""
        block = np.ascontiguousarray(raw[six])
        unique, inverse = np.unique(block.view("V16").reshape(-1), return_inverse=True)
        found = np.zeros(len(unique), np.int32)
        for i, value in enumerate(unique):
            text = address_text(6, value.tobytes())
            known = self.special.code.get(text)
            found[i] = self._generic_of(text) if known is None else known
        code[six] = found[inverse.reshape(-1)]

    def _generic_of(self, address: str) -> int:
        bits = self.owner.view.who(address)
        for code, bit in enumerate(
            (
                Who.INTERNET,
                Who.LOCAL,
                Who.LINK_LOCAL,
                Who.LOOPBACK,
                Who.MULTICAST,
                Who.BROADCAST,
                Who.UNSPECIFIED,
            )
        ):
            if bits & bit:
                return code
        return 0

    # ---- the appliance's end and port

    def _ends(self, interfaces: Sequence[str]) -> None:
        rows, facts, ports = self.rows, self.owner.view.facts, self.owner.ports
        n = len(rows)
        self.port = np.full(n, -1, np.int8)
        self.client_mac = np.zeros(n, np.bool_)
        self.server_mac = np.zeros(n, np.bool_)
        for mac, name in facts.appliance_macs.items():
            value = np.uint64(mac)
            client = (rows["mac_out_src"] == value) | (rows["mac_in_dst"] == value)
            server = (rows["mac_out_dst"] == value) | (rows["mac_in_src"] == value)
            self.client_mac |= client
            self.server_mac |= server
            self.port[server] = ports.index(name)
            self.port[client] = ports.index(name)
        appliance: dict[int, int] = {}
        for address, name in facts.appliance_addresses.items():
            appliance[self.special.code[address]] = ports.index(name)
        self.client_ours = self._is_one_of(self.client_code, appliance)
        self.server_ours = self._is_one_of(self.server_code, appliance)
        unknown = self.port < 0
        for code, index in appliance.items():
            self.port[unknown & (self.server_code == code)] = index
            self.port[unknown & (self.client_code == code)] = index
        self._by_interface(interfaces)
        fixed = np.zeros(len(ports) + 1, np.bool_)
        for name in facts.fixed_ports:
            fixed[ports.index(name)] = True
        four = (self.version == 4) & fixed[self.port]
        self.foreign = four & (
            (self.client_mac & ~self.client_ours & (self.client_code != 6))
            | (
                self.server_mac
                & ~self.server_ours
                & (rows["packets_in"] > 0)
                & (self.server_code < 3)
            )
        )

    @staticmethod
    def _is_one_of(codes: I32, known: dict[int, int]) -> Bool:
        out = np.zeros(len(codes), np.bool_)
        for code in known:
            out |= codes == code
        return out

    def _by_interface(self, interfaces: Sequence[str]) -> None:
        """The capture interface determines the port if neither MAC nor address does."""
        mapping = self.owner.view.facts.interfaces
        ours = self.client_ours | self.server_ours
        for index, name in enumerate(interfaces):
            port = mapping.get(name)
            if port in self.owner.ports:
                here = ours & (self.port < 0) & (self.rows["interface_out"] == index)
                self.port[here] = self.owner.ports.index(port)

    # ---- the progress of the flow

    def _progress(self, now_ns: int, final: bool) -> None:
        rows, judge = self.rows, self.owner.judge
        state = np.ascontiguousarray(rows["state"])
        age = now_ns - self.first_ns
        tcp = self.protocol == TCP
        unanswered = among(state, _STATE_UNANSWERED)
        self.settled = (age >= judge.settle_ns) | (rows["end"] != 0) | final
        self.settled |= tcp & ((state == _STATE_REFUSED) | (state == 5))
        self.settled |= tcp & unanswered & (age >= judge.unanswered_ns)
        self.mid = tcp & (rows["syn_ns"] == 0) & (rows["synack_ns"] == 0)
        self.answered = rows["packets_in"] > 0
        self.refused = tcp & (state == _STATE_REFUSED)
        start = self.owner.start_ns or 0
        early = self.first_ns - start < judge.settle_ns
        self.spoke = (rows["packets_out"] > 0) | early
        self.opened = np.ascontiguousarray(rows["client_by"])
        by_first = self.opened == CLIENT_BY.index("first")
        self.begun_before = (self.protocol == UDP) & by_first & early & (self.dport >= 1024)

    # ---- names and sessions

    def _names(self) -> None:
        evidence = self.owner.names.flow_evidence(self.meter, self.rows["id"].tolist())
        self.evidence = evidence
        codes: dict[Any, int] = {None: 0}
        self.name_code = np.fromiter(
            (codes.setdefault(e, len(codes)) for e in evidence), np.int32, len(evidence)
        )

    def _sessions(self) -> None:
        self.session: dict[int, MediaSession] = {}
        self.session_code = np.zeros(len(self.rows), np.int32)
        view = self.owner.view
        ports = view.media_ports()
        if not ports:
            return
        table = np.fromiter(ports, np.uint16, len(ports))
        maybe = (self.protocol == UDP) & (among(self.sport, table) | among(self.dport, table))
        codes: dict[MediaSession, int] = {}
        for index in np.flatnonzero(maybe).tolist():
            client, server = self._addresses(index)
            found = view.media_session(
                client, int(self.sport[index]), server, int(self.dport[index])
            )
            if found is not None:
                self.session[index] = found
                self.session_code[index] = codes.setdefault(found, len(codes) + 1)

    # ---- the class key

    def _key(self) -> U64:
        ports = self.special.ports
        icmp = (self.protocol == 1) | (self.protocol == 58)
        tcp_syn = (self.protocol == TCP) & (self.opened == 2)
        dport = np.where(_listed(self.dport, ports), self.dport, 0)
        sport = np.where(_listed(self.sport, ports) & ~tcp_syn, self.sport, 0)
        dport = np.where(icmp, 0, dport)
        sport = np.where(icmp, self.sport, sport)
        named = self.special.named[self.server_code]
        bucket = np.where(named, self.first_ns // _BUCKET_NS, 0)
        flags = np.zeros(len(self.rows), np.uint64)
        for bit in (
            self.settled,
            self.mid,
            self.begun_before,
            self.answered,
            self.spoke,
            self.own,
            self.foreign,
            self.portless,
            self.client_mac,
            self.server_mac,
        ):
            flags = (flags << np.uint64(1)) | bit
        listens = self._listen_bits()
        key = np.zeros(len(self.rows), np.uint64)
        for column in (
            self.client_code,
            self.server_code,
            self.protocol,
            sport,
            dport,
            self.app,
            self.opened,
            self.port,
            self.name_code,
            self.session_code,
            bucket,
            self._range_code(),
            listens,
            flags,
        ):
            key = mix(key, column.astype(np.int64).view(np.uint64))
        return key

    def _range_code(self) -> I32:
        """The published range of each nameless server on the internet, 0 none."""
        out = np.zeros(len(self.rows), np.int32)
        special = self.special
        bare = np.flatnonzero((self.server_code == 0) & (self.version == 4))
        if len(bare) and len(special.range_first):
            server = self.server4[bare]
            at = np.searchsorted(special.range_first, server, side="right") - 1
            inside = (at >= 0) & (server <= special.range_last[np.maximum(at, 0)])
            out[bare[inside]] = special.range_label[at[inside]]
        return out

    def _listen_bits(self) -> I64:
        """Which listens' networks contain the client (an unnamed client also counts by these)."""
        out = np.zeros(len(self.rows), np.int64)
        for rule in self.owner.policy.rules:
            networks = listen_networks(rule) if rule.kind == "listen" else ()
            if networks:
                inside = in_networks_v4(self.client4, networks) & (self.version == 4)
                out = out * 2 + inside
        return out

    # ---- one class

    def _addresses(self, index: int) -> tuple[str, str]:
        version = int(self.version[index])
        return address_text(version, self.rows["src"][index].tobytes()), address_text(
            version, self.rows["dst"][index].tobytes()
        )

    def facts(self, index: int, *, every_name: bool = False) -> FlowFacts:
        """The facts of a row; the verdict of its whole class depends only on them."""
        view, names = self.owner.view, self.owner.names
        client, server = self._addresses(index)
        protocol = int(self.protocol[index])
        client_who, server_who = view.who(client), view.who(server)
        if self.client_mac[index]:
            client_who = (client_who & ~Who.INTERNET) | Who.APPLIANCE | Who.LOCAL
        if self.server_mac[index] and not server_who & (Who.MULTICAST | Who.BROADCAST):
            server_who = (server_who & ~Who.INTERNET) | Who.APPLIANCE | Who.LOCAL
        evidence = self.evidence[index]
        own_names, hello, not_tls, tunnel = evidence or ((), False, False, 0)
        found: list[HostName] = list(own_names)
        named = bool(self.special.named[self.server_code[index]])
        if every_name or named or self.server_code[index] == 0:
            first = int(self.first_ns[index])
            also = view.facts.askers(client)
            # no client looks up a resolver by name: names that lead to its address are answers of a
            # filter
            dns = int(self.dport[index]) == DNS_PORT
            given = () if dns else names.answers_for(client, server, first, also)
            found.extend(HostName(n, "dns") for n in given)
            found.extend(names.address_names(server))
        session = self.session.get(index)
        port = int(self.port[index])
        return FlowFacts(
            client=client,
            server=server,
            transport=_PROTOCOLS.get(protocol, str(protocol)),
            sport=int(self.sport[index]),
            dport=int(self.dport[index]),
            client_who=client_who,
            server_who=server_who,
            app=APPS[int(self.app[index])],
            names=tuple(found),
            port=self.owner.ports[port] if port >= 0 else None,
            foreign_address=bool(self.foreign[index]),
            session=self.owner.session_facts(session) if session is not None else None,
            hello=hello,
            not_tls=not_tls,
            tunnel=tunnel,
            opened=CLIENT_BY[int(self.opened[index])],
            mid_stream=bool(self.mid[index]),
            begun_before=bool(self.begun_before[index]),
            client_spoke=bool(self.spoke[index]),
            answered=bool(self.answered[index]),
            refused=bool(self.refused[index]),
            settled=bool(self.settled[index]),
            own=bool(self.own[index]),
            cut=view.cut_short,
            portless=bool(self.portless[index]),
            nobody=view.nobody,
            one_way=view.one_way or (port >= 0 and self.owner.ports[port] in view.one_way_ports),
        )


def _listed(ports: NDArray[np.uint16], table: NDArray[np.uint16]) -> Bool:
    at = np.minimum(np.searchsorted(table, ports), len(table) - 1)
    out: Bool = table[at] == ports
    return out


def mix(key: U64, column: U64) -> U64:
    """One round of a 64-bit mix (splitmix64's finaliser) of a column into the key."""
    value = (key ^ column) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: U64 = value ^ (value >> np.uint64(31))
    return out
