"""Names, addresses and time that go wrong in the factory."""

from __future__ import annotations

import struct

from tests.crafted import hello as tls
from tests.diagnosis.wire import (
    ACK,
    RST,
    SYN,
    alert,
    arp_packet,
    dhcp_packet,
    udp_segment,
)
from tests.situations.plant import (
    BOX,
    CRED,
    DC1,
    DC2,
    ECR,
    ETH1,
    GATE,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    NAMES,
    S3,
    SIX,
    Plant,
    dns,
    factory,
    granted,
    ip4,
)
from tests.situations.situation import situation

FAR = ("10.133.99.99", "192.168.1.1")


@situation(
    "address-changed", also=("dns-sinkhole", "captive-portal", "wrong-gateway"), site=factory,
    violations=None, says={"address-changed": "172[.]31[.]99[.]14"},
)  # fmt: skip
def port_is_put_into_quarantine() -> Plant:
    """NAC puts the port into a quarantine VLAN: another network, every name leads to the portal."""
    plant = Plant(port=(ETH1, "172.31.99.14"))
    gate = ("70:df:2f:00:99:01", "172.31.99.1")
    options = granted("172.31.99.14", server="172.31.99.2", router=gate[1], dns=("172.31.99.2",),
                      mask="255.255.255.0")  # fmt: skip
    plant.leases(0.4, "172.31.99.14", options, relay=gate[0])
    resolver = (gate[0], "172.31.99.2")
    for n in range(16):
        at = 2.0 + 11 * n
        name = NAMES[n % len(NAMES)]
        plant.add(at, arp_packet(1, *plant.port, gate[1]))
        plant.add(at + 0.001, arp_packet(2, gate[0], gate[1], plant.port[1], plant.port[0]))
        plant.resolve(at + 0.01, name, ("172.31.99.2",), server=resolver, chain=False)
        talk = plant.talk(name, address="172.31.99.2", via=gate[0])
        talk.segment(at + 0.03, True, SYN)
        talk.segment(at + 0.031, False, RST | ACK)
    plant.office(0, 180)
    return plant


@situation(
    "dns-sinkhole|tls-intercepted|captive-portal|endpoint-failing", site=factory, violations=None,
    also=("name-unverified",),
    says={"*": "a3kx0q7bqz1"}, severity={"dns-sinkhole": "error"},
)  # fmt: skip
def umbrella_answers_for_the_broker() -> Plant:
    """Umbrella answers one name with its block page's address; its certificate is not Amazon's."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 200)
    at = 8.0
    for n in range(6):
        plant.resolve(at, IOT, ("146.112.61.108",), chain=False)
        talk = plant.talk(IOT, address="146.112.61.108")
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, IOT, ("x-amzn-mqtt-ca",), thirteen=False)
        talk.heard(up + 0.023)
        talk.shows(
            up + 0.024, IOT, thirteen=False, issuer="Cisco", common="Cisco Umbrella Primary SubCA"
        )
        talk.send(up + 0.03, alert(48))
        talk.close(up + 0.031)
        at += 2 ** (n + 1)
    return plant


@situation(
    "dns-sinkhole", site=factory, says={"dns-sinkhole": LOGS}, severity={"dns-sinkhole": "error"}
)
def pihole_answers_zeros_for_logs() -> Plant:
    """A Pi-hole answers 0.0.0.0 and :: for one name; the client tries nothing."""
    plant = Plant()
    plant.starts(names=(CRED, METRICS, S3, ECR))
    plant.broker(5.0, 200)
    plant.runs(12.0, 200, logs=False)
    for n in range(14):
        plant.resolve(9.0 + 13 * n, LOGS, ("0.0.0.0",), six=("::",), chain=False)
    return plant


@situation(
    "dns-refused", site=factory, says={"dns-refused": METRICS}, severity={"dns-refused": "error"}
)
def resolver_refuses_one_name() -> Plant:
    """A filter answers REFUSED for one needed name, from both resolvers; others resolve."""
    plant = Plant()
    plant.starts(names=(CRED, LOGS, S3, ECR))
    plant.broker(5.0, 200)
    plant.runs(12.0, 200, logs=False)
    for n in range(12):
        plant.resolve(9.0 + 15 * n, METRICS, (), rcode=5)
        plant.resolve(9.01 + 15 * n, METRICS, (), rcode=5, server=DC2)
        plant.https(14.0 + 15 * n, LOGS)
    return plant


@situation(
    "dns-filtered|endpoint-failing|ipv6-unreachable", site=factory, says={"*": IOT.split(".")[0]},
    also=(),
)  # fmt: skip
def one_name_has_ipv6_addresses_alone() -> Plant:
    """The broker's A record is filtered; AAAA is answered, and the port has no IPv6."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 200)
    for n in range(10):
        plant.resolve(6.0 + 18 * n, IOT, (), six=(SIX[IOT],), chain=False)
    return plant


@situation("dns-timeout", site=factory, says={"dns-timeout": "192[.]168[.]1[.]1"}, violations=None,
           also=("internet-down",))  # fmt: skip
def lease_names_a_resolver_of_somewhere_else() -> Plant:
    """The lease gives 192.168.1.1 as the resolver, which is not here; the site's are others."""
    plant = Plant()
    plant.leases(0.3, options=granted(dns=("192.168.1.1",)))
    plant.office(0, 150)
    for n in range(6):
        plant.greet(1.5 + 25 * n)
        plant.clock(2.5 + 25 * n)
    for n in range(9):
        plant.resolve(
            4.0 + 16 * n, NAMES[n % 6], after=None, times=2, server=(GATE[0], "192.168.1.1")
        )
    return plant


@situation("dns-timeout|dns-slow", site=factory, says={"*": "192[.]168[.]8|10[.]133[.]8[.]10"})
def first_resolver_is_dead_and_the_second_answers() -> Plant:
    """Every lookup waits five seconds for the first resolver, then the second answers."""
    plant = Plant()
    plant.resolver = DC2
    plant.starts(names=())
    for n in range(16):
        at = 8.0 + 12 * n
        name = NAMES[n % 6]
        plant.resolve(at, name, after=None, server=DC1)
        plant.https(at + 5.0, name)
    plant.runs(12.0, 200, logs=False)
    return plant


@situation(
    "dns-timeout|dns-slow|endpoint-failing", site=factory, also=(), violations=None,
    says={"*": "api[.]ecr|prod-eu-west|10[.]133[.]8[.]10"},
)  # fmt: skip
def second_fragments_of_answers_are_lost() -> Plant:
    """Answers above the tunnel's MTU come in fragments, and the second is lost; small ones come."""
    plant = Plant()
    plant.lives(230)
    for n in range(8):
        at = 14.0 + 26 * n
        mine, theirs = (*BOX, 43_000 + n), (*DC1, 53)
        for k in range(2):
            plant.datagram(at + 5 * k, mine, theirs, dns(n, ECR, 1, None))
            body = udp_segment(53, mine[2], dns(n, ECR, 1, ("52.94.218.40",) * 40))
            for offset in (0,):
                piece = body[offset : offset + 1376]
                plant.ip(at + 5 * k + 0.03, DC1, BOX, 17, piece, ttl=124, fragment=0x2000,
                         number=900 + 2 * n + k)  # fmt: skip
        first = ip4(DC1[1], BOX[1], 17, body[:1376], fragment=0x2000, number=900 + 2 * n)
        plant.ip(at + 30.03, BOX, DC1, 1, struct.pack("!BBHI", 11, 1, 0, 0) + first[:28])
    return plant


@situation("dns-timeout", site=factory, cleared=("dns-timeout",))
def resolver_is_silent_for_a_minute() -> Plant:
    """Both resolvers hold their answers back for a minute (rate limit), then answer again."""
    plant = Plant()
    plant.lives(60)
    for n in range(4):
        plant.resolve(62.0 + 13 * n, NAMES[n], after=None, times=2, server=DC1, every=3.0)
        plant.resolve(68.5 + 13 * n, NAMES[n], after=None, times=2, server=DC2, every=3.0)
    for n in range(12):
        plant.https(122.0 + 9 * n, HTTPS[n % 5])
        if n % 4 == 0:
            plant.resolve(123.0 + 9 * n, IOT, server=DC2)
    plant.runs(62.0, 230, logs=False)
    return plant


@situation(
    "dns-sinkhole|captive-portal|tls-blocked|internet-down", site=factory, violations=None,
    also=("dns-sinkhole", "tcp-refused"),
)  # fmt: skip
def provider_sends_every_name_to_one_address() -> Plant:
    """The line is suspended: every name is answered with one public address, which resets 443."""
    plant = Plant()
    plant.greet(0.4)
    for n in range(18):
        at = 1.0 + 10 * n
        name = NAMES[n % 6]
        plant.resolve(at, name, ("198.51.100.44",), chain=False)
        talk = plant.talk(name, address="198.51.100.44")
        talk.segment(at + 0.02, True, SYN)
        talk.segment(at + 0.035, False, RST | ACK)
    plant.runs(2.0, 185, logs=False)
    return plant


@situation("icmp-blocked|ntp-silent", site=factory, says={"*": "rule on 10[.]133[.]40[.]2"})
def firewall_prohibits_the_time_alone() -> Plant:
    """A firewall between the VLANs prohibits UDP 123 to the firm's clock, and says so by ICMP."""
    plant = Plant()
    plant.greet(0.2)
    for n, name in enumerate(HTTPS):
        plant.https(1.0 + n, name)
    plant.broker(7.0, 240)
    plant.runs(10.0, 240, times=False)
    for n in range(10):
        asked = plant.clock(2.0 + 24 * n, answers=False)
        plant.unreachable(2.001 + 24 * n, "10.133.40.2", BOX, 13, asked)
    return plant


@situation(
    "ntp-silent", site=factory, also=("tls-alert", "clock-off"), violations=None,
    says={"tls-alert": "clock", "ntp-silent": "10[.]133[.]8[.]10"},
)  # fmt: skip
def clock_is_of_1970_and_the_time_is_blocked() -> Plant:
    """After a power cut the clock says 1970, time is dropped, so no certificate is valid yet."""
    plant = Plant()
    plant.greet(0.3)
    for n in range(14):
        plant.clock(1.0 + 16 * n, answers=False, off=-1_790_000_000.0)
    for n in range(18):
        at = 3.0 + 12 * n
        name = NAMES[n % 6]
        plant.resolve(at, name)
        talk = plant.talk(name)
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, name, thirteen=False)
        talk.heard(up + 0.023)
        talk.shows(up + 0.024, name, thirteen=False, asks=True)
        talk.send(up + 0.03, alert(42))
        talk.close(up + 0.0301)
    plant.runs(2.0, 225, times=False, logs=False)
    return plant


@situation(
    "clock-off|ntp-unsynced", site=factory, says={"*": "10[.]133[.]8[.]10"},
    severity={}, violations=None,
)  # fmt: skip
def the_firms_clock_is_two_hours_off() -> Plant:
    """The firm's only clock is two hours ahead; the appliance and the capture agree."""
    plant = Plant()
    for n in range(8):
        plant.clock(0.5 + 32 * n, server_off=7200.0)
    for n, name in enumerate(HTTPS):
        plant.https(1.0 + n, name)
    plant.broker(7.0, 240)
    plant.runs(10.0, 240, times=False)
    return plant


@situation(
    "wrong-gateway|internet-down|endpoint-failing|dhcp-nak|dhcp-rogue", site=factory,
    violations=None, says={"*": "gateway|router|route"},
)  # fmt: skip
def lease_has_no_gateway() -> Plant:
    """The lease names no router: names resolve through an inside resolver, nothing ever leaves."""
    plant = Plant()
    inside = ("00:15:5d:00:00:53", "10.133.41.53")
    plant.leases(0.3, options=granted(router=None, dns=(inside[1],)))
    for n in range(20):
        at = 2.0 + 9 * n
        plant.add(at, arp_packet(1, *BOX, inside[1]))
        plant.add(at + 0.0005, arp_packet(2, inside[0], inside[1], BOX[1], BOX[0]))
        plant.resolve(at + 0.001, NAMES[n % 6], server=inside)
    plant.office(0, 180)
    return plant


@situation("ip-conflict", site=factory, says={"ip-conflict": "10[.]133[.]41[.]27"}, violations=None,
           either=("ip-conflict",))  # fmt: skip
def clone_has_the_same_static_address() -> Plant:
    """A second appliance was set up from the same sheet: both answer for one address."""
    plant = Plant()
    plant.lives(180)
    clone = ("02:00:00:00:0b:11", BOX[1])
    for n in range(12):
        at = 8.0 + 14 * n
        plant.add(at, arp_packet(1, *clone, GATE[1]))
        plant.add(at + 0.001, arp_packet(2, GATE[0], GATE[1], clone[1], clone[0]))
        plant.add(at + 2, arp_packet(1, GATE[0], "10.133.40.2", BOX[1]))
        plant.add(at + 2.0004, arp_packet(2, *clone, "10.133.40.2", GATE[0]))
        plant.add(at + 2.0006, arp_packet(2, *BOX, "10.133.40.2", GATE[0]))
    return plant


@situation(
    "dhcp-request-unanswered", site=factory, says={"dhcp-request-unanswered": "10[.]133[.]8[.]20"}
)
def renewals_are_dropped_by_a_firewall() -> Plant:
    """Unicast renewals to the DHCP server are dropped by a firewall; the lease still holds."""
    plant = Plant()
    plant.lives(400)
    for n in range(6):
        body = bytearray(dhcp_packet(3, ETH1, 0x777))
        body[12:16] = bytes([10, 133, 41, 27])
        plant.udp(20.0 + 60 * n, (*BOX, 68), (GATE[0], "10.133.8.20", 67), bytes(body))
    return plant


@situation("ntp-unsynced", "client-cert-rejected|tls-alert", site=factory,
           says={"tls-alert": "expired", "client-cert-rejected": "expired"},
           also=("endpoint-failing",))  # fmt: skip
def clock_has_no_source_and_the_certificate_expired() -> Plant:
    """Two faults: the firm's clock has lost its source, and the device certificate has expired."""
    plant = Plant()
    plant.greet(0.2)
    for n in range(10):
        plant.clock(0.5 + 24 * n, stratum=16, leap=3, kiss=b"INIT")
    for n, name in enumerate(HTTPS):
        plant.https(1.0 + n, name)
    plant.runs(10.0, 240, times=False)
    at = 8.0
    for n in range(7):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT)
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, IOT, ("x-amzn-mqtt-ca",), thirteen=False)
        talk.shows(up + 0.024, IOT, "x-amzn-mqtt-ca", thirteen=False, asks=True)
        talk.ack(up + 0.0245)
        talk.finish(up + 0.03, thirteen=False, certificate=True)
        talk.answer(up + 0.053, alert(45))
        talk.close(up + 0.054, by_server=True)
        at += 2 ** (n + 1)
    return plant


@situation(
    "dns-nxdomain", "idle-timeout|endpoint-failing", site=factory, also=(),
    says={"dns-nxdomain": "credentials"},
)  # fmt: skip
def name_is_hidden_and_nat_forgets() -> Plant:
    """Two faults: one name does not exist here, and MQTT is reset after 5 minutes of silence."""
    plant = Plant()
    plant.starts(names=(LOGS, METRICS, S3, ECR))
    plant.runs(12.0, 1600)
    for n in range(24):
        plant.resolve(9.0 + 61 * n, CRED, (), rcode=3)
    at = 6.0
    for _ in range(4):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT)
        up = talk.shakes(at + 0.02, IOT, ("x-amzn-mqtt-ca",), certified=True)
        up = talk.asks(up + 0.01, 130, 26)
        talk.send(up + 360, tls.record(23, bytes(24)))
        talk.ttl_in = 63
        talk.segment(up + 360.002, False, RST)
        at = up + 361
    return plant


@situation("dns-timeout", "tcp-blocked", site=factory,
           says={"tcp-blocked": METRICS}, either=("dns-timeout",))  # fmt: skip
def one_resolver_dies_and_metrics_are_blocked() -> Plant:
    """Two faults: the second resolver stopped for good, and one endpoint's address is dropped."""
    plant = Plant()
    plant.starts(names=(CRED, LOGS, S3, ECR))
    plant.broker(5.0, 240)
    plant.runs(12.0, 240, logs=False)
    plant.resolve(7.0, S3, server=DC2)
    for n in range(9):
        at = 15.0 + 24 * n
        plant.resolve(at, LOGS, after=None, server=DC2, times=2, every=2.0)
        plant.https(at + 4.1, LOGS)
        plant.resolve(at + 9, METRICS)
        plant.knocks(at + 9.1, METRICS)
    return plant
