"""Memory of rules about streams between ticks: the newest events, and counts that grew."""

from __future__ import annotations

from collections import OrderedDict, deque

from msgspec import Struct, field

from panotui.diagnosis.cameras.words import About
from panotui.diagnosis.facts import Facts
from panotui.model import SECOND, StreamFreeze, StreamGap, StreamRestart
from panotui.state.camera import Camera
from panotui.state.streams import StreamState

COUNTS_MAX = 4096


class Events(Struct):
    """Events of one stream that a finding needs."""

    gaps: deque[StreamGap] = field(default_factory=lambda: deque(maxlen=256))
    restarts: deque[StreamRestart] = field(default_factory=lambda: deque(maxlen=16))
    freezes: deque[StreamFreeze] = field(default_factory=lambda: deque(maxlen=16))

    def take(self, message: StreamGap | StreamRestart | StreamFreeze) -> None:
        """Store one; a freeze is reported when it begins and again when it ends."""
        if isinstance(message, StreamGap):
            self.gaps.append(message)
        elif isinstance(message, StreamRestart):
            self.restarts.append(message)
        else:
            if self.freezes and self.freezes[-1].start_ns == message.start_ns:
                self.freezes.pop()
            self.freezes.append(message)


class Memory:
    """When a count of a stream last grew."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def grew_ns(self, stream: str, name: str, count: int, now_ns: int) -> int:
        """The time at which `count` of that name first reached this value; 0 while it is 0."""
        known = self._counts.get((stream, name), (0, 0))
        if count > known[0]:
            known = (count, now_ns)
            self._counts[stream, name] = known
            while len(self._counts) > COUNTS_MAX:
                self._counts.popitem(last=False)
        return known[1]


class Watched(Struct, frozen=True):
    """One stream of a camera at a tick, and the common parts of findings about it."""

    camera: Camera
    stream: StreamState
    subject: str
    anchor: str  # the anchor of findings about it
    values: dict[str, str]
    base: About
    events: Events
    facts: Facts

    @property
    def age_s(self) -> float:
        """From the stream's first packet to its last."""
        return (self.stream.row.last_ns - self.stream.row.first_ns) / SECOND
