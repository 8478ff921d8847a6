"""Faults between the appliance and the cloud, provoked with real peers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.film import analyze, filming, finding_ids
from tests.lab.netns import end, require_root
from tests.lab.plant import CLOUD, CLOUD_NET, LOGS, POLLED, VENDOR, Plant, wait_for

pytestmark = pytest.mark.lab

LOUD = ("warning", "error")


@pytest.fixture(autouse=True)
def _root() -> None:
    require_root()


def film_rounds(plant: Plant, tmp_path: Path, rounds: int = 2, **options: Any) -> dict[str, Any]:
    """The appliance polls its endpoints that many rounds, filmed, analysed under the site file."""
    path = tmp_path / "cloud.pcapng"
    with filming(plant, path):
        traffic = plant.start_cloud_traffic(1.0, **options)
        wait_for(traffic, f"round {rounds}", 60)
        end(traffic)
    return analyze("--site", plant.site_file, path)


def endpoint(answer: dict[str, Any], host: str) -> dict[str, Any]:
    return next(e for e in answer["endpoints"] if e["host"] == host)


def test_healthy_cloud_gives_no_alarm(tmp_path: Path) -> None:
    with Plant([]) as plant:
        answer = film_rounds(plant, tmp_path)
    assert not answer["violations"]
    assert not finding_ids(answer, severities=LOUD)
    for host in POLLED:
        assert endpoint(answer, host)["state"] == "reachable", host
        assert endpoint(answer, host)["tls_version"] == "1.3"
    assert {f["host"] for f in answer["flows"] if f["host_source"] == "sni"} == set(CLOUD)
    mqtt = next(f for f in answer["flows"] if f["alpn"] == "x-amzn-mqtt-ca")
    assert (mqtt["verdict"], mqtt["port"]) == ("allowed", "eth1")
    assert answer["clock"]["state"] == "synchronised"
    assert {f["verdict"] for f in answer["flows"]} <= {"allowed", "infrastructure"}


@pytest.mark.parametrize(
    ("how", "finding", "state"),
    [
        ("drop", "tcp-blocked", "blocked"),
        ("reset", "tcp-refused", "blocked"),
        ("reject", "icmp-blocked", "blocked"),
    ],
)
def test_firewall_against_one_endpoint(tmp_path: Path, how: str, finding: str, state: str) -> None:
    with Plant([]) as plant:
        plant.block(CLOUD[LOGS], how)
        answer = film_rounds(plant, tmp_path, rounds=2)
    found = [f for f in answer["findings"] if f["id"] == finding]
    assert [f["subject"] for f in found] == [LOGS]
    assert LOGS in found[0]["text"] or LOGS in found[0]["action"]
    assert found[0]["evidence"]
    assert endpoint(answer, LOGS)["state"] == state
    assert finding_ids(answer, severities=LOUD) == {finding}
    assert not answer["violations"]


def test_resolver_that_does_not_answer(tmp_path: Path) -> None:
    with Plant([]) as plant:
        plant.router.nft(
            "table inet dns { chain in { type filter hook input priority 0; policy accept;\n"
            "udp dport 53 drop\n}\n}\n"
        )
        answer = film_rounds(plant, tmp_path, rounds=2, hosts=[LOGS])
    assert "dns-timeout" in finding_ids(answer)
    assert "tcp-blocked" not in finding_ids(answer)


def test_resolver_that_denies_a_needed_name(tmp_path: Path) -> None:
    with Plant([]) as plant:
        answer = film_rounds(
            # an answer may be put right within two seconds: a failure is told after that
            plant,
            tmp_path,
            rounds=5,
            hosts=["data.iot.us-east-1.amazonaws.com", *POLLED[:2]],
        )
    assert "dns-nxdomain" in finding_ids(answer)


def test_silent_time_server(tmp_path: Path) -> None:
    with Plant([]) as plant:
        plant.router.nft(
            "table inet ntp { chain in { type filter hook input priority 0; policy accept;\n"
            "udp dport 123 drop\n}\n}\n"
        )
        answer = film_rounds(plant, tmp_path, rounds=4, hosts=[LOGS])
    assert "ntp-silent" in finding_ids(answer)
    assert answer["clock"]["state"] == "silent"


def _ssh_inside(plant: Plant) -> None:
    plant.lateral_ssh()


def _phone_home(plant: Plant) -> None:
    plant.phone_home("gate")


def _unlisted(plant: Plant) -> None:
    plant.appliance.run(["ping", "-c", "1", "-W", "1", f"{CLOUD_NET}.1"], check=False)
    _connect(plant, VENDOR[1], 443)


def _wrong_port(plant: Plant) -> None:
    _connect(plant, CLOUD[LOGS], 8444)


def _connect(plant: Plant, address: str, port: int) -> None:
    subprocess.run(
        plant.appliance.command(
            ["busybox", "timeout", "2", "busybox", "nc", "-w", "1", address, str(port)]
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (_phone_home, "stream-leak"),
        (_ssh_inside, "lateral"),
        (_unlisted, "unlisted-endpoint"),
    ],
)
def test_violating_act_is_exactly_one_violation(
    tmp_path: Path, act: Callable[[Plant], None], reason: str
) -> None:
    with Plant() as plant:
        path = tmp_path / "act.pcapng"
        with filming(plant, path):
            act(plant)
            time.sleep(0.5)
        answer = analyze("--site", plant.site_file, path)
    assert [v["reason"] for v in answer["violations"]] == [reason]
    assert answer["violations"][0]["text"]


def test_fail_on_violation_sets_the_exit_code(tmp_path: Path) -> None:
    from tests.lab.film import panotui

    with Plant([]) as plant:
        path = tmp_path / "act.pcapng"
        with filming(plant, path):
            plant.lateral_ssh()
        site = plant.site_file
        assert panotui("analyze", "--site", site, path).returncode == 0
        done = panotui("analyze", "--site", site, "--fail-on", "violation", path)
    assert done.returncode == 1
