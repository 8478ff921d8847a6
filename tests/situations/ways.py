"""The other ways by which a person asks: a file, without a site file, a recording; and the counts.

Each function gives what is told otherwise than by the situation's own engine, in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panotui.commands.input import analysed
from panotui.commands.rehearse import record_capture
from panotui.commands.summary import summary
from panotui.engine.engine import Engine
from panotui.model import FindingRecord, Site, Snapshot
from panotui.recording.reader import Recording
from panotui.report.analysis import analysis_from_records
from panotui.state.standing import cameras_said, endpoints_said, violations_said
from panotui.views.frames import View
from panotui.views.provider import StateProvider
from tests.situations.situation import NEVER, Situation, words

LAYER_IP = 3  # of what is ordered below, cables and neighbours are not about an address


def other_ways(one: Situation, folder: Path) -> Iterator[str]:
    """Through a capture file with the site file and without, and through a recording of it."""
    path = folder / f"{one.name}.pcap"
    town = one.build()
    town.save(path)
    told = keys(town.watch(one.site(), readings=one.readings).snapshot())
    for site, way in ((one.site(), "file"), (Site(), "file without a site file")):
        engine = analysed([str(path)], site)
        # a file is the name of the place where its packets were seen
        mine = {(i, "mirror" if s == path.name else s, *more)
                for i, s, *more in keys(engine.snapshot())}  # fmt: skip
        if way == "file" and mine != told and not one.readings:
            yield f"{way}: {sorted(told ^ mine)}"
        for found in engine.snapshot().findings:
            if bad := NEVER.search(words(found)):
                yield f"{way}: {found.id} says {bad.group(0)!r}"
        answer = analysis_from_records(engine.snapshot(), engine.flow_records())
        recording = Recording(
            record_capture([str(path)], site, "", folder / f"{len(site.camera)}{way}.panotui")
        )
        again = analysis_from_records(recording.final(), recording.all_flows())
        recording.close()
        if (one_way := said(answer)) != (other := said(again)):
            yield f"{way}, recorded: {sorted(one_way ^ other)}"


def keys(snapshot: Snapshot) -> set[tuple[str, str, str, bool, bool]]:
    """Findings: id, subject, severity, whether it is over and whether it is hidden."""
    return {
        (f.id, f.subject, f.severity, f.cleared_time_ns is not None, f.hidden_by is not None)
        for f in snapshot.findings
    }


def said(answer: dict[str, Any]) -> set[tuple[str, ...]]:
    """The findings of an analysis, in its own words."""
    return {
        (f["id"], f["subject"], f["severity"], f["text"], f["action"], str(f["cleared_time"]))
        for f in answer["findings"]
    }


def loud(snapshot: Snapshot) -> list[FindingRecord]:
    """What a person is asked to look at."""
    return [
        f
        for f in snapshot.findings
        if f.cleared_time_ns is None and f.hidden_by is None and f.severity != "info"
    ]


def miscounted(engine: Engine) -> Iterator[str]:
    """Counts of the overview, the pane, the summary and the records that differ."""
    snapshot = engine.snapshot()
    counts = StateProvider(engine, "live").frame(View()).header.counts
    if counts != snapshot.counts:
        yield f"the overview counts {counts}, the snapshot {snapshot.counts}"
    needed = [e for e in snapshot.endpoints if e.needed]
    if counts.endpoints != len(needed):
        yield f"{counts.endpoints} endpoints are counted, {len(needed)} are needed"
    text = summary(snapshot)
    for expected in (
        cameras_said(counts) if counts.cameras else "",
        endpoints_said(counts) if counts.endpoints else "",
        violations_said(counts),
    ):
        if expected not in text:
            yield f"the summary does not say {expected!r}"
    number = len(loud(snapshot))
    found = re.search(r"WHAT TO DO\s+(\d+) finding", text)
    if number != (int(found.group(1)) if found else 0):
        yield f"the summary says {found and found.group(1)} findings, {number} are open"
    page = StateProvider(engine, "live").frame(View(pane="findings", rows=200)).findings
    rows = [f for f in page if f.cleared_time_ns is None and f.hidden_by is None]
    rows = [f for f in rows if f.severity != "info"]
    if len(rows) != number:
        yield f"the pane has {len(rows)} open findings, {number} are open"


def greener(engine: Engine) -> Iterator[str]:
    """Endpoints that are called reachable while an open error is about them. Of a host that serves
    several things the error is about one of them; errors below its address are about none."""
    snapshot = engine.snapshot()
    errors = {f.subject for f in loud(snapshot) if f.severity == "error" and f.layer >= LAYER_IP}
    failing = {e.host for e in snapshot.endpoints if e.state not in ("reachable", "unseen")}
    for endpoint in (e for e in snapshot.endpoints if e.needed):
        about = {endpoint.host, f"{endpoint.host}:{endpoint.port}"} & errors
        if about and endpoint.state == "reachable" and endpoint.host not in failing:
            yield f"{endpoint.host} is reachable, and an error is about it"
