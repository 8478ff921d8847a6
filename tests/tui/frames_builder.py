"""Made-up sites for the screen's tests: frames as a collector would send them.

`Site` holds records; `answer` filters, sorts and pages them with the feed's own code, so that the
screen meets the same windows as in production. `advance` moves time by a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from panotui.errors import PanotuiError
from panotui.model import (
    SECOND,
    CameraRecord,
    ClockRecord,
    CountsRecord,
    DeviceRecord,
    DialogueLine,
    EndpointRecord,
    EventRecord,
    EvidenceRecord,
    FindingRecord,
    FlowRecord,
    FreezeRecord,
    PortRecord,
    RecorderRecord,
    ResolverRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
    TimeServerRecord,
    ViolationRecord,
)
from panotui.model.page import Page
from panotui.state.standing import plays
from panotui.state.strips import Cell, Run
from panotui.views.frames import (
    Answer,
    Command,
    Curve,
    Done,
    ReviewState,
    View,
)
from panotui.views.panes import flow_rows
from panotui.views.provider import StateProvider
from panotui.wire.text import printable

PLANT_7 = SiteRecord(name="plant-7", topology="dual", region="us-east-1", vantage="mirror")
NOW = 1_767_013_351 * SECOND  # 2025-12-29T13:02:31Z
HOSTILE = printable(b"\x1b]0;owned\x07[red]bold[/red]\r\n\xe2\x80\xae gate")


def history(seed: int, mean: float, size: int = 60, gap: bool = False) -> tuple[float | None, ...]:
    dice = random.Random(seed)
    values: list[float | None] = [mean * dice.uniform(0.7, 1.1) for _ in range(size)]
    if gap:
        values[size // 3 : size // 3 + 6] = [None] * 6
    return tuple(values)


def stream(number: int, camera: str, **changes: object) -> StreamRecord:
    base = StreamRecord(
        id=f"s{number}",
        camera=camera,
        url=f"rtsp://10.20.0.{10 + number}/stream1",
        ssrc=f"0x{number * 0x01234567:08x}",
        payload_type=96,
        codec="H264",
        transport="udp",
        src=f"10.20.0.{10 + number}",
        sport=6970,
        dst="10.20.0.5",
        dport=50000 + 2 * number,
        first_time_ns=NOW - 764 * SECOND,
        last_time_ns=NOW,
        packets=288_112,
        bytes=372_000_000,
        expected=288_112,
        jitter_mean_ms=1.9,
        jitter_max_ms=11.0,
        frame_jitter_mean_ms=1.4,
        frame_jitter_max_ms=6.0,
        bitrate_mean_bps=3.9e6,
        bitrate_peak_bps=6.1e6,
        frames=19_100,
        keyframes=382,
        fps=25.0,
        gop_s=2.0,
        width=1920,
        height=1080,
        profile="High@4.0",
        media="video",
        flow=f"0-{number}",
        port="eth0",
        signalled=True,
        clock_rate=90_000,
        state_since_ns=NOW - 760 * SECOND,
        rate_bps=3.92e6,
        loss_now=0.0,
        jitter_ms=4.0,
        frame_jitter_ms=2.0,
        fps_now=25.0,
        fps_expected=25.0,
        fps_nominal=25.0,
        history_bps=history(number, 3.9e6),
        history_lost=(0,) * 60,
        history_frames=(25,) * 60,
        history_frame_bytes=tuple(int(v or 0) for v in history(number + 99, 60_000)),
        history_keyframes=tuple(int(i % 2 == 0) for i in range(60)),
        verdict="allowed",
    )
    return msgspec.structs.replace(base, **changes)


def camera(number: int, name: str, **changes: object) -> CameraRecord:
    base = CameraRecord(
        name=name,
        address=f"10.20.0.{10 + number}",
        mac=f"02:00:00:00:01:{number:02x}",
        vendor="Axis Communications AB",
        sessions=1,
        streams=(f"s{number}",),
        state="streaming",
        state_since_ns=NOW - 760 * SECOND,
        named_by="site",
        last_status=200,
        port="eth0",
        fps_expected=25.0,
        dialogue=(
            DialogueLine(
                time_ns=NOW - 764 * SECOND,
                packet=12,
                from_client=True,
                text=f"DESCRIBE rtsp://10.20.0.{10 + number}/stream1",
            ),
            DialogueLine(
                time_ns=NOW - 764 * SECOND + 4_000_000,
                packet=13,
                from_client=False,
                text="401 Unauthorized (Digest)",
            ),
        ),
    )
    return msgspec.structs.replace(base, **changes)


def endpoint(service: str, label: str, host: str, **changes: object) -> EndpointRecord:
    base = EndpointRecord(
        service=service,
        label=label,
        host=host,
        port=443,
        rule=service,
        state="reachable",
        attempts=4,
        successes=4,
        last_success_ns=NOW - 20 * SECOND,
        rtt_ms=21.3,
        tls_version="1.3",
        address="203.0.113.10",
        state_since_ns=NOW - 700 * SECOND,
        bytes=412_000,
    )
    return msgspec.structs.replace(base, **changes)


def flow(number: int, **changes: object) -> FlowRecord:
    base = FlowRecord(
        id=f"0-{number}",
        community_id=f"1:{number:027d}=",
        port="eth1",
        transport="tcp",
        src="192.168.5.5",
        sport=40_000 + number % 20_000,
        dst=f"203.0.113.{number % 250 + 1}",
        dport=443,
        first_time_ns=NOW - (number + 5) * SECOND,
        last_time_ns=NOW - number % 50 * SECOND // 7,
        packets_out=120 + number,
        packets_in=140 + number,
        bytes_out=18_000 + 977 * number,
        bytes_in=33_000 + 1_309 * number,
        app="tls",
        host=f"host{number}.us-east-1.amazonaws.com",
        host_source="sni",
        verdict="allowed",
        rule="aws",
        service="iot-mqtt",
        rtt_ms=21.4,
        retransmits=0,
        state="established",
        rate_out_bps=float(number * 7919 % 90_000),
        rate_in_bps=float(number * 104_729 % 2_000_000),
        history="ShADad",
        conn_state="S1",
    )
    return msgspec.structs.replace(base, **changes)


Sections = list[tuple[str, tuple[tuple[str, str], ...]]]
Links = tuple[tuple[str, str], ...]


@dataclass
class Site:
    """Everything a collector would know."""

    time_ns: int = NOW
    mode: str = "live"
    site: SiteRecord = PLANT_7
    ports: tuple[PortRecord, ...] = ()
    cameras: tuple[CameraRecord, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    flows: tuple[FlowRecord, ...] = ()
    violations: tuple[ViolationRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    events: tuple[EventRecord, ...] = ()
    devices: tuple[DeviceRecord, ...] = ()
    clock: ClockRecord | None = None
    resolvers: tuple[ResolverRecord, ...] = ()
    recorder: RecorderRecord | None = None
    review: ReviewState | None = None
    lost: int = 0
    notice: str | None = None
    fatal: str | None = None
    all_well_since_ns: int | None = None
    times: MadeUpTimes | None = None
    number: int = 0
    asked: list[View | Command] = field(default_factory=list)

    # ---- the state, as a collector would hold it

    def snapshot(self) -> Snapshot:
        open_ = [v for v in self.violations if v.state == "open"]
        return Snapshot(
            time_ns=self.time_ns,
            number=self.number,
            site=self.site,
            source=SourceRecord(files=("night.pcap",), lost=self.lost),
            ports=self.ports,
            cameras=self.cameras,
            streams=self.streams,
            endpoints=self.endpoints,
            devices=self.devices,
            clock=self.clock or ClockRecord(),
            resolvers=self.resolvers,
            violations=self.violations,
            findings=self.findings,
            events=self.events,
            recorder=self.recorder,
            all_well_since_ns=self.all_well_since_ns,
            counts=CountsRecord(
                devices=len(self.devices),
                flows=len(self.flows),
                flows_live=len(self.flows),
                streams=len(self.streams),
                streams_ok=sum(s.standing == "streaming" for s in self.streams),
                cameras=len(self.cameras),
                cameras_ok=sum(plays(c) for c in self.cameras),
                cameras_losing=sum(c.state == "losing" for c in self.cameras),
                cameras_unseen=sum(c.state == "unseen" for c in self.cameras),
                endpoints=sum(e.needed for e in self.endpoints),
                endpoints_ok=sum(e.needed and e.state == "reachable" for e in self.endpoints),
                endpoints_unseen=sum(e.needed and e.state == "unseen" for e in self.endpoints),
                violations_open=len(open_),
                violations_past=len(self.violations) - len(open_),
                violations_known=sum(v.known for v in open_),
                findings_open=sum(f.cleared_time_ns is None for f in self.findings),
                findings_known=sum(f.cleared_time_ns is None and f.known for f in self.findings),
                findings_notes=sum(
                    f.cleared_time_ns is None and f.severity == "info" and not f.known
                    for f in self.findings
                ),
                events=len(self.events),
            ),
        )

    def mark_known(self, key: str, known: bool) -> bool:
        name = key.partition(":")[2]
        self.findings = tuple(
            msgspec.structs.replace(f, known=known) if f.key == name else f for f in self.findings
        )
        self.violations = tuple(
            msgspec.structs.replace(v, known=known) if v.id == name else v for v in self.violations
        )
        return True

    def flow_records(self) -> tuple[FlowRecord, ...]:
        return self.flows

    def flow(self, flow_id: str) -> FlowRecord | None:
        return next((f for f in self.flows if f.id == flow_id), None)

    def explain_flow(self, flow_id: str) -> tuple[tuple[str, str], ...]:
        return ()

    def flow_page(
        self,
        keep: Callable[[FlowRecord], bool] | None = None,
        sort: str | None = None,
        reverse: bool = False,
        port: str | None = None,
        first: int = 0,
        rows: int = 50,
        follow: str | None = None,
        fold: bool = False,
    ) -> Page[FlowRecord]:
        chosen = [f for f in self.flows if keep is None or keep(f)]
        view = View(
            sort=sort, reverse=reverse, port=port, first=first, rows=rows, follow=follow, fold=fold
        )
        return msgspec.structs.replace(flow_rows(chosen, view), total=len(self.flows))

    # ---- the answer to a request

    def answer(self, request: View | Command) -> Answer:
        self.asked.append(request)
        if isinstance(request, Command):
            return self._obey(request)
        self.number += 1
        return _Provider(self).frame(request)

    def _obey(self, command: Command) -> Done:
        if command.name in ("known", "unknown"):
            self.mark_known(command.key, command.name == "known")
            return Done(ok=True, text=f"marked as {command.name}")
        if command.name == "seek" and self.review is not None:
            self.review = msgspec.structs.replace(self.review, position_ns=command.time_ns)
            self.time_ns = command.time_ns
            return Done(ok=True, text="")
        return Done(ok=True, text=f"{command.name} done")

    def advance(self, seconds: int = 1) -> None:
        """A second later: rates and histories move on."""
        dice = random.Random(self.time_ns)
        self.time_ns += seconds * SECOND
        self.streams = tuple(
            msgspec.structs.replace(
                s,
                rate_bps=(rate := (s.bitrate_mean_bps or 1e6) * dice.uniform(0.8, 1.2)),
                history_bps=(*s.history_bps[1:], rate),
                frame_jitter_ms=dice.uniform(0.5, 4.0),
                last_time_ns=self.time_ns,
            )
            for s in self.streams
        )
        self.ports = tuple(
            msgspec.structs.replace(
                p,
                rate_in_bps=(rate_in := (p.peak_in_bps or 1e6) * dice.uniform(0.5, 1.0)),
                rate_out_bps=(rate_out := (p.peak_out_bps or 1e5) * dice.uniform(0.5, 1.0)),
                history_in_bps=(*p.history_in_bps[1:], rate_in),
                history_out_bps=(*p.history_out_bps[1:], rate_out),
            )
            for p in self.ports
        )
        self.flows = tuple(
            msgspec.structs.replace(
                f,
                rate_in_bps=dice.uniform(0, 2e6),
                rate_out_bps=dice.uniform(0, 1e5),
                bytes_in=f.bytes_in + dice.randrange(90_000),
                last_time_ns=self.time_ns,
            )
            if dice.random() < 0.3
            else f
            for f in self.flows
        )


@dataclass
class MadeUpTimes:
    """How a site stood, without a recording."""

    start_s: int
    end_s: int
    stood: dict[str, list[tuple[int, Cell]]]  # key -> (seconds from the start, how from then on)
    gaps: tuple[tuple[int, int], ...] = ()

    def span(self) -> tuple[int, int]:
        return self.start_s, self.end_s

    def runs(self) -> dict[str, list[Run]]:
        out = {}
        for key, changes in self.stood.items():
            ends = [start for start, _ in changes[1:]] + [self.end_s - self.start_s]
            out[key] = [
                Run(self.start_s + a, self.start_s + b, cell)
                for (low, cell), end in zip(changes, ends, strict=True)
                for a, b in self._outside(low, end)
            ]
        return out

    def _outside(self, low: int, high: int) -> list[tuple[int, int]]:
        parts = [(low, high)]
        for start, end in self.gaps:
            parts = [
                part
                for a, b in parts
                for part in ((a, min(b, start)), (max(a, end), b))
                if part[0] < part[1]
            ]
        return parts

    def curves(self, start_s: int, cell_s: int, columns: int) -> tuple[Curve, ...]:
        known = [self.start_s <= start_s + n * cell_s < self.end_s for n in range(columns)]
        rates = (24_000_000 + 500_000 * (n % 7) if k else None for n, k in enumerate(known))
        lost = ((12 if n % 9 == 0 else 0) if k else None for n, k in enumerate(known))
        return (
            Curve(name="bit-rate", values=tuple(rates)), Curve(name="lost", values=tuple(lost)),
        )  # fmt: skip


def half_an_hour() -> MadeUpTimes:
    """The sketch: a port falls silent, a camera loses, another refuses, we miss packets."""
    well, gone, hurt = Cell.WELL, Cell.DEAD, Cell.DAMAGED
    end_s = NOW // SECOND
    return MadeUpTimes(
        end_s - 1800,
        end_s,
        {
            "port:eth0": [(0, well)],
            "port:eth1": [(0, well), (960, hurt), (1200, well)],
            "camera:dock": [(0, well)],
            "camera:gate": [(0, well), (420, hurt), (1110, well), (1500, hurt)],
            "camera:yard": [(0, Cell.UNASKED), (60, well), (1620, gone)],
            "internet": [(0, well), (960, gone), (1200, well)],
            "endpoint:logs/logs.us-east-1.amazonaws.com/443": [(0, well), (1500, gone)],
            "endpoint:s3/panorama-artifacts.s3.us-east-1.amazonaws.com/443": [(0, well)],
            "us": [(0, well), (1560, Cell.MISSED), (1680, well)],
        },
    )


class _Provider(StateProvider):
    """What answers in production, over a site that is made up."""

    def __init__(self, site: Site) -> None:
        super().__init__(
            site,
            site.mode,
            recorder=lambda: site.recorder,
            notice=lambda: site.notice,
            fatal=lambda: site.fatal,
            times=site.times,
        )
        self._site = site
        self._number = site.number - 1

    def review(self) -> ReviewState | None:
        return self._site.review


@dataclass
class SiteSource:
    """A `FrameSource` over a site."""

    site: Site
    step: bool = False  # a second passes with each view
    broken: PanotuiError | None = None

    async def ask(self, request: View | Command) -> Answer:
        if self.broken is not None:
            raise self.broken
        if self.step and isinstance(request, View):
            self.site.advance()
        return self.site.answer(request)

    async def close(self) -> None:
        return


def _ports() -> tuple[PortRecord, ...]:
    eth0 = PortRecord(
        name="eth0",
        role="camera",
        mac="02:00:00:00:00:10",
        addresses=("10.20.0.5",),
        interface="enp3s0",
        packets_in=311_000,
        packets_out=21_000,
        rate_in_bps=24.1e6,
        rate_out_bps=0.3e6,
        peak_in_bps=28e6,
        peak_out_bps=0.6e6,
        state="up",
        up=True,
        speed_mbps=1000,
        duplex="full",
        carrier_changes=0,
        neighbour="switch7 port Gi1/0/3",
        last_seen_ns=NOW,
        history_in_bps=history(1, 24e6),
        history_out_bps=history(2, 3e5),
    )
    eth1 = msgspec.structs.replace(
        eth0,
        name="eth1",
        role="cloud",
        mac="02:00:00:00:00:11",
        addresses=("192.168.5.5",),
        interface="enp4s0",
        rate_in_bps=0.1e6,
        rate_out_bps=0.4e6,
        peak_in_bps=0.4e6,
        peak_out_bps=0.9e6,
        neighbour=None,
        history_in_bps=history(3, 1e5, gap=True),
        history_out_bps=history(4, 4e5, gap=True),
    )
    return eth0, eth1


def _endpoints() -> tuple[EndpointRecord, ...]:
    return (
        endpoint("iot", "IoT MQTT", "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com",
                 open_since_ns=NOW - 41 * 60 * SECOND, alpn="x-amzn-mqtt-ca"),
        endpoint("monitoring", "CloudWatch", "monitoring.us-east-1.amazonaws.com"),
        endpoint("logs", "Logs", "logs.us-east-1.amazonaws.com", state="blocked", successes=0,
                 last_success_ns=None, rtt_ms=None, tls_version=None, address="203.0.113.90",
                 detail="3 SYNs unanswered"),
        endpoint("s3", "S3", "panorama-artifacts.s3.us-east-1.amazonaws.com",
                 last_success_ns=NOW - 180 * SECOND),
        endpoint("panorama", "Panorama", "panorama.us-east-1.amazonaws.com",
                 last_success_ns=NOW - 66 * SECOND),
        endpoint("ecr", "ECR", "*.dkr.ecr.us-east-1.amazonaws.com", state="unseen", attempts=0,
                 successes=0, last_success_ns=None, rtt_ms=None, tls_version=None, address=None,
                 needed=False),
        endpoint("my-app-dynamodb", "my-app", "dynamodb.us-east-1.amazonaws.com",
                 last_success_ns=NOW - 60 * SECOND),
    )  # fmt: skip


def _findings() -> tuple[FindingRecord, ...]:
    logs = FindingRecord(
        id="endpoint-blocked",
        key="endpoint-blocked/logs.us-east-1.amazonaws.com",
        severity="error",
        confidence="certain",
        subject="logs.us-east-1.amazonaws.com",
        text="Logs is blocked by a firewall (3 SYNs unanswered; 5 other endpoints work)",
        action="Allow outbound TCP 443 to logs.us-east-1.amazonaws.com",
        evidence=(
            EvidenceRecord(
                time_ns=NOW - 259 * SECOND, packet=10233, text="DNS answered 203.0.113.90"
            ),
            EvidenceRecord(
                time_ns=NOW - 258 * SECOND,
                packet=10234,
                text="SYN, no answer; again after 1 s, 3 s",
            ),
        ),
        first_time_ns=NOW - 259 * SECOND,
        last_time_ns=NOW,
        detail=("monitoring.us-east-1 answers in 21 ms on the same port",),
        flow="0-3",
        layer=4,
    )
    yard = msgspec.structs.replace(
        logs,
        id="camera-password",
        key="camera-password/yard",
        subject="camera yard",
        camera="yard",
        flow=None,
        text="Camera yard refuses the password (second 401 after credentials, 3 times)",
        action="Correct the password; the camera may lock out after more tries",
        first_time_ns=NOW - 180 * SECOND,
    )
    gate = msgspec.structs.replace(
        logs,
        id="camera-internet",
        key="camera-internet/gate",
        severity="warning",
        confidence="likely",
        subject="camera gate",
        camera="gate",
        flow="0-9",
        violation="v1",
        text="Camera gate contacts the internet",
        action="Block 10.20.0.12 at the firewall",
    )
    return logs, yard, gate


def _events() -> tuple[EventRecord, ...]:
    rows = (
        (500, "capture", "info", "eth0", "capture started on enp3s0"),
        (480, "camera", "info", "dock", "streams H264 1920x1080"),
        (300, "stream", "warning", "gate", "losing packets: 1.83% over 30 s"),
        (259, "endpoint", "error", "logs", "blocked: 3 SYNs unanswered"),
        (180, "camera", "error", "yard", "RTSP 401 after credentials"),
        (33, "violation", "error", "10.20.0.12", "stream-leak to 203.0.113.9:443"),
    )
    return tuple(
        EventRecord(
            time_ns=NOW - ago * SECOND,
            number=number,
            kind=kind,
            severity=severity,
            subject=subject,
            text=text,
            packet=1000 + number,
            port="eth0",
        )
        for number, (ago, kind, severity, subject, text) in enumerate(rows, 1)
    )


def plant() -> Site:
    """The sketches' site: one camera refused, one losing, one well; an endpoint blocked; a leak."""
    leak = ViolationRecord(
        id="v1",
        reason="stream-leak",
        severity="error",
        port="eth1",
        src="10.20.0.12",
        sport=51000,
        dst="203.0.113.9",
        dport=443,
        transport="tcp",
        host="p2p.vendor.example",
        first_time_ns=NOW - 400 * SECOND,
        last_time_ns=NOW - 33 * SECOND,
        packets=331,
        bytes=212_000,
        flow="0-9",
        flows=12,
        text="camera gate talks to the internet",
        nearest=("cloudwatch: source is a camera, not the appliance",),
        suggestion="Block 10.20.0.12 at the firewall",
    )
    old = msgspec.structs.replace(
        leak,
        id="v2",
        reason="unlisted-endpoint",
        state="past",
        src="192.168.5.5",
        dst="198.51.100.7",
        dport=123,
        transport="udp",
        host="time.google.com",
        flow=None,
        flows=2,
        last_time_ns=NOW - 4000 * SECOND,
        first_time_ns=NOW - 90_000 * SECOND,
    )
    lost = tuple(3 if i % 9 == 0 else 0 for i in range(60))
    return Site(
        ports=_ports(),
        cameras=(
            camera(1, "dock"),
            camera(2, "gate", state="losing", fps_expected=15.0),
            camera(3, "yard", streams=(), state="refused", last_status=401, sessions=0,
                   state_since_ns=NOW - 180 * SECOND, state_text="RTSP 401 after credentials",
                   fps_expected=15.0),
        ),
        streams=(
            stream(1, "dock"),
            stream(2, "gate", state="losing", width=1280, height=720, fps_now=11.2,
                   fps_expected=15.0, rate_bps=1.41e6, loss_now=0.0183, frame_jitter_ms=9.0,
                   lost=512, history_lost=lost, history_bps=history(8, 1.4e6, gap=True),
                   bitrate_mean_bps=1.4e6,
                   freezes=(FreezeRecord(start_ns=NOW - 100 * SECOND, seconds=2.4),)),
            stream(4, "gate", media="audio", codec="PCMA", width=None, height=None, fps_now=None,
                   fps_expected=None, rate_bps=64_000.0, gop_s=None, frames=None, keyframes=None,
                   history_bps=history(9, 64_000), frame_jitter_ms=0.4, profile=None,
                   bitrate_mean_bps=64_000.0, history_keyframes=(), history_frame_bytes=()),
        ),
        endpoints=_endpoints(),
        flows=(
            flow(1, host="a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com", app="mqtt"),
            flow(3, dst="203.0.113.90", host="logs.us-east-1.amazonaws.com", verdict="pending",
                 app=None, state="syn-sent", rate_in_bps=0.0, rate_out_bps=0.0, rtt_ms=None),
            flow(4, port="eth0", src="10.20.0.5", dst="10.20.0.12", dport=554, app="rtsp",
                 host=None, camera="gate", service=None),
            flow(9, port="eth1", src="10.20.0.12", dst="203.0.113.9", host="p2p.vendor.example",
                 verdict="violation", reason="stream-leak", service=None),
            flow(11, port="eth1", transport="udp", dst="192.168.5.1", dport=53, app="dns",
                 host=None, verdict="infrastructure", rtt_ms=None, retransmits=None,
                 rate_in_bps=None, rate_out_bps=None),
            flow(12, src="2001:db8:85a3::8a2e:370:7334", dst="2001:db8:1111:2222:3333:4444:5555:6",
                 verdict="violation", reason="unlisted-endpoint", host=HOSTILE),
        ),
        violations=(leak, old),
        findings=_findings(),
        events=_events(),
        devices=_devices(),
        clock=ClockRecord(
            state="synchronised",
            servers=(TimeServerRecord(address="192.168.5.1", scope="local", offset_ms=2.0),),
        ),
        resolvers=(ResolverRecord(address="192.168.5.1", queries=90, answers=90, median_ms=12.0),),
        times=half_an_hour(),
        recorder=RecorderRecord(path="/var/lib/panotui/night.panotui", since_ns=NOW - 764 * SECOND),
    )  # fmt: skip


def _devices() -> tuple[DeviceRecord, ...]:
    return (
        DeviceRecord(
            mac="02:00:00:00:00:10", addresses=("10.20.0.5",), names=("eth0",), port="eth0",
            role="appliance", first_time_ns=NOW - 764 * SECOND, last_time_ns=NOW,
            packets=91_200, bytes=6_100_000,
        ),
        DeviceRecord(
            mac="ac:cc:8e:11:22:01", vendor="Axis Communications AB",
            addresses=("10.20.0.11", "fe80::aecc:8eff:fe11:2201"), names=("dock",), port="eth0",
            vlan=30, role="camera", first_time_ns=NOW - 764 * SECOND, last_time_ns=NOW,
            packets=1_737_000, bytes=2_076_855_000,
        ),
        DeviceRecord(
            mac="00:1b:17:00:01:30", vendor="Palo Alto Networks", addresses=("192.168.5.1",),
            port="eth1", role="gateway", first_time_ns=NOW - 760 * SECOND,
            last_time_ns=NOW - 2 * SECOND, packets=8_900, bytes=5_046_900,
        ),
        DeviceRecord(
            mac="00:19:06:ea:b8:85", vendor="Cisco Systems, Inc", names=("switch7",), port="eth1",
            role="switch", first_time_ns=NOW - 740 * SECOND, last_time_ns=NOW - 31 * SECOND,
            packets=25, bytes=9_800,
        ),
        DeviceRecord(
            mac="5a:31:c2:00:00:07", addresses=("10.20.0.77",), names=("laptop",), port="eth0",
            role="host", first_time_ns=NOW - 90 * SECOND, last_time_ns=NOW - 70 * SECOND,
            packets=12, bytes=1_100,
        ),
    )  # fmt: skip


def well() -> Site:
    """Nothing is wrong."""
    site = plant()
    site.cameras = (camera(1, "dock"), camera(2, "gate"))
    site.streams = (stream(1, "dock"), stream(2, "gate"))
    site.endpoints = tuple(e for e in site.endpoints if e.state == "reachable")
    site.flows = site.flows[:1]
    site.violations = site.findings = ()
    site.all_well_since_ns = NOW - 7200 * SECOND
    return site


def idle() -> Site:
    """Nothing moves but the clock."""
    site = well()
    site.advance = lambda seconds=1: _only_clock(site, seconds)  # type: ignore[method-assign]
    return site


def _only_clock(site: Site, seconds: int) -> None:
    site.time_ns += seconds * SECOND


def nothing() -> Site:
    """The first second: nothing has been seen."""
    return Site(site=SiteRecord(inferred=("topology",)))


def large() -> Site:
    """30 cameras, long and hostile names, 5,000 flows."""
    site = plant()
    names = [f"building-{n // 6}-floor-{n % 6}-entrance-north-west" for n in range(26)]
    names += [HOSTILE, "北門カメラ第二", "naïve-café-ö", "cam30"]
    site.cameras = tuple(camera(n, name) for n, name in enumerate(names, 1))
    bad = {3: "refused", 9: "unreachable", 17: "silent"}
    site.cameras = tuple(
        msgspec.structs.replace(
            c, state=bad[n], streams=(), state_text="no answer to SYN", last_status=None
        )
        if n in bad
        else c
        for n, c in enumerate(site.cameras, 1)
    )
    site.streams = tuple(
        stream(n, c.name, state="losing" if n in (5, 6) else "streaming",
               loss_now=0.0004 if n in (5, 6) else 0.0, uncertain=n == 6)
        for n, c in enumerate(site.cameras, 1) if n not in bad
    )  # fmt: skip
    site.flows = tuple(flow(n, verdict="violation" if n % 97 == 0 else "allowed",
                            reason="unlisted-endpoint" if n % 97 == 0 else None)
                       for n in range(5000))  # fmt: skip
    site.site = msgspec.structs.replace(
        site.site, name="rotterdam-distribution-centre-hall-7", inferred=("topology",)
    )
    site.lost = 1234
    return site


def review() -> Site:
    """A night under review, with gaps."""
    site = plant()
    site.mode = "review"
    start = NOW - 8 * 3600 * SECOND
    hour, well = 3600, Cell.WELL
    site.times = MadeUpTimes(
        start // SECOND,
        NOW // SECOND + 600,
        {
            "port:eth0": [(0, well), (int(3.2 * hour), Cell.DEAD), (int(3.4 * hour), well)],
            "camera:gate": [(0, well), (int(4.8 * hour), Cell.DAMAGED), (int(5.6 * hour), well)],
            "internet": [(0, well)],
        },
        gaps=((2 * hour, 3 * hour),),
    )
    site.review = ReviewState(
        start_ns=start,
        end_ns=NOW + 600 * SECOND,
        position_ns=NOW,
        playing=True,
        speed=10.0,
        gaps=((start + 2 * 3600 * SECOND, start + 3 * 3600 * SECOND),),
        marks=(
            (start + 1800 * SECOND, "info", "camera dock streams"),
            (start + 4 * 3600 * SECOND, "error", "violation"),
            (NOW, "warning", "gate loses"),
        ),
    )
    return site


def fresh(site: Site) -> Site:
    """A copy whose question log is its own."""
    return replace(site, asked=[])
