"""What the rows of streams will say at the ticks of seconds that are not metered yet."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from panotui.model.arrays import I64, U64, Rows
from panotui.model.tables import STREAM_DTYPE

_SHOWN = (
    "last_ns", "frames", "fps_now", "fps_nominal", "fps_stamped", "stamp_rate", "gop_s",
    "keyframe_last_ns", "camera_clock_offset_s",
)  # fmt: skip
# the columns of STREAM_DTYPE that decide whether a stream merely continues
FORESEEN_DTYPE = np.dtype([(name, STREAM_DTYPE[name]) for name in _SHOWN])


class Foreseen(Struct):
    """k ticks of s streams whose packets come evenly until then."""

    ids: U64  # (s,) as in their rows
    time_ns: I64  # (k,) the ticks, a second apart
    rows: Rows  # (k, s) FORESEEN_DTYPE
    seconds: Rows  # (k, s) STREAM_SECOND_DTYPE: of the second that ends with the tick

    def part(self, count: int) -> Foreseen:
        """The first ticks."""
        return Foreseen(self.ids, self.time_ns[:count], self.rows[:count], self.seconds[:count])
