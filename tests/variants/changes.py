"""Changes of a capture under which its truth stays the same, or is seen less of: each is a small
function of packets.

`ALIKE`: everything is told as before. `FEWER`: less is seen, or more of the same, so less may
be told, but no cause that the capture does not tell.
"""

from __future__ import annotations

import datetime
import random
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from panotui.model import Site
from tests.variants import places
from tests.variants.frames import (
    SECOND,
    TCP,
    UDP,
    Shot,
    Writer,
    big_endian,
    cooked,
    ip_of,
    pcap,
    pcapng,
    ports_of,
    resummed,
    third_interface,
    with_frames,
)

Packets = Sequence[Shot]
ALIKE, FEWER = "alike", "fewer"
ACK = 16
NTP = 123
DATE = re.compile(rb"Date: [A-Z][a-z]{2}, [A-Z0-9a-z]+ [A-Z0-9a-z]+ \d{4} \d\d:\d\d:\d\d")
SENDER_REPORT = 200
REPORT = re.compile(rb"\$[\1\3\5\7]..[\x80-\x9f]\xc8", re.DOTALL)  # within RTSP over TCP
NTP_STAMPS = (16, 24, 32, 40)


def as_it_is(shots: Packets) -> list[Shot]:
    return list(shots)


@dataclass(frozen=True)
class Change:
    """`adds` are findings of the change itself; `back` puts what is told into the words of the
    capture as it was."""

    name: str
    keeps: str
    packets: Callable[[Packets], list[Shot]] = as_it_is
    write: Writer = pcap
    site: Callable[[Site], Site] = lambda site: site
    back: Callable[[str], str] = lambda text: text
    adds: frozenset[str] = frozenset()
    fits: Callable[[Site], bool] = lambda site: True


# ---------------------------------------------------------------------- tags


def tagged(
    *vlans: int, only: Callable[[bytes], bool] = lambda frame: True
) -> Callable[[Packets], list[Shot]]:
    """802.1Q tags on the frames chosen, the outer one of QinQ first."""

    def change(frame: bytes) -> bytes:
        if not only(frame) or int.from_bytes(frame[12:14], "big") in (0x8100, 0x88A8, 0x8808):
            return frame
        outer = (0x88A8, 0x8100)[2 - len(vlans) :]
        tags = b"".join(struct.pack("!HH", kind, vlan) for kind, vlan in
                        zip(outer, vlans, strict=True))  # fmt: skip
        return frame[:12] + tags + frame[12:]

    return lambda shots: list(with_frames(shots, change))


def from_lower(frame: bytes) -> bool:
    """One way of each pair of hosts: from the lower MAC to the higher."""
    return frame[6:12] < frame[:6]


# ---------------------------------------------------------------------- time


def _dated(found: re.Match[bytes], by_ns: int) -> bytes:
    """The date of an RTSP or HTTP header, in its own form."""
    said = found.group().decode()
    form = "Date: %a, %b %d %Y %H:%M:%S" if said[11].isalpha() else "Date: %a, %d %b %Y %H:%M:%S"
    at = datetime.datetime.strptime(said, form) + datetime.timedelta(microseconds=by_ns // 1000)
    moved = at.strftime(form).encode()
    return moved if len(moved) == len(found.group()) else found.group()


def later(by_ns: int) -> Callable[[Packets], list[Shot]]:
    """The same at another time; the stamps of the time protocol say so too."""

    def move(shot: Shot) -> Shot:
        return Shot(shot.time_ns + by_ns, _stamped(shot.frame, shot.time_ns, by_ns), shot.wire)

    return lambda shots: [move(shot) for shot in shots]


def _stamped(frame: bytes, time_ns: int, by_ns: int) -> bytes:
    ip = ip_of(frame)
    if ip is None or len(frame) < ip.body + 20:
        return frame
    if ip.protocol == TCP:
        out = bytearray(DATE.sub(lambda found: _dated(found, by_ns), frame))
        stamps = [found.end() + 6 for found in REPORT.finditer(frame, ip.body)]
    elif ip.protocol == UDP:
        out = bytearray(frame)
        stamps = []
        if NTP in ports_of(frame, ip):
            stamps = [ip.body + part for part in NTP_STAMPS]
        elif frame[ip.body] >> 6 == 2 and frame[ip.body + 1] == SENDER_REPORT:
            stamps = [ip.body + 8]
    else:
        return frame
    now = (time_ns // SECOND + 2_208_988_800) << 32
    for at in stamps:
        if at + 8 > len(frame):
            continue
        (stamp,) = struct.unpack_from("!Q", frame, at)
        # stamps that are no time of day are left: zero, random ones, a clock of 1970
        if abs(stamp - now) < (7 * 86_400) << 32:
            moved = stamp + (by_ns << 32) // SECOND
            struct.pack_into("!Q", out, at, moved)
    return resummed(bytes(out), frame)


# ---------------------------------------------------------------------- the mirror's faults


def lost(share: float, seed: int = 5) -> Callable[[Packets], list[Shot]]:
    """The mirror loses packets at random."""

    def change(shots: Packets) -> list[Shot]:
        draw = random.Random(seed)
        return [shot for shot in shots if draw.random() >= share]

    return change


def copied(share: float, seed: int = 6, vlan: int | None = None) -> Callable[[Packets], list[Shot]]:
    """The mirror gives some packets twice, the copy with a tag where `vlan` is given."""

    def change(shots: Packets) -> list[Shot]:
        draw = random.Random(seed)
        out = []
        for n, shot in enumerate(shots):
            out.append(shot)
            if draw.random() < share:
                nearest = shots[n + 1].time_ns if n + 1 < len(shots) else shot.time_ns + 20_000
                copy = Shot(min(shot.time_ns + 9_000, nearest), shot.frame, shot.wire)
                out += tagged(vlan)([copy]) if vlan is not None else [copy]
        return out

    return change


def swapped(
    share: float, within_ns: int = 1_000_000, seed: int = 7
) -> Callable[[Packets], list[Shot]]:
    """Neighbours in time that the capture gives in the other order."""

    def change(shots: Packets) -> list[Shot]:
        draw = random.Random(seed)
        out = list(shots)
        n = 0
        while n + 1 < len(out):
            one, other = out[n], out[n + 1]
            if other.time_ns - one.time_ns < within_ns and draw.random() < share:
                out[n] = Shot(one.time_ns, other.frame, other.wire)
                out[n + 1] = Shot(other.time_ns, one.frame, one.wire)
                n += 1
            n += 1
        return out

    return change


def snapped(size: int) -> Callable[[Packets], list[Shot]]:
    return lambda shots: [Shot(s.time_ns, s.frame[:size], s.wire) for s in shots]


# ---------------------------------------------------------------------- a part of the time


def first(share: float) -> Callable[[Packets], list[Shot]]:
    """The capture is stopped early."""

    def change(shots: Packets) -> list[Shot]:
        end = shots[0].time_ns + round(share * (shots[-1].time_ns - shots[0].time_ns))
        return [shot for shot in shots if shot.time_ns <= end]

    return change


def last(share: float) -> Callable[[Packets], list[Shot]]:
    """The capture is begun late."""

    def change(shots: Packets) -> list[Shot]:
        start = shots[-1].time_ns - round(share * (shots[-1].time_ns - shots[0].time_ns))
        return [shot for shot in shots if shot.time_ns >= start]

    return change


def again(after_s: float) -> Callable[[Packets], list[Shot]]:
    """All of it once more, after a silence."""

    def change(shots: Packets) -> list[Shot]:
        by = shots[-1].time_ns - shots[0].time_ns + round(after_s * SECOND)
        return [*shots, *(anew(shot) for shot in later(by)(shots))]

    return change


def anew(shot: Shot) -> Shot:
    """Of another connection: TCP's numbers and the client's port are others."""
    frame, ip = shot.frame, ip_of(shot.frame)
    if ip is None or ip.protocol != TCP or len(frame) < ip.l4 + 20:
        return shot
    out = bytearray(frame)
    ports = ports_of(frame, ip)
    sequence, acknowledged = struct.unpack_from("!II", frame, ip.l4 + 4)
    struct.pack_into("!HH", out, ip.l4, *(
        port ^ 3 if port == max(ports) and port > 1024 else port for port in ports
    ))  # fmt: skip
    struct.pack_into("!I", out, ip.l4 + 4, (sequence + 0x2100_0000) & 0xFFFF_FFFF)
    if frame[ip.l4 + 13] & ACK:
        struct.pack_into("!I", out, ip.l4 + 8, (acknowledged + 0x2100_0000) & 0xFFFF_FFFF)
    return Shot(shot.time_ns, resummed(bytes(out), frame), shot.wire)


def declared(site: Site) -> bool:
    """The site file says which host is the appliance."""
    return any(port.mac for port in site.ports.values())


DAY = 86_400
TAGGED = frozenset(("vlan-tagged",))
COPIED = frozenset(("mirror-duplicates",))
LOST = frozenset(("mirror-loss", "stream-loss"))
# where all is silent, sessions that stay open are silent too
SILENT = frozenset(("stream-frozen", "cameras-silent", "rtsp-timeout"))
SNAPPED = frozenset(("capture-snapped",))

CHANGES: dict[str, Change] = {
    change.name: change
    for change in (
        Change("big-endian", ALIKE, write=big_endian),
        Change("pcapng", ALIKE, write=pcapng),
        Change("pcapng-third-interface", ALIKE, write=third_interface),
        Change("cooked", FEWER, write=cooked),
        Change("vlan", ALIKE, tagged(20), adds=TAGGED),
        Change("qinq", ALIKE, tagged(300, 20), adds=TAGGED),
        Change("vlan-one-way", ALIKE, tagged(20, only=from_lower), adds=TAGGED),
        Change("half-a-day-later", ALIKE, later(round(43_217.5 * SECOND))),
        Change("a-week-later", ALIKE, later(7 * DAY * SECOND)),
        Change("lost", FEWER, lost(0.005), adds=LOST),
        Change("copied", ALIKE, copied(0.01), adds=COPIED),
        Change("copied-with-a-tag", ALIKE, copied(0.01, vlan=20), adds=COPIED),
        Change("swapped", ALIKE, swapped(0.02)),
        Change("snapped-200", FEWER, snapped(200), adds=SNAPPED),
        Change("snapped-96", FEWER, snapped(96), adds=SNAPPED),
        Change("first-30", FEWER, first(0.3)),
        Change("first-60", FEWER, first(0.6)),
        Change("first-85", FEWER, first(0.85)),
        Change("last-30", FEWER, last(0.3)),
        Change("last-60", FEWER, last(0.6)),
        Change("last-85", FEWER, last(0.85)),
        Change(
            "elsewhere",
            ALIKE,
            places.moved,
            site=places.moved_site,
            back=places.back,
            fits=places.movable,
        ),
        Change("beside-another-site", ALIKE, places.beside, fits=declared),
        Change("again-after-an-hour", FEWER, again(3600), adds=SILENT),
        Change("again-after-a-minute", FEWER, again(60), adds=SILENT),
    )
}
