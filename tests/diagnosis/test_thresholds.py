"""Thresholds are data: typed, in range, and obeyed by the rules."""

from __future__ import annotations

import msgspec
import pytest

from panotui.diagnosis.thresholds import Thresholds, changed, thresholds
from tests.made_up import APPLIANCE, Scene, flow, site


def test_the_file_has_every_threshold_and_no_other() -> None:
    assert thresholds().security.scan_targets == 50
    assert changed({}) == thresholds()


def test_a_person_may_change_some() -> None:
    own = changed({"security": {"scan_targets": 5}})
    assert own.security.scan_targets == 5
    assert own.security.scan_s == thresholds().security.scan_s


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"security": {"scan_targetz": 5}}, "scan_targetz"),
        ({"security": {"scan_targets": 0}}, "scan_targets"),
        ({"security": {"scan_targets": "many"}}, "scan_targets"),
        ({"security": {"beacon_spread": 1.5}}, "beacon_spread"),
        ({"sekurity": {}}, "sekurity"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(own: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said) as caught:
        changed(own)
    assert "\n" not in str(caught.value)


def scanned(own: Thresholds, targets: int) -> bool:
    """Is a host that tries so many ports called a scanner?"""
    scene = Scene(site())
    scene.engine.facts.thresholds = own
    scene.tick([flow(n, "192.168.5.66", APPLIANCE, 1000 + n, 1.0) for n in range(1, targets + 1)])
    scene.tick()
    return "scan" in scene.findings()


def test_rules_obey_them() -> None:
    assert not scanned(thresholds(), 20)
    assert scanned(thresholds(), 60)
    assert scanned(changed({"security": {"scan_targets": 10}}), 20)
    assert not scanned(changed({"security": {"scan_targets": 100}}), 60)
