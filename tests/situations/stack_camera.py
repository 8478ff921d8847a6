"""A camera that is read: the dialogue of LIVE555 with the makers' servers, pictures, reports."""

from __future__ import annotations

import hashlib
import inspect
import random
import struct

from tests.situations.stack import Host, Site
from tests.situations.stack_tcp import Conn

SPS, PPS = (
    bytes.fromhex("67420029e2900a00cb602dc0404069078911 50".replace(" ", "")),
    bytes.fromhex("68ce3c80"),
)
SERVERS = {
    "axis": "GStreamer RTSP server",
    "hikvision": None,
    "dahua": "Rtsp Server/3.0",
    "live555": "LIVE555 Streaming Media v2019.04.12",
}
FILLER = random.Random(3).randbytes(70000)


class Play:
    """A reader of a camera and what it gets."""

    def __init__(
        self,
        s: Site,
        cam: Host,
        reader=None,
        udp=True,
        auth="digest",
        fps=10.0,
        path="/live",
        port=554,
        pt=96,
        timeout=60,
        server="live555",
        agent="LIVE555 Streaming Media v2020.11.22",
        audio=False,
        options=True,
        rtt=0.0011,
        codec="H264",
        sprop=True,
        user="panorama",
        rate=None,
        realm="IP Camera",
        names=None,
    ):
        self.s, self.cam, self.me = s, cam, reader or s.eth0
        self.udp, self.auth, self.fps, self.path, self.port, self.pt = (
            udp,
            auth,
            fps,
            path,
            port,
            pt,
        )
        self.timeout, self.server, self.agent, self.audio = (
            timeout,
            SERVERS.get(server, server),
            agent,
            audio,
        )
        self.options, self.codec, self.sprop, self.user, self.realm = (
            options,
            codec,
            sprop,
            user,
            realm,
        )
        self.rate = fps if rate is None else rate
        self.c = Conn(s, self.me, cam, port, rtt=rtt)
        r = self.r = random.Random(f"{cam.ip}{self.c.ports}{len(s.frames)}")
        self.url = f"rtsp://{cam.ip}:{port}{path}" if port != 554 else f"rtsp://{cam.ip}{path}"
        self.cseq, self.session = 0, f"{r.randrange(1 << 32):08X}"
        self.nonce = f"{r.randrange(1 << 64):016x}"
        self.ssrc, self.seq, self.ts = (
            r.randrange(1 << 32),
            r.randrange(1 << 16),
            r.randrange(1 << 32),
        )
        self.assrc, self.aseq, self.ats = (
            r.randrange(1 << 32),
            r.randrange(1 << 16),
            r.randrange(1 << 32),
        )
        self.cport, self.sport = r.randrange(20000, 30000) * 2, r.randrange(3000, 10000) * 2
        self.rrssrc = r.randrange(1 << 32)
        self.count = self.octets = self.frame = 0
        self.sps = SPS
        self.group: Host | None = None
        self.t = 0.0

    # ------------------------------------------------------ dialogue
    def ask(
        self,
        method,
        at=None,
        url=None,
        more="",
        status="200 OK",
        reply="",
        body="",
        login=True,
        think=0.003,
        answer=True,
        session=False,
    ):
        self.cseq += 1
        text = f"{method} {url or self.url} RTSP/1.0\r\nCSeq: {self.cseq}\r\n"
        if login and self.auth == "digest":
            text += (
                f'Authorization: Digest username="{self.user}", realm="{self.realm}", '
                f'nonce="{self.nonce}", '
                f'uri="{url or self.url}", response="{hashlib.md5(text.encode()).hexdigest()}"\r\n'
            )
        elif login and self.auth == "basic":
            text += "Authorization: Basic cGFub3JhbWE6cGFub3JhbWE=\r\n"
        text += f"User-Agent: {self.agent}\r\n"
        if session:
            text += f"Session: {self.session}\r\n"
        at = self.c.t + 0.0008 if at is None else at
        self.c.up((text + more + "\r\n").encode(), at)
        if answer:
            out = f"RTSP/1.0 {status}\r\nCSeq: {self.cseq}\r\n"
            out += f"Server: {self.server}\r\n" if self.server else ""
            out += f"Session: {self.session}\r\n" if session else ""
            if body:
                reply += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            self.c.down((out + reply + "\r\n" + body).encode(), think)
        self.t = self.c.t
        return self

    def challenge(self, stale=False):
        if self.auth == "basic":
            return f'WWW-Authenticate: Basic realm="{self.realm}"\r\n'
        more = ', stale="true"' if stale else ""
        return f'WWW-Authenticate: Digest realm="{self.realm}", nonce="{self.nonce}"{more}\r\n'

    def sdp(self):
        fmtp = "packetization-mode=1;profile-level-id=420029"
        if self.sprop:
            fmtp += ";sprop-parameter-sets=Z0IAKeKQCgDLYC3AQEBpB4kRUA==,aM48gA=="
        text = (
            f"v=0\r\no=- {self.r.randrange(1 << 50)} 1 IN IP4 {self.cam.ip}\r\n"
            "s=Media Presentation\r\n"
            "c=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=0.000000-\r\n"
            f"m=video 0 RTP/AVP {self.pt}\r\nb=AS:4096\r\na=rtpmap:{self.pt} {self.codec}/90000\r\n"
        )
        if self.codec == "H264":
            text += f"a=fmtp:{self.pt} {fmtp}\r\n"
        text += (
            f"a=framerate:{self.rate:.1f}\r\n" if self.rate else ""
        ) + "a=control:trackID=1\r\n"
        if self.audio:
            text += "m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:trackID=2\r\n"
        return text

    def connect(self, at, arp=True):
        if arp:
            self.s.who(at - 0.002, self.me, self.cam)
        self.c.open(at)
        return self

    def describe(self, status="200 OK", body=None, login=True):
        if self.options:
            self.ask(
                "OPTIONS",
                login=False,
                reply="Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, "
                "GET_PARAMETER, SET_PARAMETER\r\n",
            )
        accept = "Accept: application/sdp\r\n"
        if self.auth and login:
            self.ask(
                "DESCRIBE",
                more=accept,
                status="401 Unauthorized",
                reply=self.challenge(),
                login=False,
            )
        good = status.startswith("200")
        reply = (
            f"Content-Base: {self.url}/\r\n"
            if good
            else self.challenge()
            if "401" in status
            else ""
        )
        return self.ask(
            "DESCRIBE",
            more=accept,
            status=status,
            reply=reply,
            body=(self.sdp() if body is None else body) if good else "",
        )

    def setup(self, track=1, status="200 OK", udp=None, reply=None):
        udp = self.udp if udp is None else udp
        base = 2 * (track - 1)
        if self.group:
            want = "RTP/AVP;multicast"
            ports = f"{self.cport}-{self.cport + 1}"
            got = f"RTP/AVP;multicast;destination={self.group.ip};port={ports};ttl=16"
        elif udp:
            want = f"RTP/AVP;unicast;client_port={self.cport + base}-{self.cport + base + 1}"
            ssrc = self.ssrc if track == 1 else self.assrc
            got = want + f";server_port={self.sport + base}-{self.sport + base + 1};ssrc={ssrc:08X}"
        else:
            want = got = f"RTP/AVP/TCP;unicast;interleaved={base}-{base + 1}"
        if reply is None:
            reply = (
                f"Transport: {got}\r\nSession: {self.session};timeout={self.timeout}\r\n"
                if status[:3] == "200"
                else ""
            )
        more = f"Transport: {want}\r\n" + (f"Session: {self.session}\r\n" if track > 1 else "")
        return self.ask(
            "SETUP", url=f"{self.url}/trackID={track}", more=more, status=status, reply=reply
        )

    def start(self, at=None, status="200 OK", info=True):
        reply = f"RTP-Info: url={self.url}/trackID=1;seq={self.seq & 0xFFFF};"
        reply += f"rtptime={self.ts & 0xFFFFFFFF}\r\n"
        self.ask(
            "PLAY",
            at,
            url=self.url + "/",
            more="Range: npt=0.000-\r\n",
            status=status,
            session=True,
            reply=("Range: npt=0.000-\r\n" + (reply if info else ""))
            if status[:3] == "200"
            else "",
        )
        return self

    def play(self, at, arp=True):
        self.connect(at, arp).describe().setup(1)
        if self.audio:
            self.setup(2)
        return self.start()

    def teardown(self, at=None, status="200 OK"):
        self.ask("TEARDOWN", at, session=True, status=status)
        self.c.fin(self.c.t + 0.001)
        return self

    # ------------------------------------------------------ media
    def out(self, at, channel, data):
        """One packet over UDP."""
        to = self.group or self.me
        self.s.udp(
            at,
            self.cam,
            self.sport + channel,
            to,
            self.cport + channel,
            data,
            check=False,
            df=True,
            tos=0x88 if channel % 2 == 0 else 0,
            **({"ttl": 16} if self.group else {}),
        )

    def header(self, marker, pt=None, ssrc=None):
        return struct.pack(
            "!BBHII",
            0x80,
            (0x80 if marker else 0) | (self.pt if pt is None else pt),
            self.seq & 0xFFFF,
            self.ts & 0xFFFFFFFF,
            self.ssrc if ssrc is None else ssrc,
        )

    def picture(self, size, key=False, sets=True):
        """RTP packets of one picture."""
        pieces = [(self.sps, False), (PPS, False)] if key and sets else []
        nal = 0x65 if key else 0x61
        k = self.r.randrange(2000)
        body = FILLER[k : k + size]
        if size <= 1400:
            pieces.append((bytes([nal]) + body, True))
        else:
            for n in range(0, size, 1400):
                last = n + 1400 >= size
                fu = bytes(
                    [nal & 0x60 | 28, (0x80 if n == 0 else 0) | (0x40 if last else 0) | nal & 31]
                )
                pieces.append((fu + body[n : n + 1400], last))
        packets = []
        for data, marker in pieces:
            packets.append(self.header(marker) + data)
            self.seq += 1
            self.count += 1
            self.octets += len(data)
        return packets

    def report(self, at, off=0.0):
        """The camera's sender report with its name."""
        ntp = int((at + off + self.s.t0 + 2208988800) * 2**32) & (2**64 - 1)
        sr = struct.pack(
            "!BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, self.ts & 0xFFFFFFFF, self.count, self.octets
        )
        return sr + self.sdes(self.ssrc, b"camera")

    def sdes(self, ssrc, name):
        item = b"\1" + bytes([len(name)]) + name
        item += b"\0" * (4 - len(item) % 4)
        return struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, ssrc) + item

    def receiver(self):
        rr = struct.pack(
            "!BBHIIIIIII", 0x81, 201, 7, self.rrssrc, self.ssrc, 0, self.seq & 0xFFFF, 18, 0, 0
        )
        return rr + self.sdes(self.rrssrc, b"panorama")

    def goodbye(self, at):
        self.send(at, 1, self.report(at) + struct.pack("!BBHI", 0x81, 203, 1, self.ssrc))

    def send(self, at, channel, *packets, lose=()):
        """Over UDP each on its own, over TCP as one write."""
        if self.udp or self.group:
            for n, data in enumerate(packets):
                if n not in lose:
                    self.out(at + n * 0.00012, channel, data)
        else:
            data = b"".join(
                b"$" + bytes([channel]) + struct.pack("!H", len(p)) + p for p in packets
            )
            self.c.send(1, data, max(at, self.c.t + 0.00001))

    def film(
        self,
        start,
        end,
        gop=2.0,
        key=4200,
        delta=900,
        keep="GET_PARAMETER",
        every=None,
        rr=5.0,
        sr=5.0,
        gaps=(),
        lose=None,
        late=None,
        off=0.0,
        fps=None,
        stamp=None,
        sets=True,
        step=None,
        keep_status="200 OK",
        keep_answer=True,
        keep_reply="",
        silent_rr=False,
        keep_login=True,
        sessionless=False,
    ):
        """Pictures, reports and keep-alives until `end`. `lose(t, n)`: this RTP packet is lost;
        `late(t)`: seconds that the picture comes late; `step(t)`: seconds until the next one;
        `stamp`: how fast the stamps run; `gaps`: times without any."""
        fps = fps or self.fps
        per = max(1, round(gop * fps))
        every = every or self.timeout / 2
        t, nextkeep, nextrr, nextsr = start, start + every, start + (rr or 0) * 0.7, start + 0.3
        nexta, number = start, 0
        while t < end:
            at = t + self.r.uniform(0, 0.002) + (late(t) if late else 0)
            quiet = any(a <= t < b for a, b in gaps)
            if not quiet:
                iskey = self.frame % per == 0
                size = int((key if iskey else delta) * self.r.uniform(0.8, 1.2))
                packets = self.picture(size, iskey, sets)
                gone = {n for n in range(len(packets)) if lose and lose(t, number + n)}
                number += len(packets)
                self.send(at, 0, *packets, lose=gone)
                self.frame += 1
            if self.audio and not quiet:
                while nexta < t + 1 / fps:
                    head = struct.pack(
                        "!BBHII", 0x80, 8, self.aseq & 0xFFFF, self.ats & 0xFFFFFFFF, self.assrc
                    )
                    self.send(nexta + 0.003, 2, head + FILLER[:320])
                    self.aseq += 1
                    self.ats += 320
                    nexta += 0.04
            if sr and t >= nextsr:
                self.send(at + 0.003, 1, self.report(at, off))
                nextsr += sr
            if rr and t >= nextrr:
                if self.udp:
                    self.s.udp(
                        at + 0.004,
                        self.me,
                        self.cport + 1,
                        self.cam,
                        self.sport + 1,
                        self.receiver(),
                    )
                elif not self.group:
                    data = self.receiver()
                    self.c.send(
                        0,
                        b"$\1" + struct.pack("!H", len(data)) + data,
                        max(at + 0.004, self.c.t + 0.0001),
                    )
                nextrr += rr * self.r.uniform(0.7, 1.3)
            if keep and t >= nextkeep:
                self.ask(
                    keep,
                    max(at + 0.006, self.c.t + 0.0001),
                    url=self.url + "/",
                    session=not sessionless,
                    status=keep_status,
                    answer=keep_answer,
                    reply=keep_reply,
                    login=keep_login,
                )
                nextkeep += every
            d = step(t) if step else 1 / fps
            t += d
            self.ts += round(90000 * d * (stamp or 1))
        self.t = t
        return self


FILM = set(inspect.signature(Play.film).parameters) - {"self", "start", "end", "fps"}


def stream(s, cam, start, end, arp=True, **more):
    """Read from start to end."""
    film = {k: more.pop(k) for k in list(more) if k in FILM}
    if "rate_fps" in more:
        film["fps"] = more.pop("rate_fps")
    p = Play(s, cam, **more).play(start, arp)
    p.film(p.t + 0.03, end, **film)
    return p
