"""The line of each field of a TOML text: field path in, 1-based line out.

`tomllib` gives values without positions; a message about a bad value should still name its line.
The scanner reads a text that `tomllib` has already accepted, so it only distinguishes keys,
strings, brackets and comments.
"""

from __future__ import annotations

import tomllib
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]


def line_map(text: str) -> dict[Path, int]:
    """Line of every table, key and array element of a valid TOML text.

    A path is made of keys and of 0-based positions in arrays: `("camera", 1, "address")`.
    """
    return _Scanner(text).run()


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of `path`, or of the nearest enclosing element; 1 for an empty file."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # elements of each array of tables so far

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while True:
            self._blank(newlines=True)
            if self.at >= len(self.text):
                return self.lines
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text[self.at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _blank(self, *, newlines: bool) -> None:
        """Skip blanks and comments (and line ends)."""
        space = " \t\r\n" if newlines else " \t"
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in space:
                self.at += 1
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def _header(self, brackets: int) -> Path:
        line = self._line()
        self.at += brackets
        path = self._inside(self._key())
        self._blank(newlines=False)
        self.at += brackets
        if brackets == 2:
            index = self.counts.get(path, 0)
            self.counts[path] = index + 1
            path = (*path, index)
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        return path

    def _inside(self, key: tuple[str, ...]) -> Path:
        """A header's path: keys after an array of tables belong to its newest element."""
        path: Path = ()
        for position, part in enumerate(key):
            path = (*path, part)
            if position < len(key) - 1 and path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def _key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self._blank(newlines=False)
            if self.text[self.at] in "\"'":
                start = self.at
                self._string()
                parts.append(_unquote(self.text[start : self.at]))
            else:
                start = self.at
                while self.at < len(self.text) and self.text[self.at] not in " \t\r\n.=]":
                    self.at += 1
                parts.append(self.text[start : self.at])
            self._blank(newlines=False)
            if self.at < len(self.text) and self.text[self.at] == ".":
                self.at += 1
            else:
                return tuple(parts)

    def _pair(self, table: Path) -> None:
        line = self._line()
        path: Path = (*table, *self._key())
        for length in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        self._blank(newlines=False)
        self.at += 1  # "="
        self._blank(newlines=False)
        self._value(path)

    def _value(self, path: Path) -> None:
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while True:
            self._blank(newlines=True)
            if self.text[self.at] == "]":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while True:
            self._blank(newlines=True)
            if self.text[self.at] == "}":
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path)

    def _string(self) -> None:
        quote = self.text[self.at]
        triple = quote * 3
        if self.text.startswith(triple, self.at):
            self.at += 3
            end = self.at
            while True:
                if quote == '"' and self.text[end] == "\\":
                    end += 2
                elif self.text.startswith(triple, end):
                    break
                else:
                    end += 1
            self.at = end + 3
            while self.at < len(self.text) and self.text[self.at] == quote:
                self.at += 1  # up to two quotes may stand before the closing three
            return
        self.at += 1
        while self.text[self.at] != quote:
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += 1


def _unquote(raw: str) -> str:
    value = tomllib.loads(f"k = {raw}")["k"]
    return str(value)
