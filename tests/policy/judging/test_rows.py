"""Many flows at once get the verdicts that each would get alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panotui.model import APPS, FLOW_DTYPE, REASONS, SECOND, DnsAnswer, Rows
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import VERDICTS
from tests.policy.made_flows import MAC_ETH0, MAC_ETH1, MAC_GATEWAY, START_NS, flow_row, many
from tests.policy.sites import answer, hello, judge_of

NOW = START_NS + 90 * SECOND
ADDRESSES = st.sampled_from(
    [
        "10.20.0.5",
        "192.168.5.5",
        "10.20.0.11",
        "192.168.5.1",
        "192.168.5.77",
        "192.168.5.255",
        "10.99.0.1",
        "203.0.113.10",
        "203.0.113.11",
        "8.8.8.8",
        "224.0.0.251",
        "255.255.255.255",
        "0.0.0.0",
        "127.0.0.1",
        "169.254.1.1",
    ]
)
SIX = st.sampled_from(["2001:db8::1", "fe80::1", "fd00::1", "ff02::1", "::1"])
PORTS = st.sampled_from([0, 22, 53, 67, 123, 443, 554, 853, 3702, 5353, 8080, 8554, 8883, 40000])


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    out = []
    for number in range(draw(st.integers(1, 12))):
        six = draw(st.integers(0, 5)) == 0
        ends = SIX if six else ADDRESSES
        transport = draw(st.sampled_from(["tcp", "udp", "udp", "tcp", "icmp", "igmp", "gre"]))
        out.append(
            flow_row(
                draw(ends),
                draw(PORTS),
                draw(ends),
                draw(PORTS),
                transport,
                flow=number + 1,
                app=draw(st.sampled_from([None, *APPS[1:12], "other", "ssh"])),
                opened=draw(st.sampled_from(["syn", "port", "first"])),
                state=draw(st.sampled_from(["syn-sent", "established", "refused", "active"])),
                mid=draw(st.booleans()),
                answered=draw(st.booleans()),
                first_ns=START_NS + draw(st.sampled_from([0, 60, 85, 89])) * SECOND,
                client_mac=draw(st.sampled_from([None, MAC_ETH0, MAC_ETH1, MAC_GATEWAY])),
                server_mac=draw(st.sampled_from([None, MAC_ETH0, MAC_ETH1, MAC_GATEWAY])),
                spoke=draw(st.booleans()),
            )
        )
    return many(out)


@given(rows(), st.sampled_from(["", "named"]))
@settings(max_examples=80, deadline=None)
def test_a_flow_alone_and_among_others_gets_one_verdict(made: Rows, kind: str) -> None:
    judge = judge_of()
    if kind == "named":
        for address in ("203.0.113.10", "10.99.0.1"):
            name = "logs.us-east-1.amazonaws.com"
            judge.names.observe(answer(name, DnsAnswer(name, "A", 60, address)))
        judge.names.observe(hello("evil.example", flow=1))
        judge.names.observe(hello("s3.us-east-1.amazonaws.com", flow=2))
    out = judge.judge_rows(FlowRows.of(made), NOW)
    for index in range(len(made)):
        alone = judge.judgement(FlowRows.of(made)[index], NOW)
        assert VERDICTS[out.verdict[index]] == alone.verdict
        assert (REASONS[out.reason[index] - 1] if out.reason[index] else None) == alone.reason


@given(rows())
@settings(max_examples=30, deadline=None)
def test_nothing_stays_open_at_the_end(made: Rows) -> None:
    """Except flows of which no captured packet has ports: no rule could fit."""
    out = judge_of().judge_rows(FlowRows.of(made), NOW, final=True)
    portless = (made["sport"] == 0) & (made["dport"] == 0)
    assert not ((out.verdict == VERDICTS.index("pending")) & ~portless).any()


@given(rows())
@settings(max_examples=30, deadline=None)
def test_a_violation_has_a_reason_and_nothing_else_has(made: Rows) -> None:
    out = judge_of().judge_rows(FlowRows.of(made), NOW)
    assert ((out.verdict == VERDICTS.index("violation")) == (out.reason > 0)).all()


def test_a_scan_of_all_ports_is_a_handful_of_classes() -> None:
    judge = judge_of()
    scan = np.repeat(flow_row("192.168.5.77", 40000, "192.168.5.5", 1), 65_535)
    scan["id"] = np.arange(len(scan))
    scan["dport"] = np.arange(1, 65_536)
    out = judge.judge_rows(FlowRows.of(scan), NOW)
    assert len(out.classes) < 100
    assert np.count_nonzero(out.verdict == VERDICTS.index("violation")) == 65_534
    assert out.rules[out.rule[8079]] == "listen:8080/tcp"


def test_verdicts_follow_when_the_site_becomes_known() -> None:
    judge = judge_of("")
    row = flow_row("192.168.9.9", 50000, "203.0.113.9", 443, app="tls")
    judge.names.observe(hello("logs.eu-west-1.amazonaws.com"))
    assert VERDICTS[judge.judge_rows(FlowRows.of(row), NOW).verdict[0]] == "allowed"
    name = "x1-ats.iot.us-east-1.amazonaws.com"
    version = judge.view.version
    judge.view.observe_all([answer(name, client="192.168.9.9")])
    assert judge.view.version > version
    assert judge.view.facts.region == "us-east-1"
    out = judge.judge_rows(FlowRows.of(row), NOW)
    assert REASONS[out.reason[0] - 1] == "unlisted-endpoint"


def test_no_rows_give_no_verdicts() -> None:
    assert len(judge_of().judge_rows(FlowRows.of(np.zeros(0, FLOW_DTYPE)), NOW)) == 0
