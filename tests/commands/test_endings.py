"""How commands end when their output has no room or no reader, and when a person presses Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from panotui.commands.options import COMMANDS
from panotui.model.baseline import Baseline
from tests.lab.netns import Namespace, require_root
from tests.tui.terminals import Terminal

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "panotui" / "sources" / "demo"
CAPTURE = str(DEMO / "site.pcapng.zst")
SITE = str(DEMO / "site.toml")
RECORDING = str(REPOSITORY / "tests" / "data" / "recordings" / "format3.panotui")
PANOTUI = [sys.executable, "-m", "panotui"]

WRITERS = [
    ["analyze", CAPTURE],
    ["analyze", "--json", CAPTURE],
    ["analyze", "--ndjson", CAPTURE],
    ["report", CAPTURE],
    ["report", "--markdown", CAPTURE],
    ["demo"],
    ["compare-captures", CAPTURE, CAPTURE],
    ["compare-captures", "--json", CAPTURE, CAPTURE],
    ["evidence", RECORDING],
    ["evidence", "--json", RECORDING],
    ["days", RECORDING],
    ["days", "--json", RECORDING],
    ["baseline", "show", "BASELINE"],
    ["config"],
    ["config", "--path"],
    ["policy", "show"],
    ["policy", "validate", SITE],
    ["policy", "explain", "--host", "example.org", "--port", "443"],
    ["policy", "export", "--format", "csv"],
    ["policy", "diff", SITE, SITE],
    ["init", CAPTURE],
    ["service"],
    ["doctor"],
    ["doctor", "--json"],
    ["--version"],
    ["--help"],
    ["record", "--help"],
]


def name_of(arguments: list[str]) -> str:
    return " ".join(word for word in arguments if "/" not in word)


@pytest.fixture
def words(arguments: list[str], tmp_path: Path) -> list[str]:
    """The arguments, with a learnt baseline's file where one is asked for."""
    path = tmp_path / "site.baseline"
    path.write_bytes(msgspec.json.encode(Baseline(site="plant")))
    return [str(path) if word == "BASELINE" else word for word in arguments]


def test_every_command_that_answers_on_stdout_is_among_them() -> None:
    screens = {"live", "attach", "review"}
    need_more = {"record", "metrics", "check", "fleet"}  # below, or in their own tests
    assert {a[0] for a in WRITERS} | screens | need_more >= {*COMMANDS}


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", WRITERS, ids=name_of)
def test_a_full_disk_behind_stdout_is_one_line_and_three(words: list[str], buffered: bool) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PANOTUI, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300,
            cwd=REPOSITORY, check=False, env={**os.environ, "PYTHONUNBUFFERED": "" if buffered
            else "1"},
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr == (
        "panotui: standard output: it cannot be written: No space left on device. "
        "Make room there, or write elsewhere.\n"
    )


@pytest.mark.parametrize("arguments", WRITERS, ids=name_of)
def test_a_reader_that_has_seen_enough_ends_it_quietly(words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*PANOTUI, *words], stdout=theirs, stderr=subprocess.PIPE, timeout=300, cwd=REPOSITORY,
        check=False,
    )  # fmt: skip
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_file_that_cannot_take_a_report_is_told_as_that_file() -> None:
    done = subprocess.run(
        [*PANOTUI, "report", CAPTURE, "-o", "/dev/full"], capture_output=True, text=True,
        timeout=300, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("panotui: -o /dev/full: No space left on device.")
    assert done.stderr.count("\n") == 1


def test_closed_standard_streams_are_no_fault(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *PANOTUI, "report", CAPTURE, "-o",
         str(tmp_path / "page.html")],
        timeout=300, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "logs.us-east-1.amazonaws.com" in (tmp_path / "page.html").read_text()


# ------------------------------------------------------------------ on interfaces


@pytest.fixture
def here() -> Iterator[Namespace]:
    require_root()
    with Namespace("ptend") as made:
        yield made


@pytest.mark.lab
@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
def test_a_recorder_that_cannot_tell_from_the_start_says_so(
    here: Namespace, tmp_path: Path, buffered: bool
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            here.command([*PANOTUI, "record", "lo", "-o", str(tmp_path / "r"), "--json",
                          "--socket", str(tmp_path / "r.sock")]),
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, cwd=REPOSITORY,
            check=False, env={**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"},
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.count("standard output: it cannot be written") == 1
    assert "ended: failed" in done.stderr


@pytest.fixture(scope="module")
def long_capture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A pipe that gives the demo's beginning and then nothing more, for as long as it is read."""
    folder = tmp_path_factory.mktemp("pipe")
    path = folder / "slow.pcapng"
    os.mkfifo(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", FEED, CAPTURE, str(path)], stderr=subprocess.DEVNULL
    )
    yield path
    writer.kill()
    writer.wait()


# Each reader gets the bytes anew; the pipe stays open, so that nobody comes to its end.
FEED = """
import select, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
data = open(sys.argv[1], "rb").read()[:200_000]
while True:
    with open(sys.argv[2], "wb", buffering=0) as pipe:
        gone = select.poll()
        gone.register(pipe, 0)
        try:
            pipe.write(data)
            gone.poll()
        except BrokenPipeError:
            pass
"""


def interrupted(terminal: Terminal, shown: Callable[[], bool]) -> list[str]:
    """Press Ctrl-C when it is at work; what it left on the terminal, without its progress."""
    terminal.until(shown, 60)
    terminal.type("\x03")
    assert terminal.ended(60) == 130, terminal.text()
    assert b"Traceback" not in terminal.raw
    raw = bytes(terminal.raw)
    assert raw.rfind(b"\x1b[?1049l") >= raw.rfind(b"\x1b[?1049h")
    assert raw.rfind(b"\x1b[?25h") >= raw.rfind(b"\x1b[?25l")
    return [line for line in terminal.text().splitlines() if line.strip(" ^C")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "PIPE"],
        ["analyze", "--json", "PIPE"],
        ["report", "PIPE", "-o", "/dev/null"],
        ["review", "PIPE"],
        ["init", "PIPE"],
        ["policy", "export", "--format", "csv", "--seen", "PIPE"],
        ["policy", "diff", SITE, "PIPE"],
    ],
    ids=name_of,
)
def test_ctrl_c_while_a_capture_is_read(arguments: list[str], long_capture: Path) -> None:
    words = [word.replace("PIPE", str(long_capture)) for word in arguments]
    with Terminal(command=[*PANOTUI, *words], columns=120) as terminal:
        left = interrupted(terminal, terminal.shows("packets"))
    assert len(left) <= 1


def test_ctrl_c_while_two_captures_are_compared(long_capture: Path) -> None:
    """It shows no progress; whatever it is at by then, it ends so."""
    command = [*PANOTUI, "compare-captures", str(long_capture), CAPTURE]
    with Terminal(command=command, columns=120) as terminal:
        terminal.during(3.0)
        assert len(interrupted(terminal, lambda: True)) <= 1


def test_ctrl_c_in_the_demo() -> None:
    with Terminal(command=[*PANOTUI, "demo"]) as terminal:
        interrupted(terminal, terminal.shows("PORTS"))
        assert terminal.restored()


@pytest.mark.lab
def test_ctrl_c_on_interfaces(here: Namespace, tmp_path: Path) -> None:
    recording = [*PANOTUI, "record", "lo", "-o", str(tmp_path / "r"), "--socket",
                 str(tmp_path / "r.sock")]  # fmt: skip
    for command, at_work, most in (
        ([*PANOTUI, "live", "lo"], "PORTS", 30),
        (recording, "recording 00:00", 4),
        ([*PANOTUI, "init", "lo"], "watching", 0),
    ):
        whole = ["/usr/bin/env", *here.command(command)]
        with Terminal(command=whole, columns=400) as terminal:
            left = interrupted(terminal, terminal.shows(at_work))
        assert len([line for line in left if "watching" not in line]) <= most, left


@pytest.mark.lab
def test_ctrl_c_on_a_running_recorder_s_screen_leaves_it_running(
    here: Namespace, tmp_path: Path
) -> None:
    socket = tmp_path / "r.sock"
    recorder = here.popen(
        [*PANOTUI, "record", "lo", "-o", str(tmp_path / "r"), "--socket", str(socket)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=str(REPOSITORY),
    )  # fmt: skip
    assert recorder.stderr.readline().startswith("panotui: recording into")
    with Terminal(command=[*PANOTUI, "attach", str(socket)]) as terminal:
        interrupted(terminal, terminal.shows("PORTS"))
        assert terminal.restored()
    assert recorder.poll() is None


EARLY = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv[1:] = [sys.argv[1], "--version"]
runpy.run_module("panotui", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["panotui.cli", "click", "panotui.errors"])
def test_ctrl_c_while_the_program_is_read(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY, module], capture_output=True, cwd=REPOSITORY, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
