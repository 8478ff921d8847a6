"""Time from packets: each step of a time server, and clocks that are off or only look it."""

from __future__ import annotations

import random

import pytest

from panotui.engine.engine import Engine
from tests.diagnosis.lan_wire import OTHER_MAC, Ntp, loud, stamp, the
from tests.diagnosis.wire import CLOUD, GATEWAY, Wire
from tests.made_up import START, site

SECOND_SERVER, THIRD_SERVER = "192.168.5.123", "192.168.5.124"
YEAR = 365.25 * 86_400
SINCE_1970 = -START / 1e9
WHO = site(network={"gateways": [GATEWAY], "ntp": [GATEWAY, SECOND_SERVER, THIRD_SERVER]})


def watched(wire: Wire, end: float) -> Engine:
    return wire.watch(WHO, end=end)


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (SINCE_1970, "years"), (-3 * YEAR, "years"), (12 * YEAR, "years"), (-45.0, "-45 s"),
        (10_800.0, "+3.0 h"),
    ],
)  # fmt: skip
def test_a_clock_that_is_off_by_any_amount(off: float, said: str) -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(4):
        ntp.ask(1 + 16.0 * n, off=off)
    engine = watched(wire, 60)
    assert loud(engine) == ["clock-off"]
    found = the(engine, "clock-off")
    assert found.severity == ("error" if abs(off) > 300 else "warning")
    assert said in found.text
    assert found.evidence[0].packet
    assert engine.snapshot().clock.state == "off"


def test_a_clock_of_1970_is_believed_at_the_first_question() -> None:
    wire = Wire()
    Ntp(wire).ask(1, off=SINCE_1970)
    assert loud(watched(wire, 4)) == ["clock-off"]


def test_a_clock_that_was_set_is_right_again() -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(6):
        ntp.ask(1 + 16.0 * n, off=-3 * YEAR if n < 3 else 0.0)
    wire.quiet(82, 130)
    assert the(watched(wire, 130), "clock-off").cleared_time_ns is not None


@pytest.mark.parametrize("kind", ["random", "constant", "zero"])
def test_stamps_that_are_no_time(kind: str) -> None:
    wire = Wire()
    ntp = Ntp(wire)
    chance = random.Random(7)
    for n in range(12):
        sent = {"random": chance.getrandbits(64) | 1, "constant": stamp(-9e8), "zero": 0}[kind]
        ntp.ask(1 + (2.0 * n if n < 4 else 16.0 * n), sent=sent)
    engine = watched(wire, 200)
    assert loud(engine) == []
    assert engine.snapshot().clock.state == "synchronised"


def test_answers_that_fit_no_question() -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(4):
        ntp.ask(1 + 16.0 * n, origin=0)
    engine = watched(wire, 60)
    assert loud(engine) == ["ntp-rejected"]
    found = the(engine, "ntp-rejected")
    assert [e.packet for e in found.evidence] == [2, 4, 6, 8]
    assert engine.snapshot().clock.state == "unsynchronised"


def test_one_answer_that_fits_no_question_is_an_accident() -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(5):
        ntp.ask(1 + 16.0 * n, origin=0 if n == 2 else None)
    assert loud(watched(wire, 70)) == []


@pytest.mark.parametrize(
    ("refid", "said", "advice"),
    [
        (b"RATE", "asks too often (RATE)", "asked less often"),
        (b"DENY", "refuses to serve eth1 (DENY)", "allow eth1"),
        (b"INIT", "has no time to offer yet (INIT)", "Wait a few minutes"),
        (bytes(4), "has no time to offer yet", "Wait a few minutes"),
        (b"NKEY", "authenticated requests (NKEY)", "unauthenticated requests"),
        (b"XYZW", "refuses with XYZW", "another time server"),
    ],
)
def test_kiss_codes_say_why(refid: bytes, said: str, advice: str) -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(3):
        ntp.ask(1 + 16.0 * n, stratum=0, leap=3, refid=refid)
    engine = watched(wire, 50)
    assert loud(engine) == ["ntp-unsynced"]
    found = the(engine, "ntp-unsynced")
    assert said in found.text
    assert advice in found.action


@pytest.mark.parametrize(
    ("more", "finding"),
    [
        ({"stratum": 0, "leap": 3, "refid": b"RATE"}, "ntp-unsynced"),
        ({"stratum": 16, "leap": 3}, "ntp-unsynced"),
        ({"answers": False}, "ntp-silent"),
        ({"origin": 0}, "ntp-rejected"),
        ({"server_off": 40.0}, "ntp-unsynced"),
    ],
)
def test_one_of_several_servers_that_does_not_help_is_information(
    more: dict[str, object], finding: str
) -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(8):
        ntp.ask(1 + 16.0 * n, SECOND_SERVER)
        ntp.ask(2 + 16.0 * n, THIRD_SERVER)
        ntp.ask(3 + 16.0 * n, **more)  # type: ignore[arg-type]
    engine = watched(wire, 130)
    assert loud(engine) == []
    assert the(engine, finding).severity == "info"
    assert any("works" in line for line in the(engine, finding).detail)
    assert engine.snapshot().clock.state == "synchronised"


def test_a_server_that_worked_before_is_no_control() -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(8):
        ntp.ask(1 + 16.0 * n, SECOND_SERVER, answers=n < 3)
        ntp.ask(2 + 16.0 * n, GATEWAY, answers=n < 3)
    engine = watched(wire, 130)
    assert loud(engine) == ["ntp-silent"], "both, and told as one"
    assert engine.snapshot().clock.state == "silent"


def test_what_another_host_asks_in_vain_is_its_own() -> None:
    wire = Wire()
    mine, theirs = Ntp(wire), Ntp(wire, (OTHER_MAC, "192.168.5.66"))
    for n in range(6):
        mine.ask(1 + 16.0 * n)
        theirs.ask(2 + 4.0 * n, answers=False)
        theirs.ask(40 + 4.0 * n, stratum=0, leap=3, refid=b"RATE")
    engine = watched(wire, 100)
    assert loud(engine) == []
    assert engine.snapshot().clock.state == "synchronised"


def test_a_mirror_that_doubles_exchanges_changes_nothing() -> None:
    wire = Wire()
    ntp = Ntp(wire)
    for n in range(5):
        ntp.ask(1 + 16.0 * n)
    for at, interface, frame, _ in list(wire.frames):
        wire.add((at - START) / 1e9 + 0.0001, frame, interface)
    engine = watched(wire, 80)
    assert loud(engine) == []
    (server,) = [s for s in engine.snapshot().clock.servers if s.requests]
    assert (server.requests, server.responses) == (5, 5)
    assert CLOUD
