"""Streams that are no plain unicast video, streams that change, and the same streams heard live."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from panotui.engine.engine import Engine
from panotui.runtime.pump import Pump
from panotui.site.file import load_site
from panotui.sources import open_file
from tests.lab.film import analyze, filming, findings_of, stream_of, wait_until
from tests.lab.netns import end, require_root
from tests.lab.plant import CAMERA_NET, CameraSpec, Plant
from tests.lab.test_live import ask, folder, start_recorder

__all__ = ["folder"]  # a fixture

pytestmark = pytest.mark.lab

GROUP = "239.20.0.1"


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


def dock(*options: str) -> list[CameraSpec]:
    mac = "02:00:00:00:01:11"
    return [CameraSpec("dock", f"{CAMERA_NET}.11", mac, 640, 360, 15, 900, 30, list(options))]


def test_sound_beside_the_picture_is_a_stream_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "scene.pcapng"
    with Plant(dock("--audio", "pcma")) as plant:
        plant.start_camera("dock")
        with filming(plant, path):
            end_later = plant.read_camera("dock")
            time.sleep(7)
            end(end_later)
        answer = analyze("--site", plant.site_file, path)
    streams = {s["codec"]: s for s in answer["streams"]}
    assert set(streams) == {"H264", "PCMA"}
    assert {s["camera"] for s in streams.values()} == {"dock"}
    assert {s["lost"] for s in streams.values()} == {0}
    assert streams["PCMA"]["fps"] is None
    assert streams["H264"]["fps"] == pytest.approx(15, rel=0.1)
    assert findings_of(answer) == set()
    assert len(next(c for c in answer["cameras"] if c["name"] == "dock")["streams"]) == 2


def test_every_codec_and_carrier_is_named_and_measured_side_by_side(tmp_path: Path) -> None:
    path, site = tmp_path / "scene.pcapng", tmp_path / "site.toml"
    options = {
        "jpeg": ["--codec", "mjpeg"],
        "sound": ["--audio", "aac"],
        "tunnel": [],
        "secret": ["--secure"],
        "sealed": [],
    }
    cameras = [
        CameraSpec(name, f"{CAMERA_NET}.{31 + n}", f"02:00:00:00:01:{31 + n}", 320, 180, 10, 200,
                   20, more)
        for n, (name, more) in enumerate(options.items())
    ]  # fmt: skip
    with Plant(cameras) as plant:
        text = plant.site_file.read_text()
        declared = [
            f'[[camera]]\nname = "{c.name}"\naddress = "{c.address}"\n'
            f'url = "{"rtsps" if c.name == "sealed" else "rtsp"}://{c.address}/stream1"\n'
            for c in cameras
        ]
        head, service = text.split("[[camera]]", 1)[0], text.split("[[service]]", 1)[1]
        site.write_text(head + "\n".join(declared) + "\n[[service]]" + service)
        for spec in cameras:
            plant.start_camera(spec.name)
        plant.put_tls_before("sealed")
        with filming(plant, path):
            plant.read_camera("jpeg")
            plant.read_camera("sound")
            plant.read_camera("tunnel", "http")
            plant.read_with_gstreamer("secret")
            plant.read_camera("sealed", "tcp", scheme="rtsps")
            time.sleep(8)
        answer = analyze("--site", site, path)
    streams = {(s["camera"], s["codec"]): s for s in answer["streams"]}
    assert set(streams) == {
        ("jpeg", "JPEG"),
        ("sound", "H264"),
        ("sound", "MPEG4-GENERIC"),
        ("tunnel", "H264"),
        ("secret", "H264"),
    }
    assert {s["lost"] for s in streams.values()} == {0}
    assert {s["signalled"] for s in streams.values()} == {True}
    jpeg, sound = streams["jpeg", "JPEG"], streams["sound", "MPEG4-GENERIC"]
    assert (jpeg["width"], jpeg["height"]) == (320, 180 + 4)  # whole blocks of eight
    assert jpeg["keyframes"] == jpeg["frames"] > 40
    assert jpeg["fps"] == pytest.approx(10, rel=0.1)
    assert (sound["media"], sound["fps"], sound["keyframes"]) == ("audio", None, None)
    assert sound["jitter_ms"] is not None
    tunnel, secret = streams["tunnel", "H264"], streams["secret", "H264"]
    assert (tunnel["transport"], tunnel["width"], tunnel["height"]) == ("tcp", 320, 180)
    assert tunnel["keyframes"] >= 2
    assert (secret["encrypted"], secret["keyframes"]) == (True, None)
    assert (secret["width"], secret["height"]) in ((320, 180), (None, None))
    assert secret["fps"] == pytest.approx(10, rel=0.15)
    apps = {(f["dst"], f["app"]) for f in answer["flows"] if f["transport"] == "tcp"}
    where = {spec.name: spec.address for spec in cameras}
    assert (where["tunnel"], "rtsp-http") in apps
    assert (where["sealed"], "rtsps") in apps
    assert "srtp" in {f["app"] for f in answer["flows"]}
    states = {c["name"]: (c["state"], c["state_text"]) for c in answer["cameras"]}
    assert states.pop("sealed") == (
        "streaming",
        "inside TLS (RTSPS, port 322): its contents cannot be seen",
    )
    assert {state for state, _ in states.values()} == {"streaming"}
    assert not answer["violations"]
    assert findings_of(answer) == {("stream-codec", "camera jpeg")}


def test_picture_that_changes_size_and_rate_is_told_and_nothing_else(tmp_path: Path) -> None:
    path, site = tmp_path / "scene.pcapng", tmp_path / "site.toml"
    with Plant(dock()) as plant:
        site.write_text(plant.site_file.read_text().replace("fps = 25", "fps = 15"))
        camera = plant.start_camera("dock")
        with filming(plant, path):
            reader = plant.read_camera("dock")
            time.sleep(4)
            assert camera.stdin is not None
            camera.stdin.write("change 320 180 10\n")
            camera.stdin.flush()
            time.sleep(22)
            end(reader)
        answer = analyze("--site", site, path)
        engine = Engine(load_site(site))
        source = open_file(str(path))
        Pump([source], engine, files=[str(path)]).run()
        source.close()
    stream = stream_of(answer, "dock")
    assert (stream["width"], stream["height"], stream["lost"]) == (320, 180, 0)
    assert stream["fps"] == pytest.approx((4 * 15 + 22 * 10) / 26, rel=0.1)
    assert findings_of(answer) == {("stream-fps", "camera dock")}
    changed = [e for e in engine.snapshot().events if "320x180" in e.text]
    assert [e.text for e in changed] == ["Stream of dock is now 320x180 (was 640x360)"]
    assert changed[0].packet


def test_multicast_stream_belongs_to_the_camera_that_sends_it(tmp_path: Path) -> None:
    path = tmp_path / "scene.pcapng"
    with Plant(dock("--multicast", GROUP)) as plant:
        plant.start_camera("dock")
        for ns in (plant.camera_ns["dock"], plant.appliance):
            ns.run(["ip", "route", "add", "239.0.0.0/8", "dev", "eth0"])
        with filming(plant, path):
            reader = plant.read_camera("dock", "udp_multicast")
            time.sleep(7)
            end(reader)
        answer = analyze("--site", plant.site_file, path)
    stream = stream_of(answer, "dock")
    assert (stream["dst"], stream["codec"], stream["lost"]) == (GROUP, "H264", 0)
    assert stream["packets"] > 200
    assert stream["verdict"] == "allowed"
    assert not answer["violations"]
    assert findings_of(answer) == set()


NAMES = {"id", "flow"}  # a recorder numbers what it hears from its own start


def differences(live: Any, filed: Any, where: str = "") -> list[str]:
    """Where two answers differ by more than the capture beside, which keeps microseconds, can."""
    if isinstance(live, dict) and isinstance(filed, dict) and live.keys() == filed.keys():
        return [
            found
            for key in live
            if key not in NAMES
            for found in differences(live[key], filed[key], f"{where}.{key}")
        ]
    if isinstance(live, list) and isinstance(filed, list) and len(live) == len(filed):
        pairs = zip(live, filed, strict=True)
        return [d for n, (a, b) in enumerate(pairs) for d in differences(a, b, f"{where}.{n}")]
    if isinstance(live, str) and isinstance(filed, str) and where.endswith(("_time", "_since")):
        apart = datetime.fromisoformat(live) - datetime.fromisoformat(filed)
        return [] if abs(apart) <= timedelta(milliseconds=1) else [f"{where}: {live} {filed}"]
    if isinstance(live, float) and isinstance(filed, float):
        near = live == pytest.approx(filed, rel=0.001, abs=0.01)
        return [] if near else [f"{where}: {live} {filed}"]
    return [] if live == filed else [f"{where}: {live} {filed}"]


def test_live_streams_are_those_of_the_file_for_the_same_packets(folder: Path) -> None:
    path = folder / "beside.pcapng"
    with Plant() as plant:
        for camera in ("dock", "gate"):
            plant.start_camera(camera)
        folder.chmod(0o777)
        plant.lose("dock", 20)
        recorder = start_recorder(plant, folder)
        wait_until(lambda: ask(folder) is not None, 90, "the recorder listens")
        with filming(plant, path):
            readers = [plant.read_camera("dock", "udp"), plant.read_camera("gate", "tcp")]
            time.sleep(8)
            for reader in readers:
                end(reader)
            time.sleep(1.5)
        assert end(recorder, 8) == 0
        filed = analyze("--site", plant.site_file, path)
        live = analyze(folder / "night.panotui")
    assert len(filed["streams"]) == len(live["streams"]) == 2
    for camera in ("dock", "gate"):
        assert differences(stream_of(live, camera), stream_of(filed, camera)) == []
    assert stream_of(live, "dock")["lost"] > 0
