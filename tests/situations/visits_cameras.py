"""What a technician met at cameras: makes, logins, addresses, restarts, odd but sound dialogues."""

from __future__ import annotations

import random
from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import SDP, View, stream
from tests.situations.yard_tcp import ACK, PSH, RST, SYN


def well(seed: int, cams: int = 2, end: float = 60) -> Yard:
    """A site whose cloud is well, for what happens to its cameras."""
    y = Yard(seed, cams=cams)
    y.well(end)
    return y


@visit(
    "stream-codec",
    variants=[{"seed": 501, "codec": "H265"}, {"seed": 502, "codec": "JPEG"}],
    says={"stream-codec": "H.?265|JPEG"},
)
def camera_offers_another_codec_only(seed: int, codec: str) -> Yard:
    """cam2's SDP offers H.265 or JPEG alone; the appliance looks at it, leaves and comes again
    every 15 s."""
    y = well(seed)
    stream(y, y.cams[0], 1, 56)
    pt = 26 if codec == "JPEG" else 98
    sdp = (
        SDP.format(n=1, ip=y.cams[1].ip, base="*")
        + f"m=video 0 RTP/AVP {pt}\r\na=rtpmap:{pt} {codec}/90000\r\na=control:track1\r\n"
    )
    for n in range(4):
        v = View(y, y.cams[1], sdp=sdp)
        y.who(2 + 15 * n, y.eth0, y.cams[1])
        t = v.describe(2.1 + 15 * n)
        v.c.close(t + 0.01)
    return y


@visit(variants=[{"seed": 511}])
def main_stream_h265_is_offered_beside_h264(seed: int) -> Yard:
    """The SDP offers H.264 first and H.265 as second track; the appliance plays H.264."""
    y = well(seed, 1)
    v = View(y, y.cams[0])
    v.sdp = v.text() + "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:trackID=2\r\n"
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    v.film(t + 0.02, 56)
    return y


@visit(
    variants=[
        {"seed": 521, "auth": "sha256", "server": "Hipcam RealServer/V1.0"},
        {"seed": 522, "auth": "digest", "server": "H264DVR 1.0"},
        {"seed": 523, "auth": "none", "server": "GStreamer RTSP server"},
        {"seed": 524, "auth": "digest", "server": "TP-LINK Streaming Media v2015.05.12"},
    ]
)
def makes_and_their_logins(seed: int, auth: str, server: Any) -> Yard:
    """SHA-256 digests, digests, no login at all: the picture plays."""
    y = well(seed)
    stream(y, y.cams[0], 1, 56, auth=auth, server=server, path="/ch0_0.h264")
    stream(
        y,
        y.cams[1],
        2,
        56,
        auth=auth,
        server=server,
        path="/cam/realmonitor?channel=1&subtype=0",
        transport="tcp",
    )
    return y


@visit(
    "cleartext",
    variants=[{"seed": 531}],
    says={"cleartext": "Basic|password"},
    severity={"cleartext": "warning"},
)
def basic_login_in_clear(seed: int) -> Yard:
    """The camera asks for Basic; the appliance sends the password in clear (base64). The picture
    plays."""
    y = well(seed)
    stream(y, y.cams[0], 1, 56, auth="basic")
    stream(y, y.cams[1], 2, 56, auth="digest")
    return y


@visit(variants=[{"seed": 541}])
def line_feeds_alone_end_the_lines(seed: int) -> Yard:
    """The camera ends its header lines with LF alone."""
    y = well(seed)
    stream(y, y.cams[0], 1, 56, eol="\n")
    stream(y, y.cams[1], 2, 56, eol="\n", transport="tcp")
    return y


@visit(
    variants=[
        {"seed": 551, "port": 7447},
        {"seed": 552, "port": 8554},
        {"seed": 553, "port": 10554},
    ]
)
def rtsp_on_another_port(seed: int, port: int) -> Yard:
    """RTSP on 7447, 8554 or 10554, as the site file's URL says."""
    y = well(seed)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 56, port=port, transport=["udp", "tcp"][n])
    y.sitetext = y.site(urls={c.name: f"rtsp://{c.ip}:{port}/live" for c in y.cams})
    return y


@visit(variants=[{"seed": 561}])
def udp_is_refused_and_tcp_is_taken(seed: int) -> Yard:
    """SETUP by UDP is answered 461; the appliance asks for TCP in the same session, and the picture
    plays."""
    y = well(seed, 1)
    v = View(y, y.cams[0])
    y.who(1, y.eth0, y.cams[0])
    t = v.describe(1.1)
    t = v.setup(t, "461 Unsupported transport")
    v.transport = "tcp"
    t = v.start(v.setup(t))
    v.film(t + 0.02, 56)
    return y


@visit(variants=[{"seed": 571}])
def keep_alive_not_implemented_but_harmless(seed: int) -> Yard:
    """GET_PARAMETER is answered 501 / 451, the RTCP reports keep the session: the picture plays
    beyond the time-out."""
    y = Yard(seed, cams=1)
    y.well(110)
    v = View(y, y.cams[0], timeout=30, keep=None)
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    v.film(t + 0.02, 105, gop=4, key=3000, delta=700)
    for n in range(8):
        v.ask(
            12.021 + 12 * n,
            "GET_PARAMETER",
            more=f"Session: {v.session}\r\n",
            status=["501 Not Implemented", "451 Parameter Not Understood"][seed % 2],
        )
    return y


@visit(variants=[{"seed": 581}])
def session_is_paused_by_the_application(seed: int) -> Yard:
    """The application sends PAUSE, nothing comes for 25 s, PLAY again: no fault."""
    y = Yard(seed, cams=1)
    y.well(80)
    v = View(y, y.cams[0])
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    v.film(t + 0.02, 25)
    t = v.ask(25.05, "PAUSE", more=f"Session: {v.session}\r\n", reply=f"Session: {v.session}\r\n")
    v.ts += 90000 * 25
    t = v.start(50)
    v.film(t + 0.02, 76)
    return y


@visit(variants=[{"seed": 591}])
def application_plays_by_turns(seed: int) -> Yard:
    """The application reads each camera for 20 s by turns, with TEARDOWN each time: no fault, no
    camera is off."""
    y = Yard(seed, cams=3)
    y.well(130)
    for n in range(6):
        c = y.cams[n % 3]
        v = View(y, c)
        y.who(1 + 20 * n, y.eth0, c)
        t = v.play(1.1 + 20 * n)
        v.film(t + 0.02, 19 + 20 * n, gop=4, delta=900)
        v.leave(19.1 + 20 * n)
    return y


@visit(
    "ip-conflict",
    variants=[{"seed": 601}],
    says={"ip-conflict": r"\.108\b"},
    also=("camera-unreachable", "stream-frozen", "stream-loss", "rtsp-silent", "stream-restart"),
)
def two_cameras_have_one_address(seed: int) -> Yard:
    """A new camera was given cam2's address: each ARP question is answered by both; the new one
    answers RST to the other's session, the picture stops."""
    y = well(seed, 2, 90)
    stream(y, y.cams[0], 1, 86)
    c = y.cams[1]
    two = Host("00:12:31:44:55:66", c.ip)
    v = View(y, c)
    y.who(2, y.eth0, c)
    t = v.play(2.1)
    v.film(t + 0.02, 40)
    y.arp(38, 1, two, c.ip)
    y.arp(38.9, 1, two, c.ip)
    y.arp(39, 2, c, c.ip, to=two.mac)
    for n in range(16):
        t = 40 + 3 * n
        y.arp(t, 1, y.eth0, c.ip)
        y.arp(t + 0.0004, 2, c, y.eth0.ip, to=y.eth0.mac)
        y.arp(t + 0.0007, 2, two, y.eth0.ip, to=y.eth0.mac)
        k = y.tcp(y.eth0, two, 554, rtt=0.001)
        k.seg(t + 0.01, True, SYN)
        k.q += 1
        k.seg(t + 0.011, False, RST | ACK, seq=0)
    return y


@visit(
    "camera-unreachable",
    variants=[{"seed": 611}],
    says={"camera-unreachable": "cam2"},
    never={"*": "conflict"},
    cameras={"cam1": "streaming"},
)
def camera_got_another_address_by_dhcp(seed: int) -> Yard:
    """cam2 restarts and gets another address; the appliance goes on asking for the old one by ARP.
    The same MAC is heard at the new address."""
    y = well(seed, 2, 120)
    stream(y, y.cams[0], 1, 116, delta=900)
    c = y.cams[1]
    new = c.at(y.camnet + "222")
    v = View(y, c)
    y.who(2, y.eth0, c)
    t = v.play(2.1)
    v.film(t + 0.02, 30)
    srv = Host("00:0c:29:aa:bb:01", y.camnet + "2")
    y.lease(55, new, srv, y.camrouter.ip, y.camrouter.ip)
    y.arp(56, 1, new, new.ip)
    y.arp(58, 1, new, y.camrouter.ip)
    for n in range(30):
        y.arp(36 + 2.6 * n, 1, y.eth0, c.ip)
    for n in range(6):
        y.arp(60 + 9 * n, 1, new, y.camrouter.ip)
        y.arp(60.001 + 9 * n, 2, y.camrouter, new.ip, to=new.mac)
    for d in (0, 1, 2, 4):
        v.c.seg(31 + d, True, ACK | PSH, b"GET_PARAMETER " + v.url.encode() + b" RTSP/1.0\r\n\r\n")
    return y


@visit(
    "rtsp-not-found",
    variants=[{"seed": 621}],
    also=("camera-unreachable",),
    cleared=("camera-unreachable",),
    cameras={"cam1": "streaming"},
)
def camera_was_replaced_by_another_make(seed: int) -> Yard:
    """cam2's place is taken by another make with the same address (another MAC, the old one is
    never heard again); it does not know the path: 404 at each try."""
    y = well(seed, 2, 120)
    stream(y, y.cams[0], 1, 116, delta=900)
    c = y.cams[1]
    v = View(y, c)
    y.who(2, y.eth0, c)
    t = v.play(2.1)
    v.film(t + 0.02, 20)
    new = Host("00:40:8c:12:34:99", c.ip, name="cam2")
    for n in range(8):
        y.arp(22 + 2 * n, 1, y.eth0, c.ip)
    for n in range(2):
        y.arp(50 + n, 1, new, new.ip)
    for n in range(6):
        y.who(54 + 10 * n, y.eth0, new)
        w = View(y, new, server="New Maker 1.0")
        t = w.describe(54.1 + 10 * n, refuse="404 Not Found")
        w.c.close(t + 0.01)
    return y


@visit(
    "camera-reboot",
    variants=[{"seed": 631, "n": 2}, {"seed": 632, "n": 3}],
    also=("stream-frozen", "camera-unreachable"),
    either=("camera-reboot", "stream-frozen", "camera-unreachable"),
)
def cameras_restart_together_when_it_gets_dark(seed: int, n: int) -> Yard:
    """When the infrared lamps go on the PoE budget is not enough: two of three cameras lose power
    at one moment, start for 35 s (ARP announcements, DHCP) and play again; once more a minute
    later. The third plays on."""
    y = Yard(seed, cams=3)
    y.well(210)
    stream(y, y.cams[0], 1, 209, gop=4, key=2500, delta=500)
    srv = Host("00:0c:29:aa:bb:01", y.camnet + "2")
    for c in y.cams[1:]:
        t = 2
        for k in range(n):
            y.who(t, y.eth0, c)
            v = View(y, c)
            t = v.play(t + 0.1)
            v.film(t + 0.02, 50 * (k + 1) + 10 * k, gop=4, key=2500, delta=500)
            off = 50 * (k + 1) + 10 * k
            for j in range(6):
                v.c.seg(off + 1 + 2 * j, True, ACK | PSH, b"GET_PARAMETER * RTSP/1.0\r\n\r\n")
            for j in range(8):
                y.arp(off + 14 + 2 * j, 1, y.eth0, c.ip)
            y.lease(off + 33, c, srv, y.camrouter.ip, y.camrouter.ip)
            t = off + 37
        y.who(t, y.eth0, c)
        v = View(y, c)
        t = v.play(t + 0.1)
        v.film(t + 0.02, 209, gop=4, key=2500, delta=500)
    return y


@visit(
    "stream-bitrate",
    variants=[{"seed": 641, "scale": 1}, {"seed": 642, "scale": 1.4}],
    says={"stream-bitrate": "Mb"},
)
def night_noise_makes_the_stream_heavy(seed: int, scale: float) -> Yard:
    """At night the sensor's noise triples the bit rate: 3 Mb/s, then 11 to 15 Mb/s for 20 s to the
    end."""
    y = well(seed, 1, 40)
    v = View(y, y.cams[0], fps=25)
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    t = v.film(t + 0.02, 12, delta=12000, key=40000, gop=2)
    v.film(t, 38, delta=int(56000 * scale), key=int(120000 * scale), gop=2)
    return y


@visit(variants=[{"seed": 651}], also=("stream-jitter",))
def infrared_filter_moves(seed: int) -> Yard:
    """When the filter moves the camera sends nothing for 1.2 s: no finding."""
    y = well(seed, 1)
    stream(y, y.cams[0], 1, 56, gaps=((20, 21.2), (41, 42.2)))
    return y


@visit(
    "stream-frozen",
    variants=[{"seed": 661, "gap": 8}, {"seed": 662, "gap": 14}],
    cleared=("stream-frozen",),
)
def stream_stops_while_reports_go_on(seed: int, gap: float) -> Yard:
    """No picture for 8 or 14 s, reports and answers of the camera go on, then pictures again."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, gaps=((20, 20 + gap),))
    stream(y, y.cams[1], 1.5, 56)
    return y


@visit(
    "stream-gop",
    variants=[{"seed": 671, "gop": 15}, {"seed": 672, "gop": 24}],
    says={"stream-gop": r"\d+ ?s"},
)
def smart_codec_with_long_gops(seed: int, gop: float) -> Yard:
    """A smart codec sends a key frame each 15 or 24 s."""
    y = well(seed, 1, 110)
    stream(y, y.cams[0], 1, 106, gop=gop, delta=700)
    return y


@visit(
    "stream-loss",
    variants=[{"seed": 681, "p": 0.006}, {"seed": 682, "p": 0.03}],
    says={"stream-loss": "%"},
    cameras={"cam1": "streaming"},
)
def one_camera_loses_packets(seed: int, p: float) -> Yard:
    """cam2 loses 0.6 or 3 % at random, cam1 (the same switch) nothing."""
    y = well(seed, 2, 80)
    r = random.Random(seed)
    stream(y, y.cams[0], 1, 76, delta=2500)
    stream(y, y.cams[1], 1.5, 76, delta=2500, lose=lambda t, s: r.random() < p)
    return y


@visit(
    "stream-loss|loss-shared",
    variants=[{"seed": 691, "n": 3}, {"seed": 692, "n": 4}],
    also=("loss-shared", "loss-bursts", "loss-together"),
)
def all_cameras_lose_in_the_same_moments(seed: int, n: int) -> Yard:
    """All cameras lose what falls into the same 80 ms each 5 s: their common uplink."""
    y = well(seed, n, 70)
    for i, c in enumerate(y.cams):
        stream(y, c, 1 + 0.3 * i, 66, delta=2500, fps=25, lose=lambda t, s: t % 5 < 0.09)
    return y


@visit("stream-restart", variants=[{"seed": 701}], either=("stream-restart",))
def encoder_restarts_without_a_word(seed: int) -> Yard:
    """In the middle of a session SSRC, numbers and time begin anew, twice, without any PLAY; 1.4 s
    without pictures each time."""
    y = well(seed, 1, 70)
    v = View(y, y.cams[0])
    y.who(1, y.eth0, y.cams[0])
    t = v.play(1.1)
    for n in range(3):
        t = v.film(t, 22 * (n + 1))
        t += 1.4
        v.ssrc, v.seq, v.ts = y.r.randrange(1 << 32), y.r.randrange(1 << 16), y.r.randrange(1 << 32)
    return y


@visit("stream-jitter", variants=[{"seed": 711, "d": 0.25}, {"seed": 712, "d": 0.5}])
def pictures_come_in_heaps(seed: int, d: float) -> Yard:
    """A wireless bridge lets pictures come late by up to a quarter or half a second, then several
    at once, all the time; nothing is lost."""
    y = well(seed, 2, 70)
    stream(y, y.cams[0], 1, 66)
    stream(y, y.cams[1], 1.5, 66, late=lambda t, n: d - (t % d))
    return y


@visit(variants=[{"seed": 721, "off": 7200}, {"seed": 722, "off": -3.0e7}], info=("camera-clock",))
def cameras_reports_carry_another_time(seed: int, off: float) -> Yard:
    """cam1's sender reports give local time as UTC (2 h), or last year's date."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, off=off)
    stream(y, y.cams[1], 1.5, 56)
    return y


@visit(variants=[{"seed": 731}])
def reports_without_any_time(seed: int) -> Yard:
    """The camera has no wall clock: NTP time 0 in its sender reports, as RFC 3550 allows."""
    y = well(seed, 2)
    stream(y, y.cams[0], 1, 56, zero=True)
    stream(y, y.cams[1], 1.5, 56, zero=True, transport="tcp")
    return y


@visit(
    "udp-blocked",
    variants=[{"seed": 741}],
    cameras={"cam1": "streaming"},
    says={"udp-blocked": "UDP|media"},
)
def media_of_one_camera_never_arrive(seed: int) -> Yard:
    """cam2: SETUP and PLAY are 200, no RTP; the appliance gives up after 12 s with TEARDOWN, again
    and again. cam1 plays by UDP."""
    y = well(seed, 2, 100)
    stream(y, y.cams[0], 1, 96, delta=900)
    for n in range(6):
        v = View(y, y.cams[1])
        y.who(2 + 16 * n, y.eth0, y.cams[1])
        t = v.play(2.1 + 16 * n)
        v.leave(t + 12)
    return y


@visit(
    variants=[{"seed": 751}],
    also=("udp-blocked",),
    cleared=("udp-blocked",),
    either=("udp-blocked",),
    cameras={"cam2": "streaming"},
)
def udp_fails_once_and_tcp_takes_over(seed: int) -> Yard:
    """cam2: PLAY by UDP brings nothing for 10 s; by TCP it plays to the end."""
    y = well(seed, 2, 100)
    stream(y, y.cams[0], 1, 96, delta=900)
    v = View(y, y.cams[1])
    y.who(2, y.eth0, y.cams[1])
    t = v.play(2.1)
    v.leave(t + 10)
    stream(y, y.cams[1], 14, 96, transport="tcp", delta=900)
    return y


@visit(variants=[{"seed": 761}])
def camera_sends_by_multicast_and_is_asked_for_its_description(seed: int) -> Yard:
    """cam2's multicast is older than the capture; the appliance asks for its description each
    30 s and leaves. It has the picture: no fault."""
    y = well(seed, 2, 160)
    stream(y, y.cams[0], 1, 156, delta=900)
    v = View(y, y.cams[1], transport="mcast")
    v.group = Host("01:00:5e:01:02:03", "239.1.2.3")
    v.film(3, 156, delta=900, keep=False, rr=False, sr=False)
    for n in range(5):
        w = View(y, y.cams[1])
        y.who(10 + 30 * n, y.eth0, y.cams[1])
        t = w.describe(10.1 + 30 * n)
        w.c.close(t + 0.01)
    return y


@visit(
    "rtsp-unfinished",
    variants=[{"seed": 771}],
    says={"rtsp-unfinished": r"appliance \(eth0\) ends each connection after DESCRIBE .*9 times"},
    cameras={"cam1": "streaming"},
)
def reader_that_played_leaves_before_play_since_then(seed: int) -> Yard:
    """cam2 plays for 20 s; then the appliance asks for its description each 15 s and leaves."""
    y = well(seed, 2, 170)
    stream(y, y.cams[0], 1, 166, delta=900)
    v = View(y, y.cams[1])
    y.who(1, y.eth0, y.cams[1])
    t = v.play(1.1)
    v.leave(v.film(t + 0.02, 20) + 0.1)
    for n in range(9):
        w = View(y, y.cams[1])
        y.who(30 + 15 * n, y.eth0, y.cams[1])
        t = w.describe(30.1 + 15 * n)
        w.c.close(t + 0.01)
    return y


@visit(
    "rtsp-unfinished",
    variants=[{"seed": 781}],
    says={"rtsp-unfinished": r"/sub after SETUP without .*; it plays another stream"},
    severity={"rtsp-unfinished": "warning"},
    cameras={"cam1": "streaming", "cam2": "streaming"},
)
def second_stream_of_a_camera_never_plays(seed: int) -> Yard:
    """cam2's main stream plays; the appliance sets its second stream up, and leaves before PLAY."""
    y = well(seed, 2, 130)
    stream(y, y.cams[0], 1, 126, delta=900)
    stream(y, y.cams[1], 1.5, 126, delta=900, path="/main")
    for n in range(7):
        w = View(y, y.cams[1], path="/sub")
        t = w.setup(w.describe(10.1 + 15 * n))
        w.c.close(t + 0.01)
    return y


@visit(variants=[{"seed": 791, "until": 126}, {"seed": 792, "until": 110}])
def camera_is_probed_while_it_plays(seed: int, until: float) -> Yard:
    """The appliance plays cam2, and asks for the same description each 15 s; variant 2 ends with
    TEARDOWN soon after the last of them."""
    y = well(seed, 2, 130)
    stream(y, y.cams[0], 1, 126, delta=900)
    v = stream(y, y.cams[1], 1.5, until, delta=900)
    for n in range(7):
        w = View(y, y.cams[1])
        t = w.describe(10.1 + 15 * n)
        w.c.close(t + 0.01)
    if until < 120:
        v.leave(until + 0.1)
    return y


@visit(variants=[{"seed": 801}])
def computer_asks_a_time_server_that_is_wrong(seed: int) -> Yard:
    """The appliance's time server and the camera are right. A computer asks another server, which
    is 40 s ahead: nothing is said of the camera."""
    y = Yard(seed, cams=1)
    stream(y, y.cams[0], 1, 120, delta=900)
    plant = Host("00:0c:29:65:43:21", y.net + "88")
    computer = Host("00:0c:29:65:43:22", y.net + "89")
    for n in range(4):
        y.ntp(10 + 28 * n)
        y.ntp(13 + 28 * n, server=plant, client=computer, off=40.0, soff=40.0)
    return y


@visit(variants=[{"seed": 811}], info=("camera-clock",))
def camera_and_a_computer_follow_a_wrong_time_server(seed: int) -> Yard:
    """The camera is 40 s ahead, as the server of a computer. The appliance's server is right."""
    y = Yard(seed, cams=1)
    stream(y, y.cams[0], 1, 120, delta=900, off=40.0)
    plant = Host("00:0c:29:65:43:21", y.net + "88")
    computer = Host("00:0c:29:65:43:22", y.net + "89")
    for n in range(4):
        y.ntp(10 + 28 * n)
        y.ntp(13 + 28 * n, server=plant, client=computer, off=40.0, soff=40.0)
    return y
