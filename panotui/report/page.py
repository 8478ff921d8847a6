"""The report as one HTML page: a `Story` in, text out, with nothing to fetch and no script.

Everything in it goes through Jinja2 with autoescape on; only the plots, which escape their own
text, are markup. The page forbids itself to load anything (Content-Security-Policy), so that even
a name which got through could not call home.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from panotui.model import SECOND, StreamRecord
from panotui.report import content
from panotui.report.content import Story
from panotui.report.plots import Band, line_plot

STREAMS_PLOTTED = 48
ROWS_MAX = 200
_NEAR = 0.05  # how much of its own length is shown before and after a stream


def page(story: Story) -> str:
    """The whole page as text."""
    return _template().render(
        story=story,
        snapshot=story.snapshot,
        verdict=content.verdict(story),
        standing=content.standing(story),
        limits=content.limits_said(story),
        endpoints=content.endpoints_in_order(story)[:ROWS_MAX],
        devices=story.snapshot.devices[:ROWS_MAX],
        events=content.worth_telling(story),
        violations=story.snapshot.violations[:ROWS_MAX],
        findings=story.findings[:ROWS_MAX],
        port_plots={p.name: _port_plot(story, p.name) for p in story.snapshot.ports},
        stream_plots={
            s.id: _stream_plots(story, s) for s in story.snapshot.streams[:STREAMS_PLOTTED]
        },
        length=content.duration(story.end_s - story.start_s),
        rows_max=ROWS_MAX,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    functions: dict[str, Callable[..., object]] = {
        "rate": content.rate,
        "size": content.size,
        "ms": content.milliseconds,
        "where": content.place,
        "duration": content.duration,
        "moment": content.moment,
        "clock": content.clock_time,
        "frame_text": content.frame_text,
        "loss_text": content.loss_text,
    }
    environment.filters.update(functions)
    environment.filters["known"] = lambda value: content.UNKNOWN if value is None else value
    environment.globals["levels"] = content.LEVELS
    environment.globals["glyphs"] = content.GLYPHS
    text = resources.files("panotui.report").joinpath("page.html.j2").read_text("utf-8")
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
        label=content.rate,
        least=1000.0,
    )


def _stream_plots(story: Story, stream: StreamRecord) -> list[tuple[str, Markup]]:
    """(caption, plot) of bit-rate, frames and loss over the time of the stream."""
    history = story.streams.get(stream.id)
    if history is None:
        return []
    start_s, end_s = _span(story, stream)
    bands = [
        Band(
            freeze.start_ns / SECOND,
            freeze.start_ns / SECOND + freeze.seconds,
            f"stood still {freeze.seconds:.1f} s",
        )
        for freeze in stream.freezes
    ]
    name = stream.camera or stream.src
    shapes: tuple[tuple[str, str, Callable[[float], str], float], ...] = (
        ("rate", "Bit-rate", content.rate, 1000.0),
        ("fps", "Frames per second (over ten seconds)", lambda value: f"{value:g}", 1.0),
        ("loss", "Loss", lambda value: f"{value:g} %", 1.0),
    )
    plots = [
        (
            caption,
            line_plot(
                [history.series[key]],
                start_s,
                end_s,
                title=f"{caption} of {name}",
                label=label,
                least=least,
                bands=bands,
            ),
        )
        for key, caption, label, least in shapes
    ]
    return [(caption, plot) for caption, plot in plots if plot]


def _span(story: Story, stream: StreamRecord) -> tuple[int, int]:
    """The whole recording, or, of a stream that lived only a small part of it, that part."""
    first, last = stream.first_time_ns // SECOND, -(-stream.last_time_ns // SECOND)
    if last - first > (story.end_s - story.start_s) / 4:
        return story.start_s, story.end_s
    margin = max(5, int(_NEAR * (last - first)))
    return max(story.start_s, first - margin), min(story.end_s, last + margin)
