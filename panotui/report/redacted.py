"""A story without identities: names and addresses become numbers.

The same thing has the same number everywhere, so that a report can still be followed: `camera-1`,
`host-3`, `10.x-2` for a private address, `public-1` for another, `mac-4`. Names of AWS services
stay, without the labels before them. Text written by a user (title, customer, marks) is removed.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from panotui.report.story import Heading, Story

_MAC = re.compile(r"(?i)\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b")
_V4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_V6 = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])")
_HOST = re.compile(r"(?i)\b(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}\b\.?")
_URL = re.compile(r"(?i)\b(?:rtsps?|https?)://[^\s\"'<>]+")
_AWS = (".amazonaws.com", ".aws.amazon.com", ".api.aws", ".amazontrust.com")
_KEPT = re.compile(r"(?i)\.(?:toml|pcapng?|json|html|panotui|zst|gz|csv|log)\.?$")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
_PARTS = frozenset({"api", "dkr", "streams", "credentials", "runtime"})  # of services' own names
# our own words, where a name with the same letters must not be replaced
_OURS = frozenset({
    "id", "state", "severity", "confidence", "reason", "rule", "verdict", "kind", "transport",
    "role", "codec", "media", "app", "scope", "trouble", "trouble_text", "trouble_word",
    "trouble_severity", "conn_state", "made_by", "evidence_file", "sha256",
})  # fmt: skip
_NAME_LEAST = 2  # shorter names would occur within words


class _Numbers:
    """One number for each thing of a kind."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def of(self, kind: str, thing: str) -> str:
        key = (kind, thing.lower())
        if key not in self._given:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._given[key] = f"{kind}-{self._counts[kind]}"
        return self._given[key]


def redacted(stories: Sequence[Story]) -> list[Story]:
    """The same stories for readers who must not know the site; the same thing has the same number
    in all of them.
    """
    numbers = _Numbers()
    return [_redacted(story, numbers, f"site-{n}") for n, story in enumerate(stories, 1)]


def _redacted(story: Story, numbers: _Numbers, site: str) -> Story:
    names = _names(story, numbers, site)
    clean = _cleaner(names, numbers)
    told: Story = _walk(story, clean)
    return dataclasses.replace(
        told,
        heading=Heading(time=story.heading.time),
        marks=(),
        # A file is known by its hash; its name may reveal its subject.
        evidence=tuple(
            msgspec.structs.replace(e, file=f"file {n}", subject="")
            for n, e in enumerate(told.evidence, 1)
        ),
        named="a capture" if story.is_capture else "a recording",
    )


def _names(story: Story, numbers: _Numbers, site: str) -> dict[str, str]:
    """Names of a site or of devices -> their stand-ins."""
    snapshot = story.snapshot
    found: dict[str, str] = {}
    if snapshot.site.name:
        found[snapshot.site.name] = site
    for camera in snapshot.cameras:
        found[camera.name] = numbers.of("camera", camera.name)
    for endpoint in snapshot.endpoints:
        if not endpoint.host.endswith(_AWS):
            for name in (endpoint.label, endpoint.service):
                if name:
                    found.setdefault(name, numbers.of("service", name))
    for device in snapshot.devices:
        for name in device.names:
            found.setdefault(name, numbers.of("device", device.mac))
    for port in snapshot.ports:
        if port.neighbour:
            found.setdefault(port.neighbour, numbers.of("neighbour", port.neighbour))
    return {name: to for name, to in found.items() if len(name) >= _NAME_LEAST}


def _cleaner(names: Mapping[str, str], numbers: _Numbers) -> Callable[[str], str]:
    """A function that redacts a text."""
    longest_first = sorted(names, key=len, reverse=True)
    named = (
        re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")
        if names
        else None
    )

    def clean(text: str) -> str:
        text = _URL.sub(lambda m: f"{m[0].partition(':')[0]}://{numbers.of('url', m[0])}", text)
        text = _MAC.sub(lambda m: numbers.of("mac", m[0].replace("-", ":")), text)
        text = _V6.sub(lambda m: _address(m[0], numbers), text)
        text = _V4.sub(lambda m: _address(m[0], numbers), text)
        if named is not None:
            text = named.sub(lambda m: names[m[0]], text)
        return _HOST.sub(lambda m: _host(m[0], numbers), text)

    return clean


def _address(text: str, numbers: _Numbers) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text  # a time of day, a version
    if address.is_unspecified or address.is_loopback:
        return text
    return numbers.of("local" if address.is_private or address.is_link_local else "public", text)


def _host(text: str, numbers: _Numbers) -> str:
    """An AWS service and its region stay: `logs.us-east-1.amazonaws.com`. The labels before them,
    which belong to an account, do not.
    """
    if _KEPT.search(text):
        return text
    name = text.rstrip(".")
    suffix = next((s for s in _AWS if name.lower().endswith(s)), None)
    if suffix is None:
        return numbers.of("host", name)
    labels = name[: -len(suffix)].split(".")
    kept = [labels.pop()]
    if _REGION.match(kept[0].lower()) and labels:
        kept.insert(0, labels.pop())
    if labels and labels[-1].lower() in _PARTS:
        kept.insert(0, labels.pop())
    if labels:
        kept.insert(0, numbers.of("name", ".".join(labels)))
    return ".".join(kept) + suffix


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, msgspec.Struct):
        fields = {
            name: _walk(getattr(value, name), clean)
            for name in value.__struct_fields__
            if name not in _OURS
        }
        return msgspec.structs.replace(value, **fields)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _walk(getattr(value, f.name), clean) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, dict):
        return {_walk(k, clean): _walk(v, clean) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return type(value)(*(_walk(item, clean) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(_walk(item, clean) for item in value)
    return value
