"""Writes the capture of a quiet site: much time, few packets.

`python -m tests.benchmarks.site_day SECONDS FILE`: five packets a second on the appliance's cloud
port. Six TLS connections say a word every 5 s, others come every 20 s and go; their names are
asked for, the clock is set from the internet once in 64 s, the gateway and nine neighbours are
asked for by ARP twice a minute. So there are packets in every second. A day of it (86,400 s)
is 62 MB.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.benchmarks.generate import PCAP_HEADER, START_NS
from tests.diagnosis.wire import (
    CLOUD,
    ETH1,
    GATEWAY,
    ROUTER_MAC,
    SECOND,
    START,
    Tcp,
    Wire,
    arp_packet,
    client_hello,
    ntp_packet,
    ntp_stamp,
    server_hello,
)

REGION = "us-east-1.amazonaws.com"
HOSTS = (  # what an appliance speaks to, and where that is
    ("data.iot." + REGION, "18.200.0.10"),
    ("s3." + REGION, "52.216.0.20"),
    ("c1ab23.credentials.iot." + REGION, "54.239.0.30"),
    ("logs." + REGION, "52.94.0.50"),
    ("monitoring." + REGION, "52.94.0.40"),
    ("panorama." + REGION, "52.119.0.60"),
)
CLOCK = "162.159.200.123"
MINUTE = 60
Frame = tuple[int, int, bytes, int]  # as `Wire` has them
DATA = b"\x17\x03\x03\0\x80" + bytes(128)


def finished() -> bytes:
    """ChangeCipherSpec and an encrypted Finished."""
    return b"\x14\x03\x03\0\x01\x01\x16\x03\x03\0\x28" + bytes(40)


def opened(wire: Wire, at: float, number: int, sport: int) -> Tcp:
    """A TLS connection to one of the hosts, up to its first data; 9 packets."""
    host, address = HOSTS[number % len(HOSTS)]
    flow = wire.tcp((ETH1, CLOUD, sport), (ROUTER_MAC, address, 443))
    flow.open(at)
    flow.send(at + 0.03, client_hello(host))
    flow.answer(at + 0.05, server_hello())
    flow.send(at + 0.07, finished())
    flow.answer(at + 0.09, finished())
    flow.send(at + 0.11, DATA)
    flow.answer(at + 0.13, DATA)
    return flow


def kept_alive(flow: Tcp, at: float) -> None:
    """A word, its answer and the acknowledgement."""
    flow.send(at, DATA)
    flow.answer(at + 0.02, DATA)
    flow.ack(at + 0.06)


def minutes(seconds: int) -> Iterator[list[Frame]]:
    """The frames of each minute, with their times, in order."""
    wire = Wire(("cloud",))
    lasting = [opened(wire, 0.1 + k / 7, k, 40_000 + k) for k in range(len(HOSTS))]
    brief = 0
    clock_s = 2.0
    for start in range(0, seconds, MINUTE):
        for at in range(start, min(start + MINUTE, seconds)):
            for k, flow in enumerate(lasting):
                if at % 5 == k % 5 and at:
                    kept_alive(flow, at + 0.3 + k * 0.05)
            if at % 20 == 7:
                brief += 1
                host, address = HOSTS[brief % len(HOSTS)]
                wire.ask(at + 0.02, host, address)
                flow = opened(wire, at + 0.1, brief, 41_000 + brief % 20_000)
                flow.close(at + 0.5)
            if at % 3 == 2:
                k = at // 3 % 10
                mac, address = f"02:00:00:00:0a:{k:02x}", f"192.168.5.{k + 100}"
                if not k:
                    mac, address = ROUTER_MAC, GATEWAY
                neighbours(wire, at + 0.2, mac, address)
        while clock_s < start + MINUTE:
            asked = START + int(clock_s * SECOND)
            mine, theirs = (ETH1, CLOUD, 123), (ROUTER_MAC, CLOCK, 123)
            wire.udp(clock_s, mine, theirs, ntp_packet(3, asked))
            wire.udp(clock_s + 0.02, theirs, mine, ntp_packet(4, asked, ntp_stamp(asked)))
            clock_s += 64.0
        wire.frames.sort(key=lambda frame: frame[0])
        yield wire.frames
        wire.frames = []


def neighbours(wire: Wire, at: float, mac: str, address: str) -> None:
    """The appliance asks who has an address, and is told."""
    wire.add(at, arp_packet(1, ETH1, CLOUD, address))
    wire.add(at + 0.001, arp_packet(2, mac, address, CLOUD, dst=ETH1))


def hardly_used(start: int, seconds: int) -> list[Frame]:
    """The frames of a time in which one neighbour is asked for once a minute."""
    wire = Wire(("cloud",))
    for at in range(start, start + seconds, MINUTE):
        neighbours(wire, at + 0.5, ROUTER_MAC, GATEWAY)
    return wire.frames


def records(frames: Iterable[Frame]) -> bytes:
    """Frames as records of a pcap file."""
    parts: list[bytes] = []
    for time_ns, _, frame, size in frames:
        at = time_ns - START + START_NS
        head = struct.pack("<IIII", at // SECOND, at % SECOND // 1000, len(frame), size)
        parts += (head, frame)
    return b"".join(parts)


def write(path: Path, seconds: int) -> int:
    """Write so many seconds of a quiet site to a pcap file; the number of packets."""
    packets = 0
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for frames in minutes(seconds):
            file.write(records(frames))
            packets += len(frames)
    return packets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int)
    parser.add_argument("path", type=Path)
    options = parser.parse_args()
    print(write(options.path, options.seconds))


if __name__ == "__main__":
    main()
