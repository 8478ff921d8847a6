"""The severity of a state of a port, stream or endpoint, for merging several seconds into one.

The time line and the roll-up of samples both keep the worst state. An unknown state ranks below all
known problems, and never counts as good.
"""

from __future__ import annotations

UNRECORDED, UNKNOWN, WELL, WARNING, BAD = range(5)
LETTERS = ".-#!x"  # of the time line, by rank

_RANKS = {
    "unseen": UNKNOWN,
    "unknown": UNKNOWN,
    "ended": UNKNOWN,
    "paused": UNKNOWN,
    "up": WELL,
    "standby": WELL,
    "streaming": WELL,
    "reachable": WELL,
    "losing": WARNING,
    "slow": WARNING,
    "silent": WARNING,
    "failing": WARNING,
    "down": BAD,
    "frozen": BAD,
    "blocked": BAD,
}


def rank(state: str) -> int:
    """UNKNOWN to BAD; states of other versions are unknown."""
    return _RANKS.get(state, UNKNOWN)


def worst_sql(column: str) -> str:
    """An SQL aggregate: the worst state in `column` (one of our names) of a group."""
    cases = " ".join(f"WHEN '{state}' THEN '{number}'" for state, number in _RANKS.items())
    return f"substr(max(CASE {column} {cases} ELSE '{UNKNOWN}' END || {column}), 2)"
