"""`_collect`: the collector's process behind `live` and `demo`.

It is started with one end of a socket pair and a pipe. It opens rings and netlink, drops every
privilege, reports on the pipe that it is ready (or why not, with the exit code), and only then
reads packets. It ends when its screen is gone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.alerting import Alerts, Targets, alert_options
from panotui.commands.baseline_file import read_baseline
from panotui.commands.options import read_site, ring_options, ring_sizes
from panotui.commands.readable import COLLECTOR, drop_privileges, prepare_to_drop
from panotui.errors import PanotuiError

if TYPE_CHECKING:
    from panotui.feed.collector import Collector


@click.command(hidden=True)
@click.argument("interfaces", nargs=-1)
@click.option("--feed-fd", type=int, required=True)
@click.option("--ready-fd", type=int, required=True)
@click.option("--site", type=click.Path(path_type=Path))
@click.option("--baseline", type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True)
@click.option("--promiscuous/--no-promiscuous", default=True)
@ring_options
@alert_options
def command(
    interfaces: tuple[str, ...],
    feed_fd: int,
    ready_fd: int,
    site: Path | None,
    baseline: Path | None,
    demo: bool,
    promiscuous: bool,
    ring: str,
    snap: int,
    targets: Targets,
) -> int:
    """The unprivileged side of `live` (internal)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the screen
    prepare_to_drop()
    peer = socket.socket(fileno=feed_fd)
    if demo:
        return _play(peer, ready_fd)
    with os.fdopen(ready_fd, "w", encoding="utf-8") as ready:
        try:
            leaving = Alerts(targets)
            collector = _open(
                interfaces, site, baseline, promiscuous, ring_sizes(ring, snap), peer, leaving
            )
        except PanotuiError as error:
            reason = [error.what, error.why, error.remedy]
            json.dump({"error": reason, "exit": error.exit_code}, ready)
            return error.exit_code
        json.dump({"ready": True}, ready)
    _stop_on_term(collector)
    collector.finish(collector.run(while_watched=True))
    leaving.close()
    return 0


def _open(
    interfaces: tuple[str, ...],
    site_path: Path | None,
    baseline: Path | None,
    promiscuous: bool,
    sizes: tuple[int, int],
    peer: socket.socket,
    alerts: Alerts,
) -> Collector:
    from panotui.commands import confined_live
    from panotui.commands.capture import live_capture
    from panotui.feed.collector import Collector
    from panotui.feed.server import FeedServer
    from panotui.recording.evidence import EvidenceTap
    from panotui.recording.held_evidence import KEEPING, HeldEvidence
    from panotui.sources.live import landlock
    from panotui.views.provider import StateProvider

    site, _, path = read_site(site_path)
    habits = read_baseline(baseline)
    capture = live_capture(
        interfaces, site, site_path=path, promiscuous=promiscuous, keeping=KEEPING, sizes=sizes,
        baseline=habits,
    )  # fmt: skip
    pump = capture.pump()
    domain = confined_live.of_collector(network=alerts.by_network)
    capture.drop_privileges()
    editor = capture.site_editor()
    landlock.enter(domain)
    alerts.start(pump)
    held = HeldEvidence()
    provider = StateProvider(
        pump.engine,
        "live",
        packets=held,
        notice=lambda: capture.notice() or alerts.notice(),
        site_editor=editor,
        export_folder=Path.cwd(),
    )
    pump.on_tick.append(provider.second)
    held.gathers = EvidenceTap(pump, held, pump, KEEPING).gathers  # it joins the ticks itself
    server = FeedServer(provider, peers=(peer,))
    return Collector(
        pump,
        server=server,
        links=capture.links,
        wait_on=pump.filenos,
        time_ns=capture.keeper,
    )


def _play(peer: socket.socket, ready_fd: int) -> int:
    """The demo: round after round, each from the beginning."""
    from panotui.commands import confined_live
    from panotui.commands.capture import Demo
    from panotui.feed.collector import Collector
    from panotui.feed.server import FeedServer
    from panotui.recording.evidence import EvidenceTap
    from panotui.recording.held_evidence import KEEPING, HeldEvidence
    from panotui.runtime.packet_keeper import LocalKeeper
    from panotui.sources.live import landlock
    from panotui.views.provider import StateProvider

    demo = Demo()
    held = HeldEvidence()
    pump = demo.pump()
    domain = confined_live.of_collector()
    drop_privileges(COLLECTOR)
    landlock.enter(domain)
    provider = StateProvider(pump.engine, "demo", packets=held, export_folder=Path.cwd())
    server = FeedServer(provider, peers=(peer,))
    with os.fdopen(ready_fd, "w", encoding="utf-8") as ready:
        json.dump({"ready": True}, ready)
    while True:
        pump.on_tick.append(provider.second)
        held.gathers = EvidenceTap(pump, held, LocalKeeper(pump, KEEPING), KEEPING).gathers
        collector = Collector(pump, server=server)
        _stop_on_term(collector)
        ended = collector.run(while_watched=True, stay=False)
        pump.close()
        if ended != "ended":
            return 0
        pump = demo.pump()
        provider.begin_again(pump.engine)


def _stop_on_term(collector: Collector) -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: collector.stop("terminated"))
