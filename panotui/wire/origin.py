"""What every control parser is given beside its bytes, and the one thing that it may raise.

In: where a packet was seen. Out: the common fields of a `Message`. The control lane makes one
`Origin` a packet and catches `Malformed`; a parser never lets anything else out.
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
    """The bytes are not what their place says; the lane counts it and goes on."""
