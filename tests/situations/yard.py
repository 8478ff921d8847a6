"""A site by another hand than `town`'s: its hosts, names, time and leases, as frames.

Nothing of `town` or `wire` is used, so that a mistake of theirs is not this one's as well.
Addresses, names, MACs, region, resolvers and round trips vary with the seed. Times are seconds from
the start.
"""

from __future__ import annotations

import datetime
import ipaddress
import random
import struct
from typing import Any

from tests.situations.yard_site import site_text
from tests.situations.yard_tcp import SYN, Conn, csum, mac

Frames = list[tuple[float, bytes, int]]

REGIONS = [
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ca-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
]


BCAST = "ff:ff:ff:ff:ff:ff"


class Host:
    def __init__(
        self, mac_: str, ip: str, ip6: str | None = None, ttl: int = 64, name: str = ""
    ) -> None:
        self.mac, self.ip, self.ip6, self.ttl, self.name = mac_, ip, ip6, ttl, name
        self.raw = mac(mac_)
        self.packed = ipaddress.ip_address(ip).packed
        self.ident = random.Random(ip).randrange(60000)

    def at(self, ip: str, mac_: str | None = None) -> Host:
        return Host(mac_ or self.mac, ip, ttl=self.ttl, name=self.name)


def _mac_text(maker: str, number: int) -> str:
    return f"{maker}:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


class Yard:
    """The site's wire: frames as (seconds, bytes, interface)."""

    def __init__(
        self,
        seed: int = 1,
        start: float | None = None,
        region: str | None = None,
        topology: str = "dual",
        cams: int = 2,
        dns: str = "local",
        ntp: str = "local",
        plan: str | None = None,
        mqtt_port: int = 443,
        v13: bool = True,
        ip6: bool = False,
        rtt: float | None = None,
        vlan: int | list[int] | None = None,
    ) -> None:
        self.r = r = random.Random(seed)
        self.seed, self.topology, self.mqtt_port, self.v13 = seed, topology, mqtt_port, v13
        self.region = region or r.choice(REGIONS)
        day = datetime.datetime(2025, 11, 3, tzinfo=datetime.UTC) + datetime.timedelta(
            days=r.randrange(180), seconds=r.randrange(86000)
        )
        self.t0 = start if start is not None else int(day.timestamp()) + round(r.random(), 6)
        self.frames: Frames = []
        self.vlan, self.rtt = vlan, rtt or r.choice([0.011, 0.024, 0.048, 0.091])
        self.sitetext: str | None = None  # instead of what `site` says
        self.file = b""  # a capture file of its own format
        a, b = r.randrange(1, 250), r.randrange(1, 250)
        plan = plan or r.choice(["10", "172", "192"])
        self.camnet = {
            "10": f"10.{a}.{b}.",
            "172": f"172.{16 + a % 16}.{b}.",
            "192": f"192.168.{b}.",
        }[plan]
        self.net = (
            self.camnet
            if topology == "single"
            else {
                "10": f"10.{a}.{b % 200 + 51}.",
                "172": f"172.{16 + a % 16}.{b % 200 + 51}.",
                "192": f"192.168.{b % 200 + 51}.",
            }[plan]
        )
        if self.net == self.camnet and topology != "single":
            self.net = f"10.{a}.251."
        me = r.randrange(10, 50)
        oui = r.choice(["8c:47:be", "00:30:64", "00:1b:21", "d4:5d:64"])
        m0, m1 = r.randrange(0x100000, 0xEFFFFF), 0
        m1 = m0 + 1
        f = _mac_text
        gw = r.choice([1, 254])
        self.eth0 = Host(f(oui, m0), self.camnet + str(me))
        self.eth1 = Host(
            f(oui, m1), self.net + str(me + (1 if topology == "single" else 0)), ip6=None
        )
        self.cloud = self.eth0 if topology == "single" else self.eth1
        self.router = Host(
            f("00:09:0f", r.randrange(1 << 20, 1 << 23)), self.net + str(gw), ttl=255
        )
        self.camrouter = (
            self.router
            if topology == "single"
            else Host(f("00:09:0f", r.randrange(1 << 20, 1 << 23)), self.camnet + str(gw), ttl=255)
        )
        self.resolver = (
            self.remote("9.9.9.9")
            if dns == "public"
            else Host(f("00:15:5d", r.randrange(1 << 20, 1 << 23)), self.net + "53")
            if dns == "host"
            else self.router
        )
        self.dnsmode, self.ntpmode = dns, ntp
        self.clock = (
            self.remote("162.159.200.1")
            if ntp == "public"
            else Host(f("00:0e:5e", r.randrange(1 << 20, 1 << 23)), self.net + "123")
            if ntp == "host"
            else self.router
        )
        ouis = [
            "ac:cc:8e",
            "4c:bd:8f",
            "00:02:d1",
            "e4:30:22",
            "00:16:6c",
            "b8:a4:4f",
            "3c:ef:8c",
            "ec:71:db",
        ]
        self.cams = [
            Host(
                f(ouis[(seed + i) % 8], r.randrange(1 << 20, 1 << 23)),
                self.camnet + str(101 + 7 * i),
                name=f"cam{i + 1}",
            )
            for i in range(cams)
        ]
        self.pc = Host(f("3c:52:82", r.randrange(1 << 20, 1 << 23)), self.net + "177", ttl=128)
        self.campc = Host(
            f("3c:52:82", r.randrange(1 << 20, 1 << 23)), self.camnet + "178", ttl=128
        )
        tag = "".join(r.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(12))
        g = self.region
        self.IOT, self.CRED = (
            f"a{tag}-ats.iot.{g}.amazonaws.com",
            f"c{tag}.credentials.iot.{g}.amazonaws.com",
        )
        self.LOGS, self.MON, self.S3 = (
            f"logs.{g}.amazonaws.com",
            f"monitoring.{g}.amazonaws.com",
            f"s3.{g}.amazonaws.com",
        )
        self.ECR, self.DKR = (
            f"api.ecr.{g}.amazonaws.com",
            f"{r.randrange(10**11, 10**12)}.dkr.ecr.{g}.amazonaws.com",
        )
        self.LAYERS = f"prod-{g}-starport-layer-bucket.s3.{g}.amazonaws.com"

        def o(start: str) -> str:
            return f"{start}.{r.randrange(256)}.{r.randrange(1, 255)}"

        self.A = {
            self.IOT: [o("44.196"), o("44.197"), o("54.81")],
            self.CRED: [o("3.208"), o("3.209")],
            self.LOGS: [o("52.94")],
            self.MON: [o("52.95")],
            self.S3: [o("52.217"), o("52.216")],
            self.ECR: [o("44.213")],
            self.DKR: [o("44.214"), o("34.195")],
            self.LAYERS: [o("16.182")],
        }
        self.eph, self.txid = r.randrange(32800, 58000), r.randrange(1000, 60000)

    # ------------------------------------------------------------ frames
    def remote(self, ip: str, ttl: int | None = None, router: Host | None = None) -> Host:
        router = router or self.router
        return Host(router.mac, ip, ttl=ttl or random.Random(ip).choice([47, 52, 55, 232, 238]))

    def put(self, at: float, frame: bytes, iface: int = 0) -> None:
        self.frames.append((at, frame, iface))

    def eth(
        self,
        at: float,
        src: bytes,
        dst: bytes,
        kind: int,
        body: bytes,
        vlan: int | list[int] | None = None,
        pad: bool = True,
        iface: int = 0,
    ) -> None:
        """src, dst: six bytes."""
        vlan = self.vlan if vlan is None else vlan
        head = dst + src
        for tag in vlan if isinstance(vlan, (list, tuple)) else [vlan] if vlan is not None else []:
            head += struct.pack("!HH", 0x8100, tag)
        frame = head + struct.pack("!H", kind) + body
        self.put(at, frame.ljust(60, b"\0") if pad else frame, iface)

    def packet(
        self,
        src: Host,
        dst: Host,
        proto: int,
        body: bytes,
        ttl: int | None = None,
        df: bool = True,
        ident: int | None = None,
        frag: int = 0,
        tos: int = 0,
    ) -> bytes:
        src.ident = (src.ident + 1) & 0xFFFF
        if ":" in src.ip:
            return (
                struct.pack("!IHBB", 6 << 28, len(body), proto, ttl or src.ttl)
                + src.packed
                + dst.packed
                + body
            )
        head = struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            tos,
            20 + len(body),
            src.ident if ident is None else ident,
            frag | (0x4000 if df and not frag else 0),
            ttl or src.ttl,
            proto,
            0,
            src.packed,
            dst.packed,
        )
        return head[:10] + struct.pack("!H", csum(head)) + head[12:] + body

    def ip(self, at: float, src: Host, dst: Host, proto: int, body: bytes, **more: Any) -> bytes:
        eth = {k: more.pop(k) for k in ("vlan", "iface") if k in more}
        to = more.pop("tomac", None)
        p = self.packet(src, dst, proto, body, **more)
        first = int(dst.ip.split(".")[0]) if "." in dst.ip else 0
        d = (
            mac(to)
            if to
            else (
                b"\x01\0\x5e" + bytes([dst.packed[1] & 127]) + dst.packed[2:]
                if 224 <= first < 240
                else b"\xff" * 6
                if dst.ip.endswith("255.255.255.255")
                else dst.raw
            )
        )
        self.eth(at, src.raw, d, 0x86DD if ":" in src.ip else 0x800, p, **eth)
        return p

    def udp(
        self, at: float, src: Host, sport: int, dst: Host, dport: int, data: bytes, **more: Any
    ) -> bytes:
        pseudo = (
            src.packed + dst.packed + struct.pack("!BBH", 0, 17, 8 + len(data))
            if "." in src.ip
            else src.packed + dst.packed + struct.pack("!IHBB", 8 + len(data), 0, 0, 17)
        )
        head = struct.pack("!HHHH", sport, dport, 8 + len(data), 0)
        c = csum(pseudo + head + data) or 0xFFFF
        return self.ip(
            at, src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), c) + data, **more
        )

    def rtpudp(
        self, at: float, src: Host, sport: int, dst: Host, dport: int, data: bytes, **more: Any
    ) -> bytes:
        """Without a checksum, as some cameras send (quicker)."""
        return self.ip(
            at, src, dst, 17, struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data, **more
        )

    def arp(
        self,
        at: float,
        op: int,
        src: Host,
        target_ip: str,
        to: str | None = None,
        sip: str | None = None,
        **more: Any,
    ) -> None:
        d = mac(to) if to else b"\xff" * 6
        body = struct.pack(
            "!HHBBH6s4s6s4s",
            1,
            0x800,
            6,
            4,
            op,
            src.raw,
            ipaddress.ip_address(sip or src.ip).packed,
            d if op == 2 else bytes(6),
            ipaddress.ip_address(target_ip).packed,
        )
        self.eth(at, src.raw, d, 0x806, body, **more)

    def who(self, at: float, asker: Host, target: Host, answers: bool = True, **more: Any) -> None:
        """ARP: asked, and answered by a host."""
        self.arp(at, 1, asker, target.ip, **more)
        if answers:
            self.arp(at + 0.0003, 2, target, asker.ip, to=asker.mac, **more)

    def icmp(
        self,
        at: float,
        src: Host,
        dst: Host,
        kind: int,
        code: int,
        quoted: bytes = b"",
        rest: int = 0,
        **more: Any,
    ) -> bytes:
        body = struct.pack("!BBHI", kind, code, 0, rest) + quoted[: 28 + 8]
        return self.ip(
            at, src, dst, 1, body[:2] + struct.pack("!H", csum(body)) + body[4:], df=False, **more
        )

    # ------------------------------------------------------------ names, time, leases
    @staticmethod
    def qname(name: str) -> bytes:
        return b"".join(bytes([len(p)]) + p.encode() for p in name.rstrip(".").split(".")) + b"\0"

    def dnsmsg(
        self,
        txid: Any,
        name: str,
        qtype: int,
        answers: list[tuple[Any, ...]] | None = None,
        rcode: int = 0,
        aa: bool = False,
        tc: bool = False,
        soa: bool = False,
    ) -> bytes:
        """answers: list of (type, data, ttl) with an optional owner."""
        flags = (
            0x0100
            if answers is None
            else 0x8180 | rcode | (0x400 if aa else 0) | (0x200 if tc else 0)
        )
        out = (
            struct.pack("!HHHHHH", txid, flags, 1, len(answers or []), 1 if soa else 0, 0)
            + self.qname(name)
            + struct.pack("!HH", qtype, 1)
        )
        for one in answers or []:
            kind, data, ttl = one[:3]
            owner = self.qname(one[3]) if len(one) > 3 else b"\xc0\x0c"
            raw = ipaddress.ip_address(data).packed if kind in (1, 28) else self.qname(data)
            out += owner + struct.pack("!HHIH", kind, 1, ttl, len(raw)) + raw
        if soa:
            raw = (
                self.qname("ns1.example.net")
                + self.qname("hostmaster.example.net")
                + struct.pack("!IIIII", 1, 7200, 900, 1209600, 60)
            )
            out += b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 60, len(raw)) + raw
        return out

    def look(
        self,
        at: float,
        name: str,
        addrs: list[str] | None = None,
        qtype: int = 1,
        rcode: int = 0,
        after: float | None = 0.008,
        server: Host | None = None,
        client: Host | None = None,
        again: int = 0,
        ttl: int = 60,
        cname: str | None = None,
        soa: bool | None = None,
    ) -> float:
        """One lookup; after=None: silent, asked `again` more times 5 s apart."""
        server, client = server or self.resolver, client or self.cloud
        self.txid = (self.txid + 7919) & 0xFFFF
        sport = 1024 + (self.txid * 31) % 60000
        for n in range(again + 1):
            self.udp(at + 5 * n, client, sport, server, 53, self.dnsmsg(self.txid, name, qtype))
        if after is None:
            return at + 5 * (again + 1)
        addrs = (
            (self.A.get(name, []) if qtype == 1 and rcode == 0 else []) if addrs is None else addrs
        )
        answers: list[tuple[Any, ...]] = []
        if cname:
            answers.append((5, cname, ttl))
        for a in addrs:
            answers.append((qtype, a, ttl, cname) if cname else (qtype, a, ttl))
        self.udp(
            at + after,
            server,
            53,
            client,
            sport,
            self.dnsmsg(
                self.txid, name, qtype, answers, rcode, soa=not addrs if soa is None else soa
            ),
        )
        return at + after

    def ntp(
        self,
        at: float,
        server: Host | None = None,
        client: Host | None = None,
        off: float = 0.0,
        answer: bool = True,
        stratum: int = 2,
        leap: int = 0,
        ref: bytes = b"GPS\0",
        fromhost: Host | None = None,
        soff: float = 0.0,
        wait: float = 0.004,
    ) -> None:
        server, client = server or self.clock, client or self.cloud

        def st(t):
            return int((t + self.t0 + 2208988800) * 2**32) & (2**64 - 1)

        xmt = st(at + off)
        self.udp(
            at,
            client,
            123,
            server,
            123,
            struct.pack("!BBbbIIIQQQQ", 0x23, 0, 6, -20, 0, 0, 0, 0, 0, 0, xmt),
        )
        if answer:
            t = at + wait
            self.udp(
                t + wait,
                fromhost or server,
                123,
                client,
                123,
                struct.pack(
                    "!BBbbII4sQQQQ",
                    leap << 6 | 0x24,
                    stratum,
                    6,
                    -20,
                    900,
                    700,
                    ref,
                    st(t + soff - 30),
                    xmt,
                    st(t + soff),
                    st(t + soff),
                ),
            )

    def dhcp(
        self,
        at: float,
        kind: int,
        who: Host,
        server: Host | None = None,
        yi: str = "0.0.0.0",
        xid: int = 1,
        opts: bytes = b"",
        ci: str = "0.0.0.0",
        src: Host | None = None,
        dst: Host | None = None,
    ) -> None:
        """kind: 1 DISCOVER 2 OFFER 3 REQUEST 5 ACK 6 NAK ..."""
        reply = kind in (2, 5, 6)
        si = server.packed if reply and server else bytes(4)
        body = struct.pack(
            "!BBBBIHH4s4s4s4s16s",
            2 if reply else 1,
            1,
            6,
            0,
            xid,
            0,
            0,
            ipaddress.ip_address(ci).packed,
            ipaddress.ip_address(yi).packed,
            si,
            bytes(4),
            who.raw.ljust(16, b"\0"),
        )
        body += bytes(192) + b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + opts + b"\xff"
        body = body.ljust(300, b"\0")
        if reply:
            self.udp(
                at,
                server,
                67,
                dst or Host(who.mac, yi if kind != 6 else "255.255.255.255"),
                68,
                body,
                df=False,
            )
        elif src:
            self.udp(at, src, 68, dst, 67, body, df=False)
        else:
            self.udp(
                at, Host(who.mac, "0.0.0.0"), 68, Host(BCAST, "255.255.255.255"), 67, body, df=False
            )

    @staticmethod
    def opt(n: int, data: bytes) -> bytes:
        return bytes([n, len(data)]) + data

    def lease(
        self,
        at: float,
        who: Host,
        server: Host,
        router: str,
        dns: str,
        seconds: int = 86400,
        mask: str = "255.255.255.0",
        xid: int | None = None,
    ) -> None:
        xid = xid or self.r.randrange(1 << 31)

        def p(a):
            return ipaddress.ip_address(a).packed

        o = (
            self.opt(54, server.packed)
            + self.opt(51, struct.pack("!I", seconds))
            + self.opt(1, p(mask))
            + self.opt(3, p(router))
            + self.opt(6, p(dns))
        )
        host = self.opt(12, (who.name or "panorama").encode()) + self.opt(55, b"\1\3\6\x0f\x2a")
        self.dhcp(at, 1, who, xid=xid, opts=host)
        self.dhcp(at + 0.01, 2, who, server, who.ip, xid, o)
        self.dhcp(
            at + 0.02,
            3,
            who,
            xid=xid,
            opts=self.opt(50, who.packed) + self.opt(54, server.packed) + host,
        )
        self.dhcp(at + 0.03, 5, who, server, who.ip, xid, o)
        for n in range(2):
            self.arp(at + 0.1 + n, 1, who, who.ip)

    # ------------------------------------------------------------ connections
    def tcp(
        self,
        client: Host,
        server: Host,
        dport: int,
        sport: int | None = None,
        rtt: float | None = None,
        mss: int = 1460,
    ) -> Conn:
        if sport is None:
            self.eph += self.r.choice([1, 2, 3])
            if self.eph > 60900:
                self.eph = 32800
            sport = self.eph
        return Conn(self, client, sport, server, dport, self.rtt if rtt is None else rtt, mss)

    def to(
        self, name: str, port: int = 443, addr: str | None = None, client: Host | None = None
    ) -> Conn:
        return self.tcp(client or self.cloud, self.remote(addr or self.A[name][0]), port)

    def knock(
        self,
        at: float,
        name: str | None = None,
        port: int = 443,
        addr: str | None = None,
        times: int = 4,
        client: Host | None = None,
        host: Host | None = None,
    ) -> Conn:
        c = self.tcp(client or self.cloud, host or self.remote(addr or self.A[name][0]), port)
        for n in range(times):
            c.seg(at + 2**n - 1, True, SYN)
        return c

    def visit(
        self,
        at: float,
        name: str,
        look: bool = True,
        port: int = 443,
        addr: str | None = None,
        stay: float = 1.0,
        alpn: tuple[str, ...] = (),
        up: int = 400,
        down: int = 900,
        v13: bool | None = None,
        client: Host | None = None,
        **more: Any,
    ) -> Conn:
        """A lookup and a whole HTTPS exchange, closed by the client."""
        if look:
            self.look(at, name, client=client)
        c = self.to(name, port, addr, client)
        t = c.tls(at + 0.012, name, alpn, v13=self.v13 if v13 is None else v13, **more)
        t = c.data(t + 0.002, up, down)
        c.close(max(t, at + stay))
        return c

    def mqtt(
        self,
        at: float,
        until: float,
        every: float = 30.0,
        look: bool = True,
        addr: str | None = None,
        port: int | None = None,
    ) -> Conn:
        port = port or self.mqtt_port
        if look:
            self.look(at, self.IOT)
        c = self.to(self.IOT, port, addr)
        t = c.tls(
            at + 0.012, self.IOT, ("x-amzn-mqtt-ca",) if port == 443 else (), v13=self.v13, cc=True
        )
        t = c.data(t, 180, 40)
        while t + every < until:
            t += every
            c.data(t, 31, 31)
        return c

    def begin(self, at: float = 0.2, skip: tuple[str, ...] = ()) -> None:
        """The morning's round: gateway, time, each endpoint once."""
        self.who(at, self.cloud, self.router)
        self.ntp(at + 0.1)
        names = [self.CRED, self.LOGS, self.MON, self.S3]
        for n, name in enumerate(names):
            if name not in skip:
                self.visit(at + 0.3 + 0.45 * n, name)

    def goes_on(
        self,
        start: float,
        end: float,
        every: float = 20.0,
        names: bool = True,
        skip: tuple[str, ...] = (),
        step: Any | None = None,
    ) -> None:
        """ARP, time, lookups, logs and metrics by turns."""
        at, n = start, 0
        while at < end:
            self.who(at, self.cloud, self.router)
            self.ntp(at + 1.3)
            name = (self.LOGS, self.MON, self.S3, self.CRED)[n % 4]
            if name not in skip and names:
                self.visit(at + 2.1, name)
            self.arp(at + 3.7, 1, self.pc, self.net + str(180 + n % 9))
            at += every
            n += 1

    def well(self, end: float, mqtt: bool = True, begin: float = 0.2, **more: Any) -> Yard:
        self.begin(begin)
        if mqtt:
            self.mqtt(begin + 2.6, end)
        self.goes_on(begin + 8, end - 3, **more)
        return self

    # ------------------------------------------------------------ out

    def site(self, **more: Any) -> str:
        """Its site file."""
        return site_text(self, **more)

    def sorted(self) -> Frames:
        return sorted(self.frames, key=lambda f: f[0])
