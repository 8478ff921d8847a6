"""Every scene of `tests.diagnosis.met`, with a site file and without one."""

from __future__ import annotations

import pytest

from tests.diagnosis.met.run import observed, wrong
from tests.diagnosis.met.truth import SCENES


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("with_site", [True, False], ids=["site", "bare"])
def test_camera_is_told_as_what_it_is(name: str, with_site: bool) -> None:
    truth, engine = observed(SCENES[name], with_site)
    assert wrong(truth, engine, with_site) == []
