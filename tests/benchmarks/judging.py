"""What judging costs beside metering: the same flows are metered, judged and folded, and the ratio
is printed. Run: python -m tests.benchmarks.judging [FLOWS] [PACKETS_A_FLOW]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from panotui.meter.meter import Meter
from panotui.model import SECOND, Interface, MeterSettings, PacketBatch
from panotui.policy.judging.rows import VERDICTS, RowJudge
from panotui.policy.judging.violations import ViolationBook
from panotui.site.file import parse_site
from panotui.site.names import NameBook
from panotui.site.view import SiteView

SITE = """
[site]
topology = "dual"
region = "us-east-1"
[ports.eth1]
role = "cloud"
mac = "02:00:00:00:00:11"
address = "192.168.5.5/24"
[network]
dns = ["192.168.5.1"]
"""
START_NS = 1_700_000_000 * SECOND
FRAME = 60


def made_packets(flows: int, packets: int, kind: str) -> PacketBatch:
    """TCP packets of `flows` flows, interleaved: a scan of the appliance, or its own connections
    to as many hosts."""
    frame = np.zeros(FRAME, np.uint8)
    frame[0:6] = [2, 0, 0, 0, 0, 0x11]
    frame[6:12] = [2, 0, 0, 0, 0, 1]
    frame[12:14] = [8, 0]
    frame[14:34] = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 168, 5, 77, 192, 168, 5, 5]
    frame[46] = 0x50
    count = flows * packets
    data = np.repeat(frame[None, :], count, axis=0)
    flow = np.tile(np.arange(flows), packets)
    turn = np.repeat(np.arange(packets), flows)
    data[:, 47] = np.where(turn == 0, 2, 16)  # SYN, then ACKs
    data[:, 34] = 0x9C
    data[:, 35] = flow % 251
    if kind == "scan":
        data[:, 36], data[:, 37] = (flow % 65_535 + 1) >> 8, (flow % 65_535 + 1) & 255
        data[:, 29] = 77 + flow // 65_535
    else:
        data[:, 26:34] = [192, 168, 5, 5, 203, 0, 0, 0]
        data[:, 31:34] = np.stack([flow >> 16, flow >> 8 & 255, flow & 255], axis=1)
        data[:, 0:12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x11]
        data[:, 36], data[:, 37] = 443 >> 8, 443 & 255
    data[:, 38:42] = (turn[:, None] >> np.array([24, 16, 8, 0])) & 255
    lengths = np.full(count, FRAME, np.int64)
    return PacketBatch(
        data.reshape(-1),
        np.arange(count, dtype=np.int64) * FRAME,
        lengths,
        lengths,
        START_NS + np.arange(count, dtype=np.int64) * 1000,
        np.zeros(count, np.int16),
        [Interface("made", 1)],
    )


def measure(flows: int, packets: int, kind: str) -> None:
    batch = made_packets(flows, packets, kind)
    meter = Meter(MeterSettings(flows_max=2 * flows), 0)
    begin = time.perf_counter()
    step = 262_144
    for start in range(0, len(batch), step):
        meter.update(batch.slice(start, min(len(batch), start + step)))
    delta = meter.tick(START_NS + 20 * SECOND)
    metered = time.perf_counter() - begin
    rows = delta.flows
    judge = RowJudge(SiteView(parse_site(SITE)), NameBook())
    book = ViolationBook(judge)
    begin = time.perf_counter()
    judged = judge.judge_rows(rows, START_NS + 20 * SECOND)
    judging = time.perf_counter() - begin
    begin = time.perf_counter()
    book.observe(rows, judged, START_NS + 20 * SECOND)
    folding = time.perf_counter() - begin
    bad = int(np.count_nonzero(judged.verdict == VERDICTS.index("violation")))
    print(
        f"{kind:>7}: {len(rows):,} flows, {len(batch):,} packets; "
        f"metering {metered * 1e9 / len(batch):,.0f} ns a packet; "
        f"judging {judging * 1e9 / len(rows):,.0f} ns a flow in {len(judged.classes)} classes "
        f"= {100 * judging / metered:.1f} % of metering; "
        f"folding {bad:,} violating flows into {len(book.records())}: "
        f"{folding * 1e9 / max(bad, 1):,.0f} ns a flow = {100 * folding / metered:.1f} %"
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    each = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    for what in ("scan", "cloud"):
        measure(number, each, what)
