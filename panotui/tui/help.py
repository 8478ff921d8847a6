"""The help page: the keys that work where it was opened, the meaning of marks, the filter
language.
"""

from __future__ import annotations

from collections.abc import Sequence

from panotui.state.strips import Cell
from panotui.tui.cells import width as cells
from panotui.tui.cells import wrap
from panotui.tui.glyphs import Glyphs, Look, glyph, role
from panotui.tui.keys import Key, written
from panotui.tui.line import Line, Pen

_MARKS: tuple[tuple[Look, str], ...] = (
    ("ok", "well"),
    ("warn", "look at it"),
    ("bad", "broken"),
    ("wait", "not decided yet"),
    ("note", "for information"),
    ("unknown", "not known: missing data is never shown as zero or as healthy"),
)
_WORDS: tuple[tuple[str, str], ...] = (
    ("behind", "follows from another finding: fix that one, and both go away"),
    ("known", "someone marked it (m): still open, but no longer news"),
    ("cleared", "it was open, and is over"),
    ("unseen", "needed, but not seen yet: neither well nor broken"),
    ("losing, slow", "packets are lost; fewer frames arrive than expected"),
)
# the pane -> its states
_STATES: dict[str, tuple[tuple[str, str], ...]] = {
    "flows": (
        ("allowed", "a rule of the policy or the site file allows it"),
        ("infra", "DNS, NTP, DHCP and the like: allowed on every site"),
        ("pending", "not enough seen yet to judge it"),
        ("violation", "no rule allows it; the detail lists the nearest rules"),
        ("own", "this tool's own traffic or your session"),
    ),
    "streams": (
        ("ok", "frames arrive, and no finding is open"),
        ("losing", "packets are missing: 0.1 % or more of the last half minute"),
        ("slow", "fewer frames than expected, with or without loss"),
        ("frozen", "no new picture for some seconds"),
        ("refused", "the camera refuses; the number is its RTSP status"),
        ("no reply", "it does not answer"),
        ("leaks, gop, stamps, ...", "frames arrive, and the finding of that name is open"),
    ),
    "endpoints": (
        ("reachable", "a connection worked, and none has failed since"),
        ("blocked", "something on the path lets no packet through"),
        ("failing", "it answers, but a later step fails; the detail says which"),
        ("unseen", "not contacted yet"),
    ),
    "violations": (("open", "still going on, or was a moment ago"), ("past", "it has ended"),
                   ("known", "someone marked it (m)")),
    "findings": (("error", "something does not work"), ("warn", "it works badly"),
                 ("info", "worth knowing"), ("cleared", "it was open, and is over"),
                 ("behind", "follows from another finding: fix that one, and both go away")),
    "comparison": (("whole", "every packet of it comes from one place to the other"),
                   ("losing", "packets are lost between the two places"),
                   ("blocked", "it heads for the other place, and none of its packets comes there"),
                   ("only A, only B", "seen at that place only; it need not pass the other")),
}  # fmt: skip
# the pane -> its columns that need an explanation
_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "flows": (
        (
            "CLIENT >SERVER",
            "who opened the flow, and to whom; the appliance itself is left out in a narrow list",
        ),
        ("b/s in, out", "to the client, and from it"),
    ),
    "streams": (
        ("FPS/EXP", "frames a second: now, and expected"),
        ("LOSS", "of the last half minute; `?`: our own capture may have missed them"),
        ("JIT ms", "how unevenly frames arrive"),
        ("GOP s", "time between key frames"),
    ),
    "endpoints": (
        ("OK/TRIES", "successful connections, of all attempts"),
        ("LAST OK", "how long ago one worked; `open`: one is open now"),
        ("NEEDED", "whether the appliance needs it"),
    ),
    "violations": (
        ("TIMES", "flows merged into this row"),
        ("SEEN", "how long ago the last packet came"),
    ),
    "findings": (("SURE", "certain, likely or possible, by the evidence seen"),),
    "comparison": (
        ("WAY", "where its packets pass first"),
        ("AT A, AT B", "packets captured at each place"),
        ("LOST, SHARE", "packets that the second place lacks, and their share"),
        ("REORD, DUP", "packets that come out of order, and copies, at the second place"),
        ("MS, IPDV", "median time between the places, and how much it varies"),
        ("CHANGED", "header fields that differ between the places"),
    ),
    "inventory": (
        ("ROLE", "what its traffic shows it to be: appliance, camera, gateway, ..."),
        ("ADDRESS", "its first address, and how many more it has"),
        ("MAKER", "from its MAC address, or as the device reports"),
        ("PORT, VLAN", "where its frames are seen"),
        ("SENT", "bytes that it sent; FIRST and LAST: when it was seen"),
    ),
}
_FILTER = (
    ("camera:gate", "rows whose camera name contains gate; a bare word searches all text"),
    ("verdict:violation,pending", "any of several"),
    ("!app:tls rate:>1M", "not; more than; all terms must match"),
    ("host:/iot.*amazon/", "a pattern"),
    ("ip:10.20.0.0/24", "a network"),
)


# examples for panes with other fields than most
_FILTERS: dict[str, tuple[tuple[str, str], ...]] = {
    "comparison": (
        ("state:blocked,losing", "any of several"),
        ("!transport:tcp lost:>10", "not; more than; all terms must match"),
    ),
}
_STRIP_WORDS: dict[str, dict[Cell, str]] = {
    "comparison": {
        Cell.WELL: "all came", Cell.DAMAGED: "some were lost", Cell.DEAD: "none came",
        Cell.UNASKED: "nothing was sent", Cell.BLANK: "not capturing",
    },
}  # fmt: skip


def text(
    shown: Sequence[Key],
    width: int,
    glyphs: Glyphs,
    pane: str = "",
    fields: Sequence[str] = (),
) -> list[Line]:
    """All lines of the help.

    `pane`: the one where the help was opened; its states and columns are explained, and `fields`
    are its filter fields.
    """
    lines = [
        Pen(width, glyphs.ellipsis).put(" KEYS THAT WORK HERE", "head").line(),
        *_keys(shown, width, glyphs),
        Pen(width, glyphs.ellipsis).put(" MARKS", "head").line(),
        *(_mark(of, text, width, glyphs) for of, text in _MARKS),
    ]
    if pane not in _STRIP_WORDS:
        lines += _terms("WORDS", _WORDS, width, glyphs)
    if pane in _STATES:
        lines += _terms("STATES HERE", _STATES[pane], width, glyphs)
    lines += _terms("TIME STRIPS", _cells(glyphs, pane), width, glyphs, 3)
    if pane in _COLUMNS:
        lines += _terms("COLUMNS", _COLUMNS[pane], width, glyphs)
    if any(key.action == "filter" for key in shown):
        lines += _terms("FILTER", _FILTERS.get(pane, _FILTER), width, glyphs, 28)
        lines += _terms("", (("fields here", ", ".join(fields)),), width, glyphs)[1:]
    lines.append(
        Pen(width, glyphs.ellipsis)
        .put(" UNITS ", "head")
        .put(" rates bits/s (k M G: 1000), volumes bytes (K M G: 1024), `-` unknown")
        .line()
    )
    return lines


def page(
    lines: Sequence[Line], width: int, height: int, first: int, glyphs: Glyphs
) -> tuple[int, list[Line]]:
    """(first shown line, exactly `height` lines): from line `first` on, or the last ones."""
    room = height - 1
    first = max(0, min(first, len(lines) - room))
    out = list(lines[first : first + room])
    out.extend(Pen(width).line() for _ in range(room - len(out)))
    end = Pen(width, glyphs.ellipsis).put(" ").put("esc", "key").put(" back", "dim")
    if first + room < len(lines) or first:
        end.put("  ").put("up down PgUp PgDn", "key").put(" more", "dim")
        end.right(f"{first + 1}-{min(first + room, len(lines))} of {len(lines)} ", "dim")
    out.append(end.line())
    return first, out


def _cells(glyphs: Glyphs, pane: str) -> tuple[tuple[str, str], ...]:
    words = _STRIP_WORDS.get(pane) or {cell: cell.word for cell in Cell}
    return tuple((glyphs.cells[cell], words[cell]) for cell in reversed(Cell) if cell in words)


def _terms(
    title: str, terms: Sequence[tuple[str, str]], width: int, glyphs: Glyphs, indent: int = 14
) -> list[Line]:
    lines = [Pen(width, glyphs.ellipsis).put(f" {title}", "head").line()]
    for term, text in terms:
        pen = Pen(width, glyphs.ellipsis).put("   ").field(term, indent, "key").put(" ")
        parts = wrap(text, max(10, width - indent - 5))
        lines.append(pen.put(parts[0]).line())
        lines += [
            Pen(width, glyphs.ellipsis).put(" " * (indent + 4)).put(part).line()
            for part in parts[1:]
        ]
    return lines


def _keys(shown: Sequence[Key], width: int, glyphs: Glyphs) -> list[Line]:
    lines = []
    for key in shown:
        name = written(key)
        pen = Pen(width, glyphs.ellipsis).put("   ").field(name, 10, "key").put(" ")
        parts = wrap(key.help, max(10, width - 15))
        lines.append(pen.put(parts[0]).line())
        lines.extend(
            Pen(width, glyphs.ellipsis).put(" " * 14).put(part).line() for part in parts[1:]
        )
    return lines


def _mark(of: Look, text: str, width: int, glyphs: Glyphs) -> Line:
    pen = Pen(width, glyphs.ellipsis).put("   ").put(glyph(glyphs, of), role(of))
    return pen.put(" " * (11 - cells(glyph(glyphs, of)))).put(text).line()
