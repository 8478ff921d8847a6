"""Which interfaces one meter must read together, and which may have separate meters.

Only a single meter can recognise a packet that passed two interfaces (it counts the second one as a
copy), follow a dialogue whose directions arrive on two interfaces (the two outputs of a tap), and
join them into one flow. Interfaces are therefore read together, unless the site file maps each to a
different port of the appliance, this machine does not forward the packets, and the kernel does not
stack the interfaces on one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from panotui.model import Site
from panotui.sources.live.interfaces import SYSFS

FORWARDING = Path("/proc/sys/net")
_IN_THE_WAY = ("inline", "router", "host")


def groups(
    names: Sequence[str], site: Site, sysfs: Path = SYSFS, forwarding: Path = FORWARDING
) -> list[list[str]]:
    """The interfaces per meter, in the order in which they are named."""
    ports = {port.interface: name for name, port in site.ports.items() if port.interface}
    vantage = site.site.vantage
    mapped = [ports[name] for name in names if name in ports]
    apart = len(mapped) == len(names) == len(set(mapped)) and vantage not in _IN_THE_WAY
    if not apart or (vantage is None and forwards(forwarding)):
        return [list(names)]
    out: list[list[str]] = []
    reached: list[set[str]] = []
    for name in names:
        stack = stacked_with(name, sysfs)
        for number, others in enumerate(reached):
            if stack & others:
                out[number].append(name)
                others |= stack
                break
        else:
            out.append([name])
            reached.append(stack)
    return out


def stacked_with(name: str, sysfs: Path = SYSFS) -> set[str]:
    """The interface and all that the kernel stacks above or below it, transitively: a bridge or
    bond and its ports, a VLAN and its parent.
    """
    found = {name}
    left = [name]
    while left:
        for other in _neighbours(sysfs / left.pop()):
            if other not in found:
                found.add(other)
                left.append(other)
    return found


def _neighbours(folder: Path) -> list[str]:
    try:
        entries = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    near = [n.partition("_")[2] for n in entries if n.startswith(("upper_", "lower_"))]
    if "master" in entries:
        near.append((folder / "master").resolve().name)
    return near


def forwards(forwarding: Path = FORWARDING) -> bool:
    """Whether this machine forwards packets from one interface to another."""
    for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        try:
            if (forwarding / switch).read_text().strip() not in ("", "0"):
                return True
        except OSError:
            continue
    return False
