"""The cable, the appliance's two ports and the mirror; and who reaches whom who should not."""

from __future__ import annotations

import ipaddress
import struct

from panotui.model import SECOND, LinkReading, Site
from tests.diagnosis.wire import Rtsp
from tests.made_up import START
from tests.situations.endpoints import others_work
from tests.situations.situation import situation
from tests.situations.town import (
    AT,
    ETH0,
    ETH1,
    HTTPS,
    IOT,
    LOGS,
    PC,
    PORT0,
    PORT1,
    ROUTER,
    S3,
    SYN,
    Dhcp,
    Town,
    arp_packet,
    dual,
    ethernet,
    ipv4,
    public,
    single,
)

HOST_SIDE = {"topology": "dual", "region": "us-east-1", "vantage": "host"}
INLINE = {"topology": "dual", "region": "us-east-1", "vantage": "inline"}


def on_the_appliance() -> Site:
    return dual(site=HOST_SIDE)


def inline() -> Site:
    return dual(site=INLINE)


def readings(**fields: object) -> tuple[LinkReading, ...]:
    """A reading a second of both interfaces; the fields are eth1's, or a function of the second."""
    out = []
    for second in range(45):
        for name in ("eth0", "eth1"):
            mine = {"up": True, "speed_mbps": 1000, "duplex": "full", "carrier_changes": 2}
            if name == "eth1":
                mine |= {k: v(second) if callable(v) else v for k, v in fields.items()}
            out.append(
                LinkReading(time_ns=START + second * SECOND, interface=name, **mine)  # type: ignore[arg-type]
            )
    return tuple(out)


def on_two(end: float = 45) -> Town:
    """A healthy site as the appliance's own two interfaces see it."""
    town = Town(interfaces=("eth0", "eth1"))
    town.lives(end)
    others_work(town, 12, end - 8)
    town.frames = [(t, 1, f, w) for t, _, f, w in town.frames]
    Rtsp(town).play(1).media(1.5, end, packets=1)
    return town


def _case(name: str, *told: str, **more: object) -> None:
    fields = more.pop("fields", {})
    assert isinstance(fields, dict)

    def build() -> Town:
        return on_two()

    build.__name__, build.__doc__ = name, str(more.pop("text"))
    situation(*told, site=on_the_appliance, live=True, readings=readings(**fields), proved=False,
              **more)(build)  # fmt: skip


_case("both_links_are_well", text="Carrier, 1000 Mb/s, no errors.")
_case("link_is_lost", "link-down", text="The cloud port loses its carrier at 20 s.",
      fields={"up": lambda s: s < 20}, either=("link-down",))  # fmt: skip
_case("link_comes_and_goes", "link-flap", text="The carrier changes twice a second for a while.",
      fields={"carrier_changes": lambda s: 2 + 2 * min(s, 20)})  # fmt: skip
_case("link_runs_at_100", "link-slow", text="The cable has two pairs: 100 Mb/s.",
      fields={"speed_mbps": 100})  # fmt: skip
_case("link_is_half_duplex", "half-duplex", text="The switch port is forced, ours negotiates.",
      fields={"duplex": "half"})  # fmt: skip
_case("frames_are_damaged", "rx-errors", text="CRC errors rise with each frame.",
      fields={"rx_errors": lambda s: 10 * s, "rx_packets": lambda s: 1000 * s})  # fmt: skip


@situation("no-standby", site=single, says={"no-standby": "eth0"})
def second_port_has_been_silent_for_long() -> Town:
    """The second port spoke at the start, and nothing of it is seen for twelve minutes."""
    town = Town()
    town.lives(760)
    town.arp(2, (ETH0, "192.168.5.6"), ROUTER[1], ROUTER[0])
    for n in range(70):
        town.visit(12 + 10 * n, HTTPS[n % 4])
    return town


def apart() -> Site:
    return dual(
        site={"topology": "single", "region": "us-east-1", "vantage": "mirror"},
        ports={
            "eth0": {"mac": ETH0, "address": "192.168.5.6/24"},
            "eth1": {"mac": ETH1, "address": "192.168.77.5/24"},
        },
        network={"local": ["192.168.5.0/24", "192.168.77.0/24"], "gateways": ["192.168.5.1"],
                 "dns": [ROUTER[1]], "ntp": [ROUTER[1]]},
        camera=[],
    )  # fmt: skip


@situation("standby-wrong-net", site=apart, says={"standby-wrong-net": "eth1"})
def second_port_is_in_another_network() -> Town:
    """The port that should stand by has an address of another network."""
    town = Town(port=(ETH0, "192.168.5.6"))
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(6):
        town.arp(5 + 8 * n, (ETH1, "192.168.77.5"), "192.168.77.1", "02:00:00:00:02:99")
    return town


@situation("swapped-ports", violations=None, says={"swapped-ports": "eth0.*eth1|eth1.*eth0"})
def cables_are_swapped() -> Town:
    """Cameras answer on the cloud port and the cloud on the camera port."""
    town = Town(port=(ETH0, PORT1[1]))
    town.boots()
    for n in range(10):
        town.visit(6 + 4 * n, HTTPS[n % 4])
    rtsp = Rtsp(town, client=PORT0[1], client_mac=ETH1).play(3)
    rtsp.media(3.5, 45, packets=1)
    for n in range(8):
        rtsp.receiver_report(4 + 5 * n)
    town.quiet(0, 45, 5, 0)
    return town


@situation("vlan-tagged", site=inline)
def switch_port_is_a_trunk() -> Town:
    """All frames of the cloud port carry VLAN 20, on the appliance's own cable."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    town.frames = [(t, i, f[:12] + b"\x81\0\0\x14" + f[12:], w + 4) for t, i, f, w in town.frames]
    return town


@situation("loop")
def broadcasts_come_by_thousands() -> Town:
    """Two thousand broadcasts a second for six seconds."""
    town = Town()
    town.lives(30)
    for n in range(12_000):
        town.add(20 + n / 2000, arp_packet(1, *PC, f"192.168.5.{200 + n % 9}"))
    return town


@situation("pause-storm")
def switch_pauses_the_port() -> Town:
    """Three hundred PAUSE frames a second for ten seconds."""
    town = Town()
    town.lives(40)
    pause = ethernet("02:00:00:00:0e:01", "01:80:c2:00:00:01", 0x8808, b"\0\1\xff\xff")
    for n in range(3000):
        town.add(25 + n / 300, pause)
    return town


@situation("dhcp-pool", severity={"dhcp-pool": "warning"})
def others_get_leases_and_the_port_does_not() -> Town:
    """The server serves a PC, and never answers the cloud port."""
    town = Town()
    other = Dhcp(town, PC[0], 0)
    other.gets(2, PC[1])
    mine = Dhcp(town, ETH1, 0)
    for at in (5, 8, 13, 22, 38):
        mine.ask(at, 1)
    other.gets(30, PC[1])
    town.quiet(0, 60, 2, 0)
    return town


@situation("address-changed", violations=None, says={"address-changed": r"192\.168\.5\.88"})
def lease_gave_another_address() -> Town:
    """The cloud port speaks from another address than the site file's."""
    town = Town(port=(ETH1, "192.168.5.88"))
    town.lives(60)
    others_work(town, 12, 50)
    return town


@situation(info=("ntp-public",))
def public_time_beside_the_sites_own() -> Town:
    """A public time server is asked although the site has two, which answer."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80)
    for n in range(5):
        town.time(6 + 15 * n, "162.159.200.123")
    return town


@situation("slow-uplink", says={"slow-uplink": "4\\d\\d ms"})
def line_takes_half_a_second() -> Town:
    """Each connection of each name takes 450 ms a round trip."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 90)
    for n in range(12):
        at, name = 6 + 6 * n, HTTPS[n % 4]
        town.look(at, name, AT[name])
        conn = town.to(name).whole(at + 0.1, name, rtt=0.45)
        conn.leave(at + 4)
    return town


@situation("wrong-region", violations=None, says={"wrong-region": "eu-west-1"})
def names_of_another_region() -> Town:
    """The appliance was provisioned in another region than the site file says."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(4):
        name = "logs.eu-west-1.amazonaws.com"
        town.visit(8 + 12 * n, name, address="52.95.121.7")
    return town


@situation(info=("name-unverified",))
def address_that_no_answer_gave() -> Town:
    """A needed name is used at an address that is not among the answers seen."""
    town = Town()
    town.lives(60)
    for n in range(4):
        at = 8 + 12 * n
        town.look(at, S3, AT[S3])
        conn = town.to(S3, address="52.216.99.9").whole(at + 0.1, S3)
        conn.leave(at + 2)
    return town


@situation("inbound-internet", violations=1)
def port_is_open_to_the_internet() -> Town:
    """A forwarded port: hosts on the internet connect to 8080 of the appliance, answered."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(3):
        conn = town.tcp((ROUTER[0], "203.0.113.66", 50_000 + n), (ETH1, PORT1[1], 8080))
        conn.open(10 + 10 * n)
        conn.send(10.1 + 10 * n, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        conn.answer(10.2 + 10 * n, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        conn.close(11 + 10 * n)
    return town


@situation("inbound-undeclared", violations=1)
def neighbour_opens_an_undeclared_port() -> Town:
    """A PC connects to port 9999 of the appliance, which the site does not declare."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(3):
        conn = town.tcp((*PC, 50_000 + n), (*PORT1, 9999))
        conn.open(10 + 10 * n)
        conn.send(10.1 + 10 * n, b"hello\r\n")
        conn.answer(10.2 + 10 * n, b"well\r\n")
        conn.close(11 + 10 * n)
    return town


@situation("lateral", violations=1)
def appliance_tries_a_neighbours_ssh() -> Town:
    """The appliance logs in on a PC of the site."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    conn = town.tcp((*PORT1, 50_000), (*PC, 22))
    conn.open(10)
    conn.answer(10.1, b"SSH-2.0-OpenSSH_9.2\r\n")
    conn.send(10.2, b"SSH-2.0-libssh\r\n")
    conn.close(20)
    return town


@situation("beacon", violations=1)
def something_calls_home_every_ten_seconds() -> Town:
    """An unlisted host is contacted each 10 s."""
    town = Town()
    town.lives(160)
    others_work(town, 12, 150)
    for n in range(14):
        town.look(6 + 10 * n, "cdn.example.net", "198.51.100.77")
        conn = town.to("", address="198.51.100.77").whole(6.1 + 10 * n, "cdn.example.net")
        conn.leave(8 + 10 * n)
    return town


@situation("exfil", violations=1)
def twelve_megabytes_leave() -> Town:
    """The appliance sends 12 MB to a host that no rule allows."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    town.look(9, "drop.example.net", "198.51.100.88")
    conn = town.to("", address="198.51.100.88").whole(9.1, "drop.example.net")
    body = b"\x17\x03\x03\x3f\xfb" + bytes(16_379)
    for n in range(750):
        conn.send(10 + n * 0.02, body)
        if n % 8 == 0:
            conn.segment(10.01 + n * 0.02, False, 16)
    conn.leave(30)
    return town


@situation("dns-tunnel")
def names_carry_data() -> Town:
    """Two hundred names a minute with random labels under one domain, by TXT."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(300):
        label = town.chance.randbytes(24).hex()
        town.look(8 + n * 0.2, f"{label}.t.example.org", kind=16, rcode=3)
    return town


@situation("scan", violations=None)
def neighbour_tries_all_ports() -> Town:
    """A PC sends a SYN to each of 200 ports of the appliance; most are refused."""
    town = Town()
    town.lives(60)
    for n in range(200):
        conn = town.tcp((*PC, 50_000), (*PORT1, 1 + n))
        conn.segment(20 + n * 0.01, True, SYN)
        conn.sent += 1
        conn.reset(20.001 + n * 0.01)
    return town


@situation("guide-names")
def firewall_knows_the_printed_names_only() -> Town:
    """The printed name is asked for in vain, and the real one is dropped; others work."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50, LOGS)
    for at in (10, 30):
        town.look(at, "logs.us-east-1.aws.amazon.com", rcode=3)
        town.look(at + 0.2, LOGS, AT[LOGS])
        town.knock(at + 0.3, LOGS)
    return town


@situation("cloud-service-ended", site=public, violations=None)
def every_endpoint_turns_the_appliance_away() -> Town:
    """After the service's end each server answers the client's certificate by an alert."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    for n, name in enumerate((*HTTPS, IOT, *HTTPS)):
        at = 3 + 6 * n
        town.look(at, name, AT[name])
        conn = town.to(name)
        conn.open(at + 0.05)
        conn.hello(at + 0.1, name, thirteen=False)
        conn.flight(at + 0.14, name, thirteen=False, asks=True)
        conn.finish(at + 0.2, thirteen=False, certificate=True)
        conn.answer(at + 0.23, struct.pack("!BHHBB", 21, 0x303, 2, 2, 44))
        conn.close(at + 0.24, by_server=True)
    town.quiet(0, 60, 2, 0)
    return town


OUTSIDER = (ROUTER[0], "203.0.113.77")


def _pieces(town: Town, at: float, src: tuple[str, str], dst: tuple[str, str], sport: int,
            dport: int, *, protocol: int = 17, last_only: bool = True,
            last_first: bool = False) -> None:  # fmt: skip
    """A datagram (or a TCP segment without flags) of 2,000 bytes in two fragments."""
    body = struct.pack("!HHHH", sport, dport, 2000, 0) + bytes(1992)
    number = int(at * 10)
    frames = []
    for offset, more in ((0, 0x2000), (1480, 0)):
        part = body[offset : offset + 1480]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(part), number, more | offset // 8, 64,
                           protocol, 0)  # fmt: skip
        ends = ipaddress.ip_address(src[1]).packed + ipaddress.ip_address(dst[1]).packed
        frames.append(ethernet(src[0], dst[0], 0x800, head + ends + part))
    if last_only:
        del frames[0]
    elif last_first:
        frames.reverse()
    for n, frame in enumerate(frames):
        town.add(at + 0.0001 * n, frame)


@situation()
def only_later_fragments_are_captured() -> Town:
    """A filter by port keeps first fragments away from the capture: whose port the later ones are
    for cannot be known, in either direction and from anybody."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(5):
        at = 5 + 9 * n
        _pieces(town, at, PC, town.port, 9000, 9001)
        _pieces(town, at + 1, town.port, PC, 9001, 9000)
        _pieces(town, at + 2, ROUTER, town.port, 53, 40_001)
        _pieces(town, at + 3, OUTSIDER, town.port, 9000, 9002)
        _pieces(town, at + 4, town.port, OUTSIDER, 9002, 9000)
        _pieces(town, at + 5, OUTSIDER, town.port, 443, 40_002, protocol=6)
    return town


@situation(violations=1)
def a_neighbour_sends_datagrams_in_fragments_that_nobody_asked_for() -> Town:
    """The same with the first fragments, every other time behind the later ones: their port is
    known."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(6):
        _pieces(town, 5 + 7 * n, PC, town.port, 51_000, 2000, last_only=False,
                last_first=n % 2 == 1)  # fmt: skip
    return town


@situation(violations=1)
def a_neighbour_sends_to_port_zero() -> Town:
    """Whole datagrams to port 0: that is their port, and nobody may send there."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50)
    for n in range(6):
        body = struct.pack("!HHHH", 51_000, 0, 28, 0) + bytes(20)
        town.add(
            5 + 7 * n, ethernet(PC[0], town.port[0], 0x800, ipv4(PC[1], town.port[1], 17, body))
        )
    return town
