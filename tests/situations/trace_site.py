"""A whole site: an appliance with one or two ports, its gateway, its cameras, AWS, and a usual day.

The seed chooses networks, addresses, makers, sizes and the moment, so that no two sites are alike.
"""

from __future__ import annotations

import random

from panotui.model import SECOND
from tests.situations.trace import START, Host, World
from tests.situations.trace_media import Cam, Session
from tests.situations.trace_names import bpdu, dns, lldp, ntp
from tests.situations.trace_tls import Tls, hash_

OUI = {
    "axis": "ac:cc:8e",
    "hik": "44:19:b6",
    "dahua": "3c:ef:8c",
    "hanwha": "00:09:18",
    "bosch": "00:07:5f",
    "amcrest": "9c:8e:cd",
    "vivotek": "00:02:d1",
}
PATHS = {
    "axis": ("/axis-media/media.amp", "GStreamer RTSP server"),
    "hik": ("/Streaming/Channels/101", "App-webs/"),
    "dahua": ("/cam/realmonitor?channel=1&subtype=0", "Rtsp Server/3.0"),
    "hanwha": ("/profile2/media.smp", "Hanwha RTSP Server"),
    "bosch": ("/?inst=1", "VCS RTSP"),
    "amcrest": ("/cam/realmonitor?channel=1&subtype=1", "Rtsp Server"),
    "vivotek": ("/live1s1.sdp", "Vivotek"),
}


class Day:
    def __init__(
        self,
        seed=1,
        topology="dual",
        cams=2,
        region="us-east-1",
        start=START,
        vendor=None,
        cam=None,
        camnet=None,
        cloudnet=None,
        ips=None,
        v6=False,
    ):
        r = self.r = random.Random(seed)
        self.topology, self.region, self.w = topology, region, World(start + r.randrange(10**9))
        self.camnet = camnet or r.choice(["10.20.0", "10.44.7", "172.20.3", "192.168.100"])
        self.cloudnet = cloudnet or (
            r.choice(["192.168.5", "10.99.1", "172.31.9"]) if topology == "dual" else self.camnet
        )
        oct = r.randrange(5, 60)
        hx = f"02:00:5e:{r.randrange(256):02x}:{r.randrange(256):02x}:"
        self.a0 = Host(f"{self.camnet}.{oct}", hx + "10")
        self.a1 = (
            Host(f"{self.cloudnet}.{oct + (1 if topology == 'dual2' else 0)}", hx + "11")
            if topology == "dual"
            else self.a0
        )
        self.gwm = f"00:1c:7f:{r.randrange(256):02x}:00:01"
        self.gw = Host(f"{self.cloudnet}.1", self.gwm)
        self.dns_, self.ntp_ = self.gw, self.gw
        v = vendor or r.choice(sorted(OUI))
        self.vendor = v
        self.cams = []
        for i in range(cams):
            kw = {"fps": 3, "kbps": 16, "gop": 2.0, "path": PATHS[v][0], "server": PATHS[v][1]}
            kw.update(cam or {})
            self.cams.append(
                Cam(
                    f"{self.camnet}.{100 + i * 7}",
                    OUI[v] + f":{r.randrange(256):02x}:{i:02x}:{r.randrange(256):02x}",
                    **kw,
                )
            )
        n = random.Random(seed * 77)
        self.pub = lambda a=None: (
            f"{n.choice([3, 18, 34, 44, 52, 54])}.{n.randrange(8, 240)}"
            f".{n.randrange(1, 254)}.{n.randrange(1, 254)}"
        )
        self.ips, self.resolved = ips or {}, {}
        self.account = "".join(n.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(13))
        self.iot = f"a{self.account}-ats.iot.{region}.amazonaws.com"
        self.cred = f"c{self.account}.credentials.iot.{region}.amazonaws.com"
        self.logs, self.mon, self.s3 = (
            f"logs.{region}.amazonaws.com",
            f"monitoring.{region}.amazonaws.com",
            f"s3.{region}.amazonaws.com",
        )
        self.ecr = f"api.ecr.{region}.amazonaws.com"
        self.sessions = []
        self.sitetext = None
        self.end = None
        self.file = b""

    @property
    def t0(self):
        return self.w.start / SECOND

    def sorted(self):
        """(time, frame, interface), until `end` where one is set."""
        stop = self.end or float("inf")
        return [(t, frame, 0) for t, frame in self.w.sorted() if t < stop]

    def site(self):
        return self.toml()

    def toml(self, name="plant", extra="", cams=True):
        """The site file that fits."""
        dual = self.topology == "dual"
        ports = [("eth0", "camera" if dual else "both", self.a0)]
        ports += [("eth1", "cloud", self.a1)] if dual else []
        lines = [
            "[site]",
            f'name = "{name}"',
            f'topology = "{"dual" if dual else "single"}"',
            f'region = "{self.region}"',
            'vantage = "mirror"',
        ]
        for port, role, host in ports:
            lines += [f"[ports.{port}]", f'role = "{role}"', f'mac = "{host.mac}"']
            lines += [f'address = "{host.ip}/24"']
        lines += ["[network]", f'local = ["{self.camnet}.0/24", "{self.cloudnet}.0/24"]']
        lines += [f'gateways = ["{self.gw.ip}"]', f'dns = ["{self.dns_.ip}"]']
        lines += [f'ntp = ["{self.ntp_.ip}"]']
        for number, c in enumerate(self.cams if cams else (), 1):
            lines += ["[[camera]]", f'name = "cam{number}"', f'address = "{c.ip}"']
            lines += [f'url = "rtsp://{c.ip}{c.path}"', f"fps = {c.fps}"]
        return "\n".join(lines) + "\n" + extra

    def far(self, name, ip=None):
        ip = ip or self.ips.setdefault(name, self.pub())
        h = self.resolved.get((name, ip))
        if not h:
            h = self.resolved[name, ip] = Host(ip, self.gw.mac, 235 - hash_(name) % 9)
        h.mac = self.gw.mac
        return h

    def look(self, t, name, who=None, aaaa=True, **k):
        f = self.far(name)
        dns(self.w, t, who or self.a1, self.dns_, name, [f.ip], **k)
        if aaaa:
            dns(self.w, t + 0.0003, who or self.a1, self.dns_, name, [], "AAAA")
        return f

    def tls(self, t, name, rtt=None, look=True, who=None, port=443, **k):
        f = self.look(t, name, who) if look else self.far(name)
        return Tls(
            self.w,
            who or self.a1,
            f,
            port,
            t + (0.03 if look else 0),
            rtt or 0.018 + hash_(name) % 20 / 1000,
        )

    def mqtt(self, t, end, ping=30, bye=False, alpn="x-amzn-mqtt-ca", port=443, look=True):
        k = (
            self.tls(t, self.iot, look=look, port=port)
            .open()
            .hand(
                self.iot,
                [alpn] if alpn else None,
                v13=False,
                mutual=True,
                cn=f"*.iot.{self.region}.amazonaws.com",
            )
        )
        k.req(120, 33)
        k.req(95, 38)
        k.req(1200, 33)
        n = k.t + ping
        while n < end:
            k.req(26, 26, at=n, think=0.003)
            n += ping
        if bye:
            k.bye(end)
        return k

    def posts(self, t, end, name, every=10, v13=True, up=1400, down=420, reuse=True, think=0.03):
        k = None
        while t < end - 1:
            if k is None or not reuse:
                k = self.tls(t, name, look=True).open().hand(name, ["http/1.1"], v13=v13)
            k.req(up, down, at=t, think=think)
            if not reuse:
                k.bye()
            t += every
        if k and reuse:
            k.bye(min(end, k.t + 20)) if k.t + 20 < end else None
        return k

    def https(self, t, name, up=800, down=3000, **k):
        c = self.tls(t, name, **k).open().hand(name, ["http/1.1"])
        c.req(up, down)
        c.bye()
        return c

    def time(self, t, end, every=16, server=None, **k):
        while t < end:
            ntp(self.w, t, self.a1, server or self.ntp_, **k)
            t += every

    def arps(self, t, end, every=25):
        w = self.w
        while t < end:
            w.ask(t, self.a1, self.gw)
            for c in self.cams:
                w.ask(t + self.r.uniform(0, 3), self.a0, c)
            t += every

    def cloud(
        self,
        t=0.5,
        end=60,
        mqtt=True,
        logs=True,
        mon=True,
        s3=True,
        cred=True,
        time=True,
        ecr=False,
    ):
        if time:
            self.time(t + 0.2, end)
        if mqtt:
            self.mqtt(t + 0.5, end)
        if logs:
            self.posts(t + 1, end, self.logs, 10)
        if mon:
            self.posts(t + 2, end, self.mon, 20, reuse=False, v13=False)
        if cred:
            self.https(t + 1.5, self.cred, 400, 1500)
        if s3:
            self.posts(t + 4, end, self.s3, 30, reuse=False, up=20000, down=600)
        if ecr:
            self.https(t + 3, self.ecr)

    def stream(self, t=0.3, end=60, which=None, **k):
        for i, c in enumerate(self.cams):
            if which is not None and i not in which:
                continue
            self.sessions.append(
                Session(self.w, self.a0, c, t + i * 0.21, end, **{"teardown": False, **k})
            )

    def healthy(self, end=60, **k):
        self.arps(0.1, end)
        self.cloud(0.5, end)
        self.stream(0.3, end, **k)
        self.lan(end)
        return self

    def lan(self, end, t=0):
        """What is there in every network: spanning tree, LLDP, a camera's mDNS and SSDP."""
        w = self.w
        x = t + 0.7
        while x < end:
            bpdu(w, x)
            x += 2
        lldp(w, t + 1.2)
        if end - t > 31:
            lldp(w, t + 31.2)
        for c in self.cams[:1]:
            w.udp(
                t + 2.2,
                c,
                Host("239.255.255.250", "01:00:5e:7f:ff:fa"),
                1900,
                1900,
                b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n"
                b"NT: upnp:rootdevice\r\nUSN: uuid:1\r\n"
                b"LOCATION: http://%s:80/rootDesc.xml\r\n\r\n" % c.ip.encode(),
                ttl=4,
            )


def scene(seed, end=80, cams=2, other=None, **k):
    "A site that lives; `other`: a camera that is not read here."
    p = Day(
        seed,
        k.pop("top", "dual"),
        cams,
        cam={"fps": 10, "kbps": 120, "gop": 2.0} | k.pop("cam", {}),
    )
    p.arps(0.1, end)
    p.cloud(0.5, end)
    p.lan(end)
    p.stream(
        0.3,
        end,
        which=range(cams) if other is None else [i for i in range(cams) if i != other],
        **k,
    )
    return p
