"""What is true of a scene, written down before anything looks at it; and the scenes by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA


@dataclass(frozen=True)
class Truth:
    """Of one capture, at its end.

    `loud`: the ids of severity warning or error that are told and not hidden, each once, "a|b"
    where either is right; `allowed`: ids that may be loud beside them; `over`: those that are
    cleared by the end; `bare`: what is loud without a site file, where that differs; `of`: an id
    and the name or address of the camera that it must be told of; `acts`: who has to act, by id;
    `says`: a pattern that a finding's words must match; `quiet_too`: ids of severity information
    that must be there. `streams`: numbers by SSRC. `state`: of the camera `camera`; `states`: of
    further cameras, by address.
    """

    loud: tuple[str, ...] = ()
    over: tuple[str, ...] = ()
    quiet_too: tuple[str, ...] = ()
    bare: tuple[str, ...] | None = None
    severity: dict[str, str] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    of: tuple[tuple[str, str], ...] = ()
    acts: dict[str, str] = field(default_factory=dict)
    state: str | None = "streaming"
    states: dict[str, str] = field(default_factory=dict)
    camera: str = CAMERA
    streams: dict[int, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of cameras by address


Scene = Callable[[Wire], Truth]
SCENES: dict[str, Scene] = {}


def scene(build: Scene) -> Scene:
    """Register a scene under the name of the function that builds it."""
    assert build.__name__ not in SCENES, build.__name__
    SCENES[build.__name__] = build
    return build
