"""Whose streams of a camera these are: the appliance's own or another reader's, still wanted or
not; and labels for the pictures of a camera with several.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from panotui.state.camera import Camera
from panotui.state.camera_session import Session
from panotui.state.streams import StreamState, media_of
from panotui.wire.protocols import UDP

LABEL_MAX = 40
_USUAL_PORT = re.compile(r"(?i)^(rtsp://[^/?]*):554(?=[/?]|$)")


@lru_cache(4_096)
def is_group(address: str) -> bool:
    """A multicast address: its streams are for everyone."""
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


def own_sessions(camera: Camera, appliance: Iterable[str]) -> list[Session]:
    """The appliance's connections; everyone's while the appliance is unknown or was not seen
    here.
    """
    known = frozenset(appliance)
    sessions = list(camera.sessions.values())
    own = [s for s in sessions if s.client in known]
    return own or sessions


def own_streams(
    camera: Camera, streams: Sequence[StreamState], appliance: Iterable[str]
) -> list[StreamState]:
    """Those of the camera's streams that go to the appliance, if it reads the camera or has tried
    to.
    """
    known = frozenset(appliance)
    asks = any(s.client in known for s in camera.sessions.values())
    if not asks and not any(s.dst in known for s in streams):
        return list(streams)
    return [s for s in streams if s.dst in known or is_group(s.dst)]


def is_another_readers(stream: StreamState, appliance: Iterable[str]) -> bool:
    """The stream goes to another reader than the appliance, which is known."""
    known = frozenset(appliance)
    return bool(known) and stream.dst not in known and not is_group(stream.dst)


def loss_behind(stream: StreamState, now_ns: int) -> float | None:
    """The share of packets that the only reader of a stream reports as lost, if they pass here."""
    share = stream.reports.loss(now_ns) if stream.row.transport == UDP else None
    if share is None or is_group(stream.dst):
        return None
    here = stream.loss_now(now_ns) or 0.0
    # else most of it is lost before this point
    return share if share - here >= here else None


def let_go(camera: Camera, stream: StreamState, session: Session | None) -> bool:
    """Nobody waits for a stream any more that has come to an end."""
    last_ns = stream.row.last_ns
    if session is None:  # it began before the capture
        return _plays_anew(camera, None, stream.dst, stream.url, last_ns)
    if session.let_go_ns or session.torn_down_ns:
        return True
    if last_ns <= session.began_ns:
        return True  # it belongs to a session before this one, in the same connection
    if session.ended and session.ended_ns - last_ns <= stream.patience_ns:
        return True  # it ended with its connection
    return _plays_anew(camera, session, session.client, session.url, last_ns)


def given_up(camera: Camera, stream: StreamState, session: Session | None) -> bool:
    """Its reader took leave of a picture because nothing came any more; nobody has got one from
    the camera since then, and nobody has tried again: what comes of a try is told by itself.
    """
    if session is None or stream.paused or stream.superseded or session.state == "paused":
        return False
    last_ns = stream.row.last_ns
    left_ns = session.let_go_ns or session.torn_down_ns
    return (
        left_ns - last_ns > stream.patience_ns
        and media_of(stream.codec) in ("video", None)
        and max(camera.media_ns, camera.pictures_ns, camera.sealed_ns) <= last_ns
        and not (camera.syn_unanswered and camera.syn_last_ns > left_ns)
        and not any(s.url and s.opened_ns > left_ns for s in camera.sessions.values())
        and not _plays_anew(camera, session, session.client, None, last_ns)
    )


def _plays_anew(
    camera: Camera, session: Session | None, client: str, url: str | None, since_ns: int
) -> bool:
    """The reader has requested the same picture since then, in another session; `url` None: its URL
    is unknown.
    """
    return any(
        other is not session
        and other.client == client
        and other.play_ns > since_ns
        and (url is None or place_of(other.url) == place_of(url))
        for other in camera.sessions.values()
    )


def label_of(stream: StreamState, streams: Iterable[StreamState]) -> str:
    """What separates this picture from the camera's others: `camera=3` in their URLs, otherwise the
    name of its track; "" without either.
    """
    own = _whole_url(stream)
    if not own:
        return ""
    others = {url for s in streams if (url := _whole_url(s)) and url != own}
    return _difference(own, frozenset(others)) if others else ""


def place_of(url: str | None) -> str:
    """A URL without optional parts: the default port, a slash at the end."""
    return _USUAL_PORT.sub(r"\1", url or "").rstrip("/")


def _whole_url(stream: StreamState) -> str:
    """The URL of a picture with its track; "" for other tracks."""
    if not stream.url or media_of(stream.codec) not in ("video", None):
        return ""
    return f"{place_of(stream.url)}/{stream.control.rstrip('/').rpartition('/')[2]}"


@lru_cache(1_024)
def _difference(url: str, others: frozenset[str]) -> str:
    common = [frozenset(_parts(other)) for other in others]
    own = [p for p in _parts(url) if not all(p in parts for parts in common)]
    return own[-1][:LABEL_MAX] if own else ""


def _parts(url: str) -> list[str]:
    _, _, path = re.sub(r"^\w+://", "", url).partition("/")
    return [part for part in re.split(r"[/?&]", path) if part]
