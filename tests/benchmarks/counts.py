"""How much work four fixed inputs are, counted in calls instead of in time.

`python -m tests.benchmarks.counts`: a line an input, calls of Python and C functions between the
first packet and the finished answer, and what `counts.toml` expects. A call of numpy costs about
the same whatever it is given, so that this is what a quiet second costs; it does not depend on the
machine, but on the version of Python and, a little, of numpy. `--write` takes over what is counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.report.analysis import analysis
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.benchmarks import generate, site_day
from tests.benchmarks.live import write_cameras

EXPECTED = Path(__file__).with_name("counts.toml")
WITHIN = 0.1


def cameras(path: Path) -> None:
    """Eight streams for 20 s."""
    write_cameras(path, 20.0)


def streams(path: Path) -> None:
    """Eight streams of few packets for a minute, of which nothing is to be told but at first."""
    generate.write(path, "cameras", 60 * 246, 246.0)


def site(path: Path) -> None:
    """Two minutes of a quiet site, and an hour in which next to nothing comes."""
    site_day.write(path, 120)
    with path.open("ab") as file:
        file.write(site_day.records(site_day.hardly_used(120, 3600)))


def dense(path: Path) -> None:
    """60-byte packets of many flows, as fast as they come."""
    generate.write(path, "small", 50_000)


INPUTS: dict[str, Callable[[Path], None]] = {
    "cameras": cameras, "streams": streams, "site": site, "dense": dense,
}  # fmt: skip


def calls(path: Path) -> int:
    """Calls that it takes to read a capture and answer."""
    engine = Engine(Site())
    pump = Pump([open_file(str(path))], engine)
    counted = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        pump.run()
        analysis(engine)
    finally:
        sys.setprofile(None)
    pump.close()
    return counted


def counted(name: str) -> int:
    """Calls for the input of that name, after a first pass that imports what is imported late."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pcap"
        INPUTS[name](path)
        calls(path)
        return calls(path)


def expected() -> dict[str, int]:
    """What is expected of this version of Python; empty where nobody has counted with it."""
    known: dict[str, dict[str, int]] = tomllib.loads(EXPECTED.read_text())
    return known.get(f"python-{sys.version_info.major}.{sys.version_info.minor}", {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    found = {name: counted(name) for name in INPUTS}
    before = expected()
    for name, number in found.items():
        print(f"{name}: {number:,} calls, expected {before.get(name, 0):,}")
    if parser.parse_args().write:
        version = f"python-{sys.version_info.major}.{sys.version_info.minor}"
        known = tomllib.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
        known[version] = found
        lines = ["# Calls for each input of counts.py; `python -m tests.benchmarks.counts --write`"]
        for title, numbers in known.items():
            lines += ["", f'["{title}"]', *(f"{name} = {n}" for name, n in numbers.items())]
        EXPECTED.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
