"""The first look at TCP payloads that begin with no known protocol, many at a time.

Most connections that are seen from their middle, and those of unsupported protocols, show three
unrecognised payloads and are then ignored. Payloads of flows without an `opening.Opening` come in;
flows that need none go out, with the same result as from an `Opening`. While a flow has shown fewer
than three payloads, they are remembered, as the start for an `Opening` if anything else follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from panotui.meter.control.first_look import FEW_ROWS, ByFlow, FirstLook, by_flow
from panotui.meter.flows.grouping import rank
from panotui.meter.lanes import LANE_BULK, LANE_HANDSHAKE
from panotui.model import I64, U8, Bool, PacketBatch
from panotui.wire import banner
from panotui.wire.columns import Columns
from panotui.wire.gather import gather
from panotui.wire.origin import Origin

TRIES = 3  # segments of unknown content before a flow is ignored
KEPT = 4_096
HELD = 512  # bytes kept of a payload
_LONGEST = 2048  # bytes examined of a payload
_BLOCK = 64
_SYN = 2
# a `$` frame's header (`banner.is_interleaved`), whole or truncated by the payload's end
_FRAME = re.compile(rb"\$(?:[\x00-\x3f](?:..[\x80-\xbf]|.{0,2}\Z)|\Z)", re.DOTALL)
# the first two bytes of words known to `banner`
_WORD = np.zeros(65_536, np.bool_)
for _word in banner.WORDS:
    _WORD[_word[0] << 8 | _word[1]] = _WORD[_word[0] << 8 | _word[1] | 0x20] = True


class Piece(NamedTuple):
    """A segment with unknown content."""

    from_client: bool
    sequence: int
    data: bytes
    time_ns: int
    packet: int
    interface: int

    def origin(self, flow: int) -> Origin:
        """Where it was seen."""
        return Origin(self.time_ns, self.packet, self.interface, flow)


class Heard(NamedTuple):
    """The segments of a flow so far: fewer than `TRIES` pieces."""

    from_start: bool
    server_port: int  # as at the time of the first piece
    pieces: tuple[Piece, ...]

    def next_of(self, from_client: bool) -> int | None:
        """The expected sequence number of a direction's next segment; None: any."""
        for piece in reversed(self.pieces):
            if piece.from_client == from_client:
                return (piece.sequence + len(piece.data)) & 0xFFFFFFFF
        return None


class Done(NamedTuple):
    """A flow that is ignored from now on."""

    flow: int
    from_start: bool
    server_port: int
    by_client: bool  # the client has sent something
    time_ns: int  # of the last piece
    packet: int
    interface: int


class Passed(NamedTuple):
    """Rows that need no further look, and their result."""

    rows: Bool  # (n,) of the offered rows
    lanes: U8  # (number of these,)
    done: list[Done]
    quiet: list[int]  # flows that are also ignored, without anything to report


class Unknown(FirstLook[Heard]):
    """Remembers flows without a known protocol, at most `KEPT`.

    `own_ports` are those on which an `Opening` also considers the port.
    """

    def __init__(self, own_ports: frozenset[int]) -> None:
        super().__init__(KEPT)
        own = np.zeros(65_536, np.bool_)
        own[list(own_ports)] = True
        self._own_port = own

    def settle(
        self,
        batch: PacketBatch,
        columns: Columns,
        rows: I64,
        flows: I64,
        from_client: Bool,
        from_start: Bool,
        is_known: Callable[[int], bool],
    ) -> Passed | None:
        """Settle as many of `rows` (in order of arrival) as possible; None if there are none.

        All rows of a flow are settled or none of them. `is_known` tests for flows that are past
        this.
        """
        if len(rows) < FEW_ROWS:
            return None
        offered = by_flow(flows, self._plain(batch, columns, rows))
        if offered is None:
            return None
        ids, of, fits = offered
        size = columns.payload_captured[rows].astype(np.int64)
        sequence = gather(batch.data, columns.l4[rows] + 4, 4).view(">u4").astype(np.int64)
        way = of * 2 + from_client
        order = np.argsort(way, kind="stable")
        same = way[order[1:]] == way[order[:-1]]
        goes_on = sequence[order[1:]] == (sequence[order] + size[order])[:-1] & 0xFFFFFFFF
        fits[of[order[1:][same & ~goes_on]]] = False
        begins = np.full(2 * len(ids), -1, np.int64)  # the first number of each direction
        begins[way[order[::-1]]] = sequence[order[::-1]]
        before = self._before(offered, begins.reshape(-1, 2), is_known)
        mine = offered.rows()
        if not len(mine):
            return None
        whose = of[mine]
        tries = rank(whose) + before[whose] + 1
        server = np.where(from_client, columns.dport[rows], columns.sport[rows])
        # flows whose pieces are all in this batch need no memory
        last = tries == TRIES
        whole = np.zeros(len(ids), np.bool_)
        whole[whose[last]] = True
        whole &= before == 0
        long = np.zeros(len(ids), np.bool_)  # too much to remember
        long[whose[(tries <= TRIES) & (size[mine] > HELD)]] = True
        keep = ~(long & ~whole)[whose]
        mine, whose, tries, last = mine[keep], whose[keep], tries[keep], last[keep]
        lanes = np.where(tries < TRIES, LANE_HANDSHAKE, LANE_BULK).astype(np.uint8)
        clients = np.bincount(whose[from_client[mine] & (tries <= TRIES)], minlength=len(ids))
        at = mine[last & whole[whose]]
        began = np.flatnonzero(tries == 1)  # its state at the first piece counts
        started_of = np.zeros(len(ids), np.bool_)
        started_of[whose[began]] = from_start[mine[began]]
        port_of = np.zeros(len(ids), np.int64)
        port_of[whose[began]] = server[mine[began]]
        quiet = flows[at[~started_of[of[at]]]].tolist()
        at = at[started_of[of[at]]]
        done = [
            Done(*values)
            for values in zip(
                flows[at].tolist(),
                started_of[of[at]].tolist(),
                port_of[of[at]].tolist(),
                (clients[of[at]] > 0).tolist(),
                batch.time_ns[rows[at]].tolist(),
                (rows[at] + batch.first_number).tolist(),
                batch.interface[rows[at]].tolist(),
                strict=True,
            )
        ]
        told = np.flatnonzero((tries <= TRIES) & ~whole[whose])
        told = told[_kept(whose[told], tries[told], before)]
        at = mine[told]
        heard = self._shown
        data = batch.data.data
        first_byte = columns.payload[rows[at]]
        for flow, number, started, port, begin, end, by_client, number_of, *rest in zip(
            flows[at].tolist(),
            tries[told].tolist(),
            from_start[at].tolist(),
            server[at].tolist(),
            first_byte.tolist(),
            (first_byte + size[at]).tolist(),
            from_client[at].tolist(),
            sequence[at].tolist(),
            batch.time_ns[rows[at]].tolist(),
            (rows[at] + batch.first_number).tolist(),
            batch.interface[rows[at]].tolist(),
            strict=True,
        ):
            piece = Piece(by_client, number_of, bytes(data[begin:end]), *rest)
            if number == 1:
                heard[flow] = Heard(started, port, (piece,))
            elif number < TRIES:
                first = heard.pop(flow)
                heard[flow] = first._replace(pieces=(*first.pieces, piece))
            else:
                first = heard.pop(flow)
                by_client = any(p.from_client for p in (*first.pieces, piece))
                seen = piece.time_ns, piece.packet, piece.interface
                done.append(Done(flow, first.from_start, first.server_port, by_client, *seen))
        self._make_room()
        return Passed(offered.mask(mine), lanes, done, quiet)

    def _before(self, offered: ByFlow, begins: I64, is_known: Callable[[int], bool]) -> I64:
        """(flows,) number of earlier pieces; flows that do not continue them no longer match.

        `begins` (flows, 2): the first sequence number of server and client in this batch; -1 none.
        """
        before = np.zeros(len(offered.ids), np.int64)
        for i, first in self._remembered(offered, is_known):
            before[i] = len(first.pieces)
            for from_client, begin in enumerate(begins[i].tolist()):
                expected = first.next_of(bool(from_client))
                if begin >= 0 and expected is not None and expected != begin:
                    offered.fits[i] = False
        return before

    def _plain(self, batch: PacketBatch, columns: Columns, rows: I64) -> Bool:
        """(n,) whole, short payloads that begin with no known protocol, whatever follows."""
        size = columns.payload_captured[rows]
        plain: Bool = (size > 0) & (size <= _LONGEST) & (size == columns.payload_length[rows])
        plain &= (columns.payload[rows] >= 0) & (columns.l4[rows] >= 0)
        plain &= columns.tcp_flags[rows] & _SYN == 0
        plain &= ~(self._own_port[columns.sport[rows]] | self._own_port[columns.dport[rows]])
        some = np.flatnonzero(plain)
        if not len(some):
            return plain
        block = gather(batch.data, columns.payload[rows[some]], _BLOCK).view(np.uint8)
        block = block.reshape(len(some), _BLOCK)
        length = size[some].astype(np.int64)
        plain[some[_begins_something(block, length)]] = False
        marked = block == 0x24
        marked &= np.arange(_BLOCK) < length[:, None]
        doubtful = some[np.flatnonzero((length > _BLOCK) | marked.any(axis=1))]
        doubtful = doubtful[plain[doubtful]]
        data = batch.data.data
        first = columns.payload[rows[doubtful]]
        for i, begin, end in zip(
            doubtful.tolist(), first.tolist(), (first + size[doubtful]).tolist(), strict=True
        ):
            if _FRAME.search(data, begin, end) is not None:
                plain[i] = False
        return plain


def _kept(whose: I64, tries: I64, before: I64) -> Bool:
    """(n,) pieces of the flows `whose` (n,) that must be kept, or whose flow was known `before`:
    of new flows that go on, only the newest have room.
    """
    last = np.full(len(before), -1, np.int64)
    last[whose] = np.arange(len(whose))
    last[whose[tries == TRIES]] = -1
    last[before > 0] = -1
    fresh = np.flatnonzero(last >= 0)
    keep = np.ones(len(before), np.bool_)
    over = len(fresh) - KEPT
    if over > 0:
        keep[fresh[np.argpartition(last[fresh], over)[:over]]] = False
    return keep[whose]


def _begins_something(block: U8, length: I64) -> Bool:
    """(n,) payloads that `banner.recognise` may recognise, now or with more bytes.

    `block` are their first bytes (n, 64); bytes behind the end of a shorter one may have any value.
    """
    first, second, third = block[:, 0], block[:, 1], block[:, 2]
    none2, none3, none5 = length < 2, length < 3, length < 5
    record = (first >= 0x14) & (first <= 0x17)
    record &= none2 | ((second == 3) & (none3 | (third <= 4)))
    sslv2 = (first >= 0x80) & (none3 | (third == 1))
    text = (first >= 0x41) & (first <= 0x5A)
    text &= none2 | _WORD[first.astype(np.uint16) << 8 | second]
    reply = (first >= 0x31) & (first <= 0x35)
    reply &= none2 | ((second >= 0x30) & (second <= 0x39))
    telnet = (first == 0xFF) & (none2 | ((second >= 0xFB) & (second <= 0xFE)))
    smb = (first == 0) & (none5 | (block[:, 4] >= 0xFD))
    rdp = (first == 3) & (none2 | (second == 0))
    connect = (first == 0x10) & ((length < 8) | (block[:, 4:8] == 0x4D).any(axis=1))  # MQTT
    found: Bool = record | sslv2 | text | reply | telnet | smb | rdp | connect
    return found
