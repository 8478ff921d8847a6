"""The lake's tables and their columns, derived from the schema of the JSON.

A column is a field of the JSON under its own name; an object inside becomes one column per field
(`jitter_ms.mean` is `jitter_ms_mean`), and deeper nested ones JSON text. A field added to the
schema becomes a column of the lake.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

# Table -> the field that gives a row's day; rows without one belong to the day on which their
# capture begins.
TABLES = {
    "flows": "first_time", "streams": "first_time", "findings": "first_time",
    "violations": "first_time", "cameras": None, "endpoints": None, "ports": None, "devices": None,
}  # fmt: skip
CAPTURES = "captures"  # one row per capture: its source and its counts
_PLAIN = {"integer": "int", "number": "float", "boolean": "bool", "string": "text"}
_TIMES = ("_time", "_since", "_success")
INT64 = 1 << 63


@cache
def columns(table: str) -> dict[str, str]:
    """Column -> `time`, `int`, `float`, `bool`, `text`, `texts` or `json`."""
    fields = _schema()[table]["items"]["properties"]
    found: dict[str, str] = {}
    for name, hint in fields.items():
        parts = _object(hint)
        if parts is None:
            found[name] = _shape(name, hint)
        else:
            found.update({f"{name}_{part}": _shape(part, h) for part, h in parts.items()})
    return found


def capture_columns() -> dict[str, str]:
    """Those of the table of captures; its counts follow, which are integers."""
    return {
        "url": "text", "sha256": "text", "format": "text", "packets": "int", "bytes": "int",
        "lost": "int", "malformed": "int", "truncated": "bool", "first_time": "time",
        "last_time": "time", "made_by": "text",
    }  # fmt: skip


def flat(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the JSON as its columns; a value outside 64 bits counts as unknown."""
    out: dict[str, Any] = {}
    for name, hint in _schema()[table]["items"]["properties"].items():
        value = row.get(name)
        parts = _object(hint)
        if parts is None:
            out[name] = value
        else:
            out.update({f"{name}_{p}": None if value is None else value.get(p) for p in parts})
    for name, shape in columns(table).items():
        value = out[name]
        if shape == "json" and value is not None:
            out[name] = msgspec.json.encode(value).decode()
        elif shape == "int" and value is not None and not -INT64 <= value < INT64:
            out[name] = None
    return out


@cache
def _schema() -> dict[str, Any]:
    text = files("panotui.report").joinpath("schema.json").read_bytes()
    return dict(msgspec.json.decode(text)["properties"])


def _object(hint: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of a type hint that is an object; None for another."""
    for one in hint.get("anyOf", [hint]):
        if "properties" in one:
            return dict(one["properties"])
    return None


def _shape(name: str, hint: dict[str, Any]) -> str:
    if "time" in str(hint.get("$ref", hint.get("anyOf", ""))):
        return "time"
    kinds = hint.get("type", "")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    kinds.discard("null")
    if "enum" in hint and all(isinstance(v, str | None) for v in hint["enum"]):
        return "text"
    if kinds == {"string"}:
        return "time" if name.endswith(_TIMES) else "text"
    if kinds == {"array"}:
        return "texts" if hint.get("items", {}).get("type") == "string" else "json"
    return _PLAIN.get(next(iter(kinds)), "json") if len(kinds) == 1 else "json"
