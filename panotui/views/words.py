"""The one word for the state of a camera or stream, alike in every pane and strip."""

from __future__ import annotations

from panotui.model import CameraRecord, StreamRecord

TROUBLE = "trouble"


def _odd_word(stream: StreamRecord) -> str | None:
    """How a working stream differs from the one that its session announced."""
    if stream.stray:
        return "stray"
    if stream.undeclared:
        return "extra"
    return "catch-up" if stream.catching_up else None


def state_word(row: StreamRecord | CameraRecord) -> str:
    """`ok` (or `stray`, `extra`, `catch-up`) for a working stream, a word for the problem if there
    is a finding, else its state.
    """
    if isinstance(row, StreamRecord):
        if row.standing == "streaming":
            return _odd_word(row) or "ok"
        return row.trouble_word or TROUBLE if row.state == "streaming" else row.state
    status = f" {row.last_status}" if row.state == "refused" and row.last_status else ""
    if row.standing != row.state:
        return row.trouble_word or TROUBLE
    return f"{row.state}{status}"
