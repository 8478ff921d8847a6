"""The thresholds of the rules: `thresholds.toml`, read once and typed.

`thresholds()` returns the file's values. The books in `state/` have a file of the same form
(`state/thresholds.toml`).
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec

from panotui.state.thresholds import (
    Amount,
    Count,
    Nanoseconds,
    Seconds,
    Share,
    Table,
    WholeSeconds,
    parsed,
)


class CameraFate(Table, frozen=True):
    """Of `diagnosis.cameras.fate`."""

    together_ns: Nanoseconds
    moment_ns: Nanoseconds
    bursts: Count
    shared_share: Share


class CameraFreezes(Table, frozen=True):
    """Of `diagnosis.cameras.freezes`."""

    packets: Count
    restart_s: WholeSeconds
    played_ns: Nanoseconds
    resumed_ns: Nanoseconds


class CameraLoss(Table, frozen=True):
    """Of `diagnosis.cameras.loss`."""

    bad_share: Share
    tail_packets: Count
    tail_share: Share
    dropped_s: WholeSeconds


class CameraSealed(Table, frozen=True):
    """Of `diagnosis.cameras.sealed`."""

    flowed_ns: Nanoseconds
    still_ns: Nanoseconds


class CameraMedia(Table, frozen=True):
    """Of `diagnosis.cameras.unread`."""

    unread_packets: Count


class CameraMulticast(Table, frozen=True):
    """Of `diagnosis.cameras.multicast`."""

    querier_s: tuple[float, float]
    stopped_ns: Nanoseconds
    queried_ns: Nanoseconds


class CameraOffers(Table, frozen=True):
    """Of `diagnosis.cameras.offers`."""

    read_lately_s: WholeSeconds
    left_times: Count


class CameraPace(Table, frozen=True):
    """Of `diagnosis.cameras.pace`."""

    jitter_ms: Amount
    late_ms: Amount
    fps_share: Share
    over_s: WholeSeconds
    started_ns: Nanoseconds
    calm_ns: Nanoseconds
    measured_s: WholeSeconds
    forgotten_frames: Count
    agree_share: Share


class CameraPieces(Table, frozen=True):
    """Of `diagnosis.cameras.pieces`."""

    window_ns: Nanoseconds
    over_ns: Nanoseconds
    packets: Count
    share: Share
    part_share: Share
    reader_ns: Nanoseconds
    reader_share: Share


class CameraReach(Table, frozen=True):
    """Of `diagnosis.cameras.reach`."""

    control_s: Seconds
    waits_ns: Nanoseconds


class CameraReaders(Table, frozen=True):
    """Of `diagnosis.cameras.readers`."""

    stuck_times: Count
    stuck_s: WholeSeconds
    shut_s: WholeSeconds


class CameraReboots(Table, frozen=True):
    """Of `diagnosis.cameras.reboots`."""

    reboot_ns: Nanoseconds
    together_ns: Nanoseconds
    stopped_ns: Nanoseconds
    long_ns: Nanoseconds
    off_ns: Nanoseconds
    told_s: Seconds
    went_on_s: Seconds
    up_s: Seconds
    clock_back_s: Seconds
    cut_s: Seconds
    woke_s: Seconds


class CameraRefusals(Table, frozen=True):
    """Of `diagnosis.cameras.refusals`."""

    hung_up_times: Count
    plays_s: Seconds


class CameraSessions(Table, frozen=True):
    """Of `diagnosis.cameras.sessions`."""

    expires_s: tuple[float, float]
    told_s: Seconds
    outlive_ns: Nanoseconds


class CameraShape(Table, frozen=True):
    """Of `diagnosis.cameras.shape`."""

    gop_s: Seconds
    poor_share: Share
    poor_s: WholeSeconds
    heavy_bps: Amount
    over_s: WholeSeconds
    keyless_s: Seconds
    keyless_pictures: Count
    slack_s: Seconds


class CameraStamps(Table, frozen=True):
    """Of `diagnosis.cameras.stamps`."""

    off_share: Share
    calm_ns: Nanoseconds
    counted_ns: Nanoseconds
    compared_s: WholeSeconds
    off_s: tuple[float, float]
    jumped_s: WholeSeconds
    backlog_rate: float
    jumps: Count
    declared_share: Share
    half_fps: Amount


class CameraStreams(Table, frozen=True):
    """Of `diagnosis.cameras.streams`."""

    ended_ns: Nanoseconds
    port_share: Share


class Cameras(Table, frozen=True):
    """One field per file of `diagnosis.cameras`."""

    fate: CameraFate
    freezes: CameraFreezes
    loss: CameraLoss
    media: CameraMedia
    multicast: CameraMulticast
    offers: CameraOffers
    pace: CameraPace
    pieces: CameraPieces
    reach: CameraReach
    readers: CameraReaders
    reboots: CameraReboots
    refusals: CameraRefusals
    sealed: CameraSealed
    sessions: CameraSessions
    shape: CameraShape
    stamps: CameraStamps
    streams: CameraStreams


class Addressing(Table, frozen=True):
    """Of `diagnosis.addressing`."""

    recent_ns: Nanoseconds
    own_ns: Nanoseconds


class Arp(Table, frozen=True):
    """Of `diagnosis.arp`."""

    recent_ns: Nanoseconds
    turns: Count
    pushes: Count
    pushed_ns: Nanoseconds
    proxied: Count
    swept_targets: Count
    sweep_lasts_ns: Nanoseconds


class Clock(Table, frozen=True):
    """Of `diagnosis.clock`."""

    requests: Count
    rejected_answers: Count
    wait_ns: Nanoseconds
    tls_fails_ms: Amount
    recent_ns: Nanoseconds
    camera_clock_s: Seconds


class Cloud(Table, frozen=True):
    """Of `diagnosis.cloud`."""

    rtt_ms: Amount
    address_tries: Count
    lottery_ns: Nanoseconds
    lottery_failed: Count
    lottery_turns: Count
    retransmitted_share: Share
    segments: Count
    line_ns: Nanoseconds
    unheard_ns: Nanoseconds
    silence_ns: Nanoseconds
    forming_ns: Nanoseconds
    again_ns: Nanoseconds
    in_use_s: Seconds
    handshakes: Count
    lottery_hosts: Count
    outage_ns: Nanoseconds
    lottery_both: Count
    turned_away: Count
    unused_ns: Nanoseconds


class Connections(Table, frozen=True):
    """Of `diagnosis.connections`."""

    openings: Count
    flap_ns: Nanoseconds
    answer_ns: Nanoseconds
    said_ns: Nanoseconds
    cuts: Count
    own_share: Share
    settled_ns: Nanoseconds
    leave_bytes: Count
    pushed_ns: Nanoseconds
    starved_bytes: Count
    anew_ns: Nanoseconds
    at_once_ns: Nanoseconds
    regular_gaps: Count
    regular_share: Share
    silences: Count
    even_s: Seconds
    even_share: Share
    least_silence_s: Seconds
    survived_share: Share
    remembered_ns: Nanoseconds
    woken_ns: Nanoseconds
    soon_ends: Count
    soon_share: Share


class Dhcp(Table, frozen=True):
    """Of `diagnosis.dhcp`."""

    discovers: Count
    unanswered_requests: Count
    unanswered_renewals: Count
    declines: Count
    settle_ns: Nanoseconds
    no_news_ns: Nanoseconds
    kept_ns: Nanoseconds
    gone_ns: Nanoseconds
    settled_ns: Nanoseconds
    pool_ns: Nanoseconds
    tried_ns: Nanoseconds


class Causes(Table, frozen=True):
    """Of `diagnosis.diagnosis`."""

    together_ns: Nanoseconds
    retried_ns: Nanoseconds
    same_ns: Nanoseconds
    turned_ns: Nanoseconds
    untried_ns: Nanoseconds


class Dns(Table, frozen=True):
    """Of `diagnosis.dns`."""

    queries: Count
    slow_answers: Count
    lost_queries: Count
    lost_share: Share
    recent_ns: Nanoseconds
    asked_ns: Nanoseconds
    settle_ns: Nanoseconds
    once_ns: Nanoseconds
    rescues: Count


class Common(Table, frozen=True):
    """Of `diagnosis.facts`."""

    stale_s: Seconds


class Forged(Table, frozen=True):
    """Of `diagnosis.forged`."""

    within_ns: Nanoseconds
    alone: Count


class Gateway(Table, frozen=True):
    """Of `diagnosis.gateway`."""

    requests: Count
    again: Count
    again_share: Share
    neighbours: Count
    silence_ns: Nanoseconds
    row_ns: Nanoseconds
    moved_ns: Nanoseconds
    unproven_ns: Nanoseconds
    recent_ns: Nanoseconds
    split_flips: Count
    split_ns: Nanoseconds


class Link(Table, frozen=True):
    """Of `diagnosis.link`."""

    flaps: Count
    nominal_mbps: Count
    errors_share: Share
    dropped_share: Share


class Mirror(Table, frozen=True):
    """Of `diagnosis.mirror`."""

    copies: Count
    unseen_ns: Nanoseconds
    unseen_bytes: Count
    tunnelled: Count
    copied_share: Share


class Outages(Table, frozen=True):
    """Of `diagnosis.outages`."""

    open_wait_ns: Nanoseconds
    nearby_ms: Amount


class Security(Table, frozen=True):
    """Of `diagnosis.security`."""

    recent_s: Seconds
    scan_targets: Count
    scan_s: Seconds
    exfil_bytes: Count
    tunnel_names: Count
    tunnel_s: Seconds
    tunnel_entropy: Annotated[float, msgspec.Meta(ge=0, le=8)]
    beacon_times: Count
    beacon_spread: Share
    drift_s: Seconds
    clear_s: WholeSeconds
    beacon_lasts_s: WholeSeconds
    exfil_lasts_ns: Nanoseconds
    probe_packets: Count
    tunnel_chars: Count
    beacon_least_s: Seconds


class Queued(Table, frozen=True):
    """Of `diagnosis.queued`."""

    recent_ns: Nanoseconds
    grown: Amount
    rtt_ms: Amount
    handshakes: Count
    upload_bps: Amount
    upload_ratio: Amount


class Sight(Table, frozen=True):
    """Of `diagnosis.sight`."""

    appliance_ns: Nanoseconds
    mirror_ratio: Amount
    mirror_ns: Nanoseconds


class Silence(Table, frozen=True):
    """Of `diagnosis.silence`."""

    silence_s: WholeSeconds
    gaps: Count
    busy_s: WholeSeconds
    habit_times: Count
    even_ratio: Amount
    overdue: Count
    unreturned_packets: Count
    alive_ns: Nanoseconds
    fault_ends_s: WholeSeconds
    stream_s: WholeSeconds


class Topology(Table, frozen=True):
    """Of `diagnosis.topology`."""

    failover_silence_s: WholeSeconds
    seen_s: WholeSeconds
    busy_s: WholeSeconds
    load_s: WholeSeconds
    load_bytes: Count
    load_share: Share
    standby_quiet_ns: Nanoseconds
    moved_ns: Nanoseconds
    settled_ns: Nanoseconds


class Traffic(Table, frozen=True):
    """Of `diagnosis.traffic`."""

    nominal_mbps: Count
    saturated_share: Share
    saturated_s: WholeSeconds
    pause_frames: Count
    pause_window_s: WholeSeconds
    loop_window_s: WholeSeconds
    looped_frames: Count
    broadcasts: Count
    tagged_share: Share
    narrow_ns: Nanoseconds
    full_seconds: WholeSeconds
    tagged_frames: Count


class Vantage(Table, frozen=True):
    """Of `diagnosis.vantage`."""

    packets: Count
    hosts: Count


class Thresholds(Table, frozen=True):
    """One field per table of thresholds.toml."""

    addressing: Addressing
    arp: Arp
    clock: Clock
    cloud: Cloud
    connections: Connections
    dhcp: Dhcp
    causes: Causes
    dns: Dns
    common: Common
    forged: Forged
    gateway: Gateway
    link: Link
    mirror: Mirror
    outages: Outages
    security: Security
    queued: Queued
    sight: Sight
    silence: Silence
    topology: Topology
    traffic: Traffic
    vantage: Vantage
    cameras: Cameras


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """The thresholds of thresholds.toml."""
    return parsed(Path(__file__).with_name("thresholds.toml").read_text("utf-8"), Thresholds)
