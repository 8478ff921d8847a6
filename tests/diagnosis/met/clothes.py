"""RTSP in pieces, in other protocols, encrypted; and pictures without RTSP."""

from __future__ import annotations

import base64
import itertools
import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, client_hello, server_hello
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
RECORDER, RECORDER_MAC = "10.20.0.77", "02:00:00:00:07:77"
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}


@scene
def heads_in_pieces_of_seven_bytes(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.cut = 7
    reader.start(0.2, SDP)
    reader.cut = 0
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def first_request_byte_by_byte(wire: Wire) -> Truth:
    reader = Reader(wire, port=8554)
    reader.cut = 1
    reader.flow.open(0.1)
    reader.options(0.2)
    reader.cut = 0
    reader.start(0.6, SDP, open_it=False)
    reader.film(1.0, 12)
    return Truth(streams=PLAYED)


@scene
def lines_end_in_lf_and_names_are_lower(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.end, reader.lower = "\n", True
    reader.start(0.2, SDP, channel=0).film(0.6, 12, channel=0)
    return Truth(streams=PLAYED)


@scene
def description_without_a_length(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP, length=False)
    reader.set_up(0.4, reader.url + "/track1", channel=0)
    reader.play(0.5)
    reader.film(0.8, 12, channel=0)
    return Truth(streams=PLAYED)


def tunnel(wire: Wire, cut: int) -> None:
    ends = (ETH0, APPLIANCE), (CAMERA_MAC, CAMERA, 80)
    down = wire.tcp((*ends[0], 45_000), ends[1])
    up = wire.tcp((*ends[0], 45_001), ends[1])
    down.open(0.1)
    up.open(0.15)
    head = "x-sessioncookie: c00kie\r\n"
    got = (f"GET /stream1 HTTP/1.0\r\n{head}Accept: application/x-rtsp-tunnelled\r\n\r\n").encode()
    told = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"
    for say, at, raw in ((down.send, 0.2, got), (down.answer, 0.22, told)):
        for number, start in enumerate(range(0, len(raw), cut)):
            say(at + number * 0.0002, raw[start : start + cut])
    up.send(0.25, f"POST /stream1 HTTP/1.0\r\n{head}Content-Type: application/x-rtsp-tunnelled\r\n"
            "Content-Length: 32767\r\n\r\n".encode())  # fmt: skip
    reader = Reader(wire)
    reader.flow = down

    def out(at: float, raw: bytes) -> None:
        up.send(at, base64.b64encode(raw))

    plain = reader._segments
    reader._segments = lambda at, raw, is_out: (  # type: ignore[method-assign]
        out(at, raw) if is_out else plain(at, raw, False)
    )
    reader.start(0.3, SDP, channel=0, open_it=False)
    reader.film(0.8, 12, channel=0)


@scene
def tunnelled_over_http(wire: Wire) -> Truth:
    tunnel(wire, 2000)
    return Truth(streams=PLAYED)


@scene
def tunnelled_over_http_with_heads_in_two_segments(wire: Wire) -> Truth:
    tunnel(wire, 31)
    return Truth(streams=PLAYED)


def masked(payload: bytes, mask: bool) -> bytes:
    size = len(payload)
    bit = 0x80 if mask else 0
    head = bytes([0x82, bit | size]) if size < 126 else struct.pack("!BBH", 0x82, bit | 126, size)
    if not mask:
        return head + payload
    key = bytes((9, 200, 3, 77))
    return head + key + bytes(b ^ k for b, k in zip(payload, itertools.cycle(key)))


def websocket(wire: Wire, cut: int) -> None:
    reader = Reader(wire, port=80)
    reader.flow.open(0.1)
    opening = (
        b"GET /rtsp-over-websocket HTTP/1.1\r\nHost: 10.20.0.11\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
    )
    said = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: abc=\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
    )
    for say, at, raw in ((reader.flow.send, 0.15, opening), (reader.flow.answer, 0.18, said)):
        for number, start in enumerate(range(0, len(raw), cut)):
            say(at + number * 0.0002, raw[start : start + cut])
    reader.wrap_out = lambda raw: masked(raw, True)
    reader.wrap_in = lambda raw: masked(raw, False)
    reader.url = f"rtsp://{CAMERA}/stream1"
    reader.start(0.3, SDP, channel=0, open_it=False)
    reader.film(0.8, 12, channel=0)


@scene
def inside_a_websocket(wire: Wire) -> Truth:
    websocket(wire, 2000)
    return Truth(streams=PLAYED)


@scene
def inside_a_websocket_with_heads_in_pieces(wire: Wire) -> Truth:
    websocket(wire, 40)
    return Truth(streams=PLAYED)


def jpegs(wire: Wire, cut: int, until: float = 14.0, size: int = 3000) -> None:
    flow = wire.tcp((RECORDER_MAC, RECORDER, 45_100), (CAMERA_MAC, CAMERA, 80))
    flow.open(0.1)
    flow.send(0.15, b"GET /axis-cgi/mjpg/video.cgi HTTP/1.1\r\nHost: 10.20.0.11\r\n\r\n")
    head = (
        b"HTTP/1.0 200 OK\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n"
        b"Content-Type: multipart/x-mixed-replace; boundary=myboundary\r\n\r\n"
    )
    for number, start in enumerate(range(0, len(head), cut)):
        flow.answer(0.2 + number * 0.0002, head[start : start + cut])
    number = 0
    while (at := 0.3 + number / 10) < until:
        picture = b"\xff\xd8\xff\xe0" + bytes(size) + b"\xff\xd9"
        part = (b"--myboundary\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                % len(picture)) + picture + b"\r\n"  # fmt: skip
        for piece, start in enumerate(range(0, len(part), 1400)):
            flow.answer(at + piece * 0.0002, part[start : start + 1400])
        flow.ack(at + 0.01)
        number += 1


@scene
def pictures_in_an_http_answer(wire: Wire) -> Truth:
    jpegs(wire, 2000)
    return Truth(streams={0: {"fps": 10.0}})


@scene
def pictures_in_an_http_answer_with_its_head_in_pieces(wire: Wire) -> Truth:
    jpegs(wire, 50)
    return Truth(streams={0: {"fps": 10.0}})


def tls_records(size: int) -> bytes:
    return struct.pack("!BHH", 23, 0x303, size) + bytes(size)


def sealed(wire: Wire, port: int, until: float, media: bool = True) -> None:
    """RTSP inside TLS: some answers of a few bytes, then media records both ways."""
    flow = wire.tcp((ETH0, APPLIANCE, 46_000), (CAMERA_MAC, CAMERA, port))
    flow.ttl_in = 64
    flow.open(0.1)
    flow.send(0.15, client_hello("camera.local"))
    flow.answer(0.2, server_hello())
    done = b"\x14\x03\x03\0\x01\x01\x16\x03\x03\0\x28" + bytes(40)
    flow.send(0.22, done)
    flow.answer(0.24, done)
    for number in range(5):
        flow.send(0.3 + number * 0.05, tls_records(250))
        flow.answer(0.32 + number * 0.05, tls_records(420))
    if media:
        number = 0
        while (at := 0.8 + number / 25) < until:
            for part in range(4 if number % 25 == 0 else 1):
                flow.answer(at + part * 0.0003, tls_records(1200))
            if number % 10 == 0:
                flow.ack(at + 0.01)
            number += 1


@scene
def inside_tls_on_322(wire: Wire) -> Truth:
    sealed(wire, 322, 16)
    return Truth()


@scene
def inside_tls_and_it_stops(wire: Wire) -> Truth:
    """The bytes inside TLS stop while the connection stays open."""
    sealed(wire, 322, 14)
    wire.quiet(14, 24)
    return Truth(("stream-frozen",), state="silent")


@scene
def srtp_announced_by_plain_rtsp(wire: Wire) -> Truth:
    """RTP/SAVP over UDP: measured by its headers, and nothing is said of what is inside."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(profile="RTP/SAVP")))
    reader.set_up(0.3, reader.url + "/track1", profile="RTP/SAVP")
    reader.play(0.4)
    reader.film(0.8, 30, Film(encrypted=True))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 25.0, "keyframes": None}})


@scene
def srtp_with_loss(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(profile="RTP/SAVP")))
    reader.set_up(0.3, reader.url + "/track1", profile="RTP/SAVP")
    reader.play(0.4)
    reader.film(0.8, 30, Film(encrypted=True), lose=lambda n: n % 30 == 11)
    return Truth(("stream-loss",), state="losing")


@scene
def srtp_whose_signalling_is_inside_tls(wire: Wire) -> Truth:
    """RTSPS on 322 with SRTP over UDP: nothing announces the stream in the clear."""
    sealed(wire, 322, 30, media=False)
    Reader(wire).film(0.9, 30, Film(encrypted=True))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 25.0}})


@scene
def snapshots_each_second(wire: Wire) -> Truth:
    """A recorder polls JPEG snapshots: a picture a second over HTTP, no stream."""
    flow = wire.tcp((RECORDER_MAC, RECORDER, 45_200), (CAMERA_MAC, CAMERA, 80))
    flow.open(0.1)
    for second in range(1, 14):
        flow.send(second, b"GET /cgi-bin/snapshot.cgi?channel=1 HTTP/1.1\r\nHost: 10.20.0.11\r\n"
                  b"Authorization: Digest username=\"a\"\r\n\r\n")  # fmt: skip
        picture = b"\xff\xd8\xff\xe0" + bytes(2000) + b"\xff\xd9"
        raw = (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
               % len(picture)) + picture  # fmt: skip
        for piece, start in enumerate(range(0, len(raw), 1400)):
            flow.answer(second + 0.02 + piece * 0.0002, raw[start : start + 1400])
        flow.ack(second + 0.05)
    return Truth(state=None, never=("stream-frozen", "udp-blocked"))
