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
