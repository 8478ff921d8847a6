"""Findings of RTSP dialogues from packets: whose refusal, what keeps a session, where media go."""

from __future__ import annotations

import struct

import pytest

from tests.diagnosis.wire import CAMERA_MAC, ETH0, Rtsp, Wire, ethernet, ipv4, told, udp_segment
from tests.made_up import APPLIANCE, CAMERA

PHONE, PHONE_MAC = "10.20.0.77", "02:00:00:00:07:77"


def loud(found: dict[str, object]) -> set[str]:
    return {name for name, one in found.items() if one.severity != "info"}  # type: ignore[attr-defined]


def phone(wire: Wire, sport: int = 51_000) -> Rtsp:
    return Rtsp(wire, sport, client=PHONE, client_mac=PHONE_MAC, ports=7000)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("401 Unauthorized", "rtsp-auth"),
        ("404 Not Found", "rtsp-not-found"),
        ("453 Not Enough Bandwidth", "rtsp-sessions"),
        ("500 Internal Server Error", "rtsp-error"),
    ],
)
@pytest.mark.parametrize("whose", ["appliance", "phone"])
def test_refusal_is_told_of_the_client_that_it_was_given_to(
    status: str, expected: str, whose: str
) -> None:
    wire = Wire()
    if whose == "phone":
        Rtsp(wire).play(0.2).media(0.6, 14)
        refused = phone(wire)
    else:
        refused = Rtsp(wire)
    refused.flow.open(3.0)
    for at in (3.1, 3.3):
        refused.say(at, "DESCRIBE", status, asks='Authorization: Digest username="u"\r\n')
    refused.flow.close(3.5)
    found = told(wire.watch(end=14))
    assert expected in found
    one = found[expected]
    assert all(piece.packet for piece in one.evidence)
    if whose == "phone":
        assert loud(found) == set()
        assert PHONE in one.text
        assert not any("the appliance logs" in line for line in one.detail)
    else:
        assert loud(found) == {expected}
        assert one.severity == "error"


@pytest.mark.parametrize("after", [0.2, 1.4])
def test_refusal_that_success_follows_is_nothing(after: float) -> None:
    wire = Wire()
    session = Rtsp(wire)
    session.flow.open(0.8)
    session.say(0.85, "DESCRIBE", "401 Unauthorized", says="WWW-Authenticate: Digest\r\n")
    session.say(0.9, "DESCRIBE", "401 Unauthorized", asks="Authorization: Digest a\r\n")
    again = Rtsp(wire, 40_100)
    again.play(0.9 + after).media(1.4 + after, 9)
    assert loud(told(wire.watch(end=9))) == set()


@pytest.mark.parametrize(("media", "plays"), [("audio", True), ("audio", False), ("video", False)])
def test_track_that_is_refused_matters_when_the_picture_is_missing(media: str, plays: bool) -> None:
    wire = Wire()
    session = Rtsp(wire)
    session.flow.open(0.2)
    sdp = (
        "v=0\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        "a=control:v\r\nm=audio 0 RTP/AVP 8\r\na=control:a\r\n"
    )
    session.say(0.3, "DESCRIBE", body=sdp)
    way = "Transport: RTP/AVP;unicast;client_port=6000-6001\r\n"
    if plays:
        session.say(0.4, "SETUP", asks=way, says=way + "Session: 77\r\n", url=session.url + "/v")
    session.say(
        0.5, "SETUP", "400 Bad Request", asks=way.replace("600", "610"),
        url=session.url + ("/a" if media == "audio" else "/v"),
    )  # fmt: skip
    if plays:
        session.say(0.6, "PLAY", asks="Session: 77\r\n")
        session.media(0.8, 9)
    found = told(wire.watch(end=9))
    assert loud(found) == (set() if plays else {"rtsp-error"})


def test_camera_that_asks_for_a_password_that_nobody_sends() -> None:
    wire = Wire()
    for n in range(3):
        session = Rtsp(wire, 40_000 + n)
        session.flow.open(1 + 4 * n)
        session.say(1.1 + 4 * n, "DESCRIBE", "401 Unauthorized",
                    says='WWW-Authenticate: Digest realm="x"\r\n')  # fmt: skip
        session.flow.close(1.3 + 4 * n)
    found = told(wire.watch(end=16))
    assert loud(found) == {"rtsp-auth"}
    assert "sends none" in found["rtsp-auth"].text


def test_answers_that_a_snap_length_cuts_are_no_silence() -> None:
    wire = Wire()
    for n in range(20):
        at = 1 + n
        session = Rtsp(wire, 40_000 + n)
        session.flow.open(at)
        session.flow.send(at + 0.2, b"DESCRIBE rtsp://c/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        session.flow.answer(at + 0.3, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n" + 9 * b"X-Some: thing\r\n"
                            + b"Content-Length: 900\r\n\r\n"
                            + b"v=0\r\n" * 180)  # fmt: skip
    wire.frames = [(at, place, frame[:200], size) for at, place, frame, size in wire.frames]
    assert loud(told(wire.watch(end=40), opened=True)) == {"capture-snapped"}


@pytest.mark.parametrize("answers", [False, True])
def test_camera_that_accepts_and_says_nothing(answers: bool) -> None:
    wire = Wire()
    for n in range(3):
        session = Rtsp(wire, 40_000 + n)
        session.flow.open(1 + 8 * n)
        if answers and n == 2:
            session.say(1.2 + 8 * n, "OPTIONS")
        else:
            session.flow.send(1.2 + 8 * n, b"OPTIONS rtsp://c/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            session.flow.segment(1.21 + 8 * n, False, 0x10)
        session.flow.close(7 + 8 * n)
    found = told(wire.watch(end=25), opened=True)
    assert loud(found) == (set() if answers else {"rtsp-silent"})
    if not answers:
        assert "3 times" in found["rtsp-silent"].text
        assert all(piece.packet for piece in found["rtsp-silent"].evidence)


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("SET_PARAMETER", "400 Bad Request", "by GET_PARAMETER instead of SET_PARAMETER"),
        ("GET_PARAMETER", "501 Not Implemented", "by OPTIONS instead of GET_PARAMETER"),
        ("OPTIONS", "401 Unauthorized", "again with the new nonce"),
    ],
)
def test_time_out_names_the_keep_alive_that_was_refused(
    method: str, status: str, said: str
) -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, 10.6)
    session.say(5.0, method, status, asks="Session: 77\r\n")
    session.flow.close(10.7, by_server=True)
    found = told(wire.watch(end=13))
    assert loud(found) == {"rtsp-timeout"}
    assert f"{method} was refused ({status})" in found["rtsp-timeout"].text
    assert said in found["rtsp-timeout"].action
    assert all(piece.packet for piece in found["rtsp-timeout"].evidence)


def test_teardown_after_the_camera_has_closed_ends_nothing() -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, 10.6)
    session.say(5.0, "GET_PARAMETER", "400 Bad Request", asks="Session: 77\r\n")
    session.flow.segment(10.7, False, 0x11)  # the camera's FIN
    session.flow.got += 1
    session.flow.send(
        10.71, f"TEARDOWN {session.url} RTSP/1.0\r\nCSeq: 9\r\nSession: 77\r\n\r\n".encode()
    )
    session.flow.reset(10.72)
    assert loud(told(wire.watch(end=13))) == {"rtsp-timeout"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("teardown first", set()),
        ("reset first", {"rtsp-timeout"}),
        ("closed early", {"rtsp-closed"}),
        ("closed and read anew", {"rtsp-timeout"}),
    ],
)
def test_who_ends_first_has_ended_the_session(how: str, expected: set[str]) -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    end = 6.0 if how == "closed early" else 10.6
    session.media(0.6, end)
    if how != "closed early":
        session.say(5.0, "GET_PARAMETER", "400 Bad Request", asks="Session: 77\r\n")
    asked = f"TEARDOWN {session.url} RTSP/1.0\r\nCSeq: 9\r\nSession: 77\r\n\r\n".encode()
    if how == "teardown first":
        session.flow.send(end + 0.05, asked)
        session.flow.close(end + 0.1, by_server=True)
    elif how == "reset first":
        session.flow.reset(end + 0.1)
        session.flow.send(end + 0.11, asked)
    else:
        session.flow.close(end + 0.1, by_server=True)
    if how == "closed and read anew":
        again = Rtsp(wire, 41_000, timeout_s=10, ports=6100).play(11.0)
        again.media(11.4, 16)
    assert loud(told(wire.watch(end=17 if how == "closed and read anew" else 13))) == expected


def test_keep_alive_that_is_answered_and_does_not_count() -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, 10.6)
    session.say(4.0, "OPTIONS", asks="Session: 77\r\n")
    session.say(8.0, "OPTIONS", asks="Session: 77\r\n")
    session.flow.close(10.7, by_server=True)
    found = told(wire.watch(end=13))
    assert loud(found) == {"rtsp-timeout"}
    assert "does not count it" in found["rtsp-timeout"].text


def test_keep_alive_that_is_answered_keeps_the_session() -> None:
    wire = Wire()
    session = Rtsp(wire, timeout_s=10).play(0.2)
    session.media(0.6, 31)
    for at in (5.0, 13.0, 21.0, 29.0):
        session.say(at, "GET_PARAMETER", asks="Session: 77\r\n")
    assert loud(told(wire.watch(end=31))) == set()


@pytest.mark.parametrize(("sent_to", "icmp"), [(8000, True), (8000, False), (0, False)])
def test_media_that_go_where_nobody_asked_for_them(sent_to: int, icmp: bool) -> None:
    wire = Wire()
    session = Rtsp(wire).play(0.2)
    session.sent_to = sent_to
    session.media(0.6, 12)
    if icmp:
        lost = ipv4(CAMERA, APPLIANCE, 17, udp_segment(5000, sent_to, bytes(100)))
        body = struct.pack("!BBHI", 3, 3, 0, 0) + lost[:28]
        packet = ipv4(APPLIANCE, CAMERA, 1, body)
        wire.add(0.7, ethernet(ETH0, CAMERA_MAC, 0x800, packet))
    engine = wire.watch(end=12)
    found = told(engine)
    assert loud(found) == ({"media-wrong-port"} if sent_to else set())
    camera = engine.snapshot().cameras[0]
    assert camera.state == ("silent" if sent_to else "streaming")
    if sent_to:
        assert "port 8000" in found["media-wrong-port"].text
        assert "6000-6001" in found["media-wrong-port"].text
        assert all(piece.packet for piece in found["media-wrong-port"].evidence)


@pytest.mark.parametrize("port", [8554, 7447])
def test_camera_is_one_on_any_port(port: int) -> None:
    wire = Wire()
    session = Rtsp(wire, address="10.20.0.44", port=port)
    session.play(0.2).media(0.6, 8)
    (camera,) = [c for c in wire.watch(end=8).snapshot().cameras if c.address == "10.20.0.44"]
    assert camera.state == "streaming"


def plant(wire: Wire, number: int) -> Rtsp:
    address, mac = f"10.20.0.{60 + number}", f"02:00:00:00:06:{60 + number}"
    return Rtsp(wire, 43_000 + number, address=address, camera_mac=mac, ports=6100 + 2 * number)


@pytest.mark.parametrize("stop", [3, 2, 1])
def test_cameras_that_stop_in_the_same_second_share_a_cause(stop: int) -> None:
    wire = Wire()
    for number in range(3):
        session = plant(wire, number).play(0.2 + 0.5 * number)
        session.media(2.0, 12.0 if number < stop else 20)
    found = told(wire.watch(end=20), opened=True)
    assert ("cameras-silent" in found) is (stop > 1)
    frozen = found["stream-frozen"]
    if stop > 1:
        assert frozen.hidden_by == found["cameras-silent"].key
        said = "No camera behind eth0" if stop == 3 else "2 cameras stopped in the same second"
        assert found["cameras-silent"].text.startswith(said)
        assert all(piece.packet for piece in found["cameras-silent"].evidence)
    else:
        assert frozen.hidden_by is None


@pytest.mark.parametrize("how", ["together", "apart", "alone"])
def test_losses_in_the_same_moments_share_a_cause(how: str) -> None:
    wire = Wire()
    for number in range(3):
        session = plant(wire, number).play(0.2)
        shift = number * 40 if how == "apart" else 0
        lose = tuple(n for start in range(200, 1500, 120) for n in range(start, start + 3))
        lose = tuple(n + shift for n in lose)
        session.media(1.0, 18, lose=lose if how != "alone" or number == 0 else ())
    found = told(wire.watch(end=18), opened=True)
    assert ("loss-shared" in found) is (how == "together")
    loss = found["stream-loss"]
    assert (loss.hidden_by is not None) is (how == "together")
    assert ("the 2 other cameras lose nothing" in loss.text) is (how == "alone")
