"""The report as Markdown for a ticket: a `Story` in, text out.

Tables in the common dialect (GitHub, GitLab, Jira's importer). Text from the wire is escaped, so
that a name can neither break a table nor become a link, an image or a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from panotui.model import CameraRecord
from panotui.report import content, glance, measures, wording
from panotui.report.content import GLYPHS, LEVELS
from panotui.report.page import name_of, title_of
from panotui.report.story import Story
from panotui.state.standing import but_said

ROWS_MAX = 100
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#!&@])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|www)(?=[:.])")


def markdown(*stories: Story) -> str:
    """The whole report as text that ends in a newline; several recordings one after another, below
    a table with one row each.
    """
    heading = stories[0].heading
    lines = [f"# {escaped(title_of(heading, stories))}", ""]
    said = (("Customer", heading.customer), ("Technician", heading.technician))
    lines += [f"{what}: {escaped(who)}  " for what, who in said if who]
    if len(stories) > 1:
        lines += _sites(stories)
    for story in stories:
        if len(stories) > 1:
            lines += [f"# {escaped(name_of(story))}", ""]
        for part in (
            _head, _availability, _outages, _findings, _violations, _differences, _cameras, _ports,
            _endpoints, _time, _devices, _evidence, _limits, _source,
        ):  # fmt: skip
            lines += part(story)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: object) -> str:
    """Text that Markdown shows unchanged, on one line; web addresses do not become links."""
    flat = " ".join(str(text).split())
    # A zero-width joiner keeps programs from making links of text from the wire.
    return _ADDRESS.sub("\\1\u200b", _SPECIAL.sub(r"\\\1", flat))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    all_rows = list(rows)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += ["| " + " | ".join(escaped(c) for c in row) + " |" for row in all_rows[:ROWS_MAX]]
    if len(all_rows) > ROWS_MAX:
        lines += ["", f"{len(all_rows) - ROWS_MAX:,} more in `panotui analyze --json`."]
    return [*lines, ""]


def _standing(record: CameraRecord) -> str:
    """A state with the glyph of the worst open finding about it."""
    return f"{GLYPHS[LEVELS.get(record.standing, 'none')]} {record.state}{but_said(record)}"


def _state(word: str) -> str:
    return f"{GLYPHS[LEVELS.get(word, 'none')]} {word}"


def _place(address: str, port: int | None) -> str:
    shown = f"[{address}]" if ":" in address and port is not None else address
    return shown if port is None else f"{shown}:{port}"


def _sites(stories: Sequence[Story]) -> list[str]:
    rows = []
    for story in stories:
        said = content.verdict(story)
        troubles = [t.finding for t in content.told(story.findings)]
        rows.append(
            (
                name_of(story), f"{GLYPHS[said.level]} {said.word}",
                measures.worst(story, "camera:"), measures.worst(story, "internet"),
                sum(f.severity == "error" for f in troubles),
                sum(f.severity == "warning" for f in troubles),
                len(story.snapshot.violations),
            )
        )  # fmt: skip
    head = ("Site", "Verdict", "Cameras, worst", "AWS", "Errors", "Warnings", "Violations")
    return _table(head, rows)


def _head(story: Story) -> list[str]:
    said = content.verdict(story)
    when = ""
    if story.start_s:
        when = story.heading.time.span(story.start_s, story.end_s)
        when += f", {wording.duration(story.span.seconds)}, "
    return [
        f"**{GLYPHS[said.level]} {said.word}.** {escaped(said.text)}",
        "",
        f"{when}from {escaped(story.named)}",
        "",
        *_table(
            ("What", "How it stands"),
            ((what, f"{GLYPHS[level]} {how}") for level, what, how in content.standing(story)),
        ),
    ]


def _availability(story: Story) -> list[str]:
    shown, folded = glance.rows(story)
    rows = [(f"{GLYPHS[r.level]} {r.name}", r.available, r.lost) for r in shown]
    if not rows:
        return []
    lines = ["## Availability", "", *_table(("What", "Available", "Lost"), rows)]
    if folded:
        names = escaped(content.first([r.name for r in folded]))
        lines += [f"Not lost for a second: {names}.", ""]
    return lines


def _outages(story: Story) -> list[str]:
    time = story.heading.time
    rows = [
        (
            o.name, time.moment(o.start_s * 10**9),
            "not over at the end" if o.is_open else time.moment(o.end_s * 10**9),
            wording.duration(o.end_s - o.start_s),
        )
        for o in glance.outages(story)
    ]  # fmt: skip
    head = ("What", "From", "To", "For")
    return ["## Outages", "", *_table(head, rows)] if rows else []


def _findings(story: Story) -> list[str]:
    lines = ["## What was found, and what to do", ""]
    if not story.findings:
        said = content.verdict(story)
        return [*lines, "Nothing." if said.level == "ok" else escaped(said.text), ""]
    for number, told in enumerate(content.told(story.findings)[:ROWS_MAX], 1):
        finding = told.finding
        known = "; marked as known" if finding.known else ""
        over = ", over" if finding.cleared_time_ns is not None else ""
        do = "" if finding.severity == "info" else "Do: "
        lines += [
            f"{number}. **{_state(finding.severity)}{over}: {escaped(finding.text)}**",
            f"   - {do}{escaped(finding.action)} ({escaped(content.who(finding))})",
            f"   - {told.lasted(story.heading.time)}; {finding.confidence}; "
            f"{escaped(finding.id)}{known}",
        ]
        lines += [f"   - {escaped(detail)}" for detail in finding.detail[:4]]
        for evidence in finding.evidence[:4]:
            packet = ""
            if evidence.packet is not None and story.is_capture:
                packet = f", packet {evidence.packet}"
            elif evidence.frame is not None and finding.evidence_file:
                packet = f", frame {evidence.frame} of {escaped(finding.evidence_file)}"
            at = story.heading.time.clock(evidence.time_ns)
            lines.append(f"   - {at}{packet}: {escaped(evidence.text)}")
    return [*lines, ""]


def _differences(story: Story) -> list[str]:
    before = story.before
    if before is None:
        return []
    time = story.heading.time
    words = {"ok": "better", "bad": "worse"}
    rows = [(d.what, d.before, d.now, words.get(d.level, "")) for d in content.differences(story)]
    return [
        "## Compared with the span before", "",
        f"{time.span(before.told.start_s, before.told.end_s)} against"
        f" {time.span(before.span.start_s, before.span.end_s)}", "",
        *_table(("What", "Before", "Now", ""), rows),
    ]  # fmt: skip


def _ports(story: Story) -> list[str]:
    rows = [
        (
            p.record.name, p.record.role or "", _state(p.record.state),
            ", ".join(p.record.addresses[:4]), p.available,
            f"{wording.rate(p.mean_in_bps)}, peak {wording.rate(p.peak_in_bps)}",
            f"{wording.rate(p.mean_out_bps)}, peak {wording.rate(p.peak_out_bps)}",
            p.record.neighbour or "",
        )
        for p in measures.ports(story)
    ]  # fmt: skip
    head = ("Port", "Role", "State", "Addresses", "Available", "In", "Out", "Hangs on")
    return ["## Ports", "", *(_table(head, rows) if rows else ["None was recognised.", ""])]


def _cameras(story: Story) -> list[str]:
    rows = [
        (
            c.name, "" if c.record is None else _standing(c.record), c.address,
            "; ".join(c.pictures) or "no stream seen", c.available,
            f"{wording.rate(c.mean_bps)}, peak {wording.rate(c.peak_bps)}", c.loss,
            wording.milliseconds(c.jitter_ms), c.freezes,
        )
        for c in measures.cameras(story)
    ]  # fmt: skip
    head = (
        "Camera", "State", "From", "Picture", "Available", "Bit-rate", "Loss", "Jitter", "Freezes",
    )  # fmt: skip
    return ["## Cameras and streams", "", *(_table(head, rows) if rows else ["None was seen.", ""])]


def _endpoints(story: Story) -> list[str]:
    rows = [
        (
            e.label or e.service, f"{e.host}:{e.port}", _state(e.state), available, lost,
            f"{e.successes:,} of {e.attempts:,}" if e.attempts else wording.UNKNOWN,
            wording.milliseconds(e.rtt_ms), e.tls_version or wording.UNKNOWN, e.detail or "",
        )
        for e, available, lost in measures.endpoints(story)
    ]  # fmt: skip
    head = (
        "Service", "Host", "State", "Available", "Lost", "Worked", "Round trip", "TLS", "Detail",
    )  # fmt: skip
    return ["## Endpoints", "", *(_table(head, rows) if rows else ["None is known.", ""])]


def _devices(story: Story) -> list[str]:
    rows = [
        (
            d.names[0] if d.names else wording.UNKNOWN, d.role, d.mac, d.vendor or wording.UNKNOWN,
            ", ".join(d.addresses), wording.place(d), wording.size(d.bytes),
        )
        for d in story.snapshot.devices
    ]  # fmt: skip
    head = ("Name", "Role", "MAC", "Maker", "Addresses", "Port", "Sent")
    return ["## Inventory", "", *(_table(head, rows) if rows else ["None was heard.", ""])]


def _violations(story: Story) -> list[str]:
    rows = [
        (
            v.reason, v.severity, "known" if v.known else v.state,
            f"{_place(v.src, v.sport)} → {_place(v.dst, v.dport)} {v.transport}",
            v.host or "", v.text, v.suggestion or "", f"{v.packets:,}",
            story.heading.time.moment(v.first_time_ns), story.heading.time.moment(v.last_time_ns),
        )
        for v in story.snapshot.violations
    ]  # fmt: skip
    head = (
        "Reason", "Severity", "State", "Flow", "Host", "What", "Do", "Packets", "First", "Last",
    )  # fmt: skip
    return ["## Violations", "", *(_table(head, rows) if rows else ["None was seen.", ""])]


def _time(story: Story) -> list[str]:
    clock = story.snapshot.clock
    rows = [
        (
            t.address, t.scope, wording.UNKNOWN if t.stratum is None else t.stratum,
            f"{t.responses:,} of {t.requests:,}", wording.milliseconds(t.offset_ms),
        )
        for t in clock.servers
    ]  # fmt: skip
    head = ("Time server", "Scope", "Stratum", "Answered", "Offset")
    return ["## Time", "", f"{_state(clock.state)}", "", *(_table(head, rows) if rows else [])]


def _evidence(story: Story) -> list[str]:
    rows = [
        (
            e.file, story.heading.time.moment(e.time_ns), e.title, f"{e.packets:,}",
            wording.size(e.bytes),
            (e.sha256 or wording.UNKNOWN) + (", changed since" if e.intact is False else ""),
        )
        for e in story.evidence
    ]  # fmt: skip
    head = ("File", "Time", "About", "Packets", "Size", "SHA-256")
    return ["## Evidence", "", *_table(head, rows)] if rows else []


def _limits(story: Story) -> list[str]:
    said = [f"- {GLYPHS[level]} {escaped(text)}" for level, text in content.limits_said(story)]
    return ["## What was not seen", "", *said, ""]


def _source(story: Story) -> list[str]:
    source, site = story.snapshot.source, story.snapshot.site
    facts = [
        ("Packets", f"{source.packets:,}, {wording.size(source.bytes)}"),
        ("Format", source.format or wording.UNKNOWN),
        ("Times", story.heading.time.name(story.start_s, story.end_s)),
        ("Topology", site.topology or wording.UNKNOWN),
        ("Region", site.region or wording.UNKNOWN),
        ("Seen from", site.vantage or wording.UNKNOWN),
        ("Made by", story.made_by),
    ]
    return ["## Source and site", "", *_table(("What", "Value"), facts)]
