"""`panotui evidence RECORDING [ID] -o out.pcapng`: the packets of one finding or violation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.options import common_options
from panotui.errors import UsageError

if TYPE_CHECKING:
    from panotui.recording.reader import Recording


@click.command()
@click.argument("recording", type=click.Path(path_type=Path), metavar="RECORDING")
@click.argument("key", required=False, metavar="[ID]")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The pcapng file to write; it must be new.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@common_options
def command(
    recording: Path,
    key: str | None,
    output: Path | None,
    as_json: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Write the packets that prove a finding or violation of a recording, with the first packets of
    their flows; the packets that show it carry its sentence as a comment.

    ID is the id of a finding or violation, a key such as `finding:camera-auth|yard`, or the name of
    an evidence file. Without it, list what there is.
    """
    from panotui.commands.confined import confined
    from panotui.recording.evidence_export import save
    from panotui.recording.reader import Recording
    from panotui.wire.text import printable

    if key is not None and output is None:
        raise UsageError("evidence", "there is no file to write to", "Name it with -o.")
    if key is None and output is not None:
        raise UsageError("evidence", "no ID was given", "Name an ID before -o.")
    if output is not None and os.path.lexists(output):
        raise UsageError(
            f"evidence {printable(str(output))}", "File exists", "Name another file with -o."
        )
    with confined(recording=recording, files=[("-o", output)], evidence=True) as places:
        opened = Recording(places.recording or recording)
        try:
            if key is None or output is None:
                _list(opened, as_json)
                return 0
            saved = save(opened, key, places.place(output))
        finally:
            opened.close()
    if as_json:
        frames = [{"frame": f.frame, "text": f.text} for f in saved.frames]
        click.echo(
            json.dumps(
                {
                    "file": str(output),
                    "packets": saved.packets,
                    "frames": frames,
                    "cut": saved.cut,
                    "changed": saved.changed,
                }
            )
        )
    else:
        click.echo(saved.text(str(output)))
    return 0


def _list(opened: Recording, as_json: bool) -> None:
    from panotui.report.objects import evidence_file_object

    files = opened.evidence_files(look=as_json)
    if as_json:
        click.echo(json.dumps({"evidence": [evidence_file_object(e) for e in files]}))
        return
    for kept in files:
        frames = ", ".join(str(f.frame) for f in kept.frames[:6])
        shown = f"  frame {frames}" if frames else ""
        click.echo(
            f"{kept.subject or 'control packets'}  {kept.file}  {kept.packets:,} packets{shown}"
        )
