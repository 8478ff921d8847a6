"""H.264 profiles and levels in words (A.2, A.3)."""

from __future__ import annotations

_PROFILES = {
    66: "Baseline", 77: "Main", 88: "Extended", 100: "High", 110: "High 10", 122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
}  # fmt: skip


def profile_text(profile: int, constraint: int, level: int) -> str | None:
    """`Main 3.1` of profile_idc, constraint flags and level_idc (H.264 A.2)."""
    name = _PROFILES.get(profile)
    if name is None:
        return None
    if profile == 66 and constraint & 0x40:
        name = "Constrained Baseline"
    return f"{name} {level // 10}.{level % 10}" if level else name
