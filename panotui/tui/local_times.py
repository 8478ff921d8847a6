"""The sentences of a frame with local times.

The collector writes times of day in sentences as UTC, marked as such. Beside the local times of the
screen's own lines they would be read as another time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from msgspec.structs import replace

from panotui.model import SECOND, EventRecord, FindingRecord, ViolationRecord
from panotui.model.quantities import in_local_time
from panotui.views.frames import Detail, Frame, Strips

_Said = Callable[[str], str]


def with_local_times(frame: Frame, zone: tzinfo | None) -> Frame:
    """The same frame; times of day within its sentences are those of `zone`."""
    now_s = frame.header.time_ns // SECOND

    def said(text: str) -> str:
        return in_local_time(text, now_s, zone)

    detail, strips = frame.detail, frame.strips
    return replace(
        frame,
        findings=tuple(_finding(f, said) for f in frame.findings),
        violations=tuple(_violation(v, said) for v in frame.violations),
        events=tuple(_event(e, said) for e in frame.events),
        endpoints=tuple(replace(e, detail=e.detail and said(e.detail)) for e in frame.endpoints),
        detail=None if detail is None else _detail(detail, said),
        strips=None if strips is None else _strips(strips, said),
    )


def _finding(finding: FindingRecord, said: _Said) -> FindingRecord:
    return replace(finding, text=said(finding.text), action=said(finding.action))


def _violation(violation: ViolationRecord, said: _Said) -> ViolationRecord:
    return replace(violation, text=said(violation.text))


def _event(event: EventRecord, said: _Said) -> EventRecord:
    return replace(event, text=said(event.text))


def _detail(detail: Detail, said: _Said) -> Detail:
    """A detail's sentences, and the times before its lines. Whole stamps stay UTC."""
    finding, violation, event = detail.finding, detail.violation, detail.event
    return replace(
        detail,
        title=said(detail.title),
        explained=tuple(
            replace(e, text=said(e.text), action=said(e.action)) for e in detail.explained
        ),
        evidence=tuple(replace(p, text=said(p.text)) for p in detail.evidence),
        sections=tuple(
            replace(s, lines=tuple((said(label), said(text)) for label, text in s.lines))
            for s in detail.sections
        ),
        finding=None if finding is None else _finding(finding, said),
        violation=None if violation is None else _violation(violation, said),
        event=None if event is None else _event(event, said),
    )


def _strips(strips: Strips, said: _Said) -> Strips:
    moment = strips.moment
    if moment is None:
        return strips
    told = tuple((severity, said(text), key) for severity, text, key in moment.told)
    return replace(strips, moment=replace(moment, told=told))
