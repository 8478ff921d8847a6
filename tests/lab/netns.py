"""Network namespaces for tests: unique names, veth pairs, everything gone afterwards.

`Namespace(prefix)` is a context manager. What was started in it with `popen` is ended and the
namespace deleted when it closes, when the interpreter exits and on SIGTERM.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import secrets
import signal
import subprocess
import sys
from types import FrameType, TracebackType
from typing import Any

import pytest

_alive: set[Namespace] = set()
_counter = itertools.count(1)


class Namespace:
    """A network namespace with a unique name; `run` and `popen` start programs inside it."""

    def __init__(self, prefix: str = "t") -> None:
        self.name = f"pnt-{prefix}-{os.getpid()}-{next(_counter)}-{secrets.token_hex(2)}"
        self._processes: list[subprocess.Popen[Any]] = []

    def __enter__(self) -> Namespace:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        _alive.add(self)
        self.run(["ip", "link", "set", "lo", "up"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what was started here and delete the namespace; safe to call twice."""
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()
        if self in _alive:
            _alive.discard(self)
            subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    def command(self, args: list[str]) -> list[str]:
        """The argument list that runs `args` inside this namespace."""
        return ["ip", "netns", "exec", self.name, *args]

    def run(
        self, args: list[str], *, check: bool = True, timeout: float = 60, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, output captured as text; CalledProcessError shows stderr."""
        done = subprocess.run(
            self.command(args), capture_output=True, text=True, timeout=timeout, **options
        )
        if check and done.returncode:
            raise RuntimeError(f"{args} in {self.name}: {done.returncode}: {done.stderr.strip()}")
        return done

    def popen(self, args: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start in the background; ended when the namespace closes."""
        options.setdefault("start_new_session", True)
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen(self.command(args), **options)
        self._processes.append(process)
        return process

    def nft(self, rules: str) -> None:
        """Load nftables rules given as text."""
        self.run(["nft", "-f", "-"], input=rules)


def end(process: subprocess.Popen[Any], timeout: float = 3.0) -> None:
    """End a process that a test started, and the group it leads; kill it if it will not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, sign)
            else:
                process.send_signal(sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def veth(a: Namespace, b: Namespace, name_a: str, name_b: str, *, mtu: int = 1500) -> None:
    """A cable between two namespaces; offloads are off, so that frames are what a port shows."""
    a.run(
        ["ip", "link", "add", name_a, "mtu", str(mtu), "type", "veth"]
        + ["peer", "name", name_b, "netns", b.name, "mtu", str(mtu)]
    )
    for ns, name in ((a, name_a), (b, name_b)):
        ns.run(["ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off"], check=False)
        ns.run(["ip", "link", "set", name, "up"])


def require_root() -> None:
    """Skip with one line without root; under CI=true that is a failure."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("the lab needs root")
    pytest.skip("the lab needs root for network namespaces")


def _close_all() -> None:
    for namespace in list(_alive):
        namespace.close()


def _on_term(number: int, frame: FrameType | None) -> None:
    _close_all()
    sys.exit(128 + number)


atexit.register(_close_all)


def clean_up_on_sigterm() -> None:
    """For programs (not under pytest): SIGTERM closes every namespace before the end."""
    signal.signal(signal.SIGTERM, _on_term)
