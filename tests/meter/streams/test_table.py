"""The stream table on conversations made here, down to the packets."""

from __future__ import annotations

import base64
import struct

import numpy as np
import pytest

from panotui.model import (
    APPS,
    SECOND,
    STREAM_CODECS,
    MeterSettings,
    RtcpReport,
    RtspEnd,
    RtspMessage,
    StreamBound,
    StreamFreeze,
    StreamRestart,
)
from panotui.model.tables import GOODBYE
from tests.meter.streams.made_site import (
    BASE,
    CAMERA,
    CLIENT,
    SDP,
    UDP,
    UDP_ANSWER,
    Site,
    interleaved,
    rtp,
    tcp,
    udp,
)


def test_negotiated_ports_make_the_first_packet_a_stream():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(100, 1))
    site.tick()
    row = site.stream
    assert (row["packets"], row["signalled"], row["clock_rate"]) == (1, 1, 90000)
    assert STREAM_CODECS[row["codec"]] == "H264"
    (bound,) = site.of(StreamBound)
    assert (bound.url, bound.media) == (f"{BASE}/track1", "video")
    flows, apps = site.table.media_flows()
    assert [APPS[a] for a in apps] == ["rtp"]
    assert len(flows) == 1


def test_media_before_the_answer_to_setup_and_from_another_port_still_bind():
    site = Site()
    site.packets(*site.media(100, 5, sport=7777))
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(105, 5, sport=7777))
    site.tick()
    row = site.stream
    assert (row["packets"], row["lost"], row["signalled"], row["sport"]) == (10, 0, 1, 7777)


def test_adopted_flow_learns_its_session_from_a_later_setup():
    site = Site()
    site.packets(*site.media(100, 12))
    site.tick()
    assert site.stream["signalled"] == 0
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(112, 3))
    site.tick()
    assert (site.stream["signalled"], site.stream["packets"]) == (1, 15)
    assert site.of(StreamBound)[0].url == f"{BASE}/track1"


def test_hole_punching_of_live555_is_no_media_and_no_fault():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    punch = udp(CLIENT, 5000, CAMERA, 6000, b"\xce\xfa\xed\xfe")
    site.packets((punch, True), (punch, True), *site.media(1, 20))
    site.tick()
    assert site.stream["packets"] == 20


def test_seven_packets_are_not_enough_without_signalling_and_eight_are():
    site = Site()
    site.packets(*site.media(1, 7))
    site.tick()
    assert not site.rows
    site.packets(*site.media(8, 1))
    site.tick()
    assert site.stream["packets"] == 8


@pytest.mark.parametrize("before", [True, False])
def test_few_packets_that_answer_media_are_media(before: bool) -> None:
    site = Site()
    back = [(udp(CLIENT, 5000, CAMERA, 6000, rtp(k, 960 * k, ssrc=9)), True) for k in range(3)]
    there = site.media(1, 8)
    site.packets(*(back + there if before else there + back))
    site.tick()
    assert sorted((row["ssrc"], row["packets"]) for row in site.rows.values()) == [(7, 8), (9, 3)]


def test_media_after_stun_and_dtls_on_their_port_are_found_and_encrypted() -> None:
    site = Site()
    stun = struct.pack("!HHIQI", 1, 0, 0x2112A442, 5, 5)
    dtls = b"\x17\xfe\xfd" + bytes(8) + b"\0\x20" + bytes(32)
    opening = [
        (udp(CAMERA, 6000, CLIENT, 5000, payload), False) for payload in (stun, dtls, b"\xce" * 4)
    ]
    site.packets(*opening * 10, *site.media(1, 30, rest=b"\x65" * 60))
    site.tick()
    row = site.stream
    assert (row["packets"], row["encrypted"], row["keyframes"]) == (30, 1, 0)
    assert [APPS[a] for a in site.table.media_flows()[1]] == ["srtp"]


def test_traffic_that_only_looks_like_company_of_media_is_left_alone_after_a_while() -> None:
    site = Site()
    tunnel = (udp(CAMERA, 6000, CLIENT, 5000, b"\x17\xfe\xfd" + bytes(60)), False)
    site.packets(*[tunnel] * 300)
    place = site.flows[next(iter(site.flows))] * 2
    assert site.table._udp.carriers.kind[place] == 1


def test_other_udp_costs_nothing_after_a_few_packets():
    site = Site()
    other = [
        (udp(CAMERA, 9000, CLIENT, 9001, bytes([17 * k % 128] * 40)), False) for k in range(20)
    ]
    site.packets(*other)
    place = site.flows[next(iter(site.flows))] * 2
    assert site.table._udp.carriers.kind[place] == 1
    site.packets(*other)
    site.tick()
    assert not site.rows
    assert not site.table._udp._places


def test_slot_that_another_flow_has_taken_starts_anew():
    site = Site()
    site.packets(*[(udp(CAMERA, 9000, CLIENT, 9001, b"\0" * 40), False)] * 20)
    (key,) = site.flows
    site.flows = {}
    site.table._udp.carriers.reserve(64)
    site.packets(*site.media(1, 1))  # same slot number, same id: another flow in the test only
    assert key != next(iter(site.flows))
    site.table.forget(np.array([1], np.uint64))
    site.table._udp.carriers.flow[:] = 999
    site.packets(*site.media(2, 10))
    site.tick()
    assert site.stream["packets"] == 10


@pytest.mark.parametrize("forgotten", [False, True])
def test_fullest_second_counts_also_when_it_is_the_last(forgotten: bool) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(0, 10))
    site.tick()
    site.now += SECOND
    site.packets(*site.media(10, 30))
    if forgotten:
        site.table.forget(np.unique(np.array(list(site.flows.values()), np.uint64)))
    site.tick()
    size = len(site.media(0, 1)[0][0])
    assert site.stream["bitrate_peak_bps"] == 30 * size * 8


def test_stream_that_a_new_session_goes_on_with_is_that_session_s_and_no_freeze() -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(0, 50))
    site.packets(site.text(f"TEARDOWN {BASE} RTSP/1.0\nCSeq: 4\nSession: 9", True))
    site.tick()
    assert site.stream["end"] == 1
    site.now += 5 * SECOND
    site.tick()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(50, 50))
    site.tick()
    assert (site.stream["packets"], site.stream["end"], site.stream["freezes"]) == (100, 0, 0)
    assert not site.of(StreamFreeze)


def test_audio_has_no_frame_rate():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, track="track2")
    packets = [
        (udp(CAMERA, 6000, CLIENT, 5000, rtp(k, 1024 * k, kind=97, rest=b"\0\x10aa")), False)
        for k in range(50)
    ]
    site.packets(*packets)
    site.tick()
    row = site.stream
    assert STREAM_CODECS[row["codec"]] == "MPEG4-GENERIC"
    assert (row["clock_rate"], row["frames"]) == (16000, 0)
    assert np.isnan(row["fps"])
    assert not np.isnan(row["jitter_ms"])


@pytest.mark.parametrize("strange", [0, 3, 8, 11, 24])
@pytest.mark.parametrize("at_once", [1, 3, 7, 60])
def test_codec_of_unannounced_media_is_found_at_one_packet_in_any_cut(
    strange: int, at_once: int
) -> None:
    """Eight packets are looked at together: the first packets may say nothing of their codec."""
    frames = []
    for i in range(60):
        rest = b"\x80" if i < strange else b"\x65" if i % 10 == 9 else b"\x41"
        payload = rtp(i, 6000 * (i // 2), rest=rest + b"\x9a" * 40)
        frames.append((udp(CAMERA, 5000, CLIENT, 6000, payload), False))
    site = Site()
    for start in range(0, len(frames), at_once):
        site.packets(*frames[start : start + at_once])
    site.tick()
    (row,) = site.rows.values()
    known = 0 if not strange else (strange + 7) // 8 * 8 + 7
    assert (STREAM_CODECS[row["codec"]], int(row["packets"])) == ("H264", 60)
    assert int(row["keyframes"]) == len([i for i in range(9, 60, 10) if i >= known])


@pytest.mark.parametrize("rest", [b"\x41\x9a", b"\x80\x9a"])  # H.264, and what tells nothing
def test_another_source_on_an_unannounced_stream_s_way_is_told(rest: bytes) -> None:
    site = Site()
    for ssrc in (7, 9):
        site.packets(*[
            (udp(CAMERA, 5000, CLIENT, 6000, rtp(i, 6000 * i, ssrc, rest=rest * 20)), False)
            for i in range(20)
        ])  # fmt: skip
    site.tick()
    (restart,) = site.of(StreamRestart)
    assert (restart.kind, restart.detail) == ("ssrc", "0x00000007 -> 0x00000009")
    assert sorted(int(row["packets"]) for row in site.rows.values()) == [20, 20]


def test_pictures_in_aggregates_count_from_the_first_packet_on():
    units = (b"\x09\x10", b"\x65" * 40), (b"\x09\x10", b"\x41" * 40)
    pictures = [
        b"\x78" + b"".join(struct.pack("!H", len(unit)) + unit for unit in units[k % 10 > 0])
        for k in range(40)
    ]
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    for half in (range(20), range(20, 40)):
        site.packets(
            *[
                (udp(CAMERA, 6000, CLIENT, 5000, rtp(k, 3600 * k, rest=pictures[k])), False)
                for k in half
            ]
        )
    site.tick()
    assert (site.stream["frames"], site.stream["keyframes"]) == (40, 4)


def test_unknown_clock_gives_no_jitter():
    site = Site()
    rest = bytes(range(100, 150))
    site.packets(*[(udp(CAMERA, 1, CLIENT, 2, rtp(k, 7 * k, rest=rest)), False) for k in range(20)])
    site.tick()
    assert site.stream["clock_rate"] == 0
    assert np.isnan(site.stream["jitter_ms"])
    assert np.isnan(site.stream["frame_jitter_ms"])


def test_encrypted_media_are_measured_without_their_payload():
    site = Site()
    secure = UDP.replace("RTP/AVP", "RTP/SAVP")
    site.dialogue(secure, secure + ";server_port=6000-6001")
    site.packets(*site.media(1, 30, rest=b"\x65" * 60))
    site.tick()
    row = site.stream
    assert (row["encrypted"], row["packets"], row["keyframes"]) == (1, 30, 0)
    assert row["frames"] == 30
    assert [APPS[a] for a in site.table.media_flows()[1]] == ["srtp"]


# Parameter sets that encoders wrote for films of 1920x1080.
H264_SET = base64.b64decode("Z01AKOygPAET8uAiAAADAAIAAAMAZB4wYyw=")
H265_SET = base64.b64decode("QgEBBAgAAAMAnggAAAMAAHiQAHgQAhyyys0kmV4C3AgIABAAAAMAEAAAAwGQgA==")


def fragments(unit: bytes, size: int) -> list[bytes]:
    """RTP payloads of a unit in fragments of `size` bytes: FU-A, or H.265's."""
    hevc = unit[0] >> 1 & 63 == 33 and len(unit) > 40
    body = unit[2:] if hevc else unit[1:]
    head = bytes([unit[0] & 0x81 | 49 << 1, unit[1]]) if hevc else bytes([unit[0] & 0xE0 | 28])
    kind = unit[0] >> 1 & 63 if hevc else unit[0] & 31
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    last = len(pieces) - 1
    return [
        head + bytes([kind | (0x80 if k == 0 else 0) | (0x40 if k == last else 0)]) + piece
        for k, piece in enumerate(pieces)
    ]


def shown(payloads: list[bytes], first: int = 100, kind: int = 96) -> list[tuple[bytes, bool]]:
    return [
        (udp(CAMERA, 6000, CLIENT, 5000, rtp(first + k, 3600, kind=kind, rest=payload)), False)
        for k, payload in enumerate(payloads)
    ]


def video(codec: str) -> bytes:
    return f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {codec}/90000\r\n".encode()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(("codec", "unit"), [("H264", H264_SET), ("H265", H265_SET)])
def test_parameter_set_spread_over_fragments_says_the_size(
    codec: str, unit: bytes, early: bool
) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=video(codec))
    if not early:  # the set comes once the stream is known, and its packets in two batches
        site.packets(*site.media(50, 3, rest=b"\x02\x01slice"))
    packets = shown(fragments(unit, 9))
    site.packets(*packets[:2])
    site.packets(*packets[2:])
    site.tick()
    row = site.stream
    assert (row["width"], row["height"]) == (1920, 1080)


def test_fragmented_set_that_misses_a_piece_is_not_read():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=video("H264"))
    packets = shown(fragments(H264_SET, 6))
    site.packets(*packets[:2], *packets[3:])
    site.tick()
    assert site.stream["width"] == 0
    site.packets(*shown(fragments(H264_SET, 6), 200))
    site.tick()
    assert site.stream["width"] == 1920


def test_endless_fragments_of_a_set_keep_little():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER, described=video("H264"))
    start = b"\x7c\x87" + H264_SET[1:6]
    site.packets(*shown([start, *([b"\x7c\x07" + b"\xff" * 1200] * 400)]))
    site.tick()
    (stream,) = site.table._known.live()
    assert len(stream.fragments._unit) <= 1024
    assert site.stream["packets"] == 401


def test_size_that_only_the_sdp_declares_holds_until_the_stream_says_its_own():
    site = Site()
    declared = video("H264") + b"a=x-dimensions:2560,1440\r\n"
    site.dialogue(UDP, UDP_ANSWER, described=declared)
    site.packets(*site.media(100, 3))
    site.tick()
    assert (site.stream["width"], site.stream["height"]) == (2560, 1440)
    site.packets(*shown([H264_SET], 103))
    site.tick()
    assert (site.stream["width"], site.stream["height"]) == (1920, 1080)


def jpeg_packet(sequence: int, width: int, height: int, extension: bytes = b""):  # type: ignore[no-untyped-def]
    head = struct.pack("!BBHII", 0x90 if extension else 0x80, 26, sequence, sequence * 9000, 7)
    if extension:
        head += struct.pack("!HH", 0xFFD8, len(extension) // 4) + extension
    body = bytes([0, 0, 0, 0, 1, 60, width // 8 & 0xFF, height // 8 & 0xFF]) + b"scan" * 20
    return udp(CAMERA, 6000, CLIENT, 5000, head + body), False


def test_jpeg_larger_than_2040_pixels_has_its_size_from_the_header_extension():
    site = Site()
    described = b"v=0\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n"
    site.dialogue(UDP, UDP_ANSWER, described=described)
    tables = b"\xff\xdb\x00\x07" + bytes(5)
    frame = b"\xff\xc0" + struct.pack("!HBHHB", 11, 8, 1944, 2592, 1) + b"\1\x11\0"
    extension = (tables + frame).ljust(28, b"\xff")
    site.packets(jpeg_packet(0, 0, 0, extension))
    site.packets(*[jpeg_packet(k, 0, 0, extension) for k in range(1, 3)])
    site.tick()
    assert (site.stream["width"], site.stream["height"]) == (2592, 1944)
    # another profile of the camera takes over
    site.packets(*[jpeg_packet(k, 640, 480) for k in range(3, 6)])
    site.tick()
    assert (site.stream["width"], site.stream["height"]) == (640, 480)


def test_encrypted_bytes_that_look_like_a_parameter_set_say_no_size():
    site = Site()
    secure = UDP.replace("RTP/AVP", "RTP/SAVP")
    described = video("H264").replace(b"RTP/AVP", b"RTP/SAVP")
    site.dialogue(secure, secure + ";server_port=6000-6001", described=described)
    site.packets(*shown([H264_SET] * 3))
    site.packets(*shown([H264_SET] * 3, 103))
    site.tick()
    assert (site.stream["encrypted"], site.stream["width"]) == (1, 0)


def report(kind: str, ssrc: int, count: int = 0) -> bytes:
    if kind == "sr":
        ntp = (2_208_988_800 + 1_700_000_000) << 32
        return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, 0, count, 0)
    if kind == "bye":
        return struct.pack("!BBHI", 0x81, 203, 1, ssrc)
    block = struct.pack("!IIIIII", ssrc, 26 << 24 | 12, 500, 900, 0, 0)
    return struct.pack("!BBHI", 0x81, 201, 7, 99) + block


def test_reports_of_both_sides_count_what_each_has_seen():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    up = (CLIENT, 5001, CAMERA, 6001)
    down = (CAMERA, 6001, CLIENT, 5001)
    site.packets(*site.media(0, 10), (udp(*down, report("sr", 7, 10)), False))
    site.packets(*site.media(10, 10), *site.media(25, 5))  # five never reach us
    site.packets((udp(*down, report("sr", 7, 30)), False), (udp(*up, report("rr", 7)), True))
    site.tick()
    row = site.stream
    assert (row["sr_count"], row["sr_packets"], row["sr_lost"]) == (2, 20, 5)
    assert (row["rr_count"], row["rr_lost"]) == (1, 12)
    assert row["rr_fraction"] == pytest.approx(26 / 256)
    assert row["rr_jitter_ms"] == pytest.approx(10.0)
    assert [m.kind for m in site.of(RtcpReport)] == ["sr", "sr", "rr"]
    (connection,) = site.table._connections.by_flow.values()
    assert connection.dialogue.keepalive_by == "rtcp"


def test_reports_on_the_media_s_own_port_are_recognised():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(0, 5), (udp(CAMERA, 6000, CLIENT, 5000, report("sr", 7)), False))
    site.packets(*site.media(5, 5))
    site.tick()
    assert (site.stream["packets"], site.stream["sr_count"]) == (10, 1)


def test_bye_ends_a_stream_without_a_freeze():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    bye = struct.pack("!BBHI", 0x80, 201, 1, 7) + report("bye", 7)
    site.packets(*site.media(0, 50), (udp(CAMERA, 6001, CLIENT, 5001, bye), False))
    site.tick()
    site.now += 10 * SECOND
    site.tick()
    assert site.stream["end"] == GOODBYE
    assert not site.of(StreamFreeze)


@pytest.mark.parametrize("ending", ["teardown", "fin"])
def test_session_that_ends_is_no_freeze_and_one_that_goes_on_is(ending: str) -> None:
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(0, 50))
    if ending == "teardown":
        site.packets(site.text(f"TEARDOWN {BASE} RTSP/1.0\nCSeq: 4\nSession: 9", True))
    else:
        site.packets(site.bytes(b"", False, 0x11))
    site.tick()
    site.now += 5 * SECOND
    site.tick()
    assert not site.of(StreamFreeze)
    assert [m.how for m in site.of(RtspEnd)] == [
        "teardown" if ending == "teardown" else "fin-server"
    ]

    other = Site()
    other.dialogue(UDP, UDP_ANSWER)
    other.packets(*other.media(0, 50))
    other.tick()
    other.now += 5 * SECOND
    other.tick()
    assert [m.kind for m in other.of(StreamFreeze)] == ["silence"]


def test_interleaved_tracks_are_told_by_their_channels():
    site = Site()
    site.dialogue("RTP/AVP/TCP;unicast;interleaved=0-1")
    video = b"".join(interleaved(0, rtp(k, 3600 * k)) for k in range(10))
    reports = interleaved(1, report("sr", 7, 10))
    site.packets(site.bytes(video, False), site.bytes(reports, False))
    site.packets(site.bytes(interleaved(1, report("rr", 7)), True))
    site.tick()
    row = site.stream
    assert (row["transport"], row["channel"], row["packets"]) == (6, 0, 10)
    assert (row["signalled"], row["sr_count"], row["rr_count"]) == (1, 1, 1)
    assert STREAM_CODECS[row["codec"]] == "H264"


def test_gap_inside_an_intact_connection_is_the_camera_s():
    site = Site()
    site.dialogue("RTP/AVP/TCP;unicast;interleaved=0-1")
    for k in [*range(50), *range(54, 100)]:
        site.packets(site.bytes(interleaved(0, rtp(k, 3600 * k)), False))
    site.tick()
    site.now += 2 * SECOND
    site.tick()
    row = site.stream
    assert (row["lost"], row["camera_dropped"], row["capture_lost"]) == (4, 4, 0)


def test_tables_are_bounded_and_count_what_they_evict():
    site = Site(MeterSettings(streams_max=4, rtsp_connections_max=2))
    site.dialogue("RTP/AVP/TCP;unicast;interleaved=0-1")
    for ssrc in range(10):
        frames = b"".join(interleaved(0, rtp(k, 3600 * k, ssrc=ssrc)) for k in range(3))
        site.packets(site.bytes(frames, False))
    site.tick()
    assert site.table.streams_evicted == 6
    assert len(site.rows) == 10
    assert sum(row["end"] == 3 for row in site.rows.values()) == 6
    for port in range(5):
        frame = tcp(CLIENT, 41000 + port, CAMERA, 554, 1, 2, b"")
        site.packets((frame, True))
    assert site.table.rtsp_evicted == 4
    assert len(site.table._connections.by_flow) == 2


def test_forgotten_flow_gives_its_last_row_and_its_place_back():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    site.packets(*site.media(0, 50))
    site.tick()
    flow = int(site.stream["flow"])
    free = site.table._known.free
    site.table.forget(np.array([flow], np.uint64))
    site.tick()
    assert site.stream["end"] == 2
    assert site.table._known.free == free + 1


def test_two_readers_of_one_ssrc_are_two_streams():
    site = Site()
    site.dialogue(UDP, UDP_ANSWER)
    other = [(udp(CAMERA, 6002, "10.20.0.99", 5000, rtp(k, 3600 * k)), False) for k in range(20)]
    site.packets(*site.media(0, 20), *other)
    site.tick()
    assert sorted(int(row["packets"]) for row in site.rows.values()) == [20, 20]


def test_tunnel_over_http_joins_its_two_connections() -> None:
    site = Site()

    def both(port: int, seq: dict[bool, int], payload: bytes, client: bool, flags: int = 0x18):  # type: ignore[no-untyped-def]
        ends = (CLIENT, port, CAMERA, 80) if client else (CAMERA, 80, CLIENT, port)
        frame = tcp(*ends, seq[client], flags, payload)
        seq[client] += len(payload) + (flags & 2 != 0)
        return frame, client

    down, up = {True: 1, False: 1}, {True: 1, False: 1}

    def ask(text: str) -> tuple[bytes, bool]:
        raw_text = text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
        return both(41001, up, base64.b64encode(raw_text), True)

    def answer(text: str, body: bytes = b"") -> tuple[bytes, bool]:
        raw_text = text.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body
        return both(41000, down, raw_text, False)

    cookie = b" /live HTTP/1.0\r\nx-sessioncookie: abc\r\n"
    transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    site.packets(
        both(41000, down, b"", True, 2),
        both(41000, down, b"", False, 18),
        both(41000, down, b"GET" + cookie + b"\r\n", True),
        both(
            41000,
            down,
            b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n",
            False,
        ),
        both(41001, up, b"", True, 2),
        both(41001, up, b"", False, 18),
        both(41001, up, b"POST" + cookie + b"Content-Length: 32767\r\n\r\n", True),
        ask(f"DESCRIBE {BASE} RTSP/1.0\nCSeq: 1"),
        answer(
            f"RTSP/1.0 200 OK\nCSeq: 1\nContent-Type: application/sdp\nContent-Base: {BASE}/"
            f"\nContent-Length: {len(SDP)}",
            SDP,
        ),
        ask(f"SETUP {BASE}/track1 RTSP/1.0\nCSeq: 2\n{transport}"),
        answer(f"RTSP/1.0 200 OK\nCSeq: 2\nSession: 9\n{transport}"),
        ask(f"PLAY {BASE} RTSP/1.0\nCSeq: 3\nSession: 9"),
        answer("RTSP/1.0 200 OK\nCSeq: 3\nSession: 9"),
        *(both(41000, down, interleaved(0, rtp(k, 3600 * k)), False) for k in range(10)),
    )
    site.tick()
    assert (site.stream["packets"], site.stream["signalled"]) == (10, 1)
    assert {m.carrier for m in site.of(RtspMessage)} == {"rtsp-http"}
    answers = [m.method for m in site.of(RtspMessage) if not m.from_client]
    assert answers == ["DESCRIBE", "SETUP", "PLAY"]


def test_connection_that_must_make_room_still_gives_its_frames() -> None:
    site = Site(MeterSettings(rtsp_connections_max=1))
    site.dialogue("RTP/AVP/TCP;unicast;interleaved=0-1")
    frames = b"".join(interleaved(0, rtp(k, 3600 * k)) for k in range(10))
    others = [(tcp(CLIENT, 42000 + k, CAMERA, 554, 1, 2, b""), True) for k in range(3)]
    site.packets(site.bytes(frames, False), *others)
    site.tick()
    assert site.stream["packets"] == 10
    assert site.stream["end"] == 2
    assert site.table.rtsp_evicted == 3
