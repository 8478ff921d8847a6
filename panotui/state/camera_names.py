"""The name of a camera: one name for one camera, everywhere.

The site file's name comes first; then the camera's own announcements (ONVIF, its lease, mDNS, the
title of its stream, unless that names software); otherwise its maker and the last part of its
address: `Dahua .108`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from panotui.state.camera import Camera
from panotui.state.vendors import vendor_of

# sources of a name; higher is better
NAMED_BY = {"address": 0, "maker": 1, "sdp": 2, "mdns": 3, "dhcp": 4, "discovery": 5, "site": 6}

# Legal forms in company names.
_FIRM = re.compile(
    r"(?i)\b(co|corp|corporation|inc|incorporated|ltd|limited|gmbh|ag|bv|llc|sa|ab|plc|technology|"
    r"technologies|tech|electronics|electronic|digital|communications|communication|systems|"
    r"system|international|group|company|hangzhou|zhejiang|shenzhen|security|video|vision|"
    r"networks|network|industries|industrial|of|the|and)\b\.?"
)
_SOFTWARE = (
    "streamed by", "streamed with", "live555", "rtsp", "rtp session", "h.264", "h264", "h.265",
    "hevc", "mpeg", "media server", "media presentation", "media stream", "session streamed",
    "gstreamer", "ffmpeg", "lavf", "vlc", "server", "realtime stream", "real time stream",
    "live stream", "streaming", "unicast", "multicast", "onvif",
)  # fmt: skip
_NOTHING = frozenset({
    "", "-", "no name", "noname", "unnamed", "untitled", "media", "stream", "session", "live",
    "video", "sdp", "camera", "ipcam", "ipcamera", "ip camera", "network camera", "none", "null",
    "description", "test",
})  # fmt: skip


def _bare(name: str) -> str:
    """Only its words, without numbers."""
    return re.sub(r"[\s\d.,:;/()#-]+", " ", _lowered(name)).strip()


def _lowered(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def names_nothing(name: str) -> bool:
    """A default name of the maker that all devices of its kind share (`IPCAM`)."""
    return _lowered(name) in _NOTHING or _bare(name) in _NOTHING


def names_software(title: str) -> bool:
    """An SDP title that does not identify the camera: defaults of servers and libraries."""
    if names_nothing(title) or not re.search(r"[^\W\d_]{2}", _bare(title)):
        return True
    return any(part in _lowered(title) for part in _SOFTWARE)


def maker_name(camera: Camera) -> str | None:
    """`Dahua .108`: the maker in one word, and the last part of the address."""
    said = camera.vendor_said or (vendor_of(camera.mac) if camera.mac else None)
    if not said:
        return None
    words = [w.strip(",.()") for w in _FIRM.sub(" ", said).replace(",", " ").split()]
    word = next((w for w in words if len(w) > 1 and not w.isdigit()), None)
    if word is None:
        return None
    separator = ":" if ":" in camera.address else "."
    return f"{word} {separator}{camera.address.rpartition(separator)[2]}"


def rename(camera: Camera, name: str, by: str, others: Iterable[Camera]) -> None:
    """Name a camera by a better source than before; names are unique."""
    if NAMED_BY[by] < NAMED_BY[camera.named_by] or name == camera.name:
        return
    if NAMED_BY[by] == NAMED_BY[camera.named_by] and by != "maker":
        return
    if any(other.name == name for other in others if other is not camera):
        name = f"{name} {camera.address}"
    camera.name, camera.named_by = name, by
