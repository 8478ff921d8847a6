"""The driver: finds new captures, passes them to Dask workers, writes the index.

It never holds more than `WAITING_MOST` orders in the scheduler, and loads neither pyarrow nor a
packet library.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from dask import config as dask_config
from distributed import Client, LocalCluster, as_completed

from panotui.errors import PanotuiError, UsageError
from panotui.fleet.entries import Entry, Job, told
from panotui.fleet.index import Index
from panotui.fleet.orders import Order
from panotui.fleet.own_lake import require_own
from panotui.fleet.places import jobs, open_place
from panotui.fleet.shut_in import enter, use_scratch

TRIES = 3  # for a capture whose worker was killed
WAITING_MOST = 4  # orders per worker thread
FLUSH_S = 5.0
SCRATCH = "panotui-fleet-"
JOIN_S = 60.0  # how long a scheduler may have no worker


class Outcome(msgspec.Struct):
    """The result of one run."""

    found: int = 0
    done: int = 0
    known: int = 0  # captures of earlier runs, unchanged
    unreadable: int = 0  # of these: failed permanently in an earlier run
    failed: list[Entry] = []
    bytes: int = 0
    packets: int = 0
    start_s: float = 0.0  # until the workers were ready
    seconds: float = 0.0  # from then on
    cpu_s: float = 0.0
    workers: int = 0


Told = Callable[[Outcome, int, int, int], None]  # result, captures and bytes to do, bytes done


def run(
    sources: Sequence[str],
    lake: str,
    scheduler: str,
    workers: int,
    memory: int,
    again: bool,
    progress: Told,
    *,
    alone: bool = False,
) -> Outcome:
    """Analyse new captures in `sources`. `memory`: bytes for each worker; 0 leaves it to Dask.
    `alone`: this process does nothing else, and may give up unneeded rights permanently.

    UsageError for an unavailable lake or scheduler.
    """
    files, root = open_place(lake)
    try:
        require_own(files, root)
        index = Index(files, root)
    except OSError as error:
        raise UsageError(
            lake, f"it cannot be used: {error.strerror or error}", "Name another with -o."
        ) from None
    _end_as_interrupted()
    outcome = Outcome()
    # the largest first: one that starts last would keep one worker busy while the others wait
    new = sorted(_new(sources, index, again, outcome), key=lambda job: -job.size)
    if not new:
        return outcome
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.callback(index.close)
        if scheduler == "local":
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=SCRATCH)))
            if alone:
                use_scratch(scratch)
                enter(files, root, new, scratch)
            client = stack.enter_context(_local(workers, memory, scratch))
        else:
            client = stack.enter_context(_remote(scheduler))
        outcome.workers = len(client.scheduler_info(n_workers=-1)["workers"])
        outcome.start_s = time.monotonic() - began
        share = memory if scheduler == "local" else 0
        orders = (Order(job, lake, share, again) for job in new)
        _drive(client, orders, new, index, outcome, progress)
        outcome.seconds = time.monotonic() - began - outcome.start_s
    return outcome


def _end_as_interrupted() -> None:
    """SIGTERM like Ctrl-C: workers end, the index is written, temporary files are removed."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _new(sources: Sequence[str], index: Index, again: bool, outcome: Outcome) -> Iterator[Job]:
    """The jobs that the lake does not have, with its data about their places."""
    keys = Counter(entry.key for entry in index.entries.values())
    for job in jobs(sources):
        outcome.found += 1
        old = index.entries.get(told(job.url))
        if old is not None and not again and old.is_done(job):
            outcome.known += 1
            outcome.unreadable += bool(old.error)
            continue
        if old is not None and old.key and keys[old.key] == 1:
            job = msgspec.structs.replace(
                job, old_key=old.key, old_site=old.site, old_days=old.days
            )
        yield job


@contextlib.contextmanager
def _local(workers: int, memory: int, scratch: Path) -> Iterator[Client]:
    # Local workers belong to us only: certificates that live as long as the run keep other users
    # out.
    with (
        dask_config.set({
            "distributed.scheduler.allowed-failures": TRIES,
            # the servers of status pages cannot be left out, but they need not log anything
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            # a worker waits for its analysis: monitoring itself meanwhile costs 5 % of a core
            "distributed.worker.profile.enabled": False,
            "distributed.admin.system-monitor.interval": "5s",
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.tick.limit": "1h",
        }),
        LocalCluster(
            n_workers=workers or None, threads_per_worker=1, processes=True, security=True,
            memory_limit=memory or "auto", dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0", local_directory=str(scratch),
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


@contextlib.contextmanager
def _remote(scheduler: str) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"--scheduler {scheduler}", " ".join(str(error).split())[:200] or "nobody answers",
            "Start one: dask scheduler; or leave the option out.",
        ) from None  # fmt: skip
    with client:
        try:
            client.wait_for_workers(1, timeout=JOIN_S)
        except TimeoutError:
            raise PanotuiError(
                f"--scheduler {scheduler}", "it has no worker", "Start some: dask worker ADDRESS."
            ) from None
        yield client


def _drive(
    client: Client,
    orders: Iterator[Order],
    new: Sequence[Job],
    index: Index,
    outcome: Outcome,
    progress: Told,
) -> None:
    """Keep workers busy until all orders have a result."""
    threads = sum(client.nthreads().values())
    total = sum(job.size for job in new)
    waiting: dict[str, Order] = {}
    going = as_completed(with_results=False)
    done_bytes = 0
    flushed = time.monotonic()

    def give() -> None:
        order = next(orders, None)
        if order is not None:
            future = client.submit(_task, order, pure=False)  # a key that no other run has
            waiting[future.key] = order
            going.add(future)

    for _ in range(max(1, threads) * WAITING_MOST):
        give()
    for future in going:
        order = waiting.pop(future.key)
        entry = _result(future, order)
        future.release()
        index.add(entry)
        done_bytes += order.job.size
        if entry.error:
            outcome.failed.append(entry)
        else:
            outcome.done += 1
            outcome.bytes += entry.size
            outcome.packets += entry.packets
            outcome.cpu_s += entry.cpu_s
        give()
        progress(outcome, len(new), total, done_bytes)
        if time.monotonic() - flushed > FLUSH_S:
            index.flush()
            flushed = time.monotonic()


def _task(order: Order) -> Entry:
    """Runs in a worker, which alone loads the code for analysis and Parquet."""
    from panotui.fleet.work import work  # it loads pyarrow, which this process must not

    return work(order)


def _result(future: Any, order: Order) -> Entry:
    """The worker's entry, or one that says what happened to the worker."""
    blank = order.job.entry("")
    try:
        entry = future.result()
    except Exception as error:  # noqa: BLE001 - whatever a worker raises must not stop the others
        kind = type(error).__name__
        if kind == "KilledWorker":
            why = f"its worker was killed {TRIES + 1} times: give workers more memory"
            return blank.because(why)
        return blank.because(f"{kind}: {' '.join(str(error).split())}"[:300])
    assert isinstance(entry, Entry)
    return entry


def watch(what: str) -> Told:
    """A line on a terminal's stderr: captures, share, rate, time left; no output otherwise."""
    began = time.monotonic()
    shown = sys.stderr.isatty()

    def told(outcome: Outcome, captures: int, total: int, done: int) -> None:
        if not shown:
            return
        passed = time.monotonic() - began
        left = passed * (total - done) / done if done else 0.0
        number = outcome.done + len(outcome.failed)
        failed = f", {len(outcome.failed)} failed" if outcome.failed else ""
        line = (
            f"{what}: {number} of {captures}{failed}, {100 * done / max(1, total):.0f} %, "
            f"{done / max(passed, 0.001) / 1e6:.0f} MB/s, {left:.0f} s left"
        )
        end = "\n" if number == captures else ""
        print(f"\r\x1b[K{line}", end=end, file=sys.stderr, flush=True)

    return told
