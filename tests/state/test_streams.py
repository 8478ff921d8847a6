"""The stream book: windows and histories follow every second that is told, early or late."""

from __future__ import annotations

import numpy as np

from panotui.model import (
    SECOND,
    STREAM_CODECS,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    Rows,
    StreamFreeze,
)
from panotui.state.streams import WAY_MAX, StreamBook, StreamState

START_S = 1_790_000_000


def stream_rows(packets: int) -> Rows:
    rows = np.zeros(1, STREAM_DTYPE)
    rows["id"], rows["version"], rows["transport"] = 7, 4, 17
    rows["src"][0, :4] = (10, 20, 0, 11)
    rows["dst"][0, :4] = (10, 20, 0, 5)
    rows["first_ns"], rows["last_ns"] = START_S * SECOND, (START_S + 9) * SECOND
    rows["packets"] = packets
    return rows


def second_rows(**columns: list[int]) -> Rows:
    rows = np.zeros(len(columns["second"]), STREAM_SECOND_DTYPE)
    rows["stream"] = 7
    for name, values in columns.items():
        rows[name] = values
    return rows


def book_of(rows: Rows) -> tuple[StreamBook, StreamState]:
    book = StreamBook(8)
    (state,) = book.update(0, stream_rows(10), rows, (START_S + 3) * SECOND)
    return book, state


def test_a_second_told_late_changes_a_window_that_was_asked_before() -> None:
    now = (START_S + 3) * SECOND
    book, state = book_of(
        second_rows(second=[START_S, START_S + 2], expected=[100, 50], lost=[0, 5])
    )
    assert state.window(now, 30, "lost") == 5
    assert state.loss_now(now) == 5 / 150
    book.update(
        0, stream_rows(20), second_rows(second=[START_S + 1], expected=[50], lost=[15]), now
    )
    assert state.window(now, 30, "lost") == 20
    assert state.loss_now(now) == 20 / 200


def test_a_window_moves_with_time() -> None:
    _, state = book_of(second_rows(second=[START_S, START_S + 2], bytes=[1000, 500]))
    assert state.window((START_S + 3) * SECOND, 10, "bytes") == 1500
    assert state.window((START_S + 11) * SECOND, 10, "bytes") == 500
    assert state.window((START_S + 60) * SECOND, 10, "bytes") == 0


def test_windows_that_run_along_are_what_they_would_be_added_up_anew() -> None:
    draw = np.random.default_rng(5)
    told: dict[int, int] = {}
    book, state = book_of(second_rows(second=[START_S], bytes=[1]))
    told[START_S] = 1
    now_s = START_S
    for _ in range(400):
        now_s += int(draw.choice([0, 1, 1, 1, 2, 40]))
        second, size = now_s - int(draw.integers(0, 5)), int(draw.integers(0, 1000))
        told[second] = size
        rows = second_rows(second=[second], bytes=[size])
        book.update(0, stream_rows(20), rows, now_s * SECOND)
        for span_s in (10, 30):
            want = sum(told.get(s, 0) for s in range(now_s - span_s, now_s + 1))
            assert state.window(now_s * SECOND, span_s, "bytes") == want


def test_histories_have_gaps_where_nothing_was_told() -> None:
    book, state = book_of(
        second_rows(
            second=[START_S, START_S + 2], bytes=[1000, 500], lost=[1, 2], frames=[25, 24],
            frame_bytes_max=[900, 800], keyframes=[1, 0],
        )
    )  # fmt: skip
    record = book.record(state, (START_S + 4) * SECOND)
    assert record.history_bps == (8000.0, None, 4000.0, None)
    assert record.history_lost == (1, None, 2, None)
    assert record.history_frames == (25, None, 24, None)
    assert record.history_frame_bytes == (900, None, 800, None)
    assert record.history_keyframes == (1, None, 0, None)
    assert book.record(state, START_S * SECOND).history_bps == ()


def test_rows_that_change_under_the_meter_do_not_change_what_is_kept() -> None:
    rows = stream_rows(10)
    book = StreamBook(8)
    (state,) = book.update(0, rows, np.zeros(0, STREAM_SECOND_DTYPE), START_S * SECOND)
    rows["packets"], rows["src"] = 99, 0
    assert state.row.packets == 10
    assert state.src == "10.20.0.11"


def frozen_at(last_ns: int) -> StreamFreeze:
    return StreamFreeze(
        time_ns=last_ns + 3 * SECOND, packet=9, interface=0, flow=0, stream=7, start_ns=last_ns,
        seconds=3.0, kind="silence",
    )  # fmt: skip


def test_freeze_that_goes_on_is_as_long_as_it_has_lasted_and_ends_with_its_stream() -> None:
    rows = stream_rows(10)
    last = int(rows["last_ns"][0])
    book, state = book_of(second_rows(second=[START_S]))
    book.observe(frozen_at(last), 0)
    for seconds in (3, 7):
        book.judge_states(last + seconds * SECOND)
        assert [f.seconds for f in state.freezes] == [seconds]
    rows["end"] = 1
    book.update(0, rows, np.zeros(0, STREAM_SECOND_DTYPE), last + 8 * SECOND)
    book.judge_states(last + 30 * SECOND)
    assert [f.seconds for f in state.freezes] == [7]


def test_two_sources_that_speak_in_turns_on_one_port_are_both_streaming() -> None:
    book, first = book_of(second_rows(second=[START_S]))
    other = stream_rows(10)
    other["id"] = 8
    other["first_ns"] += SECOND
    other["last_ns"] += 10_000_000
    (second,) = book.update(0, other, np.zeros(0, STREAM_SECOND_DTYPE), START_S * SECOND)
    book.judge_states((START_S + 10) * SECOND)
    assert (first.state, second.state) == ("streaming", "streaming")
    other["id"], other["first_ns"] = 9, (START_S + 10) * SECOND
    other["last_ns"] = (START_S + 10) * SECOND + 1
    book.update(0, other, np.zeros(0, STREAM_SECOND_DTYPE), START_S * SECOND)
    book.judge_states((START_S + 11) * SECOND)
    assert (first.state, second.state) == ("ended", "ended")


def test_key_frames_of_a_codec_that_is_not_read_are_unknown_and_not_none() -> None:
    rows = stream_rows(10)
    rows["frames"] = 5
    for codec, media, keyframes in (
        ("H264", "video", 0),
        ("VP8", "video", None),
        ("H263", "video", None),
        (None, None, None),
    ):
        rows["codec"] = STREAM_CODECS.index(codec)
        book = StreamBook(8)
        (state,) = book.update(0, rows, np.zeros(0, STREAM_SECOND_DTYPE), START_S * SECOND)
        record = book.record(state, START_S * SECOND)
        assert (record.codec, record.media, record.keyframes) == (codec, media, keyframes)
        assert record.frames == 5


def test_video_whose_interval_is_not_known_yet_has_longer_until_it_is_frozen() -> None:
    for nominal, wanted in ((25.0, ["frozen", "frozen"]), (np.nan, ["streaming", "frozen"])):
        rows = stream_rows(3)
        rows["codec"] = STREAM_CODECS.index("H264")
        rows["fps_nominal"] = nominal
        book = StreamBook(8)
        (state,) = book.update(0, rows, np.zeros(0, STREAM_SECOND_DTYPE), START_S * SECOND)
        found = []
        for seconds in (3, 7):
            book.judge_states(int(rows["last_ns"][0]) + seconds * SECOND)
            found.append(state.state)
        assert found == wanted


def test_the_rate_is_unknown_until_a_whole_second_was_seen() -> None:
    """A stream that began at .8 of a second would show a fifth of its bit-rate."""
    book, _ = book_of(second_rows(second=[START_S], bytes=[1000]))
    rows = stream_rows(30)
    rows["first_ns"] += 800_000_000
    seconds = second_rows(second=[START_S, START_S + 1], bytes=[100, 500])
    partial = StreamBook(8)
    partial.update(0, rows, seconds, (START_S + 2) * SECOND)
    (record,) = book.records((START_S + 1) * SECOND)
    assert record.rate_bps == 8000.0
    (record,) = partial.records((START_S + 1) * SECOND)
    assert record.rate_bps is None
    (record,) = partial.records((START_S + 2) * SECOND)
    assert record.rate_bps == 4000.0
    (record,) = partial.records((START_S + 3) * SECOND)
    assert record.rate_bps == 0.0


def test_rate_that_halves_in_the_middle_of_half_a_minute_is_learnt_all_the_same() -> None:
    row = np.zeros(1, STREAM_DTYPE)
    row["id"], row["frames"] = 5, 500
    row["first_ns"] = 900 * SECOND
    seconds = np.zeros(40, STREAM_SECOND_DTYPE)
    seconds["stream"], seconds["second"] = 5, 960 + np.arange(40)
    seconds["frames"] = [25] * 25 + [8] * 15  # as many of either among the last thirty
    book = StreamBook(4)
    book.update(0, row, seconds, 1000 * SECOND)
    (state,) = book.streams.values()
    state.learn_rate(1000 * SECOND)
    assert state.fps_learnt == 25


def test_way_that_begins_anew_again_and_again_keeps_its_newest_streams() -> None:
    book = StreamBook(1000)
    nothing = np.zeros(0, STREAM_SECOND_DTYPE)
    for number in range(3 * WAY_MAX):
        row = np.zeros(1, STREAM_DTYPE)
        row["id"], row["flow"], row["last_ns"] = 1 + number, 7, (100 + number) * SECOND
        book.update(0, row, nothing, (100 + number) * SECOND)
    assert len(book.streams) == WAY_MAX
    assert max(state.row.id for state in book.streams.values()) == 3 * WAY_MAX
    assert book.evicted == 2 * WAY_MAX


def test_a_picture_for_which_no_packet_comes_has_no_frame_rate() -> None:
    rows = stream_rows(10)
    rows["fps_now"], rows["codec"] = 25.0, STREAM_CODECS.index("H264")
    book = StreamBook(8)
    last_s = START_S + 9
    (state,) = book.update(0, rows, second_rows(second=[last_s]), (last_s + 1) * SECOND)
    assert book.record(state, (last_s + 1) * SECOND).fps_now == 25.0
    book.judge_states((last_s + 60) * SECOND)
    assert state.state == "frozen"
    assert book.record(state, (last_s + 60) * SECOND).fps_now == 0.0
