"""Verdicts of real captures: the bundled site and the lab's, metered and judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from panotui import sources
from panotui.meter.meter import Meter
from panotui.model import FLOW_DTYPE, REASONS, SECOND, Delta, MeterSettings, Rows
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import VERDICTS, JudgedRows, RowJudge
from panotui.policy.judging.violations import ViolationBook
from panotui.site.file import load_site, parse_site
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from panotui.sources import open_file
from tests.captures import capture

DEMO = Path(sources.__file__).parent / "demo"


@dataclass
class Run:
    rows: Rows
    judged: JudgedRows
    judge: RowJudge
    book: ViolationBook

    def verdicts(self) -> dict[str, int]:
        counts = np.bincount(self.judged.verdict, minlength=len(VERDICTS)).tolist()
        return dict(zip(VERDICTS, counts, strict=True))


def run(path: Path, site: str) -> Run:
    """Meter a file second by second and judge its flows at the end."""
    view = SiteView(parse_site(site), "file")
    names = NameBook()
    judge = RowJudge(view, names)
    book = ViolationBook(judge)
    flows: dict[int, Rows] = {}

    def take(delta: Delta) -> None:
        for message in delta.messages:
            names.observe(message)
        view.observe_all(delta.messages)
        view.observe_flows(delta.flows)
        view.observe_links(delta.link_seconds)
        if len(delta.flows):
            judged = judge.judge_rows(delta.flows, delta.time_ns)
            book.observe(delta.flows, judged, delta.time_ns)
        flows.update((int(row["id"]), row) for row in delta.flows.whole())

    source, meter, tick = open_file(str(path)), Meter(MeterSettings(), 0), 0
    while not source.ended:
        batch = source.read(1)
        at = 0
        while batch is not None and at < len(batch):
            tick = tick or (int(batch.time_ns[0]) // SECOND + 1) * SECOND
            late = np.flatnonzero(batch.time_ns[at:] >= tick)
            end = at + int(late[0]) if len(late) else len(batch)
            if end > at:
                meter.update(batch.slice(at, end))
            if end < len(batch):
                take(meter.tick(tick))
                tick = (int(batch.time_ns[end]) // SECOND + 1) * SECOND
            at = end
    take(meter.tick(tick))
    rows = np.array([flows[key] for key in sorted(flows)], FLOW_DTYPE)
    judged = judge.judge_rows(FlowRows.of(rows), tick, final=True)
    book.observe(FlowRows.of(rows), judged, tick)
    return Run(rows, judged, judge, book)


def test_the_bundled_site_has_one_violation_the_camera_that_phones_home() -> None:
    done = run(DEMO / "site.pcapng.zst", (DEMO / "site.toml").read_text())
    (record,) = done.book.records()
    assert (record.reason, record.src, record.host) == (
        "stream-leak",
        "10.20.0.12",
        "p2p.vendor.example",
    )
    assert record.flows == 3
    assert done.verdicts()["pending"] == 0
    assert {"iot", "logs", "s3", "ecr", "rtsp", "rtp", "dns", "ntp"} <= {
        done.judged.rules[i] for i in np.unique(done.judged.rule).tolist() if i >= 0
    }


def test_the_bundled_site_is_understood_without_its_site_file() -> None:
    done = run(DEMO / "site.pcapng.zst", "")
    facts = done.judge.view.facts
    given = load_site(DEMO / "site.toml")
    assert facts.region == given.site.region
    assert facts.topology == "dual"
    assert set(facts.cameras) == {c.address for c in given.camera}
    assert facts.seen_roles == {"eth0": "camera", "eth1": "cloud"}
    assert {r.reason for r in done.book.records()} == {"stream-leak", "unlisted-endpoint"}
    hosts = {r.host for r in done.book.records()}
    assert hosts == {"p2p.vendor.example", "dynamodb.us-east-1.amazonaws.com"}


@pytest.mark.parametrize(
    "name",
    [
        "lab/udp-h264.pcap",
        "lab/tcp-h264.pcap",
        "lab/gst-udp-digest.pcap",
        "lab/gst-udp-blocked.pcap",
        "lab/gst-tcp-ffmpeg.pcap",
        "lab/gst-mjpeg-udp.pcap",
        "lab/dhcp.pcap",
        "variants/v-midstream-nosetup.pcap",
        "variants/v-tcp-midstream-nosetup.pcap",
        "variants/v-oneway.pcap",
        "variants/v-mirror-duplicates.pcapng",
        "variants/v-qinq.pcap",
        "variants/v-raw.pcap",
    ],
)
def test_streams_inside_a_site_raise_no_alarm(name: str) -> None:
    done = run(capture(name), "")
    assert done.book.records() == ()
    assert done.verdicts()["pending"] == 0


def test_a_name_that_resolves_inside_is_a_mismatch() -> None:
    done = run(capture("lab/peers.pcap"), "")
    found = {(r.reason, r.host) for r in done.book.records()}
    assert ("name-mismatch", "a1b2c3-ats.iot.us-east-1.amazonaws.com") in found
    with_link = run(capture("lab/peers.pcap"), "[site]\nprivate_link = true\n")
    hosts = {
        with_link.judged.hosts[i]: VERDICTS[v]
        for i, v in zip(with_link.judged.host, with_link.judged.verdict, strict=True)
    }
    assert hosts["a1b2c3-ats.iot.us-east-1.amazonaws.com"] == "allowed"


def test_every_violation_of_a_wild_capture_has_a_reason() -> None:
    done = run(capture("crafted/home.pcapng"), "")
    bad = done.judged.verdict == VERDICTS.index("violation")
    assert bad.any()
    assert (done.judged.reason[bad] > 0).all()
    assert len(done.book.records()) <= 1024
    assert {REASONS[i - 1] for i in np.unique(done.judged.reason[bad]).tolist()}
