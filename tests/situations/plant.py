"""A factory in Ireland: another site than the town's, told closer to what a wire carries.

IP numbers count up, SYNs carry options, flights are cut into segments of the path's size, lookups
ask for A and AAAA at once and are answered with a chain, resolvers and clocks are behind the
gateway, and the office speaks on the same span.
"""

from __future__ import annotations

import ipaddress
import random
import struct

from panotui.model import Site
from tests.crafted import hello as tls
from tests.diagnosis.lan_wire import option, stamp
from tests.diagnosis.wire import (
    ACK,
    EVERYBODY,
    FIN,
    PSH,
    RST,
    SYN,
    arp_packet,
    dhcp_packet,
    dns_name,
    ethernet,
    handshake,
    server_id,
    udp_segment,
)
from tests.made_up import site
from tests.situations.town import Conn, Town, certificate

ETH1 = "02:00:00:00:00:11"
BOX = (ETH1, "10.133.41.27")
GATE = ("00:00:0c:07:ac:28", "10.133.40.1")  # HSRP's virtual MAC
DC1, DC2 = (GATE[0], "10.133.8.10"), (GATE[0], "10.133.8.11")  # resolvers and clocks of the firm
NMS = (GATE[0], "10.133.9.99")
BOX6, GATE6 = "2001:db8:41::27", (GATE[0], "fe80::5:73ff:fea0:28")

IOT = "a3kx0q7bqz1-ats.iot.eu-west-1.amazonaws.com"
CRED = "c2p9d1w5x8y4.credentials.iot.eu-west-1.amazonaws.com"
LOGS = "logs.eu-west-1.amazonaws.com"
METRICS = "monitoring.eu-west-1.amazonaws.com"
S3 = "s3.eu-west-1.amazonaws.com"
ECR = "api.ecr.eu-west-1.amazonaws.com"
NAMES = (IOT, CRED, LOGS, METRICS, S3, ECR)
HTTPS = NAMES[1:]
AT = {
    IOT: ("54.77.201.9", "52.212.44.130", "34.246.90.18"), CRED: ("52.49.7.201", "54.72.18.66"),
    LOGS: ("52.95.117.41",), METRICS: ("52.95.118.177",), S3: ("52.218.61.12", "52.218.97.3"),
    ECR: ("52.94.218.40", "52.94.219.11"),
}  # fmt: skip
SIX = {name: f"2a05:d018:{n + 1:x}::5" for n, name in enumerate(NAMES)}


def factory(**parts: object) -> Site:
    """The cloud port alone is mirrored; names and time come from the firm's two servers."""
    inside = {
        "gateways": [GATE[1]], "dns": [DC1[1], DC2[1]], "ntp": [DC1[1]],
        "local": ["10.133.0.0/16"],
    }  # fmt: skip
    base: dict[str, object] = {
        "site": {"topology": "dual", "region": "eu-west-1", "vantage": "mirror"},
        "ports": {
            "eth0": {"role": "camera", "mac": "02:00:00:00:00:10", "address": "10.133.60.5/24"},
            "eth1": {"role": "cloud", "mac": ETH1, "address": BOX[1] + "/22"},
        },
        "network": inside,
        "camera": [],
    }
    return site(**{**base, **parts})


def linked() -> Site:
    """AWS by private addresses."""
    return factory(
        site={
            "topology": "dual", "region": "eu-west-1", "vantage": "mirror", "private_link": True,
        }
    )  # fmt: skip


def outside() -> Site:
    """Names and time come from the internet."""
    return factory(network={"gateways": [GATE[1]], "dns": ["9.9.9.9", "1.1.1.1"], "ntp": []})


def ip4(src: str, dst: str, protocol: int, body: bytes, *, ttl: int = 64, number: int = 0,
        fragment: int = 0x4000) -> bytes:  # fmt: skip
    ends = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    head = struct.pack(
        "!BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xFFFF, fragment, ttl, protocol, 0
    )
    total = sum(struct.unpack("!10H", head + ends))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", check) + ends + body


def dns(number: int, name: str, kind: int, said: tuple[str, ...] | None, rcode: int = 0, *,
        chain: str = "", cut: bool = False, ttl: int = 60) -> bytes:  # fmt: skip
    """A question, or with `said` its answer; both with EDNS."""
    answers = b""
    count = 0
    owner = name
    if said and chain:
        target = dns_name(chain)
        answers += dns_name(name) + struct.pack("!HHIH", 5, 1, ttl, len(target)) + target
        owner, count = chain, 1
    for address in said or ():
        raw = ipaddress.ip_address(address).packed
        answers += dns_name(owner) + struct.pack("!HHIH", kind, 1, ttl, len(raw)) + raw
        count += 1
    flags = 0x120 if said is None else 0x8180 | rcode | (0x200 if cut else 0)
    head = struct.pack("!HHHHHH", number, flags, 1, 0 if cut else count, 0, 1)
    body = head + dns_name(name) + struct.pack("!HH", kind, 1)
    return body + (b"" if cut else answers) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


def granted(address: str = BOX[1], *, server: str = "10.133.8.20", router: str | None = GATE[1],
            dns: tuple[str, ...] = (DC1[1], DC2[1]), seconds: int = 28_800,
            mask: str = "255.255.252.0") -> bytes:  # fmt: skip
    """The options of an OFFER or ACK of the firm's DHCP servers."""
    return (
        server_id(server) + b"\x33\x04" + seconds.to_bytes(4, "big") + option(1, mask)
        + (option(3, router) if router else b"") + option(6, *dns)
    )  # fmt: skip


class Talk(Conn):
    """A TCP connection as a kernel of today makes it."""

    mss = 1448
    rtt = 0.021

    def __init__(self, plant: Plant, src: tuple[str, str, int], dst: tuple[str, str, int]) -> None:
        super().__init__(plant, src, dst)
        self.plant = plant
        self.sent, self.got = plant.chance.getrandbits(31), plant.chance.getrandbits(31)
        self.numbers = [plant.chance.getrandbits(15), plant.chance.getrandbits(15)]
        self.ttl_in = 236
        self.ttl_out = 64
        self.offers = 1460
        self.window_out, self.window_in = 502, 110

    def segment(self, at: float, out: bool, flags: int, body: bytes = b"",
                sequence: int | None = None) -> None:  # fmt: skip
        a, b = (self.src, self.dst) if out else (self.dst, self.src)
        mine, theirs = (self.sent, self.got) if out else (self.got, self.sent)
        clock = struct.pack("!BBII", 8, 10, int(at * 1000) + 77_000, int(at * 1000) + 900)
        if flags & SYN:
            options = struct.pack("!BBHBB", 2, 4, self.offers, 4, 2) + clock + b"\1\3\3\7"
        elif flags & RST:
            options = b""
        else:
            options = b"\1\1" + clock
        at_number = 0 if out else 1
        self.numbers[at_number] += 1
        header = struct.pack(
            "!HHIIBBHHH", a[2], b[2], (mine if sequence is None else sequence) & 0xFFFFFFFF,
            theirs & 0xFFFFFFFF if flags & ACK else 0, 0x50 + (len(options) // 4 << 4), flags,
            64240 if flags & SYN else self.window_out if out else self.window_in, 0, 0,
        )  # fmt: skip
        whole = header + options + body
        hops = self.ttl_out if out else self.ttl_in
        if ":" in a[1]:
            self.plant.six(at, a[:2], b[:2], 6, whole, hops)
            return
        number = 0 if flags & SYN and flags & ACK else self.numbers[at_number]
        packet = ip4(a[1], b[1], 6, whole, ttl=hops, number=number)
        self.plant.add(at, ethernet(a[0], b[0], 0x800, packet, self.vlan))

    def _pieces(self, at: float, out: bool, body: bytes, sequence: int | None) -> None:
        start = (self.sent if out else self.got) if sequence is None else sequence
        for n in range(0, len(body), self.mss):
            piece = body[n : n + self.mss]
            last = n + self.mss >= len(body)
            self.segment(at + n * 2e-8, out, ACK | (PSH if last else 0), piece, start + n)

    def send(self, at: float, body: bytes, *, again: bool = False) -> None:
        self._pieces(at, True, body, self.sent - len(body) if again else None)
        if not again:
            self.sent += len(body)

    def answer(self, at: float, body: bytes, *, again: bool = False) -> None:
        self._pieces(at, False, body, self.got - len(body) if again else None)
        if not again:
            self.got += len(body)

    def repeat(self, at: float, body: bytes, times: int, *, out: bool = True,
               first: float = 0.2) -> float:  # fmt: skip
        """What is never acknowledged, at doubled pauses; when the last was sent."""
        pause = first
        for _ in range(times):
            at += pause
            (self.send if out else self.answer)(at, body, again=True)
            pause *= 2
        return at

    def heard(self, at: float) -> None:
        """The server's bare acknowledgement."""
        self.segment(at, False, ACK)

    def opens(self, at: float, rtt: float | None = None) -> float:
        rtt = self.rtt if rtt is None else rtt
        self.segment(at, True, SYN)
        self.sent += 1
        self.segment(at + rtt, False, SYN | ACK)
        self.got += 1
        self.segment(at + rtt + 0.0001, True, ACK)
        return at + rtt

    def says(self, at: float, name: str | None, alpn: tuple[str, ...] = (), *,
             thirteen: bool = True) -> bytes:  # fmt: skip
        """A ClientHello of the usual 517 bytes."""
        more = tls.extension(23, b"") + tls.extension(5, b"\1\0\0\0\0") + tls.extension(35, b"")
        made = tls.client_hello(self.plant.chance, name, alpn, more=more, thirteen=thirteen)
        room = 512 - len(made) - 4
        if room > 0:
            more += tls.extension(21, bytes(room))
            made = tls.client_hello(self.plant.chance, name, alpn, more=more, thirteen=thirteen)
        body = tls.record(22, made, 0x301)
        self.send(at, body)
        return body

    def shows(self, at: float, name: str, alpn: str | None = None, *, thirteen: bool = True,
              issuer: str = "Amazon", common: str = "Amazon RSA 2048 M01",
              asks: bool = False) -> bytes:  # fmt: skip
        """The server's flight in full-size segments: 4-5 kB, as AWS sends it."""
        body = tls.record(22, tls.server_hello(self.plant.chance, alpn, thirteen))
        if thirteen:
            body += tls.record(20, b"\1") + tls.record(23, self.plant.chance.randbytes(41))
            body += tls.record(23, self.plant.chance.randbytes(4100))
            body += tls.record(23, self.plant.chance.randbytes(281)) + tls.record(
                23, self.plant.chance.randbytes(69)
            )
        else:
            leaf = certificate(name, issuer, common)
            upper = certificate(common, issuer, issuer + " Root CA 1")
            entries = b"".join(len(d).to_bytes(3, "big") + d for d in (leaf, upper, upper))
            body += handshake(11, len(entries).to_bytes(3, "big") + entries)
            body += handshake(12, self.plant.chance.randbytes(290))
            body += handshake(13, b"\x01\x40\0\x02\x04\x03\0\0") if asks else b""
            body += handshake(14, b"")
        self.answer(at, body)
        return body

    def encrypted_alert(self, at: float, *, out: bool) -> None:
        """An alert inside TLS 1.3."""
        (self.send if out else self.answer)(at, tls.record(23, self.plant.chance.randbytes(19)))

    def shakes(self, at: float, name: str, alpn: tuple[str, ...] = (), *, thirteen: bool = True,
               certified: bool = False, rtt: float | None = None) -> float:  # fmt: skip
        """SYN to Finished and the tickets; when it is done."""
        rtt = self.rtt if rtt is None else rtt
        at = self.opens(at, rtt) + 0.002
        self.says(at, name, alpn, thirteen=thirteen)
        self.heard(at + rtt)
        self.shows(at + rtt + 0.001, name, alpn[0] if alpn else None, thirteen=thirteen,
                   asks=certified)  # fmt: skip
        self.ack(at + rtt + 0.0015)
        self.finish(at + rtt + 0.006, thirteen=thirteen, certificate=certified)
        self.finished(at + 2 * rtt + 0.008, thirteen=thirteen)
        self.ack(at + 2 * rtt + 0.0085)
        return at + 2 * rtt + 0.01

    def asks(self, at: float, size: int = 900, back: int = 420, took: float = 0.02) -> float:
        """A request and its answer."""
        self.send(at, tls.record(23, self.plant.chance.randbytes(size)))
        self.heard(at + self.rtt)
        self.answer(at + self.rtt + took, tls.record(23, self.plant.chance.randbytes(back)))
        self.ack(at + self.rtt + took + 0.0003)
        return at + self.rtt + took

    def ends(self, at: float, *, by_server: bool = False) -> None:
        """close_notify and FIN, both ways."""
        first, second = (self.answer, self.send) if by_server else (self.send, self.answer)
        first(at, tls.record(23, self.plant.chance.randbytes(19)))
        self.segment(at + 0.0001, not by_server, FIN | ACK)
        if by_server:
            self.got += 1
        else:
            self.sent += 1
        second(at + self.rtt, tls.record(23, self.plant.chance.randbytes(19)))
        self.segment(at + self.rtt + 0.0001, by_server, FIN | ACK)
        if by_server:
            self.sent += 1
        else:
            self.got += 1
        self.segment(at + 2 * self.rtt, not by_server, ACK)


class Plant(Town):
    """See the module's text."""

    def __init__(self, seed: int = 7, port: tuple[str, str] = BOX) -> None:
        super().__init__(seed, port)
        self.chance = random.Random(seed)
        self.sport = 32_768 + self.chance.randrange(9_000)
        self.resolver = DC1
        self.ids = 0

    # ------------------------------------------------------------------ IP

    def ip(self, at: float, src: tuple[str, str], dst: tuple[str, str], protocol: int,
           body: bytes, *, ttl: int = 64, fragment: int = 0x4000, number: int | None = None,
           vlan: int | None = None) -> bytes:  # fmt: skip
        self.ids += 1
        packet = ip4(
            src[1], dst[1], protocol, body, ttl=ttl, fragment=fragment,
            number=self.ids if number is None else number,
        )  # fmt: skip
        self.add(at, ethernet(src[0], dst[0], 0x800, packet, vlan))
        return packet

    def datagram(self, at: float, src: tuple[str, str, int], dst: tuple[str, str, int],
                 body: bytes, **more: int) -> bytes:  # fmt: skip
        if ":" in src[1]:
            self.six(at, src[:2], dst[:2], 17, udp_segment(src[2], dst[2], body))
            return b""
        return self.ip(at, src[:2], dst[:2], 17, udp_segment(src[2], dst[2], body), **more)

    def unreachable(self, at: float, sender: str, to: tuple[str, str], code: int, quoted: bytes,
                    *, kind: int = 3) -> None:  # fmt: skip
        body = struct.pack("!BBHI", kind, code, 0, 0) + quoted[:48]
        self.ip(at, (GATE[0], sender), to, 1, body, ttl=250)

    def ping(self, at: float, src: tuple[str, str], dst: tuple[str, str], answers: bool = True,
             number: int = 1) -> None:  # fmt: skip
        self.ip(at, src, dst, 1, struct.pack("!BBHHH", 8, 0, 0, 0x77, number) + bytes(48))
        if answers:
            self.ip(
                at + 0.0007, dst, src, 1, struct.pack("!BBHHH", 0, 0, 0, 0x77, number) + bytes(48)
            )

    def leases(self, at: float, address: str = BOX[1], options: bytes | None = None, *,
               relay: str = GATE[0], answers: tuple[int, ...] = (2, 5)) -> None:  # fmt: skip
        """DISCOVER, OFFER, REQUEST, ACK of the port, through a relay."""
        self.ids += 1
        options = granted(address) if options is None else options
        for kind, answer, step in ((1, 2, 0.0), (3, 5, 0.5)):
            asked = option(50, address) + (server_id("10.133.8.20") if kind == 3 else b"")
            body = dhcp_packet(kind, self.port[0], self.ids, options=asked)
            far = (EVERYBODY, "255.255.255.255", 67)
            self.udp(at + step, (self.port[0], "0.0.0.0", 68), far, body)
            if answer not in answers:
                return
            said = dhcp_packet(answer, self.port[0], self.ids, yours=address, options=options)
            near = (self.port[0], address, 68)
            self.udp(at + step + 0.3, (relay, "10.133.40.2", 67), near, said)

    # ------------------------------------------------------------------ names and time

    def resolve(self, at: float, name: str, said: tuple[str, ...] | None = None, *,
                six: tuple[str, ...] = (), rcode: int = 0, after: float | None = 0.004,
                server: tuple[str, str] | None = None, client: tuple[str, str] | None = None,
                both: bool = True, times: int = 1, every: float = 5.0,
                chain: bool = True) -> None:  # fmt: skip
        """A and AAAA from one socket, as glibc asks; unanswered ones are asked again."""
        server, client = server or self.resolver, client or self.port
        said = AT.get(name, ()) if said is None else said
        sport = 32_768 + self.chance.randrange(28_000)
        mine, theirs = (*client, sport), (*server, 53)
        one, two = self.chance.getrandbits(16), self.chance.getrandbits(16)
        for n in range(times):
            self.datagram(at + n * every, mine, theirs, dns(one, name, 1, None))
            if both:
                self.datagram(at + n * every + 0.0001, mine, theirs, dns(two, name, 28, None))
        if after is None:
            return
        at += (times - 1) * every + after
        behind = f"dualstack.{name}" if chain and said else ""
        self.datagram(at, theirs, mine, dns(one, name, 1, said, rcode, chain=behind), ttl=124)
        if both:
            body = dns(two, name, 28, six, rcode, chain=behind if six else "")
            self.datagram(at + 0.0004, theirs, mine, body, ttl=124)

    def clock(self, at: float, server: tuple[str, str] = DC1, *, off: float = 0.0,
              server_off: float = 0.0, answers: bool = True, stratum: int = 3,
              kiss: bytes = b"\x0a\x85\x08\x02", leap: int = 0, sent: int | None = None,
              client: tuple[str, str] | None = None) -> bytes:  # fmt: skip
        mine, theirs = (*(client or self.port), 123), (*server, 123)
        sent = stamp(at, off) if sent is None else sent
        head = struct.pack("!BBbbII4s", 0x23, 0, 6, -24, 0, 0, bytes(4))
        asked = self.datagram(at, mine, theirs, head + struct.pack("!QQQQ", 0, 0, 0, sent))
        if answers:
            head = struct.pack("!BBbbII4s", leap << 6 | 0x24, stratum, 6, -23, 900, 1800, kiss)
            got, left = stamp(at + 0.0009, server_off), stamp(at + 0.001, server_off)
            body = head + struct.pack("!QQQQ", stamp(at - 30, server_off), sent, got, left)
            self.datagram(at + 0.002, theirs, mine, body, ttl=124)
        return asked

    # ------------------------------------------------------------------ the cloud

    def talk(self, name: str, dport: int = 443, *, address: str | None = None,
             client: tuple[str, str] | None = None, via: str = GATE[0]) -> Talk:  # fmt: skip
        self.sport += 1 + self.chance.randrange(7)
        address = address or AT[name][0]
        mine = client or self.port
        if ":" in address and ":" not in mine[1]:
            mine = (mine[0], BOX6)
        return Talk(self, (*mine, self.sport), (via, address, dport))

    def https(self, at: float, name: str, *, look: bool = True, requests: int = 2,
              thirteen: bool = True, stay: float = 4.0, rtt: float = 0.021,
              **more: str) -> Talk:  # fmt: skip
        """A lookup, a handshake, some requests, a close."""
        if look:
            self.resolve(at, name, (more["address"],) if more.get("address") else None)
        talk = self.talk(name, **more)
        talk.rtt = rtt
        at = talk.shakes(at + 0.02, name, thirteen=thirteen)
        for n in range(requests):
            talk.asks(at + 0.01 + n * stay / max(requests, 1))
        talk.ends(at + stay + 0.3)
        return talk

    def broker(self, at: float, until: float, every: float = 30.0, *, look: bool = True,
               dport: int = 443, rtt: float = 0.021, **more: str) -> Talk:  # fmt: skip
        """MQTT with keep-alives."""
        if look:
            self.resolve(at, IOT)
        talk = self.talk(IOT, dport, **more)
        talk.rtt = rtt
        at = talk.shakes(
            at + 0.02, IOT, ("x-amzn-mqtt-ca",) if dport == 443 else (), certified=True
        )
        at = talk.asks(at + 0.002, 130, 26) + 0.05  # CONNECT
        at = talk.asks(at, 90, 27) + 0.05  # SUBSCRIBE
        while at < until:
            talk.asks(at, 24, 24, 0.001)
            at += every
        return talk

    def knocks(self, at: float, name: str, dport: int = 443, *, times: int = 4,
               **more: str) -> Talk:  # fmt: skip
        """SYNs at 0, 1, 3, 7 s that nobody answers."""
        talk = self.talk(name, dport, **more)
        for n in range(times):
            talk.segment(at + 2**n - 1, True, SYN)
        return talk

    def greet(self, at: float, owner: str = GATE[0]) -> None:
        """The gateway's MAC is asked for, to its face."""
        self.add(at, arp_packet(1, *self.port, GATE[1]))
        self.add(at + 0.0006, arp_packet(2, owner, GATE[1], self.port[1], self.port[0]))

    def starts(self, at: float = 0.5, *, names: tuple[str, ...] = HTTPS) -> None:
        """The gateway, the time, each HTTPS endpoint once."""
        self.greet(at)
        for n in range(4):
            self.clock(at + 0.2 + 2 * n)
        for n, name in enumerate(names):
            self.https(at + 0.6 + 0.7 * n, name, thirteen=n % 3 != 0)

    def runs(self, start: float, end: float, *, times: bool = True, logs: bool = True,
             office: bool = True) -> None:  # fmt: skip
        """What goes on each minute."""
        at = start
        while at < end:
            self.greet(at)
            if times and at + 8 < end:
                self.clock(at + 7.3)
            for after, name in ((11.1, LOGS), (31.9, METRICS)):
                if logs and at + after + 5 < end:
                    self.https(at + after, name)
            at += 47.0
        if office:
            self.office(start, end)

    def office(self, start: float, end: float) -> None:
        """Others on the same span: ARP, SSDP, NetBIOS, spanning tree, HSRP."""
        dice = random.Random(99)
        at = start
        while at < end:
            host = dice.randrange(30, 90)
            mac = f"b4:2e:99:10:00:{host:02x}"
            self.add(at, arp_packet(1, mac, f"10.133.42.{host}", GATE[1]))
            pc = (mac, f"10.133.42.{host}", 137)
            self.udp(at + 0.4, pc, (EVERYBODY, "10.133.43.255", 137), dice.randbytes(50))
            self.udp(
                at + 0.7, (*pc[:2], 50_000 + host), ("01:00:5e:7f:ff:fa", "239.255.255.250", 1900),
                b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n",
            )  # fmt: skip
            self.add(at + 1.0, bytes.fromhex("0180c2000000" "70df2f112233" "0026" "424203")
                     + bytes(40))  # fmt: skip
            self.udp(
                at + 1.3, ("70:df:2f:00:00:02", "10.133.40.2", 1985),
                ("01:00:5e:00:00:02", "224.0.0.2", 1985),
                bytes([0, 0, 16, 3, 10, 110, 40, 0]) + b"cisco\0\0\0" + bytes([10, 133, 40, 1]),
            )  # fmt: skip
            at += 3.0

    def lives(self, end: float) -> None:
        self.starts()
        self.broker(5.0, end)
        self.runs(12.0, end)
