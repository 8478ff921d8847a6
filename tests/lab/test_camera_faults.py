"""Faults of cameras and of the way to them, provoked with real peers; each gives its finding and
the right numbers, and none gives another's."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.film import analyze, filming, findings_of, stream_of, wait_until
from tests.lab.netns import end, require_root
from tests.lab.plant import CAMERA_NET, CameraSpec, Plant

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


def film(plant: Plant, tmp_path: Path, seconds: float, **read: str) -> Path:
    """The appliance reads `dock` for that long, filmed from before the first packet."""
    path = tmp_path / "scene.pcapng"
    with filming(plant, path):
        reader = plant.read_camera("dock", **read)
        time.sleep(seconds)
        end(reader)
    return path


def one_camera() -> list[CameraSpec]:
    return [CameraSpec("dock", f"{CAMERA_NET}.11", "02:00:00:00:01:11", 640, 360, 15, 900, 30)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_healthy_camera_gives_no_alarm(tmp_path: Path, transport: str) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        answer = analyze("--site", plant.site_file, film(plant, tmp_path, 8, transport=transport))
    stream = stream_of(answer, "dock")
    assert (stream["lost"], stream["transport"], stream["codec"]) == (0, transport, "H264")
    assert (stream["width"], stream["height"]) == (640, 360)
    assert stream["fps"] == pytest.approx(15, rel=0.05)
    assert stream["verdict"] == "allowed"
    assert findings_of(answer) == set()
    assert not answer["violations"]


@pytest.mark.parametrize("per_mille", [5, 50])
def test_random_loss_equals_the_switch_counter(tmp_path: Path, per_mille: int) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            reader = plant.read_camera("dock")
            # only a loss between two packets that arrived can be told from the packets
            time.sleep(3)
            plant.lose("dock", per_mille)
            time.sleep(31 if per_mille == 50 else 9)
            # the drops are random: at 0.5 % a few seconds may pass without one
            wait_until(lambda: plant.lost_by_switch()[1] > 0, 60, "the switch drops something")
            seen, dropped = plant.end_loss()
            time.sleep(1)
            end(reader)
        answer = analyze("--site", plant.site_file, path)
    stream = stream_of(answer, "dock")
    assert stream["lost"] == dropped > 0
    assert stream["expected"] > seen
    assert stream["packets"] == stream["expected"] - dropped
    assert stream["camera_dropped"] == stream["capture_lost"] == 0
    enough = per_mille == 50 or dropped >= 5  # a packet or two of thousands are a stray bit
    assert findings_of(answer) == ({("stream-loss", "camera dock")} if enough else set())


def test_narrow_link_loses_what_the_queue_drops(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        # at the camera's own port: the mirror copies what has passed it
        shape = "tc qdisc add dev eth0 root tbf rate 600kbit burst 8kb limit 16kb"
        plant.camera_ns["dock"].run(shape.split())
        path = film(plant, tmp_path, 12)
        shown = plant.camera_ns["dock"].run(["tc", "-s", "qdisc", "show", "dev", "eth0"]).stdout
        answer = analyze("--site", plant.site_file, path)
    stream = stream_of(answer, "dock")
    dropped = int(shown.split("dropped ", 1)[1].split(",")[0])
    # a sender report may be among them, and what follows the last packet that passed
    assert dropped - 10 <= stream["lost"] <= dropped
    assert stream["lost"] > 50
    # a queue that overflows may well lose the tails of key frames: that is then the reason
    found = findings_of(answer)
    burst, loss = ("stream-burst", "camera dock"), ("stream-loss", "camera dock")
    assert found <= {burst, loss}
    (seen,) = (f for f in answer["findings"] if f["hidden_by"] is None)
    assert seen["id"] == ("stream-burst" if burst in found else "stream-loss")


def test_stopped_camera_freezes_and_is_seen_to_recover(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        camera = plant.start_camera("dock")
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            plant.read_camera("dock")
            time.sleep(4)
            os.killpg(camera.pid, signal.SIGSTOP)
            time.sleep(5)
            os.killpg(camera.pid, signal.SIGCONT)
            time.sleep(4)
        answer = analyze("--site", plant.site_file, path)
    stream = stream_of(answer, "dock")
    assert len(stream["freezes"]) == 1
    assert stream["freezes"][0]["seconds"] == pytest.approx(5, abs=0.5)
    frozen = [f for f in answer["findings"] if f["id"] == "stream-frozen"]
    assert len(frozen) == 1
    assert frozen[0]["cleared_time"] is not None
    assert stream["lost"] == 0
    assert findings_of(answer) == {("stream-frozen", "camera dock")}


def test_camera_that_loses_power_has_restarted_and_lost_nothing(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        camera = plant.start_camera("dock")
        ns = plant.camera_ns["dock"]
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            reader = plant.read_camera("dock")
            time.sleep(4)
            ns.run(["ip", "link", "set", "eth0", "down"])
            end(camera)
            time.sleep(3)
            end(reader)
            ns.run(["ip", "link", "set", "eth0", "up"])
            announce = [
                "busybox",
                "arping",
                "-U",
                "-c",
                "2",
                "-I",
                "eth0",
                plant.spec("dock").address,
            ]
            ns.run(announce, check=False)
            plant.start_camera("dock")
            plant.read_camera("dock")
            time.sleep(4)
        answer = analyze("--site", plant.site_file, path)
    assert len(answer["streams"]) == 2
    assert all(s["lost"] == 0 for s in answer["streams"])
    # the switch has forgotten the camera meanwhile, and floods to the mirrored uplink as well
    assert findings_of(answer) - {("mirror-duplicates", "mirror")} == {
        ("camera-reboot", "camera dock"),
    }


def test_camera_whose_server_is_killed_and_restarted_has_lost_nothing(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        camera = plant.start_camera("dock")
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            reader = plant.read_camera("dock")
            time.sleep(4)
            end(camera)
            end(reader)
            plant.start_camera("dock")
            plant.read_camera("dock")
            time.sleep(4)
        answer = analyze("--site", plant.site_file, path)
    assert len(answer["streams"]) == 2
    assert all(s["lost"] == 0 for s in answer["streams"])
    # it ended a session that nobody had asked it to end, and served another at once: no reboot
    assert findings_of(answer) == {("rtsp-closed", "camera dock")}


@pytest.mark.parametrize(
    ("how", "finding"),
    [
        ("453:SETUP", "rtsp-sessions"),
        ("461:SETUP", "rtsp-transport"),
        ("404:DESCRIBE", "rtsp-not-found"),
        ("503:DESCRIBE", "rtsp-sessions"),
    ],
)
def test_refusing_camera_says_why(tmp_path: Path, how: str, finding: str) -> None:
    with Plant(one_camera()) as plant:
        plant.refusing_camera("dock", how)
        answer = analyze("--site", plant.site_file, film(plant, tmp_path, 3))
    assert findings_of(answer) == {(finding, "camera dock")}
    camera = next(c for c in answer["cameras"] if c["name"] == "dock")
    assert camera["state"] == "refused"


def test_wrong_password_is_told_from_the_normal_challenge(tmp_path: Path) -> None:
    cameras = one_camera()
    cameras[0].options = ["--user", "operator", "--password", "right"]
    with Plant(cameras) as plant:
        plant.start_camera("dock")
        wrong = analyze(
            "--site", plant.site_file, film(plant, tmp_path, 3, credentials="operator:xyzzy-42")
        )
        right = analyze(
            "--site", plant.site_file, film(plant, tmp_path, 4, credentials="operator:right")
        )
    assert findings_of(wrong) == {("rtsp-auth", "camera dock")}
    assert findings_of(right) == set()
    assert stream_of(right, "dock")["lost"] == 0
    assert "xyzzy-42" not in str(wrong)
    assert "operator" not in str(wrong)


def test_media_blocked_by_a_firewall(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        plant.block_media("dock")
        answer = analyze("--site", plant.site_file, film(plant, tmp_path, 8))
    assert findings_of(answer) == {("udp-blocked", "camera dock")}
    assert not answer["streams"]


def test_camera_that_is_off_is_unreachable_while_another_works(tmp_path: Path) -> None:
    with Plant() as plant:
        plant.start_camera("gate")
        plant.camsw.run(["ip", "link", "set", "cam1", "down"])
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            plant.read_camera("gate")
            plant.read_camera("dock")
            time.sleep(7)
        answer = analyze("--site", plant.site_file, path)
    assert findings_of(answer) == {("camera-unreachable", "camera dock")}


def test_camera_without_rtsp_refuses(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        answer = analyze("--site", plant.site_file, film(plant, tmp_path, 3))
    assert findings_of(answer) == {("camera-refused", "camera dock")}


def test_second_reader_is_named(tmp_path: Path) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        path = tmp_path / "scene.pcapng"
        # the mirror must show the camera's own port for another reader to be seen
        plant.camsw.nft(
            "table netdev span2 {\n"
            '  chain a { type filter hook ingress device "cam1" priority 0; dup to "mir"; }\n'
            '  chain b { type filter hook egress device "cam1" priority 0; dup to "mir"; }\n'
            "}\n"
        )
        with filming(plant, path):
            plant.read_camera("dock")
            plant.read_camera("dock", ns=plant.router)
            time.sleep(12)  # a second client starts slowly on a busy machine
        answer = analyze("--site", plant.site_file, path)
    assert findings_of(answer) == {
        ("stream-multi-reader", "camera dock"),
        ("mirror-duplicates", "mirror"),
    }
    assert len(answer["streams"]) == 2
    assert {s["lost"] for s in answer["streams"]} == {0}
    assert answer["limits"]["mirror_duplicates"] > 0


def test_h265_camera_needs_another_profile(tmp_path: Path) -> None:
    cameras = one_camera()
    cameras[0].options = ["--codec", "h265"]
    cameras[0].kbps = 300
    with Plant(cameras) as plant:
        plant.start_camera("dock")
        answer = analyze("--site", plant.site_file, film(plant, tmp_path, 5))
    assert findings_of(answer) == {("stream-codec", "camera dock")}
    stream = stream_of(answer, "dock")
    assert (stream["codec"], stream["width"], stream["height"]) == ("H265", 640, 360)


def test_eight_cameras_are_eight_clean_streams(tmp_path: Path) -> None:
    cameras = [
        CameraSpec(f"c{n}", f"{CAMERA_NET}.{20 + n}", f"02:00:00:00:01:{20 + n}", 320, 180, 10, 200)
        for n in range(8)
    ]
    with Plant(cameras) as plant:
        for spec in cameras:
            plant.start_camera(spec.name)
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            for number, spec in enumerate(cameras):
                plant.read_camera(spec.name, "tcp" if number % 2 else "udp")
            time.sleep(8)
        answer = analyze(path)
    video = [s for s in answer["streams"] if s["codec"] == "H264"]
    assert len(video) == 8
    assert {s["src"] for s in video} == {spec.address for spec in cameras}
    assert all(s["lost"] == 0 for s in video)
    assert len(answer["cameras"]) == 8
    assert findings_of(answer) == set()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_start_in_mid_stream_still_measures(tmp_path: Path, transport: str) -> None:
    with Plant(one_camera()) as plant:
        plant.start_camera("dock")
        plant.read_camera("dock", transport)
        time.sleep(3)
        path = tmp_path / "scene.pcapng"
        with filming(plant, path):
            time.sleep(5)
        answer = analyze("--site", plant.site_file, path)
    stream = stream_of(answer, "dock")
    assert stream["transport"] == transport
    assert stream["lost"] == 0
    assert stream["packets"] > 100
    assert stream["verdict"] == "allowed"
    assert findings_of(answer) == set()
    assert not answer["violations"]
