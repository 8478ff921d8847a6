"""The counts of a part of a state: where all passes, they are those of the whole."""

from __future__ import annotations

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.report.part import part_of
from panotui.report.story import empty_story
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.captures import capture


def test_the_counts_of_all_that_passes_are_those_of_the_engine() -> None:
    path = str(capture("lab/gst-udp-blocked.pcap"))
    engine = Engine(Site())
    pump = Pump([open_file(path)], engine, files=[path])
    pump.run()
    whole = engine.snapshot()
    assert whole.counts.cameras
    assert whole.counts.findings_open
    story = empty_story(whole, "all", "test")
    counts = part_of(story, whole).snapshot.counts
    assert counts == type(counts)(
        **{n: getattr(whole.counts, n) for n in counts.__struct_fields__ if n != "events"},
        events=len(whole.events),
    )
