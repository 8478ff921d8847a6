"""Captures that begin while a camera already plays, in clothes that only the beginning names."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader
from tests.diagnosis.met import again, lives, logins, media, more, refusals, reported, reported_more
from tests.diagnosis.met.clothes import masked
from tests.diagnosis.met.reported import SDP
from tests.diagnosis.met.truth import Scene, Truth, scene
from tests.diagnosis.wire import Wire
from tests.made_up import START

SECOND = 1_000_000_000


def websocket(wire: Wire, *, cut: int = 0, port: int = 80, address: str = "10.20.0.11",
              end: float = 40, ask: bool = True, size: int = 400) -> Reader:  # fmt: skip
    """RTSP in a WebSocket whose upgrade nobody has captured; keep-alives are inside it too."""
    reader = Reader(wire, port=port, address=address)
    reader.flow.open(0.1)
    reader.wrap_out = lambda raw: masked(raw, True)
    reader.wrap_in = lambda raw: masked(raw, False)
    reader.url = f"rtsp://{address}/stream1"
    reader.start(0.3, SDP, channel=0, open_it=False)
    reader.cut = cut
    film, at = Film(size=size), 0.8
    while at < end:
        reader.film(at, min(end, at + 10), film, channel=0)
        at += 10
        if ask:
            reader.in_session(at - 0.005, "GET_PARAMETER")
    return reader


def begins(wire: Wire, at: float) -> None:
    """The capture begins `at` seconds later than the traffic."""
    wire.frames = [frame for frame in wire.frames if frame[0] >= START + at * SECOND]


PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}


@scene
def websocket_was_opened_before_the_capture(wire: Wire) -> Truth:
    websocket(wire)
    begins(wire, 3)
    return Truth(streams=PLAYED)


@scene
def websocket_was_opened_before_the_capture_and_frames_span_segments(wire: Wire) -> Truth:
    websocket(wire, cut=1000, size=1300, end=20)
    begins(wire, 3.001)
    return Truth(streams=PLAYED)


@scene
def websocket_was_opened_before_the_capture_and_nothing_is_asked(wire: Wire) -> Truth:
    """One direction of it is silent but for acknowledgements."""
    websocket(wire, ask=False, end=30)
    begins(wire, 2)
    return Truth(streams=PLAYED)


def renamed(wire: Wire, channel: int | None, anew: bool, gop: float) -> None:
    """A new SSRC with each key frame, of which the first seconds were not captured; `anew`: its
    numbers and stamps are new ones, too.
    """
    reader = Reader(wire).start(0.2, SDP, channel=channel)
    film = Film(parts=1, key_parts=4)
    for number in range(int(30 / gop)):
        film.ssrc, film.frame = 0x1000 + number, 0
        if anew:
            film.sequence, film.stamp = 1000 * number % 65536, 17 * 90_000 * number
        at = 0.6 + gop * number
        reader.film(at, at + gop - 0.001, film, channel=channel)
        if number % int(8 / gop) == 1:
            reader.in_session(at + gop - 0.0005, "GET_PARAMETER")
    begins(wire, 4.3)


@scene
def ssrc_is_new_with_each_key_frame_and_the_first_have_too_few_packets(wire: Wire) -> Truth:
    renamed(wire, None, False, 1.0)
    return Truth(streams={0x101D: {"lost": 0, "fps": 25.0, "packets": 735}})


@scene
def ssrc_is_new_with_each_short_group_of_pictures(wire: Wire) -> Truth:
    """None of them has more than eight packets before the next comes."""
    renamed(wire, None, False, 0.2)
    return Truth(streams={0x1095: {"lost": 0, "fps": 25.0, "gop_frames": 5}})


@scene
def ssrc_is_new_with_each_key_frame_inside_tcp(wire: Wire) -> Truth:
    renamed(wire, 0, False, 1.0)
    return Truth(streams={0x101D: {"lost": 0, "fps": 25.0}})


@scene
def ssrc_numbers_and_stamps_are_new_with_each_key_frame(wire: Wire) -> Truth:
    """An encoder that begins anew each four seconds: told as that, and the picture plays."""
    renamed(wire, 0, True, 4.0)
    return Truth(("stream-restart",))


def later(build: Scene, *bare: str) -> None:
    """The same scene, of which the first seconds were not captured: the appliance plays, and what
    others meet is no trouble of its own. `bare`: what is loud where nobody knows which host it is.
    """

    def built(wire: Wire) -> Truth:
        build(wire)
        begins(wire, 2.5)
        return Truth(state="streaming", bare=bare)

    built.__name__ = f"begun_before_{build.__name__}"
    scene(built)


for _build in (
    again.paused_and_played_again,
    more.paused_by_the_reader_for_half_a_minute,
    lives.each_session_begins_its_stamps_at_zero,
    more.the_same_ports_again_for_the_next_connection,
    logins.options_without_credentials_is_refused_each_time,
    logins.a_recorder_with_the_old_password_beside,
    refusals.no_bandwidth_for_a_recorder_while_the_appliance_plays,
    reported_more.viewer_with_wrong_path_beside_a_picture,
    reported.a_viewers_knocks_stay_unanswered_while_the_picture_plays,
    reported.a_viewer_knocks_at_a_closed_port_while_the_picture_plays,
):
    later(_build)
later(media.loss_on_the_recorders_stream_alone, "stream-loss")
