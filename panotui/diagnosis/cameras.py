"""Findings of cameras and their streams: unreachable, refusing, silent, losing, freezing, unsuited.

The camera and stream books, RTSP messages and stream events come in, observations go out. What a
stream is alarmed on is frame jitter and the loss of 30 s without what this tool itself missed;
the per-packet jitter of RFC 3550 alarms on perfect wires.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.model import (
    APPS,
    SECOND,
    AnyMessage,
    ArpMessage,
    Confidence,
    DhcpMessage,
    EvidenceRecord,
    LinkControlMessage,
    RtspEnd,
    RtspMessage,
    StreamFreeze,
    StreamGap,
    StreamRestart,
    address_text,
)
from panotui.site.view import Who
from panotui.state.camera import SYN_UNANSWERED, Camera, Session
from panotui.state.connects import recent
from panotui.state.streams import StreamState, media_of, stream_key

STALE_S = 900.0
MEDIA_AWAITED_NS = 3 * SECOND
LOSS_WARN, LOSS_BAD = 0.001, 0.01
LOSS_LEAST = 3  # packets: less is a stray bit, whatever the share
FRAME_JITTER_MS = 30.0
LATE_MS = 500.0
FROZEN_S = 2.0
FPS_SHARE = 0.8
GOP_S = 10.0
HEAVY_BPS = 9e6
PORT_SHARE = 0.7
STARTED_NS = 12 * SECOND  # a stream's rates mean something after this long
REBOOT_NS = 60 * SECOND
QUERIER_S = (180.0, 320.0)
# A camera ends a session when its time-out is over, never before, and some look only now and then.
EXPIRES_S = (-1.0, 5.0)
_RTSP = APPS.index("rtsp")
UNSUITED = {"H265": "H.265", "JPEG": "MJPEG", "MP4V-ES": "MPEG-4 part 2"}


class _About(TypedDict):
    stream: str
    camera: str


def _about(camera: Camera, facts: Facts) -> dict[str, str]:
    return {
        "camera": camera.name,
        "address": camera.address,
        "port": camera.port or "",
        "url": camera.url or "",
        "stream": "",
    }


def _subject(camera: Camera) -> str:
    return f"camera {camera.name}"


class CameraRule(Rule):
    """camera-unreachable, camera-refused, rtsp-auth, rtsp-lockout, rtsp-not-found, rtsp-sessions,
    rtsp-transport, udp-blocked, stream-codec, stream-multi-reader."""

    hears = frozenset((RtspMessage,))

    def __init__(self) -> None:
        self._asked: OrderedDict[str, RtspMessage] = OrderedDict()  # last SETUP by camera
        self._bad: OrderedDict[str, deque[EvidenceRecord]] = OrderedDict()
        self._wrong: OrderedDict[str, int] = OrderedDict()  # refused passwords by camera
        self._urls: OrderedDict[str, str] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if not isinstance(message, RtspMessage):
            return
        if message.url and message.method in ("DESCRIBE", "SETUP"):
            self._urls[message.server] = message.url
        if message.status is None:
            if message.method == "SETUP":
                self._asked[message.server] = message
            return
        if message.status >= 400:
            seen = self._bad.setdefault(message.server, deque(maxlen=8))
            what = f"{message.status} {message.reason or ''}".strip()
            seen.append(
                evidence(message.time_ns, message.packet, f"{what} to {message.method or '?'}")
            )
            camera = facts.cameras.get(message.server)
            refusal = camera.refusal if camera else None
            if message.status == 401 and refusal and refusal.time_ns == message.time_ns:
                self._wrong[message.server] = self._wrong.get(message.server, 0) + 1
        elif message.method in ("DESCRIBE", "SETUP", "PLAY"):
            self._bad.pop(message.server, None)
            self._wrong.pop(message.server, None)
        for table in (self._asked, self._bad, self._wrong, self._urls):
            while len(table) > 256:
                table.popitem(last=False)

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            out.extend(self._reach(camera, facts))
            out.extend(self._refusal(camera, facts))
            out.extend(self._media(camera, facts))
            out.extend(self._codec(camera, facts))
            out.extend(self._readers(camera, facts))
        return out

    # ------------------------------------------------------------------ reach

    def _reach(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        now = facts.now_ns
        values = _about(camera, facts)
        others = [
            c.name
            for c in facts.cameras.cameras.values()
            if c is not camera
            and (c.media_ns or c.connected_ns)
            and recent(max(c.media_ns, c.connected_ns), now, 600)
        ]
        detail = tuple(f"control: camera {o} answers" for o in others[:2])
        sureness: Confidence = "likely" if others else "possible"
        if camera.arp_silent_ns and camera.media_ns < camera.arp_silent_ns:
            yield Observation(
                "camera-unreachable", _subject(camera),
                {**values, "detail": "ARP for it goes unanswered"},
                (evidence(camera.arp_silent_ns, camera.syn_packet, "ARP, no answer"),),
                camera.arp_silent_ns, now, "certain" if others else "likely",
                detail=(*detail, "it is off, unplugged or in another VLAN"),
                camera=camera.address,
            )  # fmt: skip
        elif camera.syn_unanswered >= SYN_UNANSWERED and recent(camera.syn_last_ns, now, STALE_S):
            yield Observation(
                "camera-unreachable", _subject(camera),
                {**values, "detail": f"{camera.syn_unanswered} SYNs unanswered"},
                (evidence(camera.syn_first_ns, camera.syn_packet, "SYN, no answer"),),
                camera.syn_first_ns, camera.syn_last_ns, sureness, detail=detail,
                camera=camera.address,
            )  # fmt: skip
        if camera.resets and camera.reset_ns > camera.connected_ns:
            if not recent(camera.reset_ns, now, STALE_S):
                return
            wrong = self._wrong.get(camera.address, 0)
            seen = (evidence(camera.reset_ns, camera.reset_packet, "RST to SYN"),)
            if wrong:
                yield self._lockout(camera, values, "it now refuses connections", wrong, seen)
                return
            yield Observation(
                "camera-refused", _subject(camera), {**values, "dport": str(camera.reset_port)},
                seen, camera.reset_ns, camera.reset_ns,
                detail=(
                    f"{camera.resets} attempts",
                    'the appliance logs "Connection to server failed: Connection timed out (-115)"',
                ),
                camera=camera.address,
            )  # fmt: skip

    @staticmethod
    def _lockout(
        camera: Camera,
        values: dict[str, str],
        detail: str,
        count: int,
        seen: tuple[EvidenceRecord, ...],
    ) -> Observation:
        return Observation(
            "rtsp-lockout", _subject(camera), {**values, "detail": detail, "count": str(count)},
            seen, seen[0].time_ns if seen else 0, seen[-1].time_ns if seen else 0,
            camera=camera.address,
        )  # fmt: skip

    # ------------------------------------------------------------------ refusals in RTSP

    def _refusal(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        refusal = camera.refusal
        if refusal is None or not recent(refusal.time_ns, facts.now_ns, STALE_S):
            return
        values = {
            **_about(camera, facts),
            "count": str(refusal.times),
            "status": str(refusal.status),
            "method": refusal.method or "?",
            "url": self._urls.get(camera.address) or camera.url or "of that name",
            "detail": "",
        }
        seen = tuple(self._bad.get(camera.address, ()))
        first, last = refusal.first_ns, refusal.time_ns
        status = refusal.status
        kind = {
            401: "rtsp-auth", 404: "rtsp-not-found", 453: "rtsp-sessions", 503: "rtsp-sessions",
            461: "rtsp-transport",
        }.get(status)  # fmt: skip
        if status == 403:
            wrong = self._wrong.get(camera.address, 0)
            if wrong:
                yield self._lockout(camera, values, "403 Forbidden", wrong, seen)
            return
        if kind == "rtsp-transport":
            asked = self._asked.get(camera.address)
            if asked is not None and asked.transport:
                values["detail"] = f" ({asked.transport.split(';')[0]})"
        if kind is not None:
            yield Observation(
                kind, _subject(camera), values, seen, first, last,
                detail=(
                    'the appliance logs "Failed to get SDP description" or "SETUP failed" for this',
                ),
                camera=camera.address,
            )  # fmt: skip

    # ------------------------------------------------------------------ PLAY without media

    def _media(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        for session in camera.sessions.values():
            if session.transport != "udp" or not session.play_ns:
                continue
            end = session.ended_ns or facts.now_ns
            waited = end - session.play_ns
            if waited < MEDIA_AWAITED_NS or not recent(end, facts.now_ns, STALE_S):
                continue
            streams = facts.camera_streams.get(camera.address, [])
            if any(int(s.row["last_ns"]) >= session.play_ns for s in streams):
                continue
            later = any(
                s.play_ns > session.play_ns or s.transport == "tcp"
                for s in camera.sessions.values()
                if s is not session and s.state == "playing"
            )
            if later and streams:
                continue
            tcp = any(s.transport == "tcp" for s in camera.sessions.values())
            asked = self._asked.get(camera.address)
            ports = _client_ports(asked.transport if asked else None)
            yield Observation(
                "udp-blocked", _subject(camera),
                {**_about(camera, facts), "client": session.client, "ports": ports,
                 "detail": ", while TCP works" if tcp and streams else ""},
                (
                    evidence(session.play_ns, session.play_packet, "200 to PLAY"),
                    evidence(min(end, session.play_ns + MEDIA_AWAITED_NS), 0,
                             "no RTP packet until here"),
                ),
                session.play_ns, end,
                detail=("control: the RTSP dialogue over TCP works",), camera=camera.address,
            )  # fmt: skip
            return

    # ------------------------------------------------------------------ what is offered, who reads

    @staticmethod
    def _codec(camera: Camera, facts: Facts) -> Iterable[Observation]:
        codecs = camera.sdp_codecs or tuple(
            dict.fromkeys(
                s.codec
                for s in facts.camera_streams.get(camera.address, [])
                if s.codec and media_of(s.codec) == "video"
            )
        )
        if not codecs or "H264" in codecs:
            return
        names = ", ".join(UNSUITED.get(c, c) for c in codecs)
        yield Observation(
            "stream-codec", _subject(camera), {**_about(camera, facts), "codec": f"only {names}"},
            tuple(
                evidence(line.time_ns, line.packet, "SDP in the answer to DESCRIBE")
                for line in camera.dialogue
                if not line.from_client and line.text.startswith("200") and "DESCRIBE" in line.text
            )[-1:],
            camera=camera.address,
        )  # fmt: skip

    @staticmethod
    def _readers(camera: Camera, facts: Facts) -> Iterable[Observation]:
        appliance = facts.view.facts.appliance_addresses
        now = facts.now_ns
        readers: dict[str, int] = {}
        for session in camera.sessions.values():
            if session.play_ns and recent(session.ended_ns or now, now, 120):
                readers[session.client] = session.play_packet
        for stream in facts.camera_streams.get(camera.address, []):
            group = facts.view.who(stream.dst) & Who.MULTICAST
            if now - int(stream.row["last_ns"]) < 120 * SECOND and not group:
                readers.setdefault(stream.dst, int(stream.row["first_packet"]))
        local = {r: p for r, p in readers.items() if not facts.view.who(r) & Who.INTERNET}
        others = [r for r in local if r not in appliance]
        if not others or len(local) < 2:
            return
        yield Observation(
            "stream-multi-reader", _subject(camera),
            {**_about(camera, facts), "readers": ", ".join(sorted(others)[:6])},
            tuple(evidence(now, local[r], f"read by {r}") for r in others[:4]),
            camera=camera.address,
        )  # fmt: skip


def _client_ports(transport: str | None) -> str:
    for part in (transport or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "client_port" and value:
            return f"ports {value}"
    return "ports 1024-65535"


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
        if now - int(row["last_ns"]) > 120 * SECOND and int(row["end"]):
            return
        subject = _subject(camera)
        media = media_of(stream.codec)
        if siblings > 1 and media not in ("video", None):
            subject += f" {media}"
        values = {**_about(camera, facts), "stream": stream.key, "subject": f"Camera {camera.name}"}
        trouble = self._troubles.get(stream.key, _Trouble())
        base: _About = {"stream": stream.key, "camera": camera.address}
        yield from self._frozen(stream, subject, values, base, trouble, facts)
        yield from self._loss(stream, subject, values, base, trouble, facts)
        yield from self._restarted(stream, subject, values, base, trouble, facts)
        if int(row["end"]) or stream.paused:
            return
        if media in ("video", None) and int(row["transport"]) == 6:
            yield from self._camera_drops(stream, subject, values, base, trouble, facts)
        if media != "video" or int(row["encrypted"]):
            return
        yield from self._pace(stream, subject, values, base, facts)
        yield from self._shape(stream, subject, values, base, facts)

    # ------------------------------------------------------------------ loss

    def _loss(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: _About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        if int(stream.row["transport"]) == 6:
            return  # gaps inside TCP are the camera's or the capture's
        now = facts.now_ns
        # what is still inside the reorder window is not lost yet, and what fell into this tool's
        # own drops is not the network's
        share = stream.loss_now(now)
        lost = stream.window(now, 30, "lost") - stream.window(now, 30, "capture_lost")
        if share is None or share <= LOSS_WARN or lost < LOSS_LEAST:
            return
        seconds = min(30, max(1, (now - int(stream.row["first_ns"])) // SECOND))
        gaps = [g for g in trouble.gaps if now - g.time_ns <= 30 * SECOND]
        reported = float(stream.row["rr_fraction"])
        detail = [f"{lost} packets in {len(gaps) or 'several'} gaps"]
        if int(stream.row["sr_packets"]) >= 0:
            before = int(stream.row["sr_lost"])
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
        tail = int(stream.row["tail_lost"])
        total = int(stream.row["lost_unique"])
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
        base: _About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        dropped = int(stream.row["camera_dropped"])
        known = self._dropped.get(stream.key, (0, 0))
        if dropped > known[0]:
            known = (dropped, facts.now_ns)
            self._dropped[stream.key] = known
            while len(self._dropped) > 2048:
                self._dropped.popitem(last=False)
        share = dropped / max(1, int(stream.row["expected"]))
        if dropped < LOSS_LEAST or share < LOSS_WARN or not recent(known[1], facts.now_ns, 60):
            return
        gaps = [g for g in trouble.gaps if g.where == "camera"]
        yield Observation(
            "stream-camera-drop", subject, {**values, "dropped": str(dropped)},
            tuple(evidence(g.time_ns, g.packet, f"{g.lost} not sent") for g in gaps[-8:]),
            last_ns=known[1], **base,
        )  # fmt: skip

    # ------------------------------------------------------------------ freezes

    @staticmethod
    def _frozen(
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: _About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        last = int(row["last_ns"])
        if stream.paused or int(row["packets"]) < 8 or media_of(stream.codec) == "metadata":
            return
        found = facts.cameras.session_of(stream.meter, int(row["session"]))
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
        still = float(row["frozen_picture_s"])
        silent = (now - last) / SECOND
        if still > FROZEN_S and silent <= FROZEN_S and not int(row["end"]):
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
                (evidence(last, int(row["last_packet"]), "last packet"),), last, now, sureness,
                **base,
            )  # fmt: skip

    def _restarted(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: _About,
        trouble: _Trouble,
        facts: Facts,
    ) -> Iterable[Observation]:
        now = facts.now_ns
        found = facts.cameras.session_of(stream.meter, int(stream.row["session"]))
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
        base: _About,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        age = int(row["last_ns"]) - int(row["first_ns"])
        last = now // SECOND
        recent_s = [stream.seconds[s] for s in range(last - 10, last) if s in stream.seconds]
        if int(row["clock_rate"]) and len(recent_s) >= 3:
            jitters = sorted(float(s["frame_jitter_ms"]) for s in recent_s)
            middle = jitters[len(jitters) // 2]
            gap = max(float(s["gap_max_ms"]) for s in recent_s)
            nominal = float(row["fps_nominal"])
            step = 1000 / nominal if math.isfinite(nominal) and nominal > 0 else 0.0
            parts = []
            if math.isfinite(middle) and middle > FRAME_JITTER_MS:
                parts.append(f"frame jitter {middle:.0f} ms")
            if math.isfinite(gap) and step and gap - step > LATE_MS and gap < 1000 * FROZEN_S:
                parts.append(f"a frame came {gap - step:.0f} ms late")
            if parts:
                yield Observation(
                    "stream-jitter", subject, {**values, "detail": ", ".join(parts)},
                    (evidence(now, int(row["last_packet"]), "measured over the last 10 s"),),
                    **base,
                )  # fmt: skip
        fps = float(row["fps_now"])
        expected = stream.fps_expected
        learnt = float(row["fps_nominal"])
        source = "declared"
        if expected is None and age > 60 * SECOND and math.isfinite(learnt):
            expected, source = learnt, "learnt from its time stamps"
        if expected and math.isfinite(fps) and age > STARTED_NS and fps < FPS_SHARE * expected:
            quiet = any(now - f.start_ns < 20 * SECOND for f in stream.freezes)
            if not quiet and now - int(row["last_ns"]) < FROZEN_S * SECOND:
                yield Observation(
                    "stream-fps", subject,
                    {**values, "fps": f"{fps:.1f}", "expected": f"{expected:.4g}"},
                    detail=(f"the expected rate is {source}",), **base,
                )  # fmt: skip

    # ------------------------------------------------------------------ what the camera makes

    def _shape(
        self,
        stream: StreamState,
        subject: str,
        values: dict[str, str],
        base: _About,
        facts: Facts,
    ) -> Iterable[Observation]:
        row = stream.row
        now = facts.now_ns
        keyframe = int(row["keyframe_last_ns"])
        gop = float(row["gop_s"])
        since = (now - keyframe) / SECOND if keyframe else 0.0
        age = (int(row["last_ns"]) - int(row["first_ns"])) / SECOND
        long = gop if math.isfinite(gop) and gop > GOP_S else 0.0
        if keyframe and now - int(row["last_ns"]) < FROZEN_S * SECOND:
            long = max(long, since if since > GOP_S else 0.0)
        elif (
            not keyframe and age > 2 * GOP_S and stream.codec == "H264" and int(row["frames"]) > 50
        ):
            long = age
        if long > GOP_S + 0.5:
            yield Observation(
                "stream-gop", subject, {**values, "seconds": f"{long:.0f}"},
                (evidence(keyframe or int(row["first_ns"]), 0, "last key frame"),), **base,
            )  # fmt: skip
        rate = stream.window(now, 10, "bytes") * 0.8
        if rate > HEAVY_BPS and age > 10:
            yield Observation(
                "stream-bitrate", subject,
                {**values, "detail": f"{rate / 1e6:.1f} Mb/s over 10 s"},
                (evidence(now, int(row["last_packet"]), "the last of these 10 s"),), **base,
            )  # fmt: skip
        jumps = int(row["timestamp_jumps"])
        known = self._jumps.get(stream.key, (0, 0))
        if jumps > known[0]:
            known = self._jumps[stream.key] = (jumps, now)
            while len(self._jumps) > 2048:
                self._jumps.popitem(last=False)
        nominal = float(row["fps_nominal"])
        fps_now = float(row["fps_now"])
        parts = []
        if jumps >= 2 and recent(known[1], now, 60):
            parts.append(f"they jumped {jumps} times")
        if (
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
            & ((rows["dport"] == 554) | (rows["app"] == _RTSP))
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
            "receiver-slow", _subject(camera),
            {**_about(camera, facts), "client": f"The appliance ({own})" if own else client,
             "count": str(known[0])},
            (known[2],), known[1], known[1], camera=camera.address,
        )  # fmt: skip


class SessionEndRule(Rule):
    """rtsp-timeout, rtsp-keepalive, camera-reboot, multicast-no-querier."""

    hears = frozenset((RtspEnd, ArpMessage, DhcpMessage, LinkControlMessage))

    def __init__(self) -> None:
        self._ends: OrderedDict[str, deque[tuple[RtspEnd, Session, str]]] = OrderedDict()
        self._awake: OrderedDict[str, deque[tuple[int, int, str]]] = OrderedDict()
        # with what ended: the connection, or the media before it
        self._timeouts: OrderedDict[str, tuple[RtspEnd, Session, EvidenceRecord]] = OrderedDict()
        self._cut: OrderedDict[str, tuple[int, RtspEnd, Session]] = OrderedDict()  # by the camera
        self._query_ns = 0
        self._reports: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        if isinstance(message, RtspEnd):
            found = facts.cameras.session_of(facts.meter, message.session)
            if found is not None:
                self._ended(facts, message, *found)
        elif isinstance(message, ArpMessage) and message.sender_ip == message.target_ip:
            self._wake(message.sender_ip, message.time_ns, message.packet, "ARP announcement")
        elif isinstance(message, DhcpMessage) and message.type == "discover":
            camera = next(
                (c for c in facts.cameras.cameras.values() if c.mac == message.client_mac), None
            )
            if camera is not None:
                self._wake(camera.address, message.time_ns, message.packet, "DHCP DISCOVER")
        elif isinstance(message, LinkControlMessage):
            if message.protocol == "igmp-query":
                self._query_ns = message.time_ns
            elif message.protocol == "igmp-report" and message.group:
                self._reports[message.group] = (message.time_ns, message.packet)
                while len(self._reports) > 256:
                    self._reports.popitem(last=False)

    def _wake(self, address: str, time_ns: int, packet: int, text: str) -> None:
        self._awake.setdefault(address, deque(maxlen=8)).append((time_ns, packet, text))
        while len(self._awake) > 512:
            self._awake.popitem(last=False)

    def _ended(self, facts: Facts, message: RtspEnd, camera: Camera, session: Session) -> None:
        ends = self._ends.setdefault(camera.address, deque(maxlen=16))
        ends.append((message, session, camera.address))
        while len(self._ends) > 256:
            self._ends.popitem(last=False)
        if not session.play_ns:
            return
        kept = max(message.last_keepalive_ns, session.last_keepalive_ns)
        if message.how in ("fin-client", "rst-client"):
            # A reader that gives up what has stopped: was it stopped at the time-out?
            stopped = self._media_stopped(facts, message, camera, session, kept)
            if stopped is not None:
                self._expired(camera.address, message, session, stopped)
        elif message.how in ("fin-server", "rst-server"):
            late = (message.time_ns - kept) / SECOND - message.timeout_s
            if kept and abs(late) <= 5:
                closed = evidence(message.time_ns, message.packet, f"ended by {message.how}")
                self._expired(camera.address, message, session, closed)
            elif session.ended == message.how:
                self._cut[camera.address] = (facts.meter, message, session)
                while len(self._cut) > 256:
                    self._cut.popitem(last=False)

    def _expired(
        self, address: str, message: RtspEnd, session: Session, seen: EvidenceRecord
    ) -> None:
        self._timeouts[address] = (message, session, seen)
        while len(self._timeouts) > 256:
            self._timeouts.popitem(last=False)

    @staticmethod
    def _media_stopped(
        facts: Facts, message: RtspEnd, camera: Camera, session: Session, kept: int
    ) -> EvidenceRecord | None:
        """The last packet of a session's media, if they ended when the session's time was over."""
        if not kept or session.ended == "teardown":
            return None
        media = [
            s
            for s in facts.camera_streams.get(camera.address, [])
            if s.meter == facts.meter and int(s.row["session"]) == message.session
        ]
        if not media or any(s.paused for s in media):
            return None
        last = max(media, key=lambda s: int(s.row["last_ns"])).row
        late = (int(last["last_ns"]) - kept) / SECOND - message.timeout_s
        silent = (message.time_ns - int(last["last_ns"])) / SECOND
        if not EXPIRES_S[0] <= late <= EXPIRES_S[1] or silent <= FROZEN_S:
            return None
        return evidence(int(last["last_ns"]), int(last["last_packet"]), "last RTP packet")

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        now = facts.now_ns
        for address, (message, session, ended) in self._timeouts.items():
            camera = facts.cameras.get(address)
            if camera is None or not recent(message.time_ns, now, 300):
                continue
            # the reader's only keep-alive were RTCP reports, and the camera did not count them
            by_reports = message.keepalive_by == "rtcp"
            out.append(
                Observation(
                    "rtsp-keepalive" if by_reports else "rtsp-timeout",
                    _subject(camera),
                    {
                        **_about(camera, facts),
                        "timeout": str(message.timeout_s),
                        "client": session.client,
                        "detail": ": no keep-alive reached it",
                    },
                    (
                        evidence(session.last_keepalive_ns, 0, "last keep-alive"),
                        ended,
                    ),
                    ended.time_ns,
                    message.time_ns,
                    camera=address,
                )
            )
        for address, awake in self._awake.items():
            out.extend(self._reboot(address, awake, facts))
        told = {o.camera for o in out if o.id == "camera-reboot"}
        for address, cut in self._cut.items():
            if address not in told:
                out.extend(self._served_anew(address, *cut, facts))
        out.extend(self._querier(facts))
        return out

    def _reboot(
        self, address: str, awake: deque[tuple[int, int, str]], facts: Facts
    ) -> Iterable[Observation]:
        camera = facts.cameras.get(address)
        if camera is None or not recent(awake[-1][0], facts.now_ns, 600):
            return
        woke = awake[-1][0]
        ends = [
            m for m, _, _ in self._ends.get(address, ())
            if 0 <= woke - m.time_ns <= REBOOT_NS * 3 and m.how != "teardown"
        ]  # fmt: skip
        silent = [
            s
            for s in facts.camera_streams.get(address, [])
            if 2 * SECOND < woke - int(s.row["last_ns"]) < REBOOT_NS * 3
        ]
        if not ends and not silent:
            return
        yield Observation(
            "camera-reboot", _subject(camera),
            {**_about(camera, facts),
             "detail": f"its sessions dropped, then {awake[-1][2]}"},
            tuple(evidence(t, p, text) for t, p, text in awake), woke, woke,
            camera=address,
        )  # fmt: skip

    @staticmethod
    def _served_anew(
        address: str, meter: int, end: RtspEnd, session: Session, facts: Facts
    ) -> Iterable[Observation]:
        """A camera that cut the sessions that it was playing, and soon played new ones."""
        camera = facts.cameras.get(address)
        if camera is None or not recent(end.time_ns, facts.now_ns, 300):
            return
        later = [s for s in camera.sessions.values() if 0 < s.play_ns - end.time_ns < 3 * REBOOT_NS]
        # media over UDP may outlive their connection, and another reader's may go on
        went_on = any(
            int(s.row["first_ns"]) < end.time_ns < int(s.row["last_ns"]) - 2 * SECOND
            for s in facts.camera_streams.get(address, [])
        )
        if not later or went_on:
            return
        again = min(later, key=lambda s: s.play_ns)
        yield Observation(
            "camera-reboot", _subject(camera),
            {**_about(camera, facts), "detail": "it cut its sessions, then served new ones"},
            (
                evidence(end.time_ns, end.packet, f"session ended by {end.how}"),
                evidence(again.play_ns, again.play_packet, "200 to a new PLAY"),
            ),
            end.time_ns, again.play_ns, "possible", camera=address,
        )  # fmt: skip

    def _querier(self, facts: Facts) -> Iterable[Observation]:
        for address, streams in facts.camera_streams.items():
            for stream in streams:
                group = stream.dst
                if not facts.view.who(group) & Who.MULTICAST or group not in self._reports:
                    continue
                reported, packet = self._reports[group]
                last = int(stream.row["last_ns"])
                stopped = facts.now_ns - last > 5 * SECOND
                after = (last - reported) / SECOND
                queried = self._query_ns and last - self._query_ns < 300 * SECOND
                if not stopped or queried or not QUERIER_S[0] < after < QUERIER_S[1]:
                    continue
                yield Observation(
                    "multicast-no-querier", group,
                    {"group": group, "seconds": f"{after:.0f}", "port": stream.port or "",
                     "stream": stream.key},
                    (
                        evidence(reported, packet, "last membership report"),
                        evidence(last, int(stream.row["last_packet"]), "last RTP packet"),
                    ),
                    last, last, stream=stream.key, camera=address,
                )  # fmt: skip
