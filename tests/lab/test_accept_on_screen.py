"""A violation accepted into a real site file from the live screen, and taken back."""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.sources.live import privileges
from tests.commands.test_live_lab import (  # noqa: F401 - fixtures
    PANOTUI,
    SITE,
    Screen,
    Wire,
    captures,
    wait_for,
    wire,
)

pytestmark = pytest.mark.lab
COMMENT = "# agreed with the plant's network team"


@pytest.fixture
def site() -> Iterator[Path]:
    """A site file without the application's service, where the screen's user may write."""
    folder = Path(tempfile.mkdtemp(prefix="panotui-site-"))
    try:
        path = folder / "site.toml"
        text = Path(SITE).read_text("utf-8").partition("[[service]]")[0]
        path.write_text(text.replace("[network]", f"{COMMENT}\n[network]", 1))
        path.chmod(0o640)
        for target in (folder, path):
            os.chown(target, *privileges.target())
        yield path
    finally:
        shutil.rmtree(folder)


def test_accepting_changes_the_site_file_and_undo_brings_it_back(
    wire: Wire,  # noqa: F811
    site: Path,
) -> None:
    before = site.read_text("utf-8")
    players = wire.replay()
    screen = Screen(wire.here.command([*PANOTUI, "live", "cap0", "cap1", "--site", str(site)]))
    screen.until(["eth0", "eth1"], 60)
    screen.press(b"5")
    screen.until(["dynam"], 60)
    screen.press(b"/dynamodb\r")
    screen.until(["1-1 of"], 60)
    screen.press(b"a")
    wait_for(lambda: screen.pump(0.05) and site.read_text("utf-8") != before, 90)
    after = site.read_text("utf-8")
    assert COMMENT in after
    (service,) = tomllib.loads(after)["service"]
    assert service["host"] == "dynamodb.us-east-1.amazonaws.com"
    assert service["port"] == 443
    assert site.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in site.parent.iterdir()] == ["site.toml"]  # nothing is left beside it
    screen.press(b"u")
    wait_for(lambda: screen.pump(0.05) and site.read_text("utf-8") == before, 90)
    screen.press(b"q")
    assert screen.ended(60) == 0
    for player in players:
        player.terminate()
        player.wait(60)
