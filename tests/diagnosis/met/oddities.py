"""Dialogues and media of real makes that look wrong and are right: no word above information."""

from __future__ import annotations

import struct

from tests.diagnosis.camera_maker import PPS, SPS, Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, EVERYBODY, Wire, arp_packet
from tests.made_up import APPLIANCE, CAMERA

SDP = description(media_line())
PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
VIEWER = {"client": "10.20.0.88", "client_mac": "02:00:00:00:08:88", "agent": "LibVLC/3.0.20"}
FAMOUS = "01:00:5e:7f:ff:fa"  # where WS-Discovery is asked


def answered(wire: Wire, transport: str, *, channel: int | None = None, port: int = 6000,
             sport: int = 5000, asked: str | None = None, until: float = 12) -> Reader:  # fmt: skip
    """A picture whose SETUP is answered with just this Transport header ("" none at all)."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    if asked is None:
        asked = ("RTP/AVP;unicast;client_port=6000-6001" if channel is None
                 else "RTP/AVP/TCP;unicast;interleaved=0-1")  # fmt: skip
    says = {"Transport": transport} if transport else {}
    reader.pair(0.3, "SETUP", url=reader.url + "/track1", asks={"Transport": asked},
                Session=reader.session_header, **says)  # fmt: skip
    reader.play(0.4)
    reader.film(0.6, until, channel=channel, port=port, sport=sport)
    return reader


@scene
def odd_channels_one_and_two(wire: Wire) -> Truth:
    """A VMS of its own make asks for channels 1-2, and gets them."""
    answered(wire, "RTP/AVP/TCP;unicast;interleaved=1-2", channel=1,
             asked="RTP/AVP/TCP;unicast;interleaved=1-2")  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def two_tracks_renumbered_to_eight_and_ten(wire: Wire) -> Truth:
    """Asked for 0-1 and 2-3, answered 8-9 and 10-11: what the answer says counts."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, description(media_line(), media_line("PCMA", control="track2")))
    for number in range(2):
        reader.set_up(0.3 + number * 0.05, f"{reader.url}/track{number + 1}",
                      channel=2 * number, answered_channel=8 + 2 * number)  # fmt: skip
    reader.play(0.5)
    sound = Film("PCMA", fps=25, parts=1, key_parts=1, size=320, ssrc=0xA)
    reader.films(0.6, 14, {8: Film(), 10: sound})
    return Truth(streams=PLAYED | {0xA: {"lost": 0}})


@scene
def transport_begins_with_the_ssrc(wire: Wire) -> Truth:
    """A webcam's order of fields: ssrc first, no word of unicast."""
    answered(wire, "RTP/AVP/TCP;ssrc=5EED0001;interleaved=0-1", channel=0)
    return Truth(streams=PLAYED)


@scene
def answer_to_setup_without_any_transport(wire: Wire) -> Truth:
    answered(wire, "")
    return Truth(streams=PLAYED)


@scene
def server_port_is_given_as_zero(wire: Wire) -> Truth:
    answered(wire, "RTP/AVP/UDP;unicast;client_port=6000-6001;server_port=0-1;ssrc=4317f",
             sport=49_170)  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def server_port_runs_into_the_ssrc(wire: Wire) -> Truth:
    """A comma in place of a semicolon."""
    answered(wire, "RTP/AVP;unicast;client_port=6000-6001;server_port=40000-40001,ssrc=FFFFCCCC",
             sport=40_000)  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def media_come_from_another_port_than_was_said(wire: Wire) -> Truth:
    answered(wire, "RTP/AVP;unicast;client_port=6000-6001;server_port=5000-5001", sport=6970)
    return Truth(streams=PLAYED)


@scene
def description_with_garbage_in_two_lines(wire: Wire) -> Truth:
    """Uninitialised memory as the port of m= and the address of c=."""
    line = media_line().replace("m=video 0 ", "m=video -1353744643 ")
    line += "c=IN IP4 '&\x01\x02\ufffd\ufffd\r\n"
    Reader(wire).start(0.2, description(line)).film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def description_names_the_sound_twice(wire: Wire) -> Truth:
    sdp = description(media_line(), media_line("PCMA", control="track2"),
                      media_line("PCMA", control="track2"))  # fmt: skip
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, sdp)
    reader.set_up(0.3, reader.url + "/track1")
    reader.set_up(0.35, reader.url + "/track2", 6002)
    reader.play(0.5)
    reader.film(0.6, 14)
    reader.film(
        0.6, 14, Film("PCMA", fps=25, parts=1, key_parts=1, ssrc=0xA), port=6002, sport=5002
    )
    return Truth(streams=PLAYED)


@scene
def description_in_lf_with_bad_origin_and_no_connection(wire: Wire) -> Truth:
    sdp = SDP.replace("\r\n", "\n").replace("o=- 1 1 IN IP4 0.0.0.0", "o=RTSP Session 0 0 IN IPV4")
    Reader(wire).start(0.2, sdp + "\n\n").film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def declared_rate_of_zero(wire: Wire) -> Truth:
    Reader(wire).start(0.2, description(media_line(extra="a=framerate:0.000000"))).film(0.6, 20)
    return Truth(streams=PLAYED)


@scene
def events_are_rare_and_without_reports(wire: Wire) -> Truth:
    """ONVIF metadata: a packet each 11 s on its own track; that is no standstill."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    events = media_line("VND.ONVIF.METADATA", 107, "track3", extra="a=recvonly")
    reader.describe(0.25, description(media_line(), events))
    reader.set_up(0.3, reader.url + "/track1")
    reader.set_up(0.35, reader.url + "/track3", 6004)
    reader.play(0.5)
    reader.film(0.6, 48, Film(fps=10, gop=20))
    rare = Film("VND.ONVIF.METADATA", 107, fps=1 / 11, gop=1, key_parts=1, ssrc=0xE)
    reader.film(0.9, 48, rare, port=6004, sport=5004, silent=True)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def reports_on_the_port_of_the_media(wire: Wire) -> Truth:
    """RTCP muxed onto the RTP port (RFC 5761)."""
    reader = answered(wire, "RTP/AVP;unicast;client_port=6000;server_port=5000;RTCP-mux", until=20,
                      asked="RTP/AVP;unicast;client_port=6000;RTCP-mux")  # fmt: skip
    for at in range(2, 20, 3):
        reader.sender_report(at, Film(), 3_998_988_800 + at, port=6000)
    return Truth(streams=PLAYED)


@scene
def reports_in_the_channel_of_the_media(wire: Wire) -> Truth:
    """Sender reports between the pictures, in the even channel."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 0x5EED0001, 3_998_988_800, 0, 1, 9, 9)
    film = Film()
    for second in range(12):
        reader.film(0.6 + second, 1.59 + second, film, channel=0)
        reader.packet(1.595 + second, report, channel=0)
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def packets_of_a_channel_that_nobody_set_up(wire: Wire) -> Truth:
    """Old LIVE555: what is left of a dead session comes in this connection, as channel 5."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    old = Film(ssrc=0xDEAD, sequence=40_000, fps=25)
    reader.films(0.6, 6, {0: (film := Film()), 5: old})
    reader.film(6.0, 14, film, channel=0)
    return Truth(streams=PLAYED)


@scene
def uncompressed_sound_by_its_number(wire: Wire) -> Truth:
    """L16 as type 11, no rtpmap; the picture is what counts."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    sound = "m=audio 0 RTP/AVP 11\r\na=control:track2\r\n"
    reader.describe(0.25, description(media_line(), sound))
    reader.set_up(0.3, reader.url + "/track1")
    reader.set_up(0.35, reader.url + "/track2", 6002)
    reader.play(0.5)
    reader.film(0.6, 14)
    film = Film("PCMU", 11, fps=50, parts=1, key_parts=1, size=1000, step=882, ssrc=0xA)
    reader.film(0.6, 14, film, port=6002, sport=5002)
    return Truth(streams=PLAYED)


@scene
def nonce_grows_stale_at_play(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.challenge(0.25, "DESCRIBE")
    reader.describe(0.3, SDP)
    reader.set_up(0.35, reader.url + "/track1")
    reader.challenge(0.4, "PLAY", stale=True, sent=True)
    reader.play(0.45)
    reader.film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def five_seconds_of_time_out_and_kept(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.timeout = 5
    reader.start(0.2, SDP).film(0.6, 40, Film(fps=10, gop=20), silent=True)
    for number in range(13):
        reader.in_session(3 * number + 2.5, "OPTIONS")
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def ten_minutes_of_time_out_and_silence(wire: Wire) -> Truth:
    """Session: ...;timeout=600, and a reader that need not say a word for 100 s."""
    reader = Reader(wire)
    reader.timeout = 600
    reader.start(0.2, SDP).film(0.6, 100, Film(fps=5, gop=10), silent=True)
    for at in range(20, 100, 20):
        wire.add(at, arp_packet(1, CAMERA_MAC, CAMERA, APPLIANCE, ETH0))
        wire.add(at + 0.001, arp_packet(2, ETH0, APPLIANCE, CAMERA, CAMERA_MAC))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 5.0}})


@scene
def keep_alives_are_answered_three_seconds_late(wire: Wire) -> Truth:
    """A busy camera: each answer comes late, and the picture runs."""
    reader = Reader(wire)
    reader.timeout = 30
    reader.start(0.2, SDP).film(0.6, 50, Film(fps=10, gop=20))
    for at in (12, 24, 36, 48):
        reader.in_session(at, "GET_PARAMETER", after=3.0)
    wire.quiet(50, 52, interface=0)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def camera_asks_the_reader_whether_it_lives(wire: Wire) -> Truth:
    """The server sends OPTIONS to the client, between the pictures."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = Film()
    for number in range(4):
        at = 0.6 + 5 * number
        reader.film(at, at + 4.9, film, channel=0)
        reader.flow.answer(at + 4.95, b"OPTIONS * RTSP/1.0\r\nCSeq: %d\r\n\r\n" % (number + 1))
        reader.flow.send(at + 4.96, b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n\r\n" % (number + 1))
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def session_header_with_blanks_and_capitals(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.pair(0.3, "SETUP", url=reader.url + "/track1", SESSION="12345678 ; Timeout = 30",
                asks={"Transport": "RTP/AVP;unicast;client_port=6000-6001"},
                Transport="RTP/AVP/UDP; unicast; client_port = 6000-6001")  # fmt: skip
    reader.play(0.4)
    reader.film(0.6, 50, Film(fps=10, gop=20))
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def play_is_never_answered_and_it_plays(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1")
    reader.ask(0.4, "PLAY", Session=reader.session)
    reader.film(0.6, 25)
    return Truth(streams=PLAYED)


@scene
def pause_is_not_known_and_it_plays_on(wire: Wire) -> Truth:
    """ffmpeg tries PAUSE: 551, and nothing has changed."""
    reader = Reader(wire).start(0.2, SDP)
    reader.in_session(5, "PAUSE", "551 Option not supported")
    reader.film(0.6, 16)
    return Truth(streams=PLAYED)


@scene
def first_packet_has_another_ssrc(wire: Wire) -> Truth:
    """One packet of an older encoder run comes first."""
    reader = Reader(wire).start(0.2, SDP)
    reader.packet(0.55, Film(ssrc=0xBAD, sequence=9).picture()[0])
    reader.film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def empty_packets_between_the_pictures(wire: Wire) -> Truth:
    """RTP headers without any payload, numbered with the others, each second."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film()
    for second in range(12):
        reader.film(0.6 + second, 1.59 + second, film, silent=True)
        head = struct.pack("!BBHII", 0x80, 96, film.sequence & 0xFFFF, film.stamp, film.ssrc)
        film.sequence += 1
        reader.packet(1.595 + second, head)
    return Truth(streams={0x5EED0001: {"lost": 0}})


@scene
def parameter_sets_with_the_stamp_of_the_last_picture(wire: Wire) -> Truth:
    """SPS and PPS in packets of their own, marked, under the stamp of the picture before."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film()
    number = 0
    while (at := 0.6 + number / 25) < 14:
        if number % 25 == 0 and number:
            for part, unit in enumerate((SPS, PPS)):
                head = struct.pack("!BBHII", 0x80, 0xE0, film.sequence & 0xFFFF,
                                   film.stamp - 3600, film.ssrc)  # fmt: skip
                film.sequence += 1
                reader.packet(at - 0.001 + part * 0.0001, head + unit)
        for part, packet in enumerate(film.picture()):
            reader.packet(at + part * 0.0002, packet)
        number += 1
    return Truth(streams=PLAYED)


@scene
def pictures_out_of_their_order_of_time(wire: Wire) -> Truth:
    """B-frames: stamps go 1 4 2 3 7 5 6, as the decoder needs them."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(step=0)
    start, number = film.stamp, 0
    while (at := 0.6 + number / 25) < 30:
        place = number + ((2 if (number - 1) % 3 == 0 else -1) if number else 0)
        film.stamp = start + 3600 * place
        for part, packet in enumerate(film.picture()):
            reader.packet(at + part * 0.0002, packet)
        number += 1
    reader.reports(2, 30, film)
    return Truth(streams=PLAYED)


@scene
def key_frames_as_far_apart_as_the_scene_allows(wire: Wire) -> Truth:
    """A smart codec: key frames after 2, 8, 4, 9, 2 ... s."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(fps=10)
    at = 0.6
    for seconds in (2, 8, 4, 9, 2, 8, 9):
        film.gop = 10 * seconds
        film.frame = 0
        reader.film(at, at + seconds - 0.01, film, silent=True)
        at += seconds
    reader.reports(2, at, film)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def key_frames_of_three_hundred_packets_are_paced(wire: Wire) -> Truth:
    """A camera that spreads its key frames over the time of a picture."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(fps=15, gop=30, key_parts=300, size=60)
    number = 0
    while (at := 0.6 + number / 15) < 20:
        packets = film.picture()
        for part, packet in enumerate(packets):
            reader.packet(at + part * 0.9 / 15 / len(packets), packet)
        number += 1
    reader.reports(2, 20, film)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 15.0}})


@scene
def one_second_without_a_picture_at_dusk(wire: Wire) -> Truth:
    """The infrared filter swings over: 0.9 s of nothing, then brighter and heavier pictures."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 20)
    film.stamp += 81_000
    film.parts = 4
    reader.film(20.9, 45, film)
    return Truth(allowed=("stream-jitter",), never=("stream-frozen", "stream-restart"),
                 streams={0x5EED0001: {"lost": 0}})  # fmt: skip


@scene
def recording_is_fetched_four_times_as_fast(wire: Wire) -> Truth:
    """A viewer plays the camera's card with Scale 4 while the appliance has the live picture."""
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    other = Reader(wire, 52_000, path="/Streaming/tracks/101?starttime=20260101T000000Z", **VIEWER)
    other.flow.open(1)
    other.describe(1.1, SDP)
    other.set_up(1.2, other.url + "/track1", channel=0)
    other.pair(1.3, "PLAY", asks={"Session": other.session, "Scale": "4.0"}, Scale="4.000",
               Session=other.session, Range="clock=20260101T000000Z-")  # fmt: skip
    film = Film(fps=25, ssrc=0x444, step=14_400)
    other.film(1.6, 24, film, channel=0)
    return Truth(streams=PLAYED)


@scene
def recording_is_refused_to_a_viewer(wire: Wire) -> Truth:
    """The camera plays one recording at a time; the live picture is untouched."""
    Reader(wire).start(0.2, SDP).film(0.6, 22)
    for number in range(3):
        other = Reader(wire, 52_000 + number, path="/Streaming/tracks/701", **VIEWER)
        other.flow.open(2 + 6 * number)
        other.pair(2.1 + 6 * number, "DESCRIBE", "453 Not Enough Bandwidth", auth=True)
        other.flow.close(2.2 + 6 * number)
    return Truth(streams=PLAYED)


@scene
def second_appliance_reads_the_same_camera(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 16)
    twin = {"client": "10.20.0.6", "client_mac": "02:00:00:00:00:20"}
    Reader(wire, 40_000, **twin).start(0.4, SDP).film(0.8, 16, Film(ssrc=0x66))
    return Truth(quiet_too=("stream-multi-reader",), streams=PLAYED)


@scene
def new_camera_with_its_makers_address(wire: Wire) -> Truth:
    """A camera fresh from its box calls itself 192.168.1.108 in this network."""
    Reader(wire).start(0.2, SDP).film(0.6, 20)
    for number in range(6):
        wire.add(1 + 3 * number, arp_packet(1, "02:00:00:00:0d:0d", "192.168.1.108",
                                            "192.168.1.1"))  # fmt: skip
        wire.add(1.2 + 3 * number, arp_packet(1, "02:00:00:00:0d:0d", "192.168.1.108",
                                              "192.168.1.108"))  # fmt: skip
    return Truth(streams=PLAYED)


@scene
def everybody_answers_a_search_for_cameras(wire: Wire) -> Truth:
    """A viewer searches by WS-Discovery each second, and thirty cameras answer."""
    Reader(wire).start(0.2, SDP).film(0.6, 16)
    ask = b"<?xml version='1.0'?><e:Envelope><e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter"
    viewer = ("02:00:00:00:08:88", "10.20.0.88")
    for second in range(1, 15):
        wire.udp(second, (*viewer, 50_100), (FAMOUS, "239.255.255.250", 3702), ask)
        for number in range(30):
            wire.udp(second + 0.01 + number * 0.005,
                     (f"02:00:00:00:03:{number:02x}", f"10.20.0.{120 + number}", 3702),
                     (*viewer, 50_100), ask.replace(b"Probe", b"ProbeMatches"))  # fmt: skip
    return Truth(streams=PLAYED, never=("scan",))


@scene
def dome_is_turned_by_hand(wire: Wire) -> Truth:
    """PTZ by ONVIF: ten small requests a second from a viewer."""
    Reader(wire).start(0.2, SDP).film(0.6, 14)
    flow = wire.tcp(("02:00:00:00:08:88", "10.20.0.88", 53_000), (CAMERA_MAC, CAMERA, 80))
    flow.open(1)
    body = b"<s:Envelope><s:Body><tptz:ContinuousMove/></s:Body></s:Envelope>"
    for number in range(80):
        at = 1.2 + number * 0.1
        flow.send(at, b"POST /onvif/PTZ HTTP/1.1\r\nHost: 10.20.0.11\r\nContent-Length: %d\r\n\r\n"
                  % len(body) + body)  # fmt: skip
        flow.answer(at + 0.02, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return Truth(streams=PLAYED)


@scene
def clock_of_1970_in_the_reports(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 26)
    for at in range(2, 26, 5):
        reader.sender_report(at, film, 2_208_988_800 + 40 + at)
    return Truth(quiet_too=("camera-clock",), streams=PLAYED)


@scene
def stamps_that_rtp_info_does_not_fit(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.25, SDP)
    reader.set_up(0.3, reader.url + "/track1")
    reader.play(0.4, RTP_Info=f"url={reader.url}/track1;seq=51883;rtptime=0")
    reader.film(0.6, 12)
    return Truth(streams=PLAYED)


@scene
def management_software_hands_cameras_on(wire: Wire) -> Truth:
    """A VMS gives its cameras out on 7001; DESCRIBE already has a Session header."""
    reader = Reader(wire, port=7001, path="/d9578fe4-a8f4-ceab-7276-94aff8cb1fe1")
    reader.flow.open(0.2)
    reader.ask(0.25, "DESCRIBE", Accept="application/sdp")
    reader.tell(0.27, body=description(media_line(), title="DWC-MV94WiAT"),
                Session="24175057766081730192684;timeout=60",
                Range="clock=20240712T143958.84Z-19700120T222459.652822Z")  # fmt: skip
    reader.set_up(0.3, reader.url + "/track1", channel=0)
    reader.play(0.4)
    reader.film(0.6, 14, channel=0)
    return Truth(streams=PLAYED)


@scene
def two_channels_of_one_recorder(wire: Wire) -> Truth:
    """An NVR hands two cameras on; each has its own path and its own session."""
    for number in (1, 2):
        reader = Reader(wire, 40_000 + number, path=f"/Streaming/Channels/{number}01")
        reader.session = f"7000{number}"
        reader.start(0.2 * number, SDP, ports=6000 + 10 * number)
        reader.film(1, 16, Film(ssrc=0x70 + number), port=6000 + 10 * number, sport=8000 + number)
    return Truth(streams={0x71: {"lost": 0, "fps": 25.0}, 0x72: {"lost": 0, "fps": 25.0}})


@scene
def parts_of_http_pictures_have_no_length(wire: Wire) -> Truth:
    """Motion JPEG whose parts only their boundary ends."""
    flow = wire.tcp((VIEWER["client_mac"], VIEWER["client"], 47_000), (CAMERA_MAC, CAMERA, 80))
    flow.ttl_in = 64
    flow.open(0.1)
    flow.send(0.15, b"GET /control/faststream.jpg?stream=full HTTP/1.1\r\nHost: c\r\n\r\n")
    flow.answer(
        0.2,
        b"HTTP/1.0 200 OK\r\nServer: MOBOTIX\r\n"
        b'Content-Type: multipart/x-mixed-replace; boundary="MOBOTIX_Fast"\r\n\r\n',
    )
    number = 0
    while (at := 0.3 + number / 8) < 20:
        part = (b"--MOBOTIX_Fast\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0"
                + bytes(2600) + b"\xff\xd9\r\n")  # fmt: skip
        for piece, start in enumerate(range(0, len(part), 1400)):
            flow.answer(at + piece * 0.0002, part[start : start + 1400])
        flow.ack(at + 0.01)
        number += 1
    return Truth(streams={0: {"fps": 8.0}})


@scene
def another_codec_for_a_recorder_alone(wire: Wire) -> Truth:
    """The appliance has its H.264; a recorder takes the camera's AV1."""
    Reader(wire).start(0.2, SDP).film(0.6, 16)
    other = Reader(wire, 52_000, path="/main", **VIEWER)
    other.start(0.5, description(media_line("AV1", 98)), channel=0)
    other.film(1.0, 16, Film("AV1", 98, ssrc=0xA1), channel=0)
    return Truth(streams=PLAYED)


@scene
def reports_inside_tcp_alone_keep_it(wire: Wire) -> Truth:
    """No request for 130 s: the receiver reports go upstream in channel 1."""
    reader = Reader(wire).start(0.2, SDP, channel=0)
    film = Film(fps=5, gop=10, parts=1, key_parts=2)
    body = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 0x9999, film.ssrc, 0, 0, 0, 0, 0)
    framed = struct.pack("!cBH", b"$", 1, len(body)) + body
    for number in range(26):
        reader.film(0.6 + 5 * number, 5.59 + 5 * number, film, channel=0)
        reader.flow.send(5.595 + 5 * number, framed)
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 5.0}})


@scene
def moved_for_good_to_another_port_and_followed(wire: Wire) -> Truth:
    one = Reader(wire)
    one.flow.open(0.2)
    one.pair(0.25, "DESCRIBE", "301 Moved Permanently", Location=f"rtsp://{CAMERA}:8554/stream1")
    one.flow.close(0.3)
    Reader(wire, 40_001, port=8554).start(0.5, SDP).film(1.0, 16)
    return Truth(streams=PLAYED)


@scene
def camera_announces_itself_each_minute(wire: Wire) -> Truth:
    """Gratuitous ARP as a habit, while it plays: that is no restart."""
    Reader(wire).start(0.2, SDP).film(0.6, 40, Film(fps=10, gop=20))
    for at in (5, 15, 25, 35):
        wire.add(at, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA, EVERYBODY))
    return Truth(never=("camera-reboot",), streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def rate_follows_what_moves(wire: Wire) -> Truth:
    """Dynamic rate: 25 a second while something moves, 8 while not; each picture stamped right."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film()
    at = 0.6
    for number in range(8):
        film.fps = 25 if number % 2 == 0 else 8
        film.gop = 2 * int(film.fps)
        reader.film(at, at + 6.99, film, silent=True)
        at += 7
    reader.reports(2, at, film)
    return Truth(allowed=("stream-fps",), streams={0x5EED0001: {"lost": 0}})
