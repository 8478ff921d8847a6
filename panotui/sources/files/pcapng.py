"""The pcapng capture format (draft-ietf-opsawg-pcapng): bytes in, batches out.

Several sections, each with its byte order and interfaces; enhanced, simple and old packet blocks;
time resolutions in powers of ten and of two, with offsets; direction flags; drop counts of
interface statistics. Blocks of other kinds are skipped. A damaged block is counted, and reading
continues at the next plausible one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from msgspec import Struct, field

from panotui.errors import InputError
from panotui.model import I16, I64, U8, U32, U64, Bool, Interface, PacketBatch, SourceCounters
from panotui.model.arrays import distinct
from panotui.sources.files.pcap import RESYNC_WINDOW, Taken
from panotui.sources.files.walk import Geometry, Walk, walk

SECTION, INTERFACE, OLD_PACKET, SIMPLE, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 5, 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
SECTION_MAGIC = b"\n\r\r\n"
LARGEST_BLOCK = 16 << 20
INTERFACES_MAX = 1_024  # a hostile file must not grow tables without limit; the batch index is i2
LATEST_S = 9_000_000_000  # roughly the last second that int64 nanoseconds can hold

OPT_END, OPT_COMMENT = 0, 1
IF_NAME, IF_SPEED, IF_TSRESOL, IF_TSOFFSET = 2, 8, 9, 14
ISB_IFDROP, ISB_OSDROP = 5, 7
EPB_FLAGS, EPB_DROPCOUNT = 2, 4
MISSED_MOST = 1 << 40  # packets; a larger count before one packet is invalid


class _Clock(Struct):
    """The time stamps of one interface."""

    power_of_two: bool = False
    exponent: int = 6
    offset_s: int = 0

    def nanoseconds(self, units: U64) -> I64:
        """Stamps in units of the resolution as nanoseconds since the epoch; extreme values are
        clamped.
        """
        if not self.power_of_two and self.exponent <= 9:
            scale = 10 ** (9 - self.exponent)
            if int(units.max(initial=0)) <= LATEST_S * 1_000_000_000 // scale and not self.offset_s:
                plain: I64 = units.astype(np.int64) * scale  # a 64-bit division costs 10 ns
                return plain
        if self.power_of_two:
            shift = np.uint64(self.exponent)
            seconds = units >> shift
            fraction = units & ((np.uint64(1) << shift) - np.uint64(1))
            if self.exponent > 34:  # so that the product below stays within 64 bits
                fraction >>= np.uint64(self.exponent - 34)
                shift = np.uint64(34)
            rest = (fraction * np.uint64(1_000_000_000)) >> shift
        elif self.exponent <= 19:
            seconds, fraction = np.divmod(units, np.uint64(10**self.exponent))
            if self.exponent <= 9:
                rest = fraction * np.uint64(10 ** (9 - self.exponent))
            else:
                rest = fraction // np.uint64(10 ** (self.exponent - 9))
        else:
            seconds = rest = np.zeros_like(units)
        whole: I64 = np.minimum(seconds, np.uint64(LATEST_S)).astype(np.int64)
        whole = np.clip(whole + self.offset_s, -LATEST_S, LATEST_S)
        whole *= 1_000_000_000
        whole += rest.astype(np.int64)
        return whole


class _Section(Struct):
    order: str
    geometry: Geometry
    base: int  # index of this section's interface 0 in the source's list
    clocks: list[_Clock] = field(default_factory=list)


class PcapngFormat:
    """Reads one file; `take` gets windows of its bytes in order, at positions that are multiples of
    four from the file's start.
    """

    name = "pcapng"

    def __init__(self, header: bytes, counters: SourceCounters, what: str, label: str) -> None:
        """`header` is the first 12 bytes; `what` names the input in errors; `label` names
        interfaces without a name. InputError if it is not a section header.
        """
        if len(header) < 12 or header[:4] != SECTION_MAGIC or _section_order(header[8:12]) is None:
            raise InputError(what, "not a capture file (pcap, pcapng, plain, .gz or .zst)")
        self._order = _section_order(header[8:12])
        self.interfaces: list[Interface] = []
        self.counters = counters
        self._label = label
        self._section: _Section | None = None
        self._largest_seen = 0
        self._lost_sync = False
        self._last_ns = 0
        self._drops: dict[int, tuple[int, int]] = {}  # interface -> (its own drops, the system's)
        self._drops_ahead = (0, 0)  # sums from the file's last blocks, read in advance

    def take(self, data: U8, start: int, stop: int, final: bool, most: int) -> Taken:
        """The whole blocks of `data[start:stop]`; `final`: no more bytes will come."""
        if self._lost_sync:
            found, start = self._resync(data, start, stop, final)
            if not found:
                self.counters.truncated |= final
                return Taken(None, start, stop - start + 4, ended=final)
        if stop - start >= 12 and data[start : start + 4].tobytes() == SECTION_MAGIC:
            return self._open_section(data, start, stop, final)
        section = self._section
        if section is None:  # the header is still incomplete
            return Taken(None, start, 12, ended=final)
        walked = walk(data, start, stop, section.geometry, self._guess, most, self._largest_seen)
        return self._taken(section, data, walked, stop, final)

    # ------------------------------------------------------------------ blocks in bulk

    def _taken(self, section: _Section, data: U8, walked: Walk, stop: int, final: bool) -> Taken:
        offsets, next_, broken = walked.offsets, walked.next, walked.broken
        if not len(offsets):
            return self._nothing(section, data, walked, stop, final)
        words = walked.heads.view(section.order + "u4").reshape(len(offsets), -1)
        sizes = section.geometry.steps(walked.heads)
        trailers = _u32_at(data, offsets + sizes - 4, section.order)
        kinds = words[:, 0]
        # a new section may have another byte order: the rest was parsed with the wrong one
        bad = (trailers != words[:, 1]) | (kinds == SECTION)
        if bad.any():
            first = int(bad.argmax())
            next_, broken = int(offsets[first]), bool(kinds[first] != SECTION)
            offsets, words = offsets[:first], words[:first]
            sizes, kinds = sizes[:first], kinds[:first]
        batch = self._packets(section, data, offsets, words, sizes, kinds)
        if broken and data[next_ : next_ + 4].tobytes() != SECTION_MAGIC:
            self.counters.malformed += 1
            self._lost_sync = True
            next_ += 4
        return Taken(batch, next_, 0)

    def _nothing(self, section: _Section, data: U8, walked: Walk, stop: int, final: bool) -> Taken:
        if walked.broken:
            self.counters.malformed += 1
            self._lost_sync = True
            return Taken(None, walked.next + 4, 0)
        left = stop - walked.next
        need = 12
        if left >= 8:
            need = section.geometry.step(data, walked.next)
        if final and left > 0:
            self.counters.truncated = True
        return Taken(None, walked.next, need, ended=final)

    def _packets(
        self, section: _Section, data: U8, offsets: I64, words: U32, sizes: I64, kinds: U32
    ) -> PacketBatch | None:
        if not len(offsets):
            return None
        enhanced = kinds == ENHANCED
        if enhanced.all():
            rows = None
        else:
            other = np.flatnonzero(~enhanced)
            self._other_blocks(section, data, offsets[other], sizes[other], kinds[other])
            rows = np.flatnonzero(enhanced | (kinds == SIMPLE) | (kinds == OLD_PACKET))
            if not len(rows):
                return None
            offsets, words, sizes, kinds = offsets[rows], words[rows], sizes[rows], kinds[rows]
        interface = words[:, 2].astype(np.int64)
        high, low = words[:, 3], words[:, 4]
        captured = words[:, 5].astype(np.int64)
        wire_length = words[:, 6].astype(np.int64)
        at = np.full(len(offsets), 28, np.int64)
        simple: Bool | None = None
        if rows is not None:
            old = kinds == OLD_PACKET
            if old.any():
                shift = 16 if section.order == ">" else 0
                interface[old] = (words[old, 2] >> np.uint32(shift)) & np.uint32(0xFFFF)
            simple = kinds == SIMPLE
            if simple.any():
                base, known = section.base, len(section.clocks)
                limit = self.interfaces[base].snaplen if known else 0
                interface[simple] = 0
                wire_length[simple] = words[simple, 2]
                captured[simple] = np.minimum(wire_length[simple], limit or 1 << 30)
                captured[simple] = np.minimum(captured[simple], sizes[simple] - 16)
                at[simple] = 12
        good = interface < len(section.clocks)
        good &= captured <= sizes - (at + 4)
        if not good.all():
            self.counters.malformed += int((~good).sum())
            interface, high, low, at = interface[good], high[good], low[good], at[good]
            captured, wire_length = captured[good], wire_length[good]
            offsets, sizes = offsets[good], sizes[good]
            simple = None if simple is None else simple[good]
            kinds = kinds[good]
            if not len(offsets):
                return None
        time_ns = self._times(section, interface, high, low)
        if simple is not None and simple.any():
            time_ns = _carried(time_ns, simple, self._last_ns)
        np.maximum(wire_length, captured, out=wire_length)
        n = len(offsets)
        self._last_ns = int(time_ns[-1])
        self._largest_seen = max(self._largest_seen, int(sizes.max()))
        outgoing, missed = self._annotations(section, data, offsets, sizes, captured, kinds)
        if missed is not None:
            self.counters.dropped_told += int(missed.sum())
        first = self.counters.packets + 1
        self.counters.packets += n
        self.counters.bytes += int(wire_length.sum())
        return PacketBatch(
            data,
            offsets + at,
            captured,
            wire_length,
            time_ns,
            (interface + section.base).astype(np.int16),
            self.interfaces,
            first,
            None,
            outgoing,
            missed,
        )

    def _times(self, section: _Section, interface: I64, high: U32, low: U32) -> I64:
        units = high.astype(np.uint64)
        units <<= np.uint64(32)
        units |= low
        used = distinct(interface) if len(section.clocks) > 1 else np.zeros(1, np.int64)
        if len(used) == 1:
            return section.clocks[int(interface[0])].nanoseconds(units)
        time_ns = np.empty(len(units), np.int64)
        for number in used.tolist():
            mine = interface == number
            time_ns[mine] = section.clocks[number].nanoseconds(units[mine])
        return time_ns

    def _annotations(
        self, section: _Section, data: U8, offsets: I64, sizes: I64, captured: I64, kinds: U32
    ) -> tuple[I16 | None, I64 | None]:
        """Inbound or outbound by epb_flags, and packets dropped before by epb_dropcount; None if no
        packet has them.
        """
        at = offsets + 28 + ((captured + 3) & ~3)
        end = offsets + sizes - 4
        rows = np.flatnonzero((at + 8 <= end) & (kinds == ENHANCED))
        if not len(rows):
            return None, None
        outgoing: I16 | None = None
        missed: I64 | None = None
        for _ in range(4):  # flags come first or after a comment or two
            option = _u32_at(data, at[rows], section.order)
            if section.order == "<":
                code, length = option & np.uint32(0xFFFF), option >> np.uint32(16)
            else:
                code, length = option >> np.uint32(16), option & np.uint32(0xFFFF)
            flags = rows[(code == EPB_FLAGS) & (length == 4)]
            if len(flags):
                if outgoing is None:
                    outgoing = np.full(len(offsets), -1, np.int16)
                direction = _u32_at(data, at[flags] + 4, section.order) & np.uint32(3)
                outgoing[flags] = np.array([-1, 0, 1, -1], np.int16)[direction]
            counts = rows[(code == EPB_DROPCOUNT) & (length == 8)]
            counts = counts[at[counts] + 12 <= end[counts]]
            if len(counts):
                if missed is None:
                    missed = np.zeros(len(offsets), np.int64)
                missed[counts] = self._dropcounts(section, data, at[counts] + 4)
            more = code != OPT_END
            at[rows] += 4 + ((length.astype(np.int64) + 3) & ~3)
            rows = rows[more]
            rows = rows[at[rows] + 8 <= end[rows]]
            if not len(rows):
                break
        return outgoing, missed

    @staticmethod
    def _dropcounts(section: _Section, data: U8, at: I64) -> I64:
        """(n,) 64-bit counts; implausible ones are 0."""
        first = _u32_at(data, at, section.order).astype(np.int64)
        second = _u32_at(data, at + 4, section.order).astype(np.int64)
        low, high = (first, second) if section.order == "<" else (second, first)
        count: I64 = np.where(high < MISSED_MOST >> 32, high << 32 | low, 0)
        return count

    # ------------------------------------------------------------------ rare blocks

    def _open_section(self, data: U8, start: int, stop: int, final: bool) -> Taken:
        order = _section_order(data[start + 8 : start + 12].tobytes())
        size = 0
        if order is not None:
            (size,) = struct.unpack_from(order + "I", data.data, start + 4)
            if start + size > stop and 28 <= size <= LARGEST_BLOCK and not final:
                return Taken(None, start, size)
        trailer = data[start + size - 4 : start + size].tobytes() if size >= 28 else b""
        if order is None or size % 4 or trailer != struct.pack(order + "I", size):
            self.counters.malformed += 1
            self._lost_sync = True
            return Taken(None, start + 4, 0)
        geometry = Geometry(
            head=28,
            least_head=12,
            length_at=4,
            overhead=0,
            order=order,
            least=12,
            largest=LARGEST_BLOCK,
            padded=True,
        )
        self._section = _Section(order, geometry, len(self.interfaces))
        return Taken(None, start + size, 0)

    def _other_blocks(
        self, section: _Section, data: U8, offsets: I64, sizes: I64, kinds: U32
    ) -> None:
        # statistics count totals, so only the last of many are needed
        for kind, read, last in (
            (INTERFACE, self._interface, 1 << 30),
            (STATISTICS, self._statistics, 2 * INTERFACES_MAX),
        ):
            for row in np.flatnonzero(kinds == kind)[-last:].tolist():
                at, size = int(offsets[row]), int(sizes[row])
                read(section, data[at + 8 : at + size - 4].tobytes())

    def _interface(self, section: _Section, body: bytes) -> None:
        if len(body) < 8 or len(self.interfaces) >= INTERFACES_MAX:
            self.counters.malformed += 1
            return
        linktype, _, snaplen = struct.unpack_from(section.order + "HHI", body)
        clock = _Clock()
        name = ""
        speed: int | None = None
        for code, value in _options(body, 8, section.order):
            if code == IF_NAME:
                name = _name(value)
            elif code == IF_TSRESOL and len(value) >= 1:
                clock.power_of_two, clock.exponent = bool(value[0] & 0x80), value[0] & 0x7F
                if clock.power_of_two:
                    clock.exponent = min(clock.exponent, 63)
            elif code == IF_TSOFFSET and len(value) >= 8:
                (offset,) = struct.unpack_from(section.order + "q", value)
                clock.offset_s = max(-LATEST_S, min(LATEST_S, offset))
            elif code == IF_SPEED and len(value) >= 8:
                (speed,) = struct.unpack_from(section.order + "Q", value)
        section.clocks.append(clock)
        label = name or f"{self._label}#{len(self.interfaces)}"
        self.interfaces.append(
            Interface(label, linktype, snaplen if 0 < snaplen < 1 << 24 else 262_144, speed)
        )

    def _statistics(self, section: _Section, body: bytes) -> None:
        if len(body) < 12:
            self.counters.malformed += 1
            return
        (number,) = struct.unpack_from(section.order + "I", body)
        if number >= len(section.clocks):
            return
        self._drops[section.base + number] = _drops_told(body, section.order)
        self._tell_drops()

    def _tell_drops(self) -> None:
        own, system = self._drops_ahead
        self.counters.dropped_interface = max(own, sum(d[0] for d in self._drops.values()))
        self.counters.dropped_ring = max(system, sum(d[1] for d in self._drops.values()))

    def look_ahead(self, data: U8) -> None:
        """Read the statistics at the end of a whole file, so that the drops of its capture are
        known before the first packet is judged. `data` is the end of the file.
        """
        order = self._order
        drops: dict[int, tuple[int, int]] = {}
        stop = len(data)
        for _ in range(2 * INTERFACES_MAX):
            if order is None or stop < 24:
                break
            (size,) = struct.unpack_from(order + "I", data.data, stop - 4)
            if not 24 <= size <= 4096 or size > stop:
                break
            kind, again, number = struct.unpack_from(order + "III", data.data, stop - size)
            if kind != STATISTICS or again != size:
                break
            body = data[stop - size + 8 : stop - 4].tobytes()
            drops.setdefault(number, _drops_told(body, order))  # the last of an interface
            stop -= size
        self._drops_ahead = (sum(d[0] for d in drops.values()), sum(d[1] for d in drops.values()))
        self._tell_drops()

    # ------------------------------------------------------------------ finding blocks

    def _guess(self, data: U8, positions: I64, window: int, stop: int) -> I64:
        """The first plausible packet block in each window: type, size and trailing size match."""
        section = self._section
        order = section.order if section is not None else "<"
        found = np.full(len(positions), -1, np.int64)
        aligned = (positions + 3) & ~3
        count = min(window, max(stop - int(aligned[0]) - 12, 0)) // 4
        words: U32 = np.ndarray((len(data) // 4,), order + "u4", buffer=data)
        if len(positions) == 1:
            first = int(aligned[0]) // 4
            region = words[first : first + count]
            at = (np.flatnonzero(_packet_kind(region)) + first) * 4
        else:
            usable = int(np.searchsorted(aligned, stop - window - 12, "right"))
            grid = aligned[:usable, None] // 4 + np.arange(window // 4)
            row, column = np.nonzero(words[grid] == ENHANCED)
            at = grid[row, column] * 4
        if not len(at):
            return found
        plausible, following = self._plausible(data, at, stop, order)
        inside = np.flatnonzero(plausible & (following + 12 <= stop))
        good, _ = self._plausible(data, following[inside], stop, order)
        plausible[inside] = good | (_u32_at(data, following[inside], order) == SECTION)
        at = at[plausible]
        rows = np.searchsorted(aligned, at, "right") - 1
        keep = np.ones(len(rows), bool)
        keep[1:] = rows[1:] != rows[:-1]
        found[rows[keep]] = at[keep]
        return found

    def _plausible(self, data: U8, at: I64, stop: int, order: str) -> tuple[Bool, I64]:
        sizes = _u32_at(data, at + 4, order).astype(np.int64)
        good = (sizes >= 12) & (sizes <= LARGEST_BLOCK) & (sizes % 4 == 0)
        following = at + np.where(good, sizes, 12)
        inside = np.flatnonzero(good & (following <= stop))
        good[inside] = _u32_at(data, following[inside] - 4, order) == sizes[inside]
        return good, following

    def _resync(self, data: U8, start: int, stop: int, final: bool) -> tuple[bool, int]:
        """(found, position): the next plausible block or section, otherwise where to continue the
        search.

        After a damaged first header of a section, no block can be read before the next section.
        """
        position = (start + 3) & ~3
        while position + 12 <= stop:
            block = -1
            if self._section is not None:
                here = np.array([position], np.int64)
                (block,) = self._guess(data, here, RESYNC_WINDOW, stop).tolist()
            reach = min(position + RESYNC_WINDOW, stop)
            section = data[position:reach].tobytes().find(SECTION_MAGIC)
            if section >= 0 and not section % 4 and (block < 0 or position + section < block):
                block = position + section
            if block >= 0:
                self._lost_sync = False
                return True, int(block)
            position += RESYNC_WINDOW
        return False, stop if final else max(start, stop - 12 & ~3)


def _packet_kind(words: U32) -> Bool:
    kinds: Bool = (words == ENHANCED) | (words == SIMPLE) | (words == OLD_PACKET)
    return kinds


def _drops_told(body: bytes, order: str) -> tuple[int, int]:
    """(packets dropped by the interface, and by the system) in a statistics block."""
    values = dict(_options(body, 12, order))
    counts = []
    for code in (ISB_IFDROP, ISB_OSDROP):
        value = values.get(code, b"")
        count = int(struct.unpack_from(order + "Q", value)[0]) if len(value) >= 8 else 0
        counts.append(min(count, 1 << 62))  # counts may be invalid
    return counts[0], counts[1]


def _section_order(raw: bytes) -> str | None:
    for order in "<>":
        if raw == struct.pack(order + "I", BYTE_ORDER_MAGIC):
            return order
    return None


def _u32_at(data: U8, at: I64, order: str) -> U32:
    """(n,) words at positions that are multiples of four; zero past the end."""
    words: U32 = data[: len(data) & ~3].view(order + "u4")
    if not len(words):
        return np.zeros(len(at), np.uint32)
    taken: U32 = words.take(at >> 2, mode="clip")
    outside = (at < 0) | (at + 4 > len(data))
    if outside.any():
        taken[outside] = 0
    return taken


def _carried(time_ns: I64, missing: Bool, before: int) -> I64:
    """Times in which `missing` ones repeat the last one before them, or else the first."""
    known = np.where(missing, -1, np.arange(len(time_ns)))
    last = np.maximum.accumulate(known)
    if not before and not missing.all():
        before = int(time_ns[np.argmin(missing)])
    return np.where(last < 0, before, time_ns[np.maximum(last, 0)])


def _options(body: bytes, at: int, order: str) -> Iterator[tuple[int, bytes]]:
    """(code, value) of each option; stops at the end mark or at an invalid length."""
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        at += 4
        if code == OPT_END or at + length > len(body):
            return
        yield code, body[at : at + length]
        at += (length + 3) & ~3


def _name(value: bytes) -> str:
    """An interface's name, printable and bounded."""
    text = value.split(b"\0")[0].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)[:64]
