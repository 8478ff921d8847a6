from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.model import (
    CameraRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.views.filter import FilterError, parse, safe_pattern
from tests.views.records import finding, flow, stream, violation

FLOWS = [flow(n) for n in range(1, 41)]


def ids(text: str) -> list[str]:
    return [f.id for f in parse(text).select(FLOWS, FlowRecord)]


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("", lambda f: True),
        ("verdict:violation", lambda f: f.verdict == "violation"),
        ("verdict:violation,pending", lambda f: f.verdict in ("violation", "pending")),
        ("!verdict:allowed", lambda f: f.verdict != "allowed"),
        ("port:443", lambda f: True),
        ("port:eth0", lambda f: f.port == "eth0"),
        ("port:40007", lambda f: f.sport == 40007),
        ("dst:203.0.113.0/28", lambda f: int(f.dst.rsplit(".", 1)[1]) < 16),
        ("host:HOST7.", lambda f: f.host == "host7.example"),
        ("host:/^host1[0-9]/", lambda f: bool(f.host) and f.host.startswith("host1") and
         f.host[5].isdigit()),
        ("rtt:>30", lambda f: f.rtt_ms is not None and f.rtt_ms > 30),
        ("bytes:<=1k", lambda f: f.bytes_out <= 1000),
        ("host7.example", lambda f: f.host == "host7.example"),
        ('"host7.example"', lambda f: f.host == "host7.example"),
        ("verdict:violation port:eth1 !host:host2.", lambda f: f.verdict == "violation"
         and f.port == "eth1" and f.host != "host2.example"),
        ("proto:tcp", lambda f: True),
    ],
)  # fmt: skip
def test_a_filter_keeps_exactly_the_rows_it_names(text: str, keeps: object) -> None:
    assert ids(text) == [f.id for f in FLOWS if keeps(f)]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour:red", "unknown field colour:"),
        ("verdict:", "value is missing"),
        ("!", "missing after !"),
        ("host:/abc", "/ is missing"),
        ('text:"abc', '" is missing'),
        ("dst:10.0.0.0/99", "not a network"),
        ("host:/(a+)+/", "repeating a group"),
        ("host:/(a|a)*/", "repeating a group"),
        ("host:/a*b*c*/", "at most two"),
        ("host:/(?=a)/", "(?:...)"),
        (r"host:/(a)\1/", "back-references"),
        ("host:/[/", "pattern"),
        ("codec:h264", "not a field of this pane"),
        ("x" * 301, "at most 300"),
        (" ".join(["a"] * 17), "at most 16"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why_in_one_line(text: str, said: str) -> None:
    with pytest.raises(FilterError) as caught:
        ids(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_filter_serves_every_pane() -> None:
    assert (
        parse("state:losing codec:h264")
        .select([stream("gate", 0, state="losing"), stream("dock", 0)], StreamRecord)[0]
        .camera
        == "gate"
    )
    assert parse("reason:stream-leak severity:error").select([violation()], ViolationRecord)
    assert parse("state:open text:firewall").select([finding()], FindingRecord)
    assert not parse("state:cleared").select([finding()], FindingRecord)


def complaint(text: str, kind: type) -> str:
    try:
        parse(text).select([flow(1)] if kind is FlowRecord else [], kind)
        parse(text).predicate(kind)
    except FilterError as error:
        return str(error)
    return ""


@given(
    st.text(max_size=60),
    st.sampled_from([FlowRecord, StreamRecord, CameraRecord, EndpointRecord, EventRecord]),
)
def test_any_text_is_a_filter_or_a_one_line_error(text: str, kind: type) -> None:
    assert "\n" not in complaint(text, kind).replace(text, "")


@given(st.text(alphabet="ab()[]*+?{}1,|^$.\\", max_size=30))
def test_a_pattern_that_is_taken_never_runs_away(text: str) -> None:
    try:
        pattern = safe_pattern(text)
    except FilterError:
        return
    began = time.process_time()
    pattern.search("a" * 200 + "b")
    pattern.search("ab" * 128)
    assert time.process_time() - began < 2.0


def test_a_slow_pass_over_many_rows_is_given_up() -> None:
    ticks = iter(float(n) for n in range(100))
    with pytest.raises(FilterError, match="too long"):
        parse("host:/a/").select(FLOWS, FlowRecord, clock=lambda: next(ticks))
