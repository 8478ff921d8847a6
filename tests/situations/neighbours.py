"""The next hop: ARP, gateways, masks, pairs of routers, two ports, IPv6's neighbours, the MTU."""

from __future__ import annotations

from tests.diagnosis.lan_wire import vrrp
from tests.situations.endpoints import others_work
from tests.situations.fates import quoted
from tests.situations.situation import situation
from tests.situations.town import (
    AT,
    CAMERA,
    ETH0,
    ETH1,
    EVERYBODY,
    HTTPS,
    PC,
    ROUTER,
    S3,
    Town,
    arp_packet,
    single,
)

OTHER = "02:00:00:00:04:04"
VIRTUAL = "00:00:5e:00:01:07"


@situation("gateway-silent", says={"gateway-silent": r"192\.168\.5\.1\b"})
def gateway_stops_answering() -> Town:
    """The gateway answers neither ARP nor anything; its neighbours answer ARP. Names cannot be
    asked, time cannot either: both are behind it."""
    town = Town()
    town.lives(20)
    for n in range(12):
        at = 22 + 4 * n
        for k in range(3):
            town.arp(at + k, town.port, ROUTER[1])
        town.arp(at + 0.5, PC, "192.168.5.78", "02:00:00:00:07:08")
    return town


@situation("gateway-silent")
def gateway_never_answers_in_a_short_capture() -> Town:
    """Four seconds: three questions for the gateway, a neighbour's is answered."""
    town = Town()
    for k in (0.2, 1.2, 2.2, 3.2):
        town.arp(k, town.port, ROUTER[1])
    town.arp(0.8, PC, "192.168.5.78", "02:00:00:00:07:08")
    town.arp(2.8, town.port, PC[1], PC[0])
    town.quiet(0, 4, 0.5, 0)
    return town


@situation("wrong-gateway", says={"wrong-gateway": r"192\.168\.5\.254.*192\.168\.5\.1\b"})
def gateway_was_typed_wrong() -> Town:
    """The appliance asks for .254, which nobody is; neighbours answer it."""
    town = Town()
    for n in range(15):
        town.arp(1 + 3 * n, town.port, "192.168.5.254")
        town.arp(2 + 3 * n, PC, ROUTER[1], ROUTER[0])
    town.arp(5, town.port, PC[1], PC[0])
    return town


@situation("ip-conflict", says={"ip-conflict": r"192\.168\.5\.5\b"})
def another_device_has_the_appliances_address() -> Town:
    """A second device answers and speaks from the cloud port's address, again and again."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    two = (OTHER, "192.168.5.5")
    for n in range(10):
        at = 8 + 7 * n
        town.arp(at, ROUTER, "192.168.5.5", ETH1, OTHER)
        town.add(at + 2, arp_packet(1, *two, ROUTER[1]))
        town.add(at + 2.001, arp_packet(2, ROUTER[0], ROUTER[1], two[1], OTHER))
        town.look(at + 3, "printer.example", "192.0.2.9", client=two)
    return town


@situation("arp-spoof", says={"arp-spoof": OTHER})
def somebody_tells_the_appliance_that_it_is_the_gateway() -> Town:
    """Unicast replies to the cloud port alone, each two seconds; the router goes on answering."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(30):
        town.add(10 + 2 * n, arp_packet(2, OTHER, ROUTER[1], "192.168.5.5", ETH1))
    return town


@situation(
    "gateway-changed", severity={"gateway-changed": "warning"}, says={"gateway-changed": "VRRP"}
)
def pair_of_routers_fails_over() -> Town:
    """VRRP: the first stops advertising, the second takes over; traffic goes on."""
    town = Town()
    one, two = "02:00:00:00:02:11", "02:00:00:00:02:12"
    for n in range(90):
        if n < 30:
            town.add(0.5 + n, vrrp("192.168.5.2", one, 200))
        elif n >= 33:
            town.add(0.5 + n, vrrp("192.168.5.3", two, 100))
    town.add(33.6, arp_packet(2, VIRTUAL, ROUTER[1], ROUTER[1], EVERYBODY))
    for n in range(10):
        town.arp(1 + 9 * n, town.port, ROUTER[1], VIRTUAL)
        town.visit(2 + 9 * n, HTTPS[n % 4])
        town.time(3 + 9 * n)
    return town


@situation()
def pair_of_routers_stands_still() -> Town:
    """VRRP adverts of one active router; ARP is answered with the virtual MAC, frames come from the
    router's own."""
    town = Town()
    for n in range(90):
        town.add(0.5 + n, vrrp("192.168.5.2", "02:00:00:00:02:11", 200))
    for n in range(10):
        town.arp(1 + 9 * n, town.port, ROUTER[1], VIRTUAL)
        town.visit(2 + 9 * n, HTTPS[n % 4])
        town.time(3 + 9 * n)
    return town


@situation("gateway-changed", says={"gateway-changed": "02:00:00:00:02:44"})
def router_is_replaced() -> Town:
    """The router goes; a new one announces itself and answers in its place."""
    town = Town()
    town.boots()
    town.habits(4, 30)
    new = ("02:00:00:00:02:44", ROUTER[1])
    town.announce(40, new)
    for n in range(8):
        at = 41 + 8 * n
        town.arp(at, town.port, ROUTER[1], new[0])
        conn = town.to(HTTPS[n % 4], via=new[0])
        conn.whole(at + 1, HTTPS[n % 4])
        conn.leave(at + 2)
    return town


@situation(info=("proxy-arp",))
def router_answers_for_the_others() -> Town:
    """The router answers ARP for neighbours as well; each has its own answer too."""
    town = Town()
    town.lives(60)
    for n in range(8):
        at = 6 + 6 * n
        town.arp(at, PC, "192.168.5.78", "02:00:00:00:07:08", ROUTER[0])
        town.arp(at + 1, PC, "192.168.5.79", "02:00:00:00:07:09", ROUTER[0])
        town.arp(at + 2, town.port, "192.168.5.78", "02:00:00:00:07:08", ROUTER[0])
    return town


@situation("wrong-mask", says={"wrong-mask": r"192\.168\.9\.9"})
def mask_is_too_wide() -> Town:
    """The cloud port asks by ARP for a host of another network, in vain."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(12):
        town.arp(6 + 4 * n, town.port, "192.168.9.9")
    return town


@situation()
def probes_and_announcements() -> Town:
    """Hosts probe their address before they take it, and announce it: printers, PCs, the camera."""
    town = Town()
    town.lives(60)
    for n, host in enumerate((PC, CAMERA, ("02:00:00:00:07:08", "192.168.5.78"), town.port)):
        at = 5 + 8 * n
        for k in range(3):
            town.add(at + k * 0.8, arp_packet(1, host[0], "0.0.0.0", host[1]))
        town.announce(at + 3, host)
        town.announce(at + 5, host, reply=True)
    return town


@situation("failover", site=single, says={"failover": "eth0.*eth1|eth1.*eth0"})
def first_port_fails_and_the_second_takes_over() -> Town:
    """Traffic of the first port ends; the second says by ARP that the address is its own."""
    town = Town(port=(ETH0, "192.168.5.5"))
    town.boots()
    town.habits(3, 40)
    for n in range(18):
        town.visit(4 + 2 * n, HTTPS[n % 4])
    town.port = (ETH1, "192.168.5.5")
    town.announce(44, town.port)
    town.habits(45, 100)
    for n in range(25):
        town.visit(45 + 2 * n, HTTPS[n % 4])
    return town


@situation(site=single)
def second_port_says_little() -> Town:
    """The port that stands by has its lease renewed and hears neighbours; the first carries all."""
    town = Town()
    town.lives(120)
    others_work(town, 12, 110)
    for n in range(6):
        town.arp(8 + 20 * n, (ETH0, "192.168.5.6"), ROUTER[1], ROUTER[0])
    return town


@situation("mtu-low", says={"mtu-low": "1400|1,400"})
def router_says_that_1400_is_the_most() -> Town:
    """ICMP fragmentation needed for the large packets of three names; they go on smaller."""
    town = Town()
    town.lives(60)
    for n, name in enumerate(HTTPS):
        at = 10 + 8 * n
        town.look(at, name, AT[name])
        conn = town.to(name)
        conn.whole(at + 0.05, name)
        body = b"\x17\x03\x03\x05\xa3" + bytes(1443)
        conn.send(at + 0.5, body)
        town.icmp(at + 0.502, ROUTER, town.port, 3, 4, quoted(conn), 1400)
        conn.send(at + 0.51, body[:1348], again=False)
        conn.segment(at + 0.55, False, 16)
        conn.leave(at + 2)
    return town


@situation("asymmetric", says={"asymmetric": "eth0"})
def answers_come_back_on_the_other_port() -> Town:
    """Requests leave on the cloud port, answers arrive at the camera port's MAC."""
    town = Town()
    town.lives(60)
    for n in range(6):
        conn = town.to(S3)
        at = 8 + 8 * n
        before = len(town.frames)
        conn.whole(at, S3)
        conn.leave(at + 2)
        for i in range(before, len(town.frames)):
            t, k, frame, wire = town.frames[i]
            if frame[:6] == bytes.fromhex(ETH1.replace(":", "")):
                town.frames[i] = (t, k, bytes.fromhex(ETH0.replace(":", "")) + frame[6:], wire)
    return town


@situation("link-local", site=single, violations=None)
def the_port_speaks_from_a_link_local_address() -> Town:
    """No DHCP is seen; the port announces and uses 169.254.20.3."""
    town = Town()
    own = (ETH1, "169.254.20.3")
    for n in range(8):
        town.announce(1 + 5 * n, own)
        town.arp(2 + 5 * n, own, "169.254.1.1")
    town.quiet(0, 45, 1, 0)
    return town


@situation()
def camera_of_no_interest_is_off() -> Town:
    """A PC asks for many hosts that are off, and monitors ping in vain."""
    town = Town()
    town.lives(80)
    for n in range(30):
        town.arp(5 + 2 * n, PC, f"192.168.5.{100 + n % 4}")
        town.arp(6 + 2 * n, ROUTER, f"192.168.5.{150 + n % 9}")
    return town
