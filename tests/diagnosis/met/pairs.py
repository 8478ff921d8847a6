"""Two cameras that fail at once, each for its own reason: both are told, each of the right one."""

from __future__ import annotations

from collections.abc import Callable

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import ETH0, RST, SYN, Wire, arp_packet
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
YARD = "10.20.0.12"
YARD_MAC = "02:00:00:00:01:12"
THERE = {"address": YARD, "mac": YARD_MAC}
VIEWER = {"client": "10.20.0.88", "client_mac": "02:00:00:00:08:88", "agent": "LibVLC/3.0.20"}
End = Callable[[Wire, dict[str, object], int, int], None]


def refused(status: str, method: str = "DESCRIBE") -> End:
    def run(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
        for number in range(4):
            reader = Reader(wire, sport + number, **where)  # type: ignore[arg-type]
            at = 0.3 + 6 * number
            reader.flow.open(at, 0.002)
            if method == "SETUP":
                reader.describe(at + 0.1, SDP)
                asked = {"Transport": f"RTP/AVP;unicast;client_port={port}-{port + 1}"}
                reader.pair(at + 0.15, "SETUP", status, reader.url + "/track1", asks=asked)
            else:
                reader.pair(at + 0.1, "DESCRIBE", status, auth=True)
            reader.flow.close(at + 0.3)

    return run


def wrong_password(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    for number in range(4):
        reader = Reader(wire, sport + number, **where)  # type: ignore[arg-type]
        at = 0.4 + 7 * number
        reader.flow.open(at, 0.002)
        reader.challenge(at + 0.1, "DESCRIBE")
        reader.challenge(at + 0.2, "DESCRIBE", sent=True)
        reader.flow.close(at + 0.4)


def plays(end: float = 32, film: Callable[[], Film] = Film, **more: object) -> End:
    def run(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
        reader = Reader(wire, sport, **where).start(0.2, SDP, ports=port)  # type: ignore[arg-type]
        reader.film(0.6, end, film(), port=port, **more)  # type: ignore[arg-type]
        if end < 30:
            for at in (end + 2, end + 5):
                reader.in_session(at, "GET_PARAMETER")

    return run


def blocked(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    reader = Reader(wire, sport, **where).start(0.2, SDP, ports=port)  # type: ignore[arg-type]
    for at in (10, 20):
        reader.in_session(at, "GET_PARAMETER")


def closed_port(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    for number in range(4):
        flow = Reader(wire, sport + number, **where).flow  # type: ignore[arg-type]
        flow.segment(1 + 6 * number, True, SYN)
        flow.sent += 1
        flow.segment(1.002 + 6 * number, False, RST | 16)


def speechless(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    for number in range(3):
        reader = Reader(wire, sport + number, **where)  # type: ignore[arg-type]
        at = 0.5 + 10 * number
        reader.flow.open(at, 0.002)
        reader.ask(at + 0.1, "OPTIONS")
        reader.flow.close(at + 8)


def gone(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    reader = Reader(wire, sport, **where).start(0.2, SDP, ports=port)  # type: ignore[arg-type]
    reader.film(0.6, 12, port=port)
    for number in range(18):
        wire.add(14 + number, arp_packet(1, ETH0, APPLIANCE, str(where.get("address", CAMERA))))


def timed_out(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    for number in range(3):
        at = 0.2 + 11.2 * number
        reader = Reader(wire, sport + number, **where)  # type: ignore[arg-type]
        reader.timeout = 10
        reader.start(at, SDP, ports=port + 10 * number)
        reader.film(at + 0.4, at + 10.5, Film(ssrc=0x600 + number, fps=10),
                    port=port + 10 * number, silent=True)  # fmt: skip
        reader.flow.close(at + 10.6, by_server=True)


def elsewhere(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    reader = Reader(wire, sport, **where).start(0.2, SDP, ports=port)  # type: ignore[arg-type]
    reader.film(0.6, 33.5, port=port + 40, silent=True)


def h265(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
    for number in range(4):
        reader = Reader(wire, sport + number, **where)  # type: ignore[arg-type]
        at = 0.3 + 6 * number
        reader.flow.open(at, 0.002)
        reader.describe(at + 0.1, description(media_line("H265", 98)))
        reader.flow.close(at + 0.2)


def both(wire: Wire, dock: End, yard: End) -> None:
    dock(wire, {}, 40_000, 6000)
    yard(wire, THERE, 41_000, 6400)
    wire.quiet(0, 33, interface=0)


@scene
def password_here_and_standstill_there(wire: Wire) -> Truth:
    both(wire, wrong_password, plays(20))
    return Truth(("rtsp-auth", "stream-frozen"), state="refused", states={YARD: "silent"},
                 of=(("rtsp-auth", "dock"), ("stream-frozen", "yard")))  # fmt: skip


@scene
def one_is_gone_and_the_other_loses(wire: Wire) -> Truth:
    both(wire, gone, plays(32, lose=lambda n: n % 40 == 3))
    return Truth(("camera-unreachable", "stream-loss"), state="unreachable",
                 states={YARD: "losing"},
                 of=(("camera-unreachable", "dock"), ("stream-loss", "yard")))  # fmt: skip


@scene
def wrong_path_here_and_h265_there(wire: Wire) -> Truth:
    both(wire, refused("404 Not Found"), h265)
    return Truth(("rtsp-not-found", "stream-codec"), state="refused",
                 of=(("rtsp-not-found", "dock"), ("stream-codec", "yard")))  # fmt: skip


@scene
def the_password_of_all_was_changed(wire: Wire) -> Truth:
    both(wire, wrong_password, wrong_password)
    return Truth(("rtsp-auth", "rtsp-auth"), state="refused", states={YARD: "refused"},
                 of=(("rtsp-auth", "dock"), ("rtsp-auth", "yard")))  # fmt: skip


@scene
def stamps_run_slow_here_and_udp_is_blocked_there(wire: Wire) -> Truth:
    both(wire, plays(34, lambda: Film(stamp_speed=0.9)), blocked)
    return Truth(("stream-timestamps", "udp-blocked"), state=None, states={YARD: "silent"},
                 of=(("stream-timestamps", "dock"), ("udp-blocked", "yard")))  # fmt: skip


@scene
def time_out_here_and_wrong_port_there(wire: Wire) -> Truth:
    both(wire, timed_out, elsewhere)
    return Truth(("rtsp-timeout", "media-wrong-port"), state=None,
                 of=(("rtsp-timeout", "dock"), ("media-wrong-port", "yard")))  # fmt: skip


@scene
def port_closed_here_and_speechless_there(wire: Wire) -> Truth:
    both(wire, closed_port, speechless)
    return Truth(("camera-refused", "rtsp-silent"), state="refused",
                 of=(("camera-refused", "dock"), ("rtsp-silent", "yard")))  # fmt: skip


@scene
def no_session_here_and_jitter_there(wire: Wire) -> Truth:
    both(wire, refused("453 Not Enough Bandwidth", "SETUP"),
         plays(34, lambda: Film(fps=20, gop=40), late=lambda n: (3 - n % 4) * 0.05))  # fmt: skip
    return Truth(("rtsp-sessions", "stream-jitter"), state="refused",
                 of=(("rtsp-sessions", "dock"), ("stream-jitter", "yard")))  # fmt: skip


@scene
def a_viewer_is_refused_here_and_the_picture_stands_there(wire: Wire) -> Truth:
    """The dock's own picture is fine; only a stranger's password fails there."""
    both(wire, plays(32), plays(18))
    wrong_password(wire, VIEWER, 52_000, 7000)
    return Truth(("stream-frozen",), states={YARD: "silent"}, of=(("stream-frozen", "yard"),))


@scene
def key_frames_are_rare_here_and_the_other_answers_500(wire: Wire) -> Truth:
    both(wire, plays(34, lambda: Film(fps=10, gop=140)), refused("500 Internal Server Error"))
    return Truth(("stream-gop", "rtsp-error"), state=None, states={YARD: "refused"},
                 of=(("stream-gop", "dock"), ("rtsp-error", "yard")))  # fmt: skip


@scene
def cut_off_at_the_next_packet_here_and_461_there(wire: Wire) -> Truth:
    """The dock resets its session amid the picture; the yard refuses UDP."""

    def cut(wire: Wire, where: dict[str, object], sport: int, port: int) -> None:
        reader = Reader(wire, sport, **where).start(0.2, SDP, ports=port)  # type: ignore[arg-type]
        reader.film(0.6, 20, port=port)
        reader.flow.reset(20.05)

    both(wire, cut, refused("461 Unsupported Transport", "SETUP"))
    return Truth(("rtsp-closed", "rtsp-transport"), state="silent", states={YARD: "refused"},
                 of=(("rtsp-closed", "dock"), ("rtsp-transport", "yard")))  # fmt: skip
