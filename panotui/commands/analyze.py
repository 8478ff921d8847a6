"""`panotui analyze FILE|DIR...`: one pass over captures, or over a recording; answers on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from panotui.commands.options import (
    common_options,
    fail_on_option,
    failure,
    read_site,
    site_option,
    use_color,
)
from panotui.errors import UsageError
from panotui.model import FlowRecord, Snapshot


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="FILE|DIR...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--ndjson", is_flag=True, help="A JSON line a record, each with its `record`.")
@click.option(
    "--csv", "csv_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="A CSV file a table, written into DIR.",
)  # fmt: skip
@click.option("--zeek", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Zeek's conn.log, written into DIR.")  # fmt: skip
@click.option("--eve", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Suricata's EVE JSON lines, written to FILE.")  # fmt: skip
@site_option
@fail_on_option
@common_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    ndjson: bool,
    csv_folder: Path | None,
    zeek: Path | None,
    eve: Path | None,
    site: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """One pass over captures (pcap, pcapng, .gz, .zst), folders of them, `-` for stdin, or over a
    recording; by default a summary in words.
    """
    if as_json and ndjson:
        raise UsageError("analyze", "--json and --ndjson exclude each other", "Choose one.")
    snapshot, flows = answer(names, site)
    if csv_folder is not None:
        from panotui.report.columns_csv import write_csv

        try:
            write_csv(csv_folder, snapshot, flows())
        except OSError as error:
            raise UsageError(
                f"--csv {csv_folder}", error.strerror or str(error), "Name another folder."
            ) from None
    if zeek is not None or eve is not None:
        _for_peers(zeek, eve, snapshot, flows)
    if as_json:
        from panotui.report.analysis import json_pieces

        _write(json_pieces(snapshot, flows()))
    elif ndjson:
        from panotui.report.analysis import dumps, lines

        _write(dumps(line).encode() + b"\n" for line in lines(snapshot, flows()))
    elif csv_folder is None and zeek is None and eve is None:
        from panotui.commands.summary import summary

        click.echo(summary(snapshot, colour=use_color(no_color)))
    return failure(fail_on, snapshot)


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
    snapshot: Snapshot,
    flows: Callable[[], Iterable[FlowRecord]],
) -> None:
    """The files that other tools read."""
    from panotui.telemetry.eve import eve_lines
    from panotui.telemetry.zeek import conn_log

    try:
        if zeek is not None:
            zeek.mkdir(parents=True, exist_ok=True)
            _write_lines(zeek / "conn.log", conn_log(flows()))
        if eve is not None:
            _write_lines(eve, eve_lines(snapshot, flows()))
    except OSError as error:
        raise UsageError(
            str(error.filename or zeek or eve), error.strerror or str(error), "Name another."
        ) from None


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line if line.endswith("\n") else line + "\n")


def answer(
    names: tuple[str, ...], site: Path | None
) -> tuple[Snapshot, Callable[[], Iterable[FlowRecord]]]:
    """The last snapshot and the flows of captures, or of one recording."""
    from panotui.commands.input import analysed, captures
    from panotui.recording.folder import is_recording

    known, _, _ = read_site(site)
    recordings = [name for name in names if is_recording(Path(name))]
    if recordings:
        if len(names) > 1:
            raise UsageError(
                "analyze", "a recording is analysed alone", "Name one recording, or captures."
            )
        from panotui.recording.reader import Recording

        recording = Recording(Path(recordings[0]))
        return recording.final(), recording.all_flows
    engine = analysed(captures(names), known)
    return engine.snapshot(), engine.flow_records
