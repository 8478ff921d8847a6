"""The metering process: packets in, one `Delta` per tick out.

`update` takes a batch: it decodes it, separates copies, gives every row its flow, counts, analyses
TCP, and passes the few control packets to the lanes. `tick` closes a second of packet time: it
expires flows and collects the changes since the last tick. Nothing here reads a clock. A capture
gives the same result however it is batched, except for which flows of a flood are evicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
from msgspec.structs import replace

from panotui.meter.ahead import Ahead, Decoded
from panotui.meter.control.kinds import NONE, kinds_of
from panotui.meter.control.lane import ControlLane
from panotui.meter.duplicates import CopyFinder
from panotui.meter.flows.grouping import Groups, rank
from panotui.meter.flows.table import FlowTable, TableTooSmall
from panotui.meter.lanes import (
    LANE_BULK,
    LANE_HANDSHAKE,
    LANE_RTSP,
    PAYLOADS_OFFERED,
)
from panotui.meter.latecomers import Latecomers
from panotui.meter.linkseconds import LinkSeconds
from panotui.meter.repeats import ArpCopies, LoopFinder, merged
from panotui.meter.restated import Restated
from panotui.meter.rtp.foresight import Coming
from panotui.meter.set_backs import SetBacks
from panotui.meter.steady import Steady
from panotui.meter.streams.table import StreamTable
from panotui.meter.tcp.quality import TcpQuality
from panotui.model import (
    I32,
    I64,
    LINK_SECOND_DTYPE,
    SECOND,
    STREAM_DTYPE,
    STREAM_SECOND_DTYPE,
    U64,
    AnyMessage,
    Bool,
    Delta,
    Interface,
    MeterCounters,
    MeterSettings,
    PacketBatch,
    Rows,
)
from panotui.model.arrays import distinct, nonzero
from panotui.model.flow_rows import FlowRows
from panotui.wire.columns import DUPLICATE, SNAPPED, Columns
from panotui.wire.decode import Decoder, fragment_identity
from panotui.wire.protocols import TCP, UDP

_NO_STREAMS = np.zeros(0, STREAM_DTYPE)
_NO_STREAM_SECONDS = np.zeros(0, STREAM_SECOND_DTYPE)
_NO_LINK_SECONDS = np.zeros(0, LINK_SECOND_DTYPE)
_LATER = 2  # `Columns.fragment` of all fragments except the first
_NO_ROWS = np.zeros(0, np.int64)
_APART = {"flows_max": 1_024, "streams_max": 16, "rtsp_connections_max": 16}  # see `Meter.scout`
MISSED_TOLD = 64  # packets of a batch that report drops before them; more is a flood
_MEDIA_LEAST = 8  # bytes of the smallest RTCP packet
# If more than a quarter of the packets open a flow, grouping by flow saves nothing, and a batch's
# columns beside a full table are the peak of memory.
_FLOOD_SHARE = 4
_FLOOD_PACKETS = 32_768
_HELPINGS = ((0, 3), (3, 9), (9, 2 * PAYLOADS_OFFERED))  # payloads of a flow offered at a time


class Meter:
    """One meter for one or more interfaces or files; see `docs/architecture.md`, section meter.

    After each `update`, `last_columns`, `last_flow_id` (n,) uint64 (0: no flow) and `last_control`
    (n,) bool (rows that were offered to the control lanes) describe that batch.
    """

    def __init__(
        self,
        settings: MeterSettings,
        index: int,
        streams: StreamTable | None = None,
        *,
        cuts_bulk: bool = False,
    ) -> None:
        """`cuts_bulk`: the source truncates bulk packets on purpose, so a truncated frame is no
        sign of a short snap length.
        """
        self.settings = settings
        self.index = index
        self._cuts_bulk = cuts_bulk
        self.flows = FlowTable(settings)
        self.control = ControlLane(settings)
        self.streams = streams or StreamTable(settings)
        self.counters = MeterCounters()
        self.last_columns: Columns | None = None
        self.last_flow_id: U64 = np.empty(0, np.uint64)
        self.last_control: Bool = np.empty(0, np.bool_)
        self._decoder = Decoder()
        self._copies = CopyFinder(int(settings.mirror_duplicate_ms * 1_000_000))
        self._arp_copies = ArpCopies(self._copies.window_ns)
        self._loops = LoopFinder()
        self._link = LinkSeconds()
        self._latecomers = Latecomers()
        self._tcp = TcpQuality(self.flows.state)
        # of the present rows: slots that turned out to be RTSP, and the row that showed it
        self._rtsp_news: list[tuple[I32, I64]] = []
        self._newest_ns = 0
        self.ahead: Ahead | None = None  # the batch of `look_ahead`
        self._steady: Steady | None = None  # of the batch that was decoded ahead
        self._restated = Restated()
        self._apart: Meter | None = None  # see `scout`
        self._kinds = np.empty(0, np.uint8)  # of the present batch, see `kinds_of`
        self._touched = False  # packets came since the last tick
        self._last_counters: MeterCounters | None = None  # as reported last
        self.flooded = False  # the last batch was mostly new flows
        self._interfaces: tuple[Interface, ...] = ()
        self._blind: tuple[int, int] | None = None
        self._set_backs = SetBacks()

    # -------------------------------------------------------------- packets

    def pieces(self, batch: PacketBatch) -> Iterator[PacketBatch]:
        """The pieces in which to pass the batch to `update`: the whole batch, or pieces of 32,768
        packets while new flows flood in.
        """
        start = 0
        while start < len(batch):
            stop = min(start + _FLOOD_PACKETS, len(batch)) if self.flooded else len(batch)
            yield batch if stop - start == len(batch) else batch.slice(start, stop)
            start = stop

    def update(self, batch: PacketBatch) -> None:
        """Take a batch of any size; rows in order of arrival."""
        if not len(batch):
            return
        self._touched = True
        opened = self.flows.opened
        self._interfaces = tuple(batch.interfaces)
        self.last_columns = None  # the columns of two batches at once would be the peak of memory
        self._count_time(batch)
        decoded = None if self.ahead is None else self.ahead.of(batch)
        decoded = decoded or self._decode(batch)
        columns, copies = decoded.columns, decoded.copies
        self._decoder.join(batch, columns, decoded.slow)
        looped = self._loops.find(batch, decoded.group_rows, decoded.group_digests)
        self._link.add(batch, columns, copies, looped)
        self._count(batch, columns, copies)
        self._hold_back(batch, columns, copies)
        flow_id = np.zeros(len(batch), np.uint64)
        offered = np.zeros(len(batch), np.bool_)
        if batch.missed is not None:
            for row in np.flatnonzero(batch.missed)[:MISSED_TOLD].tolist():
                self.streams.note_capture_loss(
                    int(batch.time_ns[row]), int(batch.missed[row]), int(batch.interface[row])
                )
        self._kinds = decoded.kinds
        self._restated.note(batch, columns, decoded.kinds)
        self._meter(batch, columns, copies, 0, len(batch), flow_id, offered)
        self.last_columns, self.last_flow_id, self.last_control = columns, flow_id, offered
        self.flooded = self.flows.opened - opened > len(batch) // _FLOOD_SHARE

    def look_ahead(self, batch: PacketBatch) -> None:
        """Decode a batch that will be passed to `update` in pieces, second by second. This costs
        less, and changes nothing else.
        """
        self.ahead = self._steady = None
        if not self.flooded:  # in that case columns beside a full table are the peak of memory
            self.ahead = Ahead(batch, self._decode(batch))

    def look_back(self) -> None:
        """The batch that was decoded ahead is metered: free it."""
        self.ahead = self._steady = None

    def steady(
        self, edges: list[int], until_ns: int, restless: U64, usual: bool = False
    ) -> tuple[int, int, I64]:
        """How many pieces of the batch decoded ahead, from here on, hold nothing new, and the time
        at which a tick is needed anyway, at most `until_ns`.

        `edges` (k + 1) are rows of the batch, with a second's packets between two of them;
        `restless` are ids of flows of which every packet counts. `usual`: there may be rows of
        exchanges that may be usual; these rows are returned as well.
        """
        if self.ahead is None or len(self._latecomers):
            return 0, 0, _NO_ROWS
        if self._steady is None:
            self._steady = Steady(self.ahead.batch, self.ahead.decoded)
        streams = None if self.streams.is_quiet else self.streams
        count, rows = self._steady.leading(
            edges, self.flows, self._restated, restless, streams, usual and streams is None
        )
        if not count:
            return 0, 0, _NO_ROWS
        # the first tick after a flow's timeout reports it as over
        over_ns = self.flows.over_ns(until_ns, restless if streams is None else None)
        return count, min(until_ns, over_ns + 1), rows

    def let_pass(self, now_ns: int) -> None:
        """A tick within the pieces that `steady` found is skipped, with no stream known."""
        self.flows.let_pass(now_ns)

    def scout(self, start: int, stop: int, rows: I64) -> tuple[FlowRows, list[AnyMessage]] | None:
        """The new flows and the messages that `rows` among [start, stop) of the batch decoded ahead
        will give when they are metered: they are metered on their own, in small tables. None: they
        give more than that.
        """
        assert self.ahead is not None
        if self._apart is None:
            self._apart = Meter(replace(self.settings, **_APART), self.index)
        apart = self._apart
        batch, part = self.ahead.batch.slice(start, stop), self.ahead.decoded.part(start, stop)
        left_out = np.ones(len(batch), np.bool_)
        left_out[rows - start] = False
        flow_id, offered = np.zeros(len(batch), np.uint64), np.zeros(len(batch), np.bool_)
        apart._kinds = part.kinds
        apart._meter(batch, part.columns, left_out, 0, len(batch), flow_id, offered)
        slots, flows, messages = apart.fresh()
        new = nonzero(self.flows.new(apart.flows.state.hash[slots], flows["first_ns"]))
        whole = len(apart.flows) == len(slots)
        if not whole or not apart.streams.is_quiet:
            self._apart = None
            return None
        apart.control.forget(flows["id"].tolist())
        apart.control.drain()
        apart.flows.drop(slots)
        return flows.some(new), messages

    def expect(self, rows: I64) -> None:
        """These rows of the batch decoded ahead are metered after ticks that come later."""
        assert self.ahead is not None
        columns, times = self.ahead.decoded.columns, self.ahead.batch.time_ns
        self.flows.expect(columns.hash[rows], times[rows])

    def fresh(self) -> tuple[I64, FlowRows, list[AnyMessage]]:
        """New flows, with their slots, and messages since the last tick or `fresh_told`."""
        return *self.flows.fresh(), self.control.collected.messages

    def fresh_told(self, slots: I64) -> list[AnyMessage]:
        """These new flows and messages were reported: the messages, by time."""
        self.flows.told(slots)
        messages = self.control.drain()
        messages.sort(key=_when)
        return messages

    @property
    def has_streams(self) -> bool:
        """Streams are known, or dialogues that may announce some."""
        return not self.streams.is_quiet

    def foresee(self, start: int, stop: int, start_ns: int, count: int) -> Coming | None:
        """What streams will say after each of the `count` seconds from the tick at `start_ns` on;
        see `StreamTable.ahead`. Their rows [start, stop) of the batch are among the pieces that
        `steady` found. None: look after each second.
        """
        ahead = self.streams.ahead
        if self._steady is None or self.ahead is None or ahead is None:
            return None
        rows, slots, stop = self._steady.datagrams(start, stop, self.flows)
        columns, client = self.ahead.decoded.columns, self.flows.state.client
        from_client = ~columns.forward[rows] == client.take(slots)
        batch = self.ahead.batch
        if stop < len(batch):
            count = min(count, max(int(batch.time_ns[stop]) - start_ns, 0) // SECOND)
        return ahead.look(batch, columns, rows, slots, from_client, start_ns, count)

    def look(self, now_ns: int, ahead: Coming | None = None) -> tuple[Rows, Rows] | None:
        """See `StreamTable.look`; for ticks within the pieces that `steady` found."""
        return self.streams.look(now_ns, ahead)

    def _decode(self, batch: PacketBatch) -> Decoded:
        columns, slow = self._decoder.read(batch)
        if batch.outgoing is not None:
            known = batch.outgoing >= 0
            columns.outgoing[known] = batch.outgoing[known]
        copies = self._copies.find(batch, columns)
        copies = merged(copies, self._arp_copies.find(batch, columns), len(batch))
        if copies is not None:
            columns.flags[copies] |= DUPLICATE
        groups = self._loops.read(batch, columns)
        return Decoded(columns, slow, copies, *groups, kinds_of(columns, None))

    def forget_batch(self) -> None:
        """Free the columns of the last batch, after all users have read them."""
        self.last_columns = None
        self.last_flow_id = np.empty(0, np.uint64)
        self.last_control = np.empty(0, np.bool_)

    def _hold_back(self, batch: PacketBatch, c: Columns, copies: Bool | None) -> None:
        """Hold fragments that arrived before their first one until a later tick."""
        orphans, identity = self._decoder.orphans, self._decoder.orphan_identity
        if not len(orphans):
            return
        if copies is not None:
            own = np.flatnonzero(~copies[orphans])
            orphans, identity = orphans[own], identity[own]
        held = self._latecomers.hold(batch, orphans, identity)
        c.hash[held] = 0
        if len(held) < len(orphans):
            self.streams.pieces.doubt(int(batch.time_ns[-1]))

    def _meter_latecomers(self, now_ns: int) -> None:
        released = self._latecomers.release(
            now_ns, self._decoder.first_fragments, self.flows.last_drain
        )
        if released is None:
            return
        batch, numbers = released
        columns = self._decoder.decode(batch)
        flow_id = np.zeros(len(batch), np.uint64)
        offered = np.zeros(len(batch), np.bool_)
        self.flows.numbers = numbers
        self._kinds = kinds_of(columns, None)
        self._meter(batch, columns, None, 0, len(batch), flow_id, offered)
        self.flows.numbers = None

    def _count_time(self, batch: PacketBatch) -> None:
        time_ns = batch.time_ns
        back = int(np.count_nonzero(time_ns[1:] < time_ns[:-1]))
        back += int(time_ns[0]) < self._newest_ns
        self.counters.time_steps_back += back
        at_ns = self._set_backs.find(batch, steps=back > 0)
        if at_ns is not None:
            self.note_blind(at_ns, at_ns)
        self._newest_ns = int(time_ns[-1])

    def _count(self, batch: PacketBatch, c: Columns, copies: Bool | None) -> None:
        counters = self.counters
        counters.packets += len(batch)
        counters.bytes += int(batch.wire_length.sum())
        counters.ip_packets += int(np.count_nonzero(c.version))
        counters.malformed += int(np.count_nonzero(c.malformed))
        counters.fragments += int(np.count_nonzero(c.fragment))
        if not self._cuts_bulk:
            counters.snapped += int(np.count_nonzero(c.flags & SNAPPED))
        if copies is not None:
            counters.mirror_duplicates += int(np.count_nonzero(copies))

    def _meter(
        self,
        batch: PacketBatch,
        c: Columns,
        copies: Bool | None,
        start: int,
        stop: int,
        flow_id: U64,
        offered: Bool,
    ) -> None:
        """Meter rows [start, stop); halves them if the flow table is too small for all."""
        mask = c.hash[start:stop] != 0
        if copies is not None:
            mask &= ~copies[start:stop]
        rows = np.flatnonzero(mask) + start
        flows = self.flows
        if not len(rows):
            self._link_control(batch, c, copies, start, stop, offered)
            return
        try:
            slots = flows.assign(batch, c, rows)
            groups = flows.group(rows, slots)
            if flows.split(batch, c, rows, slots, groups):
                groups = flows.group(rows, slots)
        except TableTooSmall:
            middle = (start + stop) // 2
            self._meter(batch, c, copies, start, middle, flow_id, offered)
            self._meter(batch, c, copies, middle, stop, flow_id, offered)
            return
        flows.count(batch, c, groups)
        self._tcp.update(batch, c, groups)
        flows.hand_on()
        flow_id[rows] = flows.state.id.take(slots)
        self._lanes(batch, c, copies, start, stop, rows, slots, groups, flow_id, offered)
        flows.finish_splits()

    # -------------------------------------------------------------- lanes

    def _link_control(
        self,
        batch: PacketBatch,
        c: Columns,
        copies: Bool | None,
        start: int,
        stop: int,
        offered: Bool,
    ) -> None:
        """Control packets among rows without a flow."""
        control = np.flatnonzero(self._kinds[start:stop] != NONE) + start
        if copies is not None:
            control = control[~copies[control]]
        if len(control):
            offered[control] = True
            none = np.full(len(control), -1, np.int64)
            self.control.packets(batch, c, control, none, self._kinds[control])

    def _lanes(
        self,
        batch: PacketBatch,
        c: Columns,
        copies: Bool | None,
        start: int,
        stop: int,
        rows: I64,
        slots: I32,
        groups: Groups,
        flow_id: U64,
        offered: Bool,
    ) -> None:
        flows = self.flows
        self._rtsp_news.clear()
        every = len(rows) == len(batch)  # nearly always: then nothing is copied
        protocol = c.protocol if every else c.protocol.take(rows)
        captured = c.payload_captured if every else c.payload_captured.take(rows)
        back = ~(c.forward if every else c.forward.take(rows))
        control = np.flatnonzero(self._kinds[start:stop] != NONE) + start
        if copies is not None:
            control = control[~copies[control]]
        if len(control):
            offered[control] = True
            flow = flow_id[control].astype(np.int64)
            flow[flow == 0] = -1
            self.control.packets(batch, c, control, flow, self._kinds[control])
            slot_of = np.full(len(batch), -1, np.int32)
            slot_of[rows] = slots
            self._note_apps(slot_of[control])
        tcp = np.flatnonzero((protocol == TCP) & (captured > 0))
        if len(tcp):
            self._payloads(batch, c, rows, slots, back.astype(np.int64), flow_id, offered, tcp)
        lanes = flows.state.lane.take(groups.slot, axis=0) == LANE_RTSP
        talking = lanes[:, 0] | lanes[:, 1]
        if talking.any():
            marked = np.zeros(flows.state.top, np.bool_)
            marked[groups.slot[talking]] = True
            hit = np.flatnonzero(marked[slots] & (protocol == TCP))
            if self._rtsp_news:
                # packets before it was recognised belong to no dialogue: with other batches they
                # would be gone
                told, at = _earliest(self._rtsp_news)
                place = np.minimum(np.searchsorted(told, slots[hit]), len(told) - 1)
                hit = hit[(told[place] != slots[hit]) | (rows[hit] >= at[place])]
            offered[rows[hit]] |= c.tcp_flags[rows[hit]] & 7 != 0
            self.streams.rtsp(
                batch,
                c,
                rows[hit],
                flow_id[rows[hit]],
                flows.from_client(rows[hit], slots[hit], back[hit]),
            )
        later = (c.fragment if every else c.fragment[rows]) == _LATER
        later &= protocol == UDP
        pieces = np.flatnonzero(later)
        media = (protocol == UDP) & (captured >= _MEDIA_LEAST)
        media &= ~(offered if every else offered.take(rows))
        media[pieces] = False
        whole = rows, slots, back
        if not media.all():
            hit = np.flatnonzero(media)
            rows, slots, back = rows.take(hit), slots.take(hit), back.take(hit)
        if len(rows):
            ids = flow_id if len(rows) == len(batch) else flow_id.take(rows)
            self.streams.udp(batch, c, rows, slots, ids, back == flows.state.client.take(slots))
        if len(pieces):
            rows, slots, back = whole[0][pieces], whole[1][pieces], whole[2][pieces]
            self.streams.fragments(
                batch.time_ns[rows],
                batch.wire_length[rows],
                slots,
                flow_id[rows],
                back == flows.state.client[slots],
                fragment_identity(batch, c, rows),
            )

    def _payloads(
        self,
        batch: PacketBatch,
        c: Columns,
        rows: I64,
        slots: I32,
        half: I64,
        flow_id: U64,
        offered: Bool,
        some: I64,
    ) -> None:
        """Offer the first payloads of TCP directions to the control lane; store the resulting
        lanes.

        `some` are the positions in `rows` of TCP segments with a payload.
        """
        flows = self.flows
        direction = slots.take(some).astype(np.int64) * 2 + half.take(some)
        some = some[np.flatnonzero(flows.state.lane.reshape(-1).take(direction) <= LANE_HANDSHAKE)]
        if not len(some):
            return
        # A few per flow at a time, in order of arrival: most flows are settled by their first
        # payloads, and the rest of a batch of established flows is never read.
        some, place = self._with_room(some, slots, half)
        asked: list[I32] = []
        for first, last in _HELPINGS:
            helping = some[(place >= first) & (place < last)]
            helping = helping[flows.state.lane[slots[helping], half[helping]] <= LANE_HANDSHAKE]
            if len(helping):
                asked.append(self._offer(batch, c, rows, slots, half, helping, flow_id, offered))
        if asked:
            self._note_apps(np.concatenate(asked))

    def _with_room(self, some: I64, slots: I32, half: I64) -> tuple[I64, I64]:
        """Those of `some` that are among their direction's first payloads, and the number of
        earlier ones of each flow.
        """
        flows = self.flows
        small = flows.capacity <= 65_536  # a radix sort in that case
        key = slots[some].astype(np.uint16) if small else slots[some].astype(np.int64)
        place = rank(key)
        if int(place.max()) + int(flows.state.offered[: flows.state.top].max()) < PAYLOADS_OFFERED:
            return some, place
        direction = slots[some].astype(np.int64) * 2 + half[some]
        taken = flows.state.offered.reshape(-1).take(direction).astype(np.int64)
        if (place + taken < PAYLOADS_OFFERED).all():
            return some, place
        fits = np.flatnonzero(rank(direction) + taken < PAYLOADS_OFFERED)
        return some[fits], rank(key[fits])

    def _offer(
        self,
        batch: PacketBatch,
        c: Columns,
        rows: I64,
        slots: I32,
        half: I64,
        some: I64,
        flow_id: U64,
        offered: Bool,
    ) -> I32:
        """Offer the payloads at positions `some` of `rows`; returns the slots concerned."""
        flows = self.flows
        chosen, slot, side = rows[some], slots[some], half[some]
        offered[chosen] = True
        np.add.at(flows.state.offered.reshape(-1), slot.astype(np.int64) * 2 + side, np.uint8(1))
        lanes = self.control.payloads(
            batch,
            c,
            chosen,
            flow_id[chosen].astype(np.int64),
            flows.from_client(chosen, slot, side),
            flows.from_start(chosen, slot),
        )
        flows.state.lane[slot, side] = lanes  # in order of arrival: the last result stays
        spent = flows.state.offered[slot, side] >= PAYLOADS_OFFERED
        over = spent & (flows.state.lane[slot, side] <= LANE_HANDSHAKE)
        flows.state.lane[slot[over], side[over]] = LANE_BULK
        rtsp = np.flatnonzero(lanes == LANE_RTSP)
        if len(rtsp):
            flows.state.lane[slot[rtsp]] = LANE_RTSP
            self._rtsp_news.append((slot[rtsp], chosen[rtsp]))
        return slot

    def _note_apps(self, slots: I32) -> None:
        slots = slots[slots >= 0]
        if not len(slots):
            return
        asked = distinct(slots)
        ids = self.flows.state.id[asked].tolist()
        apps = np.array(self.control.apps(ids), np.uint8)
        self.flows.state.app[asked[apps > 0]] = apps[apps > 0]

    # -------------------------------------------------------------- ticks

    def note_capture_loss(self, time_ns: int, packets: int, *, since_ns: int | None = None) -> None:
        """The capture missed `packets` since `since_ns` (or in the second and a half) before
        `time_ns`: gaps in that time are its own.
        """
        self.streams.note_capture_loss(time_ns, packets, since_ns=since_ns)

    def note_blind(self, since_ns: int, until_ns: int) -> None:
        """Between these times the capture saw little or nothing: missing packets of that time say
        nothing about the senders.
        """
        if self._blind is not None and self._blind[0] <= since_ns <= self._blind[1]:
            since_ns = self._blind[0]
        self._blind = since_ns, until_ns
        self.streams.note_blind(since_ns, until_ns)

    def finish(self) -> None:
        """The input has ended: the next tick holds nothing back."""
        self.flows.last_drain = True

    def tick(self, now_ns: int) -> Delta:
        """Close the tick that ends at `now_ns` of packet time; returns the changes since the
        last.
        """
        if self._is_quiet(now_ns):
            return self._nothing(now_ns)
        flows = self.flows
        self._meter_latecomers(now_ns)
        flows.set_apps(*self.streams.media_flows())
        flows.expire(now_ns)
        rows = flows.drain()
        ended = rows["id"][rows["end"] != 0]
        self.control.forget(ended.tolist())
        messages = self.control.drain()
        self.streams.forget(ended)
        self.streams.tick(now_ns)
        stream_rows, stream_seconds = self.streams.rows(), self.streams.seconds()
        messages += self.streams.drain()
        messages.sort(key=_when)
        self._touched = False
        return Delta(
            time_ns=now_ns,
            meter=self.index,
            flows=rows,
            streams=stream_rows,
            stream_seconds=stream_seconds,
            link_seconds=self._link.drain(),
            messages=messages,
            counters=self._counters(),
            interfaces=self._interfaces,
            blind=self._blind,
        )

    @property
    def touched(self) -> bool:
        """Whether packets came since the last tick."""
        return self._touched

    def so_far(self, now_ns: int, most: int) -> Delta:
        """The flows that changed since the last tick, at most `most`, in their state within an
        unfinished tick; the next `tick` reports them all the same.
        """
        return Delta(
            time_ns=now_ns,
            meter=self.index,
            flows=self.flows.so_far(most),
            streams=_NO_STREAMS,
            stream_seconds=_NO_STREAM_SECONDS,
            link_seconds=_NO_LINK_SECONDS,
            messages=[],
            counters=copy(self.counters),
            interfaces=self._interfaces,
        )

    def _is_quiet(self, now_ns: int) -> bool:
        """True if nothing came since the last tick, and nothing waits for this one."""
        if self._touched or self._last_counters is None or len(self._latecomers):
            return False
        flows = self.flows
        return not flows.last_drain and flows.is_quiet(now_ns) and self.streams.is_quiet

    def _nothing(self, now_ns: int) -> Delta:
        assert self._last_counters is not None
        return Delta(
            time_ns=now_ns,
            meter=self.index,
            flows=FlowRows(0),
            streams=_NO_STREAMS,
            stream_seconds=_NO_STREAM_SECONDS,
            link_seconds=_NO_LINK_SECONDS,
            messages=[],
            counters=self._last_counters,
            interfaces=self._interfaces,
            blind=self._blind,
        )

    def _counters(self) -> MeterCounters:
        """A copy of the cumulative counters of the meter and its lanes."""
        counters = self.counters
        flows = self.flows
        counters.flows_opened = flows.opened
        counters.flows_evicted = flows.evicted
        counters.flows_expired = flows.expired
        counters.one_way_flows, counters.two_way_flows = flows.ways()
        counters.control_taken = self.control.taken
        counters.control_skipped = self.control.skipped
        counters.reassembly_skipped = self.control.reassembly_skipped
        counters.streams_evicted = self.streams.streams_evicted
        counters.rtsp_evicted = self.streams.rtsp_evicted
        counters.rtsp_resyncs = self.streams.rtsp_resyncs
        self._last_counters = copy(counters)
        return self._last_counters


def _earliest(found: list[tuple[I32, I64]]) -> tuple[I32, I64]:
    """Distinct slots, in order, and the earliest row found for each."""
    slots = np.concatenate([slots for slots, _ in found])
    rows = np.concatenate([rows for _, rows in found])
    order = np.lexsort((rows, slots))
    distinct, first = np.unique(slots[order], return_index=True)
    return distinct, rows[order[first]]


def _when(message: AnyMessage) -> int:
    return message.time_ns
