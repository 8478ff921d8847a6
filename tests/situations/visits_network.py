"""What a technician met on networks: lines, routers, ports, addresses, and no faults."""

from __future__ import annotations

import ipaddress
import struct

from tests.situations.visit import visit
from tests.situations.yard import BCAST, Host, Yard
from tests.situations.yard_camera import stream
from tests.situations.yard_tcp import ACK, PSH, RST, SYN, rec


@visit(
    "internet-down",
    variants=[{"seed": 231, "gap": 22}, {"seed": 232, "gap": 50}],
    cleared=("internet-down",),
    either=("idle-timeout",),
)
def lte_takes_over(seed: int, gap: float) -> Yard:
    """The line dies at 60 s, the LTE stick takes over: connections of before are dead, new ones
    work at 90 ms. At the end all is well."""
    y = Yard(seed, ntp="public", dns="public")
    y.begin()
    y.look(2.8, y.IOT)
    c = y.to(y.IOT)
    t = c.tls(2.9, y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
    while t < 58:
        c.data(t, 31, 31)
        t += 9
    y.goes_on(8, 58)
    for d in (0, 0.25, 0.7, 1.6, 3.4, 7, 14):
        c.seg(61 + d, True, ACK | PSH, rec(23, bytes(31)))
    for n in range(int(gap // 7)):
        y.knock(62 + 7 * n, y.LOGS, times=3)
        y.who(61 + 7 * n, y.cloud, y.router)
        y.ntp(63 + 7 * n, answer=False)
        y.look(63 + 7 * n, y.MON, after=None)
    end = 60 + gap
    y.rtt = 0.09
    y.mqtt(end + 2, end + 80, every=9)
    for n in range(5):
        y.visit(end + 4 + 15 * n, (y.LOGS, y.MON, y.S3, y.CRED, y.LOGS)[n])
        y.ntp(end + 6 + 15 * n)
        y.who(end + 7 + 15 * n, y.cloud, y.router)
    return y


@visit(
    "tcp-blocked|endpoint-failing",
    variants=[{"seed": 261}],
    severity={"tcp-blocked": "warning", "endpoint-failing": "warning"},
    says={"*": "52.94.9"},
)
def one_address_of_logs_is_dead(seed: int) -> Yard:
    """logs has two addresses; connections to one work, SYNs to the other get no answer (client then
    takes the other): slow, not blocked."""
    y = Yard(seed)
    y.A[y.LOGS] = ["52.94.230.77", "52.94.9.13"]
    y.well(170, skip=(y.LOGS,))
    for n in range(8):
        t = 5 + 20 * n
        y.look(t, y.LOGS)
        y.knock(t + 0.1, addr="52.94.9.13", times=3)
        y.visit(t + 9, y.LOGS, look=False, addr="52.94.230.77")
    return y


@visit(variants=[{"seed": 271}])
def names_answered_in_turn_with_ttl_zero(seed: int) -> Yard:
    """The resolver gives one address at a time with TTL 0, each time another of 12: all works."""
    y = Yard(seed)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.2)
    y.mqtt(1, 115)
    for n in range(20):
        name = (y.LOGS, y.MON, y.S3, y.CRED)[n % 4]
        a = f"52.94.{n * 7 % 250}.{n * 13 % 250 + 1}"
        y.look(3 + 5.5 * n, name, [a], ttl=0)
        y.visit(3.1 + 5.5 * n, name, look=False, addr=a)
        if n % 3 == 0:
            y.who(4 + 5.5 * n, y.cloud, y.router)
            y.ntp(4.5 + 5.5 * n)
    return y


@visit(
    "inbound-internet|inbound-undeclared|scan",
    variants=[{"seed": 281}],
    violations=6,
)
def upnp_opened_the_appliance_to_the_world(seed: int) -> Yard:
    """A port of the appliance (8080) is reached from several addresses of the internet and answers:
    it is exposed."""
    y = Yard(seed)
    y.well(90)
    for n in range(6):
        ip = f"{[45, 89, 185, 103, 141, 162][n]}.{n * 40 + 3}.{n * 9 + 1}.{n + 20}"
        h = y.remote(ip, ttl=48)
        c = y.tcp(h, y.cloud, 8080, rtt=0.0003)
        c.sport = 40000 + n
        a = c.open(10 + 12 * n)
        a = c.say(a, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        a = c.say(a, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False)
        c.close(a + 0.1)
    return y


@visit(
    variants=[{"seed": 291}],
    violations=1,
    also=("policy-drift", "unlisted-endpoint", "dns-bypass", "beacon"),
)
def application_uses_dns_over_https(seed: int) -> Yard:
    """An application on the appliance resolves by DNS over HTTPS at 1.1.1.1 and works: a violation
    of the list, no fault."""
    y = Yard(seed)
    y.well(80)
    for n in range(3):
        y.visit(
            8 + 23 * n, "cloudflare-dns.com", look=False, addr="1.1.1.1", alpn=("h2", "http/1.1")
        )
    return y


@visit(
    "internet-down|tcp-blocked|endpoint-failing|gateway-silent",
    variants=[{"seed": 301, "when": 40}, {"seed": 302, "when": 75}],
)
def firewall_reboots_and_stays_away(seed: int, when: float) -> Yard:
    """At a moment the router does not answer even ARP any more: gateway gone."""
    y = Yard(seed, ntp="public", dns="public")
    y.well(when)
    for n in range(60):
        y.arp(when + 2 + n * 1.01, 1, y.cloud, y.router.ip)
        if n % 6 == 0:
            y.arp(when + 2.4 + n, 1, y.pc, y.router.ip)
    return y


@visit(variants=[{"seed": 321}], also=("ntp-unsynced",), cleared=("ntp-unsynced",))
def time_server_boots_beside_the_appliance(seed: int) -> Yard:
    """After a power cut the time server first says 'not synchronised' (leap 3, stratum 16 / INIT)
    for a minute, then is well: over."""
    y = Yard(seed, ntp="host")
    y.who(0.1, y.cloud, y.router)
    y.who(0.15, y.cloud, y.clock)
    for n in range(5):
        y.ntp(0.3 + 12 * n, stratum=16 if seed % 2 else 0, leap=3, ref=b"INIT")
    for n in range(8):
        y.ntp(62 + 16 * n, ref=b"GPS\0")
        y.who(63 + 16 * n, y.cloud, y.clock)
    y.mqtt(2, 180)
    for n in range(12):
        y.visit(4 + 14 * n, (y.LOGS, y.MON, y.S3, y.CRED)[n % 4])
        y.who(5 + 14 * n, y.cloud, y.router)
    return y


@visit(variants=[{"seed": 331}])
def dhcpv6_and_router_advertisements_without_a_server(seed: int) -> Yard:
    """IPv6 noise on an IPv4 site: the port solicits routers and DHCPv6 and nobody answers; MLD
    reports. IPv4 works."""
    y = Yard(seed)
    y.well(90)
    ll = Host(y.cloud.mac, "fe80::1:2ff:fe03:4")
    for n in range(6):
        t = 1 + 14 * n
        y.ip(
            t,
            ll,
            Host("33:33:00:00:00:02", "ff02::2"),
            58,
            b"\x85\0\0\0\0\0\0\0\1\1" + y.cloud.raw,
            ttl=255,
        )
        sol = (
            b"\1\x12\x34\x56"
            + struct.pack("!HH", 1, 10)
            + b"\0\3\0\1"
            + y.cloud.raw
            + struct.pack("!HHIII", 3, 12, 1, 0, 0)
            + struct.pack("!HHHH", 6, 4, 23, 24)
            + struct.pack("!HHH", 8, 2, 0)
        )
        y.udp(t + 0.5, ll, 546, Host("33:33:00:01:00:02", "ff02::1:2"), 547, sol, ttl=1)
        y.ip(
            t + 0.7,
            ll,
            Host("33:33:00:00:00:16", "ff02::16"),
            58,
            b"\x8f\0\0\0\0\0\0\1\4\0\0\0" + Host("33:33:00:00:00:fb", "ff02::fb").packed,
            ttl=1,
        )
    return y


@visit(
    "mqtt-flapping",
    variants=[{"seed": 341}],
    says={"mqtt-flapping": "ends it itself after 30 s.*no answer"},
    never={"*": "client id|certificate"},
)
def broker_443_works_but_says_nothing_after_the_handshake(seed: int) -> Yard:
    """TLS to the broker is finished; the client's CONNECT is acknowledged by TCP and never
    answered; after 30 s the client closes and begins anew. HTTPS works."""
    y = Yard(seed)
    y.begin()
    y.goes_on(7, 190)
    for n in range(6):
        t = 3 + 31 * n
        y.look(t, y.IOT)
        c = y.to(y.IOT)
        a = c.tls(t + 0.02, y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
        c.say(a, rec(23, bytes(190)))
        c.close(a + 30)
    return y


@visit(variants=[{"seed": 351}])
def night_update_of_forty_megabytes_in_small(seed: int) -> Yard:
    """A quiet hour; then a new image is pulled from ECR and its bucket, megabytes at once: an
    update, no fault."""
    y = Yard(seed)
    y.begin()
    y.mqtt(3, 400, every=60)
    for n in range(18):
        y.who(8 + 21 * n, y.cloud, y.router)
        y.ntp(9 + 21 * n)
    y.visit(200, y.ECR)
    y.visit(202, y.DKR)
    y.look(204, y.LAYERS)
    c = y.to(y.LAYERS)
    t = c.tls(204.1, y.LAYERS)
    t = c.say(t, rec(23, bytes(500)))
    for _k in range(80):
        t = c.say(t + 0.004, rec(23, bytes(16000)), False)
    c.close(t + 0.1)
    y.mqtt(210, 400, every=60)
    return y


@visit(variants=[{"seed": 361}], info=(), also=())
def wpad_and_llmnr_and_netbios(seed: int) -> Yard:
    """PCs look for a proxy (wpad), LLMNR, NetBIOS, mDNS, SSDP; some names do not exist: not the
    appliance's."""
    y = Yard(seed)
    y.well(80)
    for n in range(10):
        t = 2 + 7 * n
        y.look(t, "wpad.corp.example", client=y.pc, rcode=3)
        y.udp(
            t + 0.3,
            y.pc,
            50000 + n,
            Host("01:00:5e:00:00:fc", "224.0.0.252"),
            5355,
            y.dnsmsg(n, "printer7", 1),
        )
        y.udp(
            t + 0.4,
            y.pc,
            137,
            Host(BCAST, y.net + "255"),
            137,
            struct.pack("!HHHHHH", n, 0x110, 1, 0, 0, 0) + b"\x20" + b"CK" * 16 + b"\0\0\x20\0\1",
        )
        y.udp(
            t + 0.5,
            y.pc,
            51000 + n,
            Host("01:00:5e:7f:ff:fa", "239.255.255.250"),
            1900,
            b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
            b'MAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n',
        )
    return y


@visit(
    "proxy-seen",
    variants=[{"seed": 371}],
    violations=None,
    either=(),
    says={"proxy-seen": "."},
    also=("endpoint-failing",),
)
def proxy_lets_https_pass_but_not_mqtt(seed: int) -> Yard:
    """An explicit proxy on 3128: CONNECT to HTTPS names is 200, CONNECT to the broker is 403."""
    y = Yard(seed)
    p = Host("00:0c:29:65:43:22", y.net + "89")
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    y.who(0.5, y.cloud, p)
    for n in range(15):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        c = y.tcp(y.cloud, p, 3128, rtt=0.001)
        a = c.open(1 + 6 * n)
        a = c.say(a, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
        if name == y.IOT:
            a = c.say(
                a, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nVia: 1.1 proxy\r\n\r\n", False
            )
            c.server_close(a)
            continue
        a = c.say(a + 0.05, b"HTTP/1.1 200 Connection established\r\n\r\n", False)
        c.rtt = 0.04
        a = c.hello(a, name)
        a = c.flight(a, name)
        a = c.finish(a)
        a = c.data(a)
        c.close(a + 1)
        y.ntp(3 + 6 * n)
    return y


@visit("link-local|dhcp-no-offer", variants=[{"seed": 381}], violations=None)
def port_has_only_a_link_local_address(seed: int) -> Yard:
    """DHCP gets no answer; the port takes 169.254 and announces it."""
    y = Yard(seed)
    m = y.cloud
    for n in range(14):
        y.dhcp(0.3 + 8 * n, 1, m, xid=77 + n // 4, opts=y.opt(12, b"panorama"))
        if n % 3 == 0:
            y.arp(1 + 8 * n, 1, y.pc, y.net + "199")
            y.who(2 + 8 * n, y.pc, y.router)
    ll = Host(m.mac, "169.254.77.12")
    for n in range(3):
        y.arp(20 + n, 1, Host(m.mac, "0.0.0.0"), ll.ip)
    for n in range(2):
        y.arp(24 + 2 * n, 1, ll, ll.ip)
    for n in range(6):
        y.udp(
            30 + 12 * n,
            ll,
            5353,
            Host("01:00:5e:00:00:fb", "224.0.0.251"),
            5353,
            y.dnsmsg(0, "panorama.local", 1),
            ttl=255,
        )
    return y


@visit(
    "tls-blocked|sni-filtered|tls-stalled|endpoint-failing",
    variants=[{"seed": 391, "how": "rst"}, {"seed": 392, "how": "fin"}],
    never={"*": "certificate"},
)
def split_hellos_are_cut(seed: int, how: str) -> Yard:
    """A large hello (post-quantum key share, two segments): an old firewall cuts each connection
    after the second segment, for all names. Time, names, ARP work."""
    y = Yard(seed)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    for n in range(16):
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        t = 1 + 7 * n
        y.look(t, name)
        c = y.to(name)
        a = c.open(t + 0.02)
        a = c.hello(a, name, big=1400)
        if how == "rst":
            c.seg(a + 0.002, False, RST | ACK, ttl=254)
        else:
            c.server_close(a + 0.002)
        if n % 4 == 1:
            y.who(t + 3, y.cloud, y.router)
            y.ntp(t + 3.3)
    return y


@visit(
    "udp-blocked|ntp-silent", variants=[{"seed": 401}], says={"ntp-silent": "pool|162|185|time|NTP"}
)
def udp_is_closed_outward_time_fails(seed: int) -> Yard:
    """DNS is inside and works, TCP 443 works; NTP to four public servers is dropped."""
    y = Yard(seed, ntp="public")
    y.who(0.1, y.cloud, y.router)
    y.mqtt(1, 170)
    for n in range(12):
        y.visit(3 + 13 * n, (y.LOGS, y.MON, y.S3, y.CRED)[n % 4])
        y.who(4 + 13 * n, y.cloud, y.router)
    y.A["0.pool.ntp.org"] = ["162.159.200.1", "185.255.55.20", "193.67.79.202", "51.15.182.163"]
    for n in range(6):
        y.look(1.5 + 28 * n, "0.pool.ntp.org")
        for i, a in enumerate(y.A["0.pool.ntp.org"]):
            for k in range(2):
                y.ntp(2 + 28 * n + 3 * i + k, server=y.remote(a), answer=False)
    return y


@visit(variants=[{"seed": 411}])
def site_in_shared_address_space(seed: int) -> Yard:
    """A plant network numbered from 100.64.0.0/10 (a provider's private LTE); the site file says
    so. All works."""
    Yard(seed, cams=1)
    y2 = Yard(seed, cams=2)
    base = f"100.{70 + seed % 9}.3."
    for h, n in ((y2.eth0, 20), (y2.cams[0], 101), (y2.cams[1], 102)):
        h.ip = base + str(n)
        h.packed = ipaddress.ip_address(h.ip).packed
    y2.camnet = base
    y2.well(60)
    for n, c in enumerate(y2.cams):
        stream(y2, c, 1 + n, 56, transport=["udp", "tcp"][n])
    return y2


@visit(
    "stream-leak",
    variants=[{"seed": 421}],
    severity={"stream-leak": "warning"},
    says={"stream-leak": "carrier"},
    violations=0,
)
def shared_address_space_and_no_site_file(seed: int) -> Yard:
    """The same without a site file: cameras and appliance ask each other by ARP, so they are on one
    network: no leak into the internet."""
    y = site_in_shared_address_space(seed)
    y.sitetext = ""
    return y


@visit(
    "mqtt-flapping",
    variants=[{"seed": 431, "life": 6}, {"seed": 432, "life": 19}],
    also=("idle-timeout",),
)
def broker_is_reopened_all_the_time_by_fin_of_the_server(seed: int, life: float) -> Yard:
    """The broker ends each MQTT connection some seconds after CONNECT with data in both directions
    (client id taken over); the client returns at once."""
    y = Yard(seed)
    y.begin()
    y.goes_on(8, 200)
    t = 3
    while t < 190:
        y.look(t, y.IOT)
        c = y.to(y.IOT)
        a = c.tls(t + 0.02, y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
        a = c.data(a, 190, 40)
        a = c.data(a + life * 0.6, 120, 60)
        c.server_close(t + life)
        t += life + 1.5
    return y


@visit("slow-uplink", variants=[{"seed": 441, "rtt": 0.52}, {"seed": 442, "rtt": 0.78}])
def everything_is_slow_over_a_full_line(seed: int, rtt: float) -> Yard:
    """A camera's upload fills the line: each answer of the internet takes more than half a second;
    all works."""
    y = Yard(seed, rtt=rtt)
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.3)
    y.mqtt(1, 170)
    for n in range(12):
        y.visit(5 + 13 * n, (y.LOGS, y.MON, y.S3, y.CRED)[n % 4], stay=6)
        y.who(6 + 13 * n, y.cloud, y.router)
        y.ntp(7 + 13 * n)
    return y


@visit("no-standby", proved=False, variants=[{"seed": 451}], also=())
def second_port_says_nothing_in_a_single_topology(seed: int) -> Yard:
    """Single topology: traffic on eth0 only; eth1 (MAC in the site file) has not sent a frame in
    ten minutes."""
    y = Yard(seed, topology="single", cams=1)
    y.well(640, every=40)
    return y


@visit(
    "dns-timeout|endpoint-failing",
    variants=[{"seed": 461}],
    never={"*": "tcp"},
    says={"*": "53|resolver|DNS"},
)
def resolver_moved_away(seed: int) -> Yard:
    """The configured resolver's host is gone: ARP for it gets no answer; gateway and the old MQTT
    connection work."""
    y = Yard(seed, dns="host")
    y.who(0.1, y.cloud, y.router)
    y.ntp(0.2)
    c = y.to(y.IOT)
    t = c.tls(0.3, y.IOT, ("x-amzn-mqtt-ca",), cc=True)
    while t < 140:
        c.data(t, 31, 31)
        t += 15
    for n in range(40):
        for k in range(3):
            y.arp(2 + 3.4 * n + k, 1, y.cloud, y.resolver.ip)
        if n % 5 == 0:
            y.who(2.5 + 3.4 * n, y.cloud, y.router)
            y.ntp(2.7 + 3.4 * n)
    return y


@visit(
    "icmp-blocked",
    variants=[{"seed": 471, "code": 13}, {"seed": 472, "code": 10}],
)
def router_prohibits_the_broker_on_8883(seed: int, code: int) -> Yard:
    """The device uses 8883; the router answers each SYN with ICMP administratively prohibited. 443
    of everything else works."""
    y = Yard(seed, mqtt_port=8883)
    y.begin()
    y.goes_on(8, 160)
    for n in range(8):
        t = 3 + 19 * n
        y.look(t, y.IOT)
        for a in y.A[y.IOT]:
            c = y.to(y.IOT, 8883, a)
            p = c.seg(t + 0.1, True, SYN)
            y.icmp(t + 0.103, y.router, y.cloud, 3, code, p)
            t += 0.5
    return y
