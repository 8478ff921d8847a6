"""What cameras and their way do, and what becomes of ports and services in the long run.

Each is made from what a person would describe of it: the camera restarted, the switch's buffer is
small, nobody asks for the group any more.
"""

from __future__ import annotations

from panotui.model import Site
from tests.diagnosis.wire import Rtsp, dhcp_packet
from tests.situations.endpoints import others_work
from tests.situations.situation import situation
from tests.situations.town import (
    AT,
    CAMERA,
    HTTPS,
    LOGS,
    PORT0,
    PORT1,
    ROUTER,
    Town,
    dual,
)

YARD = ("02:00:00:00:01:12", "10.20.0.12")
GATE = ("02:00:00:00:01:13", "10.20.0.13")
CAMERA_ROUTER = ("02:00:00:00:02:09", "10.20.0.1")
VENDOR = "203.0.113.99"


def filmed() -> Site:
    """Three cameras that a person has named."""
    return dual(
        camera=[
            {"name": "dock", "address": CAMERA[1]},
            {"name": "yard", "address": YARD[1]},
            {"name": "gate", "address": GATE[1]},
        ]
    )


def reports(one: Rtsp, start: float, end: float) -> None:
    """The appliance says each 5 s what it got, as RTP asks of it."""
    at = start
    while at < end:
        one.receiver_report(at)
        at += 5


def streams(town: Town, start: float, *cameras: tuple[str, str]) -> list[Rtsp]:
    """The appliance reads cameras over UDP; each on ports of its own."""
    return [
        Rtsp(town, 41_000 + n, address=address, camera_mac=mac, ports=6_000 + 10 * n).play(
            start + 0.05 * n
        )
        for n, (mac, address) in enumerate(cameras)
    ]


@situation(site=filmed)
def three_cameras_stream_and_all_is_well() -> Town:
    """Three cameras stream for a minute and a half beside a cloud that works."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80)
    for one in streams(town, 1, CAMERA, YARD, GATE):
        one.media(2, 90, packets=1)
        reports(one, 5, 90)
    return town


@situation("cameras-silent", site=filmed, says={"cameras-silent": "No camera behind eth0 has sent"})
def the_camera_switch_loses_its_power() -> Town:
    """All cameras stop in one moment and are asked for in vain; the cloud goes on."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80)
    for one in streams(town, 1, CAMERA, YARD, GATE):
        one.media(2, 40, packets=1)
        reports(one, 5, 90)
    for n in range(20):  # the switch is dark, and the appliance's own is not
        town.arp(45 + 2 * n, PORT0, (CAMERA, YARD, GATE)[n % 3][1])
    return town


@situation("port-silent", site=filmed, says={"port-silent": "eth1"})
def cable_of_the_cloud_port_is_pulled() -> Town:
    """The port asks the time and names each 16 s; then nothing of it is seen for minutes."""
    town = Town()
    town.boots()
    town.habits(4, 120)
    others_work(town, 12, 110)
    town.quiet(120, 300, 5.0, 0)
    for one in streams(town, 1, CAMERA):
        one.media(2, 300, fps=5, packets=1)
        reports(one, 5, 300)
    return town


@situation("port-silent", site=filmed, says={"port-silent": "eth1"})
def cable_of_the_cloud_port_is_pulled_twice() -> Town:
    """It is pulled for 150 s, put back for as long, and pulled again: the second is no habit."""
    town = Town()
    town.boots()
    town.habits(4, 120)
    others_work(town, 12, 110)
    town.quiet(120, 270, 5.0, 0)
    town.habits(270, 420)
    others_work(town, 280, 410)
    town.quiet(420, 540, 5.0, 0)
    for one in streams(town, 1, CAMERA):
        one.media(2, 540, fps=5, packets=1)
        reports(one, 5, 540)
    return town


@situation("tls-blocked", says={"tls-blocked": "eth1"})
def firewall_drops_every_hello() -> Town:
    """TCP connects to each name, and no ClientHello of any name is ever answered."""
    town = Town()
    town.boots()
    town.habits(4, 150)
    for round_ in range(3):
        for n, name in enumerate(HTTPS):
            at = 20 + 40 * round_ + 2 * n
            town.look(at, name, AT[name])
            conn = town.to(name)
            conn.open(at + 0.05)
            body = conn.hello(at + 0.1, name, thirteen=True)
            for again in (0.3, 0.9, 2.1, 4.5):
                conn.send(at + 0.1 + again, body, again=True)
            conn.close(at + 15)
    return town


@situation("camera-phones-home", site=filmed, violations=1)
def camera_asks_its_makers_cloud() -> Town:
    """A camera that streams well opens a connection to an address of the internet each minute."""
    town = three_cameras_stream_and_all_is_well()
    for n in range(3):
        conn = town.tcp((*CAMERA, 52_000 + n), (CAMERA_ROUTER[0], VENDOR, 443))
        conn.open(10 + 25 * n)
        conn.segment(10.1 + 25 * n, True, 0x18, b"\x16\x03\x01\x00\x05hello")
    return town


@situation(
    "camera-reboot",
    site=filmed,
    either=("camera-reboot",),
    says={"camera-reboot": "dock"},
)
def a_camera_starts_anew() -> Town:
    """Its stream stops, 30 s later it asks for an address, says so by ARP, and is read again."""
    town = Town()
    town.lives(150)
    others_work(town, 12, 140)
    dock, yard = streams(town, 1, CAMERA, YARD)
    dock.media(2, 40, packets=1)
    yard.media(2, 150, packets=1)
    reports(yard, 5, 150)
    mine, everybody = (CAMERA[0], "0.0.0.0", 68), ("ff:ff:ff:ff:ff:ff", "255.255.255.255", 67)
    server = (CAMERA_ROUTER[0], CAMERA_ROUTER[1], 67)
    client = ("ff:ff:ff:ff:ff:ff", "255.255.255.255", 68)
    for at, kind in ((70, 1), (70.2, 3)):
        town.udp(at, mine, everybody, dhcp_packet(kind, CAMERA[0], 99))
        given = dhcp_packet(kind + 1 + (kind == 3), CAMERA[0], 99, yours=CAMERA[1])
        town.udp(at + 0.05, server, client, given)
    for at in (70.5, 71.5):
        town.announce(at, CAMERA)
    again = Rtsp(town, 42_000, address=CAMERA[1], camera_mac=CAMERA[0], ports=6_100).play(76)
    again.media(77, 150, packets=1)
    return town


def a_long_day(*seldom: str) -> Town:
    """A day and an hour: each name is used each half hour, `seldom` ones at its beginning alone."""
    town = Town()
    town.boots()
    for half in range(50):
        at = 60 + 1800 * half
        town.arp(at, PORT1, ROUTER[1], ROUTER[0])
        town.time(at + 1)
        for n, name in enumerate(HTTPS):
            if half == 0 or name not in seldom:
                town.visit(at + 5 + 5 * n, name)
        town.mqtt(at + 30, at + 40).leave(at + 45)
        town.quiet(at + 60, at + 1790, 250.0, 0)
    return town


def with_a_service() -> Site:
    """The site allows a service of the application."""
    host = "dynamodb.us-east-1.amazonaws.com"
    return dual(service=[{"name": "my-app", "host": host, "port": 443, "direction": "out"}])


@situation(info=("endpoint-silent",))
def one_service_is_not_asked_for_in_a_day() -> Town:
    """Logs were sent once in the morning, and no more for a day, while the others are used."""
    return a_long_day(LOGS)


@situation()
def a_day_in_which_each_service_is_used() -> Town:
    """Each name is used each half hour, for more than a day."""
    return a_long_day()


@situation(info=("policy-drift",), site=with_a_service)
def an_allowed_service_is_used_by_nobody() -> Town:
    """The site file allows a table of a database that nothing has asked for in a day."""
    return a_long_day()
