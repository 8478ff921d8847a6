"""What a recording's folder is made of, by name; who only asks this loads no database."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".panotui"
DATABASE = "recording.sqlite"
LOG = f"{DATABASE}-wal"
EVIDENCE = "evidence"
LOCK = "recorder.lock"
RESERVE = "reserve"
PROBE = "probe"  # written and taken away to see whether the disk takes anything
README = "README.txt"
SAMPLES_ONLY = "samples only"  # how the reason of a gap begins in which samples were written


def spool_name(kind: str) -> str:
    """The file of the alerts that have not reached their receiver yet."""
    return f"alerts-{kind}.ndjson"


def with_suffix(path: Path) -> Path:
    """`night` -> `night.panotui`."""
    return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)


def is_recording(path: Path) -> bool:
    return path.is_dir() and (path / DATABASE).exists()
