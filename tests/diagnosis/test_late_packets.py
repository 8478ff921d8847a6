"""What is open stays open where packets come late, or the capture's clock is set back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from panotui.commands.input import analysed
from panotui.model import SECOND
from tests.situations import SITUATIONS
from tests.sources import made

Frames = list[tuple[int, bytes]]


def one_comes_late(frames: Frames, at_ns: int) -> Frames:
    """The first frame after `at_ns` comes more than a second after its time."""
    late = next(i for i, frame in enumerate(frames) if frame[0] >= at_ns)
    ahead = next(i for i, frame in enumerate(frames) if frame[0] >= frames[late][0] + SECOND)
    return [*frames[:late], *frames[late + 1 : ahead + 1], frames[late], *frames[ahead + 1 :]]


def clock_is_set_back(frames: Frames, at_ns: int) -> Frames:
    return [(t if t < at_ns else t - 2 * SECOND, frame) for t, frame in frames]


@pytest.mark.parametrize("change", [one_comes_late, clock_is_set_back])
@pytest.mark.parametrize("before_end", [15, 20, 25, 30])
def test_an_open_error_outlasts_the_capture_s_disorder(
    change: Callable[[Frames, int], Frames], before_end: int, tmp_path: Path
) -> None:
    one = SITUATIONS["one-endpoint-is-dropped-and-others-work"]
    frames = sorted((t, frame) for t, _, frame, _ in one.build().frames)
    frames = change(frames, frames[-1][0] - before_end * SECOND)
    path = tmp_path / "late.pcap"
    path.write_bytes(made.pcap([made.Frame(frame, t) for t, frame in frames], nano=True))
    found = analysed([str(path)], one.site()).snapshot().findings
    assert [f.id for f in found if f.cleared_time_ns is None and not f.hidden_by] == ["tcp-blocked"]
