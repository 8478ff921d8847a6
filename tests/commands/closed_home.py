"""A copy of the program in a folder that only root can reach, and a watch over what it reads late.

The copy is as root's `git clone` or `pip install` with a strict umask leaves it: folders of mode
0700, files of mode 0600, below a folder of mode 0700. The watch (a `sitecustomize` of every Python
started so) makes the interpreter and its libraries as closed as the copy: once a process is no
longer root, each file of theirs that it opens is refused and written down.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PANOTUI = [sys.executable, "-m", "panotui"]
USERS = ({}, {"SUDO_UID": "1234", "SUDO_GID": "1234"})  # root's own shell, and sudo

WATCH = """\
import os, sys, sysconfig
_paths = {sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib", "platlib")}
_closed = tuple(os.path.realpath(p) + "/" for p in (*_paths, os.path.dirname(__file__)))
_log = os.environ["CLOSED_HOME_LOG"]
_busy = False

def _watch(event, arguments):
    global _busy
    if event != "open" or _busy or os.geteuid() == 0:
        return
    path = arguments[0]
    if not isinstance(path, (str, bytes)):
        return
    _busy = True
    try:
        real = os.path.realpath(os.fsdecode(path))
        if real.startswith(_closed):
            with open(_log, "a") as file:
                file.write(f"{sys.argv[1:2]} {real}\\n")
            raise PermissionError(13, "Permission denied", real)
    finally:
        _busy = False

sys.addaudithook(_watch)

# The libraries' own modes may be open on this machine: who asks hears that they are not.
from panotui.commands import readable
readable.is_readable = lambda path, uid, gid: False
"""


class ClosedHome:
    """The copy, and the environment in which `PANOTUI` runs it."""

    def __init__(self, folder: Path) -> None:
        """`folder` becomes root's alone. The log of late reads is where anybody may write."""
        self.folder = folder
        folder.chmod(0o700)
        self.program = folder / "program"
        self.program.mkdir(mode=0o700)
        for name in ("panotui", "styles"):
            shutil.copytree(
                REPOSITORY / name, self.program / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        (self.program / "sitecustomize.py").write_text(WATCH)
        for place, _, files in os.walk(self.program):
            Path(place).chmod(0o700)
            for file in files:
                (Path(place) / file).chmod(0o600)
        self._log = Path(f"/tmp/panotui-late-{os.getpid()}-{id(self)}")
        self._log.touch()
        self._log.chmod(0o666)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "PYTHON"))},
            "PYTHONPATH": str(self.program),
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CLOSED_HOME_LOG": str(self._log),
            "HOME": str(folder),
            "TERM": "xterm-256color",
        }

    def read_late(self) -> list[str]:
        """The program's own files, its libraries' and its interpreter's that somebody who is not
        root has opened since the last time."""
        found = self._log.read_text().splitlines()
        self._log.write_text("")
        return found

    def close(self) -> None:
        self._log.unlink()


def is_closed(path: Path) -> bool:
    """Whether only the owner gets in."""
    return not stat.S_IMODE(path.stat().st_mode) & 0o077
