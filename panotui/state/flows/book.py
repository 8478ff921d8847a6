"""The engine's flow table: the meters' flow rows, by column, with the verdicts beside them.

Flow rows come in (changed flows of a tick), are found by (meter, id) through a sorted index, and
stay until the table is full; then ended flows are evicted first, oldest first, then the least
recently seen. A program that runs for days also retires flows that ended long ago, so its memory
follows the traffic of an hour and not of a week. The only Python objects of a flow are requested
`FlowRecord`s. Flows of which two meters each see one direction are joined by five-tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from panotui.model import (
    APPS,
    F64,
    FLOW_DTYPE,
    FLOW_ENDS,
    FLOW_STATES,
    I32,
    I64,
    SECOND,
    U8,
    U64,
    Bool,
    FlowRecord,
    Rows,
)
from panotui.model.flow_rows import AnyRows, FlowColumns, FlowRow, FlowRows, write_changed
from panotui.model.page import Fold, Page
from panotui.model.untouched import untouched
from panotui.state.flows import folding
from panotui.state.flows.name_column import NameColumn
from panotui.state.flows.records import METER_SHIFT, FlowBlock, round_trips
from panotui.wire.protocols import TCP

PENDING, ALLOWED, INFRASTRUCTURE, VIOLATION = range(4)
_SLOTS_FIRST = 1024
RETIRED_FROM = 4_096  # flows that stay in any case
_END_EVICTED = FLOW_ENDS.index("evicted")
_END_IDLE = FLOW_ENDS.index("idle")
_RECORDS_A_BLOCK = 1_024  # their rows fit into the cache
_TEXTS = ("rule", "reason", "host", "host_source", "alpn", "camera", "service", "port", "port_in")
_BESIDE = ("verdict", "own", *_TEXTS)
_OPENED = ("key", "live", "changed", "rate_out", "rate_in", "rate_ns")  # set with a new flow
# columns of `FlowBook`
_KINDS = {
    "key": np.uint64, "live": np.bool_, "verdict": np.uint8, "own": np.bool_,
    "rate_out": np.float64, "rate_in": np.float64, "rate_ns": np.int64, "judged_ns": np.int64,
    "judged_app": np.uint8, "judged_answered": np.bool_, "final": np.bool_, "rename": np.bool_,
    "endpoint": np.bool_, "outcome": np.uint8, "syns_counted": np.int32, "changed": np.bool_,
    "_partner": np.int32,
}  # fmt: skip


def flow_text_id(key: int) -> str:
    """A flow's id in records: meter and number, `"0-1234"`."""
    return f"{key >> METER_SHIFT}-{key & ((1 << METER_SHIFT) - 1)}"


def flow_key(meter: int, number: int) -> int:
    """The engine-wide key of a meter's flow id."""
    return (meter << METER_SHIFT) | (number & ((1 << METER_SHIFT) - 1))


def flow_key_of(text: str) -> int | None:
    """The key of an id from `flow_text_id`; None for another text."""
    meter, _, number = text.partition("-")
    if not (meter.isascii() and meter.isdigit() and number.isascii() and number.isdigit()):
        return None
    if int(meter) > 255 or int(number) >= 1 << METER_SHIFT:
        return None
    return flow_key(int(meter), int(number))


class FlowBook:
    """Flow rows and verdict columns by slot. All arrays have length `capacity`, which doubles up to
    `limit`; `live` marks slots in use. Room for `limit` flows is reserved from the beginning; it
    takes memory only where it is written.
    """

    def __init__(self, limit: int) -> None:
        self.limit = max(64, limit)
        capacity = min(_SLOTS_FIRST, self.limit)
        self.rows = FlowRows(0, self.limit)
        # text columns of flows
        self.rule = NameColumn(self.limit)
        self.reason = NameColumn(self.limit)
        self.host = NameColumn(self.limit)
        self.host_source = NameColumn(self.limit)
        self.alpn = NameColumn(self.limit)
        self.camera = NameColumn(self.limit)
        self.service = NameColumn(self.limit)
        self.port = NameColumn(self.limit)
        self.port_in = NameColumn(self.limit)
        self._reserved = {name: untouched(self.limit, kind) for name, kind in _KINDS.items()}
        self.key: U64
        self.live: Bool
        self.verdict: U8
        self.own: Bool
        self.rate_out: F64
        self.rate_in: F64
        self.rate_ns: I64
        self.judged_ns: I64
        self.judged_app: U8
        self.judged_answered: Bool
        self.final: Bool  # no better evidence is expected
        self.rename: Bool  # a name was learnt after its verdict
        self.endpoint: Bool  # goes to an endpoint of the policy
        self.outcome: U8  # health.connects
        self.syns_counted: I32
        self.changed: Bool  # since the last query for changed flows
        self._partner: I32  # 1 + the slot of the other half, 0 none
        self._use(capacity)
        self._free: I32 = np.arange(capacity - 1, -1, -1, dtype=np.int32)  # a stack
        self._free_count = capacity
        self._sorted_key: U64 = np.zeros(0, np.uint64)
        self._sorted_slot: I32 = np.zeros(0, np.int32)
        self._tuple_slot: dict[int, int] = {}
        self._meters: set[int] = set()
        self.evicted = 0
        self.total = 0  # flows ever seen
        self._retired = 0  # of those, the whole ones that `retire` has dropped

    def _use(self, capacity: int) -> None:
        """Extend all columns to the first `capacity` reserved slots."""
        self.rows.grow(capacity)
        for name, column in self._reserved.items():
            setattr(self, name, column[:capacity])

    def __len__(self) -> int:
        return len(self._sorted_key)

    def _grow(self, wanted: int) -> None:
        capacity = len(self.live)
        size = capacity
        while size < min(wanted, self.limit):
            size = min(size * 2, self.limit)
        if size == capacity:
            return
        self._use(size)
        free = np.empty(size, np.int32)
        free[: size - capacity] = np.arange(size - 1, capacity - 1, -1)
        free[size - capacity :][: self._free_count] = self._free[: self._free_count]
        self._free = free
        self._free_count += size - capacity

    def find(self, keys: U64) -> I64:
        """Slots (int64) of engine-wide keys (uint64), -1 if absent."""
        if not len(self._sorted_key):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._sorted_key, keys)
        at[at == len(self._sorted_key)] = 0
        found = self._sorted_key[at] == keys
        return np.where(found, self._sorted_slot[at], -1).astype(np.int64)

    def slot(self, key: int) -> int:
        """The slot of one key, -1 none."""
        keys = self._sorted_key  # for one message at a time; `find` is for many
        at = int(keys.searchsorted(np.uint64(key)))
        return int(self._sorted_slot[at]) if at < len(keys) and keys[at] == key else -1

    def update(self, meter: int, told: FlowRows | Rows, now_ns: int) -> tuple[I64, Bool]:
        """Process the changed flows of one meter; returns (slots int64, is_new bool), aligned with
        `told`. Slot -1 means that there was no room for the row (more rows than the table holds).
        """
        if not len(told):
            return np.zeros(0, np.int64), np.zeros(0, np.bool_)
        rows = FlowRows.of(told)
        self._meters.add(meter)
        keys = rows["id"].astype(np.uint64) | np.uint64(meter << METER_SHIFT)
        slots = self.find(keys)
        is_new = slots < 0
        fresh = np.flatnonzero(is_new)
        if len(fresh):
            self.total += len(fresh)
            if len(fresh) > self.limit // 2:  # a flood: keep the newest part
                fresh = fresh[np.argsort(rows["last_ns"][fresh], kind="stable")]
                self.evicted += len(fresh) - self.limit // 2
                fresh = np.sort(fresh[-(self.limit // 2) :])
            self._make_room(len(fresh), slots[slots >= 0])
            self._free_count -= len(fresh)
            taken = self._free[self._free_count :][: len(fresh)][::-1].astype(np.int64)
            slots[fresh] = taken
            self._reset(taken)
            self._index_insert(keys[fresh], taken)
            self.key[taken] = keys[fresh]
            self.live[taken] = True
        kept = slots >= 0
        whole = bool(kept.all())
        at = slots if whole else slots[kept]
        if not whole:
            rows = rows.some(np.flatnonzero(kept))
        seconds = np.maximum(now_ns - self.rate_ns[at], SECOND // 10) / SECOND
        first = is_new[kept]
        for name in ("out", "in"):
            before = self.rows.column(f"bytes_{name}")[at]
            grown = rows.column(f"bytes_{name}") - np.where(first, 0, before)
            span = np.where(first, 1.0, seconds)
            write_changed(getattr(self, f"rate_{name}"), at, np.maximum(grown, 0) * 8 / span)
        self.rate_ns[at] = now_ns
        self.rows.put(at, rows)
        if len(fresh) and len(self._meters) > 1:
            self._join(slots[fresh])
        return slots, is_new

    def mark_own(self, slots: I64, ends: tuple[bytes, int, bytes, int]) -> None:
        """Mark the flows of these slots that belong to this tool or its user: TCP between (client
        address of 16 bytes, port, server address, port), in either order.
        """
        rows = FlowColumns(self.rows, slots)
        client, client_port, server, server_port = ends
        a, b = np.frombuffer(client, np.uint8), np.frombuffer(server, np.uint8)
        same = (rows["src"] == a).all(axis=1) & (rows["dst"] == b).all(axis=1)
        same &= (rows["sport"] == client_port) & (rows["dport"] == server_port)
        turned = (rows["src"] == b).all(axis=1) & (rows["dst"] == a).all(axis=1)
        turned &= (rows["sport"] == server_port) & (rows["dport"] == client_port)
        self.own[slots[(rows["protocol"] == 6) & (same | turned)]] = True

    def _reset(self, slots: I64) -> None:
        """Clear the columns beside the rows; empty ones are not written."""
        for name, column in self._reserved.items():
            if name not in _OPENED and column.take(slots).any():
                column[slots] = 0
        for name in _TEXTS:
            getattr(self, name)[slots] = None

    def _index_insert(self, keys: U64, slots: NDArray[np.integer]) -> None:
        order = np.argsort(keys, kind="stable")
        keys, slots = keys[order], slots[order].astype(np.int32)
        at = np.searchsorted(self._sorted_key, keys)
        self._sorted_key = np.insert(self._sorted_key, at, keys)
        self._sorted_slot = np.insert(self._sorted_slot, at, slots)

    def _make_room(self, wanted: int, keep: I64) -> None:
        if self._free_count < wanted:
            self._grow(len(self) + wanted)
        if self._free_count >= wanted:
            return
        spare = max(wanted - self._free_count, self.limit // 16)
        age = self.rows["last_ns"].copy()
        # ended flows first: a live one counts as ten minutes younger than it is, a violation as an
        # hour younger; rows of this tick are never evicted
        age += np.where(self.rows["end"] == 0, 600 * SECOND, 0)
        age += np.where(self.verdict == VIOLATION, 3600 * SECOND, 0)
        age[~self.live] = np.iinfo(np.int64).max
        age[keep] = np.iinfo(np.int64).max
        spare = min(spare, int(np.count_nonzero(self.live)) - len(keep))
        if spare <= 0:
            return
        self.remove(np.argpartition(age, spare - 1)[:spare])
        self.evicted += spare

    def whole(self) -> int:
        """The number of flows that were not cut short by a full table of their meter."""
        here = self.live & (self.rows["end"] != _END_EVICTED)
        return self._retired + int(np.count_nonzero(here))

    def retire(self, before_ns: int) -> list[tuple[int, int]]:
        """Drop the flows that ended before that time and are judged; returns their (meter, id).

        The newest `RETIRED_FROM` flows stay. Violations stay for an hour longer, and so do changed
        flows that nobody has asked for yet (a recorder that lags behind still writes them) and
        connections that only fell silent: a word after an hour may show that a firewall forgot
        them. Datagrams that fell silent were a question and its answer.
        """
        if len(self) <= RETIRED_FROM:
            return []
        silent = (self.rows["end"] == _END_IDLE) & (self.rows["protocol"] == TCP)
        longer = (self.verdict == VIOLATION) | self.changed | silent
        last_ns = self.rows["last_ns"] + np.where(longer, 3600 * SECOND, 0)
        over = self.live & (self.rows["end"] != 0) & (last_ns < before_ns)
        slots = np.flatnonzero(over & (self.verdict != PENDING))
        spare = len(self) - RETIRED_FROM
        if len(slots) > spare:
            slots = slots[np.argpartition(last_ns[slots], spare - 1)[:spare]]
        keys = self.key[slots].tolist()
        if len(slots):
            self._retired += int(np.count_nonzero(self.rows["end"][slots] != _END_EVICTED))
            self.remove(slots)
        return [(key >> METER_SHIFT, key & ((1 << METER_SHIFT) - 1)) for key in keys]

    def remove(self, slots: I64) -> None:
        """Drop the flows at these slots."""
        self.live[slots] = False
        gone = np.isin(self._sorted_slot, slots)
        self._sorted_key = self._sorted_key[~gone]
        self._sorted_slot = self._sorted_slot[~gone]
        self._free[self._free_count :][: len(slots)] = slots
        self._free_count += len(slots)
        joined = self._partner[slots]
        if joined.any():
            self._partner[joined[joined > 0] - 1] = 0
            self._partner[slots] = 0
        if self._tuple_slot:
            dead = set(slots.tolist())
            self._tuple_slot = {k: s for k, s in self._tuple_slot.items() if s not in dead}

    def _join(self, slots: I64) -> None:
        """Join one-way flows that two meters saw in opposite directions (asymmetric routing).

        Only rows that lack a direction are examined, and each five-tuple is joined once.
        """
        if not self._tuple_slot:
            slots = np.flatnonzero(self.live)
        slots = slots[slots >= 0]
        rows = FlowColumns(self.rows, slots)
        lacking = (rows["packets_out"] == 0) | (rows["packets_in"] == 0)
        for slot in slots[lacking][:65_536].tolist():
            row = self.rows[slot]
            ends = sorted([(row.src, row.sport), (row.dst, row.dport)])
            name = hash((tuple(ends), row.protocol))
            other = self._tuple_slot.get(name)
            if other is None or not self.live[other]:
                self._tuple_slot[name] = slot
                continue
            if other == slot or self.key[other] >> np.uint64(METER_SHIFT) == (
                self.key[slot] >> np.uint64(METER_SHIFT)
            ):
                continue
            known = self.rows[other]
            apart = max(row.first_ns, known.first_ns) - min(row.last_ns, known.last_ns)
            if apart > 120 * SECOND or _direction(row, row) == _direction(known, row):
                continue
            self._partner[slot] = other + 1
            self._partner[other] = slot + 1

    # ------------------------------------------------------------------ reading

    def joined(self, slot: int) -> FlowRow:
        """The flow of a slot, with its partner's direction added."""
        return self._joined(slot)[0]

    def _joined(self, slot: int, table: FlowRows | None = None) -> FlowRows:
        """The same as a table of one; `table` holds the flow's own row if it is not the book's."""
        other = int(self._partner[slot]) - 1
        table = self.rows.some(np.array([slot])) if table is None else table
        if other < 0:
            return table
        row, extra = table[0], self.rows[other]
        same = extra.src == row.src and extra.sport == row.sport
        names = FLOW_DTYPE.names or ()
        for name in names:
            if not name.endswith("_out") or f"{name[:-4]}_in" not in names:
                continue
            for mine, theirs in (("out", "out" if same else "in"), ("in", "in" if same else "out")):
                field, source = f"{name[:-4]}_{mine}", f"{name[:-4]}_{theirs}"
                if row.value(f"packets_{mine}") == 0 and name[:-4] != "packets":
                    table.column(field)[0] = extra.value(source)
        for mine, theirs in (("out", "out" if same else "in"), ("in", "in" if same else "out")):
            if row.value(f"packets_{mine}") == 0:
                table.column(f"packets_{mine}")[0] = extra.value(f"packets_{theirs}")
        row.first_ns = min(row.first_ns, extra.first_ns)
        row.last_ns = max(row.last_ns, extra.last_ns)
        if row.state in (0, 1, 9):
            row.state = 2 if row.protocol == 6 else 8
        return table

    def shown(self) -> I64:
        """Slots to list: live ones, a joined pair once (the side that has the client)."""
        slots = np.flatnonzero(self.live)
        partner = self._partner[slots] - 1
        packets_out = self.rows["packets_out"]
        second = (partner >= 0) & (
            (packets_out[slots] == 0) | ((packets_out[partner] > 0) & (partner < slots))
        )
        shown: I64 = slots[~second]
        return shown

    def rates(self, slots: I64, now_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Rates (bits/s) out and in; zero for flows without packets in the last two seconds."""
        recent = now_ns - self.rate_ns[slots] < 2 * SECOND
        return self.rate_out[slots] * recent, self.rate_in[slots] * recent

    def listed(self, slots: I64, now_ns: int) -> FlowListing:
        """The flows of `slots` in that order."""
        return FlowListing(self, slots, now_ns)

    def record(self, slot: int, now_ns: int) -> FlowRecord:
        """The flow of a slot as a record."""
        return next(self.records(np.array([slot], np.int64), now_ns))

    def records(self, slots: I64, now_ns: int) -> Iterator[FlowRecord]:
        """The flows of `slots` as records, in that order."""
        for block in self.blocks(slots, now_ns):
            yield from block.records()

    def told(self, meter: int, rows: FlowRows, now_ns: int) -> Iterator[FlowRecord]:
        """The flows of a meter's rows as records, without changing the table: other columns are
        those of the known flow; an unknown flow is pending.
        """
        keys = rows["id"].astype(np.uint64) | np.uint64(meter << METER_SHIFT)
        found = self.find(keys)
        unknown = found < 0
        slots = np.where(unknown, 0, found)
        halves = np.flatnonzero(~unknown & (self._partner[slots] > 0)).tolist()
        if halves:
            rows = rows.some(np.arange(len(keys)))  # the caller keeps its rows
        for place in halves:
            one = rows.some(np.array([place]))
            rows.put(np.array([place]), self._joined(int(slots[place]), one))
        beside = {name: getattr(self, name)[slots] for name in _BESIDE}
        for name in _TEXTS:
            beside[name][unknown] = None
        beside["verdict"][unknown], beside["own"][unknown] = PENDING, False
        rates = self.rates(slots, now_ns)
        beside["rate_out"], beside["rate_in"] = (np.where(unknown, 0.0, rate) for rate in rates)
        yield from FlowBlock(rows, keys, beside).records()

    def blocks(self, slots: I64, now_ns: int) -> Iterator[FlowBlock]:
        """The flows of `slots` in that order, in blocks of columns for display; each block is valid
        until the table gets new rows.
        """
        for start in range(0, len(slots), _RECORDS_A_BLOCK):
            some = slots[start : start + _RECORDS_A_BLOCK]
            rows: AnyRows = FlowColumns(self.rows, some)
            halves = np.flatnonzero(self._partner[some])
            if len(halves):
                rows = self.rows.some(some)
                for place in halves.tolist():
                    rows.put(np.array([place]), self._joined(int(some[place])))
            beside = {name: getattr(self, name)[some] for name in _BESIDE}
            beside["rate_out"], beside["rate_in"] = self.rates(some, now_ns)
            yield FlowBlock(rows, self.key[some], beside)

    def order(self, slots: I64, sort: str | None, reverse: bool, now_ns: int) -> I64:
        """`slots` in the order of a screen column, ascending; None: worst first, then live before
        ended, then newest activity first; unknown names: by first time.
        """
        rows = FlowColumns(self.rows, slots)
        rate_out, rate_in = self.rates(slots, now_ns)
        ranked: Sequence[object] | np.ndarray
        if sort is None:  # violations, then unjudged ones, then live ones
            ranks = np.array([1, 2, 2, 0])[self.verdict[slots]]
            order: I64 = np.lexsort((-rows["last_ns"], rows["end"] != 0, ranks))
            return slots[order[::-1] if reverse else order]
        if sort in ("last", "last_ns"):
            ranked = rows["last_ns"]
        elif sort == "packets":
            ranked = rows["packets_out"] + rows["packets_in"]
        elif sort == "bytes":
            ranked = rows["bytes_out"] + rows["bytes_in"]
        elif sort == "rate":
            ranked = rate_out + rate_in
        elif sort == "rate_out":
            ranked = rate_out
        elif sort == "rate_in":
            ranked = rate_in
        elif sort == "retransmits":
            ranked = rows["retransmits_out"] + rows["retransmits_in"]
        elif sort in ("src", "dst", "peer"):
            raw = np.ascontiguousarray(rows["src" if sort == "src" else "dst"]).view("S16").ravel()
            return slots[_stable(raw, reverse)]
        elif sort == "verdict":
            ranked = np.array([1, 2, 3, 0])[self.verdict[slots]]  # worst first
        elif sort == "transport":
            ranked = rows["protocol"]
        elif sort in ("host", "port", "service"):
            ranked = np.array([text or "" for text in getattr(self, sort)[slots]], dtype=str)
        elif sort == "app":
            ranked = np.array([a or "" for a in APPS])[rows["app"]]
        elif sort == "state":
            ranked = np.array(FLOW_STATES)[rows["state"]]
        elif sort == "rtt":
            trip = round_trips(rows)
            ranked = np.where(trip < 0, -np.inf if reverse else np.inf, trip)  # unknown last
        elif sort == "dport":
            ranked = rows["dport"]
        else:
            ranked = rows["first_ns"]
        return slots[_stable(np.asarray(ranked), reverse)]

    def page(
        self,
        *,
        now_ns: int,
        keep: Callable[[FlowRecord], bool] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
        scan_limit: int = 10_000,
    ) -> Page[FlowRecord]:
        """Visible rows of the flow pane: (records, total, matched, first, row of `follow`).

        `keep` is called for each flow in display order, at most `scan_limit` times.
        """
        slots = self.shown()
        total = len(slots)
        if port is not None:
            slots = slots[(self.port[slots] == port) | (self.port_in[slots] == port)]
        slots = self.order(slots, sort, reverse, now_ns)
        if keep is not None:
            slots = slots[:scan_limit]
            kept = [keep(record) for record in self.records(slots, now_ns)]
            slots = slots[np.array(kept, np.bool_)]
        members: dict[int, I64] = {}
        if fold:
            shown, places = folding.firsts(folding.groups(FlowColumns(self.rows, slots)))
            members = {int(slots[place]): slots[part] for place, part in places.items()}
            slots = slots[shown]
        matched = len(slots)
        first = max(0, min(first, matched - rows))
        follow_row = None
        if follow is not None and (key := flow_key_of(follow)) is not None:
            at = np.flatnonzero(self.key[slots] == np.uint64(key))
            follow_row = int(at[0]) if len(at) else None
        chosen = slots[first : first + rows]
        found = list(self.records(chosen, now_ns))
        folds: dict[str, Fold] = {}
        for place, slot in enumerate(chosen.tolist()):
            if slot in members:
                found[place] = self._summed(found[place], members[slot], now_ns)
                folds[found[place].id] = folding.fold_of(found[place], len(members[slot]))
        return Page(tuple(found), total, matched, first, follow_row, folds=folds)

    def _summed(self, record: FlowRecord, slots: I64, now_ns: int) -> FlowRecord:
        """A record with the sums of all flows merged into it."""
        rows = FlowColumns(self.rows, slots)
        rate_out, rate_in = self.rates(slots, now_ns)
        sums = {
            name: int(rows[name].sum())
            for name in ("packets_out", "packets_in", "bytes_out", "bytes_in")
        }
        return msgspec.structs.replace(
            record,
            **sums,
            rate_out_bps=float(np.nansum(rate_out)),
            rate_in_bps=float(np.nansum(rate_in)),
            first_time_ns=int(rows["first_ns"].min()),
            last_time_ns=int(rows["last_ns"].max()),
        )


class FlowListing:
    """Flows in an order, as records or as columns; valid until the table gets new rows."""

    def __init__(self, book: FlowBook, slots: I64, now_ns: int) -> None:
        self._book = book
        self._slots = slots
        self._now_ns = now_ns

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[FlowRecord]:
        return self._book.records(self._slots, self._now_ns)

    def blocks(self) -> Iterator[FlowBlock]:
        """The same flows in blocks of columns."""
        return self._book.blocks(self._slots, self._now_ns)


def _stable(column: np.ndarray, reverse: bool) -> I64:
    order: I64 = np.argsort(column, kind="stable")
    if reverse:  # equal values keep their order also in descending order
        order = len(column) - 1 - np.argsort(column[::-1], kind="stable")[::-1]
    return order


def _direction(row: FlowRow, reference: FlowRow) -> int:
    """The direction of a one-way row's packets, in `reference`'s orientation: 1 out, -1 in."""
    same = row.src == reference.src and row.sport == reference.sport
    way = 1 if row.packets_out > 0 else -1
    return way if same else -way
