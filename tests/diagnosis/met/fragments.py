"""Cameras whose packets are larger than a frame, so that each is sent in IP fragments."""

from __future__ import annotations

import ipaddress
import struct

from tests.diagnosis.camera_maker import Film, Reader
from tests.diagnosis.met.reported import SDP, VIEWER
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire, ethernet, ipv4, udp_segment

YARD = {"address": "10.20.0.12", "mac": "02:00:00:00:01:12"}
PIECE = 1480


def parts_of(segment: bytes, src: str, dst: str, number: int) -> list[tuple[int, bytes]]:
    """The EtherType and the IP packets of a UDP segment: one, or its fragments."""
    cuts = range(0, len(segment), PIECE)
    ends = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    if ":" in src:
        if len(cuts) == 1:
            return [(0x86DD, struct.pack("!IHBB", 6 << 28, len(segment), 17, 64) + ends + segment)]
        return [
            (0x86DD, struct.pack("!IHBB", 6 << 28, 8 + len(segment[at : at + PIECE]), 44, 64) + ends
             + struct.pack("!BBHI", 17, 0, at | (at + PIECE < len(segment)), number)
             + segment[at : at + PIECE])
            for at in cuts
        ]  # fmt: skip
    if len(cuts) == 1:
        return [(0x800, ipv4(src, dst, 17, segment))]
    out = []
    for at in cuts:
        body = segment[at : at + PIECE]
        more = 0x2000 if at + PIECE < len(segment) else 0
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xFFFF, more | at // 8,
                           64, 17, 0)  # fmt: skip
        out.append((0x800, head + ends + body))
    return out


def film(reader: Reader, start: float, end: float, made: Film, *, lost_from: float = 1e9,
         lost_until: float = 1e9, backwards: bool = False, port: int = 6000) -> None:  # fmt: skip
    """Pictures of 2,700 bytes a packet; between two times only first fragments arrive."""
    number = count = 0
    while (at := start + number / made.fps) < end:
        for part, packet in enumerate(made.picture()):
            count += 1
            pieces = parts_of(udp_segment(5000, port, packet), reader.address, reader.client, count)
            if lost_from <= at < lost_until:
                del pieces[1:]
            if backwards:
                pieces.reverse()
            for k, (kind, piece) in enumerate(pieces):
                frame = ethernet(reader.mac, reader.client_mac, kind, piece, reader.vlan)
                reader.wire.add(at + 0.0003 * part + 0.00002 * k, frame, reader.interface)
        number += 1


def says(reader: Reader, made: Film, start: float, end: float, share: float = 0,
         port: int = 6001) -> None:  # fmt: skip
    """The reader's reports, with the share of packets that it misses."""
    at = start
    while at < end:
        body = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x9999, made.ssrc,
                           int(share * 256) << 24 | (100 if share else 0), 0, 0, 0, 0)  # fmt: skip
        reader.wire.udp(at, (reader.client_mac, reader.client, port),
                        (reader.mac, reader.address, 5001), body, reader.interface,
                        vlan=reader.vlan)  # fmt: skip
        at += 5


def large(ssrc: int = 0x5EED0001) -> Film:
    return Film(ssrc=ssrc, fps=15, gop=15, parts=1, key_parts=4, size=2_700)


@scene
def only_first_fragments_pass_the_firewall(wire: Wire) -> Truth:
    """The reader reports that nearly all is missing, and says by ICMP that it waited in vain."""
    reader, made = Reader(wire).start(0.2, SDP), large()
    film(reader, 0.6, 40, made, lost_from=0)
    says(reader, made, 5, 40, 0.9)
    quoted = parts_of(udp_segment(5000, 6000, bytes(2_700)), reader.address, reader.client, 1)
    for at in range(31, 40):
        body = struct.pack("!BBHI", 11, 1, 0, 0) + quoted[0][1][:36]
        answer = ipv4(reader.client, reader.address, 1, body)
        wire.add(at, ethernet(reader.client_mac, reader.mac, 0x800, answer))
    return Truth(("fragments-lost",), of=(("fragments-lost", "dock"),),
                 acts={"fragments-lost": "owner of the firewall"},
                 says={"fragments-lost": r"(\d+) of \1 packets over \d+ s[\s\S]*waited in vain"},
                 )  # fmt: skip


@scene
def only_first_fragments_of_two_cameras_arrive(wire: Wire) -> Truth:
    """One firewall on the way of both: one finding, with both names. A third camera behind it
    keeps its packets small, and is well."""
    for n, more in enumerate(({}, YARD)):
        reader = Reader(wire, 40_000 + n, **more).start(0.2 + n, SDP, ports=6000 + 10 * n)
        made = large(0x5EED0001 + n)
        film(reader, 0.6 + n, 30, made, lost_from=0, port=6000 + 10 * n)
        says(reader, made, 5, 30, 0.9, 6001 + 10 * n)
    small = Reader(wire, 40_009, address="fd20::11", mac="02:00:00:00:01:16", client="fd20::10")
    small.start(0.3, SDP, ports=6060).film(0.7, 30, Film(ssrc=0x77), port=6060)
    return Truth(("fragments-lost",), says={"fragments-lost": "of 2 cameras "},
                 states={"10.20.0.12": "streaming"},
                 streams={0x77: {"lost": 0, "fps": 25.0}})  # fmt: skip


@scene
def all_fragments_arrive_the_last_one_first(wire: Wire) -> Truth:
    reader, made = Reader(wire).start(0.2, SDP), large()
    film(reader, 0.6, 30, made, backwards=True)
    says(reader, made, 5, 30)
    other, more = Reader(wire, 40_001, **YARD).start(0.2, SDP, ports=6010), large(0x9)
    film(other, 0.6, 30, more, port=6010)
    says(other, more, 5, 30, port=6011)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 15.0}, 0x9: {"lost": 0, "fps": 15.0}},
                 states={"10.20.0.12": "streaming"})  # fmt: skip


@scene
def capture_was_filtered_by_port_and_has_no_later_fragments(wire: Wire) -> Truth:
    """The reader's own reports count no loss: it has them."""
    reader, made = Reader(wire).start(0.2, SDP), large()
    film(reader, 0.6, 40, made, lost_from=0)
    says(reader, made, 4, 40)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 15.0}})


@scene
def fragments_pass_again_after_half_a_minute(wire: Wire) -> Truth:
    reader, made = Reader(wire).start(0.2, SDP), large()
    film(reader, 0.6, 70, made, lost_from=10, lost_until=35)
    says(reader, made, 3, 9)
    says(reader, made, 13, 38, 0.9)
    says(reader, made, 43, 70)
    return Truth(("fragments-lost",), over=("fragments-lost",))


@scene
def only_first_fragments_arrive_in_ipv6_and_a_vlan(wire: Wire) -> Truth:
    reader = Reader(wire, address="fd20::11", mac="02:00:00:00:01:16", client="fd20::10", vlan=20)
    made = large()
    film(reader.start(0.2, SDP), 0.6, 30, made, lost_from=0)
    says(reader, made, 5, 30, 0.8)
    return Truth(("fragments-lost",), camera="fd20::11", of=(("fragments-lost", "six"),),
                 allowed=("vlan-tagged",))  # fmt: skip


@scene
def a_viewer_lacks_fragments_and_the_appliance_plays(wire: Wire) -> Truth:
    """The viewer sits behind a firewall; that is no trouble of the appliance."""
    Reader(wire).start(0.2, SDP).film(0.6, 30)
    other, made = Reader(wire, 52_000, **VIEWER).start(0.2, SDP, ports=7000), large(0x31)
    film(other, 0.6, 30, made, lost_from=0, port=7000)
    says(other, made, 5, 30, 0.9, 7001)
    return Truth(allowed=("stream-multi-reader",), streams={0x5EED0001: {"lost": 0}})


def thinned(reader: Reader, start: float, end: float, made: Film, every: int = 2) -> None:
    """Packets of four fragments; each so many arrive without their second and third, and are
    useless.
    """
    number = count = 0
    while (at := start + number / made.fps) < end:
        for part, packet in enumerate(made.picture()):
            count += 1
            pieces = parts_of(udp_segment(5000, 6000, packet), reader.address, reader.client, count)
            assert len(pieces) == 4
            if count % every == 0:
                del pieces[1:3]
            for k, (kind, piece) in enumerate(pieces):
                frame = ethernet(reader.mac, reader.client_mac, kind, piece, reader.vlan)
                reader.wire.add(at + 0.0003 * part + 0.00002 * k, frame, reader.interface)
        number += 1


@scene
def every_other_packet_lacks_two_of_its_four_fragments(wire: Wire) -> Truth:
    """A small buffer on the way: half of the packets are useless, and not all of them."""
    reader, made = Reader(wire).start(0.2, SDP), large()
    made.size = 5_000
    thinned(reader, 0.6, 30, made)
    says(reader, made, 5, 30, 0.5)
    said = "Some fragments .* 9[01] of 18[01] packets over 10 s"
    return Truth(("fragments-lost",), says={"fragments-lost": said})


@scene
def one_packet_in_three_hundred_lacks_a_fragment(wire: Wire) -> Truth:
    """No more than a stray loss."""
    reader, made = Reader(wire).start(0.2, SDP), large()
    made.size = 5_000
    thinned(reader, 0.6, 60, made, every=300)
    says(reader, made, 5, 60, 0.003)
    return Truth(streams={0x5EED0001: {"lost": 0}})
