"""Options shared by several commands, and their values: the site file, colour, `--fail-on`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from panotui.errors import UsageError
from panotui.model import Site, Snapshot

F = TypeVar("F", bound=Callable[..., Any])

EXIT_FOUND = 1
COMMANDS = (
    "live", "demo", "record", "attach", "review", "analyze", "report", "evidence", "days",
    "compare-captures", "baseline", "metrics", "fleet",
    "check", "policy", "init",
    "config", "service", "doctor",
)  # fmt: skip


def site_option(function: F) -> F:
    return click.option(
        "--site",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Site file (default: ./site.toml, then the user's configuration folder).",
    )(function)


def baseline_option(function: F) -> F:
    return click.option(
        "--baseline",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Report deviations from this file of `panotui baseline learn`.",
    )(function)


def common_options(function: F) -> F:
    """`-v` and `--no-color`, on every command."""
    function = click.option(
        "--no-color", is_flag=True, help="No colours (NO_COLOR in the environment does the same)."
    )(function)
    return click.option(
        "-v", "--verbose", is_flag=True, help="Say more; show where a fault happened."
    )(function)


def fail_on_option(function: F) -> F:
    return click.option(
        "--fail-on",
        type=click.Choice(["violation", "finding"]),
        multiple=True,
        help="Exit with 1 if there are violations, or findings that are warnings or errors.",
    )(function)


def ring_options(function: F) -> F:
    """`--ring` and `--snap`; `ring_sizes` reads them."""
    function = click.option(
        "--snap", type=int, default=256, show_default=True, metavar="BYTES",
        help="Bytes kept of bulk packets; control packets are kept whole.",
    )(function)  # fmt: skip
    return click.option(
        "--ring", default="32MiB", show_default=True, metavar="SIZE",
        help="Memory of all capture rings together; a larger ring bridges a busier machine.",
    )(function)  # fmt: skip


RING_LEAST, RING_MOST = 8 << 20, 1 << 30
SNAP_LEAST, SNAP_MOST = 160, 65_535  # headers, and the fields that identify streams


DURATION_MOST = 10 * 366 * 86_400.0  # seconds
SIZE_MOST = float(1 << 60)  # bytes, as many as any file system can count


def ring_sizes(ring: str, snap: int) -> tuple[int, int]:
    """(bytes of all rings, bytes of bulk packets); UsageError out of bounds."""
    size = size_bytes(ring)
    if not RING_LEAST <= size <= RING_MOST:
        raise UsageError(f"--ring {ring}", "it is not between 8MiB and 1GiB", "See --help.")
    if not SNAP_LEAST <= snap <= SNAP_MOST:
        raise UsageError(
            f"--snap {snap}", f"it is not between {SNAP_LEAST} and {SNAP_MOST}", "See --help."
        )
    return size, snap


def read_site(path: Path | None) -> tuple[Site, str, Path | None]:
    """The site, its text, and its path; an empty site without a file.

    Under sudo the calling user's own file is used, and only if that user owns it. SiteError (exit
    2) for a missing or invalid file.
    """
    from panotui.site.file import parse_site, read_text

    chosen = path if path is not None else _default_site()
    if chosen is None:
        return Site(), "", None
    if os.geteuid() == 0:
        from panotui.sources.live import deputy  # needs Linux; analyses on other systems do not

        text = read_text(chosen, deputy.read_file)
    else:
        text = read_text(chosen)
    return parse_site(text, str(chosen)), text, chosen


def _default_site() -> Path | None:
    from panotui.site.file import default_paths

    candidates = list(default_paths())
    invoker = os.environ.get("SUDO_UID") if os.geteuid() == 0 else None
    if invoker and invoker.isdigit():
        import pwd

        try:
            home = Path(pwd.getpwuid(int(invoker)).pw_dir)
            candidates.insert(1, home / ".config" / "panotui" / "site.toml")
        except KeyError:
            pass  # a user known only to another machine
    for candidate in candidates:
        try:
            owner = candidate.stat().st_uid
        except OSError:
            continue
        if invoker and invoker.isdigit() and owner not in (0, int(invoker)):
            continue
        if candidate.is_file():
            return candidate
    return None


def use_color(no_color: bool) -> bool:
    """Colour on stdout: on a terminal, unless switched off."""
    return not no_color and not os.environ.get("NO_COLOR") and sys.stdout.isatty()


def failure(fail_on: tuple[str, ...], snapshot: Snapshot) -> int:
    """The exit code according to `--fail-on`."""
    if "violation" in fail_on and snapshot.violations:
        return EXIT_FOUND
    if "finding" in fail_on and any(f.severity in ("warning", "error") for f in snapshot.findings):
        return EXIT_FOUND
    return 0


def duration_s(text: str) -> float:
    """`90`, `90s`, `8h`, `1h30m`, `2d` in seconds; UsageError otherwise, and for zero."""
    import re

    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number = r"[0-9]+(?:\.[0-9]+)?"
    if not re.fullmatch(rf"{number}|({number}[smhd])+", text):
        raise UsageError(
            f"duration {text}", "it is not a time such as 90s, 30m, 8h or 2d", "See --help."
        )
    seconds = sum(float(n) * units[u] for n, u in re.findall(rf"({number})([smhd]?)", text))
    if not 0 < seconds <= DURATION_MOST:
        raise UsageError(
            f"duration {text}", "it is not between a moment and ten years", "See --help."
        )
    return seconds


def size_bytes(text: str) -> int:
    """`2GB`, `500MB`, `1GiB` in bytes; UsageError otherwise."""
    import re

    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?)(i?)[bB]?", text)
    size = 0.0
    if match:
        base = 1024 if match[3] else 1000
        size = float(match[1]) * base ** ("", "K", "M", "G", "T").index(match[2].upper())
    if not 1 <= size <= SIZE_MOST:
        raise UsageError(
            f"size {text}", "it is not a size such as 500MB, 2GB or 1GiB", "See --help."
        )
    return int(size)
