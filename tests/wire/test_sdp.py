"""SDP as cameras and servers send it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.sdp import join_url, parse

CAMERA = b"""v=0\r
o=- 1 1 IN IP4 10.20.0.11\r
s=Media \x1b[31mPresentation\r
a=control:*\r
m=video 0 RTP/AVP 96\r
b=AS:5000\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 profile-level-id=4D001F; sprop-parameter-sets=Z00AKp2oHgCJ+WbgICAgQA==,aO48gA==\r
a=framerate:25.0\r
a=x-dimensions:1920,1080\r
a=control:trackID=1\r
m=audio 0 RTP/AVP 0\r
a=control:trackID=2\r
m=application 0 RTP/SAVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
a=control:rtsp://user:secret@10.20.0.11/meta\r
"""


def test_camera_s_tracks_are_read():
    got = parse(CAMERA, "rtsp://10.20.0.11/stream1/")
    video, audio, data = got.media
    track = video.track()
    assert (track.codec, track.clock_rate, track.payload_type) == ("H264", 90000, 96)
    assert (track.width, track.height, track.framerate) == (1920, 1080, 25.0)
    assert (track.profile_level_id, track.bandwidth_kbps) == ("4d001f", 5000)
    assert video.url == "rtsp://10.20.0.11/stream1/trackID=1"
    assert video.sps is not None
    assert (audio.track().codec, audio.track().clock_rate) == ("PCMU", 8000)
    assert data.track().codec == "VND.ONVIF.METADATA"
    assert data.track().protection == "SAVP"
    assert "secret" not in data.track().control
    assert got.session_name is not None
    assert "\x1b" not in got.session_name


def test_size_comes_from_the_parameter_set_where_nothing_declares_it():
    text = (
        b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        b"a=fmtp:96 sprop-parameter-sets=Z00AKp2oHgCJ+WbgICAgQA==\n"
    )
    (video,) = parse(text, "").media
    assert (video.width, video.height) == (1920, 1080)


def test_urls_of_tracks_are_joined_as_servers_mean_it():
    base = "rtsp://10.20.0.11:554/live"
    assert join_url(base, "track1") == base + "/track1"
    assert join_url(base + "/", "track1") == base + "/track1"
    assert join_url(base, "*") == base
    assert join_url(base, "rtsp://10.20.0.11/other") == "rtsp://10.20.0.11/other"
    assert join_url(base, "/abs?x=1") == "rtsp://10.20.0.11:554/abs?x=1"


@given(st.binary(max_size=400))
def test_any_bytes_are_a_description(raw: bytes) -> None:
    for media in parse(b"m=video 0 RTP/AVP 96\n" + raw, "rtsp://h/").media:
        media.track()
