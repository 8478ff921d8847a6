"""The machine's interfaces, and the default ones for a capture."""

from __future__ import annotations

import socket
from pathlib import Path

SYSFS = Path("/sys/class/net")
IFF_UP = 1


def existing_interfaces() -> list[str]:
    """The names of all interfaces, in the kernel's order."""
    return [name for _, name in socket.if_nameindex()]


def default_interfaces(sysfs: Path = SYSFS) -> list[str]:
    """The up, physical interfaces, at most two; those with a carrier first.

    Physical means: backed by a device (PCI, USB, virtio). On a machine without one (a container, a
    namespace), all interfaces that are up count, except loopback and the devices of bridges and
    tunnels.
    """
    names = sorted(path.name for path in sysfs.iterdir()) if sysfs.is_dir() else []
    up = [name for name in names if _flags(sysfs / name) & IFF_UP and name != "lo"]
    physical = [name for name in up if (sysfs / name / "device").exists()]
    usable = physical or [name for name in up if not _virtual(sysfs / name)]
    return sorted(usable, key=lambda name: (not _carrier(sysfs / name), name))[:2]


def _flags(folder: Path) -> int:
    try:
        return int((folder / "flags").read_text(), 16)
    except (OSError, ValueError):
        return 0


def _carrier(folder: Path) -> bool:
    try:
        return (folder / "carrier").read_text().strip() == "1"
    except OSError:  # reading it fails on an interface that is down
        return False


def _virtual(folder: Path) -> bool:
    return (
        (folder / "bridge").exists()
        or (folder / "tun_flags").exists()
        or (folder / "bonding").exists()
        or folder.name.startswith(("docker", "br-", "virbr", "sit", "tunl", "ip6tnl"))
    )
