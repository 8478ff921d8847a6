"""The time strips and curves of a recording."""

from __future__ import annotations

import numpy as np

from panotui.model import F64, I64, SECOND
from panotui.recording.reader import Recording
from panotui.recording.strips import recorded_runs
from panotui.state.strips import Run
from panotui.views.frames import Curve
from panotui.views.strips import curves_of, total


class RecordedTimes:
    """A recording, read on first use."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._runs: dict[str, list[Run]] | None = None
        self._samples: tuple[I64, F64, F64] | None = None

    def span(self) -> tuple[int, int]:
        return self._recording.start_ns // SECOND - 1, -(-self._recording.end_ns // SECOND)

    def runs(self) -> dict[str, list[Run]]:
        if self._runs is None:
            self._runs = recorded_runs(self._recording)
        return self._runs

    def curves(self, start_s: int, cell_s: int, columns: int) -> tuple[Curve, ...]:
        if self._samples is None:
            self._samples = self._read()
        return curves_of(*self._samples, start_s, cell_s, columns)

    def _read(self) -> tuple[I64, F64, F64]:
        ports = self._recording.samples("port_sample", ("rate_in_bps", "rate_out_bps"))
        streams = self._recording.samples("stream_sample", ("lost_s",))
        rates: dict[int, float] = {}
        for time_s, _, *both in ports:
            rates[time_s] = total([rates.get(time_s), *both])
        lost: dict[int, float] = {}
        for time_s, _, value in streams:
            lost[time_s] = total([lost.get(time_s), value])
        times = sorted(set(rates) | set(lost))
        nan = float("nan")
        return (
            np.array(times, np.int64),
            np.array([rates.get(t, nan) for t in times]),
            np.array([lost.get(t, nan) for t in times]),
        )
