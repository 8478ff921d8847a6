"""The two transports of media into the stream table: UDP, and RTSP connections."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from msgspec import Struct

from panotui.meter.rtp.records import Arrivals
from panotui.meter.rtsp.carriers import Carriers
from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.meter.rtsp.multipart import Part
from panotui.meter.rtsp.places import Place
from panotui.meter.streams.media_heuristics import plausible_payload_type
from panotui.model import I64, U16

_UNDECLARED = 256  # from a source's last number, for undeclared payload types


class Recognised(Struct):
    """RTP packets found by a lane."""

    known: tuple[U16, Arrivals] | None = None  # of these streams, by index
    new: tuple[I64, Arrivals] | None = None  # of these carriers, whose newest stream is another
    pictures: list[Part] | None = None  # that were not RTP


class Announced(NamedTuple):
    """The RTSP signalling of a carrier: which tracks use it, and in which dialogue."""

    tracks: tuple[Track, ...] = ()  # oldest first; several if they share a port or channel
    dialogue: Dialogue | None = None

    def track_of(self, payload_type: int) -> Track | None:
        """The track that declares a payload type; None: none does, or there was no signalling."""
        for track in reversed(self.tracks):
            if track.declares(payload_type):
                return track
        return None

    def part_of(self, payload_type: int) -> int:
        """The key that separates packets of one SSRC: their track, or none."""
        track = self.track_of(payload_type)
        if track is not None:
            return self.tracks.index(track)
        return _UNDECLARED + payload_type if self.tracks else 0

    def is_foreign(self, payload_type: int) -> bool:
        """Whether something else was announced."""
        return bool(self.tracks) and self.track_of(payload_type) is None

    def needs_content(self, payload_type: int) -> bool:
        """Whether only the content of its packets shows that this is media."""
        return not self.tracks and not plausible_payload_type(payload_type)


NOTHING = Announced()


class Lane(Protocol):
    """One transport of media: datagrams, or frames in RTSP connections."""

    @property
    def carriers(self) -> Carriers: ...

    def place(self, carrier: int) -> Place:
        """Source and destination."""

    def announced(self, carrier: int, time_ns: int) -> Announced:
        """The RTSP signalling of a carrier's RTP at this time."""

    def is_expected(self, carrier: int) -> bool:
        """Whether media are expected here, so that few packets suffice."""

    def is_secured(self, carrier: int) -> bool:
        """Whether a key was exchanged beside the media, so that they are SRTP."""

    def opposite(self, carrier: int) -> tuple[int, ...]:
        """Carriers on which media are expected once this one's are known."""

    def give_up(self, carriers: set[int]) -> None:
        """These carry no media after all; they are no longer examined, where many others wait."""
