"""Keeps files that the program reads late within reach after it gives up root.

Root may run a copy that only root can reach: a clone and a virtual environment under /root, or
files that a strict umask closed to others. A process therefore takes three steps, in this order:

1. `prepare_to_drop`, first of all: the folders that Python imports from are opened, and paths
   through those open handles replace the names. Their content stays reachable as far as its own
   modes allow, and nothing else of root's becomes reachable.

2. Before the drop, modules that the process certainly needs are imported, and its files are read or
   opened.

3. `load_out_of_reach`, last before the drop: modules that it may rarely need are imported as well,
   but only if the handles of step 1 do not help (it costs up to 0.4 s and 15 MB).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

HANDLES = "/proc/self/fd"

# `MODULE`, or `MODULE:FUNCTION` if more than the import is done late. For both processes: modules
# that the standard library imports on first use.
_LIBRARY = (
    "encodings.idna",
    "encodings.latin_1",
    "stringprep",
    "ipaddress",
    "_strptime",
    "zoneinfo",
)
SCREEN = (*_LIBRARY, "textual.messages")
COLLECTOR = (
    *_LIBRARY,
    "numpy.char",
    "numpy.ma",
    "tomlkit",
    "panotui.policy.queries.accept",
    "panotui.policy.queries.draft",
    "panotui.policy.judging.wording",
    "panotui.commands.keeping",
    "panotui.sources.live.ethtool",
    "panotui.recording.evidence_export",
    "panotui.recording.held_evidence",
    "panotui.telemetry.alerts",
    "panotui.telemetry.delivery",
    "panotui.telemetry.lines",
    "panotui.telemetry.live_export",
    "panotui.telemetry.syslog",
    "panotui.telemetry.webhook",
    "panotui.diagnosis.cameras.statuses:statuses",
    "panotui.diagnosis.catalogue:alerts",
    "panotui.state.vendors:load",
    "panotui.wire.linkcontrol:load",
    "panotui.meter.control.dissectors:load",
)
# For commands that read captures and recordings, or use the network.
READING = (
    *COLLECTOR,
    "panotui.commands.input",
    "panotui.commands.rehearse",
    "panotui.compare.comparison",
    "panotui.compare.matching",
    "panotui.compare.words",
    "panotui.commands.summary",
    "panotui.diagnosis.catalogue:catalogue",
    "panotui.engine.engine",
    "panotui.engine.events:event_specs",
    "panotui.feed.collector",
    "panotui.meter.control.dissectors:load",
    "panotui.policy.queries.diff",
    "panotui.policy.queries.export_csv",
    "panotui.policy.queries.export_mud",
    "panotui.policy.queries.export_nftables",
    "panotui.policy.queries.firewall_text",
    "panotui.policy.queries.rejudge",
    "panotui.policy.rules:policy_file",
    "panotui.site.names:aws_ranges",
    "panotui.recording.evidence",
    "panotui.recording.minutes",
    "panotui.recording.reader",
    "panotui.recording.unusual",
    "panotui.report.analysis",
    "panotui.report.columns_csv",
    "panotui.report.comparison:_css",
    "panotui.report.comparison:_template",
    "panotui.report.markdown",
    "panotui.report.content:_owners",
    "panotui.report.content:glossary",
    "panotui.report.page:_css",
    "panotui.report.page:_template",
    "panotui.report.parquet",
    "panotui.report.part",
    "panotui.report.redacted",
    "panotui.report.story",
    "panotui.report.wording",
    "panotui.runtime.packet_keeper",
    "panotui.runtime.packet_keeper",
    "panotui.runtime.pump",
    "panotui.runtime.side_by_side",
    "panotui.sources.files.source",
    "panotui.telemetry.eve",
    "panotui.telemetry.zeek",
    "panotui.views.masking",
    "panotui.views.narrowing",
    "zstandard",
)
REVIEW = (
    *READING,
    "panotui.commands.explain",
    "panotui.recording.rejudged",
    "panotui.tui.app",
    "panotui.tui.comparison",
    "panotui.views.comparison",
    "panotui.views.review",
    *SCREEN,
)
CHECK = (
    *_LIBRARY,
    "cryptography.x509.oid",
    "dns.resolver",
    "ntplib",
    "panotui.report.objects",
    "panotui.probes.plan",
    "panotui.probes.run",
    "panotui.wire.text",
    "psutil",
    "ssl",
)


def prepare_to_drop() -> None:
    """Call it first in a process that will drop privileges: modules imported afterwards know their
    own files by names that stay reachable.
    """
    if os.geteuid() == 0:
        from panotui.sources.live import privileges

        keep_readable(*privileges.target())


def load_out_of_reach(late: Sequence[str]) -> list[str]:
    """Import now those of `late` whose files could not be read after the drop; returns their names.

    Does nothing unless this is root about to become another user.
    """
    if os.geteuid() != 0:
        return []
    from panotui.sources.live import privileges

    uid, gid = privileges.target()
    loaded = [] if uid == 0 else [name for name in late if not _stays_readable(name, uid, gid)]
    for name in loaded:
        module, _, function = name.partition(":")
        found = importlib.import_module(module)
        if function:
            getattr(found, function)()
    return loaded


def drop_privileges(late: Sequence[str]) -> None:
    """Give up root and every capability, after loading those `late` modules that would be out of
    reach; nothing to give up is fine. Call `prepare_to_drop` before.
    """
    load_out_of_reach(late)
    from panotui.sources.live import privileges

    privileges.drop()


def keep_readable(uid: int, gid: int) -> int:
    """Open handles for the import folders that (uid, gid) could not reach; returns their number.

    Does nothing unless this is root about to become another user.
    """
    if os.geteuid() != 0 or uid == 0 or not Path(HANDLES).exists():
        return 0
    changed: dict[str, str] = {}
    for entry in dict.fromkeys(_folders()):
        if entry.startswith(HANDLES) or is_readable(entry, uid, gid):
            continue
        if not _allows(Path(entry), uid, gid):
            continue  # a handle does not help: the folder itself is closed
        try:
            handle = os.open(entry, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue  # a zip or a missing folder
        changed[entry] = f"{HANDLES}/{handle}"
    if changed:
        _rename(changed)
    return len(changed)


def is_readable(path: str, uid: int, gid: int) -> bool:
    """Whether (uid, gid) may search every folder on the way to `path`, and read the file or folder.

    A path through one of our handles begins at the handle.
    """
    place = Path(path)
    way = [place, *place.parents]
    if path.startswith(HANDLES + "/"):
        way = way[: len(place.parts) - len(Path(HANDLES).parts)]
    return all(_allows(part, uid, gid) for part in way)


def _folders() -> Iterable[str]:
    """The folders from which modules are imported: the search path, and loaded packages."""
    for entry in sys.path:
        yield entry or os.getcwd()
    yield str(Path(__file__).resolve().parents[2])
    for name, module in list(sys.modules.items()):
        if "." not in name:
            yield from map(str, getattr(module, "__path__", None) or ())


def _allows(path: Path, uid: int, gid: int) -> bool:
    """Whether the mode of `path` itself lets (uid, gid) search the folder or read the file."""
    try:
        status = path.stat()
    except OSError:
        return True  # missing: nothing to reach
    wanted = stat.S_IXUSR if stat.S_ISDIR(status.st_mode) else stat.S_IRUSR
    if status.st_uid == uid:
        return bool(status.st_mode & wanted)
    if status.st_gid == gid:
        return bool(status.st_mode & wanted >> 3)
    return bool(status.st_mode & wanted >> 6)


def _stays_readable(name: str, uid: int, gid: int) -> bool:
    """Whether the package (or single module) that contains `name` can be read after the drop."""
    module, _, function = name.partition(":")
    if not function and module in sys.modules:
        return True
    spec = importlib.util.find_spec(module.partition(".")[0])
    origin = None if spec is None else spec.origin
    return origin is None or not os.path.isabs(origin) or is_readable(origin, uid, gid)


def _rename(changed: dict[str, str]) -> None:
    # The longest first: site-packages lies below the standard library.
    order = sorted(changed, key=len, reverse=True)

    def renamed(path: str) -> str:
        for old in order:
            if path == old or path.startswith(old + "/"):
                return changed[old] + path[len(old) :]
        return path

    sys.path[:] = [renamed(entry or os.getcwd()) for entry in sys.path]
    for module in list(sys.modules.values()):
        search = getattr(module, "__path__", None)
        if isinstance(search, list):
            search[:] = [renamed(str(path)) for path in search]
    sys.path_importer_cache.clear()
