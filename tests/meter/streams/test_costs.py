"""What an enemy's packets cost: never more than ten times healthy ones of the same number.

Processor time of the whole meter, as a ratio to a healthy camera's in the same process.
"""

from __future__ import annotations

import itertools
import random
import struct
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from panotui.meter.meter import Meter
from panotui.model import SECOND, MeterSettings, PacketBatch
from tests.meter.packets_in import batch_of, tcp, udp

N = 1500
MSS = 1448
MOST = 10
CAMERA, READER = "10.20.0.11", "10.20.0.5"
OK = b"RTSP/1.0 200 OK\r\n"
DESCRIBED = OK + b"Content-Type: application/sdp\r\n"


def rtp(number: int, stamp: int, ssrc: int, kind: int = 96, size: int = 1196) -> bytes:
    head = struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, ssrc)
    return head + b"\x41" * size


def datagram(payload: bytes, sport: int = 7000, dport: int = 40000) -> bytes:
    return udp(sport, dport, payload, src=CAMERA, dst=READER)


def conversation(said: bytes) -> list[bytes]:
    """A camera says this over TCP, once RTSP has been spoken."""
    asked = b"OPTIONS rtsp://10.20.0.11/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    said = OK + b"CSeq: 1\r\n\r\n" + said[: N * MSS]
    there, back = {"src": READER, "dst": CAMERA}, {"src": CAMERA, "dst": READER}
    return [
        tcp(40000, 554, 99, b"", flags=2, **there),
        tcp(554, 40000, 999, b"", flags=18, **back),
        tcp(40000, 554, 100, asked, **there),
        *(
            tcp(554, 40000, 1000 + at, said[at : at + MSS], **back)
            for at in range(0, len(said), MSS)
        ),
    ]


def frame(payload: bytes) -> bytes:
    return struct.pack("!cBH", b"$", 0, len(payload)) + payload


def paced(frames: list[bytes]) -> PacketBatch:
    """The packets, a thousand a second."""
    start = 1_700_000_000 * SECOND
    return batch_of(frames, [start + k * 1_000_000 for k in range(len(frames))])


def cost(frames: list[bytes]) -> float:
    """Seconds of processor time a packet, the least of three runs."""
    batch = paced(frames)
    edges = [0, *(np.flatnonzero(np.diff(batch.time_ns // SECOND)) + 1).tolist(), len(batch)]
    least = float("inf")
    for _ in range(3):
        meter = Meter(MeterSettings(), 0)
        begin = time.process_time()
        for a, b in itertools.pairwise(edges):
            part = batch.slice(a, b)
            meter.update(part)
            meter.tick(int(part.time_ns[-1]))
        least = min(least, time.process_time() - begin)
    return least / len(frames)


@cache
def healthy(transport: str) -> float:
    packets = [rtp(k, 3600 * (k // 14), 7) for k in range(N)]
    if transport == "udp":
        return cost([datagram(payload) for payload in packets])
    return cost(conversation(b"".join(map(frame, packets))))


def a_thousand(text: bytes) -> bytes:
    return text * (N * MSS // len(text) + 1)


OVER_TCP: dict[str, Callable[[], bytes]] = {
    "header without an end": lambda: OK + b"X: " + b"a" * N * MSS,
    "lines without an end": lambda: OK + a_thousand(b"Xabc: a\r\n"),
    "start lines": lambda: a_thousand(OK),
    "a hundred thousand headers": lambda: OK + b"".join(b"X%d: a\r\n" % i for i in range(100_000)),
    "descriptions of a megabyte": lambda: a_thousand(
        DESCRIBED + b"Content-Length: 1000000\r\n\r\n" + b"a=x:1\r\n" * 142_857 + b"a"
    ),
    "descriptions that are kept": lambda: a_thousand(
        DESCRIBED + b"Content-Length: 210000\r\n\r\n" + b"m=a\r\na=rtpmap:1 x/1\r\n" * 10_000
    ),
    "description without length or end": lambda: DESCRIBED + b"\r\n" + a_thousand(b"a=x:1\r\n"),
    "empty frames": lambda: a_thousand(b"$\0\0\0"),
    "tiny frames": lambda: a_thousand(b"$\0\0\x07aaaaaaa"),
    "tiny reports": lambda: a_thousand(b"$\1\0\x08\x80\xc9\0\1abcd"),
    "tiny messages": lambda: a_thousand(OK + b"\r\n"),
    "tiny parts of an HTTP answer": lambda: (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
        + a_thousand(b"--b\nContent-Length:1\n\nx")
    ),
    "parts of an HTTP answer without end": lambda: (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
        + b"--b\n\n"
        + a_thousand(b"\n--")
    ),
    "frames that lead nowhere": lambda: b"?" + a_thousand(b"$\0\xff\xff\x80"),
}


@pytest.mark.parametrize("what", OVER_TCP)
def test_what_a_connection_says_costs_little(what: str) -> None:
    assert cost(conversation(OVER_TCP[what]())) < MOST * healthy("tcp")


def floods() -> dict[str, list[bytes]]:
    chance = random.Random(5)

    def any_ssrc() -> int:
        return chance.getrandbits(32)

    every = range(N)
    return {
        "another SSRC each": [datagram(rtp(k, 3600 * k, any_ssrc())) for k in every],
        "another SSRC and port each": [
            datagram(rtp(k, 3600 * k, any_ssrc()), 7000 + k, 30000 + k % 777) for k in every
        ],
        "another SSRC amid a stream": [
            datagram(rtp(k, 3600 * k, 7 if k < 50 or k % 2 else any_ssrc())) for k in every
        ],
        "another SSRC each two": [datagram(rtp(k, 90 * k, 7 if k < 50 else k // 2)) for k in every],
        "a stream each eight": [
            datagram(rtp(40000 * (k // 8) + k % 8, 900_000_007 * (k // 8), 100 + k // 8))
            for k in every
        ],
        "a flow each eight": [
            datagram(rtp(k % 8, 0, 100 + k // 8), 7000 + k // 8, 9000 + k // 8) for k in every
        ],
        "any number": [
            datagram(rtp(k if k < 50 else chance.getrandbits(16), 3600 * k, 7)) for k in every
        ],
        "reports": [
            *(datagram(rtp(k, 3600 * k, 7)) for k in range(20)),
            *(datagram(b"\x80\xc9\0\1abcd", 7001, 40001) for k in every),
        ],
    }


@pytest.mark.parametrize("what", floods())
def test_floods_of_datagrams_cost_little(what: str) -> None:
    assert cost(floods()[what]) < MOST * healthy("udp")
