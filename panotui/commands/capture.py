"""Live captures (and the demo) opened for a collector: rings, link watch, privileges, pump."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panotui.commands.interfaces import chosen
from panotui.commands.siteedit import SiteFileEditor
from panotui.model import Site, Source

if TYPE_CHECKING:
    from panotui.engine import Engine
    from panotui.feed.collector import Links
    from panotui.pump import Pump

DEMO = Path(__file__).parents[1] / "sources" / "demo"


def drop_privileges() -> None:
    """Become nobody in particular, and keep the program's own files readable."""
    from panotui.commands.readable import keep_readable
    from panotui.sources import privileges

    keep_readable(*privileges.target())
    privileges.drop()


class Capture:
    """What was opened with privileges and is read without."""

    def __init__(
        self,
        sources: Sequence[Source],
        site: Site,
        *,
        links: Links | None = None,
        live: bool = True,
        site_path: Path | None = None,
    ) -> None:
        self.sources = list(sources)
        self.site = site
        self.links = links
        self.live = live
        self.site_path = site_path

    def drop_privileges(self) -> None:
        """Give up root and every capability; nothing to give up is fine."""
        drop_privileges()

    def filenos(self) -> list[int]:
        """Descriptors that are readable when packets wait."""
        numbers = []
        for source in self.sources:
            fileno = getattr(source, "fileno", None)
            if fileno is not None and getattr(source, "present", True):
                numbers.append(int(fileno()))
        return numbers

    def pump(self) -> Pump:
        """Engine and pump over the sources."""
        from panotui.engine import Engine, EngineSettings
        from panotui.pump import Pump

        engine = Engine(self.site, EngineSettings(live=self.live))
        return Pump(self.sources, engine, live=self.live)

    def notice(self) -> str | None:
        """One line while an interface is gone."""
        gone = [
            source.interfaces[0].name
            for source in self.sources
            if not getattr(source, "present", True)
        ]
        return f"{' and '.join(gone)} is gone; waiting for it to return" if gone else None

    def site_editor(self, engine: Engine) -> SiteFileEditor | None:
        """What accepts violations into the site file; None where there is none to write."""
        return SiteFileEditor(self.site_path) if self.site_path is not None else None


def live_capture(
    interfaces: Sequence[str], site: Site, *, promiscuous: bool = True, commands: Sequence[str] = ()
) -> Capture:
    """Open rings and the link watch. InterfaceError, PrivilegeError, UsageError."""
    from panotui.sources import open_live
    from panotui.sources.link import LinkWatch

    names = chosen(interfaces, site, commands)
    opened: list[Source] = []
    try:
        for name in names:
            opened.append(open_live(name, promiscuous=promiscuous))
        links = LinkWatch(names)
    except BaseException:
        for source in opened:
            source.close()
        raise
    return Capture(opened, site, links=links)


def demo_capture() -> Capture:
    """The bundled recording, at its own pace and in a loop."""
    from panotui.policy.site import load_site
    from panotui.sources import open_demo

    return Capture([open_demo()], load_site(DEMO / "site.toml"))
