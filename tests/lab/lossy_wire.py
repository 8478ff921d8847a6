"""A cable that loses, delays and repeats frames at random: run inside a namespace between two.

`python lossy_wire.py NEAR FAR LOSS REORDER REPEAT DELAY SEED` forwards all frames between the two
interfaces. LOSS, REORDER and REPEAT are shares of frames, DELAY is in seconds.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import sys
import time


def forward(
    near: str, far: str, loss: float, reorder: float, repeat: float, delay: float, seed: int
) -> None:
    """Forward until the process is ended."""
    chance = random.Random(seed)
    ends = []
    for name in (near, far):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        end.bind((name, 0))
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        ends.append(end)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    number = 0
    print("ready", flush=True)
    while True:
        wait = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.5
        for end in select.select(ends, [], [], wait)[0]:
            for _ in range(64):
                try:
                    frame, address = end.recvfrom(70_000)
                except BlockingIOError:
                    break
                if address[2] == socket.PACKET_OUTGOING or chance.random() < loss:
                    continue
                at = time.monotonic() + delay
                if chance.random() < reorder:
                    at += chance.choice((0.0005, 0.002, 0.008, 0.03))
                number += 1
                heapq.heappush(waiting, (at, number, other[end], frame))
                if chance.random() < repeat:
                    number += 1
                    heapq.heappush(waiting, (at + 0.02, number, other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            end.send(frame)


if __name__ == "__main__":
    first, second, *shares, last = sys.argv[1:]
    lost, moved, again, later = map(float, shares)
    forward(first, second, lost, moved, again, later, int(last))
