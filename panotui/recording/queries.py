"""SQL queries of a recording that need an explanation."""

from __future__ import annotations

from panotui.model import SECOND

FLOW_LINGER_S = 60  # a flow is shown this long after its last packet

# Flows that existed at a time. The `+` leaves the choice to the indexes of times: short flows have
# ended within the next hour, and long ones are few.
ALIVE = """
SELECT body, dictionary, last_ns FROM flow WHERE +session = :session
    AND last_ns BETWEEN :since AND :hour_after AND first_ns <= :time
    AND last_ns - first_ns <= 3600000000000
UNION ALL SELECT body, dictionary, last_ns FROM flow WHERE +session = :session
    AND last_ns >= :since AND first_ns <= :time AND last_ns - first_ns > 3600000000000
"""


def alive(session: int, time_ns: int) -> dict[str, int]:
    """The parameters of `ALIVE`."""
    return {
        "session": session,
        "since": time_ns - FLOW_LINGER_S * SECOND,
        "hour_after": time_ns + 3_600 * SECOND,
        "time": time_ns,
    }


def stands_for(table: str) -> str:
    """SQL for the number of seconds that a sample row covers; for an endpoint, until its next
    row.
    """
    if table != "endpoint_sample":
        return "resolution"
    return (
        "max(1, coalesce(nullif(resolution, 0), lead(time_s) OVER"
        " (PARTITION BY name, session ORDER BY time_s) - time_s, (SELECT end_ns / 1000000000"
        " FROM session WHERE id = endpoint_sample.session) + 1 - time_s))"
    )
