"""What a report says, before it is a page or Markdown: a recording in, a `Story` out.

The story holds the records that `analyze` prints and the histories that plots need; here also stand
the sentences that both forms share: the verdict, and what was not seen. Numbers become text here.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from panotui.model import (
    SECOND,
    DeviceRecord,
    EndpointRecord,
    EventRecord,
    FindingRecord,
    FlowRecord,
    Snapshot,
    StreamRecord,
)
from panotui.recording.reader import Recording
from panotui.report.plots import Sample, Series
from panotui.state.standing import (
    cameras_said,
    dead_cameras,
    dead_endpoints,
    endpoints_said,
    unseen,
    violations_said,
)

FLOWS_SHOWN = 10
EVENTS_SHOWN = 60
UNKNOWN = "–"

# state -> level; the page and the Markdown give each a glyph and a colour
LEVELS = {
    "up": "ok",
    "standby": "ok",
    "down": "bad",
    "silent": "warn",
    "streaming": "ok",
    "paused": "ok",
    "losing": "warn",
    "slow": "warn",
    "frozen": "bad",
    "refused": "bad",
    "unreachable": "bad",
    "reachable": "ok",
    "blocked": "bad",
    "failing": "bad",
    "synchronised": "ok",
    "unsynchronised": "bad",
    "off": "bad",
    "error": "bad",
    "warning": "warn",
    "info": "info",
}
GLYPHS = {"ok": "✔", "warn": "!", "bad": "✖", "info": "i", "none": "·"}


@dataclass(frozen=True, slots=True)
class History:
    """What was sampled of one port or stream; each by name of its value."""

    series: dict[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that a report is made of."""

    snapshot: Snapshot
    flows: int
    largest: tuple[FlowRecord, ...]
    ports: dict[str, History]
    streams: dict[str, History]
    gaps: tuple[tuple[int, int], ...]  # ns
    marks: tuple[tuple[int, str], ...]  # (ns, what a person wrote)
    evidence: tuple[tuple[str, str], ...]  # (file, title)
    start_s: int
    end_s: int
    named: str  # the input, as the user called it
    made_by: str

    @property
    def findings(self) -> list[FindingRecord]:
        """Findings that a person should read: what is open, what is over, what is good to know.

        Those that only hang on another are left to it.
        """
        shown = [f for f in self.snapshot.findings if f.hidden_by is None]
        return sorted(shown, key=lambda f: (f.severity == "info", f.cleared_time_ns is not None))

    def streams_of(self, camera: str | None) -> list[StreamRecord]:
        """The streams of a camera (None: of no known camera), in order of their start."""
        return [s for s in self.snapshot.streams if s.camera == camera]


def story_of(recording: Recording, named: str, made_by: str) -> Story:
    """Read a recording for its report. InputError when it holds no snapshot."""
    snapshot = recording.final()
    start_s = recording.start_ns // SECOND - 1  # the first sample tells of the second before it
    end_s = max(start_s + 1, recording.end_ns // SECOND)
    flows = recording.all_flows()
    largest = heapq.nlargest(FLOWS_SHOWN, flows, key=lambda f: f.bytes_out + f.bytes_in)
    return Story(
        snapshot=snapshot,
        flows=len(flows),
        largest=tuple(largest),
        ports=_port_histories(recording),
        streams=_stream_histories(recording, snapshot.streams),
        gaps=tuple(recording.gaps()),
        marks=tuple(recording.marks()),
        evidence=tuple((file, title) for file, _, title, _ in recording.evidence()),
        start_s=start_s,
        end_s=end_s,
        named=named,
        made_by=made_by,
    )


def empty_story(snapshot: Snapshot, named: str, made_by: str) -> Story:
    """The story of an input without a packet: there is no time to tell of."""
    return Story(
        snapshot=snapshot,
        flows=0,
        largest=(),
        ports={},
        streams={},
        gaps=(),
        marks=(),
        evidence=(),
        start_s=0,
        end_s=0,
        named=named,
        made_by=made_by,
    )


def _port_histories(recording: Recording) -> dict[str, History]:
    found: dict[str, tuple[list[Sample], list[Sample]]] = defaultdict(lambda: ([], []))
    columns = ("resolution", "rate_in_bps", "rate_out_bps")
    for time_s, name, seconds, rate_in, rate_out in recording.samples("port_sample", columns):
        found[name][0].append(Sample(time_s - 1, seconds, rate_in))
        found[name][1].append(Sample(time_s - 1, seconds, rate_out))
    return {
        name: History({"in": Series("in", tuple(low)), "out": Series("out", tuple(high))})
        for name, (low, high) in found.items()
    }


def _stream_histories(recording: Recording, streams: Sequence[StreamRecord]) -> dict[str, History]:
    columns = ("resolution", "rate_bps", "fps", "packets", "lost")
    found: dict[str, list[tuple[int, int, float | None, float | None, int, int]]] = defaultdict(
        list
    )
    for time_s, name, seconds, rate_bps, fps, packets, lost in recording.samples(
        "stream_sample", columns
    ):
        found[name].append((time_s, seconds, rate_bps, fps, packets or 0, lost or 0))
    return {s.id: _stream_history(s, found) for s in streams}


def _stream_history(
    stream: StreamRecord,
    found: dict[str, list[tuple[int, int, float | None, float | None, int, int]]],
) -> History:
    # Runs of a recorder number their streams anew; final() marks the earlier ones `s1-`.
    name = stream.id.partition("-")[2] if stream.id.startswith("s") else stream.id
    first_s, last_s = stream.first_time_ns // SECOND, stream.last_time_ns // SECOND + 60
    rates: list[Sample] = []
    frames: list[Sample] = []
    losses: list[Sample] = []
    before: tuple[int, int] | None = None
    for time_s, seconds, rate_bps, fps, packets, lost in found.get(name, ()):
        if not first_s - seconds <= time_s <= last_s:
            continue
        start_s = time_s - 1  # a sample is taken at the end of the second that it tells of
        rates.append(Sample(start_s, seconds, rate_bps))
        # The recorder's figure looks back over ten seconds: it lingers when nothing comes any more.
        frames.append(Sample(start_s, seconds, 0.0 if rate_bps == 0 else fps))
        losses.append(Sample(start_s, seconds, _share_lost(before, packets, lost)))
        before = (packets, lost)
    return History(
        {
            "rate": Series("bit-rate", tuple(rates)),
            "fps": Series("frames/s", tuple(frames)),
            "loss": Series("loss", tuple(losses)),
        }
    )


def _share_lost(before: tuple[int, int] | None, packets: int, lost: int) -> float | None:
    """Loss in percent since the sample before; None when nothing was expected."""
    more, gone = (packets, lost) if before is None else (packets - before[0], lost - before[1])
    expected = more + gone
    if more < 0 or expected <= 0:
        return None  # the counters began anew
    return 100.0 * max(0, gone) / expected


# ------------------------------------------------------------------ the sentences


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first line of a report."""

    level: str  # "ok", "warn", "bad", "none"
    word: str
    text: str


def verdict(story: Story) -> Verdict:
    """Is all well, and if not, how much is not: one sentence."""
    snapshot = story.snapshot
    shown = [f for f in story.findings if not f.known]
    open_now = [f for f in shown if f.cleared_time_ns is None]
    errors = sum(f.severity == "error" for f in open_now)
    warnings = sum(f.severity == "warning" for f in open_now)
    past = sum(f.severity != "info" for f in shown) - errors - warnings
    violations = [v for v in snapshot.violations if not v.known]
    open_violations = [v for v in violations if v.state == "open"]
    known = snapshot.counts.findings_known + snapshot.counts.violations_known
    parts = [
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(len(open_violations), "violation of the policy", "violations of the policy"),
        counted(len(violations) - len(open_violations), "past violation"),
    ]
    said = " and ".join(", ".join(p for p in parts if p).rsplit(", ", 1))
    gone = f"{counted(past, 'problem')} came and went" if past else ""
    tail = "".join(f"; {w}" for w in (f"{known} known" if known else "", gone) if w)
    if not snapshot.source.packets:
        return Verdict("none", "Nothing seen", "There was not a single packet to judge.")
    if said:
        level = "bad" if errors or any(v.severity == "error" for v in violations) else "warn"
        return Verdict(level, "Needs action", f"{said}{tail}.")
    dead = [f"camera {n}" for n in dead_cameras(snapshot.cameras)]
    dead += dead_endpoints(snapshot.endpoints)
    if dead and not known:
        return Verdict(
            "warn", "Not all works", f"No finding says why: {', '.join(dead[:8])}{tail}."
        )
    if known:
        return Verdict("warn", "Known only", f"What is open is known{tail}.")
    if gone:
        return Verdict("warn", "Well now", f"{gone}; nothing is open at the end.")
    if not snapshot.ports and not snapshot.streams:
        return Verdict(
            "none", "No appliance seen", "No port of an appliance and no stream was recognised."
        )
    silent = unseen(snapshot)
    also = f" Not seen: {', '.join(silent[:8])}." if silent else ""
    return Verdict("ok", "All well", f"Nothing to mend in what was seen.{also}")


def standing(story: Story) -> list[tuple[str, str, str]]:
    """(level, what, how it stands): the overview's numbers."""
    snapshot = story.snapshot
    counts = snapshot.counts
    up = sum(LEVELS.get(p.state) == "ok" for p in snapshot.ports)
    clock = snapshot.clock.state
    return [
        (_all(up, len(snapshot.ports)), "Ports", _of(up, len(snapshot.ports), "up")),
        (
            _all(counts.cameras_ok, counts.cameras, counts.cameras_unseen),
            "Cameras",
            cameras_said(counts) if counts.cameras else "none seen",
        ),
        (
            _all(counts.endpoints_ok, counts.endpoints, counts.endpoints_unseen),
            "Endpoints",
            endpoints_said(counts) if counts.endpoints else "none known",
        ),
        (LEVELS.get(clock, "none"), "Time", clock),
        (
            "bad" if counts.violations_open else "warn" if counts.violations_past else "ok",
            "Violations",
            violations_said(counts),
        ),
    ]


def _all(good: int, total: int, unseen: int = 0) -> str:
    """Well when all are; nothing is known of what was not seen."""
    if good + unseen < total:
        return "bad"
    return "ok" if total and not unseen else "none"


def _of(good: int, total: int, word: str) -> str:
    return f"{good} of {total} {word}" if total else "none seen"


def limits_said(story: Story) -> list[tuple[str, str]]:
    """(level, sentence): what was not seen or not looked at, so that nobody trusts too much."""
    source, site, limits = story.snapshot.source, story.snapshot.site, story.snapshot.limits
    said: list[tuple[str, str]] = []
    if source.lost:
        share = 100 * source.lost / max(1, source.packets + source.lost)
        said.append(
            ("warn", f"The capture missed {source.lost:,} packets ({share:.2g} % of all): losses "
             "near those times may be ours, not the network's.")
        )  # fmt: skip
    if source.truncated:
        said.append(("warn", "The file ends inside a packet; all before it was read."))
    if site.one_way:
        said.append(("warn", "The mirror copies one direction only: answers were never seen."))
    for start_ns, end_ns in story.gaps[:10]:
        said.append(
            ("warn", f"Nothing was recorded from {moment(start_ns)} for "
             f"{duration((end_ns - start_ns) / SECOND)}.")
        )  # fmt: skip
    if len(story.gaps) > 10:
        said.append(("warn", f"And {len(story.gaps) - 10:,} more gaps in the recording."))
    if site.inferred:
        said.append(
            ("info", f"Guessed from traffic, for want of a site file: {', '.join(site.inferred)}.")
        )
    for name, text in _LIMITS.items():
        count = limits.get(name, 0) or (source.malformed if name == "malformed" else 0)
        if count:
            said.append(("info", f"{count:,} {text}"))
    known = {*_LIMITS, *_NO_NEWS}
    for name, count in sorted(limits.items()):
        if count and name not in known:
            said.append(("info", f"{count:,} {name.replace('_', ' ')}."))
    if source.packets and not any(level == "warn" for level, _ in said):
        said.insert(0, ("ok", "No packet was missed by this tool."))
    return said or [("none", "There was nothing to see.")]


_LIMITS = {
    "malformed": "packets could not be read to the end (malformed, or cut by the capture).",
    "snapped": "packets were cut short by the capture: their content was not looked at.",
    "mirror_duplicates": "packets came twice from the mirror; each was counted once.",
    "control_skipped": "control packets were over the budget and not looked at one by one.",
    "connections_skipped": "connections were too many at once: how they ended was not looked at.",
    "flows_evicted": "flows were forgotten because the table was full.",
    "streams_evicted": "streams were forgotten because the table was full.",
    "ring_dropped": "packets did not fit into the capture ring.",
    "interface_dropped": "packets were dropped by the interface.",
}
_NO_NEWS = frozenset({"flows_expired", "time_steps_back"})


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 error`, `3 errors`; nothing for none."""
    return f"{count:,} {one if count == 1 else many or one + 's'}" if count else ""


def worth_telling(story: Story) -> list[EventRecord]:
    """The newest warnings and errors, oldest first."""
    return [e for e in story.snapshot.events if e.severity != "info"][-EVENTS_SHOWN:]


def place(device: DeviceRecord) -> str:
    """`eth0 VLAN 12`: where a device is heard."""
    vlan = "" if device.vlan is None else f"VLAN {device.vlan}"
    return " ".join(filter(None, (device.port, vlan))) or UNKNOWN


def endpoints_in_order(story: Story) -> list[EndpointRecord]:
    """Trouble first, then what works, then what was never seen."""
    order = {"blocked": 0, "failing": 1, "reachable": 2, "unseen": 3}
    return sorted(story.snapshot.endpoints, key=lambda e: (order.get(e.state, 4), not e.needed))


def frame_text(stream: StreamRecord) -> str:
    """`H264 1280x720 at 25.0 frames/s (25 expected)`."""
    words = [stream.codec or "codec unknown"]
    if stream.width and stream.height:
        words.append(f"{stream.width}x{stream.height}")
    if stream.fps is not None:
        words.append(f"at {stream.fps:.1f} frames/s")
    if stream.fps_expected is not None:
        words.append(f"({stream.fps_expected:g} expected)")
    return " ".join(words)


def loss_text(stream: StreamRecord) -> str:
    """`0.52 % (123 of 23,456)`; unknown when nothing was expected."""
    if not stream.expected:
        return UNKNOWN
    share = 100 * stream.lost / stream.expected
    mark = ", uncertain" if stream.uncertain else ""
    return f"{share:.2f} % ({stream.lost:,} of {stream.expected:,}{mark})"


# ------------------------------------------------------------------ numbers


def rate(value: float | None) -> str:
    """Bits per second with their unit."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for scale, unit in ((1e9, "Gb/s"), (1e6, "Mb/s"), (1e3, "kb/s")):
        if value >= scale * 0.9995:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} b/s"


def size(value: int | None) -> str:
    """Bytes with their unit (decimal)."""
    if value is None:
        return UNKNOWN
    for scale, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value} B"


def milliseconds(value: float | None) -> str:
    """Milliseconds, three figures."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.3g} ms" if abs(value) < 1000 else f"{value:,.0f} ms"


def duration(seconds: float) -> str:
    """`61.9 s`, `5 min 3 s`, `8 h 0 min`, `31 d 2 h`."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for unit, name, part, part_name in (
        (86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part} {part_name}"
    return f"{whole} s"


def moment(time_ns: int | None) -> str:
    """A date and time in UTC, to the second."""
    if not time_ns:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(time_ns // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def clock_time(time_ns: int | None) -> str:
    """The time of day in UTC with milliseconds."""
    if not time_ns:
        return UNKNOWN
    try:
        text = datetime.fromtimestamp(time_ns // SECOND, UTC).strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
    return f"{text}.{time_ns // 1_000_000 % 1000:03d}"
