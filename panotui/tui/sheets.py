"""Finds the style sheets, whether the program is installed, editable or run from its source tree.

A sheet's name comes in, its path goes out. A wheel carries the sheets as `panotui/styles/`; the
source tree has them as `styles/` beside the package.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "styles", _PACKAGE.parent / "styles")


def sheet(name: str) -> Path:
    """The path of `NAME.tcss`; FileNotFoundError if this installation lacks it."""
    for folder in _FOLDERS:
        path = folder / f"{name}.tcss"
        if path.is_file():
            return path
    places = ", ".join(map(str, _FOLDERS))
    raise FileNotFoundError(f"style sheet {name}.tcss is in none of {places}")
