"""The worst open finding about each camera, stream, port, DNS and time server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import msgspec

from panotui.diagnosis.catalogue import catalogue
from panotui.model import CameraRecord, EndpointRecord, FindingRecord, PortRecord, StreamRecord
from panotui.site.facts import Who
from panotui.site.view import SiteView
from panotui.state.claims import ClaimBook
from panotui.state.endpoints import Cut

_RANK = {"error": 0, "warning": 1}
_TOLD_OF = {"dns": "dns-", "ntp": "ntp-"}  # by service: its findings; a host may be both
_ANSWERING = frozenset(_TOLD_OF)
_CUT = ("endpoint-failing", "mqtt-flapping")


def with_troubles(
    cameras: Sequence[CameraRecord],
    streams: Sequence[StreamRecord],
    findings: Iterable[FindingRecord],
) -> tuple[tuple[CameraRecord, ...], tuple[StreamRecord, ...]]:
    """The records, each with the worst open finding about it that is not marked as known, so that
    no pane calls something well that another one warns about. A stream's problem is its camera's as
    well; a problem of the camera itself is that of all its streams.
    """
    of_camera: dict[str, FindingRecord] = {}
    of_stream: dict[str, FindingRecord] = {}
    by_flow = {s.flow: s.id for s in streams if s.flow}
    for finding in _open(findings):
        stream = finding.stream or by_flow.get(finding.flow or "")
        for key, table in ((finding.camera, of_camera), (stream, of_stream)):
            old = table.get(key) if key else None
            if key and (old is None or _RANK[finding.severity] < _RANK[old.severity]):
                table[key] = finding
    by_name = {c.name: c.address for c in cameras}
    of_whole = dict(of_camera)
    for stream_record in streams:
        address = by_name.get(stream_record.camera or "")
        own = of_stream.get(stream_record.id)
        if address is None:
            continue
        its, whole = of_camera.get(address), of_whole.get(address)
        if own and (its is None or _RANK[own.severity] < _RANK[its.severity]):
            of_camera[address] = own
        # problems of the camera itself, not of another of its streams
        if own is None and whole is not None and not (whole.stream or whole.flow in by_flow):
            of_stream[stream_record.id] = whole
    return (
        tuple(_told(c, of_camera.get(c.address)) for c in cameras),
        tuple(_told(s, of_stream.get(s.id)) for s in streams),
    )


def also_with_troubles(
    ports: Iterable[PortRecord],
    endpoints: Iterable[EndpointRecord],
    findings: Iterable[FindingRecord],
    cut: Mapping[tuple[str, str], FindingRecord] = MappingProxyType({}),
) -> tuple[tuple[PortRecord, ...], tuple[EndpointRecord, ...]]:
    """The ports, each with the worst open finding about it, or with the one by which it leads
    nowhere (`Diagnosis.cut_off`); and the endpoints. A DNS or time server
    that answers counts as failing while an error about it is open (its answers are useless), and so
    does a host whose connections are established and then cut.
    """
    worst = _worst_of_subjects(findings)
    return (
        tuple(_told(p, cut.get(("cloud", p.name)) or worst.get(p.name)) for p in ports),
        tuple(
            msgspec.structs.replace(
                e,
                state="failing",
                failing_step="useful-answer" if e.service in _ANSWERING else "open",
                detail=f"it {'answers' if e.service in _ANSWERING else 'connects'}, but"
                f" {catalogue()[found.id].brief}",
            )
            if e.state == "reachable"
            and (found := worst.get(e.host))
            and found.severity == "error"
            and found.id.startswith(_TOLD_OF.get(e.service, _CUT))
            else e
            for e in endpoints
        ),
    )


def cut_at(
    cut: Mapping[tuple[str, str], FindingRecord], view: SiteView, claims: ClaimBook, one_way: bool
) -> Cut:
    """What is not reached now (`Diagnosis.cut_off`), in words, and what is seen from one side only.
    `one_way`: that is everything.
    """

    def place(address: str) -> str:
        if view.who(address) & Who.INTERNET:
            return "beyond"
        gateway = address in view.facts.gateways
        return "near" if claims.owner(address) is not None and not gateway else "inside"

    why = {key: (one.first_time_ns, catalogue()[one.id].brief) for key, one in cut.items()}
    ports = view.facts.appliance_addresses
    return Cut(why, ports, place, frozenset(ports.values()) if one_way else view.one_way_ports)


_Told = TypeVar("_Told", PortRecord, CameraRecord, StreamRecord)


def _told(record: _Told, found: FindingRecord | None) -> _Told:
    """The record with the worst finding about it."""
    if found is None:
        return record
    spec = catalogue()[found.id]
    return msgspec.structs.replace(
        record,
        trouble=found.id,
        trouble_text=spec.brief,
        trouble_word=spec.word,
        trouble_severity=found.severity,
        trouble_since_ns=found.first_time_ns,
    )


def _worst_of_subjects(findings: Iterable[FindingRecord]) -> dict[str, FindingRecord]:
    worst: dict[str, FindingRecord] = {}
    for finding in _open(findings):
        old = worst.get(finding.subject)
        if old is None or _RANK[finding.severity] < _RANK[old.severity]:
            worst[finding.subject] = finding
    return worst


def _open(findings: Iterable[FindingRecord]) -> Iterator[FindingRecord]:
    """Findings that nobody knows of yet, but for information and for what is left of something
    that is over."""
    all_of_them = list(findings)
    over = {f.key for f in all_of_them if f.cleared_time_ns is not None}
    for finding in all_of_them:
        if finding.cleared_time_ns is not None or finding.known or finding.hidden_by in over:
            continue
        if finding.severity in _RANK:
            yield finding
