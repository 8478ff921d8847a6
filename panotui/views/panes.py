"""From all rows of a pane to the visible ones: port, filter, sort, page, follow.

Records in (a snapshot's tuples, or flows), one `Page` out. Sorting is stable, unknown values go to
the end in either direction. An invalid filter keeps all rows and returns an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from panotui.model import FlowRecord
from panotui.model.page import Fold, Page
from panotui.state.flows.folding import fold_records
from panotui.views.filter import FilterError, parse
from panotui.views.frames import View
from panotui.views.order import HeldOrders
from panotui.views.pane import Key
from panotui.views.subjects import BY_TYPE, follow_key, row_key

ROWS_MAX = 200
OVERVIEW_ROWS = 60  # of each kind on an overview; of cameras more on request

R = TypeVar("R")


def sort_key(record_type: type, column: str) -> Key | None:
    """The sort key for a column; None if the type has no such column."""
    pane = BY_TYPE.get(record_type)
    if pane is not None and column in pane.columns:
        return pane.columns[column]
    fields = getattr(record_type, "__struct_fields__", ())
    for name in (column, f"{column}_bps", f"{column}_ms", f"{column}_ns", f"{column}_time_ns"):
        if name in fields:
            return attrgetter(name)
    return None


def order(records: Sequence[R], record_type: type, column: str | None, reverse: bool) -> list[R]:
    """Rows in a view's order, ascending unless `reverse`; unknown values last either way.

    Without a column, or with an unknown one, the pane's own order is used.
    """
    key = None if column is None else sort_key(record_type, column)
    if key is None:
        pane = BY_TYPE.get(record_type)
        own = None if pane is None else pane.own
        rows = sorted(records, key=own) if own else list(records)
        return rows[::-1] if reverse else rows
    known = [(key(record), record) for record in records]
    having = [pair for pair in known if pair[0] is not None]
    lacking = [record for value, record in known if value is None]
    having.sort(key=lambda pair: _comparable(pair[0]), reverse=reverse)
    return [record for _, record in having] + lacking


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return (1, value.lower())
    if isinstance(value, tuple):
        return (2, len(value))
    return (0, value)


# ------------------------------------------------------------------ the page


def _of_port(records: Sequence[R], port: str | None) -> Sequence[R]:
    if port is None:
        return records
    return [
        r
        for r in records
        if getattr(r, "port", None) == port
        or getattr(r, "port_in", None) == port
        or getattr(r, "subject", None) == port
        or not isinstance(getattr(r, "port", None), str | None)
    ]


def page(
    records: Sequence[R], record_type: type, view: View, held: HeldOrders | None = None
) -> Page[R]:
    """The rows of `records` that `view` shows; `held` has the orders held by screens."""
    chosen, error = matching(records, record_type, view)
    ordered = order(chosen, record_type, view.sort, view.reverse)
    if view.order is not None and held is not None:
        ordered = held.of(view.order, ordered, row_key)
    return window(ordered, len(records), view, error)


def matching(records: Sequence[R], record_type: type, view: View) -> tuple[Sequence[R], str | None]:
    """The rows of the view's port that pass its filter, and the error of the filter."""
    chosen: Sequence[R] = _of_port(records, view.port)
    if view.filter.strip():
        try:
            return parse(view.filter).select(chosen, record_type), None
        except FilterError as problem:
            return chosen, str(problem)
    return chosen, None


def flow_rows(flows: Sequence[FlowRecord], view: View) -> Page[FlowRecord]:
    """Filtered flow rows: port, order, merged if the view asks for it."""
    ordered = order(_of_port(flows, view.port), FlowRecord, view.sort, view.reverse)
    folds: dict[str, Fold] = {}
    if view.fold:
        ordered, folds = fold_records(ordered)
    shown = window(ordered, len(flows), view, None)
    visible = {row.id for row in shown.rows}
    return replace(shown, folds={key: fold for key, fold in folds.items() if key in visible})


def window(ordered: Sequence[R], total: int, view: View, error: str | None) -> Page[R]:
    """The visible part of sorted rows."""
    rows = max(0, min(view.rows, ROWS_MAX))
    first = max(0, min(view.first, len(ordered) - max(rows, 1)))
    follow_row = None
    if view.follow is not None:
        follow_row = next(
            (
                number
                for number, record in enumerate(ordered)
                if view.follow in (row_key(record), follow_key(record))
            ),
            None,
        )
    return Page(tuple(ordered[first : first + rows]), total, len(ordered), first, follow_row, error)
