"""Meanings of RTSP error statuses and their remedies: `rtsp_statuses.toml`, read once and typed."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

import msgspec


class Status(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""

    meaning: str
    advice: str
    finding: str = "rtsp-error"


@lru_cache(maxsize=1)
def statuses() -> dict[str, Status]:
    """All tables by their names: a number, "http" or "other"."""
    path = Path(__file__).with_name("rtsp_statuses.toml")
    return msgspec.convert(tomllib.loads(path.read_text("utf-8")), dict[str, Status])


def status_of(code: int) -> Status:
    """The meaning of a status."""
    known = statuses()
    return known.get(str(code), known["other"])


def status_named(name: str) -> Status:
    """A table that is not for a number."""
    return statuses()[name]
