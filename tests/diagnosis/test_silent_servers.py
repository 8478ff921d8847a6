"""Which silent servers share a finding: those of which nothing more is known."""

from __future__ import annotations

from panotui.diagnosis.facts import Observation
from panotui.diagnosis.servers import together


def silent(server: str, text: str | None = None, action: str | None = None) -> Observation:
    values = {"server": server, "port": "eth1", "count": "4"}
    return Observation("dns-timeout", server, values, text=text, action=action)


def joined(*seen: Observation) -> list[Observation]:
    return list(together(list(seen), lambda names, count: f"{names}: {count}", "dns"))


def test_servers_of_one_side_that_are_merely_silent_share_a_finding() -> None:
    (one,) = joined(silent("192.168.5.1"), silent("192.168.5.53"))
    assert one.text == "192.168.5.1 and 192.168.5.53: 8"
    assert one.covers == ("dns-timeout|192.168.5.1", "dns-timeout|192.168.5.53")


def test_a_known_reason_is_not_lost_in_a_joint_sentence() -> None:
    known = silent("192.168.5.53", text="192.168.5.53 cannot be reached: the router says so")
    assert not joined(silent("192.168.5.1"), known)
    (one,) = joined(silent("192.168.5.1"), silent("192.168.5.2"), known)
    assert "192.168.5.53" not in (one.text or "")
    assert known.life_key not in one.covers


def test_what_asks_for_different_actions_is_told_apart() -> None:
    assert not joined(silent("192.168.5.1"), silent("192.168.5.53", action="Find out who asks it"))
    (one,) = joined(
        silent("192.168.5.1", action="Do this"), silent("192.168.5.2", action="Do this")
    )
    assert one.action == "Do this"
