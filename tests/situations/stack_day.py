"""What an appliance does all day with AWS, its gateway and its time server."""

from __future__ import annotations

import random

from tests.situations.stack import Site
from tests.situations.stack_camera import stream
from tests.situations.stack_names import look, ntp
from tests.situations.stack_noise import noise
from tests.situations.stack_tls import Tls


def to(s, name, at=None, port=443, ip=None, who=None, find=True, **names):
    """A connection to a name that is looked up first."""
    if find and at is not None:
        look(s, at, name, who=who, **names)
    c = Tls(
        s,
        who or s.cloud,
        s.far(ip or s.ips(name)[0]),
        port,
        rtt=s.rtt * (0.8 + random.Random(name).random() / 2),
    )
    c.t = (at or 0) + (0.02 if find else 0)
    return c


def mqtt(s, at, end, every=30.0, port=443, find=True, v13=False, ip=None, leave=False, publish=0):
    """Connected with a device certificate; CONNECT, SUBSCRIBE, pings; `publish`: seconds between
    messages."""
    c = to(s, s.IOT, at, port, ip, find=find)
    c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",) if port == 443 else (), v13=v13, mutual=True)
    c.data(118, 4, c.t + 0.004, 0.02).data(74, 6, c.t + 0.01, 0.02)
    t, n = c.t, 0
    while t + every < end:
        t += every
        c.data(2, 2, t, 0.001)
        if publish and n * every % publish == 0:
            c.data(640, 4, t + 1.2, 0.008)
        n += 1
    c.t = max(c.t, t)
    if leave:
        c.data(2, 0, end)
        c.bye(end + 0.001)
    return c.done()


def https(
    s,
    at,
    name,
    up=900,
    down=420,
    times=1,
    every=5.0,
    stay=0.3,
    v13=True,
    find=True,
    think=0.03,
    close=True,
    ip=None,
    who=None,
    resumed=False,
    port=443,
    server_closes=None,
):
    """Requests on one connection; then the client leaves, or the server after an idle time."""
    c = to(s, name, at, port, ip, who, find)
    c.hand(c.t, name, ("http/1.1",), v13=v13, resumed=resumed)
    t = c.t + 0.002
    for n in range(times):
        c.data(up, down, max(t + n * every, c.t), think)
    if server_closes is not None:
        c.bye(c.t + server_closes, 1)
    elif close:
        c.bye(c.t + stay)
    return c.done()


def times(s, at, end, every=64.0, style="chrony", burst=4, **more):
    """chrony's first four, then one each 64 s."""
    for n in range(burst):
        ntp(s, at + 2.0 * n, style=style, **more)
    t = at + 2 * burst + every
    while t < end:
        ntp(s, t, style=style, **more)
        t += every


def neighbours(s, end, start=0.0, cams=True, gateway=True):
    """First broadcast, then unicast refreshes as Linux asks them."""
    r = random.Random(s.region + "arp")
    pairs = [(s.cloud, s.router)] if gateway else []
    if s.resolver.ip.startswith(s.net) and s.resolver is not s.router:
        pairs.append((s.cloud, s.resolver))
    pairs += [(s.eth0, c) for c in s.cams] if cams else []
    for a, b in pairs:
        s.who(start + r.uniform(0.01, 0.2), a, b)
        t = start + r.uniform(25, 50)
        while t < end:
            s.refresh(t, a, b)
            t += r.uniform(25, 60)


def cloud(s, at, end, skip=(), every=5.0, minute=60.0, **more):
    """All that is needed: MQTT, logs on a kept connection, metrics each minute, S3, credentials."""
    if "time" not in skip:
        times(s, at + 0.1, end)
    if "cred" not in skip:
        https(s, at + 0.4, s.CRED, 310, 1640)
    if "mqtt" not in skip:
        mqtt(s, at + 0.9, end, **more)
    if "logs" not in skip:
        n = max(1, int((end - at - 3) / every))
        https(s, at + 1.6, s.LOGS, 1340, 300, times=n, every=every, close=False)
    if "mon" not in skip:
        t = at + 2.3
        while t < end - 1:
            https(s, t, s.MON, 980, 260, v13=False)
            t += minute
    if "s3" not in skip:
        https(s, at + 3.1, s.S3, 620, 5200, stay=2.0)


def day(s, end, start=0.1, skip=(), **more):
    """A usual day without cameras' streams."""
    neighbours(s, end, start)
    cloud(s, start + 0.3, end, skip, **more)
    noise(s, end)
    return s


def light(s, start, end, which=None, **more):
    """The cameras' streams, small."""
    shape = {"fps": 5.0, "key": 2600, "delta": 420}
    return [
        stream(s, c, start + 0.3 * n, end, **{**shape, **more})
        for n, c in enumerate(s.cams)
        if which is None or n in which
    ]


def works(seed, end=34.0, topology="dual", cams=1, skip=(), streams=True, start=0.1, **more):
    """A site on which all goes well, but for what is left out."""
    keys = ("maker", "region", "plan", "dns", "ntp", "rtt")
    s = Site(seed, topology, cams, **{k: more.pop(k) for k in keys if k in more})
    day(s, end, start, skip, **more)
    if streams:
        light(s, start + 0.7, end)
    return s
