"""Framing of the feed: bytes in, requests or answers out, and the reverse; no sockets.

A message on the wire is a 4-byte big-endian length and that many bytes of msgpack. The length is
checked before anything is stored, so a hostile peer can make neither side hold more than its limit.
Text from either side is made printable here, so panes and logs can trust it.
"""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

import msgspec

from panotui.errors import PanotuiError
from panotui.views.frames import FRAME_BYTES_MAX, Answer, Command, Done, Frame, View
from panotui.wire.cleaned import cleaned
from panotui.wire.text import printable

REQUEST_BYTES_MAX = 64 << 10
_LENGTH = struct.Struct(">I")

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[View | Command] = msgspec.msgpack.Decoder(View | Command)
_answers: msgspec.msgpack.Decoder[Frame | Done] = msgspec.msgpack.Decoder(Frame | Done)

T = TypeVar("T")


class FeedError(PanotuiError):
    """The other end of the feed is gone, refuses, or speaks another protocol."""

    exit_code = 3


def pack(message: View | Command | Frame | Done) -> bytes:
    """One message in the form for the socket."""
    body = _encoder.encode(message)
    if len(body) > FRAME_BYTES_MAX:
        body = _encoder.encode(Done(ok=False, text="the answer is too large; ask for fewer rows"))
    return _LENGTH.pack(len(body)) + body


class Reassembler(Generic[T]):
    """Joins the bytes read from a socket into whole messages."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[T], limit: int) -> None:
        self._decoder = decoder
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """The messages completed by `data`; FeedError for one that is too long or cannot be
        decoded.
        """
        self._buffer += data
        messages: list[T] = []
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > self._limit:
                raise FeedError("feed", f"a message of {size} bytes is over the limit")
            if len(self._buffer) < _LENGTH.size + size:
                break
            body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + size])
            del self._buffer[: _LENGTH.size + size]
            try:
                messages.append(cleaned(self._decoder.decode(body)))
            except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
                raise FeedError(
                    "feed",
                    f"the other end speaks another version ({printable(str(error), 120)})",
                    "Use the same version of panotui at both ends.",
                ) from None
        return messages


def request_reassembler() -> Reassembler[View | Command]:
    return Reassembler(_requests, REQUEST_BYTES_MAX)


def answer_reassembler() -> Reassembler[Answer]:
    return Reassembler(_answers, FRAME_BYTES_MAX)
