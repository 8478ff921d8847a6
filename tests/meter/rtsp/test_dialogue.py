"""The RTSP dialogue from its messages."""

from __future__ import annotations

import pytest

from panotui.meter.rtsp.dialogue import Dialogue, Track
from panotui.model import AnyMessage, RtspEnd, RtspMessage
from panotui.wire.rtsp import parse_head

SDP = (
    b"v=0\r\ns=cam\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    b"m=audio 0 RTP/AVP 8\r\na=control:track2\r\n"
)
BASE = "rtsp://10.0.0.1/live"


class Talk:
    """A dialogue and what it says; `ask` and `answer` take headers without the empty line."""

    def __init__(self) -> None:
        self.out: list[AnyMessage] = []
        self.tracks: list[Track] = []
        self.dialogue = Dialogue(
            1,
            "10.0.0.5",
            "10.0.0.1",
            554,
            9,
            0,
            self.out.append,
            lambda _, track: self.tracks.append(track),
            lambda _: None,
        )
        self.now = 10**18

    def say(self, text: str, from_client: bool, body: bytes = b"", after_ms: int = 10) -> None:
        self.now += after_ms * 1_000_000
        head = parse_head((text.replace("\n", "\r\n") + "\r\n\r\n").encode())
        assert head is not None
        self.dialogue.message(head, body, from_client, self.now, 1)

    def ask(self, text: str, cseq: int, more: str = "") -> None:
        self.say(f"{text} RTSP/1.0\nCSeq: {cseq}{more}", True)

    def answer(self, cseq: int, more: str = "", status: str = "200 OK", body: bytes = b"") -> None:
        self.say(f"RTSP/1.0 {status}\nCSeq: {cseq}{more}", False, body)

    def described(self) -> Talk:
        self.ask(f"DESCRIBE {BASE}", 2)
        self.answer(2, f"\nContent-Base: {BASE}/\nContent-Type: application/sdp", body=SDP)
        return self

    def playing(self) -> Talk:
        self.described()
        self.ask(f"SETUP {BASE}/track1", 3, "\nTransport: RTP/AVP;unicast;client_port=5000-5001")
        self.answer(
            3,
            "\nSession: 7;timeout=30\nTransport: RTP/AVP;unicast;client_port=5000-5001;"
            "server_port=6000-6001",
        )
        self.ask(f"PLAY {BASE}/", 4, "\nSession: 7")
        self.answer(4, "\nSession: 7")
        return self

    def messages(self) -> list[RtspMessage]:
        return [m for m in self.out if isinstance(m, RtspMessage)]

    def ends(self) -> list[RtspEnd]:
        return [m for m in self.out if isinstance(m, RtspEnd)]


def test_setup_binds_a_track_to_its_ports_clock_and_codec():
    talk = Talk().playing()
    (track,) = talk.tracks
    assert track.transport.client_port == (5000, 5001)
    assert track.formats[96].clock_rate == 90000
    assert (track.media, track.control, track.url) == ("video", "track1", f"{BASE}/track1")
    assert track.playing
    assert talk.dialogue.timeout_s == 30


def test_answers_find_their_requests_also_when_pipelined():
    talk = Talk()
    talk.ask(f"OPTIONS {BASE}", 1)
    talk.ask(f"DESCRIBE {BASE}", 2)
    talk.answer(2, status="404 Not Found")
    talk.answer(1)
    answers = [(m.method, m.status) for m in talk.messages() if not m.from_client]
    assert answers == [("DESCRIBE", 404), ("OPTIONS", 200)]
    assert talk.messages()[-1].response_ms == 30


def test_channels_that_the_answer_leaves_out_are_those_that_were_asked_for():
    talk = Talk().described()
    talk.ask(f"SETUP {BASE}/track2", 3, "\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5")
    talk.answer(3, "\nSession: 7\nTransport: RTP/AVP/TCP;unicast")
    assert talk.tracks[0].transport.interleaved == (4, 5)
    assert talk.tracks[0].formats[8].codec == "PCMA"


def test_two_tracks_end_one_by_one():
    talk = Talk().playing()
    talk.ask(f"SETUP {BASE}/track2", 5, "\nTransport: RTP/AVP;client_port=5002-5003")
    talk.answer(5, "\nSession: 7\nTransport: RTP/AVP;client_port=5002-5003")
    talk.ask(f"TEARDOWN {BASE}/track2", 6)
    assert not talk.ends()
    talk.ask(f"TEARDOWN {BASE}/track1", 7)
    assert [e.how for e in talk.ends()] == ["teardown"]
    talk.dialogue.end(talk.now, 1, "fin-client")
    assert len(talk.ends()) == 1


def test_pause_is_no_end_and_stops_the_play():
    talk = Talk().playing()
    talk.ask(f"PAUSE {BASE}", 5, "\nSession: 7")
    talk.answer(5)
    assert not talk.tracks[0].playing
    talk.ask(f"PLAY {BASE}", 6)
    talk.answer(6)
    assert talk.tracks[0].playing
    assert talk.dialogue.played_ns == talk.now


def test_keep_alive_is_a_request_or_a_report_of_the_receiver():
    talk = Talk().playing()
    played = talk.now
    talk.dialogue.kept_alive(played + 5, "rtcp")
    talk.ask(f"GET_PARAMETER {BASE}", 5, "\nSession: 7")
    assert talk.dialogue.keepalive_by == "rtcp"  # a request counts when it is answered
    talk.answer(5)
    assert talk.dialogue.keepalive_by == "request"
    talk.dialogue.end(talk.now + 1, 1, "fin-server")
    (end,) = talk.ends()
    assert (end.last_keepalive_ns, end.timeout_s, end.how) == (talk.now, 30, "fin-server")
    assert end.last_report_ns == played + 5


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "454 Session Not Found"])
def test_keep_alive_that_is_refused_keeps_nothing(status: str) -> None:
    talk = Talk().playing()
    played = talk.now
    talk.ask(f"SET_PARAMETER {BASE}", 5, "\nSession: 7")
    talk.answer(5, status=status)
    talk.dialogue.end(talk.now + 1, 1, "fin-server")
    (end,) = talk.ends()
    assert end.last_keepalive_ns == played


def test_answer_with_an_old_number_belongs_to_what_waits() -> None:
    talk = Talk().playing()
    talk.ask(f"SET_PARAMETER {BASE}", 5, "\nSession: 7")
    talk.answer(4, status="400 Bad Request")
    assert [m.method for m in talk.out if isinstance(m, RtspMessage) and m.status == 400] == [
        "SET_PARAMETER"
    ]


def test_answers_alone_tell_the_session_where_a_mirror_copies_one_direction():
    talk = Talk()
    talk.answer(2, f"\nContent-Base: {BASE}/\nContent-Type: application/sdp", body=SDP)
    talk.answer(3, "\nSession: 7\nTransport: RTP/AVP;client_port=5000-5001")
    talk.answer(4, "\nSession: 7\nRTP-Info: url=x;seq=1")
    (track,) = talk.tracks
    assert track.url == f"{BASE}/track1"
    assert track.playing
    assert [m.method for m in talk.messages()] == ["DESCRIBE", "SETUP", "PLAY"]


def test_redirect_says_where_to_without_credentials():
    talk = Talk()
    talk.ask(f"DESCRIBE {BASE}", 1)
    talk.answer(1, "\nLocation: rtsp://u:geheim@10.0.0.2/live", status="302 Moved")
    assert talk.messages()[-1].location == "rtsp://10.0.0.2/live"


def test_requests_without_answers_are_bounded():
    talk = Talk()
    for cseq in range(1000):
        talk.ask(f"OPTIONS {BASE}", cseq)
    assert len(talk.dialogue._pending[True]) <= 64
