"""Finds seconds of a file without anything new, which need not be processed one by one.

In: a batch that was decoded ahead, the ends of its seconds, and the present flow table. Out: how
many seconds from here on only continue known activity: segments of two-way conversations, each
starting where the one before it ended, and control packets that repeat earlier ones. Skipped
seconds are metered with the second after them. Nothing is written here.
"""

from __future__ import annotations

import numpy as np

from panotui.meter.ahead import Decoded
from panotui.meter.control.kinds import KINDS, NONE
from panotui.meter.flows.grouping import Groups
from panotui.meter.flows.state import FIN, RST, SYN, both
from panotui.meter.flows.table import FlowTable
from panotui.meter.lanes import LANE_BULK, LANE_RTSP
from panotui.meter.restated import Restated, may_be_restated
from panotui.meter.streams.table import StreamTable
from panotui.meter.tcp.progress import odd, unsettled
from panotui.meter.tcp.segments import collect
from panotui.model import I32, I64, SECOND, U64, Bool, PacketBatch
from panotui.model.arrays import among, nonzero
from panotui.wire.columns import SNAPPED, Columns
from panotui.wire.protocols import TCP, UDP

# A connection that sends after a longer silence is news: whether a box has forgotten it, and
# whether it is answered, depends on that moment.
HUSH_NS = 8 * SECOND
LOOKED_AT = 32_768  # packets examined at once: with more, the fixed cost of a second is small
BYTES_A_SECOND = 8_000_000  # of a skipped second: less than any port counts as full
SPOKEN_LEAST = 3  # packets each way, of a known conversation
USUAL_MOST = 512  # packets of exchanges that may be usual: more are no single ones
_NO_ROWS = np.zeros(0, np.int64)
_NUMBER = {kind.name: number for number, kind in enumerate(KINDS, 1)}
_DNS, _NTP = _NUMBER["dns"], _NUMBER["ntp"]


def plain_rows(batch: PacketBatch, decoded: Decoded) -> tuple[Bool, Bool]:
    """Two masks (n,) of rows, by their own content: those that may be skipped; and those that may
    be so, or belong to an exchange that may be usual (`Steady.leading`).
    """
    c = decoded.columns
    kinds = decoded.kinds
    tcp = c.protocol == TCP
    told: Bool = (tcp | (c.protocol == UDP)) & (c.hash != 0) & (c.fragment == 0)
    told[decoded.group_rows] = told[decoded.slow] = False
    plain = told & (kinds == NONE) & ~(tcp & ((c.tcp_flags & (SYN | FIN | RST)) != 0))
    usual = told & ((kinds == _DNS) | (kinds == _NTP) | (kinds == NONE))
    usual &= ~(tcp & ((c.tcp_flags & RST) != 0))
    again = may_be_restated(kinds) & (c.hash == 0)
    sound: Bool = ~c.malformed & ((c.flags & SNAPPED) == 0)
    sound[1:] &= batch.time_ns[1:] >= batch.time_ns[:-1]
    if decoded.copies is not None:
        sound &= ~decoded.copies
    if batch.missed is not None:
        sound &= batch.missed == 0
    return (plain | again) & sound, (usual | again) & sound


class Steady:
    """A batch whose seconds may be skipped."""

    def __init__(self, batch: PacketBatch, decoded: Decoded) -> None:
        self._batch = batch
        self._decoded = decoded
        plain, usual = plain_rows(batch, decoded)
        self._odd_before: I64 = np.append(0, np.cumsum(~plain))
        self._unusual_before: I64 = np.append(0, np.cumsum(~usual))
        self._bytes: I64 = np.append(0, np.cumsum(batch.wire_length))
        # Rows of known conversations and streams that the last call of `leading` found, and their
        # slots.
        self._talk: tuple[I64, I32] = np.empty(0, np.int64), np.empty(0, np.int32)

    def leading(
        self,
        edges: list[int],
        flows: FlowTable,
        restated: Restated,
        restless: U64,
        streams: StreamTable | None,
        usual: bool = False,
    ) -> tuple[int, I64]:
        """How many of the pieces between `edges` (rows of the batch, k + 1 of them) hold nothing
        new, counted from the first. `restless`: ids of flows of which every packet is news;
        `streams`: None if none is known. `usual`: rows of new TCP connections, lookups and time
        requests may be among them, which are returned as well.
        """
        start = edges[0]
        rows = np.array(edges)
        odd = self._unusual_before if usual else self._odd_before
        odd_before, size = odd.take(rows), np.diff(self._bytes.take(rows))
        fit = (np.diff(odd_before) == 0) & (size <= BYTES_A_SECOND)
        fit &= rows[1:] - start <= LOOKED_AT
        count = len(fit) if fit.all() else int(fit.argmin())
        if not count:
            return 0, _NO_ROWS
        stop = edges[count]
        batch, part = self._batch.slice(start, stop), self._decoded.part(start, stop)
        first = len(batch)
        kinds = part.kinds
        again = nonzero(may_be_restated(kinds) if usual else kinds != NONE)
        if len(again):
            first = restated.news(batch, part.columns, kinds, again)
            first = min(first, LOOKED_AT)
        some = _NO_ROWS
        if usual:
            talk, some, first = _sorted_out(batch, part, first, flows, restless)
        else:
            talk = nonzero(kinds[:first] == NONE)
        if len(talk):
            going_on, slots = _going_on(batch, part.columns, talk, flows, restless, streams)
            self._talk = talk[: len(slots)] + start, slots
            if not going_on.all():
                first = int(talk[going_on.argmin()])
        count = int(np.searchsorted(rows[1 : count + 1], start + first, side="right"))
        some = some + start
        return count, some[: int(np.searchsorted(some, edges[count]))]

    def datagrams(self, start: int, stop: int, flows: FlowTable) -> tuple[I64, I32, int]:
        """UDP packets among those rows [start, stop) of the batch that only continue streams, and
        their slots, (n,) each; and the first row behind them that RTSP comes in, or `stop`.
        """
        rows, slots = self._talk
        low, high = np.searchsorted(rows, (start, stop)).tolist()
        rows, slots = rows[low:high], slots[low:high]
        datagram = self._decoded.columns.protocol.take(rows) == UDP
        says = ~datagram & both(flows.state.lane.take(slots, axis=0) == LANE_RTSP)
        if says.any():
            first = int(says.argmax())
            stop = int(rows[first])
            rows, slots, datagram = rows[:first], slots[:first], datagram[:first]
        media = np.flatnonzero(datagram)
        return rows[media], slots[media], stop


def _sorted_out(
    batch: PacketBatch, part: Decoded, first: int, flows: FlowTable, restless: U64
) -> tuple[I64, I64, int]:
    """Of the rows before `first`: those of known TCP connections; those of new ones, of lookups and
    of time requests; and the first row that is neither, or `first`.
    """
    c, kinds = part.columns, part.kinds
    talk = nonzero(c.hash[:first] != 0)
    slots = flows.find(c.hash[talk])
    known, plain = slots >= 0, kinds[talk] == NONE
    tcp = c.protocol[talk] == TCP
    news = plain & ~tcp
    news |= known & plain & ((c.tcp_flags[talk] & (SYN | FIN)) != 0)
    asked = nonzero(known & ~plain)
    if len(asked):
        state, at = flows.state, slots[asked]
        news[asked] = ~state.reported[at] | among(state.id[at], restless)
        # a flow that was silent for so long is over by a tick before its next packet, or is not
        last_ns = dict(zip(at.tolist(), state.last_ns[at].tolist(), strict=True))
        idle_ns = int(flows.settings.idle_udp_s * SECOND)
        times = batch.time_ns[talk[asked]].tolist()
        for place, slot, time_ns in zip(asked.tolist(), at.tolist(), times, strict=True):
            news[place] |= abs(time_ns - last_ns[slot] - idle_ns) <= SECOND
            last_ns[slot] = time_ns
    some = ~(known & plain)
    if news.any():
        first = int(talk[news.argmax()])
    rows = talk[some]
    if len(rows) > USUAL_MOST:
        first = min(first, int(rows[USUAL_MOST]))
    return talk[~some & (talk < first)], rows[rows < first], first


def _going_on(
    batch: PacketBatch,
    c: Columns,
    rows: I64,
    flows: FlowTable,
    restless: U64,
    streams: StreamTable | None,
) -> tuple[Bool, I32]:
    """Mask (k,) of the TCP and UDP rows (k,) of known conversations and streams that merely
    continue; and the slots of the rows before an unknown one. Those behind it are not checked.
    """
    on: Bool = np.zeros(len(rows), np.bool_)
    slots = flows.find(c.hash[rows])
    known = slots >= 0
    if not known.all():
        stop = int(known.argmin())
        if not stop:
            return on, slots[:0]
        rows, slots = rows[:stop], slots[:stop]
    state = flows.state
    half = slots.astype(np.int64) * 2 + ~c.forward[rows]
    good = state.reported[slots] & (state.vlan[slots] == c.vlan[rows])
    media = c.protocol[rows] == UDP
    spoken = state.packets.take(slots, axis=0) >= SPOKEN_LEAST
    lanes = state.lane.take(slots, axis=0)
    talks = ((lanes == LANE_BULK) & spoken).all(axis=1)
    if streams is not None:
        # whatever is said in them, or missing in their streams, is found when their second is over
        talks |= both((lanes == LANE_RTSP) & spoken)
    if media.any():
        talks[media] = _streams_on(c, rows[media], slots[media], flows, streams)
        talks[media] &= spoken.reshape(-1)[2 * nonzero(media) + ~c.forward[rows[media]]]
    good &= talks
    good &= ~both(state.counted("fin", slots))
    good &= state.src_mac.reshape(-1)[half] == c.src_mac[rows]
    good &= state.dst_mac.reshape(-1)[half] == c.dst_mac[rows]
    good &= state.interface.reshape(-1)[half] == batch.interface[rows]
    if len(restless):
        good &= ~among(state.id[slots], restless)
    plain = np.zeros(len(batch), np.bool_)
    groups = flows.group(rows, slots)
    plain[rows[media]] = True
    segments = collect(batch, c, groups)
    if segments is not None:
        off = odd(state, segments)
        off |= unsettled(state, segments).take(segments.group)
        plain[segments.rows] = ~off
    plain[groups.rows] &= _soon(batch, groups, state.last_ns)
    on[: len(good)] = good & plain[rows]
    return on, slots


def _streams_on(
    c: Columns, rows: I64, slots: I32, flows: FlowTable, streams: StreamTable | None
) -> Bool:
    """(k,) packets of UDP that are of known streams."""
    if streams is None:
        return np.zeros(len(rows), np.bool_)
    state = flows.state
    from_client = ~c.forward[rows] == state.client.take(slots)
    return streams.goes_on(c, rows, slots, state.id.take(slots), from_client)


def _soon(batch: PacketBatch, groups: Groups, last_ns: I64) -> Bool:
    """(m,) grouped rows that come soon after their flow's previous row."""
    time_ns = batch.time_ns[groups.rows]
    before = np.empty_like(time_ns)
    before[1:] = time_ns[:-1]
    before[groups.first] = last_ns[groups.slot]
    soon: Bool = time_ns - before <= HUSH_NS
    return soon
