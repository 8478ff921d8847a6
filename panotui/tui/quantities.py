"""Short numbers for columns, where `model.quantities` is too wide; local times.

Values of records come in, short text goes out. An unknown value is `-`, never 0.
"""

from __future__ import annotations

import math
from datetime import datetime, tzinfo

from panotui.model import SECOND
from panotui.model.quantities import BINARY, DECIMAL, UNKNOWN, span, three


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def mega(rate_bps: float | None) -> str:
    """A rate in Mb/s without its unit, for a column that names it: `3.92`, `0.06`, `24.1`."""
    if not _known(rate_bps):
        return UNKNOWN
    assert rate_bps is not None
    value = rate_bps / 1e6
    if 0 < value < 0.005:
        return "<.01"
    return three(value)


def short_rate(rate_bps: float | None) -> str:
    """A rate in b/s with a scale letter, at most five characters: `1.4M`, `20k`, `0`."""
    if not _known(rate_bps):
        return UNKNOWN
    assert rate_bps is not None
    for scale, letter in DECIMAL:
        if rate_bps >= scale * 0.9995:
            value = rate_bps / scale
            return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
    return f"{rate_bps:.0f}"


def short_volume(size_bytes: float | None) -> str:
    """The same for a narrow column: `512`, `3.2K`, `1.8G` (factor 1024, bytes)."""
    if not _known(size_bytes):
        return UNKNOWN
    assert size_bytes is not None
    for scale, letter in BINARY:
        if size_bytes >= scale * 0.9995:
            value = size_bytes / scale
            return f"{value:.1f}{letter[0]}" if value < 9.95 else f"{value:.0f}{letter[0]}"
    return f"{size_bytes:.0f}"


def count(value: int | None) -> str:
    """A count in at most five characters: `987`, `12.3k`."""
    if value is None:
        return UNKNOWN
    if value < 10_000:
        return str(value)
    return short_rate(float(value))


def percent(share: float | None, digits: int = 2) -> str:
    """A share 0..1 as `1.83%`; a value above zero never reads as zero."""
    if not _known(share):
        return UNKNOWN
    assert share is not None
    value = share * 100
    if 0 < value < 0.5 * 10**-digits:
        return f"<{10**-digits:.{digits}f}%".replace("<0.", "<.")
    return f"{value:.{digits}f}%" if value < 99.995 else "100%"


def number(value: float | None, digits: int = 0) -> str:
    if not _known(value):
        return UNKNOWN
    return f"{value:.{digits}f}"


def milliseconds(value: float | None) -> str:
    """At most four characters: `2`, `0.4`, `1.2k`."""
    if not _known(value):
        return UNKNOWN
    assert value is not None
    if 0 < abs(value) < 0.05:
        return "<.1"
    if abs(value) < 0.95 and value != 0:
        return f"{value:.1f}"
    return f"{value:.0f}" if abs(value) < 9999.5 else short_rate(value)


def round_trip(value: float | None) -> str:
    """A round trip: never `0`."""
    if value is not None and 0 <= value < 0.05:
        return "<.1"
    return milliseconds(value)


def since(time_ns: int | None, now_ns: int) -> str:
    """An age in one unit; `-` for never."""
    return UNKNOWN if not time_ns else span((now_ns - time_ns) / SECOND)


def stopwatch(seconds: float) -> str:
    """`00:12:44`, preceded by days if needed."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def moment(time_ns: int, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(time_ns / SECOND, zone).astimezone(zone)


def clock(time_ns: int | None, zone: tzinfo | None, *, with_zone: bool = False) -> str:
    """Local time of day with seconds, and the zone's name on request."""
    if not time_ns:
        return UNKNOWN
    local = moment(time_ns, zone)
    text = f"{local:%H:%M:%S}"
    return f"{text} {local:%Z}" if with_zone else text


def fine_clock(time_ns: int | None, zone: tzinfo | None) -> str:
    """Local time of day to the millisecond, to show the order of things."""
    if not time_ns:
        return UNKNOWN
    return f"{moment(time_ns, zone):%H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}"


def day_clock(time_ns: int | None, now_ns: int, zone: tzinfo | None) -> str:
    """Local time of day; preceded by its date if that is not today (of packet time)."""
    if not time_ns:
        return UNKNOWN
    local = moment(time_ns, zone)
    same = local.date() == moment(now_ns, zone).date()
    return f"{local:%H:%M:%S}" if same else f"{local:%m-%d %H:%M:%S}"


def short_clock(time_ns: int | None, now_ns: int, zone: tzinfo | None) -> str:
    """Local time of day, or only the date if that is not today; at most eight characters."""
    if not time_ns:
        return UNKNOWN
    local = moment(time_ns, zone)
    same = local.date() == moment(now_ns, zone).date()
    return f"{local:%H:%M:%S}" if same else f"{local:%b %d}"


def address(host: str, port: int | None) -> str:
    """`10.0.0.1:443`, `[2001:db8::1]:443`."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
