"""Changes of links and addresses, as the kernel tells them by route netlink (rtnetlink(7)).

Bytes of a socket in, which interface changed out. Only that is read of a message: what the
interface is now, `sources.link` looks up. Libraries for netlink take 15 MB to say the same.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
_HEADER = struct.Struct("=IHHII")  # length with the header, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, which of them changed
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # length with this, type
_NEW_LINK, _DEL_LINK, _NEW_ADDRESS, _DEL_ADDRESS = 16, 17, 20, 21
_IFNAME = 3
_GROUPS = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses
_DATAGRAM = 1 << 16


class Change(NamedTuple):
    """An interface that changed: its index, its name where the message has it, whether it went."""

    number: int
    name: str | None
    gone: bool


def changes(raw: bytes) -> list[Change]:
    """The changes in one datagram; what is no such message, or is cut short, is passed over."""
    out: list[Change] = []
    at = 0
    while at + _HEADER.size <= len(raw):
        size, kind, _, _, _ = _HEADER.unpack_from(raw, at)
        if size < _HEADER.size or at + size > len(raw):
            break
        change = _change(kind, raw[at + _HEADER.size : at + size])
        if change is not None:
            out.append(change)
        at += size + 3 & ~3
    return out


def _change(kind: int, body: bytes) -> Change | None:
    if kind in (_NEW_LINK, _DEL_LINK) and len(body) >= _LINK.size:
        index = _LINK.unpack_from(body)[2]
        return Change(index, _name(body[_LINK.size :]), kind == _DEL_LINK)
    if kind in (_NEW_ADDRESS, _DEL_ADDRESS) and len(body) >= _ADDRESS.size:
        return Change(_ADDRESS.unpack_from(body)[4], None, False)
    return None


def _name(attributes: bytes) -> str | None:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        size, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if size < _ATTRIBUTE.size or at + size > len(attributes):
            return None
        if kind == _IFNAME:
            raw = attributes[at + _ATTRIBUTE.size : at + size]
            return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        at += size + 3 & ~3
    return None


class RouteEvents:
    """A socket that hears of links and addresses and is never waited for. OSError where there is
    no netlink."""

    def __init__(self) -> None:
        family = getattr(socket, "AF_NETLINK", None)
        if family is None:
            raise OSError("no netlink here")
        self._socket = socket.socket(family, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, _GROUPS))
        except BaseException:
            self._socket.close()
            raise

    def get(self) -> list[Change]:
        """The changes of the next datagram. BlockingIOError when there is none, another OSError
        when the kernel had more news than the socket could hold."""
        return changes(self._socket.recv(_DATAGRAM))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
