"""What a pane is: one record says all that views know of a kind of thing.

A new pane is a `Pane` in a file of its own, named in `subjects`, with a field for its rows in
`frames` and a table in `tui/pages`.
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
    """A kind of thing: its rows, what names one, how they are ordered, and its detail."""

    kind: str  # before the colon of `View.detail`: "flow" in "flow:0-17"
    record: type
    rows: Callable[[Snapshot], Sequence[Any]]
    key: Callable[[Any], str]  # what names a row across frames; after the colon of `View.detail`
    detail: DetailMaker
    name: str = ""  # of the pane; empty: shown among others only, in no pane of its own
    rows_in: str = ""  # the field of `Frame` that has the pane's rows
    short: str = ""  # its word where there is little room
    own: Key | None = None  # the pane's own order; None: as the rows come
    columns: Mapping[str, Key] = field(default_factory=dict)  # to sort by, beside fields
    # what the filter knows a row by: values by field, and the fields that a bare word looks through
    fields: Mapping[str, Callable[[Any], Sequence[Any]]] = field(default_factory=dict)
    words: Sequence[str] = ()
    alone: bool = False  # of a screen that has this pane only
    slim: Callable[[Any], Any] = lambda row: row  # a row without what only its detail shows
