"""The report of a fleet as pages: `fleet.html`, and one page per site and per finding.

The pages load nothing and have no scripts; all text goes through Jinja2 with autoescape on.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from panotui import __version__
from panotui.errors import UsageError
from panotui.fleet.story import Day, Fleet, Folded, SiteRow

LEVELS = {"error": "bad", "warning": "warn", "info": "info", "": "ok"}
GLYPHS = {"bad": "✖", "warn": "▲", "info": "●", "ok": "✔", "none": "·"}
FAILED_MOST = 200
_CELL, _HIGH = 8, 16  # pixels per day in a strip


def pages_folder(output: Path) -> Path:
    """The folder of the pages of sites and findings."""
    return output.with_name(f"{output.stem}.pages")


def write_pages(told: Fleet, output: Path, title: str) -> int:
    """Write all pages; returns their number. UsageError if that fails."""
    folder = pages_folder(output)
    shared = {
        "fleet": told, "css": _css(), "made_by": f"Panotui {__version__}", "pages": folder.name,
        "home": output.name, "levels": LEVELS, "glyphs": GLYPHS, "failed_most": FAILED_MOST,
    }  # fmt: skip
    texts = {output: _render("fleet.html.j2", title=title, **shared)}
    for site in told.sites:
        texts[folder / site_page(site.name)] = _render(
            "site.html.j2", title=f"{title}: {site.name}", site=site, **shared
        )
    for folded in told.folded:
        texts[folder / finding_page(folded)] = _render(
            "finding.html.j2", title=f"{title}: {folded.id}", folded=folded, **shared
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (*folder.glob("site-*.html"), *folder.glob("finding-*.html")):
            old.unlink()
        for path, text in texts.items():
            path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(
            f"-o {output}", f"it cannot be written: {error.strerror or error}", "Name another."
        ) from None
    return len(texts)


def _render(name: str, **values: object) -> str:
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> Environment:
    here = files("panotui.fleet")
    environment = Environment(
        loader=FunctionLoader(lambda name: here.joinpath(name).read_text("utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        percent=percent, points=points, strip=strip, cameras=cameras_of, said=said
    )
    environment.globals.update(site_page=site_page, finding_page=finding_page)
    return environment


@cache
def _css() -> Markup:
    """The report's own style; Markup, because it is trusted."""
    return Markup(files("panotui.report").joinpath("page.css").read_text("utf-8"))  # noqa: S704


def site_page(name: str) -> str:
    """The file name of a site's page, the same every time."""
    return f"site-{_slug(name)}.html"


def finding_page(folded: Folded) -> str:
    """The same for a finding."""
    return f"finding-{_slug(folded.id, folded.maker, folded.software)}.html"


def _slug(*words: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:60]
    return f"{plain}-{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:6]}"


def percent(share: float | None) -> str:
    """A share in words: 100 % only if nothing is missing."""
    if share is None:
        return "–"
    text = f"{100 * share:.1f}"
    return f"{'>99.9' if text == '100.0' and share < 1 else text.removesuffix('.0')} %"


def points(change: float | None) -> str:
    """A trend in percentage points, with an arrow."""
    if change is None:
        return "–"
    if abs(change) < 0.0005:
        return "→ steady"
    return f"{'↑' if change > 0 else '↓'} {abs(100 * change):.1f} points"


def cameras_of(folded: Folded) -> str:
    """The cameras that a finding is about; empty for none."""
    software = f"software {folded.software}" if folded.software else ""
    maker = f"cameras of {folded.maker}" if folded.maker else "cameras" if software else ""
    return f"{maker} with {software}" if maker and software else maker


def said(folded: Folded) -> str:
    """The sentence about all sites: how many of the possible sites have it."""
    number = f"{folded.sites} of {folded.of_sites} sites"
    return f"at {number} that have such cameras" if cameras_of(folded) else f"at {number}"


def strip(row: SiteRow, days: tuple[str, ...]) -> Markup:
    """One cell per day: how many cameras streamed, or blank without captures."""
    known = {day.day: day for day in row.days}
    cells = []
    for number, name in enumerate(days):
        day = known.get(name)
        if day is None:
            continue
        kind = _kind(day)
        high = {"well": 8, "damaged": 12, "dead": 16, "unasked": 2}[kind]
        share = day.cameras_ok / day.cameras if day.cameras else None
        text = f"{name}: {percent(share)} of cameras, {day.captures} captures"
        cells.append(
            f'<rect class="{kind}" x="{number * _CELL}" y="{_HIGH - high}" width="{_CELL - 1}" '
            f'height="{high}"><title>{escape(text)}</title></rect>'
        )
    size = f'viewBox="0 0 {max(1, len(days)) * _CELL} {_HIGH}" preserveAspectRatio="none"'
    drawn = f'<svg class="strip" {size} role="img" aria-label="days">{"".join(cells)}</svg>'
    return Markup(drawn)  # noqa: S704 - numbers, and what was escaped above


def _kind(day: Day) -> str:
    if not day.cameras:
        return "unasked"
    if not day.cameras_ok:
        return "dead"
    return "well" if day.cameras_ok >= day.cameras and day.worst != "error" else "damaged"
