"""The bundled demo: a recording of the lab's site, played in a loop as live traffic.

The capture's times are shifted to the clock's; each packet is delivered at its time. The clock is
injected, so that tests play a minute instantly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from panotui.errors import InputError
from panotui.model import I64, Interface, PacketBatch, SourceCounters
from panotui.sources.files.source import BATCH_PACKETS, FileSource

FOLDER = Path(__file__).parent / "demo"
NAMES = ("site.pcapng.zst", "site.pcap.zst", "site.pcapng.gz", "site.pcapng", "site.pcap")
LOOP_GAP_NS = 1_000_000_000  # between the last packet and the first of the next round
STEP_S = 0.05  # packets are delivered in steps of this time


def open_demo(
    path: str | None = None,
    *,
    speed: float = 1.0,
    loop: bool = True,
    clock_ns: Callable[[], int] = time.time_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> DemoSource:
    """The bundled capture, or the one at `path`, paced by `clock_ns` times `speed`.

    InputError if it is missing.
    """
    if path is None:
        found = [FOLDER / name for name in NAMES if (FOLDER / name).is_file()]
        if not found:
            raise InputError(
                "demo",
                "the bundled capture is missing from this installation",
                "Install the package again, or use panotui review FILE.",
            )
        path = str(found[0])
    return DemoSource(DemoFile(path).open, speed=speed, loop=loop, clock_ns=clock_ns, sleep=sleep)


class DemoFile:
    """A capture file that is opened once and read many times, by one reader after the other.

    Its name is needed only at the beginning: a process that gave up root can still read it.
    """

    def __init__(self, path: str) -> None:
        """InputError if it cannot be opened."""
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise InputError(path, (error.strerror or str(error)).lower()) from None

    def open(self, *, batch_packets: int = BATCH_PACKETS) -> FileSource:
        """A source of all packets from the start. InputError if it is not a capture."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        size = os.fstat(self._fd).st_size
        name = Path(self._path).name
        return FileSource(os.dup(self._fd), self._path, name, batch_packets, size)


class DemoSource:
    """A capture file as a live-like source."""

    def __init__(
        self,
        open_capture: Callable[[], FileSource],
        *,
        speed: float = 1.0,
        loop: bool = True,
        clock_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`open_capture` returns the file from its first packet, once per round."""
        self._open_capture = open_capture
        self._speed = max(speed, 1e-3)
        self._loop = loop
        self._clock_ns = clock_ns
        self._sleep = sleep
        self.ended = False
        self.counters = SourceCounters(format="demo")
        self._file = open_capture()
        self.interfaces: list[Interface] = []
        self._started_ns = clock_ns()
        self._origin_ns: int | None = None  # capture time that is played at `_round_ns`
        self._round_ns = self._started_ns  # when this round began, in played time
        self._batch: PacketBatch | None = None
        self._times: I64 = np.empty(0, np.int64)
        self._row = 0
        self._last_ns = self._started_ns
        self._came = False  # this round delivered packets

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """The packets that are due; None if none is due within the time."""
        waited = 0.0
        while not self.ended:
            if self._batch is None and not self._load():
                return None
            assert self._batch is not None
            now = self._now_ns()
            upto = int(np.searchsorted(self._times, now, "right"))
            if upto > self._row:
                return self._give(upto)
            if waited >= timeout_s:
                return None
            due = (int(self._times[self._row]) - now) / 1e9 / self._speed
            pause = min(max(due, STEP_S / self._speed), timeout_s - waited)
            self._sleep(pause)
            waited += max(pause, 1e-4)
        return None

    def close(self) -> None:
        self.ended = True
        self._file.close()

    def _now_ns(self) -> int:
        """Played time: the clock's, run at our speed from the start."""
        return self._started_ns + int((self._clock_ns() - self._started_ns) * self._speed)

    def _load(self) -> bool:
        """Load the next batch of the file, or of the next round after its end; False if all is
        played.
        """
        while True:
            batch = self._file.read(0.0)
            self._learn_interfaces()
            if batch is not None:
                break
            if not self._file.ended:
                continue
            self._file.close()
            if not self._loop or not self._came:
                self.ended = True
                return False
            self._file = self._open_capture()
            self._round_ns = self._last_ns + LOOP_GAP_NS
            self._origin_ns, self._came = None, False
        if self._origin_ns is None:
            self._origin_ns = int(batch.time_ns[0])
        self._came = True
        shifted = batch.time_ns - self._origin_ns + self._round_ns
        # played in file order: a packet with an earlier time stamp than the one before comes with
        # it
        self._times = np.maximum.accumulate(shifted)
        self._batch = batch
        self._row = 0
        self._last_ns = max(self._last_ns, int(self._times[-1]))
        return True

    def _give(self, upto: int) -> PacketBatch:
        assert self._batch is not None
        part = self._batch.slice(self._row, upto)
        given = PacketBatch(
            part.data,
            part.offset,
            part.captured,
            part.wire_length,
            self._times[self._row : upto],
            part.interface,
            self.interfaces,
            self.counters.packets + 1,
            part.vlan_tci,
            part.outgoing,
            part.missed,
        )
        self.counters.packets += len(part)
        self.counters.bytes += int(part.wire_length.sum())
        self._row = upto
        if upto == len(self._batch):
            self._batch = None
        return given

    def _learn_interfaces(self) -> None:
        for interface in self._file.interfaces[len(self.interfaces) :]:
            self.interfaces.append(interface)
