"""A lake in a folder that root writes to: only root's own folders, so that nobody can plant a link
there.

Each folder on the way is checked, from the top: if one belongs to another user, is open to others,
or is a link, root writes and removes nothing. In root's own folders nobody else can change a
checked path. For other users, and for object stores, all of this does nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

FOLDER_MODE = 0o755


def require_own(lake: Any, path: str) -> None:
    """PermissionError if others than root can change the way to `path`, or if `path` itself is a
    link.

    `lake`: the file system of fsspec. Missing parts may be created.
    """
    if os.geteuid() != 0 or "file" not in lake.protocol:
        return
    whole = Path(os.path.abspath(path))
    for part in (*reversed(whole.parents), whole):
        try:
            status = part.lstat()
        except FileNotFoundError:
            return
        # in a sticky folder nobody can replace root's entries
        is_open = stat.S_ISDIR(status.st_mode) and bool(
            status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        )
        if status.st_uid != 0 or is_open or stat.S_ISLNK(status.st_mode):
            why = f"{part} is a link or not root's alone, and root writes there; run as its user"
            raise PermissionError(1, why)


def make_folder(lake: Any, path: str) -> None:
    """Make a folder and those above it. Errors as for `require_own`."""
    require_own(lake, path)
    if os.geteuid() != 0:
        lake.makedirs(path, exist_ok=True)
        return
    whole = Path(path)
    for part in (*reversed(whole.parents), whole):  # closed to others, whatever the umask
        part.mkdir(mode=FOLDER_MODE, exist_ok=True)
    require_own(lake, path)  # somebody may have made one of them meanwhile
