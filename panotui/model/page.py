"""The visible part of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct, field

R = TypeVar("R")


class Fold(NamedTuple):
    """Several flows behind one row."""

    kind: str  # "dns": questions to one resolver; "scan": unanswered connections of one source
    flows: int


class Page(Struct, Generic[R], frozen=True):
    """The visible rows of a pane and where they are among all."""

    rows: tuple[R, ...]
    total: int  # before the filter
    matched: int  # and after it
    first: int  # number of the first row
    follow_row: int | None  # number of the row that was asked to be followed
    filter_error: str | None = None  # why the filter was not used
    folds: Mapping[str, Fold] = field(default_factory=dict)  # by id of the row
