"""Two things at once, one of them on the way to the cloud."""

from __future__ import annotations

from tests.situations.pairs_kit import (
    away,
    bare,
    ground,
    knocks,
    live,
    logins,
)
from tests.situations.stack import Site
from tests.situations.stack_day import cloud, https, times, to
from tests.situations.stack_names import look, ntp
from tests.situations.stack_tls import certificate, hs, noise, rec
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
    variants=({"names": "servfail"}, {"names": "silent"}),
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
