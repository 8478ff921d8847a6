"""`panotui analyze FILE|DIR...`: one pass over captures, or over a recording; answers on stdout."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="FILE|DIR...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--ndjson", is_flag=True, help="A JSON line a record, each with its `record`.")
@click.option(
    "--csv", "csv_folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="A CSV file a table, written into DIR.",
)  # fmt: skip
@site_option
@fail_on_option
@common_options
def command(
    names: tuple[str, ...],
    as_json: bool,
    ndjson: bool,
    csv_folder: Path | None,
    site: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """One pass over captures (pcap, pcapng, .gz, .zst), folders of them, `-` for stdin, or over a
    recording; by default a summary in words.
    """
    import msgspec

    if as_json and ndjson:
        raise UsageError("analyze", "--json and --ndjson exclude each other", "Choose one.")
    snapshot, analysis = answer(names, site)
    if csv_folder is not None:
        _write_csv(csv_folder, analysis)
    if as_json:
        click.echo(msgspec.json.encode(analysis).decode())
    elif ndjson:
        for line in _lines(analysis):
            click.echo(msgspec.json.encode(line).decode())
    elif csv_folder is None:
        from panotui.commands.summary import summary

        click.echo(summary(snapshot, colour=use_color(no_color)))
    return failure(fail_on, snapshot)


def answer(names: tuple[str, ...], site: Path | None) -> tuple[Any, dict[str, Any]]:
    """(snapshot, analysis) of captures or of one recording."""
    from panotui.commands.input import analysed, captures
    from panotui.recording.folder import is_recording
    from panotui.report.analysis import analysis_from_records

    known, _, _ = read_site(site)
    recordings = [name for name in names if is_recording(Path(name))]
    if recordings:
        if len(names) > 1:
            raise UsageError(
                "analyze", "a recording is analysed alone", "Name one recording, or captures."
            )
        from panotui.recording.reader import Recording

        recording = Recording(Path(recordings[0]))
        try:
            snapshot = recording.final()
            return snapshot, analysis_from_records(snapshot, recording.all_flows())
        finally:
            recording.close()
    engine = analysed(captures(names), known)
    snapshot = engine.snapshot()
    return snapshot, analysis_from_records(snapshot, engine.flow_records())


def _lines(analysis: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The object in pieces: lists a line an item, the rest a line a key."""
    yield {"record": "schema", "schema": analysis["schema"]}
    for key, value in analysis.items():
        if isinstance(value, list | tuple):
            for item in value:
                yield {"record": _SINGULAR.get(key, key), **item}
        elif isinstance(value, Mapping):
            yield {"record": key, **value}


_SINGULAR = {
    "ports": "port",
    "flows": "flow",
    "streams": "stream",
    "cameras": "camera",
    "endpoints": "endpoint",
    "violations": "violation",
    "findings": "finding",
}


def _write_csv(folder: Path, analysis: Mapping[str, Any]) -> None:
    from panotui.feed.export import safe_cell

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in analysis.items():
            if not isinstance(value, list | tuple):
                continue
            flat = [dict(_flat(item)) for item in value]
            columns = list(dict.fromkeys(name for row in flat for name in row))
            with (folder / f"{key}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(columns)
                for row in flat:
                    writer.writerow([safe_cell(row.get(column)) for column in columns])
    except OSError as error:
        raise UsageError(
            f"--csv {folder}", error.strerror or str(error), "Name another folder."
        ) from None


def _flat(item: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested objects as `jitter_ms.mean`; lists stay one cell of JSON."""
    for key, value in item.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
