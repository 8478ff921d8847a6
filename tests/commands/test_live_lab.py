"""The recorder and the screen on real interfaces, in network namespaces."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pyte
import pytest

from panotui.feed.client import FeedClient
from panotui.views.frames import Command, Done, Frame, View
from tests.lab.netns import Namespace, require_root, veth

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "panotui" / "sources" / "demo"
SITE = str(DEMO / "site.toml")
PANOTUI = [sys.executable, "-m", "panotui"]
SPEED = 6
QUESTION = b"\x1b[?2026$p"  # whether a picture has arrived
EVE = json.loads((REPOSITORY / "tests" / "telemetry" / "eve.schema.json").read_text("utf-8"))


class Wire:
    """Two cables; what is replayed on the far ends is seen on `cap0` and `cap1`."""

    def __init__(self, here: Namespace, there: Namespace, captures: tuple[Path, Path]) -> None:
        self.here = here
        self.there = there
        self.captures = captures

    def replay(self) -> list[subprocess.Popen[bytes]]:
        return [
            self.there.popen(
                ["tcpreplay", "-q", "-x", str(SPEED), "-i", f"gen{n}", str(self.captures[n])],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for n in (0, 1)
        ]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The demo's two ports as two classic pcap files."""
    folder = tmp_path_factory.mktemp("demo")
    for tool in ("tcpreplay", "tshark", "editcap", "zstd"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing")
    plain = folder / "demo.pcapng"
    subprocess.run(["zstd", "-dqf", str(DEMO / "site.pcapng.zst"), "-o", str(plain)], check=True)
    made = []
    for number in (0, 1):
        path = folder / f"port{number}.pcap"
        subprocess.run(
            ["tshark", "-r", str(plain), "-Y", f"frame.interface_id == {number}", "-F", "pcap",
             "-w", str(path)],
            check=True, capture_output=True,
        )  # fmt: skip
        made.append(path)
    return made[0], made[1]


@pytest.fixture
def wire(captures: tuple[Path, Path]) -> Iterator[Wire]:
    require_root()
    with Namespace("ptr") as here, Namespace("ptr") as there:
        for number in (0, 1):
            veth(here, there, f"cap{number}", f"gen{number}")
        yield Wire(here, there, captures)


def recorder(wire: Wire, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    process = wire.here.popen(
        [*PANOTUI, "record", "cap0", "cap1", "-o", str(folder / "r"), "--site", SITE,
         "--socket", str(folder / "r.sock"), "--json", *more],
        stdout=subprocess.DEVNULL, stderr=(folder / "err").open("wb"), cwd=REPOSITORY,
    )  # fmt: skip
    wait_for(lambda: (folder / "r.sock").exists(), 90)
    return process


def wait_for(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def analysis(path: Path, *more: str) -> dict[str, object]:
    done = subprocess.run(
        [*PANOTUI, "analyze", "--json", str(path), *more],
        capture_output=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def story(answer: dict[str, object]) -> dict[str, object]:
    """What a person would tell of it."""
    streams = answer["streams"]
    violations = answer["violations"]
    endpoints = answer["endpoints"]
    cameras = answer["cameras"]
    assert isinstance(streams, list)
    assert isinstance(violations, list)
    assert isinstance(endpoints, list)
    assert isinstance(cameras, list)
    return {
        "cameras": sorted(c["name"] for c in cameras),
        "streams": sorted((s["camera"], s["ssrc"], s["codec"], s["transport"]) for s in streams),
        "violations": sorted((v["reason"], v["src"], v["host"]) for v in violations),
        "endpoints": sorted((e["service"], e["host"], e["state"]) for e in endpoints),
    }


def test_killed_recordings_tell_the_story_of_the_tcpdump_beside_them(
    wire: Wire, tmp_path: Path
) -> None:
    beside = tmp_path / "beside.pcapng"
    dump = wire.here.popen(
        ["dumpcap", "-q", "-i", "cap0", "-i", "cap1", "-w", str(beside)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process = recorder(wire, tmp_path)
    wait_for(lambda: beside.exists() and beside.stat().st_size > 0, 90)
    for player in wire.replay():
        player.wait(60)
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    sent = sum(path.stat().st_size for path in wire.captures)
    assert sent > 1_000_000

    def settled() -> bool:
        frame = client.ask(View())
        assert isinstance(frame, Frame)
        assert frame.header.lost == 0
        return frame.header.counts.violations_open + frame.header.counts.violations_past > 0

    wait_for(settled, 90)
    time.sleep(2.5)  # two more commits: nothing can be awaited of what is about to be killed
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    dump.send_signal(signal.SIGINT)
    dump.wait(60)
    recorded = analysis(tmp_path / "r.panotui")
    dumped = analysis(beside, "--site", SITE)
    assert story(recorded) == story(dumped)
    ours = {s["ssrc"]: s for s in recorded["streams"]}  # type: ignore[attr-defined]
    for stream in dumped["streams"]:  # type: ignore[attr-defined]
        mine = ours[stream["ssrc"]]
        for field in ("packets", "lost", "expected", "keyframes"):
            assert mine[field] == stream[field], (field, stream["camera"])


def test_losing_the_terminal_ends_no_recorder_and_sigterm_ends_it_with_zero(
    wire: Wire, tmp_path: Path
) -> None:
    process = recorder(wire, tmp_path, "--alerts", str(tmp_path / "alerts"))
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    assert isinstance(client.ask(View()), Frame)  # it answers only after the drop
    status = Path(f"/proc/{process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] != "0"
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapPrm"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    process.send_signal(signal.SIGHUP)
    for _ in range(3):
        answer = client.ask(View(pane="flows"))
        assert isinstance(answer, Frame)
        assert answer.header.mode == "attach"
        assert answer.header.recorder is not None
    done = client.ask(Command(name="mark", text="cable changed"))
    assert isinstance(done, Done)
    assert done.ok
    second = [*PANOTUI, "record", "cap0", "-o", str(tmp_path / "r"), "--for", "1s"]
    again = subprocess.run(
        wire.here.command(second), cwd=REPOSITORY, check=False, capture_output=True
    )
    assert b"recorder already running" in again.stderr
    assert again.returncode == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert b"Traceback" not in (tmp_path / "err").read_bytes()


def test_an_interrupted_recorder_ends_with_130_and_all_written(wire: Wire, tmp_path: Path) -> None:
    process = recorder(wire, tmp_path)
    players = wire.replay()
    client = FeedClient.connect(str(tmp_path / "r.sock"))

    def flows() -> bool:
        frame = client.ask(View())
        assert isinstance(frame, Frame)
        return frame.header.counts.flows > 5

    wait_for(flows, 90)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    for player in players:
        player.terminate()
        player.wait(60)
    answer = analysis(tmp_path / "r.panotui")
    assert len(answer["flows"]) > 5  # type: ignore[arg-type]


class Screen:
    """A program on a pseudo-terminal of 80x24."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self._terminal = os.forkpty()
        if self.pid == 0:
            os.chdir(REPOSITORY)
            environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
            os.execvpe(command[0], command, environment)
        size = struct.pack("HHHH", 24, 80, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self._tail = b""  # of a question that came in two reads

    def pump(self, seconds: float) -> bool:
        """Take what comes; false when the program has closed its terminal."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:
            return False
        ended = not data
        data = self._tail + data
        for _ in range(data.count(QUESTION)):
            os.write(self._terminal, b"\x1b[?2026;2$y")
        data = data.replace(QUESTION, b"")
        kept = next((n for n in range(len(QUESTION) - 1, 0, -1) if data.endswith(QUESTION[:n])), 0)
        data, self._tail = data[: len(data) - kept], data[len(data) - kept :]
        self._stream.feed(data)
        return not ended

    def text(self) -> str:
        return "\n".join(self._screen.display)

    def shows(self, words: list[str]) -> bool:
        """Whether all words are there; a line may break between two of them."""
        text = self.text()
        joined = " ".join(text.split())
        return all(word in text or word in joined for word in words)

    def until(self, words: list[str], seconds: float) -> float:
        began = time.monotonic()
        while not self.shows(words):
            assert self.pump(0.1), self.text()
            assert time.monotonic() - began < seconds, self.text()
        return time.monotonic() - began

    def press(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def ended(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        while self.pump(0.1) and time.monotonic() < end:
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"it did not end:\n{self.text()}")


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)])
def test_the_live_screen_shows_both_ports_and_streams_and_ends_cleanly(
    wire: Wire, key: bytes, code: int
) -> None:
    players = wire.replay()
    screen = Screen(wire.here.command([*PANOTUI, "live", "cap0", "cap1", "--site", SITE]))
    screen.until(["eth0", "eth1", "dock", "gate"], 60)
    screen.press(b"2")
    screen.until(["FLOWS", "VERDICT"], 60)
    screen.press(key)
    assert screen.ended(60) == code
    for player in players:
        player.terminate()
        player.wait(60)
    assert "Traceback" not in screen.text()


def test_attach_shows_the_recorder_and_leaves_it_running(wire: Wire, tmp_path: Path) -> None:
    process = recorder(wire, tmp_path)
    screen = Screen([*PANOTUI, "attach", str(tmp_path / "r.sock")])
    screen.until(["eth0", "REC"], 60)
    screen.press(b"q")
    assert screen.ended(60) == 0
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_a_collector_that_dies_is_told_by_the_screen(wire: Wire) -> None:
    screen = Screen(wire.here.command([*PANOTUI, "live", "cap0", "--site", SITE]))
    screen.until(["eth0"], 60)
    found = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    ours = [
        int(line.split()[0])
        for line in found.splitlines()
        if "_collect" in line and int(line.split()[0]) in wire.here.pids()
    ]
    assert len(ours) == 1
    os.kill(ours[0], signal.SIGKILL)
    screen.until(["collector"], 60)
    screen.press(b"q")
    assert screen.ended(60) in (3, 0)
    assert "Traceback" not in screen.text()


def meters_of(pid: int) -> list[int]:
    """The processes of a collector's meters."""
    found = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [int(p) for p, parent, args in rows if int(parent) == pid and "_meter" in args]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_two_ports_have_a_meter_each_and_leave_evidence_of_both(wire: Wire, tmp_path: Path) -> None:
    text = Path(SITE).read_text()
    for number in (0, 1):
        text = text.replace(f'"mir{number}"', f'"cap{number}"')
    assert 'vantage = "mirror"' in text
    site = tmp_path / "site.toml"
    site.write_text(text)
    process = wire.here.popen(
        [*PANOTUI, "record", "-o", str(tmp_path / "r"), "--site", str(site),
         "--socket", str(tmp_path / "r.sock"), "--json"],
        stdout=subprocess.DEVNULL, stderr=(tmp_path / "err").open("wb"), cwd=REPOSITORY,
    )  # fmt: skip
    wait_for(lambda: (tmp_path / "r.sock").exists(), 90)
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    assert isinstance(client.ask(View()), Frame)
    meters = meters_of(process.pid)
    assert len(meters) == 2
    players = wire.replay()

    def leaked() -> bool:
        frame = client.ask(View(pane="violations"))
        assert isinstance(frame, Frame)
        return any(v.reason == "stream-leak" for v in frame.violations)

    wait_for(leaked, 90)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (tmp_path / "err").read_text()
    for player in players:
        player.terminate()
        player.wait(60)
    assert not any(map(is_alive, meters))
    evidence = tmp_path / "r.panotui" / "evidence"
    (leak,) = evidence.glob("*stream-leak*.pcapng")
    names = subprocess.run(
        ["tshark", "-r", str(leak), "-T", "fields", "-e", "tls.handshake.extensions_server_name"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "p2p.vendor.example" in names
    (control,) = evidence.glob("*control.pcapng")
    seen = subprocess.run(
        ["tshark", "-r", str(control), "-T", "fields", "-e", "frame.interface_name"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert {"cap0", "cap1"} <= set(seen.split())


def test_a_recorder_whose_meter_dies_writes_what_it_has_and_says_so(
    wire: Wire, tmp_path: Path
) -> None:
    process = recorder(wire, tmp_path)
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    assert isinstance(client.ask(View()), Frame)
    (meter,) = meters_of(process.pid)  # nobody says that the ports are not one bridge's
    time.sleep(2.5)
    os.kill(meter, signal.SIGKILL)
    assert process.wait(60) == 70
    words = (tmp_path / "err").read_text().splitlines()
    assert words[-1].startswith("panotui: capture on cap0 and cap1: its meter was killed by")
    assert "Traceback" not in "".join(words)
    assert analysis(tmp_path / "r.panotui")["source"]


def test_a_meter_has_no_privilege_and_nothing_open_but_its_pipes_and_ring(
    wire: Wire, tmp_path: Path
) -> None:
    process = recorder(wire, tmp_path)
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    assert isinstance(client.ask(View()), Frame)
    (meter,) = meters_of(process.pid)
    status = Path(f"/proc/{meter}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split() + fields["Gid"].split()
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    opened = {os.readlink(entry) for entry in Path(f"/proc/{meter}/fd").iterdir()}
    assert sum(where.startswith("pipe:") for where in opened) == 2
    assert sum(where.startswith("socket:") for where in opened) == 2  # a ring an interface
    others = {where for where in opened if not where.startswith(("pipe:", "socket:"))}
    assert all(
        where == "/dev/null" or where == str(tmp_path / "err") or Path(where).is_dir()
        for where in others
    ), others


def test_no_meter_outlives_its_collector(wire: Wire, tmp_path: Path) -> None:
    process = recorder(wire, tmp_path)
    client = FeedClient.connect(str(tmp_path / "r.sock"))
    assert isinstance(client.ask(View()), Frame)
    meters = meters_of(process.pid)
    assert meters
    process.kill()
    process.wait(60)
    wait_for(lambda: not any(map(is_alive, meters)), 90)


def hear(systemd: socket.socket, heard: list[str], ended: threading.Event) -> None:
    """What a service says, until it has ended and nothing is left."""
    while True:
        try:
            heard.append(systemd.recv(4096).decode())
        except TimeoutError:
            if ended.is_set():
                return


def test_what_leaves_a_recorder_while_it_runs_is_what_it_records(
    wire: Wire, tmp_path: Path
) -> None:
    """Status lines, EVE, Zeek's log and what systemd hears, from start to end."""
    os.chmod(tmp_path, 0o755)
    zeek = tmp_path / "zeek"
    zeek.mkdir()
    notify = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        notify.chmod(0o666)
        systemd.settimeout(0.2)
        heard: list[str] = []
        ended = threading.Event()
        listening = threading.Thread(target=hear, args=(systemd, heard, ended))
        listening.start()
        with (tmp_path / "status").open("wb") as status:
            process = wire.here.popen(
                [*PANOTUI, "record", "cap0", "cap1", "-o", str(tmp_path / "r"), "--site", SITE,
                 "--socket", str(tmp_path / "r.sock"), "--json",
                 "--eve", str(tmp_path / "eve.json"), "--zeek", str(zeek)],
                stdout=status, stderr=(tmp_path / "err").open("wb"), cwd=REPOSITORY,
                env={**os.environ, "NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "6000000"},
            )  # fmt: skip
        wait_for(lambda: (tmp_path / "r.sock").exists(), 90)
        client = FeedClient.connect(str(tmp_path / "r.sock"))
        assert isinstance(client.ask(View()), Frame)
        for replay in wire.replay():
            assert replay.wait(120) == 0
        time.sleep(3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        ended.set()
        listening.join(10)
    assert (tmp_path / "err").read_bytes().count(b"Traceback") == 0
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    assert heard.count("WATCHDOG=1") >= 4
    assert any(line.startswith("STATUS=recording 00:00:") for line in heard)

    lines = [json.loads(line) for line in (tmp_path / "status").read_text().splitlines()]
    assert len(lines) >= 8
    last = lines[-1]
    assert {line["schema"] for line in lines} == {"panotui.status/1"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", last["time"])
    assert [i["name"] for i in last["interfaces"]] == ["cap0", "cap1"]
    assert sum(i["packets"] for i in last["interfaces"]) == last["packets"] > 10_000
    missed = sum(i["dropped_ring"] + i["dropped_interface"] for i in last["interfaces"])
    assert missed == last["lost"]
    assert all(i["present"] for i in last["interfaces"])
    assert 0 < last["cpu"]["engine_s"] < 120
    assert 0 < last["cpu"]["meters_s"] < 120
    assert lines[0]["cpu"]["engine_share"] is None
    assert last["cpu"]["engine_share"] >= 0
    assert last["alerts"] == []

    recorded = analysis(tmp_path / "r.panotui")
    flows = recorded["flows"]
    assert isinstance(flows, list)
    events = [json.loads(line) for line in (tmp_path / "eve.json").read_text().splitlines()]
    validator = jsonschema.Draft202012Validator(EVE)
    for event in events:
        validator.validate(event)
    by_kind = Counter(event["event_type"] for event in events)
    assert by_kind["flow"] == len(flows)
    assert by_kind["alert"] == len(recorded["violations"])  # type: ignore[arg-type]
    assert by_kind["tls"] >= 5
    assert by_kind["stats"] >= 2

    log = (zeek / "conn.log").read_text().splitlines()
    assert log[5].startswith("#open\t20")
    assert log[-1].startswith("#close\t20")
    assert len([line for line in log if not line.startswith("#")]) == len(flows)
