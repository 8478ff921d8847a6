"""`panotui init [INTERFACE ...|FILE]`: watches for a minute, or reads a capture; drafts a site
file.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.confined import confined
from panotui.commands.input import analysed, captures
from panotui.commands.options import COMMANDS, common_options, duration_s
from panotui.errors import InputError, UsageError
from panotui.recording.parts import is_capture_name
from panotui.sources.live.interfaces import existing_interfaces

if TYPE_CHECKING:
    from panotui.engine.engine import Engine


EXIT_INTERRUPTED = 130


@click.command()
@click.argument("names", nargs=-1, metavar="[INTERFACE...|FILE...]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the draft here (default: stdout); an existing file is kept.")  # fmt: skip
@click.option("--for", "for_", default="60s", show_default=True, help="How long to watch.")
@common_options
def command(
    names: tuple[str, ...], output: Path | None, for_: str, verbose: bool, no_color: bool
) -> int:
    """Watch for a minute, or read captures, and draft a site file for a person to check.

    Ctrl-C ends the watch early: the draft is still written, and the exit code is 130.
    """
    seconds = duration_s(for_)
    if output is not None and output.exists():
        raise UsageError(str(output), "it exists and is not overwritten", "Name another with -o.")
    if _are_captures(names):
        from panotui.model import Site

        files = captures(names)
        with confined(captures=files, files=[("-o", output)]) as places:
            engine = analysed(files, Site(), "init")
            return _written(engine, output, None if output is None else places.place(output), False)
    engine, interrupted = _watched(names, seconds)
    return _written(engine, output, output, interrupted)


def _written(engine: Engine, named: Path | None, output: Path | None, interrupted: bool) -> int:
    """Write the draft to stdout or to a file; `named` is the user's name for it."""
    snapshot = engine.snapshot()
    if not snapshot.source.packets:
        if interrupted:
            return EXIT_INTERRUPTED
        raise InputError("init", "no packet was seen", "Is this the right interface, and mirror?")
    text = _draft(engine)
    if output is None:
        click.echo(text, nl=False)
    else:
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UsageError(
                str(named), error.strerror or str(error), "Name another file with -o."
            ) from None
        click.echo(f"panotui: {named} written; check it before use", err=True)
    return EXIT_INTERRUPTED if interrupted else 0


def _are_captures(names: tuple[str, ...]) -> bool:
    """Whether the arguments are files, not interfaces: existing files decide, else the form of the
    name.

    UsageError for a mixture.
    """
    existing = existing_interfaces()
    interfaces = [name for name in names if name in existing]
    files = [
        name
        for name in names
        if name not in existing
        and (name == "-" or Path(name).exists() or "/" in name or is_capture_name(name))
    ]
    if files and interfaces:
        why = f"{interfaces[0]} is an interface and {files[0]} a capture"
        raise UsageError("init", why, "Name one kind of them.")
    return bool(files)


def _draft(engine: Engine) -> str:
    """The site file's text, with the evidence for each line."""
    from panotui.model import SECOND
    from panotui.policy.queries.draft import draft_site, seen_listens, seen_services

    snapshot = engine.snapshot()
    flows, verdicts = engine.flows, engine.verdicts
    slots = flows.shown()
    rows = flows.rows[slots]
    judged = verdicts.judge.judge_rows(
        rows,
        engine.now_ns,
        interfaces=verdicts.interfaces,
        own=flows.own[slots],
        final=True,
    )
    source = snapshot.source
    seconds = ((source.last_time_ns or 0) - (source.first_time_ns or 0)) / SECOND
    where = " and ".join(name for name, _, _ in source.interfaces[:4])
    return draft_site(
        engine.view,
        seen_listens(rows, judged),
        seen_services(rows, judged),
        seen=f"{seconds:.0f} s on {where}",
        interfaces={p.name: p.interface for p in snapshot.ports if p.interface},
    )


def _watched(names: tuple[str, ...], seconds: float) -> tuple[Engine, bool]:
    """The observed traffic, and whether Ctrl-C ended the watch."""
    from panotui.commands.readable import prepare_to_drop

    prepare_to_drop()
    from panotui.commands.capture import live_capture
    from panotui.feed.collector import Collector
    from panotui.model import Site

    capture = live_capture(names, Site(), commands=COMMANDS)
    pump = capture.pump()
    capture.drop_privileges()
    ends = time.monotonic() + seconds

    def status(collector: Collector) -> None:
        if sys.stderr.isatty():
            left = max(0, round(ends - time.monotonic()))
            packets = collector.engine.snapshot().source.packets
            print(
                f"\r\x1b[Kwatching: {left} s left, {packets:,} packets (Ctrl-C: enough)",
                end="", file=sys.stderr, flush=True,
            )  # fmt: skip

    collector = Collector(
        pump, links=capture.links, wait_on=pump.filenos, status=status, time_ns=capture.keeper
    )
    # Ctrl-C ends the watch early: the draft is still written.
    signal.signal(signal.SIGINT, lambda number, frame: collector.stop("enough"))
    ended = collector.run(for_s=seconds)
    collector.finish(ended)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return collector.engine, ended == "enough"
