"""Events read as a person would say them, are numbered, and are told once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from panotui.engine.engine import Engine
from panotui.engine.events import HEARD_MOST, Events, EventSpec, event_specs
from panotui.model import (
    DhcpMessage,
    EventRecord,
    LinkControlMessage,
    LinkReading,
    PortRecord,
    RtspMessage,
    Site,
    SourceCounters,
    SourceRecord,
)
from tests.made_up import CAMERA, START, Scene

BASE: dict[str, Any] = {"time_ns": START, "packet": 7, "interface": 0}


@pytest.fixture
def engine() -> Engine:
    return Engine(Site())


def told(events: Events) -> list[tuple[str, str, str]]:
    return [(e.kind, e.severity, e.text) for e in events.drain()]


def test_every_event_of_the_table_is_told_by_somebody_and_every_told_one_is_in_it() -> None:
    rooms = Path(__file__).parents[2] / "panotui"
    source = "".join(path.read_text() for path in (rooms / "engine").glob("*.py"))
    # of alerts that do not arrive the command tells that sends them
    source += (rooms / "commands/alerting.py").read_text()
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', source))
    assert not [n for n in event_specs() if n not in named and not n.startswith("dhcp-")]
    direct = set(re.findall(r'\.tell\(\s*"([a-z-]+)"', source))
    assert len(direct) > 8
    assert direct <= set(event_specs())


def test_a_part_in_brackets_goes_with_its_name() -> None:
    spec = EventSpec(kind="x", severity="info", text="{a} says[ {b}][ to {c}]")
    assert spec.sentence({"a": "It", "b": "[no]", "c": ""}) == "It says [no]"
    assert spec.sentence({"a": "It", "b": "", "c": "{a}"}) == "It says to {a}"


def rtsp(method: str | None, status: int | None, **fields: Any) -> RtspMessage:
    return RtspMessage(
        **BASE, session=1, client="10.20.0.5", server=CAMERA, server_port=554,
        from_client=status is None, method=method, url=None, cseq=1, status=status, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (rtsp("PLAY", 200, reason="OK"), ("info", f"{CAMERA} answers 200 OK to PLAY")),
        (rtsp("PLAY", 454), ("warning", f"{CAMERA} answers 454 to PLAY")),
        (rtsp("DESCRIBE", 401, reason="Unauthorized"),
         ("info", f"{CAMERA} answers 401 Unauthorized to DESCRIBE")),
        (rtsp("DESCRIBE", 401, auth_sent="Digest"),
         ("warning", f"{CAMERA} answers 401 to DESCRIBE")),
        (rtsp(None, 503, reason="Busy"), ("warning", f"{CAMERA} answers 503 Busy")),
        (rtsp("DESCRIBE", 200), None),
        (rtsp("PLAY", None), None),
    ],
)  # fmt: skip
def test_what_cameras_answer(
    engine: Engine, message: RtspMessage, expected: tuple[str, str] | None
) -> None:
    engine.events.observe(message, 0)
    assert told(engine.events) == ([("rtsp", *expected)] if expected else [])


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("ack", {"your_ip": "10.0.0.9"}, ("info", "DHCP gives 10.0.0.9 to cam")),
        ("nak", {}, ("error", "DHCP refuses an address to cam")),
        ("decline", {"requested_ip": "10.0.0.9"}, ("error", "cam declines 10.0.0.9: it is in use")),
        ("decline", {}, ("error", "cam declines its address: it is in use")),
        ("discover", {}, None),
    ],
)
def test_what_dhcp_does(
    engine: Engine, kind: str, fields: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    message = DhcpMessage(
        **BASE, type=kind, xid=1, client_mac="02:00:00:00:00:09", src="0.0.0.0",
        dst="255.255.255.255", host_name="cam", **fields,
    )  # fmt: skip
    engine.events.observe(message, 0)
    assert told(engine.events) == ([("dhcp", *expected)] if expected else [])


def test_a_rare_protocol_of_the_link_is_told_once_a_sender_and_not_without_end(
    engine: Engine,
) -> None:
    def speaks(number: int) -> LinkControlMessage:
        return LinkControlMessage(
            **BASE,
            protocol="eapol",
            title="802.1X",
            src_mac=f"02:00:00:00:01:{number:02x}",
            detail="start",
        )

    engine.events.observe(speaks(1), 0)
    engine.events.observe(speaks(1), 0)
    assert told(engine.events) == [("link", "info", "02:00:00:00:01:01 speaks 802.1X: start")]
    for number in range(200):
        engine.events.observe(speaks(number), 0)
    assert len(engine.events.drain()) == HEARD_MOST - 1


def test_a_link_that_goes_and_comes(engine: Engine) -> None:
    for up in (True, False, True):
        engine.link(LinkReading(time_ns=START, interface="eth9", up=up))
    assert told(engine.events) == [
        ("port", "error", "Interface eth9 has lost its link"),
        ("port", "info", "Interface eth9 has a link again"),
    ]


def test_packets_that_the_ring_missed_are_told_as_they_come() -> None:
    scene = Scene()
    scene.tick([])
    scene.engine.drain_events()
    for ring in (5, 5, 12):
        scene.engine.source(SourceRecord(), [SourceCounters(dropped_ring=ring)])
    assert [e.text for e in scene.engine.drain_events()] == [
        "5 packets were missed by the capture ring",
        "7 packets were missed by the capture ring",
    ]


def test_a_port_is_told_when_its_state_changes_and_not_when_it_becomes_known(
    engine: Engine,
) -> None:
    for state in ("up", "up", "silent", "up"):
        engine.events.ports((PortRecord(name="eth1", state=state),), START)
    assert told(engine.events) == [
        ("port", "warning", "Port eth1 is silent"),
        ("port", "info", "Port eth1 is up"),
    ]


def test_numbers_rise_and_only_the_newest_are_kept(engine: Engine) -> None:
    events = Events(engine.cameras, engine.streams, limit=3)
    for number in range(5):
        events.tell("mark", START + number, "mark", {"text": f"note {number}"})
    assert [e.number for e in events.newest(10)] == [3, 4, 5]
    assert [e.text for e in events.newest(2)] == ["note 3", "note 4"]
    fresh: list[EventRecord] = events.drain()
    assert [e.number for e in fresh] == [1, 2, 3, 4, 5]
    assert not events.drain()
