"""Cameras are named by the best that was heard of them, whenever it was heard."""

from __future__ import annotations

from typing import Any

import pytest

from panotui.model import DhcpMessage, DiscoveryMessage, Site, SiteCamera
from panotui.report.analysis import analysis
from panotui.state.cameras import HOSTS_MAX, CameraBook
from tests.diagnosis.wire import ETH0, EVERYBODY, Rtsp, Wire, arp_packet, dhcp_packet, dns_packet
from tests.made_up import APPLIANCE

YARD = "10.20.0.31"


def leased(address: str, name: str) -> DhcpMessage:
    return DhcpMessage(
        time_ns=1, packet=1, interface=0, type="request", xid=1, client_mac="02:00:00:00:00:31",
        src="0.0.0.0", dst="255.255.255.255", requested_ip=address, host_name=name,
    )  # fmt: skip


def told(address: str, name: str | None, onvif: bool, **more: str) -> DiscoveryMessage:
    return DiscoveryMessage(
        time_ns=2, packet=2, interface=0, protocol="ws-discovery", src=address, name=name,
        onvif=onvif, **more,
    )  # fmt: skip


def test_name_of_a_lease_is_kept_until_the_host_turns_out_to_be_a_camera() -> None:
    book = CameraBook(Site())
    book.observe_dhcp(leased(YARD, "ipc-yard"))
    assert book.get(YARD) is None
    camera = book.at(YARD)
    assert (camera.name, camera.named_by) == ("ipc-yard", "dhcp")


def test_onvif_device_is_a_camera_with_its_own_name_and_maker() -> None:
    book = CameraBook(Site())
    book.observe_dhcp(leased(YARD, "ipc-yard"))
    book.observe_discovery(told(YARD, "Yard east", True, vendor="ACME", model="C-1"))
    camera = book.at(YARD)
    assert (camera.name, camera.named_by, camera.vendor_said) == (
        "Yard east",
        "discovery",
        "ACME C-1",
    )
    book.observe_dhcp(leased(YARD, "ipc-yard"))
    assert camera.name == "Yard east"


def test_printer_that_tells_its_name_is_no_camera() -> None:
    book = CameraBook(Site())
    book.observe_discovery(told("10.20.0.40", "printer", False))
    assert not book.cameras


def test_name_in_the_site_file_stays() -> None:
    book = CameraBook(Site(camera=(SiteCamera(name="dock", address=YARD),)))
    book.observe_discovery(told(YARD, "Yard east", True))
    assert book.at(YARD).name == "dock"


def test_two_cameras_of_one_name_are_told_apart() -> None:
    book = CameraBook(Site())
    for address in (YARD, "10.20.0.32"):
        book.observe_dhcp(leased(address, "ipcam"))
    assert [book.at(a).name for a in (YARD, "10.20.0.32")] == ["ipcam", "ipcam 10.20.0.32"]


def test_hosts_that_tell_of_themselves_are_bounded() -> None:
    book = CameraBook(Site())
    for i in range(HOSTS_MAX + 50):
        book.observe_dhcp(leased(f"10.{i >> 8}.{i & 255}.9", f"h{i}"))
    assert len(book._hosts) == HOSTS_MAX
    assert book.at(f"10.{(HOSTS_MAX + 49) >> 8}.{(HOSTS_MAX + 49) & 255}.9").named_by == "dhcp"


MAC = "00:40:8c:12:34:56"  # a block of Axis Communications
WS_DISCOVERY = (
    b"<s:Envelope><d:ProbeMatches><d:ProbeMatch><d:Scopes>onvif://www.onvif.org/name/Yard%20East "
    b"onvif://www.onvif.org/hardware/P1448</d:Scopes><d:XAddrs>http://10.20.0.31/onvif</d:XAddrs>"
    b"</d:ProbeMatch></d:ProbeMatches></s:Envelope>"
)


def heard(source: str) -> dict[str, Any]:
    """The camera of a capture in which it tells its name in one way, as `analyze` says it."""
    wire = Wire()
    wire.add(0.05, arp_packet(2, MAC, YARD, APPLIANCE, ETH0))
    host = (MAC, YARD)
    if source == "discovery":
        wire.udp(0.1, (*host, 3702), (ETH0, APPLIANCE, 40_300), WS_DISCOVERY)
    elif source == "mdns":
        answer = dns_packet(0, "ipc-yard.local", YARD, answer=True)
        wire.udp(0.1, (*host, 5353), ("01:00:5e:00:00:fb", "224.0.0.251", 5353), answer)
    elif source == "dhcp":
        named = b"\x32\x04\x0a\x14\x00\x1f\x0c\x08ipc-yard"
        wire.udp(0.1, (MAC, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67),
                 dhcp_packet(3, MAC, options=named))  # fmt: skip
    rtsp = Rtsp(wire, address=YARD, camera_mac=MAC)
    rtsp.play(0.2, title="Yard East" if source == "sdp" else "RTSP Session")
    rtsp.media(0.6, 6)
    declared = SiteCamera(name="east", address=YARD)
    site = Site(camera=(declared,)) if source == "site" else Site()
    (camera,) = analysis(wire.watch(site))["cameras"]
    return dict(camera)


@pytest.mark.parametrize(
    ("source", "name", "by"),
    [
        ("site", "east", "site"),
        ("sdp", "Yard East", "sdp"),
        ("discovery", "Yard East", "discovery"),
        ("mdns", "ipc-yard", "mdns"),
        ("dhcp", "ipc-yard", "dhcp"),
        ("nothing", "Axis .31", "maker"),
    ],
)
def test_name_maker_reader_and_state_are_read_from_packets(source: str, name: str, by: str) -> None:
    camera = heard(source)
    assert (camera["name"], camera["named_by"], camera["address"]) == (name, by, YARD)
    assert camera["mac"] == MAC
    assert camera["vendor"].startswith("P1448" if source == "discovery" else "Axis")
    assert camera["state"] == "streaming"
    assert camera["state_since"] is not None
