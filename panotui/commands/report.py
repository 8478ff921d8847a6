"""`panotui report DIR|FILE -o out.html`: a self-contained page with plots, or Markdown."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from panotui.commands.options import common_options, fail_on_option, failure, read_site, site_option
from panotui.errors import InputError, UsageError


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="DIR|FILE")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write it here (default: stdout).")  # fmt: skip
@click.option("--markdown", is_flag=True, help="Markdown without plots, for a ticket or a wiki.")
@site_option
@fail_on_option
@common_options
def command(
    path: Path,
    output: Path | None,
    markdown: bool,
    site: Path | None,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """A self-contained page over a recording or a capture: findings, streams, endpoints, plots."""
    from panotui.recording.folder import is_recording

    known, text, _ = read_site(site)
    if not path.exists():
        raise InputError(str(path), "does not exist", "Check the name.")
    if path.is_dir():
        if not is_recording(path):
            raise InputError(
                str(path), "this folder is no recording", "Name a recording, or a capture."
            )
        return _write(path, path.name, output, markdown, fail_on)
    with tempfile.TemporaryDirectory(prefix="panotui-report-") as folder:
        from panotui.commands.rehearse import record_capture

        recording = record_capture([str(path)], known, text, Path(folder) / "capture.panotui")
        return _write(recording, path.name, output, markdown, fail_on)


def _write(
    folder: Path, title: str, output: Path | None, markdown: bool, fail_on: tuple[str, ...]
) -> int:
    from panotui.recording.reader import Recording
    from panotui.report import page

    recording = Recording(folder)
    try:
        text = page.markdown(recording, title) if markdown else page.html(recording, title)
        if output is None:
            click.echo(text)
        else:
            try:
                output.write_text(text + "\n", encoding="utf-8")
            except OSError as error:
                raise UsageError(
                    str(output), error.strerror or str(error), "Name another file with -o."
                ) from None
        return failure(fail_on, recording.final())
    finally:
        recording.close()
