"""The settings of a meter, and its report at each tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct, field

from panotui.model.arrays import Rows
from panotui.model.flow_rows import FlowRows
from panotui.model.messages import AnyMessage
from panotui.model.packets import Interface


class MeterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and timeouts of a meter; the defaults suit a live site."""

    flows_max: int = 65_536
    streams_max: int = 1_024
    rtsp_connections_max: int = 512
    idle_tcp_s: float = 300.0
    idle_tcp_closed_s: float = 15.0  # after FIN both ways or RST; a FIN may be sent again
    idle_tcp_half_open_s: float = 75.0  # a SYN is retransmitted up to 64 s after the last one
    idle_udp_s: float = 60.0
    idle_other_s: float = 30.0
    active_s: float = 0.0  # an older flow continues under a new id; 0: never
    control_per_second: int = 4_000  # control packets parsed one at a time, per second
    mirror_duplicate_ms: float = 2.0
    rtsp_ports: tuple[int, ...] = (554, 8554, 10554, 5554, 7070)
    media_ports: tuple[int, ...] = ()


class MeterCounters(msgspec.Struct, kw_only=True):
    """Cumulative counters of one meter; all become `limits` in the JSON."""

    packets: int = 0
    bytes: int = 0
    ip_packets: int = 0
    malformed: int = 0
    snapped: int = 0  # captured < wire length, where it mattered
    fragments: int = 0
    mirror_duplicates: int = 0
    flows_opened: int = 0
    flows_evicted: int = 0
    flows_expired: int = 0
    streams_evicted: int = 0
    rtsp_evicted: int = 0
    control_taken: int = 0
    control_skipped: int = 0
    reassembly_skipped: int = 0
    rtsp_resyncs: int = 0
    time_steps_back: int = 0
    one_way_flows: int = 0
    two_way_flows: int = 0


class Heard(Struct, frozen=True):
    """Who has sent in skipped seconds: the begin of the newest of these, in ns."""

    senders: dict[int, int]  # by MAC
    unicast: dict[int, int]  # by capture interface


class Earlier(Struct):
    """What came in skipped seconds and is usual."""

    time_ns: int  # the first tick after one of them
    flows: FlowRows  # one row per new flow, as of the tick after its second
    messages: list[AnyMessage]  # by time


class Delta(Struct):
    """The changes in one meter during one tick of packet time; totals are cumulative."""

    time_ns: int  # end of the tick, packet time
    meter: int  # index of the meter
    flows: FlowRows  # one row per changed flow
    streams: Rows  # STREAM_DTYPE, one row per changed stream
    stream_seconds: Rows  # STREAM_SECOND_DTYPE, seconds that are complete or have changed
    link_seconds: Rows  # LINK_SECOND_DTYPE, increments of this tick
    messages: list[AnyMessage]  # by time
    counters: MeterCounters
    interfaces: Sequence[Interface] = field(default_factory=tuple)
    shared_interfaces: bool = False  # same numbering in all meters, not from 0 in each
    blind: tuple[int, int] | None = None  # the capture saw little or nothing between these times
    # earlier seconds without anything new that were skipped: the end of each, and the packets
    # counted until then
    passed: tuple[tuple[int, int], ...] = ()
    # none of the connections that lasted over these was silent for long before this tick
    lasting: bool = False
    # new flows and messages of skipped seconds that held only what is usual; and the first tick
    # after one of them
    earlier: Earlier | None = None


class LinkReading(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a capture interface on this machine at one time (netlink, sysfs, psutil)."""

    time_ns: int
    interface: str
    present: bool = True
    up: bool | None = None  # carrier
    speed_mbps: int | None = None
    duplex: Literal["full", "half"] | None = None
    mtu: int | None = None
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    carrier_changes: int | None = None
    rx_errors: int | None = None  # CRC, alignment, length
    rx_dropped: int | None = None
    rx_packets: int | None = None
    tx_packets: int | None = None
    collisions: int | None = None
    pause_frames: int | None = None
    promiscuous: bool | None = None
