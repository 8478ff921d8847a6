from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui import cli
from panotui.commands.options import COMMANDS, duration_s, size_bytes
from panotui.errors import UsageError
from panotui.recording.recorder import Recorder
from panotui.sources.live import privileges
from tests.captures import capture
from tests.views.records import snapshot

REPOSITORY = Path(__file__).parents[2]
PANOTUI = [sys.executable, "-m", "panotui"]
# Somebody who is not root, with no way back: the kernel takes the capabilities away with the user.
# Python starts as root, for it may be installed where nobody else can reach it, as the program may.
BECOME_NOBODY = """
import os, sys
from panotui.commands.readable import keep_readable
keep_readable(65534, 65534)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
from panotui.cli import main
sys.exit(main(sys.argv[1:]))
"""
AS_NOBODY = [sys.executable, "-c", BECOME_NOBODY]
DEMO = REPOSITORY / "panotui" / "sources" / "demo"
# a library may make this folder; it holds no site file
EMPTY_CONFIG = str(Path(tempfile.gettempdir()) / f"panotui-test-config-{os.getuid()}")


def run(
    *arguments: str, stdin: bytes = b"", as_nobody: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [*(AS_NOBODY if as_nobody else PANOTUI), *arguments]
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        timeout=300,
        cwd=REPOSITORY,
        env={**os.environ, "XDG_CONFIG_HOME": EMPTY_CONFIG, **environment},
        check=False,
    )
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to; pytest's own are below one that is closed to others."""
    with tempfile.TemporaryDirectory(prefix="panotui-test-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch0"], 5, "interface nosuch0: it does not exist"),
        (["live", "nosuch0"], 5, "interface nosuch0: it does not exist"),
        (["record", "nosuch0", "-o", "x"], 5, "interface nosuch0: it does not exist"),
        (["anlayze"], 2, "no such command 'anlayze'; did you mean 'analyze'?\n"),
        (["anlayze", "--json", "x.pcap"], 2, "no such command 'anlayze'; did you mean 'analyze'?"),
        (["--site", "x", "rec"], 2, "no such command 'rec'; did you mean 'record'?"),
        (["help"], 2, "did you mean '--help'?"),
        (["frobnicate"], 2, "no such command 'frobnicate'. See `panotui --help`."),
        (["README.md", "--json"], 2, "panotui review README.md"),
        (["live", "analyse"], 2, "Did you mean `panotui analyze`?"),
        (["init", "nosuch.pcap"], 3, "nosuch.pcap: does not exist"),
        (["init", "nosuch.pcap.gz"], 3, "nosuch.pcap.gz: does not exist"),
        (["init", "lo", "nosuch.pcap"], 2, "lo is an interface and nosuch.pcap a capture"),
        (["init", "nosuch/folder"], 3, "nosuch/folder: does not exist"),
        (["init", "docs"], 3, "docs: there is no capture in this folder"),
        (["init", "nosuch0"], 5, "interface nosuch0: it does not exist"),
        (["analyze", ""], 2, "one of the arguments is empty"),
        (["record", "lo", "-o", ""], 2, "one of the arguments is empty"),
        (["analyze", "a\x1b[2Jb"], 3, "a\\x1b[2Jb: does not exist"),
        (["README.md"], 2, "panotui review README.md"),
        (["live", "--frobnicate"], 2, "No such option"),
        (["live", "a", "b", "c"], 2, "at most 2"),
        (["record"], 2, "Missing option"),
        (["record", "lo", "-o", "x", "--for", "soon"], 2, "duration soon"),
        (["record", "lo", "-o", "x", "--for", "-5s"], 2, "duration -5s"),
        (["record", "lo", "-o", "x", "--for", "0"], 2, "duration 0: it is not between"),
        (["record", "lo", "-o", "x", "--max-age", "9" * 400 + "d"], 2, "it is not between"),
        (["record", "lo", "-o", "x", "--max-size", "9" * 400], 2, "it is not a size"),
        (["init", "lo", "--for", "-1m"], 2, "duration -1m"),
        (["record", "lo", "-o", "x", "--max-size", "huge"], 2, "size huge"),
        (["analyze"], 2, "Missing argument"),
        (["analyze", "/nonexistent.pcap"], 3, "/nonexistent.pcap: does not exist"),
        (["analyze", "README.md"], 3, "not a capture"),
        (["analyze", "docs"], 3, "no capture in this folder"),
        (["analyze", "-", "--json"], 3, "standard input"),
        (["analyze", "--json", "--ndjson", "README.md"], 2, "exclude each other"),
        (["review", "/nonexistent.panotui"], 3, "does not exist"),
        (["review", "docs"], 3, "not a recording"),
        (["live", "lo"], 2, "this is not a terminal"),
        (["review", "README.md"], 2, "this is not a terminal"),
        (["attach", "/nonexistent.sock"], 3, "no recorder listens here"),
        (["attach", "README.md"], 3, "README.md: this is not a recorder's socket"),
        (["attach", "docs"], 3, "docs: this is not a recorder's socket"),
        (["--site", "/nonexistent.toml", "analyze", "README.md"], 2, "/nonexistent.toml"),
        (["policy", "frobnicate"], 2, "No such command"),
        (["policy", "shwo"], 2, "'show'? See `panotui policy --help`."),
        (["policy", "validate", "nosuch.toml"], 2, "nosuch.toml: No such file or directory"),
        (["policy", "explain", "--host", "x", "--port", "99999"], 2, "is not a port"),
        (["policy", "export", "--format", "yaml"], 2, "yaml"),
        (["service", "eth0;reboot"], 2, "only letters"),
    ],
)
def test_bad_input_is_one_clear_line_and_its_exit_code(
    arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    done = run(*arguments, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("panotui: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_bad_site_file_names_file_line_and_field(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[site]\nname = "x"\n\n[ports.eth0]\nrole = "camra"\n')
    done = run("analyze", str(DEMO / "site.pcapng.zst"), "--site", str(site))
    assert done.returncode == 2
    assert f"{site}:5: ports.eth0.role" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_truncated_capture_is_answered_and_marked(tmp_path: Path) -> None:
    whole = capture("lab/udp-h264.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[: len(whole) // 2])
    done = run("analyze", "--json", str(cut))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["source"]["truncated"] is True
    assert answer["source"]["packets"] > 100
    assert "truncated" in run("analyze", str(cut)).stdout


def test_a_dumb_terminal_is_refused_with_a_way_out() -> None:
    pid, terminal = os.forkpty()
    if pid == 0:
        os.chdir(REPOSITORY)
        os.execvpe(sys.executable, [*PANOTUI, "demo"], {**os.environ, "TERM": "dumb"})
    said = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        if not chunk:
            break
        said += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert b"TERM is dumb" in said
    assert b"panotui record" in said
    assert b"\x1b" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_without_privilege_the_three_ways_to_get_it_are_named(open_folder: Path) -> None:
    done = run("record", "lo", "-o", str(open_folder / "x"), as_nobody=True)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    for way in ("sudo", "setcap", "service"):
        assert way in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["init", "CAPTURE", "-o", "CLOSED/x"], 2),
        (["report", "CAPTURE", "-o", "CLOSED/x"], 2),
        (["analyze", "CLOSED/x"], 3),
        (["analyze", "CLOSED"], 3),
        (["review", "CLOSED/x"], 3),
        (["report", "CLOSED/x"], 3),
        (["init", "CLOSED/x"], 3),
        (["analyze", "CAPTURE", "--site", "CLOSED/x"], 2),
        (["analyze", "CAPTURE", "--csv", "CLOSED/x"], 3),
        (["policy", "validate", "CLOSED/x"], 2),
        (["attach", "CLOSED/x"], 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_path_in_a_folder_closed_to_the_user_is_one_line(
    arguments: list[str], code: int, open_folder: Path
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    capture = open_folder / "site.pcapng.zst"
    shutil.copyfile(DEMO / capture.name, capture)
    words = [a.replace("CLOSED", str(closed)).replace("CAPTURE", str(capture)) for a in arguments]
    done = run(*words, as_nobody=True, XDG_STATE_HOME=str(closed))
    assert done.returncode == code, done.stderr
    assert str(closed) in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_recorder_that_runs_already_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "r.panotui"
    recorder = Recorder(folder)
    if os.geteuid() == 0:  # a recorder that root starts belongs to whom root becomes
        for part in (folder, *folder.rglob("*")):
            os.chown(part, *privileges.target())
    done = run("record", "lo", "-o", str(tmp_path / "r"), "--for", "1s")
    recorder.close()
    if done.returncode == 4:
        pytest.skip("needs the right to capture")
    assert done.returncode == 2
    assert "recorder already running" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_socket_that_refuses_is_told_with_the_privilege_code(tmp_path: Path) -> None:
    from panotui.feed.codec import pack
    from panotui.views.frames import Done

    path = tmp_path / "s.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    child = subprocess.Popen(
        [*PANOTUI, "attach", str(path)], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    peer, _ = server.accept()
    peer.send(pack(Done(ok=False, text="user 1000 may not attach")))
    peer.close()
    assert child.stderr is not None
    said = child.stderr.read()
    assert child.wait() == 4
    assert "may not attach" in said
    assert said.count("\n") == 1
    server.close()


def test_stdout_carries_data_only_and_the_demo_answers_without_a_terminal() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "CAMERAS  2 of 2 streaming" in done.stdout
    assert "\x1b" not in done.stdout


def test_fail_on_gives_one_only_when_asked() -> None:
    capture = str(DEMO / "site.pcapng.zst")
    site = ["--site", str(DEMO / "site.toml")]
    assert run("analyze", capture, *site, "--fail-on", "violation").returncode == 1
    assert run("analyze", capture, *site, "--fail-on", "finding", "--json").returncode == 1
    assert run("analyze", capture, *site).returncode == 0


def test_a_pipe_is_read_and_every_format_answers(tmp_path: Path) -> None:
    raw = (DEMO / "site.pcapng.zst").read_bytes()
    lines = run("analyze", "-", "--ndjson", stdin=raw).stdout.splitlines()
    kinds = {json.loads(line)["type"] for line in lines}
    assert {"source", "site", "port", "flow", "stream", "finding"} <= kinds
    done = run("analyze", "-", "--csv", str(tmp_path / "out"), stdin=raw)
    assert done.stdout == ""
    assert (tmp_path / "out" / "flows.csv").exists()


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    child = subprocess.Popen(
        [*PANOTUI, "analyze", "--json", str(DEMO / "site.pcapng.zst")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.wait(60) == 0
    assert child.stderr.read() == b""


def test_an_interrupt_ends_it_with_130_and_no_traceback() -> None:
    child = subprocess.Popen(
        [*PANOTUI, "analyze", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert child.stdin is not None
    child.stdin.write(capture("lab/udp-h264.pcap").read_bytes())
    child.stdin.flush()
    time.sleep(1.5)  # into the reading; there is nothing to await from outside
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=300)
    assert child.returncode == 130
    assert (out, errors) == (b"", b"")


INTERRUPTED_IN = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
import panotui.cli
sys.argv[1:] = ["--version"]
sys.exit(panotui.cli.main())
"""


@pytest.mark.parametrize("module", ["click", "click.core", "panotui.errors"])
def test_an_interrupt_while_the_program_is_read_is_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN, module], capture_output=True, cwd=REPOSITORY
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


HEADLESS = """
import sys
from panotui.cli import main
code = main(sys.argv[1:])
loaded = [m for m in ("textual", "rich", "panotui.tui", "scapy.all") if m in sys.modules]
print("loaded:", loaded, "code:", code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "--json", str(DEMO / "site.pcapng.zst")],
        ["demo"],
        ["policy", "show"],
        ["service"],
        ["doctor"],
        ["record", "nosuch0", "-o", "x"],
    ],
    ids=lambda a: a[0],
)
def test_headless_commands_never_load_the_screen(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEADLESS, *arguments], capture_output=True, text=True,
        cwd=REPOSITORY, timeout=300, check=False,
    )  # fmt: skip
    assert "loaded: []" in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["record", "--help"]])
def test_version_and_help_load_next_to_nothing(arguments: list[str]) -> None:
    code = (
        "import sys; from panotui.cli import main; main(sys.argv[1:]);"
        "heavy = {'numpy', 'textual', 'scapy', 'msgspec', 'cryptography'} & set(sys.modules);"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True,
        cwd=REPOSITORY, timeout=300, check=False,
    )  # fmt: skip
    heavy = done.stderr.strip().splitlines()[-1]
    assert heavy in ("[]", "['msgspec', 'numpy']")
    if arguments[0] != "record":
        assert heavy == "[]"


def test_the_commands_that_are_suggested_are_those_that_there_are() -> None:
    assert set(COMMANDS) == {name for name, (_, _, shown) in cli.COMMANDS.items() if shown}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_starts(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: panotui" in done.stdout


def test_a_fault_of_the_program_is_one_line_with_a_crash_file(tmp_path: Path) -> None:
    code = (
        "import sys, panotui.commands.doctor as d\n"
        "def boom(): raise ValueError('broken\\nthing')\n"
        "d._terminal_checks = boom\n"
        "from panotui.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    for extra, traceback in (([], False), (["-v"], True)):
        done = subprocess.run(
            [sys.executable, "-c", code, "doctor", *extra], capture_output=True, text=True,
            cwd=REPOSITORY, timeout=300, env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            check=False,
        )  # fmt: skip
        assert done.returncode == 70
        assert ("Traceback" in done.stderr) is traceback
        assert done.stderr.startswith("panotui: fault of the program (ValueError: broken thing)")
    (crash, *_) = (tmp_path / "panotui").glob("crash-*.txt")
    assert "ValueError" in crash.read_text()


def test_the_shell_completes_commands() -> None:
    assert "complete -o nosort" in run(_PANOTUI_COMPLETE="bash_source").stdout
    offered = run(_PANOTUI_COMPLETE="bash_complete", COMP_WORDS="panotui re", COMP_CWORD="1").stdout
    assert {"record", "review", "report"} <= {line.split(",")[1] for line in offered.split()}
    assert "_collect" not in offered


def test_durations_and_sizes_read_as_people_write_them() -> None:
    assert duration_s("90") == 90
    assert duration_s("1h30m") == 5400
    assert duration_s("2d") == 172_800
    assert size_bytes("2GB") == 2_000_000_000
    assert size_bytes("1GiB") == 1 << 30
    assert size_bytes("500k") == 500_000
    for text in ("", "-1s", "1x", "h", "0", "0s", "99999d", "9" * 400, "\u0663s"):
        with pytest.raises(UsageError):
            duration_s(text)
    for text in ("", "0", "-5MB", "GB", "9" * 400, "\u0663MB"):
        with pytest.raises(UsageError):
            size_bytes(text)


def test_a_recording_is_analysed_as_its_snapshot_says(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    recorder.observe(snapshot(5))
    recorder.close()
    done = run("analyze", "--json", str(tmp_path / "a.panotui"))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [p["name"] for p in answer["ports"]] == ["eth0", "eth1"]
    done = run("analyze", str(tmp_path / "a.panotui"), "README.md")
    assert done.returncode == 2
