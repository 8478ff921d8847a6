"""The status of a recorder once per second: JSON for programs, a line on a terminal for people."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from panotui.model import RecorderRecord, Snapshot
from panotui.report.objects import time_text
from panotui.telemetry.delivery import Standing

SCHEMA_STATUS = "panotui.status/1"
_TICKS_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Processor(Struct):
    """CPU time of some processes, measured now and then."""

    seconds: float = 0.0
    at_s: float = 0.0
    share: float | None = None  # share of one core since the previous measurement

    def take(self, pids: Sequence[int], now_s: float) -> None:
        """`now_s`: of a clock that is never set."""
        seconds = sum(cpu_seconds(pid) for pid in pids)
        if self.at_s and now_s > self.at_s:
            self.share = max(0.0, seconds - self.seconds) / (now_s - self.at_s)
        self.seconds, self.at_s = seconds, now_s


def cpu_seconds(pid: int) -> float:
    """User and system time of a process; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # its name may hold spaces and brackets
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def status_object(
    snapshot: Snapshot,
    record: RecorderRecord,
    drops: Mapping[str, tuple[int, int]],
    gone: Sequence[str],
    engine: Processor,
    meters: Processor,
    alerts: Sequence[Standing],
) -> dict[str, Any]:
    """One line of `record --json`. `drops`: (ring, interface) per interface; times are packet time,
    and the machine's before the first packet.

    `cpu.*_share` is of one core, over about a second; null in the first line.
    """
    counts = snapshot.counts
    time_ns = snapshot.time_ns or time.time_ns()
    return {
        "schema": SCHEMA_STATUS,
        "time": time_text(time_ns),
        "time_ns": time_ns,
        "packets": snapshot.source.packets,
        "bytes": snapshot.source.bytes,
        "lost": snapshot.source.lost,
        "interfaces": [
            {
                "name": name,
                "packets": packets,
                "bytes": size,
                "dropped_ring": drops.get(name, (0, 0))[0],
                "dropped_interface": drops.get(name, (0, 0))[1],
                "present": name not in gone,
            }
            for name, packets, size in snapshot.source.interfaces
        ],
        "flows": counts.flows_live,
        "cameras": counts.cameras,
        "cameras_ok": counts.cameras_ok,
        "endpoints": counts.endpoints,
        "endpoints_ok": counts.endpoints_ok,
        "violations": counts.violations_open,
        "findings": counts.findings_open,
        "cpu": {
            "engine_s": round(engine.seconds, 2),
            "engine_share": _rounded(engine.share),
            "meters_s": round(meters.seconds, 2),
            "meters_share": _rounded(meters.share),
        },
        "recorder": {
            "path": record.path,
            "bytes": record.bytes,
            "evidence_bytes": record.evidence_bytes,
            "state": record.state,
            "detail": record.detail,
        },
        "alerts": [
            {
                "to": standing.to,
                "delivered": standing.delivered,
                "waiting": standing.waiting,
                "lost": standing.lost,
                "refused": standing.refused,
                "failing": standing.failing,
            }
            for standing in alerts
        ],
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def status_words(snapshot: Snapshot, record: RecorderRecord, seconds: int) -> str:
    """`recording 00:12:44  18,291 packets  lost 0  cameras 2/3 ...`."""
    counts = snapshot.counts
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    said = f"  {record.detail}" if record.detail else ""
    return (
        f"{record.state} {clock}  {snapshot.source.packets:,} packets"
        f"  lost {snapshot.source.lost}  cameras {counts.cameras_ok}/{counts.cameras}"
        f"  cloud {counts.endpoints_ok}/{counts.endpoints}"
        f"  violations {counts.violations_open}  findings {counts.findings_open}"
        f"  {record.bytes / 1e6:.0f} MB{said}"
    )
