"""What `cases.toml` says of a field case, held against what `panotui analyze --json` answers.

`tests/data/field/README.md` says what each field of a case means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Case = dict[str, Any]
Answer = dict[str, Any]
Found = dict[str, Any]

LOUD = ("warning", "error")
SEVERITIES = ("info", "warning", "error")
CONFIDENCES = ("possible", "likely", "certain")
SHOWN = 110  # characters of a finding's text in a failed check

FILTERS = (
    "camera", "src", "dst", "dport", "media", "codec", "transport", "payload_type", "ssrc",
)  # fmt: skip
NUMBERS = ("packets", "expected", "lost", "frames", "keyframes", "duplicates", "restarts")
RATES = ("fps", "gop_s")
RATE_TOLERANCE = 0.02  # of the rate, unless a case says otherwise


@dataclass(frozen=True)
class Check:
    """One thing that a case says. `observed` is None where it holds, else what is so instead."""

    name: str
    expected: object
    observed: object | None

    @property
    def right(self) -> bool:
        return self.observed is None

    def __str__(self) -> str:
        return f"{self.name}, expected {self.expected}, observed {self.observed}"


def held(name: str, expected: object, right: object, observed: object) -> Check:
    return Check(name, expected, None if right else observed)


def none_of(name: str, expected: object, wrong: object) -> Check:
    """A check that holds when nothing is found wrong."""
    return Check(name, expected, wrong or None)


def checks(case: Case, answer: Answer) -> Iterator[Check]:
    """All that the case says, one by one."""
    for check in CHECKS:
        yield from check(case, answer)


def told(answer: Answer, finding: str) -> list[Found]:
    return [found for found in answer["findings"] if found["id"] == finding]


def ids(answer: Answer) -> list[str]:
    return [found["id"] for found in answer["findings"]]


def groups(case: Case) -> list[list[str]]:
    """`any_of`: a list of ids, or a list of such lists."""
    given = case.get("any_of", [])
    return given if not given or isinstance(given[0], list) else [given]


def states(wanted: str | list[str]) -> list[str]:
    return wanted if isinstance(wanted, list) else [wanted]


def line(found: Found) -> str:
    text = found["text"][:SHOWN]
    return f"{found['id']} {found['severity']}/{found['confidence']}: {text}"


def words(found: Found) -> str:
    """All that a person reads of a finding."""
    parts = [found.get(key) or "" for key in ("text", "detail", "action", "control")]
    parts += [piece.get("text") or "" for piece in found.get("evidence") or []]
    return "\n".join(map(str, parts))


def findings(case: Case, answer: Answer) -> Iterator[Check]:
    there = ids(answer)
    for finding in case.get("findings", []):
        yield held("finding", finding, finding in there, there)
    for group in groups(case):
        yield held("finding", "one of " + ", ".join(group), set(group) & set(there), there)
    for finding in case.get("never", []):
        yield none_of("never", f"no {finding}", "; ".join(map(line, told(answer, finding)[:1])))


def ends(case: Case, answer: Answer) -> Iterator[Check]:
    """What is over when the capture ends, and what is not."""
    for finding in case.get("cleared", []):
        here = told(answer, finding)
        still = [line(found) for found in here if not found["cleared_time"]]
        expected = f"{finding} told, and cleared by the end"
        yield held("cleared", expected, here and not still, still or ids(answer))
    for finding in case.get("open", []):
        right = any(not found["cleared_time"] for found in told(answer, finding))
        yield held("open", f"{finding} open at the end", right, ids(answer))
    for finding in case.get("not_cleared", []):
        over = [line(found) for found in told(answer, finding) if found["cleared_time"]]
        yield none_of("not_cleared", f"{finding} not called over", over)


def quiet(case: Case, answer: Answer) -> Iterator[Check]:
    if not case.get("quiet"):
        return
    known = {finding for group in groups(case) for finding in group}
    for key in ("findings", "allowed", "cleared", "open"):
        known |= set(case.get(key, []))
    loud = [
        line(found)
        for found in answer["findings"]
        if found["severity"] in LOUD and found["id"] not in known
    ]
    yield none_of("quiet", "nothing else of warning or error", loud)


def limits(case: Case, answer: Answer) -> Iterator[Check]:
    for finding, limit in case.get("at_most", {}).items():
        severity, _, confidence = limit.partition("/")
        over = [
            line(found)
            for found in told(answer, finding)
            if SEVERITIES.index(found["severity"]) > SEVERITIES.index(severity)
            or (
                confidence
                and CONFIDENCES.index(found["confidence"]) > CONFIDENCES.index(confidence)
            )
        ]
        yield none_of("at_most", f"{finding} at most {limit}", over)
    for finding, least in case.get("at_least", {}).items():
        under = [
            line(found)
            for found in told(answer, finding)
            if SEVERITIES.index(found["severity"]) < SEVERITIES.index(least)
        ]
        yield none_of("at_least", f"{finding} at least {least}", under)
    for finding, most in case.get("count", {}).items():
        times = len(told(answer, finding))
        yield held("count", f"{finding} at most {most} times", times <= most, times)


def texts(case: Case, answer: Answer) -> Iterator[Check]:
    for rule in case.get("text", []):
        finding = rule["id"]
        said = [
            found["text"] if rule.get("only_text") else words(found)
            for found in told(answer, finding)
        ]
        if (pattern := rule.get("must")) is not None:
            mute = [text[:SHOWN] for text in said if not re.search(pattern, text, re.IGNORECASE)]
            yield none_of("text", f"{finding}, if told, says /{pattern}/", mute)
        if (pattern := rule.get("must_not")) is not None:
            hits = (re.search(pattern, text, re.IGNORECASE) for text in said)
            found = sorted({hit[0] for hit in hits if hit is not None})
            yield none_of("text", f"{finding} does not say /{pattern}/", found)


def violations(case: Case, answer: Answer) -> Iterator[Check]:
    if (wanted := case.get("violations")) is None:
        return
    reasons = [violation["reason"] for violation in answer["violations"]]
    if isinstance(wanted, int):
        lines = [f"{v['reason']}: {v['text'][:SHOWN]}" for v in answer["violations"]]
        yield held("violations", wanted, len(reasons) == wanted, lines)
    else:
        right = set(wanted) == set(reasons)
        yield held("violations", sorted(wanted), right, sorted(set(reasons)))


def streams(case: Case, answer: Answer) -> Iterator[Check]:
    for wanted in case.get("streams", []):
        yield stream(wanted, answer["streams"])


def stream(wanted: dict[str, Any], given: list[dict[str, Any]]) -> Check:
    """Of the streams that pass the filters one has the numbers wanted; with `sum`, all together."""
    filters = {key: wanted[key] for key in FILTERS if key in wanted}
    fit = [one for one in given if all(one.get(key) == want for key, want in filters.items())]
    if not fit:
        return Check("stream", f"a stream with {filters or 'anything'}", f"none of {len(given)}")
    numbers = {key: wanted[key] for key in NUMBERS if key in wanted}
    rates = {key: wanted[key] for key in RATES if key in wanted}
    if wanted.get("sum"):
        together = {key: sum(one.get(key) or 0 for one in fit) for key in numbers}
        fit = [{**max(fit, key=lambda one: int(one["packets"])), **together}]

    def wrong(one: dict[str, Any]) -> dict[str, Any]:
        tolerance = {key: wanted.get("tolerance", 0) for key in numbers}
        for key, rate in rates.items():
            tolerance[key] = wanted.get("fps_tolerance", RATE_TOLERANCE * rate)
        return {
            key: one.get(key)
            for key, want in {**numbers, **rates}.items()
            if one.get(key) is None or abs(one[key] - want) > tolerance[key]
        }

    nearest = min(map(wrong, fit), key=len)
    if not nearest:
        return Check("stream", wanted, None)
    return Check("stream", {key: wanted[key] for key in nearest}, nearest)


def endpoints(case: Case, answer: Answer) -> Iterator[Check]:
    for wanted in case.get("endpoints", []):
        named = [e for e in answer["endpoints"] if wanted["host"] in (e["host"] or "")]
        fit = [e for e in named if e["attempts"] or not wanted.get("seen", True)]
        right = any(e["state"] in states(wanted["state"]) for e in fit)
        expected = f"{wanted['host']} {' or '.join(states(wanted['state']))}"
        yield held("endpoint", expected, right, [e["state"] for e in named] or "not listed")


def cameras(case: Case, answer: Answer) -> Iterator[Check]:
    for wanted in case.get("cameras", []):
        here = [c["state"] for c in answer["cameras"] if c["address"] == wanted["address"]]
        right = set(here) & set(states(wanted["state"]))
        expected = f"{wanted['address']} {' or '.join(states(wanted['state']))}"
        yield held("camera", expected, right, here or "not listed")


def clock(case: Case, answer: Answer) -> Iterator[Check]:
    if "clock" in case:
        wanted, state = states(case["clock"]), answer["clock"]["state"]
        yield held("clock", " or ".join(wanted), state in wanted, state)


def ports(case: Case, answer: Answer) -> Iterator[Check]:
    for wanted in case.get("ports", []):
        row = next((port for port in answer["ports"] if port["name"] == wanted["name"]), {})
        wrong = {
            key: row.get(key)
            for key, want in wanted.items()
            if key != "name" and row.get(key) != want
        }
        yield none_of("port", wanted, wrong)


CHECKS: tuple[Callable[[Case, Answer], Iterator[Check]], ...] = (
    findings, ends, quiet, limits, texts, violations, streams, endpoints, cameras, clock, ports,
)  # fmt: skip
