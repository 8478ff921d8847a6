"""Results of the control lane that were not drained yet: messages, protocols of flows, counts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from operator import attrgetter

from panotui.model import APPS, AnyMessage

_APP = {name: number for number, name in enumerate(APPS) if name is not None}
_PACKET_NUMBER = attrgetter("packet")


class Collected:
    """Shared by all parts of a lane. Counters are cumulative.

    `flows_kept`: number of flows whose protocol is remembered.
    """

    def __init__(self, flows_kept: int) -> None:
        self.messages: list[AnyMessage] = []
        self.apps: OrderedDict[int, int] = OrderedDict()  # flow -> index into `APPS`, 0 unknown
        self.taken = 0  # packets and payloads that were parsed
        self.skipped = 0  # over the budget
        self.malformed_by: dict[str, int] = {}  # by the kind of packet, or by the flow's protocol
        self.reassembly_skipped = 0  # incomplete openings given up for lack of room
        self._flows_kept = flows_kept

    @property
    def malformed(self) -> int:
        """Packets that their parsers rejected."""
        return sum(self.malformed_by.values())

    def tell(self, messages: Iterable[AnyMessage | None]) -> None:
        """Store these messages."""
        self.messages += [message for message in messages if message is not None]

    def mark(self, flow: int, app: str | None) -> None:
        """Store a flow's protocol; flows that no longer matter make room."""
        if flow < 0:
            return
        self.apps[flow] = _APP[app] if app is not None else 0
        if len(self.apps) > self._flows_kept:
            self.apps.popitem(last=False)

    def mark_nothing(self, flows: Iterable[int]) -> None:
        """Mark flows in which no known protocol was found."""
        apps = self.apps
        apps.update(dict.fromkeys(flows, 0))
        while len(apps) > self._flows_kept:
            apps.popitem(last=False)

    def refuse(self, what: str) -> None:
        """Count a malformed packet."""
        self.malformed_by[what] = self.malformed_by.get(what, 0) + 1

    def drain(self) -> list[AnyMessage]:
        """The messages since the last call, in the order of their packets."""
        messages, self.messages = self.messages, []
        messages.sort(key=_PACKET_NUMBER)
        return messages
