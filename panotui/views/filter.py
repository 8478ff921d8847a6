"""The filter language of every pane: text in, a predicate over records out.

`key:value` terms, separated by spaces, must all match; `!` before a term negates it; a value may be
a list (`verdict:violation,pending`), a comparison where the field is a number (`rtt:>100`), a
quoted string, or `/a regular expression/`. A bare word searches all text of the row. A key that a
pane does not have is an error in one line, not an empty result.
"""

from __future__ import annotations

import ipaddress
import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from panotui.model import (
    CameraRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    PortRecord,
    StreamRecord,
    ViolationRecord,
)
from panotui.views.subjects import SUBJECTS

FILTER_LENGTH_MAX = 300
TERMS_MAX = 16
PATTERN_LENGTH_MAX = 80
TEXT_LENGTH_MAX = 256  # of a text that a pattern is matched against
BUDGET_S = 0.25  # for one pass over a pane

T = TypeVar("T")
Predicate = Callable[[Any], bool]
Values = Callable[[Any], Sequence[Any]]


class FilterError(ValueError):
    """The filter is invalid; `str()` is one line for the footer."""


def _fields(*names: str) -> Values:
    def values(record: Any) -> Sequence[Any]:
        return [getattr(record, name) for name in names]

    return values


def _event_words(record: EventRecord) -> Sequence[Any]:
    return [record.subject, record.text]


_FLOW: dict[str, Values] = {
    "port": _fields("port", "port_in", "sport", "dport"),
    "sport": _fields("sport"),
    "dport": _fields("dport"),
    "src": _fields("src"),
    "dst": _fields("dst"),
    "ip": _fields("src", "dst"),
    "mac": _fields("mac_src", "mac_dst"),
    "host": _fields("host", "src", "dst"),
    "verdict": _fields("verdict"),
    "reason": _fields("reason"),
    "rule": _fields("rule"),
    "app": _fields("app"),
    "service": _fields("service"),
    "camera": _fields("camera"),
    "state": _fields("state", "conn_state", "end"),
    "transport": _fields("transport"),
    "alpn": _fields("alpn"),
    "vlan": _fields("vlan"),
    "id": _fields("id", "community_id"),
    "packets": lambda r: [r.packets_out + r.packets_in],
    "bytes": lambda r: [r.bytes_out + r.bytes_in],
    "rate": lambda r: [(r.rate_out_bps or 0.0) + (r.rate_in_bps or 0.0)],
    "rtt": _fields("rtt_ms"),
    "retransmits": _fields("retransmits"),
    "own": _fields("own"),
}
_STREAM: dict[str, Values] = {
    "port": _fields("port", "sport", "dport"),
    "src": _fields("src"),
    "dst": _fields("dst"),
    "ip": _fields("src", "dst"),
    "host": _fields("camera", "src", "dst", "url"),
    "camera": _fields("camera"),
    "url": _fields("url"),
    "ssrc": _fields("ssrc"),
    "codec": _fields("codec"),
    "media": _fields("media"),
    "transport": _fields("transport"),
    "state": _fields("state"),
    "verdict": _fields("verdict"),
    "rule": _fields("rule"),
    "id": _fields("id", "flow"),
    "lost": _fields("lost_unique"),
    "loss": lambda r: [None if r.loss_now is None else r.loss_now * 100],
    "fps": _fields("fps_now"),
    "jitter": _fields("jitter_ms"),
    "rate": _fields("rate_bps"),
    "packets": _fields("packets"),
    "bytes": _fields("bytes"),
}
_CAMERA: dict[str, Values] = {
    "port": _fields("port"),
    "camera": _fields("name"),
    "host": _fields("name", "address"),
    "ip": _fields("address"),
    "src": _fields("address"),
    "mac": _fields("mac"),
    "vendor": _fields("vendor"),
    "state": _fields("state"),
    "status": _fields("last_status"),
}
_ENDPOINT: dict[str, Values] = {
    "service": _fields("service"),
    "host": _fields("host", "address"),
    "ip": _fields("address"),
    "dst": _fields("address", "host"),
    "port": _fields("port"),
    "dport": _fields("port"),
    "rule": _fields("rule"),
    "state": _fields("state"),
    "alpn": _fields("alpn"),
    "needed": _fields("needed"),
    "rtt": _fields("rtt_ms"),
    "attempts": _fields("attempts"),
}
_VIOLATION: dict[str, Values] = {
    "port": _fields("port", "sport", "dport"),
    "sport": _fields("sport"),
    "dport": _fields("dport"),
    "src": _fields("src"),
    "dst": _fields("dst"),
    "ip": _fields("src", "dst"),
    "host": _fields("host", "src", "dst"),
    "reason": _fields("reason"),
    "severity": _fields("severity"),
    "state": _fields("state"),
    "transport": _fields("transport"),
    "known": _fields("known"),
    "id": _fields("id", "flow"),
    "text": _fields("text"),
    "packets": _fields("packets"),
    "bytes": _fields("bytes"),
}
_FINDING: dict[str, Values] = {
    "id": _fields("id", "key"),
    "severity": _fields("severity"),
    "confidence": _fields("confidence"),
    "subject": _fields("subject"),
    "host": _fields("subject"),
    "camera": _fields("camera"),
    "text": _fields("text", "action"),
    "layer": _fields("layer"),
    "known": _fields("known"),
    "state": lambda r: ["open" if r.cleared_time_ns is None else "cleared"],
}
_EVENT: dict[str, Values] = {
    "kind": _fields("kind"),
    "severity": _fields("severity"),
    "subject": _fields("subject"),
    "host": _event_words,
    "camera": lambda r: [r.subject] if r.kind in ("camera", "stream", "rtsp") else [],
    "text": _fields("text"),
    "port": _fields("port"),
    "id": _fields("flow", "number"),
}
_PORT: dict[str, Values] = {
    "port": _fields("name"),
    "role": _fields("role"),
    "state": _fields("state"),
    "mac": _fields("mac"),
}

KEYS: dict[type, dict[str, Values]] = {
    FlowRecord: _FLOW,
    StreamRecord: _STREAM,
    CameraRecord: _CAMERA,
    EndpointRecord: _ENDPOINT,
    ViolationRecord: _VIOLATION,
    FindingRecord: _FINDING,
    EventRecord: _EVENT,
    PortRecord: _PORT,
    **{pane.record: dict(pane.fields) for pane in SUBJECTS if pane.fields},
}
_ALIASES = {
    "proto": "transport",
    "addr": "ip",
    "address": "ip",
    "name": "host",
    "sni": "host",
    "cam": "camera",
    "r": "reason",
}
_ADDRESSES = {"src", "dst", "ip"}
_SCALES = {"k": 1e3, "M": 1e6, "G": 1e9, "m": 1e6, "g": 1e9}
_COMPARISON = re.compile(r"([<>]=?)(\d+(?:\.\d+)?)([kKmMgG]?)\Z")
_BARE: dict[type, Values] = {
    FlowRecord: _fields(
        "src", "dst", "sport", "dport", "host", "app", "service", "camera", "verdict", "reason",
        "rule", "state", "transport", "port",
    ),
    StreamRecord: _fields("camera", "url", "ssrc", "codec", "media", "src", "dst", "state"),
    CameraRecord: _fields("name", "address", "mac", "vendor", "state", "state_text"),
    EndpointRecord: _fields("service", "label", "host", "address", "rule", "state", "detail"),
    ViolationRecord: _fields("reason", "src", "dst", "host", "text", "port", "dport", "state"),
    FindingRecord: _fields("id", "subject", "text", "action", "severity", "confidence"),
    EventRecord: _fields("kind", "subject", "text", "severity", "port"),
    PortRecord: _fields("name", "role", "state", "mac"),
    **{pane.record: _fields(*pane.words) for pane in SUBJECTS if pane.words},
}  # fmt: skip


class Term(Struct, frozen=True):
    """One condition; `key` None searches the whole row."""

    key: str | None
    negate: bool
    alternatives: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None


class Filter(Struct, frozen=True):
    """A parsed filter; without terms it keeps everything."""

    terms: tuple[Term, ...]

    def predicate(self, record_type: type) -> Predicate:
        """The test for rows of this type; FilterError for a key that the pane does not have."""
        tests = [_test(term, record_type) for term in self.terms]

        def keep(record: Any) -> bool:
            return all(test(record) for test in tests)

        return keep

    def select(
        self,
        records: Iterable[T],
        record_type: type,
        clock: Callable[[], float] = time.perf_counter,
    ) -> list[T]:
        """The matching rows, in order; FilterError after `BUDGET_S` of work."""
        if not self.terms:
            return list(records)
        keep = self.bounded(record_type, clock)
        return [record for record in records if keep(record)]

    def bounded(
        self, record_type: type, clock: Callable[[], float] = time.perf_counter
    ) -> Predicate:
        """The predicate for one pass over a pane; it raises FilterError after `BUDGET_S`."""
        keep = self.predicate(record_type)
        if all(term.pattern is None for term in self.terms):
            return keep
        deadline = clock() + BUDGET_S

        def timed(record: Any) -> bool:
            if clock() > deadline:
                raise FilterError("the pattern takes too long; make it simpler")
            return keep(record)

        return timed


def parse(text: str) -> Filter:
    """Parse a filter; FilterError explains the problem in one line. Empty text keeps everything."""
    if len(text) > FILTER_LENGTH_MAX:
        raise FilterError(f"a filter is at most {FILTER_LENGTH_MAX} characters")
    terms = [_term(word) for word in _words(text)]
    if len(terms) > TERMS_MAX:
        raise FilterError(f"a filter has at most {TERMS_MAX} terms")
    return Filter(tuple(terms))


def _words(text: str) -> list[str]:
    """Split at spaces outside quotes and slashes."""
    words: list[str] = []
    word: list[str] = []
    closing = ""
    escaped = False
    for character in text:
        if closing:
            word.append(character)
            if escaped:
                escaped = False
            elif character == "\\" and closing == "/":
                escaped = True
            elif character == closing:
                closing = ""
        elif character.isspace():
            if word:
                words.append("".join(word))
                word = []
        else:
            starts_value = not word or word[-1] in ":!"
            if character == '"' or (character == "/" and starts_value):
                closing = character
            word.append(character)
    if closing:
        raise FilterError(f"a {closing} is missing at the end")
    if word:
        words.append("".join(word))
    return words


_KEY = re.compile(r"([A-Za-z_]+):(.*)\Z", re.DOTALL)


def _term(word: str) -> Term:
    negate = word.startswith("!")
    body = word[1:] if negate else word
    if not body or body.startswith("!"):
        raise FilterError("a term is missing after !")
    key: str | None = None
    value = body
    match = _KEY.match(body)
    if match and not body.startswith(("/", '"')):
        key = match[1].lower()
        key = _ALIASES.get(key, key)
        value = match[2]
        if not any(key in fields for fields in KEYS.values()):
            raise FilterError(f"unknown field {key}: (try {_close(key)})")
    if value in ("", '""', "//"):
        raise FilterError(f"a value is missing after {key}:" if key else "a term is empty")
    if value.startswith("/"):
        if not value.endswith("/") or len(value) < 2:
            raise FilterError("a pattern ends with /")
        return Term(key, negate, pattern=safe_pattern(value[1:-1]))
    if value.startswith('"'):
        if not value.endswith('"') or len(value) < 2:
            raise FilterError('text after the closing "')
        return Term(key, negate, alternatives=(value[1:-1].lower(),))
    alternatives = tuple(part.lower() for part in value.split(",")) if key else (value.lower(),)
    if "" in alternatives:
        raise FilterError(f"a value is missing beside a comma in {key}:")
    return Term(key, negate, alternatives=alternatives)


def _close(key: str) -> str:
    known = sorted({name for fields in KEYS.values() for name in fields})
    near = [name for name in known if name[:1] == key[:1]]
    return ", ".join(f"{name}:" for name in (near or ["host", "verdict", "port"])[:4])


def safe_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern that cannot run away: FilterError for one that might.

    Python's matcher backtracks. Nested repetition, repeated alternatives, back-references and
    look-around can take exponential time. They are refused, at most two repetitions are accepted,
    and the text is bounded, which leaves at worst a cubic search over `TEXT_LENGTH_MAX` characters.
    """
    if len(text) > PATTERN_LENGTH_MAX:
        raise FilterError(f"a pattern is at most {PATTERN_LENGTH_MAX} characters")
    _check_repetition(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "possible nested set": [[ is a set
            return re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise FilterError(f"pattern: {str(error)[:60]}") from None


def _check_repetition(text: str) -> None:
    groups: list[bool] = [False]  # per open group: does it hold a repetition or an alternative?
    closed: bool | None = None  # of the group that has just ended
    repetitions = 0
    position = 0
    while position < len(text):
        character = text[position]
        was_closed, closed = closed, None
        if character == "\\":
            if position + 1 < len(text) and (text[position + 1].isdigit()):
                raise FilterError("pattern: back-references are not supported")
            position += 2
            continue
        if character == "[":
            end = position + 2 if text[position + 1 : position + 2] == "]" else position + 1
            if text[position + 1 : position + 2] == "^":
                end = position + (3 if text[position + 2 : position + 3] == "]" else 2)
            while end < len(text) and text[end] != "]":
                end += 2 if text[end] == "\\" else 1
            position = end + 1
            continue
        if character == "(":
            if (
                text[position + 1 : position + 2] == "?"
                and text[position + 2 : position + 3] != ":"
            ):
                raise FilterError("pattern: of the (?...) forms only (?:...) is supported")
            groups.append(False)
            position += 3 if text[position + 1 : position + 2] == "?" else 1
            continue
        if character == ")":
            if len(groups) > 1:
                closed = groups.pop()
                groups[-1] = groups[-1] or closed
        elif character == "|":
            groups[-1] = True
        elif character in "*+?{":
            repetitions += 1
            groups[-1] = True
            if repetitions > 2:
                raise FilterError("pattern: at most two of * + ? {} are allowed")
            if was_closed:
                raise FilterError("pattern: repeating a group with a repetition is not supported")
        position += 1


def _test(term: Term, record_type: type) -> Predicate:
    keys = KEYS[record_type]
    if term.key is None:
        values = _BARE[record_type]
        matches = _text_test(term)
    else:
        if term.key not in keys:
            raise FilterError(f"{term.key}: is not a field of this pane (try {_sample(keys)})")
        values = keys[term.key]
        matches = _value_test(term)
    negate = term.negate

    def test(record: Any) -> bool:
        found = any(value is not None and matches(value) for value in values(record))
        return found is not negate

    return test


def _sample(keys: dict[str, Values]) -> str:
    return ", ".join(f"{name}:" for name in list(keys)[:5])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)[:TEXT_LENGTH_MAX]


def _text_test(term: Term) -> Predicate:
    if term.pattern is not None:
        search = term.pattern.search
        return lambda value: search(_text(value)) is not None
    return lambda value: any(part in _text(value).lower() for part in term.alternatives)


def _value_test(term: Term) -> Predicate:
    if term.pattern is not None:
        return _text_test(term)
    tests = [_alternative_test(term.key or "", part) for part in term.alternatives]
    return lambda value: any(test(value) for test in tests)


def _alternative_test(key: str, part: str) -> Predicate:
    comparison = _COMPARISON.match(part)
    if comparison:
        return _comparison_test(comparison)
    if key in _ADDRESSES:
        network = _network(part)
        if network is not None:
            return lambda value: _inside(value, network)
    aliases = {"true": "yes", "1": "yes", "false": "no", "0": "no"}

    def test(value: Any) -> bool:
        if isinstance(value, bool):
            return _text(value) == aliases.get(part, part)
        if isinstance(value, int):
            return str(value) == part
        text = _text(value).lower()
        # Ports and words match whole if the record's word is short, else by part:
        # `verdict:allowed`, `port:eth0`, but `host:amazonaws`.
        return part in text

    return test


def _comparison_test(match: re.Match[str]) -> Predicate:
    operator = match[1]
    limit = float(match[2]) * _SCALES.get(match[3], 1e3 if match[3] == "K" else 1.0)

    def test(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if operator == ">":
            return value > limit
        if operator == "<":
            return value < limit
        return value >= limit if operator == ">=" else value <= limit

    return test


def _network(part: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in part:
        return None
    try:
        return ipaddress.ip_network(part, strict=False)
    except ValueError:
        raise FilterError(f"{part} is not a network") from None


def _inside(value: Any, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        address = ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return address.version == network.version and address in network
