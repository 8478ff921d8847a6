"""The events pane: events, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import EventRecord
from panotui.model.quantities import UNKNOWN
from panotui.tui.glyphs import look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.table import Column, Table
from panotui.views.identity import sentence_of

_WORDS = {"warning": "warn"}


def _heading(scene: Scene) -> Sequence[Span]:
    return [(f"{scene.frame.header.counts.events} so far", "plain")]


TABLE = Table(
    pane="events",
    record=EventRecord,
    kind="event",
    rows=lambda frame: frame.events,
    heading=_heading,
    own_sort="time",
    own_down=True,
    empty="Nothing has happened yet.",
    copy=lambda e: f"{e.kind} {sentence_of(e)}",
    columns=(
        Column("TIME", 8, lambda e, s: (s.when(e.time_ns), "dim"), "time",
            most=14,
            late=True, biggest_first=True),
        Column("", 1, lambda e, s: s.mark(look(e.severity))),
        Column("LEVEL", 5, lambda e, s: (
            _WORDS.get(e.severity, e.severity), role(look(e.severity))), "severity", drop=1),
        Column("KIND", 9, lambda e, s: (e.kind, "plain"), "kind"),
        Column("SUBJECT", 12, lambda e, s: (e.subject, "strong"), "subject", most=44, late=True),
        Column("WHAT", 34, lambda e, s: (e.text, "plain"), most=130, sentence=True),
        Column("PORT", 5, lambda e, s: (e.port or UNKNOWN, "plain"), drop=5),
        Column("PACKET", 8, lambda e, s: (
            str(e.packet) if e.packet else UNKNOWN, "plain"), right=True, drop=4),
    ),
)  # fmt: skip
