"""At the end of any capture each flow has a verdict, and each verdict its rule or its reason."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from panotui.commands.input import analysed
from panotui.model import Site
from panotui.report.analysis import analysis, dumps, schema
from tests.captures import DATA

BUNDLED = sorted(
    path for path in DATA.rglob("*") if path.suffix in (".pcap", ".pcapng") and path.is_file()
)


@pytest.mark.parametrize("capture", BUNDLED, ids=lambda path: path.stem)
def test_each_flow_has_a_verdict_and_a_rule_or_a_reason(capture: Path) -> None:
    engine = analysed([str(capture)], Site())
    whole = json.loads(dumps(analysis(engine)))
    jsonschema.Draft202012Validator(schema()).validate(whole)
    for flow in whole["flows"]:
        assert flow["verdict"] != "pending", flow
        assert (flow["reason"] is not None) == (flow["verdict"] == "violation"), flow
        if flow["verdict"] != "violation":
            assert flow["rule"], flow
    told = [
        (v["reason"], v["port"], v["src"], v["dst"], v["host"], v["transport"], v["dport"])
        for v in whole["violations"]
    ]
    assert len(told) == len(set(told))
