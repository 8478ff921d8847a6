"""The usual values of a site, learnt from its minutes, and deviations from them.

`Learner` takes minutes and returns a `Baseline`. `Watch` takes a baseline and minutes and returns
deviations that have lasted long enough. A value deviates if it lies outside its usual median by
four spreads and by a significant share, in each of `hold_minutes` consecutive minutes and always on
the same side. The cell of the hour of the week is used if it has two days or more, otherwise that
of the hour on weekdays or at weekends; near a full hour the neighbouring cell is also accepted.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable
from ipaddress import ip_address

from msgspec import Struct, field

from panotui.model import FlowRecord
from panotui.model.baseline import (
    Baseline,
    CameraHabit,
    Cell,
    EndpointHabit,
    Minute,
    Series,
)
from panotui.state.middle import median
from panotui.state.thresholds import thresholds

FRIDAY_ENDS = 120  # hour of the week
LIMITS = thresholds().habits
PEERS_MOST = 4_096
NAMED_MOST = 512  # cameras and endpoints
_SIGMA = 1.4826  # of a normal distribution, to its median absolute deviation
# measure -> (significant share, least significant difference, whether less is a deviation)
_MATTERS = {
    "rate_bps": (0.25, 50_000.0, True),
    "fps": (0.12, 1.0, True),
    "gop_s": (0.30, 0.5, True),
    "loss": (1.0, 0.002, False),
    "rtt_ms": (0.50, 10.0, False),
}


class Departure(Struct, frozen=True):
    """One deviation from the usual values."""

    kind: str  # "rate_bps", "fps", "gop_s", "loss", "absent", "reader", "rtt_ms", "quiet", "peer"
    subject: str  # a camera, an endpoint, a peer
    since_s: int
    value: float | None = None
    usual: float | None = None
    spread: float | None = None
    when: str = ""  # "on weekdays at this hour"
    name: str = ""  # a new reader


def hour_of_week(time_s: int) -> int:
    """0 to 167 of local time, Monday first."""
    local = time.localtime(time_s)
    return local.tm_wday * 24 + local.tm_hour


# ------------------------------------------------------------------ learning


class _Values(Struct):
    """The minutes of one measure."""

    hours: array[int] = field(default_factory=lambda: array("B"))
    days: array[int] = field(default_factory=lambda: array("l"))
    values: array[float] = field(default_factory=lambda: array("f"))

    def add(self, hour: int, day: int, value: float) -> None:
        self.hours.append(hour)
        self.days.append(day)
        self.values.append(value)

    def series(self) -> Series:
        return Series(
            hours=self._cells(list(self.hours)),
            weekdays=self._cells([h % 24 if h < FRIDAY_ENDS else -1 for h in self.hours]),
            weekends=self._cells([h % 24 if h >= FRIDAY_ENDS else -1 for h in self.hours]),
            always=self._cells([0] * len(self.values)).get(0),
        )

    def _cells(self, names: list[int]) -> dict[int, Cell]:
        groups: dict[int, tuple[list[float], set[int]]] = {}
        for name, day, value in zip(names, self.days, self.values, strict=True):
            if name >= 0:
                values, days = groups.setdefault(name, ([], set()))
                values.append(value)
                days.add(day)
        out = {}
        for name, (values, days) in sorted(groups.items()):
            middle = median(values)
            away = median(abs(value - middle) for value in values)
            out[name] = Cell(len(values), len(days), round(middle, 4), round(_SIGMA * away, 4))
        return out


class _Camera(Struct):
    rate_bps: _Values = field(default_factory=_Values)
    fps: _Values = field(default_factory=_Values)
    gop_s: _Values = field(default_factory=_Values)
    loss: _Values = field(default_factory=_Values)
    streams: _Values = field(default_factory=_Values)
    readers: dict[str, None] = field(default_factory=dict)


class _Endpoint(Struct):
    rtt_ms: _Values = field(default_factory=_Values)
    last_s: int = 0
    contacts: int = 0
    longest_s: int = 0


class Learner:
    """Takes minutes in order of time; memory: 13 bytes per measure and minute."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}
        self._endpoints: dict[str, _Endpoint] = {}
        self._peers: OrderedDict[str, None] = OrderedDict()
        self._first_s = self._last_s = self._minutes = 0

    def feed(self, minute: Minute) -> None:
        """Learn one minute."""
        if self._minutes and minute.time_s - self._last_s > LIMITS.gap_s:
            for known in self._endpoints.values():
                known.last_s = 0  # no capture: that was no pause of theirs
        self._first_s = self._first_s or minute.time_s
        self._last_s = max(self._last_s, minute.time_s)
        self._minutes += 1
        hour, day = hour_of_week(minute.time_s), minute.time_s // 86_400
        for name in minute.cameras:
            if name not in self._cameras and len(self._cameras) < NAMED_MOST:
                self._cameras[name] = _Camera()
        for name, camera in self._cameras.items():
            seen = minute.cameras.get(name)
            camera.streams.add(hour, day, float(seen is not None))
            if seen is None:
                continue
            for measure in ("rate_bps", "fps", "gop_s", "loss"):
                value = getattr(seen, measure)
                if value is not None:
                    getattr(camera, measure).add(hour, day, value)
            camera.readers.update(dict.fromkeys(seen.readers[:64]))
        for name, rtt in minute.endpoints.items():
            if name not in self._endpoints and len(self._endpoints) >= NAMED_MOST:
                continue
            endpoint = self._endpoints.setdefault(name, _Endpoint())
            if endpoint.last_s:
                endpoint.longest_s = max(endpoint.longest_s, minute.time_s - endpoint.last_s)
            endpoint.last_s = minute.time_s
            endpoint.contacts += 1
            if rtt is not None:
                endpoint.rtt_ms.add(hour, day, rtt)
        for peer in minute.peers:
            if len(self._peers) < PEERS_MOST:
                self._peers[peer] = None

    def baseline(self, site: str) -> Baseline:
        """The learnt baseline."""
        return Baseline(
            site=site,
            zone=time.strftime("%Z", time.localtime(self._last_s)),
            first_ns=self._first_s * 10**9,
            last_ns=(self._last_s + 60) * 10**9,
            minutes=self._minutes,
            cameras={
                name: CameraHabit(
                    rate_bps=camera.rate_bps.series(), fps=camera.fps.series(),
                    gop_s=camera.gop_s.series(), loss=camera.loss.series(),
                    streams=camera.streams.series(), readers=tuple(camera.readers),
                )
                for name, camera in self._cameras.items()
            },
            endpoints={
                name: EndpointHabit(
                    rtt_ms=endpoint.rtt_ms.series(),
                    longest_gap_minutes=(
                        endpoint.longest_s / 60 if endpoint.contacts >= LIMITS.contacts else None
                    ),
                    contacts=endpoint.contacts,
                )
                for name, endpoint in self._endpoints.items()
            },
            peers=tuple(self._peers),
        )  # fmt: skip


# ------------------------------------------------------------------ watching


class _Side(Struct):
    """Recent position of a measure: 1 above, -1 below, 0 as usual."""

    lately: deque[tuple[int, int, float]] = field(
        default_factory=lambda: deque(maxlen=LIMITS.hold_minutes)
    )
    since_s: int = 0
    told: Departure | None = None


class Watch:
    """Compares minutes, in order of time, with a baseline."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._sides: dict[tuple[str, str], _Side] = {}
        self._new: OrderedDict[tuple[str, str], tuple[int, Departure]] = OrderedDict()
        self._peers = frozenset(baseline.peers)
        self._contact_s: dict[str, int] = {}
        self._began_s = 0
        self._last_s = 0

    def feed(self, minute: Minute) -> list[Departure]:
        """All deviations after this minute."""
        if not self._began_s or minute.time_s - self._last_s > LIMITS.gap_s:
            self._began_s = minute.time_s  # nobody looked: what was so before is not known to last
            self._contact_s.clear()
            self._sides.clear()
        self._last_s = minute.time_s
        for name, habit in self._baseline.cameras.items():
            self._camera(name, habit, minute)
        for name, rtt in minute.endpoints.items():
            self._contact_s[name] = minute.time_s
            known = self._baseline.endpoints.get(name)
            if known is not None and rtt is not None:
                self._measure("rtt_ms", name, rtt, known.rtt_ms, minute.time_s)
        self._quiet(minute.time_s)
        for peer in minute.peers:
            if peer not in self._peers:
                self._is_new("peer", peer, peer, minute.time_s)
        for key, (last_s, _) in list(self._new.items()):
            if minute.time_s - last_s > 60 * LIMITS.told_minutes:
                del self._new[key]
        return [*self._told(), *(departure for _, departure in self._new.values())]

    def _told(self) -> Iterable[Departure]:
        """The deviations of measures; for one camera only the one that explains the others."""
        told = [side.told for side in self._sides.values() if side.told is not None]
        by_subject: dict[str, set[str]] = {}
        for departure in told:
            by_subject.setdefault(departure.subject, set()).add(departure.kind)
        for departure in told:
            kinds = by_subject[departure.subject]
            caused = (departure.kind == "rate_bps" and kinds & {"fps", "loss"}) or (
                departure.kind == "gop_s" and "fps" in kinds
            )
            if departure.kind != "absent" and ("absent" in kinds or caused):
                continue
            yield departure

    def _camera(self, name: str, habit: CameraHabit, minute: Minute) -> None:
        seen = minute.cameras.get(name)
        usual, when = _usual(habit.streams, minute.time_s)
        missed = seen is None and usual is not None and usual.median >= LIMITS.streams_share
        missed = missed and _well(habit.streams, minute.time_s)
        self._stand("absent", name, -1 if missed else 0, 0.0, usual, when, minute.time_s)
        if seen is None:
            return
        for measure in ("rate_bps", "fps", "gop_s", "loss"):
            value = getattr(seen, measure)
            if value is not None:
                self._measure(measure, name, value, getattr(habit, measure), minute.time_s)
        if habit.readers:
            for reader in seen.readers:
                if reader not in habit.readers:
                    self._is_new("reader", name, reader, minute.time_s)

    def _measure(self, kind: str, name: str, value: float, series: Series, time_s: int) -> None:
        usual, when = _usual(series, time_s)
        if usual is None:
            return
        side = _side(kind, value, usual)
        if side and _near_edge(time_s):
            neighbours = (_usual(series, time_s + more)[0] for more in (-3600, 3600))
            if any(cell is not None and not _side(kind, value, cell) for cell in neighbours):
                side = 0
        self._stand(kind, name, side, value, usual, when, time_s)

    def _stand(
        self,
        kind: str,
        name: str,
        side: int,
        value: float,
        usual: Cell | None,
        when: str,
        time_s: int,
    ) -> None:
        known = self._sides.setdefault((kind, name), _Side())
        known.lately.append((time_s, side, value))
        sides = [s for _, s, _ in known.lately]
        if len(sides) < LIMITS.hold_minutes or usual is None:
            return
        if sides[0] and all(s == sides[0] for s in sides):
            if known.told is None:
                known.since_s = known.lately[0][0]
            middle = median(v for _, _, v in known.lately)
            known.told = Departure(
                kind, name, known.since_s, middle, usual.median, usual.spread, when
            )
        elif not any(sides):
            known.told = None

    def _quiet(self, time_s: int) -> None:
        for name, habit in self._baseline.endpoints.items():
            if habit.longest_gap_minutes is None:
                continue
            last_s = self._contact_s.get(name, self._began_s)
            limit = max(LIMITS.gaps * habit.longest_gap_minutes, LIMITS.gap_minutes)
            side = self._sides.setdefault(("quiet", name), _Side())
            quiet = (time_s - last_s) / 60
            if quiet > limit:
                side.told = Departure(
                    "quiet", name, last_s, quiet, habit.longest_gap_minutes, None, ""
                )
            else:
                side.told = None

    def _is_new(self, kind: str, subject: str, name: str, time_s: int) -> None:
        key = (kind, f"{subject}|{name}")
        known = self._new.get(key)
        departure = known[1] if known else Departure(kind, subject, time_s, name=name)
        self._new[key] = (time_s, departure)
        while len(self._new) > NAMED_MOST:
            self._new.popitem(last=False)


def _side(kind: str, value: float, usual: Cell) -> int:
    share, least, below = _MATTERS[kind]
    bound = max(LIMITS.spreads * usual.spread, share * abs(usual.median), least)
    if value > usual.median + bound:
        return 1
    return -1 if below and value < usual.median - bound else 0


def _near_edge(time_s: int) -> bool:
    minute = time.localtime(time_s).tm_min
    return minute < LIMITS.edge_minutes or minute >= 60 - LIMITS.edge_minutes


def _well(series: Series, time_s: int) -> bool:
    """Whether it also exists in the neighbouring hour, if that is near."""
    if not _near_edge(time_s):
        return True
    cells = (_usual(series, time_s + more)[0] for more in (-3600, 3600))
    return all(cell is None or cell.median >= LIMITS.streams_share for cell in cells)


def _usual(series: Series, time_s: int) -> tuple[Cell | None, str]:
    """The cell to compare with, and its time in words."""
    hour = hour_of_week(time_s)
    weekday = hour < FRIDAY_ENDS
    day = time.strftime("%A", time.localtime(time_s))
    for cell, when in (
        (series.hours.get(hour), f"on {day}s at this hour"),
        (
            (series.weekdays if weekday else series.weekends).get(hour % 24),
            f"on {'weekdays' if weekday else 'weekends'} at this hour",
        ),
        (series.always, "usually"),
    ):
        if cell is not None and cell.days >= LIMITS.days and cell.minutes >= LIMITS.minutes:
            return cell, when
    return None, ""


# ------------------------------------------------------------------ flows


def endpoint_of(flow: FlowRecord) -> str | None:
    """`SERVICE/HOST/PORT` of a flow to an endpoint of the policy, otherwise None."""
    if flow.service is None or flow.verdict != "allowed" or flow.host is None:
        return None
    return f"{flow.service}/{flow.host}/{flow.dport}"


def peer_of(flow: FlowRecord) -> str | None:
    """A pair of peers, as far as it is a habit: allowed traffic by its rule, private hosts by
    address, others by name; None for unintended traffic (broadcasts, unnamed parts of flows, ICMP).
    """
    if flow.transport not in ("tcp", "udp") or flow.own or flow.client_by == "first":
        return None
    target = ip_address(flow.dst)
    if target.is_multicast or flow.dst.endswith(".255") or target.is_link_local:
        return None
    if flow.app in ("rtp", "rtcp"):
        return None
    if flow.rule is not None and flow.verdict in ("allowed", "infrastructure"):
        return f"{flow.src} > {flow.service or flow.rule}"
    name = flow.host or (flow.dst if target.is_private else "an unnamed address")
    return f"{flow.src} > {name} {flow.transport}/{flow.dport}"
