"""Messages: the typed content of control packets."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="message"):
    """A parsed control packet. `flow` is the flow's id, or -1 if it has none."""

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
    transmit_ns: int | None  # the same as ns since 1970 (RFC 5905, era by pivot), None if unset
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
    # the quoted packet, for types that quote one
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
    """STP, LACP, PAUSE, IGMP, VRRP, HSRP, PTP and the like: name and one line of detail."""

    protocol: str  # "stp", "lacp", "pause", "pfc", "igmp-query", "igmp-report", "igmp-leave", ...
    src_mac: str
    src: str | None = None
    group: str | None = None
    detail: str = ""
    raw: bytes = b""  # the first bytes of a rare one, for `wire.linkcontrol.described`
    title: str = ""  # the protocol named by the event for each new sender; "": no event


class TlsClientHello(Message, frozen=True, kw_only=True, tag="tls-client-hello"):
    sni: str | None
    alpn: tuple[str, ...] = ()
    version: str = ""  # highest offered: "1.0" ... "1.3"
    ech: bool = False  # the extension is present; also as GREASE, so the name stays usable
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
    requested: bool = False  # this handshake has a CertificateRequest


class TlsAlert(Message, frozen=True, kw_only=True, tag="tls-alert"):
    from_client: bool
    level: int | None  # None: encrypted, inferred from its size
    code: int | None
    after_client_certificate: bool = False


class TlsFinished(Message, frozen=True, kw_only=True, tag="tls-finished"):
    """Application data (or CCS and data) flowed both ways: the handshake succeeded.

    `server_bytes`: bytes that the server had sent by then, -1 if the hello was not seen.
    """

    server_bytes: int = -1


class NotTls(Message, frozen=True, kw_only=True, tag="not-tls"):
    """The first client payload of a flow on a TLS port is not TLS."""

    looks_like: str  # an APPS name


class HttpMessage(Message, frozen=True, kw_only=True, tag="http"):
    from_client: bool
    method: str | None = None
    host: str | None = None
    path: str | None = None  # without query string
    status: int | None = None
    user_agent: str | None = None
    server: str | None = None
    credentials: bool = False  # Authorization: Basic was sent in cleartext
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
    """mDNS, SSDP, WS-Discovery: what a host announces about itself."""

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
    direction: str = ""  # "sendonly" of an ONVIF back channel, as the SDP says it


class RtspMessage(Message, frozen=True, kw_only=True, tag="rtsp"):
    """One request or response, without credentials."""

    session: int  # `RtspSession.id` of the connection, unique in its meter
    from_client: bool
    client: str
    server: str
    server_port: int
    method: str | None  # of the request; a response has its request's method
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
    carrier: str = "rtsp"  # "rtsp", "rtsp-http", "rtsps"; "http": a web server's answer to RTSP
    location: str | None = None  # of a redirect, without user and password
    # of a SETUP: media type of the track in the SDP, "" unknown; "backchannel": audio to the camera
    media: str = ""
    public: tuple[str, ...] = ()  # methods that the server offers (Public, Allow)


class RtspEnd(Message, frozen=True, kw_only=True, tag="rtsp-end"):
    """The RTSP connection ended."""

    session: int
    # "teardown", "teardown-server", "fin-client", "fin-server", "rst-client", "rst-server", "idle"
    how: str
    last_keepalive_ns: int = 0  # the newest activity that may have kept the session alive
    timeout_s: int = 60
    keepalive_by: str = ""  # its kind: "request", "rtcp", ""
    last_report_ns: int = 0  # the reader's newest RTCP report
    strays: int = 0  # places where the server's bytes were neither a frame nor a message


class StreamBound(Message, frozen=True, kw_only=True, tag="stream-bound"):
    """The session, URL and track of a stream; repeated when they become known later."""

    stream: int
    session: int
    url: str | None  # of the track, without user and password
    control: str
    media: str  # "video", "audio", "application", "" unknown
    codec: str | None = None
    client: str = ""
    server: str = ""


class RtcpReport(Message, frozen=True, kw_only=True, tag="rtcp"):
    stream: int  # id of the stream that it is about, -1 unknown
    kind: str  # "sr", "rr", "bye"
    ssrc: int
    about: int  # SSRC reported on (rr), own (sr)
    ntp_ns: int | None = None
    rtp_time: int | None = None
    packets: int | None = None
    octets: int | None = None
    fraction_lost: float | None = None
    cumulative_lost: int | None = None
    highest: int | None = None  # extended sequence number that its receiver has got
    jitter: int | None = None
    from_receiver: bool = False


class StreamFreeze(Message, frozen=True, kw_only=True, tag="stream-freeze"):
    stream: int
    start_ns: int
    seconds: float
    # "silence" (no packets), "backlog" (then a burst of late packets), "clock" (RTP time stands
    # still), "picture"
    kind: str


class StreamRestart(Message, frozen=True, kw_only=True, tag="stream-restart"):
    stream: int
    kind: str  # "ssrc", "sequence", "outage", "timestamp"
    detail: str = ""


class StreamGap(Message, frozen=True, kw_only=True, tag="stream-gap"):
    """A run of lost packets; only a few per second and stream are reported."""

    stream: int
    lost: int
    where: str  # "path", "camera", "capture"
    keyframe_tail: bool = False


class StreamPieces(Message, frozen=True, kw_only=True, tag="stream-pieces"):
    """A second in which a stream's packets came in IP fragments, and not all of them."""

    stream: int
    datagrams: int  # packets that were sent in fragments
    due: int  # fragments of them after their first ones
    missing: int  # of `due`
    cut: int  # of `datagrams`: those that lack some


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
    | StreamPieces
    | FlowNote
)
