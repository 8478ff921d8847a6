"""SQL that a recording is asked with, where it needs a word of explanation."""

from __future__ import annotations

from panotui.model import SECOND

FLOW_LINGER_S = 60  # a flow is shown this long after its last packet

# Flows that were there at a time. The `+` leaves the choice to the indexes of times: short ones
# have ended within the hour after, and long ones are few.
ALIVE = """
SELECT body, dictionary, last_ns FROM flow WHERE +session = :session
    AND last_ns BETWEEN :since AND :hour_after AND first_ns <= :time
    AND last_ns - first_ns <= 3600000000000
UNION ALL SELECT body, dictionary, last_ns FROM flow WHERE +session = :session
    AND last_ns >= :since AND first_ns <= :time AND last_ns - first_ns > 3600000000000
"""


def alive(session: int, time_ns: int) -> dict[str, int]:
    """What `ALIVE` asks with."""
    return {
        "session": session,
        "since": time_ns - FLOW_LINGER_S * SECOND,
        "hour_after": time_ns + 3_600 * SECOND,
        "time": time_ns,
    }


def stands_for(table: str) -> str:
    """SQL for the seconds that a row of samples stands for: an endpoint's until its next one."""
    if table != "endpoint_sample":
        return "resolution"
    return (
        "max(1, coalesce(nullif(resolution, 0), lead(time_s) OVER"
        " (PARTITION BY name, session ORDER BY time_s) - time_s, (SELECT end_ns / 1000000000"
        " FROM session WHERE id = endpoint_sample.session) + 1 - time_s))"
    )
