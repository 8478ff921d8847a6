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
    ("how", "transport", "seconds", "expected", "state"),
    [
        ("strange-type", "udp", 8, None, "streaming"),
        ("wrong-port", "udp", 7, "media-wrong-port", "silent"),
        # filmed until the camera ends the session; the film may end before its last second is over
        ("deaf-keepalive", "udp", 1, "rtsp-timeout", None),
        ("silent", "udp", 8, "rtsp-silent", "silent"),
        ("error", "udp", 5, "rtsp-error", "refused"),
        ("cut", "udp", 6, "rtsp-silent", "silent"),
        ("redirect", "udp", 5, "rtsp-error", "refused"),
        ("nothing", "udp", 9, "udp-blocked", "silent"),
        ("nothing", "tcp", 9, "stream-frozen", "silent"),
    ],
)
def test_odd_camera_is_told_as_what_it_is(
    tmp_path: Path,
    how: str,
    transport: str,
    seconds: float,
    expected: str | None,
    state: str | None,
) -> None:
    specs = [
        CameraSpec(name, f"{CAMERA_NET}.{last}", f"02:00:00:00:01:{last}", 640, 360, 25, 900, 25)
        for name, last in (("dock", 11), ("gate", 12))
    ]
    with Plant(specs) as plant:
        camera = plant.odd_camera("dock", how)
        plant.odd_camera("gate", "strange-type")  # which is well: the wire is not silent
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            plant.read_camera("gate")
            plant.read_camera("dock", transport)
            if how == "deaf-keepalive":
                wait_for(camera, "ended", 60)
            time.sleep(seconds)
        answer = analyze("--site", plant.site_file, path)
    assert findings_of(answer) == ({(expected, "camera dock")} if expected else set())
    states = {c["name"]: c["state"] for c in answer["cameras"]}
    assert states["gate"] == "streaming"
    assert state is None or states["dock"] == state
