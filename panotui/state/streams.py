"""RTP streams for display: the meters' stream rows with histories, windows and states.

`STREAM_DTYPE` rows and `STREAM_SECOND_DTYPE` rows come in, `StreamRecord`s go out. A stream keeps
the last five minutes by the second. The loss for display and alarms is lost / expected over 30 s,
never a mean of percentages. Bounded: the least recently seen streams are evicted first, ended ones
before open ones.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar, Literal, TypeAlias

from msgspec import Struct, field

from panotui.model import (
    AUDIO_CODECS,
    KEYED_CODECS,
    SECOND,
    STREAM_CODECS,
    VIDEO_CODECS,
    AnyMessage,
    EvidenceRecord,
    FreezeRecord,
    Rows,
    RtcpReport,
    RtspMessage,
    StreamBound,
    StreamFreeze,
    StreamGap,
    StreamRecord,
    StreamRestart,
    StreamRow,
    StreamSecond,
    Verdict,
    address_text,
    typed,
)
from panotui.state.blindness import Blindness
from panotui.state.h264_profiles import profile_text
from panotui.state.reader_reports import ReaderReports
from panotui.state.thresholds import thresholds

HISTORY_S = 300
SHOWN_S = 120  # seconds of history in a record
LIMITS = thresholds().streams
IDLE = 2  # end of a stream without a message: it was only silent for long
# After this time nothing of a stream or camera depends on time any more: all temporary reports
# about them are over (`stale_s` is the longest).
REST_NS = 1_000 * SECOND
EVIDENCE_MAX = 12
FREEZES_MAX = 50
WAY_MAX = 32  # streams of one path, the newest
# sent only when packets of another stream were lost, or beside them (RFC 4588, 5109, 8627)
_REPAIRS = frozenset(
    {"RTX", "ULPFEC", "RED", "FLEXFEC", "FLEXFEC-03", "PARITYFEC", "SMPTE2022-1-FEC"}
)
_SPARSE = frozenset({"metadata", "repair"})  # sent only when there is an event


def media_of(codec: str | None) -> str | None:
    """`video`, `audio`, `metadata` or `repair` by a codec's name; None if unknown."""
    if codec in VIDEO_CODECS or codec == "MP2T":
        return "video"
    if codec in AUDIO_CODECS:
        return "audio"
    if codec == "VND.ONVIF.METADATA":
        return "metadata"
    return "repair" if codec in _REPAIRS else None


def number(value: float) -> float | None:
    """A float column's value; None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


_NOTHING_CAME = frozenset({"silence", "backlog"})  # kinds of freezes
_SAID = {"video": "video", "audio": "audio"}

# history values of a second: bit/s, packets lost, frames, largest frame, key frames
_Shown: TypeAlias = tuple[float | None, int | None, int | None, int | None, int | None]
_NOTHING: _Shown = (None, None, None, None, None)
# columns of StreamSecond that are summed over windows
Summed: TypeAlias = Literal["bytes", "packets", "expected", "lost", "frames", "capture_lost"]
_address_text = lru_cache(4_096)(address_text)


class StreamState(Struct):
    """The state of one stream."""

    key: str
    meter: int
    row: StreamRow
    seconds: dict[int, StreamSecond] = field(default_factory=dict)  # by second
    seen_ns: int = 0  # last time it was seen, corrected for blind spans: see `Blindness.last_seen`
    freezes: list[FreezeRecord] = field(default_factory=list)
    gaps: list[StreamGap] = field(default_factory=list)  # the newest few
    restarts: list[StreamRestart] = field(default_factory=list)
    state: str = "streaming"
    state_since_ns: int = 0
    paused: bool = False
    paused_ns: int = 0
    camera: str | None = None
    url: str | None = None
    port: str | None = None
    rule: str | None = None
    verdict: Verdict = "pending"
    fps_expected: float | None = None
    uncertain: bool = False
    receiver_report_ns: int = 0  # the reader's newest report about it
    reports: ReaderReports = field(default_factory=ReaderReports)
    superseded: bool = False
    lossy_ns: int = 0  # since it was last seen to lose packets; 0: no loss
    fps_learnt: float | None = None  # the observed frame rate
    codec_said: str | None = None  # encoding name of the SDP
    media_said: str | None = None  # "video" or "audio" of its SDP's m= line
    control: str = ""  # of its track
    _shown: dict[int, _Shown] = field(default_factory=dict)  # second -> history values
    # sums of `window` by span and column, with their last second
    _sums: dict[tuple[int, Summed], tuple[int, int]] = field(default_factory=dict)

    @property
    def way(self) -> tuple[int, int, int]:
        """Meter, flow and channel, which one stream uses at a time."""
        return self.meter, self.row.flow, self.row.channel

    @property
    def over_http(self) -> bool:
        """Pictures in an HTTP response, without RTP."""
        row = self.row
        return row.transport == 6 and row.ssrc == 0 and not (row.signalled or row.clock_rate)

    @property
    def codec(self) -> str | None:
        """The encoding name; the SDP's own if `STREAM_CODECS` does not have it."""
        known = STREAM_CODECS[self.row.codec]
        return self.codec_said or known if known == "OTHER" else known

    @property
    def src(self) -> str:
        return _address_text(self.row.version, self.row.src)

    @property
    def dst(self) -> str:
        return _address_text(self.row.version, self.row.dst)

    def take_second(self, row: StreamSecond, oldest: int) -> None:
        """Store a second's row; seconds before `oldest` may be dropped."""
        second = row.second
        before = self.seconds.get(second)
        for key, (last, total) in self._sums.items():
            span_s, name = key
            if last - span_s <= second <= last:
                grown = getattr(row, name) - (getattr(before, name) if before else 0)
                self._sums[key] = (last, total + grown)
        self.seconds[second] = row
        self._shown[row.second] = (
            float(row.bytes * 8),
            row.lost,
            row.frames,
            row.frame_bytes_max,
            row.keyframes,
        )
        if len(self.seconds) > HISTORY_S + 60:
            self._sums.clear()
            self.seconds = {s: r for s, r in self.seconds.items() if s >= oldest}
            self._shown = {s: r for s, r in self._shown.items() if s >= oldest}

    def history(self, first: int, last: int) -> tuple[tuple[Any, ...], ...]:
        """For the seconds [first, last): bit/s, packets lost, frames, largest frame, key frames;
        None if unknown.
        """
        if first >= last:
            return ((), (), (), (), ())
        shown = self._shown
        return tuple(zip(*[shown.get(s, _NOTHING) for s in range(first, last)], strict=True))

    def window(self, now_ns: int, span_s: int, name: Summed) -> int:
        """Sum of a per-second column over the last `span_s` complete seconds."""
        last = now_ns // SECOND
        key = (span_s, name)
        ended, total = self._sums.get(key, (0, 0))
        if ended == last:
            return total
        seconds = self.seconds
        if not ended <= last <= ended + span_s:
            ended, total = (
                last,
                sum(
                    getattr(seconds[s], name)
                    for s in range(last - span_s, last + 1)
                    if s in seconds
                ),
            )
        for second in range(ended + 1, last + 1):
            come, gone = seconds.get(second), seconds.get(second - span_s - 1)
            total += getattr(come, name) if come else 0
            total -= getattr(gone, name) if gone else 0
        self._sums[key] = (last, total)
        return total

    def learn_rate(self, now_ns: int) -> None:
        """Learn the frame rate over half a minute; a lower one later is not learnt."""
        last = now_ns // SECOND
        if (last + self.meter + self.row.id) % 5:
            return  # not all of them every second
        span = range(last - LIMITS.learnt_s, last)
        if self.row.first_ns > span.start * SECOND or not self.row.frames:
            return
        counts = [self.seconds[s].frames if s in self.seconds else 0 for s in span]
        middle = float(sorted(counts)[len(counts) // 2])  # one of them
        rate = sum(counts) / LIMITS.learnt_s
        # a stall and the catching up after it change the mean, not the median
        if middle >= LIMITS.steady_pictures:
            near = [c for c in counts if abs(c - middle) <= max(1.0, LIMITS.near_share * middle)]
            rate = sum(near) / len(near)
        if rate > (self.fps_learnt or 0.0):
            self.fps_learnt = rate

    @property
    def patience_ns(self) -> int:
        """How long it is usually silent at most: some time between two pictures."""
        nominal = self.row.fps_nominal
        if not (math.isfinite(nominal) and nominal > 0):
            nominal = self.fps_expected or 0.0
        if nominal > 0:
            interval = 1 / nominal
        else:
            interval = LIMITS.unknown_interval_s if media_of(self.codec) == "video" else 0.0
        return int(max(LIMITS.frozen_s, LIMITS.intervals * interval) * SECOND)

    def is_pause(self, time_ns: int) -> bool:
        """Whether a silence since this time is one that the reader asked for, in a session from
        before the capture.
        """
        asked_ns = self.paused_ns if self.row.session < 0 else 0
        return asked_ns > 0 and time_ns - asked_ns <= LIMITS.frozen_s * SECOND

    @property
    def fps_wanted(self) -> float | None:
        """The declared frame rate, otherwise the learnt one."""
        return self.fps_expected or self.fps_learnt

    def lengthen_freeze(self, now_ns: int) -> None:
        """Extend the length of a continuing freeze up to now."""
        last = self.freezes[-1] if self.freezes else None
        if last is None or last.kind != "silence" or last.start_ns < self.row.last_ns:
            return
        seconds = max(last.seconds, (now_ns - last.start_ns) / SECOND)
        self.freezes[-1] = FreezeRecord(start_ns=last.start_ns, seconds=seconds, kind=last.kind)

    def gap_after(self, freeze: FreezeRecord | StreamFreeze) -> StreamGap | None:
        """Packets lost on the way during a silence, by the first packet after it."""
        if freeze.kind not in _NOTHING_CAME or freeze.seconds <= LIMITS.frozen_s:
            return None
        end_ns = freeze.start_ns + int(freeze.seconds * SECOND)
        return next(
            (
                g
                for g in self.gaps
                if g.where == "path" and abs(g.time_ns - end_ns) < LIMITS.taken_ns
            ),
            None,
        )

    def taken_by(self, freeze: FreezeRecord | StreamFreeze) -> int:
        """Packets lost on the way during a silence. A jump too large for a loss (RFC 3550 A.1) is
        not reported as a gap: then the loss of the second in which it ended.
        """
        if freeze.kind not in _NOTHING_CAME or freeze.seconds <= LIMITS.frozen_s:
            return 0
        gap = self.gap_after(freeze)
        if gap is not None:
            return gap.lost
        second = (freeze.start_ns + int(freeze.seconds * SECOND)) // SECOND
        return sum(self.seconds[s].lost for s in (second, second + 1) if s in self.seconds)

    def _taken_now(self, now_ns: int) -> int:
        """The same for the outages that ended in the last 30 s: each is reported separately."""
        if not self.freezes:
            return 0
        since_ns = now_ns - (LIMITS.loss_window_s + 1) * SECOND
        return sum(
            self.taken_by(f) for f in self.freezes if f.start_ns + f.seconds * SECOND >= since_ns
        )

    def loss_now(self, now_ns: int) -> float | None:
        """Share of packets lost over the last 30 s, without those missed by this capture or lost in
        an outage.
        """
        expected = self.window(now_ns, LIMITS.loss_window_s, "expected") - self._taken_now(now_ns)
        if expected <= 0:
            return None
        return min(1.0, max(0, self.lost_now(now_ns)) / expected)

    def lost_now(self, now_ns: int) -> int:
        """The number of packets of that share."""
        lost = self.window(now_ns, LIMITS.loss_window_s, "lost") - self._taken_now(now_ns)
        return lost - self.window(now_ns, LIMITS.loss_window_s, "capture_lost")

    def loses_now(self, now_ns: int) -> bool:
        """Whether the present loss is worth reporting: a lower share counts while it is losing
        anyway.
        """
        lost = self.lost_now(now_ns)
        if lost < LIMITS.lost_packets or self._has_just_come_back(now_ns):
            return False
        share = self.loss_now(now_ns) or 0.0
        if self.lossy_ns:
            return share > LIMITS.losing_over_share
        return share > LIMITS.losing_share and lost >= (
            LIMITS.lost_packets if share > LIMITS.losing_much_share else LIMITS.lost_few_packets
        )

    def _has_just_come_back(self, now_ns: int) -> bool:
        """A silence has ended, and its loss is not reported yet: late packets may still arrive."""
        last = self.freezes[-1] if self.freezes else None
        if last is None or last.kind not in _NOTHING_CAME or self.gap_after(last) is not None:
            return False
        return 0 <= now_ns - last.start_ns - int(last.seconds * SECOND) < LIMITS.told_ns

    def loses(self, now_ns: int) -> bool:
        """Whether it is losing packets, with two thresholds and a delay; called each second."""
        if self.loses_now(now_ns):
            self.lossy_ns = now_ns
        elif now_ns - self.lossy_ns > LIMITS.calm_s * SECOND:
            self.lossy_ns = 0
        return self.lossy_ns > 0


def size_text(row: StreamRow) -> str:
    """`640x360` from a stream's row; empty if unknown."""
    return f"{row.width}x{row.height}" if row.width else ""


class StreamBook:
    """All streams of the site; `limit` at most."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (StreamBound, StreamFreeze, StreamRestart, StreamGap, RtcpReport, RtspMessage)
    )

    def __init__(self, limit: int, blindness: Blindness | None = None) -> None:
        self.limit = limit
        self.blindness = blindness or Blindness()
        self.streams: dict[str, StreamState] = {}
        self.evicted = 0
        self.resized: list[tuple[StreamState, str]] = []  # by the last update: its size before
        # encoding name, medium and track by key of streams without a row yet
        self._said: dict[str, tuple[str | None, str | None, str]] = {}

    def update(self, meter: int, rows: Rows, seconds: Rows, now_ns: int) -> list[StreamState]:
        """Process one meter's changed streams and seconds; returns the new streams."""
        new: list[StreamState] = []
        self.resized = []
        for row in typed(rows, StreamRow):
            key = stream_key(meter, row.id)
            state = self.streams.get(key)
            if state is None:
                self._make_room()
                state = StreamState(key, meter, row, state_since_ns=row.first_ns)
                state.codec_said, state.media_said, state.control = self._said.pop(
                    key, (None, None, "")
                )
                self.streams[key] = state
                new.append(state)
                self._keep_newest(state.way)
            else:
                size, before = size_text(row), size_text(state.row)
                if before and size != before:
                    self.resized.append((state, before))
                state.row = row
        self._said.clear()  # a stream's row comes with the message about it
        oldest = now_ns // SECOND - HISTORY_S
        for second in typed(seconds, StreamSecond):
            state = self.streams.get(stream_key(meter, second.stream))
            if state is not None:
                state.take_second(second, oldest)
        return new

    def let_pass(self, passed: tuple[tuple[int, int], ...]) -> None:
        """Learn from ticks, (time, packets) each, at which streams merely continued."""
        for now_ns, _ in passed:
            for state in self.streams.values():
                state.learn_rate(now_ns)

    def _keep_newest(self, way: tuple[int, int, int]) -> None:
        """A camera that restarts each second must not fill the book with ended streams."""
        same = [s for s in self.streams.values() if s.way == way]
        if len(same) <= WAY_MAX:
            return
        victim = min(same, key=lambda s: s.row.last_ns)
        del self.streams[victim.key]
        self.evicted += 1

    def _make_room(self) -> None:
        if len(self.streams) < self.limit:
            return
        victim = min(
            self.streams.values(),
            key=lambda s: (s.row.end == 0, s.row.last_ns),
        )
        del self.streams[victim.key]
        self.evicted += 1

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a message about a stream, or about the session of streams."""
        if isinstance(message, RtspMessage):
            self._pause(message, meter)
            return
        kinds = StreamFreeze | StreamRestart | StreamGap | RtcpReport | StreamBound
        if not isinstance(message, kinds):
            return
        state = self.streams.get(stream_key(meter, message.stream))
        if state is None:
            if isinstance(message, StreamBound):
                said = message.codec, _SAID.get(message.media), message.control
                self._said[stream_key(meter, message.stream)] = said
            return
        if isinstance(message, StreamBound):
            state.codec_said = message.codec or state.codec_said
            state.media_said = _SAID.get(message.media, state.media_said)
            state.control = message.control or state.control
        elif isinstance(message, StreamFreeze):
            record = FreezeRecord(
                start_ns=message.start_ns, seconds=message.seconds, kind=message.kind
            )
            # a freeze is reported when it begins and again when it ends
            state.freezes = [f for f in state.freezes if f.start_ns != message.start_ns]
            state.freezes = [*state.freezes, record][-FREEZES_MAX:]
        elif isinstance(message, StreamRestart):
            state.restarts = [*state.restarts, message][-20:]
        elif isinstance(message, StreamGap):
            state.gaps = [*state.gaps, message][-20:]
        elif message.kind == "rr" and message.from_receiver:
            state.receiver_report_ns = message.time_ns
            state.reports.take(message)

    def _pause(self, message: RtspMessage, meter: int) -> None:
        """A session that is paused or resumed, once the camera has confirmed.

        A session from before the capture is known by its two hosts alone, and is not heard of again
        once it was torn down.
        """
        if message.method not in ("PLAY", "PAUSE", "TEARDOWN"):
            return
        if message.status is None or not 200 <= message.status < 300:
            return
        for stream in self.streams.values():
            if stream.meter != meter or message.time_ns < stream.row.first_ns:
                continue
            if stream.row.session < 0:
                if (stream.src, stream.dst) != (message.server, message.client):
                    continue
                if message.method == "PLAY":
                    continue  # of another session; its own is seen by its packets
                stream.paused = True
            elif stream.row.session == message.session and message.method != "TEARDOWN":
                stream.paused = message.method == "PAUSE"
            else:
                continue
            stream.paused_ns = message.time_ns

    def rest_ns(self) -> int:
        """Until when time alone may change a stream, without further packets; 0: there is none."""
        newest = max((s.row.last_ns for s in self.streams.values()), default=0)
        return newest + REST_NS if newest else 0

    def judge_states(self, now_ns: int) -> list[tuple[StreamState, str]]:
        """Update every stream's state to `now_ns`; returns (stream, old state) of those that
        changed.
        """
        changed: list[tuple[StreamState, str]] = []
        ways: dict[tuple[int, int, int], list[StreamState]] = {}
        for state in self.streams.values():
            state.seen_ns = self.blindness.last_seen(state.meter, state.row.last_ns)
            ways.setdefault(state.way, []).append(state)
        for state in self.streams.values():
            beside = ways[state.way]
            state.superseded = len(beside) > 1 and _superseded(state, beside, now_ns)
            state.learn_rate(now_ns)
            if state.paused and state.row.session < 0 and not state.is_pause(state.row.last_ns):
                state.paused = False
            was = state.state
            now, since = self._state_of(state, now_ns)
            if now == "frozen":
                state.lengthen_freeze(now_ns)
            if now != was:
                state.state, state.state_since_ns = now, since
                changed.append((state, was))
        return changed

    def _state_of(self, state: StreamState, now_ns: int) -> tuple[str, int]:
        row = state.row
        last = row.last_ns
        if row.end and (row.end != IDLE or state.state != "frozen"):
            return "ended", last
        if state.superseded:
            return "ended", last
        seen = max(last, state.seen_ns)
        if state.paused:
            return "paused", state.paused_ns or now_ns
        if media_of(state.codec) in _SPARSE:
            return "streaming", row.first_ns
        if now_ns - seen > state.patience_ns:
            return "frozen", seen
        if row.frozen_picture_s > LIMITS.frozen_s:
            return "frozen", now_ns - int(row.frozen_picture_s * SECOND)
        if state.loses(now_ns):
            return "losing", now_ns
        fps_now, wanted = row.fps_now, state.fps_wanted
        if (
            wanted
            and math.isfinite(fps_now)
            and fps_now
            < (LIMITS.slow_over_share if state.state == "slow" else LIMITS.slow_share) * wanted
            and last - row.first_ns > 10 * SECOND
        ):
            return "slow", now_ns
        return "streaming", now_ns

    def record(self, state: StreamState, now_ns: int) -> StreamRecord:
        """A stream as a record, with the last two minutes of its history."""
        row = state.row
        codec = state.codec
        media = media_of(codec) or state.media_said
        video = media in ("video", None)
        first_s, last_s = row.first_ns // SECOND, now_ns // SECOND
        first_s = max(first_s, last_s - SHOWN_S)
        bps, lost, shown_frames, frame_bytes, keyframes = state.history(first_s, last_s)
        newest = state.seconds.get(last_s - 1)
        clock = row.clock_rate
        frames = row.frames
        return StreamRecord(
            id=state.key,
            camera=state.camera,
            url=state.url,
            ssrc=f"0x{row.ssrc:08x}",
            payload_type=row.payload_type,
            codec=codec,
            transport="udp" if row.transport == 17 else "tcp",
            src=state.src,
            sport=row.sport,
            dst=state.dst,
            dport=row.dport,
            first_time_ns=row.first_ns,
            last_time_ns=row.last_ns,
            packets=row.packets,
            bytes=row.bytes,
            expected=row.expected,
            lost=row.lost,
            duplicates=row.duplicates,
            reordered=row.reordered,
            jitter_mean_ms=number(row.jitter_mean_ms) if clock else None,
            jitter_max_ms=number(row.jitter_max_ms) if clock else None,
            frame_jitter_mean_ms=number(row.frame_jitter_mean_ms) if clock else None,
            frame_jitter_max_ms=number(row.frame_jitter_max_ms) if clock else None,
            delta_min_ms=number(row.delta_min_ms),
            delta_mean_ms=number(row.delta_mean_ms),
            delta_max_ms=number(row.delta_max_ms),
            bitrate_mean_bps=number(row.bitrate_mean_bps),
            bitrate_peak_bps=number(row.bitrate_peak_bps),
            frames=frames if video and frames else None,
            keyframes=row.keyframes
            if video and frames and codec in KEYED_CODECS and not row.encrypted
            else None,
            # a few pictures that arrived at once have no rate
            fps=number(row.fps) if video and row.last_ns - row.first_ns >= SECOND // 2 else None,
            gop_s=number(row.gop_s) if video else None,
            width=row.width or None,
            height=row.height or None,
            profile=profile_text(row.profile, row.constraint, row.level),
            freezes=tuple(state.freezes),
            rule=state.rule,
            verdict=state.verdict,
            media=media,
            flow=f"{state.meter}-{row.flow}",
            channel=row.channel if row.channel >= 0 else None,
            port=state.port,
            signalled=bool(row.signalled),
            undeclared=bool(row.undeclared),
            stray=bool(row.stray),
            encrypted=bool(row.encrypted),
            clock_rate=clock or None,
            state=state.state,
            state_since_ns=state.state_since_ns,
            rate_bps=_rate(newest, last_s - 1, row.first_ns),
            loss_now=state.loss_now(now_ns),
            jitter_ms=number(row.jitter_ms) if clock else None,
            frame_jitter_ms=number(row.frame_jitter_ms) if clock else None,
            fps_now=self._fps_now(state, now_ns) if video else None,
            fps_expected=state.fps_expected,
            fps_nominal=number(row.fps_nominal) if video else None,
            fps_stamped=number(row.fps_stamped) if video else None,
            stamp_rate=number(row.stamp_rate) if clock else None,
            catching_up=bool(row.catching_up),
            gop_frames=row.gop_frames or None,
            keyframe_last_ns=row.keyframe_last_ns or None,
            lost_unique=row.lost_unique,
            gap_events=row.gap_events,
            longest_gap=row.longest_gap,
            capture_lost=row.capture_lost,
            camera_dropped=row.camera_dropped,
            camera_gaps=row.camera_gaps,
            uncertain=state.uncertain or row.capture_lost > 0,
            restarts=row.restarts,
            ssrc_changes=row.ssrc_changes,
            foreign=row.foreign,
            markers=row.markers,
            damaged_frames=row.damaged_frames,
            frame_bytes_mean=number(row.frame_bytes_mean),
            frame_bytes_max=row.frame_bytes_max or None,
            late_frame_max_ms=number(row.late_frame_max_ms),
            timestamp_jumps=row.timestamp_jumps,
            stalls=(
                (50, row.stalls_50ms, row.stall_50ms_s),
                (200, row.stalls_200ms, row.stall_200ms_s),
                (500, row.stalls_500ms, row.stall_500ms_s),
            )
            if video and clock
            else (),
            evidence=evidence_of(state),
            sr_lost=row.sr_lost if row.sr_packets >= 0 else None,
            rr_lost=row.rr_lost if row.rr_count > 0 else None,
            rr_fraction=number(row.rr_fraction),
            rr_jitter_ms=number(row.rr_jitter_ms),
            rtt_ms=number(row.rtt_ms),
            camera_clock_offset_s=number(row.camera_clock_offset_s),
            drift_ppm=number(row.drift_ppm),
            history_bps=bps,
            history_lost=lost,
            history_frames=shown_frames,
            history_frame_bytes=frame_bytes,
            history_keyframes=keyframes,
        )

    @staticmethod
    def _fps_now(state: StreamState, now_ns: int) -> float | None:
        """Frames a second over the ten seconds before the newest packet; none come any more where
        the picture is frozen because no packet comes."""
        silent = now_ns - state.row.last_ns > LIMITS.frozen_s * SECOND
        return 0.0 if state.state == "frozen" and silent else number(state.row.fps_now)

    def records(self, now_ns: int) -> tuple[StreamRecord, ...]:
        """All streams, oldest first."""
        states = sorted(
            self.streams.values(),
            key=lambda s: (s.row.first_ns, s.row.first_packet),
        )
        return tuple(self.record(s, now_ns) for s in states)


def _superseded(state: StreamState, beside: list[StreamState], now_ns: int) -> bool:
    """Another SSRC continues where this one stopped: the camera restarted, or the stopped one was
    left over from an older session on the same port. Two SSRCs that alternate are two streams.
    """
    last = state.row.last_ns
    if now_ns - last <= state.patience_ns:
        newest = max(beside, key=lambda s: s.row.last_ns)
        return newest is not state and newest.row.first_ns > last
    kind = media_of(state.codec) or "video"  # few packets do not show it
    return any(
        other is not state and other.row.last_ns > last and media_of(other.codec) in (kind, None)
        for other in beside
    )


def _rate(row: StreamSecond | None, second: int, first_ns: int) -> float | None:
    """Bits in that second; None if the stream was not seen for the whole of it."""
    if first_ns > second * SECOND:
        return None
    return float(row.bytes * 8) if row is not None else 0.0


_WHERE = {"path": "on the way", "camera": "in the camera", "capture": "by this tool"}


def evidence_of(state: StreamState) -> tuple[EvidenceRecord, ...]:
    """The packets after the newest gaps and restarts, oldest first."""
    found = [
        EvidenceRecord(
            time_ns=gap.time_ns,
            packet=gap.packet or None,
            text=f"{gap.lost} lost before it, {_WHERE.get(gap.where, gap.where)}"
            + (", at the end of a key frame" if gap.keyframe_tail else ""),
        )
        for gap in state.gaps
    ]
    found += [
        EvidenceRecord(time_ns=r.time_ns, packet=r.packet or None, text="the stream started over")
        for r in state.restarts
    ]
    found.sort(key=lambda one: one.time_ns)
    return tuple(found[-EVIDENCE_MAX:])


def stream_key(meter: int, number_in_meter: int) -> str:
    """A stream's id in records: `"0-17"`."""
    return f"{meter}-{number_in_meter}"
