"""Capture files and pipes as a `Source`: a path (or '-') in, packet batches out.

All bytes pass through one reused buffer, and batches are views of it. A memory map would save the
copy (0.05 s per GB), but a file that shrinks while it is read would end the program, pages stay in
our memory until they are released, and with small pages in the page cache every page costs a fault,
so that the map is slower (docs/performance.md). The first bytes determine the format, never the
name.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import TypeAlias

import numpy as np

from panotui.errors import InputError
from panotui.model import U8, Interface, PacketBatch, SourceCounters
from panotui.sources.files import given
from panotui.sources.files.bytes_in import (
    GZIP_MAGIC,
    ZSTD_MAGIC,
    ByteInput,
    CompressedInput,
    PlainInput,
)
from panotui.sources.files.pcap import FILE_HEADER, MAGICS, PcapFormat, Taken
from panotui.sources.files.pcapng import LARGEST_BLOCK, SECTION_MAGIC, PcapngFormat

Format: TypeAlias = PcapFormat | PcapngFormat

# Each batch pays for 20,000 flows, so smaller batches cost more; larger ones leave the cache
# between steps.
BATCH_PACKETS = 131_072
FILE_BUFFER = 8 << 20  # smaller batches cost a tenth
# A batch has a fixed cost of half a millisecond. Large packets are few per batch, so twice as many
# bytes are read.
LARGE_BUFFER = 16 << 20
LARGE_PACKETS = 256  # bytes of an average record
BUFFER = 4 << 20  # for pipes and compressed files, whose bytes arrive slowly, and to save memory
TAIL = 256 << 10  # bytes at the end of a pcapng file that are read first
GATHER_S = 0.02  # how long data from a busy pipe may be delayed
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOT_A_CAPTURE = "not a capture file (pcap, pcapng, plain, .gz or .zst)"


def open_file(path: str, *, batch_packets: int = BATCH_PACKETS) -> FileSource:
    """Open a capture file, or standard input for '-'.

    InputError if it is missing, unreadable, a folder, a terminal, empty, or not a capture.
    """
    if path == "-":
        if os.isatty(0):
            raise InputError(
                "standard input",
                "it is a terminal, not a capture",
                "Pipe one in: tcpdump -w - | panotui analyze -",
            )
        return FileSource(0, "standard input", "stdin", batch_packets)
    # what a pcap calls its interface; bytes that are not UTF-8 could not be written anywhere
    name = os.fsencode(Path(path).name).decode("utf-8", "backslashreplace")
    held = given.descriptor(path)
    try:
        fd = os.open(path, _FLAGS) if held is None else os.dup(held)
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
        if stat.S_ISREG(mode) and not size:
            raise InputError(path, "the file is empty")
        if not stat.S_ISREG(mode):
            return FileSource(fd, path, name, batch_packets)
        return FileSource(fd, path, name, batch_packets, size, shared=held is not None)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.close(fd)
        if isinstance(error, OSError):
            raise InputError(path, _reason(error)) from None
        raise


def begins_as_capture(descriptor: int) -> bool:
    """Whether an open file begins like a capture, plain or compressed."""
    first = os.pread(descriptor, 4, 0)
    return first in MAGICS or first.startswith((SECTION_MAGIC, GZIP_MAGIC, ZSTD_MAGIC))


class FileSource:
    """A file or pipe, plain or compressed: bytes pass through one buffer, one batch at a time.

    A batch's bytes stay valid until the next `read`.
    """

    def __init__(
        self,
        fd: int,
        what: str,
        label: str,
        batch_packets: int,
        size: int | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """`size`: bytes of a regular file; `shared`: others read it through copies of `fd`. Takes
        over `fd` unless this raises.
        """
        self.what = what
        self.label = label
        self.batch_packets = max(batch_packets, 1)
        self.counters = SourceCounters(total_bytes=size)
        self.ended = False
        self._format: Format | None = None
        self._fd = fd
        self._plain = PlainInput(fd, what, shared=shared)
        self._input: ByteInput | None = None
        self._compressed: CompressedInput | None = None
        self._data: U8 = np.empty(BUFFER, np.uint8)
        self._start = 0  # unused bytes are at [start, filled)
        self._filled = 0
        self._no_more = False
        self._need = 1
        self._room = 0  # size of the buffer in bytes while memory is not saved
        self._large = 0  # size in bytes that is useful for large packets
        self._sparing = False
        # a disk has a full batch ready; data from a pipe is delivered soon
        self._gather_s = GATHER_S if size is None else float("inf")
        _widen_pipe(fd)
        if size is not None:  # a file is available at once, so its format is known at once
            while self._format is None and not self.ended:
                self._fill(1.0, FILE_HEADER)
            if self._compressed is None:
                self._expect(size)

    @property
    def interfaces(self) -> list[Interface]:
        return self._format.interfaces if self._format is not None else []

    def fileno(self) -> int:
        """The descriptor, for polling it together with others."""
        return self._fd

    def read(self, timeout_s: float = 0.0) -> PacketBatch | None:
        """The next batch, or None on timeout or at the end.

        InputError if the first bytes are not a capture.
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

    def spare(self, memory: bool) -> None:
        """Switch to a smaller buffer and smaller batches, or back."""
        self._sparing = memory

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
        if taken.batch and taken.next - self._start >= LARGE_PACKETS * len(taken.batch):
            self._room = max(self._room, self._large)
        self._start = taken.next
        self._need = max(taken.need, 1)
        if (self._start >= self._filled and self._no_more) or taken.ended:
            self.ended = True
        return taken.batch

    def _fill(self, timeout_s: float, need: int) -> bool:
        """Read available bytes (waiting for the first within the time); False if none came."""
        self._make_room(need)
        view = self._data.data
        came = False
        gather_until = time.monotonic() + self._gather_s
        wait_s = timeout_s
        while self._filled < len(self._data) and not self._no_more:
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
        self._room = max(self._room, len(self._data))
        size = min(self._room, BUFFER) if self._sparing else self._room
        if max(need, self._filled - self._start) > size:
            size = max(len(self._data), min(need + BUFFER, LARGEST_BLOCK + BUFFER))
        self._move(size)

    def _move(self, size: int) -> None:
        """Move unused bytes to the start of the buffer, or of a larger one."""
        if not self._start and size == len(self._data):
            return
        kept = self._data[self._start : self._filled]
        if size != len(self._data):
            self._data = np.empty(size, np.uint8)
            self._data[: len(kept)] = kept
        else:
            self._data[: len(kept)] = kept.copy()
        self._start, self._filled = 0, len(kept)

    def _expect(self, size: int) -> None:
        """For a plain file: larger batches, and the counts of missed packets in its last blocks."""
        self._move(max(len(self._data), min(size + 64, FILE_BUFFER)))
        self._large = min(size + 64, LARGE_BUFFER)
        if isinstance(self._format, PcapngFormat) and hasattr(os, "pread"):
            tail = os.pread(self._fd, TAIL, max(size - TAIL, 0))
            self._format.look_ahead(np.frombuffer(tail, np.uint8))

    def _choose_input(self) -> None:
        first = self._data[: self._filled].tobytes()
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
        first = self._data[self._start : min(self._filled, self._start + FILE_HEADER)].tobytes()
        if not first:
            self.ended = True
            raise InputError(self.what, "it is empty" if not self._compressed else NOT_A_CAPTURE)
        if first[:4] == SECTION_MAGIC:
            self._format = PcapngFormat(first[:12], self.counters, self.what, self.label)
        elif first[:4] in MAGICS and len(first) < FILE_HEADER:
            raise InputError(self.what, "the capture ends inside its file header")
        else:
            self._format = PcapFormat(first[:FILE_HEADER], self.counters, self.what, self.label)
            self._start += FILE_HEADER
        suffix = self._input.suffix if self._input is not None else ""
        self.counters.format = self._format.name + suffix


def _widen_pipe(fd: int) -> None:
    """A larger pipe needs fewer reads; if that fails, nothing is lost."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
