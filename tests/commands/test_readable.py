from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from panotui.commands import readable

REPOSITORY = Path(__file__).parents[2]

CODE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import panotui
from panotui.commands.readable import prepare_to_drop
prepare_to_drop()
from panotui.sources.live import privileges
privileges.drop()
import colorsys, wave, xml.dom.minidom   # standard library that nothing has loaded yet
import panotui.feed, panotui.telemetry, panotui.commands.terminal
print(os.geteuid(), open(panotui.__path__[0] + "/sources/demo/site.toml").read()[:6])
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
    for place, _, files in os.walk(hidden):  # open below, whatever the umask of this checkout was
        Path(place).chmod(0o755)
        for file in files:
            (Path(place) / file).chmod(0o644)
    (hidden / "secret").write_text("x")
    (hidden / "secret").chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(hidden)],
        capture_output=True, text=True, timeout=300, cwd="/", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[0] != "0"
    assert "secret stays secret" in done.stdout


# ------------------------------------------------------------------ what is imported late

LATE = """
import ast, importlib, sys
from panotui.commands import readable
for name in sys.argv[2:]:
    importlib.import_module(name)
readable.is_readable = lambda path, uid, gid: False   # as if nothing could be read after the drop
loaded = readable.load_out_of_reach(getattr(readable, sys.argv[1]))
assert loaded, "not root"
for name, module in sorted(sys.modules.items()):
    if not name.startswith("panotui.") or not getattr(module, "__file__", None):
        continue
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for late in names:
                if late not in sys.modules:
                    print(f"{name}:{node.lineno} {late}")
"""
# Python 3.14 alone has the first; the others are imported when what is read through them is opened,
# and that is before the drop, or where there is none; so is what opens interfaces and places files.
EARLIER = (
    "compression", "zstandard", "pyroute2.", "panotui.runtime.side_by_side",
    "panotui.sources.live.placing", "panotui.commands.capture", "panotui.site.file",
)  # fmt: skip


@pytest.mark.parametrize(
    ("late", "modules"),
    [
        (
            "COLLECTOR",
            [
                "panotui.commands.record",
                "panotui.commands.collect",
                "panotui.commands.capture",
                "panotui.commands.init",
                "panotui.site.file",
                "panotui.feed.collector",
                "panotui.feed.server",
                "panotui.views.provider",
                "panotui.recording.recorder",
                "panotui.recording.evidence",
                "panotui.recording.evidence_export",
                "panotui.commands.keeping",
                "panotui.recording.retention",
                "panotui.runtime.live_meter",
                "panotui.runtime.live_meters",
                "panotui.runtime.pump",
                "panotui.sources.live.link",
                "panotui.sources.live.together",
                "panotui.sources.demo",
            ],
        ),
        ("SCREEN", ["panotui.tui.app"]),
        (
            "READING",
            [
                "panotui.commands.analyze",
                "panotui.commands.confined",
                "panotui.commands.confinement",
                "panotui.commands.init",
                "panotui.commands.policy",
                "panotui.commands.report",
            ],
        ),
        ("REVIEW", ["panotui.commands.review", "panotui.commands.terminal"]),
        ("CHECK", ["panotui.commands.check"]),
    ],
    ids=["collector", "screen", "reading", "review", "check"],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="asks as root what is out of reach of others")
def test_nothing_is_imported_late_that_was_not_loaded_before_the_drop(
    late: str, modules: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE, late, *modules],
        capture_output=True, text=True, timeout=300, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    late_ones = [line.split() for line in done.stdout.splitlines()]
    assert [words for words in late_ones if not words[1].startswith(EARLIER)] == []


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_handle_helps_where_the_folder_itself_is_open(tmp_path: Path, mode: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "folder"
    folder.mkdir(mode=mode)
    file = folder / "file"
    file.touch(mode=0o644)
    handle = os.open(folder, os.O_PATH)
    assert not readable.is_readable(str(file), 65_534, 65_534)
    by_handle = readable.is_readable(f"/proc/self/fd/{handle}/file", 65_534, 65_534)
    assert by_handle is (mode == 0o755)
    file.chmod(0o600)
    assert not readable.is_readable(f"/proc/self/fd/{handle}/file", 65_534, 65_534)
    os.close(handle)
