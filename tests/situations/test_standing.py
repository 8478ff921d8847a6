"""What is said of what is needed, beside the findings: no better, no worse than what was seen."""

from __future__ import annotations

from panotui.commands.summary import summary
from tests.situations import SITUATIONS
from tests.situations.town import IOT


def test_what_failed_in_an_outage_and_was_not_tried_since_is_told_so() -> None:
    snapshot = SITUATIONS["sdwan-takes-seventy-seconds-to-switch"].watch().snapshot()
    text = summary(snapshot)
    assert "NOT TRIED AGAIN" in text
    assert "was blocked, and not tried since 14:15:37 UTC" in text
    assert "NO CAUSE KNOWN" not in text


def test_errors_that_a_resolver_gives_others_are_not_the_appliances() -> None:
    snapshot = SITUATIONS["office-in-full-on-the-span"].watch().snapshot()
    states = {e.host: e.state for e in snapshot.endpoints if e.service == "dns"}
    assert states == {"10.133.8.10": "reachable", "10.133.8.11": "unseen"}


def test_a_host_whose_connections_are_cut_is_not_called_reachable() -> None:
    snapshot = SITUATIONS["uploads-are-reset-in-the-middle"].watch().snapshot()
    (s3,) = [e for e in snapshot.endpoints if e.host == "s3.eu-west-1.amazonaws.com"]
    assert (s3.state, s3.failing_step) == ("failing", "open")


def test_a_resolver_is_no_endpoint_that_its_answers_lead_to() -> None:
    found = SITUATIONS["port-is-put-into-quarantine"].watch().snapshot().violations
    assert [v.text for v in found if v.dport == 53] == [
        "DNS to 172.31.99.2, which is no resolver of the site"
    ]


def test_what_was_not_heard_since_the_internet_is_gone_keeps_no_tick() -> None:
    engine = SITUATIONS["internet-dies-while-mqtt-is-silent"].watch()
    snapshot = engine.snapshot()
    states = {e.host: (e.state, e.detail) for e in snapshot.endpoints if e.rule != "dns"}
    assert states[IOT][0] == "failing"
    assert "nothing on the internet answers" in (states[IOT][1] or "")
    assert not [e.host for e in snapshot.endpoints if e.needed and e.state == "reachable"
                and e.service not in ("dns", "ntp")]  # fmt: skip


def test_what_is_heard_while_new_connections_fail_keeps_its_tick() -> None:
    snapshot = SITUATIONS["table-of-connections-is-full"].watch().snapshot()
    (iot,) = [e for e in snapshot.endpoints if e.host == IOT]
    assert iot.state == "reachable"
