"""What changes in the middle of a capture: the switch, the clock of the capture, what a mirror
copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.situations.visit import visit
from tests.situations.visits_well import small
from tests.situations.yard import Yard


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
