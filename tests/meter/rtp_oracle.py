"""What tshark sees of RTP in a capture, counted by RFC 3550, apart from the program.

tshark finds the packets and names their fields; what is counted of them here is scalar and plain:
A.1 (which number is next), A.3 (lost) and A.8 (jitter). `oracles/rtp.json` keeps it for each
capture of `tests/data` in which tshark finds RTP. `python -m tests.meter.rtp_oracle` asks the
tshark of this machine, says where it differs, and writes that; `--check` does not write; a part of
a name chooses captures.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import zstandard

from tests.captures import DATA, capture, captures

STORE = DATA / "oracles/rtp.json"
FIELDS = (
    "frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport",
    "tcp.srcport", "tcp.dstport", "rtp.ssrc", "rtp.seq", "rtp.timestamp", "rtp.marker",
    "rtp.p_type",
)  # fmt: skip
CLOCKS = {0: 8000, 8: 8000}  # of payload types; else 90 kHz, as pictures have
JUMP_S = 5  # a step of the stamps that is larger and that the clock does not show is no jitter


class Packet(NamedTuple):
    time_ns: int
    ssrc: int
    sequence: int
    stamp: int
    marker: bool
    type: int


def found(path: Path) -> dict[str, list[Packet]]:
    """RTP packets in order of arrival by `source:port > destination:port`."""
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.reassemble_out_of_order:TRUE"]
    command += ["-Y", "rtp", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=,"]
    for name in FIELDS:
        command += ["-e", name]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    out: dict[str, list[Packet]] = defaultdict(list)
    for line in said.splitlines():
        # of a tunnel the innermost addresses count; a TCP segment may end several packets
        rows = [value.split(",") for value in line.split("\t")]
        time, ends, rtp = rows[0][0], [row[-1] for row in rows[1:9]], rows[9:]
        src, dst = ends[0] or ends[2], ends[1] or ends[3]
        sport, dport = ends[4] or ends[6], ends[5] or ends[7]
        seconds, _, parts = time.partition(".")
        time_ns = int(seconds) * 1_000_000_000 + int(parts.ljust(9, "0"))
        for ssrc, sequence, stamp, marker, kind in zip(*rtp, strict=True):
            if ssrc:
                out[f"{src}:{sport} > {dst}:{dport}"].append(
                    Packet(
                        time_ns,
                        int(ssrc, 16),
                        int(sequence),
                        int(stamp),
                        marker in ("1", "True"),
                        int(kind),
                    )
                )
    return out


def counted(packets: list[Packet], strange: Iterable[int] = ()) -> dict[str, float]:
    """The numbers of one stream. `strange`: sequence numbers that others have used up."""
    highest = packets[0].sequence
    places: list[int] = []
    reordered = 0
    for packet in packets:
        ahead = (packet.sequence - highest) & 0xFFFF
        if ahead < 0x8000:
            highest += ahead
            places.append(highest)
        else:
            reordered += 1
            places.append(highest + ahead - 0x10000)
    unique = set(places)
    order = sorted(unique)
    used = {number & 0xFFFF for number in strange}
    missing = [
        [number for number in range(a + 1, b) if number & 0xFFFF not in used]
        for a, b in itertools.pairwise(order)
    ]
    gaps = [len(numbers) for numbers in missing if numbers]
    duplicates = len(places) - len(unique)
    expected = len(unique) + sum(gaps)
    return {
        "packets": len(places),
        "duplicates": duplicates,
        "reordered": reordered - duplicates if reordered >= duplicates else reordered,
        "expected": expected,
        "lost": expected - len(places),
        "lost_unique": expected - len(unique),
        "gap_events": len(gaps),
        "longest_gap": max(gaps, default=0),
        "markers": sum(packet.marker for packet in packets),
        **jitter(packets),
    }


def jitter(packets: list[Packet]) -> dict[str, float]:
    """RFC 3550 A.8 in milliseconds: of all packets, and of the first of each stamp."""
    clock = CLOCKS.get(packets[0].type, 90_000)
    every = _filtered(packets, clock)
    starts: list[Packet] = packets[:1]
    for packet in packets:
        if 0 < (packet.stamp - starts[-1].stamp) & 0xFFFFFFFF < 1 << 31:
            starts.append(packet)
    gap_ns = [b.time_ns - a.time_ns for a, b in itertools.pairwise(packets)]
    return {
        "jitter_ms": every[-1],
        "jitter_mean_ms": sum(every) / len(every),
        "jitter_max_ms": max(every),
        "frame_jitter_max_ms": max(_filtered(starts, clock)),
        "delta_max_ms": max(gap_ns, default=0) / 1e6,
    }


def _filtered(packets: list[Packet], clock: int) -> list[float]:
    value, out = 0.0, []
    for before, now in itertools.pairwise(packets):
        step = ((now.stamp - before.stamp + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        shown = (now.time_ns - before.time_ns) * clock / 1e9
        if abs(step) > JUMP_S * clock and abs(shown - step) > 0.1 * clock:
            continue
        value += (abs(shown - step) - value) / 16
        out.append(value / clock * 1e3)
    return out or [0.0]


def streams(path: Path) -> dict[str, list[dict[str, float]]]:
    """By way: each payload type of each SSRC; and each type alone (`ssrc` -1) where a way has had
    several SSRCs, which may be one stream that changes its SSRC."""
    out = {}
    for way, packets in found(path).items():
        kinds = sorted({(p.ssrc, p.type) for p in packets})
        if len({ssrc for ssrc, _ in kinds}) > 1:
            kinds += sorted({(-1, kind) for _, kind in kinds})
        rows = []
        for ssrc, kind in kinds:
            own = [p for p in packets if p.type == kind and ssrc in (-1, p.ssrc)]
            sources = {p.ssrc for p in own}
            strange = [p.sequence for p in packets if p.type != kind and p.ssrc in sources]
            numbers = {
                name: round(value, 6) if isinstance(value, float) else value
                for name, value in counted(own, strange).items()
            }
            rows.append({"ssrc": ssrc, "type": kind, "strange": len(strange), **numbers})
        out[way] = rows
    return out


def names() -> list[str]:
    """The captures of `tests/data`."""
    packed = sorted((DATA / "field").glob("*.pcap.zst"))
    return [*captures(), *(f"field/{path.name}" for path in packed)]


def plain(name: str, folder: Path) -> Path:
    """One of them as a plain file; those of `field/` are unpacked into a folder."""
    if not name.startswith("field/"):
        return capture(name)
    path = folder / Path(name).stem
    with (DATA / name).open("rb") as packed, path.open("wb") as file:
        zstandard.ZstdDecompressor().copy_stream(packed, file)
    return path


def main() -> int:
    part = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        chosen = [name for name in names() if part in name]
        said = {name: streams(plain(name, Path(folder))) for name in chosen}
    known = dict(stored)
    for name, ways in said.items():
        known.pop(name, None)
        known |= {name: ways} if ways else {}
    odd = sorted(name for name in said if known.get(name) != stored.get(name))
    print(f"{len(known)} captures with RTP; otherwise than stored: {', '.join(odd) or 'none'}")
    if "--check" not in sys.argv:
        STORE.write_text(json.dumps(known, indent=0, sort_keys=True) + "\n")
    return bool(odd)


if __name__ == "__main__":
    sys.exit(main())
