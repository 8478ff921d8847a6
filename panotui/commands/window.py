"""`--since`, `--until` and `--filter`: the requested part of a capture or recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from panotui.commands.times import moment_s, zone_of
from panotui.errors import UsageError
from panotui.model import SECOND, WindowRecord

F = TypeVar("F", bound=Callable[..., Any])


def window_options(function: F) -> F:
    """The three options; `window_of` reads them."""
    function = click.option(
        "--filter", "filter_text", default="", metavar="TEXT",
        help="Only matching rows: the filter language of / on the screen, such as 'camera:yard'.",
    )(function)  # fmt: skip
    function = click.option("--until", metavar="TIME", help="Only data before this time.")(function)
    return click.option(
        "--since", metavar="TIME",
        help="Only data since this time: 22:00, 2026-11-29 22:00, 8h (before the end).",
    )(function)  # fmt: skip


def window_of(
    since: str | None, until: str | None, filter_text: str, end_ns: int
) -> WindowRecord | None:
    """The values of the options; None for everything. UsageError."""
    if since is None and until is None and not filter_text.strip():
        return None
    end_s, zone = -(-end_ns // SECOND), zone_of(None)
    since_s = None if since is None else moment_s(since, end_s, zone, "--since")
    until_s = None if until is None else moment_s(until, end_s, zone, "--until")
    if since_s is not None and until_s is not None and until_s <= since_s:
        raise UsageError(
            f"--until {until}", f"it is not after --since {since}", "Name a later time."
        )
    return WindowRecord(
        since_ns=None if since_s is None else since_s * SECOND,
        until_ns=None if until_s is None else until_s * SECOND,
        filter=filter_text.strip(),
    )
