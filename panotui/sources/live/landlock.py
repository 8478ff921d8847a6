"""Landlock: restricts what an unprivileged process may still open, if the kernel supports it.

A process that has given up root may still read all world-readable files, and files next to an open
folder. A Landlock domain (landlock(7), Linux 5.13) prevents that: from then on only files below the
listed places can be opened, whatever handles are held, and no TCP connection can be made (Linux
6.7). Files that were open before stay usable. Children inherit the domain; it cannot be left.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

import panotui

PR_SET_NO_NEW_PRIVS = 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all processors
RULE_PATH_BENEATH = 1
VERSION_FLAG = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 7, 1 << 8, 1 << 9
REFER, TRUNCATE = 1 << 13, 1 << 14
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}  # by ABI version
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
BIND, CONNECT = 0b01, 0b10  # TCP
ABSTRACT_SOCKETS, SIGNALS = 0b01, 0b10  # of processes outside

READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG
    | MAKE_SOCK
)  # fmt: skip
NEW_FILES = READ_FILE | READ_DIR | WRITE_FILE | MAKE_REG
TCP_SINCE, SCOPES_SINCE = 4, 6
# Needed parts of the machine: libraries, time zones, terminals, names.
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/usr/share", "/lib", "/lib64",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/terminfo", "/etc/mime.types", "/etc/passwd",
    "/etc/group", "/etc/nsswitch.conf", "/proc", "/sys/devices/system/cpu",
)  # fmt: skip


def version() -> int:
    """The ABI version of the kernel; 0 without Landlock."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return max(0, int(libc.syscall(CREATE_RULESET, None, 0, VERSION_FLAG)))
    except (OSError, AttributeError):
        return 0


def domain(
    places: Iterable[tuple[Path | str, int]],
    *,
    tcp: bool | None = False,
    scopes: int = ABSTRACT_SOCKETS | SIGNALS,
) -> int:
    """A descriptor for `enter`, or -1 if the kernel has no Landlock. `places`: (folder or file,
    rights below it), the only ones that can be opened; `tcp`: connections are allowed, with None
    also listening; `scopes`: restrictions towards outside processes. Missing places are left out.
    """
    known = version()
    if not known:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    rights = RIGHTS.get(known, RIGHTS[3])
    words = [rights]
    if known >= TCP_SINCE:
        words.append(0 if tcp is None else BIND if tcp else BIND | CONNECT)
    if known >= SCOPES_SINCE:
        words.append(scopes)
    attributes = (ctypes.c_uint64 * len(words))(*words)
    ruleset = int(libc.syscall(CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0))
    if ruleset >= 0:
        for place, wanted in places:
            _allow(libc, ruleset, place, wanted & rights)
    return ruleset


def enter(ruleset: int) -> bool:
    """Put this thread, and everything that it starts, into the domain; call before threads are
    started. True on success. Closes the descriptor.
    """
    if ruleset < 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    entered = libc.syscall(RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(entered)


def _allow(libc: ctypes.CDLL, ruleset: int, place: Path | str, rights: int) -> None:
    try:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= OF_FILES
        # struct landlock_path_beneath_attr is packed: 8 bytes of rights, 4 of the descriptor
        rule = rights.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
        libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)


def own_places() -> list[str]:
    """The files of the program itself: its package, Python, libraries, by names or handles."""
    prefixes = [os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    found = [*_SYSTEM, sys.executable]
    found += filter(None, map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
    found += [entry for entry in sys.path if _is_below(os.path.realpath(entry), prefixes)]
    # Packages that are elsewhere, such as in a source tree, without their neighbours.
    for name, module in list(sys.modules.items()):
        if "." not in name:
            found += [
                place
                for place in map(str, getattr(module, "__path__", None) or ())
                if not _is_below(os.path.realpath(place), prefixes)
            ]
    home = Path(panotui.__path__[0]).parent
    found.append(str(home / "styles"))
    if any(home.glob("panotui-*.dist-info")):  # installed among its libraries, located elsewhere
        found.append(str(home))
    return list(dict.fromkeys(found))


def _is_below(place: str, folders: Sequence[str]) -> bool:
    return any(place.startswith(folder + "/") for folder in folders)
