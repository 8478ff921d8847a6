"""From a fault to the sentence with its action: at most three keys, within seconds, on a terminal.

The live screen stands at the lab's mirror ports at 80x24. Each journey provokes one fault with real
peers; what is measured is the time from then on until the sentence and its action can be read. A
fault can be known when it has shown itself on the wire (`knowable_s` after it was provoked); ten
seconds later at most it must stand there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.test_live_lab import PANOTUI, Screen
from tests.lab.netns import require_root
from tests.lab.plant import CAMERA_NET, CLOUD, LOGS, CameraSpec, Plant

pytestmark = pytest.mark.lab

READ_S = 10.0


@dataclass(frozen=True)
class Journey:
    """One fault, and where a person reads about it."""

    before: Callable[[Plant], None]  # the plant works
    fault: Callable[[Plant], None]
    keys: tuple[bytes, ...]  # at most three
    words: tuple[str, ...]  # of the sentence and its action
    knowable_s: float
    options: tuple[str, ...] = ()  # of the camera


def _reads(plant: Plant) -> None:
    plant.start_camera("dock")
    plant.read_camera("dock")


def _cloud(plant: Plant) -> None:
    plant.start_cloud_traffic(2.0)


def _only_starts(plant: Plant) -> None:
    plant.start_camera("dock")


def _freeze(plant: Plant) -> None:
    os.kill(plant.cameras["dock"].pid, signal.SIGSTOP)


def _wrong_password(plant: Plant) -> None:
    plant.read_camera("dock", credentials="operator:wrong")


def _media_blocked(plant: Plant) -> None:
    plant.block_media("dock")
    plant.read_camera("dock")


def _slow(plant: Plant) -> None:
    """Its encoder makes a third of the pictures that the site expects."""
    camera = plant.cameras["dock"]
    assert camera.stdin is not None
    camera.stdin.write("change 640 360 8\n")
    camera.stdin.flush()


def _offline(plant: Plant) -> None:
    plant.router.run(["ip", "link", "set", "wan", "down"])


JOURNEYS = {
    "camera black: the password": Journey(
        _only_starts, _wrong_password, (b"3", b"g", b"\r"),
        ("BECAUSE", "WHAT TO DO", "assword"), 2.0,
        ("--user", "operator", "--password", "right"),
    ),
    "camera black: its media are blocked": Journey(
        _only_starts, _media_blocked, (b"3", b"g", b"\r"),
        ("BECAUSE", "WHAT TO DO", "UDP"), 5.0,
    ),
    "camera black: frozen": Journey(
        _reads, _freeze, (b"3", b"g", b"\r"), ("BECAUSE", "WHAT TO DO", "frozen"), 4.0
    ),
    "a stream is slow": Journey(
        _reads, _slow, (b"3", b"g", b"\r"), ("BECAUSE", "WHAT TO DO", "frames"), 12.0,
        ("--fps", "25"),
    ),
    "one endpoint is blocked": Journey(
        _cloud, lambda plant: plant.block(CLOUD[LOGS]), (b"4", b"g", b"\r"),
        ("BECAUSE", "WHAT TO DO", "logs.us-east-1.amazonaws.com", "firewall"), 9.0,
    ),
    "the appliance is offline": Journey(
        _cloud, _offline, (b"6", b"g", b"\r"), ("error", "WHAT TO DO"), 12.0
    ),
    "a camera talks to the internet": Journey(
        _reads, lambda plant: plant.phone_home("dock") and None, (b"5", b"g", b"\r"),
        ("stream-leak", "WHAT TO DO", "Block"), 1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_fault_is_read_with_its_action_within_seconds_and_three_keys(name: str) -> None:
    require_root()
    journey = JOURNEYS[name]
    assert len(journey.keys) <= 3
    camera = CameraSpec("dock", f"{CAMERA_NET}.11", "02:00:00:00:01:11", 640, 360, 15, 900, 30)
    camera.options = list(journey.options)
    with Plant([camera]) as plant:
        journey.before(plant)
        command = [*PANOTUI, "live", "mir0", "mir1", "--site", str(plant.site_file), "--no-mouse"]
        screen = Screen(plant.probe.command(command))
        screen.until(["eth0", "eth1", "CLOUD"], 60)
        calm = time.monotonic() + 8  # it works, and the screen has seen that
        while time.monotonic() < calm:
            screen.pump(0.1)
        for key in journey.keys[:1]:
            screen.press(key)
        began = time.monotonic()
        journey.fault(plant)
        opened = False
        while not all(word in screen.text() for word in journey.words):
            assert screen.pump(0.1), screen.text()
            took = time.monotonic() - began
            assert took < journey.knowable_s + READ_S, (name, screen.text())
            if not opened and took > journey.knowable_s:
                opened = True
                for key in journey.keys[1:]:
                    screen.press(key)
        took = time.monotonic() - began
        print(f"{name}: {took:.1f} s, {len(journey.keys)} keys", file=sys.stderr)
        screen.press(b"\x03")
        assert screen.ended(60) == 130


def test_w_on_a_live_screen_writes_the_packets_of_a_leak(tmp_path: Path) -> None:
    """Without a recorder: they were held in memory."""
    require_root()
    began = time.time()
    tmp_path.chmod(0o777)  # who was root is another user now
    camera = CameraSpec("dock", f"{CAMERA_NET}.11", "02:00:00:00:01:11", 640, 360, 15, 900, 30)
    with Plant([camera]) as plant:
        _reads(plant)
        command = [*PANOTUI, "live", "mir0", "mir1", "--site", str(plant.site_file), "--no-mouse"]
        screen = Screen(plant.probe.command(["env", "-C", str(tmp_path), *command]))
        screen.until(["eth0", "eth1", "CLOUD"], 60)
        plant.phone_home("dock")
        screen.press(b"5")
        screen.until(["stream-leak", "WHAT TO DO"], 60)
        screen.press(b"w")  # the packets of its seconds after come yet
        screen.until(["written to", "-evidence-", "y copies"], 60)
        screen.press(b"\x03")
        assert screen.ended(60) == 130
    # beside the temporary files where whom root becomes may not reach this folder
    places = (tmp_path, Path(tempfile.gettempdir()))
    found = [f for place in places for f in place.glob("panotui-evidence-*.pcapng")]
    newest = max(found, key=lambda file: file.stat().st_mtime)
    assert newest.stat().st_mtime >= began
    read = subprocess.run(["tshark", "-r", str(newest)], capture_output=True, text=True, check=True)
    newest.unlink()
    assert "203.0.113.99" in read.stdout
