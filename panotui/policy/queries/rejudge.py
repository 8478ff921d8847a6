"""Judges recorded flows again, under another site file.

In: a recording's last snapshot and its flow records. Out: the same records with new verdicts, the
resulting violations, and a list of differences. A record keeps the inputs of a verdict (ends,
application, the name and its source, MACs, how the client was determined). It is turned back into a
flow row and the messages behind it, and judged by the same `RowJudge` as live traffic. Facts that a
record does not keep (other names of an address, DHCP, media negotiated with other hosts than those
of the session) have no effect.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import Struct

from panotui.model import (
    APPS,
    CLIENT_BY,
    FLOW_ENDS,
    FLOW_STATES,
    REASONS,
    AnyMessage,
    ArpMessage,
    DnsAnswer,
    DnsMessage,
    FlowRecord,
    HttpMessage,
    NotTls,
    NtpMessage,
    RtspMessage,
    Site,
    Snapshot,
    StreamRecord,
    TlsClientHello,
    Verdict,
    mac_value,
)
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import HOST_SOURCES, VERDICTS, JudgedRows, RowJudge
from panotui.policy.judging.violations import ViolationBook
from panotui.site.names import NameBook
from panotui.site.view import SiteView

_PROTOCOLS = {
    "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
    "icmp6": 58, "ospf": 89, "pim": 103, "vrrp": 112, "sctp": 132, "dccp": 33,
}  # fmt: skip
_MEDIA_APPS = frozenset({"rtp", "rtcp", "srtp"})
_RTSP_APPS = frozenset({"rtsp", "rtsp-http", "rtsps"})
_KEPT_S = 1 << 30  # a recorded name was valid when the flow began


class FlowChange(msgspec.Struct, frozen=True, kw_only=True):
    """A flow on which two site files differ."""

    flow: str
    src: str
    dst: str
    transport: str
    dport: int | None
    host: str | None
    old: str  # "violation: unlisted-endpoint", "allowed by logs"
    new: str

    def line(self) -> str:
        peer = self.host or self.dst
        port = "" if self.dport is None else f"/{self.dport}"
        return f"~ {self.src} > {peer} {self.transport}{port}: {self.old} -> {self.new}"


class Rejudged(Struct, frozen=True):
    """A recording judged by another site file."""

    snapshot: Snapshot  # with the new site, violations and verdicts of streams
    flows: list[FlowRecord]
    changes: tuple[FlowChange, ...]


def rejudge(site: Site, snapshot: Snapshot, flows: Sequence[FlowRecord]) -> Rejudged:
    """Judge `flows` of a recording that ended as `snapshot` under `site`."""
    view = SiteView(_completed(site, snapshot), snapshot.site.vantage)
    view.one_way = snapshot.site.one_way
    view.nobody = any(f.id == "no-appliance" and not f.cleared_time_ns for f in snapshot.findings)
    names = NameBook(flows_max=max(1, len(flows)))
    judge = RowJudge(view, names)
    interfaces = tuple(p.interface or p.name for p in snapshot.ports)
    rows = _rows(flows, {p.name: i for i, p in enumerate(snapshot.ports)})
    for message in _messages(snapshot, flows):
        if not isinstance(message, DnsMessage) or message.server:
            view.observe(message)
        names.observe(message)
    view.settle()
    view.observe_flows(rows)
    own = np.array([f.own for f in flows], np.bool_)
    judged = judge.judge_rows(rows, snapshot.time_ns, interfaces=interfaces, own=own, final=True)
    book = ViolationBook(judge, lambda meter, flow: flows[flow - 1].id)
    book.observe(rows, judged, snapshot.time_ns, interfaces=interfaces)
    book.tick(snapshot.time_ns)
    new = _judged_records(flows, judged)
    said = msgspec.structs.replace(
        snapshot,
        site=view.site_record(),
        violations=book.records(),
        streams=_streams(judge, snapshot.streams, new),
    )
    return Rejudged(said, new, changes(flows, new))


def changes(old: Iterable[FlowRecord], new: Iterable[FlowRecord]) -> tuple[FlowChange, ...]:
    """Flows (matched by id) whose verdict, reason or, if allowed, rule differs; in time order."""
    before = {flow.id: flow for flow in old}
    found = []
    for flow in new:
        was = before.get(flow.id)
        if was is None:
            continue
        old_words, new_words = verdict_words(was), verdict_words(flow)
        if old_words != new_words:
            found.append(
                FlowChange(
                    flow=flow.id, src=flow.src, dst=flow.dst, transport=flow.transport,
                    dport=flow.dport, host=flow.host, old=old_words, new=new_words,
                )
            )  # fmt: skip
    return tuple(found)


def verdict_words(flow: FlowRecord) -> str:
    if flow.reason:
        return f"{flow.verdict}: {flow.reason}"
    return f"{flow.verdict} by {flow.rule}" if flow.rule else flow.verdict


def _completed(site: Site, snapshot: Snapshot) -> Site:
    """The site, completed with facts from the recording that the file does not declare."""
    identity = site.site
    known = snapshot.site
    given = {
        "topology": identity.topology or known.topology,
        "region": identity.region or known.region,
    }
    return msgspec.structs.replace(site, site=msgspec.structs.replace(identity, **given))


def _rows(flows: Sequence[FlowRecord], ports: dict[str, int]) -> FlowRows:
    """The records as rows; a row's id is its position, from 1."""
    rows = FlowRows(len(flows))
    apps = {name: i for i, name in enumerate(APPS)}
    states = {name: i for i, name in enumerate(FLOW_STATES)}
    ends = {name: i for i, name in enumerate(FLOW_ENDS)}
    known_by = {name: i for i, name in enumerate(CLIENT_BY)}
    for row, flow in zip(rows, flows, strict=True):
        row.id = row.place + 1
        source = ipaddress.ip_address(flow.src)
        row.version = source.version
        row.src = source.packed
        row.dst = ipaddress.ip_address(flow.dst).packed
        number = flow.transport.removeprefix("ip-")
        row.protocol = int(number) if number.isdigit() else _PROTOCOLS.get(number, 255)
        row.sport, row.dport = flow.sport or 0, flow.dport or 0
        row.app = apps.get(flow.app, 0)
        row.state = states.get(flow.state, 0)
        row.end = ends.get(flow.end or "", 0)
        row.client_by = known_by.get(flow.client_by or "", 0)
        row.vlan = -1 if flow.vlan is None else flow.vlan
        row.first_ns, row.last_ns = flow.first_time_ns, flow.last_time_ns
        row.first_packet, row.last_packet = flow.first_packet, flow.last_packet
        row.packets_out, row.packets_in = flow.packets_out, flow.packets_in
        row.bytes_out, row.bytes_in = flow.bytes_out, flow.bytes_in
        row.payload_out, row.payload_in = flow.payload_out, flow.payload_in
        row.interface_out = ports.get(flow.port or "", -1)
        row.interface_in = ports.get(flow.port_in or flow.port or "", -1)
        letters = flow.history or ""
        row.syn_out = flow.syn or 0
        if "S" in letters or flow.syn:
            row.syn_ns = flow.first_time_ns
        if "h" in letters:
            row.syn_in = 1
            row.synack_ns = flow.first_time_ns
        sender = 0 if flow.mac_src is None else mac_value(flow.mac_src)
        receiver = 0 if flow.mac_dst is None else mac_value(flow.mac_dst)
        if flow.packets_out:
            row.mac_out_src, row.mac_out_dst = sender, receiver
        if flow.packets_in and flow.port_in is None:
            row.mac_in_src, row.mac_in_dst = receiver, sender
    return rows


def _messages(snapshot: Snapshot, flows: Sequence[FlowRecord]) -> Iterable[AnyMessage]:
    """The messages behind the records' names, sessions and servers."""
    begin = flows[0].first_time_ns if flows else 0
    for port in snapshot.ports:
        for address in port.addresses:
            if port.mac and "." in address:
                yield ArpMessage(
                    time_ns=begin, packet=0, interface=0, op=2, eth_src=port.mac,
                    sender_mac=port.mac, sender_ip=address.partition("/")[0],
                    target_mac=port.mac, target_ip=address.partition("/")[0],
                )  # fmt: skip
    sessions = {(f.src, f.dst): f for f in flows if f.app in _RTSP_APPS}
    resolvers = {f.src: f.dst for f in flows if f.app == "dns" and f.packets_in}
    for number, flow in enumerate(flows, 1):
        yield from _names_of(number, flow, resolvers.get(flow.src, ""))
        if flow.app in _MEDIA_APPS and flow.transport == "udp":
            yield from _session_of(number, flow, sessions)
        if flow.app == "dns" and flow.packets_in:
            yield _dns(flow, flow.dst, "")
        if flow.app == "ntp" and flow.packets_in and flow.dport == 123:
            yield NtpMessage(
                time_ns=flow.first_time_ns, packet=0, interface=0, src=flow.dst, dst=flow.src,
                sport=123, dport=flow.sport or 0, mode=4, leap=0, version=4, stratum=2, poll=6,
                reference_id="", origin=0, receive=0, transmit=0, transmit_ns=None, receive_ns=None,
            )  # fmt: skip


def _names_of(number: int, flow: FlowRecord, resolver: str) -> Iterable[AnyMessage]:
    at: dict[str, Any] = {
        "time_ns": flow.first_time_ns,
        "packet": 0,
        "interface": 0,
        "flow": number,
    }
    if flow.reason == "cleartext":
        yield NotTls(looks_like=flow.app or "other", **at)
    if not flow.host:
        return
    if flow.app == "http-connect":  # through a proxy; to which port of the far end is not kept
        yield HttpMessage(from_client=True, method="CONNECT", path=flow.host, **at)
    if flow.host_source == "sni":
        yield TlsClientHello(sni=flow.host, alpn=(flow.alpn,) if flow.alpn else (), **at)
    elif flow.host_source == "http":
        yield HttpMessage(from_client=True, host=flow.host, **at)
    elif flow.host_source == "dns":
        yield _dns(flow, resolver, flow.host)


def _dns(flow: FlowRecord, server: str, name: str) -> DnsMessage:
    """An answer that named the flow's server, or only the fact that `server` answers."""
    kind = "AAAA" if ":" in flow.dst else "A"
    answers = (DnsAnswer(name, kind, _KEPT_S, flow.dst),) if name else ()
    return DnsMessage(
        time_ns=flow.first_time_ns, packet=0, interface=0, transport="udp", client=flow.src,
        server=server, client_port=0, id=0, response=True, rcode="NOERROR" if name else "NXDOMAIN",
        name=name, type=kind, answers=answers,
    )  # fmt: skip


def _session_of(
    number: int, flow: FlowRecord, sessions: dict[tuple[str, str], FlowRecord]
) -> Iterable[AnyMessage]:
    """The SETUP behind media between the ends of an RTSP flow."""
    for client, server, near, far in (
        (flow.src, flow.dst, flow.sport, flow.dport),
        (flow.dst, flow.src, flow.dport, flow.sport),
    ):
        rtsp = sessions.get((client, server))
        if rtsp is not None:
            yield RtspMessage(
                time_ns=flow.first_time_ns, packet=0, interface=0, session=number,
                from_client=False, client=client, server=server, server_port=rtsp.dport or 554,
                method="SETUP", url=None, cseq=None, status=200,
                transport=f"RTP/AVP;unicast;client_port={near};server_port={far}",
            )  # fmt: skip
            return


def _judged_records(flows: Sequence[FlowRecord], judged: JudgedRows) -> list[FlowRecord]:
    out = []
    for index, flow in enumerate(flows):
        rule, reason = int(judged.rule[index]), int(judged.reason[index])
        verdict = cast("Verdict", VERDICTS[int(judged.verdict[index])])
        port = int(judged.port[index])
        host = judged.hosts[int(judged.host[index])]
        out.append(
            msgspec.structs.replace(
                flow,
                verdict=verdict,
                rule=judged.rules[rule] if rule >= 0 else None,
                reason=REASONS[reason - 1] if reason else None,
                host=host or flow.host,
                host_source=HOST_SOURCES[int(judged.host_source[index])] or flow.host_source,
                port=judged.ports[port] if port >= 0 else flow.port,
            )
        )
    return out


def _streams(
    judge: RowJudge, streams: Iterable[StreamRecord], flows: Iterable[FlowRecord]
) -> tuple[StreamRecord, ...]:
    """Streams with the verdict of the flow that carries them, or else of their session."""
    carriers = {flow.id: (flow.verdict, flow.rule) for flow in flows}
    out = []
    for stream in streams:
        verdict, rule = carriers.get(stream.flow or "", ("pending", None))
        if verdict == "pending":
            said = judge.stream_judgement(
                stream.src, stream.sport, stream.dst, stream.dport, stream.transport
            )
            verdict, rule = said.verdict, said.rule
        out.append(msgspec.structs.replace(stream, verdict=verdict, rule=rule))
    return tuple(out)
