"""What owners of cameras report of readers that get no picture, or a bad one."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, ethernet, ipv4, udp_segment
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
VIEWER = {
    "client": "10.20.0.88", "client_mac": "02:00:00:00:08:88", "agent": "LibVLC/3.0.20",
}  # fmt: skip


def every(wire: Wire, times: int, step: float, **more: object) -> list[tuple[float, Reader]]:
    """Connections one after the other, each with the time of its first request."""
    out = []
    for number in range(times):
        at = 0.2 + step * number
        reader = Reader(wire, 40_000 + number, **more)  # type: ignore[arg-type]
        reader.flow.open(at, 0.002)
        out.append((at + 0.05, reader))
    return out


@scene
def description_is_not_acceptable(wire: Wire) -> Truth:
    """406 to each DESCRIBE with the right password, until somebody restarts the camera."""
    for at, reader in every(wire, 4, 5):
        reader.challenge(at, "DESCRIBE")
        reader.pair(at + 0.1, "DESCRIBE", "406 Not Acceptable", auth=True)
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "406"})


@scene
def setup_is_not_implemented(wire: Wire) -> Truth:
    for at, reader in every(wire, 3, 6):
        reader.describe(at, SDP)
        reader.pair(at + 0.1, "SETUP", "501 Not Implemented", reader.url + "/track1",
                    asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"})  # fmt: skip
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "501"})


@scene
def keep_alives_come_too_seldom_for_a_camera_of_twenty_seconds(wire: Wire) -> Truth:
    """timeout=20, and the reader keeps it alive each 30 s; the camera ends it after 20."""
    for number in range(2):
        at = 0.2 + 24 * number
        reader = Reader(wire, 40_000 + number)
        reader.timeout = 20
        reader.start(at, SDP, ports=6000 + 10 * number)
        reader.film(at + 0.4, at + 20.3, Film(ssrc=0x20 + number, fps=10, gop=10),
                    port=6000 + 10 * number, silent=True)  # fmt: skip
        reader.flow.close(at + 20.4, by_server=True)
    return Truth(("rtsp-timeout",), state=None, says={"rtsp-timeout": "20 s"},
                 never=("camera-reboot",))  # fmt: skip


@scene
def camera_resets_after_each_get_parameter(wire: Wire) -> Truth:
    """The camera answers the keep-alive with a reset of the connection."""
    for number in range(3):
        at = 0.2 + 14 * number
        reader = Reader(wire, 40_000 + number)
        reader.start(at, SDP, ports=6000 + 10 * number)
        reader.film(at + 0.4, at + 12, Film(ssrc=0x30 + number, fps=10, gop=10),
                    port=6000 + 10 * number, silent=True)  # fmt: skip
        reader.ask(at + 12, "GET_PARAMETER", Session=reader.session)
        reader.flow.reset(at + 12.02)
    return Truth(("rtsp-closed|rtsp-timeout",), state=None, never=("camera-reboot",))


@scene
def description_with_empty_connection_lines(wire: Wire) -> Truth:
    """`c=IN` alone, `o=- 1001 1 IN`, absolute control URLs, metadata beside the picture."""
    sdp = SDP.replace("o=- 1 1 IN IP4 0.0.0.0", "o=- 1001 1 IN").replace("t=0 0\r\n", "")
    track = f"rtsp://{CAMERA}/stream1/track1"
    sdp = sdp.replace("a=control:track1", f"c=IN\r\na=control:{track}")
    sdp += media_line("VND.ONVIF.METADATA", 107, f"rtsp://{CAMERA}/stream1/meta")
    Reader(wire).start(0.2, sdp).film(0.6, 14)
    return Truth(streams=PLAYED)


@scene
def description_with_a_negative_origin(wire: Wire) -> Truth:
    sdp = SDP.replace("o=- 1 1", "o=- -8959200248001175080 1")
    Reader(wire).start(0.2, sdp, channel=0).film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def backchannel_of_twenty_types_beside_the_picture(wire: Wire) -> Truth:
    many = " ".join(str(n) for n in range(97, 117))
    sound = f"m=audio 0 RTP/AVP {many} 0 8\r\na=control:trackID=5\r\na=sendonly\r\n"
    sound += "".join(f"a=rtpmap:{n} MPEG4-GENERIC/16000\r\n" for n in range(97, 117))
    Reader(wire).start(0.2, SDP + sound).film(0.6, 14)
    return Truth(streams=PLAYED)


@scene
def ten_pictures_a_second_at_night_where_fifteen_are_announced(wire: Wire) -> Truth:
    """The camera lengthens its exposure in the dark; its stamps say so."""
    reader = Reader(wire).start(0.2, description(media_line(extra="a=framerate:15.0")))
    film = Film(fps=15, gop=30)
    reader.film(0.6, 25, film)
    film.fps, film.gop = 10, 20
    reader.film(25, 75, film)
    return Truth(("stream-fps",), state="streaming", says={"stream-fps": "exposure"})


@scene
def rtsp_port_is_closed_while_the_web_page_works(wire: Wire) -> Truth:
    for number in range(4):
        at = 0.2 + 5 * number
        flow = Reader(wire, 40_000 + number).flow
        flow.segment(at, True, 2)
        flow.segment(at + 0.001, False, 0x14)
        web = Reader(wire, 52_000 + number, port=80, **VIEWER).flow
        web.open(at + 1)
        web.send(at + 1.1, b"GET / HTTP/1.1\r\nHost: c\r\n\r\n")
        web.answer(at + 1.2, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        web.close(at + 1.4)
    return Truth(("camera-refused",), state="refused", bare=("tcp-refused",))


@scene
def packets_are_lost_in_bursts_of_thirty_over_the_air(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(
        0.6, 40, Film(gop=50, parts=4), lose=lambda n: n % 700 in range(100, 128)
    )
    return Truth(("stream-loss",), state="losing", allowed=("stream-burst",))


@scene
def recording_is_refused_for_bandwidth_while_live_plays(wire: Wire) -> Truth:
    """The appliance plays; a viewer asks for a recording and is told 453."""
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    for number in range(3):
        other = Reader(wire, 52_000 + number, path="/Streaming/tracks/701", **VIEWER)
        other.flow.open(4 + 6 * number)
        other.describe(4.1 + 6 * number, SDP)
        other.pair(4.2 + 6 * number, "SETUP", "453 Not Enough Bandwidth", other.url + "/track1")
        other.flow.close(4.4 + 6 * number)
    return Truth(quiet_too=("rtsp-sessions",), streams=PLAYED)


@scene
def bad_request_once_the_password_is_sent(wire: Wire) -> Truth:
    """401, then 400 to the request with credentials, on port 88."""
    for at, reader in every(wire, 3, 6, port=88):
        reader.challenge(at, "DESCRIBE")
        reader.pair(at + 0.1, "DESCRIBE", "400 Bad Request", auth=True)
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "400"})


@scene
def basic_is_offered_and_the_reader_sends_nothing(wire: Wire) -> Truth:
    for at, reader in every(wire, 3, 8):
        reader.challenge(at, "DESCRIBE", schemes=("Basic",))
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-auth",), state="refused", says={"rtsp-auth": "sends none"})


@scene
def tracks_of_one_connection_have_sessions_of_their_own(wire: Wire) -> Truth:
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, sdp)
    reader.set_up(0.4, reader.url + "/track1", channel=0)
    reader.session = "9999"
    reader.set_up(0.5, reader.url + "/track2", channel=2)
    reader.play(0.6)
    reader.films(0.8, 14, {0: Film(), 2: Film("PCMU", fps=50, parts=1, key_parts=1, size=160,
                                              ssrc=0x50)})  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def channels_are_answered_as_one_number(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1", channel=0,
                  answer="RTP/AVP/TCP;unicast;interleaved=0")  # fmt: skip
    reader.play(0.6)
    reader.film(0.8, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def answers_have_a_number_and_no_words(wire: Wire) -> Truth:
    reader = Reader(wire)
    plain = reader.tell

    def tell(at: float, status: str = "200 OK", **more: object) -> None:
        plain(at, status.split()[0], **more)  # type: ignore[arg-type]

    reader.tell = tell  # type: ignore[method-assign]
    reader.start(0.2, SDP, channel=0).film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def transport_is_answered_without_the_readers_ports(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1", answer="RTP/AVP/UDP;unicast;server_port=5000-5001")
    reader.play(0.6)
    reader.film(0.8, 14)
    return Truth(streams=PLAYED)


@scene
def reports_and_media_have_changed_channels(wire: Wire) -> Truth:
    """The answer says 1-0: media in channel 1, reports in channel 0."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1", channel=0,
                  answer="RTP/AVP/TCP;unicast;interleaved=1-0")  # fmt: skip
    reader.play(0.6)
    reader.film(0.8, 14, channel=1)
    return Truth(streams=PLAYED)


@scene
def every_answer_comes_twice(wire: Wire) -> Truth:
    reader = Reader(wire)
    plain = reader.tell

    def tell(at: float, status: str = "200 OK", **more: object) -> None:
        plain(at, status, **more)  # type: ignore[arg-type]
        plain(at + 0.003, status, **more)  # type: ignore[arg-type]

    reader.tell = tell  # type: ignore[method-assign]
    reader.start(0.2, SDP, channel=0).film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def answers_are_numbered_one_too_high(wire: Wire) -> Truth:
    reader = Reader(wire)
    plain = reader.tell

    def tell(at: float, status: str = "200 OK", **more: object) -> None:
        reader.cseq += 1
        plain(at, status, **more)  # type: ignore[arg-type]
        reader.cseq -= 1

    reader.tell = tell  # type: ignore[method-assign]
    reader.start(0.2, SDP, channel=0).film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def continue_is_said_before_each_answer(wire: Wire) -> Truth:
    reader = Reader(wire)
    plain = reader.tell

    def tell(at: float, status: str = "200 OK", **more: object) -> None:
        plain(at - 0.001, "100 Continue")
        plain(at, status, **more)  # type: ignore[arg-type]

    reader.tell = tell  # type: ignore[method-assign]
    reader.start(0.2, SDP, channel=0).film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def time_out_of_zero_is_none(wire: Wire) -> Truth:
    reader = Reader(wire)
    plain = reader.set_up

    def set_up(*args: object, **more: object) -> None:
        reader.session = "77;timeout=0"
        plain(*args, **more)  # type: ignore[arg-type]
        reader.session = "77"

    reader.timeout = None
    reader.set_up = set_up  # type: ignore[method-assign]
    reader.start(0.2, SDP).film(0.6, 75, Film(fps=5, gop=10, parts=1))
    return Truth(state="streaming", never=("rtsp-keepalive",))


@scene
def service_is_not_there_until_the_camera_has_started(wire: Wire) -> Truth:
    for at, reader in every(wire, 4, 5):
        reader.pair(at, "DESCRIBE", "503 Service Unavailable", auth=True)
        reader.flow.close(at + 0.2)
    Reader(wire, 41_000).start(25, SDP).film(25.5, 45)
    return Truth(("rtsp-sessions",), over=("rtsp-sessions",))


@scene
def own_sessions_are_never_torn_down_until_there_are_none_left(wire: Wire) -> Truth:
    """The reader opens a session each 5 s, leaves it open, and is told 453 in the end."""
    for number in range(4):
        Reader(wire, 40_000 + number).start(0.2 + 5 * number, SDP, ports=6000 + 10 * number)
    for number in range(4, 8):
        reader = Reader(wire, 40_000 + number)
        at = 0.2 + 5 * number
        reader.flow.open(at)
        reader.describe(at + 0.1, SDP)
        reader.pair(at + 0.2, "SETUP", "453 Not Enough Bandwidth", reader.url + "/track1",
                    asks={"Transport": "RTP/AVP;unicast;client_port=6100-6101"})  # fmt: skip
        reader.flow.close(at + 0.4)
    return Truth(("rtsp-sessions",), state=None, allowed=("udp-blocked",))


@scene
def a_viewer_knocks_at_a_closed_port_while_the_picture_plays(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 20)
    for number in range(5):
        flow = Reader(wire, 52_000 + number, port=8554, **VIEWER).flow
        flow.segment(4 + 2 * number, True, 2)
        flow.segment(4.001 + 2 * number, False, 0x14)
    return Truth(streams=PLAYED, never=("camera-refused",))


@scene
def a_viewers_knocks_stay_unanswered_while_the_picture_plays(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 30)
    for number in range(6):
        Reader(wire, 52_000 + number, port=8554, **VIEWER).flow.syn(4 + 3 * number, 3, 1.0)
    return Truth(streams=PLAYED, never=("camera-unreachable",))


@scene
def camera_has_no_port_for_reports(wire: Wire) -> Truth:
    """Each receiver report is answered "port unreachable" by the camera; the picture plays."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 25)
    for at in range(2, 25, 5):
        body = struct.pack("!BBHII", 0x81, 201, 7, 0x9999, film.ssrc)
        quoted = ipv4(APPLIANCE, CAMERA, 17, udp_segment(6001, 5001, body))
        wire.add(at + 0.01, ethernet(CAMERA_MAC, ETH0, 0x800, ipv4(
            CAMERA, APPLIANCE, 1, struct.pack("!BBHI", 3, 3, 0, 0) + quoted[:36])))  # fmt: skip
    return Truth(streams=PLAYED, allowed=("icmp-unreachable",))


@scene
def picture_ends_and_the_sound_goes_on(wire: Wire) -> Truth:
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, sdp)
    reader.set_up(0.4, reader.url + "/track1", channel=0)
    reader.set_up(0.5, reader.url + "/track2", channel=2)
    reader.play(0.6)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0x50)
    reader.films(0.8, 12, {0: Film(), 2: sound})
    reader.films(12, 26, {2: sound})
    return Truth(("stream-frozen",), state="silent", of=(("stream-frozen", "dock"),))


@scene
def encoder_sends_parameter_sets_and_no_picture(wire: Wire) -> Truth:
    """After 12 s nothing but SPS and PPS each half second."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 12)
    for number in range(30):
        at = 12.2 + 0.5 * number
        for unit in (bytes.fromhex("67640029acd940780227e5c044"), bytes.fromhex("68ebecb22c")):
            head = struct.pack("!BBHII", 0x80, 96, film.sequence & 0xFFFF,
                               film.stamp + 45_000 * number, film.ssrc)  # fmt: skip
            film.sequence += 1
            reader.packet(at, head + unit)
    return Truth(("stream-frozen-picture|stream-frozen|stream-fps",), state=None,
                 of=(("stream-frozen-picture|stream-frozen|stream-fps", "dock"),))  # fmt: skip


@scene
def twenty_five_pictures_a_second_where_fifteen_are_announced(wire: Wire) -> Truth:
    """The camera sends more than it announces, and its stamps agree: a setting, no fault."""
    reader = Reader(wire).start(0.2, description(media_line(extra="a=framerate:15.0")))
    reader.film(0.6, 45)
    return Truth(quiet_too=("stream-fps",), never=("stream-timestamps",), streams=PLAYED,
                 says={"stream-fps": "25 frames/s, more than the 15 expected"})  # fmt: skip
