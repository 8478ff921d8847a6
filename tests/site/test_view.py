"""Who is who without a site file: inferred from traffic, marked, and never against the file."""

from __future__ import annotations

import numpy as np
import pytest

from panotui.model import (
    LINK_SECOND_DTYPE,
    ArpMessage,
    DhcpMessage,
    DnsAnswer,
    IcmpMessage,
    NtpMessage,
    RtspMessage,
    mac_value,
)
from panotui.model.flow_rows import FlowRows
from panotui.site.facts import Who
from panotui.site.file import parse_site
from panotui.site.view import SiteView, region_in
from tests.policy.made_flows import MAC_ETH0, MAC_GATEWAY, START_NS, flow_row
from tests.policy.sites import PLANT, answer, hello, view_of

BASE = {"time_ns": START_NS, "packet": 1, "interface": 0}
IOT = "a1-ats.iot.us-east-1.amazonaws.com"


def rtsp(
    client: str,
    server: str,
    method: str = "OPTIONS",
    *,
    agent: str | None = None,
    transport: str | None = None,
) -> RtspMessage:
    return RtspMessage(
        **BASE,
        session=1,
        from_client=transport is None,
        client=client,
        server=server,
        server_port=554,
        method=method,
        url=f"rtsp://{server}/s",
        cseq=1,
        user_agent=agent,
        transport=transport,
        status=200 if transport else None,
    )


def arp(mac: str, address: str) -> ArpMessage:
    return ArpMessage(
        **BASE,
        op=2,
        eth_src=mac,
        sender_mac=mac,
        sender_ip=address,
        target_mac=MAC_ETH0,
        target_ip="10.0.0.1",
    )


def dhcp(**fields: object) -> DhcpMessage:
    return DhcpMessage(
        **BASE,
        type="ack",
        xid=1,
        client_mac=MAC_ETH0,
        src="192.168.5.1",
        dst="192.168.5.5",
        **fields,  # type: ignore[arg-type]
    )


def empty() -> SiteView:
    return view_of("")


def test_the_site_files_facts_are_never_overruled() -> None:
    view = view_of()
    before = view.facts
    view.observe_all(
        [
            rtsp("192.168.5.99", "10.20.0.99", agent="LIVE555 Streaming Media v2020"),
            answer("logs.eu-west-1.amazonaws.com", client="192.168.5.99"),
            dhcp(your_ip="192.168.5.5", routers=("192.168.5.254",), dns=("9.9.9.9",)),
            arp("02:00:00:00:00:99", "192.168.5.5"),
        ]
    )
    view.observe_flows(
        FlowRows.of(flow_row("10.20.0.99", 6000, "10.20.0.5", 5000, "udp", app="rtp"))
    )
    assert view.facts == before
    assert view.site_record().inferred == ()


def test_the_reader_of_cameras_with_live555_is_the_appliance() -> None:
    view = empty()
    view.observe_all(
        [
            *(rtsp("10.0.0.20", f"10.0.0.{i}", agent="Lavf59") for i in (11, 12, 13)),
            rtsp("10.0.0.5", "10.0.0.11", agent="LIVE555 Streaming Media v2020.1.1"),
        ]
    )
    assert view.facts.appliance_addresses == {"10.0.0.5": "eth0"}
    assert "ports" in view.site_record().inferred


def test_one_host_that_reads_cameras_and_speaks_to_iot_has_both_roles() -> None:
    view = empty()
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11"), answer(IOT, client="10.0.0.5")])
    assert view.facts.seen_roles == {"eth0": "both"}


def test_two_hosts_that_do_these_are_two_ports_of_the_dual_topology() -> None:
    view = empty()
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11"), answer(IOT, client="192.168.5.5")])
    assert view.facts.appliance_addresses == {"10.0.0.5": "eth0", "192.168.5.5": "eth1"}
    assert view.facts.topology == "dual"
    assert view.facts.roles == {}, "guessed roles must not make a wrong-port violation"


def test_a_hello_counts_once_its_flow_is_known() -> None:
    view = empty()
    view.observe_all([hello(IOT, flow=7)])
    assert not view.facts.appliance_known
    view.observe_flows(
        FlowRows.of(flow_row("192.168.5.5", 50000, "203.0.113.9", 443, flow=7, app="tls"))
    )
    assert view.facts.appliance_addresses == {"192.168.5.5": "eth1"}
    assert view.facts.region == "us-east-1"


def test_the_region_of_iot_outweighs_other_names() -> None:
    view = empty()
    many = [answer("s3.eu-west-1.amazonaws.com", client="192.168.5.5")] * 20
    view.observe_all([*many, answer(IOT, client="192.168.5.5")])
    assert view.facts.region == "us-east-1"


def test_rtsp_servers_and_senders_of_media_are_cameras() -> None:
    view = empty()
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11")])
    row = flow_row("10.0.0.12", 6000, "10.0.0.5", 5000, "udp", app="rtp", answered=False)
    view.observe_flows(FlowRows.of(row))
    assert set(view.facts.cameras) == {"10.0.0.11", "10.0.0.12"}


def test_a_server_of_streams_on_the_internet_is_no_camera() -> None:
    view = empty()
    view.observe_all([rtsp("10.0.0.5", "203.0.113.9")])
    assert view.facts.cameras == {}


def test_the_gateway_is_the_mac_that_carries_the_internet() -> None:
    view = empty()
    rows = np.zeros(2, LINK_SECOND_DTYPE)
    rows["src_mac"] = mac_value(MAC_GATEWAY)
    rows["ip4_src"] = [int.from_bytes(b"\xcb\x00\x71\x0a", "big"), 0]
    view.observe_links(rows)
    view.observe_all([arp(MAC_GATEWAY, "192.168.5.1"), arp(MAC_ETH0, "192.168.5.5")])
    assert view.facts.gateways == {"192.168.5.1"}


def test_dhcp_names_router_resolvers_time_servers_and_networks() -> None:
    view = empty()
    offer = dhcp(
        your_ip="192.168.5.5",
        mask="255.255.255.0",
        routers=("192.168.5.1",),
        dns=("192.168.5.2",),
        ntp=("192.168.5.3",),
    )
    view.observe_all([offer])
    facts = view.facts
    assert facts.gateways == {"192.168.5.1"}
    assert facts.resolvers == {"192.168.5.2"}
    assert facts.time_servers == {"192.168.5.3"}
    assert str(facts.local[0]) == "192.168.5.0/24"
    assert view.who("192.168.5.255") == Who.BROADCAST


def test_who_answers_names_and_time_is_resolver_and_time_server() -> None:
    view = empty()
    ntp = NtpMessage(
        **BASE,
        src="192.168.5.1",
        dst="192.168.5.5",
        sport=123,
        dport=123,
        mode=4,
        leap=0,
        version=4,
        stratum=2,
        poll=6,
        reference_id="",
        origin=0,
        receive=0,
        transmit=0,
        transmit_ns=None,
        receive_ns=None,
    )
    view.observe_all([answer("a.example", DnsAnswer("a.example", "A", 1, "203.0.113.1")), ntp])
    assert view.who("192.168.5.1") & Who.RESOLVER
    assert view.who("192.168.5.1") & Who.TIME_SERVER


def test_a_port_known_by_address_learns_its_mac_from_arp() -> None:
    text = PLANT.replace('mac = "02:00:00:00:00:10"\n', "")
    view = view_of(text)
    view.observe_all([arp(MAC_ETH0, "10.20.0.5")])
    assert view.facts.appliance_macs[mac_value(MAC_ETH0)] == "eth0"
    assert "ports.eth0.mac" in view.facts.inferred


def test_a_router_is_never_taken_for_the_appliance_behind_it() -> None:
    text = PLANT.replace('mac = "02:00:00:00:00:10"\n', "")
    view = view_of(text)
    rows = np.zeros(2, LINK_SECOND_DTYPE)
    rows["src_mac"] = mac_value(MAC_GATEWAY)
    rows["ip4_src"] = [
        int.from_bytes(bytes([10, 20, 0, 5]), "big"),
        int.from_bytes(bytes([203, 0, 113, 9]), "big"),
    ]
    view.observe_links(rows)
    assert mac_value(MAC_GATEWAY) not in view.facts.appliance_macs


def test_the_version_rises_only_with_a_change() -> None:
    view = empty()
    start = view.version
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11")])
    grown = view.version
    assert grown > start
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11")] * 50)
    assert view.version == grown


def test_negotiated_ports_belong_to_their_session() -> None:
    view = empty()
    setup = "RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001"
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11", "SETUP", transport=setup)])
    session = view.media_session("10.0.0.11", 6000, "10.0.0.5", 5000)
    assert session is not None
    assert (session.client, session.server, session.server_port) == ("10.0.0.5", "10.0.0.11", 554)
    assert view.media_session("10.0.0.5", 5001, "10.0.0.11", 6001) == session
    assert view.media_session("203.0.113.9", 6000, "10.0.0.5", 5000) is None
    assert view.media_session("10.0.0.11", 6000, "10.0.0.5", 5002) == session


@pytest.mark.parametrize(
    "transport",
    ["", ";;;=", "client_port=0-99999", "client_port=a-b", "RTP/AVP;client_port=5-1", "x" * 5000],
)
def test_nonsense_in_a_transport_header_opens_no_port(transport: str) -> None:
    view = empty()
    view.observe_all([rtsp("10.0.0.5", "10.0.0.11", "SETUP", transport=transport or ";")])
    assert view.media_ports() == frozenset()


def test_a_mirror_of_one_direction_is_noticed() -> None:
    view = empty()
    before = view.version
    view.set_sight(True, frozenset({"eth1"}), False)
    assert view.site_record().one_way
    assert view.version > before, "flows are judged again"
    view.set_sight(False, frozenset(), False)
    assert not view.site_record().one_way


def test_memory_stays_bounded_in_a_flood() -> None:
    view = empty()
    view.observe_all(
        [rtsp(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", "10.200.0.1") for i in range(3000)]
    )
    assert len(view._clients) <= 1024


@pytest.mark.parametrize(
    ("name", "region"),
    [
        (IOT, "us-east-1"),
        ("logs.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("monitoring.us-east-1.aws.amazon.com", "us-east-1"),
        ("s3.amazonaws.com", None),
        ("logs.us-east-1.amazonaws.com.evil.example", None),
        ("us-east-1.example", None),
    ],
)
def test_the_region_stands_in_names_of_aws_only(name: str, region: str | None) -> None:
    assert region_in(name) == region


def test_the_appliances_ipv6_addresses_are_learnt_by_its_mac() -> None:
    mine = "02:00:00:00:00:11"
    view = SiteView(
        parse_site(f'[ports.eth1]\nmac = "{mine}"\naddress = "192.168.5.5/24"\n', "site.toml")
    )
    said = {"time_ns": 1, "packet": 1, "interface": 0, "version": 6, "code": 0, "dst": "ff02::1"}
    asks = IcmpMessage(type=135, src="2001:db8::5", target="2001:db8::1", target_mac=mine, **said)
    answers = IcmpMessage(type=136, src="fe80::5", target="fe80::5", target_mac=mine, **said)
    other = IcmpMessage(
        type=136, src="fe80::9", target="fe80::9", target_mac="02:00:00:00:00:99", **said
    )
    view.observe_all([asks, answers, other])
    assert view.facts.appliance_addresses == {
        "192.168.5.5": "eth1", "2001:db8::5": "eth1", "fe80::5": "eth1",
    }  # fmt: skip
    assert "ports.eth1.ipv6" in view.facts.inferred
