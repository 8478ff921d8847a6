"""What a situation is, and how it is run: a builder, and what a person must be told of it.

A situation says which findings of severity warning or error a person is told, and that there are no
others; which of them are over at the end; and what their sentences say and never say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from panotui.engine.engine import Engine
from panotui.model import FindingRecord, LinkReading, Site
from panotui.model.baseline import Baseline
from tests.diagnosis.wire import Missed
from tests.situations.town import Town, dual

LOUD = ("warning", "error")
# of any finding: words that never help, and remedies that nobody may be given
NEVER = re.compile(r"\bNone\b|\bnan\b|\{|\}|  |\b1 (hosts|attempts|names|SYNs|queries|requests) ")


@dataclass(frozen=True)
class Situation:
    """See the module's text."""

    name: str
    build: Callable[[], Town]
    told: tuple[str, ...]  # ids, "a|b" where either is as good
    site: Callable[[], Site] = dual
    also: tuple[str, ...] = ()  # may be told beside them, and more than once
    info: tuple[str, ...] = ()  # ids that must be told as information
    cleared: tuple[str, ...] = ()  # over at the end; all others are open
    either: tuple[str, ...] = ()  # may be open or over
    says: dict[str, str] = field(default_factory=dict)  # id -> regular expression
    never: dict[str, str] = field(default_factory=dict)
    severity: dict[str, str] = field(default_factory=dict)
    violations: int | None = 0
    cameras: dict[str, str] = field(default_factory=dict)  # name -> regular expression of its state
    proved: bool = True  # each loud finding has a packet as evidence
    live: bool = False
    readings: tuple[LinkReading, ...] = ()
    missed: Missed | None = None  # by the capture
    baseline: Callable[[], Baseline] | None = None
    twin: str = ""  # the situation without the fault

    @property
    def ids(self) -> set[str]:
        """All findings that it is about."""
        return {i for said in self.told for i in said.split("|")} | set(self.info)

    @property
    def text(self) -> str:
        """What is so on the wire."""
        return (self.build.__doc__ or "").strip()

    def watch(self) -> Engine:
        return self.build().watch(
            self.site(),
            live=self.live,
            readings=self.readings,
            missed=self.missed,
            baseline=self.baseline() if self.baseline else None,
        )

    def wrong(self, engine: Engine) -> Iterator[str]:
        """What is told wrongly."""
        snapshot = engine.snapshot()
        visible = [f for f in snapshot.findings if f.hidden_by is None]
        loud = [f for f in visible if f.severity in LOUD]
        left = list(loud)
        for said in self.told:
            found = [f for f in left if f.id in said.split("|")]
            if not found:
                yield f"{said} is not told: {[short(f) for f in visible]}"
            elif len(found) > 1 and not set(self.also) & {f.id for f in found}:
                yield f"{said} is told {len(found)} times: {[short(f) for f in found]}"
            left = [f for f in left if f not in found]
        for other in left:
            if other.id in self.also:
                continue
            yield f"told beside: {short(other)}"
        for name in self.info:
            if not any(f.id == name and f.severity == "info" for f in visible):
                yield f"{name} is not told as information"
        for one in loud:
            yield from self._of(one)
        for one in visible:
            if bad := NEVER.search(words(one)):
                yield f"{one.id} says {bad.group(0)!r}: {words(one)}"
        for name, wanted in self.cameras.items():
            states = [c.state for c in snapshot.cameras if c.name == name]
            if not states or not re.fullmatch(wanted, states[0]):
                yield f"camera {name} is {states}, not {wanted}"
        if self.violations is not None and len(snapshot.violations) != self.violations:
            yield f"violations: {[v.text for v in snapshot.violations]}"

    def _of(self, one: FindingRecord) -> Iterator[str]:
        over = one.cleared_time_ns is not None
        if one.id in self.either:
            pass
        elif over and one.id not in self.cleared:
            yield f"{one.id} is over: {short(one)}"
        elif not over and one.id in self.cleared:
            yield f"{one.id} is open: {short(one)}"
        if self.proved and not any(e.packet for e in one.evidence):
            yield f"{one.id} names no packet"
        wanted = self.severity.get(one.id)
        if wanted and one.severity != wanted:
            yield f"{one.id} is {one.severity}, not {wanted}"
        said = self.says.get(one.id) or self.says.get("*")
        if said and not re.search(said, words(one), re.I | re.S):
            yield f"{one.id} does not say /{said}/: {words(one)}"
        unsaid = self.never.get(one.id) or self.never.get("*")
        if unsaid and (hit := re.search(unsaid, words(one), re.I)):
            yield f"{one.id} says {hit.group(0)!r}: {words(one)}"


def words(one: FindingRecord) -> str:
    """All that a person reads of a finding."""
    parts = [one.subject, one.text, *one.detail, one.action, *(e.text for e in one.evidence)]
    return "\n".join(parts)


def short(one: FindingRecord) -> str:
    over = " (over)" if one.cleared_time_ns is not None else ""
    return f"{one.id} {one.severity}/{one.confidence} {one.subject}{over}: {one.text}"


SITUATIONS: dict[str, Situation] = {}


def situation(*told: str, **more: object) -> Callable[[Callable[[], Town]], Callable[[], Town]]:
    """Marks a builder as a situation; its name is the function's."""

    def mark(build: Callable[[], Town]) -> Callable[[], Town]:
        name = build.__name__.replace("_", "-")
        assert name not in SITUATIONS, name
        SITUATIONS[name] = Situation(name, build, told, **more)  # type: ignore[arg-type]
        return build

    return mark
