"""The typed records that all floors speak; nothing here has behaviour beyond trivial conversions.

Below the double line of the architecture (sources, wire, meter) records are numpy columns and
structured arrays; above it they are frozen `msgspec.Struct`s, so that the same record is shown on
the screen, written to a recording, sent over the socket and printed as JSON.

Conventions: `*_ns` are int64 nanoseconds since the epoch of *packet time*; sizes are bytes of the
frame on the wire without FCS; `*_bps` bits per second; `packet` numbers are 1-based positions in
the input; a missing value is `None` (records), NaN (float columns), -1 (signed columns) or 0 where
the field says so. Addresses in columns are 16 bytes, network order; IPv4 uses the first four, and
`version` (4 or 6) tells. MAC addresses in columns are uint64 (48 bits, network order). All text in
records has been through `wire.text.printable` (printable, bounded).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from panotui.model.flow_rows import FlowRows

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]
U32: TypeAlias = NDArray[np.uint32]
U64: TypeAlias = NDArray[np.uint64]
I16: TypeAlias = NDArray[np.int16]
I32: TypeAlias = NDArray[np.int32]
I64: TypeAlias = NDArray[np.int64]
F64: TypeAlias = NDArray[np.float64]
Bool: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[Any]  # a structured array; the dtype is named where it is used

SECOND = 1_000_000_000
SCHEMA_ANALYSIS = "panotui.analysis/1"

# ------------------------------------------------------------------ sources -> wire


@dataclass(frozen=True, slots=True)
class Interface:
    """A capture interface: a NIC, or an interface description of a file. Index = position."""

    name: str
    linktype: int  # LINKTYPE_* of tcpdump.org: 1 Ethernet, 113 SLL, 276 SLL2, 101 raw, 0 null ...
    snaplen: int = 262144
    speed_bps: int | None = None


@dataclass(frozen=True, slots=True)
class PacketBatch:
    """Packets as parallel columns over one shared, read-only byte buffer.

    Rows are in arrival order. Valid until the next `read()` or `close()` of its source (a ring
    block returns to the kernel then): whoever keeps bytes copies them.
    """

    data: U8  # (bytes,)
    offset: I64  # (n,) where each frame starts in `data`
    captured: I64  # (n,) bytes of the frame present in `data`
    wire_length: I64  # (n,) bytes of the frame on the wire
    time_ns: I64  # (n,)
    interface: I16  # (n,) index into `interfaces`
    interfaces: Sequence[Interface]
    first_number: int = 1  # 1-based number of row 0 in its source
    vlan_tci: I32 | None = None  # (n,) tag that the NIC removed, -1 none (live only)
    outgoing: I16 | None = None  # (n,) 1 sent, 0 received, -1 unknown (live, pcapng flags)
    missed: I64 | None = None  # (n,) packets that the capture dropped just before (pcapng)

    def __len__(self) -> int:
        return len(self.offset)

    def slice(self, start: int, stop: int) -> PacketBatch:
        """Rows [start, stop) over the same buffer."""
        s = slice(start, stop)
        return PacketBatch(
            self.data,
            self.offset[s],
            self.captured[s],
            self.wire_length[s],
            self.time_ns[s],
            self.interface[s],
            self.interfaces,
            self.first_number + start,
            None if self.vlan_tci is None else self.vlan_tci[s],
            None if self.outgoing is None else self.outgoing[s],
            None if self.missed is None else self.missed[s],
        )


class SourceCounters(msgspec.Struct, kw_only=True):
    """What a source has delivered and missed since it was opened; cumulative."""

    packets: int = 0
    bytes: int = 0  # on the wire
    dropped_ring: int = 0  # our own ring was full (PACKET_STATISTICS, accumulated)
    dropped_interface: int = 0  # the interface's own rx_dropped / rx_missed since start
    dropped_told: int = 0  # of these (or, without totals, in all), told beside single packets
    truncated: bool = False  # the file ended inside a record
    malformed: int = 0  # records skipped because their header is impossible
    format: str = ""  # "pcap", "pcapng", "live", "demo", with "+gzip"/"+zstd"
    total_bytes: int | None = None  # size of the input, for progress
    read_bytes: int = 0


class Source(Protocol):
    """Where packets come from. `read` never raises for bad packet data, only for dead input."""

    interfaces: list[Interface]  # may grow while reading (pcapng)
    ended: bool  # no more packets will come
    counters: SourceCounters

    def read(self, timeout_s: float) -> PacketBatch | None:
        """The next batch, or None when nothing came within `timeout_s` (live) or at the end."""

    def close(self) -> None: ...


# ------------------------------------------------------------------ settings that flow down


class MeterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and time-outs of a meter; data, with defaults that suit a live site."""

    flows_max: int = 65_536
    streams_max: int = 1_024
    rtsp_connections_max: int = 512
    idle_tcp_s: float = 300.0
    idle_tcp_closed_s: float = 15.0  # after FIN both ways or RST; a FIN may be sent again and again
    idle_tcp_half_open_s: float = 75.0  # a SYN that is sent again comes up to 64 s after the last
    idle_udp_s: float = 60.0
    idle_other_s: float = 30.0
    active_s: float = 0.0  # an older flow goes on under another id; 0: never
    control_per_second: int = 4_000  # control packets taken one at a time, per second
    mirror_duplicate_ms: float = 2.0
    rtsp_ports: tuple[int, ...] = (554, 8554, 10554, 5554, 7070)
    media_ports: tuple[int, ...] = ()


# ------------------------------------------------------------------ meter -> engine: columns

# TCP and flow states (column `state`); the text is what JSON shows.
FLOW_STATES: tuple[str, ...] = (
    "new",  # 0 one packet, or no answer yet (UDP)
    "syn-sent",  # 1 SYN without answer
    "established",  # 2
    "closing",  # 3 one FIN
    "closed",  # 4 FIN both ways
    "reset",  # 5
    "refused",  # 6 RST to SYN
    "mid-stream",  # 7 first seen without SYN
    "active",  # 8 UDP and others, both directions seen
    "one-way",  # 9 only one direction so far
)
FLOW_ENDS: tuple[str, ...] = ("", "idle", "closed", "reset", "evicted", "reused", "active-timeout")
# What the first payload looks like (column `app`).
APPS: tuple[str | None, ...] = (
    None,
    "tls",
    "http",
    "rtsp",
    "dns",
    "ntp",
    "dhcp",
    "mqtt",
    "ssh",
    "rtp",
    "rtcp",
    "quic",
    "mdns",
    "ssdp",
    "ws-discovery",
    "telnet",
    "ftp",
    "smtp",
    "smb",
    "rdp",
    "stun",
    "dtls",
    "snmp",
    "syslog",
    "llmnr",
    "srtp",
    "rtsp-http",
    "rtsps",  # TLS on its own port: all that is seen of it
    "http-connect",
    "smtp",
    "other",
    "vxlan",  # tunnels: the outer flow counts, what is inside stays unread
    "geneve",
    "gre",
    "ip-in-ip",
)
# Who is the client: decided by, strongest last.
CLIENT_BY: tuple[str, ...] = ("first", "port", "syn")

_PER_DIRECTION = ("out", "in")  # out = client to server


def _both(name: str, kind: str) -> list[tuple[str, str]]:
    return [(f"{name}_{d}", kind) for d in _PER_DIRECTION]


FLOW_DTYPE = np.dtype(
    [
        ("id", "u8"),  # unique in its meter, never reused
        ("version", "u1"),  # 4, 6
        ("protocol", "u1"),  # IP protocol number
        ("client_by", "u1"),  # CLIENT_BY
        ("state", "u1"),  # FLOW_STATES
        ("end", "u1"),  # FLOW_ENDS; not 0: this is the flow's last row
        ("app", "u1"),  # APPS
        ("src", "u1", (16,)),  # client
        ("dst", "u1", (16,)),  # server
        ("sport", "u2"),  # ICMP: type of the first message
        ("dport", "u2"),  # ICMP: code of the first message
        ("vlan", "i4"),  # innermost VLAN id of the first packet, -1 none
        ("interface_out", "i2"),  # where that direction was last seen, -1 never
        ("interface_in", "i2"),
        ("mac_out_src", "u8"),  # Ethernet source and destination of client -> server, last seen
        ("mac_out_dst", "u8"),
        ("mac_in_src", "u8"),
        ("mac_in_dst", "u8"),
        ("ttl_out", "u1"),  # first seen
        ("ttl_in", "u1"),
        ("first_ns", "i8"),
        ("last_ns", "i8"),
        ("first_packet", "i8"),  # 1-based numbers in the source
        ("last_packet", "i8"),
        *_both("packets", "i8"),
        *_both("bytes", "i8"),  # frame bytes on the wire
        *_both("payload", "i8"),  # transport payload bytes
        ("last_out_ns", "i8"),  # 0 never
        ("last_in_ns", "i8"),
        # --- TCP; zero for others
        *_both("syn", "i4"),  # SYN segments (in: SYN/ACK)
        ("syn_ns", "i8"),  # first SYN, 0 none
        ("syn_last_ns", "i8"),
        ("synack_ns", "i8"),
        *_both("fin", "i4"),
        *_both("rst", "i4"),
        ("rst_ns", "i8"),
        ("rst_packet", "i8"),
        ("rst_ttl", "u1"),  # TTL of the first RST
        ("handshake_rtt_us", "i4"),  # SYN -> ACK that ends the handshake, -1 unknown
        ("server_rtt_us", "i4"),  # SYN -> SYN/ACK (tap to server), -1 unknown
        ("rtt_us", "i4"),  # least ack RTT of data, tap to both ends together, -1 unknown
        ("rtt_min_us", "i4"),  # ... to the nearer end
        *_both("data_segments", "i4"),
        *_both("retransmits", "i4"),  # as tshark: retransmission incl. fast and spurious
        *_both("fast_retransmits", "i4"),
        *_both("spurious", "i4"),
        *_both("out_of_order", "i4"),
        *_both("lost_segments", "i4"),  # tshark "previous segment not captured"
        *_both("dup_acks", "i4"),
        *_both("zero_window", "i4"),
        *_both("window_full", "i4"),
        *_both("window_update", "i4"),
        *_both("keep_alive", "i4"),
        *_both("unseen", "i8"),  # bytes that the peer acknowledged but we never captured
        *_both("acked_unseen", "i4"),  # tshark "ACKed unseen segment" events
        *_both("zero_window_now", "u1"),  # last window advertised by that side was zero
        *_both("mss", "u2"),  # from SYN, 0 unknown
        *_both("max_segment", "i4"),  # largest payload of one segment
        ("first_payload_ns", "i8"),  # first client payload (ClientHello, request), 0 none
        ("first_answer_ns", "i8"),  # first server payload
        ("history", "S16"),  # Zeek's history letters, logarithmic repeats as Zeek writes them
    ]
)

STREAM_CODECS: tuple[str | None, ...] = (
    None,
    "H264",
    "H265",
    "JPEG",
    "MP4V-ES",
    "PCMU",
    "PCMA",
    "MPEG4-GENERIC",
    "MP4A-LATM",
    "G722",
    "G726",
    "L16",
    "OPUS",
    "VND.ONVIF.METADATA",
    "MPA",
    "MP2T",
    "OTHER",  # a name that is not here; recordings know codecs by their place, so add at the end
    "H263",
    "H263-1998",
    "H263-2000",
    "H261",
    "MPV",
    "VP8",
    "VP9",
    "AV1",
    "GSM",
    "G723",
    "G728",
    "G729",
    "DVI4",
    "LPC",
    "CN",
    "TELEPHONE-EVENT",
)
VIDEO_CODECS = frozenset(
    {"H264", "H265", "JPEG", "MP4V-ES", "H263", "H263-1998", "H263-2000", "H261", "MPV"}
    | {"VP8", "VP9", "AV1"}
)
AUDIO_CODECS = frozenset(
    {"PCMU", "PCMA", "MPEG4-GENERIC", "MP4A-LATM", "G722", "G726", "L16", "OPUS", "MPA"}
    | {"GSM", "G723", "G728", "G729", "DVI4", "LPC", "CN", "TELEPHONE-EVENT"}
)
KEYED_CODECS = frozenset({"H264", "H265", "JPEG"})  # whose key frames are recognised

STREAM_DTYPE = np.dtype(
    [
        ("id", "u8"),  # unique in its meter
        ("flow", "u8"),  # id of the flow that carries it
        ("session", "i8"),  # `RtspSession.id` that negotiated it, -1 none seen
        ("ssrc", "u4"),
        ("payload_type", "u1"),
        ("codec", "u1"),  # STREAM_CODECS
        ("transport", "u1"),  # 17 UDP, 6 interleaved in TCP
        ("channel", "i2"),  # interleaved channel, -1 UDP
        ("version", "u1"),
        ("signalled", "u1"),  # 1: a SETUP names it; 0: recognised by content
        ("encrypted", "u1"),  # 1: SRTP
        ("end", "u1"),  # 0 open, 1 teardown/bye, 2 idle, 3 evicted
        ("src", "u1", (16,)),  # sender
        ("dst", "u1", (16,)),
        ("sport", "u2"),
        ("dport", "u2"),
        ("interface", "i2"),
        ("clock_rate", "i4"),  # Hz, 0 unknown
        ("first_ns", "i8"),
        ("last_ns", "i8"),
        ("first_packet", "i8"),
        ("last_packet", "i8"),
        ("packets", "i8"),
        ("bytes", "i8"),  # UDP: frame bytes; interleaved: RTP bytes and the 4 of `$`
        ("media_bytes", "i8"),  # RTP payload bytes
        ("expected", "i8"),  # RFC 3550 A.3, summed over restarts
        ("lost", "i8"),  # expected - received, as RFC 3550 and tshark
        ("lost_unique", "i8"),  # expected - distinct sequence numbers
        ("duplicates", "i8"),
        ("reordered", "i8"),
        ("gap_events", "i4"),
        ("longest_gap", "i4"),  # packets
        ("restarts", "i4"),  # sequence restarts with the same SSRC
        ("capture_lost", "i8"),  # of `lost`: fell into bytes or drops that this tool missed
        ("camera_dropped", "i8"),  # of `lost`: gaps inside an intact TCP stream
        ("tail_lost", "i8"),  # of `lost`: at the tail of key frames (switch buffer bursts)
        ("jitter_ms", "f8"),  # RFC 3550 A.8 now; NaN clock unknown
        ("jitter_mean_ms", "f8"),
        ("jitter_max_ms", "f8"),
        ("frame_jitter_ms", "f8"),  # the same filter over the first packet of each timestamp
        ("frame_jitter_mean_ms", "f8"),
        ("frame_jitter_max_ms", "f8"),
        ("delta_min_ms", "f8"),
        ("delta_mean_ms", "f8"),
        ("delta_max_ms", "f8"),
        ("late_frame_max_ms", "f8"),  # largest gap between frame starts minus the nominal step
        ("bitrate_mean_bps", "f8"),
        ("bitrate_peak_bps", "f8"),  # fullest whole second
        ("frames", "i8"),
        ("keyframes", "i8"),
        ("markers", "i8"),
        ("damaged_frames", "i8"),
        ("fps", "f8"),  # over the whole stream, by arrival; NaN unknown or audio
        ("fps_now", "f8"),  # last 10 s
        ("fps_nominal", "f8"),  # clock / median timestamp step
        ("gop_s", "f8"),  # last complete key-frame interval, by timestamps
        ("gop_frames", "i4"),
        ("keyframe_last_ns", "i8"),  # 0 none seen
        ("frame_bytes_mean", "f8"),
        ("frame_bytes_max", "i8"),
        ("width", "i4"),  # 0 unknown
        ("height", "i4"),
        ("profile", "u1"),  # H.264 profile_idc, 0 unknown
        ("constraint", "u1"),
        ("level", "u1"),
        ("vui_fps", "f8"),  # NaN unknown
        ("freezes", "i4"),
        ("freeze_longest_s", "f8"),
        ("frozen_picture_s", "f8"),  # packets go on but the picture does not, now; 0 none
        ("timestamp_jumps", "i4"),
        ("stalls_50ms", "i4"),  # a decoder with that much buffer would have stalled, times
        ("stalls_200ms", "i4"),
        ("stalls_500ms", "i4"),
        ("stall_50ms_s", "f8"),  # and for how long in all
        ("stall_200ms_s", "f8"),
        ("stall_500ms_s", "f8"),
        # --- RTCP
        ("sr_count", "i4"),
        ("rr_count", "i4"),
        ("sr_packets", "i8"),  # sender's own count since the first SR seen, -1 unknown
        ("sr_lost", "i8"),  # sender's count minus what we saw: lost before us; -1 unknown
        ("rr_lost", "i8"),  # receiver's cumulative lost, -1 none
        ("rr_fraction", "f8"),  # receiver's last fraction lost 0..1, NaN none
        ("rr_jitter_ms", "f8"),
        ("rtt_ms", "f8"),  # from LSR/DLSR, tap to receiver; NaN none
        ("camera_clock_offset_s", "f8"),  # SR wall clock minus capture time, NaN none
        ("drift_ppm", "f8"),
    ]
)

# One row per stream and second of packet time: what the histories and 30-second windows need.
STREAM_SECOND_DTYPE = np.dtype(
    [
        ("stream", "u8"),
        ("second", "i8"),  # time_ns // SECOND
        ("packets", "i4"),
        ("bytes", "i8"),
        ("expected", "i4"),
        ("lost", "i4"),
        ("frames", "i4"),
        ("keyframes", "i4"),
        ("frame_bytes_max", "i4"),
        ("jitter_ms", "f4"),
        ("frame_jitter_ms", "f4"),
        ("gap_max_ms", "f4"),  # longest silence that ended in this second
        ("capture_lost", "i4"),
    ]
)

# One row per interface, Ethernet pair and second: ports, rates, peaks, broadcast, who is where.
LINK_SECOND_DTYPE = np.dtype(
    [
        ("interface", "i2"),
        ("src_mac", "u8"),
        ("dst_mac", "u8"),  # all ones: broadcast
        ("second", "i8"),
        ("packets", "i8"),
        ("bytes", "i8"),
        ("tagged", "i8"),  # packets that carried a VLAN tag
        ("ip4_src", "u4"),  # a source IPv4 address seen with this pair (0 none): learning only
        ("repeated", "i8"),  # packets whose bytes repeat an earlier one (loop, mirror)
    ]
)


class MeterCounters(msgspec.Struct, kw_only=True):
    """Cumulative counters of one meter; all become `limits` in the JSON."""

    packets: int = 0
    bytes: int = 0
    ip_packets: int = 0
    malformed: int = 0
    snapped: int = 0  # captured < wire length where it mattered
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


# ------------------------------------------------------------------ meter -> engine: messages


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="message"):
    """A control packet, dissected. `flow` is the flow's id, -1 where there is none."""

    time_ns: int
    packet: int  # 1-based number in its source
    interface: int
    flow: int = -1


class ArpMessage(Message, frozen=True, kw_only=True, tag="arp"):
    op: int  # 1 request, 2 reply
    eth_src: str
    sender_mac: str
    sender_ip: str
    target_mac: str
    target_ip: str
    vlan: int = -1


class DhcpMessage(Message, frozen=True, kw_only=True, tag="dhcp"):
    type: str  # "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"
    xid: int
    client_mac: str
    src: str
    dst: str
    eth_src: str = ""
    client_ip: str | None = None  # ciaddr
    your_ip: str | None = None  # yiaddr
    relay_ip: str | None = None  # giaddr
    requested_ip: str | None = None
    server_id: str | None = None
    lease_s: int | None = None
    mask: str | None = None
    routers: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    host_name: str | None = None
    vendor_class: str | None = None
    domain: str | None = None


class DnsAnswer(msgspec.Struct, frozen=True):
    name: str  # lower case, no trailing dot
    type: str  # "A", "AAAA", "CNAME", "HTTPS", ...
    ttl: int
    data: str


class DnsMessage(Message, frozen=True, kw_only=True, tag="dns"):
    transport: str  # "udp", "tcp", "mdns", "llmnr"
    client: str
    server: str
    client_port: int
    id: int
    response: bool
    rcode: str  # "NOERROR", "NXDOMAIN", ...
    name: str  # first question, lower case, no trailing dot
    type: str
    answers: tuple[DnsAnswer, ...] = ()
    truncated: bool = False


class NtpMessage(Message, frozen=True, kw_only=True, tag="ntp"):
    src: str
    dst: str
    sport: int
    dport: int
    mode: int  # 3 client, 4 server, 5 broadcast
    leap: int
    version: int
    stratum: int
    poll: int
    reference_id: str
    origin: int  # raw 64-bit NTP timestamps, 0 unset
    receive: int
    transmit: int
    transmit_ns: int | None  # the same as ns since 1970 (RFC 5905 era by pivot), None unset
    receive_ns: int | None
    root_delay_ms: float = 0.0
    root_dispersion_ms: float = 0.0


class IcmpMessage(Message, frozen=True, kw_only=True, tag="icmp"):
    version: int  # 4 or 6
    src: str
    dst: str
    type: int
    code: int
    mtu: int | None = None
    # the quoted packet, where the type quotes one
    quoted_src: str | None = None
    quoted_dst: str | None = None
    quoted_sport: int | None = None
    quoted_dport: int | None = None
    quoted_protocol: int | None = None
    target: str | None = None  # neighbour discovery target
    target_mac: str | None = None


class NeighbourMessage(Message, frozen=True, kw_only=True, tag="neighbour"):
    """LLDP or CDP: the switch and port at the other end of the cable."""

    protocol: str  # "lldp", "cdp"
    src_mac: str
    chassis: str
    port: str
    ttl: int
    system_name: str | None = None
    system_description: str | None = None
    port_description: str | None = None
    management: tuple[str, ...] = ()
    vlan: int | None = None
    speed_mbps: int | None = None
    duplex: str | None = None  # "full", "half"
    max_frame: int | None = None
    power_w: float | None = None


class LinkControlMessage(Message, frozen=True, kw_only=True, tag="link-control"):
    """STP, LACP, PAUSE, IGMP, VRRP, HSRP and the like: named, with one line of detail."""

    protocol: str  # "stp", "lacp", "pause", "pfc", "igmp-query", "igmp-report", "igmp-leave", ...
    src_mac: str
    src: str | None = None
    group: str | None = None
    detail: str = ""
    raw: bytes = b""  # the beginning of a rare one, for `wire.linkcontrol.described`


class TlsClientHello(Message, frozen=True, kw_only=True, tag="tls-client-hello"):
    sni: str | None
    alpn: tuple[str, ...] = ()
    version: str = ""  # highest offered: "1.0" ... "1.3"
    ech: bool = False  # the extension is there; also as GREASE, so the name stays usable
    ech_outer: bool = False  # the name is a provider's public one: the real name is hidden
    resumption: bool = False
    carrier: str = "tls"  # "tls", "quic", "dtls"
    size: int = 0


class TlsServerHello(Message, frozen=True, kw_only=True, tag="tls-server-hello"):
    version: str
    cipher: int
    alpn: str | None = None
    retry_request: bool = False
    resumed: bool = False


class TlsCertificate(Message, frozen=True, kw_only=True, tag="tls-certificate"):
    from_client: bool
    subject: str
    issuer: str
    issuer_organisation: str
    names: tuple[str, ...]
    not_before_ns: int | None
    not_after_ns: int | None
    chain: int = 1
    requested: bool = False  # a CertificateRequest was seen in this handshake


class TlsAlert(Message, frozen=True, kw_only=True, tag="tls-alert"):
    from_client: bool
    level: int | None  # None: encrypted, inferred from its size
    code: int | None
    after_client_certificate: bool = False


class TlsFinished(Message, frozen=True, kw_only=True, tag="tls-finished"):
    """Application data flowed both ways (or CCS and data): the handshake worked."""


class NotTls(Message, frozen=True, kw_only=True, tag="not-tls"):
    """The first client payload of a flow on a TLS port is something else."""

    looks_like: str  # an APPS name


class HttpMessage(Message, frozen=True, kw_only=True, tag="http"):
    from_client: bool
    method: str | None = None
    host: str | None = None
    path: str | None = None  # without query string
    status: int | None = None
    user_agent: str | None = None
    server: str | None = None
    credentials: bool = False  # Authorization: Basic was sent in clear
    location: str | None = None


class MqttMessage(Message, frozen=True, kw_only=True, tag="mqtt"):
    from_client: bool
    type: str  # "connect", "connack", "disconnect"
    client_id: str | None = None
    keep_alive_s: int | None = None
    return_code: int | None = None
    username: bool = False


class BannerMessage(Message, frozen=True, kw_only=True, tag="banner"):
    """First bytes of another known cleartext or remote-access protocol."""

    app: str
    text: str
    from_client: bool
    credentials: bool = False


class DiscoveryMessage(Message, frozen=True, kw_only=True, tag="discovery"):
    """mDNS, SSDP, WS-Discovery: what a host says of itself."""

    protocol: str
    src: str
    name: str | None = None
    model: str | None = None
    vendor: str | None = None
    onvif: bool = False
    location: str | None = None  # address of the device's own description or service


class RtspTrack(msgspec.Struct, frozen=True):
    """A media description of the SDP, or a SETUP without one."""

    media: str  # "video", "audio", "application"
    payload_type: int
    codec: str | None
    clock_rate: int  # 0 unknown
    control: str
    framerate: float | None = None
    width: int | None = None
    height: int | None = None
    profile_level_id: str | None = None
    bandwidth_kbps: int | None = None
    protection: str | None = None  # "SAVP": SRTP


class RtspMessage(Message, frozen=True, kw_only=True, tag="rtsp"):
    """One request or answer; credentials are gone before it is made."""

    session: int  # `RtspSession.id` of the connection, unique in its meter
    from_client: bool
    client: str
    server: str
    server_port: int
    method: str | None  # of the request; an answer carries its request's method
    url: str | None  # without user and password
    cseq: int | None
    status: int | None = None
    reason: str | None = None
    session_id: str | None = None
    timeout_s: int | None = None
    transport: str | None = None
    auth_sent: str | None = None  # scheme of Authorization: "Basic", "Digest"
    auth_offered: tuple[str, ...] = ()
    stale: bool = False
    user_agent: str | None = None
    server_name: str | None = None  # Server header
    tracks: tuple[RtspTrack, ...] = ()
    session_name: str | None = None  # s= of the SDP
    response_ms: float | None = None
    require: str | None = None
    carrier: str = "rtsp"  # "rtsp", "rtsp-http", "rtsps"
    location: str | None = None  # of a redirect, without user and password


class RtspEnd(Message, frozen=True, kw_only=True, tag="rtsp-end"):
    """The RTSP connection ended."""

    session: int
    how: str  # "teardown", "fin-client", "fin-server", "rst-client", "rst-server", "idle"
    last_keepalive_ns: int = 0
    timeout_s: int = 60
    keepalive_by: str = ""  # "request", "rtcp", ""


class StreamBound(Message, frozen=True, kw_only=True, tag="stream-bound"):
    """Which session, URL and track a stream belongs to; again when that becomes known later."""

    stream: int
    session: int
    url: str | None  # of the track, without user and password
    control: str
    media: str  # "video", "audio", "application", "" unknown
    codec: str | None = None
    client: str = ""
    server: str = ""


class RtcpReport(Message, frozen=True, kw_only=True, tag="rtcp"):
    stream: int  # stream id that it speaks of, -1 unknown
    kind: str  # "sr", "rr", "bye"
    ssrc: int
    about: int  # SSRC reported on (rr), own (sr)
    ntp_ns: int | None = None
    rtp_time: int | None = None
    packets: int | None = None
    octets: int | None = None
    fraction_lost: float | None = None
    cumulative_lost: int | None = None
    jitter: int | None = None
    from_receiver: bool = False


class StreamFreeze(Message, frozen=True, kw_only=True, tag="stream-freeze"):
    stream: int
    start_ns: int
    seconds: float
    # "silence" (no packets), "backlog" (then caught up), "clock" (time stands still), "picture"
    kind: str


class StreamRestart(Message, frozen=True, kw_only=True, tag="stream-restart"):
    stream: int
    kind: str  # "ssrc", "sequence", "outage", "timestamp"
    detail: str = ""


class StreamGap(Message, frozen=True, kw_only=True, tag="stream-gap"):
    """A run of lost packets; at most a few a second a stream are told."""

    stream: int
    lost: int
    where: str  # "path", "camera", "capture"
    keyframe_tail: bool = False


class FlowNote(Message, frozen=True, kw_only=True, tag="flow-note"):
    """Something worth an event on a flow: "refused", "reset", "one-way", "connect-retry"."""

    kind: str
    text: str = ""


AnyMessage: TypeAlias = (
    ArpMessage
    | DhcpMessage
    | DnsMessage
    | NtpMessage
    | IcmpMessage
    | NeighbourMessage
    | LinkControlMessage
    | TlsClientHello
    | TlsServerHello
    | TlsCertificate
    | TlsAlert
    | TlsFinished
    | NotTls
    | HttpMessage
    | MqttMessage
    | BannerMessage
    | DiscoveryMessage
    | RtspMessage
    | RtspEnd
    | StreamBound
    | RtcpReport
    | StreamFreeze
    | StreamRestart
    | StreamGap
    | FlowNote
)


@dataclass(slots=True)
class Delta:
    """What changed in one meter during one tick of packet time; totals are cumulative."""

    time_ns: int  # end of the tick, packet time
    meter: int  # index of the meter
    flows: FlowRows  # one row a changed flow
    streams: Rows  # STREAM_DTYPE, one row a changed stream
    stream_seconds: Rows  # STREAM_SECOND_DTYPE, seconds that are complete or changed
    link_seconds: Rows  # LINK_SECOND_DTYPE, increments of this tick
    messages: list[AnyMessage]  # by time
    counters: MeterCounters
    interfaces: Sequence[Interface] = field(default_factory=tuple)
    shared_interfaces: bool = False  # numbered alike in all meters, not each from 0


# ------------------------------------------------------------------ link watching (live)


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


# ------------------------------------------------------------------ the site


class SitePort(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Literal["camera", "cloud", "both"] | None = None
    mac: str | None = None
    address: str | None = None  # "10.20.0.5/24"
    interface: str | None = None


class SiteNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    local: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()


class SiteCamera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    address: str
    url: str | None = None
    fps: float | None = None
    mac: str | None = None


class SiteService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    host: str
    port: int = 443
    direction: Literal["out", "in"] = "out"
    transport: Literal["tcp", "udp"] = "tcp"


class SiteListen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    port: int
    from_: tuple[str, ...] = msgspec.field(default=(), name="from")
    transport: Literal["tcp", "udp"] = "tcp"


class SiteIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | None = None
    topology: Literal["single", "dual"] | None = None
    region: str | None = None
    vantage: Literal["mirror", "inline", "router", "host", "file"] | None = None
    private_link: bool = False
    mode: Literal["normal", "camera-only"] = "normal"


class Site(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The site file (every field optional). `policy.site.load_site` reads and checks it."""

    site: SiteIdentity = SiteIdentity()
    ports: dict[str, SitePort] = {}
    network: SiteNetwork = SiteNetwork()
    camera: tuple[SiteCamera, ...] = ()
    service: tuple[SiteService, ...] = ()
    listen: tuple[SiteListen, ...] = ()


# ------------------------------------------------------------------ engine -> everybody: records

Verdict: TypeAlias = Literal["allowed", "infrastructure", "pending", "violation"]
Severity: TypeAlias = Literal["info", "warning", "error"]
Confidence: TypeAlias = Literal["certain", "likely", "possible"]
REASONS: tuple[str, ...] = (
    "stream-leak",
    "inbound",
    "wrong-port",
    "name-mismatch",
    "unlisted-port",
    "cleartext",
    "address-changed",
    "lateral",
    "unlisted-endpoint",
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that leaves the engine."""


class PortRecord(Record, frozen=True, kw_only=True):
    name: str  # "eth0", "eth1" of the appliance
    role: str | None = None
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    interface: str | None = None  # what we capture on
    packets_in: int = 0  # in = towards the appliance
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    rate_in_bps: float | None = None
    rate_out_bps: float | None = None
    peak_in_bps: float | None = None
    peak_out_bps: float | None = None
    state: str = "unknown"  # "up", "down", "silent", "standby", "unknown"
    state_since_ns: int | None = None
    link_is_ours: bool = (
        False  # speed, duplex and errors below are the probe's, not the appliance's
    )
    up: bool | None = None
    speed_mbps: int | None = None
    duplex: str | None = None
    carrier_changes: int | None = None
    rx_errors: int | None = None
    rx_dropped: int | None = None
    neighbour: str | None = None  # "switch7 port Gi1/0/3" from LLDP or CDP
    last_seen_ns: int | None = None
    history_in_bps: tuple[float | None, ...] = ()  # newest last, one a second, None = gap
    history_out_bps: tuple[float | None, ...] = ()


class FlowRecord(Record, frozen=True, kw_only=True):
    id: str
    community_id: str
    port: str | None
    transport: str
    src: str
    sport: int | None
    dst: str
    dport: int | None
    first_time_ns: int
    last_time_ns: int
    packets_out: int = 0
    packets_in: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    app: str | None = None
    host: str | None = None
    host_source: str | None = None  # "sni", "http", "dns", "site", "range", "mdns"
    alpn: str | None = None
    verdict: Verdict = "pending"
    rule: str | None = None
    reason: str | None = None
    rtt_ms: float | None = None
    retransmits: int | None = None
    state: str = "new"
    # --- beyond the fixed schema
    end: str | None = None
    own: bool = False
    camera: str | None = None
    service: str | None = None
    vlan: int | None = None
    first_packet: int = 0
    last_packet: int = 0
    port_in: str | None = None  # where the answers arrive, if elsewhere
    rate_out_bps: float | None = None
    rate_in_bps: float | None = None
    payload_out: int = 0
    payload_in: int = 0
    client_by: str | None = None
    history: str | None = None  # Zeek's letters
    conn_state: str | None = None  # Zeek's
    handshake_ms: float | None = None
    retransmits_out: int | None = None
    retransmits_in: int | None = None
    out_of_order: int | None = None
    dup_acks: int | None = None
    zero_window: int | None = None
    unseen_bytes: int | None = None
    syn: int | None = None
    resets: int | None = None
    resets_out: int | None = None
    resets_in: int | None = None
    fast_retransmits: int | None = None
    window_full: int | None = None
    keep_alive: int | None = None
    mac_src: str | None = None
    mac_dst: str | None = None


class FreezeRecord(Record, frozen=True, kw_only=True):
    start_ns: int
    seconds: float
    kind: str = "silence"


class StreamRecord(Record, frozen=True, kw_only=True):
    id: str
    camera: str | None
    url: str | None
    ssrc: str
    payload_type: int
    codec: str | None
    transport: str  # "udp", "tcp"
    src: str
    sport: int
    dst: str
    dport: int
    first_time_ns: int
    last_time_ns: int
    packets: int = 0
    bytes: int = 0
    expected: int = 0
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    jitter_mean_ms: float | None = None
    jitter_max_ms: float | None = None
    frame_jitter_mean_ms: float | None = None
    frame_jitter_max_ms: float | None = None
    delta_min_ms: float | None = None
    delta_mean_ms: float | None = None
    delta_max_ms: float | None = None
    bitrate_mean_bps: float | None = None
    bitrate_peak_bps: float | None = None
    frames: int | None = None
    keyframes: int | None = None
    fps: float | None = None
    gop_s: float | None = None
    width: int | None = None
    height: int | None = None
    profile: str | None = None
    freezes: tuple[FreezeRecord, ...] = ()
    rule: str | None = None
    verdict: Verdict = "pending"
    # --- beyond the fixed schema
    media: str | None = None  # "video", "audio", "metadata"
    flow: str | None = None
    channel: int | None = None
    port: str | None = None
    signalled: bool = False
    encrypted: bool = False
    clock_rate: int | None = None
    state: str = "streaming"  # "streaming", "losing", "frozen", "paused", "ended", "slow"
    state_since_ns: int | None = None
    rate_bps: float | None = None  # last whole second; None before there is one
    loss_now: float | None = None  # share 0..1 over 30 s; None unknown
    jitter_ms: float | None = None
    frame_jitter_ms: float | None = None
    fps_now: float | None = None
    fps_expected: float | None = None
    fps_nominal: float | None = None
    gop_frames: int | None = None
    keyframe_last_ns: int | None = None
    lost_unique: int = 0
    gap_events: int = 0
    longest_gap: int = 0
    capture_lost: int = 0
    camera_dropped: int = 0
    uncertain: bool = False  # packets were missed by this tool while these numbers were made
    restarts: int = 0
    markers: int = 0
    damaged_frames: int = 0
    frame_bytes_mean: float | None = None
    frame_bytes_max: int | None = None
    late_frame_max_ms: float | None = None
    timestamp_jumps: int = 0
    stalls: tuple[tuple[int, int, float], ...] = ()  # (buffer ms, times, seconds)
    evidence: tuple[EvidenceRecord, ...] = ()  # packets around the newest gaps and restarts
    sr_lost: int | None = None  # lost before us, by the sender's own count
    rr_lost: int | None = None  # as the receiver reports
    rr_fraction: float | None = None
    rr_jitter_ms: float | None = None
    rtt_ms: float | None = None
    camera_clock_offset_s: float | None = None
    drift_ppm: float | None = None
    history_bps: tuple[float | None, ...] = ()  # one a second, newest last, None = no record
    history_lost: tuple[int | None, ...] = ()
    history_frames: tuple[int | None, ...] = ()
    history_frame_bytes: tuple[int | None, ...] = ()
    history_keyframes: tuple[int | None, ...] = ()


class DialogueLine(Record, frozen=True, kw_only=True):
    time_ns: int
    packet: int
    from_client: bool
    text: str  # "DESCRIBE rtsp://10.0.0.1/cam", "401 Unauthorized (Digest)"; redacted


class CameraRecord(Record, frozen=True, kw_only=True):
    name: str
    address: str
    mac: str | None = None
    vendor: str | None = None
    sessions: int = 0
    streams: tuple[str, ...] = ()  # stream ids
    state: str = "unseen"
    # "streaming", "silent", "refused", "paused", "unreachable", "connecting", "unseen", "losing"
    user_agent_server: str | None = None
    sdp_codec: str | None = None
    # --- beyond
    state_since_ns: int | None = None
    state_text: str | None = None  # "RTSP 401 after credentials"
    named_by: str = "address"  # "site", "sdp", "discovery", "dhcp", "address"
    readers: tuple[str, ...] = ()  # who reads it beside the appliance
    last_status: int | None = None
    port: str | None = None
    fps_expected: float | None = None
    dialogue: tuple[DialogueLine, ...] = ()


class EndpointRecord(Record, frozen=True, kw_only=True):
    service: str  # "iot", "logs", ...
    host: str  # the name used, or the pattern while unseen
    port: int
    rule: str
    needed: bool = True
    state: str = "unseen"  # "reachable", "blocked", "failing", "unseen"
    attempts: int = 0
    successes: int = 0
    last_success_ns: int | None = None
    rtt_ms: float | None = None
    tls_version: str | None = None
    detail: str | None = None
    # --- beyond
    label: str = ""  # short name for the overview: "IoT MQTT"
    address: str | None = None
    alpn: str | None = None
    state_since_ns: int | None = None
    open_since_ns: int | None = None  # a connection that is open now
    bytes: int = 0


class TimeServerRecord(Record, frozen=True, kw_only=True):
    address: str
    scope: str  # "local", "public"
    stratum: int | None = None
    requests: int = 0
    responses: int = 0
    offset_ms: float | None = None
    delay_ms: float | None = None
    last_ns: int | None = None
    leap: int | None = None


class ClockRecord(Record, frozen=True, kw_only=True):
    servers: tuple[TimeServerRecord, ...] = ()
    state: str = "unknown"  # "synchronised", "silent", "unsynchronised", "off", "unknown"


class ResolverRecord(Record, frozen=True, kw_only=True):
    address: str
    queries: int = 0
    answers: int = 0
    median_ms: float | None = None
    failures: int = 0


class ViolationRecord(Record, frozen=True, kw_only=True):
    id: str
    reason: str
    severity: Severity
    port: str | None
    src: str
    sport: int | None
    dst: str
    dport: int | None
    transport: str
    host: str | None
    first_time_ns: int
    last_time_ns: int
    packets: int = 0
    bytes: int = 0
    flow: str | None = None
    text: str = ""
    # --- beyond
    flows: int = 1  # flows folded into this one
    state: str = "open"  # "open", "past"
    known: bool = False  # a person marked it
    first_packet: int = 0
    nearest: tuple[str, ...] = ()  # "cloudwatch: port 8444 is not 443"
    suggestion: str | None = None


class EvidenceRecord(Record, frozen=True, kw_only=True):
    time_ns: int
    packet: int | None
    text: str


class FindingRecord(Record, frozen=True, kw_only=True):
    id: str
    severity: Severity
    confidence: Confidence
    subject: str  # what it is about: "eth1", "camera yard", "logs.us-east-1.amazonaws.com"
    text: str
    action: str
    evidence: tuple[EvidenceRecord, ...] = ()
    first_time_ns: int
    last_time_ns: int
    cleared_time_ns: int | None = None
    # --- beyond
    key: str = ""  # id and subject: one finding
    layer: int = 0  # 1 link, 2 addressing, 3 names and time, 4 transport, 5 TLS, 6 application
    hides: tuple[str, ...] = ()  # keys of findings that hang on it
    hidden_by: str | None = None
    known: bool = False
    detail: tuple[str, ...] = ()  # controls and where to look
    flow: str | None = None
    stream: str | None = None
    camera: str | None = None


class EventRecord(Record, frozen=True, kw_only=True):
    time_ns: int
    number: int  # rising, unique in a run
    kind: str
    # "violation", "finding", "cleared", "camera", "port", "endpoint", "stream", "rtsp", "dns",
    # "dhcp", "recorder", "mark", "verdict", "clock", "capture", "link"
    severity: Severity
    subject: str
    text: str
    packet: int | None = None
    flow: str | None = None
    port: str | None = None


class SourceRecord(Record, frozen=True, kw_only=True):
    files: tuple[str, ...] = ()
    format: str = ""
    packets: int = 0
    bytes: int = 0
    first_time_ns: int | None = None
    last_time_ns: int | None = None
    truncated: bool = False
    malformed: int = 0
    interfaces: tuple[tuple[str, int, int], ...] = ()  # (name, packets, bytes)
    lost: int = 0  # packets that this tool missed


class SiteRecord(Record, frozen=True, kw_only=True):
    name: str | None = None
    topology: str | None = None
    region: str | None = None
    vantage: str | None = None
    mode: str = "normal"
    inferred: tuple[str, ...] = ()
    one_way: bool = False  # the mirror copies one direction only


class RecorderRecord(Record, frozen=True, kw_only=True):
    path: str
    since_ns: int
    bytes: int = 0
    state: str = "recording"  # "recording", "samples-only", "stopped"
    detail: str | None = None


class CountsRecord(Record, frozen=True, kw_only=True):
    flows: int = 0
    flows_live: int = 0
    streams: int = 0
    streams_ok: int = 0
    cameras: int = 0
    cameras_ok: int = 0
    endpoints: int = 0
    endpoints_ok: int = 0
    violations_open: int = 0
    violations_past: int = 0
    findings_open: int = 0
    events: int = 0


class Snapshot(Record, frozen=True, kw_only=True):
    """The whole state at one instant, but for the flow table, which is asked for by page."""

    time_ns: int  # packet time
    number: int
    site: SiteRecord
    source: SourceRecord
    ports: tuple[PortRecord, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    cameras: tuple[CameraRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    clock: ClockRecord = ClockRecord()
    resolvers: tuple[ResolverRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()  # the newest few hundred, oldest first
    counts: CountsRecord = CountsRecord()
    limits: dict[str, int] = {}
    recorder: RecorderRecord | None = None
    all_well_since_ns: int | None = None


# ------------------------------------------------------------------ conversions used everywhere


def address_text(version: int, raw: bytes) -> str:
    """16 raw bytes of an address column as text; IPv4 uses the first four."""
    if version == 4:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    return str(ipaddress.IPv6Address(raw))


def mac_text(mac: int) -> str | None:
    """A MAC column value as `aa:bb:cc:dd:ee:ff`; None for 0 (not Ethernet, or never seen)."""
    if not mac:
        return None
    return ":".join(f"{(mac >> s) & 255:02x}" for s in (40, 32, 24, 16, 8, 0))


def mac_value(text: str) -> int:
    """`aa:bb:cc:dd:ee:ff` (or with dashes) as a MAC column value; ValueError otherwise."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != 6:
        raise ValueError(f"not a MAC address: {text!r}")
    return int.from_bytes(bytes(int(p, 16) for p in parts), "big")
