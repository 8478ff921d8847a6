"""Puts finished files in place, on behalf of a process that may not write there.

The process that reads hostile bytes has given up all rights, and writes into its own folder. This
process, forked from it earlier, keeps the rights and reads nothing but a start command. It then
takes plain files out of that folder and puts each in the place named on the command line, with the
rights of the caller of sudo, or of root. It ends when the other process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from panotui.errors import UsageError
from panotui.sources.live import deputy, privileges

PIECE = 1 << 20
# names that may be taken out of a folder and its subfolders, two levels deep
TABLE = re.compile(r"[a-z_]{1,40}\.(csv|log|json)|part-[0-9]{1,6}\.parquet")
# of a recording: no one else may read them
PRIVATE = re.compile(r"recording\.sqlite|SHA256SUMS|[0-9]{8}T[0-9A-Za-z-]{1,160}\.pcapng")
FOLDER = re.compile(r"[a-z]{1,20}|day=[0-9-]{10}")
DEPTH = 2
_BEGIN = b"place"


class Wanted(Struct, frozen=True):
    """A file or a folder of tables: its name among the finished files, and its destination."""

    name: str
    target: Path  # absolute
    option: str  # the caller's name for it
    is_folder: bool = False
    opened: int = -1  # the destination itself if it is not a plain file: a pipe, /dev/stdout


def wanted_file(name: str, target: Path, option: str) -> Wanted:
    """A new file, or an existing object to write through. It is opened now, while the name still
    has the caller's meaning. OSError.
    """
    with deputy.acting(privileges.caller()):
        if not target.exists() or target.is_file():
            return Wanted(name, Path(os.path.abspath(target)), option)
        return Wanted(name, target, option, opened=os.open(target, os.O_WRONLY | os.O_CLOEXEC))


class Placing:
    """The other process, seen from the writing process. Create before the drop."""

    def __init__(self, finished: Path, wanted: Sequence[Wanted]) -> None:
        """`finished`: the folder with the finished files."""
        self._ours, theirs = socket.socketpair()
        folder = os.open(finished, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid:
            theirs.close()
            os.close(folder)
            return
        code = 70
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            _keep_only(theirs.fileno(), folder, *(one.opened for one in wanted))
            _serve(theirs, folder, wanted)
            code = 0
        finally:
            os._exit(code)

    def place(self) -> None:
        """Have the finished files put in place. UsageError for the first that fails."""
        try:
            self._ours.sendall(_BEGIN)
            answer = json.loads(self._ours.recv(4096) or b"{}")
        except (OSError, ValueError):
            answer = {}
        if "what" not in answer:
            raise UsageError("output", "it cannot be written: who was to do it has gone")
        if answer["what"]:
            raise UsageError(str(answer["what"]), str(answer["why"]), "Name another.")

    def close(self) -> None:
        """End the process; files not placed by then are lost."""
        self._ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _keep_only(*ours: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in ours:
            with contextlib.suppress(OSError):
                os.close(number)


def _serve(asked: socket.socket, folder: int, wanted: Sequence[Wanted]) -> None:
    if asked.recv(len(_BEGIN)) != _BEGIN:
        return
    answer = {"what": "", "why": ""}
    for one in wanted:
        try:
            if one.is_folder:
                _place_folder(folder, one)
            else:
                _place(folder, one.name, one.target, one.opened)
        except OSError as error:
            answer = {"what": f"{one.option} {one.target}", "why": error.strerror or str(error)}
            break
    asked.sendall(json.dumps(answer).encode())


def _place_folder(finished: int, wanted: Wanted) -> None:
    _place_tables(finished, wanted.name, wanted.target, DEPTH)


def _place_tables(parent: int, name: str, target: Path, depth: int) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(name, flags, dir_fd=parent)
    try:
        entries = sorted(os.listdir(folder))
        is_private = any(PRIVATE.fullmatch(entry) for entry in entries)
        with deputy.acting(privileges.caller()):
            target.mkdir(0o750 if is_private else 0o777, parents=True, exist_ok=True)
        for entry in entries:
            if TABLE.fullmatch(entry):
                _place(folder, entry, target / entry)
            elif PRIVATE.fullmatch(entry):
                _place(folder, entry, target / entry, mode=0o640)
            elif depth and FOLDER.fullmatch(entry):
                _place_tables(folder, entry, target / entry, depth - 1)
    finally:
        os.close(folder)


def _place(finished: int, name: str, target: Path, opened: int = -1, mode: int = 0o666) -> None:
    """Copy one file to `target` atomically (an older file stays until then), or into `opened`."""
    source = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=finished
    )
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise PermissionError(1, "the output is not a plain file", name)
        if opened >= 0:
            _copy(source, opened)
            return
        with deputy.acting(privileges.caller()):
            place = target.resolve()  # a link stays a link
            partial = place.with_name(f".{place.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}")
            out = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                try:
                    _copy(source, out)
                    os.fsync(out)
                finally:
                    os.close(out)
                partial.replace(place)
            finally:
                partial.unlink(missing_ok=True)
    finally:
        os.close(source)


def _copy(source: int, out: int) -> None:
    while piece := os.read(source, PIECE):
        left = memoryview(piece)
        while left:
            left = left[os.write(out, left) :]
