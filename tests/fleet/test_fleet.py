"""`panotui fleet` with a real scheduler and workers, over folders and over S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.captures import capture
from tests.fleet.cluster import Cluster, cluster, s3_server

FIELD = Path(__file__).parents[1] / "data" / "field"
SITE = '[site]\nname = "Dock {}"\n'
# What goes into the processes that are asked what they have loaded.
LOADED = """
import atexit, json, os, sys
folder = os.environ.get("PANOTUI_TEST_LOADED")
# opened at once: an analysis gives its rights up
file = open(os.path.join(folder, f"{os.getpid()}.json"), "w") if folder else None
def tell():
    json.dump([sys.orig_argv, sorted({name.split(".")[0] for name in sys.modules})], file)
    file.flush()
if file is not None:
    atexit.register(tell)
"""
APACHE_ONLY = {
    "aiobotocore",
    "botocore",
    "msgpack",
    "pyarrow",
    "s3fs",
    "sortedcontainers",
    "tornado",
}
# Read by processes of their own: this one has loaded scapy, and must not load pyarrow.
ROWS = """
import json, sys
import fsspec
import pyarrow.dataset as ds
from pyarrow.fs import FSSpecHandler, PyFileSystem
fs, root = fsspec.core.url_to_fs(sys.argv[1])
out = {}
for name in sys.argv[2:]:
    data = ds.dataset(f"{root}/{name}", filesystem=PyFileSystem(FSSpecHandler(fs)),
                      format="parquet", partitioning="hive")
    out[name] = data.to_table().to_pylist()
print(json.dumps(out, default=str))
"""
MODULES = """
import sys
from distributed import Client
def loaded():
    import sys
    return sorted({name.split(".")[0] for name in sys.modules})
with Client(sys.argv[1]) as client:
    tops = [set(names) for names in client.run(loaded).values()]
    tops.append(set(client.run_on_scheduler(loaded)))
print("\\n".join(sorted(set().union(*tops))))
"""


def panotui(
    *words: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "panotui", *map(str, words)],
        capture_output=True, check=False, cwd=cwd, env={**os.environ, **(env or {})}, timeout=300,
    )  # fmt: skip


def rows(lake: str | Path, *tables: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", ROWS, str(lake), *tables],
        capture_output=True, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def entries(lake: Path) -> dict[str, dict[str, Any]]:
    """The index: the last line of each place."""
    found = {}
    for path in sorted((lake / "index").glob("*.ndjson")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            found[entry["url"]] = entry
    return found


def stored(lake: Path, key: str) -> bytes:
    packed = (lake / "answers" / key[:2] / f"{key}.json.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        return reader.read()


def alone(path: Path) -> bytes:
    """What one machine says of a capture, asked in its folder."""
    site = next((p / "site.toml" for p in path.parents if (p / "site.toml").exists()), None)
    done = panotui(
        "analyze", "--json", *(["--site", site] if site else []), path.name, cwd=path.parent
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def fill(folder: Path) -> list[Path]:
    """Captures of three sites: two with site files, one named by its folder."""
    made = []
    for site, names in {
        "north": ["loss-2-6-percent-one-ssrc.pcap.zst", "camera-answers-500.pcap.zst"],
        "south": ["loss-2-6-percent-one-ssrc.pcap.zst"],
        "east": [],
    }.items():
        (folder / site).mkdir(parents=True)
        if site != "east":
            (folder / site / "site.toml").write_text(SITE.format(site))
        for name in names:
            shutil.copy(FIELD / name, folder / site / name)
            made.append(folder / site / name)
    # another name in the same folder, deeper below, and one that needs no unpacking
    (folder / "east" / "monday").mkdir()
    shutil.copy(capture("lab/udp-h264.pcap"), folder / "east" / "monday" / "cam.pcap")
    made.append(folder / "east" / "monday" / "cam.pcap")
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def s3(place: Path) -> Iterator[dict[str, str]]:
    with s3_server(place) as env:
        yield env


@pytest.fixture(scope="module")
def loaded(place: Path) -> Path:
    """Where ended processes say what they had loaded."""
    (place / "hook").mkdir()
    (place / "hook" / "sitecustomize.py").write_text(LOADED)
    (place / "loaded").mkdir()
    return place / "loaded"


@pytest.fixture(scope="module")
def asked(place: Path, loaded: Path) -> dict[str, str]:
    """The environment in which a process says what it had loaded."""
    return {"PYTHONPATH": str(place / "hook"), "PANOTUI_TEST_LOADED": str(loaded)}


@pytest.fixture(scope="module")
def dask(place: Path, s3: dict[str, str], asked: dict[str, str]) -> Iterator[Cluster]:
    env = {**os.environ, **s3, **asked}
    with cluster(place, env, workers=2) as made:
        yield made


@pytest.mark.xdist_group("fleet")
class TestOverFolders:
    @pytest.fixture(scope="class")
    def source(self, place: Path) -> Path:
        fill(place / "captures")
        (place / "captures" / "east" / "broken.pcap").write_bytes(b"no capture at all")
        return place / "captures"

    @pytest.fixture(scope="class")
    def lake(self, place: Path, source: Path, dask: Cluster, asked: dict[str, str]) -> Path:
        done = panotui(
            "fleet", source, "-o", place / "lake", "--scheduler", dask.address, env=asked
        )
        assert done.returncode == 3, done.stderr.decode()
        said = done.stderr.decode().strip().splitlines()
        assert len(said) == 1
        assert said[0].startswith(f"panotui: {source}/east/broken.pcap: broken.pcap: not a capture")
        assert "5 captures: 4 analysed, 1 failed" in done.stdout.decode()
        return place / "lake"

    def test_each_answer_is_the_one_of_one_machine_to_the_bit(
        self, source: Path, lake: Path
    ) -> None:
        found = {url: one for url, one in entries(lake).items() if not one.get("error")}
        assert len(found) == 4
        for url, entry in found.items():
            assert stored(lake, entry["key"]) == alone(Path(url)), url

    def test_the_tables_hold_what_the_answers_say(self, lake: Path) -> None:
        tables = rows(lake, "captures", "flows", "streams", "findings", "cameras", "endpoints")
        answers = {
            one["key"]: json.loads(stored(lake, one["key"]))
            for one in entries(lake).values()
            if not one.get("error")
        }
        assert {row["capture"] for row in tables["captures"]} == set(answers)
        for row in tables["captures"]:
            answer = answers[row["capture"]]
            assert row["packets"] == answer["source"]["packets"]
            assert row["cameras_ok"] == answer["counts"]["cameras_ok"]
            assert row["day"] == answer["source"]["first_time"][:10]
        for table in ("flows", "streams", "findings", "cameras", "endpoints"):
            counted = Counter(row["capture"] for row in tables[table])
            assert counted == Counter({k: len(a[table]) for k, a in answers.items() if a[table]})
        assert {row["site"] for row in tables["captures"]} == {"Dock north", "Dock south", "east"}
        flow = tables["flows"][0]
        (same,) = [f for f in answers[flow["capture"]]["flows"] if f["id"] == flow["id"]]
        assert {k: same[k] for k in ("src", "dport", "bytes_in", "community_id", "own")} == {
            k: flow[k] for k in ("src", "dport", "bytes_in", "community_id", "own")
        }
        (loss, _) = [r for r in tables["findings"] if r["id"] == "stream-loss"]
        assert json.loads(loss["evidence"])
        stream = tables["streams"][0]
        (same,) = [s for s in answers[stream["capture"]]["streams"] if s["id"] == stream["id"]]
        assert stream["jitter_ms_max"] == same["jitter_ms"]["max"]

    def test_no_process_loads_scapy_with_what_is_apache_alone(
        self, lake: Path, place: Path, dask: Cluster, loaded: Path, asked: dict[str, str]
    ) -> None:
        told = subprocess.run(
            [sys.executable, "-c", MODULES, dask.address],
            capture_output=True,
            check=True,
            text=True,
        )
        workers = set(told.stdout.split())
        assert {"tornado", "pyarrow", "panotui"} <= workers
        assert "scapy" not in workers
        done = panotui("fleet", "report", lake, "-o", place / "asked.html", env=asked)
        assert done.returncode == 0, done.stderr.decode()
        done = panotui(
            "fleet", FIELD / "a-well-site.pcap.zst", "-o", place / "asked", "--workers", "1",
            env=asked,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        said = [json.loads(text) for path in loaded.glob("*.json") if (text := path.read_text())]
        analyses = [set(tops) for argv, tops in said if "_analyze" in argv]
        assert len(analyses) >= 4
        for tops in analyses:
            assert tops & APACHE_ONLY == set()
        of_fleet = [(argv, set(tops)) for argv, tops in said if "fleet" in argv]
        reports = [tops for argv, tops in of_fleet if "report" in argv]
        drivers = [tops for argv, tops in of_fleet if "report" not in argv]
        assert len(reports) >= 1
        assert len(drivers) >= 2  # one with a scheduler in it
        for tops in reports:
            assert {"fsspec", "jinja2"} <= tops
            assert tops & {"scapy", "pyarrow", "distributed", "tornado"} == set()
        for tops in drivers:
            assert {"distributed", "tornado"} <= tops
            assert tops & {"scapy", "pyarrow"} == set()

    def test_a_second_run_does_only_what_is_new(
        self, source: Path, lake: Path, dask: Cluster
    ) -> None:
        words = ("fleet", source, "-o", lake, "--scheduler", dask.address)
        before = {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()}
        done = panotui(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert "0 analysed, 5 known before, 1 of them unreadable" in done.stdout.decode()
        assert {p: p.stat().st_mtime_ns for p in lake.rglob("*") if p.is_file()} == before
        # the same content under a later date, one moved away, one changed, one new
        (source / "north" / "loss-2-6-percent-one-ssrc.pcap.zst").touch()
        shutil.move(source / "east" / "monday" / "cam.pcap", source / "east" / "cam.pcap")
        changed = source / "south" / "loss-2-6-percent-one-ssrc.pcap.zst"
        old = entries(lake)[str(changed)]["key"]
        shutil.copy(FIELD / "a-well-site.pcap.zst", changed)
        done = panotui(*words)
        assert done.returncode == 0, done.stderr.decode()
        assert "3 analysed, 2 known before" in done.stdout.decode()
        after = entries(lake)
        assert stored(lake, after[str(changed)]["key"]) == alone(changed)
        assert list(lake.rglob(f"{old}*")) == []
        assert after[str(source / "east" / "cam.pcap")].get("cpu_s", 0) == 0  # found in the lake
        table = rows(lake, "captures")["captures"]
        assert len(table) == 4
        assert Counter(row["site"] for row in table)["Dock south"] == 1

    def test_a_report_has_a_row_a_site_and_folds_a_finding(self, lake: Path, place: Path) -> None:
        done = panotui("fleet", "report", lake, "-o", place / "fleet.html", "--days", "366")
        assert done.returncode == 0, done.stderr.decode()
        text = (place / "fleet.html").read_text()
        for site in ("Dock north", "Dock south", "east"):
            assert text.count(f">{site}</a>") == 1
        assert "broken.pcap" in text
        linked = {part.split('"')[0] for part in text.split('href="fleet.pages/')[1:]}
        assert linked == {p.name for p in (place / "fleet.pages").iterdir()}


@pytest.mark.xdist_group("fleet")
def test_s3_gives_the_same_answers(place: Path, dask: Cluster, s3: dict[str, str]) -> None:
    source = place / "for-s3"
    files = fill(source)
    put = (
        "import sys, s3fs; fs = s3fs.S3FileSystem(); fs.mkdir('plants'); fs.mkdir('lake');"
        "fs.put(sys.argv[1] + '/', 'plants/captures/', recursive=True)"
    )
    subprocess.run([sys.executable, "-c", put, str(source)], env={**os.environ, **s3}, check=True)
    words = ("fleet", "s3://plants/captures", "-o", "s3://lake/fleet", "--scheduler", dask.address)
    done = panotui(*words, env=s3)
    assert done.returncode == 0, done.stderr.decode()
    assert "4 captures: 4 analysed" in done.stdout.decode()
    done = panotui(*words, env=s3)
    assert "0 analysed, 4 known before" in done.stdout.decode()
    subprocess.run(
        [sys.executable, "-c",
         "import sys, s3fs; s3fs.S3FileSystem().get('lake/fleet', sys.argv[1], recursive=True)",
         str(place / "from-s3")], env={**os.environ, **s3}, check=True,
    )  # fmt: skip
    found = entries(place / "from-s3")
    assert len(found) == 4
    for path in files:
        entry = found[f"s3://plants/captures/{path.relative_to(source)}"]
        assert stored(place / "from-s3", entry["key"]) == alone(path)
    assert len(rows("s3://lake/fleet", "captures", env=s3)["captures"]) == 4
    done = panotui("fleet", "report", "s3://lake/fleet", "-o", place / "s3.html", env=s3)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.xdist_group("fleet")
def test_a_worker_that_is_killed_loses_nothing(place: Path, dask: Cluster, loaded: Path) -> None:
    source = place / "many"
    source.mkdir()
    plain = capture("lab/udp-h264.pcap").read_bytes()
    for number in range(12):
        (source / f"{number:02}.pcap").write_bytes(plain)
    lake = place / "after-a-kill"
    run = subprocess.Popen(
        [sys.executable, "-m", "panotui", "fleet", str(source), "-o", str(lake), "--json",
         "--scheduler", dask.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    victim = dask.workers.pop()
    try:
        end = time.monotonic() + 120
        while not list(lake.glob("answers/*/*.zst")):
            assert time.monotonic() < end
            assert run.poll() is None
            time.sleep(0.05)
        victim.kill()
        said, why = run.communicate(timeout=300)
    finally:
        with contextlib.suppress(ProcessLookupError):
            run.kill()
        victim.wait()
    assert run.returncode == 0, why.decode()
    outcome = json.loads(said)
    assert (outcome["found"], outcome["done"], outcome["failed"]) == (12, 12, [])
    assert sorted(Path(url).name for url in entries(lake)) == [f"{n:02}.pcap" for n in range(12)]
    table = rows(lake, "captures")["captures"]
    assert len(table) == len({row["capture"] for row in table}) == 12


@pytest.mark.xdist_group("fleet")
def test_local_workers_need_nothing_else(place: Path) -> None:
    (place / "small").mkdir()
    shutil.copy(FIELD / "a-well-site.pcap.zst", place / "small" / "a.pcap.zst")
    # bytes that are no UTF-8, and a larger one, which is done first
    other = place / "small" / os.fsdecode(b"caf\xe9.pcap")
    shutil.copy(capture("lab/udp-h264.pcap"), other)
    (place / "small.list").write_text(f"# two\n{place}/small/*.pcap*\n")
    done = panotui(
        "fleet",
        place / "small.list",
        "-o",
        place / "small-lake",
        "--workers",
        "1",
        "--memory",
        "1GB",
    )
    assert done.returncode == 0, done.stderr.decode()
    assert "2 captures: 2 analysed" in done.stdout.decode()
    first, second = entries(place / "small-lake").values()
    assert [one["url"] for one in (first, second)] == [
        f"{place}/small/caf\\xe9.pcap", f"{place}/small/a.pcap.zst",
    ]  # fmt: skip
    assert {first["site"], second["site"]} == {"small"}
    assert stored(place / "small-lake", first["key"]) == alone(other)
    assert stored(place / "small-lake", second["key"]) == alone(place / "small" / "a.pcap.zst")
    done = panotui("fleet", place / "small.list", "-o", place / "small-lake", "--workers", "1")
    assert "0 analysed, 2 known before" in done.stdout.decode()


TIGHT = """
import sys
from panotui.fleet import work
from panotui.fleet.entries import Job
from panotui.fleet.orders import Order
work.LEAST_BYTES = 24 << 20
job = Job(url=sys.argv[1], name="a.pcap", site="s", size=1, stamp="1")
entry = work.work(Order(job, sys.argv[2], 24 << 20))
print(entry.error, entry.is_final)
"""


def test_an_analysis_gets_no_more_memory_than_its_share(tmp_path: Path) -> None:
    shutil.copy(capture("lab/udp-h264.pcap"), tmp_path / "a.pcap")
    done = subprocess.run(
        [sys.executable, "-c", TIGHT, str(tmp_path / "a.pcap"), str(tmp_path / "lake")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip().endswith("Give workers more: --memory. False"), done.stdout
    assert not list(tmp_path.glob("lake/answers/*"))


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    for words, why in (
        ((tmp_path / "none", "-o", tmp_path / "lake"), "does not exist"),
        ((tmp_path, "-o", tmp_path / "lake"), "it contains no captures"),
        (("report", tmp_path, "-o", tmp_path / "x.html"), "it has no index of a fleet"),
        ((tmp_path, "-o", tmp_path, "--scheduler", "tcp://x:1", "--workers", "2"), "own settings"),
    ):
        done = panotui("fleet", *words)
        assert done.returncode in (2, 3)
        assert done.stderr.decode().count("\n") == 1
        assert why in done.stderr.decode()
