"""Names and addresses: DNS in odd places and pieces, DHCP, echoes."""

from __future__ import annotations

import gzip
import struct

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP
from scapy.packet import Raw

from tests.crafted.files import pcap, pcapng
from tests.crafted.scene import Host, Scene, Talk

RESOLVER = Host(1, "192.0.2.53", 60)
CLIENT = Host(2, "192.168.43.9")
EVERYBODY = Host(255, "255.255.255.255")
EVERYBODY.mac = "ff:ff:ff:ff:ff:ff"


def asked(number: int, name: str, kind: str = "A") -> DNS:
    return DNS(id=number, rd=1, qd=DNSQR(qname=name, qtype=kind))


def answered(number: int, name: str, data: str, kind: str = "A") -> DNS:
    answer = DNSRR(rrname=name, type=kind, rdata=data, ttl=300)
    return DNS(id=number, qr=1, rd=1, ra=1, qd=DNSQR(qname=name, qtype=kind), an=answer)


def echoes() -> bytes:
    """Eleven echoes with answers, the address looked up backwards before each; gzipped."""
    scene = Scene(10)
    for number in range(11):
        name = f"{number + 1}.2.0.192.in-addr.arpa"
        target = Host(3, f"192.0.2.{number + 1}", 55)
        at = float(number)
        port = 40_000 + number
        scene.udp(at, CLIENT, RESOLVER, port, 53, asked(number, name, "PTR"))
        scene.udp(at + 0.02, RESOLVER, CLIENT, 53, port,
                  answered(number, name, f"host{number}.example.", "PTR"))  # fmt: skip
        body = Raw(bytes(range(32)))
        ask = ICMP(type=8, id=7, seq=number) / body
        scene.add(at + 0.05, scene.packet(CLIENT, target, ask))
        scene.add(at + 0.08, scene.packet(target, CLIENT, ICMP(type=0, id=7, seq=number) / body))
    return gzip.compress(pcapng(scene.shots), mtime=0)


def over_tcp_reordered() -> bytes:
    """An answer over TCP whose first byte comes after the rest; the question is not seen."""
    scene = Scene(11)
    talk = Talk(scene, CLIENT, RESOLVER, 52_615, 53)
    talk.next[0] += 1
    talk.send(0.0, 1, "SA", options=[("MSS", 1460)])
    talk.next[0] += 54
    talk.send(0.002, 1, "A")
    message = bytes(answered(9, "example.com.", "192.0.2.7"))
    stream = struct.pack("!H", len(message)) + message
    scene.add(0.1170, talk.frame(1, "PA", stream[1:], shift=1))
    scene.add(0.1171, talk.frame(1, "PA", stream[:1]))
    return pcap(scene.shots)


def other_port() -> bytes:
    """DNS over IPv6 to port 5333, which is nobody's."""
    scene = Scene(12)
    client, server = Host(1, "2001:db8::5"), Host(2, "2001:db8::35")
    for number in range(4):
        scene.udp(number, client, server, 30_000 + number, 5333, asked(number, "itojun.example."))
        scene.udp(number + 0.1, server, client, 5333, 30_000 + number,
                  answered(number, "itojun.example.", "2001:db8::1", "AAAA"))  # fmt: skip
    return pcapng(scene.shots)


def too_long() -> bytes:
    """Names beyond 255 bytes, pointers that run in circles, and labels past the message."""
    scene = Scene(13)
    head = struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0)
    long = b"".join(b"\x3f" + bytes([97 + n]) * 63 for n in range(5)) + b"\0"
    tail = struct.pack("!HH", 1, 1)
    circle = b"\x03abc\xc0\x0c"
    for number, question in enumerate((long, circle, b"\x3fshort")):
        scene.udp(number, RESOLVER, CLIENT, 53, 40_000 + number, head + question + tail)
        scene.udp(number + 0.5, CLIENT, RESOLVER, 40_100 + number, 53,
                  struct.pack("!HHHHHH", 8, 0x100, 1, 0, 0, 0) + question + tail)  # fmt: skip
    return pcap(scene.shots)


def lease(nano: bool = True, section: bool = False) -> bytes:
    """DISCOVER, OFFER, REQUEST, ACK, timed to the nanosecond."""
    scene = Scene(14)
    nobody, server = Host(4, "0.0.0.0"), Host(5, "192.168.43.1")
    hardware = bytes.fromhex(nobody.mac.replace(":", "")) + bytes(10)
    for at, kind in ((0.0, "discover"), (0.0003, "offer"), (0.07, "request"), (0.0705, "ack")):
        theirs = kind in ("offer", "ack")
        src = server if theirs else nobody
        boot = BOOTP(
            op=2 if theirs else 1, chaddr=hardware, xid=0x3D1D, flags=0x8000,
            yiaddr="192.168.43.10" if theirs else "0.0.0.0",
        )  # fmt: skip
        options: list[object] = [("message-type", kind)]
        if theirs:
            options += [("server_id", server.address), ("lease_time", 3600)]
            options += [("router", server.address), ("subnet_mask", "255.255.255.0")]
        body = boot / DHCP(options=[*options, "end"])
        scene.udp(at, src, EVERYBODY, 67 if theirs else 68, 68 if theirs else 67, body)
    return pcapng(scene.shots) if section else pcap(scene.shots, nano=nano)


def lease_in_a_section() -> bytes:
    return lease(section=True)


def options_run_over() -> bytes:
    """A DHCP message whose second option claims more bytes than are left."""
    scene = Scene(15)
    boot = bytes(BOOTP(op=1, xid=1, chaddr=bytes(16))) + b"\x63\x82\x53\x63"
    scene.udp(0, Host(4, "0.0.0.0"), EVERYBODY, 68, 67, boot + b"\x35\x01\x6a\x0c\xff" + b"host")
    return pcapng(scene.shots)
