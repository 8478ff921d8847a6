"""Made-up weeks: what repeats itself is quiet, and each thing that departs is named, alone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import cache

import msgspec
import pytest

from panotui.model.baseline import Baseline, CameraMinute, Minute
from panotui.state.habits import Departure, Learner, Watch

MONDAY = int(time.mktime((2026, 11, 2, 0, 0, 0, 0, 0, 0)))
WEEK = 7 * 86_400
CLOUD = "iot/x.iot.us-east-1.amazonaws.com/8883"
LOGS = "logs/logs.us-east-1.amazonaws.com/443"
STRANGER = "10.20.0.11 > p2p.example tcp/443"
PEERS = ("10.20.0.5 > x.iot.us-east-1.amazonaws.com tcp/8883", "10.20.0.11 > 10.20.0.2 udp/123")


def usual(time_s: int, chance: random.Random) -> Minute:
    """A minute of the site: two cameras, of which one sleeps at night, and two endpoints."""
    local = time.localtime(time_s)
    night = local.tm_hour >= 20 or local.tm_hour < 6
    weekend = local.tm_wday >= 5
    rate = (0.9e6 if night else 2.1e6) * (0.8 if weekend else 1.0)
    cameras = {
        "dock": CameraMinute(
            rate_bps=rate * chance.gauss(1, 0.05), fps=25 + chance.gauss(0, 0.2),
            gop_s=2 + chance.gauss(0, 0.05), loss=max(0.0, chance.gauss(0, 0.0002)),
            readers=("10.20.0.5",),
        )
    }  # fmt: skip
    if not night:
        cameras["gate"] = CameraMinute(
            rate_bps=4e6 * chance.gauss(1, 0.03), fps=15 + chance.gauss(0, 0.1), gop_s=1.0,
            loss=0.0, readers=("10.20.0.5", "10.20.0.9"),
        )  # fmt: skip
    endpoints: dict[str, float | None] = {}
    if local.tm_min % 10 == 0:
        endpoints[CLOUD] = 24 + chance.gauss(0, 3)
    if local.tm_min % 5 == 0:
        endpoints[LOGS] = 30 + chance.expovariate(0.2)
    return Minute(time_s=time_s, cameras=cameras, endpoints=endpoints, peers=PEERS)


def week(number: int, seed: int) -> Iterator[Minute]:
    chance = random.Random(seed)
    for time_s in range(MONDAY + number * WEEK, MONDAY + (number + 1) * WEEK, 60):
        yield usual(time_s, chance)


@cache
def learnt() -> Baseline:
    learner = Learner()
    for number in range(2):
        for minute in week(number, number):
            learner.feed(minute)
    return learner.baseline("plant")


def watch(
    change: Callable[[Minute], Minute], begin_h: int, hours: int
) -> tuple[list[Departure], list[Departure]]:
    """Departures in and after `hours` of the third week that `change` made other than usual."""
    begin_s = MONDAY + 2 * WEEK + begin_h * 3600
    watching = Watch(learnt())
    inside: dict[tuple[str, str, str], Departure] = {}
    after: list[Departure] = []
    chance = random.Random(99)
    for time_s in range(begin_s - 3 * 3600, begin_s + (hours + 3) * 3600, 60):
        minute = usual(time_s, chance)
        other = begin_s <= time_s < begin_s + hours * 3600
        told = watching.feed(change(minute) if other else minute)
        if time_s < begin_s:
            assert told == []
        elif other:
            inside.update({(d.kind, d.subject, d.name): d for d in told})
        after = told
    return list(inside.values()), after


def camera(minute: Minute, name: str, **other: object) -> Minute:
    seen = msgspec.structs.replace(minute.cameras[name], **other)
    return msgspec.structs.replace(minute, cameras={**minute.cameras, name: seen})


def without(minute: Minute, *, cameras: str = "", endpoints: str = "") -> Minute:
    return msgspec.structs.replace(
        minute,
        cameras={n: c for n, c in minute.cameras.items() if n != cameras},
        endpoints={n: e for n, e in minute.endpoints.items() if n != endpoints},
    )


def slow(minute: Minute) -> Minute:
    more = {n: None if r is None else r + 200 for n, r in minute.endpoints.items() if n == CLOUD}
    return msgspec.structs.replace(minute, endpoints={**minute.endpoints, **more})


def spoken(minute: Minute) -> Minute:
    return msgspec.structs.replace(
        minute, peers=(*minute.peers, "10.20.0.11 > p2p.example tcp/443")
    )


DEPARTURES: dict[str, tuple[Callable[[Minute], Minute], str, str]] = {
    "half the bit-rate": (lambda m: camera(m, "dock", rate_bps=0.9e6), "rate_bps", "dock"),
    "twice the bit-rate": (lambda m: camera(m, "gate", rate_bps=9e6), "rate_bps", "gate"),
    "fewer pictures, and less": (
        lambda m: camera(m, "dock", fps=12.0, rate_bps=1e6), "fps", "dock"
    ),
    "key frames rarer": (lambda m: camera(m, "dock", gop_s=8.0), "gop_s", "dock"),
    "loss": (lambda m: camera(m, "gate", loss=0.01), "loss", "gate"),
    "no stream": (lambda m: without(m, cameras="gate"), "absent", "gate"),
    "another reader": (
        lambda m: camera(m, "dock", readers=("10.20.0.5", "10.20.0.77")), "reader", "dock"
    ),
    "a slow endpoint": (slow, "rtt_ms", CLOUD),
    "an endpoint unused": (lambda m: without(m, endpoints=LOGS), "quiet", LOGS),
    "somebody new": (spoken, "peer", STRANGER),
}  # fmt: skip


@pytest.mark.parametrize("what", DEPARTURES)
def test_what_departs_is_named_and_nothing_else(what: str) -> None:
    change, kind, subject = DEPARTURES[what]
    inside, after = watch(change, begin_h=33, hours=4)  # Tuesday, 9 to 13 o'clock
    assert [(d.kind, d.subject) for d in inside] == [(kind, subject)]
    assert after == []
    (departure,) = inside
    began = MONDAY + 2 * WEEK + 33 * 3600
    assert began - 600 <= departure.since_s < began + 3600
    if kind == "rate_bps" and subject == "dock":
        assert departure.value == pytest.approx(0.9e6)
        assert departure.usual == pytest.approx(2.1e6, rel=0.02)
        assert departure.when == "on Tuesdays at this hour"


def test_a_week_with_ten_departures_names_the_ten_and_nothing_else() -> None:
    # two a day from Monday to Friday, three hours each
    begins = {what: (24 * (n // 2) + (9, 14)[n % 2]) * 3600 for n, what in enumerate(DEPARTURES)}
    watching, told = Watch(learnt()), dict[tuple[str, str, str], Departure]()
    for minute in week(2, 99):
        into = minute.time_s - MONDAY - 2 * WEEK
        for what, begin in begins.items():
            if begin <= into < begin + 3 * 3600:
                minute = DEPARTURES[what][0](minute)
        told.update({(d.kind, d.subject, d.name): d for d in watching.feed(minute)})
    assert watching.feed(usual(MONDAY + 3 * WEEK, random.Random(1))) == []
    assert sorted((d.kind, d.subject) for d in told.values()) == sorted(
        (kind, subject) for _, kind, subject in DEPARTURES.values()
    )
    for what, (_, kind, subject) in DEPARTURES.items():
        (departure,) = (d for d in told.values() if (d.kind, d.subject) == (kind, subject))
        into = departure.since_s - MONDAY - 2 * WEEK
        assert begins[what] - 600 <= into < begins[what] + 3600, what


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_week_that_repeats_itself_is_quiet(seed: int) -> None:
    watching = Watch(learnt())
    assert not any(watching.feed(minute) for minute in week(2, seed))


def test_a_short_or_wavering_departure_is_not_told() -> None:
    inside, _ = watch(
        lambda m: camera(m, "dock", rate_bps=0.9e6) if m.time_s // 600 % 2 else m, 33, 4
    )
    assert inside == []


def test_after_a_gap_nothing_is_held_against_what_nobody_saw() -> None:
    watching = Watch(learnt())
    chance = random.Random(5)
    start = MONDAY + 2 * WEEK
    told: list[Departure] = []
    for hour in range(0, 160, 9):
        for minute in range(20):
            told += watching.feed(usual(start + hour * 3600 + minute * 60, chance))
    assert told == []


def test_one_day_is_no_baseline() -> None:
    learner = Learner()
    chance = random.Random(1)
    for time_s in range(MONDAY + 3600, MONDAY + 20 * 3600, 60):
        learner.feed(usual(time_s, chance))
    watching = Watch(learner.baseline("plant"))
    later = range(MONDAY + WEEK + 9 * 3600, MONDAY + WEEK + 11 * 3600, 60)
    told = [watching.feed(camera(usual(t, chance), "dock", rate_bps=1.0)) for t in later]
    assert not any(told)


def test_a_baseline_is_kept_as_json() -> None:
    kept = msgspec.json.encode(learnt())
    assert msgspec.json.decode(kept, type=Baseline) == learnt()
    assert len(kept) < 100_000
