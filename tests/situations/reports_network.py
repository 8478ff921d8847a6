"""What people report of networks: leases, neighbours, switches, routers, links that lose."""

from __future__ import annotations

import random

from tests.situations.stack import Host
from tests.situations.stack_camera import Play
from tests.situations.stack_day import https, light, mqtt, times, to, works
from tests.situations.stack_names import dhcp, lease, look, ntp
from tests.situations.stack_noise import igmp
from tests.situations.stack_tcp import ACK, SYN, Conn
from tests.situations.stack_tls import Tls, noise, rec
from tests.situations.visit import visit

CLOUD = ("mqtt", "logs", "mon", "s3", "cred", "time")


@visit("dhcp-no-offer", never={"*": "pool"}, says={"dhcp-no-offer": "eth1"})
def relay_of_the_new_vlan_is_missing():
    """DISCOVER with growing pauses (3, 8, 15, 16 s), nobody offers; the camera port goes on."""
    s = works(202, 50, skip=CLOUD, streams=False)
    s.frames = [f for f in s.frames if s.cloud.mac.replace(":", "") not in f[1][:12].hex()]
    secs = 0.0
    for _n, gap in enumerate((0, 3, 8, 15, 16)):
        secs += gap
        dhcp(s, 1 + secs, 1, s.cloud, xid=0x7711, secs=int(secs))
    light(s, 0.8, 50)
    return s


@visit(
    "gateway-silent",
    cleared=("gateway-silent",),
    also=("internet-down",),
    either=("internet-down",),
)
def router_restarts_for_a_minute():
    """The gateway is off from 12 to 70 s: ARP is asked three times by unicast, then by broadcast
    each second; afterwards all comes back by itself, with a gratuitous ARP first."""
    s = works(204, 11.5, streams=False)
    for n in range(3):
        s.arp(14 + n, 1, s.cloud, s.router.ip, to=s.router.mac)
    for n in range(24):
        s.arp(17 + n * 2.1, 1, s.cloud, s.router.ip)
    s.announce(70, s.router, 2)
    s.who(71, s.cloud, s.router)
    mqtt(s, 71.3, 100)
    https(s, 72, s.LOGS, times=4)
    https(s, 73, s.MON, v13=False)
    https(s, 74, s.S3)
    https(s, 75, s.CRED)
    times(s, 76, 100)
    return s


@visit(
    "slow-uplink|dns-slow|dns-timeout",
    also=("dns-slow", "slow-uplink", "dns-timeout"),
    never={"*": "blocked|is down"},
)
def radio_bridge_loses_a_fifth_of_all_packets():
    """Behind a wireless bridge each fifth packet is lost: lookups are repeated after 5 s, SYNs
    after 1 s, data after 0.3 s. All works in the end."""
    s = works(205, 90, skip=CLOUD, streams=False, rtt=0.03)
    r = random.Random(2)
    t = 1.0
    for n in range(14):
        name = (s.LOGS, s.MON, s.S3, s.CRED, s.IOT)[n % 5]
        if r.random() < 0.3:
            look(s, t, name, silent=(1, 28), tries=1, style="glibc")
            t += 5
        look(s, t, name, style="glibc")
        c = to(s, name, t, find=False)
        t += 0.02
        if r.random() < 0.35:
            c.seg(t, 0, SYN)
            t += 1.02
        c.hand(t, name, ("http/1.1",), v13=True)
        c.send(0, rec(23, noise(9000)), c.t + 0.01, lost={k for k in range(7) if r.random() < 0.2})
        c.data(0, 300)
        c.bye(c.t + 0.3)
        t = c.t + 1.5
    for n in range(9):
        ntp(s, 1.5 + n * 9, answer=n % 4 != 1)
    return s


def other_way(s, at, name, taken):
    """A connection whose packets leave by eth0 and whose answers come to eth1."""
    look(s, at, name)
    far, via = s.ips(name)[0], Host(s.eth0.mac, s.cloud.ip)
    c = Tls(s, s.cloud, s.far(far), 443)
    before = len(s.frames)
    if taken:
        c.hand(at + 0.02, name, ("http/1.1",))
        c.data(900, 300, c.t + 0.01).bye(c.t + 0.5)
    else:
        for n in (0, 1.02, 3.05):
            c.seg(at + 0.02 + n, 0, SYN)
            c.seg(at + 0.02 + n + s.rtt, 1, SYN | ACK, ack=c.seq[0] + 1)
    for k, (t, frame, iface) in enumerate(s.frames[before:], before):
        if frame[6:12] == bytes.fromhex(s.cloud.mac.replace(":", "")):
            out = bytes.fromhex((s.camrouter.mac + via.mac).replace(":", ""))
            s.frames[k] = (t, out + frame[12:], iface)


@visit(
    "asymmetric|endpoint-failing|tcp-blocked",
    also=("asymmetric",),
    violations=None,
    never={"*": "blocked by a firewall|SYNs? unanswered"},
)
def answers_to_the_other_port_are_not_taken():
    """The same two routes, and the appliance filters by reverse path: each SYN is answered on
    eth1, the appliance never takes it and sends the SYN again."""
    s = works(228, 40, skip=("logs", "mon", "s3"))
    for n in range(6):
        other_way(s, 2 + 6 * n, (s.LOGS, s.MON, s.S3)[n % 3], False)
    return s


@visit(violations=0)
def network_monitor_pings_everybody():
    """PRTG pings gateway, appliance, cameras and switch each 30 s, and asks them by SNMP."""
    s = works(207, 40)
    for n in range(2):
        for k, host in enumerate((s.router, s.eth1, s.printer)):
            t = 3 + 30 * n + k * 0.4
            body = b"abcdefghijklmnopqrstuvwabcdefghi"
            s.icmp(t, s.pc, host, 8, 0, rest=0x10000 | n, body=body)
            s.icmp(t + 0.001, host, s.pc, 0, 0, rest=0x10000 | n, body=body)
        for k, host in enumerate((s.printer, s.router)):
            get = bytes.fromhex(
                "302902010104067075626c6963a01c02047e1a2b3c020100020100300e300c06082b060102010103000500"
            )
            s.udp(5 + 30 * n + k, s.pc, 51000, host, 161, get)
            s.udp(5.002 + 30 * n + k, host, 161, s.pc, 51000, get)
    return s


@visit("loop", says={"loop": r"\d"}, cleared=("loop",), never={"*": "mirror copies"})
def loop_behind_the_camera_switch_repeats_broadcasts():
    """Two ports of a small switch are joined: each broadcast comes again and again, some thousand a
    second for four seconds."""
    s = works(209, 30, streams=False)
    frames = [f for f in s.sorted() if f[1][:6] == b"\xff" * 6 and f[0] < 12][:6]
    t = 12.0
    while t < 16:
        for _at, frame, _ in frames:
            s.put(t, frame)
            t += 0.00035
    return s


@visit("dns-nxdomain", says={"dns-nxdomain": "amazonaws"})
def split_horizon_server_knows_only_the_plants_names():
    """An internal server without recursion says NXDOMAIN to each AWS name, also with the search
    domain appended."""
    s = works(211, 44, skip=CLOUD, dns="host")
    for n in range(8):
        name = (s.CRED, s.LOGS, s.MON, s.IOT)[n % 4]
        look(s, 1 + n * 5, name, rcode=3, style="glibc")
        look(s, 1.02 + n * 5, name + ".plant.example", rcode=3, style="glibc")
    times(s, 1, 44)
    return s


@visit("new-connections-fail|tcp-blocked|internet-down", says={"new-connections-fail": "new"})
def session_table_of_the_firewall_is_full():
    """What was open goes on for the whole time; from 12 s each new SYN, to any name, gets no
    answer."""
    s = works(213, 60, skip=("mon", "s3", "cred"), streams=False)
    for n, t in enumerate((3, 6, 9)):
        https(s, t, (s.MON, s.S3, s.CRED)[n])
    for n, t in enumerate((13, 21, 29, 37, 45)):
        name = (s.MON, s.S3, s.CRED)[n % 3]
        c = to(s, name, t)
        c.knock(c.t, (0, 1.02, 3.05, 7.2))
    return s


@visit("inbound-undeclared", violations=None, says={"inbound-undeclared": "22|SSH"})
def technician_logs_in_by_ssh():
    """A laptop opens SSH to the appliance and is let in."""
    s = works(215, 34)
    s.who(4, s.pc, s.cloud)
    c = Conn(s, s.pc, s.cloud, 22, rtt=0.0004)
    c.open(4.01)
    c.down(b"SSH-2.0-OpenSSH_8.2p1 Ubuntu-4ubuntu0.5\r\n")
    c.up(b"SSH-2.0-PuTTY_Release_0.78\r\n")
    for n in range(12):
        c.up(noise(120, str(n)), 5 + n * 2)
        c.down(noise(200, str(n)))
    return s


@visit("port-silent", says={"port-silent": "eth1"}, also=("internet-down",))
def cloud_cable_is_pulled_while_the_gateway_asks():
    """From 18 s no frame of eth1 any more; the gateway asks for it, the cameras stream on."""
    s = works(216, 17.9, streams=False)
    for n in range(6):
        for k in range(3):
            s.arp(22.1 + n * 5 + k, 1, s.router, s.cloud.ip)
    light(s, 0.8, 50)
    s2 = works(216, 50, skip=CLOUD, streams=False)
    s.frames += [
        f for f in s2.frames if f[0] > 18 and s.eth1.mac.replace(":", "") not in f[1].hex()
    ]
    return s


@visit("dhcp-pool|dhcp-no-offer", never={"*": "cable"})
def leases_are_used_up_by_phones():
    """Five phones get leases one after the other; the appliance's DISCOVER, after them, is never
    answered."""
    s = works(217, 70, skip=CLOUD, streams=False)
    s.frames = [f for f in s.frames if s.cloud.mac.replace(":", "") not in f[1][:12].hex()]
    for n in range(5):
        phone = Host(f"a4:83:e7:00:00:{n:02x}", s.net + str(195 + n), name=f"phone{n}")
        lease(s, 1 + n * 3, phone)
    for t in (20, 24, 32, 47, 63):
        dhcp(s, t, 1, s.cloud, xid=0x4242, secs=t - 20)
    light(s, 0.8, 70)
    return s


@visit("wrong-mask", violations=0, also=("gateway-silent",))
def mask_of_eight_bits_makes_the_world_a_neighbour():
    """The mask 255.0.0.0 was typed: the appliance asks by ARP for a time server of another network
    that only the router reaches."""
    s = works(218, 44, plan="10", skip=("time",))
    head = s.net.split(".")[0]
    for n in range(9):
        s.arp(2 + n * 4.1, 1, s.cloud, f"{head}.250.7.9")
        s.arp(3 + n * 4.1, 1, s.cloud, f"{head}.250.7.9")
    s.sitetext = s.site().replace("ntp = [", f'ntp = ["{head}.250.7.9"] #')
    return s


@visit(info=("ipv6-unreachable",), never={"*": "internet is down"})
def ipv6_was_turned_on_and_leads_nowhere():
    """Router advertisements give addresses; SYNs over IPv6 get no answer, 250 ms later IPv4 is
    used."""
    s = works(219, 40, skip=("logs", "mon", "s3", "cred"))
    me = Host(s.cloud.mac, "2001:db8:77::a1f", name="eth1")
    for n in range(7):
        name = (s.LOGS, s.MON, s.S3, s.CRED)[n % 4]
        six = f"2600:1f18:{n % 4}::{n % 4 + 5}"
        t = 1.5 + n * 5
        look(s, t, name, six=(six,))
        c = Tls(s, me, Host(s.router.mac, six, "far", 57), 443)
        c.knock(t + 0.02, (0, 1.02))
        https(s, t + 0.27, name, find=False)
    return s


@visit("mtu-low|tls-stalled", also=("tls-stalled", "mtu-low"), never={"*": "certificate|is down"})
def tunnel_swallows_full_segments_of_uploads():
    """VPN of 1,400 bytes and no ICMP: small requests pass; each full segment of an upload is sent
    again at 0.3, 0.7, 1.5, 3 s and never acknowledged."""
    s = works(221, 60, skip=("logs", "s3"))
    for n in range(4):
        name = (s.LOGS, s.S3)[n % 2]
        c = to(s, name, 2 + n * 13)
        c.hand(c.t, name, ("http/1.1",))
        c.data(300, 200, c.t + 0.01)
        c.done()
        c.stall(rec(23, noise(9000)), c.t + 0.1, until=c.t + 8)
        c.rst(c.t + 2)
    return s


@visit("tls-intercepted", says={"tls-intercepted": "Corp Inspection"}, also=("tls-alert",))
def inspection_was_turned_on_at_noon():
    """Until 15 s AWS's own certificates; from then on each TLS 1.2 handshake shows the
    inspector's, and the appliance leaves with alert 48."""
    s = works(222, 14.5, skip=("mqtt",))
    mqtt(s, 1, 14.5, leave=True)
    for n in range(6):
        name = (s.IOT, s.LOGS, s.MON)[n % 3]
        c = to(s, name, 16 + n * 5)
        c.open(c.t).greet(name, ("http/1.1",), v13=False)
        c.flight("http/1.1", issuer="Corp Inspection", depth=2)
        c.alert(0, 2, 48)
        c.fin(c.t + 0.0005)
    light(s, 15, 46)
    times(s, 18, 46)
    return s


@visit("multicast-no-querier", violations=0)
def nobody_queries_and_the_picture_stops_after_the_snooping_time():
    """A multicast stream: the appliance joins once; no querier asks; after 260 s the switch stops
    the stream while the session goes on."""
    s = works(223, 20, streams=False)
    mqtt(s, 21, 290)
    p = Play(s, s.cams[0], fps=2.0)
    p.group = Host("", "239.192.7.11")
    p.cport = 5004
    p.connect(0.9)
    igmp(s, 0.95, s.eth0, 0x16, p.group.ip)
    igmp(s, 2.1, s.eth0, 0x16, p.group.ip)
    p.describe().setup(1).start()
    p.film(p.t + 0.02, 262, key=1900, delta=300)
    p.film(262, 290, gaps=((262, 290),), sr=None)
    return s


@visit(
    "tcp-refused|endpoint-failing|internet-down", also=("tcp-refused",), says={"*": "refus|reset"}
)
def default_deny_of_a_new_firewall_resets_everything():
    """A new firewall answers each SYN to port 443 with a reset, whatever the name; DNS and time
    pass."""
    s = works(225, 50, skip=("mqtt", "logs", "mon", "s3", "cred"))
    for n in range(12):
        name = (s.IOT, s.LOGS, s.MON, s.S3, s.CRED)[n % 5]
        c = to(s, name, 1 + n * 3.7)
        c.refused(c.t, 0.0006, ttl=64)
    return s


@visit("dns-timeout", cleared=("dns-timeout",))
def resolver_restarts_for_twenty_seconds():
    """The DNS host is off from 10 to 32 s (updates): ARP for it stays unanswered, names wait;
    then all works."""
    s = works(227, 60, dns="host", skip=("mqtt", "logs", "mon", "s3", "cred"))
    for n in range(8):
        s.arp(11 + n * 2.6, 1, s.cloud, s.resolver.ip)
    for n, t in enumerate((1, 3, 36, 41, 46, 51)):
        https(s, t, (s.LOGS, s.MON, s.S3, s.CRED)[n % 4])
    for n, t in enumerate((10.5, 16, 22, 28)):
        look(s, t, (s.LOGS, s.MON, s.S3, s.CRED)[n], silent=(1, 28), tries=1, style="glibc")
    mqtt(s, 34, 60)
    return s


@visit("asymmetric", violations=None, never={"*": "blocked|certificate"})
def packets_leave_by_one_port_and_answers_come_to_the_other():
    """Two default routes: what has eth1's address leaves by eth0's MAC to the camera router, and
    the answers come to eth1. It works."""
    s = works(206, 40, skip=("logs", "mon", "s3"))
    for n in range(6):
        other_way(s, 2 + 6 * n, (s.LOGS, s.MON, s.S3)[n % 3], True)
    return s


@visit(
    "ip-conflict",
    says={"ip-conflict": "eth1|appliance"},
    also=("mqtt-flapping", "endpoint-failing"),
)
def phone_takes_the_appliances_address_for_a_while():
    """A phone with a fixed address announces the cloud port's address; both answer the gateway's
    questions, and the gateway sends the appliance's packets to the phone, which resets them."""
    s = works(208, 46, skip=("mqtt",))
    phone = Host("a4:83:e7:11:22:33", s.cloud.ip)
    for n in range(5):
        t = 8 + n * 6
        s.announce(t, phone)
        s.announce(t + 0.002, s.cloud)
        s.arp(t + 1, 1, s.router, s.cloud.ip)
        s.arp(t + 1.0005, 2, s.cloud, s.router.ip, to=s.router.mac)
        s.arp(t + 1.003, 2, phone, s.router.ip, to=s.router.mac)
    c = to(s, s.IOT, 1)
    c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",), v13=False, mutual=True).data(118, 4, c.t + 0.01, 0.02)
    c.done()
    return s


@visit("dns-servfail", never={"*": "blocked by a firewall"})
def forwarder_has_lost_its_upstream():
    """The router answers each question after 4 s with SERVFAIL: its own upstream is dead."""
    s = works(210, 44, skip=CLOUD)
    for n in range(9):
        look(
            s,
            1 + n * 4.6,
            (s.CRED, s.LOGS, s.MON, s.IOT)[n % 4],
            rcode=2,
            think=4.0,
            soa=False,
            style="glibc",
        )
    times(s, 1, 44)
    return s


@visit(also=(), never={"*": "no DHCP server answers"})
def camera_with_a_fixed_address_asks_for_leases_all_the_time():
    """A camera set to a fixed address sends DISCOVER each 10 s that nobody answers, and streams
    on."""
    s = works(203, 40)
    for n in range(4):
        dhcp(s, 2 + n * 10, 1, s.cams[0], xid=77 + n, vendor=b"udhcp 1.20.2", name=b"IPC")
    return s


@visit("ntp-silent", says={"ntp-silent": "192|172|10"}, also=("ntp-public",), violations=None)
def local_time_server_died_and_the_pool_is_used():
    """The site's time server answers no more, not even ARP; the appliance asks public ones of the
    pool, which answer."""
    s = works(224, 44, skip=("time",), ntp="host")
    for n in range(5):
        for k in range(3):
            s.arp(1 + n * 8 + k, 1, s.cloud, s.clock.ip)
    for n in range(6):
        for k, ip in enumerate(("162.159.200.123", "185.125.190.58", "91.189.94.4")):
            ntp(s, 2 + n * 6.4 + k * 0.1, server=s.far(ip))
    return s


@visit("lateral", violations=3, also=("lateral",))
def appliance_tries_windows_shares():
    """The appliance opens SMB to three office computers: two refuse, one answers."""
    s = works(214, 34)
    for n, last in enumerate((150, 151, 152)):
        peer = Host(f"3c:52:82:99:00:{last:02x}", s.net + str(last), "windows")
        s.who(5 + n, s.cloud, peer)
        c = Conn(s, s.cloud, peer, 445, rtt=0.0006)
        if n < 2:
            c.refused(5.01 + n)
        else:
            c.open(5.01 + n)
            c.up(b"\0\0\0\x45\xffSMBr" + bytes(64))
            c.down(b"\0\0\0\x51\xfeSMB@" + bytes(76))
            c.fin(c.t + 1)
    return s


@visit(violations=4)  # each says that the cloud is seen on the camera port
def default_route_lies_on_the_camera_port():
    """The default route lies on eth0: the cloud is reached through the camera network's router."""
    s = works(226, 40, skip=CLOUD)
    s.who(1, s.eth0, s.camrouter)
    for n in range(6):
        name = (s.LOGS, s.MON, s.S3, s.CRED)[n % 4]
        look(s, 2 + n * 6, name)
        c = Tls(s, s.eth0, s.far(s.ips(name)[0], router=s.camrouter), 443)
        c.hand(2.02 + n * 6, name, ("http/1.1",))
        c.data(800, 300).bye(c.t + 0.5)
    times(s, 1, 40)
    return s
