"""UDP ports negotiated by RTSP: which track's media arrive there, and since when."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.model import SECOND

PORTS_MAX = 4_096
_SETUPS_KEPT = 8  # a port


class Port(msgspec.Struct, eq=False):
    """A UDP port from a SETUP."""

    since_ns: int
    track: Track
    dialogue: Dialogue
    rtcp: bool
    server: bytes  # client of the SETUP, 16 bytes


class Ports:
    """(address of 16 bytes, port) -> the SETUPs with it, oldest first; bounded."""

    def __init__(self) -> None:
        self._ports: OrderedDict[tuple[bytes, int], list[Port]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._ports)

    def bind(
        self,
        address: bytes,
        port: int,
        dialogue: Dialogue,
        track: Track,
        is_rtcp: bool,
        server: bytes,
    ) -> None:
        key = (address, port)
        known = self._ports.setdefault(key, [])
        known.append(Port(track.since_ns, track, dialogue, is_rtcp, server))
        del known[:-_SETUPS_KEPT]
        self._ports.move_to_end(key)
        if len(self._ports) > PORTS_MAX:
            self._ports.popitem(last=False)

    def find(self, key: tuple[bytes, int], time_ns: int, other: bytes = b"") -> Port | None:
        """The SETUP that applies to a port at a time: the last one before it, otherwise the first.
        If several cameras use it, the one of the `other` end, which sends; a proxy's media come
        from elsewhere.
        """
        known = self._ports.get(key)
        if not known:
            return None
        own = [port for port in known if port.server == other] or known
        for port in reversed(own):
            if port.since_ns <= time_ns + SECOND:
                return port
        return own[0]

    def media_at(self, key: tuple[bytes, int], time_ns: int, sender: bytes = b"") -> list[Port]:
        """The SETUPs of one dialogue whose media share a port at a time, one per track; usually
        one.

        Empty if the port is not one of media.
        """
        newest = self.find(key, time_ns, sender)
        if newest is None or newest.rtcp:
            return []
        tracks: dict[str, Port] = {}
        for port in self._ports[key]:
            if port.dialogue is newest.dialogue and not port.rtcp and not port.track.ended_ns:
                tracks.pop(port.track.url, None)
                tracks[port.track.url] = port
        return list(tracks.values()) or [newest]
