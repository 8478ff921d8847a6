"""The confinement of the driver, and of workers that it starts: captures, the lake, a scratch
folder.

They read only results of analyses; an analysis, which reads hostile bytes, is in a narrower domain
of its own (`commands/analyze_alone`). See `landlock`.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dask import config as dask_config

import panotui
from panotui.fleet.entries import Job
from panotui.fleet.own_lake import make_folder
from panotui.sources.live import landlock

# Dask measures the machine, TLS follows its policy, and Python's processes share semaphores.
_MACHINE = (
    "/sys/fs/cgroup", "/sys/block", "/sys/devices", "/sys/class/net",
    "/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/urandom", "/dev/random")
_SHARED = "/dev/shm"  # noqa: S108 - semaphores lie there


def use_scratch(folder: Path) -> None:
    """Set the folder for temporary files of this process and its children; if root started it, the
    dropped user of an analysis gets a place in it, too.
    """
    folder.chmod(0o711)
    place = folder / "temporary"
    place.mkdir()
    place.chmod(0o1777)
    os.environ["TMPDIR"] = tempfile.tempdir = str(place)


def _interpreter() -> set[str]:
    """Python's own program, by each name; not its folder, which may hold all programs."""
    base = getattr(sys, "_base_executable", sys.executable)
    return {name for one in (sys.executable, base) for name in (one, os.path.realpath(one))}


def enter(lake: Any, root: str, jobs: Iterable[Job], scratch: Path) -> bool:
    """Confine this process and its children permanently. True on success; false if the lake or a
    capture is in an object store, whose credentials may be anywhere. Call before threads are
    started.
    """
    found = list(jobs)
    if "file" not in lake.protocol or any("://" in job.url for job in found):
        return False
    make_folder(lake, root)
    read = landlock.READ
    home = Path(panotui.__path__[0]).parent
    places: list[tuple[Path | str, int]] = [
        *((place, read) for place in (*landlock.own_places(), *_MACHINE, *dask_config.paths)),
        # to start Python again: its library, its environment, its search paths
        (sysconfig.get_config_var("LIBDIR") or "", read),
        *((place, read) for place in _interpreter()),
        (Path(sys.prefix) / "pyvenv.cfg", read),
        (home, landlock.READ_DIR),
        *((place, landlock.READ_FILE | landlock.WRITE_FILE) for place in _DEVICES),
        (_SHARED, landlock.WRITE),
        (root, landlock.WRITE),
        (scratch, landlock.WRITE),
        (scratch.parent, landlock.REMOVE_DIR),
    ]
    folders = {os.path.realpath(os.path.dirname(job.url)) for job in found if not job.is_recording}
    folders |= {os.path.dirname(os.path.realpath(job.url)) for job in found if not job.is_recording}
    places += [(folder, read) for folder in folders]
    # a reader of a recording that is being written takes locks in a file beside it
    locks = read | landlock.WRITE_FILE | landlock.MAKE_REG
    places += [(job.url, locks) for job in found if job.is_recording]
    # Workers connect to each other over TCP, on ports that the system chooses.
    return landlock.enter(landlock.domain(places, tcp=None, scopes=landlock.ABSTRACT_SOCKETS))
