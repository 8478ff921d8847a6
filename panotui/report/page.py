"""The report: a recording in, a self-contained HTML page with plots, or Markdown, out.

Everything that came from the wire is escaped by the template; the page refers to nothing outside
itself, so that it can be mailed and opened years later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib import resources
from typing import Any

from panotui import __version__
from panotui.model import SECOND
from panotui.recording.reader import Recording
from panotui.report.analysis import time_text
from panotui.report.plots import Point, line_plot

EVENTS_SHOWN = 300
FLOWS_SHOWN = 200


def html(recording: Recording, title: str) -> str:
    """The page."""
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_template("page.html.j2"))
    facts = _facts(recording, title)
    facts["plots"] = [
        (heading, [(name, Markup(svg)) for name, svg in plots])  # noqa: S704 - made by plots.py
        for heading, plots in _plots(recording)
    ]
    return template.render(**facts)


def markdown(recording: Recording, title: str) -> str:
    """The same without plots, for a ticket or a wiki."""
    from jinja2 import Environment

    environment = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - Markdown, cells go through `cell`
    environment.filters["cell"] = _cell
    return environment.from_string(_template("page.md.j2")).render(**_facts(recording, title))


def _template(name: str) -> str:
    return resources.files("panotui.report").joinpath(name).read_text("utf-8")


def _cell(value: object) -> str:
    """Text as one Markdown table cell that stays text."""
    text = "-" if value is None or value == "" else str(value)
    for character in "\\`*_[]<>|#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _facts(recording: Recording, title: str) -> dict[str, Any]:
    final = recording.final()
    flows = recording.all_flows()
    worst = [f for f in flows if f.verdict == "violation"]
    largest = sorted(flows, key=lambda f: -(f.bytes_out + f.bytes_in))[:FLOWS_SHOWN]
    return {
        "title": title,
        "version": __version__,
        "start": time_text(recording.start_ns),
        "end": time_text(recording.end_ns),
        "seconds": (recording.end_ns - recording.start_ns) / SECOND,
        "gaps": [(time_text(a), time_text(b)) for a, b in recording.gaps()],
        "site": final.site,
        "source": final.source,
        "counts": final.counts,
        "ports": final.ports,
        "cameras": final.cameras,
        "streams": final.streams,
        "endpoints": final.endpoints,
        "clock": final.clock,
        "violations": final.violations,
        "findings": [f for f in final.findings if f.hidden_by is None],
        "flows": list(dict.fromkeys([*worst, *largest]))[:FLOWS_SHOWN],
        "flows_total": len(flows),
        "events": final.events[-EVENTS_SHOWN:],
        "events_total": len(final.events),
        "limits": {name: count for name, count in final.limits.items() if count},
        "marks": [(time_text(t), text) for t, text in recording.marks()],
        "evidence": recording.evidence(),
        "time": time_text,
    }


def _plots(recording: Recording) -> list[tuple[str, list[tuple[str, str]]]]:
    start, end = recording.start_ns / SECOND, recording.end_ns / SECOND
    ports = _series(recording, "port_sample", ("rate_in_bps", "rate_out_bps"))
    streams = _series(recording, "stream_sample", ("rate_bps", "loss"))
    names = {
        s.id: f"{s.camera or s.src} {s.media or s.codec or ''}".strip()
        for s in recording.final().streams
    }
    port_plots = [
        (
            name,
            line_plot(
                [("in", columns["rate_in_bps"]), ("out", columns["rate_out_bps"])],
                start,
                end,
                "b/s",
                gap_s=130.0 if end - start > 3600 else 25.0 if end - start > 600 else 5.0,
            ),
        )
        for name, columns in ports.items()
    ]
    stream_plots: list[tuple[str, str]] = []
    for stream, columns in list(streams.items())[:64]:
        name = names.get(stream, stream)
        stream_plots.append(
            (f"{name}: bit-rate", line_plot([("", columns["rate_bps"])], start, end, "b/s"))
        )
        if any(value for _, value in columns["loss"]):
            percent = [(t, None if v is None else 100 * v) for t, v in columns["loss"]]
            stream_plots.append((f"{name}: loss", line_plot([("", percent)], start, end, "%")))
    return [("Ports", port_plots), ("Camera streams", stream_plots)]


def _series(
    recording: Recording, table: str, columns: tuple[str, ...]
) -> Mapping[str, dict[str, list[Point]]]:
    found: dict[str, dict[str, list[Point]]] = defaultdict(
        lambda: {column: [] for column in columns}
    )
    for time_s, name, *values in recording.samples(table, columns):
        for column, value in zip(columns, values, strict=True):
            found[name][column].append((float(time_s), value))
    return dict(sorted(found.items()))
