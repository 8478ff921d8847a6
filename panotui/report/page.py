"""The report as one HTML page: `Story`s in, text out, with nothing to load and no script.

Everything in it goes through Jinja2 with autoescape on; only the pictures, which escape their own
text, are markup. Its Content-Security-Policy forbids loading anything, so that even an unescaped
name could not contact a server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from panotui.report import content, glance, measures, wording
from panotui.report.heat import heat
from panotui.report.measures import CameraMeasures, PortMeasures
from panotui.report.plots import Frame, line_plot
from panotui.report.story import DAY_S, Heading, Story
from panotui.state.strips import in_order, label

CAMERAS_PLOTTED = 16
ROWS_MAX = 200
HEATS_MAX = 24
HEAT_FROM_S = 36 * 3600
_SMALL, _WIDE = (270, 84), (400, 96)


def page(*stories: Story, is_redacted: bool = False) -> str:
    """The whole page as text: of one recording, or of several with one row each."""
    heading = stories[0].heading
    return _template().render(
        parts=[_part(story) for story in stories],
        heading=heading,
        title=title_of(heading, stories),
        made_by=stories[0].made_by,
        glossary=content.glossary(),
        css=_css(),
        rows_max=ROWS_MAX,
        is_redacted=is_redacted,
    )


def title_of(heading: Heading, stories: Sequence[Story]) -> str:
    """The user's title, or the site's name."""
    if heading.title:
        return heading.title
    if len(stories) > 1:
        return f"Network report: {len(stories)} sites"
    return f"Network report: {name_of(stories[0])}"


def name_of(story: Story) -> str:
    return story.snapshot.site.name or story.named or "appliance"


def _part(story: Story) -> dict[str, Any]:
    """The data of one recording for the template."""
    snapshot, time = story.snapshot, story.heading.time
    shown, folded = glance.rows(story)
    down = glance.outages(story)
    listed = sorted(down, key=lambda o: o.start_s - o.end_s)[: glance.OUTAGES_SHOWN]
    cameras = measures.cameras(story)
    findings = content.told(f for f in story.findings if f.severity != "info")
    notes = content.told(f for f in story.findings if f.severity == "info")
    events = content.worth_telling(story)
    names = glance.names_of(story)
    timed = bool(story.start_s)
    before = story.before
    return {
        "story": story,
        "snapshot": snapshot,
        "site": snapshot.site,
        "time": time,
        "name": name_of(story),
        "span": time.span(story.start_s, story.end_s) if timed else "",
        "length": wording.duration(story.span.seconds),
        "zone": time.name(story.start_s, story.end_s),
        "verdict": content.verdict(story),
        "standing": content.standing(story),
        "rows": shown,
        "axis": glance.axis(story) if timed else Markup(""),
        "folded": content.first([row.name for row in folded]),
        "outages": [o for o in down if o in listed],
        "more_outages": len(down) - len(listed),
        "findings": findings[:ROWS_MAX],
        "more_findings": len(findings) - ROWS_MAX,
        "notes": notes[:ROWS_MAX],
        "errors": sum(t.finding.severity == "error" for t in findings),
        "warnings": sum(t.finding.severity == "warning" for t in findings),
        "worst_camera": measures.worst(story, "camera:"),
        "internet": measures.worst(story, "internet"),
        "violations": snapshot.violations[:ROWS_MAX],
        "differences": content.differences(story),
        "compared": "" if before is None else (
            f"{time.span(before.told.start_s, before.told.end_s)} against"
            f" {time.span(before.span.start_s, before.span.end_s)}"
        ),
        "cameras": [
            {**_fields(c), "plots": _camera_plots(story, c) if i < CAMERAS_PLOTTED else ()}
            for i, c in enumerate(cameras[:ROWS_MAX])
        ],
        "more_cameras": len(cameras) - ROWS_MAX,
        "heats": _heats(story, names),
        "ports": [
            {**_fields(p), "plot": _port_plot(story, p.record.name)} for p in measures.ports(story)
        ],
        "endpoints": measures.endpoints(story)[:ROWS_MAX],
        "devices": snapshot.devices[:ROWS_MAX],
        "events": events,
        "more_events": content.told_events(story) - len(events),
        "limits": content.limits_said(story),
    }  # fmt: skip


def _fields(record: CameraMeasures | PortMeasures) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


@lru_cache(maxsize=1)
def _css() -> Markup:
    text = Path(__file__).with_name("page.css").read_text("utf-8")
    return Markup(text)  # noqa: S704 - a file of ours


def css_text(text: str) -> Markup:
    """Text within quotes of a style sheet: everything except letters, digits and spaces is
    escaped.
    """
    safe = (c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):x} " for c in text)
    return Markup("".join(safe))  # noqa: S704 - escaped here


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    functions: dict[str, Callable[..., object]] = {
        "rate": wording.rate,
        "size": wording.size,
        "ms": wording.milliseconds,
        "where": wording.place,
        "duration": wording.duration,
        "who": content.who,
        "css_text": css_text,
    }
    environment.filters.update(functions)
    environment.filters["known"] = lambda value: wording.UNKNOWN if value is None else value
    environment.globals["levels"] = content.LEVELS
    environment.globals["glyphs"] = content.GLYPHS
    text = Path(__file__).with_name("page.html.j2").read_text("utf-8")
    return environment.from_string(text)


def _port_plot(story: Story, name: str) -> Markup:
    history = story.ports.get(name)
    if history is None:
        return Markup("")
    return line_plot(
        [history.series["in"], history.series["out"]],
        story.start_s,
        story.end_s,
        title=f"Rate of {name}: in (solid) and out (dashed)",
        label=wording.rate,
        least=1000.0,
        frame=Frame(*_WIDE, story.heading.time, story.recorded),
    )


def _camera_plots(story: Story, camera: CameraMeasures) -> list[tuple[str, Markup]]:
    """(caption, plot) of a camera's bit-rate, frames and loss."""
    history = story.cameras.get(camera.key)
    if history is None:
        return []
    frame = Frame(*_SMALL, story.heading.time, story.recorded)
    shapes: tuple[tuple[str, str, Callable[[float], str], float, bool], ...] = (
        ("rate", "Bit-rate", wording.rate, 1000.0, True),
        ("fps", "Frames per second", lambda value: f"{value:g}", 1.0, False),
        ("loss", "Loss", lambda value: f"{value:g} %", 1.0, False),
    )
    plots = [
        (
            caption,
            line_plot(
                [history.series[key]],
                story.start_s,
                story.end_s,
                title=f"{caption} of {camera.name}",
                label=said,
                least=least,
                bands=camera.still,
                frame=frame,
                silence_is_zero=is_zero,
            ),
        )
        for key, caption, said, least, is_zero in shapes
    ]
    return [(caption, plot) for caption, plot in plots if plot]


def _heats(story: Story, names: dict[str, str]) -> list[tuple[str, Markup]]:
    """Hour by hour, if there are days to compare."""
    if story.span.seconds < HEAT_FROM_S:
        return []
    keys = [k for k in in_order(story.runs) if k.startswith("camera:") or k == "internet"]
    troubled = [k for k in keys if story.tally(k).dead_s or story.tally(k).damaged_s]
    chosen = troubled[:HEATS_MAX] or keys[:1]
    start_s = max(story.start_s, story.end_s - 31 * DAY_S)
    return [
        (
            names.get(key, label(key)),
            heat(story.runs[key], start_s, story.end_s, story.heading.time, names.get(key, key)),
        )
        for key in chosen
    ]
