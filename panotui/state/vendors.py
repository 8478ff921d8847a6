"""The maker of a network card by the first bytes of its MAC address.

The list is Wireshark's `manuf`, which scapy carries as package data: it is kept up to date by its
owners and needs no network. It is loaded on the first question (0.2 s, about 3 MB), never before.
"""

from __future__ import annotations

from functools import lru_cache

from panotui.wire.text import printable


def load() -> None:
    """Load the list now, where it will be out of reach at the first question."""
    _table()


@lru_cache(maxsize=1)
def _table() -> str:
    from scapy.libs import manuf

    return "\n" + str(manuf.DATA)


@lru_cache(maxsize=4096)
def vendor_of(mac: str) -> str | None:
    """The maker's full name; None for unknown, locally administered and multicast addresses."""
    digits = mac.replace(":", "").replace("-", "").upper()
    if len(digits) != 12 or int(digits[1], 16) & 3:
        return None
    table = _table()
    for bits in (36, 28, 24):
        kept = digits[: bits // 4]
        pairs = [kept.ljust(12, "0")[i : i + 2] for i in range(0, 12, 2)]
        prefix = ":".join(pairs) + f"/{bits}" if bits > 24 else ":".join(pairs[:3])
        at = table.find("\n" + prefix)
        if at < 0:
            continue
        line = table[at + 1 : table.find("\n", at + 1)]
        fields = line.split("\t")
        if fields[0].strip() == prefix:
            return printable(fields[-1].strip() or fields[1].strip(), 60)
    return None
