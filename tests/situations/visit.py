"""How a `Yard` becomes a situation: what is true of it, and what must be told."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from panotui.commands.input import analysed
from panotui.engine.engine import Engine
from panotui.model import SECOND, Site
from panotui.site.file import parse_site
from tests.situations.situation import SITUATIONS, Situation
from tests.situations.town import Town
from tests.situations.yard import Yard

CAPTURES: dict[str, Situation] = {}  # those that are files of their own kind


class Made:
    """A situation's builder: the yard is made once for its frames and its site file."""

    def __init__(self, build: Callable[..., Yard], values: dict[str, Any]) -> None:
        self.build, self.values = build, values
        self.__doc__ = build.__doc__

    def __call__(self) -> Town:
        """Its frames."""
        yard = self.build(**self.values)
        town = Town()
        town.frames = [
            (round((yard.t0 + at) * SECOND), interface, frame, len(frame))
            for at, frame, interface in yard.sorted()
        ]
        return town

    def site(self) -> Site:
        """Its site file, or an empty site where it has none."""
        yard = self.build(**self.values)
        text = yard.sitetext if yard.sitetext is not None else yard.site()
        return parse_site(text)


class Captured(Situation):
    """A capture that is read as a file of its own format."""

    def watch(self) -> Engine:
        """Read the file."""
        made = self.build
        assert isinstance(made, Made)
        yard = made.build(**made.values)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{self.name}.pcap"
            path.write_bytes(yard.file)
            return analysed([str(path)], self.site())


def visit(
    *told: str, variants: Iterable[dict[str, Any]] = ({},), file: bool = False, **more: Any
) -> Callable[[Callable[..., Yard]], Callable[..., Yard]]:
    """Marks a builder as a situation, one for each of its variants; `told` as in `situation`."""

    def mark(build: Callable[..., Yard]) -> Callable[..., Yard]:
        every = list(variants)
        for number, values in enumerate(every, 1):
            name = build.__name__.replace("_", "-") + (f"-{number}" if len(every) > 1 else "")
            assert name not in {**SITUATIONS, **CAPTURES}, name
            made = Made(build, values)
            kind = Captured if file else Situation
            table = CAPTURES if file else SITUATIONS
            table[name] = kind(name, made, told, made.site, **more)
        return build

    return mark
