"""Compresses bodies of records against data that the recording already holds.

Snapshots of one hour differ little, and flows are similar: each is compressed with zstd against a
dictionary, which is a separate row in the recording. A snapshot's dictionary is the hour's first
snapshot; that of flows is trained on the first thousand.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd

    _ZstdError = zstd.ZstdError
else:
    import zstandard

    _ZstdError = zstandard.ZstdError

LEVEL = 3
DICTIONARY_BYTES = 16 << 10  # of flows
SAMPLES = 1_000  # that it is trained on
BODY_MOST = 64 << 20  # bytes, unpacked
KNOWN_MOST = 64  # dictionaries held for reading
SNAPSHOTS, FLOWS = "snapshots", "flows"  # kinds: any bytes, or the result of `trained`


def _compress(raw: bytes | None, kind: str) -> Callable[[bytes], bytes]:
    """A function that compresses against a dictionary, or without one."""
    if sys.version_info >= (3, 14):
        known = None if raw is None else zstd.ZstdDict(raw, is_raw=kind == SNAPSHOTS)
        return lambda body: zstd.compress(body, LEVEL, zstd_dict=known)
    made = zstandard.ZstdCompressor(level=LEVEL, dict_data=_dictionary(raw, kind))
    return made.compress


def _decompress(raw: bytes | None, kind: str) -> Callable[[bytes], bytes]:
    """The inverse function. `_ZstdError`; ValueError for a result that is too large."""
    if sys.version_info >= (3, 14):
        known = None if raw is None else zstd.ZstdDict(raw, is_raw=kind == SNAPSHOTS)

        def read(body: bytes) -> bytes:
            _check_size(zstd.get_frame_info(body).decompressed_size)
            return zstd.decompress(body, zstd_dict=known)

        return read
    made = zstandard.ZstdDecompressor(dict_data=_dictionary(raw, kind))

    def unpack(body: bytes) -> bytes:
        _check_size(zstandard.frame_content_size(body))
        return made.decompress(body)

    return unpack


def _check_size(size: int | None) -> None:
    if size is None or not 0 <= size <= BODY_MOST:
        raise ValueError("it says nothing of its size, or too much")


if sys.version_info < (3, 14):

    def _dictionary(raw: bytes | None, kind: str) -> zstandard.ZstdCompressionDict | None:
        if raw is None:
            return None
        plain = kind == SNAPSHOTS
        how = zstandard.DICT_TYPE_RAWCONTENT if plain else zstandard.DICT_TYPE_FULLDICT
        return zstandard.ZstdCompressionDict(raw, dict_type=how)


class Packer:
    """Packs against one dictionary."""

    def __init__(self, number: int, raw: bytes, kind: str) -> None:
        self.number = number  # of its row
        self.pack = _compress(raw, kind)


def trained(samples: list[bytes]) -> bytes | None:
    """A dictionary for similar bodies; None if there is too little data."""
    try:
        if sys.version_info >= (3, 14):
            return zstd.train_dict(samples, DICTIONARY_BYTES).dict_content
        known: list[bytes | bytearray | memoryview] = [*samples]
        return zstandard.train_dictionary(DICTIONARY_BYTES, known, level=LEVEL).as_bytes()
    except (_ZstdError, ValueError):
        return None


def add_dictionary(connection: sqlite3.Connection, raw: bytes, kind: str) -> int:
    """Store a dictionary; returns its number."""
    cursor = connection.execute(
        "INSERT INTO dictionary (kind, body) VALUES (?, ?)", (kind, _compress(None, kind)(raw))
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


class Unpacker:
    """Reads bodies of one recording; each dictionary is read once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: OrderedDict[int, Callable[[bytes], bytes]] = OrderedDict()

    def unpack(self, body: bytes, dictionary: int) -> bytes:
        """The bytes of a body. ValueError if it is damaged, too large, or its dictionary is
        missing.
        """
        try:
            return self._of(dictionary)(body)
        except (_ZstdError, MemoryError, sqlite3.Error, UnicodeDecodeError, TypeError) as error:
            raise ValueError(f"a packed body cannot be read ({error})") from None

    def _of(self, dictionary: int) -> Callable[[bytes], bytes]:
        known = self._known.get(dictionary)
        if known is not None:
            self._known.move_to_end(dictionary)
            return known
        found = self._connection.execute(
            "SELECT kind, body FROM dictionary WHERE id = ?", (dictionary,)
        ).fetchone()
        if found is None:
            raise ValueError(f"dictionary {dictionary} is not there")
        kind, body = str(found[0]), found[1]
        known = self._known[dictionary] = _decompress(_decompress(None, kind)(body), kind)
        if len(self._known) > KNOWN_MOST:
            self._known.popitem(last=False)
        return known
