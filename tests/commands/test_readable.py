from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

CODE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from panotui.commands.readable import prepare_to_drop
prepare_to_drop()
from panotui.sources.live import privileges
privileges.drop()
from panotui.engine.engine import Engine
from panotui.model import Site
import colorsys, wave, xml.dom.minidom   # standard library that nothing has loaded yet
from panotui.commands.capture import demo_folder
Engine(Site())
print(os.geteuid(), (demo_folder() / "site.toml").read_text()[:6])
try:
    open(sys.argv[1] + "/secret")
except PermissionError:
    print("secret stays secret")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root")
def test_a_program_that_only_root_can_reach_goes_on_after_the_drop(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    hidden = home / "app"
    hidden.mkdir()
    shutil.copytree(
        REPOSITORY / "panotui", hidden / "panotui", ignore=shutil.ignore_patterns("__pycache__")
    )
    (hidden / "secret").write_text("x")
    (hidden / "secret").chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(hidden)],
        capture_output=True, text=True, timeout=60, cwd="/", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[0] != "0"
    assert "secret stays secret" in done.stdout
