"""A thing that comes and goes gets one event with a count, not an event each time.

Changes of things, with their times, come in. A thing that changes often within a span wavers until
it has been quiet for as long. Everything is measured in packet time and bounded.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct, field

from panotui.model import SECOND

CHANGES = 6  # this many changes within the span are wavering
SPAN_NS = 600 * SECOND  # and this long without any is calm
RETOLD_NS = 60 * SECOND  # a count is updated at most this often
THINGS_MAX = 2_000


class Wavering(Struct):
    """A thing that wavers."""

    number: int  # of its event
    first_ns: int
    count: int
    last_ns: int
    told_ns: int


class _Thing(Struct):
    times: deque[int] = field(default_factory=lambda: deque(maxlen=CHANGES))
    wavering: Wavering | None = None


class Waverers:
    """The changes of all things."""

    def __init__(self) -> None:
        self._things: OrderedDict[tuple[str, str], _Thing] = OrderedDict()

    def change(self, kind: str, about: str, time_ns: int, number: int) -> Wavering | None:
        """Add a change that would be event `number`; returns the wavering thing with this change
        counted, or None while each change is an event of its own.
        """
        thing = self._things.setdefault((kind, about), _Thing())
        self._things.move_to_end((kind, about))
        if len(self._things) > THINGS_MAX:
            self._things.popitem(last=False)
        wavering = thing.wavering
        if wavering is not None and time_ns - wavering.last_ns <= SPAN_NS:
            wavering.count += 1
            wavering.last_ns = max(wavering.last_ns, time_ns)
            return wavering
        if wavering is not None:
            thing.wavering = None
            thing.times.clear()
        thing.times.append(time_ns)
        if len(thing.times) < CHANGES or time_ns - thing.times[0] > SPAN_NS:
            return None
        thing.wavering = Wavering(number, thing.times[0], CHANGES, time_ns, 0)
        return thing.wavering
