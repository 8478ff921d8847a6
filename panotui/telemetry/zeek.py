"""Flows as Zeek's `conn.log`: exact field names and types, tab-separated or JSON lines.

`FlowRecord`s come in, text that Zeek's own tools read goes out. Open flows are also written on
request (`interim`), since an RTSP connection may stay open for days. `orig_ip_bytes` and
`resp_ip_bytes` are unset: Panotui counts frames on the wire, not IP lengths.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from panotui.model import FlowRecord

FIELDS: tuple[tuple[str, str], ...] = (
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
    ("ip_proto", "count"),
    ("community_id", "string"),
)
# Zeek names a service by its analyzer
SERVICES = {
    "tls": "ssl",
    "http-connect": "http",
    "rtsp-http": "http",
    "onvif": "http",
    "snapshot": "http",
    "mjpeg": "http",
    "rtsps": "ssl",
    "mdns": "dns",
}
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58, "sctp": 132, "igmp": 2, "gre": 47}
# for ICMP Zeek uses the answer's type, if there is one, as the responder's port
_ICMP_ANSWERS = {8: 0, 0: 8, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
_ICMP6_ANSWERS = {128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135}
# Zeek's local networks if none is given (base/utils/site.zeek, private_address_space)
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("fe80::/10", "fc00::/7", "::1/128"),
    )
)
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def connection_uid(flow: FlowRecord) -> str:
    """`C` and 17 characters, the same for the same flow in every run."""
    digest = hashlib.sha256(f"{flow.community_id} {flow.first_time_ns} {flow.id}".encode()).digest()
    number = int.from_bytes(digest[:13], "big")
    letters = []
    for _ in range(17):
        number, rest = divmod(number, 62)
        letters.append(_ALPHABET[rest])
    return "C" + "".join(letters)


def _local(
    address: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
) -> bool:
    value = ipaddress.ip_address(address)
    return any(value in network for network in (*_PRIVATE, *networks))


def _server_port(flow: FlowRecord) -> int:
    port = flow.dport or 0
    if flow.transport == "icmp":
        return _ICMP_ANSWERS.get(flow.sport or 0, port)
    if flow.transport == "icmp6":
        return _ICMP6_ANSWERS.get(flow.sport or 0, port)
    return port


def conn_row(
    flow: FlowRecord,
    networks: Networks = (),
) -> dict[str, Any]:
    """One flow as conn.log fields; None is unset. `networks` are the site's local ones."""
    transport = "icmp" if flow.transport.startswith("icmp") else flow.transport
    known = transport in ("tcp", "udp", "icmp")
    # Zeek leaves interval and sizes unset if no time passed, as with a single packet
    lasted = flow.last_time_ns - flow.first_time_ns
    row: dict[str, Any] = dict.fromkeys(name for name, _ in FIELDS)
    row |= {
        "ts": flow.first_time_ns / 1e9,
        "uid": connection_uid(flow),
        "id.orig_h": flow.src,
        "id.orig_p": flow.sport or 0,
        "id.resp_h": flow.dst,
        "id.resp_p": _server_port(flow),
        "proto": transport if known else "unknown_transport",
        "service": SERVICES.get(flow.app, flow.app) if flow.app and flow.app != "other" else None,
        "duration": lasted / 1e9 if lasted else None,
        "orig_bytes": flow.payload_out if lasted else None,
        "resp_bytes": flow.payload_in if lasted else None,
        "conn_state": flow.conn_state,
        "local_orig": _local(flow.src, networks),
        "local_resp": _local(flow.dst, networks),
        "missed_bytes": flow.unseen_bytes or 0,
        "history": flow.history or None,
        "orig_pkts": flow.packets_out,
        "resp_pkts": flow.packets_in,
        "ip_proto": PROTOCOLS.get(flow.transport),
        "community_id": flow.community_id,
    }
    return row


def _cell(kind: str, value: Any) -> str:
    if value is None:
        return "(empty)" if kind == "set[string]" else "-"
    if kind in ("time", "interval"):
        return f"{value:.6f}"
    if kind == "bool":
        return "T" if value else "F"
    return str(value).replace("\t", "\\x09")


Networks: TypeAlias = "tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]"


def networks_of(local: Iterable[str]) -> Networks:
    """CIDR networks, parsed."""
    return tuple(ipaddress.ip_network(n, strict=False) for n in local)


def _moment(time_ns: int | None) -> str:
    """The time at which a log was opened or closed, in UTC, in Zeek's format."""
    at = datetime.datetime.fromtimestamp((time_ns or 0) // 1_000_000_000, datetime.UTC)
    return at.strftime("%Y-%m-%d-%H-%M-%S")


def conn_head(opened_ns: int | None) -> Iterator[str]:
    """The lines before the first flow."""
    yield "#separator \\x09"
    yield "#set_separator\t,"
    yield "#empty_field\t(empty)"
    yield "#unset_field\t-"
    yield "#path\tconn"
    yield f"#open\t{_moment(opened_ns)}"
    yield "#fields\t" + "\t".join(name for name, _ in FIELDS)
    yield "#types\t" + "\t".join(kind for _, kind in FIELDS)


def conn_line(flow: FlowRecord, networks: Networks) -> str:
    """One flow."""
    row = conn_row(flow, networks)
    return "\t".join(_cell(kind, row[name]) for name, kind in FIELDS)


def conn_close(closed_ns: int | None) -> str:
    """The line after the last flow."""
    return f"#close\t{_moment(closed_ns)}"


def conn_log(
    flows: Iterable[FlowRecord],
    local: Iterable[str] = (),
    span_ns: tuple[int | None, int | None] = (None, None),
) -> Iterator[str]:
    """All lines of a tab-separated conn.log; `local` are CIDR networks, `span_ns` the times of the
    first and last packet.
    """
    networks = networks_of(local)
    yield from conn_head(span_ns[0])
    for flow in flows:
        yield conn_line(flow, networks)
    yield conn_close(span_ns[1])


def conn_json(flows: Iterable[FlowRecord], local: Iterable[str] = ()) -> Iterator[str]:
    """The same as JSON lines, as Zeek's LogAscii::use_json writes them: unset fields left out.

    A flow that has not ended carries `interim: true`, which Zeek does not have.
    """
    networks = networks_of(local)
    for flow in flows:
        row = {k: v for k, v in conn_row(flow, networks).items() if v is not None}
        if not flow.end:
            row["interim"] = True
        yield msgspec.json.encode(row).decode()
