"""The exported nftables table on the plant's router: real TLS, MQTT, RTSP, DNS and NTP go on, and
what the policy does not allow ends at the router."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.film import analyze, filming, panotui
from tests.lab.netns import end, require_root
from tests.lab.plant import POLLED, VENDOR, Plant, wait_for

pytestmark = pytest.mark.lab


def _scene(plant: Plant, path: Path) -> None:
    with filming(plant, path):
        plant.start_camera("dock")
        plant.read_camera("dock", "tcp")
        traffic = plant.start_cloud_traffic(1.0)
        wait_for(traffic, "round 2", 60)
        end(traffic)
        for reader in plant.readers.values():
            end(reader)


def test_the_exported_table_lets_the_plant_work_and_stops_what_violates(tmp_path: Path) -> None:
    require_root()
    before, after, acts = (tmp_path / f"{name}.pcapng" for name in ("before", "after", "acts"))
    with Plant() as plant:
        _scene(plant, before)
        table = panotui(
            "policy", "export", "--format", "nftables", "--site", plant.site_file, "--seen", before
        )
        assert table.returncode == 0, table.stderr
        plant.router.run(["nft", "-c", "-f", "-"], input=table.stdout)
        plant.router.nft(table.stdout)
        _scene(plant, after)
        with filming(plant, acts):
            with pytest.raises(RuntimeError, match=r"timed out|refused|unreachable"):
                plant.phone_home("gate")
            subprocess.run(
                plant.appliance.command(
                    ["busybox", "timeout", "2", "busybox", "nc", "-w", "1", VENDOR[1], "443"]
                ),
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
            )  # fmt: skip
            time.sleep(0.5)
        works = analyze("--site", plant.site_file, after)
        stopped = analyze("--site", plant.site_file, acts)
    assert works["violations"] == []
    reached = {e["host"] for e in works["endpoints"] if e["state"] == "reachable"}
    assert set(POLLED) <= reached
    assert any(f["alpn"] == "x-amzn-mqtt-ca" and f["bytes_in"] for f in works["flows"])
    assert works["clock"]["state"] == "synchronised"
    assert [s["camera"] for s in works["streams"] if s["packets"] > 10] == ["dock"]
    assert sorted(v["reason"] for v in stopped["violations"]) == [
        "stream-leak",
        "unlisted-endpoint",
    ]
    tried = [f for f in stopped["flows"] if f["dst"] == VENDOR[1] and f["transport"] == "tcp"]
    assert tried
    # a refusal by the router may come back, but no connection does
    assert all("h" not in (f["history"] or "") for f in tried)
