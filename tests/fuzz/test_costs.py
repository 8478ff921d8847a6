"""What an enemy can make the program spend, against what a healthy capture costs.

Each flood is put beside a healthy capture of as many packets over the same time, in the same
process: a live stream of a camera. What counts is the ratio, for a machine may be slow or busy.
Memory is the growth of the resident peak while the flood is taken.
"""

from __future__ import annotations

import gzip
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from panotui.engine.engine import Engine
from panotui.model import SECOND, Site
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from tests.crafted.hello import client_hello

PACKETS = 20_000
SECONDS = 5
RATIO = 10.0
GROWTH_MB = 200
START = 1_790_000_000 * SECOND
CAMERA, APPLIANCE = "10.20.0.11", "10.20.0.5"
HERE, THERE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
ROOT = Path(__file__).parents[2]

Make = Callable[[int, random.Random], bytes]


def ethernet(kind: int, body: bytes, src: bytes = HERE, dst: bytes = THERE) -> bytes:
    return dst + src + struct.pack("!H", kind) + body


def raw(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def ip(
    protocol: int, src: bytes, dst: bytes, body: bytes, *, number: int = 0, where: int = 0
) -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, where, 64, protocol, 0, src, dst
    )
    return head + body


def udp(src: bytes, sport: int, dst: bytes, dport: int, body: bytes, mac: bytes = HERE) -> bytes:
    segment = struct.pack("!HHHH", sport, dport, 8 + len(body), 0) + body
    return ethernet(0x0800, ip(17, src, dst, segment), mac)


def tcp(
    src: bytes, sport: int, dst: bytes, dport: int, flags: int, body: bytes = b"", at: int = 1
) -> bytes:
    numbers = (at & 0xFFFFFFFF, 1)
    segment = struct.pack("!HHIIBBHHH", sport, dport, *numbers, 0x50, flags, 65_535, 0, 0) + body
    return ethernet(0x0800, ip(6, src, dst, segment))


def address(number: int) -> bytes:
    return struct.pack("!I", 0x0B000000 + number)


def dns_name(name: str) -> bytes:
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"


def word(chance: random.Random, most: int = 40) -> str:
    return "".join(
        chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chance.randint(8, most))
    )


# ------------------------------------------------------------------ floods


def healthy(n: int, chance: random.Random) -> bytes:
    """A camera's stream: 25 pictures a second of 8 packets each, and now and then a lookup."""
    if n % 500 == 0:
        body = struct.pack("!6H", n, 0x100, 1, 0, 0, 0) + dns_name("time.example") + b"\0\1\0\1"
        return udp(raw(APPLIANCE), 40_000 + n // 500, raw("10.20.0.1"), 53, body)
    frame, part = divmod(n, 8)
    head = struct.pack(
        "!BBHII", 0x80, 96 | (128 if part == 7 else 0), n & 0xFFFF, frame * 3_600, 77
    )
    return udp(raw(CAMERA), 5_004, raw(APPLIANCE), 6_000, head + b"\x41" + bytes(900))


def udp_tuples(n: int, chance: random.Random) -> bytes:
    return udp(address(n), 1_024 + n % 60_000, raw(APPLIANCE), 9_000 + n % 500, bytes(20))


def tcp_syns(n: int, chance: random.Random) -> bytes:
    return tcp(address(n), 1_024 + n % 60_000, raw(APPLIANCE), 443, 2)


def syn_answers(n: int, chance: random.Random) -> bytes:
    half = n // 2
    if n % 2:
        return tcp(raw(APPLIANCE), 443, address(half), 1_024 + half % 60_000, 0x12)
    return tcp(address(half), 1_024 + half % 60_000, raw(APPLIANCE), 443, 2)


def macs(n: int, chance: random.Random) -> bytes:
    mac = b"\x02" + n.to_bytes(5, "big")
    return udp(address(n), 5_000, raw(APPLIANCE), 9_000, bytes(20), mac)


def broadcasting_macs(n: int, chance: random.Random) -> bytes:
    return ethernet(0x88B5, bytes(46), b"\x02" + n.to_bytes(5, "big"), b"\xff" * 6)


def dns_questions(n: int, chance: random.Random) -> bytes:
    body = struct.pack("!6H", n & 0xFFFF, 0x100, 1, 0, 0, 0) + dns_name(f"{word(chance)}.example")
    return udp(raw(APPLIANCE), 1_024 + n % 60_000, raw("10.20.0.1"), 53, body + b"\0\1\0\1")


def dns_answers(n: int, chance: random.Random) -> bytes:
    name = dns_name(f"{word(chance)}.example")
    rows = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + address(n * 20 + i) for i in range(20)
    )
    body = struct.pack("!6H", n & 0xFFFF, 0x8180, 1, 20, 0, 0) + name + b"\0\1\0\1" + rows
    return udp(raw("10.20.0.1"), 53, raw(APPLIANCE), 1_024 + n % 60_000, body)


def arp(n: int, chance: random.Random) -> bytes:
    mac = b"\x02" + n.to_bytes(5, "big")
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1 + n % 2)
    body += mac + address(n) + bytes(6) + address(n + 1)
    return ethernet(0x0806, body, mac, b"\xff" * 6)


def fragments(n: int, chance: random.Random) -> bytes:
    segment = struct.pack("!HHHH", 5_000, 9_000, 3_000, 0) + bytes(600)
    where = 0x2000 | (0 if n % 3 else 100)
    part = ip(17, address(n // 7), raw(APPLIANCE), segment, number=n & 0xFFFF, where=where)
    return ethernet(0x0800, part)


def overlapping_fragments(n: int, chance: random.Random) -> bytes:
    where = 0x2000 | chance.randrange(0, 180)
    return ethernet(0x0800, ip(17, raw(CAMERA), raw(APPLIANCE), bytes(64), number=7, where=where))


_HELLOS = [client_hello(random.Random(i), f"h{i:05}.example", ("h2",)) for i in range(64)]


def tls_hellos(n: int, chance: random.Random) -> bytes:
    hello = _HELLOS[n % 64].replace(f"h{n % 64:05}".encode(), f"x{n % 100_000:05}".encode())
    record = b"\x16\x03\x01" + struct.pack("!H", len(hello)) + hello
    return tcp(raw(APPLIANCE), 1_024 + n % 60_000, address(n), 443, 0x18, record)


def endless_tls_records(n: int, chance: random.Random) -> bytes:
    """The start of a hello that never comes whole, on ever new connections."""
    record = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xf0" + bytes(1_200)
    return tcp(raw(APPLIANCE), 1_024 + n % 60_000, address(n), 443, 0x18, record)


def vlans(n: int, chance: random.Random) -> bytes:
    inner = struct.pack("!HHHHH", n & 0xFFF, 0x88A8, chance.randrange(4_096), 0x8100, n >> 12)
    rest = udp(address(n), 5_000, raw(APPLIANCE), 9_000, bytes(20))[12:]
    return THERE + HERE + b"\x81\0" + inner[:2] + b"\x81\0" + inner[4:6] + rest


def mdns_names(n: int, chance: random.Random) -> bytes:
    name = dns_name(f"{word(chance)}._rtsp._tcp.local")
    rows = b"".join(
        name + struct.pack("!HHIH", kind, 0x8001, 120, len(data)) + data
        for kind, data in ((16, b"\x20" + word(chance, 32).ljust(32, "x").encode()),
                           (33, struct.pack("!HHH", 0, 0, 554) + dns_name(f"{word(chance)}.local")))
    )  # fmt: skip
    body = struct.pack("!6H", 0, 0x8400, 0, 2, 0, 0) + rows
    return udp(address(n), 5_353, raw("224.0.0.251"), 5_353, body)


def ssdp(n: int, chance: random.Random) -> bytes:
    text = (
        "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n"
        f"SERVER: {word(chance)}\r\nUSN: uuid:{word(chance)}\r\n"
        f"LOCATION: http://{word(chance)}/\r\n\r\n"
    )
    return udp(address(n), 1_900, raw("239.255.255.250"), 1_900, text.encode())


def dhcp(n: int, chance: random.Random) -> bytes:
    mac = b"\x02" + n.to_bytes(5, "big")
    name = word(chance, 60).encode()
    body = struct.pack("!BBBBIHH", 1, 1, 6, 0, n, 0, 0) + bytes(16) + mac + bytes(202)
    body += b"\x63\x82\x53\x63\x35\x01" + bytes([1 + 2 * (n % 2)])
    body += bytes([12, len(name)]) + name + b"\x32\x04" + address(n) + b"\xff"
    return udp(bytes(4), 68, b"\xff" * 4, 67, body, mac)


def icmp(n: int, chance: random.Random) -> bytes:
    quoted = ip(17, raw(APPLIANCE), address(n), struct.pack("!HHHH", n & 0xFFFF, 53, 8, 0))
    body = struct.pack("!BBHI", 3, n % 16, 0, 0) + quoted
    return ethernet(0x0800, ip(1, address(n), raw(APPLIANCE), body))


def pings(n: int, chance: random.Random) -> bytes:
    body = struct.pack("!BBHHH", 8, 0, 0, n & 0xFFFF, 1)
    return ethernet(0x0800, ip(1, address(n), raw(APPLIANCE), body))


def ntp(n: int, chance: random.Random) -> bytes:
    body = bytes([0x24 if n % 2 else 0x23]) + bytes(39) + chance.randbytes(8)
    return udp(address(n), 123, raw(APPLIANCE), 123, body)


def http_heads(n: int, chance: random.Random) -> bytes:
    text = (
        f"GET /{word(chance)} HTTP/1.1\r\nHost: {word(chance)}.example\r\nX: {word(chance)}\r\n\r\n"
    )
    return tcp(raw(APPLIANCE), 1_024 + n % 60_000, address(n), 80, 0x18, text.encode())


_PLAY = b"PLAY rtsp://10.20.0.11/s RTSP/1.0\r\nCSeq: 5\r\nSession: 1\r\n\r\n"
_PLAYING = b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nSession: 1\r\n\r\n"


def _in_rtsp(n: int, body: bytes) -> bytes:
    """A camera's connection: PLAY, its answer, then `body` again and again."""
    if n == 0:
        return tcp(raw(APPLIANCE), 40_000, raw(CAMERA), 554, 0x18, _PLAY)
    said = _PLAYING if n == 1 else body
    at = 1 if n == 1 else 1 + len(_PLAYING) + (n - 2) * len(body)
    return tcp(raw(CAMERA), 554, raw(APPLIANCE), 40_000, 0x18, said, at)


def tiny_frames(n: int, chance: random.Random) -> bytes:
    """RTP of a header alone, ninety times a segment."""
    frames = (
        b"$\0\0\x0c" + struct.pack("!BBHII", 0x80, 96, (n * 90 + i) & 0xFFFF, n * 300, 77)
        for i in range(90)
    )
    return _in_rtsp(n, b"".join(frames))


def empty_frames(n: int, chance: random.Random) -> bytes:
    return _in_rtsp(n, b"$\0\0\0" * 360)


def endless_text(n: int, chance: random.Random) -> bytes:
    return _in_rtsp(n, b"X-Header: " + word(chance, 40).encode().ljust(40, b"x") + b"\r\n")


FLOODS: list[Make] = [
    udp_tuples, tcp_syns, syn_answers, macs, broadcasting_macs, dns_questions, dns_answers, arp,
    fragments, overlapping_fragments, tls_hellos, endless_tls_records, vlans, mdns_names, ssdp,
    dhcp, icmp, pings, ntp, http_heads, tiny_frames, empty_frames, endless_text,
]  # fmt: skip


# ------------------------------------------------------------------ measuring


def written(path: Path, make: Make) -> Path:
    chance = random.Random(7)
    step = SECONDS * SECOND // PACKETS
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1))
        for n in range(PACKETS):
            frame = make(n, chance)
            second, rest = divmod(START + n * step, SECOND)
            file.write(struct.pack("<IIII", second, rest, len(frame), len(frame)) + frame)
    return path


def spent(path: Path) -> float:
    """CPU seconds for all of it: metered, judged, and asked for once a second."""
    source = open_file(str(path))
    engine = Engine(Site())
    pump = Pump([source], engine, files=[str(path)])
    pump.on_tick.append(lambda _: engine.snapshot())
    began = time.process_time()
    pump.run(0.0)
    engine.snapshot()
    taken = time.process_time() - began
    source.close()
    assert engine.counters().packets == PACKETS
    return taken


def resident(name: str) -> int:
    """Kilobytes of /proc/self/status."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0])


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = written(tmp_path_factory.mktemp("costs") / "healthy.pcap", healthy)
    spent(path)  # what is loaded once, is
    return path


@pytest.mark.parametrize("make", FLOODS, ids=lambda make: make.__name__)
def test_no_flood_costs_many_times_a_healthy_capture(
    make: Make, well: Path, tmp_path: Path
) -> None:
    hostile = written(tmp_path / "hostile.pcap", make)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    taken = spent(hostile)
    growth_mb = (resident("VmHWM") - before) / 1024
    healthy_s = spent(well)
    print(f"{make.__name__}: {taken / healthy_s:.1f} x, {growth_mb:.0f} MB")
    assert growth_mb < GROWTH_MB
    for _ in range(5):
        if taken > RATIO * healthy_s:  # another program in between? once more
            taken, healthy_s = min(taken, spent(hostile)), min(healthy_s, spent(well))
    assert taken <= RATIO * healthy_s


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_a_bomb_takes_what_is_asked_of_it_and_not_what_it_holds(
    packed: str, tmp_path: Path
) -> None:
    bomb = tmp_path / f"bomb.{packed}"
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    held = 512 << 20  # of zeros: records without a byte
    if packed == "gzip":
        with gzip.open(bomb, "wb", 9) as file:
            file.write(head)
            for _ in range(held >> 22):
                file.write(bytes(1 << 22))
    else:
        with zstandard.open(bomb, "wb") as file:
            file.write(head)
            for _ in range(held >> 22):
                file.write(bytes(1 << 22))
    assert bomb.stat().st_size < held / 900
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    source = open_file(str(bomb))
    rows = 0
    for _ in range(20):
        batch = source.read(0.0)
        assert batch is not None
        rows += len(batch)
    source.close()
    growth_mb = (resident("VmHWM") - before) / 1024
    print(f"{packed}: {growth_mb:.0f} MB for {rows} packets of {held >> 20} MiB")
    assert rows > 0
    assert growth_mb < 100
