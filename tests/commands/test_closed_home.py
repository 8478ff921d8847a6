"""Every command as root runs it from a home that is closed to everybody else.

What drops root must have read, or hold open, all that it needs by then: no file of the program, of
its libraries or of the interpreter is opened later.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from panotui.feed.client import FeedClient
from panotui.model.baseline import Baseline
from panotui.sources.files.source import open_file
from panotui.views.frames import Command, Done, Frame, View
from tests.commands.closed_home import PANOTUI, USERS, ClosedHome, is_closed
from tests.lab.netns import Namespace, require_root, veth
from tests.tui.terminals import Terminal

RECORDING = Path(__file__).parents[1] / "data" / "recordings" / "format3.panotui"
DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"
USER_NAMES = ["root", "sudo"]

SENDER = """
import socket, struct, sys, time
data = open(sys.argv[1], "rb").read()
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("far0", 0))
while True:
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<H", data, at)
        out.send(data[at + 2 : at + 2 + size])
        at += 2 + size
        time.sleep(0.0005)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClosedHome]:
    require_root()
    made = ClosedHome(tmp_path_factory.mktemp("closed"))
    yield made
    made.close()


@pytest.fixture(params=USERS, ids=USER_NAMES)
def environment(request: pytest.FixtureRequest, home: ClosedHome) -> dict[str, str]:
    home.read_late()
    return {**home.environment, **request.param}


def run(
    home: ClosedHome, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PANOTUI, *arguments], capture_output=True, text=True, timeout=600, check=False,
        env=environment, cwd=home.folder,
    )  # fmt: skip


def screen(home: ClosedHome, environment: dict[str, str], *arguments: str, within: Namespace | None
           = None) -> Terminal:  # fmt: skip
    command = ["/usr/bin/env", "-C", str(home.folder), *PANOTUI, *arguments]
    if within is not None:
        command = ["/usr/bin/env", *within.command(command)]
    return Terminal(command=command, environment=environment, columns=180, rows=30)


def use(terminal: Terminal) -> list[Path]:
    """Look at every pane, at details and the help, and export a table and a detail."""
    terminal.until(terminal.shows("WHAT TO DO"), 60)
    for key, title in zip("3456721", ("STREAMS", "ENDPOINTS", "VIOLATIONS", "FINDINGS", "EVENTS",
                                      "FLOWS", "PORTS"), strict=True):  # fmt: skip
        terminal.type(key)
        terminal.until(terminal.shows(title))
    terminal.type("?")
    terminal.until(terminal.shows("KEYS THAT WORK HERE"))
    terminal.type("q2")
    terminal.until(terminal.shows("VERDICT"))
    terminal.type("/app:dns\r")
    terminal.until(lambda: filtered(terminal, "app:dns"), 60)
    terminal.type("e")
    terminal.until(terminal.shows("rows written to"))
    paths = [written(terminal)]
    terminal.type("j")
    terminal.during(0.5)
    terminal.type("\r")
    terminal.until(terminal.shows("NAMES"))
    terminal.type("e")
    terminal.until(lambda: "rows" not in terminal.text() and "written to" in terminal.text())
    return [*paths, written(terminal)]


def filtered(terminal: Terminal, text: str) -> bool:
    """The table has rows, and they are those that the filter lets through."""
    lines = terminal.screen.display
    heads = [n for n, line in enumerate(lines) if f"filter {text} " in line and " 1-" in line]
    word = text.rpartition(":")[2]
    return bool(heads) and any(f" {word}" in line.lower() for line in lines[heads[0] + 1 :])


def written(terminal: Terminal) -> Path:
    """The file that the screen says it has written."""
    terminal.during(0.3)  # it is drawn whole
    (line,) = (line for line in terminal.text().splitlines() if "written to" in line)
    return Path(line.partition("written to ")[2].split()[0])


def leave(terminal: Terminal) -> None:
    terminal.type("q")
    terminal.during(0.3)
    terminal.type("q")
    assert terminal.ended(60) == 0, terminal.text()
    assert terminal.restored()


def remove(paths: list[Path]) -> None:
    """Take away what was exported; it holds what its name says."""
    for path in paths:
        text = path.read_text()
        path.unlink()
        assert "dns" in text, path


# ------------------------------------------------------------------ without capture


def test_the_copy_is_closed_and_the_one_that_runs(
    home: ClosedHome, environment: dict[str, str]
) -> None:
    assert is_closed(home.folder)
    assert is_closed(home.program / "panotui" / "tui" / "app.py")
    said = subprocess.run(
        [sys.executable, "-c", "import panotui; print(panotui.__file__)"],
        capture_output=True, text=True, env=environment, cwd="/", check=True,
    ).stdout  # fmt: skip
    assert said.strip() == str(home.program / "panotui" / "__init__.py")


def test_the_watch_sees_what_is_read_after_the_drop(
    home: ClosedHome, environment: dict[str, str]
) -> None:
    code = (
        "import os; os.setresuid(65534, 65534, 65534)\n"
        "try:\n    open(os.__file__)\nexcept PermissionError:\n    print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "refused\n"
    assert [line.rpartition("/")[2] for line in home.read_late()] == ["os.py"]


def test_the_demo_plays(home: ClosedHome, environment: dict[str, str]) -> None:
    with screen(home, environment, "demo") as terminal:
        paths = use(terminal)
        leave(terminal)
    remove(paths)
    assert home.read_late() == []


@pytest.mark.parametrize("arguments", [("demo",), ("analyze", str(DEMO / "site.pcapng.zst"))])
def test_without_a_terminal_the_answer_is_printed(
    arguments: tuple[str, ...], home: ClosedHome, environment: dict[str, str]
) -> None:
    done = run(home, environment, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CAMERAS  2 of 2 streaming" in done.stdout


def test_a_capture_is_analysed_reported_and_reviewed(
    home: ClosedHome, environment: dict[str, str]
) -> None:
    capture = home.folder / "own.pcapng.zst"
    capture.write_bytes((DEMO / "site.pcapng.zst").read_bytes())
    done = run(home, environment, "analyze", "--json", str(capture), str(capture))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["cameras"]) == 2
    page = Path("page.html")
    if "SUDO_UID" in environment:  # who called may not write into root's folder
        page = Path(f"/tmp/panotui-page-{os.getpid()}.html")
    done = run(home, environment, "report", str(capture), "-o", str(page))
    assert (done.returncode, done.stderr) == (0, "")
    assert "logs.us-east-1.amazonaws.com" in (home.folder / page).read_text()
    (home.folder / page).unlink()
    with screen(home, environment, "review", str(capture)) as terminal:
        paths = use(terminal)
        leave(terminal)
    assert [path.parent for path in paths] == [Path("/tmp")] * 2  # root's folder is closed by then
    remove(paths)


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("policy", "show"), ("service",), ("config",), ("config", "--path")]
)
def test_what_needs_no_packets_answers(
    arguments: tuple[str, ...], home: ClosedHome, environment: dict[str, str]
) -> None:
    done = run(home, environment, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_what_reads_recordings_and_captures_answers(
    home: ClosedHome, environment: dict[str, str], open_folder: Path
) -> None:
    """What lies in root's own folder is read, whoever the process is by then."""
    user = environment.get("SUDO_UID", "0")
    recording = home.folder / f"old-{user}.panotui"
    shutil.copytree(RECORDING, recording)
    listed = run(home, environment, "evidence", str(recording))
    assert (listed.returncode, listed.stderr) == (0, "")
    key = "finding:tcp-blocked|10.20.0.1:8443"
    # who called sudo may not write into root's folder
    target = home.folder / "one.pcapng" if user == "0" else Path(f"/tmp/one-{os.getpid()}.pcapng")
    done = run(home, environment, "evidence", str(recording), key, "-o", str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert target.stat().st_size > 100
    target.unlink()
    done = run(home, environment, "days", "--json", str(recording))
    assert (done.returncode, done.stderr) == (0, "")
    capture = home.folder / f"same-{user}.pcapng.zst"
    capture.write_bytes((DEMO / "site.pcapng.zst").read_bytes())
    for form in ((), ("--json",)):
        done = run(home, environment, "compare-captures", *form, str(capture), str(capture))
        assert (done.returncode, done.stderr) == (0, "")
        if form:
            answer = json.loads(done.stdout)
            counted = [answer[side][key] for side in "ab" for key in ("packets", "matched")]
        else:
            said = re.findall(
                r"([0-9,]+) packets, ([0-9,]+) of them also at the other", done.stdout
            )
            counted = [int(number.replace(",", "")) for pair in said for number in pair]
        assert counted == [24_972, 24_944, 24_972, 24_944]  # the others are no IP packets
    done = run(home, environment, "baseline", "learn", str(recording), "-o", "/tmp/site.baseline")
    assert (done.returncode, done.stderr.count("contains no whole minute")) == (3, 1)
    # who called sudo gets no file of root's but captures and recordings
    baseline = (home.folder if user == "0" else open_folder) / f"{user}.baseline"
    baseline.write_bytes(msgspec.json.encode(Baseline(site="plant")))
    done = run(home, environment, "baseline", "show", str(baseline))
    assert (done.returncode, done.stderr) == (0, "")
    done = run(home, environment, "analyze", str(capture), "--baseline", str(baseline))
    assert (done.returncode, done.stderr) == (0, "")
    assert home.read_late() == []


# ------------------------------------------------------------------ on interfaces


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody reads, as no temporary folder of pytest is."""
    with tempfile.TemporaryDirectory(prefix="panotui-open-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames with their sizes: of the demo's site, behind those that are rarest on a port."""
    from scapy.contrib.lacp import LACP, SlowProtocol
    from scapy.layers.eap import EAP, EAPOL
    from scapy.layers.hsrp import HSRP
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.layers.vrrp import VRRP

    src = "00:1b:63:00:00:01"  # of a maker that is listed
    rare = [
        Ether(src=src, dst="01:80:c2:00:00:02") / SlowProtocol() / LACP(),
        Ether(src=src, dst="01:80:c2:00:00:03") / EAPOL(type=0) / EAP(code=1, id=1, type=1),
        Ether(src=src, dst="01:00:5e:00:00:12") / IP(src="10.20.0.1", dst="224.0.0.18", proto=112)
        / VRRP(vrid=1, addrlist=["10.20.0.254"]),
        Ether(src=src, dst="01:00:5e:00:00:02") / IP(src="10.20.0.1", dst="224.0.0.2", ttl=1)
        / UDP(sport=1985, dport=1985) / HSRP(group=1, virtualIP="10.20.0.253"),
    ]  # fmt: skip
    data = b"".join(len(raw).to_bytes(2, "little") + raw for raw in map(bytes, rare))
    source = open_file(str(DEMO / "site.pcapng.zst"))
    batch = source.read(1.0)
    assert batch is not None
    for at, size in zip(batch.offset[:3000].tolist(), batch.captured[:3000].tolist(), strict=True):
        data += size.to_bytes(2, "little") + bytes(batch.data[at : at + size])
    source.close()
    path = tmp_path_factory.mktemp("frames") / "frames"
    path.write_bytes(data)
    return path


@pytest.fixture
def port(frames: Path) -> Iterator[Namespace]:
    """A namespace whose `near0` sees the frames again and again."""
    require_root()
    with Namespace("ptch") as here, Namespace("ptch") as there:
        veth(here, there, "near0", "far0")
        there.popen([sys.executable, "-c", SENDER, str(frames)], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)  # fmt: skip
        yield here


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@pytest.mark.lab
def test_the_live_screen_works(
    port: Namespace, home: ClosedHome, environment: dict[str, str]
) -> None:
    with screen(home, environment, "live", "near0", within=port) as terminal:
        terminal.until(terminal.shows("PORTS"), 60)
        terminal.type("7")
        for name in ("lacp", "802.1x", "vrrp", "hsrp"):
            terminal.type(f"/{name}\r")
            terminal.until(partial(filtered, terminal, name), 60)
            terminal.type("\x1b")  # clears the filter
            terminal.until(lambda: "filter" not in terminal.screen.display[1])
        terminal.type("1")
        paths = use(terminal)
        leave(terminal)
    remove(paths)
    assert home.read_late() == []


@pytest.mark.lab
def test_a_recorder_is_attached_to_and_looked_at_later(
    port: Namespace, home: ClosedHome, environment: dict[str, str], tmp_path: Path
) -> None:
    recording = home.folder / f"night-{environment.get('SUDO_UID', '0')}.panotui"
    socket = recording.with_suffix(".sock")
    errors = tmp_path / "errors"
    recorder = port.popen(
        [*PANOTUI, "record", "near0", "-o", str(recording), "--socket", str(socket)],
        stdout=subprocess.DEVNULL, stderr=errors.open("wb"), env=environment,
        cwd=str(home.folder),
    )  # fmt: skip
    until(socket.exists)
    with screen(home, environment, "attach", str(socket)) as terminal:
        paths = use(terminal)
        leave(terminal)
    assert {path.parent for path in paths} == {recording / "exports"}
    remove(paths)
    scrape(port, home, environment, socket)
    client = FeedClient.connect(str(socket))
    frame = client.ask(View(pane="violations"))
    assert isinstance(frame, Frame)
    for violation in frame.violations[:1]:
        done = client.ask(Command(name="known", key=f"violation:{violation.id}"))
        assert isinstance(done, Done)
    client.close()
    recorder.terminate()
    assert recorder.wait(60) == 0, errors.read_text()
    assert "Traceback" not in errors.read_text()
    assert home.read_late() == []
    assert list((recording / "evidence").iterdir())
    done_ = run(home, environment, "analyze", "--json", str(recording))
    assert (done_.returncode, done_.stderr) == (0, "")
    assert len(json.loads(done_.stdout)["flows"]) > 5
    done_ = run(home, environment, "report", str(recording), "--markdown")
    assert (done_.returncode, done_.stderr) == (0, "")
    with screen(home, environment, "review", str(recording)) as terminal:
        remove(use(terminal))
        leave(terminal)


def scrape(port: Namespace, home: ClosedHome, environment: dict[str, str], socket: Path) -> None:
    """`metrics` answers a scrape when it is nobody any more."""
    server = port.popen(
        [*PANOTUI, "metrics", str(socket), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=environment, cwd=str(home.folder),
    )  # fmt: skip
    assert server.stdout is not None
    place = server.stdout.readline().split()[-1]
    ask = f"import urllib.request as u; print(u.urlopen({place!r}, timeout=300).read().decode())"
    answer = port.run([sys.executable, "-c", ask]).stdout
    assert "panotui_recorder_up 1" in answer
    server.send_signal(signal.SIGINT)
    assert server.wait(60) == 130


@pytest.mark.lab
def test_hosts_are_checked(port: Namespace, home: ClosedHome, environment: dict[str, str]) -> None:
    """In a namespace without a way out: nothing answers, and that is what is said."""
    done = subprocess.run(
        port.command([*PANOTUI, "check", "--json", "--host", "127.0.0.1:9"]), capture_output=True,
        text=True, env=environment, cwd=home.folder, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "127.0.0.1" in done.stdout
    assert json.loads(done.stdout)
    assert home.read_late() == []


@pytest.mark.lab
def test_a_site_file_is_drafted(
    port: Namespace, home: ClosedHome, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        port.command([*PANOTUI, "init", "near0", "--for", "3s"]), capture_output=True, text=True,
        env=environment, cwd=home.folder, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "[site]" in done.stdout
    assert home.read_late() == []


def test_root_alone_may_write_where_the_tests_stand(home: ClosedHome) -> None:
    """Otherwise they would prove nothing of exports."""
    assert os.stat(home.folder).st_uid == 0
