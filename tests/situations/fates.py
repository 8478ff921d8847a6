"""What fails together: the internet, one way of it, a port, a resolver; and two causes at once."""

from __future__ import annotations

import struct

from tests.situations.situation import situation
from tests.situations.town import (
    ACK,
    AT,
    AT6,
    CRED,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    RESOLVER2,
    ROUTER,
    S3,
    SYN,
    Conn,
    Town,
    arp_packet,
    ipv4,
    nobody,
    public,
    single,
)

DOWN = "Ask the owner of the router"


def quoted(conn: Conn) -> bytes:
    """The head of a SYN, as ICMP errors quote it."""
    head = struct.pack("!HHIIBBHHH", conn.src[2], conn.dst[2], conn.sent, 0, 0x50, SYN, 60000, 0, 0)
    return ipv4(conn.src[1], conn.dst[1], 6, head)[:48]


def dies(town: Town, at: float, *names: str, gap: float = 2.5) -> None:
    for n, name in enumerate(names):
        town.look(at + n * gap, name, AT[name])
        town.knock(at + n * gap + 0.05, name)


@situation("internet-down", says={"internet-down": r"eth1.*2 hosts.*router"})
def internet_dies_and_two_endpoints_are_tried() -> Town:
    """The way to the internet breaks at 20 s; the MQTT connection goes silent, two names are tried
    in vain, the local resolver answers from its cache, the local clock answers."""
    town = Town()
    town.lives(70)
    conn = town.mqtt(3, 19)
    for n in range(4):
        conn.send(33 + n * 1.5, b"\x17\x03\x03\0\x1f" + bytes(31), again=n > 0)
    dies(town, 24, IOT, LOGS)
    return town


@situation("internet-down", says={"internet-down": r"eth1.*2 hosts"})
def internet_dies_while_mqtt_is_silent() -> Town:
    """MQTT speaks each minute; 10 s after it spoke the internet is gone, and two names are tried in
    vain before it has a word to say."""
    town = Town()
    town.lives(70)
    town.mqtt(3, 20, every=60)
    dies(town, 24, LOGS, S3)
    dies(town, 38, LOGS, S3)
    return town


@situation("internet-down", says={"internet-down": "2 hosts"})
def internet_dies_and_mqtt_and_public_time_stop() -> Town:
    """Only MQTT reconnects and only a public time server is asked, both in vain."""
    town = Town()
    town.boots()
    town.habits(4, 90, times=False)
    for at in (5, 12, 19):
        town.time(at, "162.159.200.123")
    town.mqtt(3, 19)
    for at in (26, 33, 40, 47, 54):
        town.time(at, "162.159.200.123", answers=False)
    for at in (35, 60):
        dies(town, at, IOT)
    return town


@situation("internet-down", site=nobody)
def internet_dies_and_there_is_no_site_file() -> Town:
    """As with a site file: the appliance is known by its names alone."""
    return internet_dies_and_two_endpoints_are_tried()


@situation(
    "internet-down|dns-timeout", site=public, says={"dns-timeout": r"9\.9\.9\.9.*1\.1\.1\.1"}
)
def public_resolvers_die_with_everything() -> Town:
    """Both resolvers are on the internet; names are asked in vain, nothing else can be tried."""
    town = Town()
    town.resolver = (ROUTER[0], "9.9.9.9")
    second = (ROUTER[0], "1.1.1.1")
    town.boots()
    town.habits(4, 20, times=False)
    town.look(15, LOGS, AT[LOGS], server=second)
    for n in range(5):
        at = 24 + 10 * n
        town.look(at, LOGS, after=None)
        town.look(at + 5, LOGS, after=None, server=second)
        town.arp(at + 3, town.port, ROUTER[1], ROUTER[0])
    town.quiet(20, 80, 3, 0)
    return town


@situation("internet-down", cleared=("internet-down",))
def internet_dies_and_comes_back() -> Town:
    """A minute's outage; afterwards three of the four endpoints are used again."""
    town = Town()
    town.lives(120)
    dies(town, 20, *HTTPS)
    for n, name in enumerate(HTTPS[:3]):
        town.visit(80 + n, name)
    return town


@situation("internet-down", says={"internet-down": "2 times"})
def internet_goes_comes_and_goes_again() -> Town:
    """Two outages of forty seconds, with life between them; the second lasts."""
    town = Town()
    town.lives(200)
    dies(town, 20, LOGS, S3, gap=1)
    for n, name in enumerate(HTTPS):
        town.visit(70 + n, name)
        town.visit(95 + n, name)
    dies(town, 130, METRICS, S3, gap=1)
    return town


@situation("internet-down", cleared=("internet-down",))
def outages_end_connections_that_are_silent_for_thirty_seconds() -> Town:
    """MQTT speaks each 30 s and its client acknowledges late. Three outages of 40 s: a ping gets no
    answer, and the client opens a new connection when all works again."""
    town = Town()
    town.lives(760)
    at = 8.0
    for _ in range(3):
        conn = town.mqtt(at, at + 2)
        for after in (31, 61, 91, 121, 151):
            conn.data(at + after, 31, 31)
            conn.segment(at + after + 0.2, True, ACK)
        body = b"\x17\x03\x03\0\x1f" + bytes(31)
        conn.send(at + 184, body)
        for k in (0.3, 0.9, 2.1, 4.5):
            conn.send(at + 184 + k, body, again=True)
        dies(town, at + 170, LOGS, S3, gap=1)
        town.knock(at + 191, IOT)
        for n, name in enumerate(HTTPS):
            town.visit(at + 218 + n, name)
        at += 230
    town.mqtt(at, 760, every=15)
    return town


@situation(
    "idle-timeout", "tcp-blocked",
    says={"idle-timeout": IOT, "tcp-blocked": LOGS},
)  # fmt: skip
def nat_forgets_while_one_endpoint_is_blocked_since_the_start() -> Town:
    """Logs answer while the appliance starts and are dropped afterwards; four MQTT connections are
    reset when they speak after 60 s of silence. The others work."""
    town = Town()
    town.lives(330)
    at = 8.0
    for n in range(4):
        conn = town.mqtt(at, at + 2, every=20)
        conn.send(at + 61 + n * 0.2, b"\x17\x03\x03\0\x1f" + bytes(31))
        conn.reset(at + 61.02 + n * 0.2)
        dies(town, at + 30, LOGS)
        town.visit(at + 45, S3)
        at += 70
    town.visit(310, S3)
    return town


@situation()
def short_outages_that_the_third_syn_survives() -> Town:
    """Now and then a SYN is lost twice; every connection comes about."""
    town = Town()
    town.lives(100)
    for n, name in enumerate((LOGS, S3, METRICS)):
        at = 20 + 20 * n
        town.look(at, name, AT[name])
        conn = town.to(name)
        conn.segment(at + 0.1, True, SYN)
        conn.segment(at + 1.1, True, SYN)
        conn.whole(at + 3.1, name)
        conn.leave(at + 5)
    return town


@situation("internet-down")
def internet_was_dead_before_the_capture_began() -> Town:
    """No success is ever seen; four endpoints are tried, the local resolver and clock answer."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 60)
    dies(town, 3, *HTTPS, gap=5)
    return town


@situation("internet-down")
def internet_dies_eight_seconds_before_the_end() -> Town:
    """The capture ends while the second endpoint is being tried."""
    town = Town()
    town.lives(30)
    dies(town, 32, LOGS, S3, gap=0.5)
    town.quiet(30, 40, 1, 0)
    return town


@situation("internet-down", says={"internet-down": "no route|unreachable"})
def router_has_lost_its_default_route() -> Town:
    """The gateway answers each SYN by ICMP network unreachable."""
    town = Town()
    town.lives(60)
    for n, name in enumerate(HTTPS):
        for again in range(2):
            at = 20 + 3 * n + 15 * again
            conn = town.to(name)
            for k in (0, 1, 3):
                conn.segment(at + k, True, SYN)
                town.icmp(at + k + 0.002, ROUTER, town.port, 3, 0, quoted(conn))
    return town


@situation(
    "icmp-blocked",
    says={"icmp-blocked": r"4 |every|all"},
    never={"icmp-blocked": "allow TCP 443 from .* to logs"},
)
def router_prohibits_all_of_443() -> Town:
    """The gateway answers each SYN to 443 by ICMP prohibited; MQTT on 8883 works."""
    town = Town()
    town.habits(1, 60)
    town.mqtt(3, 60, dport=8883)
    for n, name in enumerate(HTTPS):
        for again in range(2):
            at = 20 + 3 * n + 15 * again
            town.look(at - 0.1, name, AT[name])
            conn = town.to(name)
            conn.segment(at, True, SYN)
            town.icmp(at + 0.002, ROUTER, town.port, 3, 13, quoted(conn))
    return town


@situation("tcp-refused", says={"tcp-refused": "443"})
def firewall_resets_all_of_443() -> Town:
    """Each SYN to 443 is answered by RST with the firewall's TTL; MQTT on 8883 works."""
    town = Town()
    town.habits(1, 60)
    town.mqtt(3, 60, dport=8883)
    for n, name in enumerate(HTTPS):
        for again in range(3):
            at = 20 + 3 * n + 12 * again
            town.look(at, name, AT[name])
            conn = town.to(name)
            conn.ttl_in = 64
            conn.segment(at + 0.1, True, SYN)
            conn.sent += 1
            conn.reset(at + 0.101)
    return town


@situation("tcp-blocked|new-connections-fail", says={"tcp-blocked": "443.*eth1|eth1.*443"})
def firewall_drops_443_and_8883_works() -> Town:
    """All of 443 is dropped from the start, MQTT on 8883 lives."""
    town = Town()
    town.habits(1, 60)
    town.mqtt(3, 60, dport=8883)
    dies(town, 10, *HTTPS)
    return town


@situation(
    "dns-timeout",
    says={"dns-timeout": r"192\.168\.5\.53.*192\.168\.5\.1|control"},
    severity={"dns-timeout": "warning"},
)
def one_of_two_resolvers_dies() -> Town:
    """The first resolver stops; each lookup waits for it and takes the second one."""
    town = Town()
    town.lives(20)
    town.habits(20, 90, names=False)
    for n in range(6):
        at = 22 + 11 * n
        name = HTTPS[n % 4]
        town.look(at, name, after=None, server=RESOLVER2)
        town.look(at + 5, name, AT[name])
        town.visit(at + 5.1, name, look=False)
    town.look(5, LOGS, AT[LOGS], server=RESOLVER2)
    return town


@situation(
    "dns-timeout", severity={"dns-timeout": "error"}, says={"dns-timeout": r"192\.168\.5\.53"}
)
def both_local_resolvers_die_at_once() -> Town:
    """Two resolvers of the site stop answering in one moment; nothing can be named."""
    town = Town()
    town.boots()
    town.look(3, LOGS, AT[LOGS], server=RESOLVER2)
    town.habits(4, 90, names=False)
    for n in range(6):
        at = 22 + 11 * n
        town.look(at, HTTPS[n % 4], after=None)
        town.look(at + 5, HTTPS[n % 4], after=None, server=RESOLVER2)
    return town


@situation("ntp-silent", site=public, violations=None, says={"ntp-silent": "and 2 more"})
def udp_123_is_dropped_for_four_pool_servers() -> Town:
    """Four servers of the pool never answer; names and TLS work."""
    town = Town()
    town.boots(times=False)
    town.habits(4, 90, times=False)
    pool = ("162.159.200.123", "162.159.200.1", "185.125.190.56", "91.189.91.157")
    for n in range(5):
        for k, server in enumerate(pool):
            town.time(6 + 16 * n + k, server, answers=False)
        town.visit(10 + 16 * n, HTTPS[n % 4])
    return town


@situation(info=("ipv6-unreachable",))
def ipv6_is_silent_and_ipv4_takes_over() -> Town:
    """Each connection tries IPv6 for a quarter of a second, then IPv4, which works."""
    town = Town()
    town.lives(70)
    for n, name in enumerate((*HTTPS, LOGS, S3)):
        at = 20 + 6 * n
        town.look(at, name, AT[name])
        town.look(at + 0.001, name, AT6[name], kind=28)
        six = town.to(name, address=AT6[name])
        for k in (0, 1, 3):
            six.segment(at + 0.1 + k, True, SYN)
        town.visit(at + 0.35, name, look=False)
    return town


@situation()
def one_ipv6_address_is_dead_and_others_answer() -> Town:
    """Of four names one has a dead IPv6 address; IPv4 is used for it at once."""
    town = Town()
    town.lives(70)
    for n, name in enumerate((*HTTPS, *HTTPS)):
        at = 20 + 5 * n
        town.look(at, name, AT[name])
        town.look(at + 0.001, name, AT6[name], kind=28)
        six = town.to(name, address=AT6[name])
        if name == S3:
            for k in (0, 1, 3):
                six.segment(at + 0.1 + k, True, SYN)
            town.visit(at + 0.35, name, look=False)
        else:
            six.whole(at + 0.1, name)
            six.leave(at + 1)
    return town


@situation("ipv6-unreachable|internet-down")
def ipv6_alone_and_dead() -> Town:
    """The names have IPv6 addresses only, and nothing answers over IPv6."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 70, names=False)
    for n, name in enumerate(HTTPS):
        at = 10 + 8 * n
        town.look(at, name, kind=1)
        town.look(at + 0.001, name, AT6[name], kind=28)
        six = town.to(name, address=AT6[name])
        for k in (0, 1, 3, 7):
            six.segment(at + 0.1 + k, True, SYN)
    return town


@situation("new-connections-fail")
def table_of_connections_is_full() -> Town:
    """MQTT lives on; three names are tried in vain, a public clock does not answer either."""
    town = Town()
    town.boots()
    town.habits(4, 80, times=False)
    town.mqtt(3, 80, every=5)
    for at in (8, 15):
        town.time(at, "162.159.200.123")
    for at in (30, 37, 44, 51):
        town.time(at, "162.159.200.123", answers=False, sport=4000 + int(at))
    dies(town, 30, LOGS, S3, METRICS, gap=6)
    return town


@situation("internet-down", site=single)
def internet_dies_in_a_single_topology() -> Town:
    """The same with both ports in one network and one of them in use."""
    town = Town()
    town.lives(70)
    dies(town, 24, IOT, LOGS, S3)
    return town


# ---------------------------------------------------------------------- two causes at once


@situation("ntp-silent", "tcp-blocked", says={"tcp-blocked": LOGS, "ntp-silent": r"192\.168\.5\.1"})
def clock_is_silent_and_one_endpoint_is_dropped() -> Town:
    """The local time server stops; the firewall drops one name's address. They are unrelated."""
    town = Town()
    town.boots()
    town.habits(4, 80, times=False)
    for n in range(5):
        town.time(10 + 12 * n, answers=False)
        town.visit(12 + 12 * n, S3)
    for at in (20, 40, 60):
        dies(town, at, LOGS)
    return town


@situation("dns-timeout", "sni-filtered", severity={"dns-timeout": "warning"})
def one_resolver_is_dead_and_one_name_is_filtered() -> Town:
    """The first of two resolvers is dead; S3 is reset after its hello, others work."""
    town = Town()
    town.lives(80)
    for n in range(5):
        at = 22 + 11 * n
        town.look(at, METRICS, after=None, server=RESOLVER2)
        town.visit(at + 5, METRICS)
    for at in (25, 45, 65):
        town.look(at, S3, AT[S3])
        conn = town.to(S3)
        conn.open(at + 0.1)
        conn.hello(at + 0.13, S3, thirteen=True)
        conn.reset(at + 0.15)
    return town


@situation("internet-down", "ip-conflict")
def internet_is_dead_and_a_camera_shares_its_address() -> Town:
    """Two devices use the camera's address on the other port; the internet goes away as well."""
    town = internet_dies_and_two_endpoints_are_tried()
    one, two = "02:00:00:00:01:11", "02:00:00:00:01:99"
    for n in range(12):
        at = 10 + 5 * n
        town.arp(at, ("02:00:00:00:00:10", "10.20.0.5"), "10.20.0.11", one, two)
        town.add(at + 1, arp_packet(1, two, "10.20.0.11", "10.20.0.1"))
        town.add(at + 2, arp_packet(1, one, "10.20.0.11", "10.20.0.1"))
    return town


@situation("clock-off", "idle-timeout", severity={"clock-off": "warning"})
def clock_is_forty_seconds_off_and_nat_forgets() -> Town:
    """The clock stays 40 s behind; each idle connection is reset when it speaks after 90 s."""
    town = Town()
    town.boots()
    town.habits(4, 500, times=False)
    for n in range(30):
        town.time(5 + 16 * n, off=-40)
    at = 10.0
    for _ in range(4):
        conn = town.mqtt(at, at + 2)
        conn.send(at + 91, b"\x17\x03\x03\0\x1f" + bytes(31))
        conn.reset(at + 91.02)
        at += 100
    town.visit(480, S3)
    return town


@situation("tcp-refused", info=("ipv6-unreachable",), says={"tcp-refused": LOGS})
def ipv6_is_dead_and_one_endpoint_refuses() -> Town:
    """IPv6 is silent and IPv4 used; one endpoint answers RST over IPv4 too."""
    town = ipv6_is_silent_and_ipv4_takes_over()
    for at in (58, 62, 66):
        town.look(at, CRED, AT[CRED])
        town.visit(at + 1, CRED, look=False)
        conn = town.to(LOGS)
        conn.segment(at, True, SYN)
        conn.sent += 1
        conn.reset(at + 0.03)
    return town
