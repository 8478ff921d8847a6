"""Situations between an appliance and the cloud, each with the truth on its wire."""

from __future__ import annotations

from tests.situations import (
    cameras,
    counted,
    days_faults,
    days_network,
    days_places,
    days_unknown,
    days_well,
    endpoints,
    fates,
    films,
    hangs,
    healthy,
    names,
    neighbours,
    odd_sites,
    pairs_cloud,
    pairs_files,
    pairs_site,
    plant_more,
    plant_names,
    plant_ways,
    plant_well,
    ports,
    reports_cameras,
    reports_cloud,
    reports_network,
    reports_streams,
    turns,
    turns_hosts,
    turns_more,
    vantages,
    visits_cameras,
    visits_cloud,
    visits_files,
    visits_network,
    visits_path,
    visits_streams,
    visits_well,
)
from tests.situations.situation import SITUATIONS, Situation
from tests.situations.visit import CAPTURES

__all__ = [
    "CAPTURES", "SITUATIONS", "Situation",
    "cameras", "counted", "days_faults", "days_network", "days_places", "days_unknown",
    "days_well", "endpoints", "fates", "films", "hangs", "healthy", "names", "neighbours",
    "odd_sites", "pairs_cloud", "pairs_files", "pairs_site", "plant_more", "plant_names",
    "plant_ways", "plant_well", "ports", "reports_cameras", "reports_cloud", "reports_network",
    "reports_streams", "turns",
    "turns_hosts", "turns_more", "vantages",
    "visits_cameras", "visits_cloud", "visits_files", "visits_network", "visits_path",
    "visits_streams", "visits_well",
]  # fmt: skip
