"""Strips of recordings before format 4: changes derived from samples and findings.

A database of format 3 comes in. Rolled-up samples kept the worst state, so an old part may look
worse than it was, never better.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter

import msgspec

from panotui.model import SECOND, FindingRecord
from panotui.state.strips import Cell, endpoint_cell, port_cell, stream_cell, together

_findings = msgspec.msgpack.Decoder(FindingRecord)
Row = tuple[int, str, int, Cell]  # session, key, time_s, cell


def changes(connection: sqlite3.Connection) -> Iterator[Row]:
    """(session, key, time_s, cell) of every change, each subject's in order of time."""
    yield from _of_table(connection, "port_sample", "port", port_cell)
    yield from _of_table(connection, "endpoint_sample", "endpoint", endpoint_cell)
    yield from _of_cameras(connection)


def _of_table(
    connection: sqlite3.Connection, table: str, kind: str, cell_of: Callable[[str], Cell]
) -> Iterator[Row]:
    rows = connection.execute(
        f"SELECT session, name, time_s, state FROM {table} ORDER BY session, name, time_s"  # noqa: S608 - a name of ours
    )
    last: tuple[int, str, Cell] | None = None
    for session, name, time_s, state in rows:
        cell = cell_of(str(state))
        if last != (session, name, cell):
            last = (session, name, cell)
            yield session, f"{kind}:{name}", time_s - 1, cell


def _of_cameras(connection: sqlite3.Connection) -> Iterator[Row]:
    """A camera's streams together; without a stream, the findings about the camera."""
    rows = connection.execute(
        "SELECT session, camera, time_s, resolution, state FROM stream_sample"
        " WHERE camera IS NOT NULL ORDER BY session, camera, time_s"
    )
    for (session, camera), of_camera in groupby(rows, key=itemgetter(0, 1)):
        troubles = _troubles(connection, session, camera)
        told = [
            (time_s - 1, time_s - 1 + resolution, stream_cell(str(state)))
            for _, _, time_s, resolution, state in of_camera
        ]
        seconds = {start: end for start, end, _ in told}
        cells = {
            start: together(cell for _, _, cell in same)
            for start, same in groupby(told, key=itemgetter(0))
        }
        moments = sorted(
            {*seconds, *seconds.values(), *(t for a, b, _ in troubles for t in (a, b))}
        )
        last: Cell | None = None
        running_until, running = 0, Cell.UNASKED
        for time_s in moments:
            if time_s in cells:
                running_until, running = seconds[time_s], cells[time_s]
            elif time_s >= running_until:
                running = Cell.UNASKED
            cell = running
            for start, end, trouble in troubles:
                if start <= time_s < end:
                    cell = max(cell, trouble if running == Cell.UNASKED else Cell.DAMAGED)
            if cell != last:
                last = cell
                yield session, f"camera:{camera}", time_s, cell


def _troubles(
    connection: sqlite3.Connection, session: int, camera: str
) -> list[tuple[int, int, Cell]]:
    """(start_s, end_s, cell) of the warnings and errors about a camera."""
    found: list[tuple[int, int, Cell]] = []
    for (body,) in connection.execute("SELECT body FROM finding WHERE session = ?", (session,)):
        try:
            finding = _findings.decode(body)
        except (msgspec.DecodeError, RecursionError):
            continue  # a damaged row is skipped
        if finding.camera != camera or finding.severity == "info":
            continue
        end_ns = finding.cleared_time_ns or 1 << 62
        cell = Cell.DEAD if finding.severity == "error" else Cell.UNASKED
        found.append((finding.first_time_ns // SECOND, end_ns // SECOND, cell))
    return found
