"""Writes the JSON Schemas of comparisons and baselines from the records that they describe.

python docs/make_schemas.py; a test compares the files with what it would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from panotui.model.baseline import BASELINE_SCHEMA, Baseline
from panotui.model.comparison import COMPARISON_SCHEMA, Comparison

PACKAGE = Path(__file__).parent.parent / "panotui"
FILES: dict[Path, tuple[str, type]] = {
    PACKAGE / "compare" / "schema.json": (COMPARISON_SCHEMA, Comparison),
    PACKAGE / "model" / "baseline.schema.json": (BASELINE_SCHEMA, Baseline),
}


def schema(name: str, record: type) -> str:
    """The schema of the file: the record's schema, and the required schema name."""
    made: dict[str, Any] = msgspec.json.schema(record)
    top = made["$defs"][record.__name__]
    top["properties"]["schema"] = {"const": name}
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **made}
    return json.dumps(whole, indent=1) + "\n"


if __name__ == "__main__":
    for path, (name, record) in FILES.items():
        path.write_text(schema(name, record), encoding="utf-8")
