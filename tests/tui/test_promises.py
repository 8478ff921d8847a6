"""What the screen promises, and which tests hold it to that.

The twenty-five conventions of other tools stand in `test_conventions`, one test a number. The list
below has what goes beyond them. A test that is renamed or removed is missed here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONVENTIONS = 25

PROMISES: dict[str, tuple[str, ...]] = {
    "time strips: five states that differ without colour, an outage as what it was": (
        "tui/test_strips.py::test_five_states_differ_without_colour",
        "tui/test_strips.py::test_an_outage_is_drawn_as_what_it_was",
        "tui/test_strips.py::test_only_what_was_not_recorded_is_blank",
        "tui/test_strips.py::test_strips_have_an_axis_and_say_how_long_a_cell_is",
        "tui/test_strips.py::test_plus_and_minus_zoom",
        "tui/test_strips.py::test_brackets_move_a_cursor_and_tell_what_was_open_then",
        "tui/test_strips.py::test_a_review_draws_the_same_strips_as_its_time_line",
    ),
    "curves of a stream with axis and scale, and when it stood still": (
        "tui/test_chart.py::test_a_curve_is_as_wide_and_high_and_blank_where_nothing_is_known",
        "tui/test_room.py::test_a_picture_that_stood_still_is_marked_below_the_curves",
    ),
    "each detail begins with state, finding and action, and says nothing twice": (
        "tui/test_details.py::test_a_detail_begins_with_state_since_cause_and_action",
        "tui/test_details.py::test_evidence_stands_before_numbers_newest_first_with_its_age",
        "tui/test_details.py::test_an_action_is_never_cut_before_its_host_name",
        "tui/test_details.py::test_bad_rows_come_first_in_every_pane",
        "tui/test_details.py::test_a_black_camera_heads_the_streams",
        "tui/test_details.py::test_w_saves_the_packets_and_y_then_copies_the_tshark_command",
        "tui/test_never_wrong.py::test_a_detail_says_each_sentence_once",
        "tui/test_details.py::test_what_was_also_seen_comes_newest_first",
    ),
    "commands, completion, footers, help, hints, order, units, times, masking": (
        "tui/test_discovery.py::test_colon_lists_all_commands_with_their_keys",
        "tui/test_discovery.py::test_tab_completes_fields_and_values_that_are_there",
        "tui/test_discovery.py::test_an_error_is_marked_in_its_place_and_the_count_stays",
        "tui/test_discovery.py::test_filters_that_were_used_are_offered_again",
        "tui/test_discovery.py::test_footers_show_working_keys_with_their_words_at_80x24",
        "tui/test_discovery.py::test_a_footer_never_names_a_key_that_does_nothing",
        "tui/test_discovery.py::test_every_state_that_a_pane_shows_is_explained",
        "tui/test_discovery.py::test_the_first_start_shows_three_hints_once",
        "tui/test_discovery.py::test_the_sort_column_is_marked_from_the_start",
        "tui/test_discovery.py::test_help_explains_the_states_marks_and_filter_fields_of_the_pane",
        "tui/test_session.py::test_a_frozen_screen_holds_one_moment_for_all_panes",
        "tui/test_discovery.py::test_o_holds_the_order_while_numbers_change",
        "tui/test_discovery.py::test_n_shows_names_addresses_or_both",
        "tui/test_discovery.py::test_b_shows_bits_or_bytes_everywhere",
        "tui/test_discovery.py::test_capital_t_shows_local_times_ages_or_utc",
        "tui/test_discovery.py::test_x_masks_names_and_addresses_everywhere_and_consistently",
        "commands/test_redact.py::test_nobody_can_be_known_from_the_answer",
    ),
    "settings, columns, themes, mouse": (
        "tui/test_settings.py::test_panotui_config_prints_checks_and_says_where_the_file_is",
        "tui/test_settings.py::test_what_is_not_understood_is_named_with_its_line",
        "tui/test_settings.py::test_columns_are_chosen_on_the_screen_and_remembered",
        "tui/test_settings.py::test_every_theme_has_a_contrast_of_at_least_four_and_a_half",
        "tui/test_settings.py::test_the_background_is_read_from_what_the_terminal_answers",
        "tui/test_settings.py::test_a_click_chooses_a_row_and_a_second_one_opens_it",
        "tui/test_settings.py::test_a_click_on_a_panes_name_shows_it_and_one_on_a_strip_moves_the_cursor",
    ),
    "never a wrong impression": (
        "tui/test_never_wrong.py::test_a_slow_stream_is_not_called_losing",
        "tui/test_never_wrong.py::test_the_words_for_reachable_say_whom_they_count",
        "tui/test_never_wrong.py::test_marking_the_only_error_as_known_does_not_say_that_nothing_was_seen",
        "tui/test_never_wrong.py::test_nothing_is_lost_before_us_when_nothing_is_lost",
        "diagnosis/test_security_rules.py::test_a_violation_and_its_finding_are_as_severe",
        "tui/test_never_wrong.py::test_events_stand_in_the_order_of_their_time",
        "tui/test_strips.py::test_the_end_of_the_time_line_is_read_whatever_the_place",
        "tui/test_never_wrong.py::test_a_collector_that_stalls_is_not_said_to_have_stopped",
        "tui/test_never_wrong.py::test_a_recorder_that_comes_back_is_attached_again_and_by_r_at_once",
        "tui/test_never_wrong.py::test_a_demo_that_begins_again_says_so_and_keeps_what_is_open",
        "tui/test_never_wrong.py::test_a_round_trip_is_never_nothing",
        "tui/test_never_wrong.py::test_ages_go_on_with_time",
        "tui/test_never_wrong.py::test_a_flow_is_named_by_its_addresses",
        "tui/test_never_wrong.py::test_dns_questions_and_scans_do_not_fill_the_flows",
        "tui/test_never_wrong.py::test_a_name_is_cut_once_and_wider_where_there_is_room",
        "tui/test_never_wrong.py::test_trouble_lasts_since_it_began_and_not_since_the_stream_did",
        "state/test_streams.py::test_a_picture_for_which_no_packet_comes_has_no_frame_rate",
        "tui/test_details.py::test_a_time_in_a_sentence_is_that_of_the_screens_clock",
        "tui/test_never_wrong.py::test_all_is_not_called_well_while_something_starts_or_was_not_seen",
        "tui/test_never_wrong.py::test_the_one_black_camera_of_a_hundred_is_seen_and_none_goes_uncounted",
        "tui/test_never_wrong.py::test_a_notice_is_never_cut_before_what_to_do",
        "tui/test_never_wrong.py::test_a_page_that_has_not_come_says_so",
        "tui/test_strips.py::test_a_recording_of_any_length_fills_its_time_line",
    ),
    "a large screen uses its room": (
        "tui/test_room.py::test_a_large_overview_has_answers_strips_newest_events_and_a_detail",
        "tui/test_room.py::test_a_short_list_on_a_large_screen_has_the_strips_below_it",
        "tui/test_room.py::test_sections_of_a_detail_stand_side_by_side_where_they_fit",
        "tui/test_room.py::test_host_names_are_whole_at_200x60",
    ),
    "a slow line loses nothing and keeps keys quick": (
        "tui/test_pty.py::test_on_a_slow_link_the_rate_falls_and_keys_stay_quick",
        "tui/test_pty.py::test_bytes_per_second_to_the_terminal_stay_within_their_goal",
        "tui/test_app.py::test_the_answer_to_a_key_is_the_keys_picture",
        "tui/test_session.py::test_a_key_is_not_undone_by_the_answer_to_an_older_request",
        "tui/test_session.py::test_a_message_stands_for_seconds_from_when_it_is_drawn",
        "tui/test_session.py::test_keys_for_time_strips_wait_for_the_strips",
        "tui/test_terminal.py::test_a_report_in_two_reads_is_still_a_report",
        "tui/test_terminal.py::test_keys_typed_while_the_background_is_asked_for_are_kept",
    ),
    "from a fault to its action in three keys; man page and completion": (
        "lab/test_journeys.py::test_a_fault_is_read_with_its_action_within_seconds_and_three_keys",
        "lab/test_journeys.py::test_w_on_a_live_screen_writes_the_packets_of_a_leak",
        "tui/test_conventions.py::test_23_there_is_a_man_page_and_completion_made_from_the_help",
    ),
}  # fmt: skip


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_has_its_tests(promise: str) -> None:
    for named in PROMISES[promise]:
        path, _, name = named.partition("::")
        assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8"), named


def test_each_convention_has_a_test_by_its_number() -> None:
    text = (TESTS / "tui" / "test_conventions.py").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^def test_(\d\d)_", text, re.MULTILINE)]
    assert numbers == list(range(1, CONVENTIONS + 1))
