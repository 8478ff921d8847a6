"""RTSP inside TLS, on the ports that cameras use for it and on others."""

from __future__ import annotations

from tests.diagnosis.met.clothes import sealed
from tests.diagnosis.met.truth import Truth, scene
from tests.diagnosis.wire import CAMERA_MAC, ETH0, Wire, alert, client_hello, server_hello
from tests.made_up import APPLIANCE, CAMERA


def sealed_tries(wire: Wire, port: int, end: str, times: int = 4) -> None:
    for number in range(times):
        at = 0.2 + 8 * number
        flow = wire.tcp((ETH0, APPLIANCE, 46_000 + number), (CAMERA_MAC, CAMERA, port))
        flow.ttl_in = 64
        flow.open(at, 0.002)
        flow.send(at + 0.01, client_hello("10.20.0.11"))
        if end == "reset":
            flow.reset(at + 0.02)
            continue
        flow.answer(at + 0.02, server_hello())
        flow.send(at + 0.04, alert(48))
        flow.close(at + 0.05)


@scene
def reader_does_not_trust_the_cameras_certificate(wire: Wire) -> Truth:
    """RTSPS on 322: the handshake ends with the reader's alert 48."""
    sealed_tries(wire, 322, "alert")
    return Truth(("rtsp-error",), state="refused",
                 says={"rtsp-error": "does not trust its certificate"})  # fmt: skip


@scene
def camera_resets_each_tls_handshake(wire: Wire) -> Truth:
    sealed_tries(wire, 7441, "reset")
    return Truth(("rtsp-error",), state="refused",
                 of=(("rtsp-error", "dock"),))  # fmt: skip


@scene
def inside_tls_on_7441(wire: Wire) -> Truth:
    sealed(wire, 7441, 16)
    return Truth()


@scene
def inside_tls_on_7441_and_it_stops(wire: Wire) -> Truth:
    sealed(wire, 7441, 14)
    wire.quiet(14, 24)
    return Truth(("stream-frozen",), state="silent")


@scene
def certificate_is_put_right_after_half_a_minute(wire: Wire) -> Truth:
    sealed_tries(wire, 322, "alert")
    for frame in list(wire.frames):
        wire.frames.remove(frame)
        wire.frames.append((frame[0] - 35 * 10**9, *frame[1:]))
    sealed(wire, 322, 16)
    return Truth(("rtsp-error",), over=("rtsp-error",))
