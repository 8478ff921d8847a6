"""Packets made by hand, second by second, through the whole chain: decoder, meter, engine.

`Wire` collects Ethernet frames with their times; `watch(site)` runs them through `Pump` and
`Engine` and gives the engine back. Packet numbers are 1-based in the order of time. Checksums are
zero, as offloads leave them.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import SECOND, Interface, LinkReading, PacketBatch, Site, SourceCounters
from panotui.model.baseline import Baseline
from panotui.runtime.pump import Pump
from tests.made_up import APPLIANCE, CAMERA, START, site

ETH0, ETH1 = "02:00:00:00:00:10", "02:00:00:00:00:11"  # as in the site of tests.made_up
CAMERA_MAC, ROUTER_MAC = "02:00:00:00:01:11", "02:00:00:00:02:01"
CLOUD, GATEWAY = "192.168.5.5", "192.168.5.1"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(src: str, dst: str, kind: int, body: bytes, vlan: int | None = None) -> bytes:
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return (mac(dst) + mac(src) + tag + struct.pack("!H", kind) + body).ljust(60, b"\0")


def ipv4(src: str, dst: str, protocol: int, body: bytes, ttl: int = 64) -> bytes:
    ends = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, ttl, protocol, 0) + (
        ends + body
    )


def ip_packet(src: str, dst: str, protocol: int, body: bytes, ttl: int = 64) -> tuple[int, bytes]:
    """The EtherType of an IP packet of the addresses' version, and the packet."""
    if ":" not in src:
        return 0x800, ipv4(src, dst, protocol, body, ttl)
    ends = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    return 0x86DD, struct.pack("!IHBB", 6 << 28, len(body), protocol, ttl) + ends + body


def udp_segment(sport: int, dport: int, body: bytes) -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(body), 0) + body


def arp_packet(op: int, sender_mac: str, sender: str, target: str, dst: str = EVERYBODY) -> bytes:
    body = (
        struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + mac(sender_mac)
        + ipaddress.ip_address(sender).packed
        + (mac(dst) if op == 2 else bytes(6)) + ipaddress.ip_address(target).packed
    )  # fmt: skip
    return ethernet(sender_mac, dst, 0x806, body)


def dns_name(name: str) -> bytes:
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def dns_packet(
    number: int, name: str, address: str | None = None, *, answer: bool = False
) -> bytes:
    count = 1 if address else 0
    head = struct.pack("!HHHHHH", number, 0x8180 if answer else 0x100, 1, count, 0, 0)
    body = head + dns_name(name) + struct.pack("!HH", 1, 1)
    if address:
        body += struct.pack("!HHHIH", 0xC00C, 1, 1, 300, 4) + ipaddress.ip_address(address).packed
    return body


def dhcp_packet(kind: int, client: str, xid: int = 7, *, yours: str = "0.0.0.0",
                options: bytes = b"") -> bytes:  # fmt: skip
    answer = kind in (2, 5, 6)
    return (
        struct.pack("!BBBBIHH", 2 if answer else 1, 1, 6, 0, xid, 0, 0x8000) + bytes(4)
        + ipaddress.ip_address(yours).packed + bytes(8) + mac(client).ljust(16, b"\0") + bytes(192)
        + b"\x63\x82\x53\x63" + bytes([53, 1, kind]) + options + b"\xff"
    )  # fmt: skip


def server_id(address: str) -> bytes:
    return b"\x36\x04" + ipaddress.ip_address(address).packed


def ntp_packet(mode: int, at_ns: int, origin: int = 0, stratum: int = 2) -> bytes:
    stamp = ((at_ns // SECOND + 2_208_988_800) << 32 | 0x1234_0000) & (1 << 64) - 1
    first = (4 << 3) | mode
    head = struct.pack("!BBbbII4s", first, stratum if mode == 4 else 0, 6, -20, 0, 0, b"GPS\0")
    received = stamp if mode == 4 else 0
    return head + struct.pack("!QQQQ", received, origin, received, stamp)


def ntp_stamp(at_ns: int) -> int:
    return ((at_ns // SECOND + 2_208_988_800) << 32 | 0x1234_0000) & (1 << 64) - 1


def client_hello(host: str, alpn: tuple[str, ...] = ()) -> bytes:
    name = host.encode()
    extensions = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    if alpn:
        offered = b"".join(bytes([len(a)]) + a.encode() for a in alpn)
        extensions += struct.pack("!HHH", 16, len(offered) + 2, len(offered)) + offered
    body = (
        b"\x03\x03" + bytes(32) + b"\0" + struct.pack("!HH", 2, 0xC02F) + b"\x01\0"
        + struct.pack("!H", len(extensions)) + extensions
    )  # fmt: skip
    return handshake(1, body, 0x301)


def handshake(kind: int, body: bytes, version: int = 0x303) -> bytes:
    message = bytes([kind]) + len(body).to_bytes(3, "big") + body
    return struct.pack("!BHH", 22, version, len(message)) + message


def server_hello(alpn: str | None = None) -> bytes:
    extensions = b""
    if alpn:
        named = bytes([len(alpn)]) + alpn.encode()
        extensions = struct.pack("!HHH", 16, len(named) + 2, len(named)) + named
    return handshake(
        2,
        b"\x03\x03" + bytes(32) + b"\0" + struct.pack("!HB", 0xC02F, 0)
        + struct.pack("!H", len(extensions)) + extensions,
    )  # fmt: skip


def certificate(content: bytes = b"\x30\x03\x02\x01\x01") -> bytes:
    entry = len(content).to_bytes(3, "big") + content
    return handshake(11, len(entry).to_bytes(3, "big") + entry)


def alert(code: int, level: int = 2) -> bytes:
    return struct.pack("!BHHBB", 21, 0x303, 2, level, code)


@dataclass(frozen=True)
class Missed:
    """Packets that the capture's ring drops, `each_s` in each second from `start` on."""

    start: float
    each_s: int


class Wire:
    """Frames with their times; `at` is seconds after START."""

    def __init__(self, interfaces: tuple[str, ...] = ("mir0", "mir1")) -> None:
        self.interfaces = tuple(Interface(name, 1) for name in interfaces)
        self.frames: list[tuple[int, int, bytes, int]] = []
        self._id = 0

    def add(self, at: float, frame: bytes, interface: int = 0, wire: int = 0) -> None:
        self.frames.append((START + round(at * SECOND), interface, frame, wire or len(frame)))

    def udp(self, at: float, src: tuple[str, str, int], dst: tuple[str, str, int], body: bytes,
            interface: int = 0, **more: Any) -> None:  # fmt: skip
        """`src` and `dst` are (MAC, address, port)."""
        kind, packet = ip_packet(src[1], dst[1], 17, udp_segment(src[2], dst[2], body))
        self.add(at, ethernet(src[0], dst[0], kind, packet, more.get("vlan")), interface)

    def ask(self, at: float, name: str, address: str | None, after: float | None = 0.01,
            resolver: str = GATEWAY) -> None:  # fmt: skip
        """A DNS question of the cloud port, and its answer `after` seconds."""
        self._id += 1
        mine, theirs = (ETH1, CLOUD, 30_000 + self._id), (ROUTER_MAC, resolver, 53)
        self.udp(at, mine, theirs, dns_packet(self._id, name), 1)
        if after is not None:
            self.udp(at + after, theirs, mine, dns_packet(self._id, name, address, answer=True), 1)

    def tcp(self, src: tuple[str, str, int], dst: tuple[str, str, int], interface: int = 0) -> Tcp:
        return Tcp(self, src, dst, interface)

    def works(self, at: float, address: str, sport: int, host: str) -> Tcp:
        """A TLS connection of the cloud port that is answered and carries data."""
        flow = self.tcp((ETH1, CLOUD, sport), (ROUTER_MAC, address, 443), 1)
        flow.open(at)
        flow.send(at + 0.03, client_hello(host))
        flow.answer(at + 0.05, server_hello())
        # ChangeCipherSpec and an encrypted Finished of either side
        done = b"\x14\x03\x03\0\x01\x01\x16\x03\x03\0\x28" + bytes(40)
        flow.send(at + 0.07, done)
        flow.answer(at + 0.09, done)
        flow.send(at + 0.11, b"\x17\x03\x03\0\x80" + bytes(128))
        flow.answer(at + 0.13, b"\x17\x03\x03\0\x80" + bytes(128))
        return flow

    def quiet(self, start: float, end: float, step: float = 1.0, interface: int = 1) -> None:
        """Packets that say nothing, so that time goes on."""
        at = start
        while at < end:
            self.add(at, arp_packet(1, "02:00:00:00:09:09", "192.168.5.200", "192.168.5.201"),
                     interface)  # fmt: skip
            at += step

    def watch(
        self,
        who: Site | None = None,
        *,
        live: bool = False,
        readings: tuple[LinkReading, ...] = (),
        end: float | None = None,
        baseline: Baseline | None = None,
        missed: Missed | None = None,
    ) -> Engine:
        """Run it all. Link readings are told when their second comes."""
        if end is not None:
            self.quiet(end, end + 0.5)
        frames = sorted(self.frames, key=lambda f: f[0])
        engine = Engine(
            who if who is not None else site(), EngineSettings(live=live, baseline=baseline)
        )
        source = _Nothing(self.interfaces)
        pump = Pump([source], engine, live=live, clock=lambda: frames[-1][0])
        pump.live = False
        waiting = sorted(readings, key=lambda r: r.time_ns)

        def tell(now_ns: int) -> None:
            while waiting and waiting[0].time_ns <= now_ns:
                engine.link(waiting.pop(0))
            if missed is not None:
                seconds = (now_ns - START) / SECOND - missed.start
                source.counters.dropped_ring = missed.each_s * max(0, int(seconds))

        pump.on_tick.append(tell)
        for first in range(0, len(frames), 4096):
            pump.feed(self._batch(frames[first : first + 4096], first + 1))
        pump.finish()
        return engine

    def _batch(self, frames: list[tuple[int, int, bytes, int]], number: int) -> PacketBatch:
        sizes = np.array([len(f[2]) for f in frames], np.int64)
        return PacketBatch(
            data=np.frombuffer(b"".join(f[2] for f in frames), np.uint8),
            offset=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            captured=sizes,
            wire_length=np.array([f[3] for f in frames], np.int64),
            time_ns=np.array([f[0] for f in frames], np.int64),
            interface=np.array([f[1] for f in frames], np.int16),
            interfaces=self.interfaces,
            first_number=number,
        )


class _Nothing:
    """A source that has only counters: `Wire` feeds the pump itself."""

    def __init__(self, interfaces: tuple[Interface, ...]) -> None:
        self.interfaces = list(interfaces)
        self.ended = True
        self.counters = SourceCounters()

    def read(self, timeout_s: float) -> PacketBatch | None:
        return None

    def close(self) -> None:
        return


class Tcp:
    """One TCP connection with right sequence numbers."""

    def __init__(
        self, wire: Wire, src: tuple[str, str, int], dst: tuple[str, str, int], interface: int
    ) -> None:
        self.wire, self.src, self.dst, self.interface = wire, src, dst, interface
        self.sent, self.got = 1000, 5000
        self.window_out = self.window_in = 60_000
        self.ttl_in = 54
        self.vlan: int | None = None

    def segment(self, at: float, out: bool, flags: int, body: bytes = b"",
                sequence: int | None = None) -> None:  # fmt: skip
        a, b = (self.src, self.dst) if out else (self.dst, self.src)
        mine, theirs = (self.sent, self.got) if out else (self.got, self.sent)
        header = struct.pack(
            "!HHIIBBHHH", a[2], b[2], mine if sequence is None else sequence,
            theirs if flags & ACK else 0, 0x50, flags, self.window_out if out else self.window_in,
            0, 0,
        )  # fmt: skip
        kind, packet = ip_packet(a[1], b[1], 6, header + body, 64 if out else self.ttl_in)
        self.wire.add(at, ethernet(a[0], b[0], kind, packet, self.vlan), self.interface)

    def syn(self, at: float, times: int = 1, every: float = 1.0) -> Tcp:
        for n in range(times):
            self.segment(at + n * every, True, SYN)
        return self

    def open(self, at: float, rtt: float = 0.02) -> Tcp:
        self.segment(at, True, SYN)
        self.sent += 1
        self.segment(at + rtt, False, SYN | ACK)
        self.got += 1
        self.segment(at + rtt + 0.0005, True, ACK)
        return self

    def send(self, at: float, body: bytes, *, again: bool = False) -> None:
        """Client data; `again` repeats the bytes last sent."""
        start = self.sent - len(body) if again else self.sent
        self.segment(at, True, PSH | ACK, body, start)
        if not again:
            self.sent += len(body)

    def answer(self, at: float, body: bytes, *, again: bool = False) -> None:
        start = self.got - len(body) if again else self.got
        self.segment(at, False, PSH | ACK, body, start)
        if not again:
            self.got += len(body)

    def lose(self, size: int) -> None:
        """Bytes of the server that are never seen."""
        self.got += size

    def ack(self, at: float) -> None:
        self.segment(at, True, ACK)

    def reset(self, at: float, *, by_server: bool = True) -> None:
        self.segment(at, not by_server, RST | ACK)

    def close(self, at: float, *, by_server: bool = False) -> None:
        self.segment(at, not by_server, FIN | ACK)
        if by_server:
            self.got += 1
        else:
            self.sent += 1
        self.segment(at + 0.01, by_server, FIN | ACK)
        if by_server:
            self.sent += 1
        else:
            self.got += 1
        self.segment(at + 0.02, not by_server, ACK)


class Rtsp:
    """An RTSP dialogue between the appliance and a camera, and its RTP stream over UDP or TCP."""

    def __init__(self, wire: Wire, sport: int = 40_000, *, address: str = CAMERA,
                 camera_mac: str = CAMERA_MAC, tcp: bool = False, timeout_s: int = 60,
                 group: str | None = None, client: str = APPLIANCE, client_mac: str = ETH0,
                 ports: int = 6000, port: int = 554) -> None:  # fmt: skip
        self.client, self.client_mac, self.ports = client, client_mac, ports
        self.flow = wire.tcp((client_mac, client, sport), (camera_mac, address, port), 0)
        self.wire, self.address, self.mac, self.tcp = wire, address, camera_mac, tcp
        self.url = f"rtsp://{address}/stream1"
        self.timeout_s, self.group = timeout_s, group
        self.cseq = 0
        self.sequence, self.stamp = 100, 90_000
        self.ssrc = 0x1234_0000 + sport
        self.sent_to = 0  # another port than asked for

    def say(self, at: float, method: str, status: str = "200 OK", *, asks: str = "",
            says: str = "", body: str = "", url: str | None = None) -> None:  # fmt: skip
        self.cseq += 1
        self.flow.send(
            at, f"{method} {url or self.url} RTSP/1.0\r\nCSeq: {self.cseq}\r\n{asks}\r\n".encode()
        )
        size = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" if body else ""
        self.flow.answer(
            at + 0.005,
            f"RTSP/1.0 {status}\r\nCSeq: {self.cseq}\r\n{says}{size}\r\n{body}".encode(),
        )

    def play(self, at: float, title: str = "Camera", codec: str = "H264") -> Rtsp:
        """DESCRIBE, SETUP, PLAY from `at` to `at` + 0.3."""
        self.flow.open(at)
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns={title}\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 {codec}/90000\r\na=control:track1\r\n"
        )
        self.say(at + 0.1, "DESCRIBE", body=sdp)
        if self.tcp:
            way = "RTP/AVP/TCP;unicast;interleaved=0-1"
        elif self.group:
            way = f"RTP/AVP;multicast;destination={self.group};port=6000-6001"
        else:
            way = f"RTP/AVP;unicast;client_port={self.ports}-{self.ports + 1}"
        answer = way if self.tcp or self.group else way + ";server_port=5000-5001"
        self.say(
            at + 0.15, "SETUP", asks=f"Transport: {way}\r\n", url=self.url + "/track1",
            says=f"Transport: {answer}\r\nSession: 77;timeout={self.timeout_s}\r\n",
        )  # fmt: skip
        self.say(at + 0.2, "PLAY", asks="Session: 77\r\n", says="Session: 77\r\n")
        return self

    def media(self, start: float, end: float, *, fps: float = 25.0, packets: int = 4,
              size: int = 900, lose: tuple[int, ...] = (), key_every: int = 50,
              key_packets: int | None = None, lose_key_tail: int = 0) -> None:  # fmt: skip
        """Frames of H.264 (FU-A). `lose`: packets of the stream (from 0) that do not arrive."""
        at, frame, count = start, 0, 0
        while at < end - 1e-9:
            key = frame % key_every == 0
            parts = (key_packets or packets) if key else packets
            for part in range(parts):
                last = part == parts - 1
                kind = 5 if key else 1
                start_end = (0x80 if part == 0 else 0) | (0x40 if last else 0)
                body = bytes([0x7C, start_end | kind]) + bytes(size)
                dropped = count in lose or (key and part > 0 and parts - part <= lose_key_tail)
                self.rtp(at + part * 0.0002, body, last, dropped)
                count += 1
            frame += 1
            self.stamp += int(90_000 / fps)
            at = start + frame / fps

    def rtp(self, at: float, body: bytes, marker: bool, dropped: bool = False) -> None:
        packet = struct.pack(
            "!BBHII", 0x80, (0x80 if marker else 0) | 96, self.sequence & 0xFFFF,
            self.stamp & 0xFFFFFFFF, self.ssrc,
        ) + body  # fmt: skip
        self.sequence += 1
        if dropped:
            return
        if self.tcp:
            self.flow.answer(at, struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            return
        target = (self.client_mac, self.client, self.sent_to or self.ports)
        if self.group:
            low = ipaddress.ip_address(self.group).packed
            target = (f"01:00:5e:{low[1] & 127:02x}:{low[2]:02x}:{low[3]:02x}", self.group, 6000)
        self.wire.udp(at, (self.mac, self.address, 5000), target, packet)

    def receiver_report(self, at: float) -> None:
        """An RTCP receiver report of the appliance."""
        report = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x9999, self.ssrc, 0,
                             self.sequence, 0, 0, 0)  # fmt: skip
        self.wire.udp(
            at,
            (self.client_mac, self.client, self.ports + 1),
            (self.mac, self.address, 5001),
            report,
        )

    def sender_report(self, at: float, *, off_s: float = 0.0, bye: bool = False) -> None:
        """An RTCP sender report of the camera, whose clock is `off_s` ahead; `bye`: its last."""
        second, part = divmod(START + round((at + off_s) * SECOND), SECOND)
        ntp = (second + 2_208_988_800 << 32) + (part << 32) // SECOND
        report = struct.pack("!BBHIQIII", 0x80, 200, 6, self.ssrc, ntp, self.stamp & 0xFFFFFFFF,
                             self.sequence, 0)  # fmt: skip
        if bye:
            report += struct.pack("!BBHI", 0x81, 203, 1, self.ssrc)
        target = (self.client_mac, self.client, self.ports + 1)
        self.wire.udp(at, (self.mac, self.address, 5001), target, report)


def told(engine: Engine, *, opened: bool = False) -> dict[str, Any]:
    """Findings by id; also cleared ones unless told otherwise."""
    return {
        f.id: f
        for f in reversed(engine.snapshot().findings)
        if not opened or f.cleared_time_ns is None
    }
