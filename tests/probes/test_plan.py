"""What is checked follows from the site file, the policy and the command line, and nothing else."""

from __future__ import annotations

import threading
import time

import pytest
from msgspec.structs import replace

from panotui.errors import UsageError
from panotui.model import Site, SiteCamera, SiteIdentity, SiteNetwork, SiteService
from panotui.probes import plan
from panotui.probes.plan import Host, checks, cloud_hosts
from panotui.probes.result import ProbeResult
from panotui.probes.rtsp import authorization
from panotui.probes.run import TOTAL_S, Check, run_all

NETWORK = SiteNetwork(dns=("192.0.2.1",), ntp=("192.0.2.1",), gateways=("192.0.2.1",))


def site(**identity: object) -> Site:
    return Site(site=SiteIdentity(**identity), network=NETWORK)  # type: ignore[arg-type]


def nobody(camera: str) -> tuple[None, None]:
    return None, None


def targets(wanted: Site, *extra: str) -> set[str]:
    return {check.target for check in checks(wanted, extra, nobody)}


def test_each_needed_service_is_reached_by_one_name_of_the_region() -> None:
    hosts, unknown = cloud_hosts(site(region="eu-west-1"))
    assert {h.host for h in hosts} == {
        "monitoring.eu-west-1.amazonaws.com",
        "logs.eu-west-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
    }
    assert [pattern for _, pattern in unknown] == [
        "*.iot.eu-west-1.amazonaws.com",
        "*.credentials.iot.eu-west-1.amazonaws.com",
    ]
    assert all(h.tls and h.port == 443 and h.cloud for h in hosts)


def test_without_a_region_no_name_of_aws_is_guessed() -> None:
    assert cloud_hosts(site()) == ([], [])
    assert not any("amazonaws" in target for target in targets(site()))


def test_camera_only_mode_asks_nothing_of_aws() -> None:
    assert cloud_hosts(site(region="eu-west-1", mode="camera-only")) == ([], [])


def test_the_accounts_own_endpoint_is_skipped_until_it_is_named() -> None:
    wanted = site(region="us-east-1")
    own = "a1b2-ats.iot.us-east-1.amazonaws.com"
    assert "*.iot.us-east-1.amazonaws.com" in targets(wanted)
    named = checks(wanted, [own], nobody)
    assert own in {check.target for check in named}
    assert "*.iot.us-east-1.amazonaws.com" not in {check.target for check in named}


def test_mqtt_is_asked_for_at_the_iot_endpoint_and_nowhere_else() -> None:
    wanted = site(region="us-east-1")
    alpn = {
        host: plan._named(host, wanted).alpn
        for host in (
            "a1b2-ats.iot.us-east-1.amazonaws.com",
            "a1b2-ats.iot.us-east-1.amazonaws.com:8883",
            "c1.credentials.iot.us-east-1.amazonaws.com",
            "logs.us-east-1.amazonaws.com",
            "example.com:8443",
        )
    }
    assert list(alpn.values()) == ["x-amzn-mqtt-ca", None, None, None, None]


def test_services_of_the_site_file_are_reached_if_they_go_out_by_tcp() -> None:
    wanted = Site(
        network=NETWORK,
        service=(
            SiteService(name="app", host="app.example", port=8080),
            SiteService(name="in", host="in.example", direction="in"),
            SiteService(name="udp", host="udp.example", port=9000, transport="udp"),
        ),
    )
    hosts, _ = cloud_hosts(wanted)
    assert [(h.host, h.port, h.tls) for h in hosts] == [("app.example", 8080, False)]


def test_a_camera_is_asked_at_its_url() -> None:
    wanted = Site(network=NETWORK, camera=(SiteCamera(name="dock", address="192.0.2.11"),))
    assert [c.name for c in checks(wanted, [], nobody) if c.kind == "rtsp"] == ["camera dock"]


@pytest.mark.parametrize("text", ["", "*.example.com", "a b", "x:0", "x:70000", "x:http", "-"])
def test_a_host_that_cannot_be_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        checks(site(), [text], nobody)


@pytest.mark.parametrize(
    ("address", "private_link", "ok"),
    [
        ("203.0.113.10", False, True),
        ("10.0.0.7", False, False),
        ("10.0.0.7", True, True),
        ("0.0.0.0", True, False),
        ("127.0.0.1", False, False),
        ("2001:db8::1", False, True),
    ],
)
def test_a_name_of_aws_must_lead_to_where_aws_can_be(
    address: str, private_link: bool, ok: bool
) -> None:
    named = ProbeResult(kind="dns", target="x", ok=True, text=address)
    host = Host("CW Logs", "logs.us-east-1.amazonaws.com", 443, True, cloud=True)
    judged = plan._judged_address(named, (address,), host, private_link)
    assert judged.ok is ok
    assert ok or "interception" in judged.text
    assert plan._judged_address(named, (address,), replace(host, cloud=False), False).ok


def test_a_check_that_hangs_is_told_and_holds_nothing_up() -> None:
    hold = threading.Event()

    def hang() -> list[ProbeResult]:
        hold.wait(60)
        return []

    def works() -> list[ProbeResult]:
        return [ProbeResult(kind="tcp", target="b", ok=True, text="connects")]

    def breaks() -> list[ProbeResult]:
        raise ValueError("odd answer")

    began = time.monotonic()
    results = run_all(
        [
            Check("dns", "n", "a", hang),
            Check("tcp", "n", "b", works),
            Check("ntp", "n", "c", breaks),
        ],
        total_s=0.3,
    )
    assert time.monotonic() - began < 2
    hold.set()
    assert [(r.target, r.state) for r in results] == [
        ("a", "failed"), ("b", "ok"), ("c", "failed"),
    ]  # fmt: skip
    assert "no result within 0.3 s" in results[0].text
    assert "ValueError" in results[2].text


def test_the_longest_way_of_a_check_ends_in_time() -> None:
    names = plan.RESOLVERS_MAX * plan.DNS_S
    assert names + plan.TCP_S + plan.TLS_S < TOTAL_S < 15


def test_more_checks_than_threads_all_run_in_order() -> None:
    def made(number: int) -> Check:
        result = ProbeResult(kind="tcp", target=str(number), ok=True, text="")
        return Check("tcp", "", str(number), lambda: [result])

    results = run_all([made(i) for i in range(200)])
    assert [r.target for r in results] == [str(i) for i in range(200)]


# RFC 7616 3.9.1: the same request in both algorithms.
_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
_REALM = f'realm="http-auth@example.org", qop="auth, auth-int", nonce="{_NONCE}", opaque="FQhe"'


def test_the_strongest_challenge_is_answered_and_the_password_stays_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "panotui.probes.rtsp.secrets.token_hex",
        lambda size: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    offered = (
        'Basic realm="x"',
        f"Digest {_REALM}, algorithm=MD5",
        f"Digest {_REALM}, algorithm=SHA-256",
    )
    strong = authorization(offered, "GET", "/dir/index.html", "Mufasa", "Circle of Life")
    sha = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert f'response="{sha}"' in strong
    weaker = authorization(offered[:2], "GET", "/dir/index.html", "Mufasa", "Circle of Life")
    assert 'response="8ca523f5e9506fed4657c9700eebdbec"' in weaker
    assert "Circle" not in strong + weaker
    assert authorization(offered[:1], "GET", "/", "a", "b") == "Basic YTpi"
