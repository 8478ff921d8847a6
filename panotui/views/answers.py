"""The head of every detail: since when, the finding that explains it, its action, the evidence.

A record and its snapshot in; the four answers out, in the same way for every kind, so that every
detail has an action. Evidence comes newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from panotui.model import (
    CameraRecord,
    DeviceRecord,
    EndpointRecord,
    EventRecord,
    EvidenceRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    Snapshot,
    StreamRecord,
    ViolationRecord,
)
from panotui.state.leads import leads_nowhere
from panotui.state.marks import key_of
from panotui.views.frames import Detail, Explained, Proof, Section

EXPLAINED_MAX, PROOFS_MAX = 4, 40
_RANK = {"error": 0, "warning": 1, "info": 2}


def with_answer(detail: Detail, record: Any, snapshot: Snapshot) -> Detail:
    """The detail with its answer in front, if findings may explain such a record."""
    if type(record) not in _ABOUT:
        return detail
    findings = explaining(_ABOUT[type(record)](record, snapshot), snapshot)
    own = (record,) if isinstance(record, FindingRecord) else ()
    proven = [*own, *(f for f in findings if f not in own)]
    proofs = [*_own_proofs(record, snapshot), *(p for f in proven for p in _of_finding(f))]
    proofs += _events(record, snapshot)
    explained = tuple(_explained(f) for f in findings[:EXPLAINED_MAX])
    if not explained and isinstance(record, ViolationRecord):
        explained = (_explained_by_itself(record),)
    said = {e.text for e in explained}  # shown above already
    proofs = [p for p in proofs if p.text not in said] or proofs
    unique = {(p.time_ns, p.text): p for p in reversed(proofs)}
    newest = sorted(unique.values(), key=lambda p: -p.time_ns)
    if isinstance(record, EventRecord):
        said |= {p.text for p in newest}
    packets = _packets_of(record, findings)
    return msgspec.structs.replace(
        detail,
        since_ns=_since(record, findings),
        explained=explained,
        evidence=tuple(newest[:PROOFS_MAX]),
        sections=_unsaid(detail.sections, said),
        packets=packets,
        display_filter=_display_filter(record, snapshot),
    )


def _unsaid(sections: Iterable[Section], said: AbstractSet[str]) -> tuple[Section, ...]:
    """The sections without the sentences that the answer has already."""
    left = (
        msgspec.structs.replace(s, lines=tuple(line for line in s.lines if line[1] not in said))
        for s in sections
    )
    return tuple(section for section in left if section.lines)


def explaining(own: Iterable[FindingRecord], snapshot: Snapshot) -> list[FindingRecord]:
    """Open findings, worst first, each replaced by its cause, whose action fixes both."""
    by_key = {f.key: f for f in snapshot.findings if f.key}
    causes: dict[str, FindingRecord] = {}
    for finding in own:
        cause = by_key.get(finding.hidden_by or "", finding)
        if cause.cleared_time_ns is None or cause is finding:
            causes.setdefault(cause.key or cause.id + cause.subject, cause)
    return sorted(
        causes.values(),
        key=lambda f: (f.cleared_time_ns is not None, f.known, _RANK.get(f.severity, 3)),
    )


def _explained(finding: FindingRecord) -> Explained:
    return Explained(
        key=key_of(finding),
        severity=finding.severity,
        confidence=finding.confidence,
        text=finding.text,
        action=finding.action,
        since_ns=finding.first_time_ns,
        known=finding.known,
    )


def _explained_by_itself(violation: ViolationRecord) -> Explained:
    return Explained(
        key=key_of(violation),
        severity=violation.severity,
        confidence="certain",
        text=violation.text,
        action=violation.suggestion or "",
        since_ns=violation.first_time_ns,
        known=violation.known,
    )


# ------------------------------------------------------------------ findings of a subject


def _open(findings: Iterable[FindingRecord]) -> list[FindingRecord]:
    return [f for f in findings if f.cleared_time_ns is None]


def _of_port(port: PortRecord, snapshot: Snapshot) -> list[FindingRecord]:
    names = {port.name, f"port {port.name}", *port.addresses}
    return _open(f for f in snapshot.findings if f.subject in names)


def of_camera(camera: CameraRecord, snapshot: Snapshot) -> list[FindingRecord]:
    own = {camera.name, camera.address}
    return _open(
        f for f in snapshot.findings
        if f.camera in own or f.stream in camera.streams or f.subject in own
    )  # fmt: skip


def _of_stream(stream: StreamRecord, snapshot: Snapshot) -> list[FindingRecord]:
    own = _open(f for f in snapshot.findings if f.stream == stream.id)
    camera = next((c for c in snapshot.cameras if c.name == stream.camera), None)
    return own or ([] if camera is None else of_camera(camera, snapshot))


def of_endpoint(endpoint: EndpointRecord, snapshot: Snapshot) -> list[FindingRecord]:
    names = {endpoint.host, f"{endpoint.host}:{endpoint.port}", endpoint.address}
    return _open(f for f in snapshot.findings if f.subject in names)


def _of_flow(flow: FlowRecord, snapshot: Snapshot) -> list[FindingRecord]:
    broken = {v.id for v in snapshot.violations if _same(v, flow)}
    found = [f for f in snapshot.findings if f.flow == flow.id or f.violation in broken]
    served = [e for e in snapshot.endpoints if e.host == flow.host and e.port == flow.dport]
    for endpoint in served:
        if endpoint.state != "reachable":
            found += of_endpoint(endpoint, snapshot)
    return _open(found)


def _same(violation: ViolationRecord, flow: FlowRecord) -> bool:
    """Whether a flow is one of those merged into a violation."""
    if violation.flow == flow.id:
        return True
    ours = (flow.src, flow.dst, flow.dport, flow.reason)
    return ours == (violation.src, violation.dst, violation.dport, violation.reason)


def _of_violation(violation: ViolationRecord, snapshot: Snapshot) -> list[FindingRecord]:
    return [f for f in snapshot.findings if f.violation == violation.id]


def _of_event(event: EventRecord, snapshot: Snapshot) -> list[FindingRecord]:
    broken = {v.id for v in snapshot.violations if event.subject in (v.id, v.src)}

    def about(finding: FindingRecord) -> bool:
        if event.flow is not None and finding.flow == event.flow:
            return True
        if finding.violation in broken:
            return True
        return bool(event.subject) and event.subject in (finding.subject, finding.camera)

    found = [f for f in snapshot.findings if about(f)]
    return sorted(found, key=lambda f: abs(f.first_time_ns - event.time_ns))[:2]


def _of_device(device: DeviceRecord, snapshot: Snapshot) -> list[FindingRecord]:
    mine = {device.mac, *device.addresses, *device.names}
    cameras = {c.name for c in snapshot.cameras if c.address in mine or c.mac == device.mac}
    return _open(
        f for f in snapshot.findings if f.subject in mine | cameras or f.camera in mine | cameras
    )


_ABOUT: dict[type, Callable[[Any, Snapshot], Sequence[FindingRecord]]] = {
    PortRecord: _of_port,
    CameraRecord: of_camera,
    StreamRecord: _of_stream,
    EndpointRecord: of_endpoint,
    FlowRecord: _of_flow,
    ViolationRecord: _of_violation,
    FindingRecord: lambda finding, snapshot: [finding],
    EventRecord: _of_event,
    DeviceRecord: _of_device,
}


def _since(record: Any, findings: Sequence[FindingRecord]) -> int | None:
    """Start of the present state; for a working subject with a problem, start of that problem."""
    if findings and isinstance(record, EndpointRecord) and record.failing_step == "useful-answer":
        return findings[0].first_time_ns
    if isinstance(record, PortRecord | CameraRecord | StreamRecord):
        dated = record.standing == record.state or record.trouble_since_ns is not None
        return record.standing_since_ns if dated or not findings else findings[0].first_time_ns
    if isinstance(record, FindingRecord | ViolationRecord | FlowRecord | DeviceRecord):
        return record.first_time_ns or None
    if isinstance(record, EventRecord):
        return record.time_ns
    since: int | None = record.state_since_ns
    return since


# ------------------------------------------------------------------ proofs


def _proof(evidence: EvidenceRecord) -> Proof:
    in_file = evidence.frame is not None
    return Proof(
        time_ns=evidence.time_ns,
        text=evidence.text,
        packet=None if in_file else evidence.packet,
        frame=evidence.frame,
    )


def _of_finding(finding: FindingRecord) -> list[Proof]:
    return [_proof(e) for e in finding.evidence]


def _own_proofs(record: Any, snapshot: Snapshot) -> list[Proof]:
    if isinstance(record, StreamRecord):
        freezes = [
            Proof(time_ns=f.start_ns, text=f"froze for {f.seconds:.1f} s ({f.kind})")
            for f in record.freezes[-8:]
        ]
        return [
            *(_proof(e) for e in record.evidence),
            *freezes,
            *_dialogue(record.camera, snapshot),
        ]
    if isinstance(record, CameraRecord):
        return _dialogue(record.name, snapshot)
    if isinstance(record, EndpointRecord):
        return [
            Proof(time_ns=a.time_ns, text=text, packet=a.packet)
            for a, text in zip(record.attempts_detail, attempts_said(record), strict=True)
        ]
    if isinstance(record, ViolationRecord):
        first = record.first_packet or None
        return [
            Proof(time_ns=record.last_time_ns, text="the last packet of it"),
            Proof(
                time_ns=record.first_time_ns, text="the first packet of it",
                packet=first if record.frame is None else None, frame=record.frame,
            ),
        ]  # fmt: skip
    if isinstance(record, FlowRecord):
        return [
            Proof(
                time_ns=record.last_time_ns, text="its last packet",
                packet=None if leads_nowhere(snapshot) else record.last_packet,
            ),
            Proof(
                time_ns=record.first_time_ns, text="its first packet",
                packet=None if leads_nowhere(snapshot) else record.first_packet,
            ),
        ]  # fmt: skip
    if isinstance(record, EventRecord):
        return [Proof(time_ns=record.time_ns, text=record.text, packet=record.packet)]
    return []


def attempts_said(endpoint: EndpointRecord) -> list[str]:
    """`SYN ok 21 ms, ClientHello sent, nothing after; 3rd attempt  203.0.113.7`, oldest first.
    Queries to a DNS or time server are too many to be numbered.
    """
    tried = [a for a in endpoint.attempts_detail if a.ended != "nameless"]
    before = endpoint.attempts - len(tried)
    if endpoint.service in ("dns", "ntp") or before < 0:
        return [a.text for a in endpoint.attempts_detail]
    numbers = {id(a): n for n, a in enumerate(tried, before + 1)}
    return [
        f"{a.text}; {ordinal(numbers[id(a)])} attempt  {a.address}" if id(a) in numbers else a.text
        for a in endpoint.attempts_detail
    ]


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`, `23rd`."""
    endings = {1: "st", 2: "nd", 3: "rd"} if number % 100 not in (11, 12, 13) else {}
    return f"{number:,}{endings.get(number % 10, 'th')}"


def _dialogue(camera: str | None, snapshot: Snapshot) -> list[Proof]:
    found = next((c for c in snapshot.cameras if c.name == camera), None)
    return [
        Proof(
            time_ns=line.time_ns,
            text=f"{'>' if line.from_client else '<'} {line.text}",
            packet=line.packet or None,
        )
        for line in (found.dialogue[-30:] if found is not None else ())
    ]


def _events(record: Any, snapshot: Snapshot) -> list[Proof]:
    """Its events."""
    names: set[str] = set()
    if isinstance(record, PortRecord | CameraRecord):
        names = {record.name}
    elif isinstance(record, EndpointRecord):
        names = {record.host, record.service}
    return [
        Proof(time_ns=e.time_ns, text=e.text, packet=e.packet)
        for e in snapshot.events
        if e.subject in names and e.kind not in ("finding", "cleared", "rtsp")
    ]


def _packets_of(record: Any, findings: Sequence[FindingRecord]) -> str:
    """The key of the packets that `w` saves: its own, or those of the finding that explains it."""
    if isinstance(record, FindingRecord | ViolationRecord):
        return key_of(record)
    return key_of(findings[0]) if findings else ""


# ------------------------------------------------------------------ a filter for Wireshark


def _display_filter(record: Any, snapshot: Snapshot) -> str:
    """A filter for it in Wireshark and tshark."""
    if isinstance(record, FindingRecord):
        return _filter_of_finding(record, snapshot)
    if isinstance(record, FlowRecord | ViolationRecord):
        return _pair(record.src, record.dst, record.transport, record.dport)
    if isinstance(record, StreamRecord):
        return f"{_address(record.src)} and rtp.ssrc == {record.ssrc}"
    if isinstance(record, CameraRecord):
        return _address(record.address)
    if isinstance(record, EndpointRecord):
        where = _address(record.address) if record.address else ""
        return " and ".join(p for p in (where, f"tcp.port == {record.port}") if p)
    if isinstance(record, PortRecord | DeviceRecord):
        return f"eth.addr == {record.mac}" if record.mac else ""
    return ""


def _filter_of_finding(finding: FindingRecord, snapshot: Snapshot) -> str:
    stream = next((s for s in snapshot.streams if s.id == finding.stream), None)
    violation = next((v for v in snapshot.violations if v.id == finding.violation), None)
    camera = next((c for c in snapshot.cameras if finding.camera in (c.name, c.address)), None)
    endpoint = next((e for e in snapshot.endpoints if finding in of_endpoint(e, snapshot)), None)
    for found in (violation, stream, camera, endpoint):
        if found is not None:
            return _display_filter(found, snapshot)
    return ""


def _address(address: str) -> str:
    return f"ipv6.addr == {address}" if ":" in address else f"ip.addr == {address}"


def _pair(src: str, dst: str, transport: str, dport: int | None) -> str:
    both = f"{_address(src)} and {_address(dst)}"
    if transport in ("tcp", "udp") and dport is not None:
        return f"{both} and {transport}.port == {dport}"
    return both
