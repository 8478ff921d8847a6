"""MQTT 3.1, 3.1.1 and 5 in cleartext: the first bytes of a connection in, `MqttMessage` out.

Only packets that show who connects and how the connection ends are read: CONNECT, CONNACK,
DISCONNECT. Passwords are never read; the message records that a user name was sent, not the name.
"""

from __future__ import annotations

from panotui.model import MqttMessage
from panotui.wire.origin import Malformed, Origin
from panotui.wire.text import printable

_NAMES = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")
CONNECT, CONNACK, DISCONNECT = 0x10, 0x20, 0xE0


def looks_like_connect(data: bytes) -> bool:
    """True when `data` starts with a CONNECT packet's fixed header and protocol name."""
    if len(data) < 10 or data[0] != CONNECT:
        return False
    length = _remaining(data)
    return length is not None and data.startswith(_NAMES, length[1])


def packet_size(data: bytes) -> int | None:
    """Bytes of the packet at the start of `data`, None if its length is incomplete."""
    length = _remaining(data)
    return None if length is None else length[0] + length[1]


def parse(data: bytes, origin: Origin, from_client: bool) -> MqttMessage | None:
    """One complete control packet; None for types that do not matter."""
    length = _remaining(data)
    if length is None:
        raise Malformed("MQTT length cut short")
    size, at = length
    body = data[at : at + size]
    if len(body) < size:
        raise Malformed("MQTT packet cut short")
    kind = data[0] & 0xF0
    if kind == CONNECT:
        return _connect(body, origin, from_client)
    if kind == CONNACK:
        if size < 2:
            raise Malformed("CONNACK cut short")
        return _message("connack", origin, from_client, return_code=body[1])
    if kind == DISCONNECT:
        return _message("disconnect", origin, from_client, return_code=body[0] if body else None)
    return None


def _connect(body: bytes, origin: Origin, from_client: bool) -> MqttMessage:
    name = next((name for name in _NAMES if body.startswith(name)), None)
    if name is None:
        raise Malformed("CONNECT without a known protocol name")
    at = len(name)
    if len(body) < at + 4:
        raise Malformed("CONNECT cut short")
    level, flags = body[at], body[at + 1]
    keep_alive = int.from_bytes(body[at + 2 : at + 4], "big")
    at += 4
    if level >= 5:
        properties = _varint(body, at)
        if properties is None:
            raise Malformed("CONNECT properties cut short")
        at = properties[1] + properties[0]
    if at + 2 > len(body):
        raise Malformed("CONNECT without a client id")
    size = int.from_bytes(body[at : at + 2], "big")
    if at + 2 + size > len(body):
        raise Malformed("CONNECT client id cut short")
    return _message(
        "connect",
        origin,
        from_client,
        client_id=printable(body[at + 2 : at + 2 + size]),
        keep_alive_s=keep_alive,
        username=bool(flags & 0x80),
    )


def _remaining(data: bytes) -> tuple[int, int] | None:
    """(remaining length, bytes of fixed header); None if truncated."""
    return _varint(data, 1)


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for index in range(4):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise Malformed("MQTT length of more than four bytes")


def _message(
    kind: str,
    origin: Origin,
    from_client: bool,
    *,
    client_id: str | None = None,
    keep_alive_s: int | None = None,
    return_code: int | None = None,
    username: bool = False,
) -> MqttMessage:
    return MqttMessage(
        time_ns=origin.time_ns,
        packet=origin.packet,
        interface=origin.interface,
        flow=origin.flow,
        from_client=from_client,
        type=kind,
        client_id=client_id,
        keep_alive_s=keep_alive_s,
        return_code=return_code,
        username=username,
    )
