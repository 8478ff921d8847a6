"""RTP packets as parallel columns, between those who recognise them and the core that measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panotui.model import I32, I64, U8, U16

ORDER_BITS = 20  # frames that one packet may complete


@dataclass(slots=True)
class RtpRecords:
    """n RTP packets in order of arrival, of any streams."""

    stream: U16  # (n,) index into the core's tables
    sequence: I64  # (n,) 0..65535
    timestamp: I64  # (n,) 0..2^32-1
    time_ns: I64  # (n,)
    size: I64  # (n,) bytes as counted in `bytes`
    media: I64  # (n,) payload bytes
    flags: U8  # (n,) bits of panotui.wire.h264, with MARK for the marker
    order: I64  # (n,) packet number << ORDER_BITS | position among the packet's frames
    epoch: I32  # (n,) rises where the capture has a hole before the row

    def take(self, rows: I64) -> RtpRecords:
        """The named rows, in that order."""
        return RtpRecords(
            self.stream[rows],
            self.sequence[rows],
            self.timestamp[rows],
            self.time_ns[rows],
            self.size[rows],
            self.media[rows],
            self.flags[rows],
            self.order[rows],
            self.epoch[rows],
        )


def join(parts: list[RtpRecords]) -> RtpRecords:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    return RtpRecords(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in RtpRecords.__dataclass_fields__
        )
    )
