"""The life of flows as the JSON tells it: who is the client, how it ended, under which name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import communityid
import numpy as np
import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    IPv6,
)
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

from panotui.commands.input import analysed
from panotui.meter.meter import Meter
from panotui.model import FLOW_ENDS, SECOND, MeterSettings, Site
from panotui.report.analysis import analysis
from tests.meter.packets_in import START_NS, batch_of
from tests.report.test_encapsulations import capture

A, B, A6, B6 = "192.168.5.5", "192.168.5.9", "2001:db8::5", "2001:db8::9"
SERIAL = iter(range(1, 60_000))


def frame(inside: Packet, back: bool = False, six: bool = False) -> bytes:
    src, dst = (A6, B6) if six else (A, B)
    if back:
        src, dst = dst, src
    head = IPv6(src=src, dst=dst) if six else IP(src=src, dst=dst, id=next(SERIAL))
    macs = ("02:00:00:00:00:05", "02:00:00:00:00:09")
    return bytes(Ether(src=macs[back], dst=macs[1 - back]) / head / inside)


def there(flags: str, seq: int, ack: int = 0, data: bytes = b"", sport: int = 40_000) -> bytes:
    return frame(TCP(sport=sport, dport=9999, flags=flags, seq=seq, ack=ack) / Raw(data))


def back(flags: str, seq: int, ack: int = 0, data: bytes = b"", dport: int = 40_000) -> bytes:
    return frame(TCP(sport=9999, dport=dport, flags=flags, seq=seq, ack=ack) / Raw(data), back=True)


SHAKE = [there("S", 100), back("SA", 500, 101), there("A", 101, 501)]


def flows(tmp_path: Path, frames: list[bytes], **how: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = capture(tmp_path / "x.pcap", frames, **how)["flows"]
    return told


def test_a_port_that_is_used_again_begins_a_new_flow(tmp_path: Path) -> None:
    again = [there("S", 9000), back("SA", 7000, 9001), there("A", 9001, 7001)]
    first, second = flows(tmp_path, [*SHAKE, *again])
    assert (first["packets_out"], first["packets_in"]) == (2, 1)
    assert (second["packets_out"], second["packets_in"]) == (2, 1)
    assert first["last_time"] < second["first_time"]
    assert first["id"] != second["id"]
    assert first["community_id"] == second["community_id"]


def test_a_syn_that_is_sent_again_is_the_same_attempt(tmp_path: Path) -> None:
    (flow,) = flows(tmp_path, [there("S", 100)] * 3, step_us=1_000_000)
    assert (flow["state"], flow["packets_out"], flow["syn"]) == ("syn-sent", 3, 3)
    assert flow["conn_state"] == "S0"


def timed(tmp_path: Path, made: list[tuple[float, bytes]]) -> list[dict[str, Any]]:
    """Flows of frames at given seconds, as the program finds them."""
    path = tmp_path / "timed.pcap"
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)]
    for second, frame_ in made:
        at = 1_760_000_000_000_000 + round(second * 1e6)
        out.append(struct.pack("<IIII", *divmod(at, 1_000_000), len(frame_), len(frame_)) + frame_)
    path.write_bytes(b"".join(out))
    told: list[dict[str, Any]] = analysis(analysed([str(path)], Site()))["flows"]
    return told


def test_an_attempt_that_goes_on_for_two_minutes_is_one_flow(tmp_path: Path) -> None:
    """Linux sends a SYN again after 1, 3, 7, 15, 31, 63 and 127 seconds."""
    (flow,) = timed(tmp_path, [(float(2**i - 1), there("S", 100)) for i in range(8)])
    assert (flow["state"], flow["packets_out"]) == ("syn-sent", 8)


def test_a_fin_that_is_sent_again_and_again_is_no_new_flow(tmp_path: Path) -> None:
    ends = [(0.1, there("FA", 101, 501)), (0.2, back("FA", 501, 102)), (0.3, there("A", 102, 502))]
    late = [(0.4 + 0.2 * 2**i, back("FA", 501, 102)) for i in range(6)]
    (flow,) = timed(tmp_path, [(i / 100, f) for i, f in enumerate(SHAKE)] + ends + late)
    assert (flow["state"], flow["packets_in"]) == ("closed", 8)


def test_a_connection_that_was_refused_first_may_be_quiet_later(tmp_path: Path) -> None:
    """The same SYN is sent again after a reset, and accepted."""
    opened = [there("S", 100), back("RA", 0, 101), *SHAKE, there("PA", 101, 501, b"later")]
    (flow,) = timed(tmp_path, list(zip((0, 0.1, 0.6, 0.7, 0.8, 59.0), opened, strict=True)))
    assert (flow["packets_out"], flow["packets_in"]) == (4, 2)


def test_a_new_connection_after_a_start_in_mid_flow_is_a_new_flow(tmp_path: Path) -> None:
    old = [there("PA", 5, 9, b"data"), back("A", 9, 9)]
    first, second = flows(tmp_path, [*old, *SHAKE])
    assert (first["state"], first["packets_out"], first["packets_in"]) == ("mid-stream", 1, 1)
    assert (second["state"], second["packets_out"]) == ("established", 2)


def test_the_clients_half_alone_tells_the_time_of_the_handshake(tmp_path: Path) -> None:
    """As tshark's initial round trip, from the SYN to the acknowledgement of its answer."""
    seen = [(0.0, SHAKE[0]), (0.025, SHAKE[2]), (0.03, there("PA", 101, 501, b"data"))]
    (flow,) = timed(tmp_path, seen)
    assert (flow["handshake_ms"], flow["rtt_ms"]) == (25.0, 25.0)
    (flow,) = timed(tmp_path, [(0.0, SHAKE[0]), (0.025, there("R", 101))])
    assert flow["handshake_ms"] is None


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_flow_older_than_its_active_time_goes_on_under_another_id(rows: int) -> None:
    """All packets are in one of its pieces, which all know the client; batches do not matter."""
    frames = [*SHAKE]
    for i in range(97):
        frames.append(back("PA", 501 + i, 101, b"z"))
    times = [START_NS + i * SECOND for i in range(len(frames))]
    meter = Meter(MeterSettings(active_s=30), 0)
    whole = batch_of(frames, times)
    for start in range(0, len(frames), rows):
        meter.update(whole.slice(start, min(start + rows, len(frames))))
    pieces = np.sort(meter.tick(times[-1]).flows.whole(), order="first_packet")
    assert pieces["packets_out"].tolist() == [2, 0, 0, 0]
    assert pieces["packets_in"].tolist() == [29, 31, 31, 7]
    assert [FLOW_ENDS[end] for end in pieces["end"]] == ["active-timeout"] * 3 + [""]
    assert len(set(pieces["id"].tolist())) == 4
    assert set(pieces["sport"].tolist()) == {40_000}
    assert (np.diff(pieces["first_ns"]) == 31 * SECOND).all()


def test_flows_younger_than_the_active_time_are_left_alone() -> None:
    meter = Meter(MeterSettings(active_s=30), 0)
    meter.update(batch_of(SHAKE, [START_NS + i * 10 * SECOND for i in range(3)]))
    (row,) = meter.tick(START_NS + 100 * SECOND).flows.whole()
    assert (row["packets_out"], row["packets_in"], row["end"]) == (2, 1, 0)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "other"])
def test_idle_time_outs_are_settings_by_protocol(protocol: str) -> None:
    made = {
        "tcp": there("PA", 5, 9, b"x"), "udp": frame(UDP(sport=45_000, dport=9999) / Raw(b"x")),
        "other": frame(ICMP(type=13)),
    }[protocol]  # fmt: skip
    for limit, pieces in ((9.0, 2), (11.0, 1)):
        others = {f"idle_{name}_s": 1000.0 for name in ("tcp", "udp", "other")}
        meter = Meter(MeterSettings(**{**others, f"idle_{protocol}_s": limit}), 0)
        meter.update(batch_of([made, made], [START_NS, START_NS + 10 * SECOND]))
        told = meter.tick(START_NS + 10 * SECOND).flows
        assert len(told) == pieces
        assert told["packets_out"].sum() == 2


@pytest.mark.parametrize("seconds", [59, 62])
def test_udp_silence_beyond_the_idle_time_splits_a_flow(seconds: int, tmp_path: Path) -> None:
    asked = [frame(UDP(sport=45_000, dport=9999) / Raw(b"q%d" % i)) for i in range(2)]
    told = flows(tmp_path, asked, step_us=seconds * 1_000_000)
    assert len(told) == (1 if seconds < 60 else 2)
    assert sum(flow["packets_out"] for flow in told) == 2


def test_a_start_in_mid_flow_is_said(tmp_path: Path) -> None:
    (flow,) = flows(tmp_path, [there("PA", 5, 9, b"data"), back("A", 9, 9)])
    assert flow["state"] == "mid-stream"


def test_the_answer_to_an_unseen_syn_names_the_client(tmp_path: Path) -> None:
    (flow,) = flows(tmp_path, [back("SA", 500, 101), there("A", 101, 501)])
    assert (flow["src"], flow["sport"], flow["dport"]) == (A, 40_000, 9999)
    assert (flow["packets_out"], flow["packets_in"]) == (1, 1)


def test_a_server_that_speaks_first_stays_the_server(tmp_path: Path) -> None:
    (flow,) = flows(tmp_path, [*SHAKE, back("PA", 501, 101, b"220 hello\r\n")])
    assert (flow["src"], flow["packets_in"]) == (A, 2)
    mid = [frame(TCP(sport=22, dport=51_000, flags="PA", seq=5) / Raw(b"x"), back=True)]
    (flow,) = flows(tmp_path, mid)  # by the known port
    assert (flow["src"], flow["dport"], flow["packets_in"]) == (A, 22, 1)


def test_two_ends_that_open_at_once_are_one_flow_of_the_first(tmp_path: Path) -> None:
    both = [there("S", 100), back("S", 500), there("SA", 100, 501), back("SA", 500, 101)]
    (flow,) = flows(tmp_path, [*both, there("A", 101, 501)])
    assert (flow["src"], flow["packets_out"], flow["packets_in"]) == (A, 3, 2)
    assert flow["state"] == "established"


def test_who_reset_is_told(tmp_path: Path) -> None:
    for last, state in (
        (there("RA", 101, 501), "RSTO"), (back("RA", 501, 101), "RSTR"),
    ):  # fmt: skip
        (flow,) = flows(tmp_path, [*SHAKE, last])
        assert (flow["state"], flow["resets"], flow["conn_state"]) == ("reset", 1, state)
        (out, into) = (flow["resets_out"], flow["resets_in"])
        assert (out, into) == ((1, 0) if state == "RSTO" else (0, 1))
    (flow,) = flows(tmp_path, [there("S", 100), back("RA", 0, 101)])
    assert (flow["state"], flow["conn_state"], flow["syn"]) == ("refused", "REJ", 1)


def test_a_connection_that_waits_for_its_last_acknowledgement_is_not_refused(
    tmp_path: Path,
) -> None:
    (flow,) = flows(tmp_path, SHAKE[:2])
    assert (flow["state"], flow["conn_state"]) == ("established", "S1")


V4 = communityid.FlowTuple
NAMED = [
    ("tcp", frame(TCP(sport=1234, dport=80)), V4.make_tcp(A, B, 1234, 80)),
    ("tcp6", frame(TCP(sport=1234, dport=80), six=True), V4.make_tcp(A6, B6, 1234, 80)),
    ("udp", frame(UDP(sport=1234, dport=53), back=True), V4.make_udp(B, A, 1234, 53)),
    ("sctp", frame(SCTP(sport=1234, dport=80)), V4.make_sctp(A, B, 1234, 80)),
    ("echo", frame(ICMP(type=8)), V4.make_icmp(A, B, 8, 0)),
    ("echo answer", frame(ICMP(type=0)), V4.make_icmp(A, B, 0, 0)),
    ("unreachable", frame(ICMP(type=3, code=1)), V4.make_icmp(A, B, 3, 1)),
    ("unreachable back", frame(ICMP(type=3, code=1), back=True), V4.make_icmp(B, A, 3, 1)),
    ("time", frame(ICMP(type=13)), V4.make_icmp(A, B, 13, 0)),
    ("echo6", frame(ICMPv6EchoRequest(), six=True), V4.make_icmp6(A6, B6, 128, 0)),
    ("echo6 answer", frame(ICMPv6EchoReply(), six=True), V4.make_icmp6(A6, B6, 129, 0)),
    ("solicitation", frame(ICMPv6ND_NS(tgt=B6), six=True), V4.make_icmp6(A6, B6, 135, 0)),
    ("advert", frame(ICMPv6ND_NA(tgt=B6), six=True, back=True), V4.make_icmp6(B6, A6, 136, 0)),
    ("unreachable6", frame(ICMPv6DestUnreach(code=4), six=True), V4.make_icmp6(A6, B6, 1, 4)),
]


@pytest.mark.parametrize(("name", "made", "expected"), NAMED, ids=[n[0] for n in NAMED])
def test_community_id_is_that_of_the_reference(
    name: str, made: bytes, expected: Any, tmp_path: Path
) -> None:
    (flow,) = flows(tmp_path, [made])
    assert flow["community_id"] == communityid.CommunityID().calc(expected)


@pytest.mark.parametrize("protocol", [2, 47, 50, 51, 89, 103])
def test_community_id_of_protocols_without_ports(protocol: int, tmp_path: Path) -> None:
    made = bytes(Ether() / IP(src=B, dst=A, proto=protocol) / Raw(b"\x11\0\0\0" * 6))
    (flow,) = flows(tmp_path, [made])
    expected = communityid.CommunityID().calc(communityid.FlowTuple.make_ip(B, A, protocol))
    assert flow["community_id"] == expected


def test_a_request_and_its_answer_are_one_icmp_flow(tmp_path: Path) -> None:
    asked = [frame(ICMP(type=8, id=1, seq=i) / Raw(b"ping")) for i in range(3)]
    answered = [frame(ICMP(type=0, id=1, seq=i) / Raw(b"ping"), back=True) for i in range(3)]
    (flow,) = flows(tmp_path, [f for pair in zip(asked, answered, strict=True) for f in pair])
    assert (flow["transport"], flow["packets_out"], flow["packets_in"]) == ("icmp", 3, 3)
    assert (flow["sport"], flow["dport"], flow["state"]) == (8, 0, "active")
