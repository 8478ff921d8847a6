"""Records as the objects of the JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from panotui.model import (
    CameraRecord,
    ClockRecord,
    DeviceRecord,
    EndpointRecord,
    EvidenceFileRecord,
    EvidenceRecord,
    FindingRecord,
    FlowRecord,
    FreezeRecord,
    PortRecord,
    SiteRecord,
    SourceRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.wire.text import writable

Json = dict[str, Any]


NO_ACTION = "Nothing to do"  # of a finding that is information only
FLOW_TIMES = {"first_time": "first_time_ns", "last_time": "last_time_ns"}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(time_ns: int | None) -> str | None:
    """RFC 3339 in UTC with microseconds (truncated); None for no time and for invalid ones."""
    if time_ns is None:
        return None
    second, rest_ns = divmod(time_ns, 1_000_000_000)
    text = second_text(second)
    return None if text is None else f"{text}.{rest_ns // 1000:06d}Z"


@lru_cache(4_096)
def second_text(second: int) -> str | None:
    """A second since 1970 as RFC 3339 without its zone; None for invalid ones."""
    try:
        moment = _EPOCH + timedelta(seconds=second)
    except OverflowError:
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def source_object(source: SourceRecord) -> Json:
    """The packets and their sources."""
    return {
        "files": [writable(name) for name in source.files],
        "format": source.format,
        "packets": source.packets,
        "bytes": source.bytes,
        "first_time": time_text(source.first_time_ns),
        "last_time": time_text(source.last_time_ns),
        "truncated": source.truncated,
        "malformed": source.malformed,
        "interfaces": [
            {"name": name, "packets": packets, "bytes": size}
            for name, packets, size in source.interfaces
        ],
        "lost": source.lost,
    }


def site_object(site: SiteRecord) -> Json:
    """The site as it was declared or inferred."""
    return {
        "name": site.name,
        "topology": site.topology,
        "region": site.region,
        "vantage": site.vantage,
        "inferred": list(site.inferred),
        "mode": site.mode,
        "one_way": site.one_way,
    }


def port_object(port: PortRecord) -> Json:
    """One of the appliance's ports."""
    return {
        "name": port.name,
        "role": port.role,
        "mac": port.mac,
        "addresses": list(port.addresses),
        "interface": port.interface,
        "ladder": [
            {
                "target": s.target,
                "name": s.name,
                "passed": s.passed,
                "failing_step": s.failing_step,
                "since": time_text(s.since_ns) if s.since_ns else None,
                "text": s.text,
            }
            for s in port.ladder
        ],
        "packets_in": port.packets_in,
        "packets_out": port.packets_out,
        "bytes_in": port.bytes_in,
        "bytes_out": port.bytes_out,
        "rate_in_bps": port.rate_in_bps,
        "rate_out_bps": port.rate_out_bps,
        "peak_in_bps": port.peak_in_bps,
        "peak_out_bps": port.peak_out_bps,
        "state": port.state,
        "neighbour": port.neighbour,
    }


def flow_object(flow: FlowRecord) -> Json:
    """One flow, client first."""
    return {
        "id": flow.id,
        "community_id": flow.community_id,
        "port": flow.port,
        "transport": flow.transport,
        "src": flow.src,
        "sport": flow.sport,
        "dst": flow.dst,
        "dport": flow.dport,
        "first_time": time_text(flow.first_time_ns),
        "last_time": time_text(flow.last_time_ns),
        "packets_out": flow.packets_out,
        "packets_in": flow.packets_in,
        "bytes_out": flow.bytes_out,
        "bytes_in": flow.bytes_in,
        "app": flow.app,
        "host": flow.host,
        "host_source": flow.host_source,
        "alpn": flow.alpn,
        "verdict": flow.verdict,
        "rule": flow.rule,
        "reason": flow.reason,
        "rtt_ms": flow.rtt_ms,
        "retransmits": flow.retransmits,
        "state": flow.state,
        "vlan": flow.vlan,
        "own": flow.own,
        "first_packet": flow.first_packet,
        "last_packet": flow.last_packet,
        "history": flow.history,
        "conn_state": flow.conn_state,
        "handshake_ms": flow.handshake_ms,
        "retransmits_out": flow.retransmits_out,
        "retransmits_in": flow.retransmits_in,
        "out_of_order": flow.out_of_order,
        "dup_acks": flow.dup_acks,
        "zero_window": flow.zero_window,
        "unseen_bytes": flow.unseen_bytes,
        "resets": flow.resets,
        "resets_out": flow.resets_out,
        "resets_in": flow.resets_in,
        "syn": flow.syn,
        "fast_retransmits": flow.fast_retransmits,
        "window_full": flow.window_full,
        "keep_alive": flow.keep_alive,
    }


def _pair(**values: float | None) -> Json | None:
    """An object of numbers, or null if none of them is known."""
    return values if any(v is not None for v in values.values()) else None


def stream_object(stream: StreamRecord) -> Json:
    """One RTP stream."""
    return {
        "id": stream.id,
        "camera": stream.camera,
        "url": stream.url,
        "ssrc": stream.ssrc,
        "payload_type": stream.payload_type,
        "codec": stream.codec,
        "media": stream.media,
        "transport": stream.transport,
        "src": stream.src,
        "sport": stream.sport,
        "dst": stream.dst,
        "dport": stream.dport,
        "first_time": time_text(stream.first_time_ns),
        "last_time": time_text(stream.last_time_ns),
        "packets": stream.packets,
        "bytes": stream.bytes,
        "expected": stream.expected,
        "lost": stream.lost,
        "lost_unique": stream.lost_unique,
        "capture_lost": stream.capture_lost,
        "camera_dropped": stream.camera_dropped,
        "camera_gaps": stream.camera_gaps,
        "duplicates": stream.duplicates,
        "reordered": stream.reordered,
        "gap_events": stream.gap_events,
        "longest_gap": stream.longest_gap,
        "restarts": stream.restarts,
        "ssrc_changes": stream.ssrc_changes,
        "trouble": stream.trouble,
        "foreign": stream.foreign,
        "jitter_ms": _pair(mean=stream.jitter_mean_ms, max=stream.jitter_max_ms),
        "frame_jitter_ms": _pair(mean=stream.frame_jitter_mean_ms, max=stream.frame_jitter_max_ms),
        "delta_ms": _pair(
            min=stream.delta_min_ms, mean=stream.delta_mean_ms, max=stream.delta_max_ms
        ),
        "bitrate_bps": _pair(mean=stream.bitrate_mean_bps, peak=stream.bitrate_peak_bps),
        "frames": stream.frames,
        "keyframes": stream.keyframes,
        "damaged_frames": stream.damaged_frames,
        "fps": stream.fps,
        "gop_s": stream.gop_s,
        "width": stream.width,
        "height": stream.height,
        "profile": stream.profile,
        "freezes": [freeze_object(f) for f in stream.freezes],
        "stalls": [
            {"buffer_ms": buffer, "times": times, "seconds": seconds}
            for buffer, times, seconds in stream.stalls
        ],
        "state": stream.state,
        "state_since": time_text(stream.state_since_ns),
        "clock_rate": stream.clock_rate,
        "markers": stream.markers,
        "frame_bytes": _pair(mean=stream.frame_bytes_mean, max=stream.frame_bytes_max),
        "gop_frames": stream.gop_frames,
        "fps_nominal": stream.fps_nominal,
        "fps_stamped": stream.fps_stamped,
        "stamp_rate": stream.stamp_rate,
        "catching_up": stream.catching_up,
        "fps_expected": stream.fps_expected,
        "signalled": stream.signalled,
        "undeclared": stream.undeclared,
        "stray": stream.stray,
        "encrypted": stream.encrypted,
        "rule": stream.rule,
        "verdict": stream.verdict,
        "flow": stream.flow,
        "uncertain": stream.uncertain,
        "rtcp": _rtcp(stream),
    }


def _rtcp(stream: StreamRecord) -> Json:
    return {
        "sender_lost": stream.sr_lost,
        "receiver_lost": stream.rr_lost,
        "receiver_fraction": stream.rr_fraction,
        "receiver_jitter_ms": stream.rr_jitter_ms,
        "rtt_ms": stream.rtt_ms,
        "clock_offset_s": stream.camera_clock_offset_s,
        "drift_ppm": stream.drift_ppm,
    }


def freeze_object(freeze: FreezeRecord) -> Json:
    """One freeze of a stream."""
    return {
        "start": time_text(freeze.start_ns),
        "seconds": freeze.seconds,
        "kind": freeze.kind,
    }


def camera_object(camera: CameraRecord) -> Json:
    """One camera."""
    return {
        "name": camera.name,
        "address": camera.address,
        "mac": camera.mac,
        "vendor": camera.vendor,
        "sessions": camera.sessions,
        "streams": list(camera.streams),
        "state": camera.state,
        "state_text": camera.state_text,
        "state_since": time_text(camera.state_since_ns),
        "user_agent_server": camera.user_agent_server,
        "sdp_codec": camera.sdp_codec,
        "named_by": camera.named_by,
        "readers": list(camera.readers),
        "trouble": camera.trouble,
    }


def endpoint_object(endpoint: EndpointRecord) -> Json:
    """One endpoint that the appliance needs or used."""
    return {
        "service": endpoint.service,
        "host": endpoint.host,
        "port": endpoint.port,
        "rule": endpoint.rule,
        "needed": endpoint.needed,
        "state": endpoint.state,
        "attempts": endpoint.attempts,
        "successes": endpoint.successes,
        "last_success": time_text(endpoint.last_success_ns),
        "rtt_ms": endpoint.rtt_ms,
        "tls_version": endpoint.tls_version,
        "detail": endpoint.detail,
        "address": endpoint.address,
        "alpn": endpoint.alpn,
        "failing_step": endpoint.failing_step,
        "attempts_detail": [
            {
                "time": time_text(a.time_ns),
                "packet": a.packet,
                "address": a.address,
                "passed": a.passed,
                "ended": a.ended,
                "text": a.text,
            }
            for a in endpoint.attempts_detail
        ],
    }


def device_object(device: DeviceRecord) -> Json:
    """One device that was seen on the wire."""
    return {
        "mac": device.mac,
        "vendor": device.vendor,
        "addresses": list(device.addresses),
        "names": list(device.names),
        "port": device.port,
        "vlan": device.vlan,
        "role": device.role,
        "first_time": time_text(device.first_time_ns),
        "last_time": time_text(device.last_time_ns),
        "packets": device.packets,
        "bytes": device.bytes,
    }


def clock_object(clock: ClockRecord) -> Json:
    """Time servers and the appliance's clock."""
    return {
        "servers": [
            {
                "address": s.address,
                "scope": s.scope,
                "stratum": s.stratum,
                "requests": s.requests,
                "responses": s.responses,
                "offset_ms": s.offset_ms,
                "delay_ms": s.delay_ms,
            }
            for s in clock.servers
        ],
        "state": clock.state,
    }


def violation_object(violation: ViolationRecord) -> Json:
    """One violation."""
    return {
        "id": violation.id,
        "reason": violation.reason,
        "severity": violation.severity,
        "port": violation.port,
        "src": violation.src,
        "sport": violation.sport,
        "dst": violation.dst,
        "dport": violation.dport,
        "transport": violation.transport,
        "host": violation.host,
        "first_time": time_text(violation.first_time_ns),
        "last_time": time_text(violation.last_time_ns),
        "packets": violation.packets,
        "bytes": violation.bytes,
        "flow": violation.flow,
        "text": violation.text,
        "flows": violation.flows,
        "first_packet": violation.first_packet or None,
        "nearest": list(violation.nearest),
        "suggestion": violation.suggestion,
        "evidence_file": violation.evidence_file,
        "frame": violation.frame,
    }


def finding_objects(findings: Iterable[FindingRecord]) -> list[Json]:
    """Findings without a cause among the others, each with its evidence and, as `members`, those
    that depend on it.
    """
    known = {f.key: f for f in findings}
    return [finding_object(f, known) for f in known.values() if f.hidden_by is None]


def finding_object(
    finding: FindingRecord, known: Mapping[str, FindingRecord] | None = None
) -> Json:
    """One finding with its evidence. `known`: all findings by key, for its members."""
    members = [known[key] for key in finding.hides if key in known] if known else []
    return {
        "id": finding.id,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "subject": finding.subject,
        "text": finding.text,
        "action": finding.action or NO_ACTION,
        "evidence": [evidence_object(e) for e in finding.evidence],
        "evidence_file": finding.evidence_file,
        "first_time": time_text(finding.first_time_ns),
        "last_time": time_text(finding.last_time_ns),
        "cleared_time": time_text(finding.cleared_time_ns),
        "earlier": [
            {
                "first_time": time_text(life.first_time_ns),
                "cleared_time": time_text(life.cleared_time_ns),
                "severity": life.severity,
                "text": life.text,
            }
            for life in finding.earlier
        ],
        "layer": finding.layer,
        "hides": list(finding.hides),
        "hidden_by": finding.hidden_by.partition("|")[0] if finding.hidden_by else None,
        "members": [finding_object(f) for f in members],
        "detail": list(finding.detail),
        "flow": finding.flow,
        "stream": finding.stream,
    }


def evidence_object(evidence: EvidenceRecord) -> Json:
    """One piece of evidence."""
    return {
        "time": time_text(evidence.time_ns),
        "packet": evidence.packet,
        "frame": evidence.frame,
        "text": evidence.text,
    }


def evidence_file_object(kept: EvidenceFileRecord) -> Json:
    """One evidence file of a recording, with the frames in it that prove something."""
    return {
        "file": kept.file,
        "subject": kept.subject or None,
        "title": kept.title,
        "time": time_text(kept.time_ns),
        "packets": kept.packets,
        "bytes": kept.bytes,
        "sha256": kept.sha256,
        "intact": kept.intact,
        "frames": [
            {"frame": f.frame, "time": time_text(f.time_ns), "text": f.text} for f in kept.frames
        ],
    }
