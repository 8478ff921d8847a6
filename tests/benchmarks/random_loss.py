"""How often a stream that loses packets at random is news: changes of its state in a day.

    python -m tests.benchmarks.random_loss --share 0.0002

Beside the state as it is judged stands the plain threshold over the same seconds.
"""

from __future__ import annotations

import argparse
from typing import cast

import numpy as np

from panotui.model import SECOND, StreamRow, StreamSecond
from panotui.state.streams import LIMITS as STREAM_LIMITS
from panotui.state.streams import StreamState

START = 1_700_000_000


def changes(rate: int, share: float, seconds: int, seed: int) -> tuple[int, int]:
    """(changes by the plain threshold, changes as judged) of a stream, `rate` packets a second."""
    lost = np.random.default_rng(seed).binomial(rate, share, seconds)
    state = StreamState(key="0-1", meter=0, row=cast(StreamRow, None))
    plain = judged = 0
    was_plain = was = False
    for number, count in enumerate(lost.tolist()):
        state.take_second(
            StreamSecond(
                stream=1, second=START + number, packets=rate - count, bytes=0, expected=rate,
                lost=count, frames=15, keyframes=0, frame_bytes_max=0, jitter_ms=0.0,
                frame_jitter_ms=0.0, gap_max_ms=0.0, capture_lost=0,
            ),
            START + number - 300,
        )  # fmt: skip
        now_ns = (START + number + 1) * SECOND
        above, now = (
            (state.loss_now(now_ns) or 0.0) > STREAM_LIMITS.losing_share,
            state.loses(now_ns),
        )
        plain, was_plain = plain + (above != was_plain), above
        judged, was = judged + (now != was), now
    return plain, judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.0002)
    parser.add_argument("--seconds", type=int, default=86_400)
    given = parser.parse_args()
    for rate in (25, 60, 180, 400):
        plain, judged = changes(rate, given.share, given.seconds, rate)
        print(f"{rate:4} packets/s: {plain:5} changes by the threshold, {judged:3} as judged")


if __name__ == "__main__":
    main()
