from __future__ import annotations

import csv
from pathlib import Path

import pytest

from panotui.feed.codec import answer_reassembler, pack
from panotui.model import ViolationRecord
from panotui.views.frames import FRAME_BYTES_MAX, Command, Frame, View
from panotui.views.provider import StateProvider
from panotui.views.subjects import PANES
from tests.views.records import FixedState, flow


class Notes:
    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def mark(self, time_ns: int, text: str) -> None:
        self.said.append(("mark", text))

    def known(self, key: str, is_known: bool) -> None:
        self.said.append(("known", key, is_known))


class Editor:
    def accept(self, violation: ViolationRecord) -> str:
        return f"accepted {violation.host}"

    def undo(self) -> str:
        return "undone"


@pytest.fixture
def provider(tmp_path: Path) -> StateProvider:
    return StateProvider(
        FixedState(), "live", notebook=Notes(), site_editor=Editor(), export_folder=tmp_path
    )


@pytest.mark.parametrize("pane", PANES)
def test_every_pane_makes_a_frame_that_survives_the_wire(
    provider: StateProvider, pane: str
) -> None:
    frame = provider.frame(View(pane=pane, rows=200))
    raw = pack(frame)
    assert len(raw) < FRAME_BYTES_MAX / 4
    assert answer_reassembler().feed(raw) == [frame]


def test_a_page_of_flows_is_sorted_followed_and_bounded(provider: StateProvider) -> None:
    view = View(pane="flows", sort="bytes", reverse=True, first=480, rows=50, follow="0-3")
    frame = provider.frame(view)
    assert (frame.total, frame.matched, frame.first) == (500, 500, 450)
    assert frame.follow_row == 497
    assert frame.flows[-1].id == "0-1"
    assert len(provider.frame(View(pane="flows", rows=100_000)).flows) == 200


def test_unknown_values_come_last_whichever_way_it_is_sorted(provider: StateProvider) -> None:
    for reverse in (False, True):
        frame = provider.frame(View(pane="flows", sort="rtt", reverse=reverse, first=400, rows=100))
        assert all(f.rtt_ms is None for f in frame.flows)


def test_a_wrong_filter_leaves_the_rows_and_says_why(provider: StateProvider) -> None:
    for pane in ("flows", "violations"):
        frame = provider.frame(View(pane=pane, filter="nonsense:1"))
        assert frame.filter_error is not None
        assert "nonsense" in frame.filter_error
        assert frame.matched == frame.total


def test_cameras_without_a_stream_are_shown_beside_the_streams(provider: StateProvider) -> None:
    frame = provider.frame(View(pane="streams"))
    assert [c.name for c in frame.cameras] == ["yard"]
    assert [s.camera for s in frame.streams] == ["gate", "dock"]
    assert all(len(s.history_bps) <= 60 for s in frame.streams)


@pytest.mark.parametrize(
    ("key", "sections"),
    [
        ("flow:0-3", {"VERDICT", "NAMES", "TRAFFIC", "TCP", "ETHERNET"}),
        ("stream:0-dock", {"PICTURE", "NETWORK"}),
        ("camera:dock", {"CAMERA", "STREAMS"}),
        ("endpoint:logs/logs.x/443", {"ENDPOINT"}),
        ("violation:v1", {"WHAT HAPPENED", "NEAREST RULES", "WHY"}),
        ("finding:endpoint-blocked logs", {"WHEN"}),
        ("event:3", {"EVENT"}),
        ("port:eth0", {"PORT", "TRAFFIC"}),
    ],
)
def test_everything_has_a_detail_with_its_sections(
    provider: StateProvider, key: str, sections: set[str]
) -> None:
    detail = provider.frame(View(detail=key)).detail
    assert detail is not None
    assert not detail.gone
    assert detail.key == key
    assert sections <= {section.title for section in detail.sections}
    assert detail.copy
    for _, target in detail.links:
        linked = provider.frame(View(detail=target)).detail
        assert linked is not None
        assert not linked.gone


def test_a_flows_detail_says_nothing_twice(
    provider: StateProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [("verdict", "allowed, pending the name"), ("rule", "r"), ("why", "w"), ("why", "x")]
    monkeypatch.setattr(provider.state, "explain_flow", lambda flow_id: told)
    detail = provider.frame(View(detail="flow:0-3")).detail
    assert detail is not None
    verdict = next(section for section in detail.sections if section.title == "VERDICT")
    assert [line for line in verdict.lines if line[0] != "reason"] == told


@pytest.mark.parametrize("key", ["flow:9", "camera:x", "nonsense", "", "event:1:2", "port:"])
def test_a_detail_of_what_is_not_there_is_gone_and_never_a_fault(
    provider: StateProvider, key: str
) -> None:
    detail = provider.frame(View(detail=key)).detail
    assert detail is not None
    assert detail.gone


def test_marking_as_known_shows_at_once_and_is_noted(provider: StateProvider) -> None:
    assert provider.command(Command(name="known", key="violation:v1")).ok
    assert provider.frame(View(pane="violations")).violations[0].known
    assert provider.command(Command(name="unknown", key="violation:v1")).ok
    assert not provider.frame(View(pane="violations")).violations[0].known
    assert not provider.command(Command(name="known", key="flow:0-1")).ok


def test_accepting_goes_to_the_site_editor(provider: StateProvider) -> None:
    assert provider.command(Command(name="accept", key="violation:v1")).text == (
        "accepted p2p.vendor.example"
    )
    assert provider.command(Command(name="undo")).text == "undone"
    assert not provider.command(Command(name="accept", key="violation:none")).ok
    assert not StateProvider(FixedState(), "live").command(Command(name="accept", key="v1")).ok


def test_an_export_holds_the_filtered_rows_and_no_formulas(
    provider: StateProvider, tmp_path: Path
) -> None:
    state = provider.state
    assert isinstance(state, FixedState)
    state.flows.append(flow(999, host="=HYPERLINK(1)"))
    done = provider.command(Command(name="export", key="flows", text="csv host:hyperlink"))
    assert done.ok, done.text
    (path,) = tmp_path.glob("*.csv")
    (row,) = csv.DictReader(path.open())
    assert row["host"] == "'=HYPERLINK(1)"
    assert provider.command(Command(name="export", key="violation:v1")).ok
    assert not provider.command(Command(name="export", key="../../etc/x")).ok
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["", "seek", "rm -rf", "\x1b[2J" * 50])
def test_an_unknown_command_is_answered_with_one_printable_line(
    provider: StateProvider, name: str
) -> None:
    done = provider.command(Command(name=name))
    assert not done.ok
    assert "\x1b" not in done.text


def test_frames_are_numbered_upwards(provider: StateProvider) -> None:
    frames = [provider.frame(View()) for _ in range(3)]
    assert all(isinstance(f, Frame) for f in frames)
    assert [f.number for f in frames] == [1, 2, 3]
