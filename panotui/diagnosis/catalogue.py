"""The wording of all findings: `findings.toml`, read once and typed.

Nothing comes in; `catalogue()` gives a `FindingSpec` by id. Rules fill the `{names}` of a spec's
texts; a name that a rule did not give is a defect that a test finds (`names_in`).
"""

from __future__ import annotations

import string
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Literal, TypeAlias

import msgspec

from panotui.model import Confidence, Severity

Need: TypeAlias = Literal["answers", "unicast", "presence", "unbroken", "contents"]


class FindingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of findings.toml; see its head for the meaning of the fields."""

    group: str
    layer: int
    severity: Severity
    confidence: Confidence
    seen: str
    text: str
    action: str
    needs: tuple[Need, ...] = ()
    tried: bool = False
    cloud: bool = False
    step: int = 0
    blocks: tuple[str, ...] = ()
    relies: tuple[str, ...] = ()
    hold_s: float = 0.0
    clear_s: float = 5.0


@lru_cache(maxsize=1)
def catalogue() -> dict[str, FindingSpec]:
    """All findings by id, in the file's order."""
    text = resources.files("panotui.diagnosis").joinpath("findings.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, FindingSpec])


@lru_cache(maxsize=1)
def alerts() -> dict[int, tuple[str, str]]:
    """What a TLS alert of a code means and what to do about it: (meaning, advice)."""
    text = resources.files("panotui.diagnosis").joinpath("tls_alerts.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    return {int(code): (table["meaning"], table["advice"]) for code, table in tables.items()}


def names_in(template: str) -> set[str]:
    """The `{names}` of a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def filled(template: str, values: dict[str, str]) -> str:
    """A template with its names filled in; a missing one reads `?`."""
    return template.format_map(_Known(values))


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"
