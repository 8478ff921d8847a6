"""One camera: its readers, its refusals and its dialogue, as seen in packets."""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct, field

from panotui.model import DialogueLine
from panotui.state.camera_refusals import Refusals
from panotui.state.camera_session import Session
from panotui.state.connects import Attempts
from panotui.state.streams import StreamState
from panotui.state.thresholds import thresholds

DIALOGUE_MAX = 40
LIMITS = thresholds().camera_state
READERS_MAX = 32
SEALED_PORTS_MAX = 8


class Unreachable(Struct):
    """ICMP port unreachable from a reader about a camera's media."""

    reader: str
    port: int
    first_ns: int
    last_ns: int
    packet: int  # the first message
    times: int = 1


class Camera(Struct):
    """The state of one camera."""

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
    ports: set[int] = field(default_factory=set)  # ports on which it used RTSP
    dialogue: deque[DialogueLine] = field(default_factory=lambda: deque(maxlen=DIALOGUE_MAX))
    refusals: Refusals = field(default_factory=Refusals)
    unreachable: OrderedDict[tuple[str, int], Unreachable] = field(default_factory=OrderedDict)
    last_status: int | None = None
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
    reset_client: str = ""
    reset_first_ns: int = 0  # the first RST in a row to this client
    resets: int = 0
    arp_silent_ns: int = 0  # start of unanswered ARP requests for it
    last_seen_ns: int = 0
    media_ns: int = 0  # last RTP packet
    # readers of sessions from before the capture, with their streams
    fed_by: dict[str, StreamState] = field(default_factory=dict)
    pictures_ns: int = 0  # last picture of an HTTP response
    pictures_to: str = ""
    sealed_since_ns: int = 0  # RTSPS: since then a lot of data has arrived,
    sealed_ns: int = 0  # until then,
    sealed_bytes: int = 0  # this many bytes of the connection,
    sealed_packet: int = 0  # of which this is the newest packet,
    sealed_over: bool = False  # and it has ended
    # TCP ports on which a reader tries RTSP inside TLS, and the results
    sealed_tries: dict[int, Attempts] = field(default_factory=dict)
    # connections that were accepted and closed before any data: (client, when) -> packet
    hung_up: OrderedDict[tuple[str, int], int] = field(default_factory=OrderedDict)
    state: str = "unseen"
    state_text: str | None = None
    state_since_ns: int | None = None
    port: str | None = None

    @property
    def active_ns(self) -> int:
        """When it last sent something, or something was sent for it; 0 never."""
        return max(
            self.last_seen_ns, self.syn_last_ns, self.reset_ns, self.connected_ns, self.media_ns,
            self.pictures_ns, self.sealed_ns,
            *(max(s.last_ns, s.ended_ns) for s in self.sessions.values()),
            *(one.last_ns for one in self.unreachable.values()),
            *(when for _, when in self.hung_up),
        )  # fmt: skip

    @property
    def fps_expected(self) -> float | None:
        """The declared frame rate, or the SDP's."""
        return self.fps_declared or self.fps_sdp

    def fps_of(self, session: Session) -> float | None:
        """The frame rate that a session's picture should have: declared, or from its SDP."""
        own = next((t.framerate for t in session.tracks if t.media == "video"), None)
        return self.fps_declared or own or self.fps_sdp

    @property
    def fed(self) -> dict[str, int]:
        """Readers of sessions from before the capture, with their last packet."""
        return {client: stream.row.last_ns for client, stream in self.fed_by.items()}

    def feeds_another(self, client: str, time_ns: int) -> bool:
        """Its media flow to others then, and not to this client, which never played either."""
        if client in self.fed_by or any(
            s.play_ns and s.client == client for s in self.sessions.values()
        ):
            return False
        return any(last_ns >= time_ns - LIMITS.media_recent_ns for last_ns in self.fed.values())

    def read_by(self, client: str) -> None:
        """Note a reader; the one seen longest ago is dropped first."""
        self.readers[client] = None
        self.readers.move_to_end(client)
        while len(self.readers) > READERS_MAX:
            self.readers.popitem(last=False)
