"""What a technician met between an appliance and its cloud: names, TLS, time, leases, gateways."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import stream
from tests.situations.yard_tcp import ACK, RST, SYN, alert, hs, leaf, mac, rec, u24


@visit(
    "tcp-blocked|sni-filtered|endpoint-failing|tcp-refused",
    variants=[
        {"seed": 11, "how": "drop"},
        {"seed": 12, "how": "reset"},
        {"seed": 13, "how": "rst-syn"},
    ],
    says={"*": "layer"},
    also=("tcp-refused",),
)
def only_the_bucket_of_the_layers_is_closed(seed: int, how: str) -> Yard:
    """ECR answers, its layers' bucket does not (S3 of the same region works): images cannot be
    pulled."""
    y = Yard(seed)
    y.well(170)
    for n in range(5):
        t = 12 + 30 * n
        y.visit(t, y.ECR)
        y.visit(t + 1, y.DKR)
        y.look(t + 2.2, y.LAYERS)
        if how == "drop":
            y.knock(t + 2.3, y.LAYERS)
        else:
            for k in range(3):
                c = y.to(y.LAYERS)
                if how == "reset":
                    a = c.open(t + 2.3 + k * 2)
                    a = c.hello(a, y.LAYERS)
                    c.seg(a + 0.003, False, RST | ACK, ttl=250)
                else:
                    c.seg(t + 2.3 + k * 2, True, SYN)
                    c.q += 1
                    c.seg(t + 2.301 + k * 2, False, RST | ACK, seq=0, ttl=250)
    return y


@visit(
    "endpoint-failing|tls-stalled|mtu-low|slow-uplink",
    variants=[{"seed": 21}],
    says={"*": "layer"},
    never={"*": "block"},
)
def layers_stall_in_the_middle(seed: int) -> Yard:
    """Each download of a layer stops after some hundred kB: no more data, the client gives up after
    40 s with RST and begins anew. Everything else works."""
    y = Yard(seed)
    y.well(200)
    for n in range(4):
        t = 8 + 46 * n
        y.visit(t, y.ECR)
        y.look(t + 1, y.LAYERS)
        c = y.to(y.LAYERS)
        t = c.tls(t + 1.1, y.LAYERS, v13=y.v13)
        t = c.say(t, rec(23, bytes(600)))
        for _k in range(12):
            t = c.say(t + 0.01, rec(23, bytes(14000)), False)
        c.close(t + 40, rst=True)
    return y


@visit(variants=[{"seed": 22, "each": 90.0}, {"seed": 23, "each": 75.0}])
def layers_are_whole_and_their_connections_age(seed: int, each: float) -> Yard:
    """Each download is whole and of the same size; the client keeps its connection for a minute and
    then throws it away with RST. The next download comes later."""
    y = Yard(seed)
    y.well(10 + 5 * each)
    for n in range(5):
        t = 8 + each * n
        y.look(t, y.LAYERS)
        c = y.to(y.LAYERS)
        t = c.tls(t + 0.1, y.LAYERS, v13=y.v13)
        t = c.say(t, rec(23, bytes(600)))
        for _k in range(9):
            t = c.say(t + 0.002, rec(23, bytes(13000)), False)
        c.close(t + 60, rst=True)
    return y


@visit("captive-portal", variants=[{"seed": 31, "at": 70}, {"seed": 32, "at": 45}])
def guest_session_ends_and_the_portal_begins(seed: int, at: float) -> Yard:
    """All works; from a moment on each new connection to 443 is answered with HTTP 302 in clear by
    the guest network's gateway: the session has expired."""
    y = Yard(seed)
    y.well(at + 3)
    t = at + 5
    for n in range(14):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        y.look(t, name)
        c = y.to(name)
        c.rtt = 0.002
        a = c.open(t + 0.02)
        a = c.hello(a, name)
        a = c.say(
            a + 0.002,
            b"HTTP/1.1 302 Found\r\nLocation: http://10.1.0.1/login?dst=guest\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n",
            False,
        )
        c.server_close(a)
        if n % 3 == 0:
            y.who(t - 1, y.cloud, y.router)
            y.ntp(t - 0.9)
        t += 7
    return y


@visit(variants=[{"seed": 41}])
def aaaa_does_not_exist_but_a_does(seed: int) -> Yard:
    """The load balancer's DNS answers AAAA with NXDOMAIN (broken), A is fine and used: no fault for
    the appliance."""
    y = Yard(seed)
    y.well(80)
    for n, name in enumerate((y.IOT, y.LOGS, y.MON, y.S3, y.CRED) * 3):
        y.look(1 + 5 * n, name, qtype=28, rcode=3)
        y.look(1.001 + 5 * n, name)
    return y


@visit(
    "dns-nxdomain|dns-filtered|endpoint-failing",
    variants=[{"seed": 51, "rcode": 0}, {"seed": 52, "rcode": 3}],
    says={"*": "logs"},
    never={"*": "firewall"},
)
def alias_of_logs_leads_nowhere(seed: int, rcode: int) -> Yard:
    """logs' name is a CNAME of the site's own DNS zone that leads to a name without address: the
    name cannot be resolved."""
    return led_to("logs.internal.plant.example", seed, rcode)


@visit(
    "dns-filtered",
    variants=[{"seed": 53}],
    says={"*": "correct the alias logs.plant-aws.com"},
    never={"*": "firewall|allow-list"},
)
def alias_ends_in_the_letters_of_aws(seed: int) -> Yard:
    """The same with a zone of the site whose name ends in the letters of a domain of AWS."""
    return led_to("logs.plant-aws.com", seed, 0)


def led_to(alias: str, seed: int, rcode: int) -> Yard:
    """Logs' name leads to the alias, which has no address."""
    y = Yard(seed, dns="host")
    y.begin(skip=(y.LOGS,))
    y.mqtt(3, 150)
    y.goes_on(8, 150, skip=(y.LOGS,))
    for n in range(9):
        y.who(5 + 15 * n, y.cloud, y.resolver)
        y.look(5.1 + 15 * n, y.LOGS, [], cname=alias, rcode=rcode, soa=True)
        y.look(
            5.12 + 15 * n,
            y.LOGS,
            [],
            qtype=28,
            cname=alias,
            rcode=rcode,
            soa=True,
        )
    return y


@visit(
    "dns-forged",
    variants=[{"seed": 61}],
    says={"*": "iot"},
)
def a_forged_answer_comes_first(seed: int) -> Yard:
    """Each question for the broker gets two answers: a forged one (another address) first, the
    right one 30 ms later. The appliance takes the first; nothing answers there."""
    y = Yard(seed, dns="public")
    y.begin()
    y.goes_on(8, 160)
    fake = "198.18.7.9"
    for n in range(7):
        t = 4 + 22 * n
        y.txid += 1
        sp = 40000 + n
        y.udp(t, y.cloud, sp, y.resolver, 53, y.dnsmsg(y.txid, y.IOT, 1))
        y.udp(
            t + 0.004,
            y.resolver,
            53,
            y.cloud,
            sp,
            y.dnsmsg(y.txid, y.IOT, 1, [(1, fake, 300)]),
            ttl=61,
        )
        y.udp(
            t + 0.034,
            y.resolver,
            53,
            y.cloud,
            sp,
            y.dnsmsg(y.txid, y.IOT, 1, [(1, a, 60) for a in y.A[y.IOT]]),
        )
        y.knock(t + 0.01, addr=fake, port=443)
    return y


@visit("dns-slow", variants=[{"seed": 71, "wait": 5.2}, {"seed": 72, "wait": 2.7}])
def names_take_seconds(seed: int, wait: float) -> Yard:
    """The resolver answers each question, after seconds (a dead forwarder before the good one)."""
    y = Yard(seed, dns="host")
    y.who(0.1, y.cloud, y.resolver)
    y.who(0.2, y.cloud, y.router)
    y.ntp(0.3)
    t = 1
    for n in range(14):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        y.look(t, name, after=wait, again=1 if wait > 5 else 0)
        y.visit(t + wait + 0.05, name, look=False)
        t += wait + 4
        if n % 3 == 0:
            y.who(t - 1, y.cloud, y.router)
            y.ntp(t - 0.5)
    return y


@visit(
    "tls-alert|tls-intercepted|endpoint-failing",
    variants=[{"seed": 81, "code": 70}, {"seed": 82, "code": 40}],
    says={"*": r"version|handshake|cipher"},
)
def old_proxy_speaks_tls10_only(seed: int, code: int) -> Yard:
    """An inspecting box in front of all names answers each ClientHello with a fatal alert
    protocol_version (70) or handshake_failure (40)."""
    y = Yard(seed)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.4)
    for n in range(15):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        t = 1 + 8 * n
        y.look(t, name)
        c = y.to(name)
        c.rtt = 0.001
        a = c.open(t + 0.02)
        a = c.hello(a, name)
        a = c.say(a + 0.001, alert(2, code), False)
        c.server_close(a)
        if n % 4 == 3:
            y.who(t + 3, y.cloud, y.router)
            y.ntp(t + 3.2)
    return y


@visit(
    "tls-alert|endpoint-failing",
    variants=[{"seed": 91}],
    says={"*": "expire"},
    never={"*": r"pins|intercept"},
    severity={"tls-alert": "error"},
)
def certificate_of_one_endpoint_is_expired(seed: int) -> Yard:
    """One needed endpoint's server (a PrivateLink proxy, say) presents a certificate that ended 12
    days ago; the appliance refuses it with alert 45. The time is right, all others work."""
    y = Yard(seed, v13=False)
    y.begin()
    y.frames = [f for f in y.frames if y.MON.encode() not in f[1]]
    y = Yard(seed, v13=False)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    y.mqtt(1, 160)
    for n, name in enumerate((y.CRED, y.LOGS, y.S3) * 4):
        y.visit(3 + 12 * n, name)
        y.ntp(6 + 12 * n)
    for n in range(7):
        t = 7 + 20 * n
        y.look(t, y.MON)
        c = y.to(y.MON)
        a = c.open(t + 0.02)
        a = c.hello(a, y.MON, v13=False)
        a = c.flight(a, y.MON, v13=False, until=-12, since=-400)
        c.say(a + 0.003, alert(2, 45))
        c.close(a + 0.01)
        y.who(t + 2, y.cloud, y.router)
    return y


@visit("tls-alert", variants=[{"seed": 101}], says={"*": "name"})
def server_does_not_know_the_name(seed: int) -> Yard:
    """logs' connections are steered (wrong hosts entry in the proxy) to a server that answers alert
    unrecognized_name (112)."""
    y = Yard(seed)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    y.mqtt(1, 120)
    for n, name in enumerate((y.CRED, y.MON, y.S3) * 3):
        y.visit(3 + 12 * n, name)
        y.ntp(6 + 12 * n)
    for n in range(6):
        t = 7 + 18 * n
        y.look(t, y.LOGS)
        c = y.to(y.LOGS)
        a = c.open(t + 0.02)
        a = c.hello(a, y.LOGS)
        a = c.say(a + c.rtt, alert(2, 112), False)
        c.server_close(a)
    return y


@visit(
    "client-cert-rejected",
    variants=[{"seed": 111, "code": 45}, {"seed": 112, "code": 44}, {"seed": 113, "code": 46}],
    says={"client-cert-rejected": "certificate"},
)
def device_certificate_expired_or_revoked(seed: int, code: int) -> Yard:
    """TLS 1.2: after the client's certificate the broker answers alert certificate_expired /
    revoked / unknown. HTTPS without client certificates works."""
    y = Yard(seed, v13=False)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    for n, name in enumerate((y.LOGS, y.MON, y.S3) * 3):
        y.visit(3 + 12 * n, name)
        y.ntp(6 + 12 * n)
    for n in range(8):
        t = 2 + 14 * n
        y.look(t, y.IOT)
        c = y.to(y.IOT)
        a = c.open(t + 0.02)
        a = c.hello(a, y.IOT, ("x-amzn-mqtt-ca",), v13=False)
        a = c.flight(a, y.IOT, "x-amzn-mqtt-ca", False, True)
        der = leaf(y, "AWS IoT Certificate", "Amazon")
        a = c.say(
            a,
            rec(
                22,
                hs(11, u24(len(der) + 3) + u24(len(der)) + der)
                + hs(16, b"\x41" + bytes(65))
                + hs(15, b"\4\3\0\x47" + bytes(71)),
            )
            + rec(20, b"\1")
            + rec(22, bytes(40)),
        )
        a = c.say(a, alert(2, code), False)
        c.server_close(a)
    return y


@visit(
    "cleartext",
    variants=[{"seed": 121}],
    violations=1,
    also=("lateral",),
    says={"cleartext": r"1883|MQTT"},
)
def appliance_speaks_mqtt_in_clear_to_a_local_broker(seed: int) -> Yard:
    """An application on the appliance publishes to a broker in the plant on 1883, unencrypted, with
    user name and password. The site file does not list it."""
    y = Yard(seed)
    y.well(90)
    b = Host("00:0c:29:12:34:56", y.net + "200")
    y.who(5, y.cloud, b)
    c = y.tcp(y.cloud, b, 1883, rtt=0.0006)
    a = c.open(5.1)
    body = b"\0\4MQTT\4\xc2\0\x3c\0\6camera\0\4user\0\6secret"
    a = c.say(a, b"\x10" + bytes([len(body)]) + body)
    a = c.say(a, b"\x20\2\0\0", False)
    for n in range(16):
        t = 6 + 5 * n
        p = b"\0\x0dpeople/countxx"[:15] + b"42"
        c.say(t, b"\x30" + bytes([len(p)]) + p)
    return y


@visit("proxy-seen", variants=[{"seed": 131}], violations=None)
def socks_proxy_for_everything(seed: int) -> Yard:
    """All cloud traffic goes to a SOCKS5 proxy in the plant (port 1080), which connects on: it
    works for HTTPS."""
    y = Yard(seed)
    p = Host("00:0c:29:65:43:21", y.net + "88")
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    y.who(0.5, y.cloud, p)
    for n in range(14):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        c = y.tcp(y.cloud, p, 1080, rtt=0.001)
        a = c.open(1 + 6 * n)
        a = c.say(a, b"\5\1\0")
        a = c.say(a, b"\5\0", False)
        a = c.say(a, b"\5\1\0\3" + bytes([len(name)]) + name.encode() + b"\x01\xbb")
        a = c.say(a + 0.05, b"\5\0\0\1\0\0\0\0\0\0", False)
        c.rtt = 0.04
        a = c.hello(a, name)
        a = c.flight(a, name)
        a = c.finish(a)
        a = c.data(a)
        c.close(a + 1)
    return y


@visit("lateral", variants=[{"seed": 151}], violations=None)
def web_page_on_the_port_of_a_socks_proxy(seed: int) -> Yard:
    """The appliance asks a host in the plant for a web page on port 1080, which is no SOCKS."""
    y = Yard(seed)
    p = Host("00:0c:29:65:43:21", y.net + "88")
    y.well(90)
    y.who(5, y.cloud, p)
    for n in range(3):
        c = y.tcp(y.cloud, p, 1080, rtt=0.001)
        a = c.open(6 + 20 * n)
        a = c.say(a, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        a = c.say(a, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False)
        c.close(a + 1)
    return y


@visit("ntp-silent|ntp-rejected", variants=[{"seed": 141}])
def time_answers_come_from_another_address(seed: int) -> Yard:
    """The time server has two addresses and answers from the other one: no client takes that
    answer."""
    y = Yard(seed, ntp="host")
    y.begin()
    y.frames.clear()
    other = Host(y.clock.mac, y.net + "124")
    y.who(0.1, y.cloud, y.router)
    y.who(0.2, y.cloud, y.clock)
    y.mqtt(1, 170)
    for n, name in enumerate((y.CRED, y.LOGS, y.MON, y.S3) * 3):
        y.visit(2 + 13 * n, name)
        y.who(4 + 13 * n, y.cloud, y.router)
        y.who(4.5 + 13 * n, y.cloud, y.clock)
    for n in range(20):
        y.ntp(3 + 8 * n, fromhost=other)
    return y


@visit(variants=[{"seed": 151, "t1": 30}, {"seed": 152, "t1": 60}])
def lease_is_short_and_renewed(seed: int, t1: float) -> Yard:
    """The lease lasts a minute or two, and is renewed by unicast in good time."""
    y = Yard(seed, topology="single", cams=1)
    y.lease(0.1, y.cloud, y.router, y.router.ip, y.resolver.ip, seconds=2 * t1)
    y.well(200, begin=3)

    def p(a):
        return ipaddress.ip_address(a).packed

    for n in range(1, 190 // t1):
        t = t1 * n
        y.dhcp(
            t,
            3,
            y.cloud,
            xid=900 + n,
            ci=y.cloud.ip,
            src=y.cloud,
            dst=y.router,
            opts=y.opt(12, b"panorama"),
        )
        y.dhcp(
            t + 0.004,
            5,
            y.cloud,
            y.router,
            y.cloud.ip,
            900 + n,
            y.opt(54, y.router.packed)
            + y.opt(51, struct.pack("!I", 2 * t1))
            + y.opt(1, p("255.255.255.0"))
            + y.opt(3, y.router.packed)
            + y.opt(6, y.resolver.packed),
        )
    return y


@visit("wrong-gateway|gateway-silent|wrong-mask", variants=[{"seed": 161}], violations=None)
def lease_names_a_gateway_of_another_network(seed: int) -> Yard:
    """DHCP gives a gateway outside the leased subnet; the appliance asks for it by ARP for minutes,
    nobody answers; no packet leaves the site."""
    y = Yard(seed, ntp="public", dns="public")
    bad = y.net.rsplit(".", 2)[0] + ".9.1"
    srv = Host("00:0c:29:aa:bb:cc", y.net + "2")
    y.lease(0.2, y.cloud, srv, bad, "9.9.9.9")
    for n in range(100):
        y.arp(2.5 + 1.02 * n, 1, y.cloud, bad)
        if n % 9 == 0:
            y.arp(2.9 + 1.02 * n, 1, y.pc, y.net + "190")
            y.who(3 + n, y.pc, y.router)
    y.sitetext = y.site(gateways=[y.router.ip])
    return y


@visit(
    "ip-conflict|gateway-changed|arp-spoof", variants=[{"seed": 171}], says={"*": r"\.(1|254)\b"}
)
def two_routers_both_own_the_gateway(seed: int) -> Yard:
    """Two routers are both configured with the gateway's address (no VRRP): each question is
    answered by both MACs; every other connection dies."""
    y = Yard(seed)
    two = Host("00:1d:aa:01:02:03", y.router.ip)
    y.well(150)
    for n in range(14):
        t = 1.5 + 10 * n
        y.arp(t, 1, y.cloud, y.router.ip)
        y.arp(t + 0.0004, 2, y.router, y.cloud.ip, to=y.cloud.mac)
        y.arp(t + 0.0007, 2, two, y.cloud.ip, to=y.cloud.mac)
    return y


@visit(
    also=("gateway-changed",),
    variants=[{"seed": 181, "proto": "hsrp"}, {"seed": 183, "proto": "vrrp"}],
)
def virtual_gateway_moves_with_its_mac(seed: int, proto: Any) -> Yard:
    """HSRP or VRRP: the active router changes, the virtual MAC stays, 2.5 s without forwarding;
    nothing for anybody to do."""
    y = Yard(seed)
    vmac = "00:00:0c:07:ac:05" if proto == "hsrp" else "00:00:5e:00:01:05"
    y.router.mac, y.router.raw = vmac, mac(vmac)
    y.camrouter = y.camrouter
    for h in (y.resolver, y.clock):
        h.mac, h.raw = y.router.mac, y.router.raw
    y.well(120)
    a = Host("00:17:94:00:00:01", y.net + "2")
    b = Host("00:17:94:00:00:02", y.net + "3")
    dst = (
        Host("01:00:5e:00:00:02", "224.0.0.2")
        if proto == "hsrp"
        else Host("01:00:5e:00:00:12", "224.0.0.18")
    )
    for n in range(40):
        t = 0.3 + 3 * n
        for h, active in ((a, t < 61), (b, t >= 61)):
            if proto == "hsrp":
                if h is a and 58 < t < 75:
                    continue
                src = Host(vmac if active else h.mac, h.ip)
                y.udp(
                    t + (0.1 if h is b else 0),
                    src,
                    1985,
                    dst,
                    1985,
                    struct.pack(
                        "!BBBBBBBB8s4s",
                        0,
                        0,
                        16 if active else 8,
                        3,
                        10,
                        110 if h is a else 100,
                        5,
                        0,
                        b"cisco",
                        y.router.packed,
                    ),
                    ttl=1,
                )
            elif active:
                src = Host(vmac, h.ip)
                body = struct.pack(
                    "!BBBBBBH4s", 0x21, 5, 110 if h is a else 100, 1, 0, 1, 0, y.router.packed
                ) + bytes(8)
                y.ip(t, src, dst, 112, body, ttl=255)
    y.arp(61.3, 2, y.router, y.router.ip)
    y.frames = [
        f
        for f in y.frames
        if not (58.5 < f[0] < 61 and (y.cloud.raw in f[1][:12]) and f[1][12:14] == b"\x08\0")
    ]
    return y


@visit(variants=[{"seed": 191}])
def priority_tags_of_vlan_zero(seed: int) -> Yard:
    """The switch marks frames with priority tags (VLAN 0, 802.1p): that is no VLAN and no trunk."""
    y = Yard(seed, vlan=0xA000 if seed % 2 else 0x6000)
    y.well(60)
    for n, c in enumerate(y.cams):
        stream(y, c, 1 + n, 55)
    return y


@visit(variants=[{"seed": 201}])
def mirror_from_two_vlans_with_qinq(seed: int) -> Yard:
    """The mirror comes over an RSPAN: each frame carries the RSPAN's tag, and the port's own below
    it."""
    y = Yard(seed, vlan=[0x83E7, 0x8000 | 20])
    y.well(60)
    stream(y, y.cams[0], 1, 55)
    stream(y, y.cams[1], 2, 55, transport="tcp")
    return y


@visit(variants=[{"seed": 211, "mss": 1412}, {"seed": 212, "mss": 1360}])
def router_clamps_the_mss(seed: int, mss: int) -> Yard:
    """PPPoE or a tunnel: the router clamps the MSS in each SYN/ACK; everything works."""
    y = Yard(seed)
    old = y.tcp
    y.tcp = lambda *a, **k: old(*a, **{**k, "mss": mss})
    y.well(80)
    return y


@visit(variants=[{"seed": 221}])
def gateway_redirects_to_the_right_router(seed: int) -> Yard:
    """The gateway sends ICMP redirects for some hosts to a second router that works: a matter of
    tidiness."""
    y = Yard(seed)
    y.well(90)
    r2 = Host("00:09:0f:11:22:33", y.net + "3")
    for n in range(3):
        t = 10 + 25 * n
        q = y.packet(y.cloud, y.remote(y.A[y.LOGS][0]), 6, bytes(20))
        y.icmp(t, y.router, y.cloud, 5, 1, q, rest=int(ipaddress.ip_address(r2.ip)))
        y.who(t + 0.01, y.cloud, r2)
    return y
