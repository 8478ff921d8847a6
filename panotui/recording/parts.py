"""The kind of a file, by its name: parts of a recording's folder, captures. Loads no database."""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".panotui"
DATABASE = "recording.sqlite"
LOG = f"{DATABASE}-wal"
EVIDENCE = "evidence"
LOCK = "recorder.lock"
RESERVE = "reserve"
PROBE = "probe"  # written and removed to test whether the disk accepts anything
README = "README.txt"
SAMPLES_ONLY = "samples only"  # prefix of the reason of a gap in which samples were written
_CAPTURES = (".pcap", ".pcapng", ".cap", ".dmp", ".ntar")


def spool_name(kind: str) -> str:
    """The file of alerts that have not reached their receiver yet."""
    return f"alerts-{kind}.ndjson"


def with_suffix(path: Path) -> Path:
    """`night` -> `night.panotui`."""
    return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)


def is_recording(path: Path) -> bool:
    return path.is_dir() and (path / DATABASE).exists()


def is_capture_name(name: str) -> bool:
    """Whether a file with this name counts as a capture without opening it."""
    stem = name.lower().removesuffix(".gz").removesuffix(".zst")
    return stem.endswith(_CAPTURES) or ".pcap" in stem
