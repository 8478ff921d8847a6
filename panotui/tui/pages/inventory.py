"""The inventory pane: every device that was seen on the wire, its identity and location."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from panotui.model import DeviceRecord
from panotui.model.quantities import UNKNOWN, counted
from panotui.tui.glyphs import Role
from panotui.tui.line import Span
from panotui.tui.page import Scene
from panotui.tui.quantities import count, short_volume, since
from panotui.tui.table import Column, Table

_ROLE_LOOKS: dict[str, Role] = {"appliance": "strong", "camera": "strong", "host": "plain"}


def _heading(scene: Scene) -> Sequence[Span]:
    seen = scene.frame.header.counts.devices
    if not seen:
        return [("none heard yet", "dim")]
    shown = Counter(d.role for d in scene.frame.devices)
    words = (("camera", "cameras"), ("switch", "switches"))
    parts = [
        f"{shown[one]} {one if shown[one] == 1 else more}" for one, more in words if shown[one]
    ]
    text = counted(seen, "device")
    # the visible rows are complete only if all rows are visible
    whole = scene.frame.total == len(scene.frame.devices) and scene.frame.total == seen
    return [(f"{text}: {', '.join(parts)}" if whole and parts else text, "plain")]


def _text(value: str | None, role: Role = "plain") -> Span:
    return (value, role) if value else (UNKNOWN, "dim")


def _addresses(device: DeviceRecord) -> Span:
    more = f" +{len(device.addresses) - 1}" if len(device.addresses) > 1 else ""
    if not device.addresses:
        return device.mac, "dim"  # all that it is known by
    return _text(f"{device.addresses[0]}{more}")


TABLE = Table(
    pane="inventory",
    record=DeviceRecord,
    kind="device",
    rows=lambda frame: frame.devices,
    heading=_heading,
    own_sort="role",
    empty="No device was heard yet.",
    copy=lambda d: d.mac,
    columns=(
        Column("ROLE", 11, lambda d, s: (d.role, _ROLE_LOOKS.get(d.role, "plain")), "role"),
        Column("NAME", 12, lambda d, s: _text(d.names[0] if d.names else None, "strong"), "name",
               most=40),
        Column("ADDRESS", 17, lambda d, s: _addresses(d), "address", most=44),
        Column("MAC", 17, lambda d, s: (d.mac, "plain"), "mac", drop=3),
        Column("MAKER", 10, lambda d, s: _text(d.vendor), "vendor", most=36, drop=4,
               sentence=True),
        Column("PORT", 5, lambda d, s: _text(d.port), "port", most=12, drop=2),
        Column("VLAN", 4, lambda d, s: _text(None if d.vlan is None else str(d.vlan)), "vlan",
               right=True, drop=5),
        Column("PACKETS", 7, lambda d, s: (count(d.packets), "plain"), "packets", right=True,
               drop=7, biggest_first=True),
        Column("SENT", 6, lambda d, s: (short_volume(d.bytes), "plain"), "bytes", right=True,
               drop=1, biggest_first=True),
        Column("FIRST", 8, lambda d, s: (s.when(d.first_time_ns), "dim"),
               "first", most=14, drop=6, biggest_first=True),
        Column("LAST", 5, lambda d, s: (since(d.last_time_ns, s.now_ns), "plain"), "last",
               right=True, drop=1, biggest_first=True),
    ),
)  # fmt: skip
