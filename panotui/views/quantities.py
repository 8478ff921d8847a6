"""Numbers, rates and times in the format of views."""

from __future__ import annotations

from datetime import UTC, datetime

from panotui.model import (
    SECOND,
)


def utc(time_ns: int | None) -> str:
    """RFC 3339 with microseconds; `-` if unknown."""
    if not time_ns:
        return "-"
    seconds, rest = divmod(time_ns, SECOND)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def utc_clock(time_ns: int | None) -> str:
    """The time of day of `utc`, marked as such: `13:02:31Z`."""
    return f"{utc(time_ns)[11:19]}Z" if time_ns else "-"


def number(value: float | None, unit: str = "", digits: int = 2) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}{unit}"
    text = f"{value:,.{digits}f}"
    if value > 0 and not text.strip("-0."):
        return f"<{10**-digits:g}{unit}"  # a value above zero never reads as zero
    if not text.strip("-0."):
        text = text.lstrip("-")  # no minus sign before zero
    return f"{text}{unit}"


def word(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
