"""TLS of the appliance to a camera is RTSP inside TLS, on whatever port; the policy says which."""

from __future__ import annotations

from typing import Any

import pytest

from tests.diagnosis.met.clothes import sealed
from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA, site


def camera(**more: Any) -> dict[str, Any]:
    return {"name": "dock", "address": CAMERA, **more}


@pytest.mark.parametrize(
    ("port", "named", "allowed"),
    [(8555, True, True), (8555, False, False), (7441, False, True), (322, False, True)],
)
def test_port_of_rtsps_is_known_by_its_url_or_by_custom(
    port: int, named: bool, allowed: bool
) -> None:
    wire = Wire()
    sealed(wire, port, 20)
    known = camera(url=f"rtsps://{CAMERA}:{port}/stream1") if named else camera()
    shot = wire.watch(site(camera=[known])).snapshot()
    told = next(c for c in shot.cameras if c.address == CAMERA)
    assert told.state == "streaming"
    assert told.state_text == f"inside TLS (RTSPS, port {port}): its contents cannot be seen"
    texts = [v.text for v in shot.violations]
    if allowed:
        assert texts == []
    else:
        assert texts == [
            f"The appliance opens tcp/{port} (TLS) on camera dock ({CAMERA}): RTSP may be inside, "
            "and no URL of the site file names this port"
        ]
