"""Damaged captures through whole analyses and all that they write: no exception, no warning.

Whatever can still be read is told in a form that keeps to its schema; the rest is one clear error.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from panotui.commands.input import analysed
from panotui.commands.summary import summary
from panotui.errors import InputError
from panotui.model import Site
from panotui.report.analysis import dumps, json_pieces, lines, schema
from panotui.report.columns_csv import write_csv
from panotui.telemetry.eve import eve_lines
from panotui.telemetry.zeek import conn_json, conn_log
from tests.captures import DATA, captures

ROUNDS = 60
VALIDATOR = jsonschema.Draft202012Validator(schema())
# the small ones, which are not packed
CAPTURES = [DATA / name for name in captures() if (DATA / name).exists()]


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Bytes exchanged, bits turned, words of all zeros or ones, pieces copied elsewhere, a cut."""
    out = np.frombuffer(data, np.uint8).copy()
    count = int(random.choice([1, 10, max(10, len(out) // 50)]))
    at = random.integers(0 if random.random() < 0.1 else 24, len(out), count)
    kind = random.integers(4)
    if kind == 0:
        out[at] = random.integers(0, 256, count)
    elif kind == 1:
        out[at] ^= (1 << random.integers(0, 8, count)).astype(np.uint8)
    elif kind == 2:
        out[at] = random.choice([0, 127, 128, 255], count)
    else:
        for place in at[:20].tolist():
            size = min(int(random.integers(1, 64)), len(out) - place)
            start = int(random.integers(0, len(out) - size + 1))
            out[place : place + size] = out[start : start + size].copy()
    whole = out.tobytes()
    return whole[: int(random.integers(1, len(whole)))] if random.random() < 0.2 else whole


def told_in_every_form(path: Path, folder: Path) -> None:
    """Analyse a capture and write all that can be written. InputError for one that is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine = analysed([str(path)], Site())
        snapshot = engine.snapshot()
        whole = json.loads(b"".join(json_pieces(snapshot, engine.flow_records(), None)))
        write_csv(folder, snapshot, engine.flow_records())
        list(conn_log(engine.flow_records(), ()))
        list(conn_json(engine.flow_records(), ()))
        list(eve_lines(snapshot, engine.flow_records()))
        [dumps(line) for line in lines(snapshot, engine.flow_records(), None)]
        summary(snapshot, colour=False)
    VALIDATOR.validate(whole)
    source = whole["source"]
    assert sum(one["packets"] for one in source["interfaces"]) == source["packets"]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_captures_are_told_or_refused_in_every_form(seed: int, tmp_path: Path) -> None:
    assert CAPTURES
    random = np.random.default_rng(seed)
    path = tmp_path / "damaged.cap"
    told = 0
    for _ in range(ROUNDS):
        chosen = CAPTURES[int(random.integers(len(CAPTURES)))]
        path.write_bytes(damaged(chosen.read_bytes(), random))
        try:
            told_in_every_form(path, tmp_path / "csv")
        except InputError:
            continue
        told += 1
    assert told > ROUNDS // 2
