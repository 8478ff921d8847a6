"""Shared fate: simultaneous failures at one step, and the lowest element that they share.

Failing trials come in, each with the elements that it depends on, lowest first (the port, the
address family, the port number, ...); fates go out. Trials share a fate at the lowest common
element without a working member since they began to fail: a member that worked since then is a
control, and proves that the element is not the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct, field

Element = tuple[str, str]  # kind, name: ("port", "eth1")


class Trial(Struct, frozen=True):
    """One target that fails at one step."""

    name: str  # of the target: two trials of one name are one target
    since_ns: int  # its first failure after its last success
    elements: tuple[Element, ...]  # the elements that it depends on, lowest first
    key: str = ""  # of its own finding


class Fate(Struct):
    """Trials with one cause."""

    element: Element
    members: list[Trial] = field(default_factory=list)

    @property
    def since_ns(self) -> int:
        """When the first of them began to fail."""
        return min(trial.since_ns for trial in self.members)

    @property
    def names(self) -> list[str]:
        """The targets, in the order in which they began to fail."""
        ordered = sorted(self.members, key=lambda t: (t.since_ns, t.name))
        return list(dict.fromkeys(t.name for t in ordered))


def shared(
    trials: Iterable[Trial],
    worked_ns: Callable[[Element], int],
    least: Callable[[Element], int] = lambda _: 2,
) -> list[Fate]:
    """The fates of trials that fail at one step.

    `worked_ns`: when something that depends on an element last passed the same step (0 never).
    `least`: how many targets must fail before an element counts as the cause.
    """
    waiting = list(trials)
    fates: list[Fate] = []
    kinds = list(dict.fromkeys(kind for t in waiting for kind, _ in t.elements))
    kinds.sort(key=lambda kind: min(_place(t, kind) for t in waiting))
    for kind in kinds:
        by_element: dict[Element, list[Trial]] = {}
        for trial in waiting:
            for element in trial.elements:
                if element[0] == kind:
                    by_element.setdefault(element, []).append(trial)
        for element, found in by_element.items():
            worked = worked_ns(element)
            members = [t for t in found if t.since_ns > worked]
            if len({t.name for t in members}) >= least(element):
                fates.append(Fate(element, members))
                waiting = [t for t in waiting if t not in members]
    return fates


def _place(trial: Trial, kind: str) -> int:
    return next((i for i, (k, _) in enumerate(trial.elements) if k == kind), len(trial.elements))
