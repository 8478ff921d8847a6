"""One camera: its sessions, refusals and dialogue, as packets showed them."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from panotui.model import (
    SECOND,
    DialogueLine,
    RtspTrack,
)

DIALOGUE_MAX = 40


MEDIA_RECENT_NS = 2 * SECOND


MEDIA_AWAITED_NS = 3 * SECOND  # after PLAY was answered


TORN_DOWN_NS = SECOND // 2  # media may be on the way so long after the answer to TEARDOWN


SEALED_RECENT_NS = 3 * SECOND


SYN_UNANSWERED = 3


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
