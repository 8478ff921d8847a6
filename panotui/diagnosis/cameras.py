"""Findings of cameras and their streams: unreachable, refusing, silent, losing, freezing, unsuited.

The camera and stream books, RTSP messages and stream events come in, observations go out. What a
stream is alarmed on is frame jitter and the loss of 30 s without what this tool itself missed;
the per-packet jitter of RFC 3550 alarms on perfect wires.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import TypedDict

from panotui.diagnosis.facts import STALE_S, Facts, Observation, Rule, evidence
from panotui.model import (
    APPS,
    SECOND,
    AnyMessage,
    Confidence,
    EvidenceRecord,
    RtspMessage,
)
from panotui.site.facts import Who
from panotui.state.camera import MEDIA_AWAITED_NS, SYN_UNANSWERED, Camera
from panotui.state.connects import recent
from panotui.state.streams import media_of

LOSS_WARN, LOSS_BAD = 0.001, 0.01
LOSS_LEAST = 3  # packets: less is a stray bit, whatever the share
FRAME_JITTER_MS = 30.0
LATE_MS = 500.0
FPS_SHARE = 0.8
GOP_S = 10.0
HEAVY_BPS = 9e6
PORT_SHARE = 0.7
STARTED_NS = 12 * SECOND  # a stream's rates mean something after this long
RTSP = APPS.index("rtsp")
UNSUITED = {"H265": "H.265", "JPEG": "MJPEG", "MP4V-ES": "MPEG-4 part 2"}


class About(TypedDict):
    stream: str
    camera: str


def about(camera: Camera, facts: Facts) -> dict[str, str]:
    return {
        "camera": camera.name,
        "address": camera.address,
        "port": camera.port or "",
        "url": camera.url or "",
        "stream": "",
    }


def subject_of(camera: Camera) -> str:
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
        values = about(camera, facts)
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
                "camera-unreachable", subject_of(camera),
                {**values, "detail": "ARP for it goes unanswered"},
                (evidence(camera.arp_silent_ns, camera.syn_packet, "ARP, no answer"),),
                camera.arp_silent_ns, now, "certain" if others else "likely",
                detail=(*detail, "it is off, unplugged or in another VLAN"),
                camera=camera.address,
            )  # fmt: skip
        elif camera.syn_unanswered >= SYN_UNANSWERED and recent(camera.syn_last_ns, now, STALE_S):
            yield Observation(
                "camera-unreachable", subject_of(camera),
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
                "camera-refused", subject_of(camera), {**values, "dport": str(camera.reset_port)},
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
            "rtsp-lockout", subject_of(camera), {**values, "detail": detail, "count": str(count)},
            seen, seen[0].time_ns if seen else 0, seen[-1].time_ns if seen else 0,
            camera=camera.address,
        )  # fmt: skip

    # ------------------------------------------------------------------ refusals in RTSP

    def _refusal(self, camera: Camera, facts: Facts) -> Iterable[Observation]:
        refusal = camera.refusal
        if refusal is None or not recent(refusal.time_ns, facts.now_ns, STALE_S):
            return
        values = {
            **about(camera, facts),
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
                kind, subject_of(camera), values, seen, first, last,
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
            if any(s.row.last_ns >= session.play_ns for s in streams):
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
                "udp-blocked", subject_of(camera),
                {**about(camera, facts), "client": session.client, "ports": ports,
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
            "stream-codec", subject_of(camera), {**about(camera, facts), "codec": f"only {names}"},
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
            if now - stream.row.last_ns < 120 * SECOND and not group:
                readers.setdefault(stream.dst, stream.row.first_packet)
        local = {r: p for r, p in readers.items() if not facts.view.who(r) & Who.INTERNET}
        others = [r for r in local if r not in appliance]
        if not others or len(local) < 2:
            return
        yield Observation(
            "stream-multi-reader", subject_of(camera),
            {**about(camera, facts), "readers": ", ".join(sorted(others)[:6])},
            tuple(evidence(now, local[r], f"read by {r}") for r in others[:4]),
            camera=camera.address,
        )  # fmt: skip


def _client_ports(transport: str | None) -> str:
    for part in (transport or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "client_port" and value:
            return f"ports {value}"
    return "ports 1024-65535"
