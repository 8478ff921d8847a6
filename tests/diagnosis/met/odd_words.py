"""Dialogues that are almost as they should be, beside a camera that is well."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.called import leased, probe_match
from tests.diagnosis.met.numbered import (
    BOTH,
    ONE,
    SDP,
    TWO,
    WELL,
    YARD,
    YARD_MAC,
    plays,
    slow,
    yard,
)
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA


def beside(wire: Wire, end: float = 20, channel: int | None = None) -> None:
    plays(yard(wire), 0.3, end, channel=channel)


@scene
def content_length_counts_two_bytes_too_few(wire: Wire) -> Truth:
    """The last line end of the SDP is not in its length, and stands before the next answer."""
    for reader, ssrc, ports, channel in ((Reader(wire), ONE, 6000, None),
                                         (yard(wire), TWO, 6020, 0)):  # fmt: skip
        reader.flow.open(0.2, 0.002)
        reader.ask(0.25, "DESCRIBE", Accept="application/sdp")
        reader.tell(0.26, body=SDP, length=False, Content_Length=str(len(SDP) - 2),
                    Content_Base=reader.url + "/")  # fmt: skip
        reader.set_up(0.3, f"{reader.url}/track1", ports, channel=channel)
        reader.play(0.35)
        reader.film(0.6, 20, slow(ssrc), port=ports, channel=channel)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def content_length_counts_two_bytes_too_many(wire: Wire) -> Truth:
    """The length runs two bytes into the next answer."""
    for reader, ssrc, ports, channel in ((Reader(wire), ONE, 6000, None),
                                         (yard(wire), TWO, 6020, 0)):  # fmt: skip
        reader.flow.open(0.2, 0.002)
        reader.ask(0.25, "DESCRIBE", Accept="application/sdp")
        reader.tell(0.26, body=SDP, length=False, Content_Length=str(len(SDP) + 2),
                    Content_Base=reader.url + "/")  # fmt: skip
        reader.set_up(0.3, f"{reader.url}/track1", ports, channel=channel)
        reader.play(0.35)
        reader.film(0.6, 20, slow(ssrc), port=ports, channel=channel)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def version_two_of_the_protocol(wire: Wire) -> Truth:
    reader = Reader(wire)
    text = reader._text
    reader._text = lambda first, headers, body: text(  # type: ignore[method-assign]
        first.replace("RTSP/1.0", "RTSP/2.0"), headers, body
    )
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    asked = 'RTP/AVP/UDP;unicast;dest_addr=":6000"/":6001"'
    said = asked + f';src_addr="{CAMERA}:5000"/"{CAMERA}:5001"'
    reader.pair(0.3, "SETUP", "200 OK", f"{reader.url}/track1", asks={"Transport": asked},
                Transport=said, Session="12345678;timeout=60")  # fmt: skip
    reader.play(0.35)
    reader.film(0.6, 20, slow())
    beside(wire)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def setups_are_asked_without_waiting(wire: Wire) -> Truth:
    """Two SETUPs and PLAY leave at once, and the answers come in their order."""
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, sdp)
    for track in (1, 2):
        reader.ask(0.3 + track / 1000, "SETUP", f"{reader.url}/track{track}",
                   Transport=f"RTP/AVP;unicast;client_port={5998 + 2 * track}-{5999 + 2 * track}",
                   **({"Session": reader.session} if track == 2 else {}))  # fmt: skip
    reader.ask(0.304, "PLAY", Session=reader.session)
    asked = reader.cseq
    for track in (1, 2):
        reader.cseq = asked - 3 + track
        reader.tell(0.31 + track / 1000, Session=reader.session_header,
                    Transport=f"RTP/AVP;unicast;client_port={5998 + 2 * track}-{5999 + 2 * track}"
                    ";server_port=5000-5001")  # fmt: skip
    reader.cseq = asked
    reader.tell(0.32, Session=reader.session)
    reader.film(0.6, 20, slow())
    beside(wire)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def udp_is_asked_and_tcp_is_answered(wire: Wire) -> Truth:
    """The answer has channels of the connection instead of ports, and media come in them."""
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, f"{reader.url}/track1", 6000,
                  answer="RTP/AVP/TCP;unicast;interleaved=0-1")  # fmt: skip
    reader.play(0.35)
    reader.film(0.6, 20, slow(), channel=0)
    beside(wire)
    return Truth(streams=BOTH, states={YARD: "streaming"}, never=("udp-blocked",))


@scene
def session_header_is_missing_from_play_and_its_answer(wire: Wire) -> Truth:
    for reader, ssrc, ports, channel in ((Reader(wire), ONE, 6000, None),
                                         (yard(wire), TWO, 6020, 0)):  # fmt: skip
        reader.flow.open(0.2, 0.002)
        reader.describe(0.25, SDP)
        reader.set_up(0.3, f"{reader.url}/track1", ports, channel=channel)
        reader.pair(0.35, "PLAY")
        reader.film(0.6, 20, slow(ssrc), port=ports, channel=channel)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def two_sessions_in_one_connection(wire: Wire) -> Truth:
    """Main and sub stream are set up in one connection, each with an id of its own."""
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    for number, ssrc in enumerate((ONE, 0xAA)):
        reader.session = f"sess{number}"
        url = reader.url + ("" if number == 0 else "sub")
        reader.pair(0.3 + number / 10, "DESCRIBE", url=url, body=SDP, Content_Base=url + "/")
        reader.set_up(0.33 + number / 10, f"{url}/track1", 6000 + 2 * number)
        reader.pair(0.36 + number / 10, "PLAY", url=url, asks={"Session": reader.session},
                    Session=reader.session)  # fmt: skip
        reader.film(0.7, 20, slow(ssrc), port=6000 + 2 * number, silent=True)
    beside(wire)
    return Truth(streams=BOTH | {0xAA: {"lost": 0}}, states={YARD: "streaming"})


@scene
def reports_on_the_port_of_the_pictures_of_two_cameras(wire: Wire) -> Truth:
    """`rtcp-mux`: sender reports come between the pictures, to the same port."""
    sdp = description(media_line(extra="a=rtcp-mux"))
    for reader, ssrc, ports in ((Reader(wire), ONE, 6000), (yard(wire), TWO, 6020)):
        reader.start(0.2, sdp, ports=ports)
        film = slow(ssrc)
        reader.film(0.6, 20, film, port=ports, silent=True)
        for at in range(2, 20, 4):
            reader.sender_report(at + 0.05, film, 2_208_988_800 + 1_700_000_000 + at, port=ports)
    return Truth(streams=BOTH, states={YARD: "streaming"}, allowed=("camera-clock",))


@scene
def keep_alive_refused_and_reports_do_not_count(wire: Wire) -> Truth:
    """Reports leave each 5 s and a request each 12 s is refused 454: the session ends all the
    same."""
    reader = Reader(wire)
    reader.timeout = 30
    reader.start(0.2, SDP)
    film, at = slow(), 0.6
    for until in (12.2, 24.2, 30.4):
        reader.film(at, until, film, silent=True)
        if until < 30:
            reader.in_session(until, "GET_PARAMETER", "454 Session Not Found")
        at = until + 0.02
    reader.reports(2, 30, film)
    reader.flow.close(30.45, by_server=True)
    beside(wire, 40)
    return Truth(("rtsp-timeout|rtsp-keepalive",), state=None, states={YARD: "streaming"},
                 streams=WELL)  # fmt: skip


@scene
def exposure_grows_at_dusk_inside_tcp(wire: Wire) -> Truth:
    """After half a minute each picture takes twice as long; stamps and arrival agree, nothing is
    lost."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = slow()
    reader.film(0.6, 40, film, channel=0)
    film.fps = 5
    reader.film(40.1, 90, film, channel=0)
    beside(wire, 90, channel=0)
    return Truth(("stream-fps",), of=(("stream-fps", "dock"),), states={YARD: "streaming"},
                 says={"stream-fps": "longer exposure"}, streams=WELL,
                 severity={"stream-fps": "warning"})  # fmt: skip


@scene
def one_picture_of_forty_is_stamped_hours_away(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = slow()
    for number in range(300):
        kept = film.stamp
        if number % 40 == 20:
            film.stamp += 90_000 * 7200
        packets = film.picture()
        if number % 40 == 20:
            film.stamp = kept + 9000
        for part, packet in enumerate(packets):
            reader.packet(0.6 + number / 10 + part * 0.0002, packet)
    reader.reports(2, 30, film)
    beside(wire, 30)
    return Truth(("stream-timestamps",), of=(("stream-timestamps", "dock"),), streams=WELL,
                 states={YARD: "streaming"}, never=("stream-jitter", "stream-fps"))  # fmt: skip


@scene
def name_with_accents_and_one_with_nothing_to_read(wire: Wire) -> Truth:
    probe_match(wire, 0.1, "Entr%C3%A9e%20nord", "P3245")
    probe_match(wire, 0.12, "%20%20", "IPC", YARD_MAC, YARD)
    leased(wire, 0.15, "hof-cam\0", YARD_MAC, YARD)
    for reader, ssrc, ports in ((Reader(wire), ONE, 6000), (yard(wire), TWO, 6020)):
        reader.start(0.2, SDP, ports=ports)
        reader.film(0.6, 12, slow(ssrc), port=ports)
    return Truth(streams=BOTH, names={CAMERA: "Entrée nord", YARD: "hof-cam"})


@scene
def client_port_is_not_asked_and_the_camera_chooses(wire: Wire) -> Truth:
    """`RTP/AVP;unicast` alone: media come to the port that the answer names."""
    reader = Reader(wire)
    reader.flow.open(0.2, 0.002)
    reader.describe(0.25, SDP)
    reader.pair(0.3, "SETUP", "200 OK", f"{reader.url}/track1",
                asks={"Transport": "RTP/AVP;unicast"},
                Transport="RTP/AVP;unicast;client_port=7070-7071;server_port=5000-5001",
                Session="12345678")  # fmt: skip
    reader.play(0.35)
    reader.film(0.6, 20, slow(), port=7070)
    beside(wire)
    return Truth(streams=BOTH, states={YARD: "streaming"}, never=("media-wrong-port",))


@scene
def description_is_asked_for_again_while_it_plays(wire: Wire) -> Truth:
    """A reader that checks the camera each 5 s by DESCRIBE in the same connection, inside TCP."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = slow()
    for number in range(5):
        reader.film(0.6 + 5 * number, 5.5 + 5 * number, film, channel=0)
        reader.describe(5.54 + 5 * number, SDP)
    beside(wire, 25)
    return Truth(streams=BOTH, states={YARD: "streaming"})


@scene
def very_large_pictures_inside_tcp(wire: Wire) -> Truth:
    """Frames of 60,000 bytes in many segments, at five a second."""
    reader = Reader(wire)
    reader.cut = 1448
    reader.start(0.2, SDP, channel=0)
    reader.film(0.6, 12, Film(fps=5, gop=5, parts=1, key_parts=1, size=60_000), channel=0,
                ack=False)  # fmt: skip
    beside(wire, 12)
    return Truth(streams={ONE: {"lost": 0, "fps": 5.0}, **WELL}, states={YARD: "streaming"})
