"""The first bytes of one TCP direction, in order: segments in, contiguous bytes out, bounded.

Segments may arrive late, twice or overlapping, and the very first may arrive second. The first copy
of a byte counts. Media streams have their own reassembler; this one is for handshakes, which are
short.
"""

from __future__ import annotations

PENDING_BYTES = 65_536
PENDING_SEGMENTS = 64
_HALF = 1 << 31
_MASK = 0xFFFFFFFF


class InOrder:
    """Bytes of one direction from the first segment seen on.

    `offered` counts all payload bytes seen; `gap` is true while later segments wait for a hole.
    """

    __slots__ = ("_base", "_next", "_pending", "_pending_bytes", "offered", "overflowed", "ready")

    def __init__(self) -> None:
        self._base: int | None = None  # sequence number of the first byte delivered
        self._next = 0
        self._pending: dict[int, bytes] = {}
        self._pending_bytes = 0
        self.offered = 0
        self.overflowed = False
        self.ready = bytearray()  # in order, not yet consumed by the reader

    @property
    def gap(self) -> bool:
        return bool(self._pending)

    @property
    def held(self) -> int:
        """Bytes kept in memory."""
        return len(self.ready) + self._pending_bytes

    def add(self, sequence: int, payload: bytes) -> bool:
        """Add a segment; true if new bytes are ready."""
        self.offered += len(payload)
        if self._base is None:
            self._base = sequence
            self._next = (sequence + len(payload)) & _MASK
            self.ready += payload
            return True
        ahead = (sequence - self._next) & _MASK
        if ahead >= _HALF:  # starts before the expected byte: a retransmission, or partly new
            known = _MASK + 1 - ahead
            if known >= len(payload):
                return False
            payload = payload[known:]
            ahead = 0
        if ahead:
            self._hold((self._next + ahead) & _MASK, payload)
            return False
        self._take(payload)
        self._drain()
        return True

    def skip(self, sequence: int, size: int) -> bool:
        """Skip `size` bytes from `sequence` that were sent but not captured.

        True if they were next in order; later segments are ready then.
        """
        if self._base is None or sequence & _MASK != self._next:
            return False
        self._next = (self._next + size) & _MASK
        self.offered += size
        self._drain()
        return True

    def precedes(self, sequence: int) -> bool:
        """True if a segment at `sequence` comes before the first byte seen (it was overtaken)."""
        return self._base is not None and 0 < (self._base - sequence) & _MASK < _HALF

    def restart(self, sequence: int, payload: bytes) -> None:
        """Start again with an overtaken first segment; later bytes are kept."""
        later, base = bytes(self.ready), self._base
        self._base = sequence
        self._next = (sequence + len(payload)) & _MASK
        self.ready = bytearray(payload)
        self.offered += len(payload)
        if base is not None and later:
            ahead = (base - self._next) & _MASK
            if ahead < _HALF:
                self._hold(base, later)
            else:
                self._take(later[_MASK + 1 - ahead :])
        self._drain()

    def _take(self, payload: bytes) -> None:
        self.ready += payload
        self._next = (self._next + len(payload)) & _MASK

    def _hold(self, sequence: int, payload: bytes) -> None:
        known = self._pending.get(sequence)
        if known is not None and len(known) >= len(payload):
            return
        if (
            len(self._pending) >= PENDING_SEGMENTS
            or self._pending_bytes + len(payload) > PENDING_BYTES
        ):
            self.overflowed = True
            return
        self._pending[sequence] = payload
        self._pending_bytes += len(payload) - len(known or b"")

    def _drain(self) -> None:
        moved = bool(self._pending)
        while moved:
            moved = False
            for sequence, payload in sorted(
                self._pending.items(), key=lambda item: (item[0] - self._next + _HALF) & _MASK
            ):
                ahead = (sequence - self._next) & _MASK
                if 0 < ahead < _HALF:
                    break
                del self._pending[sequence]
                self._pending_bytes -= len(payload)
                known = (self._next - sequence) & _MASK
                if known < len(payload):
                    self._take(payload[known:])
                moved = True
