"""From what rules observe to what a person is told: findings with a life.

Observations come in each tick; `FindingRecord`s and events go out. A finding opens when its
condition has held for `hold_s`, and is cleared, with the time, when it has been gone for `clear_s`.
Of findings that hang together the one on the lowest failing layer is told, and the others are
hidden behind it: a finding blocks tags (`port:eth1`), others rely on them. Behind a one-way mirror
nothing that needs an answer is told; while packets are missed, absence proves less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from panotui.diagnosis.catalogue import FindingSpec, catalogue, filled
from panotui.diagnosis.facts import Facts, Observation, Rule
from panotui.model import SECOND, AnyMessage, Confidence, FindingRecord

# what camera-only mode does not ask about: the cloud is not expected to answer there
_OF_THE_CLOUD = frozenset({
    "tcp-blocked", "tcp-refused", "icmp-blocked", "sni-filtered", "tls-intercepted", "tls-alert",
    "tls-stalled", "alpn-stripped", "client-cert-rejected", "idle-timeout", "mqtt-flapping",
    "proxy-seen", "slow-uplink", "endpoint-silent", "guide-names", "cloud-service-ended",
    "policy-drift",
})  # fmt: skip
FINDINGS_MAX = 500
OPEN_MAX = 300
_WEAKER: dict[Confidence, Confidence] = {
    "certain": "likely",
    "likely": "possible",
    "possible": "possible",
}
_SEVERITY = {"error": 0, "warning": 1, "info": 2}


@dataclass(slots=True)
class _Life:
    record: FindingRecord
    spec: FindingSpec
    blocks: frozenset[str]
    relies: frozenset[str]
    seen_ns: int  # last tick at which the condition held
    told: bool = False
    times: int = 1
    pending_ns: int = 0  # condition holds since, while hold_s runs


class Diagnosis:
    """All rules and all findings of a site."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.specs = catalogue()
        self._lives: dict[str, _Life] = {}
        self._changes: list[tuple[str, FindingRecord]] = []
        self._known: set[str] = set()
        self.evicted = 0
        self._listening: dict[type, tuple[Rule, ...]] = {}  # by kind of message

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        """Show one message to the rules that hear its kind."""
        kind = type(message)
        listening = self._listening.get(kind)
        if listening is None:
            listening = self._listening[kind] = tuple(r for r in self.rules if kind in r.hears)
        for rule in listening:
            rule.observe(message, facts)

    def mark_known(self, key: str, known: bool = True) -> bool:
        """A person has seen this finding (or takes that back); false when there is none."""
        life = self._lives.get(key)
        if life is None:
            return False
        (self._known.add if known else self._known.discard)(key)
        life.record = msgspec.structs.replace(life.record, known=known)
        return True

    def tick(self, facts: Facts) -> None:
        """Ask all rules and bring the findings up to `facts.now_ns`."""
        for rule in self.rules:
            for observation in rule.tick(facts):
                self._take(observation, facts)
        self._clear(facts.now_ns)
        self._hide()

    def _take(self, seen: Observation, facts: Facts) -> None:
        spec = self.specs[seen.id]
        if spec.answers and facts.one_way:
            return
        if seen.id in _OF_THE_CLOUD and facts.site.site.mode == "camera-only":
            return
        key = f"{seen.id}|{seen.key or seen.subject}"
        life = self._lives.get(key)
        now = facts.now_ns
        if life is None:
            if len(self._lives) >= FINDINGS_MAX and not self._evict():
                return
            record = self._record(key, seen, spec, facts, None)
            life = _Life(
                record,
                spec,
                frozenset(_tags(spec.blocks, seen.values)),
                frozenset(_tags(spec.relies, seen.values)),
                now,
                pending_ns=seen.first_ns or now,
            )
            self._lives[key] = life
        else:
            if life.told and life.record.cleared_time_ns is not None:
                life.times += 1
                life.told = False
                life.pending_ns = seen.first_ns or now
            elif not life.told and now - life.seen_ns > 2 * SECOND + spec.clear_s * SECOND:
                life.pending_ns = seen.first_ns or now
            life.record = self._record(key, seen, spec, facts, life)
            life.seen_ns = now
        if not life.told and now - life.pending_ns >= spec.hold_s * SECOND:
            life.told = True
            life.record = msgspec.structs.replace(life.record, cleared_time_ns=None)
            self._changes.append(("finding", life.record))

    def _record(
        self,
        key: str,
        seen: Observation,
        spec: FindingSpec,
        facts: Facts,
        life: _Life | None,
    ) -> FindingRecord:
        confidence = seen.confidence or spec.confidence
        if facts.capture_lossy and spec.answers:
            confidence = _WEAKER[confidence]
        old = life.record if life else None
        detail = seen.detail
        if life is not None and life.times > 1:
            detail = (*detail, f"seen {life.times} times")
        return FindingRecord(
            id=seen.id,
            severity=seen.severity or spec.severity,
            confidence=confidence,
            subject=seen.subject,
            text=seen.text or filled(spec.text, seen.values),
            action=seen.action or filled(spec.action, seen.values),
            evidence=seen.evidence or (old.evidence if old else ()),
            first_time_ns=min(
                old.first_time_ns if old else facts.now_ns, seen.first_ns or facts.now_ns
            ),
            last_time_ns=seen.last_ns or facts.now_ns,
            cleared_time_ns=None,
            key=key,
            layer=spec.layer,
            hidden_by=old.hidden_by if old else None,
            hides=old.hides if old else (),
            known=key in self._known,
            detail=detail,
            flow=seen.flow,
            stream=seen.stream,
            camera=seen.camera,
        )

    def _clear(self, now: int) -> None:
        gone: list[str] = []
        for key, life in self._lives.items():
            if life.seen_ns >= now or life.record.cleared_time_ns is not None:
                continue
            if now - life.seen_ns < life.spec.clear_s * SECOND:
                continue
            if not life.told:
                gone.append(key)
                continue
            life.record = msgspec.structs.replace(
                life.record, cleared_time_ns=life.seen_ns, hides=(), hidden_by=None
            )
            self._changes.append(("cleared", life.record))
        for key in gone:
            del self._lives[key]

    def _evict(self) -> bool:
        cleared = [k for k, v in self._lives.items() if v.record.cleared_time_ns is not None]
        waiting = [k for k, v in self._lives.items() if not v.told]
        opened = sum(1 for v in self._lives.values() if v.record.cleared_time_ns is None)
        if cleared:
            victim = min(cleared, key=lambda k: self._lives[k].record.cleared_time_ns or 0)
        elif waiting:
            victim = waiting[0]
        elif opened >= OPEN_MAX:
            return False
        else:
            return False
        del self._lives[victim]
        self.evicted += 1
        return True

    def _open(self) -> list[_Life]:
        return [v for v in self._lives.values() if v.told and v.record.cleared_time_ns is None]

    def _hide(self) -> None:
        """Hide what hangs on a failing lower layer behind the lowest of its causes."""
        opened = sorted(self._open(), key=lambda v: (v.record.layer, v.record.key))
        causes = [v for v in opened if v.blocks]
        hides: dict[str, list[str]] = {}
        for life in opened:
            cause = next(
                (
                    c.record.key
                    for c in causes
                    if c.record.layer < life.record.layer and c.blocks & life.relies
                ),
                None,
            )
            if cause is not None:
                hides.setdefault(cause, []).append(life.record.key)
            if cause != life.record.hidden_by:
                life.record = msgspec.structs.replace(life.record, hidden_by=cause)
        for life in opened:
            hidden = tuple(hides.get(life.record.key, ()))
            if hidden != life.record.hides:
                life.record = msgspec.structs.replace(life.record, hides=hidden)

    def drain_changes(self) -> list[tuple[str, FindingRecord]]:
        """("finding" or "cleared", record) since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    def records(self, *, hidden: bool = True) -> tuple[FindingRecord, ...]:
        """Findings that were told: open ones worst and lowest first, then cleared ones, newest
        first. Those behind a lower finding come last of the open ones, or not at all."""
        told = [v.record for v in self._lives.values() if v.told]
        if not hidden:
            told = [r for r in told if r.hidden_by is None]
        return tuple(
            sorted(
                told,
                key=lambda r: (
                    r.cleared_time_ns is not None,
                    r.hidden_by is not None,
                    -(r.cleared_time_ns or 0),
                    _SEVERITY[r.severity],
                    r.layer,
                    r.first_time_ns,
                    r.key,
                ),
            )
        )


def _tags(templates: tuple[str, ...], values: dict[str, str]) -> list[str]:
    """Tags with their names filled in; one whose name is unknown or empty is left out."""
    out = []
    for template in templates:
        text = filled(template, values)
        if not text.endswith((":", ":?")):
            out.append(text)
    return out


def with_values(seen: Observation, **values: str) -> Observation:
    """The same observation with more values."""
    return replace(seen, values={**seen.values, **values})
