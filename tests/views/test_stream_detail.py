"""A stream's detail names the packets that show what is wrong, and never a credential."""

from __future__ import annotations

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from panotui.views.frames import Detail
from panotui.views.subjects import detail_of
from tests.captures import capture

Lines = tuple[tuple[str, str], ...]


def sections_of(name: str) -> dict[str, Lines]:
    """The sections of the detail of the capture's video stream."""
    return {s.title: s.lines for s in detail_for(name).sections}


def detail_for(name: str) -> Detail:
    path = str(capture(name))
    source = open_file(path)
    engine = Engine(Site())
    Pump([source], engine, files=[path]).run(0.0)
    source.close()
    snapshot = engine.snapshot()
    stream = next(s for s in snapshot.streams if s.codec == "H264")
    return detail_of(engine, f"stream:{stream.id}", snapshot)


def test_packets_after_a_gap_are_the_evidence() -> None:
    proofs = detail_for("lab/udp-h264-loss2pct.pcap").evidence
    gaps = [p for p in proofs if p.text[0] not in "<>"]
    assert len(gaps) >= 12
    assert all(p.packet for p in gaps[:12])
    assert any("on the way, at the end of a key frame" in p.text for p in gaps)
    assert [p.time_ns for p in proofs] == sorted((p.time_ns for p in proofs), reverse=True)


def test_stutter_is_told_for_each_buffer_that_would_have_run_dry() -> None:
    picture = dict(sections_of("lab/udp-h264-freeze5s.pcap")["PICTURE"])
    assert picture["stutter 500 ms"] == "once, 4.5 s with such a buffer"
    healthy = dict(sections_of("lab/udp-h264.pcap")["PICTURE"])
    assert healthy["stutter"] == "none with a buffer of 50 ms or more"


def test_dialogue_is_shown_without_what_was_answered_to_the_challenge() -> None:
    for name in ("lab/gst-udp-digest.pcap", "lab/gst-udp-basic.pcap"):
        detail = detail_for(name)
        assert any("401" in proof.text for proof in detail.evidence)
        whole = f"{detail.sections} {detail.evidence} {detail.explained}".lower()
        for secret in ("response=", "nonce=", "password", "basic ywrt", "authorization:"):
            assert secret not in whole


def test_three_kinds_of_loss_are_told_apart() -> None:
    places = dict(sections_of("lab/udp-h264-loss2pct.pcap")["WHERE THE LOSS IS"])
    assert (places["on the way"], places["by this tool"]) == ("48", "0")
    places = dict(sections_of("variants/v-tcp-captureloss.pcap")["WHERE THE LOSS IS"])
    assert places["in the camera"].startswith("0 ")
    assert places["by this tool"].endswith("(its own capture missed them)")
    assert "on the way" not in places
    assert "WHERE THE LOSS IS" not in sections_of("lab/gst-udp-digest.pcap")


def test_numbers_that_missed_packets_touch_carry_a_question_mark() -> None:
    sections = sections_of("variants/v-tcp-captureloss.pcap")
    assert sections["PICTURE"][0][1].startswith("? this tool missed packets")
    network = dict(sections["NETWORK"])
    for label in ("lost", "jitter", "frame jitter", "longest wait"):
        assert network[label].endswith(" ?"), label
    clean = sections_of("lab/udp-h264.pcap")
    assert not [text for lines in clean.values() for _, text in lines if text.endswith(" ?")]
