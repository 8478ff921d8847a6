"""No pane calls a camera well of which a finding says otherwise."""

from __future__ import annotations

import pytest

from panotui.commands.summary import summary
from panotui.diagnosis.catalogue import catalogue
from panotui.diagnosis.worst import with_troubles
from panotui.model import CameraRecord, FindingRecord, StreamRecord
from panotui.report.analysis import analysis
from panotui.tui.pages.streams import look_of
from panotui.views.words import state_word
from tests.diagnosis.wire import Rtsp, Wire


def finding(severity: str, **fields: object) -> FindingRecord:
    return FindingRecord(
        **{
            "id": "stream-gop", "severity": severity, "confidence": "certain", "subject": "x",
            "text": "x", "action": "", "first_time_ns": 1, "last_time_ns": 1, "camera": "10.0.0.1",
            **fields,
        }
    )  # fmt: skip


def stream(name: str) -> StreamRecord:
    return StreamRecord(
        id=name, camera="a", url=None, ssrc="0x1", payload_type=96, codec="H264", transport="udp",
        src="10.0.0.1", sport=1, dst="10.0.0.5", dport=2, first_time_ns=1, last_time_ns=1,
        flow=f"f{name}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("of", "standing"),
    [
        (finding("warning"), "warning"),
        (finding("error"), "error"),
        (finding("info"), "streaming"),
        (finding("error", cleared_time_ns=5), "streaming"),
        (finding("error", known=True), "streaming"),
        (finding("error", camera="10.0.0.2"), "streaming"),
    ],
)
def test_standing_is_that_of_the_worst_open_finding(of: FindingRecord, standing: str) -> None:
    camera = CameraRecord(name="a", address="10.0.0.1", state="streaming")
    (camera,), _ = with_troubles([camera], [], [finding("info"), of])
    assert camera.standing == standing
    assert camera.state == "streaming"


@pytest.mark.parametrize("heavy", [True, False])
def test_screen_summary_and_json_agree(heavy: bool) -> None:
    wire = Wire()
    Rtsp(wire).play(0.2).media(0.6, 30, size=14_000 if heavy else 2_000)
    engine = wire.watch()
    snapshot = engine.snapshot()
    (camera,), (stream,) = snapshot.cameras, snapshot.streams
    assert (camera.state, stream.state) == ("streaming", "streaming")
    for row in (camera, stream):
        assert look_of(row) == ("warn" if heavy else "ok")
    assert state_word(stream) == ("heavy" if heavy else "ok")
    answer = analysis(engine)
    assert answer["cameras"][0]["trouble"] == ("stream-bitrate" if heavy else None)
    assert ("but it is too heavy" in summary(snapshot)) is heavy


def test_a_fault_of_the_camera_is_that_of_its_streams_and_a_stream_s_only_its_own() -> None:
    camera = CameraRecord(name="a", address="10.0.0.1", state="streaming")
    first, second = stream("1"), stream("2")
    (whole,), both = with_troubles([camera], [first, second], [finding("error")])
    assert [s.standing for s in both] == ["error", "error"]
    assert whole.standing == "error"
    (whole,), both = with_troubles([camera], [first, second], [finding("error", stream="2")])
    assert [s.standing for s in both] == ["streaming", "error"]
    assert whole.standing == "error"
    leak = finding("error", camera=None, flow="f2")
    (whole,), both = with_troubles([camera], [first, second], [leak])
    assert [s.standing for s in both] == ["streaming", "error"]
    assert whole.standing == "error"


def test_each_finding_says_in_words_what_is_the_matter() -> None:
    """After "up, but", and in a column of twelve cells: never its id."""
    for name, spec in catalogue().items():
        assert spec.brief, name
        assert 0 < len(spec.word) <= 12, name
        assert "-" not in name or name not in f"{spec.brief} {spec.word}"
