"""Where the captures for tests are: bundled ones in `tests/data`, the larger collection beside the
repository when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "captures"


def shared_capture(name: str) -> Path:
    """A capture by its name in the larger collection (`lab/udp-h264.pcap`), or skip with one line.

    The copy in `tests/data` comes first. Under `CI=true` absence is a failure, never a skip.
    """
    for path in (DATA / name, SHARED / name):
        if path.exists():
            return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"capture {name} is missing beside the repository")
    pytest.skip(f"capture {name} is not beside this checkout")
