"""Cameras of any make on a `Wire`: how they speak RTSP, and what media they send.

`Reader` is one connection of a reader to a camera with the dialects that real ones have (line ends,
case, credentials, control URLs, transports); `Film` makes the packets of one track, over UDP or
inside the connection. All is made by hand, byte by byte, so that nothing here shares an encoder
with the program.
"""

from __future__ import annotations

import base64
import ipaddress
import random
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire
from tests.made_up import APPLIANCE, CAMERA

SPS, PPS = bytes.fromhex("67640029acd940780227e5c044"), bytes.fromhex("68ebecb22c")
SPROP = f"{base64.b64encode(SPS).decode()},{base64.b64encode(PPS).decode()}"
CLOCKS = {"PCMU": 8000, "PCMA": 8000, "MPEG4-GENERIC": 16000}
STATIC = {"PCMU": 0, "PCMA": 8, "JPEG": 26}


def media_line(
    codec: str = "H264", payload: int | None = None, control: str = "track1", *,
    extra: str = "", kind: str | None = None, profile: str = "RTP/AVP",
) -> str:  # fmt: skip
    """One m= section of an SDP."""
    number = STATIC.get(codec, 96) if payload is None else payload
    if kind is None:
        kind = "audio" if codec in CLOCKS else "application" if "METADATA" in codec else "video"
    lines = [f"m={kind} 0 {profile} {number}"]
    if number >= 96 or number not in STATIC.values():
        lines.append(f"a=rtpmap:{number} {codec}/{CLOCKS.get(codec, 90000)}")
    if codec == "H264":
        lines.append(f"a=fmtp:{number} packetization-mode=1;profile-level-id=640029;"
                     f"sprop-parameter-sets={SPROP}")  # fmt: skip
    if control:
        lines.append(f"a=control:{control}")
    if extra:
        lines.append(extra)
    return "\r\n".join(lines) + "\r\n"


def description(*media: str, title: str = "Media Presentation", common: str = "a=control:*") -> str:
    """A whole SDP."""
    head = f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={title}\r\nt=0 0\r\n"
    return head + (common + "\r\n" if common else "") + "".join(media)


@dataclass
class Film:
    """One track's packets: pictures of some codec, sound or metadata."""

    codec: str = "H264"
    payload: int | None = None
    fps: float = 25.0
    gop: int = 25
    parts: int = 2  # packets of a picture
    key_parts: int = 8
    size: int = 400
    ssrc: int = 0x5EED0001
    sequence: int = 500
    stamp: int = 1_000_000
    stamp_speed: float = 1.0  # of the clock that the stamps show
    step: int | None = None  # of the stamps, whatever the rate
    marks: bool = True
    extension: bytes | None = None
    padding: int = 0
    csrc: int = 0
    encrypted: bool = False
    frame: int = field(default=0, init=False)
    sent: int = field(default=0, init=False)
    chance: random.Random = field(default_factory=lambda: random.Random(7), init=False)

    @property
    def type(self) -> int:
        return STATIC.get(self.codec, 96) if self.payload is None else self.payload

    @property
    def clock(self) -> int:
        return CLOCKS.get(self.codec, 90_000)

    def picture(self) -> list[bytes]:
        """The packets of the next picture (or block of sound)."""
        key = self.frame % self.gop == 0
        count = self.key_parts if key else self.parts
        bodies = [self._body(key, part, count) for part in range(count)]
        out = [
            self._packet(body, self.marks and number == len(bodies) - 1)
            for number, body in enumerate(bodies)
        ]
        self.frame += 1
        step = self.step if self.step is not None else round(self.clock / self.fps)
        self.stamp += round(step * self.stamp_speed)
        return out

    def _body(self, key: bool, part: int, count: int) -> bytes:
        noise = self.chance.randbytes(self.size)
        if self.encrypted or self.codec in ("AV1", "MP4V-ES", "MPEG4-GENERIC", "PCMU", "PCMA"):
            if self.codec == "MP4V-ES" and part == 0:
                return bytes.fromhex("000001b6") + bytes([0x10 if key else 0x50]) + noise
            return noise
        first, last = part == 0, part == count - 1
        edges = (0x80 if first else 0) | (0x40 if last else 0)
        if self.codec == "H265":
            return bytes([0x62, 0x01, edges | (19 if key else 1)]) + noise
        if self.codec == "JPEG":
            return struct.pack("!BBHBBBB", 0, 0, part * self.size, 1, 80, 80, 45) + noise
        if "METADATA" in self.codec:
            return b"<?xml version='1.0'?><tt:MetadataStream>" + noise.hex().encode()[:300]
        return bytes([0x7C, edges | (5 if key else 1)]) + noise

    def _packet(self, body: bytes, mark: bool) -> bytes:
        first = 0x80 | (0x20 if self.padding else 0) | (0x10 if self.extension is not None else 0)
        head = struct.pack(
            "!BBHII", first | self.csrc, mark << 7 | self.type, self.sequence & 0xFFFF,
            self.stamp & 0xFFFFFFFF, self.ssrc,
        )  # fmt: skip
        head += b"".join(struct.pack("!I", 0xC0 + n) for n in range(self.csrc))
        if self.extension is not None:
            head += struct.pack("!HH", 0xABAC, len(self.extension) // 4) + self.extension
        self.sequence += 1
        fill = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return head + body + fill


class Reader:
    """One connection of a reader to a camera."""

    def __init__(
        self, wire: Wire, sport: int = 40_000, *, address: str = CAMERA, mac: str = CAMERA_MAC,
        client: str = APPLIANCE, client_mac: str = ETH0, port: int = 554, path: str = "/stream1",
        vlan: int | None = None, interface: int = 0, agent: str = "LIVE555 Streaming Media",
    ) -> None:  # fmt: skip
        self.wire, self.address, self.mac = wire, address, mac
        self.client, self.client_mac, self.interface, self.vlan = (
            client, client_mac, interface, vlan,
        )  # fmt: skip
        self.flow = wire.tcp((client_mac, client, sport), (mac, address, port), interface)
        self.flow.vlan, self.flow.ttl_in = vlan, 64
        host = f"[{address}]" if ":" in address else address
        self.url = f"rtsp://{host}{'' if port == 554 else f':{port}'}{path}"
        self.agent, self.cseq = agent, 0
        self.end, self.lower, self.numbered = "\r\n", False, True
        self.cut = 0  # bytes of a segment; 0 whole messages
        self.session = "12345678"
        self.timeout: int | None = 60
        self.wrap_out: Callable[[bytes], bytes] = bytes
        self.wrap_in: Callable[[bytes], bytes] = bytes

    # ------------------------------------------------------------ RTSP

    def _text(self, first: str, headers: dict[str, str | list[str]], body: str) -> bytes:
        lines = [first]
        for name, value in headers.items():
            shown = name.lower() if self.lower else name
            for one in value if isinstance(value, list) else [value]:
                lines.append(f"{shown}:{one}" if self.lower else f"{shown}: {one}")
        return (self.end.join(lines) + 2 * self.end).encode() + body.encode()

    def _segments(self, at: float, raw: bytes, out: bool) -> None:
        say = self.flow.send if out else self.flow.answer
        raw = (self.wrap_out if out else self.wrap_in)(raw)
        size = self.cut or len(raw)
        for number, start in enumerate(range(0, len(raw), size)):
            say(at + 0.0004 * number, raw[start : start + size])

    def ask(self, at: float, method: str, url: str | None = None, **headers: str) -> None:
        """A request; `headers` by their names with `_` for `-`."""
        self.cseq += 1
        known: dict[str, str | list[str]] = {"CSeq": str(self.cseq)} if self.numbered else {}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        known["User-Agent"] = self.agent
        self._segments(at, self._text(f"{method} {url or self.url} RTSP/1.0", known, ""), True)

    def tell(
        self, at: float, status: str = "200 OK", *, body: str = "", length: bool = True,
        many: dict[str, list[str]] | None = None, **headers: str,
    ) -> None:  # fmt: skip
        """An answer."""
        known: dict[str, str | list[str]] = {"CSeq": str(self.cseq)} if self.numbered else {}
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        known |= many or {}
        if body:
            known.setdefault("Content-Type", "application/sdp")
            if length:
                known["Content-Length"] = str(len(body))
        self._segments(at, self._text(f"RTSP/1.0 {status}", known, body), False)

    def challenge(self, at: float, method: str, url: str | None = None, *, stale: bool = False,
                  sent: bool = False, schemes: tuple[str, ...] = ("Digest",)) -> None:  # fmt: skip
        """A request that is answered 401; `sent`: it had credentials."""
        asks = {"Authorization": 'Digest username="admin", response="0"'} if sent else {}
        self.ask(at, method, url, **asks)
        offers = [f'{scheme} realm="IPC", nonce="a1"' + (", stale=TRUE" if stale else "")
                  for scheme in schemes]  # fmt: skip
        self.tell(at + 0.004, "401 Unauthorized", many={"WWW-Authenticate": offers})

    def pair(self, at: float, method: str, status: str = "200 OK", url: str | None = None, *,
             asks: dict[str, str] | None = None, body: str = "", after: float = 0.005,
             auth: bool = False, **says: str) -> None:  # fmt: skip
        """A request and its answer."""
        asked = dict(asks or {})
        if auth:
            asked["Authorization"] = 'Digest username="admin", response="0"'
        self.ask(at, method, url, **asked)
        self.tell(at + after, status, body=body, **says)

    def in_session(self, at: float, method: str, status: str = "200 OK", url: str | None = None,
                   **says: str) -> None:  # fmt: skip
        """A request with the session's id."""
        self.pair(at, method, status, url, asks={"Session": self.session}, **says)

    @property
    def session_header(self) -> str:
        return self.session + (f";timeout={self.timeout}" if self.timeout else "")

    def options(self, at: float, offers: str = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, "
                "GET_PARAMETER, SET_PARAMETER") -> None:  # fmt: skip
        self.pair(at, "OPTIONS", Public=offers)

    def describe(self, at: float, sdp: str, base: str | None = "/", auth: bool = True,
                 length: bool = True) -> None:  # fmt: skip
        """`base`: what Content-Base has behind the URL; None: no such header."""
        says = {"Content_Base": self.url + base} if base is not None else {}
        self.ask(at, "DESCRIBE", Accept="application/sdp",
                 **({"Authorization": 'Digest username="admin"'} if auth else {}))  # fmt: skip
        self.tell(at + 0.01, body=sdp, length=length, **says)

    def set_up(self, at: float, url: str, ports: int = 6000, *, channel: int | None = None,
               group: str | None = None, status: str = "200 OK", answer: str | None = None,
               answered_channel: int | None = None, profile: str = "RTP/AVP") -> None:  # fmt: skip
        if channel is not None:
            asked = f"{profile}/TCP;unicast;interleaved={channel}-{channel + 1}"
            got = channel if answered_channel is None else answered_channel
            said = f"{profile}/TCP;unicast;interleaved={got}-{got + 1}"
        elif group is not None:
            asked = f"{profile};multicast"
            said = f"{profile};multicast;destination={group};port={ports}-{ports + 1};ttl=16"
        else:
            asked = f"{profile};unicast;client_port={ports}-{ports + 1}"
            said = asked + ";server_port=5000-5001"
        says = {}
        if status.startswith("2"):
            says = {"Transport": answer if answer is not None else said,
                    "Session": self.session_header}  # fmt: skip
        self.pair(at, "SETUP", status, url, asks={"Transport": asked}, **says)

    def play(self, at: float, after: float = 0.01, status: str = "200 OK", **says: str) -> None:
        self.pair(at, "PLAY", status, asks={"Session": self.session, "Range": "npt=0.000-"},
                  after=after, Session=self.session, **says)  # fmt: skip

    def start(self, at: float, sdp: str | None = None, *, ports: int = 6000,
              channel: int | None = None, login: bool = True, control: str = "track1",
              open_it: bool = True, base: str | None = "/") -> Reader:  # fmt: skip
        """All of it, from SYN to PLAY, within 0.4 s."""
        if open_it:
            self.flow.open(at, 0.002)
        self.options(at + 0.05)
        if login:
            self.challenge(at + 0.1, "DESCRIBE")
        self.describe(at + 0.15, sdp or description(media_line(control=control)), base, login)
        self.set_up(at + 0.2, f"{self.url}/{control}", ports, channel=channel)
        self.play(at + 0.25)
        return self

    # ------------------------------------------------------------ media

    def film(self, start: float, end: float, film: Film | None = None, *, port: int = 6000,
             channel: int | None = None, group: str | None = None, sport: int = 5000,
             lose: Collection[int] | Callable[[int], bool] = (), times: int = 1,
             late: Callable[[int], float] | None = None, ack: bool = True,
             silent: bool = False) -> Film:  # fmt: skip
        """Pictures from `start` to `end`: to a port, a group, or in a channel of the connection.

        `lose`: numbers of packets that do not arrive; `times`: how often each is seen; `late`: by
        how much a picture of that number is late; `silent`: the reader sends no reports by UDP.
        """
        film = film or Film()
        number = 0
        if channel is None and not silent:
            self.reports(start + 1, end, film, port=port + 1, sport=sport + 1)
        while (at := start + number / film.fps) < end:
            shift = late(number) if late else 0.0
            for part, packet in enumerate(film.picture()):
                gone = lose(film.sent) if callable(lose) else film.sent in lose
                film.sent += 1
                if gone:
                    continue
                when = at + shift + part * 0.0002
                for again in range(times):
                    self.packet(when + again * 0.00002, packet, port=port, channel=channel,
                                group=group, sport=sport)  # fmt: skip
            if channel is not None and ack and number % 4 == 3:
                self.flow.ack(at + shift + 0.01)
            number += 1
        return film

    def packet(self, at: float, packet: bytes, *, port: int = 6000, channel: int | None = None,
               group: str | None = None, sport: int = 5000) -> None:  # fmt: skip
        if channel is not None:
            framed = struct.pack("!cBH", b"$", channel, len(packet)) + packet
            self._segments(at, framed, False)
            return
        target = (self.client_mac, self.client, port)
        if group:
            low = ipaddress.ip_address(group).packed
            target = (f"01:00:5e:{low[1] & 127:02x}:{low[2]:02x}:{low[3]:02x}", group, port)
        self.wire.udp(at, (self.mac, self.address, sport), target, packet, self.interface,
                      vlan=self.vlan)  # fmt: skip

    def report(self, at: float, film: Film, port: int = 6001, sport: int = 5001) -> None:
        """A receiver report by UDP."""
        body = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x9999, film.ssrc, 0,
                           film.sequence & 0xFFFF, 0, 0, 0)  # fmt: skip
        self.wire.udp(at, (self.client_mac, self.client, port), (self.mac, self.address, sport),
                      body, self.interface, vlan=self.vlan)  # fmt: skip

    def reports(self, start: float, end: float, film: Film, every: float = 5.0,
                port: int = 6001, sport: int = 5001) -> None:  # fmt: skip
        at = start
        while at < end:
            self.report(at, film, port, sport)
            at += every

    def films(self, start: float, end: float, channels: dict[int, Film]) -> None:
        """Several tracks in one connection, their packets in the order of time."""
        due = dict.fromkeys(channels, 0)
        while True:
            channel = min(due, key=lambda c: due[c] / channels[c].fps)
            at = start + due[channel] / channels[channel].fps
            if at >= end:
                return
            due[channel] += 1
            for part, packet in enumerate(channels[channel].picture()):
                self.packet(at + part * 0.00001, packet, channel=channel)

    def sender_report(self, at: float, film: Film, ntp_s: float, port: int = 6001) -> None:
        """A sender report whose clock says `ntp_s` (seconds since 1900)."""
        whole = int(ntp_s)
        body = struct.pack("!BBHIIIIII", 0x80, 200, 6, film.ssrc, whole,
                           int((ntp_s - whole) * (1 << 32)), film.stamp & 0xFFFFFFFF,
                           film.sent, film.sent * film.size)  # fmt: skip
        self.wire.udp(at, (self.mac, self.address, 5001), (self.client_mac, self.client, port),
                      body, self.interface, vlan=self.vlan)  # fmt: skip
