from __future__ import annotations

from typing import cast

import msgspec
import pytest

from panotui.model import SECOND
from panotui.tui import times
from panotui.tui.effects import Copy, Fetch, Help, Quit, Rate, Redraw, Send, Suspend
from panotui.tui.session import HELD_MAX
from panotui.tui.settings import Settings
from panotui.views.frames import Command, Done, Frame, View
from panotui.views.provider import StateProvider
from tests.tui import frames_builder
from tests.tui.frames_builder import NOW, Site, flow
from tests.tui.screens import Answering, Driven


@pytest.fixture
def plant() -> Driven:
    return Driven(frames_builder.plant())


@pytest.fixture
def large() -> Driven:
    return Driven(frames_builder.large())


def commands(driven: Driven) -> list[Command]:
    return [e.command for e in driven.effects if isinstance(e, Send)]


def views(driven: Driven) -> list[View]:
    return [request for request in driven.site.asked if isinstance(request, View)]


# ------------------------------------------------------------ the cursor


def test_the_cursor_stays_on_its_row_when_the_table_is_sorted_anew(large: Driven) -> None:
    large.press("2", "down", "down", "down")
    before = large.session.place.key
    large.press("s", "s", "s", "s", "s")
    assert large.session.place.key == before
    assert before is not None
    row = next(f for f in large.site.flows if f"flow:{f.id}" == before)
    assert (row.host or "")[:5] in large.cursor()


def test_the_cursor_stays_on_its_row_while_rows_are_reshuffled(large: Driven) -> None:
    large.press("2", *["down"] * 5)
    key = large.session.place.key
    for _ in range(5):
        large.site.advance()
        large.fetch()
        assert large.session.place.key == key
        assert large.cursor()


def test_the_cursor_takes_the_neighbour_when_its_row_is_gone(plant: Driven) -> None:
    plant.press("2", "down")
    key = plant.session.place.key
    plant.site.flows = tuple(f for f in plant.site.flows if f"flow:{f.id}" != key)
    plant.fetch()
    plant.fetch()
    assert plant.session.place.key not in (None, key)
    assert plant.cursor()


def test_enter_and_escape_come_back_to_the_same_row(large: Driven) -> None:
    large.press("2", *["down"] * 7)
    key = large.session.place.key
    large.press("enter")
    large.site.advance()
    large.press("escape")
    assert large.session.place.key == key


def test_a_table_is_walked_from_its_top_to_its_end_a_window_at_a_time(large: Driven) -> None:
    large.press("2", "G")
    assert "4982-5000 of 5000" in large.lines()[1]
    large.press("up", "up")
    large.press("g")
    assert "1-19 of 5000" in large.lines()[1]
    large.press(*["down"] * 25)
    assert "8-26 of 5000" in large.lines()[1]
    large.press("pagedown")
    assert large.session.place.index == 43
    assert max(view.rows for view in views(large) if view.pane == "flows") <= 20


@pytest.mark.parametrize("keys", [["g"], ["pageup", "pageup"]])
def test_a_key_is_not_undone_by_the_answer_to_an_older_request(
    large: Driven, keys: list[str]
) -> None:
    """A key may come while an answer is on its way, which belongs to the place before it."""
    large.press("2", "G")
    older = large.session.view()
    for key in keys:
        large.session.press(key, key if len(key) == 1 else None, 100.0)
    wanted = large.session.place.first
    answer = large.site.answer(older)
    assert isinstance(answer, Frame)
    assert large.session.take(answer, 100.0)
    assert large.session.view().first == wanted < older.first
    large.fetch()
    assert large.session.place.first == wanted
    assert large.cursor()


def test_only_the_visible_rows_are_asked_for_at_every_size(large: Driven) -> None:
    large.press("2")
    large.session.resize(120, 40)
    large.fetch()
    large.fetch()
    assert views(large)[-1].rows == 35


def test_the_overview_cursor_moves_between_lines_and_beside(plant: Driven) -> None:
    plant.press("j", "j", "j", "j", "j")
    assert plant.session.place.key == "endpoint:logs/logs.us-east-1.amazonaws.com/443"
    plant.press("l")
    assert "IoT MQTT" in plant.cursor()
    plant.press("h", "G")
    assert plant.session.place.key == "finding:camera-internet/gate"
    plant.press("g")
    assert plant.session.place.key == "port:eth0"


# ------------------------------------------------------------ panes and details


def test_digits_and_tab_change_panes(plant: Driven) -> None:
    names = ["overview", "flows", "streams", "endpoints", "violations", "findings", "events"]
    for digit, name in enumerate([*names, "inventory"], 1):
        plant.press(str(digit))
        assert plant.session.pane == name
    plant.press("tab")
    assert plant.session.pane == "overview"
    plant.press("shift+tab")
    assert plant.session.pane == "inventory"


def test_a_detail_opens_its_links_and_q_goes_back_step_by_step(plant: Driven) -> None:
    plant.press("3", "down", "enter")
    assert "gate video" in plant.lines()[1]
    plant.press("enter")
    assert "camera gate" in plant.lines()[1]
    plant.press("q")
    assert "gate video" in plant.lines()[1]
    plant.press("escape")
    assert plant.lines()[1].startswith(" STREAMS")
    plant.press("5", "enter", "f")
    assert "tcp" in plant.lines()[1]
    plant.press("escape", "escape")
    assert plant.lines()[1].startswith(" VIOLATIONS")


def test_a_thing_that_is_gone_says_so(plant: Driven) -> None:
    plant.press("2", "enter")
    row = plant.lines()[3]
    plant.site.flows = ()
    plant.fetch()
    assert "Not there any more: this is how it was at 14:02:31." in plant.text()
    assert row in plant.lines()


def test_q_on_a_pane_quits_and_ctrl_c_ends_anywhere(plant: Driven) -> None:
    plant.press("q")
    assert plant.effects[-1] == Quit(0)
    plant.press("2", "/", "ctrl+c")
    assert plant.effects[-1] == Quit(130)


@pytest.mark.parametrize("way", [["2"], ["2", "enter"], ["3"], [":"], ["2", "/"], ["6", "enter"]])
def test_q_is_never_a_dead_key(plant: Driven, way: list[str]) -> None:
    plant.press(*way)
    before = plant.text()
    plant.press("q")
    assert plant.text() != before or isinstance(plant.effects[-1], Quit)


def test_redraw_suspend_and_help_are_left_to_the_terminal(plant: Driven) -> None:
    plant.press("ctrl+l", "ctrl+z", "?")
    assert plant.effects[-3:] == [Redraw(), Suspend(), Help()]


# ------------------------------------------------------------ filter, sort, port


def test_a_filter_shows_its_effect_while_it_is_typed_and_enter_keeps_it(plant: Driven) -> None:
    plant.press("2", "/").type("verdict:violation")
    assert "valid  2 of 6" in plant.text()
    plant.press("enter")
    assert "filter verdict:violation" in plant.lines()[1]
    assert "1-2 of 2 (all: 6)" in plant.lines()[1]


def test_escape_clears_the_filter(plant: Driven) -> None:
    plant.press("2", "/").type("app:tls").press("enter", "escape")
    assert plant.session.place.filter == ""
    plant.press("/").type("app:tls").press("escape")
    assert plant.session.place.filter == ""


def test_an_invalid_filter_says_why_and_is_not_asked_for(plant: Driven) -> None:
    plant.press("2", "/").type("verdikt:x")
    assert "invalid: unknown field verdikt:" in plant.text()
    plant.press("enter")
    assert "invalid" in plant.text()
    assert all("verdikt:" not in view.filter for view in views(plant))


def test_a_filter_that_fits_another_pane_only_is_invalid_here(plant: Driven) -> None:
    plant.press("2", "/").type("codec:h264")
    assert "invalid: codec: is not a field of this pane" in plant.text()


def test_sorting_by_a_number_begins_with_the_biggest_and_shows_its_arrow(large: Driven) -> None:
    large.press(":").type("sort rate").press("enter")
    assert views(large)[-1].sort is None  # the overview has no columns to sort by
    large.press("escape", "2", ":").type("sort rate").press("enter")
    assert (views(large)[-1].sort, views(large)[-1].reverse) == ("rate", True)
    assert "b/s out▼" in large.lines()[2] or "b/s ou▼" in large.lines()[2]
    large.press("S")
    assert views(large)[-1].reverse is False


def test_p_goes_through_the_ports(plant: Driven) -> None:
    plant.press("2", "p")
    assert views(plant)[-1].port == "eth0"
    assert "port eth0" in plant.lines()[1]
    plant.press("p", "p")
    assert views(plant)[-1].port is None


def test_reset_gives_the_pane_as_it_was(plant: Driven) -> None:
    plant.press("2", "s", "S", "p", "/").type("app:tls").press("enter", "r")
    last = views(plant)[-1]
    assert (last.sort, last.reverse, last.filter, last.port) == (None, False, "", None)


# ------------------------------------------------------------ freeze, copy, mark, export


def test_a_frozen_picture_says_how_far_behind_it_is(plant: Driven) -> None:
    plant.press("space")
    plant.now += 12
    assert "FROZEN -12 s" in plant.lines()[0]
    plant.press("space")
    assert "FROZEN" not in plant.lines()[0]


def test_a_frozen_screen_holds_one_moment_for_all_panes(plant: Driven) -> None:
    provider = StateProvider(plant.site, "live")
    driven = Driven(cast("Site", Answering(provider)))
    clock = driven.lines()[0][-13:]
    driven.press("space")
    panes = {pane: driven.press(pane).text() for pane in "12345678"}
    for _ in range(5):
        plant.site.advance()
    plant.site.flows = ()
    plant.site.findings = ()
    provider.forget_snapshot()
    for pane, text in panes.items():
        assert driven.press(pane).text() == text
        assert driven.lines()[0].endswith(clock)
    assert "FROZEN" in driven.lines()[0]
    driven.press("space", "6")
    assert not driven.lines()[0].endswith(clock)
    assert "No finding is open" in driven.text()


def test_a_frozen_screen_stays_when_the_demo_begins_again(plant: Driven) -> None:
    provider = StateProvider(plant.site, "demo")
    driven = Driven(cast("Site", Answering(provider)), 120, 40).press("space")
    panes = {pane: driven.press(pane).text() for pane in "1236"}
    provider.begin_again(Site(time_ns=plant.site.time_ns))
    for pane, text in panes.items():
        assert driven.press(pane).text() == text


def test_a_silent_collector_shows(plant: Driven) -> None:
    plant.now += 7
    assert "no news for 7 s" in plant.lines()[0]


def test_copy_says_what_was_copied(plant: Driven) -> None:
    plant.press("4", "y")
    assert plant.effects[-1] == Copy("logs.us-east-1.amazonaws.com:443")
    assert "copied: logs.us-east-1.amazonaws.com:443" in plant.text()


def test_m_marks_a_finding_as_known_and_takes_the_mark_away(plant: Driven) -> None:
    plant.press("6", "m")
    assert commands(plant)[-1].name == "known"
    assert "known" in plant.lines()[3] + plant.lines()[4] + plant.lines()[5]
    plant.press("m")
    assert commands(plant)[-1].name == "unknown"


def test_m_does_nothing_where_nothing_can_be_marked(plant: Driven) -> None:
    plant.press("2", "m", "a", "u")
    assert commands(plant) == []


def test_a_violation_is_accepted_by_its_key(plant: Driven) -> None:
    plant.press("5", "a", "u")
    assert [(c.name, c.key) for c in commands(plant)] == [("accept", "violation:v1"), ("undo", "")]


def test_export_names_the_table_and_its_filter_or_the_detail(plant: Driven) -> None:
    plant.press("2", "/").type("app:tls").press("enter", "e")
    assert (commands(plant)[-1].key, commands(plant)[-1].text) == ("flows", "csv app:tls")
    plant.press("6", "enter", "e")
    assert commands(plant)[-1].key.startswith("finding:")
    assert "export done" in plant.text()


# ------------------------------------------------------------ the command line


def test_orders_reach_what_keys_reach(plant: Driven) -> None:
    plant.press(":").type("findings").press("enter")
    assert plant.session.pane == "findings"
    plant.press(":").type("rate 4").press("enter")
    assert plant.effects[-1] == Rate(4.0)
    plant.press(":").type("mark switched the injector").press("enter")
    assert commands(plant)[-1] == Command(name="mark", text="switched the injector")
    plant.press(":").type("ascii").press("enter")
    assert "✔" not in plant.text()


def test_an_order_that_cannot_be_read_stays_on_the_line(plant: Driven) -> None:
    plant.press(":").type("nonsense").press("enter")
    assert "unknown command nonsense" in plant.text()
    plant.press("escape")
    assert "nonsense" not in plant.text()


# ------------------------------------------------------------ review


@pytest.fixture
def night() -> Driven:
    return Driven(frames_builder.review())


def test_a_key_finds_the_next_event_that_passes_the_filter(night: Driven) -> None:
    night.press(")")
    assert "say what with / first" in "\n".join(night.lines())
    assert not [c for c in commands(night) if c.name == "find-next"]
    night.press(":").type("events").press("enter")
    night.press("/").type("frozen").press("enter")
    night.press(")", "(")
    assert [(c.name, c.text) for c in commands(night)[-2:]] == [
        ("find-next", "frozen"), ("find-previous", "frozen"),
    ]  # fmt: skip


def test_a_gap_in_the_recording_is_blank(night: Driven) -> None:
    band = night.lines()[2]
    assert "        " in band[10:60]
    assert band.count("█") > 40


def test_review_keys_step_play_and_go_to_a_time(night: Driven) -> None:
    night.press("[")
    assert commands(night)[-1].time_ns == NOW - 10 * SECOND
    night.press("}", "<", ">", ",", ".", "space")
    assert [c.name for c in commands(night)[1:]] == [
        "seek", "previous-event", "next-event", "speed", "speed", "pause",
    ]  # fmt: skip
    assert commands(night)[4].value == 5.0
    night.press(":").type("09:30").press("enter")
    assert commands(night)[-1].name == "seek"
    assert night.lines()[0].rstrip().endswith("09:30:00 CET")


def test_space_freezes_nothing_in_a_review(night: Driven) -> None:
    night.press("space")
    assert not night.session.frozen


def test_compare_shows_what_differs_between_two_moments(night: Driven) -> None:
    night.press("c")
    night.site.endpoints = tuple(
        msgspec.structs.replace(e, state="reachable") for e in night.site.endpoints
    )
    night.press("]", "c")
    text = night.text()
    assert "COMPARED" in text
    assert "blocked > reachable" in text
    night.press("escape")
    assert "COMPARED" not in night.text()


# ------------------------------------------------------------ trust


def test_text_of_the_wire_is_never_markup_nor_escape(plant: Driven) -> None:
    plant.site.flows = (flow(1, host=frames_builder.HOSTILE, src=frames_builder.HOSTILE),)
    plant.session.resize(200, 60)
    plant.press("2")
    text = plant.text()
    assert "\x1b" not in text
    assert "[red]bold" in text.replace("…", "")


def test_no_data_is_never_drawn_as_well() -> None:
    text = Driven(frames_builder.nothing()).text()
    assert "✔" not in text
    assert "none seen yet" in text


def test_a_notice_takes_the_first_line_of_the_page(plant: Driven) -> None:
    plant.site.notice = "eth0 has gone: the capture waits for its return"
    plant.press("2")
    assert "eth0 has gone" in plant.lines()[1]
    assert plant.lines()[2].startswith(" FLOWS")
    assert len(plant.lines()) == 24


def test_unknown_keys_do_nothing(plant: Driven) -> None:
    before = plant.text()
    for key in ("f12", "ctrl+x", "Z", "é", "alt+q"):
        plant.press(key)
    assert plant.text() == before
    assert Fetch() not in plant.effects


# ------------------------------------------------------------ messages


def test_a_message_stands_for_seconds_from_when_it_is_drawn(plant: Driven) -> None:
    """A slow line may take longer for one picture than a message stands."""
    session = plant.session
    session.say("25 packets written", plant.now)
    plant.now += 20.0
    assert "25 packets written" in plant.text()
    session.drawn(plant.now)
    plant.now += 4.0
    assert "25 packets written" in plant.text()
    session.drawn(plant.now)  # another picture of it does not prolong it
    plant.now += 2.0
    assert "25 packets written" not in plant.text()


def test_a_message_that_names_a_file_far_down_is_whole(plant: Driven) -> None:
    folder = "/srv/customers/plant-7/2026/november/visit-of-the-technician-on-monday/morning/"
    name = "panotui-evidence-violation-vc16db3a4-20261201T025324Z.pcapng"
    done = Done(ok=True, text=f"25 packets (frame 13 shows it) written to {folder}{name}",
                path=folder + name)  # fmt: skip
    plant.session.told(done, plant.now)
    shown = plant.text()
    assert name in shown
    assert "(y copies a tshark command)" in " ".join(shown.split())


def test_a_message_that_was_never_drawn_is_no_news_after_a_minute(plant: Driven) -> None:
    plant.session.say("25 packets written", plant.now)
    plant.now += 61.0
    assert "25 packets written" not in plant.text()


def test_a_message_stands_as_long_as_its_writer_wants(plant: Driven) -> None:
    """An error in the settings is longer than what a key answers."""
    plant.session.say("config.toml: line 3: no key named xx", plant.now, stands_s=10.0)
    plant.now += 30.0
    plant.session.drawn(plant.now)
    plant.now += 9.0
    assert "no key named xx" in plant.text()
    plant.now += 2.0
    assert "no key named xx" not in plant.text()


def test_keys_for_time_strips_wait_for_the_strips(plant: Driven) -> None:
    session = plant.session
    session.resize(120, 40)  # the strips are asked for, and have not come
    assert session.press("left_square_bracket", "[", plant.now) == []
    session.press("left_square_bracket", "[", plant.now)
    session.press("plus", "+", plant.now)
    assert session.cursor_s is None
    plant.fetch()
    last = times.newest(session)
    assert last is not None
    assert Fetch() in session.release(plant.now)
    assert session.held == []
    newest = (NOW // SECOND - 1) // last.cell_s * last.cell_s
    assert session.cursor_s == newest - last.cell_s
    assert session.cell_s is not None


def test_keys_typed_ahead_keep_their_order_and_are_bounded(plant: Driven) -> None:
    session = plant.session
    session.press("3", "3", plant.now)
    for _ in range(3 * HELD_MAX):
        session.press("j", "j", plant.now)
    assert len(session.held) == HELD_MAX
    plant.fetch()
    session.release(plant.now)
    assert session.held == []
    assert session.place.index == len(plant.site.streams)  # a camera without stream comes first


def test_remapped_keys_wait_for_the_picture_too(plant: Driven) -> None:
    session = plant.session
    session.set_up(Settings(keys={"down": ("x",)}))
    session.press("3", "3", plant.now)
    session.press("x", "x", plant.now)
    assert session.held == [("x", "x")]
