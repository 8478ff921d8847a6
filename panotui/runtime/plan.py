"""Which meter reads which captures, and when all tick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

from panotui.model import (
    I64,
    SECOND,
    Interface,
    MeterSettings,
    SourceCounters,
)
from panotui.runtime.seconds import gap_ticks
from panotui.runtime.survey import distinct
from panotui.runtime.work import (
    Order,
    Part,
    Survey,
)

METERS_MOST = 200  # the engine's keys have a byte for the meter


OVERLAP_NS = 10_000_000  # a rotated capture may begin slightly before the previous one ends


def chains(surveys: Sequence[Survey], idle_ns: int) -> list[list[int]]:
    """Which captures one meter reads, as indices into `surveys`, each list by time.

    A capture that begins after another ended, and before the flows of that one are idle for
    `idle_ns`, continues it: flows, RTSP sessions and sequence numbers survive the cut. If it may
    continue several, the one with the most similar name is taken, then the one that ended last.
    """
    out: list[list[int]] = []
    order = sorted(
        (i for i, s in enumerate(surveys) if s.packets), key=lambda i: (surveys[i].first_ns, i)
    )
    for index in order:
        one = surveys[index]
        fitting = []
        for number, chain in enumerate(out):
            last = surveys[chain[-1]]
            shorter = min(one.last_ns - one.first_ns, last.last_ns - last.first_ns)
            gap = one.first_ns - last.last_ns
            if -min(OVERLAP_NS, shorter // 10) <= gap <= idle_ns:
                alike = _alike(Path(one.file).name, Path(last.file).name)
                fitting.append((alike, last.last_ns, -number))
        if fitting:
            out[-max(fitting)[2]].append(index)
        else:
            out.append([index])
    for extra in out[METERS_MOST:]:  # the engine names no more meters: the last one takes the rest
        out[METERS_MOST - 1] += extra
    del out[METERS_MOST:]
    out[-1:] = [sorted(chain, key=lambda i: (surveys[i].first_ns, i)) for chain in out[-1:]]
    return out


def _alike(a: str, b: str) -> int:
    """The length of the common prefix of two names."""
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


class Plan(Struct):
    """Which meter reads what, and when all of them tick."""

    orders: list[Order]
    interfaces: tuple[Interface, ...]
    ticks: I64
    final_ns: int
    packets: int
    empty: list[SourceCounters]  # of captures without packets, which no meter reads
    dropped: tuple[int, int]  # by the systems and interfaces of all captures


def plan(surveys: Sequence[Survey], settings: MeterSettings) -> Plan:
    """The plan for these surveys; equal surveys give equal plans.

    An interface is the same in two captures if its name and link type are. Ticks are the whole
    seconds at which a single pump over all packets would tick.
    """
    places: dict[tuple[str, int], int] = {}
    interfaces: list[Interface] = []
    parts: list[Part] = []
    for one in surveys:
        mine = []
        for interface in one.interfaces:
            key = (interface.name, interface.linktype)
            if key not in places:
                places[key] = len(interfaces)
                interfaces.append(interface)
            mine.append(places[key])
        parts.append(Part(file=one.file, places=tuple(mine)))
    idle_ns = int(max(settings.idle_tcp_s, settings.idle_udp_s) * SECOND)
    orders = [
        Order(
            meter=meter,
            parts=tuple(parts[i] for i in chain),
            packets=sum(surveys[i].packets for i in chain),
        )
        for meter, chain in enumerate(chains(surveys, idle_ns))
    ]
    seconds = distinct([np.frombuffer(s.seconds, np.int64) for s in surveys])
    return Plan(
        orders,
        tuple(interfaces),
        _ticks(seconds),
        max((s.last_ns for s in surveys), default=0),
        sum(s.packets for s in surveys),
        [s.counters for s in surveys if not s.packets],
        (
            sum(s.counters.dropped_ring for s in surveys),
            sum(s.counters.dropped_interface for s in surveys),
        ),
    )


def _ticks(seconds: I64) -> I64:
    """When to tick (ns) for packets in these seconds: at each of them, and in gaps as the pump
    does.
    """
    if len(seconds) < 2:
        return np.zeros(0, np.int64)
    gaps = np.flatnonzero(np.diff(seconds) > 1)
    extra = [
        np.fromiter(
            gap_ticks(int(seconds[g]) * SECOND, int(seconds[g + 1]) * SECOND), dtype=np.int64
        )
        for g in gaps.tolist()
    ]
    return distinct([seconds[1:] * SECOND, *extra])
