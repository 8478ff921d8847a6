"""`analyze --since --until --filter`: a part of it, in every output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from panotui.commands.analyze import command
from panotui.commands.rehearse import record_capture
from panotui.errors import UsageError
from panotui.model import SECOND, WindowRecord
from panotui.report.analysis import schema
from panotui.site.file import load_site
from panotui.views.narrowing import check_filter, flows_inside, narrowed
from tests.views.records import START, flow, snapshot

DEMO = Path(__file__).parents[2] / "panotui" / "sources" / "demo"
SITE = str(DEMO / "site.toml")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("w") / "demo.panotui"
    site, text = load_site(Path(SITE)), Path(SITE).read_text()
    return record_capture([str(DEMO / "site.pcapng.zst")], site, text, folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), env={"TZ": "UTC"})


def analysed(name: str, *options: str) -> Any:
    done = run(name, "--json", *options)
    assert done.exit_code == 0, done.output
    whole = json.loads(done.stdout)
    jsonschema.validate(whole, schema())
    return whole


def test_a_filter_is_that_of_the_screen(recorded: Path) -> None:
    whole, part = analysed(str(recorded)), analysed(str(recorded), "--filter", "port:443")
    assert part["window"] == {"since": None, "until": None, "filter": "port:443"}
    assert "window" not in whole
    wanted = [f["id"] for f in whole["flows"] if 443 in (f["sport"], f["dport"])]
    assert [f["id"] for f in part["flows"]] == wanted
    assert 0 < len(wanted) < len(whole["flows"])


def test_a_span_has_what_was_there_in_any_part_of_it(recorded: Path) -> None:
    whole = analysed(str(recorded))
    middle = whole["flows"][len(whole["flows"]) // 2]["first_time"]
    part = analysed(str(recorded), "--since", middle)
    first = part["window"]["since"]
    assert {f["id"] for f in part["flows"]} == {
        f["id"] for f in whole["flows"] if f["last_time"] >= first
    }
    assert {v["id"] for v in part["violations"]} == {
        v["id"] for v in whole["violations"] if v["last_time"] >= first
    }
    assert 0 < len(part["flows"]) < len(whole["flows"])


def test_captures_and_tables_take_it_too(tmp_path: Path) -> None:
    done = run(
        str(DEMO / "site.pcapng.zst"), "--site", SITE, "--csv", str(tmp_path / "out"),
        "--filter", "transport:udp",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = (tmp_path / "out" / "flows.csv").read_text().splitlines()
    assert len(rows) > 1
    assert all(",udp," in row for row in rows[1:])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--filter", "nonsense:x"), "unknown field"),
        (("--filter", "/(a+)+/"), "pattern"),
        (("--since", "25:00"), "not a time"),
        (("--since", "1h", "--until", "2h"), "it is not after"),
    ],
)
def test_what_means_nothing_is_refused(options: tuple[str, str], why: str, recorded: Path) -> None:
    done = CliRunner().invoke(command, [str(recorded), *options])
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)


def test_things_that_were_over_before_are_left_out() -> None:
    state = snapshot(30)
    late = WindowRecord(since_ns=START + 31 * SECOND)
    assert narrowed(state, late).violations == ()
    assert len(narrowed(state, late).findings) == 1  # it is still open
    assert narrowed(state, WindowRecord(until_ns=START - 1)).findings == ()
    assert narrowed(state, WindowRecord(filter="id:x")).cameras == ()
    inside = flows_inside(WindowRecord(filter="verdict:violation", since_ns=START + 5))
    assert inside(flow(2, START + 6))
    assert not inside(flow(2, START + 4))
    assert not inside(flow(4, START + 6))
    with pytest.raises(UsageError, match="unknown field"):
        check_filter("nonsense:x")
