"""Names, time and leases: resolvers, time servers and DHCP, each by the step that fails."""

from __future__ import annotations

from tests.diagnosis.lan_wire import ACK as LEASED
from tests.diagnosis.lan_wire import DECLINE, DISCOVER, NAK, OFFER, REQUEST, lease
from tests.situations.endpoints import others_work
from tests.situations.situation import situation
from tests.situations.town import (
    AT,
    CLOCK2,
    ETH1,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    PC,
    ROUTER,
    S3,
    Dhcp,
    Town,
    arp_packet,
    dual,
    ipv4,
    udp_segment,
)

NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5

# ---------------------------------------------------------------------- names


@situation("dns-nxdomain", says={"dns-nxdomain": LOGS})
def one_needed_name_does_not_exist_here() -> Town:
    """The resolver denies one name, A and AAAA; others work."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55, LOGS)
    for at in (10, 25, 40):
        town.look(at, LOGS, rcode=NXDOMAIN)
        town.look(at + 0.001, LOGS, rcode=NXDOMAIN, kind=28)
    return town


@situation("dns-nxdomain", says={"dns-nxdomain": "5 needed names|4 needed names"})
def all_of_amazonaws_does_not_exist_here() -> Town:
    """The resolver denies every AWS name; its own names and the clock work."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 60, names=False)
    for n, name in enumerate((*HTTPS, IOT, *HTTPS)):
        town.look(5 + 5 * n, name, rcode=NXDOMAIN)
    return town


@situation("dns-servfail", severity={"dns-servfail": "error"})
def resolver_fails_on_every_name() -> Town:
    """The resolver has lost its upstream: SERVFAIL for all that is asked, for a minute."""
    town = Town()
    town.lives(20)
    town.habits(20, 90, names=False)
    for n in range(16):
        town.look(22 + 4 * n, (*HTTPS, IOT)[n % 5], rcode=SERVFAIL)
    return town


@situation("dns-refused", severity={"dns-refused": "error"}, says={"dns-refused": "at all"})
def resolver_refuses_everything() -> Town:
    """The resolver refuses this client from the start."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 60, names=False)
    for n, name in enumerate((*HTTPS, IOT, *HTTPS)):
        town.look(5 + 5 * n, name, rcode=REFUSED)
    return town


@situation("dns-filtered", says={"dns-filtered": S3})
def one_name_has_no_address() -> Town:
    """NOERROR without an answer, A and AAAA, for one needed name."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55, S3)
    for at in (10, 25, 40):
        town.look(at, S3)
        town.look(at + 0.001, S3, kind=28)
    return town


@situation("dns-sinkhole", says={"dns-sinkhole": r"0\.0\.0\.0"})
def one_name_is_answered_with_zeros() -> Town:
    """A filter answers 0.0.0.0 and :: for one name; the client connects nowhere."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55, METRICS)
    for at in (10, 25, 40):
        town.look(at, METRICS, "0.0.0.0")
        town.look(at + 0.001, METRICS, "::", kind=28)
    return town


@situation("dns-sinkhole", violations=None, says={"dns-sinkhole": r"10\.9\.9\.9"})
def every_name_leads_to_the_portal_inside() -> Town:
    """All names lead to 10.9.9.9, where the portal answers 443 with its own certificate."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 80, names=False)
    for n, name in enumerate((*HTTPS, IOT, *HTTPS)):
        at = 5 + 8 * n
        town.look(at, name, "10.9.9.9")
        conn = town.to(name, address="10.9.9.9")
        conn.open(at + 0.05)
        conn.hello(at + 0.1, name, thirteen=False)
        conn.flight(at + 0.14, name, thirteen=False, issuer="Guest", common="Guest CA",
                    subject="portal.guest.example")  # fmt: skip
        conn.close(at + 0.3)
    return town


@situation()
def pcs_blocked_names_are_its_own() -> Town:
    """A PC's advertising names lead to 0.0.0.0, and some do not exist."""
    town = Town()
    town.lives(60)
    for n in range(12):
        town.look(5 + 4 * n, f"ads{n}.example.com", "0.0.0.0", client=PC)
        town.look(6 + 4 * n, "wpad.corp.example", rcode=NXDOMAIN, client=PC)
    return town


@situation("dns-slow", says={"dns-slow": "AAAA"}, never={"dns-slow": "two"})
def aaaa_is_never_answered_beside_a() -> Town:
    """The resolver drops AAAA questions; A is answered at once."""
    town = Town()
    town.boots()
    town.habits(4, 100, names=False)
    for n in range(8):
        at = 8 + 11 * n
        name = HTTPS[n % 4]
        town.look(at, name, AT[name])
        town.look(at + 0.0005, name, kind=28, after=None, again=1)
        town.visit(at + 5.2, name, look=False)
    return town


@situation()
def aaaa_fails_beside_a() -> Town:
    """The resolver answers NXDOMAIN to AAAA and an address to A."""
    town = Town()
    town.lives(60)
    for n in range(8):
        at = 8 + 6 * n
        name = HTTPS[n % 4]
        town.look(at, name, AT[name])
        town.look(at + 0.0005, name, kind=28, rcode=NXDOMAIN if n % 2 else SERVFAIL)
        town.visit(at + 0.2, name, look=False)
    return town


@situation("dns-timeout", severity={"dns-timeout": "error"}, says={"dns-timeout": "192.168.5.1"})
def the_only_resolver_stops() -> Town:
    """Each name is asked three times in vain; time goes on."""
    town = Town()
    town.lives(20)
    town.habits(20, 80, names=False)
    town.mqtt(3, 80, look=False)
    for n in range(4):
        town.look(22 + 15 * n, HTTPS[n], after=None, again=2)
    return town


@situation("dns-timeout", says={"dns-timeout": "ICMP"})
def resolver_has_no_dns_service() -> Town:
    """The resolver's host answers each question by ICMP port unreachable."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 80, names=False)
    for n in range(6):
        at = 5 + 12 * n
        town.look(at, HTTPS[n % 4], after=None)
        quoted = udp_segment(20_000 + town.number, 53, b"")
        town.icmp(at + 0.001, ROUTER, town.port, 3, 3, ipv4(town.port[1], ROUTER[1], 17, quoted))
    return town


@situation()
def one_question_in_forty_is_lost() -> Town:
    """One question gets no answer and is asked again, which works."""
    town = Town()
    town.lives(120)
    for n in range(40):
        at = 6 + 2.5 * n
        if n == 20:
            town.look(at, LOGS, AT[LOGS], after=5.012, again=1)
        else:
            town.look(at, HTTPS[n % 4], AT[HTTPS[n % 4]])
    return town


@situation("dns-slow", says={"dns-slow": r"8\d\d ms"})
def resolver_takes_most_of_a_second() -> Town:
    """All answers take 800 ms and more."""
    town = Town()
    town.arp(0.2, town.port, ROUTER[1], ROUTER[0])
    town.time(0.4)
    town.habits(1, 90, names=False)
    for n in range(12):
        name = HTTPS[n % 4]
        town.look(5 + 6 * n, name, AT[name], after=0.82 + n * 0.002)
        town.visit(6 + 6 * n, name, look=False)
    return town


@situation("dns-nxdomain")
def capture_ends_a_second_after_the_denial() -> Town:
    """A short capture: one denied name, asked three times within a second, and the end."""
    town = Town()
    town.arp(0.1, town.port, ROUTER[1], ROUTER[0])
    town.visit(0.3, S3, stay=0.1)
    for at in (0.9, 1.2, 1.5):
        town.look(at, LOGS, rcode=NXDOMAIN)
    return town


@situation(
    site=lambda: dual(
        site={"topology": "dual", "region": "us-east-1", "vantage": "mirror", "private_link": True}
    )
)
def private_addresses_by_privatelink() -> Town:
    """AWS names lead to private addresses of an endpoint in the company's network, and work."""
    town = Town()
    town.boots()
    town.habits(4, 60, names=False)
    for n, name in enumerate((*HTTPS, *HTTPS)):
        town.visit(8 + 6 * n, name, address=f"10.60.1.{10 + n % 4}")
    return town


# ---------------------------------------------------------------------- time


@situation("ntp-silent", says={"ntp-silent": r"192\.168\.5\.1"}, severity={"ntp-silent": "error"})
def the_only_time_server_stops() -> Town:
    """The local time server stops answering; all else works."""
    town = Town()
    town.boots()
    town.habits(4, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(6 + 15 * n, answers=n < 1)
    return town


@situation(info=("ntp-silent",))
def one_of_two_time_servers_is_silent() -> Town:
    """The second one answers each time."""
    town = Town()
    town.boots()
    town.habits(4, 100)
    for n in range(6):
        town.time(7 + 15 * n, CLOCK2[1], answers=False)
    return town


@situation("ntp-unsynced", says={"ntp-unsynced": "DENY"}, never={"ntp-unsynced": "own source"})
def time_server_denies_service() -> Town:
    """Kiss code DENY to each request."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(2 + 15 * n, stratum=0, leap=3, kiss=b"DENY")
    return town


@situation("ntp-unsynced", says={"ntp-unsynced": "no time|not synchronised"})
def time_server_has_no_time_and_an_empty_kiss() -> Town:
    """Stratum 0, leap 3 and four zero bytes as the code."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(2 + 15 * n, stratum=0, leap=3, kiss=bytes(4))
    return town


@situation("ntp-unsynced", says={"ntp-unsynced": "16|not synchronised"})
def time_server_is_at_stratum_16() -> Town:
    """The server says itself that it is not synchronised."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(2 + 15 * n, stratum=16, leap=3, kiss=b"INIT")
    return town


@situation("clock-off", severity={"clock-off": "error"}, says={"clock-off": r"2\.0 h|120 min|-2"})
def clock_is_two_hours_off() -> Town:
    """Each exchange shows the clock two hours behind: nobody sets it."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(2 + 15 * n, off=-7200)
    return town


@situation()
def clock_is_set_by_its_first_exchange() -> Town:
    """The box starts with a clock of 2020 and has the right time after one exchange."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.time(2, off=-6 * 365 * 86400)
    town.habits(12, 100)
    others_work(town, 14, 90)
    return town


@situation("ntp-rejected", says={"ntp-rejected": "match"})
def time_answers_quote_another_request() -> Town:
    """Each answer's origin stamp is zero."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 100, times=False)
    others_work(town, 12, 90)
    for n in range(6):
        town.time(2 + 15 * n, origin=0)
    return town


@situation()
def pool_gives_another_server_each_time() -> Town:
    """Each minute another server of the pool is asked; one of them never answers and is not asked
    again."""
    town = Town()
    town.lives(20)
    town.habits(20, 200, times=False)
    for n in range(12):
        town.time(6 + 15 * n, f"162.159.200.{n + 1}", answers=n != 5)
    return town


# ---------------------------------------------------------------------- leases


def asks(town: Town, *times: float) -> Dhcp:
    client = Dhcp(town, ETH1, 0)
    for at in times:
        client.ask(at, DISCOVER)
    return client


@situation("dhcp-no-offer", says={"dhcp-no-offer": "eth1"})
def nobody_answers_discover() -> Town:
    """Five DISCOVERs of the cloud port; another host's ARP is answered."""
    town = Town()
    asks(town, 1, 3, 7, 15, 31)
    for n in range(10):
        town.arp(2 + 5 * n, PC, ROUTER[1], ROUTER[0])
    town.quiet(0, 50, 2, 0)
    return town


@situation("dhcp-no-offer", violations=None)
def nobody_answers_and_the_port_helps_itself() -> Town:
    """After the DISCOVERs the port takes 169.254.7.7 and speaks from it."""
    town = nobody_answers_discover()
    own = (ETH1, "169.254.7.7")
    for at in (34, 35, 36, 40, 45):
        town.announce(at, own)
    for n in range(4):
        town.look(41 + n, LOGS, after=None, client=own)
    return town


@situation("dhcp-nak", says={"dhcp-nak": r"192\.168\.77\.9"})
def server_refuses_the_old_address() -> Town:
    """The port asks for its old address again and again and is refused each time."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    for n in range(4):
        client.xid += 1
        client.ask(2 + 8 * n, REQUEST, wanted="192.168.77.9")
        client.answer(2.01 + 8 * n, NAK, "0.0.0.0", b"\x36\x04\xc0\xa8\x05\x01")
    town.quiet(0, 40, 2, 0)
    return town


@situation()
def refused_once_and_then_served() -> Town:
    """The old address is refused, as it must be in a new place; the new lease comes at once."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    client.ask(2, REQUEST, wanted="192.168.77.9")
    client.answer(2.01, NAK, "0.0.0.0", b"\x36\x04\xc0\xa8\x05\x01")
    client.gets(2.5)
    town.announce(3, town.port)
    town.boots(4)
    town.habits(8, 60)
    return town


@situation("dhcp-rogue", says={"dhcp-rogue": r"192\.168\.1\.1|192\.168\.1\."})
def a_second_server_of_another_network() -> Town:
    """A home router answers DISCOVER too, with its own network."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    for n in range(2):
        at = 2 + 20 * n
        client.xid += 1
        client.ask(at, DISCOVER)
        client.answer(at + 0.01, OFFER)
        client.answer(at + 0.02, OFFER, "192.168.1.50", lease(
            "192.168.1.50", server="192.168.1.1", router="192.168.1.1", dns="192.168.1.1"),
            mac="02:00:00:00:0a:0a", server="192.168.1.1")  # fmt: skip
        client.ask(at + 0.03, REQUEST, wanted="192.168.5.5", server=ROUTER[1])
        client.answer(at + 0.04, LEASED)
    town.boots(5)
    town.habits(10, 60)
    return town


@situation("dhcp-request-unanswered")
def renewal_and_rebinding_are_not_answered() -> Town:
    """The port has an address; neither unicast nor broadcast REQUESTs are answered any more."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    client.gets(1)
    town.boots(3)
    town.habits(6, 300)
    for at in (60, 90, 120):
        client.xid += 1
        client.ask(at, REQUEST, ciaddr="192.168.5.5", to=ROUTER[1])
    for at in (180, 200, 240):
        client.xid += 1
        client.ask(at, REQUEST, ciaddr="192.168.5.5")
    return town


@situation()
def renewal_is_not_answered_but_rebinding_is() -> Town:
    """The first server has gone; its partner answers the broadcast."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    client.gets(1)
    town.boots(3)
    town.habits(6, 200)
    client.xid += 1
    client.ask(60, REQUEST, ciaddr="192.168.5.5", to=ROUTER[1])
    client.ask(90, REQUEST, ciaddr="192.168.5.5")
    client.answer(90.01, LEASED, server="192.168.5.3", mac="02:00:00:00:02:03")
    return town


@situation("dhcp-offer-not-taken")
def offers_are_never_taken() -> Town:
    """Each DISCOVER is answered by an OFFER that the client never takes."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    for n, at in enumerate((1, 4, 9, 18, 34)):
        client.ask(at, DISCOVER)
        client.answer(at + 0.01 + n * 0.001, OFFER)
    town.quiet(0, 50, 2, 0)
    return town


@situation("ip-conflict", says={"ip-conflict": "declin"})
def every_lease_is_in_use_already() -> Town:
    """The client probes each address, finds it in use and declines it."""
    town = Town()
    client = Dhcp(town, ETH1, 0)
    for n in range(4):
        at, address = 2 + 12 * n, f"192.168.5.{60 + n}"
        client.gets(at, address)
        town.add(at + 0.1, arp_packet(1, ETH1, "0.0.0.0", address))
        client.ask(at + 0.3, DECLINE, wanted=address, server=ROUTER[1])
    town.quiet(0, 60, 2, 0)
    return town


@situation()
def leases_of_others_fail() -> Town:
    """A PC gets no OFFER, another is refused, a printer's INFORM is not answered."""
    town = Town()
    town.lives(70)
    pc = Dhcp(town, PC[0], 0)
    for at in (5, 9, 17, 33):
        pc.ask(at, DISCOVER)
    other = Dhcp(town, "02:00:00:00:07:08", 0)
    for at in (20, 30, 40):
        other.ask(at, REQUEST, wanted="10.1.1.9")
        other.answer(at + 0.01, NAK, "0.0.0.0", b"\x36\x04\xc0\xa8\x05\x01")
    third = Dhcp(town, "02:00:00:00:07:09", 0)
    for at in (22, 26, 34):
        third.ask(at, 8, ciaddr="192.168.5.79")
    return town
