"""What a command loads: what it does not need costs its start nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CAPTURE = REPOSITORY / "tests" / "data" / "lab" / "lldp.pcap"

LOADED = """
import sys
import click, msgspec, ntplib, numpy
theirs = set(sys.modules)
from panotui.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
print(code, *sorted(set(sys.modules) - theirs), file=sys.stderr)
"""
ROOMS = {
    "cli", "commands", "diagnosis", "engine", "errors", "meter", "model", "policy", "recording",
    "report", "runtime", "site", "sources", "state", "wire",
}  # fmt: skip
# each costs 1 to 100 ms
HEAVY = {
    "asyncio", "concurrent", "dataclasses", "email", "http", "importlib.resources", "logging",
    "multiprocessing", "numpy.ma", "random", "shutil", "sqlite3", "ssl", "statistics", "subprocess",
    "tempfile", "xml", "zipfile", "zoneinfo",
}  # fmt: skip


def test_analyze_of_a_small_capture_loads_what_it_needs_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "analyze", "--json", str(CAPTURE)],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=300, check=True,
    )  # fmt: skip
    code, *loaded = done.stderr.split()
    assert code == "0"
    ours = [name.split(".") for name in loaded if name.startswith("panotui.")]
    assert {parts[1] for parts in ours} == ROOMS
    assert ["panotui", "recording", "parts"] in ours  # whether it is a recording
    assert [".".join(parts) for parts in ours if parts[1] == "recording"] == [
        "panotui.recording", "panotui.recording.parts",
    ]  # fmt: skip
    others = {name for name in loaded if not name.startswith(("panotui", "_"))}
    packages = {name.split(".")[0] for name in others} - sys.stdlib_module_names
    assert packages <= {"click", "msgspec", "ntplib", "numpy", "typing_extensions"}
    assert others & HEAVY == set()
