"""At the end of any capture each flow has a verdict, and each verdict its rule or its reason."""

from __future__ import annotations

import json

import jsonschema
import pytest

from panotui.commands.input import analysed
from panotui.model import Site
from panotui.report.analysis import analysis, dumps, schema
from tests.captures import capture, captures


@pytest.mark.parametrize("name", captures())
def test_each_flow_has_a_verdict_and_a_rule_or_a_reason(name: str) -> None:
    engine = analysed([str(capture(name))], Site())
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
