from __future__ import annotations

import pytest

from panotui.model.quantities import link_speed


@pytest.mark.parametrize(
    ("mbps", "duplex", "text"),
    [
        (10, "half", "10 Mb/s half duplex"),
        (100, None, "100 Mb/s"),
        (1000, "full", "1 Gb/s full duplex"),
        (2500, "unknown", "2.5 Gb/s"),
        (10_000, "full", "10 Gb/s full duplex"),
    ],
)
def test_a_links_speed_is_in_the_unit_that_its_label_has(
    mbps: int, duplex: str | None, text: str
) -> None:
    assert link_speed(mbps, duplex) == text
