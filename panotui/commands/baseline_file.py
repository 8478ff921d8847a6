"""The file of `--baseline`: what `panotui baseline learn` wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from panotui.errors import InputError

if TYPE_CHECKING:
    from panotui.model.baseline import Baseline

LARGEST = 32 << 20


def read_baseline(path: Path | None) -> Baseline | None:
    """The baseline of a file; InputError for what is none."""
    if path is None:
        return None
    from panotui.model.baseline import BASELINE_VERSION, Baseline

    try:
        raw = _read(path)
    except OSError as error:
        raise InputError(str(path), error.strerror or "it cannot be read") from None
    try:
        if len(raw) > LARGEST:
            raise msgspec.DecodeError("too large")
        baseline = msgspec.json.decode(raw, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InputError(
            str(path), "it is no baseline", "Make one: panotui baseline learn RECORDING -o FILE."
        ) from None
    if baseline.version != BASELINE_VERSION:
        raise InputError(
            str(path), f"it is a baseline of version {baseline.version}", "Learn it again."
        )
    return baseline


def _read(path: Path) -> bytes:
    if os.geteuid() == 0:
        from panotui.sources.live import deputy  # needs Linux; an analysis elsewhere does not

        return deputy.read_file(path, LARGEST + 1)
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def require_same_site(baseline: Baseline | None, path: Path | None, site: str) -> None:
    """InputError for a baseline of another site, where both have a name."""
    if baseline is not None and baseline.site and site and baseline.site != site:
        raise InputError(
            str(path), f"it is of the site {baseline.site}, not of {site}",
            "Learn one of this site.",
        )  # fmt: skip
