"""The live ring on veth pairs in namespaces of its own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from panotui.sources.live import landlock
from tests.lab.netns import Namespace, veth
from tests.sources import made

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
ROOT = Path(__file__).parents[3]
LISTEN = str(Path(__file__).parent / "live_child.py")


@pytest.fixture
def cable():
    with Namespace("pt-src") as sender, Namespace("pt-src") as probe:
        for space in (sender, probe):
            space.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"], check=False)
            space.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"], check=False)
        veth(sender, probe, "eth0", "eth0")
        yield sender, probe


class Listener:
    """A child that captures on eth0 of the probe until it has what it wants."""

    def __init__(self, probe: Namespace, **settings: object) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.child = probe.popen(
            [sys.executable, LISTEN, json.dumps(settings)], env=env, stdin=subprocess.PIPE
        )
        self.expect("ready")

    def expect(self, word: str) -> list[str]:
        for line in self.child.stdout:
            parts = line.split()
            if parts and parts[0] == word:
                return parts[1:]
        raise AssertionError(f"no {word}: {self.child.stderr.read()}")

    def result(self) -> dict[str, object]:
        out, error = self.child.communicate("stop\n", timeout=300)
        assert self.child.returncode == 0, error
        return json.loads(out.splitlines()[-1])


def frame(number: int, size: int, port: int = 5004, tag: bytes = b"") -> bytes:
    payload = struct.pack(">I", number) + bytes(size - 4)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 28 + size, number & 0xFFFF, 0, 64, 17, 0)
    ip += b"\n\0\0\1\n\0\0\2"
    link = bytes.fromhex("02000000000202000000000a") + tag + b"\x08\x00"
    return link + ip + struct.pack(">HHHH", 40_000, port, 8 + size, 0) + payload


def send(sender: Namespace, frames: list[bytes], tmp_path: Path, *args: str) -> None:
    path = tmp_path / "send.pcap"
    path.write_bytes(made.pcap([made.Frame(f, 10**18 + i * 1000) for i, f in enumerate(frames)]))
    sender.run(["tcpreplay", "-q", "-K", "-i", "eth0", *args, str(path)])


def test_nothing_is_lost_and_bulk_is_cut_short(cable, tmp_path):
    sender, probe = cable
    frames = [frame(i, 20 + i * 37 % 1380, 53 if i % 40 == 0 else 5004) for i in range(20_000)]
    listener = Listener(probe, want=20_000)
    send(sender, frames, tmp_path, "--pps", "40000")
    listener.expect("enough")
    found = listener.result()
    assert found["packets"] == 20_000
    assert found["dropped"] == 0
    assert found["bytes"] == sum(map(len, frames))
    assert found["captured"] == sum(
        len(f) if i % 40 == 0 else min(len(f), 256) for i, f in enumerate(frames)
    )
    assert found["numbers"] == sum(range(20_000))


def test_nothing_is_lost_at_top_speed(cable, tmp_path):
    sender, probe = cable
    frames = [frame(i, 20 + i * 37 % 300) for i in range(50_000)]
    listener = Listener(probe, want=100_000)
    send(sender, frames, tmp_path, "--topspeed", "-l", "2")
    listener.expect("enough")
    found = listener.result()
    assert (found["packets"], found["dropped"]) == (100_000, 0)


def test_reader_that_starts_seconds_late_on_a_quiet_line_loses_nothing(cable, tmp_path):
    sender, probe = cable
    listener = Listener(probe, want=120, wait=True)
    send(sender, [frame(i, 100) for i in range(120)], tmp_path, "--pps", "40")  # three seconds
    listener.child.stdin.write("\n")
    listener.child.stdin.flush()
    listener.expect("enough")
    found = listener.result()
    assert (found["packets"], found["dropped"]) == (120, 0)


def test_vlan_tag_that_the_interface_removed_is_given(cable, tmp_path):
    sender, probe = cable
    tag = struct.pack(">HH", 0x8100, 0x6123)
    listener = Listener(probe, want=10)
    send(sender, [frame(i, 100, tag=tag) for i in range(10)], tmp_path)
    listener.expect("enough")
    found = listener.result()
    assert found["vlan"] == [0x6123]
    assert found["bytes"] in (10 * 142, 10 * 146)  # without and with the tag


def test_deleted_interface_comes_back_without_privileges(cable, tmp_path):
    sender, probe = cable
    listener = Listener(probe, want=20, drop=True)
    send(sender, [frame(i, 100) for i in range(10)], tmp_path)
    listener.expect("half")
    sender.run(["ip", "link", "del", "eth0"])
    listener.expect("gone")
    veth(sender, probe, "eth0", "eth0")
    listener.expect("back")
    send(sender, [frame(i, 100) for i in range(10)], tmp_path)
    listener.expect("enough")
    found = listener.result()
    assert found["packets"] == 20
    assert found["uid"] != 0


def test_a_meter_keeps_its_ring_and_nothing_else(cable, tmp_path):
    sender, probe = cable
    listener = Listener(probe, want=10, drop=True)
    send(sender, [frame(i, 100) for i in range(10)], tmp_path)
    listener.expect("enough")
    refused = {"interface", "packets", "udp", "tcp", "write"}
    if landlock.version():
        refused |= {"file", "folder"}
    else:
        refused -= {"write"}
    assert set(listener.result()["refused"]) == refused


def test_interface_that_goes_down_and_up_is_read_on(cable, tmp_path):
    sender, probe = cable
    listener = Listener(probe, want=20)
    send(sender, [frame(i, 100) for i in range(10)], tmp_path)
    listener.expect("half")
    probe.run(["ip", "link", "set", "eth0", "down"])
    probe.run(["ip", "link", "set", "eth0", "up"])
    send(sender, [frame(i, 100) for i in range(10)], tmp_path)
    listener.expect("enough")
    assert listener.result()["packets"] == 20


def test_promiscuous_on_request_only(cable):
    _, probe = cable
    listener = Listener(probe, want=1, promiscuous=True)
    assert "promiscuity 1" in probe.run(["ip", "-d", "link", "show", "eth0"]).stdout
    listener.result()
    listener = Listener(probe, want=1)
    assert "promiscuity 0" in probe.run(["ip", "-d", "link", "show", "eth0"]).stdout
    listener.result()


def test_carrier_change_is_told_at_once(cable):
    sender, probe = cable
    program = (
        "import select, time\nfrom panotui.sources.live.link import LinkWatch\n"
        "w = LinkWatch(['eth0'])\nw.read(10**18)\nprint('ready', flush=True)\n"
        "end = time.monotonic() + 10\n"
        "while time.monotonic() < end:\n"
        "    select.select(w.filenos(), [], [], 10)\n"
        "    for r in w.read(10**18 + 1):\n"
        "        if r.up is False:\n            print('down', flush=True); raise SystemExit\n"
    )
    child = probe.popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert child.stdout.readline().strip() == "ready"
    sender.run(["ip", "link", "set", "eth0", "down"])
    assert child.stdout.readline().strip() == "down"
