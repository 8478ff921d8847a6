"""Capture files and pipes as a `Source`: a path (or '-') in, packet batches out.

Plain files are mapped and batches are views of the map; compressed ones and pipes pass through a
buffer that holds one batch at a time. The format is told by the first bytes, never by the name.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
import time
from pathlib import Path
from typing import TypeAlias

import numpy as np

from panotui.errors import InputError
from panotui.model import U8, Interface, PacketBatch, SourceCounters
from panotui.sources.bytes_in import (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    ByteInput,
    CompressedInput,
    PlainInput,
)
from panotui.sources.pcap import FILE_HEADER, MAGICS, PcapFormat, Taken
from panotui.sources.pcapng import LARGEST_BLOCK, SECTION_MAGIC, PcapngFormat

Format: TypeAlias = PcapFormat | PcapngFormat

# What one batch may be: its mapped pages and columns are memory, and what the walk has touched
# should still be in the cache when it is decoded; smaller ones pay more for 20,000 flows a batch.
BATCH_BYTES = 16 << 20  # of a mapped file
BATCH_PACKETS = 131_072
BUFFER = 4 << 20
GATHER_S = 0.02  # how long a pipe that keeps giving may delay what it gave
NOT_A_CAPTURE = "not a capture file (pcap, pcapng, plain, .gz or .zst)"


def open_file(path: str, *, batch_packets: int = BATCH_PACKETS) -> FileSource:
    """A capture file, or standard input for '-'.

    InputError when it is missing, unreadable, a folder, a terminal, empty, or no capture.
    """
    if path == "-":
        if os.isatty(0):
            raise InputError(
                "standard input",
                "it is a terminal, not a capture",
                "Pipe one in: tcpdump -w - | panotui analyze -",
            )
        return StreamFile(0, "standard input", "stdin", batch_packets)
    name = Path(path).name
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError(path, "no such file", "Check the path.") from None
    except OSError as error:
        raise InputError(path, _reason(error)) from None
    except ValueError:
        raise InputError(repr(path), "not a file name") from None
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(path, "it is a folder", "Name the capture files in it.")
        size = os.fstat(fd).st_size
        if stat.S_ISREG(mode):
            if not size:
                raise InputError(path, "the file is empty")
            magic = os.pread(fd, 4, 0) if hasattr(os, "pread") else b""
            if magic in MAGICS or magic == SECTION_MAGIC:
                return MappedFile(fd, size, path, name, batch_packets)
        return StreamFile(fd, path, name, batch_packets, size if stat.S_ISREG(mode) else None)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.close(fd)
        if isinstance(error, OSError):
            raise InputError(path, _reason(error)) from None
        raise


class FileSource:
    """What mapped and streamed captures share."""

    def __init__(self, what: str, label: str, batch_packets: int) -> None:
        self.what = what
        self.label = label
        self.batch_packets = max(batch_packets, 1)
        self.counters = SourceCounters()
        self.ended = False
        self._format: Format | None = None

    @property
    def interfaces(self) -> list[Interface]:
        return self._format.interfaces if self._format is not None else []

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _recognise(self, first: bytes) -> tuple[Format, int]:
        """(the format, where its records begin). InputError when the bytes are no capture."""
        if first[:4] == SECTION_MAGIC:
            return PcapngFormat(first[:12], self.counters, self.what, self.label), 0
        if first[:4] in MAGICS and len(first) < FILE_HEADER:
            raise InputError(self.what, "the capture ends inside its file header")
        return PcapFormat(first[:FILE_HEADER], self.counters, self.what, self.label), FILE_HEADER


class MappedFile(FileSource):
    """A plain capture file, mapped: batches are views of the map."""

    def __init__(self, fd: int, size: int, what: str, label: str, batch_packets: int) -> None:
        super().__init__(what, label, batch_packets)
        self._map = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        os.close(fd)
        self._data: U8 = np.frombuffer(self._map, np.uint8)
        self._format, self._position = self._recognise(self._map[:FILE_HEADER])
        if isinstance(self._format, PcapngFormat):
            self._format.look_ahead(self._data)
        self._size = size
        self._reach = BATCH_BYTES
        self._released = 0
        self.counters.format = self._format.name
        self.counters.total_bytes = size
        if hasattr(self._map, "madvise") and hasattr(mmap, "MADV_SEQUENTIAL"):
            self._map.madvise(mmap.MADV_SEQUENTIAL)

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """The next batch, None only at the end."""
        if self.ended or self._format is None:
            return None
        self._release()
        while True:
            stop = min(self._position + self._reach, self._size)
            final = stop == self._size
            taken = self._format.take(self._data, self._position, stop, final, self.batch_packets)
            stuck = taken.next == self._position and taken.batch is None
            self._position = taken.next
            self._reach = BATCH_BYTES
            if taken.ended or (final and taken.next >= self._size):
                self.ended = True
            elif stuck:
                if final:
                    self.ended = self.counters.truncated = True
                self._reach = max(BATCH_BYTES, taken.need + BATCH_BYTES)
            self.counters.read_bytes = self._size if self.ended else self._position
            if taken.batch is not None or self.ended:
                return taken.batch

    def _release(self) -> None:
        """Give the pages of past batches back, so that a huge file does not fill our memory."""
        page = mmap.ALLOCATIONGRANULARITY
        until = self._position // page * page
        if until - self._released >= BATCH_BYTES and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED, self._released, until - self._released)
            self._released = until

    def close(self) -> None:
        self.ended = True
        self._data = np.empty(0, np.uint8)
        with contextlib.suppress(BufferError):  # a batch is still looked at: the map goes with it
            self._map.close()


class StreamFile(FileSource):
    """A pipe or a compressed file: bytes pass through one buffer, a batch at a time."""

    def __init__(
        self, fd: int, what: str, label: str, batch_packets: int, size: int | None = None
    ) -> None:
        super().__init__(what, label, batch_packets)
        self._fd = fd
        self._plain = PlainInput(fd, what)
        self._input: ByteInput | None = None
        self._compressed: CompressedInput | None = None
        self._buffer = bytearray(BUFFER)
        self._data: U8 = np.frombuffer(self._buffer, np.uint8)
        self._start = 0  # unused bytes are at [start, filled)
        self._filled = 0
        self._no_more = False
        self._need = 1
        self.counters.total_bytes = size
        _widen_pipe(fd)
        if size is not None:  # a file is there at once: what it is can be said at once
            while self._format is None and not self.ended:
                self._fill(1.0, FILE_HEADER)

    def fileno(self) -> int:
        """The descriptor, to be polled together with others."""
        return self._fd

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """The next batch of what has come, or None: nothing came in time, or the end.

        InputError when the first bytes are no capture.
        """
        deadline = time.monotonic() + timeout_s
        while not self.ended:
            if self._format is not None and self._filled - self._start >= self._need:
                taken = self._take()
                if taken is not None:
                    return taken
                if self.ended:
                    break
                if self._filled - self._start >= self._need:
                    continue
            if self._no_more:
                if self._format is None:
                    self._fill(0.0, 1)
                elif (taken := self._take()) is not None:
                    return taken
                elif self._need <= self._filled - self._start:
                    continue
                self.ended = True
                break
            if not self._fill(max(deadline - time.monotonic(), 0.0), self._need):
                break
        return None

    def close(self) -> None:
        self.ended = True
        if self._fd > 2:
            os.close(self._fd)
            self._fd = -1

    def _take(self) -> PacketBatch | None:
        assert self._format is not None
        taken: Taken = self._format.take(
            self._data, self._start, self._filled, self._no_more, self.batch_packets
        )
        self._start = taken.next
        self._need = max(taken.need, 1)
        if (self._start >= self._filled and self._no_more) or taken.ended:
            self.ended = True
        return taken.batch

    def _fill(self, timeout_s: float, need: int) -> bool:
        """Read what is there (at least something within the time); False when nothing came."""
        self._make_room(need)
        view = memoryview(self._buffer)
        came = False
        gather_until = time.monotonic() + GATHER_S
        wait_s = timeout_s
        while self._filled < len(self._buffer) and not self._no_more:
            reader: ByteInput = self._input if self._input is not None else self._plain
            room = view[self._filled :] if self._input is not None else view[self._filled :][:64]
            count = reader.read_into(room, wait_s)
            if count is None:
                break
            came = True
            if count == 0:
                self._no_more = True
                break
            self._filled += count
            if self._input is None:
                self._choose_input()
            wait_s = 0.0
            if time.monotonic() > gather_until:
                break
        if self._input is not None:
            self.counters.read_bytes = self._input.consumed
        if self._no_more and self._compressed is not None and self._compressed.damaged:
            self.counters.truncated = True
        if self._format is None:
            self._choose_format()
        return came

    def _make_room(self, need: int) -> None:
        kept = self._filled - self._start
        size = len(self._buffer)
        if need > size:
            size = min(need + BUFFER, LARGEST_BLOCK + BUFFER)
        buffer = self._buffer
        if size > len(buffer):
            buffer = bytearray(size)
        if self._start or buffer is not self._buffer:
            buffer[:kept] = bytes(memoryview(self._buffer)[self._start : self._filled])
            self._start, self._filled = 0, kept
        if buffer is not self._buffer:
            self._buffer = buffer
            self._data = np.frombuffer(buffer, np.uint8)

    def _choose_input(self) -> None:
        first = bytes(memoryview(self._buffer)[: self._filled])
        if len(first) < 4 and first[:2] != GZIP_MAGIC:
            return
        if first.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
            self._compressed = CompressedInput(self._plain, first, self.what)
            self._input = self._compressed
            self._filled = 0
        else:
            self._input = self._plain

    def _choose_format(self) -> None:
        have = self._filled - self._start
        if have < FILE_HEADER and not self._no_more:
            return
        first = bytes(memoryview(self._buffer)[self._start : self._start + FILE_HEADER])
        if not first:
            self.ended = True
            raise InputError(self.what, "it is empty" if not self._compressed else NOT_A_CAPTURE)
        self._format, self._start = self._recognise(first)
        suffix = self._input.suffix if self._input is not None else ""
        self.counters.format = self._format.name + suffix


def _widen_pipe(fd: int) -> None:
    """A larger pipe costs fewer turns; where there is none, nothing is lost."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
