"""File access that root performs for the user that it is about to become, with that user's rights.

A path that a user can influence is opened as that user, so that a link planted there reaches
nothing that the user could not reach anyway. Root acts itself only if the user may not, and if
every folder on the way belongs to root and is closed to others; it then goes from folder handle to
folder handle and follows no link. For a process that is not root, all of this is a plain call.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from panotui.errors import UsageError
from panotui.sources.live import privileges

FOLDER_MODE, PRIVATE_MODE, FILE_MODE = 0o750, 0o700, 0o640
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def acting(user: tuple[int, int] | None = None) -> Iterator[None]:
    """Set the effective user and groups to `user` (uid, gid), or to the target of
    `privileges.drop`. Call before threads are started.
    """
    uid, gid = user or privileges.target()
    if os.geteuid() != 0 or uid == 0:
        yield
        return
    groups = os.getgroups()
    group = os.getegid()
    os.setgroups([gid])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def read_file(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file of the user or of root; OSError as for `open`."""
    descriptor = open_file(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit)


def open_input(path: Path | str, is_wanted: Callable[[int], bool]) -> int:
    """A descriptor for reading a file or pipe as the caller. If the caller may not: as root for a
    pipe, or for a plain file that `is_wanted` accepts (it gets the descriptor). OSError.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY
    caller = privileges.caller()
    try:
        with acting(caller):
            return os.open(path, flags)
    except PermissionError:
        if os.geteuid() != 0 or caller[0] == 0:
            raise
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and is_wanted(descriptor)):
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    raise PermissionError(13, f"user {caller[0]} may not read it, and it is no capture", str(path))


def open_file(path: Path, flags: int) -> int:
    """A descriptor of a file; a new file belongs to the user, with mode 0640. OSError.

    For a caller of sudo, root writes only where that user may: a file with a chosen name in one of
    root's folders can be a program run by root. It reads site files there, and no others.
    """
    flags |= os.O_CLOEXEC
    try:
        with acting():
            return os.open(path, flags, FILE_MODE)
    except PermissionError:
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if os.geteuid() != 0 or (privileges.caller()[0] != 0 and (writes or not _is_site(path))):
            raise
    parent = _own_folder(path.parent, make=False)
    try:
        new = False
        try:
            descriptor = os.open(path.name, flags & ~os.O_CREAT | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            flags |= os.O_EXCL | os.O_NOFOLLOW
            descriptor = os.open(path.name, flags, FILE_MODE, dir_fd=parent)
            new = True
    finally:
        os.close(parent)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or (not new and status.st_uid != 0):
        os.close(descriptor)
        raise PermissionError(1, "it is not root's own plain file", str(path))
    if new:
        os.fchown(descriptor, *privileges.target())
    return descriptor


def _is_site(path: Path) -> bool:
    return path.suffix == ".toml"


def folder(path: Path, *, shared: bool = False) -> int:
    """A descriptor (O_PATH) of the user's folder at `path`, which is created if needed.

    It stays usable through /proc/self/fd after root has been given up. UsageError if the folder
    belongs to somebody else, or if others may read it and this is not wanted.
    """
    uid, _ = privileges.target()
    mode = PRIVATE_MODE if privileges.is_nobody(uid) else FOLDER_MODE
    try:
        descriptor, new = _folder_of_user(path, mode)
    except OSError as error:
        raise UsageError(
            str(path), error.strerror or str(error), "Choose another folder with -o."
        ) from None
    status = os.fstat(descriptor)
    if new and status.st_uid == uid:  # otherwise somebody quickly replaced it
        with acting():
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
    elif status.st_uid != uid:
        os.close(descriptor)
        raise UsageError(
            str(path),
            f"it belongs to user {status.st_uid}, and the recorder runs as user {uid}",
            "Give it to that user, or choose another folder with -o.",
        )
    elif status.st_mode & 0o007 and not shared:
        os.close(descriptor)
        raise UsageError(
            str(path),
            "everybody on this machine may look into it, and recordings hold packets",
            f"Close it with `chmod o= {path}`, or allow it with --shared.",
        )
    return descriptor


def is_reachable(path: Path) -> bool:
    """Whether the user can reach a folder by name, and write there."""
    with acting():
        return os.access(path, os.W_OK | os.X_OK, effective_ids=True)


@contextlib.contextmanager
def closed_folder(handle: int) -> Iterator[None]:
    """Make the user's folder root's for a while, so that nobody can plant a link there. Existing
    entries are the user's plain files, or are refused by name. Everything is given back.

    For folders that the user cannot reach by name, where files must be opened before the drop.
    """
    path = Path(f"/proc/self/fd/{handle}")
    uid, gid = privileges.target()
    folders: list[tuple[int, int]] = []  # with their previous modes
    try:
        _take_over(os.open(path, _FOLDER & ~os.O_NOFOLLOW), folders)
        top = folders[0][0]
        for name in os.listdir(top):
            status = os.stat(name, dir_fd=top, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == uid:
                _take_over(os.open(name, _FOLDER, dir_fd=top), folders)
            else:
                _plain_file(name, status, uid)
        for below, _ in folders[1:]:
            for name in os.listdir(below):
                _plain_file(name, os.stat(name, dir_fd=below, follow_symlinks=False), uid)
        yield
        for below, _ in reversed(folders):
            for name in os.listdir(below):
                os.chown(name, uid, gid, dir_fd=below, follow_symlinks=False)
    finally:
        for descriptor, mode in folders:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            os.close(descriptor)


def _take_over(folder: int, folders: list[tuple[int, int]]) -> None:
    """Make a folder root's and close it: its group may have been allowed to write."""
    folders.append((folder, stat.S_IMODE(os.fstat(folder).st_mode)))
    os.fchown(folder, 0, 0)
    os.fchmod(folder, PRIVATE_MODE)


def _plain_file(name: str, status: os.stat_result, uid: int) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == uid:
        return
    raise UsageError(
        name, "it is no plain file of the recording's own", "Record into another folder with -o."
    )


def writable_folder(path: Path) -> tuple[int, bool]:
    """(descriptor (O_PATH), whether it is the user's) of a folder that can be written: by the user,
    otherwise by root in one of its own folders. OSError if neither may.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    with acting():
        with contextlib.suppress(OSError):
            path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if os.access(path, os.W_OK | os.X_OK, effective_ids=True):
            return os.open(path, flags), True
    if os.geteuid() != 0:
        raise PermissionError(1, f"user {os.geteuid()} may not write there", str(path))
    return _own_folder(path, make=True), False


def _folder_of_user(path: Path, mode: int) -> tuple[int, bool]:
    """(descriptor, whether it was created)."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        with acting():
            path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
            new = _mkdir(path, mode)
            return os.open(path, flags), new
    except PermissionError:
        if os.geteuid() != 0:
            raise
    parent = _own_folder(path.parent, make=True)
    try:
        new = _mkdir(path.name, mode, parent)
        descriptor = os.open(path.name, flags | os.O_NOFOLLOW, dir_fd=parent)
        if new:
            handle = os.open(path.name, _FOLDER, dir_fd=parent)
            os.fchown(handle, *privileges.target())
            os.close(handle)
        return descriptor, new
    finally:
        os.close(parent)


def _own_folder(path: Path, *, make: bool) -> int:
    """A descriptor of one of root's folders, reached only through root's folders and without
    links.
    """
    whole = Path(os.path.abspath(path))
    descriptor = os.open("/", _FOLDER)
    try:
        for part in whole.parts[1:]:
            if make:
                _mkdir(part, 0o755, descriptor)
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            status = os.fstat(descriptor)
            # in a sticky folder nobody can replace root's entries
            others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if status.st_uid != 0 or others:
                raise PermissionError(
                    1, f"{part} on the way is not root's alone, and its user may not", str(path)
                )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _mkdir(name: Path | str, mode: int, parent: int | None = None) -> bool:
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return False
    return True
