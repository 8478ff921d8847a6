"""Recognises protocols by their first bytes, and parses greetings of servers.

In: the first bytes of a TCP direction and the server's port. Out: an `APPS` name, and for SSH,
Telnet, FTP, SMTP, SMB and RDP a `BannerMessage`. Signatures of protocols with parsers of their own
(TLS, HTTP, RTSP, MQTT) are here too, so that one place defines the order in which they are tried.
"""

from __future__ import annotations

import re
from itertools import islice

from panotui.model import BannerMessage
from panotui.wire import http, mqtt
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

RTSP_METHODS = (
    b"OPTIONS ",
    b"DESCRIBE ",
    b"ANNOUNCE ",
    b"SETUP ",
    b"PLAY ",
    b"PAUSE ",
    b"TEARDOWN ",
    b"GET_PARAMETER ",
    b"SET_PARAMETER ",
    b"REDIRECT ",
    b"RECORD ",
)
_RTSP_START = re.compile(rb"(?:[A-Z_]{4,16} \S{1,2048} RTSP/[12]\.0|RTSP/[12]\.0 \d{3})")
_RTSP_URL = re.compile(rb"[A-Z_]{4,16} rtsps?://", re.IGNORECASE)
_TEXT_STARTS = (*http.METHODS, *RTSP_METHODS, b"HTTP/1.", b"RTSP/1.0 ", b"RTSP/2.0 ", b"SSH-")
_REPLY = re.compile(rb"[1-5]\d\d[ -]")
_MAIL_PORTS = frozenset((25, 465, 587, 2525))
_FILE_PORTS = frozenset((21, 2121))
_MAIL_COMMANDS = (b"EHLO ", b"HELO ", b"MAIL FROM:", b"AUTH ")
_FILE_COMMANDS = (b"USER ", b"PASS ", b"AUTH TLS", b"AUTH SSL")
# first characters of a text that is recognised; for mail also in lower case
WORDS = (*_TEXT_STARTS, *_MAIL_COMMANDS, *_FILE_COMMANDS)
_RTSP_FRAME_CHANNELS = 64
_RTSP_FRAME = re.compile(rb"(?=\$[\x00-\x3f]..[\x80-\xbf])", re.DOTALL)  # its channel and version
_SEARCHED = 2048
UNDECIDED = "?"


def recognise(data: bytes, server_port: int, from_client: bool) -> str | None:
    """The `APPS` name that `data` (from the first byte of a direction) looks like.

    `UNDECIDED` if more bytes are needed to decide; None if it is no known protocol.
    """
    if not data:
        return UNDECIDED
    first = data[0]
    if first in (0x14, 0x15, 0x16, 0x17):
        tls = _tls(data)
        if tls is not None:
            return tls
    if first & 0x80 and _is_sslv2_hello(data):
        return "tls"
    if first == mqtt.CONNECT:
        try:
            if mqtt.looks_like_connect(data):
                return "mqtt"
        except Malformed:
            pass
    if first == 0x24 and is_interleaved(data):
        return "rtsp"
    if 0x41 <= first <= 0x5A:
        return _text(data, server_port, from_client)
    if 0x31 <= first <= 0x35 and _REPLY.match(data):
        return _greeting(data, server_port, from_client)
    if first == 0xFF and len(data) >= 3 and 0xFB <= data[1] <= 0xFE:
        return "telnet"
    if first == 0 and data[4:8] in (b"\xffSMB", b"\xfeSMB", b"\xfdSMB"):
        return "smb"
    if first == 3 and len(data) >= 7 and data[1] == 0 and data[5] in (0xE0, 0xD0):
        # others share the transport (S7, H.323): the port, the cookie or the negotiation decides
        negotiates = data[11:15] in (b"\x01\x00\x08\x00", b"\x02\x1f\x08\x00")
        return "rdp" if server_port == 3389 or negotiates or b"mstshash=" in data else None
    return None


def is_client_hello(data: bytes) -> bool:
    """True when `data` starts with a TLS record that starts with a ClientHello."""
    return len(data) >= 6 and data[0] == 0x16 and data[1] == 3 and data[2] <= 4 and data[5] == 1


def is_rtsp_start(data: bytes) -> bool:
    """True when `data` starts with an RTSP request or status line."""
    return _RTSP_START.match(data[:4096]) is not None


def is_interleaved(data: bytes) -> bool:
    """True when `data` starts with a `$` frame (RFC 2326 10.12) that carries RTP or RTCP.

    The channel is small, the payload has version 2, and where the frame ends inside `data`, another
    frame or RTSP text follows.
    """
    if len(data) < 5:
        return False
    size = data[2] << 8 | data[3]
    if data[0] != 0x24 or data[1] >= _RTSP_FRAME_CHANNELS or size < 4 or data[4] >> 6 != 2:
        return False
    after = data[4 + size :]
    if not after:
        return True
    if after[0] == 0x24:
        return len(after) < 2 or after[1] < _RTSP_FRAME_CHANNELS
    return after.startswith((b"RTSP/", b"\r\n")) or is_rtsp_start(after)


def holds_interleaved(data: bytes) -> bool:
    """True when a chain of two `$` frames (or a frame and RTSP text) begins inside `data`.

    For connections first seen in their middle: the start of a segment is then the rest of a frame.
    """
    for found in islice(_RTSP_FRAME.finditer(data, 0, _SEARCHED + 4), 16):
        at = found.start()
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 + size < len(data) and is_interleaved(data[at:]):
            return True
    return False


def parse(app: str, data: bytes, origin: Origin, from_client: bool) -> BannerMessage:
    """The first line (or its equivalent in a binary protocol) as a `BannerMessage`."""
    text = ""
    credentials = False
    if app in ("ssh", "ftp", "smtp"):
        line = data.split(b"\n", 1)[0].strip()
        word = line[:5].upper()
        if word.startswith((b"USER ", b"PASS ", b"AUTH ")):
            # the command is kept, its argument is not
            credentials = word != b"AUTH " or line[5:8].upper() not in (b"TLS", b"SSL")
            line = line[:4]
        text = printable(line)
    elif app == "telnet":
        words = re.sub(rb"\xff[\xfb-\xfe].|\xff[\xf0-\xfa]", b"", data[:512], flags=re.DOTALL)
        text = printable(words.strip())
    elif app == "smb":
        text = {0xFF: "SMB 1", 0xFE: "SMB 2 or 3", 0xFD: "SMB 3 encrypted"}.get(data[4], "SMB")
    elif app == "rdp":
        text = "connection request" if data[5] == 0xE0 else "connection confirm"
    elif app == "socks":
        text = "connects"
    return BannerMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        app=app,
        text=text,
        from_client=from_client,
        credentials=credentials,
    )


def socks_version(asked: bytes, answer: bytes) -> int:
    """The version in which a SOCKS proxy takes a client (RFC 1928, or SOCKS 4), by the first bytes
    of both; 0: it is none, or it does not.
    """
    if len(answer) < 2 or len(asked) < 3:
        return 0
    if asked[0] == answer[0] == 5 and len(asked) >= 2 + asked[1]:
        return 5 if answer[1] in asked[2 : 2 + asked[1]] else 0
    connects = asked[:2] == b"\x04\x01" and len(asked) >= 9
    return 4 if connects and answer[:2] == b"\x00\x5a" else 0


def gives_credentials(data: bytes) -> bool:
    """True if a text line sends a user, a password or an authentication in cleartext."""
    word = data[:9].upper()
    return word.startswith((b"USER ", b"PASS ", b"AUTH PLA", b"AUTH LOG"))


def _tls(data: bytes) -> str | None:
    """TLS record header: type, version 3.0 to 3.4, plausible length, and a sensible beginning."""
    if len(data) < 6:
        plausible = len(data) < 2 or (data[1] == 3 and (len(data) < 3 or data[2] <= 4))
        return UNDECIDED if plausible else None
    kind, size = data[0], data[3] << 8 | data[4]
    if data[1] != 3 or data[2] > 4 or not 0 < size <= 16_384 + 2048:
        return None
    if kind == 0x16:
        # a clear handshake type, or (mid-stream) an encrypted Finished of 1.2
        return "tls" if data[5] in (0, 1, 2, 4, 11, 12, 13, 14, 15, 16, 20) or size < 512 else None
    if kind == 0x14:
        return "tls" if size == 1 else None
    if kind == 0x15:
        return "tls" if size == 2 or 16 <= size <= 64 else None
    return "tls"


def _is_sslv2_hello(data: bytes) -> bool:
    """An SSL 2.0 ClientHello that offers SSL 3.0 or TLS (RFC 5246 E.2)."""
    return len(data) >= 11 and data[2] == 1 and data[3] == 3 and data[4] <= 3 and data[5] == 0


def _text(data: bytes, server_port: int, from_client: bool) -> str | None:
    if data.startswith(b"SSH-"):
        return "ssh"
    if data.startswith(b"HTTP/1."):
        return "http"
    if data.startswith((b"RTSP/1.0 ", b"RTSP/2.0 ")):
        return "rtsp"
    if data.startswith(http.METHODS) or data.startswith(RTSP_METHODS):
        return _request(data)
    if from_client:
        if data.startswith(_FILE_COMMANDS) and server_port in _FILE_PORTS:
            return "ftp"
        if data[:10].upper().startswith(_MAIL_COMMANDS):
            return "smtp"
    if len(data) < 14 and any(start.startswith(data) for start in _TEXT_STARTS):
        return UNDECIDED
    return None


def _request(data: bytes) -> str | None:
    """HTTP or RTSP by the request's URL or the end of its line (both have the method OPTIONS)."""
    if _RTSP_URL.match(data):
        return "rtsp"
    line, end, _ = data[:8192].partition(b"\n")
    line = line.rstrip(b"\r")
    if not end:
        if len(data) >= 8192:
            return None
        word = line[:-1].rpartition(b" ")[2]
        return UNDECIDED if word.isascii() else None
    if line.endswith((b" RTSP/1.0", b" RTSP/2.0")):
        return "rtsp"
    return "http" if line.endswith((b" HTTP/1.1", b" HTTP/1.0")) else None


def _greeting(data: bytes, server_port: int, from_client: bool) -> str | None:
    """`220 ...` from a server: FTP or SMTP, by its words and then by its port."""
    line = data.split(b"\n", 1)[0].upper()
    if b"SMTP" in line or server_port in _MAIL_PORTS:
        return "smtp"
    if b"FTP" in line or server_port == 21:
        return "ftp"
    return None
