"""The scalar reference of one RTP stream: RFC 3550 A.1, A.3 and A.8 as the RFC writes them, a
packet at a time, with the notes of the design on what is skipped. Slow and plain on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Packet:
    sequence: int
    timestamp: int
    time_ns: int
    marker: bool = False
    vcl: bool = True
    key: bool = False
    size: int = 1250
    media: int = 1196


def wrap32(value: int) -> int:
    return ((value + 2**31) & 0xFFFFFFFF) - 2**31


@dataclass
class Reference:
    clock: int = 90000
    packets: int = 0
    received: int = 0
    expected: int = 0
    duplicates: int = 0
    reordered: int = 0
    restarts: int = 0
    jitter: float = 0.0
    jitter_sum: float = 0.0
    jitter_count: int = 0
    jitter_max: float = 0.0
    frame_jitter: float = 0.0
    frame_jitter_max: float = 0.0
    frame_jitter_count: int = 0
    frames: int = 0
    keyframes: int = 0
    gop_frames: int = 0
    delta_max_ms: float = 0.0
    first: int = -1
    lowest: int = -1
    highest: int = -1
    bad: int = -1
    seen: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    runs: list[tuple[int, int, int]] = field(default_factory=list)  # of these, and when they opened
    before: set[int] = field(default_factory=set)  # between a late packet and the first one
    last: Packet | None = None
    stamps: list[int] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    stamp_bits: dict[int, int] = field(default_factory=dict)
    newest: int | None = None
    newest_ns: int = 0
    strange: tuple[int, int] = (0, 0)  # stamp and time of the newest that was far off
    strange_count: int = 0  # in a row
    jumps: int = 0
    lag: int = -1
    forward: tuple[int, int] | None = None
    key_ordinal: int = -1

    @property
    def lost(self) -> int:
        return self.expected - self.received

    def update(self, p: Packet) -> None:
        self.packets += 1
        reordered = self.reordered + self.duplicates
        restarted = self._sequence(p)
        self._jitter(p, restarted)
        self._frame(p, self.reordered + self.duplicates > reordered)
        self.last = p

    def _sequence(self, p: Packet) -> bool:
        if self.highest < 0:
            self.first = self.lowest = p.sequence + 65536
            self.highest = self.first - 1
        d = (p.sequence - self.highest) & 0xFFFF
        if d < 3000:
            self.missing.update(range(self.highest + 1, self.highest + d))
            if d > 1:
                self.runs.append((self.highest + 1, self.highest + d - 1, p.time_ns))
            self.expected += d
            self.highest += d
            self._arrive(self.highest, d == 0)
        elif d <= 65536 - 100 and not self._late(p.sequence, d):
            if p.sequence != self.bad:
                self.bad = (p.sequence + 1) & 0xFFFF
                return False
            self.bad = -1
            self.restarts += 1
            self.highest += 2 * 65536 - ((self.highest - p.sequence) & 0xFFFF)
            self.expected += 1
            self.first = self.lowest = self.highest
            self._arrive(self.highest, False)
            return True
        else:
            extended = self.highest + d - 65536
            if extended in self.seen:
                self.duplicates += 1
            else:
                self.reordered += 1
                if extended < self.first:  # those between may have come before the capture began
                    self.expected += 1
                    self.before.update(range(extended, self.lowest))
                    self.lowest = min(self.lowest, extended)
                self.missing.discard(extended)
                self._fill(extended)
                self.before.discard(extended)
                self.seen.add(extended)
            self.received += 1
        return False

    def _fill(self, extended: int) -> None:
        """A run that is 128 numbers and a second behind is told as it is, and stays."""
        assert self.last is not None
        for i, (first, last, time_ns) in enumerate(self.runs):
            far = last < self.highest - 128 and time_ns <= self.last.time_ns - 10**9
            if first <= extended <= last and not far:
                parts = ((first, extended - 1, time_ns), (extended + 1, last, time_ns))
                self.runs[i : i + 1] = [part for part in parts if part[0] <= part[1]]
                return

    def _late(self, sequence: int, d: int) -> bool:
        """A.1 knows no packet that is so late; but a number that is missing is no restart."""
        extended = self.highest + d - 65536
        missing = extended in self.missing or extended in self.before
        return sequence != self.bad and d > 65536 - 256 and missing

    def _arrive(self, extended: int, again: bool) -> None:
        self.received += 1
        if again:
            self.duplicates += 1
        self.seen.add(extended)

    def _jitter(self, p: Packet, restarted: bool) -> None:
        if self.last is None:
            return
        gap_ns = max(p.time_ns - self.last.time_ns, 0)
        self.delta_max_ms = max(self.delta_max_ms, gap_ns / 1e6)
        step = wrap32(p.timestamp - self.last.timestamp)
        d = abs(gap_ns * (self.clock / 1e9) - step)
        if restarted or (abs(step) > 5 * self.clock and d > 0.1 * self.clock):
            return
        self.jitter += (d - self.jitter) / 16
        self.jitter_sum += self.jitter
        self.jitter_count += 1
        self.jitter_max = max(self.jitter_max, self.jitter)

    def _frame(self, p: Packet, late: bool) -> None:
        bits = (1 if p.vcl else 0) | (2 if p.key else 0)
        new = p.timestamp not in self.stamps[-8:]
        if new and late and p.timestamp in self.counted[-256:]:
            return  # of a picture long over
        if new:
            self.stamps.append(p.timestamp)
            self.stamp_bits[p.timestamp] = 0
            self._start(p)
        before = self.stamp_bits[p.timestamp]
        after = before | bits
        self.stamp_bits[p.timestamp] = after
        if after & 1 and not before & 1:
            self.frames += 1
            self.counted.append(p.timestamp)
        if after == 3 and before != 3:
            self.keyframes += 1
            if self.key_ordinal >= 0:
                self.gop_frames = self.frames - self.key_ordinal
            self.key_ordinal = self.frames

    def _start(self, p: Packet) -> None:
        first = self.newest is None
        step = 0 if self.newest is None else wrap32(p.timestamp - self.newest)
        off = self._off(step, p.time_ns - self.newest_ns)
        if not first and off > 2.5 * self.clock:
            back = wrap32(p.timestamp - self.strange[0]), p.time_ns - self.strange[1]
            follows = self.strange_count and not self._off(*back)
            self.strange_count = self.strange_count + 1 if follows else 1
            self.jumps += self.strange_count == 1
            self.strange = (p.timestamp, p.time_ns)
            if self.strange_count < 3:
                return
            self.strange_count = 1
        self.jumps += max(self.strange_count - 1, 0)
        self.strange_count = 0
        fresh = first or off > 0.1 * self.clock
        self.newest = p.timestamp
        self.newest_ns = p.time_ns
        if fresh:
            self.lag = 0
            forward = True
        else:
            self.lag -= step
            forward = self.lag < 0
            self.lag = max(self.lag, 0)
        if not forward:
            return
        if self.forward is not None and not fresh:
            gap_ns = p.time_ns - self.forward[0]
            d = abs(gap_ns * self.clock / 1e9 - wrap32(p.timestamp - self.forward[1]))
            self.frame_jitter += (d - self.frame_jitter) / 16
            self.frame_jitter_count += 1
            self.frame_jitter_max = max(self.frame_jitter_max, self.frame_jitter)
        self.forward = (p.time_ns, p.timestamp)

    def _off(self, step: int, since_ns: int) -> float:
        """Ticks by which a far step of the clock misses the time that passed; 0 of a near one."""
        far = abs(step) > 5 * self.clock
        return abs(since_ns * (self.clock / 1e9) - step) if far else 0.0

    def gaps(self) -> tuple[int, int]:
        """Runs of numbers that never came in time, and the longest."""
        return len(self.runs), max((last - first + 1 for first, last, _ in self.runs), default=0)
