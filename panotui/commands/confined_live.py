"""The confinement of a collector and a screen after they have given up every privilege (see
`landlock`).

Both read bytes from hostile senders, for months. They may read the program's own files and write
where their output goes; nothing else can be opened, even if the user could. Each function prepares
a domain while there are rights to see the program's files. Call `landlock.enter` after the drop,
when everything else is open, and before the first thread: a domain is per thread.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from panotui.commands.confinement import DEVICES, NETWORK
from panotui.site.file import default_paths
from panotui.sources.live import deputy, landlock

SYSFS = ("/sys/class/net", "/sys/devices")  # state of interfaces
# What the OpenTelemetry SDK and the HTTP client under it read by name.
FOR_SENDING = (
    *(f"OTEL_EXPORTER_OTLP_{kind}{what}"
      for kind in ("", "METRICS_", "LOGS_")
      for what in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")),
    "NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
# Meters and a collector were started before, and are ended by signals; these have no process.
ALONE = landlock.ABSTRACT_SOCKETS | landlock.SIGNALS
CREATE = landlock.MAKE_REG | landlock.WRITE_FILE


def of_recorder(
    folder: Path, spare: tuple[Path, int] | None, socket_file: Path, *, network: bool
) -> int:
    """It writes to its `folder` and to the `spare` one (its name, a handle), and removes its socket
    and an unused spare folder.
    """
    places: list[tuple[Path | str, int]] = [
        (folder, landlock.WRITE),
        (socket_file.parent, landlock.REMOVE_FILE),
    ]
    if spare is not None:
        name, handle = spare
        places.append((f"/proc/self/fd/{handle}", landlock.WRITE))
        places.append((name.parent, landlock.REMOVE_DIR))
    return _domain(places, network=network)


def of_collector(*, network: bool = False) -> int:
    """It writes the user's exports: new files in the folder where the program was started, or
    beside temporary files if the dropped user may not write there.
    """
    here = Path.cwd()
    with deputy.acting():
        fits = os.access(here, os.W_OK | os.X_OK, effective_ids=True)
        place = here if fits else Path(tempfile.gettempdir())
    return _domain([(place, CREATE)], network=network)


def of_screen() -> int:
    """It writes what it remembers between two starts."""
    from panotui.tui.remembered import folder  # only with the screen

    places: list[tuple[Path | str, int]] = []
    try:
        with deputy.acting():
            places.append((folder(), landlock.WRITE))
    except (OSError, RuntimeError):
        pass  # nothing can be remembered
    return _domain(places)


def of_metrics(*, network: bool) -> int:
    """It writes nothing, and its port is bound before; `network`: it also sends, and reads the
    files named for that: certificates, passwords.
    """
    places: list[tuple[Path | str, int]] = []
    if network:
        with deputy.acting():
            named = [Path.home() / ".netrc", *(os.environ.get(name) for name in FOR_SENDING)]
        places = [(place, landlock.READ) for place in named if place]
    return _domain(places, network=network, scopes=ALONE)


def of_analysis(source: Path, site: Path | None, temporary: Path) -> int:
    """It reads one capture or recording and a site file, and writes to open descriptors; temporary
    files go to a folder of its own.
    """
    # a reader of a recording that is being written takes locks in a file beside it
    locks = landlock.WRITE_FILE | landlock.MAKE_REG if source.is_dir() else 0
    sites = default_paths() if site is None else (site,)
    return _domain(
        [
            (source, landlock.READ | locks),
            (temporary, landlock.WRITE),
            *((one, landlock.READ) for one in sites),
        ],
        scopes=ALONE,
    )


def _domain(
    places: Iterable[tuple[Path | str, int]],
    *,
    network: bool = False,
    scopes: int = landlock.ABSTRACT_SOCKETS,
) -> int:
    """The program's own files and `places` (folder, rights); `network`: TCP connections, and the
    files for host lookups; `scopes`: restrictions towards outside processes.
    """
    with deputy.acting():
        tempfile.gettempdir()  # a test write decides, which is impossible later
    needed: list[tuple[Path | str, int]] = [
        (place, landlock.READ) for place in (*landlock.own_places(), *SYSFS)
    ]
    needed += [(place, landlock.READ_FILE | landlock.WRITE_FILE) for place in DEVICES]
    if network:
        needed += [(place, landlock.READ) for place in NETWORK]
    return landlock.domain([*needed, *places], tcp=network, scopes=scopes)
