"""`record` when its folder vanishes: it says so at once, and goes on elsewhere or ends with 6."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.recording.reader import Recording
from tests.lab.netns import Namespace, require_root

pytestmark = pytest.mark.lab
REPOSITORY = Path(__file__).parents[2]
USER = 23_458


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of somebody's."""
    require_root()
    place = Path("/tmp") / f"panotui-goes-on-{os.getpid()}"
    place.mkdir(mode=0o755)
    os.chown(place, USER, USER)
    yield place
    shutil.rmtree(place)


def record(home: Path, *arguments: str) -> tuple[int, list[dict[str, dict[str, str]]], str]:
    """(exit code, status lines, stderr) of a recorder whose folder is removed meanwhile."""
    environment = {**os.environ, "SUDO_UID": str(USER), "SUDO_GID": str(USER)}
    with Namespace("ptgo") as here:
        process = here.popen(
            [sys.executable, "-m", "panotui", "record", "lo", "--json", "--for", "20s",
             "-o", str(home / "first"), "--socket", str(home / "alone.sock"), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True,
            env=environment,
        )  # fmt: skip
        said = []
        for line in process.stdout:
            said.append(json.loads(line))
            if len(said) == 3:
                shutil.rmtree(home / "first.panotui")
            if len(said) == 9:
                process.terminate()
        _, errors = process.communicate(timeout=300)
    return process.returncode, said, errors


def test_it_goes_on_in_the_fallback(home: Path) -> None:
    code, said, errors = record(home, "--fallback", str(home / "second"))
    assert code == 0, errors
    assert said[2]["recorder"]["path"] == "first.panotui"
    last = said[-1]["recorder"]
    assert last["path"] == "second.panotui"
    assert last["state"] == "recording"
    assert "first.panotui: its database is gone" in last["detail"]
    assert "recording continues in second.panotui" in errors
    assert f"{home / 'second.panotui'}: " in errors.splitlines()[-1]
    recording = Recording(home / "second.panotui")
    assert recording.end_ns - recording.start_ns >= 10**9
    recording.close()
    assert (home / "second.panotui").stat().st_uid == USER


def test_without_one_it_ends_with_its_own_code(home: Path) -> None:
    code, said, errors = record(home)
    assert code == 6
    assert len(said) < 9
    assert "its database is gone" in errors.splitlines()[-1]


def test_a_fallback_that_is_not_needed_leaves_nothing(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "panotui", "record", "--help"],
        capture_output=True, text=True, cwd=REPOSITORY, check=True,
    )  # fmt: skip
    assert "--fallback DIR" in done.stdout
    with Namespace("ptgo") as here:
        for other, wanted in ((home / "second", 0), (home / "first", 2)):
            process = here.popen(
                [sys.executable, "-m", "panotui", "record", "lo", "--for", "1s",
                 "-o", str(home / "first"), "--fallback", str(other),
                 "--socket", str(home / "alone.sock")],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True,
                env={**os.environ, "SUDO_UID": str(USER), "SUDO_GID": str(USER)},
            )  # fmt: skip
            _, errors = process.communicate(timeout=300)
            assert process.returncode == wanted, errors
    assert not (home / "second.panotui").exists()
