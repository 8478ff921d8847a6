"""Confines a root process that reads hostile bytes: open what is needed, then give up every right.

For commands that are started as root and read captures and recordings, or use the network.
`confined` opens everything named on the command line, becomes the unprivileged user, and, where the
kernel can, blocks the rest of the machine (`landlock`) and the network. Output goes into a
temporary folder, and from there to its destination at the end of the command (`placing`). For other
users this does nothing: files are read and written by name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands import readable
from panotui.errors import PanotuiError, UsageError

if TYPE_CHECKING:
    from panotui.sources.live.placing import Placing, Wanted


def is_roots_own() -> bool:
    """Whether this process is root's and runs the program itself: a process that only calls the
    program keeps its rights.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.find_root().obj != "own process":
        return False
    return hasattr(os, "geteuid") and os.geteuid() == 0


class Places:
    """Where a command finds and puts files; if it was not root, the names as given."""

    def __init__(self) -> None:
        self.recording: Path | None = None  # replaces the named one
        self.others: list[Path] = []  # replaces further ones
        self.exports: Path = Path.cwd()  # folder for the user's exports
        self.finished: Path | None = None
        self.wanted: list[Wanted] = []
        self._given: dict[Path, Path] = {}

    def place(self, target: Path) -> Path:
        """Where to write the file for `target`."""
        return self._given.get(target, target)

    def want(self, option: str, target: Path, *, is_folder: bool) -> None:
        """UsageError if it exists and cannot be opened."""
        from panotui.sources.live.placing import Wanted, wanted_file

        assert self.finished is not None
        name = str(len(self.wanted))
        try:
            if is_folder:
                self.wanted.append(Wanted(name, Path(os.path.abspath(target)), option, True))
            else:
                self.wanted.append(wanted_file(name, target, option))
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError(f"{option} {target}", why, "Name another.") from None
        self._given[target] = self.finished / name


@contextlib.contextmanager
def confined(
    *,
    captures: Sequence[str] = (),
    recording: Path | None = None,
    others: Sequence[Path] = (),
    files: Iterable[tuple[str, Path | None]] = (),
    folders: Iterable[tuple[str, Path | None]] = (),
    exports: bool = False,
    evidence: bool = False,
    network: bool = False,
    late: Sequence[str] = readable.READING,
) -> Iterator[Places]:
    """Within this block, only these are possible: reading `captures`, `recording` and `others`;
    writing `files` and `folders` (option, target; "-" and None are ignored); with `evidence`,
    reading the recording's evidence files even if only root may; with `exports`, creating files in
    the caller's folder or beside temporary files; with `network`, using the network.

    The targets are written when the block ends without an error. InputError if an input cannot be
    read, UsageError if an output cannot be written.
    """
    places = Places()
    if not is_roots_own():
        places.recording, places.others = recording, list(others)
        yield places
        return
    # only root needs these; 30 ms
    from panotui.commands import confinement
    from panotui.sources.live import deputy, landlock, namespaces

    confinement.give(captures)
    folder = None if recording is None else confinement.owner_first(recording)
    handles = [confinement.owner_first(other) for other in others]
    readable.prepare_to_drop()
    temporary = confinement.temporary_folder()
    placing: Placing | None = None
    faulty = False
    try:
        places.finished = temporary / "finished"
        with deputy.acting():
            places.finished.mkdir(mode=0o700)
        for option, target in files:
            if target is not None and str(target) != "-":
                places.want(option, target, is_folder=False)
        for option, target in folders:
            if target is not None:
                places.want(option, target, is_folder=True)
        if places.wanted:
            from panotui.sources.live.placing import Placing

            placing = Placing(places.finished, places.wanted)
        if folder is not None:
            places.recording = confinement.readable_recording(
                folder, recording or Path(), temporary, evidence=evidence
            )
        for number, (handle, other) in enumerate(zip(handles, others, strict=True)):
            copies = temporary / f"other-{number}"
            with deputy.acting():
                copies.mkdir(mode=0o700)
            places.others.append(
                confinement.readable_recording(handle, other, copies, evidence=evidence)
            )
        if not network:
            namespaces.leave_network()
        read = [*filter(None, [places.recording]), *places.others]
        needed = confinement.needed(temporary, read, network=network)
        if exports:
            places.exports = confinement.export_folder(temporary)
            needed.append((places.exports, landlock.NEW_FILES))
        domain = landlock.domain(needed, tcp=network)
        readable.drop_privileges(late)
        landlock.enter(domain)
        confinement.use_for_temporary_files(temporary)
        yield places
        if placing is not None:
            placing.place()
    except (PanotuiError, OSError):
        raise
    except Exception:
        faulty = True  # files that it writes itself go into the folder
        raise
    finally:
        if placing is not None:
            placing.close()
        confinement.remove(temporary, keep_folder=faulty)
