"""Findings of cameras and streams from packets: each cause, and what is near it."""

from __future__ import annotations

import struct

import pytest

from panotui.model import SECOND
from tests.diagnosis.wire import (
    CAMERA_MAC,
    ETH0,
    EVERYBODY,
    RST,
    Rtsp,
    Wire,
    arp_packet,
    dhcp_packet,
    ethernet,
    ipv4,
    told,
)
from tests.made_up import APPLIANCE, CAMERA, START


@pytest.mark.parametrize(
    ("by", "kept", "ends", "expected"),
    [
        ("request", True, 30.5, "rtsp-timeout"),  # 10 s after the last of its keep-alives
        ("rtcp", True, 30.5, "rtsp-keepalive"),
        ("request", True, 22.0, None),  # ended, but not at its time-out
        ("request", False, 30.5, None),  # the reader itself tore it down
    ],
)
def test_session_that_ends_at_its_time_out(
    by: str, kept: bool, ends: float, expected: str | None
) -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, ends, fps=10)
    for at in (5.0, 12.0, 20.5):
        if by == "rtcp":
            session.receiver_report(at)
        else:
            session.say(at, "GET_PARAMETER", asks="Session: 77\r\n")
    if kept:
        session.flow.close(ends, by_server=True)
    else:
        session.say(ends, "TEARDOWN", asks="Session: 77\r\n")
        session.flow.close(ends + 0.1)
    found = told(wire.watch(end=ends + 3))
    assert {"rtsp-timeout", "rtsp-keepalive"} & set(found) == ({expected} if expected else set())
    if expected:
        assert "10 s" in found[expected].text
        assert found[expected].evidence[-1].packet
        assert found[expected].subject == "camera dock"


@pytest.mark.parametrize(
    ("stops", "how", "expected"),
    [
        (20.4, "close", True),  # 10 s after PLAY and the only keep-alive
        (20.4, "reset", True),
        (20.4, "teardown", True),  # it had waited in vain by then
        (24.0, "teardown", False),  # it stops with the reader's own word
        (17.0, "close", False),  # a camera that stalled before
        (29.0, "close", False),  # and one long after: it counts something else as kept alive
    ],
)
def test_reader_that_gives_up_media_that_stopped_at_the_time_out(
    stops: float, how: str, expected: bool
) -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, stops, fps=10)
    session.say(10.2, "GET_PARAMETER", asks="Session: 77\r\n")
    gone = stops + (4 if stops < 24 else 0.1)
    if how == "teardown":
        session.say(gone, "TEARDOWN", asks="Session: 77\r\n")
    if how == "reset":
        session.flow.reset(gone, by_server=False)
    else:
        session.flow.close(gone + 0.1)
    found = told(wire.watch(end=gone + 3))
    assert ("rtsp-timeout" in found) == expected
    if expected:
        assert found["rtsp-timeout"].evidence[-1].packet


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("jxsv", "JXSV"),
        ("H264", "H264"),
        ("x\x1b[31m" + "y" * 200, "X\\X1B[31M" + "Y" * 30 + "…"),
        ("other", "OTHER"),
    ],
    ids=["unknown", "known", "hostile", "other"],
)
def test_encoding_that_nobody_knows_is_called_as_the_sdp_calls_it(said: str, shown: str) -> None:
    wire = Wire()
    Rtsp(wire).play(0.2, codec=said).media(1.0, 4.0)
    stream = wire.watch(end=4.5).snapshot().streams[0]
    assert stream.codec == shown
    assert stream.media == "video"  # the SDP says so


@pytest.mark.parametrize(
    ("answer", "until", "state"),
    [
        ("200 OK", 8.0, "paused"),  # by its reader, for good
        ("200 OK", 8.1, "paused"),  # what was on the way
        ("200 OK", 9.0, "streaming"),  # it sends on, whatever it said
        ("401 Unauthorized", 8.1, "streaming"),
    ],
)
def test_camera_that_was_torn_down_streams_no_more_at_once(
    answer: str, until: float, state: str
) -> None:
    wire = Wire()
    session = Rtsp(wire).play(0.2)
    session.media(1.0, until)
    session.say(8.0, "TEARDOWN", answer, asks="Session: 77\r\n")
    camera = wire.watch(end=9.2).snapshot().cameras[0]
    assert camera.state == state
    if state == "paused":
        assert camera.state_text == "the session was torn down by its reader"


@pytest.mark.parametrize("over", ["udp", "tcp"])
@pytest.mark.parametrize("used_up", [0, 700, 7_000])
@pytest.mark.parametrize("paused_s", [1.5, 4.0, 20.0])
@pytest.mark.parametrize("clock_stands", [False, True])
def test_time_that_a_stream_was_paused_is_in_no_mean_of_it(
    over: str, used_up: int, paused_s: float, clock_stands: bool
) -> None:
    wire = Wire()
    session = Rtsp(wire, tcp=over == "tcp").play(0.2)
    session.media(1.0, 16.0)
    session.say(16.0, "PAUSE", asks="Session: 77\r\n")
    session.sequence += used_up  # by a camera that goes on for its other readers
    session.stamp += 0 if clock_stands else int(paused_s * 90_000)
    again = 16.0 + paused_s
    session.say(again, "PLAY", asks="Session: 77\r\n")
    session.media(again + 0.02, again + 14.02)
    engine = wire.watch(end=again + 15)
    stream, plain = engine.snapshot().streams[0], Wire()
    Rtsp(plain, tcp=over == "tcp").play(0.2).media(1.0, 30.0)
    alike = plain.watch(end=31).snapshot().streams[0]
    assert stream.bitrate_mean_bps == pytest.approx(alike.bitrate_mean_bps, rel=0.01)
    assert stream.fps == pytest.approx(25, rel=0.01)
    # RFC 3550 A.1 holds the first packet back that is far from the one before
    assert (stream.lost, stream.expected) == (0, stream.packets - (used_up > 3_000))
    assert stream.frame_jitter_max_ms == pytest.approx(alike.frame_jitter_max_ms, abs=1)
    assert stream.jitter_max_ms == pytest.approx(alike.jitter_max_ms, abs=1)
    assert (stream.late_frame_max_ms, stream.timestamp_jumps) == (pytest.approx(0, abs=1), 0)
    assert not any(stalls for _, stalls, _ in stream.stalls)
    assert not [kind for kind in told(engine) if kind.startswith("stream-")]


@pytest.mark.parametrize(("tail", "expected"), [(6, True), (0, False)])
def test_loss_at_the_end_of_key_frames_is_a_switch_buffer(tail: int, expected: bool) -> None:
    wire = Wire()
    stream = Rtsp(wire).play(0.2)
    spread = () if tail else tuple(range(61, 2000, 37))
    stream.media(0.6, 20, key_every=50, key_packets=40, lose_key_tail=tail, lose=spread)
    found = told(wire.watch())
    assert "stream-loss" in found
    assert ("stream-burst" in found) is expected, found.keys()
    if expected:
        assert found["stream-burst"].evidence


@pytest.mark.parametrize(("size", "expected"), [(14_000, True), (8_000, False)])
def test_stream_that_is_too_heavy(size: int, expected: bool) -> None:
    wire = Wire()
    # 4 packets a frame, 25 frames/s: 100 packets/s
    Rtsp(wire).play(0.2).media(0.6, 30, size=size)
    found = told(wire.watch())
    assert ("stream-bitrate" in found) is expected
    if expected:
        assert "Mb/s over 10 s" in found["stream-bitrate"].text
        assert found["stream-bitrate"].evidence


@pytest.mark.parametrize("lost_by", ["camera", "nobody"])
def test_gaps_inside_an_intact_tcp_stream_are_the_cameras(lost_by: str) -> None:
    wire = Wire()
    stream = Rtsp(wire, tcp=True).play(0.2)
    lose = tuple(range(100, 800, 60)) if lost_by == "camera" else ()
    stream.media(0.6, 12, lose=lose)
    for n in range(12):
        stream.flow.ack(1.0 + n)
    found = told(wire.watch())
    assert ("stream-camera-drop" in found) is (lost_by == "camera"), found.keys()
    if lost_by == "camera":
        assert len(found["stream-camera-drop"].evidence) >= 3
        assert "stream-loss" not in found


@pytest.mark.parametrize(("zeros", "expected"), [(4, True), (1, False)])
def test_reader_whose_window_closes(zeros: int, expected: bool) -> None:
    wire = Wire()
    stream = Rtsp(wire, tcp=True).play(0.2)
    at = 0.6
    for n in range(5):
        stream.media(at, at + 1)
        at += 1
        if n < zeros:
            stream.flow.window_out = 0
            stream.flow.ack(at)
            stream.flow.window_out = 60_000
            stream.flow.ack(at + 0.4)
        at += 0.5
    found = told(wire.watch())
    assert ("receiver-slow" in found) is expected, found.keys()
    if expected:
        assert found["receiver-slow"].text.startswith("The appliance (eth0) cannot keep up")
        assert found["receiver-slow"].evidence[0].packet


@pytest.mark.parametrize(("how", "expected"), [("dhcp", True), ("arp", True), ("still", False)])
def test_camera_that_drops_its_sessions_and_wakes_has_restarted(how: str, expected: bool) -> None:
    wire = Wire()
    stream = Rtsp(wire).play(0.2)
    wire.add(0.1, arp_packet(2, CAMERA_MAC, CAMERA, APPLIANCE, ETH0))
    still = how == "still"
    stream.media(0.6, 60 if still else 10)
    if how == "dhcp":
        wire.udp(40, (CAMERA_MAC, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67),
                 dhcp_packet(1, CAMERA_MAC))  # fmt: skip
    else:
        wire.add(40, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    found = told(wire.watch(end=60))
    assert ("camera-reboot" in found) is expected, found.keys()
    if expected:
        assert found["camera-reboot"].text.startswith("Camera dock restarted")
        assert found["camera-reboot"].evidence[-1].packet


@pytest.mark.parametrize("again", [20, None])
def test_session_that_the_camera_cuts_is_told_as_that_and_is_no_reboot(again: float | None) -> None:
    wire = Wire()
    first = Rtsp(wire).play(0.2)
    first.media(0.6, 12)
    first.flow.close(12.1, by_server=True)
    if again is not None:
        second = Rtsp(wire, sport=40_100).play(again)
        second.media(again + 0.5, 30)
    found = told(wire.watch(end=30))
    assert set(found) == {"rtsp-closed"}
    assert "by a close after 12 s, before its time-out of 60 s" in found["rtsp-closed"].text
    assert all(e.packet for e in found["rtsp-closed"].evidence)


@pytest.mark.parametrize(
    ("ends", "again", "expected"),
    [
        ((12.0, 12.1), 20.0, True),  # both at once, and served anew
        ((12.0, 25.0), 30.0, False),  # one after the other
        ((12.0, None), 20.0, False),  # the other went on
        ((12.0, 12.1), None, False),  # nothing tells that it is back
    ],
)
def test_camera_that_cuts_all_its_sessions_at_once_has_restarted(
    ends: tuple[float, float | None], again: float | None, expected: bool
) -> None:
    wire = Wire()
    for number, end in enumerate(ends):
        session = Rtsp(wire, sport=40_000 + number * 100, ports=6000 + 2 * number)
        session.play(0.2 + 3 * number)
        session.media(1 + 3 * number, end or 35)
        if end is not None:
            session.flow.close(end + 0.05, by_server=True)
    if again is not None:
        Rtsp(wire, sport=40_900, ports=6010).play(again).media(again + 0.5, 35)
    found = told(wire.watch(end=36))
    assert ("camera-reboot" in found) is expected, found.keys()
    if expected:
        assert found["camera-reboot"].confidence == "possible"
        assert all(e.packet for e in found["camera-reboot"].evidence)


def membership(wire: Wire, at: float, group: str) -> None:
    low = [int(p) for p in group.split(".")]
    body = struct.pack("!BBH4s", 0x16, 0, 0, bytes(low))
    mac = f"01:00:5e:{low[1] & 127:02x}:{low[2]:02x}:{low[3]:02x}"
    wire.add(at, ethernet(ETH0, mac, 0x800, ipv4(APPLIANCE, group, 2, body, 1)))


def query(wire: Wire, at: float) -> None:
    body = struct.pack("!BBH4s", 0x11, 100, 0, bytes(4))
    packet = ipv4("10.20.0.1", "224.0.0.1", 2, body, 1)
    wire.add(at, ethernet("02:00:00:00:02:02", "01:00:5e:00:00:01", 0x800, packet))


@pytest.mark.parametrize(("queried", "stops", "expected"), [(False, 260.5, True),
                                                            (True, 260.5, False),
                                                            (False, 60.5, False)])  # fmt: skip
def test_multicast_that_stops_without_a_querier(
    queried: bool, stops: float, expected: bool
) -> None:
    wire = Wire()
    group = "239.1.2.3"
    membership(wire, 0.5, group)
    stream = Rtsp(wire, group=group).play(0.1)
    stream.media(0.6, stops, fps=10, packets=1, key_every=20)
    if queried:
        for n in range(3):
            query(wire, 1 + n * 100.0)
    found = told(wire.watch(end=stops + 15))
    assert ("multicast-no-querier" in found) is expected, found.keys()
    if expected:
        assert group in found["multicast-no-querier"].text
        assert [bool(e.packet) for e in found["multicast-no-querier"].evidence] == [True, True]
        # one cause, one finding: that the stream stands still is its consequence
        assert found["stream-frozen"].hidden_by == found["multicast-no-querier"].key


@pytest.mark.parametrize("opened", ["here", "before the capture"])
@pytest.mark.parametrize("asked", ["ARP", "SYN"])
@pytest.mark.parametrize(
    ("torn_down", "begins"),
    [
        (False, 12.0),  # it falls silent; its reader waits for media before it asks again
        (True, 30.0),  # its reader has ended the session: it is missed only when it is asked again
    ],
)
def test_camera_that_falls_silent_does_not_answer_since_then(
    asked: str, torn_down: bool, begins: float, opened: str
) -> None:
    wire = Wire()
    session = Rtsp(wire).play(0.2)
    if opened == "before the capture":
        wire.frames.clear()
        session.say(5.0, "GET_PARAMETER", asks="Session: 77\r\n", says="Session: 77\r\n")
    session.media(0.6, 12.0, fps=10)
    if torn_down:
        session.say(12.1, "TEARDOWN", asks="Session: 77\r\n")
        session.flow.close(12.2)
    if asked == "ARP":
        for number in range(12):
            wire.add(30.0 + number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    else:
        wire.tcp((ETH0, APPLIANCE, 40_900), (CAMERA_MAC, CAMERA, 554)).syn(30.0, times=6)
    found = told(wire.watch(end=45.0))
    first = (found["camera-unreachable"].first_time_ns - START) / SECOND
    assert first == pytest.approx(begins, abs=0.3)


@pytest.mark.parametrize(
    ("beside", "severity", "confidence", "words"),
    [
        ("", "warning", "possible", "holds nothing but TCP"),  # tcpdump port 554
        ("a question", "error", "likely", "UDP media ports are blocked"),
        ("an ARP frame", "error", "likely", "UDP media ports are blocked"),
    ],
)
def test_media_that_a_filter_may_have_left_out_are_not_called_blocked(
    beside: str, severity: str, confidence: str, words: str
) -> None:
    wire = Wire()
    Rtsp(wire).play(0.2)
    wire.tcp((ETH0, APPLIANCE, 50_000), (CAMERA_MAC, CAMERA, 80)).open(20.0)
    if beside == "a question":
        wire.ask(3.0, "www.site.example", "198.51.100.7")
    elif beside:
        wire.add(3.0, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    found = told(wire.watch())["udp-blocked"]
    assert (found.severity, found.confidence) == (severity, confidence)
    assert words in found.text
    assert ("without a filter" in (found.action or "")) == (not beside)


@pytest.mark.parametrize(
    ("silence_s", "timeout_s", "expected"),
    [
        (58, 60, {"idle-timeout"}),  # nobody but a box between has a reason to end it then
        (62, 60, {"idle-timeout", "rtsp-timeout"}),  # the camera said that it would
    ],
)
def test_sessions_that_a_firewall_forgets_are_no_fault_of_the_camera(
    silence_s: int, timeout_s: int, expected: set[str]
) -> None:
    wire = Wire()
    for turn in range(4):
        at = 0.2 + turn * (silence_s + 3)
        session = Rtsp(wire, 40_000 + turn, timeout_s=timeout_s, ports=6000 + 2 * turn).play(at)
        session.media(at + 0.4, at + silence_s, fps=5)
        session.flow.send(at + 0.3 + silence_s, b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\n\r\n")
        session.flow.segment(at + 0.3001 + silence_s, False, RST)
    findings = wire.watch(end=at + silence_s + 3).snapshot().findings
    about = {"idle-timeout", "rtsp-timeout", "rtsp-closed", "rtsp-keepalive"}
    shown = about & {f.id for f in findings if f.hidden_by is None}
    assert shown
    assert shown <= expected


def test_a_capture_that_begins_between_packets_out_of_order_loses_nothing() -> None:
    """The numbers between a late packet and the first captured one came before it began."""
    wire = Wire()
    camera = Rtsp(wire)
    camera.media(1.0, 40.0, packets=1, size=300)
    late, first = wire.frames[0], wire.frames[4]
    wire.frames = [first, (first[0] + 1_000, *late[1:]), *wire.frames[5:]]
    engine = wire.watch()
    assert [(s.lost, s.lost_unique) for s in engine.snapshot().streams] == [(0, 0)]
    assert "stream-loss" not in told(engine)


def test_a_firewall_that_forgets_one_reader_hides_no_other_readers_end() -> None:
    wire = Wire()
    for turn in range(4):
        at = 0.2 + turn * 61
        session = Rtsp(wire, 40_000 + turn, ports=6000 + 2 * turn).play(at)
        session.media(at + 0.4, at + 58, fps=5)
        session.flow.send(at + 58.3, b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\n\r\n")
        session.flow.segment(at + 58.3001, False, RST)
    other = {"client": "10.20.0.77", "client_mac": "02:00:00:00:07:77"}
    second = Rtsp(wire, 45_000, ports=7000, **other).play(20.0)
    second.media(20.4, 40.0, fps=5)
    second.flow.reset(40.2)
    findings = wire.watch(end=at + 61).snapshot().findings
    shown = {f.id for f in findings if f.hidden_by is None}
    assert {"idle-timeout", "rtsp-closed"} <= shown
