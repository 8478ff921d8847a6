"""Camera-only mode: the cloud is not expected, and its silence is nobody's alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from panotui import sources
from panotui.commands.input import analysed
from panotui.site.file import parse_site

DEMO = Path(sources.__file__).parent / "demo"


@pytest.mark.parametrize("mode", ["normal", "camera-only"])
def test_only_normal_mode_asks_for_the_cloud(mode: str) -> None:
    text = (DEMO / "site.toml").read_text("utf-8")
    site = parse_site(text.replace("[site]", f'[site]\nmode = "{mode}"', 1))
    snapshot = analysed([str(DEMO / "site.pcapng.zst")], site).snapshot()
    found = {f.id for f in snapshot.findings}
    assert ("tcp-blocked" in found) is (mode == "normal")
    needed = {e.rule for e in snapshot.endpoints if e.needed and e.rule not in ("dns", "ntp")}
    assert bool(needed) is (mode == "normal")
    # cameras are asked about as ever
    assert {"camera-phones-home", "stream-frozen"} <= found
    assert [v.reason for v in snapshot.violations] == ["stream-leak"]
