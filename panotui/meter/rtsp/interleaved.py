"""One direction of an RTSP connection: TCP segments in, RTSP messages and `$` frames out.

Segments may arrive late, twice or not at all, start in mid-stream, and split a message or a frame
anywhere (LIVE555 sends the four bytes of `$` in a separate segment). Only bytes needed for framing
are kept: the first bytes of a frame, all of a message, the segments behind a hole. Frames are
appended to flat arrays (`Frames`), one short step each; their RTP headers are read later, all at
once. RFC 2326 10.12, RFC 7826 14.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from itertools import chain, islice

from panotui.meter.rtsp.chains import leads_on
from panotui.meter.rtsp.found_frames import FRAME_HEAD, SMALL, SMALL_FRAMES, Frames
from panotui.meter.rtsp.multipart import Multipart, first_part
from panotui.meter.rtsp.unwrapping import Base64, WebSocket, Wrapping
from panotui.wire.rtsp import (
    BODY_MAX,
    HEAD_MAX,
    Text,
    find_message,
    head_end,
    parse_head,
    parse_http_refusal,
    starts_message,
)
from panotui.wire.websocket import HEAD_BYTES, find_rtsp

HELD_BYTES_MAX = 131_072  # waiting behind a hole
HELD_NS_MAX = 3_000_000_000
ACKED_GRACE_NS = 20_000_000  # a mirror may deliver an ACK before the data that it acknowledges
RESYNC_BYTES_MAX = 131_072
RESYNC_TRIES_MAX = 8  # buffers without a frame before the direction is ignored
RESYNC_DEPTH_MAX = 16  # boundaries found and lost again within one buffer
RESYNC_CHAINS_MAX = 32  # possible frames that are incomplete, tried again with more bytes
RESYNC_LOOKS_MAX = 64  # places in one segment that look like a frame
_WORDS_OVERLAP = 32  # bytes before the new ones in which such a word may begin
_START_LINE_MAX = 2_200  # bytes
MESSAGES_PER_SECOND = 200  # of a direction; with more it is ignored until the second is over
_MASK = 0xFFFFFFFF
_HALF = 1 << 31

_BOUNDARY, _BODY, _PREFIX, _TEXT, _RESYNC, _TUNNEL, _DEAD, _SKIP, _OPEN, _PARTS = range(10)

# `$`, a low channel, a length, and a first byte of RTP or RTCP; overlapping candidates too.
_CANDIDATE = re.compile(rb"(?=\$[\x00-\x1f]..[\x80-\xbf])", re.DOTALL)
_DOLLAR = 0x24
_HTTP = (b"GET ", b"POST", b"HTTP")  # first bytes of a tunnel
_LENGTH = re.compile(rb"(?i)\ncontent-length[ \t]*:")
_SDP_LINE = re.compile(rb"[A-Za-z]=[^\n]*\n?")

MessageHandler = Callable[[Text, bytes, int, int], None]  # text, body, time_ns, packet number


class Direction:
    """Reassembles and frames one direction; `carriers[channel]` are the carriers of its frames (-1
    unknown).

    `held` are the segments behind a hole.
    """

    __slots__ = (
        "_body_head", "_buffer", "_candidates", "_channel", "_depth", "_floor", "_head_end",
        "_held_bytes", "_hole_acked_ns", "_inner", "_is_first", "_length", "_marks",
        "_messages", "_mode", "_muted_ns", "_need", "_next", "_open", "_parts", "_scanned",
        "_second", "_tries", "_wrapping", "carriers", "cookie", "epoch", "frames", "held",
        "on_channel", "on_message", "on_stray", "on_tunnel", "resyncs", "snapped",
    )  # fmt: skip

    def __init__(
        self, frames: Frames, on_message: MessageHandler, on_channel: Callable[[int], int]
    ) -> None:
        self.frames = frames
        self.on_message = on_message
        self.on_channel = on_channel
        self.on_tunnel: Callable[[str], None] | None = None
        self.on_stray: Callable[[], None] | None = None
        self.carriers = [-1] * 256
        self.epoch = 0
        self.resyncs = 0
        self.snapped = False
        self.cookie = ""
        self._mode = _RESYNC
        self._next: int | None = None
        self._need = 0
        self._channel = 0
        self._length = 0
        self._body_head = b""
        self._head_end = 0  # of the message in `_buffer`; 0 if unknown
        self._buffer = bytearray()
        self._marks: list[tuple[int, int, int]] = []  # (position in buffer, time_ns, number)
        self.held: dict[int, tuple[bytes, int, int, int]] = {}
        self._held_bytes = 0
        self._hole_acked_ns = 0
        self._tries = 0
        self._depth = 0
        self._inner: Direction | None = None
        self._wrapping: Wrapping | None = None
        self._parts: Multipart | None = None
        self._floor = 0  # least position of a possible boundary
        self._scanned = 0  # bytes of `_buffer` in which no boundary begins
        self._candidates: list[int] = []  # except these, once more bytes are there
        self._open: tuple[Text, int, int] | None = None  # whose body has no length; when, number
        self._second = self._messages = self._muted_ns = 0
        self._is_first = True  # nothing was read yet

    def begin(self, sequence: int) -> None:
        """A SYN: the next byte is a message boundary."""
        self._next = (sequence + 1) & _MASK
        self._mode = _BOUNDARY
        self.held.clear()
        self._held_bytes = 0

    @property
    def inside(self) -> int:
        """Remaining bytes of the current frame; -1 outside frames."""
        return self._need if self._mode == _BODY else 0 if self._mode == _BOUNDARY else -1

    @property
    def expects(self) -> int | None:
        """The expected sequence number; None before the first."""
        return self._next

    def carrier(self, channel: int) -> int:
        """The carrier of a channel, assigned on first use."""
        carrier = self.carriers[channel]
        if carrier < 0:
            carrier = self.carriers[channel] = self.on_channel(channel)
        return carrier

    @property
    def parts(self) -> Multipart | None:
        """The pictures in an HTTP response, if the direction carries one."""
        return self._parts if self._mode == _PARTS else None

    @property
    def wrapped(self) -> tuple[WebSocket, Direction] | None:
        """The WebSocket that carries RTSP here, and the direction that reads its content."""
        if self._mode != _TUNNEL or self._inner is None:
            return None
        return (self._wrapping, self._inner) if isinstance(self._wrapping, WebSocket) else None

    def feed(self, data: memoryview, start: int, end: int, time_ns: int, number: int) -> None:
        """The next bytes of the batch's data, whatever their sequence number."""
        self._consume(data, start, end, True, time_ns, number)

    def moved_to(self, sequence: int) -> None:
        """All bytes before `sequence` were read on the fast path."""
        self._next = sequence

    def segment(
        self,
        sequence: int,
        data: memoryview,
        start: int,
        captured: int,
        length: int,
        time_ns: int,
        number: int,
    ) -> None:
        """Process `length` bytes of payload at `sequence`, `captured` of them at data[start:]."""
        expected = self._next
        if expected is None:
            expected = self._next = sequence
        ahead = (sequence - expected) & _MASK
        if ahead:
            if ahead < _HALF:
                self._hold(sequence, data, start, captured, length, time_ns, number)
                return
            known = _MASK + 1 - ahead
            if known >= length:
                return  # a repeat
            start += known
            captured = max(captured - known, 0)
            length -= known
        self._next = (expected + length) & _MASK
        self._consume(data, start, start + captured, True, time_ns, number)
        if captured < length:
            self._skip(length - captured, time_ns, number)
        if self.held:
            self._release(time_ns, number)

    def settle(self) -> None:
        """The other side continues: a description without a length is complete."""
        if self._open is not None:
            self._close_body()

    # ------------------------------------------------------------ order

    def _hold(
        self,
        sequence: int,
        data: memoryview,
        start: int,
        captured: int,
        length: int,
        time_ns: int,
        number: int,
    ) -> None:
        known = self.held.get(sequence)
        if known is None or known[1] < length:
            if known is not None:
                self._held_bytes -= known[1]
            raw = bytes(data[start : start + captured])
            self.held[sequence] = (raw, length, time_ns, number)
            self._held_bytes += length
        oldest = min(entry[2] for entry in self.held.values()) if len(self.held) > 8 else time_ns
        if (
            self._held_bytes > HELD_BYTES_MAX
            or time_ns - oldest > HELD_NS_MAX
            or (self._hole_acked_ns and time_ns - self._hole_acked_ns >= ACKED_GRACE_NS)
        ):
            self.give_up()

    def acknowledged(self, acknowledgement: int, time_ns: int) -> None:
        """The receiver has bytes that we wait for: they were never captured."""
        if not self.held or self._next is None:
            return
        ahead = (acknowledgement - self._next) & _MASK
        if not 0 < ahead < _HALF:
            return
        if not self._hole_acked_ns:
            self._hole_acked_ns = time_ns
        elif time_ns - self._hole_acked_ns >= ACKED_GRACE_NS:
            self.give_up()

    def _nearest(self) -> int:
        """Sequence number of the first held segment."""
        base = self._next or 0
        return min(self.held, key=lambda sequence: (sequence - base + _HALF) & _MASK)

    def _release(self, time_ns: int, number: int) -> None:
        """Process segments released by a late one, at its time."""
        while self.held and self._next is not None:
            sequence = self._nearest()
            ahead = (sequence - self._next) & _MASK
            if 0 < ahead < _HALF:
                return
            raw, length, _, _ = self.held.pop(sequence)
            self._held_bytes -= length
            self._take_held(sequence, raw, length, time_ns, number)
        self._hole_acked_ns = 0

    def _take_held(self, sequence: int, raw: bytes, length: int, time_ns: int, number: int) -> None:
        assert self._next is not None
        known = (self._next - sequence) & _MASK
        if known >= length:
            return
        self._next = (sequence + length) & _MASK
        self._consume(memoryview(raw), known, len(raw), False, time_ns, number)
        if len(raw) < length:
            self._skip(length - max(len(raw), known), time_ns, number)

    def give_up(self) -> None:
        """Give up the hole before the held segments: the capture missed it."""
        while self.held and self._next is not None:
            sequence = self._nearest()
            hole = (sequence - self._next) & _MASK
            raw, length, time_ns, number = self.held.pop(sequence)
            self._held_bytes -= length
            if 0 < hole < _HALF:
                if self._hole_acked_ns == -1:
                    # Only the proven hole is skipped; a later one waits.
                    self.held[sequence] = (raw, length, time_ns, number)
                    self._held_bytes += length
                    break
                self._hole_acked_ns = -1
                self.epoch += 1
                self._next = sequence
                self._skip(hole, time_ns, number)
            self._take_held(sequence, raw, length, time_ns, number)
        self._hole_acked_ns = 0

    def _skip(self, missing: int, time_ns: int, number: int) -> None:
        """Bytes that were not captured: harmless within a frame's body, otherwise resynchronise."""
        if self._mode == _DEAD:
            return
        if self._mode == _BODY:
            inside = min(missing, self._need)
            self._need -= inside
            missing -= inside
            if not self._need:
                self._emit_split(time_ns, number)
            if not missing:
                return
        if self._mode == _PARTS and self._parts is not None:
            self._parts.skip(missing)
            if self._parts.is_lost:
                self._mode = _DEAD
        if self._mode == _TUNNEL:
            self._skip_wrapped(missing, time_ns, number)
        if self._mode in (_DEAD, _PARTS, _TUNNEL):
            return
        if self._mode == _SKIP:
            inside = min(missing, self._need)
            self._need -= inside
            missing -= inside
            if not self._need:
                self._mode = _BOUNDARY
            if not missing:
                return
        if self._open is not None:
            self._close_body()
        self.resyncs += 1
        self._lose()

    def _skip_wrapped(self, missing: int, time_ns: int, number: int) -> None:
        inside = self._wrapping.skip(missing) if self._wrapping is not None else 0
        if self._wrapping is None or self._wrapping.is_lost:
            self._mode = _DEAD
        elif self._inner is not None:
            self._inner.epoch = self.epoch
            if inside:
                self._inner._skip(inside, time_ns, number)
            else:
                self._inner._lose()
                self.resyncs += 1

    def _lose(self) -> None:
        self._mode = _RESYNC
        for kept in (self._buffer, self._marks, self._candidates):
            kept.clear()
        self._scanned = self._floor = 0

    # ------------------------------------------------------------ framing

    def _consume(
        self, data: memoryview, start: int, end: int, direct: bool, time_ns: int, number: int
    ) -> None:
        """Bytes in order; `direct`: positions are those of the batch's data."""
        while start < end:
            mode = self._mode
            if mode == _BODY:
                after = start + self._need
                head = self._body_head
                if len(head) < FRAME_HEAD:
                    stop = after if after < end else end
                    head += data[start : min(stop, start + FRAME_HEAD - len(head))]
                    self._body_head = head
                if after > end:
                    self._need = after - end
                    return
                start = after
                self._emit_split(time_ns, number)
            elif mode == _BOUNDARY:
                first = data[start]
                if first == _DOLLAR:
                    start = self._frame(data, start, end, direct, time_ns, number)
                elif first in (13, 10):
                    start += 1
                else:
                    self._mode = _TEXT
                    self._head_end = 0
                    self._buffer.clear()
            elif mode == _PREFIX:
                stop = min(start + 4 - len(self._buffer), end)
                self._buffer += data[start:stop]
                start = stop
                if len(self._buffer) == 4:
                    self._channel = self._buffer[1]
                    self._length = self._need = self._buffer[2] << 8 | self._buffer[3]
                    self._mode = _BODY
                    self._body_head = b""
                    if not self._need:
                        self._emit_split(time_ns, number)
            elif mode == _TEXT:
                start = self._text(data, start, end, time_ns, number)
            elif mode == _RESYNC and self._is_first:
                # another protocol's header, by which the connection was recognised
                self._is_first = False
                self._mode = _TEXT if bytes(data[start : start + 4]) in _HTTP else _RESYNC
                self._head_end = 0
            elif mode == _RESYNC:
                self._marks.append((len(self._buffer), time_ns, number))
                self._buffer += data[start:end]
                start = end
                self._find_boundary()
            elif mode == _OPEN:
                start = self._read_open(data, start, end, time_ns, number)
            elif mode == _SKIP:
                stop = min(start + self._need, end)
                self._need, start = self._need - stop + start, stop
                if not self._need:
                    self._mode = _BOUNDARY
            elif mode == _PARTS:
                assert self._parts is not None
                self.frames.parts += self._parts.feed(bytes(data[start:end]), time_ns, number)
                if self._parts.is_lost:
                    self._mode = _DEAD
                return
            elif mode == _TUNNEL:
                self._unwrap(bytes(data[start:end]), time_ns, number)
                return
            else:
                return

    def _frame(
        self, data: memoryview, start: int, end: int, direct: bool, time_ns: int, number: int
    ) -> int:
        """Complete frames from `start` on; returns where to continue."""
        carriers = self.carriers
        while end - start >= 4 and data[start] == _DOLLAR:
            channel = data[start + 1]
            length = data[start + 2] << 8 | data[start + 3]
            if length < SMALL:
                small = SMALL_FRAMES.match(data, start, end)
                if small is not None:
                    start = small.end()
                    continue
            start += 4
            after = start + length
            if after > end:
                self._channel = channel
                self._length = length
                self._need = after - end
                self._body_head = bytes(data[start : min(end, start + FRAME_HEAD)])
                self._mode = _BODY
                return end
            carrier = carriers[channel]
            if carrier < 0:
                carrier = self.carrier(channel)
            position = start
            if not direct:
                side = self.frames.side
                position = ~len(side)
                side += data[start : min(after, start + FRAME_HEAD)]
            self.frames.numbers.extend(
                (
                    carrier,
                    position,
                    length,
                    length if direct else min(length, FRAME_HEAD),
                    time_ns,
                    number,
                    self.epoch,
                )
            )
            start = after
        if 0 < end - start < 4 and data[start] == _DOLLAR:
            self._mode = _PREFIX
            self._buffer = bytearray(data[start:end])
            return end
        return start

    def _emit_split(self, time_ns: int, number: int) -> None:
        """The frame that spans segments is complete."""
        self._mode = _BOUNDARY
        if self._length < SMALL:
            return
        carrier = self.carrier(self._channel)
        side = self.frames.side
        head = self._body_head
        self.frames.numbers.extend(
            (carrier, ~len(side), self._length, len(head), time_ns, number, self.epoch)
        )
        side += head

    # ------------------------------------------------------------ text

    def _text(self, data: memoryview, start: int, end: int, time_ns: int, number: int) -> int:
        """Collect a message; returns where to continue."""
        buffer = self._buffer
        known = len(buffer)
        if time_ns < self._muted_ns:
            self._lose()
            return end
        buffer += data[start : min(end, start + HEAD_MAX + BODY_MAX)]
        verdict = starts_message(buffer)
        if verdict is False:
            if any(one.startswith(bytes(buffer[:4])) for one in _HTTP):
                return self._http(start, known, end, time_ns, number)
            self._stray(time_ns, number)
            return end
        head = self._head_end or head_end(buffer, max(known - 3, 0))
        if head < 0:
            if len(buffer) > HEAD_MAX:
                # frames that began in between are incomplete as well
                self._stray(time_ns, number, len(buffer) - _START_LINE_MAX)
            return end
        if self._is_too_much(time_ns):
            return end
        text = parse_head(bytes(buffer[:head]))
        if text is None:
            self._stray(time_ns, number)
            return end
        if text.body_length > BODY_MAX:
            buffer.clear()
            self._mode, self._need = _SKIP, text.body_length
            self.on_message(text, b"", time_ns, number)
            return start + head - known
        if text.describes and not _LENGTH.search(buffer, 0, head):
            buffer.clear()
            self._mode, self._open = _OPEN, (text, time_ns, number)
            return start + head - known
        whole = head + text.body_length
        if len(buffer) < whole:
            self._head_end = head
            return end
        body = bytes(buffer[head:whole])
        buffer.clear()
        self._mode = _BOUNDARY
        self.on_message(text, body, time_ns, number)
        return start + whole - known

    def _is_too_much(self, time_ns: int) -> bool:
        """Whether this second has had too many messages with this one."""
        second = time_ns // 1_000_000_000
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += not self._head_end  # count it once, though its body comes in pieces
        if self._messages <= MESSAGES_PER_SECOND:
            return False
        self._muted_ns = (second + 1) * 1_000_000_000
        self._lose()
        return True

    def _read_open(self, data: memoryview, start: int, end: int, time_ns: int, number: int) -> int:
        """An SDP without a length ends where the next bytes are not one of its lines."""
        assert self._open is not None
        self._open = (self._open[0], time_ns, number)
        buffer = self._buffer
        known = len(buffer)
        buffer += data[start:end]
        line = buffer.rfind(b"\n", 0, known) + 1
        while line < len(buffer):
            found = _SDP_LINE.match(buffer, line)
            if found is None or len(buffer) > BODY_MAX:
                if len(buffer) - line < 2 and buffer[line : line + 1].isalpha():
                    return end  # too few bytes to decide
                rest = bytes(buffer[line:known])
                del buffer[line:]
                self._close_body()
                if not rest:
                    return start + line - known
                self._consume(memoryview(rest), 0, len(rest), False, time_ns, number)
                return start
            if not found[0].endswith(b"\n"):
                return end
            line = found.end()
        return end

    def _close_body(self) -> None:
        """The body without a length is complete."""
        assert self._open is not None
        (text, time_ns, number), self._open = self._open, None
        body = bytes(self._buffer)
        self._buffer.clear()
        self._mode = _BOUNDARY
        self.on_message(text, body, time_ns, number)

    def _stray(self, time_ns: int, number: int, behind: int = 1) -> None:
        """Neither a frame nor a message: search for a boundary behind it."""
        self.resyncs += 1
        if self.on_stray is not None:
            self.on_stray()
        self._mode = _RESYNC
        self._marks = [(0, time_ns, number)]
        self._scanned = self._floor = behind
        self._candidates.clear()
        self._find_boundary()

    def _http(self, start: int, known: int, end: int, time_ns: int, number: int) -> int:
        """The header of a tunnel over HTTP; a POST's body is base64 from then on."""
        head = head_end(self._buffer)
        if head < 0:
            if len(self._buffer) > HEAD_MAX:
                self._mode = _DEAD
            return end
        raw = bytes(self._buffer[:head])
        found = re.search(rb"(?i)\r\nx-sessioncookie:\s*(\S{1,80})", raw)
        lower = raw.lower()
        if b"upgrade: websocket" in lower and (b"rtsp" in lower or raw.startswith(b"HTTP/1.1 101")):
            self._buffer.clear()
            self._mode, self._wrapping = _TUNNEL, WebSocket()
            if self.on_tunnel is not None:
                self.on_tunnel("")
            return start + head - known
        if raw.startswith(b"HTTP") and b"multipart/x-mixed-replace" in lower:
            self._buffer.clear()
            self._mode, self._parts = _PARTS, Multipart(self.carrier(0), raw)
            return start + head - known
        tunnelled = found is not None or b"x-rtsp-tunnelled" in lower
        refusal = None if tunnelled else parse_http_refusal(raw)
        if refusal is not None:
            self._buffer.clear()
            self._need = refusal.body_length
            self._mode = _SKIP if self._need else _BOUNDARY
            self.on_message(refusal, b"", time_ns, number)
            return start + head - known
        if not tunnelled and not raw.startswith(b"HTTP"):
            self._mode = _DEAD
            return end
        self.cookie = found[1].decode("latin-1") if found else ""
        self._buffer.clear()
        self._mode = _BOUNDARY
        if raw.startswith(b"POST"):
            self._mode, self._wrapping = _TUNNEL, Base64()
        if self.on_tunnel is not None:
            self.on_tunnel(self.cookie)
        return start + head - known

    def _unwrap(self, raw: bytes, time_ns: int, number: int) -> None:
        """Pass wrapped RTSP to an inner direction."""
        if self._inner is None:
            self._inner = Direction(self.frames, self.on_message, self.on_channel)
            self._inner.begin(-1 & _MASK)
        self._inner.frames, self._inner.epoch = self.frames, self.epoch
        said = self._wrapping.feed(raw) if self._wrapping is not None else None
        if said is None:
            self._mode = _DEAD
            return
        self._inner._consume(memoryview(said), 0, len(said), False, time_ns, number)

    def _enter_socket(self, start: int) -> bool:
        """Go on with a WebSocket that was opened before the capture, if one is certain."""
        at = find_rtsp(self._buffer, start, media_only=True)
        if at < 0:
            return False
        _, time_ns, number = self._marks[-1]
        raw = bytes(self._buffer[at:])
        self._lose()
        self._mode, self._wrapping = _TUNNEL, WebSocket()
        self._unwrap(raw, time_ns, number)
        return True

    # ------------------------------------------------------------ resynchronising

    def _begins_at(self, at: int) -> bool:
        """Whether a segment begins at this place of the buffer."""
        place = bisect_left(self._marks, (at,))
        return place < len(self._marks) and self._marks[place][0] == at

    def _find_boundary(self) -> None:
        """Search for a start line, or for two pairs of consecutive `$` frames.

        Bytes are not searched twice, except incomplete frames and a start line that may be
        incomplete.
        """
        buffer = self._buffer
        size = len(buffer)
        searched = max(self._floor, self._scanned - HEAD_BYTES)
        if self._wrapping is None and self._enter_socket(searched):
            return
        # All boundaries contain these words: without a new one, there is nothing to find.
        news = bytes(buffer[max(self._floor, self._scanned - _WORDS_OVERLAP) :])
        place = -1
        if b"RTSP/" in news:
            place = find_message(buffer, max(self._floor, self._scanned - _START_LINE_MAX))
        tail = bytes(buffer[max(self._floor, self._scanned) :])
        fresh = (found.start() + size - len(tail) for found in _CANDIDATE.finditer(tail))
        waiting: list[int] = []
        for at in chain(self._candidates, islice(fresh, RESYNC_LOOKS_MAX)):
            if 0 <= place <= at:
                break
            leads = leads_on(buffer, at, self._begins_at(at))
            if leads:
                place = at
                break
            if leads is None and len(waiting) < RESYNC_CHAINS_MAX:
                waiting.append(at)
        self._candidates = waiting
        self._scanned = max(size - 4, self._floor)
        part = first_part(buffer) if place < 0 and b"image/jp" in news.lower() else None
        if part is not None:
            # the response's own header came in an earlier segment, which was not read as media
            self._parts = Multipart(self.carrier(0), part)
            marks, raw = self._marks[-1:], bytes(buffer)
            self._lose()
            self._mode = _PARTS
            for _, time_ns, number in marks:
                self.frames.parts += self._parts.feed(raw, time_ns, number)
            return
        if place < 0:
            if size > RESYNC_BYTES_MAX:
                self._tries += 1
                self._lose()
                if self._tries >= RESYNC_TRIES_MAX:
                    self._mode = _DEAD
            return
        self._tries = 0
        marks, view = list(self._marks), memoryview(bytes(buffer))
        self._lose()
        if self._depth >= RESYNC_DEPTH_MAX:
            return
        self._mode = _BOUNDARY
        self._depth += 1
        ends = [mark[0] for mark in marks[1:]] + [size]
        for (begin, time_ns, number), end in zip(marks, ends, strict=True):
            if end > place:
                self._consume(view, max(begin, place), end, False, time_ns, number)
        self._depth -= 1
