"""Numbers of events that are unique in a recording of several runs.

Each run counts its events from 1. In a recording a number also contains the run; numbers of the
first run are unchanged.
"""

from __future__ import annotations

import msgspec

from panotui.model import EventRecord

RUN_SHIFT = 32


def whole_number(number: int, session: int) -> int:
    """An event's number among all runs; unchanged in the first run."""
    return number + (session - 1 << RUN_SHIFT)


def own_number(number: int) -> tuple[int, int]:
    """(session, number in it)."""
    return (number >> RUN_SHIFT) + 1, number & (1 << RUN_SHIFT) - 1


def numbered(event: EventRecord, session: int) -> EventRecord:
    """The event of a run with its number in the recording."""
    if session == 1:
        return event
    return msgspec.structs.replace(event, number=whole_number(event.number, session))
