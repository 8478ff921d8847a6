"""The captures in `tests/data`: each in the table, under a licence that allows it, and readable."""

from __future__ import annotations

import fnmatch
import importlib

import pytest

from panotui.sources import open_file
from tests.captures import DATA, capture, captures, index, pack, tshark_says
from tests.tshark import require, say

LICENCES = {"own", "BSD-3-Clause", "MIT"}
NOT_LISTED = {"README.md", "index.toml"}
TSHARK_SEES_NONE = {
    "crafted/impossible-record.pcap",
    "crafted/nothing.pcap",
    "open/tcpdump__empty.pcapng",
    "variants/v-corrupt-caplen.pcap",
    *(f"open/ng__output_le_basic_test0{n:02}.pcapng" for n in (3, 13, 15)),
    "open/ng__output_le_difficult_test200.pcapng",
}


def files() -> set[str]:
    """All files by the names that the table gives them."""
    found = {str(path.relative_to(DATA)) for path in DATA.rglob("*") if path.is_file()}
    return {name.removesuffix(".zst") for name in found} - NOT_LISTED


def test_every_file_is_in_the_table_and_every_row_is_a_file() -> None:
    names = files()
    rows = set(index())
    unlisted = [n for n in names if not any(fnmatch.fnmatch(n, row) for row in rows)]
    assert unlisted == []
    lying = [row for row in rows if "made" not in index()[row]]
    assert [row for row in lying if not fnmatch.filter(names, row)] == []


def test_only_licences_that_allow_it() -> None:
    for name, row in index().items():
        assert row["licence"] in LICENCES, name
        assert row["what"], name
        assert row["licence"] == "own" or row["origin"], name
        assert set(row) <= {"licence", "origin", "against", "made", "what"}, name


def test_the_readme_names_each_project_whose_files_are_here() -> None:
    readme = (DATA / "README.md").read_text("utf-8")
    for row in index().values():
        if "origin" in row:
            assert f"**{row['origin'].split(':')[0]}**" in readme


@pytest.mark.parametrize("name", captures())
def test_a_capture_is_given_back_as_it_was(name: str) -> None:
    path = capture(name)
    assert path.name == name.split("/")[1]
    source = open_file(str(path))
    assert source.counters.total_bytes == path.stat().st_size
    source.close()
    assert (tshark_says(name)["packets"] == 0) == (name in TSHARK_SEES_NONE)


@pytest.mark.parametrize("name", [name for name in captures() if "made" in index()[name]])
def test_a_capture_is_made_the_same_each_time(name: str) -> None:
    module, function = index()[name]["made"].split(":")
    again = getattr(importlib.import_module(f"tests.crafted.{module}"), function)()
    assert again == capture(name).read_bytes()


@pytest.mark.oracle
@pytest.mark.parametrize(
    "name",
    ["lab/peers.pcap", "open/zeek__dns_mdns.pcap", "open/ng__output_le_basic_test011.pcapng"],
)
def test_tshark_says_now_what_is_stored(name: str) -> None:
    require()
    stored, now = tshark_says(name), say(capture(name))
    times = ("first", "last")
    assert {k: stored.get(k) for k in now if k not in times} == {
        k: v for k, v in now.items() if k not in times
    }
    for key in times:
        assert now[key] == pytest.approx(stored[key], abs=2e-6)


def test_packing_against_another_capture_needs_little_room() -> None:
    path = capture("variants/v-udp-reordered.pcap")
    beside = pack(path, "lab/gst-udp-digest.pcap")
    assert len(beside) < 1_000 < len(pack(path)) // 100
