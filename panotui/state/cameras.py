"""Cameras: their identity, requests, answers, and whether they stream.

RTSP messages, discovery messages, TCP connection attempts and stream states come in; one
`CameraRecord` per camera goes out. A camera is identified by its address. Its state is that of its
best stream, otherwise of the last failure. Credentials never get here: the wire room has removed
them from URLs and headers.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import ClassVar

from panotui.model import (
    NEVER,
    AnyMessage,
    CameraRecord,
    DhcpMessage,
    DialogueLine,
    DiscoveryMessage,
    IcmpMessage,
    RtspEnd,
    RtspMessage,
    Site,
)
from panotui.state.camera import Camera, Unreachable
from panotui.state.camera_names import maker_name, names_nothing, names_software, rename
from panotui.state.camera_session import Session
from panotui.state.camera_state import LIMITS as CAMERA_STATE_LIMITS
from panotui.state.camera_state import state_of
from panotui.state.streams import REST_NS, StreamState
from panotui.state.thresholds import thresholds
from panotui.state.vendors import vendor_of
from panotui.wire.text import printable

CAMERAS_MAX = 256
SESSIONS_MAX = 64  # a camera
LIMITS = thresholds().cameras
UNREACHABLE_MAX = 16  # reader ports per camera
HUNG_UP_MAX = 16
HOSTS_MAX = 1024


class CameraBook:
    """All cameras of the site."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (RtspMessage, RtspEnd, DiscoveryMessage, DhcpMessage, IcmpMessage)
    )

    def __init__(self, site: Site, limit: int = CAMERAS_MAX) -> None:
        self.cameras: OrderedDict[str, Camera] = OrderedDict()
        self.limit = limit
        self.evicted = 0
        self._sessions: dict[str, tuple[str, str]] = {}  # session key -> (address, key)
        self._sent_on: OrderedDict[tuple[str, str], str] = OrderedDict()  # by (client, host)
        # address -> {source: (name, maker and model)} of hosts that announced themselves
        self._hosts: OrderedDict[str, dict[str, tuple[str | None, str | None]]] = OrderedDict()
        for declared in site.camera:
            camera = Camera(declared.address, declared.name, "site", declared.url, True)
            camera.fps_declared = declared.fps
            camera.mac = declared.mac
            self.cameras[declared.address] = camera

    def get(self, address: str) -> Camera | None:
        """The camera at an address, if it is known."""
        return self.cameras.get(address)

    def at(self, address: str) -> Camera:
        """The camera at an address, created if it is new."""
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

    def is_reader(self, client: str) -> bool:
        """True if the host reads a camera, or tries to."""
        return any(client in camera.readers for camera in self.cameras.values())

    def session_of(self, meter: int, number: int) -> tuple[Camera, Session] | None:
        """The camera and connection behind a meter's RTSP session number."""
        found = self._sessions.get(f"{meter}-{number}")
        if found is None:
            return None
        camera = self.cameras.get(found[0])
        session = camera.sessions.get(found[1]) if camera else None
        return (camera, session) if camera and session else None

    # ------------------------------------------------------------------ what comes in

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Process a message to a camera, from it, or about it."""
        if isinstance(message, RtspMessage):
            self.observe_rtsp(meter, message)
        elif isinstance(message, RtspEnd):
            self.observe_end(meter, message)
        elif isinstance(message, DiscoveryMessage):
            self.observe_discovery(message)
        elif isinstance(message, DhcpMessage):
            self.observe_dhcp(message)
        elif isinstance(message, IcmpMessage):
            self.observe_icmp(message)

    def observe_rtsp(self, meter: int, message: RtspMessage) -> tuple[Camera, Session]:
        """Process one request or answer."""
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
        camera.read_by(message.client)
        camera.ports.add(message.server_port)
        if message.status is None:
            if message.from_client:
                session.ask(message)
                if message.auth_sent:
                    camera.refusals.tried(session.client)
        elif not message.from_client:
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
        camera.last_status = message.status
        camera.server_name = message.server_name or camera.server_name
        camera.connected_ns = max(camera.connected_ns, message.time_ns)
        described = message.method == "DESCRIBE" and message.session_name is not None
        if message.tracks or (described and message.status == 200):
            self._described(camera, session, message)
        asked = session.answer(message)
        camera.refusals.take(session, asked, message)
        if message.status == 200 and message.method == "PLAY":
            self._follow(session.client, camera.address, message.time_ns)
        elif message.location and message.status and 300 <= message.status < 400:
            target = (session.client, host_of(message.location))
            self._sent_on[target] = camera.address
            while len(self._sent_on) > CAMERAS_MAX:
                self._sent_on.popitem(last=False)

    def _follow(self, client: str, address: str, time_ns: int) -> None:
        """A reader plays from the target of another camera's redirect."""
        sender = self.cameras.get(self._sent_on.pop((client, address), ""))
        if sender is not None:
            sender.refusals.followed(client, time_ns)

    def _described(self, camera: Camera, session: Session, message: RtspMessage) -> None:
        session.tracks, session.described_ns = message.tracks, message.time_ns
        session.described_packet = message.packet
        video = [t for t in message.tracks if t.media == "video"]
        camera.sdp_codecs = tuple(dict.fromkeys(t.codec for t in video if t.codec))
        camera.sdp_codec = camera.sdp_codecs[0] if camera.sdp_codecs else None
        camera.fps_sdp = next((t.framerate for t in video if t.framerate), camera.fps_sdp)
        title = (message.session_name or "").strip()
        if title and not names_software(title):
            self._name(camera, title, "sdp")

    def observe_end(self, meter: int, message: RtspEnd) -> tuple[Camera, Session] | None:
        """Process the end of an RTSP connection."""
        found = self.session_of(meter, message.session)
        if found is None:
            return None
        _camera, session = found
        session.strays = message.strays
        if session.state != "ended":
            # media over UDP may outlive the connection: only a teardown ends them
            session.end(message.how, message.time_ns, message.packet)
        session.last_keepalive_ns = max(session.last_keepalive_ns, message.last_keepalive_ns)
        session.report_ns = max(session.report_ns, message.last_report_ns)
        return found

    def observe_icmp(self, message: IcmpMessage) -> None:
        """Process an ICMP port unreachable, which may mean that a reader rejects a camera's
        media.
        """
        unwanted = (message.type, message.code) == ((3, 3) if message.version == 4 else (1, 4))
        camera = self.cameras.get(message.quoted_src or "")
        if not unwanted or message.quoted_protocol != 17 or camera is None:
            return
        reader, port = message.quoted_dst or "", message.quoted_dport or 0
        known = camera.unreachable.get((reader, port))
        if known is not None:
            known.times += 1
            known.last_ns = message.time_ns
            return
        camera.unreachable[reader, port] = Unreachable(
            reader, port, message.time_ns, message.time_ns, message.packet
        )
        while len(camera.unreachable) > UNREACHABLE_MAX:
            camera.unreachable.popitem(last=False)

    def observe_discovery(self, message: DiscoveryMessage) -> None:
        """Process a host's announcement; ONVIF devices are cameras."""
        if message.onvif:
            self.at(message.src)
        vendor = " ".join(filter(None, (message.vendor, message.model))) or None
        by = "mdns" if message.protocol == "mdns" else "discovery"
        name = (
            message.name.removesuffix(".local") if message.name and by == "mdns" else message.name
        )
        self._said(message.src, name, by, vendor)

    def observe_dhcp(self, message: DhcpMessage) -> None:
        """A host's own name, from its request for a lease."""
        address = message.your_ip or message.client_ip or message.requested_ip
        if address and message.host_name:
            self._said(address, message.host_name, "dhcp", None)

    def _said(self, address: str, name: str | None, by: str, vendor: str | None) -> None:
        """A host's announcement; kept, because it may be recognised as a camera only later."""
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
            if name and not (by == "discovery" and names_nothing(name)):
                self._name(camera, name, by)

    def _name(self, camera: Camera, name: str, by: str) -> None:
        """Name a camera by a better source than before; names are unique."""
        rename(camera, name, by, self.cameras.values())

    def connect_tried(
        self, address: str, time_ns: int, last_ns: int, packet: int, syns: int
    ) -> None:
        """SYNs to a camera's RTSP port without an answer (yet): `syns` of this connection."""
        camera = self.get(address)
        if camera is None or camera.connected_ns >= time_ns:
            return
        if not camera.syn_unanswered:
            camera.syn_first_ns, camera.syn_packet = time_ns, packet
        camera.syn_unanswered += syns
        camera.syn_last_ns = max(camera.syn_last_ns, last_ns)

    def connect_refused(
        self, address: str, client: str, time_ns: int, packet: int, port: int
    ) -> None:
        """A RST answered the SYN to a camera's RTSP port."""
        camera = self.get(address)
        if camera is None:
            return
        if not camera.resets or client != camera.reset_client:
            camera.reset_first_ns = time_ns
        camera.resets += 1
        camera.reset_ns, camera.reset_packet, camera.reset_port = time_ns, packet, port
        camera.reset_client = client
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

    def hung_up(self, address: str, client: str, time_ns: int, packet: int) -> None:
        """A connection that the camera accepted and closed before any data."""
        camera = self.get(address)
        if camera is None:
            return
        camera.hung_up[client, time_ns] = packet
        while len(camera.hung_up) > HUNG_UP_MAX:
            camera.hung_up.popitem(last=False)

    def sealed(
        self, address: str, client: str, last_ns: int, size: int, packet: int, over: bool
    ) -> None:
        """`size` bytes in total have come from a camera inside RTSPS until `last_ns`; `over`: that
        connection has ended, with this packet.
        """
        camera = self.get(address)
        if camera is None:
            return
        if over and size >= camera.sealed_bytes:
            camera.sealed_over = True
        if size < camera.sealed_bytes + LIMITS.sealed_bytes:
            if size < camera.sealed_bytes:
                camera.sealed_bytes = size  # another connection
            return
        if last_ns - camera.sealed_ns > CAMERA_STATE_LIMITS.sealed_recent_ns:
            camera.sealed_since_ns = last_ns
        camera.sealed_ns, camera.sealed_bytes = last_ns, size
        camera.sealed_packet, camera.sealed_over = packet, over
        camera.last_seen_ns = max(camera.last_seen_ns, last_ns)
        camera.read_by(client)

    def rest_ns(self) -> int:
        """Until when time alone may change a camera, without further packets; 0: none was seen."""
        if any(camera.arp_silent_ns for camera in self.cameras.values()):
            return NEVER
        newest = max((c.active_ns for c in self.cameras.values()), default=0)
        return newest + REST_NS if newest else 0

    # ------------------------------------------------------------------ what goes out

    def judge_states(
        self,
        streams: dict[str, list[StreamState]],
        now_ns: int,
        unseen_until_ns: int = 0,
        appliance: frozenset[str] = frozenset(),
        final: bool = False,
    ) -> list[Camera]:
        """Update every camera's state to `now_ns`; `streams` by camera address; until
        `unseen_until_ns` the capture saw little or nothing; `final`: nothing more will be learnt.
        Returns those whose state changed.
        """
        changed: list[Camera] = []
        for camera in self.cameras.values():
            own = streams.get(camera.address, [])
            camera.media_ns = max((s.row.last_ns for s in own), default=camera.media_ns)
            camera.last_seen_ns = max(camera.last_seen_ns, camera.media_ns)
            camera.fed_by = {s.dst: s for s in own if s.row.session < 0 and s.dst != camera.address}
            if camera.named_by in ("address", "maker") and (name := maker_name(camera)):
                self._name(camera, name, "maker")
            state, text, since = state_of(camera, own, now_ns, unseen_until_ns, appliance, final)
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
        readers.update({s.dst: None for s in streams if s.dst != camera.address})
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


def host_of(url: str) -> str:
    """The host of an RTSP URL, IPv6 without brackets."""
    found = re.match(r"(?i)rtsps?u?://(?:\[([^\]]*)\]|([^/:?]*))", url)
    return (found[1] or found[2] or "") if found else ""


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
