"""The ladder of a port below its connections: frames, lease, next hop."""

from __future__ import annotations

import pytest

from panotui.report.analysis import analysis
from tests.situations import SITUATIONS


@pytest.mark.parametrize(
    ("name", "target", "failing", "text"),
    [
        ("nobody-answers-discover", "lease", "offer", "5 DISCOVERs, no OFFER"),
        ("offers-are-never-taken", "lease", "request", "5 OFFERs, none requested"),
        ("server-refuses-the-old-address", "lease", "ack", "refused (NAK)"),
        ("renewal-and-rebinding-are-not-answered", "lease", "renewal", "6 renewals"),
        ("every-lease-is-in-use-already", "lease", "in-use", "4 leases declined"),
        ("refused-once-and-then-served", "lease", None, "192.168.5.5 leased by 192.168.5.1"),
        ("gateway-stops-answering", "next-hop", "answered", "ARP requests, no answer"),
        ("a-plain-well-site", "next-hop", None, "answers ARP as 02:00:00:00:02:01"),
    ],
)
def test_a_port_shows_how_far_its_lease_and_next_hop_got(
    name: str, target: str, failing: str | None, text: str
) -> None:
    answer = analysis(SITUATIONS[name].watch())
    rows = {r["target"]: r for p in answer["ports"] if p["name"] == "eth1" for r in p["ladder"]}
    assert rows["port"]["name"] == "eth1"
    assert rows[target]["failing_step"] == failing
    assert text in rows[target]["text"]
    assert (rows[target]["since"] is not None) is (failing is not None)


def test_resolvers_and_time_servers_say_which_step_they_fail() -> None:
    for name, service, failing in (
        ("the-only-resolver-stops", "dns", "answered"),
        ("resolver-refuses-everything", "dns", "useful-answer"),
        ("the-only-time-server-stops", "ntp", "answered"),
        ("time-server-is-at-stratum-16", "ntp", "valid"),
    ):
        answer = analysis(SITUATIONS[name].watch())
        rows = [e for e in answer["endpoints"] if e["service"] == service and e["attempts"]]
        assert [e["failing_step"] for e in rows] == [failing], name
