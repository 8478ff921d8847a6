"""Drives a session over a made-up site without a terminal: keys in, the screen's text out."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from panotui.tui.effects import Effect, Fetch, Send
from panotui.tui.glyphs import UNICODE, Glyphs
from panotui.tui.line import text_of
from panotui.tui.session import Session
from panotui.views.frames import Answer, Command, Done, Frame, View
from panotui.views.provider import StateProvider
from tests.tui.frames_builder import Site

BERLIN = ZoneInfo("Europe/Berlin")
NAMED = {"/": "slash", ":": "colon", "?": "question_mark", "[": "left_square_bracket"}


class Answering:
    """What a screen asks, when it is a provider: each time with a new look at its state."""

    def __init__(self, provider: StateProvider) -> None:
        self.provider = provider

    def answer(self, request: View | Command) -> Answer:
        if isinstance(request, Command):
            return self.provider.command(request)
        self.provider.forget_snapshot()
        return self.provider.frame(request)


class Driven:
    """A session that gets its answers at once."""

    def __init__(
        self, site: Site, width: int = 80, height: int = 24, glyphs: Glyphs = UNICODE
    ) -> None:
        self.site = site
        self.session = Session(glyphs, BERLIN)
        self.session.resize(width, height)
        self.now = 100.0
        self.effects: list[Effect] = []
        self.fetch()
        self.fetch()

    def fetch(self) -> None:
        """One exchange with the site, with the second look when the cursor's row has moved."""
        for _ in range(3):
            answer = self.site.answer(self.session.view())
            assert isinstance(answer, Frame)
            again = self.session.take(answer, self.now)
            self.session.picture(self.now)
            if not again:
                return

    def press(self, *keys: str) -> Driven:
        for key in keys:
            character = key if len(key) == 1 else (" " if key == "space" else None)
            effects = self.session.press(NAMED.get(key, key), character, self.now)
            self.effects += effects
            for effect in effects:
                if isinstance(effect, Send):
                    answer = self.site.answer(effect.command)
                    assert isinstance(answer, Done)
                    self.session.told(answer, self.now)
            if any(isinstance(effect, Fetch) for effect in effects):
                self.fetch()
            self.session.picture(self.now)
        return self

    def type(self, text: str) -> Driven:
        return self.press(*(("space" if c == " " else c) for c in text))

    def lines(self) -> list[str]:
        picture = self.session.picture(self.now)
        return [text_of(line) for line in (picture.header, *picture.body, picture.footer)]

    def text(self) -> str:
        """As in a golden file: no blanks at the end of lines."""
        return "\n".join(line.rstrip() for line in self.lines()) + "\n"

    def cursor(self) -> str:
        """The text under the cursor."""
        picture = self.session.picture(self.now)
        return "".join(t for line in picture.body for t, role in line if role == "cursor").strip()
