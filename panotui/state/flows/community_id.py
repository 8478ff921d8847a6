"""Community ID v1 of a flow: the id used by Zeek, Suricata and Wireshark.

Columns of five-tuples in, texts out. Source: github.com/corelight/community-id-spec (version 1).
"""

from __future__ import annotations

import hashlib

import numpy as np

from panotui.model import I16, U8, U16
from panotui.state.flows import column_text
from panotui.wire.protocols import ICMP6_ANSWERS, ICMP_ANSWERS, SCTP, TCP, UDP

_WITH_PORTS = (TCP, UDP, SCTP)

_SHA1_BYTES = 20
_NO_ANSWER = -1


def _answers(table: dict[int, int]) -> I16:
    out = np.full(1 << 16, _NO_ANSWER, np.int16)
    for asked, answered in table.items():
        out[asked] = answered
    return out


_ANSWER4, _ANSWER6 = _answers(ICMP_ANSWERS), _answers(ICMP6_ANSWERS)


def community_ids(protocol: U8, src: U8, dst: U8, version: U8, sport: U16, dport: U16) -> list[str]:
    """`1:...` of five-tuples, (n,) columns and (n, 16) addresses (IPv4 in the first four bytes);
    for ICMP `sport` is the type and `dport` the code. The seed is 0."""
    four = version == 4
    a, b = _halves(src, four), _halves(dst, four)
    with_ports = np.isin(protocol, _WITH_PORTS)
    first_port, second_port = sport.astype(np.int64), dport.astype(np.int64)
    one_way = np.zeros(len(protocol), np.bool_)
    for number, table in ((1, _ANSWER4), (58, _ANSWER6)):
        at = np.flatnonzero(protocol == number)
        if len(at):
            answer = table[first_port[at]]
            one_way[at] = answer == _NO_ANSWER
            second_port[at] = np.where(answer == _NO_ANSWER, second_port[at], answer)
            with_ports[at] = True
    same = (a == b).all(axis=1)
    above = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    turned = above | (same & with_ports & (first_port >= second_port))
    turned &= ~one_way
    size = np.where(four, 4, 16)
    digests: list[bytes] = [b""] * len(protocol)
    first, second = np.where(turned[:, None], dst, src), np.where(turned[:, None], src, dst)
    low, high = np.where(turned, second_port, first_port), np.where(turned, first_port, second_port)
    for width in (4, 16):
        at = np.flatnonzero(size == width)
        if not len(at):
            continue
        data = np.zeros((len(at), 8 + 2 * width), np.uint8)  # two bytes of seed first
        data[:, 2 : 2 + width] = first[at, :width]
        data[:, 2 + width : 2 + 2 * width] = second[at, :width]
        data[:, 2 + 2 * width] = protocol[at]
        data[:, -4], data[:, -3] = low[at] >> 8, low[at] & 255
        data[:, -2], data[:, -1] = high[at] >> 8, high[at] & 255
        raw, step = data.tobytes(), data.shape[1]
        ends = np.arange(len(at)) * step + np.where(with_ports[at], step, step - 4)
        for place, start, end in zip(
            at.tolist(), range(0, len(raw), step), ends.tolist(), strict=True
        ):
            digests[place] = hashlib.sha1(raw[start:end], usedforsecurity=False).digest()
    digest = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _SHA1_BYTES)
    matrix = np.empty((len(digest), 30), np.uint8)
    matrix[:, :2] = 49, 58
    matrix[:, 2:] = column_text.base64(digest)
    return column_text.lines(matrix)


def _halves(raw: U8, four: np.ndarray) -> np.ndarray:
    """(n, 2) the addresses as 64-bit numbers with the order of their bytes."""
    halves: np.ndarray = np.ascontiguousarray(raw).view(">u8").astype(np.uint64)
    halves[four, 0] &= np.uint64(0xFFFFFFFF00000000)
    halves[four, 1] = 0
    return halves
