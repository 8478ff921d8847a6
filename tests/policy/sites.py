"""A site and its judge for tests of the policy floor."""

from __future__ import annotations

from panotui.model import DnsAnswer, DnsMessage, TlsClientHello
from panotui.policy.judging.rows import RowJudge
from panotui.site.file import parse_site
from panotui.site.names import NameBook
from panotui.site.view import SiteView
from tests.policy.made_flows import START_NS

PLANT = """\
# the plant's own site file
[site]
name = "plant-7"
topology = "dual"
region = "us-east-1" # provisioned here
[ports.eth0]
role = "camera"
mac = "02:00:00:00:00:10"
address = "10.20.0.5/24"
[ports.eth1]
role = "cloud"
mac = "02:00:00:00:00:11"
address = "192.168.5.5/24"
[network]
gateways = ["192.168.5.1"]
dns = ["192.168.5.1"]
ntp = ["192.168.5.1"]
[[camera]]
name = "dock"
address = "10.20.0.11"
[[listen]]
port = 8080
from = ["192.168.5.0/24"]
"""


def view_of(text: str = PLANT) -> SiteView:
    return SiteView(parse_site(text))


def judge_of(text: str = PLANT) -> RowJudge:
    judge = RowJudge(view_of(text), NameBook())
    judge.start_ns = START_NS
    return judge


def answer(
    name: str,
    *records: DnsAnswer,
    client: str = "192.168.5.5",
    time_ns: int = START_NS,
    transport: str = "udp",
    rcode: str = "NOERROR",
) -> DnsMessage:
    return DnsMessage(
        time_ns=time_ns,
        packet=1,
        interface=0,
        transport=transport,
        client=client,
        server="192.168.5.1",
        client_port=5000,
        id=1,
        response=True,
        rcode=rcode,
        name=name,
        type="A",
        answers=records,
    )


def hello(name: str | None, flow: int = 1, *, ech_outer: bool = False) -> TlsClientHello:
    return TlsClientHello(
        time_ns=START_NS, packet=1, interface=0, flow=flow, sni=name, ech_outer=ech_outer
    )
