"""Removes secrets from URLs: only parts that are known to be harmless stay.

Camera makers put user names, passwords, tokens and session ids into every part of an RTSP URL,
under ever new names. A list of bad words is therefore not enough: the value of a `key=value` stays
only if the key is one of `HARMLESS`, anywhere in the URL. A path of plain words stays, because a
person has to find the wrong one in it.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

# Keys whose values select a picture, never a user.
_HARMLESS_KEYS = """
channel channels channelid chanid chan chid ch chn camera cameraid cameranum cam camid input
videoinput source sourceid subtype subtypeid sub type streamtype streamtypeid streamid stream
streamno streamnum streamname streamprofile strm substream mainstream st sid profile profileid
profiletoken profilename videoprofile resolution res size width height w h fps framerate rate
bitrate br bw kbps gop govlength quality compression codec videocodec videocodectype
audiocodec encoder format fmt h264 h265 mpeg4 mjpeg jpeg video audio videokeyframeinterval
unicast multicast transmode transportmode transport protocol proto prot tcp udp mode media
track trackid trackno inst instance instanceid id line view viewid window overlay osd rotation
mirror squarepixel clock date text dummy camtype linktype event events metadata analytics
ptz onvif backchannel starttime endtime start end playseek speed scale npt range
seq rtptime ssrc port real_stream timeout interleaved
"""
HARMLESS: Final = frozenset(_HARMLESS_KEYS.split())
_SCHEME = re.compile(r"(?i)\b((?:rtsp[su]?|rtmps?|https?|wss?|ftps?)(?::|%3a)(?://|%2f%2f))")
_ENCODED = {"%3d": "=", "%26": "&", "%3b": ";", "%3f": "?", "%2f": "/", "%40": "@", "%3a": ":"}
_ENCODINGS = re.compile("(?i)" + "|".join(_ENCODED))
# `key=` at the beginning of a part: after a separator, or after an underscore as in
# "/user=admin_password=x_channel=1_stream=0.sdp".
_KEY = re.compile(r"(?:^|(?<=[/?&;#_,\s]))([A-Za-z][\w.\-\[\]]{0,40}?)=")
_ENDS = re.compile(r"[/?&;#]")  # ends a value if no other key does
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.\-]+)(?::\d{1,5})?(?=[/?#;,\s]|$)")
_ADDRESS = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.%\w]+\]|[\w\-]+(?:\.[\w\-]+)+)")
_TAIL = re.compile(r"\.(?:sdp|cgi|asp|mp4|h264|264|smp|amp|mov|ts)$", re.IGNORECASE)
_URL_ENDS = re.compile(r"[\s\"'<>]|,(?=\s*(?:url=|rtsp))")


def redact(text: str) -> str:
    """`text` without users, passwords, tokens and session ids in its URLs."""
    found = list(_SCHEME.finditer(text))
    if not found:
        return text
    out = [text[: found[0].start()]]
    for match, end in zip(found, [*(m.start() for m in found[1:]), len(text)], strict=True):
        out.append(match[1] + _behind_scheme(text[match.end() : end]))
    return "".join(out)


def redact_url(url: str) -> str:
    """The same for a text that is a URL or a path: a request's target, a track's `control`."""
    match = _SCHEME.match(url)
    if match is None:
        return _values(_plain(url))
    return match[1] + _behind_scheme(url[match.end() :], whole=True)


def _behind_scheme(rest: str, *, whole: bool = False) -> str:
    """The part after `rtsp://`, and in a text the part after the URL."""
    rest = without_user(rest)
    end = None if whole else _URL_ENDS.search(rest)
    cut = len(rest) if end is None else end.start()
    return _values(_plain(rest[:cut])) + rest[cut:]


def without_user(rest: str) -> str:
    """`rest` from the host on. A password may contain `/ ? # @` and spaces, so the last `@` that is
    followed by a host counts, unless the text before it is already an address or a full name.
    """
    plain = _plain(rest)
    host = _HOST.match(plain)
    if host is not None and _ADDRESS.match(host[0]):
        return rest
    for at in (m.start() for m in reversed(list(re.finditer("@", plain)))):
        if _HOST.match(plain, at + 1):
            return plain[at + 1 :]
    return rest


def _plain(text: str) -> str:
    """`text` with percent-encoded separators decoded."""
    if "%" not in text:
        return text
    return _ENCODINGS.sub(lambda m: _ENCODED[m[0].lower()], text)


def _values(text: str) -> str:
    """`text` with all values masked, except those of harmless keys."""
    keys = [_key_at(match) for match in _KEY.finditer(text)]
    if not keys:
        return _bare(text)
    out = [_bare(text[: keys[0][0]])]
    for (start, equals), end in zip(
        keys, [*(start for start, _ in keys[1:]), len(text)], strict=True
    ):
        key, value, behind = text[start:equals], text[equals + 1 : end], ""
        if end < len(text):
            value, behind = value[:-1], value[-1:]  # the separator before the next key
        out.append(f"{key}={_value(key, value)}{behind}")
    return "".join(out)


def _key_at(match: re.Match[str]) -> tuple[int, int]:
    """(start, position of the `=`) of a key. Text joined by an underscore to a harmless key may be
    the end of a password: "password=a_b_channel=1".
    """
    whole = match[1]
    if whole.lower() not in HARMLESS:
        for at in (m.end() for m in re.finditer("_", whole)):
            if whole[at:].lower() in HARMLESS:
                return match.start(1) + at, match.end(1)
    return match.span(1)


def _value(key: str, value: str) -> str:
    harmless = key.lower() in HARMLESS
    end = _ENDS.search(value)
    if harmless and end is None:
        return value
    # text after a separator belongs to a secret that contains the separator, or is a path: with a
    # harmless key it is a path, with any other key it is unknown
    if harmless:
        assert end is not None
        return value[: end.start()] + _bare(value[end.start() :])
    tail = _TAIL.search(value)
    return MASK + (tail[0] if tail is not None else "")


def _bare(text: str) -> str:
    """Parts without a key: a path stays, a single word after a separator does not (it may be a
    token).
    """
    path, *parts = re.split(r"([?&;#])", text)
    shown = (part if part in ("", *"?&;#") or part.lower() in HARMLESS else MASK for part in parts)
    return path + "".join(shown)
