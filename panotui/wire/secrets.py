"""Finds secrets in packet bytes, so that they can be overwritten without changing lengths.

It finds `Authorization` and similar headers, cookies, credentials in URLs by the rules of
`redaction`, WS-UsernameToken and users' XML elements, `Basic` anywhere, and named fields of forms
and of JSON. Base64-encoded RTSP, as in an HTTP tunnel, is searched as well.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from panotui.wire import redaction

ZERO = b"0"


class Secret(NamedTuple):
    """A span of bytes; `until` would end it if the text did not, None if it is complete."""

    start: int
    stop: int
    until: bytes | None = None


# A header's value continues on lines that begin with a space (RFC 9112, 5.2). The scheme of
# credentials is kept.
_VALUE = rb"(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
_HEADER = re.compile(
    rb"(?im)^(?:"
    rb"(?:proxy-)?authorization[ \t]*:[ \t]*(?:(?:basic|digest|bearer|ntlm|negotiate)[ \t]+)?"
    rb"|(?:set-)?cookie2?[ \t]*:[ \t]*"
    rb"|x-(?:api-key|auth-token|amz-security-token)[ \t]*:[ \t]*"
    rb"|authentication-info[ \t]*:[ \t]*)" + _VALUE
)
_BASIC = re.compile(rb"(?i)\bbasic[ \t]+(?P<value>[A-Za-z0-9+/=]{4,})")
_ELEMENT = re.compile(
    rb"(?i)<(?:[\w.-]+:)?(?:password|passwd|username|nonce|secret|token)\b[^<>]*(?<!/)>"
    rb"(?P<value>[^<]*)"
)
_FIELD = re.compile(
    rb"(?i)(?:pass(?:wor[dt]|wd|phrase)?|pwd|secret|token|api_?key|sessionid)[\"']?[ \t]*[=:][ \t]*"
    rb"(?P<value>\"[^\"\r\n]*|'[^'\r\n]*|[^&\"'\s<>;,]+)"
)
_TARGET = re.compile(
    rb"(?m)^(?:[A-Z_]{3,16} |(?i:content-base|content-location|location|referer|rtp-info|a=control)"
    rb"[ \t]*:[ \t]*)(?P<value>[^\r\n]*?)(?= (?:RTSP|HTTP)/\d|\r?$)"
)
_URL = re.compile(rb"(?i)\b(?:rtsp[su]?|rtmps?|https?|wss?|ftps?)(?::|%3a)(?://|%2f%2f)")
_URL_ENDS = re.compile(rb"[\r\n\"'<>]|[ \t](?:RTSP|HTTP)/\d|,(?=\s{0,4}(?:url=|rtsp))")
_SPACE = re.compile(rb"\s")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]{24,}={0,2}")


def secrets_in(text: bytes) -> list[Secret]:
    """The positions of secrets, in order, without overlap."""
    found: list[Secret] = []
    for match in _HEADER.finditer(text):
        found.append(_span(match, text, b"\n"))
    for match in _ELEMENT.finditer(text):
        found.append(_span(match, text, b"<"))
    for pattern in (_BASIC, _FIELD):
        found += [Secret(*match.span("value")) for match in pattern.finditer(text)]
    found += _in_urls(text)
    found += _in_base64(text)
    return _joined(found)


def without_secrets(text: bytes) -> bytes:
    """`text` with its secrets replaced by zeros."""
    found = secrets_in(text)
    if not found:
        return text
    out = bytearray(text)
    for start, stop, _ in found:
        out[start:stop] = ZERO * (stop - start)
    return bytes(out)


def _span(match: re.Match[bytes], text: bytes, until: bytes) -> Secret:
    start, stop = match.span("value")
    return Secret(start, stop, until if stop == len(text) else None)


def _in_urls(text: bytes) -> list[Secret]:
    found: list[Secret] = []
    starts = [match.span() for match in _URL.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    for (_, start), most in zip(starts, ends, strict=False):
        end = _URL_ENDS.search(text, start, most)
        stop = most if end is None else end.start()
        # a password may contain spaces: those before the last "@" belong to the URL
        space = _SPACE.search(text, max(start, text.rfind(b"@", start, stop)), stop)
        found += _in_url(text, start, stop if space is None else space.start(), has_host=True)
    for match in _TARGET.finditer(text):
        if not _URL.match(match["value"]):
            found += _in_url(text, *match.span("value"), has_host=False)
    return found


def _in_url(text: bytes, start: int, stop: int, *, has_host: bool) -> list[Secret]:
    """The parts of a URL that `redaction` would hide: its user, and everything from the first
    secret on.
    """
    url = text[start:stop].decode("latin-1")
    found: list[Secret] = []
    if has_host:
        host = redaction.without_user(url)
        at = len(url) - len(host) if url.endswith(host) else len(url)
        if at:
            found.append(Secret(start, start + max(at - 1, 0)))
        start, url = start + at, url[at:]
    shown = redaction.redact_url(url)
    same = next(
        (n for n, (a, b) in enumerate(zip(url, shown, strict=False)) if a != b),
        min(len(url), len(shown)),
    )
    if same < len(url):
        found.append(Secret(start + same, stop))
    return found


def _in_base64(text: bytes) -> list[Secret]:
    found: list[Secret] = []
    for match in _BASE64.finditer(text):
        raw = match[0].translate(None, b"\r\n")
        try:
            plain = base64.b64decode(raw[: len(raw) - len(raw) % 4])
        except binascii.Error:
            continue
        if _HEADER.search(plain) or _URL.search(plain):
            found.append(Secret(*match.span()))
    return found


def _joined(found: list[Secret]) -> list[Secret]:
    out: list[Secret] = []
    for one in sorted(found, key=lambda secret: secret[:2]):
        if one.stop <= one.start and one.until is None:
            continue
        if out and one.start <= out[-1].stop:
            last = out[-1]
            stop = max(last.stop, one.stop)
            until = one.until if one.stop >= last.stop else last.until
            out[-1] = Secret(last.start, stop, until or (last.until if last.stop == stop else None))
        else:
            out.append(one)
    return out
