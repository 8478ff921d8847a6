"""Under CI root skips nothing: a test that lacks a tool or a file there fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SKIPPED = """
import pytest


def test_as_it_runs():
    pytest.skip("no tool")


@pytest.mark.skipif(True, reason="no tool")
def test_before_it_runs():
    pass


def test_that_runs():
    pass
"""


@pytest.mark.parametrize(
    ("ci", "said"),
    [
        ("true", "1 failed, 1 passed, 1 error" if os.geteuid() == 0 else "1 passed, 2 skipped"),
        ("false", "1 passed, 2 skipped"),
    ],
)
def test_what_is_skipped_fails_under_ci(ci: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(SKIPPED)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(TESTS.parent)},
    )  # fmt: skip
    assert said in done.stdout
    assert (done.returncode == 0) == (ci == "false" or os.geteuid() != 0)
