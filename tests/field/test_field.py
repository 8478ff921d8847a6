"""What people met with cameras, mirrors, firewalls and gateways: each capture is told rightly.

`tests/data/field/pending.toml` lists the cases that fail today. They are run all the same, so that
one that has become right is taken off: under CI that is demanded, elsewhere it is a warning.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from tests.field.cases import FOLDER, all_cases, failed, pending, take_off

PARTS = 8  # so that two workers share the cases that fail
CASES = all_cases()
PENDING = pending()


@pytest.mark.parametrize("name", [name for name in CASES if name not in PENDING])
def test_a_case_is_told_rightly(name: str) -> None:
    wrong = failed(CASES[name])
    assert not wrong, f"{CASES[name]['situation']}\n" + "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_pending_still_fails(part: int) -> None:
    right = [name for name in PENDING[part::PARTS] if not failed(CASES[name])]
    if not right:
        return
    text = f"right now, take off pending.toml (python -m tests.field --settle): {', '.join(right)}"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    warnings.warn(text, stacklevel=1)


def test_the_list_of_pending_cases_is_sorted_and_names_cases() -> None:
    assert sorted(set(PENDING)) == PENDING
    assert set(PENDING) <= set(CASES)


def test_each_case_has_its_files_and_says_what_it_is() -> None:
    for name, case in CASES.items():
        assert (FOLDER / case["file"]).is_file(), name
        assert "site" not in case or (FOLDER / case["site"]).is_file(), name
        assert case["situation"], name
        assert case["source"], name
        assert case["kind"], name
        said = set(case) - {"file", "site", "situation", "source", "kind", "note", "allowed"}
        assert said, f"{name} says nothing"
    captures = {path.name for path in FOLDER.glob("*.pcap.zst")}
    assert captures == {case["file"] for case in CASES.values()}


def test_what_is_right_is_taken_off_the_list_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "pending.toml"
    path.write_text('# words\npending = [\n  "a",\n  "b-c",\n  "d",\n]\n')
    take_off({"b-c", "not-listed"}, path)
    assert path.read_text() == '# words\npending = [\n  "a",\n  "d",\n]\n'
