"""The detail view of one thing: a record in, titled sections of lines out.

It works on any `State` (the running engine or a recording at a time), so that live and review show
the same. Times here are UTC with microseconds; the screen's own lines are local.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from panotui.model import (
    CameraRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    Snapshot,
    StepRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.model.quantities import counted, link_speed, rate
from panotui.model.quantities import times as often
from panotui.state.leads import leads_nowhere
from panotui.views.answers import of_camera, of_endpoint
from panotui.views.frames import Detail, Section
from panotui.views.identity import finding_key
from panotui.views.quantities import number, utc, utc_clock, word
from panotui.views.state import Line, State

_DATED = re.compile(r"\d\d:\d\d:\d\d\b")


def section(title: str, lines: Iterable[Line], most: int | None = None) -> tuple[Section, ...]:
    """A section, or none if it is empty; of more than `most` lines the first ones, and the number
    of the rest.
    """
    kept = tuple(line for line in lines if line[1] not in ("", "-"))
    if most is not None and len(kept) > most:
        kept = (*kept[:most], ("", f"and {len(kept) - most:,} more"))
    return (Section(title=title, lines=kept),) if kept else ()


def _flow_links(flow_id: str | None, state: State) -> list[tuple[str, str]]:
    """A flow by its addresses, which a user recognises; None for a flow that is no longer kept."""
    flow = None if flow_id is None else state.flow(flow_id)
    if flow is None:
        return []
    port = flow.dport if flow.transport in ("tcp", "udp", "sctp") else None
    return [(f"flow {flow.src} > {_address_port(flow.dst, port)}", f"flow:{flow_id}")]


def _address_port(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _stream_name(stream: StreamRecord) -> str:
    return f"{stream.camera or stream.src} {stream.media or stream.ssrc}"


# ------------------------------------------------------------------ one function per kind


def flow_detail(key: str, flow: FlowRecord, state: State, snapshot: Snapshot) -> Detail:
    client, server, kind = flow.src, flow.dst, ""
    if flow.transport in ("tcp", "udp", "sctp"):
        client, server = _address_port(flow.src, flow.sport), _address_port(flow.dst, flow.dport)
    elif flow.transport.startswith("icmp"):  # its numbers are a type and a code
        kind = f"  type {word(flow.sport)} code {word(flow.dport)}"
    verdict = _flow_verdict(flow, state)
    sections = (
        *section("VERDICT", verdict),
        *section("NAMES", _beyond(_flow_names(flow, snapshot), verdict)),
        *section("TRAFFIC", _flow_traffic(flow, countable=not leads_nowhere(snapshot))),
        *(section("TCP", _flow_tcp(flow)) if flow.transport == "tcp" else ()),
        *section("ETHERNET", _flow_ethernet(flow)),
    )
    links = [
        (f"stream {_stream_name(s)}", f"stream:{s.id}")
        for s in snapshot.streams
        if s.flow == flow.id
    ]
    if flow.camera:
        links.append((f"camera {flow.camera}", f"camera:{flow.camera}"))
    links += [
        (f"violation {v.reason}", f"violation:{v.id}")
        for v in snapshot.violations
        if v.flow == flow.id
    ]
    links += [
        (f"finding {f.id}", f"finding:{finding_key(f)}")
        for f in snapshot.findings
        if f.flow == flow.id
    ]
    return Detail(
        key=key,
        title=f"{flow.transport} {client} > {server}{kind}",
        sections=sections,
        flow=flow,
        copy=f"{client} -> {server} {flow.transport}",
        links=tuple(links[:20]),
    )


def _flow_verdict(flow: FlowRecord, state: State) -> list[Line]:
    lines: list[Line] = [
        ("verdict", flow.verdict),
        ("reason", word(flow.reason)),
        ("rule", word(flow.rule)),
    ]
    # The explanation begins with the verdict, too, and may be more recent.
    explained = [(label, text) for label, text in state.explain_flow(flow.id)]
    return _beyond(lines, explained) + explained


def _beyond(lines: Iterable[Line], others: Iterable[Line]) -> list[Line]:
    """The lines that have another label than those of `others`, which say the same."""
    told = {label for label, _ in others}
    return [line for line in lines if line[0] not in told]


def _flow_names(flow: FlowRecord, snapshot: Snapshot) -> list[Line]:
    lines: list[Line] = []
    if flow.host:
        lines.append(("host", f"{flow.host}  (from {flow.host_source or 'unknown source'})"))
    lines += [("service", word(flow.service)), ("app", word(flow.app))]
    lines += [("alpn", word(flow.alpn)), ("camera", word(flow.camera))]
    if flow.own:
        lines.append(("", "this tool's own traffic or the technician's session"))
    lines.append(("community id", flow.community_id))
    return lines


def _flow_traffic(flow: FlowRecord, countable: bool) -> list[Line]:
    numbered = countable and flow.first_packet
    lasted_ms = (flow.last_time_ns - flow.first_time_ns) / 1e6
    return [
        (
            "state",
            flow.state + (f", ended: {flow.end}" if flow.end not in (None, "", flow.state) else ""),
        ),
        ("first", utc(flow.first_time_ns)),
        ("last", utc(flow.last_time_ns)),
        ("lasted", f"{lasted_ms / 1e3:.1f} s" if lasted_ms >= 1e3 else f"{lasted_ms:.1f} ms"),
        (
            "out",
            f"{counted(flow.packets_out, 'packet')}  {counted(flow.bytes_out, 'byte')}"
            f"  {rate(flow.rate_out_bps)}",
        ),
        (
            "in",
            f"{counted(flow.packets_in, 'packet')}  {counted(flow.bytes_in, 'byte')}"
            f"  {rate(flow.rate_in_bps)}",
        ),
        ("packets", f"{flow.first_packet} to {flow.last_packet}" if numbered else "-"),
        ("client by", word(flow.client_by)),
    ]


def _flow_tcp(flow: FlowRecord) -> list[Line]:
    return [
        ("round trip", number(flow.rtt_ms, " ms")),
        ("handshake", number(flow.handshake_ms, " ms")),
        (
            "retransmits",
            f"{word(flow.retransmits)} (out {word(flow.retransmits_out)},"
            f" in {word(flow.retransmits_in)})",
        ),
        ("out of order", word(flow.out_of_order)),
        ("duplicate acks", word(flow.dup_acks)),
        ("zero window", word(flow.zero_window)),
        ("SYN", word(flow.syn)),
        ("RST", word(flow.resets)),
        ("never captured", number(flow.unseen_bytes, " bytes")),
        ("state (Zeek)", word(flow.conn_state)),
        ("history (Zeek)", word(flow.history)),
    ]


def _flow_ethernet(flow: FlowRecord) -> list[Line]:
    return [
        ("port", word(flow.port)),
        ("answers on", word(flow.port_in) if flow.port_in != flow.port else "-"),
        ("source MAC", word(flow.mac_src)),
        ("destination MAC", word(flow.mac_dst)),
        ("VLAN", word(flow.vlan)),
    ]


def _stutter(stream: StreamRecord) -> list[Line]:
    """Whether a decoder would have stalled, by buffer size; nothing if unknown."""
    if not stream.stalls:
        return []
    lines = [
        (f"stutter {ms} ms", f"{often(times)}, {seconds:.1f} s with such a buffer")
        for ms, times, seconds in stream.stalls
        if times
    ]
    return lines or [("stutter", f"none with a buffer of {stream.stalls[0][0]} ms or more")]


def stream_detail(key: str, stream: StreamRecord, state: State, snapshot: Snapshot) -> Detail:
    def unsure(text: str) -> str:
        """A number that depends on packets that this tool may have missed."""
        return f"{text} ?" if stream.uncertain and text != "-" else text

    size = f"{stream.width}x{stream.height}" if stream.width else None
    own = [f for f in snapshot.findings if f.stream == stream.id]
    camera = next((c for c in snapshot.cameras if c.name == stream.camera), None)
    if not own and camera is not None:
        own = of_camera(camera, snapshot)
    sections = (
        *section(
            "PICTURE",
            [
                (
                    "",
                    "? this tool missed packets, so such a number may be wrong"
                    if stream.uncertain
                    else "",
                ),
                (
                    "state",
                    f"{stream.state} since {utc_clock(stream.state_since_ns)}"
                    + (", catching up after a stall" if stream.catching_up else ""),
                ),
                *_odd(stream),
                (
                    "codec",
                    " ".join(w for w in (stream.codec, size, stream.profile) if w) or "-",
                ),
                (
                    "frames/s",
                    unsure(
                        f"{number(stream.fps_now, digits=1)}"
                        + (f" of {stream.fps_expected:.4g}" if stream.fps_expected else "")
                    )
                    if stream.fps_now is not None
                    else "-",
                ),
                ("frames", unsure(word(stream.frames))),
                ("key frames", unsure(word(stream.keyframes))),
                ("key frame every", number(stream.gop_s, " s")),
                ("damaged frames", unsure(word(stream.damaged_frames or None))),
                *((label, unsure(text)) for label, text in _stutter(stream)),
                *(
                    ("freeze", unsure(f"{utc(f.start_ns)}  {f.seconds:.1f} s  {f.kind}"))
                    for f in stream.freezes[-8:]
                ),
            ],
        ),
        *section(
            "NETWORK",
            [
                ("from", f"{stream.src}:{stream.sport} > {stream.dst}:{stream.dport}"),
                ("transport", stream.transport),
                ("bit-rate", f"{rate(stream.rate_bps)}  mean {rate(stream.bitrate_mean_bps)}"),
                ("packets", f"{number(stream.packets)} of {number(stream.expected)} expected"),
                (
                    "lost",
                    unsure(
                        f"{stream.lost_unique} in {counted(stream.gap_events, 'gap')}, longest"
                        f" {stream.longest_gap}"
                        if stream.gap_events
                        else str(stream.lost_unique)
                    ),
                ),
                *(
                    [
                        (
                            "foreign",
                            f"{counted(stream.foreign, 'packet')} of types that its SDP lacks",
                        )
                    ]
                    if stream.foreign
                    else []
                ),
                *(
                    [("new SSRCs", f"{stream.ssrc_changes}, and the stream continued each time")]
                    if stream.ssrc_changes
                    else []
                ),
                ("duplicates", word(stream.duplicates or None)),
                ("reordered", word(stream.reordered or None)),
                (
                    "jitter",
                    unsure(
                        f"{number(stream.jitter_mean_ms)} mean"
                        f" {number(stream.jitter_max_ms)} max ms"
                    )
                    if stream.jitter_mean_ms is not None
                    else "-",
                ),
                (
                    "frame jitter",
                    unsure(
                        f"{number(stream.frame_jitter_mean_ms)} mean"
                        f" {number(stream.frame_jitter_max_ms)} max ms"
                    )
                    if stream.frame_jitter_mean_ms is not None
                    else "-",
                ),
                ("longest wait", unsure(number(stream.delta_max_ms, " ms"))),
            ],
        ),
        *section("WHERE THE LOSS IS", _loss_places(stream)),
        *section(
            "RTCP",
            [
                ("reader's loss", word(stream.rr_lost)),
                ("reader's jitter", number(stream.rr_jitter_ms, " ms")),
                ("round trip", number(stream.rtt_ms, " ms")),
                ("camera clock", number(stream.camera_clock_offset_s, " s off")),
                ("clock drift", number(stream.drift_ppm, " ppm", 1)),
            ],
        ),
        *section("POLICY", [("verdict", stream.verdict), ("rule", word(stream.rule))]),
    )
    links = _flow_links(stream.flow, state)
    if stream.camera:
        links.append((f"camera {stream.camera}", f"camera:{stream.camera}"))
    links += [(f"finding {f.id}", f"finding:{finding_key(f)}") for f in own]
    return Detail(
        key=key,
        title=f"{stream.camera or stream.src} {stream.media or ''} {stream.ssrc}".strip(),
        sections=sections,
        stream=stream,
        copy=stream.url or f"{stream.src} {stream.ssrc}",
        links=tuple(links),
    )


def _odd(stream: StreamRecord) -> list[Line]:
    """Why a stream is not the one that its session announced."""
    lines: list[Line] = []
    if stream.stray:
        lines.append(("stray", "of an earlier session, to a port that a newer one uses now"))
    if stream.undeclared:
        said = f"type {stream.payload_type} is not in the session's SDP"
        lines.append(("undeclared", said))
    return lines


def _loss_places(stream: StreamRecord) -> list[Line]:
    """Loss by place (three kinds), and what the reports of both ends add to it."""
    lines: list[Line] = []
    if stream.lost_unique > 0:
        way = max(0, stream.lost_unique - stream.camera_dropped - stream.capture_lost)
        if stream.transport == "udp" or way:
            lines.append(("on the way", str(way)))
        if stream.transport == "tcp":
            lines.append(
                ("in the camera", f"{stream.camera_dropped} (gaps in an intact TCP stream)")
            )
        lines.append(
            ("by this tool", f"{stream.capture_lost} (its own capture missed them)")
            if stream.capture_lost
            else ("by this tool", "0")
            if not stream.uncertain
            else ("by this tool", "some of these, it is not known which")
        )
    # a report and the packets that it counts may cross: without a gap nothing was lost
    before_us = min(stream.sr_lost or 0, stream.lost_unique)
    if before_us > 0:
        lines.append(("before us", f"{before_us} by the camera's own reports"))
    if stream.rr_lost is not None and stream.rr_lost > stream.lost:
        lines.append(("after us", f"{stream.rr_lost - stream.lost} (the reader's count less ours)"))
    return lines


def camera_detail(key: str, camera: CameraRecord, state: State, snapshot: Snapshot) -> Detail:
    streams = [s for s in snapshot.streams if s.camera == camera.name]
    own = of_camera(camera, snapshot)
    sections = (
        *section(
            "CAMERA",
            [
                ("state", f"{camera.state}  {camera.state_text or ''}".strip()),
                ("since", utc(camera.state_since_ns)),
                ("address", camera.address),
                ("MAC", f"{camera.mac or '-'}  {camera.vendor or ''}".strip()),
                ("named by", camera.named_by),
                ("says it is", word(camera.user_agent_server)),
                ("codec (SDP)", word(camera.sdp_codec)),
                ("read by", ", ".join(camera.readers)),
                ("last status", word(camera.last_status)),
                ("port", word(camera.port)),
            ],
        ),
        *section(
            "STREAMS",
            [(s.media or s.codec or "stream", f"{s.state} {rate(s.rate_bps)}") for s in streams],
        ),
    )
    links = [(f"stream {_stream_name(s)}", f"stream:{s.id}") for s in streams]
    links += [(f"finding {f.id}", f"finding:{finding_key(f)}") for f in own]
    return Detail(
        key=key,
        title=f"camera {camera.name}  {camera.address}",
        sections=sections,
        camera=camera,
        copy=camera.address,
        links=tuple(links[:20]),
    )


def endpoint_detail(key: str, endpoint: EndpointRecord, state: State, snapshot: Snapshot) -> Detail:
    def ours(flow: FlowRecord) -> bool:
        return flow.dport == endpoint.port and (
            flow.host == endpoint.host or flow.dst == endpoint.address
        )

    flows = state.flow_page(keep=ours, sort="last", reverse=True, rows=10).rows
    own = of_endpoint(endpoint, snapshot)
    sections = (
        *section(
            "ENDPOINT",
            [
                ("state", f"{endpoint.state}  {endpoint.detail or ''}".strip()),
                ("since", utc(endpoint.state_since_ns)),
                ("service", f"{endpoint.service}  {endpoint.label}".strip()),
                ("rule", endpoint.rule),
                ("needed", word(endpoint.needed)),
                ("address", word(endpoint.address)),
                ("attempts", f"{endpoint.attempts}, {endpoint.successes} succeeded"),
                ("fails at", word(endpoint.failing_step)),
                ("last success", utc(endpoint.last_success_ns)),
                ("open since", utc(endpoint.open_since_ns)),
                ("round trip", number(endpoint.rtt_ms, " ms")),
                ("TLS", word(endpoint.tls_version)),
                ("ALPN", word(endpoint.alpn)),
                ("bytes", number(endpoint.bytes)),
            ],
        ),
        *section(
            "CONNECTIONS",
            [(utc_clock(f.first_time_ns), f"{f.src}:{f.sport} {f.state}") for f in flows[:10]],
        ),
    )
    links = [(f"flow {f.src}:{f.sport}", f"flow:{f.id}") for f in flows[:10]]
    links += [(f"finding {f.id}", f"finding:{finding_key(f)}") for f in own]
    return Detail(
        key=key,
        title=f"{endpoint.label or endpoint.service}  {endpoint.host}:{endpoint.port}",
        sections=sections,
        endpoint=endpoint,
        copy=f"{endpoint.host}:{endpoint.port}",
        links=tuple(links[:20]),
    )


def violation_detail(
    key: str, violation: ViolationRecord, state: State, snapshot: Snapshot
) -> Detail:
    peer = violation.host or violation.dst
    explained = list(state.explain_flow(violation.flow)) if violation.flow else []
    labels = {label for label, _ in explained}
    # the title has verdict and reason, and the sentence is above
    said = {"violation", violation.reason, violation.text}
    sections = (
        *section(
            "WHAT HAPPENED",
            [
                ("", violation.text),
                ("severity", violation.severity),
                ("state", violation.state + (", marked as known" if violation.known else "")),
                ("from", _address(violation.src, violation.sport)),
                ("to", _address(violation.dst, violation.dport)),
                ("host", word(violation.host) if "host" not in labels else "-"),
                ("port", word(violation.port)),
                ("first", utc(violation.first_time_ns)),
                ("last", utc(violation.last_time_ns)),
                (
                    "volume",
                    f"{counted(violation.flows, 'flow')}  {counted(violation.packets, 'packet')}"
                    f"  {counted(violation.bytes, 'byte')}",
                ),
                (
                    "packet" if violation.frame is None else "frame",
                    word(violation.frame or violation.first_packet or None),
                ),
                *_evidence_file(violation),
            ],
        ),
        *(
            section("NEAREST RULES", [("", text) for text in violation.nearest])
            if not labels & {"nearest", "nearest rule"}
            else ()
        ),
        *section("WHY", [line for line in explained if line[1] not in said]),
    )
    links = _flow_links(violation.flow, state)
    links += [
        (f"finding {f.id}", f"finding:{finding_key(f)}")
        for f in snapshot.findings
        if f.violation == violation.id
    ]
    return Detail(
        key=key,
        title=f"{violation.reason}  {violation.src} > {peer}:{word(violation.dport)}",
        sections=sections,
        violation=violation,
        copy=f"{violation.src} -> {peer} {violation.transport}/{word(violation.dport)}",
        links=tuple(links),
    )


def _address(address: str, port: int | None) -> str:
    return address if port is None else f"{address} port {port}"


def finding_detail(key: str, finding: FindingRecord, state: State, snapshot: Snapshot) -> Detail:
    hangs = [f for f in snapshot.findings if f.key and f.key in finding.hides]
    above = next((f for f in snapshot.findings if f.key and f.key == finding.hidden_by), None)
    controls = [text for text in finding.detail if text.startswith("control")]
    others = [text for text in finding.detail if text not in controls]
    dated = [text for text in others if _DATED.match(text)]
    others = [text for text in others if text not in dated] + dated[::-1]  # newest first
    sections = (
        *section("IF IT GOES ON AFTER THAT", [("", finding.action if above is not None else "")]),
        *section(f"BEHIND IT  {len(hangs)} more", [("", f.text) for f in hangs]),
        *section("PACKETS", _evidence_file(finding)),
        *section("CONTROLS", [("", text.removeprefix("control: ")) for text in controls]),
        *section("ALSO SEEN", [("", text) for text in others]),
        *section(
            "WHEN",
            [
                ("first", utc(finding.first_time_ns)),
                ("last", utc(finding.last_time_ns)),
                ("cleared", utc(finding.cleared_time_ns)),
            ],
        ),
    )
    links: list[tuple[str, str]] = []
    if above is not None:
        links.append((f"cause {above.id}", f"finding:{finding_key(above)}"))
    if finding.flow:
        links += _flow_links(finding.flow, state)
    stream = next((s for s in snapshot.streams if s.id == finding.stream), None)
    if stream is not None:
        links.append((f"stream {_stream_name(stream)}", f"stream:{stream.id}"))
    camera = next((c for c in snapshot.cameras if finding.camera in (c.name, c.address)), None)
    if camera is not None:
        links.append((f"camera {camera.name}", f"camera:{camera.name}"))
    links += [(f"{f.id} {f.subject}", f"finding:{finding_key(f)}") for f in hangs]
    return Detail(
        key=key,
        title=finding.text,
        sections=sections,
        finding=finding,
        copy=f"{finding.text} {finding.action}".strip(),
        links=tuple(links[:20]),
    )


def _evidence_file(record: FindingRecord | ViolationRecord) -> list[Line]:
    return [("kept in", f"evidence/{record.evidence_file}")] if record.evidence_file else []


def event_detail(key: str, event: EventRecord, state: State, snapshot: Snapshot) -> Detail:
    links = tuple(_flow_links(event.flow, state))
    return Detail(
        key=key,
        title=f"{event.kind} {event.subject}",
        sections=section(
            "EVENT",
            [
                ("time", utc(event.time_ns)),
                ("kind", event.kind),
                ("severity", event.severity),
                ("subject", event.subject),
                ("", event.text),
                ("packet", word(event.packet)),
                ("port", word(event.port)),
            ],
        ),
        event=event,
        copy=event.text,
        links=links,
    )


def _step(row: StepRecord) -> Line:
    """How far a port's frames, its lease or a gateway of it got."""
    label = {"port": "frames", "next-hop": f"gateway {row.name}"}.get(row.target, row.target)
    fails = f"; fails at {row.failing_step}" if row.failing_step else ""
    since = f" since {utc_clock(row.since_ns)}" if fails and row.since_ns else ""
    return label, f"{row.text}{fails}{since}"


def port_detail(key: str, port: PortRecord, state: State, snapshot: Snapshot) -> Detail:
    cameras = [c.name for c in snapshot.cameras if c.port == port.name]
    whose = "the probe's own link" if port.link_is_ours else "link"
    sections = (
        *section(
            "PORT",
            [
                ("state", port.state),
                ("since", utc(port.state_since_ns)),
                ("role", word(port.role)),
                ("captured on", word(port.interface)),
                ("MAC", word(port.mac)),
                ("addresses", ", ".join(port.addresses)),
                ("neighbour", word(port.neighbour)),
                ("last seen", utc(port.last_seen_ns)),
            ],
        ),
        *section(
            "TRAFFIC",
            [
                (
                    "in",
                    f"{rate(port.rate_in_bps)}  peak {rate(port.peak_in_bps)}"
                    f"  {counted(port.packets_in, 'packet')}",
                ),
                (
                    "out",
                    f"{rate(port.rate_out_bps)}  peak {rate(port.peak_out_bps)}"
                    f"  {counted(port.packets_out, 'packet')}",
                ),
            ],
        ),
        *section(
            whose.upper(),
            [
                ("up", word(port.up)),
                ("speed", link_speed(port.speed_mbps) if port.speed_mbps else "-"),
                ("duplex", word(port.duplex)),
                ("carrier changes", word(port.carrier_changes)),
                ("receive errors", word(port.rx_errors)),
                ("receive drops", word(port.rx_dropped)),
            ],
        ),
        *section(
            "STEPS",
            # the number of frames is shown above
            [_step(row) for row in port.ladder if row.target != "port" or row.failing_step],
        ),
        *section("CAMERAS HERE", [("", ", ".join(cameras))]),
    )
    return Detail(
        key=key,
        title=f"port {port.name}",
        sections=sections,
        port=port,
        copy=port.mac or port.name,
        links=tuple((f"camera {name}", f"camera:{name}") for name in cameras[:20]),
    )
