"""A time server that is wrong: `python time_peer.py ADDRESS PORT SECONDS_AHEAD`."""

from __future__ import annotations

import socket
import struct
import sys
import time

SINCE_1900 = 2_208_988_800


def serve(address: str, port: int, ahead: float) -> None:
    """Answer every request with a time that is `ahead` seconds off, and everything else right."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, port))
        print("ready", flush=True)
        while True:
            asked, client = s.recvfrom(256)
            now = round((time.time() + ahead + SINCE_1900) * 2**32) & (1 << 64) - 1
            head = struct.pack("!BBbbII4s", 4 << 3 | 4, 2, 6, -20, 0, 0, b"\x0a\0\0\x01")
            s.sendto(
                head + struct.pack("!Q", now) + asked[40:48] + struct.pack("!QQ", now, now), client
            )


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
