"""What a site usually does: values learnt per camera and endpoint, by hour of the week.

Written by `panotui baseline learn` as JSON, read with `--baseline`. Hours are in the local time of
the machine that learns and compares; hour 0 begins on Monday at midnight. A cell summarises its
minutes: their number, the number of days, the median, and the median absolute deviation (times
1.4826, which equals the standard deviation of a normal distribution).
"""

from __future__ import annotations

import msgspec

BASELINE_SCHEMA = "panotui.baseline/1"
BASELINE_VERSION = 1


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """The minutes of one hour of the week, or of several hours."""

    minutes: int
    days: int
    median: float
    spread: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One measure: `hours` by hour of the week, `weekdays` and `weekends` by hour of the day."""

    hours: dict[int, Cell] = {}
    weekdays: dict[int, Cell] = {}
    weekends: dict[int, Cell] = {}
    always: Cell | None = None


class CameraHabit(msgspec.Struct, frozen=True, kw_only=True):
    """One camera; rates are sums over its streams."""

    rate_bps: Series
    fps: Series
    gop_s: Series
    loss: Series  # share
    streams: Series  # 1 in minutes with a stream, else 0
    readers: tuple[str, ...] = ()


class EndpointHabit(msgspec.Struct, frozen=True, kw_only=True):
    """A host and port of the policy."""

    rtt_ms: Series
    longest_gap_minutes: float | None = None  # between contacts; None: too few contacts
    contacts: int = 0


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A site's habits."""

    schema: str = BASELINE_SCHEMA
    version: int = BASELINE_VERSION
    site: str = ""
    zone: str = ""
    first_ns: int = 0
    last_ns: int = 0
    minutes: int = 0
    cameras: dict[str, CameraHabit] = {}
    endpoints: dict[str, EndpointHabit] = {}
    peers: tuple[str, ...] = ()  # "10.20.0.5 > logs.us-east-1.amazonaws.com tcp/443"


class CameraMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A camera in one minute; None: unknown for this minute."""

    rate_bps: float | None = None
    fps: float | None = None
    gop_s: float | None = None
    loss: float | None = None
    readers: tuple[str, ...] = ()


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at a site in the minute that starts at `time_s`."""

    time_s: int
    cameras: dict[str, CameraMinute] = {}
    endpoints: dict[str, float | None] = {}  # contacted endpoints, with the round trip in ms
    peers: tuple[str, ...] = ()
