"""Five-tuples as 64-bit numbers, the same for both directions.

The key is drawn once per process, so that no sender can choose tuples that collide; results never
depend on it. Two different five-tuples among 65,536 live ones share a hash with a probability of
about 10^-10, so the flow table trusts it.
"""

from __future__ import annotations

import os

import numpy as np

from panotui.model import U8, U16, U32, U64, Bool
from panotui.wire.protocols import ICMP6_ANSWERS, ICMP_ANSWERS

_KEY = np.frombuffer(os.urandom(64), np.uint64)
_ADD = _KEY[:4]
_MULTIPLY = _KEY[4:] | np.uint64(1)
_S29, _S32 = np.uint64(29), np.uint64(32)


def _pair_table(pairs: dict[int, int]) -> U16:
    table = np.full(256, 0xFFFF, np.uint16)
    for kind, answer in pairs.items():
        table[kind] = answer
    return table


_ICMP4, _ICMP6 = _pair_table(ICMP_ANSWERS), _pair_table(ICMP6_ANSWERS)


def icmp_ports(kind: U16, code: U16, *, six: bool) -> tuple[U16, U16, Bool]:
    """Ports that stand for type and code in the five-tuple, and whether the pair is bidirectional.

    A request and its answer give each other's ports swapped; messages without an answer keep (type,
    code) and are one-way flows.
    """
    answer = (_ICMP6 if six else _ICMP4)[np.minimum(kind, 255)]
    paired = answer != 0xFFFF
    return kind, np.where(paired, answer, code), paired


def _mix(low: U64, high: U64) -> U64:
    value: U64 = low ^ _ADD[0]
    value *= _MULTIPLY[0]
    value ^= value >> _S32
    value += high ^ _ADD[1]
    value *= _MULTIPLY[1]
    value ^= value >> _S29
    value *= _MULTIPLY[2]
    value ^= value >> _S32
    # 0 means "no flow" and 1 is the flow index's tombstone
    np.maximum(value, np.uint64(2), out=value)
    return value


def flow_hash_v4(src: U32, dst: U32, sport: U16, dport: U16, protocol: U8) -> tuple[U64, Bool]:
    """Hash (n,) and whether (src, sport) is the lower end (n,) of IPv4 five-tuples."""
    near = src.astype(np.uint64)
    near <<= np.uint64(16)
    near |= sport
    far = dst.astype(np.uint64)
    far <<= np.uint64(16)
    far |= dport
    oneway = None
    icmp = protocol == 1
    if icmp.any():
        rows = np.flatnonzero(icmp)
        a, b, paired = icmp_ports(sport[rows], dport[rows], six=False)
        near[rows] = (near[rows] & ~np.uint64(0xFFFF)) | a
        far[rows] = (far[rows] & ~np.uint64(0xFFFF)) | b
        oneway = rows[~paired]
    forward = near <= far
    low, high = np.minimum(near, far), np.maximum(near, far)
    if oneway is not None and len(oneway):
        low[oneway], high[oneway] = near[oneway], far[oneway] | np.uint64(1 << 60)
        forward[oneway] = True
    high |= protocol.astype(np.uint64) << np.uint64(48)
    return _mix(low, high), forward


def flow_hash_v6(addresses: U64, sport: U16, dport: U16, protocol: U8) -> tuple[U64, Bool]:
    """The same for IPv6; `addresses` is (n, 4): high and low half of source, then destination."""
    near_port, far_port = sport.astype(np.uint64), dport.astype(np.uint64)
    oneway = None
    icmp = protocol == 58
    if icmp.any():
        rows = np.flatnonzero(icmp)
        a, b, paired = icmp_ports(sport[rows], dport[rows], six=True)
        near_port[rows], far_port[rows] = a, b
        oneway = rows[~paired]
    s0, s1, d0, d1 = (addresses[:, i] for i in range(4))
    forward = np.where(s0 != d0, s0 < d0, np.where(s1 != d1, s1 < d1, near_port <= far_port))
    oneway_bit = np.zeros(len(sport), np.uint64)
    if oneway is not None and len(oneway):
        forward[oneway] = True
        oneway_bit[oneway] = np.uint64(1 << 60)
    near = _mix(s0 + _ADD[2], s1)
    far = _mix(d0 + _ADD[2], d1)
    low = np.where(forward, near, far)
    high = np.where(forward, far, near)
    tail = np.where(
        forward,
        (near_port << np.uint64(16)) | far_port,
        (far_port << np.uint64(16)) | near_port,
    )
    tail |= (protocol.astype(np.uint64) << np.uint64(48)) | oneway_bit | np.uint64(1 << 61)
    return _mix(_mix(low, high), tail), forward


def packet_digest(flow: U64, forward: Bool, head: U64, first: U64, second: U64) -> U64:
    """Keyed hash (n,) of a packet by its flow, direction, IP word and transport words."""
    value = head ^ flow
    value += forward
    value *= _MULTIPLY[3]
    value ^= value >> _S32
    value += first ^ _ADD[3]
    value *= _MULTIPLY[1]
    value ^= value >> _S29
    value += second
    value *= _MULTIPLY[0]
    value ^= value >> _S32
    return value
