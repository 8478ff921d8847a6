"""`panotui days RECORDING [DAY]`: lists the days of a recording; checks, copies or removes one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.confined import confined, is_roots_own
from panotui.commands.options import common_options
from panotui.commands.times import zone_of
from panotui.errors import UsageError

if TYPE_CHECKING:
    from panotui.recording.days import Checked, Day

EXIT_DAMAGED = 3


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="RECORDING")
@click.argument("date", required=False, metavar="[DAY]")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=True), metavar="DIR",
              help="Copy the day into a new recording.")  # fmt: skip
@click.option("--check", is_flag=True, help="Read every row and evidence file of the day.")
@click.option("--remove", is_flag=True, help="Remove the day from the recording.")
@click.option("--zone", metavar="NAME", help="Days in this time zone (default: this machine's).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@common_options
def command(
    recording: Path,
    date: str | None,
    output: Path | None,
    check: bool,
    remove: bool,
    zone: str | None,
    as_json: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """List, check, copy or remove the days of a recording. Without DAY (such as 2026-11-30), list
    them.

    A copy is a complete recording, with a list of checksums for `sha256sum -c SHA256SUMS`. A
    removed day leaves a gap. Data that spans midnight belongs to each day that it touches.
    """
    if sum((output is not None, check and date is None, remove)) > 1 or (check and remove):
        raise UsageError("days", "-o, --check and --remove exclude each other", "Choose one.")
    if date is None and (output is not None or remove):
        raise UsageError("days", "no day was given", "Name a DAY, such as 2026-11-30.")
    from panotui.recording import days
    from panotui.recording.parts import with_suffix
    from panotui.recording.reader import Recording

    if remove and is_roots_own():
        from panotui.commands.confinement import become_owner

        become_owner(recording)
    zone_known = zone_of(zone)
    target = None if output is None else with_suffix(output)
    if target is not None and os.path.lexists(target):
        raise UsageError(f"-o {target}", "it is there already", "Name a new folder.")
    # a list says of evidence what the rows say
    looks = check or target is not None
    with confined(recording=recording, folders=[("-o", target)], evidence=looks) as places:
        opened = Recording(places.recording or recording)
        try:
            if date is None:
                known = days.days(opened, zone_known)
                checked = [days.check(opened, day) for day in known] if check else []
                _list(known, checked, as_json)
                return EXIT_DAMAGED if any(not c.is_whole for c in checked) else 0
            day = days.day_of(opened, date, zone_known)
            if remove:
                days.remove(opened, day)
                said = f"{day.date} was removed from {recording.name}"
            elif target is not None:
                sums = days.copy(opened, day, places.place(target))
                said = f"{day.date} was copied to {target}; {sums.name} lists its sums"
            else:
                looked = [days.check(opened, day)] if check else []
                _list([day], looked, as_json)
                return EXIT_DAMAGED if any(not c.is_whole for c in looked) else 0
        finally:
            opened.close()
    click.echo(json.dumps({"day": day.date, "text": said}) if as_json else said)
    return 0


def _list(known: list[Day], checked: list[Checked], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"days": [_object(d, c) for d, c in _paired(known, checked)]}))
        return
    for day, looked in _paired(known, checked):
        whole = max(1, (day.end_ns - day.start_ns) // 1_000_000_000)
        click.echo(
            f"{day.date}  {100 * min(1.0, day.recorded_s / whole):5.1f} % recorded"
            f"  {day.flows:,} flows, {day.events:,} events, {day.findings:,} findings,"
            f" {day.violations:,} violations, {day.evidence:,} evidence files of"
            f" {day.evidence_bytes / 1e6:.1f} MB"
        )
        if looked is not None:
            click.echo(f"            {_words(looked)}")


def _paired(known: list[Day], checked: list[Checked]) -> list[tuple[Day, Checked | None]]:
    return [(d, checked[n] if checked else None) for n, d in enumerate(known)]


def _words(checked: Checked) -> str:
    said = [f"{checked.rows:,} rows and {checked.files:,} evidence files read"]
    if checked.damaged:
        said.append(f"{checked.damaged:,} rows are damaged")
    for files, what in ((checked.changed, "changed"), (checked.missing, "missing")):
        if files:
            said.append(f"{what}: {', '.join(files[:4])}" + (", ..." if len(files) > 4 else ""))
    if checked.unfinished:
        said.append(f"{len(checked.unfinished):,} not finished, so without a sum")
    return "; ".join(said) + ("" if not checked.is_whole else ": whole")


def _object(day: Day, checked: Checked | None) -> dict[str, object]:
    found: dict[str, object] = {
        "date": day.date, "start_ns": day.start_ns, "end_ns": day.end_ns,
        "first_ns": day.first_ns, "last_ns": day.last_ns, "recorded_s": day.recorded_s,
        "flows": day.flows, "events": day.events, "findings": day.findings,
        "violations": day.violations, "evidence_files": day.evidence,
        "evidence_bytes": day.evidence_bytes,
    }  # fmt: skip
    if checked is not None:
        found["check"] = {
            "rows": checked.rows, "damaged": checked.damaged, "files": checked.files,
            "changed": list(checked.changed), "missing": list(checked.missing),
            "unfinished": list(checked.unfinished), "whole": checked.is_whole,
        }  # fmt: skip
    return found
