"""The report as Markdown for a ticket: a `Story` in, text out.

Tables in the common dialect (GitHub, GitLab, Jira's importer). What came from the wire is escaped,
so that a name can neither break a table nor become a link, an image or a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from panotui.model import CameraRecord, StreamRecord
from panotui.report import content
from panotui.report.content import GLYPHS, LEVELS, Story

ROWS_MAX = 100
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#!&@])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|www)(?=[:.])")


def markdown(story: Story) -> str:
    """The whole report as text that ends in a newline."""
    lines: list[str] = []
    for part in (
        _head, _findings, _ports, _cameras, _endpoints, _violations, _devices, _time, _limits,
        _source,
    ):  # fmt: skip
        lines += part(story)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: object) -> str:
    """Text that Markdown shows as it is, on one line; addresses of pages do not become links."""
    flat = " ".join(str(text).split())
    # A zero-width joint keeps programs from making links of what the wire said.
    return _ADDRESS.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", flat))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    all_rows = list(rows)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += ["| " + " | ".join(escaped(c) for c in row) + " |" for row in all_rows[:ROWS_MAX]]
    if len(all_rows) > ROWS_MAX:
        lines += ["", f"{len(all_rows) - ROWS_MAX:,} more in `panotui analyze --json`."]
    return [*lines, ""]


def _standing(record: CameraRecord | StreamRecord) -> str:
    """A state with the glyph of the worst that is open about it."""
    but = f", but {record.trouble}" if record.standing != record.state else ""
    return f"{GLYPHS[LEVELS.get(record.standing, 'none')]} {record.state}{but}"


def _state(word: str) -> str:
    return f"{GLYPHS[LEVELS.get(word, 'none')]} {word}"


def _place(address: str, port: int | None) -> str:
    shown = f"[{address}]" if ":" in address and port is not None else address
    return shown if port is None else f"{shown}:{port}"


def _head(story: Story) -> list[str]:
    said = content.verdict(story)
    start, length = content.moment(story.start_s * 10**9), story.end_s - story.start_s
    when = f"{start} UTC, {content.duration(length)}, " if story.start_s else ""
    return [
        f"# {escaped(story.snapshot.site.name or 'Appliance')}: network report",
        "",
        f"**{GLYPHS[said.level]} {said.word}.** {said.text}",
        "",
        f"{when}from {escaped(story.named)}",
        "",
        *_table(
            ("What", "How it stands"),
            ((what, f"{GLYPHS[level]} {how}") for level, what, how in content.standing(story)),
        ),
    ]


def _findings(story: Story) -> list[str]:
    lines = ["## What to do", ""]
    if not story.findings:
        said = content.verdict(story)
        return [*lines, "Nothing." if said.level == "ok" else escaped(said.text), ""]
    for number, finding in enumerate(story.findings[:ROWS_MAX], 1):
        over = "; marked as known" if finding.known else ""
        if finding.cleared_time_ns is not None:
            over = f"; over at {content.moment(finding.cleared_time_ns)} UTC"
        do = "" if finding.severity == "info" else "Do: "
        lines += [
            f"{number}. **{_state(finding.severity)}: {escaped(finding.text)}**",
            f"   - {do}{escaped(finding.action)}",
            f"   - {escaped(finding.id)}, {finding.confidence}; "
            f"{content.moment(finding.first_time_ns)} UTC{over}",
        ]
        lines += [f"   - {escaped(detail)}" for detail in finding.detail[:4]]
        for evidence in finding.evidence[:4]:
            packet = f", packet {evidence.packet}" if evidence.packet is not None else ""
            lines.append(
                f"   - {content.clock_time(evidence.time_ns)}{packet}: {escaped(evidence.text)}"
            )
    return [*lines, ""]


def _ports(story: Story) -> list[str]:
    rows = [
        (
            p.name, p.role or "", _state(p.state), ", ".join(p.addresses[:4]),
            f"{content.size(p.bytes_in)}, peak {content.rate(p.peak_in_bps)}",
            f"{content.size(p.bytes_out)}, peak {content.rate(p.peak_out_bps)}", p.neighbour or "",
        )
        for p in story.snapshot.ports
    ]  # fmt: skip
    head = ("Port", "Role", "State", "Addresses", "In", "Out", "Hangs on")
    return ["## Ports", "", *(_table(head, rows) if rows else ["None was recognised.", ""])]


def _cameras(story: Story) -> list[str]:
    rows: list[Sequence[object]] = []
    for name, state, address in [
        *((c.name, _standing(c), c.address) for c in story.snapshot.cameras),
        (None, "", ""),
    ]:
        streams = story.streams_of(name)
        if not streams and name is not None:
            rows.append((name, state, address, "no stream seen", "", "", "", ""))
        for s in streams:
            rows.append(
                (
                    name or "unknown", _standing(s), f"{s.src} {s.transport}",
                    content.frame_text(s), content.rate(s.bitrate_mean_bps), content.loss_text(s),
                    content.milliseconds(s.jitter_mean_ms), len(s.freezes),
                )
            )  # fmt: skip
    head = ("Camera", "State", "From", "Picture", "Bit-rate", "Loss", "Jitter", "Freezes")
    return ["## Cameras and streams", "", *(_table(head, rows) if rows else ["None was seen.", ""])]


def _endpoints(story: Story) -> list[str]:
    rows = [
        (
            e.label or e.service, f"{e.host}:{e.port}", _state(e.state),
            f"{e.successes:,} of {e.attempts:,}" if e.attempts else content.UNKNOWN,
            content.milliseconds(e.rtt_ms), e.tls_version or content.UNKNOWN, e.detail or "",
        )
        for e in content.endpoints_in_order(story)
    ]  # fmt: skip
    head = ("Service", "Host", "State", "Worked", "Round trip", "TLS", "Detail")
    return ["## Endpoints", "", *(_table(head, rows) if rows else ["None is known.", ""])]


def _devices(story: Story) -> list[str]:
    rows = [
        (
            d.names[0] if d.names else content.UNKNOWN, d.role, d.mac, d.vendor or content.UNKNOWN,
            ", ".join(d.addresses), content.place(d), content.size(d.bytes),
        )
        for d in story.snapshot.devices
    ]  # fmt: skip
    head = ("Name", "Role", "MAC", "Maker", "Addresses", "Port", "Sent")
    return ["## Devices", "", *(_table(head, rows) if rows else ["None was heard.", ""])]


def _violations(story: Story) -> list[str]:
    rows = [
        (
            v.reason, v.severity, "known" if v.known else v.state,
            f"{_place(v.src, v.sport)} → {_place(v.dst, v.dport)} {v.transport}",
            v.host or "", v.text, v.suggestion or "", f"{v.packets:,}",
        )
        for v in story.snapshot.violations
    ]  # fmt: skip
    head = ("Reason", "Severity", "State", "Flow", "Host", "What", "Do", "Packets")
    return ["## Violations", "", *(_table(head, rows) if rows else ["None was seen.", ""])]


def _time(story: Story) -> list[str]:
    clock = story.snapshot.clock
    rows = [
        (
            t.address, t.scope, content.UNKNOWN if t.stratum is None else t.stratum,
            f"{t.responses:,} of {t.requests:,}", content.milliseconds(t.offset_ms),
        )
        for t in clock.servers
    ]  # fmt: skip
    head = ("Time server", "Scope", "Stratum", "Answered", "Offset")
    return ["## Time", "", f"{_state(clock.state)}", "", *(_table(head, rows) if rows else [])]


def _limits(story: Story) -> list[str]:
    said = [f"- {GLYPHS[level]} {escaped(text)}" for level, text in content.limits_said(story)]
    return ["## What was not seen", "", *said, ""]


def _source(story: Story) -> list[str]:
    source, site = story.snapshot.source, story.snapshot.site
    facts = [
        ("Packets", f"{source.packets:,}, {content.size(source.bytes)}"),
        ("Format", source.format or content.UNKNOWN),
        (
            "From, to",
            f"{content.moment(source.first_time_ns)} to {content.moment(source.last_time_ns)} UTC",
        ),
        ("Topology", site.topology or content.UNKNOWN),
        ("Region", site.region or content.UNKNOWN),
        ("Seen from", site.vantage or content.UNKNOWN),
        ("Made by", story.made_by),
    ]
    return ["## Source and site", "", *_table(("What", "Value"), facts)]
