"""Servers that fall silent together: one finding for those on the same side of the gateway.

Findings of single servers come in; those that share a port and a side come out as one that covers
them. DNS and time servers are reported in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from panotui.diagnosis.facts import Observation
from panotui.model.quantities import listed
from panotui.site.addresses import INTERNET, scope_of


def together(
    silent: list[Observation],
    text: Callable[[str, int], str],
    tag: str,
    advice: dict[str, str] | None = None,
) -> Iterable[Observation]:
    """Merge findings of servers of which nothing more is known and the same is to be done: what
    says its own reason stands for itself. `text` formats the names of the servers and the number of
    unanswered requests; `tag` is the tag that a finding of a server blocks; `advice` by side
    ("beyond" the gateway or "inside"), None for that of the single findings.
    """
    groups: dict[tuple[str, str, str | None], list[Observation]] = {}
    for seen in silent:
        if seen.severity is None and seen.text is None:
            side = "beyond" if scope_of(seen.values["server"]) == INTERNET else "inside"
            groups.setdefault((seen.values["port"], side, seen.action), []).append(seen)
    for (port, side, action), found in groups.items():
        if len(found) < 2:
            continue
        servers = listed([f.values["server"] for f in found])
        count = sum(int(f.values["count"]) for f in found)
        yield replace(
            found[0], subject=port or found[0].subject, key=f"{port} {side}",
            values={**found[0].values, "server": servers, "count": str(count)},
            evidence=tuple(sorted((e for f in found for e in f.evidence),
                                  key=lambda e: e.time_ns)[-8:]),
            first_ns=min(f.first_ns for f in found), last_ns=max(f.last_ns for f in found),
            text=text(servers, count),
            detail=tuple(f"{f.subject}: {line}" for f in found for line in f.detail)[:4],
            covers=tuple(f.life_key for f in found),
            blocks=tuple(f"{tag}:{f.values['server']}" for f in found),
            action=advice.get(side) if advice is not None and action is None else action,
        )  # fmt: skip
