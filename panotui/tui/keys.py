"""Every key of the screen as data: where it works, its action, its word in the footer and the help.

`actions_at` returns the keys that work at one place; the footer, the help and the key handler all
use it, so that they never differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from panotui.views.subjects import PANES

# Where a key works.
PANE = "pane"  # any pane
TABLE = "table"  # panes that are tables
DETAIL = "detail"
LIVE = "live"  # not in a review
REVIEW = "review"
MARKABLE = "markable"  # something that can be marked as known is under the cursor, or open
LINKS = "links"  # a detail with links to open
VIOLATION = "violation"  # the cursor is on a violation, or its detail is open
OVERVIEW = "overview"
PACKETS = "packets"  # something with packets that may have been kept
STRIPED = "striped"  # a pane with time strips, or a review's time line above it
FLOWS = "flows"  # the pane of flows
FROZEN, RUNNING = "frozen", "running"  # the picture; in a review: whether it plays
LOST = "lost"  # the recorder is gone and is being reconnected


class Key(Struct, frozen=True):
    keys: tuple[str, ...]  # Textual's names, or the character
    action: str
    label: str  # the footer's word
    help: str
    where: tuple[str, ...] = ()  # conditions that must all hold; empty: everywhere
    show: str = ""  # the key in the footer and the help; default: the first one
    footer: int = 0  # the order in the footer, 0: only in the help


KEYS: tuple[Key, ...] = (
    Key(("q",), "back", "quit", "quit (a recorder keeps recording)", (PANE,), footer=90),
    Key(("q",), "back", "back", "back to the pane", (DETAIL,), footer=90),
    Key(("Q",), "quit-leaving", "quit and leave", "quit, and leave this picture in the terminal"),
    Key(("ctrl+c",), "interrupt", "end", "end at once", show="Ctrl-C"),
    Key(("?", "f1"), "help", "help", "this help", footer=80),
    Key(tuple(str(number) for number in range(1, len(PANES) + 1)), "pane", "panes",
        ", ".join(PANES), show=f"1-{len(PANES)}"),
    Key(("tab",), "next-pane", "next", "next pane (shift+tab: previous)", (PANE,)),
    Key(("shift+tab", "backtab"), "previous-pane", "previous", "previous pane", (PANE,),
        show="shift+tab"),
    Key(("down", "j"), "down", "down", "one row down, or one line of a detail", show="down j"),
    Key(("up", "k"), "up", "up", "one row up", show="up k"),
    Key(("left", "h"), "left", "left", "to the item on the left", show="left h"),
    Key(("right", "l"), "right", "right", "to the item on the right", show="right l"),
    Key(("pagedown", "ctrl+f"), "page-down", "page", "one page down", show="PgDn"),
    Key(("pageup", "ctrl+b"), "page-up", "page", "one page up", show="PgUp"),
    Key(("g", "home"), "top", "top", "to the top", show="g Home"),
    Key(("G", "end"), "bottom", "bottom", "to the end", show="G End"),
    Key(("enter",), "open", "open", "open the detail of the line under the cursor", (PANE,),
        footer=10),
    Key(("enter",), "open", "open", "open the link chosen in the last line (left and right choose)",
        (DETAIL, LINKS), footer=10),
    Key(("escape",), "back", "back", "back to the pane", (DETAIL,), show="esc", footer=5),
    Key(("escape",), "clear", "clear", "clear the message, the filter or the time cursor", (PANE,),
        show="esc"),
    Key(("f",), "open-flow", "flow", "open the flow behind this", (DETAIL, LINKS), footer=20),
    Key(("/",), "filter", "filter",
        "filter rows: key:value terms, !term, /pattern/; enter keeps, esc clears", (TABLE,),
        footer=29),
    Key(("s",), "sort", "sort", "sort by the next column", (TABLE,), footer=30),
    Key(("S",), "reverse", "reverse", "reverse the order", (TABLE,), footer=34),
    Key(("p",), "port", "port", "show one port's rows, then the other's, then all", (PANE,),
        footer=40),
    Key(("r",), "reattach", "try now", "try to reach the recorder again now", (LOST,), footer=1),
    Key(("r",), "reset", "reset", "reset the pane: no filter, default order, all ports", (PANE,)),
    Key(("space",), "freeze", "freeze",
        "freeze this moment in all panes; the capture continues", (LIVE, RUNNING), footer=38),
    Key(("space",), "freeze", "resume", "back to the present", (LIVE, FROZEN), footer=3),
    Key(("m",), "known", "mark known", "mark as known, or remove the mark", (MARKABLE,),
        footer=25),
    Key(("a",), "accept", "accept", "accept this violation into the site file (u: undo)",
        (VIOLATION,), footer=27),
    Key(("a",), "fold", "all", "show every flow, or fold DNS and scans again", (FLOWS,),
        footer=36),
    Key(("u",), "undo", "undo", "undo the last acceptance", (VIOLATION,)),
    Key(("y",), "copy", "copy", "copy the line or the detail to the clipboard (OSC 52)",
        footer=45),
    Key(("w",), "save-packets", "save packets",
        "save the packets that prove this as pcapng; then y copies a tshark command for them",
        (PACKETS,), footer=24),
    Key(("e",), "export", "export", "export the detail, or the table", footer=50),
    Key(("t",), "strips", "time", "show only the time strips, or the overview again",
        (OVERVIEW, LIVE), footer=32),
    Key(("o",), "hold-order", "hold order", "keep rows where they are, or sort them again",
        (TABLE,), footer=37),
    Key(("n",), "names", "names", "show names, addresses, or both"),
    Key(("b",), "units", "bits", "show rates in bits/s or bytes/s"),
    Key(("T",), "times", "times", "show local times, ages, or UTC"),
    Key(("x",), "private", "mask", "mask names and addresses for screenshots, or show them again"),
    Key(("[",), "cursor-back", "moment", "time strips: one cell back, with what was open then",
        (OVERVIEW, LIVE), show="[ ]", footer=33),
    Key(("]",), "cursor-on", "moment", "time strips: one cell forward", (OVERVIEW, LIVE)),
    Key(("+", "="), "zoom-in", "zoom", "time strips: shorter cells (-: longer)", (STRIPED,),
        show="+ -", footer=53),
    Key(("-",), "zoom-out", "zoom", "time strips: longer cells", (STRIPED,)),
    Key(("v",), "beside", "beside", "show or hide the detail beside the list", (PANE,)),
    Key(("[",), "step-back", "step", "10 s back", (REVIEW,), show="[ ]",
        footer=21),
    Key(("]",), "step-on", "step", "10 s forward", (REVIEW,)),
    Key(("{",), "leap-back", "leap", "10 min back", (REVIEW,), show="{ }"),
    Key(("}",), "leap-on", "leap", "10 min forward", (REVIEW,)),
    Key(("<",), "previous-event", "event", "to the previous event", (REVIEW,), show="< >",
        footer=22),
    Key((">",), "next-event", "event", "to the next event", (REVIEW,)),
    Key(("(",), "find-previous", "find",
        "to the previous event of the whole recording that matches the filter", (REVIEW,),
        show="( )"),
    Key((")",), "find-next", "find", "to the next event that matches the filter", (REVIEW,)),
    Key((",",), "slower", "speed", "half the speed", (REVIEW,), show=", .", footer=56),
    Key((".",), "faster", "speed", "twice the speed", (REVIEW,)),
    Key(("c",), "compare", "compare",
        "remember this moment; press again to see what has changed since", (REVIEW,), footer=60),
    Key(("space",), "play", "play", "play from here", (REVIEW, FROZEN), footer=23),
    Key(("space",), "play", "pause", "pause here", (REVIEW, RUNNING), footer=23),
    Key((":",), "command", "command",
        "run a command by name; in a review also go to a time (03:14)", footer=75),
    Key(("ctrl+l",), "redraw", "redraw", "draw the whole screen again", show="Ctrl-L"),
    Key(("ctrl+z",), "suspend", "suspend", "suspend to the shell (fg returns)", show="Ctrl-Z"),
)  # fmt: skip


def keys_at(place: frozenset[str], keymap: Sequence[Key] = KEYS) -> list[Key]:
    """The keys that work where all of their conditions hold."""
    return [key for key in keymap if all(where in place for where in key.where)]


def action_of(pressed: str, place: frozenset[str], keymap: Sequence[Key] = KEYS) -> str | None:
    """The action of a key at a place; None without one."""
    for key in keys_at(place, keymap):
        if pressed in key.keys:
            return key.action
    return None


def remapped(own: Mapping[str, Sequence[str]]) -> tuple[Key, ...]:
    """The keys with the user's own ones instead of the defaults, by action."""
    return tuple(
        replace(key, keys=tuple(own[key.action]), show="") if key.action in own else key
        for key in KEYS
    )


def clashes(own: Mapping[str, Sequence[str]]) -> list[str]:
    """Conflicts of the user's keys with other actions, one line each."""
    found = []
    for action, given in own.items():
        for pressed in given:
            others = {
                key.action for key in remapped(own) if pressed in key.keys and key.action != action
            }
            places = [set(key.where) for key in KEYS if key.action == action]
            for other in sorted(others):
                theirs = [set(key.where) for key in KEYS if key.action == other]
                if any(not _apart(a, b) for a in places for b in theirs):
                    found.append(f"{pressed} does {action} and {other}; the first one counts")
    return found


_APART = ((PANE, DETAIL), (TABLE, DETAIL), (OVERVIEW, DETAIL), (LIVE, REVIEW), (OVERVIEW, TABLE),
          (OVERVIEW, FLOWS))  # fmt: skip


def _apart(a: set[str], b: set[str]) -> bool:
    """Whether two keys never work in the same place."""
    return any((x in a and y in b) or (y in a and x in b) for x, y in _APART)


def written(key: Key) -> str:
    return key.show or key.keys[0]
