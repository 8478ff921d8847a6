"""`panotui metrics [SOCKET] --listen`: a recorder's state for Prometheus."""

from __future__ import annotations

import ipaddress
import threading
from pathlib import Path

import click

from panotui.commands.attach import check_access, only_socket
from panotui.commands.options import common_options
from panotui.commands.readable import drop_privileges, prepare_to_drop
from panotui.errors import PanotuiError, UsageError

# what a server of the standard library imports with its first answer
SERVING = ("encodings.idna", "encodings.latin_1", "gzip", "wsgiref.handlers")


@click.command()
@click.argument("socket", required=False, type=click.Path(path_type=Path))
@click.option(
    "--listen", default="127.0.0.1:9109", show_default=True, metavar="ADDRESS:PORT",
    help="Where to answer; port 0 takes a free one.",
)  # fmt: skip
@common_options
def command(socket: Path | None, listen: str, verbose: bool, no_color: bool) -> None:
    """Answer scrapes (Prometheus and OpenMetrics text) with the state of a running recorder.

    Each scrape asks the recorder over its socket; while that does not answer, panotui_recorder_up
    is 0. Needs the extra `metrics`. What is exported stands in docs/metrics.md.
    """
    prepare_to_drop()
    address, port = _place(listen)
    path = socket if socket is not None else only_socket("metrics")
    check_access(path)
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise UsageError(
            "metrics", "prometheus_client is not installed", "Install panotui[metrics]."
        ) from None
    from panotui.metrics.openmetrics import Recorder, RecorderCollector

    recorder = Recorder(str(path))
    recorder.frame("overview")  # the connection outlives the rights to make it
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RecorderCollector(recorder))
    try:
        server, _ = start_http_server(port, address, registry)
    except OSError as error:
        raise PanotuiError(
            f"--listen {listen}", error.strerror or str(error), "Choose another port."
        ) from None
    drop_privileges(SERVING)
    shown = f"[{address}]" if ":" in address else address
    click.echo(f"metrics of {path} on http://{shown}:{server.server_port}/metrics")
    threading.Event().wait()  # until a signal ends it


def _place(listen: str) -> tuple[str, int]:
    """UsageError for what is no address and port."""
    address, _, port = listen.rpartition(":")
    address = address.strip("[]")
    try:
        ipaddress.ip_address(address)
        number = int(port)
        if not 0 <= number <= 65_535:
            raise ValueError(port)
    except ValueError:
        raise UsageError(
            f"--listen {listen}", "it is no address and port", "Write --listen 127.0.0.1:9109."
        ) from None
    return address, number
