"""The names of flows and addresses: messages in, names with their sources out.

Names of a flow itself (TLS SNI, HTTP Host, QUIC SNI) are strongest, then DNS answers that its
client got for the address, then the site file, mDNS, and published address ranges, which are only a
hint. Nothing is overwritten: an address keeps several names, and a flow keeps every name that it
carried, so that contradictions stay visible. All tables are bounded; evictions are counted.
"""

from __future__ import annotations

import ipaddress
import tomllib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from panotui.model import (
    SECOND,
    AnyMessage,
    BannerMessage,
    DnsMessage,
    HttpMessage,
    NotTls,
    TlsClientHello,
)
from panotui.site.hosts import canonical_host, is_address

# strongest first
SOURCES: tuple[str, ...] = ("sni", "http", "dns", "site", "mdns", "range")
GRACE_NS = 3600 * SECOND  # clients go on using an address after its TTL
NAMES_AN_ADDRESS = 8
CHAIN_MAX = 16
TUNNEL = 65_536  # a proxy's far end of unknown port: no port has this number


class HostName(Struct, frozen=True):
    """A name and its source."""

    name: str  # canonical where it can be, else as it was printed
    source: str  # one of SOURCES
    ech: bool = False  # the outer name of an Encrypted ClientHello: the real one is hidden


class _Answer(Struct):
    seen_ns: int
    expires_ns: int


class _FlowNames(Struct):
    names: tuple[HostName, ...] = ()
    hello: bool = False  # the ClientHello was seen, with or without a name
    not_tls: bool = False  # its first bytes are not TLS
    tunnel: int = 0  # port of the far end, if the server is a proxy on the way there; see `TUNNEL`


FlowEvidence = tuple[tuple[HostName, ...], bool, bool, int]


class NameBook:
    """Learns names from messages; returns the names of a flow or an address."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (DnsMessage, TlsClientHello, HttpMessage, NotTls, BannerMessage)
    )

    def __init__(
        self,
        site_names: Mapping[str, str] | None = None,
        *,
        flows_max: int = 65_536,
        addresses_max: int = 16_384,
    ) -> None:
        self._site = dict(site_names or {})
        self._flows: OrderedDict[tuple[int, int], _FlowNames] = OrderedDict()
        self._by_meter: dict[int, dict[int, _FlowNames]] = {}  # the same, for many at once
        self._answers: OrderedDict[tuple[str, str], OrderedDict[str, _Answer]] = OrderedDict()
        self._clients: dict[str, set[str]] = {}  # address -> clients that got it
        self._mdns: OrderedDict[str, str] = OrderedDict()
        self._given: OrderedDict[tuple[str, str], int] = OrderedDict()  # (client, name) -> when
        self._range_starts: list[int] = []
        self._ranges: list[tuple[int, int, str]] = []  # first, last, label; apart, in order
        self._flows_max = flows_max
        self._addresses_max = addresses_max
        self._changed_flows: set[tuple[int, int]] = set()
        self._changed_addresses: set[str] = set()
        self.evicted = 0
        self.version = 0  # rises with every new name
        self.addresses_version = 0  # rises when the set of named addresses changes

    # -------------------------------------------------------------- learning

    def observe(self, message: AnyMessage, meter: int = 0) -> bool:
        """Learn from a message of the meter with that index; True if a name was new."""
        before = self.version
        if isinstance(message, DnsMessage):
            self._observe_dns(message)
        elif isinstance(message, TlsClientHello):
            self._observe_hello(message, meter)
        elif isinstance(message, HttpMessage) and message.from_client:
            host = message.host
            if message.method == "CONNECT":
                host = message.path or host or ""
                self._tunnels(meter, message.flow, _port_of(host))
            if host:
                self._add_flow_name(meter, message.flow, _http_host(host), "http")
        elif isinstance(message, BannerMessage):
            if message.app == "socks":
                self._tunnels(meter, message.flow, TUNNEL)
        elif isinstance(message, NotTls) and message.flow >= 0:
            entry = self._flow(meter, message.flow)
            if not entry.not_tls:
                entry.not_tls = True
                self._flow_changed(meter, message.flow)
        return self.version != before

    def set_ranges(self, ranges: Iterable[tuple[str, str]]) -> None:
        """Set the published IPv4 ranges as (CIDR, label), the last resort. The narrowest wins."""
        self._ranges = _segments(
            (int(n.network_address), int(n.broadcast_address), label)
            for n, label in ((ipaddress.IPv4Network(text), label) for text, label in ranges)
        )
        self._range_starts = [first for first, _, _ in self._ranges]
        self.version += 1
        self.addresses_version += 1

    def range_segments(self) -> list[tuple[int, int, str]]:
        """The ranges as (first address, last address, label), disjoint and sorted."""
        return self._ranges

    def set_site_names(self, names: Mapping[str, str]) -> None:
        """Replace the names of addresses from the site file."""
        if dict(names) != self._site:
            self._site = dict(names)
            self.version += 1
            self.addresses_version += 1

    def drain_changes(self) -> tuple[set[tuple[int, int]], set[str]]:
        """Flows (meter, id) and server addresses with new names since the last call."""
        changed = (self._changed_flows, self._changed_addresses)
        self._changed_flows, self._changed_addresses = set(), set()
        return changed

    def _observe_hello(self, message: TlsClientHello, meter: int) -> None:
        if message.flow < 0:
            return
        entry = self._flow(meter, message.flow)
        if not entry.hello:
            entry.hello = True
            self._flow_changed(meter, message.flow)
        if message.sni:
            self._add_flow_name(meter, message.flow, message.sni, "sni", ech=message.ech_outer)

    def _tunnels(self, meter: int, flow: int, port: int) -> None:
        """The server of a flow is a proxy: names lead to its far end."""
        if flow >= 0 and self._flow(meter, flow).tunnel != port:
            self._flow(meter, flow).tunnel = port
            self._flow_changed(meter, flow)

    def _flow(self, meter: int, flow: int) -> _FlowNames:
        key = (meter, flow)
        entry = self._flows.get(key)
        if entry is None:
            entry = self._flows[key] = _FlowNames()
            self._by_meter.setdefault(meter, {})[flow] = entry
            if len(self._flows) > self._flows_max:
                (old_meter, old_flow), _ = self._flows.popitem(last=False)
                self._by_meter[old_meter].pop(old_flow, None)
                self.evicted += 1
        else:
            self._flows.move_to_end(key)
        return entry

    def forget(self, flows: Iterable[tuple[int, int]]) -> None:
        """Drop what is known of flows (meter, id) that are no longer kept."""
        for meter, flow in flows:
            if self._flows.pop((meter, flow), None) is not None:
                self._by_meter[meter].pop(flow, None)

    def _flow_changed(self, meter: int, flow: int) -> None:
        self.version += 1
        if len(self._changed_flows) < self._flows_max:
            self._changed_flows.add((meter, flow))

    def _add_flow_name(
        self, meter: int, flow: int, text: str, source: str, *, ech: bool = False
    ) -> None:
        if flow < 0 or not text:
            return
        entry = self._flow(meter, flow)
        new = HostName(canonical_host(text) or text, source, ech)
        if new in entry.names or len(entry.names) >= NAMES_AN_ADDRESS:
            return
        # the first name of a source stays first: a second Host header must not replace it
        names = [*entry.names, new]
        entry.names = tuple(sorted(names, key=lambda n: SOURCES.index(n.source)))
        self._flow_changed(meter, flow)

    def _observe_dns(self, message: DnsMessage) -> None:
        if not message.response or message.rcode != "NOERROR":
            return
        if message.transport in ("mdns", "llmnr"):
            self._observe_mdns(message)
            return
        name = canonical_host(message.name)
        if name is None:
            return
        for address, ttl in _addresses_of(message, name):
            self._add_answer(message.client, address, name, message.time_ns, ttl)

    def _observe_mdns(self, message: DnsMessage) -> None:
        for answer in message.answers:
            if answer.type in ("A", "AAAA") and answer.name.endswith(".local"):
                address = canonical_host(answer.data)
                if address and self._mdns.get(address) != answer.name:
                    self._mdns[address] = answer.name
                    self.version += 1
                    self.addresses_version += 1
                    if len(self._mdns) > self._addresses_max:
                        self._mdns.popitem(last=False)
                        self.evicted += 1

    def _add_answer(self, client: str, address: str, name: str, now_ns: int, ttl: int) -> None:
        key = (client, address)
        names = self._answers.get(key)
        if names is None:
            names = self._answers[key] = OrderedDict()
            if address not in self._clients:
                self.addresses_version += 1
            self._clients.setdefault(address, set()).add(client)
            if len(self._answers) > self._addresses_max:
                self._evict_answer()
        else:
            self._answers.move_to_end(key)
        expires = now_ns + max(0, min(ttl, 7 * 86_400)) * SECOND + GRACE_NS
        known = names.get(name)
        if known is None:
            names[name] = _Answer(now_ns, expires)
            self.version += 1
            if len(self._changed_addresses) < self._addresses_max:
                self._changed_addresses.add(address)
            if len(names) > NAMES_AN_ADDRESS:
                names.popitem(last=False)
                self.evicted += 1
        else:
            known.expires_ns = max(known.expires_ns, expires)
            names.move_to_end(name)
        self._given[(client, name)] = now_ns
        self._given.move_to_end((client, name))
        if len(self._given) > self._addresses_max:
            self._given.popitem(last=False)

    def _evict_answer(self) -> None:
        (client, address), _ = self._answers.popitem(last=False)
        clients = self._clients.get(address, set())
        clients.discard(client)
        if not clients:
            self._clients.pop(address, None)
            self.addresses_version += 1
        self.evicted += 1

    # -------------------------------------------------------------- answering

    def flow_names(self, meter: int, flow: int) -> tuple[HostName, ...]:
        """Names that the flow itself carried (SNI, HTTP Host), strongest first."""
        entry = self._flows.get((meter, flow))
        return entry.names if entry else ()

    def flow_evidence(self, meter: int, flows: list[int]) -> list[FlowEvidence | None]:
        """For each flow id of a meter: (names, hello seen, is not TLS, the far port of a proxy), or
        None without any.
        """
        table = self._by_meter.get(meter)
        if not table:
            return [None] * len(flows)
        found = map(table.get, flows)
        return [None if e is None else (e.names, e.hello, e.not_tls, e.tunnel) for e in found]

    def answers_for(
        self, client: str, address: str, first_ns: int, also: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Names whose answers gave `address` to `client`, newest first.

        `also`: forwarders (the site's resolvers) whose own queries count if the client's were not
        seen. A name counts if a flow that began at `first_ns` did so before its TTL and the grace
        hour had passed.
        """
        clients = self._clients.get(address)
        if not clients:
            return ()
        for who in (client, *also):
            if who in clients:
                names = self._answers[(who, address)]
                valid = [n for n, a in names.items() if first_ns <= a.expires_ns]
                if valid:
                    return tuple(reversed(valid))
        return ()

    def known_addresses(self) -> set[str]:
        """Every address that has a name of any kind, and every client that got answers."""
        out = set(self._clients) | set(self._site) | set(self._mdns)
        out.update(client for client, _ in self._answers)
        return out

    def was_resolved(self, client: str, name: str) -> bool:
        """True if an answer for `name` to `client` was seen at all."""
        return (client, name) in self._given

    def names(
        self,
        meter: int,
        flow: int,
        client: str,
        server: str,
        first_ns: int,
        also: Iterable[str] = (),
    ) -> tuple[HostName, ...]:
        """All names of a flow, strongest first."""
        out = list(self.flow_names(meter, flow))
        out.extend(HostName(n, "dns") for n in self.answers_for(client, server, first_ns, also))
        out.extend(self.address_names(server))
        return tuple(out)

    def address_names(self, address: str) -> tuple[HostName, ...]:
        """Names of an address without a flow: site file, mDNS, ranges."""
        out: list[HostName] = []
        if address in self._site:
            out.append(HostName(self._site[address], "site"))
        if address in self._mdns:
            out.append(HostName(self._mdns[address], "mdns"))
        label = self.range_of(address)
        if label:
            out.append(HostName(label, "range"))
        return tuple(out)

    def range_of(self, address: str) -> str | None:
        """The label of the narrowest published range that holds the address."""
        if not self._ranges:
            return None
        parts = address.split(".")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            return None
        value = int(parts[0]) << 24 | int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])
        at = bisect_right(self._range_starts, value) - 1
        if at < 0:
            return None
        _, last, label = self._ranges[at]
        return label if value <= last else None

    def conflicts(self, names: tuple[HostName, ...]) -> tuple[str, ...]:
        """Contradictions among a flow's names, in words: the strong ones against the others."""
        said: dict[str, set[str]] = {}
        for name in names:
            if name.source in ("sni", "http", "dns"):
                said.setdefault(name.source, set()).add(name.name)
        out = []
        for strong, weak in (("sni", "http"), ("sni", "dns"), ("http", "dns")):
            a, b = said.get(strong), said.get(weak)
            if a and b and not a & b:
                out.append(f"{strong} says {', '.join(sorted(a))}; {weak} {', '.join(sorted(b))}")
        return tuple(out)

    def answers(self) -> Iterable[tuple[str, str, str]]:
        """(client, name, address) of every answer that is kept, for exports and drafts."""
        for (client, address), names in self._answers.items():
            for name in names:
                yield client, name, address


@lru_cache(maxsize=1)
def aws_ranges() -> tuple[tuple[str, str], ...]:
    """The published ranges that ship with the package, in the form for `NameBook.set_ranges`."""
    text = Path(__file__).with_name("aws_ranges.toml").read_text("utf-8")
    ranges: dict[str, list[str]] = tomllib.loads(text)["ranges"]
    return tuple((net, f"AWS {region}") for region, nets in ranges.items() for net in nets)


def _segments(ranges: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Nested ranges split into disjoint pieces, each with its narrowest label."""
    out: list[tuple[int, int, str]] = []
    around: list[tuple[int, str]] = []  # (last, label) of the ranges that hold `at`
    at = 0

    def close(until: int) -> None:
        nonlocal at
        while around and around[-1][0] < until:
            last, label = around.pop()
            if at <= last:
                out.append((at, last, label))
                at = last + 1

    for first, last, label in sorted(ranges, key=lambda r: (r[0], -r[1])):
        close(first)
        if around and at < first:
            out.append((at, first - 1, around[-1][1]))
        at = first
        around.append((last, label))
    close(1 << 33)
    return out


def _http_host(text: str) -> str:
    """A Host header or a CONNECT target without its port."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].split("]", 1)[0]
    head, colon, tail = text.rpartition(":")
    if colon and tail.isdigit() and not (":" in head and is_address(text)):
        return head
    return text


def _port_of(target: str) -> int:
    """The port of a CONNECT target."""
    _, _, tail = target.rpartition(":")
    port = int(tail) if tail.isascii() and tail.isdigit() and len(tail) <= 5 else 0
    return port if 0 < port < TUNNEL else TUNNEL


def _addresses_of(message: DnsMessage, name: str) -> list[tuple[str, int]]:
    """Addresses that the answer gives for the question, through its CNAMEs, with their TTLs.

    Records that do not belong to the CNAME chain are ignored: an answer counts only for its own
    question.
    """
    chain = {name: 2**31 - 1}  # name -> smallest TTL on the way to it
    links = [answer for answer in message.answers if answer.type == "CNAME"]
    for _ in range(CHAIN_MAX):
        grown = False
        for answer in links:
            owner, target = canonical_host(answer.name), canonical_host(answer.data)
            if owner in chain and target and target not in chain:
                assert owner is not None
                chain[target] = min(chain[owner], answer.ttl)
                grown = True
        if not grown:
            break
    out = []
    for answer in message.answers:
        owner = canonical_host(answer.name)
        if answer.type in ("A", "AAAA", "HTTPS", "SVCB") and owner in chain:
            address = canonical_host(answer.data)
            if address and is_address(address):
                assert owner is not None
                out.append((address, min(chain[owner], answer.ttl)))
    return out
