"""Data exchanged by the driver, the workers and the report: jobs, and lines of the index."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from panotui.wire.text import writable

FINDINGS_MOST = 64  # of one capture, in the index; all of them are in the lake


def told(name: str) -> str:
    """A place's name in writable form: a distinct text for each name, UTF-8 or not."""
    return writable(name.replace("\\", "\\\\"))


class Job(Struct, frozen=True):
    """One capture or recording to be analysed."""

    url: str  # as it is opened; its `told` form is in the index
    name: str  # its last part, the argument of the analysis
    site: str  # the site by its folder; the site file takes precedence
    size: int  # bytes; for a recording, of all its files
    stamp: str  # changes with the content, without reading it
    is_recording: bool = False
    site_file: str = ""  # its text; empty without one
    # lake files of older content of this place, to be removed when there is new content
    old_key: str = ""
    old_site: str = ""
    old_days: tuple[str, ...] = ()  # empty: unknown

    def site_hash(self) -> str:
        """Hash of the site file's text."""
        judged = f"{self.site}\0{self.site_file}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(judged).hexdigest()[:16]

    def entry(self, made_by: str) -> Entry:
        """A line of the index without data about the capture yet."""
        return Entry(
            url=told(self.url), size=self.size, stamp=self.stamp, site=self.site,
            site_hash=self.site_hash(), made_by=made_by,
        )  # fmt: skip


class Seen(Struct, frozen=True):
    """A finding of one capture, in the form that the report counts."""

    id: str
    severity: str
    subject: str
    text: str
    action: str
    is_open: bool
    maker: str = ""  # of the camera it is about
    software: str = ""  # that camera's server software


class Model(Struct, frozen=True):
    """Cameras of one maker and software in one capture."""

    maker: str
    software: str
    cameras: int


class Entry(Struct, frozen=True, omit_defaults=True):
    """A line of the index: the result of one capture."""

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
    error: str = ""  # one line; empty on success
    is_final: bool = False  # a retry gives the same error

    def because(self, why: str, is_final: bool = False) -> Entry:
        """The same place, without a result."""
        return msgspec.structs.replace(self, error=why, is_final=is_final)

    def is_done(self, job: Job) -> bool:
        """Whether `job` would give nothing new."""
        same = (self.size, self.stamp, self.site_hash) == (job.size, job.stamp, job.site_hash())
        return same and (not self.error or self.is_final)
