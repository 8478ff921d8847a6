"""RTSP wrapped in another protocol on its connection: wrapped bytes in, RTSP's bytes out.

A tunnel over HTTP sends requests in base64 (Apple's, which cameras and players follow); ONVIF's
streaming specification carries both directions in WebSocket frames (RFC 6455 5.2). Pure and
bounded: only incomplete groups and headers are kept.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Protocol

import numpy as np


class Wrapping(Protocol):
    """Takes bytes as they come."""

    def feed(self, raw: bytes) -> bytes | None:
        """The content of these bytes; None: they are not such a wrapping."""


class Base64:
    """The body of a tunnel's POST; each request may end with its own padding."""

    def __init__(self) -> None:
        self._waiting = bytearray()

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


class WebSocket:
    """Frames of one side; the client's are masked."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._need = 0  # bytes of the payload still to come
        self._key = b""
        self._is_data = False  # not a ping, pong or close

    def feed(self, raw: bytes) -> bytes | None:
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
