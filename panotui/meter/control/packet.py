"""Input and output of a dissector: one control packet, and its content."""

from __future__ import annotations

from typing import NamedTuple

from panotui.model import AnyMessage, mac_text
from panotui.wire.addresses import ip_text
from panotui.wire.origin import Origin


class ControlPacket(NamedTuple):
    """One control packet; positions are offsets in `data`, -1 if absent."""

    origin: Origin
    data: memoryview
    l3: int
    l4: int
    payload: int
    payload_end: int
    frame_end: int
    version: int
    protocol: int
    ethertype: int
    sport: int
    dport: int
    src_mac: int
    vlan: int

    def body(self) -> bytes:
        """The payload of a datagram."""
        return bytes(self.data[self.payload : self.payload_end])

    def frame(self) -> bytes:
        """The bytes behind the link header."""
        return bytes(self.data[self.l3 : self.frame_end])

    def transport(self) -> bytes:
        """Bytes from the transport header to the end of the IP packet."""
        at = self.l4
        if at < 0:
            at = self.l3 + (self.data[self.l3] & 15) * 4 if self.version == 4 else self.l3 + 40
        return bytes(self.data[at : self._ip_end()])

    def addresses(self) -> tuple[str, str]:
        """Source and destination."""
        at = self.l3
        if self.version == 4:
            return (
                ip_text(bytes(self.data[at + 12 : at + 16])),
                ip_text(bytes(self.data[at + 16 : at + 20])),
            )
        return (
            ip_text(bytes(self.data[at + 8 : at + 24])),
            ip_text(bytes(self.data[at + 24 : at + 40])),
        )

    def sender(self) -> str:
        """The source MAC address of the frame, "" if the link has none."""
        return mac_text(self.src_mac) or ""

    def _ip_end(self) -> int:
        data, at = self.data, self.l3
        if self.version == 4:
            size = data[at + 2] << 8 | data[at + 3]
        else:
            size = (data[at + 4] << 8 | data[at + 5]) + 40
        return min(self.frame_end, at + size) if size > 20 else self.frame_end


class Dissected(NamedTuple):
    """The result of a dissector."""

    messages: tuple[AnyMessage | None, ...] = ()  # None: nothing worth a message
    app: str | None = None  # the flow's protocol, a name of `APPS`; None: not from this packet
    units: int = 0  # its weight in the second's budget, in packets, besides itself
    malformed: bool = False  # malformed after the part that identified the flow's `app`
