"""Messages reach the rules that hear them, and no others."""

from __future__ import annotations

from panotui.diagnosis.diagnosis import Diagnosis
from panotui.diagnosis.facts import Facts, Observation, Rule
from panotui.model import AnyMessage, NotTls, TlsFinished
from tests.made_up import START, Scene


def test_a_rule_is_shown_only_the_messages_that_it_hears() -> None:
    told: list[tuple[str, str]] = []

    class Deaf(Rule):
        def tick(self, facts: Facts) -> list[Observation]:
            return []

    class All(Deaf):
        def observe(self, message: AnyMessage, facts: Facts) -> None:
            told.append((type(self).__name__, type(message).__name__))

    class Some(All):
        hears = frozenset((NotTls,))

    scene = Scene()
    diagnosis = Diagnosis([Deaf(), All(), Some()])
    for message in (
        NotTls(time_ns=START, packet=1, interface=0, flow=1, looks_like="ssh"),
        TlsFinished(time_ns=START, packet=1, interface=0, flow=1),
    ):
        diagnosis.observe(message, scene.engine.facts)
    assert told == [("All", "NotTls"), ("Some", "NotTls"), ("All", "TlsFinished")]
