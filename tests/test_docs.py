"""What the documents for developers name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_PATH = re.compile(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)`")


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_files_that_it_names_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    found = set(_PATH.findall(text))
    assert len(found) >= 10
    # a room's own files are named within it
    there = [f"/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "panotui").rglob("*")]
    there = [text for path in there for text in (path, f"{path}/", path.removesuffix(".py"))]
    missing = [
        path
        for path in sorted(found)
        if not (ROOT / path).exists() and not any(known.endswith(f"/{path}") for known in there)
    ]
    assert missing == []


def test_only_files_that_it_names_are_long() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8").partition("## Long files")[2]
    long = {
        str(path.relative_to(ROOT / "panotui"))
        for path in (ROOT / "panotui").rglob("*.py")
        if len(path.read_text("utf-8").splitlines()) > 700
    }
    assert long <= set(re.findall(r"`([a-z_/]+\.py)`", text))
