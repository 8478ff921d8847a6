"""A meter's process: start it, talk to it through two pipes, and end it.

For captures the program is started again (`start_meter`). A live meter is a fork of the collector
(`fork_meter`): all modules loaded by then stay shared memory until one of the two writes to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

import panotui

END_S = 2.0  # for a child to exit by itself, and again after a signal
POLL_S = 0.01
TITLE = "panotui _meter"
START = os.path.abspath(sys.path[0]) if sys.path else ""  # before the search path is changed


class Process(Protocol):
    """The part of a child process used here; `subprocess.Popen` implements it."""

    pid: int

    @property
    def stdin(self) -> IO[bytes] | None: ...

    @property
    def stdout(self) -> IO[bytes] | None: ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus the signal. subprocess.TimeoutExpired."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def start_meter(*arguments: str) -> subprocess.Popen[bytes]:
    """Start `panotui _meter` with `arguments` and a pipe each way. It has its own session, so that
    Ctrl-C goes to the parent and its share of a busy machine is its own. It exits when its pipes
    end.
    """
    command, environment = own_program()
    return subprocess.Popen(
        [*command, "_meter", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )


def own_program() -> tuple[list[str], dict[str, str]]:
    """(command, environment) that start this same copy of the program again.

    The current folder is not searched for modules, as plain `-m` would: root may be in a folder
    where somebody else has placed another `panotui`.
    """
    environment = dict(os.environ)
    home = str(Path(panotui.__file__).parent.parent)
    if not sys.flags.safe_path and home == START:  # run from its source tree, which `-P` leaves out
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{home}{os.pathsep}{known}" if known else home
    return [sys.executable, "-P", "-m", "panotui"], environment


class ForkedProcess:
    """A forked child with a pipe each way."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus the signal. subprocess.TimeoutExpired."""
        ends = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # our parent must not be notified about a child
                self._code = 0
                break
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= ends:
                raise subprocess.TimeoutExpired(TITLE, timeout or 0.0)
            else:
                time.sleep(POLL_S)
        return self._code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._code is None:
            os.kill(self.pid, number)


def fork_meter(
    serve: Callable[[IO[bytes], IO[bytes]], None], *, keep: Sequence[int] = (), title: str = TITLE
) -> ForkedProcess:
    """A copy of this process that only serves requests from one pipe to another with `serve`, in
    its own session, with the descriptors `keep`. It exits when its pipes end.

    Call it in a process without threads. The caller has loaded all modules that the meter needs,
    once for all meters.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # no pipe may get the number of a closed standard stream
    os.close(number)
    asked, ask = os.pipe()
    tell, told = os.pipe()
    gc.freeze()  # a garbage collection would write to every object, and so copy its page
    pid = os.fork()
    if pid:
        os.close(asked)
        os.close(told)
        return ForkedProcess(pid, os.fdopen(ask, "wb"), os.fdopen(tell, "rb"))
    code = 70
    try:
        os.setsid()
        # The parent ends us by closing the pipes. The collector handles signals sent to the whole
        # terminal or service, because it still needs our last second.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _keep_only(asked, told, *keep)
        with contextlib.suppress(OSError, ValueError, IndexError):
            _show_as(title)
        serve(os.fdopen(asked, "rb"), os.fdopen(told, "wb"))
        code = 0
    finally:
        os._exit(code)  # the copy must not end, write or report anything of the parent's


def _keep_only(*ours: int) -> None:
    """Close the parent's descriptors, except stderr and folders of modules."""
    import fcntl  # not there on every system that reads captures

    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            folder = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_PATH
            if number > 2 and number not in ours and not folder:
                os.close(number)


def _show_as(title: str) -> None:
    """Set the name that `ps` shows: proc(5), stat has the address of the command line."""
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(stat[45]), int(stat[46])
    if 0 < start < end:
        room = end - start
        ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)


def how_ended(code: int) -> str:
    """The words after "it" for an exit code or (negative) a signal."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def end_meter(process: Process) -> None:
    """End it, gracefully at first; returns when it has exited."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    for ask in (process.terminate, process.kill):
        try:
            process.wait(END_S)
            return
        except subprocess.TimeoutExpired:
            ask()
    process.wait()
