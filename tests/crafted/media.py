"""RTP that nobody announced, its control packets, and calls of other kinds."""

from __future__ import annotations

import struct

from tests.crafted.files import ETHERNET, SLL, Shot, pcap, pcapng
from tests.crafted.scene import Host, Scene, Talk


def rtp(sequence: int, stamp: int, ssrc: int, kind: int, body: bytes, last: bool = False) -> bytes:
    return struct.pack("!BBHII", 0x80, last << 7 | kind, sequence, stamp, ssrc) + body


def unannounced() -> bytes:
    """Three flows of RTP without any signalling, one on a VLAN, one with four packets missing, and
    TCP data beside them; two interfaces."""
    scene = Scene(50)
    video, reader = Host(1, "10.204.0.71"), Host(2, "10.204.0.171")
    for frame in range(12):
        for part in range(3):
            number = frame * 3 + part
            body = scene.noise(40 if part == 2 else 1200)
            packet = rtp(900 + number, 3000 * frame, 0x1646, 34, body, part == 2)
            scene.udp(frame * 0.0667 + part * 0.002, video, reader, 6000, 6000, packet)
    phone, other = Host(3, "10.140.0.67"), Host(4, "203.0.113.97")
    for number in range(30):
        packet = rtp(65_520 + number & 0xFFFF, 160 * number, 0xB80974D8, 0, scene.noise(160))
        scene.udp(5 + number * 0.02, phone, other, 55_402, 6008, packet, vlan=1508)
    caller, called = Host(5, "192.0.2.19"), Host(6, "198.51.100.227")
    for number in range(24):
        if number not in (10, 11, 16, 21):
            packet = rtp(400 + number, 160 * number, 0x1A757D, 8, scene.noise(160))
            scene.udp(10 + number * 0.02, caller, called, 50_003, 54_234, packet, interface=1)
    # too few for a stream
    for number in range(4):
        packet = rtp(10 + number, 160 * number, 0x77, 8, scene.noise(160))
        scene.udp(20 + number * 0.02, caller, called, 50_005, 54_236, packet, interface=1)
    talk = Talk(scene, Host(7, "172.16.168.24"), Host(8, "172.16.168.64"), 40_252, 5000)
    talk.open(30, 0.001)
    for number in range(16):
        talk.say(30.1 + number * 0.15, 0, scene.noise(1214))
    return pcapng(scene.shots, (ETHERNET, ETHERNET))


def reports_in_one_datagram() -> bytes:
    """Sender report, description and goodbye in one datagram, as RTCP allows; on `any`."""
    scene = Scene(51)
    ends = Host(1, "10.50.0.1"), Host(2, "10.50.0.2")
    for number in range(5):
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, 0x5150, (1 << 63) + number, number, 9, 900)
        name = b"\x01\x09cam@crate\0"
        chunk = struct.pack("!I", 0x5150) + name + bytes(-(len(name)) % 4)
        described = struct.pack("!BBH", 0x81, 202, len(chunk) // 4) + chunk
        bye = struct.pack("!BBHI", 0x81, 203, 1, 0x5150) if number == 4 else b""
        scene.udp(number * 5, *ends, 5001, 6001, report + described + bye)
    cooked = [
        Shot(shot.time_ns, b"\0\0\0\x01\0\x06" + shot.data[6:12] + b"\0\0" + shot.data[12:])
        for shot in scene.shots
    ]
    return pcap(cooked, SLL)


def call() -> bytes:
    """A browser's call: STUN, DTLS and SRTP share a port."""
    scene = Scene(52)
    mine, theirs = Host(1, "192.168.12.5"), Host(2, "198.51.100.77")
    ports = (41_700, 3478)
    for number in range(4):
        key = scene.noise(12)
        ask = struct.pack("!HHI", 1, 8, 0x2112A442) + key + b"\x80\x22\0\x04test"
        scene.udp(number, mine, theirs, *ports, ask)
        xored = struct.pack("!BBHI", 0, 1, 41_700 ^ 0x2112, 0xC0A80C05 ^ 0x2112A442)
        tell = struct.pack("!HHI", 0x101, 12, 0x2112A442) + key + b"\0\x20\0\x08" + xored
        scene.udp(number + 0.03, theirs, mine, *ports[::-1], tell)
    hello = b"\xfe\xfd" + scene.noise(32) + b"\0\0" + b"\0\x02\xc0\x2b" + b"\x01\0"
    body = b"\x01" + len(hello).to_bytes(3, "big") + bytes(5) + len(hello).to_bytes(3, "big")
    record = b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(body + hello)) + body + hello
    scene.udp(4.1, mine, theirs, *ports, record)
    for number in range(40):
        packet = rtp(7 + number, 960 * number, 0x99, 111, scene.noise(120))
        scene.udp(5 + number * 0.02, mine, theirs, *ports, packet)
    return pcapng(scene.shots)


def calls_by_sip() -> bytes:
    """A call that is set up with SIP and announced with SDP, between two telephones."""
    scene = Scene(53)
    one, two = Host(1, "192.0.2.10"), Host(2, "192.0.2.20")
    sdp = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
        "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
    head = (
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1\r\nFrom: <sip:a@x.example>;tag=1\r\n"
        "To: <sip:b@x.example>\r\nCall-ID: 1@x.example\r\nCSeq: 1 INVITE\r\n"
        f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n"
    )
    scene.udp(0, one, two, 5060, 5060, f"INVITE sip:b@x.example SIP/2.0\r\n{head}{sdp}".encode())
    scene.udp(1, two, one, 5060, 5060, f"SIP/2.0 200 OK\r\n{head}{sdp}".encode())
    for number in range(4):
        scene.udp(2 + number, one, two, 5060, 5060, b"hello")
    return pcapng(scene.shots)
