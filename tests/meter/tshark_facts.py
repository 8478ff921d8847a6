"""What tshark says of a capture, packet by packet, folded into flows and TCP counts.

`facts(path)` runs tshark once (two passes are not needed: its sequence analysis is one pass) and
keeps the answer in the folder given, so that several tests share one run. Addresses and ports are
those of the outermost IP header, as Panotui counts them; `tcp.analysis.*` are tshark's own flags.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

FIELDS = (
    "frame.number", "frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst",
    "ip.proto", "ipv6.nxt", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
    "ip.frag_offset", "ip.flags.mf", "tcp.stream", "frame.protocols", "_ws.malformed",
    "ipv6.fraghdr.offset", "tcp.len", "tcp.seq", "tcp.flags.syn",
    "tcp.analysis.initial_rtt", "tcp.analysis.acks_frame", "tcp.analysis.zero_window_probe",
    "tcp.ack_raw", "tcp.flags.fin", "tcp.flags.reset",
)  # fmt: skip
ANALYSIS = {
    "retransmission": "retransmits",
    "fast_retransmission": "fast_retransmits",
    "spurious_retransmission": "spurious",
    "out_of_order": "out_of_order",
    "lost_segment": "lost_segments",
    "ack_lost_segment": "acked_unseen",
    "duplicate_ack": "dup_acks",
    "zero_window": "zero_window",
    "window_full": "window_full",
    "window_update": "window_update",
    "keep_alive": "keep_alive",
}


_NOT_TIMED = (
    "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order",
    "keep_alive", "zero_window_probe",
)  # fmt: skip
Way = tuple[str, int, str, int]


def available() -> bool:
    return shutil.which("tshark") is not None


def packets(path: Path) -> list[dict[str, str]]:
    """Every frame as a dictionary of tshark's fields (first occurrence of each)."""
    names = [*FIELDS, *(f"tcp.analysis.{name}" for name in ANALYSIS)]
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.reassemble_out_of_order:TRUE"]
    command += ["-T", "fields", "-E", "occurrence=f", "-E", "separator=/t"]
    for name in names:
        command += ["-e", name]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    rows = []
    for line in output.splitlines():
        rows.append(dict(zip(names, line.split("\t"), strict=False)))
    return rows


def five_tuple(p: dict[str, str]) -> tuple[str, str, str, int, int] | None:
    """(transport, src, dst, sport, dport) of the outermost IP header; None for other frames."""
    layers = p["frame.protocols"].split(":")
    six = "ipv6" in layers and ("ip" not in layers or layers.index("ipv6") < layers.index("ip"))
    src, dst = (p["ipv6.src"], p["ipv6.dst"]) if six else (p["ip.src"], p["ip.dst"])
    if not src:
        return None
    outer = layers[layers.index("ipv6" if six else "ip") + 1 :]
    for layer in outer:
        if layer in ("ip", "ipv6", "gre", "icmp", "icmpv6"):
            return None  # tunnels and quoted packets: the ports are not the outer header's
        if layer in ("tcp", "udp"):
            sport, dport = p[f"{layer}.srcport"], p[f"{layer}.dstport"]
            if sport and dport:
                return layer, src, dst, int(sport), int(dport)
    return None


def fold(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Flows (per direction: packets, bytes, first and last time in ns) and TCP counts."""
    flows: dict[str, dict[str, int]] = {}
    counts: dict[str, int] = defaultdict(int)
    streams = set()
    for p in rows:
        seconds, _, fraction = p["frame.time_epoch"].partition(".")
        time_ns = int(seconds or 0) * 10**9 + int((fraction + "0" * 9)[:9])
        key = five_tuple(p)
        if key is not None:
            flow = flows.setdefault(
                "|".join(map(str, key)), {"packets": 0, "bytes": 0, "first": time_ns, "last": 0}
            )
            flow["packets"] += 1
            flow["bytes"] += int(p["frame.len"])
            flow["first"] = min(flow["first"], time_ns)
            flow["last"] = max(flow["last"], time_ns)
        for name, ours in ANALYSIS.items():
            if p.get(f"tcp.analysis.{name}"):
                counts[ours] += 1
        if p["tcp.stream"]:
            streams.add(p["tcp.stream"])
    return {
        "flows": flows,
        "tcp": dict(counts),
        "tcp_streams": len(streams),
        "packets": len(rows),
        "bytes": sum(int(p["frame.len"]) for p in rows),
    }


def round_trips(rows: list[dict[str, str]]) -> dict[Way, list[int]]:
    """Microseconds from segments of each direction to their acknowledgement, as far as we time it.

    tshark times every segment whose end is acknowledged (`acks_frame`; `ack_rtt` is left out where
    it is 0). We remember the newest segment of a direction only, and time it where it holds data,
    repeats nothing, and the acknowledgement is another than the one before.
    """
    newest: dict[Way, tuple[str, bool]] = {}
    acked: dict[Way, str] = {}
    times: dict[str, int] = {}
    out: dict[Way, list[int]] = defaultdict(list)
    for p in rows:
        key = five_tuple(p)
        if key is None or key[0] != "tcp":
            continue
        way, other = (key[1], key[3], key[2], key[4]), (key[2], key[4], key[1], key[3])
        seconds, _, fraction = p["frame.time_epoch"].partition(".")
        times[p["frame.number"]] = int(seconds) * 10**9 + int((fraction + "0" * 9)[:9])
        number, timed = newest.get(other, ("", False))
        acks = p["tcp.ack_raw"] != acked.get(way) and p["tcp.flags.syn"] == "0"
        if (
            timed
            and acks
            and p["tcp.flags.reset"] == "0"
            and p["tcp.analysis.acks_frame"] == number
        ):
            out[other].append((times[p["frame.number"]] - times[number]) // 1000)
        acked[way] = p["tcp.ack_raw"]
        length = int(p["tcp.len"] or 0)
        if length or "1" in (p["tcp.flags.syn"], p["tcp.flags.fin"]):
            again = any(p[f"tcp.analysis.{name}"] for name in _NOT_TIMED)
            newest[way] = (p["frame.number"], length > 0 and not again)
    return out


def facts(path: Path, cache: Path) -> dict[str, Any]:
    """`fold(packets(path))`, run once a session."""
    kept = cache / f"{path.parent.name}__{path.name}.json"
    if not kept.exists():
        kept.write_text(json.dumps(fold(packets(path))))
    result: dict[str, Any] = json.loads(kept.read_text())
    return result
