"""The exported nftables table on a real router: the site works, and each violation is blocked."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panotui.policy.queries.export_nftables import export_nftables
from panotui.site.file import parse_site
from panotui.site.view import SiteView
from tests.lab.netns import Namespace, veth

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft"),
]
SITE = """
[site]
topology = "dual"
region = "us-east-1"
[ports.eth0]
role = "camera"
address = "10.20.0.5/24"
mac = "02:00:00:00:00:10"
[ports.eth1]
role = "cloud"
address = "192.168.5.5/24"
mac = "02:00:00:00:00:11"
[network]
local = ["10.20.0.0/23", "192.168.5.0/24", "192.168.6.0/24"]
gateways = ["192.168.5.1"]
dns = ["192.168.5.1"]
ntp = ["192.168.5.1"]
[[camera]]
name = "dock"
address = "10.20.1.11"
[[listen]]
port = 8080
from = ["192.168.6.0/24"]
"""
LOGS, EVIL = "203.0.113.14", "203.0.113.99"
ANSWERS = [
    ("logs.us-east-1.amazonaws.com", LOGS),
    ("monitoring.us-east-1.amazonaws.com", "10.66.6.6"),  # a sinkhole's answer
    ("evil.example", EVIL),
]
SERVERS = {
    "camera": [("tcp", "10.20.1.11", 554), ("tcp", "10.20.1.11", 80), ("udp", "10.20.1.11", 6000)],
    "internet": [
        *[("tcp", a, p) for a in (LOGS, EVIL) for p in (443, 8444, 554)],
        ("udp", EVIL, 53),
        ("udp", EVIL, 123),
    ],
    "pc": [("tcp", "192.168.6.77", 22)],
    "router": [("udp", "192.168.5.1", 53), ("udp", "192.168.5.1", 123), ("tcp", "192.168.5.1", 22)],
    "appliance": [
        ("tcp", "192.168.5.5", 22),
        ("tcp", "192.168.5.5", 8080),
        ("udp", "10.20.0.5", 5000),
        ("udp", "10.20.0.5", 500),
    ],
}
# (what, from whose namespace, attempt, let through by the policy)
ACTS = [
    ("RTSP", "appliance", ("tcp", "10.20.0.5", "10.20.1.11", 554), True),
    ("media from the camera", "camera", ("udp", "10.20.1.11", "10.20.0.5", 5000), True),
    ("receiver reports", "appliance", ("udp", "10.20.0.5", "10.20.1.11", 6000), True),
    ("logs", "appliance", ("tcp", "192.168.5.5", LOGS, 443), True),
    ("DNS", "appliance", ("udp", "192.168.5.5", "192.168.5.1", 53), True),
    ("NTP", "appliance", ("udp", "192.168.5.5", "192.168.5.1", 123), True),
    ("declared inbound port", "pc", ("tcp", "192.168.6.77", "192.168.5.5", 8080), True),
    ("others are left alone", "pc", ("tcp", "192.168.6.77", EVIL, 443), True),
    ("stream-leak: camera out", "camera", ("tcp", "10.20.1.11", EVIL, 443), False),
    ("stream-leak: internet in", "internet", ("tcp", EVIL, "10.20.1.11", 554), False),
    ("stream-leak: RTSP out", "appliance", ("tcp", "192.168.5.5", EVIL, 554), False),
    ("inbound: internet", "internet", ("tcp", EVIL, "192.168.5.5", 22), False),
    ("inbound: declared port, internet", "internet", ("tcp", EVIL, "192.168.5.5", 8080), False),
    ("inbound: site", "pc", ("tcp", "192.168.6.77", "192.168.5.5", 22), False),
    ("inbound: camera", "camera", ("udp", "10.20.1.11", "10.20.0.5", 500), False),
    ("wrong-port: cloud on eth0", "appliance", ("tcp", "10.20.0.5", LOGS, 443), False),
    ("wrong-port: camera on eth1", "appliance", ("tcp", "192.168.5.5", "10.20.1.11", 554), False),
    ("unlisted-port: logs 8444", "appliance", ("tcp", "192.168.5.5", LOGS, 8444), False),
    ("unlisted-port: camera 80", "appliance", ("tcp", "10.20.0.5", "10.20.1.11", 80), False),
    ("unlisted-port: router 22", "appliance", ("tcp", "192.168.5.5", "192.168.5.1", 22), False),
    ("address-changed", "appliance", ("tcp", "192.168.5.6", LOGS, 443), False),
    ("lateral", "appliance", ("tcp", "192.168.5.5", "192.168.6.77", 22), False),
    ("unlisted-endpoint", "appliance", ("tcp", "192.168.5.5", EVIL, 443), False),
    ("unlisted resolver", "appliance", ("udp", "192.168.5.5", EVIL, 53), False),
    ("unlisted time server", "appliance", ("udp", "192.168.5.5", EVIL, 123), False),
]
PROGRAM = str(Path(__file__).with_name("reach.py"))


@pytest.fixture(scope="module")
def plant() -> Iterator[dict[str, Namespace]]:
    names = ("router", "appliance", "camera", "internet", "pc")
    spaces = {name: Namespace(f"pol-{name[:6]}") for name in names}
    try:
        _cable(spaces)
        for name, ends in SERVERS.items():
            child = spaces[name].popen([sys.executable, PROGRAM, "serve", json.dumps(ends)])
            assert child.stdout is not None
            assert child.stdout.readline().strip() == "ready"
        yield spaces
    finally:
        for space in spaces.values():
            space.close()


def _cable(spaces: dict[str, Namespace]) -> None:
    router, appliance = spaces["router"], spaces["appliance"]
    veth(router, appliance, "cam0", "eth0")
    veth(router, appliance, "cloud0", "eth1")
    veth(router, spaces["camera"], "cam1", "eth0")
    veth(router, spaces["internet"], "wan", "eth0")
    veth(router, spaces["pc"], "office", "eth0")
    for name, mac in (("eth0", "02:00:00:00:00:10"), ("eth1", "02:00:00:00:00:11")):
        appliance.run(["ip", "link", "set", name, "address", mac])
    addresses = [
        (router, "cam0", "10.20.0.1/24"),
        (router, "cam1", "10.20.1.1/24"),
        (router, "cloud0", "192.168.5.1/24"),
        (router, "wan", "203.0.113.1/24"),
        (router, "office", "192.168.6.1/24"),
        (appliance, "eth0", "10.20.0.5/24"),
        (appliance, "eth1", "192.168.5.5/24"),
        (appliance, "eth1", "192.168.5.6/24"),
        (spaces["camera"], "eth0", "10.20.1.11/24"),
        (spaces["internet"], "eth0", f"{LOGS}/24"),
        (spaces["internet"], "eth0", f"{EVIL}/24"),
        (spaces["pc"], "eth0", "192.168.6.77/24"),
    ]
    for space, name, address in addresses:
        space.run(["ip", "addr", "add", address, "dev", name])
        space.run(["ip", "link", "set", name, "up"])
    gateways = {"camera": "10.20.1.1", "internet": "203.0.113.1", "pc": "192.168.6.1"}
    for who, gateway in gateways.items():
        spaces[who].run(["ip", "route", "add", "default", "via", gateway])
    appliance.run(["ip", "route", "add", "default", "via", "192.168.5.1"])
    for source, via, table in (("10.20.0.5", "10.20.0.1", "100"), ("192.168.5.0/24", "", "")):
        if table:
            appliance.run(["ip", "route", "add", "default", "via", via, "table", table])
            appliance.run(["ip", "rule", "add", "from", source, "lookup", table])
    for space in (router, appliance):
        for key in ("all", "default"):
            space.run(["sysctl", "-qw", f"net.ipv4.conf.{key}.rp_filter=0"], check=False)
    router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])


def _tried(spaces: dict[str, Namespace]) -> dict[str, bool]:
    out: dict[str, bool] = {}
    for name, space in spaces.items():
        acts = [(what, act) for what, who, act, _ in ACTS if who == name]
        if acts:
            wanted = json.dumps([act for _, act in acts])
            done = space.run([sys.executable, PROGRAM, "try", wanted])
            out.update(zip((w for w, _ in acts), json.loads(done.stdout), strict=True))
    return out


def test_the_site_works_and_each_violation_is_blocked(plant: dict[str, Namespace]) -> None:
    before = _tried(plant)
    assert all(before.values()), "without the table everything gets through"
    text = export_nftables(SiteView(parse_site(SITE)), ANSWERS)
    plant["router"].run(["nft", "-c", "-f", "-"], input=text)
    plant["router"].nft(text)
    assert _tried(plant) == {what: allowed for what, _, _, allowed in ACTS}
    plant["router"].nft(text)  # loading it again replaces it
    listed = plant["router"].run(["nft", "list", "table", "inet", "panotui"]).stdout
    assert listed.count("chain from_appliance {") == 1
    assert "10.66.6.6" not in listed, "a sinkhole's answer is not let through"
    assert "counter packets" in listed


def test_a_table_of_an_unknown_site_loads_too(plant: dict[str, Namespace]) -> None:
    text = export_nftables(SiteView(parse_site("")))
    plant["router"].run(["nft", "-c", "-f", "-"], input=text)
