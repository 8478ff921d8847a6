"""Whether bytes that look like a `$` frame in mid-stream are one: frames must be consecutive."""

from __future__ import annotations

from panotui.wire.rtsp import starts_message

_DOLLAR = 0x24


def leads_on(buffer: bytearray, at: int, begins: bool) -> bool | None:
    """Whether a frame at `at` leads to a boundary, and that one to another.

    A frame that begins (`begins`) and ends with a segment also counts: reports come alone. None:
    too few bytes to decide.
    """
    size = len(buffer)
    hop = at
    for step in range(3):
        if hop == size:
            return step >= 2 or (step == 1 and begins) or None
        if hop + 4 > size:
            return None
        if buffer[hop] != _DOLLAR:
            return step >= 1 and starts_message(buffer[hop : hop + 16])
        if hop + 4 < size and buffer[hop + 4] >> 6 != 2:
            return False
        if step == 2:
            return True
        hop += 4 + (buffer[hop + 2] << 8 | buffer[hop + 3])
    return False
