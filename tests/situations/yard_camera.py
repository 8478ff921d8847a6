"""A reader of one camera of a `Yard`: the dialogue, the pictures and the reports."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Any

from tests.situations.yard import Host, Yard

SPS, PPS = base64.b64decode("Z2QAKKzZQHgCJ+XARAAAAwAEAAADAMg8YMZY"), base64.b64decode("aOvjyyLA")


SDP = (
    "v=0\r\no=- {n} 1 IN IP4 {ip}\r\ns=Media\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "a=range:npt=now-\r\na=control:{base}\r\n"
)


VIDEO = (
    "m=video 0 RTP/AVP {pt}\r\n{more}a=rtpmap:{pt} H264/90000\r\n"
    "a=fmtp:{pt} packetization-mode=1;profile-level-id=640028;sprop-parameter-sets="
    + base64.b64encode(SPS).decode()
    + ","
    + base64.b64encode(PPS).decode()
    + "\r\na=control:{control}\r\n"
)


class View:
    """A reader of one camera: the dialogue, then the media."""

    def __init__(
        self,
        y: Yard,
        cam: Host,
        reader: Host | None = None,
        transport: str = "udp",
        auth: str = "digest",
        fps: float = 15,
        path: str = "/live",
        port: int = 554,
        server: str = "Camera RTSP",
        timeout: int = 60,
        pt: int = 96,
        agent: str = "LIVE555 Streaming Media v2020.11.22",
        control: str = "trackID=1",
        declare: bool = True,
        sdp: str | None = None,
        eol: str = "\r\n",
        rtt: float = 0.0012,
        audio: Any | None = None,
        keep: str | None = "GET_PARAMETER",
        headers: Any | None = None,
    ) -> None:
        self.y, self.cam, self.me = y, cam, reader or y.eth0
        self.transport, self.auth, self.fps, self.path, self.server, self.timeout = (
            transport,
            auth,
            fps,
            path,
            server,
            timeout,
        )
        self.pt, self.agent, self.control, self.declare, self.sdp, self.eol = (
            pt,
            agent,
            control,
            declare,
            sdp,
            eol,
        )
        self.c = y.tcp(self.me, cam, port, rtt=rtt)
        self.port = port
        self.url = f"rtsp://{cam.ip}{'' if port == 554 else f':{port}'}{path}"
        self.cseq, self.session = 0, f"{y.r.randrange(1 << 31):08X}"
        self.ssrc, self.seq, self.ts = (
            y.r.randrange(1, 1 << 32),
            y.r.randrange(1 << 16),
            y.r.randrange(1 << 32),
        )
        base = 2 * y.r.randrange(25000, 32000)
        self.cport, self.sport = base, 2 * y.r.randrange(5000, 20000)
        self.keep, self.kseq, self.headers, self.group = keep, 0, headers or {}, None
        self.packets = self.octets = 0

    def ask(
        self,
        at: float,
        method: str,
        url: str | None = None,
        more: str = "",
        status: str = "200 OK",
        reply: str = "",
        body: str = "",
        login: bool = True,
        wait: float = 0.004,
        answer: bool = True,
    ) -> float:
        self.cseq += 1
        e = self.eol
        text = f"{method} {url or self.url} RTSP/1.0\r\nCSeq: {self.cseq}\r\n"
        if login and self.auth == "basic":
            text += "Authorization: Basic " + base64.b64encode(b"viewer:pass").decode() + "\r\n"
        elif login and self.auth in ("digest", "sha256"):
            alg = ", algorithm=SHA-256" if self.auth == "sha256" else ""
            proof = hashlib.md5((self.url + method).encode()).hexdigest()
            text += (
                f'Authorization: Digest username="viewer", realm="cam", nonce="{self.session}",'
                f' uri="{self.url}", response="{proof}"{alg}\r\n'
            )
        text += f"User-Agent: {self.agent}\r\n{more}\r\n"
        t = self.c.say(at, text.encode(), True)
        if not answer:
            return t
        head = f"RTSP/1.0 {status}{e}CSeq: {self.cseq}{e}Server: {self.server}{e}"
        if body:
            head += f"Content-Type: application/sdp{e}Content-Base: {self.url}/{e}"
            head += f"Content-Length: {len(body)}{e}"
        return self.c.say(t + wait, (head + reply.replace("\r\n", e) + e + body).encode(), False)

    def text(self) -> str:
        if self.sdp is not None:
            return self.sdp
        more = f"a=framerate:{self.fps}\r\n" if self.declare else ""
        return SDP.format(n=self.y.seed, ip=self.cam.ip, base="*") + VIDEO.format(
            pt=self.pt, more=more, control=self.control
        )

    def describe(self, at: float, status: str = "200 OK", refuse: str | None = None) -> float:
        t = self.c.open(at)
        t = self.ask(
            t,
            "OPTIONS",
            reply="Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, GET_PARAMETER\r\n",
            login=False,
        )
        challenge = {
            "digest": f'WWW-Authenticate: Digest realm="cam", nonce="{self.session}"\r\n',
            "basic": 'WWW-Authenticate: Basic realm="cam"\r\n',
            "sha256": f'WWW-Authenticate: Digest realm="cam", nonce="{self.session}",'
            ' algorithm=SHA-256, qop="auth"\r\n',
        }.get(self.auth)
        if challenge:
            t = self.ask(
                t,
                "DESCRIBE",
                more="Accept: application/sdp\r\n",
                status="401 Unauthorized",
                reply=challenge,
                login=False,
            )
        self.challenge = challenge or ""
        if refuse:
            return self.ask(
                t,
                "DESCRIBE",
                more="Accept: application/sdp\r\n",
                status=refuse,
                reply=self.challenge if "401" in refuse else "",
            )
        return self.ask(t, "DESCRIBE", more="Accept: application/sdp\r\n", body=self.text())

    def setup(self, at: float, status: str = "200 OK", transport: str | None = None) -> float:
        kind = transport or self.transport
        url = self.url + "/" + self.control
        if kind == "tcp":
            want = "RTP/AVP/TCP;unicast;interleaved=0-1"
            got = want + f";ssrc={self.ssrc:08X}"
        elif kind == "mcast":
            want = "RTP/AVP;multicast"
            ports = f"{self.cport}-{self.cport + 1}"
            got = f"RTP/AVP;multicast;destination={self.group.ip};port={ports};ttl=16"
        else:
            want = f"RTP/AVP;unicast;client_port={self.cport}-{self.cport + 1}"
            got = want + f";server_port={self.sport}-{self.sport + 1};ssrc={self.ssrc:08X}"
        ok = status.startswith("200")
        return self.ask(
            at,
            "SETUP",
            url,
            f"Transport: {want}\r\n",
            status,
            f"Transport: {got}\r\nSession: {self.session};timeout={self.timeout}\r\n" if ok else "",
        )

    def start(self, at: float) -> float:
        return self.ask(
            at,
            "PLAY",
            more=f"Session: {self.session}\r\nRange: npt=0.000-\r\n",
            reply=f"Session: {self.session}\r\nRTP-Info: url={self.url}/{self.control};"
            f"seq={self.seq};rtptime={self.ts}\r\n",
        )

    def play(self, at: float) -> float:
        self.t = self.start(self.setup(self.describe(at)))
        return self.t

    def leave(self, at: float) -> float:
        t = self.ask(at, "TEARDOWN", more=f"Session: {self.session}\r\n")
        self.c.close(t + 0.001)
        return t

    def send(self, at: float, data: bytes, channel: int = 0) -> None:
        """One RTP (0) or RTCP (1) packet on its way."""
        if self.transport == "tcp":
            self.c.say(
                at,
                b"$" + bytes([channel]) + struct.pack("!H", len(data)) + data,
                False,
                ack=self.packets % 4 == 0,
            )
        elif self.transport == "mcast":
            self.y.rtpudp(
                at,
                self.cam,
                self.sport + channel,
                self.group,
                self.cport + channel,
                data,
                df=False,
                ttl=16,
            )
        else:
            self.y.rtpudp(
                at, self.cam, self.sport + channel, self.me, self.cport + channel, data, df=False
            )

    def rtp(
        self,
        at: float,
        payload: bytes,
        marker: bool,
        lose: bool | None = False,
        pt: int | None = None,
        ext_: bytes | None = None,
    ) -> None:
        b0 = 0x90 if ext_ else 0x80
        data = (
            struct.pack(
                "!BBHII",
                b0,
                (0x80 if marker else 0) | (self.pt if pt is None else pt),
                self.seq & 0xFFFF,
                self.ts & 0xFFFFFFFF,
                self.ssrc,
            )
            + (ext_ or b"")
            + payload
        )
        self.seq += 1
        self.packets += 1
        self.octets += len(payload)
        if not lose:
            self.send(at, data)

    def sr(self, at: float, off: float = 0.0, zero: bool = False) -> None:
        ntp = 0 if zero else int((at + off + self.y.t0 + 2208988800) * 2**32) & (2**64 - 1)
        sr = struct.pack(
            "!BBHIQIII",
            0x80,
            200,
            6,
            self.ssrc,
            ntp,
            self.ts & 0xFFFFFFFF,
            self.packets,
            self.octets & 0xFFFFFFFF,
        )
        self.send(at, sr + struct.pack("!BBHIBB", 0x81, 202, 2, self.ssrc, 1, 2) + b"cm\0\0"[:2], 1)

    def rr(self, at: float) -> None:
        if self.transport == "tcp":
            body = struct.pack("!BBHI", 0x80, 201, 1, 77)
            self.c.say(at, b"$\1" + struct.pack("!H", len(body)) + body, True)
        elif self.transport == "udp":
            self.y.rtpudp(
                at,
                self.me,
                self.cport + 1,
                self.cam,
                self.sport + 1,
                struct.pack(
                    "!BBHIIIIIII", 0x81, 201, 7, 77, self.ssrc, 0, self.seq & 0xFFFF, 3, 0, 0
                ),
            )

    def film(
        self,
        start: float,
        end: float,
        gop: float = 2.0,
        key: int = 5200,
        delta: int = 1400,
        lose: Callable[[float, int], bool] | None = None,
        gaps: tuple[tuple[float, float], ...] = (),
        late: Callable[[float, int], float] | None = None,
        keep: bool = True,
        off: float = 0.0,
        zero: bool = False,
        marker: bool = True,
        fps: float | None = None,
        rate: float | None = None,
        nokeys: bool = False,
        ext_: bytes | None = None,
        sr: bool = True,
        noise: bool = True,
        rr: bool = True,
        step: Callable[[float, int], float] | None = None,
    ) -> float:
        """Pictures. `lose(time, number)` says which packets never arrive; in `gaps` the camera
        sends nothing."""
        fps = fps or self.fps
        per = max(1, round(fps * gop))
        n, t, nextkeep, nextsr = 0, start, start + self.timeout * 0.4, start + 0.5
        rnd = self.y.r
        while t < end:
            if not any(a <= t < b for a, b in gaps):
                at = t + (late(t, n) if late else 0)
                iskey = n % per == 0 and not nokeys
                size = key if iskey else delta
                size = int(size * (0.85 + 0.3 * rnd.random())) if noise else size
                if iskey:
                    self.rtp(at, SPS, False, lose and lose(t, self.seq), ext_=ext_)
                    self.rtp(at + 0.00005, PPS, False, lose and lose(t, self.seq), ext_=ext_)
                nal = 0x65 if iskey else 0x41
                if size <= 1380:
                    self.rtp(
                        at + 0.0001,
                        bytes([nal]) + rnd.randbytes(8) + bytes(max(size - 9, 1)),
                        marker,
                        lose and lose(t, self.seq),
                        ext_=ext_,
                    )
                else:
                    count = -(-size // 1380)
                    for i in range(count):
                        fu = bytes(
                            [
                                nal & 0x60 | 28,
                                (0x80 if i == 0 else 0)
                                | (0x40 if i == count - 1 else 0)
                                | nal & 31,
                            ]
                        )
                        self.rtp(
                            at + 0.0001 * (i + 1),
                            fu
                            + rnd.randbytes(8)
                            + bytes(1370 if i < count - 1 else max(size - 1380 * (count - 1), 20)),
                            marker and i == count - 1,
                            lose and lose(t, self.seq),
                            ext_=ext_,
                        )
                n += 1
            if sr and t >= nextsr:
                self.sr(t + 0.002, off, zero)
                if rr:
                    self.rr(t + 0.3 / fps)
                nextsr += 5
            if keep and self.keep and t >= nextkeep:
                self.ask(
                    t + 0.5 / fps,
                    self.keep,
                    more=f"Session: {self.session}\r\n",
                    reply=f"Session: {self.session}\r\n",
                )
                nextkeep += self.timeout * 0.4
            d = step(t, n) if step else 1 / fps
            t += d
            self.ts += round(90000 * d * (rate or 1))
        return t


def stream(y: Yard, cam: Host, start: float, end: float, **more: Any) -> View:
    """A camera that is read from start to end."""
    film = {
        k: more.pop(k)
        for k in list(more)
        if k
        in (
            "gop",
            "key",
            "delta",
            "lose",
            "gaps",
            "late",
            "keep_",
            "off",
            "zero",
            "marker",
            "rate",
            "nokeys",
            "ext_",
            "sr",
            "noise",
            "rr",
            "step",
        )
    }
    v = View(y, cam, **more)
    y.who(start, v.me, cam)
    t = v.play(start + 0.01)
    v.film(t + 0.02, end, **film)
    return v
