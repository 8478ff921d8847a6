"""Evidence: which packets a recording keeps for which violation and finding.

It joins the ticks of a pump, or of the connection to live meters. All control packets go into
hourly segments. For a new violation or finding of the engine, a file with its name gets the packets
before and after, and the first packets of their flows, so that it can be read alone. The packets
are kept beside the meters (`packet_keeper`); here they are requested, one incident at a time, and
written through the recorder.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from msgspec import Struct

from panotui.model import SECOND, EvidenceRecord, FindingRecord
from panotui.recording.evidence_files import write_incident, write_rows
from panotui.recording.items import Evidence
from panotui.recording.proofs import proofs_of
from panotui.recording.redacting import Redactor
from panotui.recording.retention import CONTROL_FILE, Limits
from panotui.runtime.pipe import Answer, Ask, Keepers, Keeping, PacketRows
from panotui.state.marks import key_of

if TYPE_CHECKING:
    from panotui.engine.engine import Engine

WRITING_NS = 2 * SECOND  # a file is on disk by then
INCIDENTS_WAITING = 32
SEGMENT_BYTES = 16_000_000
SEGMENT_NS = 3600 * SECOND
ANSWER_S = 3.0  # wait for the last answers


class Ticking(Protocol):
    """A pump, or the connection to live meters."""

    engine: Engine
    on_tick: list[Callable[[int], None]]


class Keeps(Protocol):
    """A recorder, or another taker of evidence."""

    @property
    def limits(self) -> Limits: ...

    def keep(self, evidence: Evidence) -> bool:
        """Take packets for a file; false if there is no room for them now."""


class Incident(Struct):
    """A violation or finding whose packets are being collected."""

    subject: str  # "finding:KEY", "violation:ID"
    name: str
    title: str
    time_ns: int
    until_ns: int
    hosts: tuple[str, ...]
    proofs: tuple[EvidenceRecord, ...]


class EvidenceTap:
    """Joins the ticks; writes through the recorder."""

    def __init__(
        self,
        pump: Ticking,
        recorder: Keeps,
        keepers: Keepers,
        keeping: Keeping | None = None,
        *,
        redact: bool = False,
    ) -> None:
        """`keeping`: the setting given to the keepers. `redact`: secrets in packets are overwritten
        with zeros.
        """
        self._redactor = Redactor() if redact else None
        # a file can only be removed as a whole: files are small if little may be kept
        self._segment_most = min(SEGMENT_BYTES, recorder.limits.evidence_bytes // 16)
        self._after_ns = (keeping or Keeping()).after_ns
        self._engine = pump.engine
        self._recorder = recorder
        self._keepers = keepers
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[Incident] = []
        self._due: deque[Incident] = deque()
        self._asked: tuple[int, Incident] | None = None  # the request, and its purpose
        self._segment_asked: dict[int, str] = {}  # requests for the openings before a segment
        self._questions = 0
        self._handed: OrderedDict[str, int] = OrderedDict()  # subject -> when it was handed over
        self._number = 0
        self._segment = ""
        self._segment_ns = 0
        self._segment_bytes = 0
        self._now_ns = 0
        self.lost = 0  # files that the recorder had no room for, or that got no answer
        pump.on_tick.append(self.tick)

    def gathers(self, subject: str) -> bool:
        """Whether the packets of this finding or violation are being collected."""
        asked = () if self._asked is None else (self._asked[1],)
        if any(i.subject == subject for i in (*self._waiting, *self._due, *asked)):
            return True
        # whoever writes it to disk may need a moment
        return self._now_ns - self._handed.get(subject, 0) < WRITING_NS

    # ------------------------------------------------------------------ seconds

    def tick(self, now_ns: int) -> None:
        """Look for new incidents, write complete ones."""
        self._now_ns = now_ns
        self._control_segment(now_ns)
        self._news(now_ns)
        self._due += [i for i in self._waiting if now_ns >= i.until_ns]
        self._waiting = [i for i in self._waiting if now_ns < i.until_ns]
        self._take()

    def finish(self) -> None:
        """Write the incidents that still wait for packets after them."""
        self._due += self._waiting
        self._waiting.clear()
        self._control_segment(self._now_ns)
        while self._asked is not None or self._due or self._segment_asked:
            if not self._take(ANSWER_S):
                self.lost += len(self._due) + (self._asked is not None)
                break

    def _take(self, timeout_s: float = 0.0) -> bool:
        """Request the packets that are due, take available answers; false without one."""
        any_answer = False
        while True:
            if self._asked is None and self._due:
                incident = self._due.popleft()
                self._asked = (self._ask(hosts=incident.hosts), incident)
            if self._asked is None and not self._segment_asked:
                return any_answer
            answers = self._keepers.answers(timeout_s)
            if not answers:
                return any_answer
            any_answer = True
            for answer in answers:
                self._answered(answer)

    def _ask(self, *, hosts: tuple[str, ...] = (), openings_until_ns: int = 0) -> int:
        self._questions += 1
        question = Ask(number=self._questions, hosts=hosts, openings_until_ns=openings_until_ns)
        self._keepers.ask(question)
        return question.number

    def _answered(self, answer: Answer) -> None:
        segment = self._segment_asked.pop(answer.number, None)
        if segment is not None:
            self._keep_control(segment, answer.context)
        elif self._asked is not None and self._asked[0] == answer.number:
            incident = self._asked[1]
            self._asked = None
            self._write(incident, answer)

    def _news(self, now_ns: int) -> None:
        until_ns = now_ns + self._after_ns
        for violation in self._engine.facts.violations:
            subject = key_of(violation)
            if self._is_new(subject):
                self._await(
                    Incident(
                        subject,
                        f"violation-{violation.reason}",
                        f"violation {violation.reason}: {violation.text}",
                        violation.first_time_ns,
                        until_ns,
                        (violation.src, violation.dst),
                        proofs_of(violation),
                    )
                )
        for finding in self._engine.diagnosis.records():
            subject = key_of(finding)
            if finding.severity == "info" or not self._is_new(f"{subject} {finding.first_time_ns}"):
                continue
            hosts = self._hosts_of(finding)
            self._await(
                Incident(
                    subject,
                    f"finding-{finding.id}",
                    f"finding {finding.id}, {finding.subject}: {finding.text}",
                    finding.first_time_ns,
                    until_ns,
                    hosts,
                    proofs_of(finding),
                )
            )

    def _hosts_of(self, finding: FindingRecord) -> tuple[str, ...]:
        """The hosts whose packets prove it; empty means all hosts."""
        snapshot = self._engine.snapshot()  # expensive, and only for new ones
        cameras = (c for c in snapshot.cameras if finding.camera in (c.name, c.address))
        address = next((c.address for c in cameras), None)
        address = address or next((s.src for s in snapshot.streams if s.id == finding.stream), None)
        if address is not None:
            return (address,)
        flow = self._engine.flow(finding.flow) if finding.flow else None
        return () if flow is None else (flow.src, flow.dst)

    def _is_new(self, key: str) -> bool:
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > 10_000:
            self._seen.popitem(last=False)
        return True

    def _await(self, incident: Incident) -> None:
        if len(self._waiting) >= INCIDENTS_WAITING:
            self.lost += 1
            return
        self._waiting.append(incident)

    def _newest_proofs(self, incident: Incident) -> tuple[EvidenceRecord, ...]:
        """Its evidence now: there may be more from the seconds after."""
        for finding in self._engine.snapshot().findings:
            if finding.first_time_ns == incident.time_ns and key_of(finding) == incident.subject:
                return proofs_of(finding)
        return incident.proofs

    # ------------------------------------------------------------------ files

    def _write(self, incident: Incident, answer: Answer) -> None:
        self._number += 1
        stamp = datetime.fromtimestamp(incident.time_ns // SECOND, UTC).strftime("%Y%m%dT%H%M%S")
        safe = "".join(c if c.isalnum() or c == "-" else "-" for c in incident.name)[:60]
        evidence = Evidence(
            f"{stamp}-{self._number:04}-{safe}.pcapng",
            incident.title,
            incident.time_ns,
            partial(
                write_incident,
                answer.context,
                answer.packets,
                incident.title,
                self._newest_proofs(incident),
                redactor=None if self._redactor is None else Redactor(),
            ),
            subject=incident.subject,
            bytes=len(answer.context.data) + len(answer.packets.data),
        )
        if not self._recorder.keep(evidence):
            self.lost += 1
            return
        self._handed[incident.subject] = self._now_ns
        if len(self._handed) > INCIDENTS_WAITING:
            self._handed.popitem(last=False)

    def _control_segment(self, now_ns: int) -> None:
        packets = [rows for rows in self._keepers.control() if rows.length]
        if not packets:
            return
        if (
            not self._segment
            or self._segment_bytes > self._segment_most
            or now_ns - self._segment_ns > SEGMENT_NS
        ):
            stamp = datetime.fromtimestamp(now_ns // SECOND, UTC).strftime("%Y%m%dT%H%M%S")
            self._segment = stamp + CONTROL_FILE
            self._segment_ns, self._segment_bytes = now_ns, 0
            first = min(int(np.frombuffer(rows.time_ns, np.int64)[0]) for rows in packets)
            self._segment_asked[self._ask(openings_until_ns=first)] = self._segment
            self._take()  # a keeper in this process has answered already
        for rows in packets:
            self._segment_bytes += len(rows.data) + 5 * len(rows.length)
            self._keep_control(self._segment, rows)

    def _keep_control(self, segment: str, rows: PacketRows) -> None:
        evidence = Evidence(
            segment,
            "control packets",
            self._now_ns,
            partial(write_rows, rows, redactor=self._redactor),
            stays_open=True,
        )
        if not self._recorder.keep(evidence):
            self.lost += 1
