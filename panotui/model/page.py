"""The visible part of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from msgspec import Struct, field

R = TypeVar("R")


class Fold(NamedTuple):
    """Several flows shown as one row."""

    kind: str  # "dns": questions to one resolver; "scan": unanswered connections of one source
    flows: int


class Page(Struct, Generic[R], frozen=True):
    """The visible rows of a pane, and their position in the whole list."""

    rows: tuple[R, ...]
    total: int  # before the filter
    matched: int  # after the filter
    first: int  # number of the first row
    follow_row: int | None  # number of the row that the screen asked to follow
    filter_error: str | None = None  # why the filter was rejected
    folds: Mapping[str, Fold] = field(default_factory=dict)  # by id of the row
