"""`analyze --redact`: the same answer for somebody who must not know whose it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.commands.test_command_line import DEMO, run

CAPTURE, SITE = str(DEMO / "site.pcapng.zst"), str(DEMO / "site.toml")
SECRETS = re.compile(
    r"10\.20\.0\.\d|192\.168\.5\.\d|203\.0\.113\.\d|02:00:00|plant-7|vendor\.example"
    r"|(?<![\w-])(?:dock|gate)(?![\w-])|123456789012|a1b2c3d4e5f6g7|switch-(?:office|cameras)"
)


@pytest.mark.parametrize("form", [(), ("--json",), ("--ndjson",)])
def test_nobody_can_be_known_from_the_answer(form: tuple[str, ...]) -> None:
    done = run("analyze", "--redact", *form, "--site", SITE, CAPTURE)
    assert done.returncode == 0, done.stderr
    assert SECRETS.findall(done.stdout) == []
    assert "camera-1" in done.stdout
    assert "logs.us-east-1.amazonaws.com" in done.stdout  # tells nothing of whose it is


def test_the_numbers_are_the_same_and_one_thing_has_one_name() -> None:
    plain, masked = (
        json.loads(run("analyze", *more, "--json", "--site", SITE, CAPTURE).stdout)
        for more in ((), ("--redact",))
    )
    for name in ("flows", "streams", "cameras", "findings", "violations", "devices"):
        assert len(plain[name]) == len(masked[name])
    assert [f["bytes_out"] for f in plain["flows"]] == [f["bytes_out"] for f in masked["flows"]]
    stands: dict[str, set[str]] = {}
    for before, after in zip(plain["flows"], masked["flows"], strict=True):
        for end in ("src", "dst"):
            stands.setdefault(before[end], set()).add(after[end])
    assert all(len(names) == 1 for names in stands.values())
    assert len({next(iter(names)) for names in stands.values()}) == len(stands)


def test_csv_is_masked_and_what_tells_who_is_who_is_refused(tmp_path: Path) -> None:
    done = run("analyze", "--redact", "--csv", str(tmp_path), "--site", SITE, CAPTURE)
    assert done.returncode == 0, done.stderr
    for path in tmp_path.rglob("*.csv"):
        assert SECRETS.findall(path.read_text(encoding="utf-8")) == []
    done = run("analyze", "--redact", "--zeek", str(tmp_path / "z"), CAPTURE)
    assert done.returncode == 2
    assert "--redact" in done.stderr
