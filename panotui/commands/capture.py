"""Opens live captures (and the demo) for a collector: meters, link watch, privileges, pump."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import panotui
from panotui.commands.interfaces import chosen
from panotui.commands.readable import COLLECTOR, drop_privileges
from panotui.commands.siteedit import SiteDesk, SiteFileEditor, editor_of
from panotui.model import Site

if TYPE_CHECKING:
    from panotui.feed.collector import Links
    from panotui.model.baseline import Baseline
    from panotui.runtime.live_meters import LiveMeters
    from panotui.runtime.pipe import Keeping
    from panotui.runtime.pump import Pump
    from panotui.sources.live.timekeeper import Timekeeper

# All rings together; they count as our memory from the start. One port with small packets at 1
# Gbit/s writes 240 MB/s into its ring, so half of this bridges a fifteenth of a second; no meter is
# ever delayed for longer.
RINGS_BYTES = 32 << 20
SNAP_BYTES = 256  # of bulk packets
FLOWS_KEEP_S = 3600.0  # a recording keeps them all
PRIORITY = -5  # nice value of the engine's process, below that of the meters


def demo_folder() -> Path:
    """The folder of the bundled recording; looked up each time, as `readable` may have moved it."""
    return Path(panotui.__path__[0]) / "sources" / "demo"


class Capture:
    """Live meters that were started with privileges and are read without."""

    def __init__(
        self,
        meters: LiveMeters,
        site: Site,
        links: Links,
        site_path: Path | None,
        keeper: Timekeeper,
        baseline: Baseline | None = None,
    ) -> None:
        self.baseline = baseline
        self.keeper = keeper  # of the packets' times
        self.meters = meters
        self.site = site
        self.links = links
        self.site_path = site_path

    def drop_privileges(self) -> None:
        """Give up root and every capability; nothing to give up is fine."""
        drop_privileges(COLLECTOR)

    def pump(self) -> LiveMeters:
        """The reading meters with an engine."""
        from panotui.engine.engine import Engine
        from panotui.engine.settings import EngineSettings

        settings = EngineSettings(live=True, baseline=self.baseline, flows_keep_s=FLOWS_KEEP_S)
        self.meters.begin(Engine(self.site, settings))
        return self.meters

    def notice(self) -> str | None:
        """One line while an interface is missing."""
        gone = self.meters.gone()
        return f"{' and '.join(gone)} is gone; waiting for it to return" if gone else None

    def site_editor(self) -> SiteFileEditor | SiteDesk | None:
        """Accepts violations into the site file; None if there is no file to write."""
        return editor_of(self.site_path) if self.site_path is not None else None


def live_capture(
    interfaces: Sequence[str],
    site: Site,
    *,
    site_path: Path | None = None,
    promiscuous: bool = True,
    keeping: Keeping | None = None,
    parts: bool = False,
    sizes: tuple[int, int] = (RINGS_BYTES, SNAP_BYTES),
    commands: Sequence[str] = (),
    baseline: Baseline | None = None,
) -> Capture:
    """Start the meters, wait for their rings, open the link watch. `parts`: flows are also reported
    within a second, see `LiveMeters.on_part`. `sizes` are the bytes of all rings together, and
    those kept of bulk packets. InterfaceError, UsageError; MeterFailure with the exit code of the
    failed meter.
    """
    from panotui.runtime import live_meter
    from panotui.runtime.live_meters import start_meters
    from panotui.sources.live.timekeeper import Timekeeper
    from panotui.sources.live.together import groups

    names = chosen(interfaces, site, commands)
    live_meter.load()
    keeper = Timekeeper()
    meters = start_meters(
        groups(names, site),
        live_meter.serve,
        ring_bytes=sizes[0] // len(names),
        snap_bulk=sizes[1],
        promiscuous=promiscuous,
        keeping=keeping,
        began_ns=keeper.began_ns,
        parts=parts,
    )
    try:
        # These modules are imported while the meters open their rings.
        from panotui.sources.live import privileges
        from panotui.sources.live.link import LinkWatch

        links = LinkWatch(names)
        meters.opened(names)
    except BaseException:
        meters.close()
        raise
    privileges.go_first(PRIORITY)
    return Capture(meters, site, links, site_path, keeper)


class DemoClock:
    """A clock that starts at the time of the bundled recording, so that its own times are shown."""

    def __init__(self, first_ns: int) -> None:
        self._ahead_ns = first_ns - time.monotonic_ns()

    def __call__(self) -> int:
        return time.monotonic_ns() + self._ahead_ns


class Demo:
    """The bundled recording, opened once: its files may be out of reach later."""

    def __init__(self) -> None:
        from panotui.site.file import load_site
        from panotui.sources.demo import DemoFile

        self._site = load_site(demo_folder() / "site.toml")
        self._file = DemoFile(str(demo_folder() / "site.pcapng.zst"))

    def pump(self) -> Pump:
        """One round of it at its own speed."""
        from panotui.engine.engine import Engine
        from panotui.engine.settings import EngineSettings
        from panotui.runtime.pump import Pump
        from panotui.sources.demo import DemoSource

        peek = self._file.open(batch_packets=1)
        first = peek.read()
        peek.close()
        clock = DemoClock(0 if first is None else int(first.time_ns[0]))
        source = DemoSource(self._file.open, loop=False, clock_ns=clock)
        engine = Engine(self._site, EngineSettings(live=True))
        return Pump([source], engine, live=True, clock=clock)
