"""`panotui review DIR|FILE`: the same screens over a recording or a capture, with a time line."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.compare_files import compare, two_names
from panotui.commands.confined import confined
from panotui.commands.options import common_options, read_site, site_option
from panotui.commands.preferences import preferences, screen_options
from panotui.commands.readable import REVIEW
from panotui.errors import InputError, UsageError
from panotui.model import Site

if TYPE_CHECKING:
    from panotui.tui.settings import Settings


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR|FILE [FILE]"
)
@click.option(
    "--names",
    default="A,B",
    metavar="A,B",
    help="For two captures: names of the two places, e.g. switch,appliance.",
)
@click.option(
    "--any-offset",
    is_flag=True,
    help="For two captures: compare even if the clocks are an hour or more apart.",
)
@site_option
@screen_options
@common_options
def command(
    paths: tuple[Path, ...],
    names: str,
    any_offset: bool,
    site: Path | None,
    theme: str | None,
    units: str | None,
    mouse: bool | None,
    config_file: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Show the screens of a recording or a capture file, with a time line.

    A capture is analysed first, with progress; Ctrl-C leaves no files behind. A recording is judged
    again if --site is given; each flow with another verdict is among the events.

    Two captures of the same traffic at two places are compared: a sentence, both sides of each
    stream and flow beside each other, and the loss between them over time.
    """
    from panotui.commands.terminal import end_on_signals, require_terminal
    from panotui.recording.parts import is_recording

    known, text, _ = read_site(site)
    if len(paths) > 1:
        wanted = preferences(theme, mouse, config_file, units)
        return _compared(paths, names, any_offset, known, no_color, wanted)
    (path,) = paths
    if path.is_dir() and not is_recording(path):
        raise InputError(
            str(path), "this folder is not a recording", "Name a folder of `record`, or a capture."
        )
    if not path.exists():
        raise InputError(str(path), "does not exist", "Check the name.")
    wanted = preferences(theme, mouse, config_file, units)
    require_terminal()
    end_on_signals()
    if path.is_dir():
        with confined(recording=path, exports=True, late=REVIEW) as places:
            # A site file that is found by default, not named, does not cause a new judgement.
            again = (known, text) if site is not None else None
            return _show(places.recording or path, path, places.exports, no_color, wanted, again)
    with (
        confined(captures=[str(path)], exports=True, late=REVIEW) as places,
        tempfile.TemporaryDirectory(prefix="panotui-review-") as folder,
    ):
        from panotui.commands.rehearse import record_capture

        # the header shows the name of the capture
        recording = record_capture([str(path)], known, text, Path(folder) / path.name)
        return _show(recording, path, places.exports, no_color, wanted)


def _compared(
    paths: tuple[Path, ...],
    names: str,
    any_offset: bool,
    site: Site,
    no_color: bool,
    wanted: tuple[Settings, list[str]],
) -> int:
    """Two captures side by side."""
    from panotui.commands.terminal import end_on_signals, require_terminal

    called = two_names(names)
    if len(paths) > 2 or any(path.is_dir() for path in paths):
        raise UsageError(
            "review " + " ".join(map(str, paths)),
            "side by side are two captures; recordings hold no packets to compare",
            "Name one recording, or two captures.",
        )
    require_terminal()
    end_on_signals()
    first, second = map(str, paths)
    with confined(captures=[first, second], exports=True, late=REVIEW) as places:
        from panotui.tui import app
        from panotui.tui.comparison import ComparisonSession
        from panotui.views.comparison import ComparisonSource

        found = compare(first, second, called, site, any_offset)
        return int(app.run(ComparisonSource(found, places.exports), mode="review",
                           no_color=no_color, settings=wanted[0], complaints=wanted[1],
                           session=partial(ComparisonSession, found)))  # fmt: skip


def _show(
    folder: Path,
    named: Path,
    exports: Path,
    no_color: bool,
    wanted: tuple[Settings, list[str]],
    again: tuple[Site, str] | None = None,
) -> int:
    from panotui.commands.explain import explainer
    from panotui.recording.reader import Recording
    from panotui.site.file import parse_site
    from panotui.tui import app
    from panotui.tui.remembered import first_start
    from panotui.views.review import LocalClient, ReviewProvider

    if again is None:
        recording = Recording(folder)
    else:
        from panotui.recording.rejudged import RejudgedRecording

        recording = RejudgedRecording(folder, *again)
    try:
        site = parse_site(recording.site_text, str(named))
        provider = ReviewProvider(recording, explain=explainer(site), export_folder=exports)
        client = LocalClient(provider)
        return int(app.run(client, mode="review", no_color=no_color, hints=first_start(),
                           settings=wanted[0], complaints=wanted[1]))  # fmt: skip
    finally:
        recording.close()
