"""A snapshot: the whole state at one instant, and its records."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

SCHEMA_ANALYSIS = "panotui.analysis/1"


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
    """Base of all records that leave the engine."""


class StepRecord(Record, frozen=True):
    """How far one target got: a port's frames, its lease, its next hop."""

    target: str  # "port", "lease", "next-hop"
    name: str
    passed: str | None  # the last step that it passed
    failing_step: str | None  # None: nothing fails
    text: str
    since_ns: int | None


class PortRecord(Record, frozen=True, kw_only=True):
    name: str  # "eth0", "eth1" of the appliance
    role: str | None = None
    mac: str | None = None
    addresses: tuple[str, ...] = ()
    interface: str | None = None  # the capture interface
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
        False  # speed, duplex and errors below are of the capture interface, not the appliance
    )
    up: bool | None = None
    speed_mbps: int | None = None
    duplex: str | None = None
    carrier_changes: int | None = None
    rx_errors: int | None = None
    rx_dropped: int | None = None
    neighbour: str | None = None  # "switch7 port Gi1/0/3" from LLDP or CDP
    last_seen_ns: int | None = None
    history_in_bps: tuple[float | None, ...] = ()  # newest last, one per second, None = gap
    history_out_bps: tuple[float | None, ...] = ()
    ladder: tuple[StepRecord, ...] = ()  # lowest first; steps that were not tried are left out
    trouble: str | None = None  # id of the worst open finding about it, information excluded
    trouble_text: str | None = None  # what it says: "its key frames are rare"
    trouble_word: str | None = None  # the same for a narrow column
    trouble_severity: Severity | None = None
    trouble_since_ns: int | None = None

    @property
    def standing(self) -> str:
        """Its state, or the severity of the worst finding about it while it is up."""
        return (self.trouble_severity or self.state) if self.state == "up" else self.state

    @property
    def standing_since_ns(self) -> int | None:
        """Start of the displayed state: a port may be up long before a finding about it."""
        troubled = self.standing != self.state and self.trouble_since_ns is not None
        return self.trouble_since_ns if troubled else self.state_since_ns


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
    undeclared: bool = False  # its payload type is none that the SETUP's SDP declares
    stray: bool = False  # an earlier session's, on a port that another session uses now
    encrypted: bool = False
    clock_rate: int | None = None
    state: str = "streaming"  # "streaming", "losing", "frozen", "paused", "ended", "slow"
    state_since_ns: int | None = None
    rate_bps: float | None = None  # last whole second; None before the first
    loss_now: float | None = None  # share 0..1 over 30 s; None unknown
    jitter_ms: float | None = None
    frame_jitter_ms: float | None = None
    fps_now: float | None = None
    fps_expected: float | None = None
    fps_nominal: float | None = None  # pictures per second of their time stamps, over some minutes
    fps_stamped: float | None = None  # the same over the last 30 s
    stamp_rate: float | None = None  # seconds by time stamps per second of arrival, over 30 s
    catching_up: bool = False  # delayed pictures arrive faster than their time stamps
    gop_frames: int | None = None
    keyframe_last_ns: int | None = None
    lost_unique: int = 0
    gap_events: int = 0
    longest_gap: int = 0
    capture_lost: int = 0
    camera_dropped: int = 0
    camera_gaps: int = 0  # number of those gaps
    uncertain: bool = False  # this tool missed packets while these numbers were measured
    restarts: int = 0
    ssrc_changes: int = 0  # SSRC changes within the same stream
    foreign: int = 0  # packets of types that were not announced; in no other count
    markers: int = 0
    damaged_frames: int = 0
    frame_bytes_mean: float | None = None
    frame_bytes_max: int | None = None
    late_frame_max_ms: float | None = None
    timestamp_jumps: int = 0
    stalls: tuple[tuple[int, int, float], ...] = ()  # (buffer ms, times, seconds)
    evidence: tuple[EvidenceRecord, ...] = ()  # packets around the newest gaps and restarts
    sr_lost: int | None = None  # lost before the capture, by the sender's own count
    rr_lost: int | None = None  # as the receiver reports
    rr_fraction: float | None = None
    rr_jitter_ms: float | None = None
    rtt_ms: float | None = None
    camera_clock_offset_s: float | None = None
    drift_ppm: float | None = None
    history_bps: tuple[float | None, ...] = ()  # one per second, newest last, None = no record
    history_lost: tuple[int | None, ...] = ()
    history_frames: tuple[int | None, ...] = ()
    history_frame_bytes: tuple[int | None, ...] = ()
    history_keyframes: tuple[int | None, ...] = ()
    trouble: str | None = None  # id of the worst open finding about it, information excluded
    trouble_text: str | None = None  # what it says: "its key frames are rare"
    trouble_word: str | None = None  # the same for a narrow column
    trouble_severity: Severity | None = None
    trouble_since_ns: int | None = None

    @property
    def standing(self) -> str:
        """The state, or the severity of a finding about it while the state is "streaming"."""
        return (self.trouble_severity or self.state) if self.state == "streaming" else self.state

    @property
    def standing_since_ns(self) -> int | None:
        """Start of the displayed state: a stream may flow long before a finding about it."""
        troubled = self.standing != self.state and self.trouble_since_ns is not None
        return self.trouble_since_ns if troubled else self.state_since_ns


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
    # "site", "discovery", "dhcp", "mdns", "sdp", "maker", "address": best first
    named_by: str = "address"
    readers: tuple[str, ...] = ()  # its readers besides the appliance
    last_status: int | None = None
    port: str | None = None
    fps_expected: float | None = None
    dialogue: tuple[DialogueLine, ...] = ()
    trouble: str | None = None  # id of the worst open finding about it, information excluded
    trouble_text: str | None = None  # what it says: "its key frames are rare"
    trouble_word: str | None = None  # the same for a narrow column
    trouble_severity: Severity | None = None
    trouble_since_ns: int | None = None

    @property
    def standing(self) -> str:
        """The state, or the severity of a finding about it while the state is "streaming"."""
        return (self.trouble_severity or self.state) if self.state == "streaming" else self.state

    @property
    def standing_since_ns(self) -> int | None:
        """Start of the displayed state: a stream may flow long before a finding about it."""
        troubled = self.standing != self.state and self.trouble_since_ns is not None
        return self.trouble_since_ns if troubled else self.state_since_ns


class AttemptRecord(Record, frozen=True, kw_only=True):
    """One connection to an endpoint, and how far it got."""

    time_ns: int
    packet: int | None
    address: str
    passed: str  # the last step that succeeded, see `state.ladder.STEPS`; "nothing": no name
    ended: str  # "works", "waiting", "nameless", "silent", "refused", "reset", "closed", ...
    text: str  # "SYN ok 21 ms, ClientHello sent, nothing after"


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
    failing_step: str | None = None  # the step at which its attempts fail
    attempts_detail: tuple[AttemptRecord, ...] = ()  # the last attempts, oldest first


class DeviceRecord(Record, frozen=True, kw_only=True):
    """A sender of Ethernet frames, by MAC address."""

    mac: str
    vendor: str | None = None
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # best first
    port: str | None = None  # the appliance's port, or the capture interface, that receives it
    vlan: int | None = None
    role: str = "host"
    # "appliance", "camera", "gateway", "router", "resolver", "time server", "switch", "host"
    first_time_ns: int = 0  # in whole seconds, unless a message was its first packet
    last_time_ns: int = 0
    packets: int = 0  # sent by it
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
    known: bool = False  # marked by a user
    first_packet: int = 0
    nearest: tuple[str, ...] = ()  # "cloudwatch: port 8444 is not 443"
    suggestion: str | None = None
    evidence_file: str | None = None  # recordings: file with its packets, see `EvidenceFileRecord`
    frame: int | None = None  # of its first packet in that file, from 1


class EvidenceRecord(Record, frozen=True, kw_only=True):
    time_ns: int
    packet: int | None
    text: str
    frame: int | None = None  # recordings: its number in the finding's evidence file, from 1


class FrameRecord(Record, frozen=True, kw_only=True):
    """A packet of an evidence file that proves a finding or violation."""

    frame: int  # in that file, from 1
    time_ns: int  # of the finding or violation
    packet: int | None  # its number as counted by the meter
    text: str


class EvidenceFileRecord(Record, frozen=True, kw_only=True):
    """A file of packets in a recording's folder `evidence`."""

    file: str
    subject: str  # "finding:KEY", "violation:ID"; "" for control packets
    title: str
    time_ns: int
    packets: int
    bytes: int
    sha256: str | None = None  # when it was written; None while it is being written
    intact: bool | None = None  # whether the file is unchanged; None: not checked
    frames: tuple[FrameRecord, ...] = ()


class LifeRecord(Record, frozen=True, kw_only=True):
    """A past period in which a finding was open."""

    first_time_ns: int
    cleared_time_ns: int
    severity: Severity
    text: str


class FindingRecord(Record, frozen=True, kw_only=True):
    id: str
    severity: Severity
    confidence: Confidence
    subject: str  # its subject: "eth1", "camera yard", "logs.us-east-1.amazonaws.com"
    text: str
    action: str
    evidence: tuple[EvidenceRecord, ...] = ()
    first_time_ns: int
    last_time_ns: int
    cleared_time_ns: int | None = None
    # --- beyond
    key: str = ""  # id and subject identify a finding
    layer: int = 0  # 1 link, 2 addressing, 3 names and time, 4 transport, 5 TLS, 6 application
    hides: tuple[str, ...] = ()  # keys of findings that depend on it
    hidden_by: str | None = None
    known: bool = False
    detail: tuple[str, ...] = ()  # checks and where to look
    flow: str | None = None
    stream: str | None = None
    camera: str | None = None
    violation: str | None = None  # id of the violation that it explains
    evidence_file: str | None = None  # recordings: file with its packets, see `EvidenceFileRecord`
    earlier: tuple[LifeRecord, ...] = ()  # periods before this one, oldest first; the newest few

    @property
    def name(self) -> str:
        """Identifies the finding; together with its first time, one period of it."""
        return self.key or f"{self.id} {self.subject}"


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
    about: str | None = None  # its subject: "camera:NAME", "finding:KEY", ...
    count: int = 1  # number of changes that it stands for
    until_ns: int | None = None  # time of the last of several changes


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
    clock_stepped_ns: int = 0  # live: how far the machine's clock is ahead of packet time
    slept_ns: int = 0  # live: how long the machine slept


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
    evidence_bytes: int = 0  # of these, in evidence files
    state: str = "recording"  # "recording", "samples-only", "stopped"
    detail: str | None = None


class CountsRecord(Record, frozen=True, kw_only=True):
    devices: int = 0
    flows: int = 0
    flows_live: int = 0
    streams: int = 0
    streams_ok: int = 0  # streaming, without an open finding (information excluded)
    cameras: int = 0
    cameras_ok: int = 0  # streaming, without an open finding that is an error
    cameras_losing: int = 0
    cameras_unseen: int = 0
    endpoints: int = 0  # that are needed
    endpoints_ok: int = 0
    endpoints_unseen: int = 0
    violations_open: int = 0
    violations_past: int = 0
    findings_open: int = 0
    findings_known: int = 0  # open ones that a user marked as known
    findings_notes: int = 0  # open ones that are information only and not marked
    violations_known: int = 0
    events: int = 0


class WindowRecord(Record, frozen=True, kw_only=True):
    """The part of a state that was requested."""

    since_ns: int | None = None
    until_ns: int | None = None
    filter: str = ""  # in the language of the screen's `/`


class Snapshot(Record, frozen=True, kw_only=True):
    """The whole state at one instant, without the flow table, which is read page by page."""

    time_ns: int  # packet time
    number: int
    site: SiteRecord
    source: SourceRecord
    ports: tuple[PortRecord, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    cameras: tuple[CameraRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    devices: tuple[DeviceRecord, ...] = ()
    clock: ClockRecord = ClockRecord()
    resolvers: tuple[ResolverRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()  # the newest few hundred, oldest first
    counts: CountsRecord = CountsRecord()
    limits: dict[str, int] = {}
    recorder: RecorderRecord | None = None
    all_well_since_ns: int | None = None
    evidence: tuple[EvidenceFileRecord, ...] = ()  # of a whole recording
    window: WindowRecord | None = None  # this is a part of the state
