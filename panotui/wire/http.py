"""HTTP/1 heads: the bytes of a request or answer up to its empty line in, `HttpMessage` out.

Credentials are never copied: the message records that `Authorization: Basic` (or a user in the URL)
was sent in cleartext, not its value. The query string of a path is dropped, because it may carry
tokens.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from panotui.model import HttpMessage
from panotui.wire.origin import Malformed, Origin
from panotui.wire.redaction import redact_url
from panotui.wire.text import printable

HEAD_LIMIT = 16_384
METHODS = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"CONNECT ",
    b"PATCH ",
    b"TRACE ",
    b"PROPFIND ",
    b"SUBSCRIBE ",
    b"NOTIFY ",
)
_REQUEST = re.compile(rb"([A-Z]{3,16}) (\S{1,8192}) HTTP/1\.[01]\s*$")
_SNAPSHOT = re.compile(rb"(?i)snapshot|/snap\.|/picture$|/jpg/|image\.jpe?g|cmd=snap")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\s*$)")


class Head(NamedTuple):
    """A message's head, with the data that the lane needs to continue."""

    message: HttpMessage
    size: int  # bytes up to and with the empty line
    is_video: bool  # an answer of pictures that replace each other: MJPEG
    tunnel_cookie: bool  # x-sessioncookie, or a WebSocket for RTSP: RTSP tunnelled in HTTP
    asks_for: str | None = None  # of a request: "onvif", "snapshot"; None: nothing of cameras
    is_picture: bool = False  # a response that is one JPEG


def end_of_head(data: bytes | bytearray) -> int:
    """Bytes up to and including the empty line that ends a head, -1 if it is not there yet."""
    crlf = data.find(b"\r\n\r\n", 0, HEAD_LIMIT)
    lf = data.find(b"\n\n", 0, HEAD_LIMIT)
    if crlf < 0 and lf < 0:
        return -1
    if lf < 0 or 0 <= crlf < lf:
        return crlf + 4
    return lf + 2


def parse(data: bytes, origin: Origin, from_client: bool) -> Head:
    """A head; a truncated one is read as far as it goes. `Malformed` without a start line."""
    size = end_of_head(data)
    head = data[: size if size >= 0 else HEAD_LIMIT]
    lines = head.split(b"\n", 128)
    start = lines[0].rstrip(b"\r")
    fields: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    websocket = fields.get(b"upgrade", b"").lower() == b"websocket"
    cookie = b"x-sessioncookie" in fields or (
        websocket and b"rtsp" in fields.get(b"sec-websocket-protocol", b"").lower()
    )
    if start.startswith(b"HTTP/1."):
        found = _STATUS.match(start)
        if found is None:
            raise Malformed("HTTP status line")
        message = HttpMessage(
            time_ns=origin.time_ns,
            packet=origin.packet,
            interface=origin.interface,
            flow=origin.flow,
            from_client=from_client,
            status=int(found.group(1)),
            server=_text(fields.get(b"server")),
            location=_location(fields.get(b"location")),
        )
        content = fields.get(b"content-type", b"").lower()
        video = b"multipart/x-mixed-replace" in content
        return Head(
            message, max(size, 0), video, cookie, is_picture=content.startswith(b"image/jp")
        )
    request = _REQUEST.match(start)
    if request is None:
        raise Malformed("HTTP request line")
    method, target = request.group(1), request.group(2)
    host, path, user = _target(method, target)
    authorization = fields.get(b"authorization", b"").lower()
    proxy = fields.get(b"proxy-authorization", b"").lower()
    message = HttpMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        from_client=from_client,
        method=method.decode("ascii"),
        host=_host(host or fields.get(b"host")),
        path=redact_url(printable(path)) if path else None,
        user_agent=_text(fields.get(b"user-agent")),
        credentials=user or authorization.startswith(b"basic") or proxy.startswith(b"basic"),
    )
    return Head(message, max(size, 0), False, cookie, _asks_for(path or b"", fields))


def _asks_for(path: bytes, fields: dict[bytes, bytes]) -> str | None:
    """The camera service that a request is for, by its path and the namespace of its action."""
    said = path.lower() + b" " + fields.get(b"soapaction", b"").lower()
    said += fields.get(b"content-type", b"").lower()
    if _SNAPSHOT.search(path):
        return "snapshot"
    return "onvif" if b"/onvif/" in said or b"www.onvif.org" in said else None


def _target(method: bytes, target: bytes) -> tuple[bytes | None, bytes | None, bool]:
    """(host, path without query, whether a user was named) of a request target."""
    if method == b"CONNECT":
        return target, None, False
    if b"://" not in target[:16]:
        return None, target.partition(b"?")[0], False
    authority, slash, rest = target.partition(b"://")[2].partition(b"/")
    user, at, host = authority.rpartition(b"@")
    return host, (slash + rest).partition(b"?")[0] or b"/", bool(at and user)


def _host(raw: bytes | None) -> str | None:
    if not raw:
        return None
    return printable(raw.lower().rpartition(b"@")[2], 255)


def _location(raw: bytes | None) -> str | None:
    """A redirect's target without query and without user."""
    if not raw:
        return None
    return redact_url(printable(raw.partition(b"?")[0]))


def _text(raw: bytes | None) -> str | None:
    return printable(raw) if raw else None
