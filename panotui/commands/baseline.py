"""`panotui baseline learn|show`: the usual values of a site, for `--baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from panotui.commands.baseline_file import read_baseline
from panotui.commands.confined import confined
from panotui.commands.options import common_options
from panotui.errors import InputError, OtherSite, UsageError

if TYPE_CHECKING:
    from panotui.model.baseline import Baseline, Cell, Series

DAY_MINUTES = 24 * 60


@click.group()
def command() -> None:
    """Learn from recordings what is usual at a site.

    `live`, `record` and `analyze` compare with the file when given --baseline. They report what is
    unusual for a quarter of an hour: bit-rates, frame rates, key frames and loss for the hour of
    the week, absent cameras, new readers and peers, slow and unused endpoints.
    """


@command.command("learn")
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The file to write, such as site.baseline.")  # fmt: skip
@common_options
def learn(recordings: tuple[Path, ...], output: Path, verbose: bool, no_color: bool) -> None:
    """Learn from recordings of the same site, at least two days of it."""
    from panotui.recording.parts import is_recording

    for path in recordings:
        if not path.exists():
            raise InputError(str(path), "does not exist", "Check the name.")
        if not is_recording(path):
            raise InputError(
                str(path), "this is not a recording", "Record one: panotui record -o DIR."
            )
    with confined(recording=recordings[0], others=recordings[1:], files=[("-o", output)]) as places:
        folders = [places.recording or recordings[0], *places.others]
        baseline = _learn(recordings, folders)
        target = places.place(output)
        try:
            target.write_bytes(msgspec.json.encode(baseline))
        except OSError as error:
            raise UsageError(
                f"-o {output}", error.strerror or str(error), "Name another."
            ) from None
    click.echo(summary(baseline))


def _learn(names: tuple[Path, ...], folders: list[Path]) -> Baseline:
    from panotui.recording.minutes import minutes
    from panotui.recording.reader import Recording
    from panotui.state.habits import Learner

    opened = []
    site = ""
    for name, folder in zip(names, folders, strict=True):
        recording = Recording(folder)
        called = recording.final().site.name or ""
        if site and called and called != site:
            raise OtherSite(
                str(name), f"it is of the site {called}, not of {site}", "Learn each site alone."
            )
        site = site or called
        opened.append(recording)
    learner = Learner()
    known = 0
    for recording in sorted(opened, key=lambda r: r.start_ns):
        for minute in minutes(recording):
            if minute.time_s > known:  # recordings may overlap
                learner.feed(minute)
                known = minute.time_s
        recording.close()
    if not known:
        raise InputError(
            ", ".join(map(str, names)), "it contains no whole minute", "Record for days."
        )
    return learner.baseline(site)


@command.command("show")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@common_options
def show(path: Path, as_json: bool, verbose: bool, no_color: bool) -> None:
    """Print what was learnt, in words."""
    baseline = read_baseline(path)
    assert baseline is not None
    if as_json:
        click.echo(msgspec.json.encode(baseline).decode())
        return
    click.echo(summary(baseline))
    for name, camera in baseline.cameras.items():
        click.echo(
            f"camera {name}: {_cell(camera.rate_bps, 1e6, 'Mb/s')}, {_cell(camera.fps, 1, 'fps')}, "
            f"key frames each {_cell(camera.gop_s, 1, 's')}, read by {', '.join(camera.readers)}"
        )
    for name, endpoint in baseline.endpoints.items():
        pause = endpoint.longest_gap_minutes
        longest = "" if pause is None else f", longest pause {pause:.0f} min"
        click.echo(
            f"{name}: {endpoint.contacts} contacts, {_cell(endpoint.rtt_ms, 1, 'ms')}{longest}"
        )
    for peer in baseline.peers:
        click.echo(f"peer {peer}")


def summary(baseline: Baseline) -> str:
    """One line, and another one if there is too little data to compare with."""
    days = baseline.minutes / DAY_MINUTES
    cameras, endpoints = len(baseline.cameras), len(baseline.endpoints)
    line = (
        f"{baseline.site or 'A site'}: {days:.1f} days, cameras {cameras}, endpoints {endpoints}, "
        f"peers {len(baseline.peers)}"
    )
    if days < 1.9:
        line += (
            "\nThat is too short: nothing is compared with an hour that was seen on one day only."
        )
    return line


def _cell(series: Series, scale: float, unit: str) -> str:
    cell: Cell | None = series.always
    if cell is None:
        return f"no {unit}"
    return f"{cell.median / scale:.1f} +- {cell.spread / scale:.1f} {unit}"
