"""The data of a fleet report, from the index of a lake: one row per site, and findings merged over
sites.

*Availability* is the share of cameras that streamed at the end of each capture, weighted by the
length of the captures; cameras that a capture could not see do not count. The *trend* is the newest
day's availability less that of the days before it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct

from panotui.errors import InputError
from panotui.fleet.entries import Entry, Seen
from panotui.fleet.index import Index
from panotui.fleet.places import open_place

RANK = {"error": 2, "warning": 1, "info": 0}


class Day(Struct, frozen=True):
    """A site on one day; weights are seconds of capture times cameras, or endpoints."""

    day: str
    captures: int
    cameras: float
    cameras_ok: float
    endpoints: float
    endpoints_ok: float
    worst: str  # a severity; empty without a finding


class Occurrence(Struct, frozen=True):
    """A finding about one subject at one site."""

    site: str
    subject: str
    text: str  # the last sentence
    action: str
    severity: str
    captures: int
    first_day: str
    last_day: str
    is_open: bool  # open at the end of the last capture with it, on the site's newest day


class Folded(Struct, frozen=True):
    """The same finding over all sites that have it, for one maker and software of cameras."""

    id: str
    severity: str
    maker: str
    software: str
    seen: str
    action: str
    occurrences: tuple[Occurrence, ...]
    sites: int
    of_sites: int  # sites that have such cameras; or any capture, if it is not about a camera


class SiteRow(Struct, frozen=True):
    """One site."""

    name: str
    captures: int
    first_time: str
    last_time: str
    availability: float | None
    reachable: float | None  # the same for endpoints
    trend: float | None
    worst: Occurrence | None
    worst_id: str
    days: tuple[Day, ...]
    findings: tuple[tuple[str, Occurrence], ...]  # by id, worst first
    models: tuple[tuple[str, str, int], ...]  # maker, software, largest number of cameras


class Fleet(Struct, frozen=True):
    """All data of the pages."""

    sites: tuple[SiteRow, ...]  # worst first
    folded: tuple[Folded, ...]
    failed: tuple[Entry, ...]
    days: tuple[str, ...]  # every day of the span
    captures: int
    bytes: int


def story(lake: str, days: int) -> Fleet:
    """For the `days` days up to the newest one. InputError if it is not a lake."""
    store, root = open_place(lake)
    try:
        entries = Index(store, root).entries.values()
    except OSError as error:
        raise InputError(lake, str(error.strerror or error), "Check the name.") from None
    if not entries:
        raise InputError(lake, "it has no index of a fleet", "Create one: panotui fleet.")
    return fleet(entries, days)


def fleet(entries: Iterable[Entry], days: int) -> Fleet:
    """The same for lines of an index; equal content at several places counts once."""
    by_key: dict[str, Entry] = {}
    failed: list[Entry] = []
    for entry in entries:
        if entry.error:
            failed.append(entry)
        else:
            by_key.setdefault(entry.key, entry)
    timed = [entry for entry in by_key.values() if entry.first_time]
    newest = max((entry.first_time[:10] for entry in timed), default="")
    span = _span(newest, days)
    inside = [entry for entry in timed if entry.first_time[:10] in set(span)]
    at: dict[str, list[Entry]] = defaultdict(list)
    for entry in inside:
        at[entry.site].append(entry)
    rows = [_site(name, sorted(of, key=lambda e: e.first_time)) for name, of in at.items()]
    rows.sort(key=_badness)
    return Fleet(
        tuple(rows), _folded(rows, at), tuple(sorted(failed, key=lambda e: e.url)), span,
        len(inside), sum(entry.bytes for entry in inside),
    )  # fmt: skip


def _span(newest: str, days: int) -> tuple[str, ...]:
    if not newest:
        return ()
    last = date.fromisoformat(newest)
    return tuple((last - timedelta(days=back)).isoformat() for back in reversed(range(days)))


def _badness(row: SiteRow) -> tuple[int, float, str]:
    rank = RANK[row.worst.severity] if row.worst is not None else -1
    return -rank, 1.0 if row.availability is None else row.availability, row.name


def _site(name: str, entries: list[Entry]) -> SiteRow:
    by_day: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_day[entry.first_time[:10]].append(entry)
    days = tuple(_day(day, of) for day, of in sorted(by_day.items()))
    found = _occurrences(name, entries)
    listed = sorted(found.items(), key=lambda item: _weight(item[1]))
    worst = next((item for item in listed if item[1].is_open), None)
    models: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        for model in entry.models:
            kind = model.maker, model.software
            models[kind] = max(models[kind], model.cameras)
    return SiteRow(
        name=name, captures=len(entries), first_time=entries[0].first_time,
        last_time=max(entry.last_time for entry in entries),
        availability=_share(days, "cameras"), reachable=_share(days, "endpoints"),
        trend=_trend(days), worst=None if worst is None else worst[1],
        worst_id="" if worst is None else worst[0][0], days=days,
        findings=tuple((key[0], one) for key, one in listed),
        models=tuple((*kind, number) for kind, number in models.most_common()),
    )  # fmt: skip


def _weight(one: Occurrence) -> tuple[bool, int, int, str]:
    return not one.is_open, -RANK[one.severity], -one.captures, one.subject


def _day(day: str, entries: list[Entry]) -> Day:
    sums: dict[str, float] = defaultdict(float)
    worst = ""
    for entry in entries:
        seconds = max(1.0, _seconds(entry.last_time) - _seconds(entry.first_time))
        for what in ("cameras", "endpoints"):
            known = entry.counts.get(what, 0) - entry.counts.get(f"{what}_unseen", 0)
            sums[what] += seconds * known
            sums[f"{what}_ok"] += seconds * entry.counts.get(f"{what}_ok", 0)
        for one in entry.findings:
            if one.is_open and RANK[one.severity] > RANK.get(worst, -1):
                worst = one.severity
    return Day(
        day, len(entries), sums["cameras"], sums["cameras_ok"], sums["endpoints"],
        sums["endpoints_ok"], worst,
    )  # fmt: skip


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _share(days: Iterable[Day], what: str) -> float | None:
    """Of cameras or endpoints that worked; None if none could be seen."""
    days = tuple(days)
    all_of = sum(getattr(day, what) for day in days)
    return sum(getattr(day, f"{what}_ok") for day in days) / all_of if all_of else None


def _trend(days: tuple[Day, ...]) -> float | None:
    last, before = _share(days[-1:], "cameras"), _share(days[:-1], "cameras")
    return None if last is None or before is None else last - before


def _occurrences(site: str, entries: list[Entry]) -> dict[tuple[str, str, str, str], Occurrence]:
    """By (id, subject, maker, software); entries by time."""
    groups: dict[tuple[str, str, str, str], list[tuple[Entry, Seen]]] = defaultdict(list)
    newest = entries[-1].first_time[:10]
    for entry in entries:
        for one in entry.findings:
            groups[one.id, one.subject, one.maker, one.software].append((entry, one))
    out = {}
    for key, group in groups.items():
        entry, last = group[-1]
        out[key] = Occurrence(
            site=site, subject=last.subject, text=last.text, action=last.action,
            is_open=last.is_open and entry.first_time[:10] == newest,
            severity=max((one.severity for _, one in group), key=RANK.__getitem__),
            captures=len({e.key for e, _ in group}), first_day=group[0][0].first_time[:10],
            last_day=entry.first_time[:10],
        )  # fmt: skip
    return out


def _folded(rows: list[SiteRow], at: dict[str, list[Entry]]) -> tuple[Folded, ...]:
    groups: dict[tuple[str, str, str], list[Occurrence]] = defaultdict(list)
    for name, entries in at.items():
        entries.sort(key=lambda entry: entry.first_time)
        for (kind, _, maker, software), one in _occurrences(name, entries).items():
            groups[kind, maker, software].append(one)
    having: Counter[tuple[str, str]] = Counter()
    for row in rows:
        having.update({(maker, software) for maker, software, _ in row.models})
    out = []
    for (kind, maker, software), group in groups.items():
        words = findings().get(kind, {})
        of = having[maker, software] if maker or software else len(rows)
        out.append(Folded(
            id=kind, severity=max((one.severity for one in group), key=RANK.__getitem__),
            maker=maker, software=software, seen=words.get("seen", ""),
            action=_action(group, words.get("action", "")),
            occurrences=tuple(sorted(group, key=lambda one: (_weight(one), one.site))),
            sites=len({one.site for one in group}), of_sites=of,
        ))  # fmt: skip
    out.sort(key=lambda f: (-RANK[f.severity], -f.sites, f.id, f.maker, f.software))
    return tuple(out)


def _action(group: list[Occurrence], template: str) -> str:
    """The common action of all; without names if they differ."""
    told = {one.action for one in group}
    return told.pop() if len(told) == 1 else re.sub(r"\{[^}]*\}", "…", template)


@cache
def findings() -> dict[str, Any]:
    """The meaning and the action of each finding."""
    return tomllib.loads(files("panotui").joinpath("diagnosis/findings.toml").read_text("utf-8"))
