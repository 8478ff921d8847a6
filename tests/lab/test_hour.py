"""An hour of the site's allowed traffic raises no alarm about the policy."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.lab.film import analyze, filming
from tests.lab.netns import end, require_root
from tests.lab.plant import Plant

pytestmark = pytest.mark.lab

SCENE_S = 20
HOUR_S = 3600


def test_an_hour_of_allowed_traffic_has_no_violation(tmp_path: Path) -> None:
    require_root()
    scene = tmp_path / "scene.pcapng"
    with Plant() as plant:
        with filming(plant, scene):
            plant.renew_lease()
            for camera, transport in (("dock", "udp"), ("gate", "tcp")):
                plant.start_camera(camera)
                plant.read_camera(camera, transport)
            cloud = plant.start_cloud_traffic(5.0)
            assert cloud.stdout is not None
            threading.Thread(target=cloud.stdout.read, daemon=True).start()
            time.sleep(SCENE_S - 4)
            # the scene ends as a site does at night: readers hang up, connections close
            for reader in plant.readers.values():
                end(reader)
            end(cloud)
            time.sleep(1)
        site = tmp_path / "site.toml"
        site.write_text(plant.site_file.read_text())
    once = analyze("--site", site, scene)
    copies = []
    for number in range(HOUR_S // SCENE_S):
        copy = tmp_path / f"copy{number}.pcap"
        subprocess.run(
            ["editcap", "-F", "nsecpcap", "-t", str(number * SCENE_S), str(scene), str(copy)],
            check=True,
        )
        copies.append(str(copy))
    hour = tmp_path / "hour.pcap"
    subprocess.run(["mergecap", "-a", "-F", "nsecpcap", "-w", str(hour), *copies], check=True)
    for copy_name in copies:
        Path(copy_name).unlink()
    answer = analyze("--site", site, hour)
    hour.unlink()
    # how much the plant sends in its scene depends on the machine
    assert answer["source"]["packets"] == len(copies) * once["source"]["packets"]
    assert answer["violations"] == []
    assert {f["verdict"] for f in answer["flows"]} <= {"allowed", "infrastructure"}
    opened = [f for f in once["flows"] if f["state"] == "closed"]
    assert opened
    assert len(answer["flows"]) >= len(copies) * len(opened)
