"""Frames by scapy, whose encoders are not the program's: a scene of hosts, and TCP talks in it."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.crafted.files import SECOND, START, Shot


class Host:
    def __init__(self, number: int, address: str, ttl: int = 64) -> None:
        self.mac = f"02:00:5e:10:00:{number:02x}"
        self.address, self.ttl = address, ttl


class Scene:
    """Frames with their times; `at` is seconds after the start."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.shots: list[Shot] = []
        self.numbers: Counter[str] = Counter()  # IP identifications

    def add(self, at: float, frame: Packet | bytes, interface: int = 0) -> None:
        self.shots.append(Shot(START + round(at * 1e6) * 1000, bytes(frame), interface))

    def again(self, after: float, interface: int = 0) -> None:
        """The last frame once more."""
        last = self.shots[-1]
        self.shots.append(Shot(last.time_ns + round(after * SECOND), last.data, interface))

    def packet(self, src: Host, dst: Host, body: Packet, vlan: int | None = None) -> Packet:
        """An Ethernet frame with an IP packet of either version."""
        frame = Ether(src=src.mac, dst=dst.mac)
        if vlan is not None:
            frame = frame / Dot1Q(vlan=vlan)
        if ":" in src.address:
            return frame / IPv6(src=src.address, dst=dst.address, hlim=src.ttl) / body
        self.numbers[src.address] += 1
        number = 100 + self.numbers[src.address]
        return (
            frame / IP(src=src.address, dst=dst.address, ttl=src.ttl, id=number, flags="DF") / body
        )

    def udp(self, at: float, src: Host, dst: Host, sport: int, dport: int, body: Any,
            vlan: int | None = None, interface: int = 0) -> None:  # fmt: skip
        layer = body if isinstance(body, Packet) else Raw(body)
        segment = UDP(sport=sport, dport=dport) / layer
        self.add(at, self.packet(src, dst, segment, vlan), interface)

    def noise(self, size: int) -> bytes:
        return self.chance.randbytes(size)


class Talk:
    """A TCP connection: each side's sequence numbers, and segments as they leave."""

    def __init__(self, scene: Scene, client: Host, server: Host, sport: int, dport: int,
                 vlan: int | None = None) -> None:  # fmt: skip
        self.scene, self.ends, self.ports, self.vlan = scene, (client, server), (sport, dport), vlan
        self.next = [scene.chance.randrange(1 << 31), scene.chance.randrange(1 << 31)]

    def frame(self, side: int, flags: str, body: bytes = b"", *, shift: int = 0,
              **fields: Any) -> Packet:  # fmt: skip
        """A segment of the client (0) or server (1), `shift` bytes off the next in order."""
        src, dst = self.ends[side], self.ends[1 - side]
        segment = TCP(
            sport=self.ports[side], dport=self.ports[1 - side], flags=flags,
            seq=(self.next[side] + shift) & 0xFFFF_FFFF,
            ack=self.next[1 - side] if "A" in flags else 0, window=64_240, **fields,
        )  # fmt: skip
        return self.scene.packet(src, dst, segment / Raw(body) if body else segment, self.vlan)

    def send(self, at: float, side: int, flags: str, body: bytes = b"", **fields: Any) -> None:
        self.scene.add(at, self.frame(side, flags, body, **fields))
        self.next[side] += len(body) + ("S" in flags) + ("F" in flags)

    def open(self, at: float, rtt: float = 0.02) -> None:
        self.send(at, 0, "S", options=[("MSS", 1460)])
        self.send(at + rtt, 1, "SA", options=[("MSS", 1460)])
        self.send(at + rtt + 0.0003, 0, "A")

    def say(self, at: float, side: int, body: bytes, cut: int = 1400) -> float:
        """Data of one side, a segment each millisecond, acknowledged at the end; when that is."""
        for start in range(0, len(body), cut):
            self.send(at, side, "PA", body[start : start + cut])
            at += 0.001
        self.send(at + 0.01, 1 - side, "A")
        return at + 0.01

    def close(self, at: float) -> None:
        self.send(at, 0, "FA")
        self.send(at + 0.02, 1, "FA")
        self.send(at + 0.0203, 0, "A")
