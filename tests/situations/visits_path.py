"""What stands between an appliance and its cloud: forged names, proxies, brokers, narrow paths."""

from __future__ import annotations

from typing import Any

from tests.situations.visit import visit
from tests.situations.yard import Host, Yard
from tests.situations.yard_tcp import ACK, FIN, PSH, RST, SYN, Conn, alert, rec, server_flight

FORGED = "203.0.113.66"


def well_but_for(y: Yard, name: str, end: float) -> None:
    """A well site that does not use one name."""
    y.begin(0.2, skip=(name,))
    y.mqtt(2.8, end)
    y.goes_on(8.2, end - 3, skip=(name,))


def looked_twice(
    y: Yard, at: float, name: str, first: dict[str, Any], then: dict[str, Any], apart: float = 0.011
) -> None:
    """One question; an answer of somebody nearer, and the resolver's own after it."""
    y.txid = (y.txid + 7919) & 0xFFFF
    sport = 1024 + (y.txid * 31) % 60000
    kind = first.pop("kind", 1)
    y.udp(at, y.cloud, sport, y.resolver, 53, y.dnsmsg(y.txid, name, kind))
    for after, said, ttl in ((0.002, first, 61), (0.002 + apart, then, None)):
        answers = [(kind, a, 60) for a in said.get("addrs", ())]
        body = y.dnsmsg(y.txid, name, kind, answers, said.get("rcode", 0), soa=not answers)
        y.udp(at + after, y.resolver, 53, y.cloud, sport, body, ttl=ttl)


@visit(
    "dns-forged",
    variants=[
        {"seed": 301, "then": "silent"},
        {"seed": 302, "then": "refused"},
        {"seed": 303, "then": "works"},
        {"seed": 304, "then": "nothing"},
    ],
    says={"dns-forged": rf"(?s)(?=.*logs\.)(?=.*({FORGED}|NXDOMAIN))"},
    never={"*": r"allow outbound|allow-list|Allow "},
    severity={"dns-forged": "error"},
    violations=None,
    twin="two-answers-to-a-repeated-question-1",
)
def somebody_answers_before_the_resolver(seed: int, then: str) -> Yard:
    """Each question for logs is answered twice under its id: at once with a foreign address (or
    with NXDOMAIN), and 11 ms later by the resolver with the right one. The appliance takes the
    first and gets no answer, an RST, or another's certificate there. All other names are well."""
    y = Yard(seed, dns="host", v13=False)
    well_but_for(y, y.LOGS, 150)
    for n in range(6):
        t = 9 + 21.0 * n
        own = {"addrs": y.A[y.LOGS]}
        if then == "nothing":
            looked_twice(y, t, y.LOGS, {"rcode": 3}, own)
            continue
        looked_twice(y, t, y.LOGS, {"addrs": [FORGED]}, own)
        if then == "silent":
            y.knock(t + 0.02, y.LOGS, addr=FORGED)
            continue
        c = y.to(y.LOGS, addr=FORGED)
        if then == "refused":
            c.seg(t + 0.02, True, SYN)
            c.q += 1
            c.seg(t + 0.03, False, RST | ACK, seq=0)
            continue
        a = c.open(t + 0.02)
        a = c.hello(a, y.LOGS, v13=False)
        a = c.flight(a, y.LOGS, v13=False, issuer="Forged Networks")
        c.say(a + 0.003, alert(2, 48))
        c.close(a + 0.01)
    return y


@visit("dns-forged", variants=[{"seed": 306}], cleared=("dns-forged",), violations=None)
def somebody_answered_before_the_resolver_for_a_while(seed: int) -> Yard:
    """The same, and only until the intruder leaves: later each question has
    one answer, and the endpoint works."""
    y = Yard(seed, dns="host")
    well_but_for(y, y.LOGS, 330)
    for n in range(4):
        t = 9 + 14.0 * n
        looked_twice(y, t, y.LOGS, {"addrs": [FORGED]}, {"addrs": y.A[y.LOGS]})
        y.knock(t + 0.03, y.LOGS, addr=FORGED)
    for n in range(16):
        y.visit(70 + 15.0 * n, y.LOGS)
    return y


@visit(variants=[{"seed": 307}, {"seed": 308}])
def two_answers_to_a_repeated_question(seed: int) -> Yard:
    """The appliance asks again before the first answer is there; both are answered, with the
    addresses of a pool by turns (disjoint ones). Nobody forges anything."""
    y = Yard(seed, dns="host")
    y.well(120)
    pool = [[f"44.19{i}.{seed % 200}.{9 + i}"] for i in range(6)]
    for n in range(5):
        t = 12 + 20.0 * n
        sport, number = 41000 + n, 900 + n
        for k in range(2):
            y.udp(t + 0.9 * k, y.cloud, sport, y.resolver, 53, y.dnsmsg(number, y.CRED, 1))
        for k in range(2):
            said = [(1, a, 60) for a in pool[(n + k) % 6]]
            y.udp(t + 1 + 0.9 * k, y.resolver, 53, y.cloud, sport,
                  y.dnsmsg(number, y.CRED, 1, said))  # fmt: skip
        y.visit(t + 2, y.CRED, look=False, addr=pool[n % 6][0])
    return y


def through_proxy(y: Yard, p: Host, at: float, name: str, **more: Any) -> None:
    """CONNECT, and a whole HTTPS visit inside."""
    c = y.tcp(y.cloud, p, 3128, rtt=0.001)
    a = c.open(at)
    a = c.say(a, f"CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n".encode())
    a = c.say(a + 0.04, b"HTTP/1.1 200 Connection established\r\n\r\n", False)
    c.rtt = 0.03
    a = c.hello(a, name, v13=more.get("v13", y.v13))
    a = c.flight(a, name, **more)
    if more.get("issuer"):
        c.say(a + 0.003, alert(2, 48))
        c.close(a + 0.01)
        return
    a = c.finish(a, v13=more.get("v13", y.v13))
    c.data(a)
    c.close(a + 1)


@visit("proxy-seen", variants=[{"seed": 311, "v13": True}, {"seed": 312, "v13": False}])
def explicit_proxy_for_everything(seed: int, v13: bool) -> Yard:
    """All HTTPS goes through a proxy in the plant by CONNECT; inside the tunnel each server shows
    its own certificate. It works; a proxy is in the way, and no name leads elsewhere."""
    y = Yard(seed, v13=v13)
    p = Host("00:0c:29:65:43:21", y.net + "88")
    y.who(0.1, y.cloud, y.router)
    y.who(0.5, y.cloud, p)
    y.ntp(0.3)
    for n in range(15):
        name = (y.LOGS, y.MON, y.S3, y.CRED, y.IOT)[n % 5]
        through_proxy(y, p, 1 + 6.0 * n, name, v13=v13)
        y.who(3 + 6.0 * n, y.cloud, y.router)
        y.ntp(4 + 6.0 * n)
    return y


@visit(
    "tls-intercepted",
    variants=[{"seed": 313}],
    info=(),
    says={"tls-intercepted": r"Plant Proxy"},
)
def explicit_proxy_that_looks_inside(seed: int) -> Yard:
    """All HTTPS goes through a proxy in the plant by CONNECT, which answers each ClientHello itself
    with a certificate of its own maker; the appliance refuses it (alert 48)."""
    y = Yard(seed, v13=False)
    p = Host("00:0c:29:65:43:21", y.net + "88")
    y.who(0.1, y.cloud, y.router)
    y.who(0.5, y.cloud, p)
    y.ntp(0.3)
    for n in range(15):
        name = (y.LOGS, y.MON, y.S3, y.CRED, y.IOT)[n % 5]
        through_proxy(y, p, 1 + 6.0 * n, name, v13=False, issuer="Plant Proxy")
        y.who(3 + 6.0 * n, y.cloud, y.router)
        y.ntp(4 + 6.0 * n)
    return y


def fails_inside(y: Yard, at: float, name: str, code: int = 80) -> None:
    """A server that answers each ClientHello with an alert."""
    y.look(at, name)
    c = y.to(name)
    a = c.open(at + 0.02)
    a = c.hello(a, name)
    a = c.say(a + c.rtt, alert(2, code), False)
    c.server_close(a)


@visit(
    "endpoint-failing",
    variants=[{"seed": 321, "code": 80}, {"seed": 322, "code": 80}],
    says={"endpoint-failing": r"(?s)(?=.*logs\.)(?=.*internal error)"},
    never={"*": r"Look at the server|firewall"},
    severity={"endpoint-failing": "error"},
    twin="server-had-an-internal-error",
)
def server_says_internal_error(seed: int, code: int) -> Yard:
    """For two minutes logs answers each ClientHello with alert internal_error (80), while all
    others work."""
    y = Yard(seed, v13=seed % 2 == 1)
    y.well(170, skip=(y.LOGS,))
    for n in range(14):
        fails_inside(y, 20 + 10.0 * n, y.LOGS, code)
    return y


@visit("endpoint-failing", variants=[{"seed": 323}], cleared=("endpoint-failing",))
def server_had_an_internal_error_for_a_while(seed: int) -> Yard:
    """The same, and then it works again."""
    y = Yard(seed)
    y.well(330, skip=(y.LOGS,))
    for n in range(8):
        fails_inside(y, 20 + 10.0 * n, y.LOGS)
    for n in range(15):
        y.visit(110 + 14.0 * n, y.LOGS)
    return y


@visit(variants=[{"seed": 324}])
def server_had_an_internal_error(seed: int) -> Yard:
    """One handshake ends with alert 80, and the next, two seconds later, works."""
    y = Yard(seed)
    y.well(170)
    fails_inside(y, 50.3, y.LOGS)
    y.visit(52.5, y.LOGS)
    return y


def mqtt_once(y: Yard, at: float, client: Host | None = None, sport: int | None = None) -> Conn:
    """Lookup, handshake, CONNECT and its answer; the connection stays."""
    y.look(at, y.IOT, client=client)
    c = y.to(y.IOT, client=client)
    a = c.tls(at + 0.012, y.IOT, ("x-amzn-mqtt-ca",), v13=y.v13, cc=True)
    a = c.data(a, 180, 40)
    c.data(a + 0.1, 90, 38)  # SUBSCRIBE
    c.after = a + 0.3
    return c


@visit(
    info=("mqtt-flapping",),
    variants=[{"seed": 331, "each": 30.0}, {"seed": 332, "each": 41.0}],
)
def client_reconnects_by_itself(seed: int, each: float) -> Yard:
    """An application publishes each 30 s in a connection of its own: CONNECT, SUBSCRIBE, PUBLISH,
    all answered, DISCONNECT and FIN by itself. Nothing is wrong with the broker or the way."""
    y = Yard(seed)
    y.well(330, mqtt=False)
    n = 0
    while 5 + each * n < 320:
        c = mqtt_once(y, 5 + each * n)
        for k in range(3):
            c.data(c.after + 2 + 2 * k, 700, 39)
        c.say(5 + each * n + each - 2, rec(23, bytes(24)))
        c.close(5 + each * n + each - 1.99)
        n += 1
    return y


@visit(
    "mqtt-flapping",
    variants=[{"seed": 333, "gap": 4.0}, {"seed": 334, "gap": 15.0}],
    says={"mqtt-flapping": r"(?s)(?=.*client id)(?=.*\.177\b)"},
    violations=None,
)
def two_clients_throw_each_other_out(seed: int, gap: float) -> Yard:
    """A test bench on another address uses the appliance's client id: each CONNECT of one is
    followed at once by the broker closing the other's connection."""
    y = Yard(seed)
    y.well(330, mqtt=False)
    held: dict[int, Conn] = {}
    t, n = 6.0, 0
    while t < 320:
        mine, other = n % 2, 1 - n % 2
        c = mqtt_once(y, t, None if mine == 0 else y.pc)
        if other in held:
            old = held.pop(other)
            old.say(c.after - 0.25, rec(23, bytes(19)), False)
            old.server_close(c.after - 0.249)
        held[mine] = c
        n += 1
        t += gap
    return y


@visit(variants=[{"seed": 341, "how": FIN}, {"seed": 342, "how": RST}])
def connections_opened_ahead(seed: int, how: int) -> Yard:
    """A TLS 1.3 client opens connections ahead (preconnect), finishes the handshake, gets its
    tickets, and leaves after ten seconds without a request. Its requests go over others."""
    y = Yard(seed, v13=True)
    y.well(170)
    for n in range(12):
        t = 11 + 13.0 * n
        name = (y.LOGS, y.S3)[n % 2]
        y.look(t, name)
        c = y.to(name)
        a = c.tls(t + 0.02, name, ("h2", "http/1.1"))
        c.close(a + 10, rst=how == RST)
        y.visit(t + 1, name)
    return y


@visit(
    "tls-stalled",
    variants=[
        {"seed": 351, "out": True},
        {"seed": 353, "out": False},
    ],
    says={"*": r"(?s)(?=.*(full-size|large))"},
    never={"*": r"never answered|does not answer"},
)
def full_size_segments_are_lost_after_the_handshake(seed: int, out: bool) -> Yard:
    """The handshake and small packets pass. Then full-size segments of a request (or of the
    answer) are lost each time, without ICMP: sent again and again, never acknowledged, until the
    client gives up. Another endpoint on another path works."""
    y = Yard(seed)
    y.well(230, skip=(y.S3,))
    for n in range(5):
        t = 12 + 42.0 * n
        y.look(t, y.S3)
        c = y.to(y.S3)
        if out:
            a = c.tls(t + 0.02, y.S3)
            a = c.data(a, 120, 300)
            start = c.q
            body = rec(23, bytes(9000))
            step = c.mss - 12
            for k in range(4):
                c.seg(a + 0.0002 * k, True, ACK, body[k * step : (k + 1) * step])
                c.q += step
            wait = 0.3
            for _k in range(6):
                a += wait
                c.seg(a, True, ACK, body[:step], seq=start)
                wait *= 2
            c.seg(a + 8, True, RST | ACK)
        else:
            a = c.open(t + 0.02)
            a = c.hello(a, y.S3)
            flight = server_flight(y, y.S3, None, v13=True, cc=False, issuer="")
            a = c.say(a + c.rtt, flight[:200] + rec(23, bytes(53)), False)
            a = c.say(a, rec(20, b"\1") + rec(23, bytes(69)))
            a = c.say(a, rec(23, bytes(250)), False)
            a = c.say(a, rec(23, bytes(300)))
            # the mirror is near the appliance: what is lost on the way is not seen, but what is
            # sent behind it in small packets is. The session is resumed, so its flight is small
            c.a += 4 * (c.mss - 12)
            c.seg(a + c.rtt, False, ACK | PSH, bytes(412))
            c.a += 412
            missing = c.a - 412 - 4 * (c.mss - 12)
            c.seg(a + c.rtt + 0.0004, True, ACK, ack=missing)
            c.seg(a + 25, True, FIN | ACK, ack=missing)
            c.seg(a + 25.3, True, FIN | ACK, ack=missing)
    return y


@visit(variants=[{"seed": 354}])
def one_full_size_segment_is_lost_and_sent_again(seed: int) -> Yard:
    """Uploads lose a segment now and then; sent again once, it is acknowledged."""
    y = Yard(seed)
    y.well(230)
    for n in range(5):
        t = 12 + 42.0 * n
        y.look(t, y.S3)
        c = y.to(y.S3)
        a = c.tls(t + 0.02, y.S3)
        for k in range(60):
            start, body = c.q, bytes(1400)
            a = c.say(a, rec(23, body), True) + 0.01
            if k % 30 == 7:
                c.seg(a, True, ACK, rec(23, body)[: c.mss - 12], seq=start)
        c.data(a + 0.02, 40, 300)
        c.close(a + 1)
    return y


@visit(
    "cleartext",
    variants=[{"seed": 361}, {"seed": 362}],
    violations=None,
    says={"cleartext": "password.*HTTP"},
    never={"*": "(?s)HTTP.*HTTP.*HTTP.*HTTP.*HTTP.*HTTP.*HTTP.*HTTP"},
)
def one_client_asks_one_page_again_and_again(seed: int) -> Yard:
    """A host in the camera network asks a camera for its web page in clear each ten seconds, over
    connections of its own, and sends the password with some: one door, one sentence."""
    y = Yard(seed)
    y.well(100)
    for n in range(9):
        c = y.tcp(y.campc, y.cams[0], 80, rtt=0.001)
        a = c.open(5 + 10.0 * n)
        head = f"GET /status{n} HTTP/1.1\r\nHost: {y.cams[0].ip}\r\n"
        head += "Authorization: Basic YWRtaW46YWRtaW4=\r\n" if n % 3 == 1 else ""
        a = c.say(a, (head + "\r\n").encode())
        a = c.say(a, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False)
        c.close(a + 1)
    return y


@visit(variants=[{"seed": 371, "said": "0.0.0.0"}, {"seed": 372, "said": ""}])
def one_odd_answer_beside_right_ones(seed: int, said: str) -> Yard:
    """One lookup is answered with 0.0.0.0 (or NXDOMAIN) while the resolver loads its zone; five
    seconds later the client asks again, and this and all other answers are right."""
    y = Yard(seed)
    y.well(120)
    y.look(52.0, y.LOGS, [said] if said else [], rcode=0 if said else 3)
    y.visit(57.0, y.LOGS)
    return y


@visit("dns-sinkhole", variants=[{"seed": 373}], severity={"dns-sinkhole": "error"})
def one_odd_answer_and_no_other(seed: int) -> Yard:
    """The only lookup of logs in two minutes is answered with 0.0.0.0, and it is not used."""
    y = Yard(seed)
    well_but_for(y, y.LOGS, 120)
    y.look(52.0, y.LOGS, ["0.0.0.0"])
    return y
