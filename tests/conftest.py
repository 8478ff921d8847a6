"""Hypothesis profiles: under CI the same examples every time, elsewhere new ones each run.

Ctrl-C for the programs that tests start, wherever the tests themselves were started. One folder for
unpacked captures, before workers start that share it. And nothing is skipped where CI is root: what
a test lacks there (a tool, a file) is a failure."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.captures import unpacked

# CI machines are shared: slow is no failure there, and a build must not depend on luck.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

# What a shell starts in the background ignores SIGINT, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

unpacked()

# Programs that tests start have no person's settings, and are not started for the first time.
if "PANOTUI_TESTS_HOME" not in os.environ:
    home = Path(tempfile.mkdtemp(prefix="panotui-tests-"))
    home.chmod(0o755)
    os.environ["PANOTUI_TESTS_HOME"] = str(home)
    for name, folder in (("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config")):
        (home / folder / "panotui").mkdir(parents=True)
        os.environ[name] = str(home / folder)
    (home / "state" / "panotui" / "hints-shown").touch()
    atexit.register(shutil.rmtree, home, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("CI") == "true" and os.geteuid() == 0:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr[2]}"
    return report
