"""Two things at once, one of them an address, a neighbour, a switch or a person with a laptop."""

from __future__ import annotations

import random

from tests.situations.pairs_kit import (
    bare,
    ground,
    knocks,
    laptop,
    live,
    logins,
    silent,
    ssh,
    vlc,
    web,
)
from tests.situations.stack import Host, Site
from tests.situations.stack_camera import Play
from tests.situations.stack_day import cloud, https, times
from tests.situations.stack_names import dhcp, lease, look, ntp, option
from tests.situations.stack_noise import noise, six
from tests.situations.stack_tcp import SYN, Conn
from tests.situations.visit import visit


@visit(
    "ip-conflict",
    says={"ip-conflict": "of camera cam1"},
    also=("camera-refused", "stream-frozen"),
    either=("camera-refused", "stream-frozen"),
)
def printer_takes_the_address_of_camera_1():
    """At 30 s a printer with camera 1's address is plugged in. Both answer ARP; the appliance now
    and then speaks to the printer, which resets 554. The camera's session breaks."""
    s = ground(932, 100)
    thief = Host("00:1b:a9:77:12:03", s.cams[0].ip, "embedded")
    live(s, s.cams[0], 1, 34)
    for n in range(3):
        s.arp(30 + n, 1, thief, thief.ip, says="0.0.0.0")
    s.announce(33, thief)
    s.arp(33.2, 2, s.cams[0], s.cams[0].ip)
    t = 38.0
    while t < 99:
        s.arp(t, 1, s.eth0, s.cams[0].ip)
        s.arp(t + 0.0004, 2, s.cams[0], s.eth0.ip, to=s.eth0.mac)
        s.arp(t + 0.0009, 2, thief, s.eth0.ip, to=s.eth0.mac)
        Conn(s, s.eth0, thief, 554, rtt=0.001).refused(t + 0.002)
        t += 10
    live(s, s.cams[1], 1, 100)
    return s


def another(s, at, path="/live", good=True):
    """A camera of another make with camera 1's address."""
    new = Host("b8:a4:4f:21:43:65", s.cams[0].ip, "embedded", name="new")
    for n in range(3):
        s.arp(at + n, 1, new, new.ip, says="0.0.0.0")
    s.announce(at + 3, new)
    return new


@visit(
    "camera-unreachable",
    "rtsp-not-found",
    cleared=("camera-unreachable",),
    says={"rtsp-not-found": "404|not found|path"},
)
def camera_is_replaced_by_another_make_which_has_another_path():
    """The same, but the new camera knows no such path: DESCRIBE is answered 404 each time."""
    s = ground(934, 120)
    live(s, s.cams[0], 1, 20)
    silent(s, s.eth0, s.cams[0], 27, 59)
    new = another(s, 60)
    logins(s, new, 66, 119, status="404 Not Found")
    live(s, s.cams[1], 1, 120)
    return s


@visit(
    "dhcp-nak", "address-changed", cleared=("dhcp-nak",), violations=None,
    says={"address-changed": "10[.]77[.]5[.]61 is not judged"},
)  # fmt: skip
def cable_goes_to_the_other_switch_and_the_old_address_is_refused():
    """At 30 s eth1's cable is moved to a switch of another network: it asks for its old address,
    gets NAK, and takes a new one. From there the cloud works, but for logs."""
    s = bare(Site(935, cams=2), 30)
    cloud(s, 0.4, 29)
    new = Host(s.eth1.mac, "10.77.5.61", name="eth1")
    gw = Host("00:09:0f:77:05:01", "10.77.5.1", "router", 64)
    dhcp(s, 36, 3, s.eth1, xid=5, more=option(50, bytes(map(int, s.eth1.ip.split(".")))))
    dhcp(s, 36.01, 6, s.eth1, gw, xid=5, more=option(54, bytes(map(int, gw.ip.split(".")))))
    lease(s, 37, new, gw, gw.ip)
    s.who(39, new, gw)
    s.cloud, s.router, s.resolver, s.clock = new, gw, gw, gw
    cloud(s, 39.1, 110, ("logs",), minute=20)
    knocks(s, s.LOGS, 42, 110)
    for cam in s.cams:
        live(s, cam, 1, 110)
    s.cloud = s.eth1
    s.router = s.resolver = s.clock = Host("00:09:0f:09:00:01", s.net + "1", "router", 64)
    return s


def reboot(s, at, back, end):
    """The appliance restarts: it takes its leave, and comes back with all that a start asks for."""
    cloud(s, 0.4, at)
    for n, cam in enumerate(s.cams):
        live(s, cam, 1 + 0.2 * n, at).teardown(at + 0.01 * n)
    for host, gw in ((s.eth0, s.camrouter), (s.eth1, s.router)):
        for n in range(2):
            six(s, back + n * 4.1, host)
        lease(s, back + 2.3 + (0.4 if host is s.eth1 else 0), host, gw)
        s.who(back + 4.5, host, gw)
    for n in range(4):
        ntp(s, back + 5 + 2.1 * n, style="timesyncd")
    cloud(s, back + 8, end, ("time",))
    times(s, back + 40, end, burst=1)
    for n, cam in enumerate(s.cams):
        live(s, cam, back + 12 + n, end)
    return s


@visit()
def appliance_restarts_in_the_middle():
    """The appliance is restarted properly at 30 s, and is back at 75 s: leases, time, names, MQTT,
    cameras. Nothing is wrong."""
    s = Site(939, cams=2)
    noise(s, 150)
    s.who(0.1, s.eth1, s.router)
    return reboot(s, 30, 75, 150)


@visit("loop", cleared=("loop",), says={"loop": r"1\d,\d{3} within 10 s"})
def loop_of_fifteen_seconds():
    """A patch cable makes a loop from 30 s to 45 s: each broadcast goes round 60 times; the
    cameras lose a third meanwhile. Then somebody pulls it."""
    s = ground(944, 110)
    for cam in s.cams:
        live(s, cam, 1, 110, fps=10.0, lose=lambda t, n: 30 < t < 45 and n % 3 == 0)
    body = [f for f in s.frames if f[1][:6] == b"\xff" * 6][:12]
    for n in range(18000):
        f = body[n % len(body)]
        s.put(30 + n * 15 / 18000, f[1])
    return s


@visit(info=("stream-multi-reader",), violations=None)
def technician_looks_at_the_cameras_with_a_browser_and_a_player():
    """A laptop on the camera network: ARP, ping, the page of camera 1, its stream with VLC (with
    an empty user name first), its own names and a web page. All is well."""
    s = ground(947, 100)
    for cam in s.cams:
        live(s, cam, 1, 100)
    me = laptop(s, cam=True)
    s.announce(10, me)
    s.who(12, me, s.cams[0])
    for n in range(4):
        s.icmp(13 + n, me, s.cams[0], 8, 0, body=b"abcdefghijklmnopqrstuvwabcdefghi")
        s.icmp(13.001 + n, s.cams[0], me, 0, 0, body=b"abcdefghijklmnopqrstuvwabcdefghi")
    web(s, me, s.cams[0], 18)
    vlc(s, me, s.cams[0], 28, 70, user="admin").teardown(70.1)
    s.who(32, me, s.camrouter)
    look(s, 33, "www.example.com", ["93.184.216.34"], me, s.resolver)
    https(s, 33.2, "www.example.com", find=False, ip="93.184.216.34", who=me)
    return s


@visit("scan", "rtsp-auth", says={"scan": "222", "rtsp-auth": "cam1"}, violations=None)
def technician_runs_nmap_and_camera_1_refuses_the_password():
    """nmap from the technician's laptop: ARP for each address of the camera network, then SYNs to
    400 ports of camera 2 (554, 80 answer; the rest is reset). Camera 1 refuses the appliance's
    password."""
    s = ground(948, 100)
    logins(s, s.cams[0], 2, 99)
    live(s, s.cams[1], 1, 100)
    me = laptop(s, cam=True)
    for n in range(1, 255):
        if n not in (101, 104):
            s.arp(20 + n * 0.01, 1, me, s.camnet + str(n))
    s.who(21, me, s.cams[0])
    s.who(21.2, me, s.cams[1])
    r = random.Random(5)
    for n, port in enumerate([80, 554, *r.sample(range(1, 10000), 400)]):
        c = Conn(s, me, s.cams[1], port, sport=45678, rtt=0.0008)
        if n < 2:
            c.seg(24 + n * 0.005, 0, SYN)
            c.seq[0] += 1
            c.seg(24.0008 + n * 0.005, 1, SYN | 16)
            c.seg(24.001 + n * 0.005, 0, 4, ack=0)
        else:
            c.refused(24 + n * 0.005)
    return s


@visit(
    "inbound-undeclared", "rtsp-not-found", violations=None, says={"inbound-undeclared": "22|SSH"}
)
def technician_works_by_ssh_and_camera_1_has_no_such_path():
    """A development kit lets SSH in. Camera 1 answers 404."""
    s = ground(950, 90)
    logins(s, s.cams[0], 2, 89, status="404 Not Found")
    live(s, s.cams[1], 1, 90)
    me = laptop(s)
    s.who(20, me, s.eth1)
    ssh(s, me, s.eth1, 20.1, 85)
    return s


@visit(
    "udp-blocked",
    says={"udp-blocked": "cam1"},
    never={"udp-blocked": "restart the camera"},
    info=("stream-multi-reader",),
    also=(),
)
def recorder_has_the_picture_and_the_appliance_has_none():
    """The recorder reads camera 1 over TCP. The appliance's PLAY over UDP is answered 200, and no
    packet comes; it gives up after 10 s and tries again."""
    s = ground(951, 100)
    nvr = Host("00:0c:29:41:52:63", s.camnet + "60", "linux", name="nvr")
    live(s, s.cams[0], 1, 100, nvr, udp=False, agent="NVR/4.2")
    live(s, s.cams[1], 1, 100)
    t = 2.0
    while t < 88:
        p = Play(s, s.cams[0]).play(t)
        p.teardown(p.t + 10)
        t += 12
    return s


@visit("rtsp-sessions", says={"rtsp-sessions": r"cam1.* while [0-9.]+ reads it"})
def recorder_took_the_last_place_of_camera_1():
    """Camera 1 answers the appliance's SETUP 453; a recorder plays it all the time. Camera 2
    plays."""
    s = ground(952, 90)
    nvr = Host("00:0c:29:41:52:64", s.camnet + "60", "linux", name="nvr")
    live(s, s.cams[0], 1, 90, nvr, udp=False, agent="NVR/4.2")
    live(s, s.cams[1], 1, 90)
    t = 2.0
    while t < 88:
        p = Play(s, s.cams[0]).connect(t).describe().setup(1, "453 Not Enough Bandwidth")
        p.c.fin(p.c.t + 0.01)
        t += 10
    return s


@visit("stream-loss", also=("stream-loss", "loss-shared"), never={"loss-shared": "does not"})
def loss_of_one_camera_becomes_loss_of_all():
    """Camera 1 loses 3 % from 20 s on; from 70 s on all three lose 4 %."""
    s = ground(954, 140, cams=3)
    for n, cam in enumerate(s.cams):
        live(
            s,
            cam,
            1,
            140,
            fps=10.0,
            lose=lambda t, k, n=n: (
                (t > 70 and k % 25 == 3) or (n == 0 and 20 < t <= 70 and k % 33 == 1)
            ),
        )
    return s


@visit(
    "camera-unreachable",
    "camera-reboot",
    also=("camera-unreachable",),
    either=("camera-unreachable", "camera-reboot"),
    says={"camera-unreachable": "cam"},
    cameras={"cam1": "streaming"},
)
def one_camera_restarts_and_another_is_pulled():
    """Camera 1 restarts at 30 s (back at 70 s: DHCP probe, announcement, plays). Camera 2 is
    pulled at 50 s."""
    s = ground(958, 130, cams=3)
    live(s, s.cams[0], 1, 30)
    silent(s, s.eth0, s.cams[0], 36, 69)
    for n in range(3):
        s.arp(66 + n, 1, s.cams[0], s.cams[0].ip, says="0.0.0.0")
    s.announce(69, s.cams[0])
    live(s, s.cams[0], 72, 130)
    live(s, s.cams[1], 1, 50)
    silent(s, s.eth0, s.cams[1], 56, 129)
    live(s, s.cams[2], 1, 130)
    return s
