"""Plays captures into a recording, as fast as they can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panotui.commands.input import Progress, open_captures, total_bytes
from panotui.model import Site

if TYPE_CHECKING:
    from panotui.runtime.pipe import Keeping


def record_capture(
    files: Sequence[str],
    site: Site,
    site_text: str,
    folder: Path,
    *,
    evidence: bool = False,
    keeping: Keeping | None = None,
    redact: bool = False,
) -> Path:
    """Write the same as a recorder, including `evidence` packets (`keeping` says which; `redact`:
    without their secrets); returns `folder`.

    Ctrl-C raises KeyboardInterrupt with everything closed. Errors as for the sources.
    """
    from panotui.engine.engine import Engine
    from panotui.feed.collector import Collector
    from panotui.recording.evidence import EvidenceTap
    from panotui.recording.recorder import Recorder
    from panotui.recording.retention import Limits
    from panotui.runtime.packet_keeper import LocalKeeper
    from panotui.runtime.pump import Pump

    sources = open_captures(files)
    # A capture is not thinned: a review needs all of its snapshots.
    limits = Limits(
        size_bytes=1 << 40, free_bytes=0, samples_second_s=7 * 86_400, snapshots_second_s=86_400
    )
    progress = Progress("reading")
    try:
        recorder = Recorder(
            folder, site_text=site_text, limits=limits, lossless=True, commit_every_s=1.0
        )
        pump = Pump(sources, Engine(site), files=files)
        collector = Collector(
            pump,
            recorder=recorder,
            evidence=(
                EvidenceTap(pump, recorder, LocalKeeper(pump, keeping), keeping, redact=redact)
                if evidence
                else None
            ),
            status=lambda c: progress.update(
                sum(s.counters.read_bytes for s in sources),
                total_bytes([s.counters.total_bytes for s in sources]),
                sum(s.counters.packets for s in sources),
            ),
        )
        ended = "interrupted"
        try:
            ended = collector.run()
        finally:
            collector.finish(ended)
    finally:
        progress.done()
        for source in sources:
            source.close()
    return folder
