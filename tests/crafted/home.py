"""A minute and a half of a home: a speaker and a telephone that live in many clouds."""

from __future__ import annotations

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, LLC, Dot3, Ether
from scapy.packet import Raw

from tests.crafted.files import pcapng
from tests.crafted.hello import record
from tests.crafted.openings import shaken
from tests.crafted.scene import Host, Scene, Talk

GATEWAY, SPEAKER, PHONE = Host(1, "172.16.42.1"), Host(2, "172.16.42.21"), Host(3, "172.16.42.33")
ALL = "ff:ff:ff:ff:ff:ff"
NAMES = (
    "alexa.amazon.com", "android.clients.google.com", "api.amazon.com", "pitangui.amazon.com",
    "dp-gw-na.amazon.com", "images-na.ssl-images-amazon.com", "todo-ta-g7g.amazon.com",
    "softwareupdates.amazon.com", "mobileanalytics.us-east-1.amazonaws.com",
    "skills-store.amazon.com", "cognito-identity.us-east-1.amazonaws.com", "play.googleapis.com",
    "device-metrics-us.amazon.com", "www.example.com", "mads.amazon.com", "clients3.google.com",
)  # fmt: skip


def house() -> bytes:
    scene = Scene(40)
    _lease(scene)
    at = 1.0
    for number, name in enumerate(NAMES * 2):
        client = (PHONE, SPEAKER)[number % 3 == 0]
        server = Host(1, f"203.0.113.{10 + number % 16}", 48)  # by way of the gateway's MAC
        _look_up(scene, at, client, number, name, server.address)
        if name.startswith("images"):
            _pictures(scene, at + 0.1, client, server, 41_000 + number)
        else:
            talk = Talk(scene, client, server, 41_000 + number, 443)
            end = shaken(talk, at + 0.1, name, ("h2", "http/1.1"), number % 4 > 0)
            for _ in range(number % 5):
                end = talk.say(end + 0.3, 0, record(23, scene.noise(700)))
                end = talk.say(end + 0.05, 1, record(23, scene.noise(5_000)))
            if number % 7:
                talk.close(end + 0.5)
            else:
                talk.send(end + 0.5, 1, "RA")
        at += 2.7
    _neighbours(scene)
    # one datagram twice within 0.1 ms, identification and all, as Wi-Fi does
    _look_up(scene, at, PHONE, 99, "again.example.com", "203.0.113.99")
    scene.again(0.000_05)
    return pcapng(scene.shots)


def _look_up(scene: Scene, at: float, client: Host, number: int, name: str, address: str) -> None:
    question = DNSQR(qname=name, qtype="A")
    alias = f"edge{number % 4}.cdn.example.net"
    chain = [
        DNSRR(rrname=name, type="CNAME", rdata=alias, ttl=60),
        DNSRR(rrname=alias, type="A", rdata=address, ttl=60),
    ]
    port = 33_000 + number
    scene.udp(at, client, GATEWAY, port, 53, DNS(id=number, rd=1, qd=question))
    answer = DNS(id=number, qr=1, rd=1, ra=1, qd=question, an=chain)
    scene.udp(at + 0.03, GATEWAY, client, 53, port, answer)


def _pictures(scene: Scene, at: float, client: Host, server: Host, sport: int) -> None:
    talk = Talk(scene, client, server, sport, 80)
    talk.open(at)
    at += 0.05
    for number in range(8):
        asked = f"GET /p{number}.jpg HTTP/1.1\r\nHost: images.example.com\r\n\r\n"
        at = talk.say(at, 0, asked.encode())
        picture = b"\xff\xd8\xff\xe0\0\x10JFIF" + scene.noise(3_000) + b"\xff\xd9"
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        )
        at = talk.say(at + 0.02, 1, head.encode() + picture)
        at += 0.05
    talk.close(at)


def _lease(scene: Scene) -> None:
    hardware = bytes.fromhex(PHONE.mac.replace(":", "")) + bytes(10)
    for at, kind in ((0.0, "request"), (0.01, "ack")):
        ack = kind == "ack"
        boot = BOOTP(
            op=2 if ack else 1, chaddr=hardware, xid=7, flags=0x8000,
            yiaddr=PHONE.address if ack else "0.0.0.0",
        )  # fmt: skip
        options: list[object] = [("message-type", kind), ("requested_addr", PHONE.address)]
        if ack:
            options = [("message-type", kind), ("server_id", GATEWAY.address),
                       ("lease_time", 86_400), ("router", GATEWAY.address),
                       ("name_server", GATEWAY.address)]  # fmt: skip
        ports = (67, 68) if ack else (68, 67)
        ends = (GATEWAY.address if ack else "0.0.0.0", "255.255.255.255")
        frame = Ether(src=GATEWAY.mac if ack else PHONE.mac, dst=ALL) / IP(
            src=ends[0], dst=ends[1], id=1 + ack
        )
        segment = UDP(sport=ports[0], dport=ports[1])
        scene.add(at, frame / segment / boot / DHCP(options=[*options, "end"]))


def _neighbours(scene: Scene) -> None:
    for number in range(12):
        at = 3.0 + number * 7
        asker, owner = ((PHONE, GATEWAY), (GATEWAY, PHONE), (SPEAKER, GATEWAY))[number % 3]
        ask = ARP(op=1, hwsrc=asker.mac, psrc=asker.address, pdst=owner.address)
        scene.add(at, Ether(src=asker.mac, dst=ALL) / ask)
        tell = ARP(op=2, hwsrc=owner.mac, psrc=owner.address, hwdst=asker.mac, pdst=asker.address)
        scene.add(at + 0.001, Ether(src=owner.mac, dst=asker.mac) / tell)
    for number in range(4):
        at = 5.0 + number * 20
        one, two = "fe80::5e10:3", "fe80::5e10:1"
        ask = IPv6(src=one, dst=two, hlim=255) / ICMPv6ND_NS(tgt=two)
        scene.add(at, Ether(src=PHONE.mac, dst=GATEWAY.mac) / ask)
        tell = IPv6(src=two, dst=one, hlim=255) / ICMPv6ND_NA(tgt=two, R=1, S=1)
        scene.add(at + 0.001, Ether(src=GATEWAY.mac, dst=PHONE.mac) / tell)
    for number in range(2):
        xid = Dot3(src=SPEAKER.mac, dst=ALL) / LLC(dsap=0, ssap=1, ctrl=0xAF) / Raw(b"\x81\x01\0")
        scene.add(0.5 + number * 30, xid)
        group = IP(src=SPEAKER.address, dst="239.255.255.250", ttl=1, proto=2, id=500 + number)
        join = group / Raw(bytes.fromhex("1600fa04effffffa"))  # a report of version 2
        scene.add(0.6 + number * 30, Ether(src=SPEAKER.mac, dst="01:00:5e:7f:ff:fa") / join)
        quoted = IP(src=GATEWAY.address, dst=PHONE.address, id=9) / UDP(sport=53, dport=39_999)
        refused = ICMP(type=3, code=3) / quoted / Raw(bytes(8))
        scene.add(9 + number * 30, scene.packet(PHONE, GATEWAY, refused))
