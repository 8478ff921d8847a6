"""The head of every detail: the finding that explains it, its action, the evidence newest first."""

from __future__ import annotations

from collections.abc import Sequence

from panotui.tui.cells import width, wrap
from panotui.tui.glyphs import Role, look, role
from panotui.tui.line import Line, Pen
from panotui.tui.page import Scene
from panotui.tui.quantities import fine_clock, since
from panotui.views.frames import Detail, Explained, Proof

HEAD = 12  # cells of a heading beside its text
NARROW = 64  # with fewer cells a heading is above its text
PROOFS_SHOWN = 5  # lines before charts and numbers; all others follow those


def draw(detail: Detail, scene: Scene, *, dead: bool) -> list[Line]:
    """Cause, action, and the first evidence. `dead`: the state needs an explanation."""
    out: list[Line] = []
    own = detail.finding is not None or detail.violation is not None
    for found in detail.explained:
        note = found.severity == "info"  # nothing explains it and there is no action
        if not (own and found.key == detail.key):
            said = _because(found, scene)
            out += headed("NOTE" if note else "BECAUSE", said, scene, _role(found))
        if found.action:
            word = "NOTE" if own else ""
            out += headed(word if note else "WHAT TO DO", found.action, scene,
                          "plain" if note else "strong")  # fmt: skip
    if not detail.explained and dead and detail.passage is None:  # of two captures none is judged
        out += headed("BECAUSE", "No finding explains it yet: look at the evidence.", scene, "warn")
    return out + proofs(detail.evidence[:PROOFS_SHOWN], scene, "EVIDENCE")


def rest(detail: Detail, scene: Scene) -> list[Line]:
    """The evidence for which there was no room in front."""
    return proofs(detail.evidence[PROOFS_SHOWN:], scene, "EARLIER")


def _because(found: Explained, scene: Scene) -> str:
    sure = "" if found.confidence == "certain" else f" ({found.confidence})"
    return f"{found.text}{sure}{', known' if found.known else ''}"


def _role(found: Explained) -> Role:
    return "plain" if found.known else role(look(found.severity))


def headed(title: str, text: str, scene: Scene, shown: Role = "plain") -> list[Line]:
    """A heading and its wrapped text, beside it or below it."""
    narrow = scene.width < NARROW
    indent = 3 if narrow else HEAD + 1
    lines: list[Line] = []
    if narrow and title:
        lines.append(scene.pen().put(" ").put(title, "head").line())
    for number, part in enumerate(
        wrap(scene.manner.words(text), max(10, scene.width - indent - 1))
    ):
        pen = scene.pen().put(" ")
        if not narrow and number == 0:
            pen.put(title, "head")
        lines.append(pen.to(indent).put(part, shown).line())
    return lines


def proofs(found: Sequence[Proof], scene: Scene, title: str) -> list[Line]:
    """One line per piece of evidence, more if it is long: time, age, observation, packet."""
    if not found:
        return []
    narrow = scene.width < NARROW
    indent = 3 if narrow else HEAD + 1
    lines: list[Line] = []
    if narrow:
        lines.append(scene.pen().put(" ").put(title, "head").line())
    for number, proof in enumerate(found):
        pen: Pen = scene.pen().put(" ")
        if number == 0 and not narrow:
            pen.put(title, "head")
        age = since(proof.time_ns, scene.now_ns)
        if scene.manner.times != "ago":
            pen.to(indent).put(fine_clock(proof.time_ns, scene.zone), "dim").put(" ")
        pen.to(indent).put(f"{age:>6}  ", "dim")
        column = pen.column
        where = f"  packet {proof.packet}" if proof.packet else ""
        where = f"  frame {proof.frame}" if proof.frame else where
        parts = wrap(scene.manner.words(proof.text), max(10, scene.width - column - 1))
        if width(parts[-1]) + len(where) > scene.width - column - 1:
            parts.append("")
        for place, part in enumerate(parts):
            if place:
                pen = scene.pen().to(column)
            pen.put(part)
            if place == len(parts) - 1:
                pen.put(where if part else where.strip(), "dim")
            lines.append(pen.line())
    return lines


def since_words(detail: Detail, scene: Scene, clock_text: str) -> str:
    """`since 14:24:31 (6 min)`, or `for 6 min`; empty if unknown."""
    if not detail.since_ns or not scene.now_ns:
        return ""
    if scene.manner.times == "ago":
        return f"for {since(detail.since_ns, scene.now_ns)}"
    return f"since {clock_text} ({since(detail.since_ns, scene.now_ns)})"
