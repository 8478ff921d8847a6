"""What is told of a capture, in a form in which two captures are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from panotui.engine.engine import Engine
from panotui.model import FindingRecord
from tests.situations.situation import LOUD
from tests.variants.changes import ALIKE, Change

PLACE = "variant.pcap"  # a capture's place bears the file's name, and its interface's number


class Told(NamedTuple):
    """Findings: (id, subject, severity, over, hidden); violations: (reason, source, destination,
    port); tiles: (what, which, state). `texts` has the sentence of each finding."""

    findings: frozenset[tuple[str, str, str, bool, bool]]
    violations: frozenset[tuple[str, str]]
    tiles: frozenset[tuple[str, str, str]]
    texts: frozenset[tuple[str, str]]


def told(engine: Engine, back: Callable[[str], str] = lambda text: text) -> Told:
    snapshot = engine.snapshot()
    tiles = {("camera", back(c.address or ""), c.state) for c in snapshot.cameras}
    tiles |= {(e.service, back(e.host), e.state) for e in snapshot.endpoints if e.needed}
    tiles.add(("clock", "", snapshot.clock.state))
    return Told(
        frozenset(_key(f, back) for f in snapshot.findings),
        frozenset((v.reason, back(v.text)) for v in snapshot.violations),
        frozenset(tiles),
        frozenset((f.id, back(f.text)) for f in snapshot.findings),
    )


def _key(f: FindingRecord, back: Callable[[str], str]) -> tuple[str, str, str, bool, bool]:
    subject = "the place" if f.subject.startswith(PLACE) else back(f.subject)
    return f.id, subject, f.severity, f.cleared_time_ns is not None, f.hidden_by is not None


def otherwise(before: Told, after: Told) -> Iterator[str]:
    """What is told otherwise."""
    for part in ("findings", "violations", "tiles"):
        one, other = getattr(before, part), getattr(after, part)
        yield from (f"no more {part}: {' '.join(map(str, row))}" for row in sorted(one - other))
        yield from (f"new {part}: {' '.join(map(str, row))}" for row in sorted(other - one))


def wrong(change: Change, before: Told, after: Told) -> list[str]:
    """What is told of a variant and does not follow from what is told of the capture."""
    if change.keeps == ALIKE:
        findings = frozenset(row for row in after.findings if row[0] not in change.adds)
        kept = frozenset(row for row in before.findings if row[0] not in change.adds)
        return list(otherwise(before._replace(findings=kept), after._replace(findings=findings)))
    known = {row[0] for row in before.findings} | change.adds
    return [
        f"another cause: {' '.join(map(str, row))}"
        for row in sorted(after.findings)
        if row[0] not in known and row[2] in LOUD and not row[4]
    ]
