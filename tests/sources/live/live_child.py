"""Captures on eth0 for tests/sources/live/test_capture.py; says on stdout how far it is."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

import numpy as np

from panotui.runtime.live_meter import keep_only_rings
from panotui.sources.live.capture import open_live


def refused() -> list[str]:
    """What a meter may not do, of what it tries."""
    words = []
    for word, work in {
        "file": lambda: open("/etc/hostname"),  # noqa: SIM115
        "folder": lambda: os.listdir("/"),
        "write": lambda: open("/tmp/panotui-meter", "x"),  # noqa: SIM115
        "interface": lambda: socket.if_nametoindex("eth0"),
        "packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
            b"", ("10.9.0.2", 9)
        ),
        "tcp": lambda: socket.socket().connect(("10.9.0.2", 9)),
    }.items():
        try:
            work()
        except OSError:
            words.append(word)
    return words


def main() -> None:
    settings = json.loads(sys.argv[1])
    source = open_live("eth0", ring_bytes=16 << 20, promiscuous=settings.get("promiscuous", False))
    if settings.get("drop"):
        keep_only_rings()
    print("ready", flush=True)
    if settings.get("wait"):
        sys.stdin.readline()
    want, numbers, captured, vlans = settings["want"], 0, 0, set()
    packets = size = 0
    told: set[str] = set()

    def tell(word: str) -> None:
        if word not in told:
            told.add(word)
            print(word, flush=True)

    end = time.monotonic() + 30  # a parent that waits for packets that were lost must not wait on
    while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        batch = source.read(0.1)
        if not source.present:
            tell("gone")
        elif "gone" in told:
            tell("back")
        if batch is None:
            continue
        mine = np.flatnonzero(batch.wire_length > 14 + 20)
        for row in mine.tolist():
            at = int(batch.offset[row])
            data = batch.data[at : at + int(batch.captured[row])]
            if data[6:12].tobytes() != bytes.fromhex("02000000000a"):
                continue
            packets += 1
            size += int(batch.wire_length[row])
            captured += len(data)
            if data[12:14].tobytes() == b"\x08\x00":
                numbers += struct.unpack(">I", data[42:46].tobytes())[0]
            if batch.vlan_tci is not None:
                vlans.add(int(batch.vlan_tci[row]))
        if packets * 2 >= want:
            tell("half")
        if packets >= want:
            tell("enough")
    for _ in range(3):
        source.read(0.3)
    print(
        json.dumps(
            {
                "packets": packets,
                "bytes": size,
                "captured": captured,
                "numbers": numbers,
                "vlan": sorted(vlans),
                "dropped": source.counters.dropped_ring,
                "uid": os.getuid(),
                "refused": refused(),
            }
        )
    )


main()
