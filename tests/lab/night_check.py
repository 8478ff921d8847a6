"""Compares the report of a night with what was done in it: `python -m tests.lab.night_check DIR`.

DIR is what `tests.lab.night` wrote. Each fault must be named in the report and on its page, about
the right subject, beginning within ten seconds of its start; what it brings along is about the same
subject, and no other warning or error may stand in it. Then follow the recorder's memory,
descriptors and CPU by minute. Exit code 1 where something differs.
"""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panotui.model import SECOND, FindingRecord
from panotui.recording.reader import Recording
from panotui.report.markdown import escaped, markdown
from panotui.report.story import Story, story_of
from tests.lab.night import Fault

NAMED_WITHIN_S = 10.0
HEALS_S = 120.0  # what a fault brings along may show so long after it
WARM_S = 600.0  # tables and caches fill up meanwhile


@dataclass(frozen=True)
class Done:
    """A fault as it was really provoked; seconds since 1970. `done`: when it was put right."""

    fault: Fault
    start: float
    end: float
    done: float


def done_of(folder: Path) -> list[Done]:
    names = {f.name for f in fields(Fault)}
    found = []
    for line in (folder / "faults.jsonl").read_text().splitlines():
        entry: dict[str, Any] = json.loads(line)
        if "kind" not in entry:
            continue
        fault = Fault(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()
                         if k in names})  # fmt: skip
        found.append(Done(fault, entry["start"], entry["end"], entry["done"]))
    return found


def told_loudly(story: Story) -> list[FindingRecord]:
    """The warnings and errors of a report, each time that they stood by itself."""
    return sorted(
        (f for f in story.findings if f.severity != "info"), key=lambda f: f.first_time_ns
    )


def names(done: Done, finding: FindingRecord) -> bool:
    """Whether a finding tells of this fault, with its time."""
    return (
        finding.id in done.fault.told
        and done.fault.subject in finding.subject
        and abs(finding.first_time_ns / 1e9 - done.start) <= NAMED_WITHIN_S
    )


def follows(done: Done, finding: FindingRecord) -> bool:
    """Whether a finding is of this fault or what it may bring along, about the same thing."""
    begun = finding.first_time_ns / 1e9
    return (
        finding.id in (*done.fault.told, *done.fault.follows)
        and done.fault.subject in finding.subject
        and done.start - NAMED_WITHIN_S <= begun <= done.done + HEALS_S
    )


def is_on(page: str, finding: FindingRecord) -> bool:
    """Whether a page has a finding: its sentence, or the time of this period of it. One that came
    again stands there once, with its last sentence and the times of all its periods.
    """
    began = datetime.fromtimestamp(finding.first_time_ns // SECOND, UTC)
    when = f"from {began:%Y-%m-%d %H:%M:%S} "
    return escaped(finding.text) in page or any(
        when in line and line.endswith(finding.id) for line in page.splitlines()
    )


def clock(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%H:%M:%S")


def compare(folder: Path) -> bool:
    """Print each fault and what the report says of it; whether all is as planned."""
    recording = Recording(folder / "night.panotui")
    story = story_of(recording, "night.panotui", "")
    recording.close()
    page, found, all_well = markdown(story), told_loudly(story), True
    faults = done_of(folder)
    for done in faults:
        telling = [f for f in found if names(done, f)]
        said = "NOT NAMED"
        if telling:
            first = telling[0]
            away = first.first_time_ns / 1e9 - done.start
            said = f"{away:+.1f} s  {first.severity} {first.id}: {first.text}"
            if not any(is_on(page, f) for f in telling):
                said += "  (NOT ON THE PAGE)"
                all_well = False
        all_well &= bool(telling)
        print(f"{clock(done.start)} to {clock(done.end)}  {done.fault.kind} {done.fault.target}")
        print(f"    {said}")
    others = [f for f in found if not any(follows(done, f) for done in faults)]
    for finding in others:
        print(f"BESIDE  {clock(finding.first_time_ns / 1e9)}  {finding.severity} {finding.id}"
              f" {finding.subject}: {finding.text}")  # fmt: skip
    print(f"{len(faults)} faults, {len(found)} warnings and errors in the report,"
          f" {len(others)} beside the plan")  # fmt: skip
    return all_well and not others


def measured(folder: Path) -> None:
    """Print how the recorder's memory, descriptors and CPU went."""
    with (folder / "samples.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    warm = [row for row in rows if row["time"] - rows[0]["time"] >= WARM_S] or rows
    hours = max(1e-9, (warm[-1]["time"] - warm[0]["time"]) / 3600)
    each = sorted(name for name in warm[0] if name.startswith("rss_") and name != "rss_mb")
    for name in ("rss_mb", *each, "pss_mb", "descriptors", "folder_mb"):
        values = [row[name] for row in warm]
        grown = (values[-1] - values[0]) / hours
        print(f"{name}: {values[0]:g} after {WARM_S / 60:.0f} min, {values[-1]:g} at the end,"
              f" {min(values):g} to {max(values):g}, {grown:+.1f} an hour")  # fmt: skip
    spent = warm[-1]["cpu_s"] - warm[0]["cpu_s"]
    print(
        f"cpu: {100 * spent / 3600 / hours:.2f} % of a core; machine's load "
        f"{min(r['load'] for r in rows):.0f} to {max(r['load'] for r in rows):.0f}"
    )
    last: dict[str, Any] = {}
    for line in (folder / "record.jsonl").read_text().splitlines():
        if line.startswith("{") and line.endswith("}"):
            last = json.loads(line)
    print(f"packets: {last.get('packets', 0):,}, {last.get('lost', 0):,} missed by the capture")


def main(words: list[str]) -> int:
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    is_well = compare(Path(words[0]))
    measured(Path(words[0]))
    return 0 if is_well else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
