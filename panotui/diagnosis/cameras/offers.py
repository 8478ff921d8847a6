"""What a camera offers, and who takes it: stream-codec, stream-multi-reader."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.words import about, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.site.facts import Who
from panotui.state.camera import Camera
from panotui.state.connects import recent
from panotui.state.streams import media_of

UNSUITED = {"H265": "H.265", "JPEG": "MJPEG", "MP4V-ES": "MPEG-4 part 2"}
LIMITS = thresholds().cameras.offers


class OfferRule(Rule):
    """See the module's text."""

    of_cameras = True

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            out.extend(_codec(camera, facts))
            out.extend(_readers(camera, facts))
        return out


def _codec(camera: Camera, facts: Facts) -> Iterable[Observation]:
    codecs = camera.sdp_codecs or tuple(
        dict.fromkeys(
            s.codec
            for s in facts.camera_streams.get(camera.address, [])
            if s.codec and media_of(s.codec) == "video" and s.dst != camera.address
        )
    )
    bare = _describes_no_video(camera, facts)
    if (not codecs and not bare) or "H264" in codecs:
        return
    offered = "only " + ", ".join(UNSUITED.get(c, c) for c in codecs) if codecs else "no video"
    yield Observation(
        "stream-codec", subject_of(camera), {**about(camera), "codec": offered},
        tuple(
            evidence(line.time_ns, line.packet, "SDP in the answer to DESCRIBE")
            for line in camera.dialogue
            if not line.from_client and line.text.startswith("200") and "DESCRIBE" in line.text
        )[-1:],
        action=None if codecs else
        f"Turn the video of this profile on in {camera.name}, or correct the path of its URL",
        camera=camera.address,
    )  # fmt: skip


def _describes_no_video(camera: Camera, facts: Facts) -> bool:
    """Its newest description, to the appliance or while that is not known, has no picture."""
    appliance = facts.view.facts.appliance_addresses
    described = [
        s
        for s in camera.sessions.values()
        if s.described_ns and (not appliance or s.client in appliance)
    ]
    newest = max(described, key=lambda s: s.described_ns, default=None)
    return newest is not None and not any(t.media == "video" for t in newest.tracks)


def _readers(camera: Camera, facts: Facts) -> Iterable[Observation]:
    appliance = facts.view.facts.appliance_addresses
    now = facts.now_ns
    readers: dict[str, int] = {}
    for session in camera.sessions.values():
        if session.play_ns and recent(session.ended_ns or now, now, LIMITS.read_lately_s):
            readers[session.client] = session.play_packet
    for stream in facts.camera_streams.get(camera.address, []):
        if stream.dst == camera.address:
            continue  # sound that a reader sends to the camera
        group = facts.view.who(stream.dst) & Who.MULTICAST
        if now - stream.row.last_ns < LIMITS.read_lately_s * SECOND and not group:
            readers.setdefault(stream.dst, stream.row.first_packet)
    local = {r: p for r, p in readers.items() if not facts.view.who(r) & Who.INTERNET}
    others = [r for r in local if r not in appliance]
    if not others or len(local) < 2:
        return
    yield Observation(
        "stream-multi-reader", subject_of(camera),
        {**about(camera), "readers": ", ".join(sorted(others)[:6])},
        tuple(evidence(now, local[r], f"read by {r}") for r in others[:4]),
        camera=camera.address,
    )  # fmt: skip
