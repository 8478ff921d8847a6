"""RTSP in WebSocket frames (RFC 6455 5.2, ONVIF's streaming specification), found in mid-stream.

A frame that holds exactly one `$` frame of RTP is certain: two lengths agree, and a channel and a
version fit. The client's frames are masked, with the key in front.
"""

from __future__ import annotations

import re

HEAD_BYTES = 24  # of a frame with RTSP, within which it is recognised
_LIKELY = re.compile(
    rb"\x82(?:([\x08-\x7d])|\x7e(..))(?:\$[\x00-\x1f](..)[\x80-\xbf]|RTSP/1\.|[A-Z]{4,13} rtsp)",
    re.DOTALL,
)
_MASKED = re.compile(rb"(?=\x82([\x84-\xfe]))")
_METHOD = re.compile(rb"[A-Z_]{4,13} ?(?:r|\Z)")
_CHANNELS = 32
_SHORT = 126


def find_rtsp(data: bytes | bytearray, start: int = 0, *, media_only: bool = False) -> int:
    """Where the first frame with RTSP begins, at `start` or behind; -1: none.

    `media_only`: frames that begin with text do not count; RTSP itself may follow any two bytes.
    """
    plain = _find_plain(data, start, media_only)
    masked = _find_masked(data, start, plain if plain >= 0 else len(data))
    return masked if masked >= 0 else plain


def _find_plain(data: bytes | bytearray, start: int, media_only: bool) -> int:
    for found in _LIKELY.finditer(data, start):
        short, long, inner = found.groups()
        if inner is None:
            if not media_only:
                return found.start()
            continue
        size = short[0] if short else int.from_bytes(long, "big")
        if size == 4 + int.from_bytes(inner, "big"):
            return found.start()
    return -1


def _find_masked(data: bytes | bytearray, start: int, end: int) -> int:
    for found in _MASKED.finditer(data, start, end):
        at = found.start()
        size = found[1][0] & 0x7F
        key_at = at + 2
        if size == _SHORT:
            size = int.from_bytes(data[key_at : key_at + 2], "big")
            key_at += 2
        key, said = data[key_at : key_at + 4], data[key_at + 4 : key_at + 16]
        if len(said) < 8:
            return -1
        text = bytes(byte ^ key[i & 3] for i, byte in enumerate(said))
        if text[0] == 0x24:
            inner = text[2] << 8 | text[3]
            if size == 4 + inner and text[1] < _CHANNELS and text[4] >> 6 == 2:
                return at
        elif _METHOD.match(text) and size > len(text):
            return at
    return -1
