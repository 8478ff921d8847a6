"""TLS and QUIC as they open: whole, in pieces, cut, one-sided, in a tunnel."""

from __future__ import annotations

import gzip
import struct

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from tests.crafted.files import ETHERNET, SLL, START, Shot, pcap, pcapng
from tests.crafted.hello import (
    DRAFT_29,
    DRAFT_34,
    V1,
    V2,
    client_hello,
    crypto,
    extension,
    initial,
    record,
    server_hello,
)
from tests.crafted.scene import Host, Scene, Talk

CLIENT, SERVER = Host(1, "10.4.0.5"), Host(2, "198.51.100.40", 52)
SIX_CLIENT, SIX_SERVER = Host(1, "2001:db8:4::5"), Host(2, "2001:db8:40::1", 52)
FINISHED = record(20, b"\x01") + record(22, bytes(40))
PARAMETERS = extension(0x39, bytes.fromhex("01048000ea60040480100000"))


def quic_two() -> bytes:
    """QUIC version 2 over IPv6, on the pseudo-interface `any`."""
    scene = Scene(20)
    hello = client_hello(scene.chance, "test", ("h3",), more=PARAMETERS)
    target = scene.noise(8)
    packet = initial(V2, target, 0, crypto(0, hello))
    scene.udp(0, SIX_CLIENT, SIX_SERVER, 44_000, 443, packet)
    for number in range(18):
        body = b"\x41" + scene.noise(80 + number)
        ends = (SIX_CLIENT, SIX_SERVER) if number % 2 else (SIX_SERVER, SIX_CLIENT)
        ports = (44_000, 443) if number % 2 else (443, 44_000)
        scene.udp(0.05 + number / 100, *ends, *ports, body)
    cooked = [
        Shot(shot.time_ns, b"\0\0\0\x01\0\x06" + shot.data[6:12] + b"\0\0" + shot.data[12:])
        for shot in scene.shots
    ]
    return pcapng(cooked, (SLL,))


def quic_pieces() -> bytes:
    """A hello over two Initials, sent once more when no answer comes, in each version; gzipped."""
    scene = Scene(21)
    versions = ((V1, "one.example"), (DRAFT_29, "draft29.example"), (DRAFT_34, "draft34.example"))
    for number, (version, host) in enumerate(versions):
        padding = extension(0x15, bytes(900))  # so that one Initial does not hold it
        hello = client_hello(scene.chance, host, ("h3",), more=PARAMETERS + padding)
        target, middle = scene.noise(8), 700
        pieces = (crypto(middle, hello[middle:]), crypto(0, hello[:middle]))
        for again in (0, 1):
            for part, frames in enumerate(pieces):
                packet = initial(version, target, 2 * again + part, frames)
                at = number + again * 0.3 + part / 1000
                scene.udp(at, CLIENT, SERVER, 45_000 + number, 443, packet)
    return gzip.compress(pcapng(scene.shots), mtime=0)


def hello_without_end() -> bytes:
    """A ClientHello whose last segment the capture missed: the name is in the first."""
    scene = Scene(22)
    talk = Talk(scene, CLIENT, SERVER, 50_100, 443)
    talk.open(0)
    padding = extension(0x15, bytes(1800))
    hello = client_hello(scene.chance, "cut.example", ("h2", "http/1.1"), more=padding)
    whole = record(22, hello, 0x0301)
    talk.send(0.03, 0, "A", whole[:1400])
    talk.next[0] += len(whole) - 1400
    talk.send(0.06, 1, "A")
    answer = record(22, server_hello(scene.chance)) + record(20, b"\x01") + record(23, bytes(900))
    talk.say(0.07, 1, answer)
    talk.say(0.1, 0, FINISHED)
    talk.say(0.2, 0, record(23, bytes(200)))
    talk.close(0.5)
    return pcap(scene.shots)


def shaken(talk: Talk, at: float, host: str | None, alpn: tuple[str, ...] = ("h2",),
           thirteen: bool = True) -> float:  # fmt: skip
    """A whole opening, with some data after it; when it is over."""
    scene = talk.scene
    talk.open(at)
    hello = client_hello(scene.chance, host, alpn, thirteen=thirteen)
    at = talk.say(at + 0.03, 0, record(22, hello, 0x0301))
    answer = record(22, server_hello(scene.chance, alpn[0] if alpn else None, thirteen))
    at = talk.say(at + 0.02, 1, answer + record(20, b"\x01") + record(23, scene.noise(1800)))
    at = talk.say(at + 0.01, 0, FINISHED + record(23, scene.noise(300)))
    return talk.say(at + 0.02, 1, record(23, scene.noise(2500)))


def one_side(side: int) -> bytes:
    """Only what one side of three connections says."""
    scene = Scene(23 + side)
    for number, thirteen in enumerate((True, False, True)):
        talk = Talk(scene, CLIENT, SERVER, 50_200 + number, 443)
        talk.close(shaken(talk, number, f"side{number}.example", thirteen=thirteen) + 0.1)
    mac = bytes.fromhex((CLIENT, SERVER)[side].mac.replace(":", ""))
    return pcapng([shot for shot in scene.shots if shot.data[6:12] == mac])


def client_only() -> bytes:
    return one_side(0)


def server_only() -> bytes:
    return one_side(1)


def alerts() -> bytes:
    """Handshakes that end with an alert: unknown name, unknown authority, no common version."""
    scene = Scene(26)
    for number, code in enumerate((112, 48, 70)):
        talk = Talk(scene, CLIENT, SERVER, 50_300 + number, 443)
        talk.open(number)
        hello = client_hello(scene.chance, f"alert{code}.example", ("h2", "http/1.1"))
        talk.say(number + 0.03, 0, record(22, hello, 0x0301))
        talk.say(number + 0.06, 1, record(21, bytes([2, code])))
        talk.close(number + 0.2)
    return pcap(scene.shots)


def hidden_names() -> bytes:
    """Encrypted ClientHello over IPv6: the outer name is the provider's; then a hello without."""
    scene = Scene(27)
    inner = extension(0xFE0D, b"\0\0\x01\0\x01\x10\0\x20" + scene.noise(32) + b"\0\x90"
                      + scene.noise(144))  # fmt: skip
    for number, host in enumerate(("provider.example", None)):
        talk = Talk(scene, SIX_CLIENT, SIX_SERVER, 50_400 + number, 443)
        talk.open(number)
        hello = client_hello(scene.chance, host, ("h2", "http/1.1"), more=inner)
        talk.say(number + 0.03, 0, record(22, hello, 0x0301))
        talk.say(number + 0.06, 1, record(22, server_hello(scene.chance)) + FINISHED)
        talk.close(number + 0.2)
    return pcapng(scene.shots)


def tunnel() -> bytes:
    """TLS inside GTP-U on two VLANs, as a mobile network carries it: outside there is only UDP."""
    scene = Scene(28)
    inside = Talk(Scene(29), Host(1, "10.45.0.2"), SERVER, 50_500, 443)
    inside.close(shaken(inside, 0, "phone.example") + 0.1)
    for shot in inside.scene.shots:
        packet = shot.data[14:]
        up = packet[12:16] == bytes((10, 45, 0, 2))
        ends = (Host(3, "10.9.0.1"), Host(4, "10.9.0.2"))
        src, dst = ends if up else ends[::-1]
        body = b"\x30\xff" + struct.pack("!HI", len(packet), 0x1234) + packet
        at = (shot.time_ns - START) / 1e9
        scene.udp(at, src, dst, 2152, 2152, body, vlan=2 if up else 3231)
    return pcap(scene.shots)


def cut_header() -> bytes:
    """An IP header that claims 60 bytes of a packet of 44: what follows is nobody's."""
    packet = IP(src="10.4.0.5", dst="198.51.100.40", proto=17, id=5) / Raw(bytes(24))
    lies = bytearray(bytes(packet))
    lies[0] = 0x4F
    frame = bytes.fromhex("02005e10000202005e1000010800") + bytes(lies)
    whole = IP(src="10.4.0.5", dst="198.51.100.40", id=6) / TCP(sport=9, dport=9, flags="S")
    good = frame[:14] + bytes(whole)
    return pcapng([Shot(START, frame), Shot(START + 1000, good)], (ETHERNET,))
