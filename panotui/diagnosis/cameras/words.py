"""How findings about cameras begin: whose they are, and what their sentences are filled with."""

from __future__ import annotations

from typing import TypedDict

from panotui.diagnosis.facts import Facts
from panotui.state.camera import Camera
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


def stream_subject(camera: Camera, stream: StreamState, siblings: int) -> str:
    """The camera; its sound or metadata apart from its picture where it has several streams."""
    media = media_of(stream.codec)
    extra = f" {media}" if siblings > 1 and media not in ("video", None) else ""
    return subject_of(camera) + extra


def reader_name(client: str, facts: Facts) -> str:
    """`the appliance (eth0)`, or the address."""
    port = facts.port_of(client)
    return f"the appliance ({port})" if port else client
