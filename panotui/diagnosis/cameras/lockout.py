"""rtsp-lockout, which two steps can show: a port that closes, and a 403, after wrong passwords."""

from __future__ import annotations

from panotui.diagnosis.cameras.words import about, anchor_of, subject_of
from panotui.diagnosis.facts import Observation
from panotui.model import EvidenceRecord
from panotui.state.camera import Camera


def lockout(
    camera: Camera, detail: str, count: int, since_ns: int, seen: tuple[EvidenceRecord, ...]
) -> Observation:
    return Observation(
        "rtsp-lockout", subject_of(camera),
        {**about(camera), "detail": detail, "count": str(count)},
        seen, since_ns, seen[-1].time_ns if seen else since_ns, camera=camera.address,
        replaces=(f"rtsp-auth|{anchor_of(camera)}",),
    )  # fmt: skip
