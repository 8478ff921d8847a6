"""The maker of a network card by the first bytes of its MAC address.

The list is Wireshark's `manuf`, which scapy carries as package data: it is kept up to date by its
owners and needs no network. It is loaded on first use (0.2 s, about 3 MB).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from panotui.model import I64, U32
from panotui.wire.text import printable


def load() -> None:
    """Load the list now, because it will be out of reach later."""
    _table()


@lru_cache(maxsize=1)
def _table() -> tuple[bytes, U32, I64]:
    """The list, the first three bytes of each line's prefix in rising order, and the start of each
    of these lines.
    """
    from scapy.libs import manuf

    text = b"\n" + str(manuf.DATA).encode() + b"\n"
    data = np.frombuffer(text, np.uint8)
    starts = np.flatnonzero(data[:-9] == ord("\n")) + 1
    starts = starts[(data[starts + 2] == ord(":")) & (data[starts + 5] == ord(":"))]
    # `0` to `9` and `A` to `F` as numbers
    digits = data[starts[:, None] + [0, 1, 3, 4, 6, 7]].astype(np.uint32)
    digits = np.where(digits > ord("9"), digits - ord("A") + 10, digits - ord("0"))
    keys = (digits << np.arange(20, -1, -4, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    order = np.argsort(keys, kind="stable")
    return text, keys[order], starts[order]


@lru_cache(maxsize=4096)
def vendor_of(mac: str) -> str | None:
    """The maker's full name; None for unknown, locally administered and multicast addresses."""
    digits = mac.replace(":", "").replace("-", "").upper()
    if len(digits) != 12 or int(digits[1], 16) & 3:
        return None
    text, keys, starts = _table()
    key = np.uint32(int(digits[:6], 16))
    first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
    found: dict[str, str] = {}  # prefix -> its line
    for start in starts[first:last].tolist():
        line = text[start : text.index(b"\n", start)].decode()
        found.setdefault(line.split("\t", 1)[0].strip(), line)
    for bits in (36, 28, 24):
        kept = digits[: bits // 4]
        kept += "0" * (len(kept) % 2)
        prefix = ":".join(kept[i : i + 2] for i in range(0, len(kept), 2))
        prefix += f"/{bits}" if bits > 24 else ""
        if prefix in found:
            fields = found[prefix].split("\t")
            return printable(fields[-1].strip() or fields[1].strip(), 60)
    return None
