"""Start codes of a byte stream (ITU-T H.264 annex B) in RTP payloads, where none belong.

Some cameras leave them in, before the only unit or between several. In: payloads that begin with
one. Out: the flags of the units in their first bytes, or one unit of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from panotui.model import I32, I64, U8
from panotui.wire.gather import gather

_BLOCK = 128  # bytes of a payload in which units are searched
_CODE = b"\0\0\1"


def flags(data: U8, payload: I64, captured: I32 | I64, table: U8) -> U8:
    """(n,) flags of n payloads that may begin with a start code; 0 of those that do not.

    `table` (256,) are the flags of a unit by its first byte.
    """
    block = gather(data, payload, _BLOCK).view(np.uint8).reshape(len(payload), _BLOCK)
    code = (block[:, :-3] == 0) & (block[:, 1:-2] == 0) & (block[:, 2:-1] == 1)
    code &= np.arange(3, _BLOCK) < np.asarray(captured, np.int64)[:, None]
    code[~(code[:, 0] | (code[:, 1] & (block[:, 0] == 0)))] = False
    found: U8 = np.bitwise_or.reduce(np.where(code, table[block[:, 3:]], 0), axis=1)
    return found.astype(np.uint8)


def units(raw: bytes) -> Iterator[bytes]:
    """The units of a payload or parameter: itself, where it does not begin with a start code."""
    if not raw.startswith((_CODE, b"\0" + _CODE)):
        yield raw
        return
    for unit in raw.split(_CODE)[1:]:
        yield unit.removesuffix(b"\0")
