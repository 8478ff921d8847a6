"""Completion of a filter while it is typed, and the position of an error in it.

The text, the pane's record type and the visible rows come in; candidates for the word at the cursor
(fields, existing values, earlier filters), or the position of the error, go out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from panotui.views.filter import KEYS, FilterError, parse

CANDIDATES_MAX = 40
SAVED_MAX = 20
_WORD = re.compile(r"\S+")
_VALUE = re.compile(r"[\w.:/+-]+\Z")


class Candidates(Struct, frozen=True):
    """Words for [start, stop) of the text."""

    start: int
    stop: int
    words: tuple[str, ...]


class Fault(Struct, frozen=True):
    start: int
    stop: int
    text: str


def fault(text: str, record: type | None) -> Fault | None:
    """The first invalid word, and the error; the whole text if it is no single word."""
    try:
        found = parse(text)
        if record is not None:
            found.predicate(record)
    except FilterError as error:
        for word in _WORD.finditer(text):
            try:
                single = parse(word[0])
                if record is not None:
                    single.predicate(record)
            except FilterError as why:
                return Fault(word.start(), word.end(), str(why))
        return Fault(0, len(text), str(error))
    return None


def candidates(
    text: str, at: int, record: type | None, rows: Iterable[Any], saved: Sequence[str]
) -> Candidates:
    """Candidates for the word at the cursor."""
    if not text.strip():
        return Candidates(0, len(text), tuple([*saved, *_fields(record, "")][:CANDIDATES_MAX]))
    start = max(text.rfind(" ", 0, at) + 1, 0)
    word = text[start:at]
    negated = word.startswith("!")
    body = word[1:] if negated else word
    sign = "!" if negated else ""
    key, colon, value = body.partition(":")
    if not colon:
        words = [f"{sign}{name}" for name in _fields(record, key.lower())]
    else:
        *before, part = value.split(",")
        lead = f"{sign}{key}:" + "".join(f"{done}," for done in before)
        words = [f"{lead}{found}" for found in _values(record, key.lower(), part, rows)]
    return Candidates(start, at, tuple(words[:CANDIDATES_MAX]))


def _fields(record: type | None, begun: str) -> list[str]:
    keys = KEYS.get(record, {}) if record is not None else {}
    return [f"{name}:" for name in keys if name.startswith(begun)]


def _values(record: type | None, key: str, part: str, rows: Iterable[Any]) -> list[str]:
    """Values of a field among the visible rows, the most frequent first."""
    fields = KEYS.get(record, {}) if record is not None else {}
    if key not in fields:
        return []
    seen: dict[str, int] = {}
    for row in rows:
        if type(row) is not record:
            continue
        for value in fields[key](row):
            text = str(value) if isinstance(value, str | int) else ""
            if text and _VALUE.match(text) and text.lower().startswith(part.lower()):
                seen[text] = seen.get(text, 0) + 1
    return sorted(seen, key=lambda text: (-seen[text], text))


def common(words: Sequence[str]) -> str:
    """The common prefix of all words."""
    first, last = min(words), max(words)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]
