"""Two cameras at once, over UDP and inside TCP: what is announced, one stream, whose refusal, how a
session is kept, rates and clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

SDP = description(media_line())
YARD, YARD_MAC = "10.20.0.12", "02:00:00:00:01:12"
ONE, TWO = 0x5EED0001, 0x5EED0002
VIEWER = {
    "client": "10.20.0.88", "client_mac": "02:00:00:00:08:88", "agent": "LibVLC/3.0.20",
}  # fmt: skip


def yard(wire: Wire, sport: int = 41_000, **more: object) -> Reader:
    return Reader(wire, sport, address=YARD, mac=YARD_MAC, **more)  # type: ignore[arg-type]


def slow(ssrc: int = ONE, **more: object) -> Film:
    return Film(ssrc=ssrc, fps=10, gop=20, parts=1, key_parts=3, **more)  # type: ignore[arg-type]


def plays(reader: Reader, start: float, end: float, *, ssrc: int = TWO, ports: int = 6020,
          channel: int | None = None) -> None:  # fmt: skip
    """A camera that is well."""
    reader.start(start, SDP, ports=ports, channel=channel)
    reader.film(start + 0.4, end, slow(ssrc), port=ports, channel=channel)


WELL = {TWO: {"lost": 0, "fps": 10.0}}
BOTH = {ONE: {"lost": 0, "fps": 10.0}, **WELL}


# ---------------------------------------------------------------- announced is known


@scene
def type_35_inside_tcp_and_type_90_over_udp(wire: Wire) -> Truth:
    sdp = description(media_line(payload=35))
    one = Reader(wire).start(0.2, sdp, channel=0)
    one.film(0.6, 20, slow(payload=35), channel=0)
    two = yard(wire).start(0.3, description(media_line(payload=90)), ports=6020)
    two.film(0.7, 20, slow(TWO, payload=90), port=6020)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def type_50_shares_the_numbers_inside_tcp(wire: Wire) -> Truth:
    """Every tenth packet is of a type that nobody announced, and uses up a sequence number."""
    sdp = description(media_line(payload=108))
    for number, (reader, ssrc, channel) in enumerate(
        ((Reader(wire), ONE, 0), (yard(wire), TWO, None))
    ):
        ports = 6000 + 20 * number
        reader.start(0.2 + number / 10, sdp, ports=ports, channel=channel)
        film = slow(ssrc, payload=108)
        for picture in range(200):
            at = 0.7 + picture / 10
            for part, packet in enumerate(film.picture()):
                reader.packet(at + part * 0.0002, packet, port=ports, channel=channel)
            if picture % 3 == 1:
                head = bytes([0x80, 50]) + film.sequence.to_bytes(2, "big")
                film.sequence += 1
                strange = head + film.stamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big") + bytes(60)
                reader.packet(at + 0.05, strange, port=ports, channel=channel)
        if channel is None:
            reader.reports(2, 20, film, port=ports + 1)
    return Truth(streams={ONE: {"lost": 0, "foreign": 67}, TWO: {"lost": 0, "foreign": 67}},
                 states={YARD: "streaming"})  # fmt: skip


@scene
def two_types_are_offered_and_the_second_is_sent(wire: Wire) -> Truth:
    """`m=video 0 RTP/AVP 98 99`, both H.264 of different profiles; type 99 comes."""
    line = media_line(payload=99).replace("RTP/AVP 99", "RTP/AVP 98 99")
    sdp = description(line, common="a=control:*\r\na=range:npt=0-")
    extra = "a=rtpmap:98 H264/90000\r\n"
    reader = Reader(wire).start(0.2, sdp + extra)
    reader.film(0.6, 20, slow(payload=99))
    plays(yard(wire), 0.3, 20)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def bytes_that_are_no_rtp_come_to_the_ports(wire: Wire) -> Truth:
    """A camera in a wrong mode sends MPEG-TS without RTP to the reader's port."""
    reader = Reader(wire).start(0.2, SDP)
    for number in range(300):
        body = b"\x47\x01\x00\x10" + bytes([number & 255]) * 184
        reader.packet(0.6 + number / 15, body * 5)
    plays(yard(wire), 0.3, 20)
    return Truth(("stream-codec|stream-frozen|rtsp-error",), state="silent", never=("udp-blocked",),
                 states={YARD: "streaming"}, streams=WELL)  # fmt: skip


# ---------------------------------------------------------------- one stream is one stream


@scene
def ssrc_of_each_key_frame_and_packets_lost(wire: Wire) -> Truth:
    """Each key frame begins a new SSRC; two of a hundred packets are lost all the same."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(fps=10, gop=10, parts=4, key_parts=8, ssrc=0xA00)
    at = 0.6
    for second in range(35):
        film.ssrc = 0xA00 + second
        reader.film(at, at + 0.99, film, silent=True, lose=lambda n: n % 50 == 7)
        at += 1
    plays(yard(wire), 0.3, 35)
    return Truth(("stream-loss",), state="losing", states={YARD: "streaming"},
                 of=(("stream-loss", "dock"),), says={"stream-loss": r"[12]\.\d+ %"},
                 streams={0xA00 + 34: {"ssrc_changes": 34}, **WELL})  # fmt: skip


@scene
def ssrc_goes_to_and_fro_inside_tcp(wire: Wire) -> Truth:
    """Two encoders behind one output take turns each ten seconds; numbers and stamps go on."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = slow()
    for turn in range(4):
        film.ssrc = ONE if turn % 2 == 0 else 0xB00
        reader.film(0.6 + 10 * turn, 10.55 + 10 * turn, film, channel=0)
    plays(yard(wire), 0.3, 40, channel=0)
    return Truth(state="streaming", states={YARD: "streaming"}, never=("stream-restart",),
                 streams=WELL)  # fmt: skip


@scene
def both_cameras_renew_their_ssrc_in_one_second(wire: Wire) -> Truth:
    """A time server's answer makes both start a new RTCP identity: the pictures go on."""
    for number, (reader, ssrc) in enumerate(((Reader(wire), ONE), (yard(wire), TWO))):
        ports = 6000 + 20 * number
        film = slow(0xC00 + number)
        reader.start(0.2, SDP, ports=ports)
        reader.film(0.6, 15, film, port=ports)
        film.ssrc = ssrc
        reader.film(15, 30, film, port=ports)
    return Truth(streams={ONE: {"lost": 0, "ssrc_changes": 1}, TWO: {"lost": 0, "ssrc_changes": 1}},
                 states={YARD: "streaming"}, never=("camera-reboot",))  # fmt: skip


@scene
def numbers_and_stamps_start_anew_once_without_play(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 15, slow())
    again = slow(0xD00, sequence=40_000, stamp=77)
    reader.film(15.5, 30, again)
    plays(yard(wire), 0.3, 30)
    return Truth(("stream-restart",), of=(("stream-restart", "dock"),), states={YARD: "streaming"},
                 streams=WELL)  # fmt: skip


# ---------------------------------------------------------------- whose refusal


@scene
def empty_user_first_across_the_edge_of_a_second(wire: Wire) -> Truth:
    """Each connection is refused at .95 and let in 1.6 s later."""
    for number in range(4):
        at = 0.95 + 8 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at - 0.05, 0.002)
        reader.challenge(at, "DESCRIBE", sent=True)
        reader.start(at + 1.6, SDP, ports=6000 + 10 * number, open_it=False)
        reader.film(at + 2.0, at + 6.5, slow(0xE00 + number), port=6000 + 10 * number, silent=True)
        reader.in_session(at + 6.6, "TEARDOWN")
        reader.flow.close(at + 6.7)
    last = Reader(wire, 40_009).start(33, SDP, ports=6090)
    last.film(33.4, 40, slow(), port=6090)
    plays(yard(wire), 0.3, 40)
    return Truth(streams=BOTH, states={YARD: "streaming"}, never=("rtsp-auth",))


@scene
def sound_events_and_backchannel_are_refused_and_video_plays(wire: Wire) -> Truth:
    sdp = description(
        media_line(), media_line("PCMU", control="track2"),
        media_line("VND.ONVIF.METADATA", 107, "track3"),
        media_line("PCMU", control="track4", extra="a=sendonly"),
    )  # fmt: skip
    for number, (reader, ssrc) in enumerate(((Reader(wire), ONE), (yard(wire), TWO))):
        channel = 0 if number else None
        reader.flow.open(0.2, 0.002)
        reader.describe(0.25, sdp)
        reader.set_up(0.3, f"{reader.url}/track1", channel=channel)
        for track, status in enumerate(("404 Not Found", "461 Unsupported Transport",
                                        "551 Option not supported"), 2):  # fmt: skip
            own = None if channel is None else 2 * track
            reader.set_up(0.3 + track / 50, f"{reader.url}/track{track}", 6000 + 2 * track,
                          channel=own, status=status)  # fmt: skip
        reader.play(0.5)
        reader.film(0.6, 25, slow(ssrc), channel=channel)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def strangers_are_refused_each_way_and_the_appliance_plays(wire: Wire) -> Truth:
    """A recorder, a phone and a browser: no session left, wrong password, no such path."""
    plays(Reader(wire), 0.2, 30, ssrc=ONE, ports=6000)
    plays(yard(wire), 0.3, 30)
    for number, status in enumerate(("453 Not Enough Bandwidth", "401 Unauthorized",
                                     "404 Not Found", "403 Forbidden", "503 Unavailable",
                                     "454 Session Not Found")):  # fmt: skip
        for again in range(3):
            who = {"client": f"10.20.0.{80 + number}", "client_mac": f"02:00:00:00:08:{number:02}"}
            other = Reader(wire, 52_000 + 10 * number + again, **who)  # type: ignore[arg-type]
            at = 2 + number + 8 * again
            other.flow.open(at, 0.002)
            other.pair(at + 0.1, "DESCRIBE", status, auth=True)
            other.flow.close(at + 0.3)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def own_503_at_one_camera_and_a_strangers_at_the_other(wire: Wire) -> Truth:
    """The yard has no session left for the appliance; at the dock only a viewer is refused."""
    plays(Reader(wire), 0.2, 30, ssrc=ONE, ports=6000)
    for number in range(4):
        at = 1 + 7 * number
        viewer = Reader(wire, 52_000 + number, **VIEWER)  # type: ignore[arg-type]
        for one in (yard(wire, 41_000 + number), viewer):
            one.flow.open(at, 0.002)
            one.describe(at + 0.1, SDP)
            one.set_up(at + 0.2, f"{one.url}/track1", status="503 Service Unavailable")
            one.flow.close(at + 0.4)
    return Truth(("rtsp-sessions",), states={YARD: "refused"}, of=(("rtsp-sessions", "yard"),),
                 streams={ONE: {"lost": 0}}, acts={})  # fmt: skip


# ---------------------------------------------------------------- keep-alive by its answer


def kept_by(wire: Wire, status: str, channel: int | None, method: str = "GET_PARAMETER") -> None:
    """Requests each 12 s that are refused; the camera ends the session after its 30 s."""
    reader = Reader(wire)
    reader.timeout = 30
    reader.start(0.2, SDP, channel=channel)
    film, at = slow(), 0.6
    for until in (12.2, 24.2, 30.4):
        reader.film(at, until, film, channel=channel, silent=True)
        if until < 30:
            reader.in_session(until, method, status)
        at = until + 0.02
    reader.flow.close(30.45, by_server=True)
    plays(yard(wire), 0.3, 40)


def refused_keep_alives() -> Iterator[tuple[str, Callable[[Wire], Truth]]]:
    for number, status in enumerate(
        ("400 Bad Request", "401 Unauthorized", "405 Method Not Allowed", "451 Not Understood",
         "454 Session Not Found", "455 Not Valid", "500 Internal Server Error",
         "501 Not Implemented", "551 Option not supported")
    ):  # fmt: skip
        channel = 0 if number % 2 else None

        def build(wire: Wire, status: str = status, channel: int | None = channel) -> Truth:
            kept_by(wire, status, channel)
            return Truth(("rtsp-timeout",), state=None, states={YARD: "streaming"}, streams=WELL,
                         says={"rtsp-timeout": rf"GET_PARAMETER[\s\S]*{status[:3]}"},
                         of=(("rtsp-timeout", "dock"),))  # fmt: skip

        yield f"keep_alive_is_answered_{status[:3]}_and_the_session_ends", build


for _name, _build in refused_keep_alives():
    _build.__name__ = _name
    scene(_build)


@scene
def keep_alives_are_refused_by_each_status_and_it_plays_on(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.timeout = 10
    reader.start(0.2, SDP)
    reader.film(0.6, 60, slow())
    for number, status in enumerate((400, 405, 451, 454, 500, 501, 551)):
        reader.in_session(5.02 + 7 * number, "GET_PARAMETER", f"{status} No")
    plays(yard(wire), 0.3, 60, channel=0)
    return Truth(streams=BOTH, states={YARD: "streaming"})


# ---------------------------------------------------------------- rates and clocks


@scene
def twenty_of_twenty_five_and_22_of_thirty_as_set(wire: Wire) -> Truth:
    """Sensors of 25 and 30 fps leave out pictures by a pattern; no rate is declared."""
    one = Reader(wire).start(0.2, SDP)
    film, two = Film(gop=20, parts=1, key_parts=2), Film(ssrc=TWO, gop=20, parts=1, key_parts=2)
    for tick in range(25 * 20):
        if tick % 5 != 2:
            film.step = 3600 if tick % 5 != 1 else 7200
            for part, packet in enumerate(film.picture()):
                one.packet(0.6 + tick / 25 + part * 0.0002, packet)
    one.reports(2, 20, film)
    other = yard(wire).start(0.3, SDP, channel=0)
    for tick in range(30 * 20):
        if tick % 4 != 2:
            two.step = 3000 if tick % 4 != 1 else 6000
            for part, packet in enumerate(two.picture()):
                other.packet(0.7 + tick / 30 + part * 0.0002, packet, channel=0)
        if tick % 20 == 3:
            other.flow.ack(0.7 + tick / 30 + 0.01)
    return Truth(streams={ONE: {"fps": 20.0, "lost": 0}, TWO: {"fps": 22.5, "lost": 0}},
                 states={YARD: "streaming"}, never=("stream-fps", "stream-timestamps"))  # fmt: skip


@scene
def stamps_three_percent_fast_over_udp_and_right_inside_tcp(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 45, slow(stamp_speed=1.03))
    plays(yard(wire), 0.3, 45, channel=0)
    return Truth(("stream-timestamps",), of=(("stream-timestamps", "dock"),), streams=WELL,
                 states={YARD: "streaming"}, says={"stream-timestamps": r"10\.3|3\.0 %|3 %"},
                 state="streaming")  # fmt: skip


@scene
def stamps_one_and_a_half_percent_slow(wire: Wire) -> Truth:
    """Within what decoders follow."""
    Reader(wire).start(0.2, SDP).film(0.6, 60, slow(stamp_speed=0.985))
    plays(yard(wire), 0.3, 60)
    return Truth(never=("stream-timestamps",), streams=WELL, states={YARD: "streaming"})


@scene
def five_seconds_are_held_back_and_come_at_once(wire: Wire) -> Truth:
    """A queue before the dock's camera; the yard on the same way has no trouble."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 40, slow(), silent=True, late=lambda n: (
        max(0.0, 19 + (n - 140) / 100 - n / 10) if n >= 140 else 0.0))  # fmt: skip
    reader.reports(2, 40, slow())
    plays(yard(wire), 0.3, 40)
    return Truth(("stream-frozen",), over=("stream-frozen",), states={YARD: "streaming"},
                 says={"stream-frozen": "caught up"}, never=("stream-fps", "stream-loss"),
                 streams=WELL)  # fmt: skip
