"""Freezes: times in which a stream of pictures stopped although it should have continued.

In: a batch whose packets came after long gaps, and the passing of time. Out: the freeze fields of
the stream's row, and `StreamFreeze` messages. A silence is a freeze if it lasts more than two
seconds and more than three frame intervals, except during a PAUSE. While packets continue, a
picture is frozen if its clock is stuck or only tiny frames come.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.frame_timing import FrameStarts
from panotui.meter.rtp.records import Grouped
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.model import I64, SECOND, StreamFreeze

FREEZE_NS = 2 * SECOND
_INTERVALS = 3  # a freeze lasts longer than this many frame intervals
_UNJUDGED_MAX = 8  # silences per stream
_POOR_S = 10  # seconds of tiny frames before the picture counts as frozen
POOR = 0.1  # share of the mean rate
_POOR_AFTER_S = 20  # of a stream's life, before its mean rate is known


class Freezes:
    """State per stream; `picture_ns` is when its newest picture came (0: none)."""

    def __init__(self, state: StreamColumns, picture_ns: I64) -> None:
        n = state.capacity
        self._state = state
        self._picture_ns = picture_ns
        self._frozen_since: I64 = np.zeros(n, np.int64)  # start of a reported freeze, 0 none
        # Silences that cannot be judged before the frame interval is known: (start, end, packet
        # number, kind) per stream.
        self._unjudged: dict[int, list[tuple[int, int, int, str]]] = {}
        self._poor_seconds: I64 = np.zeros(n, np.int64)
        self._bytes_at_tick: I64 = np.zeros(n, np.int64)

    def forget(self, stream: int) -> None:
        self._frozen_since[stream] = 0
        self._unjudged.pop(stream, None)
        self._poor_seconds[stream] = 0
        self._bytes_at_tick[stream] = 0

    @property
    def unjudged(self) -> bool:
        """Whether a silence waits for the frame interval."""
        return bool(self._unjudged)

    # ------------------------------------------------------------ silences that are over

    def find(self, packets: Grouped, gap_ns: I64, starts: FrameStarts) -> None:
        """Silences that end in a batch; `gap_ns` (n,) is the time before each packet."""
        state = self._state
        rows = np.flatnonzero(gap_ns > FREEZE_NS)
        for at, stream, before_ns in zip(
            rows.tolist(),
            packets.stream(rows).tolist(),
            packets.before_ns(rows).tolist(),
            strict=True,
        ):
            if state.picture[stream]:
                excused_ns = max(int(state.excused_ns[stream]) - before_ns, 0)
                silent_ns = int(gap_ns[at]) - excused_ns
                if silent_ns > FREEZE_NS:
                    interval = starts.interval_at(at, packets, stream)
                    if interval is None:
                        interval = int(state.frame_interval[stream])
                    self._silence_ended(stream, packets, at, silent_ns, interval)

    def _silence_ended(
        self, stream: int, packets: Grouped, at: int, silent_ns: int, interval: int
    ) -> None:
        clock = int(self._state.clock[stream])
        time_ns, number = int(packets.time_ns[at]), packets.number_of(at)
        # The next pictures were produced during the silence: the RTP clock advanced less than real
        # time.
        backlog = clock > 0 and 0 <= int(packets.step[at]) < clock * silent_ns / SECOND / 2
        silence = (time_ns - silent_ns, time_ns, number, "backlog" if backlog else "silence")
        if clock and not interval:
            waiting = self._unjudged.setdefault(stream, [])
            if len(waiting) < _UNJUDGED_MAX:
                waiting.append(silence)
        elif not clock or silent_ns * clock > _INTERVALS * interval * SECOND:
            self._is_over(stream, *silence)

    def _is_over(self, stream: int, start_ns: int, end_ns: int, number: int, kind: str) -> None:
        if self._frozen_since[stream] != start_ns:
            self._state.row["freezes"][stream] += 1
        self._frozen_since[stream] = 0
        seconds = (end_ns - start_ns) / SECOND
        self._note_length(stream, seconds)
        self._tell(stream, end_ns, number, start_ns, seconds, kind)

    # ------------------------------------------------------------ freezes that continue

    def tick(self, now_ns: int) -> None:
        """Once a second of packet time."""
        state, row = self._state, self._state.row
        if self._unjudged:
            self._judge_early()
        live = np.flatnonzero(state.started & state.picture)
        if not len(live):
            return
        interval_ns = state.frame_interval[live] * SECOND // np.maximum(state.clock[live], 1)
        # Requested silence does not count; the frame interval determines how long is too long.
        still_ns = now_ns - np.maximum(row["last_ns"][live], state.excused_ns[live])
        frozen = state.watched[live] & (still_ns > FREEZE_NS)
        frozen &= still_ns > _INTERVALS * interval_ns
        frozen &= interval_ns > 0
        for stream in live[frozen].tolist():
            self._goes_on(stream, now_ns)
        self._watch_picture(live, now_ns, interval_ns)

    def _judge_early(self) -> None:
        """Early silences of streams whose frame interval has become known."""
        state = self._state
        for stream in [s for s in self._unjudged if state.frame_interval[s]]:
            interval, clock = int(state.frame_interval[stream]), int(state.clock[stream])
            limit_ns = _INTERVALS * interval * SECOND // clock
            for silence in self._unjudged.pop(stream):
                start_ns, end_ns, _, _ = silence
                if end_ns - start_ns > limit_ns:
                    self._is_over(stream, *silence)
                    state.changed[stream] = True

    def _goes_on(self, stream: int, now_ns: int) -> None:
        state, row = self._state, self._state.row
        start_ns = max(int(row["last_ns"][stream]), int(state.excused_ns[stream]))
        seconds = (now_ns - start_ns) / SECOND
        self._note_length(stream, seconds)
        state.changed[stream] = True
        if self._frozen_since[stream] != start_ns:
            self._frozen_since[stream] = start_ns
            row["freezes"][stream] += 1
            number = int(row["last_packet"][stream])
            self._tell(stream, now_ns, number, start_ns, seconds, "silence")

    def _watch_picture(self, live: I64, now_ns: int, interval_ns: I64) -> None:
        """Packets continue, but the picture is frozen: a stuck clock, or only tiny frames."""
        state, row = self._state, self._state.row
        flowing = now_ns - row["last_ns"][live] < SECOND
        # pictures that were not requested, or that our own capture missed, are not late
        since_ns = now_ns - np.maximum(self._picture_ns[live], state.excused_ns[live])
        stuck = flowing & (self._picture_ns[live] > 0) & (since_ns > FREEZE_NS)
        stuck &= since_ns > _INTERVALS * interval_ns
        received = row["media_bytes"][live] - self._bytes_at_tick[live]
        self._bytes_at_tick[live] = row["media_bytes"][live]
        lived_ns = state.unpaused_ns(live, row["first_ns"][live], row["last_ns"][live])
        lived_s = np.maximum(lived_ns / SECOND, 1.0)
        mean = row["media_bytes"][live] / lived_s
        no_key = state.reads_keys[live] & (
            now_ns - row["keyframe_last_ns"][live]
            > np.fmax(2 * np.nan_to_num(row["gop_s"][live]), 10) * SECOND
        )
        poor = flowing & (received < POOR * mean) & no_key & (lived_s > _POOR_AFTER_S)
        self._poor_seconds[live] = np.where(poor, self._poor_seconds[live] + 1, 0)
        poor_s = self._poor_seconds[live]
        standing_s = np.where(stuck, since_ns / SECOND, np.where(poor_s >= _POOR_S, poor_s, 0.0))
        before_s = row["frozen_picture_s"][live]
        row["frozen_picture_s"][live] = standing_s
        state.changed[live[(standing_s > 0) | (before_s > 0)]] = True
        for i in np.flatnonzero((standing_s > 0) & (before_s == 0)).tolist():
            stream, seconds = int(live[i]), float(standing_s[i])
            number, start_ns = int(row["last_packet"][stream]), now_ns - int(seconds * SECOND)
            kind = "clock" if stuck[i] else "picture"
            self._tell(stream, now_ns, number, start_ns, seconds, kind)

    # ------------------------------------------------------------ out

    def _note_length(self, stream: int, seconds: float) -> None:
        longest = self._state.row["freeze_longest_s"]
        longest[stream] = max(float(longest[stream]), seconds)

    def _tell(
        self, stream: int, time_ns: int, number: int, start_ns: int, seconds: float, kind: str
    ) -> None:
        row = self._state.row[stream]
        self._state.messages.append(
            StreamFreeze(
                time_ns=time_ns,
                packet=number,
                interface=int(row["interface"]),
                flow=int(row["flow"]),
                stream=int(row["id"]),
                start_ns=start_ns,
                seconds=seconds,
                kind=kind,
            )
        )
