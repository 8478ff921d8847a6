"""The steps of `confined` for root: open files, choose the user, block the rest of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from panotui.errors import CHECK, InputError, UsageError
from panotui.recording.parts import DATABASE, EVIDENCE
from panotui.sources.files import given
from panotui.sources.files.source import begins_as_capture
from panotui.sources.live import deputy, landlock, namespaces, privileges

NETWORK = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/run/systemd/resolve",
    "/run/resolvconf", "/run/NetworkManager",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/urandom", "/dev/random")


def give(captures: Sequence[str]) -> None:
    """Open captures while there are rights to."""
    for name in captures:
        if name == "-":
            continue
        try:
            given.give(name, deputy.open_input(name, begins_as_capture))
        except OSError as error:
            why = error.strerror or "it cannot be read"
            raise InputError(name, why[:1].lower() + why[1:], CHECK) from None


def owner_first(recording: Path) -> int:
    """A handle of a recording's folder. If the dropped user may not read it, root becomes the
    folder's owner instead: only a recorder's own user, or, if root itself called, anyone.
    """
    try:
        handle = os.open(recording, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        database = f"/proc/self/fd/{handle}/{DATABASE}"
        status = os.stat(database, follow_symlinks=False)
    except OSError as error:
        raise InputError(str(recording), error.strerror or "it cannot be read", CHECK) from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(str(recording), f"its {DATABASE} is not a plain file")
    with deputy.acting():
        if os.access(database, os.R_OK, effective_ids=True):
            return handle
    uid = os.fstat(handle).st_uid
    if uid == status.st_uid and uid != 0:
        if privileges.caller()[0] not in (0, uid) and not privileges.is_of_a_service(uid):
            raise InputError(
                str(recording), f"it belongs to user {uid}", "Run as that user, or as root."
            )
        privileges.become(uid, status.st_gid or privileges.NOBODY)
    return handle


def become_owner(recording: Path) -> None:
    """From now on the target user is the recording's owner: files that root takes out of another
    user's folder could be anything that a link points to. InputError.
    """
    try:
        status = os.stat(recording, follow_symlinks=False)
    except OSError as error:
        raise InputError(str(recording), error.strerror or "it cannot be read", CHECK) from None
    if not stat.S_ISDIR(status.st_mode):
        raise InputError(str(recording), "it is no folder", "Name a folder of `record`.")
    uid, asker = status.st_uid, privileges.caller()[0]
    if uid == 0:
        raise InputError(
            str(recording), "it belongs to root", "Give it to the user who records (chown -R)."
        )
    if asker not in (0, uid) and not privileges.is_of_a_service(uid):
        raise InputError(
            str(recording), f"it belongs to user {uid}", "Run as that user, or as root."
        )
    os.setgroups([])
    os.setgid(status.st_gid or privileges.NOBODY)
    os.setuid(uid)


def readable_recording(
    handle: int, recording: Path, temporary: Path, *, evidence: bool = False
) -> Path:
    """The recording's folder by a name that stays valid; a copy of it if only root may read it,
    with its `evidence` files on request.
    """
    with deputy.acting():
        if os.access(recording / DATABASE, os.R_OK, effective_ids=True):
            return recording
        may_read = os.access(f"/proc/self/fd/{handle}/{DATABASE}", os.R_OK, effective_ids=True)
    name = Path(os.path.realpath(f"/proc/self/fd/{handle}")).name
    if may_read:  # only its name is out of reach, and SQLite opens by name
        place = namespaces.within_reach(handle, name)
        if place is not None:
            return place
    copy = temporary / name
    owner = os.fstat(handle).st_uid
    with deputy.acting():
        copy.mkdir(mode=0o700)
        (copy / EVIDENCE).mkdir(mode=0o700)
    names = [DATABASE, f"{DATABASE}-wal"]
    if evidence:
        names += _evidence(handle)
    for name in names:
        try:
            source = os.open(
                f"/proc/self/fd/{handle}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except FileNotFoundError:
            continue
        with open(source, "rb") as read:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner or status.st_nlink != 1:
                raise InputError(str(recording), f"its {name} is not a plain file of the recording")
            if name == DATABASE and not read.peek(16).startswith(b"SQLite format 3\0"):
                raise InputError(str(recording), "its database is damaged")
            with deputy.acting():
                written = os.open(copy / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(written, "wb") as write:
                shutil.copyfileobj(read, write, 1 << 20)
    return copy


def _evidence(handle: int) -> list[str]:
    """The evidence files by their names in the recording's folder."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder = os.open(f"/proc/self/fd/{handle}/{EVIDENCE}", flags)
    except OSError:
        return []
    try:
        return [f"{EVIDENCE}/{n}" for n in sorted(os.listdir(folder)) if n.endswith(".pcapng")]
    finally:
        os.close(folder)


def temporary_folder() -> Path:
    """A temporary folder of the dropped user, which that user can reach by name."""
    with deputy.acting():
        for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - made anew in it
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="panotui-", dir=place))
    raise UsageError(
        "temporary files", f"user {privileges.target()[0]} may write nowhere", "Set TMPDIR."
    )


def use_for_temporary_files(folder: Path) -> None:
    os.environ["TMPDIR"] = os.environ["SQLITE_TMPDIR"] = tempfile.tempdir = str(folder)


def export_folder(temporary: Path) -> Path:
    """The caller's folder if the dropped user may write there, else one beside temporary files."""
    here = Path.cwd()
    with deputy.acting():
        return here if os.access(here, os.W_OK | os.X_OK, effective_ids=True) else temporary.parent


def needed(
    temporary: Path, recordings: Sequence[Path], *, network: bool
) -> list[tuple[Path | str, int]]:
    """The files that a reading command opens, with the rights; see `landlock.domain`."""

    places: list[tuple[Path | str, int]] = [
        (place, landlock.READ) for place in landlock.own_places()
    ]
    places += [(place, landlock.READ_FILE | landlock.WRITE_FILE) for place in DEVICES]
    places.append((temporary, landlock.WRITE))
    places.append((temporary.parent, landlock.REMOVE_DIR))
    for recording in recordings:
        # a reader of a recording in progress takes locks in a file beside it
        places.append((recording, landlock.READ | landlock.WRITE_FILE | landlock.MAKE_REG))
    if network:
        places += [(place, landlock.READ) for place in NETWORK]
    return places


def remove(folder: Path, *, keep_folder: bool) -> None:
    """Remove the content of a temporary folder; the folder itself may still be needed."""
    if not keep_folder:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for part in folder.iterdir():
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
