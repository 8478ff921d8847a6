"""Flow rows by column: the form in which a meter reports flows and the engine stores them.

The fields are those of `FLOW_DTYPE`. Each is a column of its own, because a reader of a few fields
of 20,000 flows should not load the others. Most flows leave half of the fields at zero; in a large
table such fields take no memory until something is written to them.

Fields of equal width are adjacent in memory, so that a few flows are written at once in few steps.
`FlowRow` is one flow of a table, `FlowColumns` a selection of flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from panotui.model.arrays import I64, Rows
from panotui.model.tables import FLOW_DTYPE
from panotui.model.untouched import untouched

# The fields of `FLOW_DTYPE` by name, so that the type checker finds a misspelt column. A test keeps
# both in step.
FlowField: TypeAlias = Literal[
    "id", "version", "protocol", "client_by", "state", "end", "app", "src", "dst", "sport",
    "dport", "vlan", "interface_out", "interface_in", "mac_out_src", "mac_out_dst", "mac_in_src",
    "mac_in_dst", "ttl_out", "ttl_in", "first_ns", "last_ns", "first_packet", "last_packet",
    "packets_out", "packets_in", "bytes_out", "bytes_in", "payload_out", "payload_in",
    "last_out_ns", "last_in_ns", "syn_out", "syn_in", "syn_ns", "syn_last_ns", "synack_ns",
    "fin_out", "fin_in", "rst_out", "rst_in", "rst_ns", "rst_packet", "rst_ttl",
    "handshake_rtt_us", "server_rtt_us", "rtt_us", "rtt_min_us", "data_segments_out",
    "data_segments_in", "retransmits_out", "retransmits_in", "fast_retransmits_out",
    "fast_retransmits_in", "spurious_out", "spurious_in", "out_of_order_out", "out_of_order_in",
    "lost_segments_out", "lost_segments_in", "dup_acks_out", "dup_acks_in", "zero_window_out",
    "zero_window_in", "window_full_out", "window_full_in", "window_update_out",
    "window_update_in", "keep_alive_out", "keep_alive_in", "unseen_out", "unseen_in",
    "acked_unseen_out", "acked_unseen_in", "zero_window_now_out", "zero_window_now_in", "mss_out",
    "mss_in", "max_segment_out", "max_segment_in", "first_payload_ns", "first_answer_ns",
    "history",
]  # fmt: skip

# an address or a history has two words
_WORDS: dict[int, type[np.generic]] = {
    1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.int64
}  # fmt: skip
_NAMES: tuple[str, ...] = FLOW_DTYPE.names or ()
_FIELDS: dict[int, list[str]] = {
    size: [name for name in _NAMES if FLOW_DTYPE[name].itemsize == size] for size in _WORDS
}
# where each field is: the width of its words, its index among them
_PLACE: dict[str, tuple[int, int]] = {
    name: (size, index) for size, names in _FIELDS.items() for index, name in enumerate(names)
}
_LARGE = 1_024  # rows; a smaller table is not worth separate pages
_FEW = 128  # rows; up to this many are written with all fields at once


def _shape(size: int, count: int) -> tuple[int, ...]:
    fields = len(_FIELDS[size])
    return (fields, count, 2) if size == 16 else (fields, count)


def _column(words: NDArray[Any], name: str) -> NDArray[Any]:
    """The words of a field as values: (n,) values, or (n, 16) bytes."""
    kind = FLOW_DTYPE[name]
    if kind.itemsize < 16:
        return words.view(kind)
    return words.view(np.uint8) if kind.shape else words.view(kind)[:, 0]


class _Field:
    """A field of `FlowRow`: a plain number, or the bytes of an address or a history."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_bytes = bool(FLOW_DTYPE[name].shape) or FLOW_DTYPE[name].kind == "S"

    def __get__(self, row: FlowRow | None, owner: type[FlowRow]) -> Any:
        if row is None:
            return self
        column = row.table.column(self._name)
        if not self._is_bytes:
            return column.item(row.place)
        value = column[row.place]
        return bytes(value) if isinstance(value, bytes) else value.tobytes()

    def __set__(self, row: FlowRow, value: Any) -> None:
        column = row.table.column(self._name)
        if column.ndim > 1:
            column[row.place] = np.frombuffer(value.ljust(16, b"\0"), np.uint8)
        else:
            column[row.place] = value


class FlowRow:
    """One flow of a table: `row.last_ns` reads the current value of a field, and setting a field
    writes to the table.

    The fields are those of `FLOW_DTYPE`, with plain Python values; a test keeps both in step. The
    type checker finds a name that does not exist.
    """

    id: int
    version: int
    protocol: int
    client_by: int
    state: int
    end: int
    app: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    vlan: int
    interface_out: int
    interface_in: int
    mac_out_src: int
    mac_out_dst: int
    mac_in_src: int
    mac_in_dst: int
    ttl_out: int
    ttl_in: int
    first_ns: int
    last_ns: int
    first_packet: int
    last_packet: int
    packets_out: int
    packets_in: int
    bytes_out: int
    bytes_in: int
    payload_out: int
    payload_in: int
    last_out_ns: int
    last_in_ns: int
    syn_out: int
    syn_in: int
    syn_ns: int
    syn_last_ns: int
    synack_ns: int
    fin_out: int
    fin_in: int
    rst_out: int
    rst_in: int
    rst_ns: int
    rst_packet: int
    rst_ttl: int
    handshake_rtt_us: int
    server_rtt_us: int
    rtt_us: int
    rtt_min_us: int
    data_segments_out: int
    data_segments_in: int
    retransmits_out: int
    retransmits_in: int
    fast_retransmits_out: int
    fast_retransmits_in: int
    spurious_out: int
    spurious_in: int
    out_of_order_out: int
    out_of_order_in: int
    lost_segments_out: int
    lost_segments_in: int
    dup_acks_out: int
    dup_acks_in: int
    zero_window_out: int
    zero_window_in: int
    window_full_out: int
    window_full_in: int
    window_update_out: int
    window_update_in: int
    keep_alive_out: int
    keep_alive_in: int
    unseen_out: int
    unseen_in: int
    acked_unseen_out: int
    acked_unseen_in: int
    zero_window_now_out: int
    zero_window_now_in: int
    mss_out: int
    mss_in: int
    max_segment_out: int
    max_segment_in: int
    first_payload_ns: int
    first_answer_ns: int
    history: bytes

    def __init__(self, table: AnyRows, place: int) -> None:
        self.table = table
        self.place = place

    def value(self, name: str) -> Any:
        """The value of a field by its name at run time: a scalar, or (16,) bytes."""
        return self.table.column(name)[self.place]

    def alone(self) -> FlowColumns:
        """The flow as rows with a single element."""
        return FlowColumns(self.table, np.array([self.place]))


for _name in _NAMES:
    setattr(FlowRow, _name, _Field(_name))


class Block(NamedTuple):
    """Some fields of one width, which are filled at once."""

    size: int
    places: slice | I64

    @staticmethod
    def of(*names: str) -> Block:
        """The block of these fields; ValueError if their widths differ."""
        sizes, places = zip(*(_PLACE[name] for name in names), strict=True)
        if len(set(sizes)) != 1:
            raise ValueError(f"fields of several widths: {', '.join(names)}")
        step = places[1] - places[0] if len(places) > 1 else 1
        if step > 0 and list(places) == list(range(places[0], places[-1] + 1, step)):
            return Block(sizes[0], slice(places[0], places[-1] + 1, step))
        return Block(sizes[0], np.array(places))


class FlowRows:
    """(n,) flows: `rows[name]` is a column, (n,) or (n, 16); `rows[i]` is one flow; `rows[places]`,
    a mask or a slice gives the `FlowColumns` of a selection.

    `reserved`: number of rows that `grow` may use.
    """

    def __init__(self, count: int, reserved: int = 0) -> None:
        self._count = count
        room = max(count, reserved)
        blank = untouched if room > _LARGE else np.zeros
        self._groups: dict[int, NDArray[Any]] = {
            size: blank(_shape(size, room), word) for size, word in _WORDS.items()
        }
        self._columns: dict[str, NDArray[Any]] = {}

    @staticmethod
    def of(rows: FlowRows | Rows) -> FlowRows:
        """Rows of FLOW_DTYPE by column."""
        if isinstance(rows, FlowRows):
            return rows
        out = FlowRows(len(rows))
        for name in _NAMES:
            out[name] = rows[name]
        return out

    @staticmethod
    def of_bytes(raw: bytes | memoryview) -> FlowRows:
        """The rows that `tobytes` encoded; ValueError for another length."""
        count, rest = divmod(len(raw), FLOW_DTYPE.itemsize)
        if rest:
            raise ValueError(f"{len(raw)} bytes are no flow rows")
        out = FlowRows(0)
        view = memoryview(raw)
        start = 0
        for size, word in _WORDS.items():
            stop = start + size * len(_FIELDS[size]) * count
            words = np.frombuffer(bytearray(view[start:stop]), word)
            out._groups[size] = words.reshape(_shape(size, count))
            start = stop
        out._count = count
        return out

    def tobytes(self) -> bytes:
        """All fields as bytes, by width and column."""
        groups = (group[:, : self._count] for group in self._groups.values())
        return b"".join(np.ascontiguousarray(group).data for group in groups)

    def whole(self) -> Rows:
        """The flows as rows of FLOW_DTYPE."""
        return self[:].whole()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FlowRow]:
        return (FlowRow(self, place) for place in range(self._count))

    @overload
    def __getitem__(self, which: FlowField) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, which: int | np.integer) -> FlowRow: ...
    @overload
    def __getitem__(self, which: slice | NDArray[Any]) -> FlowColumns: ...

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, str):
            return self._columns[which] if which in self._columns else self.column(which)
        if isinstance(which, int | np.integer):
            return FlowRow(self, int(which))
        return FlowColumns(self, np.arange(self._count)[which])

    def column(self, name: str) -> NDArray[Any]:
        """The column of a field by its name at run time; KeyError if there is none."""
        column = self._columns.get(name)
        if column is None:
            size, index = _PLACE[name]
            column = _column(self._groups[size][index, : self._count], name)
            self._columns[name] = column
        return column

    def __setitem__(self, name: str, values: Any) -> None:
        """Fill a column."""
        size, index = _PLACE[name]
        if size == 16:
            self.column(name)[...] = values
        else:  # by its words: the same bits, without another view
            self._groups[size][index, : self._count] = values

    def fill(self, block: Block, values: NDArray[Any]) -> None:
        """Fill fields with (fields, n) values, or (fields, n, 16) bytes."""
        if block.size == 16:
            values = values.view(np.int64)
        self._groups[block.size][block.places, : self._count] = values

    def copy(self) -> FlowRows:
        """A copy of the flows."""
        out = FlowRows(self._count)
        out.place(0, self)
        return out

    def some(self, places: I64) -> FlowRows:
        """A copy of the flows at these places."""
        out = FlowRows(len(places))
        for size, group in self._groups.items():
            for column, words in zip(out._groups[size], group, strict=True):
                taken = words.take(places, axis=0)
                if taken.any():
                    column[...] = taken
        return out

    def place(self, start: int, rows: FlowRows) -> None:
        """Write `rows` from a place on where nothing has been written before."""
        stop = start + len(rows)
        for size, group in self._groups.items():
            words = rows._groups[size][:, : len(rows)]
            if self._count <= _LARGE:
                group[:, start:stop] = words
                continue
            for column, some in zip(group, words, strict=True):
                if some.any():
                    column[start:stop] = some

    # ------------------------------------------------------------------ a table by slot

    def grow(self, count: int) -> None:
        """Use the first `count` of the reserved rows; ValueError beyond the reserve."""
        self._count = count
        self._columns = {}

    def put(self, slots: I64, rows: FlowRows) -> None:
        """Write `rows` (n,) at n distinct slots. Only values that differ are written, since even a
        zero written over a zero would take memory.
        """
        put = _put_few if len(slots) <= _FEW else _put_many
        for size, group in self._groups.items():
            put(group, slots, rows._groups[size][:, : len(slots)])


def _put_few(group: NDArray[Any], slots: I64, new: NDArray[Any]) -> None:
    at = np.nonzero(group[:, slots] != new)
    group[(at[0], slots[at[1]], *at[2:])] = new[at]


def _put_many(group: NDArray[Any], slots: I64, new: NDArray[Any]) -> None:
    for column, words in zip(group, new, strict=True):
        if words.ndim > 1:  # addresses differ
            column[slots] = words
        else:
            write_changed(column, slots, words)


def write_changed(column: NDArray[Any], slots: NDArray[Any], values: NDArray[Any]) -> None:
    """Write (n,) values at distinct slots of a column where they differ from the present ones."""
    differ = column.take(slots) != values
    count = np.count_nonzero(differ)
    if count == len(slots):
        column[slots] = values
    elif count:
        column[slots[differ]] = values[differ]


def joined(parts: Iterable[FlowRows]) -> FlowRows:
    """The rows of several tables, in this order."""
    tables = list(parts)
    out, place = FlowRows(sum(len(table) for table in tables)), 0
    for table in tables:
        out.place(place, table)
        place += len(table)
    return out


class FlowColumns:
    """A selection of flows of a table; each column is copied on first use, and kept.

    A row has 427 bytes; a reader of three columns of 20,000 flows should not copy all of them.
    """

    def __init__(self, rows: AnyRows, places: I64) -> None:
        """`rows`: a table; `places`: the rows selected from it."""
        self._rows = rows
        self._places = places
        self._taken: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[FlowRow]:
        return (FlowRow(self._rows, place) for place in self._places.tolist())

    @overload
    def __getitem__(self, which: FlowField) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, which: int | np.integer) -> FlowRow: ...
    @overload
    def __getitem__(self, which: slice | NDArray[Any]) -> FlowColumns: ...

    def __getitem__(self, which: Any) -> Any:
        """`[name]`: (n,) or (n, 16) values of a field, read-only; otherwise as `FlowRows`."""
        if isinstance(which, str):
            return self._taken[which] if which in self._taken else self.column(which)
        if isinstance(which, int | np.integer):
            return FlowRow(self._rows, int(self._places[which]))
        return FlowColumns(self._rows, self._places[which])

    def column(self, name: str) -> NDArray[Any]:
        """The column of a field by its name at run time; KeyError if there is none."""
        column = self._taken.get(name)
        if column is None:
            column = self._taken[name] = self._rows.column(name).take(self._places, axis=0)
        return column

    def whole(self) -> Rows:
        """The flows as rows of FLOW_DTYPE."""
        rows = np.empty(len(self), FLOW_DTYPE)
        for name in _NAMES:
            rows[name] = self.column(name)
        return rows


# any object with columns by name that can be indexed by a mask, places or a slice
AnyRows: TypeAlias = FlowRows | FlowColumns
