"""More of what owners report: faults in a row, and makes with habits of their own."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader
from tests.diagnosis.met.reported import PLAYED, SDP, VIEWER, every
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, arp_packet
from tests.made_up import APPLIANCE, CAMERA

YARD, YARD_MAC = "10.20.0.12", "02:00:00:00:01:12"


@scene
def basic_is_sent_where_only_digest_is_offered(wire: Wire) -> Truth:
    """The password is right, and the reader speaks Basic alone."""
    for at, reader in every(wire, 3, 8):
        reader.challenge(at, "DESCRIBE", schemes=("Digest",))
        reader.ask(at + 0.1, "DESCRIBE", Authorization="Basic YTpi")
        reader.tell(at + 0.11, "401 Unauthorized",
                    many={"WWW-Authenticate": ['Digest realm="IPC", nonce="a1"']})  # fmt: skip
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-auth",), state="refused",
                 says={"rtsp-auth": "sends Basic, .*offers only Digest"},
                 allowed=("cleartext",),
                 acts={"rtsp-auth": "who administers the appliance"})  # fmt: skip


@scene
def old_nonce_is_used_without_end(wire: Wire) -> Truth:
    """Each answer says stale=TRUE, and the reader repeats the old nonce."""
    for at, reader in every(wire, 3, 8):
        reader.challenge(at, "DESCRIBE")
        for number in range(3):
            reader.challenge(at + 0.1 + 0.1 * number, "DESCRIBE", sent=True, stale=True)
        reader.flow.close(at + 0.6)
    return Truth(("rtsp-auth",), state="refused", says={"rtsp-auth": "out of date"})


@scene
def reader_leaves_after_each_description(wire: Wire) -> Truth:
    """The reader cannot read the description, and asks again each second."""
    for at, reader in every(wire, 12, 1.0):
        reader.challenge(at, "DESCRIBE")
        reader.describe(at + 0.1, SDP)
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-unfinished",), state=None,
                 of=(("rtsp-unfinished", "dock"),))  # fmt: skip


@scene
def reader_leaves_after_each_setup(wire: Wire) -> Truth:
    """SETUP is answered, and the reader never sends PLAY."""
    for at, reader in every(wire, 5, 3.0):
        reader.describe(at, SDP)
        reader.set_up(at + 0.1, reader.url + "/track1")
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-unfinished",), state=None,
                 of=(("rtsp-unfinished", "dock"),))  # fmt: skip


@scene
def camera_takes_another_address(wire: Wire) -> Truth:
    """DHCP gives it another one: the old one is asked for in vain, the MAC answers at .50."""
    Reader(wire).start(0.2, SDP).film(0.6, 10)
    wire.add(13, arp_packet(1, CAMERA_MAC, "10.20.0.50", "10.20.0.50"))
    for number in range(12):
        wire.add(15 + 2 * number, arp_packet(1, ETH0, APPLIANCE, CAMERA))
    return Truth(("camera-unreachable|camera-moved|camera-address",), state="unreachable")


@scene
def camera_waits_for_motion_and_answers_play(wire: Wire) -> Truth:
    """A battery camera plays eight seconds, ends the session by itself, and is asked again."""
    for number in range(3):
        at = 0.2 + 15 * number
        reader = Reader(wire, 40_000 + number).start(at, SDP, channel=0)
        reader.film(at + 0.4, at + 8, Film(ssrc=0x60 + number), channel=0)
        reader.flow.close(at + 8.1, by_server=True)
    return Truth(("rtsp-closed",), state=None, never=("camera-reboot",))


@scene
def viewer_with_wrong_path_beside_a_picture(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 20)
    for number in range(3):
        other = Reader(wire, 52_000 + number, path="/live/ch0", **VIEWER)
        other.flow.open(3 + 4 * number)
        other.pair(3.1 + 4 * number, "DESCRIBE", "404 Not Found")
        other.flow.close(3.3 + 4 * number)
    return Truth(quiet_too=("rtsp-not-found",), streams=PLAYED)


@scene
def sub_stream_is_not_found_and_the_main_plays(wire: Wire) -> Truth:
    """The appliance itself wants two streams of the camera, and one path is wrong."""
    Reader(wire).start(0.2, SDP).film(0.6, 30)
    for number in range(4):
        other = Reader(wire, 45_000 + number, path="/stream2")
        at = 3 + 6 * number
        other.flow.open(at)
        other.pair(at + 0.1, "DESCRIBE", "404 Not Found", auth=True)
        other.flow.close(at + 0.3)
    return Truth(("rtsp-not-found",), state="refused", says={"rtsp-not-found": "stream2"})


@scene
def jumbo_of_pictures_once_a_second(wire: Wire) -> Truth:
    """One picture a second, as it was set: no rate is declared."""
    Reader(wire).start(0.2, SDP).film(0.6, 60, Film(fps=1, gop=1, key_parts=20))
    return Truth(never=("stream-frozen", "stream-fps"), streams={0x5EED0001: {"lost": 0}})


@scene
def variable_rate_between_twelve_and_thirty(wire: Wire) -> Truth:
    reader = Reader(wire).start(0.2, SDP)
    film = Film(gop=60)
    at = 0.6
    for rate in (30, 12, 24, 15, 30, 12, 20):
        film.fps = rate
        reader.film(at, at + 6, film, silent=True)
        at += 6
    reader.reports(1, at, film)
    return Truth(state="streaming", streams={0x5EED0001: {"lost": 0}}, never=("stream-timestamps",))


@scene
def stamps_of_a_microsecond_clock(wire: Wire) -> Truth:
    """Stamps count microseconds where the SDP says 90,000."""
    Reader(wire).start(0.2, SDP).film(0.6, 40, Film(step=40_000))
    return Truth(("stream-timestamps",), state="streaming", of=(("stream-timestamps", "dock"),))


@scene
def packets_of_one_picture_come_in_reverse(wire: Wire) -> Truth:
    """Two links in a bond: each pair of packets changes places; nothing is lost."""
    reader = Reader(wire).start(0.2, SDP)
    film = Film(parts=2, key_parts=8)
    number = 0
    while (at := 0.6 + number / 25) < 20:
        packets = film.picture()
        for pair in range(0, len(packets), 2):
            for part, packet in enumerate(reversed(packets[pair : pair + 2])):
                reader.packet(at + 0.0004 * (pair + part), packet)
        number += 1
    reader.reports(2, 20, film)
    return Truth(state="streaming", never=("stream-loss",))


@scene
def camera_reports_a_packet_count_that_stands_still(wire: Wire) -> Truth:
    """Sender reports with counts of nought: that is the camera's habit, no loss."""
    reader = Reader(wire).start(0.2, SDP)
    film = reader.film(0.6, 30)
    idle = Film(ssrc=film.ssrc)
    for at in range(2, 30, 4):
        reader.sender_report(at, idle, 2_208_988_800 + 1_700_000_000 + at)
    return Truth(never=("stream-loss",), streams=PLAYED)


@scene
def two_readers_of_one_client_take_both_transports(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 16)
    again = Reader(wire, 40_001).start(0.3, SDP, channel=0)
    again.film(0.7, 16, Film(ssrc=0x70), channel=0)
    return Truth(streams=PLAYED | {0x70: {"lost": 0}}, allowed=("stream-multi-reader",))
