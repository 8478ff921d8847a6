"""Findings about a camera's streams: loss, jitter, freezes, rates."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from panotui.diagnosis.cameras import (
    FPS_SHARE,
    FRAME_JITTER_MS,
    GOP_S,
    HEAVY_BPS,
    LATE_MS,
    LOSS_BAD,
    LOSS_LEAST,
    LOSS_WARN,
    PORT_SHARE,
    RTSP,
    STARTED_NS,
    About,
    about,
    subject_of,
)
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    SECOND,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    StreamFreeze,
    StreamGap,
    StreamRestart,
    address_text,
)
from panotui.state.camera import Camera
from panotui.state.connects import recent
from panotui.state.streams import FROZEN_S, StreamState, media_of, stream_key

CLOCK_OFF = 0.02  # by which the clock of the stamps may miss arrival over 30 s
CLOCK_OFF_S = (5, 30)  # for so long, over UDP and over TCP


@dataclass(slots=True)
class _Trouble:
    """Events of one stream that a finding needs."""

    gaps: deque[StreamGap] = field(default_factory=lambda: deque(maxlen=256))
    restarts: deque[StreamRestart] = field(default_factory=lambda: deque(maxlen=16))
    freezes: deque[StreamFreeze] = field(default_factory=lambda: deque(maxlen=16))


class StreamRule(Rule):
    """stream-loss, stream-burst, stream-jitter, stream-frozen, stream-frozen-picture, stream-fps,
    stream-gop, stream-bitrate, stream-restart, stream-camera-drop, stream-timestamps,
    receiver-slow."""

    hears = frozenset((StreamGap, StreamRestart, StreamFreeze))

    def __init__(self) -> None:
        self._troubles: OrderedDict[str, _Trouble] = OrderedDict()
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        self._dropped: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._jumps: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._off_clock: OrderedDict[str, int] = OrderedDict()  # since when stamps run wrong
        self._windows: OrderedDict[str, tuple[int, int, EvidenceRecord]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, StreamGap | StreamRestart | StreamFreeze):
            return
        trouble = self._troubles.setdefault(stream_key(facts.meter, message.stream), _Trouble())
        while len(self._troubles) > 2048:
            self._troubles.popitem(last=False)
        if isinstance(message, StreamGap):
            trouble.gaps.append(message)
        elif isinstance(message, StreamRestart):
            trouble.restarts.append(message)
        else:
            if trouble.freezes and trouble.freezes[-1].start_ns == message.start_ns:
                trouble.freezes.pop()
            trouble.freezes.append(message)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        load: dict[str, float] = {}
        self._take_windows(facts)
        for address, streams in facts.camera_streams.items():
            camera = facts.cameras.get(address)
            if camera is None:
                continue
            for stream in streams:
                out.extend(self._of(camera, stream, len(streams), facts))
                rate = stream.window(facts.now_ns, 10, "bytes") * 0.8
                if stream.port:
                    load[stream.port] = load.get(stream.port, 0.0) + rate
            out.extend(self._receiver(camera, facts))
        for port, rate in load.items():
            record = next((p for p in facts.port_records if p.name == port), None)
            speed = record.speed_mbps if record and not record.link_is_ours else None
            limit = PORT_SHARE * (speed or 1000) * 1e6
            if rate > limit:
                out.append(
                    Observation(
                        "stream-bitrate",
                        port,
                        {
                            "subject": f"All streams of {port} together",
                            "port": port,
                            "detail": f"{rate / 1e6:.0f} Mb/s, more than 70 % of the port",
                        },
                    )
                )
        return out

    def _of(
        self, camera: Camera, stream: StreamState, siblings: int, facts: Facts
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        if now - row.last_ns > 120 * SECOND and row.end:
            return
        subject = subject_of(camera)
        media = media_of(stream.codec)
        if siblings > 1 and media not in ("video", None):
            subject += f" {media}"
        values = {**about(camera, facts), "stream": stream.key, "subject": f"Camera {camera.name}"}
        trouble = self._troubles.get(stream.key, _Trouble())
        base: About = {"stream": stream.key, "camera": camera.address}
        yield from self._frozen(stream, subject, values, base, trouble, facts)
        yield from self._loss(stream, subject, values, base, trouble, facts)
        yield from self._restarted(stream, subject, values, base, trouble, facts)
        if row.end or stream.paused:
            return
        if media in ("video", None) and row.transport == 6:
            yield from self._camera_drops(stream, subject, values, base, trouble, facts)
        if media != "video" or row.encrypted:
            return
        yield from self._pace(stream, subject, values, base, facts)
        yield from self._shape(stream, subject, values, base, facts)

    # ------------------------------------------------------------------ loss

    def _loss(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        if stream.row.transport == 6:
            return  # gaps inside TCP are the camera's or the capture's
        now = facts.now_ns
        # what is still inside the reorder window is not lost yet, and what fell into this tool's
        # own drops is not the network's
        share = stream.loss_now(now)
        lost = stream.window(now, 30, "lost") - stream.window(now, 30, "capture_lost")
        if share is None or share <= LOSS_WARN or lost < LOSS_LEAST:
            return
        seconds = min(30, max(1, (now - stream.row.first_ns) // SECOND))
        gaps = [g for g in trouble.gaps if now - g.time_ns <= 30 * SECOND]
        reported = stream.row.rr_fraction
        detail = [f"{lost} packets in {len(gaps) or 'several'} gaps"]
        if stream.row.sr_packets >= 0:
            before = stream.row.sr_lost
            detail.append(
                "lost before this point, by the camera's own count"
                if before > 0
                else "the camera's own count does not show it: lost near the camera or not told yet"
            )
        if math.isfinite(reported):
            detail.append(f"the reader itself reports {100 * reported:.1f} %")
        missed = facts.ring_dropped + facts.interface_dropped
        if stream.uncertain and missed:
            detail.append(f"{missed} packets were missed by the capture itself: some may be these")
        yield Observation(
            "stream-loss", subject,
            {**values, "loss": f"{100 * share:.2f}", "seconds": str(seconds), "detail": ""},
            tuple(evidence(g.time_ns, g.packet, f"{g.lost} lost") for g in gaps[-8:]),
            gaps[0].time_ns if gaps else 0, gaps[-1].time_ns if gaps else 0,
            "possible" if stream.uncertain else "certain",
            "error" if share > LOSS_BAD else None, tuple(detail), **base,
        )  # fmt: skip
        tail = stream.row.tail_lost
        total = stream.row.lost_unique
        if tail >= 20 and tail > 0.6 * total:
            yield Observation(
                "stream-burst", subject, {**values, "tail": str(tail), "lost": str(total)},
                tuple(
                    evidence(g.time_ns, g.packet, f"{g.lost} lost at the end of a key frame")
                    for g in gaps
                    if g.keyframe_tail
                )[-8:],
                **base,
            )  # fmt: skip

    def _camera_drops(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        dropped = stream.row.camera_dropped
        known = self._dropped.get(stream.key, (0, 0))
        if dropped > known[0]:
            known = (dropped, facts.now_ns)
            self._dropped[stream.key] = known
            while len(self._dropped) > 2048:
                self._dropped.popitem(last=False)
        share = dropped / max(1, stream.row.expected)
        if dropped < LOSS_LEAST or share < LOSS_WARN or not recent(known[1], facts.now_ns, 60):
            return
        gaps = [g for g in trouble.gaps if g.where == "camera"]
        yield Observation(
            "stream-camera-drop", subject,
            {**values, "dropped": str(dropped), "gaps": str(stream.row.camera_gaps)},
            tuple(evidence(g.time_ns, g.packet, f"{g.lost} not sent") for g in gaps[-8:]),
            last_ns=known[1], **base,
        )  # fmt: skip

    # ------------------------------------------------------------------ freezes

    @staticmethod
    def _frozen(
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        last = row.last_ns
        if stream.paused or row.packets < 8 or media_of(stream.codec) == "metadata":
            return
        found = facts.cameras.session_of(stream.meter, row.session)
        if found is None and media_of(stream.codec) != "video":
            return  # found by its content alone: a call that ended is no frozen camera
        where = ", the session is open" if found else ""
        sureness: Confidence = "certain" if found is not None else "likely"
        for freeze in trouble.freezes:
            end = freeze.start_ns + int(freeze.seconds * SECOND)
            over = freeze.kind in ("silence", "backlog") and freeze.seconds > FROZEN_S
            if over and end <= last and now - end <= 2 * SECOND:
                yield Observation(
                    "stream-frozen", subject,
                    {**values, "seconds": f"{freeze.seconds:.1f}", "detail": where},
                    (
                        evidence(freeze.start_ns, 0, "last packet before the freeze"),
                        evidence(end, freeze.packet, "first packet after it"),
                    ),
                    freeze.start_ns, end, sureness, **base,
                )  # fmt: skip
                return
        still = row.frozen_picture_s
        silent = (now - last) / SECOND
        if still > FROZEN_S and silent <= FROZEN_S and not row.end:
            yield Observation(
                "stream-frozen-picture", subject, {**values, "seconds": f"{still:.0f}"},
                (evidence(now - int(still * SECOND), 0, "the picture stands still from here"),),
                now - int(still * SECOND), now, **base,
            )  # fmt: skip
        if stream.state != "frozen" or (found is not None and found[1].state == "ended"):
            return
        if silent > FROZEN_S:
            yield Observation(
                "stream-frozen", subject,
                {**values, "seconds": f"{silent:.0f}", "detail": where},
                (evidence(last, row.last_packet, "last packet"),), last, now, sureness,
                **base,
            )  # fmt: skip

    def _restarted(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        now = facts.now_ns
        found = facts.cameras.session_of(stream.meter, stream.row.session)
        for restart in reversed(trouble.restarts):
            if restart.kind not in ("ssrc", "sequence") or now - restart.time_ns > 300 * SECOND:
                continue
            played = found[1].play_ns if found else 0
            if found and abs(restart.time_ns - played) < 2 * SECOND:
                continue
            yield Observation(
                "stream-restart", subject,
                {**values, "kind": "SSRC" if restart.kind == "ssrc" else "sequence numbers"},
                (evidence(restart.time_ns, restart.packet, f"{restart.kind} {restart.detail}"),),
                restart.time_ns, restart.time_ns, "likely" if found else "possible", **base,
            )  # fmt: skip
            return

    # ------------------------------------------------------------------ pace

    def _pace(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        age = row.last_ns - row.first_ns
        last = now // SECOND
        recent_s = [stream.seconds[s] for s in range(last - 10, last) if s in stream.seconds]
        if row.clock_rate and len(recent_s) >= 3:
            jitters = sorted(s.frame_jitter_ms for s in recent_s)
            middle = jitters[len(jitters) // 2]
            gap = max(s.gap_max_ms for s in recent_s)
            nominal = row.fps_nominal
            step = 1000 / nominal if math.isfinite(nominal) and nominal > 0 else 0.0
            parts = []
            if math.isfinite(middle) and middle > FRAME_JITTER_MS:
                parts.append(f"frame jitter {middle:.0f} ms")
            if math.isfinite(gap) and step and gap - step > LATE_MS and gap < 1000 * FROZEN_S:
                parts.append(f"a frame came {gap - step:.0f} ms late")
            if parts:
                yield Observation(
                    "stream-jitter", subject, {**values, "detail": ", ".join(parts)},
                    (evidence(now, row.last_packet, "measured over the last 10 s"),),
                    **base,
                )  # fmt: skip
        fps = row.fps_now
        expected = stream.fps_expected
        learnt = row.fps_nominal
        source = "declared"
        if expected is None and age > 60 * SECOND and math.isfinite(learnt):
            expected, source = learnt, "learnt from its time stamps"
        if self._runs_wrong(stream, now):
            return  # the pictures come as they are made: their stamps say something else
        if expected and math.isfinite(fps) and age > STARTED_NS and fps < FPS_SHARE * expected:
            quiet = any(now - f.start_ns < 20 * SECOND for f in stream.freezes)
            if not quiet and now - row.last_ns < FROZEN_S * SECOND:
                yield Observation(
                    "stream-fps", subject,
                    {**values, "fps": f"{fps:.1f}", "expected": f"{expected:.4g}"},
                    detail=(f"the expected rate is {source}",), **base,
                )  # fmt: skip

    def _runs_wrong(self, stream: StreamState, now: int) -> bool:
        """Does the clock of the stamps run too slow or too fast, for a while already?

        What waits in a queue on the way grows late as well, over TCP for longer.
        """
        row = stream.row
        quiet = any(now - f.start_ns < 40 * SECOND for f in stream.freezes)
        off = math.isfinite(row.stamp_rate) and abs(row.stamp_rate - 1) >= CLOCK_OFF
        if not off or quiet or row.catching_up or now - row.last_ns > FROZEN_S * SECOND:
            self._off_clock.pop(stream.key, None)
            return False
        since = self._off_clock.setdefault(stream.key, now)
        while len(self._off_clock) > 2048:
            self._off_clock.popitem(last=False)
        return now - since >= CLOCK_OFF_S[row.transport == 6] * SECOND

    # ------------------------------------------------------------------ what the camera makes

    def _shape(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: About,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        keyframe = row.keyframe_last_ns
        gop = row.gop_s
        since = (now - keyframe) / SECOND if keyframe else 0.0
        age = (row.last_ns - row.first_ns) / SECOND
        long = gop if math.isfinite(gop) and gop > GOP_S else 0.0
        if keyframe and now - row.last_ns < FROZEN_S * SECOND:
            long = max(long, since if since > GOP_S else 0.0)
        elif not keyframe and age > 2 * GOP_S and stream.codec == "H264" and row.frames > 50:
            long = age
        if long > GOP_S + 0.5:
            yield Observation(
                "stream-gop", subject, {**values, "seconds": f"{long:.0f}"},
                (evidence(keyframe or row.first_ns, 0, "last key frame"),), **base,
            )  # fmt: skip
        rate = stream.window(now, 10, "bytes") * 0.8
        if rate > HEAVY_BPS and age > 10:
            yield Observation(
                "stream-bitrate", subject,
                {**values, "detail": f"{rate / 1e6:.1f} Mb/s over 10 s"},
                (evidence(now, row.last_packet, "the last of these 10 s"),), **base,
            )  # fmt: skip
        jumps = row.timestamp_jumps
        known = self._jumps.get(stream.key, (0, 0))
        if jumps > known[0]:
            known = self._jumps[stream.key] = (jumps, now)
            while len(self._jumps) > 2048:
                self._jumps.popitem(last=False)
        nominal = row.fps_nominal
        fps_now = row.fps_now
        parts = []
        if jumps >= 2 and recent(known[1], now, 60):
            parts.append(f"they jumped {jumps} times")
        if self._runs_wrong(stream, now) and math.isfinite(row.fps_stamped):
            slow = "slow" if row.stamp_rate < 1 else "fast"
            parts.append(
                f"they run {100 * abs(row.stamp_rate - 1):.0f} % too {slow}: they say"
                f" {row.fps_stamped:.4g} frames/s, {row.fps_stamped * row.stamp_rate:.4g} arrive"
            )
        elif (
            stream.fps_expected
            and math.isfinite(nominal)
            and age > 20
            and abs(nominal - stream.fps_expected) > 0.2 * stream.fps_expected
            and abs(nominal - stream.fps_expected / 2) > 0.5
            # a camera that is slow and says so is stream-fps, and its time stamps are right
            and not fps_now < FPS_SHARE * stream.fps_expected
        ):
            parts.append(f"they say {nominal:.1f} frames/s, declared are {stream.fps_expected:.4g}")
        if parts:
            yield Observation(
                "stream-timestamps", subject, {**values, "detail": "; ".join(parts)}, **base
            )

    # ------------------------------------------------------------------ the reader

    def _take_windows(self, facts: Facts) -> None:
        """Note the readers of cameras that have told a window of zero."""
        slots, rows = facts.changed_flows()
        stuck = (
            (rows["protocol"] == 6)
            & (rows["zero_window_out"] > 0)
            & ((rows["dport"] == 554) | (rows["app"] == RTSP))
        )
        for slot in slots[stuck][:16].tolist():
            row = facts.flows.rows[slot]
            address = address_text(int(row["version"]), row["dst"].tobytes())
            if address not in facts.camera_streams or facts.cameras.get(address) is None:
                continue
            count = int(row["zero_window_out"])
            known = self._windows.get(address)
            if known is None or count > known[0]:
                seen = evidence(int(row["last_ns"]), int(row["last_packet"]), "window is zero")
                self._windows[address] = (count, facts.now_ns, seen)

    def _receiver(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        known = self._windows.get(camera.address)
        if known is None or known[0] < 2 or not recent(known[1], facts.now_ns, 60):
            return
        client = next(reversed(camera.readers), "The reader")
        own = facts.port_of(client)
        yield Observation(
            "receiver-slow", subject_of(camera),
            {**about(camera, facts), "client": f"The appliance ({own})" if own else client,
             "count": str(known[0])},
            (known[2],), known[1], known[1], camera=camera.address,
        )  # fmt: skip
