"""The sentences of all findings: `findings.toml`, typed.

`catalogue()` returns a `FindingSpec` by id. Rules fill the `{names}` of a spec's texts; a test
finds names that a rule does not fill (`names_in`).
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from panotui.model import Confidence, Severity

Need: TypeAlias = Literal["answers", "unicast", "presence", "unbroken", "contents", "segments"]


class FindingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of findings.toml; see its head for the meaning of the fields."""

    group: str
    layer: int
    severity: Severity
    confidence: Confidence
    seen: str
    text: str
    action: str
    brief: str = ""
    word: str = ""
    needs: tuple[Need, ...] = ()
    tried: bool = False
    cloud: bool = False
    step: int = 0
    blocks: tuple[str, ...] = ()
    relies: tuple[str, ...] = ()
    hold_s: float = 0.0
    clear_s: float = 5.0
    moment: bool = False
    passing: bool = False


class Catalogue(Mapping[str, FindingSpec]):
    """Findings by id, in the file's order; each is parsed on first use.

    A run reports few of them, and parsing all costs 5 ms of its start.
    """

    def __init__(self, text: str) -> None:
        """From a file whose tables start with `[id]` on a line of its own."""
        head, *pieces = re.split(r"^\[([^\]\s]+)\]\n", text, flags=re.MULTILINE)
        if tomllib.loads(head):
            raise ValueError("findings.toml: a key stands before the first finding")
        self._pieces = dict(zip(pieces[::2], pieces[1::2], strict=True))
        self._read: dict[str, FindingSpec] = {}

    def __getitem__(self, name: str) -> FindingSpec:
        spec = self._read.get(name)
        if spec is None:
            spec = msgspec.convert(tomllib.loads(self._pieces[name]), FindingSpec)
            self._read[name] = spec
        return spec

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """All findings by id."""
    return Catalogue(Path(__file__).with_name("findings.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def alerts() -> dict[int, tuple[str, str]]:
    """The meaning of a TLS alert code and its remedy: (meaning, advice)."""
    return {code: (table["meaning"], table["advice"]) for code, table in _alert_tables().items()}


@lru_cache(maxsize=1)
def _alert_tables() -> dict[int, dict[str, str]]:
    text = Path(__file__).with_name("tls_alerts.toml").read_text("utf-8")
    return {int(code): table for code, table in tomllib.loads(text).items()}


def says_no_more(code: int) -> bool:
    """A server that sends this alert says that it fails, and nothing of the cause."""
    return code not in _alert_tables() or "fails" in _alert_tables()[code]


def alert_named(code: int) -> str:
    """`internal error (80)`, `an unknown alert (199)`."""
    table = _alert_tables().get(code, {})
    return f"{table.get('fails') or table.get('meaning') or 'an unknown alert'} ({code})"


def names_in(template: str) -> set[str]:
    """The `{names}` of a template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def filled(template: str, values: dict[str, str]) -> str:
    """A template with its names filled in; a missing one reads `?`."""
    return template.format_map(_Known(values))


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"
