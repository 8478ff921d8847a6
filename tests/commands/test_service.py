"""The recorder's systemd unit, for one and for an instance a site, and what systemd is told."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from panotui.cli import main
from panotui.commands.systemd import Systemd


def unit_of(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["service", *arguments]) == 0
    return capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(("eth0", "eth1"), "panotui.service"), (("--template",), "panotui@.service")],
)
def test_systemd_has_nothing_to_say_against_the_unit(
    arguments: tuple[str, ...], name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    path = tmp_path / name
    path.write_text(unit_of(capfd, *arguments))
    shown = path if "@" not in name else tmp_path / "panotui@plant-7.service"
    if shown != path:
        shown.symlink_to(path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(shown)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "panotui" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


def test_the_unit_says_that_it_is_ready_and_alive(capfd: pytest.CaptureFixture[str]) -> None:
    unit = unit_of(capfd, "eth0")
    for line in ("Type=notify", "WatchdogSec=30", "NotifyAccess=main", "DynamicUser=yes"):
        assert f"\n{line}\n" in unit
    assert "record eth0 -o /var/lib/panotui/recorder --socket /run/panotui/recorder.sock" in unit


def test_an_instance_has_its_own_site_file_folders_and_options(
    capfd: pytest.CaptureFixture[str],
) -> None:
    unit = unit_of(capfd, "--template", "--max-size", "500MB")
    assert unit.startswith("# /etc/systemd/system/panotui@.service\n")
    for part in (
        "--site /etc/panotui/%i.toml $PANOTUI_OPTIONS\n", "-o /var/lib/panotui/%i/%i ",
        "--socket /run/panotui/%i/%i.sock ", "EnvironmentFile=-/etc/panotui/%i.env\n",
        "StateDirectory=panotui/%i\n", "RuntimeDirectory=panotui/%i\n", "--max-size 500MB",
    ):  # fmt: skip
        assert part in unit
    assert main(["service", "--template", "--name", "x"]) == 2
    assert "an instance uses its site's name" in capfd.readouterr().err


def test_a_site_file_that_is_missing_or_wrong_is_no_unit(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["service", "eth0", "--site", "NOSUCH"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("panotui: NOSUCH: ")
    assert said.err.count("\n") == 1
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[site]\nnonsense = 1\n")
    assert main(["service", "eth0", "--site", str(wrong)]) == 2


class Told:
    """systemd's end of the socket."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.socket.setblocking(False)

    def all(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_at_a_path_or_an_abstract_name(abstract: bool, tmp_path: Path) -> None:
    name = f"@panotui-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    told = Told(name.replace("@", "\0", 1))
    now = [100.0]
    systemd = Systemd({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}, lambda: now[0])
    systemd.ready()
    for _ in range(25):
        systemd.alive(lambda: "recording\n3 cameras")
        now[0] += 1
    systemd.stopping()
    systemd.close()
    heard = told.all()
    told.socket.close()
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    assert heard.count("WATCHDOG=1") == 3  # each ten of thirty seconds
    assert heard.count("STATUS=recording 3 cameras") == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "/no/such/socket", "WATCHDOG_USEC": "x"},
        {"NOTIFY_SOCKET": "relative", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_systemd_nothing_is_said(environment: dict[str, str]) -> None:
    systemd = Systemd(environment)
    systemd.ready()
    systemd.alive(lambda: "")
    systemd.close()
    assert systemd._socket is None
