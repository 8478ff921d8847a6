"""One moment held for a frozen screen: all its panes show that moment while the capture
continues.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from panotui.model import FlowRecord, Snapshot
from panotui.model.page import Page
from panotui.views.frames import View
from panotui.views.panes import flow_rows
from panotui.views.state import Line, State
from panotui.views.strips import Times

HELD_MAX = 4  # moments, for as many screens
FLOWS_MAX = 20_000  # per moment: the worst and the newest


class HeldState:
    """A `State` at the time when it was held."""

    def __init__(self, state: State, snapshot: Snapshot) -> None:
        page = state.flow_page(rows=FLOWS_MAX)
        self._state = state
        self._snapshot = snapshot
        self._flows = page.rows
        self._total = page.total
        self._by_id = {flow.id: flow for flow in page.rows}

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def mark_known(self, key: str, known: bool) -> bool:
        return self._state.mark_known(key, known)

    def flow_records(self) -> Sequence[FlowRecord]:
        return self._flows

    def flow(self, flow_id: str) -> FlowRecord | None:
        return self._by_id.get(flow_id)

    def explain_flow(self, flow_id: str) -> Sequence[Line]:
        return self._state.explain_flow(flow_id)

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
    ) -> Page[FlowRecord]:
        chosen = self._flows if keep is None else [flow for flow in self._flows if keep(flow)]
        view = View(
            sort=sort, reverse=reverse, port=port, first=first, rows=rows, follow=follow, fold=fold
        )
        return replace(flow_rows(chosen, view), total=self._total)


class HeldMoments:
    """The moments held by screens, each under a token made by the screen; bounded."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[HeldState, Times | None]] = OrderedDict()

    def of(
        self, token: str, state: State, snapshot: Snapshot, times: Times | None
    ) -> tuple[HeldState, Times | None]:
        """The moment of a token, and the state before it; the first use of a token holds the
        present moment. It survives a restart of the collector.
        """
        held = self._held.get(token)
        if held is None:
            held = self._held[token] = (HeldState(state, snapshot), times)
            while len(self._held) > HELD_MAX:
                self._held.popitem(last=False)
        self._held.move_to_end(token)
        return held
