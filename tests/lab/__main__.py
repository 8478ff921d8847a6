"""The plant for people: `python -m tests.lab up`, `shell [PLACE]`, `down`.

`up` builds the plant with its usual traffic and stays until `down` (or Ctrl-C). `shell` opens a
shell in the probe's namespace (or another place: appliance, router, cloud, camsw, cloudsw), with
the mirror's two ports as `mir0` and `mir1`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.lab.plant import Plant

STATE = Path("/run/panotui-lab.json")
PLACES = ("probe", "appliance", "router", "cloud", "camsw", "cloudsw")


def up() -> int:
    if STATE.exists():
        print(f"lab: already up ({STATE}). Run `python -m tests.lab down` first.", file=sys.stderr)
        return 2
    over = threading.Event()
    with Plant() as plant:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: over.set())
        for camera in ("dock", "gate"):
            plant.start_camera(camera)
        plant.read_camera("dock", "udp")
        plant.read_camera("gate", "tcp")
        plant.announce_neighbours()
        plant.renew_lease()
        rounds = plant.start_cloud_traffic()
        assert rounds.stdout is not None
        threading.Thread(target=rounds.stdout.read, daemon=True).start()
        places = {place: getattr(plant, place).name for place in PLACES}
        STATE.write_text(
            json.dumps({"pid": os.getpid(), "site": str(plant.site_file), "places": places})
        )
        try:
            print(f"lab: up. Site file {plant.site_file}. Ends with Ctrl-C or `down`.", flush=True)
            over.wait()
        finally:
            STATE.unlink(missing_ok=True)
    return 0


def down() -> int:
    if not STATE.exists():
        print("lab: not up.", file=sys.stderr)
        return 0
    pid = int(json.loads(STATE.read_text())["pid"])
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        STATE.unlink()
        return 0
    deadline = time.monotonic() + 20
    while STATE.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return 0


def shell(place: str) -> int:
    if not STATE.exists():
        print("lab: not up. Run `python -m tests.lab up &` first.", file=sys.stderr)
        return 2
    state = json.loads(STATE.read_text())
    print(f"lab: in {place}; site file {state['site']}")
    name = state["places"][place]
    return subprocess.call(["ip", "netns", "exec", name, os.environ.get("SHELL", "/bin/bash")])


def main(words: list[str]) -> int:
    if words == ["up"]:
        return up()
    if words == ["down"]:
        return down()
    if words and words[0] == "shell" and len(words) < 3:
        place = words[1] if len(words) == 2 else "probe"
        if place in PLACES:
            return shell(place)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
