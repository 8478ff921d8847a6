"""Gives up root and every capability once the sockets are open, and verifies it.

The ring stays readable and can be bound again without privilege; only new packet sockets need one.
The drop is verified in /proc/self/status.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
from pathlib import Path

from msgspec import Struct

from panotui.errors import PrivilegeError

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_CAP_AMBIENT = 38, 24, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
CAP_NET_RAW = 13
NOBODY = 65_534
DYNAMIC = range(61_184, 65_520)  # users that systemd makes for one service (DynamicUser)
OWN_USER = "panotui"  # the user that root becomes if it exists and nobody called sudo
STATUS = Path("/proc/self/status")
AUTOGROUP = Path("/proc/self/autogroup")
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


class PrivilegeState(Struct, frozen=True):
    """The rights of this process."""

    uid: int
    gid: int
    effective: int  # capability bits
    permitted: int
    inheritable: int
    ambient: int
    bounding: int
    no_new_privs: bool

    @property
    def can_capture(self) -> bool:
        return bool(self.effective >> CAP_NET_RAW & 1)

    @property
    def none_left(self) -> bool:
        """True if no effective set has a capability, and none can be gained by exec."""
        left = self.effective | self.permitted | self.inheritable | self.ambient
        return not left and self.no_new_privs and self.uid != 0


def state(status: str | None = None) -> PrivilegeState:
    """The state of this process, from the text of /proc/self/status."""
    fields = dict(
        line.split(":", 1) for line in (status or STATUS.read_text()).splitlines() if ":" in line
    )
    bits = {name: int(fields.get(name, "0").strip() or "0", 16) for name in CAPABILITY_SETS}
    return PrivilegeState(
        uid=os.geteuid() if status is None else int(fields["Uid"].split()[1]),
        gid=os.getegid() if status is None else int(fields["Gid"].split()[1]),
        effective=bits["CapEff"],
        permitted=bits["CapPrm"],
        inheritable=bits["CapInh"],
        ambient=bits["CapAmb"],
        bounding=int(fields.get("CapBnd", "0").strip() or "0", 16),
        no_new_privs=fields.get("NoNewPrivs", "0").strip() == "1",
    )


_chosen: tuple[int, int] | None = None


def run_as(user: str) -> None:
    """Make this user the target of `target` and `drop`. PrivilegeError if it does not exist, for
    root, and if a caller of sudo names another person.
    """
    entry = _entry(user)
    if entry.pw_uid == 0:
        raise PrivilegeError(user, "a recorder does not run as root", "Name another user.")
    asks = caller()[0]
    if os.geteuid() == 0 and asks not in (0, entry.pw_uid) and not is_of_a_service(entry.pw_uid):
        raise PrivilegeError(
            user,
            "a caller of sudo can only choose the user panotui or nobody",
            "Run it as root itself, without sudo.",
        )
    become(entry.pw_uid, entry.pw_gid)


def become(uid: int, gid: int) -> None:
    """Make this user and group the target of `target` and `drop`."""
    global _chosen
    _chosen = uid, gid


def caller() -> tuple[int, int]:
    """(uid, gid) of the caller: the caller of sudo, otherwise this process."""
    try:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return os.geteuid(), os.getegid()
    return (uid, gid) if os.geteuid() == 0 and uid > 0 and gid > 0 else (os.geteuid(), os.getegid())


def is_of_a_service(uid: int) -> bool:
    """Whether a user is a service account for recorders: nobody, panotui, or one of systemd's."""
    return is_nobody(uid) or uid == _own_user()[0] or uid in DYNAMIC


def is_nobody(uid: int) -> bool:
    """Whether a user is the one shared by many programs, so that its files are everyone's."""
    return uid == _nobody()[0]


def target(user: str | None = None) -> tuple[int, int]:
    """(uid, gid) that `drop` changes to: `user`, the user of `run_as`, the caller of sudo, the user
    `panotui` if it exists, otherwise nobody; for a process that is not root, its own.
    PrivilegeError if there is no such user.
    """
    if user is not None:
        entry = _entry(user)
        return entry.pw_uid, entry.pw_gid
    if _chosen is not None:
        return _chosen
    if os.getuid() != 0 and os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    uid, gid = caller()
    return (uid, gid) if uid > 0 else _own_user()


def drop(user: str | None = None) -> PrivilegeState:
    """Become `target(user)`, without capabilities and without a way back; returns the new state.

    Call it after the sockets are open and before other threads are started (libc changes the user
    of all threads, but capabilities are per thread). PrivilegeError if a right is left.
    """
    uid, gid = target(user)
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if os.geteuid() == 0:
            for capability in range(64):  # the bounding set: fails beyond the last known one
                if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                    break
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        elif uid != os.geteuid():
            raise PrivilegeError(
                "privileges", f"only root can become user {uid}", "Start it as that user."
            )
    except OSError as error:
        raise PrivilegeError("privileges", f"cannot become user {uid} ({error.strerror})") from None
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _clear_capabilities(libc)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    after = state()
    if not after.none_left:
        raise PrivilegeError(
            "privileges",
            f"something is left after dropping (user {after.uid}, "
            f"capabilities {after.permitted:#x}, no-new-privs {after.no_new_privs})",
            "This kernel or container forbids it; run as an ordinary user with CAP_NET_RAW.",
        )
    return after


def go_first(nice: int = -10) -> None:
    """Run at a higher priority, if allowed: packets not read from a ring in time are lost, while
    other programs only wait for the little that this needs.

    Where the kernel groups processes by session (sched(7), autogroup), a nice value counts only
    within the session; a session leader sets its session's too.
    """
    with contextlib.suppress(OSError, AttributeError):
        nice = min(nice, os.getpriority(os.PRIO_PROCESS, 0))
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        if os.getsid(0) == os.getpid():
            AUTOGROUP.write_text(str(nice))


def _clear_capabilities(libc: ctypes.CDLL) -> None:
    """Clear the effective, permitted and inheritable sets of this thread (capset(2))."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    libc.capset(ctypes.byref(header), ctypes.byref(data))


def _entry(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(
            user, "there is no such user to run as", "Name an existing user."
        ) from None


def _own_user() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(OWN_USER)
    except KeyError:
        return _nobody()
    return (entry.pw_uid, entry.pw_gid) if entry.pw_uid > 0 else _nobody()


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return entry.pw_uid, entry.pw_gid
