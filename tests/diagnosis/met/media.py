"""What cameras send: encodings, control URLs, channels, tracks, and packets of odd shapes."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

SDP = description(media_line())
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
RECORDER = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip
V6_CAMERA, V6_APPLIANCE = "fd20::11", "fd20::5"


def one_codec(wire: Wire, codec: str, payload: int | None = None) -> None:
    sdp = description(media_line(codec, payload))
    Reader(wire).start(0.2, sdp).film(0.6, 14, Film(codec=codec, payload=payload))


@scene
def only_h265(wire: Wire) -> Truth:
    one_codec(wire, "H265")
    return Truth(("stream-codec",), streams=PLAYED)


@scene
def only_av1(wire: Wire) -> Truth:
    one_codec(wire, "AV1")
    return Truth(("stream-codec",), says={"stream-codec": "AV1"}, streams=PLAYED)


@scene
def only_jpeg(wire: Wire) -> Truth:
    one_codec(wire, "JPEG")
    return Truth(("stream-codec",), streams=PLAYED)


@scene
def only_mpeg4(wire: Wire) -> Truth:
    one_codec(wire, "MP4V-ES")
    return Truth(("stream-codec",), streams=PLAYED)


@scene
def h264_as_type_26(wire: Wire) -> Truth:
    """A static number with another meaning in the SDP."""
    one_codec(wire, "H264", 34)
    return Truth(streams=PLAYED)


@scene
def h264_as_type_77(wire: Wire) -> Truth:
    """A number of the range that RTCP may share."""
    one_codec(wire, "H264", 77)
    return Truth(streams=PLAYED)


@scene
def h264_as_type_127_with_svc_beside(wire: Wire) -> Truth:
    extra = "a=rtpmap:126 H264-SVC/90000"
    line = media_line("H264", 127, extra=extra).replace("RTP/AVP 127", "RTP/AVP 127 126")
    Reader(wire).start(0.2, description(line)).film(0.6, 14, Film(payload=127))
    return Truth(streams=PLAYED)


@scene
def picture_sound_and_events(wire: Wire) -> Truth:
    """Sound that is silent at times, and metadata each 7 s: neither is frozen."""
    sdp = description(media_line(), media_line("PCMU", control="track2"),
                      media_line("VND.ONVIF.METADATA", 107, "track3"))  # fmt: skip
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    for number in range(3):
        reader.set_up(0.3 + number * 0.05, f"{reader.url}/track{number + 1}", 6000 + 2 * number)
    reader.play(0.5)
    reader.film(0.8, 40)
    for start in (1.0, 22.0):
        sound = Film(
            "PCMU",
            fps=50,
            parts=1,
            key_parts=1,
            size=160,
            ssrc=0xA0D10,
            sequence=10 if start < 2 else 610,
            stamp=0 if start < 2 else 21 * 8000,
        )
        reader.film(start, start + 12, sound, port=6002, sport=5002)
    events = Film("VND.ONVIF.METADATA", 107, fps=1 / 7, parts=1, key_parts=1, ssrc=0xE7E)
    reader.film(1.5, 40, events, port=6004, sport=5004)
    return Truth(streams=PLAYED)


@scene
def sound_stops_for_good_while_the_picture_plays(wire: Wire) -> Truth:
    """A microphone that was unplugged is told of the sound, not of the picture."""
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    for number in range(2):
        reader.set_up(0.3 + number * 0.05, f"{reader.url}/track{number + 1}", 6000 + 2 * number)
    reader.play(0.5)
    reader.film(0.8, 30)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0xA0D10)
    reader.film(1.0, 12, sound, port=6002, sport=5002)
    return Truth(quiet_too=("stream-frozen",), says={"stream-frozen": "The sound of"},
                 streams=PLAYED)  # fmt: skip


@scene
def channels_four_and_five(wire: Wire) -> Truth:
    """The answer names other channels than asked for; sound on the lower ones."""
    sdp = description(media_line("PCMU", control="track2"), media_line())
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    reader.set_up(0.3, reader.url + "/track2", channel=0)
    reader.set_up(0.35, reader.url + "/track1", channel=2, answered_channel=4)
    reader.play(0.5)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0xA0D10)
    video = Film()
    reader.films(0.8, 14, {0: sound, 4: video})
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 25.0}, 0xA0D10: {"lost": 0}})


@scene
def answer_to_setup_names_no_channels(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1", channel=0, answer="RTP/AVP/TCP;unicast")
    reader.play(0.5)
    reader.film(0.8, 12, channel=0)
    return Truth(streams=PLAYED)


@scene
def control_urls_are_absolute_with_another_host_name(wire: Wire) -> Truth:
    sdp = description(media_line(control="rtsp://192.168.1.108:554/cam/trackID=0"),
                      common="a=control:rtsp://192.168.1.108:554/cam/")  # fmt: skip
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp, base=None)
    reader.set_up(0.3, "rtsp://192.168.1.108:554/cam/trackID=0")
    reader.play(0.5)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def url_with_a_query_and_no_content_base(wire: Wire) -> Truth:
    """Dahua: `?channel=1&subtype=0`, and the track is put behind it."""
    sdp = description(media_line(control="trackID=0"), media_line("PCMA", control="trackID=1"))
    reader = Reader(wire, path="/cam/realmonitor?channel=1&subtype=0")
    reader.flow.open(0.2)
    reader.describe(0.25, sdp, base=None)
    reader.set_up(0.3, reader.url + "/trackID=0")
    reader.play(0.5)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def no_control_lines_at_all(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(control=""), common=""), base=None)
    reader.set_up(0.3, reader.url)
    reader.play(0.5)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def each_track_is_played_by_itself(wire: Wire) -> Truth:
    sdp = description(media_line(), media_line("PCMU", control="track2"))
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    for number in range(2):
        track = f"{reader.url}/track{number + 1}"
        reader.session = f"7000{number}"
        reader.set_up(0.3 + 0.2 * number, track, 6000 + 2 * number)
        reader.in_session(0.4 + 0.2 * number, "PLAY", url=track, Session=reader.session)
    reader.film(0.8, 14)
    sound = Film("PCMU", fps=50, parts=1, key_parts=1, size=160, ssrc=0xA0D10)
    reader.film(0.8, 14, sound, port=6002, sport=5002)
    return Truth(streams=PLAYED | {0xA0D10: {"lost": 0}})


@scene
def answers_without_cseq(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.numbered = False
    reader.start(0.2, SDP).film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def ssrc_of_zero(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 14, Film(ssrc=0))
    return Truth(streams={0: {"lost": 0, "fps": 25.0}})


@scene
def ssrc_of_zero_inside_tcp(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP, channel=0).film(0.6, 14, Film(ssrc=0), channel=0)
    return Truth(streams={0: {"lost": 0, "fps": 25.0}})


@scene
def transport_names_a_wrong_ssrc(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1", answer="RTP/AVP;unicast;client_port=6000-6001;"
                  "server_port=5000-5001;ssrc=1A2B")  # fmt: skip
    reader.play(0.5)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def padding_extension_and_sources(wire: Wire) -> Truth:
    """ONVIF's replay extension, four bytes of padding and two contributing sources."""
    film = Film(padding=4, extension=bytes(12), csrc=2)
    Reader(wire).start(0.2, SDP).film(0.6, 14, film)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 25.0, "keyframes": 14}})


@scene
def numbers_and_stamps_wrap(wire: Wire) -> Truth:
    film = Film(sequence=65_400, stamp=0xFFFF0000)
    Reader(wire).start(0.2, SDP).film(0.6, 14, film)
    return Truth(streams=PLAYED)


@scene
def no_marker_bits_at_all(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 14, Film(marks=False))
    return Truth(streams=PLAYED)


@scene
def stamps_in_milliseconds(wire: Wire) -> Truth:
    """90000 is declared, and the stamps count milliseconds."""
    Reader(wire).start(0.2, SDP).film(0.6, 50, Film(step=40))
    return Truth(("stream-timestamps",), state="streaming",
                 streams={0x5EED0001: {"lost": 0, "fps": 25.0}})  # fmt: skip


@scene
def stamps_ten_percent_fast_inside_tcp(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP, channel=0).film(0.6, 90, Film(stamp_speed=1.1, fps=10, gop=20),
                                                 channel=0)  # fmt: skip
    return Truth(("stream-timestamps",), says={"stream-timestamps": "10 % too fast"})


@scene
def stamps_one_percent_fast(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 60, Film(stamp_speed=1.01, fps=10, gop=20))
    return Truth()


@scene
def a_picture_each_two_and_a_half_seconds(wire: Wire) -> Truth:
    """A camera set to 0.4 pictures a second is not frozen between them."""
    sdp = description(media_line(extra="a=framerate:0.4"))
    Reader(wire).start(0.2, sdp).film(0.6, 70, Film(fps=0.4, gop=4))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 0.4}})


@scene
def rate_halves_at_night(wire: Wire) -> Truth:
    """25 pictures a second, then 12.5 with right stamps: longer exposure."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 50.6)
    film.fps = 12.5
    reader.film(50.6, 100, film)
    return Truth(("stream-fps",), severity={"stream-fps": "warning"},
                 says={"stream-fps": "exposure"})  # fmt: skip


@scene
def camera_in_a_vlan(wire: Wire) -> Truth:
    Reader(wire, vlan=20).start(0.2, SDP).film(0.6, 14)
    return Truth(streams=PLAYED)


@scene
def camera_over_ipv6(wire: Wire) -> Truth:
    reader = Reader(wire, address=V6_CAMERA, client=V6_APPLIANCE)
    reader.start(0.2, SDP).film(0.6, 14)
    return Truth(camera=V6_CAMERA, streams=PLAYED)


@scene
def every_packet_twice_by_the_mirror(wire: Wire) -> Truth:
    film = Film(parts=4)
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 14, film)
    wire.frames += [(t + 15_000, i, f, w) for t, i, f, w in wire.frames]
    return Truth(quiet_too=("mirror-duplicates",),
                 streams={0x5EED0001: {"lost": 0, "duplicates": 0, "fps": 25.0}})  # fmt: skip


@scene
def four_sensors_behind_one_address(wire: Wire) -> Truth:
    """A multi-sensor camera: four paths, four connections, four streams."""
    wants = {}
    for number in range(4):
        reader = Reader(wire, 42_000 + number, path=f"/axis-media/media.amp?camera={number + 1}")
        reader.start(0.2 + number * 0.7, SDP, ports=6000 + 10 * number)
        film = Film(ssrc=0x400 + number, fps=10, gop=20)
        reader.film(3.2, 20, film, port=6000 + 10 * number, sport=5000 + 10 * number)
        wants[0x400 + number] = {"lost": 0, "fps": 10.0}
    return Truth(streams=wants, never=("stream-multi-reader",))


@scene
def one_of_four_sensors_freezes(wire: Wire) -> Truth:
    for number in range(4):
        reader = Reader(wire, 42_000 + number, path=f"/axis-media/media.amp?camera={number + 1}")
        reader.start(0.2 + number * 0.7, SDP, ports=6000 + 10 * number)
        film = Film(ssrc=0x400 + number, fps=10, gop=20)
        reader.film(3.2, 12 if number == 2 else 25, film, port=6000 + 10 * number,
                    sport=5000 + 10 * number)  # fmt: skip
    return Truth(("stream-frozen",), state="silent", says={"stream-frozen": "camera=3"})


@scene
def one_of_two_sensors_loses(wire: Wire) -> Truth:
    for number in range(2):
        reader = Reader(wire, 42_000 + number, path=f"/ch{number + 1}")
        reader.start(0.2 + number * 0.7, SDP, ports=6000 + 10 * number)
        film = Film(ssrc=0x400 + number, fps=25)
        lose = (lambda n: n % 40 == 13) if number else ()
        reader.film(3.2, 25, film, port=6000 + 10 * number, sport=5000 + 10 * number, lose=lose)
    return Truth(("stream-loss",), state="losing", severity={"stream-loss": "error"},
                 says={"stream-loss": "ch2"})  # fmt: skip


@scene
def two_readers_of_one_camera(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 14)
    Reader(wire, 51_000, **RECORDER).start(0.4, SDP, ports=7000).film(
        0.9, 14, Film(ssrc=0x500), port=7000, sport=5010
    )
    return Truth(quiet_too=("stream-multi-reader",),
                 streams=PLAYED | {0x500: {"lost": 0}})  # fmt: skip


@scene
def loss_on_the_recorders_stream_alone(wire: Wire) -> Truth:
    """The appliance's stream is whole; the recorder's path loses 5 %."""
    Reader(wire).start(0.2, SDP).film(0.6, 24)
    Reader(wire, 51_000, **RECORDER).start(0.4, SDP, ports=7000).film(
        0.9, 24, Film(ssrc=0x500), port=7000, sport=5010, lose=lambda n: n % 20 == 7
    )
    return Truth(quiet_too=("stream-loss",), says={"stream-loss": r"10\.20\.0\.77"},
                 streams=PLAYED)  # fmt: skip


@scene
def recorders_stream_freezes_alone(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 24)
    Reader(wire, 51_000, **RECORDER).start(0.4, SDP, ports=7000).film(
        0.9, 10, Film(ssrc=0x500), port=7000, sport=5010
    )
    return Truth(quiet_too=("stream-frozen",), says={"stream-frozen": r"10\.20\.0\.77"},
                 streams=PLAYED)  # fmt: skip


@scene
def heavy_jitter_of_a_wireless_camera(wire: Wire) -> Truth:
    def late(number: int) -> float:
        return 0.16 - 0.04 * (number % 5)  # five pictures at once, each fifth of a second

    Reader(wire).start(0.2, SDP).film(0.6, 30, late=late)
    return Truth(("stream-jitter",))


@scene
def rtcp_bye_and_a_new_ssrc_on_the_same_port(wire: Wire) -> Truth:
    """The camera's settings were changed: BYE, and the picture goes on under another SSRC."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 12)
    reader.film(12.3, 26, Film(ssrc=0x600, sequence=film.sequence + 9000, stamp=77))
    return Truth(("stream-restart",), never=("camera-reboot", "stream-frozen"))


@scene
def multicast_to_two_readers(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1", 40_000, group="239.1.2.3")
    reader.play(0.4)
    reader.film(0.8, 14, port=40_000, group="239.1.2.3", silent=True)
    return Truth(streams=PLAYED)


@scene
def multicast_that_never_arrives(wire: Wire) -> Truth:
    """PLAY is answered; the group's packets do not reach this port."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1", 40_000, group="239.1.2.3")
    reader.play(0.4)
    reader.in_session(10, "GET_PARAMETER")
    return Truth(("udp-blocked",), state="silent", says={"udp-blocked": r"239\.1\.2\.3"})
