"""Takes secrets out of URLs: only what is known to be harmless stays.

Camera makers put user names, passwords, tokens and session ids into every part of an RTSP URL,
under ever new names. Bad words are therefore not looked for: the value of a `key=value` stays only
where the key is one of `HARMLESS`, wherever in the URL it stands. A path of plain words stays,
because a person has to find the wrong one in it.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

# Keys whose values say which picture is meant, never who asks for it.
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
# `key=` at the beginning of a part: behind a separator, or an underscore as in
# "/user=admin_password=x_channel=1_stream=0.sdp".
_KEY = re.compile(r"(?:^|(?<=[/?&;#_,\s]))([A-Za-z][\w.\-\[\]]{0,40}?)=")
_ENDS = re.compile(r"[/?&;#]")  # ends a value, where no further key does
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[\w.\-]+)(?::\d{1,5})?(?=[/?#;,\s]|$)")
_ADDRESS = re.compile(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.%\w]+\]|[\w\-]+(?:\.[\w\-]+)+)")
_TAIL = re.compile(r"\.(?:sdp|cgi|asp|mp4|h264|264|smp|amp|mov|ts)$", re.IGNORECASE)
_URL_ENDS = re.compile(r"[\s\"'<>]|,(?=\s*(?:url=|rtsp))")


def redact(text: str) -> str:
    """`text` without what the URLs in it may tell of users, passwords, tokens and sessions."""
    found = list(_SCHEME.finditer(text))
    if not found:
        return text
    out = [text[: found[0].start()]]
    for match, end in zip(found, [*(m.start() for m in found[1:]), len(text)], strict=True):
        out.append(match[1] + _behind_scheme(text[match.end() : end]))
    return "".join(out)


def redact_url(url: str) -> str:
    """The same of a text that is a URL, or a path: a request's target, a track's `control`."""
    match = _SCHEME.match(url)
    if match is None:
        return _values(_plain(url))
    return match[1] + _behind_scheme(url[match.end() :], whole=True)


def _behind_scheme(rest: str, *, whole: bool = False) -> str:
    """What follows `rtsp://`, and in a text what follows the URL."""
    rest = without_user(rest)
    end = None if whole else _URL_ENDS.search(rest)
    cut = len(rest) if end is None else end.start()
    return _values(_plain(rest[:cut])) + rest[cut:]


def without_user(rest: str) -> str:
    """`rest` from the host on. A password may hold `/ ? # @` and spaces, so the last `@` that has a
    host behind it counts, unless what comes first is an address or a full name already."""
    plain = _plain(rest)
    host = _HOST.match(plain)
    if host is not None and _ADDRESS.match(host[0]):
        return rest
    for at in (m.start() for m in reversed(list(re.finditer("@", plain)))):
        if _HOST.match(plain, at + 1):
            return plain[at + 1 :]
    return rest


def _plain(text: str) -> str:
    """`text` with encoded separators as the separators that they are."""
    if "%" not in text:
        return text
    return _ENCODINGS.sub(lambda m: _ENCODED[m[0].lower()], text)


def _values(text: str) -> str:
    """`text` with the values of all but harmless keys masked."""
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
    """(start, place of the `=`) of a key. What an underscore ties to a harmless key in front may be
    the end of a password: "password=a_b_channel=1"."""
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
    # what is behind a separator belongs to a secret that holds it, or is a path: with a harmless
    # key it is a path, with any other nobody can tell
    if harmless:
        assert end is not None
        return value[: end.start()] + _bare(value[end.start() :])
    tail = _TAIL.search(value)
    return MASK + (tail[0] if tail is not None else "")


def _bare(text: str) -> str:
    """Parts without a key: a path stays, what stands alone behind a separator does not (a token
    may)."""
    path, *parts = re.split(r"([?&;#])", text)
    shown = (part if part in ("", *"?&;#") or part.lower() in HARMLESS else MASK for part in parts)
    return path + "".join(shown)
