"""PTP: who is the grandmaster, by both versions, in datagrams and in frames."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import APPS, LinkControlMessage
from panotui.wire import ptp
from panotui.wire.origin import Malformed
from tests.meter.packets_in import ethernet, udp
from tests.meter.through_lane import run_frames
from tests.meter.tshark_facts import available
from tests.wire.seen_at import HERE

GRANDMASTER = bytes.fromhex("001dc1fffe1200a0")
TIMERS = bytes.fromhex("011b19000000")


def header(kind: int, size: int, domain: int = 0, sdo: int = 0) -> bytes:
    clock = bytes.fromhex("020000fffe000077")
    head = struct.pack("!BBHBBH8x4x", sdo << 4 | kind, 2, size, domain, 0, 0)
    return head + clock + struct.pack("!HHBb", 1, 7, 5, 1)


def announce(
    grandmaster: bytes = GRANDMASTER,
    domain: int = 0,
    priorities: tuple[int, int] = (128, 127),
    clock: tuple[int, int] = (6, 0x21),
    steps: int = 1,
    source: int = 0x20,
    sdo: int = 0,
    extra: bytes = b"",
) -> bytes:
    body = struct.pack("!10xhxBBBHB", 37, priorities[0], *clock, 0x4E5D, priorities[1])
    body += grandmaster + struct.pack("!HB", steps, source) + extra
    return header(0xB, 34 + len(body), domain, sdo) + body


def sync_of_version_1(grandmaster: bytes = GRANDMASTER[:6], control: int = 0) -> bytes:
    data = bytearray(124)
    data[1] = data[3] = 1
    data[4:8] = b"_DFL"
    data[32] = control
    data[54:60] = grandmaster
    data[67] = 2
    return bytes(data)


def test_announce_names_the_grandmaster_and_how_good_it_is():
    message = ptp.parse(announce(), HERE, "10.0.0.9", "02:00:00:00:00:77")
    assert message is not None
    assert (message.protocol, message.src, message.src_mac) == (
        "ptp", "10.0.0.9", "02:00:00:00:00:77",
    )  # fmt: skip
    assert message.group == "00:1d:c1:ff:fe:12:00:a0"
    assert message.title == "PTP with grandmaster 00:1d:c1:ff:fe:12:00:a0"
    assert message.detail == (
        "domain 0, priority 128/127, class 6, within 100 ns, time from satellites, 1 step away"
    )
    assert (message.time_ns, message.packet, message.flow) == (HERE.time_ns, 7, 3)


def test_what_a_clock_does_not_know_of_itself_is_left_out():
    message = ptp.parse(announce(clock=(248, 0xFE), source=0, steps=0, sdo=1), HERE)
    assert message is not None
    assert message.detail == "domain 0, priority 128/127, class 248, is the grandmaster, 802.1AS"
    assert message.src is None


def test_version_1_names_the_grandmaster_in_its_sync():
    message = ptp.parse(sync_of_version_1(), HERE)
    assert message is not None
    assert message.group == "00:1d:c1:ff:fe:12"
    assert message.detail == "version 1, domain _DFL, stratum 2"
    assert ptp.parse(sync_of_version_1(control=1), HERE) is None  # Delay_Req


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 8, 9, 0xA, 0xC, 0xD])
def test_times_alone_are_no_news(kind):
    assert ptp.parse(header(kind, 44) + bytes(10), HERE) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        announce()[:33],
        header(0xB, 34),  # an Announce without its body
        header(0, 45) + bytes(10),  # longer than what came
        header(0, 33) + bytes(10),  # shorter than its own header
        header(5, 44) + bytes(10),  # a reserved type
        b"\x0b\x03" + announce()[2:],  # a version that is none
        sync_of_version_1()[:100],
    ],
)
def test_what_is_no_ptp_is_malformed(data):
    with pytest.raises(Malformed):
        ptp.parse(data, HERE)


@given(
    st.binary(min_size=8, max_size=8),
    st.integers(0, 255),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
    st.integers(0, 65_535),
    st.integers(0, 255),
    st.binary(max_size=40),
)
def test_any_announce_is_read(grandmaster, domain, priorities, clock, steps, source, extra):
    data = announce(grandmaster, domain, priorities, clock, steps, source, extra=extra)
    message = ptp.parse(data + bytes(6), HERE)  # the link pads
    assert message is not None
    assert bytes.fromhex((message.group or "").replace(":", "")) == grandmaster
    words = message.detail.split(", ")
    assert words[:3] == [
        f"domain {domain}", f"priority {priorities[0]}/{priorities[1]}", f"class {clock[0]}",
    ]  # fmt: skip
    assert message.detail.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        message = ptp.parse(data, HERE)
    except Malformed:
        return
    assert message is None or message.protocol == "ptp"


def test_datagrams_and_frames_go_through_the_lane():
    frames = [
        udp(320, 320, announce(), dst="224.0.1.129"),
        udp(319, 319, header(0, 44) + bytes(10), dst="224.0.1.129"),
        ethernet(0x88F7, announce(sdo=1), dst=bytes.fromhex("0180c200000e")),
        ethernet(0x88F7, header(0, 44) + bytes(10), dst=TIMERS),
        udp(320, 320, b"\xff" * 64),
    ]
    result = run_frames(frames)
    first, second = result.of(LinkControlMessage)
    assert (first.src, first.flow, first.packet) == ("192.168.5.5", 1, 1)
    assert (second.src, second.flow, second.packet) == (None, -1, 3)
    assert "802.1AS" in second.detail
    assert [APPS[result.lane.app(flow)] for flow in (1, 2)] == ["ptp", "ptp"]
    assert result.lane.collected.malformed_by == {"ptp": 1}


@pytest.mark.oracle
@pytest.mark.skipif(not available(), reason="tshark is not installed")
def test_grandmasters_are_those_that_tshark_reads(tmp_path: Path):
    told = [
        announce(bytes([number] * 8), number, (number, 255 - number), (number, 0x20 + number))
        for number in range(1, 17)
    ]
    packets = [ethernet(0x88F7, data, dst=TIMERS) for data in told]
    packets.append(udp(319, 319, sync_of_version_1(), dst="224.0.1.129"))
    capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    for packet in packets:
        capture += struct.pack("<IIII", 1_700_000_000, 0, len(packet), len(packet)) + packet
    (tmp_path / "ptp.pcap").write_bytes(capture)
    fields = (
        "ptp.v2.an.grandmasterclockidentity", "ptp.v2.domainnumber", "ptp.v2.an.priority1",
        "ptp.v2.an.priority2", "ptp.v2.an.grandmasterclockclass",
    )  # fmt: skip
    command = ["tshark", "-r", str(tmp_path / "ptp.pcap"), "-T", "fields"]
    for field in (*fields, "ptp.sdr.grandmasterclockuuid"):
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    messages = run_frames(packets).of(LinkControlMessage)
    assert len(lines) == len(messages) == 17
    for message, (identity, domain, one, two, quality, _) in zip(
        messages[:16], lines[:16], strict=True
    ):
        assert (message.group or "").replace(":", "") == identity.removeprefix("0x")
        assert message.detail.startswith(f"domain {domain}, priority {one}/{two}, class {quality}")
    assert lines[16][5] == messages[16].group
