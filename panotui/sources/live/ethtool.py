"""A driver's own statistics, read by the ethtool ioctl (linux/ethtool.h) without privilege."""

from __future__ import annotations

import array
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946
GET_STRINGS, GET_STATISTICS, GET_STRING_SET_INFO = 0x1B, 0x1D, 0x37
STATISTICS_SET = 1
STRING_BYTES = 32
COUNT_MAX = 8_192


def statistics(interface: str) -> dict[str, int]:
    """Name and value of each counter of the driver; empty if it has none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            count = _count(control, interface)
            if not 0 < count <= COUNT_MAX:
                return {}
            names = _call(
                control,
                interface,
                struct.pack("=III", GET_STRINGS, STATISTICS_SET, count)
                + bytes(count * STRING_BYTES),
            )[12:]
            values = _call(
                control,
                interface,
                struct.pack("=II", GET_STATISTICS, count) + bytes(count * 8),
            )[8:]
    except OSError:
        return {}
    found: dict[str, int] = {}
    for at in range(count):
        raw = names[at * STRING_BYTES : (at + 1) * STRING_BYTES].split(b"\0")[0]
        (value,) = struct.unpack_from("=Q", values, at * 8)
        found[raw.decode("ascii", "replace").strip()] = value
    return found


def _count(control: socket.socket, interface: str) -> int:
    answer = _call(
        control,
        interface,
        struct.pack("=IIQI", GET_STRING_SET_INFO, 0, 1 << STATISTICS_SET, 0),
    )
    mask, count = struct.unpack_from("=QI", answer, 8)
    return int(count) if mask else 0


def _call(control: socket.socket, interface: str, command: bytes) -> bytes:
    buffer = array.array("B", command)
    address, _ = buffer.buffer_info()
    request = struct.pack("@16sP", interface.encode()[:15], address).ljust(40, b"\0")
    fcntl.ioctl(control.fileno(), SIOCETHTOOL, request)
    return buffer.tobytes()
