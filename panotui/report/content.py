"""The sentences that every form of a report shares: a `Story` in, words out.

The verdict, the tiles, responsibilities, what was not seen, and the difference to the span before.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from panotui.diagnosis.catalogue import catalogue
from panotui.model import SECOND, EndpointRecord, EventRecord, FindingRecord
from panotui.model.quantities import some
from panotui.recording.spans import NO_CAMERA, Before, Counted, Span
from panotui.report import glance
from panotui.report.story import Story
from panotui.report.wording import LocalTime, counted, duration, lost_share, per_cent, rate
from panotui.state.standing import (
    cameras_said,
    dead_cameras,
    dead_endpoints,
    endpoints_said,
    unseen,
    violations_said,
)
from panotui.state.strips import Runs, Tally, in_order, tally

EVENTS_SHOWN = 60
NAMES_SHOWN = 12
TIMES_SHOWN = 6

# state -> level; the page and the Markdown give each level a glyph and a colour
LEVELS = {
    "up": "ok",
    "standby": "ok",
    "down": "bad",
    "silent": "warn",
    "streaming": "ok",
    "paused": "ok",
    "losing": "warn",
    "slow": "warn",
    "frozen": "bad",
    "refused": "bad",
    "unreachable": "bad",
    "reachable": "ok",
    "blocked": "bad",
    "failing": "bad",
    "synchronised": "ok",
    "unsynchronised": "bad",
    "off": "bad",
    "error": "bad",
    "warning": "warn",
    "info": "info",
}
GLYPHS = {"ok": "✔", "warn": "!", "bad": "✖", "info": "i", "none": "·"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first line of a report."""

    level: str  # "ok", "warn", "bad", "none"
    word: str
    text: str


def verdict(story: Story) -> Verdict:
    """Whether all is well, and if not, what is wrong: one sentence."""
    snapshot = story.snapshot
    shown = [f for f in story.findings if not f.known]
    open_now = [f for f in shown if f.cleared_time_ns is None]
    errors = sum(f.severity == "error" for f in open_now)
    warnings = sum(f.severity == "warning" for f in open_now)
    past = sum(f.severity != "info" for f in shown) - errors - warnings
    violations = [v for v in snapshot.violations if not v.known]
    open_violations = [v for v in violations if v.state == "open"]
    known = snapshot.counts.findings_known + snapshot.counts.violations_known
    parts = [
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(len(open_violations), "violation of the policy", "violations of the policy"),
        counted(len(violations) - len(open_violations), "past violation"),
    ]
    said = " and ".join(", ".join(p for p in parts if p).rsplit(", ", 1))
    gone = f"{counted(past, 'problem')} came and went" if past else ""
    tail = "".join(f"; {w}" for w in (f"{known} known" if known else "", gone) if w)
    if not snapshot.source.packets:
        return Verdict("none", "Nothing seen", "There was not a single packet to judge.")
    if said:
        level = "bad" if errors or any(v.severity == "error" for v in violations) else "warn"
        return Verdict(level, "Needs action", f"{said}{tail}.")
    dead = [f"camera {n}" for n in dead_cameras(snapshot.cameras)]
    dead += dead_endpoints(snapshot.endpoints)
    if dead and not known:
        return Verdict(
            "warn", "Not all works", f"No finding says why: {', '.join(dead[:8])}{tail}."
        )
    if known:
        return Verdict("warn", "Known only", f"What is open is known{tail}.")
    lost = [f"{name} for {duration(seconds)}" for name, seconds in _lost(story)]
    if gone or lost:
        did = f"{gone}; nothing is open at the end" if gone else "Nothing is open at the end"
        also = f". Lost: {first(lost)}" if lost else ""
        return Verdict("warn", "Well now", f"{did}{also}.")
    if not snapshot.ports and not snapshot.streams:
        return Verdict(
            "none", "No appliance seen", "No port of an appliance and no stream was recognised."
        )
    silent = unseen(snapshot)
    also = f" Not seen: {', '.join(silent[:8])}." if silent else ""
    return Verdict("ok", "All well", f"Nothing to mend in what was seen.{also}")


# subject of a finding -> the tile that shows it
_TILES = {
    "link": "Ports",
    "cameras": "Cameras",
    "cloud": "Endpoints",
    "names-time": "Names and time",
    "security": "Violations",
}
_WORSE = ("ok", "none", "info", "warn", "bad")


def standing(story: Story) -> list[tuple[str, str, str]]:
    """(level, what, state): the overview's numbers at the end, and the losses until then. No tile
    is better than its details below.
    """
    snapshot = story.snapshot
    counts = snapshot.counts
    up = sum(LEVELS.get(p.state) == "ok" for p in snapshot.ports)
    clock = snapshot.clock.state
    tiles = [
        (_all(up, len(snapshot.ports)), "Ports", _of(up, len(snapshot.ports), "up")),
        (
            _all(counts.cameras_ok, counts.cameras, counts.cameras_unseen),
            "Cameras",
            cameras_said(counts) if counts.cameras else "none seen",
        ),
        (
            _all(counts.endpoints_ok, counts.endpoints, counts.endpoints_unseen),
            "Endpoints",
            endpoints_said(counts) if counts.endpoints else "none known",
        ),
        (LEVELS.get(clock, "none"), "Names and time", f"clock {clock}"),
        (
            "bad" if counts.violations_open else "warn" if counts.violations_past else "ok",
            "Violations",
            violations_said(counts),
        ),
    ]
    return [_held(story, level, what, how) for level, what, how in tiles]


def _held(story: Story, level: str, what: str, how: str) -> tuple[str, str, str]:
    """A tile, corrected by the findings and losses in the span."""
    kind = {"Ports": "port", "Cameras": "camera", "Endpoints": "endpoint"}.get(what)
    lost = 0 if kind is None else max(
        (story.tally(key).dead_s for key in story.runs if key.startswith(f"{kind}:")), default=0
    )  # fmt: skip
    levels = [level, *(_level_of(f) for f in story.findings if _tile_of(f) == what)]
    if lost:
        levels.append("warn")
        how += f"; {duration(lost)} lost at most"
    return max(levels, key=_WORSE.index), what, how


def _tile_of(finding: FindingRecord) -> str | None:
    spec = catalogue().get(finding.id)
    return None if spec is None or finding.known else _TILES.get(spec.group)


def _level_of(finding: FindingRecord) -> str:
    if finding.severity == "info":
        return "ok"
    return "bad" if finding.severity == "error" and finding.cleared_time_ns is None else "warn"


def _lost(story: Story) -> list[tuple[str, int]]:
    """(name, seconds) of outages: ports, cameras and needed endpoints."""
    needed = {
        f"endpoint:{e.service}/{e.host}/{e.port}" for e in story.snapshot.endpoints if e.needed
    }
    names = glance.names_of(story)
    return [
        (names[key], story.tally(key).dead_s)
        for key in in_order(story.runs)
        if (key.startswith(("port:", "camera:")) or key in needed) and story.tally(key).dead_s
    ]


def first(names: Iterable[str]) -> str:
    """The first few of them, each once, and the number of the rest."""
    words = list(dict.fromkeys(names))
    return some(words, NAMES_SHOWN)


def _all(good: int, total: int, unseen: int = 0) -> str:
    """Well if all are; unknown if something was not seen."""
    if good + unseen < total:
        return "bad"
    return "ok" if total and not unseen else "none"


def _of(good: int, total: int, word: str) -> str:
    return f"{good} of {total} {word}" if total else "none seen"


# ------------------------------------------------------------------ responsibilities


@lru_cache(maxsize=1)
def _owners() -> tuple[dict[str, str], dict[str, str]]:
    """(finding -> person, group -> person)."""
    text = resources.files("panotui.report").joinpath("owners.toml").read_text("utf-8")
    data = tomllib.loads(text)
    return {name: who for who, names in data["findings"].items() for name in names}, data["groups"]


def who(finding: FindingRecord) -> str:
    """The person responsible for the action of a finding."""
    by_name, by_group = _owners()
    spec = catalogue().get(finding.id)
    group = "" if spec is None else spec.group
    return by_name.get(finding.id) or by_group.get(group, "owner of the network")


@lru_cache(maxsize=1)
def glossary() -> dict[str, str]:
    text = resources.files("panotui.report").joinpath("glossary.toml").read_text("utf-8")
    return {str(word): str(meaning) for word, meaning in tomllib.loads(text).items()}


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in the report, with all its periods."""

    finding: FindingRecord  # the open one, or the newest
    times: tuple[FindingRecord, ...]  # oldest first

    def lasted(self, time: LocalTime) -> str:
        """`from 2026-11-29 23:12:04 to 23:40:10 (28 min 6 s)`, or its start if it is open; for
        several periods their number and total duration.
        """
        if len(self.times) == 1:
            return _lasted(self.finding, time)
        over = [f for f in self.times if f.cleared_time_ns is not None]
        seconds = sum(((f.cleared_time_ns or 0) - f.first_time_ns) / SECOND for f in over)
        said = [_lasted(f, time) for f in self.times[-TIMES_SHOWN:]]
        more = len(self.times) - len(said)
        earlier = f"; {counted(more, 'earlier time')}" if more else ""
        whole = f", {duration(round(seconds))} in all" if over else ""
        return f"{len(self.times)} times{whole}: {'; '.join(said)}{earlier}"


def told(findings: Iterable[FindingRecord]) -> list[Told]:
    """Findings in order; those of one cause and subject are one."""
    same: dict[tuple[str, str], list[FindingRecord]] = {}
    for finding in findings:
        same.setdefault((finding.id, finding.subject), []).append(finding)
    return [
        Told(of_one[0], tuple(sorted(of_one, key=lambda f: f.first_time_ns)))
        for of_one in same.values()
    ]


def _lasted(finding: FindingRecord, time: LocalTime) -> str:
    first = time.moment(finding.first_time_ns)
    if finding.cleared_time_ns is None:
        return f"since {first}, not over at the end"
    last = time.moment(finding.cleared_time_ns)
    if last[:10] == first[:10]:
        last = last[11:]
    seconds = (finding.cleared_time_ns - finding.first_time_ns) / SECOND
    return f"from {first} to {last} ({duration(round(seconds))})"


# ------------------------------------------------------------------ compared


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the comparison with the span before."""

    what: str
    before: str
    now: str
    level: str  # "bad": worse now, "ok": better, "none": equal


def differences(story: Story) -> list[Difference]:
    """Improvements and deteriorations since the span before; empty without one."""
    before = story.before
    if before is None:
        return []
    lines = [
        _compared(story, before, prefix, what)
        for prefix, what in (
            ("port:", "Ports, worst"),
            ("camera:", "Cameras, worst"),
            ("endpoint:", "Endpoints, worst"),
        )
    ]
    lost = [
        (name, _share(then), _share(now))
        for name, (then, now) in before.counted.items()
        if name != NO_CAMERA and (then.lost or now.lost)
    ]
    lines += [
        Difference(
            f"Loss of {name}",
            lost_share(before.counted[name][0].lost, before.counted[name][0].expected),
            lost_share(before.counted[name][1].lost, before.counted[name][1].expected),
            _level(then - now, 0.0005),
        )
        for name, then, now in lost[:NAMES_SHOWN]
    ]
    lines += [
        Difference(f"Bit-rate of {name}", rate(then.rate_bps), rate(now.rate_bps), "none")
        for name, (then, now) in before.counted.items()
        if name != NO_CAMERA and _differs(then.rate_bps, now.rate_bps)
    ][:NAMES_SHOWN]
    for what, (then, now) in (
        ("Warnings and errors that began", before.findings),
        ("Violations that began", before.violations),
    ):
        lines.append(Difference(what, f"{then:,}", f"{now:,}", _level(then - now, 0)))
    for what, names in (
        ("New findings", before.news),
        ("New devices", before.devices),
        ("New peers", before.peers),
    ):
        said = f"{len(names)}: {first(list(names))}" if names else "none"
        lines.append(Difference(what, "", said, "info" if names else "none"))
    return lines


def _differs(then_bps: float | None, now_bps: float | None) -> bool:
    """They differ by a tenth or more, or one of them is unknown."""
    if then_bps is None or now_bps is None:
        return (then_bps is None) != (now_bps is None)
    return abs(now_bps - then_bps) >= 0.1 * max(then_bps, now_bps)


def _share(found: Counted) -> float:
    return found.lost / found.expected if found.expected else 0.0


def _level(gain: float, least: float) -> str:
    return "ok" if gain > least else "bad" if gain < -least else "none"


def _compared(story: Story, before: Before, prefix: str, what: str) -> Difference:
    """The worst availability of a kind of subjects, then and now."""
    names = glance.names_of(story)

    def worst(runs: Runs, span: Span) -> tuple[float | None, str]:
        found = [
            (t.availability, names.get(key, key.partition(":")[2]))
            for key, t in _tallies(runs, prefix, span)
            if t.availability is not None
        ]
        return min(found) if found else (None, "")

    then, now = worst(before.runs, before.span), worst(story.runs, before.told)
    level = "none" if then[0] is None or now[0] is None else _level(now[0] - then[0], 0.0001)
    return Difference(what, _available(*then), _available(*now), level)


def _tallies(runs: Runs, prefix: str, span: Span) -> Iterable[tuple[str, Tally]]:
    return (
        (key, tally(of_key, span.start_s, span.end_s))
        for key, of_key in runs.items()
        if key.startswith(prefix)
    )


def _available(share: float | None, name: str) -> str:
    said = per_cent(share)
    return f"{said} ({name})" if share is not None and share < 1 else said


# ------------------------------------------------------------------ what was not seen


def limits_said(story: Story) -> list[tuple[str, str]]:
    """(level, sentence): what was not captured or not checked, so that nobody relies on it."""
    source, site, limits = story.snapshot.source, story.snapshot.site, story.snapshot.limits
    said: list[tuple[str, str]] = []
    time = story.heading.time
    chosen = "" if story.snapshot.window is None else story.snapshot.window.filter
    if source.lost:
        share = 100 * source.lost / max(1, source.packets + source.lost)
        said.append(
            ("warn", f"The capture missed {source.lost:,} packets ({share:.2g} % of all): losses "
             "near those times may be ours, not the network's.")
        )  # fmt: skip
    if source.truncated:
        said.append(("warn", "The file ends inside a packet; all before it was read."))
    if site.one_way:
        said.append(("warn", "The mirror copies one direction only: answers were never seen."))
    for start_ns, end_ns in story.gaps[:10]:
        said.append(
            ("warn", f"Nothing was recorded from {time.moment(start_ns)} for "
             f"{duration((end_ns - start_ns) / SECOND)}.")
        )  # fmt: skip
    if len(story.gaps) > 10:
        said.append(("warn", f"And {len(story.gaps) - 10:,} more gaps in the recording."))
    if site.inferred:
        said.append(
            ("info", f"Guessed from traffic, for want of a site file: {', '.join(site.inferred)}.")
        )
    for name, text in _LIMITS.items():
        count = limits.get(name, 0) or (source.malformed if name == "malformed" else 0)
        if count:
            said.append(("info", f"{count:,} {text}"))
    known = {*_LIMITS, *_NO_NEWS}
    for name, count in sorted(limits.items()):
        if count and name not in known:
            said.append(("info", f"{count:,} {name.replace('_', ' ')}."))
    silent = unseen(story.snapshot)
    if silent:
        said.append(("info", f"Needed and never seen: {first(silent)}."))
    if source.packets and not source.lost and not any(x == "warn" for x, _ in said):
        said.insert(0, ("ok", "No packet was missed by this tool."))
    if chosen:
        said.insert(0, ("warn", f"Only what passes the filter {chosen} is told."))
    return said or [("none", "There was nothing to see.")]


_LIMITS = {
    "malformed": "packets could not be read to the end (malformed, or cut by the capture).",
    "snapped": "packets were cut short by the capture: their content was not looked at.",
    "mirror_duplicates": "packets came again from the mirror; each was counted once.",
    "control_skipped": "control packets were over the budget and not looked at one by one.",
    "connections_skipped": "connections were too many at once: how they ended was not looked at.",
    "flows_evicted": "flows were forgotten because the table was full.",
    "streams_evicted": "streams were forgotten because the table was full.",
    "ring_dropped": "packets did not fit into the capture ring.",
    "interface_dropped": "packets were dropped by the interface.",
}
_NO_NEWS = frozenset({"flows_expired", "time_steps_back"})


def worth_telling(story: Story) -> list[EventRecord]:
    """The newest warnings and errors, oldest first."""
    return [e for e in story.snapshot.events if e.severity != "info"][-EVENTS_SHOWN:]


def told_events(story: Story) -> int:
    """The number of warnings and errors."""
    return sum(e.severity != "info" for e in story.snapshot.events)


def endpoints_in_order(story: Story) -> list[EndpointRecord]:
    """Problems first, then working ones, then those that were never seen."""
    order = {"blocked": 0, "failing": 1, "reachable": 2, "unseen": 3}
    return sorted(story.snapshot.endpoints, key=lambda e: (order.get(e.state, 4), not e.needed))
