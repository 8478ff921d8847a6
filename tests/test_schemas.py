"""The schemas that ship are those of the records that are written."""

from __future__ import annotations

import runpy
from pathlib import Path


def test_the_shipped_schemas_are_those_of_the_records() -> None:
    made = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "make_schemas.py"))
    for path, (name, record) in made["FILES"].items():
        assert path.read_text("utf-8") == made["schema"](name, record), (
            "run python docs/make_schemas.py"
        )
