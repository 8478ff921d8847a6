"""Passwords that were changed, and cameras that then lock somebody out."""

from __future__ import annotations

from tests.diagnosis.camera_maker import Film, Reader, description, media_line
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, Wire, arp_packet
from tests.made_up import CAMERA

SDP = description(media_line())
RECORDER = {
    "client": "10.20.0.77", "client_mac": "02:00:00:00:07:77", "agent": "go2rtc",
}  # fmt: skip


def played(wire: Wire, until: float = 12.0) -> None:
    """The appliance has its picture, and the camera ends the session then."""
    reader = Reader(wire).start(0.2, SDP)
    reader.film(0.6, until)
    reader.flow.close(until, by_server=True)


def refused(wire: Wire, at: float, number: int, **who: str) -> None:
    """A connection whose password is refused."""
    reader = Reader(wire, 41_000 + number, **who)  # type: ignore[arg-type]
    reader.flow.open(at)
    reader.challenge(at + 0.1, "DESCRIBE")
    reader.challenge(at + 0.2, "DESCRIBE", sent=True)
    reader.flow.close(at + 0.3)


def forbidden(wire: Wire, at: float, number: int) -> None:
    reader = Reader(wire, 41_000 + number)
    reader.flow.open(at)
    reader.pair(at + 0.1, "DESCRIBE", "403 Forbidden", auth=True)
    reader.flow.close(at + 0.3)


@scene
def password_changed_then_the_reader_is_locked_out(wire: Wire) -> Truth:
    """It plays; the password is changed; three tries are refused, then each with 403."""
    played(wire)
    for number in range(3):
        refused(wire, 14 + 4 * number, number)
    for number in range(3, 6):
        forbidden(wire, 14 + 4 * number, number)
    return Truth(
        ("rtsp-lockout",), state="refused",
        says={"rtsp-lockout": r"password of camera .* was changed: it still accepted the old one "
              r"at [\d:]+ UTC, has refused it 3 times since [\d:]+ UTC, and now locks"},
        never=("rtsp-auth", "rtsp-closed", "camera-reboot", "stream-frozen"),
    )  # fmt: skip


@scene
def password_changed_then_the_camera_cuts_connections(wire: Wire) -> Truth:
    played(wire)
    for number in range(3):
        refused(wire, 14 + 4 * number, number)
    for number in range(3, 6):
        reader = Reader(wire, 41_000 + number)
        reader.flow.open(14 + 4 * number)
        reader.ask(14.1 + 4 * number, "DESCRIBE")
        reader.flow.reset(14.11 + 4 * number)
    return Truth(
        ("rtsp-lockout",), state=None,
        says={"rtsp-lockout": "was changed.*cuts connections"},
        never=("rtsp-auth", "rtsp-closed", "rtsp-silent"),
    )  # fmt: skip


@scene
def password_changed_then_the_camera_closes_its_port(wire: Wire) -> Truth:
    """The whole host of the reader is banned: its SYN is answered with RST."""
    played(wire)
    for number in range(3):
        refused(wire, 14 + 4 * number, number)
    for number in range(3, 7):
        flow = Reader(wire, 41_000 + number).flow
        flow.segment(14 + 4 * number, True, 2)
        flow.segment(14.001 + 4 * number, False, 0x14)
    return Truth(
        ("rtsp-lockout",), state="refused",
        says={"rtsp-lockout": "was changed.*refuses connections"},
        never=("rtsp-auth", "rtsp-closed", "camera-refused"),
    )  # fmt: skip


@scene
def password_changed_and_no_lock_yet(wire: Wire) -> Truth:
    played(wire)
    for number in range(2):
        refused(wire, 14 + 8 * number, number)
    return Truth(
        ("rtsp-auth",), state="refused",
        says={"rtsp-auth": r"that it still accepted at [\d:]+ UTC \(refused 2 times since\)"},
        never=("rtsp-lockout",),
    )  # fmt: skip


@scene
def locked_by_a_recorder_with_the_old_password(wire: Wire) -> Truth:
    """The appliance knows the new one; a recorder tries the old one, and the account is locked."""
    for number in range(5):
        refused(wire, 1 + 2 * number, 100 + number, **RECORDER)
    for number in range(4):
        forbidden(wire, 12 + 5 * number, number)
    return Truth(
        ("rtsp-lockout",), state="refused",
        says={"rtsp-lockout": r"turns the appliance.* away.*password of 10\.20\.0\.77 5 times"},
    )  # fmt: skip


def turned_away(wire: Wire, at: float, number: int) -> None:
    """The appliance's SYN is answered with RST."""
    flow = Reader(wire, 41_000 + number).flow
    flow.segment(at, True, 2)
    flow.segment(at + 0.001, False, 0x14)


@scene
def port_refuses_while_a_recorder_has_a_wrong_password(wire: Wire) -> Truth:
    """The camera's server is off: the passwords of another host explain no closed port."""
    played(wire)
    for number in range(5):
        refused(wire, 1 + 2 * number, 100 + number, **RECORDER)
    for number in range(4):
        turned_away(wire, 14 + 4 * number, number)
    return Truth(
        ("camera-refused", "rtsp-closed"), state="refused", never=("rtsp-lockout",)
    )  # fmt: skip


@scene
def camera_restarts_after_wrong_passwords_of_the_appliance(wire: Wire) -> Truth:
    """A recorder plays until the camera starts anew; its server listens later than it has its
    address. Nobody is locked out.
    """
    reader = Reader(wire, 42_000, **RECORDER).start(0.2, SDP)  # type: ignore[arg-type]
    reader.film(0.6, 24)
    for number in range(2):
        refused(wire, 14 + 4 * number, number)
    reader.flow.close(24, by_server=True)
    wire.add(33, arp_packet(1, CAMERA_MAC, CAMERA, CAMERA))
    for number in range(2, 6):
        turned_away(wire, 26 + 4 * number, number)
    return Truth(("camera-reboot",), allowed=("rtsp-auth",), state=None, never=("rtsp-lockout",))


@scene
def password_is_put_right_and_the_lock_goes(wire: Wire) -> Truth:
    played(wire)
    for number in range(3):
        refused(wire, 14 + 2 * number, number)
    forbidden(wire, 21, 3)
    forbidden(wire, 25, 4)
    Reader(wire, 42_000).start(40, SDP).film(40.5, 58, Film(ssrc=0x77))
    return Truth(("rtsp-lockout",), over=("rtsp-lockout",))


@scene
def forbidden_and_nobody_sent_a_wrong_password(wire: Wire) -> Truth:
    """403 from the first try: a right of the user that is missing, no lock."""
    for number in range(4):
        forbidden(wire, 1 + 5 * number, number)
    return Truth(("rtsp-error",), state="refused", never=("rtsp-lockout",),
                 says={"rtsp-error": "403"})  # fmt: skip
