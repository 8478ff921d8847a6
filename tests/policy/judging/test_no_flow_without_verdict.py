"""At the end of any capture each flow has a verdict, and each verdict its rule or its reason."""

from __future__ import annotations

import json

import jsonschema
import pytest

from panotui.commands.input import analysed
from panotui.model import Site
from panotui.report.analysis import analysis, dumps, schema
from tests.captures import capture, captures

TLS_PORTS = (443, 853, 8443, 8883)


@pytest.mark.parametrize("name", captures())
def test_each_flow_has_a_verdict_and_a_rule_or_a_reason(name: str) -> None:
    engine = analysed([str(capture(name))], Site())
    whole = json.loads(dumps(analysis(engine)))
    jsonschema.Draft202012Validator(schema()).validate(whole)
    for flow in whole["flows"]:
        if flow["verdict"] == "pending":
            # named before the capture began, or beyond its snap length: it cannot be known
            # (nor can a flow's ports where no packet of it has any)
            assert flow["dport"] in (*TLS_PORTS, 0), flow
            assert flow["dport"] or not flow["sport"], flow
            assert flow["host_source"] in (None, "range"), flow
            continue
        assert (flow["reason"] is not None) == (flow["verdict"] == "violation"), flow
        if flow["verdict"] != "violation":
            assert flow["rule"], flow
    told = [
        (v["reason"], v["port"], v["src"], v["dst"], v["host"], v["transport"], v["dport"])
        for v in whole["violations"]
    ]
    assert len(told) == len(set(told))
