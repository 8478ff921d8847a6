"""Parts of a visit: a site without cameras, a camera that is read, a line that goes away."""

from __future__ import annotations

from tests.situations.stack import Host, Site
from tests.situations.stack_camera import Play, stream
from tests.situations.stack_day import cloud, https, mqtt, neighbours, times, to
from tests.situations.stack_names import look
from tests.situations.stack_noise import noise
from tests.situations.stack_tcp import ACK, FIN, Conn
from tests.situations.stack_tls import noise as cipher
from tests.situations.stack_tls import rec

SMALL = {"fps": 3.0, "key": 1300, "delta": 420}


def ground(seed, end, skip=(), start=0.1, gateway=True, **more):
    """The site's noise, its gateway and its cloud, without a camera's stream."""
    keys = ("maker", "region", "plan", "dns", "ntp", "rtt", "topology", "cams")
    s = Site(seed, **{"cams": 2, **{k: more.pop(k) for k in keys if k in more}})
    neighbours(s, end, start, cams=False, gateway=gateway)
    noise(s, end)
    if skip != "cloud":
        cloud(s, start + 0.3, end, skip, **more)
    return s


def live(s, cam, a, b, who=None, **more):
    """A camera is read from a to b, and its neighbour entry is refreshed meanwhile."""
    me = who or s.eth0
    t = a + 28
    while t < b:
        s.refresh(t, me, cam)
        t += 33
    if who:
        more["reader"] = who
    return stream(s, cam, a, b, **{**SMALL, **more})


def logins(s, cam, a, b, every=10.0, who=None, status="401 Unauthorized", body=None):
    """The reader logs in as it always does; DESCRIBE is answered `status`."""
    t = a
    while t < b - 0.1:
        p = Play(s, cam, reader=who).connect(t, arp=t == a).describe(status=status, body=body)
        p.c.fin(p.c.t + 0.002)
        t += every
    return t


def silent(s, asker, target, a, b, every=9.0, known=True):
    """A neighbour that is gone: the known entry is probed, then asked for by broadcast."""
    if known:
        s.refresh(a, asker, target, answers=False)
        a += 3.1
    t = a
    while t < b:
        for n in range(3):
            if t + 1.024 * n < b:
                s.arp(t + 1.024 * n, 1, asker, target.ip)
        t += every


def knocks(s, name, a, b, every=12.0, find=True, port=443):
    """New connections whose SYNs nobody answers."""
    t = a
    while t < b - 0.5:
        c = to(s, name, t, port, find=find)
        c.knock(c.t, [n for n in (0, 1.02, 3.03, 7.2) if c.t + n < b])
        t += every


def lookups(s, name, a, b, how="servfail", every=6.0):
    """Names asked for while the world is away."""
    t = a
    while t < b - 0.3:
        if how == "servfail":
            look(s, t, name, rcode=2, think=0.8)
        elif how == "silent":
            look(s, t, name, silent=(1, 28), tries=2 if t + 5 < b else 1)
            t += 5
        t += every


def cut_off(c, a, b):
    """An open connection whose next request is never acknowledged; the client gives it up."""
    c.stall(rec(23, cipher(26)), a, until=b)
    for n in (0.1, 0.5, 1.5):
        c.seg(c.t + n, 0, FIN | ACK)


def away(s, a, b, end, names="cached", ping=15.0, back=True, minute=30.0, skip=()):
    """The cloud of a site whose internet is gone from a to b. `back`: MQTT comes back too."""
    times(s, 0.3, end)
    https(s, 0.4, s.CRED, 310, 1640)
    m = mqtt(s, 0.9, a, every=ping)
    cut_off(m, m.t + ping, min(b, m.t + 2 * ping) - 2)
    n = max(1, int((a - 4) / 5))
    k = https(s, 1.6, s.LOGS, 1340, 300, times=n, every=5, close=False)
    cut_off(k, k.t + 5, b - 3)
    t = 2.3
    while t < end - 1:
        if not a - 1 < t < b:
            https(s, t, s.MON, 980, 260, v13=False)
        t += minute
    if names == "cached":
        for name, off in ((s.IOT, 6.0), (s.LOGS, 9.0), (s.MON, 4.0)):
            knocks(s, name, a + off, b, every=11.0, find=False)
    else:
        for name, off in ((s.IOT, 6.0), (s.LOGS, 9.0), (s.MON, 4.0)):
            lookups(s, name, a + off, b, names, every=8.0)
    if b < end:
        if back:
            mqtt(s, b + 2.2, end, every=ping)
        if "logs" not in skip:
            https(s, b + 3.1, s.LOGS, 1340, 300, times=max(1, int((end - b - 4) / 5)), close=False)
        https(s, b + 4, s.S3, 620, 5200, stay=2.0)
    return s


def bare(s, end):
    """Neighbours and noise of a site whose cloud is told apart."""
    neighbours(s, end, 0.1, cams=False)
    noise(s, end)
    return s


def vlc(s, who, cam, a, b, **more):
    """A person looks at the camera with a player."""
    return live(
        s, cam, a, b, who, agent="LibVLC/3.0.16 (LIVE555 Streaming Media v2016.11.28)", **more
    )


def web(s, who, host, at, port=80, login=True):
    """A camera's page in a browser."""
    c = Conn(s, who, host, port, rtt=0.0009).open(at)
    head = f"Host: {host.ip}\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    c.up(f"GET / HTTP/1.1\r\n{head}\r\n".encode())
    if login:
        c.down(
            b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="web", nonce="12ab", '
            b'qop="auth"\r\nContent-Length: 0\r\n\r\n'
        )
        c.up(
            f'GET / HTTP/1.1\r\n{head}Authorization: Digest username="admin", realm="web", '
            f'nonce="12ab", uri="/", response="{"0" * 32}"\r\n\r\n'.encode(),
            c.t + 0.2,
        )
    c.down(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 900\r\n\r\n" + b"x" * 900
    )
    c.fin(c.t + 4)
    return c


def ssh(s, who, host, at, end, greet=True):
    """A shell: banners, key exchange, keys pressed."""
    c = Conn(s, who, host, 22, rtt=0.0006).open(at)
    c.up(b"SSH-2.0-OpenSSH_9.6\r\n")
    c.down(b"SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.5\r\n")
    c.up(cipher(1500))
    c.down(cipher(1100))
    t = c.t + 1
    while t < end:
        c.up(cipher(36), t)
        c.down(cipher(36), 0.001)
        t += 1.7
    c.fin(end)
    return c


def laptop(s, cam=False):
    """The technician's."""
    net = s.camnet if cam else s.net
    return Host("f8:e4:3b:12:34:56", net + "222", "windows", name="laptop")
