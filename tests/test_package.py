"""The package as it is shipped: what it imports is named, what it reads is not left behind."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
OPTIONAL = {
    "compression",
    "dask",
    "distributed",
    "fsspec",
    "keyring",
    "opentelemetry",
    "prometheus_client",
    "pyarrow",
}  # newer Python's, and extras


def _imported() -> set[str]:
    found: set[str] = set()
    for path in (REPOSITORY / "panotui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"panotui"} - OPTIONAL


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_dependencies_are_what_is_imported_no_more_and_no_less() -> None:
    distributions = importlib.metadata.packages_distributions()
    imported = {_plain(distributions[name][0]) for name in _imported()}
    named = {_plain(re.split(r"[<>=; \[]", line)[0]) for line in PROJECT["dependencies"]}
    assert imported == named


@pytest.mark.skipif(
    shutil.which("git") is None or not (REPOSITORY / ".git").exists(), reason="no checkout"
)
def test_no_file_that_the_program_reads_is_hidden_by_an_ignore_rule() -> None:
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored=matching", "--", "panotui", "styles"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    hidden = [line[3:] for line in listed.splitlines() if line.startswith("!!")]
    assert [name for name in hidden if "__pycache__" not in name] == []


def test_every_picture_that_the_readme_shows_exists() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (REPOSITORY / "README.md").read_text())
    assert len(pictures) >= 4
    assert [name for name in pictures if not (REPOSITORY / name).is_file()] == []


def test_the_readme_sets_up_with_exactly_two_commands() -> None:
    text = (REPOSITORY / "README.md").read_text()
    for title in ("## Run it", "## Test it"):
        section = text.split(title, 1)[1].split("\n## ", 1)[0]
        block = re.match(r"\s*```[a-z]*\n([^\n]+)\n```\n", section)
        assert block is not None, f"{title} is not followed by one block of one line"
    tested = text.split("## Test it", 1)[1].split("```")[1].strip()
    assert tested in (REPOSITORY / ".ci" / "run").read_text()
