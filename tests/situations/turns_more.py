"""One cause that shows in several protocols, told once."""

from __future__ import annotations

from tests.situations.visit import visit
from tests.situations.visits_well import small
from tests.situations.yard import Host, Yard
from tests.situations.yard_camera import View, stream
from tests.situations.yard_tcp import ACK, alert, rec


@visit(
    "ntp-silent",
    variants=[{"seed": 2201, "v13": False}, {"seed": 2202, "v13": True}],
    says={"ntp-silent": "1970"},
)
def clock_was_never_set_since_boot(seed: int, v13: bool) -> Yard:
    """The battery of the clock is dead and no time server answers: the appliance is in 1970 and
    calls each certificate not valid (alert 45 or 42)."""
    y = Yard(seed, ntp="host", v13=v13)
    y.who(0.1, y.cloud, y.router)
    for n in range(12):
        t = 1 + 11 * n
        y.who(t - 0.1, y.cloud, y.clock)
        for k in range(2):
            y.ntp(t + 2 * k, answer=False, off=60 - y.t0)
        name = (y.IOT, y.LOGS, y.MON, y.S3, y.CRED)[n % 5]
        y.look(t + 3, name)
        c = y.to(name)
        a = c.open(t + 3.1)
        a = c.hello(a, name, v13=v13)
        a = c.flight(a, name, v13=v13)
        c.say(a, rec(23, bytes(19)) if v13 else alert(2, 45), True)
        c.close(a + 0.01)
    return y


@visit("receiver-slow", variants=[{"seed": 2211}, {"seed": 2212, "ends": True}])
def reader_closes_its_window(seed: int, ends: bool = False) -> Yard:
    """The application on the appliance hangs while it reads a camera by TCP: its window is zero,
    the camera probes; at last the camera ends the session at its time-out."""
    y = Yard(seed, cams=1)
    y.well(150)
    cam = y.cams[0]
    v = View(y, cam, transport="tcp", timeout=60)
    y.who(1, v.me, cam)
    t = v.play(1.01)
    t = v.film(t + 0.02, 50, delta=900, keep=False)
    v.c.wc = 0
    v.c.seg(t, True, ACK)
    for n in range(40 if ends else 60):
        v.c.seg(t + 0.4 + 1.5 * n, False, ACK, b"\0", seq=v.c.a - 1)
        v.c.seg(t + 0.4005 + 1.5 * n, True, ACK)
    if ends:
        v.c.server_close(t + 61)
    return y


@visit(
    "stream-leak|inbound-internet",
    variants=[{"seed": 2221, "auth": "basic"}, {"seed": 2222, "auth": "digest"}],
    violations=None,
)
def passwords_are_guessed_from_the_internet(seed: int, auth: str) -> Yard:
    """A host of the internet reaches a camera's RTSP port through a forwarded port and tries
    passwords."""
    y = small(seed, 90, cams=1)
    far = Host(y.camrouter.mac, "45.83.12.9", ttl=48)
    for n in range(14):
        v = View(y, y.cams[0], reader=far, transport="tcp", auth=auth, agent="Lavf58.76.100",
                 rtt=0.0008)  # fmt: skip
        t = v.describe(5 + 5.5 * n, refuse="401 Unauthorized")
        v.c.close(t + 0.1)
    return y


@visit(
    "dns-forged",
    "tcp-blocked",
    variants=[{"seed": 2231}],
    never={"*": "internet.*(since|down)"},
)
def forged_answer_beside_a_blocked_address(seed: int) -> Yard:
    """A forged answer leads one name to an address that nobody answers at; the firewall drops
    another endpoint. All else works."""
    y = Yard(seed, dns="public")
    y.begin()
    y.mqtt(3, 150)
    for n in range(9):
        t = 8 + 15 * n
        y.who(t - 0.5, y.cloud, y.router)
        y.ntp(t - 0.3)
        txid = 4000 + n
        y.udp(t, y.cloud, 30000 + n, y.resolver, 53, y.dnsmsg(txid, y.LOGS, 1))
        for after, a in ((0.003, "203.0.113.77"), (0.03, y.A[y.LOGS][0])):
            y.udp(t + after, y.resolver, 53, y.cloud, 30000 + n,
                  y.dnsmsg(txid, y.LOGS, 1, [(1, a, 60)]))  # fmt: skip
        y.knock(t + 0.05, addr="203.0.113.77", times=3)
        y.look(t + 0.4, y.MON)
        y.knock(t + 0.45, y.MON, times=3)
        if n % 3 == 2:
            y.visit(t + 9, y.S3)
    return y


@visit(
    "camera-reboot|stream-restart|stream-frozen",
    variants=[{"seed": 2241}],
    cleared=("stream-frozen",),
)
def camera_restarts_once(seed: int) -> Yard:
    """A camera restarts at 47 s: half a minute later its stream goes on."""
    y = Yard(seed, cams=1)
    y.well(900)
    cam = y.cams[0]
    v = View(y, cam)
    y.who(1, v.me, cam)
    t = v.play(1.01)
    v.film(t + 0.02, 47, delta=900)
    y.lease(68, cam, y.camrouter, y.camrouter.ip, y.camrouter.ip)
    stream(y, cam, 76, 896, delta=900)
    return y


@visit(
    "camera-unreachable|stream-frozen",
    variants=[{"seed": 2251, "gap": 75}, {"seed": 2252, "gap": 150}],
)
def camera_freezes_and_then_does_not_answer(seed: int, gap: float) -> Yard:
    """A camera falls silent at 60 s; after a while the reader gives up and knocks in vain."""
    y = Yard(seed, cams=2)
    y.well(300)
    cam = y.cams[0]
    v = View(y, cam)
    y.who(1, v.me, cam)
    t = v.play(1.01)
    v.film(t + 0.02, 60, delta=900)
    stream(y, y.cams[1], 2, 296, delta=900)
    at = 60 + gap
    v.c.seg(at, True, 1 | ACK)
    while at < 290:
        for k in range(3):
            y.who(at + 1 + k, v.me, cam, answers=False)
        at += 12
    return y


@visit(variants=[{"seed": 2301}, {"seed": 2302, "often": 3}], info=("no-appliance",))
def laptop_and_no_appliance(seed: int, often: int = 0) -> Yard:
    """A capture without the appliance and without a site file: a laptop uses the internet, which is
    nobody's violation. The second also posts logs to AWS now and then."""
    y = Yard(seed)
    y.sitetext = ""
    y.who(0.1, y.pc, y.router)
    for n in range(20):
        t = 1 + 5 * n
        name = ("www.example.com", "mail.example.net", "update.example.org")[n % 3]
        y.A[name] = [f"93.184.{n % 3 + 10}.34"]
        y.visit(t, name, client=y.pc)
        if often and n % often == 0:
            y.visit(t + 1, y.LOGS, client=y.pc)
        y.arp(t + 2.5, 1, Host("3c:52:82:01:02:03", y.net + "44"), y.router.ip)
    return y


@visit(variants=[{"seed": 2311}], violations=1, also=("policy-drift", "unlisted-endpoint"))
def appliance_without_a_site_file_asks_for_more(seed: int) -> Yard:
    """Nobody says who the appliance is, but it shows by what it does; it uses a host that the
    policy does not know."""
    y = small(seed, 90)
    y.sitetext = ""
    y.A["telemetry.example.com"] = ["93.184.13.7"]
    for n in range(3):
        y.visit(12 + 20 * n, "telemetry.example.com")
    return y


@visit("proxy-seen", variants=[{"seed": 2321}], violations=1, also=("unlisted-endpoint",))
def proxy_leads_to_a_host_that_no_rule_allows(seed: int) -> Yard:
    """An application reaches a host that the policy does not know through a proxy inside."""
    y = Yard(seed)
    y.well(70)
    p = Host("00:0c:29:65:43:22", y.net + "89")
    y.who(0.5, y.cloud, p)
    for n in range(3):
        host = "telemetry.example.com"
        c = y.tcp(y.cloud, p, 3128, rtt=0.001)
        a = c.open(9 + 16 * n)
        a = c.say(a, f"CONNECT {host}:8443 HTTP/1.1\r\nHost: {host}:8443\r\n\r\n".encode())
        a = c.say(a + 0.05, b"HTTP/1.1 200 Connection established\r\n\r\n", False)
        a = c.finish(c.flight(c.hello(a, host), host))
        c.close(c.data(a) + 1)
    return y
