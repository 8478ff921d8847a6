"""The demo's pacing, the technician's own session, links, privileges and the doctor's checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from panotui.errors import InputError, InterfaceError, PrivilegeError
from panotui.sources import default_interfaces, doctor, open_demo, open_live
from panotui.sources.live import ethtool, own, privileges
from panotui.sources.live.link import LinkWatch, reading
from tests.sources import made

ROOT = Path(__file__).parents[3]
BASE_NS = 1_700_000_000 * 10**9
FRAMES = [made.Frame(bytes(60 + i), BASE_NS + i * 100_000_000) for i in range(21)]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Clock:
    def __init__(self) -> None:
        self.ns = 2_000_000_000 * 10**9

    def __call__(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "demo.pcap"
    path.write_bytes(made.pcap(FRAMES))
    return str(path)


def test_demo_gives_packets_when_their_time_has_come(capture):
    clock = Clock()
    start = clock.ns
    demo = open_demo(capture, loop=False, clock_ns=clock, sleep=clock.sleep)
    times = []
    while not demo.ended:
        batch = demo.read(0.3)
        if batch is not None:
            assert (batch.time_ns <= clock.ns).all()
            assert (batch.time_ns > clock.ns - 200_000_000).all()
            times += batch.time_ns.tolist()
    assert times == [start + i * 100_000_000 for i in range(21)]
    assert clock.ns - start == pytest.approx(2.0e9, abs=0.1e9)


def test_demo_loops_with_time_going_on_and_at_any_speed(capture):
    clock = Clock()
    start = clock.ns
    demo = open_demo(capture, speed=10.0, clock_ns=clock, sleep=clock.sleep)
    times, numbers = [], []
    while len(times) < 60:
        batch = demo.read(0.1)
        if batch is not None:
            times += batch.time_ns.tolist()
            numbers.append(batch.first_number)
    assert times == sorted(times)
    assert times[21] - times[20] == 1_000_000_000
    assert numbers == sorted(numbers)
    assert (clock.ns - start) / 1e9 == pytest.approx((times[-1] - start) / 1e10, abs=0.1)
    demo.close()


def test_missing_demo_is_an_input_error(monkeypatch, tmp_path):
    monkeypatch.setattr("panotui.sources.demo.FOLDER", tmp_path)
    with pytest.raises(InputError, match="missing from this installation"):
        open_demo()


def test_ssh_session_is_our_own_traffic():
    found = own.own_traffic({"SSH_CONNECTION": "10.0.0.9 51514 10.0.0.1 22"})
    client, server = (bytes([10, 0, 0, last]) + bytes(12) for last in (9, 1))
    assert found == own.OwnTraffic(4, client, 51514, server, 22)
    six = own.own_traffic({"SSH_CONNECTION": "fe80::1%eth0 1 ::2 22"})
    assert six is not None
    assert six.version == 6
    mapped = own.own_traffic({"SSH_CONNECTION": "::ffff:10.0.0.9 51514 ::ffff:10.0.0.1 22"})
    assert mapped == found
    for text in ("", "a b c d", "10.0.0.1 x 10.0.0.2 22", "10.0.0.1 70000 10.0.0.2 22", "1 2"):
        assert own.own_traffic({"SSH_CONNECTION": text}) is None


def test_link_reading_of_loopback_and_of_nothing():
    watch = LinkWatch(["lo", "nothing0"])
    first = watch.read(10**18)
    assert [r.present for r in first] == [True, False]
    assert first[0].mtu
    assert first[0].rx_packets is not None
    assert first[1].up is None
    assert watch.read(10**18 + 1) == []
    assert len(watch.read(10**18 + 10**9)) == 2
    watch.close()


def test_link_reading_from_a_made_up_sysfs(tmp_path):
    folder = tmp_path / "eth9"
    (folder / "statistics").mkdir(parents=True)
    for name, text in {
        "carrier": "1", "speed": "1000", "duplex": "full", "mtu": "1500", "flags": "0x1103",
        "address": "02:00:00:00:00:01", "carrier_changes": "3", "statistics/rx_errors": "4",
        "statistics/rx_dropped": "5", "statistics/rx_missed_errors": "6",
    }.items():  # fmt: skip
        (folder / name).write_text(text + "\n")
    r = reading("eth9", 5, tmp_path)
    assert (r.up, r.speed_mbps, r.duplex, r.carrier_changes) == (True, 1000, "full", 3)
    assert (r.rx_errors, r.rx_dropped, r.promiscuous) == (4, 11, True)
    (folder / "speed").write_text("-1\n")
    (folder / "carrier").unlink()
    r = reading("eth9", 5, tmp_path)
    assert (r.up, r.speed_mbps) == (False, None)


def test_default_interfaces_are_physical_up_and_at_most_two(tmp_path):
    machine = {
        "lo": ("0x9", "1", False),
        "docker0": ("0x1003", "1", False),
        "enp3s0": ("0x1003", "0", True),
        "enp4s0": ("0x1003", "1", True),
        "enp5s0": ("0x1002", "1", True),
        "enp6s0": ("0x1003", "1", True),
    }
    for name, (flags, carrier, physical) in machine.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "flags").write_text(flags)
        (folder / "carrier").write_text(carrier)
        if physical:
            (folder / "device").mkdir()
    assert default_interfaces(tmp_path) == ["enp4s0", "enp6s0"]


def test_ethtool_statistics_of_an_unknown_interface_are_empty():
    assert ethtool.statistics("nothing0") == {}


def test_unknown_interface_is_named_with_those_that_exist():
    with pytest.raises(InterfaceError, match=r"nothing0: no such interface.*\blo\b"):
        open_live("nothing0")


def test_doctor_tells_each_part_and_its_remedy():
    found = {check.name: check for check in doctor.checks(8 << 20)}
    assert set(found) >= {"kernel", "capability", "interfaces", "ring", "snap", "link events"}
    assert all(check.ok or check.remedy for check in found.values())
    assert not doctor.kernel("3.10.0-generic").ok
    assert doctor.kernel("6.1.0-13-amd64").ok
    none = privileges.state("Uid:\t5\t5\t5\t5\nGid:\t5\t5\t5\t5\nNoNewPrivs:\t1\n")
    assert none.none_left
    assert "setcap" in doctor.capability(none).remedy
    held = doctor.confinement(6, 0)
    assert held.ok
    assert held.text.endswith(
        "files by Landlock (version 6), TCP, signals; no network but what a command needs; "
        "a recorder and a screen write their own output alone"
    )
    assert "TCP" not in doctor.confinement(3, 1000).text
    assert "no Landlock" in doctor.confinement(0, 0).remedy
    assert "useradd" in doctor.recorders_user(privileges.NOBODY).remedy
    assert doctor.recorders_user(0).text == "root"


def child(program: str, env: dict[str, str] | None = None) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


DROP = """
import json, os, socket
from panotui.sources.live import privileges
after = privileges.drop()
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    again = True
except PermissionError:
    again = False
try:
    os.setuid(0)
    back = True
except PermissionError:
    back = False
print(json.dumps({"uid": os.getuid(), "groups": os.getgroups(), "none": after.none_left,
                  "bounding": after.bounding, "again": again, "back": back}))
"""


@needs_root
def test_privileges_are_gone_for_good_after_drop():
    found = child(DROP, {"SUDO_UID": "1234", "SUDO_GID": "1235"})
    assert found == {
        "uid": 1234, "groups": [], "none": True, "bounding": 0, "again": False, "back": False,
    }  # fmt: skip
    found = child(DROP, {"SUDO_UID": "0", "SUDO_GID": "0"})
    assert found["uid"] == privileges.target()[0] == 65534


@needs_root
def test_capture_without_capability_names_the_three_ways():
    found = child(
        "import json, os\n"
        "from panotui.sources.live.capture import open_live\n"
        "from panotui.errors import PrivilegeError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    open_live('lo')\nexcept PrivilegeError as e:\n    print(json.dumps([str(e)]))\n"
    )
    for way in ("sudo", "setcap cap_net_raw,cap_net_admin+ep", "AmbientCapabilities"):
        assert way in found[0]


def test_unknown_user_is_refused():
    with pytest.raises(PrivilegeError, match="no such user"):
        privileges.target("nobody-of-that-name")


def test_the_ring_and_snap_sizes_that_are_asked_for_are_the_ones_looked_at() -> None:
    from panotui.sources.live.bpf import Snap

    found = {check.name: check.text for check in doctor.checks(16 << 20, Snap(bulk=300))}
    assert found["ring"].startswith(("16 MiB for all rings", "not tried", "the kernel gives no"))
    assert found["snap"].startswith("300 bytes of bulk packets")
