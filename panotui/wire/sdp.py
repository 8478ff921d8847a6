"""SDP (RFC 4566, 8866) as RTSP servers send it: bytes in, media descriptions out.

Only data needed for measurements is read: payload types, codecs and clock rates, control URLs,
parameter sets, declared frame rate and size, protection. Nothing raises: unreadable lines are
skipped, and numbers are bounded.
"""

from __future__ import annotations

import re

import msgspec

from panotui.model import RtspTrack
from panotui.wire import h264, h265
from panotui.wire.redaction import redact, redact_url
from panotui.wire.rtp import STATIC_PAYLOADS
from panotui.wire.text import printable

MEDIA_MAX = 32
_DIRECTIONS = frozenset({"sendonly", "recvonly", "sendrecv", "inactive"})
_LINES_MAX = 2000


class Format(msgspec.Struct, frozen=True):
    """One payload type of a media description."""

    codec: str | None
    clock_rate: int  # 0 unknown


class Media(msgspec.Struct, kw_only=True):
    """One m= section."""

    media: str
    port: int
    profile: str  # "RTP/AVP", "RTP/SAVP", ...
    formats: dict[int, Format]  # by payload type, in order of preference
    control: str
    url: str  # control joined with the base
    framerate: float | None = None
    width: int | None = None
    height: int | None = None
    profile_level_id: str | None = None
    bandwidth_kbps: int | None = None
    sps: bytes | None = None
    direction: str = ""  # "sendonly", "recvonly", ... as in the SDP

    @property
    def encrypted(self) -> bool:
        return "SAVP" in self.profile

    def track(self) -> RtspTrack:
        """The track in the form of a message."""
        payload_type, first = next(iter(self.formats.items()), (255, Format(None, 0)))
        return RtspTrack(
            media=self.media,
            payload_type=payload_type,
            codec=first.codec,
            clock_rate=first.clock_rate,
            control=redact_url(printable(self.control)),
            framerate=self.framerate,
            width=self.width,
            height=self.height,
            profile_level_id=self.profile_level_id,
            bandwidth_kbps=self.bandwidth_kbps,
            protection="SAVP" if self.encrypted else None,
            direction=self.direction,
        )


class Description(msgspec.Struct, frozen=True):
    session_name: str | None
    media: tuple[Media, ...]


def join_url(base: str, control: str) -> str:
    """A track's URL: absolute, `*` (the base itself), or appended as LIVE555 and others do."""
    if re.match(r"(?i)^rtsps?://", control):
        return control
    if not control or control == "*":
        return base
    if control.startswith("/"):
        found = re.match(r"(?i)^(rtsps?://[^/]*)", base)
        return (found[1] if found else base) + control
    return f"{base.rstrip('/')}/{control}"


def parse(body: bytes, base: str) -> Description:
    """Media of an SDP body; `base` is Content-Base, Content-Location or the request's URL."""
    name: str | None = None
    media: list[Media] = []
    common_control = ""
    for raw in body[: 1 << 16].splitlines()[:_LINES_MAX]:
        line = raw.decode("utf-8", "replace").strip()
        if len(line) < 2 or line[1] != "=":
            continue
        kind, value = line[0], line[2:]
        if kind == "s" and name is None:
            name = redact(printable(value.strip(), 120)) or None
        elif kind == "m":
            if len(media) >= MEDIA_MAX:
                break
            media.append(_media_of(value))
        elif kind == "b" and media and value.startswith("AS:"):
            media[-1].bandwidth_kbps = _number(value[3:], 10_000_000)
        elif kind == "a" and media:
            _attribute(media[-1], value)
        elif kind == "a" and value.startswith("control:"):
            common_control = value[8:].strip()
    if common_control and common_control != "*":
        base = join_url(base, common_control)
    for one in media:
        one.url = join_url(base, one.control)
    return Description(name, tuple(media))


def _number(text: str, most: int) -> int | None:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        return None
    value = int(text)
    return value if value <= most else None


def _media_of(value: str) -> Media:
    words = value.split()
    formats: dict[int, Format] = {}
    for word in words[3:67]:
        payload_type = _number(word, 127)
        if payload_type is not None:
            codec, clock = STATIC_PAYLOADS.get(payload_type, (None, 0))
            formats[payload_type] = Format(codec, clock)
    return Media(
        media=printable(words[0] if words else "", 20).lower(),
        port=_number(words[1].split("/")[0], 65535) or 0 if len(words) > 1 else 0,
        profile=printable(words[2] if len(words) > 2 else "", 40).upper(),
        formats=formats,
        control="",
        url="",
    )


def _attribute(media: Media, value: str) -> None:
    name, _, rest = value.partition(":")
    name = name.strip().lower()
    rest = rest.strip()
    if name == "control":
        media.control = rest[:500]
    elif name == "rtpmap":
        _rtpmap(media, rest)
    elif name == "fmtp":
        _fmtp(media, rest)
    elif name in ("framerate", "x-framerate"):
        media.framerate = _rate(rest)
    elif name == "x-dimensions":
        _size(media, rest.split(","))
    elif name == "framesize":
        _size(media, rest.split()[-1].split("-") if rest.split() else [])
    elif name in _DIRECTIONS and not rest:
        media.direction = name
    elif name == "cliprect":
        parts = rest.split(",")
        _size(media, [parts[3], parts[2]] if len(parts) == 4 else [])


def _rate(text: str) -> float | None:
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if 0 < rate <= 1000 else None


def _size(media: Media, parts: list[str]) -> None:
    if len(parts) == 2:
        width, height = _number(parts[0], 16384), _number(parts[1], 16384)
        if width and height:
            media.width, media.height = width, height


def _rtpmap(media: Media, rest: str) -> None:
    number, _, encoding = rest.partition(" ")
    payload_type = _number(number, 127)
    if payload_type is None:
        return
    parts = encoding.strip().split("/")
    clock = _number(parts[1], 10_000_000) if len(parts) > 1 else None
    codec = printable(parts[0], 40).upper() or None
    media.formats[payload_type] = Format(codec, clock or 0)


def _fmtp(media: Media, rest: str) -> None:
    _, _, parameters = rest.partition(" ")
    for part in parameters.split(";")[:64]:
        key, _, value = part.partition("=")
        key, value = key.strip().lower(), value.strip()
        if key == "profile-level-id" and re.fullmatch(r"[0-9A-Fa-f]{6}", value):
            media.profile_level_id = value.lower()
        elif key == "sprop-parameter-sets":
            media.sps = h264.sps_of_sprop(value) or media.sps
        elif key == "sprop-sps":
            media.sps = h265.sps_of_sprop(value) or media.sps
    if media.sps is None or media.width is not None:
        return
    read = h264.parse_sps(media.sps) if media.sps[0] & 31 == 7 else None
    size = (read.width, read.height) if read else h265.parse_size(media.sps)
    if size:
        media.width, media.height = size
