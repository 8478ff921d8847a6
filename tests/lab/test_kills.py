"""kill -9 at random moments, at each of a recorder's processes in turn: what is missing then.

Seconds are told and written whole, and the flows of each once more before it is over. So what is
missing is less than a second: since that part of it, and what this needed on its way to the disk.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from panotui.recording.reader import Recording
from tests.lab.netns import Namespace, require_root, veth

pytestmark = [pytest.mark.lab, pytest.mark.slow]
REPOSITORY = Path(__file__).parents[2]
KILLS = 50
AT_ONCE = 3  # recorders side by side, whose processes are killed in turn

SENDER = """
import socket, struct, time
out = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW) for _ in range(2)]
for number, peer in enumerate(out):
    peer.bind((f"far{number}", 0))
n = 0
while True:
    n += 1
    head = struct.pack("!BBHII", 0x80, 96, n & 0xFFFF, n * 900, 77)
    udp = struct.pack("!HHHH", 5004, 6000, 8 + len(head) + 400, 0) + head + bytes(400)
    for number, peer in enumerate(out):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), n & 0xFFFF, 0, 64, 17, 0,
                         bytes([10, 20, number, 11]), bytes([10, 20, number, 5]))
        peer.send(bytes.fromhex("0200000000020200000000010800") + ip + udp)
    time.sleep(0.005)
"""
SITE = """
[site]
topology = "dual"
vantage = "mirror"
[ports.eth0]
role = "camera"
interface = "near0"
[ports.eth1]
role = "cloud"
interface = "near1"
"""


def processes(recorder: int) -> list[int]:
    """The recorder and its meters."""
    children = Path(f"/proc/{recorder}/task/{recorder}/children").read_text().split()
    return [recorder, *map(int, children)]


def is_recording(folder: Path) -> bool:
    try:
        recording = Recording(folder)
    except Exception:  # noqa: BLE001 - not yet
        return False
    recording.close()
    return True


def missing_after_kills(here: Namespace, folder: Path, chance: random.Random) -> dict[int, float]:
    """Seconds that are missing, by which of the three processes was killed."""
    site = folder / "site.toml"
    site.write_text(SITE)
    running = {}
    for which in range(AT_ONCE):
        place = folder / f"{which}.panotui"
        running[which] = here.popen(
            [sys.executable, "-m", "panotui", "record", "near0", "near1", "--site", str(site),
             "-o", str(place), "--socket", str(folder / f"{which}.sock")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY,
        )  # fmt: skip
    ends = time.monotonic() + 60
    while not all(is_recording(folder / f"{which}.panotui") for which in running):
        assert time.monotonic() < ends
        time.sleep(0.05)
    killed: dict[int, float] = {}
    began = time.monotonic()
    moments = sorted((chance.uniform(2, 5), which) for which in running)
    for moment, which in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        victims = processes(running[which].pid)
        assert len(victims) == 3
        os.kill(victims[which], signal.SIGKILL)
        killed[which] = time.time()
    missing: dict[int, float] = {}
    for which, process in running.items():
        process.wait(60)
        recording = Recording(folder / f"{which}.panotui")
        last = {flow.dst: flow.last_time_ns / 1e9 for flow in recording.all_flows()}
        recording.close()
        # a meter's death costs its own port's packets, the recorder's those of both
        ports = (0, 1) if which == 0 else (which - 1,)
        missing[which] = max(killed[which] - last[f"10.20.{port}.11"] for port in ports)
    return missing


def test_no_kill_costs_a_whole_second(tmp_path: Path) -> None:
    require_root()
    chance = random.Random(9)
    found: dict[int, list[float]] = {which: [] for which in range(AT_ONCE)}
    with Namespace("ptkill") as here, Namespace("ptkill") as there:
        for number in range(2):
            veth(here, there, f"near{number}", f"far{number}")
        there.popen([sys.executable, "-c", SENDER])
        while sum(map(len, found.values())) < KILLS:
            folder = tmp_path / str(len(found[0]))
            folder.mkdir()
            for which, seconds in missing_after_kills(here, folder, chance).items():
                found[which].append(seconds)
    alike = sorted(seconds for values in found.values() for seconds in values)
    print(json.dumps({which: sorted(round(s, 2) for s in v) for which, v in found.items()}))
    print(f"median {statistics.median(alike):.2f} s, most {alike[-1]:.2f} s")
    assert statistics.median(alike) < 0.6
    assert alike[-1] < 1.0
