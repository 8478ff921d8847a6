"""What one active check found."""

from __future__ import annotations

import msgspec


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """`text` and `detail` may hold words of the other end: print them through `printable`."""

    kind: str  # "dns", "tcp", "tls", "ntp", "gateway", "rtsp"
    target: str
    ok: bool
    text: str
    action: str = ""  # what to do when it is not ok
    ms: float | None = None
    detail: tuple[str, ...] = ()
