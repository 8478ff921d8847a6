"""Checks whether a camera answers RTSP and describes its stream: OPTIONS and DESCRIBE, no SETUP.

Basic and Digest (RFC 7616, MD5 and SHA-256, `qop=auth` or none) with credentials that the caller
got from the environment or a keyring; they are never part of a result. Redirects are reported, not
followed: credentials go only to the camera that the site file names.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import time
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlsplit

from panotui.probes.result import ProbeResult
from panotui.wire import rtsp as messages
from panotui.wire import sdp
from panotui.wire.redaction import redact_url

ANSWER_MAX = 65_536
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}  # the camera's choice, RFC 7616
_PORTS = {"rtsp": 554, "rtsps": 322}


class _Failed(Exception):
    def __init__(self, text: str, action: str) -> None:
        super().__init__(text)
        self.text = text
        self.action = action


def rtsp(
    url: str,
    user: str | None = None,
    password: str | None = None,
    timeout_s: float = 4.0,
    address: str | None = None,
) -> ProbeResult:
    """The answer of the camera at `url`; `address` is where to connect if it is not the URL's host.

    Takes at most `timeout_s` in all, however slowly data arrives.
    """
    began = time.monotonic()
    try:
        host, port, clean = _parts(url)
        end = began + timeout_s
        with socket.create_connection((address or host, port), timeout_s) as peer:
            talk = _Talk(peer, clean, end)
            talk.ask("OPTIONS")
            head, body = talk.ask("DESCRIBE", "Accept: application/sdp\r\n")
            if head.status == 401 and user is not None:
                offered = head.headers.get("www-authenticate", ())
                proof = authorization(offered, "DESCRIBE", clean, user, password or "")
                head, body = talk.ask(
                    "DESCRIBE", f"Accept: application/sdp\r\nAuthorization: {proof}\r\n"
                )
            ms = (time.monotonic() - began) * 1000
            return _judged(clean, head, body, ms, user is not None)
    except _Failed as error:
        return _failed(redact_url(url), error.text, error.action)
    except TimeoutError:
        return _failed(clean, f"no answer within {timeout_s:g} s", "Is it on, and on this VLAN?")
    except ConnectionRefusedError:
        return _failed(clean, "refused", "Turn RTSP on in the camera; check its port.")
    except OSError as error:
        return _failed(clean, error.strerror or str(error), "Check the route to the camera.")


def _parts(url: str) -> tuple[str, int, str]:
    """(host, port, the URL without credentials)."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        raise _Failed("its URL cannot be read", "Correct the URL in the site file.") from None
    if scheme == "rtsps":
        raise _Failed("RTSP over TLS is not tried", "Check it from the camera's own page.")
    if scheme != "rtsp" or not host or not url.isprintable() or " " in url:
        raise _Failed("its URL is no rtsp:// URL", "Correct the URL in the site file.")
    shown = f"[{host}]" if ":" in host else host
    query = f"?{parts.query}" if parts.query else ""
    clean = f"rtsp://{shown}{f':{port}' if port else ''}{parts.path}{query}"
    return host, port or _PORTS[scheme], clean


class _Talk:
    def __init__(self, peer: socket.socket, url: str, end: float) -> None:
        self._peer = peer
        self._url = url
        self._end = end
        self._number = 0
        self._rest = b""

    def ask(self, method: str, headers: str = "") -> tuple[messages.Text, bytes]:
        """(head, body) of the answer to one request. `_Failed` if it is not RTSP."""
        self._number += 1
        request = (
            f"{method} {self._url} RTSP/1.0\r\nCSeq: {self._number}\r\n"
            f"User-Agent: panotui-check\r\n{headers}\r\n"
        )
        self._peer.settimeout(self._left())
        self._peer.sendall(request.encode("utf-8", "replace"))
        data = self._rest
        while (end := messages.head_end(data)) < 0:
            if len(data) >= 8 and messages.starts_message(data) is False:
                raise _Failed("what answers is not RTSP", "Check the port in the URL.")
            data += self._more(data)
        head = messages.parse_head(data[:end])
        if head is None or head.status is None:
            raise _Failed("what answers is not RTSP", "Check the port in the URL.")
        body = data[end:]
        wanted = min(head.body_length, ANSWER_MAX)
        while len(body) < wanted:
            body += self._more(body)
        self._rest = body[wanted:]
        return head, body[:wanted]

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _more(self, have: bytes) -> bytes:
        if len(have) > ANSWER_MAX:
            raise _Failed("the answer never ends", "Look at what listens there.")
        self._peer.settimeout(self._left())
        chunk = self._peer.recv(4096)
        if not chunk:
            raise _Failed("it closed the connection", "It may have too many sessions; try later.")
        return chunk


def authorization(offered: Sequence[str], method: str, url: str, user: str, password: str) -> str:
    """The value of an Authorization header for the strongest of the challenges.

    Digest with SHA-256, then with MD5, then Basic. `_Failed` for others.
    """
    digests: dict[str, dict[str, str]] = {}
    basic = False
    for challenge in offered:
        scheme, _, rest = challenge.strip().partition(" ")
        if scheme.lower() == "basic":
            basic = True
        elif scheme.lower() == "digest":
            given = {n.lower(): quoted or bare for n, quoted, bare in _PARAMETER.findall(rest)}
            digests.setdefault(given.get("algorithm", "MD5").upper(), given)
    for name in ("SHA-256", "MD5"):
        if name in digests:
            return _digest(digests[name], name, method, url, user, password)
    if basic:
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    raise _Failed(
        "it asks for an authentication that this tool does not know",
        "Set the camera to Digest authentication.",
    )


def _digest(
    given: dict[str, str], algorithm: str, method: str, url: str, user: str, password: str
) -> str:
    make = _HASHES[algorithm]

    def digest(text: str) -> str:
        return make(text.encode()).hexdigest()

    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    first = digest(f"{user}:{realm}:{password}")
    second = digest(f"{method}:{url}")
    quoted = user.replace("\\", "\\\\").replace('"', '\\"')
    fields = [f'username="{quoted}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{url}"']
    if "auth" in [word.strip() for word in given.get("qop", "").split(",")]:
        client = secrets.token_hex(8)
        proof = digest(f"{first}:{nonce}:00000001:{client}:auth:{second}")
        fields += ["qop=auth", "nc=00000001", f'cnonce="{client}"']
    else:
        proof = digest(f"{first}:{nonce}:{second}")
    fields.append(f'response="{proof}"')
    if "opaque" in given:
        fields.append(f'opaque="{given["opaque"]}"')
    if "algorithm" in given:
        fields.append(f"algorithm={algorithm}")
    return "Digest " + ", ".join(fields)


def _judged(
    url: str, head: messages.Text, body: bytes, ms: float, with_password: bool
) -> ProbeResult:
    shown = redact_url(url)
    server = (head.one("server") or "")[:80]
    detail = (server,) if server else ()
    if head.status == 401:
        if with_password:
            return _failed(shown, "401: it refuses the password", "Correct the password.")
        text = "it answers and asks for a password"
        action = "Set PANOTUI_RTSP_USER and PANOTUI_RTSP_PASSWORD to look further."
        return ProbeResult(
            kind="rtsp", target=shown, ok=True, text=text, action=action, ms=ms, detail=detail
        )
    if head.status in (301, 302, 303, 305, 307):
        where = (head.one("location") or "elsewhere")[:120]
        return _failed(shown, f"it sends its readers to {where}", "Put that URL in the site file.")
    if head.status != 200:
        action = {
            403: "Allow this address in the camera's access list.",
            404: "Correct the path in the URL.",
            454: "Correct the path in the URL.",
            453: "Too many readers: close some, or raise the camera's limit.",
            503: "Too many readers: close some, or raise the camera's limit.",
        }.get(head.status or 0, "Look at the camera's settings.")
        reason = f" ({head.reason})" if head.reason else ""
        return _failed(shown, f"DESCRIBE is answered with {head.status}{reason}", action)
    return _described(shown, head.one("content-base") or url, body, ms, detail)


def _described(url: str, base: str, body: bytes, ms: float, detail: tuple[str, ...]) -> ProbeResult:
    tracks = [media.track() for media in sdp.parse(body, base).media]
    codecs = [t.codec or "unknown" for t in tracks]
    video = [t for t in tracks if t.media == "video"]
    for track in video[:1]:
        if track.width and track.height:
            detail = (*detail, f"{track.width}x{track.height}")
        if track.framerate:
            detail = (*detail, f"{track.framerate:g} frames/s")
    if video and not any((t.codec or "").upper() == "H264" for t in video):
        return ProbeResult(
            kind="rtsp",
            target=url,
            ok=False,
            text=f"its video is {video[0].codec or 'unknown'}; the appliance reads H.264 only",
            action="Set the camera to H.264.",
            ms=ms,
            detail=detail,
        )
    if not video:
        return ProbeResult(
            kind="rtsp",
            target=url,
            ok=False,
            text="it describes no video",
            action="Correct the path in the URL: this one is another track.",
            ms=ms,
            detail=detail,
        )
    return ProbeResult(
        kind="rtsp", target=url, ok=True, text=", ".join(dict.fromkeys(codecs)), ms=ms,
        detail=detail,
    )  # fmt: skip


def _failed(url: str, text: str, action: str) -> ProbeResult:
    return ProbeResult(kind="rtsp", target=url, ok=False, text=text, action=action)
