"""Whether a camera can be reached: next hop, SYN. camera-unreachable, camera-refused."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.lockout import lockout
from panotui.diagnosis.cameras.words import about, subject_of
from panotui.diagnosis.facts import LIMITS as COMMON_LIMITS
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.phrases import attempts
from panotui.diagnosis.thresholds import thresholds
from panotui.model import Confidence
from panotui.state.camera import Camera
from panotui.state.camera_state import LIMITS as CAMERA_STATE_LIMITS
from panotui.state.connects import recent
from panotui.state.ladder import syns

LIMITS = thresholds().cameras.reach


class ReachRule(Rule):
    """See the module."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            out.extend(_silent(camera, facts))
            out.extend(_refused(camera, facts))
        return out


def _silent(camera: Camera, facts: Facts) -> Iterable[Observation]:
    if not camera.arp_silent_ns and camera.syn_unanswered < CAMERA_STATE_LIMITS.unanswered_syns:
        return
    now = facts.now_ns
    values = about(camera)
    since = camera.arp_silent_ns or camera.syn_first_ns
    others = [
        c.name
        for c in facts.cameras.cameras.values()
        if c is not camera
        and (worked := max(c.media_ns, c.connected_ns)) >= since
        and recent(worked, now, LIMITS.control_s)
    ]
    detail = tuple(f"control: camera {o} answers" for o in others[:2])
    sureness: Confidence = "likely" if others else "possible"
    if camera.arp_silent_ns and camera.media_ns < camera.arp_silent_ns:
        yield Observation(
            "camera-unreachable", subject_of(camera),
            {**values, "detail": "ARP for it goes unanswered"},
            (evidence(camera.arp_silent_ns, camera.syn_packet, "ARP, no answer"),),
            camera.arp_silent_ns, now, "certain" if others else "likely",
            detail=(*detail, "it is off, unplugged or in another VLAN"),
            camera=camera.address,
        )  # fmt: skip
    elif camera.syn_unanswered >= CAMERA_STATE_LIMITS.unanswered_syns and recent(
        camera.syn_last_ns, now, COMMON_LIMITS.stale_s
    ):
        yield Observation(
            "camera-unreachable", subject_of(camera),
            {**values, "detail": f"{syns(camera.syn_unanswered)} unanswered"},
            (evidence(camera.syn_first_ns, camera.syn_packet, "SYN, no answer"),),
            camera.syn_first_ns, camera.syn_last_ns, sureness, detail=detail,
            camera=camera.address,
        )  # fmt: skip


def _refused(camera: Camera, facts: Facts) -> Iterable[Observation]:
    if not camera.resets or camera.reset_ns <= camera.connected_ns:
        return
    if not recent(camera.reset_ns, facts.now_ns, COMMON_LIMITS.stale_s):
        return
    seen = (evidence(camera.reset_ns, camera.reset_packet, "RST to SYN"),)
    how = "it now refuses connections"
    locked = lockout(camera, camera.reset_client, how, camera.reset_ns, seen, facts)
    if locked is not None:
        yield locked
        return
    yield Observation(
        "camera-refused", subject_of(camera), {**about(camera), "dport": str(camera.reset_port)},
        seen, camera.reset_ns, camera.reset_ns,
        detail=(
            attempts(camera.resets),
            'the appliance logs "Connection to server failed: Connection timed out (-115)"',
        ),
        camera=camera.address,
    )  # fmt: skip
