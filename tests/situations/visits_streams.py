"""What a technician met in streams: loss, rates, clocks, readers, pictures that leave a site."""

from __future__ import annotations

import random
import struct
from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import View, stream
from tests.situations.yard_tcp import ACK, RST, SYN, csum


def well(seed: int, cams: int = 2, end: float = 60) -> Yard:
    """A site whose cloud is well, for what happens to its cameras."""
    y = Yard(seed, cams=cams)
    y.well(end)
    return y


def frag(y: Yard, v: Any, t: float, end: float, lose: bool = False) -> None:
    n = 0
    while t < end:
        size = 5600 if n % 30 == 0 else 2700
        v.ts += 6000
        parts = -(-size // 2800)
        for i in range(parts):
            fu = bytes(
                [
                    0x7C if n % 30 == 0 else 0x5C,
                    (0x80 if i == 0 else 0)
                    | (0x40 if i == parts - 1 else 0)
                    | (5 if n % 30 == 0 else 1),
                ]
            )
            if parts == 1:
                fu = b"\x41"
            data = (
                struct.pack(
                    "!BBHII",
                    0x80,
                    (0x80 if i == parts - 1 else 0) | 96,
                    v.seq & 0xFFFF,
                    v.ts & 0xFFFFFFFF,
                    v.ssrc,
                )
                + fu
                + bytes(min(size, 2700))
            )
            v.seq += 1
            v.packets += 1
            udp = struct.pack("!HHHH", v.sport, v.cport, 8 + len(data), 0) + data
            ident = y.r.randrange(65536)
            for k, off in enumerate(range(0, len(udp), 1480)):
                if lose and k:
                    continue
                part = udp[off : off + 1480]
                y.ip(
                    t + 0.0002 * i + 0.00005 * k,
                    v.cam,
                    v.me,
                    17,
                    part,
                    ident=ident,
                    df=False,
                    frag=(0x2000 if off + 1480 < len(udp) else 0) | off // 8,
                )
        if n % 75 == 10:
            v.sr(t + 0.001)
        if n % 300 == 299:
            v.ask(
                t + 0.02,
                "GET_PARAMETER",
                more=f"Session: {v.session}\r\n",
                reply=f"Session: {v.session}\r\n",
            )
        n += 1
        t += 1 / 15


def igmp(y: Yard, who: Host, g: Any, t: float, kind: int = 0x16) -> None:
    m = bytes([kind, 0, 0, 0]) + g.packed
    y.ip(t, who, g, 2, m[:2] + struct.pack("!H", csum(m)) + m[4:], ttl=1, df=False)


@visit(variants=[{"seed": 761}])
def no_marker_bits(seed: int) -> Yard:
    """The camera never sets the marker bit; picture changes by time stamps alone."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, marker=False)
    stream(y, y.cams[1], 1.5, 56, marker=False, transport="tcp")
    return y


@visit(variants=[{"seed": 771, "fps": 1}, {"seed": 772, "fps": 2}, {"seed": 773, "fps": 5}])
def few_pictures_as_set(seed: int, fps: float) -> Yard:
    """1, 2 or 5 pictures a second as the SDP says."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, fps=fps, gop=4)
    stream(y, y.cams[1], 1.5, 56, fps=fps, gop=4, transport="tcp")
    return y


@visit(variants=[{"seed": 781}])
def nothing_moves_tiny_pictures(seed: int) -> Yard:
    """A dark hall: P pictures of 60 to 90 bytes, key frames as always: no frozen picture."""
    y = well(seed, 2, 80)
    stream(y, y.cams[0], 1, 76, delta=80, gop=4)
    stream(y, y.cams[1], 1.5, 76, delta=70, gop=4, transport="tcp")
    return y


@visit(variants=[{"seed": 791}], info=("stream-multi-reader",))
def recorder_reads_beside(seed: int) -> Yard:
    """An NVR reads the same cameras by TCP, in order: information at most."""
    y = well(seed, 2)
    nvr = Host("00:1c:27:00:11:22", y.camnet + "240", name="nvr")
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 56)
        y.who(0.5 + n, nvr, c)
        stream(y, c, 1.4 + n, 56, reader=nvr, transport="tcp", agent="NVR/4.2", path="/main")
    return y


@visit(variants=[{"seed": 801}])
def main_and_sub_stream_of_one_camera(seed: int) -> Yard:
    """The appliance reads the main and the sub stream of one camera in two sessions."""
    y = well(seed, 1)
    stream(y, y.cams[0], 1, 56)
    stream(y, y.cams[0], 1.5, 56, path="/sub", fps=7, delta=500, transport="tcp")
    return y


@visit(variants=[{"seed": 811}])
def three_cameras_behind_one_address(seed: int) -> Yard:
    """A router in front of three cameras forwards ports 5541 to 5543 of one address to them."""
    y = Yard(seed, cams=1)
    y.well(60)
    box = y.cams[0]
    for n in range(3):
        stream(
            y, box, 1 + n, 56, port=5541 + n, path=f"/cam{n}", transport=["tcp", "udp", "tcp"][n]
        )
    a = [Host(box.mac, box.ip, name=f"cam{n}") for n in range(3)]
    y.sitetext = y.site(
        cams=a, urls={f"cam{n}": f"rtsp://{box.ip}:{5541 + n}/cam{n}" for n in range(3)}
    )
    return y


@visit(variants=[{"seed": 821}])
def numbers_and_times_wrap(seed: int) -> Yard:
    """Sequence numbers wrap from 65535 to 0 and time stamps from 2^32 to 0 in the middle."""
    y = well(seed, 2)
    for n, c in enumerate(y.cams):
        v = View(y, c, transport=["udp", "tcp"][n])
        v.seq, v.ts = 65100, 2**32 - 90000 * 20 - 7
        y.who(1 + n, y.eth0, c)
        t = v.play(1.1 + n)
        v.film(t + 0.02, 56)
    return y


@visit(variants=[{"seed": 831}])
def onvif_extension_headers(seed: int) -> Yard:
    """Each RTP packet carries ONVIF's replay extension (0xABAC) or one-byte extensions (0xBEDE)."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, ext_=struct.pack("!HHIII", 0xABAC, 3, 1, 2, 3))
    stream(y, y.cams[1], 1.5, 56, ext_=struct.pack("!HHI", 0xBEDE, 1, 0x10FF0000), transport="tcp")
    return y


@visit(variants=[{"seed": 841}])
def onvif_discovery_and_soap_before_the_stream(seed: int) -> Yard:
    """The application discovers by WS-Discovery, asks GetStreamUri by HTTP on the camera's port 80
    (declared in the site file), then plays."""
    y = well(seed, 2)
    for n in range(5):
        y.udp(
            0.5 + 10 * n,
            y.campc,
            40000,
            Host("01:00:5e:7f:ff:fa", "239.255.255.250"),
            3702,
            b"<?xml version='1.0'?><e:Envelope><Probe/></e:Envelope>",
            ttl=1,
        )
        for i, c in enumerate(y.cams):
            y.udp(
                0.52 + 10 * n + 0.01 * i,
                c,
                3702,
                y.campc,
                40000,
                b"<?xml?><ProbeMatches>http://"
                + c.ip.encode()
                + b"/onvif/device_service</ProbeMatches>",
            )
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 56)
    return y


@visit(
    "rtsp-auth",
    variants=[{"seed": 851, "auth": "digest"}, {"seed": 852, "auth": "basic"}],
    also=("rtsp-lockout", "cleartext"),
    cameras={"cam1": "streaming"},
    says={"rtsp-auth": "cam2" + "|cam2"},
)
def password_changed_while_it_played(seed: int, auth: str) -> Yard:
    """cam2 plays; its password is changed, it ends the session with a FIN; each new login is
    refused 401 with credentials, one try each 12 s."""
    y = well(seed, 2, 110)
    stream(y, y.cams[0], 1, 106, delta=900)
    c = y.cams[1]
    v = View(y, c, auth=auth)
    y.who(2, y.eth0, c)
    t = v.play(2.1)
    v.film(t + 0.02, 40, delta=900)
    v.c.server_close(40.2)
    for n in range(6):
        w = View(y, c, auth=auth)
        t = w.describe(42 + 12 * n, refuse="401 Unauthorized")
        w.c.close(t + 0.01)
    return y


@visit(
    "rtsp-sessions",
    variants=[
        {"seed": 861, "status": "453 Not Enough Bandwidth"},
        {"seed": 862, "status": "503 Service Unavailable"},
    ],
    cameras={"cam1": "streaming"},
    never={"*": "restart"},
)
def camera_has_no_session_left(seed: int, status: str) -> Yard:
    """cam2 (read by three PCs before) answers SETUP or DESCRIBE with 453 or 503."""
    y = well(seed, 2, 100)
    stream(y, y.cams[0], 1, 96, delta=900)
    for n in range(6):
        v = View(y, y.cams[1])
        y.who(2 + 15 * n, y.eth0, y.cams[1])
        t = v.describe(2.1 + 15 * n)
        t = v.setup(t, status)
        v.c.close(t + 0.01)
    return y


@visit(
    "camera-unreachable",
    variants=[{"seed": 871}],
    cameras={"cam1": "streaming"},
    says={"camera-unreachable": "router|ICMP|unreachable"},
)
def router_says_host_unreachable_for_a_camera_behind_it(seed: int) -> Yard:
    """cam2 lies in another network behind the router; the router answers host unreachable (3/1) to
    each SYN."""
    y = well(seed, 2, 90)
    stream(y, y.cams[0], 1, 86, delta=900)
    far = Host(y.camrouter.mac, "10.250.7.9", name="cam2")
    for n in range(8):
        k = y.tcp(y.eth0, far, 554)
        y.who(2 + 10 * n, y.eth0, y.camrouter)
        p = k.seg(2.1 + 10 * n, True, SYN)
        y.icmp(2.105 + 10 * n, y.camrouter, y.eth0, 3, 1, p)
    y.sitetext = y.site(cams=[y.cams[0], far], local=["10.250.7.0/24"])
    return y


@visit(variants=[{"seed": 881}])
def large_rtp_packets_in_fragments(seed: int) -> Yard:
    """The camera sends RTP packets of up to 3000 bytes as IP fragments: all arrive."""
    y = well(seed, 1)
    c = y.cams[0]
    v = View(y, c)
    y.who(1, y.eth0, c)
    t = v.play(1.1) + 0.02
    frag(y, v, t, 56)
    return y


@visit(variants=[{"seed": 891}])
def packets_out_of_order_on_a_bridge(seed: int) -> Yard:
    """A radio bridge changes the order of neighbouring packets in 2 % of cases and repeats some:
    nothing is lost."""
    y = well(seed, 1)
    stream(y, y.cams[0], 1, 56, delta=2600)
    r = random.Random(seed)
    fr = y.sorted()
    c = y.cams[0].raw
    media = [i for i, f in enumerate(fr) if f[1][6:12] == c and len(f[1]) > 700]
    for i in media[5:-5]:
        if r.random() < 0.02:
            fr[i] = (fr[i][0] + 0.004, *fr[i][1:])
    y.frames = fr
    return y


@visit(
    "stream-leak",
    variants=[{"seed": 901, "way": "rtmp"}, {"seed": 903, "way": "rtsp"}],
    violations=None,
    also=("camera-phones-home",),
    severity={"stream-leak": "error"},
)
def camera_sends_its_picture_to_the_internet(seed: int, way: str) -> Yard:
    """cam1 opens RTMP (1935) to a public host, or SRT/UDP, or a viewer on the internet reads it by
    RTSP: the picture leaves the site."""
    y = well(seed, 2)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 56)
    c = y.cams[0]
    h = y.remote("203.0.113.99", router=y.camrouter)
    if way == "rtmp":
        k = y.tcp(c, h, 1935, rtt=0.03)
        t = k.open(5)
        t = k.say(t, b"\3" + bytes(1536))
        t = k.say(t, b"\3" + bytes(3072), False)
        t = k.say(t, bytes(1536))
        for n in range(150):
            t = k.say(max(t, 6 + n * 0.3), bytes(4000))
    elif way == "srt":
        for n in range(600):
            y.udp(
                5 + 0.08 * n,
                c,
                40111,
                h,
                9000,
                struct.pack("!IIII", n, 0xE0000000, n * 80000, 77) + bytes(1316),
            )
    else:
        stream(y, c, 5, 50, reader=h, transport="tcp", agent="VLC")
    return y


@visit(variants=[{"seed": 911}], violations=None, also=("camera-phones-home",))
def camera_keeps_its_makers_cloud_alive(seed: int) -> Yard:
    """cam1 sends small P2P keep-alives by UDP to its maker's servers (32 bytes each 10 s): it
    phones home; no picture leaves."""
    y = well(seed, 2, 80)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 76, delta=900)
    for n in range(8):
        for a in ("47.91.23.8", "3.122.7.19"):
            h = y.remote(a, router=y.camrouter)
            y.udp(2 + 9 * n, y.cams[0], 32100, h, 32100, b"\xf1\0\0\0" + bytes(28))
            y.udp(2.05 + 9 * n, h, 32100, y.cams[0], 32100, b"\xf1\1\0\x10" + bytes(16))
    return y


@visit(variants=[{"seed": 921}], also=())
def multicast_stream_with_a_querier(seed: int) -> Yard:
    """Multicast SETUP, IGMP join, a querier asks each 25 s and is answered: all works."""
    y = well(seed, 1, 100)
    c = y.cams[0]
    g = Host("01:00:5e:00:00:01", f"239.{seed % 200 + 1}.7.9")
    v = View(y, c, transport="mcast")
    v.group = g
    y.who(1, y.eth0, c)
    t = v.describe(1.1)
    t = v.setup(t)
    igmp(y, y.eth0, g, t)
    t = v.start(t + 0.01)
    v.film(t + 0.02, 96, delta=900)
    q = Host("00:1a:6c:00:00:01", y.camnet + "3")
    for n in range(4):
        m = b"\x11\x64\0\0\0\0\0\0"
        y.ip(
            5 + 25 * n,
            q,
            Host("01:00:5e:00:00:01", "224.0.0.1"),
            2,
            m[:2] + struct.pack("!H", csum(m)) + m[4:],
            ttl=1,
            df=False,
        )
        igmp(y, y.eth0, g, 7 + 25 * n)
    return y


@visit(
    "udp-blocked|multicast-no-querier|stream-frozen",
    variants=[{"seed": 931}],
    says={"*": "multicast|IGMP|group|239"},
    cameras={"cam2": "streaming"},
)
def multicast_does_not_cross_the_router(seed: int) -> Yard:
    """Multicast SETUP and PLAY are 200, the group's packets never come (the router forwards no
    multicast); cam2 plays by unicast."""
    y = well(seed, 2, 90)
    c = y.cams[0]
    g = Host("01:00:5e:00:00:01", f"239.{seed % 200 + 1}.7.9")
    stream(y, y.cams[1], 1.5, 86, delta=900)
    for n in range(5):
        v = View(y, c, transport="mcast")
        v.group = g
        y.who(1 + 17 * n, y.eth0, c)
        t = v.describe(1.1 + 17 * n)
        t = v.setup(t)
        igmp(y, y.eth0, g, t)
        t = v.start(t + 0.01)
        v.leave(t + 12)
        igmp(y, y.eth0, g, t + 12, 0x17)
    return y


@visit(
    variants=[{"seed": 941}],
    also=("rtsp-auth", "rtsp-lockout", "scan"),
    severity={"rtsp-auth": "warning", "rtsp-lockout": "warning"},
    cameras={"cam1": "streaming"},
    says={"*": r"\.178\b"},
)
def somebody_guesses_the_cameras_password(seed: int) -> Yard:
    """A PC of the site tries 40 passwords at cam1: all 401. The appliance plays. If said, of the
    PC."""
    y = well(seed, 1, 80)
    stream(y, y.cams[0], 1, 76, delta=900)
    for n in range(40):
        w = View(y, y.cams[0], reader=y.campc, agent="curl")
        t = w.describe(5 + 1.5 * n, refuse="401 Unauthorized")
        w.c.close(t + 0.01)
    return y


@visit(
    "stream-fps",
    variants=[{"seed": 951, "to": 8}, {"seed": 952, "to": 5}],
    says={"stream-fps": r"\b15\b"},
)
def pictures_get_fewer_than_declared(seed: int, to: Any) -> Yard:
    """The SDP says 15; after 25 s the overloaded camera sends 8 or 5 a second to the end (rightly
    stamped)."""
    y = well(seed, 2, 90)
    v = View(y, y.cams[0])
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    t = v.film(t + 0.02, 25)
    v.film(t, 86, fps=to)
    stream(y, y.cams[1], 1.5, 86)
    return y


@visit("receiver-slow", variants=[{"seed": 961}], cameras={"cam1": ".*"})
def appliance_closes_its_window(seed: int) -> Yard:
    """RTSP by TCP: the appliance's window falls to zero again and again for a second while the
    camera has more."""
    y = well(seed, 1, 80)
    c = y.cams[0]
    v = View(y, c, transport="tcp")
    y.who(1, y.eth0, c)
    t = v.play(1.1) + 0.02
    while t < 74:
        t = v.film(t, t + 4, delta=3000)
        v.c.seg(t, True, ACK, win=0)
        for k in range(3):
            v.c.seg(t + 0.25 * (k + 1), False, ACK, seq=v.c.a - 1)
            v.c.seg(t + 0.25 * (k + 1) + 0.0003, True, ACK, win=0)
        t += 1.1
        v.c.seg(t, True, ACK, win=502)
        v.ts += 99000
    return y


@visit(
    "loop|broadcast-storm",
    variants=[{"seed": 971, "open_": True}, {"seed": 972, "open_": False}],
    either=("loop",),
    also=("stream-loss", "stream-jitter"),
)
def loop_at_the_cameras_switch(seed: int, open_: Any) -> Yard:
    """Somebody closes a loop: one ARP question comes 1500 times a second for 8 s; then the cable is
    pulled (or the capture ends)."""
    y = well(seed, 1, 60 if not open_ else 30)
    stream(y, y.cams[0], 1, 56 if not open_ else 29, delta=900)
    s = 20
    for n in range(9 * 1500):
        y.arp(s + n / 1500, 1, y.campc, y.camnet + "9")
    return y


@visit(
    "stream-frozen|camera-unreachable|rtsp-silent|camera-reboot|rtsp-timeout",
    variants=[{"seed": 981}],
    cameras={"cam2": "(?!streaming).*", "cam1": "streaming"},
)
def camera_hangs_and_only_pings(seed: int) -> Yard:
    """cam2's encoder hangs: no RTP, TCP 554 is still accepted, no answer to OPTIONS; ARP and ping
    are answered."""
    y = well(seed, 2, 110)
    stream(y, y.cams[0], 1, 106, delta=900)
    c = y.cams[1]
    v = View(y, c)
    y.who(2, y.eth0, c)
    t = v.play(2.1)
    v.film(t + 0.02, 40, delta=900)
    for n in range(6):
        k = y.tcp(y.eth0, c, 554, rtt=0.001)
        t = 52 + 9 * n
        y.who(t - 0.1, y.eth0, c)
        t = k.open(t)
        k.say(t, f"OPTIONS {v.url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: LIVE555\r\n\r\n".encode())
        k.close(t + 8)
        y.icmp(t + 1, y.eth0, c, 8, 0, b"ping" * 9, 7 << 16 | n)
        y.icmp(t + 1.001, c, y.eth0, 0, 0, b"ping" * 9, 7 << 16 | n)
    return y


@visit(
    "camera-refused",
    variants=[{"seed": 991}],
    cameras={"cam1": "streaming"},
    never={"*": "no power|PoE"},
)
def rtsp_was_turned_off_by_an_update(seed: int) -> Yard:
    """After an update cam2 answers 554 with RST; its web page (80) answers a PC."""
    y = well(seed, 2, 90)
    stream(y, y.cams[0], 1, 86, delta=900)
    c = y.cams[1]
    for n in range(8):
        k = y.tcp(y.eth0, c, 554, rtt=0.001)
        y.who(2 + 10 * n, y.eth0, c)
        k.seg(2.1 + 10 * n, True, SYN)
        k.q += 1
        k.seg(2.101 + 10 * n, False, RST | ACK, seq=0)
    k = y.tcp(y.campc, c, 80, rtt=0.001)
    t = k.open(15)
    t = k.say(t, b"GET / HTTP/1.1\r\nHost: c\r\n\r\n")
    k.say(t, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False)
    return y


@visit(
    "stream-camera-drop|stream-loss",
    variants=[{"seed": 1001}],
    says={"stream-camera-drop": "camera"},
    never={"stream-camera-drop": "cable"},
)
def gaps_in_the_numbers_over_tcp(seed: int) -> Yard:
    """Over TCP without one lost segment, the RTP numbers skip 1 to 8 in every third second: the
    camera left them out itself."""
    y = well(seed, 1, 70)
    c = y.cams[0]
    v = View(y, c, transport="tcp")
    y.who(1, y.eth0, c)
    t = v.play(1.1) + 0.02
    while t < 66:
        t = v.film(t, t + 3, delta=2500, gop=3)
        v.seq += 1 + int(t) % 8
    return y


@visit(variants=[{"seed": 1011}])
def hours_of_twenty_seconds_each_camera_by_tcp_without_reports(seed: int) -> Yard:
    """Four cameras of four makes by TCP, no RTCP at all, keep-alives by OPTIONS: all well."""
    y = Yard(seed, cams=4)
    y.well(50)
    for n, c in enumerate(y.cams):
        stream(
            y,
            c,
            1 + n,
            46,
            transport="tcp",
            sr=False,
            rr=False,
            keep="OPTIONS",
            timeout=20,
            delta=900,
        )
    return y
