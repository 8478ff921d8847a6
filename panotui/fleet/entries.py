"""What the driver, the workers and the report tell each other: jobs, and lines of the index."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from panotui.wire.text import writable

FINDINGS_MOST = 64  # of one capture, in the index; all of them are in the lake


def told(name: str) -> str:
    """A place's name as it can be written down: another text for each name, UTF-8 or not."""
    return writable(name.replace("\\", "\\\\"))


class Job(Struct, frozen=True):
    """One capture or recording to be analysed."""

    url: str  # as it is opened; `told` of it is in the index
    name: str  # its last part, which the analysis is called with
    site: str  # what the folder calls the site; the site file may know better
    size: int  # bytes; of a recording, of all its files
    stamp: str  # changes with the content, without reading it
    is_recording: bool = False
    site_file: str = ""  # its text; empty without one
    # what an older content of this place has in the lake, to be removed when there is a new one
    old_key: str = ""
    old_site: str = ""
    old_days: tuple[str, ...] = ()  # none: not known

    def site_hash(self) -> str:
        """Of what the capture is judged by."""
        judged = f"{self.site}\0{self.site_file}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(judged).hexdigest()[:16]

    def entry(self, made_by: str) -> Entry:
        """A line of the index that says nothing yet of what is in the capture."""
        return Entry(
            url=told(self.url), size=self.size, stamp=self.stamp, site=self.site,
            site_hash=self.site_hash(), made_by=made_by,
        )  # fmt: skip


class Seen(Struct, frozen=True):
    """A finding of one capture, as the report counts it."""

    id: str
    severity: str
    subject: str
    text: str
    action: str
    is_open: bool
    maker: str = ""  # of the camera it is about
    software: str = ""  # what that camera says of its server


class Model(Struct, frozen=True):
    """Cameras of one maker and software in one capture."""

    maker: str
    software: str
    cameras: int


class Entry(Struct, frozen=True, omit_defaults=True):
    """A line of the index: what became of one capture."""

    url: str
    size: int
    stamp: str
    site: str
    site_hash: str  # of the site file it was judged by
    made_by: str
    sha256: str = ""
    key: str = ""
    first_time: str = ""
    last_time: str = ""
    packets: int = 0
    bytes: int = 0
    days: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    findings: tuple[Seen, ...] = ()
    findings_left_out: int = 0
    models: tuple[Model, ...] = ()
    cpu_s: float = 0.0  # of the analysis
    error: str = ""  # one line; empty where all went well
    is_final: bool = False  # trying again gives the same error

    def because(self, why: str, is_final: bool = False) -> Entry:
        """The same place, that gave no answer."""
        return msgspec.structs.replace(self, error=why, is_final=is_final)

    def is_done(self, job: Job) -> bool:
        """Whether `job` would tell nothing new."""
        same = (self.size, self.stamp, self.site_hash) == (job.size, job.stamp, job.site_hash())
        return same and (not self.error or self.is_final)
