"""Alerts that leave while capturing: a file of JSON lines, syslog, a webhook."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from panotui.errors import UsageError

if TYPE_CHECKING:
    from panotui.feed.collector import Driver
    from panotui.telemetry.alerts import Sink

F = TypeVar("F", bound=Callable[..., Any])


def alert_options(function: F) -> F:
    for option in (
        click.option("--webhook", metavar="URL", help="POST each new violation and finding there."),
        click.option("--syslog", metavar="TARGET", help="HOST[:PORT], tcp://HOST:PORT or a path."),
        click.option("--alerts", metavar="FILE", help="Append them to FILE as JSON lines."),
    ):
        function = option(function)
    return function


class Alerts:
    """Where alerts go. Made before privileges are dropped, started after."""

    def __init__(self, file: str | None, syslog: str | None, webhook: str | None) -> None:
        """UsageError when the file cannot be opened."""
        self._file = file
        self._syslog = syslog
        self._webhook = webhook
        self._handle = -1
        self._sinks: list[Sink] = []
        if file is not None and file != "-":
            try:
                from panotui.sources.live import deputy

                self._handle = deputy.open_file(Path(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            except OSError as error:
                raise UsageError(
                    f"--alerts {file}", error.strerror or str(error), "Name another file."
                ) from None

    def start(self, pump: Driver) -> None:
        """Open the ways and join the pump's ticks; UsageError for a target that is none."""
        if self._file is None and self._syslog is None and self._webhook is None:
            return
        from panotui.telemetry.alerts import (
            AlertFilter,
            ndjson_sink,
            syslog_sink,
            webhook_sink,
        )

        if self._file is not None:
            # Its name may be out of reach by now; its descriptor is not.
            opened = f"/proc/self/fd/{self._handle}" if self._handle >= 0 else self._file
            self._sinks.append(ndjson_sink(opened))
        if self._syslog is not None:
            self._sinks.append(syslog_sink(self._syslog))
        if self._webhook is not None:
            self._sinks.append(webhook_sink(self._webhook))
        news = AlertFilter()
        engine = pump.engine

        def told(now_ns: int) -> None:
            for alert in news.news(engine.snapshot()):
                for sink in self._sinks:
                    sink.send(alert)

        pump.on_tick.append(told)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
        if self._handle >= 0:
            os.close(self._handle)
