"""Text measured in terminal cells: wide characters count two, combining marks none.

Printable text (`wire.text.printable`) comes in, text of at most, or exactly, a number of cells goes
out. Names are shortened in the middle, because the end of a host name or an address distinguishes
it from its neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

_UNITS = frozenset((
    "B", "KiB", "MiB", "GiB", "b/s", "kb/s", "Mb/s", "Gb/s", "us", "ms", "s", "min", "h", "d", "%",
))  # fmt: skip


def width(text: str) -> int:
    """Cells that `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def cut_middle(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells` cells, its middle replaced by `ellipsis` when it is longer.

    With little room the tail gets the larger half, otherwise two fifths: the beginning of a long
    host name says more than `amazonaws.com`.
    """
    if width(text) <= cells:
        return text
    if cells <= 0:
        return ""
    if cells <= width(ellipsis) + 1:
        return _head(text, cells)
    room = cells - width(ellipsis)
    tail = room - room // 2 if room < 16 else room * 2 // 5
    return _head(text, room - tail) + ellipsis + _tail(text, tail)


def cut_end(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells` cells, its end replaced; for sentences, never for names."""
    if width(text) <= cells:
        return text
    if cells <= width(ellipsis):
        return _head(text, cells)
    return _head(text, cells - width(ellipsis)) + ellipsis


@lru_cache(maxsize=64)
def distinct(names: tuple[str, ...], cells: int, ellipsis: str = "…") -> Mapping[str, str]:
    """Each of `names` in at most `cells` cells, so that siblings still differ if possible.

    Names that would be equal when shortened in the middle are cut once, beside the part that
    distinguishes them: `building-0-floor-2-west` becomes `b…0-floor-2-west`, or `building-0…west`.
    """
    short = {name: cut_middle(name, cells, ellipsis) for name in names}
    alike: dict[str, list[str]] = defaultdict(list)
    for name, cut in short.items():
        alike[cut].append(name)
    group = [name for names_alike in alike.values() if len(names_alike) > 1 for name in names_alike]
    if not group:
        return short
    prefix = _in_common(group)
    suffix = _in_common([name[::-1] for name in group])
    beside = {
        name: _cut_beside(name, prefix, max(prefix + 1, len(name) - suffix), cells, ellipsis)
        for name in group
    }
    if len(set(beside.values())) == len(group):
        return short | beside
    # too narrow for the whole distinguishing part: its beginning and its end, with one cut between
    return short | {name: _both_ends(name, prefix, suffix, cells, ellipsis) for name in group}


def _both_ends(name: str, prefix: int, suffix: int, cells: int, ellipsis: str) -> str:
    core = name[prefix : max(prefix + 1, len(name) - suffix)]
    return cut_middle(core, cells, ellipsis)


def _cut_beside(name: str, start: int, stop: int, cells: int, ellipsis: str) -> str:
    """`name` cut once, so that characters `start` to `stop` stay: cut before them, after, or
    around.
    """
    room = cells - width(ellipsis)
    if width(name[start:]) <= room:  # the cut is before them
        tail = name[start:]
        return _head(name, room - width(tail)) + ellipsis + tail
    if width(name[:stop]) <= room:  # after
        head = name[:stop]
        return head + ellipsis + _tail(name, room - width(head))
    return ellipsis + _head(name[start:], room)


def _in_common(names: list[str]) -> int:
    """The length of the common prefix."""
    first, last = min(names), max(names)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return same


def fit(text: str, cells: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """`text` in exactly `cells` cells: shortened in the middle, or padded at the free side."""
    cut = cut_middle(text, cells, ellipsis)
    blanks = " " * (cells - width(cut))
    return blanks + cut if right else cut + blanks


def _head(text: str, cells: int) -> str:
    if text.isascii():
        return text[:cells]
    taken = ""
    used = 0
    for character in text:
        used += cell_len(character)
        if used > cells:
            break
        taken += character
    return taken


def _tail(text: str, cells: int) -> str:
    if text.isascii():
        return text[len(text) - cells :]
    start = len(text)
    used = 0
    for index in range(len(text) - 1, -1, -1):
        used += cell_len(text[index])
        if used > cells:
            break
        if cell_len(text[index]):  # a combining mark never starts the tail
            start = index
    return text[start:]


def exactly(text: str, cells: int) -> str:
    """`text` cropped or padded at its end to `cells` cells; half a wide character is a blank."""
    if text.isascii():
        return text[:cells] if len(text) >= cells else text + " " * (cells - len(text))
    return set_cell_size(text, cells)


def _broken(word: str, cells: int) -> str:
    """The beginning of a long word: up to its last slash or comma that fits, or as much as fits."""
    head = _head(word, cells)
    stop = max(head.rfind(mark) for mark in "/,;&?") + 1
    return head[:stop] if 3 * stop > len(head) and not head[:stop].endswith("//") else head


def _words(text: str, cells: int) -> list[str]:
    """The words of `text`; a number and its unit are one, where a line has room for both."""
    words: list[str] = []
    for word in text.split(" "):
        unit = word.rstrip(".,:;)") in _UNITS and words and words[-1][-1:].isdigit()
        if unit and width(words[-1]) + 1 + width(word) <= cells:
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def wrap(text: str, cells: int) -> list[str]:
    """`text` in lines of at most `cells` cells, broken at spaces, in a long word only if
    necessary.
    """
    lines: list[str] = []
    line = ""
    for word in _words(text, cells):
        while width(word) > cells > 0:
            if line:
                lines.append(line)
                line = ""
            head = _broken(word, cells) or word[:1]
            lines.append(head)
            word = word[len(head) :]
        if not line:
            line = word
        elif width(line) + 1 + width(word) <= cells:
            line += " " + word
        else:
            lines.append(line)
            line = word
    if line or not lines:
        lines.append(line)
    return lines
