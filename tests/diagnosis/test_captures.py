"""What technicians would be told of the lab's captures, and that clean ones give no alarm."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema
import pytest

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.report.analysis import analysis, schema
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.captures import capture

LOUD = ("warning", "error")


@lru_cache(maxsize=64)
def answer(name: str) -> dict[str, Any]:
    path = str(capture(name))
    engine = Engine(Site())
    source = open_file(path)
    Pump([source], engine, files=[path]).run(0.0)
    source.close()
    return analysis(engine)


def ids(name: str, *severities: str) -> list[str]:
    return [
        f["id"] for f in answer(name)["findings"] if not severities or f["severity"] in severities
    ]


def only(name: str, finding: str) -> dict[str, Any]:
    found = [f for f in answer(name)["findings"] if f["id"] == finding]
    assert len(found) == 1, ids(name)
    return found[0]


@pytest.mark.parametrize(
    "name",
    [
        "lab/udp-h264.pcap", "lab/tcp-h264.pcap", "lab/tcp-h264-mtu.pcap",
        "lab/gst-udp-digest.pcap", "lab/gst-tcp-ffmpeg.pcap", "lab/mirror-port.pcap",
        "lab/any-sll2.pcap", "lab/dhcp.pcap", "lab/gst-udp-tbf300k.pcap",
        "variants/v-vlan20.pcap", "variants/v-qinq.pcap", "variants/v-raw.pcap",
        "variants/v-sll.pcap", "variants/v-bigendian.pcap", "variants/v-udp-reordered.pcap",
        "variants/v-tcp-reordered.pcap", "variants/v-rtp-wrap.pcap",
        "variants/v-tcp-midstream-nosetup.pcap", "variants/v-cut-midpacket.pcap",
    ],
)  # fmt: skip
def test_clean_capture_gives_no_alarm(name: str) -> None:
    assert ids(name, *LOUD) == []
    assert answer(name)["violations"] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lab/faults.pcap", ["icmp-blocked", "tcp-blocked", "tcp-refused"]),
        ("lab/gst-404.pcap", ["rtsp-not-found"]),
        ("lab/gst-digest-wrongpw.pcap", ["rtsp-auth"]),
        ("lab/gst-udp-blocked.pcap", ["udp-blocked"]),
        ("lab/gst-udp-basic.pcap", ["cleartext"]),
        ("lab/gst-h265-udp.pcap", ["stream-codec"]),
        ("lab/gst-mjpeg-udp.pcap", ["stream-codec"]),
        ("lab/udp-h264-loss2pct.pcap", ["stream-loss"]),
        ("lab/gst-udp-tbf180k.pcap", ["stream-loss"]),
        ("lab/udp-h264-freeze5s.pcap", ["stream-frozen"]),
        ("lab/peers.pcap", ["tls-intercepted"]),
        ("variants/v-midstream-nosetup.pcap", ["stream-loss"]),
        ("variants/v-oneway.pcap", ["mirror-one-way"]),
        ("variants/v-ssrc-change.pcap", ["stream-restart"]),
        ("variants/v-tcp-captureloss.pcap", ["mirror-loss"]),
    ],
)
def test_faulty_capture_gives_its_finding_and_no_other(name: str, expected: list[str]) -> None:
    assert sorted(ids(name, *LOUD)) == expected


def test_switch_is_named_by_lldp() -> None:
    found = only("lab/lldp.pcap", "lldp-info")
    assert "vm, port eth0" in found["text"]
    assert [e["packet"] for e in found["evidence"]] == [2]


def test_mirrored_copies_are_told_and_not_counted_twice() -> None:
    name = "variants/v-mirror-duplicates.pcapng"
    assert ids(name) == ["mirror-duplicates"]
    (stream,) = answer(name)["streams"]
    assert (stream["packets"], stream["lost"], stream["duplicates"]) == (425, 0, 0)
    assert answer(name)["limits"]["mirror_duplicates"] == 457


def test_blocked_port_names_its_packets_and_its_control() -> None:
    found = only("lab/faults.pcap", "tcp-blocked")
    assert [e["packet"] for e in found["evidence"]] == [1, 2, 3, 4]
    assert found["confidence"] == "likely"
    assert any("8883" in line for line in found["detail"])
    assert "8443" in found["action"]


def test_icmp_names_the_sender_and_the_meaning() -> None:
    found = only("lab/faults.pcap", "icmp-blocked")
    assert "administratively prohibited" in found["text"]
    assert found["evidence"][-1]["packet"] == 8


def test_wrong_password_has_both_401s_as_evidence() -> None:
    assert [e["packet"] for e in only("lab/gst-digest-wrongpw.pcap", "rtsp-auth")["evidence"]] == [
        9, 11,
    ]  # fmt: skip


def test_freeze_is_told_with_its_length_and_cleared() -> None:
    found = only("lab/udp-h264-freeze5s.pcap", "stream-frozen")
    assert "5.0 s" in found["text"]
    assert found["cleared_time"] is not None


def test_loss_is_the_share_that_the_switch_counted() -> None:
    # nftables counted 48 of 1559 dropped
    found = only("lab/udp-h264-loss2pct.pcap", "stream-loss")
    assert "3.08 %" in found["text"]
    assert found["severity"] == "error"


@pytest.mark.parametrize(
    "name", ["lab/peers.pcap", "variants/v-two-ports.pcapng", "lab/faults.pcap"]
)
def test_nothing_stays_pending_at_the_end_of_a_file(name: str) -> None:
    assert {f["verdict"] for f in answer(name)["flows"]} <= {
        "allowed", "infrastructure", "violation",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["lab/peers.pcap", "lab/udp-h264-loss2pct.pcap", "lab/faults.pcap", "lab/lldp.pcap",
     "lab/gst-mjpeg-udp.pcap", "variants/v-two-ports.pcapng", "variants/v-tcp-captureloss.pcap",
     "lab/tcp-h264.pcap", "variants/v-raw.pcap"],
)  # fmt: skip
def test_answer_fits_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(answer(name))


def test_scan_is_told_as_a_scan_and_not_port_by_port() -> None:
    found = answer("crafted/scan.pcap")["findings"]
    still = {f["id"] for f in found if f["cleared_time"] is None}
    assert "scan" in still
    assert not {"tcp-refused", "tcp-blocked"} & still
