"""The checks themselves: each kind holds where it should, and says what is wrong where not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.field.checks import Case, checks


def finding(name: str, severity: str = "warning", **fields: Any) -> dict[str, Any]:
    return {
        "id": name, "severity": severity, "confidence": "likely", "text": f"The {name} of port 9",
        "detail": "", "action": "Replace it", "control": None, "evidence": [{"text": "frame 7"}],
        "cleared_time": None, **fields,
    }  # fmt: skip


ANSWER = {
    "findings": [
        finding("loss"),
        finding("loss", "error", cleared_time="2026-01-01T00:00:00Z"),
        finding("over", cleared_time="2026-01-01T00:00:00Z"),
        finding("news", "info"),
    ],
    "violations": [
        {"reason": "inbound", "text": "a to b"},
        {"reason": "inbound", "text": "c to b"},
    ],
    "streams": [
        {"media": "video", "src": "10.0.0.1", "packets": 100, "lost": 2, "fps": 25.0},
        {"media": "video", "src": "10.0.0.2", "packets": 50, "lost": 0, "fps": None},
        {"media": "audio", "src": "10.0.0.1", "packets": 10, "lost": None, "fps": None},
    ],
    "endpoints": [
        {"host": "a.iot.example", "attempts": 2, "state": "reachable"},
        {"host": "logs.example", "attempts": 0, "state": "unseen"},
        {"host": None, "attempts": 1, "state": "failing"},
    ],
    "cameras": [{"address": "10.0.0.1", "state": "streaming"}],
    "clock": {"state": "synchronised"},
    "ports": [{"name": "eth0", "copies": 0, "pause_frames": 300}],
}


def wrong(case: Case) -> list[str]:
    return [check.name for check in checks(case, ANSWER) if not check.right]


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"findings": ["loss", "over"], "never": ["loop"]},
        {"any_of": ["loop", "loss"]},
        {"any_of": [["loop", "loss"], ["over"]]},
        {"cleared": ["over"], "open": ["loss"], "not_cleared": ["loop"]},
        {"quiet": True, "findings": ["loss"], "allowed": ["over"]},
        {"quiet": True, "any_of": ["loss", "over"]},
        {"at_most": {"loss": "error/likely", "loop": "info"}, "at_least": {"loss": "warning"}},
        {"count": {"loss": 2, "loop": 0}},
        {"text": [{"id": "loss", "must": "PORT 9", "must_not": "port 8"}]},
        {"text": [{"id": "loss", "must": "frame 7"}, {"id": "loop", "must": "nothing"}]},
        {"text": [{"id": "loss", "must_not": "frame", "only_text": True}]},
        {"violations": 2},
        {"violations": ["inbound"]},
        {"streams": [{"media": "video", "packets": 100, "fps": 25.4}]},
        {"streams": [{"src": "10.0.0.1", "packets": 99, "tolerance": 1}]},
        {"streams": [{"media": "video", "packets": 150, "lost": 2, "sum": True}]},
        {"streams": [{"packets": 100, "fps": 26.0, "fps_tolerance": 1.0}]},
        {"endpoints": [{"host": "iot", "state": ["failing", "reachable"]}]},
        {"endpoints": [{"host": "logs", "state": "unseen", "seen": False}]},
        {"cameras": [{"address": "10.0.0.1", "state": "streaming"}]},
        {"clock": ["unknown", "synchronised"]},
        {"ports": [{"name": "eth0", "pause_frames": 300}]},
    ],
)
def test_what_holds_is_right(case: Case) -> None:
    assert wrong(case) == []
    assert not case or list(checks(case, ANSWER))


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ({"findings": ["loop"], "never": ["loss"]}, ["finding", "never"]),
        ({"any_of": [["loop", "x"], ["over"]]}, ["finding"]),
        ({"cleared": ["loss"]}, ["cleared"]),
        ({"cleared": ["loop"]}, ["cleared"]),
        ({"open": ["over"]}, ["open"]),
        ({"not_cleared": ["over"]}, ["not_cleared"]),
        ({"quiet": True, "findings": ["loss"]}, ["quiet"]),
        ({"at_most": {"loss": "warning"}}, ["at_most"]),
        ({"at_most": {"loss": "error/possible"}}, ["at_most"]),
        ({"at_least": {"loss": "error"}}, ["at_least"]),
        ({"count": {"loss": 1}}, ["count"]),
        ({"text": [{"id": "loss", "must": "port 8"}]}, ["text"]),
        ({"text": [{"id": "loss", "must_not": "replace"}]}, ["text"]),
        ({"text": [{"id": "loss", "must": "frame", "only_text": True}]}, ["text"]),
        ({"violations": 1}, ["violations"]),
        ({"violations": ["inbound", "arp-spoof"]}, ["violations"]),
        ({"streams": [{"media": "data"}]}, ["stream"]),
        ({"streams": [{"media": "video", "packets": 99}]}, ["stream"]),
        ({"streams": [{"media": "audio", "lost": 0}]}, ["stream"]),
        ({"streams": [{"packets": 100, "fps": 26.0}]}, ["stream"]),
        ({"endpoints": [{"host": "logs", "state": "unseen"}]}, ["endpoint"]),
        ({"endpoints": [{"host": "iot", "state": "failing"}]}, ["endpoint"]),
        ({"cameras": [{"address": "10.0.0.9", "state": "streaming"}]}, ["camera"]),
        ({"clock": "off"}, ["clock"]),
        ({"ports": [{"name": "eth0", "pause_frames": 299}]}, ["port"]),
        ({"ports": [{"name": "eth1", "pause_frames": 0}]}, ["port"]),
    ],
)
def test_what_does_not_hold_is_named(case: Case, names: list[str]) -> None:
    assert wrong(case) == names


def test_a_failed_check_says_what_was_wanted_and_what_is_so() -> None:
    (check,) = checks({"streams": [{"media": "video", "packets": 99, "lost": 2}]}, ANSWER)
    assert str(check) == "stream, expected {'packets': 99}, observed {'packets': 100}"
    (check,) = checks({"clock": "off"}, ANSWER)
    assert str(check) == "clock, expected off, observed synchronised"
