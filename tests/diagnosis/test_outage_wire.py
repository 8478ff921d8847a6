"""What an outage leaves behind: itself is told, and nothing that only follows from it."""

from __future__ import annotations

import pytest

from tests.diagnosis.camera_maker import Film, Reader
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, told
from tests.made_up import APPLIANCE, CAMERA

CUT, BACK = 30.0, 45.0


def go_on_unseen(film: Film, seconds: float) -> None:
    """Pictures that are sent and do not arrive."""
    for _ in range(round(seconds * film.fps)):
        film.picture()


def three_cameras(back: tuple[float, float, float], parts: int) -> Wire:
    """Cameras behind one cable that is pulled at `CUT`; each is seen again at its `back`."""
    wire = Wire()
    for number, again in enumerate(back):
        port, film = 6000 + 10 * number, Film(ssrc=0x5EED0010 + number, gop=50, parts=parts)
        camera = Reader(
            wire, 40_000 + number, address=f"10.20.0.{21 + number}",
            mac=f"02:00:00:00:01:{21 + number}",
        ).start(0.5 + number * 0.1, ports=port)  # fmt: skip
        camera.film(1.5, CUT, film, port=port)
        go_on_unseen(film, again - CUT)
        camera.film(again, max(back) + 25, film, port=port)
    return wire


@pytest.mark.parametrize(
    ("back", "parts"),
    # of ten packets a picture more are missing than may be taken for a loss
    [((BACK,) * 3, 2), ((BACK, BACK + 1, BACK + 6), 2), ((BACK,) * 3, 10)],
)
def test_a_cable_that_was_pulled_is_one_outage(
    back: tuple[float, float, float], parts: int
) -> None:
    found = told(three_cameras(back, parts).watch(end=max(back) + 25))
    assert {name for name in found if name.startswith(("stream", "camera"))} == {
        "cameras-silent",
        "stream-frozen",
    }
    shared = found["cameras-silent"]
    assert shared.text.startswith("No camera behind")
    assert "3 stopped in the same second" in shared.text
    assert "packets of that time were lost on the way" in " ".join(found["stream-frozen"].detail)


def test_packets_lost_while_others_come_are_still_a_loss() -> None:
    wire, film = Wire(), Film()
    camera = Reader(wire).start(0.5)
    camera.film(1.5, 40, film, lose=lambda number: number > 400 and number % 20 == 0)
    assert "stream-loss" in told(wire.watch(end=40))


@pytest.mark.parametrize("seen_from", ["its start", "its middle"])
def test_a_camera_that_is_read_anew_is_frozen_no_more(seen_from: str) -> None:
    wire, film = Wire(), Film()
    reader = Reader(wire, 40_000)
    if seen_from == "its start":
        reader.start(0.5)
    reader.film(1.5, 20, film)
    again = Reader(wire, 40_100)
    again.url = again.url.replace("/stream1", ":554/stream1")  # as the same reader says it now
    again.start(35, ports=6100).film(36, 60, Film(ssrc=0x5EED0099), port=6100)
    engine = wire.watch(end=60)
    frozen = [f for f in engine.snapshot().findings if f.id == "stream-frozen"]
    assert [f.cleared_time_ns is not None for f in frozen] == [True]
    began, over = frozen[0].first_time_ns, frozen[0].cleared_time_ns
    assert over is not None
    assert (over - began) / 1e9 == pytest.approx(16, abs=2)
    assert "(" not in frozen[0].subject  # there is nothing to tell the two pictures apart by


def test_frames_that_this_tool_cuts_on_purpose_are_no_short_capture() -> None:
    wire = Wire()
    Reader(wire).start(0.5).film(1.5, 5)
    wire.frames = [
        (at, interface, frame[:80], max(length, len(frame)))
        for at, interface, frame, length in wire.frames
    ]
    assert "capture-snapped" in told(wire.watch())
    assert "capture-snapped" not in told(wire.watch(live=True))


def test_what_came_and_went_and_came_again_has_two_times() -> None:
    wire, film = Wire(), Film()
    camera = Reader(wire).start(0.5)
    camera.film(1.5, 20, film)
    camera.film(28, 120, film)
    camera.film(130, 150, film)
    finding = told(wire.watch(end=150))["stream-frozen"]
    (earlier,) = finding.earlier
    began = [(t - finding.earlier[0].first_time_ns) / 1e9 for t in (
        earlier.cleared_time_ns, finding.first_time_ns, finding.cleared_time_ns)]  # fmt: skip
    assert began == pytest.approx([9, 100, 111], abs=2)
    assert "8.0 s" in earlier.text
    assert "10.0 s" in finding.text


def test_a_loss_that_is_over_is_told_as_it_was_at_its_worst() -> None:
    wire, film = Wire(), Film()
    camera = Reader(wire).start(0.5)
    camera.film(1.5, 30, film)
    camera.film(30, 70, film, lose=lambda number: number % 20 == 0)  # one of twenty
    camera.film(70, 190, film)
    finding = told(wire.watch(end=190))["stream-loss"]
    assert finding.cleared_time_ns is not None
    assert finding.severity == "error"
    assert float(finding.text.partition(": ")[2].partition(" %")[0]) == pytest.approx(5, abs=0.5)


def test_what_was_told_alone_for_long_is_told_although_something_covered_it_at_its_end() -> None:
    wire, film = Wire(), Film()
    Reader(wire, 40_000).start(0.5).film(1.5, 20, film)
    refused = wire.tcp((ETH0, APPLIANCE, 40_050), (CAMERA_MAC, CAMERA, 554), 0)
    refused.syn(60)
    refused.reset(60.01)
    again = Reader(wire, 40_100)
    again.start(66, ports=6100).film(67, 90, Film(ssrc=0x5EED0099), port=6100)
    findings = {f.id: f for f in wire.watch(end=90).snapshot().findings}
    assert findings["stream-frozen"].cleared_time_ns is not None
    assert findings["stream-frozen"].hidden_by is None
