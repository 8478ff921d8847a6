"""Cameras: who they are, what they were asked, what they answered, and whether they stream.

RTSP messages, discovery messages, TCP connection attempts and stream states come in; one
`CameraRecord` a camera goes out. A camera is known by its address. Its state is that of its best
stream, else of the last thing that went wrong. Credentials never get here: the wire floor has
removed them from URLs and headers.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from panotui.model import (
    SECOND,
    CameraRecord,
    DhcpMessage,
    DialogueLine,
    DiscoveryMessage,
    EventRecord,
    RtspEnd,
    RtspMessage,
    RtspTrack,
    Site,
)
from panotui.state.streams import StreamState, media_of
from panotui.state.vendors import vendor_of
from panotui.wire.text import printable

CAMERAS_MAX = 256
SESSIONS_MAX = 64  # a camera
DIALOGUE_MAX = 40
MEDIA_RECENT_NS = 2 * SECOND
MEDIA_AWAITED_NS = 3 * SECOND  # after PLAY was answered
TORN_DOWN_NS = SECOND // 2  # media may be on the way so long after the answer to TEARDOWN
SEALED_RECENT_NS = 3 * SECOND
SEALED_LEAST = 4_096  # bytes at a time; a keep-alive's answer has fewer
SYN_UNANSWERED = 3
# statuses that are no refusal: the first 401 is half of every login
_SOFT_STATUS = frozenset({401, 454, 455, 459, 460})


@dataclass(slots=True)
class Session:
    """One RTSP connection to a camera."""

    key: str  # meter-session
    client: str
    opened_ns: int
    last_ns: int
    packet: int
    state: str = "open"  # "open", "ready", "playing", "paused", "ended"
    url: str | None = None
    timeout_s: int = 60
    transport: str | None = None  # of the last SETUP that was accepted: "udp", "tcp"
    auth_sent: str | None = None
    unauthorised: int = 0  # 401 answers to requests that carried credentials
    play_ns: int = 0
    play_packet: int = 0
    last_keepalive_ns: int = 0
    ended: str | None = None
    ended_ns: int = 0
    torn_down_ns: int = 0  # TEARDOWN was answered 200
    tracks: tuple[RtspTrack, ...] = ()


@dataclass(slots=True)
class Refusal:
    """The last error that a camera answered with, until something works again."""

    status: int
    time_ns: int
    packet: int
    method: str
    reason: str
    after_credentials: bool
    times: int = 1
    first_ns: int = 0


@dataclass(slots=True)
class Camera:
    """What is kept of one camera."""

    address: str
    name: str
    named_by: str = "address"
    url: str | None = None
    declared: bool = False  # in the site file
    fps_declared: float | None = None
    fps_sdp: float | None = None
    mac: str | None = None
    server_name: str | None = None
    sdp_codec: str | None = None
    sdp_codecs: tuple[str, ...] = ()
    vendor_said: str | None = None
    sessions: OrderedDict[str, Session] = field(default_factory=OrderedDict)
    sessions_total: int = 0
    dialogue: deque[DialogueLine] = field(default_factory=lambda: deque(maxlen=DIALOGUE_MAX))
    refusal: Refusal | None = None
    last_status: int | None = None
    last_status_ns: int = 0
    readers: OrderedDict[str, None] = field(default_factory=OrderedDict)
    # connection attempts
    syn_unanswered: int = 0
    syn_first_ns: int = 0
    syn_last_ns: int = 0
    syn_packet: int = 0
    connected_ns: int = 0
    reset_ns: int = 0  # RST to a SYN
    reset_packet: int = 0
    reset_port: int = 0
    resets: int = 0
    arp_silent_ns: int = 0  # since when ARP for it goes unanswered
    last_seen_ns: int = 0
    media_ns: int = 0  # last RTP packet
    sealed_since_ns: int = 0  # inside RTSPS much has come since then,
    sealed_ns: int = 0  # until then,
    sealed_bytes: int = 0  # so many bytes of the connection
    state: str = "unseen"
    state_text: str | None = None
    state_since_ns: int | None = None
    port: str | None = None

    @property
    def fps_expected(self) -> float | None:
        """The declared frame rate, or the SDP's."""
        return self.fps_declared or self.fps_sdp


# Where a name is from, the better the greater.
_NAMED_BY = {"address": 0, "dhcp": 1, "sdp": 2, "discovery": 3, "site": 4}
HOSTS_MAX = 1024


class CameraBook:
    """All cameras of the site."""

    def __init__(self, site: Site, limit: int = CAMERAS_MAX) -> None:
        self.cameras: OrderedDict[str, Camera] = OrderedDict()
        self.limit = limit
        self.evicted = 0
        self._sessions: dict[str, tuple[str, str]] = {}  # session key -> (address, key)
        # address -> {source: (name, maker and model)} of hosts that told of themselves
        self._hosts: OrderedDict[str, dict[str, tuple[str | None, str | None]]] = OrderedDict()
        for declared in site.camera:
            camera = Camera(declared.address, declared.name, "site", declared.url, True)
            camera.fps_declared = declared.fps
            camera.mac = declared.mac
            self.cameras[declared.address] = camera

    def get(self, address: str) -> Camera | None:
        """The camera at an address, if it is known as one."""
        return self.cameras.get(address)

    def at(self, address: str) -> Camera:
        """The camera at an address, made if it is new."""
        camera = self.cameras.get(address)
        if camera is None:
            if len(self.cameras) >= self.limit:
                self._evict()
            camera = self.cameras[address] = Camera(address, address)
            self._introduce(camera)
        return camera

    def _evict(self) -> None:
        undeclared = [c for c in self.cameras.values() if not c.declared]
        if not undeclared:
            return
        victim = min(undeclared, key=lambda c: c.last_seen_ns)
        for key in victim.sessions:
            self._sessions.pop(key, None)
        del self.cameras[victim.address]
        self.evicted += 1

    def session_of(self, meter: int, number: int) -> tuple[Camera, Session] | None:
        """The camera and connection behind a meter's RTSP session number."""
        found = self._sessions.get(f"{meter}-{number}")
        if found is None:
            return None
        camera = self.cameras.get(found[0])
        session = camera.sessions.get(found[1]) if camera else None
        return (camera, session) if camera and session else None

    # ------------------------------------------------------------------ what comes in

    def observe_rtsp(self, meter: int, message: RtspMessage) -> tuple[Camera, Session]:
        """Take one request or answer."""
        camera = self.at(message.server)
        camera.last_seen_ns = message.time_ns
        session = self._session(camera, meter, message)
        session.last_ns = message.time_ns
        camera.dialogue.append(
            DialogueLine(
                time_ns=message.time_ns,
                packet=message.packet,
                from_client=message.from_client,
                text=dialogue_text(message),
            )
        )
        camera.readers[message.client] = None
        camera.readers.move_to_end(message.client)
        while len(camera.readers) > 32:
            camera.readers.popitem(last=False)
        if message.url and message.from_client and message.method in ("DESCRIBE", "PLAY"):
            session.url = message.url
        if message.status is None:
            if message.auth_sent:
                session.auth_sent = message.auth_sent
            session.last_keepalive_ns = message.time_ns
            return camera, session
        self._answer(camera, session, message)
        return camera, session

    def _session(self, camera: Camera, meter: int, message: RtspMessage) -> Session:
        key = f"{meter}-{message.session}"
        session = camera.sessions.get(key)
        if session is None:
            session = Session(key, message.client, message.time_ns, message.time_ns, message.packet)
            camera.sessions[key] = session
            camera.sessions_total += 1
            self._sessions[key] = (camera.address, key)
            while len(camera.sessions) > SESSIONS_MAX:
                old, _ = camera.sessions.popitem(last=False)
                self._sessions.pop(old, None)
        return session

    def _answer(self, camera: Camera, session: Session, message: RtspMessage) -> None:
        status = message.status or 0
        camera.last_status, camera.last_status_ns = status, message.time_ns
        camera.server_name = message.server_name or camera.server_name
        if message.timeout_s:
            session.timeout_s = message.timeout_s
        if message.tracks:
            self._described(camera, session, message)
        method = message.method or ""
        if 200 <= status < 300:
            if method in ("DESCRIBE", "SETUP", "PLAY"):
                camera.refusal = None
            if method == "SETUP":
                session.transport = transport_of(message.transport) or session.transport
                session.state = "ready" if session.state == "open" else session.state
            elif method == "PLAY":
                session.state = "playing"
                session.play_ns, session.play_packet = message.time_ns, message.packet
            elif method == "PAUSE":
                session.state = "paused"
            elif method == "TEARDOWN":
                self._end(session, "teardown", message.time_ns)
                session.torn_down_ns = message.time_ns
            return
        if status < 400:
            return
        after = bool(session.auth_sent)
        if status == 401:
            if not after or message.stale:
                return
            session.unauthorised += 1
        elif status in _SOFT_STATUS:
            return
        minor = method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN", "PAUSE")
        if minor and status not in (401, 403):
            return
        self._refuse(camera, message, after)

    def _refuse(self, camera: Camera, message: RtspMessage, after: bool) -> None:
        status = message.status or 0
        old = camera.refusal
        same = old is not None and old.status == status
        camera.refusal = Refusal(
            status,
            message.time_ns,
            message.packet,
            message.method or "",
            message.reason or "",
            after,
            old.times + 1 if same and old else 1,
            old.first_ns if same and old else message.time_ns,
        )

    def _described(self, camera: Camera, session: Session, message: RtspMessage) -> None:
        session.tracks = message.tracks
        video = [t for t in message.tracks if t.media == "video"]
        camera.sdp_codecs = tuple(dict.fromkeys(t.codec for t in video if t.codec))
        camera.sdp_codec = camera.sdp_codecs[0] if camera.sdp_codecs else None
        camera.fps_sdp = next((t.framerate for t in video if t.framerate), camera.fps_sdp)
        title = (message.session_name or "").strip()
        # servers' default titles name the software, not the camera
        if title and not _generic_title(title):
            self._name(camera, title, "sdp")

    def observe_end(self, meter: int, message: RtspEnd) -> tuple[Camera, Session] | None:
        """Take the end of an RTSP connection."""
        found = self.session_of(meter, message.session)
        if found is None:
            return None
        _camera, session = found
        if session.state != "ended":
            # media over UDP may outlive the connection: only a teardown ends them
            self._end(session, message.how, message.time_ns)
        session.last_keepalive_ns = max(session.last_keepalive_ns, message.last_keepalive_ns)
        return found

    @staticmethod
    def _end(session: Session, how: str, time_ns: int) -> None:
        session.state, session.ended, session.ended_ns = "ended", how, time_ns

    def observe_discovery(self, message: DiscoveryMessage) -> None:
        """Take what a host says of itself; ONVIF devices are cameras."""
        if message.onvif:
            self.at(message.src)
        vendor = " ".join(filter(None, (message.vendor, message.model))) or None
        self._said(message.src, message.name, "discovery", vendor)

    def observe_dhcp(self, message: DhcpMessage) -> None:
        """A host's own name, from its request for a lease."""
        address = message.your_ip or message.client_ip or message.requested_ip
        if address and message.host_name:
            self._said(address, message.host_name, "dhcp", None)

    def _said(self, address: str, name: str | None, by: str, vendor: str | None) -> None:
        """What a host says of itself; kept, for it may turn out to be a camera only later."""
        if not name and not vendor:
            return
        known = self._hosts.pop(address, {})
        known[by] = (name, vendor)
        self._hosts[address] = known
        if len(self._hosts) > HOSTS_MAX:
            self._hosts.popitem(last=False)
        camera = self.get(address)
        if camera is not None:
            self._introduce(camera)

    def _introduce(self, camera: Camera) -> None:
        for by, (name, vendor) in self._hosts.get(camera.address, {}).items():
            camera.vendor_said = vendor or camera.vendor_said
            if name:
                self._name(camera, name, by)

    def _name(self, camera: Camera, name: str, by: str) -> None:
        """Name a camera by a better source than before; no two have the same name."""
        if _NAMED_BY[by] <= _NAMED_BY[camera.named_by]:
            return
        if any(other.name == name for other in self.cameras.values() if other is not camera):
            name = f"{name} {camera.address}"
        camera.name, camera.named_by = name, by

    def connect_tried(
        self, address: str, time_ns: int, last_ns: int, packet: int, syns: int
    ) -> None:
        """SYNs to a camera's RTSP port that have no answer (yet): `syns` of this connection."""
        camera = self.get(address)
        if camera is None or camera.connected_ns >= time_ns:
            return
        if not camera.syn_unanswered:
            camera.syn_first_ns, camera.syn_packet = time_ns, packet
        camera.syn_unanswered += syns
        camera.syn_last_ns = max(camera.syn_last_ns, last_ns)

    def connect_refused(self, address: str, time_ns: int, packet: int, port: int) -> None:
        """A RST answered the SYN to a camera's RTSP port."""
        camera = self.get(address)
        if camera is None:
            return
        camera.resets += 1
        camera.reset_ns, camera.reset_packet, camera.reset_port = time_ns, packet, port
        camera.syn_unanswered = 0
        camera.last_seen_ns = max(camera.last_seen_ns, time_ns)

    def connected(self, address: str, time_ns: int) -> None:
        """The camera's RTSP port accepted a connection."""
        camera = self.get(address)
        if camera is None:
            return
        camera.connected_ns = max(camera.connected_ns, time_ns)
        camera.syn_unanswered = 0
        camera.resets = 0
        camera.arp_silent_ns = 0
        camera.last_seen_ns = max(camera.last_seen_ns, time_ns)

    def sealed(self, address: str, client: str, last_ns: int, size: int) -> None:
        """`size` bytes in all have come from a camera inside RTSPS until `last_ns`."""
        camera = self.get(address)
        if camera is None or size < camera.sealed_bytes + SEALED_LEAST:
            if camera is not None and size < camera.sealed_bytes:
                camera.sealed_bytes = size  # another connection
            return
        if last_ns - camera.sealed_ns > SEALED_RECENT_NS:
            camera.sealed_since_ns = last_ns
        camera.sealed_ns, camera.sealed_bytes = last_ns, size
        camera.last_seen_ns = max(camera.last_seen_ns, last_ns)
        camera.readers[client] = None
        while len(camera.readers) > 32:
            camera.readers.popitem(last=False)

    # ------------------------------------------------------------------ what goes out

    def judge_states(self, streams: dict[str, list[StreamState]], now_ns: int) -> list[Camera]:
        """Bring every camera's state up to `now_ns`; `streams` by camera address. Returns those
        whose state changed."""
        changed: list[Camera] = []
        for camera in self.cameras.values():
            own = streams.get(camera.address, [])
            camera.media_ns = max((int(s.row["last_ns"]) for s in own), default=camera.media_ns)
            camera.last_seen_ns = max(camera.last_seen_ns, camera.media_ns)
            state, text, since = _state_of(camera, own, now_ns)
            if state != camera.state:
                camera.state, camera.state_since_ns = state, since
                changed.append(camera)
            camera.state_text = text
        return changed

    def records(
        self, streams: dict[str, list[StreamState]], appliance: frozenset[str]
    ) -> tuple[CameraRecord, ...]:
        """All cameras by name, those of the site file first."""
        return tuple(
            self._record(c, streams.get(c.address, []), appliance)
            for c in sorted(self.cameras.values(), key=lambda c: (not c.declared, c.name))
        )

    @staticmethod
    def _record(
        camera: Camera, streams: list[StreamState], appliance: frozenset[str]
    ) -> CameraRecord:
        readers = dict(camera.readers)
        readers.update({s.dst: None for s in streams})
        return CameraRecord(
            name=camera.name,
            address=camera.address,
            mac=camera.mac,
            vendor=camera.vendor_said or (vendor_of(camera.mac) if camera.mac else None),
            sessions=camera.sessions_total,
            streams=tuple(s.key for s in streams),
            state=camera.state,
            user_agent_server=camera.server_name,
            sdp_codec=camera.sdp_codec,
            state_since_ns=camera.state_since_ns,
            state_text=camera.state_text,
            named_by=camera.named_by,
            readers=tuple(r for r in readers if r not in appliance),
            last_status=camera.last_status,
            port=camera.port,
            fps_expected=camera.fps_expected,
            dialogue=tuple(camera.dialogue),
        )


def _generic_title(title: str) -> bool:
    lowered = title.lower()
    return lowered in (
        "session streamed with gstreamer",
        "no name",
        "-",
        "unnamed",
        "media",
    ) or any(
        part in lowered
        for part in (
            "streamed by",
            "streamed with",
            "live555",
            "rtsp session",
            "h.264",
            "rtsp server",
            "media presentation",
            "rtp session",
            "session streamed",
        )
    )


def _state_of(
    camera: Camera, streams: list[StreamState], now_ns: int
) -> tuple[str, str | None, int]:
    live = [s for s in streams if not int(s.row["end"]) and s.state != "ended"]
    flowing = [
        s
        for s in streams
        if now_ns - int(s.row["last_ns"]) <= MEDIA_RECENT_NS and not _torn_down(camera, s)
    ]
    video = [s for s in flowing if media_of(s.codec) in ("video", None)] or flowing
    if flowing:
        losing = [s for s in video if s.state == "losing"]
        frozen = [s for s in video if s.state == "frozen"]
        if frozen and len(frozen) == len(video):
            return "silent", "the picture stands still", frozen[0].state_since_ns
        if losing:
            share = max(s.loss_now(now_ns) or 0.0 for s in losing)
            return "losing", f"{share * 100:.2f} % lost", losing[0].state_since_ns
        since = max((s.state_since_ns for s in video), default=now_ns)
        return "streaming", None, since
    if camera.sealed_ns and now_ns - camera.sealed_ns <= SEALED_RECENT_NS:
        return "streaming", "inside TLS (RTSPS): not to be looked into", camera.sealed_since_ns
    paused = [s for s in live if s.state == "paused"]
    if paused or any(s.state == "paused" for s in camera.sessions.values()):
        since = paused[0].state_since_ns if paused else now_ns
        return "paused", "paused by the reader", since
    frozen = [s for s in live if s.state == "frozen"]
    if frozen:
        last = max(int(s.row["last_ns"]) for s in frozen)
        return "silent", "no packets although the session is open", last
    failed = _failure_of(camera)
    if failed is not None:
        return failed
    playing = [s for s in camera.sessions.values() if s.state == "playing"]
    if playing:
        latest = max(playing, key=lambda s: s.play_ns)
        if now_ns - latest.play_ns > MEDIA_AWAITED_NS:
            return "silent", "PLAY was answered, but no media arrives", latest.play_ns
        return "connecting", "waiting for the first media packet", latest.play_ns
    if streams:
        last = max(int(s.row["last_ns"]) for s in streams)
        ended = next((s for s in reversed(camera.sessions.values()) if s.state == "ended"), None)
        how = f"the session ended ({ended.ended})" if ended else "the stream ended"
        return "silent", how, last
    open_sessions = [s for s in camera.sessions.values() if s.state in ("open", "ready")]
    if open_sessions:
        return "connecting", "RTSP dialogue under way", open_sessions[-1].opened_ns
    if camera.syn_unanswered:
        return "connecting", "waiting for an answer to SYN", camera.syn_first_ns
    if camera.sessions:
        last_session = next(reversed(camera.sessions.values()))
        if last_session.play_ns:
            return "silent", "PLAY was answered, but no media arrived", last_session.play_ns
        return "silent", f"the session ended ({last_session.ended})", last_session.ended_ns
    if camera.sealed_ns:
        return "silent", "no more comes through its RTSPS connection", camera.sealed_ns
    if camera.last_seen_ns:
        return "silent", "nobody asks it for a stream", camera.last_seen_ns
    return "unseen", None, now_ns


def _torn_down(camera: Camera, stream: StreamState) -> bool:
    """Has the camera said that it sends the stream no more, and does it not?"""
    row = stream.row
    session = camera.sessions.get(f"{stream.meter}-{int(row['session'])}")
    if session is None or not int(row["end"]) or not session.torn_down_ns:
        return False
    return int(row["last_ns"]) <= session.torn_down_ns + TORN_DOWN_NS


def _failure_of(camera: Camera) -> tuple[str, str | None, int] | None:
    if camera.arp_silent_ns:
        return "unreachable", "ARP goes unanswered", camera.arp_silent_ns
    if camera.syn_unanswered >= SYN_UNANSWERED:
        return "unreachable", f"{camera.syn_unanswered} SYNs unanswered", camera.syn_first_ns
    if camera.resets and camera.reset_ns > camera.connected_ns:
        return "refused", f"port {camera.reset_port} refuses the connection", camera.reset_ns
    refusal = camera.refusal
    if refusal is not None:
        text = f"RTSP {refusal.status}"
        if refusal.status == 401:
            text += " after credentials"
        elif refusal.reason:
            text += f" {refusal.reason}"
        return "refused", text, refusal.first_ns
    return None


def transport_of(header: str | None) -> str | None:
    """`tcp` or `udp` of a Transport header; None without one."""
    if not header:
        return None
    upper = header.upper()
    return "tcp" if "/TCP" in upper or "INTERLEAVED" in upper else "udp"


def dialogue_text(message: RtspMessage) -> str:
    """One line of an RTSP dialogue: `DESCRIBE rtsp://10.0.0.1/cam (Digest)`."""
    if message.status is None:
        text = f"{message.method or '?'} {message.url or ''}".strip()
        if message.auth_sent:
            text += f" ({message.auth_sent} credentials)"
        elif message.transport and message.method == "SETUP":
            text += f" {message.transport}"
    else:
        text = f"{message.status} {message.reason or ''}".strip()
        if message.method:
            text += f" to {message.method}"
        if message.auth_offered:
            text += f" (asks for {', '.join(message.auth_offered)})"
        elif message.transport and message.method == "SETUP":
            text += f" {message.transport}"
    return printable(text, 240)


def camera_event(camera: Camera, number: int, now_ns: int) -> EventRecord:
    """The event that tells of a camera's new state."""
    bad = camera.state in ("silent", "refused", "unreachable", "losing")
    text = f"Camera {camera.name} is {camera.state}"
    if camera.state_text:
        text += f": {camera.state_text}"
    return EventRecord(
        time_ns=min(camera.state_since_ns or now_ns, now_ns),
        number=number,
        kind="camera",
        severity="warning" if bad else "info",
        subject=camera.name,
        text=text,
        port=camera.port,
    )
