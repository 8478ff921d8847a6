"""Columns of batches: every link type, tag and header of real captures, and hostile bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Raw

from panotui.model import Interface, PacketBatch
from panotui.wire.columns import SNAPPED, TUNNEL, Columns
from panotui.wire.decode import Decoder, decode

SRC, DST = "10.0.0.1", "192.168.7.9"
SRC6, DST6 = "2001:db8::1", "2001:db8::2"


def batch(
    *frames: bytes, link: int | list[int] = 1, snap: int = 1 << 20, gap: bytes = b"\xee" * 16,
    first_number: int = 1, wire: int | None = None,
) -> PacketBatch:  # fmt: skip
    """Frames in one buffer with foreign bytes between them, as records of a file lie."""
    offsets, kept, data = [], [], b""
    for frame in frames:
        data += gap
        offsets.append(len(data))
        kept.append(min(len(frame), snap))
        data += frame[:snap]
    n = len(frames)
    links = [link] * n if isinstance(link, int) else link
    interfaces = [Interface(str(kind), kind) for kind in dict.fromkeys(links)]
    index = [list(dict.fromkeys(links)).index(kind) for kind in links]
    lengths = [wire if wire is not None else len(frame) for frame in frames]
    return PacketBatch(
        np.frombuffer(data, np.uint8), np.array(offsets, np.int64), np.array(kept, np.int64),
        np.array(lengths, np.int64), np.arange(n, dtype=np.int64) + 10**18,
        np.array(index, np.int16), interfaces, first_number,
    )  # fmt: skip


def udp(payload: bytes = b"payload!", **ip: object) -> IP:
    return IP(src=SRC, dst=DST, **ip) / UDP(sport=5004, dport=6000) / Raw(payload)


def eth() -> Ether:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def assert_udp(c: Columns, data: np.ndarray, row: int = 0, payload: bytes = b"payload!") -> None:
    assert c.version[row] == 4
    assert (c.protocol[row], c.sport[row], c.dport[row]) == (17, 5004, 6000)
    assert (c.src4[row], c.dst4[row]) == (0x0A000001, 0xC0A80709)
    assert c.payload_length[row] == len(payload)
    assert bytes(data[c.payload[row] : c.payload[row] + c.payload_captured[row]]) == payload
    assert not c.malformed[row]
    assert c.hash[row] > 1


def sll(frame: bytes, packet_type: int = 4) -> bytes:
    return struct.pack("!HHH8sH", packet_type, 1, 6, b"\2\0\0\0\0\1\0\0", 0x0800) + frame


def sll2(frame: bytes) -> bytes:
    return struct.pack("!HHIHBB8s", 0x0800, 0, 3, 1, 4, 6, b"\2\0\0\0\0\1\0\0") + frame


LINKS = [
    ("ethernet", 1, bytes(eth() / udp()), -1),
    ("vlan", 1, bytes(eth() / Dot1Q(vlan=20, prio=2) / udp()), 20),
    ("priority tag", 1, bytes(eth() / Dot1Q(vlan=0, prio=5) / udp()), -1),
    ("qinq", 1, bytes(eth() / Dot1AD(vlan=100) / Dot1Q(vlan=21) / udp()), 21),
    ("three tags", 1, bytes(eth() / Dot1AD(vlan=9) / Dot1Q(vlan=8) / Dot1Q(vlan=7) / udp()), 7),
    ("mpls", 1, bytes(eth())[:12] + b"\x88\x47" + b"\0\1\0\x40" + b"\0\2\1\x40" + bytes(udp()), -1),
    ("snap", 1, bytes(Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01", type=60)
     / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x800) / udp()), -1),
    ("pppoe", 1, bytes(eth() / PPPoE() / PPP(proto=0x21) / udp()), -1),
    ("cooked", 113, sll(bytes(udp())), -1),
    ("cooked 2", 276, sll2(bytes(udp())), -1),
    ("raw", 101, bytes(udp()), -1),
    ("raw 12", 12, bytes(udp()), -1),
    ("raw 228", 228, bytes(udp()), -1),
    ("null, little", 0, b"\2\0\0\0" + bytes(udp()), -1),
    ("loop, network", 108, b"\0\0\0\2" + bytes(udp()), -1),
    ("ppp", 9, b"\xff\3\0\x21" + bytes(udp()), -1),
    ("ppp, compressed address", 9, b"\0\x21" + bytes(udp()), -1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "link", "frame", "vlan"), LINKS, ids=[row[0] for row in LINKS])
def test_link_header_leads_to_the_datagram(name: str, link: int, frame: bytes, vlan: int) -> None:
    packets = batch(frame, link=link)
    c = decode(packets)
    assert_udp(c, packets.data)
    assert c.vlan[0] == vlan
    assert c.ethertype[0] == 0x0800
    if link in (1, 113, 276):
        assert c.src_mac[0] == 0x020000000001
    if link == 1:
        assert c.dst_mac[0] == 0x020000000002
    assert c.outgoing[0] == (1 if link in (113, 276) else -1)


def test_link_types_may_be_mixed_in_one_batch() -> None:
    packets = batch(*(row[2] for row in LINKS), link=[row[1] for row in LINKS])
    c = decode(packets)
    for row in range(len(LINKS)):
        assert_udp(c, packets.data, row)
    assert len(set(c.hash.tolist())) == 1


def test_unknown_link_type_is_left_alone() -> None:
    c = decode(batch(bytes(udp()), link=127))
    assert (c.version[0], c.hash[0], c.malformed[0]) == (0, 0, False)


def test_tag_that_the_nic_removed_is_told() -> None:
    packets = batch(bytes(eth() / udp()), bytes(eth() / udp()))
    tagged = PacketBatch(
        packets.data, packets.offset, packets.captured, packets.wire_length, packets.time_ns,
        packets.interface, packets.interfaces, 1, np.array([0x4014, -1], np.int32),
    )  # fmt: skip
    c = decode(tagged)
    assert c.vlan.tolist() == [20, -1]
    assert_udp(c, packets.data, 0)


def test_ipv4_options_are_skipped() -> None:
    packets = batch(bytes(eth() / udp(options=[IPOption_Router_Alert()])))
    c = decode(packets)
    assert_udp(c, packets.data)
    assert c.l4[0] - c.l3[0] > 20


@pytest.mark.parametrize(
    "headers",
    [
        IPv6(src=SRC6, dst=DST6),
        IPv6(src=SRC6, dst=DST6) / IPv6ExtHdrHopByHop(),
        IPv6(src=SRC6, dst=DST6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt(),
    ],
)
def test_ipv6_extension_headers_are_walked(headers: IPv6) -> None:
    packets = batch(bytes(eth() / headers / UDP(sport=5004, dport=6000) / Raw(b"payload!")))
    c = decode(packets)
    assert (c.version[0], c.protocol[0], c.sport[0], c.dport[0]) == (6, 17, 5004, 6000)
    assert bytes(packets.data[c.payload[0] :][:8]) == b"payload!"


def test_both_directions_share_a_hash_and_differ_in_forward() -> None:
    there = eth() / IP(src=SRC, dst=DST) / TCP(sport=40000, dport=443, flags="A") / Raw(b"x")
    back = eth() / IP(src=DST, dst=SRC) / TCP(sport=443, dport=40000, flags="A") / Raw(b"x")
    there6 = eth() / IPv6(src=SRC6, dst=DST6) / TCP(sport=1, dport=2)
    back6 = eth() / IPv6(src=DST6, dst=SRC6) / TCP(sport=2, dport=1)
    echo = eth() / IP(src=SRC, dst=DST) / ICMP(type=8) / Raw(b"x" * 20)
    reply = eth() / IP(src=DST, dst=SRC) / ICMP(type=0) / Raw(b"x" * 20)
    c = decode(batch(*(bytes(p) for p in (there, back, there6, back6, echo, reply))))
    assert c.hash[0] == c.hash[1]
    assert c.hash[2] == c.hash[3]
    assert c.hash[4] == c.hash[5]
    assert len(set(c.hash.tolist())) == 3
    assert c.forward.tolist() == [True, False, True, False, True, False]
    assert (c.sport[4], c.dport[4]) == (8, 0)


def test_later_fragments_carry_the_ports_of_the_first_also_from_another_batch() -> None:
    whole = bytes(UDP(sport=5004, dport=6000, len=3008) / Raw(b"a" * 3000))
    parts = [
        bytes(eth() / IP(src=SRC, dst=DST, id=7, proto=17, flags=flags, frag=frag) / Raw(part))
        for flags, frag, part in (
            (1, 0, whole[:1480]), (1, 185, whole[1480:2960]), (0, 370, whole[2960:])
        )
    ]  # fmt: skip
    other = bytes(eth() / IP(src=SRC, dst=DST, id=8, proto=17, frag=185) / Raw(b"b" * 64))
    decoder = Decoder()
    first = decoder.decode(batch(parts[0], parts[1]))
    second = decoder.decode(batch(parts[2], other))
    assert first.fragment.tolist() == [1, 2]
    assert first.sport.tolist() == [5004, 5004]
    assert second.sport.tolist() == [5004, 0]
    assert second.hash[0] == first.hash[0]
    assert second.hash[1] != first.hash[0]
    assert first.payload_length.tolist() == [1472, 1480]


@pytest.mark.parametrize("identification", range(64))
def test_fragments_of_another_protocol_get_no_ports(identification: int) -> None:
    frames = [
        bytes(eth() / IP(src=SRC, dst=DST, id=7, flags="MF") / UDP(sport=5004) / Raw(b"a" * 72)),
        bytes(eth() / IP(src=SRC, dst=DST, id=identification, proto=6, frag=10) / Raw(b"b" * 64)),
    ]
    assert decode(batch(*frames)).sport.tolist() == [5004, 0]


def test_ipv6_fragments_find_their_ports() -> None:
    whole = bytes(UDP(sport=5004, dport=6000, len=2008) / Raw(b"a" * 2000))
    head = IPv6(src=SRC6, dst=DST6)
    parts = [
        bytes(eth() / head / IPv6ExtHdrFragment(id=9, m=m, offset=o, nh=17) / Raw(part))
        for m, o, part in ((1, 0, whole[:1448]), (0, 181, whole[1448:]))
    ]
    c = decode(batch(*parts))
    assert c.fragment.tolist() == [1, 2]
    assert c.dport.tolist() == [6000, 6000]
    assert c.hash[0] == c.hash[1]


def test_authentication_headers_are_walked_to_the_ports() -> None:
    def sealed(protocol: int, icv: int = 12) -> bytes:
        return bytes([protocol, (12 + icv) // 4 - 2]) + bytes(10 + icv)

    def whole(*parts: bytes, **more: int) -> bytes:
        return bytes(eth() / IP(src=SRC, dst=DST, proto=51, **more) / Raw(b"".join(parts)))

    body = bytes(UDP(sport=5004, dport=6000, len=58) / Raw(b"a" * 50))
    segment = bytes(TCP(sport=40_000, dport=443, flags="S"))
    bare = bytes(eth() / IP(src=SRC, dst=DST, proto=17) / Raw(body))
    c = decode(
        batch(
            whole(sealed(17), body),
            whole(sealed(17, 16), body),
            whole(sealed(51), sealed(6), segment),
            whole(sealed(50), b"e" * 40),
            whole(
                sealed(17), body, flags=1
            ),  # a first fragment: its later ones say no more than AH
            whole(sealed(17)[:6]),
            whole(bytes([17, 255]) + bytes(22), body),  # says that it is longer than the packet
        )
    )
    assert c.protocol.tolist() == [17, 17, 6, 50, 51, 51, 17]
    assert c.sport.tolist() == [5004, 5004, 40_000, 0, 0, 0, 0]
    assert c.payload_length[:3].tolist() == [50, 50, 0]
    assert c.tcp_flags[2] == 2
    assert c.hash[0] == c.hash[1] == decode(batch(bare)).hash[0]
    assert c.malformed.tolist() == [False] * 6 + [True]


def test_padding_is_no_payload() -> None:
    frame = bytes(eth() / IP(src=SRC, dst=DST) / TCP(flags="A")) + b"\0" * 6
    c = decode(batch(frame))
    assert (c.payload_length[0], c.payload[0]) == (0, -1)


def test_unset_length_of_segmentation_offload_means_the_frame() -> None:
    frame = bytearray(bytes(eth() / IP(src=SRC, dst=DST) / TCP(flags="A") / Raw(b"z" * 3000)))
    frame[16:18] = b"\0\0"
    c = decode(batch(bytes(frame)))
    assert c.payload_length[0] == 3000


def test_snapped_frames_keep_their_wire_lengths() -> None:
    packets = batch(bytes(eth() / udp(b"q" * 1000)), snap=60)
    c = decode(packets)
    assert c.payload_length[0] == 1000
    assert c.payload_captured[0] == 18
    assert c.flags[0] & SNAPPED
    shorter = decode(batch(bytes(eth() / udp(b"q" * 1000)), snap=36))
    assert (shorter.version[0], shorter.l4[0], shorter.sport[0]) == (4, -1, 0)


@pytest.mark.parametrize("kind", [4, 47, 41])
def test_tunnels_count_by_their_outer_header(kind: int) -> None:
    c = decode(batch(bytes(eth() / IP(src=SRC, dst=DST, proto=kind) / Raw(b"\0" * 40))))
    assert c.flags[0] & TUNNEL
    assert (c.src4[0], c.protocol[0]) == (0x0A000001, kind)


@pytest.mark.parametrize("port", [4789, 6081, 8472])
def test_vxlan_and_geneve_are_named(port: int) -> None:
    c = decode(batch(bytes(eth() / IP(src=SRC, dst=DST) / UDP(dport=port) / Raw(b"\0" * 40))))
    assert c.flags[0] & TUNNEL


def test_impossible_headers_are_malformed() -> None:
    good = bytearray(bytes(eth() / udp()))
    wrong_version, short_header, long_total = (bytearray(good) for _ in range(3))
    wrong_version[14] = 0x55
    short_header[14] = 0x43
    long_total[16:18] = b"\x40\0"
    c = decode(batch(*(bytes(f) for f in (good, wrong_version, short_header, long_total))))
    assert c.malformed.tolist() == [False, True, True, True]


def test_digest_is_that_of_the_packet_not_of_the_hop() -> None:
    near = eth() / IP(src=SRC, dst=DST, id=77, ttl=64) / UDP(sport=1, dport=2) / Raw(b"hello 42")
    routed = (
        Ether(src="02:00:00:00:00:09", dst="02:00:00:00:00:0a")
        / Dot1Q(vlan=5)
        / IP(src=SRC, dst=DST, id=77, ttl=63)
        / UDP(sport=1, dport=2)
        / Raw(b"hello 42")
    )
    other = eth() / IP(src=SRC, dst=DST, id=78, ttl=64) / UDP(sport=1, dport=2) / Raw(b"hello 42")
    c = decode(batch(*(bytes(p) for p in (near, routed, other))))
    assert c.digest is not None
    assert c.digest[0] == c.digest[1]
    assert c.digest[0] != c.digest[2]


FRAMES = [row[2] for row in LINKS]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.tuples(st.sampled_from(FRAMES), st.integers(0, 60), st.binary(max_size=12)).map(
                lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
            ),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([0, 1, 9, 12, 101, 108, 113, 228, 229, 239, 276, 4711]),
    st.integers(1, 130),
)
def test_no_bytes_make_it_fail_or_point_outside(frames: list[bytes], link: int, snap: int) -> None:
    packets = batch(*frames, link=link, snap=snap, gap=b"")
    c = decode(packets)
    end = packets.offset + packets.captured
    assert (c.l4 < end).all()
    has = c.payload_captured > 0
    assert (c.payload[has] >= packets.offset[has]).all()
    assert (c.payload[has] + c.payload_captured[has] <= end[has]).all()
    assert (c.payload_captured <= np.maximum(c.payload_length, 0)).all()
    assert ((c.hash != 0) == (c.version != 0)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(LINKS))), min_size=1, max_size=20), st.integers(0, 3))
def test_a_row_does_not_depend_on_its_neighbours(picks: list[int], cut: int) -> None:
    frames = [LINKS[i][2][: len(LINKS[i][2]) - cut] for i in picks]
    links = [LINKS[i][1] for i in picks]
    together = decode(batch(*frames, link=links))
    for row, (frame, link) in enumerate(zip(frames, links, strict=True)):
        alone = decode(batch(frame, link=link))
        for name in ("hash", "sport", "payload_length", "vlan", "malformed", "src_mac", "digest"):
            assert getattr(together, name)[row] == getattr(alone, name)[0], name
