"""Cameras and their sessions: the RTSP dialogue of the appliance, and the media that follow."""

from __future__ import annotations

import random
import struct

from tests.situations.trace import A, Host, P, Tcp, rnd
from tests.situations.trace_names import ntpt

SPS = bytes.fromhex("67640028acd940780227e5c05a8080a0000003002000000651e30632c0")
PPS = bytes.fromhex("68ebe3cb22c0")


def ntp64(w, t):
    return ntpt(w.start + int(t * 1e9))


class Cam(Host):
    def __init__(
        self,
        ip,
        m,
        path="/stream1",
        server="Rtsp Server/2.0",
        fps=10,
        kbps=160,
        gop=2.0,
        vendor=None,
        audio=False,
        declare=True,
        codec="H264",
        clock_off=0.0,
        user="viewer",
        timeout=60,
        ttl=64,
        name=None,
    ):
        super().__init__(ip, m, ttl, name)
        (
            self.path,
            self.server,
            self.fps,
            self.kbps,
            self.gop,
            self.audio,
            self.declare,
            self.codec,
            self.clock_off,
            self.user,
            self.timeout,
        ) = path, server, fps, kbps, gop, audio, declare, codec, clock_off, user, timeout

    def url(self):
        return f"rtsp://{self.ip}:554{self.path}"


class Session:
    """The appliance reads a camera: DESCRIBE after a 401, SETUP, PLAY, media until `end`."""

    def __init__(
        self,
        w,
        app,
        cam,
        t,
        end,
        udp=True,
        agent="LIVE555 Streaming Media v2020.08.19",
        auth=True,
        rtt=0.0006,
        rr=True,
        sr=True,
        teardown=True,
        seed=1,
        lose=None,
        dport=554,
        pause=(),
        fps=None,
        rate=None,
        media=True,
        mute=(),
        frame=None,
        jit=0.0015,
        start_seq=None,
        keep=None,
        fin=True,
        ssrc=None,
        arp=True,
        camport=None,
        mss=1448,
        pay=1200,
        shape=None,
        cl2=None,
    ):
        self.w, self.app, self.cam = w, app, cam
        r = self.r = random.Random(f"{cam.ip}{t}{seed}")
        c = self.k = Tcp(w, app, cam, dport, t, rtt, mss=mss)
        self.cseq = 1
        self.agent = agent
        self.udp = udp
        if arp and app.mac != cam.mac:
            w.ask(t - 0.002, app, cam)
        self.end = end
        self.ssrc = ssrc or r.randrange(1 << 32)
        self.seq = start_seq if start_seq is not None else r.randrange(60000)
        self.ts0 = r.randrange(1 << 31)
        self.sid = f"{r.randrange(1 << 32):08X}"
        self.cp = app.eph() + 10000 & 0xFFFE
        self.cp = 50000 + self.cp % 14000 & ~1
        self.sp = camport or (40000 + r.randrange(8000) & ~1)
        self.lose, self.pause, self.mute, self.frame, self.jit, self.pay, self.shape = (
            lose,
            pause,
            mute,
            frame,
            jit,
            pay,
            shape,
        )
        c.open()
        u, realm = cam.url(), cam.server.split("/")[0]
        self.ask(
            "OPTIONS", u, "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, PAUSE, GET_PARAMETER"
        )
        if auth:
            self.ask(
                "DESCRIBE",
                u,
                f'WWW-Authenticate: Digest realm="{realm}", nonce="{r.randrange(1 << 64):x}"',
                "Accept: application/sdp",
                status="401 Unauthorized",
            )
            self.auth = (
                f'Authorization: Digest username="{cam.user}", realm="{realm}", nonce="0",'
                f' uri="{u}", response="{r.randrange(1 << 128):032x}"'
            )
        else:
            self.auth = None
        self.ask(
            "DESCRIBE",
            u,
            f"Content-Base: {u}/\r\nContent-Type: application/sdp",
            "Accept: application/sdp",
            body=self.sdp(),
        )
        tr = (
            f"RTP/AVP;unicast;client_port={self.cp}-{self.cp + 1}"
            if udp
            else "RTP/AVP/TCP;unicast;interleaved=0-1"
        )
        trr = (
            tr + (f";server_port={self.sp}-{self.sp + 1}" if udp else "") + f";ssrc={self.ssrc:08X}"
        )
        self.ask(
            "SETUP",
            u + "/track1",
            f"Session: {self.sid};timeout={cam.timeout}\r\nTransport: {trr}",
            f"Transport: {tr}",
        )
        if udp:
            for d in (0, 1):
                w.udp(c.t + 0.0001, app, cam, self.cp + d, self.sp + d, b"\xce\xfa\xed\xfe")
        self.ask(
            "PLAY",
            u + "/",
            f"Session: {self.sid}\r\nRTP-Info: url={u}/track1;seq={self.seq};rtptime={self.ts0}"
            "\r\nRange: npt=0.000-",
            f"Session: {self.sid}\r\nRange: npt=0.000-",
        )
        self.t0 = c.t
        if media:
            self.media(c.t + 0.03, end, fps or cam.fps, rate or cam.kbps, rr, sr)
        if keep:
            t = c.t + keep
            while t < end - 1:
                self.at(t, "GET_PARAMETER", u + "/", f"Session: {self.sid}")
                t += keep
        if teardown and end is not None:
            c.t = max(c.t, end)
            self.ask("TEARDOWN", u + "/", f"Session: {self.sid}", f"Session: {self.sid}")
            if fin:
                c.fin()

    def at(self, t, m, u, reply, extra=None, **k):
        self.k.t = max(self.k.t, t)
        self.ask(m, u, reply, extra or f"Session: {self.sid}", **k)

    def ask(self, m, u, reply, extra=None, status="200 OK", body=b"", answer=True):
        q = (
            f"{m} {u} RTSP/1.0\r\nCSeq: {self.cseq}\r\n"
            + (self.auth + "\r\n" if getattr(self, "auth", None) and m != "OPTIONS" else "")
            + f"User-Agent: {self.agent}\r\n"
            + (extra + "\r\n" if extra else "")
            + "\r\n"
        )
        self.k.c(q.encode(), ack=False)
        if answer:
            a = (
                f"RTSP/1.0 {status}\r\nCSeq: {self.cseq}\r\n"
                f"Server: {self.cam.server}\r\n{reply}\r\n"
                + (f"Content-Length: {len(body)}\r\n" if body else "")
                + "\r\n"
            )
            self.k.s(a.encode() + body)
        self.cseq += 1

    def sdp(self):
        c = self.cam
        if c.codec == "H264":
            fm = (
                "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=640028;"
                "sprop-parameter-sets=Z2QAKKzZQHgCJ+XAWoCAoAAAAwAgAAAGUeMGMsA=,aOvjyyLA\r\n"
            )
            n = 96
        elif c.codec == "H265":
            fm = (
                "a=rtpmap:97 H265/90000\r\na=fmtp:97 sprop-vps=QAEMAf//AWAAAAMAgAAAAwAAAwB4rAk=;"
                "sprop-sps=QgEBAWAAAAMAgAAAAwAAAwB4oAKAgC0WWuSSi9Kw;sprop-pps=RAHA8vA8kAA=\r\n"
            )
            n = 97
        else:
            fm, n = "a=rtpmap:26 JPEG/90000\r\n", 26
        fr = f"a=framerate:{c.fps}\r\n" if c.declare else ""
        return (
            f"v=0\r\no=- 16 1 IN IP4 {c.ip}\r\ns=Media Presentation\r\nc=IN IP4 0.0.0.0\r\n"
            "t=0 0\r\na=control:*\r\na=range:npt=now-\r\n"
            f"m=video 0 RTP/AVP {n}\r\nb=AS:5000\r\n{fm}{fr}a=control:track1\r\n"
        ).encode()

    def media(self, t, end, fps, kbps, rr=True, sr=True):
        """Frames at fps from t to end; sizes by kbps; key frame every gop."""
        w, r, cam = self.w, self.r, self.cam
        n = 0
        gopn = max(1, round(cam.gop * fps))
        sent = octets = 0
        nsr = t + 1.1
        nrr = t + 3.3
        k = 0
        mean = kbps * 125 / fps
        big = 5 if gopn > 1 else 1
        p = mean * gopn / (gopn - 1 + big)
        pt = {"H264": 96, "H265": 97}.get(cam.codec, 26)
        tb = t
        while True:
            t = tb + n / fps
            if t >= end:
                break
            key = n % gopn == 0
            size = int((p * big if key else p) * r.uniform(0.85, 1.15))
            ts = (self.ts0 + int((t - self.t0) * 90000)) & 0xFFFFFFFF
            if self.shape:
                size = self.shape(t, key, size)
            paused = any(a <= t < b for a, b in self.pause)
            n += 1
            if self.frame and self.frame(n, t, key) == "skip":
                continue
            if paused:
                continue
            at = t + abs(r.gauss(0, self.jit))
            nal = []
            if cam.codec == "H265":
                hdr = (
                    [(b"\x40\1" + rnd(22)), (b"\x42\1" + rnd(40)), (b"\x44\1" + rnd(8))]
                    if key
                    else []
                )
            else:
                hdr = [SPS, PPS] if key and cam.codec == "H264" else []
            for h in hdr:
                nal.append((h, 0))
            body = max(size, 30)
            if cam.codec == "H264":
                t5 = 5 if key else 1
                ref = 0x65 if key else 0x41
                if body <= self.pay:
                    nal.append((bytes([ref]) + rnd(body), 1))
                else:
                    q = 0
                    while q < body:
                        z = min(self.pay, body - q)
                        nal.append(
                            (
                                bytes(
                                    [
                                        ref & 0xE0 | 28,
                                        (0x80 if q == 0 else 0)
                                        | (0x40 if q + z >= body else 0)
                                        | t5,
                                    ]
                                )
                                + rnd(z),
                                1 if q + z >= body else 0,
                            )
                        )
                        q += z
            elif cam.codec == "H265":
                ty = 19 if key else 1
                q = 0
                while q < body:
                    z = min(self.pay, body - q)
                    nal.append(
                        (
                            bytes(
                                [
                                    49 << 1,
                                    1,
                                    (0x80 if q == 0 else 0) | (0x40 if q + z >= body else 0) | ty,
                                ]
                            )
                            + rnd(z),
                            1 if q + z >= body else 0,
                        )
                    )
                    q += z
            else:
                q = 0
                while q < body:
                    z = min(self.pay, body - q)
                    nal.append(
                        (
                            bytes([0]) + q.to_bytes(3, "big") + bytes([1, 60, 80, 45]) + rnd(z),
                            1 if q + z >= body else 0,
                        )
                    )
                    q += z
            for b, m in nal:
                pkt = (
                    struct.pack(
                        "!BBHII", 0x80, (0x80 if m else 0) | pt, self.seq & 0xFFFF, ts, self.ssrc
                    )
                    + b
                )
                self.seq += 1
                sent += 1
                octets += len(b)
                if self.lose and self.lose(self.seq, at, r):
                    at += 0.0001
                    continue
                if any(a <= at < b2 for a, b2 in self.mute):
                    continue
                self.rtp(at, pkt, 0)
                at += 0.00012
            k = max(k, at)
            while sr and nsr < t:
                self.rtp(
                    nsr,
                    struct.pack("!BBHI", 0x80, 200, 6, self.ssrc)
                    + ntpt(w.start + int((nsr + cam.clock_off) * 1e9))
                    + struct.pack(
                        "!III", (self.ts0 + int((nsr - self.t0) * 90000)) & 0xFFFFFFFF, sent, octets
                    )
                    + struct.pack("!BBHI", 0x81, 202, 4, self.ssrc)
                    + b"\1\7camera1\0\0\0",
                    1,
                )
                nsr += 5
            while rr and nrr < t:
                b = (
                    struct.pack("!BBHI", 0x81, 201, 7, 0x1234)
                    + struct.pack("!IIIIII", self.ssrc, 0, self.seq & 0xFFFF, 30, 0, 0)
                    + struct.pack("!BBHI", 0x81, 202, 3, 0x1234)
                    + b"\1\6panora\0\0"[:8]
                )
                if not any(a <= nrr < b2 for a, b2 in self.mute):
                    if self.udp:
                        w.udp(nrr, self.app, cam, self.cp + 1, self.sp + 1, b)
                    else:
                        self.k.t = max(self.k.t, nrr)
                        self.k.c(b"$\1" + struct.pack("!H", len(b)) + b, ack=False)
                nrr += 5.2
        self.n0 = n
        if not self.udp:
            self.k.t = max(self.k.t, k)

    def rtp(self, at, pkt, ch):
        if self.udp:
            self.w.udp(at, self.cam, self.app, self.sp + ch, self.cp + ch, pkt, df=True)
        else:
            k = self.k
            k.t = max(k.t, at)
            b = b"$" + bytes([ch]) + struct.pack("!H", len(pkt)) + pkt
            for i in range(0, len(b), k.mss):
                seg = b[i : i + k.mss]
                k.back(A | P, seg)
                k.ss += len(seg)
                k.t += 0.00003
            k.n += 1
            if k.n % 2 == 0:
                k.out(A, t=k.t + 0.0001)
