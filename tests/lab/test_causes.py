"""Causes between the appliance and the cloud, provoked and told live: one sentence each, alone.

Four labs run side by side, each with a recorder at the mirror. Their faults come and go one after
the other: each must be told while it lasts, with nothing else of warning or error beside it, and be
over when it is taken away.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab import faults
from tests.lab.faults import CLOUD_FAULTS, SERVICE_FAULTS, WIRE_FAULTS, Fault, Lab
from tests.lab.film import analyze
from tests.lab.netns import Namespace, require_root, veth
from tests.lab.plant import POLLED
from tests.lab.watched import Watched, until

# one worker has the labs, and the others go on
pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("causes")]

WITHIN_S = 90  # of a busy machine; what is slow itself is asserted in `test_outage_on_screen`
OFTEN = 5
SETTLED_S = 3  # so long nothing else may join what is told
FAULTS = (*CLOUD_FAULTS, *SERVICE_FAULTS, *WIRE_FAULTS)
VANTAGES = ("idle-timeout", "mirror-one-way", "not-a-mirror", "link-down")


@dataclass
class Told:
    """What was told of a fault, and what was wrong about it."""

    wrong: list[str] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)


def short(found: Any) -> str:
    return f"{found.id} {found.subject}: {found.text}"


def beside(watched: Watched, told: tuple[str, ...]) -> list[str]:
    """Other warnings and errors that are told now."""
    return [short(f) for f in watched.loud() if f.id not in told]


def steady(watched: Watched) -> bool:
    """Each endpoint has worked often enough to be a habit, and nothing is told."""
    endpoints = watched.frame(pane="endpoints", rows=100).endpoints
    works = {e.host for e in endpoints if e.state == "reachable" and e.successes >= OFTEN}
    return works >= set(POLLED) and not watched.loud()


def provoke(lab: Lab, fault: Fault, watched: Watched) -> list[str]:
    """Let a fault come and go; what was told wrongly."""
    wrong: dict[str, None] = {}

    def seen(when: str) -> bool:
        wrong.update(dict.fromkeys(f"{when}, beside: {one}" for one in beside(watched, told)))
        return set(told) <= {f.id for f in watched.loud()}

    told = fault.told
    fault.begin(lab)
    try:
        until(lambda: seen("while it lasts"), WITHIN_S, lambda: f"{told}: {list(wrong)}")
        watched.settle(SETTLED_S, lambda: seen("while it lasts"))
    except AssertionError as error:
        wrong[str(error)] = None
    fault.over(lab)
    gone = told if fault.clears else ()
    try:
        until(lambda: (not seen("when it is over") and not watched.loud()) or not gone, WITHIN_S,
              lambda: f"over: {[short(f) for f in watched.loud()]}")  # fmt: skip
    except AssertionError as error:
        wrong[str(error)] = None
    return list(wrong)


def in_a_row(group: tuple[Fault, ...]) -> dict[str, Told]:
    """All faults of a lab, one after the other, and what the recording says of them."""
    out = {fault.name: Told() for fault in group}
    with faults.made() as lab, Watched(lab.plant.probe, ("mir0", "mir1"), lab.plant.site_file) as w:
        if group is WIRE_FAULTS:
            lab.neighbours()
        lab.talk()
        until(lambda: steady(w), 60, lambda: f"a site that is well: {[short(f) for f in w.loud()]}")
        for fault in group:
            out[fault.name].wrong = provoke(lab, fault, w)
        w.stop()
        answer = analyze(w.recording)
    for fault in group:
        found = [f for f in answer["findings"] if f["id"] in fault.told and not f["hidden_by"]]
        out[fault.name].findings = found
    return out


def extra_port(lab: Lab, name: str) -> str:
    """Another port of the cloud switch at the probe; the probe's end of it."""
    veth(lab.plant.cloudsw, lab.plant.probe, name, f"{name}1")
    for place, device in ((lab.plant.cloudsw, name), (lab.plant.probe, f"{name}1")):
        place.run(["sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1"])
    return f"{name}1"


def placed(lab: Lab, name: str, interface: str, vantage: str = "mirror") -> Path:
    """The plant's site file as of one interface at another place."""
    path = lab.plant.folder / f"{name}.toml"
    text = lab.plant.site_file.read_text().replace('interface = "mir0"\n', "")
    text = text.replace("mir1", interface).replace('"mirror"', f'"{vantage}"')
    path.write_text(text)
    return path


def from_other_places() -> dict[str, Told]:
    """A half mirror, a plain port and a router at one lab, and connections that fall silent."""
    out = {name: Told() for name in VANTAGES}
    with faults.made() as lab, ExitStack() as stack:
        plant = lab.plant
        half, plain = extra_port(lab, "half"), extra_port(lab, "plain")
        plant.cloudsw.nft(
            'table netdev half { chain from_port { type filter hook ingress device "app1" '
            'priority 1;\ndup to "half"\n}\n}\n'
        )
        plant.cloudsw.run(["ip", "link", "set", "plain", "master", "br0"])

        def watch(place: Namespace, interfaces: tuple[str, ...], site: Path) -> Watched:
            return stack.enter_context(Watched(place, interfaces, site))

        mirror = watch(plant.probe, ("mir0", "mir1"), plant.site_file)
        others = {
            "mirror-one-way": watch(plant.probe, (half,), placed(lab, "half", half)),
            "not-a-mirror": watch(plant.probe, (plain,), placed(lab, "plain", plain)),
        }
        router = watch(plant.router, ("lan",), placed(lab, "router", "lan", "router"))
        lab.neighbours()
        lab.forget()
        lab.talk()
        until(lambda: steady(mirror), 60, lambda: f"a well site: {[*map(short, mirror.loud())]}")
        lab.fall_silent()
        until(
            lambda: all(name in ids(one) for name, one in others.items()),
            WITHIN_S,
            lambda: f"{[(name, ids(one)) for name, one in others.items()]}",
        )
        watched = {"idle-timeout": mirror, **others}

        def look() -> bool:
            for name, one in watched.items():
                out[name].wrong.extend(beside(one, (name,)))
            return "idle-timeout" in ids(mirror)

        until(look, WITHIN_S, lambda: f"idle-timeout: {ids(mirror)}")
        mirror.settle(SETTLED_S, look)
        plant.cloudsw.run(["ip", "link", "set", "rtr1", "down"])
        until(lambda: "link-down" in ids(router), WITHIN_S, lambda: f"link-down: {ids(router)}")
        out["link-down"].wrong.extend(beside(router, ("link-down", "idle-timeout")))
        plant.cloudsw.run(["ip", "link", "set", "rtr1", "up"])
        until(lambda: "link-down" not in ids(router), WITHIN_S, lambda: "a link that is up again")
        for name, one in {**watched, "link-down": router}.items():
            one.stop()
            found = analyze(one.recording)["findings"]
            out[name].findings = [f for f in found if f["id"] == name and not f["hidden_by"]]
    return out


def ids(watched: Watched) -> set[str]:
    return {f.id for f in watched.loud()}


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """All labs, side by side: most of the time they wait for time-outs of real programs."""
    require_root()
    out: dict[str, Told] = {}
    with ThreadPoolExecutor(4) as pool:
        running = [
            pool.submit(in_a_row, group) for group in (CLOUD_FAULTS, SERVICE_FAULTS, WIRE_FAULTS)
        ]
        running.append(pool.submit(from_other_places))
        for one in running:
            out |= one.result()
    return out


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_while_it_lasts_and_alone(told: dict[str, Told], fault: Fault) -> None:
    seen = told[fault.name]
    assert not seen.wrong
    # on a busy machine one endpoint may be well again before the others have failed twice: it was
    # reported alone, and then they are
    kinds = list(dict.fromkeys(f["id"] for f in seen.findings))
    assert kinds == list(fault.told), json.dumps(seen.findings, indent=1)
    for found in seen.findings:
        assert proved(found), found
        assert bool(found["cleared_time"]) or not fault.clears


@pytest.mark.parametrize("name", VANTAGES)
def test_a_place_or_a_silence_is_told_alone(told: dict[str, Told], name: str) -> None:
    seen = told[name]
    assert not seen.wrong
    assert [f["id"] for f in seen.findings] == [name]
    # the kernel says that a link is down, and of a plain port what is missing says it
    if name not in ("link-down", "not-a-mirror"):
        assert proved(seen.findings[0])


def proved(found: dict[str, Any]) -> bool:
    """It names packets, by their number here or in the file that holds them."""
    return any(e["packet"] or e["frame"] for e in found["evidence"])
