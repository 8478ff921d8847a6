"""Eight pictures, one a screen: colours and attributes, which plain text cannot show."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from panotui.tui.app import Panotui
from panotui.tui.session import Session
from tests.tui import frames_builder
from tests.tui.frames_builder import SiteSource
from tests.tui.screens import BERLIN

SCREENS = {
    "overview": [],
    "flows": ["2"],
    "streams": ["3"],
    "endpoints": ["4"],
    "findings": ["6"],
    "stream": ["3", "j", "enter"],
    "finding": ["6", "enter"],
    "help": ["question_mark"],
}


@pytest.mark.parametrize("name", SCREENS)
def test_the_picture_is_as_it_was(name: str, snap_compare: Any) -> None:
    async def press(pilot: Any) -> None:
        for key in SCREENS[name]:
            await pilot.press(key)
            await asyncio.sleep(0.05)
            await pilot.pause()

    app = Panotui(SiteSource(frames_builder.plant()), session=Session(zone=BERLIN))
    assert snap_compare(app, run_before=press, terminal_size=(80, 24))
