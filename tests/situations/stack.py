"""A site whose hosts behave as the stacks that people run: Linux, embedded, Windows.

Frames are bytes from the RFCs; nothing of the other builders is used. Times are seconds from the
start. The seed varies addresses, MACs, makers, region and round trips.
"""

from __future__ import annotations

import datetime
import ipaddress
import random
import struct
from array import array
from functools import lru_cache

Frames = list[tuple[float, bytes, int]]

REGIONS = (
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ca-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
)
BROADCAST = "ff:ff:ff:ff:ff:ff"
MAKERS = {
    "axis": "ac:cc:8e",
    "hikvision": "4c:bd:8f",
    "dahua": "3c:ef:8c",
    "reolink": "ec:71:db",
    "hanwha": "e4:30:22",
    "vivotek": "00:02:d1",
    "amcrest": "9c:8e:cd",
    "bosch": "00:07:5f",
}


@lru_cache(4096)
def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


@lru_cache(4096)
def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    words = array("H", data)
    words.byteswap()
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


class Host:
    """An address behind a MAC; `stack` says how its TCP and IP look."""

    def __init__(self, mac, ip, stack="linux", ttl=None, name="", ip6=None):
        self.mac, self.ip, self.stack, self.name, self.ip6 = mac, ip, stack, name, ip6
        self.ttl = ttl or {"windows": 128, "router": 255}.get(stack, 64)
        self.ident = random.Random(ip).randrange(60000)
        self.ticks = random.Random(ip + mac).randrange(1 << 31)
        self.port = 32768 + random.Random(mac).randrange(20000)

    def at(self, ip, mac=None):
        return Host(mac or self.mac, ip, self.stack, self.ttl, self.name)

    def ephemeral(self):
        self.port += random.Random(self.port).choice([2, 4, 6, 14, 22])
        if self.port > 60990:
            self.port = 32770
        return self.port


class Site:
    """The wire of a site: frames as (seconds, bytes, interface)."""

    def __init__(
        self,
        seed=1,
        topology="dual",
        cams=1,
        maker=None,
        region=None,
        plan=None,
        dns="router",
        ntp="router",
        rtt=None,
    ):
        r = self.r = random.Random(seed * 7919 + 13)
        self.topology = topology
        self.region = region or r.choice(REGIONS)
        day = datetime.datetime(2026, 1, 12, tzinfo=datetime.UTC)
        day += datetime.timedelta(days=r.randrange(110), seconds=r.randrange(3600, 80000))
        self.t0 = int(day.timestamp()) + round(r.random(), 6)
        self.frames: Frames = []
        self.sitetext: str | None = None
        self.file = b""
        self.rtt = rtt or r.choice([0.009, 0.017, 0.031, 0.064, 0.112])
        a, b = r.randrange(2, 240), r.randrange(2, 120)
        plan = plan or r.choice(["10", "172", "192"])
        head = {"10": f"10.{a}.", "172": f"172.{16 + a % 16}.", "192": "192.168."}[plan]
        self.camnet = f"{head}{b}."
        self.net = self.camnet if topology == "single" else f"{head}{b + 60}."
        me = r.randrange(20, 60)
        tail = f"{r.randrange(256):02x}:{r.randrange(256):02x}"
        self.eth0 = Host(f"48:b0:2d:{tail}:10", self.camnet + str(me), name="eth0")
        self.eth1 = Host(f"48:b0:2d:{tail}:11", self.net + str(me + 1), name="eth1")
        self.cloud = self.eth0 if topology == "single" else self.eth1
        self.router = Host(f"00:09:0f:09:{tail}", self.net + "1", "router", 64)
        self.camrouter = (
            self.router
            if topology == "single"
            else Host(f"00:09:0f:0a:{tail}", self.camnet + "1", "router", 64)
        )
        self.switch = Host(f"70:10:6f:{tail}:80", self.camnet + "2", "embedded")
        self.resolver = {
            "router": self.router,
            "host": Host(f"00:15:5d:{tail}:35", self.net + "10", "windows"),
            "public": self.far("9.9.9.9"),
        }[dns]
        self.clock = {
            "router": self.router,
            "host": Host(f"00:0e:5e:{tail}:7b", self.net + "11"),
            "public": self.far("162.159.200.1"),
        }[ntp]
        self.public_time = ntp == "public"
        makers = [maker or r.choice(sorted(MAKERS)) for _ in range(cams)]
        self.cams = [
            Host(
                f"{MAKERS[m]}:{tail}:{i:02x}",
                self.camnet + str(101 + 3 * i),
                "embedded",
                name=f"cam{i + 1}",
            )
            for i, m in enumerate(makers)
        ]
        self.pc = Host(f"3c:52:82:{tail}:01", self.net + "177", "windows")
        self.campc = Host(f"3c:52:82:{tail}:02", self.camnet + "178", "windows")
        self.printer = Host(f"00:1b:a9:{tail}:03", self.net + "90", "embedded")
        tag = "".join(r.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(13))
        g = self.region
        self.IOT = f"a{tag}-ats.iot.{g}.amazonaws.com"
        self.CRED = f"c{tag}.credentials.iot.{g}.amazonaws.com"
        self.LOGS, self.MON = f"logs.{g}.amazonaws.com", f"monitoring.{g}.amazonaws.com"
        self.S3, self.ECR = f"s3.{g}.amazonaws.com", f"api.ecr.{g}.amazonaws.com"
        self.account = r.randrange(10**11, 10**12)
        self.DKR = f"{self.account}.dkr.ecr.{g}.amazonaws.com"
        self.LAYERS = f"prod-{g}-starport-layer-bucket.s3.{g}.amazonaws.com"
        self.addresses: dict[str, list[str]] = {}

    def ips(self, name):
        """Addresses of a name, the same each time."""
        if name not in self.addresses:
            r = random.Random(name)
            head = {"logs": "52.94", "moni": "52.95", "s3.": "52.216"}.get(name[:4], "44.196")
            many = 4 if ".iot." in name else 1
            self.addresses[name] = [
                f"{head}.{r.randrange(256)}.{r.randrange(1, 255)}" for _ in range(many)
            ]
        return self.addresses[name]

    def far(self, ip, ttl=None, router=None):
        """A host on the internet, or behind a router."""
        ttl = ttl or random.Random(ip).choice([43, 48, 53, 229, 236])
        return Host((router or self.router).mac, ip, "far", ttl)

    # ---------------------------------------------------------- frames
    def put(self, at, frame, iface=0):
        self.frames.append((at, frame, iface))

    def eth(self, at, src, dst, kind, body, iface=0):
        """src, dst: MACs as text."""
        frame = raw(dst) + raw(src) + struct.pack("!H", kind) + body
        self.put(at, frame.ljust(60, b"\0"), iface)

    def llc(self, at, src, dst, body):
        """An 802.3 frame with a length."""
        frame = raw(dst) + raw(src) + struct.pack("!H", len(body)) + body
        self.put(at, frame.ljust(60, b"\0"))

    def packet(self, src, dst, proto, body, ttl=None, df=True, tos=0, frag=0, ident=None):
        if ":" in src.ip:
            return (
                struct.pack("!IHBB", 6 << 28 | tos << 20, len(body), proto, ttl or src.ttl)
                + packed(src.ip)
                + packed(dst.ip)
                + body
            )
        src.ident = (src.ident + 1) & 0xFFFF
        head = (
            struct.pack(
                "!BBHHHBBH",
                0x45,
                tos,
                20 + len(body),
                src.ident if ident is None else ident,
                frag or (0x4000 if df else 0),
                ttl or src.ttl,
                proto,
                0,
            )
            + packed(src.ip)
            + packed(dst.ip)
        )
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def ip(self, at, src, dst, proto, body, iface=0, **more):
        whole = self.packet(src, dst, proto, body, **more)
        six = ":" in src.ip
        first = packed(dst.ip)
        if six:
            mac = dst.mac if first[0] != 0xFF else "33:33:" + first[12:].hex(":")
        elif 224 <= first[0] < 240:
            mac = f"01:00:5e:{first[1] & 127:02x}:{first[2]:02x}:{first[3]:02x}"
        else:
            mac = dst.mac
        self.eth(at, src.mac, mac, 0x86DD if six else 0x800, whole, iface)
        return whole

    def pseudo(self, src, dst, proto, size):
        if ":" in src.ip:
            return packed(src.ip) + packed(dst.ip) + struct.pack("!IHBB", size, 0, 0, proto)
        return packed(src.ip) + packed(dst.ip) + struct.pack("!BBH", 0, proto, size)

    def udp(self, at, src, sport, dst, dport, data, check=True, **more):
        size = 8 + len(data)
        head = struct.pack("!HHHH", sport, dport, size, 0)
        if check:
            c = checksum(self.pseudo(src, dst, 17, size) + head + data) or 0xFFFF
            head = struct.pack("!HHHH", sport, dport, size, c)
        return self.ip(at, src, dst, 17, head + data, **more)

    def icmp(self, at, src, dst, kind, code, quoted=b"", rest=0, body=None):
        data = struct.pack("!BBHI", kind, code, 0, rest) + (quoted[:36] if body is None else body)
        data = data[:2] + struct.pack("!H", checksum(data)) + data[4:]
        self.ip(at, src, dst, 1, data, df=False)

    def arp(self, at, op, src, target, to=None, says=None, of=None):
        """op 1 asks, 2 answers; `to` a MAC for unicast; `says` the sender's address."""
        known = to or (BROADCAST if op == 2 else None)
        body = struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + raw(src.mac) + packed(says or src.ip)
        body += (raw(of or known) if op == 2 or to else bytes(6)) + packed(target)
        self.eth(at, src.mac, to or BROADCAST, 0x806, body)

    def who(self, at, asker, target, answers=True):
        """Broadcast question, unicast answer."""
        self.arp(at, 1, asker, target.ip)
        if answers:
            self.arp(at + 0.0004, 2, target, asker.ip, to=asker.mac)

    def refresh(self, at, asker, target, answers=True, tries=3):
        """A Linux neighbour entry's unicast probe; unanswered, three of it and then broadcast."""
        for n in range(1 if answers else tries):
            self.arp(at + n * 1.02, 1, asker, target.ip, to=target.mac)
        if answers:
            self.arp(at + 0.0003, 2, target, asker.ip, to=asker.mac)

    def announce(self, at, host, op=1):
        """Gratuitous ARP."""
        self.arp(at, op, host, host.ip)

    # ---------------------------------------------------------- the site file
    def site(self, **more):
        return site_text(self, **more)

    def sorted(self):
        return sorted(self.frames, key=lambda f: f[0])


def site_text(
    s, cams=True, ntp=True, dns=True, extra="", region=True, private_link=False, paths=None
):
    """TOML, as a careful person would have written it."""
    dual = s.topology != "single"
    lines = ["[site]", 'name = "works"', f'topology = "{s.topology}"', 'vantage = "mirror"']
    if region:
        lines.append(f'region = "{s.region}"')
    if private_link:
        lines.append("private_link = true")
    for host, role in ((s.eth0, "camera"), (s.eth1, "cloud")):
        lines += [f"[ports.{host.name}]", f'mac = "{host.mac}"', f'address = "{host.ip}/24"']
        if dual:
            lines.append(f'role = "{role}"')
    nets = sorted({s.camnet + "0/24", s.net + "0/24"})
    gates = sorted({s.router.ip, s.camrouter.ip})
    lines += ["[network]", f"local = {quoted(nets)}", f"gateways = {quoted(gates)}"]
    if dns:
        lines.append(f"dns = {quoted([s.resolver.ip])}")
    if ntp and not s.public_time:
        lines.append(f"ntp = {quoted([s.clock.ip])}")
    for cam in s.cams if cams else []:
        path = (paths or {}).get(cam.name, "/live")
        lines += ["[[camera]]", f'name = "{cam.name}"', f'address = "{cam.ip}"']
        lines.append(f'url = "rtsp://{cam.ip}{path}"')
    return "\n".join(lines) + "\n" + extra


def quoted(values):
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"
