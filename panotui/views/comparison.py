"""Frames of a comparison of two captures: all data is there from the start, nothing changes."""

from __future__ import annotations

from pathlib import Path

from panotui.errors import PanotuiError
from panotui.model import SiteRecord
from panotui.model.comparison import BothSides, Comparison
from panotui.state.both_sides import both_sides
from panotui.views.export import write_detail, write_table
from panotui.views.frames import Answer, Command, Detail, Done, Frame, Header, View
from panotui.views.order import HeldOrders
from panotui.views.panes import page
from panotui.views.passages import PANE, passage_detail
from panotui.wire.text import printable


class ComparisonSource:
    """Answers a screen, like a collector."""

    def __init__(self, found: Comparison, export_folder: Path) -> None:
        self._rows = both_sides(found)
        self._folder = export_folder
        self._orders = HeldOrders()
        self._time_ns = found.a.last_time_ns
        self._number = 0

    async def ask(self, request: View | Command) -> Answer:
        return self.done(request) if isinstance(request, Command) else self.frame(request)

    async def close(self) -> None:
        return None

    def frame(self, view: View) -> Frame:
        """The visible rows, and the opened detail."""
        found = page(self._rows, BothSides, view, self._orders)
        self._number += 1
        return Frame(
            number=self._number, view=view,
            header=Header(mode="review", site=SiteRecord(), time_ns=self._time_ns),
            total=found.total, matched=found.matched, first=found.first,
            follow_row=found.follow_row, filter_error=found.filter_error, passages=found.rows,
            detail=None if view.detail is None else self._detail(view.detail),
        )  # fmt: skip

    def _detail(self, key: str) -> Detail:
        name = key.partition(":")[2]
        row = next((row for row in self._rows if row.id == name), None)
        if row is None:
            return Detail(key=key, title=key[:120], gone=True)
        return passage_detail(key, row)

    def done(self, command: Command) -> Done:
        """Only exports are possible here."""
        if command.name != "export":
            return Done(ok=False, text=f"{printable(command.name, 40)}: not possible here")
        try:
            return self._export(command)
        except PanotuiError as error:
            return Done(ok=False, text=printable(str(error), 300))
        except OSError as error:
            return Done(ok=False, text=f"export: {error.strerror or error}")

    def _export(self, command: Command) -> Done:
        kind, _, filter_text = command.text.partition(" ")
        if ":" in command.key:
            detail = self._detail(command.key)
            if detail.gone:
                return Done(ok=False, text="that is gone")
            path = write_detail(self._folder, detail, self._time_ns)
            return Done(ok=True, text=f"written to {path}")
        path, rows = write_table(
            self._folder, PANE.name, self._rows, filter_text, kind or "csv", self._time_ns
        )
        return Done(ok=True, text=f"{rows} rows written to {path}")
