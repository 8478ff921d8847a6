"""Runs the real screen on a made-up site, for tests that need a real terminal.

`python run_screen.py SITE [--step] [--rate N] [--log FILE] [--break]`; run in the project's folder.
Writes the bytes given to the terminal and the exit code to FILE when it leaves.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

STARTED = time.perf_counter()


def main() -> int:
    from panotui.errors import PanotuiError
    from panotui.feed.codec import FeedError
    from panotui.tui import app, terminal
    from tests.tui import frames_builder

    parser = argparse.ArgumentParser()
    parser.add_argument("site")
    parser.add_argument("--step", action="store_true")
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--fatal", action="store_true")
    options = parser.parse_args()
    source = frames_builder.SiteSource(getattr(frames_builder, options.site)(), step=options.step)
    if options.fatal:
        source.broken = FeedError("collector", "it has ended", "Start it again.")
    outputs: list[terminal.TerminalOutput] = []
    first: list[float] = []
    original = terminal.TerminalOutput.__init__

    def remember(self: terminal.TerminalOutput, descriptor: int) -> None:
        original(self, descriptor)
        outputs.append(self)

    ask = source.ask

    async def timed(request):  # type: ignore[no-untyped-def]
        first.append(time.perf_counter() - STARTED)
        return await ask(request)

    source.ask = timed  # type: ignore[method-assign]
    terminal.TerminalOutput.__init__ = remember  # type: ignore[method-assign]
    began = time.monotonic()
    try:
        code = app.run(source, rate_hz=options.rate)
    except PanotuiError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    if options.log:
        sent = sum(output.written for output in outputs)
        asked = len(source.site.asked)
        options.log.write_text(
            f"code {code}\nbytes {sent}\nseconds {time.monotonic() - began:.3f}\nasked {asked}\n"
            f"first {first[0] if first else -1:.3f}\ncpu {time.process_time():.3f}\n"
        )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
