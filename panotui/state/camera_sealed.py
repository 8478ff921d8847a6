"""RTSP inside TLS: a camera's port on which no handshake succeeds, and why.

The encrypted dialogue is not visible, but a reader that never gets past the handshake is.
"""

from __future__ import annotations

from msgspec import Struct

from panotui.state.camera import Camera
from panotui.state.connects import Attempts
from panotui.state.ladder import SYN, Attempt

# TLS alerts by which a side rejects the other's certificate (RFC 8446 6.2)
_OF_CERTIFICATES = frozenset((42, 43, 44, 45, 46, 48))


class SealedFailure(Struct, frozen=True):
    """One port, and the reason why its readers fail."""

    port: int
    target: Attempts
    attempt: Attempt  # the newest
    text: str
    distrusted: bool  # the reader rejects the camera's certificate


def sealed_failure(camera: Camera) -> SealedFailure | None:
    """The port whose newest handshake failed, with no success since; None without one."""
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
