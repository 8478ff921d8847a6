"""The settings of the engine."""

from __future__ import annotations

import math

import msgspec

from panotui.model.baseline import Baseline


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the engine; the defaults suit a live site."""

    flows_max: int = 65_536
    flows_keep_s: float = math.inf  # from a flow's end; a capture's flows are all kept
    streams_max: int = 1_024
    cameras_max: int = 256
    devices_max: int = 512
    events_max: int = 2_000
    events_shown: int = 400
    vantage: str | None = None  # the vantage if the site file does not name one
    live: bool = False
    baseline: Baseline | None = None  # deviations from it are reported as well
