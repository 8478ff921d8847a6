"""The field cases and those of them that are known to fail, and how one is run."""

from __future__ import annotations

import fnmatch
import json
import tomllib
from pathlib import Path

from click.testing import CliRunner

from panotui.commands.analyze import command
from tests.captures import DATA
from tests.field.checks import Case, Check, checks

FOLDER = DATA / "field"
PENDING = FOLDER / "pending.toml"
FIELDS = {
    "file", "site", "situation", "source", "kind", "findings", "any_of", "never", "cleared", "open",
    "not_cleared", "quiet", "allowed", "at_most", "at_least", "count", "text", "violations",
    "streams", "endpoints", "cameras", "clock", "ports", "note",
}  # fmt: skip


def name(case: Case) -> str:
    """The capture's name without its endings, which is the name of the case."""
    return str(case["file"]).removesuffix(".pcap.zst")


def all_cases() -> dict[str, Case]:
    """Every case by its name, in the order of `cases.toml`."""
    given = tomllib.loads((FOLDER / "cases.toml").read_text("utf-8"))["case"]
    for case in given:
        if odd := set(case) - FIELDS:
            raise ValueError(f"cases.toml: {case.get('file')}: unknown {', '.join(sorted(odd))}")
    return {name(case): case for case in given}


def chosen(pattern: str | None) -> list[Case]:
    """Cases of whose file name or kind `pattern` is a part, or which it fits as the shell does."""
    return [
        case
        for case in all_cases().values()
        if pattern is None
        or any(
            pattern in text or fnmatch.fnmatch(text, pattern)
            for text in (str(case["file"]), str(case["kind"]))
        )
    ]


def pending() -> list[str]:
    """The names of the cases that are known to fail."""
    listed: list[str] = tomllib.loads(PENDING.read_text("utf-8"))["pending"]
    return listed


def take_off(right: set[str], path: Path = PENDING) -> None:
    """Take the lines of cases that are right off the list."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.strip().strip('",') not in right]
    path.write_text("".join(kept), "utf-8")


def run(case: Case) -> list[Check]:
    """`panotui analyze FILE --json` (with the case's site file), and each check of the case."""
    arguments = [str(FOLDER / case["file"]), "--json"]
    if "site" in case:
        arguments += ["--site", str(FOLDER / case["site"])]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    if done.exception is not None:
        return [Check("runs", "an answer", repr(done.exception))]
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return [Check("runs", "JSON", f"exit {done.exit_code} {done.output[-200:]}")]
    return list(checks(case, answer))


def failed(case: Case) -> list[str]:
    """The checks of a case that fail, in words."""
    return [str(check) for check in run(case) if not check.right]
