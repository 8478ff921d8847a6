"""A night in the lab: `python -m tests.lab.night --hours H [-o DIR]`. Needs root.

The plant runs at a site's rate (six cameras with a real encoder and readers that come back, TLS
and MQTT endpoints, DNS, NTP, DHCP) and `panotui record` records it from the mirror. Meanwhile the
faults of `night_plan.toml` are provoked, each with a start, an end and well times between. DIR
then holds

- `night.panotui`: the recording, `record.jsonl`: what the recorder said each second;
- `faults.jsonl`: what was really done, and when (`start`, `end`: seconds since 1970);
- `samples.csv`: each minute the recorder's processes: memory, descriptors, CPU, and the folder.

`python -m tests.lab.night_check DIR` compares the report of that recording with `faults.jsonl`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.netns import end
from tests.lab.plant import CAMERA_NET, CLOUD, SITE, CameraSpec, Plant

REPOSITORY = Path(__file__).parents[2]
PLAN = Path(__file__).with_name("night_plan.toml")
CAMERAS = ("dock", "gate", "yard", "ramp", "hall", "roof")
OVER_TCP = ("gate", "ramp", "roof")
LOGIN = ("operator", "first-password")
CHANGED = ("operator", "second-password")
BACK_AFTER_S = 3  # a reader that lost its camera tries again
POLL_S = 8.0
LEASE_S = 1200.0


@dataclass(frozen=True)
class Fault:
    """One fault of the plan; times in seconds from the night's start."""

    kind: str
    target: str
    start_s: float
    seconds: float
    told: tuple[str, ...]
    follows: tuple[str, ...] = ()
    subject: str = ""
    value: int = 0


@dataclass
class Night:
    """What is running."""

    plant: Plant
    folder: Path
    readers: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)


def faults_of(plan: Path, night_s: float) -> Iterator[Fault]:
    """The plan's rounds, as far as they fit with two well minutes after the last fault."""
    written = tomllib.loads(plan.read_text())
    round_s = written["round_min"] * 60.0
    number = 0
    while number * round_s < night_s:
        for entry in written["fault"]:
            targets = entry["targets"]
            target = targets[number % len(targets)]
            start = number * round_s + entry["at_min"] * 60.0
            if start + entry["seconds"] + 120 <= night_s:
                yield Fault(
                    entry["kind"],
                    target,
                    start,
                    float(entry["seconds"]),
                    tuple(entry["told"]),
                    tuple(entry.get("follows", ())),
                    entry["subject"].format(target=target),
                    entry.get("value", 0),
                )
        number += 1


def specs() -> list[CameraSpec]:
    """Six cameras of 1.5 Mb/s each; small pictures of snow, so that encoding costs little."""
    found = []
    for number, name in enumerate(CAMERAS, 11):
        login = ["--user", LOGIN[0], "--password", LOGIN[1]]
        mac = f"02:00:00:00:01:{number}"
        address = f"{CAMERA_NET}.{number}"
        found.append(CameraSpec(name, address, mac, 320, 180, 15, 1500, 30, login))
    return found


def site_text() -> str:
    """The plant's site file, with the cameras that it does not list yet."""
    more = [
        f'\n[[camera]]\nname = "{spec.name}"\naddress = "{spec.address}"\nurl = "{spec.url}"\n'
        f"fps = {spec.fps}\n"
        for spec in specs()
    ]
    head, _, rest = SITE.partition("[[camera]]")
    heading = '[report]\ncustomer = "Harbour Works"\ntechnician = "The lab"\n'
    return head + heading + "".join(more) + "\n[[service]]" + rest.partition("[[service]]")[2]


# ---------------------------------------------------------------------- the plant's usual life
def read_on(night: Night, name: str) -> None:
    """The appliance reads that camera, and begins again when it ended, as its application does."""
    transport = "tcp" if name in OVER_TCP else "udp"
    url = night.plant.spec(name).url.replace("://", f"://{':'.join(LOGIN)}@")
    line = (
        f"while :; do ffmpeg -nostdin -loglevel error -timeout 8000000 -rtsp_transport {transport}"
        f" -i {url} -c copy -f null - ; sleep {BACK_AFTER_S}; done"
    )
    night.readers[name] = night.plant.appliance.popen(
        ["sh", "-c", line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def announce(night: Night, name: str) -> None:
    """What a camera says of itself when its link comes up."""
    address = night.plant.spec(name).address
    words = ["busybox", "arping", "-U", "-c", "2", "-I", "eth0", address]
    night.plant.camera_ns[name].run(words, check=False)


def start_camera(night: Night, name: str, login: tuple[str, str] = LOGIN) -> None:
    night.plant.spec(name).options = ["--user", login[0], "--password", login[1]]
    night.plant.start_camera(name)


# ---------------------------------------------------------------------- the faults
Act = Callable[[Night, Fault], None]


def _camera_link(night: Night, name: str, state: str) -> None:
    device = f"cam{CAMERAS.index(name) + 1}"
    night.plant.camsw.run(["ip", "link", "set", device, state])


def _camera_off(night: Night, fault: Fault) -> None:
    _camera_link(night, fault.target, "down")
    end(night.plant.cameras[fault.target])


def _camera_on(night: Night, fault: Fault) -> None:
    _camera_link(night, fault.target, "up")
    announce(night, fault.target)
    start_camera(night, fault.target)


def _internet_down(night: Night, fault: Fault) -> None:
    night.plant.router.nft(
        "table inet outage { chain forward { type filter hook forward priority 0; "
        "policy accept;\n oifname wan drop\n iifname wan drop\n}\n}\n"
    )


def _internet_up(night: Night, fault: Fault) -> None:
    night.plant.router.run(["nft", "delete", "table", "inet", "outage"])


def _password(login: tuple[str, str]) -> Act:
    def act(night: Night, fault: Fault) -> None:
        # such a setting restarts the camera's server
        end(night.plant.cameras[fault.target])
        start_camera(night, fault.target, login)

    return act


def _lose(night: Night, fault: Fault) -> None:
    night.plant.lose(fault.target, fault.value)


def _lose_no_more(night: Night, fault: Fault) -> None:
    seen, dropped = night.plant.lost_by_switch()
    note(night, {"switch": fault.target, "seen": seen, "dropped": dropped})
    night.plant.camsw.run(["nft", "delete", "table", "bridge", "loss"])


def _signal(number: signal.Signals) -> Act:
    def act(night: Night, fault: Fault) -> None:
        os.killpg(night.plant.cameras[fault.target].pid, number)

    return act


def _block(night: Night, fault: Fault) -> None:
    night.plant.block(CLOUD[fault.target])


def _unblock(night: Night, fault: Fault) -> None:
    night.plant.unblock()


def _cable(state: str) -> Act:
    def act(night: Night, fault: Fault) -> None:
        ns = night.plant.camsw if fault.target == "eth0" else night.plant.cloudsw
        ns.run(["ip", "link", "set", fault.target.replace("eth", "app"), state])

    return act


ACTS: dict[str, tuple[Act, Act]] = {
    "camera-off": (_camera_off, _camera_on),
    "internet-down": (_internet_down, _internet_up),
    "password-changed": (_password(CHANGED), _password(LOGIN)),
    "loss": (_lose, _lose_no_more),
    "frozen": (_signal(signal.SIGSTOP), _signal(signal.SIGCONT)),
    "endpoint-blocked": (_block, _unblock),
    "cable-pulled": (_cable("down"), _cable("up")),
}


def note(night: Night, what: dict[str, Any]) -> None:
    """A line of `faults.jsonl`."""
    with (night.folder / "faults.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


# ---------------------------------------------------------------------- measuring
def sample(recorder: int, folder: Path) -> dict[str, Any]:
    """Memory (MB; `pss`: what is shared counted once; `rss_0`: the recorder's, then each meter's),
    descriptors and CPU seconds of all of it.
    """
    children = Path(f"/proc/{recorder}/task/{recorder}/children").read_text().split()
    pids = [recorder, *map(int, children)]
    pss = cpu = 0.0
    rss: list[float] = []
    descriptors = 0
    tick = os.sysconf("SC_CLK_TCK")
    for pid in pids:
        place = Path(f"/proc/{pid}")
        for line in (place / "smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                rss.append(int(line.split()[1]) / 1024)
            elif line.startswith("Pss:"):
                pss += int(line.split()[1]) / 1024
        times = (place / "stat").read_text().rpartition(")")[2].split()
        cpu += (int(times[11]) + int(times[12])) / tick
        descriptors += len(os.listdir(place / "fd"))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "time": round(time.time(), 1),
        "processes": len(pids),
        "rss_mb": round(sum(rss), 1),
        **{f"rss_{number}_mb": round(each, 1) for number, each in enumerate(rss)},
        "pss_mb": round(pss, 1),
        "descriptors": descriptors,
        "cpu_s": round(cpu, 2),
        "folder_mb": round(sum(path.stat().st_blocks * 512 for path in files) / 1e6, 2),
        "load": os.getloadavg()[0],
    }


def watch(recorder: int, folder: Path, out: Path, over: threading.Event) -> None:
    """A row a minute until the night is over."""
    with out.open("w", newline="") as file:
        table: csv.DictWriter[str] | None = None
        while not over.wait(60.0 if table else 5.0):
            try:
                row = sample(recorder, folder)
            except OSError:
                continue  # a process or a file that ended while it was looked at
            if table is None:
                table = csv.DictWriter(file, list(row))
                table.writeheader()
            table.writerow(row)
            file.flush()


# ---------------------------------------------------------------------- the night
def play(night: Night, faults: list[Fault], night_s: float) -> None:
    """Start and end each fault at its time; renew the lease in between."""
    steps: list[tuple[float, Callable[[], None]]] = []

    def step(fault: Fault, which: int, noted: dict[str, Any]) -> Callable[[], None]:
        def run() -> None:
            noted[("start", "end")[which]] = time.time()
            ACTS[fault.kind][which](night, fault)
            if which:
                # what is back once the act is done: a camera needs a second to boot
                note(night, {**asdict(fault), **noted, "done": time.time()})

        return run

    for fault in faults:
        noted: dict[str, Any] = {}
        steps.append((fault.start_s, step(fault, 0, noted)))
        steps.append((fault.start_s + fault.seconds, step(fault, 1, noted)))
    lease = LEASE_S
    while lease < night_s:
        steps.append((lease + 10.0, night.plant.renew_lease))
        lease += LEASE_S
    steps.sort(key=lambda entry: entry[0])
    began = time.monotonic()
    for when, act in [*steps, (night_s, lambda: None)]:
        time.sleep(max(0.0, began + when - time.monotonic()))
        act()


def record(plant: Plant, folder: Path) -> subprocess.Popen[Any]:
    said = (folder / "record.jsonl").open("w")
    return plant.probe.popen(
        [
            *(sys.executable, "-m", "panotui", "record", "mir0", "mir1", "--json"),
            *("-o", str(folder / "night"), "--socket", str(folder / "feed.sock")),
            *("--site", str(plant.site_file)),
        ],
        stdout=said,
        stderr=(folder / "record.err").open("w"),
        cwd=str(REPOSITORY),
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def main() -> int:
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    words.add_argument("--hours", type=float, required=True)
    words.add_argument("-o", "--output", type=Path, default=Path("lab-night"))
    words.add_argument("--plan", type=Path, default=PLAN)
    given = words.parse_args()
    if os.geteuid():
        print("night: the lab needs root.", file=sys.stderr)
        return 2
    folder: Path = given.output.resolve()
    folder.mkdir(parents=True)  # a second night does not go over the first
    folder.chmod(0o755)
    night_s = given.hours * 3600
    faults = list(faults_of(given.plan, night_s))
    with Plant(specs()) as plant:
        plant.site_file.write_text(site_text())
        (folder / "site.toml").write_text(site_text())
        # the cameras' gateway is learnt: an unknown address is not flooded to the mirrored uplink
        plant.camsw.run(["bridge", "link", "set", "dev", "rtr0", "flood", "off"])
        night = Night(plant, folder)
        for spec in plant.specs:
            start_camera(night, spec.name)
        plant.announce_neighbours()
        plant.renew_lease()
        for name in CAMERAS:
            read_on(night, name)
        rounds = plant.start_cloud_traffic(POLL_S)
        assert rounds.stdout is not None
        threading.Thread(target=rounds.stdout.read, daemon=True).start()
        time.sleep(5)
        recorder = record(plant, folder)
        over = threading.Event()
        watcher = threading.Thread(
            target=watch,
            args=(recorder.pid, folder / "night.panotui", folder / "samples.csv", over),
        )
        watcher.start()
        try:
            play(night, faults, night_s)
        finally:
            over.set()
            watcher.join()
            code = end(recorder, 30)
    print(f"night: {len(faults)} faults in {given.hours:g} h; the recorder ended with {code}.")
    return 0 if code == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
