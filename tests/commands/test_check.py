"""`panotui check` inside the lab: everything works, and each fault is told as itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.netns import Namespace, require_root
from tests.lab.plant import CLOUD, CLOUD_NET, IOT, LOGS, Plant

CREDENTIALS = "c1.credentials.iot.us-east-1.amazonaws.com"
pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    require_root()
    with Plant() as built:
        built.start_camera("dock")
        built.start_camera("gate")
        yield built


def run_check(
    plant: Plant,
    *more: str,
    ns: Namespace | None = None,
    site: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    where = ns or plant.appliance
    return subprocess.run(
        where.command(
            [
                sys.executable,
                "-m",
                "panotui",
                "check",
                "--site",
                str(site or plant.site_file),
                *more,
            ]
        ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "SSL_CERT_FILE": str(plant.ca), **environment},
    )


def checked(plant: Plant, *more: str, **rest: Any) -> dict[str, Any]:
    done = run_check(plant, "--json", "--host", IOT, "--host", CREDENTIALS, *more, **rest)
    assert done.returncode in (0, 1), done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["schema"] == "panotui.check/1"
    return answer


def failed(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["kind"], c["target"]) for c in answer["checks"] if c["state"] == "failed"]


def one(answer: dict[str, Any], kind: str, word: str) -> dict[str, Any]:
    found = [c for c in answer["checks"] if c["kind"] == kind and word in c["target"]]
    assert len(found) == 1, found
    return found[0]


def test_everything_is_well_in_a_healthy_plant(plant: Plant) -> None:
    began = time.monotonic()
    answer = checked(plant, "--fail-on", "finding")
    assert time.monotonic() - began < 60  # not one time-out after the other
    assert failed(answer) == []
    assert answer["skipped"] == 0
    assert one(answer, "tls", IOT)["text"].endswith("with x-amzn-mqtt-ca")
    assert one(answer, "dns", LOGS)["text"] == CLOUD[LOGS]
    assert any("issued by" in d for d in one(answer, "tls", LOGS)["detail"])
    assert "stratum 3" in one(answer, "ntp", f"{CLOUD_NET}.1")["text"]
    assert one(answer, "rtsp", "10.20.0.11")["text"] == "H264"
    assert {c["name"] for c in answer["checks"] if c["kind"] == "rtsp"} == {
        "camera dock", "camera gate",
    }  # fmt: skip
    gateways = [c for c in answer["checks"] if c["kind"] == "gateway"]
    assert [c["text"] for c in gateways] == ["answers ping", "answers ping"]


@pytest.mark.parametrize(("how", "said"), [("drop", "no answer within"), ("reset", "refused")])
def test_a_blocked_endpoint_fails_alone(plant: Plant, how: str, said: str) -> None:
    plant.block(CLOUD[LOGS], how)
    try:
        answer = checked(plant)
        done = run_check(plant, "--fail-on", "finding")
    finally:
        plant.unblock()
    assert failed(answer) == [("tcp", f"{LOGS}:443 ({CLOUD[LOGS]})")]
    bad = one(answer, "tcp", LOGS)
    assert said in bad["text"]
    assert "outbound TCP 443" in bad["action"]
    assert one(answer, "tls", LOGS)["state"] == "skipped"
    assert done.returncode == 1
    assert "✖ tcp" in done.stdout


def test_a_chain_of_a_stranger_is_refused_and_its_issuer_named(plant: Plant) -> None:
    answer = checked(plant, SSL_CERT_FILE="/dev/null")
    bad = {c["target"] for c in answer["checks"] if c["state"] == "failed"}
    assert f"{LOGS}:443" in bad
    told = one(answer, "tls", LOGS)
    assert "not accepted" in told["text"]
    assert any("issued by" in d for d in told["detail"])
    assert {c["kind"] for c in answer["checks"] if c["state"] == "failed"} == {"tls"}


def test_a_camera_that_refuses_is_told_and_no_password_is_shown(plant: Plant) -> None:
    plant.cameras["gate"].terminate()
    plant.cameras["gate"].wait(60)
    refusing = plant.refusing_camera("gate", "404")
    try:
        answer = checked(
            plant, PANOTUI_RTSP_USER="admin", PANOTUI_RTSP_PASSWORD="hunter2-never-shown"
        )
    finally:
        refusing.terminate()
        refusing.wait(60)
        plant.start_camera("gate")
    assert [kind for kind, _ in failed(answer)] == ["rtsp"]
    bad = one(answer, "rtsp", "10.20.0.12")
    assert "404" in bad["text"]
    assert "path" in bad["action"]
    assert "hunter2" not in json.dumps(answer)


def test_silent_resolver_and_time_server_end_within_the_time(plant: Plant, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    text = plant.site_file.read_text().replace(
        f'dns = ["{CLOUD_NET}.1"]', f'dns = ["{CLOUD_NET}.99"]'
    )
    site.write_text(text.replace(f'ntp = ["{CLOUD_NET}.1"]', f'ntp = ["{CLOUD_NET}.98"]'))
    began = time.monotonic()
    answer = checked(plant, site=site)
    assert time.monotonic() - began < 60  # not one time-out after the other
    kinds = {kind for kind, _ in failed(answer)}
    assert kinds == {"dns", "ntp"}
    assert one(answer, "tcp", LOGS)["state"] == "skipped"


def test_without_a_site_file_nothing_of_aws_is_asked_for(plant: Plant, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("")
    done = run_check(plant, "--json", site=site)
    answer = json.loads(done.stdout)
    assert "amazonaws" not in done.stdout
    assert {c["kind"] for c in answer["checks"]} == {"site", "gateway", "dns", "ntp"}
    assert [c["state"] for c in answer["checks"] if c["kind"] == "site"] == ["skipped", "skipped"]
    assert "REFUSED" in one(answer, "dns", "pool.ntp.org")["text"]  # the lab knows its own only
    assert "not resolved" in one(answer, "ntp", "pool.ntp.org")["text"]


def test_ctrl_c_ends_it_with_130(plant: Plant, tmp_path: Path) -> None:
    import signal

    site = tmp_path / "site.toml"
    site.write_text(f'[network]\ndns = ["{CLOUD_NET}.99"]\nntp = ["{CLOUD_NET}.98"]\n')
    process = plant.appliance.popen(
        [sys.executable, "-c",
         "import os, sys\n"
         "import panotui.probes.run as run\n"
         "whole = run._work\n"
         "def told(*a):\n    print('running', flush=True)\n    whole(*a)\n"
         "run._work = told\n"
         "from panotui.cli import main\n"
         f"sys.exit(main(['check', '--site', {str(site)!r}]))"],
    )  # fmt: skip
    assert process.stdout is not None
    assert "running" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in errors
