"""The findings pane: every finding with its sentence, worst first, with its confidence."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.model import FindingRecord
from panotui.model.quantities import counted
from panotui.tui.glyphs import Look, look, role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.table import Column, Table

_WORDS = {"warning": "warn"}


def look_of(finding: FindingRecord) -> Look:
    if finding.cleared_time_ns is not None:
        return "ok"
    return "unknown" if finding.known or finding.hidden_by else look(finding.severity)


def state_word(finding: FindingRecord) -> str:
    """Its severity while it lasts; then how it ended."""
    if finding.cleared_time_ns is not None:
        return "cleared"
    if finding.hidden_by:
        return "behind"  # replaced by its cause
    return "known" if finding.known else _WORDS.get(finding.severity, finding.severity)


def _heading(scene: Scene) -> Sequence[Span]:
    counts = scene.frame.header.counts
    known = counts.findings_known
    notes = counts.findings_notes
    news = counts.findings_open - known - notes
    open_now = [f for f in scene.frame.findings if f.cleared_time_ns is None]
    urgent = any(look_of(f) == "bad" for f in open_now) or scene.frame.first > 0
    answer: list[Span] = [(f"{news} open", "bad" if urgent else "warn")]
    if news <= 0:
        well = scene.frame.header.all_well_since_ns is not None
        answer = [(f"{scene.glyphs.ok} none open", "ok") if well else ("none open", "plain")]
    if known:
        answer.append((f", {known} known", "plain"))
    return [*answer, (f", {counted(notes, 'note')}", "plain")] if notes else answer


def _empty(scene: Scene) -> str:
    """Without a finding not everything need work, and little may have been seen."""
    if scene.frame.header.all_well_since_ns is not None:
        return "Nothing to report: all that was seen is well."
    return "No finding is open. The overview shows what works and what was not seen yet."


TABLE = Table(
    pane="findings",
    record=FindingRecord,
    kind="finding",
    rows=lambda frame: frame.findings,
    heading=_heading,
    own_sort="severity",
    empty=_empty,
    copy=lambda f: f"{f.text} {f.action}".strip(),
    columns=(
        Column("", 1, lambda f, s: s.mark(look_of(f))),
        Column("STATE", 7, lambda f, s: (state_word(f), role(look_of(f))), "severity"),
        Column("SINCE", 8, lambda f, s: (s.when_short(f.first_time_ns), "dim"),
               "since"),
        Column("SURE", 8, lambda f, s: (f.confidence, "plain"), drop=1),
        Column("WHAT IS WRONG", 40, lambda f, s: (f.text, "plain"), most=90, sentence=True),
        Column("ABOUT", 12, lambda f, s: (f.subject, "plain"), "subject", most=40, drop=4,
               late=True),
        Column("WHAT TO DO", 40, lambda f, s: (f.action, "plain"), most=100, drop=5, sentence=True),
    ),
)  # fmt: skip
