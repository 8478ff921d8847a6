"""Deviations from a baseline in a recording, as findings beside the recorded ones.

The rule of `diagnosis.unusual` does the same while packets arrive; here the minutes come from the
recording's samples.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from panotui.diagnosis.catalogue import catalogue
from panotui.diagnosis.facts import Observation
from panotui.diagnosis.unusual import observation
from panotui.model import SECOND, FindingRecord, Snapshot
from panotui.model.baseline import Baseline, Minute
from panotui.state.habits import Watch

FINDINGS_MOST = 200


def departures(baseline: Baseline, seen: Iterable[Minute]) -> tuple[FindingRecord, ...]:
    """One finding per deviation; past ones with their end."""
    watch, weeks = Watch(baseline), baseline.minutes / (7 * 24 * 60)
    found: dict[tuple[str, int], FindingRecord] = {}
    standing: set[tuple[str, int]] = set()
    for minute in seen:
        now = (minute.time_s + 60) * SECOND
        told = {}
        for departure in watch.feed(minute):
            observed = observation(departure, weeks)
            told[observed.life_key, observed.first_ns] = observed
        for key in standing - told.keys():
            found[key] = msgspec.structs.replace(found[key], cleared_time_ns=now)
        for key, observed in told.items():
            if key in found or len(found) < FINDINGS_MOST:
                found[key] = _record(observed, now)
        standing = told.keys() & found.keys()
    return tuple(found.values())


def _record(observed: Observation, now_ns: int) -> FindingRecord:
    spec = catalogue()[observed.id]
    return FindingRecord(
        id=observed.id,
        severity=observed.severity or spec.severity,
        confidence=spec.confidence,
        subject=observed.subject,
        text=observed.values["detail"],
        action=observed.action or "",
        first_time_ns=observed.first_ns,
        last_time_ns=now_ns,
        key=observed.life_key,
        layer=spec.layer,
        detail=observed.detail,
    )


def with_departures(snapshot: Snapshot, found: tuple[FindingRecord, ...]) -> Snapshot:
    """The snapshot including these findings, the newest first among those of their severity."""
    order = {"error": 0, "warning": 1, "info": 2}
    findings = sorted(
        (*snapshot.findings, *found),
        key=lambda f: (f.cleared_time_ns is not None, order[f.severity]),
    )
    return msgspec.structs.replace(snapshot, findings=tuple(findings))
