"""What people report of pictures: frozen, smeared, jerky, late, too heavy, or gone for a while."""

from __future__ import annotations

import random
import struct

from tests.situations.stack import Host
from tests.situations.stack_camera import FILLER, Play, stream
from tests.situations.stack_day import light, works
from tests.situations.stack_tcp import ACK
from tests.situations.visit import visit

SMALL = {"key": 2600, "delta": 420}


def site(seed, end, cams=2, well=(1,), **more):
    s = works(seed, end, cams=cams, streams=False, **more)
    light(s, 0.6, end, which=well)
    return s


def play(s, at, n=0, fps=5.0, **more):
    return Play(s, s.cams[n], fps=fps, **more).play(at)


@visit(
    "stream-frozen",
    says={"stream-frozen": r"\d s"},
    never={"*": "reboot"},
    cameras={"cam1": "streaming.*"},
    either=("stream-frozen",),
)
def picture_stands_each_time_the_camera_turns():
    """A PTZ camera sends nothing for 3.4 s each time it drives to a preset, four times; nothing
    else is wrong."""
    s = site(401, 60)
    p = play(s, 1)
    p.film(p.t + 0.02, 60, gaps=((10, 13.4), (22, 25.4), (34, 37.4), (46, 49.4)), **SMALL)
    return s


@visit("stream-loss|stream-burst", says={"*": r"\d"}, never={"*": "camera drop|encoder"})
def last_packets_of_each_key_frame_are_lost_at_a_small_switch():
    """Key frames of 40 packets come at line rate; the switch's buffer takes 30 of them: the last
    ten are lost, of each key frame. Small pictures are whole."""
    s = site(402, 46)
    p = Play(s, s.cams[0], fps=8.0).play(1)
    frame = {"first": 0}

    def tail(t, n):
        if t != frame.get("t"):
            frame["t"], frame["first"] = t, n
        return n - frame["first"] >= 30

    p.film(p.t + 0.02, 46, key=55000, delta=500, lose=tail)
    return s


@visit("stream-loss", also=("stream-jitter",), says={"stream-loss": r"\d(\.\d)? ?%"})
def powerline_link_loses_in_heaps():
    """Twice a minute the powerline link loses everything for 300 ms; between, all is well."""
    s = site(403, 70)
    p = play(s, 1, fps=10.0)
    p.film(p.t + 0.02, 70, lose=lambda t, n: t % 13 < 0.3, key=4000, delta=1800)
    return s


@visit("stream-jitter", never={"*": "clock|encoder restarted"}, cameras={"cam1": "streaming.*"})
def pictures_come_in_heaps_over_a_sleeping_radio():
    """A camera on Wi-Fi whose access point holds frames for up to 400 ms: the time stamps are
    even, the arrivals are not, nothing is lost."""
    s = site(404, 50)
    p = play(s, 1, fps=10.0)
    p.film(p.t + 0.02, 50, late=lambda t: (0.4 - (t % 0.4)) * 0.98, key=3000, delta=900)
    return s


@visit(info=("camera-clock",))
def reports_of_the_camera_carry_1970():
    """The camera's clock stands in 1970: its sender reports say so. The picture is fine."""
    s = site(405, 40)
    p = play(s, 1)
    p.film(p.t + 0.02, 40, off=-56 * 365.25 * 86400, **SMALL)
    return s


@visit(
    "stream-fps",
    says={"stream-fps": r"\b5(\.\d)?\b.*\b12"},
    cameras={"cam1": "streaming.*"},
    never={"*": "network|lost"},
)
def rate_halves_when_the_light_goes_out():
    """A camera set to 12 pictures a second gives 5 from 20 s on: its shutter is slower in the
    dark."""
    s = site(408, 60)
    p = play(s, 1, fps=12.0)
    p.film(p.t + 0.02, 20, **SMALL)
    p.film(20, 60, fps=5.0, **SMALL)
    return s


@visit("stream-gop", says={"stream-gop": r"\d"}, cameras={"cam1": "streaming.*"})
def smart_coding_lets_key_frames_wait_for_16_seconds():
    """A key frame each 16 s."""
    s = site(409, 70)
    p = play(s, 1)
    p.film(p.t + 0.02, 70, gop=16, **SMALL)
    return s


@visit(
    "receiver-slow",
    says={"receiver-slow": "appliance|eth0"},
    never={"*": "camera.*(drop|restart)"},
    cameras={"cam1": "streaming.*"},
)
def appliance_stops_reading_for_seconds():
    """Over TCP: the appliance's window shrinks to zero for 3 s, three times; the camera probes it
    at 0.2, 0.4, 0.8, 1.6 s, then all goes on. Nothing is missing."""
    s = site(410, 60)
    p = Play(s, s.cams[0], fps=5.0, udp=False).play(1)
    t = p.t + 0.02
    for stop in (14, 30, 46):
        p.film(t, stop, keep=None, **SMALL)
        c = p.c
        at = max(c.t, stop)
        for k, size in enumerate((300, 120, 40, 0)):
            c.seg(at + 0.01 * k, 0, ACK, win=size)
        c.due = [None, None]
        wait, q = 0.21, at + 0.03
        for _ in range(4):
            q += wait
            c.seg(q, 1, ACK, seq=c.seq[1] - 1)
            c.seg(q + 0.0004, 0, ACK, win=0)
            wait *= 2
        c.seg(at + 3.3, 0, ACK, win=501)
        c.t = at + 3.31
        t = at + 3.32
    p.film(t, 60, keep=None, **SMALL)
    return s


@visit("stream-camera-drop", never={"*": "on the way|switch"}, also=("stream-loss",))
def overloaded_camera_leaves_out_packets_over_tcp():
    """Over TCP, whose numbers are whole, RTP numbers are missing: one in thirty, all over the
    time."""
    s = site(411, 60)
    p = Play(s, s.cams[0], fps=8.0, udp=False).play(1)
    r = random.Random(4)
    film = p.picture

    def gaps(size, key=False, sets=True):
        packets = film(size, key, sets)
        return [d for d in packets if r.random() > 0.035] or packets[:1]

    p.picture = gaps
    p.film(p.t + 0.02, 60, key=5000, delta=1200)
    return s


@visit(
    "stream-frozen",
    also=("stream-codec",),
    says={"stream-frozen": "video|picture|packets"},
    cameras={"cam1": ".*"},
)
def only_the_sound_comes_from_20_s_on():
    """Video stops, audio and reports go on: the encoder hangs."""
    s = site(413, 50)
    p = play(s, 1, audio=True)
    p.film(p.t + 0.02, 20, **SMALL)
    t = 20.0
    while t < 50:
        head = struct.pack("!BBHII", 0x80, 8, p.aseq & 0xFFFF, p.ats & 0xFFFFFFFF, p.assrc)
        p.send(t, 2, head + FILLER[:320])
        p.aseq += 1
        p.ats += 320
        t += 0.04
    return s


@visit(
    "stream-jitter|stream-frozen",
    also=("stream-jitter", "slow-uplink"),
    never={"*": "camera drop"},
    cameras={"cam1": "streaming.*"},
    either=("stream-frozen", "stream-jitter"),
)
def bad_cable_makes_tcp_repeat_and_pictures_late():
    """Over TCP one segment in twelve is lost and comes 220 to 700 ms later; the numbers are
    whole, the pictures late."""
    s = site(414, 50)
    p = Play(s, s.cams[0], fps=10.0, udp=False, rtt=0.002).play(1)
    r = random.Random(8)
    send = p.c.send

    def lossy(who, data, at=None, **more):
        if who == 1 and len(data) > 300 and r.random() < 0.12:
            t = send(who, data, at, lost={0})
            if r.random() < 0.5:
                p.c.t = t = t + 0.45
            return t
        return send(who, data, at, **more)

    p.c.send = lossy
    p.film(p.t + 0.02, 50, key=3000, delta=900)
    return s


@visit(
    "loss-shared|stream-loss",
    says={"*": "cam1, cam2"},
    never={"*": "camera itself"},
    cameras={"cam3": "streaming.*"},
)
def two_cameras_behind_one_switch_lose_and_the_third_does_not():
    """Both cameras behind the far switch lose 2 % in the same moments; the third, elsewhere,
    nothing."""
    s = works(415, 60, cams=3, streams=False)
    bursts = [(t, t + 0.25) for t in range(6, 58, 7)]
    for n in (0, 1):
        p = Play(s, s.cams[n], fps=10.0).play(0.8 + n * 0.2)
        p.film(
            p.t + 0.02,
            60,
            key=3000,
            delta=900,
            lose=lambda t, k: any(a <= t < b for a, b in bursts),
        )
    light(s, 0.6, 60, which=(2,))
    return s


@visit(info=("stream-multi-reader",))
def wall_of_screens_reads_the_camera_too():
    """Two office computers read the same camera beside the appliance; all streams are whole."""
    s = works(417, 40)
    for n in range(2):
        viewer = Host(
            f"3c:52:82:77:00:{n:02x}", s.camnet + str(160 + n), "windows", name=f"wall{n}"
        )
        stream(s, s.cams[0], 4 + n, 40, reader=viewer, fps=5.0, agent="LibVLC/3.0.18", **SMALL)
    return s


@visit("udp-blocked", says={"udp-blocked": "UDP"}, cameras={"cam2": "streaming.*"})
def firewall_between_drops_all_media_of_the_far_cameras():
    """The dialogue passes the router, the media do not: PLAY 200, no packet, the reader leaves
    after 10 s; four times. The near camera streams over UDP."""
    s = site(419, 70)
    for n in range(4):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 15).describe().setup(1)
        p.start()
        p.teardown(p.c.t + 10)
    return s


@visit(
    "stream-loss", cleared=("stream-loss",), cameras={"cam1": "streaming.*"}, never={"*": "still"}
)
def loss_of_ten_minutes_ago_is_over():
    """30 s of 5 % loss, then two minutes without."""
    s = site(421, 150, well=())
    p = play(s, 1)
    r = random.Random(6)
    p.film(p.t + 0.02, 150, lose=lambda t, n: 8 < t < 38 and r.random() < 0.06, **SMALL)
    return s


@visit(
    "stream-timestamps",
    says={"stream-timestamps": r"\d"},
    cameras={"cam1": "streaming.*"},
    also=("stream-fps",),
    either=("stream-fps",),
)
def stamps_say_12_and_10_are_sent():
    """Stamps advance by a twelfth of a second while ten pictures a second come: recordings run
    short."""
    s = site(422, 60)
    p = play(s, 1, fps=10.0, rate=12.5)
    p.film(p.t + 0.02, 60, stamp=0.8, **SMALL)
    return s


@visit("cameras-silent", cleared=("cameras-silent",), never={"*": "appliance cannot"})
def uplink_of_a_far_switch_goes_away_for_25_seconds():
    """Both cameras of the far switch stop in the same moment and go on in the same moment, with the
    numbers of packets that were sent meanwhile missing."""
    s = works(423, 70, cams=3, streams=False)
    for n in (0, 1):
        p = Play(s, s.cams[n], fps=5.0).play(0.8 + n * 0.2)
        p.film(p.t + 0.02, 70, lose=lambda t, k: 20 < t < 45, sr=None, keep=None, **SMALL)
    light(s, 0.6, 70, which=(2,))
    return s
