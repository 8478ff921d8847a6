"""A scan of 100,000 ports, through the whole program, is one violation."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from panotui.commands.input import analysed
from panotui.site.file import parse_site
from tests.policy.sites import PLANT

SCANNER, APPLIANCE = "203.0.113.66", "192.168.5.5"
START_US = 1_790_000_000_000_000
TCP_PORTS, UDP_PORTS = 65_535, 34_465


def _probes(protocol: int, ports: int, first: int) -> bytes:
    """pcap records of one probe a port, 0.3 ms apart, from ever new source ports."""
    address = [bytes(map(int, a.split("."))) for a in (SCANNER, APPLIANCE)]
    ip_length = 40 if protocol == 6 else 28
    head = bytes.fromhex("0200000000110200000000fe0800") + struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, ip_length, 0, 0, 60, protocol, 0, *address
    )
    tail = b"\0" * 8 + b"\x50\x02\x04\0\0\0\0\0" if protocol == 6 else b"\0\x08\0\0"
    frame = (head + b"\0" * 4 + tail).ljust(60, b"\0")
    record = np.frombuffer(b"\0" * 8 + struct.pack("<II", 60, 60) + frame, np.uint8)
    records = np.tile(record, (ports, 1))
    number = np.arange(ports)
    time_us = START_US + 300 * (first + number)
    records[:, 0:4] = (time_us // 10**6).astype("<u4").view(np.uint8).reshape(-1, 4)
    records[:, 4:8] = (time_us % 10**6).astype("<u4").view(np.uint8).reshape(-1, 4)
    at = 16 + 34
    records[:, at : at + 2] = (40_000 + number % 20_000).astype(">u2").view("u1").reshape(-1, 2)
    records[:, at + 2 : at + 4] = (number + 1).astype(">u2").view("u1").reshape(-1, 2)
    return records.tobytes()


def test_a_scan_of_100_000_ports_is_one_violation(tmp_path: Path) -> None:
    capture = tmp_path / "scan.pcap"
    capture.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
        + _probes(6, TCP_PORTS, 0)
        + _probes(17, UDP_PORTS, TCP_PORTS)
    )
    engine = analysed([str(capture)], parse_site(PLANT))
    snapshot = engine.snapshot()
    assert snapshot.source.packets == TCP_PORTS + UDP_PORTS
    # knocks at RTSP's own ports are a reason of their own, and a worse one
    leak, scan = sorted(snapshot.violations, key=lambda v: v.reason, reverse=True)
    assert (leak.reason, leak.dport) == ("stream-leak", 322)  # the first of RTSP's ports
    assert (scan.reason, scan.src, scan.dst) == ("inbound", SCANNER, APPLIANCE)
    # flows that a full table lets go before they were told of are not counted
    assert TCP_PORTS + UDP_PORTS - 50 <= scan.packets + leak.packets <= TCP_PORTS + UDP_PORTS
    assert "65,53" in scan.text
    told = [f for f in snapshot.findings if f.id == "scan"]
    assert len(told) == 1
    assert told[0].subject.startswith(SCANNER)
    assert not any("and it answers" in f.text for f in snapshot.findings)
    assert not [f for f in engine.flow_records() if f.verdict == "pending"]
