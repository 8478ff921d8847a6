"""Live captures (and the demo) opened for a collector: rings, link watch, privileges, pump."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import panotui
from panotui.commands.interfaces import chosen
from panotui.commands.siteedit import SiteFileEditor
from panotui.model import Site, Source

if TYPE_CHECKING:
    from panotui.feed.collector import Links
    from panotui.pump import Pump
    from panotui.sources.live import LiveSource
    from panotui.sources.pace import Pace, Ring

# All rings together: they count as memory of ours from the start. One port of small packets at
# 1 Gbit/s writes 240 MB/s into its ring, so that half of this bridges an eighth of a second.
RINGS_BYTES = 64 << 20
PRIORITY = -10  # nice value of a live collector, set while it still may


def demo_folder() -> Path:
    """Where the bundled recording is; found anew each time, as `readable` may have moved it."""
    return Path(panotui.__path__[0]) / "sources" / "demo"


def drop_privileges() -> None:
    """Become nobody in particular; `readable.prepare_to_drop` came first."""
    from panotui.sources import privileges

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
        rings: Sequence[Ring] = (),
    ) -> None:
        self.sources = list(sources)
        self.rings = list(rings)
        self.site = site
        self.links = links
        self.live = live
        self.site_path = site_path

    def drop_privileges(self) -> None:
        """Give up root and every capability; nothing to give up is fine."""
        drop_privileges()

    def pace(self) -> Pace | None:
        """What waits for the rings; None where there are none."""
        from panotui.sources.pace import Pace

        return Pace(self.rings) if self.rings else None

    def pump(self, clock: Callable[[], int] = time.time_ns) -> Pump:
        """Engine and pump over the sources; `clock` gives the time on an idle line."""
        from panotui.engine import Engine, EngineSettings
        from panotui.pump import Pump

        engine = Engine(self.site, EngineSettings(live=self.live))
        return Pump(self.sources, engine, live=self.live, clock=clock)

    def notice(self) -> str | None:
        """One line while an interface is gone."""
        gone = [
            source.interfaces[0].name
            for source in self.sources
            if not getattr(source, "present", True)
        ]
        return f"{' and '.join(gone)} is gone; waiting for it to return" if gone else None

    def site_editor(self) -> SiteFileEditor | None:
        """What accepts violations into the site file; None where there is none to write."""
        return SiteFileEditor(self.site_path) if self.site_path is not None else None


def live_capture(
    interfaces: Sequence[str], site: Site, *, promiscuous: bool = True, commands: Sequence[str] = ()
) -> Capture:
    """Open rings and the link watch. InterfaceError, PrivilegeError, UsageError."""
    import numpy.ma  # noqa: F401  (numpy loads it when sorting first needs it, which costs 0.2 s)

    from panotui.sources import open_live
    from panotui.sources.link import LinkWatch

    names = chosen(interfaces, site, commands)
    opened: list[LiveSource] = []
    try:
        for name in names:
            opened.append(
                open_live(name, promiscuous=promiscuous, ring_bytes=RINGS_BYTES // len(names))
            )
        links = LinkWatch(names)
    except BaseException:
        for source in opened:
            source.close()
        raise
    _go_first()
    return Capture(opened, site, links=links, rings=opened)


def _go_first() -> None:
    """Run before other programs of a busy machine, where that is allowed: what is not read from
    the ring in time is lost, while others only wait for the little that this needs."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, min(PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))


class DemoClock:
    """A clock that starts where the bundled recording does, so that its own times are shown."""

    def __init__(self, first_ns: int) -> None:
        self._ahead_ns = first_ns - time.monotonic_ns()

    def __call__(self) -> int:
        return time.monotonic_ns() + self._ahead_ns


def demo_capture() -> tuple[Capture, DemoClock]:
    """One round of the bundled recording at its own pace, and its clock."""
    from panotui.policy.site import load_site
    from panotui.sources import open_demo, open_file

    path = str(demo_folder() / "site.pcapng.zst")
    peek = open_file(path, batch_packets=1)
    first = peek.read()
    peek.close()
    clock = DemoClock(0 if first is None else int(first.time_ns[0]))
    source = open_demo(path, loop=False, clock_ns=clock)
    return Capture([source], load_site(demo_folder() / "site.toml")), clock
