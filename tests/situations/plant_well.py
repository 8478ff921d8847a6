"""The factory while all is well, and oddities that harm nobody."""

from __future__ import annotations

import struct

from tests.diagnosis.lan_wire import option
from tests.diagnosis.wire import (
    ACK,
    EVERYBODY,
    FIN,
    RST,
    SYN,
    arp_packet,
    dhcp_packet,
    ethernet,
    ntp_packet,
    server_id,
)
from tests.made_up import START
from tests.situations.plant import (
    AT,
    BOX,
    CRED,
    DC1,
    DC2,
    ECR,
    ETH1,
    GATE,
    GATE6,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    NAMES,
    NMS,
    S3,
    SIX,
    Plant,
    dns,
    factory,
    granted,
    ip4,
    linked,
    outside,
)
from tests.situations.situation import situation
from tests.situations.town import nobody

OTHER = ("02:00:00:00:0a:11", "10.133.41.40")  # a second appliance, not of this site file
DESK = ("b4:2e:99:10:00:21", "10.133.42.33")
NAT = ("70:df:2f:00:00:02", "198.51.100.7")


@situation(site=factory)
def factory_on_a_plain_day() -> Plant:
    """Six endpoints work, MQTT lives for five minutes, the office speaks."""
    plant = Plant()
    plant.lives(310)
    return plant


@situation(site=nobody, violations=None)
def factory_without_a_site_file() -> Plant:
    """The same, and nobody wrote a site file."""
    plant = Plant()
    plant.lives(310)
    return plant


@situation(site=factory)
def boots_with_routes_by_dhcp_and_two_addresses() -> Plant:
    """DHCP with classless routes and a relay's option, probes of the address, IPv6 beside it."""
    plant = Plant()
    routes = bytes([121, 11, 8, 10, 10, 133, 40, 1, 0, 10, 133, 40, 1])
    plant.leases(0.3, options=granted() + routes + option(42, DC1[1]))
    for n in range(3):
        plant.add(1.3 + n * 1.4, arp_packet(1, ETH1, "0.0.0.0", BOX[1]))
    for n in range(2):
        plant.add(5.6 + 2 * n, arp_packet(1, ETH1, BOX[1], BOX[1]))
    advert = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x40, 1800, 0, 0)
    for n in range(5):
        plant.six(
            5.0 + 60 * n, (GATE[0], GATE6[1]), ("33:33:00:00:00:01", "ff02::1"), 58, advert, 255
        )
    plant.starts(8.0)
    plant.broker(13.0, 240)
    plant.runs(20.0, 240)
    return plant


@situation(site=factory)
def long_answers_come_over_tcp() -> Plant:
    """The firm's resolver cuts long answers, and the appliance asks again over TCP."""
    plant = Plant()
    plant.lives(180)
    for n in range(6):
        at = 20.0 + 25 * n
        mine, theirs = (*BOX, 41_000 + n), (*DC1, 53)
        plant.datagram(at, mine, theirs, dns(n, S3, 1, None))
        plant.datagram(at + 0.004, theirs, mine, dns(n, S3, 1, (), cut=True), ttl=124)
        talk = plant.talk(S3, 53, address=DC1[1], via=DC1[0])
        talk.rtt = 0.002
        up = talk.opens(at + 0.01)
        asked = dns(n, S3, 1, None)
        talk.send(up + 0.001, struct.pack("!H", len(asked)) + asked)
        said = dns(n, S3, 1, AT[S3] * 12)
        talk.answer(up + 0.004, struct.pack("!H", len(said)) + said)
        talk.close(up + 0.01)
        plant.https(at + 0.1, S3, look=False)
    return plant


@situation(site=factory)
def search_list_is_tried_before_the_name() -> Plant:
    """Each name is asked with the firm's suffixes first; they do not exist, the name does."""
    plant = Plant()
    plant.starts()
    for n in range(10):
        at = 8.0 + 15 * n
        name = NAMES[n % len(NAMES)]
        for k, suffix in enumerate(("ie.corp.example", "corp.example")):
            plant.resolve(at + 0.01 * k, f"{name}.{suffix}", (), rcode=3)
        plant.https(at + 0.05, name)
    plant.runs(10.0, 160.0)
    return plant


@situation(site=factory)
def names_in_mixed_case_and_service_records() -> Plant:
    """The resolver's letters change case (0x20), HTTPS records are asked and there are none."""
    plant = Plant()
    plant.lives(120)
    for n in range(12):
        at = 9.0 + 9 * n
        name = "".join(c.upper() if (i * 7 + n) % 3 == 0 else c for i, c in enumerate(LOGS))
        mine, theirs = (*BOX, 42_000 + n), (*DC1, 53)
        plant.datagram(at, mine, theirs, dns(n, name, 1, None))
        plant.datagram(at + 0.0001, mine, theirs, dns(n + 100, name, 65, None))
        plant.datagram(at + 0.004, theirs, mine, dns(n, name, 1, AT[LOGS]), ttl=124)
        plant.datagram(at + 0.005, theirs, mine, dns(n + 100, name, 65, ()), ttl=124)
        plant.https(at + 0.02, LOGS, look=False)
    return plant


@situation(site=factory)
def clock_stamps_are_random() -> Plant:
    """The time client sends random numbers as its stamps, as chrony does; all is well."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 300)
    plant.runs(12.0, 300, times=False)
    for n in range(12):
        plant.clock(1.0 + 24 * n, sent=plant.chance.getrandbits(64))
    return plant


@situation(site=factory)
def time_is_broadcast_as_well() -> Plant:
    """A clock of the office broadcasts the time; the appliance asks its own."""
    plant = Plant()
    plant.lives(200)
    for n in range(12):
        at = 4.0 + 16 * n
        plant.udp(
            at, ("b4:2e:99:10:00:05", "10.133.42.5", 123), (EVERYBODY, "10.133.43.255", 123),
            ntp_packet(5, START + round(at * 1e9)),
        )  # fmt: skip
    return plant


@situation(site=factory, violations=None, never={"clock-off": "."})
def one_clock_of_four_is_three_seconds_off() -> Plant:
    """Three clocks agree with the appliance, a fourth is three seconds ahead: it is the fourth."""
    plant = Plant()
    plant.lives(300)
    others = ("10.133.8.11", "10.133.8.12", "10.133.8.13")
    for n in range(9):
        for k, server in enumerate(others):
            plant.clock(3.0 + 32 * n + k, (GATE[0], server), server_off=3.0 if k == 2 else 0.0)
    return plant


@situation(site=factory)
def gateway_is_shared_by_glbp() -> Plant:
    """GLBP: the gateway answers one host with this virtual MAC, the next with that one."""
    plant = Plant()
    one, two = "00:07:b4:00:28:01", "00:07:b4:00:28:02"
    plant.starts()
    plant.broker(5.0, 200)
    plant.office(0.0, 200)
    for n in range(20):
        at = 2.0 + 10 * n
        for k, (mac, host) in enumerate((BOX, DESK, OTHER)):
            plant.add(at + k, arp_packet(1, mac, host, GATE[1]))
            plant.add(at + k + 0.001, arp_packet(2, two if k == 1 else one, GATE[1], host, mac))
        for k, real in enumerate(("70:df:2f:00:00:02", "70:df:2f:00:00:03")):
            plant.udp(at + 3 + k, (real, f"10.133.40.{2 + k}", 3222),
                      ("01:00:5e:00:00:66", "224.0.0.102", 3222), bytes(60))  # fmt: skip
    for n in range(6):
        plant.https(12.0 + 30 * n, LOGS)
        plant.clock(14.0 + 30 * n)
    return plant


@situation(site=factory)
def firewall_cluster_answers_with_a_multicast_mac() -> Plant:
    """The gateway is a load-sharing cluster: its MAC is a multicast address."""
    plant = Plant()
    cluster = "03:bf:0a:85:28:01"
    for n in range(8):
        plant.greet(0.3 + 25 * n, cluster)
    for n in range(4):
        plant.clock(1.0 + 40 * n)
    for n, name in enumerate(HTTPS):
        plant.https(1.5 + n, name, via=cluster)
    plant.broker(9.0, 190, via=cluster)
    plant.office(0.0, 190)
    return plant


@situation(site=factory)
def offers_come_through_two_relays() -> Plant:
    """Two relays of an HSRP pair pass each offer of the same two failover servers on."""
    plant = Plant()
    for n, at in enumerate((0.4, 150.0)):
        xid = 0x60 + n
        ask = dhcp_packet(1, ETH1, xid, options=option(50, BOX[1]))
        plant.udp(at, (ETH1, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67), ask)
        for k, (mac, relay, server) in enumerate((
            ("70:df:2f:00:00:02", "10.133.40.2", "10.133.8.20"),
            ("70:df:2f:00:00:03", "10.133.40.3", "10.133.8.20"),
            ("70:df:2f:00:00:02", "10.133.40.2", "10.133.8.21"),
            ("70:df:2f:00:00:03", "10.133.40.3", "10.133.8.21"),
        )):  # fmt: skip
            said = dhcp_packet(2, ETH1, xid, yours=BOX[1], options=granted(BOX[1], server=server))
            plant.udp(at + 0.01 + 0.002 * k, (mac, relay, 67), (ETH1, BOX[1], 68), said)
        ask = dhcp_packet(3, ETH1, xid, options=option(50, BOX[1]) + server_id("10.133.8.20"))
        plant.udp(at + 0.03, (ETH1, "0.0.0.0", 68), (EVERYBODY, "255.255.255.255", 67), ask)
        for k, mac in enumerate(("70:df:2f:00:00:02", "70:df:2f:00:00:03")):
            said = dhcp_packet(
                5, ETH1, xid, yours=BOX[1], options=granted(BOX[1], server="10.133.8.20")
            )
            plant.udp(
                at + 0.05 + 0.003 * k, (mac, f"10.133.40.{2 + k}", 67), (ETH1, BOX[1], 68), said
            )
    plant.starts(1.0)
    plant.broker(8.0, 240)
    plant.runs(12.0, 240)
    return plant


@situation(site=factory, violations=None)
def sdk_looks_for_instance_metadata() -> Plant:
    """An SDK tries 169.254.169.254 first, as on EC2: nobody is there, it goes on."""
    plant = Plant()
    plant.lives(200)
    for n in range(5):
        at = 13.0 + 35 * n
        for k in range(3):
            plant.knocks(at + 1.1 * k, CRED, 80, times=1, address="169.254.169.254")
        plant.https(at + 3.6, CRED)
    return plant


@situation(site=factory, violations=None)
def monitoring_pings_and_asks_by_snmp() -> Plant:
    """The firm's monitoring pings the appliance and asks by SNMP, which is closed there."""
    plant = Plant()
    plant.lives(240)
    for n in range(8):
        at = 3.0 + 30 * n
        for k in range(3):
            plant.ping(at + k, NMS, BOX, number=3 * n + k)
        asked = plant.datagram(
            at + 4, (*NMS, 51_000 + n), (*BOX, 161),
            bytes.fromhex("302602010104067075626c6963a019") + bytes(25),
        )  # fmt: skip
        plant.ip(at + 4.0003, BOX, NMS, 1, struct.pack("!BBHI", 3, 3, 0, 0) + asked[:48])
    return plant


@situation(site=factory, violations=None)
def office_in_full_on_the_span() -> Plant:
    """Thirty PCs on the span: logons, shares, dead servers, names that do not exist."""
    plant = Plant()
    plant.lives(200)
    for n in range(30):
        pc = (f"b4:2e:99:20:00:{n:02x}", f"10.133.42.{100 + n}")
        at = 2.0 + 6 * n
        plant.resolve(at, "wpad.corp.example", (), rcode=3, client=pc)
        plant.resolve(at + 0.1, "_ldap._tcp.corp.example", ("10.133.8.10",), client=pc, both=False)
        plant.resolve(at + 0.2, "sls.update.example", (), rcode=2, client=pc, server=DC2)
        for port in (88, 445, 389):
            talk = plant.talk("dc", port, address="10.133.8.10", client=pc)
            up = talk.opens(at + 0.3, 0.002)
            talk.send(up + 0.01, plant.chance.randbytes(300))
            talk.answer(up + 0.014, plant.chance.randbytes(900))
            talk.segment(up + 0.02, True, RST | ACK)
        plant.knocks(at + 1, "old", 445, address="10.133.7.7", client=pc, times=3)
        refused = plant.talk("wsus", 8530, address="10.133.8.30", client=pc)
        refused.segment(at + 2, True, SYN)
        refused.segment(at + 2.002, False, RST | ACK)
        plant.knocks(at + 3, "ad", 443, address="203.0.113.80", client=pc, times=4)
    return plant


@situation(site=factory, info=())
def span_shows_each_packet_before_and_after_the_router() -> Plant:
    """What leaves is seen again behind the router: another MAC, one hop less, another address."""
    plant = Plant()
    plant.lives(120)
    for time_ns, interface, frame, wire in list(plant.frames):
        if frame[12:14] != b"\x08\0":
            continue
        src, dst = frame[26:30], frame[30:34]
        public = lambda a: a[0] not in (10, 224, 239, 255)  # noqa: E731
        mine = bytes([10, 133, 41, 27])
        if src == mine and public(dst):
            inner = frame[14:26] + bytes([198, 51, 100, 7]) + dst + frame[34:]
            macs = bytes.fromhex("0011bb00000170df2f000002")
        elif dst == mine and public(src):
            inner = frame[14:30] + bytes([198, 51, 100, 7]) + frame[34:]
            macs = bytes.fromhex("70df2f0000020011bb000001")
        else:
            continue
        step = -1 if dst == mine else 1
        inner = inner[:8] + bytes([inner[8] - step]) + inner[9:]
        plant.frames.append((time_ns + step * 180_000, interface, macs + b"\x08\0" + inner, wire))
    return plant


@situation(site=factory, also=("vlan-tagged",), severity={"vlan-tagged": "info"})
def mirror_of_a_trunk() -> Plant:
    """The mirror is a trunk's: every frame is tagged, with several VLANs."""
    plant = Plant()
    plant.lives(120)
    tagged = []
    for n, (time_ns, interface, frame, wire) in enumerate(plant.frames):
        ours = bytes.fromhex(ETH1.replace(":", "")) in frame[:12]
        vlan = 410 if ours or n % 3 else 420
        tag = struct.pack("!HH", 0x8100, vlan)
        tagged.append((time_ns, interface, frame[:12] + tag + frame[12:], wire + 4))
    plant.frames = tagged
    return plant


def _wrapped(plant: Plant, wrap: object) -> Plant:
    frames = []
    for n, (time_ns, interface, frame, _) in enumerate(sorted(plant.frames, key=lambda f: f[0])):
        outer = wrap(n, frame)  # type: ignore[operator]
        frames.append((time_ns, interface, outer, len(outer)))
    plant.frames = frames
    return plant


@situation("mirror-in-tunnel", site=factory, says={"*": "ERSPAN.*10[.]133[.]200[.]7"})
def mirror_comes_by_erspan() -> Plant:
    """The switch sends its mirror inside GRE (ERSPAN type II)."""
    plant = Plant()
    plant.lives(120)

    def wrap(n: int, frame: bytes) -> bytes:
        gre = struct.pack("!HHI", 0x1000, 0x88BE, n) + struct.pack("!HHI", 0x1000 | 41, 100, 0)
        body = ip4("10.133.0.9", "10.133.200.7", 47, gre + frame, number=n)
        return ethernet("70:df:2f:00:00:09", "00:50:56:00:00:07", 0x800, body)

    return _wrapped(plant, wrap)


@situation("mirror-in-tunnel", site=factory, says={"*": "VXLAN"})
def mirror_comes_by_vxlan() -> Plant:
    """A virtual switch sends its mirror inside VXLAN."""
    plant = Plant()
    plant.lives(120)

    def wrap(n: int, frame: bytes) -> bytes:
        vx = struct.pack("!HHHHII", 50_000, 4789, 16 + len(frame), 0, 0x0800_0000, 77 << 8)
        body = ip4("10.133.0.9", "10.133.200.7", 17, vx + frame, number=n)
        return ethernet("70:df:2f:00:00:09", "00:50:56:00:00:07", 0x800, body)

    return _wrapped(plant, wrap)


@situation("capture-snapped", site=factory, proved=False)
def factory_cut_at_96_bytes() -> Plant:
    """A well factory, each frame cut after 96 bytes."""
    plant = Plant()
    plant.lives(150)
    plant.frames = [(t, i, f[:96], w) for t, i, f, w in plant.frames]
    return plant


def _window(plant: Plant, start: float, end: float) -> Plant:
    first = min(f[0] for f in plant.frames)
    plant.frames = [f for f in plant.frames if start * 1e9 <= f[0] - first <= end * 1e9]
    return plant


@situation(site=factory)
def five_seconds_of_a_plain_day() -> Plant:
    """Five seconds out of the middle."""
    plant = Plant()
    plant.lives(200)
    return _window(plant, 94.0, 99.0)


@situation(site=nobody, also=("not-a-mirror",), violations=None)
def five_seconds_without_a_site_file() -> Plant:
    """Five seconds out of the middle, and no site file."""
    plant = Plant()
    plant.lives(200)
    return _window(plant, 90.0, 95.0)


@situation(site=factory)
def clock_of_the_capture_jumps_an_hour() -> Plant:
    """The capturing box sets its clock an hour ahead in the middle; the site notices nothing."""
    plant = Plant()
    plant.lives(300)
    first = min(f[0] for f in plant.frames)
    hour = 3600 * 10**9
    plant.frames = [
        (t + hour if t - first > 150 * 10**9 else t, i, f, w) for t, i, f, w in plant.frames
    ]
    return plant


@situation(site=factory)
def line_is_a_mobile_one() -> Plant:
    """LTE: answers after 60-190 ms, a lost segment now and then, MSS 1360, one slow SYN."""
    plant = Plant()
    plant.starts()
    for n in range(30):
        at = 8.0 + 10 * n
        plant.resolve(at, LOGS)
        talk = plant.talk(LOGS)
        talk.mss, talk.offers = 1348, 1360
        talk.rtt = 0.06 + 0.13 * plant.chance.random()
        if n == 11:
            talk.segment(at + 0.01, True, SYN)
        up = talk.shakes(at + 0.02 + (1 if n == 11 else 0), LOGS)
        up = talk.asks(up, 2500)
        if n % 9 == 4:
            talk.send(up + 0.4, bytes(talk.mss), again=True)
        talk.ends(up + 1)
    talk = plant.broker(6.0, 300, rtt=0.11)
    plant.runs(9.0, 300, logs=False)
    return plant


@situation(site=factory)
def downloads_over_a_line_with_a_little_loss() -> Plant:
    """An image of 6 MB comes; one segment in 300 is sent twice."""
    plant = Plant()
    plant.lives(120)
    plant.resolve(20.0, S3)
    talk = plant.talk(S3)
    at = talk.shakes(20.1, S3)
    talk.send(at, bytes(700))
    for n in range(4200):
        at += 0.004
        body = b"\x17\x03\x03\x05\xa3" + bytes(1443)
        talk.segment(at, False, ACK, body)
        if n % 300 == 150:
            talk.segment(at + 0.05, False, ACK, body, talk.got)
        talk.got += len(body)
        if n % 2:
            talk.ack(at + 0.0001)
    talk.ends(at + 0.2)
    return plant


@situation(site=factory)
def other_appliance_has_no_names() -> Plant:
    """Another appliance on the span gets no DNS answer and no lease; ours is well."""
    plant = Plant()
    plant.lives(200)
    for n in range(20):
        plant.resolve(
            3.0 + 9 * n, IOT, after=None, times=2, client=OTHER, server=(GATE[0], "10.133.8.77")
        )
        plant.knocks(5.0 + 9 * n, METRICS, client=OTHER, times=3)
        ask = dhcp_packet(1, "02:00:00:00:0a:12", 0x900 + n)
        plant.udp(6.0 + 9 * n, ("02:00:00:00:0a:12", "0.0.0.0", 68),
                  (EVERYBODY, "255.255.255.255", 67), ask)  # fmt: skip
    return plant


@situation(site=factory)
def two_printers_fight_for_an_address() -> Plant:
    """Two printers claim one address; nobody else is concerned."""
    plant = Plant()
    plant.lives(150)
    for n in range(25):
        mac = ("00:17:c8:00:00:01", "00:17:c8:00:00:02")[n % 2]
        plant.add(4.0 + 5 * n, arp_packet(1, mac, "10.133.42.9", "10.133.42.9"))
        plant.add(4.3 + 5 * n, arp_packet(2, mac, "10.133.42.9", DESK[1], DESK[0]))
    return plant


@situation(site=factory, violations=None)
def pcs_use_a_proxy_to_aws() -> Plant:
    """A PC uses the firm's proxy, which asks it for a password; ours goes straight."""
    plant = Plant()
    plant.lives(150)
    for n in range(8):
        talk = plant.talk(LOGS, 8080, address="10.133.8.80", client=DESK)
        talk.rtt = 0.002
        up = talk.opens(6.0 + 15 * n)
        talk.send(up + 0.001, f"CONNECT {LOGS}:443 HTTP/1.1\r\nHost: {LOGS}:443\r\n\r\n".encode())
        talk.answer(up + 0.005, b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b"Proxy-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
        talk.close(up + 0.02)
    return plant


@situation(site=factory)
def cloud_answers_503_inside_tls() -> Plant:
    """CloudWatch answers each request shortly and closes, as in an outage at AWS; TLS is well."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 300)
    plant.runs(12.0, 300, logs=False)
    at = 20.0
    for n in range(12):
        plant.resolve(at, METRICS)
        talk = plant.talk(METRICS)
        up = talk.shakes(at + 0.02, METRICS)
        talk.asks(up + 0.003, 1800, 210)
        talk.ends(up + 0.1, by_server=True)
        at += min(2**n, 30)
    return plant


@situation(site=factory)
def only_ipv6_with_nat64() -> Plant:
    """The port reaches AWS by IPv6 through NAT64: the addresses begin with 64:ff9b."""
    plant = Plant()
    plant.greet(0.2)
    for n in range(6):
        plant.clock(0.6 + 40 * n)
    for n in range(24):
        name = NAMES[n % len(NAMES)]
        four = AT[name][0]
        raw = bytes(int(p) for p in four.split("."))
        six = f"64:ff9b::{raw[0]:02x}{raw[1]:02x}:{raw[2]:02x}{raw[3]:02x}"
        at = 1.0 + 9 * n
        plant.resolve(at, name, (four,), six=(six,))
        talk = plant.talk(name, address=six)
        up = talk.shakes(at + 0.02, name)
        talk.asks(up + 0.02)
        talk.ends(up + 2)
    plant.office(0, 220)
    return plant


@situation(site=linked)
def aws_by_private_addresses_as_declared() -> Plant:
    """VPC endpoints: logs, metrics and MQTT at 10.200.3.x; S3 stays public."""
    plant = Plant()
    inner = {LOGS: "10.200.3.17", METRICS: "10.200.3.18", IOT: "10.200.3.40"}
    plant.greet(0.2)
    for n in range(6):
        plant.clock(0.6 + 40 * n)
    for n in range(14):
        name = (LOGS, METRICS, S3, IOT)[n % 4]
        plant.https(1.0 + 14 * n, name, address=inner.get(name) or AT[name][0])
    plant.office(0, 200)
    return plant


@situation(site=factory, violations=None, also=("name-mismatch",), info=(),
           never={"*": "filtered"})  # fmt: skip
def aws_by_private_addresses_not_declared() -> Plant:
    """The same VPC endpoints work; only the site file does not say so."""
    plant = Plant()
    inner = {LOGS: "10.200.3.17", METRICS: "10.200.3.18"}
    plant.greet(0.2)
    for n in range(6):
        plant.clock(0.6 + 40 * n)
    for n in range(14):
        name = (LOGS, METRICS, S3, IOT)[n % 4]
        plant.https(1.0 + 14 * n, name, thirteen=n % 8 > 3,
                    address=inner.get(name) or AT[name][0])  # fmt: skip
    plant.office(0, 200)
    return plant


@situation(site=outside, violations=None, never={"*": "does not answer"})
def names_by_dns_over_tls() -> Plant:
    """The appliance asks 1.1.1.1 over TLS (853): no name is in sight, all works."""
    plant = Plant()
    plant.greet(0.2)
    talk = plant.talk("one.one.one.one", 853, address="1.1.1.1")
    up = talk.shakes(0.5, "cloudflare-dns.com")
    for n in range(20):
        talk.asks(up + 10 * n, 130, 470)
        plant.https(up + 0.1 + 10 * n, NAMES[n % len(NAMES)], look=False)
        if n % 4 == 0:
            plant.clock(up + 5 + 10 * n, (GATE[0], "162.159.200.1"))
    plant.office(0, 200)
    return plant


@situation(site=factory)
def syn_is_lost_once_in_a_while() -> Plant:
    """Three connections in an hour need a second SYN; all work."""
    plant = Plant()
    plant.starts()
    plant.broker(5.0, 3600, every=60)
    for n in range(60):
        at = 20.0 + 60 * n
        if n in (13, 31, 52):
            plant.resolve(at - 1.1, LOGS)
            talk = plant.talk(LOGS)
            talk.segment(at - 1.0, True, SYN)
            up = talk.shakes(at, LOGS)
            talk.asks(up)
            talk.ends(up + 1)
        else:
            plant.https(at, LOGS)
        plant.clock(at + 9)
        plant.greet(at + 12)
    return plant


@situation(site=factory)
def broker_moves_the_client_once() -> Plant:
    """AWS IoT ends the MQTT connection for maintenance; the next one lives on."""
    plant = Plant()
    plant.starts()
    plant.runs(12.0, 400)
    first = plant.broker(5.0, 180)
    first.ends(185.0, by_server=True)
    plant.broker(186.1, 400)
    return plant


@situation(site=factory)
def servers_reset_after_the_goodbye() -> Plant:
    """Both say close_notify; the server, done, answers the last FIN with RST."""
    plant = Plant()
    plant.lives(160)
    for n in range(10):
        at = 14.0 + 14 * n
        plant.resolve(at, S3)
        talk = plant.talk(S3)
        up = talk.asks(talk.shakes(at + 0.02, S3), 4000, 300)
        talk.send(up + 0.5, b"\x17\x03\x03\0\x13" + bytes(19))
        talk.segment(up + 0.5001, True, FIN | ACK)
        talk.sent += 1
        talk.segment(up + 0.522, False, RST | ACK)
        talk.segment(up + 0.5221, False, RST)
    return plant


@situation(site=factory)
def addresses_by_dual_stack_and_ecr_pull() -> Plant:
    """IPv6 works beside IPv4, and an image is pulled in twelve short connections at once."""
    plant = Plant()
    plant.starts(names=(CRED, LOGS, METRICS))
    plant.runs(12.0, 200)
    for n in range(12):
        at = 30.0 + 0.11 * n
        plant.resolve(at, ECR, six=(SIX[ECR],))
        talk = plant.talk(ECR, address=SIX[ECR] if n % 3 else None)
        talk.asks(talk.shakes(at + 0.02, ECR), 300, 9000)
        talk.ends(at + 3)
    plant.broker(5.0, 200)
    return plant
