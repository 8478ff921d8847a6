"""Bytes to columns: the link, network and transport headers of a whole batch at once.

A `PacketBatch` comes in, `Columns` go out. Usual rows (Ethernet without a tag, IPv4 without
options, whole datagrams) are decoded from one 64-byte gather per row, read as eight big-endian
words. The others (tags, labels, PPPoE, cooked and raw links, IPv4 options, IPv6 and its extension
headers, fragments, truncated frames) are decoded header by header, vectorised over the rows that
need it. There is no Python statement per row, and no content can raise.
"""

from __future__ import annotations

import os

import numpy as np
from msgspec import Struct

from panotui.model import (
    I16,
    I32,
    I64,
    SECOND,
    U8,
    U32,
    U64,
    Bool,
    PacketBatch,
)
from panotui.model.arrays import distinct
from panotui.wire.columns import SNAPPED, TUNNEL, Columns
from panotui.wire.gather import gather
from panotui.wire.hashing import flow_hash_v4, flow_hash_v6, packet_digest
from panotui.wire.protocols import AH, GRE, ICMP, ICMP6, IPIP, IPV6_IN, SCTP, TCP, UDP

__all__ = ["DECODED_LINKS", "Decoder", "decode"]

# LINKTYPE_* of tcpdump.org that the decoder reads; frames of other types are only counted.
NULL, ETHERNET, PPP, RAW_OLD, RAW_BSD, PPP_HDLC, RAW, LOOP, SLL, IPV4, IPV6, NFLOG, SLL2 = (
    0, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 239, 276,
)  # fmt: skip
DECODED_LINKS = frozenset(
    {NULL, ETHERNET, PPP, RAW_OLD, RAW_BSD, PPP_HDLC, RAW, LOOP, SLL, IPV4, IPV6, NFLOG, SLL2}
)

_HAS_PORTS = np.zeros(256, dtype=np.bool_)
_HAS_PORTS[[TCP, UDP, 33, SCTP, 136]] = True  # DCCP and UDP-Lite have their ports in the same place
_NEEDS_PORTS = _HAS_PORTS.copy()
_NEEDS_PORTS[[ICMP, ICMP6, 0, 43, AH, 60, 135, 139, 140]] = True  # or an extension header is next
_TUNNEL = np.zeros(256, dtype=np.bool_)
_TUNNEL[[IPIP, IPV6_IN, GRE, 94, 137]] = True
_EXTENSION = np.zeros(256, dtype=np.bool_)
_EXTENSION[[0, 43, 44, 51, 60, 135, 139, 140]] = True
_VXLAN, _VXLAN_LINUX, _GENEVE = 4789, 8472, 6081

_SHIMS = 8  # tags and labels followed per frame; deeper stacks are not decoded
_EXTENSIONS = 10

_ETHERTYPE_IP4, _ETHERTYPE_IP6 = 0x0800, 0x86DD
_VLAN_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)

_BLOCK = 2048  # rows gathered at a time: with their words they fit into the second-level cache
_FRAGMENTS_KEPT = 4096
_FRAGMENT_LIFE = 30 * SECOND
_NO_ROWS: I64 = np.empty(0, np.int64)
_NO_IDENTITY: U64 = np.empty(0, np.uint64)


class _Fragments(Struct):
    """Transport and ports of first fragments, newest last; bounded."""

    key: U64
    protocol: U8
    ports: U32
    time_ns: I64


class Decoder:
    """`decode` with a memory: later fragments get the ports of their first fragment.

    Holds at most 4096 datagrams, the newest. A fragment that comes more than 30 s after its first
    one gets no ports (RFC 8200, section 4.5 gives up after 60 s, Linux after 30). Nor does one that
    comes before it: `orphans` are such rows of the newest batch, in order, whose transport has
    ports (or type and code), and `orphan_identity` identifies their datagrams.
    """

    def __init__(self) -> None:
        self._fragments = _Fragments(
            np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.uint32),
            np.empty(0, np.int64),
        )  # fmt: skip
        self.orphans: I64 = np.empty(0, np.int64)
        self.orphan_identity: U64 = np.empty(0, np.uint64)

    @property
    def first_fragments(self) -> U64:
        """Identities of datagrams whose first fragments were seen."""
        return self._fragments.key

    def decode(self, batch: PacketBatch) -> Columns:
        """Columns of the batch, one row per packet; see `Columns` for shapes, types and units."""
        columns, slow = self.read(batch)
        self.join(batch, columns, slow)
        return columns

    @staticmethod
    def read(batch: PacketBatch) -> tuple[Columns, I64]:
        """Columns of the packets by themselves, and the rows that are not usual frames."""
        columns, slow = _plain(batch)
        if len(slow):
            _general(batch, columns, slow)
            _transport_words(batch, columns, slow)
            hash_rows(batch, columns, slow)
            _digest_rows(batch, columns, slow)  # independent of known ports: copies are equal
        return columns, slow

    def join(self, batch: PacketBatch, columns: Columns, slow: I64) -> None:
        """Give later fragments their ports, in order of arrival; call after `read`."""
        self.orphans, self.orphan_identity = _NO_ROWS, _NO_IDENTITY
        fragments = slow[columns.fragment[slow] > 0] if len(slow) else slow
        if len(fragments):
            identity = fragment_identity(batch, columns, fragments)
            given, without = _give_ports(batch, columns, fragments, identity, self._fragments)
            hash_rows(batch, columns, fragments[given])
            whole = _NEEDS_PORTS[columns.protocol[fragments[without]]]
            self.orphans = fragments[without[whole]]
            self.orphan_identity = identity[without[whole]]


def decode(batch: PacketBatch) -> Columns:
    """Columns of a single batch (fragments get ports only from within the batch)."""
    return Decoder().decode(batch)


# ------------------------------------------------------------------ the usual frame


def _plain(batch: PacketBatch) -> tuple[Columns, I64]:
    """Decode every row as Ethernet and IPv4 without options; also returns the rows that are not.

    Two bytes before the frame are gathered too, so that the words align with headers: word 0 holds
    the destination MAC, 1 the source MAC and the ethertype, 2 version to fragment offset, 3 TTL to
    source address, 4 destination and ports, 5 sequence and acknowledgement (or UDP length), 6 data
    offset and flags (or RTP's timestamp and SSRC), 7 the eight bytes after those.
    """
    n = len(batch)
    offset = batch.offset
    w = np.empty((8, n), np.uint64)
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        words = gather(batch.data, offset[rows] - 2, 64).view(">u8").reshape(-1, 8)
        for word in range(8):
            w[word, rows] = words[:, word]
    w0, w1, w2, w3, w4, w5, w6, _ = w

    low16 = np.uint64(0xFFFF)
    ethertype = w1.astype(np.uint16)
    total = ((w2 >> np.uint64(32)) & low16).astype(np.int32)
    captured = batch.captured
    wire = batch.wire_length
    protocol = (w3 >> np.uint64(48)).astype(np.uint8)
    is_tcp = protocol == TCP

    # One comparison for version and header length, one for the fragment bits.
    plain = (w2 & np.uint64(0xFF00_0000_0000_3FFF)) == np.uint64(0x4500_0000_0000_0000)
    plain &= ethertype == _ETHERTYPE_IP4
    # arithmetic instead of `where`, which takes a branch per row
    header = is_tcp * np.int32(12)
    header += 8
    plain &= total >= header + 20
    plain &= captured >= header + 34
    plain &= total <= wire - 14
    data_offset = ((w6 >> np.uint64(60)) << np.uint64(2)).astype(np.int32)
    plain &= ~is_tcp | ((data_offset >= 20) & (data_offset <= total - 20))
    is_udp = protocol == UDP
    plain &= is_tcp | is_udp | (protocol == ICMP)
    plain &= _ethernet_rows(batch)
    if batch.vlan_tci is not None:
        plain &= batch.vlan_tci < 0

    data_offset -= 8
    data_offset *= is_tcp
    np.add(data_offset, 8, out=header)
    src4 = w3.astype(np.uint32)
    dst4 = (w4 >> np.uint64(32)).astype(np.uint32)
    sport = (w4 >> np.uint64(16)).astype(np.uint16)
    dport = w4.astype(np.uint16)
    is_icmp = protocol == ICMP
    if is_icmp.any():
        dport[is_icmp] = sport[is_icmp] & np.uint16(255)
        sport[is_icmp] >>= np.uint16(8)
    payload = header + (offset + 34)
    payload_length = total - header
    payload_length -= 20
    # The UDP length ends the datagram where it is shorter than the IP packet.
    udp_length = (w5 >> np.uint64(48)).astype(np.int32)
    udp_length -= 8
    # read as unsigned, a length below the header's is large too
    plain &= ~(is_udp & (udp_length.view(np.uint32) > payload_length.view(np.uint32)))
    udp_length += ~is_udp * np.int32(1 << 17)  # longer than any other datagram
    np.minimum(payload_length, udp_length, out=payload_length)
    payload_captured = np.minimum(payload_length, (offset + captured - payload)).astype(np.int32)
    np.maximum(payload_captured, 0, out=payload_captured)
    tcp_flags = (w6 >> np.uint64(48)).astype(np.uint8)
    tcp_flags *= is_tcp

    flags = (captured < wire).astype(np.int16)
    tunnel = (dport == _VXLAN) | (dport == _GENEVE) | (dport == _VXLAN_LINUX)
    tunnel &= is_udp
    if tunnel.any():
        flags[tunnel] |= TUNNEL

    hashed, forward = flow_hash_v4(src4, dst4, sport, dport, protocol)
    # bytes behind a short datagram are another record, not part of it
    short = payload_captured < 12
    short &= ~is_tcp
    if short.any():
        w6 *= ~short
        w5[short & (payload_captured < 4)] &= np.uint64(0xFFFF_FFFF_0000_0000)
    digest = packet_digest(hashed, forward, w2 & np.uint64(0xFFFF_FFFF_FFFF), w5, w6)
    no_payload = payload_length <= 0
    if no_payload.any():
        payload[no_payload] = -1

    w0 &= np.uint64(0xFFFF_FFFF_FFFF)
    columns = Columns(
        ethertype=ethertype,
        l3=offset + 14,
        version=np.full(n, 4, np.uint8),
        protocol=protocol,
        src4=src4,
        dst4=dst4,
        l4=offset + 34,
        sport=sport,
        dport=dport,
        payload=payload,
        payload_length=payload_length,
        payload_captured=payload_captured,
        tcp_flags=tcp_flags,
        ttl=(w3 >> np.uint64(56)).astype(np.uint8),
        vlan=np.full(n, -1, np.int32),
        fragment=np.zeros(n, np.uint8),
        hash=hashed,
        forward=forward,
        src_mac=w1 >> np.uint64(16),
        dst_mac=w0,
        malformed=np.zeros(n, np.bool_),
        outgoing=np.full(n, -1, np.int16),
        flags=flags,
        transport=w[5:],
        digest=digest,
    )
    return columns, np.flatnonzero(~plain)


def _ethernet_rows(batch: PacketBatch) -> Bool | bool:
    links = [i.linktype for i in batch.interfaces]
    if all(link == ETHERNET for link in links):
        return True
    of_interface: Bool = np.array(links, np.int32) == ETHERNET
    return of_interface.take(batch.interface, mode="clip")


# ------------------------------------------------------------------ every other frame


class _Walk(Struct):
    """Working columns of the m rows on the general path."""

    data: U8
    start: I64  # of the frame
    end: I64  # of the captured bytes
    wire_end: I64  # of the frame on the wire
    at: I64  # where the next header starts
    ethertype: I32
    vlan: I32
    src_mac: U64
    dst_mac: U64
    outgoing: I16
    malformed: Bool

    def has(self, size: int, rows: I64) -> Bool:
        """Whether `size` bytes at `at` are captured."""
        return self.at[rows] + size <= self.end[rows]

    def cut(self, size: int, rows: I64) -> Bool:
        """Whether `size` bytes at `at` were on the wire, but not all of them are captured."""
        on_wire: Bool = self.at[rows] + size <= self.wire_end[rows]
        return on_wire & ~self.has(size, rows)


def _be16(block: U8, at: int) -> I32:
    return (block[:, at].astype(np.int32) << 8) | block[:, at + 1]


def _be32(block: U8, at: int) -> U32:
    return np.ascontiguousarray(block[:, at : at + 4]).view(">u4")[:, 0].astype(np.uint32)


def _mac(block: U8, at: int) -> U64:
    value = np.zeros(len(block), np.uint64)
    for i in range(6):
        value = (value << np.uint64(8)) | block[:, at + i]
    return value


def _bytes(data: U8, starts: I64, width: int) -> U8:
    """(m, width) bytes from each start; bytes past the end of the buffer are zero."""
    return gather(data, starts, width).view(np.uint8).reshape(len(starts), width)


def _general(batch: PacketBatch, c: Columns, rows: I64) -> None:
    m = len(rows)
    start = batch.offset[rows]
    walk = _Walk(
        data=batch.data,
        start=start,
        end=start + np.maximum(batch.captured[rows], 0),
        wire_end=start + np.maximum(batch.wire_length[rows], 0),
        at=start.copy(),
        ethertype=np.zeros(m, np.int32),
        vlan=np.full(m, -1, np.int32),
        src_mac=np.zeros(m, np.uint64),
        dst_mac=np.zeros(m, np.uint64),
        outgoing=np.full(m, -1, np.int16),
        malformed=np.zeros(m, np.bool_),
    )
    links = np.array([i.linktype for i in batch.interfaces], np.int32)
    link = links.take(batch.interface[rows], mode="clip") if len(links) else np.ones(m, np.int32)
    if batch.vlan_tci is not None:
        tag = batch.vlan_tci[rows]
        walk.vlan = np.where((tag >= 0) & (tag & 0xFFF != 0), tag & 0xFFF, -1).astype(np.int32)
    for kind in distinct(link).tolist():
        _link(walk, kind, np.flatnonzero(link == kind))
    _shims(walk)

    # Blank the columns that the fast path guessed, then fill in the decoded values.
    c.ethertype[rows] = walk.ethertype.astype(np.uint16)
    c.l3[rows] = np.where(walk.at <= walk.end, walk.at, -1)
    for column, blank in (
        (c.version, 0),
        (c.protocol, 255),
        (c.src4, 0),
        (c.dst4, 0),
        (c.l4, -1),
        (c.sport, 0),
        (c.dport, 0),
        (c.payload, -1),
        (c.payload_length, 0),
        (c.payload_captured, 0),
        (c.tcp_flags, 0),
        (c.ttl, 0),
        (c.fragment, 0),
        (c.hash, 0),
        (c.forward, True),
    ):
        column[rows] = blank
    c.flags[rows] = np.where(batch.captured[rows] < batch.wire_length[rows], SNAPPED, 0)
    c.vlan[rows] = walk.vlan
    c.src_mac[rows] = walk.src_mac
    c.dst_mac[rows] = walk.dst_mac
    c.outgoing[rows] = walk.outgoing

    _ipv4(walk, c, rows, np.flatnonzero(walk.ethertype == _ETHERTYPE_IP4))
    _ipv6(walk, c, rows, np.flatnonzero(walk.ethertype == _ETHERTYPE_IP6))
    c.malformed[rows] = walk.malformed


def _link(walk: _Walk, link: int, rows: I64) -> None:
    """Read the link headers of one link type: ethertype, MACs, where the next header starts."""
    at = walk.at[rows]
    block = _bytes(walk.data, at, 20)
    size = walk.end[rows] - at
    if link == ETHERNET:
        ok = size >= 14
        walk.dst_mac[rows] = np.where(ok, _mac(block, 0), 0)
        walk.src_mac[rows] = np.where(ok, _mac(block, 6), 0)
        ethertype, length = _be16(block, 12), 14
    elif link == SLL:
        ok = size >= 16
        ethertype, length = _be16(block, 14), 16
        six = ok & (_be16(block, 4) == 6)
        walk.src_mac[rows] = np.where(six, _mac(block, 6), 0)
        walk.outgoing[rows] = np.where(ok, _be16(block, 0) == 4, -1)
    elif link == SLL2:
        ok = size >= 20
        ethertype, length = _be16(block, 0), 20
        six = ok & (block[:, 11] == 6)
        walk.src_mac[rows] = np.where(six, _mac(block, 12), 0)
        walk.outgoing[rows] = np.where(ok, block[:, 10] == 4, -1)
    elif link in (RAW, RAW_OLD, RAW_BSD, IPV4, IPV6):
        ok = size >= 1
        ethertype, length = _by_nibble(block[:, 0]), 0
        if link == IPV4:
            ethertype[:] = _ETHERTYPE_IP4
        elif link == IPV6:
            ethertype[:] = _ETHERTYPE_IP6
    elif link in (NULL, LOOP):
        ok = size >= 4
        # The address family, in the byte order of the machine that wrote the capture.
        family = block[:, 0].astype(np.int32) | block[:, 3]
        ok &= (block[:, 1] == 0) & (block[:, 2] == 0)
        ethertype = np.where(family == 2, _ETHERTYPE_IP4, 0).astype(np.int32)
        ethertype[np.isin(family, (10, 23, 24, 28, 30))] = _ETHERTYPE_IP6
        length = 4
    elif link in (PPP, PPP_HDLC):
        framed = (block[:, 0] == 0xFF) & (block[:, 1] == 3)
        ok = size >= 4
        protocol = np.where(framed, _be16(block, 2), _be16(block, 0))
        ethertype = _by_ppp(protocol)
        walk.at[rows] = at + np.where(framed, 4, 2)
        walk.ethertype[rows] = np.where(ok, ethertype, 0)
        return
    elif link == NFLOG:
        _nflog(walk, rows, block)
        return
    else:
        return
    walk.ethertype[rows] = np.where(ok, ethertype, 0)
    walk.malformed[rows] |= ~ok & ~walk.cut(length, rows)
    walk.at[rows] = at + length


def _nflog(walk: _Walk, rows: I64, block: U8) -> None:
    """NFLOG: family, version, resource id, then TLVs in host order; attribute 9 is the packet."""
    family = block[:, 0]
    walk.at[rows] += 4
    pending = rows
    for _ in range(16):
        if not len(pending):
            break
        pending = pending[walk.has(4, pending)]
        head = _bytes(walk.data, walk.at[pending], 4)
        length = head[:, 0].astype(np.int64) | (head[:, 1].astype(np.int64) << 8)
        kind = head[:, 2].astype(np.int64) | (head[:, 3].astype(np.int64) << 8)
        found = kind == 9
        walk.at[pending[found]] += 4
        hit = np.searchsorted(rows, pending[found])
        walk.ethertype[pending[found]] = np.where(
            family[hit] == 2, _ETHERTYPE_IP4, np.where(family[hit] == 10, _ETHERTYPE_IP6, 0)
        )
        walk.at[pending[~found]] += (np.maximum(length[~found], 4) + 3) & ~3
        pending = pending[~found]


def _by_nibble(first: U8) -> I32:
    nibble = first >> 4
    kind = np.where(nibble == 4, _ETHERTYPE_IP4, np.where(nibble == 6, _ETHERTYPE_IP6, 0))
    return kind.astype(np.int32)


def _by_ppp(protocol: I32) -> I32:
    return np.where(
        protocol == 0x0021, _ETHERTYPE_IP4, np.where(protocol == 0x0057, _ETHERTYPE_IP6, 0)
    ).astype(np.int32)


def _shims(walk: _Walk) -> None:
    """Follow tags, labels, PPPoE and SNAP until another ethertype is found."""
    rows = np.arange(len(walk.at))
    for _ in range(_SHIMS):
        kind = walk.ethertype[rows]
        vlan = np.isin(kind, _VLAN_TYPES)
        mpls = (kind == 0x8847) | (kind == 0x8848)
        pppoe = kind == 0x8864
        # SNAP can only follow an 802.3 length
        snap = (kind > 8) & (kind <= 1500)
        some = vlan | mpls | pppoe | snap
        rows = rows[some]
        if not len(rows):
            return
        vlan, mpls, pppoe, snap = vlan[some], mpls[some], pppoe[some], snap[some]
        block = _bytes(walk.data, walk.at[rows], 10)
        room = walk.end[rows] - walk.at[rows]
        on_wire = walk.wire_end[rows] - walk.at[rows]

        ok = vlan & (room >= 4)
        hit = rows[ok]
        identifier = (_be16(block, 0) & 0xFFF)[ok]
        walk.vlan[hit] = np.where(identifier > 0, identifier, walk.vlan[hit])
        walk.ethertype[hit] = _be16(block, 2)[ok]
        walk.at[hit] += 4

        ok_mpls = mpls & (room >= 4)
        hit = rows[ok_mpls]
        bottom = (block[ok_mpls, 2] & 1) == 1
        walk.at[hit] += 4
        after = _by_nibble(block[ok_mpls, 4])
        walk.ethertype[hit] = np.where(bottom, after, walk.ethertype[hit])

        ok_pppoe = pppoe & (room >= 8)
        hit = rows[ok_pppoe]
        walk.at[hit] += 8
        walk.ethertype[hit] = _by_ppp(_be16(block, 6)[ok_pppoe])

        is_snap = (block[:, 0] == 0xAA) & (block[:, 1] == 0xAA) & (block[:, 2] == 3)
        is_snap &= (block[:, 3] == 0) & (block[:, 4] == 0) & (block[:, 5] == 0)
        ok_snap = snap & (room >= 8) & is_snap
        hit = rows[ok_snap]
        walk.at[hit] += 8
        walk.ethertype[hit] = _be16(block, 6)[ok_snap]

        short = (vlan | mpls) & (on_wire < 4) | pppoe & (on_wire < 8)
        walk.malformed[rows[short]] = True
        rows = rows[ok | ok_mpls | ok_snap]


def _ipv4(walk: _Walk, c: Columns, rows: I64, which: I64) -> None:
    if not len(which):
        return
    at = walk.at[which]
    end = walk.end[which]
    block = _bytes(walk.data, at, 20)
    header = (block[:, 0] & 15).astype(np.int64) * 4
    good = (end - at >= 20) & (block[:, 0] >> 4 == 4) & (header >= 20)
    walk.malformed[which] |= ~good & ~walk.cut(20, which)
    which, at, end, block, header = which[good], at[good], end[good], block[good], header[good]
    if not len(which):
        return
    out = rows[which]
    wire_left = walk.wire_end[which] - at
    total = _be16(block, 2).astype(np.int64)
    total = np.where(total == 0, wire_left, total)  # segmentation offload: the length is unset
    bad = (total < header) | (header > wire_left)
    walk.malformed[which] |= bad | (total > wire_left)
    total = np.clip(total, 0, wire_left)
    fragment = _be16(block, 6)
    first = (fragment & 0x1FFF) == 0
    c.version[out] = 4
    c.protocol[out] = block[:, 9]
    c.ttl[out] = block[:, 8]
    c.src4[out] = _be32(block, 12)
    c.dst4[out] = _be32(block, 16)
    c.fragment[out] = np.where(~first, 2, np.where(fragment & 0x2000 != 0, 1, 0))
    l4, stop = at + header, at + total
    # Only whole datagrams: a later fragment could not be matched with what follows it.
    sealed = np.flatnonzero((block[:, 9] == AH) & (c.fragment[out] == 0))
    if len(sealed):
        c.protocol[out], l4 = _behind_ah(walk.data, block[:, 9], l4, np.minimum(end, stop), sealed)
    _transport(walk, c, which, out, l4=l4, stop=stop, first=first & ~bad)


def _behind_ah(data: U8, protocol: U8, l4: I64, end: I64, rows: I64) -> tuple[U8, I64]:
    """Protocol and position of the header after the authentication headers (RFC 4302) of some
    rows.
    """
    protocol, l4 = protocol.copy(), l4.copy()
    for _ in range(_EXTENSIONS):
        rows = rows[l4[rows] + 8 <= end[rows]]
        if not len(rows):
            break
        head = _bytes(data, l4[rows], 8)
        whole = head[:, 1] > 0  # a shorter one has no room for its own twelve bytes
        rows, head = rows[whole], head[whole]
        l4[rows] += head[:, 1].astype(np.int64) * 4 + 8
        protocol[rows] = head[:, 0]
        rows = rows[head[:, 0] == AH]
    return protocol, l4


def _ipv6(walk: _Walk, c: Columns, rows: I64, which: I64) -> None:
    if not len(which):
        return
    at = walk.at[which]
    block = _bytes(walk.data, at, 40)
    good = (walk.end[which] - at >= 40) & (block[:, 0] >> 4 == 6)
    walk.malformed[which] |= ~good & ~walk.cut(40, which)
    which, at, block = which[good], at[good], block[good]
    if not len(which):
        return
    out = rows[which]
    wire_left = walk.wire_end[which] - at
    length = _be16(block, 4).astype(np.int64) + 40
    length = np.where(length == 40, wire_left, length)  # jumbogram or segmentation offload
    walk.malformed[which] |= length > wire_left
    stop = at + np.minimum(length, wire_left)
    c.version[out] = 6
    c.ttl[out] = block[:, 7]

    following = block[:, 6].copy()
    l4 = at + 40
    end = walk.end[which]
    first = np.ones(len(which), np.bool_)
    cut = np.zeros(len(which), np.bool_)
    walking = np.flatnonzero(_EXTENSION[following])
    for _ in range(_EXTENSIONS):
        if not len(walking):
            break
        on_wire = stop[walking] - l4[walking]
        fits = np.minimum(end[walking] - l4[walking], on_wire) >= 8
        cut[walking[~fits]] = True
        walk.malformed[which[walking[on_wire < 8]]] = True
        walking = walking[fits]
        head = _bytes(walk.data, l4[walking], 8)
        kind = following[walking]
        size = np.where(
            kind == 44,
            8,
            np.where(kind == AH, head[:, 1].astype(np.int64) * 4 + 8, 8 + head[:, 1] * np.int64(8)),
        )
        is_fragment = kind == 44
        field = _be16(head, 2)
        later = is_fragment & (field & 0xFFF8 != 0)
        first[walking[later]] = False
        hit = walking[is_fragment]
        c.fragment[out[hit]] = np.where(
            field[is_fragment] & 0xFFF8 != 0, 2, np.where(field[is_fragment] & 1 != 0, 1, 0)
        )
        l4[walking] += size
        following[walking] = head[:, 0]
        walking = walking[~later & _EXTENSION[head[:, 0]]]
    cut[walking] = True  # more extension headers than any sender uses
    walk.malformed[which[walking]] = True
    c.protocol[out] = np.where(cut, 255, following)
    _transport(walk, c, which, out, l4=l4, stop=stop, first=first & ~cut)


def _transport(
    walk: _Walk, c: Columns, which: I64, out: I64, *, l4: I64, stop: I64, first: Bool
) -> None:
    """Ports, flags and the bounds of the payload; `stop` is the end of the IP packet."""
    protocol = c.protocol[out]
    end = walk.end[which]
    captured = np.minimum(end, stop)
    has_header = first & (captured - l4 >= 4)
    block = _bytes(walk.data, l4, 16)
    c.l4[out] = np.where(has_header, l4, -1)
    ports = has_header & _HAS_PORTS[protocol]
    icmp = has_header & ((protocol == ICMP) | (protocol == ICMP6))
    sport, dport = _be16(block, 0), _be16(block, 2)
    c.sport[out] = np.where(ports, sport, np.where(icmp, block[:, 0], 0))
    c.dport[out] = np.where(ports, dport, np.where(icmp, block[:, 1], 0))

    tcp = has_header & (protocol == TCP)
    udp = has_header & (protocol == UDP)
    room = captured - l4
    tcp_read = tcp & (room >= 14)
    c.tcp_flags[out] = np.where(tcp_read, block[:, 13], 0)
    header = np.zeros(len(out), np.int64)
    header[udp | icmp] = 8
    header[has_header & (protocol == SCTP)] = 12
    offset = (block[:, 12] >> 4).astype(np.int64) * 4
    header[tcp_read] = offset[tcp_read]
    wrong = tcp_read & ((offset < 20) | (offset > stop - l4))
    udp_length = _be16(block, 4).astype(np.int64)
    udp_read = udp & (room >= 6)
    whole = c.fragment[out] == 0
    wrong |= udp_read & (udp_length != 0) & ((udp_length < 8) | (whole & (udp_length > stop - l4)))
    walk.malformed[which] |= wrong
    # a truncated header is malformed only if the wire had no more of it
    walk.malformed[which] |= first & _HAS_PORTS[protocol] & (stop - l4 < np.where(tcp, 20, 8))
    readable = (tcp_read & ~wrong) | (~tcp & has_header) | ~first
    payload = l4 + header
    last = np.where(udp_read & (udp_length >= 8) & (l4 + udp_length < stop), l4 + udp_length, stop)
    length = np.where(readable, np.maximum(last - payload, 0), 0)
    c.payload_length[out] = length
    c.payload[out] = np.where(length > 0, payload, -1)
    c.payload_captured[out] = np.where(
        length > 0, np.clip(np.minimum(end, last) - payload, 0, None), 0
    )
    tunnel = _TUNNEL[protocol] | (udp & np.isin(dport, (_VXLAN, _VXLAN_LINUX, _GENEVE)))
    c.flags[out] |= np.where(tunnel, TUNNEL, 0).astype(np.int16)


# ------------------------------------------------------------------ fragments


_FRAGMENT_KEY = np.frombuffer(os.urandom(32), np.uint64) | np.uint64(1)


def fragment_identity(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """44 bits of a keyed hash over source, destination, identification and, for IPv4, protocol."""
    version = c.version[rows]
    four = _bytes(batch.data, c.l3[rows], 40)
    words = np.zeros((len(rows), 5), np.uint64)
    words[:, 0] = _be16(four, 4)  # IPv4 identification
    words[:, 1] = (c.src4[rows].astype(np.uint64) << np.uint64(32)) | c.dst4[rows]
    six = np.flatnonzero(version == 6)
    if len(six):
        words[six, :4] = np.ascontiguousarray(four[six, 8:40]).view(np.uint64)
        words[six, 4] = _ipv6_identification(batch, c, rows[six])
    # a later IPv6 fragment does not know the real transport: its fragment header may name an
    # extension
    words[:, 4] |= ((version == 4) * c.protocol[rows]).astype(np.uint64) << np.uint64(32)
    value = version.astype(np.uint64)
    for i in range(5):
        value = (value ^ words[:, i]) * _FRAGMENT_KEY[i & 3]
        value ^= value >> np.uint64(29)
    return value >> np.uint64(20)


def _ipv6_identification(batch: PacketBatch, c: Columns, rows: I64) -> U64:
    """Identification of the fragment header, found by walking to it again."""
    at = c.l3[rows] + 40
    following = _bytes(batch.data, c.l3[rows], 40)[:, 6].copy()
    found = np.zeros(len(rows), np.uint64)
    walking = np.flatnonzero(_EXTENSION[following])
    for _ in range(_EXTENSIONS):
        head = _bytes(batch.data, at[walking], 8)
        hit = following[walking] == 44
        found[walking[hit]] = _be32(head, 4)[hit]
        sealed = following[walking] == AH
        at[walking] += 8 + head[:, 1] * np.where(sealed, np.int64(4), np.int64(8))
        following[walking] = head[:, 0]
        walking = walking[~hit & _EXTENSION[head[:, 0]]]
        if not len(walking):
            break
    return found


def _give_ports(
    batch: PacketBatch, c: Columns, rows: I64, identity: U64, memory: _Fragments
) -> tuple[I64, I64]:
    """Copy transport and ports of first fragments to the later ones behind them, the newest of one
    identity. Returns positions in `rows` (all fragments): those that got ports and those that did
    not.
    """
    kind = c.fragment[rows]
    firsts = np.flatnonzero((kind == 1) & (c.l4[rows] >= 0))
    ports = (c.sport[rows].astype(np.uint32) << np.uint32(16)) | c.dport[rows]
    key = np.concatenate([memory.key, identity[firsts]])
    known_ports = np.concatenate([memory.ports, ports[firsts]])
    protocol = np.concatenate([memory.protocol, c.protocol[rows[firsts]]])
    time_ns = np.concatenate([memory.time_ns, batch.time_ns[rows[firsts]]])
    laters = np.flatnonzero(kind == 2)
    given = np.zeros(len(laters), np.bool_)
    if len(laters) and len(key):
        # position in the batch as the low bits, so that reused identifications work
        place = np.concatenate([np.zeros(len(memory.key), np.int64), rows[firsts] + 1])
        ranked = (key << np.uint64(20)) | np.minimum(place, 0xFFFFF).astype(np.uint64)
        order = np.argsort(ranked, kind="stable")
        ranked = ranked[order]
        wanted = (identity[laters] << np.uint64(20)) | np.minimum(rows[laters] + 1, 0xFFFFF).astype(
            np.uint64
        )
        before = np.searchsorted(ranked, wanted, side="right") - 1
        pick = order[np.maximum(before, 0)]
        given = (before >= 0) & (key[pick] == identity[laters])
        given &= np.abs(batch.time_ns[rows[laters]] - time_ns[pick]) <= _FRAGMENT_LIFE
        # within a batch, as many are remembered as across batches
        seen = len(memory.key) + np.searchsorted(firsts, laters)
        given &= pick >= seen - _FRAGMENTS_KEPT
        out, pick = rows[laters[given]], pick[given]
        c.sport[out] = (known_ports[pick] >> np.uint32(16)).astype(np.uint16)
        c.dport[out] = known_ports[pick].astype(np.uint16)
        c.protocol[out] = protocol[pick]
    memory.key = key[-_FRAGMENTS_KEPT:]
    memory.ports = known_ports[-_FRAGMENTS_KEPT:]
    memory.protocol = protocol[-_FRAGMENTS_KEPT:]
    memory.time_ns = time_ns[-_FRAGMENTS_KEPT:]
    return laters[given], laters[~given]


# ------------------------------------------------------------------ five-tuple hashes


def _transport_words(batch: PacketBatch, c: Columns, rows: I64) -> None:
    c.transport[:, rows] = 0
    known = rows[c.l4[rows] >= 0]
    words = _bytes(batch.data, c.l4[known] + 4, 24).view(">u8")
    c.transport[:, known] = words.T


def hash_rows(batch: PacketBatch, c: Columns, rows: I64) -> None:
    """Set `hash` and `forward` of these rows, in place, from their addresses and ports."""
    version = c.version[rows]
    four = rows[version == 4]
    if len(four):
        c.hash[four], c.forward[four] = flow_hash_v4(
            c.src4[four], c.dst4[four], c.sport[four], c.dport[four], c.protocol[four]
        )
    six = rows[version == 6]
    if len(six):
        block = _bytes(batch.data, c.l3[six] + 8, 32).view(">u8").reshape(len(six), 4)
        c.hash[six], c.forward[six] = flow_hash_v6(
            block.astype(np.uint64), c.sport[six], c.dport[six], c.protocol[six]
        )


def _digest_rows(batch: PacketBatch, c: Columns, rows: I64) -> None:
    version = c.version[rows]
    assert c.digest is not None
    has_l4 = c.l4[rows] >= 0
    # without a transport header: from the addresses on, after the fields that a hop changes
    behind = np.maximum(c.l3[rows], 0) + np.where(version == 4, 12, np.where(version == 6, 40, 0))
    start = np.where(has_l4, c.l4[rows] + 4, behind)
    room = batch.offset[rows] + batch.captured[rows] - start
    datagram = has_l4 & (c.protocol[rows] != TCP)
    room[datagram] = c.payload_captured[rows][datagram] + 4
    # whole words only, as on the fast path
    room[has_l4] = np.where(room >= 16, 16, np.where(room >= 8, 8, 4))[has_l4]
    block = _bytes(batch.data, start, 16)
    block[np.arange(16) >= room[:, None]] = 0
    words = block.view(">u8").astype(np.uint64)
    head = _bytes(batch.data, np.maximum(c.l3[rows], 0), 8).view(">u8")[:, 0].astype(np.uint64)
    size = np.where(version > 0, 0, batch.wire_length[rows]).astype(np.uint64)
    # without the fields that a hop changes: IPv4 from its length on, IPv6 without traffic class and
    # hop limit
    six = np.uint64(0xF00F_FFFF_FFFF_FF00)
    kept = np.where(version == 4, np.uint64(0xFFFF_FFFF_FFFF), six)
    head = np.where(version > 0, head & kept, head) + size
    c.digest[rows] = packet_digest(c.hash[rows], c.forward[rows], head, words[:, 0], words[:, 1])
