"""Two captures around what drops a counted share: a router that translates addresses, and a bridge
before such a router, with a network card at the appliance that joins segments."""

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

DROPS = """
table FAMILY gate {
    counter gate {}
    counter dock {}
    chain forward {
        type filter hook forward priority 0;
        ip saddr 10.30.1.11 udp dport & 1 == 0 numgen random mod 100 < 4 counter name gate drop
        ip saddr 10.30.2.11 tcp sport 554 tcp flags & (syn|fin|rst) == 0 numgen random mod 100 < 2 counter name dock drop
    }
}
"""  # noqa: E501
TRANSLATES = """
table ip translate {
    chain in {
        type nat hook prerouting priority -100;
        ip daddr 10.30.1.1 udp dport 1024-65535 dnat to 10.40.0.5
    }
    chain out {
        type nat hook postrouting priority 100;
        oifname { "c1", "c2", "lan" } masquerade
    }
}
"""
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


def largest(path: Path) -> int:
    """Bytes of the largest frame of a nanosecond pcap."""
    data, at, most = path.read_bytes(), 24, 0
    while at < len(data):
        captured, length = struct.unpack_from("<II", data, at + 8)
        most, at = max(most, length), at + 16 + captured
    return most


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
        router.nft(DROPS.replace("FAMILY", "inet") + TRANSLATES)
        streamed(gate, dock, appliance, router, here, there)
        dropped = counters(router)
    compared(tmp_path, here, there, dropped)


def test_loss_over_a_bridge_is_its_counter_though_a_card_joins_segments(tmp_path: Path) -> None:
    here, there = tmp_path / "cameras.pcapng", tmp_path / "appliance.pcapng"
    with (
        Namespace("pbc1") as gate, Namespace("pbc2") as dock, Namespace("pbs") as switch,
        Namespace("pbr") as router, Namespace("pba") as appliance,
    ):  # fmt: skip
        switch.run(["ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"])
        switch.run(["ip", "link", "set", "br0", "up"])
        for number, space in ((1, gate), (2, dock)):
            veth(space, switch, "eth0", f"c{number}")
            space.run(["ip", "addr", "add", f"10.30.{number}.11/16", "dev", "eth0"])
            space.run(["ip", "route", "add", "default", "via", "10.30.1.1"])
        veth(router, switch, "lan", "rtr")
        for name in ("c1", "c2", "rtr"):
            switch.run(["ip", "link", "set", name, "master", "br0"])
        veth(appliance, router, "eth0", "far")
        router.run(["ip", "addr", "add", "10.30.1.1/16", "dev", "lan"])
        router.run(["ip", "addr", "add", "10.40.0.1/24", "dev", "far"])
        appliance.run(["ip", "addr", "add", "10.40.0.5/24", "dev", "eth0"])
        appliance.run(["ip", "route", "add", "default", "via", "10.40.0.1"])
        router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        router.nft(TRANSLATES)
        switch.nft(DROPS.replace("FAMILY", "bridge"))
        # segments that come in one go are one for the appliance and its capture
        appliance.run(["ethtool", "-K", "eth0", "gro", "on"])
        streamed(gate, dock, appliance, switch, here, there)
        dropped = counters(switch)
    answer = compared(tmp_path, here, there, dropped)
    assert largest(here.with_suffix(".pcap")) <= 1514
    assert largest(there.with_suffix(".pcap")) > 1514
    assert any("were joined or cut" in note for note in answer["notes"])


def streamed(
    gate: Namespace, dock: Namespace, appliance: Namespace, near: Namespace, here: Path, there: Path
) -> None:
    """Read both cameras for some seconds, captured at `near` and at the appliance."""
    camera(gate)
    camera(dock)
    with dumping(near, here, "c1", "c2"), dumping(appliance, there, "eth0"):
        readers = [
            read(appliance, "10.30.1.11", "udp", 12), read(appliance, "10.30.2.11", "tcp", 12)
        ]  # fmt: skip
        for reader in readers:
            reader.wait(60)
        # what comes last is seen at both places, so that nothing lies at their edges
        for address in ("10.30.1.11", "10.30.2.11"):
            appliance.run(["ping", "-c", "4", "-i", "0.3", address])


def compared(tmp_path: Path, here: Path, there: Path, dropped: dict[str, int]) -> dict[str, Any]:
    """What a comparison says, held to the counters both ways round."""
    subprocess.run(
        ["editcap", "-F", "nsecpcap", here, here.with_suffix(".pcap")],
        check=True, capture_output=True,
    )  # fmt: skip
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
    return dict(answer)


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
