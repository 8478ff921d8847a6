"""The pane of a comparison: one row per stream or flow, with the data of both places."""

from __future__ import annotations

from panotui.model import Snapshot
from panotui.model.comparison import BothSides
from panotui.model.quantities import counted
from panotui.state.both_sides import ends
from panotui.views.details import section
from panotui.views.frames import Detail
from panotui.views.pane import Pane
from panotui.views.quantities import number
from panotui.views.state import State

_STATES = {"blocked": 0, "losing": 1, "whole": 2, "only": 3}


def passage_detail(key: str, row: BothSides) -> Detail:
    """All data of one row."""
    ways = (row.a, row.b) if row.first == "a" else (row.b, row.a)
    delay = row.delay
    lost = number(row.lost)
    if row.lost:
        size = f", {counted(row.lost_bytes, 'byte')} of payload" if row.lost_bytes else ""
        lost += f" ({100 * row.loss:.4g} %{size})"
    only = f"it heads for {ways[1]} and never comes there" if row.state == "blocked" else ""
    numbers = ",".join(map(str, row.first_lost))
    shown = f"frame.number in {{{numbers}}}" if row.first_lost else ""
    sections = (
        *section(
            "BOTH SIDES",
            [
                ("way", f"{ways[0]} first, then {ways[1]}"),
                (row.a, f"{counted(row.at_a, 'packet')}"),
                (row.b, f"{counted(row.at_b, 'packet')}"),
                ("lost between", lost),
                ("blocked", only),
                ("appeared", number(row.appeared) if row.appeared else ""),
                ("reordered", number(row.reordered)),
                ("duplicated", number(row.duplicated)),
                ("unknown", f"{number(row.at_edge)} too near to an end of a capture"
                 if row.at_edge else ""),
            ],
        ),
        *section("CHANGED ON THE WAY", [(c.field, f"{c.before} > {c.after}") for c in row.changes]),
        *section(
            "DELAY",
            [] if delay is None else [
                ("least", f"{delay.min_ms:.3f} ms"),
                ("median", f"{delay.median_ms:.3f} ms"),
                ("99 %", f"{delay.p99_ms:.3f} ms"),
                ("most", f"{delay.max_ms:.3f} ms"),
                ("variation", f"IPDV {delay.ipdv_ms:.3f} ms, PDV {delay.pdv_ms:.3f} ms"),
            ],
        ),
        *section(
            "WHAT IT IS",
            [
                ("flow", ends(row)),
                ("camera", row.camera or ""),
                ("URL", row.url or ""),
                ("codec", row.codec or ""),
                ("SSRC", row.ssrc or ""),
            ],
        ),
        *section(
            "FIRST LOST" if row.lost else "FIRST PACKET",
            [
                ("file", row.file),
                ("packet" if len(row.first_lost) == 1 else "packets", numbers.replace(",", ", ")),
            ] if row.first_lost else [],
        ),
    )  # fmt: skip
    return Detail(
        key=key,
        title=row.name,
        sections=sections,
        display_filter=shown,
        passage=row,
        copy=f"tshark -r {row.file} -Y '{shown}'" if shown else row.name,
    )


def _detail(key: str, row: BothSides, state: State, snapshot: Snapshot) -> Detail:
    return passage_detail(key, row)


PANE = Pane(
    kind="passage",
    record=BothSides,
    rows=lambda snapshot: (),  # not from a state: `comparison.ComparisonSource` provides them
    key=lambda row: str(row.id),
    detail=_detail,
    name="comparison",
    rows_in="passages",
    short="Comp",
    alone=True,
    fields={
        "ip": lambda r: (r.src, r.dst),
        "src": lambda r: (r.src,),
        "dst": lambda r: (r.dst,),
        "port": lambda r: (r.sport, r.dport),
        "camera": lambda r: (r.camera,),
        "ssrc": lambda r: (r.ssrc,),
        "codec": lambda r: (r.codec,),
        "transport": lambda r: (r.transport,),
        "state": lambda r: (r.state,),
        "packets": lambda r: (max(r.at_a, r.at_b),),
        "lost": lambda r: (r.lost,),
    },
    words=("name", "src", "dst", "sport", "dport", "camera", "url", "ssrc", "codec", "state",
           "transport"),
    own=lambda r: (_STATES.get(r.state, 9), -r.loss, r.ssrc is None, -max(r.at_a, r.at_b), r.id),
    columns={
        "state": lambda r: _STATES.get(r.state, 9),
        "delay": lambda r: r.delay.median_ms if r.delay else None,
        "ipdv": lambda r: r.delay.ipdv_ms if r.delay else None,
        "changes": lambda r: len(r.changes),
    },
)  # fmt: skip
