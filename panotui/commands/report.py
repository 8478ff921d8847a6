"""`panotui report DIR|FILE...`: a self-contained page with plots, a PDF, or Markdown for a ticket.

A capture is first played into a temporary recording, as in `review`, so that both kinds of input
give the same report from the same tables.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui import __version__
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
)
from panotui.commands.printing import printer
from panotui.commands.times import moment_s, zone_of
from panotui.errors import InputError, UsageError
from panotui.model import SECOND, Site, SiteReport, WindowRecord

if TYPE_CHECKING:
    from panotui.model.baseline import Baseline
    from panotui.recording.reader import Recording
    from panotui.report.story import Heading, Story


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options of a report."""

    title: str | None
    customer: str | None
    technician: str | None
    zone: str | None
    since: str | None
    until: str | None
    against: str | None
    filter: str = ""
    habits: Baseline | None = None

    def heading(self, site: SiteReport) -> Heading:
        """Options take precedence over the site file."""
        from panotui.report.story import Heading
        from panotui.report.wording import LocalTime
        from panotui.wire.text import printable

        words = (
            option or said
            for option, said in (
                (self.title, site.title),
                (self.customer, site.customer),
                (self.technician, site.technician),
            )
        )
        title, customer, technician = (w and printable(w, 200) for w in words)
        zone = zone_of(self.zone or site.zone)
        return Heading(title, customer, technician, LocalTime(zone))


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="DIR|FILE...")
@click.option("-o", "--output", metavar="FILE", help="The file to write; `-` is stdout.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown for a ticket.")
@click.option(
    "--pdf", "as_pdf", is_flag=True,
    help="A PDF, printed by an installed Chromium (default: NAME.pdf here).",
)  # fmt: skip
@click.option("--title", metavar="TEXT", help="The heading (default: from the site's name).")
@click.option("--customer", metavar="TEXT", help="For whom.")
@click.option("--technician", metavar="TEXT", help="By whom.")
@click.option("--zone", metavar="NAME", help="Times in this zone (default: this machine's).")
@click.option(
    "--since", metavar="TIME", help="Only from this time on: 22:00, 8h, 2026-11-29 22:00."
)
@click.option("--until", metavar="TIME", help="Only until this time.")
@click.option("--against", metavar="TIME",
              help="Compare with an equal span from there (default: the one before).")  # fmt: skip
@click.option("--filter", "filter_text", default="", metavar="TEXT",
              help="Only matching rows: the language of / on the screen.")  # fmt: skip
@click.option("--redact", is_flag=True, help="Replace names and addresses by numbers.")
@baseline_option
@site_option
@fail_on_option
@common_options
def command(
    names: tuple[str, ...],
    output: str | None,
    as_markdown: bool,
    as_pdf: bool,
    title: str | None,
    customer: str | None,
    technician: str | None,
    zone: str | None,
    since: str | None,
    until: str | None,
    against: str | None,
    filter_text: str,
    redact: bool,
    baseline: Path | None,
    site: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """Write one page that tells a customer what is wrong and what to do, from a recording or a
    capture (`-` reads one from stdin); several inputs give one row each, followed by their reports.

    The page includes its plots and needs neither network nor scripts. Title, customer, technician
    and zone may also be set in the site file, as `[report]`.
    """
    as_pdf = as_pdf or (output is not None and output.lower().endswith(".pdf") and not as_markdown)
    if as_pdf and as_markdown:
        raise UsageError("report", "--pdf and --markdown exclude each other", "Choose one.")
    if as_pdf and output is None:
        output = f"{Path(names[0]).name.removesuffix('.panotui')}.pdf"
    if output is None and not as_markdown and sys.stdout.isatty():
        raise UsageError(
            "report", "an HTML page cannot be printed on a terminal", "Add -o report.html."
        )
    target = "-" if output is None else output
    _require_writable(target)
    known, text, _ = read_site(site)
    habits = read_baseline(baseline)
    require_same_site(habits, baseline, known)
    asked = _Asked(
        title, customer, technician, zone, since, until, against, filter_text.strip(), habits
    )
    if asked.filter:
        from panotui.views.narrowing import check_filter

        check_filter(asked.filter)
    with contextlib.ExitStack() as stack:
        pdf: Callable[[str], bytes] | None = None
        if as_pdf:
            pdf = stack.enter_context(printer())  # reports missing parts before minutes of reading
        inputs = _Inputs.of(names)
        places = stack.enter_context(
            confined(
                captures=[file for _, files in inputs.captures for file in files],
                recording=inputs.recordings[0] if inputs.recordings else None,
                others=inputs.recordings[1:],
                evidence=True,
                files=[("-o", Path(target))],
            )
        )
        reading = [] if places.recording is None else [places.recording, *places.others]
        stories = [
            _read(folder, named.resolve().name, asked, known.report if site is not None else None)
            for folder, named in zip(reading, inputs.recordings, strict=True)
        ]
        stories += [_story(name, files, known, text, asked) for name, files in inputs.captures]
        stories = inputs.in_order(stories)
        if redact:
            from panotui.report.redacted import redacted

            stories = redacted(stories)
        place = str(places.place(Path(target)))
        if as_markdown:
            from panotui.report.markdown import markdown

            _write(target, place, _encoded(markdown(*stories)))
        else:
            from panotui.report.page import page

            whole = page(*stories, is_redacted=redact)
            _write(target, place, _encoded(whole) if pdf is None else pdf(whole))
    return max(failure(fail_on, story.snapshot) for story in stories)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The named inputs, by kind."""

    names: tuple[str, ...]
    recordings: list[Path]
    captures: list[tuple[str, list[str]]]  # (name given by the user, its files)

    @classmethod
    def of(cls, names: tuple[str, ...]) -> _Inputs:
        from panotui.commands.input import captures
        from panotui.recording.parts import is_recording

        recordings = [Path(name) for name in names if is_recording(Path(name))]
        found = [(n, captures([n])) for n in names if not is_recording(Path(n))]
        return cls(names, recordings, found)

    def in_order(self, stories: list[Story]) -> list[Story]:
        """Stories of recordings, then of captures, in the order in which they were named."""
        ready = dict(zip([*map(str, self.recordings), *(n for n, _ in self.captures)], stories,
                         strict=True))  # fmt: skip
        return [ready[str(Path(name)) if str(Path(name)) in ready else name] for name in self.names]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _story(name: str, files: list[str], site: Site, site_text: str, asked: _Asked) -> Story:
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
            return _nothing(name, files, site, asked)
        named = "stdin" if name == "-" else Path(name).name
        return replace(_read(recording, named, asked, site.report), is_capture=True)


def _has_packets(folder: Path) -> bool:
    from panotui.recording.reader import Recording

    try:
        Recording(folder).close()
    except InputError:  # what it says of a recording is no news for who named a capture
        return False
    return True


def _nothing(name: str, files: list[str], site: Site, asked: _Asked) -> Story:
    """The story of a capture without packets, which makes no recording. InputError for a pipe."""
    from panotui.commands.input import analysed
    from panotui.report.story import empty_story

    if name == "-":
        raise InputError(
            "stdin", "it contained no packets", "Check the program that writes to the pipe."
        )
    snapshot = analysed(files, site, "report").snapshot()
    heading = asked.heading(site.report)
    return empty_story(snapshot, Path(name).name, f"Panotui {__version__}", heading)


def _with_departures(story: Story, recording: Recording, habits: Baseline) -> Story:
    """The story with deviations from a baseline in its span."""
    from panotui.recording.minutes import minutes
    from panotui.recording.unusual import departures, with_departures

    require_same_name(habits, story.snapshot.site.name or "")
    begin_ns, end_ns = story.start_s * SECOND, story.end_s * SECOND
    found = tuple(
        finding
        for finding in departures(habits, minutes(recording))
        if finding.first_time_ns < end_ns and (finding.cleared_time_ns or end_ns) > begin_ns
    )
    return replace(story, snapshot=with_departures(story.snapshot, found))


def _read(folder: Path, named: str, asked: _Asked, report: SiteReport | None) -> Story:
    from panotui.recording.reader import Recording
    from panotui.report.part import part_of
    from panotui.report.story import story_of
    from panotui.views.narrowing import flows_inside, narrowed

    recording = Recording(folder)
    try:
        heading = asked.heading(report or _heading_of(recording))
        end_s = recording.end_ns // 1_000_000_000
        zone = heading.time.zone
        story = story_of(
            recording,
            named,
            f"Panotui {__version__}",
            heading=heading,
            since_s=None if asked.since is None else moment_s(asked.since, end_s, zone, "--since"),
            until_s=None if asked.until is None else moment_s(asked.until, end_s, zone, "--until"),
            against_s=(
                None if asked.against is None else moment_s(asked.against, end_s, zone, "--against")
            ),
            keep_flow=flows_inside(WindowRecord(filter=asked.filter)) if asked.filter else None,
        )
        if asked.habits is not None:
            story = _with_departures(story, recording, asked.habits)
        if not asked.filter:
            return story
        return part_of(story, narrowed(story.snapshot, WindowRecord(filter=asked.filter)))
    finally:
        recording.close()


def _heading_of(recording: Recording) -> SiteReport:
    """The heading in the site file of the recording."""
    from panotui.site.file import check_site

    site, _ = check_site(recording.site_text)
    return SiteReport() if site is None else site.report


def _require_writable(target: str) -> None:
    """UsageError for a target that cannot be written, before minutes of reading."""
    if target == "-":
        return
    path = Path(target)
    if path.is_dir():
        raise UsageError(f"-o {target}", "it is a folder", "Name a file in it.")
    if not path.parent.is_dir():
        raise UsageError(f"-o {target}", "its folder does not exist", "Make it first.")


def _write(named: str, target: str, content: bytes) -> None:
    """Write to stdout, or to a file atomically; an older file stays until then. `named` is the
    user's name for it.

    UsageError if the disk refuses.
    """
    if target == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
        try:
            path.write_bytes(content)
        except BrokenPipeError:
            raise  # its reader has closed it
        except OSError as error:
            raise _unwritable(named, error) from None
        return
    path = path.resolve()  # a link stays a link
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(named, error) from None


def _unwritable(target: str, error: OSError) -> UsageError:
    return UsageError(f"-o {target}", error.strerror or str(error), "Name another file with -o.")
