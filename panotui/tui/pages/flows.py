"""The flows pane: client, server, name, rate and verdict of each flow."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import FlowRecord
from panotui.model.quantities import UNKNOWN, counted
from panotui.tui.glyphs import look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import address, count, round_trip, short_rate, short_volume, since
from panotui.tui.table import Column, Table

_PORTED = ("tcp", "udp", "sctp")  # others have no ports: ICMP, IGMP
_WORDS = {"infrastructure": "infra"}


def _mark(flow: FlowRecord, scene: Scene) -> Span:
    return scene.mark(look(flow.verdict))


def _verdict(flow: FlowRecord, scene: Scene) -> Span:
    if flow.own:
        return "own", "dim"
    return _WORDS.get(flow.verdict, flow.verdict), role(look(flow.verdict))


def _reason(flow: FlowRecord, scene: Scene, cells: int) -> str:
    """A violation's reason if there is room for all of it."""
    if flow.verdict == "violation" and flow.reason and len(flow.reason) <= cells:
        return flow.reason
    return _verdict(flow, scene)[0]


def _peers(flow: FlowRecord, scene: Scene, cells: int) -> str:
    """Client > server; the appliance itself is left out if there is no room for both."""
    to = scene.glyphs.to
    fold = scene.frame.folds.get(flow.id)
    if fold is not None:
        return (
            f"{to}{address(flow.dst, flow.dport)}" if fold.kind == "dns" else f"{flow.src} {to}many"
        )
    server = address(flow.dst, flow.dport) if flow.transport in _PORTED else flow.dst
    kind = "" if flow.transport in _PORTED else f" {flow.transport}"
    whole = f"{flow.src} {to}{server}{kind}"
    if len(whole) <= cells:
        return whole
    if flow.src in scene.own:
        return f"{to}{server}{kind}"
    if flow.dst in scene.own and flow.transport in _PORTED:
        return f"{flow.src} {to}{flow.port or ''}:{flow.dport}"
    if flow.host and flow.transport in _PORTED:  # shown beside it, instead of its address
        return f"{flow.src} {to}{flow.transport}/{flow.dport}"
    return whole


def _host(flow: FlowRecord, scene: Scene) -> Span:
    fold = scene.frame.folds.get(flow.id)
    if fold is None:
        name = flow.host or flow.camera
        return _text(scene.manner.named(name, flow.dst) if name else None)
    what = "DNS questions" if fold.kind == "dns" else "unanswered"
    return f"{count(fold.flows)} {what}", "plain"


def _text(value: str | None) -> Span:
    return (value, "plain") if value else (UNKNOWN, "dim")


def _rate(value: float | None, scene: Scene) -> Span:
    text = short_rate(scene.manner.bps(value))
    return text, "dim" if text in ("0", UNKNOWN) else "plain"


def _heading(scene: Scene) -> Sequence[Span]:
    counts = scene.frame.header.counts
    spans: list[Span] = [(f"{counts.flows_live} live", "plain")]
    if counts.violations_open:
        spans.append(
            (f"  {scene.glyphs.bad} {counted(counts.violations_open, 'violation')}", "bad")
        )
    else:
        spans.append((f"  {scene.glyphs.ok} no violation", "ok"))
    if scene.frame.folds:
        hidden = sum(fold.flows - 1 for fold in scene.frame.folds.values())
        spans.append((f"  {count(hidden)} folded", "plain"))
    evicted = scene.frame.header.limits.get("flows_evicted", 0)
    if evicted:
        spans.append((f"  {evicted} evicted", "warn"))
    return spans


TABLE = Table(
    pane="flows",
    record=FlowRecord,
    kind="flow",
    rows=lambda frame: frame.flows,
    heading=_heading,
    own_sort="verdict",
    empty="No flow seen yet.",
    copy=lambda f: f"{address(f.src, f.sport)} -> {f.host or f.dst} {f.transport}/{f.dport}",
    columns=(
        Column("", 1, _mark),
        Column("VERDICT", 9, _verdict, "verdict", most=17, late=True, by_width=_reason),
        Column("PORT", 5, lambda f, s: _text(f.port), "port", most=8, late=True),
        Column("CLIENT >SERVER", 22, lambda f, s: ("", "plain"), "dst", most=62, by_width=_peers),
        Column("HOST", 20, _host, "host", most=52),
        Column("APP", 6, lambda f, s: _text(f.app), "app", most=10, drop=3),
        Column("b/s in", 6, lambda f, s: _rate(f.rate_in_bps, s), right=True, drop=1),
        Column(
            "b/s out", 7, lambda f, s: _rate(f.rate_out_bps, s), "rate", right=True, drop=2,
            biggest_first=True,
        ),
        Column(
            "BYTES", 6, lambda f, s: (short_volume(f.bytes_in + f.bytes_out), "plain"), "bytes",
            right=True, drop=5, biggest_first=True,
        ),
        Column("RTT ms", 6, lambda f, s: (round_trip(f.rtt_ms), "plain"), right=True, drop=6),
        Column(
            "RETX", 5, lambda f, s: _text(None if f.retransmits is None else str(f.retransmits)),
            "retransmits", right=True, drop=7, biggest_first=True,
        ),
        Column("SERVICE", 10, lambda f, s: _text(f.service), most=20, drop=8),
        Column("STATE", 11, lambda f, s: _text(f.state), drop=9),
        Column("SEEN", 7, lambda f, s: (since(f.last_time_ns, s.now_ns), "dim"), drop=10,
               right=True),
    ),
)  # fmt: skip
