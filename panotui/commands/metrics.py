"""`panotui metrics [SOCKET]`: a recorder's state for Prometheus (--listen) or OpenTelemetry."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.attach import check_access, only_socket
from panotui.commands.confined_live import of_metrics
from panotui.commands.options import common_options, duration_s
from panotui.commands.readable import drop_privileges, prepare_to_drop
from panotui.errors import PanotuiError, UsageError
from panotui.sources.live import landlock

if TYPE_CHECKING:
    from panotui.metrics.openmetrics import Recorder
    from panotui.metrics.otlp import Exporter

LISTEN = "127.0.0.1:9109"
# modules that a standard library server imports with its first answer
SERVING = ("encodings.idna", "encodings.latin_1", "gzip", "wsgiref.handlers")
SENDING = ("encodings.idna", "netrc", "stringprep")  # and a client with its first request


@click.command()
@click.argument("socket", required=False, type=click.Path(path_type=Path))
@click.option(
    "--listen", metavar="ADDRESS:PORT",
    help=f"Address for scrapes (default: {LISTEN}, or none with --otlp); port 0 takes a free"
    " one.",
)  # fmt: skip
@click.option(
    "--otlp", metavar="ENDPOINT",
    help="Send metrics and log records to an OpenTelemetry collector, such as http://host:4318.",
)  # fmt: skip
@click.option("--every", default="15s", show_default=True, metavar="TIME",
              help="Interval of --otlp.")  # fmt: skip
@common_options
def command(
    socket: Path | None, listen: str | None, otlp: str | None, every: str, verbose: bool,
    no_color: bool,
) -> None:  # fmt: skip
    """Serve the state of a running recorder as Prometheus or OpenMetrics text, or send it to an
    OpenTelemetry collector, with log records of findings, violations and events.

    Each scrape queries the recorder over its socket; if it does not answer, panotui_recorder_up is
    0. Needs the extra `metrics`, and `otlp` for --otlp. docs/metrics.md lists all metrics.
    """
    prepare_to_drop()
    every_s = duration_s(every)
    place = _place(listen or LISTEN) if listen is not None or otlp is None else None
    if otlp is not None:
        _require_url(otlp)
    path = socket if socket is not None else only_socket("metrics")
    check_access(path)
    try:
        from panotui.metrics.openmetrics import Recorder
    except ImportError:
        raise UsageError(
            "metrics", "prometheus_client is not installed", "Install panotui[metrics]."
        ) from None
    recorder = Recorder(str(path))
    # an open connection stays usable after the drop
    site = recorder.frame("overview").header.site.name or ""
    exporter = None if otlp is None else _exporter(Recorder(str(path)), otlp, site)
    serve = None if place is None else _server(recorder, path, place)
    domain = of_metrics(network=exporter is not None)
    drop_privileges(SERVING if exporter is None else (*SERVING, *SENDING))
    landlock.enter(domain)
    if serve is not None:
        serve()  # its thread starts without the dropped rights
    if exporter is not None:
        click.echo(f"metrics and events of {path} to {otlp} every {every}")
        exporter.run(every_s)
    threading.Event().wait()  # until a signal ends it


def _server(recorder: Recorder, path: Path, place: tuple[str, int]) -> Callable[[], None]:
    """What begins to answer scrapes, on a port that is bound already: a low one needs rights."""
    from panotui.metrics.scrapes import server

    address, port = place
    shown = f"[{address}]" if ":" in address else address
    try:
        bound = server(recorder, address, port)
    except OSError as error:
        raise PanotuiError(
            f"--listen {shown}:{port}", error.strerror or str(error), "Choose another port."
        ) from None

    def serve() -> None:
        threading.Thread(target=bound.serve_forever, daemon=True).start()
        click.echo(f"metrics of {path} on http://{shown}:{bound.server_port}/metrics")

    return serve


def _exporter(recorder: Recorder, endpoint: str, site: str) -> Exporter:
    """The exporter, with its own connection, which stays usable after the drop."""
    try:
        from panotui.metrics.otlp import Exporter
    except ImportError:
        raise UsageError(
            "--otlp", "the OpenTelemetry SDK is not installed", "Install panotui[metrics,otlp]."
        ) from None
    recorder.frame("overview")
    return Exporter(recorder, endpoint, lambda line: click.echo(f"panotui: {line}", err=True), site)


def _require_url(endpoint: str) -> None:
    """UsageError for an invalid address of a collector."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(endpoint)
        is_well = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_well = False
    if not is_well:
        raise UsageError(
            f"--otlp {endpoint}", "not the address of a collector", "Such as http://host:4318."
        )


def _place(listen: str) -> tuple[str, int]:
    """UsageError for an invalid address and port."""
    address, _, port = listen.rpartition(":")
    address = address.strip("[]")
    try:
        ipaddress.ip_address(address)
        number = int(port)
        if not 0 <= number <= 65_535:
            raise ValueError(port)
    except ValueError:
        raise UsageError(
            f"--listen {listen}", "not an address and port", "Write --listen 127.0.0.1:9109."
        ) from None
    return address, number
