"""Nights made up for reports: a recorder is given a snapshot each ten seconds, as from an engine.

`record_night` writes hours of a site with cameras, endpoints and devices, in which a `Trouble` may
befall one of them. Nothing of the recording is made by hand.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from panotui.model import (
    SECOND,
    CameraRecord,
    ClockRecord,
    CountsRecord,
    DeviceRecord,
    EndpointRecord,
    EventRecord,
    EvidenceRecord,
    FindingRecord,
    FlowRecord,
    FreezeRecord,
    PortRecord,
    ResolverRecord,
    SiteRecord,
    Snapshot,
    SourceRecord,
    StreamRecord,
    TimeServerRecord,
    ViolationRecord,
)
from panotui.recording.evidence_files import Written
from panotui.recording.pcapng import PcapngFile
from panotui.recording.recorder import Evidence, Recorder
from panotui.recording.retention import Limits

BEGIN_S = 1_795_986_000  # Sat 28 Nov 2026 21:00 UTC
STEP_S = 10
NAMES = ("dock", "gate", "yard", "ramp", "hall-1", "hall-2", "office", "roof")
SERVICES = (
    ("iot", "IoT MQTT", "a1b2c3d4-ats.iot.us-east-1.amazonaws.com", 8883),
    ("s3", "S3", "panorama-artifacts.s3.us-east-1.amazonaws.com", 443),
    ("logs", "CloudWatch Logs", "logs.us-east-1.amazonaws.com", 443),
    ("monitoring", "CloudWatch", "monitoring.us-east-1.amazonaws.com", 443),
    ("ecr", "ECR", "api.ecr.us-east-1.amazonaws.com", 443),
    ("sts", "STS", "sts.us-east-1.amazonaws.com", 443),
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a camera (or `internet`) from one second of the night to another."""

    kind: str  # "off", "losing", "refused", "internet"
    camera: str
    start_s: int
    end_s: int

    def at(self, second: int) -> bool:
        return self.start_s <= second < self.end_s


def record_night(
    folder: Path,
    hours: float = 9,
    *,
    cameras: int = 8,
    endpoints: int = 32,
    troubles: Sequence[Trouble] = (),
    evidence: bool = True,
    begin_s: int = BEGIN_S,
    step_s: int = STEP_S,
    leak: bool = False,
    site: str = "plant-7",
    site_text: str = "",
) -> Path:
    """A recording of so many hours; returns `folder`."""
    limits = Limits(size_bytes=1 << 40, free_bytes=0, samples_second_s=30 * 86_400)
    recorder = Recorder(
        folder, lossless=True, commit_every_s=5.0, limits=limits, site_text=site_text
    )
    night = _Night(begin_s, cameras, endpoints, tuple(troubles), leak, site)
    for second in range(0, int(hours * 3600), step_s):
        now = night.snapshot(second, step_s)
        recorder.observe(now, night.flows(second), night.events(second, step_s))
    if evidence:
        for n, trouble in enumerate(troubles):
            at_ns = (begin_s + trouble.start_s) * SECOND
            title = f"{trouble.kind} {trouble.camera}"
            recorder.keep(Evidence(f"{n:04}-{trouble.kind}.pcapng", title, at_ns, _write_nothing))
    recorder.close()
    assert recorder.failure is None
    return folder


def _write_nothing(file: PcapngFile) -> Written:
    return Written(0)


class _Night:
    def __init__(
        self, begin_s: int, cameras: int, endpoints: int, troubles: tuple[Trouble, ...],
        leak: bool, site: str,
    ) -> None:  # fmt: skip
        self.begin_s, self.troubles, self.leak, self.site = begin_s, troubles, leak, site
        self.cameras = [NAMES[n] if n < len(NAMES) else f"cam-{n + 1}" for n in range(cameras)]
        self.endpoints = endpoints
        self.random = random.Random(7)
        self.packets = dict.fromkeys(self.cameras, 0)
        self.lost = dict.fromkeys(self.cameras, 0)
        self.freezes: dict[str, tuple[FreezeRecord, ...]] = dict.fromkeys(self.cameras, ())
        self.last_seen = dict.fromkeys(self.cameras, 0)

    def trouble(self, camera: str, second: int) -> str | None:
        return next((t.kind for t in self.troubles if t.camera == camera and t.at(second)), None)

    def snapshot(self, second: int, step_s: int) -> Snapshot:
        now = (self.begin_s + second) * SECOND
        streams = tuple(self._stream(n, second, step_s, now) for n in range(len(self.cameras)))
        cameras = tuple(self._camera(n, second) for n in range(len(self.cameras)))
        dark = self.trouble("internet", second) is not None
        endpoints = tuple(self._endpoint(n, second, dark) for n in range(self.endpoints))
        findings = self._findings(second)
        good = sum(c.state == "streaming" for c in cameras)
        bits = sum(s.rate_bps or 0.0 for s in streams)
        return Snapshot(
            time_ns=now,
            number=second,
            site=SiteRecord(
                name=self.site, topology="dual", region="us-east-1", vantage="mirror"
            ),
            source=SourceRecord(
                format="live", packets=second * 1440, bytes=second * 1_600_000,
                first_time_ns=self.begin_s * SECOND, last_time_ns=now,
                interfaces=(("enp3s0", second * 1300, second * 1_500_000),),
            ),
            ports=(
                PortRecord(
                    name="eth0", role="camera", state="up", mac="02:00:00:00:00:10",
                    addresses=("10.20.0.5",), rate_in_bps=bits, rate_out_bps=1.1e5,
                    peak_in_bps=41e6, peak_out_bps=2e5, neighbour="switch7 port Gi1/0/3",
                    packets_in=second * 1400, bytes_in=second * 1_500_000,
                    state_since_ns=self.begin_s * SECOND,
                ),
                PortRecord(
                    name="eth1", role="cloud", state="up", mac="02:00:00:00:00:11",
                    addresses=("192.168.5.5",), rate_in_bps=0.0 if dark else 6.3e4,
                    rate_out_bps=1.2e5, peak_in_bps=4e6, peak_out_bps=6e6,
                    packets_in=second * 20, bytes_in=second * 9_000,
                    state_since_ns=self.begin_s * SECOND,
                ),
            ),
            streams=streams,
            cameras=cameras,
            endpoints=endpoints,
            clock=ClockRecord(
                state="synchronised",
                servers=(TimeServerRecord(
                    address="192.168.5.1", scope="local", stratum=3, requests=second // 64,
                    responses=second // 64, offset_ms=1.8, delay_ms=0.4),),
            ),
            resolvers=(ResolverRecord(
                address="192.168.5.1", queries=second // 30, answers=second // 30,
                median_ms=12.0),),
            violations=self._violations(second),
            findings=findings,
            devices=self._devices(now),
            counts=CountsRecord(
                cameras=len(cameras), cameras_ok=good,
                cameras_losing=sum(c.state == "losing" for c in cameras),
                endpoints=sum(e.needed for e in endpoints),
                endpoints_ok=sum(e.needed and e.state == "reachable" for e in endpoints),
                violations_open=len(self._violations(second)),
            ),
        )  # fmt: skip

    def _stream(self, n: int, second: int, step_s: int, now: int) -> StreamRecord:
        name = self.cameras[n]
        trouble = self.trouble(name, second)
        dead = trouble in ("off", "refused")
        packets = 0 if dead else 180 * step_s
        if trouble == "losing":
            self.lost[name] += packets // 50
        elif n == 1 and second % 7200 == 3600:
            self.lost[name] += 3
        self.packets[name] += packets
        if not dead:
            self.last_seen[name] = now
        if trouble == "off" and not any(
            f.start_ns == self.last_seen[name] for f in self.freezes[name]
        ):
            start = self.last_seen[name]
            whole = next(t for t in self.troubles if t.camera == name and t.at(second))
            lasts = float(whole.end_s - whole.start_s)
            self.freezes[name] += (FreezeRecord(start_ns=start, seconds=lasts),)
        rate = 0.0 if dead else (3.9e6 - 2e5 * n) * self.random.uniform(0.93, 1.07)
        return StreamRecord(
            id=f"0-{name}", camera=name, url=f"rtsp://10.20.0.{11 + n}/stream1",
            ssrc=f"0x{n + 1:08x}", payload_type=96, codec="H264", transport="udp",
            src=f"10.20.0.{11 + n}", sport=5000, dst="10.20.0.5", dport=6000 + 2 * n,
            first_time_ns=self.begin_s * SECOND, last_time_ns=self.last_seen[name],
            packets=self.packets[name], expected=self.packets[name] + self.lost[name],
            lost=self.lost[name], bytes=self.packets[name] * 1000, media="video",
            state="frozen" if dead else "losing" if trouble == "losing" else "streaming",
            rate_bps=rate, fps=25.0, fps_now=0.0 if dead else self.random.uniform(24.8, 25.2),
            fps_expected=25.0, width=1920, height=1080, jitter_max_ms=4.0 + n,
            bitrate_mean_bps=3.9e6 - 2e5 * n, bitrate_peak_bps=5.1e6, verdict="allowed",
            freezes=self.freezes[name],
        )  # fmt: skip

    def _camera(self, n: int, second: int) -> CameraRecord:
        name = self.cameras[n]
        trouble = self.trouble(name, second)
        states = {"off": "silent", "refused": "refused", "losing": "losing", None: "streaming"}
        since = max(
            (t for one in self.troubles if one.camera == name for t in (one.start_s, one.end_s)
             if t <= second),
            default=0,
        )  # fmt: skip
        return CameraRecord(
            name=name, address=f"10.20.0.{11 + n}", mac=f"02:00:00:00:01:{n:02x}",
            vendor="Axis Communications", state=states[trouble], streams=(f"0-{name}",),
            state_since_ns=(self.begin_s + since) * SECOND,
            state_text="RTSP 401 after credentials" if trouble == "refused" else None,
            user_agent_server="Acme/1.0",
        )  # fmt: skip

    def _endpoint(self, n: int, second: int, dark: bool) -> EndpointRecord:
        if n < len(SERVICES):
            service, label, host, port = SERVICES[n]
        else:
            service, label, port = f"app-{n}", f"my-app-{n}", 443
            host = f"service-{n}.plant.example"
        return EndpointRecord(
            service=service, label=label, host=host, port=port, rule=service,
            needed=n < len(SERVICES) or n % 2 == 0, state="blocked" if dark else "reachable",
            attempts=1 + second // 300, successes=1 + second // 300, rtt_ms=21.0 + n,
            tls_version="1.3",
        )  # fmt: skip

    def _findings(self, second: int) -> tuple[FindingRecord, ...]:
        words = {
            "off": ("stream-frozen", "error", "Camera {c} sends no picture any more",
                    "Restart the camera; look at its power and its uplink"),
            "losing": ("stream-loss", "warning", "Camera {c} loses 2 % of its packets",
                       "Look at the way from {c}: PoE switch, cable, oversubscribed uplink"),
            "refused": ("rtsp-auth", "error", "Camera {c} refuses the password",
                        "Correct the password of {c} in the application; the camera may lock"),
            "internet": ("internet-down", "error", "The internet is not reachable from eth1",
                         "Ask the owner of the router 192.168.5.1 to check its line"),
        }  # fmt: skip
        found = []
        for trouble in self.troubles:
            if trouble.start_s > second:
                continue
            kind, severity, text, action = words[trouble.kind]
            start_ns = (self.begin_s + trouble.start_s) * SECOND
            over = (self.begin_s + trouble.end_s) * SECOND if trouble.end_s <= second else None
            found.append(
                FindingRecord(
                    id=kind, severity=severity, confidence="certain",  # type: ignore[arg-type]
                    subject=trouble.camera, text=text.format(c=trouble.camera),
                    action=action.format(c=trouble.camera),
                    evidence=(
                        EvidenceRecord(time_ns=start_ns, packet=5123, text="last packet"),
                        EvidenceRecord(
                            time_ns=start_ns + 3 * SECOND, packet=None,
                            text="control: the other cameras on the same port stream"),
                    ),
                    first_time_ns=start_ns, last_time_ns=over or start_ns, cleared_time_ns=over,
                    key=f"{kind} {trouble.camera} {trouble.start_s}",
                    camera=trouble.camera if trouble.camera != "internet" else None,
                )
            )  # fmt: skip
        return tuple(found)

    def _violations(self, second: int) -> tuple[ViolationRecord, ...]:
        if not self.leak or second < 7200:
            return ()
        start = (self.begin_s + 7200) * SECOND
        return (
            ViolationRecord(
                id="v1", reason="stream-leak", severity="error", port="eth0", src="10.20.0.12",
                sport=50_000, dst="203.0.113.9", dport=443, transport="tcp",
                host="p2p.vendor.example", first_time_ns=start,
                last_time_ns=start + 33 * SECOND, packets=53, bytes=40_000, flow="0-2", flows=12,
                text="Camera gate contacts the internet", suggestion="Block 10.20.0.12",
            ),
        )  # fmt: skip

    def _devices(self, now: int) -> tuple[DeviceRecord, ...]:
        def device(mac: str, role: str, address: str, name: str | None) -> DeviceRecord:
            return DeviceRecord(
                mac=mac, role=role, vendor="Axis Communications" if role == "camera" else "Dell",
                addresses=(address,), names=(name,) if name else (), port="eth0",
                first_time_ns=self.begin_s * SECOND, last_time_ns=now, packets=1000, bytes=10**9,
            )  # fmt: skip

        cameras = [
            device(f"02:00:00:00:01:{n:02x}", "camera", f"10.20.0.{11 + n}", name)
            for n, name in enumerate(self.cameras)
        ]
        return (
            *cameras,
            device("02:00:00:00:00:10", "appliance", "10.20.0.5", None),
            device("02:00:00:00:00:11", "appliance", "192.168.5.5", None),
            device("02:00:00:00:02:01", "gateway", "192.168.5.1", "gw.plant.example"),
        )

    def flows(self, second: int) -> list[FlowRecord]:
        if second % 600:
            return []
        now = (self.begin_s + second) * SECOND
        return [
            FlowRecord(
                id=f"0-{n}", community_id=f"1:{n}=", port="eth1", transport="tcp",
                src="192.168.5.5", sport=40_000 + n, dst=f"203.0.113.{10 + n}", dport=443,
                first_time_ns=self.begin_s * SECOND, last_time_ns=now, packets_out=second,
                packets_in=second, bytes_out=second * 900, bytes_in=second * 400 * (n + 1),
                app="tls", host=SERVICES[n][2], verdict="allowed", rule=SERVICES[n][0],
                state="established",
            )
            for n in range(len(SERVICES))
        ]  # fmt: skip

    def events(self, second: int, step_s: int) -> list[EventRecord]:
        found = []
        for n, trouble in enumerate(self.troubles):
            for at, word in ((trouble.start_s, "has trouble"), (trouble.end_s, "is well again")):
                if second <= at < second + step_s:
                    found.append(
                        EventRecord(
                            time_ns=(self.begin_s + at) * SECOND, number=2 * n + at,
                            kind="camera", severity="error" if "trouble" in word else "info",
                            subject=trouble.camera, text=f"{trouble.camera} {word}",
                        )
                    )  # fmt: skip
        return found


FAULTS = (
    Trouble("off", "dock", 5_400, 6_510),
    Trouble("losing", "gate", 9_000, 14_400),
    Trouble("internet", "internet", 18_000, 18_900),
    Trouble("off", "dock", 21_600, 21_660),
    Trouble("refused", "yard", 27_000, 40_000),
)
