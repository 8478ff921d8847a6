"""The table of flows in verdicts.txt: verdict, reason, rule and source of the name of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from panotui.model import (
    APPS,
    SECOND,
    ArpMessage,
    DnsAnswer,
    DnsMessage,
    HttpMessage,
    NotTls,
    RtspMessage,
    TlsClientHello,
)
from panotui.model.flow_rows import FlowRows
from panotui.policy.judging.rows import HOST_SOURCES, VERDICTS, RowJudge
from panotui.site.file import parse_site
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from tests.policy.made_flows import (
    MAC_CAMERA,
    MAC_ETH0,
    MAC_ETH1,
    MAC_GATEWAY,
    START_NS,
    flow_row,
)
from tests.policy.sites import judge_of

DUAL = """
[site]
name = "plant-7"
topology = "dual"
region = "us-east-1"
{more}
[ports.eth0]
role = "camera"
mac = "02:00:00:00:00:10"
address = "10.20.0.5/24"
[ports.eth1]
role = "cloud"
mac = "02:00:00:00:00:11"
address = "192.168.5.5/24"
[network]
local = ["10.20.0.0/24", "192.168.5.0/24", "2001:db8:10::/64"]
gateways = ["192.168.5.1"]
dns = ["192.168.5.1"]
ntp = ["192.168.5.1"]
"""
CAMERAS = """
[[camera]]
name = "dock"
address = "10.20.0.11"
url = "rtsp://10.20.0.11/stream1"
[[camera]]
name = "gate"
address = "10.20.0.12"
url = "rtsp://10.20.0.12:8554/main"
"""
SERVICES = """
[[service]]
name = "my-app-dynamodb"
host = "dynamodb.us-east-1.amazonaws.com"
[[service]]
name = "broker"
host = "broker.plant.example"
port = 1883
[[service]]
name = "scraper"
host = "192.168.5.60"
port = 9100
direction = "in"
[[listen]]
port = 8080
from = ["192.168.5.0/24"]
"""
SITES = {
    "dual": DUAL.format(more="") + CAMERAS + SERVICES,
    "plink": DUAL.format(more="private_link = true") + CAMERAS + SERVICES,
    "single": DUAL.format(more="").replace('"dual"', '"single"') + CAMERAS,
    "nocam": DUAL.format(more=""),
    "nourl": DUAL.format(more="") + '[[camera]]\nname = "dock"\naddress = "10.20.0.11"\n',
    "v6cam": DUAL.format(more="") + '[[camera]]\nname = "six"\naddress = "2001:db8:10::11"\n',
    "anyone": DUAL.format(more="") + "[[listen]]\nport = 8090\n",
    "macs": "\n".join(
        line for line in DUAL.format(more="").splitlines() if not line.startswith("address")
    ),
    "none": "",
}
HOSTS = {
    "app0": "10.20.0.5",
    "app1": "192.168.5.5",
    "dock": "10.20.0.11",
    "gate": "10.20.0.12",
    "gw": "192.168.5.1",
    "net": "203.0.113.10",
    "pc": "192.168.5.77",
    "nvr": "10.20.0.90",
}
MACS = {"10.20.0.5": MAC_ETH0, "192.168.5.5": MAC_ETH1, "10.20.0.11": MAC_CAMERA}
PORT_MACS = {"eth0": MAC_ETH0, "eth1": MAC_ETH1}
APPLIANCE = {"10.20.0.5", "192.168.5.5"}


@dataclass(frozen=True)
class Case:
    title: str
    site: str
    flow: str
    evidence: str
    verdict: str
    reason: str
    rule: str
    source: str


def _cases() -> list[Case]:
    text = Path(__file__).with_name("verdicts.txt").read_text("utf-8")
    lines = [x for x in text.splitlines() if x.strip() and not x.startswith("#")]
    return [Case(*(cell.strip() for cell in line.split(" | "))) for line in lines]


CASES = _cases()


def _end(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return HOSTS.get(host, host), int(port)


def _dns(client: str, name: str, answers: tuple[DnsAnswer, ...], time_ns: int) -> DnsMessage:
    return DnsMessage(
        time_ns=time_ns,
        packet=1,
        interface=0,
        transport="udp",
        client=client,
        server="192.168.5.1",
        client_port=5000,
        id=1,
        response=True,
        rcode="NOERROR",
        name=name,
        type="A",
        answers=answers,
    )


def _learn(case: Case, names: NameBook, view: SiteView, client: str, server: str) -> None:
    now = START_NS + 50 * SECOND
    kind = "AAAA" if ":" in server else "A"
    base = {"time_ns": now, "packet": 1, "interface": 0}
    for token in case.evidence.split(" "):
        key, _, value = token.partition("=")
        who, _, whose = key.partition("@")
        value = value.replace("%20", " ")
        answer = DnsAnswer(value, kind, 60, server)
        if key == "sni":
            names.observe(TlsClientHello(**base, flow=1, sni=value))
        elif key == "ech":
            names.observe(TlsClientHello(**base, flow=1, sni=value, ech=True, ech_outer=True))
        elif key == "hello":
            names.observe(TlsClientHello(**base, flow=1, sni=None))
        elif key == "http":
            names.observe(HttpMessage(**base, flow=1, from_client=True, host=f"{value}:443"))
        elif key == "nottls":
            names.observe(NotTls(**base, flow=1, looks_like="other"))
        elif key == "olddns":
            names.observe(_dns(client, value, (answer,), now - 3700 * SECOND))
        elif key == "cname":
            chain = (DnsAnswer(value, "CNAME", 60, "e1.cdn.example"),)
            end = (DnsAnswer("e1.cdn.example", kind, 60, server),)
            names.observe(_dns(client, value, chain + end, now))
        elif key == "stray":
            names.observe(_dns(client, "other.example", (answer,), now))
        elif who == "dns" and not whose.endswith("net"):
            asker = HOSTS.get(whose, whose) if whose else client
            names.observe(_dns(asker, value, (answer,), now))
        elif key == "session":
            reader, _, camera = value.partition(">")
            address, port = _end(camera)
            _setup(view, HOSTS[reader], address, port, case)


def _setup(view: SiteView, client: str, server: str, port: int, case: Case) -> None:
    """The SETUP answer that names the flow's ports."""
    left, right = case.flow.split(" ")[0], case.flow.split(" ")[2]
    ports = {_end(left)[0]: _end(left)[1], _end(right)[0]: _end(right)[1]}
    ours, theirs = ports[client] & ~1, ports[server] & ~1
    view.observe(
        RtspMessage(
            time_ns=START_NS,
            packet=1,
            interface=0,
            session=1,
            from_client=False,
            client=client,
            server=server,
            server_port=port,
            method="SETUP",
            url=None,
            cseq=1,
            status=200,
            transport=f"RTP/AVP;unicast;client_port={ours}-{ours + 1};"
            f"server_port={theirs}-{theirs + 1}",
        )
    )


def judged(case: Case) -> tuple[str, str, str, str]:
    words = case.flow.split(" ")
    (client, sport), (server, dport) = _end(words[0]), _end(words[2])
    transport, flags = words[3], words[4:]
    via = next((f[4:] for f in flags if f.startswith("via=")), None)
    app = next((f for f in flags if f in APP_WORDS), None)
    opened = "first" if "first" in flags else "port" if "port" in flags else "syn"
    young = "young" in flags
    view = SiteView(parse_site(SITES[case.site]))
    if case.site == "macs":
        view.observe_all([_arp(PORT_MACS["eth1"], client)])
    names = NameBook()
    _learn(case, names, view, client, server)
    view.settle()
    macs = _macs(client, server, via)
    row = flow_row(
        client,
        sport,
        server,
        dport,
        transport,
        app=app,
        opened=opened,
        state="syn-sent" if transport == "tcp" and "unanswered" in flags else "established",
        mid="mid" in flags,
        answered="unanswered" not in flags,
        client_mac=macs[0],
        server_mac=macs[1],
        spoke="silent" not in flags,
    )
    judge = RowJudge(view, names)
    judge.start_ns = START_NS
    now = START_NS + 60 * SECOND + (SECOND if young else 30 * SECOND)
    own = np.array(["own" in flags])
    out = judge.judge_rows(FlowRows.of(row), now, own=own)
    one = judge.judgement(FlowRows.of(row)[0], now, own="own" in flags)
    assert one.verdict == VERDICTS[out.verdict[0]], "one at a time and many at once must agree"
    assert one.text, "every verdict has words"
    reason = "-" if one.reason is None else one.reason
    rule = "-" if out.rule[0] < 0 else out.rules[out.rule[0]]
    source = HOST_SOURCES[out.host_source[0]] or "-"
    return VERDICTS[out.verdict[0]], reason, rule, source


def _macs(client: str, server: str, via: str | None) -> tuple[str, str]:
    if via is None:
        return MACS.get(client, MAC_GATEWAY), MACS.get(server, MAC_GATEWAY)
    inbound = client.startswith("2001:db8:9") or client == HOSTS["net"]
    if inbound:
        return MAC_GATEWAY, PORT_MACS[via]
    return PORT_MACS[via], MACS.get(server, MAC_GATEWAY)


def _arp(mac: str, address: str) -> ArpMessage:
    return ArpMessage(
        time_ns=START_NS,
        packet=1,
        interface=0,
        op=1,
        eth_src=mac,
        sender_mac=mac,
        sender_ip=address,
        target_mac="00:00:00:00:00:00",
        target_ip="192.168.5.1",
    )


APP_WORDS = frozenset(app for app in APPS if app)


@pytest.mark.parametrize("case", CASES, ids=[f"{c.site}: {c.title}" for c in CASES])
def test_flow_is_judged_as_the_table_says(case: Case) -> None:
    verdict, reason, rule, source = judged(case)
    assert (verdict, reason) == (case.verdict, case.reason)
    assert source == case.source
    if case.verdict != "violation":
        assert rule == case.rule


def test_the_table_has_at_least_150_flows_and_every_reason() -> None:
    assert len(CASES) >= 150
    reasons = {c.reason for c in CASES} - {"-"}
    assert reasons == {
        "stream-leak",
        "inbound",
        "wrong-port",
        "name-mismatch",
        "unlisted-port",
        "cleartext",
        "address-changed",
        "lateral",
        "unlisted-endpoint",
    }


@pytest.mark.parametrize("case", CASES, ids=[f"{c.site}: {c.title}" for c in CASES])
def test_no_flow_is_without_a_verdict_at_the_end(case: Case) -> None:
    verdict, *_ = judged(
        Case(
            case.title,
            case.site,
            case.flow.replace(" young", ""),
            case.evidence,
            *("", "", "", ""),
        )
    )
    named_before = " mid" in case.flow and case.verdict == "pending"
    assert verdict != "pending" or named_before


def test_two_services_of_a_site_are_told_apart_by_their_whole_names() -> None:
    names = ("warehouse-east-dynamodb", "warehouse-east-kinesis")
    text = DUAL.format(more="") + "".join(
        f'[[service]]\nname = "{name}"\nhost = "{name}.example"\n' for name in names
    )
    policy = judge_of(text).policy
    found = [policy.rule(f"service:{name}") for name in names]
    assert [rule.label for rule in found if rule is not None] == list(names)
