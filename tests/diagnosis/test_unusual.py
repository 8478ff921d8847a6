"""What is not as usual, told while packets come."""

from __future__ import annotations

import msgspec
import pytest

from panotui.diagnosis.unusual import observation
from panotui.model import FindingRecord
from panotui.model.baseline import Baseline, CameraHabit, Cell, EndpointHabit, Series
from panotui.state.habits import Departure
from tests.diagnosis.wire import Rtsp, Wire, site

MINUTES = 18


def always(value: float, spread: float = 0.0) -> Series:
    return Series(always=Cell(20_000, 14, value, spread))


def usual(rate: float, readers: tuple[str, ...] = ("10.20.0.5",), **more: object) -> Baseline:
    camera = CameraHabit(
        rate_bps=always(rate, rate / 50), fps=always(1.0), gop_s=always(2.0, 1.0),
        loss=always(0.0), streams=always(1.0), readers=readers,
    )  # fmt: skip
    return msgspec.structs.replace(
        Baseline(minutes=14 * 24 * 60, cameras={"dock": camera}, peers=("10.20.0.5 > rtsp",)),
        **more,
    )


def told(baseline: Baseline | None, minutes: int = MINUTES) -> dict[str, FindingRecord]:
    """Unusual findings of a camera that sends a picture of 900 bytes a second."""
    wire = Wire()
    session = Rtsp(wire, timeout_s=3600).play(0.2)
    session.media(0.6, minutes * 60.0, fps=1.0, packets=1, key_every=2)
    engine = wire.watch(site(), end=minutes * 60.0, baseline=baseline)
    return {f.key: f for f in engine.snapshot().findings if f.id.startswith("unusual")}


def test_a_camera_that_is_as_usual_is_not_told() -> None:
    assert told(usual(7_300)) == {}
    assert told(None) == {}


def test_a_bit_rate_that_departs_for_a_quarter_of_an_hour_is_told() -> None:
    assert told(usual(100_000_000), minutes=12) == {}
    found = told(usual(100_000_000))
    (finding,) = found.values()
    assert (finding.id, finding.severity, finding.subject) == (
        "unusual-stream", "info", "camera dock"
    )  # fmt: skip
    assert finding.text.startswith(
        "dock sends hardly anything (7.65 kb/s), usually 100 Mb/s +- 2.00 Mb/s"
    )
    assert finding.cleared_time_ns is None


def test_a_new_reader_is_told_at_once() -> None:
    found = told(usual(7_300, readers=("10.9.9.9",)), minutes=4)
    assert [f.id for f in found.values()] == ["unusual-reader"]


def test_a_camera_that_is_not_there_is_told() -> None:
    baseline = usual(7_300)
    both = msgspec.structs.replace(
        baseline, cameras={**baseline.cameras, "gate": baseline.cameras["dock"]}
    )
    found = told(both)
    assert [(f.id, f.severity) for f in found.values()] == [("unusual-stream", "warning")]
    (finding,) = found.values()
    assert finding.text == "gate sends no stream, usually it does"


def test_an_endpoint_that_nobody_contacts_is_told() -> None:
    quiet = EndpointHabit(rtt_ms=always(20), longest_gap_minutes=5.0, contacts=500)
    found = told(usual(7_300, endpoints={"iot/x.iot.us-east-1.amazonaws.com/8883": quiet}), 34)
    assert [f.id for f in found.values()] == ["unusual-endpoint"]
    (finding,) = found.values()
    assert "the longest pause in 2 weeks was 5 min" in finding.text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("fps", "dock shows 12.0 pictures a second, on weekdays at this hour 25.0 +- 0.2"),
        ("gop_s", "dock sends a key frame each 12.0 s, on weekdays at this hour each 25.0 s"),
        ("loss", "dock loses 1200.00 %, on weekdays at this hour 2500.00 %"),
        ("rtt_ms", "dock answers after 12 ms, on weekdays at this hour 25 +- 0 ms"),
    ],
)
def test_each_departure_has_a_sentence_with_both_numbers(kind: str, text: str) -> None:
    departure = Departure(kind, "dock", 1_790_000_000, 12.0, 25.0, 0.2, "on weekdays at this hour")
    seen = observation(departure, 2.0)
    assert seen.values["detail"] == text
    assert seen.action
    assert any("2 weeks" in line for line in seen.detail)


@pytest.mark.parametrize(
    ("kind", "value", "usual", "text"),
    [
        ("rate_bps", 0.9e6, 2.1e6, "dock sends 900 kb/s, usually 2.10 Mb/s +- 200 kb/s"),
        (
            "rate_bps", 900.0, 2.1e6,
            "dock sends hardly anything (900 b/s), usually 2.10 Mb/s +- 200 kb/s",
        ),
        ("rate_bps", 0.0, 2.1e6, "dock sends nothing, usually 2.10 Mb/s +- 200 kb/s"),
        ("fps", 0.1, 25.0, "dock shows hardly a picture, usually 25.0 +- 0.2 a second"),
    ],
)  # fmt: skip
def test_next_to_nothing_is_called_so(kind: str, value: float, usual: float, text: str) -> None:
    spread = 0.2e6 if kind == "rate_bps" else 0.2
    departure = Departure(kind, "dock", 1_790_000_000, value, usual, spread, "usually")
    seen = observation(departure, 2.0)
    assert seen.values["detail"] == text
    is_silent = kind == "rate_bps" and value == 0
    assert seen.action.startswith("Look at the power" if is_silent else "Compare the settings")
