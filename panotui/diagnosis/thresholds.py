"""From where on rules tell of a thing: `thresholds.toml`, read once and typed.

Nothing comes in; `thresholds()` gives the file's values, `changed` the same with some of a person's
own. Rules read them from `Facts`, so that one engine may have others than the next.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import msgspec

Seconds: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=30 * 86_400)]
Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=1 << 48)]
Share: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1)]


class SecurityThresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the rules in `security`; what each means is said in thresholds.toml."""

    recent_s: Seconds
    scan_targets: Count
    scan_s: Seconds
    exfil_bytes: Count
    tunnel_names: Count
    tunnel_s: Seconds
    tunnel_entropy: Annotated[float, msgspec.Meta(ge=0, le=8)]
    beacon_times: Count
    beacon_spread: Share
    drift_s: Seconds


class Thresholds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field a table of thresholds.toml."""

    security: SecurityThresholds


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("thresholds.toml").read_text("utf-8")
    return tomllib.loads(text)


@lru_cache(maxsize=1)
def thresholds() -> Thresholds:
    """The thresholds of thresholds.toml."""
    return changed({})


def changed(own: Mapping[str, Mapping[str, object]]) -> Thresholds:
    """The file's thresholds with those of a person laid over them, by table and name.

    Raises msgspec.ValidationError, which says in one line what is not known or out of range.
    """
    tables: dict[str, object] = {**_tables(), **own}
    for name, table in _tables().items():
        tables[name] = {**table, **own.get(name, {})}
    return msgspec.convert(tables, Thresholds)
