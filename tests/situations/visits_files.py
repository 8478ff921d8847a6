"""Capture files of sites that are well: odd formats, cut ends, clocks of the capture that are
wrong."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Frames, Yard
from tests.situations.yard_camera import stream
from tests.situations.yard_files import pcap, pcapng


def small(seed: int, end: int = 50, cams: int = 2, **k: Any) -> Yard:
    y = Yard(seed, cams=cams, **k)
    y.well(end)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, end - 4, transport=["udp", "tcp"][n % 2], delta=900)
    return y


def cooked(y: Yard, v: int = 1) -> Frames:
    out = []
    for t, f, i in y.sorted():
        kind = f[12:14]
        me = f[6:12] in (y.eth0.raw, y.eth1.raw)
        p = 4 if me else 1 if f[:6] == b"\xff" * 6 else 2 if f[0] & 1 else 0
        if v == 1:
            head = struct.pack("!HHH8s", p, 1, 6, f[6:12] + b"\0\0") + kind
        else:
            head = kind + struct.pack(
                "!HIHBB8s", 0, 2 + (f[6:12] == y.eth1.raw), 1, p, 6, f[6:12] + b"\0\0"
            )
        out.append((t, head + f[14:], i))
    return out


@visit(
    file=True,
    variants=[{"seed": 1131, "cut": 7}, {"seed": 1132, "cut": 61}, {"seed": 1133, "cut": 1200}],
)
def file_ends_within_a_packet(seed: int, cut: int) -> Yard:
    """pcap whose last packet is cut off."""
    y = small(seed)
    y.file = pcap(y, cut=cut)
    return y


@visit(
    file=True,
    variants=[
        {"seed": 1141, "e": "<", "tsresol": 9},
        {"seed": 1142, "e": ">", "tsresol": 6},
        {"seed": 1143, "e": "<", "tsresol": 0x94},
        {"seed": 1144, "e": ">", "tsresol": 9, "tsoffset": 1700000000},
        {"seed": 1145, "e": "<", "tsresol": 6, "cut": 33},
    ],
)
def pcapng_of_strange_options(seed: int, **k: Any) -> Yard:
    """pcapng: big endian, nanoseconds, 2^-20 s, an offset, comments, name records, statistics,
    blocks of vendors, cut off at the end."""
    y = small(seed)
    y.file = pcapng(y, comments=True, **k)
    return y


@visit(file=True, variants=[{"seed": 1151}])
def two_interfaces_of_one_file(seed: int) -> Yard:
    """pcapng with an interface a port: the camera port's frames on one, the cloud port's on the
    other."""
    y = small(seed, topology="dual")
    y.frames = [
        (t, f, 1 if y.cloud.raw in f[:12] or y.router.raw in f[:12] else 0) for t, f, _ in y.frames
    ]
    y.file = pcapng(y, interfaces=(("enp3s0", 1), ("enp4s0", 1)))
    return y


@visit(file=True, variants=[{"seed": 1161, "v": 1}, {"seed": 1162, "v": 2}], also=())
def captured_on_any_with_cooked_headers(seed: int, v: Any) -> Yard:
    """tcpdump -i any on the appliance (Linux cooked, version 1 or 2)."""
    y = small(seed, topology="single")
    fr = cooked(y, v)
    y.file = pcap(y, link=113 if v == 1 else 276, frames=fr)
    y.sitetext = y.site(vantage="host")
    return y


@visit(file=True, variants=[{"seed": 1171}])
def raw_ip_without_ethernet(seed: int) -> Yard:
    """Link type raw IP (a tunnel's end): no MAC at all."""
    y = small(seed, topology="single")
    fr = [(t, f[14:], i) for t, f, i in y.sorted() if f[12:14] == b"\x08\0"]
    y.file = pcap(y, link=101, frames=fr)
    return y


@visit(file=True, variants=[{"seed": 1181}], info=())
def each_frame_comes_with_its_fcs(seed: int) -> Yard:
    """Each frame has four bytes of FCS at its end (a TAP), short frames a trailer of junk."""
    y = small(seed)
    fr = [(t, f.ljust(60, b"\xaa") + struct.pack("<I", zlib.crc32(f)), i) for t, f, i in y.sorted()]
    y.file = pcap(y, frames=fr, link=1 | (1 << 26) | (4 // 2 << 28))
    return y


@visit(
    file=True,
    variants=[
        {"seed": 1201, "back": 75.0},
        {"seed": 1202, "back": 1.7},
        {"seed": 1203, "back": 0.02},
    ],
)
def time_of_the_capture_goes_back(seed: int, back: float) -> Yard:
    """The capturing machine's clock is set back in the middle."""
    y = small(seed, 70)
    fr = y.sorted()
    y.file = pcap(y, frames=[(t if t < 33 else t - back, f, i) for t, f, i in fr])
    return y


@visit(proved=False, file=True, variants=[{"seed": 1231}], also=("capture-snapped",))
def cut_at_54_bytes(seed: int) -> Yard:
    """A snap length of 54 bytes."""
    y = small(seed)
    y.file = pcap(y, snap=54)
    return y


@visit(
    "dns-timeout",
    "capture-snapped",
    proved=False,
    file=True,
    variants=[{"seed": 1235, "snap": 256}, {"seed": 1236, "snap": 128}],
)
def resolver_dies_where_frames_are_cut(seed: int, snap: int) -> Yard:
    """The resolver is dead after 40 s. A snap length cuts pictures, and answers before that; of a
    query nothing is missing, and nothing comes back."""
    y = Yard(seed, dns="host")
    y.begin()
    y.mqtt(3, 150)
    for n, cam in enumerate(y.cams):
        stream(y, cam, 1 + n, 146, transport=["udp", "tcp"][n], delta=900)
    for n in range(18):
        y.look(40 + 6 * n, (y.LOGS, y.MON, y.S3, y.CRED)[n % 4], after=None, again=1)
        y.who(41 + 6 * n, y.cloud, y.resolver)
    y.file = pcap(y, snap=snap)
    return y


@visit("rtsp-silent", "capture-snapped", proved=False, file=True, variants=[{"seed": 1237}])
def camera_hangs_where_frames_are_cut(seed: int) -> Yard:
    """A camera accepts connections and says nothing; frames are cut at 256 bytes."""
    y = Yard(seed)
    y.well(150)
    stream(y, y.cams[0], 1, 146, delta=900)
    y.who(5, y.eth0, y.cams[1])
    for n in range(8):
        c = y.tcp(y.eth0, y.cams[1], 554)
        url = f"rtsp://{y.cams[1].ip}/live"
        t = c.say(c.open(6 + 17 * n), f"OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        c.close(t + 10)
    y.file = pcap(y, snap=256)
    return y


@visit(file=True, variants=[{"seed": 1361}])
def empty_and_nearly_empty(seed: int) -> Yard:
    """A capture of one ARP frame, or of none."""
    y = Yard(seed)
    if seed % 2:
        y.arp(0.1, 1, y.pc, y.net + "9")
    y.file = pcap(y)
    return y


@visit(
    file=True,
    variants=[
        {"seed": 1421, "off": 100},
        {"seed": 1422, "off": -4000},
        {"seed": 1423, "off": 3600},
    ],
)
def laptops_own_clock_is_wrong(seed: int, off: float) -> Yard:
    """The capturing laptop's clock is off by 100 s or an hour; cameras, servers and the appliance
    are in time."""
    y = small(seed, 80)
    t0 = y.t0
    y.t0 += off
    y.file = pcap(y)
    y.t0 = t0
    return y


@visit(file=True, info=("camera-clock",), variants=[{"seed": 1431, "off": 100}])
def laptops_clock_is_wrong_and_one_cameras_too(seed: int, off: float) -> Yard:
    """The laptop's clock is 100 s ahead; cam1's is an hour behind, cam2's is right: only cam1 may
    be named."""
    y = Yard(seed)
    y.well(80)
    stream(y, y.cams[0], 1, 76, off=-3600, delta=900)
    stream(y, y.cams[1], 2, 76, delta=900)
    t0 = y.t0
    y.t0 += off
    y.file = pcap(y)
    y.t0 = t0
    return y


@visit(file=True, info=("camera-clock",), variants=[{"seed": 1441, "off": 100}])
def laptops_clock_is_wrong_and_nobody_tells_the_time(seed: int, off: float) -> Yard:
    """No time server is asked; both cameras differ from the laptop's clock by the same 100 s: one
    sentence, of both possible causes."""
    y = Yard(seed)
    y.who(0.1, y.cloud, y.router)
    y.mqtt(1, 78)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 76, delta=900)
    t0 = y.t0
    y.t0 += off
    y.file = pcap(y)
    y.t0 = t0
    return y
