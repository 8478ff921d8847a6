"""What a site usually does, as it was learnt: per camera and endpoint by hour of the week.

Written by `panotui baseline learn` as JSON, read with `--baseline`. Hours are of the local time of
whoever learns and compares; 0 is Monday from midnight. Values of a cell are those of its minutes:
how many, of how many days, their median, and their median absolute deviation (times 1.4826, which
makes it a standard deviation where values spread normally).
"""

from __future__ import annotations

import msgspec

BASELINE_SCHEMA = "panotui.baseline/1"
BASELINE_VERSION = 1


class Cell(msgspec.Struct, frozen=True, array_like=True):
    """Minutes of one hour of the week, or of several."""

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
    """A camera; rates are of all its streams together."""

    rate_bps: Series
    fps: Series
    gop_s: Series
    loss: Series  # share
    streams: Series  # 1 in minutes with a stream, else 0
    readers: tuple[str, ...] = ()


class EndpointHabit(msgspec.Struct, frozen=True, kw_only=True):
    """A host and port of the policy."""

    rtt_ms: Series
    longest_gap_minutes: float | None = None  # between contacts; None: too few of them
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
    """A camera in one minute; None: not known in it."""

    rate_bps: float | None = None
    fps: float | None = None
    gop_s: float | None = None
    loss: float | None = None
    readers: tuple[str, ...] = ()


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a site in the minute from `time_s` on."""

    time_s: int
    cameras: dict[str, CameraMinute] = {}
    endpoints: dict[str, float | None] = {}  # those that were contacted, with the round trip in ms
    peers: tuple[str, ...] = ()
