"""Faults that show twice, told once: a host that hangs, a line that fills up."""

from __future__ import annotations

from tests.situations.visit import visit
from tests.situations.yard import Yard
from tests.situations.yard_tcp import rec


def two_jobs(y: Yard) -> None:
    """One host is resolver and time server."""
    y.clock = y.resolver


def hung_host(y: Yard, end: float, start: float = 0.0) -> None:
    """From `start` on, the host of names and time answers ARP and nothing else."""
    c = y.to(y.IOT)
    c.tls(max(0.4, 0.0), y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
    t = 1.0
    while t < end:
        c.data(t, 31, 31)
        t += 15
    t = 0.6
    n = 0
    while t < end:
        works = t < start
        y.who(t, y.cloud, y.router)
        y.who(t + 0.2, y.cloud, y.resolver)
        y.ntp(t + 0.5, answer=works)
        name = (y.LOGS, y.MON, y.S3, y.CRED)[n % 4]
        if works:
            y.visit(t + 1, name)
        else:
            y.look(t + 1, name, after=None, again=1)
        t += 11
        n += 1


@visit(
    "dns-timeout",
    variants=[{"seed": 2051, "start": 0.0}, {"seed": 2052, "start": 60.0}],
    says={"dns-timeout": "ARP.*time"},
)
def host_of_names_and_time_hangs(seed: int, start: float) -> Yard:
    """The host that is resolver and time server answers ARP, and nothing else."""
    y = Yard(seed, dns="host", ntp="host")
    two_jobs(y)
    hung_host(y, 150, start)
    y.sitetext = y.site()
    return y


@visit("dns-timeout", "ntp-silent", variants=[{"seed": 2055}])
def resolver_and_time_server_are_two_hosts(seed: int) -> Yard:
    """Both answer ARP and nothing else: two hosts, two faults."""
    y = Yard(seed, dns="host", ntp="host")
    hung_host(y, 150)
    return y


@visit("dns-timeout", variants=[{"seed": 2056}])
def only_the_resolver_of_the_host_hangs(seed: int) -> Yard:
    """The same host still gives the time."""
    y = Yard(seed, dns="host", ntp="host")
    two_jobs(y)
    hung_host(y, 150)
    y.frames = [f for f in y.frames if f[1][23:24] != b"\x11" or f[1][36:38] != b"\0\x7b"]
    for n in range(9):
        y.ntp(3 + 16 * n)
    y.sitetext = y.site()
    return y


def upload(y: Yard, at: float, end: float, rtt: float, grown: float) -> None:
    """A long upload to S3 whose round trip grows from `rtt` to `grown` within 20 s."""
    y.look(at, y.S3)
    c = y.to(y.S3)
    c.rtt = rtt
    t = c.tls(at + 0.02, y.S3, v13=y.v13)
    while t < end:
        c.rtt = rtt + (grown - rtt) * min(1.0, (t - at) / 20)
        t = c.say(t, rec(23, bytes(20 * 1400)), True)


@visit(
    "slow-uplink",
    variants=[{"seed": 2101, "grown": 0.9}, {"seed": 2102, "grown": 0.6, "dies": True}],
    says={"slow-uplink": "[69].. ms instead of 20 ms, while eth1 uploads"},
)
def upload_fills_the_line(seed: int, grown: float, dies: bool = False) -> Yard:
    """While one upload runs, each round trip grows from 20 ms to most of a second: the router
    queues what the line cannot take."""
    y = Yard(seed, rtt=0.02)
    y.begin()
    y.goes_on(6, 58)
    c = y.mqtt(4, 60)
    upload(y, 40, 120, 0.02, grown)
    y.rtt = c.rtt = grown
    y.goes_on(66, 118, every=12)
    if dies:  # its answers come too late for the client, which begins anew
        t = 62.0
        for _ in range(4):
            c.close(t)
            c = y.to(y.IOT)
            t = c.tls(t + 3, y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
            t = c.data(t, 180, 40) + 6
    return y


@visit(variants=[{"seed": 2111}, {"seed": 2112, "rtt": 0.12}])
def upload_at_full_rate_without_a_queue(seed: int, rtt: float = 0.02) -> Yard:
    """The same upload, and the round trip stays as it was."""
    y = Yard(seed, rtt=rtt)
    y.begin()
    y.goes_on(6, 130)
    y.mqtt(4, 60)
    upload(y, 40, 120, rtt, rtt * 1.3)
    return y
