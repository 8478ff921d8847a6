"""The endpoints pane: each cloud service that the appliance needs, and whether it is reachable."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import EndpointRecord
from panotui.model.quantities import UNKNOWN, size
from panotui.state.standing import endpoints_said
from panotui.tui.glyphs import Look, Role, look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import round_trip, since
from panotui.tui.table import Column, Table


def look_of(endpoint: EndpointRecord) -> Look:
    """An endpoint that is neither needed nor seen is no problem."""
    return look(endpoint.state)


def _heading(scene: Scene) -> Sequence[Span]:
    counts = scene.frame.header.counts
    if not counts.endpoints:
        return [("none known", "dim")]
    dead = counts.endpoints - counts.endpoints_ok - counts.endpoints_unseen
    well: Role = "bad" if dead else "dim" if counts.endpoints_unseen else "ok"
    return [(endpoints_said(counts), well)]


def _text(value: str | None) -> Span:
    return (value, "plain") if value else (UNKNOWN, "dim")


def _last(endpoint: EndpointRecord, scene: Scene) -> Span:
    if endpoint.open_since_ns:
        return "open", "ok"
    return since(endpoint.last_success_ns, scene.now_ns), "plain"


TABLE = Table(
    pane="endpoints",
    record=EndpointRecord,
    kind="endpoint",
    rows=lambda frame: frame.endpoints,
    heading=_heading,
    own_sort="state",
    empty="No endpoint is known: the policy has none for this site.",
    copy=lambda e: f"{e.host}:{e.port}",
    columns=(
        Column("", 1, lambda e, s: s.mark(look_of(e))),
        Column("STATE", 9, lambda e, s: (e.state, role(look_of(e))), "state"),
        Column("SERVICE", 10, lambda e, s: (e.label or e.service, "strong"), "service", most=22),
        Column("HOST", 24, lambda e, s: _text(e.host), "host", most=62),
        Column("PORT", 5, lambda e, s: (str(e.port), "plain"), right=True),
        Column("RTT ms", 6, lambda e, s: (round_trip(e.rtt_ms), "plain"), "rtt", right=True,
               drop=3),
        Column("TLS", 4, lambda e, s: _text((e.tls_version or "").removeprefix("TLS").strip(" v")),
               drop=5),
        Column("OK/TRIES", 8, lambda e, s: (f"{e.successes}/{e.attempts}", "plain"), right=True,
               drop=4),
        Column("LAST OK", 7, _last, "last", right=True, drop=2),
        Column("NEEDED", 6, lambda e, s: ("yes" if e.needed else "no", "dim"), drop=8),
        Column("ADDRESS", 15, lambda e, s: _text(e.address), most=39, drop=7),
        Column("BYTES", 9, lambda e, s: (size(e.bytes), "plain"), right=True, drop=9),
        Column("DETAIL", 20, lambda e, s: _text(e.detail), most=80, drop=6, sentence=True),
    ),
)  # fmt: skip
