"""The file of `--baseline`, written by `panotui baseline learn`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from panotui.errors import CHECK, InputError, OtherSite

if TYPE_CHECKING:
    from panotui.model import Site
    from panotui.model.baseline import Baseline

LARGEST = 32 << 20


def read_baseline(path: Path | None) -> Baseline | None:
    """The baseline of a file; InputError for an invalid one."""
    if path is None:
        return None
    from panotui.model.baseline import BASELINE_VERSION, Baseline

    try:
        raw = _read(path)
    except OSError as error:
        raise InputError(str(path), error.strerror or "it cannot be read", CHECK) from None
    try:
        if len(raw) > LARGEST:
            raise msgspec.DecodeError("too large")
        baseline = msgspec.json.decode(raw, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InputError(
            str(path),
            "this is not a baseline",
            "Make one: panotui baseline learn RECORDING -o FILE.",
        ) from None
    if baseline.version != BASELINE_VERSION:
        raise InputError(
            str(path), f"it is a baseline of version {baseline.version}", "Learn it again."
        )
    return baseline


def _read(path: Path) -> bytes:
    if os.geteuid() == 0:
        from panotui.sources.live import deputy  # needs Linux; analyses on other systems do not

        return deputy.read_file(path, LARGEST + 1)
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def require_same_site(baseline: Baseline | None, path: Path | None, site: Site) -> None:
    """OtherSite for a baseline of another site, as far as this can be determined: by its name, by
    the names of cameras, by the zone of its hours.
    """
    if baseline is None:
        return
    require_same_name(baseline, site.site.name or "", str(path))
    ours = {camera.name for camera in site.camera if camera.name}
    if ours and baseline.cameras and not ours & set(baseline.cameras):
        known = ", ".join(list(baseline.cameras)[:3])
        raise OtherSite(
            str(path), f"none of its cameras ({known}) is one of this site's",
            "Learn one of this site, or name its cameras as they were called then.",
        )  # fmt: skip
    # "CET" and "CEST" are one zone: `tzname` has both names
    if baseline.zone and baseline.zone not in time.tzname:
        raise OtherSite(
            str(path),
            f"it was learnt in the zone {baseline.zone}, and here it is {time.tzname[0]}: its "
            "hours are not those of this clock",
            "Run this in that zone (TZ=Europe/Berlin panotui ...), or learn it again.",
        )  # fmt: skip


def require_same_name(baseline: Baseline, name: str, what: str = "--baseline") -> None:
    """OtherSite for a baseline of a site with another name, if both have one."""
    if baseline.site and name and baseline.site != name:
        raise OtherSite(
            what, f"it is of the site {baseline.site}, not of {name}", "Learn one of this site."
        )
