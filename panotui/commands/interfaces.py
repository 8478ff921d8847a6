"""The interfaces of a capture if the command line names none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from panotui.errors import InterfaceError, UsageError
from panotui.model import Site
from panotui.sources.live.interfaces import default_interfaces, existing_interfaces

AT_MOST = 2


def chosen(named: Sequence[str], site: Site, commands: Sequence[str] = ()) -> list[str]:
    """The named interfaces, else those that the site file maps, else the physical ones that are up.

    UsageError for too many, or for a probable mistyped command; InterfaceError if one does not
    exist or none is up.
    """
    names = list(dict.fromkeys(named)) or [p.interface for p in site.ports.values() if p.interface]
    if not names:
        names = default_interfaces()[:AT_MOST]
        if not names:
            raise InterfaceError(
                "interfaces", "no physical interface is up here", "Name one: `panotui live eth0`."
            )
    if len(names) > AT_MOST:
        raise UsageError("interfaces", f"at most {AT_MOST} are watched at once", "Name fewer.")
    existing = existing_interfaces()
    for name in names:
        if name not in existing:
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
    present = ", ".join(existing_interfaces()) or "none"
    return InterfaceError(
        f"interface {name[:40]}", "it does not exist", f"This machine has: {present}."
    )
