"""Makes the bundled demo recording from the lab: `python -m tests.lab.make_demo [SECONDS]`.

About a minute of the plant as a mirror shows it: two cameras (one over UDP, one interleaved in
TCP), every cloud endpoint, one of them blocked by the router's firewall, a camera that talks to its
vendor on the internet, a camera that freezes for four seconds. Media payloads are blanked after
their first bytes (headers and parameter sets stay), so the file is small and shows nobody's
picture. Result: `panotui/sources/demo/site.pcapng.zst` and the site file beside it.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

from tests.lab.netns import end
from tests.lab.plant import CLOUD, LOGS, SITE, Plant

FOLDER = Path(__file__).resolve().parents[2] / "panotui" / "sources" / "demo"
KEPT = 48  # bytes of a media packet's payload that stay: RTP header, payload header, SPS and PPS
RTSP_PORTS = {554}


def film(seconds: float, path: Path) -> None:
    """Play the scenes and capture both mirror ports into one pcapng."""
    with Plant() as plant:
        plant.block(CLOUD[LOGS])
        plant.announce_neighbours()
        capture = plant.probe.popen(
            ["dumpcap", "-q", "-i", "mir0", "-i", "mir1", "-w", str(path), "-B", "16"],
            stdout=subprocess.DEVNULL,
        )
        assert capture.stderr is not None
        while "File:" not in (line := capture.stderr.readline()):
            if not line:
                raise RuntimeError("dumpcap did not start")
        started = time.monotonic()

        def at(second: float) -> None:
            time.sleep(max(0.0, started + second - time.monotonic()))

        plant.renew_lease()
        dock = plant.start_camera("dock")
        plant.start_camera("gate")
        plant.read_camera("dock", "udp")
        plant.read_camera("gate", "tcp")
        rounds = plant.start_cloud_traffic(period_s=6.0)
        assert rounds.stdout is not None
        threading.Thread(target=rounds.stdout.read, daemon=True).start()
        at(seconds * 0.35)
        plant.phone_home("gate", times=2)
        at(seconds * 0.55)
        os.killpg(dock.pid, signal.SIGSTOP)
        at(seconds * 0.55 + 4)
        os.killpg(dock.pid, signal.SIGCONT)
        at(seconds * 0.8)
        plant.phone_home("gate")
        at(seconds)
        end(capture)


def blank(data: bytearray) -> None:
    """Zero the media bytes of every enhanced packet block of a little-endian pcapng, in place."""
    remaining: dict[
        bytes, tuple[int, int]
    ] = {}  # TCP direction -> (next sequence, frame bytes left)
    offset = 0
    while offset + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if kind == 6:
            captured = struct.unpack_from("<I", data, offset + 20)[0]
            frame = memoryview(data)[offset + 28 : offset + 28 + captured]
            _blank_frame(frame, remaining)
            frame.release()
        offset += length


def _blank_frame(frame: memoryview, remaining: dict[bytes, tuple[int, int, int]]) -> None:
    if len(frame) < 42 or frame[12:14] != b"\x08\x00":
        return
    ip = 14
    header = (frame[ip] & 15) * 4
    total = struct.unpack_from("!H", frame, ip + 2)[0]
    l4 = ip + header
    sport, dport = struct.unpack_from("!HH", frame, l4)
    if frame[ip + 9] == 17:
        payload = l4 + 8
        if sport > 1024 and dport > 1024 and len(frame) > payload and frame[payload] >> 6 == 2:
            _zero(frame, payload + KEPT, len(frame))
    elif frame[ip + 9] == 6 and sport in RTSP_PORTS:
        payload = l4 + (frame[l4 + 12] >> 4) * 4
        sequence = struct.unpack_from("!I", frame, l4 + 4)[0]
        key = bytes(frame[ip + 12 : ip + 20]) + bytes(frame[l4 : l4 + 4])
        _blank_interleaved(frame, payload, min(len(frame), ip + total), sequence, key, remaining)


def _blank_interleaved(
    frame: memoryview,
    start: int,
    stop: int,
    sequence: int,
    key: bytes,
    remaining: dict[bytes, tuple[int, int, int]],
) -> None:
    """Follow the `$` frames of one direction; bytes past `KEPT` of each media frame become zero."""
    if start >= stop:
        return  # a bare acknowledgement or SYN
    expected, left, kept = remaining.get(key, (sequence, 0, 0))
    if expected != sequence:
        return  # a retransmission or text that was sent out of order: leave it whole
    position = start
    while position < stop:
        if left > 0:  # inside a frame, which may have begun in an earlier segment
            step = min(left, stop - position)
            _zero(frame, position + min(kept, step), position + step)
            position += step
            left -= step
            kept -= min(kept, step)
        elif frame[position] == 0x24 and position + 4 <= stop:
            left = struct.unpack_from("!H", frame, position + 2)[0]
            kept = KEPT if frame[position + 1] % 2 == 0 else left
            position += 4
        else:
            break  # RTSP text fills the rest of the segment
    remaining[key] = ((sequence + stop - start) & 0xFFFFFFFF, left, kept)


def _zero(frame: memoryview, start: int, stop: int) -> None:
    if stop > start:
        frame[start:stop] = bytes(stop - start)


def packets(data: bytes) -> Iterator[int]:
    """Offsets of the packet blocks, to count them."""
    offset = 0
    while offset + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, offset)
        if kind == 6:
            yield offset
        offset += length


def main(seconds: float) -> None:
    raw = Path("/tmp") / f"panotui-demo-{os.getpid()}.pcapng"  # dumpcap drops root: /tmp is open
    try:
        film(seconds, raw)
        data = bytearray(raw.read_bytes())
    finally:
        raw.unlink(missing_ok=True)
    blank(data)
    FOLDER.mkdir(parents=True, exist_ok=True)
    small = zstandard.ZstdCompressor(level=19).compress(bytes(data))
    (FOLDER / "site.pcapng.zst").write_bytes(small)
    (FOLDER / "site.toml").write_text(SITE)
    print(f"{sum(1 for _ in packets(bytes(data)))} packets, {len(data)} bytes, {len(small)} packed")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 60.0)
