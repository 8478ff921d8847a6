"""The kernel filter of live capture: how many bytes of each packet are captured.

A classic BPF program (Linux, Documentation/networking/filter.rst), built by a small assembler with
labels. It never drops a packet; it returns a snap length:

- all bytes for packets that the control lane reads: non-IP, ICMP, fragments, extension headers,
  control ports of UDP, QUIC long headers, TCP SYN/FIN/RST, and TCP of RTSP ports (interleaved media
  needs every byte of its framing);
- `tcp` bytes for other TCP: enough for whole segments as sent on the wire, so that hellos and
  certificates stay complete, but not for the 64 kB of a merged super-segment (GRO); a segment that
  begins with TLS application data counts as bulk;
- `bulk` bytes for other UDP. 256 hold Ethernet, two VLAN tags, IPv6, UDP, RTP with an extension and
  still 100 bytes of payload: payload headers, and the parameter sets (SPS) that a camera repeats in
  band. Media payload itself is never read.
"""

from __future__ import annotations

import struct

from msgspec import Struct

FULL = 65_535
CONTROL_UDP_PORTS = (
    *(53, 67, 68, 69, 123, 137, 138, 161, 162, 514, 546, 547, 1900, 3478, 3702, 5353, 5355),
    *(5683, 5684, 4789, 6081),
)
RTSP_PORTS = (554, 8554, 10554, 5554, 7070)

# instruction classes and modes (linux/bpf_common.h)
LD_H_ABS = 0x28
LD_H_IND, LD_B_IND = 0x48, 0x50
LD_MEM, LDX_IMM, LDX_MEM = 0x60, 0x01, 0x61
ST, STX, TAX, TXA = 0x02, 0x03, 0x07, 0x87
ADD_K, ADD_X, AND_K, LSH_K, RSH_K = 0x04, 0x0C, 0x54, 0x64, 0x74
JA, JEQ, JSET = 0x05, 0x15, 0x45
RET_K = 0x06
LD_LEN, JGE_X = 0x80, 0x3D


class Snap(Struct, frozen=True):
    """How many bytes are kept of each kind of packet."""

    bulk: int = 256
    tcp: int = 1_600
    udp_control_ports: tuple[int, ...] = CONTROL_UDP_PORTS
    rtsp_ports: tuple[int, ...] = RTSP_PORTS


class Assembler:
    """Collects instructions; jumps refer to labels, which `assemble` turns into distances."""

    def __init__(self) -> None:
        self._code: list[tuple[int, str, str, int]] = []
        self._labels: dict[str, int] = {}

    @property
    def position(self) -> int:
        return len(self._code)

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def op(self, code: int, k: int = 0) -> None:
        self._code.append((code, "", "", k))

    def jump(self, code: int, k: int, yes: str = "", no: str = "") -> None:
        """A conditional jump; an empty label means the next instruction."""
        self._code.append((code, yes, no, k))

    def go(self, label: str) -> None:
        self._code.append((JA, label, "", 0))

    def assemble(self) -> bytes:
        """The program as consecutive `struct sock_filter`s. ValueError if a jump is too far."""
        program = b""
        for at, (code, yes, no, k) in enumerate(self._code):
            if code == JA:
                program += struct.pack("=HBBI", code, 0, 0, self._labels[yes] - at - 1)
                continue
            distances = [self._labels[name] - at - 1 if name else 0 for name in (yes, no)]
            if any(not 0 <= distance <= 255 for distance in distances):
                raise ValueError(f"jump from {at} to {yes or no} does not fit")
            program += struct.pack("=HBBI", code, *distances, k & 0xFFFFFFFF)
        return program


def snap_program(snap: Snap) -> bytes:
    """The filter for Ethernet frames. X holds the offset of the network header, then of the
    transport header.
    """
    a = Assembler()
    a.op(LDX_IMM, 14)
    _need(a, 8, "full")
    a.op(LD_H_ABS, 12)
    for tag in range(2):  # tags that the NIC did not remove
        a.jump(JEQ, 0x8100, f"tag{tag}")
        a.jump(JEQ, 0x88A8, f"tag{tag}", f"type{tag}")
        a.label(f"tag{tag}")
        a.op(LDX_IMM, 18 + 4 * tag)
        a.op(LD_H_ABS, 16 + 4 * tag)
        a.label(f"type{tag}")
    a.jump(JEQ, 0x0800, "ipv4")
    a.jump(JEQ, 0x86DD, "ipv6", "full")

    a.label("ipv6")
    _need(a, 40, "full")
    a.op(LD_B_IND, 6)
    a.op(ST, 0)
    a.op(TXA)
    a.op(ADD_K, 40)
    a.op(TAX)
    a.go("transport")

    a.label("ipv4")
    _need(a, 20, "full")
    a.op(LD_H_IND, 6)
    a.jump(JSET, 0x3FFF, "full")  # more fragments, or an offset
    a.op(LD_B_IND, 9)
    a.op(ST, 0)
    a.op(LD_B_IND, 0)
    a.op(AND_K, 0x0F)
    a.op(LSH_K, 2)
    a.op(ADD_X)
    a.op(TAX)

    a.label("transport")
    _need(a, 14, "full")
    a.op(LD_MEM, 0)
    a.jump(JEQ, 17, "udp")
    a.jump(JEQ, 6, "tcp", "full")

    a.label("udp")
    for side in (0, 2):
        a.op(LD_H_IND, side)
        for port in snap.udp_control_ports:
            a.jump(JEQ, port, "full")
        a.jump(JEQ, 443, "quic")
    a.op(RET_K, snap.bulk)
    a.label("quic")
    a.op(LD_B_IND, 8)
    a.jump(JSET, 0x80, "full")  # RFC 9000, 17.2: a long header
    a.op(RET_K, snap.bulk)

    a.label("tcp")
    a.op(LD_B_IND, 13)
    a.jump(JSET, 0x07, "full")
    for side in (0, 2):
        a.op(LD_H_IND, side)
        for port in snap.rtsp_ports:
            a.jump(JEQ, port, "full")
    a.op(LD_B_IND, 12)  # data offset in words, in the upper half
    a.op(AND_K, 0xF0)
    a.op(RSH_K, 2)
    a.op(ADD_X)
    a.op(TAX)
    _need(a, 2, "segment")
    a.op(LD_H_IND, 0)
    a.jump(JEQ, 0x1703, "bulk")  # RFC 8446, 5.1: application data
    a.label("segment")
    a.op(RET_K, snap.tcp)
    a.label("bulk")
    a.op(RET_K, snap.bulk)
    a.label("full")
    a.op(RET_K, FULL)
    return a.assemble()


def _need(a: Assembler, count: int, otherwise: str) -> None:
    """Go to `otherwise` unless the packet has `count` bytes at X; A is lost.

    A load past the end would end the program with 0, and the packet would be lost.
    """
    a.op(STX, 1)
    a.op(LD_LEN)
    a.op(ST, 2)
    a.op(LD_MEM, 1)
    a.op(ADD_K, count)
    a.op(TAX)
    a.op(LD_MEM, 2)
    enough = f"enough{a.position}"
    a.jump(JGE_X, 0, enough, otherwise)
    a.label(enough)
    a.op(LDX_MEM, 1)
