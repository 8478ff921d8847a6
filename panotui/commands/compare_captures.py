"""`panotui compare-captures A B`: what happened to the same traffic between two places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from panotui.commands.confined import confined
from panotui.commands.options import common_options, read_site, site_option
from panotui.errors import InputError, UsageError

if TYPE_CHECKING:
    from panotui.compare.comparison import Comparison, Side
    from panotui.compare.matching import Matches
    from panotui.compare.table import PacketTable
    from panotui.model import Site, StreamRecord

HOUR_S = 3600.0


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option(
    "--names", default="A,B", show_default=True, metavar="A,B",
    help="What the two places are called, e.g. switch,appliance.",
)  # fmt: skip
@click.option(
    "--any-offset", is_flag=True, help="Compare also when the clocks are an hour or more apart."
)
@site_option
@common_options
def command(
    a: str,
    b: str,
    as_json: bool,
    names: str,
    any_offset: bool,
    site: Path | None,
    verbose: bool,
    no_color: bool,
) -> None:
    """What was lost, delayed or changed between two places.

    A and B are two captures of the same traffic, e.g. at the cameras' switch and at the appliance,
    or before and behind a firewall. The same packet is found in both by what routers and address
    translation leave alone; clocks need not agree.
    """
    called = tuple(name.strip() for name in names.split(","))
    if len(called) != 2 or not all(called) or called[0] == called[1]:
        raise UsageError(
            f"--names {names}", "it is not two names", "Write --names switch,appliance."
        )
    if "-" in (a, b):
        raise UsageError("-", "a comparison reads two files", "Save the capture first.")
    known, _, _ = read_site(site)
    with confined(captures=[a, b]):
        found = _compare(a, b, (called[0], called[1]), known, any_offset)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        from panotui.compare.words import page

        click.echo(page(found), nl=False)


def _compare(a: str, b: str, names: tuple[str, str], site: Site, any_offset: bool) -> Comparison:
    from panotui.compare.comparison import (
        FLOWS_TOLD,
        SCHEMA,
        ClockRecord,
        Comparison,
        passages,
    )  # fmt: skip
    from panotui.compare.matching import match
    from panotui.compare.words import sentence

    one, two = _tables(a, b)
    matches = match(one, two)
    if matches is None:
        raise InputError(
            f"{a} and {b}", "they share no packet",
            "Compare captures of the same traffic at the same time, not translated by a proxy.",
        )  # fmt: skip
    offset_s = matches.clock.offset_ns / 1e9
    if abs(offset_s) >= HOUR_S and not any_offset:
        raise InputError(
            f"{a} and {b}", f"their clocks are {abs(offset_s) / HOUR_S:.1f} hours apart",
            "Add --any-offset if they are of the same traffic.",
        )  # fmt: skip
    streams = _streams(a, site)
    found, flows, absent = passages(one, two, matches, streams)
    clock = matches.clock
    return Comparison(
        schema=SCHEMA,
        sentence=sentence(found, flows, absent, names),
        a=_side(a, names[0], one, matches),
        b=_side(b, names[1], two, matches),
        clock=ClockRecord(
            offset_s=offset_s,
            uncertainty_s=None if clock.uncertain_ns is None else clock.uncertain_ns / 1e9,
            drift_ppm=clock.drift * 1e6,
            direction_assumed=clock.assumed,
        ),
        streams=tuple(found),
        flows=tuple(flows[:FLOWS_TOLD]),
        flows_total=len(flows),
        absent=tuple(absent[:FLOWS_TOLD]),
        absent_total=len(absent),
        notes=_notes(a, b, one, two, clock.assumed, names),
    )


def _tables(a: str, b: str) -> tuple[PacketTable, PacketTable]:
    """Both captures, told apart by as many bytes as both have."""
    from panotui.commands.input import open_captures
    from panotui.compare.table import SHORT, WHOLE, TooShort, read_table

    for width in (WHOLE, SHORT):
        tables = []
        try:
            for name in (a, b):
                (source,) = open_captures([name])
                try:
                    tables.append(read_table(source, name, width))
                finally:
                    source.close()
        except TooShort:
            continue
        return tables[0], tables[1]
    raise InputError(
        f"{a} and {b}", "frames are cut before what tells packets apart",
        "Capture at least 128 bytes of each (tcpdump -s 128).",
    )  # fmt: skip


def _streams(name: str, site: Site) -> tuple[StreamRecord, ...]:
    from panotui.commands.input import analysed

    return analysed([name], site, "compare-captures").snapshot().streams


def _side(file: str, name: str, table: PacketTable, matches: Matches) -> Side:
    from panotui.compare.comparison import Side

    return Side(
        file=file, name=name, packets=table.packets, compared=len(table),
        matched=len(matches.a), first_time_ns=table.first_ns, last_time_ns=table.last_ns,
        truncated=table.truncated, snapped=table.snapped,
    )  # fmt: skip


def _notes(
    a: str, b: str, one: PacketTable, two: PacketTable, assumed: bool, names: tuple[str, str]
) -> tuple[str, ...]:
    notes = []
    for file, table in ((a, one), (b, two)):
        if table.truncated:
            notes.append(f"{file} ends inside a packet: what came after is not compared")
    if one.snapped:
        notes.append("frames are cut short: packets are told apart by their first 16 bytes")
    if assumed:
        notes.append(f"nothing shows which place packets pass first: {names[0]} is assumed")
    return tuple(notes)
