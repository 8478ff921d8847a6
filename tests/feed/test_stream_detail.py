"""A stream's detail names the packets that show what is wrong, and never a credential."""

from __future__ import annotations

from panotui.engine import Engine
from panotui.feed.details import detail_of
from panotui.model import Site
from panotui.pump import Pump
from panotui.sources import open_file
from tests.captures import shared_capture

Lines = tuple[tuple[str, str], ...]


def sections_of(name: str) -> dict[str, Lines]:
    """The detail of the capture's video stream."""
    path = str(shared_capture(name))
    source = open_file(path)
    engine = Engine(Site())
    Pump([source], engine, files=[path]).run(0.0)
    source.close()
    snapshot = engine.snapshot()
    stream = next(s for s in snapshot.streams if s.codec == "H264")
    return {s.title: s.lines for s in detail_of(engine, f"stream:{stream.id}", snapshot).sections}


def test_packets_after_a_gap_are_the_evidence() -> None:
    lines = sections_of("lab/udp-h264-loss2pct.pcap")["EVIDENCE"]
    assert len(lines) == 12
    assert lines[-1][1].startswith("packet ")
    assert any("on the way, at the end of a key frame" in text for _, text in lines)


def test_stutter_is_told_for_each_buffer_that_would_have_run_dry() -> None:
    picture = dict(sections_of("lab/udp-h264-freeze5s.pcap")["PICTURE"])
    assert picture["stutter 500 ms"] == "1 times, 4.5 s with such a buffer"
    healthy = dict(sections_of("lab/udp-h264.pcap")["PICTURE"])
    assert not [label for label in healthy if label.startswith("stutter")]


def test_dialogue_is_shown_without_what_was_answered_to_the_challenge() -> None:
    for name in ("lab/gst-udp-digest.pcap", "lab/gst-udp-basic.pcap"):
        sections = sections_of(name)
        said = [text for _, text in sections["RTSP DIALOGUE"]]
        assert any("401" in line for line in said)
        whole = str(sections).lower()
        for secret in ("response=", "nonce=", "password", "basic ywrt", "authorization:"):
            assert secret not in whole
