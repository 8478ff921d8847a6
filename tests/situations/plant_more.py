"""More of the factory: what other people's networks did to it."""

from __future__ import annotations

import struct

from tests.crafted import hello as tls
from tests.diagnosis.lan_wire import option
from tests.diagnosis.wire import ACK, EVERYBODY, FIN, RST, SYN, alert, arp_packet, dhcp_packet
from tests.situations.plant import (
    AT,
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
    Plant,
    factory,
    granted,
    outside,
)
from tests.situations.situation import situation
from tests.situations.town import nobody

OTHER = ("02:00:00:00:0a:11", "10.133.41.40")
DESK = ("b4:2e:99:10:00:21", "10.133.42.33")


# ---------------------------------------------------------------------- well, or not ours


@situation(site=factory)
def uploads_of_a_long_shift() -> Plant:
    """Large uploads to S3, each closed by the client with RST after the last answer."""
    plant = Plant()
    plant.lives(200)
    for n in range(8):
        at = 14.0 + 22 * n
        plant.resolve(at, S3)
        talk = plant.talk(S3)
        at = talk.shakes(at + 0.02, S3)
        for k in range(60):
            at += 0.004
            talk.segment(at, True, ACK, b"\x17\x03\x03\x05\xa3" + bytes(1443))
            talk.sent += 1448
            if k % 2:
                talk.heard(at + 0.021)
        talk.answer(at + 0.06, tls.record(23, bytes(300)))
        talk.segment(at + 0.061, True, RST | ACK)
    return plant


@situation(site=factory)
def balancer_resets_connections_of_a_minute_after_fin() -> Plant:
    """HTTPS connections idle for 60 s; the server says FIN, the client's FIN is answered by RST."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 700)
    plant.runs(12.0, 700, logs=False)
    for n in range(8):
        at = 14.0 + 80 * n
        plant.resolve(at, LOGS)
        talk = plant.talk(LOGS)
        up = talk.asks(talk.shakes(at + 0.02, LOGS), 3000)
        talk.answer(up + 60, tls.record(23, bytes(19)))
        talk.segment(up + 60.0001, False, FIN | ACK)
        talk.got += 1
        talk.segment(up + 60.0003, True, FIN | ACK)
        talk.sent += 1
        talk.segment(up + 60.022, False, RST)
    return plant


@situation(site=factory, violations=None)
def others_are_filtered_and_poisoned() -> Plant:
    """PCs meet block pages, refusing resolvers and a host that says it is another; ours is well."""
    plant = Plant()
    plant.lives(180)
    for n in range(14):
        at = 4.0 + 12 * n
        plant.resolve(at, LOGS, ("0.0.0.0",), client=DESK, chain=False)
        plant.resolve(at + 1, "telemetry.example.net", (), rcode=5, client=DESK, server=DC2)
        mac = ("00:17:c8:00:00:01", "00:17:c8:00:00:02")[n % 2]
        plant.add(at + 2, arp_packet(1, mac, "10.133.42.9", GATE[1]))
        plant.add(at + 2.1, arp_packet(2, GATE[0], GATE[1], "10.133.42.9", mac))
        talk = plant.talk(S3, client=DESK)
        up = talk.opens(at + 3)
        talk.says(up + 0.01, S3)
        talk.segment(up + 0.02, False, RST | ACK)
    return plant


@situation(site=factory, violations=None)
def ping_of_the_gateway_and_of_the_world_is_closed() -> Plant:
    """The appliance pings its gateway and 8.8.8.8 as a test of the line; only the first answers."""
    plant = Plant()
    plant.lives(150)
    for n in range(12):
        plant.ping(6.0 + 11 * n, BOX, GATE, number=n)
        plant.ping(6.5 + 11 * n, BOX, (GATE[0], "8.8.8.8"), answers=False, number=n)
    return plant


@situation(site=factory)
def lease_is_renewed_by_the_relay_after_a_lost_answer() -> Plant:
    """A renewal gets no answer once, the next does."""
    plant = Plant()
    plant.leases(0.3)
    plant.starts(2.0)
    plant.broker(8.0, 500)
    plant.runs(14.0, 500)
    for n in range(4):
        body = bytearray(dhcp_packet(3, ETH1, 0x500 + n))
        body[12:16] = bytes([10, 133, 41, 27])
        plant.udp(60.0 + 100 * n, (*BOX, 68), (GATE[0], "10.133.8.20", 67), bytes(body))
        if n % 2:
            said = dhcp_packet(5, ETH1, 0x500 + n, yours=BOX[1], options=granted())
            plant.udp(60.01 + 100 * n, (GATE[0], "10.133.8.20", 67), (*BOX, 68), said)
    return plant


@situation(site=nobody, violations=None)
def plain_hour_seen_from_its_middle_without_a_site_file() -> Plant:
    """A minute out of a plain day: one MQTT connection that is older, no lookup of its name."""
    plant = Plant()
    plant.lives(200)
    first = min(f[0] for f in plant.frames)
    plant.frames = [f for f in plant.frames if 100e9 <= f[0] - first <= 160e9]
    return plant


@situation(site=factory)
def answers_are_served_from_two_resolvers_by_turns() -> Plant:
    """`rotate`: each lookup goes to the other resolver; one of them takes 120 ms."""
    plant = Plant()
    plant.starts(names=())
    for n in range(20):
        plant.resolve(3.0 + 8 * n, NAMES[n % 6], server=(DC1, DC2)[n % 2],
                      after=(0.004, 0.12)[n % 2])  # fmt: skip
        plant.https(3.2 + 8 * n, NAMES[n % 6], look=False)
    plant.runs(5.0, 165, logs=False)
    return plant


# ---------------------------------------------------------------------- faults


@situation("endpoint-failing", site=factory, says={"*": "reset.*credentials|credentials.*reset"},
           either=("endpoint-failing",))  # fmt: skip
def quota_resets_each_answer_of_one_host() -> Plant:
    """The IPS resets the credential provider's answer, 20 ms after each request; others work."""
    plant = Plant()
    plant.starts(names=(LOGS, METRICS, S3, ECR))
    plant.broker(5.0, 300)
    plant.runs(12.0, 300)
    for n in range(10):
        at = 9.0 + 28 * n
        plant.resolve(at, CRED)
        talk = plant.talk(CRED)
        up = talk.shakes(at + 0.02, CRED, certified=True)
        talk.send(up + 0.01, tls.record(23, bytes(420)))
        talk.ttl_in = 62
        talk.segment(up + 0.03, False, RST | ACK)
    return plant


@situation("dns-servfail", site=factory, severity={"dns-servfail": "error"},
           says={"*": "10[.]133[.]8[.]10 and 10[.]133[.]8[.]11|logs"})  # fmt: skip
def both_resolvers_cannot_reach_the_world() -> Plant:
    """Both resolvers answer SERVFAIL for every name of AWS: their own way out is cut."""
    plant = Plant()
    plant.greet(0.3)
    plant.runs(1.0, 200, logs=False)
    for n in range(20):
        plant.resolve(2.0 + 9 * n, NAMES[n % 6], (), rcode=2)
        plant.resolve(2.1 + 9 * n, NAMES[n % 6], (), rcode=2, server=DC2)
    return plant


@situation("dns-nxdomain", site=factory, says={"*": "10[.]133[.]8[.]10"},
           never={"*": "dns servers? 10.133.8.11"}, severity={"dns-nxdomain": "error"})  # fmt: skip
def one_resolver_denies_the_broker_and_the_other_is_never_asked() -> Plant:
    """The first resolver says NXDOMAIN for the broker's name; a client takes that as final."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 200)
    for n in range(12):
        plant.resolve(6.0 + 15 * n, IOT, (), rcode=3)
    return plant


@situation("tcp-blocked", site=outside, says={"*": "162[.]159|ntp|443|port"}, violations=None,
           also=("ntp-silent",))  # fmt: skip
def only_dns_is_let_out() -> Plant:
    """A new VLAN: the firewall lets public DNS out and drops all else, NTP too."""
    plant = Plant()
    plant.resolver = (GATE[0], "9.9.9.9")
    plant.office(0, 220)
    for n in range(9):
        plant.greet(0.4 + 24 * n)
        plant.clock(1.2 + 24 * n, (GATE[0], "162.159.200.1"), answers=False)
    for n in range(22):
        plant.resolve(2.0 + 9.5 * n, NAMES[n % 6])
        plant.knocks(2.05 + 9.5 * n, NAMES[n % 6])
    return plant


@situation("internet-down", site=factory, says={"*": "no route|unreachable"}, violations=None)
def default_route_is_gone_and_icmp_says_so() -> Plant:
    """The firewall lost its default route and answers ICMP net unreachable to each SYN."""
    plant = Plant()
    plant.lives(60)
    for n in range(14):
        at = 66.0 + 9 * n
        name = HTTPS[n % 5]
        plant.resolve(at, name)
        plant.sport += 3
        for k in range(3):
            head = struct.pack("!HHIIBBHHH", plant.sport, 443, 7, 0, 0x50, SYN, 64240, 0, 0)
            sent = plant.ip(at + 0.02 + 2**k - 1, BOX, (GATE[0], AT[name][0]), 6, head)
            plant.unreachable(at + 0.021 + 2**k - 1, "10.133.40.2", BOX, 0, sent)
    plant.runs(66.0, 195, logs=False)
    return plant


@situation("icmp-blocked|ntp-silent", "tcp-blocked", site=factory,
           says={"tcp-blocked": S3, "ntp-silent": "10[.]133[.]40[.]2"})  # fmt: skip
def time_is_prohibited_and_a_bucket_dropped() -> Plant:
    """Two faults: UDP 123 is prohibited by ICMP, and S3 is dropped."""
    plant = Plant()
    plant.greet(0.2)
    for n, name in enumerate((CRED, LOGS, METRICS, ECR)):
        plant.https(1.0 + n, name)
    plant.broker(7.0, 240)
    plant.runs(10.0, 240, times=False)
    for n in range(10):
        asked = plant.clock(2.0 + 24 * n, answers=False)
        plant.unreachable(2.001 + 24 * n, "10.133.40.2", BOX, 13, asked)
        plant.resolve(8.0 + 24 * n, S3)
        plant.knocks(8.1 + 24 * n, S3)
        plant.knocks(12.1 + 24 * n, S3, address=AT[S3][1])
    return plant


@situation("wrong-gateway", site=factory, says={"*": "10[.]133[.]8[.]20"}, violations=None)
def routes_of_the_lease_have_no_default() -> Plant:
    """Option 121 names the firm's networks alone, so the router in option 3 is not looked at."""
    plant = Plant()
    routes = bytes([121, 6, 8, 10, 10, 133, 40, 1])
    plant.leases(0.3, options=granted() + routes)
    for n in range(8):
        plant.greet(1.4 + 24 * n)
        plant.clock(2.0 + 24 * n)
    for n in range(20):
        plant.resolve(3.0 + 9 * n, NAMES[n % 6])
    plant.office(0, 190)
    return plant


@situation("mqtt-flapping|endpoint-failing", site=factory, says={"*": "a3kx0q7bqz1"},
           never={"*": "duplicate"}, also=())  # fmt: skip
def broker_ends_each_connection_after_half_a_minute() -> Plant:
    """The broker closes each MQTT connection 25-35 s after it began, by FIN; no fixed period."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 400)
    at = 6.0
    for n in range(11):
        stay = (25, 33, 28, 35, 30)[n % 5]
        talk = plant.broker(at, at + stay - 6, every=9)
        talk.ends(at + stay, by_server=True)
        at += stay + (1, 3, 2)[n % 3]
    return plant


@situation("tls-intercepted|endpoint-failing", site=nobody, violations=None, also=("tls-alert",),
           says={"*": "Palo Alto|Corp"})  # fmt: skip
def inspection_of_everything_without_a_site_file() -> Plant:
    """A Palo Alto opens every name with the firm's own CA (TLS 1.2); nobody wrote a site file."""
    plant = Plant()
    plant.greet(0.2)
    plant.runs(4.0, 220, logs=False)
    for n in range(18):
        at = 3.0 + 11 * n
        name = NAMES[n % 6]
        plant.resolve(at, name)
        talk = plant.talk(name)
        up = talk.opens(at + 0.02, 0.001)
        talk.says(up + 0.002, name, thirteen=False)
        talk.heard(up + 0.003)
        talk.shows(up + 0.06, name, thirteen=False, issuer="Corp IT", common="PA-Decrypt-CA")
        talk.send(up + 0.062, alert(46))
        talk.close(up + 0.0621)
    return plant


@situation("ip-conflict|dhcp-rogue", site=factory, says={"*": "10[.]133[.]41[.]53|192[.]168"},
           violations=None, either=("dhcp-rogue",))  # fmt: skip
def travel_router_answers_dhcp() -> Plant:
    """A travel router in the office offers 192.168.8.x beside the firm's servers."""
    plant = Plant()
    for n in range(3):
        xid = 0x70 + n
        at = 0.4 + 90 * n
        ask = dhcp_packet(1, ETH1, xid, options=option(50, BOX[1]))
        plant.udp(at, (ETH1, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67), ask)
        bad = granted("192.168.8.120", server="192.168.8.1", router="192.168.8.1",
                      dns=("192.168.8.1",), mask="255.255.255.0")  # fmt: skip
        said = dhcp_packet(2, ETH1, xid, yours="192.168.8.120", options=bad)
        plant.udp(at + 0.02, ("94:83:c4:00:00:01", "192.168.8.1", 67),
                  (ETH1, "192.168.8.120", 68), said)  # fmt: skip
        for kind, step in ((2, 0.3), (5, 0.6)):
            said = dhcp_packet(kind, ETH1, xid, yours=BOX[1], options=granted())
            plant.udp(at + step, (GATE[0], "10.133.40.2", 67), (ETH1, BOX[1], 68), said)
    plant.starts(3.0)
    plant.broker(9.0, 240)
    plant.runs(14.0, 240)
    return plant


@situation("slow-uplink|dns-slow|dns-timeout", site=outside, also=("dns-slow", "slow-uplink"),
           violations=None, says={"*": "[0-9]"})  # fmt: skip
def one_of_two_lines_is_dead_and_flows_are_shared_out() -> Plant:
    """Two uplinks share flows by their ports; one is dead: half of all flows, DNS too, get no
    answer."""
    plant = Plant()
    plant.resolver = (GATE[0], "9.9.9.9")
    plant.office(0, 500)
    for n in range(20):
        plant.greet(0.4 + 25 * n)
        plant.clock(1.2 + 25 * n, (GATE[0], "162.159.200.1"))
    for n in range(50):
        at = 3.0 + 9.7 * n
        if plant.chance.random() < 0.5:
            plant.resolve(at, NAMES[n % 6], after=None)
            plant.resolve(at + 5, NAMES[n % 6])
            at += 5
        else:
            plant.resolve(at, NAMES[n % 6])
        if plant.chance.random() < 0.5:
            plant.knocks(at + 0.02, NAMES[n % 6], times=3)
        else:
            plant.https(at + 0.02, NAMES[n % 6], look=False, stay=1.0)
    return plant


@situation("endpoint-failing|tls-alert|cloud-service-ended", site=factory, also=(),
           says={"*": "112|unrecognized|logs"})  # fmt: skip
def endpoint_of_another_partition_is_asked() -> Plant:
    """The load balancer says unrecognized_name (112) to the name of one service."""
    plant = Plant()
    plant.starts(names=(CRED, METRICS, S3, ECR))
    plant.broker(5.0, 200)
    plant.runs(12.0, 200, logs=False)
    for n in range(8):
        at = 9.0 + 22 * n
        plant.resolve(at, LOGS)
        talk = plant.talk(LOGS)
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, LOGS)
        talk.answer(up + 0.024, alert(112))
        talk.segment(up + 0.0241, False, FIN | ACK)
    return plant


@situation("tcp-blocked", site=factory, says={"*": "3[.]|52[.]218[.]97[.]3|address"},
           severity={"tcp-blocked": "warning"})  # fmt: skip
def third_address_of_the_broker_is_rejected_now_and_then() -> Plant:
    """The broker has three addresses; the firewall drops one: each third connection waits."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 600)
    at = 6.0
    for n in range(15):
        addresses = AT[IOT]
        plant.resolve(at, IOT, addresses[n % 3 :] + addresses[: n % 3])
        if n % 3 == 2:
            plant.knocks(at + 0.02, IOT, times=4, address=addresses[2])
            talk = plant.talk(IOT, address=addresses[0])
            up = talk.shakes(at + 15.1, IOT, ("x-amzn-mqtt-ca",), certified=True)
        else:
            talk = plant.talk(IOT, address=addresses[n % 3])
            up = talk.shakes(at + 0.1, IOT, ("x-amzn-mqtt-ca",), certified=True)
        talk.asks(up + 1, 130, 26)
        talk.ends(up + 20)
        at += 38
    return plant
