"""What cameras and streams are in trouble with: the worst finding that is open about each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from panotui.model import CameraRecord, FindingRecord, StreamRecord

_RANK = {"error": 0, "warning": 1}


def with_troubles(
    cameras: Sequence[CameraRecord],
    streams: Sequence[StreamRecord],
    findings: Iterable[FindingRecord],
) -> tuple[tuple[CameraRecord, ...], tuple[StreamRecord, ...]]:
    """The records, each with the worst open finding about it that nobody knows of yet, so that no
    pane calls well what another one warns of. A stream's trouble is its camera's as well; what is
    wrong with a camera, and with none of its streams, is that of all of them."""
    of_camera: dict[str, FindingRecord] = {}
    of_stream: dict[str, FindingRecord] = {}
    by_flow = {s.flow: s.id for s in streams if s.flow}
    for finding in findings:
        if finding.cleared_time_ns is not None or finding.known or finding.severity not in _RANK:
            continue
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
        # what is wrong with the camera itself, not with another of its streams
        if own is None and whole is not None and not (whole.stream or whole.flow in by_flow):
            of_stream[stream_record.id] = whole
    return (
        tuple(
            msgspec.structs.replace(c, trouble=found.id, trouble_severity=found.severity)
            if (found := of_camera.get(c.address))
            else c
            for c in cameras
        ),
        tuple(
            msgspec.structs.replace(s, trouble=found.id, trouble_severity=found.severity)
            if (found := of_stream.get(s.id))
            else s
            for s in streams
        ),
    )
