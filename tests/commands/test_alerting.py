"""Alerts leave while packets are read: to a file, to syslog and to a webhook on loopback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui import sources
from panotui.commands.alerting import TOKEN_VARIABLE, Alerts, Targets
from panotui.commands.input import open_captures
from panotui.engine.engine import Engine
from panotui.errors import UsageError
from panotui.model import EventRecord, Site
from panotui.recording.parts import spool_name
from panotui.runtime.pump import Pump
from panotui.site.file import parse_site
from tests.telemetry import receivers

DEMO = Path(sources.__file__).parent / "demo"


@pytest.fixture
def pump() -> Iterator[Pump]:
    captures = open_captures([str(DEMO / "site.pcapng.zst")])
    yield Pump(captures, Engine(parse_site((DEMO / "site.toml").read_text("utf-8"))))
    captures[0].close()


def ran(
    pump: Pump, targets: Targets, folder: Path | None = None, said: list[str] | None = None
) -> tuple[Alerts, list[EventRecord]]:
    """The demo with its alerts; what the program said, and its events."""
    alerts = Alerts(targets, [].append if said is None else said.append)
    alerts.start(pump, folder)
    pump.run()
    alerts.close()
    pump.on_tick[-1](pump.engine.now_ns)  # the next second says what was found out meanwhile
    return alerts, pump.engine.drain_events()


def test_the_same_news_goes_to_file_syslog_and_webhook(tmp_path: Path, pump: Pump) -> None:
    path = tmp_path / "alerts.ndjson"
    with receivers.web() as web, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(5)
        target = f"127.0.0.1:{syslog.getsockname()[1]}"
        said: list[str] = []
        ran(pump, Targets(str(path), target, webhook=web.url), said=said)
        written = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        told = [syslog.recv(4096).decode() for _ in written]
    assert said == []
    assert [w["id"] for w in written].count("stream-leak") >= 1
    assert {"violation", "finding", "cleared"} <= {w["type"] for w in written}
    assert [json.loads(body) for body in web.bodies] == written
    assert all(w["id"] in line for w, line in zip(written, told, strict=True))
    assert len({(w["type"], w["id"], w["subject"], w["time"]) for w in written}) == len(written)


def test_what_does_not_arrive_is_said_once_and_arrives_after_a_restart(
    tmp_path: Path, pump: Pump
) -> None:
    port, said = receivers.free_port(), []
    targets = Targets(syslog=f"tcp://127.0.0.1:{port}", syslog_enterprise=64_512)
    alerts, events = ran(pump, targets, tmp_path, said)
    assert len(said) == 1
    assert said[0].startswith(f"alerts do not reach tcp://127.0.0.1:{port}: Connection refused")
    undelivered = [e for e in events if e.text.startswith("Alerts do not reach")]
    assert len(undelivered) == 1
    assert (undelivered[0].kind, undelivered[0].severity) == ("recorder", "warning")
    notice = alerts.notice()
    assert notice is not None
    assert notice.startswith("alerts do not reach tcp://127.0.0.1")
    waiting = alerts.standings()[0].waiting
    assert waiting >= 4
    kept = (tmp_path / spool_name("syslog")).read_text().splitlines()
    assert len(kept) == waiting
    # the program is started again, and somebody listens now
    with receivers.syslog(port) as server:
        captures = open_captures([str(DEMO / "site.pcapng.zst")])
        again = Alerts(targets)
        again.start(Pump(captures, Engine(Site())), tmp_path)
        lines = [line.decode() for line in server.wait_for(waiting)]
        again.close()
        captures[0].close()
    assert len(lines) == waiting
    assert all(json.loads(k)["text"] in line for k, line in zip(kept, lines, strict=True))
    assert all("[panotui@64512 " in line for line in lines)
    assert (tmp_path / spool_name("syslog")).read_bytes() == b""


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "from-environment")
    with receivers.web() as web:
        ran(pump, Targets(webhook=web.url))
    assert {h["Authorization"] for h in web.headers_seen} == {"Bearer from-environment"}
    file = tmp_path / "token"
    file.write_text("from-file\n")
    alerts = Alerts(Targets(webhook="https://x", webhook_token_file=file))
    assert alerts._token == "from-file"
    assert Alerts(Targets(alerts="-"))._token is None
    for text, said in (("", "it contains no token"), ("two words", "not a single word")):
        file.write_text(text)
        with pytest.raises(UsageError, match=said):
            Alerts(Targets(webhook="https://x", webhook_token_file=file))


def test_a_file_that_cannot_be_opened_is_told_before_anything_starts(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "such"
    for targets, option in (
        (Targets(str(missing)), "--alerts "),
        (Targets(webhook="https://x", webhook_token_file=missing), "--webhook-token-file"),
        (Targets(alerts_ca=missing), "--alerts-ca"),
    ):
        with pytest.raises(UsageError, match=option):
            Alerts(targets)


def test_targets_are_handed_on_to_another_process_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    targets = Targets("a", "tls://x", 64_512, "https://y", Path("token"), Path("ca.pem"))
    assert targets.arguments() == [
        "--alerts", "a", "--syslog", "tls://x", "--syslog-enterprise", "64512",
        "--webhook", "https://y", "--webhook-token-file", "token", "--alerts-ca", "ca.pem",
    ]  # fmt: skip
