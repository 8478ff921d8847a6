"""Flows for display: rows of the flow table as values of `FlowRecord`'s fields.

A block of flow rows and of the columns beside them comes in; each field of `FlowRecord` goes out as
a list, one value a flow. Everything is computed for the whole block at once, and only on demand:
20,000 flows become records or JSON in a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panotui.model import (
    APPS,
    CLIENT_BY,
    FLOW_ENDS,
    FLOW_STATES,
    I64,
    U64,
    Bool,
    FlowRecord,
    Verdict,
    mac_text,
)
from panotui.model.flow_rows import AnyRows
from panotui.state.flows import column_text
from panotui.state.flows.community_id import community_ids
from panotui.wire.protocols import TCP, UDP

VERDICTS: tuple[Verdict, ...] = ("pending", "allowed", "infrastructure", "violation")
TRANSPORTS = {
    1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp",
    51: "ah", 58: "icmp6", 89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp",
}  # fmt: skip
METER_SHIFT = 56  # the upper byte of a key is the meter, the rest the meter's own flow id
_TRANSPORTS = np.array([TRANSPORTS.get(i) or f"ip-{i}" for i in range(256)], object)
_WITH_PORTS = np.isin(np.arange(256), (6, 17, 33, 132, 1, 58))  # ICMP: type and code
_ENDS = tuple(end or None for end in FLOW_ENDS)
# fields that are a row column with another name
_SAME = {"first_time_ns": "first_ns", "last_time_ns": "last_ns"}
_OF_TCP = {"syn": "syn_out", "resets_out": "rst_out", "resets_in": "rst_in",
           "retransmits_out": "retransmits_out", "retransmits_in": "retransmits_in"}  # fmt: skip
_BOTH_OF_TCP = {"unseen_bytes": "unseen", "resets": "rst", **{name: name for name in (
    "retransmits", "out_of_order", "dup_acks", "zero_window", "fast_retransmits", "window_full",
    "keep_alive",
)}}  # fmt: skip
_BESIDE = ("port", "host", "host_source", "alpn", "rule", "reason", "camera", "service")
_mac_text = lru_cache(4_096)(mac_text)


class FlowBlock:
    """Some flows: `rows` (n,), `key` (n,), and further columns.

    `beside` has `own`, `verdict`, `rate_out`, `rate_in`, `port_in` and the names of `_BESIDE`.
    """

    def __init__(self, rows: AnyRows, key: U64, beside: dict[str, NDArray[Any]]) -> None:
        self._rows = rows
        self._key = key
        self._beside = beside
        self._taken: dict[str, NDArray[Any]] = {}
        protocol = self._column("protocol")
        self._tcp: Bool = protocol == TCP
        self._ported: Bool = _WITH_PORTS[protocol]
        self._zero: list[int | None] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def values(self, name: str) -> list[Any]:
        """The field `name` of `FlowRecord` for each flow."""
        if name in _BESIDE:
            return list(self._beside[name])
        if name in _OF_TCP:
            return self._of_tcp(self._column(_OF_TCP[name]))
        if name in _BOTH_OF_TCP:
            return self._of_tcp(self._both(_BOTH_OF_TCP[name]))
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self)
        values: list[Any] = self.numbers(name).tolist()
        return values

    def numbers(self, name: str) -> NDArray[Any]:
        """A field that is an unchanged row column."""
        return self._column(_SAME.get(name, name))

    def records(self) -> Iterator[FlowRecord]:
        """The flows as records."""
        names = FlowRecord.__struct_fields__
        for values in zip(*(self.values(name) for name in names), strict=True):
            yield FlowRecord(**dict(zip(names, values, strict=True)))

    # ------------------------------------------------------------------ columns

    def _column(self, name: str) -> NDArray[Any]:
        column = self._taken.get(name)
        if column is None:
            column = self._taken[name] = np.ascontiguousarray(self._rows.column(name))
        return column

    def _both(self, name: str) -> NDArray[Any]:
        total: NDArray[Any] = self._column(f"{name}_out").astype(np.int64)
        total += self._column(f"{name}_in")
        return total

    def _of_tcp(self, column: NDArray[Any]) -> list[Any]:
        """A column of numbers, None where the flow is not TCP."""
        if not column.any():  # most of them on most networks
            if self._zero is None:
                self._zero = _known(np.zeros(len(self), np.int64), self._tcp)
            return self._zero
        return _known(column, self._tcp)

    def _milliseconds(self, microseconds: I64) -> list[Any]:
        """Milliseconds; None if the time is unknown (below 0) or the flow is not TCP."""
        return _known(microseconds / 1000, self._tcp & (microseconds >= 0))

    def _rtt(self) -> list[Any]:
        return self._milliseconds(round_trips(self._rows))

    def _ids(self) -> list[Any]:
        shift = np.uint64(METER_SHIFT)
        return column_text.numbered(self._key >> shift, self._key & ~(np.uint64(255) << shift))

    def _community_ids(self) -> list[Any]:
        return community_ids(
            *(self._column(n) for n in ("protocol", "src", "dst", "version", "sport", "dport"))
        )

    def _addresses(self, name: str) -> list[Any]:
        return column_text.addresses(self._column("version"), self._column(name))

    def _macs(self, side: str, other: str) -> list[Any]:
        """The MAC seen in its own direction, otherwise in the other."""
        mac = self._column(f"mac_out_{side}")
        mac = np.where(mac == 0, self._rows.column(f"mac_in_{other}"), mac)
        return [_mac_text(value) for value in mac.tolist()]

    def _ports_in(self) -> list[Any]:
        pairs = zip(self._beside["port"], self._beside["port_in"], strict=True)
        return [back if back != port else None for port, back in pairs]

    def _history(self) -> list[Any]:
        """Zeek's history letters; None for flows without.

        A datagram flow has only D and d. A leading `^` means that the server's packet came first,
        as Zeek writes it for a reversed connection.
        """
        rows = self._rows
        out, back = rows["packets_out"] > 0, rows["packets_in"] > 0
        asked, answered = rows["first_payload_ns"], rows["first_answer_ns"]
        turned = back & (~out | ((answered > 0) & (answered < asked)))
        datagrams = np.array([b"D", b"Dd", b"^d", b"^dD"])[2 * turned + np.where(turned, out, back)]
        letters = self._column("history")
        first = letters.view(np.uint8).reshape(len(letters), -1)[:, 0]
        lower = (first >= 97) & (first <= 122)
        letters = np.where(lower, np.char.add(b"^", letters), letters) if lower.any() else letters
        whole = np.where(self._column("protocol") == UDP, datagrams, letters)
        return [text.decode("ascii", "replace") or None for text in whole.tolist()]

    def _conn_states(self) -> list[Any]:
        """Zeek's `conn_state` of flow rows, from the states of the two ends
        (scripts/base/protocols/conn/main.zeek, `conn_state`); ICMP is always OTH there.
        """
        rows, protocol = self._rows, self._column("protocol")
        out, back = rows["packets_out"] > 0, rows["packets_in"] > 0
        syn, synack = rows["syn_out"] > 0, rows["syn_in"] > 0
        fin_out, fin_in = rows["fin_out"] > 0, rows["fin_in"] > 0
        rst_out, rst_in = rows["rst_out"] > 0, rows["rst_in"] > 0
        rules: tuple[tuple[str, Bool], ...] = (
            ("SHR", (protocol == UDP) & ~out),
            ("SF", (protocol == UDP) & back),
            ("S0", protocol == UDP),
            ("OTH", ~self._tcp),
            ("REJ", rst_in & syn & ~synack),
            ("RSTR", rst_in & (syn | fin_out)),
            ("RSTRH", rst_in),
            ("RSTO", rst_out & (synack | fin_in)),
            ("RSTOS0", rst_out),
            ("SF", fin_out & fin_in),
            ("S2", fin_out & synack),
            ("SH", fin_out),
            ("S3", fin_in & syn),
            ("SHR", fin_in),
            ("S1", syn & synack),
            ("S0", syn),
        )
        names = np.array([*(name for name, _ in rules), "OTH"], object)
        code = np.select([fits for _, fits in rules], list(range(len(rules))), len(rules))
        return list(names[code])


def round_trips(rows: AnyRows) -> I64:
    """(n,) the displayed round trip of a flow, in microseconds, -1 unknown: the handshake's,
    otherwise the server's half of it, otherwise the least of its data.
    """
    best: I64 = rows["handshake_rtt_us"].astype(np.int64)
    for name in ("server_rtt_us", "rtt_us"):
        best = np.where(best < 0, rows[name], best)
    return best


def _known(column: NDArray[Any], known: Bool) -> list[Any]:
    """Numbers, None if unknown."""
    if known.all():
        values: list[Any] = column.tolist()
        return values
    out = np.full(len(column), None, object)
    out[known] = column[known]
    return list(out)


def _named(names: tuple[Any, ...], column: str) -> Callable[[FlowBlock], list[Any]]:
    pool = np.array(names, object)
    return lambda block: list(pool[block.numbers(column)])


_SPECIAL: dict[str, Callable[[FlowBlock], list[Any]]] = {
    "id": FlowBlock._ids,
    "community_id": FlowBlock._community_ids,
    "transport": lambda b: list(_TRANSPORTS[b._column("protocol")]),
    "src": lambda b: b._addresses("src"),
    "dst": lambda b: b._addresses("dst"),
    "sport": lambda b: _known(b._column("sport"), b._ported),
    "dport": lambda b: _known(b._column("dport"), b._ported),
    "vlan": lambda b: _known(b._column("vlan"), b._column("vlan") >= 0),
    "app": _named(APPS, "app"),
    "state": _named(FLOW_STATES, "state"),
    "end": _named(_ENDS, "end"),
    "client_by": _named(CLIENT_BY, "client_by"),
    "verdict": lambda b: list(np.array(VERDICTS, object)[b._beside["verdict"]]),
    "own": lambda b: list(b._beside["own"].tolist()),
    "port_in": FlowBlock._ports_in,
    "rate_out_bps": lambda b: list(b._beside["rate_out"].tolist()),
    "rate_in_bps": lambda b: list(b._beside["rate_in"].tolist()),
    "rtt_ms": FlowBlock._rtt,
    "handshake_ms": lambda b: b._milliseconds(b._column("handshake_rtt_us")),
    "history": FlowBlock._history,
    "conn_state": FlowBlock._conn_states,
    "mac_src": lambda b: b._macs("src", "dst"),
    "mac_dst": lambda b: b._macs("dst", "src"),
}
