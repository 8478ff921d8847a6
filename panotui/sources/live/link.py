"""The state of capture interfaces: carrier, speed, addresses and error counters, without privilege.

Netlink reports changes at once; sysfs and psutil give the present state. `read` returns a reading
for each changed interface, and for all of them once a second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import psutil

from panotui.model import SECOND, LinkReading

SYSFS = Path("/sys/class/net")
EVERY_NS = SECOND
IFF_PROMISC = 0x100
CARRIER_EVENTS = ("RTM_NEWLINK", "RTM_DELLINK", "RTM_NEWADDR", "RTM_DELADDR")


class LinkWatch:
    """Watches named interfaces; a missing one is read as not present."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        self.interfaces = tuple(interfaces)
        self._netlink: Any = _netlink()
        self._due_ns = 0
        self._indices = {name: _index(name) for name in self.interfaces}

    @property
    def events(self) -> bool:
        """Whether the kernel reports changes (otherwise they are found within a second)."""
        return self._netlink is not None

    def filenos(self) -> list[int]:
        """Descriptors to poll: readable means that `read` has new readings."""
        return [] if self._netlink is None else [self._netlink.fileno()]

    def read(self, now_ns: int) -> list[LinkReading]:
        """The readings due at `now_ns` (nanoseconds since the epoch); never waits."""
        changed = self._changed()
        if now_ns >= self._due_ns or now_ns < self._due_ns - 2 * EVERY_NS:  # the clock was set back
            self._due_ns = now_ns + EVERY_NS
            changed = set(self.interfaces)
        return [reading(name, now_ns) for name in self.interfaces if name in changed]

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _changed(self) -> set[str]:
        if self._netlink is None:
            return set()
        changed: set[str] = set()
        for _ in range(1_000):
            try:
                messages = self._netlink.get()
            except BlockingIOError:
                break
            except OSError:  # the kernel had more events than fit into the buffer
                return set(self.interfaces)
            for message in messages:
                changed |= self._named(message)
        return changed

    def _named(self, message: Any) -> set[str]:
        if message.get("event") not in CARRIER_EVENTS:
            return set()
        index = message.get("index")
        name = dict(message.get("attrs", ())).get("IFLA_IFNAME")
        if isinstance(name, str) and name in self._indices:
            self._indices[name] = index if message.get("event") != "RTM_DELLINK" else None
            return {name}
        return {known for known, number in self._indices.items() if number == index}


def reading(name: str, now_ns: int, sysfs: Path = SYSFS) -> LinkReading:
    """The present state of one interface. Values that the driver does not provide are None."""
    folder = sysfs / name
    if not folder.exists():
        return LinkReading(time_ns=now_ns, interface=name, present=False, up=None)
    counters = folder / "statistics"
    speed = _number(folder / "speed")
    duplex = _text(folder / "duplex")
    flags = _text(folder / "flags")
    known: Literal["full", "half"] | None = None
    if duplex == "full":
        known = "full"
    elif duplex == "half":
        known = "half"
    return LinkReading(
        time_ns=now_ns,
        interface=name,
        present=True,
        up=_up(folder),
        speed_mbps=speed if speed is not None and speed > 0 else None,
        duplex=known,
        mtu=_number(folder / "mtu"),
        mac=_text(folder / "address"),
        addresses=_addresses(name),
        carrier_changes=_number(folder / "carrier_changes"),
        rx_errors=_number(counters / "rx_errors"),
        rx_dropped=_sum(counters, ("rx_dropped", "rx_missed_errors")),
        rx_packets=_number(counters / "rx_packets"),
        tx_packets=_number(counters / "tx_packets"),
        collisions=_number(counters / "collisions"),
        pause_frames=_pause_frames(name),
        promiscuous=bool(int(flags, 16) & IFF_PROMISC) if flags else None,
    )


def _netlink() -> Any:
    """A socket for events of links and addresses, or None without netlink."""
    try:
        return _RouteEvents()
    except (ImportError, OSError):
        return None


class _RouteEvents:
    """Events of links and addresses from route netlink, parsed by pyroute2, never waiting."""

    def __init__(self) -> None:
        rtnl, self._marshal = _parser()
        groups = rtnl.RTMGRP_LINK | rtnl.RTMGRP_IPV4_IFADDR | rtnl.RTMGRP_IPV6_IFADDR
        self._events = rtnl.RTM_VALUES
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, groups))
        except BaseException:
            self._socket.close()
            raise

    def get(self) -> list[Any]:
        """The received events, each with the name of its `event`. OSError, BlockingIOError."""
        messages = list(self._marshal.parse(self._socket.recv(1 << 16)))
        for message in messages:
            message["event"] = self._events.get(message["header"]["type"])
        return messages

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def _parser() -> tuple[Any, Any]:
    """pyroute2's constants of route netlink, and its parser for link and address messages.

    Importing the package by name would load all of it, 230 modules and 12 MB. With a parent that is
    registered but not executed, single modules can be imported.
    """
    spec = importlib.util.find_spec("pyroute2")
    if spec is None:
        raise ImportError("pyroute2")
    known = sys.modules.get("pyroute2")
    sys.modules["pyroute2"] = importlib.util.module_from_spec(spec)
    try:
        from pyroute2.netlink import rtnl
        from pyroute2.netlink.marshal import Marshal
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    finally:
        del sys.modules["pyroute2"]
        if known is not None:
            sys.modules["pyroute2"] = known
    marshal = Marshal()
    for event in CARRIER_EVENTS:
        marshal.msg_map[getattr(rtnl, event)] = ifinfmsg if "LINK" in event else ifaddrmsg
    return rtnl, marshal


def _pause_frames(name: str) -> int | None:
    """PAUSE frames received, by the driver's own statistics; None if it has no such counter.

    psutil and sysfs do not have them; the ethtool statistics do (linux/ethtool.h: ETHTOOL_GSTRINGS
    and ETHTOOL_GSTATS need no privilege).
    """
    # 23 ms that the meters, which import this module too, never need
    from panotui.sources.live.ethtool import statistics

    found = [
        value
        for key, value in statistics(name).items()
        if "pause" in key.lower() and "rx" in key.lower() and "storm" not in key.lower()
    ]
    return max(found) if found else None


def _up(folder: Path) -> bool:
    return _number(folder / "carrier") == 1


def _addresses(name: str) -> tuple[str, ...]:
    found = []
    for address in psutil.net_if_addrs().get(name, []):
        if address.family in (socket.AF_INET, socket.AF_INET6):
            text = address.address.split("%")[0]
            if address.netmask:
                bits = bin(int.from_bytes(socket.inet_pton(address.family, address.netmask)))
                text += f"/{bits.count('1')}"
            found.append(text)
    return tuple(found[:16])


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()
    return None


def _number(path: Path) -> int | None:
    text = _text(path)
    with contextlib.suppress(ValueError, TypeError):
        return int(text) if text is not None else None
    return None


def _sum(folder: Path, names: Sequence[str]) -> int | None:
    values = [value for name in names if (value := _number(folder / name)) is not None]
    return sum(values) if values else None
