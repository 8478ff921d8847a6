"""The program sees in made captures what they were made to show."""

from __future__ import annotations

import pytest

from panotui.commands.input import analysed
from panotui.model import DhcpMessage, IcmpMessage, MqttMessage, NtpMessage, Site, TlsClientHello
from panotui.report.analysis import analysis
from tests.captures import capture
from tests.meter.streams.test_against_references import metered
from tests.meter.through_lane import run


@pytest.mark.parametrize(
    ("name", "hosts", "carrier"),
    [
        ("quic-pieces.pcapng.gz", ["one.example", "draft29.example", "draft34.example"], "quic"),
        ("tls-hidden-names.pcapng", ["provider.example", None], "tls"),
        ("tls-client-only.pcapng", ["side0.example", "side1.example", "side2.example"], "tls"),
        ("tls-server-only.pcapng", [], "tls"),
        ("hello-without-end.pcap", ["cut.example"], "tls"),
        ("gtp-tunnel.pcap", [], "tls"),
    ],
)
def test_hosts_are_read_from_openings(name: str, hosts: list[str | None], carrier: str) -> None:
    hellos = run(capture(f"crafted/{name}")).of(TlsClientHello)
    assert [(hello.sni, hello.carrier) for hello in hellos] == [(host, carrier) for host in hosts]


def test_unannounced_media_are_counted() -> None:
    streams = metered(capture("crafted/rtp-unannounced.pcapng")).streams
    counted = {ssrc: (int(row["packets"]), int(row["lost"])) for ssrc, row in streams.items()}
    assert counted == {0x1646: (36, 0), 0xB80974D8: (30, 0), 0x1A757D: (20, 4)}


def test_copies_of_a_bridge_count_once() -> None:
    whole = analysis(analysed([str(capture("crafted/bridge.pcap"))], Site()))
    (flow,) = whole["flows"]
    # three packets to open, two for each of twelve questions and as many for the answers, three
    # to close
    assert flow["packets_out"] + flow["packets_in"] == 3 + 12 * 4 + 3
    assert whole["limits"]["mirror_duplicates"] == 3 * (3 + 12 * 4 + 3)
    assert flow["retransmits"] == 0
    assert flow["app"] == "rtsp"


def test_one_direction_is_told_as_one() -> None:
    flows = analysis(analysed([str(capture("crafted/one-way.pcapng"))], Site()))["flows"]
    ways = sorted((f["packets_out"] > 0, f["packets_in"] > 0) for f in flows)
    assert ways == [(False, True), (True, False)]


def test_messages_are_as_many_as_were_made() -> None:
    kinds = [m.type for m in run(capture("crafted/lease-nanoseconds.pcapng")).of(DhcpMessage)]
    assert kinds == ["discover", "offer", "request", "ack"]
    echoes = [m.type for m in run(capture("crafted/echoes.pcapng.gz")).of(IcmpMessage)]
    assert echoes == [8, 0] * 11
    clocks = [m.mode for m in run(capture("crafted/clocks-and-counters.pcap")).of(NtpMessage)]
    assert clocks == [3, 4, 3, 4]
    assert {"connect", "connack"} <= {
        m.type for m in run(capture("crafted/mqtt-vlan.pcap")).of(MqttMessage)
    }


def test_a_scan_is_told_with_who_scans() -> None:
    found = analysis(analysed([str(capture("crafted/scan.pcap"))], Site()))["findings"]
    (scan,) = [f for f in found if f["id"] == "scan"]
    assert "172.16.0.8" in scan["text"]
