"""What is asked after the handshake and never answered; and what waits long and is well.

The handshake is done and the server's ticket has come, so that data has passed both ways. What
differs is whether a request gets its answer.
"""

from __future__ import annotations

from panotui.model import Site
from tests.crafted import hello as tls
from tests.situations.endpoints import opened, others_work
from tests.situations.situation import situation
from tests.situations.town import HTTPS, IOT, LOGS, METRICS, Conn, Town, dual

RTT = 0.03


def shaken(town: Town, at: float, name: str, *, thirteen: bool = True,
           alpn: tuple[str, ...] = (), early: int = 0) -> Conn:  # fmt: skip
    """A handshake that is done by `at` + 0.3, its tickets acknowledged. `early`: bytes of a request
    that goes out with the client's Finished."""
    conn = opened(town, at, name)
    conn.hello(at + 0.1, name, alpn, thirteen=thirteen)
    conn.flight(at + 0.14, name, alpn[0] if alpn else None, thirteen=thirteen)
    conn.finish(at + 0.15, thirteen=thirteen)
    if early:
        conn.send(at + 0.151, tls.record(23, bytes(early)))
    conn.finished(at + 0.18, thirteen=thirteen)
    if thirteen:
        conn.answer(at + 0.1801, tls.record(23, bytes(230)))
    if not early:
        conn.ack(at + 0.181)
    return conn


def asks(conn: Conn, at: float, size: int = 700) -> None:
    """A request that the server's kernel acknowledges."""
    conn.send(at, tls.record(23, bytes(size)))
    conn.segment(at + RTT, False, 16)


def answers(conn: Conn, at: float, size: int = 400) -> None:
    conn.answer(at, tls.record(23, bytes(size)))
    conn.ack(at + 0.001)


def leaves(conn: Conn, at: float) -> None:
    """close_notify, and the end."""
    conn.send(at, tls.record(23, bytes(19)))
    conn.close(at + 0.001)


def site_at_work(*but: str, end: float = 150) -> Town:
    town = Town()
    town.lives(end)
    others_work(town, 12, end - 10, *but)
    return town


def _hangs(thirteen: bool) -> Town:
    town = site_at_work(LOGS)
    for n in range(4):
        at = 10 + 33 * n
        conn = shaken(town, at, LOGS, thirteen=thirteen)
        asks(conn, at + 1.4)
        leaves(conn, at + 31)
    return town


SAYS = {"endpoint-failing": rf"{LOGS}.*handshake done, then a request that is never answered"}
WEAK = {"endpoint-failing": "warning"}  # the client leaves, and may have had enough by itself
ERROR = {"endpoint-failing": "error"}


@situation("endpoint-failing", says=SAYS, severity=WEAK)
def requests_hang_after_the_ticket() -> Town:
    """TLS 1.3 with one name is done and its tickets come; each request is acknowledged, and after
    30 s the client gives up and tries anew."""
    return _hangs(True)


@situation("endpoint-failing", says=SAYS)
def requests_hang_after_tls12() -> Town:
    """The same with TLS 1.2."""
    return _hangs(False)


@situation("endpoint-failing", says=SAYS)
def requests_that_go_with_the_last_word_of_the_handshake_hang() -> Town:
    """The request leaves in the same moment as the client's Finished; tickets come, no answer."""
    town = site_at_work(LOGS)
    for n in range(4):
        at = 10 + 33 * n
        conn = shaken(town, at, LOGS, early=700)
        conn.ack(at + 0.181)
        conn.segment(at + 0.21, False, 16)
        leaves(conn, at + 21)
    return town


@situation("endpoint-failing", says=SAYS, severity=ERROR)
def requests_are_lost_after_the_handshake() -> Town:
    """A box forgets each connection as soon as its handshake is over: the request is sent again and
    again, and nothing is acknowledged."""
    town = site_at_work(LOGS)
    for n in range(3):
        at = 10 + 40 * n
        conn = shaken(town, at, LOGS)
        body = tls.record(23, bytes(700))
        conn.send(at + 1.4, body)
        for later in (0.3, 0.9, 2.1, 4.5, 9.3, 18.9):
            conn.send(at + 1.4 + later, body, again=True)
        conn.reset(at + 30, by_server=False)
    return town


@situation(
    "endpoint-failing", says={"endpoint-failing": "4 endpoints.*never answered"}, severity=ERROR
)
def requests_hang_whatever_the_name() -> Town:
    """The same with each name: a box on the way accepts and forwards nothing."""
    town = Town()
    town.boots()
    town.habits(4, 150)
    for n in range(4):
        for k, name in enumerate(HTTPS):
            at = 20 + 32 * n + 2 * k
            conn = shaken(town, at, name)
            asks(conn, at + 0.4)
            leaves(conn, at + 25)
    return town


@situation("endpoint-failing", cleared=("endpoint-failing",), says=SAYS)
def requests_hang_and_are_answered_again() -> Town:
    """Three requests hang, and the fourth is answered as before."""
    town = site_at_work(LOGS, end=190)
    for n in range(5):
        at = 10 + 33 * n
        conn = shaken(town, at, LOGS)
        asks(conn, at + 1.4)
        if n in (0, 4):
            answers(conn, at + 1.6)
        leaves(conn, at + 31)
    return town


@situation()
def one_request_hangs_and_the_next_is_answered() -> Town:
    """One request of four is never answered, once: the service was restarted."""
    town = site_at_work(LOGS)
    for n in range(4):
        at = 10 + 33 * n
        conn = shaken(town, at, LOGS)
        asks(conn, at + 1.4)
        if n != 2:
            answers(conn, at + 1.5)
        leaves(conn, at + 20)
    return town


@situation()
def requests_are_answered_after_most_of_a_minute() -> Town:
    """Long polls: the server has nothing to say for 55 s; the last is given up."""
    town = site_at_work(LOGS, end=220)
    conn = shaken(town, 10, LOGS)
    for n in range(3):
        asks(conn, 11.4 + 57 * n)
        answers(conn, 66.4 + 57 * n, 250)
    asks(conn, 183)
    leaves(conn, 210)
    return town


@situation()
def a_new_long_poll_each_time() -> Town:
    """Each long poll has a connection of its own, is answered after 20 s, and then left."""
    town = site_at_work(METRICS)
    for n in range(5):
        at = 10 + 25 * n
        conn = shaken(town, at, METRICS, early=500 if n % 2 else 0)
        if n % 2:
            conn.ack(at + 0.181)
            conn.segment(at + 0.21, False, 16)
        else:
            asks(conn, at + 0.4)
        answers(conn, at + 20.4, 300)
        leaves(conn, at + 21)
    return town


@situation()
def answered_connections_stay_idle_for_a_minute() -> Town:
    """Requests are answered at once; the connections are idle for 40 s and closed by the client, by
    the server, or reset by the client."""
    town = site_at_work(LOGS, end=180)
    for n in range(6):
        at = 10 + 20 * n
        conn = shaken(town, at, LOGS, thirteen=n % 2 == 0)
        asks(conn, at + 1.4)
        answers(conn, at + 1.5)
        if n % 3 == 0:
            leaves(conn, at + 41)
        elif n % 3 == 1:
            conn.answer(at + 41, tls.record(23, bytes(19)))
            conn.close(at + 41.001, by_server=True)
        else:
            conn.reset(at + 41, by_server=False)
    return town


@situation()
def readings_are_published_at_most_once() -> Town:
    """MQTT: CONNECT is answered, one message that asks for no answer goes out, and eight seconds
    later the client takes its leave; each minute."""
    town = site_at_work(end=170)
    for n in range(3):
        at = 10 + 50 * n
        conn = shaken(town, at, IOT, alpn=("x-amzn-mqtt-ca",))
        conn.data(at + 0.4, 130, 26)
        asks(conn, at + 0.6, 220)
        leaves(conn, at + 9)
    return town


@situation()
def mqtt_is_quiet_for_minutes() -> Town:
    """CONNECT and SUBSCRIBE are answered, and then nobody has anything to say for four minutes."""
    town = site_at_work(end=260)
    conn = shaken(town, 10, IOT, alpn=("x-amzn-mqtt-ca",))
    conn.data(10.4, 130, 26)
    conn.data(10.6, 90, 27)
    return town


@situation()
def the_client_ends_its_own_long_polls() -> Town:
    """Each long poll has a connection of its own; after 12 s the client has waited enough, and the
    server has had nothing to say."""
    town = site_at_work(LOGS)
    for n in range(4):
        at = 10 + 25 * n
        conn = shaken(town, at, LOGS)
        asks(conn, at + 0.4)
        leaves(conn, at + 12.4)
    return town


@situation()
def readings_are_published_over_a_websocket() -> Town:
    """MQTT inside HTTP/1.1: two short answers, then messages each 2 s that ask for none."""
    town = site_at_work(IOT, end=210)
    for n in range(4):
        at = 10 + 45 * n
        conn = shaken(town, at, IOT, alpn=("http/1.1",))
        conn.data(at + 0.4, 500, 300)
        conn.data(at + 0.6, 80, 30)
        for k in range(13):
            asks(conn, at + 1 + 3 * k, 220)
        leaves(conn, at + 42)
    return town


SYSLOG, RECEIVER = "logs.plant.example", "203.0.113.9"


def _with_syslog() -> Site:
    return dual(service=[{"name": "syslog", "host": SYSLOG, "port": 6514, "direction": "out"}])


@situation(site=_with_syslog)
def a_syslog_server_never_says_a_word() -> Town:
    """Syslog over TLS: lines go out, alone or many on a connection, and are acknowledged."""
    town = site_at_work(end=300)
    for n in range(4):
        at = 10 + 70 * n
        town.look(at, SYSLOG, RECEIVER)
        conn = town.to(SYSLOG, 6514, address=RECEIVER)
        conn.open(at + 0.05)
        conn.hello(at + 0.1, SYSLOG, thirteen=True)
        conn.flight(at + 0.14, SYSLOG, thirteen=True)
        conn.finish(at + 0.15, thirteen=True)
        conn.finished(at + 0.18, thirteen=True)
        conn.ack(at + 0.181)
        for k in range(12 if n % 2 else 1):
            asks(conn, at + 1 + 5 * k, 300)
        leaves(conn, at + 65)
    return town
