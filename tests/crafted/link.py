"""Below and beside IP: other links, tags, redundancy, discovery, and frames that make no sense."""

from __future__ import annotations

import random
import struct

from scapy.contrib.mqtt import (
    MQTT,
    MQTTConnack,
    MQTTConnect,
    MQTTSuback,
    MQTTSubscribe,
    MQTTTopicQOS,
)
from scapy.layers.hsrp import HSRP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, LLC, Dot1Q, Dot3, Ether
from scapy.layers.ntp import NTPHeader
from scapy.layers.snmp import SNMP, SNMPget, SNMPvarbind
from scapy.packet import Raw

from tests.crafted.files import (
    ETHERNET,
    FRAME_RELAY,
    NULL,
    SECOND,
    START,
    Shot,
    pcap,
    pcapng,
)
from tests.crafted.scene import Host, Scene, Talk

ALL = "ff:ff:ff:ff:ff:ff"
ONE, TWO = Host(1, "10.60.0.1"), Host(2, "10.60.0.2")


def inverse_arp() -> bytes:
    """Inverse ARP over frame relay: hardware addresses of two bytes."""
    body = struct.pack("!HHBBH", 15, 0x800, 2, 4, 8) + b"\x18\x41" + bytes((10, 60, 0, 1))
    body += b"\0\0" + bytes((10, 60, 0, 2))
    snap = b"\x18\x41\x03\0\x80\0\0\0\x08\x06"
    return pcap([Shot(START, snap + body)], FRAME_RELAY)


def guests() -> bytes:
    """IPX, GVRP, PIM, an IPv6 packet with options only, and a type that nobody knows."""
    scene = Scene(60)
    scene.add(
        0, Ether(src=ONE.mac, dst=ALL, type=0x8137) / Raw(b"\xff\xff\0\x28\0\x01" + bytes(40))
    )
    join = b"\0\x01\x01\x04\x02\0\x0a\0\0"
    for number in range(5):
        frame = Dot3(src=ONE.mac, dst="01:80:c2:00:00:21") / LLC(dsap=0x42, ssap=0x42, ctrl=3)
        scene.add(1 + number, frame / Raw(join))
    for number in range(3):
        pim = IP(src=ONE.address, dst="224.0.0.13", proto=103, ttl=1, id=number + 1)
        scene.add(
            7 + number, Ether(src=ONE.mac, dst="01:00:5e:00:00:0d") / pim / Raw(b"\x20\0\0\0")
        )
    options = IPv6(src="fe80::1", dst="ff02::1", hlim=1) / IPv6ExtHdrHopByHop(nh=59)
    scene.add(11, Ether(src=ONE.mac, dst="33:33:00:00:00:01") / options)
    scene.add(12, Ether(src=ONE.mac, dst=ALL, type=0x9999) / Raw(bytes(50)))
    return pcap(scene.shots)


def gateways_on_vlans() -> bytes:
    """HSRP on three VLANs."""
    scene = Scene(61)
    for number, vlan in enumerate((10, 12, 13, 10)):
        hello = HSRP(state=16, group=vlan, virtualIP=f"10.{vlan}.0.1")
        frame = Ether(src=ONE.mac, dst="01:00:5e:00:00:02") / Dot1Q(vlan=vlan)
        packet = IP(src=f"10.{vlan}.0.2", dst="224.0.0.2", ttl=1, id=number + 1)
        scene.add(number, frame / packet / UDP(sport=1985, dport=1985) / hello)
    return pcap(scene.shots)


def broker() -> bytes:
    """MQTT 3.1.1: a client connects and subscribes, the broker's answers come on a VLAN."""
    scene = Scene(62)
    talk = Talk(scene, ONE, TWO, 40_883, 1883)
    talk.open(0)
    hello = MQTT() / MQTTConnect(
        protoname="MQTT", protolevel=4, cleansess=1, klive=60, clientId="edge"
    )
    talk.say(0.03, 0, bytes(hello))
    talk.vlan = 1008
    talk.say(0.06, 1, bytes(MQTT() / MQTTConnack(retcode=0)))
    talk.vlan = None
    topics = [MQTTTopicQOS(topic="crate/temperature", QOS=1)]
    talk.say(0.2, 0, bytes(MQTT(QOS=1) / MQTTSubscribe(msgid=1, topics=topics)))
    talk.say(0.25, 1, bytes(MQTT() / MQTTSuback(msgid=1, retcodes=[1])))
    talk.say(1, 0, b"\xc0\0")
    talk.say(1.05, 1, b"\xd0\0")
    return pcap(scene.shots)


def clocks_and_counters() -> bytes:
    """NTP of two versions, SNMP on and off a VLAN, and SSDP searches."""
    scene = Scene(63)
    for number, version in enumerate((3, 4)):
        ask = NTPHeader(version=version, mode=3, stratum=0, ref=0, orig=0, recv=0,
                        sent=3_900_000_000 + number)  # fmt: skip
        scene.udp(number, ONE, TWO, 123, 123, ask)
        tell = NTPHeader(version=version, mode=4, stratum=2, id="10.60.0.9", orig=3_900_000_000,
                         recv=3_900_000_000.1, sent=3_900_000_000.2, ref=3_899_999_000)  # fmt: skip
        scene.udp(number + 0.01, TWO, ONE, 123, 123, tell)
    for number in range(10):
        binding = SNMPvarbind(oid="1.3.6.1.2.1.1.3.0")
        ask = SNMP(community="public", PDU=SNMPget(id=number, varbindlist=[binding]))
        scene.udp(3 + number, ONE, TWO, 50_161, 161, ask, vlan=908 if number % 3 else None)
    search = (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\n'
        b"ST: ssdp:all\r\n\r\n"
    )
    everybody = Host(9, "239.255.255.250")
    everybody.mac = "01:00:5e:7f:ff:fa"
    for number in range(5):
        scene.udp(14 + number, ONE, everybody, 51_900, 1900, search)
    return pcap(scene.shots)


def two_links_of_one_host() -> bytes:
    """A host's loopback and two cards on the same wire: broadcasts are heard on both."""
    scene = Scene(64)
    talk = Talk(scene, ONE, TWO, 40_900, 9000)
    talk.open(0)
    talk.say(0.1, 0, bytes(500))
    talk.close(0.5)
    ask = ARP(op=1, hwsrc=ONE.mac, psrc=ONE.address, pdst="10.60.0.99")
    for number in range(3):
        scene.add(1 + number, Ether(src=ONE.mac, dst=ALL) / ask)
        scene.again(0.000_02, interface=1)
    inside = IP(src="127.0.0.1", dst="127.0.0.1", id=7) / UDP(sport=17_500, dport=17_500)
    shots = [*scene.shots, Shot(START + 5 * SECOND, b"\x02\0\0\0" + bytes(inside / Raw(b"{}")), 2)]
    return pcapng(shots, (ETHERNET, ETHERNET, NULL))


def pieces_that_do_not_fit() -> bytes:
    """Fragments of hundreds of datagrams, without beginnings or ends, that overlap and repeat."""
    chance = random.Random(65)
    shots = []
    for number in range(600):
        at = START + number * 3_000_000
        offset = chance.choice((0, 1, 5, 100, 185, 370, 8000))
        head = IP(
            src=f"10.61.0.{chance.randrange(1, 9)}", dst=ONE.address,
            proto=chance.choice((6, 17, 99)),
            id=chance.randrange(50), frag=offset, flags=chance.choice((0, "MF")),
        )  # fmt: skip
        if offset == 0:
            head.flags = "MF"
        body = Raw(chance.randbytes(chance.choice((8, 24, 64))))
        frame = Ether(src=TWO.mac, dst=ONE.mac) / head / body
        shots.append(Shot(at, bytes(frame)))
    return pcap(shots)


def damaged() -> bytes:
    """Four hundred usual frames, of each of which some bytes were changed on the way."""
    chance = random.Random(66)
    scene = Scene(67)
    for number in range(100):
        at = number * 0.01
        scene.udp(at, ONE, TWO, 40_000, 53, b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01")
        ask = ARP(op=1, hwsrc=ONE.mac, psrc=ONE.address, pdst=TWO.address)
        scene.add(at + 0.001, Ether(src=ONE.mac, dst=ALL) / ask)
        scene.add(at + 0.002, scene.packet(ONE, TWO, ICMP(type=8, id=1, seq=number)))
        scene.udp(at + 0.003, TWO, ONE, 67, 68, bytes(240) + b"\x35\x01\x05\xff")
    shots = []
    for shot in scene.shots:
        data = bytearray(shot.data)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(12, len(data))] = chance.randrange(256)
        shots.append(Shot(shot.time_ns, bytes(data)))
    return pcap(shots)
