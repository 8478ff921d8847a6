"""What a file is, by its name: parts of a recording's folder, captures. It loads no database."""

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
_CAPTURES = (".pcap", ".pcapng", ".cap", ".dmp", ".ntar")


def spool_name(kind: str) -> str:
    """The file of the alerts that have not reached their receiver yet."""
    return f"alerts-{kind}.ndjson"


def with_suffix(path: Path) -> Path:
    """`night` -> `night.panotui`."""
    return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)


def is_recording(path: Path) -> bool:
    return path.is_dir() and (path / DATABASE).exists()


def is_capture_name(name: str) -> bool:
    """Whether a file of this name is taken for a capture without a look into it."""
    stem = name.lower().removesuffix(".gz").removesuffix(".zst")
    return stem.endswith(_CAPTURES) or ".pcap" in stem
