"""Common parts of findings about cameras: their subject, and the values in their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from panotui.diagnosis.facts import Facts
from panotui.state.camera import Camera
from panotui.state.camera_streams import is_another_readers, label_of
from panotui.state.streams import StreamState, media_of


class About(TypedDict):
    stream: str
    camera: str


def about(camera: Camera) -> dict[str, str]:
    """The values that every sentence about a camera may use."""
    return {
        "camera": camera.name,
        "address": camera.address,
        "port": camera.port or "",
        "url": camera.url or "",
        "stream": "",
        "detail": "",
    }


def subject_of(camera: Camera) -> str:
    return f"camera {camera.name}"


def anchor_of(camera: Camera) -> str:
    """The anchor of findings about a camera: its name in the site file, else its address, because
    other names may change.
    """
    return subject_of(camera) if camera.declared else f"camera {camera.address}"


def whose(stream: StreamState, streams: Iterable[StreamState], facts: Facts) -> str:
    """Addition to the camera's name for one of several streams: ` (camera=3)` of its URL, ` (read
    by 10.0.0.7)` if that is not the appliance; else "".
    """
    parts = [label] if (label := label_of(stream, streams)) else []
    if is_another_readers(stream, facts.view.facts.appliance_addresses):
        parts.append(f"read by {stream.dst}")
    return f" ({', '.join(parts)})" if parts else ""


def stream_subject(camera: Camera, stream: StreamState, extra: str, siblings: int) -> str:
    """The camera and the text of `whose`; with the medium for audio or metadata if the camera has
    several streams.
    """
    return subject_of(camera) + _apart(stream, extra, siblings)


def stream_anchor(camera: Camera, stream: StreamState, extra: str, siblings: int) -> str:
    """The same for the anchor of findings about it."""
    return anchor_of(camera) + _apart(stream, extra, siblings)


def _apart(stream: StreamState, extra: str, siblings: int) -> str:
    media = media_of(stream.codec)
    return extra + (f" {media}" if siblings > 1 and media not in ("video", None) else "")


def anchor_in(
    camera: Camera, stream: StreamState, streams: Sequence[StreamState], facts: Facts
) -> str:
    """The anchor of findings about one of a camera's streams."""
    return stream_anchor(camera, stream, whose(stream, streams, facts), len(streams))


def reader_name(client: str, facts: Facts) -> str:
    """`the appliance (eth0)`, or the address."""
    port = facts.port_of(client)
    return f"the appliance ({port})" if port else client
