"""Bytes of an input: plain files and pipes, and decompressed gzip and Zstandard.

In: a file descriptor. Out: bytes written into the caller's buffer, at most as many as fit. Nothing
waits for more than is available: a few bytes from a pipe are returned at once, and a decompression
bomb is opened one kilobyte at a time.
"""

from __future__ import annotations

import os
import select
import sys
import zlib
from typing import Any, Protocol

from panotui.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PIECE = 1 << 20
GZIP_PIECE = 1 << 14  # per call to zlib, which copies the input that does not fit
# Zstandard: a block of four bytes may expand to 128 KiB, so this expands to 4 MiB at most.
ZSTD_PIECE = 128


class ByteInput(Protocol):
    """Bytes in order."""

    suffix: str  # "", "+gzip", "+zstd"

    @property
    def consumed(self) -> int:
        """Bytes of the descriptor that were consumed."""

    def read_into(self, target: memoryview, timeout_s: float) -> int | None:
        """Read into the start of `target`; returns the number of bytes, 0 at the end, None on
        timeout.
        """


class PlainInput:
    """A descriptor as it is."""

    suffix = ""

    def __init__(self, fd: int, what: str, *, shared: bool = False) -> None:
        """`shared`: a file that others read through the same descriptor; its offset is not
        moved.
        """
        self.fd = fd
        self.what = what
        self._shared = shared
        self.consumed = 0

    def read_into(self, target: memoryview, timeout_s: float) -> int | None:
        if not self.wait(timeout_s):
            return None
        try:
            if self._shared:
                count = os.preadv(self.fd, [target[:PIECE]], self.consumed)
            else:
                count = os.readv(self.fd, [target[:PIECE]])
        except BlockingIOError:
            return None
        except OSError as error:
            raise InputError(self.what, error.strerror or "cannot be read") from None
        self.consumed += count
        return count

    def wait(self, timeout_s: float) -> bool:
        """Whether something (or the end) can be read within the time."""
        try:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            return bool(poll.poll(max(timeout_s, 0.0) * 1000))
        except (OSError, AttributeError):  # a system without poll: the read itself waits
            return True


class CompressedInput:
    """Gzip (several members too) or Zstandard (several frames) over another input."""

    def __init__(self, under: PlainInput, first: bytes, what: str) -> None:
        """`first`: bytes already read from `under`, starting with the magic."""
        self._under = under
        self._what = what
        self._gzip = first.startswith(GZIP_MAGIC)
        self.suffix = "+gzip" if self._gzip else "+zstd"
        self._compressed = memoryview(first)
        self._plain = memoryview(b"")
        self._engine: Any = None
        self._ended = False
        self._fresh = True  # between members or frames
        self._buffer = bytearray(1 << 18)
        self.damaged = False  # the compressed data ended early or is damaged

    @property
    def consumed(self) -> int:
        return self._under.consumed - len(self._compressed)

    def read_into(self, target: memoryview, timeout_s: float) -> int | None:
        """As `ByteInput.read_into`. Damaged data ends the input and sets `damaged`."""
        while not self._plain:
            if self._ended:
                return 0
            if not self._compressed:
                count = self._under.read_into(memoryview(self._buffer), timeout_s)
                if count is None:
                    return None
                if not count:
                    self._ended = True
                    self.damaged = self.damaged or not self._fresh
                    return 0
                self._compressed = memoryview(bytes(memoryview(self._buffer)[:count]))
            try:
                self._plain = self._open_piece(len(target))
            except Exception as error:
                if not isinstance(error, (zlib.error, _zstd_error())):
                    raise
                self._ended, self.damaged = True, True
                return 0
        count = min(len(target), len(self._plain))
        target[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _open_piece(self, room: int) -> memoryview:
        """The next decompressed bytes, at most a few MiB; the rest of input and output is never
        copied.
        """
        if self._engine is None:
            self._engine = zlib.decompressobj(31) if self._gzip else _zstd_engine()
        if self._gzip:
            self._fresh = False
            piece = self._compressed[:GZIP_PIECE]
            plain: bytes = self._engine.decompress(piece, max(min(room, PIECE), 1))
            used = len(piece) - len(self._engine.unconsumed_tail)
            self._compressed = self._compressed[used - len(self._engine.unused_data) :]
        else:
            self._fresh = False
            piece, self._compressed = (
                self._compressed[:ZSTD_PIECE],
                self._compressed[ZSTD_PIECE:],
            )
            plain = self._engine.decompress(piece)
        if self._engine.eof:
            if not self._gzip:
                self._compressed = memoryview(self._engine.unused_data + self._compressed)
            self._engine = None
            self._fresh = True
            if self._gzip:  # gzip files may be padded with zeros
                self._compressed = memoryview(bytes(self._compressed).lstrip(b"\0"))
        return memoryview(plain)


def _zstd_engine() -> Any:
    # 13 ms that other captures do not need
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor()
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


def _zstd_error() -> type[Exception]:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdError
    import zstandard

    error: type[Exception] = zstandard.ZstdError
    return error
