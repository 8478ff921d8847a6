"""The command line behind `:`: every action by its name, with its arguments and their
validation.

The typed text comes in, an `Order` or an error goes out. In a review a time of day (`03:14`,
`03:14:07`) is also an order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta, tzinfo

from msgspec import Struct

from panotui.model import SECOND
from panotui.tui.keys import Key
from panotui.tui.quantities import moment
from panotui.views.frames import ReviewState
from panotui.views.subjects import PANES


class Order(Struct, frozen=True):
    name: str
    text: str = ""
    value: float = 0.0
    time_ns: int = 0


class Word(Struct, frozen=True):
    name: str
    takes: str
    help: str


WORDS: tuple[Word, ...] = (
    *(Word(pane, "", f"show the {pane} pane") for pane in PANES),
    Word("sort", "COLUMN", "sort the table by a column"),
    Word("reverse", "", "reverse the order"),
    Word("filter", "TERMS", "filter the table, or show all rows"),
    Word("columns", "TITLES", "show only these columns (A,B), or all"),
    Word("port", "NAME", "show only this port, or all"),
    Word("freeze", "", "freeze the picture, or return to the present"),
    Word("rate", "1-4", "pictures a second"),
    Word("mark", "NOTE", "put a note at this time into the recording"),
    Word("known", "", "mark what is under the cursor as known, or remove the mark"),
    Word("accept", "", "accept the violation into the site file"),
    Word("undo", "", "undo the last acceptance"),
    Word("copy", "", "copy to the clipboard"),
    Word("export", "", "export the detail or the table"),
    Word("save", "", "save the packets that prove this, as pcapng"),
    Word("fold", "", "show every flow, or fold DNS and scans again"),
    Word("beside", "", "show or hide the detail beside the list"),
    Word("time", "", "show only the time strips, or the overview again"),
    Word("zoom-in", "", "time strips: shorter cells"),
    Word("zoom-out", "", "time strips: longer cells"),
    Word("order", "", "keep rows where they are, or sort them again"),
    Word("names", "", "show names, addresses, or both"),
    Word("units", "", "show rates in bits/s or bytes/s"),
    Word("clock", "", "show local times, ages, or UTC"),
    Word("mask", "", "mask names and addresses for screenshots, or show them again"),
    Word("reset", "", "reset the pane: no filter, default order, all ports"),
    Word("redraw", "", "draw the whole screen again"),
    Word("compare", "", "remember this moment; again: show what has changed since (review)"),
    Word(
        "spans",
        "FROM-TO [DAYS]",
        "22:00-06:00: compare this time span with the same a day (or DAYS) earlier (review)",
    ),
    Word("play", "", "play, pause (review)"),
    Word("goto", "TIME", "go to a time of day (review)"),
    Word("speed", "N", "play at N times real time (review)"),
    Word("ascii", "", "draw with ASCII characters, or with Unicode again"),
    Word("help", "", "the keys that work here"),
    Word("leave", "", "quit, and leave this picture in the terminal"),
    Word("quit", "", "quit"),
)
# descriptions of words that differ from the key's action
ACTIONS = {
    "leave": "quit-leaving", "quit": "back", "save": "save-packets", "time": "strips",
    "mask": "private",
    "order": "hold-order", "units": "units", "names": "names", "clock": "times",
    "zoom-in": "zoom-in", "zoom-out": "zoom-out",
}  # fmt: skip
_NAMES = {word.name: word for word in WORDS}
_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})(?:\s+(\d{1,3}))?\Z")
A_TIME = "a time is 03:14 or 03:14:07"
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\Z")


def matching(text: str) -> list[Word]:
    """The words that begin with the typed text."""
    name, space, _ = text.strip().partition(" ")
    if space and name in _NAMES:
        return [_NAMES[name]]
    return [word for word in WORDS if word.name.startswith(name)]


_ALWAYS = frozenset((*PANES, "sort", "reverse", "filter", "port", "rate", "mark", "columns",
                     "ascii", "help", "quit", "copy", "names", "units", "clock", "mask",
                     "redraw"))  # fmt: skip
_IN_REVIEW = frozenset({"goto", "speed", "compare", "spans", "play"})


def listed(text: str, working: Sequence[Key]) -> list[Word]:
    """The commands that work here: those that begin with the typed text, then those that have it in
    their name or help.
    """
    actions = {key.action for key in working}
    here = [
        word
        for word in WORDS
        if word.name in _ALWAYS
        or ACTIONS.get(word.name, word.name) in actions
        or (word.name in _IN_REVIEW and "step-back" in actions)
    ]
    typed = text.strip().lower()
    name = typed.partition(" ")[0]
    begin = [word for word in here if word.name.startswith(name)]
    within = [w for w in here if w not in begin and (typed in w.name or typed in w.help.lower())]
    return [*begin, *within]


def completed(text: str) -> str:
    """The typed text, completed as far as it is unambiguous."""
    words = matching(text)
    if not words or " " in text.strip():
        return text
    if len(words) == 1:
        return words[0].name + (" " if words[0].takes else "")
    common = words[0].name
    for word in words[1:]:
        while not word.name.startswith(common):
            common = common[:-1]
    return common


def read(
    text: str,
    review: ReviewState | None,
    zone: tzinfo | None,
    sorts: Sequence[str],
    ports: Sequence[str],
) -> Order | str:
    """The order in `text`, or one line with the error."""
    text = text.strip()
    if _TIME.match(text):
        text = f"goto {text}"
    name, _, rest = text.partition(" ")
    rest = rest.strip()
    found = matching(name)
    if name not in _NAMES and len(found) == 1:
        name = found[0].name
    if name not in _NAMES:
        if found:
            return "which: " + ", ".join(word.name for word in found[:6]) + "?"
        return A_TIME if name[:1].isdigit() else f"unknown command {name[:20]}"
    return _checked(name, rest, review, zone, sorts, ports)


def _checked(
    name: str,
    rest: str,
    review: ReviewState | None,
    zone: tzinfo | None,
    sorts: Sequence[str],
    ports: Sequence[str],
) -> Order | str:
    if name == "sort" and rest not in sorts:
        return "sort by " + ", ".join(sorts) if sorts else "this pane has its own order"
    if name == "port" and rest and rest not in ports:
        return "ports are " + ", ".join(ports) if ports else "no port is known yet"
    if name == "mark" and not rest:
        return "mark what? e.g. mark switched the PoE injector"
    if name in ("rate", "speed"):
        try:
            value = float(rest)
        except ValueError:
            return f"{name} takes a number"
        if name == "rate" and not 1 <= value <= 4:
            return "rate is 1 to 4 pictures a second"
        if name == "speed" and not 0.1 <= value <= 10_000:
            return "speed is 0.1 to 10000"
        return Order(name, rest, value)
    if name in ("goto", "speed", "spans") and review is None:
        return "this is not a review: only the present is available"
    if name == "goto":
        assert review is not None
        return _goto(rest, review, zone)
    if name == "spans":
        assert review is not None
        return _spans(rest, review, zone)
    if rest and not _NAMES[name].takes:
        return f"{name} takes nothing more"
    return Order(name, rest)


def _goto(text: str, review: ReviewState, zone: tzinfo | None) -> Order | str:
    match = _TIME.match(text)
    if match is None:
        return A_TIME
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return "there is no such time of day"
    start = moment(review.start_ns, zone)
    target = start.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if target < start.replace(microsecond=0):
        target += timedelta(days=1)  # a night's recording: the hour after midnight
    time_ns = int(target.timestamp()) * SECOND
    if time_ns > review.end_ns:
        return "that is after the end of the recording"
    return Order("goto", text, time_ns=max(time_ns, review.start_ns))


def _spans(text: str, review: ReviewState, zone: tzinfo | None) -> Order | str:
    """The last span of these times of day that had begun at the review's position."""
    match = _SPAN.match(text)
    if match is None:
        return "two spans are spans 22:00-06:00, or spans 22:00-06:00 7 for a week before"
    hours = [int(match[1]), int(match[3])]
    minutes = [int(match[2]), int(match[4])]
    back = int(match[5] or 1)
    if max(hours) > 23 or max(minutes) > 59 or not 1 <= back <= 366:
        return "there are no such times of day"
    # without a zone, as on the screen: each time has the offset that this machine gives it
    here = moment(review.position_ns, zone).replace(tzinfo=None)
    start = here.replace(hour=hours[0], minute=minutes[0], second=0, microsecond=0)
    if start >= here:
        start -= timedelta(days=1)
    end = start.replace(hour=hours[1], minute=minutes[1])
    if end <= start:
        end += timedelta(days=1)
    # by the calendar: with a clock change, a night is an hour longer
    begins, ends, before = (
        int(at.replace(tzinfo=zone).timestamp())
        for at in (start, end, start - timedelta(days=back))
    )
    if before + ends - begins <= review.start_ns / SECOND:
        return "nothing was recorded at that time"
    key = f"spans:{begins}/{ends}/{before}"
    return Order("spans", key)
