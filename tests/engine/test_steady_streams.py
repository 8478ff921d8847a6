"""Seconds in which streams merely go on are told of together, and the answer is that of looking at
each: whatever happens to a stream, it is told as if each second had been looked at."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from panotui.model import SECOND
from tests.benchmarks import site_day
from tests.diagnosis.met.fragments import parts_of
from tests.diagnosis.wire import Rtsp, Wire, ethernet, udp_segment
from tests.engine.looking import answers_alike
from tests.engine.test_steady_seconds import kept_alive
from tests.made_up import START, site

USUAL: dict[str, Any] = {"fps": 25.0, "packets": 1, "size": 300, "key_every": 50}
SET = base64.b64decode("Z01AKOygPAET8uAiAAADAAIAAAMAZB4wYyw=")  # 1920 x 1080
OTHER_SET = base64.b64decode("Z0LAH9kAUAW7ARAAAAMAEAAAAwPA8YMkgA==")  # 1280 x 720
Happens = Callable[[Wire, Rtsp], None]


def played(wire: Wire, happens: Happens, until: int = 150, **kind: Any) -> None:
    """A camera is played, something happens, and all the time its reader sends reports."""
    camera = Rtsp(wire, **kind).play(0.6)
    happens(wire, camera)
    for at in range(3, until, 5):
        camera.receiver_report(at + 0.62)


def whole(wire: Wire, camera: Rtsp) -> None:
    """Pictures and nothing else."""
    camera.media(1.0, 100.0, **USUAL)


def loses(wire: Wire, camera: Rtsp) -> None:
    """Six packets are lost in the middle."""
    camera.media(1.0, 130.0, **USUAL,
                 lose=(1253, 1254, 1270, 1271, 1290, 1291))  # fmt: skip


def loses_one(wire: Wire, camera: Rtsp) -> None:
    camera.media(1.0, 110.0, **USUAL, lose=(1253,))


def stops(wire: Wire, camera: Rtsp) -> None:
    camera.media(1.0, 60.35, **USUAL)


def stands_still(wire: Wire, camera: Rtsp) -> None:
    """For five seconds nothing comes, and then it goes on."""
    camera.media(1.0, 60.35, **USUAL)
    camera.stamp += 5 * 90_000
    camera.media(65.4, 90.0, **USUAL)


def slows_down(wire: Wire, camera: Rtsp) -> None:
    camera.media(1.0, 60.0, **USUAL)
    camera.media(60.0, 110.0, fps=15.0, packets=1, size=300, key_every=30)


def grows_fast(wire: Wire, camera: Rtsp) -> None:
    """More pictures a second than before, and then as many as at first."""
    camera.media(1.0, 60.0, **USUAL)
    camera.media(60.0, 110.0, fps=35.0, packets=1, size=300, key_every=70)
    camera.media(110.0, 150.0, **USUAL)


def few_key_frames(wire: Wire, camera: Rtsp) -> None:
    """Key frames come ever 2 s, then each 14 s, then each 2 s."""
    camera.media(1.0, 51.0, **USUAL)
    camera.media(51.0, 121.0, fps=25.0, packets=1, size=300, key_every=350)
    camera.media(121.0, 150.0, **USUAL)


def tiny_pictures(wire: Wire, camera: Rtsp) -> None:
    """The picture stands: nothing but tiny frames, without a key frame."""
    camera.media(1.0, 60.0, fps=25.0, packets=1, size=600, key_every=50)
    camera.media(60.0, 90.0, fps=25.0, packets=1, size=8, key_every=10_000)
    camera.media(90.0, 110.0, fps=25.0, packets=1, size=600, key_every=50)


def uneven(wire: Wire, camera: Rtsp) -> None:
    """Pictures come by turns early and late."""
    camera.media(1.0, 60.0, **USUAL)
    for n in range(625):
        at = 60.0 + n * 0.04 + n % 8 // 4 * 0.12
        camera.media(at, at + 0.001, fps=25.0, packets=1, size=300, key_every=1)
    camera.media(85.0, 110.0, **USUAL)


def stamps_run_wrong(wire: Wire, camera: Rtsp) -> None:
    """The clock of its stamps runs a tenth too fast from the middle on."""
    camera.media(1.0, 60.0, **USUAL)
    for n in range(2_250):
        at = 60.0 + n * 0.04
        camera.media(at, at + 0.001, fps=22.7, packets=1, size=300, key_every=1)


def starts_anew(wire: Wire, camera: Rtsp) -> None:
    """Numbers and stamps begin again."""
    camera.media(1.0, 60.0, **USUAL)
    camera.sequence, camera.stamp = 40_000, 7
    camera.media(60.0, 100.0, **USUAL)


def another_source(wire: Wire, camera: Rtsp) -> None:
    """Another SSRC takes over, in the middle of a second."""
    camera.media(1.0, 60.45, **USUAL)
    camera.ssrc += 1
    camera.sequence = 900
    camera.media(60.55, 100.0, **USUAL)


def is_kept_alive(wire: Wire, camera: Rtsp) -> None:
    """By requests."""
    for at in range(1, 100, 30):
        camera.media(at, at + 29.99, **USUAL)
        camera.say(at + 29.991, "GET_PARAMETER", asks="Session: 77\r\n")


def is_kept_alive_in_vain(wire: Wire, camera: Rtsp) -> None:
    """By requests of which one is refused, and one not answered."""
    for at, status in ((1, "200 OK"), (31, "454 Session Not Found"), (61, "200 OK")):
        camera.media(at, at + 29.99, **USUAL)
        camera.say(at + 29.991, "GET_PARAMETER", status, asks="Session: 77\r\n")
    camera.flow.send(91.2, b"OPTIONS * RTSP/1.0\r\nCSeq: 99\r\n\r\n")
    camera.media(91.21, 110.0, **USUAL)


def is_torn_down(wire: Wire, camera: Rtsp) -> None:
    camera.media(1.0, 60.0, **USUAL)
    camera.say(60.2, "TEARDOWN", asks="Session: 77\r\n")
    kept_alive(wire, 90)


def beside_the_cloud(wire: Wire, camera: Rtsp) -> None:
    whole(wire, camera)
    kept_alive(wire, 100)
    site_day.kept_alive(site_day.opened(wire, 40.0, 2, 40_077), 47.0)


def beside_another(wire: Wire, camera: Rtsp) -> None:
    """Another camera starts, loses and stops beside it."""
    camera.media(1.0, 110.0, **USUAL)
    other = Rtsp(wire, 40_500, address="10.0.0.77", camera_mac="02:00:00:00:01:77", ports=6100)
    other.play(40.1).media(40.5, 90.0, fps=20.0, packets=1, size=300, key_every=40,
                           lose=(300, 301, 302, 303, 304, 305, 306))  # fmt: skip


def a_host_asks(wire: Wire, camera: Rtsp) -> None:
    """Names are asked for now and then."""
    whole(wire, camera)
    for at in range(20, 100, 16):
        wire.ask(at + 0.4, f"h{at}.example", "93.184.216.34")


def over_edges(wire: Wire, camera: Rtsp) -> None:
    """Pictures begin in one second and end in the next, first any and then key frames."""
    camera.media(1.0395, 60.0, fps=25.0, packets=4, size=300, key_every=50)
    camera.media(60.9995, 110.0, fps=25.0, packets=4, size=300, key_every=25)


def parameters(wire: Wire, camera: Rtsp) -> None:
    """Each second begins with parameters, a picture's first packet; from the middle on with others,
    for three seconds."""
    for second in range(1, 110):
        body = OTHER_SET if 60 <= second < 63 else SET
        camera.rtp(second - 0.0001 if second % 2 else float(second), body, False)
        camera.media(second + 0.0005, second + 0.99, fps=25.0, packets=1, size=300, key_every=50)


def says_its_time(wire: Wire, camera: Rtsp) -> None:
    """With sender reports; for some of them its clock is wrong."""
    whole(wire, camera)
    for at in range(2, 100, 3):
        camera.sender_report(at + 0.3, off_s=40.0 if 60 <= at < 67 else 0.0)


def says_goodbye(wire: Wire, camera: Rtsp) -> None:
    """In the middle, and goes on."""
    whole(wire, camera)
    camera.sender_report(50.3)
    camera.sender_report(60.3, bye=True)


def out_of_order(wire: Wire, camera: Rtsp) -> None:
    """From the middle on each third picture comes before the one that is shown before it."""
    camera.media(1.0, 60.0, **USUAL)
    for n in range(1_250):
        shown = n + (1, -1, 0)[n % 3]
        camera.stamp, at = 1_000_000 + 3_600 * (1_475 + shown), 60.0 + n * 0.04
        camera.media(
            at, at + 0.001, fps=25.0, packets=1, size=300, key_every=1 if n % 51 == 50 else 2
        )


def wobbles(wire: Wire, camera: Rtsp) -> None:
    """Pictures come more and more unevenly, and then evenly again."""
    for n in range(2_500):
        at = 1.0 + n * 0.04 + (n * 7_919 % 13) * 0.0000025 * min(n, 2_500 - n)
        camera.media(at, at + 0.001, fps=25.0, packets=1, size=300, key_every=1)


def lacks_a_fragment(wire: Wire, camera: Rtsp) -> None:
    """A large picture is sent in fragments once, and only the first of them arrives."""
    camera.media(1.0, 40.0, **USUAL)
    at, interface, frame, _ = wire.frames[-1]
    segment = udp_segment(5000, camera.ports, frame[42:] + bytes(1_500))
    kind, piece = parts_of(segment, camera.address, camera.client, 7)[0]
    piece = ethernet(camera.mac, camera.client_mac, kind, piece)
    wire.frames[-1] = (at, interface, piece, len(piece))
    camera.media(40.0, 140.0, **USUAL)


HAPPENS: list[Happens] = [
    whole, loses, loses_one, stops, stands_still, slows_down, grows_fast, few_key_frames,
    tiny_pictures, uneven, stamps_run_wrong, starts_anew, another_source, is_kept_alive,
    is_kept_alive_in_vain, is_torn_down, beside_the_cloud, beside_another, a_host_asks, over_edges,
    parameters, says_its_time, says_goodbye, out_of_order, wobbles, lacks_a_fragment,
]  # fmt: skip


STRANGE = [whole, loses, few_key_frames, stamps_run_wrong]


@pytest.mark.parametrize(
    ("happens", "known"), [*((h, True) for h in HAPPENS), *((h, False) for h in STRANGE)]
)
def test_the_answer_is_that_of_looking_at_each(
    happens: Happens, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`known`: the site file names the camera and the appliance."""
    passed = answers_alike(
        lambda wire: played(wire, happens), site() if known else site(camera=[]), monkeypatch
    )
    assert len(passed) > 5
    assert all(at % SECOND == 0 for at in passed)


def test_even_seconds_are_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a second's packets cost, not the second."""
    passed = answers_alike(lambda wire: played(wire, over_edges), site(), monkeypatch)
    assert set(passed.foreseen) <= set(passed)
    assert len(passed.foreseen) > 30


def test_a_session_that_is_kept_alive_needs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its connection is not silent meanwhile; how long a silence was is told at once."""
    passed = answers_alike(lambda wire: played(wire, is_kept_alive, tcp=True), site(), monkeypatch)
    assert {START + at * SECOND for at in (61, 91)} <= set(passed)


def test_seconds_pass_again_after_a_missing_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = answers_alike(lambda wire: played(wire, lacks_a_fragment), site(), monkeypatch)
    assert sum(at > START + 60 * SECOND for at in passed) > 50


def test_a_second_that_loses_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = answers_alike(lambda wire: played(wire, loses_one), site(), monkeypatch)
    told = START + 52 * SECOND  # packet 1253 of 25 a second, which began in the second one
    assert told - SECOND in passed
    assert told not in passed


@pytest.mark.parametrize("happens", HAPPENS)
def test_the_answer_is_the_same_inside_tcp(
    happens: Happens, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers_alike(lambda wire: played(wire, happens, tcp=True), site(), monkeypatch)


def test_seconds_of_streams_inside_tcp_are_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = answers_alike(lambda wire: played(wire, whole, tcp=True), site(), monkeypatch)
    assert len(scene) > 5
