"""Display preferences: names or addresses, bits or bytes, kind of times, masking.

A `Manner` is a value that every page sees through its scene; keys change it. It affects only the
display, not filters, sorting and exports.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from panotui.model.quantities import rate

Names: TypeAlias = Literal["names", "addresses", "both"]
Units: TypeAlias = Literal["bits", "bytes"]
Times: TypeAlias = Literal["clock", "ago", "utc"]
NAMES, UNITS, TIMES = get_args(Names), get_args(Units), get_args(Times)

_RATE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) ([kMGT]?)b/s\b")
_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


class Manner(Struct, frozen=True):
    names: Names = "names"
    units: Units = "bits"
    times: Times = "clock"

    @property
    def rate_unit(self) -> str:
        return "b/s" if self.units == "bits" else "B/s"

    def bps(self, rate_bps: float | None) -> float | None:
        """A rate as a number in the displayed unit."""
        return rate_bps if rate_bps is None or self.units == "bits" else rate_bps / 8

    def rate(self, rate_bps: float | None) -> str:
        """A rate with its unit: `3.92 Mb/s`, `490 kB/s`."""
        return rate(self.bps(rate_bps), self.rate_unit)

    def words(self, text: str) -> str:
        """A sentence of the collector, with its rates (in bits) in the displayed unit."""
        if self.units == "bits" or "b/s" not in text:
            return text
        return _RATE.sub(lambda m: self.rate(float(m[1]) * _SCALES[m[2]]), text)

    def title(self, text: str) -> str:
        """A column's title, with the displayed unit instead of bits."""
        return text if self.units == "bits" else text.replace("b/s", "B/s")

    def named(self, name: str | None, address: str | None) -> str:
        """A thing by its name, its address, or both; by the other if one is unknown."""
        if self.names == "addresses":
            return address or name or ""
        if self.names == "names" or not address or not name or name == address:
            return name or address or ""
        return f"{name} {address}"


PLAIN = Manner()
