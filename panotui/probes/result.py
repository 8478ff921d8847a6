"""The result of one active check."""

from __future__ import annotations

from typing import Literal

import msgspec


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """`text` and `detail` may contain text of the other end: print them through `printable`."""

    kind: str  # "dns", "tcp", "tls", "ntp", "gateway", "rtsp", "site"
    target: str
    ok: bool
    text: str
    action: str = ""  # what to do if it is not ok
    ms: float | None = None
    detail: tuple[str, ...] = ()
    name: str = ""  # its purpose: "CW Logs", "camera dock"
    skipped: bool = False  # not tried, for the reason in `text`; then `ok` means nothing

    @property
    def state(self) -> Literal["ok", "failed", "skipped"]:
        if self.skipped:
            return "skipped"
        return "ok" if self.ok else "failed"


def skipped(kind: str, target: str, why: str, action: str = "") -> ProbeResult:
    """A check that was not tried."""
    return ProbeResult(kind=kind, target=target, ok=False, text=why, action=action, skipped=True)
