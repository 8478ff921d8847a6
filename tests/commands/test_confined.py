"""As root, no command reads a hostile byte: what reads them has no rights and sees nothing else."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.commands.rehearse import record_capture
from panotui.model import Site
from panotui.sources.files.source import open_file
from panotui.sources.live import landlock, privileges
from tests.lab.netns import require_root
from tests.sources import made

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "panotui" / "sources" / "demo"
PANOTUI = [sys.executable, "-m", "panotui"]
USER = 23_457  # of nobody on this machine
SUDO = {"SUDO_UID": str(USER), "SUDO_GID": str(USER)}

# What somebody could do who has taken over the process.
INSIDE = """
import importlib, os, socket, sys, json
from pathlib import Path
import click
from panotui.commands.confined import confined

root_file, venv, folder = sys.argv[1:4]
handle = os.open(venv, os.O_PATH)
before = os.open(venv, os.O_RDONLY)
context = click.Context(click.Command("x"), obj="own process")

def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"

def connect(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as peer:
        peer.settimeout(2)
        peer.connect(address)

def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"x", ("127.0.0.1", 9))

listener = socket.create_server(("127.0.0.1", 0))
with context, confined(files=[("-o", Path(folder) / "answer")]) as places:
    found = {
        "uid": os.geteuid(),
        "root's file": tried(lambda: open(root_file)),
        "sibling": tried(lambda: open(f"{venv}/../secret")),
        "sibling by a handle": tried(lambda: open(f"/proc/self/fd/{handle}/../secret")),
        "sibling by a folder": tried(lambda: os.open("../secret", os.O_RDONLY, dir_fd=before)),
        "write": tried(lambda: open("/tmp/panotui-planted", "x")),
        "tcp": tried(lambda: connect(listener.getsockname())),
        "udp": tried(send),
        "own library": tried(lambda: importlib.import_module("wave")),
    }
    places.place(Path(folder) / "answer").write_text(json.dumps(found))
"""

# The same of a collector and of a screen.
SHUT_IN = """
import os, socket, sys, json, threading
from pathlib import Path
from panotui.commands import confined_live, readable
from panotui.sources.live import landlock

what, root_file, venv, folder = sys.argv[1:5]
folder = Path(folder)
readable.prepare_to_drop()
import panotui.engine.engine
handle = os.open(venv, os.O_PATH)
before = os.open(venv, os.O_RDONLY)
held = os.open(folder, os.O_PATH)
spare = os.open(folder / "spare", os.O_PATH)
os.environ["XDG_STATE_HOME"] = str(folder)
os.chdir(folder)

def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"

def connect(address):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as peer:
        peer.settimeout(2)
        peer.connect(address)

listener = socket.create_server(("127.0.0.1", 0))
REFUSED = "Permission denied"
(folder / "kept").write_text("of yesterday")
(folder / "kept").chmod(0o666)
if what == "collector":
    domain, own = confined_live.of_collector(), "export.csv"
elif what == "screen":
    domain, own = confined_live.of_screen(), folder / "panotui" / "columns.json"
elif "metrics" in what:
    domain, own = confined_live.of_metrics(network=what == "sent metrics"), folder / "new"
elif what == "analysis":
    domain = confined_live.of_analysis(folder / "kept", None, folder / "spare")
    own = folder / "spare" / "new"
else:
    network = what == "alerting recorder"
    domain = confined_live.of_recorder(
        Path(f"/proc/self/fd/{held}"), (folder / "spare", spare), folder / "x.sock", network=network
    )
    own = f"/proc/self/fd/{held}/evidence"
readable.drop_privileges(readable.COLLECTOR)
threads = len(os.listdir("/proc/self/task"))
shut = landlock.enter(domain)
in_thread = []
late = threading.Thread(target=lambda: in_thread.append(tried(lambda: open(f"{venv}/../secret"))))
late.start()
late.join()
print(json.dumps({
    "uid": os.geteuid(),
    "threads": threads,
    "shut": shut,
    "own place": tried(lambda: os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)),
    "own library": tried(lambda: __import__("wave")),
    "tcp": tried(lambda: connect(listener.getsockname())),
    "refused": {
        "root's file": tried(lambda: open(root_file)),
        "everybody's file": tried(lambda: open("/etc/hostname")),
        "sibling": tried(lambda: open(f"{venv}/../secret")),
        "sibling by a handle": tried(lambda: open(f"/proc/self/fd/{handle}/../secret")),
        "sibling by a folder": tried(lambda: os.open("../secret", os.O_RDONLY, dir_fd=before)),
        "in a thread": in_thread[0],
        "write": tried(lambda: open(f"{venv}/planted", "x")),
        "change": tried(lambda: open(f"{venv}/../open", "w")),
        "cut short": tried(lambda: os.truncate("kept", 0)) if what == "collector" else REFUSED,
        "remove own": tried(lambda: os.unlink("kept")) if what == "collector" else REFUSED,
        "remove": tried(lambda: os.unlink(f"{venv}/../open")),
        "tcp server": tried(lambda: socket.create_server(("127.0.0.1", 0))),
    },
}))
"""


@pytest.fixture(autouse=True)
def _as_root() -> None:
    require_root()


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody can reach."""
    place = Path("/tmp") / f"panotui-confined-{os.getpid()}"
    place.mkdir(mode=0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def closed(home: Path) -> Path:
    """A folder of root's alone, with a capture in it that root alone may read."""
    place = home / "closed"
    place.mkdir(mode=0o700)
    (place / "capture.pcap").write_bytes(beginning())
    (place / "capture.pcap").chmod(0o600)
    return place


@functools.cache
def beginning() -> bytes:
    """A capture of the demo's first packets."""
    source = open_file(str(DEMO / "site.pcapng.zst"))
    batch = source.read(1.0)
    assert batch is not None
    rows = zip(
        *(c[:2_000].tolist() for c in (batch.offset, batch.captured, batch.time_ns)), strict=True
    )
    frames = [made.Frame(bytes(batch.data[at : at + n]), time_ns) for at, n, time_ns in rows]
    source.close()
    return made.pcap(frames)


def run(
    *arguments: str, cwd: Path, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    return subprocess.run(
        [*PANOTUI, *arguments], capture_output=True, text=True, cwd=cwd, check=False, timeout=300,
        env={**environment, "PYTHONPATH": str(REPOSITORY), **(more or {})},
    )  # fmt: skip


@pytest.mark.parametrize("more", [{}, SUDO], ids=["root", "sudo"])
def test_what_reads_can_reach_nothing_else(home: Path, more: dict[str, str]) -> None:
    secret = home / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    venv = home / "program" / "venv"
    venv.mkdir(parents=True)
    (home / "program" / "secret").write_text("everybody may read this")
    out = home / "out"
    out.mkdir()
    os.chown(out, USER, USER)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, str(secret), str(venv), str(out)],
        capture_output=True, text=True, cwd=REPOSITORY, env={**environment, **more}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((out / "answer").read_text())
    assert (out / "answer").stat().st_uid == int(more.get("SUDO_UID", 0))
    assert found.pop("uid") == (USER if more else privileges.target()[0]) != 0
    assert found.pop("own library") == "done"
    assert found.pop("root's file") == "Permission denied"
    if not landlock.version():
        pytest.skip("this kernel has no Landlock: only the drop could be tried")
    assert found.pop("tcp") in ("Permission denied", "Network is unreachable")
    assert found.pop("udp") == "Network is unreachable"
    assert set(found.values()) == {"Permission denied"}, found
    assert not Path("/tmp/panotui-planted").exists()


@pytest.mark.parametrize("more", [{}, SUDO], ids=["root", "sudo"])
@pytest.mark.parametrize(
    "what",
    ["recorder", "alerting recorder", "collector", "screen", "metrics", "sent metrics", "analysis"],
)
def test_what_runs_on_can_reach_nothing_but_its_output(
    home: Path, what: str, more: dict[str, str]
) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    secret = home / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    venv = home / "program" / "venv"
    venv.mkdir(parents=True)
    venv.chmod(0o777)
    (home / "program").chmod(0o777)
    for name in ("secret", "open"):
        (home / "program" / name).write_text("everybody may read this")
        (home / "program" / name).chmod(0o666)
    out = home / "out"
    (out / "spare").mkdir(parents=True)
    uid = USER if more else privileges.target()[0]
    for place in (out, out / "spare"):
        os.chown(place, uid, uid)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")}
    done = subprocess.run(
        [sys.executable, "-c", SHUT_IN, what, str(secret), str(venv), str(out)],
        capture_output=True, text=True, cwd=REPOSITORY, check=False,
        env={**environment, "OPENBLAS_NUM_THREADS": "1", **more},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["uid"], found["threads"], found["shut"]) == (uid, 1, True)
    assert found["own library"] == "done"
    assert found["own place"] == ("Permission denied" if "metrics" in what else "done")
    network = "done" if what in ("alerting recorder", "sent metrics") else "Permission denied"
    if landlock.version() >= landlock.TCP_SINCE:
        assert found["tcp"] == network
        assert found["refused"].pop("tcp server").startswith("Permission denied")
    assert set(found["refused"].values()) == {"Permission denied"}, found["refused"]
    assert (home / "program" / "open").read_text() == "everybody may read this"


@pytest.mark.parametrize("arguments", [["analyze", "-"], ["report", "-"], ["init", "-"]])
def test_root_is_gone_before_the_first_byte(home: Path, arguments: list[str]) -> None:
    process = subprocess.Popen(
        [*PANOTUI, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd=REPOSITORY,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        process.stdin.write(b"\n")
        process.stdin.flush()
        until = time.monotonic() + 60
        while waiting(process.stdin.fileno()):
            assert time.monotonic() < until
            time.sleep(0.001)
        state = privileges.state(Path(f"/proc/{process.pid}/status").read_text())
        assert state.none_left
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def waiting(pipe: int) -> int:
    """Bytes in a pipe that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_root_reads_and_writes_where_nobody_else_may(closed: Path) -> None:
    temporary = closed.parent / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    more = {"TMPDIR": str(temporary)}
    done = run("report", "capture.pcap", "-o", "page.html", cwd=closed, more=more)
    assert (done.returncode, done.stderr) == (0, "")
    status = (closed / "page.html").stat()
    assert (status.st_uid, status.st_nlink) == (0, 1)
    assert "</html>" in (closed / "page.html").read_text()
    done = run(
        "analyze", "capture.pcap", "--csv", "a/tables", "--eve", "eve.json", cwd=closed, more=more
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (closed / "a" / "tables" / "flows.csv").stat().st_size > 1000
    assert (closed / "eve.json").read_text().startswith("{")
    done = run("compare-captures", "capture.pcap", "capture.pcap", cwd=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No stream loses a packet between A and B")
    assert run("init", "capture.pcap", "-o", "site.toml", cwd=closed).returncode == 0
    assert (closed / "site.toml").read_text().startswith("#")
    assert sorted(path.name for path in closed.iterdir()) == [
        "a", "capture.pcap", "eve.json", "page.html", "site.toml",
    ]  # fmt: skip
    assert list(temporary.iterdir()) == []


def test_who_called_sudo_writes_with_rights_of_his_own(home: Path, closed: Path) -> None:
    precious = closed / "precious"
    precious.write_text("precious")
    desk = home / "desk"
    desk.mkdir()
    os.chown(desk, USER, USER)
    (desk / "link").symlink_to(precious)
    capture = str(closed / "capture.pcap")
    for target in (desk / "link", closed / "page.html"):
        done = run("report", capture, "-o", str(target), cwd=home, more=SUDO)
        assert done.returncode == 2, done
        assert len(done.stderr.splitlines()) == 1
        assert str(target) in done.stderr
    assert precious.read_text() == "precious"
    assert not (closed / "page.html").exists()
    done = run("report", capture, "-o", str(desk / "page.html"), cwd=home, more=SUDO)
    assert (done.returncode, done.stderr) == (0, "")
    assert (desk / "page.html").stat().st_uid == USER


def test_who_called_sudo_reads_captures_and_nothing_else(home: Path, closed: Path) -> None:
    secret = closed / "secret.toml"
    secret.write_text("[[camera]]\npassword = 'hunter2'\n")
    secret.chmod(0o600)
    for arguments in (["analyze", str(secret)], ["analyze", "/etc/shadow"]):
        done = run(*arguments, cwd=home, more=SUDO)
        assert done.returncode == 3
        assert "may not read it" in done.stderr
        assert "hunter2" not in done.stderr
    assert run("analyze", str(closed / "capture.pcap"), cwd=home, more=SUDO).returncode == 0


def recorded(folder: Path, owner: int) -> Path:
    """A recording that belongs to somebody."""
    place = record_capture([str(folder / "capture.pcap")], Site(), "", folder / "r.panotui")
    for part in (place, *place.rglob("*")):
        os.chown(part, owner, owner)
        part.chmod(0o700 if part.is_dir() else 0o600)
    return place


@pytest.mark.parametrize("owner", [0, 65_534, USER, USER + 1])
def test_a_recording_is_read_whoever_it_belongs_to(closed: Path, owner: int) -> None:
    place = recorded(closed, owner)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    done = run("analyze", "--json", str(place), cwd=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["source"]["packets"] == 2_000
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    done = run("report", str(place), "--markdown", cwd=closed, more=SUDO)
    if owner == USER + 1:  # another person's
        assert done.returncode == 3
        assert f"belongs to user {owner}" in done.stderr
    else:
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("form", ["analyze", "report"])
def test_evidence_that_only_root_may_read_is_listed(closed: Path, form: str) -> None:
    place = closed / "r.panotui"
    shutil.copytree(REPOSITORY / "tests" / "data" / "recordings" / "format3.panotui", place)
    sums = {hashlib.sha256(kept.read_bytes()).hexdigest() for kept in place.glob("evidence/*")}
    named = ("report", str(place), "--markdown")
    if form == "analyze":
        named = ("analyze", "--json", str(place))
    listed = []
    for is_closed in (False, True):
        for part in (place, *place.rglob("*")):
            part.chmod((0o700 if part.is_dir() else 0o600) if is_closed else 0o755)
        done = run(*named, cwd=closed)
        assert (done.returncode, done.stderr) == (0, "")
        listed.append({one for one in sums if one in done.stdout})
        assert "changed since" not in done.stdout
    assert listed[0] == listed[1]
    assert listed[0] == sums  # also that of the last second, which is not whole


def test_evidence_is_taken_out_with_no_rights_of_roots(home: Path, closed: Path) -> None:
    place = home / "r.panotui"
    shutil.copytree(REPOSITORY / "tests" / "data" / "recordings" / "format3.panotui", place)
    desk = home / "desk"
    desk.mkdir()
    for part in (desk, place, *place.rglob("*")):
        os.chown(part, USER, USER)
    named = ("evidence", str(place), "finding:tcp-blocked|10.20.0.1:8443", "-o")
    done = run(*named, str(closed / "planted.pcapng"), cwd=home, more=SUDO)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert not (closed / "planted.pcapng").exists()
    mine = desk / "mine.pcapng"
    done = run(*named, str(mine), cwd=home, more=SUDO)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(mine) in done.stdout
    assert (mine.stat().st_uid, mine.read_bytes()[:4]) == (USER, b"\x0a\x0d\x0d\x0a")
    assert run(*named, str(mine), cwd=home, more=SUDO).returncode == 2  # it is there already
    for kept in list((place / "evidence").iterdir()):  # root's packets in the place of its own
        kept.rename(closed / kept.name)
        (closed / kept.name).chmod(0o600)
        os.chown(closed / kept.name, 0, 0)
        kept.symlink_to(closed / kept.name)
    done = run(*named, str(desk / "theirs.pcapng"), cwd=home, more=SUDO)
    assert done.returncode == 2
    assert not (desk / "theirs.pcapng").exists()


def test_a_set_up_of_somebody_else_is_not_read_for_who_called_sudo(closed: Path) -> None:
    (closed / "config.toml").write_text("[secret]\n")
    (closed / "config.toml").chmod(0o600)
    named = ("config", "--check", "--config", str(closed / "config.toml"))
    assert "secret" in run(*named, cwd=closed).stderr + run(*named, cwd=closed).stdout
    done = run(*named, cwd=closed, more=SUDO)
    assert "Permission denied" in done.stderr
    assert "secret is" not in done.stdout + done.stderr


def test_several_recordings_out_of_reach_share_a_page(closed: Path) -> None:
    places = [closed / "one", closed / "two"]
    for place in places:
        place.mkdir(mode=0o700)
        shutil.copy(closed / "capture.pcap", place)
        recorded(place, privileges.target()[0])
    done = run("report", *(str(p / "r.panotui") for p in places), "--markdown", cwd=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("10.20.0.11") >= 2


def test_several_captures_are_metered_by_processes_without_rights(closed: Path) -> None:
    code = (
        "import sys; from panotui.runtime import side_by_side as s; s.WORTH_BYTES = 0;"
        "s._cores = lambda: 2; from panotui.__main__ import main; sys.exit(main())"
    )
    shutil.copy(closed / "capture.pcap", closed / "second.pcap")
    (closed / "second.pcap").chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", code, "analyze", "--json", "capture.pcap", "second.pcap"],
        capture_output=True, text=True, cwd=closed, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["source"]["packets"] == 4_000


def test_the_places_of_the_program_hold_nothing_of_its_neighbours() -> None:
    places = [os.path.realpath(place) for place in landlock.own_places()]
    assert str(REPOSITORY / "panotui") in places
    assert str(REPOSITORY) not in places
    assert str(REPOSITORY.parent) not in places
    assert "/" not in places
    assert "/home" not in places
    assert not any(stat.S_ISSOCK(os.stat(p).st_mode) for p in places if os.path.exists(p))
