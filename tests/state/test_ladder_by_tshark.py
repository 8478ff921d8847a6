"""How far each attempt of an endpoint came, beside what tshark reads from the same capture.

Tshark gives the frames of each TCP stream; from them alone it is worked out how far the connection
came and how it ended. Records are known by the number of their first packet.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from panotui.commands.input import analysed
from panotui.model import AttemptRecord, Site
from panotui.site.file import load_site
from panotui.state.ladder import Attempt
from tests import tshark
from tests.field.cases import FOLDER, all_cases

SECOND = 1_000_000_000
FIELDS = (
    "frame.number", "frame.time_epoch", "tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.flags",
    "tcp.len", "tls.record.content_type", "tls.handshake.type", "tls.alert_message.desc",
    "http.response.code", "tls.record.opaque_type", "tls.record.length",
)  # fmt: skip
FIN, SYN, RST, ACK = 1, 2, 4, 16
HELLO, SERVER_HELLO, DATA = "1", "2", "23"
ALERT_SIZE = "19"  # of one inside TLS 1.3
CASES = (
    "a-well-site",
    "aaaa-servfail-a-works",
    "camera-gateway-silent-and-a-cloud-name-blocked",
    "clock-of-1970-time-server-answers",
    "clock-three-years-behind",
    "closed-right-after-the-hello",
    "connection-resumed-after-silence-reset",
    "every-endpoint-refuses-after-the-end",
    "every-hello-of-every-name-reset",
    "firewall-drops-all-of-443",
    "inspection-loses-the-alpn",
    "internet-goes-away-names-cached",
    "ipv6-first-silence-then-ipv4",
    "ipv6-refused-by-a-router",
    "large-hello-never-acknowledged",
    "logs-accept-and-never-answer",
    "mqtt-8883-closed-every-29-seconds",
    "nat-forgets-with-reset-120s",
    "old-connection-lives-new-ones-die",
    "only-the-tail-of-the-flight-arrives",
    "portal-answers-http-on-443",
    "reset-right-after-the-hello",
    "tls-inspection-three-names",
    "tls13-client-leaves-after-the-certificate",
)


@dataclass(frozen=True)
class Frame:
    """A TCP segment as tshark shows it; several values of a field stand in one text."""

    number: int
    time_ns: int
    sport: int
    dport: int
    flags: int
    size: int
    records: str
    handshakes: str
    alert: str
    http: str
    sizes: str  # of its TLS records


class Stream:
    """A TCP stream, and what it shows of the ladder."""

    def __init__(self, frames: list[Frame]) -> None:
        self.first = frames[0]
        port = self.first.sport if self.first.flags & SYN else -1
        self.out = [f for f in frames if f.sport == port]
        self.back = [f for f in frames if f.sport != port]
        self.syns = [f for f in self.out if f.flags & (SYN | ACK) == SYN]
        self.synack = next((f for f in self.back if f.flags & SYN), None)
        self.hello = next((f for f in self.out if has(f.handshakes, HELLO)), None)
        self.answer = next((f for f in self.back if f.size), None)
        self.server_hello = next((f for f in self.back if has(f.handshakes, SERVER_HELLO)), None)
        self.alert = next((f for f in frames if f.alert not in ("", "0")), None)
        self.http = next((f for f in self.back if f.http), None)
        self.end = next((f for f in frames if f.flags & (FIN | RST)), None)

    @property
    def whole(self) -> bool:
        """The server has answered what the client sent protected; an alert is no such thing."""
        mine = next((f for f in self.out if has(f.records, DATA)), None)
        if mine is None or has(mine.sizes, ALERT_SIZE):
            return False
        return any(has(f.records, DATA) and f.number > mine.number for f in self.back)

    @property
    def ended_by_server(self) -> bool:
        return self.end is not None and self.end in self.back

    def reached(self) -> tuple[str, set[str]]:
        """The last step that it passed, and how the next one may have ended."""
        if self.synack is None and self.answer is None:
            refused = any(f.flags & RST for f in self.back)
            return "next-hop", {"refused"} if refused else {"silent", "waiting", "icmp"}
        if self.hello is None:
            return "syn", {"waiting", "silent", "closed", "reset", "cut-short"}
        if self.http is not None:
            return "client-hello", {"http"}
        if self.answer is None:
            if not self.ended_by_server:
                return "client-hello", {"silent", "waiting", "cut-short"}
            return "client-hello", {"reset" if self.end.flags & RST else "closed"}  # type: ignore[union-attr]
        if self.alert is not None:
            return "server-flight", {"alert"}
        if self.whole:
            return "data", {"works"}
        return "server-flight", {"left", "stalled", "closed", "reset", "waiting"}


def has(values: str, wanted: str) -> bool:
    return wanted in values.split(",")


def streams(path: Path) -> dict[int, Stream]:
    """The streams of a capture, by the number of their first frame."""
    command = ["tshark", "-r", str(path), *tshark.OPTIONS, "-o", "tcp.relative_sequence_numbers:0",
               "-o", "tls.desegment_ssl_records:TRUE", "-Y", "tcp && !icmp && !icmpv6",
               "-T", "fields"]  # fmt: skip
    for name in FIELDS:
        command += ["-e", name]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[Frame]] = {}
    for line in said.splitlines():
        number, time, stream, sport, dport, flags, size, *rest = line.split("\t")
        whole, _, part = time.partition(".")
        time_ns = int(whole) * SECOND + int(part.ljust(9, "0")[:9])
        records, handshakes, alert, http, opaque, sizes = rest  # opaque: of TLS 1.3
        frame = Frame(int(number), time_ns, int(sport), int(dport), int(flags, 16), int(size),
                      f"{records},{opaque}", handshakes, alert, http, sizes)  # fmt: skip
        found.setdefault(stream, []).append(frame)
    return {frames[0].number: Stream(frames) for frames in found.values()}


def attempts(name: str, path: Path) -> Iterator[tuple[str, AttemptRecord, Attempt]]:
    """Host, record and book entry of each connection that the endpoints of a case show."""
    case = all_cases()[name]
    site = load_site(FOLDER / case["site"]) if "site" in case else Site()
    engine = analysed([str(path)], site)
    shown = {(e.host, e.port): e for e in engine.snapshot().endpoints}
    for endpoint in engine.endpoints.endpoints.values():
        record = shown[endpoint.host, endpoint.port]
        known = {a.packet: a for a in endpoint.attempts.recent}
        times = [one.time_ns for one in record.attempts_detail]
        assert times == sorted(times), "oldest first"
        for one in record.attempts_detail:
            if one.passed != "nothing":  # a lookup in vain is no connection
                yield endpoint.host, one, known[one.packet or 0]


@pytest.mark.parametrize("name", CASES)
def test_each_attempt_is_as_tshark_reads_it(name: str, tmp_path: Path) -> None:
    tshark.require()
    path = tmp_path / f"{name}.pcap"
    packed = (FOLDER / f"{name}.pcap.zst").read_bytes()
    path.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    seen = streams(path)
    compared = 0
    for host, record, attempt in attempts(name, path):
        where = f"{host}, packet {record.packet}: {record.text}"
        stream = seen.get(record.packet or 0)
        if attempt.older:  # seen from its middle, or after a silence that forgot it
            assert stream is None or not stream.syns, where
            continue
        assert stream is not None, where
        assert record.time_ns == stream.first.time_ns, where
        compared += 1
        passed, ends = stream.reached()
        assert (record.passed, record.ended in ends) == (passed, True), (where, passed, ends)
        if stream.synack is not None:
            took = (stream.synack.time_ns - stream.syns[-1].time_ns) / 1e6
            assert attempt.rtt_ms == pytest.approx(took, abs=0.0011), where
            assert f"SYN ok {took:.0f} ms" in record.text, where
        elif record.ended != "icmp":
            assert attempt.syns == len(stream.syns), where
        for heard, frame in (
            (attempt.hello, stream.hello),
            (attempt.server_hello, stream.server_hello),
            (attempt.alert if record.ended == "alert" else None, stream.alert),
        ):
            if heard is not None and frame is not None:
                assert (heard.time_ns, heard.packet) == (frame.time_ns, frame.number), where
            assert heard is None or frame is not None, where
        end = stream.end
        if record.ended in ("reset", "refused") and end is not None:
            assert (end.time_ns, end.number) in [(e.time_ns, e.packet) for e in attempt.evidence]
        if record.ended in ("closed", "left") and end is not None:
            assert attempt.evidence[-1].time_ns >= end.time_ns, where
        if attempt.evidence and record.passed != "data":
            proofs = [e.time_ns for e in attempt.evidence]
            assert proofs == sorted(proofs), where
    assert compared
