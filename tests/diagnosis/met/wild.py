"""Rare words of RTSP, and what else readers and cameras of the wild do."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.clothes import RECORDER, RECORDER_MAC
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

SDP = description(media_line())
ONE = 0x5EED0001
GOOD = {ONE: {"lost": 0, "fps": 25.0}}
YARD = {"address": "10.20.0.12", "mac": "02:00:00:00:01:12"}


def _requested(reader: Reader, at: float, method: str, headers: str, version: str) -> None:
    """A request of the camera, which its reader grants."""
    text = f"{method} {reader.url} {version}\r\nCSeq: 1\r\nSession: {reader.session}\r\n{headers}"
    reader.flow.answer(at, f"{text}\r\n\r\n".encode())
    reader.flow.send(at + 0.01, f"{version} 200 OK\r\nCSeq: 1\r\n\r\n".encode())


@scene
def camera_sends_its_reader_to_another(wire: Wire) -> Truth:
    """REDIRECT in the middle; the reader plays there."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 10, channel=0)
    _requested(reader, 10.01, "REDIRECT", "Location: rtsp://10.20.0.12:554/", "RTSP/1.0")
    reader.in_session(10.03, "TEARDOWN")
    reader.flow.close(10.1)
    there = Reader(wire, 40_001, **YARD).start(10.5, SDP, ports=6010)
    there.film(10.9, 30, Film(ssrc=7), port=6010)
    return Truth(state=None, streams={7: {"lost": 0}}, states={"10.20.0.12": "streaming"})


@scene
def camera_sends_its_reader_away_in_vain(wire: Wire) -> Truth:
    """REDIRECT, which the reader grants and does not follow: no picture any more."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 10, channel=0)
    _requested(reader, 10.01, "REDIRECT", "Location: rtsp://10.20.0.12:554/", "RTSP/1.0")
    for at in (15, 25, 35):
        reader.in_session(at, "GET_PARAMETER")
    return Truth(("stream-frozen",), state="silent")


@scene
def camera_announces_the_end_and_is_played_anew(wire: Wire) -> Truth:
    """PLAY_NOTIFY of RTSP 2.0."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    reader.film(0.6, 10, channel=0)
    _requested(reader, 10.01, "PLAY_NOTIFY", "Notify-Reason: end-of-stream", "RTSP/2.0")
    reader.in_session(10.03, "TEARDOWN")
    reader.flow.close(10.1)
    Reader(wire, 40_001).start(12, SDP, ports=6010).film(12.4, 30, Film(ssrc=7), port=6010)
    return Truth(streams={7: {"lost": 0}})


def _replay(wire: Wire, rate: str, film: Film, **who: str) -> None:
    """A recording of the camera's own memory, with ONVIF's header extension."""
    film.extension = struct.pack("!IIBBH", 0xEE0A0B0C, 0, 0x80, 1, 0)
    reader = Reader(wire, **who)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.3, SDP)
    reader.set_up(0.35, reader.url + "/track1", channel=0)
    asks = {"Session": reader.session, "Require": "onvif-replay", "Rate-Control": rate,
            "Range": "clock=20261101T000000Z-"}  # fmt: skip
    reader.pair(0.4, "PLAY", asks=asks, Session=reader.session)
    reader.film(0.6, 40, film, channel=0)


@scene
def recording_is_read_as_it_was_made(wire: Wire) -> Truth:
    _replay(wire, "yes", Film())
    return Truth(streams=GOOD)


@scene
def recording_is_read_as_fast_as_it_can_be(wire: Wire) -> Truth:
    """Five seconds of stamps in each second: that is no jitter."""
    who = {"client": RECORDER, "client_mac": RECORDER_MAC, "agent": "NVR"}
    _replay(wire, "no", Film(fps=125, step=3600), **who)
    return Truth(state=None, streams={ONE: {"lost": 0}})


def _reports(wire: Wire, reader: Reader, film: Film, shares: list[int], counted: bool) -> None:
    """Reports of loss, in 256ths; each is of 340 packets."""
    lost = 0
    for number, share in enumerate(shares):
        lost += 340 * share // 256 if counted else 0
        body = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x9999, film.ssrc, share << 24 | lost,
                           600 + 340 * number, 0, 0, 0)  # fmt: skip
        wire.udp(2 + 5 * number, (reader.client_mac, reader.client, 6001),
                 (reader.mac, reader.address, 5001), body)  # fmt: skip


@scene
def reader_loses_behind_the_mirror(wire: Wire) -> Truth:
    """All packets pass; the reader's reports say that a fifth does not arrive."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 60, silent=True)
    _reports(wire, reader, film, [51] * 12, counted=True)
    return Truth(("stream-loss",), severity={"stream-loss": "error"}, state="losing",
                 says={"stream-loss": "by its own reports"}, streams=GOOD)  # fmt: skip


@scene
def reader_has_lost_its_first_packets_only(wire: Wire) -> Truth:
    """Twin: it began to listen late, and has got all since then."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 60, silent=True)
    _reports(wire, reader, film, [90] + [0] * 11, counted=True)
    return Truth(streams=GOOD)


@scene
def reader_reports_shares_that_its_count_denies(wire: Wire) -> Truth:
    """Twin: a share of loss in each report, and none in the sum of all: such reports are wrong."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 60, silent=True)
    _reports(wire, reader, film, [51] * 12, counted=False)
    return Truth(streams=GOOD)


@scene
def reader_has_lost_for_a_while(wire: Wire) -> Truth:
    """Half a minute of loss behind the mirror, and then none."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 150, silent=True)
    _reports(wire, reader, film, [0] * 4 + [30] * 6 + [0] * 20, counted=True)
    return Truth(("stream-loss",), over=("stream-loss",), streams=GOOD)
