"""Sources of packets: capture files and pipes, live interfaces, the bundled demo.

Names in, `Source`s out (the protocol is in `panotui.model`); all rooms above work with every
source. Live capture is imported on first use, so that reading files does not need Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from panotui.sources.demo import open_demo
from panotui.sources.files.merge import merge
from panotui.sources.files.source import open_file
from panotui.sources.live.interfaces import default_interfaces, existing_interfaces

if TYPE_CHECKING:
    from panotui.sources.live.capture import LiveSource

__all__ = [
    "default_interfaces",
    "existing_interfaces",
    "merge",
    "open_demo",
    "open_file",
    "open_live",
]


def open_live(
    interface: str,
    *,
    ring_bytes: int = 64 << 20,
    snap_bulk: int | None = None,
    promiscuous: bool = False,
) -> LiveSource:
    """Capture on `interface`; see `panotui.sources.live.capture.open_live`."""
    from panotui.sources.live import capture  # 25 ms; Linux only, and files do not need it

    return capture.open_live(
        interface, ring_bytes=ring_bytes, snap_bulk=snap_bulk, promiscuous=promiscuous
    )
