"""The data of both places of a comparison, side by side: one row per stream or flow, and one strip
per place.

A `Comparison` goes in; the screen, the page and their tests take rows and cells from here.
"""

from __future__ import annotations

from msgspec import Struct

from panotui.model import SECOND
from panotui.model.comparison import Absent, BothSides, Comparison, Passage
from panotui.state.strips import Cell


class OverTime(Struct, frozen=True):
    """The same row at both places; the place that its packets pass first is on top."""

    start_s: int
    cell_s: int
    strips: tuple[tuple[str, str, tuple[Cell, ...]], ...]  # ("a" or "b", its name, cells)
    lost: tuple[int, ...]  # packets a cell


def both_sides(found: Comparison) -> tuple[BothSides, ...]:
    """All rows: streams, other flows, and those that only one place has."""
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
        name = ends(p)
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
        id=key, name=ends(p), state="blocked" if p.blocked else "only", transport=p.transport,
        src=p.src, sport=p.sport, dst=p.dst, dport=p.dport, a=found.a.name, b=found.b.name,
        first=p.seen_at, at_a=p.packets if forth else 0, at_b=0 if forth else p.packets,
        lost=lost, loss=float(p.blocked), first_lost=(p.first_packet,),
        file=(found.a if forth else found.b).file, packets_by_cell=p.packets_by_cell,
        lost_by_cell=p.packets_by_cell if p.blocked else (),
    )  # fmt: skip


def ends(p: Passage | Absent | BothSides) -> str:
    """Source and destination."""
    return f"{p.transport} {_end(p.src, p.sport)} > {_end(p.dst, p.dport)}"


def _end(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address and port else address
    return f"{host}:{port}" if port else host


def changes_text(row: BothSides) -> str:
    """The fields that change between the places."""
    return ", ".join(f"{c.field} {c.before} > {c.after}" for c in row.changes)


def over_time(found: Comparison, row: BothSides, columns: int) -> OverTime:
    """The time of both captures in at most this many cells."""
    grid = found.strips
    fold = -(-grid.count // columns)
    cell_s = grid.cell_s * fold
    sent = _folded(row.packets_by_cell, fold)
    lost = _folded(row.lost_by_cell or (0,) * len(row.packets_by_cell), fold)
    offset_ns = int(found.clock.offset_s * SECOND)
    windows = {
        "a": (found.a.first_time_ns, found.a.last_time_ns),
        "b": (found.b.first_time_ns - offset_ns, found.b.last_time_ns - offset_ns),
    }
    names = {"a": found.a.name, "b": found.b.name}
    strips = []
    for place in (row.first, "b" if row.first == "a" else "a"):
        cells = []
        for number, (packets, gone) in enumerate(zip(sent, lost, strict=True)):
            begin_ns = (grid.start_s + number * cell_s) * SECOND
            first, last = windows[place]
            if begin_ns > last or begin_ns + cell_s * SECOND <= first:
                cells.append(Cell.BLANK)
            elif not packets or (row.state == "only" and place != row.first):
                cells.append(Cell.UNASKED)
            elif place == row.first or not gone:
                cells.append(Cell.WELL)
            else:
                cells.append(Cell.DEAD if gone == packets else Cell.DAMAGED)
        strips.append((place, names[place], tuple(cells)))
    return OverTime(grid.start_s, cell_s, tuple(strips), lost)


def _folded(values: tuple[int, ...], fold: int) -> tuple[int, ...]:
    return tuple(sum(values[at : at + fold]) for at in range(0, len(values), fold))
