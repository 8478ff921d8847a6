"""Parquet: what is written is what was analysed, by a process in which no scapy is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from panotui import sources
from panotui.cli import main
from panotui.report import parquet
from tests.report.nights import BEGIN_S, FAULTS, record_night

DEMO = Path(sources.__file__).parent / "demo"
READ = """
import json, sys
import pyarrow as pa
import pyarrow.dataset as ds
out = {}
for name in ("flows", "streams", "seconds", "events"):
    data = ds.dataset(f"{sys.argv[1]}/{name}", format="parquet", partitioning="hive")
    table = data.to_table()
    shown = table.cast(pa.schema([
        f.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f
        for f in table.schema]), safe=False)
    out[name] = {
        "schema": {f.name: str(f.type) for f in table.schema},
        "units": {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in data.schema},
        "about": {k.decode(): v.decode() for k, v in (data.schema.metadata or {}).items()
                  if k != b"ARROW:schema"},
        "rows": table.num_rows,
        "days": sorted({str(d) for d in table.column("day").to_pylist()})
                if "day" in table.column_names else [],
        "data": json.loads(json.dumps(shown.slice(0, 20_000).to_pylist(), default=str)),
    }
print(json.dumps(out))
"""


def read(folder: Path) -> dict[str, dict[str, object]]:
    """What a process with pyarrow alone makes of it."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parquet") / "out"
    site = ["--site", str(DEMO / "site.toml")]
    assert main(["analyze", str(DEMO / "site.pcapng.zst"), "--parquet", str(out), *site]) == 0
    return out


def test_a_captures_tables_have_what_its_json_has(
    demo: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = read(demo)
    site = ["--site", str(DEMO / "site.toml")]
    assert main(["analyze", "--json", str(DEMO / "site.pcapng.zst"), *site]) == 0
    told = json.loads(capfd.readouterr().out)
    assert found["flows"]["rows"] == len(told["flows"])
    assert found["streams"]["rows"] == len(told["streams"])
    flows = {row["id"]: row for row in found["flows"]["data"]}  # type: ignore[attr-defined]
    for flow in told["flows"]:
        row = flows[flow["id"]]
        for name in ("src", "sport", "dst", "dport", "packets_out", "bytes_in", "host", "verdict"):
            assert row[name] == flow[name]
        assert row["first_time"][:26].replace(" ", "T") == flow["first_time"][:26]
    assert found["events"]["rows"] > 10  # type: ignore[operator]
    kinds = {row["kind"] for row in found["seconds"]["data"]}  # type: ignore[attr-defined]
    assert kinds == {"port", "stream", "endpoint"}


def test_types_and_units_stand_in_the_files(demo: Path) -> None:
    found = read(demo)
    flows, seconds = found["flows"], found["seconds"]
    schema, units = flows["schema"], flows["units"]
    assert schema["first_time"] == "timestamp[ns, tz=UTC]"  # type: ignore[index]
    assert schema["bytes_out"] == "int64"  # type: ignore[index]
    assert schema["own"] == "bool"  # type: ignore[index]
    assert schema["rtt_ms"] == "double"  # type: ignore[index]
    assert found["streams"]["schema"]["state"] == "string"  # type: ignore[index]
    assert (units["bytes_out"], units["rtt_ms"]) == ("byte", "ms")  # type: ignore[index]
    assert seconds["units"]["rate_bps"] == "bit/s"  # type: ignore[index]
    about = flows["about"]
    assert about["schema"] == parquet.SCHEMA_PARQUET  # type: ignore[index]
    assert about["table"] == "flows"  # type: ignore[index]


def test_a_recording_is_parted_by_day(tmp_path: Path) -> None:
    night = record_night(tmp_path / "n.panotui", 9, cameras=2, endpoints=6, troubles=FAULTS)
    out = tmp_path / "out"
    assert main(["analyze", str(night), "--parquet", str(out)]) == 0
    found = read(out)
    assert found["seconds"]["days"] == ["2026-11-29", "2026-11-30"]
    assert found["events"]["days"] == ["2026-11-29", "2026-11-30"]
    rows = found["seconds"]["data"]
    assert isinstance(rows, list)
    kinds = Counter(row["kind"] for row in rows)
    assert (kinds["port"], kinds["stream"]) == (9 * 360 * 2, 9 * 360 * 2)
    # an endpoint's row stands until its next one
    iot = [row["resolution"] for row in rows if row["name"].startswith("iot/")]
    assert len(iot) < 10
    assert 9 * 3600 - 20 <= sum(iot) <= 9 * 3600
    days = sorted(p.name for p in (out / "seconds").iterdir())
    assert days == ["day=2026-11-29", "day=2026-11-30"]
    first = found["seconds"]["data"][0]  # type: ignore[index]
    assert first["time"].startswith("2026-11-29 21:00:00")
    assert BEGIN_S == 1_795_986_000
    # written again, it is the same and no more
    assert main(["analyze", str(night), "--parquet", str(out)]) == 0
    assert read(out)["seconds"]["rows"] == found["seconds"]["rows"]


def test_a_table_without_a_row_has_its_columns(tmp_path: Path) -> None:
    quiet = record_night(tmp_path / "n.panotui", 0.1, cameras=0, endpoints=1)
    out = tmp_path / "out"
    assert main(["analyze", str(quiet), "--parquet", str(out)]) == 0
    found = read(out)
    assert found["streams"]["rows"] == 0
    assert "bitrate_mean_bps" in found["streams"]["schema"]  # type: ignore[operator]


def test_what_writes_loads_pyarrow_and_nothing_that_is_gpl_alone() -> None:
    code = (
        "import sys, panotui.report.parquet_process\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
        "print(*sorted(n for n in sys.modules if n.startswith('panotui')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages, ours = (set(line.split()) for line in done.stdout.splitlines())
    assert "pyarrow" in packages
    assert not packages & {"scapy", "pyroute2", "textual", "netifaces"}
    assert ours == {"panotui", "panotui.report", "panotui.report.parquet_process"}


def test_what_analyses_never_loads_pyarrow(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from panotui.cli import main\n"
        f"code = main(['analyze', {str(DEMO / 'site.pcapng.zst')!r}, '--parquet',"
        f" {str(tmp_path / 'out')!r}])\n"
        "assert code == 0\n"
        "print('scapy' in sys.modules, 'pyarrow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
    assert (tmp_path / "out" / "flows").is_dir()


def test_without_pyarrow_one_line_says_what_to_install(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)
    capture = str(DEMO / "site.pcapng.zst")
    assert main(["analyze", capture, "--parquet", str(tmp_path / "out")]) == 2
    assert capfd.readouterr().err == (
        "panotui: --parquet: pyarrow is not installed. Install it: pip install"
        " 'panotui[parquet]'.\n"
    )


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    capture = str(DEMO / "site.pcapng.zst")
    assert main(["analyze", capture, "--parquet", str(tmp_path / "file" / "out")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "Not a directory. Name another folder." in error
