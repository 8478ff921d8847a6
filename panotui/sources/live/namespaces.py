"""A network namespace and a mount namespace for this process (namespaces(7)). Only root may enter
them.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
# Folders that exist on every system and that this program does not need. In the process's own view
# one of them becomes the mount point for a folder that is out of reach by name.
_SPARE = ("/mnt", "/media", "/srv")


def leave_network() -> bool:
    """Move into an empty network; open sockets keep their network. True on success."""
    return _unshare(CLONE_NEWNET)


_view: Path | None = None  # where this process's own folders are, once it has its own view


def within_reach(handle: int, name: str) -> Path | None:
    """A path, in this process's own view, of a folder that only root can reach by name; None if the
    system does not allow it. Nobody else sees it, and it disappears with the process.
    """
    global _view
    if _view is None:
        _view = _own_view()
    if _view is None:
        return None
    place = _view / str(handle) / name  # a handle belongs to one folder only
    place.mkdir(parents=True)
    return place if _mount(f"/proc/self/fd/{handle}", str(place), None, MS_BIND) else None


def _own_view() -> Path | None:
    if not _unshare(CLONE_NEWNS) or not _mount(None, "/", None, MS_REC | MS_PRIVATE):
        return None
    for spare in _SPARE:
        if not os.path.isdir(spare) or Path.cwd().is_relative_to(spare):
            continue
        if _mount("tmpfs", spare, "tmpfs", 0, "size=64k,mode=755"):
            return Path(spare)
    return None


def _unshare(what: int) -> bool:
    if os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return hasattr(libc, "unshare") and libc.unshare(what) == 0


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    texts = [text and os.fsencode(text) for text in (source, target, kind, options)]
    return bool(libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) == 0)
