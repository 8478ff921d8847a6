"""Two things at once, one of them the capture itself: cut, late, short, of one port, doubled."""

from __future__ import annotations

from tests.situations.pairs_kit import away, bare, ground, laptop, live, logins, silent
from tests.situations.stack import Host, Site
from tests.situations.stack_names import dhcp, look
from tests.situations.stack_noise import bpdu, mdns
from tests.situations.stack_tcp import Conn
from tests.situations.visit import visit
from tests.situations.yard_files import pcap


def snapped(s, size=128):
    s.file = pcap(s, snap=size)
    return s


def window(s, a, b):
    """What a capture from a to b has."""
    s.frames = [f for f in s.frames if a <= f[0] < b]
    return s


@visit("capture-snapped", file=True, proved=False, violations=None, cameras={"cam1": "unseen"})
def password_is_wrong_and_cut_at_128_bytes():
    """tcpdump -s 128: the status line of each 401 is whole, the login is cut."""
    s = ground(962, 60)
    logins(s, s.cams[0], 2, 59)
    live(s, s.cams[1], 1, 60)
    return snapped(s)


@visit()
def started_late_and_ended_early_on_a_plain_day():
    """From 41 s to 66 s of a running site; no hello, no SETUP is seen but of short connections."""
    s = ground(965, 90)
    for cam in s.cams:
        live(s, cam, 1, 90)
    return window(s, 41, 66)


@visit("internet-down", cleared=("internet-down",), violations=None)
def started_in_the_middle_of_an_outage():
    """From 60 s to 130 s; the internet is away from 40 s to 90 s, so nothing is known of before."""
    s = bare(Site(969, cams=1), 130)
    away(s, 40, 90, 130)
    live(s, s.cams[0], 1, 130)
    return window(s, 60, 130)


@visit("camera-refused", says={"camera-refused": "cam1"})
def eight_seconds_with_a_refusing_camera():
    """8 s: camera 1 refuses 554 three times; camera 2 plays on from before."""
    s = ground(970, 30)
    s.who(11.9, s.eth0, s.cams[0])
    for t in (12, 14.5, 17):
        Conn(s, s.eth0, s.cams[0], 554, rtt=0.0009).refused(t)
    live(s, s.cams[1], 1, 30)
    return window(s, 10, 18)


@visit("dhcp-no-offer", violations=None)
def eight_seconds_of_a_port_without_a_lease():
    """8 s: eth1 asks three times for a lease, nobody offers; the cameras play."""
    s = Site(971, cams=2)
    for n, t in enumerate((1.0, 3.1, 6.9)):
        dhcp(s, t, 1, s.eth1, xid=99, secs=n * 3)
    for t in range(0, 8, 2):
        bpdu(s, t)
    for cam in s.cams:
        live(s, cam, 0.3, 8)
    return s


@visit("gateway-silent", violations=None)
def eight_seconds_of_a_dead_gateway():
    """8 s: eth1 asks for its gateway each second, nobody answers; the cameras play."""
    s = Site(972, cams=2)
    for n in range(7):
        s.arp(0.5 + 1.02 * n, 1, s.eth1, s.router.ip)
    for t in range(0, 8, 2):
        bpdu(s, t)
    for cam in s.cams:
        live(s, cam, 0.3, 8)
    return s


@visit()
def eight_seconds_of_a_plain_day_with_an_arp_for_nobody():
    """8 s: a person's computer asks for a printer that is off; all else plays."""
    s = ground(973, 60)
    for n in range(6):
        s.arp(31 + n, 1, s.pc, s.net + "201")
    for cam in s.cams:
        live(s, cam, 1, 60)
    return window(s, 30, 38)


@visit("rtsp-auth", info=("mirror-duplicates",), says={"rtsp-auth": r"cam1.*\b9 times"})
def mirror_copies_twice_and_camera_1_refuses_the_password():
    """Each frame comes twice, 20 us apart; camera 1 is asked 9 times."""
    s = ground(974, 95)
    logins(s, s.cams[0], 2, 90)
    live(s, s.cams[1], 1, 95)
    s.frames += [(at + 0.00002, f, i) for at, f, i in s.frames]
    return s


@visit("mirror-one-way", "stream-frozen", violations=None, also=("mirror-one-way",))
def only_what_the_appliance_gets_and_camera_1_is_silent():
    """A one-way mirror: only frames towards the appliance. Camera 1 stops at 30 s."""
    s = ground(975, 80)
    live(s, s.cams[0], 1, 30)
    silent(s, s.eth0, s.cams[0], 36, 79)
    live(s, s.cams[1], 1, 80)
    mine = [bytes.fromhex(h.mac.replace(":", "")) for h in (s.eth0, s.eth1)]
    s.frames = [f for f in s.frames if f[1][6:12] not in mine]
    return s


@visit("not-a-mirror", violations=None)
def plain_port_and_the_technicians_own_laptop():
    """No mirror: broadcasts, and what the laptop itself does (ARP, names, a page of camera 1)."""
    s = ground(976, 80)
    for cam in s.cams:
        live(s, cam, 1, 80)
    s.frames = [f for f in s.frames if f[1][0] & 1]
    me = laptop(s, cam=True)
    s.announce(3, me)
    from tests.situations.pairs_kit import web

    s.who(9.9, me, s.cams[0])
    web(s, me, s.cams[0], 10)
    s.who(20, me, s.camrouter)
    look(s, 20.2, "www.example.com", ["93.184.216.34"], me, Host(s.camrouter.mac, s.resolver.ip))
    for cam in s.cams:
        mdns(s, 30, cam, "_rtsp._tcp.local")
    return s


@visit(also=("not-a-mirror",), cleared=("not-a-mirror",))
def mirror_is_set_up_during_the_capture():
    """For 25 s the laptop hangs on a plain port; then the mirror is turned on, and all is well."""
    s = ground(977, 90)
    for cam in s.cams:
        live(s, cam, 1, 90)
    s.frames = [f for f in s.frames if f[1][0] & 1 or f[0] > 25]
    return s


@visit("rtsp-auth", "rtsp-not-found", also=(), cleared=("rtsp-auth",), says={"*": "cam1"})
def password_is_mended_and_the_path_is_wrong():
    """Until 50 s camera 1 refuses the password; then the login is right, and the path is not."""
    s = ground(983, 110)
    logins(s, s.cams[0], 2, 49)
    logins(s, s.cams[0], 54, 109, status="404 Not Found")
    live(s, s.cams[1], 1, 110)
    return s
