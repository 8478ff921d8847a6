"""Landlock: what a process without rights of its own may still open, where the kernel has it.

Whoever has given up root may read what everybody may read, and through an open folder also what
lies beside it. A Landlock domain (landlock(7), Linux 5.13) ends that: from then on only what lies
below the named places can be opened, whatever handles are held, and no TCP connection is made
(Linux 6.7). What was open before stays usable. Children inherit it; nobody can leave it.
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
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}  # by version of the interface
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
# Of what the machine itself holds, this is needed: libraries, time zones, terminals, names.
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/usr/share", "/lib", "/lib64",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/terminfo", "/etc/mime.types", "/etc/passwd",
    "/etc/group", "/etc/nsswitch.conf", "/proc", "/sys/devices/system/cpu",
)  # fmt: skip


def version() -> int:
    """The version of the kernel's interface; 0 where there is none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return max(0, int(libc.syscall(CREATE_RULESET, None, 0, VERSION_FLAG)))
    except (OSError, AttributeError):
        return 0


def domain(
    places: Iterable[tuple[Path | str, int]],
    *,
    tcp: bool = False,
    scopes: int = ABSTRACT_SOCKETS | SIGNALS,
) -> int:
    """A descriptor for `enter`: nothing can be opened but what lies below `places`, (folder or
    file, rights below it); `tcp`: connections may be made; `scopes`: what of processes outside is
    out of reach. -1 where the kernel has none. Places that are not there are left out.
    """
    known = version()
    if not known:
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    rights = RIGHTS.get(known, RIGHTS[3])
    words = [rights]
    if known >= TCP_SINCE:
        words.append(BIND if tcp else BIND | CONNECT)
    if known >= SCOPES_SINCE:
        words.append(scopes)
    attributes = (ctypes.c_uint64 * len(words))(*words)
    ruleset = int(libc.syscall(CREATE_RULESET, attributes, ctypes.sizeof(attributes), 0))
    if ruleset >= 0:
        for place, wanted in places:
            _allow(libc, ruleset, place, wanted & rights)
    return ruleset


def enter(ruleset: int) -> bool:
    """From now on this thread, and what it starts, is in the domain; before threads are started.
    Whether it is. The descriptor is closed."""
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
    """What the program itself reads: its package, Python, libraries, by names or handles."""
    prefixes = [os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    found = [*_SYSTEM, sys.executable]
    found += filter(None, map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
    found += [entry for entry in sys.path if _is_below(os.path.realpath(entry), prefixes)]
    # Packages that lie elsewhere, such as in a source tree, without what lies beside them.
    for name, module in list(sys.modules.items()):
        if "." not in name:
            found += [
                place
                for place in map(str, getattr(module, "__path__", None) or ())
                if not _is_below(os.path.realpath(place), prefixes)
            ]
    home = Path(panotui.__path__[0]).parent
    found.append(str(home / "styles"))
    if any(home.glob("panotui-*.dist-info")):  # installed among its libraries, though not there
        found.append(str(home))
    return list(dict.fromkeys(found))


def _is_below(place: str, folders: Sequence[str]) -> bool:
    return any(place.startswith(folder + "/") for folder in folders)
