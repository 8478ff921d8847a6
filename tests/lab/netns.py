"""Network namespaces for tests: uniquely named, joined by veth pairs, always gone afterwards.

A `Namespace` is a context manager around `ip netns`; programs run inside it with `run` and `popen`,
and those still running when it closes are ended. `veth` joins two namespaces with a cable whose
offloads are off, so that packets on it look like packets on a real port (no super-segments, real
checksums). Everything is removed at the end of the `with` block, at interpreter exit and on SIGTERM
and SIGHUP. Needs root.
"""

from __future__ import annotations

import atexit
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import IO, Any, TypeAlias

import pytest

File: TypeAlias = int | IO[Any] | None

_open: dict[str, Namespace] = {}
_prepared = False


class Namespace:
    """A network namespace of its own with `lo` up; `name` is unique on this machine.

    `name_prefix` is at most 12 characters, so that the name stays short enough for everything.
    """

    def __init__(self, name_prefix: str = "pt") -> None:
        _prepare_cleanup()
        self.name = f"{name_prefix[:12]}-{os.getpid()}-{secrets.token_hex(3)}"
        self._children: list[subprocess.Popen[Any]] = []
        _open[self.name] = self
        try:
            _ip("netns", "add", self.name)
            self.run(["ip", "link", "set", "lo", "up"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Namespace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def command(self, args: Sequence[str]) -> list[str]:
        """`args` as a command line that runs inside the namespace."""
        return ["ip", "netns", "exec", self.name, *args]

    def run(
        self,
        args: Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = 60,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end; text output is captured. RuntimeError on failure."""
        done = subprocess.run(
            self.command(args),
            capture_output=True,
            text=True,
            timeout=timeout,
            input=input,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(args)} in {self.name}: {done.stderr or done.stdout}")
        return done

    def popen(
        self,
        args: Sequence[str],
        *,
        stdin: File = subprocess.DEVNULL,
        stdout: File = subprocess.PIPE,
        stderr: File = subprocess.PIPE,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        text: bool = True,
    ) -> subprocess.Popen[Any]:
        """Start a program inside, in a process group of its own; it is ended with the namespace."""
        child = subprocess.Popen(
            self.command(args),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            text=text,
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def nft(self, rules: str) -> None:
        """Load nftables rules given as text."""
        self.run(["nft", "-f", "-"], input=rules)

    def pids(self) -> list[int]:
        """The processes that live in this namespace now."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def close(self) -> None:
        """End what runs inside and remove the namespace; its veth ends go with it. Idempotent."""
        if _open.pop(self.name, None) is None:
            return
        for child in self._children:
            _end_group(child, signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(2)
            except subprocess.TimeoutExpired:
                _end_group(child, signal.SIGKILL)
                child.wait(5)
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        for pid in self.pids():  # grandchildren that left their group
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


def veth(a: Namespace, b: Namespace, name_a: str, name_b: str, *, up: bool = True) -> None:
    """Join `a` and `b` with a veth pair; both ends are up and have their offloads off.

    The ends are made under unique temporary names inside `a`, so that equal names (`eth0` and
    `eth0`) and parallel runs do not collide.
    """
    near, far = (f"v{secrets.token_hex(4)}" for _ in range(2))
    a.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", b.name])
    for space, temporary, name in ((a, near, name_a), (b, far, name_b)):
        space.run(["ip", "link", "set", temporary, "name", name])
        offloads_off(space, name)
        if up:
            space.run(["ip", "link", "set", name, "up"])


def offloads_off(space: Namespace, interface: str) -> None:
    """Segmentation, receive merging and checksum offload off."""
    settings = [word for x in ("rx", "tx", "tso", "gso", "gro") for word in (x, "off")]
    space.run(["ethtool", "-K", interface, *settings])


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True, timeout=120)


def end(child: subprocess.Popen[Any], timeout_s: float = 3.0) -> int:
    """End one program that a test started, kindly and then not; its exit status."""
    _end_group(child, signal.SIGTERM)
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end_group(child, signal.SIGKILL)
        return child.wait(5)


def require_root() -> None:
    """Skip with one line without root; under CI=true that is a failure."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("the lab needs root")
    pytest.skip("the lab needs root for its network namespaces")


def _end_group(child: subprocess.Popen[Any], number: signal.Signals) -> None:
    if child.poll() is not None:
        return
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def _close_all() -> None:
    for space in list(_open.values()):
        space.close()


def _prepare_cleanup() -> None:
    global _prepared
    if _prepared:
        return
    _prepared = True
    atexit.register(_close_all)
    if threading.current_thread() is not threading.main_thread():
        return

    for number in (signal.SIGTERM, signal.SIGHUP):
        previous = signal.getsignal(number)
        if previous is not signal.SIG_DFL:
            continue  # someone else cares for this signal; atexit still cleans up

        def end(received: int, frame: FrameType | None) -> None:
            _close_all()
            signal.signal(received, signal.SIG_DFL)
            os.kill(os.getpid(), received)

        signal.signal(number, end)
