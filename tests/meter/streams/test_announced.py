"""What SETUP and SDP announce is media, and nothing else is; in any cut of the packets."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.meter.rtp.gaps import REORDER_NS
from panotui.model import SECOND, STREAM_CODECS, StreamFreeze, StreamRestart
from tests.meter.streams.made_site import (
    BASE,
    CAMERA,
    CLIENT,
    UDP,
    UDP_ANSWER,
    Site,
    interleaved,
    rtp,
    udp,
)

Frames = list[tuple[bytes, bool]]
CUTS = pytest.mark.parametrize("size", [1, 3, 1000])
TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"
SLICE = b"\x41" * 50


def described(kind: int, name: str = "H264/90000") -> bytes:
    return (
        f"v=0\r\nm=video 0 RTP/AVP {kind}\r\na=rtpmap:{kind} {name}\r\na=control:track1\r\n"
    ).encode()


def packet(
    sequence: int, stamp: int, kind: int = 96, ssrc: int = 7, rest: bytes = SLICE, sport: int = 6000
) -> tuple[bytes, bool]:
    return udp(CAMERA, sport, CLIENT, 5000, rtp(sequence, stamp, ssrc, kind, rest)), False


def give(site: Site, frames: Frames, size: int) -> None:
    """The frames in batches of so many."""
    for at in range(0, len(frames), size):
        site.packets(*frames[at : at + size])
    site.tick()
    site.now += 2 * REORDER_NS
    site.tick()


def of_kind(site: Site, kind: int) -> np.void:
    (row,) = [row for row in site.rows.values() if row["payload_type"] == kind]
    return row


@CUTS
@pytest.mark.parametrize("kind", [35, 50, 64, 90, 127])
def test_any_payload_type_that_the_sdp_names_is_media(kind: int, size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=described(kind))
    give(site, [packet(k, 3600 * k, kind) for k in range(300)], size)
    row = site.stream
    assert (row["packets"], row["lost"], row["foreign"]) == (300, 0, 0)
    assert (STREAM_CODECS[row["codec"]], row["signalled"]) == ("H264", 1)


@CUTS
def test_type_that_nobody_announced_and_no_list_has_is_media_by_content_alone(size: int) -> None:
    """Pictures under type 35 are a stream, as a capture that begins later shows; text is none."""
    site = Site()
    give(site, [packet(k, 3600 * k, 35) for k in range(300)], size)
    assert STREAM_CODECS[site.stream["codec"]] == "H264"
    site = Site()
    give(site, [packet(k, 3600 * k, 35, rest=b"report %d" % k) for k in range(300)], size)
    assert not site.rows


@CUTS
def test_picture_under_an_assigned_number_is_known_by_its_content(size: int) -> None:
    """H.264 as type 26 and type 0, with and without a SETUP that names no encoding; sound and
    interlaced JPEG stay what their number says."""
    parts = [b"\x7c" + bytes([edge | 1]) + SLICE for edge in (0x80, 0, 0x40)]
    jpeg = [bytes([2, 0, part * 4, 0, 1, 80, 40, 30]) + SLICE for part in range(3)]
    for kind, bodies, name in ((26, parts, "H264"), (0, parts, "H264"), (33, parts, "H264"),
                               (26, jpeg, "JPEG"), (0, [SLICE], "PCMU")):  # fmt: skip
        frames = [
            packet(k, 3600 * (k // 3), kind, rest=bodies[k % len(bodies)]) for k in range(300)
        ]
        for sdp in (None, b"v=0\r\nm=video 0 RTP/AVP %d\r\na=control:track1\r\n" % kind):
            site = Site()
            if sdp:
                site.dialogue(UDP, UDP_ANSWER, described=sdp)
            give(site, frames, size)
            row = site.stream
            assert (STREAM_CODECS[row["codec"]], row["packets"]) == (name, 300)
            if name == "H264":
                # the first eight packets tell; announced ones are measured as they come
                known = sdp is None or kind == 26
                assert (row["clock_rate"], row["frames"]) == (90_000, 100 if known else 98)


@CUTS
def test_codec_that_the_content_shows_stands_against_the_sdp(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=described(96))
    body = b"\x62\x01\x81" + SLICE
    give(site, [packet(k, 3600 * k, rest=body) for k in range(300)], size)
    assert STREAM_CODECS[site.stream["codec"]] == "H265"


def test_packets_of_unannounced_pictures_may_overtake_one_another() -> None:
    """Each picture of three packets comes last packet first."""
    site = Site()
    order = [3 * picture + part for picture in range(50) for part in (2, 1, 0)]
    give(site, [packet(k, 3600 * (k // 3)) for k in order], 7)
    assert (site.stream["packets"], site.stream["lost"]) == (150, 0)


@CUTS
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_undeclared_packets_that_share_numbers_are_counted_apart(size: int, transport: str) -> None:
    def frame(k: int, kind: int) -> tuple[bytes, bool]:
        payload = rtp(k, 3600 * k, kind=kind, rest=SLICE)
        if transport == "tcp":
            return site.bytes(interleaved(0, payload), False)
        return udp(CAMERA, 6000, CLIENT, 5000, payload), False

    site = Site()
    asked, answer = (TCP, "") if transport == "tcp" else (UDP, UDP_ANSWER)
    site.dialogue(asked, answer, described=described(108))
    frames = [frame(k, kind) for k in range(200) for kind in ((50, 108) if k % 3 else (108,))]
    give(site, frames, size)
    row = site.stream
    assert row["payload_type"] == 108
    assert (row["packets"], row["lost"], row["duplicates"], row["foreign"]) == (200, 0, 0, 133)
    assert not site.of(StreamRestart)


@CUTS
def test_loss_beside_undeclared_packets_that_share_numbers_is_still_loss(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=described(108))
    frames = [packet(k, 3600 * k, kind) for k in range(400) for kind in (50, 108)]
    kept = [f for i, f in enumerate(frames) if i not in (301, 401, 501)]  # three of type 108
    give(site, kept, size)
    assert (site.stream["packets"], site.stream["lost"], site.stream["foreign"]) == (397, 3, 400)


@CUTS
@pytest.mark.parametrize("late", [False, True])
def test_undeclared_packets_with_numbers_of_their_own_leave_no_gap(size: int, late: bool) -> None:
    """Error correction after each picture: what it uses up was not to come."""
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    frames = [packet(k, 3600 * (k // 5), 97 if k % 5 == 4 else 96) for k in range(500)]
    if late:  # each comes after the packet that follows it
        for k in range(4, 499, 5):
            frames[k], frames[k + 1] = frames[k + 1], frames[k]
    del frames[202:204]  # two of the video's own
    give(site, frames, size)
    row = site.stream
    assert (row["packets"], row["foreign"], row["lost"]) == (398, 100, 2)
    assert (row["expected"], row["gap_events"]) == (400, 1)


@CUTS
def test_undeclared_packets_before_the_first_declared_one_are_counted_too(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    give(
        site, [packet(k, 0, 97) for k in range(3)] + [packet(k, 3600 * k) for k in range(90)], size
    )
    assert (site.stream["packets"], site.stream["foreign"]) == (90, 3)


@CUTS
def test_nothing_but_an_undeclared_type_is_a_stream_that_says_so(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    give(site, [packet(k, 3600 * k, 99) for k in range(90)], size)
    row = site.stream
    assert (row["packets"], row["undeclared"], row["payload_type"]) == (90, 1, 99)
    assert row["session"] >= 0


TWO = (
    b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    b"m=audio 0 RTP/AVP 8\r\na=control:track2\r\n"
)


def both_tracks(site: Site, transport: str, answer: str) -> None:
    """SETUP of two tracks with one transport."""
    site.dialogue(transport, answer, described=TWO)
    site.packets(
        site.text(f"SETUP {BASE}/track2 RTSP/1.0\nCSeq: 7\nTransport: {transport}", True),
        site.text(f"RTSP/1.0 200 OK\nCSeq: 7\nSession: 9\nTransport: {answer or transport}", False),
    )


@CUTS
@pytest.mark.parametrize("audio_ssrc", [7, 9])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_two_tracks_on_one_port_are_two_streams(size: int, audio_ssrc: int, transport: str) -> None:
    site = Site()

    def frame(payload: bytes) -> tuple[bytes, bool]:
        if transport == "tcp":
            return site.bytes(interleaved(0, payload), False)
        return udp(CAMERA, 6000, CLIENT, 5000, payload), False

    both_tracks(site, *((TCP, "") if transport == "tcp" else (UDP, UDP_ANSWER)))
    frames = []
    for k in range(200):
        frames.append(frame(rtp(100 + k, 3600 * k, kind=96, rest=SLICE)))
        frames.append(frame(rtp(9000 + k, 160 * k, audio_ssrc, 8, b"a" * 160)))
    give(site, frames, size)
    video, audio = of_kind(site, 96), of_kind(site, 8)
    assert len(site.rows) == 2
    for row in (video, audio):
        assert (row["packets"], row["lost"], row["duplicates"], row["restarts"]) == (200, 0, 0, 0)
        assert row["foreign"] == 0
    assert not site.of(StreamRestart)
    assert (video["clock_rate"], audio["clock_rate"]) == (90000, 8000)


def renewed(every: int, count: int, other: int = 1) -> Frames:
    """A stream that takes another SSRC after so many packets; numbers and time go on."""
    return [packet(60000 + k, 3600 * k, ssrc=0x100 + other * (k // every)) for k in range(count)]


@CUTS
@pytest.mark.parametrize(
    ("every", "announced"), [(30, True), (150, True), (7, True), (30, False), (150, False)]
)
def test_stream_that_goes_on_under_another_ssrc_is_one_stream(
    size: int, every: int, announced: bool
) -> None:
    site = Site()
    if announced:
        site.dialogue(UDP, UDP_ANSWER)
    give(site, renewed(every, 300), size)
    row = site.stream
    assert (row["packets"], row["lost"], row["frames"]) == (300, 0, 300)
    assert row["ssrc_changes"] == -(-300 // every) - 1
    assert row["ssrc"] == 0x100 + 299 // every
    assert not site.of(StreamRestart)


@CUTS
def test_loss_around_a_change_of_ssrc_is_the_stream_s(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    frames = renewed(30, 300)
    gone = {29, 30, 89, 120, 121, 200}
    give(site, [frame for k, frame in enumerate(frames) if k not in gone], size)
    row = site.stream
    assert (row["packets"], row["lost"], row["expected"]) == (294, 6, 300)
    assert not site.of(StreamRestart)


@CUTS
def test_two_ssrcs_in_turn_whose_numbers_go_on_are_one_stream(size: int) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    give(site, [packet(k, 3600 * k, ssrc=7 + k // 20 % 2) for k in range(200)], size)
    assert (site.stream["packets"], site.stream["lost"]) == (200, 0)
    assert not site.of(StreamRestart)


@CUTS
@pytest.mark.parametrize("what", ["numbers", "time", "both"])
def test_new_ssrc_whose_numbers_or_time_begin_anew_is_a_restart(size: int, what: str) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    first = 100 if what == "time" else 40000
    stamp = 3600 * 100 if what == "numbers" else 3_000_000_000
    frames = [packet(k, 3600 * k) for k in range(100)]
    frames += [packet(first + k, stamp + 3600 * k, ssrc=8) for k in range(100)]
    give(site, frames, size)
    (restart,) = site.of(StreamRestart)
    assert restart.kind == "ssrc"
    assert sorted(int(row["packets"]) for row in site.rows.values()) == [100, 100]
    assert [int(row["lost"]) for row in site.rows.values()] == [0, 0]


@CUTS
@pytest.mark.parametrize("sport", [6000, 7000])
def test_what_an_earlier_session_still_sends_is_not_the_new_session_s(
    size: int, sport: int
) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    old = [packet(k, 3600 * k, ssrc=1, sport=sport) for k in range(150)]
    give(site, old[:100], size)
    site.packets(site.bytes(b"", True, 4))
    site.seq = {True: 9000, False: 70000}
    site.flows = {key: flow for key, flow in site.flows.items() if key[0] != 6}
    site.dialogue(UDP, UDP_ANSWER)
    frames = [f for k in range(50) for f in (old[100 + k], packet(k, 3600 * k, ssrc=2))]
    frames += [packet(k, 3600 * k, ssrc=2) for k in range(50, 200)]
    frozen = len(site.of(StreamFreeze))
    give(site, frames, size)
    by_ssrc = {int(row["ssrc"]): row for row in site.rows.values()}
    told = {message.stream for message in site.of(StreamFreeze)[frozen:]}
    assert told == {int(by_ssrc[2]["id"])}  # of the silence at the end
    assert (by_ssrc[2]["packets"], by_ssrc[2]["lost"], by_ssrc[2]["signalled"]) == (200, 0, 1)
    assert (by_ssrc[1]["stray"], by_ssrc[1]["signalled"], by_ssrc[1]["end"]) == (1, 0, 1)
    assert not site.of(StreamRestart)


def test_encoder_that_restarts_long_after_a_session_took_its_stream_over_is_told() -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    give(site, [packet(k, 3600 * k) for k in range(100)], 1000)
    site.dialogue(UDP, UDP_ANSWER)
    for second in range(20):
        give(site, [packet(100 + 9 * second + k, 3600 * (100 + k)) for k in range(9)], 1000)
        site.now += SECOND
    give(site, [packet(30000 + k, 9000 + 3600 * k, ssrc=8) for k in range(50)], 1000)
    (restart,) = site.of(StreamRestart)
    assert restart.kind == "ssrc"


@pytest.mark.parametrize("port", [5000, 8000])
def test_media_at_the_asked_or_the_answered_port_are_the_session_s(port: int) -> None:
    site = Site()
    answer = "RTP/AVP;unicast;client_port=8000-8001;server_port=6000-6001"
    site.dialogue(UDP, answer, described=described(35))
    frames = [
        (udp(CAMERA, 6000, CLIENT, port, rtp(k, 3600 * k, kind=35)), False) for k in range(50)
    ]
    give(site, frames, 10)
    assert (site.stream["packets"], site.stream["signalled"]) == (50, 1)


@CUTS
@pytest.mark.parametrize("ends", ["TEARDOWN", "FIN"])
def test_a_session_that_is_over_in_its_batch_has_had_its_track(size: int, ends: str) -> None:
    """A picture is taken and the session ended, all of it read before its packets are sorted."""
    site = Site()
    site.dialogue(TCP, described=described(108))
    sent = [interleaved(0, rtp(k, 3600, kind=108, rest=SLICE)) for k in range(4)]
    frames = [site.bytes(one, False) for one in sent]
    if ends == "TEARDOWN":
        frames.append(site.text(f"TEARDOWN {BASE}/ RTSP/1.0\nCSeq: 4\nSession: 9", True))
    else:
        frames.append(site.bytes(b"", True, 17))
    give(site, frames, size)
    row = site.stream
    assert (row["packets"], row["signalled"], row["payload_type"], row["end"]) == (4, 1, 108, 1)
    assert STREAM_CODECS[row["codec"]] == "H264"
