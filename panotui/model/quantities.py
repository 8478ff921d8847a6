"""Rates, sizes, spans and counts as text, the same on screens, in reports and in findings.

Numbers come in, short text with three significant figures goes out. A missing value is `unknown`,
never 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

UNKNOWN = "-"
LISTED = 3  # names that a sentence spells out

DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
# A time of day in a sentence; not the one of a whole RFC 3339 stamp.
_UTC = re.compile(r"(?<![T\d:.])([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?: UTC|Z)\b")

BINARY = ((1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki"))


def three(value: float) -> str:
    """Three significant figures, at most four characters: 9.87, 98.7, 987."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def rate(rate_bps: float | None, unit: str = "b/s", unknown: str = UNKNOWN) -> str:
    """A rate with its unit: `3.92 Mb/s`, `125 kb/s`."""
    if rate_bps is None or not math.isfinite(rate_bps):
        return unknown
    for scale, letter in DECIMAL:
        if rate_bps >= scale * 0.9995:
            return f"{three(rate_bps / scale)} {letter}{unit}"
    return f"{rate_bps:.0f} {unit}"


def link_speed(speed_mbps: float, duplex: str | None = None) -> str:
    """The nominal speed of a link: `100 Mb/s`, `2.5 Gb/s`, `10 Gb/s full duplex`."""
    scale, letter = (1000, "G") if speed_mbps >= 1000 else (1, "M")
    text = f"{speed_mbps / scale:g} {letter}b/s"
    return f"{text} {duplex} duplex" if duplex in ("full", "half") else text


def size(size_bytes: float | None, unknown: str = UNKNOWN) -> str:
    """Bytes with an IEC unit: `512 B`, `3.20 KiB`, `1.84 GiB`."""
    if size_bytes is None or not math.isfinite(size_bytes):
        return unknown
    for scale, letter in BINARY:
        if size_bytes >= scale * 0.9995:
            return f"{three(size_bytes / scale)} {letter}B"
    return f"{size_bytes:.0f} B"


def span(seconds: float | None, unknown: str = UNKNOWN) -> str:
    """A duration in one unit: `33 s`, `41 min`, `5 h`, `12 d`."""
    if seconds is None or not math.isfinite(seconds):
        return unknown
    seconds = max(0.0, seconds)
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    if seconds < 119.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 error`, `3 errors`, `12,345 packets`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count:,} times"


def milliseconds(value: float) -> str:
    """`< 1 ms`, `23 ms`."""
    return "< 1 ms" if value < 1 else f"{value:.0f} ms"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 3 more`."""
    if len(names) <= LISTED:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{', '.join(names[: LISTED - 1])} and {len(names) - LISTED + 1} more"


def some(names: Sequence[str], most: int, rest: str = "more") -> str:
    """The first names, and how many there are besides: `a, b, c and 3 more`."""
    more = f" and {len(names) - most} {rest}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def per_cent(share: float | None, unknown: str = UNKNOWN) -> str:
    """`99.98 %`; never `100 %` for less than all, never `0 %` for more than nothing."""
    if share is None or not math.isfinite(share):
        return unknown
    if share >= 1:
        return "100 %"
    if share <= 0:
        return "0 %"
    if share > 0.9999:
        return "> 99.99 %"
    if share < 0.0001:
        return "< 0.01 %"
    return f"{100 * share:.2f} %"


def in_local_time(text: str, near_s: float, zone: tzinfo | None) -> str:
    """A sentence with its times of day, which are UTC in findings, as local ones.

    `near_s`: a time that the sentence is about, in seconds since the epoch; the times nearest to it
    are used. `zone` None: the zone of this machine. Where local time is UTC, it stays marked.
    """

    def local(match: re.Match[str]) -> str:
        hour, minute, second = (int(part) for part in match.groups())
        at = near_s // 86_400 * 86_400 + hour * 3600 + minute * 60 + second
        at += 86_400 * round((near_s - at) / 86_400)
        try:
            here = datetime.fromtimestamp(at, UTC).astimezone(zone)
        except (OverflowError, ValueError, OSError):
            return match[0]
        return here.strftime("%H:%M:%S") if here.utcoffset() else match[0]

    return _UTC.sub(local, text)
