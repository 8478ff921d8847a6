"""What people report of an appliance that is offline in the console: between it and AWS."""

from __future__ import annotations

import struct

from tests.situations.stack import Host, checksum, packed
from tests.situations.stack_day import https, light, mqtt, times, to, works
from tests.situations.stack_names import dhcp, look, ntp, option, terms
from tests.situations.stack_tcp import ACK, PSH
from tests.situations.stack_tls import Tls, noise, rec
from tests.situations.visit import visit

RETRY = (0, 1.1, 3.4, 7.6, 15.9)  # of the AWS client runtime, with jitter


def connected(s, at, find=True, v13=False, port=443):
    """MQTT connected and subscribed."""
    c = to(s, s.IOT, at, port, find=find)
    c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",) if port == 443 else (), v13=v13, mutual=True)
    return c.data(118, 4, c.t + 0.004, 0.02)


@visit(
    "mqtt-flapping",
    never={"*": "firewall must|idle|no longer reach"},
    says={"mqtt-flapping": "clos|ends|reopen|opened"},
)
def broker_closes_after_each_message_that_no_policy_allows():
    """The broker accepts the connection and ends it by FIN 60 ms after each PUBLISH; the client
    comes back at once, as its queue still holds the message."""
    s = works(101, 44, skip=("mqtt",))
    t = 1.0
    for n in range(9):
        c = connected(s, t, find=n % 4 == 0)
        c.data(640, 0, c.t + 0.05)
        c.fin(c.t + s.rtt + 0.06, 1)
        t = c.t + min(1.0 * 2 ** (n % 4), 6)
    return s


@visit("mqtt-flapping", never={"*": "idle for|forgets"})
def broker_ends_the_connection_each_two_minutes_though_it_is_pinged():
    """Each 120 s the broker closes; pings of 30 s were answered all along."""
    s = works(102, 30, skip=("mqtt",), streams=False)
    for n in range(5):
        c = connected(s, 1 + 121 * n)
        for _k in range(3):
            c.data(2, 2, c.t + 30, 0.001)
        c.fin(1 + 121 * n + 120, 1)
    times(s, 40, 600)
    return s


@visit(
    "client-cert-rejected|endpoint-failing|mqtt-flapping",
    says={"*": "certificate|device|registered"},
    never={"*": "firewall"},
)
def certificate_is_inactive_and_the_broker_leaves_after_the_handshake():
    """TLS 1.2: the handshake is complete; the broker closes by FIN without an alert each time,
    before any MQTT byte of its own. All else works."""
    s = works(103, 40, skip=("mqtt",))
    for n, d in enumerate((*RETRY, 24, 32)):
        c = to(s, s.IOT, 1 + d, find=n == 0)
        c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",), v13=False, mutual=True)
        c.data(118, 0, c.t + 0.004)
        c.fin(c.t + s.rtt + 0.02, 1)
    return s


@visit()
def first_connection_of_a_new_device_is_closed_and_the_second_stays():
    """Just-in-time registration: the first connection is closed by design, the next one stays."""
    s = works(104, 34, skip=("mqtt",))
    c = connected(s, 1)
    c.fin(c.t + s.rtt + 0.02, 1)
    mqtt(s, 5.2, 34, find=False)
    return s


@visit(
    "endpoint-failing|sni-filtered|mqtt-flapping|tls-blocked",
    never={"*": "certificate|idle"},
    says={"*": "reset"},
)
def firewall_resets_mqtt_once_it_has_recognised_it():
    """The handshake with the broker completes; the first enciphered data are answered by a reset
    that has the gateway's TTL. HTTPS to all other names works."""
    s = works(105, 42, skip=("mqtt",))
    for n, d in enumerate((*RETRY, 28)):
        c = to(s, s.IOT, 1 + d, find=n < 2)
        c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",), v13=False, mutual=True)
        c.data(118, 0, c.t + 0.004)
        c.rst(c.t + 0.003, 1, ttl=64)
    return s


@visit("tcp-refused", says={"tcp-refused": "firewall|gateway|nearer|refus"}, never={"*": "is down"})
def firewall_resets_the_broker_port_8883_and_443_is_not_tried():
    """Each SYN to 8883 is answered by a reset of the gateway's TTL within 1 ms; the server is 100
    ms away. HTTPS works."""
    s = works(106, 40, skip=("mqtt",), rtt=0.1)
    for n, d in enumerate((*RETRY, 24, 33)):
        c = to(s, s.IOT, 1 + d, 8883, find=n % 3 == 0)
        c.refused(c.t, 0.0008, ttl=64)
    return s


@visit("tcp-blocked", says={"tcp-blocked": "8883"}, never={"*": "internet is|broker is down"})
def firewall_drops_8883_and_nothing_else():
    """SYNs to 8883 go out at 0, 1, 3 and 7 s and again after a pause; 443 works for all names."""
    s = works(107, 52, skip=("mqtt",))
    for n, d in enumerate((1, 13, 28, 43)):
        c = to(s, s.IOT, d, 8883, find=True, ip=s.ips(s.IOT)[n])
        c.knock(c.t, (0, 1.02, 3.04) if d < 43 else (0, 1.02, 3.04, 7.2))
    return s


@visit("dns-timeout|dns-slow", says={"*": r"\d"}, never={"*": "no answer of any kind|is down"})
def resolver_drops_questions_with_edns():
    """Questions with EDNS get no answer; the client asks again without it after 5 s and is
    answered. Each lookup takes 5 s."""
    s = works(108, 60, skip=("cred", "mon", "s3", "logs", "mqtt"), streams=False)
    for n, name in enumerate((s.CRED, s.LOGS, s.MON, s.S3, s.IOT, s.LOGS)):
        t = 1 + n * 8.3
        look(s, t, name, silent=(1, 28), tries=1)
        look(s, t + 5, name, style="glibc")
        if name == s.IOT:
            mqtt(s, t + 5.02, 60, find=False)
        else:
            https(s, t + 5.02, name, find=False)
    return s


@visit()
def resolver_says_formerr_to_edns_and_is_asked_without():
    """Each question with EDNS is answered FORMERR at once; the client repeats it without and gets
    its answer 20 ms later."""
    s = works(109, 30, skip=("cred", "mon", "s3", "logs", "mqtt"))
    for n, name in enumerate((s.CRED, s.LOGS, s.MON, s.S3, s.IOT)):
        t = 1 + n * 4.3
        look(s, t, name, rcode=1, soa=False)
        look(s, t + 0.02, name, style="glibc")
        if name == s.IOT:
            mqtt(s, t + 0.04, 30, find=False)
        else:
            https(s, t + 0.04, name, find=False)
    return s


def rechecked(frame):
    """The checksum of the IPv4 header, and none of UDP."""
    head = frame[14:24] + b"\0\0" + frame[26:34]
    return frame[:24] + struct.pack("!H", checksum(head)) + frame[26:40] + b"\0\0" + frame[42:]


@visit(
    "dns-timeout|dns-refused",
    says={"*": "port|unreachable|no DNS|not run|closed|refus"},
    never={"*": "silent"},
)
def gateway_is_set_as_resolver_and_runs_none():
    """The gateway answers each DNS question with ICMP port unreachable; it answers ARP and time."""
    s = works(112, 44, skip=("cred", "mon", "s3", "logs", "mqtt"))
    for n in range(8):
        name = (s.CRED, s.LOGS, s.MON, s.IOT)[n % 4]
        k = len(s.frames)
        look(s, 1 + n * 5.2, name, silent=(1, 28), tries=1, style="glibc")
        for at, frame, _ in s.frames[k:]:
            s.icmp(at + 0.0003, s.router, s.cloud, 3, 3, frame[14:])
    return s


@visit("dns-refused", never={"*": "blocked by a firewall"})
def domain_controller_refuses_strangers():
    """A Windows DNS server answers REFUSED to each question of the appliance."""
    s = works(114, 40, skip=("cred", "mon", "s3", "logs", "mqtt"), dns="host")
    for n in range(10):
        look(s, 1 + n * 3.7, (s.CRED, s.LOGS, s.MON, s.IOT)[n % 4], rcode=5, soa=False)
    return s


@visit("ntp-unsynced", says={"ntp-unsynced": "refus|DENY"}, never={"*": "clock is off"})
def time_server_denies_the_appliance():
    """Kiss code DENY to each request; names and cloud work."""
    s = works(115, 40, skip=("time",))
    for n in range(8):
        ntp(s, 0.4 + n * 5, kiss=b"DENY")
    return s


@visit("ntp-silent", never={"*": "clock is"})
def firewall_lets_time_pass_only_from_high_ports():
    """ntpd asks from port 123 and is never answered; the PC's time client, from a high port, is."""
    s = works(116, 40, skip=("time",), ntp="public")
    for n in range(9):
        ntp(s, 0.4 + n * 4.2, style="ntpd", answer=False)
    s.pc.name = "pc"
    for n in range(3):
        ntp(s, 2.4 + n * 10, who=s.pc, style="timesyncd")
    return s


@visit(
    "idle-timeout", never={"*": "is down|certificate"}, says={"idle-timeout": "35[0-9]|5 min|6 min"}
)
def kept_http_connection_is_reset_after_350_seconds():
    """Logs are sent each 6 minutes on a kept connection: each time its first byte is answered by a
    reset of the NAT gateway, and a new connection works at once."""
    s = works(119, 12, skip=("logs",), streams=False)
    c = to(s, s.LOGS, 2)
    c.hand(c.t, s.LOGS, ("http/1.1",))
    c.data(1340, 300, c.t + 0.01)
    for n in range(4):
        t = 2 + 360 * (n + 1)
        c.settle(0, t)
        c.up(rec(23, noise(1357)), t)
        c.rst(t + s.rtt, 1)
        c = to(s, s.LOGS, t + 0.1)
        c.hand(c.t, s.LOGS, ("http/1.1",))
        c.data(1340, 300, c.t + 0.01)
        mqtt(s, t - 250, t, find=False, every=60)
    c.done()
    times(s, 64, 1450, 128)
    return s


@visit(also=("slow-uplink",), never={"*": "internet is down|blocked"})
def carrier_gives_a_new_address_and_all_old_connections_hang():
    """At 20 s the carrier changes the public address: what was open is never answered again; each
    new connection works at once."""
    s = works(121, 60, skip=("mqtt", "logs"), streams=False)
    c = to(s, s.IOT, 1)
    c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",), v13=False, mutual=True).data(118, 4, c.t + 0.01, 0.02)
    c.data(2, 2, c.t + 15, 0.001).done()
    c.stall(rec(23, noise(26)), 31, until=44)
    g = to(s, s.LOGS, 2)
    g.hand(g.t, s.LOGS, ("http/1.1",)).data(1340, 300, g.t + 0.01)
    g.data(1340, 300, g.t + 10).done()
    g.stall(rec(23, noise(1357)), 22, until=32)
    mqtt(s, 45, 60)
    https(s, 33, s.LOGS, times=5)
    return s


@visit(also=("mtu-low",))
def router_says_fragmentation_needed_once_and_the_client_obeys():
    """A tunnel of 1,400 bytes: the first full segments to each name are answered by ICMP 3/4, sent
    again smaller, and all goes on."""
    s = works(122, 40, skip=("s3", "logs"))
    for n, name in enumerate((s.LOGS, s.S3)):
        c = to(s, name, 2 + n * 5)
        c.hand(c.t, name, ("http/1.1",))
        body = rec(23, noise(4000))
        first = c.seg(c.t + 0.01, 0, ACK | PSH, body[:1448])
        s.icmp(c.t + 0.0106, s.router, s.cloud, 3, 4, first, rest=1400)
        c.mss = 1360
        c.send(0, body, c.t + 0.011)
        c.data(0, 300)
        c.bye(c.t + 4)
    return s


@visit("tcp-blocked|internet-down|endpoint-failing", also=("wrong-region",), violations=None)
def application_uses_a_bucket_of_another_region_that_the_firewall_drops():
    """The application's bucket lies in another region: its name is answered, its SYNs are not."""
    s = works(124, 50, region="eu-west-1")
    name = "plant-models.s3.us-west-2.amazonaws.com"
    for n in range(3):
        c = to(s, name, 3 + n * 15)
        c.knock(c.t, (0, 1.02, 3.05, 7.2))
    return s


@visit("address-changed|unlisted-endpoint|wrong-mask", violations=None, never={"*": "reserve"})
def packets_of_a_container_leave_without_translation():
    """SYNs leave the cloud port with the source 172.17.0.3, the container's own: nobody answers
    them. All that is translated works."""
    s = works(125, 40)
    inside = s.cloud.at("172.17.0.3")
    for n in range(3):
        c = Tls(s, inside, s.far(s.ips(s.LOGS)[0]), 443)
        c.knock(6 + n * 11, (0, 1.02, 3.05))
    return s


@visit("scan", also=("inbound-undeclared",), violations=None)
def vulnerability_scanner_knocks_at_the_appliance():
    """A scanner in the office sends SYNs to 90 ports of the appliance within 12 s; all are
    refused."""
    s = works(126, 34)
    scanner = Host("00:0c:29:aa:10:20", s.net + "201", name="scanner")
    s.who(6, scanner, s.cloud)
    for n in range(90):
        c = Tls(s, scanner, s.cloud, 20 + n * 37, rtt=0.0003)
        c.refused(6 + n * 0.13)
    return s


@visit("dhcp-nak|dhcp-rogue", also=("dhcp-rogue", "dhcp-nak"))
def second_server_refuses_what_the_first_one_gives():
    """Two DHCP servers: one offers and acknowledges, the other answers each REQUEST with NAK first;
    the appliance begins again each time."""
    s = works(128, 12, skip=("mqtt", "logs", "s3", "mon", "cred", "time"), streams=False)
    other = Host("00:50:56:01:02:03", s.net + "3", "windows")
    for n in range(6):
        t, xid = 1 + n * 6.0, 0x5500 + n
        dhcp(s, t, 1, s.cloud, xid=xid)
        dhcp(
            s, t + 0.02, 2, s.cloud, s.router, s.cloud.ip, xid, more=terms(s, s.router, s.router.ip)
        )
        ask = option(50, packed(s.cloud.ip)) + option(54, packed(s.router.ip))
        dhcp(s, t + 0.03, 3, s.cloud, xid=xid, more=ask)
        dhcp(s, t + 0.034, 6, s.cloud, other, xid=xid, more=option(54, packed(other.ip)))
    light(s, 2, 34)
    return s


@visit(
    "dns-timeout|icmp-blocked",
    says={"*": "prohibit|reject|block|firewall"},
    never={"*": "resolver is down"},
)
def public_resolver_is_prohibited_by_the_router():
    """The appliance asks 9.9.9.9; the gateway answers each question with ICMP 3/13."""
    s = works(111, 44, skip=("cred", "mon", "s3", "logs", "mqtt"), dns="public")
    for n in range(8):
        name = (s.CRED, s.LOGS, s.MON, s.IOT)[n % 4]
        k = len(s.frames)
        look(s, 1 + n * 5.2, name, silent=(1, 28), tries=1, style="glibc")
        for at, frame, _ in s.frames[k:]:
            s.icmp(at + 0.0006, s.router, s.cloud, 3, 13, frame[14:])
    return s


@visit(
    "dns-timeout",
    says={"dns-timeout": "2 of|first|other|10|one of"},
    severity={"dns-timeout": "warning"},
)
def first_of_two_resolvers_is_dead_and_the_second_answers():
    """Each name is asked of the dead one first, twice in 5 s steps, then of the living one at
    once."""
    s = works(113, 60, skip=("cred", "mon", "s3", "logs", "mqtt"), dns="host", streams=False)
    dead = s.resolver.at(s.net + "9", "00:15:5d:01:02:03")
    s.sitetext = s.site().replace(
        f'dns = ["{s.resolver.ip}"]', f'dns = ["{dead.ip}", "{s.resolver.ip}"]'
    )
    for n in range(6):
        s.who(0.6 + n * 8.3, s.cloud, dead, answers=False)
    for n, name in enumerate((s.CRED, s.LOGS, s.MON, s.S3, s.IOT, s.LOGS)):
        t = 1 + n * 8.3
        look(s, t, name, silent=(1, 28), tries=1, style="glibc", server=dead)
        look(s, t + 5, name, style="glibc")
        if name == s.IOT:
            mqtt(s, t + 5.02, 60, find=False)
        else:
            https(s, t + 5.02, name, find=False)
    return s
