"""Writes cameras whose streams come interleaved in RTSP connections.

`python -m tests.benchmarks.interleaved PACKETS FILE --rate 1440`: eight cameras, each described,
set up and played, that together send so many RTP packets of 1250 bytes a second, one in a segment,
of which each second one is acknowledged. Each session is kept alive each 30 s, all at once. Stamps
run as time does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tests.benchmarks.generate import (
    PCAP_HEADER,
    START_NS,
    _checksums,
    _link_and_ip,
    _put16,
    _put32,
    _records,
    in_time,
)
from tests.benchmarks.site_day import records
from tests.diagnosis.wire import APPLIANCE, ETH0, SECOND, Rtsp, Wire
from tests.made_up import START

CAMERAS = 8
KEPT_ALIVE_S = 30
RTP_BYTES = 1250 - 42  # of a packet, as over UDP


def _mac(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text.replace(":", "")), np.uint8)


def _address(text: str) -> int:
    return int.from_bytes(bytes(map(int, text.split("."))), "big")


def _segments(
    cameras: list[Rtsp], of: np.ndarray, sent: np.ndarray, size: int, out: bool
) -> np.ndarray:
    """(n, 54 + size) segments of the cameras `of`, after `sent` (n,) bytes of the camera."""
    n = len(of)
    frames = np.zeros((n, 54 + size), np.uint8)
    there = np.array([_address(c.address) for c in cameras])[of]
    here = np.full(n, _address(APPLIANCE))
    port = np.array([c.flow.src[2] for c in cameras])[of]
    _link_and_ip(frames, here if out else there, there if out else here, np.full(n, 6))
    macs = np.stack([_mac(c.mac) for c in cameras])[of]
    frames[:, 0:6], frames[:, 6:12] = (macs, _mac(ETH0)) if out else (_mac(ETH0), macs)
    said = np.array([c.flow.sent for c in cameras])[of]
    heard = np.array([c.flow.got for c in cameras])[of] + sent
    _put16(frames, 34, port if out else np.full(n, 554))
    _put16(frames, 36, np.full(n, 554) if out else port)
    _put32(frames, 38, (said if out else heard) & 0xFFFFFFFF)
    _put32(frames, 42, (heard if out else said) & 0xFFFFFFFF)
    frames[:, 46], frames[:, 47] = 0x50, 0x10 if out else 0x18
    _put16(frames, 48, np.full(n, 60000))
    return frames


def write(path: Path, packets: int, rate: float, made_for: float = 0.0) -> None:
    """`packets` of RTP to a pcap file; `made_for`: with the pictures of another rate."""
    wire = Wire()
    cameras = [
        Rtsp(
            wire, 40_000 + i, address=f"10.20.0.{100 + i}", camera_mac=f"02:00:00:00:01:{i:02x}",
            tcp=True,
        ).play(0.05 * i)
        for i in range(CAMERAS)
    ]  # fmt: skip
    rtp = in_time(made_for or rate)
    pair = 2 * CAMERAS  # packets in which each camera sends two
    step_ns = SECOND / rate
    with path.open("wb") as file:
        file.write(PCAP_HEADER + records(sorted(wire.frames, key=lambda f: f[0])))
        start_ns, done, a_chunk = START_NS + SECOND, 0, int(rate * KEPT_ALIVE_S) // pair * pair
        while done < packets:
            n = min(a_chunk, packets - done)
            n -= n % pair
            if not n:
                break
            times = start_ns + ((done + np.arange(n)) * step_ns).astype(np.int64)
            whole = rtp.block(n)
            # in the order in which each camera sends two after each other
            order = np.arange(n).reshape(-1, 2, CAMERAS).transpose(0, 2, 1).reshape(-1)
            place = np.arange(n // 2)
            of = place % CAMERAS
            parts = []
            for which in (0, 1):
                media = whole[order[which::2], 42:]
                sent = (place // CAMERAS * 2 + which) * (RTP_BYTES + 4)
                frames = _segments(cameras, of, sent, RTP_BYTES + 4, False)
                frames[:, 54] = 0x24
                _put16(frames, 56, np.full(len(of), RTP_BYTES))
                frames[:, 58:] = media
                _checksums(frames)
                parts.append(_records(frames, times[which::2]))
            sent = (place // CAMERAS + 1) * 2 * (RTP_BYTES + 4)
            acks = _segments(cameras, of, sent, 0, True)
            _checksums(acks)
            parts.append(_records(acks, times[1::2] + 100_000))
            file.write(np.concatenate(parts, axis=1).tobytes())
            done += n
            wire.frames.clear()
            at = (int(times[-1]) - START_NS + 200_000) / SECOND
            for camera in cameras:
                camera.flow.got += n // CAMERAS * (RTP_BYTES + 4)
                camera.say(at, "GET_PARAMETER", asks="Session: 77\r\n", says="Session: 77\r\n")
            said = sorted(wire.frames, key=lambda f: f[0])
            ns = START + int(times[-1]) - START_NS + 200_000
            file.write(records((ns + k, *frame[1:]) for k, frame in enumerate(said)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packets", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rate", type=float, default=1440.0)
    options = parser.parse_args()
    write(options.path, options.packets, options.rate)


if __name__ == "__main__":
    main()
