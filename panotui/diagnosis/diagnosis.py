"""Turns the observations of rules into findings with a life.

Observations come in, `FindingRecord`s and events go out. A rule runs when its inputs have changed
(`Rule.wakes`, `Rule.hears`, `Rule.due_ns`); in between its last observations stay valid. A finding
opens when its condition has held for `hold_s`, and is cleared, with the time, when it has been gone
for `clear_s`. A finding that was not tried again says since when.

Of related findings the one on the lowest failing step is reported, and the others are hidden behind
it: a finding blocks tags (`cloud:eth1`), others rely on them; or a rule names the observations that
share one cause. Findings that cannot be proved from this vantage are not reported
(`diagnosis.sight`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from panotui.diagnosis.cameras.words import anchor_of, subject_of
from panotui.diagnosis.catalogue import FindingSpec, catalogue, filled
from panotui.diagnosis.facts import Facts, Observation, Rule, clock_text
from panotui.diagnosis.sight import CERTAIN, WITHHELD, out_of_sight_ns, sight
from panotui.diagnosis.thresholds import thresholds
from panotui.model import (
    NEVER,
    SECOND,
    AnyMessage,
    Confidence,
    FindingRecord,
    LifeRecord,
)

FINDINGS_MAX = 500
EARLIER_MOST = 20  # periods of one finding that are remembered
LIMITS = thresholds().causes
_WEAKER: dict[Confidence, Confidence] = {
    "certain": "likely",
    "likely": "possible",
    "possible": "possible",
}
_SIGHT = frozenset(("visibility", "loss"))  # grading of each observation
# messages that may bring a first camera
_NEWS = frozenset(("flows", "streams", "links", "ports", "site", "endpoints", "violations"))
_WAYS = ("port", "cloud", "names", "time")  # tags of what a port leads to
_SEVERITY = {"error": 0, "warning": 1, "info": 2}


class _Life(Struct):
    record: FindingRecord
    spec: FindingSpec
    blocks: frozenset[str]
    relies: frozenset[str]
    covers: frozenset[str]
    seen: Observation  # the newest
    text: str  # without the additions about time
    seen_ns: int  # last tick at which the condition held
    told: bool = False
    announced: bool = False  # an event was sent
    untried: bool = False  # the text says since when it was not tried
    times: int = 1
    pending_ns: int = 0  # condition true since, while hold_s runs
    before: FindingRecord | None = None  # the previous period, when the condition came back
    worst: FindingRecord | None = None  # at its worst
    weight: float = 0.0  # then
    hidden_ns: int = 0  # since when it depends on another


def _wakes(rule: Rule, woken: frozenset[str], cameras: bool) -> bool:
    """Whether these changes, see `Rule.wakes`, wake a rule at a site with cameras or without."""
    wakes = rule.wakes
    if wakes is None:
        if cameras or not rule.of_cameras:
            return True
        wakes = _NEWS
    return bool(woken & (wakes | _SIGHT))


class Diagnosis:
    """All rules and all findings of a site."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        # what most rules do not define need not be asked of them in each second
        self._steady = tuple(r for r in self.rules if type(r).steady_ns is not Rule.steady_ns)
        self._calm = tuple(r for r in self.rules if type(r).calm is not Rule.calm)
        self._always = tuple(r for r in self.rules if r.wakes is None)
        # what changed, by the few names of that, and whether cameras are known -> who is woken
        self._wakes: dict[tuple[frozenset[str], bool], frozenset[Rule]] = {}
        self.specs = catalogue()
        self._lives: dict[str, _Life] = {}
        self._changes: list[tuple[str, FindingRecord]] = []
        self.evicted = 0
        self._turned = 0  # version of what the vantage has ceased to show
        self._passed_ns = 0  # the newest tick at which nothing changed
        self._listening: dict[type, tuple[Rule, ...]] = {}  # by type of message
        self._heard: set[Rule] = set()  # rules that got a message since the last tick
        self._standing: dict[Rule, tuple[str, ...]] = {}  # keys of each rule's last observations
        self._fleeting: set[Rule] = set()  # camera rules with observations that are not `lasting`

    def observe(self, message: AnyMessage, facts: Facts) -> None:
        """Pass one message to the rules that hear its type."""
        kind = type(message)
        listening = self._listening.get(kind)
        if listening is None:
            listening = self._listening[kind] = tuple(r for r in self.rules if kind in r.hears)
        for rule in listening:
            if rule.observe(message, facts) is not False:
                self._heard.add(rule)

    def tick(self, facts: Facts) -> None:
        """Run the rules that are awake and update the findings to `facts.now_ns`."""
        if self._passed_ns:
            for keys in self._standing.values():
                for key in keys:
                    if key in self._lives:
                        self._lives[key].seen_ns = self._passed_ns
            self._passed_ns = 0
        losing = facts.visibility.mirror.share(facts.now_ns) > 0
        if losing or facts.visibility.turning.version != self._turned:
            self._turned = facts.visibility.turning.version
            self._withdraw(facts)
        awake, heard, now_ns = self._awake(facts), self._heard, facts.now_ns
        for rule in self.rules:
            if rule in awake or rule in heard or 0 < rule.due_ns <= now_ns:
                rule.due_ns = 0
                found = rule.tick(facts)
                if rule.of_cameras:
                    self._note_fleeting(rule, found)
                taken = (self._take(_anchored(seen, facts), facts) for seen in found)
                self._standing[rule] = tuple(key for key in taken if key)
            else:
                for key in self._standing.get(rule, ()):
                    self._stands(key, now_ns)
        self._heard.clear()
        self._clear(facts.now_ns)
        if self._lives:
            self._hide(facts.now_ns)
            self._announce()

    def restate(self, facts: Facts) -> None:
        """Run those rules again whose findings lasted during skipped ticks, as of the newest of
        these, `facts.now_ns`: their last observations stay valid if they return nothing else.
        """
        for rule in self.rules:
            if rule.lasting and self._standing.get(rule):
                taken = (self._take(_anchored(seen, facts), facts) for seen in rule.tick(facts))
                self._standing[rule] = tuple(key for key in taken if key)

    def _note_fleeting(self, rule: Rule, found: list[Observation]) -> None:
        if all(seen.id in rule.lasting for seen in found):
            self._fleeting.discard(rule)
        else:
            self._fleeting.add(rule)

    def let_pass(self, now_ns: int) -> None:
        """A tick at which nothing changes: open findings stay open."""
        self._passed_ns = now_ns

    def due_ns(self, facts: Facts, *, streaming: bool = False) -> int:
        """When the next tick would do something without new packets; `streaming`: with cameras
        whose streams merely continue.
        """
        cameras = bool(facts.cameras.cameras or facts.streams.streams) and not facts.cameras_rest
        cameras = cameras and not streaming
        if len(self._standing) < len(self.rules):
            return facts.now_ns
        if any(cameras or not rule.of_cameras for rule in self._always):
            return facts.now_ns
        due = min((rule.due_ns for rule in self.rules if rule.due_ns), default=NEVER)
        for life in self._lives.values():
            due = min(due, _due_of(life, facts.now_ns))
        return due

    def steady_ns(self, facts: Facts) -> int:
        """When the next tick would do something while known connections and streams merely
        continue.
        """
        if self._fleeting and not facts.cameras_rest:
            return 0
        return min((rule.steady_ns(facts) for rule in self._steady), default=NEVER)

    def is_calm(self, facts: Facts) -> bool:
        """Whether no finding is open or about to open, and no rule is near one, see `Rule.calm`."""
        over = (v.told and v.record.cleared_time_ns is not None for v in self._lives.values())
        return all(over) and all(rule.calm(facts) for rule in self._calm)

    def _awake(self, facts: Facts) -> frozenset[Rule]:
        """The rules that run whatever was heard and is due."""
        if facts.final or len(self._standing) < len(self.rules):
            return frozenset(self.rules)
        cameras = bool(facts.cameras.cameras or facts.streams.streams)
        key = (facts.woken, cameras)
        found = self._wakes.get(key)
        if found is None:
            found = self._wakes[key] = frozenset(
                rule for rule in self.rules if _wakes(rule, facts.woken, cameras)
            )
        return found

    def _take(self, seen: Observation, facts: Facts) -> str | None:
        spec = self.specs[seen.id]
        if spec.cloud and facts.site.site.mode == "camera-only":
            return None
        grade = sight(seen, spec, facts)
        key = seen.life_key
        if grade == WITHHELD:
            return key if self._outlasts(key, facts) else None
        for wrong in seen.replaces:
            self._lives.pop(wrong, None)
        life = self._lives.get(key)
        now = facts.now_ns
        if life is None:
            if len(self._lives) >= FINDINGS_MAX and not self._evict():
                return None
            record = self._record(key, seen, spec, facts, None, grade)
            life = self._lives[key] = _Life(
                record, spec, frozenset(), frozenset(), frozenset(), seen, record.text, now,
                pending_ns=seen.first_ns or now,
            )  # fmt: skip
        else:
            if life.told and life.record.cleared_time_ns is not None:
                life.times += 1
                life.told = life.announced = False
                life.before = life.record
                if now - life.record.cleared_time_ns > LIMITS.same_ns:
                    life.record = _anew(life.record, seen.first_ns or now)
                    life.worst, life.weight = None, 0.0
                life.pending_ns = seen.first_ns or now
            elif not life.told and now - life.seen_ns > 2 * SECOND + spec.clear_s * SECOND:
                life.pending_ns = seen.first_ns or now
            life.record = self._record(key, seen, spec, facts, life, grade)
            life.seen, life.text = seen, life.record.text
            life.seen_ns = now
        if seen.weight > life.weight:
            life.worst, life.weight = life.record, seen.weight
        way = {"way": _way(seen.values, facts), **seen.values}
        life.blocks = frozenset((*_tags(spec.blocks, way), *seen.blocks))
        life.relies = frozenset((*_tags(spec.relies, way), *seen.relies))
        life.covers = frozenset(seen.covers)
        life.untried = False
        self._open_when_held(life, now)
        self._say_untried(life, now)
        return key

    def _withdraw(self, facts: Facts) -> None:
        """Take back what began when the vantage ceased to show it: it was out of sight."""
        for key, life in list(self._lives.items()):
            since_ns = out_of_sight_ns(life.seen, life.spec, facts)
            early_ns = life.record.first_time_ns + LIMITS.turned_ns
            if since_ns is None or early_ns < since_ns:
                continue
            del self._lives[key]
            if life.announced and life.record.cleared_time_ns is None:
                over = msgspec.structs.replace(life.record, cleared_time_ns=life.seen_ns)
                self._changes.append(("cleared", over))

    def _outlasts(self, key: str, facts: Facts) -> bool:
        """Whether an open finding stays as it was: the capture saw little a moment ago, which opens
        no finding and ends none.
        """
        life = self._lives.get(key)
        if life is None or not life.told or life.record.cleared_time_ns is not None:
            return False
        if not facts.blindness.unsettled(facts.now_ns):
            return False
        self._stands(key, facts.now_ns)
        return True

    def _stands(self, key: str, now: int) -> None:
        """The last observations of a sleeping rule stay valid."""
        life = self._lives.get(key)
        if life is None:
            return
        life.seen_ns = now
        self._open_when_held(life, now)
        self._say_untried(life, now)

    def _open_when_held(self, life: _Life, now: int) -> None:
        if not life.told and now - life.pending_ns >= life.spec.hold_s * SECOND:
            life.told = True
            life.before = None
            life.record = msgspec.structs.replace(life.record, cleared_time_ns=None)

    @staticmethod
    def _say_untried(life: _Life, now: int) -> None:
        last = life.record.last_time_ns
        if life.untried or not life.spec.tried or now - last < LIMITS.untried_ns:
            return
        life.untried = True
        life.record = msgspec.structs.replace(
            life.record, text=f"{life.text}; not tried again since {clock_text(last)}"
        )

    def _record(
        self,
        key: str,
        seen: Observation,
        spec: FindingSpec,
        facts: Facts,
        life: _Life | None,
        grade: int,
    ) -> FindingRecord:
        confidence = seen.confidence or spec.confidence
        if grade != CERTAIN:
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
            action=_action(seen, spec),
            evidence=seen.evidence or (old.evidence if old else ()),
            first_time_ns=_first_ns(old, seen.first_ns or facts.now_ns, facts.now_ns),
            last_time_ns=seen.last_ns or facts.now_ns,
            # a cleared finding is open again only after its hold time
            cleared_time_ns=old.cleared_time_ns if old and life and not life.told else None,
            key=key,
            layer=spec.layer,
            hidden_by=old.hidden_by if old else None,
            hides=old.hides if old else (),
            detail=detail,
            flow=seen.flow,
            stream=seen.stream,
            camera=seen.camera,
            violation=seen.violation,
            earlier=old.earlier if old else (),
        )

    def _clear(self, now: int) -> None:
        gone: list[str] = []
        for key, life in self._lives.items():
            if life.seen_ns >= now or (life.told and life.record.cleared_time_ns is not None):
                continue
            if now - life.seen_ns < life.spec.clear_s * SECOND:
                continue
            if not life.told and life.before is None:
                gone.append(key)
                continue
            if life.before is not None:  # it did not come back after all
                life.record, life.before = life.before, None
                life.told = life.announced = True
                life.times -= 1
                continue
            over_ns = life.record.last_time_ns if life.spec.moment else life.seen_ns
            life.record = msgspec.structs.replace(
                life.record, cleared_time_ns=over_ns, hides=(), text=life.text
            )
            cause = self._lives.get(life.record.hidden_by or "")
            if cause is not None and life.announced and _stood_alone(life, cause):
                life.record = msgspec.structs.replace(life.record, hidden_by=None)
            if life.worst is not None:
                life.record = _as_at(life.record, life.worst)
            if life.announced:
                self._changes.append(("cleared", life.record))
        for key in gone:
            del self._lives[key]

    def _evict(self) -> bool:
        cleared = [k for k, v in self._lives.items() if v.record.cleared_time_ns is not None]
        waiting = [k for k, v in self._lives.items() if not v.told]
        if cleared:
            victim = min(cleared, key=lambda k: self._lives[k].record.cleared_time_ns or 0)
        elif waiting:
            victim = waiting[0]
        else:
            return False
        del self._lives[victim]
        self.evicted += 1
        return True

    def _open(self) -> list[_Life]:
        return [v for v in self._lives.values() if v.told and v.record.cleared_time_ns is None]

    def _hide(self, now: int) -> None:
        """Hide findings that depend on a failing lower step behind the lowest of its causes."""
        opened = sorted(self._open(), key=_order)
        causes = _Causes(opened)
        hides: dict[str, list[str]] = {}
        for life in opened:
            cause = causes.of(life) or self._still_under(life)
            if cause is None and life.seen_ns < now:
                cause = life.record.hidden_by  # it is going, and was this to its end
            if cause is not None:
                hides.setdefault(cause, []).append(life.record.key)
            if cause != life.record.hidden_by:
                if life.record.hidden_by is None:
                    life.hidden_ns = now
                life.record = msgspec.structs.replace(life.record, hidden_by=cause)
        for life in opened:
            hidden = tuple(hides.get(life.record.key, ()))
            if hidden != life.record.hides:
                life.record = msgspec.structs.replace(life.record, hides=hidden)

    def _still_under(self, life: _Life) -> str | None:
        """Its cause is over, and it has no newer evidence."""
        cause = self._lives.get(life.record.hidden_by or "")
        over = cause.record.cleared_time_ns if cause is not None else None
        tries = life.spec.group == "cloud"  # its evidence is an attempt, made when it is dated
        until = (over or 0) + (LIMITS.retried_ns if tries else LIMITS.together_ns)
        return life.record.hidden_by if over and life.record.last_time_ns <= until else None

    def _announce(self) -> None:
        """Visible findings become events, once; hidden ones when they become visible."""
        for life in self._lives.values():
            record = life.record
            if not life.told or life.announced or record.hidden_by is not None:
                continue
            if record.cleared_time_ns is None:
                life.announced = True
                self._changes.append(("finding", record))

    def cut_off(self) -> dict[tuple[str, str], FindingRecord]:
        """What is not reached now, and by which way: (`port`, `cloud`, `names` or `time`; the port,
        or the address where no port is known) -> the finding that says so.
        """
        cut: dict[tuple[str, str], FindingRecord] = {}
        for life in self._open():
            record = life.record
            if record.severity != "error" or record.hidden_by is not None:
                continue
            for tag in life.blocks:
                kind, _, way = tag.partition(":")
                if kind not in _WAYS or not way:
                    continue
                for what in _WAYS if kind == "port" else (kind,):
                    first = cut.setdefault((what, way), record)
                    if record.first_time_ns < first.first_time_ns:
                        cut[what, way] = record
        return cut

    def drain_changes(self) -> list[tuple[str, FindingRecord]]:
        """("finding" or "cleared", record) since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    def records(self, *, hidden: bool = True) -> tuple[FindingRecord, ...]:
        """Reported findings: open ones worst and lowest first, then cleared ones, newest first.
        Those behind a lower finding come last of the open ones, or not at all; a passing one
        disappears when it is over.
        """
        shown = [v for v in self._lives.values() if (v.told or v.before) and not _has_passed(v)]
        told = [v.before or v.record for v in shown]
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


def _action(seen: Observation, spec: FindingSpec) -> str:
    """What to do. A problem that does no harm here (it is another host's, or something else stands
    in) asks nothing of anybody, unless its rule says what.
    """
    if seen.action is not None:
        return seen.action
    harmless = seen.severity == "info" != spec.severity
    return "" if harmless else filled(spec.action, seen.values)


def _has_passed(life: _Life) -> bool:
    return life.spec.passing and (life.before or life.record).cleared_time_ns is not None


def _stood_alone(life: _Life, cause: _Life) -> bool:
    """It was visible for most of its time before its final cause began. A cause is often seen long
    after it began: a restart shows when the camera is back."""
    whole = life.seen_ns - life.record.first_time_ns
    began_ns = min(life.hidden_ns, cause.record.first_time_ns)
    return life.seen_ns - began_ns < whole / 2


def _anew(over: FindingRecord, now_ns: int) -> FindingRecord:
    """A finding that begins again, keeping its previous period."""
    life = LifeRecord(
        first_time_ns=over.first_time_ns,
        cleared_time_ns=over.cleared_time_ns or over.last_time_ns,
        severity=over.severity,
        text=over.text,
    )
    return msgspec.structs.replace(
        over,
        first_time_ns=max(now_ns, life.cleared_time_ns),
        earlier=(*over.earlier, life)[-EARLIER_MOST:],
        hidden_by=None,
    )


def _first_ns(old: FindingRecord | None, since_ns: int, now_ns: int) -> int:
    """Start of the present period: older evidence may belong to the previous one."""
    if old is None:
        return min(now_ns, since_ns)
    over_ns = old.earlier[-1].cleared_time_ns if old.earlier else 0
    return max(over_ns, min(old.first_time_ns, since_ns))


def _as_at(over: FindingRecord, worst: FindingRecord) -> FindingRecord:
    """A past finding, in its worst state."""
    return msgspec.structs.replace(
        over, text=worst.text, severity=worst.severity, action=worst.action, detail=worst.detail,
        evidence=worst.evidence or over.evidence,
    )  # fmt: skip


def _due_of(life: _Life, now_ns: int) -> int:
    """When time alone changes a finding's life."""
    spec, record = life.spec, life.record
    if life.told and record.cleared_time_ns is not None:
        return NEVER
    if life.seen_ns < now_ns:
        return life.seen_ns + int(spec.clear_s * SECOND)
    due = NEVER if life.told else life.pending_ns + int(spec.hold_s * SECOND)
    if spec.tried and not life.untried:
        due = min(due, record.last_time_ns + LIMITS.untried_ns)
    return due


def _order(life: _Life) -> tuple[int, int, str]:
    return life.record.layer, life.spec.step, life.record.key


class _Causes:
    """Possible causes, by what they cover and by the tags that they block, so that a flood of
    findings is not compared pairwise.
    """

    def __init__(self, opened: list[_Life]) -> None:
        """`opened` in order: the lowest come first."""
        self._lives = [v for v in opened if v.blocks or v.covers]
        self._covers: dict[str, list[int]] = {}
        self._blocks: dict[str, list[int]] = {}
        for place, life in enumerate(self._lives):
            for key in life.covers:
                self._covers.setdefault(key, []).append(place)
            for tag in life.blocks:
                self._blocks.setdefault(tag, []).append(place)

    def of(self, life: _Life) -> str | None:
        """The key of the first cause of a finding."""
        wild = f"{life.record.id}|*"  # all findings of an id that came with the cause
        best = len(self._lives)
        for place in self._covers.get(life.record.key, ()):
            if self._lives[place] is not life:
                best = place
                break
        for place in self._covers.get(wild, ()):
            cause = self._lives[place]
            together = life.record.first_time_ns >= cause.record.first_time_ns - LIMITS.together_ns
            if cause is not life and together:
                best = min(best, place)
                break
        step = _order(life)[:2]
        for tag in life.relies:
            for place in self._blocks.get(tag, ()):
                cause = self._lives[place]
                if place >= best or _order(cause)[:2] >= step:
                    break
                if wild not in cause.covers:  # of those that cover it, the time decides
                    best = place
                    break
        return self._lives[best].record.key if best < len(self._lives) else None


def _anchored(seen: Observation, facts: Facts) -> Observation:
    """Identified by its camera's address, whose name may still change."""
    camera = facts.cameras.get(seen.camera) if seen.camera and seen.key is None else None
    if camera is None or camera.declared or not seen.subject.startswith(subject_of(camera)):
        return seen
    key = anchor_of(camera) + seen.subject.removeprefix(subject_of(camera))
    return msgspec.structs.replace(seen, key=key)


def _way(values: dict[str, str], facts: Facts) -> str:
    """The path that a thing uses: the appliance's port, or the address while no port is known."""
    if values.get("port"):
        return values["port"]
    client = values.get("client", "")
    return facts.port_of(client) or client


def _tags(templates: tuple[str, ...], values: dict[str, str]) -> list[str]:
    """Tags with their names filled in; one whose name is unknown or empty is left out."""
    out = []
    for template in templates:
        text = filled(template, values)
        if not text.endswith((":", ":?")):
            out.append(text)
    return out
