"""`panotui record [INTERFACE ...] -o DIR`: no screen; state, flows, events and evidence to disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from panotui.commands.alerting import Alerts, Targets, alert_options
from panotui.commands.baseline_file import read_baseline, require_same_site
from panotui.commands.options import (
    COMMANDS,
    baseline_option,
    common_options,
    duration_s,
    fail_on_option,
    failure,
    read_site,
    ring_options,
    ring_sizes,
    site_option,
    size_bytes,
)
from panotui.commands.readable import prepare_to_drop
from panotui.commands.recorder_status import Processor, status_object, status_words
from panotui.commands.systemd import Systemd
from panotui.errors import OutputError, RecordingError, UsageError
from panotui.runtime.pipe import MeterFailure

if TYPE_CHECKING:
    from panotui.commands.capture import Capture
    from panotui.feed.collector import Collector
    from panotui.model import Site
    from panotui.recording.recorder import Recorder
    from panotui.recording.retention import Limits
    from panotui.runtime.pipe import Keeping
    from panotui.telemetry.live_export import Export

EXIT_INTERRUPTED = 130


@click.command()
@click.argument("interfaces", nargs=-1, metavar="[INTERFACE]...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR",
    help="The recording's folder; .panotui is added. An existing recording is continued.",
)  # fmt: skip
@click.option("--fallback", type=click.Path(path_type=Path), metavar="DIR",
              help="Continue in this folder if that of -o can no longer be written.")  # fmt: skip
@click.option("--for", "for_", metavar="TIME", help="Stop after 90s, 30m, 8h, 2d.")
@click.option("--max-size", default="2GB", show_default=True, help="Remove the oldest above this.")
@click.option("--max-age", metavar="TIME", help="Remove data older than this, such as 30d.")
@click.option("--control-age", default="7d", show_default=True, metavar="TIME",
              help="Remove files with all control packets after this time.")  # fmt: skip
@click.option("--min-free", default="200MB", show_default=True, help="Leave this much disk free.")
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), metavar="PATH",
              help="Socket for `attach` (default: in the user's runtime folder).")  # fmt: skip
@click.option(
    "--user",
    metavar="NAME",
    help="The user to run as after root is given up (default: the caller of sudo, else the"
    " user panotui, else nobody).",
)
@click.option("--shared", is_flag=True, help="Allow a folder that others may read.")
@click.option("--no-evidence", is_flag=True, help="Keep no packets.")
@click.option("--redact-evidence", is_flag=True,
              help="Overwrite passwords and tokens in the kept packets.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="[CAMERA=]WHAT",
              help="Part of media packets to keep around a violation or finding: headers"
                   " (default), media (whole packets), control (none); of one camera with its name"
                   " or address in front (dock=media).")  # fmt: skip
@click.option("--before", default="10s", show_default=True, metavar="TIME",
              help="Keep packets from this long before a violation or finding")  # fmt: skip
@click.option(
    "--after", default="5s", show_default=True, metavar="TIME", help="to this long after it."
)
@click.option("--no-promiscuous", is_flag=True, help="Do not use promiscuous mode.")
@ring_options
@click.option("--json", "as_json", is_flag=True, help="One JSON line each second on stdout.")
@click.option("--eve", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Append Suricata's EVE JSON lines to FILE as flows end.")  # fmt: skip
@click.option("--zeek", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Append Zeek's conn.log in DIR as flows end.")  # fmt: skip
@site_option
@baseline_option
@alert_options
@fail_on_option
@common_options
def command(
    interfaces: tuple[str, ...],
    output: Path,
    fallback: Path | None,
    for_: str | None,
    max_size: str,
    max_age: str | None,
    control_age: str,
    min_free: str,
    socket_path: Path | None,
    user: str | None,
    shared: bool,
    no_evidence: bool,
    redact_evidence: bool,
    keep: tuple[str, ...],
    before: str,
    after: str,
    no_promiscuous: bool,
    ring: str,
    snap: int,
    as_json: bool,
    site: Path | None,
    baseline: Path | None,
    eve: Path | None,
    zeek: Path | None,
    targets: Targets,
    fail_on: tuple[str, ...],
    verbose: bool,
    no_color: bool,
) -> int:
    """Record without a screen. SIGTERM ends it cleanly with 0, Ctrl-C with 130; losing the terminal
    does not end it. `panotui attach` shows its screen, `panotui review DIR` shows the recording
    later.
    """
    if user is not None:
        from panotui.sources.live import privileges

        privileges.run_as(user)
    prepare_to_drop()
    from panotui.commands.capture import live_capture
    from panotui.commands.keeping import WHOLE_BYTES, kept_packets
    from panotui.recording.parts import with_suffix
    from panotui.recording.retention import Limits

    limits = Limits(
        size_bytes=size_bytes(max_size),
        age_s=None if max_age is None else int(duration_s(max_age)),
        evidence_bytes=0 if no_evidence else min(256_000_000, size_bytes(max_size) // 4),
        free_bytes=size_bytes(min_free),
        control_age_s=int(duration_s(control_age)),
    )
    for_s = None if for_ is None else duration_s(for_)
    known, text, path = read_site(site)
    habits = read_baseline(baseline)
    require_same_site(habits, baseline, known)
    folder = with_suffix(output)
    other = None if fallback is None else with_suffix(fallback)
    if other is not None and os.path.realpath(other) == os.path.realpath(folder):
        raise UsageError(f"--fallback {fallback}", "it is the same folder as -o", "Name another.")
    keeping = None if no_evidence else kept_packets(keep, before, after, known)
    ring_bytes, snap_bulk = ring_sizes(ring, snap)
    if keeping is not None and keeping.media:
        snap_bulk = max(snap_bulk, WHOLE_BYTES)
    capture = live_capture(
        interfaces,
        known,
        site_path=path,
        promiscuous=not no_promiscuous,
        keeping=keeping,
        parts=True,
        sizes=(ring_bytes, snap_bulk),
        commands=COMMANDS,
        baseline=habits,
    )
    if targets.alerts == "-" and as_json:
        raise UsageError(
            "--alerts -", "--json already writes to stdout", "Name a file for one of them."
        )
    systemd = Systemd()
    leaving = Alerts(targets, _tell)
    session = _Session(
        capture,
        folder,
        limits,
        text,
        socket_path,
        as_json,
        keeping,
        "none" if no_evidence else "redacted" if redact_evidence else "kept",
        leaving,
        shared,
        other,
        _exports(eve, zeek, known),
        systemd,
    )
    return session.run(for_s, fail_on)


def _exports(eve: Path | None, zeek: Path | None, site: Site) -> list[Export]:
    """Files that are written while it runs, opened before privileges are dropped. UsageError."""
    if eve is None and zeek is None:
        return []
    from panotui.sources.live import deputy
    from panotui.telemetry.live_export import Eve, Export, Zeek

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    wanted: list[tuple[str, Path, Eve | Zeek]] = []
    if eve is not None:
        wanted.append((f"--eve {eve}", eve, Eve()))
    if zeek is not None:
        file = zeek / "conn.log"
        wanted.append((f"--zeek {zeek}", file, Zeek(site.network.local)))
    found = []
    for option, path, shape in wanted:
        try:
            found.append(Export(str(path), deputy.open_file(path, flags), shape))
        except OSError as error:
            raise UsageError(
                option, error.strerror or str(error), "Name another, or make its folder first."
            ) from None
    return found


class _Session:
    """One run of the recorder."""

    def __init__(
        self,
        capture: Capture,
        folder: Path,
        limits: Limits,
        site_text: str,
        socket_path: Path | None,
        as_json: bool,
        keeping: Keeping | None,
        evidence: Literal["none", "kept", "redacted"],
        alerts: Alerts,
        shared: bool,
        fallback: Path | None = None,
        exports: Sequence[Export] = (),
        systemd: Systemd | None = None,
    ) -> None:
        from panotui.commands import confined_live
        from panotui.feed.collector import Collector
        from panotui.feed.server import FeedServer
        from panotui.recording.evidence import EvidenceTap
        from panotui.recording.evidence_export import RecorderPackets
        from panotui.recording.recorder import Recorder
        from panotui.recording.relay import AnyRecorder, Relay
        from panotui.sources.live import deputy, landlock, privileges
        from panotui.views.provider import StateProvider

        self.as_json = as_json
        self._systemd = systemd or Systemd({})
        self._said: tuple[str, str | None] = ("recording", None)
        self._written = False  # a line on stdout
        self.folder = folder
        handle = deputy.folder(folder, shared=shared)
        spare = -1 if fallback is None else deputy.folder(fallback, shared=shared)
        if fallback is not None and not deputy.is_reachable(fallback):
            raise UsageError(
                f"--fallback {fallback}",
                f"user {privileges.target()[0]} cannot reach it by its name",
                "Choose one that this user can reach.",
            )
        name = folder.name.removesuffix(".panotui")
        self.socket_path = socket_path or _runtime_folder() / f"{name}.sock"
        listener, self._socket_file = _listening(self.socket_path)
        pump = capture.pump()
        # Modes are fixed, whatever the umask. Files in a user's folder are opened after root has
        # been given up. If that user cannot reach the folder by name, they are opened before, in a
        # folder that is closed to others meanwhile (SQLite opens names, not handles).
        os.umask(0o077 if privileges.is_nobody(privileges.target()[0]) else 0o027)
        domain = confined_live.of_recorder(
            Path(f"/proc/self/fd/{handle}"),
            None if fallback is None else (fallback, spare),
            self._socket_file,
            network=alerts.by_network,
        )
        if deputy.is_reachable(folder):
            capture.drop_privileges()
            recorder = Recorder(folder, handle=handle, site_text=site_text, limits=limits)
        else:
            with deputy.closed_folder(handle):
                recorder = Recorder(folder, handle=handle, site_text=site_text, limits=limits)
            capture.drop_privileges()
        editor = capture.site_editor()
        landlock.enter(domain)
        self.recorder: AnyRecorder = recorder
        self.fallback = fallback
        if fallback is not None:
            self.recorder = Relay(
                recorder,
                lambda: Recorder(fallback, handle=spare, site_text=site_text, limits=limits),
                self._moved,
            )
        nobody = privileges.is_nobody(os.geteuid())
        group = None if nobody else os.getegid()
        self._nobody, self._evidence = nobody, evidence
        self._alerts = alerts
        self._meters = capture.meters
        self._engine_cpu, self._meters_cpu = Processor(), Processor()
        self._exports = exports
        alerts.start(pump, recorder.folder)
        packets = None if keeping is None else RecorderPackets(self.recorder)
        provider = StateProvider(
            pump.engine,
            "attach",
            recorder=self.recorder.status,
            notice=lambda: capture.notice() or alerts.notice(),
            notebook=self.recorder,
            site_editor=editor,
            packets=packets,
            export_folder=recorder.folder / "exports",
        )
        pump.engine.restore_marks(self.recorder.known_keys())
        pump.on_tick.append(provider.second)
        self.provider = provider
        tap: EvidenceTap | None = None
        if keeping is not None and packets is not None:
            tap = EvidenceTap(pump, self.recorder, pump, keeping, redact=evidence == "redacted")
            packets.gathers = tap.gathers
        self.collector: Collector = Collector(
            pump,
            server=FeedServer(provider, listener, group=group),
            recorder=self.recorder,
            evidence=tap,
            links=capture.links,
            wait_on=pump.filenos,
            status=self._status,
            exports=[export.observe for export in exports],
            time_ns=capture.keeper,
        )
        pump.on_part.append(self.collector.part)

    def run(self, for_s: float | None, fail_on: tuple[str, ...]) -> int:
        stop = self.collector.stop
        signal.signal(signal.SIGTERM, lambda number, frame: stop("terminated"))
        signal.signal(signal.SIGINT, lambda number, frame: stop("interrupted"))
        signal.signal(signal.SIGHUP, lambda number, frame: None)  # it survives its terminal
        _tell(f"recording into {self.folder}, socket {self.socket_path}")
        if self._evidence == "kept":
            _tell("evidence contains unchanged packets, including cleartext passwords")
        elif self._evidence == "redacted":
            _tell("evidence contains packets, with zeros for recognised passwords")
        if self._nobody:
            _tell(
                "it runs as nobody, like other programs: only root can attach. Create a user for"
                " it: `useradd --system panotui`, or name one with --user"
            )
        self._systemd.ready()
        dead: MeterFailure | OutputError | None = None
        try:
            ended = self.collector.run(for_s=for_s)
        except (MeterFailure, OutputError) as error:
            ended, dead = "failed", error  # existing data is written all the same
        # A second signal while the end is being written is ignored.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self._systemd.stopping()
        self.collector.finish(ended)
        self._alerts.close()
        self._close_exports()
        if self.fallback is not None:
            with contextlib.suppress(OSError):  # it was not needed
                self.fallback.rmdir()
        snapshot = self.provider.state.snapshot()
        if sys.stderr.isatty():
            _write(sys.stderr, "\r\x1b[K")
        _tell(f"{self.folder}: {snapshot.source.packets:,} packets, ended: {ended}")
        with contextlib.suppress(OSError):  # a folder of root's alone: the next one replaces it
            self._socket_file.unlink(missing_ok=True)
        if dead is not None:
            raise dead
        if self.recorder.failure is not None:
            raise RecordingError(
                str(self.folder), self.recorder.failure, "Record into another folder with -o."
            )
        if ended == "interrupted":
            return EXIT_INTERRUPTED
        return failure(fail_on, snapshot)

    def _close_exports(self) -> None:
        engine = self.collector.engine
        for export in self._exports:
            export.close(engine.snapshot(), engine.flow_records())
            if export.lost:
                why = f" ({export.failing})" if export.failing else ""
                _tell(f"{export.named}: {export.lost:,} lines could not be written{why}")

    def _moved(self, recorder: Recorder) -> None:
        assert self.fallback is not None
        self.folder, self.fallback = self.fallback, None
        self.provider.export_folder = recorder.folder / "exports"

    def _status(self, collector: Collector) -> None:
        snapshot = collector.engine.snapshot()
        record = self.recorder.status()
        if (record.state, record.detail) != self._said:
            self._said = (record.state, record.detail)
            if not sys.stderr.isatty():
                _tell(f"{record.state}{f': {record.detail}' if record.detail else ''}")
        self._systemd.alive(lambda: self._words(collector))
        if self.as_json:
            now_s = time.monotonic()
            self._engine_cpu.take([os.getpid()], now_s)
            self._meters_cpu.take(self._meters.pids(), now_s)
            line = status_object(
                snapshot,
                record,
                self._meters.drops(),
                self._meters.gone(),
                self._engine_cpu,
                self._meters_cpu,
                self._alerts.standings(),
            )
            self._write_line(json.dumps(line) + "\n")
        elif sys.stderr.isatty():
            _write(sys.stderr, f"\r\x1b[K{self._words(collector)}")

    def _words(self, collector: Collector) -> str:
        seconds = int(collector_age(collector))
        return status_words(collector.engine.snapshot(), self.recorder.status(), seconds)

    def _write_line(self, text: str) -> None:
        """A line on stdout. Just after the start an unusable stdout is an error; later the
        recording matters more than its status lines.
        """
        try:
            print(text, end="", flush=True)
        except BrokenPipeError:
            pass
        except OSError as error:
            if not self._written:
                raise OutputError(error) from None
        self._written = True


def collector_age(collector: Collector) -> float:
    """Seconds since the collector began."""
    return time.monotonic() - collector.began


def _runtime_folder() -> Path:
    """The folder for the socket: root creates one for the dropped user, who can then remove the
    socket.
    """
    from panotui.feed.server import SHARED_FOLDER, default_folders
    from panotui.sources.live import deputy, privileges

    if os.geteuid() != 0:
        return default_folders()[0]
    place = SHARED_FOLDER / str(privileges.target()[0])
    os.close(deputy.folder(place, shared=True))
    return place


def _listening(path: Path) -> tuple[socket.socket, Path]:
    """(socket, a path of its file that stays reachable): created as the dropped user, who can
    remove it at the end; by root only in a folder that only root may change.
    """
    from panotui.feed.server import listen
    from panotui.sources.live import deputy, privileges

    uid, gid = privileges.target()
    private = privileges.is_nobody(uid)
    try:
        folder, as_user = deputy.writable_folder(path.parent)
    except OSError as error:
        raise UsageError(
            f"socket {path}", error.strerror or str(error), "Choose another with --socket."
        ) from None
    file = Path(f"/proc/self/fd/{folder}") / path.name
    try:
        if not as_user:
            return listen(file, private=private, owner=(uid, gid)), file
        with deputy.acting():
            return listen(file, private=private), file
    except UsageError as error:
        raise UsageError(f"socket {path}", error.why, error.remedy) from None


def _tell(text: str) -> None:
    _write(sys.stderr, f"panotui: {text}\n")


def _write(stream: object, text: str) -> None:
    """Write to a terminal that may be gone: a recorder continues without it."""
    try:
        print(text, end="", file=stream, flush=True)  # type: ignore[call-overload]
    except OSError:
        pass
