"""A recorder that continues in another folder if its own can no longer be written.

Callers use it like a recorder, whichever folder it writes to. It moves once. Data of the lost
folder that was not on disk yet is lost. The status reports when it moved, where to and why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from panotui.errors import PanotuiError
from panotui.model import EventRecord, EvidenceFileRecord, FlowRecord, RecorderRecord, Snapshot
from panotui.recording.items import Evidence
from panotui.recording.recorder import Recorder
from panotui.recording.retention import Limits


class Relay:
    """Has the interface of `Recorder`."""

    def __init__(
        self,
        recorder: Recorder,
        another: Callable[[], Recorder],
        moved: Callable[[Recorder], None] = lambda recorder: None,
    ) -> None:
        """`another` opens the other folder when it is needed; `moved` is called then. It may raise
        UsageError or InputError.
        """
        self._now = recorder
        self._another: Callable[[], Recorder] | None = another
        self._moved = moved
        self._known = set(recorder.known_keys())
        self._said: str | None = None
        self._failure: str | None = None

    @property
    def recorder(self) -> Recorder:
        """The present writer."""
        return self._now

    @property
    def failure(self) -> str | None:
        """Why nothing is written any more; reading this moves to the other folder if there is
        one.
        """
        if self._failure is not None:
            return self._failure
        why = self._now.failure
        if why is None or self._another is None:
            return why
        another, self._another = self._another, None
        lost = self._now
        try:
            self._now = another()
        except PanotuiError as error:
            self._failure = f"{why}; and {error.what}: {error.why}"
            return self._failure
        # closing may hang with the disk that has gone
        threading.Thread(target=_close, args=(lost,), name="lost recorder", daemon=True).start()
        self._said = f"{lost.name}: {why}; recording continues in {self._now.name}"
        for key in sorted(self._known):
            self._now.known(key, True)
        self._moved(self._now)
        return self._now.failure

    def status(self) -> RecorderRecord:
        status = self._now.status()
        if self._said is None:
            return status
        detail = self._said if status.detail is None else f"{status.detail}; {self._said}"
        return msgspec.structs.replace(status, detail=detail)

    def observe(
        self,
        snapshot: Snapshot,
        flows: Sequence[FlowRecord] = (),
        events: Sequence[EventRecord] = (),
    ) -> None:
        self._now.observe(snapshot, flows, events)

    def observe_part(self, time_ns: int, flows: Sequence[FlowRecord]) -> None:
        self._now.observe_part(time_ns, flows)

    def mark(self, time_ns: int, text: str) -> None:
        self._now.mark(time_ns, text)

    def known(self, key: str, is_known: bool) -> None:
        if is_known:
            self._known.add(key)
        else:
            self._known.discard(key)
        self._now.known(key, is_known)

    def known_keys(self) -> set[str]:
        return set(self._known)

    @property
    def limits(self) -> Limits:
        return self._now.limits

    @property
    def folder(self) -> Path:
        """The folder of the present writer."""
        return self._now.folder

    def evidence_of(self, subject: str, since_ns: int) -> EvidenceFileRecord | None:
        return self._now.evidence_of(subject, since_ns)

    def keep(self, evidence: Evidence) -> bool:
        return self._now.keep(evidence)

    def close(self, ended: str = "closed") -> None:
        self._now.close(ended)


def _close(recorder: Recorder) -> None:
    try:
        recorder.close("failed")
    except OSError:
        pass  # there is nothing left to close


AnyRecorder: TypeAlias = Recorder | Relay
