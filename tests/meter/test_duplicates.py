"""Copies of a mirror are told from what senders repeat, with and without IP identification."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from panotui.meter.duplicates import CopyFinder
from panotui.wire.decode import Decoder
from tests.meter.packets_in import START_NS, batch_of

A, B, A6, B6 = "10.1.0.5", "10.1.0.9", "2001:db8::5", "2001:db8::9"
HERE = Ether(src="02:00:00:00:00:05", dst="02:00:00:00:00:09")
NEXT_HOP = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")
Timed = tuple[bytes, int]  # frame, microseconds


def copies(frames: Sequence[Timed], rows: int = 1 << 20) -> list[int]:
    """Numbers (from 0) of the frames that are taken for copies, `rows` at a time."""
    finder, decoder = CopyFinder(2_000_000), Decoder()
    whole = batch_of([f for f, _ in frames], [START_NS + us * 1000 for _, us in frames])
    out: list[int] = []
    for start in range(0, len(frames), rows):
        batch = whole.slice(start, min(start + rows, len(frames)))
        mask = finder.find(batch, decoder.decode(batch))
        if mask is not None:
            out += (np.flatnonzero(mask) + start).tolist()
    return out


def datagram(text: bytes, ident: int, *, six: bool = False) -> bytes:
    head = IPv6(src=A6, dst=B6) if six else IP(src=A, dst=B, id=ident, flags=0 if ident else "DF")
    return bytes(HERE / head / UDP(sport=40_000, dport=9000) / Raw(text))


def segment(number: int, *, six: bool = True, ident: int = 0, size: int = 1000) -> bytes:
    head = IPv6(src=A6, dst=B6) if six else IP(src=A, dst=B, id=ident)
    body = TCP(sport=40_001, dport=80, flags="A", seq=1 + number * size, ack=1)
    return bytes(HERE / head / body / Raw(b"d" * size))


@pytest.mark.parametrize("ident", [0, 1, 777, 54_321])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_a_sender_with_a_constant_identification_loses_nothing(ident: int, rows: int) -> None:
    """Every fourth datagram says something new, the others what the one before said."""
    frames, at = [(datagram(b"hello", ident), -90_000)], 0
    for i in range(60):
        frames.append((datagram(b"new%d" % i if i % 4 == 0 else b"same", ident), at))
        at += 700 if i % 3 else 50_000
    assert copies(frames, rows) == []


@pytest.mark.parametrize("ident", [0, 1, 54_321])
def test_a_sender_that_says_one_thing_again_and_again_loses_nothing(ident: int) -> None:
    assert copies([(datagram(b"the same", ident), i * 600) for i in range(40)]) == []


def test_datagrams_sent_twice_within_other_traffic_are_two() -> None:
    """As some clients open the way through a firewall, from a socket without identification."""
    frames = []
    for i in range(50):
        frames.append((datagram(b"media %d" % i, 100 + i), i * 40_000))
        if i % 10 == 0:
            frames += [(datagram(b"\xce\xfa\xed\xfe", 0), i * 40_000 + 10 + us) for us in (0, 90)]
    assert copies(frames) == []


@pytest.mark.parametrize("delay", [0, 130, 1900])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_identified_copies_are_found_in_any_cut(delay: int, rows: int) -> None:
    frames = []
    for i in range(40):
        frames += [(datagram(b"x%d" % i, 500 + i), i * 10_000 + d) for d in (0, delay)]
    assert copies(frames, rows) == list(range(1, 80, 2))


@pytest.mark.parametrize(
    ("made", "rows"), [("constant", 1000), *itertools.product(("six", "zero"), (1, 7, 1000))]
)
def test_a_capture_that_doubles_everything_is_believed_without_identification(
    made: str, rows: int
) -> None:
    """From the sixth copy on, in a file as live: the first five might be repetitions."""
    frames = []
    for i in range(30):
        text = b"word %d" % i
        frame = datagram(text, 0, six=True) if made == "six" else datagram(text, made == "constant")
        frames += [(frame, i * 10_000), (frame, i * 10_000 + 200)]
    assert copies(frames, rows) == list(range(11, 60, 2))


@pytest.mark.parametrize("six", [True, False])
def test_a_segment_sent_again_at_once_is_no_copy(six: bool) -> None:
    """A fast path repairs a loss within a millisecond, with the same bytes."""
    frames = []
    for i in range(100):
        frames.append((segment(i, six=six), i * 100))
        if i % 20 == 19:
            frames.append((segment(i - 3, six=six), i * 100 + 40))
    assert copies(frames) == []


def _greeting(flags: str, number: int) -> bytes:
    """A SYN of A, identified as every packet of Linux's clients, or the answer of B with id 0."""
    ends = (A, B, 40_001, 554) if flags == "S" else (B, A, 554, 40_001)
    head = IP(src=ends[0], dst=ends[1], id=number if flags == "S" else 0)
    return bytes(HERE / head / TCP(sport=ends[2], dport=ends[3], flags=flags, seq=7))


@pytest.mark.parametrize("rows", [1, 1000])
def test_an_answer_to_a_syn_that_a_timer_repeats_at_once_is_no_copy(rows: int) -> None:
    """A SYN that came again and the server's own timer, 50 us apart, as real peers do."""
    frames = [(_greeting("S", 5), 0), (_greeting("SA", 0), 60), (_greeting("SA", 0), 110)]
    assert copies(frames, rows) == []


@pytest.mark.parametrize("rows", [1, 1000])
def test_both_syns_are_copies_where_the_clients_was_copied(rows: int) -> None:
    frames = [(_greeting("S", 5), 0), (_greeting("S", 5), 20)]
    frames += [(_greeting("SA", 0), 60), (_greeting("SA", 0), 80)]
    assert copies(frames, rows) == [1, 3]


@pytest.mark.parametrize("six", [True, False])
def test_copies_from_the_next_hop_are_found(six: bool) -> None:
    frames = []
    for i in range(4):
        head: Packet = IPv6(src=A6, dst=B6, hlim=64) if six else IP(src=A, dst=B, id=0, ttl=64)
        inside = head / UDP(sport=40_000, dport=9000) / Raw(b"a%d" % i)
        routed = inside.copy()
        if six:
            routed.hlim = 63
        else:
            routed.ttl = 63
        frames += [(bytes(HERE / inside), i * 9000), (bytes(NEXT_HOP / routed), i * 9000 + 900)]
    assert copies(frames) == [1, 3, 5, 7]


@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("six", [True, False])
def test_fragments_are_copies_of_themselves_only(six: bool, rows: int) -> None:
    """Also after a hop, which changes what stands in front of the addresses."""
    text = Raw(b"f" * 6000)
    if six:
        whole = IPv6(src=A6, dst=B6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=2) / text
        pieces = fragment6(whole, 1280)
    else:
        whole = IP(src=A, dst=B, id=9) / UDP(sport=1, dport=2) / text
        pieces = fragment(whole, 1480)
    plain = [(bytes(HERE / piece), i * 10) for i, piece in enumerate(pieces)]
    assert copies(plain, rows) == []
    for piece in pieces:
        if six:
            piece.hlim -= 1
        else:
            piece.ttl -= 1
    routed = [(bytes(NEXT_HOP / piece), 500 + i * 10) for i, piece in enumerate(pieces)]
    assert copies(plain + routed, rows) == list(range(len(plain), 2 * len(plain)))


def test_a_repeated_question_for_a_mac_address_is_no_copy() -> None:
    asked = bytes(HERE / ARP(psrc=A, pdst=B))
    assert copies([(asked, 0), (asked, 700)]) == []
