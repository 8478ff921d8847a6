"""Messages reach the rules that hear them, and no others."""

from __future__ import annotations

from panotui.diagnosis import RULES
from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts, Observation, Rule
from panotui.model import AnyMessage, NotTls, TlsFinished
from tests.made_up import START, Scene


def test_a_rule_is_shown_only_the_messages_that_it_hears() -> None:
    told: list[tuple[str, str]] = []

    class Deaf(Rule):
        def observe(self, message: AnyMessage, facts: Facts) -> None:
            told.append((type(self).__name__, type(message).__name__))

        def tick(self, facts: Facts) -> list[Observation]:
            return []

    class One(Deaf):
        hears = frozenset((NotTls,))

    class Two(Deaf):
        hears = frozenset((NotTls, TlsFinished))

    scene = Scene()
    diagnosis = Diagnosis([Deaf(), One(), Two()])
    for message in (
        NotTls(time_ns=START, packet=1, interface=0, flow=1, looks_like="ssh"),
        TlsFinished(time_ns=START, packet=1, interface=0, flow=1),
    ):
        diagnosis.observe(message, scene.engine.facts)
    assert told == [("One", "NotTls"), ("Two", "NotTls"), ("Two", "TlsFinished")]


def test_every_rule_that_learns_from_messages_names_them() -> None:
    for rule in RULES:
        learns = rule.observe is not Rule.observe
        assert learns == bool(rule.hears), rule.__name__
