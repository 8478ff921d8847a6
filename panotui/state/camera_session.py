"""One RTSP connection to a camera, as a ladder: requested, answered, set up, playing, kept alive.

RTSP messages come in. The session shows requests that were never answered, tracks that were set up
with their ports, and what kept the session alive. It is bounded.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct, field
from msgspec.structs import replace

from panotui.model import RtspMessage, RtspTrack
from panotui.wire.rtsp import Transport, parse_transport

# The steps of the ladder, lowest first.
RUNGS = {"OPTIONS": 0, "DESCRIBE": 1, "SETUP": 2, "PLAY": 3}
KEEPALIVES = frozenset({"OPTIONS", "GET_PARAMETER", "SET_PARAMETER"})
# How a session ended, in words.
ENDINGS = {
    "teardown": "torn down by its reader", "teardown-server": "torn down by the camera",
    "fin-client": "closed by its reader", "fin-server": "closed by the camera",
    "rst-client": "reset by its reader", "rst-server": "reset by the camera",
    "idle": "forgotten after a long silence",
}  # fmt: skip
WAITING_MAX = 16
TRACKS_MAX = 32
TRIES_MAX = 8


class Asked(Struct):
    """A request, and what came of it."""

    method: str
    url: str
    time_ns: int
    packet: int
    media: str = ""  # of a SETUP: "video", "audio", ...; "" unknown
    transport: str | None = None
    status: int = 0  # 0: no answer yet
    reason: str = ""
    answered_ns: int = 0
    answer_packet: int = 0
    times: int = 1
    within: bool = False  # it names the session that it belongs to

    @property
    def told(self) -> str:
        """`400 Bad Request`."""
        return f"{self.status} {self.reason}".strip()


class Track(Struct):
    """A track whose SETUP was accepted, and the client's ports: requested and answered."""

    url: str
    media: str
    udp: bool
    asked: tuple[int, int] | None
    answered: tuple[int, int] | None
    time_ns: int
    packet: int  # of the answer
    group: tuple[str, int] | None = None  # multicast address ("" if absent) and port

    @property
    def optional(self) -> bool:
        """The picture does not need it."""
        return self.media not in ("video", "")


class Try(Struct, frozen=True):
    """One PLAY that was answered, until its reader let it go."""

    play_ns: int
    play_packet: int
    until_ns: int  # 0: it has not
    until_packet: int
    by_reader: bool  # its reader ended or paused it
    udp: bool
    group: bool  # over multicast
    ports: tuple[int, int] | None  # over UDP: the client's
    video: bool  # it may be a picture: who plays only sound or metadata waits for none
    surely: bool  # a track that is known to be video was set up
    strays: int = 0


class Session(Struct):
    """One RTSP connection to a camera."""

    key: str  # meter-session
    client: str
    opened_ns: int
    last_ns: int
    packet: int
    state: str = "open"  # "open", "ready", "playing", "paused", "ended"
    url: str | None = None  # of the newest DESCRIBE or PLAY
    described: str | None = None  # of the newest DESCRIBE
    timeout_s: int = 60
    transport: str | None = None  # of the last SETUP that was accepted: "udp", "tcp"
    auth_sent: str | None = None
    waiting: OrderedDict[tuple[str, str], Asked] = field(default_factory=OrderedDict)
    answered_ns: int = 0  # the camera's last answer
    answered: Asked | None = None  # its request, if that was a success
    set_up: dict[str, Track] = field(default_factory=dict)  # by URL
    play_ns: int = 0
    play_packet: int = 0
    offers: tuple[str, ...] = ()  # methods of the Public header
    # activity that kept the session alive: requests answered with success, RTCP reports
    kept_ns: int = 0
    kept_packet: int = 0
    kept_by: str = ""  # the method
    report_ns: int = 0
    refused: Asked | None = None  # keep-alive that was refused since
    last_keepalive_ns: int = 0  # the newest activity that may have kept it
    ended: str | None = None
    ended_ns: int = 0
    ended_packet: int = 0
    paused_ns: int = 0  # PAUSE was answered 200, and no PLAY since
    torn_down_ns: int = 0  # TEARDOWN was answered 200
    let_go_ns: int = 0  # the reader sent TEARDOWN
    tracks: tuple[RtspTrack, ...] = ()
    described_ns: int = 0  # DESCRIBE was answered with these tracks
    described_packet: int = 0
    strays: int = 0  # places where the camera's bytes were neither a frame nor a message
    earlier: list[Try] = field(default_factory=list)  # of sessions before it in this connection
    began_ns: int = 0  # it is not the connection's first session, and its first SETUP was then

    @property
    def ending(self) -> str:
        """`closed by the camera`."""
        return ENDINGS.get(self.ended or "", "ended")

    @property
    def udp_tracks(self) -> list[Track]:
        return [track for track in self.set_up.values() if track.udp]

    @property
    def group_tracks(self) -> list[Track]:
        """Tracks sent by multicast."""
        return [track for track in self.set_up.values() if track.group]

    @property
    def has_video(self) -> bool:
        """A video track was set up."""
        return any(not track.optional for track in self.set_up.values())

    @property
    def plays_video(self) -> bool:
        """A track that is known to be video was set up."""
        return any(track.media == "video" for track in self.set_up.values())

    def tries(self) -> list[Try]:
        """The answered PLAYs of a picture in the connection, oldest first."""
        present = (self._present(),) if self.play_ns else ()
        return [one for one in (*self.earlier, *present) if one.video]

    def _present(self) -> Try:
        wanted = [track for track in self.udp_tracks if not track.optional] or self.udp_tracks
        by_reader = self.ended in ("fin-client", "rst-client")
        return Try(
            self.play_ns, self.play_packet, self.paused_ns or self.let_go_ns or self.ended_ns,
            self.ended_packet, bool(self.paused_ns or self.let_go_ns) or by_reader, bool(wanted),
            bool(self.group_tracks), wanted[0].asked or wanted[0].answered if wanted else None,
            self.has_video, self.plays_video, self.strays,
        )  # fmt: skip

    def _begin_anew(self, time_ns: int) -> None:
        """Another session in the same connection: nothing of the one before holds for it."""
        if self.play_ns:
            before = self._present()
            if not before.until_ns:  # left without a word
                before = replace(before, until_ns=time_ns, by_reader=True)
            self.earlier = [*self.earlier, before][-TRIES_MAX:]
        self.began_ns = time_ns
        self.state, self.ended, self.ended_ns, self.ended_packet = "open", None, 0, 0
        self.play_ns = self.play_packet = self.let_go_ns = self.torn_down_ns = self.paused_ns = 0
        self.kept_ns = self.kept_packet = self.report_ns = self.last_keepalive_ns = 0
        self.kept_by, self.refused = "", None
        self.set_up.clear()

    def unanswered(self) -> Asked | None:
        """The oldest unanswered request for the picture."""
        return next((a for a in self.waiting.values() if a.method in RUNGS), None)

    # ------------------------------------------------------------ input

    def ask(self, message: RtspMessage) -> None:
        """Process a request of the client."""
        method = message.method or ""
        if message.auth_sent:
            self.auth_sent = message.auth_sent
        if message.url and method in ("DESCRIBE", "PLAY"):
            self.url = message.url
            if method == "DESCRIBE":
                self.described = message.url
        if method == "TEARDOWN" and self.state != "ended" and not self._is_one_of_several(message):
            # readers also send it after the camera has closed: that ended nothing
            self.let_go_ns = message.time_ns
        key = (method, message.url or "")
        asked = self.waiting.get(key)
        if asked is not None:
            asked.times += 1  # a retransmission: still one request is pending
            return
        self.waiting[key] = Asked(
            method, message.url or "", message.time_ns, message.packet, message.media,
            message.transport, within=message.session_id is not None,
        )  # fmt: skip
        while len(self.waiting) > WAITING_MAX:
            self.waiting.popitem(last=False)

    def _is_one_of_several(self, message: RtspMessage) -> bool:
        """The message is about one track, and the session has others."""
        return len(self.set_up) > 1 and (message.url or "") in self.set_up

    def answer(self, message: RtspMessage) -> Asked:
        """Process an answer of the camera; returns its request, with the result."""
        method, url = message.method or "", message.url or ""
        asked = self.waiting.pop((method, url), None)
        if asked is None:
            asked = Asked(method, url, message.time_ns, 0, message.media)
        asked.status, asked.reason = message.status or 0, message.reason or ""
        asked.answered_ns, asked.answer_packet = message.time_ns, message.packet
        self.answered_ns, self.answered = message.time_ns, None
        if message.timeout_s:
            self.timeout_s = message.timeout_s
        if message.public:
            self.offers = message.public
        if 200 <= asked.status < 300:
            self._succeed(asked, message)
        elif asked.status >= 400 and method in KEEPALIVES and self.play_ns:
            if self.refused is not None and self.refused.status == asked.status:
                asked.times = self.refused.times + 1
            self.refused = asked
        return asked

    def _succeed(self, asked: Asked, message: RtspMessage) -> None:
        method, time_ns = asked.method, message.time_ns
        self.answered = asked
        if method == "SETUP":
            self._set_up(asked, message)
        elif method == "PLAY":
            self.state = "playing"
            self.play_ns, self.play_packet, self.paused_ns = time_ns, message.packet, 0
        elif method == "PAUSE":
            self.state, self.paused_ns = "paused", time_ns
        elif method == "TEARDOWN" and self._is_one_of_several(message):
            del self.set_up[message.url or ""]
        elif method == "TEARDOWN":
            self.end("teardown", time_ns, message.packet)
            self.torn_down_ns = time_ns
        if self.set_up and method in (*KEEPALIVES, "SETUP", "PLAY"):
            self.kept_ns, self.kept_packet, self.kept_by = time_ns, message.packet, method
            self.last_keepalive_ns = max(self.last_keepalive_ns, time_ns)
            self.refused = None

    def _set_up(self, asked: Asked, message: RtspMessage) -> None:
        again = asked.url in self.set_up and self.play_ns and not asked.within
        if self.state == "ended" or again:
            self._begin_anew(asked.time_ns)
        answered = _first(message.transport)
        wished = _first(asked.transport)
        tcp = answered.tcp if answered else bool(wished and wished.tcp)
        udp = not tcp and not (answered is not None and answered.multicast)
        if message.transport:
            self.transport = "tcp" if tcp else "udp"
        track = Track(
            asked.url, asked.media, udp, wished.client_port if wished else None,
            answered.client_port if answered else None, message.time_ns, message.packet,
            _group_of(answered),
        )  # fmt: skip
        self.set_up[asked.url] = track
        while len(self.set_up) > TRACKS_MAX:
            del self.set_up[next(iter(self.set_up))]
        if self.state == "open":
            self.state = "ready"

    def end(self, how: str, time_ns: int, packet: int) -> None:
        """The connection or its session is over."""
        self.state, self.ended, self.ended_ns, self.ended_packet = "ended", how, time_ns, packet


def _group_of(answered: Transport | None) -> tuple[str, int] | None:
    if answered is None or not answered.multicast:
        return None
    ports = answered.port or answered.client_port
    return answered.destination or "", ports[0] if ports else 0


def _first(header: str | None) -> Transport | None:
    found = parse_transport(header) if header else []
    return found[0] if found else None
