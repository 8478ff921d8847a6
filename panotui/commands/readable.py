"""Keeps the program's own files readable after privileges are dropped.

Root may run a copy that only root can reach (a virtual environment under /root); modules, rule
files and style sheets are read as they are needed, also after the drop. So the folders that Python
imports from are opened before it, and paths through those open handles replace the names: what was
opened stays reachable, and nothing else of root's becomes so.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path


def prepare_to_drop() -> None:
    """Call it first of all in a process that will drop privileges: what is imported afterwards
    knows its own files by the names that stay reachable."""
    if os.geteuid() == 0:
        from panotui.sources.live import privileges

        keep_readable(*privileges.target())


def keep_readable(uid: int, gid: int) -> int:
    """Open handles for the import folders that (uid, gid) could not reach; how many there are.

    Does nothing unless this is root about to become somebody else.
    """
    if os.geteuid() != 0 or uid == 0 or not Path("/proc/self/fd").exists():
        return 0
    changed: dict[str, str] = {}
    for entry in dict.fromkeys(_folders()):
        if entry in changed or _reachable(Path(entry), uid, gid):
            continue
        try:
            handle = os.open(entry, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue  # a zip or a folder that is not there
        changed[entry] = f"/proc/self/fd/{handle}"
    if changed:
        _rename(changed)
    return len(changed)


def _folders() -> Iterable[str]:
    for entry in sys.path:
        yield entry or os.getcwd()
    yield str(Path(__file__).resolve().parents[2])


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether every folder on the way may be searched and the last one read."""
    for folder in (path, *path.parents):
        try:
            status = folder.stat()
        except OSError:
            return True  # not there: nothing to reach
        mode = status.st_mode
        if status.st_uid == uid:
            allowed = mode & stat.S_IXUSR
        elif status.st_gid == gid:
            allowed = mode & stat.S_IXGRP
        else:
            allowed = mode & stat.S_IXOTH
        if not allowed:
            return False
    return True


def _rename(changed: dict[str, str]) -> None:
    # The longest first: site-packages lies below the standard library.
    order = sorted(changed, key=len, reverse=True)

    def renamed(path: str) -> str:
        for old in order:
            if path == old or path.startswith(old + "/"):
                return changed[old] + path[len(old) :]
        return path

    sys.path[:] = [renamed(entry or os.getcwd()) for entry in sys.path]
    for module in list(sys.modules.values()):
        search = getattr(module, "__path__", None)
        if isinstance(search, list):
            search[:] = [renamed(str(path)) for path in search]
    sys.path_importer_cache.clear()
