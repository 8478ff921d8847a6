"""RTSP that a meter finds inside HTTP and WebSockets, from the first packet on any port."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from panotui.meter.meter import Meter
from panotui.model import SECOND, STREAM_CODECS, MeterSettings, RtspMessage, StreamRestart
from tests.meter.packets_in import batch_of, tcp
from tests.meter.rtsp.test_other_clothes import masked
from tests.meter.streams.made_site import SDP, interleaved, rtp

CAMERA, READER = "10.20.0.11", "10.20.0.5"
URL = f"rtsp://{CAMERA}/live"
SOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: rtsp.onvif.org\r\n\r\n"
)


class Talk:
    """A TCP connection to port 80 of the camera, as frames."""

    def __init__(self, port: int) -> None:
        self.port, self.frames = port, []
        self.sequence = {True: 1000, False: 5000}
        self.say(True, b"", 2)
        self.say(False, b"", 18)

    def say(self, client: bool, payload: bytes, flags: int = 0x18) -> None:
        ends = {"src": READER, "dst": CAMERA} if client else {"src": CAMERA, "dst": READER}
        ports = (self.port, 80) if client else (80, self.port)
        frame = tcp(*ports, self.sequence[client], payload, flags=flags, **ends)
        self.frames.append(frame)
        self.sequence[client] += len(payload) + (flags & 2 != 0)


def dialogue() -> list[tuple[bool, bytes]]:
    def ask(text: str) -> tuple[bool, bytes]:
        return True, text.replace("\n", "\r\n").encode() + b"\r\n\r\n"

    def answer(text: str, body: bytes = b"") -> tuple[bool, bytes]:
        length = f"\nContent-Length: {len(body)}" if body else ""
        return False, f"RTSP/1.0 200 OK{text}{length}".replace("\n", "\r\n").encode() + (
            b"\r\n\r\n" + body
        )

    transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
    return [
        ask(f"DESCRIBE {URL} RTSP/1.0\nCSeq: 1"),
        answer(f"\nCSeq: 1\nContent-Type: application/sdp\nContent-Base: {URL}/", SDP),
        ask(f"SETUP {URL}/track1 RTSP/1.0\nCSeq: 2\nTransport: {transport}"),
        answer(f"\nCSeq: 2\nSession: 9\nTransport: {transport}"),
        ask(f"PLAY {URL}/ RTSP/1.0\nCSeq: 3\nSession: 9"),
        answer("\nCSeq: 3\nSession: 9"),
    ]


def in_websocket() -> list[bytes]:
    talk = Talk(40000)
    talk.say(True, b"GET /rtsp HTTP/1.1\r\nHost: camera\r\n" + SOCKET)
    talk.say(False, b"HTTP/1.1 101 Switching Protocols\r\n" + SOCKET)
    for client, text in dialogue():
        talk.say(client, masked(text, mask=client))
    for k in range(300):
        talk.say(False, masked(interleaved(0, rtp(k, 3600 * k)), mask=False))
    return talk.frames


def in_http() -> list[bytes]:
    down, up = Talk(40000), Talk(40001)
    cookie = b"x-sessioncookie: abc\r\n"
    down.say(True, b"GET /live HTTP/1.0\r\n" + cookie + b"\r\n")
    down.say(False, b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n")
    up.say(True, b"POST /live HTTP/1.0\r\n" + cookie + b"Content-Length: 32767\r\n\r\n")
    frames = down.frames + up.frames
    for client, text in dialogue():
        talk = up if client else down
        talk.say(client, base64.b64encode(text) if client else text)
        frames.append(talk.frames[-1])
    for k in range(300):
        down.say(False, interleaved(0, rtp(k, 3600 * k)))
        frames.append(down.frames[-1])
    return frames


@pytest.mark.parametrize("size", [1, 17, 1000])
@pytest.mark.parametrize("way", [in_websocket, in_http])
def test_meter_measures_streams_inside_other_protocols(way, size: int) -> None:  # type: ignore[no-untyped-def]
    frames = way()
    start = 1_700_000_000 * SECOND
    batch = batch_of(frames, [start + k * 10_000_000 for k in range(len(frames))])
    meter = Meter(MeterSettings(), 0)
    messages, rows = [], {}
    for at in range(0, len(batch), size):
        part = batch.slice(at, min(at + size, len(batch)))
        meter.update(part)
        told = meter.tick(int(part.time_ns[-1]))
        messages += told.messages
        rows.update({int(row["id"]): row.copy() for row in told.streams})
    heard = [m for m in messages if isinstance(m, RtspMessage)]
    assert [m.method for m in heard if m.from_client] == ["DESCRIBE", "SETUP", "PLAY"]
    assert [m.status for m in heard if not m.from_client] == [200, 200, 200]
    (row,) = rows.values()
    assert isinstance(row, np.void)
    assert (row["packets"], row["lost"], row["signalled"]) == (300, 0, 1)


def jpeg(size: int, width: int = 640, height: int = 360) -> bytes:
    head = b"\xff\xd8\xff\xdb\0\x43" + bytes(65)
    head += b"\xff\xc0\0\x11\x08" + height.to_bytes(2) + width.to_bytes(2) + bytes(10)
    return head.ljust(size - 2, b"j") + b"\xff\xd9"


def pictures(with_length: bool, count: int = 60) -> tuple[list[bytes], list[int]]:
    """An HTTP answer of pictures, in segments; and of which picture each segment is."""
    talk, of = Talk(40000), [0, 0, 0, 0]
    talk.say(True, b"GET /video.mjpg HTTP/1.1\r\nHost: camera\r\n\r\n")
    kind = b"multipart/x-mixed-replace; boundary=frame"
    talk.say(False, b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
    for k in range(count):
        body = jpeg(9000 + 100 * (k % 7))
        head = b"--frame\r\nContent-Type: image/jpeg\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(body) if with_length else b"\r\n"
        part = head + body + b"\r\n"
        for at in range(0, len(part), 1400):
            talk.say(False, part[at : at + 1400])
            of.append(k)
    talk.say(False, b"--frame--\r\n")
    of.append(count)
    return talk.frames, of


@pytest.mark.parametrize("size", [1, 23, 1000])
@pytest.mark.parametrize("with_length", [True, False])
def test_mjpeg_over_http_is_a_stream_of_pictures(with_length: bool, size: int) -> None:
    frames, of = pictures(with_length)
    start = 1_700_000_000 * SECOND
    batch = batch_of(frames, [start + k * 100_000_000 + i for i, k in enumerate(of)])
    meter, rows, restarts = Meter(MeterSettings(), 0), {}, 0
    for at in range(0, len(batch), size):
        part = batch.slice(at, min(at + size, len(batch)))
        meter.update(part)
        told = meter.tick(int(part.time_ns[-1]))
        rows.update({int(row["id"]): row.copy() for row in told.streams})
        restarts += len([m for m in told.messages if isinstance(m, StreamRestart)])
    (row,) = rows.values()
    assert (row["packets"], row["frames"], row["keyframes"], row["lost"]) == (60, 60, 60, 0)
    assert STREAM_CODECS[row["codec"]] == "JPEG"
    assert (row["clock_rate"], row["width"], row["height"]) == (0, 640, 360)
    assert row["fps"] == pytest.approx(10, rel=0.02)
    assert row["media_bytes"] == sum(9000 + 100 * (k % 7) for k in range(60))
    assert np.isnan(row["jitter_ms"])
    assert np.isnan(row["stamp_rate"])
    assert not restarts
