"""TCP in rare shapes: a port scan, a proxy, damaged segments, one direction, copies of a bridge."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from tests.crafted.files import ETHERNET, RAW, SECOND, SLL, START, Shot, pcap, pcapng
from tests.crafted.scene import Host, Scene, Talk

PORTS_OPEN = (22, 25, 53, 70, 80, 113)
ODD_PORTS = (53, 80, 110, 443, 1723, 5060, 8080, 31337)


def scan() -> bytes:
    """997 ports asked twice, one by one; six are open, one refuses, the others never answer."""
    scene = Scene(1)
    scanner, target = Host(1, "172.16.0.8"), Host(2, "203.0.113.52", 45)
    at = 0.0
    for number, port in enumerate((*ODD_PORTS, *range(1, 990))):
        sport = 36_050 + number % 2
        talk = Talk(scene, scanner, target, sport, port)
        talk.send(at, 0, "S", options=[("MSS", 1460)])
        if port in PORTS_OPEN and number >= len(ODD_PORTS):
            talk.send(at + 0.06, 1, "SA", options=[("MSS", 1380)])
            talk.send(at + 0.0601, 0, "R")
        elif port == 31:
            talk.send(at + 0.06, 1, "RA")
        elif number >= len(ODD_PORTS):
            again = Talk(scene, scanner, target, sport + 1, port)
            again.send(at + 1.1, 0, "S", options=[("MSS", 1460)])
        at += 0.004
    return pcap(scene.shots)


def proxy() -> bytes:
    """A page by way of an HTTP proxy, which is asked with the whole address."""
    scene = Scene(2)
    talk = Talk(scene, Host(1, "10.10.10.5"), Host(2, "10.10.10.80"), 49_152, 8080)
    talk.open(0.0, 0.001)
    asked = (
        "GET http://www.example.com/news?day=1 HTTP/1.1\r\nHost: www.example.com\r\n"
        "User-Agent: crafted\r\nProxy-Connection: Keep-Alive\r\n\r\n"
    )
    page = b"<html>" + b"news " * 120 + b"</html>"
    told = (
        f"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(page)}\r\n\r\n"
    )
    talk.say(0.002, 0, asked.encode())
    talk.say(0.1, 1, told.encode() + page)
    talk.close(0.3)
    return pcapng(scene.shots)


def bad_segments() -> bytes:
    """A request in pieces that overlap, contradict each other, come late or never (raw IP)."""
    shots: list[Shot] = []

    def send(
        out: bool, flags: str, sequence: int, acked: int, size: int = 0, fill: str = "a"
    ) -> None:
        ends = ("10.0.0.1", "10.0.0.2") if out else ("10.0.0.2", "10.0.0.1")
        ports = (32_323, 80) if out else (80, 32_323)
        base = (1000, 7000) if out else (7000, 1000)
        segment = TCP(
            sport=ports[0], dport=ports[1], flags=flags, window=8192, seq=base[0] + sequence,
            ack=base[1] + acked if "A" in flags else 0,
        )  # fmt: skip
        packet = IP(src=ends[0], dst=ends[1], id=len(shots) + 1) / segment
        body = bytes(packet / Raw((fill * size).encode()) if size else packet)
        shots.append(Shot(START + len(shots) * 1000, body))

    send(True, "S", 0, 0)
    send(False, "SA", 0, 1)
    send(True, "A", 1, 1)
    send(True, "PA", 1, 1, 20, "G")
    send(True, "PA", 61, 1, 20)  # two pieces are missing before it
    send(True, "PA", 41, 1, 20)  # the nearer one
    send(True, "PA", 21, 1, 20)
    send(False, "A", 1, 81)
    send(True, "PA", 81, 1, 40)
    send(True, "PA", 81, 1, 40, "b")  # the same bytes, another content
    send(True, "PA", 71, 1, 30, "c")  # across what is there
    send(False, "A", 1, 161)  # bytes that nobody saw
    send(True, "PA", 121, 1, 20)  # some of them come now
    send(True, "PA", 201, 1, 20)
    send(True, "PA", 181, 1, 60, "d")  # around the one before
    send(False, "A", 1, 241)
    send(True, "PA", 300, 1, 1)
    send(True, "PA", 270, 1, 1)
    send(True, "PA", 241, 1, 20)
    send(False, "A", 1, 301)
    send(True, "PA", 301, 1, 2)
    send(True, "PA", 302, 1, 9, "e")
    send(False, "A", 1, 311)
    send(True, "FA", 311, 1)
    send(False, "RA", 1, 312)
    return pcap(shots, RAW)


def bridge() -> bytes:
    """RTSP as `tcpdump -i any` sees it on a bridge: each packet four times within 0.2 ms."""
    scene = Scene(3)
    talk = Talk(scene, Host(1, "10.1.1.10"), Host(2, "10.2.2.2"), 52_470, 8554)
    url = "rtsp://10.2.2.2:8554/cam"
    sdp = (
        "v=0\r\no=- 1 1 IN IP4 10.2.2.2\r\ns=cam\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    )
    way = "Transport: RTP/AVP;unicast;client_port=5000-5001"
    says = f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n"
    steps = [
        ("OPTIONS", url, "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n", ""),
        ("DESCRIBE", url, "Accept: application/sdp\r\n", says, sdp),
        ("SETUP", f"{url}/track1", f"{way}\r\n", f"{way}\r\nSession: 12\r\n", ""),
        ("PLAY", url, "Session: 12\r\n", "Session: 12\r\n", ""),
        *[("GET_PARAMETER", url, "Session: 12\r\n", "Session: 12\r\n", "")] * 8,
    ]
    talk.open(0.0)
    for number, (method, where, asks, told, body) in enumerate(steps, 1):
        at = float(number)
        asked = f"{method} {where} RTSP/1.0\r\nCSeq: {number}\r\n{asks}\r\n"
        talk.say(at, 0, asked.encode())
        answer = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{told}\r\n{body}"
        talk.say(at + 0.05, 1, answer.encode())
    talk.close(len(steps) + 1.0)
    copies = []
    for shot in scene.shots:
        for number, after in enumerate((0, 12_000, 18_000, 132_000)):
            kind = 0 if number in (0, 3) else 4  # to this host, and from it
            source = bytes.fromhex(scene_mac(shot.data)) + b"\0\0"
            head = kind.to_bytes(2, "big") + b"\0\x01\0\x06" + source + shot.data[12:14]
            copies.append(Shot(shot.time_ns + after, head + shot.data[14:]))
    return pcap(copies, SLL, nano=True)


def scene_mac(frame: bytes) -> str:
    return frame[6:12].hex()


def one_way() -> bytes:
    """The answers of a web server without the questions, and the questions of another client."""
    scene = Scene(4)
    browser, server = Host(1, "10.3.0.5"), Host(2, "192.0.2.80", 50)
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + bytes(9000)
    for number, side in enumerate((1, 0)):
        talk = Talk(scene, browser, server, 50_000 + number, 80)
        talk.open(number)
        at = talk.say(number + 0.1, 0, b"GET /a HTTP/1.1\r\nHost: pages.example\r\n\r\n")
        at = talk.say(at, 1, page)
        talk.close(at + 0.1)
        kept = browser.mac if side == 0 else server.mac
        scene.shots = [
            shot for shot in scene.shots
            if shot.time_ns < START + number * SECOND
            or scene_mac(shot.data) == kept.replace(":", "")
        ]  # fmt: skip
    return pcapng(
        [Shot(shot.time_ns, shot.data, number % 2) for number, shot in enumerate(scene.shots)],
        (ETHERNET, ETHERNET),
    )
