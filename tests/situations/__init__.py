"""Situations between an appliance and the cloud, each with the truth on its wire."""

from __future__ import annotations

from tests.situations import (
    cameras,
    endpoints,
    fates,
    healthy,
    names,
    neighbours,
    plant_more,
    plant_names,
    plant_ways,
    plant_well,
    ports,
    vantages,
)
from tests.situations.situation import SITUATIONS, Situation

__all__ = [
    "SITUATIONS", "Situation", "cameras", "endpoints", "fates", "healthy", "names", "neighbours",
    "plant_more", "plant_names", "plant_ways", "plant_well", "ports", "vantages",
]  # fmt: skip
