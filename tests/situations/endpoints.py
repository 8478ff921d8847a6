"""One endpoint, or TLS of all: blocked, refused, filtered, intercepted, stalled, forgotten."""

from __future__ import annotations

from tests.crafted import hello as tls
from tests.situations.fates import dies, quoted
from tests.situations.situation import situation
from tests.situations.town import (
    AT,
    CRED,
    HTTPS,
    IOT,
    LOGS,
    METRICS,
    PC,
    ROUTER,
    S3,
    SYN,
    Conn,
    Town,
    alert,
    nobody,
)


def others_work(town: Town, start: float, end: float, *but: str) -> None:
    at = start
    while at < end:
        for name in HTTPS:
            if name not in but:
                town.visit(at, name)
                at += 4
    return


def opened(town: Town, at: float, name: str, dport: int = 443) -> Conn:
    town.look(at, name, AT[name])
    conn = town.to(name, dport)
    conn.open(at + 0.05)
    return conn


# ---------------------------------------------------------------------- TCP


@situation(
    "tcp-blocked", says={"tcp-blocked": f"{LOGS}.*firewall"}, severity={"tcp-blocked": "error"}
)
def one_endpoint_is_dropped_and_others_work() -> Town:
    """Two attempts of four SYNs each; three names work meanwhile."""
    town = Town()
    town.lives(60)
    dies(town, 10, LOGS)
    dies(town, 30, LOGS)
    others_work(town, 12, 55, LOGS)
    return town


@situation("tcp-blocked", site=nobody)
def one_endpoint_is_dropped_and_there_is_no_site_file() -> Town:
    """The same, and nobody has said who the appliance is."""
    return one_endpoint_is_dropped_and_others_work()


@situation("tcp-refused", says={"tcp-refused": r"firewall answers for it"})
def one_endpoint_is_refused_by_a_box_on_the_way() -> Town:
    """RST to SYN with another TTL than the host's own packets had before."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55, METRICS)
    for at in (20, 30, 40):
        conn = town.to(METRICS)
        town.look(at, METRICS, AT[METRICS])
        conn.ttl_in = 63
        conn.segment(at + 0.05, True, SYN)
        conn.sent += 1
        conn.reset(at + 0.052)
    return town


@situation("icmp-blocked", says={"icmp-blocked": rf"192\.168\.5\.1 .*{LOGS}"})
def one_endpoint_is_prohibited_by_icmp() -> Town:
    """The router says administratively prohibited to one name, others work."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55, LOGS)
    for at in (20, 30, 40):
        town.look(at, LOGS, AT[LOGS])
        conn = town.to(LOGS)
        conn.segment(at + 0.1, True, SYN)
        town.icmp(at + 0.102, ROUTER, town.port, 3, 10, quoted(conn))
    return town


@situation("tcp-blocked", says={"tcp-blocked": "8883"})
def mqtt_port_is_dropped_and_443_takes_over() -> Town:
    """8883 is tried twice in vain, then the same name on 443 works."""
    town = Town()
    town.lives(60)
    town.look(8, IOT, AT[IOT])
    town.knock(8.1, IOT, 8883)
    town.knock(18, IOT, 8883)
    town.mqtt(30, 60)
    return town


@situation(
    "tcp-blocked",
    violations=1,
    severity={"tcp-blocked": "warning"},
    says={"tcp-blocked": "find out"},
    never={"tcp-blocked": r"\ballow outbound|allow it"},
)
def unlisted_destination_is_blocked() -> Town:
    """Something on the appliance asks for a host that no rule allows, in vain; all else works."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 55)
    for at in (15, 35):
        town.look(at, "telemetry.example.com", "198.51.100.9")
        town.knock(at + 0.1, "", address="198.51.100.9")
    return town


@situation()
def office_pc_fails_in_many_ways() -> Town:
    """A PC's connections are dropped, refused, reset after the hello and cut by a proxy."""
    town = Town()
    town.lives(60)
    for n in range(6):
        at = 8 + 7 * n
        town.look(at, "update.example.net", "198.51.100.80", client=PC)
        town.knock(at + 0.1, "", address="198.51.100.80", client=PC)
        conn = town.to("", address="198.51.100.81", client=PC)
        conn.segment(at + 1, True, SYN)
        conn.sent += 1
        conn.reset(at + 1.02)
        conn = town.to("", address="198.51.100.82", client=PC)
        conn.open(at + 2)
        conn.hello(at + 2.1, "www.example.org", thirteen=True)
        conn.reset(at + 2.12)
        conn = town.to(LOGS, client=PC)
        conn.open(at + 3)
        conn.hello(at + 3.1, LOGS, thirteen=False)
        conn.flight(at + 3.2, LOGS, thirteen=False, issuer="Office Filter", common="Filter CA")
        conn.send(at + 3.3, alert(48))
        conn.close(at + 3.31)
    return town


@situation()
def one_reset_then_all_is_well() -> Town:
    """A load balancer refuses once; the next try a second later works, as all after it."""
    town = Town()
    town.lives(60)
    conn = town.to(LOGS)
    town.look(20, LOGS, AT[LOGS])
    conn.segment(20.1, True, SYN)
    conn.sent += 1
    conn.reset(20.12)
    town.visit(21.1, LOGS)
    town.visit(40, LOGS)
    return town


# ---------------------------------------------------------------------- TLS


@situation("sni-filtered", says={"sni-filtered": rf"{S3}.*TLS name"})
def one_name_gets_no_answer_after_its_hello() -> Town:
    """TCP connects, the hello is sent four times and never answered; other names pass."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80, S3)
    for at in (15, 40, 65):
        conn = opened(town, at, S3)
        body = conn.hello(at + 0.1, S3, thirteen=True)
        for k in (0.3, 0.9, 2.1, 4.5):
            conn.send(at + 0.1 + k, body, again=True)
        conn.close(at + 11)
    return town


@situation("endpoint-failing|sni-filtered", says={"endpoint-failing": LOGS, "sni-filtered": LOGS})
def reset_after_the_servers_hello() -> Town:
    """The real server answers, and a RST in its name arrives at once; other names pass."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80, LOGS)
    for at in (15, 40, 65):
        conn = opened(town, at, LOGS)
        conn.hello(at + 0.1, LOGS, thirteen=True)
        conn.answer(at + 0.13, tls.record(22, tls.server_hello(town.chance)))
        conn.reset(at + 0.131)
    return town


@situation("tls-intercepted", says={"tls-intercepted": "Zscaler"}, never={"*": "alert"})
def every_name_is_intercepted_with_tls12() -> Town:
    """The certificates of all names come from an inspection proxy: unknown CA, says the client."""
    town = Town()
    town.habits(1, 70)
    for n, name in enumerate((*HTTPS, IOT, *HTTPS)):
        at = 6 + 5 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, ("x-amzn-mqtt-ca",) if name == IOT else (), thirteen=False)
        conn.flight(at + 0.14, name, thirteen=False, issuer="Zscaler Inc.", common="Zscaler Root")
        conn.send(at + 0.2, alert(48))
        conn.close(at + 0.21)
    return town


@situation("tls-intercepted|endpoint-failing|tls-blocked", says={"*": "inspection|trust"})
def every_name_is_intercepted_with_tls13() -> Town:
    """The certificate is out of sight; the client answers the flight by an alert-sized record."""
    town = Town()
    town.habits(1, 70)
    for n, name in enumerate((*HTTPS, *HTTPS, *HTTPS)):
        at = 6 + 5 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=True)
        conn.flight(at + 0.14, name, thirteen=True)
        conn.send(at + 0.16, tls.record(20, b"\1") + tls.record(23, bytes(19)))
        conn.close(at + 0.17)
    return town


@situation("client-cert-rejected", says={"client-cert-rejected": IOT})
def device_certificate_is_refused_with_tls12() -> Town:
    """IoT answers the client's certificate by alert 42; HTTPS names work."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(5):
        at = 8 + 13 * n
        conn = opened(town, at, IOT)
        conn.hello(at + 0.1, IOT, ("x-amzn-mqtt-ca",), thirteen=False)
        conn.flight(at + 0.14, IOT, "x-amzn-mqtt-ca", thirteen=False, asks=True)
        conn.finish(at + 0.2, thirteen=False, certificate=True)
        conn.answer(at + 0.23, alert(42))
        conn.close(at + 0.24, by_server=True)
    return town


@situation("client-cert-rejected", says={"client-cert-rejected": IOT})
def device_certificate_is_refused_with_tls13() -> Town:
    """IoT answers the client's last flight by an alert that nobody can read, and closes."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(5):
        at = 8 + 13 * n
        conn = opened(town, at, IOT)
        conn.hello(at + 0.1, IOT, ("x-amzn-mqtt-ca",), thirteen=True)
        conn.flight(at + 0.14, IOT, thirteen=True)
        conn.finish(at + 0.2, thirteen=True, certificate=True)
        conn.answer(at + 0.23, tls.record(23, bytes(19)))
        conn.close(at + 0.24, by_server=True)
    return town


@situation("tls-alert", says={"tls-alert": f"{CRED}.*40"})
def one_server_says_handshake_failure() -> Town:
    """One name is answered by alert 40, the others work."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50, CRED)
    for at in (10, 25, 40):
        conn = opened(town, at, CRED)
        conn.hello(at + 0.1, CRED, thirteen=False)
        conn.answer(at + 0.13, alert(40))
        conn.close(at + 0.14, by_server=True)
    return town


@situation("clock-off", severity={"clock-off": "error"})
def clock_is_years_back_and_tls_fails_by_it() -> Town:
    """The clock says 2019 after each exchange; the client finds each certificate not yet valid."""
    town = Town()
    town.arp(0.3, town.port, ROUTER[1], ROUTER[0])
    town.habits(1, 80, times=False)
    for n in range(10):
        town.time(2 + 8 * n, off=-7 * 365 * 86400)
    for n, name in enumerate((*HTTPS, *HTTPS)):
        at = 6 + 8 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=False)
        conn.flight(at + 0.14, name, thirteen=False)
        conn.send(at + 0.2, alert(45))
        conn.close(at + 0.21)
    return town


@situation("captive-portal", says={"captive-portal": "portal"})
def portal_redirects_every_name() -> Town:
    """Each hello to each name is answered by HTTP 302 to a portal inside the site."""
    town = Town()
    town.habits(1, 70)
    said = (b"HTTP/1.1 302 Found\r\nLocation: http://portal.guest.example/login\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n")  # fmt: skip
    for n, name in enumerate((*HTTPS, *HTTPS)):
        at = 6 + 7 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=True)
        conn.answer(at + 0.12, said)
        conn.close(at + 0.13, by_server=True)
    return town


@situation("captive-portal|tls-intercepted", says={"*": "portal|guest"})
def portal_answers_with_its_own_certificate() -> Town:
    """All names get the certificate of the guest network's portal."""
    town = Town()
    town.habits(1, 70)
    for n, name in enumerate((*HTTPS, *HTTPS)):
        at = 6 + 7 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=False)
        conn.flight(at + 0.14, name, thirteen=False, issuer="Let's Encrypt", common="R11",
                    subject="portal.guest.example")  # fmt: skip
        conn.send(at + 0.2, alert(42))
        conn.close(at + 0.21)
    return town


@situation("endpoint-failing", says={"endpoint-failing": LOGS})
def https_hangs_after_the_handshake() -> Town:
    """Each handshake with one name is done; its request is acknowledged and never answered."""
    town = Town()
    town.lives(120)
    others_work(town, 12, 110, LOGS)
    for n in range(3):
        at = 10 + 33 * n
        conn = opened(town, at, LOGS)
        conn.hello(at + 0.1, LOGS, thirteen=True)
        conn.flight(at + 0.14, LOGS, thirteen=True)
        conn.finish(at + 0.2, thirteen=True)
        conn.send(at + 0.25, tls.record(23, bytes(900)))
        conn.segment(at + 0.28, False, 16)
        conn.close(at + 30)
    return town


@situation("sni-filtered|endpoint-failing", says={"*": METRICS})
def one_name_is_closed_after_its_hello() -> Town:
    """FIN right after the hello of one name, each time."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50, METRICS)
    for at in (10, 25, 40):
        conn = opened(town, at, METRICS)
        conn.hello(at + 0.1, METRICS, thirteen=True)
        conn.segment(at + 0.12, False, 16)
        conn.close(at + 0.13, by_server=True)
    return town


@situation("tls-stalled", says={"tls-stalled": "large packets"})
def large_hellos_are_lost_on_the_way() -> Town:
    """Hellos of 1,700 bytes: the full-size segment is lost, the rest is acknowledged by SACK alone;
    small hellos of other names pass."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80, LOGS)
    for at in (15, 40, 65):
        conn = opened(town, at, LOGS)
        made = tls.client_hello(town.chance, LOGS, (), more=tls.extension(21, bytes(1500)))
        body = tls.record(22, made, 0x301)
        conn.segment(at + 0.1, True, 16, body[:1448])
        begun = conn.sent
        conn.sent += 1448
        conn.segment(at + 0.1001, True, 24, body[1448:])
        conn.sent = begun
        conn.segment(at + 0.13, False, 16)  # a duplicate acknowledgement
        for k in (0.3, 0.9, 2.1, 4.5, 9.3):
            conn.segment(at + 0.1 + k, True, 16, body[:1448])
        conn.sent = begun + len(body)
        conn.close(at + 15)
    return town


@situation("tls-stalled|mtu-low", says={"*": "large packets"})
def full_size_flights_of_every_name_are_lost() -> Town:
    """Each server's flight loses its full-size segments; small tails arrive. All names alike."""
    town = Town()
    town.habits(1, 120)
    for n, name in enumerate((*HTTPS, *HTTPS)):
        at = 6 + 13 * n
        conn = opened(town, at, name)
        conn.hello(at + 0.1, name, thirteen=False)
        conn.lose(2896)
        conn.answer(at + 0.141, bytes(420))
        conn.got -= 2896 + 420
        conn.ack(at + 0.142)
        conn.close(at + 12)
    return town


@situation("alpn-stripped", says={"alpn-stripped": IOT})
def inspection_answers_without_alpn() -> Town:
    """A box passes Amazon's certificate on but loses the ALPN; MQTT on 443 is closed after it."""
    town = Town()
    town.lives(80)
    others_work(town, 12, 70)
    for n in range(5):
        at = 8 + 13 * n
        conn = opened(town, at, IOT)
        conn.hello(at + 0.1, IOT, ("x-amzn-mqtt-ca",), thirteen=False)
        conn.flight(at + 0.14, IOT, None, thirteen=False)
        conn.finish(at + 0.2, thirteen=False)
        conn.finished(at + 0.23, thirteen=False)
        conn.data(at + 0.3, 90, 0)
        conn.close(at + 0.35, by_server=True)
    return town


@situation("endpoint-failing", says={"endpoint-failing": f"{S3}.*SYN-ACK 4 times"})
def acknowledgements_never_reach_one_server() -> Town:
    """One server repeats its SYN-ACK: what the client sends after its SYN is lost on the way."""
    town = Town()
    town.lives(90)
    others_work(town, 12, 80, S3)
    for at in (15, 40, 65):
        conn = opened(town, at, S3)
        body = conn.hello(at + 0.1, S3, thirteen=True)
        for k in (1, 3, 7):
            conn.got -= 1
            conn.sent -= len(body)
            conn.segment(at + k, False, 18, sequence=conn.got)
            conn.got += 1
            conn.sent += len(body)
            conn.send(at + k + 0.3, body, again=True)
        conn.close(at + 11)
    return town


@situation("endpoint-failing", says={"endpoint-failing": CRED})
def server_speaks_no_tls_at_all() -> Town:
    """One name's port answers the hello with a mail server's banner."""
    town = Town()
    town.lives(60)
    others_work(town, 12, 50, CRED)
    for at in (10, 25, 40):
        conn = opened(town, at, CRED)
        conn.hello(at + 0.1, CRED, thirteen=True)
        conn.answer(at + 0.13, b"220 mail.example ESMTP\r\n")
        conn.close(at + 0.2)
    return town


# ---------------------------------------------------------------------- connections that live long


@situation("idle-timeout", says={"idle-timeout": r"\b60 s"})
def nat_answers_rst_after_a_minute_of_silence() -> Town:
    """Four connections are reset when they speak after 60 to 61 s of silence."""
    town = Town()
    town.lives(330)
    at = 8.0
    for n in range(4):
        conn = town.mqtt(at, at + 2, every=20)
        conn.send(at + 61 + n * 0.2, b"\x17\x03\x03\0\x1f" + bytes(31))
        conn.reset(at + 61.02 + n * 0.2)
        at += 70
    town.visit(310, S3)
    return town


@situation("idle-timeout", says={"idle-timeout": r"\b300 s|\b29\d s|\b30\d s"})
def firewall_forgets_silently_after_five_minutes() -> Town:
    """Three connections speak after 300 s and get no answer; each time a new one works at once."""
    town = Town()
    town.lives(1100)
    at = 8.0
    for _ in range(3):
        conn = town.mqtt(at, at + 2, every=20)
        body = b"\x17\x03\x03\0\x1f" + bytes(31)
        conn.send(at + 301, body)
        for k in (0.3, 0.9, 2.1, 4.5, 9):
            conn.send(at + 301 + k, body, again=True)
        at += 320
        conn.reset(at, by_server=False)
    town.mqtt(at + 1, 1090)
    return town


@situation()
def servers_close_idle_connections_by_fin() -> Town:
    """HTTPS servers close idle connections after 60 s; the client opens others when needed."""
    town = Town()
    town.lives(400)
    for n in range(5):
        at = 8 + 75 * n
        town.look(at, S3, AT[S3])
        conn = town.to(S3).whole(at + 0.05, S3)
        conn.close(at + 60.2, by_server=True)
    return town


@situation("mqtt-flapping", says={"mqtt-flapping": "client id|second device"})
def another_device_takes_over_the_client_id() -> Town:
    """MQTT is closed by the server every 20 s and opened again at once."""
    town = Town()
    town.lives(200)
    for n in range(9):
        at = 8 + 20 * n
        conn = town.mqtt(at, at + 15, every=5, look=n == 0)
        conn.close(at + 19.5, by_server=True)
    return town


@situation()
def mqtt_of_other_devices_flaps() -> Town:
    """Two sensors with one client id throw each other out at the site's own broker."""
    town = Town()
    town.lives(150)

    def text(word: bytes) -> bytes:
        return len(word).to_bytes(2, "big") + word

    for n in range(12):
        mac, address = (
            ("02:00:00:00:08:01", "192.168.5.81"),
            ("02:00:00:00:08:02", "192.168.5.82"),
        )[n % 2]
        broker = ("02:00:00:00:08:09", "192.168.5.90", 1883)
        town.sport += 1
        conn = Conn(town, (mac, address, town.sport), broker)
        at = 6 + 10 * n
        conn.open(at)
        body = text(b"MQTT") + b"\x04\x02\0\x3c" + text(b"sensor")
        conn.send(at + 0.1, bytes([0x10, len(body)]) + body)
        conn.answer(at + 0.11, b"\x20\x02\0\0")
        conn.close(at + 9.8, by_server=True)
    return town


@situation("proxy-seen", violations=None, says={"proxy-seen": "proxy"})
def appliance_is_set_to_a_proxy() -> Town:
    """The appliance asks a proxy inside the site to CONNECT its endpoints."""
    town = Town()
    town.lives(60)
    for n, name in enumerate(HTTPS):
        at = 8 + 10 * n
        conn = town.to("", 3128, address="192.168.5.80", via="02:00:00:00:08:80")
        conn.open(at)
        conn.send(at + 0.1, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
        conn.answer(at + 0.12, b"HTTP/1.1 200 Connection established\r\n\r\n")
        conn.hello(at + 0.2, name, thirteen=True)
        conn.flight(at + 0.24, name, thirteen=True)
        conn.finish(at + 0.3, thirteen=True)
        conn.finished(at + 0.33, thirteen=True)
        conn.close(at + 1)
    return town


@situation()
def two_resets_after_the_same_silence_are_chance() -> Town:
    """Two connections are reset after 90 s of silence, the third one lives."""
    town = Town()
    town.lives(320)
    for at in (8.0, 110.0):
        conn = town.mqtt(at, at + 2)
        conn.send(at + 91, b"\x17\x03\x03\0\x1f" + bytes(31))
        conn.reset(at + 91.02)
    town.mqtt(210, 318, every=95)
    return town
