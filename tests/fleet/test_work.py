"""What a worker leaves in the lake, and where root writes nothing.

A worker's part runs in a process of its own: this one has loaded scapy, and must not load pyarrow.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from panotui.errors import InputError
from panotui.fleet.entries import told
from panotui.fleet.own_lake import make_folder, require_own
from panotui.fleet.places import _site_text, jobs
from panotui.sources.live import landlock
from tests.captures import capture
from tests.lab.netns import require_root

FIELD = Path(__file__).parents[1] / "data" / "field"
USER = 23_459  # of nobody on this machine
WORK = """
import json, sys
import msgspec
from panotui.fleet.entries import Job
from panotui.fleet.orders import Order
from panotui.fleet.work import work
for line in sys.stdin:
    order = msgspec.json.decode(line, type=Order)
    print(msgspec.json.encode(work(order)).decode(), flush=True)
"""


SHUT_IN = """
import json, os, subprocess, sys, tempfile
from pathlib import Path
import fsspec
from panotui.fleet.entries import Job
from panotui.fleet.shut_in import enter, use_scratch

home = Path(sys.argv[1])
def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"

store, lake = fsspec.core.url_to_fs(str(home / "lake"))
scratch = home / "scratch"
scratch.mkdir()
use_scratch(scratch)
jobs = [Job(url=str(home / "in" / "cam.pcap"), name="cam.pcap", site="s", size=1, stamp="1")]
outside = [Job(url="s3://bucket/cam.pcap", name="cam.pcap", site="s", size=1, stamp="1")]
print(json.dumps({
    "with a store": enter(store, lake, outside, scratch),
    "shut": enter(store, lake, jobs, scratch),
    "done": {
        "the capture": tried(lambda: open(jobs[0].url).close()),
        "in the lake": tried(lambda: open(f"{lake}/new", "x").close()),
        "a temporary file": tried(lambda: tempfile.NamedTemporaryFile().close()),
        "the program": subprocess.run([sys.executable, "-P", "-m", "panotui", "--version"]
                                      , capture_output=True).stdout.decode()[:16],
    },
    "refused": {
        "everybody's file": tried(lambda: open("/etc/hostname")),
        "beside": tried(lambda: open(home / "precious")),
        "beside, written": tried(lambda: open(home / "new", "x")),
        "the capture, written": tried(lambda: open(jobs[0].url, "r+")),
        "beside the capture": tried(lambda: open(home / "in" / "new", "x")),
        "a program": tried(lambda: subprocess.run(["/bin/true"])),
    },
}))
"""
ALONE = """
import sys
from panotui.cli import main
code = main(["_analyze", sys.argv[1]])
sys.stdout.flush()
try:
    open("/etc/hostname")
except OSError as error:
    sys.exit(f"{code} {error.strerror}")
"""

PLAIN = "import sys; from panotui.cli import main; main(['analyze', '--json', sys.argv[1]])"


class Local:
    """Stands for fsspec's file system of this machine."""

    protocol = ("file", "local")

    def makedirs(self, path: str, exist_ok: bool) -> None:
        Path(path).mkdir(parents=True, exist_ok=exist_ok)


REPORT_ALONE = """
import json, os, socket, sys
from pathlib import Path
import fsspec
from panotui.errors import UsageError
from panotui.fleet.pages import write_pages
from panotui.fleet.report_alone import enter
from panotui.fleet.story import Fleet, story

home = Path(sys.argv[1])
def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    except UsageError:
        return "refused"
    return "done"

listener = socket.create_server(("127.0.0.1", 0))
out = home / "out"
shut = enter(*fsspec.core.url_to_fs(str(home / "lake")), out / "fleet.html")
pages = tried(lambda: write_pages(story(str(home / "lake"), 30), out / "fleet.html", "Fleet"))
print(json.dumps({
    "shut": shut,
    "pages": pages,
    "again": tried(lambda: write_pages(story(str(home / "lake"), 30), out / "fleet.html", "x")),
    "neighbour": tried(lambda: open(home / "secret")),
    "beside the lake": tried(lambda: open(home / "lake" / ".." / "secret")),
    "through a link in the lake": tried(lambda: open(home / "lake" / "planted")),
    "change of the lake": tried(lambda: open(home / "lake" / "index" / "x", "x")),
    "cut short": tried(lambda: os.truncate(out / "other.html", 0)),
    "remove": tried(lambda: os.unlink(out / "other.html")),
    "tcp": tried(lambda: socket.create_connection(listener.getsockname())),
}))
"""


def worked(*orders: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of orders, one after the other."""
    lines = "".join(json.dumps(order) + "\n" for order in orders)
    done = subprocess.run(
        [sys.executable, "-c", WORK], input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def panotui(*words: object) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "panotui", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def order(path: Path, lake: Path, *, again: bool = False, **old: object) -> dict[str, Any]:
    job = {"url": str(path), "name": path.name, "site": "s", "size": 1, "stamp": "1", **old}
    return {"job": job, "lake": str(lake), "memory": 0, "is_again": again}


def of_key(lake: Path, key: str) -> set[Path]:
    return {p.relative_to(lake) for p in lake.rglob(f"{key}*")}


def test_rows_go_with_their_content_also_after_an_answer_that_was_there(tmp_path: Path) -> None:
    for folder, name in (("a", "lab/udp-h264.pcap"), ("b", "lab/udp-h264.pcap")):
        (tmp_path / folder).mkdir()
        shutil.copy(capture(name), tmp_path / folder / "cam.pcap")
    lake = tmp_path / "lake"
    first, moved = worked(
        order(tmp_path / "a" / "cam.pcap", lake), order(tmp_path / "b" / "cam.pcap", lake)
    )
    assert moved["key"] == first["key"]
    assert moved.get("cpu_s", 0) == 0  # found, not analysed
    assert moved["days"] == first["days"] != []
    assert len(of_key(lake, first["key"])) > 5
    # the place has another content: nothing of the old one stays, its days known or not
    shutil.copy(FIELD / "a-well-site.pcap.zst", tmp_path / "b" / "cam.pcap")
    for days in (moved["days"], []):
        if not of_key(lake, first["key"]):
            worked(order(tmp_path / "a" / "cam.pcap", lake))
        (entry,) = worked(
            order(tmp_path / "b" / "cam.pcap", lake, old_key=first["key"], old_site="s",
                  old_days=days)
        )  # fmt: skip
        assert of_key(lake, first["key"]) == set()
        assert len(of_key(lake, entry["key"])) > 5


def test_rows_that_an_analysis_anew_does_not_make_go(tmp_path: Path) -> None:
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "cam.pcap")
    lake = tmp_path / "lake"
    (entry,) = worked(order(tmp_path / "cam.pcap", lake))
    there = of_key(lake, entry["key"])
    stale = lake / "flows" / "site=s" / "day=1999-01-01" / f"{entry['key']}.parquet"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    days = ["1999-01-01", *entry["days"]]
    (again,) = worked(
        order(tmp_path / "cam.pcap", lake, again=True, old_key=entry["key"], old_site="s",
              old_days=days)
    )  # fmt: skip
    assert again["key"] == entry["key"]
    assert of_key(lake, entry["key"]) == there


def test_the_driver_and_its_workers_reach_captures_and_the_lake_alone(tmp_path: Path) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "in").mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "in" / "cam.pcap")
    (tmp_path / "precious").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-c", SHUT_IN, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["with a store"], found["shut"]) == (False, True)
    assert found["done"].pop("the program") == "panotui, version"
    assert set(found["done"].values()) == {"done"}, found["done"]
    assert set(found["refused"].values()) == {"Permission denied"}, found["refused"]


@pytest.mark.parametrize("before", [False, True])
def test_a_report_reaches_the_lake_and_its_pages_alone(tmp_path: Path, before: bool) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "in").mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "in" / "cam.pcap")
    lake, out = tmp_path / "lake", tmp_path / "out"
    done = panotui("fleet", tmp_path / "in", "-o", lake, "--workers", "1")
    assert done.returncode == 0, done.stderr
    out.mkdir()
    (out / "other.html").write_text("another's page")
    (tmp_path / "secret").write_text("secret")
    (lake / "planted").symlink_to(tmp_path / "secret")
    if before:
        assert panotui("fleet", "report", lake, "-o", out / "fleet.html").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", REPORT_ALONE, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    works = [said.pop(name) for name in ("shut", "pages")]
    assert works == [True, "done"]
    # pages of an earlier report are its own; what it has just made, it does not change either
    assert said.pop("again") == ("done" if before else "refused")
    assert set(said.values()) == {"Permission denied"}, said
    assert (out / "other.html").read_text() == "another's page"


def test_root_writes_no_report_where_others_can_plant_links(tmp_path: Path) -> None:
    require_root()
    (tmp_path / "in").mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "in" / "cam.pcap")
    assert panotui("fleet", tmp_path / "in", "-o", tmp_path / "lake").returncode == 0
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    done = panotui("fleet", "report", tmp_path / "lake", "-o", out / "fleet.html")
    assert done.returncode == 2
    assert "run as its user" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("kind", ["capture", "recording"])
def test_an_analysis_for_a_fleet_says_the_same_and_reaches_nothing_else(
    tmp_path: Path, kind: str
) -> None:
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    if kind == "capture":
        shutil.copy(FIELD / "a-well-site.pcap.zst", tmp_path / "it")
    else:
        shutil.copytree(FIELD.parent / "recordings" / "format3.panotui", tmp_path / "it")
    (tmp_path / "temporary").mkdir()
    plain = subprocess.run(
        [sys.executable, "-c", PLAIN, "it"], capture_output=True, check=True, cwd=tmp_path
    )
    alone = subprocess.run(
        [sys.executable, "-c", ALONE, "it"], capture_output=True, check=False, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )  # fmt: skip
    assert alone.stderr.decode().strip() == "0 Permission denied"
    assert alone.stdout == plain.stdout


def test_a_name_that_is_no_utf8_is_told_so_that_no_two_are_the_same() -> None:
    names = [b"a", b"caf\xe9", b"caf\\xe9", b"caf\xc3\xa9", b"caf\\\\xe9"]
    said = [told(os.fsdecode(name)) for name in names]
    assert len(set(said)) == len(names)
    for one in said:
        one.encode()


@pytest.mark.parametrize("planted", ["answers", "flows", "index"])
def test_root_follows_no_link_in_a_lake(tmp_path: Path, planted: str) -> None:
    require_root()
    (tmp_path / "in").mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "in" / "cam.pcap")
    precious = tmp_path / "precious"
    precious.mkdir()
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / planted).symlink_to(precious)
    if planted == "index":
        with pytest.raises(PermissionError, match="is a link or not root's alone"):
            require_own(Local(), str(lake / planted / "x.ndjson"))
    else:
        (entry,) = worked(order(tmp_path / "in" / "cam.pcap", lake))
        assert f"{lake}/{planted} is a link or not root's alone" in entry["error"]
    assert list(precious.iterdir()) == []


def test_root_writes_no_lake_of_another_user(tmp_path: Path) -> None:
    require_root()
    lake = tmp_path / "lake"
    lake.mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "cam.pcap")
    for owner, mode in ((USER, 0o755), (0, 0o777)):
        os.chown(lake, owner, owner)
        lake.chmod(mode)
        done = subprocess.run(
            [sys.executable, "-m", "panotui", "fleet", str(tmp_path / "cam.pcap"), "-o", str(lake)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "run as its user" in done.stderr
        assert list(lake.iterdir()) == []


def test_root_reads_no_site_file_through_a_link(tmp_path: Path) -> None:
    require_root()
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "cam.pcap")
    (tmp_path / "precious").write_text("secret")
    (tmp_path / "site.toml").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="which root does not follow"):
        list(jobs([str(tmp_path)]))


def test_root_reads_no_site_file_in_a_folder_that_became_a_link(tmp_path: Path) -> None:
    """Whoever may write the folder may exchange it while root looks."""
    require_root()
    (tmp_path / "source" / "north").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "site.toml").write_text("[site]\nname = 'secret'\n")
    name = tmp_path / "source" / "north" / "site.toml"
    name.write_text("[site]\nname = 'north'\n")
    source = str(tmp_path / "source")
    assert "north" in _site_text(Local(), source, str(name))
    shutil.rmtree(name.parent)
    name.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="its folder is a link"):
        _site_text(Local(), source, str(name))
    name.parent.unlink()
    name.parent.mkdir()
    os.mkfifo(name)  # would wait for ever
    with pytest.raises(InputError, match="it is no file"):
        _site_text(Local(), source, str(name))


def test_folders_of_roots_lake_are_closed_whatever_the_umask(tmp_path: Path) -> None:
    require_root()
    before = os.umask(0)
    try:
        make_folder(Local(), str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert {(tmp_path / part).stat().st_mode & 0o777 for part in ("a", "a/b")} == {0o755}
    require_own(Local(), str(tmp_path / "a" / "b" / "c"))
