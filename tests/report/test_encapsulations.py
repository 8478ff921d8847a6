"""Odd links and encapsulations through a whole analysis: the same conversation in all of them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import GRE, IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    fragment6,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from panotui.commands.input import analysed
from panotui.model import Site
from panotui.report.analysis import analysis

A, B, A6, B6 = "10.1.0.5", "10.1.0.9", "2001:db8::5", "2001:db8::9"
THERE = Ether(src="02:00:00:00:00:05", dst="02:00:00:00:00:09")
BACK = Ether(src="02:00:00:00:00:09", dst="02:00:00:00:00:05")
MAC = bytes.fromhex("020000000005")


def capture(
    path: Path, frames: Iterable[bytes], link: int = 1, snap: int = 1 << 18, step_us: int = 10_000
) -> dict[str, Any]:
    """Frames as a capture file, analysed."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, link)]
    for i, frame in enumerate(frames):
        at = 1_760_000_000_000_000 + i * step_us
        kept = frame[:snap]
        out.append(struct.pack("<IIII", *divmod(at, 1_000_000), len(kept), len(frame)) + kept)
    path.write_bytes(b"".join(out))
    whole: dict[str, Any] = analysis(analysed([str(path)], Site()))
    assert whole["source"]["packets"] == len(out) - 1
    return whole


def conversation(six: bool = False, extension: Packet | None = None, options: int = 0) -> list[Any]:
    """Three datagrams there and three back, as scapy's IP packets."""
    out = []
    for i in range(6):
        there = i % 2 == 0
        ends = ((A6, B6) if six else (A, B)) if there else ((B6, A6) if six else (B, A))
        head = (
            IPv6(src=ends[0], dst=ends[1])
            if six
            else IP(src=ends[0], dst=ends[1], id=100 + i, options=[IPOption_NOP()] * options)
        )
        if extension is not None:
            head = head / extension.copy()
        ports = (40_000, 9000) if there else (9000, 40_000)
        out.append(head / UDP(sport=ports[0], dport=ports[1]) / Raw(bytes([i]) * (40 + i)))
    return out


def ethernet(mid: Packet | None = None, **how: Any) -> list[bytes]:
    return [
        bytes((BACK if i % 2 else THERE) / (p if mid is None else mid.copy() / p))
        for i, p in enumerate(conversation(**how))
    ]


def behind(head: Callable[[int], bytes], **how: Any) -> list[bytes]:
    return [head(i) + bytes(p) for i, p in enumerate(conversation(**how))]


def sll(i: int, ethertype: int = 0x0800) -> bytes:
    return struct.pack("!HHH", 0 if i % 2 else 4, 1, 6) + MAC + struct.pack("!HH", 0, ethertype)


def sll2(i: int) -> bytes:
    return struct.pack("!HHIHBB", 0x0800, 0, 3, 1, 0 if i % 2 else 4, 6) + MAC + b"\0\0"


DESTINATION = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
MADE: dict[str, tuple[int, list[bytes], int | None]] = {
    "ethernet": (1, ethernet(), None),
    "vlan": (1, ethernet(Dot1Q(vlan=20)), 20),
    "qinq": (1, ethernet(Dot1AD(vlan=100) / Dot1Q(vlan=20)), 20),
    "three tags": (1, ethernet(Dot1Q(vlan=3) / Dot1Q(vlan=4) / Dot1Q(vlan=5)), 5),
    "priority tag": (1, ethernet(Dot1Q(vlan=0, prio=5)), None),
    "mpls": (1, ethernet(MPLS(label=16, s=0) / MPLS(label=17, s=1)), None),
    "mpls with six": (1, ethernet(MPLS(label=16, s=1), six=True), None),
    "pppoe": (1, ethernet(PPPoE(sessionid=5) / PPP(proto=0x21)), None),
    "pppoe with six": (1, ethernet(PPPoE(sessionid=5) / PPP(proto=0x57), six=True), None),
    "pppoe in a vlan": (1, ethernet(Dot1Q(vlan=7) / PPPoE(sessionid=5) / PPP(proto=0x21)), 7),
    "raw": (101, behind(lambda i: b""), None),
    "raw six": (101, behind(lambda i: b"", six=True), None),
    "raw of old BSD": (12, behind(lambda i: b""), None),
    "four only": (228, behind(lambda i: b""), None),
    "six only": (229, behind(lambda i: b"", six=True), None),
    "null, little-endian": (0, behind(lambda i: struct.pack("<I", 2)), None),
    "null, big-endian": (0, behind(lambda i: struct.pack(">I", 2)), None),
    "loop": (108, behind(lambda i: struct.pack(">I", 2)), None),
    "null with six of FreeBSD": (0, behind(lambda i: struct.pack("<I", 28), six=True), None),
    "null with six of macOS": (0, behind(lambda i: struct.pack("<I", 30), six=True), None),
    "cooked": (113, behind(sll), None),
    "cooked with a tag": (
        113, behind(lambda i: sll(i, 0x8100) + struct.pack("!HH", 33, 0x0800)), 33,
    ),
    "cooked, version 2": (276, behind(sll2), None),
    "ppp": (9, behind(lambda i: b"\xff\x03\x00\x21"), None),
    "ppp without address": (9, behind(lambda i: b"\x00\x21"), None),
    "four with all options": (1, ethernet(options=40), None),
    "six with options": (1, ethernet(six=True, extension=DESTINATION), None),
    "six with a routing header": (
        1,
        ethernet(six=True, extension=DESTINATION / IPv6ExtHdrRouting(addresses=["2001:db8::7"])),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_one_conversation_whatever_it_is_wrapped_in(name: str, tmp_path: Path) -> None:
    link, frames, vlan = MADE[name]
    whole = capture(tmp_path / "x.pcap", frames, link)
    (flow,) = whole["flows"]
    assert (flow["transport"], flow["sport"], flow["dport"]) == ("udp", 40_000, 9000)
    assert flow["src"] in (A, A6)
    assert (flow["packets_out"], flow["packets_in"]) == (3, 3)
    assert flow["bytes_out"] == sum(len(frame) for frame in frames[::2])
    assert flow["bytes_in"] == sum(len(frame) for frame in frames[1::2])
    assert (flow["vlan"], flow["state"]) == (vlan, "active")
    assert whole["source"]["malformed"] == 0


INNER = THERE / IP(src="192.168.7.1", dst="192.168.7.2") / UDP(sport=5000, dport=6000) / Raw(b"x")
PLAIN = IP(src="192.168.7.1", dst="192.168.7.2") / UDP(sport=5000, dport=6000) / Raw(b"x" * 30)


@pytest.mark.parametrize(
    ("app", "transport", "inside"),
    [
        ("vxlan", "udp", UDP(sport=50_000, dport=4789) / VXLAN(vni=5) / INNER),
        ("geneve", "udp", UDP(sport=50_000, dport=6081) / GENEVE(vni=5) / INNER),
        ("gre", "gre", GRE() / PLAIN),
        ("gre", "gre", GRE(proto=0x6558) / INNER),
        ("ip-in-ip", "ip-4", PLAIN),
    ],
    ids=["vxlan", "geneve", "gre", "ethernet in gre", "ip in ip"],
)
def test_tunnels_are_named_and_counted_by_their_outer_header(
    app: str, transport: str, inside: Packet, tmp_path: Path
) -> None:
    frames = [bytes(THERE / IP(src=A, dst=B, id=i) / inside) for i in range(1, 5)]
    (flow,) = capture(tmp_path / "x.pcap", frames)["flows"]
    assert (flow["app"], flow["transport"], flow["src"], flow["dst"]) == (app, transport, A, B)
    assert flow["bytes_out"] == sum(map(len, frames))


def test_a_datagram_to_a_tunnels_port_that_is_no_tunnel_is_not_named_one(tmp_path: Path) -> None:
    for port in (4789, 6081, 8472):
        inside = UDP(sport=9000, dport=port) / Raw(b"\xff" * 30)
        (flow,) = capture(tmp_path / "x.pcap", [bytes(THERE / IP(src=A, dst=B) / inside)])["flows"]
        assert flow["app"] is None


FOUR = fragment(IP(src=A, dst=B, id=777) / UDP(sport=40_000, dport=9000) / Raw(b"f" * 4000), 1480)
SIX = fragment6(
    IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=99) / UDP(sport=40_000, dport=9000)
    / Raw(b"f" * 4000), 1280,
)  # fmt: skip


@pytest.mark.parametrize("pieces", [FOUR, SIX], ids=["four", "six"])
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "last first"])
def test_fragments_have_the_ports_of_their_first(
    pieces: list[Any], turned: bool, tmp_path: Path
) -> None:
    frames = [bytes(THERE / piece) for piece in (pieces[::-1] if turned else pieces)]
    (flow,) = capture(tmp_path / "x.pcap", frames)["flows"]
    assert (flow["sport"], flow["dport"], flow["packets_out"]) == (40_000, 9000, len(frames))
    assert flow["bytes_out"] == sum(map(len, frames))


def test_fragments_without_their_first_are_a_flow_without_ports(tmp_path: Path) -> None:
    frames = [bytes(THERE / piece) for piece in FOUR[1:]]
    (flow,) = capture(tmp_path / "x.pcap", frames)["flows"]
    assert (flow["transport"], flow["sport"], flow["dport"]) == ("udp", 0, 0)
    assert flow["packets_out"] == len(frames)


def test_two_datagrams_in_pieces_between_each_other_are_kept_apart(tmp_path: Path) -> None:
    other = fragment(
        IP(src=A, dst=B, id=778) / UDP(sport=40_003, dport=9003) / Raw(b"h" * 4000), 1480
    )
    frames = [bytes(THERE / p) for pair in zip(FOUR, other, strict=True) for p in pair]
    flows = capture(tmp_path / "x.pcap", frames)["flows"]
    assert {(f["sport"], f["packets_out"]) for f in flows} == {(40_000, 3), (40_003, 3)}


def test_an_identification_that_is_used_again_serves_the_newer_datagram(tmp_path: Path) -> None:
    again = fragment(
        IP(src=A, dst=B, id=777) / UDP(sport=40_001, dport=9001) / Raw(b"g" * 4000), 1480
    )
    flows = capture(tmp_path / "x.pcap", [bytes(THERE / p) for p in [*FOUR, *again]])["flows"]
    assert {(f["sport"], f["packets_out"]) for f in flows} == {(40_000, 3), (40_001, 3)}


@pytest.mark.parametrize("size", [30_000, 100_000])
def test_frames_before_segmentation_count_what_they_hold(size: int, tmp_path: Path) -> None:
    """The kernel hands out super-frames with an unset length, also beyond 64 kB (BIG TCP)."""
    frames = [
        bytes(
            THERE / IP(src=A, dst=B, id=i, len=0)
            / TCP(sport=40_000, dport=443, flags="A", seq=1000 + i * size) / Raw(b"t" * size)
        )
        for i in range(1, 5)
    ]  # fmt: skip
    whole = capture(tmp_path / "x.pcap", frames)
    (flow,) = whole["flows"]
    assert (flow["packets_out"], flow["bytes_out"]) == (4, 4 * (size + 54))
    assert (flow["retransmits"], flow["unseen_bytes"]) == (0, 0)
    assert whole["source"]["malformed"] == 0


@pytest.mark.parametrize("snap", [14, 20, 33, 34, 38, 42, 54, 60])
def test_snapped_packets_count_by_their_length_on_the_wire_and_are_not_malformed(
    snap: int, tmp_path: Path
) -> None:
    frames = ethernet()
    whole = capture(tmp_path / "x.pcap", frames, snap=snap)
    assert whole["source"]["bytes"] == sum(map(len, frames))
    assert (whole["source"]["malformed"], whole["limits"]["snapped"]) == (0, 6)
    if snap < 34:
        assert whole["flows"] == []
        return
    (flow,) = whole["flows"]
    assert flow["bytes_out"] + flow["bytes_in"] == sum(map(len, frames))
    assert (flow["sport"], flow["dport"]) == ((40_000, 9000) if snap >= 38 else (0, 0))


def test_a_jumbo_frame_counts_whole(tmp_path: Path) -> None:
    frames = [
        bytes(THERE / IP(src=A, dst=B, id=i) / UDP(sport=40_000, dport=9000) / Raw(b"j" * 8900))
        for i in range(1, 4)
    ]
    (flow,) = capture(tmp_path / "x.pcap", frames)["flows"]
    assert flow["bytes_out"] == 3 * 8942


@pytest.mark.parametrize("tag", [None, Dot1Q(vlan=7)], ids=["plain", "tagged"])
def test_datagrams_whose_length_cannot_be_are_counted_and_malformed(
    tag: Packet | None, tmp_path: Path
) -> None:
    frames = []
    for i, length in enumerate((7, 28, 29, 65_535), 1):
        inside = IP(src=A, dst=B, id=i) / UDP(sport=40_000, dport=9000, len=length) / Raw(b"u" * 20)
        frames.append(bytes(THERE / (inside if tag is None else tag / inside)))
    whole = capture(tmp_path / "x.pcap", frames)
    (flow,) = whole["flows"]
    assert (flow["packets_out"], whole["source"]["malformed"]) == (4, 3)
