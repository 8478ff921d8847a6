"""How cameras ask for a password, and what they do with wrong ones."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import Wire

PLAYED = {0x5EED0001: {"lost": 0, "fps": 25.0}}
SDP = description(media_line())
PHONE = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip


@scene
def digest_sha256_refused_then_md5(wire: Wire) -> Truth:
    """The camera offers SHA-256 and MD5; the reader tries the first, is refused, then the other."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.challenge(0.3, "DESCRIBE", schemes=("Digest", "Digest"))
    reader.challenge(0.35, "DESCRIBE", sent=True, schemes=("Digest", "Digest"))
    reader.start(0.4, SDP, open_it=False, login=False)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def digest_refused_then_basic_on_a_new_connection(wire: Wire) -> Truth:
    """A camera with Basic only behind a Digest challenge: the second connection logs in."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.challenge(0.3, "DESCRIBE", schemes=("Digest", "Basic"))
    reader.challenge(0.4, "DESCRIBE", sent=True, schemes=("Digest", "Basic"))
    reader.flow.close(0.5)
    again = Reader(wire, 40_010).start(1.2, SDP)
    again.film(1.8, 12)
    return Truth(streams=PLAYED)


@scene
def a_new_nonce_for_every_request(wire: Wire) -> Truth:
    """Each request is answered 401 stale first and repeated with the new nonce."""
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.challenge(0.3, "DESCRIBE")
    reader.describe(0.35, SDP)
    track = reader.url + "/track1"
    reader.challenge(0.4, "SETUP", track, sent=True, stale=True)
    reader.set_up(0.45, track)
    reader.challenge(0.5, "PLAY", sent=True, stale=True)
    reader.play(0.55)
    film = reader.film(0.8, 14)
    for at in (4.0, 8.0, 12.0):
        reader.challenge(at, "GET_PARAMETER", sent=True, stale=True)
        reader.in_session(at + 0.05, "GET_PARAMETER")
    reader.reports(2, 14, film)
    return Truth(streams=PLAYED)


@scene
def description_is_open_and_setup_wants_the_password(wire: Wire) -> Truth:
    reader = Reader(wire)
    reader.flow.open(0.2)
    reader.describe(0.3, SDP, auth=False)
    reader.challenge(0.35, "SETUP", reader.url + "/track1")
    reader.set_up(0.4, reader.url + "/track1")
    reader.play(0.45)
    reader.film(0.8, 12)
    return Truth(streams=PLAYED)


@scene
def options_without_credentials_is_refused_each_time(wire: Wire) -> Truth:
    """The reader's keep-alive has no credentials and is answered 401; its reports count."""
    reader = Reader(wire)
    reader.timeout = 10
    reader.flow.open(0.2)
    reader.challenge(0.25, "OPTIONS")
    reader.start(0.3, SDP, open_it=False)
    film = reader.film(0.8, 40, Film(fps=10, gop=10))
    reader.reports(2, 40, film)
    for at in (8.0, 16.0, 24.0, 32.0):
        reader.challenge(at, "OPTIONS")
    return Truth(streams={0x5EED0001: {"lost": 0, "fps": 10.0}})


@scene
def wrong_password_tried_each_ten_seconds(wire: Wire) -> Truth:
    for number in range(3):
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(0.2 + 10 * number)
        reader.challenge(0.3 + 10 * number, "DESCRIBE")
        reader.challenge(0.4 + 10 * number, "DESCRIBE", sent=True)
        reader.flow.close(0.5 + 10 * number)
    return Truth(("rtsp-auth",), state="refused", severity={"rtsp-auth": "error"},
                 says={"rtsp-auth": "refuses the password"})  # fmt: skip


@scene
def locked_out_with_403_after_five_tries(wire: Wire) -> Truth:
    """Hikvision's "illegal login lock": 401 five times, then 403 to whatever comes."""
    for number in range(7):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        if number < 5:
            reader.challenge(at + 0.1, "DESCRIBE")
            reader.challenge(at + 0.2, "DESCRIBE", sent=True)
        else:
            reader.pair(at + 0.1, "DESCRIBE", "403 Forbidden", auth=True)
        reader.flow.close(at + 0.3)
    return Truth(("rtsp-lockout",), state="refused", says={"rtsp-lockout": "5 refused passwords"})


@scene
def locked_out_by_cutting_the_connection(wire: Wire) -> Truth:
    """Dahua: after the wrong passwords the camera resets the connection at DESCRIBE."""
    for number in range(6):
        at = 0.2 + 5 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        if number < 3:
            reader.challenge(at + 0.1, "DESCRIBE")
            reader.challenge(at + 0.2, "DESCRIBE", sent=True)
            reader.flow.close(at + 0.3)
        else:
            reader.ask(at + 0.1, "DESCRIBE")
            reader.flow.reset(at + 0.11)
    return Truth(("rtsp-lockout",), state="refused")


@scene
def password_changed_while_it_plays(wire: Wire) -> Truth:
    """The camera ends the session and refuses the old password from then on."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, 15)
    reader.flow.close(15, by_server=True)
    for number in range(3):
        at = 16 + 6 * number
        again = Reader(wire, 40_010 + number)
        again.flow.open(at)
        again.challenge(at + 0.1, "DESCRIBE")
        again.challenge(at + 0.2, "DESCRIBE", sent=True)
        again.flow.close(at + 0.3)
    return Truth(("rtsp-auth",), state="refused", never=("stream-frozen", "camera-reboot"))


@scene
def refused_without_a_challenge(wire: Wire) -> Truth:
    """401 without WWW-Authenticate: no reader can log in."""
    for number in range(3):
        at = 0.2 + 6 * number
        reader = Reader(wire, 40_000 + number)
        reader.flow.open(at)
        reader.pair(at + 0.1, "DESCRIBE", "401 Unauthorized")
        reader.flow.close(at + 0.2)
    return Truth(("rtsp-auth",), state="refused")


@scene
def a_recorder_with_the_old_password_beside(wire: Wire) -> Truth:
    """The appliance plays; the recorder's password is old: that is the recorder's matter."""
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    for number in range(4):
        at = 3.0 + 5 * number
        other = Reader(wire, 51_000 + number, **PHONE)
        other.flow.open(at)
        other.challenge(at + 0.1, "DESCRIBE")
        other.challenge(at + 0.2, "DESCRIBE", sent=True)
        other.flow.close(at + 0.3)
    return Truth(quiet_too=("rtsp-auth",), says={"rtsp-auth": r"10\.20\.0\.77"}, streams=PLAYED)


@scene
def a_stranger_locks_the_account_and_the_appliance_plays_on(wire: Wire) -> Truth:
    Reader(wire).start(0.2, SDP).film(0.6, 25)
    for number in range(4):
        at = 3.0 + 5 * number
        other = Reader(wire, 51_000 + number, **PHONE)
        other.flow.open(at)
        if number < 3:
            other.challenge(at + 0.1, "DESCRIBE")
            other.challenge(at + 0.2, "DESCRIBE", sent=True)
            other.flow.close(at + 0.3)
        else:
            other.pair(at + 0.1, "DESCRIBE", "403 Forbidden", auth=True)
            other.flow.close(at + 0.2)
    return Truth(streams=PLAYED, never=("rtsp-lockout",))
