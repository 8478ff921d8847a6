"""An endpoint whose name leads to no address is not reachable, whatever worked before."""

from __future__ import annotations

import pytest

from panotui.engine.engine import Engine
from panotui.engine.settings import EngineSettings
from panotui.model import SECOND, DnsAnswer, DnsMessage, EndpointRecord
from panotui.site.file import load_site
from tests.captures import DATA
from tests.diagnosis.test_verdicts_agree import of_file
from tests.field.cases import all_cases, name
from tests.made_up import START, site

HOST = "logs.us-east-1.amazonaws.com"
ASKER, SERVER = "10.0.0.2", "10.0.0.53"
FIELD = DATA / "field"


def question(at_s: float, *, server: str = SERVER, kind: str = "A") -> DnsMessage:
    return message(at_s, server, kind, response=False, rcode="NOERROR")


def answer(
    at_s: float, rcode: str = "NOERROR", *addresses: str, server: str = SERVER, kind: str = "A"
) -> DnsMessage:
    said = tuple(DnsAnswer(name=HOST, type=kind, data=a, ttl=60) for a in addresses)
    return message(at_s, server, kind, response=True, rcode=rcode, answers=said)


def message(
    at_s: float,
    server: str,
    kind: str,
    *,
    response: bool,
    rcode: str,
    answers: tuple[DnsAnswer, ...] = (),
) -> DnsMessage:
    return DnsMessage(
        time_ns=START + int(at_s * SECOND), packet=int(at_s * 10) + 1, interface=0,
        transport="udp", client=ASKER, server=server, client_port=5000, id=7, response=response,
        rcode=rcode, name=HOST, type=kind, answers=answers,
    )  # fmt: skip


def endpoint_after(*messages: DnsMessage) -> EndpointRecord:
    engine = Engine(site(), EngineSettings())
    for each in messages:
        engine.lookups.observe(each, 0)
    engine.endpoints.take_lookups(engine.lookups.drain_changed(), ())
    engine.endpoints.judge_states(START + 60 * SECOND)
    return next(e for e in engine.snapshot().endpoints if e.service == "logs")


def test_two_lookups_in_vain_are_a_failing_endpoint_whose_step_is_the_name() -> None:
    found = endpoint_after(
        question(1), answer(1.1, "SERVFAIL"), question(30), answer(30.1, "SERVFAIL")
    )
    assert (found.state, found.failing_step, found.host) == ("failing", "name", HOST)
    assert found.detail == f"SERVFAIL for its name from {SERVER}, 2 times"
    assert [a.packet for a in found.attempts_detail] == [12, 302]


def test_a_name_that_does_not_exist_needs_no_second_lookup() -> None:
    assert endpoint_after(question(1), answer(1.1, "NXDOMAIN")).failing_step == "name"


def test_questions_without_any_answer_are_in_vain() -> None:
    found = endpoint_after(question(1), question(6), question(11))
    assert (found.state, found.detail) == (
        "failing", f"no answer for its name from {SERVER}, 2 times",
    )  # fmt: skip


def test_the_server_that_said_nothing_is_named_and_not_the_next_one() -> None:
    found = endpoint_after(
        question(1), question(6, server="10.0.0.54"), question(11, server="10.0.0.54")
    )
    assert [(a.address, a.packet) for a in found.attempts_detail] == [
        (SERVER, 11), ("10.0.0.54", 61),
    ]  # fmt: skip


def test_what_worked_between_lookups_in_vain_says_nothing_of_those_after_it() -> None:
    engine = Engine(site(), EngineSettings())
    rule = engine.endpoints.rule_of(HOST, "tcp", 443)
    assert rule is not None
    endpoint = engine.endpoints.at(rule, HOST, 443, "192.0.2.1")
    said = []
    for at_s in (1, 30, 60, 90):
        engine.lookups.observe(question(at_s), 0)
        engine.lookups.observe(answer(at_s + 0.1, "SERVFAIL"), 0)
        engine.endpoints.take_lookups(engine.lookups.drain_changed(), ())
        said.append(endpoint.newest_state)
        if at_s == 30:
            endpoint.attempts.succeeded(START + 35 * SECOND)  # by an address that it remembers
    assert said == ["unseen", "failing", "reachable", "failing"]


@pytest.mark.parametrize(
    "messages",
    [
        (question(1), answer(1.1, "SERVFAIL")),
        (question(1), question(1.1), answer(1.2, "NOERROR", "192.0.2.1")),
        (question(1), answer(1.1, "SERVFAIL"), answer(1.1001, "SERVFAIL")),
        (
            question(1), answer(1.1, "REFUSED"), question(1.2, server="10.0.0.54"),
            answer(1.3, "NOERROR", "192.0.2.1", server="10.0.0.54"),
        ),
        (
            question(1), question(1, kind="AAAA"), answer(1.1, "NOERROR", "192.0.2.1"),
            answer(1.1, "SERVFAIL", kind="AAAA"), question(9), question(9, kind="AAAA"),
            answer(9.1, "NOERROR", "192.0.2.1"), answer(9.1, "SERVFAIL", kind="AAAA"),
        ),
        (
            question(1), answer(1.1, "SERVFAIL"), question(2), answer(2.1, "SERVFAIL"),
            question(3), answer(3.1, "NOERROR", "192.0.2.1"),
        ),
    ],
    ids=["one", "copy of a question", "copy of an answer", "second server", "ipv6", "healed"],
)  # fmt: skip
def test_what_an_address_follows_or_happens_once_is_no_failure(
    messages: tuple[DnsMessage, ...],
) -> None:
    found = endpoint_after(*messages)
    assert (found.state, found.failing_step) == ("unseen", None)


@pytest.mark.parametrize(
    "case", [c for c in all_cases().values() if "site" in c], ids=lambda c: name(c)
)
def test_no_endpoint_is_called_reachable_that_an_open_error_names(case: dict[str, str]) -> None:
    shot = of_file(str(FIELD / case["file"]), load_site(FIELD / case["site"]))
    errors = [
        f for f in shot.findings
        if f.severity == "error" and f.cleared_time_ns is None and f.hidden_by is None
    ]  # fmt: skip
    for endpoint in shot.endpoints:
        if endpoint.state != "reachable":
            continue
        about = endpoint.service in ("dns", "ntp")
        for error in errors:
            assert error.subject != endpoint.host, error.text
            assert about or error.id.startswith("stream-") or endpoint.host not in error.text
    bad = {e.host for e in shot.endpoints if e.needed and e.state in ("blocked", "failing")}
    told = [f for f in shot.findings if f.severity != "info" and f.cleared_time_ns is None]
    assert told or not bad
