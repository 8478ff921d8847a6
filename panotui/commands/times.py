"""Times as users write them: `22:00`, `yesterday 22:00`, `2026-11-29 22:00`, or `8h` before the
end. Local times are in a zone that the caller names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo

from panotui.commands.options import duration_s
from panotui.errors import UsageError

_SHAPES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M")
_CLOCK = re.compile(r"(?:(today|yesterday)\s*)?(?:([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?)?\Z")
_BACK = re.compile(r"-?([0-9][0-9.smhd]*[smhd])\Z")


def zone_of(name: str | None, option: str = "--zone") -> tzinfo | None:
    """The zone of a name; None, this machine's, without a name. UsageError for an unknown one."""
    if name is None or name == "local":
        return None
    if name.upper() in ("UTC", "Z"):
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"{option} {name}", "unknown time zone", "Name one such as Europe/Berlin."
        ) from None


def moment_s(text: str, end_s: int, zone: tzinfo | None, option: str) -> int:
    """Seconds since the epoch of a time: a date, an RFC 3339 time, a time of day (the last one
    before the end of the data), or a duration before that end. UsageError otherwise.
    """
    words = text.strip()
    back = _BACK.fullmatch(words)
    if back is not None:
        return int(end_s - duration_s(back[1]))
    readers: tuple[Callable[[str, int, tzinfo | None], float | None], ...] = (_of_day, _dated)
    for read in readers:
        found = read(words, end_s, zone)
        if found is not None:
            return int(found)
    raise UsageError(
        f"{option} {text}", "not a time such as 22:00, 2026-11-29 22:00 or 8h", "See --help."
    )


def _of_day(words: str, end_s: int, zone: tzinfo | None) -> float | None:
    match = _CLOCK.fullmatch(words.lower())
    if not words or match is None:
        return None
    day, hour, minute, second = match.groups()
    last = datetime.fromtimestamp(end_s, UTC).astimezone(zone)
    clock = time(int(hour or 0), int(minute or 0), int(second or 0))
    date = last.date() - timedelta(days=1 if day == "yesterday" else 0)
    at = datetime.combine(date, clock, zone).timestamp()
    if day is None and at > end_s:
        at = datetime.combine(date - timedelta(days=1), clock, zone).timestamp()
    return at


def _dated(words: str, end_s: int, zone: tzinfo | None) -> float | None:
    for shape in _SHAPES:
        try:
            return datetime.strptime(words, shape).replace(tzinfo=zone).timestamp()
        except ValueError:
            continue
    try:
        at = datetime.fromisoformat(words)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None
