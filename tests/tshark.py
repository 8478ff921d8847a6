"""What tshark says of a capture, asked on the spot; the keys are those of `oracles/tshark.json`."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

COUNTED = (
    "arp.opcode", "dhcp.option.dhcp", "ntp.flags.mode", "ntp.stratum", "icmp.type",
    "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str",
    "dns.qry.name", "dns.flags.rcode",
)  # fmt: skip
BASICS = ("frame.len", "frame.time_epoch")
OPTIONS = ("-n", "-o", "tcp.reassemble_out_of_order:TRUE")


def require() -> None:
    """Skip the test where there is no tshark."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")


def say(path: Path) -> dict[str, Any]:
    """Packets, bytes, first and last time, fields with the counts of their values, and the lines
    of the TCP and UDP conversation tables."""
    command = ["tshark", "-r", str(path), *OPTIONS, "-T", "fields", "-E", "separator=/t"]
    command += ["-E", "aggregator=\x01"]
    for name in (*BASICS, *COUNTED):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sizes, times = [], []
    values: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
    for row in done.stdout.splitlines():
        size, time, *fields = row.split("\t")
        sizes.append(int(size))
        if time:  # simple packet blocks have none
            times.append(float(time))
        for name, text in zip(COUNTED, fields, strict=True):
            values[name].update(text.split("\x01") if text else [])
    told: dict[str, Any] = {name: dict(counts) for name, counts in values.items() if counts}
    back = sum(after < before for before, after in itertools.pairwise(times))
    return told | {
        "packets": len(sizes),
        "bytes": sum(sizes),
        "first": min(times, default=None),
        "last": max(times, default=None),
        "time_steps_back": back,
        "conversations": conversations(path),
        **({"tshark_error": done.stderr.strip()} if done.returncode else {}),
    }


def conversations(path: Path) -> list[str]:
    command = ["tshark", "-r", str(path), *OPTIONS, "-q", "-z", "conv,tcp", "-z", "conv,udp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [
        line.rstrip()
        for line in done.stdout.splitlines()
        if line.endswith("Conversations") or "<->" in line
    ]
