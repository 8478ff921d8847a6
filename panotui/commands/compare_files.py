"""Compares two capture files for `compare-captures` and for a review of two captures."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from panotui.errors import ClocksApart, FramesCut, NothingShared, UsageError

if TYPE_CHECKING:
    from panotui.compare.matching import Matches
    from panotui.compare.table import PacketTable
    from panotui.model import Site, StreamRecord
    from panotui.model.comparison import Comparison, Side

Streams: TypeAlias = "tuple[StreamRecord, ...]"
HOUR_S = 3600.0


def two_names(names: str) -> tuple[str, str]:
    """The names of the two places. UsageError."""
    called = tuple(name.strip() for name in names.split(","))
    if len(called) != 2 or not all(called) or called[0] == called[1]:
        raise UsageError(
            f"--names {names}", "these are not two names", "Write --names switch,appliance."
        )
    return called[0], called[1]


def compare(a: str, b: str, names: tuple[str, str], site: Site, any_offset: bool) -> Comparison:
    """Read both, pair their packets, count. InputError for captures that cannot be compared."""
    from panotui.compare.comparison import cells, passages
    from panotui.compare.matching import match
    from panotui.compare.words import sentence
    from panotui.model.comparison import COMPARISON_SCHEMA, ClocksRecord, Comparison

    one, two, streams = _tables(a, b, site)
    matches = match(one, two)
    if matches is None:
        raise NothingShared(
            f"{a} and {b}", "they share no packet",
            "Compare captures of the same traffic at the same time, not translated by a proxy.",
        )  # fmt: skip
    offset_s = matches.clock.offset_ns / 1e9
    if abs(offset_s) >= HOUR_S and not any_offset:
        raise ClocksApart(
            f"{a} and {b}", f"their clocks are {abs(offset_s) / HOUR_S:.1f} hours apart",
            "Add --any-offset if they are of the same traffic.",
        )  # fmt: skip
    clock = matches.clock
    strips = cells(one, two, clock)
    found = passages(one, two, matches, streams, strips)
    return Comparison(
        schema=COMPARISON_SCHEMA,
        sentence=sentence(found, names),
        a=_side(a, names[0], one, matches),
        b=_side(b, names[1], two, matches),
        clock=ClocksRecord(
            offset_s=offset_s,
            uncertainty_s=None if clock.uncertain_ns is None else clock.uncertain_ns / 1e9,
            drift_ppm=clock.drift * 1e6,
            direction_assumed=clock.assumed,
        ),
        strips=strips,
        streams=tuple(found.streams),
        flows=tuple(found.flows),
        flows_total=found.flows_total,
        absent=tuple(found.absent),
        absent_total=found.absent_total,
        notes=_notes(a, b, one, two, matches, names),
    )


def _tables(a: str, b: str, site: Site) -> tuple[PacketTable, PacketTable, Streams]:
    """Tables of both captures, with as many bytes per packet as both have, and the streams of the
    first, which is read once for both.
    """
    from panotui.commands.input import analysed
    from panotui.compare.table import SHORT, WHOLE, TableReader, TooShort

    reader = TableReader(a, WHOLE)
    snapshot = analysed([a], site, "compare-captures", tap=reader).snapshot()
    for width in (WHOLE, SHORT):
        try:
            if width == WHOLE:
                one = reader.table(snapshot.source.truncated)
            else:
                one = _table(a, width)
            return one, _table(b, width), snapshot.streams
        except TooShort as short:
            cut = str(short)
    raise FramesCut(
        cut, "frames are too short to identify packets",
        "Capture at least 128 bytes of each (tcpdump -s 128).",
    )  # fmt: skip


def _table(name: str, width: int) -> PacketTable:
    from panotui.commands.input import open_captures
    from panotui.compare.table import read_table

    (source,) = open_captures([name])
    try:
        return read_table(source, name, width)
    finally:
        source.close()


def _side(file: str, name: str, table: PacketTable, matches: Matches) -> Side:
    from panotui.model.comparison import Side

    return Side(
        file=file, name=name, packets=table.packets, compared=len(table),
        matched=len(matches.a), first_time_ns=table.first_ns, last_time_ns=table.last_ns,
        truncated=table.truncated, snapped=table.snapped,
    )  # fmt: skip


def _notes(
    a: str, b: str, one: PacketTable, two: PacketTable, matches: Matches, names: tuple[str, str]
) -> tuple[str, ...]:
    notes = []
    for file, table in ((a, one), (b, two)):
        if table.truncated:
            notes.append(f"{file} ends inside a packet: what came after is not compared")
    if one.snapped:
        notes.append("frames are cut short: packets are told apart by their first 16 bytes")
    if matches.pieces:
        notes.append(
            "TCP segments were joined or cut on the way or by a network card: they are counted as "
            "the smaller ones of both captures"
        )
    if matches.clock.assumed:
        notes.append(f"nothing shows which place packets pass first: {names[0]} is assumed")
    return tuple(notes)
