"""What is read of cameras over HTTP is called as what it is: ONVIF, snapshots, MJPEG."""

from __future__ import annotations

import pytest

from tests.diagnosis.met.clothes import RECORDER, RECORDER_MAC
from tests.diagnosis.met.run import SITE
from tests.diagnosis.met.truth import SCENES
from tests.diagnosis.wire import CAMERA_MAC, Wire
from tests.made_up import CAMERA


def apps(wire: Wire) -> set[str | None]:
    return {flow.app for flow in wire.watch(SITE).flow_records() if flow.dport == 80}


@pytest.mark.parametrize(
    ("scene", "app"),
    [
        ("snapshots_each_second", "snapshot"),
        ("pictures_in_an_http_answer", "mjpeg"),
        ("tunnelled_over_http", "rtsp-http"),
    ],
)
def test_pictures_over_http_are_called_as_what_they_are(scene: str, app: str) -> None:
    wire = Wire()
    SCENES[scene](wire)
    assert apps(wire) == {app}


def exchange(wire: Wire, asks: list[bytes], answers: list[bytes]) -> None:
    flow = wire.tcp((RECORDER_MAC, RECORDER, 45_300), (CAMERA_MAC, CAMERA, 80))
    flow.open(0.1)
    for number, (asked, answered) in enumerate(zip(asks, answers, strict=True)):
        flow.send(1 + number, asked)
        flow.answer(1.1 + number, answered)


def request(path: bytes, kind: bytes, body: bytes) -> bytes:
    return (
        b"POST " + path + b" HTTP/1.1\r\nHost: 10.20.0.11\r\nContent-Type: " + kind
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


def answer(kind: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: " + kind
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


PULL = b'application/soap+xml; action="http://www.onvif.org/ver10/events/wsdl/PullMessages"'
SOAP = b"<s:Envelope/>" * 40


@pytest.mark.parametrize(
    ("path", "kind", "app"),
    [
        (b"/onvif/event_service", b"application/soap+xml", "onvif"),
        (b"/event/evtservice", PULL, "onvif"),  # a path of its own, the action tells
        (b"/api/v1/items", b"application/json", "http"),
    ],
)
def test_onvif_is_told_by_its_path_or_action(path: bytes, kind: bytes, app: str) -> None:
    wire = Wire()
    exchange(wire, [request(path, kind, SOAP)] * 3, [answer(kind, SOAP)] * 3)
    assert apps(wire) == {app}


def test_a_page_with_a_picture_is_no_snapshot() -> None:
    wire = Wire()
    exchange(
        wire,
        [
            b"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /logo.jpeg HTTP/1.1\r\nHost: x\r\n\r\n",
        ],
        [answer(b"text/html", b"<html>"), answer(b"image/jpeg", b"\xff\xd8" + bytes(100))],
    )
    assert apps(wire) == {"http"}
