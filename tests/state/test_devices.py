"""The inventory: who was seen, what it is, and that it stays bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from panotui.model import (
    LINK_SECOND_DTYPE,
    SECOND,
    ArpMessage,
    DeviceRecord,
    DhcpMessage,
    DiscoveryMessage,
    IcmpMessage,
    LinkControlMessage,
    NeighbourMessage,
    Rows,
    mac_value,
)
from panotui.state.devices import ADDRESSES_MAX, MACS_A_TICK
from panotui.state.vendors import vendor_of
from tests.made_up import CAMERA, START, Scene, answered, packed, site

PORT_MAC, CAMERA_MAC, ROUTER_MAC = "02:00:00:00:00:10", "ac:cc:8e:11:22:01", "00:1b:17:00:01:30"
BASE: dict[str, Any] = {"time_ns": START + SECOND, "packet": 1, "interface": 1}


def link(src: str | int, dst: str | int = PORT_MAC, at_s: int = 1, **fields: Any) -> Rows:
    row = np.zeros(1, LINK_SECOND_DTYPE)
    row["src_mac"] = mac_value(src) if isinstance(src, str) else src
    row["dst_mac"] = mac_value(dst) if isinstance(dst, str) else dst
    row["second"], row["packets"], row["bytes"] = START // SECOND + at_s, 10, 1_000
    row["interface"] = 1
    for name, value in fields.items():
        row[name] = value
    return row


def address(text: str) -> int:
    return int.from_bytes(packed(text)[:4].tobytes(), "big")


def devices(scene: Scene) -> dict[str, DeviceRecord]:
    return {d.mac: d for d in scene.engine.snapshot().devices}


def test_who_sends_is_counted_from_first_to_last_sight() -> None:
    scene = Scene(site())
    scene.tick(links=[link(CAMERA_MAC, ip4_src=address(CAMERA)), link(PORT_MAC, CAMERA_MAC)])
    scene.tick(links=[link(CAMERA_MAC, at_s=5, packets=3, bytes=300)])
    found = devices(scene)
    camera = found[CAMERA_MAC]
    assert (camera.packets, camera.bytes) == (13, 1_300)
    assert camera.first_time_ns == START + SECOND
    assert camera.last_time_ns == START + 5 * SECOND
    assert (camera.vendor, camera.role, camera.port) == ("Axis Communications AB", "camera", "eth0")
    assert (camera.addresses, camera.names) == ((CAMERA,), ("dock",))
    own = found[PORT_MAC]
    assert (own.role, own.port, own.names, own.vendor) == ("appliance", "eth0", ("eth0",), None)
    assert scene.engine.snapshot().counts.devices == len(found)


def test_groups_and_empty_addresses_are_no_devices() -> None:
    scene = Scene(site())
    scene.tick(links=[link((1 << 48) - 1), link(0), link("01:00:5e:00:00:01")])
    assert not devices(scene)


def test_what_hosts_say_of_themselves() -> None:
    scene = Scene(site())
    scene.tick(
        messages=[
            ArpMessage(**BASE, op=2, eth_src=CAMERA_MAC, sender_mac=CAMERA_MAC, sender_ip=CAMERA,
                       target_mac=PORT_MAC, target_ip="10.20.0.5", vlan=30),
            DiscoveryMessage(**BASE, protocol="wsd", src=CAMERA, name="Yard", vendor="ACME",
                             model="C-1", onvif=True),
            DhcpMessage(**BASE, type="ack", xid=1, client_mac="02:00:00:00:00:77", src="10.20.0.1",
                        dst="10.20.0.77", your_ip="10.20.0.77", host_name="laptop"),
            IcmpMessage(**BASE, version=6, src="fe80::2", dst="fe80::1", type=136, code=0,
                        target="fe80::77", target_mac="02:00:00:00:00:77"),
            NeighbourMessage(**BASE, protocol="lldp", src_mac=ROUTER_MAC, chassis="c", port="p3",
                             ttl=120, system_name="switch7", management=("10.20.0.2",)),
            LinkControlMessage(**BASE, protocol="rstp", src_mac="00:1b:17:00:01:31"),
        ]
    )  # fmt: skip
    found = devices(scene)
    camera = found[CAMERA_MAC]
    assert (camera.vlan, camera.vendor) == (30, "ACME C-1")
    assert camera.names == ("dock", "Yard")
    assert camera.port == "eth1"  # the capture interface, while no port is known to be behind it
    laptop = found["02:00:00:00:00:77"]
    assert (laptop.addresses, laptop.names) == (("10.20.0.77", "fe80::77"), ("laptop",))
    assert laptop.role == "host"
    switch = found[ROUTER_MAC]
    assert (switch.role, switch.names, switch.addresses) == ("switch", ("switch7",), ("10.20.0.2",))
    assert found["00:1b:17:00:01:31"].role == "switch"


def test_who_sends_for_the_internet_is_a_router_and_keeps_its_own_addresses() -> None:
    scene = Scene(site())
    router = {"mac_in_src": ROUTER_MAC, "mac_out_src": "02:00:00:00:00:11", "packets_in": 3}
    scene.tick(
        [
            answered(1, "192.168.5.5", "192.168.5.7", 53, **router),
            answered(2, "192.168.5.5", "52.94.5.81", 443, vlan=7, **router),
        ],
        links=[link(ROUTER_MAC), link("00:0c:29:00:00:01", ip4_src=address("203.0.113.9"))],
    )
    scene.tick([answered(3, "192.168.5.5", "52.94.5.82", 443, **router)])
    found = devices(scene)
    assert (found[ROUTER_MAC].role, found[ROUTER_MAC].addresses) == ("router", ("192.168.5.7",))
    assert found[ROUTER_MAC].vlan == 7
    # a host of the Internet on this line is itself
    alone = found["00:0c:29:00:00:01"]
    assert (alone.role, alone.addresses) == ("host", ("203.0.113.9",))


def test_the_least_recently_seen_go_first_and_are_counted() -> None:
    scene = Scene(site(), devices_max=3)
    for number in range(1, 4):
        scene.tick(links=[link(number, at_s=number)])
    scene.tick(links=[link(1, at_s=8)])
    scene.tick(links=[link(9, at_s=9)])
    assert list(devices(scene)) == [f"00:00:00:00:00:0{n}" for n in (1, 3, 9)]
    assert scene.engine.limits()["devices_evicted"] == 1


def test_a_flood_of_senders_is_looked_at_as_far_as_it_goes_and_told() -> None:
    scene = Scene(site())
    many = np.concatenate([link(1 << 8)] * (MACS_A_TICK + 50))
    many["src_mac"] = np.arange(len(many), dtype=np.uint64) * 2 + (1 << 20)
    many["bytes"][-1] = 1 << 30
    scene.tick(links=[many])
    assert scene.engine.limits()["devices_skipped"] == 50
    found = scene.engine.snapshot().devices
    assert len(found) == scene.engine.settings.devices_max
    assert max(d.bytes for d in found) == 1 << 30


def test_addresses_of_one_device_are_bounded() -> None:
    scene = Scene(site())
    for number in range(30):
        scene.tick(links=[link(CAMERA_MAC, ip4_src=address(f"10.20.0.{100 + number}"))])
    addresses = devices(scene)[CAMERA_MAC].addresses
    assert len(addresses) == ADDRESSES_MAX
    assert addresses[-1] == "10.20.0.129"
    assert len(scene.engine.devices._by_address) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        ("ac:cc:8e:11:22:01", "Axis Communications AB"),
        ("00:1b:c5:00:10:01", "OpenRB.com, Direct SIA"),  # a block of 36 bits
        ("02:00:00:00:00:10", None),  # administered locally
        ("01:00:5e:00:00:01", None),
        ("nonsense", None),
    ],
)
def test_makers_are_found_by_the_longest_prefix(mac: str, vendor: str | None) -> None:
    assert vendor_of(mac) == vendor
