"""The JSON, NDJSON and CSV of an analysis: times, nulls, and nothing that JSON cannot hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import jsonschema
import pytest

from panotui import sources
from panotui.commands.input import analysed
from panotui.errors import InputError
from panotui.model import SECOND, Site, SiteRecord, Snapshot, SourceRecord
from panotui.report.analysis import analysis, clean, dumps, lines, schema
from panotui.report.columns_csv import TABLES, cell, write_csv
from panotui.report.objects import time_text
from tests.made_up import START, Scene, answered, flow, site, stream, stream_second

DEMO = Path(sources.__file__).parent / "demo"


@pytest.fixture(scope="module")
def scene() -> Scene:
    made = Scene(site())
    made.tick([answered(1, "192.168.5.5", "203.0.113.90", 443)])
    made.tick([flow(2, "192.168.5.5", "203.0.113.91", 443, syn_out=4)])
    made.tick(streams=[stream(1, 1, 2.9)], seconds=[stream_second(1, 2)])
    return made


def test_times_are_utc_with_microseconds() -> None:
    assert time_text(1_795_473_904_776_134_567) == "2026-11-23T22:45:04.776134Z"
    assert time_text(0) == "1970-01-01T00:00:00.000000Z"
    assert time_text(-1) == "1969-12-31T23:59:59.999999Z"
    assert time_text(None) is None


def test_answer_fits_the_schema_and_is_plain_json(scene: Scene) -> None:
    whole = analysis(scene.engine)
    jsonschema.Draft202012Validator(schema()).validate(whole)
    assert json.loads(dumps(whole)) == json.loads(json.dumps(whole, allow_nan=False))
    assert json.loads(dumps(whole, pretty=True)) == whole


def test_unknown_numbers_are_null_and_never_zero(scene: Scene) -> None:
    whole = analysis(scene.engine)
    (shown,) = whole["streams"]
    assert shown["jitter_ms"] is None  # means were not given
    assert shown["rtcp"]["receiver_fraction"] is None
    assert whole["flows"][1]["rtt_ms"] is None
    assert clean({"a": float("nan"), "b": (1, float("inf"))}) == {"a": None, "b": [1, None]}


def test_schema_refuses_what_is_wrong(scene: Scene) -> None:
    whole = analysis(scene.engine)
    whole["flows"][0]["verdict"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(whole)


def test_one_line_an_object(scene: Scene) -> None:
    engine = scene.engine
    told = [line["type"] for line in lines(engine.snapshot(), engine.flow_records())]
    assert told[:2] == ["source", "site"]
    assert told.count("flow") == 2
    assert told[-1] == "limits"


def test_a_file_a_table(scene: Scene, tmp_path: Path) -> None:
    engine = scene.engine
    written = write_csv(tmp_path / "out", engine.snapshot(), engine.flow_records())
    assert [p.stem for p in written] == list(TABLES)
    with (tmp_path / "out/flows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["dst"] for r in rows] == ["203.0.113.90", "203.0.113.91"]
    with (tmp_path / "out/streams.csv").open() as file:
        assert next(csv.DictReader(file))["bitrate_bps.mean"] == ""


def test_cells_that_would_run_are_defused() -> None:
    assert cell("=cmd()") == "'=cmd()"
    assert cell(None) == ""
    assert cell(-3) == -3
    assert cell(True) == "true"


def test_folder_that_cannot_be_written(scene: Scene, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError):
        write_csv(blocked, scene.engine.snapshot(), [])


def test_flows_come_in_order_of_time(scene: Scene) -> None:
    times = [f.first_time_ns for f in scene.engine.flow_records()]
    assert times == sorted(times)
    assert START <= times[0] < START + 60 * SECOND


def test_a_table_without_a_row_has_all_its_columns(tmp_path: Path) -> None:
    """So that what reads a folder of a quiet night need not know which table was empty."""
    empty = Snapshot(time_ns=0, number=0, site=SiteRecord(), source=SourceRecord())
    for path in write_csv(tmp_path / "empty", empty, []):
        assert len(path.read_text().splitlines()) == 1
    engine = analysed([str(DEMO / "site.pcapng.zst")], Site())
    write_csv(tmp_path / "full", engine.snapshot(), engine.flow_records())
    for name in TABLES:
        head = (tmp_path / "empty" / f"{name}.csv").read_text()
        with (tmp_path / "full" / f"{name}.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        assert ",".join(rows[0]) == head.strip()
        assert all(len(row) == len(rows[0]) for row in rows)
