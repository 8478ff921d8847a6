from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from panotui.feed.codec import FeedError
from panotui.tui import app as screen
from panotui.tui.app import FatalScreen, HelpScreen, Panotui
from panotui.tui.session import Session
from panotui.views.frames import Command, Done
from tests.tui import frames_builder
from tests.tui.frames_builder import Site, SiteSource
from tests.tui.screens import BERLIN, Driven


def shown(app: Panotui) -> str:
    """What the terminal would show, as in a golden file."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def until(condition: Callable[[], bool], pilot: Pilot[None]) -> None:
    for _ in range(3000):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(shown(pilot.app))  # type: ignore[arg-type]


@asynccontextmanager
async def running(
    site: Site, size: tuple[int, int] = (80, 24), step: bool = False
) -> AsyncIterator[tuple[Panotui, Pilot[None], SiteSource]]:
    source = SiteSource(site, step=step)
    app = Panotui(source, session=Session(zone=BERLIN), rate_hz=4)
    async with app.run_test(size=size) as pilot:
        await until(lambda: "PORTS" in shown(app) or app.screen_stack[1:] != [], pilot)
        yield app, pilot, source


def run(coroutine: object) -> None:
    asyncio.run(coroutine)  # type: ignore[arg-type]


def test_the_terminal_shows_what_the_session_draws() -> None:
    async def check() -> None:
        async with running(frames_builder.plant()) as (app, pilot, _):
            assert shown(app) == Driven(frames_builder.plant()).text()
            await pilot.press("3")
            await until(lambda: "STREAMS" in shown(app) and "losing" in shown(app), pilot)
            assert shown(app) == Driven(frames_builder.plant()).press("3").text()

    run(check())


def test_a_picture_made_of_changes_equals_one_drawn_whole() -> None:
    async def check() -> None:
        async with running(frames_builder.plant(), step=True) as (app, pilot, source):
            for key in ("2", "down", "3", "j", "enter", "escape", "1", "down", "6"):
                await pilot.press(key)
                await pilot.pause()
            source.step = False
            await until(lambda: "FINDINGS" in shown(app), pilot)
            changed = shown(app)
            app.refresh(layout=True)
            await pilot.pause()
            assert shown(app) == changed

    run(check())


def test_an_answer_that_says_nothing_new_is_not_drawn_again() -> None:
    async def check() -> None:
        async with running(frames_builder.plant()) as (app, pilot, source):
            draws: list[bool] = []
            app.draw = lambda **how: draws.append(True)  # type: ignore[method-assign]
            request = app.session.view()
            app._answered(source.site.answer(request))
            draws.clear()
            app._answered(source.site.answer(request))  # another number, nothing else
            assert draws == []
            source.site.advance()
            app._answered(source.site.answer(request))
            assert draws == [True]
            await pilot.pause()

    run(check())


def test_a_new_size_is_a_new_layout() -> None:
    async def check() -> None:
        async with running(frames_builder.plant()) as (app, pilot, _):
            await pilot.resize_terminal(120, 40)
            await until(lambda: "us-east-1" in shown(app), pilot)
            lines = shown(app).splitlines()
            assert len(lines) == 40
            await pilot.resize_terminal(50, 10)
            await until(lambda: "panotui needs 60x16, this is 50x10" in shown(app), pilot)
            await pilot.resize_terminal(20, 5)
            await until(lambda: "20x5 < 60x16" in shown(app), pilot)

    run(check())


def test_help_lists_the_keys_of_the_place_it_was_opened_at() -> None:
    async def check() -> None:
        async with running(frames_builder.plant()) as (app, pilot, _):
            await pilot.press("question_mark")
            await until(lambda: isinstance(app.screen, HelpScreen), pilot)
            await until(lambda: "KEYS THAT WORK HERE" in shown(app), pilot)
            assert "half the speed" not in shown(app)
            await pilot.press("q")
            await until(lambda: "PORTS" in shown(app), pilot)

    run(check())


def test_a_collector_that_has_gone_is_a_screen_and_its_exit_code() -> None:
    async def check() -> None:
        async with running(frames_builder.plant()) as (app, pilot, source):
            source.broken = FeedError("collector", "it has ended", "Start it again.")
            await until(lambda: isinstance(app.screen, FatalScreen), pilot)
            await until(lambda: "it has ended" in shown(app), pilot)
            assert "Traceback" not in shown(app)
            await pilot.press("q")
        assert app.return_code == 3

    run(check())


def test_a_collector_that_stops_says_why() -> None:
    async def check() -> None:
        site = frames_builder.plant()
        async with running(site) as (app, pilot, _):
            site.fatal = "eth0 has gone and does not come back"
            await until(lambda: "eth0 has gone" in shown(app), pilot)

    run(check())


def test_one_request_is_in_flight_and_a_frozen_screen_asks_nothing() -> None:
    class Slow(SiteSource):
        flying = 0
        most = 0

        async def ask(self, request):  # type: ignore[no-untyped-def]
            Slow.flying += 1
            Slow.most = max(Slow.most, Slow.flying)
            await asyncio.sleep(0.01)
            Slow.flying -= 1
            return self.site.answer(request)

    async def check() -> None:
        source = Slow(frames_builder.large())
        app = Panotui(source, session=Session(zone=BERLIN), rate_hz=4)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(lambda: "PORTS" in shown(app), pilot)
            await pilot.press(*"22jjjj3G1")
            await until(lambda: "PORTS" in shown(app), pilot)
            assert Slow.most == 1
            await pilot.press("space")
            await until(lambda: "FROZEN" in shown(app), pilot)
            await asyncio.sleep(0.3)  # the moment that is held is asked for
            asked = len(source.site.asked)
            await asyncio.sleep(0.6)
            assert len(source.site.asked) == asked

    run(check())


def test_the_answer_to_a_key_is_the_keys_picture() -> None:
    """It need not leave half of the link free, as the picture of a second must."""
    drawn: list[tuple[str, bool]] = []

    class Watched(Panotui):
        def draw(self, *, for_key: bool = False) -> None:
            known = "streams" in self.session.frames
            drawn.append((self.session.pane, for_key if known else False))
            super().draw(for_key=for_key)

    async def check() -> None:
        source = SiteSource(frames_builder.plant(), step=True)
        app = Watched(source, session=Session(zone=BERLIN), rate_hz=1)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(lambda: "PORTS" in shown(app), pilot)
            await pilot.press("3")
            await until(lambda: "losing" in shown(app), pilot)
            assert ("streams", True) in drawn
            drawn.clear()
            source.site.advance()
            await until(lambda: bool(drawn), pilot)
            assert drawn[0] == ("streams", False)

    run(check())


def test_packets_that_are_still_gathered_are_asked_for_until_they_are_there() -> None:
    """One `w` is enough, also while the picture is frozen."""

    class Gathering(Site):
        gathers = True

        def _obey(self, command: Command) -> Done:
            if command.name != "evidence":
                return super()._obey(command)
            if self.gathers:
                return Done(ok=False, text="still gathered", pending=True)
            return Done(ok=True, text="12 packets written", path="/tmp/x.pcapng")

    async def check() -> None:
        site = frames_builder.plant()
        site.__class__ = Gathering
        async with running(site) as (app, pilot, _):
            await pilot.press("6", "w")
            await until(lambda: "still gathered" in shown(app), pilot)
            await pilot.press("space")
            Gathering.gathers = False
            await until(lambda: "12 packets written" in shown(app), pilot)

            def asked() -> int:
                return sum(isinstance(a, Command) and a.name == "evidence" for a in site.asked)

            times = asked()
            assert times >= 2
            await asyncio.sleep(0.6)
            assert asked() == times

    run(check())


def test_sheets_are_found_installed_and_in_the_source_tree(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    from panotui.tui import sheets

    for name in screen.SHEETS:
        assert sheets.sheet(name).suffix == ".tcss"
    installed = tmp_path / "panotui" / "styles"
    installed.mkdir(parents=True)
    (installed / "monitor.tcss").write_text("")
    monkeypatch.setattr(sheets, "_FOLDERS", (installed, tmp_path / "styles"))
    assert sheets.sheet("monitor") == installed / "monitor.tcss"
    with pytest.raises(FileNotFoundError, match="help"):
        sheets.sheet("help")
