"""The glyphs of the screen, in Unicode and in ASCII, and the look of each state.

A state is always shown by a glyph, a word and a colour role, so that none of them is needed alone.
A record's state word comes in, the glyph and the role go out.
"""

from __future__ import annotations

import locale
import os
from typing import Literal, TypeAlias

from msgspec import Struct

from panotui.state.strips import Cell

Role: TypeAlias = Literal[
    "plain", "dim", "ok", "warn", "bad", "head", "strong", "key", "cursor", "bar", "chart"
]


class Glyphs(Struct, frozen=True):
    """One set of glyphs; all are one cell wide."""

    ok: str
    bad: str
    warn: str
    wait: str
    unknown: str
    note: str
    inward: str  # towards the appliance, or the client
    outward: str
    to: str
    ellipsis: str
    record: str
    bars: str  # from almost nothing to full
    keyframe: str
    ascending: str
    descending: str
    more_above: str
    more_below: str
    cells: str  # of time strips, by `state.strips.Cell`
    braille: bool  # curves of two by four dots a cell
    wall: str  # between things side by side


UNICODE = Glyphs(
    ok="✔", bad="✖", warn="!", wait="…", unknown="-", note="i", inward="▼", outward="▲", to=">",
    ellipsis="…", record="●", bars="▁▂▃▄▅▆▇█", keyframe="◆", ascending="▲", descending="▼",
    more_above="▲", more_below="▼",
    cells="".join(cell.glyph for cell in Cell), braille=True, wall="│",
)  # fmt: skip
ASCII = Glyphs(
    ok="+", bad="x", warn="!", wait="~", unknown="-", note="i", inward="v", outward="^", to=">",
    ellipsis="~", record="*", bars="_.:-=+*#", keyframe="K", ascending="^", descending="v",
    more_above="^", more_below="v",
    cells="".join(cell.letter for cell in Cell), braille=False, wall="|",
)  # fmt: skip

Look: TypeAlias = Literal["ok", "warn", "bad", "wait", "unknown", "note"]

# Words of ports, cameras, streams, endpoints, verdicts, severities; all others are unknown.
_LOOKS: dict[str, Look] = {
    "up": "ok", "standby": "ok", "silent": "warn", "down": "bad",
    "streaming": "ok", "losing": "warn", "slow": "warn", "frozen": "bad", "paused": "warn",
    "ended": "unknown", "refused": "bad", "unreachable": "bad", "connecting": "wait",
    "unseen": "unknown", "reachable": "ok", "blocked": "bad", "failing": "bad",
    "allowed": "ok", "infrastructure": "ok", "pending": "wait", "violation": "bad",
    "error": "bad", "warning": "warn", "info": "note",
    "synchronised": "ok", "unsynchronised": "bad", "off": "warn",
    "recording": "ok", "samples-only": "warn", "stopped": "bad",
}  # fmt: skip
# A camera that sends nothing is a fault; a port that receives nothing may only be quiet.
_CAMERA_LOOKS: dict[str, Look] = {"silent": "bad"}
_TROUBLE: dict[Look, int] = {"bad": 0, "warn": 1, "wait": 2, "unknown": 3, "note": 4, "ok": 5}
_ROLES: dict[Look, Role] = {
    "ok": "ok",
    "warn": "warn",
    "bad": "bad",
    "wait": "warn",
    "unknown": "dim",
    "note": "plain",
}


def look(state: str | None, *, camera: bool = False) -> Look:
    """The look of a state word."""
    if state is None:
        return "unknown"
    if camera and state in _CAMERA_LOOKS:
        return _CAMERA_LOOKS[state]
    return _LOOKS.get(state, "unknown")


def role(of: Look) -> Role:
    return _ROLES[of]


def trouble(of: Look) -> int:
    """Sort key, worst first: 0 for bad, 5 for well."""
    return _TROUBLE[of]


def glyph(glyphs: Glyphs, of: Look) -> str:
    return str(getattr(glyphs, of))


def terminal_glyphs(environment: dict[str, str] | None = None) -> Glyphs:
    """Unicode if the locale is UTF-8 and the terminal can draw it, otherwise ASCII.

    The Linux console counts as ASCII: its fonts lack the bars and marks.
    """
    values = dict(os.environ) if environment is None else environment
    named = values.get("LC_ALL") or values.get("LC_CTYPE") or values.get("LANG") or ""
    encoding = named.partition(".")[2].partition("@")[0] if "." in named else ""
    if not named and environment is None:
        encoding = locale.getpreferredencoding(False)
    if values.get("TERM", "").startswith("linux"):
        return ASCII
    return UNICODE if encoding.lower().replace("-", "") == "utf8" else ASCII
