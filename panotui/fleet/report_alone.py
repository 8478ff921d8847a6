"""The confinement of `fleet report`: it reads a lake, which others may write, and writes pages.

It can open only the program's own files, the lake and the pages. In the pages' folder it may make
new files; of the files that are there, it can change only those of an earlier report. It has no
TCP. See `landlock`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from panotui.errors import UsageError
from panotui.fleet.own_lake import require_own
from panotui.fleet.pages import pages_folder
from panotui.sources.live import landlock


def enter(lake: Any, root: str, output: Path) -> bool:
    """Confine this process permanently. True on success; false without Landlock, and if the lake is
    in an object store, whose credentials may be anywhere. UsageError if root would write where
    others can plant links.
    """
    pages = pages_folder(output)
    try:
        for place in (output, pages):
            require_own(LocalFileSystem(), str(place))
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {output}", error.strerror or str(error), "Name another.") from None
    if "file" not in lake.protocol:
        return False
    places: list[tuple[Path | str, int]] = [
        *((place, landlock.READ) for place in landlock.own_places()),
        (root, landlock.READ),
        (output.parent, landlock.NEW_FILES | landlock.MAKE_DIR),
        (output, landlock.WRITE),
        (pages, landlock.WRITE),
    ]
    return landlock.enter(landlock.domain(places))
