"""Does a camera answer RTSP, and does it describe its stream? OPTIONS and DESCRIBE, no SETUP.

Basic and Digest (RFC 7616, MD5 and SHA-256, `qop=auth` or none) with credentials that the caller
got from the environment; they are never part of a result.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import time
from base64 import b64encode
from urllib.parse import urlsplit

from panotui.probes.result import ProbeResult

ANSWER_MAX = 65_536
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class _Failed(Exception):
    def __init__(self, text: str, action: str) -> None:
        super().__init__(text)
        self.text = text
        self.action = action


def rtsp(
    url: str, user: str | None = None, password: str | None = None, timeout_s: float = 4.0
) -> ProbeResult:
    """What the camera at `url` (without credentials) says."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 554
    clean = f"rtsp://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout_s) as peer:
            peer.settimeout(timeout_s)
            talk = _Talk(peer, clean)
            talk.ask("OPTIONS")
            status, headers, body = talk.ask("DESCRIBE", "Accept: application/sdp\r\n")
            if status == 401 and user is not None:
                challenge = headers.get("www-authenticate", "")
                proof = _authorization(challenge, "DESCRIBE", clean, user, password or "")
                status, headers, body = talk.ask(
                    "DESCRIBE", f"Accept: application/sdp\r\nAuthorization: {proof}\r\n"
                )
            ms = (time.monotonic() - began) * 1000
            return _judged(clean, status, headers, body, ms, user is not None)
    except _Failed as error:
        return _failed(clean, error.text, error.action)
    except TimeoutError:
        return _failed(clean, f"no answer within {timeout_s:g} s", "Is it on, and on this VLAN?")
    except ConnectionRefusedError:
        return _failed(clean, "refused", "Turn RTSP on in the camera; check its port.")
    except OSError as error:
        return _failed(clean, error.strerror or str(error), "Check the route to the camera.")


class _Talk:
    def __init__(self, peer: socket.socket, url: str) -> None:
        self._peer = peer
        self._url = url
        self._number = 0
        self._rest = b""

    def ask(self, method: str, headers: str = "") -> tuple[int, dict[str, str], str]:
        self._number += 1
        request = f"{method} {self._url} RTSP/1.0\r\nCSeq: {self._number}\r\n{headers}\r\n"
        self._peer.sendall(request.encode("utf-8", "replace"))
        data = self._rest
        while b"\r\n\r\n" not in data:
            data += self._more(data)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "replace").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("RTSP/") or not words[1].isdigit():
            raise _Failed("what answers is not RTSP", "Check the port in the URL.")
        fields = {
            name.strip().lower(): value.strip()
            for name, colon, value in (line.partition(":") for line in lines[1:])
            if colon
        }
        length = fields.get("content-length", "0")
        wanted = min(int(length), ANSWER_MAX) if length.isdigit() else 0
        while len(body) < wanted:
            body += self._more(body)
        self._rest = body[wanted:]
        return int(words[1]), fields, body[:wanted].decode("utf-8", "replace")

    def _more(self, have: bytes) -> bytes:
        if len(have) > ANSWER_MAX:
            raise _Failed("the answer never ends", "Look at what listens there.")
        chunk = self._peer.recv(4096)
        if not chunk:
            raise _Failed("it closed the connection", "It may have too many sessions; try later.")
        return chunk


def _authorization(challenge: str, method: str, url: str, user: str, password: str) -> str:
    if challenge.lower().startswith("basic"):
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    given = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(challenge)}
    name = given.get("algorithm", "MD5").upper()
    make = hashlib.sha256 if name == "SHA-256" else hashlib.md5  # the camera's choice, RFC 7616

    def digest(text: str) -> str:
        return make(text.encode()).hexdigest()

    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    first = digest(f"{user}:{realm}:{password}")
    second = digest(f"{method}:{url}")
    fields = [f'username="{user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{url}"']
    if "auth" in given.get("qop", "").split(","):
        client = secrets.token_hex(8)
        proof = digest(f"{first}:{nonce}:00000001:{client}:auth:{second}")
        fields += ["qop=auth", "nc=00000001", f'cnonce="{client}"']
    else:
        proof = digest(f"{first}:{nonce}:{second}")
    fields.append(f'response="{proof}"')
    if "algorithm" in given:
        fields.append(f"algorithm={given['algorithm']}")
    return "Digest " + ", ".join(fields)


def _judged(
    url: str, status: int, headers: dict[str, str], body: str, ms: float, with_password: bool
) -> ProbeResult:
    if status == 401:
        if with_password:
            return _failed(url, "401: it refuses the password", "Correct the password.")
        text = "it answers and asks for a password"
        action = "Set PANOTUI_RTSP_USER and PANOTUI_RTSP_PASSWORD to look further."
        return ProbeResult(kind="rtsp", target=url, ok=True, text=text, action=action, ms=ms)
    if status != 200:
        action = {
            404: "Correct the path in the URL.",
            454: "Correct the path in the URL.",
            453: "Too many readers: close some, or raise the camera's limit.",
            503: "Too many readers: close some, or raise the camera's limit.",
        }.get(status, "Look at the camera's settings.")
        return _failed(url, f"DESCRIBE is answered with {status}", action)
    codecs = re.findall(r"^a=rtpmap:\d+ ([A-Za-z0-9.-]+)/", body, re.MULTILINE)
    video = [c for c in codecs if c.upper() in ("H264", "H265", "JPEG", "MP4V-ES")]
    server = headers.get("server", "")[:80]
    detail = (server,) if server else ()
    if video and video[0].upper() != "H264":
        text = f"its video is {video[0]}; the appliance reads H.264 only"
        return ProbeResult(
            kind="rtsp", target=url, ok=False, text=text, action="Set the camera to H.264.",
            ms=ms, detail=detail,
        )  # fmt: skip
    text = ", ".join(dict.fromkeys(codecs)) or "describes a stream"
    return ProbeResult(kind="rtsp", target=url, ok=True, text=text, ms=ms, detail=detail)


def _failed(url: str, text: str, action: str) -> ProbeResult:
    return ProbeResult(kind="rtsp", target=url, ok=False, text=text, action=action)
