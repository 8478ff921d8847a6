"""RTSP inside TLS: a camera's port on which the handshake never gets done, and why.

What is said inside is not seen; that a reader gets no farther than the handshake is.
"""

from __future__ import annotations

from msgspec import Struct

from panotui.state.camera import Camera
from panotui.state.connects import Attempts
from panotui.state.ladder import SYN, Attempt

# TLS alerts by which a side turns the other's certificate down (RFC 8446 6.2)
_OF_CERTIFICATES = frozenset((42, 43, 44, 45, 46, 48))


class SealedFailure(Struct, frozen=True):
    """One port, and what keeps its readers from getting in."""

    port: int
    target: Attempts
    attempt: Attempt  # the newest
    text: str
    distrusted: bool  # the reader turns the camera's certificate down


def sealed_failure(camera: Camera) -> SealedFailure | None:
    """The port whose newest handshake failed, while none is done any more; None: none."""
    found = None
    for port, target in camera.sealed_tries.items():
        attempt = target.failing
        if attempt is None or attempt.passed < SYN or attempt.how == "http":
            continue
        if found is None or attempt.first_ns > found.attempt.first_ns:
            text, distrusted = _words(attempt)
            found = SealedFailure(port, target, attempt, text, distrusted)
    return found


def _words(attempt: Attempt) -> tuple[str, bool]:
    alert = attempt.alert
    if alert is not None and alert.code:
        said = f"(TLS alert {alert.code})"
        if alert.from_client and alert.code in _OF_CERTIFICATES:
            return f"its reader does not trust its certificate {said}", True
        side = "its reader" if alert.from_client else "it"
        return f"{side} ends the handshake {said}", False
    if attempt.distrusts:
        return "its reader leaves as soon as it has seen the certificate", True
    how = {
        "reset": "it resets the connection in the handshake",
        "closed": "it closes the connection in the handshake",
        "left": "its reader leaves in the handshake",
    }.get(attempt.how, "it does not go on with the handshake")
    return how, False
