"""A real scheduler of Dask, workers and an S3 server, each a process on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

TIMEOUT_S = 120
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody answers there."""
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args} ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise AssertionError(f"nobody answers on {port}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Its whole group: a nanny has a worker of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Cluster:
    """Its address, and its workers' processes (without nannies: a killed one stays away)."""

    def __init__(self, address: str, env: dict[str, str], folder: Path) -> None:
        self.address = address
        self.workers: list[subprocess.Popen[bytes]] = []
        self._env = env
        self._folder = folder

    def add_worker(self) -> subprocess.Popen[bytes]:
        log = (self._folder / f"worker-{len(self.workers)}.log").open("wb")
        with log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", self.address, "--no-nanny",
                 "--nthreads", "1", "--memory-limit", "1GB", "--no-dashboard",
                 "--local-directory", str(self._folder)],
                env=self._env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.workers.append(worker)
        return worker


@contextlib.contextmanager
def cluster(folder: Path, env: dict[str, str], workers: int) -> Iterator[Cluster]:
    port = free_port()
    log = (folder / "scheduler.log").open("wb")
    with log:
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", str(port), "--no-dashboard"],
            env=env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    made = Cluster(f"tcp://127.0.0.1:{port}", env, folder)
    try:
        wait_for(port, scheduler)
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        for process in (*made.workers, scheduler):
            stop(process)


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """The environment that leads to it."""
    port = free_port()
    log = (folder / "s3.log").open("wb")
    with log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **CREDENTIALS}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(port, server)
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    finally:
        stop(server)
