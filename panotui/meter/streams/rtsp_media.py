"""RTP and RTCP in RTSP connections: `$` frames in, headers of known streams and new sources out.

Frames are in the batch, or in side memory if they came in several segments; each part is read at
once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from panotui.meter.rtp.records import ORDER_BITS, Arrivals
from panotui.meter.rtsp.carriers import Carriers
from panotui.meter.rtsp.connections import Connections
from panotui.meter.rtsp.found_frames import Frames
from panotui.meter.rtsp.places import Place
from panotui.meter.streams.lanes import Announced, Recognised
from panotui.meter.streams.rtcp_reports import RtcpReports
from panotui.model import I64, U8, PacketBatch
from panotui.wire.rtp import read_headers

_ORDER_MASK = (1 << ORDER_BITS) - 1
_PREFIX_BYTES = 4  # `$`, channel and length (RFC 2326 10.12), which count as the stream's


class RtspMedia:
    """The lane of connections; a carrier is a channel of either side of one."""

    def __init__(self, connections: Connections, reports: RtcpReports) -> None:
        self._connections = connections
        self._reports = reports

    @property
    def carriers(self) -> Carriers:
        return self._connections.carriers

    def place(self, carrier: int) -> Place:
        return self._connections.endpoints(carrier)

    def announced(self, carrier: int, time_ns: int) -> Announced:
        connection, client, channel = self._connections.of_carrier[carrier]
        dialogue = connection.dialogue
        known = dialogue.tracks_at(time_ns)
        tracks = tuple(
            track
            for track in known
            if (pair := track.transport.interleaved) is not None and channel == pair[0]
        )
        if not tracks and len(known) == 1 and not client:
            tracks = tuple(known) if known[0].transport.interleaved is None else ()
        return Announced(tracks, dialogue)

    def opposite(self, carrier: int) -> tuple[int, ...]:
        return ()

    def is_expected(self, carrier: int) -> bool:
        return False  # as many packets as tell an unknown codec

    def is_secured(self, carrier: int) -> bool:
        return False

    def give_up(self, carriers: set[int]) -> None:
        """Frames are few enough to be examined always."""

    def read(self, batch: PacketBatch, frames: Frames) -> Iterator[Recognised]:
        """Sort the frames of a walk, a part at a time: the next part is read when the streams of
        the one before are known.
        """
        if frames.parts:
            yield Recognised(pictures=frames.parts)
        table = frames.table()
        if not len(table):
            return
        # Several frames may be completed by one packet: their order is that of the walk.
        table[:, 5] = (table[:, 5] << ORDER_BITS) | (np.arange(len(table)) & _ORDER_MASK)
        inside = table[:, 1] >= 0
        whole = bool(inside.all())
        if whole or inside.any():
            part = table if whole else table[inside]
            yield self._read_part(batch.data, part, part[:, 1])
        if not whole:
            part = table[~inside]
            yield self._read_part(np.frombuffer(bytes(frames.side), np.uint8), part, ~part[:, 1])

    def _read_part(self, data: U8, part: I64, position: I64) -> Recognised:
        """Frames (n, FIELDS) whose bytes are at `position` (n,) of `data`."""
        place, length, captured = part[:, 0], part[:, 2], part[:, 3]
        header = read_headers(data, position, length, captured)
        kind = data[np.minimum(position + 1, len(data) - 1)] if len(data) else length * 0
        report = (captured >= 8) & (kind >= 200) & (kind <= 207)
        if report.any():
            # a marked packet of types 72 to 79 has the same second byte, but a sequence number for
            # a length
            said = data[np.minimum(position + 2, len(data) - 1)].astype(np.int64) << 8
            said |= data[np.minimum(position + 3, len(data) - 1)]
            report &= 4 * (said + 1) <= length
        for i in self._reports.admitted(np.flatnonzero(report)).tolist():
            start = int(position[i])
            raw = data[start : start + int(captured[i])].tobytes()
            carrier, _, full, _, time_ns, order, _ = part[i].tolist()
            dialogue = self._connections.of_carrier[carrier][0].dialogue
            self._reports.take(raw, full, self.place(carrier), time_ns, order, dialogue)
        found = Recognised()
        usable = np.flatnonzero(header.valid & ~report)
        if not len(usable):
            return found
        if len(usable) < len(part):  # else nothing is copied
            place, part, header = place[usable], part[usable], header.take(usable)
        arrivals = Arrivals(
            data,
            header,
            part[:, 4],
            part[:, 2] + _PREFIX_BYTES,
            part[:, 5],
            part[:, 6].astype(np.int32),
        )
        carriers = self.carriers
        stream = carriers.stream[place]
        known = stream >= 0
        known &= arrivals.header.ssrc == carriers.ssrc[place]
        known &= arrivals.header.payload_type == carriers.payload_type[place]
        new, chosen = np.flatnonzero(~known), np.flatnonzero(known)
        if len(new):
            found.new = place[new], arrivals.take(new)
        if len(chosen):
            every = len(chosen) == len(place)
            found.known = (
                stream[chosen].astype(np.uint16),
                arrivals if every else arrivals.take(chosen),
            )
        return found
