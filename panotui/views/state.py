"""The interface that views need from the owner of the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from panotui.model import (
    FlowRecord,
    Snapshot,
)
from panotui.model.page import Page

Line = tuple[str, str]


class State(Protocol):
    """The source of frames."""

    def snapshot(self) -> Snapshot: ...

    def mark_known(self, key: str, known: bool) -> bool:
        """Mark a finding or violation as known; false if there is no room for the mark."""

    def flow_records(self) -> Iterable[FlowRecord]: ...

    def flow_page(
        self,
        keep: Callable[[FlowRecord], bool] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
    ) -> Page[FlowRecord]: ...

    def flow(self, flow_id: str) -> FlowRecord | None: ...

    def explain_flow(self, flow_id: str) -> Sequence[Line]: ...
