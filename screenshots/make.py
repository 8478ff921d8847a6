"""Makes the pictures in this folder from the real application on the bundled demo.

`python screenshots/make.py` starts a demo collector, lets the screen run on it without a terminal
until the demo has something to show, holds that moment, and writes the pictures that the README
shows, and a tour as GIF. `python screenshots/make.py --all FOLDER` writes every pane and detail at
80x24, 120x40 and 200x60, dark and light, as SVG and PNG. Then the demo's capture is opened as
`review` does. The capture determines the content, so two runs differ only in their clocks and
little else.

PNG needs `rsvg-convert`, the tour ImageMagick's `convert`, the report Chromium; without them they
are left out.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from draw import svg  # type: ignore[import-not-found]

from panotui import __version__
from panotui.commands.options import read_site
from panotui.commands.rehearse import record_capture
from panotui.commands.screen import CollectorProcess, WatchedClient
from panotui.errors import UsageError
from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.report.page import page
from panotui.report.pdf import browser
from panotui.report.story import Heading, story_of
from panotui.report.wording import LocalTime
from panotui.sources.demo import FOLDER as DEMO
from panotui.tui.glyphs import UNICODE
from panotui.tui.line import Line
from panotui.tui.session import Session
from panotui.tui.source import FrameSource
from panotui.tui.theme import THEMES
from panotui.views.frames import Command, Done, Frame
from panotui.views.review import LocalClient, ReviewProvider

FOLDER = Path(__file__).parent
SETTLE_S = 37.5  # until the demo's fault, leak and freeze have been seen
REPORT_SIZE = (960, 1240)
FROZEN_S = 37  # of the capture, when its camera is frozen
SIZES = ((80, 24), (120, 40), (200, 60))
GROUNDS = ("dark", "light")

# name -> keys
PICTURES: dict[str, tuple[str, ...]] = {
    "overview": ("1",),
    "time": ("1", "t"),
    "flows": ("2",),
    "streams": ("3",),
    "endpoints": ("4",),
    "violations": ("5",),
    "findings": ("6",),
    "events": ("7",),
    "inventory": ("8",),
    "flow": ("2", "g", "enter"),
    "stream": ("3", "g", "enter"),
    "camera": ("3", "g", "enter", "right", "enter"),
    "endpoint": ("4", "g", "enter"),
    "violation": ("5", "g", "enter"),
    "finding": ("6", "g", "enter"),
    "port": ("1", "g", "enter"),
    "commands": ("1", ":"),
    "filter": ("2", "/", *"verdict:v"),
    "masked": ("1", "x"),
}
# pictures of the README: name -> (picture, size, background)
SHOWN = {
    "overview": ("overview", (80, 24), "dark"),
    "overview-wide": ("overview", (120, 40), "dark"),
    "finding": ("finding", (80, 24), "dark"),
    "streams": ("streams", (120, 40), "dark"),
    "stream": ("stream", (100, 30), "dark"),
    "light": ("overview", (120, 40), "light"),
}
# the tour: keys, then seconds that the picture stays
TOUR: tuple[tuple[tuple[str, ...], float], ...] = (
    ((), 3.0), (("t",), 3.0), (("t", "6"), 2.0), (("enter",), 4.0), (("escape", "3"), 2.0),
    (("enter",), 4.0), (("escape", "2", "/"), 1.0), (tuple("verdict:v"), 2.0),
    (("tab", "enter"), 2.0), (("escape", "1", ":"), 3.0),
)  # fmt: skip


class Screen:
    """The session of the real screen, fed by a source, without Textual."""

    def __init__(self, source: FrameSource, mode: str) -> None:
        self.session = Session(UNICODE, mode=mode)
        self._source = source

    async def fetch(self) -> None:
        for _ in range(4):
            frame = await self._source.ask(self.session.view())
            assert isinstance(frame, Frame)
            again = self.session.take(frame, time.monotonic())
            self.session.release(time.monotonic())
            self.session.picture(time.monotonic())
            if not again:
                return

    async def press(self, *keys: str) -> None:
        for key in keys:
            character = key if len(key) == 1 else None
            for effect in self.session.press(key, character, time.monotonic()):
                command = getattr(effect, "command", None)
                if isinstance(command, Command):
                    done = await self._source.ask(command)
                    assert isinstance(done, Done)
                    self.session.told(done, time.monotonic())
            await self.fetch()

    def lines(self) -> list[Line]:
        picture = self.session.picture(time.monotonic())
        return [picture.header, *picture.body, picture.footer]

    async def at(self, size: tuple[int, int], keys: tuple[str, ...]) -> list[Line]:
        """The picture after these keys, from the overview on."""
        token, zone = self.session.hold, self.session.zone
        frames, newest = self.session.frames, self.session.newest
        self.session = Session(UNICODE, zone, self.session.mode)
        self.session.hold, self.session.frames, self.session.newest = token, frames, newest
        self.session.resize(*size)
        await self.fetch()
        await self.press(*keys)
        await self.fetch()
        return self.lines()


def written(folder: Path, name: str, lines: list[Line], ground: str, *, png: bool) -> None:
    styles = THEMES[ground][ground]
    path = folder / f"{name}.svg"
    path.write_text(svg(lines, styles, ground, f"panotui: {name}"), encoding="utf-8")
    if png and shutil.which("rsvg-convert"):
        command = ["rsvg-convert", "-o", str(path.with_suffix(".png")), str(path)]
        subprocess.run(command, check=True)
    print(path)


def every() -> Iterator[tuple[str, tuple[int, int], tuple[str, ...]]]:
    for size in SIZES:
        for name, keys in PICTURES.items():
            yield name, size, keys


async def demo(client: FrameSource, folder: Path, whole: bool) -> None:
    screen = Screen(client, "demo")
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        await screen.fetch()
        await asyncio.sleep(0.5)
    screen.session.hold = "pictures"  # one moment for all of them
    if whole:
        for name, size, keys in every():
            lines = await screen.at(size, keys)
            for ground in GROUNDS:
                named = f"{name}-{size[0]}x{size[1]}-{ground}"
                written(folder, named, lines, ground, png=True)
    else:
        for named, (name, size, ground) in SHOWN.items():
            written(folder, named, await screen.at(size, PICTURES[name]), ground, png=False)
    await tour(screen, folder)
    await client.close()


async def tour(screen: Screen, folder: Path) -> None:
    """A walk through the screen as an animated GIF."""
    if not (shutil.which("rsvg-convert") and shutil.which("convert")):
        return
    lines = await screen.at((80, 24), ("1",))
    with tempfile.TemporaryDirectory() as made:
        command = ["convert", "-loop", "0"]
        for number, (keys, seconds) in enumerate(TOUR):
            await screen.press(*keys)
            lines = screen.lines()
            written(Path(made), f"{number:02}", lines, "dark", png=True)
            command += ["-delay", str(int(seconds * 100)), f"{made}/{number:02}.png"]
        target = folder / "tour.gif"
        # the corners opaque and nothing dithered: else parts of the first picture turn grey
        command += ["-background", "black", "-alpha", "remove", "-alpha", "off"]
        command += ["+dither", "-colors", "64", "-layers", "optimize"]
        subprocess.run([*command, str(target)], check=True)
    print(target)


async def review(recording: Recording, folder: Path, whole: bool) -> None:
    """The demo's capture in a review, at the time when a camera was frozen."""
    provider = ReviewProvider(recording)
    provider.command(Command(name="seek", time_ns=recording.start_ns + FROZEN_S * SECOND))
    screen = Screen(LocalClient(provider), "review")
    for size in SIZES if whole else SIZES[:1]:
        lines = await screen.at(size, ())
        for ground in GROUNDS if whole else GROUNDS[:1]:
            name = f"review-{size[0]}x{size[1]}-{ground}" if whole else "review"
            written(folder, name, lines, ground, png=whole)


def report(recording: Recording, folder: Path, made: Path) -> None:
    """The top of the customer's page, by the Chromium that prints it; none without one."""
    try:
        program = browser()
    except UsageError as error:
        print(f"no picture of the report: {error}", file=sys.stderr)
        return
    heading = Heading(customer="Example GmbH", technician="field service", time=LocalTime(UTC))
    story = story_of(recording, recording.path.name, f"Panotui {__version__}", heading=heading)
    (made / "report.html").write_text(page(story), encoding="utf-8")
    subprocess.run(
        [
            program, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            *(["--no-sandbox"] if os.geteuid() == 0 else []), f"--user-data-dir={made / 'profile'}",
            f"--window-size={REPORT_SIZE[0]},{REPORT_SIZE[1]}",
            f"--screenshot={(folder / 'report.png').resolve()}", (made / "report.html").as_uri(),
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def main() -> int:
    whole = "--all" in sys.argv
    named = [word for word in sys.argv[1:] if word != "--all"]
    folder = Path(named[0]) if named else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TZ", "UTC")
    time.tzset()
    collector = CollectorProcess(["--demo"])
    try:
        collector.wait_ready()
        asyncio.run(demo(WatchedClient(collector), folder, whole))
    finally:
        collector.end()
    site, text, _ = read_site(DEMO / "site.toml")
    with tempfile.TemporaryDirectory() as made:
        capture = str(DEMO / "site.pcapng.zst")
        recording = Recording(record_capture([capture], site, text, Path(made) / "demo.panotui"))
        asyncio.run(review(recording, folder, whole))
        report(recording, folder, Path(made))
        recording.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
