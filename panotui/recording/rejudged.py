"""A recording judged by another site file: the same times, packets and streams, other verdicts.

It has the interface of `Recording`, so that review and report need not know. Recorded events of
violations and verdicts are replaced by those of the new judgement, and each flow that differs is an
event.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from panotui.model import EventRecord, FlowRecord, Site, Snapshot, StreamRecord, ViolationRecord
from panotui.policy.queries.rejudge import FlowChange, rejudge
from panotui.recording.reader import EVENTS_IN_SNAPSHOT, EVENTS_SHOWN, Recording

CHANGES_TOLD = 1_000
_FIRST_NUMBER = 1 << 50  # above the numbers of recorded events


class RejudgedRecording(Recording):
    """A recording opened for reading under another site file."""

    def __init__(self, path: Path, site: Site, site_text: str) -> None:
        """InputError as for `Recording`."""
        super().__init__(path)
        self._site_text = site_text
        plain = Recording(path)
        try:
            again = rejudge(site, plain.final(), plain.all_flows())
        finally:
            plain.close()
        self.changes: tuple[FlowChange, ...] = again.changes
        self._last = again.snapshot
        self._judged = {flow.id: flow for flow in again.flows}
        self._streams = {s.id: s for s in again.snapshot.streams}
        self._told = self._events_told()

    @property
    def site_text(self) -> str:
        return self._site_text

    def snapshot_at(self, time_ns: int) -> Snapshot:
        snapshot = super().snapshot_at(time_ns)
        return msgspec.structs.replace(
            snapshot,
            site=self._last.site,
            violations=tuple(_as_of(v, snapshot.time_ns) for v in self._last.violations
                             if v.first_time_ns <= snapshot.time_ns),
            streams=tuple(self._stream(s) for s in snapshot.streams),
            events=tuple(self._merged(list(snapshot.events), 0, snapshot.time_ns)[
                -EVENTS_IN_SNAPSHOT:]),
        )  # fmt: skip

    def final(self, *, look: bool = False) -> Snapshot:
        return msgspec.structs.replace(self._last, events=tuple(self.events()))

    def all_flows(self) -> list[FlowRecord]:
        return list(self._judged.values())

    def flows_at(self, time_ns: int) -> list[FlowRecord]:
        session = self.session_at(time_ns)
        return [self._again(session, flow) for flow in super().flows_at(time_ns)]

    def flow(self, time_ns: int, flow_id: str) -> FlowRecord | None:
        flow = super().flow(time_ns, flow_id)
        return None if flow is None else self._again(self.session_at(time_ns), flow)

    def violations(self) -> list[ViolationRecord]:
        return list(self._last.violations)

    def events(
        self,
        start_ns: int = 0,
        end_ns: int = 1 << 62,
        limit: int = EVENTS_SHOWN,
        *,
        known_by: int = 1 << 62,
    ) -> list[EventRecord]:
        recorded = super().events(start_ns, end_ns, limit, known_by=known_by)
        return self._merged(recorded, start_ns, min(end_ns, known_by))[-limit:]

    def event(self, number: int) -> EventRecord | None:
        return next((e for e in self._told if e.number == number), None) or super().event(number)

    def _again(self, session: int, flow: FlowRecord) -> FlowRecord:
        key = flow.id if session == self.sessions[-1].id else f"s{session}-{flow.id}"
        new = self._judged.get(key)
        if new is None or flow.verdict == "pending":  # at that time it was open
            return flow
        return msgspec.structs.replace(
            flow, verdict=new.verdict, rule=new.rule, reason=new.reason, host=new.host,
            host_source=new.host_source, port=new.port,
        )  # fmt: skip

    def _stream(self, stream: StreamRecord) -> StreamRecord:
        new = self._streams.get(stream.id)
        if new is None:
            return stream
        return msgspec.structs.replace(stream, verdict=new.verdict, rule=new.rule)

    def _events_told(self) -> list[EventRecord]:
        """Violations of the new judgement, and flows that differ, by time."""
        told = [
            EventRecord(
                time_ns=v.first_time_ns, number=0, kind="violation", severity=v.severity,
                subject=v.id, text=v.text, packet=v.first_packet or None, flow=v.flow, port=v.port,
            )
            for v in self._last.violations
        ]  # fmt: skip
        for change in self.changes[:CHANGES_TOLD]:
            flow = self._judged[change.flow]
            told.append(
                EventRecord(
                    time_ns=flow.first_time_ns, number=0, kind="verdict",
                    severity="warning" if flow.verdict == "violation" else "info",
                    subject=flow.id, flow=flow.id, port=flow.port,
                    text=f"Judged again: {change.line()[2:]}",
                )
            )  # fmt: skip
        told.sort(key=lambda event: event.time_ns)
        return [
            msgspec.structs.replace(event, number=_FIRST_NUMBER + i) for i, event in enumerate(told)
        ]

    def _merged(self, recorded: list[EventRecord], start_ns: int, end_ns: int) -> list[EventRecord]:
        kept = [e for e in recorded if e.kind not in ("violation", "verdict")]
        new = [e for e in self._told if start_ns <= e.time_ns <= end_ns]
        return sorted(kept + new, key=lambda event: event.time_ns)


def _as_of(violation: ViolationRecord, time_ns: int) -> ViolationRecord:
    """A violation in its state at a time."""
    if violation.last_time_ns <= time_ns:
        return violation
    return msgspec.structs.replace(violation, last_time_ns=time_ns, state="open")
