"""The panes: each draws one `Scene` into one `Page`."""

from __future__ import annotations

from panotui.tui.page import Page, Scene
from panotui.tui.pages import (
    endpoints,
    events,
    findings,
    flows,
    inventory,
    overview,
    passages,
    streams,
    violations,
)
from panotui.tui.table import Columns, Table, draw_table

TABLES: dict[str, Table] = {
    table.pane: table
    for table in (
        flows.TABLE,
        streams.TABLE,
        endpoints.TABLE,
        violations.TABLE,
        findings.TABLE,
        events.TABLE,
        inventory.TABLE,
        passages.TABLE,
    )
}


def draw_pane(pane: str, scene: Scene, chosen: Columns | None = None) -> Page:
    """The pane's picture, without its cursor."""
    table = TABLES.get(pane)
    return overview.draw(scene) if table is None else draw_table(table, scene, chosen)
