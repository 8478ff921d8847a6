"""Two things at once, one of them on the way to the cloud."""

from __future__ import annotations

from tests.situations.pairs_kit import (
    away,
    bare,
    ground,
    knocks,
    live,
    logins,
    lookups,
    silent,
)
from tests.situations.stack import Host, Site
from tests.situations.stack_camera import Play
from tests.situations.stack_day import cloud, https, mqtt, times, to
from tests.situations.stack_names import look, ntp
from tests.situations.stack_tls import Tls, certificate, hs, noise, rec
from tests.situations.visit import visit


def certified(s):
    """The client's second flight of TLS 1.2, with the certificate of a device."""
    day = int(s.t0 // 86400)
    der = certificate("AWS IoT Certificate", "Amazon Web Services", "AWS", day, -400, -1, 860)
    one = len(der).to_bytes(3, "big") + der
    out = rec(22, hs(11, len(one).to_bytes(3, "big") + one))
    out += rec(22, hs(16, b"\x41" + noise(65))) + rec(22, hs(15, b"\4\1\1\0" + noise(256)))
    return out + rec(20, b"\1") + rec(22, noise(40))


@visit(
    "rtsp-auth", "internet-down|dns-servfail|dns-timeout",
    cleared=("internet-down", "dns-servfail", "dns-timeout"), cameras={"cam1": "refused"},
    variants=({}, {"names": "servfail"}, {"names": "silent"}),
    says={"rtsp-auth": "cam1", "dns-servfail": "3 needed names", "dns-timeout": "why .* stopped"},
    never={"internet-down": "camera", "dns-timeout": "resolver's address"},
)  # fmt: skip
def password_is_changed_while_the_internet_is_away(names="cached"):
    """Somebody changes camera 1's password at 20 s: its session ends, and each login since is 401.
    The internet is gone from 40 s to 95 s, and comes back whole."""
    s = bare(Site(901, cams=2), 130)
    away(s, 40, 95, 130, names)
    p = live(s, s.cams[0], 0.8, 20)
    p.c.fin(20.2, who=1)
    logins(s, s.cams[0], 23, 129)
    live(s, s.cams[1], 1.1, 130)
    return s


@visit("rtsp-auth", "internet-down", cleared=("internet-down",), violations=None)
def password_is_changed_while_the_internet_is_away_without_a_site_file():
    """The same, and nobody wrote a site file."""
    s = password_is_changed_while_the_internet_is_away()
    s.sitetext = ""
    return s


@visit(
    "dns-servfail|internet-down", "client-cert-rejected|tls-alert",
    cleared=("internet-down", "dns-servfail"),
    says={"client-cert-rejected": "expired", "tls-alert": "expired"},
)  # fmt: skip
def internet_is_back_and_the_device_certificate_has_expired_meanwhile(cams=1):
    """The internet is gone from 30 s to 70 s. Since then all but MQTT works: the broker answers the
    device certificate with the alert certificate_expired each time."""
    s = bare(Site(903 + cams, cams=cams), 130)
    away(s, 30, 70, 130, "servfail", back=False)
    t = 72.0
    while t < 128:
        c = to(s, s.IOT, t)
        c.open(c.t).greet(s.IOT, ("x-amzn-mqtt-ca",), False).flight("x-amzn-mqtt-ca", True)
        c.up(certified(s), c.t + 0.003)
        c.alert(1, 2, 45).fin(c.t + 0.001, 1)
        t += 9
    for cam in s.cams:
        live(s, cam, 1, 130)
    return s


@visit("internet-down", "tcp-blocked", cleared=("internet-down",), says={"tcp-blocked": "logs"})
def internet_is_back_and_logs_stay_away():
    """The line is back after 40 s through a new firewall, which drops SYNs to logs."""
    s = bare(Site(906, cams=1), 130)
    away(s, 30, 70, 130, "cached", skip=("logs",))
    knocks(s, s.LOGS, 73, 130)
    live(s, s.cams[0], 1, 130)
    return s


@visit(
    "tcp-blocked", "sni-filtered", cleared=("sni-filtered",),
    says={"tcp-blocked": r"logs.*\b19 SYNs unanswered"},
)  # fmt: skip
def firewall_rule_for_logs_is_tightened_twice():
    """Logs work until 30 s; from then each hello is reset by the firewall; from 75 s on the SYNs
    are dropped. All else works all the time."""
    s = ground(907, 130, skip=("logs",), minute=20.0, every=15.0)
    https(s, 1.6, s.LOGS, 1340, 300, times=5, every=5, stay=1)
    t = 30.0
    while t < 74:
        c = to(s, s.LOGS, t)
        c.open(c.t).greet(s.LOGS, ("http/1.1",))
        c.rst(c.t + 0.002, 1, ttl=64)
        t += 6
    knocks(s, s.LOGS, 76, 130)
    for cam in s.cams:
        live(s, cam, 1, 130)
    return s


@visit("clock-off", "tcp-blocked", says={"tcp-blocked": "s3"})
def clock_is_seven_minutes_behind_and_s3_is_dropped():
    """timesyncd's stamps are 420 s behind, and its server's answers are not obeyed (it is another
    program that keeps the time). S3's SYNs are dropped."""
    s = ground(910, 70, skip=("time", "s3"))
    for t in (1, 33, 65):
        ntp(s, t, style="timesyncd", off=-420.0)
    knocks(s, s.S3, 4, 70, every=14)
    for cam in s.cams:
        live(s, cam, 1, 70)
    return s


@visit(
    "clock-off", cleared=("clock-off", "tls-alert"), also=("tls-alert",),
)  # fmt: skip
def clock_is_of_2019_until_time_is_answered_at_40_s():
    """The appliance boots with a dead battery: its clock is years behind. Its TLS client rejects
    the certificates (alert bad_certificate) until the time server, which is asked from 5 s on and
    answers, is obeyed at 40 s. From then all is well."""
    s = bare(Site(911, cams=1), 90)
    for t, off in ((5, -2.0e8), (37, -2.0e8), (69, 0.001)):
        ntp(s, t, style="timesyncd", off=off)
    t = 6.0
    while t < 38:
        for name in (s.IOT, s.LOGS):
            c = to(s, name, t)
            c.open(c.t).greet(name, ("x-amzn-mqtt-ca",) if name == s.IOT else (), False)
            c.flight("x-amzn-mqtt-ca" if name == s.IOT else None)
            c.alert(0, 2, 42).fin(c.t + 0.001)
        t += 8
    cloud(s, 40, 90, ("time",))
    live(s, s.cams[0], 8, 90)
    return s


@visit(
    "dns-timeout", "stream-loss",
    cleared=("dns-timeout",), says={"stream-loss": "cam2"}, never={"stream-loss": "cam1"},
)  # fmt: skip
def resolver_is_away_for_half_a_minute_and_camera_2_loses():
    """The resolver, a host of its own, answers nothing from 30 s to 62 s (each question twice, 5 s
    apart). Camera 2 loses every 40th packet all the time."""
    s = ground(912, 100, dns="host", skip=("mon",))
    for t in (2.3, 64.0, 80.0):
        https(s, t, s.MON, 980, 260)
    lookups(s, s.MON, 31, 61, "silent", 3.0)
    lookups(s, s.CRED, 33, 61, "silent", 4.0)
    live(s, s.cams[0], 1, 100, fps=10.0)
    live(s, s.cams[1], 1, 100, fps=10.0, lose=lambda t, n: n % 40 == 7)
    return s


@visit("tls-intercepted", "camera-unreachable", says={"camera-unreachable": "cam1"})
def inspection_is_turned_on_and_camera_1_has_no_power():
    """From 30 s on each new connection carries a certificate of the firm's own authority, which the
    appliance rejects (unknown_ca). Camera 1 falls silent at 22 s."""
    s = bare(Site(913, cams=2), 100)
    times(s, 0.3, 100)
    for name in (s.CRED, s.LOGS, s.S3):
        https(s, 1 + len(name) % 7, name, v13=False)
    mqtt(s, 1.5, 100)
    t = 32.0
    while t < 98:
        for n, name in enumerate((s.LOGS, s.MON, s.S3)):
            c = to(s, name, t + 2 * n)
            c.open(c.t).greet(name, (), False).flight(
                None, issuer="Plant Security", cn="Plant CA 1"
            )
            c.alert(0, 2, 48).fin(c.t + 0.001)
        t += 14
    live(s, s.cams[0], 1, 22)
    silent(s, s.eth0, s.cams[0], 30, 99)
    live(s, s.cams[1], 1.2, 100)
    return s


@visit("dns-sinkhole", "ntp-silent", says={"dns-sinkhole": "logs", "ntp-silent": "answer"})
def name_of_logs_is_sinkholed_and_time_is_closed():
    """The resolver gives 0.0.0.0 for logs. The time server, a host, is asked each 16 s in vain."""
    s = ground(914, 90, skip=("logs", "time"), ntp="host")
    t = 2.0
    while t < 88:
        look(s, t, s.LOGS, ["0.0.0.0"])
        t += 11
    s.who(1.4, s.cloud, s.clock)
    t = 1.5
    while t < 88:
        ntp(s, t, answer=False)
        t += 16
    for cam in s.cams:
        live(s, cam, 1, 90)
    return s


@visit("mtu-low|tls-stalled", "stream-codec", says={"stream-codec": "cam2"})
def full_segments_vanish_and_camera_2_speaks_h265():
    """Servers' full-size segments never arrive; small ones do. Camera 2 offers H.265 alone."""
    s = bare(Site(915, cams=2), 90)
    times(s, 0.3, 90)
    t = 1.0
    while t < 85:
        for n, name in enumerate((s.IOT, s.LOGS, s.MON)):
            c = to(s, name, t + 1.3 * n)
            c.open(c.t).greet(name, (), n > 1)
            data = c.flight_bytes()
            c.settle(1, c.t + 1)
            whole = 1448 * (len(data) // 1448)
            c.seg(c.t + c.rtt, 1, 0x18, data[whole:], seq=c.seq[1] + whole)
            c.sack(c.t + c.rtt + 0.0001, 0, c.seq[1], c.seq[1] + whole, c.seq[1] + len(data))
            c.t += 10
            c.fin(c.t)
        t += 14
    live(s, s.cams[0], 1, 90)
    body = Play(s, s.cams[1], codec="H265").sdp()
    logins(s, s.cams[1], 2, 88, every=12, status="200 OK", body=body)
    return s


@visit(
    "dns-refused", "tcp-blocked", cleared=("dns-refused",),
    says={"tcp-blocked": "logs", "dns-refused": "at all|4 needed names"},
)  # fmt: skip
def resolver_refuses_for_a_while_and_then_logs_are_dropped():
    """The resolver refuses each name from 5 s to 40 s. Then names are answered, and SYNs to logs
    alone get no answer."""
    s = bare(Site(917, cams=1, dns="host"), 120)
    times(s, 0.3, 120)
    for n, name in enumerate((s.IOT, s.LOGS, s.MON, s.S3)):
        t = 5.0 + n
        while t < 40:
            look(s, t, name, rcode=5)
            t += 9
    cloud(s, 41, 120, ("logs", "time"), minute=20.0)
    knocks(s, s.LOGS, 44, 120)
    live(s, s.cams[0], 1, 120)
    return s


@visit(
    "icmp-blocked", info=("camera-clock",), says={"icmp-blocked": "logs", "camera-clock": "cam2"}
)
def router_prohibits_logs_and_camera_2_lives_in_1970():
    """A router says administratively prohibited for logs. Camera 2's reports carry 1970."""
    s = ground(920, 80, skip=("logs",))
    t = 2.0
    while t < 78:
        c = to(s, s.LOGS, t)
        for n in (0, 1.0, 3.0):
            c.seg(c.t + n, 0, 2)
            quoted = s.packet(
                c.ends[0],
                c.ends[1],
                6,
                bytes.fromhex(f"{c.ports[0]:04x}01bb") + c.seq[0].to_bytes(4, "big"),
            )
            s.icmp(c.t + n + 0.001, s.router, c.ends[0], 3, 13, quoted)
        t += 10
    live(s, s.cams[0], 1, 80)
    live(s, s.cams[1], 1.2, 80, off=-s.t0 + 5000)
    return s


@visit("stream-loss", info=("ipv6-unreachable",), says={"stream-loss": "cam1"})
def ipv6_leads_nowhere_and_camera_1_loses():
    """AAAA are given, IPv6 SYNs get no answer, IPv4 is used after 250 ms. Camera 1 loses 3 %."""
    s = ground(922, 70, skip=("logs", "mon"))
    s.eth1.ip6 = "2001:db8:5:1::55"
    six = Host(s.eth1.mac, s.eth1.ip6)
    t = 2.0
    while t < 66:
        for n, name in enumerate((s.LOGS, s.MON)):
            far = Host(s.router.mac, f"2600:1f18:22::{n + 7}", "far")
            look(s, t + n, name, six=[far.ip])
            c = Tls(s, six, far, 443)
            c.seg(t + n + 0.02, 0, 2)
            c.seg(t + n + 0.02 + 1.01, 0, 2)
            https(s, t + n + 0.28, name, find=False)
        t += 9
    live(s, s.cams[0], 1, 70, fps=10.0, lose=lambda t, n: n % 33 == 5)
    live(s, s.cams[1], 1, 70)
    return s
