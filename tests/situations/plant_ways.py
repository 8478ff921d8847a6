"""The way from the factory to the cloud, when something on it fails."""

from __future__ import annotations

import struct

from tests.crafted import hello as tls
from tests.diagnosis.wire import ACK, FIN, PSH, RST, SYN, alert, arp_packet
from tests.situations.plant import (
    AT,
    BOX,
    CRED,
    ECR,
    GATE,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    NAMES,
    NMS,
    S3,
    SIX,
    Plant,
    factory,
    linked,
    outside,
)
from tests.situations.situation import situation
from tests.situations.town import nobody


def _ends_after_the_flight(plant: Plant, at: float, name: str, **more: str) -> None:
    """TLS 1.3: the client takes the flight, says something short inside TLS, and leaves."""
    plant.resolve(at, name)
    talk = plant.talk(name, **more)
    up = talk.opens(at + 0.02)
    talk.says(up + 0.002, name)
    talk.heard(up + 0.0032)
    talk.shows(up + 0.034, name)
    talk.send(up + 0.036, tls.record(20, b"\1") + tls.record(23, bytes(19)))
    talk.close(up + 0.0361)


@situation("tls-intercepted|tls-alert|endpoint-failing", site=factory,
           also=("tls-intercepted", "tls-alert", "endpoint-failing"),
           says={"*": "(logs|monitoring|s3)[.]eu"})  # fmt: skip
def inspection_of_some_names_with_tls13() -> Plant:
    """An inspection proxy opens logs, metrics and S3 (TLS 1.3); MQTT and credentials are exempt."""
    plant = Plant()
    plant.greet(0.3)
    plant.https(1.0, CRED)
    plant.broker(5.0, 200)
    plant.runs(12.0, 200, logs=False)
    for n in range(18):
        _ends_after_the_flight(plant, 8.0 + 10 * n, (LOGS, METRICS, S3)[n % 3])
    return plant


@situation("tls-intercepted", site=factory, also=("tls-alert",),
           says={"tls-intercepted": "Fortinet"})  # fmt: skip
def fortigate_opens_one_name() -> Plant:
    """A FortiGate inspects S3 alone (TLS 1.2); the appliance does not trust it."""
    plant = Plant()
    plant.starts(names=(CRED, LOGS, METRICS, ECR))
    plant.broker(5.0, 200)
    plant.runs(12.0, 200, logs=False)
    for n in range(9):
        at = 9.0 + 20 * n
        plant.resolve(at, S3)
        talk = plant.talk(S3)
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, S3, thirteen=False)
        talk.shows(up + 0.04, S3, thirteen=False, issuer="Fortinet", common="FG200FT921906641")
        talk.send(up + 0.042, alert(48))
        talk.close(up + 0.0421)
    return plant


@situation("endpoint-failing|mqtt-flapping|tls-blocked", site=factory, also=(),
           says={"*": "reset|RST"}, never={"*": "idle"})  # fmt: skip
def application_control_cuts_mqtt_after_the_first_words() -> Plant:
    """App-ID lets TLS through and resets MQTT as soon as it is recognised, each time."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 300)
    at = 6.0
    for n in range(9):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT)
        up = talk.shakes(at + 0.02, IOT, ("x-amzn-mqtt-ca",), certified=True)
        up = talk.asks(up + 0.002, 130, 26) + 0.04
        talk.send(up, tls.record(23, bytes(92)))
        talk.ttl_in = 63
        talk.segment(up + 0.002, False, RST | ACK)
        at += min(2 ** (n + 1), 40)
    return plant


@situation("endpoint-failing|mqtt-flapping|client-cert-rejected", site=factory, also=(),
           says={"*": "a3kx0q7bqz1"})  # fmt: skip
def broker_closes_after_connect() -> Plant:
    """The thing has no policy: AWS IoT closes right after CONNECT, and the client tries again."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 300)
    at = 6.0
    for n in range(9):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT)
        up = talk.shakes(at + 0.02, IOT, ("x-amzn-mqtt-ca",), certified=True)
        talk.send(up + 0.002, tls.record(23, bytes(130)))
        talk.heard(up + 0.023)
        talk.ends(up + 0.05, by_server=True)
        at += min(2 ** (n + 1), 40)
    return plant


@situation("endpoint-failing|tcp-blocked|internet-down", site=linked,
           also=("endpoint-failing", "tcp-blocked"), says={"*": "10[.]200[.]3|logs|monitoring|iot"},
           never={"*": "nothing on the internet"})  # fmt: skip
def tunnel_to_the_vpc_is_down() -> Plant:
    """AWS by private addresses: the VPN to the VPC is down, S3 by its public address works."""
    plant = Plant()
    inner = {LOGS: "10.200.3.17", METRICS: "10.200.3.18", IOT: "10.200.3.40"}
    plant.greet(0.2)
    plant.runs(1.0, 240, logs=False)
    for n in range(18):
        at = 2.0 + 13 * n
        name = (LOGS, METRICS, S3, IOT)[n % 4]
        if name == S3:
            plant.https(at, S3)
        else:
            plant.resolve(at, name, (inner[name],))
            plant.knocks(at + 0.02, name, address=inner[name])
    return plant


@situation("proxy-seen", site=factory, violations=None, says={"proxy-seen": "407|password|refuses"},
           also=("lateral",), severity={"proxy-seen": "error"})  # fmt: skip
def proxy_wants_a_password() -> Plant:
    """The appliance is set to the firm's proxy, which answers 407 to each CONNECT."""
    plant = Plant()
    plant.greet(0.2)
    plant.runs(1.0, 180, logs=False)
    for n in range(16):
        talk = plant.talk(NAMES[n % 6], 3128, address="10.133.8.80")
        talk.rtt = 0.002
        up = talk.opens(2.0 + 11 * n)
        name = NAMES[n % 6]
        talk.send(up + 0.001, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
        talk.answer(up + 0.005, b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b"Proxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
        talk.close(up + 0.02)
    return plant


def _dies_for(plant: Plant, start: float, end: float, names: tuple[str, ...] = NAMES) -> None:
    at, n = start, 0
    while at + 8 < end:
        plant.resolve(at, names[n % len(names)])
        plant.knocks(at + 0.02, names[n % len(names)])
        at += 9.0
        n += 1


@situation("internet-down", site=factory, cleared=("internet-down",))
def sdwan_takes_seventy_seconds_to_switch() -> Plant:
    """The main line fails; the SD-WAN box moves to LTE after 70 s, old connections are dead."""
    plant = Plant()
    plant.lives(0)
    plant.starts()
    plant.runs(12.0, 100)
    first = plant.broker(5.0, 100)
    first.send(105.0, tls.record(23, bytes(24)))
    first.repeat(105.0, tls.record(23, bytes(24)), 8)
    _dies_for(plant, 110.0, 172.0, HTTPS)
    plant.runs(104.0, 170.0, logs=False)
    first.ttl_in = 63
    first.segment(175.0, False, RST)
    plant.broker(176.0, 330, rtt=0.09)
    plant.runs(180.0, 330)
    return plant


@situation("tls-blocked|internet-down|endpoint-failing", site=factory)
def answers_go_another_way_than_the_firewall_knows() -> Plant:
    """Asymmetric: SYN-ACKs come, nothing later is passed on; servers repeat theirs. All names."""
    plant = Plant()
    plant.greet(0.3)
    plant.runs(1.0, 240, logs=False)
    for n in range(12):
        at = 4.0 + 19 * n
        name = NAMES[n % 6]
        plant.resolve(at, name)
        talk = plant.talk(name)
        up = talk.opens(at + 0.02)
        hello = talk.says(up + 0.002, name)
        talk.repeat(up + 0.002, hello, 6)
        for wait in (1.0, 3.0, 7.0):
            talk.segment(up + wait, False, SYN | ACK, sequence=talk.got - 1)
            talk.ack(up + wait + 0.0002)
        talk.segment(up + 15, True, FIN | ACK)
    return plant


@situation("slow-uplink|tcp-blocked|endpoint-failing|new-connections-fail", site=factory, also=())
def every_third_connection_gets_no_port() -> Plant:
    """The NAT has few ports left: a third of all new connections to any host stay unanswered."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 600)
    plant.runs(12.0, 600, logs=False)
    for n in range(60):
        at = 14.0 + 9.5 * n
        name = HTTPS[n % 5]
        if plant.chance.random() < 0.34:
            plant.resolve(at, name)
            plant.knocks(at + 0.02, name)
        else:
            plant.https(at, name)
    return plant


@situation("tls-blocked|internet-down|endpoint-failing|captive-portal", site=factory)
def firewall_answers_syns_of_a_dead_line() -> Plant:
    """A SYN proxy accepts every connection itself; behind it the line is dead: RST after 20 s."""
    plant = Plant()
    plant.greet(0.3)
    plant.runs(1.0, 300, logs=False)
    for n in range(12):
        at = 4.0 + 24 * n
        name = NAMES[n % 6]
        plant.resolve(at, name)
        talk = plant.talk(name)
        talk.rtt, talk.ttl_in = 0.0004, 64
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, name)
        talk.heard(up + 0.0025)
        talk.segment(up + 20, False, RST | ACK)
    return plant


@situation("endpoint-failing|tls-blocked|slow-uplink", site=factory, also=(),
           says={"*": S3}, never={"*": "idle"})  # fmt: skip
def uploads_are_reset_in_the_middle() -> Plant:
    """DLP resets each upload to S3 after some 200 kB; short requests to others work."""
    plant = Plant()
    plant.lives(300)
    for n in range(7):
        at = 16.0 + 40 * n
        plant.resolve(at, S3)
        talk = plant.talk(S3)
        at = talk.shakes(at + 0.02, S3)
        for k in range(140):
            at += 0.003
            talk.segment(at, True, ACK, b"\x17\x03\x03\x05\xa3" + bytes(1443))
            talk.sent += 1448
            if k % 2:
                talk.heard(at + 0.021)
        talk.ttl_in = 63
        talk.segment(at + 0.03, False, RST | ACK)
    return plant


@situation("tls-alert|cloud-service-ended|tls-blocked|endpoint-failing", site=factory,
           cleared=("tls-alert", "cloud-service-ended", "tls-blocked", "endpoint-failing"),
           also=("tls-alert",))  # fmt: skip
def region_answers_internal_error_for_three_minutes() -> Plant:
    """A region's outage: every endpoint ends the handshake with alert 80, then works again."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 420, logs=False)
    for n in range(15):
        at = 60.0 + 12 * n
        name = HTTPS[n % 5]
        plant.resolve(at, name)
        talk = plant.talk(name)
        up = talk.opens(at + 0.02)
        talk.says(up + 0.002, name)
        talk.answer(up + 0.024, alert(80))
        talk.close(up + 0.025, by_server=True)
    for n in range(16):
        plant.https(245.0 + 10 * n, HTTPS[n % 5])
    return plant


@situation("internet-down", site=factory, says={"internet-down": "loop|hops|circle|exceeded"})
def packets_go_round_in_a_routing_loop() -> Plant:
    """After a change at the provider packets circle: each SYN brings ICMP time exceeded."""
    plant = Plant()
    plant.lives(60)
    for n in range(14):
        at = 64.0 + 10 * n
        name = HTTPS[n % 5]
        plant.resolve(at, name)
        plant.sport += 3
        for k in range(3):
            head = struct.pack("!HHIIBBHHH", plant.sport, 443, 7, 0, 0x50, SYN, 64240, 0, 0)
            sent = plant.ip(at + 0.02 + 2**k - 1, BOX, (GATE[0], AT[name][0]), 6, head)
            plant.unreachable(at + 0.09 + 2**k - 1, "100.64.7.1", BOX, 0, sent, kind=11)
    plant.runs(64.0, 205, logs=False)
    return plant


@situation("internet-down|wrong-gateway|endpoint-failing", site=factory,
           violations=None, also=("wrong-gateway",))  # fmt: skip
def gateway_redirects_to_a_dead_router() -> Plant:
    """ICMP redirects send the appliance to 10.133.40.9, which forwards nothing."""
    plant = Plant()
    dead = ("70:df:2f:00:00:99", "10.133.40.9")
    plant.lives(60)
    plant.add(70.5, arp_packet(1, *BOX, dead[1]))
    plant.add(70.501, arp_packet(2, dead[0], dead[1], BOX[1], BOX[0]))
    for n in range(14):
        at = 70.0 + 10 * n
        name = HTTPS[n % 5]
        plant.resolve(at, name)
        if n < 3:
            head = struct.pack("!HHII", 50_000 + n, 443, 7, 0) + bytes(12)
            sent = plant.ip(
                at + 0.02, BOX, (GATE[0], AT[name][0]), 6, head[:13] + b"\x02" + head[14:]
            )
            body = struct.pack("!BBH4s", 5, 1, 0, bytes([10, 133, 40, 9])) + sent[:28]
            plant.ip(at + 0.0206, GATE, BOX, 1, body)
        plant.knocks(at + 1.0, name, via=dead[0])
    plant.runs(70.0, 215, logs=False)
    return plant


@situation("tcp-blocked|internet-down|endpoint-failing", site=outside, violations=None,
           never={"internet-down": "nothing on the internet"}, also=("tcp-blocked",))  # fmt: skip
def aws_alone_is_blocked_by_country() -> Plant:
    """A geo filter drops all of AWS; public DNS and public time answer the appliance."""
    plant = Plant()
    plant.resolver = (GATE[0], "9.9.9.9")
    for n in range(10):
        plant.greet(0.3 + 25 * n)
        plant.clock(1.0 + 25 * n, (GATE[0], "162.159.200.1"))
        plant.clock(1.5 + 25 * n, (GATE[0], "185.255.55.20"))
    _dies_for(plant, 3.0, 240.0)
    plant.office(0, 240)
    return plant


@situation("tcp-blocked|endpoint-failing|slow-uplink", site=factory, also=(), says={"*": S3})
def list_of_addresses_is_out_of_date() -> Plant:
    """The firewall lists addresses, not names: of S3's two addresses one is missing from it."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 400)
    plant.runs(12.0, 400)
    for n in range(16):
        at = 15.0 + 23 * n
        plant.resolve(at, S3, AT[S3] if n % 2 else AT[S3][::-1])
        if n % 2 == 0:
            plant.knocks(at + 0.02, S3, times=3, address=AT[S3][1])
            plant.https(at + 7.1, S3, look=False, address=AT[S3][0])
        else:
            plant.https(at + 0.02, S3, look=False, address=AT[S3][0])
    return plant


@situation("tcp-refused", site=factory, says={"tcp-refused": "8883"})
def broker_port_8883_is_rejected() -> Plant:
    """MQTT is set to 8883 alone, and a firewall rejects it by RST; 443 works for the rest."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 240)
    at = 6.0
    for n in range(9):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT, 8883)
        talk.ttl_in = 64
        talk.segment(at + 0.02, True, SYN)
        talk.segment(at + 0.0204, False, RST | ACK)
        at += min(2 ** (n + 1), 40)
    return plant


@situation("slow-uplink", site=factory, says={"slow-uplink": "%"})
def line_loses_every_twelfth_packet() -> Plant:
    """A policer drops 8 % both ways: everything works, and is sent twice."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 300, logs=False)
    for n in range(28):
        at = 12.0 + 10 * n
        plant.resolve(at, LOGS)
        talk = plant.talk(LOGS)
        up = talk.shakes(at + 0.02, LOGS)
        for k in range(12):
            if (n + k) % 3 == 0:
                body = tls.record(23, bytes(1400))
                talk.send(up + 0.05, body)
                up = talk.repeat(up + 0.05, body, 1)
                talk.heard(up + 0.021)
                talk.answer(up + 0.04, tls.record(23, bytes(300)))
                talk.ack(up + 0.041)
                up += 0.05
            else:
                up = talk.asks(up + 0.05, 1400, 300)
        talk.ends(up + 0.2)
    return plant


@situation("slow-uplink", site=factory, says={"slow-uplink": "ms|s "})
def satellite_takes_six_hundred_milliseconds() -> Plant:
    """A satellite line: everything takes 620 ms, all works."""
    plant = Plant()
    for n, name in enumerate(HTTPS):
        plant.https(1.0 + 4 * n, name, rtt=0.62)
    plant.broker(24.0, 300, rtt=0.62)
    for n in range(14):
        plant.https(30.0 + 19 * n, LOGS, rtt=0.62)
    plant.runs(2.0, 300, logs=False)
    return plant


@situation(site=factory, violations=None, info=("ipv6-unreachable",))
def somebody_shares_a_connection_by_ipv6() -> Plant:
    """A PC announces itself as an IPv6 router; the appliance tries it first, then IPv4 works."""
    plant = Plant()
    rogue = (DESK := "b4:2e:99:10:00:21", "fe80::b62e:99ff:fe10:21")
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    for n in range(20):
        plant.six(0.5 + 12 * n, rogue, ("33:33:00:00:00:01", "ff02::1"), 58, advert, 255)
    plant.starts()
    plant.runs(12.0, 240, logs=False)
    for n in range(12):
        at = 16.0 + 18 * n
        name = (METRICS, S3, ECR)[n % 3]
        plant.resolve(at, name, six=(SIX[name],))
        plant.knocks(at + 0.01, name, times=2, address=SIX[name], via=DESK)
        plant.https(at + 2.2, name, look=False)
    return plant


@situation("ipv6-unreachable|internet-down", site=factory, severity={"ipv6-unreachable": "error"})
def nat64_gateway_is_dead() -> Plant:
    """The port has only IPv6; DNS64 gives addresses, and the NAT64 gateway forwards nothing."""
    plant = Plant()
    plant.greet(0.2)
    for n in range(6):
        plant.clock(0.6 + 40 * n)
    for n in range(20):
        name = NAMES[n % len(NAMES)]
        raw = bytes(int(p) for p in AT[name][0].split("."))
        six = f"64:ff9b::{raw[0]:02x}{raw[1]:02x}:{raw[2]:02x}{raw[3]:02x}"
        at = 1.0 + 11 * n
        plant.resolve(at, name, (), six=(six,))
        plant.knocks(at + 0.02, name, address=six)
    plant.office(0, 225)
    return plant


@situation("gateway-changed|ip-conflict", site=factory, says={"*": "10[.]133[.]40[.]1"},
           either=("gateway-changed",))  # fmt: skip
def two_routers_change_places_all_the_time() -> Plant:
    """VRRP without a virtual MAC flaps: the gateway's MAC changes each 20 s."""
    plant = Plant()
    pair = ("70:df:2f:00:00:02", "70:df:2f:00:00:03")
    plant.office(0, 240)
    for n in range(12):
        owner = pair[n % 2]
        at = 0.2 + 20 * n
        for k in range(3):
            plant.add(at + 0.1 * k, arp_packet(1, owner, GATE[1], GATE[1]))
        plant.greet(at + 1, owner)
        plant.clock(at + 1.5)
        plant.https(at + 2, LOGS, via=owner)
        plant.https(at + 8, METRICS, via=owner)
    return plant


@situation("gateway-silent|internet-down|dns-timeout", site=factory,
           cleared=("gateway-silent", "internet-down", "dns-timeout"),
           also=("gateway-silent", "internet-down", "dns-timeout"))  # fmt: skip
def spanning_tree_takes_half_a_minute() -> Plant:
    """A topology change: for 35 s the uplink passes nothing, then all goes on."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 95)
    old = plant.broker(5.0, 95)
    plant.add(97.0, bytes.fromhex("0180c200000070df2f112233000742420300000080") + bytes(43))
    for n in range(4):
        plant.resolve(99.0 + 8.5 * n, NAMES[n], after=None, times=2, every=4.0)
    for n in range(12):
        plant.add(101.0 + 2.5 * n, arp_packet(1, *BOX, GATE[1]))
    old.send(100.0, tls.record(23, bytes(24)))
    last = old.repeat(100.0, tls.record(23, bytes(24)), 7)
    old.send(133.0, tls.record(23, bytes(24)), again=True)
    old.heard(133.03)
    old.answer(133.04, tls.record(23, bytes(24)))
    assert last < 133
    at = 160.0
    while at < 300:
        old.asks(at, 24, 24)
        at += 30
    plant.runs(133.5, 300)
    return plant


@situation("endpoint-failing|slow-uplink|tls-stalled", site=factory, also=(), says={"*": S3})
def proxy_lets_uploads_stall_with_a_closed_window() -> Plant:
    """A DLP proxy takes 60 kB of each upload to S3, then closes its window for good."""
    plant = Plant()
    plant.lives(300)
    for n in range(4):
        at = 16.0 + 65 * n
        plant.resolve(at, S3)
        talk = plant.talk(S3)
        at = talk.shakes(at + 0.02, S3)
        for k in range(42):
            at += 0.002
            talk.segment(at, True, ACK, b"\x17\x03\x03\x05\xa3" + bytes(1443))
            talk.sent += 1448
            if k == 41:
                talk.window_in = 0
            if k % 2:
                talk.heard(at + 0.001)
        pause = 0.25
        for _ in range(8):
            at += pause
            talk.segment(at, True, ACK, sequence=talk.sent - 1)
            talk.heard(at + 0.021)
            pause = min(pause * 2, 15)
        talk.segment(at + 1, True, RST | ACK)
    return plant


@situation("idle-timeout|endpoint-failing", site=factory, says={"*": "a3kx0q7bqz1"}, also=(),
           severity={})  # fmt: skip
def twenty_minutes_of_silence_are_too_long() -> Plant:
    """MQTT keeps quiet for 20 minutes; a NAT forgot it long before and drops what follows."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 5200, logs=False)
    for n in range(17):
        plant.https(20.0 + 300 * n, LOGS)
    at = 6.0
    for _ in range(4):
        plant.resolve(at, IOT)
        talk = plant.talk(IOT)
        up = talk.shakes(at + 0.02, IOT, ("x-amzn-mqtt-ca",), certified=True)
        up = talk.asks(up + 0.01, 130, 26)
        ping = tls.record(23, bytes(24))
        talk.send(up + 1200, ping)
        last = talk.repeat(up + 1200, ping, 7)
        talk.segment(last + 10, True, FIN | ACK)
        at = last + 11
    return plant


@situation("tcp-blocked", "gateway-changed", site=factory, says={"tcp-blocked": LOGS},
           either=("gateway-changed",))  # fmt: skip
def router_is_replaced_and_logs_are_dropped_since() -> Plant:
    """Two things: the router was replaced by another, whose rules forgot one endpoint."""
    plant = Plant()
    new = "00:1b:17:00:01:30"
    plant.lives(90)
    plant.add(96.0, arp_packet(1, new, GATE[1], GATE[1]))
    plant.add(97.0, arp_packet(2, new, GATE[1], GATE[1]))
    plant.office(90, 260)
    for n in range(6):
        plant.greet(98.0 + 27 * n, new)
        plant.https(101.0 + 27 * n, METRICS, via=new)
        plant.resolve(106.0 + 27 * n, LOGS)
        plant.knocks(106.1 + 27 * n, LOGS, via=new)
        plant.clock(115.0 + 27 * n)
    plant.broker(99.0, 260, via=new)
    return plant


@situation("tls-intercepted", "ntp-silent", site=factory, also=("tls-alert",))
def inspection_and_no_time() -> Plant:
    """Two faults: every TLS is inspected, and the firm's clock does not answer."""
    plant = Plant()
    plant.greet(0.2)
    plant.runs(4.0, 220, times=False, logs=False)
    for n in range(12):
        plant.clock(1.0 + 17 * n, answers=False)
    for n in range(18):
        at = 3.0 + 11 * n
        name = NAMES[n % 6]
        plant.resolve(at, name)
        talk = plant.talk(name)
        up = talk.opens(at + 0.02, 0.001)
        talk.says(up + 0.002, name, thirteen=False)
        talk.heard(up + 0.003)
        talk.shows(up + 0.06, name, thirteen=False, issuer="Zscaler Inc.",
                   common="Zscaler Intermediate Root CA (zscloud.net) (t)")  # fmt: skip
        talk.send(up + 0.062, alert(48))
        talk.close(up + 0.0621)
    return plant


@situation("internet-down", site=nobody, violations=None)
def internet_is_dead_from_the_first_packet_and_nobody_wrote_a_site_file() -> Plant:
    """The capture begins in the middle of an outage; no site file."""
    plant = Plant()
    for n in range(8):
        plant.greet(0.3 + 25 * n)
        plant.clock(1.0 + 25 * n)
    _dies_for(plant, 2.0, 190.0)
    plant.office(0, 190)
    return plant


@situation("scan", site=factory, violations=None, says={"scan": "10[.]133[.]9[.]99"},
           also=("inbound-undeclared",), either=("scan",))  # fmt: skip
def scanner_looks_at_the_appliance() -> Plant:
    """The firm's vulnerability scanner tries a thousand ports of the appliance; one answers."""
    plant = Plant()
    plant.lives(150)
    at = 30.0
    for n in range(1000):
        talk = plant.talk("box", 1 + n * 9, address=BOX[1], client=NMS, via=BOX[0])
        talk.segment(at, True, SYN)
        if 1 + n * 9 == 8 * 9 + 1:
            talk.segment(at + 0.0003, False, SYN | ACK)
        else:
            talk.segment(at + 0.0003, False, RST | ACK)
        at += 0.04
    return plant


@situation("internet-down|tcp-blocked|endpoint-failing", site=factory, violations=None,
           also=("swapped-ports", "wrong-gateway", "endpoint-failing"),
           never={"*": "gateway does;"})  # fmt: skip
def cloud_traffic_leaves_by_the_camera_port() -> Plant:
    """Both ports have a gateway, and the camera port's wins: nothing answers there."""
    plant = Plant(port=("02:00:00:00:00:10", "10.133.60.5"))
    gate = ("70:df:2f:00:60:01", "10.133.60.1")
    for n in range(10):
        plant.add(0.3 + 20 * n, arp_packet(1, *plant.port, gate[1]))
        plant.add(0.301 + 20 * n, arp_packet(2, gate[0], gate[1], plant.port[1], plant.port[0]))
    other = Plant(seed=9)
    for n in range(20):
        at = 1.0 + 9.5 * n
        name = NAMES[n % 6]
        plant.resolve(at, name, client=BOX)
        plant.knocks(at + 0.02, name, via=gate[0])
    other.runs(2.0, 195, logs=False)
    plant.frames += other.frames
    return plant


@situation("ip-conflict", site=factory, violations=None, also=("internet-down",),
           either=("ip-conflict",))  # fmt: skip
def line_is_cut_and_a_laptop_took_the_address() -> Plant:
    """Two faults: the line is cut at 60 s, and a laptop uses the appliance's address."""
    plant = Plant()
    plant.lives(58)
    laptop = ("f0:de:f1:00:00:77", BOX[1])
    for n in range(8):
        at = 64.0 + 17 * n
        plant.add(at, arp_packet(1, *laptop, BOX[1]))
        plant.add(at + 0.0003, arp_packet(2, *BOX, BOX[1], laptop[0]))
        plant.add(at + 1, arp_packet(1, GATE[0], "10.133.40.2", BOX[1]))
        plant.add(at + 1.0003, arp_packet(2, *laptop, "10.133.40.2", GATE[0]))
        plant.add(at + 1.0005, arp_packet(2, *BOX, "10.133.40.2", GATE[0]))
    _dies_for(plant, 62.0, 205.0, HTTPS)
    plant.runs(62.0, 205, logs=False)
    return plant


@situation("mtu-low|tls-stalled", "dns-slow|dns-timeout", site=factory, also=())
def large_flights_are_lost_and_names_are_slow() -> Plant:
    """Two faults: full-size answers are lost on the line (PPPoE), and the resolver takes 900 ms."""
    plant = Plant()
    plant.greet(0.2)
    plant.runs(3.0, 300, logs=False)
    for n in range(12):
        at = 4.0 + 24 * n
        name = NAMES[n % 6]
        plant.resolve(at, name, after=0.9)
        talk = plant.talk(name)
        up = talk.opens(at + 1.0)
        talk.says(up + 0.002, name)
        talk.heard(up + 0.023)
        # of the flight only the last, short segment passes
        whole = tls.record(22, tls.server_hello(plant.chance, None, True)) + bytes(4400)
        tail = len(whole) - len(whole) % 1448
        talk.segment(up + 0.025, False, PSH | ACK, whole[tail:], talk.got + tail)
        talk.ack(up + 0.0252)
        talk.segment(up + 10, True, FIN | ACK)
    return plant
