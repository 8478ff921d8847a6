"""RTSP 1.0 and 2.0 messages (RFC 2326, 7826): bytes of one message in, typed values out.

`head_end` and `body_length` give the end of a message in a byte stream; `$` frames are not text and
not parsed here. Credentials are dropped while parsing: only the scheme of Authorization is kept,
and URLs lose their user and password.
"""

from __future__ import annotations

import re

import msgspec

from panotui.wire.redaction import redact, redact_url
from panotui.wire.text import printable

METHODS = (
    "OPTIONS",
    "DESCRIBE",
    "ANNOUNCE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "REDIRECT",
    "RECORD",
    "PLAY_NOTIFY",
)
DEFAULT_TIMEOUT_S = 60  # RFC 2326 12.37
HEAD_MAX = 32_768
BODY_MAX = 262_144
_LINES_MAX = 200

_START = re.compile(
    rb"(?:RTSP/[12]\.\d \d{3}|(?:" + "|".join(METHODS).encode() + rb") \S{1,2000} RTSP/[12]\.\d)"
)
_STARTS = (*(f"{method} ".encode() for method in METHODS), b"RTSP/1.", b"RTSP/2.")
_LONGEST_START = max(map(len, _STARTS))


def starts_message(raw: bytes | bytearray | memoryview) -> bool | None:
    """Whether these bytes begin an RTSP message; None: too few bytes to decide."""
    head = bytes(raw[:_LONGEST_START])
    if any(head.startswith(start) for start in _STARTS):
        return True
    return None if any(start.startswith(head) for start in _STARTS) else False


def find_message(raw: bytes | bytearray, start: int = 0) -> int:
    """Position of the next whole start line, -1 without one; for resynchronising after a hole."""
    found = _START.search(raw, start)
    return found.start() if found else -1


def head_end(raw: bytes | bytearray, start: int = 0) -> int:
    """Position after the empty line that ends the header, -1 if it is not there yet."""
    strict = raw.find(b"\n\r\n", start)
    loose = raw.find(b"\n\n", start)
    if strict >= 0 and (loose < 0 or strict < loose):
        return strict + 3
    return loose + 2 if loose >= 0 else -1


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """One request or response."""

    method: str | None  # None: a response
    url: str | None
    version: str
    status: int | None
    reason: str | None
    headers: dict[str, tuple[str, ...]]  # lower-case names; no credentials
    auth_sent: str | None = None  # scheme

    def one(self, name: str) -> str | None:
        values = self.headers.get(name)
        return values[0] if values else None

    @property
    def cseq(self) -> int | None:
        value = (self.one("cseq") or "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else None

    @property
    def body_length(self) -> int:
        """Bytes of the body; 0 if the header is absent or unreadable."""
        value = (self.one("content-length") or "").strip()
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else 0

    @property
    def describes(self) -> bool:
        """Whether the body is an SDP."""
        return "application/sdp" in (self.one("content-type") or "").lower()

    def session(self) -> tuple[str | None, int | None]:
        """Session id and timeout in seconds, each None if absent."""
        value = self.one("session")
        if not value:
            return None, None
        parts = [part.strip() for part in value.split(";")]
        timeout = None
        for part in parts[1:]:
            key, _, number = part.partition("=")
            if key.strip().lower() == "timeout" and number.strip().isdecimal():
                timeout = min(int(number.strip()[:6]), 86_400)
        return parts[0] or None, timeout

    def challenges(self) -> tuple[tuple[str, ...], bool]:
        """Schemes that WWW-Authenticate offers, with each Digest algorithm that is not its first
        ("Digest SHA-256"), and whether one is marked stale.
        """
        values = self.headers.get("www-authenticate", ())
        schemes: list[str] = []
        stale = False
        for value in values:
            scheme = value.split(None, 1)[0].rstrip(",") if value.split() else ""
            named = re.search(r'(?i)\balgorithm\s*=\s*"?([\w-]+)', value)
            if named and named[1].upper() not in ("MD5", "MD5-SESS"):
                scheme += f" {named[1].upper()[:24]}"
            if scheme and scheme not in schemes:
                schemes.append(scheme)
            stale |= bool(re.search(r'(?i)\bstale\s*=\s*"?true', value))
        return tuple(schemes), stale


_DROPPED = frozenset({"authorization", "proxy-authorization", "authentication-info", "cookie"})


def _start_words(line: str) -> list[str]:
    """The three words of a start line; a URL may contain spaces (unencoded passwords)."""
    if line.startswith("RTSP/"):
        return line.split(None, 2)
    method, _, rest = line.partition(" ")
    target, _, version = rest.strip().rpartition(" ")
    return [method, target.strip(), version] if target else [method]


def parse_head(raw: bytes) -> Text | None:
    """The start line and headers of a message (without its body); None if it is not RTSP."""
    lines = raw[:HEAD_MAX].decode("utf-8", "replace").splitlines()
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines:
        return None
    start = _start_words(lines[0].strip())
    method = url = reason = None
    status = None
    if start and start[0].startswith("RTSP/") and len(start) >= 2:
        version = start[0][5:]
        if not (start[1].isascii() and start[1].isdigit() and len(start[1]) == 3):
            return None
        status = int(start[1])
        reason = printable(start[2], 100) if len(start) > 2 else ""
    elif len(start) == 3 and start[0] in METHODS and start[2].startswith("RTSP/"):
        method, version = start[0], start[2][5:]
        url = printable(redact_url(start[1]), 500)
    else:
        return None
    headers, auth = _headers(lines[1:_LINES_MAX])
    return Text(
        method=method,
        url=url,
        version=printable(version, 8),
        status=status,
        reason=reason,
        headers=headers,
        auth_sent=auth,
    )


def parse_http_refusal(raw: bytes) -> Text | None:
    """An HTTP error response as if it were RTSP: a web server listens here."""
    lines = raw[:HEAD_MAX].decode("utf-8", "replace").splitlines()
    found = re.match(r"HTTP/1\.[01] ([345]\d\d)(?: (.*))?$", lines[0].strip()) if lines else None
    if found is None:
        return None
    headers, _ = _headers(lines[1:_LINES_MAX])
    return Text(
        method=None,
        url=None,
        version="HTTP",
        status=int(found[1]),
        reason=printable(found[2] or "", 100),
        headers=headers,
    )


def _headers(lines: list[str]) -> tuple[dict[str, tuple[str, ...]], str | None]:
    folded: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t") and folded:
            folded[-1] += " " + line.strip()
        elif line.strip():
            folded.append(line)
    headers: dict[str, tuple[str, ...]] = {}
    auth: str | None = None
    for line in folded:
        name, _, value = line.partition(":")
        name, value = name.strip().lower()[:64], value.strip()
        if name in _DROPPED:
            words = value.split(None, 1)
            if name == "authorization" and words:
                known = {"basic": "Basic", "digest": "Digest", "bearer": "Bearer"}
                auth = known.get(words[0].lower(), "other")
            continue
        known_values = headers.get(name, ())
        if len(known_values) < 8:
            headers[name] = (*known_values, printable(redact(value), 1000))
    return headers, auth


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """One alternative of a Transport header (RFC 2326 12.39, RFC 7826 18.54)."""

    protocol: str  # "RTP/AVP", "RTP/SAVP", "RTP/AVPF", ...
    tcp: bool
    multicast: bool
    client_port: tuple[int, int] | None = None
    server_port: tuple[int, int] | None = None
    port: tuple[int, int] | None = None
    interleaved: tuple[int, int] | None = None
    destination: str | None = None
    source: str | None = None
    ssrc: int | None = None
    ttl: int | None = None


def _pair(text: str, most: int) -> tuple[int, int] | None:
    first, _, second = text.partition("-")
    if not (first.isascii() and first.isdigit()) or len(first) > 5:
        return None
    low = int(first)
    high = int(second) if second.isascii() and second.isdigit() and len(second) <= 5 else low + 1
    return (low, high) if low <= most and high <= most + 1 else None


def _address(text: str) -> tuple[str | None, tuple[int, int] | None]:
    """`"192.0.2.5:3456"/"192.0.2.5:3457"` of RTSP 2.0: the host and its pair of ports."""
    hosts: list[str] = []
    ports: list[int] = []
    for part in text.split("/")[:2]:
        host, _, port = part.strip().strip('"').rpartition(":")
        if port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535:
            ports.append(int(port))
            hosts.append(host.strip("[]"))
    if not ports:
        return (text.strip('"') or None), None
    return (hosts[0] or None), (ports[0], ports[1] if len(ports) > 1 else ports[0] + 1)


def parse_transport(value: str) -> list[Transport]:
    """The alternatives of a Transport header, at most eight; unreadable fields are left out."""
    found = []
    # A comma separates alternatives, but not inside the quotes of RTSP 2.0 addresses.
    for alternative in re.split(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", value)[:8]:
        parts = [part.strip() for part in alternative.split(";")]
        words = parts[0].upper().split("/")
        if len(words) < 2 or words[0] != "RTP":
            continue
        fields: dict[str, str] = {}
        for part in parts[1:32]:
            key, _, text = part.partition("=")
            fields.setdefault(key.strip().lower(), text.strip())
        interleaved = _pair(fields.get("interleaved", ""), 255)
        destination, client_port = (
            fields.get("destination"),
            _pair(fields.get("client_port", ""), 65535),
        )
        source, server_port = fields.get("source"), _pair(fields.get("server_port", ""), 65535)
        if "dest_addr" in fields:
            host, ports = _address(fields["dest_addr"])
            destination, client_port = host or destination, ports or client_port
        if "src_addr" in fields:
            host, ports = _address(fields["src_addr"])
            source, server_port = host or source, ports or server_port
        ssrc = fields.get("ssrc", "").split("/")[0]
        ttl = fields.get("ttl", "")
        found.append(
            Transport(
                protocol="/".join(words[:2]),
                tcp="TCP" in words[2:] or interleaved is not None,
                multicast="multicast" in fields,
                client_port=client_port,
                server_port=server_port,
                port=_pair(fields.get("port", ""), 65535),
                interleaved=interleaved,
                destination=printable(destination, 64) if destination else None,
                source=printable(source, 64) if source else None,
                ssrc=int(ssrc, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,8}", ssrc) else None,
                ttl=int(ttl) if ttl.isascii() and ttl.isdigit() and len(ttl) <= 3 else None,
            )
        )
    return found
