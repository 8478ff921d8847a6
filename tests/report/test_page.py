"""The report's page, its Markdown and its plots: what they say, whatever the names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import (
    SECOND,
    CameraRecord,
    ClockRecord,
    EndpointRecord,
    EvidenceFileRecord,
    EvidenceRecord,
    FindingRecord,
    PortRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
    TimeServerRecord,
    ViolationRecord,
    WindowRecord,
)
from panotui.report import content, wording
from panotui.report.markdown import markdown
from panotui.report.page import page
from panotui.report.plots import Band, Sample, Series, folded, line_plot, nice_top, time_ticks
from panotui.report.story import Heading, History, Story
from panotui.report.wording import LocalTime
from panotui.state.strips import Cell, Run

START = 1_700_000_000
NS = START * SECOND
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=//evil.example/x onerror=go()>|](http://evil.example)"
)


def finding(**fields: Any) -> FindingRecord:
    given_fields: dict[str, Any] = {
        "id": "tcp-blocked", "severity": "error", "confidence": "likely", "subject": "logs",
        "text": "logs is blocked", "action": "Ask the firewall's owner",
        "evidence": (EvidenceRecord(time_ns=NS, packet=103, text="SYN, no answer"),),
        "first_time_ns": NS, "last_time_ns": NS + SECOND, "key": "tcp-blocked|logs",
    }  # fmt: skip
    return FindingRecord(**(given_fields | fields))


def violation(**fields: Any) -> ViolationRecord:
    given_fields: dict[str, Any] = {
        "id": "v1", "reason": "stream-leak", "severity": "error", "port": "eth0",
        "src": "10.20.0.12", "sport": 4000, "dst": "203.0.113.99", "dport": 443,
        "transport": "tcp", "host": "p2p.vendor.example", "first_time_ns": NS,
        "last_time_ns": NS, "packets": 53, "text": "Camera gate contacts the internet",
    }  # fmt: skip
    return ViolationRecord(**(given_fields | fields))


def stream(**fields: Any) -> StreamRecord:
    given_fields: dict[str, Any] = {
        "id": "0-1", "camera": "dock", "url": "rtsp://10.20.0.11/stream1", "ssrc": "0x1",
        "payload_type": 96, "codec": "H264", "transport": "udp", "src": "10.20.0.11",
        "sport": 5000, "dst": "10.20.0.5", "dport": 6000, "first_time_ns": NS,
        "last_time_ns": NS + 60 * SECOND, "packets": 990, "expected": 1000, "lost": 10,
    }  # fmt: skip
    return StreamRecord(**(given_fields | fields))


def series(name: str, values: Sequence[float | None], seconds: int = 1) -> Series:
    return Series(
        name, tuple(Sample(START + i * seconds, seconds, v) for i, v in enumerate(values))
    )


def story(**fields: Any) -> Story:
    snapshot = Snapshot(
        **(
            {
                "time_ns": NS + 60 * SECOND,
                "number": 1,
                "site": SiteRecord(name="plant-7"),
                "source": SourceRecord(packets=1000, bytes=1_000_000, first_time_ns=NS),
                "ports": (PortRecord(name="eth0", role="camera", state="up"),),
            }
            | fields
        )
    )
    history = History(
        {
            "rate": series("bit-rate", [2e6] * 60),
            "fps": series("frames/s", [25.0] * 60),
            "loss": series("loss", [0.0] * 60),
        }
    )
    return Story(
        snapshot=snapshot,
        ports={"eth0": History({"in": series("in", [1e6] * 60), "out": series("out", [1e5] * 60)})},
        cameras={s.camera or "": history for s in snapshot.streams},
        runs={"port:eth0": [Run(START, START + 60, Cell.WELL)]},
        start_s=START,
        end_s=START + 60,
        named="night.panotui",
        made_by="Panotui test",
        is_capture=True,
    )


class Reading(HTMLParser):
    """Tags, attributes and text of a page; complains of tags that are not closed."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def hostile_story(name: str = HOSTILE) -> Story:
    told = story(
        site=SiteRecord(name=name, region=name),
        ports=(PortRecord(name=name, neighbour=name, state=name),),
        cameras=(CameraRecord(name=name, address="10.20.0.11", user_agent_server=name),),
        streams=(stream(camera=name, url=name, codec=name, profile=name),),
        endpoints=(EndpointRecord(service="x", host=name, port=443, rule="r", detail=name),),
        violations=(violation(host=name, text=name, nearest=(name,)),),
        findings=(finding(text=name, action=name, detail=(name,)),),
        clock=ClockRecord(servers=(TimeServerRecord(address=name, scope=name),)),
    )
    history = History({"in": series("in", [1.0]), "out": series("out", [2.0])})
    return replace(
        told,
        named=name,
        ports={name: history},
        marks=((NS, name),),
        runs={f"camera:{name}": [Run(START, START + 60, Cell.DEAD)]},
        evidence=(
            EvidenceFileRecord(file=name, subject="", title=name, time_ns=NS, packets=1, bytes=1),
        ),
        heading=Heading(name, name, name),
    )


def harmless_story() -> Story:
    return hostile_story("harmless")


def test_the_page_needs_nothing_from_outside_and_no_script() -> None:
    text = page(story(findings=(finding(),), streams=(stream(),)))
    read = Reading(text)
    names = {tag for tag, _ in read.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    for _, attributes in read.tags:
        assert not set(attributes) & {"src", "href", "srcset", "action"}
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for t, a in read.tags if t == "meta" and "http-equiv" in a)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_names_from_the_wire_stay_text_on_the_page() -> None:
    read = Reading(page(hostile_story()))
    harmless = Reading(page(harmless_story()))
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in harmless.tags}
    assert len(read.tags) == len(harmless.tags)
    assert not any("onerror" in a for _, a in read.tags)
    assert read.text.count("<script>alert(1)</script>") >= 15


def test_names_from_the_wire_stay_text_in_markdown() -> None:
    text = markdown(hostile_story())
    assert "<script" not in text.replace("\\<", "")
    assert "](http" not in text.replace("\\]", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    heads = [i for i, line in enumerate(tables) if line.startswith("|---")]
    for head in heads:
        width = columns[head]
        rows = columns[head - 1 : next((h - 1 for h in heads if h > head), len(columns))]
        assert set(rows) == {width}


@pytest.mark.parametrize(
    ("fields", "level", "word", "text"),
    [
        ({"source": SourceRecord()}, "none", "Nothing seen", "not a single packet"),
        ({}, "ok", "All well", "Nothing to mend"),
        ({"ports": ()}, "none", "No appliance seen", "no stream"),
        ({"findings": (finding(),)}, "bad", "Needs action", "1 error."),
        ({"findings": (finding(severity="warning"),)}, "warn", "Needs action", "1 warning."),
        ({"findings": (finding(severity="info"),)}, "ok", "All well", "Nothing"),
        ({"findings": (finding(known=True),)}, "ok", "All well", "Nothing"),
        ({"findings": (finding(hidden_by="other"),)}, "ok", "All well", "Nothing"),
        (
            {"findings": (finding(cleared_time_ns=NS + SECOND),)},
            "warn", "Well now", "1 problem came and went",
        ),
        (
            {
                "findings": (finding(), finding(severity="warning")),
                "violations": (violation(),) * 2,
            },
            "bad", "Needs action", "1 error, 1 warning and 2 violations of the policy.",
        ),
    ],
)  # fmt: skip
def test_the_verdict_says_how_much_is_wrong(
    fields: dict[str, Any], level: str, word: str, text: str
) -> None:
    said = content.verdict(story(**fields))
    assert (said.level, said.word) == (level, word)
    assert text in said.text


def test_a_finding_stands_with_its_evidence_and_what_to_do() -> None:
    told = story(findings=(finding(detail=("control: other answers",)),))
    for text in (Reading(page(told)).text, markdown(told)):
        assert "logs is blocked" in text
        assert "Do: Ask the firewall's owner" in text
        assert "packet 103: SYN, no answer" in text
        assert "control: other answers" in text


def test_what_is_open_comes_before_what_is_over_and_what_is_only_good_to_know() -> None:
    told = story(
        findings=(
            finding(severity="info", text="FACT", subject="a"),
            finding(cleared_time_ns=NS, text="PAST", subject="b"),
            finding(text="OPEN", subject="c"),
        )
    )
    text = Reading(page(told)).text
    assert text.index("OPEN") < text.index("PAST") < text.index("FACT")


def test_what_was_missed_is_said_and_completeness_only_when_true() -> None:
    whole = content.limits_said(story())
    assert whole[0] == ("ok", "No packet was missed by this tool.")
    missed = story(
        source=SourceRecord(packets=900, lost=100, truncated=True),
        site=SiteRecord(one_way=True, inferred=("region",)),
        limits={"malformed": 3, "flows_evicted": 2, "something_new": 1, "flows_expired": 9},
    )
    said = " ".join(text for _, text in content.limits_said(missed))
    assert "missed 100 packets (10 % of all)" in said
    assert "ends inside a packet" in said
    assert "one direction only" in said
    assert "Guessed from traffic, for want of a site file: region." in said
    assert "3 packets could not be read" in said
    assert "2 flows were forgotten" in said
    assert "1 something new." in said
    assert "expired" not in said
    assert "No packet was missed" not in said


def test_a_filter_makes_nothing_complete_that_was_not() -> None:
    window = WindowRecord(filter="camera:gate")
    whole = [text for _, text in content.limits_said(story(window=window))]
    assert whole[0] == "Only what passes the filter camera:gate is told."
    assert whole[1] == "No packet was missed by this tool."
    cut = story(window=window, source=SourceRecord(packets=900, truncated=True))
    said = " ".join(text for _, text in content.limits_said(cut))
    assert said.startswith("Only what passes the filter camera:gate is told.")
    assert "ends inside a packet" in said
    assert "No packet was missed" not in said


def test_what_is_unknown_is_a_dash_and_never_zero() -> None:
    assert wording.lost_share(0, 0) == wording.UNKNOWN
    assert wording.rate(None) == wording.rate(float("nan")) == wording.UNKNOWN
    assert wording.milliseconds(None) == LocalTime().moment(None) == wording.UNKNOWN
    assert wording.per_cent(None) == wording.UNKNOWN


def test_an_ipv6_place_has_brackets() -> None:
    told = story(violations=(violation(src="2001:db8::1", dst="2001:db8::2"),))
    assert "[2001:db8::2]:443" in Reading(page(told)).text
    assert "\\[2001:db8::2\\]:443" in markdown(told)


# ------------------------------------------------------------------ plots


def drawn(*lines: Series, end_s: int = START + 60, **more: Any) -> ElementTree.Element:
    return ElementTree.fromstring(
        line_plot(lines, START, end_s, title="Rate", label=wording.rate, **more)
    )


def test_a_gap_breaks_the_line_and_is_shaded_not_drawn_as_zero() -> None:
    svg = drawn(series("in", [5.0] * 20 + [None] * 20 + [5.0] * 20))
    path = next(e.attrib["d"] for e in svg.iter("path"))
    assert path.count("M") == 2
    gaps = [e for e in svg.iter("rect") if e.attrib["class"] == "gap"]
    assert len(gaps) == 1
    share = float(gaps[0].attrib["width"]) / (720 - 52 - 8)
    assert share == pytest.approx(1 / 3, abs=0.01)


def test_a_second_that_was_zero_is_drawn_as_zero() -> None:
    svg = drawn(series("in", [5.0, 0.0, 5.0]), end_s=START + 3)
    assert not [e for e in svg.iter("rect") if e.attrib["class"] == "gap"]
    path = next(e.attrib["d"] for e in svg.iter("path"))
    assert path.count("M") == 1


def test_nothing_known_draws_nothing() -> None:
    assert line_plot([series("in", [None, None])], START, START + 2, title="x", label=str) == ""


def test_a_short_burst_in_a_long_night_stays_visible() -> None:
    night = 8 * 3600
    values: list[float | None] = [1.0] * night
    values[12_345] = 1000.0
    columns = folded(series("in", values), START, START + night, 480)
    assert max(c.highest for c in columns if c) == 1000.0
    assert all(c is not None for c in columns)
    svg = drawn(series("in", values), end_s=START + night)
    assert any(e.tag == "polygon" for e in svg.iter())
    assert len(ElementTree.tostring(svg)) < 40_000


def test_a_sample_of_a_minute_fills_its_minute() -> None:
    columns = folded(series("in", [4.0, 8.0], seconds=60), START, START + 120, 120)
    assert [c.mean for c in columns if c] == [4.0] * 60 + [8.0] * 60


def test_a_freeze_is_marked_with_its_words() -> None:
    svg = drawn(series("in", [1.0] * 60), bands=[Band(START + 10, START + 14, "<4 s>")])
    band = next(e for e in svg.iter("rect") if e.attrib["class"] == "band")
    assert band.findtext("title") == "<4 s>"


@given(
    st.lists(
        st.one_of(st.none(), st.just(float("nan")), st.floats(min_value=0, max_value=1e12)),
        max_size=80,
    ),
    st.integers(1, 200_000),
)
def test_any_series_gives_well_formed_markup_inside_its_box(
    values: list[float | None], length: int
) -> None:
    text = line_plot([series("in", values)], START, START + length, title="<&>", label=wording.rate)
    if not text:
        return
    svg = ElementTree.fromstring(text)
    for element in svg.iter("path"):
        numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", element.attrib["d"])]
        assert all(0 <= x <= 720 for x in numbers[::2])
        assert all(0 <= y <= 132 for y in numbers[1::2])


@given(st.floats(min_value=0, max_value=1e15))
def test_the_axis_ends_at_a_round_number_above_the_values(value: float) -> None:
    top = nice_top(value, 1.0)
    assert top * 1.0001 >= value
    assert top <= max(1.0, value) * 2.51


@given(st.integers(0, 4_000_000_000), st.integers(1, 40_000_000))
def test_time_ticks_are_few_and_inside(start_s: int, length: int) -> None:
    ticks = time_ticks(start_s, start_s + length, LocalTime())
    assert len(ticks) <= 7
    assert all(start_s <= t <= start_s + length for t, _ in ticks)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4, "4 s"),
        (61.93, "61.9 s"),
        (303, "5 min 3 s"),
        (28_800, "8 h"),
        (2_685_600, "31 d 2 h"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_every_record_that_a_snapshot_may_hold_is_shown_without_a_fault() -> None:
    bare = story(
        streams=(stream(camera=None, url=None, codec=None),),
        findings=(finding(evidence=()),),
        violations=(violation(sport=None, dport=None, host=None, port=None, severity="warning"),),
    )
    assert "streams of no known camera" in page(replace(bare, cameras={}))
    assert msgspec.json.encode(bare.snapshot)
    assert markdown(bare)
