"""Merges flows of a listing into one row: queries to one resolver, a scan by one source.

Both kinds are many flows with one meaning. Columns in, one number per flow out; records of a
recording are merged by the same two rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from panotui.model import I64, FlowRecord
from panotui.model.flow_rows import FlowColumns
from panotui.model.page import Fold

DNS_LEAST = 2  # least queries to one resolver that become one row
SCAN_LEAST = 10  # unanswered connections of one source
_TCP, _UDP, _DOMAIN = 6, 17, 53


def groups(rows: FlowColumns) -> I64:
    """(n,) int64: flows with the same number are one row, -1 is a row of its own."""
    out = np.full(len(rows), -1, np.int64)
    questions = (rows["protocol"] == _UDP) & (rows["dport"] == _DOMAIN)
    unanswered = (
        (rows["protocol"] == _TCP)
        & (rows["packets_in"] == 0)
        & (rows["syn_out"] > 0)
        & (rows["payload_out"] == 0)
    )
    offset = 0
    for chosen, end, least in ((questions, "dst", DNS_LEAST), (unanswered, "src", SCAN_LEAST)):
        at = np.flatnonzero(chosen)
        if len(at) < least:
            continue
        raw = np.ascontiguousarray(rows.column(end)[at]).view("S16").ravel()
        order = np.argsort(raw, kind="stable")
        new = np.concatenate(([True], raw[order][1:] != raw[order][:-1]))
        which = np.empty(len(at), np.int64)
        which[order] = np.cumsum(new) - 1
        counts = np.bincount(which)
        many = counts[which] >= least
        out[at[many]] = which[many] + offset
        offset += len(counts)
    return out


def firsts(numbers: I64) -> tuple[I64, dict[int, I64]]:
    """Positions of shown rows, in order, and for the first of each group all its members."""
    keep = numbers < 0
    members: dict[int, I64] = {}
    inside = np.flatnonzero(~keep)
    if len(inside):
        order = inside[np.argsort(numbers[inside], kind="stable")]
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        for part in np.split(order, cuts):
            members[int(part[0])] = part
            keep[part[0]] = True
    return np.flatnonzero(keep), members


def group_of(flow: FlowRecord) -> tuple[str, str] | None:
    """(kind, address) of the row that a flow may join; the same rules as `groups`."""
    if flow.transport == "udp" and flow.dport == _DOMAIN:
        return "dns", flow.dst
    if flow.transport == "tcp" and not flow.packets_in and flow.syn and not flow.payload_out:
        return "scan", flow.src
    return None


def fold_records(flows: Sequence[FlowRecord]) -> tuple[list[FlowRecord], dict[str, Fold]]:
    """The flows in their order, each group as its first one with the sums of all."""
    by_group: dict[tuple[str, str], list[FlowRecord]] = {}
    for flow in flows:
        if (group := group_of(flow)) is not None:
            by_group.setdefault(group, []).append(flow)
    folded = {
        group: members
        for group, members in by_group.items()
        if len(members) >= (DNS_LEAST if group[0] == "dns" else SCAN_LEAST)
    }
    shown: list[FlowRecord] = []
    folds: dict[str, Fold] = {}
    for flow in flows:
        members = folded.get(group_of(flow) or ("", ""))
        if members is None:
            shown.append(flow)
        elif members[0] is flow:
            row, fold = summed(flow, members)
            shown.append(row)
            folds[row.id] = fold
    return shown, folds


def summed(first: FlowRecord, members: Sequence[FlowRecord]) -> tuple[FlowRecord, Fold]:
    """One row for all of `members`, under the id of the first."""
    row = msgspec.structs.replace(
        first,
        packets_out=sum(f.packets_out for f in members),
        packets_in=sum(f.packets_in for f in members),
        bytes_out=sum(f.bytes_out for f in members),
        bytes_in=sum(f.bytes_in for f in members),
        rate_out_bps=sum(f.rate_out_bps or 0.0 for f in members),
        rate_in_bps=sum(f.rate_in_bps or 0.0 for f in members),
        first_time_ns=min(f.first_time_ns for f in members),
        last_time_ns=max(f.last_time_ns for f in members),
    )
    return row, fold_of(row, len(members))


def fold_of(row: FlowRecord, flows: int) -> Fold:
    """The description of a merged row."""
    return Fold("dns" if row.transport == "udp" else "scan", flows)
