"""Why a flow is allowed or not, without traffic and with it; the policy as it is shown."""

from __future__ import annotations

import json

import pytest

from panotui.errors import UsageError
from panotui.model import SECOND, DnsAnswer
from panotui.model.flow_rows import FlowRows
from panotui.policy.queries.explain import Explanation, explain, explain_flow
from panotui.policy.queries.show import resolve, show_json, show_text
from tests.policy.made_flows import START_NS, flow_row
from tests.policy.sites import answer, hello, judge_of, view_of

LOGS = "logs.us-east-1.amazonaws.com"


def ask(host: str, port: int, *rest: str, site: str | None = None) -> Explanation:
    view = view_of() if site is None else view_of(site)
    return explain(view, host, port, *rest)


def test_the_nearest_rule_says_which_port_is_wrong() -> None:
    answer_ = ask("monitoring.us-east-1.amazonaws.com", 8444)
    assert (answer_.verdict, answer_.reason) == ("violation", "unlisted-port")
    assert answer_.nearest == ("cloudwatch: port 8444 is not 443",)


def test_the_nearest_rule_says_which_transport_is_wrong() -> None:
    assert ask(LOGS, 443, "udp").nearest == ("logs: transport udp is not tcp",)


def test_the_nearest_rule_says_which_region_is_wrong() -> None:
    answer_ = ask("logs.eu-west-1.amazonaws.com", 443)
    assert answer_.nearest == ("logs: region eu-west-1 is not us-east-1",)
    assert "eu-west-1" in answer_.text


def test_a_look_alike_is_shown_beside_what_it_imitates() -> None:
    answer_ = ask(f"{LOGS}.evil.example", 443)
    assert answer_.nearest == (f"logs: host {LOGS}.evil.example is not {LOGS}",)


def test_the_port_of_the_appliance_matters() -> None:
    assert ask(LOGS, 443, "tcp", "eth1").verdict == "allowed"
    wrong = ask(LOGS, 443, "tcp", "eth0")
    assert wrong.reason == "wrong-port"
    assert wrong.nearest == ("logs: eth0 is the camera port, not the cloud port",)


def test_a_rule_tells_where_it_comes_from() -> None:
    answer_ = ask(LOGS, 443)
    assert answer_.rule == "logs"
    assert "guide" in (answer_.source or "")


def test_a_name_of_the_2021_guide_is_allowed_and_explained() -> None:
    answer_ = ask("logs.us-east-1.aws.amazon.com", 443)
    assert (answer_.verdict, answer_.alias) == ("allowed", True)
    assert "amazonaws.com" in answer_.text


def test_cameras_are_known_by_address_and_by_name() -> None:
    assert ask("10.20.0.11", 554).rule == "rtsp"
    assert ask("dock", 554).rule == "rtsp"
    assert ask("10.20.0.11", 80).nearest == ("rtsp: port 80 is not 554",)


def test_inbound_is_asked_for_by_direction() -> None:
    assert ask("192.168.5.9", 8080, "tcp", "eth1", "in").rule == "listen:8080/tcp"
    outside = ask("203.0.113.9", 8080, "tcp", "eth1", "in")
    assert outside.reason == "inbound"
    assert outside.nearest == ("listen:8080/tcp: 203.0.113.9 is not in 192.168.5.0/24",)


def test_resolvers_of_the_site_are_named_when_another_is_asked() -> None:
    answer_ = ask("8.8.8.8", 53, "udp")
    assert answer_.nearest == ("dns: 8.8.8.8 is no resolver of the site (192.168.5.1)",)


@pytest.mark.parametrize(
    "wrong",
    [
        ("a..b", 443),
        (LOGS, 70000),
        (LOGS, 443, "sctp"),
        (LOGS, 443, "tcp", "eth7"),
        (LOGS, 443, "tcp", "eth1", "up"),
    ],
)
def test_a_question_without_sense_is_a_usage_error(wrong: tuple[str, int]) -> None:
    with pytest.raises(UsageError):
        explain(view_of(), *wrong)


def test_an_answer_reads_as_lines() -> None:
    lines = ask("monitoring.us-east-1.amazonaws.com", 8444).lines()
    assert lines[0] == "tcp/8444 to monitoring.us-east-1.amazonaws.com: violation (unlisted-port)"
    assert any("port 8444 is not 443" in line for line in lines)


def test_a_flow_tells_verdict_rule_names_and_contradictions() -> None:
    judge = judge_of()
    judge.names.observe(answer("cdn.example", DnsAnswer("cdn.example", "A", 60, "203.0.113.9")))
    judge.names.observe(hello(LOGS))
    row = flow_row("192.168.5.5", 50000, "203.0.113.9", 443, app="tls")
    lines = explain_flow(judge, FlowRows.of(row)[0], START_NS + 90 * SECOND)
    labels = [label for label, _ in lines]
    text = "\n".join(t for _, t in lines)
    assert labels[0] == "verdict"
    assert "allowed" in lines[0][1]
    assert "logs (guide" in text
    assert f"{LOGS}, said by the client in TLS (SNI)" in text
    assert "cdn.example, by a DNS answer" in text
    assert "conflict" in labels


def test_a_flow_without_a_name_says_so_and_what_was_not_seen() -> None:
    row = flow_row("192.168.5.5", 50000, "203.0.113.9", 443, mid=True, opened="port")
    lines = dict(explain_flow(judge_of(), FlowRows.of(row)[0], START_NS + 90 * SECOND))
    assert lines["name"] == "none seen for 203.0.113.9"
    assert lines["seen"] == "its beginning was not seen"
    assert "by its port" in lines["client"]


def test_the_policy_is_shown_with_sources_and_the_guides_names() -> None:
    text = show_text(view_of())
    assert "monitoring.us-east-1.aws.amazon.com  ->  monitoring.us-east-1.amazonaws.com" in text
    assert "[inferred]" in text
    assert "listen:8080/tcp" in text
    for rule in resolve(view_of()).rules:
        assert rule.source, rule.id


def test_an_unknown_region_shows_all_of_them() -> None:
    shown = resolve(view_of(""))
    assert shown.region is None
    logs = next(r for r in shown.rules if r.id == "logs")
    assert len(logs.hosts) == 6


def test_camera_only_mode_needs_no_cloud() -> None:
    shown = resolve(view_of('[site]\nmode = "camera-only"\n'))
    assert not any(r.needed for r in shown.rules)


def test_the_shown_policy_is_json() -> None:
    data = json.loads(show_json(view_of()))
    assert data["schema"] == "panotui.policy/1"
    assert {r["id"] for r in data["rules"]} >= {"iot", "logs", "s3", "rtsp", "dns"}
