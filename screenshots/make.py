"""Makes the pictures in this folder from the real application on the bundled demo, never by hand.

`python screenshots/make.py [FOLDER]` starts a demo collector, attaches the screen to it without a
terminal, waits until the demo has something to show, and writes one SVG a screen; then it opens
the demo's capture as `review` does. The capture decides what is seen, so two runs differ in their
clocks and little else.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from panotui.commands.options import read_site
from panotui.commands.rehearse import record_capture
from panotui.commands.screen import CollectorProcess, WatchedClient
from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.sources.demo import FOLDER as DEMO
from panotui.tui.app import Panotui
from panotui.tui.glyphs import UNICODE
from panotui.tui.session import Session
from panotui.views.frames import Command
from panotui.views.review import LocalClient, ReviewProvider

FOLDER = Path(__file__).parent
SIZE = (80, 24)
SETTLE_S = 25.0  # until the demo's fault, leak and freeze have been seen
FROZEN_S = 37  # of the capture, when its camera is frozen

# name -> (terminal, keys)
PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "overview": (SIZE, ("1",)),
    "flows": (SIZE, ("2",)),
    "streams": (SIZE, ("3",)),
    "stream": ((100, 30), ("3", "g", "enter")),
    "endpoints": (SIZE, ("4",)),
    "violations": (SIZE, ("5",)),
    "findings": (SIZE, ("6",)),
    "finding": (SIZE, ("6", "g", "enter")),
    "events": (SIZE, ("7",)),
    "inventory": (SIZE, ("8",)),
    "endpoint": (SIZE, ("4", "g", "enter")),
    "overview-wide": ((120, 40), ("1",)),
}


def svg(app: Panotui) -> str:
    """The screen as SVG; some viewers drop blanks at a text's edge unless told to keep them."""
    return app.export_screenshot().replace("<text ", '<text xml:space="preserve" ')


async def pictures(client: WatchedClient, write: Callable[[str, str], None]) -> None:
    app = Panotui(client, session=Session(UNICODE, mode="demo"))
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(SETTLE_S)
        for name, (size, keys) in PICTURES.items():
            await pilot.resize_terminal(*size)
            for key in keys:
                await pilot.press(key)
                await asyncio.sleep(0.3)
            await asyncio.sleep(1.2)
            await pilot.pause()
            write(name, svg(app))
            await pilot.press("1")
    await client.close()


async def review(recording: Recording, write: Callable[[str, str], None]) -> None:
    """The demo's capture looked at afterwards, at the moment when a camera was frozen."""
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns + FROZEN_S * SECOND))
    app = Panotui(LocalClient(provider), session=Session(UNICODE, mode="review"))
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(2.0)  # a frame or two
        await pilot.pause()
        write("review", svg(app))


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TZ", "UTC")
    collector = CollectorProcess(["--demo"])

    def write(name: str, text: str) -> None:
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")
        print(folder / f"{name}.svg")

    try:
        collector.wait_ready()
        asyncio.run(pictures(WatchedClient(collector), write))
    finally:
        collector.end()
    site, text, _ = read_site(DEMO / "site.toml")
    with tempfile.TemporaryDirectory() as made:
        capture = str(DEMO / "site.pcapng.zst")
        recording = Recording(record_capture([capture], site, text, Path(made) / "demo.panotui"))
        asyncio.run(review(recording, write))
        recording.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
