"""Several faults at once, faults that come and go, and what a technician does on a visit."""

from __future__ import annotations

from tests.situations.trace import BCAST, Host, Tcp
from tests.situations.trace_media import Session
from tests.situations.trace_names import dns, lease, ntp
from tests.situations.trace_site import Day, scene
from tests.situations.visit import visit


def wrong_password(p, cam, t0, end, every, status="401 Unauthorized"):
    "The appliance logs in as it always does, and is answered `status` each time."
    u, t, agent = cam.url(), t0, "User-Agent: LIVE555 Streaming Media v2020.08.19\r\n"
    while t < end:
        k = Tcp(p.w, p.a0, cam, 554, t, 0.0006).open()
        nonce = f"{int(t * 1000):x}"
        refusal = f'WWW-Authenticate: Digest realm="cam", nonce="{nonce}"\r\n\r\n'
        k.c(f"OPTIONS {u} RTSP/1.0\r\nCSeq: 1\r\n{agent}\r\n".encode())
        k.s(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n")
        ask = f"DESCRIBE {u} RTSP/1.0\r\nCSeq: %d\r\nAccept: application/sdp\r\n{agent}"
        k.c((ask % 2 + "\r\n").encode())
        k.s(f"RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\n{refusal}".encode())
        login = f'Digest username="viewer", realm="cam", nonce="{nonce}", uri="{u}"'
        login += f', response="{"0" * 32}"'
        k.c((ask % 3 + f"Authorization: {login}\r\n\r\n").encode())
        k.s(f"RTSP/1.0 {status}\r\nCSeq: 3\r\n{refusal}".encode())
        k.fin()
        t += every


def lightcams(seed, cams=2, **k):
    return Day(seed, cams=cams, cam={"fps": 5, "kbps": 40, "gop": 2.0}, **k)


def boot(p, t, old=None, ask_ntp=True, cam=True):
    """The appliance starts: leases on its ports, probes, gateway, names, time, then the cloud."""
    w = p.w
    lease(w, t, p.a1, p.gw, p.gw.ip, [p.gw.ip], "panorama")
    w.ask(t + 5, p.a1, p.gw)
    if ask_ntp:
        for i in range(4):
            ntp(w, t + 5.2 + i * 2, p.a1, p.ntp_, off=(-1.2 if i == 0 else 0.0))
    return t + 8


@visit("rtsp-auth", "dns-nxdomain", "neighbour-silent")
def three_faults_at_once():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(211, 3)
    w = p.w
    p.arps(0.1, 60)
    p.cloud(0.5, 60, logs=False)
    p.lan(60)
    p.stream(end=60, which=[1, 2])
    wrong_password(p, p.cams[0], 1, 60, 12)
    for t in range(2, 60, 9):
        dns(w, t, p.a1, p.dns_, p.logs, rcode=3)
        dns(w, t + 0.001, p.a1, p.dns_, p.logs, typ="AAAA", rcode=3)
    g = Host(f"{p.camnet}.254", BCAST)
    for t in range(4, 60, 12):
        for i in range(3):
            w.ask(t + i, p.a0, g, answer=False)
    return p


@visit("rtsp-auth", "dns-sinkhole")
def password_and_sinkhole():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(212, 2, topology="single")
    w = p.w
    p.arps(0.1, 60)
    p.cloud(0.5, 60, mqtt=False)
    p.lan(60)
    p.stream(end=60, which=[1])
    wrong_password(p, p.cams[0], 1, 60, 12)
    for t in range(2, 60, 8):
        dns(w, t, p.a1, p.dns_, p.iot, ["0.0.0.0"])
    return p


@visit("camera-unreachable", "tcp-blocked", "stream-loss")
def three_layers_of_faults():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = Day(213, "dual", 3, cam={"fps": 10, "kbps": 300})
    w = p.w
    p.cloud(0.5, 60, mon=False)
    p.lan(60)
    p.stream(end=60, which=[0])
    p.stream(end=60, which=[2], lose=lambda s, t, r: r.random() < 0.03)
    for t in range(0, 60, 25):
        w.ask(t + 0.1, p.a1, p.gw)
        w.ask(t + 0.2, p.a0, p.cams[0])
        w.ask(t + 0.3, p.a0, p.cams[2])
    for t in range(1, 60, 10):
        for i in range(3):
            w.ask(t + i, p.a0, p.cams[1], answer=False)
    for t in range(3, 58, 17):
        f = p.look(t, p.mon)
        Tcp(w, p.a1, f, 443, t + 0.05).silent((0, 1, 3, 7))
    p.end = 59
    return p


@visit("gateway-silent", "cameras-silent")
def visit_cables_swapped():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(207, 2)
    w = p.w
    p.arps(0.1, 50)
    p.cloud(0.5, 50)
    p.stream(0.3, 50)
    p.lan(110)
    for t in range(55, 110, 10):
        for i in range(3):
            w.ask(t + i, p.a1, p.gw, answer=False)
            for c in p.cams:
                w.ask(t + 3 + i, p.a0, c, answer=False)
    return p


@visit("gateway-silent", "cameras-silent")
def site_power_cut():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(220, 3)
    w = p.w
    p.arps(0.1, 50)
    p.cloud(0.5, 50)
    p.lan(50)
    p.stream(0.3, 50)
    for t in range(52, 130, 8):
        for i in range(3):
            w.ask(t + i, p.a1, p.gw, answer=False)
            w.ask(t + i + 0.2, p.a0, p.cams[(t // 8) % 3], answer=False)
    return p


@visit(
    "address-changed",
    also=("clock-off",),
    cleared=("clock-off",),
    violations=1,
    cameras={"cam1": "streaming", "cam2": "streaming"},
    never={"*": "no rule allows"},
)
def visit_new_address():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(208, 2, topology="single")
    s = p.toml()
    p.arps(0.1, 40)
    p.cloud(0.5, 40)
    p.stream(0.3, 40, teardown=True)
    p.lan(120)
    for h in {p.a0, p.a1}:
        h.ip = f"{p.camnet}.199"
    boot(p, 50)
    p.arps(60, 120)
    p.cloud(61, 120)
    p.stream(62, 120)
    p.sitetext = s
    return p


@visit("rtsp-auth", cleared=("rtsp-auth",))
def password_corrected():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(214, 2)
    p.arps(0.1, 70)
    p.cloud(0.5, 70)
    p.lan(70)
    p.stream(end=70, which=[0])
    wrong_password(p, p.cams[1], 1, 40, 12)
    p.stream(44, 70, which=[1])
    return p


@visit("camera-refused")
def whole_capture_camera_refused():
    """Ten-minute visit: camera cable pulled 100-160 s, put back; nothing else."""
    p = lightcams(210, 2)
    p.arps(0.1, 60)
    p.cloud(0.5, 60)
    p.lan(60)
    p.stream(end=60, which=[0])
    for t in range(1, 60, 10):
        Tcp(p.w, p.a0, p.cams[1], 554, t, 0.0006).refused()
    return p


@visit("stream-codec")
def cam2_speaks_h265():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(403, 45, 2, other=1)
    p.cams[1].codec = "H265"
    p.stream(0.6, 45, which=[1])
    return p


@visit("stream-codec")
def mjpeg_left_after_describe():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(404, 45, 2, other=1)
    c = p.cams[1]
    c.codec = "JPEG"
    for t in range(1, 45, 10):
        s = Session.__new__(Session)
        s.w, s.app, s.cam, s.cseq, s.agent, s.auth, s.udp = (
            p.w,
            p.a0,
            c,
            1,
            "LIVE555 Streaming Media v2020.08.19",
            None,
            True,
        )
        s.k = Tcp(p.w, p.a0, c, 554, t, 0.0006).open()
        s.ask("OPTIONS", c.url(), "Public: DESCRIBE, SETUP, PLAY")
        s.ask(
            "DESCRIBE",
            c.url(),
            "Content-Type: application/sdp",
            "Accept: application/sdp",
            body=s.sdp(),
        )
        s.k.fin()
    return p


@visit("rtsp-sessions")
def second_appliance_takes_the_session():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(405, 50, 2, other=0)
    o = Host(f"{p.camnet}.201", "02:00:5e:aa:bb:10")
    c = p.cams[0]
    Session(p.w, o, c, 0.2, 50, teardown=False)
    for t in range(2, 50, 10):
        Session(p.w, p.a0, c, t, t + 0.1, media=False, teardown=False) if False else None
        k = Tcp(p.w, p.a0, c, 554, t, 0.0006).open()
        u = c.url()
        ua = "User-Agent: LIVE555 Streaming Media v2020.08.19\r\n"
        k.c(f"DESCRIBE {u} RTSP/1.0\r\nCSeq: 2\r\n{ua}Accept: application/sdp\r\n\r\n".encode())
        k.s(b"RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: 2\r\n\r\n")
        k.fin()
    return p


@visit("udp-blocked")
def udp_media_dropped():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(411, 60, 2, other=1)
    for t in range(1, 55, 14):
        Session(p.w, p.a0, p.cams[1], t, t + 11, media=False)
    return p


@visit("rtsp-auth", "rtsp-not-found", also=("rtsp-auth",))
def two_passwords_one_path():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(416, 50, 4, other=None, cam={"fps": 5})
    p.w.p.clear()
    p.arps(0.1, 50)
    p.cloud(0.5, 50)
    p.lan(50)
    p.stream(0.3, 50, which=[3])
    wrong_password(p, p.cams[0], 1, 50, 11)
    wrong_password(p, p.cams[1], 3, 50, 13)
    wrong_password(p, p.cams[2], 2, 50, 12, status="404 Not Found")
    return p


@visit("rtsp-lockout")
def locked_out_after_five():
    """Bit-rate explodes at night to 12 Mb/s on one camera (noise): above 9 Mb/s."""
    p = scene(417, 120, 2, other=1)
    wrong_password(p, p.cams[1], 1, 48, 9)
    wrong_password(p, p.cams[1], 50, 118, 9, status="403 Forbidden")
    return p
