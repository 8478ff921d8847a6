"""The result of `analyze` in words: a snapshot in, a page of text out."""

from __future__ import annotations

from datetime import UTC, datetime

from panotui.model import SECOND, EndpointRecord, FindingRecord, Snapshot, StreamRecord
from panotui.model.quantities import rate
from panotui.state.standing import (
    but_said,
    cameras_said,
    endpoints_said,
    unseen,
    unseen_endpoints,
    violations_said,
)

_GLYPH = {"ok": "✔", "warn": "!", "bad": "✖", "none": "-"}
_COLOUR = {"ok": "\x1b[32m", "warn": "\x1b[33m", "bad": "\x1b[31m", "none": ""}
_LISTED = 20


def _time(time_ns: int | None) -> str:
    if not time_ns:
        return "-"
    return datetime.fromtimestamp(time_ns / SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class _Text:
    def __init__(self, colour: bool) -> None:
        self.lines: list[str] = []
        self._colour = colour

    def head(self, title: str, note: str = "") -> None:
        bold, plain = ("\x1b[1m", "\x1b[0m") if self._colour else ("", "")
        self.lines.append(f"{bold}{title}{plain}  {note}".rstrip())

    def row(self, level: str, text: str) -> None:
        on, off = (_COLOUR[level], "\x1b[0m") if self._colour and _COLOUR[level] else ("", "")
        self.lines.append(f" {on}{_GLYPH[level]}{off} {text}")

    def more(self, count: int) -> None:
        if count > _LISTED:
            self.lines.append(f"   +{count - _LISTED} more (--json has all)")


def summary(snapshot: Snapshot, *, colour: bool = False) -> str:
    """The results, worst first, under the four questions of the overview."""
    text = _Text(colour)
    _source(text, snapshot)
    _ports(text, snapshot)
    _cameras(text, snapshot)
    _cloud(text, snapshot)
    _violations(text, snapshot)
    _findings(text, snapshot)
    return "\n".join(text.lines)


def _source(text: _Text, snapshot: Snapshot) -> None:
    source, site = snapshot.source, snapshot.site
    name = " ".join(w for w in (site.name, site.topology, site.vantage, site.region) if w)
    text.head(name or "site unnamed", ", ".join(source.files))
    said = [f"{source.packets:,} packets", f"{source.bytes:,} bytes"]
    if source.truncated:
        said.append("the file is truncated: answered from what was read")
    if source.malformed:
        said.append(f"{source.malformed:,} malformed")
    if source.lost:
        said.append(f"{source.lost:,} missed by the capture")
    text.lines.append(f"   {', '.join(said)}")
    if source.first_time_ns and source.last_time_ns:
        seconds = (source.last_time_ns - source.first_time_ns) / SECOND
        text.lines.append(f"   {_time(source.first_time_ns)}, {seconds:,.1f} s")


def _ports(text: _Text, snapshot: Snapshot) -> None:
    text.head("PORTS", "" if snapshot.ports else "none known")
    levels = {"up": "ok", "standby": "ok", "down": "bad", "silent": "warn"}
    levels |= {"warning": "warn", "error": "bad"}
    for port in snapshot.ports:
        address = ", ".join(port.addresses[:2])
        text.row(
            levels.get(port.standing, "none"),
            f"{port.name} {port.role or ''} {port.state}{but_said(port)}  {address}"
            f"  in {port.packets_in:,} out {port.packets_out:,} packets,"
            f" peak in {rate(port.peak_in_bps)} out {rate(port.peak_out_bps)}".replace("  ", " "),
        )


_CAMERA_LEVELS = {
    "streaming": "ok",
    "paused": "warn",
    "unseen": "none",
    "connecting": "none",
    "losing": "warn",
    "warning": "warn",
}


def _cameras(text: _Text, snapshot: Snapshot) -> None:
    counts = snapshot.counts
    text.head("CAMERAS", cameras_said(counts) if counts.cameras else "none seen")
    by_camera: dict[str | None, list[StreamRecord]] = {}
    for stream in snapshot.streams:
        by_camera.setdefault(stream.camera, []).append(stream)
    for camera in snapshot.cameras[:_LISTED]:
        level = _CAMERA_LEVELS.get(camera.standing, "bad")
        text.row(
            level,
            f"{camera.name} {camera.address}  {camera.state_text or camera.state}"
            f"{but_said(camera)}",
        )
        for stream in by_camera.get(camera.name, ())[:6]:
            text.lines.append(f"     {_stream(stream)}")
    text.more(len(snapshot.cameras))
    for stream in by_camera.get(None, ())[:6]:
        text.row("warn", f"no camera known  {stream.src}:{stream.sport}  {_stream(stream)}")


def _stream(stream: StreamRecord) -> str:
    size = f" {stream.width}x{stream.height}" if stream.width else ""
    fps = f" {stream.fps:.1f} fps" if stream.fps is not None else ""
    lost = 100 * stream.lost / stream.expected if stream.expected else 0.0
    jitter = f" jitter {stream.jitter_mean_ms:.1f} ms" if stream.jitter_mean_ms is not None else ""
    held = len(stream.freezes)
    frozen = f" {held} freeze{'s' if held > 1 else ''}" if held else ""
    return (
        f"{stream.codec or 'codec unknown'}{size}{fps} {rate(stream.bitrate_mean_bps)}"
        f" {stream.transport} loss {lost:.2f}% ({stream.lost:,}){jitter}{frozen}"
        f" {stream.state}{but_said(stream)}"
    )


def _cloud(text: _Text, snapshot: Snapshot) -> None:
    counts = snapshot.counts
    text.head("CLOUD", endpoints_said(counts) if counts.endpoints else "no endpoint known")
    levels = {"reachable": "ok", "blocked": "bad", "failing": "bad"}
    seen = [e for e in snapshot.endpoints if e.state != "unseen"]
    for endpoint in seen[:_LISTED]:
        text.row(
            levels.get(endpoint.state, "none"),
            f"{endpoint.label or endpoint.service} {endpoint.host}:{endpoint.port}"
            f" {endpoint.state} {endpoint.detail or ''}".rstrip(),
        )
    if missing := unseen_endpoints(snapshot.endpoints):
        text.row("none", f"not seen: {', '.join(missing)}")
    text.row(
        {"synchronised": "ok", "unknown": "none"}.get(snapshot.clock.state, "warn"),
        f"time {snapshot.clock.state}",
    )


def _violations(text: _Text, snapshot: Snapshot) -> None:
    counts = snapshot.counts
    text.head("VIOLATIONS", violations_said(counts))
    for violation in snapshot.violations[:_LISTED]:
        peer = violation.host or violation.dst
        port = "" if violation.dport is None else f":{violation.dport}"
        text.row(
            "bad" if violation.severity == "error" else "warn",
            f"{violation.reason}  {violation.src} > {peer}{port}  {violation.text}",
        )
    text.more(len(snapshot.violations))


_NO_CAUSE = "NO CAUSE KNOWN"
_NOT_TRIED = "NOT TRIED AGAIN"


def _without_cause(snapshot: Snapshot) -> list[str]:
    """Needed things that do not work, whether or not a finding explains them."""
    out = [
        f"{e.label or e.service} {e.host}:{e.port} is {e.state}"
        for e in snapshot.endpoints
        if e.needed and e.state in ("blocked", "failing") and not _is_past(e, snapshot)
    ]
    out += [
        f"camera {c.name} is {c.state}"
        for c in snapshot.cameras
        if c.state in ("silent", "refused", "unreachable")
    ]
    return out


def _is_past(endpoint: EndpointRecord, snapshot: Snapshot) -> bool:
    """It last failed during an outage that is over: the result of another attempt is unknown."""
    last = max((a.time_ns for a in endpoint.attempts_detail), default=0)
    return last > 0 and any(
        f.first_time_ns - SECOND <= last <= f.cleared_time_ns
        for f in snapshot.findings
        if f.severity == "error" and f.hidden_by is None and f.cleared_time_ns is not None
    )


def _untried(snapshot: Snapshot) -> list[str]:
    """Needed things that were not tried again after a failure whose cause is over."""
    return [
        f"{e.label or e.service} {e.host}:{e.port} was {e.state}, and not tried since "
        + _clock(max(a.time_ns for a in e.attempts_detail))
        for e in snapshot.endpoints
        if e.needed and e.state in ("blocked", "failing") and _is_past(e, snapshot)
    ]


def _clock(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / SECOND, UTC).strftime("%H:%M:%S UTC")


def _findings(text: _Text, snapshot: Snapshot) -> None:
    """Open findings, then past ones; nothing counts as done that is only marked as known, or not
    observed.
    """
    shown = [f for f in snapshot.findings if f.hidden_by is None]
    shown.sort(key=lambda f: (f.cleared_time_ns is not None, f.severity == "info"))
    head, note = _to_do(snapshot, shown)
    text.head(head, note)
    if head == _NO_CAUSE:
        for line in _without_cause(snapshot)[:_LISTED]:
            text.row("bad", line)
    elif head == _NOT_TRIED:
        for line in _untried(snapshot)[:_LISTED]:
            text.row("none", line)
    for finding in shown[:_LISTED]:
        level = {"error": "bad", "warning": "warn"}.get(finding.severity, "none")
        state = "  (known)" if finding.known else ""
        if finding.cleared_time_ns is not None:
            state, level = "  (cleared)", "none"
        text.row(level, f"{finding.text}  [{finding.id}, {finding.confidence}]{state}")
        if finding.action:
            text.lines.append(f"     > {finding.action}")
    text.more(len(shown))


def _to_do(snapshot: Snapshot, shown: list[FindingRecord]) -> tuple[str, str]:
    counts = snapshot.counts
    todo = [f for f in shown if f.cleared_time_ns is None and f.severity != "info"]
    known = sum(f.known for f in todo)
    if len(todo) > known:
        also = f", {known} known" if known else ""
        return "WHAT TO DO", f"{_counted(len(todo) - known, 'finding')}{also}"
    if counts.violations_open > counts.violations_known:
        news = counts.violations_open - counts.violations_known
        return "WHAT TO DO", f"{_counted(news, 'violation')} to look at"
    if todo:
        return "WHAT TO DO", f"{known} known, nothing else is open"
    if fails := _without_cause(snapshot):
        # a failure without a known cause still means that not all is well
        return _NO_CAUSE, f"{len(fails)} needed things do not work"
    if waits := _untried(snapshot):
        return _NOT_TRIED, f"{len(waits)} needed things, since a past failure"
    if not snapshot.source.packets:
        return "NOTHING SEEN", "not a single packet"
    over = sum(f.cleared_time_ns is not None and f.severity != "info" for f in shown)
    said = f"{_counted(over, 'problem')} came and went" if over else "no findings"
    missing = unseen(snapshot)
    if missing:
        said += f"; not seen: {', '.join(missing[:8])}"
    return "NOTHING TO DO", said


def _counted(count: int, noun: str) -> str:
    """`1 finding`, `3 findings`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
