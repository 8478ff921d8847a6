"""Alerts arrive, in order and once said when not: at files, syslog and webhooks on loopback."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from panotui.errors import UsageError
from panotui.telemetry import lines, syslog, webhook
from panotui.telemetry.alerts import Alert
from panotui.telemetry.delivery import Channel, Later, Refused, Spool
from tests.telemetry import receivers
from tests.telemetry.receivers import ALERT, alert


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def spool(path: Path) -> Spool:
    return Spool(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))


# ------------------------------------------------------------------ the channel


def test_what_is_not_taken_is_kept_in_order_and_arrives_later() -> None:
    taken: list[str] = []
    works = threading.Event()

    def deliver(one: Alert) -> None:
        if not works.is_set():
            raise ConnectionRefusedError(111, "Connection refused")
        taken.append(one.text)

    channel = Channel("there", deliver, pause_s=0.01)
    for number in range(5):
        channel.send(alert(number))
    wait_until(lambda: channel.standing().failing is not None)
    standing = channel.standing()
    assert (standing.failing, standing.waiting, standing.lost) == ("Connection refused", 5, 0)
    works.set()
    wait_until(lambda: channel.standing().waiting == 0)
    assert taken == [f"text {n}" for n in range(5)]
    assert channel.standing().failing is None
    channel.close()


def test_more_than_the_bound_costs_the_oldest_and_holds_nobody_up() -> None:
    gate = threading.Event()
    taken: list[str] = []

    def slow(one: Alert) -> None:
        gate.wait(60)
        taken.append(one.text)

    channel = Channel("there", slow, limit=3)
    channel.send(alert(0))
    wait_until(lambda: channel._thread.is_alive())
    time.sleep(0.05)
    for number in range(1, 10):
        channel.send(alert(number))
    assert channel.standing().waiting == 3
    assert channel.standing().lost == 7
    gate.set()
    channel.close()
    assert taken[-3:] == ["text 7", "text 8", "text 9"]


def test_what_a_receiver_refuses_for_good_is_counted_and_does_not_block() -> None:
    taken: list[str] = []

    def deliver(one: Alert) -> None:
        if one.text == "text 0":
            raise Refused("it answers 400 Bad Request")
        taken.append(one.text)

    channel = Channel("there", deliver)
    channel.send(alert(0))
    channel.send(alert(1))
    channel.close()
    standing = channel.standing()
    assert (taken, standing.refused, standing.refusal) == (
        ["text 1"], 1, "it answers 400 Bad Request",
    )  # fmt: skip


def test_what_waits_survives_the_program_and_what_arrived_does_not_come_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "alerts.ndjson"
    first = threading.Event()

    def only_one(one: Alert) -> None:
        if first.is_set():
            raise Later("it is down")
        first.set()

    channel = Channel("there", only_one, spool=spool(path), pause_s=0.01)
    for number in range(4):
        channel.send(alert(number))
    wait_until(lambda: channel.standing().failing is not None)
    channel.close(0.1)
    assert channel.standing().lost == 0
    with path.open("ab") as file:
        file.write(b'{"time": "cut off by a kill')
    taken: list[str] = []
    again = Channel("there", lambda one: taken.append(one.text), spool=spool(path))
    again.send(alert(9))
    again.close()
    assert taken == ["text 1", "text 2", "text 3", "text 9"]
    assert path.read_bytes() == b""


def test_without_a_spool_what_is_left_at_the_end_is_counted_as_lost() -> None:
    def never(one: Alert) -> None:
        raise Later("it is down")

    channel = Channel("there", never)
    channel.send(ALERT)
    channel.send(ALERT)
    began = time.monotonic()
    channel.close(0.2)
    assert time.monotonic() - began < 5
    assert channel.standing().lost == 2


# ------------------------------------------------------------------ files


def test_lines_are_appended_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.ndjson"
    for _ in range(2):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        channel = Channel("file", lines.receiver(descriptor))
        channel.send(ALERT)
        channel.close()
        os.close(descriptor)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["stream-leak"] * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_and_waited_for() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    channel = Channel("file", lines.receiver(descriptor), pause_s=0.01)
    channel.send(ALERT)
    wait_until(lambda: channel.standing().failing is not None)
    assert channel.standing().failing == "No space left on device"
    channel.close(0.1)
    os.close(descriptor)


# ------------------------------------------------------------------ syslog

LINE = re.compile(
    r"<(?P<priority>\d+)>1 (?P<time>\S+) (?P<host>\S+) panotui \d+ (?P<id>\S+)"
    r' (?P<data>(?:\[[^\s\]=]+(?: \w+="(?:[^"\\\]]|\\["\\\]])*")*\])+) \ufeff(?P<text>.*)\Z',
    re.DOTALL,
)


def test_a_line_is_rfc_5424_and_uses_no_number_that_is_not_ours() -> None:
    match = LINE.match(syslog.syslog_line(ALERT, "box", sequence=7).decode())
    assert match is not None
    assert (match["priority"], match["time"], match["host"]) == ("131", ALERT.time, "box")
    assert match["id"] == "stream-leak"
    assert re.findall(r"\[(\S+)", match["data"]) == ["origin", "meta"]
    assert 'software="panotui"' in match["data"]
    assert 'sequenceId="7"' in match["data"]
    assert "@" not in match["data"]
    assert match["text"] == (
        'violation stream-leak (gate > "x]"): Camera gate talks to the internet'
    )


def test_with_an_enterprise_number_a_line_has_an_element_of_our_own() -> None:
    match = LINE.match(syslog.syslog_line(ALERT, "box", enterprise=64_512).decode())
    assert match is not None
    assert re.findall(r"\[([a-z]\S+)", match["data"]) == ["origin", "meta", "panotui@64512"]
    assert 'subject="gate > \\"x\\]\\""' in match["data"]
    assert match["text"] == "Camera gate talks to the internet"


def test_a_long_line_is_cut_between_characters() -> None:
    assert syslog._cut("aé".encode() * 3, 5) == "aéa".encode()


def test_syslog_arrives_over_udp_and_a_missing_receiver_is_noticed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        target = f"127.0.0.1:{server.getsockname()[1]}"
        deliver = syslog.receiver(target)
        deliver(ALERT)
        assert b"stream-leak" in server.recv(4096)
    with pytest.raises(OSError, match="refused"):
        deliver(ALERT)


def test_syslog_arrives_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        syslog.receiver(str(path))(ALERT)
        assert b"stream-leak" in server.recv(4096)


def test_one_connection_carries_all_and_is_opened_anew_when_it_ends() -> None:
    with receivers.syslog() as server:
        channel = Channel("syslog", syslog.receiver(f"tcp://127.0.0.1:{server.port}"), pause_s=0.01)
        for number in range(5):
            channel.send(alert(number))
        assert len(server.wait_for(5)) == 5
        wait_until(lambda: channel.standing().delivered == 5)
        assert server.connections == 1
        server.hang_up()
        time.sleep(0.05)
        channel.send(alert(5))
        told = [line.decode().rsplit(" ", 1)[1] for line in server.wait_for(6)]
        assert told == [str(n) for n in range(6)]
        assert server.connections == 2
        channel.close()


def test_syslog_over_tls_trusts_the_ca_that_is_named(tmp_path: Path) -> None:
    ca, context = receivers.certificates(tmp_path)
    with receivers.syslog(context=context) as server:
        target = f"tls://127.0.0.1:{server.port}"
        channel = Channel("syslog", syslog.receiver(target, ca=ca.read_text()))
        for number in range(3):
            channel.send(alert(number))
        lines_read = server.wait_for(3)
        channel.close()
        assert all(LINE.match(line.decode()) for line in lines_read)
        assert [f'sequenceId="{n}"' in line.decode() for n, line in enumerate(lines_read, 1)] == (
            [True] * 3
        )
        assert server.connections == 1
        with pytest.raises(OSError, match="certificate verify failed"):
            syslog.receiver(target)(ALERT)
    assert len(server.lines) == 3


def test_tls_does_not_talk_to_a_host_of_another_name(tmp_path: Path) -> None:
    ca, context = receivers.certificates(tmp_path, "127.0.0.2")
    with receivers.syslog(context=context) as server:
        deliver = syslog.receiver(f"tls://127.0.0.1:{server.port}", ca=ca.read_text())
        with pytest.raises(OSError, match="certificate"):
            deliver(ALERT)
    assert server.lines == []


@pytest.mark.parametrize("target", ["ftp://x", "tcp://", "x:99999", "x:port"])
def test_what_is_no_syslog_target_is_one_clear_line(target: str) -> None:
    with pytest.raises(UsageError, match="--syslog"):
        syslog.receiver(target)


def test_a_file_without_a_certificate_is_one_clear_line() -> None:
    with pytest.raises(UsageError, match="--alerts-ca: the file has no certificate"):
        syslog.receiver("tls://x", ca="nonsense")


# ------------------------------------------------------------------ webhook


def test_a_webhook_is_tried_again_until_it_takes_the_alert() -> None:
    with receivers.web([503, 429, 500]) as told:
        channel = Channel("hook", webhook.receiver(told.url), pause_s=0.01)
        channel.send(ALERT)
        wait_until(lambda: channel.standing().delivered == 1)
        channel.close()
    assert len(told.bodies) == 4
    assert json.loads(told.bodies[0])["subject"] == 'gate > "x]"'
    assert channel.standing().lost == 0


def test_a_webhook_that_says_no_is_not_asked_again_for_that_alert() -> None:
    with receivers.web([404]) as told:
        channel = Channel("hook", webhook.receiver(told.url))
        channel.send(ALERT)
        channel.send(alert(1))
        channel.close()
    assert len(told.bodies) == 2
    standing = channel.standing()
    assert (standing.refused, standing.delivered) == (1, 1)
    assert standing.refusal is not None
    assert "404" in standing.refusal


def test_a_webhook_says_when_it_wants_to_be_asked_again() -> None:
    with receivers.web([503]) as told:
        told.headers = {"Retry-After": "7"}
        with pytest.raises(Later) as said:
            webhook.receiver(told.url)(ALERT)
    assert said.value.seconds == 7.0


def test_a_token_goes_with_each_alert_and_never_to_where_it_was_redirected() -> None:
    with receivers.web() as other, receivers.web([302]) as told:
        told.headers = {"Location": other.url}
        deliver = webhook.receiver(told.url, token="s3cret")
        with pytest.raises(Refused, match="302"):
            deliver(ALERT)
        deliver(ALERT)
    assert [h["Authorization"] for h in told.headers_seen] == ["Bearer s3cret"] * 2
    assert other.bodies == []


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(UsageError, match="sent in the clear"):
        webhook.receiver("http://hooks.example/T0/secret", token="x")


@pytest.mark.parametrize("url", ["ftp://x", "nonsense", "http://", "http://x:99999/"])
def test_a_bad_webhook_is_one_clear_line(url: str) -> None:
    with pytest.raises(UsageError, match="--webhook"):
        webhook.receiver(url)


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    assert webhook.shown("https://u:p@hooks.example:8443/T0/secret?k=v") == (
        "https://hooks.example:8443"
    )
    assert webhook.shown("https://[2001:db8::1]/secret") == "https://[2001:db8::1]"
