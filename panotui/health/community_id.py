"""Community ID v1 of a flow: the name under which Zeek, Suricata and Wireshark know it.

Bytes of a five-tuple in, text out. Source: github.com/corelight/community-id-spec (version 1).
"""

from __future__ import annotations

import base64
import hashlib
import struct

# ICMP type -> the type of its answer; both count as one flow (spec: ICMP mapping)
_ICMP4 = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 10: 9, 9: 10, 17: 18, 18: 17}
_ICMP6 = {128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135,
          139: 140, 140: 139, 144: 145, 145: 144}  # fmt: skip
_WITH_PORTS = (6, 17, 132)


def community_id(
    protocol: int, src: bytes, dst: bytes, version: int, sport: int, dport: int, seed: int = 0
) -> str:
    """`1:...` of a five-tuple. `src` and `dst` hold 16 bytes (IPv4 in the first four); for ICMP
    `sport` is the type and `dport` the code."""
    size = 4 if version == 4 else 16
    a, b = src[:size], dst[:size]
    ports: tuple[int, int] | None = None
    one_way = False
    if protocol in _WITH_PORTS:
        ports = (sport, dport)
    elif protocol in (1, 58):
        answer = (_ICMP4 if protocol == 1 else _ICMP6).get(sport)
        ports = (sport, answer if answer is not None else dport)
        one_way = answer is None
    if ports is None:
        first, second, ports = min(a, b), max(a, b), None
    elif one_way or (a, ports[0]) < (b, ports[1]):
        first, second = a, b
    else:
        first, second, ports = b, a, (ports[1], ports[0])
    data = struct.pack("!H", seed) + first + second + bytes((protocol, 0))
    if ports is not None:
        data += struct.pack("!HH", *ports)
    return "1:" + base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()
