"""Violations and findings that leave while live: NDJSON, syslog (RFC 5424), a webhook.

Sinks take `Alert`s from a snapshot's news and never block the engine: each has a thread and a
bounded queue; what does not fit or cannot be delivered after its retries is counted in `lost`.
"""

from __future__ import annotations

import datetime
import os
import queue
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, Protocol
from urllib.parse import urlsplit

import msgspec

from panotui.errors import UsageError
from panotui.model import FindingRecord, Severity, Snapshot, ViolationRecord

QUEUE_MAX = 1_000
WEBHOOK_TRIES = 4
_SYSLOG_LEVEL = {"error": 3, "warning": 4, "info": 6}
_FACILITY_LOCAL0 = 16


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One line of news for a machine or a person elsewhere."""

    time: str  # RFC 3339 UTC
    type: str  # "violation", "finding", "cleared"
    id: str
    severity: Severity
    subject: str
    text: str
    action: str | None = None
    site: str | None = None
    port: str | None = None


def rfc3339(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


class AlertFilter:
    """Turns successive snapshots into alerts: each violation and finding once, and its clearing."""

    def __init__(self, limit: int = 4_096) -> None:
        self._told: dict[str, str] = {}
        self._limit = limit

    def news(self, snapshot: Snapshot) -> Iterator[Alert]:
        """What has come or gone since the last call."""
        for violation in snapshot.violations:
            yield from self._violation(violation, snapshot)
        for finding in snapshot.findings:
            yield from self._finding(finding, snapshot)

    def _new(self, key: str, state: str) -> bool:
        if self._told.get(key) == state:
            return False
        self._told.pop(key, None)
        self._told[key] = state
        while len(self._told) > self._limit:
            del self._told[next(iter(self._told))]
        return True

    def _violation(self, v: ViolationRecord, snapshot: Snapshot) -> Iterator[Alert]:
        if v.known or not self._new(f"violation {v.id}", "told"):
            return
        yield Alert(
            time=rfc3339(v.first_time_ns),
            type="violation",
            id=v.reason,
            severity=v.severity,
            subject=f"{v.src} > {v.host or v.dst}",
            text=v.text,
            action=v.suggestion,
            site=snapshot.site.name,
            port=v.port,
        )

    def _finding(self, f: FindingRecord, snapshot: Snapshot) -> Iterator[Alert]:
        if f.hidden_by or f.known or f.severity == "info":
            return
        cleared = f.cleared_time_ns is not None
        key = f"finding {f.key or f.id + ' ' + f.subject}"
        if cleared and key not in self._told:
            return
        if not self._new(key, "cleared" if cleared else "open"):
            return
        yield Alert(
            time=rfc3339(f.cleared_time_ns or f.first_time_ns),
            type="cleared" if cleared else "finding",
            id=f.id,
            severity="info" if cleared else f.severity,
            subject=f.subject,
            text=f.text,
            action=None if cleared else f.action,
            site=snapshot.site.name,
        )


class Sink(Protocol):
    """Where alerts go; `send` returns at once."""

    lost: int

    def send(self, alert: Alert) -> None: ...

    def close(self) -> None: ...


class QueuedSink:
    """A sink with a thread: `deliver(alert)` may take its time, `send` never does."""

    def __init__(self, deliver: Callable[[Alert], bool], *, limit: int = QUEUE_MAX) -> None:
        self.lost = 0
        self._deliver = deliver
        self._queue: queue.Queue[Alert | None] = queue.Queue(limit)
        self._thread = threading.Thread(target=self._work, daemon=True, name="alerts")
        self._thread.start()

    def send(self, alert: Alert) -> None:
        try:
            self._queue.put_nowait(alert)
        except queue.Full:
            self.lost += 1

    def close(self, timeout_s: float = 2.0) -> None:
        """Deliver what is queued, for at most `timeout_s`."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (alert := self._queue.get()) is not None:
            try:
                delivered = self._deliver(alert)
            except OSError:
                delivered = False
            if not delivered:
                self.lost += 1


def ndjson_sink(target: str) -> QueuedSink:
    """Alerts as JSON lines appended to a file, or to stdout for `-`."""
    stream: IO[bytes]
    if target == "-":
        stream = sys.stdout.buffer
    else:
        try:
            stream = os.fdopen(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "wb")
        except OSError as error:
            raise UsageError(
                f"--alerts {target}", error.strerror or "cannot be opened", "Name another file."
            ) from None

    def deliver(alert: Alert) -> bool:
        stream.write(msgspec.json.encode(alert) + b"\n")
        stream.flush()
        return True

    return QueuedSink(deliver)


def syslog_line(alert: Alert, host: str) -> bytes:
    """RFC 5424: `<PRI>1 TIME HOST APP PROCID MSGID [SD] MSG`; UTF-8 with its mark."""
    priority = _FACILITY_LOCAL0 * 8 + _SYSLOG_LEVEL[alert.severity]

    def value(text: str) -> str:  # 6.3.3: backslash, quote and bracket are escaped
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

    pairs = {"type": alert.type, "id": alert.id, "subject": alert.subject}
    data = "[panotui@32473 " + " ".join(f'{k}="{value(v)}"' for k, v in pairs.items()) + "]"
    name = "".join(c for c in host if 33 <= ord(c) <= 126)[:255] or "-"
    head = f"<{priority}>1 {alert.time} {name} panotui {os.getpid()} {alert.type} {data} "
    return head.encode() + b"\xef\xbb\xbf" + alert.text.encode()


def syslog_sink(target: str) -> QueuedSink:
    """`HOST[:PORT]` over UDP (RFC 5426), `tcp://HOST:PORT` with lengths (RFC 6587), or a path."""
    host = socket.gethostname()
    if target.startswith("/"):

        def to_path(alert: Alert) -> bool:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.connect(target)
                sock.send(syslog_line(alert, host))
            return True

        return QueuedSink(to_path)
    parts = urlsplit(target if "//" in target else f"udp://{target}")
    try:
        port = parts.port or 514
    except ValueError:
        port = 0
    if parts.scheme not in ("udp", "tcp") or not parts.hostname or not port:
        raise UsageError(
            f"--syslog {target}", "not HOST[:PORT], tcp://HOST:PORT or a socket's path"
        )
    address = (parts.hostname, port)
    stream = parts.scheme == "tcp"

    def to_host(alert: Alert) -> bool:
        line = syslog_line(alert, host)
        if stream:
            with socket.create_connection(address, timeout=5) as sock:
                sock.sendall(f"{len(line)} ".encode() + line)
            return True
        family, kind, proto, _, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as sock:
            sock.sendto(line[:2048], where)
        return True

    return QueuedSink(to_host)


def webhook_sink(url: str, *, pause_s: float = 1.0) -> QueuedSink:
    """POST each alert as JSON; four tries with growing pauses, then it is counted as lost."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--webhook {url}", "not an http or https address")

    def deliver(alert: Alert) -> bool:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            url,
            data=msgspec.json.encode(alert),
            headers={"Content-Type": "application/json", "User-Agent": "panotui"},
        )
        for attempt in range(WEBHOOK_TRIES):
            if attempt:
                time.sleep(pause_s * 2 ** (attempt - 1))
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                    answer.read(1024)
                    return True
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code != 429:
                    return False  # it will not change its mind
            except OSError:
                continue
        return False

    return QueuedSink(deliver)
