"""The visible part of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """The visible rows of a pane and where they are among all."""

    rows: tuple[R, ...]
    total: int  # before the filter
    matched: int  # and after it
    first: int  # number of the first row
    follow_row: int | None  # number of the row that was asked to be followed
    filter_error: str | None = None  # why the filter was not used
