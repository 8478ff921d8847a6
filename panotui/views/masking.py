"""Hides names and addresses, for a picture that strangers may see.

The same thing has the same stand-in everywhere (`camera-2`, `host-3`, `address-1`), and each
stand-in can be resolved, so that a screen can continue to request it. Names of AWS services and
regions stay: they do not identify anyone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from panotui.model import DeviceRecord, EndpointRecord, FlowRecord, PortRecord, Snapshot
from panotui.views.frames import Command, Frame, View

T = TypeVar("T")

_MAC = re.compile(r"(?i)\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b")
_V4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_V6 = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])")
_HOST = re.compile(r"(?i)\b(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}\b")
_AWS = (".amazonaws.com", ".aws.amazon.com", ".api.aws", ".amazontrust.com")
_STAND_IN = re.compile(r"\b(?:site|camera|device|service|neighbour|address|mac|host|name)-\d+\b")
_FILE = re.compile(r"(?i)\.(?:toml|pcapng|pcap|json|panotui|csv|sock)$")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
_PARTS = frozenset({"api", "dkr", "streams", "credentials", "runtime", "iot", "s3"})
# fields with our own words: a name with the same letters must not be replaced there
_OURS = frozenset({
    "schema", "id", "mode", "pane", "sort", "state", "severity", "confidence", "reason", "rule",
    "verdict", "kind", "transport", "role", "codec", "media", "app", "scope", "trouble",
    "trouble_text", "trouble_word", "trouble_severity", "conn_state", "history", "topology",
    "region", "vantage", "port", "cells",
})  # fmt: skip
NAME_LEAST = 2  # shorter names would occur within words
_KEPT_TEXTS = 20_000


class Masker:
    """Stand-ins for names and addresses, created on first use."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._back: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._named: re.Pattern[str] | None = None
        self._texts: dict[str, str] = {}

    def frame(self, frame: Frame) -> Frame:
        """A frame without names and addresses."""
        self._learn(frame)
        found: Frame = self._walk(frame)
        return found

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot without names and addresses; its flows are masked by `flow`."""
        self._learn_names(
            snapshot.site.name,
            [c.name for c in snapshot.cameras] + [s.camera for s in snapshot.streams],
            snapshot.devices,
            snapshot.endpoints,
            snapshot.ports,
            {port.name for port in snapshot.ports},
        )
        files = tuple(f"file-{n}" for n, _ in enumerate(snapshot.source.files, 1))
        found: Snapshot = self._walk(snapshot)
        source = msgspec.structs.replace(found.source, files=files)
        return msgspec.structs.replace(found, source=source)

    def flow(self, flow: FlowRecord) -> FlowRecord:
        """A flow without names and addresses; its Community ID is a hash of the addresses, and is
        removed.
        """
        found: FlowRecord = self._walk(flow)
        return msgspec.structs.replace(found, community_id="")

    def text(self, text: str) -> str:
        """One text without names and addresses."""
        found = self._texts.get(text)
        if found is None:
            if len(self._texts) >= _KEPT_TEXTS:
                self._texts.clear()
            found = self._texts[text] = self._masked(text)
        return found

    def original(self, text: str) -> str:
        """The original text behind stand-ins."""
        return _STAND_IN.sub(lambda m: self._back.get(m[0], m[0]), text)

    def request(self, request: T) -> T:
        """A request of a screen that knows only stand-ins, in the form for the collector."""
        if isinstance(request, View):
            return msgspec.structs.replace(
                request,
                filter=self.original(request.filter),
                follow=None if request.follow is None else self.original(request.follow),
                detail=None if request.detail is None else self.original(request.detail),
            )
        if isinstance(request, Command):
            return msgspec.structs.replace(
                request, key=self.original(request.key), text=self.original(request.text)
            )
        return request

    # ------------------------------------------------------------------ names

    def _learn(self, frame: Frame) -> None:
        detail = frame.detail
        cameras = [c.name for c in frame.cameras] + [s.camera for s in frame.streams]
        if detail is not None:
            cameras += [r.name for r in (detail.camera,) if r is not None]
            cameras += [r.camera for r in (detail.stream, detail.flow, detail.finding) if r]
        for strip in frame.strips.strips if frame.strips is not None else ():
            kind, _, name = strip.key.partition(":")
            cameras += [name] if kind == "camera" else []
        self._learn_names(
            frame.header.site.name,
            cameras,
            [*frame.devices, *([detail.device] if detail and detail.device else [])],
            frame.endpoints,
            [*frame.ports, *([detail.port] if detail and detail.port else [])],
            {name for name, _, _ in frame.header.ports},
        )

    def _learn_names(
        self,
        site: str | None,
        cameras: Iterable[str | None],
        devices: Iterable[DeviceRecord],
        endpoints: Iterable[EndpointRecord],
        ports: Iterable[PortRecord],
        port_names: set[str],
    ) -> None:
        before = len(self._names)
        if site:
            self._name("site", site)
        for camera in cameras:
            if camera:
                self._name("camera", camera)
        for device in devices:
            for name in set(device.names) - port_names:  # "eth0" identifies nobody
                self._name("device", name)
        for endpoint in endpoints:
            own = endpoint.service.startswith(endpoint.label or endpoint.service)
            if endpoint.port in (53, 123):
                continue  # DNS and NTP have the same name everywhere
            if own or not endpoint.host.endswith(_AWS):  # a service of the site file
                for name in (endpoint.label, endpoint.service):
                    if name:
                        self._name("service", name)
        for port in ports:
            if port.neighbour:
                self._name("neighbour", port.neighbour)
        if len(self._names) != before:
            longest = sorted(self._names, key=len, reverse=True)
            words = "|".join(map(re.escape, longest))
            self._named = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")
            self._texts.clear()

    def _name(self, kind: str, name: str) -> None:
        if name in self._names or len(name) < NAME_LEAST or _is_address(name):
            return
        self._names[name] = self._stand_in(kind, name)

    def _stand_in(self, kind: str, thing: str) -> str:
        key = (kind, thing.lower())
        if key not in self._given:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._given[key] = f"{kind}-{self._counts[kind]}"
            self._back[self._given[key]] = thing
        return self._given[key]

    # ------------------------------------------------------------------ texts

    def _masked(self, text: str) -> str:
        if self._named is not None:
            text = self._named.sub(lambda m: self._names[m[0]], text)
        text = _MAC.sub(lambda m: self._stand_in("mac", m[0]), text)
        text = _V6.sub(lambda m: self._address(m[0]), text)
        text = _V4.sub(lambda m: self._address(m[0]), text)
        return _HOST.sub(lambda m: self._host(m[0]), text)

    def _address(self, text: str) -> str:
        if not _is_address(text):
            return text  # a time of day, a version
        return self._stand_in("address", text)

    def _host(self, name: str) -> str:
        suffix = next((s for s in _AWS if name.lower().endswith(s)), None)
        if _FILE.search(name):
            return name
        if suffix is None:
            return self._stand_in("host", name)
        labels = name[: -len(suffix)].split(".")
        kept = [labels.pop()]
        if _REGION.match(kept[0].lower()) and labels:
            kept.insert(0, labels.pop())
        while labels and labels[-1].lower() in _PARTS:
            kept.insert(0, labels.pop())
        if labels:
            kept.insert(0, self._stand_in("name", ".".join(labels)))
        return ".".join(kept) + suffix

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, msgspec.Struct):
            changed: dict[str, Any] = {}
            for name in value.__struct_fields__:
                if name in _OURS:
                    continue
                old = getattr(value, name)
                new = self._walk(old)
                if new is not old:
                    changed[name] = new
            return msgspec.structs.replace(value, **changed) if changed else value
        if isinstance(value, tuple) and value:
            new = [self._walk(item) for item in value]
            if all(a is b for a, b in zip(new, value, strict=True)):
                return value
            return type(value)(*new) if hasattr(value, "_fields") else tuple(new)
        return value


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
