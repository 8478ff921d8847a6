"""A recorder that watches the plant live, and what it says from moment to moment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from panotui.feed.client import FeedClient
from panotui.feed.codec import FeedError
from panotui.model import FindingRecord
from panotui.views.frames import Frame, View
from tests.lab.netns import Namespace, end

LOUD = ("warning", "error")


class Watched:
    """`panotui record` on `interfaces` of a place, asked by its socket while it runs."""

    def __init__(self, place: Namespace, interfaces: tuple[str, ...], site: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="panotui-watch-"))
        self.folder.chmod(0o755)
        self.recording = self.folder / "watched.panotui"
        self.socket = self.folder / "feed.sock"
        self._log = (self.folder / "log").open("w")
        self.recorder: subprocess.Popen[str] = place.popen(
            [
                *(sys.executable, "-m", "panotui", "record", *interfaces),
                *("-o", str(self.folder / "watched"), "--socket", str(self.socket)),
                *("--site", str(site), "--json"),
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        self._client: FeedClient | None = None

    def __enter__(self) -> Watched:
        until(self._listens, 30, lambda: f"a recorder that listens\n{self.said()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            self._client = FeedClient.connect(str(self.socket))
        except FeedError:
            return False
        return True

    def said(self) -> str:
        """What the recorder has printed."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """End the recorder; the recording is whole."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self.recorder.poll() is None:
            assert end(self.recorder, 15) == 0, self.said()

    def frame(self, **view: object) -> Frame:
        """What a screen would get now."""
        assert self._client is not None
        answer = self._client.ask(View(**view))  # type: ignore[arg-type]
        assert isinstance(answer, Frame), answer
        return answer

    def findings(self) -> tuple[FindingRecord, ...]:
        return self.frame(pane="findings", rows=200).findings

    def loud(self) -> list[FindingRecord]:
        """Open warnings and errors that a person is shown."""
        return [
            f
            for f in self.findings()
            if f.severity in LOUD and f.cleared_time_ns is None and f.hidden_by is None
        ]

    def settle(self, seconds: float, look: Callable[[], object]) -> None:
        """Look again and again until the recorder is so many seconds further."""
        end_ns = self.frame().header.time_ns + int(seconds * 1e9)

        def there() -> bool:
            look()
            return self.frame().header.time_ns >= end_ns

        until(there, 60, lambda: "the recorder goes on")


def until(true: Callable[[], object], timeout_s: float, what: Callable[[], str]) -> None:
    """Poll until `true()`; AssertionError after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what()}"
        time.sleep(0.1)
