"""Cameras that do what real ones were seen to do, with a real reader on a real network."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.film import analyze, filming, findings_of
from tests.lab.netns import require_root
from tests.lab.plant import CAMERA_NET, CameraSpec, Plant, wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


@pytest.mark.parametrize(
    ("how", "seconds", "expected", "state"),
    [
        ("strange-type", 8, None, "streaming"),
        ("wrong-port", 7, "media-wrong-port", "silent"),
        # filmed until the camera ends the session; the film may end before its last second is over
        ("deaf-keepalive", 1, "rtsp-timeout", None),
        ("silent", 8, "rtsp-silent", "silent"),
        ("error", 5, "rtsp-error", "refused"),
    ],
)
def test_odd_camera_is_told_as_what_it_is(
    tmp_path: Path, how: str, seconds: float, expected: str | None, state: str | None
) -> None:
    spec = CameraSpec("dock", f"{CAMERA_NET}.11", "02:00:00:00:01:11", 640, 360, 25, 900, 25)
    with Plant([spec]) as plant:
        camera = plant.odd_camera("dock", how)
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            plant.read_camera("dock")
            if how == "deaf-keepalive":
                wait_for(camera, "ended", 60)
            time.sleep(seconds)
        answer = analyze("--site", plant.site_file, path)
    assert findings_of(answer) == ({(expected, "camera dock")} if expected else set())
    (told,) = [c for c in answer["cameras"] if c["name"] == "dock"]
    assert state is None or told["state"] == state
