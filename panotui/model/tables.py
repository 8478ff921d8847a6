"""The columns of a meter's reports: flows, streams, and the numbers of each second."""

from __future__ import annotations

import numpy as np

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


TEARDOWN = 1  # `end` of a stream's row: its session was torn down
GOODBYE = 4  # `end` of a stream's row: the sender ended it (RTCP BYE)
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
    "rtsps",  # TLS on its own port: nothing else is visible
    "http-connect",
    "ptp",
    "other",
    "vxlan",  # tunnels: the outer flow counts, the content is not decoded
    "geneve",
    "gre",
    "ip-in-ip",
    "onvif",  # web services of cameras: settings, events
    "snapshot",  # single pictures over HTTP
    "mjpeg",  # consecutive pictures in one HTTP response
)


# How the client was determined, weakest first.
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
        ("rtt_us", "i4"),  # least ack RTT of data, from the tap to both ends together, -1 unknown
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
    "OTHER",  # a name not in this list; recordings store codecs by index: add only at the end
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


KEYED_CODECS = frozenset({"H264", "H265", "JPEG"})  # codecs whose key frames are recognised


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
        ("undeclared", "u1"),  # 1: its payload type is none that the SETUP's SDP declares
        ("stray", "u1"),  # 1: an earlier session's, on a port that another session uses now
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
        ("ssrc_changes", "i4"),  # SSRC changes within the same stream
        ("foreign", "i8"),  # packets of types that were not announced; in no other count
        ("capture_lost", "i8"),  # of `lost`: in bytes or drops that this tool missed
        ("camera_dropped", "i8"),  # of `lost`: gaps inside an intact TCP stream
        ("camera_gaps", "i4"),  # number of those gaps
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
        ("bitrate_peak_bps", "f8"),  # rate of the whole second with the most bits
        ("frames", "i8"),
        ("keyframes", "i8"),
        ("markers", "i8"),
        ("damaged_frames", "i8"),
        ("fps", "f8"),  # over the whole stream, by arrival; NaN unknown or audio
        ("fps_now", "f8"),  # last 10 s
        ("fps_nominal", "f8"),  # pictures per second of their time stamps, over some minutes
        ("fps_stamped", "f8"),  # the same over the last 30 s
        ("stamp_rate", "f8"),  # seconds by time stamps per second of arrival, 30 s; NaN unknown
        ("catching_up", "u1"),  # 1: delayed pictures arrive faster than their time stamps
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
        ("frozen_picture_s", "f8"),  # packets continue but the picture does not, now; 0 none
        ("timestamp_jumps", "i4"),
        ("stalls_50ms", "i4"),  # how often a decoder with that much buffer would have stalled
        ("stalls_200ms", "i4"),
        ("stalls_500ms", "i4"),
        ("stall_50ms_s", "f8"),  # and for how long in total
        ("stall_200ms_s", "f8"),
        ("stall_500ms_s", "f8"),
        # --- RTCP
        ("sr_count", "i4"),
        ("rr_count", "i4"),
        ("sr_packets", "i8"),  # sender's own count since the first SR seen, -1 unknown
        ("sr_lost", "i8"),  # sender's count minus ours: lost before the capture; -1 unknown
        ("rr_lost", "i8"),  # receiver's cumulative lost, -1 none
        ("rr_fraction", "f8"),  # receiver's last fraction lost 0..1, NaN none
        ("rr_jitter_ms", "f8"),
        ("rtt_ms", "f8"),  # from LSR/DLSR, tap to receiver; NaN none
        ("camera_clock_offset_s", "f8"),  # SR wall clock minus capture time, NaN none
        ("drift_ppm", "f8"),
        ("stamp_first", "u4"),  # RTP time of its first packet
    ]
)


# One row per stream and second of packet time, for histories and 30-second windows.
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


# One row per interface, Ethernet pair and second: ports, rates, peaks, broadcasts, addresses.
LINK_SECOND_DTYPE = np.dtype(
    [
        ("interface", "i2"),
        ("src_mac", "u8"),
        ("dst_mac", "u8"),  # all ones: broadcast
        ("second", "i8"),
        ("packets", "i8"),
        ("bytes", "i8"),
        ("tagged", "i8"),  # packets that carried a VLAN tag
        ("ip4_src", "u4"),  # a source IPv4 address of this pair (0 none), for learning
        ("repeated", "i8"),  # packets that are copies made by a mirror
        ("repeated_bytes", "i8"),
        ("looped", "i8"),  # group-addressed packets seen again and again (a loop)
        ("last_packet", "i8"),  # number of the newest of them in the source
    ]
)
