"""The thresholds of the books: `thresholds.toml`, read once and typed.

`thresholds()` returns the file's values. Rules have their own file beside their sentences
(`diagnosis/thresholds.toml`), read by the same `parsed`.

Annotations are types here, not texts: msgspec would evaluate some 170 texts at each start (2 ms).
"""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec

_DAY_S = 86_400
_SECOND = 1_000_000_000

Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=30 * _DAY_S)]
WholeSeconds: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=30 * _DAY_S)]
Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=30 * _DAY_S * _SECOND)]
Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=1 << 48)]
Amount: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e12)]  # in the unit of its name
Share: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1)]


def _in_the_file(field: str) -> str:
    """A time that the code holds in nanoseconds is in seconds in the file."""
    return field[:-3] + "_s" if field.endswith("_ns") else field


class Table(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_in_the_file
):
    """A table of the file: one field per key; a missing or unknown key is rejected by name."""


class Beyond(Table, frozen=True):
    """Of `state.beyond`."""

    questions: Count
    forgotten_ns: Nanoseconds


class Blindness(Table, frozen=True):
    """Of `state.blindness`."""

    alive_ns: Nanoseconds
    settled_ns: Nanoseconds


class CameraMedia(Table, frozen=True):
    """Of `state.camera_media`."""

    awaited_ns: Nanoseconds
    early_ns: Nanoseconds
    astray_ns: Nanoseconds
    silent_ns: Nanoseconds
    play_silent_ns: Nanoseconds
    turned_away_ns: Nanoseconds
    cut_ns: Nanoseconds


class CameraRefusals(Table, frozen=True):
    """Of `state.camera_refusals`."""

    settles_ns: Nanoseconds
    unlogged_ns: Nanoseconds
    forgotten_ns: Nanoseconds
    passed_by_ns: Nanoseconds
    played_lately_ns: Nanoseconds
    stale_times: Count
    locked_ns: Nanoseconds
    locking_times: Count
    closing_ns: Nanoseconds


class CameraState(Table, frozen=True):
    """Of `state.camera_state`."""

    media_recent_ns: Nanoseconds
    media_awaited_ns: Nanoseconds
    torn_down_ns: Nanoseconds
    sealed_recent_ns: Nanoseconds
    unanswered_syns: Count


class CameraVain(Table, frozen=True):
    """Of `state.camera_vain`."""

    tries: Count
    falls: Count
    falls_back_ns: Nanoseconds
    waited_ns: Nanoseconds
    early_ns: Nanoseconds
    packets: Count
    pictures: Count


class Cameras(Table, frozen=True):
    """Of `state.cameras`."""

    sealed_bytes: Count


class Claims(Table, frozen=True):
    """Of `state.claims`."""

    asked_ns: Nanoseconds
    again_ns: tuple[int, int]
    row_ns: Nanoseconds
    sweep_ns: Nanoseconds
    neighbour_macs: Count


class Clock(Table, frozen=True):
    """Of `state.clock`."""

    answer_within_ns: Nanoseconds
    silent_requests: Count
    off_ms: Amount
    steady_after_ns: Nanoseconds
    steady_ns: Nanoseconds
    doubted_ns: Nanoseconds
    after_1970_ns: Nanoseconds


class Connects(Table, frozen=True):
    """Of `state.connects`."""

    syns: Count
    left_times: Count


class Endpoints(Table, frozen=True):
    """Of `state.endpoints`."""

    vain_lookups: Count


class Habits(Table, frozen=True):
    """Of `state.habits`."""

    hold_minutes: Count
    spreads: Amount
    told_minutes: Count
    days: Count
    minutes: Count
    streams_share: Share
    contacts: Count
    gaps: Amount
    gap_minutes: Count
    edge_minutes: Count
    gap_s: WholeSeconds


class Ladder(Table, frozen=True):
    """Of `state.ladder`."""

    syn_wait_ns: Nanoseconds
    answer_wait_ns: Nanoseconds
    patience_ns: Nanoseconds
    full_segment_bytes: Count
    large_again: Count
    ticket_bytes: Count
    leave_bytes: Count
    given_up_ns: Nanoseconds
    unanswered_ns: Nanoseconds
    syns: Count
    hello_again: Count


class Leases(Table, frozen=True):
    """Of `state.leases`."""

    copy_ns: Nanoseconds
    ages_ns: Nanoseconds
    offers_age_ns: Nanoseconds


class Lookups(Table, frozen=True):
    """Of `state.lookups`."""

    repeated_ns: Nanoseconds


class Ports(Table, frozen=True):
    """Of `state.ports`."""

    silent_ns: Nanoseconds


class Resolvers(Table, frozen=True):
    """Of `state.resolvers`."""

    answer_within_ns: Nanoseconds
    slow_ms: Amount
    repeated_ns: Nanoseconds
    again_ns: Nanoseconds
    pair_ns: Nanoseconds
    error_names: Count
    outage_queries: Count
    outage_ns: Nanoseconds
    outages_few: Count


class Rungs(Table, frozen=True):
    """Of `state.rungs`."""

    asked_in_vain: Count
    recent_ns: Nanoseconds


class Streams(Table, frozen=True):
    """Of `state.streams`."""

    loss_window_s: WholeSeconds
    learnt_s: WholeSeconds
    losing_share: Share
    losing_over_share: Share
    losing_much_share: Share
    lost_packets: Count
    lost_few_packets: Count
    calm_s: WholeSeconds
    slow_share: Share
    slow_over_share: Share
    frozen_s: Seconds
    taken_ns: Nanoseconds
    told_ns: Nanoseconds
    unknown_interval_s: Seconds
    steady_pictures: Amount
    near_share: Share
    intervals: Count


class Tracking(Table, frozen=True):
    """Of `state.tracking`."""

    hung_up_ns: Nanoseconds
    sealed_bytes: Count


class MirrorShare(Table, frozen=True):
    """Of `state.mirror_share`."""

    flows: Count
    times: Count
    recent_ns: Nanoseconds
    least_share: Share
    chance: Share


class ReaderReports(Table, frozen=True):
    """Of `state.reader_reports`."""

    reports: Count
    recent_ns: Nanoseconds
    share: Share
    agree_share: Share


class Turning(Table, frozen=True):
    """Of `state.turning`."""

    plain_ns: Nanoseconds
    busy_pairs: Count
    busy_packets: Count
    together_s: WholeSeconds
    spread: Count
    repeated_s: WholeSeconds
    apart_s: WholeSeconds
    questions: Count
    alone: Count
    alone_least: Count
    alone_ns: Nanoseconds
    proofs: Count


class Visibility(Table, frozen=True):
    """Of `state.visibility`."""

    proofs: Count
    packets: Count
    certain_packets: Count
    plain_ns: Nanoseconds
    back_ns: Nanoseconds
    missed_ns: Nanoseconds
    missed_share: Share
    snapped_packets: Count
    snapped_share: Share
    bare_flows: Count


class Thresholds(Table, frozen=True):
    """One field per table of thresholds.toml."""

    beyond: Beyond
    reader_reports: ReaderReports
    blindness: Blindness
    camera_media: CameraMedia
    camera_refusals: CameraRefusals
    camera_state: CameraState
    camera_vain: CameraVain
    cameras: Cameras
    claims: Claims
    clock: Clock
    connects: Connects
    endpoints: Endpoints
    habits: Habits
    ladder: Ladder
    leases: Leases
    mirror_share: MirrorShare
    lookups: Lookups
    ports: Ports
    resolvers: Resolvers
    rungs: Rungs
    streams: Streams
    tracking: Tracking
    turning: Turning
    visibility: Visibility


Kind = TypeVar("Kind", bound=Table)


def _nanoseconds(table: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The table with fields in nanoseconds converted from seconds, nested tables included."""
    out = dict(table)
    if any(isinstance(value, dict) for value in table.values()):
        for field in msgspec.structs.fields(kind):  # slow: only where there are tables
            value = table.get(field.encode_name)
            if isinstance(value, dict):
                out[field.encode_name] = _nanoseconds(value, field.type)
        return out
    for name, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        if name != key and key in table:
            out[key] = _times_a_second(table[key])
    return out


def _times_a_second(value: object) -> object:
    if isinstance(value, list):
        return [_times_a_second(v) for v in value]
    return round(value * _SECOND) if isinstance(value, int | float) else value


def parsed(text: str, kind: type[Kind]) -> Kind:
    """The thresholds of a TOML text.

    Raises msgspec.ValidationError, with one line about the missing, unknown or invalid value.
    """
    return msgspec.convert(_nanoseconds(tomllib.loads(text), kind), kind)


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """The thresholds of thresholds.toml."""
    return parsed(Path(__file__).with_name("thresholds.toml").read_text("utf-8"), Thresholds)
