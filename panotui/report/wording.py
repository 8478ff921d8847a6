"""Numbers and times of a report as text: units, durations, local time with its zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from panotui.model import SECOND, DeviceRecord, StreamRecord, quantities

UNKNOWN = "–"


def rate(value: float | None) -> str:
    """Bits per second with their unit."""
    return quantities.rate(value, unknown=UNKNOWN)


def size(value: int | None) -> str:
    """Bytes with their unit."""
    return quantities.size(value, unknown=UNKNOWN)


def milliseconds(value: float | None) -> str:
    """Milliseconds, three significant figures."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.3g} ms" if abs(value) < 1000 else f"{value:,.0f} ms"


def duration(seconds: float) -> str:
    """`61.9 s`, `5 min 3 s`, `8 h`, `31 d 2 h`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, name, part, part_name in (
        (86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def per_cent(share: float | None) -> str:
    """`99.98 %`; see `quantities.per_cent`."""
    return quantities.per_cent(share, UNKNOWN)


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 error`, `3 errors`; empty for none."""
    return quantities.counted(count, one, many) if count else ""


def place(device: DeviceRecord) -> str:
    """`eth0 VLAN 12`: where a device was seen."""
    vlan = "" if device.vlan is None else f"VLAN {device.vlan}"
    return " ".join(filter(None, (device.port, vlan))) or UNKNOWN


def frame_text(stream: StreamRecord) -> str:
    """`H264 1280x720, 25.0 fps`; with the expected rate if it differs."""
    words = [stream.codec or "codec unknown"]
    if stream.width and stream.height:
        words.append(f"{stream.width}x{stream.height}")
    if stream.fps is not None:
        words[-1] += ","
        words.append(f"{stream.fps:.1f} fps")
    expected = stream.fps_expected
    if expected is not None and (stream.fps is None or abs(stream.fps - expected) > expected / 20):
        words.append(f"({expected:g} expected)")
    return " ".join(words)


def lost_share(lost: int, expected: int) -> str:
    """The lost share; `0 %` only for no loss at all."""
    if not expected:
        return UNKNOWN
    return per_cent(lost / expected) if lost else "0 %"


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Times in the site's zone. `zone` None: the zone of this machine."""

    zone: tzinfo | None = UTC

    def at(self, time_s: float) -> datetime | None:
        """The local time of seconds since the epoch; None outside the calendar."""
        try:
            return datetime.fromtimestamp(time_s, UTC).astimezone(self.zone)
        except (OverflowError, ValueError, OSError):
            return None

    def _said(self, time_s: float | None, shape: str) -> str:
        at = None if time_s is None else self.at(time_s)
        return UNKNOWN if at is None else at.strftime(shape)

    def moment(self, time_ns: int | None) -> str:
        """A date and time to the second."""
        return self._said(time_ns // SECOND if time_ns else None, "%Y-%m-%d %H:%M:%S")

    def clock(self, time_ns: int | None) -> str:
        """The time of day with milliseconds."""
        text = self._said(time_ns // SECOND if time_ns else None, "%H:%M:%S")
        return text if not time_ns or text == UNKNOWN else f"{text}.{time_ns // 10**6 % 1000:03d}"

    def retold(self, text: str, near_ns: int) -> str:
        """A sentence with its times of day, which are UTC in findings, as local ones. `near_ns`: a
        time that the sentence is about; the times nearest to it are used.
        """
        return quantities.in_local_time(text, near_ns // SECOND, self.zone)

    def day(self, time_s: float) -> str:
        """`Sun 29 Nov 2026`."""
        at = self.at(time_s)
        return UNKNOWN if at is None else f"{at:%a} {at.day} {at:%b %Y}"

    def span(self, start_s: float, end_s: float) -> str:
        """`Sun 29 Nov 2026 22:00 to Mon 30 Nov 2026 06:00 CET (UTC+1)`; a common day is written
        once, seconds if the span is short.
        """
        shape = "%H:%M" if end_s - start_s >= 600 else "%H:%M:%S"
        first, last = self.day(start_s), self.day(end_s)
        until = self._said(end_s, shape) if first == last else f"{last} {self._said(end_s, shape)}"
        return f"{first} {self._said(start_s, shape)} to {until} {self.name(start_s, end_s)}"

    def name(self, start_s: float, end_s: float) -> str:
        """The zone's name and offset; both offsets if the span holds a change."""
        said = [self._zone_at(t) for t in (start_s, end_s)]
        return " / ".join(dict.fromkeys(filter(None, said))) or UNKNOWN

    def _zone_at(self, time_s: float) -> str:
        at = self.at(time_s)
        ahead = None if at is None else at.utcoffset()
        if at is None or ahead is None:
            return ""
        minutes = round(ahead.total_seconds() / 60)
        if not minutes:
            return "UTC"
        hours, rest = divmod(abs(minutes), 60)
        far = f"UTC{'+' if minutes > 0 else '-'}{hours}{f':{rest:02}' if rest else ''}"
        name = at.tzname() or ""
        return far if not name.isalpha() else f"{name} ({far})"

    def offset_s(self, time_s: float) -> int:
        """Seconds that local time is ahead of UTC at a time."""
        at = self.at(time_s)
        ahead = None if at is None else at.utcoffset()
        return 0 if ahead is None else int(ahead.total_seconds())
