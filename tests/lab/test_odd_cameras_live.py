"""Cameras that do what real ones were seen to do, watched live: each is told while it lasts, with
its own sentence, subject and action, and nothing else is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from panotui.model import FindingRecord
from tests.lab.netns import require_root
from tests.lab.plant import CAMERA_NET, CameraSpec, Plant
from tests.lab.watched import Watched, until

pytestmark = pytest.mark.lab

WITHIN_S = 120  # of a busy machine; no time of the program's own is asserted
SETTLED_S = 4  # so long nothing else may join what is told
BUSY = ("stream-frozen", "stream-jitter", "stream-fps")  # what a busy machine does to senders
SENDERS = ("camera well", "camera port", "camera deaf")


@dataclass(frozen=True)
class Odd:
    """A camera of `odd_camera.py`, how it is read, and what must be told of it."""

    name: str
    how: str
    transport: str = "udp"
    told: str = ""
    says: str = ""
    acts: str = ""


ODD = (
    Odd("well", "strange-type"),
    Odd(
        "port", "wrong-port", told="media-wrong-port",
        says=r"Camera port sends .*port 8000", acts="Set the stream to TCP.*firmware of port",
    ),
    Odd(
        "deaf", "deaf-keepalive", told="rtsp-timeout",
        says=r"Camera deaf .*(400|refuse)", acts="deaf alive by OPTIONS",
    ),
    Odd(
        "mute", "silent", told="rtsp-silent",
        says=r"Camera mute .*(no answer|does not answer|never answer)", acts="Restart mute",
    ),
    Odd("ring", "redirect", told="rtsp-error", says="Camera ring .*302", acts="ring"),
    Odd("dark", "nothing", "udp", "udp-blocked", "Camera dark plays, but no video", "Allow UDP"),
    Odd(
        "still", "nothing", "tcp", "stream-frozen",
        says="Camera still (is frozen|answered PLAY)", acts="still|camera",
    ),
)  # fmt: skip


def short(found: FindingRecord) -> str:
    return f"{found.id} {found.subject}: {found.text} | {found.action}"


def site_of(plant: Plant, cameras: list[str]) -> Path:
    """The plant's site file with other cameras."""
    text = plant.site_file.read_text(encoding="utf-8")
    head, rest = text.split("[[camera]]", 1)
    path = plant.folder / "odd.toml"
    path.write_text(head + "\n".join(cameras) + "[[service]]" + rest.split("[[service]]", 1)[1])
    return path


def test_odd_cameras_are_told_live_each_as_what_it_is_and_nothing_else() -> None:
    require_root()
    specs = [
        CameraSpec(one.name, f"{CAMERA_NET}.{11 + n}", f"02:00:00:00:01:{11 + n}", 640, 360, 25)
        for n, one in enumerate(ODD)
    ]
    cameras = [f'[[camera]]\nname = "{s.name}"\naddress = "{s.address}"\nfps = 25\n' for s in specs]
    wanted = {(one.told, f"camera {one.name}") for one in ODD if one.told}
    beside: set[str] = set()
    told: dict[str, FindingRecord] = {}
    called: dict[str, set[tuple[str, str | None]]] = {one.name: set() for one in ODD}
    with (
        Plant(specs) as plant,
        Watched(plant.probe, ("mir0", "mir1"), site_of(plant, cameras)) as watched,
    ):
        for one in ODD:
            plant.odd_camera(one.name, one.how)
            plant.read_camera(one.name, one.transport)

        def all_told() -> bool:
            loud = [f for f in watched.loud() if f.id not in BUSY or f.subject not in SENDERS]
            beside.update(short(f) for f in loud if (f.id, f.subject) not in wanted)
            told.update({f.subject: f for f in loud})
            frame = watched.frame(pane="streams", rows=100)
            for camera in frame.cameras:
                called[camera.name].add((camera.state, camera.trouble))
            for stream in frame.streams:
                called[stream.camera or "?"].add((stream.state, stream.trouble))
            return len(told) >= len(wanted)

        # a reader gives up after a while: not all of it stands at the same time
        until(all_told, WITHIN_S, lambda: f"{wanted}: {[short(f) for f in told.values()]}")
        watched.settle(SETTLED_S, all_told)
    assert not beside
    for one in ODD:
        troubles = {trouble for _, trouble in called[one.name]}
        if not one.told:
            assert troubles <= {None, *BUSY}
            assert "streaming" in {state for state, _ in called[one.name]}
            continue
        found = told[f"camera {one.name}"]
        assert found.id == one.told
        assert re.search(one.says, found.text), short(found)
        assert re.search(one.acts, found.action), short(found)
        assert found.evidence, short(found)
        assert one.told in troubles <= {None, one.told, *BUSY}
