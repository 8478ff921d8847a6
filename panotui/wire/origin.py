"""The second argument of every control parser, and the only exception that it may raise.

In: where a packet was seen. Out: the common fields of a `Message`. The control lane makes one
`Origin` per packet and catches `Malformed`; a parser raises nothing else.
"""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """Where a packet was seen: packet time in ns, its 1-based number, its interface, its flow."""

    time_ns: int
    packet: int
    interface: int
    flow: int = -1


class Malformed(ValueError):
    """The bytes are not what their position requires; the lane counts it and continues."""
