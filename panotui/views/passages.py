"""The pane of a comparison: what each of two places has of a stream or flow, in one row."""

from __future__ import annotations

from panotui.model import Snapshot
from panotui.model.comparison import Absent, BothSides, Comparison, Passage
from panotui.views.details import section
from panotui.views.frames import Detail
from panotui.views.pane import Pane
from panotui.views.quantities import number
from panotui.views.state import State

_STATES = {"blocked": 0, "losing": 1, "whole": 2, "only": 3}


def both_sides(found: Comparison) -> tuple[BothSides, ...]:
    """All rows: streams, other flows, what only one place has."""
    return (
        *(_passage(found, p, f"s{n}") for n, p in enumerate(found.streams)),
        *(_passage(found, p, f"f{n}") for n, p in enumerate(found.flows)),
        *(_absent(found, p, f"x{n}") for n, p in enumerate(found.absent)),
    )


def _passage(found: Comparison, p: Passage, key: str) -> BothSides:
    behind = p.matched + p.appeared + p.duplicated
    forth = p.first_seen_at == "a"
    name = p.camera or f"{p.src}:{p.sport}"
    if p.ssrc is None:
        name = _ends(p)
    elif p.media not in (None, "video"):
        name += f" ({p.media})"
    return BothSides(
        id=key, name=name, state="losing" if p.lost else "whole", transport=p.transport,
        src=p.src, sport=p.sport, dst=p.dst, dport=p.dport, a=found.a.name, b=found.b.name,
        first=p.first_seen_at, at_a=p.packets if forth else behind,
        at_b=behind if forth else p.packets, lost=p.lost, loss=p.loss, lost_bytes=p.lost_bytes,
        appeared=p.appeared, at_edge=p.at_edge, reordered=p.reordered, duplicated=p.duplicated,
        delay=p.delay, changes=p.changes, camera=p.camera, url=p.url, ssrc=p.ssrc, codec=p.codec,
        media=p.media, first_lost=p.first_lost, file=(found.a if forth else found.b).file,
        packets_by_cell=p.packets_by_cell, lost_by_cell=p.lost_by_cell,
    )  # fmt: skip


def _absent(found: Comparison, p: Absent, key: str) -> BothSides:
    forth = p.seen_at == "a"
    lost = p.packets if p.blocked else 0
    return BothSides(
        id=key, name=_ends(p), state="blocked" if p.blocked else "only", transport=p.transport,
        src=p.src, sport=p.sport, dst=p.dst, dport=p.dport, a=found.a.name, b=found.b.name,
        first=p.seen_at, at_a=p.packets if forth else 0, at_b=0 if forth else p.packets,
        lost=lost, loss=float(p.blocked), first_lost=(p.first_packet,),
        file=(found.a if forth else found.b).file, packets_by_cell=p.packets_by_cell,
        lost_by_cell=p.packets_by_cell if p.blocked else (),
    )  # fmt: skip


def _ends(p: Passage | Absent | BothSides) -> str:
    return f"{p.transport} {_end(p.src, p.sport)} > {_end(p.dst, p.dport)}"


def _end(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address and port else address
    return f"{host}:{port}" if port else host


def changes_text(row: BothSides) -> str:
    """The fields that are others behind what is between."""
    return ", ".join(f"{c.field} {c.before} > {c.after}" for c in row.changes)


def passage_detail(key: str, row: BothSides) -> Detail:
    """All that is known of one row."""
    ways = (row.a, row.b) if row.first == "a" else (row.b, row.a)
    delay = row.delay
    lost = number(row.lost)
    if row.lost:
        size = f", {number(row.lost_bytes)} bytes of payload" if row.lost_bytes else ""
        lost += f" ({100 * row.loss:.3f} %{size})"
    only = f"it heads for {ways[1]} and never comes there" if row.state == "blocked" else ""
    numbers = ",".join(map(str, row.first_lost))
    shown = f"frame.number in {{{numbers}}}" if row.first_lost else ""
    sections = (
        *section(
            "BOTH SIDES",
            [
                ("way", f"{ways[0]} first, then {ways[1]}"),
                (row.a, f"{number(row.at_a)} packets"),
                (row.b, f"{number(row.at_b)} packets"),
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
                ("flow", _ends(row)),
                ("camera", row.camera or ""),
                ("URL", row.url or ""),
                ("codec", row.codec or ""),
                ("SSRC", row.ssrc or ""),
            ],
        ),
        *section(
            "FIRST LOST" if row.lost else "FIRST PACKET",
            [(row.file, numbers.replace(",", ", "))] if row.first_lost else [],
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
    rows=lambda snapshot: (),  # no state has them: `comparison.ComparisonSource` does
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
