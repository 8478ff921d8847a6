"""Moments at which the clock of a capture file was set forward: nobody was silent then.

A batch comes in, and the spans without any packet that no host's silence explains go out. The proof
is in the streams of several hosts: their numbers and time stamps go on after the gap as if there
had been none. Where one of them shows that time passed, it did. Few packets around a gap are
looked at, and only where traffic was dense.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct

from panotui.model import I64, SECOND, U8, PacketBatch

LEAST_NS = 3 * SECOND  # shorter gaps are reported by nobody
ROWS = 256  # looked at on either side
DENSE_ROWS = 32  # in the second before the gap
HOSTS = 2  # that must agree
_HEAD = 128  # of Ethernet, IPv4, TCP with options, and RTP
_ETHERNET, _IPV4, _TCP, _UDP = 1, 0x0800, 6, 17
_SAME = 0.5  # of the gap: a stream that went on for less was not there

Stamps = dict[tuple[bytes, int, bytes], list[tuple[int, int, int]]]  # host, ports, SSRC


class _Heads(Struct):
    """The first bytes of n Ethernet frames."""

    time_ns: I64  # (n,)
    size: I64  # (n,) of the captured ones, at most _HEAD
    data: U8  # (n, _HEAD), meaningless from `size` on

    def and_then(self, later: _Heads) -> _Heads:
        """The newest rows of both."""
        return _Heads(
            np.concatenate([self.time_ns, later.time_ns])[-ROWS:],
            np.concatenate([self.size, later.size])[-ROWS:],
            np.concatenate([self.data, later.data])[-ROWS:],
        )

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Time and bytes of each."""
        sizes = self.size.tolist()
        for at, size, data in zip(self.time_ns.tolist(), sizes, self.data, strict=True):
            yield at, data[:size].tobytes()


class SetForward:
    """The gaps of one file."""

    def __init__(self) -> None:
        none = np.zeros(0, np.int64)
        self._last = _Heads(none, none, np.zeros((0, _HEAD), np.uint8))

    def gaps(self, batch: PacketBatch) -> Iterator[tuple[int, int, int]]:
        """(row, since, until) where the clock jumps forward to a row, in order."""
        time_ns = batch.time_ns
        before = int(self._last.time_ns[-1]) if len(self._last.time_ns) else int(time_ns[0])
        jumps = np.diff(time_ns, prepend=before) >= LEAST_NS
        for row in np.flatnonzero(jumps).tolist():
            since = int(time_ns[row - 1]) if row else before
            near = time_ns[max(0, row - ROWS) : row], self._last.time_ns
            if sum(np.count_nonzero(since - at < SECOND) for at in near) < DENSE_ROWS:
                continue  # whatever these frames are
            earlier = self._last.and_then(_heads(batch, max(0, row - ROWS), row))
            if np.count_nonzero(since - earlier.time_ns < SECOND) < DENSE_ROWS:
                continue
            later = _heads(batch, row, min(len(batch), row + ROWS))
            if _only_the_clock(earlier, later):
                yield row, since, int(time_ns[row])
        newest = _heads(batch, max(0, len(batch) - ROWS), len(batch))
        self._last = self._last.and_then(newest)


def _heads(batch: PacketBatch, start: int, stop: int) -> _Heads:
    """What the Ethernet frames of rows [start, stop) begin with."""
    kinds = np.array([i.linktype for i in batch.interfaces] or [-1])
    which = batch.interface[start:stop]
    inside = (which >= 0) & (which < len(kinds))
    rows = start + np.flatnonzero(inside & (kinds[np.where(inside, which, 0)] == _ETHERNET))
    places = batch.offset[rows][:, None] + np.arange(_HEAD)
    return _Heads(
        batch.time_ns[rows],
        np.minimum(batch.captured[rows], _HEAD).astype(np.int64),
        batch.data.take(places, mode="clip"),
    )


def _only_the_clock(earlier: _Heads, later: _Heads) -> bool:
    """The streams of several hosts go on as if no time had passed, and none says otherwise."""
    before, after = _stamps(earlier.read()), _stamps(later.read())
    agree: set[bytes] = set()
    for key, rows in before.items():
        if key not in after:
            continue
        (first_ns, _, first), (last_ns, number, stamp) = rows[0], rows[-1]
        ran = (stamp - first) % 2**32
        if not 0 < ran < 2**31 or last_ns <= first_ns:
            continue
        then_ns, next_number, next_stamp = after[key][0]
        passed = (next_stamp - stamp) % 2**32 * (last_ns - first_ns) / ran
        if passed > _SAME * (then_ns - last_ns):
            return False
        if 0 < (next_number - number) % 2**16 <= DENSE_ROWS:
            agree.add(key[0])
    return len(agree) >= HOSTS


def _stamps(heads: Iterable[tuple[int, bytes]]) -> Stamps:
    """Time, number and stamp of RTP packets by stream: over UDP, or at the head of a segment."""
    found: Stamps = {}
    for at, head in heads:
        ip = 14
        while head[ip - 2 : ip] in (b"\x81\x00", b"\x88\xa8"):
            ip += 4
        if head[ip - 2 : ip] != _IPV4.to_bytes(2, "big") or len(head) < ip + 20:
            continue
        payload = ip + 4 * (head[ip] & 15)
        ports = int.from_bytes(head[payload : payload + 4], "big")
        if head[ip + 9] == _UDP:
            rtp = payload + 8
        elif head[ip + 9] == _TCP and len(head) > payload + 12:
            start = payload + 4 * (head[payload + 12] >> 4)
            if head[start : start + 1] != b"$":
                continue
            rtp = start + 4
        else:
            continue
        fixed = head[rtp : rtp + 12]
        if len(fixed) < 12 or fixed[0] >> 6 != 2 or 72 <= fixed[1] & 127 <= 76:
            continue
        key = (head[ip + 12 : ip + 16], ports, fixed[8:12])
        number, stamp = int.from_bytes(fixed[2:4], "big"), int.from_bytes(fixed[4:8], "big")
        found.setdefault(key, []).append((at, number, stamp))
    return found
