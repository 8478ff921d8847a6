"""Runs scenes: `python -m tests.diagnosis.met.run [PART OF A NAME] [-v]`."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Sequence
from typing import Any

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.report.content import who
from tests.diagnosis import met
from tests.diagnosis.met.truth import SCENES, Scene, Truth
from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA, site

for _one in pkgutil.iter_modules(met.__path__):
    if _one.name != "run":
        importlib.import_module(f"{met.__name__}.{_one.name}")

LOUD = ("warning", "error")
SITE = site(
    network={"gateways": ["192.168.5.1"], "dns": ["192.168.5.1"], "ntp": ["192.168.5.1"],
             "local": ["fd20::/64"]},
    camera=[{"name": "dock", "address": CAMERA}, {"name": "yard", "address": "10.20.0.12"},
            {"name": "six", "address": "fd20::11"}],
)  # fmt: skip


def observed(build: Scene, with_site: bool) -> tuple[Truth, Engine]:
    """What is true of a scene, and an engine that has seen it."""
    wire = Wire()
    truth = build(wire)
    return truth, wire.watch(SITE if with_site else Site())


def wrong(truth: Truth, engine: Engine, with_site: bool) -> list[str]:
    """All that is not as it should be, in words."""
    shot = engine.snapshot()
    out: list[str] = []
    told = [f for f in shot.findings if not f.hidden_by]
    loud = [f for f in told if f.severity in LOUD]
    wanted = truth.loud if with_site or truth.bare is None else truth.bare
    if not fits(wanted, [f.id for f in loud if f.id not in truth.allowed]):
        out.append(f"loud: wanted {sorted(wanted)}, got {[line(f) for f in loud]}")
    for one in loud:
        if any(one.id in choice.split("|") for choice in wanted):
            over = one.cleared_time_ns is not None
            if over != (one.id in truth.over):
                out.append(f"{one.id} is {'over' if over else 'open'}")
            need = truth.severity.get(one.id)
            if need and one.severity != need:
                out.append(f"{one.id} is {one.severity}, not {need}")
        if not one.evidence and one.id != "mirror-one-way":
            out.append(f"{one.id} has no evidence")
    for name, camera in truth.of:
        address = next((c.address for c in SITE.camera if c.name == camera), camera)
        said = [words(f) for f in told if f.id in name.split("|")]
        if not any(camera in text or address in text for text in said):
            out.append(f"{name} is not told of {camera}: {said}")
    for name, person in truth.acts.items():
        out += [f"{name} is for {who(f)}, not {person}" for f in told
                if f.id == name and who(f) != person]  # fmt: skip
    for name, pattern in truth.says.items():
        said = [words(f) for f in told if f.id == name]
        if said and not any(re.search(pattern, text, re.I) for text in said):
            out.append(f"{name} does not say /{pattern}/: {said[0]}")
    out += [f"{f.id} told: {f.text}" for f in told if f.id in truth.never]
    if with_site:
        ids = {f.id for f in told}
        out += [f"no {name} told" for name in truth.quiet_too if name not in ids]
    if with_site:
        states = {c.address: (c.state, c.state_text) for c in shot.cameras}
        due = dict(truth.states)
        if truth.state is not None:
            due[truth.camera] = truth.state
        out += [f"camera {address} is {states.get(address)}, not {state}"
                for address, state in due.items()
                if states.get(address, ("none", ""))[0] != state]  # fmt: skip
    if not with_site:
        out += _called(shot, loud, truth)
    for ssrc, numbers in truth.streams.items():
        out += _streams(shot, ssrc, numbers)
    if shot.violations and with_site:
        out.append(f"violations: {[(v.reason, v.text) for v in shot.violations]}")
    return out


def fits(wanted: Sequence[str], got: list[str]) -> bool:
    """Whether each id of `got` is one of `wanted` and none is missing; "a|b" is either."""
    left = list(got)
    for choice in sorted(wanted, key=lambda c: c.count("|")):
        one = next((name for name in left if name in choice.split("|")), None)
        if one is None:
            return False
        left.remove(one)
    return not left


def _called(shot: Any, loud: list[Any], truth: Truth) -> list[str]:
    """Whether each camera has one name, in its row, in its streams' and in sentences about it."""
    out = []
    for address, name in truth.names.items():
        said = {c.name for c in shot.cameras if c.address == address}
        said |= {s.camera for s in shot.streams if s.src == address}
        said |= {f.subject.removeprefix("camera ") for f in loud if f.camera == address}
        if said != {name}:
            out.append(f"{address} is called {said}, not {name}")
        out += [f"{name} is not in: {f.text}" for f in loud if f.camera == address
                and name not in f.text]  # fmt: skip
    return out


def _streams(shot: Any, ssrc: int, numbers: dict[str, Any]) -> list[str]:
    found = [s for s in shot.streams if s.ssrc == f"0x{ssrc:08x}"]
    if len(found) != 1:
        return [f"{len(found)} streams of {ssrc:#x} of {[s.ssrc for s in shot.streams]}"]
    out = []
    for name, value in numbers.items():
        got = getattr(found[0], name)
        near = (got is None) == (value is None) and (
            value is None or abs(got - value) <= (0.02 * value if name == "fps" else 0)
        )
        if not near:
            out.append(f"stream {ssrc:#x}: {name} is {got}, not {value}")
    return out


def words(found: Any) -> str:
    parts = [found.text, *(found.detail or ()), found.action or "", found.subject]
    return "\n".join([*parts, *(piece.text for piece in found.evidence)])


def line(found: Any) -> str:
    return f"{found.id} {found.severity}: {found.text}" + (
        " (over)" if found.cleared_time_ns else ""
    )


def main() -> None:
    part = next((a for a in sys.argv[1:] if not a.startswith("-")), "")
    bad = 0
    for name, build in SCENES.items():
        if part not in name:
            continue
        for with_site in (True, False):
            truth, engine = observed(build, with_site)
            problems = wrong(truth, engine, with_site)
            bad += bool(problems)
            if problems or "-v" in sys.argv:
                print(f"{name} ({'site' if with_site else 'no site'})")
                for problem in problems:
                    print("   !", problem)
            if "-v" in sys.argv:
                shot = engine.snapshot()
                for f in shot.findings:
                    hidden = f" [hidden by {f.hidden_by}]" if f.hidden_by else ""
                    print("    ", line(f) + hidden, "|", f.subject, "|", f.action)
                for c in shot.cameras:
                    print("     camera", c.name, c.address, c.state, c.state_text)
                for s in shot.streams:
                    print(
                        "     stream",
                        s.ssrc,
                        s.codec,
                        s.packets,
                        s.lost,
                        s.fps,
                        s.state,
                        s.camera,
                        s.dst,
                        s.dport,
                        "stray" if s.stray else "",
                    )
    print(f"{bad} wrong of {2 * len(SCENES)}")


if __name__ == "__main__":
    main()
