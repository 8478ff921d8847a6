"""Situations between an appliance and the cloud, each with the truth on its wire."""

from __future__ import annotations

from tests.situations import (
    cameras,
    endpoints,
    fates,
    healthy,
    names,
    neighbours,
    ports,
    vantages,
)
from tests.situations.situation import SITUATIONS, Situation

__all__ = [
    "SITUATIONS", "Situation", "cameras", "endpoints", "fates", "healthy", "names", "neighbours",
    "ports", "vantages",
]  # fmt: skip
