"""Sites on which all is well, though much of it looks odd: nothing of it may alarm anybody."""

from __future__ import annotations

import random

from tests.situations.stack import Host, packed
from tests.situations.stack_camera import Play
from tests.situations.stack_day import https, light, mqtt, times, to, works
from tests.situations.stack_names import lease, look, ntp, renew
from tests.situations.stack_noise import igmp, mdns, netbios, six, ssdp
from tests.situations.stack_tcp import ACK, SYN
from tests.situations.stack_tls import Tls, rec
from tests.situations.stack_tls import noise as cipher
from tests.situations.visit import visit

SMALL = {"key": 2600, "delta": 420}
FINE = {"cam1": "streaming"}


def play(s, at, n=0, fps=5.0, **more):
    return Play(s, s.cams[n], fps=fps, **more).play(at)


@visit()
def camera_says_goodbye_at_midnight_and_is_played_again():
    """The camera sends RTCP BYE and stops; the reader tears down 0.3 s later and plays anew: 1.2
    s of pictures are missing."""
    s = works(501, 44, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 20, **SMALL)
    p.goodbye(20.1)
    p.teardown(20.4)
    q = play(s, 20.9)
    q.film(q.t + 0.02, 44, **SMALL)
    return s


@visit(cameras=FINE)
def keep_alive_by_options_is_answered_501_and_tolerated():
    """OPTIONS with the session are answered 501 each 20 s; the stream goes on for ever."""
    s = works(502, 90, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 90, keep="OPTIONS", every=20, keep_status="501 Not Implemented", **SMALL)
    return s


@visit(cameras=FINE)
def keep_alive_by_set_parameter_is_answered_451_and_tolerated():
    """SET_PARAMETER gets 451 each 25 s, the session stays."""
    s = works(503, 90, streams=False)
    p = play(s, 1)
    p.film(
        p.t + 0.02,
        90,
        keep="SET_PARAMETER",
        every=25,
        keep_status="451 Parameter Not Understood",
        **SMALL,
    )
    return s


@visit(cameras=FINE)
def keep_alives_are_never_answered_and_count():
    """GET_PARAMETER each 25 s is acknowledged by TCP only; the session of 60 s stays for 150 s."""
    s = works(504, 150, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 150, every=25, keep_answer=False, **SMALL)
    return s


@visit(violations=0)
def pool_of_four_time_servers_has_a_dead_member():
    """No time server in the site file: chrony asks four of the pool, one never answers."""
    s = works(505, 60, ntp="public", skip=("time",))
    for n in range(8):
        for k, ip in enumerate(
            ("162.159.200.123", "94.130.49.186", "185.125.190.58", "78.46.102.180")
        ):
            ntp(s, 0.5 + n * 7 + k * 0.05, server=s.far(ip), answer=k != 3)
    return s


@visit()
def bucket_has_a_time_to_live_of_five_seconds():
    """S3 is looked up before each request; each answer is another address with TTL 5."""
    s = works(506, 50, skip=("s3",))
    for n in range(9):
        ip = f"52.216.{n * 11}.{n + 20}"
        look(s, 2 + n * 5, s.S3, ips=[ip], ttl=5, alias=None)
        https(s, 2.02 + n * 5, s.S3, find=False, ip=ip)
    return s


@visit()
def bucket_closes_idle_connections_after_20_seconds():
    """S3 ends each kept connection by FIN after 20 s; the client answers and opens a new one."""
    s = works(507, 100, skip=("s3",), streams=False)
    for n in range(4):
        https(s, 3 + 23 * n, s.S3, 800, 3000, server_closes=20.0)
    return s


@visit()
def mqtt_is_pinged_each_20_minutes():
    """MQTT with 1,200 s of keep-alive: two pings in 50 minutes, both answered; nothing else
    speaks but time and lookups."""
    s = works(508, 12, skip=("mqtt",), streams=False)
    mqtt(s, 2, 3000, every=1200.0)
    times(s, 64, 3000, 512)
    t = 60.0
    while t < 3000:
        s.refresh(t, s.cloud, s.router)
        https(s, t + 0.5, s.MON, v13=False)
        t += 240
    return s


@visit()
def sessions_of_tls_are_resumed():
    """Each connection to logs and metrics resumes the last one: no certificate is seen any more."""
    s = works(509, 50, skip=("logs", "mon"))
    for n in range(8):
        https(s, 2 + n * 5, s.LOGS, v13=True, resumed=n > 0)
        https(s, 4 + n * 5, s.MON, v13=False, resumed=n > 0)
    return s


@visit()
def resumption_is_refused_and_a_full_handshake_follows():
    """The client offers a ticket, the server takes the full handshake."""
    s = works(510, 40, skip=("logs",))
    for n in range(6):
        c = to(s, s.LOGS, 2 + n * 6)
        c.open(c.t).greet(s.LOGS, ("http/1.1",), True, 208)
        c.flight("http/1.1").finish()
        c.data(900, 300).bye(c.t + 0.4)
    return s


@visit(violations=0)
def ipv6_is_preferred_and_works():
    """Router advertisements, AAAA answers, and the cloud over IPv6; MQTT over IPv4."""
    s = works(511, 40, skip=("logs", "mon"))
    me = Host(s.cloud.mac, "2001:db8:77::a1f", name="eth1")
    for n in range(5):
        name = (s.LOGS, s.MON)[n % 2]
        far = f"2600:1f18:22::{n % 2 + 5}"
        look(s, 2 + n * 6, name, six=(far,))
        c = Tls(s, me, Host(s.router.mac, far, "far", 57), 443, rtt=0.03)
        c.hand(2.02 + n * 6, name, ("http/1.1",)).data(900, 300).bye(c.t + 0.3)
    return s


@visit()
def lease_is_renewed_by_unicast_each_ten_minutes():
    """Lease of 20 minutes: REQUEST and ACK by unicast at 10 and 20 minutes."""
    s = works(512, 12, streams=False)
    lease(s, 0.2, s.cloud, seconds=1200)
    mqtt(s, 13, 1300, find=False, every=60)
    for t in (600, 1200):
        renew(s, t, s.cloud, seconds=1200)
    times(s, 64, 1300, 256)
    return s


@visit(also=("gateway-changed",), info=())
def pair_of_routers_fails_over_with_its_virtual_mac():
    """VRRP: the virtual MAC answers; the second router announces it after a fail-over, and the
    switch learns it at another port. Connections go on after 3 s."""
    s = works(513, 50)
    vmac = s.router
    for n in range(10):
        adv = bytes([0x21, 1, 100 if n < 5 else 90, 1, 0, 1, 0, 0]) + packed(s.router.ip) + bytes(8)
        first = s.router.at(s.net + ("2" if n < 5 else "3"))
        first.ttl = 255
        s.ip(1 + n * 4, first, Host("", "224.0.0.18"), 112, adv, df=False)
    for n in range(3):
        s.announce(24 + n, vmac, 1)
    return s


@visit()
def search_domains_are_tried_first_and_do_not_exist():
    """glibc appends plant.example and local to each short name, and NXDOMAIN is answered; the
    full names are asked next and answered."""
    s = works(514, 44)
    for n in range(5):
        t = 5 + n * 7
        look(s, t, "panorama.plant.example", rcode=3, style="glibc")
        look(s, t + 0.02, s.LOGS + ".plant.example", rcode=3, style="glibc")
        look(s, t + 0.05, s.LOGS, style="glibc")
    return s


@visit()
def logs_answer_slowly_once_and_the_client_asks_again():
    """One request is not answered for 5 s; the client closes, opens a new connection and repeats
    it: it works, as all others do."""
    s = works(515, 44, skip=("logs",))
    https(s, 2, s.LOGS, times=3)
    c = to(s, s.LOGS, 20)
    c.hand(c.t, s.LOGS, ("http/1.1",))
    c.up(rec(23, cipher(1357)), c.t + 0.01, quick=True)
    c.fin(c.t + 5)
    https(s, 26, s.LOGS, times=3)
    return s


@visit()
def router_clamps_segments_and_strips_options():
    """The firewall is a TCP proxy: SYN/ACK without SACK and time stamps, MSS 1,360."""
    s = works(516, 40, skip=("logs", "mon", "s3"))
    for n in range(6):
        name = (s.LOGS, s.MON, s.S3)[n % 3]
        look(s, 2 + n * 5, name)
        far = Host(s.router.mac, s.ips(name)[0], "router", 250)
        c = Tls(s, s.cloud, far, 443, mss=1360)
        c.hand(2.02 + n * 5, name, ("http/1.1",)).data(2400, 300).bye(c.t + 0.3)
    return s


@visit(violations=0)
def chromecasts_and_printers_talk_all_the_time():
    """Six neighbours with mDNS, SSDP, NetBIOS, LLMNR, WS-Discovery, IGMP and DHCP at their
    worst."""
    s = works(517, 34)
    for n in range(6):
        h = Host(f"f4:f5:d8:00:01:{n:02x}", s.net + str(210 + n), name=f"cast{n}")
        for k in range(6):
            t = 1 + n * 0.3 + k * 5
            mdns(s, t, h, "_googlecast._tcp.local")
            mdns(s, t + 0.02, h, "_airplay._tcp.local")
            ssdp(s, t + 1, h)
            netbios(s, t + 2, h, f"TV-{n}")
            six(s, t + 2.5, h)
            igmp(s, t + 3, h, 0x16, "224.0.0.251")
            s.arp(t + 3.3, 1, h, s.net + "1")
        lease(s, 2 + n * 4, h)
    return s


@visit(violations=0)
def switches_speak_their_protocols():
    """Rapid spanning tree, LLDP, CDP, LACP, loop detection frames and a unidirectional-link
    protocol."""
    s = works(518, 34)
    for n in range(30):
        lacp = (
            bytes([1, 1])
            + bytes([1, 20])
            + bytes(18)
            + bytes([2, 20])
            + bytes(18)
            + bytes([3, 16])
            + bytes(66)
        )
        s.eth(1 + n, s.switch.mac, "01:80:c2:00:00:02", 0x8809, lacp)
        if n % 3 == 0:
            s.eth(1.2 + n, s.switch.mac, s.switch.mac, 0x9000, bytes(46))
            s.llc(
                1.4 + n, s.switch.mac, "01:00:0c:cc:cc:cc", b"\xaa\xaa\3\0\0\x0c\1\x11" + bytes(40)
            )
    return s


@visit(cameras=FINE)
def camera_probes_the_connection_by_keep_alives_of_tcp():
    """The camera's TCP sends keep-alive probes each 15 s on the silent RTSP connection; all are
    answered."""
    s = works(519, 60, streams=False)
    p = play(s, 1)
    for k in range(3):
        end = 16 + 15 * k
        p.film(p.t + 0.05, end, keep=None, **SMALL)
        p.c.probe(end + 0.01, 1)
    p.film(p.t + 0.05, 60, keep=None, **SMALL)
    return s


@visit(cameras=FINE)
def parameter_sets_come_only_in_the_description():
    """Old Axis: SPS and PPS are in the SDP, and in no key frame."""
    s = works(520, 34, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 34, sets=False, **SMALL)
    return s


@visit(cameras=FINE)
def parameter_sets_come_only_with_the_key_frames():
    """Hikvision recorder: packetization-mode=0 and no sets in the SDP."""
    s = works(521, 34, streams=False)
    p = play(s, 1, sprop=False)
    p.film(p.t + 0.02, 34, **SMALL)
    return s


@visit(cameras=FINE)
def transport_of_the_answer_has_no_client_port():
    """The answer to SETUP is `RTP/AVP;unicast;server_port=40000-40001,ssrc=FFFFCCCC`; it plays."""
    s = works(522, 34, streams=False)
    p = Play(s, s.cams[0], fps=5.0)
    p.sport = 40000
    p.connect(1).describe()
    p.setup(
        1,
        reply="Transport: RTP/AVP;unicast;server_port=40000-40001,ssrc=FFFFCCCC\r\n"
        f"Session: {p.session}\r\n",
    )
    p.start()
    p.film(p.t + 0.02, 34, **SMALL)
    return s


@visit(cameras=FINE)
def camera_sends_from_another_port_than_it_said():
    """SETUP says server_port 6970, the packets come from 50012; on one network nobody minds."""
    s = works(523, 34, streams=False)
    p = play(s, 1)
    p.sport = 50012
    p.film(p.t + 0.02, 34, rr=None, **SMALL)
    return s


@visit(cameras=FINE)
def pictures_come_at_an_uneven_rate_by_design():
    """Variable rate: 2 to 6 pictures a second as there is something to see, each stamped rightly;
    no rate is declared."""
    s = works(524, 50, streams=False)
    p = play(s, 1, rate=0)
    r = random.Random(3)
    p.film(p.t + 0.02, 50, step=lambda t: r.choice([0.17, 0.2, 0.25, 0.33, 0.5]), **SMALL)
    return s


@visit(cameras=FINE)
def two_packets_change_places_now_and_then():
    """On a bonded uplink one packet in eighty overtakes the one before; nothing is lost."""
    s = works(525, 44, streams=False)
    p = play(s, 1)
    before = len(s.frames)
    p.film(p.t + 0.02, 44, key=8000, delta=2600)
    media = [k for k in range(before, len(s.frames)) if len(s.frames[k][1]) > 1000]
    for k in media[40::80]:
        (a, f, i), (b, g, j) = s.frames[k], s.frames[k - 1]
        if abs(a - b) < 0.001:
            s.frames[k], s.frames[k - 1] = (b, f, i), (a, g, j)
    return s


@visit(cameras=FINE)
def picture_size_is_changed_and_the_stream_goes_on():
    """An operator changes the picture's size: another SPS from the next key frame on, no gap."""
    s = works(526, 44, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 22, **SMALL)
    p.sps = bytes.fromhex("6742001f96540501e9c8")
    p.frame = 0
    p.film(22.1, 44, **SMALL)
    return s


@visit()
def application_starts_and_stops_its_camera_each_quarter_minute():
    """By turns: play 9 s, TEARDOWN, 6 s nothing, and again; the last one plays."""
    s = works(527, 66, streams=False)
    for n in range(4):
        p = play(s, 1 + 15 * n)
        p.film(p.t + 0.02, 10 + 15 * n, **SMALL)
        p.teardown(10.1 + 15 * n)
    p = play(s, 61)
    p.film(p.t + 0.02, 66, **SMALL)
    return s


@visit(violations=0)
def guest_of_the_office_uses_a_public_resolver_and_quic():
    """A PC asks 1.1.1.1, speaks QUIC to a search engine and TLS to many; none of it is the
    appliance's."""
    s = works(528, 34)
    for n in range(6):
        look(
            s,
            2 + n * 4,
            f"www{n}.example.com",
            ips=[f"203.0.113.{n + 7}"],
            who=s.pc,
            server=s.far("1.1.1.1"),
        )
        far = s.far(f"203.0.113.{n + 7}")
        s.udp(2.1 + n * 4, s.pc, 52000 + n, far, 443, b"\xc3\0\0\0\1\x08" + cipher(1194))
        s.udp(2.13 + n * 4, far, 443, s.pc, 52000 + n, b"\xc3\0\0\0\1\0\x08" + cipher(1193))
        c = Tls(s, s.pc, far, 443)
        c.hand(2.2 + n * 4, f"www{n}.example.com", ("h2",)).data(500, 4000).bye(c.t + 1)
    return s


@visit(violations=0)
def camera_looks_for_a_file_server_that_was_switched_off():
    """A camera asks by ARP each second for the address of a file server that is no more."""
    s = works(529, 34)
    for n in range(32):
        s.arp(1 + n, 1, s.cams[0], s.camnet + "240")
    return s


@visit(violations=0)
def update_of_forty_layers_comes_from_the_registry():
    """The registry is asked, and a layer of 600 kB comes from its bucket with a few segments
    repeated."""
    s = works(531, 44)
    https(s, 5, s.ECR)
    https(s, 6, s.DKR, times=3, every=0.5)
    c = to(s, s.LAYERS, 8)
    c.hand(c.t, s.LAYERS, ("http/1.1",))
    c.data(700, 0)
    for n in range(6):
        c.down(rec(23, cipher(100000, str(n))), 0.02, lost={17} if n == 3 else ())
    c.bye(c.t + 1)
    return s


@visit()
def one_lookup_is_lost_and_asked_again():
    """A single question gets no answer and is repeated after 5 s; all else is answered."""
    s = works(532, 44)
    look(s, 15, s.MON, silent=(1, 28), tries=1, style="glibc")
    look(s, 20, s.MON, style="glibc")
    https(s, 20.02, s.MON, find=False, v13=False)
    return s


@visit()
def one_address_of_four_is_slow_to_connect_and_the_next_is_taken():
    """Happy eyeballs of the client runtime: the first broker address answers its SYN after 1.2 s,
    when the second is already connected; the first is closed by reset."""
    s = works(533, 40, skip=("mqtt",))
    look(s, 1, s.IOT)
    slow = Tls(s, s.cloud, s.far(s.ips(s.IOT)[0]), 443)
    slow.seg(1.02, 0, SYN)
    slow.seg(2.03, 0, SYN)
    slow.seg(2.24, 1, SYN | ACK, ack=slow.seq[0] + 1)
    slow.seq[0] += 1
    slow.seg(2.2401, 0, 4, seq=slow.seq[0])
    mqtt(s, 1.3, 40, find=False, ip=s.ips(s.IOT)[1])
    return s


@visit(violations=0)
def site_is_numbered_from_shared_address_space():
    """Behind a carrier's NAT: the gateway's other side is 100.64/10; names, time and cloud work;
    ICMP time exceeded of a traceroute by the PC passes by."""
    s = works(534, 34)
    hop = s.far("100.72.4.1", 250)
    for n in range(6):
        quoted = s.packet(s.pc, s.far("8.8.8.8"), 1, b"\x08\0\xf7\xff\0\1\0\1" + bytes(32), ttl=1)
        s.icmp(4 + n, s.pc, s.far("8.8.8.8"), 8, 0, rest=n, body=bytes(32))
        s.icmp(4.01 + n, hop, s.pc, 11, 0, quoted)
    return s


@visit(info=())
def mirror_starts_in_the_middle_of_a_busy_hour():
    """The capture begins with everything open: streams over UDP and TCP, MQTT and logs in
    mid-flow; no dialogue and no handshake is seen."""
    s = works(535, 74, cams=2, streams=False)
    light(s, 0.8, 74, which=(0,))
    light(s, 0.9, 74, which=(1,), udp=False)
    s.frames = [(t - 40, f, i) for t, f, i in s.frames if t >= 40]
    return s


@visit(cameras=FINE)
def audio_and_video_and_metadata_come_together():
    """Video, sound, and a metadata track that says a few words now and then."""
    s = works(536, 34, streams=False)
    p = Play(s, s.cams[0], fps=5.0, audio=True)
    p.play(1)
    p.film(p.t + 0.02, 34, **SMALL)
    return s


@visit(cameras=FINE)
def reader_and_camera_agree_on_a_session_without_reports():
    """Neither side sends RTCP; GET_PARAMETER keeps the session."""
    s = works(537, 70, streams=False)
    p = play(s, 1)
    p.film(p.t + 0.02, 70, sr=None, rr=None, **SMALL)
    return s


@visit()
def clock_is_set_by_two_seconds_at_the_start():
    """At boot the clock is 1.6 s behind; the first answers set it; from then on it is right."""
    s = works(538, 60, skip=("time",))
    for n in range(2):
        ntp(s, 0.5 + 2 * n, style="timesyncd", off=-0.4)
    for n in range(6):
        ntp(s, 8 + n * 8, style="timesyncd", off=0.002)
    return s


@visit()
def broker_moves_the_client_to_another_server_once():
    """AWS closes the MQTT connection once for maintenance (FIN with DISCONNECT); the client is
    back after 1.3 s."""
    s = works(539, 60, skip=("mqtt",))
    c = to(s, s.IOT, 1)
    c.hand(c.t, s.IOT, ("x-amzn-mqtt-ca",), v13=False, mutual=True).data(118, 4, c.t + 0.01, 0.02)
    c.data(2, 2, 25, 0.001)
    c.bye(31, 1)
    mqtt(s, 32.3, 60)
    return s


@visit(violations=0)
def gateway_answers_arp_for_a_wifi_bridge():
    """Cameras behind a wireless bridge share its MAC."""
    s = works(540, 40, cams=3, streams=False)
    for cam in s.cams[1:]:
        cam.mac = s.cams[0].mac
    light(s, 0.8, 40)
    return s
