"""What a camera offers, and its readers: stream-codec, stream-multi-reader, rtsp-unfinished."""

from __future__ import annotations

from collections.abc import Iterable

from panotui.diagnosis.cameras.unfinished import unfinished
from panotui.diagnosis.cameras.words import about, subject_of
from panotui.diagnosis.facts import Facts, Observation, Rule, evidence
from panotui.diagnosis.thresholds import thresholds
from panotui.model import SECOND
from panotui.site.facts import Who
from panotui.state.camera import Camera
from panotui.state.camera_media import CODEC_NAMES, NEEDED, only, unsuited
from panotui.state.camera_session import Session
from panotui.state.camera_streams import is_another_readers
from panotui.state.connects import recent
from panotui.state.streams import StreamState, media_of

LIMITS = thresholds().cameras.offers


class OfferRule(Rule):
    """See the module."""

    of_cameras = True
    lasting = frozenset(("stream-codec", "stream-multi-reader"))

    def tick(self, facts: Facts) -> list[Observation]:
        out: list[Observation] = []
        for camera in facts.cameras.cameras.values():
            offer = list(_codec(camera, facts))
            out.extend(offer or unfinished(camera, facts))
            out.extend(_readers(camera, facts))
        return out


def _codec(camera: Camera, facts: Facts) -> Iterable[Observation]:
    """The offer to the appliance, or to anyone while the appliance is unknown."""
    appliance = facts.view.facts.appliance_addresses
    sessions = [s for s in camera.sessions.values() if not appliance or s.client in appliance]
    streams = facts.camera_streams.get(camera.address, [])
    offer = unsuited(sessions, bool(appliance))
    codecs: tuple[str, ...] = ()
    if offer is not None:
        codecs = offer.codecs
    elif not any(s.described_ns for s in sessions):
        codecs = tuple(
            dict.fromkeys(
                s.codec
                for s in streams
                if s.codec and media_of(s.codec) == "video" and s.dst != camera.address
                and not is_another_readers(s, appliance)
            )
        )  # fmt: skip
    if offer is None and (not codecs or NEEDED in codecs):
        yield from _otherwise(camera, sessions, streams)
        return
    yield Observation(
        "stream-codec", subject_of(camera),
        {**about(camera), "codec": only(codecs) if codecs else "no video"},
        (
            evidence(offer.session.described_ns, offer.session.described_packet,
                     "SDP in the answer to DESCRIBE"),
        ) if offer else tuple(
            evidence(s.row.first_ns, s.row.first_packet, f"first packet of {s.codec}")
            for s in streams if s.codec in codecs
        )[:1],
        action=None if codecs else
        f"Turn the video of this profile on in {camera.name}, or correct the path of its URL",
        camera=camera.address,
    )  # fmt: skip


def _otherwise(
    camera: Camera, sessions: list[Session], streams: list[StreamState]
) -> Iterable[Observation]:
    """Pictures of another codec than the description says, in a session that plays."""
    for session in sessions:
        if session.state != "playing" or not session.described_ns:
            continue
        said = {t.codec for t in session.tracks if t.media == "video" and t.codec}
        for stream in streams:
            row, codec = stream.row, stream.codec
            own = f"{stream.meter}-{row.session}" == session.key and not row.undeclared
            if not own or said != {NEEDED} or codec in (None, NEEDED) or row.end:
                continue
            if media_of(codec) != "video":
                continue
            name = CODEC_NAMES.get(codec, codec)
            yield Observation(
                "stream-codec", subject_of(camera), {**about(camera), "client": session.client},
                (
                    evidence(session.described_ns, session.described_packet,
                             "SDP in the answer to DESCRIBE: H.264"),
                    evidence(row.first_ns, row.first_packet, f"first packet of {name}"),
                ),
                text=f"Camera {camera.name} describes H.264 and sends {name}: a reader that "
                     "follows the description shows no picture",
                action=f"Set the profile of {camera.name} to H.264 again and restart the camera; "
                       "update its firmware if that does not help",
                camera=camera.address,
            )  # fmt: skip
            return


def _readers(camera: Camera, facts: Facts) -> Iterable[Observation]:
    appliance = facts.view.facts.appliance_addresses
    now = facts.now_ns
    readers: dict[str, int] = {}
    for session in camera.sessions.values():
        if session.play_ns and recent(session.ended_ns or now, now, LIMITS.read_lately_s):
            readers[session.client] = session.play_packet
    for stream in facts.camera_streams.get(camera.address, []):
        if stream.dst == camera.address:
            continue  # audio that a reader sends to the camera
        group = facts.view.who(stream.dst) & Who.MULTICAST
        if now - stream.row.last_ns < LIMITS.read_lately_s * SECOND and not group:
            readers.setdefault(stream.dst, stream.row.first_packet)
    local = {r: p for r, p in readers.items() if not facts.view.who(r) & Who.INTERNET}
    ours = facts.view.facts.appliance_macs  # also from an address that is not the site's
    others = [r for r in local if r not in appliance and facts.view.mac_at(r) not in ours]
    if not others or len(local) < 2:
        return
    yield Observation(
        "stream-multi-reader", subject_of(camera),
        {**about(camera), "readers": ", ".join(sorted(others)[:6])},
        tuple(evidence(now, local[r], f"read by {r}") for r in others[:4]),
        camera=camera.address,
    )  # fmt: skip
