"""A story of a part: the things that passed a filter, and their data."""

from __future__ import annotations

import dataclasses

import msgspec

from panotui.model import CountsRecord, Snapshot
from panotui.recording.spans import Before
from panotui.report.story import Story
from panotui.state.marks import counts_of
from panotui.state.strips import US


def part_of(story: Story, narrowed: Snapshot) -> Story:
    """The story of a narrowed state: its strips, plots, evidence and comparison cover only the
    remaining things. Numbers of a thing are those of its whole life.
    """
    cameras = {c.name for c in narrowed.cameras} | {s.camera for s in narrowed.streams if s.camera}
    subjects = {
        US,
        *(f"camera:{name}" for name in cameras),
        *(f"port:{p.name}" for p in narrowed.ports),
        *(f"endpoint:{e.service}/{e.host}/{e.port}" for e in narrowed.endpoints),
    }
    proofs = {(f.name, f.first_time_ns) for f in narrowed.findings}
    violations = {v.id for v in narrowed.violations}
    return dataclasses.replace(
        story,
        snapshot=msgspec.structs.replace(narrowed, counts=_counts(narrowed)),
        runs={key: runs for key, runs in story.runs.items() if key in subjects},
        ports={n: h for n, h in story.ports.items() if f"port:{n}" in subjects},
        cameras={n: h for n, h in story.cameras.items() if n in cameras},
        counted={n: c for n, c in story.counted.items() if n in cameras},
        evidence=tuple(
            e
            for e in story.evidence
            if (e.subject.removeprefix("finding:"), e.time_ns) in proofs
            or e.subject.removeprefix("violation:") in violations
        ),
        before=None if story.before is None else _before(story.before, subjects, cameras),
    )


def _before(before: Before, subjects: set[str], cameras: set[str]) -> Before:
    return dataclasses.replace(
        before,
        runs={key: runs for key, runs in before.runs.items() if key in subjects},
        counted={n: c for n, c in before.counted.items() if n in cameras},
    )


def _counts(narrowed: Snapshot) -> CountsRecord:
    """The counts of the remaining things, by the rules of the whole; flows are not narrowed."""
    return msgspec.structs.replace(
        counts_of(
            narrowed.devices,
            narrowed.streams,
            narrowed.cameras,
            narrowed.endpoints,
            narrowed.findings,
            narrowed.violations,
        ),
        flows=narrowed.counts.flows,
        flows_live=narrowed.counts.flows_live,
        events=len(narrowed.events),
    )
