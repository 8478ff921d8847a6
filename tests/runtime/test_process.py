"""A forked meter's process: what it keeps of its parent, and when it goes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from panotui.runtime.process import ForkedProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="live meters are Linux's")

PROGRAM = """
import json, os, signal, sys, tempfile
from pathlib import Path
from panotui.runtime.process import END_S, end_meter, fork_meter

def serve(asked, told):
    kept = {}
    for number in set(map(int, os.listdir("/proc/self/fd"))) - {asked.fileno(), told.fileno()}:
        try:
            kept[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass  # the listing's own
    told.write(json.dumps({
        "kept": kept,
        "leads": os.getsid(0) == os.getpid(),
        "title": Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode(),
        "deaf": [signal.getsignal(n) == signal.SIG_IGN for n in (2, 15, 1)],
    }).encode() + b"\\n")
    told.flush()
    if asked.read(1) == b"x":
        raise KeyError("a fault")

os.close(0)  # a pipe must not take its place
secret = tempfile.TemporaryFile()
folder = os.open("/usr", os.O_PATH | os.O_DIRECTORY)
first, second, third = (fork_meter(serve) for _ in range(3))
said = [json.loads(child.stdout.readline()) for child in (first, second, third)]
end_meter(first)  # though the others were forked after its pipes were made
codes = [first.wait(0)]
second.kill()
codes.append(second.wait(END_S))
third.stdin.write(b"x")
third.stdin.flush()
codes.append(third.wait(END_S))
print(json.dumps({"said": said, "folder": folder, "codes": codes}))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "a long enough argument"], capture_output=True, text=True,
        timeout=300, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_it_keeps_nothing_open_but_stderr_and_folders(told: dict[str, Any]) -> None:
    for child in told["said"]:
        folder = str(told["folder"])
        assert child["kept"].keys() == {"0", "1", "2", folder}
        assert child["kept"]["0"] == child["kept"]["1"] == "/dev/null"
        assert child["kept"][folder] == "/usr"


def test_it_has_a_session_and_a_title_of_its_own_and_leaves_signals_to_its_parent(
    told: dict[str, Any],
) -> None:
    for child in told["said"]:
        assert child["leads"]
        assert child["title"] == "panotui _meter"
        assert child["deaf"] == [True] * 3


def test_it_goes_with_its_pipes_and_tells_how(told: dict[str, Any]) -> None:
    assert told["codes"] == [0, -signal.SIGKILL, 70]


def test_waiting_for_one_that_goes_on_has_an_end() -> None:
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    process = ForkedProcess(child.pid, child.stdin, child.stdout)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    child.returncode = 0  # it has been waited for
