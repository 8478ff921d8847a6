"""State shared by all measures of streams: parallel columns, one slot per stream.

In: a stream's identity when it opens, and from signalling and payload how to measure it. Out:
`row`, one STREAM_DTYPE row per stream, and `messages`. Each measure (`sequence`, `gaps`,
`pictures`, ...) writes its own fields of `row`, and keeps all other state to itself.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.pauses import Pauses
from panotui.model import I64, SECOND, STREAM_DTYPE, AnyMessage, Bool, Rows

_NOT_YET_KNOWN = (
    "jitter_ms",
    "jitter_mean_ms",
    "jitter_max_ms",
    "frame_jitter_ms",
    "frame_jitter_mean_ms",
    "frame_jitter_max_ms",
    "delta_min_ms",
    "delta_mean_ms",
    "delta_max_ms",
    "late_frame_max_ms",
    "fps",
    "fps_now",
    "fps_nominal",
    "fps_stamped",
    "stamp_rate",
    "gop_s",
    "frame_bytes_mean",
    "vui_fps",
    "rr_fraction",
    "rr_jitter_ms",
    "rtt_ms",
    "camera_clock_offset_s",
    "drift_ppm",
)
ALIVE_NS = 2 * SECOND  # packets within this time count as continuous
_NOT_YET_REPORTED = ("sr_packets", "sr_lost", "rr_lost")


class StreamColumns:
    """Columns of `capacity` streams, by index."""

    def __init__(self, capacity: int) -> None:
        n = self.capacity = capacity
        self.row: Rows = np.zeros(n, STREAM_DTYPE)
        self.changed: Bool = np.zeros(n, bool)
        self.messages: list[AnyMessage] = []
        self.started: Bool = np.zeros(n, bool)  # a packet was measured, the slot is in use
        self.timestamp: I64 = np.zeros(n, np.int64)  # of the packet at row["last_ns"]
        # Hz used in sums; row["clock_rate"] is the known one
        self.clock: I64 = np.zeros(n, np.int64)
        # frames are pictures (video, or possibly video)
        self.picture: Bool = np.zeros(n, bool)
        self.reads_keys: Bool = np.zeros(n, bool)  # the payload's key frames are recognised
        self.frame_interval: I64 = np.zeros(n, np.int64)  # ticks of `clock`, 0 unknown
        self.watched: Bool = np.zeros(n, bool)  # silence now is a freeze (playing, not ended)
        # silence before this time was requested, or our own capture saw nothing until then
        self.excused_ns: I64 = np.zeros(n, np.int64)
        self.blind_ns = (0, 0)  # between these times our own capture saw little or nothing
        self.pauses = Pauses()

    def open(self, stream: int, row: Rows) -> None:
        """Begin a stream in a free slot with the identity given in `row`."""
        self.row[stream] = row
        for name in _NOT_YET_KNOWN:
            self.row[name][stream] = np.nan
        for name in _NOT_YET_REPORTED:
            self.row[name][stream] = -1
        self.frame_interval[stream] = 0
        self.excused_ns[stream] = 0
        self.release(stream)
        self.changed[stream] = True

    def release(self, stream: int) -> None:
        """Free the slot: it is not used until it is opened again."""
        self.started[stream] = False
        self.watched[stream] = False
        self.pauses.forget(stream)

    def note_blind(self, since_ns: int, until_ns: int) -> None:
        """Between these times our own capture saw little or nothing: silence of streams that were
        active until then is excused.
        """
        self.blind_ns = since_ns, until_ns
        came = self.started & (self.row["last_ns"] >= since_ns - ALIVE_NS)
        self.excused_ns[came] = np.maximum(self.excused_ns[came], until_ns)

    def was_blind(self, since_ns: int, until_ns: int) -> bool:
        """Whether our own capture saw little or nothing in a part of that time."""
        start, end = self.blind_ns
        return start < until_ns and since_ns < end

    def unpaused_ns(self, streams: I64, first_ns: I64, last_ns: I64) -> I64:
        """(s,) ns of each stream's span without its reader's pauses."""
        span_ns = last_ns - first_ns
        if self.pauses:
            ends = zip(streams.tolist(), first_ns.tolist(), last_ns.tolist(), strict=True)
            span_ns -= np.array([self.pauses.within(*span) for span in ends], np.int64)
        return span_ns
