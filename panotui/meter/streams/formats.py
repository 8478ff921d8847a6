"""The payload of a stream: codec, clock, parameter sets; and the payload flags of each packet.

In: streams with their SDP data, and columns of their packets. Out: the flags of `panotui.wire.h264`
per packet, and codec, clock, size and profile in the stream's row. The first bytes of a few packets
may show H.264 and H.265, whatever was declared or RFC 3551 assigns to their number; otherwise the
clock of an unannounced stream stays unknown.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.rtp.by_stream import Segments
from panotui.meter.rtp.stream_columns import StreamColumns
from panotui.meter.streams import media_heuristics
from panotui.meter.streams.known_streams import Stream
from panotui.model import AUDIO_CODECS, I64, STREAM_CODECS, U8, U16, VIDEO_CODECS, Bool
from panotui.wire import h264, h265, jpeg
from panotui.wire.rtp import STATIC_PAYLOADS, RtpColumns
from panotui.wire.sdp import Format

PARAMETER_SETS_PER_CALL = 256
SETS_OF_A_STREAM = 32  # newest payloads with (parts of) parameter sets, if there are too many
SIZES_PER_CALL = 8
PAYLOAD_BYTES_MAX = 1024  # read of a payload that holds a parameter set
CODEC_LOOKS = 8
_CODECS = {name: index for index, name in enumerate(STREAM_CODECS) if name}
_OTHER = _CODECS["OTHER"]
H264, _H265, _JPEG = _CODECS["H264"], _CODECS["H265"], _CODECS["JPEG"]
_PICTURES = frozenset(_CODECS[name] for name in VIDEO_CODECS)
_AUDIO_CLOCKS = frozenset({8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000})
_NOT_PICTURES = frozenset(_CODECS[name] for name in AUDIO_CODECS | {"VND.ONVIF.METADATA", "MP2T"})


def codec_index(name: str | None) -> int:
    """Index of an encoding name in STREAM_CODECS; 0 unknown, OTHER for names not in the list."""
    if not name:
        return 0
    name = name.upper()
    for family in ("G726", "VND.ONVIF.METADATA"):
        if name.startswith(family):
            name = family
    return _CODECS.get(name, _OTHER)


class Formats:
    """Codecs of the streams in a table; decides how each is measured."""

    def __init__(self, state: StreamColumns, streams: list[Stream | None]) -> None:
        self._state = state
        self._streams = streams
        self._codec: U8 = np.zeros(len(streams), np.uint8)
        self.learnt = False  # since the last tick: parameters, sizes
        self._looking: Bool = np.zeros(len(streams), bool)

    def begin(self, index: int) -> None:
        """Another stream has taken a slot."""
        self._codec[index] = 0
        self._looking[index] = False

    def learn(self, stream: Stream, payload_type: int) -> None:
        """Codec and clock from the SDP, otherwise from the static table; otherwise they stay
        unknown. What the content has shown stands.
        """
        if payload_type != stream.payload_type:
            stream.shown = 0
        stream.payload_type = payload_type
        track = stream.track
        form = track.formats.get(payload_type) if track else None
        if form is None or not form.codec:
            name, clock = STATIC_PAYLOADS.get(payload_type, (None, 0))
            form = Format(name, form.clock_rate if form and form.clock_rate else clock)
        self._state.row["payload_type"][stream.index] = payload_type
        self._set_codec(stream, stream.shown or codec_index(form.codec), form.clock_rate)

    def _set_codec(self, stream: Stream, codec: int, clock: int) -> None:
        index = stream.index
        state, row = self._state, self._state.row
        media = stream.track.media if stream.track else ""
        encrypted = bool(row["encrypted"][index])
        if codec in (H264, _H265, _JPEG) and (not clock or stream.shown):
            clock = 90_000  # fixed by RFC 6184 8.2.1, RFC 7798 7.1, RFC 2435
        self.learnt = True
        stream.codec = codec
        row["codec"][index] = codec
        row["clock_rate"][index] = clock
        # With an unknown clock sums are computed as for video; they are only shown once it is
        # known.
        state.clock[index] = clock or 90_000
        state.picture[index] = codec in _PICTURES or (
            codec not in _NOT_PICTURES
            and clock not in _AUDIO_CLOCKS
            and media in ("", "video")
            and (codec != 0 or media == "video" or clock in (0, 90_000))
        )
        state.reads_keys[index] = codec in (H264, _H265, _JPEG) and not encrypted
        self._codec[index] = codec if not encrypted else 0
        assigned = stream.payload_type in STATIC_PAYLOADS
        doubtful = (codec in (0, H264, _H265) or assigned) and not stream.shown
        self._looking[index] = doubtful and not encrypted and stream.looks < CODEC_LOOKS
        state.changed[index] = True

    def look(self, stream: Stream, heads: U8) -> int:
        """Try to find a stream's codec from its next packets. `heads` (n, 2) are the first two
        bytes of their payloads, 0xFF if not captured.

        Eight are examined together, counted from the stream's first, `CODEC_LOOKS` times. Returns
        the number of these packets before the one that shows another codec; n if none does.
        """
        if not self._looking[stream.index]:
            return len(heads)
        waiting = len(stream.heads)
        heads = np.concatenate([stream.heads, heads])
        at, declared = 0, stream.codec
        while self._looking[stream.index] and at + media_heuristics.ADOPT_PACKETS <= len(heads):
            some = heads[at : at + media_heuristics.ADOPT_PACKETS]
            at += len(some)
            stream.looks += 1
            name = media_heuristics.guess_codec(some[:, 0], some[:, 1], bool(declared))
            codec = codec_index(name)
            if codec and codec != declared:
                stream.shown = codec
                self._set_codec(stream, codec, 90_000)
            if codec or stream.looks >= CODEC_LOOKS:
                self._looking[stream.index] = False
        stream.heads = heads[at:].copy()
        return at - 1 - waiting if stream.codec != declared else len(heads) - waiting

    def learn_size(self, stream: Stream, width: int | None, height: int | None) -> None:
        """The size declared by the SDP, until the payload shows it."""
        row, index = self._state.row, stream.index
        if width and height and not row["width"][index]:
            row["width"][index], row["height"][index] = width, height
            self._state.changed[index] = True

    def learn_picture(self, stream: Stream, head: bytes) -> None:
        """The size from a JPEG's first bytes."""
        size = jpeg.size_of_picture(head)
        row, index = self._state.row, stream.index
        if size is not None and size != (row["width"][index], row["height"][index]):
            row["width"][index], row["height"][index] = size
            self._state.changed[index] = True

    def learn_sps(self, stream: Stream, unit: bytes | None) -> None:
        """Size, profile and declared rate; the in-band set is newer than the SDP's."""
        if unit is None or unit == stream.sps:
            return
        self.learnt = True
        row, index = self._state.row, stream.index
        if stream.codec == _H265:
            stream.sps = unit
            size = h265.parse_size(unit)
            if size:
                row["width"][index], row["height"][index] = size
                self._state.changed[index] = True
            return
        if stream.codec != H264:
            return
        stream.sps = unit
        found = h264.parse_sps(unit)
        if found is not None:
            row["width"][index], row["height"][index] = found.width, found.height
            row["profile"][index] = found.profile
            row["constraint"][index] = found.constraint
            row["level"][index] = found.level
            row["vui_fps"][index] = found.fps if found.fps is not None else np.nan
            self._state.changed[index] = True

    def flags(self, data: U8, header: RtpColumns, stream: U16) -> U8:
        """(n,) payload flags of packets, by their streams' codecs."""
        codec = self._codec.take(stream)
        if self._looking.any() and self._looking[stream].any():
            self._look_again(header, stream, codec)
        every = bool((codec == codec[:1]).all())
        out: U8 = np.zeros(len(stream), np.uint8)
        for kind in (H264, _H265, _JPEG):
            which = codec == kind
            if not which.any():
                continue
            if every:
                rows = np.arange(len(stream))
                payload, captured, head = header.payload, header.payload_captured, header.head
            else:
                rows = np.flatnonzero(which)
                payload, captured = header.payload[rows], header.payload_captured[rows]
                head = header.head[rows]
            if kind == _JPEG:
                flags = jpeg.flags(captured, head)
            else:
                flags = (h264 if kind == H264 else h265).flags(data, payload, captured, head)
            if every:
                out = flags
            else:
                out[rows] = flags
            if kind == _JPEG:
                self._read_sizes(data, rows, flags, header, stream)
            else:
                self._read_parameters(data, rows, flags, header, stream)
        return out

    def ahead(self, data: U8, header: RtpColumns, stream: U16) -> tuple[U8, Bool]:
        """(n,) the same flags of packets to come, and those from which something may be learnt."""
        codec = self._codec.take(stream)
        out: U8 = np.zeros(len(stream), np.uint8)
        odd: Bool = self._looking.take(stream) | (codec == _JPEG)
        for kind, module in _SETS.items():
            rows = np.flatnonzero(codec == kind)
            if len(rows):
                payload, captured = header.payload[rows], header.payload_captured[rows]
                out[rows] = module.flags(data, payload, captured, header.head[rows])
        odd |= out & h264.SPS_PART != 0
        for i in np.flatnonzero(out & h264.SPS).tolist():
            owner = self._streams[int(stream[i])]
            payload_bytes, _ = payload_of(data, header, i)
            module = _SETS[owner.codec] if owner is not None else h264
            odd[i] = owner is None or module.find_sps(payload_bytes) != owner.sps
        return out, odd

    def _read_parameters(
        self, data: U8, rows: I64, flags: U8, header: RtpColumns, stream: U16
    ) -> None:
        """In-band parameter sets, whole or in fragments: a few per call."""
        chosen = rows[flags & (h264.SPS | h264.SPS_PART) != 0]
        if len(chosen) > PARAMETER_SETS_PER_CALL:
            # The newest of each stream are enough.
            latest = np.argsort(stream[chosen], kind="stable")
            place = Segments(stream[chosen][latest])
            newest = place.ends[place.index] - np.arange(place.n) < SETS_OF_A_STREAM
            chosen = np.sort(chosen[latest[newest]])[:PARAMETER_SETS_PER_CALL]
        for i in chosen.tolist():
            owner = self._streams[int(stream[i])]
            if owner is not None:
                self.read_set(owner, int(header.sequence[i]), *payload_of(data, header, i))

    def read_set(self, stream: Stream, sequence: int, payload: bytes, whole: bool) -> None:
        """A payload with a parameter set, or (`whole` false) the captured beginning of one."""
        module = _SETS.get(stream.codec)
        if module is None or len(payload) < 2 or self._state.row["encrypted"][stream.index]:
            return
        if module.is_fragment(payload):
            unit = module.read_part(stream.fragments, sequence, payload, whole)
        else:
            unit = module.find_sps(payload)
        self.learn_sps(stream, unit)

    def _read_sizes(self, data: U8, rows: I64, flags: U8, header: RtpColumns, stream: U16) -> None:
        """Sizes of JPEG pictures that differ from before: a few per call."""
        starts = rows[flags & h264.START != 0]
        row = self._state.row
        owner = stream[starts]
        size = jpeg.sizes(data, header.payload[starts])
        known = (size != 0).all(axis=1)
        other = (size[:, 0] != row["width"][owner]) | (size[:, 1] != row["height"][owner])
        other &= known
        row["width"][owner[other]], row["height"][owner[other]] = size[other].T
        self._state.changed[owner[other]] = True
        for i in starts[~known][-SIZES_PER_CALL:].tolist():
            at = int(header.payload[i])
            begin = max(at - jpeg.EXTENSION_BYTES_MAX, 0)
            found = jpeg.size_in_extension(data[begin:at].tobytes())
            if found is not None:
                row["width"][stream[i]], row["height"][stream[i]] = found
                self._state.changed[stream[i]] = True

    def _look_again(self, header: RtpColumns, stream: U16, codec: U8) -> None:
        """Try to find unknown codecs from packets. They are put into `codec` (n,) from the deciding
        packet on.
        """
        unknown = np.flatnonzero(self._looking[stream])
        unknown = unknown[np.argsort(stream[unknown], kind="stable")]
        heads = first_bytes(header)[unknown]
        edges = np.flatnonzero(np.diff(stream[unknown])) + 1
        for rows, some in zip(np.split(unknown, edges), np.split(heads, edges), strict=True):
            owner = self._streams[int(stream[rows[0]])]
            if owner is not None:
                before = self.look(owner, some)
                codec[rows[before:]] = owner.codec

    def flags_of_held(self, stream: Stream, flags: U8, codec: int | None = None) -> U8:
        """(n,) payload flags of held packets, from their `video_flags`; `codec`: as if it were
        this one.
        """
        column = _FLAG_COLUMNS.get(stream.codec if codec is None else codec)
        if column is None or self._state.row["encrypted"][stream.index]:
            return np.zeros(len(flags), np.uint8)
        chosen: U8 = flags[:, column]
        return chosen


_FLAG_COLUMNS = {H264: 0, _H265: 1, _JPEG: 2}
_SETS = {H264: h264, _H265: h265}


def payload_of(data: U8, header: RtpColumns, row: int) -> tuple[bytes, bool]:
    """The first bytes of a packet's payload, and whether they contain all of a set's part."""
    start, captured = int(header.payload[row]), int(header.payload_captured[row])
    size = min(captured, PAYLOAD_BYTES_MAX)
    return data[start : start + size].tobytes(), captured == int(header.payload_length[row])


def first_bytes(header: RtpColumns) -> U8:
    """(n, 2) the first two bytes of payloads, 0xFF if not captured."""
    heads: U8 = header.head.astype(">u8").view(np.uint8).reshape(-1, 8)[:, :2].copy()
    heads[header.payload_captured < 2, 0] = 0xFF
    return heads


def video_flags(data: U8, header: RtpColumns) -> U8:
    """(n, 3) payload flags of packets with an unknown codec, as if it were H.264, H.265, JPEG."""
    payload, captured, head = header.payload, header.payload_captured, header.head
    columns = [one.flags(data, payload, captured, head) for one in (h264, h265)]
    return np.stack([*columns, jpeg.flags(captured, head)], axis=1)
