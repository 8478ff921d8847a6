"""No secret in a URL is shown, wherever a maker puts it; what says which picture is meant stays."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panotui.wire.redaction import HARMLESS, redact, redact_url
from panotui.wire.rtsp import parse_head
from panotui.wire.sdp import parse


@pytest.mark.parametrize(("url", "shown"), [
    ("rtsp://admin:p@ss@10.0.0.1/x", "rtsp://10.0.0.1/x"),
    ("rtsp://admin:pa/ss@10.0.0.1/x", "rtsp://10.0.0.1/x"),
    ("rtsp://admin:12/34@10.0.0.1/x", "rtsp://10.0.0.1/x"),
    ("rtsp://admin:pa ss?#@10.0.0.1:554/x", "rtsp://10.0.0.1:554/x"),
    ("rtsp://admin%3Apw%4010.0.0.1/x", "rtsp://10.0.0.1/x"),
    ("rtsp://u:p@cam/x", "rtsp://cam/x"),
    ("rtsp://10.0.0.1/user=admin_password=X_y_channel=1_stream=0.sdp?real_stream",
     "rtsp://10.0.0.1/user=***_password=***_channel=1_stream=0.sdp?real_stream"),
    ("/user=admin&password=foo/bar&channel=1", "/user=***&password=***&channel=1"),
    ("rtsp://10.0.0.1/cam/realmonitor?channel=1&subtype=0&token%3Dabc",
     "rtsp://10.0.0.1/cam/realmonitor?channel=1&subtype=0&token=***"),
    ("rtsp://10.0.0.1/x?api_key=1&profile=high;session=99",
     "rtsp://10.0.0.1/x?api_key=***&profile=high;session=***"),
    ("rtsp://10.0.0.1/11?geheim", "rtsp://10.0.0.1/11?***"),
    ("rtsp://[fe80::1]/x?sig=1", "rtsp://[fe80::1]/x?sig=***"),
    ("rtsp://10.0.0.1/a@b", "rtsp://10.0.0.1/a@b"),
    ("rtsp://10.0.0.1/live/ch00_0", "rtsp://10.0.0.1/live/ch00_0"),
    ("trackID=1", "trackID=1"),
    ("rtsp://10.0.0.1/axis-media/media.amp?videocodec=h264&resolution=640x480&fps=15",
     "rtsp://10.0.0.1/axis-media/media.amp?videocodec=h264&resolution=640x480&fps=15"),
])  # fmt: skip
def test_urls_of_cameras(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert redact_url(shown) == shown


def test_urls_inside_a_header_are_redacted_and_its_own_parameters_stay() -> None:
    header = "url=rtsp://u:p@10.0.0.1/a/track1;seq=1;rtptime=2,url=rtsp://10.0.0.1/b?pw=x;seq=3"
    shown = "url=rtsp://10.0.0.1/a/track1;seq=1;rtptime=2,url=rtsp://10.0.0.1/b?pw=***;seq=3"
    assert redact(header) == shown
    transport = "RTP/AVP;unicast;client_port=6000-6001;source=10.0.0.1;ssrc=1234ABCD"
    assert redact(transport) == transport


SECRET = st.text(string.ascii_letters + string.digits + "!$.~", min_size=3, max_size=12).map(
    lambda text: f"zq{text}qz"
)
KEY = st.from_regex(r"[A-Za-z][A-Za-z0-9_\-]{0,12}", fullmatch=True).filter(
    lambda key: (
        key.lower() not in HARMLESS
        and not any(key.lower().endswith(f"_{known}") for known in HARMLESS)
    )
)


@given(SECRET, KEY, st.sampled_from(sorted(HARMLESS)), st.sampled_from("?&;_"), st.booleans())
def test_a_value_stays_only_with_a_harmless_key(
    secret: str, key: str, known: str, separator: str, encoded: bool
) -> None:
    equals = "%3D" if encoded else "="
    for url in (
        f"rtsp://10.0.0.1/live?{known}=2{separator}{key}{equals}{secret}",
        f"rtsp://10.0.0.1/{key}{equals}{secret}{separator}{known}=2",
        f"/{key}{equals}{secret}",
        f"rtsp://10.0.0.1/live?{secret}",
        f"rtsp://10.0.0.1/live?{known}=2&{secret}&{known}=3",
    ):
        assert secret not in redact_url(url)
        if url.startswith("rtsp:"):  # a path in a text is no URL
            assert secret not in redact(f"see {url} and more")
    assert f"{known}=2" in redact_url(f"rtsp://10.0.0.1/live?{known}=2&{key}={secret}")


@given(SECRET, st.sampled_from(["", "/", "?", "#", " ", "@", ":", "/a?b#c@d"]), SECRET)
def test_no_user_or_password_stays_whatever_it_is_made_of(
    user: str, odd: str, password: str
) -> None:
    url = f"rtsp://{user}:{password}{odd}{password}@10.0.0.1:554/live/1"
    assert redact_url(url) == "rtsp://10.0.0.1:554/live/1"
    request = parse_head(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
    assert request is not None
    assert request.url == "rtsp://10.0.0.1:554/live/1"
    media = parse(f"m=video 0 RTP/AVP 96\na=control:{url}\n".encode(), "rtsp://h/").media[0]
    assert media.track().control == "rtsp://10.0.0.1:554/live/1"


@given(st.text(max_size=200))
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    once = redact_url(text)
    assert redact_url(once) == once
    redact(text)
