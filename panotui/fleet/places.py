"""The sources named by the user: folders, patterns, lists, `s3://...`; found by fsspec.

A capture's site is named after the first folder below its source, otherwise after the source
itself. The nearest `site.toml` above a capture, within its source, is its site file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import fsspec

from panotui.errors import CHECK, InputError, UsageError
from panotui.fleet.entries import Job, told
from panotui.recording.parts import DATABASE, is_capture_name
from panotui.wire.text import writable

SITE_FILE = "site.toml"
LIST_ENDING = ".list"
_MAGIC = frozenset("*?[")


def open_place(url: str) -> tuple[Any, str]:
    """(file system, path in it) of a folder or file; UsageError if it is not available."""
    try:
        lake, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(url, " ".join(str(error).split()), "Install panotui[fleet].") from None
    return lake, str(root).rstrip("/")


def jobs(sources: Iterable[str]) -> Iterator[Job]:
    """All captures and recordings of the sources, each once. InputError for a missing or empty
    source.
    """
    seen: set[str] = set()
    for source in sources:
        found = 0
        for job in _of(source):
            found += 1
            if job.url not in seen:
                seen.add(job.url)
                yield job
        if not found:
            raise InputError(source, "it contains no captures or recordings", "Check the name.")


def _of(source: str) -> Iterator[Job]:
    if source.endswith(LIST_ENDING):
        fs, path = open_place(source)
        try:
            text = fs.cat_file(path).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise InputError(source, _said(error), "Check the name.") from None
        lines = [line.strip() for line in text.splitlines()]
        yield from jobs(line for line in lines if line and not line.startswith("#"))
        return
    fs, path = open_place(source)
    try:
        if _MAGIC & set(path):
            fixed = PurePosixPath(*_before_magic(PurePosixPath(path).parts))
            listing = fs.glob(path, detail=True)
            files = {name: about for name, about in listing.items() if about["type"] == "file"}
            for name, about in listing.items():
                if about["type"] == "directory":
                    files.update(fs.find(name, detail=True))
            files.update(_site_files(fs, str(fixed), files))
            yield from _in(fs, str(fixed), files)
        elif fs.isfile(path):
            parent = str(PurePosixPath(path).parent)
            files = {path: fs.info(path)}
            files.update(_site_files(fs, parent, files))
            yield from _in(fs, parent, files)
        elif fs.isdir(path):
            within = path
            if fs.exists(f"{path}/{DATABASE}"):  # a recording itself
                within = str(PurePosixPath(path).parent)
            files = fs.find(path, detail=True)
            files.update(_site_files(fs, within, {f"{within}/x": {}}))
            yield from _in(fs, within, files)
        else:
            raise InputError(source, "does not exist", "Check the name.")
    except OSError as error:
        raise InputError(source, _said(error), CHECK) from None


def _before_magic(parts: tuple[str, ...]) -> list[str]:
    kept: list[str] = []
    for part in parts[:-1]:
        if _MAGIC & set(part):
            break
        kept.append(part)
    return kept


def _site_files(fs: Any, root: str, files: dict[str, Any]) -> dict[str, Any]:
    """Site files in the folders of `files` and above them up to `root`."""
    folders = {root}
    for name in files:
        folder = PurePosixPath(name).parent
        while str(folder) not in folders and len(str(folder)) > len(root):
            folders.add(str(folder))
            folder = folder.parent
    paths = (f"{folder}/{SITE_FILE}" for folder in folders)
    return {path: fs.info(path) for path in paths if fs.exists(path)}


def _in(fs: Any, root: str, files: dict[str, Any]) -> Iterator[Job]:
    """The jobs among files (path -> data from fsspec), by name."""
    texts = {
        str(PurePosixPath(name).parent): _site_text(fs, root, name)
        for name in files
        if PurePosixPath(name).name == SITE_FILE
    }
    recordings: dict[str, list[str]] = {}
    for name in files:
        if PurePosixPath(name).name == DATABASE:
            recordings[str(PurePosixPath(name).parent)] = []
    plain: list[str] = []
    for name in sorted(files):
        inside = next((str(p) for p in PurePosixPath(name).parents if str(p) in recordings), None)
        if inside is not None:
            recordings[inside].append(name)
        elif is_capture_name(PurePosixPath(name).name):
            plain.append(name)
    for name in sorted([*plain, *recordings]):
        parts = recordings.get(name)
        about = [files[part] for part in parts or [name]]
        text = next((texts[str(p)] for p in PurePosixPath(name).parents if str(p) in texts), "")
        yield Job(
            url=str(fs.unstrip_protocol(name)).removeprefix("file://"),
            name=PurePosixPath(name).name,
            site=site_name(text) or told(_folder_name(name, root)),
            size=sum(int(one["size"]) for one in about),
            stamp=_stamp(about, parts),
            is_recording=parts is not None,
            site_file=text,
        )


def _site_text(fs: Any, root: str, name: str) -> str:
    """A site file. Root follows no link below `root`, whoever changes the folders meanwhile."""
    if os.geteuid() != 0 or "file" not in fs.protocol:
        return str(fs.cat_file(name).decode("utf-8", "surrogateescape"))
    try:
        with os.fdopen(_opened(root, name), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(name, "it is no file", "Remove it.")
            return file.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        why = "it or its folder is a link, which root does not follow"
        raise InputError(name, why, "Put the file there.") from None


def _opened(root: str, name: str) -> int:
    """A descriptor of a file below a folder; OSError with ELOOP or ENOTDIR for a link."""
    plain = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    *folders, last = PurePosixPath(name).relative_to(root).parts
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, plain | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(last, plain | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def site_name(text: str) -> str:
    """The name of the site in a site file; empty without one, or for an invalid file."""
    try:
        name = tomllib.loads(text).get("site", {}).get("name", "")
    except (tomllib.TOMLDecodeError, AttributeError):
        return ""
    return writable(name) if isinstance(name, str) else ""


def _folder_name(name: str, root: str) -> str:
    below = PurePosixPath(name).relative_to(root).parts
    return below[0] if len(below) > 1 else PurePosixPath(root).name or "site"


def _stamp(about: list[Any], parts: list[str] | None) -> str:
    """The store's version of a content: an ETag, or a time of change."""
    said = [str(one.get("ETag") or one.get("mtime") or one.get("LastModified")) for one in about]
    if parts is None:
        return said[0]
    each = "\n".join(f"{n} {one['size']} {s}" for n, one, s in zip(parts, about, said, strict=True))
    return hashlib.sha256(each.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _said(error: OSError) -> str:
    return " ".join(str(error.strerror or error).split())[:200]
