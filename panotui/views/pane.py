"""The definition of a pane: one record describes a kind of thing to all views.

A new pane is a `Pane` in its own file, listed in `subjects`, with a field for its rows in `frames`
and a table in `tui/pages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct, field

from panotui.model import Snapshot
from panotui.views.frames import Detail
from panotui.views.state import State

Key: TypeAlias = Callable[[Any], Any]
DetailMaker: TypeAlias = Callable[[str, Any, State, Snapshot], Detail]


class Pane(Struct, frozen=True):
    """A kind of thing: its rows, their key, their order, and its detail."""

    kind: str  # before the colon of `View.detail`: "flow" in "flow:0-17"
    record: type
    rows: Callable[[Snapshot], Sequence[Any]]
    key: Callable[[Any], str]  # key of a row across frames; after the colon of `View.detail`
    detail: DetailMaker
    name: str = ""  # of the pane; empty: shown only among others, without a pane of its own
    rows_in: str = ""  # the field of `Frame` with the pane's rows
    short: str = ""  # short title for little room
    own: Key | None = None  # the pane's own order; None: as the rows come
    columns: Mapping[str, Key] = field(default_factory=dict)  # columns to sort by, besides fields
    # values of a row for the filter: by field, and the fields that a bare word searches
    fields: Mapping[str, Callable[[Any], Sequence[Any]]] = field(default_factory=dict)
    words: Sequence[str] = ()
    alone: bool = False  # only of a screen that has this pane
    slim: Callable[[Any], Any] = lambda row: row  # a row without the parts shown only in its detail
