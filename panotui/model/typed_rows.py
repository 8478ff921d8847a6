"""Rows of the meters' tables as typed records, for all rooms above the meter.

`typed(rows, StreamRow)` makes them from a structured array once per tick, with plain Python values.
The type checker then finds a misspelt column, and reading a field costs a fifth of reading a numpy
scalar. The fields are those of the dtypes in `tables`, in the same order, and are documented there;
a test keeps both in step.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec

from panotui.model.arrays import Rows

Address: TypeAlias = bytes  # 16; a row has a field `bytes`


class StreamRow(msgspec.Struct, frozen=True, gc=False):
    """One row of `STREAM_DTYPE`: a stream as counted by its meter."""

    id: int
    flow: int
    session: int
    ssrc: int
    payload_type: int
    codec: int
    transport: int
    channel: int
    version: int
    signalled: int
    undeclared: int
    stray: int
    encrypted: int
    end: int
    src: Address
    dst: Address
    sport: int
    dport: int
    interface: int
    clock_rate: int
    first_ns: int
    last_ns: int
    first_packet: int
    last_packet: int
    packets: int
    bytes: int
    media_bytes: int
    expected: int
    lost: int
    lost_unique: int
    duplicates: int
    reordered: int
    gap_events: int
    longest_gap: int
    restarts: int
    ssrc_changes: int
    foreign: int
    capture_lost: int
    camera_dropped: int
    camera_gaps: int
    tail_lost: int
    jitter_ms: float
    jitter_mean_ms: float
    jitter_max_ms: float
    frame_jitter_ms: float
    frame_jitter_mean_ms: float
    frame_jitter_max_ms: float
    delta_min_ms: float
    delta_mean_ms: float
    delta_max_ms: float
    late_frame_max_ms: float
    bitrate_mean_bps: float
    bitrate_peak_bps: float
    frames: int
    keyframes: int
    markers: int
    damaged_frames: int
    fps: float
    fps_now: float
    fps_nominal: float
    fps_stamped: float
    stamp_rate: float
    catching_up: int
    gop_s: float
    gop_frames: int
    keyframe_last_ns: int
    frame_bytes_mean: float
    frame_bytes_max: int
    width: int
    height: int
    profile: int
    constraint: int
    level: int
    vui_fps: float
    freezes: int
    freeze_longest_s: float
    frozen_picture_s: float
    timestamp_jumps: int
    stalls_50ms: int
    stalls_200ms: int
    stalls_500ms: int
    stall_50ms_s: float
    stall_200ms_s: float
    stall_500ms_s: float
    sr_count: int
    rr_count: int
    sr_packets: int
    sr_lost: int
    rr_lost: int
    rr_fraction: float
    rr_jitter_ms: float
    rtt_ms: float
    camera_clock_offset_s: float
    drift_ppm: float
    stamp_first: int


class StreamSecond(msgspec.Struct, frozen=True, gc=False):
    """One row of `STREAM_SECOND_DTYPE`: a stream in one second."""

    stream: int
    second: int
    packets: int
    bytes: int
    expected: int
    lost: int
    frames: int
    keyframes: int
    frame_bytes_max: int
    jitter_ms: float
    frame_jitter_ms: float
    gap_max_ms: float
    capture_lost: int


class LinkSecond(msgspec.Struct, frozen=True, gc=False):
    """One row of `LINK_SECOND_DTYPE`: an Ethernet pair in one second."""

    interface: int
    src_mac: int
    dst_mac: int
    second: int
    packets: int
    bytes: int
    tagged: int
    ip4_src: int
    repeated: int
    repeated_bytes: int
    looped: int
    last_packet: int


Row = TypeVar("Row", StreamRow, StreamSecond, LinkSecond)


def typed(rows: Rows, kind: type[Row]) -> list[Row]:
    """(n,) rows of the dtype that `kind` mirrors, as records; addresses are 16 bytes."""
    if not len(rows):
        return []
    columns = [
        [value.tobytes() for value in rows[name]] if rows.dtype[name].shape else rows[name].tolist()
        for name in kind.__struct_fields__
    ]
    return [kind(*values) for values in zip(*columns, strict=True)]
