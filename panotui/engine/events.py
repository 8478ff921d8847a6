"""Events: numbered, worded and stored as they happen.

Changes of the books' states and messages come in, `EventRecord`s go out: `newest` returns the
newest ones, `drain` those since the last call. The sentences are in `events.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import msgspec

from panotui.diagnosis.catalogue import filled, names_in
from panotui.engine.wavering import RETOLD_NS, Waverers, Wavering
from panotui.model import (
    SECOND,
    AnyMessage,
    DhcpMessage,
    EventRecord,
    FindingRecord,
    LinkControlMessage,
    LinkReading,
    PortRecord,
    RtspMessage,
    Severity,
    SourceRecord,
    StreamFreeze,
    StreamRestart,
    ViolationRecord,
)
from panotui.state.camera import Camera
from panotui.state.cameras import CameraBook
from panotui.state.endpoints import Endpoint
from panotui.state.marks import key_of
from panotui.state.streams import StreamBook, StreamState, size_text, stream_key
from panotui.state.verdicts import Change
from panotui.wire.linkcontrol import described

FRESH_MAX = 10_000  # events that were not drained yet
HEARD_MOST = 64  # senders of rare link protocols that are reported
_RANK = {"info": 0, "warning": 1, "error": 2}
_FAMILY = {"finding-cleared": "finding"}  # events for changes of one thing
_OPTIONAL = re.compile(r"\[([^\]]*)\]")


def span_text(span_ns: int) -> str:
    """`40 d`, `1 h`, `1 h 30 min`, `90.5 s`: a span of time in its two largest units."""
    seconds = span_ns / SECOND
    if seconds < 120:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _off_text(ahead_ns: int) -> str:
    if abs(ahead_ns) < SECOND // 2:
        return "which agree with it again"
    way = "ahead of" if ahead_ns > 0 else "behind"
    return f"the clock is {span_text(abs(ahead_ns))} {way} them now"


class EventSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of events.toml; see its head for the meaning of the fields."""

    kind: str
    severity: Severity
    text: str
    bad: tuple[str, ...] = ()
    worse: Severity = "warning"

    def sentence(self, values: dict[str, str]) -> str:
        """The text with its names filled in."""
        template = _OPTIONAL.sub(
            lambda part: part[1] if all(values.get(n) for n in names_in(part[1])) else "",
            self.text,
        )
        return filled(template, values)


@lru_cache(maxsize=1)
def event_specs() -> dict[str, EventSpec]:
    """All events by name, in the file's order."""
    text = Path(__file__).with_name("events.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, EventSpec])


class Events:
    """The events of a run; `limit` of them are kept."""

    hears: ClassVar[frozenset[type]] = frozenset(
        (RtspMessage, DhcpMessage, LinkControlMessage, StreamFreeze, StreamRestart)
    )

    def __init__(self, cameras: CameraBook, streams: StreamBook, limit: int) -> None:
        self.number = 0  # of the newest
        self._cameras = cameras
        self._streams = streams
        self._specs = event_specs()
        self._kept: deque[EventRecord] = deque(maxlen=limit)
        self._fresh: deque[EventRecord] = deque(maxlen=FRESH_MAX)
        self._heard_on_links: set[tuple[str, str]] = set()
        self._port_states: dict[str, str] = {}
        self._waverers = Waverers()

    def newest(self, count: int) -> tuple[EventRecord, ...]:
        """The newest `count` events, oldest first. They are ordered by their own time, not by when
        they were reported (a freeze is known only when the picture moves again).
        """
        return tuple(sorted(self._kept, key=lambda e: (e.time_ns, e.number))[-count:])

    def drain(self) -> list[EventRecord]:
        """Events since the last call, oldest first."""
        events = list(self._fresh)
        self._fresh.clear()
        return events

    def tell(
        self,
        name: str,
        time_ns: int,
        subject: str,
        values: dict[str, str],
        *,
        severity: Severity | None = None,
        packet: int | None = None,
        flow: str | None = None,
        port: str | None = None,
        about: str | None = None,
    ) -> EventRecord:
        """Store an event of events.toml; `severity` replaces the one in the file.

        `about`: the key of the changed thing. A thing that comes and goes has one event, whose
        count and text change (`wavering`).
        """
        spec = self._specs[name]
        if severity is None:
            severity = spec.worse if values.get("state") in spec.bad else spec.severity
        self.number += 1
        event = EventRecord(
            time_ns=time_ns,
            number=self.number,
            kind=spec.kind,
            severity=severity,
            subject=subject,
            text=spec.sentence(values),
            packet=packet or None,
            flow=flow,
            port=port,
            about=about,
        )
        if about is not None:
            wavering = self._waverers.change(_FAMILY.get(name, name), about, time_ns,
                                             self.number)  # fmt: skip
            if wavering is not None:
                return self._wavers(event, wavering)
        self._kept.append(event)
        self._fresh.append(event)
        return event

    def _wavers(self, last: EventRecord, wavering: Wavering) -> EventRecord:
        """Report a thing that comes and goes, or update its event."""
        spec = self._specs["wavers"]
        known = next((e for e in reversed(self._kept) if e.number == wavering.number), None)
        worse = max((last, known or last), key=lambda e: _RANK[e.severity])
        values = {
            "subject": last.subject, "count": f"{wavering.count:,}",
            "span": span_text(wavering.last_ns - wavering.first_ns), "last": last.text,
        }  # fmt: skip
        event = msgspec.structs.replace(
            last,
            number=wavering.number,
            time_ns=wavering.first_ns if known is None else known.time_ns,
            severity=worse.severity,
            text=spec.sentence(values),
            count=wavering.count,
            until_ns=wavering.last_ns,
        )
        if last.number != wavering.number:
            self.number -= 1  # it had no event of its own
        if known is None:
            self._kept.append(event)
        else:
            self._kept[self._kept.index(known)] = event
        if last.time_ns - wavering.told_ns >= RETOLD_NS:
            wavering.told_ns = last.time_ns
            self._fresh.append(event)
        return event

    # ------------------------------------------------------------------ of messages

    def observe(self, message: AnyMessage, meter: int) -> None:
        """Report a message that matters to a user."""
        if isinstance(message, RtspMessage):
            self._rtsp(message)
        elif isinstance(message, DhcpMessage):
            self._dhcp(message)
        elif isinstance(message, LinkControlMessage):
            self._link_protocol(message)
        elif isinstance(message, StreamFreeze | StreamRestart):
            self._stream_message(message, meter)

    def _rtsp(self, message: RtspMessage) -> None:
        status = message.status
        if status is None or (status < 400 and message.method not in ("PLAY", "TEARDOWN")):
            return
        camera = self._cameras.get(message.server)
        name = camera.name if camera else message.server
        # the first 401 is part of every login
        refused = status >= 400 and not (status == 401 and not message.auth_sent)
        values = {
            "camera": name, "status": str(status), "reason": message.reason or "",
            "method": message.method or "", "state": "refused" if refused else "ok",
        }  # fmt: skip
        self.tell("rtsp", message.time_ns, name, values, packet=message.packet)

    def _dhcp(self, message: DhcpMessage) -> None:
        who = message.host_name or message.client_mac
        if message.type == "ack":
            address = message.your_ip or message.client_ip or "?"
        elif message.type in ("nak", "decline"):
            address = message.requested_ip or "its address"
        else:
            return
        self.tell(
            f"dhcp-{message.type}", message.time_ns, who, {"who": who, "address": address},
            packet=message.packet,
        )  # fmt: skip

    def _link_protocol(self, message: LinkControlMessage) -> None:
        """Report each sender of a rare link protocol once: a switch that requires 802.1X, say,
        explains a silent port.
        """
        title = message.title
        who = (title, message.src_mac)
        if not title or who in self._heard_on_links or len(self._heard_on_links) >= HEARD_MOST:
            return
        self._heard_on_links.add(who)
        values = {"mac": message.src_mac, "protocol": title, "detail": described(message) or ""}
        self.tell("link-protocol", message.time_ns, message.src_mac, values, packet=message.packet)

    def _stream_message(self, message: StreamFreeze | StreamRestart, meter: int) -> None:
        stream = self._streams.streams.get(stream_key(meter, message.stream))
        if stream is None:
            return
        camera = stream.camera or stream.src
        values = {"camera": camera, "cause": message.kind}
        if isinstance(message, StreamFreeze):
            name, values["seconds"] = "stream-froze", f"{message.seconds:.1f}"
        else:
            name, values["detail"] = "stream-restarted", message.detail
        about = f"camera:{camera}"
        self.tell(name, message.time_ns, camera, values, packet=message.packet, about=about)

    # ------------------------------------------------------------------ of this machine

    def clock(self, before: SourceRecord, now: SourceRecord, now_ns: int) -> None:
        """The machine's clock was set, or the machine slept."""
        ahead = now.clock_stepped_ns - before.clock_stepped_ns
        if ahead:
            values = {
                "span": span_text(abs(ahead)),
                "way": "ahead" if ahead > 0 else "back",
                "off": _off_text(now.clock_stepped_ns),
            }
            self.tell("clock-set", now_ns, "this tool", values)
        slept = now.slept_ns - before.slept_ns
        if slept > 0:
            self.tell("slept", now_ns, "this tool", {"span": span_text(slept)})

    # ------------------------------------------------------------------ of states

    def link(self, reading: LinkReading) -> None:
        """A capture interface of this machine gained or lost its link."""
        values = {
            "interface": reading.interface, "state": "up" if reading.up else "down",
            "change": "has a link again" if reading.up else "has lost its link",
        }  # fmt: skip
        self.tell("link", reading.time_ns, reading.interface, values)

    def ports(self, ports: tuple[PortRecord, ...], now_ns: int) -> None:
        """The appliance's ports whose state has changed."""
        for port in ports:
            was = self._port_states.get(port.name, "unknown")
            if was == port.state:
                continue
            self._port_states[port.name] = port.state
            if was != "unknown":
                values = {"port": port.name, "state": port.state}
                about = f"port:{port.name}"
                self.tell("port", now_ns, port.name, values, port=port.name, about=about)

    def camera(self, camera: Camera, now_ns: int) -> None:
        """A camera's new state."""
        values = {"camera": camera.name, "state": camera.state, "detail": camera.state_text or ""}
        time_ns = min(camera.state_since_ns or now_ns, now_ns)
        about = f"camera:{camera.name}"
        self.tell("camera", time_ns, camera.name, values, port=camera.port, about=about)

    def stream(self, stream: StreamState, was: str) -> None:
        """A stream's new state."""
        camera = stream.camera or stream.src
        values = {"camera": camera, "state": stream.state, "before": was}
        self.tell("stream", stream.state_since_ns, camera, values, about=f"camera:{camera}")

    def resized(self, stream: StreamState, before: str) -> None:
        """The picture size of a stream changed from `before`."""
        camera = stream.camera or stream.src
        values = {"camera": camera, "size": size_text(stream.row), "before": before}
        self.tell(
            "stream-resized", stream.row.last_ns, camera, values,
            packet=stream.row.last_packet,
        )  # fmt: skip

    def endpoint(self, endpoint: Endpoint, was: str, now_ns: int) -> None:
        """An endpoint's new state; becoming reachable for the first time is not reported."""
        if was == "unseen" and endpoint.state == "reachable":
            return
        detail = endpoint.detail or ""
        values = {"host": endpoint.host, "state": endpoint.state, "detail": detail}
        about = f"endpoint:{endpoint.rule.service}/{endpoint.host}/{endpoint.port}"
        self.tell("endpoint", now_ns, endpoint.rule.label, values, about=about)

    def verdict(self, change: Change, now_ns: int) -> None:
        """A changed verdict of a flow."""
        values = {
            "peer": change.peer, "before": change.before, "state": change.verdict,
            "reason": change.reason or "",
        }  # fmt: skip
        self.tell("verdict", now_ns, change.flow, values, flow=change.flow)

    def violation(self, violation: ViolationRecord) -> None:
        """A violation that is new, or open again."""
        self.tell(
            "violation", violation.first_time_ns, violation.host or violation.dst,
            {"text": violation.text or violation.reason}, severity=violation.severity,
            packet=violation.first_packet, flow=violation.flow, port=violation.port,
            about=key_of(violation),
        )  # fmt: skip

    def finding(self, kind: str, finding: FindingRecord, now_ns: int) -> None:
        """A finding that is new (`finding`) or over (`cleared`)."""
        values = {"text": finding.text}
        if kind == "cleared":
            self.tell(
                "finding-cleared", finding.cleared_time_ns or now_ns, finding.subject, values,
                flow=finding.flow, about=key_of(finding),
            )  # fmt: skip
        else:
            self.tell(
                "finding", now_ns, finding.subject, values, severity=finding.severity,
                flow=finding.flow, about=key_of(finding),
            )  # fmt: skip
