"""The task of a worker: fetch one capture, have it analysed, put the result into the lake.

The analysis is a separate process, `panotui analyze --json`, whose output is kept unchanged; the
rows of the lake are derived from it. It inherits no credentials, and no more memory than the
worker's share, and opens nothing but its capture (`commands/analyze_alone`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from distributed import get_worker

from panotui import __version__
from panotui.errors import PanotuiError
from panotui.fleet.answer import Answer
from panotui.fleet.entries import FINDINGS_MOST, Entry, Job, Model, Seen
from panotui.fleet.lake_files import (
    NO_DAY,
    LakeFiles,
    answer_file,
    pack,
    put_file,
    remove_file,
    remove_rows,
    unpack,
)
from panotui.fleet.orders import Order
from panotui.fleet.own_lake import require_own
from panotui.fleet.places import SITE_FILE, open_place
from panotui.fleet.tables import TABLES, capture_columns
from panotui.wire.text import printable

MADE_BY = f"Panotui {__version__}"
# Variables that the parser of hostile bytes must not see; also those that select a site file under
# sudo.
_KEPT_FROM_IT = ("AWS_", "FSSPEC_", "SUDO_", "DASK_")
EXIT_USAGE, EXIT_INPUT = 2, 3
MODELS_MOST = 64
LEAST_BYTES = 256 << 20  # an analysis has at least this much memory


class Failed(Exception):
    """An analysis without a result; `is_final` if a retry would fail in the same way."""

    def __init__(self, why: str, is_final: bool) -> None:
        super().__init__(why)
        self.why = why
        self.is_final = is_final


def work(order: Order) -> Entry:
    """The Dask task: it never raises for a problem of the capture."""
    job = order.job
    entry = job.entry(MADE_BY)
    try:
        with tempfile.TemporaryDirectory(prefix="panotui-fleet-", dir=_scratch()) as scratch:
            return _answered(order, entry, Path(scratch))
    except Failed as failed:
        return entry.because(printable(failed.why, 300), failed.is_final)
    except (OSError, ValueError, PanotuiError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return entry.because(printable(" ".join(said.split()), 300))


def _answered(order: Order, entry: Entry, scratch: Path) -> Entry:
    job = order.job
    lake, root = open_place(order.lake)
    require_own(lake, root)
    folder, name = _fetched(job, scratch)
    content = job.stamp if job.is_recording else _digest(folder / name)
    parts = (job.site, job.name, content, job.site_file)
    key = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    entry = msgspec.structs.replace(entry, sha256=content, key=key)
    answer, packed = scratch / "answer.json", scratch / "answer.json.zst"
    stored = f"{root}/{answer_file(key)}"
    files = LakeFiles(scratch, key)
    if not order.is_again and lake.exists(stored):
        # the same content at another place, or from a killed driver
        lake.get_file(stored, str(packed))
        unpack(packed, answer)
        entry = _read(entry, job, answer, files)  # its rows are in the lake; for which days?
    else:
        cpu_s = _analyse(job, folder / name, answer, scratch, order.memory)
        entry = msgspec.structs.replace(_read(entry, job, answer, files), cpu_s=cpu_s)
        files.put(lake, root, entry.site)
        pack(answer, packed)
        put_file(lake, packed, stored)  # written last: if it exists, everything does
    if job.old_key and (job.old_key != key or files.placed):
        remove_rows(lake, root, job.old_site, job.old_days, job.old_key, files.placed)
        if job.old_key != key:
            remove_file(lake, f"{root}/{answer_file(job.old_key)}")
    return entry


def _fetched(job: Job, scratch: Path) -> tuple[Path, str]:
    """(folder, name) of the capture as a local file, or of the recording as a local folder."""
    store, path = open_place(job.url)
    if "file" in store.protocol:
        return Path(path).parent, job.name
    folder = scratch / "source"
    folder.mkdir()
    if job.is_recording:
        store.get(path, str(folder / job.name), recursive=True)
    else:
        store.get_file(path, str(folder / job.name))
    return folder, job.name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scratch() -> str | None:
    """A folder that Dask clears away if the worker was killed; outside a worker None."""
    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None


def _share() -> int:
    """The bytes that one of the worker's threads may use; 0 without a limit."""
    try:
        worker = get_worker()
    except ValueError:
        return 0
    limit, threads = worker.memory_manager.memory_limit, worker.state.nthreads
    return int((limit or 0) / max(1, threads))


def _analyse(job: Job, capture: Path, answer: Path, scratch: Path, memory: int) -> float:
    """Write the output of `panotui analyze --json` for it; returns the CPU seconds of that
    process.
    """
    command = [sys.executable, "-P", "-m", "panotui", "_analyze"]
    if job.site_file and not job.is_recording:  # a recording contains its site file
        site = scratch / SITE_FILE
        site.write_text(job.site_file, "utf-8", "surrogateescape")
        command += ["--site", str(site)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_KEPT_FROM_IT)}
    if os.geteuid() != 0:  # the dropped user could not enter it
        temporary = scratch / "temporary"
        temporary.mkdir()
        kept["TMPDIR"] = kept["SQLITE_TMPDIR"] = str(temporary)
    kept["XDG_CONFIG_HOME"] = str(scratch / "none")  # no user's own site file
    limit = max(LEAST_BYTES, memory or _share()) if memory or _share() else 0
    with answer.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--", job.name], cwd=capture.parent, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.PIPE, env=kept,
        )  # fmt: skip
        assert process.stderr is not None
        with process.stderr:
            if limit:
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
            said = process.stderr.read().decode("utf-8", "replace").strip()
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        line = said.splitlines()[-1].removeprefix("panotui: ") if said else ""
        if process.returncode < 0:
            line = f"the analysis was ended by signal {-process.returncode}"
        elif limit and "memory" in said.lower():  # reported by Python or a library
            line = f"the analysis needs more than {limit >> 20} MiB. Give workers more: --memory."
        raise Failed(
            line or f"the analysis ended with {process.returncode}",
            process.returncode in (EXIT_USAGE, EXIT_INPUT),
        )
    return float(usage.ru_utime + usage.ru_stime)


def _read(entry: Entry, job: Job, answer: Path, files: LakeFiles) -> Entry:
    """The entry with the results; their rows go into `files`."""
    with answer.open("rb") as file:
        told = Answer(file)
        source, site = told.head["source"], told.head["site"]
        first = source["first_time"]
        day = first[:10] if first else NO_DAY
        for lines in told.flows():
            files.add_lines("flows", lines, day)
        whole = told.head | told.tail
    for table in TABLES:
        if table != "flows":
            files.add_rows(table, whole[table], day)
    row = {name: source.get(name) for name in capture_columns()}
    row |= {"url": entry.url, "sha256": entry.sha256, "made_by": MADE_BY}
    files.add_capture(row, whole["counts"], day)
    shown = [one for one in whole["findings"] if one.get("hidden_by") is None]
    return msgspec.structs.replace(
        entry,
        site=site["name"] or job.site, first_time=first or "", last_time=source["last_time"] or "",
        packets=source["packets"], bytes=source["bytes"],
        days=tuple(sorted(files.days)), counts=whole["counts"],
        findings=tuple(_seen(one, whole["cameras"]) for one in shown[:FINDINGS_MOST]),
        findings_left_out=max(0, len(shown) - FINDINGS_MOST), models=_models(whole["cameras"]),
    )  # fmt: skip


def _seen(finding: dict[str, Any], cameras: list[dict[str, Any]]) -> Seen:
    """With the maker and software of its camera."""
    subject, stream = finding["subject"], finding["stream"]
    about = next(
        (
            camera
            for camera in cameras
            if subject == f"camera {camera['name']}"
            or (stream is not None and stream in camera["streams"])
        ),
        {},
    )
    return Seen(
        id=finding["id"], severity=finding["severity"], subject=subject, text=finding["text"],
        action=finding["action"],
        is_open=finding["cleared_time"] is None, maker=about.get("vendor") or "",
        software=about.get("user_agent_server") or "",
    )  # fmt: skip


def _models(cameras: list[dict[str, Any]]) -> tuple[Model, ...]:
    counted = Counter((c["vendor"] or "", c["user_agent_server"] or "") for c in cameras)
    return tuple(Model(*kind, number) for kind, number in counted.most_common(MODELS_MOST))
