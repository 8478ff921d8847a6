"""`panotui report DIR|FILE`: a self-contained page with plots, or Markdown for a ticket.

A capture is played into a temporary recording first, as `review` does, so that both kinds of input
give the same report from the same tables.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui import __version__
from panotui.commands.confined import confined
from panotui.commands.options import common_options, fail_on_option, failure, read_site, site_option
from panotui.errors import InputError, UsageError

if TYPE_CHECKING:
    from panotui.model import Site
    from panotui.report.content import Story


@click.command()
@click.argument("name", metavar="DIR|FILE")
@click.option("-o", "--output", metavar="FILE", help="Where to write; `-` is stdout.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown for a ticket.")
@site_option
@fail_on_option
@common_options
def command(
    name: str,
    output: str | None,
    as_markdown: bool,
    site: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """One page that tells a customer what is wrong and what to do, from a recording or a capture
    (`-` reads one from stdin).

    The page holds its plots and needs neither network nor script.
    """
    if output is None and not as_markdown and sys.stdout.isatty():
        raise UsageError("report", "a page is nothing for a terminal", "Add -o report.html.")
    target = "-" if output is None else output
    _require_writable(target)
    known, text, _ = read_site(site)
    from panotui.commands.input import captures
    from panotui.recording.parts import is_recording

    path = Path(name)
    recording = path if is_recording(path) else None
    files = captures([name]) if recording is None else []
    named = path.name if recording is None else path.resolve().name
    with confined(captures=files, recording=recording, files=[("-o", Path(target))]) as places:
        if places.recording is not None:
            story = _read(places.recording, named)
        else:
            story = _story(name, files, known, text)
        place = str(places.place(Path(target)))
        if as_markdown:
            from panotui.report.markdown import markdown

            _write(target, place, markdown(story))
        else:
            from panotui.report.page import page

            _write(target, place, page(story))
    return failure(fail_on, story.snapshot)


def _story(name: str, files: list[str], site: Site, site_text: str) -> Story:
    with tempfile.TemporaryDirectory(prefix="panotui-report-") as folder:
        from panotui.commands.rehearse import record_capture

        try:
            recording = record_capture(files, site, site_text, Path(folder) / "capture.panotui")
        except OSError as error:
            raise InputError(
                name,
                f"it cannot be read through a temporary folder ({error.strerror or error})",
                "Set TMPDIR to a folder with free space.",
            ) from None
        if not _has_packets(recording):
            return _nothing(name, files, site)
        return _read(recording, "stdin" if name == "-" else Path(name).name)


def _has_packets(folder: Path) -> bool:
    from panotui.recording.reader import Recording

    try:
        Recording(folder).close()
    except InputError:  # what it says of a recording is no news for who named a capture
        return False
    return True


def _nothing(name: str, files: list[str], site: Site) -> Story:
    """The story of a capture without packets, which makes no recording. InputError for a pipe."""
    from panotui.commands.input import analysed
    from panotui.report.content import empty_story

    if name == "-":
        raise InputError("stdin", "there was no packet in it", "Look at what writes the pipe.")
    snapshot = analysed(files, site, "report").snapshot()
    return empty_story(snapshot, Path(name).name, f"Panotui {__version__}")


def _read(folder: Path, named: str) -> Story:
    from panotui.recording.reader import Recording
    from panotui.report.content import story_of

    recording = Recording(folder)
    try:
        return story_of(recording, named, f"Panotui {__version__}")
    finally:
        recording.close()


def _require_writable(target: str) -> None:
    """UsageError for a target that can never be written, before minutes of reading."""
    if target == "-":
        return
    path = Path(target)
    if path.is_dir():
        raise UsageError(f"-o {target}", "it is a folder", "Name a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"-o {target}", "its folder does not exist", "Make it first.")


def _write(named: str, target: str, text: str) -> None:
    """To stdout, or to a file that is whole or not there; an older one stays until then. `named` is
    what a person calls it.

    UsageError when the disk refuses.
    """
    if target == "-":
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
        try:
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except BrokenPipeError:
            raise  # its reader has seen enough
        except OSError as error:
            raise _unwritable(named, error) from None
        return
    path = path.resolve()  # a link stays a link
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        try:
            with partial.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(named, error) from None


def _unwritable(target: str, error: OSError) -> UsageError:
    return UsageError(f"-o {target}", error.strerror or str(error), "Name another file with -o.")
