"""What cameras answer instead of a picture, to whom, and what they want instead."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire
from tests.made_up import CAMERA

PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
SDP = description(media_line())
RECORDER = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip


def again_and_again(wire: Wire, method: str, status: str, times: int = 3, **says: str) -> None:
    """The appliance comes each 6 s and gets no farther than this."""
    for number in range(times):
        at = 0.2 + 6 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.options(at + 0.05)
        if method == "DESCRIBE":
            reader.pair(at + 0.1, "DESCRIBE", status, auth=True, **says)
        else:
            reader.describe(at + 0.1, SDP)
            if method == "SETUP":
                reader.pair(
                    at + 0.15,
                    "SETUP",
                    status,
                    reader.url + "/track1",
                    asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"},
                    **says,
                )
            else:
                reader.set_up(at + 0.15, reader.url + "/track1")
                reader.play(at + 0.2, status=status)
        reader.flow.close(at + 0.4)


@scene
def no_bandwidth_at_setup(wire: Wire) -> Truth:
    again_and_again(wire, "SETUP", "453 Not Enough Bandwidth")
    return Truth(("rtsp-sessions",), state="refused")


@scene
def service_unavailable_at_play(wire: Wire) -> Truth:
    again_and_again(wire, "PLAY", "503 Service Unavailable")
    return Truth(("rtsp-sessions",), state="refused")


@scene
def no_bandwidth_for_the_appliance_while_a_recorder_plays(wire: Wire) -> Truth:
    """The recorder has the camera's last session: the appliance's picture is black."""
    Reader(wire, 51_000, **RECORDER).start(0.1, SDP, ports=7000).film(0.5, 20, port=7000)
    again_and_again(wire, "SETUP", "453 Not Enough Bandwidth")
    return Truth(("rtsp-sessions",), state="refused")


@scene
def no_bandwidth_for_a_recorder_while_the_appliance_plays(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 20)
    for number in range(3):
        other = Reader(wire, 51_000 + number, **RECORDER)
        at = 2 + 5 * number
        other.flow.open(at)
        other.describe(at + 0.1, SDP)
        other.pair(at + 0.2, "SETUP", "453 Not Enough Bandwidth", other.url + "/track1")
        other.flow.close(at + 0.4)
    return Truth(quiet_too=("rtsp-sessions",), streams=PLAYED)


@scene
def wrong_path(wire: Wire) -> Truth:
    again_and_again(wire, "DESCRIBE", "404 Stream Not Found")
    return Truth(("rtsp-not-found",), state="refused")


@scene
def nobody_publishes_yet_then_it_works(wire: Wire) -> Truth:
    """A restreamer says 404 until its source is there (battery cameras wake late)."""
    again_and_again(wire, "DESCRIBE", "404 Not Found", 2)
    Reader(wire, 40_050).start(14, SDP).film(14.5, 24)
    return Truth(("rtsp-not-found",), over=("rtsp-not-found",), streams=PLAYED)


@scene
def restreamer_answers_400_for_an_unknown_path(wire: Wire) -> Truth:
    again_and_again(wire, "DESCRIBE", "400 Bad Request")
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "400"})


@scene
def moved_to_another_path_and_followed(wire: Wire) -> Truth:
    """302 with another path of the same camera; the reader follows it."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.pair(0.3, "DESCRIBE", "302 Moved Temporarily", auth=True,
                Location=f"rtsp://{CAMERA}/live/main")  # fmt: skip
    reader.flow.close(0.4)
    again = Reader(wire, 40_010, path="/live/main").start(0.6, SDP)
    again.film(1.1, 12)
    return Truth(streams=PLAYED)


@scene
def moved_to_another_server_and_never_followed(wire: Wire) -> Truth:
    again_and_again(wire, "DESCRIBE", "301 Moved Permanently",
                    Location="rtsp://10.20.0.99:8554/cam1")  # fmt: skip
    return Truth(("rtsp-error",), state="refused",
                 says={"rtsp-error": r"301.*rtsp://10\.20\.0\.99:8554/cam1"})  # fmt: skip


@scene
def udp_is_refused_and_tcp_taken(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1", status="461 Unsupported Transport")
    reader.set_up(0.45, reader.url + "/track1", channel=0)
    reader.play(0.5)
    reader.film(0.8, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def tcp_is_refused_and_nothing_else_tried(wire: Wire) -> Truth:
    for number in range(3):
        at = 0.2 + 6 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.describe(at + 0.1, SDP)
        reader.set_up(at + 0.2, reader.url + "/track1", channel=0,
                      status="461 Unsupported Transport")  # fmt: skip
        reader.flow.close(at + 0.4)
    return Truth(("rtsp-transport",), state="refused")


@scene
def closed_at_describe_without_an_answer(wire: Wire) -> Truth:
    """TP-Link: a third reader's connection is closed in place of an answer, each time."""
    for number in range(4):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.options(at + 0.05)
        reader.ask(at + 0.1, "DESCRIBE", Accept="application/sdp")
        reader.flow.close(at + 0.15, by_server=True)
    return Truth(("rtsp-silent",), state="silent", says={"rtsp-silent": "DESCRIBE"})


@scene
def reset_at_once_at_the_first_request(wire: Wire) -> Truth:
    for number in range(4):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.ask(at + 0.1, "OPTIONS")
        reader.flow.reset(at + 0.15)
    return Truth(("rtsp-silent",), state="silent")


@scene
def accepted_and_closed_before_a_word(wire: Wire) -> Truth:
    """The port accepts and closes at once: the RTSP service behind it is gone."""
    for number in range(4):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.flow.close(at + 0.002, by_server=True)
    return Truth(("rtsp-silent",), bare=(), state="silent")


@scene
def http_speaks_where_rtsp_was_expected(wire: Wire) -> Truth:
    for number in range(3):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.ask(at + 0.1, "OPTIONS")
        reader.flow.answer(at + 0.11, b"HTTP/1.1 400 Bad Request\r\nServer: App-webs/\r\n"
                           b"Content-Length: 0\r\nConnection: close\r\n\r\n")  # fmt: skip
        reader.flow.close(at + 0.12, by_server=True)
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "HTTP"})


@scene
def play_is_answered_six_seconds_late(wire: Wire) -> Truth:
    """The camera waits for its next key frame before it answers PLAY."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP)
    reader.set_up(0.4, reader.url + "/track1")
    reader.play(0.5, after=6)
    reader.film(6.6, 16)
    return Truth(streams=PLAYED)


@scene
def media_begin_four_seconds_after_play(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    reader.film(4.7, 16)
    return Truth(streams=PLAYED)


@scene
def backchannel_is_required_and_refused_then_not(wire: Wire) -> Truth:
    """551 to the ONVIF requirement; DESCRIBE without it works."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.pair(0.3, "DESCRIBE", "551 Option not supported", auth=True,
                asks={"Require": "www.onvif.org/ver20/backchannel"},
                Unsupported="www.onvif.org/ver20/backchannel")  # fmt: skip
    reader.start(0.4, SDP, open_it=False, login=False)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def one_channel_of_a_recorder_has_no_camera(wire: Wire) -> Truth:
    """Behind a recorder three channels play; the fourth is answered 404 all the time."""
    streams = {}
    for channel in range(3):
        reader = Reader(wire, 42_000 + channel, path=f"/unicast/c{channel + 1}/s0/live")
        reader.start(0.2 + channel * 0.6, SDP, ports=6000 + 10 * channel)
        film = Film(ssrc=0x100 + channel, fps=10, gop=20)
        reader.film(2.5, 22, film, port=6000 + 10 * channel, sport=5000 + 2 * channel)
        streams[0x100 + channel] = {"lost": 0, "fps": 10.0}
    for number in range(3):
        at = 3 + 6 * number
        reader = Reader(wire, 43_000 + number, path="/unicast/c4/s0/live")
        reader.flow.open(at)
        reader.pair(at + 0.1, "DESCRIBE", "404 Not Found", auth=True)
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-not-found",), state="refused", says={"rtsp-not-found": "c4"},
                 streams=streams)  # fmt: skip


@scene
def stream_profile_is_turned_off(wire: Wire) -> Truth:
    """Axis and others: 500 or 503 with a video source that is disabled; here 415 and 500."""
    again_and_again(wire, "DESCRIBE", "500 Internal Server Error")
    return Truth(("rtsp-error",), state="refused", says={"rtsp-error": "500"})
