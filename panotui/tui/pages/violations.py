"""The violations pane: forbidden traffic, merged, open ones first."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import ViolationRecord
from panotui.model.quantities import UNKNOWN
from panotui.state.standing import violations_said
from panotui.tui.glyphs import Look, Role, look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import address, count, short_volume, since
from panotui.tui.table import Column, Table


def look_of(violation: ViolationRecord) -> Look:
    if violation.known or violation.state != "open":
        return "unknown"
    return look(violation.severity)


def state_word(violation: ViolationRecord) -> str:
    return "known" if violation.known else violation.state


def peers(violation: ViolationRecord, to: str) -> str:
    return f"{violation.src} {to} {address(violation.dst, violation.dport)}"


def heading_role(found: Sequence[ViolationRecord]) -> Role:
    """The colour of the pane's heading: bad while there is an open one that is not marked as
    known.
    """
    if any(v.state == "open" and not v.known for v in found):
        return "bad"
    return "warn" if found else "plain"


def _heading(scene: Scene) -> Sequence[Span]:
    counts = scene.frame.header.counts
    if not counts.violations_open and not counts.violations_past:
        return [(f"{scene.glyphs.ok} none", "ok") if counts.flows else ("none seen yet", "dim")]
    news = counts.violations_open - counts.violations_known
    return [(violations_said(counts), "bad" if news > 0 else "plain")]


TABLE = Table(
    pane="violations",
    record=ViolationRecord,
    kind="violation",
    rows=lambda frame: frame.violations,
    heading=_heading,
    own_sort="last",
    own_down=True,
    empty="Nothing has broken the policy.",
    copy=lambda v: f"{v.src} -> {v.host or v.dst} {v.transport}/{v.dport} {v.reason}",
    columns=(
        Column("", 1, lambda v, s: s.mark(look_of(v))),
        Column("STATE", 5, lambda v, s: (state_word(v), role(look_of(v)))),
        Column("REASON", 11, lambda v, s: (v.reason, "strong"), "reason", most=17),
        Column("SEVERITY", 8, lambda v, s: (v.severity, role(look(v.severity))), "severity",
               drop=4),
        Column("PORT", 4, lambda v, s: (v.port or UNKNOWN, "plain"), most=8, drop=2),
        Column("FROM > TO", 29, lambda v, s: (peers(v, s.glyphs.to), "plain"), "dst", most=66),
        Column("HOST", 10, lambda v, s: (v.host or UNKNOWN, "plain"), most=50),
        Column("TIMES", 5, lambda v, s: (f"{count(v.flows)}x", "plain"), right=True,
               drop=2),
        Column("BYTES", 6, lambda v, s: (short_volume(v.bytes), "plain"), "bytes", right=True,
               drop=5, biggest_first=True),
        Column("SEEN", 6, lambda v, s: (since(v.last_time_ns, s.now_ns), "plain"), "last",
               right=True, drop=1, biggest_first=True),
        Column("FIRST", 14, lambda v, s: (s.when(v.first_time_ns), "dim"),
               drop=6),
        Column("WHAT", 20, lambda v, s: (v.text, "plain"), most=90, drop=7, sentence=True),
    ),
)  # fmt: skip
