"""`panotui analyze FILE|DIR...`: one pass over captures, or over a recording; results on stdout."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from panotui.commands.baseline_file import (
    read_baseline,
    require_same_name,
    require_same_site,
)
from panotui.commands.confined import confined
from panotui.commands.options import (
    baseline_option,
    common_options,
    fail_on_option,
    failure,
    read_site,
    site_option,
    use_color,
)
from panotui.commands.window import window_of, window_options
from panotui.errors import UsageError
from panotui.model import FlowRecord, Site, Snapshot, WindowRecord

if TYPE_CHECKING:
    from panotui.commands.confined import Places
    from panotui.model.baseline import Baseline
    from panotui.policy.queries.rejudge import FlowChange
    from panotui.report.parquet import ParquetWriter


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="FILE|DIR...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--redact", is_flag=True,
              help="Replace names and addresses by numbers, the same one everywhere; not with"
                   " --zeek, --eve or --parquet.")  # fmt: skip
@click.option(
    "--ndjson", is_flag=True, help="One JSON line for each record; `record` names its kind."
)
@click.option(
    "--csv", "csv_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="One CSV file for each table, written into DIR.",
)  # fmt: skip
@click.option("--zeek", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Zeek's conn.log, and the same as conn.json, into DIR.")  # fmt: skip
@click.option("--eve", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Suricata's EVE JSON lines, written to FILE.")  # fmt: skip
@click.option("--parquet", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Flows, streams, seconds and events as Parquet, by day, into DIR.")  # fmt: skip
@click.option("--was", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="For captures: list differences from this older site file.")  # fmt: skip
@window_options
@site_option
@baseline_option
@fail_on_option
@common_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    redact: bool,
    ndjson: bool,
    csv_folder: Path | None,
    zeek: Path | None,
    eve: Path | None,
    parquet: Path | None,
    was: Path | None,
    since: str | None,
    until: str | None,
    filter_text: str,
    site: Path | None,
    baseline: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """Analyse captures (pcap, pcapng, .gz, .zst), folders of them, `-` for stdin, or a recording,
    in one pass; by default prints a summary in words.

    --since, --until and --filter narrow every part of the answer. A table without the filter's
    field is empty. The numbers of a flow or stream are still those of its whole life.

    With --site a recording is judged again by that file, and the differences are listed.
    """
    if as_json and ndjson:
        raise UsageError("analyze", "--json and --ndjson exclude each other", "Choose one.")
    if redact and (zeek is not None or eve is not None or parquet is not None):
        raise UsageError(
            "--redact",
            "--zeek, --eve and --parquet contain names and addresses",
            "Omit one of them.",
        )
    if parquet is not None and "-" in names:
        raise UsageError("--parquet", "standard input can be read only once", "Name a file.")
    if filter_text.strip():
        from panotui.views.narrowing import check_filter

        check_filter(filter_text)
    named = _named(names, was)
    known, _, _ = read_site(site)
    habits = read_baseline(baseline)
    require_same_site(habits, baseline, known)
    before = None if was is None else read_site(was)[0]
    again = known if named.recording is None or site is not None else None
    with contextlib.ExitStack() as stack:
        writer = None if parquet is None else stack.enter_context(_parquet_writer(parquet))
        places = stack.enter_context(
            confined(
                captures=named.captures,
                recording=named.recording,
                evidence=True,
                files=[("--eve", eve)],
                folders=[("--csv", csv_folder), ("--zeek", zeek), ("--parquet", parquet)],
            )
        )
        snapshot, flows, changes = _judged(named, again, before, places.recording, habits)
        window = window_of(since, until, filter_text, snapshot.time_ns)
        if window is not None:
            snapshot, flows = _inside(snapshot, flows, window)
        if redact:
            snapshot, flows, changes = *_redacted(snapshot, flows), None
        if csv_folder is not None:
            _tables(csv_folder, places.place(csv_folder), snapshot, flows)
        if zeek is not None or eve is not None:
            _for_peers(
                None if zeek is None else places.place(zeek),
                None if eve is None else places.place(eve),
                known.network.local,
                snapshot,
                flows,
            )
        if parquet is not None and writer is not None:
            _parquet(writer, named, places, parquet, known, snapshot, flows)
        if as_json:
            from panotui.report.analysis import json_pieces

            _write(json_pieces(snapshot, flows(), changes))
        elif ndjson:
            from panotui.report.analysis import dumps, lines

            _write(dumps(line).encode() + b"\n" for line in lines(snapshot, flows(), changes))
        elif not any((csv_folder, zeek, eve, parquet)):
            from panotui.commands.summary import summary

            click.echo(summary(snapshot, colour=use_color(no_color)))
            if changes is not None:
                click.echo(differences(changes))
    return failure(fail_on, snapshot)


def _inside(
    snapshot: Snapshot, flows: Callable[[], Iterable[FlowRecord]], window: WindowRecord
) -> tuple[Snapshot, Callable[[], Iterable[FlowRecord]]]:
    """The requested part."""
    from panotui.views.narrowing import flows_inside, narrowed

    keep = flows_inside(window)
    return narrowed(snapshot, window), lambda: (flow for flow in flows() if keep(flow))


def _redacted(
    snapshot: Snapshot, flows: Callable[[], Iterable[FlowRecord]]
) -> tuple[Snapshot, Callable[[], Iterable[FlowRecord]]]:
    """The same without names and addresses."""
    from panotui.views.masking import Masker

    masker = Masker()
    return masker.snapshot(snapshot), lambda: (masker.flow(flow) for flow in flows())


def _tables(
    named: Path, folder: Path, snapshot: Snapshot, flows: Callable[[], Iterable[FlowRecord]]
) -> None:
    from panotui.report.columns_csv import write_csv

    try:
        write_csv(folder, snapshot, flows())
    except OSError as error:
        raise UsageError(
            f"--csv {named}", error.strerror or str(error), "Name another folder."
        ) from None


def _parquet_writer(folder: Path) -> ParquetWriter:
    from panotui.report.parquet import ParquetWriter

    return ParquetWriter(folder)


def _parquet(
    writer: ParquetWriter,
    named: Named,
    places: Places,
    folder: Path,
    site: Site,
    snapshot: Snapshot,
    flows: Callable[[], Iterable[FlowRecord]],
) -> None:
    """Seconds and events exist only in recordings: a capture is first played into one."""
    import tempfile  # 5 ms of each start, only for this

    from panotui.commands.rehearse import record_capture
    from panotui.recording.reader import Recording

    target = places.place(folder)
    with tempfile.TemporaryDirectory(prefix="panotui-parquet-") as temporary:
        played = places.recording
        if played is None:
            played = record_capture(named.captures, site, "", Path(temporary) / "capture.panotui")
        recording = Recording(played)
        try:
            # if this process gave up root, so does the writer
            become = None if target == folder else (os.geteuid(), os.getegid())
            writer.write(target, flows(), snapshot.streams, recording, become)
        finally:
            recording.close()


def _write(pieces: Iterable[bytes]) -> None:
    """Pieces of text to stdout, flushed at the end (click.echo flushes each)."""
    sys.stdout.flush()
    out = sys.stdout.buffer
    for piece in pieces:
        out.write(piece)
    out.flush()


def _for_peers(
    zeek: Path | None,
    eve: Path | None,
    local: Iterable[str],
    snapshot: Snapshot,
    flows: Callable[[], Iterable[FlowRecord]],
) -> None:
    """The files that other tools read."""
    from panotui.telemetry.eve import eve_lines
    from panotui.telemetry.zeek import conn_json, conn_log

    try:
        if zeek is not None:
            zeek.mkdir(parents=True, exist_ok=True)
            span = snapshot.source.first_time_ns, snapshot.source.last_time_ns
            _write_lines(zeek / "conn.log", conn_log(flows(), local, span))
            _write_lines(zeek / "conn.json", conn_json(flows(), local))
        if eve is not None:
            _write_lines(eve, eve_lines(snapshot, flows()))
    except OSError as error:
        raise UsageError(
            str(error.filename or zeek or eve), error.strerror or str(error), "Name another."
        ) from None


def differences(changes: tuple[FlowChange, ...]) -> str:
    """Differences between verdicts, in words."""
    if not changes:
        return "\nJudged again: no flow differs"
    alike = Counter(change.line() for change in changes)
    number = "1 flow differs" if len(changes) == 1 else f"{len(changes)} flows differ"
    lines = [f"  {line}" + (f" ({n} flows)" if n > 1 else "") for line, n in alike.items()]
    return "\n".join((f"\nJudged again: {number}", *lines))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line if line.endswith("\n") else line + "\n")


class Named(Struct, frozen=True):
    """The named input: captures, or one recording."""

    captures: tuple[str, ...]
    recording: Path | None


def _named(names: tuple[str, ...], was: Path | None) -> Named:
    """UsageError for inputs that cannot be combined."""
    from panotui.commands.input import captures
    from panotui.recording.parts import is_recording

    recordings = [name for name in names if is_recording(Path(name))]
    if not recordings:
        if was is not None and "-" in names:
            raise UsageError("--was", "standard input can be read only once", "Name a file.")
        return Named(tuple(captures(names)), None)
    if len(names) > 1:
        raise UsageError(
            "analyze", "a recording is analysed alone", "Name one recording, or captures."
        )
    if was is not None:
        raise UsageError(
            "--was", "a recording is compared with how it was judged", "Name captures."
        )
    return Named((), Path(recordings[0]))


def _judged(
    named: Named,
    site: Site | None,
    was: Site | None,
    recording: Path | None,
    habits: Baseline | None,
) -> tuple[Snapshot, Callable[[], Iterable[FlowRecord]], tuple[FlowChange, ...] | None]:
    """The last snapshot, the flows, and the flows with another verdict than when the recording was
    made, or than at the site `was` for captures; None if nothing is compared.
    """
    from panotui.commands.input import analysed

    if recording is not None:
        snapshot, flows, differing = _recorded(recording, site)
        if habits is not None:
            require_same_name(habits, snapshot.site.name or "")
            from panotui.recording.minutes import minutes
            from panotui.recording.reader import Recording
            from panotui.recording.unusual import departures, with_departures

            found = departures(habits, minutes(Recording(recording)))
            snapshot = with_departures(snapshot, found)
        return snapshot, flows, differing
    old = None if was is None else list(analysed(named.captures, was).flow_records())
    engine = analysed(named.captures, site or Site(), baseline=habits)
    if old is None:
        return engine.snapshot(), engine.flow_records, None
    from panotui.policy.queries.rejudge import changes

    return engine.snapshot(), engine.flow_records, changes(old, engine.flow_records())


def _recorded(
    path: Path, site: Site | None
) -> tuple[Snapshot, Callable[[], Iterable[FlowRecord]], tuple[FlowChange, ...] | None]:
    """A recording as it was judged, or judged by `site`."""
    from panotui.recording.reader import Recording

    recording = Recording(path)
    if site is None:
        kept = recording.all_flows()  # first, because the snapshot reports damage
        return recording.final(look=True), lambda: kept, None
    from panotui.policy.queries.rejudge import rejudge

    again = rejudge(site, recording.final(look=True), recording.all_flows())
    return again.snapshot, lambda: again.flows, again.changes
