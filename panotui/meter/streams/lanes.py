"""How packets of media reach the stream table: by UDP or through an RTSP connection."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from msgspec import Struct

from panotui.meter.rtp.records import Arrivals
from panotui.meter.rtsp.carriers import Carriers
from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.meter.rtsp.multipart import Part
from panotui.meter.rtsp.places import Place
from panotui.model import I64, U16


class Recognised(Struct):
    """RTP packets that a lane has found."""

    known: tuple[U16, Arrivals] | None = None  # of these streams, by index
    new: tuple[I64, Arrivals] | None = None  # of these carriers, whose newest stream is another
    pictures: list[Part] | None = None  # that were no RTP


class Announced(NamedTuple):
    """What RTSP has said of a carrier: whose media come there, and in which dialogue."""

    tracks: tuple[Track, ...] = ()  # oldest first; several where they share a port or channel
    dialogue: Dialogue | None = None

    def track_of(self, payload_type: int) -> Track | None:
        """The track that declares a payload type; None: none does, or nothing was announced."""
        for track in reversed(self.tracks):
            if track.declares(payload_type):
                return track
        return None

    def is_foreign(self, payload_type: int) -> bool:
        """Was something else announced?"""
        return bool(self.tracks) and self.track_of(payload_type) is None


NOTHING = Announced()


class Lane(Protocol):
    """One way by which media come: datagrams, or frames in RTSP connections."""

    @property
    def carriers(self) -> Carriers: ...

    def place(self, carrier: int) -> Place:
        """Who sends to whom."""

    def announced(self, carrier: int, time_ns: int) -> Announced:
        """What RTSP has said of a carrier's RTP at this time."""

    def is_expected(self, carrier: int) -> bool:
        """Are media no surprise here, so that few packets need convince?"""

    def is_secured(self, carrier: int) -> bool:
        """Was a key agreed on beside the media, so that they are SRTP?"""

    def opposite(self, carrier: int) -> tuple[int, ...]:
        """Carriers whose media are expected once this one's are known."""

    def give_up(self, carriers: set[int]) -> None:
        """These show no media after all; they are looked at no more, where many others wait."""
