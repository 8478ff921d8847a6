"""RTSP inside TLS: rtsp-error if no handshake succeeds, stream-frozen if data stopped."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.words import about, anchor_of, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.model.quantities import times
from panotui.state.camera import Camera
from panotui.state.camera_sealed import sealed_failure
from panotui.state.connects import recent

LIMITS = thresholds().cameras.sealed


class SealedRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            out.extend(_unopened(camera, facts))
            out.extend(_stopped(camera, facts))
        return out


def _unopened(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """Each handshake of the appliance fails, and it has no picture in another way."""
    found = sealed_failure(camera)
    if found is None:
        return
    target, attempt = found.target, found.attempt
    if not recent(attempt.last_ns, facts.now_ns, COMMON_LIMITS.stale_s):
        return
    if (
        target.client
        and facts.view.facts.appliance_addresses
        and not facts.is_appliance(target.client)
    ):
        return
    if any(
        s.dst == target.client and s.row.last_ns > attempt.first_ns
        for s in facts.camera_streams.get(camera.address, [])
    ):
        return
    if found.distrusted:
        action = (
            f"Install the CA certificate behind the certificate of {camera.name} on the reader, "
            "or read it over RTSP without encryption"
        )
    else:
        action = (
            f"Check that {camera.name} offers RTSPS on port {found.port} and update its firmware, "
            "or read it by RTSP without encryption"
        )
    count = len(target.failures)
    yield Observation(
        "rtsp-error", subject_of(camera), {**about(camera), "client": target.client},
        target.evidence, target.since_ns or attempt.first_ns, attempt.last_ns,
        detail=(attempt.words(),),
        text=f"Camera {camera.name} gives no picture over RTSPS on port {found.port}: "
             f"{found.text}, {times(count)}",
        action=action, camera=camera.address, key=f"{anchor_of(camera)}|TLS {found.port}",
    )  # fmt: skip


def _stopped(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """No more data inside an RTSPS connection that stays open."""
    last, now = camera.sealed_ns, facts.now_ns
    if not last or camera.sealed_over or last - camera.sealed_since_ns < LIMITS.flowed_ns:
        return
    if now - last < LIMITS.still_ns or now - last > COMMON_LIMITS.stale_s * SECOND:
        return
    yield Observation(
        "stream-frozen", subject_of(camera), about(camera),
        (evidence(last, camera.sealed_packet, "last data inside TLS"),), last, now, "possible",
        text=f"Camera {camera.name} is silent: nothing has come inside its RTSPS connection for "
             f"{(now - last) // SECOND} s, although it is open",
        action=f"Check whether the reader has paused {camera.name}; else restart the camera",
        camera=camera.address,
    )  # fmt: skip
