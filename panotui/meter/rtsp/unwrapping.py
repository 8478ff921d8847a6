"""RTSP wrapped in another protocol on its connection: wrapped bytes in, RTSP's bytes out.

A tunnel over HTTP sends requests in base64 (Apple's, which cameras and players follow); ONVIF's
streaming specification carries both directions in WebSocket frames (RFC 6455 5.2). Pure and
bounded: only incomplete groups and headers are kept.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from panotui.wire.websocket import HEAD_BYTES, find_rtsp

_HEADS_MAX = 16  # WebSocket frames per TCP segment; those of media are as large as one


class Wrapping(Protocol):
    """Takes bytes as they come."""

    def feed(self, raw: bytes) -> bytes | None:
        """The content of these bytes; None: they are not such a wrapping."""

    def skip(self, missing: int) -> int:
        """Bytes were not captured: returns how many bytes of content they held, 0 if unknown."""

    @property
    def is_lost(self) -> bool:
        """Nothing more can be decoded."""


class Base64:
    """The body of a tunnel's POST; each request may end with its own padding."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self.is_lost = False

    def feed(self, raw: bytes) -> bytes | None:
        self._waiting += bytes(c for c in raw if c > 32)
        whole = len(self._waiting) // 4 * 4
        try:
            decoded = b"".join(
                base64.b64decode(part, validate=True)
                for part in re.findall(rb"[^=]*={0,2}", bytes(self._waiting[:whole]))
                if part
            )
        except (binascii.Error, ValueError):
            return None
        del self._waiting[:whole]
        return decoded

    def skip(self, missing: int) -> int:
        self.is_lost = True
        return 0


class WebSocket:
    """Frames of one side; the client's are masked."""

    is_lost = False

    def __init__(self) -> None:
        self._head = bytearray()
        self._need = 0  # bytes of the payload still to come
        self._key = b""
        self._is_data = False  # not a ping, pong or close
        self._searched: bytearray | None = None  # after a hole: bytes without a certain frame

    def feed(self, raw: bytes) -> bytes | None:
        if self._searched is not None:
            raw = self._found(raw)
        out: list[bytes] = []
        at, size = 0, len(raw)
        while at < size:
            if not self._need:
                self._head += raw[at : at + 1]
                at += 1
                if not self._begin():
                    return None
                continue
            piece = raw[at : at + self._need]
            at += len(piece)
            self._need -= len(piece)
            if self._key:
                piece = self._unmask(piece)
            if self._is_data:
                out.append(piece)
        return b"".join(out)

    def skip(self, missing: int) -> int:
        if missing < self._need and not self._key and self._searched is None:
            self._need -= missing
            return missing if self._is_data else 0
        self._need, self._key = 0, b""
        self._head.clear()
        self._searched = bytearray()
        return 0

    def _found(self, raw: bytes) -> bytes:
        """After a hole: the bytes from the next certain frame on; empty if there is none."""
        searched = self._searched
        assert searched is not None
        searched += raw
        at = find_rtsp(searched)
        if at >= 0:
            self._searched = None
            return bytes(searched[at:])
        del searched[:-HEAD_BYTES]
        return b""

    def _begin(self) -> bool:
        """Read the header once it is complete; False if it is invalid."""
        head = self._head
        if head[0] & 0x70 or 3 <= head[0] & 15 <= 7 or head[0] & 15 > 10:
            return False
        if len(head) < 2:
            return True
        short = head[1] & 127
        key = 2 + (2 if short == 126 else 8 if short == 127 else 0)
        if len(head) < key + (4 if head[1] & 128 else 0):
            return True
        self._need = int.from_bytes(head[2:key], "big") if short > 125 else short
        self._key = bytes(head[key:])
        self._is_data = head[0] & 15 < 8
        head.clear()
        return True

    def _unmask(self, piece: bytes) -> bytes:
        mask = np.frombuffer(self._key * (len(piece) // 4 + 1), np.uint8)[: len(piece)]
        turn = len(piece) % 4
        self._key = self._key[turn:] + self._key[:turn]
        return bytes(np.frombuffer(piece, np.uint8) ^ mask)

    def pieces(
        self, view: memoryview, begins: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]] | None:
        """The positions in `view` of the content of segments: (segment, begin, end) of each piece.

        None, with nothing changed, if it is masked, has too many frames for its bytes or is not a
        WebSocket.
        """
        if self._key or self._searched is not None:
            return None
        known = self.known
        out = self._pieces(view, begins, ends)
        if out is None:
            self.go_back(known)
        return out

    @property
    def known(self) -> tuple[bytes, int, bool]:
        """The state, for `go_back`."""
        return bytes(self._head), self._need, self._is_data

    def go_back(self, known: tuple[bytes, int, bool]) -> None:
        """Restore a state."""
        head, self._need, self._is_data = known
        self._head[:] = head
        self._key = b""

    def _pieces(
        self, view: memoryview, begins: Sequence[int], ends: Sequence[int]
    ) -> list[tuple[int, int, int]] | None:
        out: list[tuple[int, int, int]] = []
        heads = _HEADS_MAX * len(begins)
        need, head = self._need, self._head
        for segment, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            at = begin
            while at < end:
                if not need:
                    heads -= 1
                    if heads < 0:
                        return None
                    if not head and end - at >= 4 and view[at] == 0x82 and view[at + 1] == 126:
                        need = view[at + 2] << 8 | view[at + 3]
                        self._is_data = True
                        at += 4
                    else:
                        at = self._read_head(view, at, end)
                        if at < 0 or self._key:
                            return None
                        need = self._need
                    continue
                stop = min(at + need, end)
                if self._is_data:
                    out.append((segment, at, stop))
                need -= stop - at
                at = stop
        self._need = need
        return out

    def _read_head(self, view: memoryview, at: int, end: int) -> int:
        """Read a header to its end, or as much of it as there is; -1 if it is invalid."""
        self._need = 0
        while at < end:
            self._head += view[at : at + 1]
            at += 1
            if not self._begin():
                return -1
            if not self._head:
                return at
        return at
