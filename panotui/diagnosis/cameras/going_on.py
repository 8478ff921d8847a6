"""Whether streams merely continue: then a second of theirs contains nothing to process.

In: the streams and cameras at a tick, and the meter's rows for the seconds after it. Out: whether
the next tick would give the same result for each stream and camera as this one. All of them must be
well, no event of theirs may be so recent that its age matters, and in each second each stream must
arrive in order, evenly, at its rate, with key frames as before.
"""

from __future__ import annotations

import numpy as np

from panotui.diagnosis.cameras.pace import LIMITS as PACE
from panotui.diagnosis.cameras.shape import LIMITS as SHAPE
from panotui.diagnosis.cameras.stamps import LIMITS as STAMPS
from panotui.diagnosis.cameras.streams import LIMITS as STREAMS
from panotui.diagnosis.clock import LIMITS as CLOCK
from panotui.diagnosis.facts import Facts
from panotui.model import F64, I64, SECOND, STREAM_CODECS, STREAM_DTYPE, U8, Bool, Rows
from panotui.model.foreseen import Foreseen
from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.reader_reports import LIMITS as REPORTS
from panotui.state.streams import LIMITS, REST_NS, StreamState, media_of

# Only these columns of a row may change.
_MOVING = (
    "last_ns", "last_packet", "packets", "bytes", "media_bytes", "expected", "markers",
    "frames", "keyframes", "jitter_ms", "jitter_mean_ms", "jitter_max_ms", "frame_jitter_ms",
    "frame_jitter_mean_ms", "frame_jitter_max_ms", "delta_min_ms", "delta_mean_ms",
    "delta_max_ms", "late_frame_max_ms", "bitrate_mean_bps", "bitrate_peak_bps", "fps",
    "fps_now", "fps_nominal", "fps_stamped", "stamp_rate", "gop_s", "gop_frames",
    "keyframe_last_ns", "frame_bytes_mean", "frame_bytes_max", "stalls_50ms", "stalls_200ms",
    "stalls_500ms", "stall_50ms_s", "stall_200ms_s", "stall_500ms_s", "sr_count", "rr_count",
    "sr_packets", "sr_lost", "rr_lost", "rr_fraction", "rr_jitter_ms", "rtt_ms",
    "camera_clock_offset_s", "drift_ppm",
)  # fmt: skip
# ... and until then a stream's first seconds prove little
SETTLED_NS = SECOND + max(
    PACE.started_ns, int(SHAPE.keyless_s * SECOND), STAMPS.compared_s * SECOND
)
PLAYED_NS = 30 * SECOND  # since PLAY was answered: by then all tracks have arrived
LATE_NS = int(0.75 * LIMITS.frozen_s * SECOND)  # of a stream's newest packet at a tick
STEP_SHARE = 0.9  # of the time between pictures: its estimate varies a little
SLOWEST = max(PACE.fps_share, LIMITS.slow_share)
_TOLD = ("last_ns", "frames", "fps_now", "fps_nominal", "stamp_rate", "gop_s", "keyframe_last_ns")
PORT_MBPS = 1000  # of a port with unknown speed


def _held_bytes() -> I64:
    """The bytes of a row that must not change."""
    held = np.ones(STREAM_DTYPE.itemsize, np.bool_)
    fields = dict(STREAM_DTYPE.fields.items()) if STREAM_DTYPE.fields else {}
    for name in _MOVING:
        kind, start = fields[name][:2]
        held[start : start + kind.itemsize] = False
    return np.flatnonzero(held)


_HELD = _held_bytes()


class GoingOn:
    """Streams that were well at a tick, and their state then."""

    def __init__(self, streams: list[StreamState], rows: Rows, facts: Facts) -> None:
        """`rows` (n,) are those of that tick, of the same streams in the same order."""
        now_s = facts.now_ns // SECOND
        self.rows = rows  # of the newest tick at which they continued
        self._ids = rows["id"].copy()
        self._order: I64 = np.argsort(self._ids)
        self._held = _held(rows)
        kinds = [media_of(s.codec) for s in streams]
        # streams whose pictures can be judged
        self._shown: Bool = np.array(
            [k == "video" and not s.row.encrypted for k, s in zip(kinds, streams, strict=True)]
        )
        self._video_264: Bool = rows["codec"] == STREAM_CODECS.index("H264")
        self._wanted = np.array([s.fps_wanted or 0.0 for s in streams])
        self._expected = np.array([s.fps_expected or 0.0 for s in streams])
        self._most: I64 = np.array([_most_frames(s, now_s) for s in streams], np.int64)
        self._far = self._is_far(rows)
        self._runs_wrong = _runs_wrong(rows)  # and `stamps` has reported it
        self._off = np.abs(rows["camera_clock_offset_s"]) > CLOCK.camera_clock_s
        speeds = [p.speed_mbps for p in facts.port_records if p.speed_mbps]
        self._load = 0  # bytes of the newest seconds
        self._port_bytes = STREAMS.port_share * min([PORT_MBPS, *speeds]) * 1e6 / 8

    def _is_far(self, rows: Rows) -> Bool:
        """(n,) streams whose key frames are too far apart, see `shape.key_frames`."""
        keyframe = rows["keyframe_last_ns"]
        far: Bool = (keyframe > 0) & (rows["gop_s"] > SHAPE.gop_s + SHAPE.slack_s)
        far |= (keyframe == 0) & self._video_264 & (rows["frames"] > SHAPE.keyless_pictures)
        return far

    def started(self, rows: Rows, streams: list[StreamState], now_ns: int) -> bool:
        """Whether the seconds before that tick were like those that may be skipped."""
        now_s = now_ns // SECOND
        load: dict[int, int] = {}
        for place, stream in enumerate(streams):
            last = [stream.seconds[s] for s in range(now_s - PACE.over_s - 1, now_s + 1)
                    if s in stream.seconds]  # fmt: skip
            for second in last:
                load[second.second] = load.get(second.second, 0) + second.bytes
            if not self._shown[place]:
                continue
            late_ms, judged = self._late_ms(rows)[place], not self._runs_wrong[place]
            for second in last:
                uneven = second.frame_jitter_ms > PACE.jitter_ms or second.gap_max_ms > late_ms
                if (uneven and judged) or second.bytes * 8 > SHAPE.heavy_bps:
                    return False
        self._load = max(load.values(), default=0)
        return self._load <= self._port_bytes and self._rows_go_on(rows, now_ns)

    def go_on(self, rows: Rows, seconds: Rows, now_ns: int) -> bool:
        """Whether nothing has changed by the tick at `now_ns`: `rows` (n,) and the `seconds` (k,)
        that have changed since the last one. Call it for each tick in turn.
        """
        if len(rows) != len(self._ids) or not np.array_equal(rows["id"], self._ids):
            return False
        place = np.searchsorted(self._ids, seconds["stream"], sorter=self._order)
        place = self._order[np.minimum(place, len(self._order) - 1)]
        if (self._ids[place] != seconds["stream"]).any():
            return False
        if (seconds["lost"] != 0).any() or (seconds["capture_lost"] != 0).any():
            return False
        self._load = int(seconds["bytes"].sum())
        uneven = self._are_uneven(seconds, self._late_ms(rows)[place], place)
        if uneven.any() or self._load > self._port_bytes:
            return False
        np.maximum.at(self._most, place, seconds["frames"])
        if not self._rows_go_on(rows, now_ns):
            return False
        self.rows = rows
        return True

    def foresee(self, ahead: Foreseen) -> int:
        """At how many of these ticks, from the first on, nothing will have changed."""
        if not np.array_equal(ahead.ids, self._ids):
            return 0
        rows, seconds = ahead.rows, ahead.seconds
        uneven = self._are_uneven(seconds, self._late_ms(rows), slice(None)).any(axis=1)
        load = seconds["bytes"].sum(axis=1)
        # the second before may be told again with a picture that was not complete
        uneven |= load + np.append(self._load, load[:-1]) > self._port_bytes
        most = np.maximum.accumulate(seconds["frames"], axis=0)
        uneven |= self._wrong(rows, ahead.time_ns, np.maximum(most, self._most))
        return int(uneven.argmax()) if uneven.any() else len(uneven)

    def went_on(self, rows: Rows, seconds: Rows, ahead: Foreseen) -> bool:
        """Take the rows (n,) and seconds (k,) of the last of ticks that were foreseen; whether
        they are what `foresee` was told.
        """
        if not np.array_equal(rows["id"], self._ids) or not np.array_equal(_held(rows), self._held):
            return False
        last = ahead.rows[-1]
        if not all(_same(rows[name], last[name]) for name in _TOLD):
            return False
        self._load = int(ahead.seconds["bytes"][-1].sum())
        place = self._order[np.searchsorted(self._ids, seconds["stream"], sorter=self._order)]
        np.maximum.at(self._most, place, seconds["frames"])
        self.rows = rows
        return True

    def _are_uneven(self, seconds: Rows, late_ms: F64, place: I64 | slice) -> Bool:
        """Mask of the seconds (..., k), of the streams at `place` (k,), that must be told."""
        uneven: Bool = seconds["frame_jitter_ms"] > PACE.jitter_ms
        uneven |= seconds["gap_max_ms"] > late_ms
        uneven &= ~self._runs_wrong[place]  # then their stamps are reported, and nothing else
        uneven |= seconds["bytes"] * 8 > SHAPE.heavy_bps
        uneven &= self._shown[place]
        return uneven

    def _late_ms(self, rows: Rows) -> F64:
        """(n,) the longest time between two packets that does not count as late."""
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(rows["fps_nominal"] > 0, 1000 / rows["fps_nominal"], 0.0)
        late_ms: F64 = PACE.late_ms + STEP_SHARE * step
        return late_ms

    def _rows_go_on(self, rows: Rows, now_ns: int) -> bool:
        if not np.array_equal(_held(rows), self._held):
            return False
        if (rows["rr_fraction"] >= REPORTS.share).any():
            return False  # a reader loses packets, and says so
        return not self._wrong(rows, np.int64(now_ns), self._most)

    def _wrong(self, rows: Rows, now_ns: I64 | np.int64, most: I64) -> Bool:
        """(...) ticks at which some stream's row, of (..., n), must be told; `most` pictures came
        in a second.
        """
        now = np.asarray(now_ns)[..., None]
        wrong = now - rows["last_ns"] > LATE_NS
        wrong |= (np.abs(rows["camera_clock_offset_s"]) > CLOCK.camera_clock_s) != self._off
        wanted = np.maximum(self._wanted, most)
        wrong |= (wanted > 0) & ~(rows["fps_now"] >= SLOWEST * wanted)
        shown = self._shown
        runs_wrong = _runs_wrong(rows)
        wrong |= shown & (runs_wrong != self._runs_wrong)
        wrong |= shown & runs_wrong & ~np.isfinite(rows["fps_stamped"])
        far = self._is_far(rows)
        wrong |= shown & (far != self._far)
        keyframe = rows["keyframe_last_ns"]
        wrong |= shown & ~far & (keyframe > 0) & (now - keyframe > SHAPE.gop_s * SECOND)
        declared = self._expected
        off_s = np.abs(rows["fps_nominal"] - declared) > STAMPS.declared_share * declared
        wrong |= shown & (declared > 0) & off_s & ~runs_wrong
        result: Bool = wrong.any(axis=-1)
        return result


def going_on(facts: Facts, rows: Rows) -> GoingOn | None:
    """The streams that may continue without processing each second; None: some stream or camera
    must be processed. `rows` are those of the last tick, of one meter.
    """
    live: dict[int, StreamState] = {}
    for stream in facts.streams.streams.values():
        if stream.row.last_ns + REST_NS <= facts.now_ns:
            continue
        if not _is_well(stream, facts.now_ns):
            return None
        live[stream.row.id] = stream
    if not live or len(rows) != len(live) or facts.blindness.unsettled(facts.now_ns):
        return None
    streams = [live.get(number) for number in rows["id"].tolist()]
    known = [s for s in streams if s is not None]
    if len(known) != len(live):
        return None
    if not all(_plays_on(camera, facts.now_ns) for camera in facts.cameras.cameras.values()):
        return None
    found = GoingOn(known, rows, facts)
    return found if found.started(rows, known, facts.now_ns) else None


def _same(one: F64 | I64, other: F64 | I64) -> bool:
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _runs_wrong(rows: Rows) -> Bool:
    """(n,) streams whose stamps run too slow or too fast."""
    wrong: Bool = np.abs(rows["stamp_rate"] - 1) >= STAMPS.off_share
    return wrong


def _held(rows: Rows) -> U8:
    raw: U8 = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), STREAM_DTYPE.itemsize)
    return raw[:, _HELD]


def _is_well(stream: StreamState, now_ns: int) -> bool:
    """The stream has no problem now, and had none recently."""
    row = stream.row
    if stream.state != "streaming" or row.end or stream.paused or stream.superseded:
        return False
    if stream.over_http or row.catching_up or row.frozen_picture_s or stream.lossy_ns:
        return False
    if media_of(stream.codec) not in ("video", "audio"):
        return False
    if row.last_ns - row.first_ns < SETTLED_NS or row.timestamp_jumps > 1 or row.camera_dropped:
        return False
    came = [f.start_ns + int(f.seconds * SECOND) for f in stream.freezes]
    came += [r.time_ns for r in stream.restarts]
    if any(now_ns - time_ns < REST_NS for time_ns in came):
        return False
    return not stream.window(now_ns, LIMITS.loss_window_s, "lost")


def _plays_on(camera: Camera, now_ns: int) -> bool:
    """A camera is at rest, or is streaming and nothing else is known about it."""
    if camera.arp_silent_ns or camera.syn_unanswered or camera.resets:
        return False
    if not camera.active_ns or camera.active_ns + REST_NS <= now_ns:
        return True
    if camera.state != "streaming" or camera.state_text is not None:
        return False
    if camera.unreachable or camera.hung_up or camera.sealed_ns or camera.sealed_tries:
        return False
    if camera.pictures_ns or any(True for _ in camera.refusals) or camera.refusals.wrong:
        return False
    return all(_goes_on(session, now_ns) for session in camera.sessions.values())


def _goes_on(session: Session, now_ns: int) -> bool:
    if session.ended:
        return max(session.ended_ns, session.last_ns) + REST_NS <= now_ns
    if session.state != "playing" or session.let_go_ns or session.torn_down_ns:
        return False
    return session.unanswered() is None and now_ns - session.play_ns >= PLAYED_NS


def _most_frames(stream: StreamState, now_s: int) -> int:
    """Largest number per second, over the time in which a rate is learnt."""
    seconds = stream.seconds
    span = range(now_s - LIMITS.learnt_s - 1, now_s + 1)
    return max((seconds[s].frames for s in span if s in seconds), default=0)
