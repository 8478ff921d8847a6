"""Which interfaces to capture on when the command line names none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from panotui.errors import InterfaceError, UsageError
from panotui.model import Site

_NET = Path("/sys/class/net")
AT_MOST = 2


def chosen(named: Sequence[str], site: Site, commands: Sequence[str] = ()) -> list[str]:
    """The named interfaces, else those that the site file maps, else the up, physical ones.

    UsageError for too many or for what looks like a mistyped command, InterfaceError when one does
    not exist or none is up.
    """
    names = list(dict.fromkeys(named)) or [p.interface for p in site.ports.values() if p.interface]
    if not names:
        names = physical_up()[:AT_MOST]
        if not names:
            raise InterfaceError(
                "interfaces", "no physical interface is up here", "Name one: `panotui live eth0`."
            )
    if len(names) > AT_MOST:
        raise UsageError("interfaces", f"at most {AT_MOST} are watched at once", "Name fewer.")
    for name in names:
        if not (_NET / name).exists() or "/" in name or name in (".", ".."):
            raise _missing(name, commands)
    return [str(name) for name in names]


def _missing(name: str, commands: Sequence[str]) -> Exception:
    if Path(name).exists():
        return UsageError(
            name, "it is a file, not an interface", f"Look at it with `panotui review {name}`."
        )
    near = get_close_matches(name, commands, 1, 0.7)
    if near:
        return UsageError(
            name, "there is no such command or interface", f"Did you mean `panotui {near[0]}`?"
        )
    present = ", ".join(present_interfaces()) or "none"
    return InterfaceError(
        f"interface {name[:40]}", "it does not exist", f"This machine has: {present}."
    )


def present_interfaces() -> list[str]:
    try:
        return sorted(p.name for p in _NET.iterdir())
    except OSError:
        return []


def physical_up() -> list[str]:
    """Interfaces with a device behind them that are administratively up, carrier first."""
    found: list[tuple[bool, str]] = []
    for name in present_interfaces():
        folder = _NET / name
        if not (folder / "device").exists() or (folder / "wireless").exists():
            continue
        try:
            up = int((folder / "flags").read_text(), 16) & 1
        except (OSError, ValueError):
            continue
        if up:
            found.append((_read(folder / "carrier") != "1", name))
    return [name for _, name in sorted(found)]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # carrier of an interface that is down
