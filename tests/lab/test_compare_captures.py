"""Two captures around a router that drops a counted share and translates addresses."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.film import panotui
from tests.lab.netns import Namespace, end, require_root, veth
from tests.lab.plant import HERE, SYSTEM_PYTHON, wait_for

pytestmark = pytest.mark.lab

RULES = """
table inet gate {
    counter gate {}
    counter dock {}
    chain forward {
        type filter hook forward priority 0;
        ip saddr 10.30.1.11 udp dport & 1 == 0 numgen random mod 100 < 4 counter name gate drop
        ip saddr 10.30.2.11 tcp sport 554 tcp flags & (syn|fin|rst) == 0 numgen random mod 100 < 2 counter name dock drop
    }
}
table ip translate {
    chain in {
        type nat hook prerouting priority -100;
        ip daddr 10.30.1.1 udp dport 1024-65535 dnat to 10.40.0.5
    }
    chain out {
        type nat hook postrouting priority 100;
        oifname "c1" masquerade
        oifname "c2" masquerade
    }
}
"""  # noqa: E501
SITE = """
[[camera]]
name = "gate"
address = "10.30.1.11"
[[camera]]
name = "dock"
address = "10.30.2.11"
"""
SHIFT_S, DRIFT = 3.0, 50e-6


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


@contextmanager
def dumping(space: Namespace, path: Path, *interfaces: str) -> Iterator[None]:
    names = [word for name in interfaces for word in ("-i", name)]
    process = space.popen(["dumpcap", "-q", *names, "-w", str(path)], stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    while "File:" not in (line := process.stderr.readline()):
        assert line, "dumpcap did not start"
    try:
        yield
    finally:
        end(process)


def of_another_place(path: Path, out: Path) -> None:
    """The capture as a clock would stamp it that is `SHIFT_S` ahead and runs fast, from a trunk
    that carries VLAN 30."""
    plain = path.with_suffix(".pcap")
    subprocess.run(["editcap", "-F", "nsecpcap", path, plain], check=True, capture_output=True)
    data = plain.read_bytes()
    parts, at, start = [data[:24]], 24, None
    while at < len(data):
        seconds, fraction, captured, length = struct.unpack_from("<IIII", data, at)
        time_ns = seconds * 10**9 + fraction
        start = time_ns if start is None else start
        time_ns += int(SHIFT_S * 1e9 + (time_ns - start) * DRIFT)
        frame = data[at + 16 : at + 16 + captured]
        parts.append(struct.pack("<IIII", *divmod(time_ns, 10**9), captured + 4, length + 4))
        parts.append(frame[:12] + bytes.fromhex("8100001e") + frame[12:])
        at += 16 + captured
    out.write_bytes(b"".join(parts))


def counters(router: Namespace) -> dict[str, int]:
    told = json.loads(router.run(["nft", "-j", "list", "counters"]).stdout)["nftables"]
    return {c["counter"]["name"]: c["counter"]["packets"] for c in told if "counter" in c}


def camera(space: Namespace) -> None:
    server = space.popen(
        [
            SYSTEM_PYTHON, str(HERE / "camera_server.py"), "--width", "640", "--height", "360",
            "--fps", "25", "--kbps", "2500", "--gop", "25",
        ],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(server, "ready")


def read(space: Namespace, address: str, transport: str, seconds: int) -> subprocess.Popen[str]:
    return space.popen(
        [
            "ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", transport,
            "-i", f"rtsp://{address}/stream1", "-t", str(seconds), "-c", "copy", "-f", "null", "-",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_loss_between_two_places_is_the_counter_of_what_dropped(tmp_path: Path) -> None:
    here, there = tmp_path / "cameras.pcapng", tmp_path / "appliance.pcapng"
    with (
        Namespace("ptc1") as gate, Namespace("ptc2") as dock, Namespace("ptr") as router,
        Namespace("pta") as appliance,
    ):  # fmt: skip
        for number, space in ((1, gate), (2, dock)):
            veth(space, router, "eth0", f"c{number}")
            space.run(["ip", "addr", "add", f"10.30.{number}.11/24", "dev", "eth0"])
            space.run(["ip", "route", "add", "default", "via", f"10.30.{number}.1"])
            router.run(["ip", "addr", "add", f"10.30.{number}.1/24", "dev", f"c{number}"])
        veth(appliance, router, "eth0", "far")
        appliance.run(["ip", "addr", "add", "10.40.0.5/24", "dev", "eth0"])
        router.run(["ip", "addr", "add", "10.40.0.1/24", "dev", "far"])
        appliance.run(["ip", "route", "add", "default", "via", "10.40.0.1"])
        router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        router.nft(RULES)
        camera(gate)
        camera(dock)
        with dumping(router, here, "c1", "c2"), dumping(appliance, there, "eth0"):
            readers = [
                read(appliance, "10.30.1.11", "udp", 12), read(appliance, "10.30.2.11", "tcp", 12)
            ]  # fmt: skip
            for reader in readers:
                reader.wait(60)
            # what comes last is seen at both places, so that nothing lies at their edges
            for address in ("10.30.1.11", "10.30.2.11"):
                appliance.run(["ping", "-c", "4", "-i", "0.3", address])
        dropped = counters(router)
    shifted = tmp_path / "shifted.pcap"
    of_another_place(there, shifted)
    site = tmp_path / "site.toml"
    site.write_text(SITE)
    done = panotui(
        "compare-captures", "--json", "--names", "switch,appliance", "--site", site, here, shifted
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    check(answer, dropped)
    turned = panotui("compare-captures", "--json", "--site", site, shifted, here)
    check(json.loads(turned.stdout), dropped, place="b")


def check(answer: dict[str, Any], dropped: dict[str, int], place: str = "a") -> None:
    streams = {s["camera"]: s for s in answer["streams"] if s["media"] == "video" and s["camera"]}
    if place == "b":  # the streams are named as the first capture has them: by ends of the cameras
        streams = {s["camera"]: s for s in answer["streams"]}
    assert dropped["gate"] > 5
    assert dropped["dock"] > 5
    for name, transport in (("gate", "udp"), ("dock", "tcp")):
        stream = streams[name]
        assert (stream["transport"], stream["lost"]) == (transport, dropped[name]), stream
        assert (stream["appeared"], stream["at_edge"], stream["duplicated"]) == (0, 0, 0)
        assert stream["first_seen_at"] == place
        changed = {c["field"]: (c["before"], c["after"]) for c in stream["changes"]}
        assert changed["vlan"] == ("none", "30")
        assert changed["dst"][1] == "10.40.0.5"
        assert len(stream["first_lost"]) == min(8, stream["lost"])
    clock = answer["clock"]
    sign = 1 if place == "a" else -1
    assert clock["offset_s"] == pytest.approx(sign * SHIFT_S, abs=0.005)
    assert clock["drift_ppm"] == pytest.approx(sign * DRIFT * 1e6, abs=10)
    assert not clock["direction_assumed"]
    if place == "a":
        assert "gate loses" in answer["sentence"]
        assert "between switch and appliance" in answer["sentence"]
