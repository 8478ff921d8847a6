"""What changes in the middle of a capture: the switch, the clock of the capture, what a mirror
copies."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.situations.visit import visit
from tests.situations.visits_well import small
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import stream
from tests.situations.yard_files import pcap
from tests.situations.yard_tcp import ACK, PSH, mac


def from_then_on(y: Yard, at: float, passes: Callable[[bytes], bool]) -> Yard:
    """From a moment on, only the frames that `passes` lets through are copied."""
    y.frames = [f for f in y.frames if f[0] < at or passes(f[1])]
    return y


def spread(frame: bytes) -> bool:
    return bool(frame[0] & 1)


@visit(
    "not-a-mirror",
    variants=[
        {"seed": 2001, "topology": "dual"},
        {"seed": 2002, "topology": "single"},
        {"seed": 2003, "topology": "dual", "cams": 1},
        {"seed": 2004, "topology": "dual", "cams": 0},
    ],
)
def mirror_becomes_a_plain_port(seed: int, topology: str, cams: int = 2) -> Yard:
    """All is well; after 80 s somebody takes the mirror session away, and the probe's port shows
    broadcasts only."""
    y = small(seed, 200, cams=cams, topology=topology)
    return from_then_on(y, 80, spread)


@visit(
    "not-a-mirror",
    variants=[{"seed": 2011}],
    cleared=("not-a-mirror",),
)
def mirror_is_away_for_a_minute(seed: int) -> Yard:
    """The mirror session is away from 60 to 130 s, and comes back."""
    y = small(seed, 200)
    y.frames = [f for f in y.frames if not 60 <= f[0] < 130 or spread(f[1])]
    return y


@visit(
    "mirror-one-way",
    variants=[
        {"seed": 2021, "way": "sent"},
        {"seed": 2022, "way": "towards"},
        {"seed": 2023, "way": "sent", "topology": "single"},
        {"seed": 2024, "way": "towards", "topology": "single"},
    ],
)
def mirror_loses_one_direction(seed: int, way: str, topology: str = "dual") -> Yard:
    """All is well; after 80 s the mirror copies one direction of the appliance's ports only."""
    y = small(seed, 200, topology=topology)
    ours = (y.eth0.raw, y.eth1.raw)
    side = slice(6, 12) if way == "sent" else slice(0, 6)
    return from_then_on(y, 80, lambda f: spread(f) or f[side] in ours)


@visit("cameras-silent", variants=[{"seed": 2061}, {"seed": 2062, "topology": "single"}])
def switch_of_the_cameras_loses_power(seed: int, **k: Any) -> Yard:
    """After 80 s the switch that all cameras hang on is dead. The appliance reports to them and
    asks for their addresses again and again; broadcasts and the cloud go on."""
    y = small(seed, 160, **k)
    cams = {c.raw for c in y.cams}
    y.frames = [
        f for f in y.frames if f[0] < 80 or (f[1][6:12] not in cams and f[1][:6] not in cams)
    ]
    for n in range(12):
        for cam in y.cams:
            for k_ in range(3):
                y.who(83 + 6 * n + k_, y.eth0, cam, answers=False)
    return y


@visit(
    "gateway-silent",
    variants=[{"seed": 2071, "cams": 0}],
)
def router_dies_where_only_the_cloud_port_is_mirrored(seed: int, cams: int) -> Yard:
    """The router is dead after 80 s, and nothing else was talked to: only questions are left."""
    y = small(seed, 80, cams=cams)
    for n in range(30):
        for k in range(3):
            y.who(82 + 4 * n + k, y.cloud, y.router, answers=False)
        y.arp(83.5 + 4 * n, 1, y.pc, y.net + str(180 + n % 9))
    return y


def _asks(y: Yard, asker: Host, start: float, end: float, every: float) -> None:
    """Somebody asks for one neighbour after another; they answer out of sight."""
    n = 0
    while start + n * every < end:
        y.arp(start + n * every, 1, asker, asker.ip.rpartition(".")[0] + f".{180 + n % 40}")
        n += 1


@visit(variants=[{"seed": 2081, "every": 60}, {"seed": 2082, "every": 45, "topology": "single"}])
def idle_appliance_beside_a_router_that_asks(seed: int, every: float, **k: Any) -> Yard:
    """Only the cloud port is mirrored, no stream plays, and the connection to the cloud says
    something once a minute. The router asks for its other neighbours, whose answers do not pass
    here: nothing is wrong."""
    y = Yard(seed, cams=0, **k)
    y.begin()
    y.mqtt(3, 300, every=every)
    _asks(y, y.router, 5, 300, 5.3)
    return y


@visit(variants=[{"seed": 2091}])
def upload_ends_and_its_connection_stays(seed: int) -> Yard:
    """Ten seconds of an upload; then nothing for almost a minute, but for a PC's questions:
    nothing is wrong."""
    y = Yard(seed, cams=0)
    y.begin()
    y.mqtt(3, 200, every=60)
    y.look(30, y.S3)
    c = y.to(y.S3)
    t = c.tls(30.1, y.S3)
    while t < 42:
        t = c.say(t, bytes(3000)) + 0.05
    _asks(y, y.pc, 5, 200, 5.3)
    return y


@visit(variants=[{"seed": 2101, "ways": ("udp", "tcp")}, {"seed": 2102, "ways": ("udp", "udp")}])
def application_is_removed(seed: int, ways: tuple[str, str]) -> Yard:
    """Only the cameras' port is mirrored; both streams are torn down in the same second, and
    broadcasts go on: nothing is wrong."""
    y = Yard(seed, cams=2)
    for n, cam in enumerate(y.cams):
        stream(y, cam, 1 + n, 60, transport=ways[n], delta=900).leave(60.1 + n / 100)
    _asks(y, y.campc, 2, 160, 6)
    return y


@visit("cameras-silent", variants=[{"seed": 2111}])
def appliance_has_no_power_beside_a_talking_switch(seed: int) -> Yard:
    """The appliance's ports are mirrored, and go down with it after 80 s. What is left is the
    spanning tree of the probe's own switch, which is no broadcast of the network."""
    y = small(seed, 80)
    tree = b"\x42\x42\3\0\0\2\2\x3c" + bytes(24) + b"\x80\7\0\0\x14\0\2\0\x0f\0\0"
    for n in range(80):
        to = mac("01:80:c2:00:00:00")
        y.put(0.5 + 2 * n, (to + mac("00:1a:6c:10:20:30") + b"\0\x26" + tree).ljust(60, b"\0"))
    return y


@visit(
    "dhcp-no-offer",
    "camera-unreachable",
    variants=[{"seed": 2141}],
    also=("camera-reboot",),
    severity={"dhcp-no-offer": "error"},
)
def camera_gives_up_its_lease_and_gets_none(seed: int) -> Yard:
    """Its lease ends at 60 s; a last second of pictures passes while it asks for another one, and
    then it has no address."""
    y = Yard(seed)
    y.well(160)
    stream(y, y.cams[1], 2, 156, delta=900)
    stream(y, y.cams[0], 1, 61, delta=900, keep=None)
    for n in range(12):
        y.dhcp(60 + 8 * n, 1, y.cams[0], xid=77, opts=y.opt(12, b"cam1"))
        for k in range(3):
            y.arp(66 + 7 * n + k, 1, y.eth0, y.cams[0].ip)
    return y


@visit(
    "camera-unreachable",
    variants=[{"seed": 2151}],
    never={"camera-unreachable": "orrect the gateway"},
)
def camera_in_one_wide_network_asks_for_a_gateway(seed: int) -> Yard:
    """Appliance and camera are in one network of 16 bits, and reach each other without a router.
    The camera does not answer RTSP; that nobody is its gateway does not matter."""
    y = Yard(seed, plan="10")
    first, third = y.camnet.split(".")[1:3]
    y.eth0 = Host(y.eth0.mac, f"10.{first}.{(int(third) + 77) % 250}.20")
    y.well(120)
    stream(y, y.cams[1], 2, 116, delta=900)
    for n in range(7):
        y.who(5 + 15 * n, y.eth0, y.cams[0])
        y.knock(5.1 + 15 * n, addr=y.cams[0].ip, port=554, client=y.eth0, host=y.cams[0])
        for k in range(3):
            y.arp(7 + 15 * n + k, 1, y.cams[0], y.camnet + "1")
    text = y.site().replace(f"{y.eth0.ip}/24", f"{y.eth0.ip}/16")
    y.sitetext = text.replace(f"{y.camnet}0/24", f"10.{first}.0.0/16")
    return y


@visit("port-silent", variants=[{"seed": 2121}])
def appliance_has_no_power_and_its_servers_send_again(seed: int) -> Yard:
    """The appliance is off after 60 s. Cameras send to it for a minute, and servers send what it
    does not acknowledge again and again, on connections that are older than the capture."""
    y = Yard(seed)
    y.well(62)
    for n, cam in enumerate(y.cams):
        stream(y, cam, 1 + n, 116, keep=None)
    ours = (y.eth0.raw, y.eth1.raw)
    y.frames = [
        f for f in y.frames if f[0] < 60 or (f[1][6:12] not in ours and f[1][:6] != ours[1])
    ]
    for k in range(4):
        c = y.tcp(y.cloud, y.remote(y.A[y.LOGS][0]), 443)
        for n in range(8):
            c.seg(62 + k + 0.2 * 2**n, False, ACK | PSH, b"\x17\3\3\0\x1a" + bytes(26))
    _asks(y, y.pc, 61, 116, 5)
    for n in range(12):
        for k in range(3):
            y.arp(67 + 4 * n + k, 1, y.router, y.cloud.ip)
    return y


@visit("not-a-mirror", variants=[{"seed": 2131}])
def mirror_is_taken_away_where_a_printer_is_missed(seed: int) -> Yard:
    """As `mirror_becomes_a_plain_port`; a PC asks for an absent printer each second, all the
    time."""
    y = from_then_on(small(seed, 200), 80, spread)
    for n in range(195):
        y.arp(1.3 + n, 1, y.pc, y.net + "99")
    return y


@visit(
    "mirror-loss",
    variants=[
        {"seed": 2031, "share": 0.2},
        {"seed": 2032, "share": 0.05},
        {"seed": 2033, "share": 0.2, "topology": "single", "cams": 3},
        {"seed": 2034, "share": 0.5},
    ],
)
def mirror_drops_frames(seed: int, share: float, **k: Any) -> Yard:
    """The mirror's port is slower than what it copies: of all frames a share is missing, whoever
    sent them. All is well."""
    y = small(seed, 100, **k)
    chance = random.Random(seed)
    y.frames = [f for f in y.frames if chance.random() >= share]
    return y


@visit("mirror-loss", "stream-loss", variants=[{"seed": 2081}])
def mirror_drops_frames_and_a_camera_loses_more(seed: int) -> Yard:
    """The mirror loses 5 % of all frames; on the way of the first camera, 25 % are lost."""
    y = Yard(seed, cams=2)
    y.well(100)
    chance = random.Random(seed)
    stream(y, y.cams[0], 1, 96, lose=lambda t, n: chance.random() < 0.25, delta=900)
    stream(y, y.cams[1], 2, 96, transport="tcp", delta=900)
    y.frames = [f for f in y.frames if chance.random() >= 0.05]
    return y


@visit("mirror-loss", "ntp-silent", variants=[{"seed": 2091}])
def mirror_drops_frames_and_the_time_server_is_dead(seed: int) -> Yard:
    """The mirror loses 5 % of all frames; the time server answers none of fourteen requests."""
    y = small(seed, 150, ntp="host")
    y.frames = [f for f in y.frames if f[1][6:12] != y.clock.raw]
    for n in range(8):
        y.ntp(3 + 17 * n, answer=False)
        y.who(2.9 + 17 * n, y.cloud, y.clock)
    chance = random.Random(seed)
    y.frames = [f for f in y.frames if chance.random() >= 0.05]
    return y


def clock_jumps(y: Yard, at: float, by: float) -> Yard:
    """The file of a capture whose clock is set by some seconds at a moment."""
    frames = [(t + by if t >= at else t, f, i) for t, f, i in y.sorted()]
    y.file = pcap(y, frames=frames)
    return y


@visit(
    file=True,
    variants=[
        {"seed": 2041, "by": -20.0},
        {"seed": 2042, "by": -45.0, "end": 100},
        {"seed": 2043, "by": -59.0, "end": 110},
        {"seed": 2044, "by": -5.0, "end": 84},
        {"seed": 2045, "by": 6.0},
        {"seed": 2046, "by": 20.0, "end": 100},
        {"seed": 2047, "by": 55.0},
        {"seed": 2048, "by": 20.0, "cams": 3, "topology": "single"},
    ],
)
def capturing_clock_is_set(seed: int, by: float, end: int = 160, **k: Any) -> Yard:
    """The clock of the capturing machine is set by some seconds after 80 s. All is well."""
    return clock_jumps(small(seed, end, **k), 80, by)


@visit(
    info=("mirror-duplicates",),
    variants=[{"seed": 2121, "times": 2}, {"seed": 2122, "times": 3}, {"seed": 2123, "times": 4}],
)
def each_frame_comes_several_times(seed: int, times: int) -> Yard:
    """A host captures each frame at several layers of its stack, microseconds apart."""
    y = small(seed, 60)
    y.frames = [(t + 0.000002 * k, f, i) for t, f, i in y.frames for k in range(times)]
    return y
